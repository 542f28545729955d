//! Runs that are made from an earlier one: by `rerun`, from the beginning; by `fork`, from a step on.

use crate::desk::Stored;
use darkroom_backend::Artifacts;
use darkroom_engine::{Again, Origin, Recorded, Spec, recorded};
use darkroom_proto::{Artifact, Map, StepPath, Timestamp};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a run is given that is made from an earlier one. `set` are inputs that have other values; `from` is the step from which
/// on a fork does everything again; `force` takes nothing. Steps whose files are gone are marked, and done again.
///
/// Asks the artifact store for files, so it belongs on a blocking thread.
pub fn made_from(
    earlier: &Stored,
    set: Map,
    how: Again,
    from: Option<&StepPath>,
    force: bool,
    artifacts: &Artifacts,
    now: Timestamp,
) -> Spec {
    let Stored { run, plan } = earlier;
    let mut inputs = run.inputs();
    inputs.extend(set);
    let mut taken = if force { BTreeMap::new() } else { recorded(plan, run, how, from) };
    for recorded in taken.values_mut() {
        recorded.is_gone = !files_of(recorded).iter().all(|file| artifacts.has(file).unwrap_or(false));
    }
    Spec {
        inputs,
        created_at: now,
        artifacts_url: artifacts.root_url(),
        fresh: force,
        schedule: None,
        saved: BTreeMap::new(),
        origin: Some(Origin { run: run.id, how, from: from.cloned() }),
        recorded: taken,
        ..(*run.spec).clone()
    }
}

/// The files among the outputs of a step, and the one that it saved.
fn files_of(recorded: &Recorded) -> Vec<Artifact> {
    fn collect(value: &Value, files: &mut Vec<Artifact>) {
        if let Some(file) = Artifact::from_value(value) {
            return files.push(file);
        }
        match value {
            Value::Array(items) => items.iter().for_each(|item| collect(item, files)),
            Value::Object(object) => object.values().for_each(|value| collect(value, files)),
            _ => {}
        }
    }
    let mut files: Vec<Artifact> = recorded.saved.iter().map(|saved| saved.artifact.clone()).collect();
    recorded.outputs.values().for_each(|value| collect(value, &mut files));
    files
}
