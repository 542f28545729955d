//! The file of an [`EmbeddedStore`](super::EmbeddedStore): opening it, and who owns which of its shards.

use super::conditions::Conditions;
use super::fleet::Fleet;
use super::layout::{IndexEntry, Record};
use super::limits::Limits;
use super::purses::Reservations;
use super::sets::{Lease, OpenRun, Sets};
use super::{records, tables};
use crate::{Clock, Epoch, RecordKind, Shard, StoreError};
use darkroom_proto::{Duration, RunId, Timestamp};
use redb::{Database, ReadableDatabase, ReadableTable, WriteTransaction};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// How much of the file is kept in memory: the unfinished runs of a busy folder, with room.
const CACHE_BYTES: usize = 64 << 20;

/// How long the file is when it gets quick repair.
///
/// After a kill the file is repaired by reading all of it, 3 ms for each megabyte; with quick repair, at once. That costs
/// each commit a second fsync and twice the work, so small files do without.
const SLOW_REPAIR_BYTES: u64 = 256 << 20;

/// The open file with what is kept in memory beside it. Everything here may wait for the disk.
#[derive(Debug)]
pub(super) struct StateFile {
    path: PathBuf,
    database: Database,
    clock: Clock,
    sets: Vec<Mutex<Sets>>,
    fleet: Mutex<Fleet>,
    limits: Mutex<Limits>,
    reservations: Mutex<Reservations>,
    conditions: Mutex<Conditions>,
    /// Held over a write and the change of the sets that follows from it, so that both happen in the same order.
    turn: Mutex<()>,
}

/// The right to write.
pub(super) struct Turn<'a>(#[expect(dead_code, reason = "held, not used")] MutexGuard<'a, ()>);

/// What failed in the file, as the seam says it.
pub(super) fn failed(error: impl Into<redb::Error>) -> StoreError {
    match error.into() {
        redb::Error::Corrupted(why) => StoreError::Corrupt { what: "the state file".into(), why },
        error => StoreError::Unavailable(error.to_string()),
    }
}

impl StateFile {
    pub(super) fn open(dir: &Path, shards: u16, clock: Clock) -> Result<Self, StoreError> {
        let path = dir.join("state.redb");
        let unavailable = |error: std::io::Error| StoreError::Unavailable(format!("{}: {error}", path.display()));
        std::fs::create_dir_all(dir).map_err(unavailable)?;
        let is_new = !path.exists();
        let database = Database::builder().set_cache_size(CACHE_BYTES).create(&path).map_err(|error| match error {
            redb::DatabaseError::DatabaseAlreadyOpen => StoreError::InUse { place: dir.display().to_string() },
            redb::DatabaseError::UpgradeRequired(version) => StoreError::Corrupt {
                what: path.display().to_string(),
                why: format!("its format is {version}, which this release does not read"),
            },
            error => failed(error),
        })?;
        if is_new {
            // The name of a new file is durable once its folder is.
            std::fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(unavailable)?;
        }
        let sets = std::iter::repeat_with(Mutex::default).take(usize::from(shards.max(1))).collect();
        let file = Self {
            path,
            database,
            clock,
            sets,
            fleet: Mutex::default(),
            limits: Mutex::default(),
            reservations: Mutex::default(),
            conditions: Mutex::default(),
            turn: Mutex::new(()),
        };
        file.prepare()?;
        file.rebuild()?;
        Ok(file)
    }

    /// Makes the tables of a new file, and those that a file of an earlier release lacks; refuses a file of another schema.
    fn prepare(&self) -> Result<(), StoreError> {
        let read = self.database.begin_read().map_err(failed)?;
        let found = match read.open_table(tables::META) {
            Ok(meta) => meta.get(tables::SCHEMA).map_err(failed)?.map(|version| version.value()),
            Err(redb::TableError::TableDoesNotExist(_)) => None,
            Err(error) => return Err(failed(error)),
        };
        match found {
            Some(tables::SCHEMA_VERSION) => match read.open_table(tables::CACHE) {
                Err(redb::TableError::TableDoesNotExist(_)) => {
                    let write = self.begin()?;
                    make_later(&write)?;
                    write.commit().map_err(failed)
                }
                opened => opened.map(drop).map_err(failed),
            },
            Some(version) => Err(StoreError::Corrupt {
                what: "the state file".into(),
                why: format!("its schema is {version}, this release reads {}", tables::SCHEMA_VERSION),
            }),
            None => {
                let write = self.begin()?;
                for table in
                    [tables::RUNS, tables::INDEX, tables::OPEN, tables::INBOX, tables::DEFINITIONS, tables::SAVED]
                {
                    write.open_table(table).map_err(failed)?;
                }
                make_later(&write)?;
                write.open_table(tables::INBOX_KEYS).map_err(failed)?;
                write.open_table(tables::EPOCHS).map_err(failed)?;
                let mut meta = write.open_table(tables::META).map_err(failed)?;
                meta.insert(tables::SCHEMA, tables::SCHEMA_VERSION).map_err(failed)?;
                drop(meta);
                write.commit().map_err(failed)
            }
        }
    }

    /// Makes the sets from the open runs, and has the clock start no earlier than the last change.
    fn rebuild(&self) -> Result<(), StoreError> {
        let read = self.database.begin_read().map_err(failed)?;
        let runs = read.open_table(tables::RUNS).map_err(failed)?;
        let open = read.open_table(tables::OPEN).map_err(failed)?;
        let mut last = Timestamp(0);
        for entry in open.iter().map_err(failed)? {
            let (key, _) = entry.map_err(failed)?;
            let run = tables::run_by_age(key.value());
            let Some(record) = runs.get(tables::record(run).as_slice()).map_err(failed)? else {
                return Err(StoreError::Corrupt { what: format!("run {run}"), why: "it has no record".into() });
            };
            let record = Record::decode(record.value())?;
            last = last.max(record.summary.updated_at);
            self.sets_of(run).put(run, record.open_run());
        }
        let index = read.open_table(tables::INDEX).map_err(failed)?;
        if let Some((key, _)) = index.last().map_err(failed)?
            && let Some(newest) =
                runs.get(tables::record(tables::run_by_age(key.value())).as_slice()).map_err(failed)?
        {
            last = last.max(Record::decode(newest.value())?.summary.updated_at);
        }
        self.clock.not_before(last);
        Ok(())
    }

    pub(super) fn shards(&self) -> u16 {
        self.sets.len() as u16
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Waits for its turn to write.
    pub(super) fn turn(&self) -> Turn<'_> {
        Turn(self.turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A transaction whose commit is one fsync; two, once the file is large.
    pub(super) fn begin(&self) -> Result<WriteTransaction, StoreError> {
        let mut write = self.database.begin_write().map_err(failed)?;
        let length = self.path.metadata().map_or(0, |metadata| metadata.len());
        write.set_quick_repair(length > SLOW_REPAIR_BYTES);
        Ok(write)
    }

    pub(super) fn read(&self) -> Result<redb::ReadTransaction, StoreError> {
        self.database.begin_read().map_err(failed)
    }

    /// Who takes part and has claimed what.
    pub(super) fn fleet(&self) -> MutexGuard<'_, Fleet> {
        self.fleet.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who is let in by limits.
    pub(super) fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is set aside in purses.
    pub(super) fn reservations(&self) -> MutexGuard<'_, Reservations> {
        self.reservations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of keys and routes.
    pub(super) fn conditions(&self) -> MutexGuard<'_, Conditions> {
        self.conditions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The sets of a shard.
    pub(super) fn sets(&self, shard: Shard) -> Result<MutexGuard<'_, Sets>, StoreError> {
        match self.sets.get(usize::from(shard.0)) {
            Some(sets) => Ok(sets.lock().unwrap_or_else(PoisonError::into_inner)),
            None => Err(StoreError::Unavailable(format!("there is no shard {}, only {}", shard.0, self.sets.len()))),
        }
    }

    /// The shard of a run.
    pub(super) fn shard_of(&self, run: RunId) -> Shard {
        Shard(run.shard(self.sets.len() as u16))
    }

    /// The sets of a run's shard.
    pub(super) fn sets_of(&self, run: RunId) -> MutexGuard<'_, Sets> {
        self.sets[usize::from(self.shard_of(run).0)].lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn acquire(
        &self,
        shard: Shard,
        owner: String,
        ttl: std::time::Duration,
    ) -> Result<Option<Epoch>, StoreError> {
        let _turn = self.turn();
        let now = self.now();
        let lease = self.sets(shard)?.lease.clone();
        if lease.is_some_and(|lease| lease.until > now && lease.owner != owner) {
            return Ok(None);
        }
        let write = self.begin()?;
        let mut epochs = write.open_table(tables::EPOCHS).map_err(failed)?;
        let last = epochs.get(shard.0).map_err(failed)?.map_or(0, |epoch| epoch.value());
        epochs.insert(shard.0, last + 1).map_err(failed)?;
        drop(epochs);
        write.commit().map_err(failed)?;
        let epoch = Epoch(last + 1);
        self.sets(shard)?.lease = Some(Lease { owner, epoch, until: now.after(span(ttl)) });
        Ok(Some(epoch))
    }

    pub(super) fn renew(&self, shard: Shard, epoch: Epoch, ttl: std::time::Duration) -> Result<bool, StoreError> {
        let now = self.now();
        match &mut self.sets(shard)?.lease {
            Some(lease) if lease.epoch == epoch && lease.until > now => {
                lease.until = now.after(span(ttl));
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    pub(super) fn release(&self, shard: Shard, epoch: Epoch) -> Result<(), StoreError> {
        let lease = &mut self.sets(shard)?.lease;
        if lease.as_ref().is_some_and(|lease| lease.epoch == epoch) {
            *lease = None;
        }
        Ok(())
    }

    /// Refuses an epoch that does not own the shard now.
    pub(super) fn check_epoch(&self, shard: Shard, held: Epoch) -> Result<(), StoreError> {
        let current = self.sets(shard)?.epoch(self.now());
        if current == Some(held) { Ok(()) } else { Err(StoreError::Fenced { shard, held, current }) }
    }
}

/// Makes the tables that files of the first releases lack: those of records, of paid calls, of schedules and of the step
/// cache. The last one tells whether they are there.
fn make_later(write: &WriteTransaction) -> Result<(), StoreError> {
    let of_records = RecordKind::ALL.iter().map(|&kind| records::table(kind));
    for table in of_records.chain([tables::CALLS, tables::SPEND, tables::SCHEDULES, tables::CACHE]) {
        write.open_table(table).map_err(failed)?;
    }
    Ok(())
}

/// A span as the store keeps it. One of more than 500 million years ends there.
fn span(duration: std::time::Duration) -> Duration {
    Duration(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}

impl Record<'_> {
    /// What the sets know of the run.
    pub(super) fn open_run(&self) -> OpenRun {
        OpenRun {
            version: self.version,
            created_at: self.summary.created_at,
            active: !self.summary.status.is_terminal(),
            dirty: !self.outbox.is_empty(),
            due: self.due,
        }
    }

    /// The key of the run where runs are sorted by age.
    pub(super) fn age_key(&self, run: RunId) -> [u8; 24] {
        tables::by_age(self.summary.created_at, run)
    }

    /// The entry of the run in the index.
    pub(super) fn index_entry(&self) -> IndexEntry<'_> {
        IndexEntry::of(&self.summary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_a_release_without_paid_calls_gets_their_tables() {
        let dir = std::env::temp_dir().join(format!("darkroom-tables-{}", std::process::id()));
        let open = || StateFile::open(&dir, 1, Clock::manual(Timestamp(1_000))).unwrap();
        let file = open();
        let write = file.begin().unwrap();
        for table in [tables::CALLS, tables::SPEND, tables::SCHEDULES, tables::CACHE] {
            assert!(write.delete_table(table).unwrap());
        }
        write.commit().unwrap();
        drop(file);
        let file = open();
        assert_eq!(file.calls(RunId::from_bytes([1; 16])).unwrap(), []);
        assert_eq!(file.spent(9).unwrap(), []);
        assert_eq!(file.schedules().unwrap(), []);
        drop(file);
        std::fs::remove_dir_all(dir).unwrap();
    }
}
