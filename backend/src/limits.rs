//! How large values may be (invariant I7).

use crate::{
    Call, Command, Commit, Definition, Fact, Intent, NewRun, RunSummary, StoreError, StoredRecord, StoredSchedule,
};

/// The state of a run: counters and cursors, a few hundred bytes in practice.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// One field of a run, such as the outcome of a step or a list that a fan-out goes over.
const FIELD_BYTES_MAX: usize = 16 << 20;
/// The name of a field: a step path (at most 512 bytes) and a prefix.
const FIELD_NAME_BYTES_MAX: usize = 1 << 10;
/// All effects of one commit.
const OUTBOX_BYTES_MAX: usize = 16 << 20;
/// One event of the audit trail.
const EVENT_BYTES_MAX: usize = 1 << 20;
/// The texts of a summary: workflow, step, message and advice of an error.
const SUMMARY_BYTES_MAX: usize = 64 << 10;
/// A workflow file.
const DEFINITION_BYTES_MAX: usize = 4 << 20;
/// What a command carries, such as the data of a signal.
const COMMAND_BYTES_MAX: usize = 1 << 20;
/// The idempotency key of a command.
const COMMAND_KEY_BYTES_MAX: usize = 512;
/// A schedule: what its runs are given, and up to a thousand times that wait.
const SCHEDULE_BYTES_MAX: usize = 1 << 20;
/// A record: of a workflow, about a hundred bytes for each time that it was pushed.
const RECORD_BYTES_MAX: usize = 4 << 20;
/// The name of a record.
const RECORD_NAME_BYTES_MAX: usize = 256;
/// The record of a saved file: outputs of its step and its path.
const SAVED_BYTES_MAX: usize = 1 << 20;
/// What the step cache keeps of a step.
const CACHED_BYTES_MAX: usize = 1 << 20;
/// The texts of a call: what is called, the handles of its job, why it came to nothing.
const CALL_BYTES_MAX: usize = 256 << 10;
/// The names of everything that limits one call.
const LEDGER_NAMES_BYTES_MAX: usize = 16 << 10;

/// Refuses what is over its limit.
fn check(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), StoreError> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(StoreError::TooLarge { what, bytes: bytes as u64, bytes_max: bytes_max as u64 })
}

/// Refuses a definition that is too large.
pub(crate) fn check_definition(definition: &Definition) -> Result<(), StoreError> {
    check("the workflow file", definition.source.len(), DEFINITION_BYTES_MAX)
}

/// Refuses a command that is too large.
pub(crate) fn check_command(command: &Command) -> Result<(), StoreError> {
    check("a command", command.body.len(), COMMAND_BYTES_MAX)?;
    check("the key of a command", command.key.len(), COMMAND_KEY_BYTES_MAX)
}

/// Refuses an entry of the step cache that is too large.
pub(crate) fn check_cached(encoded: &[u8]) -> Result<(), StoreError> {
    check("outputs for the step cache", encoded.len(), CACHED_BYTES_MAX)
}

/// Refuses a schedule that is too large.
pub(crate) fn check_schedule(schedule: &StoredSchedule) -> Result<(), StoreError> {
    check("a schedule", schedule.body.len(), SCHEDULE_BYTES_MAX)
}

/// Refuses a record that is too large.
pub(crate) fn check_record(record: &StoredRecord) -> Result<(), StoreError> {
    check("a record", record.body.len(), RECORD_BYTES_MAX)?;
    check("the name of a record", record.name.len(), RECORD_NAME_BYTES_MAX)
}

/// Refuses a run of which anything is too large.
pub(crate) fn check_new_run(new: &NewRun) -> Result<(), StoreError> {
    check_state(&new.summary, &new.head, &[], &new.events)?;
    new.fields.iter().try_for_each(|(name, value)| check_field(name, value))
}

/// Refuses a commit of which anything is too large.
pub(crate) fn check_commit(commit: &Commit) -> Result<(), StoreError> {
    check_state(&commit.summary, &commit.head, &commit.outbox, &commit.events)?;
    for (name, value) in &commit.fields {
        check_field(name, value.as_deref().unwrap_or_default())?;
    }
    for saved in &commit.saved {
        check("the record of a saved file", saved.outputs.len() + saved.path.len(), SAVED_BYTES_MAX)?;
    }
    Ok(())
}

fn check_state(summary: &RunSummary, head: &[u8], outbox: &[u8], events: &[Vec<u8>]) -> Result<(), StoreError> {
    let error = summary.error.as_ref().map_or(0, |e| e.message.len() + e.advice.len() + e.code.len());
    let texts = summary.workflow.len() + summary.step.as_ref().map_or(0, String::len) + error;
    check("the summary of a run", texts, SUMMARY_BYTES_MAX)?;
    check("the head of a run", head.len(), HEAD_BYTES_MAX)?;
    check("the outbox of a run", outbox.len(), OUTBOX_BYTES_MAX)?;
    for event in events {
        check("an event", event.len(), EVENT_BYTES_MAX)?;
    }
    Ok(())
}

fn check_field(name: &str, value: &[u8]) -> Result<(), StoreError> {
    check("the name of a field", name.len(), FIELD_NAME_BYTES_MAX)?;
    check("a field of a run", value.len(), FIELD_BYTES_MAX)
}

/// Refuses an intent that is too large.
pub(crate) fn check_intent(intent: &Intent) -> Result<(), StoreError> {
    let names = [&intent.model, &intent.provider, &intent.endpoint, &intent.key];
    check("a call", names.iter().map(|name| name.len()).sum(), CALL_BYTES_MAX)
}

/// Refuses a fact that is too large.
pub(crate) fn check_fact(fact: &Fact) -> Result<(), StoreError> {
    let bytes = match fact {
        Fact::Submitted { handle, .. } => handle.to_string().len(),
        Fact::Rejected { error } | Fact::Failed { error, .. } => {
            error.message.len() + error.advice.len() + error.code.len()
        }
        Fact::Settled { .. } | Fact::Cancelled { .. } | Fact::Released { .. } | Fact::Held { .. } => 0,
    };
    check("what is told of a call", bytes, CALL_BYTES_MAX)
}

/// Refuses a call that is too large.
pub(crate) fn check_call(call: &Call) -> Result<(), StoreError> {
    let names = [&call.model, &call.provider, &call.endpoint, &call.key];
    let handles = [&call.handle, &call.second_handle];
    let bytes = names.iter().map(|name| name.len()).sum::<usize>()
        + handles.into_iter().flatten().map(|handle| handle.to_string().len()).sum::<usize>();
    check("a call", bytes, 2 * CALL_BYTES_MAX)
}

/// Refuses too many or too long names of limits, purses, keys or routes.
pub(crate) fn check_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<(), StoreError> {
    let bytes = names.into_iter().map(|name| name.len() + 1).sum();
    check("the names of what limits a call", bytes, LEDGER_NAMES_BYTES_MAX)
}
