//! One batch: sorted by run, advanced, committed, and handed on to be performed.

use crate::command::RunCommand;
use crate::failpoint::{Failpoint, Moment, crash};
use crate::outbox::Outbox;
use crate::record::{
    RecordError, decode_run, encode_event, encode_head, inputs_field, signal_field, step_field, summary,
};
use crate::runs::Live;
use crate::service::{AGAIN_AFTER, Coordinator, CoordinatorError, News, is_passing};
use darkroom_backend::{
    CANCEL_FIELD, Commit, Committed, Delivery, Epoch, Lane, Ledger, Publication, Queue, SavedRecord, Shard,
    ShardMessage, Store, StoreError, void_field,
};
use darkroom_engine::{Change, ChildStart, Effect, Event, advance, break_off};
use darkroom_proto::{ErrorClass, Report, RunId, StepError, TaskMessage, TaskReport, Timestamp};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// How many of our own events one batch takes.
const OWN_MAX: usize = 1_024;

/// How often a refused commit is tried again.
const CONFLICTS_MAX: u32 = 3;

/// The events of one batch for one run, and the commands among them.
#[derive(Default)]
struct Inputs {
    events: Vec<Event>,
    commands: Vec<String>,
}

/// What comes of a batch, to be performed.
#[derive(Default)]
struct Effects {
    children: Vec<ChildStart>,
    publications: Vec<Publication>,
    performed: Vec<(RunId, u64)>,
}

/// What a batch wants of one shard.
#[derive(Default)]
struct Wanted {
    commits: Vec<Commit>,
    changes: Vec<(RunId, Change)>,
}

impl<S: Store + Ledger, Q: Queue> Coordinator<S, Q> {
    /// Deals with what was delivered, and with what this process told itself.
    pub(crate) async fn batch(&mut self, deliveries: Vec<Q::Shard>) -> Result<(), CoordinatorError> {
        metrics::counter!("darkroom_coordinator_batches_total").increment(1);
        metrics::counter!("darkroom_coordinator_messages_total").increment(deliveries.len() as u64);
        let said = deliveries.iter().filter_map(|delivery| match delivery.message() {
            ShardMessage::Task(report) => Some(report.clone()),
            ShardMessage::Start(_) | ShardMessage::Reports(_) | ShardMessage::Nudge { .. } => None,
        });
        let said: Vec<TaskReport> = said.collect();
        let reports = loop {
            match self.task_reports(&said).await {
                Ok(reports) => break reports,
                Err(error) if self.is_shared && is_passing(&error) => {
                    tracing::warn!(%error, "waiting for the store");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) => return Err(error.into()),
            }
        };
        let mut inputs = self.inputs(&deliveries, reports);
        let mut effects = Effects::default();
        loop {
            match self.decide_on(&mut inputs, &mut effects).await {
                Ok(()) => break,
                Err(error) if self.is_shared && error.is_passing() => {
                    tracing::warn!(%error, "waiting for the store");
                    tokio::time::sleep(AGAIN_AFTER).await;
                    inputs.retain(|run, _| self.tenures.contains_key(&Shard(run.shard(self.shards))));
                }
                Err(error) => return Err(error),
            }
        }
        let crashes = self.failpoint.as_mut().and_then(Failpoint::reached);
        if crashes == Some(Moment::Committed) {
            crash(Moment::Committed);
        }
        // What belongs to a shard that was lost meanwhile goes back, to its next owner.
        let shards = self.shards;
        let ours = |delivery: &Q::Shard| match first_run(delivery.message()) {
            Some(run) => self.tenures.contains_key(&Shard(run.shard(shards))),
            None => true,
        };
        let deliveries: Vec<Q::Shard> = deliveries.into_iter().filter(ours).collect();
        let is_nothing = effects.publications.is_empty() && effects.children.is_empty() && effects.performed.is_empty();
        if is_nothing && crashes.is_none() {
            for delivery in deliveries {
                if let Err(error) = delivery.ack().await {
                    tracing::debug!(%error, "an ack was lost; the message comes again and changes nothing");
                }
            }
            return Ok(());
        }
        self.act(effects.children, effects.publications, effects.performed, deliveries, crashes).await
    }

    /// Sorts a batch by run.
    fn inputs(&mut self, deliveries: &[Q::Shard], task_reports: Vec<Report>) -> BTreeMap<RunId, Inputs> {
        let mut inputs: BTreeMap<RunId, Inputs> = BTreeMap::new();
        for _ in 0..self.own.len().min(OWN_MAX) {
            if let Some((run, event)) = self.own.pop_front() {
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
                // A command is in the inbox; `Continue` has it looked up.
                ShardMessage::Nudge { run } => inputs.entry(*run).or_default().events.push(Event::Continue),
                // They were opened before.
                ShardMessage::Task(_) => {}
            }
        }
        for report in task_reports {
            inputs.entry(report.run).or_default().events.push(Event::Report(report));
        }
        inputs.retain(|run, _| self.tenures.contains_key(&Shard(run.shard(self.shards))));
        inputs
    }

    /// Adds the commands that lie in the inboxes for runs that were nudged.
    async fn commands(&self, inputs: &mut BTreeMap<RunId, Inputs>) -> Result<(), CoordinatorError> {
        // An event that came in time counts before a time-out of the same batch.
        let is_nudge = |event: &Event| matches!(event, Event::Continue | Event::Looked { .. });
        let nudged = inputs.iter().filter(|(_, input)| input.commands.is_empty() && input.events.iter().any(is_nudge));
        let shards: BTreeSet<Shard> = nudged.map(|(run, _)| self.shard_of(*run)).collect();
        for shard in shards {
            for command in self.store.inbox(shard).await? {
                let Some(input) = inputs.get_mut(&command.run) else { continue };
                if input.commands.contains(&command.key) {
                    continue;
                }
                match RunCommand::decode(&command.key, &command.body) {
                    Ok(event) => input.events.push(event),
                    Err(error) => tracing::warn!(run = %command.run, %error, "a command can't be read and is dropped"),
                }
                input.commands.push(command.key);
            }
        }
        for input in inputs.values_mut() {
            input.events.sort_by_key(|event| matches!(event, Event::Looked { .. }));
        }
        Ok(())
    }

    /// Advances and commits; a commit that was refused is made again from what the store has.
    async fn decide_on(
        &mut self,
        inputs: &mut BTreeMap<RunId, Inputs>,
        effects: &mut Effects,
    ) -> Result<(), CoordinatorError> {
        self.commands(inputs).await?;
        let now = self.store.now().await?;
        for _ in 0..=CONFLICTS_MAX {
            let mut wanted: BTreeMap<Shard, Wanted> = BTreeMap::new();
            for (run, input) in inputs.iter() {
                let advanced = match self.advance_run(*run, input, now).await {
                    Ok(advanced) => advanced,
                    Err(error) if self.is_shared && !error.is_passing() => {
                        // One run that can't be read must not hold up the others.
                        tracing::error!(%run, %error, "the run can't be advanced");
                        metrics::counter!("darkroom_coordinator_unreadable_runs_total").increment(1);
                        None
                    }
                    Err(error) => {
                        // What was advanced and is not going to be committed must not stay in memory.
                        for (run, _) in wanted.into_values().flat_map(|wanted| wanted.changes) {
                            self.runs.forget(run);
                        }
                        return Err(error);
                    }
                };
                if let Some((commit, change)) = advanced {
                    let wanted = wanted.entry(self.shard_of(*run)).or_default();
                    wanted.commits.push(commit);
                    wanted.changes.push((*run, change));
                }
            }
            if wanted.is_empty() {
                return Ok(());
            }
            let refused = self.commit(wanted, effects).await?;
            self.runs.shed();
            inputs.retain(|run, _| refused.contains(run));
            if inputs.is_empty() {
                return Ok(());
            }
        }
        tracing::error!(runs = inputs.len(), "runs could not be committed after several conflicts");
        Ok(())
    }

    /// Commits the changes of all shards together, and says which runs were refused.
    async fn commit(
        &mut self,
        wanted: BTreeMap<Shard, Wanted>,
        effects: &mut Effects,
    ) -> Result<BTreeSet<RunId>, CoordinatorError> {
        let mut asked = Vec::with_capacity(wanted.len());
        let mut changes = Vec::with_capacity(wanted.len());
        for (shard, wanted) in wanted {
            let Some(epoch) = self.tenures.get(&shard).copied() else { continue };
            let performed = self.performed.remove(&shard).unwrap_or_default();
            let (store, is_shared) = (self.store.clone(), self.is_shared);
            asked.push(commit_shard(store, shard, epoch, wanted.commits, performed, is_shared));
            changes.push((shard, wanted.changes));
        }
        metrics::counter!("darkroom_coordinator_commits_total")
            .increment(changes.iter().map(|(_, changes)| changes.len() as u64).sum());
        let answers = join_all(asked).await;
        let mut refused = BTreeSet::new();
        for ((shard, changes), answer) in changes.into_iter().zip(answers) {
            let outcomes = match answer {
                Ok(outcomes) => outcomes,
                Err(StoreError::Fenced { .. }) => {
                    tracing::warn!(
                        shard = shard.0,
                        "the shard has another owner now; what was decided here is dropped"
                    );
                    self.fenced(shard);
                    continue;
                }
                Err(error) => return Err(error.into()),
            };
            for ((id, change), outcome) in changes.into_iter().zip(outcomes) {
                match outcome {
                    Ok(Committed::Done(version)) => self.committed(id, version, change, effects),
                    Ok(Committed::Conflict { current }) => {
                        tracing::warn!(run = %id, current, "the run was changed by somebody else; loading it again");
                        self.runs.forget(id);
                        refused.insert(id);
                    }
                    Err(error) => self.too_large(shard, id, &error).await?,
                }
            }
        }
        Ok(refused)
    }

    /// What a run has become can't be stored: it is failed as it was before.
    async fn too_large(&mut self, shard: Shard, id: RunId, error: &StoreError) -> Result<(), CoordinatorError> {
        tracing::error!(run = %id, %error, "the run can't be stored; it is failed");
        self.runs.forget(id);
        let Some(epoch) = self.tenures.get(&shard).copied() else { return Ok(()) };
        let Some(mut live) = self.take(id).await? else { return Ok(()) };
        let now = self.store.now().await?;
        let failure = StepError::new(ErrorClass::TooLarge, error.to_string()).advice(error.advice());
        let change = break_off(&mut live.run, failure, now);
        let commit = self.commit_of(&live, &change, &Inputs::default())?;
        self.store.commit(shard, epoch, vec![commit], &[]).await?;
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
            self.note_reports(&live, &input.events);
            live.run.make_room(self.slots);
            live.run.recheck(self.recheck_every);
            live.run.store_lives(self.store_epoch.as_ref());
            let events = input.events.clone();
            let (stale, doubtful) = (live.run.head.stale_reports, live.run.head.possible_duplicates);
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
            let ignored = live.run.head.stale_reports - stale;
            if ignored > 0 {
                metrics::counter!("darkroom_coordinator_stale_reports_total").increment(u64::from(ignored));
            }
            let doubtful = live.run.head.possible_duplicates - doubtful;
            if doubtful > 0 {
                tracing::warn!(run = %id, calls = doubtful, "provider calls may have been paid twice");
                metrics::counter!("darkroom_coordinator_possible_duplicates_total").increment(u64::from(doubtful));
            }
            self.note_parked(&live.run);
            let commit = if change.is_empty() && input.commands.is_empty() {
                None
            } else {
                Some((self.commit_of(&live, &change, input)?, change))
            };
            // What only waits, and nothing happened to, is not kept; see `committed`.
            if commit.is_some() || !live.run.rests() {
                self.runs.put(live);
            }
            return Ok(commit);
        }
        Ok(None)
    }

    /// Takes a run out of the cache, or loads it.
    pub(crate) async fn take(&mut self, id: RunId) -> Result<Option<Live>, CoordinatorError> {
        if let Some(live) = self.runs.take(id) {
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
        let mut fields = change.steps.iter().map(|path| step_field(run, path)).collect::<Result<Vec<_>, _>>()?;
        fields.extend(change.voided.iter().map(|(step, generation)| (void_field(step, *generation), yes())));
        fields.extend(change.signals.iter().map(|number| signal_field(run, *number)).collect::<Result<Vec<_>, _>>()?);
        if change.inputs {
            fields.push(inputs_field(run)?);
        }
        let decides =
            |event: &Event| matches!(event, Event::Cancel { .. } | Event::Terminate { .. } | Event::Resume { .. });
        if input.events.iter().any(decides) {
            // Whoever cancels sets it at once; what the run makes of its commands has the last word.
            fields.push((CANCEL_FIELD.to_owned(), run.head.cancelled.as_ref().and_then(|_| yes())));
        }
        let scope = darkroom_engine::saved_scope(&run.spec);
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
        // A queue that forgets is filled from the steps themselves when its owner starts, and can lose nothing before.
        let outbox = Outbox::of(change).filter(|_| self.queue.durable());
        Ok(Commit {
            run: run.id,
            version: live.version,
            id: self.commit_id,
            summary: summary(run, live.fingerprint),
            head: encode_head(&run.head)?,
            fields,
            events: change.events.iter().map(encode_event).collect::<Result<Vec<_>, _>>()?,
            outbox: outbox.map(|outbox| outbox.encode()).transpose()?.unwrap_or_default(),
            // What a queue in memory holds is not lost while anybody looks; only what waits for a time has to be looked at.
            due: run.due().filter(|_| self.queue.durable() || run.has_timers()),
            commands: input.commands.clone(),
            saved: saved.collect(),
        })
    }

    /// What follows from a commit: effects to perform, news to tell, work to go on with.
    fn committed(&mut self, id: RunId, version: u64, change: Change, effects: &mut Effects) {
        let Some(live) = self.runs.get_mut(id) else { return };
        live.version = version;
        if let Some(failpoint) = &mut self.failpoint {
            failpoint.saw(&change);
        }
        let (status, rests, spec) = (live.run.head.status, live.run.rests(), live.run.spec.clone());
        // What is to be gone on with is performed by the commit that goes on.
        if !change.effects.is_empty() && !change.more {
            effects.performed.push((id, version));
        }
        for effect in change.effects {
            match effect {
                Effect::Dispatch { pool, batch, delay, message } => {
                    effects.publications.push(match TaskMessage::of(&message, &spec.tenant) {
                        Some(task) => Publication::Task { delay, message: Box::new(task) },
                        None => Publication::Step {
                            pool,
                            lane: if batch { Lane::Batch } else { Lane::First },
                            delay,
                            message,
                        },
                    });
                }
                Effect::StartChild(start) => effects.children.push(*start),
                // Handed over is performed: from here on it is given up rather than repeated.
                Effect::Notify(notice) => {
                    if let Some(notices) = &self.notices {
                        notices.tell(*notice);
                    }
                }
                Effect::TellParent(report) => effects.publications.push(Publication::Shard {
                    shard: self.shard_of(report.run),
                    message: ShardMessage::Reports(vec![*report]),
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
        // What only waits is loaded again when something happens to it: nobody knows when, and there may be very many.
        if status.is_terminal() || rests {
            self.runs.forget(id);
        }
    }
}

/// What is in a field that is there or not.
fn yes() -> Option<Vec<u8>> {
    Some(b"1".to_vec())
}

/// How each commit of a shard went, or why none was tried.
type Answer = Result<Vec<Result<Committed, StoreError>>, StoreError>;

/// Commits the changes of one shard. While the store is away a shared coordinator asks again, with the same commits: one
/// that was applied although its answer was lost is recognised by its id.
async fn commit_shard<S: Store>(
    store: S,
    shard: Shard,
    epoch: Epoch,
    commits: Vec<Commit>,
    performed: Vec<(RunId, u64)>,
    is_shared: bool,
) -> Answer {
    let retry = is_shared.then(|| commits.clone());
    match store.commit(shard, epoch, commits, &performed).await {
        Ok(outcomes) => return Ok(outcomes.into_iter().map(Ok).collect()),
        Err(error) if retry.is_none() || !(is_passing(&error) || is_too_large(&error)) => return Err(error),
        Err(error) => tracing::warn!(shard = shard.0, %error, "a commit is tried again, run by run"),
    }
    let mut outcomes = Vec::new();
    for commit in retry.into_iter().flatten() {
        outcomes.push(loop {
            match store.commit(shard, epoch, vec![commit.clone()], &[]).await {
                Ok(outcome) => break Ok(outcome.first().copied().unwrap_or(Committed::Conflict { current: 0 })),
                Err(error) if is_too_large(&error) => break Err(error),
                // Once the lease has ended the store says so, and this ends.
                Err(error) if is_passing(&error) => tokio::time::sleep(AGAIN_AFTER).await,
                Err(error) => return Err(error),
            }
        });
    }
    Ok(outcomes)
}

fn is_too_large(error: &StoreError) -> bool {
    matches!(error, StoreError::TooLarge { .. })
}

/// A run that a message is about; all of a message are of one shard.
fn first_run(message: &ShardMessage) -> Option<RunId> {
    match message {
        ShardMessage::Start(start) => Some(start.run),
        ShardMessage::Reports(reports) => reports.first().map(|report| report.run),
        ShardMessage::Nudge { run } => Some(*run),
        ShardMessage::Task(report) => report.run(),
    }
}

fn panicked() -> StepError {
    StepError::new(ErrorClass::WorkflowError, "deciding about the run failed inside Darkroom")
        .code("engine_panic")
        .advice("this is a bug in Darkroom; please report it with the workflow and the log")
}
