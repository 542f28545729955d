//! Looking at runs whose time has come: what became of the steps that nobody reported on.

use crate::relief::{ProviderSight, is_ready, providers_of};
use crate::runs::Live;
use crate::service::{Coordinator, CoordinatorError};
use darkroom_backend::{Call, Claim, Ledger, Member, Queue, QueueError, Role, RunFilter, Shard, Store};
use darkroom_engine::{Event, Overdue, Run, State, line, overdue, parked};
use darkroom_proto::{Duration, RunId, RunStatus, StepPath, Timestamp, op};
use futures_util::future::join_all;
use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

/// How many due runs of a shard one look takes.
const DUE_MAX: usize = 256;

/// How much later a step must have been sent that is already reported on, for an earlier one of its line to count as
/// lost: messages of one line overtake each other a little.
const OVERTAKING: Duration = Duration(2_000);

/// How much later than it was expected the next poll of a job may come, before it counts as lost.
const POLL_LATE_MAX: Duration = Duration::from_secs(15);

/// How many runs a list gives at once.
const LISTED_MAX: usize = 1_000;

/// What one look finds out about the fleet and the providers, asked for once.
#[derive(Default)]
struct Sight {
    workers: Option<BTreeSet<String>>,
    depths: BTreeMap<Cow<'static, str>, u64>,
    providers: BTreeMap<&'static str, ProviderSight>,
    /// Whether a key or a route got better since the last look.
    relieved: bool,
}

impl<S: Store + Ledger, Q: Queue> Coordinator<S, Q> {
    /// Finds the runs that are due, or that something has got better for, and tells itself what became of their steps.
    pub(crate) async fn look_around(&mut self) -> Result<(), CoordinatorError> {
        self.slots = slots(&self.store.members(Role::Worker).await?);
        self.learn_epoch().await;
        let now = self.store.now().await?;
        let shards: Vec<Shard> = self.tenures.keys().copied().collect();
        let asked = join_all(shards.iter().map(|shard| self.store.due(*shard, now, DUE_MAX))).await;
        let mut runs: BTreeSet<RunId> = BTreeSet::new();
        for due in asked {
            runs.extend(due?.0);
        }
        // Of what others left in a folder only what goes on here.
        runs.retain(|run| self.is_shared || self.parked.contains(run));
        let relief = self.store.relief().await?;
        let relieved = self.relief != Some(relief) || self.have_keys_changed().await?;
        if relieved {
            runs.extend(self.parked_runs().await?);
        }
        let mut sight = Sight { relieved, ..Sight::default() };
        for run in runs {
            self.look_at(run, now, &mut sight).await?;
        }
        // Only now: what could not be looked at is looked at again.
        self.relief = Some(relief);
        self.keys.extend(sight.providers.into_iter().map(|(provider, sight)| (provider, sight.keys)));
        if self.queue.durable() && self.reads_inboxes() {
            for inbox in join_all(shards.iter().map(|shard| self.store.inbox(*shard))).await {
                let commanded: BTreeSet<RunId> = inbox?.into_iter().map(|command| command.run).collect();
                self.own.extend(commanded.into_iter().map(|run| (run, Event::Continue)));
            }
        }
        Ok(())
    }

    /// Finds out what became of the steps of a run.
    async fn look_at(&mut self, run: RunId, now: Timestamp, sight: &mut Sight) -> Result<(), CoordinatorError> {
        let Some(live) = self.take(run).await? else { return Ok(()) };
        let lost = match self.queue.durable() {
            true => self.lost(&live, now, sight).await,
            false => Ok(BTreeSet::new()),
        };
        let ready = self.ready(&live, now, sight).await;
        // What has left the queue of a task is with a worker.
        let is_resent =
            |path: &&StepPath| line(&live.plan, path).is_none_or(|(pool, _)| !pool.starts_with(op::TASK_PREFIX));
        let resent = lost.as_ref().map_or(0, |lost| lost.iter().filter(is_resent).count());
        self.runs.put(live);
        let (lost, ready) = (lost?, ready?);
        if resent > 0 {
            tracing::warn!(%run, steps = resent, "messages about steps are lost; they are sent again");
            metrics::counter!("darkroom_coordinator_resends_total").increment(resent as u64);
        }
        if !ready.is_empty() {
            tracing::info!(%run, steps = ready.len(), "parked steps are tried again");
            metrics::counter!("darkroom_coordinator_released_steps_total").increment(ready.len() as u64);
        }
        self.own.push_back((run, Event::Looked { lost, ready }));
        Ok(())
    }

    /// Whether other keys are configured for a provider that parked steps wait for: nothing need be known against the old
    /// ones for that to help, such as after a restart.
    async fn have_keys_changed(&self) -> Result<bool, CoordinatorError> {
        if self.parked.is_empty() {
            return Ok(false);
        }
        for (provider, keys) in &self.keys {
            if self.store.keys(provider).await? != *keys {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The runs of our shards that have parked steps.
    async fn parked_runs(&self) -> Result<BTreeSet<RunId>, CoordinatorError> {
        let mut runs = self.parked.clone();
        if !self.is_shared {
            return Ok(runs);
        }
        let mut filter =
            RunFilter { statuses: vec![RunStatus::PendingRetry], limit: LISTED_MAX, ..RunFilter::default() };
        loop {
            let listed = self.store.list(&filter).await?;
            runs.extend(
                listed.iter().map(|(run, _)| *run).filter(|run| self.tenures.contains_key(&self.shard_of(*run))),
            );
            match listed.last() {
                Some((oldest, _)) if listed.len() == LISTED_MAX => filter.before = Some(*oldest),
                _ => return Ok(runs),
            }
        }
    }

    /// Remembers whether a run has parked steps. In one process also whether it has others that wait for a time; among many
    /// coordinators the store knows them.
    pub(crate) fn note_parked(&mut self, run: &Run) {
        if run.has_parked() || (!self.is_shared && run.has_timers() && !run.head.status.is_terminal()) {
            self.parked.insert(run.id);
        } else {
            self.parked.remove(&run.id);
        }
    }

    /// Asks in which life the store is.
    pub(crate) async fn learn_epoch(&mut self) {
        match self.store.epoch().await {
            Ok(epoch) if self.store_epoch.as_deref() == Some(&epoch) => {}
            Ok(epoch) => self.store_epoch = Some(epoch.into()),
            Err(error) => tracing::debug!(%error, "the store does not say in which life it is; it is asked again"),
        }
    }

    /// The parked steps of a run that nothing is in the way of any more.
    async fn ready(
        &self,
        live: &Live,
        now: Timestamp,
        sight: &mut Sight,
    ) -> Result<BTreeSet<StepPath>, CoordinatorError> {
        let mut ready = BTreeSet::new();
        let parked = parked(&live.plan, &live.run);
        for step in parked.into_iter().filter(|step| step.at <= now || sight.relieved) {
            for provider in providers_of(&step, now) {
                if !sight.providers.contains_key(provider) {
                    let (keys, conditions) = (self.store.keys(provider).await?, self.store.conditions(provider).await?);
                    sight.providers.insert(provider, ProviderSight { keys, conditions });
                }
            }
            if is_ready(&step, &sight.providers, now) {
                ready.insert(step.path);
            }
        }
        Ok(ready)
    }

    /// The overdue steps of a run whose messages are gone: no worker that is alive has them, no provider's job is looked
    /// after, and their line is empty or has moved on past them.
    async fn lost(
        &self,
        live: &Live,
        now: Timestamp,
        sight: &mut Sight,
    ) -> Result<BTreeSet<StepPath>, CoordinatorError> {
        let overdue = overdue(&live.plan, &live.run, now);
        let mut lost = BTreeSet::new();
        if overdue.is_empty() {
            return Ok(lost);
        }
        let claims = self.store.claims(live.run.id).await?;
        let calls = match overdue.iter().any(|overdue| overdue.calls_a_provider) {
            true => self.store.calls(live.run.id).await?,
            false => Vec::new(),
        };
        let workers = match &sight.workers {
            Some(workers) => workers,
            None => {
                let members = self.store.members(Role::Worker).await?;
                sight.workers.insert(members.into_iter().map(|member| member.id).collect())
            }
        };
        for overdue in overdue {
            let claim = claims.iter().find(|claim| is_claim_of(claim, &overdue));
            if claim.is_some_and(|claim| workers.contains(&claim.worker)) || is_looked_after(&calls, &overdue, now) {
                continue;
            }
            let line = (overdue.pool.clone(), overdue.batch);
            let passed = self.reported.get(&line).is_some_and(|latest| *latest > overdue.sent_at.after(OVERTAKING));
            let depth = match sight.depths.get(&overdue.pool) {
                Some(depth) => *depth,
                None => {
                    let depth = match self.queue.depth(&overdue.pool).await {
                        // The queue of a task is made with the first message to it; what was in one that is gone, is too.
                        Err(QueueError::NoSuchPool { pool }) if pool.starts_with(op::TASK_PREFIX) => 0,
                        depth => depth?,
                    };
                    *sight.depths.entry(overdue.pool.clone()).or_insert(depth)
                }
            };
            // What a provider has comes back by a line of its own.
            if overdue.submitted || passed || depth == 0 {
                lost.insert(overdue.path);
            }
        }
        Ok(lost)
    }

    /// Remembers how far each line of workers has come, from the reports of a run.
    pub(crate) fn note_reports(&mut self, live: &Live, events: &[Event]) {
        if !self.queue.durable() {
            return;
        }
        for event in events {
            let Event::Report(report) = event else { continue };
            let Some(step) = live.run.step(&report.path) else { continue };
            // A job that is looked after did not come by this line.
            if matches!(step.state, State::Waiting { submitted: true, .. }) {
                continue;
            }
            let Some(watch) = step.watch else { continue };
            let Some(line) = line(&live.plan, &report.path) else { continue };
            let latest = self.reported.entry(line).or_insert(watch.sent_at);
            *latest = (*latest).max(watch.sent_at);
        }
    }
}

/// Whether the worker took the message that the step was sent with last, and not an earlier one.
fn is_claim_of(claim: &Claim, overdue: &Overdue) -> bool {
    claim.step == overdue.path
        && claim.generation == overdue.generation
        && claim.since.after(OVERTAKING) >= overdue.sent_at
}

/// Whether a provider has a job for the step, and its next poll is not long overdue.
fn is_looked_after(calls: &[Call], overdue: &Overdue, now: Timestamp) -> bool {
    let of_step = |call: &&Call| call.step == overdue.path && call.generation == overdue.generation;
    let mut open = calls.iter().filter(of_step).filter(|call| call.state.is_open());
    open.any(|call| call.next_at.after(POLL_LATE_MAX) > now)
}

/// How many slots the workers of the widest pool have together, by what they say of themselves.
fn slots(workers: &[Member]) -> u32 {
    let mut of_pool: BTreeMap<String, u32> = BTreeMap::new();
    for worker in workers {
        let Ok(said) = serde_json::from_slice::<Said>(&worker.info) else { continue };
        for pool in said.pools {
            let slots = of_pool.entry(pool).or_default();
            *slots = slots.saturating_add(said.slots);
        }
    }
    of_pool.into_values().max().unwrap_or_default()
}

/// What a worker says of itself.
#[derive(Debug, serde::Deserialize)]
struct Said {
    pools: Vec<String>,
    slots: u32,
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_backend::{CallState, Token};
    use darkroom_proto::{CallId, Money};

    const NOW: Timestamp = Timestamp(1_000_000);

    fn due(sent_at: u64) -> Overdue {
        let (path, sent_at) = (StepPath::top("edit"), Timestamp(sent_at));
        Overdue {
            path,
            generation: 2,
            pool: "api".into(),
            batch: false,
            sent_at,
            calls_a_provider: true,
            submitted: true,
        }
    }

    fn call(step: &str, generation: u32, state: CallState, next_at: u64) -> Call {
        let step = StepPath::top(step);
        Call {
            id: CallId::new(RunId::from_bytes([7; 16]), &step, generation, 1),
            step,
            generation,
            number: 1,
            attempt: 1,
            model: "flux-pro".into(),
            provider: "fal".into(),
            endpoint: "fal-ai/flux-pro".into(),
            key: "k1".into(),
            worker: String::new(),
            price: Money::ZERO,
            at: Timestamp(1),
            send_by: Timestamp(2),
            state,
            handle: None,
            second_handle: None,
            turn: 1,
            next_at: Timestamp(next_at),
            cost: Money::ZERO,
            possible_duplicate: false,
            error: None,
        }
    }

    #[test]
    fn a_job_is_looked_after_until_its_next_poll_is_long_late() {
        let late = NOW.0 - POLL_LATE_MAX.0;
        let cases = [
            ("no call", vec![], false),
            ("due later", vec![call("edit", 2, CallState::Submitted, NOW.0 + 9)], true),
            ("a little late", vec![call("edit", 2, CallState::Submitted, late + 1)], true),
            ("long due", vec![call("edit", 2, CallState::Submitted, late)], false),
            ("settled", vec![call("edit", 2, CallState::Settled, NOW.0 + 9)], false),
            ("another generation", vec![call("edit", 1, CallState::Submitted, NOW.0 + 9)], false),
            ("another step", vec![call("video", 2, CallState::Submitted, NOW.0 + 9)], false),
            ("nobody knows of a job", vec![call("edit", 2, CallState::Intent, 0)], false),
        ];
        for (name, calls, want) in cases {
            assert_eq!(is_looked_after(&calls, &due(1), NOW), want, "{name}");
        }
    }

    #[test]
    fn a_claim_is_of_the_message_that_was_sent_last() {
        let claim = |step: &str, generation, since| Claim {
            step: StepPath::top(step),
            generation,
            attempt: 1,
            worker: "w".into(),
            token: Token(1),
            times: 1,
            since: Timestamp(since),
        };
        let cases = [
            ("after it was sent", claim("edit", 2, 90_001), true),
            ("clocks differ a little", claim("edit", 2, 89_000), true),
            ("before it was sent", claim("edit", 2, 60_000), false),
            ("another generation", claim("edit", 1, 90_001), false),
            ("another step", claim("video", 2, 90_001), false),
        ];
        for (name, claim, want) in cases {
            assert_eq!(is_claim_of(&claim, &due(90_000)), want, "{name}");
        }
    }

    #[test]
    fn slots_are_added_up_by_pool_and_the_widest_counts() {
        let worker = |info: &str| Member { id: info.into(), info: info.into() };
        let workers = [
            worker(r#"{"pools": ["api", "image"], "slots": 4}"#),
            worker(r#"{"pools": ["image"], "slots": 8}"#),
            worker("of another release"),
        ];
        assert_eq!(slots(&workers), 12);
        assert_eq!(slots(&[]), 0);
    }
}
