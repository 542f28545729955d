//! The seam to what is kept: runs, their events, definitions, the inbox, and who owns which shard.

use darkroom_proto::{Artifact, CacheEntry, Money, RunId, RunStatus, ScheduleId, Sha256, StepPath, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use std::future::Future;

/// A shard: the unit of ownership. A run belongs to one for life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Shard(pub u16);

/// Which ownership of a shard it is; rises each time the shard changes hands. Commits of an older one are refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// A run that is to be stored.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id, which says its shard.
    pub run: RunId,
    /// What lists show of it.
    pub summary: RunSummary,
    /// Its first state.
    pub head: Vec<u8>,
    /// Its first fields, such as what it was given.
    pub fields: Vec<(String, Vec<u8>)>,
    /// Its first events.
    pub events: Vec<Vec<u8>>,
    /// When its owner looks at it even if no message about it arrives.
    pub due: Option<Timestamp>,
}

/// Whether a run was created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// It is new.
    Created,
    /// A run of this id is there already, and was left as it is.
    Existed,
}

/// Everything that is stored of a run, but for its events.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredRun {
    /// Rises with each commit; 1 after creation.
    pub version: u64,
    /// What lists show of it.
    pub summary: RunSummary,
    /// Its state: counters and cursors, a few hundred bytes.
    pub head: Vec<u8>,
    /// One field per step instance and a few more, sorted by name.
    pub fields: Vec<(String, Vec<u8>)>,
    /// The effects of its last commit that are not known to be performed. Empty: none.
    pub outbox: Vec<u8>,
}

/// What lists show of a run, and what they filter by.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// The workflow's id.
    pub workflow: String,
    /// The digest of the definition.
    pub definition: Sha256,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The digest of its inputs and output folder: equal for runs that are to do the same.
    pub fingerprint: Sha256,
    /// The step that it is at, or that failed.
    pub step: Option<String>,
    /// Why it failed: class and message.
    pub error: Option<darkroom_proto::StepError>,
    /// What it has cost so far.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub spent: Money,
    /// Whose it is.
    #[serde(default, skip_serializing_if = "Tenant::is_default")]
    pub tenant: Tenant,
    /// Whether it is a part of another run: it is in no list, and found by its id alone.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub part: bool,
}

fn is_nothing(amount: &Money) -> bool {
    *amount == Money::ZERO
}

/// One change of one run: all of it happens, or nothing.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The run.
    pub run: RunId,
    /// The version that the change was made from; another one in the store refuses it.
    pub version: u64,
    /// Tells this commit from every other. Repeating one that was applied (its reply was lost) succeeds and changes
    /// nothing.
    pub id: u64,
    /// What lists show now.
    pub summary: RunSummary,
    /// The state now.
    pub head: Vec<u8>,
    /// Fields that changed; `None` removes one.
    pub fields: Vec<(String, Option<Vec<u8>>)>,
    /// Events for the audit trail, in order.
    pub events: Vec<Vec<u8>>,
    /// The effects to perform after it, replacing the last commit's. Not empty: the run is in the dirty set until
    /// `performed`.
    pub outbox: Vec<u8>,
    /// When the run next has to be looked at, if time alone can move it on. Replaces what was there.
    pub due: Option<Timestamp>,
    /// Commands that this change applied; they leave the inbox with it.
    pub commands: Vec<String>,
    /// Files that were saved by it, so that an equal step need not run again.
    pub saved: Vec<SavedRecord>,
}

/// A file that was saved, under the key of everything that determined it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SavedRecord {
    /// The definition and output folder that it belongs to.
    pub scope: Sha256,
    /// The digest of what determined it.
    pub key: Sha256,
    /// The path, relative to the output folder.
    pub path: String,
    /// What was put there.
    pub artifact: Artifact,
    /// The outputs of the step that saved it, as JSON text.
    pub outputs: String,
}

/// How one commit of a batch went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Committed {
    /// It is durable; this is the version now.
    Done(u64),
    /// The stored version is another one: load the run again.
    Conflict {
        /// The version in the store; 0 when there is no such run.
        current: u64,
    },
}

/// An event of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its position, from 1, without gaps.
    pub seq: u64,
    /// What happened, encoded by the caller.
    pub body: Vec<u8>,
}

/// A workflow definition, kept by its content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The content hash.
    pub hash: Sha256,
    /// The workflow's id.
    pub workflow: String,
    /// The file's name, for diagnostics.
    pub file: String,
    /// The text of the file.
    pub source: String,
}

/// A schedule as it is kept. It belongs to the shard of its name, whose owner fires it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredSchedule {
    /// Its name.
    pub id: ScheduleId,
    /// Rises with each write; 0: it is not stored yet.
    pub version: u64,
    /// When its owner next has to look at it, if time alone can move it on.
    pub due: Option<Timestamp>,
    /// What it does and where it stands, encoded by the caller; never empty.
    pub body: Vec<u8>,
}

/// What records are about. There are few of each kind, and all of a kind can be read at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordKind {
    /// Workflows by name: which definitions they had, and whether they may be run.
    Workflow,
    /// Keys of the API: digests of them, whose they are and what they allow.
    ApiKey,
    /// What is granted to a tenant.
    Tenant,
}

impl RecordKind {
    /// All of them.
    pub const ALL: &'static [RecordKind] = &[RecordKind::Workflow, RecordKind::ApiKey, RecordKind::Tenant];

    /// What stores call them.
    pub fn name(self) -> &'static str {
        match self {
            RecordKind::Workflow => "workflows",
            RecordKind::ApiKey => "api-keys",
            RecordKind::Tenant => "tenants",
        }
    }
}

/// Something that is kept under a name and changes seldom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredRecord {
    /// What it is about.
    pub kind: RecordKind,
    /// Its name, of no other one of its kind.
    pub name: String,
    /// Rises with each write; 0: it is not stored yet.
    pub version: u64,
    /// Encoded by the caller.
    pub body: Vec<u8>,
}

/// A command of a person or service to a run, kept until a commit applies it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Command {
    /// Its idempotency key: posting it twice is posting it once.
    pub key: String,
    /// The run that it is for.
    pub run: RunId,
    /// What is to be done, encoded by the caller.
    pub body: Vec<u8>,
}

/// What a process of the fleet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// It decides.
    Coordinator,
    /// It works.
    Worker,
}

/// A process that takes part in the fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, of no other process at the same time.
    pub id: String,
    /// What it says of itself, encoded by itself.
    pub info: Vec<u8>,
}

/// A fencing token: the time of a claim in microseconds. Compared for equality only, so that it never repeats, not even
/// after the store was set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Token(pub u64);

/// A step that a worker took into its hands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The step.
    pub step: StepPath,
    /// Its generation.
    pub generation: u32,
    /// The attempt.
    pub attempt: u32,
    /// The worker's id among the members.
    pub worker: String,
    /// What the worker shows before it does what can't be undone.
    pub token: Token,
    /// How often this attempt was claimed, this time included.
    pub times: u32,
    /// When.
    pub since: Timestamp,
}

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Only of this tenant.
    pub tenant: Option<Tenant>,
    /// Only of this workflow.
    pub workflow: Option<String>,
    /// Only with one of these; empty: all.
    pub statuses: Vec<RunStatus>,
    /// Only with this fingerprint.
    pub fingerprint: Option<Sha256>,
    /// Only older than this run.
    pub before: Option<RunId>,
    /// At most so many.
    pub limit: usize,
}

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The shard has another owner by now: stop and write nothing.
    #[error("shard {} is owned by epoch {current:?}, not {held:?}", shard.0)]
    Fenced {
        /// The shard.
        shard: Shard,
        /// The epoch of the caller.
        held: Epoch,
        /// The epoch now.
        current: Option<Epoch>,
    },
    /// A value is over its limit.
    #[error("{what} is {bytes} bytes, over the limit of {bytes_max}")]
    TooLarge {
        /// What it is.
        what: &'static str,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// What is stored can't be read by this release.
    #[error("{what} is not readable: {why}")]
    Corrupt {
        /// What it is.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// Another process has the store open.
    #[error("the state in {place} is in use by another process")]
    InUse {
        /// Where it is.
        place: String,
    },
    /// The store does not answer.
    #[error("the store at {place} can't be reached: {why}")]
    Unreachable {
        /// Its address, without secrets.
        place: String,
        /// What happened.
        why: String,
    },
    /// The store can't be used as it is.
    #[error("the store can't be used: {0}")]
    Unavailable(String),
}

impl StoreError {
    /// One sentence for the operator.
    pub fn advice(&self) -> &'static str {
        match self {
            StoreError::Fenced { .. } => "another coordinator took over; nothing is to be done",
            StoreError::TooLarge { .. } => "pass large data as files",
            StoreError::Corrupt { .. } => "use the release that wrote it, or restore it from a backup",
            StoreError::InUse { .. } => "wait for the other command to end, or stop it",
            StoreError::Unreachable { .. } => "check store.url and that Redis runs and accepts connections",
            StoreError::Unavailable(_) => "check that the disk or server has room and the state may be written",
        }
    }
}

/// What is kept, with one writer per run: a commit carries the run's version and the owner's epoch, and an older one is
/// refused.
///
/// Cheap to clone; every clone is the same store.
pub trait Store: Clone + Send + Sync + 'static {
    /// The time of the store, the one clock that the engine is given.
    fn now(&self) -> impl Future<Output = Result<Timestamp, StoreError>> + Send;

    /// Keeps a definition under its hash. Keeping it again changes nothing.
    fn put_definition(&self, definition: &Definition) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The definition of this hash.
    fn definition(&self, hash: Sha256) -> impl Future<Output = Result<Option<Definition>, StoreError>> + Send;

    /// Stores runs as active ones, all in one durable write. A run whose id is taken is left as it is.
    fn create(&self, runs: &[NewRun]) -> impl Future<Output = Result<Vec<Created>, StoreError>> + Send;

    /// Everything about a run.
    fn load(&self, run: RunId) -> impl Future<Output = Result<Option<StoredRun>, StoreError>> + Send;

    /// Makes `owner` the owner of `shard` for `ttl`, if nobody else is.
    fn acquire(
        &self,
        shard: Shard,
        owner: &str,
        ttl: std::time::Duration,
    ) -> impl Future<Output = Result<Option<Epoch>, StoreError>> + Send;

    /// Stays the owner for another `ttl`. False: somebody else is.
    fn renew(
        &self,
        shard: Shard,
        epoch: Epoch,
        ttl: std::time::Duration,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Stops being the owner, so that the next one need not wait for the lease to end.
    fn release(&self, shard: Shard, epoch: Epoch) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Applies changes of runs of one shard, each for itself, in one durable write; then forgets the outboxes of
    /// `performed` whose version is still the one given. The outcomes are in the order of `commits`.
    fn commit(
        &self,
        shard: Shard,
        epoch: Epoch,
        commits: Vec<Commit>,
        performed: &[(RunId, u64)],
    ) -> impl Future<Output = Result<Vec<Committed>, StoreError>> + Send;

    /// Makes what lists go by agree with the unfinished runs of a shard, and gives the number of these runs. Lists are
    /// only derived; whoever wins a shard has them repaired. Nothing to do where they are written with the runs.
    fn repair_index(&self, shard: Shard) -> impl Future<Output = Result<usize, StoreError>> + Send {
        let _ = shard;
        async { Ok(0) }
    }

    /// The unfinished runs of a shard, oldest first.
    fn active(&self, shard: Shard) -> impl Future<Output = Result<Vec<RunId>, StoreError>> + Send;

    /// The runs of a shard whose outbox is not empty.
    fn dirty(&self, shard: Shard) -> impl Future<Output = Result<Vec<RunId>, StoreError>> + Send;

    /// The runs of a shard that are due at `now` or before, the most overdue first, and when the next one is due.
    fn due(
        &self,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<(Vec<RunId>, Option<Timestamp>), StoreError>> + Send;

    /// Puts a command into the inbox of its run's shard.
    fn post(&self, command: &Command) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The commands of a shard that no commit has applied yet, oldest first.
    fn inbox(&self, shard: Shard) -> impl Future<Output = Result<Vec<Command>, StoreError>> + Send;

    /// The events of a run after position `after`.
    fn events(
        &self,
        run: RunId,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Event>, StoreError>> + Send;

    /// Runs, the newest first.
    fn list(&self, filter: &RunFilter) -> impl Future<Output = Result<Vec<(RunId, RunSummary)>, StoreError>> + Send;

    /// Writes a schedule, if the stored version is the one given, and gives the version now. The first version of a
    /// schedule is higher than any that it had before it was removed.
    fn put_schedule(&self, schedule: &StoredSchedule) -> impl Future<Output = Result<Committed, StoreError>> + Send;

    /// Removes a schedule, whatever its version. False: it was not there.
    fn remove_schedule(&self, id: &ScheduleId) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// A schedule.
    fn schedule(&self, id: &ScheduleId) -> impl Future<Output = Result<Option<StoredSchedule>, StoreError>> + Send;

    /// All schedules, by name.
    fn schedules(&self) -> impl Future<Output = Result<Vec<StoredSchedule>, StoreError>> + Send;

    /// The schedules of a shard that are due at `now` or before, the most overdue first.
    fn due_schedules(
        &self,
        shard: Shard,
        now: Timestamp,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<ScheduleId>, StoreError>> + Send;

    /// Writes a record, if the stored version is the one given, and gives the version now.
    fn put_record(&self, record: &StoredRecord) -> impl Future<Output = Result<Committed, StoreError>> + Send;

    /// Removes a record, whatever its version. False: it was not there.
    fn remove_record(&self, kind: RecordKind, name: &str) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The record of this name.
    fn record(
        &self,
        kind: RecordKind,
        name: &str,
    ) -> impl Future<Output = Result<Option<StoredRecord>, StoreError>> + Send;

    /// All records of a kind, by name.
    fn records(&self, kind: RecordKind) -> impl Future<Output = Result<Vec<StoredRecord>, StoreError>> + Send;

    /// Keeps what a step gave in the step cache for `keep`, instead of what was kept under its key. Of too many entries some
    /// are dropped.
    fn put_cached(
        &self,
        key: Sha256,
        entry: &CacheEntry,
        keep: std::time::Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What the step cache keeps under a key.
    fn cached(&self, key: Sha256) -> impl Future<Output = Result<Option<CacheEntry>, StoreError>> + Send;

    /// What the step cache keeps, by key: what is kept for longest first, which is the newest first where all is kept for
    /// equally long. `skip` of them are left out, and there may be fewer than `limit` although more follow: none are the end.
    fn cached_entries(
        &self,
        skip: usize,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<(Sha256, CacheEntry)>, StoreError>> + Send;

    /// Removes what the step cache keeps under a key. False: nothing was there.
    fn forget_cached(&self, key: Sha256) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The files that were saved in a scope.
    fn saved(&self, scope: Sha256, limit: usize) -> impl Future<Output = Result<Vec<SavedRecord>, StoreError>> + Send;

    /// Says that a process takes part, for `ttl`; says it again before that ends.
    fn announce(
        &self,
        role: Role,
        member: &Member,
        ttl: std::time::Duration,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes a process off the members before its `ttl` ends.
    fn leave(&self, role: Role, id: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The processes of a role that take part, sorted by id.
    fn members(&self, role: Role) -> impl Future<Output = Result<Vec<Member>, StoreError>> + Send;

    /// Takes a step into a worker's hands: whoever received its message last has it, and every earlier token of the step
    /// is void.
    fn claim(
        &self,
        run: RunId,
        step: &StepPath,
        generation: u32,
        attempt: u32,
        worker: &str,
    ) -> impl Future<Output = Result<Token, StoreError>> + Send;

    /// Whether nobody has claimed the step since the token was given.
    fn holds(
        &self,
        run: RunId,
        step: &StepPath,
        generation: u32,
        token: Token,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The latest claim of each step of a run, sorted by step. The commit that ends the run forgets them.
    fn claims(&self, run: RunId) -> impl Future<Output = Result<Vec<Claim>, StoreError>> + Send;
}
