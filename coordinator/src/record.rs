//! How runs are written into the store: versioned MessagePack with field names.
//!
//! A run is a head, a `spec` field, one `step:PATH` field for each step instance that is not pending, one `signal:N` field
//! for each event that is kept, and an `inputs` field if inputs were changed.

use darkroom_backend::{RunSummary, StoredRun};
use darkroom_engine::{Happened, Head, Run, Signal, Spec, Step, awaiting};
use darkroom_proto::{ErrorDocument, Map, RunId, RunRow, Sha256, StepPath};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The version that this release writes. It reads no other yet.
const VERSION: u8 = 1;

/// The field with what the run was given.
const SPEC_FIELD: &str = "spec";

/// What the field of a step begins with.
const STEP_PREFIX: &str = "step:";

/// What the field of an event begins with that is kept.
const SIGNAL_PREFIX: &str = "signal:";

/// The field with the inputs that were changed.
const INPUTS_FIELD: &str = "inputs";

/// What is stored can't be read.
#[derive(Debug, thiserror::Error)]
#[error("the stored {what} can't be read: {why}")]
pub struct RecordError {
    what: String,
    why: String,
}

pub(crate) fn encode<T: Serialize>(what: &str, value: &T) -> Result<Vec<u8>, RecordError> {
    let mut bytes = vec![VERSION];
    value
        .serialize(&mut rmp_serde::Serializer::new(&mut bytes).with_struct_map())
        .map_err(|error| RecordError { what: what.to_owned(), why: error.to_string() })?;
    Ok(bytes)
}

pub(crate) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, RecordError> {
    let error = |why: String| RecordError { what: what.to_owned(), why };
    match bytes.split_first() {
        Some((&VERSION, body)) => rmp_serde::from_slice(body).map_err(|why| error(why.to_string())),
        Some((version, _)) => Err(error(format!("it has version {version}; this release reads {VERSION}"))),
        None => Err(error("it is empty".to_owned())),
    }
}

pub(crate) fn encode_head(head: &Head) -> Result<Vec<u8>, RecordError> {
    encode("head", head)
}

pub(crate) fn encode_event(event: &Happened) -> Result<Vec<u8>, RecordError> {
    encode("event", event)
}

/// An event of the audit trail as it was stored.
pub fn decode_event(bytes: &[u8]) -> Result<Happened, RecordError> {
    decode("event", bytes)
}

pub(crate) fn spec_field(spec: &Spec) -> Result<(String, Vec<u8>), RecordError> {
    Ok((SPEC_FIELD.to_owned(), encode("spec", spec)?))
}

/// The field of a step: its state, or nothing if it is pending again.
pub(crate) fn step_field(run: &Run, path: &StepPath) -> Result<(String, Option<Vec<u8>>), RecordError> {
    let value = run.step(path).map(|step| encode("step", step)).transpose()?;
    Ok((format!("{STEP_PREFIX}{path}"), value))
}

/// The field of an event: what it is, or nothing if it is kept no more.
pub(crate) fn signal_field(run: &Run, number: u64) -> Result<(String, Option<Vec<u8>>), RecordError> {
    let value = run.signals.get(&number).map(|signal| encode("signal", signal)).transpose()?;
    Ok((format!("{SIGNAL_PREFIX}{number}"), value))
}

/// The field with the inputs that were changed.
pub(crate) fn inputs_field(run: &Run) -> Result<(String, Option<Vec<u8>>), RecordError> {
    Ok((INPUTS_FIELD.to_owned(), Some(encode("inputs", &run.overrides)?)))
}

/// A run as it was stored.
pub fn decode_run(id: RunId, stored: &StoredRun) -> Result<Run, RecordError> {
    let head: Head = decode("head", &stored.head)?;
    let mut spec: Option<Spec> = None;
    let mut steps: BTreeMap<StepPath, Step> = BTreeMap::new();
    let mut signals: BTreeMap<u64, Signal> = BTreeMap::new();
    let mut overrides = Map::new();
    for (name, value) in &stored.fields {
        if name == SPEC_FIELD {
            spec = Some(decode(name, value)?);
        } else if name == INPUTS_FIELD {
            overrides = decode(name, value)?;
        } else if let Some(number) = name.strip_prefix(SIGNAL_PREFIX) {
            let error = |why: std::num::ParseIntError| RecordError { what: name.clone(), why: why.to_string() };
            signals.insert(number.parse().map_err(error)?, decode(name, value)?);
        } else if let Some(path) = name.strip_prefix(STEP_PREFIX) {
            let error = |why: darkroom_proto::StepPathError| RecordError { what: name.clone(), why: why.to_string() };
            steps.insert(path.parse().map_err(error)?, decode(name, value)?);
        }
    }
    let spec = spec.ok_or_else(|| RecordError { what: "run".into(), why: "its spec is missing".into() })?;
    let mut run = Run::restore(id, Arc::new(spec), head, steps);
    (run.signals, run.overrides) = (signals, overrides);
    Ok(run)
}

/// What lists show of a run.
pub(crate) fn summary(run: &Run, fingerprint: Sha256) -> RunSummary {
    let failure = run.head.failure.as_ref();
    let step = failure.map(|failure| failure.path.to_string());
    RunSummary {
        workflow: run.spec.workflow.clone(),
        definition: run.spec.definition,
        status: run.head.status,
        created_at: run.spec.created_at,
        updated_at: run.head.updated_at,
        finished_at: run.head.finished_at,
        fingerprint,
        // Whoever looks for what waits for a person finds it by this.
        step: step.or_else(|| awaiting(run).next().map(|(path, ..)| path.to_string())),
        error: failure.map(|failure| failure.error.clone()),
        spent: run.head.spent,
        tenant: run.spec.tenant.clone(),
        parent: run.spec.parent.as_ref().map(|parent| parent.run),
        part: run.spec.part.is_some(),
    }
}

/// A run in a list.
pub fn run_row(id: RunId, summary: &RunSummary) -> RunRow {
    RunRow {
        id: id.to_string(),
        workflow: summary.workflow.clone(),
        version: summary.definition,
        status: summary.status,
        step: summary.step.clone(),
        created_at: summary.created_at,
        updated_at: summary.updated_at,
        finished_at: summary.finished_at,
        error: summary.error.as_ref().map(ErrorDocument::from),
        cost: summary.spent.usd(),
        parent: summary.parent.map(|parent| parent.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_backend::{CANCEL_FIELD, void_field};
    use darkroom_engine::{Source, State, compile};
    use darkroom_proto::{Money, Timestamp};

    #[test]
    fn what_the_ledger_keeps_with_a_run_is_no_part_of_its_state() {
        let (path, at) = (StepPath::top("edit"), Timestamp(1_800_000_000_000));
        let source = Source::new("paid.yaml", "workflow: paid\nsteps: [{uses: noop}]\n");
        let spec = Spec::new(&compile(&source).unwrap().plan, Map::new(), at);
        let mut run = Run::new(RunId::from_bytes([7; 16]), Arc::new(spec.clone()));
        run.head.spent = Money(40_000);
        let step: Step = serde_json::from_value(serde_json::json!({
            "state": {"waiting": {"submitted": true, "until": at}}, "generation": 1, "attempt": 1, "started_at": at,
        }))
        .unwrap();
        let mut fields = vec![spec_field(&spec).unwrap()];
        fields.push((format!("{STEP_PREFIX}{path}"), encode("step", &step).unwrap()));
        fields.push((CANCEL_FIELD.to_owned(), b"1".to_vec()));
        fields.push((void_field(&path, 1), b"1".to_vec()));
        let (summary, head) = (summary(&run, Sha256::of(b"same")), encode_head(&run.head).unwrap());
        let stored = StoredRun { version: 1, summary, head, fields, outbox: Vec::new() };
        assert_eq!(stored.summary.spent, Money(40_000));
        let read = decode_run(run.id, &stored).unwrap();
        assert_eq!(read.head, run.head);
        assert_eq!(read.step(&path).map(|step| step.state), Some(State::Waiting { submitted: true, until: at }));
    }
}
