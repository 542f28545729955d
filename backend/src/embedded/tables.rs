//! The tables of the file and their keys.

use crate::{Shard, StoreError};
use darkroom_proto::{CallId, RunId, Sha256, Timestamp};
use redb::TableDefinition;

pub(super) type Bytes = TableDefinition<'static, &'static [u8], &'static [u8]>;

/// Everything about single runs: records, fields and events, told apart by the first byte of the key.
///
/// One table rather than three, because each table that a transaction touches costs it pages of its own.
pub(super) const RUNS: Bytes = TableDefinition::new("runs");
/// All runs by age, with what lists filter by.
pub(super) const INDEX: Bytes = TableDefinition::new("index");
/// The runs that the owner of a shard has to know of, by age: unfinished, due, or with effects to perform.
pub(super) const OPEN: Bytes = TableDefinition::new("open");
/// Commands by shard and position.
pub(super) const INBOX: Bytes = TableDefinition::new("inbox");
/// The positions of commands by shard and idempotency key.
pub(super) const INBOX_KEYS: TableDefinition<'static, &'static [u8], u64> = TableDefinition::new("inbox-keys");
/// Definitions by hash.
pub(super) const DEFINITIONS: Bytes = TableDefinition::new("definitions");
/// Saved files by scope and key.
pub(super) const SAVED: Bytes = TableDefinition::new("saved");
/// The paid calls of runs, the last ones of their steps and what a run has cost, told apart by the first byte of the key.
pub(super) const CALLS: Bytes = TableDefinition::new("calls");
/// What purses spent on which day, and what calls were booked with, told apart by the first byte of the key.
pub(super) const SPEND: Bytes = TableDefinition::new("spend");
/// Schedules by name.
pub(super) const SCHEDULES: Bytes = TableDefinition::new("schedules");
/// The step cache by key.
pub(super) const CACHE: Bytes = TableDefinition::new("cache");
/// The last epoch of each shard.
pub(super) const EPOCHS: TableDefinition<'static, u16, u64> = TableDefinition::new("epochs");
/// Numbers about the file as a whole.
pub(super) const META: TableDefinition<'static, &'static str, u64> = TableDefinition::new("meta");

/// The entry of [`META`] that says which tables there are and what is in them.
pub(super) const SCHEMA: &str = "schema";
/// The entry of [`META`] that counts writes of schedules.
pub(super) const SCHEDULE_WRITES: &str = "schedule-writes";
/// The schema that this release reads and writes.
pub(super) const SCHEMA_VERSION: u64 = 1;

const RECORD: u8 = b'r';
const FIELD: u8 = b'f';
const EVENTS: u8 = b'e';

const CALL: u8 = b'c';
const NEWEST_CALL: u8 = b'n';
const SPENT_BY_RUN: u8 = b's';

const SPENT_ON: u8 = b'd';
const BOOKED: u8 = b'b';

/// The key of a run's record.
pub(super) fn record(run: RunId) -> [u8; 17] {
    of_run(RECORD, run)
}

/// The key of a field.
pub(super) fn field(run: RunId, name: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(17 + name.len());
    key.extend_from_slice(&of_run(FIELD, run));
    key.extend_from_slice(name.as_bytes());
    key
}

/// What all keys of a run's fields start with.
pub(super) fn fields(run: RunId) -> [u8; 17] {
    of_run(FIELD, run)
}

/// The name of the field with this key.
pub(super) fn field_name(key: &[u8]) -> Result<String, StoreError> {
    let name = key.get(17..).unwrap_or_default().to_vec();
    String::from_utf8(name)
        .map_err(|error| StoreError::Corrupt { what: "the name of a field".into(), why: error.to_string() })
}

/// The key of the events of one commit, of which the first stands at `seq`.
pub(super) fn events(run: RunId, seq: u64) -> [u8; 25] {
    let mut key = [0u8; 25];
    key[..17].copy_from_slice(&of_run(EVENTS, run));
    key[17..].copy_from_slice(&seq.to_be_bytes());
    key
}

/// The position of the first event under this key.
pub(super) fn events_seq(key: &[u8]) -> u64 {
    number(key.get(17..).unwrap_or_default())
}

/// The key of a run where runs are sorted by age.
pub(super) fn by_age(created_at: Timestamp, run: RunId) -> [u8; 24] {
    let mut key = [0u8; 24];
    key[..8].copy_from_slice(&created_at.0.to_be_bytes());
    key[8..].copy_from_slice(run.as_bytes());
    key
}

/// The run with this key.
pub(super) fn run_by_age(key: &[u8]) -> RunId {
    let mut bytes = [0u8; 16];
    if let Some(run) = key.get(8..24) {
        bytes.copy_from_slice(run);
    }
    RunId::from_bytes(bytes)
}

/// The key of a command in the inbox.
pub(super) fn command(shard: Shard, position: u64) -> [u8; 10] {
    let mut key = [0u8; 10];
    key[..2].copy_from_slice(&shard.0.to_be_bytes());
    key[2..].copy_from_slice(&position.to_be_bytes());
    key
}

/// The position of the command with this key.
pub(super) fn command_position(key: &[u8]) -> u64 {
    number(key.get(2..).unwrap_or_default())
}

/// The key under which the position of a command is found.
pub(super) fn command_key(shard: Shard, idempotency_key: &str) -> Vec<u8> {
    let mut key = shard.0.to_be_bytes().to_vec();
    key.extend_from_slice(idempotency_key.as_bytes());
    key
}

/// The key of a saved file.
pub(super) fn saved(scope: Sha256, key: Sha256) -> [u8; 64] {
    let mut bytes = [0u8; 64];
    bytes[..32].copy_from_slice(scope.as_bytes());
    bytes[32..].copy_from_slice(key.as_bytes());
    bytes
}

/// The key of a paid call.
pub(super) fn call(run: RunId, call: &CallId) -> Vec<u8> {
    [&of_run(CALL, run), call.as_str().as_bytes()].concat()
}

/// What the keys of all calls of a run start with.
pub(super) fn calls(run: RunId) -> [u8; 17] {
    of_run(CALL, run)
}

/// The key of what is known of the last call of a step, `<step>@<generation>`.
pub(super) fn newest_call(run: RunId, place: &str) -> Vec<u8> {
    [&of_run(NEWEST_CALL, run), place.as_bytes()].concat()
}

/// The key of what the calls of a run take of its budget.
pub(super) fn spent_by_run(run: RunId) -> [u8; 17] {
    of_run(SPENT_BY_RUN, run)
}

/// The key of what a purse spent on a day.
pub(super) fn spent_on(day: u64, purse: &str) -> Vec<u8> {
    [&[SPENT_ON], day.to_be_bytes().as_slice(), purse.as_bytes()].concat()
}

/// The purse with this key.
pub(super) fn purse(key: &[u8]) -> Result<String, StoreError> {
    let name = key.get(9..).unwrap_or_default().to_vec();
    String::from_utf8(name)
        .map_err(|error| StoreError::Corrupt { what: "the name of a purse".into(), why: error.to_string() })
}

/// The key of what a call was booked with.
pub(super) fn booked(call: &CallId) -> Vec<u8> {
    [&[BOOKED], call.as_str().as_bytes()].concat()
}

/// Where the keys of booked calls start, and where they end.
pub(super) fn all_booked() -> [[u8; 1]; 2] {
    [[BOOKED], [BOOKED + 1]]
}

fn of_run(kind: u8, run: RunId) -> [u8; 17] {
    let mut key = [kind; 17];
    key[1..].copy_from_slice(run.as_bytes());
    key
}

fn number(bytes: &[u8]) -> u64 {
    bytes.try_into().map_or(0, u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_what_they_stand_for_and_give_it_back() {
        let (a, b) = (RunId::from_bytes([1; 16]), RunId::from_bytes([2; 16]));
        assert!(events(a, 255) < events(a, 256) && events(a, u64::MAX) < events(b, 0));
        assert_eq!(events_seq(&events(a, 77)), 77);
        assert!(by_age(Timestamp(255), b) < by_age(Timestamp(256), a));
        assert_eq!(run_by_age(&by_age(Timestamp(9), b)), b);
        assert_eq!(command_position(&command(Shard(3), 12)), 12);
        assert_eq!(field_name(&field(a, "steps/ä[1]")).unwrap(), "steps/ä[1]");
    }
}
