//! How large values may be (invariant I7).

use crate::StoreError;

/// The state of a run: counters and cursors, a few hundred bytes in practice.
pub(super) const HEAD_BYTES_MAX: usize = 64 << 10;
/// One field of a run, such as the outcome of a step or a list that a fan-out goes over.
pub(super) const FIELD_BYTES_MAX: usize = 16 << 20;
/// The name of a field: a step path (at most 512 bytes) and a prefix.
pub(super) const FIELD_NAME_BYTES_MAX: usize = 1 << 10;
/// All effects of one commit.
pub(super) const OUTBOX_BYTES_MAX: usize = 16 << 20;
/// One event of the audit trail.
pub(super) const EVENT_BYTES_MAX: usize = 1 << 20;
/// The texts of a summary: workflow, step, message and advice of an error.
pub(super) const SUMMARY_BYTES_MAX: usize = 64 << 10;
/// A workflow file.
pub(super) const DEFINITION_BYTES_MAX: usize = 4 << 20;
/// What a command carries, such as the data of a signal.
pub(super) const COMMAND_BYTES_MAX: usize = 1 << 20;
/// The idempotency key of a command.
pub(super) const COMMAND_KEY_BYTES_MAX: usize = 512;
/// The record of a saved file: outputs of its step and its path.
pub(super) const SAVED_BYTES_MAX: usize = 1 << 20;

/// Refuses what is over its limit.
pub(super) fn check(what: &'static str, bytes: usize, bytes_max: usize) -> Result<(), StoreError> {
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(StoreError::TooLarge { what, bytes: bytes as u64, bytes_max: bytes_max as u64 })
}
