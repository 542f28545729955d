//! How large values may be (invariant I7).

use crate::{Command, Commit, Definition, NewRun, RunSummary, StoreError};

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
/// The record of a saved file: outputs of its step and its path.
const SAVED_BYTES_MAX: usize = 1 << 20;

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
