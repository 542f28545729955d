//! The files of a run, brought from the artifact store into a folder.

use crate::door::Records;
use crate::failure::Failure;
use darkroom_backend::Artifacts;
use darkroom_coordinator::decode_run;
use darkroom_engine::Run;
use darkroom_proto::{Artifact, SaveTarget, Sha256};
use darkroom_worker::ops::place;
use darkroom_worker::{Routes, Workbench};
use std::collections::BTreeMap;
use std::path::Path;

/// Where unfinished files lie, in the folder that they are for: a rename from there never crosses a file system.
const UNFINISHED: &str = ".darkroom-unfinished";

/// What a run saved, by the path that it was saved to.
pub(crate) fn saved_files(run: &Run) -> BTreeMap<String, Artifact> {
    let saved = run.steps.values().filter_map(|step| step.saved.clone());
    saved.map(|saved| (saved.path, saved.artifact)).collect()
}

/// What the children of a run saved, and theirs.
pub(crate) async fn saved_by_children(records: &Records, run: &Run) -> Result<BTreeMap<String, Artifact>, Failure> {
    let children = |run: &Run| run.steps.values().filter_map(|step| step.child).collect::<Vec<_>>();
    let (mut files, mut open) = (BTreeMap::new(), children(run));
    while let Some(id) = open.pop() {
        // One that was never started has saved nothing.
        let Some(stored) = records.load(id).await? else { continue };
        let child = decode_run(id, &stored)?;
        files.extend(saved_files(&child));
        open.extend(children(&child));
    }
    Ok(files)
}

/// The same, and the outputs that were not saved by their name.
pub(crate) fn all_files(run: &Run) -> BTreeMap<String, Artifact> {
    let mut files = saved_files(run);
    for (name, value) in &run.head.outputs {
        if let Some(artifact) = Artifact::from_value(value)
            && !files.values().any(|file| file.sha256 == artifact.sha256)
        {
            files.insert(format!("{name}.{}", artifact.ext()), artifact);
        }
    }
    files
}

/// Writes files under `out`, each whole or not at all. Those that are there already, byte for byte, are left alone.
pub(crate) fn deliver(files: &BTreeMap<String, Artifact>, out: &Path, artifacts: &Artifacts) -> Result<(), Failure> {
    let workbench = Workbench::new(artifacts.clone(), &out.join(UNFINISHED), Routes { has_provider_key: false });
    let ended = files.iter().filter(|(path, artifact)| !is_there(&out.join(path), artifact)).try_for_each(
        |(path, artifact)| {
            let target = SaveTarget { path: path.clone(), out: Some(out.display().to_string()) };
            let placed = place(artifact, &target, &workbench.context());
            placed.map(drop).map_err(|error| {
                Failure::other(format!("{path} can't be written: {}", error.message)).advice(error.advice)
            })
        },
    );
    // Empty by now; if not, somebody else is at it.
    let staging = out.join(UNFINISHED);
    let _ = std::fs::remove_dir(staging.join("staging"));
    let _ = std::fs::remove_dir(staging);
    ended
}

fn is_there(path: &Path, artifact: &Artifact) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|file| file.is_file() && file.len() == artifact.bytes)
        && std::fs::read(path).is_ok_and(|bytes| Sha256::of(&bytes) == artifact.sha256)
}
