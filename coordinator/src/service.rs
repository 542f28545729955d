//! The loop that owns shards: takes whatever has arrived, advances each run, commits all of it at once, then performs
//! the effects.
//!
//! *Commit the new state and its effects in one atomic write, then perform them; every effect is safe to repeat.*
//! Batches form by themselves: what arrives while one is committed is the next one.

use crate::command::RunCommand;
use crate::plans::{PlanError, Plans};
use crate::record::{RecordError, decode_run, encode_event, encode_head, step_field, summary};
use darkroom_backend::{
    Commit, Committed, Delivery, Epoch, Lane, Publication, Queue, QueueError, SavedRecord, Shard, ShardMessage, Store,
    StoreError,
};
use darkroom_engine::plan::Plan;
use darkroom_engine::{Change, Effect, Event, Happened, Run, advance, break_off};
use darkroom_proto::{ErrorClass, RunId, RunStatus, Sha256, StepError, StepPath, Timestamp};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio_util::sync::CancellationToken;

/// The one shard of an embedded coordinator.
pub const SHARD: Shard = Shard(0);

/// How many messages one batch takes.
const BATCH_MAX: usize = 1_024;

/// How often a refused commit is tried again.
const CONFLICTS_MAX: u32 = 3;

/// How many step instances the cached runs may have together; about 1 KiB each.
const CACHED_STEPS_MAX: usize = 250_000;

/// How many pieces of news a slow listener may be behind.
const NEWS_MAX: usize = 16_384;

/// The lease on a shard.
const LEASE: Duration = Duration::from_millis(1_500);

/// What happened to a run, as soon as it is durable.
#[derive(Debug, Clone)]
pub struct News {
    /// The run.
    pub run: RunId,
    /// Where it stands now.
    pub status: RunStatus,
    /// What happened, in order.
    pub events: Vec<Happened>,
}

/// Decides about the runs of its shards.
#[derive(Debug)]
pub struct Coordinator<S: Store, Q: Queue> {
    store: S,
    queue: Q,
    plans: Arc<Plans<S>>,
    owner: String,
    news: broadcast::Sender<Arc<News>>,
    runs: BTreeMap<RunId, Live>,
    /// Of what an earlier owner left unfinished, only these runs go on. `None`: all of them.
    only: Option<BTreeSet<RunId>>,
    /// Steps that a worker was at when the last owner ended.
    begun: BTreeMap<RunId, BTreeSet<StepPath>>,
    /// What this process tells itself: runs to recover, and to continue after their work budget.
    own: VecDeque<(RunId, Event)>,
    commit_id: u64,
}

/// A run in memory, as the store has it.
#[derive(Debug)]
struct Live {
    run: Run,
    plan: Arc<Plan>,
    version: u64,
    fingerprint: Sha256,
}

/// Why the coordinator ended.
#[derive(Debug, thiserror::Error)]
pub enum CoordinatorError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// What is stored can't be read.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// A run's definition can't be had.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// Somebody else decides here.
    #[error("the shard is owned by another coordinator")]
    NotOwner,
}

/// The events of one batch for one run, and the commands among them.
#[derive(Default)]
struct Inputs {
    events: Vec<Event>,
    commands: Vec<String>,
}

impl<S: Store, Q: Queue> Coordinator<S, Q> {
    /// A coordinator that calls itself `owner`.
    pub fn new(store: S, queue: Q, plans: Arc<Plans<S>>, owner: String) -> Coordinator<S, Q> {
        Coordinator {
            store,
            queue,
            plans,
            owner,
            news: broadcast::Sender::new(NEWS_MAX),
            runs: BTreeMap::new(),
            only: None,
            begun: BTreeMap::new(),
            own: VecDeque::new(),
            commit_id: 0,
        }
    }

    /// Of what an earlier owner left unfinished, goes on only with these runs; what is handed in anew is always done.
    pub fn only(self, runs: BTreeSet<RunId>) -> Coordinator<S, Q> {
        Coordinator { only: Some(runs), ..self }
    }

    /// Tells which steps a worker was at when the last owner ended: one that is there too often is held to be the cause.
    pub fn begun(self, steps: impl IntoIterator<Item = (RunId, StepPath)>) -> Coordinator<S, Q> {
        let mut begun: BTreeMap<RunId, BTreeSet<StepPath>> = BTreeMap::new();
        for (run, step) in steps {
            begun.entry(run).or_default().insert(step);
        }
        Coordinator { begun, ..self }
    }

    /// Hears what happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }

    /// Decides until `stop`, or until the shard is lost.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), CoordinatorError> {
        let epoch = self.store.acquire(SHARD, &self.owner, LEASE).await?.ok_or(CoordinatorError::NotOwner)?;
        // Commit ids only have to differ within a run; ownership and time make them do so across restarts.
        self.commit_id = self.store.now().await?.0 << 20;
        self.recover().await?;
        let ended = self.decide(epoch, &stop).await;
        self.store.release(SHARD, epoch).await?;
        ended
    }

    /// Finds what was under way when the last owner ended.
    async fn recover(&mut self) -> Result<(), CoordinatorError> {
        if !self.queue.durable() {
            let active = self.store.active(SHARD).await?;
            let only = self.only.clone();
            let wanted = |run: &RunId| only.as_ref().is_none_or(|only| only.contains(run));
            for run in active.into_iter().filter(wanted) {
                let begun = self.begun.remove(&run).unwrap_or_default();
                self.own.push_back((run, Event::QueueLost { begun }));
            }
        }
        let mut nudged: Vec<RunId> = self.store.inbox(SHARD).await?.into_iter().map(|command| command.run).collect();
        nudged.dedup();
        self.own.extend(nudged.into_iter().map(|run| (run, Event::Continue)));
        Ok(())
    }

    async fn decide(&mut self, epoch: Epoch, stop: &CancellationToken) -> Result<(), CoordinatorError> {
        let mut renew = tokio::time::interval(LEASE / 4);
        renew.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let deliveries = if self.own.is_empty() {
                tokio::select! {
                    biased;
                    _ = renew.tick() => {
                        if !self.store.renew(SHARD, epoch, LEASE).await? {
                            return Err(CoordinatorError::NotOwner);
                        }
                        continue;
                    }
                    deliveries = self.queue.take_shard(&[SHARD], BATCH_MAX) => deliveries?,
                    // Last: what has arrived is dealt with first.
                    () = stop.cancelled() => return Ok(()),
                }
            } else if stop.is_cancelled() {
                return Ok(());
            } else {
                Vec::new()
            };
            if deliveries.is_empty() && self.own.is_empty() {
                return Ok(());
            }
            let inputs = self.inputs(&deliveries).await?;
            self.step(epoch, inputs).await?;
            for delivery in deliveries {
                delivery.ack().await?;
            }
        }
    }

    /// Sorts a batch by run.
    async fn inputs(&mut self, deliveries: &[Q::Shard]) -> Result<BTreeMap<RunId, Inputs>, CoordinatorError> {
        let mut inputs: BTreeMap<RunId, Inputs> = BTreeMap::new();
        let mut look_into_inbox = false;
        for _ in 0..self.own.len().min(BATCH_MAX) {
            if let Some((run, event)) = self.own.pop_front() {
                look_into_inbox |= event == Event::Continue;
                inputs.entry(run).or_default().events.push(event);
            }
        }
        for delivery in deliveries {
            match delivery.message() {
                ShardMessage::Start(start) => inputs.entry(start.run).or_default().events.push(Event::Start),
                ShardMessage::Reports(reports) => {
                    for report in reports {
                        inputs.entry(report.run).or_default().events.push(Event::Report(report.clone()));
                    }
                }
                ShardMessage::Nudge { run } => {
                    look_into_inbox = true;
                    inputs.entry(*run).or_default();
                }
            }
        }
        if look_into_inbox {
            for command in self.store.inbox(SHARD).await? {
                let Some(input) = inputs.get_mut(&command.run) else { continue };
                match RunCommand::decode(&command.body) {
                    Ok(event) => input.events.push(event),
                    Err(error) => tracing::warn!(run = %command.run, %error, "a command can't be read and is dropped"),
                }
                input.commands.push(command.key);
            }
        }
        Ok(inputs)
    }

    /// Advances, commits and performs one batch.
    async fn step(&mut self, epoch: Epoch, mut inputs: BTreeMap<RunId, Inputs>) -> Result<(), CoordinatorError> {
        let now = self.store.now().await?;
        for _ in 0..=CONFLICTS_MAX {
            let mut commits: Vec<Commit> = Vec::with_capacity(inputs.len());
            let mut changes: Vec<(RunId, Change)> = Vec::with_capacity(inputs.len());
            for (run, input) in &inputs {
                if let Some((commit, change)) = self.advance_run(*run, input, now).await? {
                    commits.push(commit);
                    changes.push((*run, change));
                }
            }
            if commits.is_empty() {
                return Ok(());
            }
            let outcomes = self.store.commit(SHARD, epoch, commits, &[]).await?;
            let mut refused: BTreeMap<RunId, Inputs> = BTreeMap::new();
            let mut publications = Vec::new();
            for ((id, change), outcome) in changes.into_iter().zip(outcomes) {
                match outcome {
                    Committed::Done(version) => self.committed(id, version, change, &mut publications),
                    Committed::Conflict { current } => {
                        tracing::warn!(run = %id, current, "the run was changed by somebody else; loading it again");
                        self.runs.remove(&id);
                        refused.extend(inputs.remove_entry(&id));
                    }
                }
            }
            self.queue.publish(publications).await?;
            self.shed();
            if refused.is_empty() {
                return Ok(());
            }
            inputs = refused;
        }
        tracing::error!(runs = inputs.len(), "runs could not be committed after several conflicts");
        Ok(())
    }

    /// Applies the events of one run in memory. `None` when there is nothing to commit.
    async fn advance_run(
        &mut self,
        id: RunId,
        input: &Inputs,
        now: Timestamp,
    ) -> Result<Option<(Commit, Change)>, CoordinatorError> {
        for is_last_try in [false, true] {
            let Some(mut live) = self.take(id).await? else { return Ok(None) };
            let events = input.events.clone();
            let advanced = catch_unwind(AssertUnwindSafe(|| {
                let mut change = Change::default();
                for event in events {
                    change.absorb(advance(&live.plan, &mut live.run, event, now));
                }
                (live, change)
            }));
            let (live, change) = match advanced {
                Ok(advanced) => advanced,
                // What was half done is gone with the memory; the store still has the run as it was.
                Err(_) if !is_last_try => continue,
                Err(_) => {
                    tracing::error!(run = %id, "advancing the run panicked twice; it is failed");
                    let Some(mut live) = self.take(id).await? else { return Ok(None) };
                    let change = break_off(&mut live.run, panicked(), now);
                    (live, change)
                }
            };
            if change.is_empty() && input.commands.is_empty() {
                self.runs.insert(id, live);
                return Ok(None);
            }
            let commit = self.commit_of(&live, &change, input)?;
            self.runs.insert(id, live);
            return Ok(Some((commit, change)));
        }
        Ok(None)
    }

    /// Takes a run out of the cache, or loads it.
    async fn take(&mut self, id: RunId) -> Result<Option<Live>, CoordinatorError> {
        if let Some(live) = self.runs.remove(&id) {
            return Ok(Some(live));
        }
        let Some(stored) = self.store.load(id).await? else {
            tracing::warn!(run = %id, "a message names a run that is not in the store");
            return Ok(None);
        };
        let run = decode_run(id, &stored)?;
        let plan = self.plans.get(run.spec.definition).await?;
        Ok(Some(Live { run, plan, version: stored.version, fingerprint: stored.summary.fingerprint }))
    }

    fn commit_of(&mut self, live: &Live, change: &Change, input: &Inputs) -> Result<Commit, RecordError> {
        self.commit_id += 1;
        let run = &live.run;
        let fields = change.steps.iter().map(|path| step_field(run, path)).collect::<Result<Vec<_>, _>>()?;
        let scope = saved_scope(run);
        let saved = change.saved.iter().filter_map(|(key, path)| {
            let step = run.step(path)?;
            let saved = step.saved.clone()?;
            Some(SavedRecord {
                scope,
                key: *key,
                path: saved.path,
                artifact: saved.artifact,
                outputs: serde_json::to_string(&step.outputs).ok()?,
            })
        });
        Ok(Commit {
            run: run.id,
            version: live.version,
            id: self.commit_id,
            summary: summary(run, live.fingerprint),
            head: encode_head(&run.head)?,
            fields,
            events: change.events.iter().map(encode_event).collect::<Result<Vec<_>, _>>()?,
            // A queue that forgets is filled from the steps themselves when its owner starts.
            outbox: Vec::new(),
            due: None,
            commands: input.commands.clone(),
            saved: saved.collect(),
        })
    }

    /// What follows from a commit: effects to perform, news to tell, work to go on with.
    fn committed(&mut self, id: RunId, version: u64, change: Change, publications: &mut Vec<Publication>) {
        let Some(live) = self.runs.get_mut(&id) else { return };
        live.version = version;
        let status = live.run.head.status;
        for effect in change.effects {
            match effect {
                Effect::Dispatch { pool, batch, delay, message } => publications.push(Publication::Step {
                    pool,
                    lane: if batch { Lane::Batch } else { Lane::First },
                    delay,
                    message,
                }),
            }
        }
        if change.more {
            self.own.push_back((id, Event::Continue));
        }
        if self.news.receiver_count() > 0 && !change.events.is_empty() {
            // Nobody listening any more is no error.
            let _ = self.news.send(Arc::new(News { run: id, status, events: change.events }));
        }
        if status.is_terminal() {
            self.runs.remove(&id);
        }
    }

    /// Keeps the cache within its bound: what is dropped is loaded again when something happens to it.
    fn shed(&mut self) {
        let mut steps: usize = self.runs.values().map(|live| live.run.steps.len()).sum();
        while steps > CACHED_STEPS_MAX && self.runs.len() > 1 {
            let Some((_, dropped)) = self.runs.pop_first() else { return };
            steps -= dropped.run.steps.len();
        }
    }
}

/// The definition and output folder whose saved files a run may find again.
pub(crate) fn saved_scope(run: &Run) -> Sha256 {
    darkroom_engine::saved_scope(&run.spec)
}

fn panicked() -> StepError {
    StepError::new(ErrorClass::WorkflowError, "deciding about the run failed inside Darkroom")
        .code("engine_panic")
        .advice("this is a bug in Darkroom; please report it with the workflow and the log")
}
