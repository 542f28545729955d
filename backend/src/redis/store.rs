//! [`RedisStore`]: the store of a fleet.

use super::calls::Written;
use super::connection::Connection;
use super::epoch::Life;
use super::index::Known;
use super::keys::Keys;
use super::time::Time;
use crate::{
    Claim, Command, Commit, Committed, Created, Definition, Epoch, Event, Member, NewRun, RecordKind, Role, RunFilter,
    RunSummary, SavedRecord, Shard, Store, StoreError, StoredRecord, StoredRun, StoredSchedule, Token,
};
use darkroom_proto::{CacheEntry, RunId, ScheduleId, Sha256, StepPath, Timestamp};
use secrecy::{ExposeSecret as _, SecretString};
use std::sync::Arc;
use std::time::Duration;

/// Where a store is.
#[derive(Debug, Clone)]
pub struct RedisOptions {
    /// `redis://` or, with TLS, `rediss://`; may hold user, password and number of the database.
    pub url: SecretString,
    /// What all keys start with, so that several fleets can share a server. Without braces.
    pub namespace: String,
    /// How many shards there are; the same for everybody, for ever.
    pub shards: u16,
}

/// How many connections the shards share, at most.
///
/// Redis reads 16 KiB from a connection, does what is in there, and writes to disk once for all connections that had
/// something. Over a single one every 16 KiB of commits would wait for a write of their own.
const LANES_MAX: u16 = 8;

/// The store of a fleet, in Redis 7.0 or later.
///
/// Every write is one script, so it happens as a whole; with `appendfsync always` what was acknowledged survives
/// `kill -9` and a power cut. Everybody shares a few connections that are made when they are first needed, and again when
/// they have ended. What is sent may be sent twice, so each write is safe to repeat.
#[derive(Clone)]
pub struct RedisStore {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    /// At least one.
    lanes: Vec<Connection>,
    pub(super) keys: Keys,
    pub(super) time: Time,
    pub(super) known: Known,
    pub(super) life: Life,
    pub(super) written: Written,
}

impl std::fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Inner { keys, .. } = &*self.inner;
        let place = self.inner.connection().place();
        f.debug_struct("RedisStore").field("place", &place).field("keys", keys).finish_non_exhaustive()
    }
}

impl RedisStore {
    /// A store that connects when it is first used.
    pub fn connect(options: RedisOptions) -> Self {
        let lane = || {
            let mut connection = Connection::new(options.url.expose_secret());
            if options.namespace.contains(['{', '}']) {
                connection.refuse(format!("the namespace `{}` may not hold braces", options.namespace));
            }
            connection
        };
        let keys = Keys::new(&options.namespace, options.shards);
        let lanes = std::iter::repeat_with(lane).take(usize::from(keys.shards().min(LANES_MAX))).collect();
        let inner = Inner {
            lanes,
            keys,
            time: Time::new(),
            known: Known::default(),
            life: Life::default(),
            written: Written::default(),
        };
        Self { inner: Arc::new(inner) }
    }
}

impl Inner {
    /// The connection for what belongs to no shard.
    pub(super) fn connection(&self) -> &Connection {
        &self.lanes[0]
    }

    /// The connection for what belongs to this shard.
    pub(super) fn lane(&self, shard: Shard) -> &Connection {
        &self.lanes[usize::from(shard.0) % self.lanes.len()]
    }

    /// How many connections were made so far.
    pub(super) fn connections(&self) -> u64 {
        self.lanes.iter().map(Connection::number).sum()
    }

    /// Refuses a shard that is not there.
    pub(super) fn check_shard(&self, shard: Shard) -> Result<(), StoreError> {
        if shard.0 < self.keys.shards() {
            return Ok(());
        }
        Err(StoreError::Unavailable(format!("there is no shard {}, only {}", shard.0, self.keys.shards())))
    }
}

impl Store for RedisStore {
    async fn now(&self) -> Result<Timestamp, StoreError> {
        self.inner.time.now(self.inner.connection()).await
    }

    async fn put_definition(&self, definition: &Definition) -> Result<(), StoreError> {
        self.inner.put_definition(definition).await
    }

    async fn definition(&self, hash: Sha256) -> Result<Option<Definition>, StoreError> {
        self.inner.definition(hash).await
    }

    async fn create(&self, runs: &[NewRun]) -> Result<Vec<Created>, StoreError> {
        self.inner.create(runs).await
    }

    async fn load(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        self.inner.load(run).await
    }

    async fn acquire(&self, shard: Shard, owner: &str, ttl: Duration) -> Result<Option<Epoch>, StoreError> {
        self.inner.acquire(shard, owner, ttl).await
    }

    async fn renew(&self, shard: Shard, epoch: Epoch, ttl: Duration) -> Result<bool, StoreError> {
        self.inner.renew(shard, epoch, ttl).await
    }

    async fn release(&self, shard: Shard, epoch: Epoch) -> Result<(), StoreError> {
        self.inner.release(shard, epoch).await
    }

    async fn commit(
        &self,
        shard: Shard,
        epoch: Epoch,
        commits: Vec<Commit>,
        performed: &[(RunId, u64)],
    ) -> Result<Vec<Committed>, StoreError> {
        self.inner.commit(shard, epoch, &commits, performed).await
    }

    async fn repair_index(&self, shard: Shard) -> Result<usize, StoreError> {
        self.inner.repair_index(shard).await
    }

    async fn active(&self, shard: Shard) -> Result<Vec<RunId>, StoreError> {
        self.inner.active(shard).await
    }

    async fn dirty(&self, shard: Shard) -> Result<Vec<RunId>, StoreError> {
        self.inner.dirty(shard).await
    }

    async fn due(
        &self,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> Result<(Vec<RunId>, Option<Timestamp>), StoreError> {
        self.inner.due(shard, now, limit).await
    }

    async fn post(&self, command: &Command) -> Result<(), StoreError> {
        self.inner.post(command).await
    }

    async fn inbox(&self, shard: Shard) -> Result<Vec<Command>, StoreError> {
        self.inner.inbox(shard).await
    }

    async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.inner.events(run, after, limit).await
    }

    async fn list(&self, filter: &RunFilter) -> Result<Vec<(RunId, RunSummary)>, StoreError> {
        self.inner.list(filter).await
    }

    async fn saved(&self, scope: Sha256, limit: usize) -> Result<Vec<SavedRecord>, StoreError> {
        self.inner.saved(scope, limit).await
    }

    async fn put_cached(&self, key: Sha256, entry: &CacheEntry, keep: Duration) -> Result<(), StoreError> {
        self.inner.put_cached(key, entry, keep).await
    }

    async fn cached(&self, key: Sha256) -> Result<Option<CacheEntry>, StoreError> {
        self.inner.cached(key).await
    }

    async fn cached_entries(&self, skip: usize, limit: usize) -> Result<Vec<(Sha256, CacheEntry)>, StoreError> {
        self.inner.cached_entries(skip, limit).await
    }

    async fn forget_cached(&self, key: Sha256) -> Result<bool, StoreError> {
        self.inner.forget_cached(key).await
    }

    async fn put_schedule(&self, schedule: &StoredSchedule) -> Result<Committed, StoreError> {
        self.inner.put_schedule(schedule).await
    }

    async fn remove_schedule(&self, id: &ScheduleId) -> Result<bool, StoreError> {
        self.inner.remove_schedule(id).await
    }

    async fn schedule(&self, id: &ScheduleId) -> Result<Option<StoredSchedule>, StoreError> {
        self.inner.schedule(id).await
    }

    async fn schedules(&self) -> Result<Vec<StoredSchedule>, StoreError> {
        self.inner.schedules().await
    }

    async fn due_schedules(&self, shard: Shard, now: Timestamp, limit: usize) -> Result<Vec<ScheduleId>, StoreError> {
        self.inner.due_schedules(shard, now, limit).await
    }

    async fn put_record(&self, record: &StoredRecord) -> Result<Committed, StoreError> {
        self.inner.put_record(record).await
    }

    async fn remove_record(&self, kind: RecordKind, name: &str) -> Result<bool, StoreError> {
        self.inner.remove_record(kind, name).await
    }

    async fn record(&self, kind: RecordKind, name: &str) -> Result<Option<StoredRecord>, StoreError> {
        self.inner.record(kind, name).await
    }

    async fn records(&self, kind: RecordKind) -> Result<Vec<StoredRecord>, StoreError> {
        self.inner.records(kind).await
    }

    async fn announce(&self, role: Role, member: &Member, ttl: Duration) -> Result<(), StoreError> {
        self.inner.announce(role, member, ttl).await
    }

    async fn leave(&self, role: Role, id: &str) -> Result<(), StoreError> {
        self.inner.leave(role, id).await
    }

    async fn members(&self, role: Role) -> Result<Vec<Member>, StoreError> {
        self.inner.members(role).await
    }

    async fn claim(
        &self,
        run: RunId,
        step: &StepPath,
        generation: u32,
        attempt: u32,
        worker: &str,
    ) -> Result<Token, StoreError> {
        self.inner.claim(run, step, generation, attempt, worker).await
    }

    async fn holds(&self, run: RunId, step: &StepPath, generation: u32, token: Token) -> Result<bool, StoreError> {
        self.inner.holds(run, step, generation, token).await
    }

    async fn claims(&self, run: RunId) -> Result<Vec<Claim>, StoreError> {
        self.inner.claims(run).await
    }
}
