//! [`EmbeddedStore`]: the store of one process, in one transactional file.

use super::file::StateFile;
use crate::{
    Claim, Clock, Command, Commit, Committed, Created, Definition, Epoch, Event, Member, NewRun, RecordKind, Role,
    RunFilter, RunSummary, SavedRecord, Shard, Store, StoreError, StoredRecord, StoredRun, StoredSchedule, Token,
};
use darkroom_proto::{CacheEntry, RunId, ScheduleId, Sha256, StepPath, Timestamp};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The store of one process: `state.redb` in a folder of its own.
///
/// Every write is one transaction and one fsync, so what was acknowledged survives `kill -9` and a power cut; a batch of
/// commits shares both. The file is locked: a second opening, in this process or another, is [`StoreError::InUse`].
/// Which runs are active, dirty and due is kept in memory and made again from the unfinished runs at open.
///
/// Marks of performed effects of unfinished runs are kept in memory only: the queue of this backend ends with the
/// process as well, so its owner repeats what is under way in any case, and a mark would cost a write per step.
#[derive(Debug, Clone)]
pub struct EmbeddedStore {
    file: Arc<StateFile>,
}

impl EmbeddedStore {
    /// Opens the store in `dir`, with one shard and the clock of the machine; creates folder and file at need.
    pub fn open(dir: &Path) -> Result<Self, StoreError> {
        Self::open_with(dir, 1, Clock::system())
    }

    /// Opens the store in `dir` with so many shards and this clock. The number of shards may differ from one opening to
    /// the next.
    pub fn open_with(dir: &Path, shards: u16, clock: Clock) -> Result<Self, StoreError> {
        Ok(Self { file: Arc::new(StateFile::open(dir, shards, clock)?) })
    }

    /// Opens the store in `dir` as [`open`](Self::open) does, and tries again for as long as `patience` while another
    /// process has it: one that only reads has it for a moment.
    pub async fn open_within(dir: &Path, patience: Duration) -> Result<Self, StoreError> {
        let give_up = tokio::time::Instant::now() + patience;
        loop {
            match Self::open(dir) {
                Err(StoreError::InUse { .. }) if tokio::time::Instant::now() < give_up => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                opened => return opened,
            }
        }
    }

    pub(super) fn file(&self) -> &StateFile {
        &self.file
    }

    /// Does `work` where it may wait for the disk.
    pub(super) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&StateFile) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let file = Arc::clone(&self.file);
        match tokio::task::spawn_blocking(move || work(&file)).await {
            Ok(result) => result,
            Err(error) => Err(StoreError::Unavailable(format!("the task of a write ended early: {error}"))),
        }
    }
}

impl Store for EmbeddedStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        Ok(self.file.now())
    }

    async fn put_definition(&self, definition: &Definition) -> Result<(), StoreError> {
        let definition = definition.clone();
        self.blocking(move |file| file.put_definition(&definition)).await
    }

    async fn definition(&self, hash: Sha256) -> Result<Option<Definition>, StoreError> {
        self.blocking(move |file| file.definition(hash)).await
    }

    async fn create(&self, runs: &[NewRun]) -> Result<Vec<Created>, StoreError> {
        let runs = runs.to_vec();
        self.blocking(move |file| file.create(&runs)).await
    }

    async fn load(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        self.blocking(move |file| file.load(run)).await
    }

    async fn acquire(&self, shard: Shard, owner: &str, ttl: Duration) -> Result<Option<Epoch>, StoreError> {
        let owner = owner.to_owned();
        self.blocking(move |file| file.acquire(shard, owner, ttl)).await
    }

    async fn renew(&self, shard: Shard, epoch: Epoch, ttl: Duration) -> Result<bool, StoreError> {
        self.file.renew(shard, epoch, ttl)
    }

    async fn release(&self, shard: Shard, epoch: Epoch) -> Result<(), StoreError> {
        self.file.release(shard, epoch)
    }

    async fn commit(
        &self,
        shard: Shard,
        epoch: Epoch,
        commits: Vec<Commit>,
        performed: &[(RunId, u64)],
    ) -> Result<Vec<Committed>, StoreError> {
        let performed = performed.to_vec();
        self.blocking(move |file| file.commit(shard, epoch, &commits, &performed)).await
    }

    async fn active(&self, shard: Shard) -> Result<Vec<RunId>, StoreError> {
        Ok(self.file.sets(shard)?.active())
    }

    async fn dirty(&self, shard: Shard) -> Result<Vec<RunId>, StoreError> {
        Ok(self.file.sets(shard)?.dirty())
    }

    async fn due(
        &self,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<(Vec<RunId>, Option<Timestamp>), StoreError> {
        Ok(self.file.sets(shard)?.due(now, limit))
    }

    async fn post(&self, command: &Command) -> Result<(), StoreError> {
        let command = command.clone();
        self.blocking(move |file| file.post(&command)).await
    }

    async fn inbox(&self, shard: Shard) -> Result<Vec<Command>, StoreError> {
        self.blocking(move |file| file.inbox(shard)).await
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.blocking(move |file| file.events(run, after, limit)).await
    }

    async fn list(&self, filter: &RunFilter) -> Result<Vec<(RunId, RunSummary)>, StoreError> {
        let filter = filter.clone();
        self.blocking(move |file| file.list(&filter)).await
    }

    async fn saved(&self, scope: Sha256, limit: usize) -> Result<Vec<SavedRecord>, StoreError> {
        self.blocking(move |file| file.saved(scope, limit)).await
    }

    async fn put_cached(&self, key: Sha256, entry: &CacheEntry, keep: Duration) -> Result<(), StoreError> {
        let entry = entry.clone();
        self.blocking(move |file| file.put_cached(key, &entry, keep)).await
    }

    async fn cached(&self, key: Sha256) -> Result<Option<CacheEntry>, StoreError> {
        self.blocking(move |file| file.cached(key)).await
    }

    async fn cached_entries(&self, skip: usize, limit: usize) -> Result<Vec<(Sha256, CacheEntry)>, StoreError> {
        self.blocking(move |file| file.cached_entries(skip, limit)).await
    }

    async fn forget_cached(&self, key: Sha256) -> Result<bool, StoreError> {
        self.blocking(move |file| file.forget_cached(key)).await
    }

    async fn put_schedule(&self, schedule: &StoredSchedule) -> Result<Committed, StoreError> {
        let schedule = schedule.clone();
        self.blocking(move |file| file.put_schedule(&schedule)).await
    }

    async fn remove_schedule(&self, id: &ScheduleId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.blocking(move |file| file.remove_schedule(&id)).await
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<StoredSchedule>, StoreError> {
        let id = id.clone();
        self.blocking(move |file| file.schedule(&id)).await
    }

    async fn schedules(&self) -> Result<Vec<StoredSchedule>, StoreError> {
        self.blocking(|file| file.schedules()).await
    }

    async fn due_schedules(&self, shard: Shard, now: Timestamp, limit: usize) -> Result<Vec<ScheduleId>, StoreError> {
        self.blocking(move |file| file.due_schedules(shard, now, limit)).await
    }

    async fn put_record(&self, record: &StoredRecord) -> Result<Committed, StoreError> {
        let record = record.clone();
        self.blocking(move |file| file.put_record(&record)).await
    }

    async fn remove_record(&self, kind: RecordKind, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.blocking(move |file| file.remove_record(kind, &name)).await
    }

    async fn record(&self, kind: RecordKind, name: &str) -> Result<Option<StoredRecord>, StoreError> {
        let name = name.to_owned();
        self.blocking(move |file| file.record(kind, &name)).await
    }

    async fn records(&self, kind: RecordKind) -> Result<Vec<StoredRecord>, StoreError> {
        self.blocking(move |file| file.records(kind)).await
    }

    async fn announce(&self, role: Role, member: &Member, ttl: Duration) -> Result<(), StoreError> {
        self.file.fleet().announce(role, member, self.file.now(), ttl);
        Ok(())
    }

    async fn leave(&self, role: Role, id: &str) -> Result<(), StoreError> {
        self.file.fleet().leave(role, id);
        Ok(())
    }

    async fn members(&self, role: Role) -> Result<Vec<Member>, StoreError> {
        Ok(self.file.fleet().members(role, self.file.now()))
    }

    async fn claim(
        &self,
        run: RunId,
        step: &StepPath,
        generation: u32,
        attempt: u32,
        worker: &str,
    ) -> Result<Token, StoreError> {
        Ok(self.file.fleet().claim(run, step, generation, attempt, worker, self.file.now()))
    }

    async fn holds(&self, run: RunId, step: &StepPath, generation: u32, token: Token) -> Result<bool, StoreError> {
        Ok(self.file.fleet().holds(run, step, generation, token))
    }

    async fn claims(&self, run: RunId) -> Result<Vec<Claim>, StoreError> {
        Ok(self.file.fleet().claims(run))
    }
}
