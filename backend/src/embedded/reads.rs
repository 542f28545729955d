//! What is read from the file: each call sees one moment of it.

use super::file::{StateFile, failed};
use super::layout::{self, IndexEntry, Record};
use super::tables;
use crate::{Command, Definition, Event, RunFilter, RunSummary, SavedRecord, Shard, StoreError, StoredRun};
use darkroom_proto::{RunId, Sha256};

impl StateFile {
    pub(super) fn definition(&self, hash: Sha256) -> Result<Option<Definition>, StoreError> {
        let definitions = self.read()?.open_table(tables::DEFINITIONS).map_err(failed)?;
        match definitions.get(hash.as_bytes().as_slice()).map_err(failed)? {
            Some(value) => Ok(Some(layout::decode_named("a definition", value.value())?)),
            None => Ok(None),
        }
    }

    pub(super) fn load(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        let runs = self.read()?.open_table(tables::RUNS).map_err(failed)?;
        let Some(stored) = runs.get(tables::record(run).as_slice()).map_err(failed)? else {
            return Ok(None);
        };
        let record = Record::decode(stored.value())?;
        let prefix = tables::fields(run);
        let mut fields = Vec::new();
        for entry in runs.range::<&[u8]>(prefix.as_slice()..).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            if !key.value().starts_with(&prefix) {
                break;
            }
            fields.push((tables::field_name(key.value())?, value.value().to_vec()));
        }
        let performed = self.sets_of(run).get(run).is_some_and(|open| open.version == record.version && !open.dirty);
        let outbox = if performed { Vec::new() } else { record.outbox.to_vec() };
        Ok(Some(StoredRun {
            version: record.version,
            summary: record.summary,
            head: record.head.to_vec(),
            fields,
            outbox,
        }))
    }

    pub(super) fn inbox(&self, shard: Shard) -> Result<Vec<Command>, StoreError> {
        let inbox = self.read()?.open_table(tables::INBOX).map_err(failed)?;
        let (first, last) = (tables::command(shard, 0), tables::command(shard, u64::MAX));
        let commands = inbox.range::<&[u8]>(first.as_slice()..=last.as_slice()).map_err(failed)?;
        commands.map(|entry| layout::decode_command(entry.map_err(failed)?.1.value())).collect()
    }

    pub(super) fn events(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        let runs = self.read()?.open_table(tables::RUNS).map_err(failed)?;
        let (first, last) = (tables::events(run, 0), tables::events(run, u64::MAX));
        // The value that holds the first event wanted may start before it.
        let wanted = tables::events(run, after.saturating_add(1));
        let from = match runs.range::<&[u8]>(first.as_slice()..=wanted.as_slice()).map_err(failed)?.next_back() {
            Some(entry) => entry.map_err(failed)?.0.value().to_vec(),
            None => first.to_vec(),
        };
        let mut events = Vec::new();
        for entry in runs.range::<&[u8]>(from.as_slice()..=last.as_slice()).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            let start = tables::events_seq(key.value());
            for (seq, body) in (start..).zip(layout::decode_events(value.value())) {
                if events.len() == limit {
                    return Ok(events);
                }
                let body = body?;
                if seq > after {
                    events.push(Event { seq, body: body.to_vec() });
                }
            }
        }
        Ok(events)
    }

    pub(super) fn list(&self, filter: &RunFilter) -> Result<Vec<(RunId, RunSummary)>, StoreError> {
        let read = self.read()?;
        let runs = read.open_table(tables::RUNS).map_err(failed)?;
        let index = read.open_table(tables::INDEX).map_err(failed)?;
        let end = match filter.before {
            None => [u8::MAX; 24],
            Some(run) => match runs.get(tables::record(run).as_slice()).map_err(failed)? {
                Some(stored) => Record::decode(stored.value())?.age_key(run),
                // Nothing is older than a run that is not there.
                None => return Ok(Vec::new()),
            },
        };
        let mut found = Vec::new();
        for entry in index.range::<&[u8]>(..end.as_slice()).map_err(failed)?.rev() {
            if found.len() == filter.limit {
                break;
            }
            let (key, value) = entry.map_err(failed)?;
            if !passes(filter, &IndexEntry::decode(value.value())?) {
                continue;
            }
            let run = tables::run_by_age(key.value());
            let Some(stored) = runs.get(tables::record(run).as_slice()).map_err(failed)? else {
                return Err(StoreError::Corrupt { what: format!("run {run}"), why: "it has no record".into() });
            };
            found.push((run, Record::decode(stored.value())?.summary));
        }
        Ok(found)
    }

    pub(super) fn saved(&self, scope: Sha256, limit: usize) -> Result<Vec<SavedRecord>, StoreError> {
        let saved = self.read()?.open_table(tables::SAVED).map_err(failed)?;
        let (first, last) =
            (tables::saved(scope, Sha256::from_bytes([0; 32])), tables::saved(scope, Sha256::from_bytes([255; 32])));
        let records = saved.range::<&[u8]>(first.as_slice()..=last.as_slice()).map_err(failed)?.take(limit);
        records
            .map(|entry| layout::decode_named("the record of a saved file", entry.map_err(failed)?.1.value()))
            .collect()
    }
}

fn passes(filter: &RunFilter, entry: &IndexEntry<'_>) -> bool {
    filter.tenant.as_ref().is_none_or(|tenant| tenant.as_str() == entry.tenant)
        && filter.workflow.as_deref().is_none_or(|workflow| workflow == entry.workflow)
        && (filter.statuses.is_empty() || filter.statuses.contains(&entry.status))
        && filter.fingerprint.is_none_or(|fingerprint| fingerprint == entry.fingerprint)
}
