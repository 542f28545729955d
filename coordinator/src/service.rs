//! The loop that owns shards: takes whatever has arrived, advances each run, commits all of it at once, then performs
//! the effects.
//!
//! *Commit the new state and its effects in one atomic write, then perform them; every effect is safe to repeat.*
//! Batches form by themselves: what arrives while one is committed is the next one. While one batch's effects are being
//! performed the next one is already decided on.

use crate::act::{Act, Done};
use crate::desk::Desk;
use crate::failpoint::{Failpoint, Moment};
use crate::notices::Notices;
use crate::outbox::Outbox;
use crate::ownership::{Keeper, Owned, Ownership};
use crate::plans::{PlanError, Plans};
use crate::record::{RecordError, decode_run};
use crate::runs::Runs;
use crate::task::Tasks;
use darkroom_backend::{Epoch, Ledger, Publication, Queue, QueueError, Shard, Store, StoreError};
use darkroom_engine::{ChildStart, Event, Happened, RECHECK_EVERY};
use darkroom_proto::{RunId, RunStatus, StepPath, Timestamp};
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How many messages one batch takes.
const BATCH_MAX: usize = 1_024;

/// How many batches' effects may be in the making at once.
const ACTS_MAX: usize = 4;

/// How many pieces of news a slow listener may be behind.
const NEWS_MAX: usize = 16_384;

/// How often runs are looked for whose time has come.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long performed effects stay in their outboxes while nothing else is committed.
const TIDY_AFTER: Duration = Duration::from_millis(50);

/// How long is waited before something is tried again that the store did not do.
pub(crate) const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// How long effects may still be performed when a shard is handed back, or the process ends.
const DRAIN: Duration = Duration::from_secs(15);

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
    pub(crate) store: S,
    pub(crate) queue: Q,
    pub(crate) plans: Arc<Plans<S>>,
    owner: String,
    pub(crate) shards: u16,
    /// Whether it is one of several: then what the servers do not do now is tried again until they do.
    pub(crate) is_shared: bool,
    pub(crate) news: broadcast::Sender<Arc<News>>,
    pub(crate) runs: Runs,
    /// Of what an earlier owner left unfinished, only these runs go on. `None`: all of them.
    only: Option<BTreeSet<RunId>>,
    /// Steps that a worker was at when the last owner ended.
    begun: BTreeMap<RunId, BTreeSet<StepPath>>,
    /// What this process tells itself: runs to recover, to continue after their work budget, or that were looked at.
    pub(crate) own: VecDeque<(RunId, Event)>,
    pub(crate) commit_id: u64,
    /// The shards that are decided on here.
    pub(crate) tenures: BTreeMap<Shard, Epoch>,
    /// Ownerships that the store said have ended, before the keeper heard of it.
    ended: BTreeMap<Shard, Epoch>,
    /// Commits whose effects are performed, to be taken out of the outboxes.
    pub(crate) performed: BTreeMap<Shard, Vec<(RunId, u64)>>,
    acts: JoinSet<Result<Done, QueueError>>,
    /// Lists that are being repaired beside everything else.
    repairs: JoinSet<()>,
    under_way: BTreeSet<u64>,
    next_act: u64,
    /// For each line of workers: when the latest of the steps was sent that a worker reported on.
    pub(crate) reported: BTreeMap<(Cow<'static, str>, bool), Timestamp>,
    looks: u32,
    /// How many slots the workers of the widest pool have together.
    pub(crate) slots: u32,
    /// How often steps are checked whose fast retries are spent.
    pub(crate) recheck_every: darkroom_proto::Duration,
    /// The runs that have such steps, or in one process any that wait for a time, as far as they were seen here.
    pub(crate) parked: BTreeSet<RunId>,
    /// How often a key or a route had got better when the runs that wait for it were looked at.
    pub(crate) relief: Option<u64>,
    /// The keys of the providers that parked steps wait for, as they were then.
    pub(crate) keys: BTreeMap<&'static str, Vec<String>>,
    /// In which life the store is, as far as it said so.
    pub(crate) store_epoch: Option<Arc<str>>,
    /// Where notices are left; without it nobody is told.
    pub(crate) notices: Option<Notices>,
    /// Where it ends itself, in tests.
    pub(crate) failpoint: Option<Failpoint>,
    /// Who signs what workers of tasks are sent, on a fleet.
    pub(crate) tasks: Option<Arc<dyn Tasks>>,
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

impl CoordinatorError {
    /// Whether a server is away, which passes.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            CoordinatorError::Store(error) | CoordinatorError::Plan(PlanError::Store(error)) => is_passing(error),
            CoordinatorError::Queue(_) => true,
            CoordinatorError::Record(_) | CoordinatorError::Plan(_) | CoordinatorError::NotOwner => false,
        }
    }
}

/// Whether the store is only away, or full, which passes.
pub(crate) fn is_passing(error: &StoreError) -> bool {
    match error {
        StoreError::Unavailable(_) | StoreError::Unreachable { .. } => true,
        StoreError::Fenced { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Corrupt { .. }
        | StoreError::InUse { .. } => false,
    }
}

impl<S: Store + Ledger, Q: Queue> Coordinator<S, Q> {
    /// The only coordinator of a store with one shard, that calls itself `owner`.
    pub fn new(store: S, queue: Q, plans: Arc<Plans<S>>, owner: String) -> Coordinator<S, Q> {
        Coordinator {
            store,
            queue,
            plans,
            owner,
            shards: 1,
            is_shared: false,
            news: broadcast::Sender::new(NEWS_MAX),
            runs: Runs::default(),
            only: None,
            begun: BTreeMap::new(),
            own: VecDeque::new(),
            commit_id: 0,
            tenures: BTreeMap::new(),
            ended: BTreeMap::new(),
            performed: BTreeMap::new(),
            acts: JoinSet::new(),
            repairs: JoinSet::new(),
            under_way: BTreeSet::new(),
            next_act: 0,
            reported: BTreeMap::new(),
            looks: 0,
            slots: 0,
            recheck_every: RECHECK_EVERY,
            parked: BTreeSet::new(),
            relief: None,
            keys: BTreeMap::new(),
            store_epoch: None,
            notices: None,
            failpoint: None,
            tasks: None,
        }
    }

    /// One of several coordinators, which share so many shards among them.
    pub fn sharing(self, shards: u16) -> Coordinator<S, Q> {
        Coordinator { shards, is_shared: true, ..self }
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

    /// Sets how often steps are checked whose fast retries are spent.
    pub fn rechecking(self, every: darkroom_proto::Duration) -> Coordinator<S, Q> {
        Coordinator { recheck_every: every, ..self }
    }

    /// Leaves notices of what went wrong there.
    pub fn telling(self, notices: Notices) -> Coordinator<S, Q> {
        Coordinator { notices: Some(notices), ..self }
    }

    /// Sends tasks to workers, signed so, and hears these. Without it a step that is a task fails.
    pub fn serving(self, tasks: Arc<dyn Tasks>) -> Coordinator<S, Q> {
        Coordinator { tasks: Some(tasks), ..self }
    }

    /// Ends the process at this point, as a crash would: a setting of tests.
    pub fn failing_at(self, failpoint: Failpoint) -> Coordinator<S, Q> {
        Coordinator { failpoint: Some(failpoint), ..self }
    }

    /// Hears what happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Arc<News>> {
        self.news.subscribe()
    }

    /// A desk for the runs that runs start.
    fn desk(&self) -> Desk<S, Q> {
        Desk::new(self.store.clone(), self.queue.clone(), self.plans.clone(), self.shards)
    }

    /// The shard of a run.
    pub(crate) fn shard_of(&self, run: RunId) -> Shard {
        Shard(run.shard(self.shards))
    }

    /// Decides until `stop`; then finishes what it has begun, and gives its shards back.
    pub async fn run(mut self, stop: CancellationToken) -> Result<(), CoordinatorError> {
        // Commit ids only have to differ within a run; ownership and time make them do so across restarts.
        self.commit_id = loop {
            match self.store.now().await {
                Ok(now) => break now.0 << 20,
                Err(error) if self.is_shared && is_passing(&error) && !stop.is_cancelled() => {
                    tracing::warn!(%error, "waiting for the store");
                    tokio::time::sleep(AGAIN_AFTER * 10).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        self.learn_epoch().await;
        let (keeper, mut ownership) = Keeper::new(self.store.clone(), self.owner.clone(), self.shards);
        let keeper_stop = CancellationToken::new();
        let mut keepers = JoinSet::new();
        keepers.spawn(keeper.run(keeper_stop.clone()));
        let ended = self.decide(&mut ownership, &stop).await;
        self.settle().await;
        self.tidy().await;
        keeper_stop.cancel();
        while keepers.join_next().await.is_some() {}
        ended
    }

    async fn decide(&mut self, ownership: &mut Ownership, stop: &CancellationToken) -> Result<(), CoordinatorError> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            self.follow(ownership).await?;
            while let Some(done) = self.acts.try_join_next() {
                self.acted(done)?;
            }
            while self.repairs.try_join_next().is_some() {}
            let deliveries = if self.own.is_empty() {
                let shards: Vec<Shard> = self.tenures.keys().copied().collect();
                let takes = !shards.is_empty() || self.queue.durable();
                let tidies = self.acts.is_empty() && !self.performed.is_empty();
                tokio::select! {
                    biased;
                    changed = ownership.owned.changed() => {
                        if changed.is_err() {
                            return Err(CoordinatorError::NotOwner);
                        }
                        continue;
                    }
                    Some(done) = self.acts.join_next() => {
                        self.acted(done)?;
                        continue;
                    }
                    // Without shards there is nothing to look at, and a store that is away must not keep this from saying so.
                    // What a queue in memory holds can't be lost: there only steps that wait for a time have to be looked at.
                    _ = looks.tick(), if (self.queue.durable() || !self.parked.is_empty()) && !shards.is_empty() => {
                        unless_lost(ownership, self.tenures.clone(), self.look()).await;
                        continue;
                    }
                    // Without shards it takes nothing, but a durable queue must hear that none is wanted any more.
                    taken = self.queue.take_shard(&shards, BATCH_MAX), if takes => match taken {
                        Ok(deliveries) if deliveries.is_empty() => return Ok(()),
                        Ok(deliveries) => deliveries,
                        Err(error) if self.is_shared => {
                            tracing::warn!(%error, "waiting for the broker");
                            tokio::time::sleep(AGAIN_AFTER).await;
                            continue;
                        }
                        Err(error) => return Err(error.into()),
                    },
                    () = tokio::time::sleep(TIDY_AFTER), if tidies => {
                        unless_lost(ownership, self.tenures.clone(), self.tidy()).await;
                        continue;
                    }
                    // Last: what has arrived is dealt with first.
                    () = stop.cancelled() => return Ok(()),
                }
            } else if stop.is_cancelled() {
                return Ok(());
            } else {
                Vec::new()
            };
            let outcome = unless_lost(ownership, self.tenures.clone(), self.batch(deliveries)).await;
            match outcome {
                Some(outcome) => outcome?,
                None => {
                    tracing::warn!("a shard was lost while a batch was under way: the batch is given back");
                    // What the batch had come to is not known: what is still owned here is begun anew from the store.
                    for shard in self.tenures.keys().copied().collect::<Vec<_>>() {
                        self.drop_shard(shard);
                    }
                    continue;
                }
            }
            while self.acts.len() >= ACTS_MAX {
                if let Some(done) = self.acts.join_next().await {
                    self.acted(done)?;
                }
            }
        }
    }

    /// Begins with shards that were won, and ends with those that were lost or are handed back.
    async fn follow(&mut self, ownership: &mut Ownership) -> Result<(), CoordinatorError> {
        let owned: Owned = ownership.owned.borrow_and_update().clone();
        let gone = |(shard, epoch): (&Shard, &Epoch)| {
            let stays = owned.get(shard).is_some_and(|tenure| tenure.epoch == *epoch && !tenure.is_leaving);
            (!stays).then_some(*shard)
        };
        let gone: Vec<Shard> = self.tenures.iter().filter_map(gone).collect();
        let leaving = |shard: &&Shard| owned.get(*shard).is_some_and(|tenure| tenure.is_leaving);
        if gone.iter().any(|shard| leaving(&shard)) {
            self.settle().await;
            self.tidy().await;
        }
        for shard in &gone {
            self.drop_shard(*shard);
        }
        for shard in owned.iter().filter(|(_, tenure)| tenure.is_leaving).map(|(shard, _)| *shard) {
            // The keeper ends only after this loop.
            let _ = ownership.vacated.send(shard);
        }
        for (shard, tenure) in owned.iter().filter(|(_, tenure)| !tenure.is_leaving) {
            if self.tenures.contains_key(shard) || self.ended.get(shard) == Some(&tenure.epoch) {
                continue;
            }
            match self.take_over(*shard).await {
                Ok(()) => {
                    self.tenures.insert(*shard, tenure.epoch);
                    let (store, shard) = (self.store.clone(), *shard);
                    self.repairs.spawn(async move { repair(store, shard).await });
                }
                Err(error) if self.is_shared && error.is_passing() => {
                    tracing::warn!(%error, shard = shard.0, "the shard can't be taken over yet");
                    tokio::time::sleep(AGAIN_AFTER).await;
                    ownership.owned.mark_changed();
                    return Ok(());
                }
                Err(error) => return Err(error),
            }
        }
        metrics::gauge!("darkroom_coordinator_shards", "owner" => self.owner.clone()).set(self.tenures.len() as f64);
        Ok(())
    }

    /// Finds what the last owner of a shard left undone.
    async fn take_over(&mut self, shard: Shard) -> Result<(), CoordinatorError> {
        // What got better before is not known to have been acted on.
        self.relief = None;
        let mut own = Vec::new();
        if !self.queue.durable() {
            let active = self.store.active(shard).await?;
            let only = match &self.only {
                Some(only) => Some(self.with_children(only, &active).await?),
                None => None,
            };
            let wanted = |run: &RunId| only.as_ref().is_none_or(|only| only.contains(run));
            for run in active.into_iter().filter(wanted) {
                let begun = self.begun.remove(&run).unwrap_or_default();
                own.push((run, Event::QueueLost { begun }));
            }
        }
        let mut effects = 0;
        for run in self.store.dirty(shard).await? {
            let Some(stored) = self.store.load(run).await? else { continue };
            match Outbox::decode(&stored.outbox) {
                Ok(outbox) => {
                    effects += outbox.len();
                    own.push((run, outbox.event()));
                }
                Err(error) => tracing::error!(%run, %error, "the outbox of a run can't be read"),
            }
        }
        if effects > 0 {
            tracing::info!(shard = shard.0, effects, "performing what the last owner committed and did not come to");
            metrics::counter!("darkroom_coordinator_taken_over_effects_total").increment(effects as u64);
        }
        let mut nudged: Vec<RunId> = self.store.inbox(shard).await?.into_iter().map(|command| command.run).collect();
        nudged.dedup();
        own.extend(nudged.into_iter().map(|run| (run, Event::Continue)));
        self.own.extend(own);
        Ok(())
    }

    /// These runs, and of the unfinished ones those that are their children, and the children of these.
    async fn with_children(
        &self,
        runs: &BTreeSet<RunId>,
        active: &[RunId],
    ) -> Result<BTreeSet<RunId>, CoordinatorError> {
        let mut parents = BTreeMap::new();
        for run in active.iter().filter(|run| !runs.contains(run)) {
            let Some(stored) = self.store.load(*run).await? else { continue };
            // One that can't be read is none of these.
            let parent = decode_run(*run, &stored).ok().and_then(|run| Some(run.spec.parent.as_ref()?.run));
            parents.extend(parent.map(|parent| (*run, parent)));
        }
        let mut all = runs.clone();
        loop {
            let before = all.len();
            let found: Vec<RunId> =
                parents.iter().filter(|(_, parent)| all.contains(parent)).map(|(run, _)| *run).collect();
            all.extend(found);
            if all.len() == before {
                return Ok(all);
            }
        }
    }

    /// The store says that a shard is another's.
    pub(crate) fn fenced(&mut self, shard: Shard) {
        if let Some(epoch) = self.tenures.get(&shard) {
            self.ended.insert(shard, *epoch);
        }
        self.drop_shard(shard);
    }

    /// Forgets everything about a shard: it is another's now.
    pub(crate) fn drop_shard(&mut self, shard: Shard) {
        let shards = self.shards;
        self.tenures.remove(&shard);
        self.performed.remove(&shard);
        self.runs.retain(|run| Shard(run.shard(shards)) != shard);
        self.parked.retain(|run| Shard(run.shard(shards)) != shard);
        self.own.retain(|(run, _)| Shard(run.shard(shards)) != shard);
    }

    /// Performs the effects of a batch, at once or beside the next batch.
    pub(crate) async fn act(
        &mut self,
        children: Vec<ChildStart>,
        publications: Vec<Publication>,
        performed: Vec<(RunId, u64)>,
        deliveries: Vec<Q::Shard>,
        crashes: Option<Moment>,
    ) -> Result<(), CoordinatorError> {
        self.next_act += 1;
        let act = Act { number: self.next_act, children, publications, performed, deliveries, crashes };
        if self.queue.durable() {
            self.under_way.insert(act.number);
            self.acts.spawn(act.perform(self.queue.clone(), self.desk(), self.tasks.clone()));
            return Ok(());
        }
        // In memory it is done in less time than handing it to another task takes.
        let done = act.perform(self.queue.clone(), self.desk(), self.tasks.clone()).await;
        self.acted(Ok(done))
    }

    fn acted(
        &mut self,
        done: Result<Result<Done, QueueError>, tokio::task::JoinError>,
    ) -> Result<(), CoordinatorError> {
        let done = match done {
            Ok(done) => done?,
            Err(error) => return Err(QueueError::Unavailable(format!("publishing broke: {error}")).into()),
        };
        self.under_way.remove(&done.number);
        if self.queue.durable() {
            for (run, version) in done.performed {
                // A later commit of the run has replaced the outbox by now.
                if self.runs.version(run).is_none_or(|now| now == version) {
                    let shard = self.shard_of(run);
                    if self.tenures.contains_key(&shard) {
                        self.performed.entry(shard).or_default().push((run, version));
                    }
                }
            }
        }
        self.own.extend(done.refused.into_iter().map(|report| (report.run, Event::Report(report))));
        Ok(())
    }

    /// Waits for the effects that are being performed.
    async fn settle(&mut self) {
        let settled = async {
            while let Some(done) = self.acts.join_next().await {
                if let Err(error) = self.acted(done) {
                    tracing::warn!(%error, "effects were not performed; the next owner performs them");
                }
            }
        };
        if tokio::time::timeout(DRAIN, settled).await.is_err() {
            tracing::warn!("effects could not be performed in time; the next owner performs them");
            self.acts.abort_all();
        }
    }

    /// Takes performed effects out of the outboxes.
    async fn tidy(&mut self) {
        for (shard, performed) in std::mem::take(&mut self.performed) {
            let Some(epoch) = self.tenures.get(&shard).copied() else { continue };
            if let Err(error) = self.store.commit(shard, epoch, Vec::new(), &performed).await {
                tracing::debug!(shard = shard.0, %error, "performed effects stay in their outboxes, and are repeated");
            }
        }
    }

    /// Looks for runs whose time has come, and now and then for commands whose message was lost.
    async fn look(&mut self) {
        if let Err(error) = self.look_around().await {
            tracing::debug!(%error, "could not look for runs that are due; trying again soon");
        }
        // In a folder nobody is there to fire them: a process that runs one workflow does not begin others.
        if self.is_shared
            && let Err(error) = self.fire_due().await
        {
            tracing::warn!(%error, "schedules that are due could not fire; trying again soon");
        }
        self.looks = self.looks.wrapping_add(1);
    }

    /// Every so many looks the inboxes are read.
    pub(crate) fn reads_inboxes(&self) -> bool {
        const LOOKS_PER_INBOX: u32 = 10;
        self.looks.is_multiple_of(LOOKS_PER_INBOX)
    }
}

/// Makes the lists agree with the runs of a shard.
async fn repair<S: Store>(store: S, shard: Shard) {
    match store.repair_index(shard).await {
        Ok(runs) => tracing::debug!(shard = shard.0, runs, "lists agree with the unfinished runs"),
        Err(error) => {
            tracing::debug!(shard = shard.0, %error, "lists could not be repaired; the next owner tries again")
        }
    }
}

/// Does something that asks the store, unless one of the ownerships ends meanwhile: while the store is away that takes long,
/// and what is held here of the shard is the next owner's.
async fn unless_lost<T>(
    ownership: &Ownership,
    tenures: BTreeMap<Shard, Epoch>,
    work: impl Future<Output = T>,
) -> Option<T> {
    let mut owned = ownership.owned.clone();
    // That a shard is to be handed back is no end of its ownership.
    let is_lost = |owned: &Owned| {
        tenures.iter().any(|(shard, epoch)| owned.get(shard).is_none_or(|tenure| tenure.epoch != *epoch))
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        Ok(_) = owned.wait_for(is_lost) => None,
    }
}
