//! The loop of a worker: take a step, do it, report, ack. Nothing is kept between steps.

use crate::calls::{By, Caller, Handled};
use crate::errand;
use crate::reporter::{Outgoing, Reporter};
use crate::workbench::Workbench;
use darkroom_backend::{Delivery, Ledger, Member, Queue, QueueError, Role, Store, Token};
use darkroom_proto::{ErrorClass, Money, Outcome, Report, StepCost, StepError, StepMessage, Succeeded, op};
use futures_util::FutureExt as _;
use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Once};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// How long the others believe that this worker is alive after they last heard of it.
const MEMBER_TTL: Duration = Duration::from_secs(5);

/// How often it says so.
const ANNOUNCE_EVERY: Duration = Duration::from_millis(1_500);

/// A local op that takes longer than this is claimed, so that nobody takes its message for lost.
const CLAIM_AFTER: Duration = Duration::from_secs(5);

/// How long is waited before something is tried again that a server did not do.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// How long steps may go on after the worker was told to stop; those that take longer are handed back.
const DRAIN: Duration = Duration::from_secs(20);

/// A step that comes back this often without being reported on may be what kills its workers: from then on it is claimed
/// before it is begun, so that it can be told from those that only waited in the hands of a worker that was killed.
const SUSPICIOUS_DELIVERIES: u32 = 2;

/// An attempt that was begun this often under suspicion and never reported on is held to be what kills its workers.
const CLAIMS_MAX: u32 = 10;

/// Does the steps of some pools.
#[derive(Debug)]
pub struct Worker<S, Q> {
    store: S,
    queue: Q,
    id: String,
    pools: Arc<[String]>,
    slots: usize,
    shards: u16,
    workbench: Arc<Workbench>,
    /// Does steps by calling providers.
    caller: Arc<Caller<S>>,
    /// How many steps of pools whose steps mostly wait for somebody else it takes at once.
    call_slots: usize,
    /// So many steps are done on this machine at once, whatever pool they come from.
    hands: Arc<Semaphore>,
}

impl<S: Store, Q: Queue> Clone for Worker<S, Q> {
    fn clone(&self) -> Self {
        Worker {
            store: self.store.clone(),
            queue: self.queue.clone(),
            id: self.id.clone(),
            pools: self.pools.clone(),
            slots: self.slots,
            shards: self.shards,
            workbench: self.workbench.clone(),
            caller: self.caller.clone(),
            call_slots: self.call_slots,
            hands: self.hands.clone(),
        }
    }
}

impl<S: Store + Ledger, Q: Queue> Worker<S, Q> {
    /// A worker that calls itself `id` and does up to `slots` steps of `pools` at once, for runs in so many shards. Steps
    /// that providers do are done by `caller`.
    #[expect(clippy::too_many_arguments, reason = "each is one thing that a worker has")]
    pub fn new(
        store: S,
        queue: Q,
        id: String,
        pools: Vec<String>,
        slots: usize,
        shards: u16,
        workbench: Arc<Workbench>,
        caller: Arc<Caller<S>>,
    ) -> Worker<S, Q> {
        let slots = slots.max(1);
        let hands = Arc::new(Semaphore::new(slots));
        Worker { store, queue, id, pools: pools.into(), slots, shards, workbench, caller, call_slots: slots, hands }
    }

    /// Takes so many steps at once from the pools whose steps mostly wait for a provider to answer.
    pub fn calling(self, call_slots: usize) -> Worker<S, Q> {
        Worker { call_slots: call_slots.max(1), ..self }
    }

    /// Works until `stop`; then finishes what it has begun, or hands it back after a while, and returns.
    ///
    /// # Errors
    /// When the queue can't be used any more. Steps that were taken and not acked come again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), QueueError> {
        let (reporter, outgoing) = Reporter::new(self.queue.clone(), self.shards);
        let mut reporters = JoinSet::new();
        reporters.spawn(reporter.run());
        let mut presence = JoinSet::new();
        presence.spawn(self.clone().stay_announced());
        // Before the first call, which is asked about by it.
        self.caller.learn_pace().await;
        let caller = self.caller.clone();
        presence.spawn(async move { caller.attend().await });
        let mut slots = JoinSet::new();
        let (own, calling): (Vec<String>, Vec<String>) = self.pools.iter().cloned().partition(|pool| pool == OWN_POOL);
        for (pools, slots_of) in [(own, self.slots), (calling, self.call_slots)] {
            let pools: Arc<[String]> = pools.into();
            for _ in 0..if pools.is_empty() { 0 } else { slots_of } {
                let (worker, pools, stop, outgoing) = (self.clone(), pools.clone(), stop.clone(), outgoing.clone());
                slots.spawn(async move { worker.slot(&pools, stop, outgoing).await });
            }
        }
        metrics::gauge!("darkroom_worker_slots", "state" => "busy").set(0.0);
        drop(outgoing);
        let mut ended = Ok(());
        let drained = async {
            stop.cancelled().await;
            tokio::time::sleep(DRAIN).await;
        };
        tokio::pin!(drained);
        loop {
            tokio::select! {
                slot = slots.join_next() => match slot {
                    Some(slot) => ended = ended.and(joined(slot)),
                    None => break,
                },
                // It ends before the slots only when the queue can't be used any more.
                Some(reporter) = reporters.join_next() => {
                    ended = ended.and(joined(reporter));
                    slots.abort_all();
                }
                () = &mut drained => {
                    tracing::warn!(steps = slots.len(), "steps that take longer are handed back");
                    slots.abort_all();
                }
            }
        }
        // What was done is reported before the worker leaves.
        while let Some(reporter) = reporters.join_next().await {
            ended = ended.and(joined(reporter));
        }
        presence.abort_all();
        if let Ok(Err(error)) = tokio::time::timeout(AGAIN_AFTER, self.store.leave(Role::Worker, &self.id)).await {
            tracing::debug!(%error, "could not take leave; the others notice by themselves");
        }
        ended
    }

    /// Tells the others that this worker is alive, for as long as it is.
    async fn stay_announced(self) {
        let info = serde_json::json!({"pools": &*self.pools, "slots": self.slots});
        let member = Member { id: self.id.clone(), info: info.to_string().into_bytes() };
        loop {
            if let Err(error) = self.store.announce(Role::Worker, &member, MEMBER_TTL).await {
                tracing::debug!(%error, "could not announce this worker");
            }
            tokio::time::sleep(ANNOUNCE_EVERY).await;
        }
    }

    async fn slot(
        &self,
        pools: &[String],
        stop: CancellationToken,
        outgoing: Outgoing<Q::Step>,
    ) -> Result<(), QueueError> {
        loop {
            let taken = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                taken = self.queue.take_step(pools) => taken,
            };
            let mut delivery = match taken {
                Ok(Some(delivery)) => delivery,
                Ok(None) => return Ok(()),
                Err(error) if !self.queue.durable() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "waiting for the broker");
                    tokio::time::sleep(AGAIN_AFTER).await;
                    continue;
                }
            };
            let message = delivery.message();
            let span = tracing::info_span!("step", run = %message.run, step = %message.path, attempt = message.attempt);
            let _busy = Busy::new();
            if self.caller.serves(message) {
                self.called(delivery, &outgoing).instrument(span).await?;
                continue;
            }
            let is_suspicious = delivery.delivery_count() >= SUSPICIOUS_DELIVERIES;
            let outcome = self.attempt(message, is_suspicious).instrument(span.clone()).await;
            let Some(outcome) = outcome else {
                // Somebody else has claimed the step since, and reports on it.
                span.in_scope(|| tracing::info!("another worker has the step now"));
                delivery.ack().await?;
                continue;
            };
            span.in_scope(|| tracing::debug!(outcome = outcome.name(), "step finished"));
            metrics::counter!("darkroom_worker_steps_total", "outcome" => outcome.name()).increment(1);
            let message = delivery.message();
            let report = Report {
                run: message.run,
                path: message.path.clone(),
                generation: message.generation,
                attempt: message.attempt,
                outcome,
                cost: StepCost::default(),
            };
            if self.queue.durable() {
                delivery.worked();
                outgoing.send(report, delivery).await;
            } else {
                // In memory it is done in less time than handing it to another task takes.
                self.queue.publish(crate::reporter::messages(vec![report], self.shards)).await?;
                delivery.ack().await?;
            }
        }
    }

    /// Deals with a message about a step that a provider does: what carries the step on is safe before the message is
    /// acked.
    async fn called(&self, mut delivery: Q::Step, outgoing: &Outgoing<Q::Step>) -> Result<(), QueueError> {
        let message = delivery.message();
        let handling = AssertUnwindSafe(self.caller.handle(message, delivery.redelivered())).catch_unwind();
        let handled = handling.await.unwrap_or_else(|panic| Handled::panicked(panicked(&message.op, &*panic)));
        let (next, outcome, cost) = match handled {
            Handled::Dropped => return delivery.ack().await,
            Handled::Ended { outcome, cost } => (Vec::new(), Some(outcome), cost),
            Handled::Waits { next, waiting, cost } => (next, waiting.map(Outcome::Waiting), cost),
        };
        while !next.is_empty() {
            match self.queue.publish(next.clone()).await {
                Ok(()) => break,
                Err(error) if !self.queue.durable() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "publishing what carries the step on failed and is tried again");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
        let Some(outcome) = outcome else { return delivery.ack().await };
        if let Outcome::Succeeded(succeeded) = &outcome {
            self.caller.keep_cached(delivery.message(), succeeded, By::Provider, cost.spent).await;
        }
        tracing::debug!(outcome = outcome.name(), "call handled");
        metrics::counter!("darkroom_worker_steps_total", "outcome" => outcome.name()).increment(1);
        let message = delivery.message();
        let report = Report {
            run: message.run,
            path: message.path.clone(),
            generation: message.generation,
            attempt: message.attempt,
            outcome,
            cost,
        };
        self.caller.reaches_ack();
        if self.queue.durable() {
            delivery.worked();
            outgoing.send(report, delivery).await;
            return Ok(());
        }
        self.queue.publish(crate::reporter::messages(vec![report], self.shards)).await?;
        delivery.ack().await
    }

    /// One attempt of a step, within its time. A panic in it is its error. `None`: another worker has the step now.
    async fn attempt(&self, message: &StepMessage, is_suspicious: bool) -> Option<Outcome> {
        if let Some(taken) = self.caller.take_cached(message, By::Local).await {
            return Some(taken.map_or_else(Outcome::Failed, Outcome::Succeeded));
        }
        let claims = has_side_effects(message) || is_suspicious;
        let token = if claims { Some(self.claim(message).await) } else { None };
        if is_suspicious && self.times_begun(message).await > CLAIMS_MAX {
            return Some(Outcome::Failed(poison()));
        }
        let outcome = {
            let work = self.work(message);
            tokio::pin!(work);
            match tokio::time::timeout(CLAIM_AFTER, &mut work).await {
                Ok(outcome) => outcome,
                Err(_) => {
                    if token.is_none() {
                        // Shown to whoever looks for lost messages; it may fail, the step is not fenced by it.
                        let claimed =
                            self.store.claim(message.run, &message.path, message.generation, message.attempt, &self.id);
                        if let Err(error) = claimed.await {
                            tracing::debug!(%error, "could not claim a long step");
                        }
                    }
                    work.await
                }
            }
        };
        let succeeded = match outcome {
            Ok(succeeded) => succeeded,
            Err(error) => return Some(Outcome::Failed(error)),
        };
        if let Some(token) = token
            && !self.holds(message, token).await
        {
            return None;
        }
        Some(match self.keep(message, succeeded).await {
            Ok(succeeded) => {
                self.caller.keep_cached(message, &succeeded, By::Local, Money::ZERO).await;
                Outcome::Succeeded(succeeded)
            }
            Err(error) => Outcome::Failed(error),
        })
    }

    /// Takes the step into this worker's hands, however long the store is away: without a claim nothing is done that has
    /// effects elsewhere.
    async fn claim(&self, message: &StepMessage) -> Token {
        loop {
            let claim = self.store.claim(message.run, &message.path, message.generation, message.attempt, &self.id);
            match claim.await {
                Ok(token) => return token,
                Err(error) => {
                    tracing::warn!(%error, "waiting for the store");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    /// How often this attempt was claimed; 0 while the store is away, which only keeps a suspicion from being confirmed.
    async fn times_begun(&self, message: &StepMessage) -> u32 {
        let claims = self.store.claims(message.run).await.unwrap_or_default();
        let claim = claims.iter().find(|claim| claim.step == message.path && claim.generation == message.generation);
        claim.map_or(0, |claim| claim.times)
    }

    async fn holds(&self, message: &StepMessage, token: Token) -> bool {
        loop {
            match self.store.holds(message.run, &message.path, message.generation, token).await {
                Ok(holds) => return holds,
                Err(error) => {
                    tracing::warn!(%error, "waiting for the store");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    /// Does the op.
    async fn work(&self, message: &StepMessage) -> Result<Succeeded, StepError> {
        if message.op == "noop" {
            return noop(message).await;
        }
        if errand::serves(&message.op) {
            return errand::run(self.caller.net(), &self.workbench, message).await;
        }
        let (workbench, message, timeout) = (self.workbench.clone(), message.clone(), message.timeout);
        // However many steps wait for providers, this machine has only so many hands.
        let _hand = self.hands.clone().acquire_owned().await;
        // Pixel work would hold up everything else on an async thread, so it has threads of its own.
        let work = tokio::task::spawn_blocking(move || {
            let op = message.op.clone();
            quietly(|| std::panic::catch_unwind(AssertUnwindSafe(|| workbench.perform(&message))))
                .unwrap_or_else(|panic| Err(panicked(&op, &*panic)))
        });
        match tokio::time::timeout(timeout.to_std(), work).await {
            Ok(Ok(done)) => done,
            Ok(Err(_)) => Err(StepError::new(ErrorClass::WorkflowError, "the step was aborted")),
            Err(_) => Err(StepError::new(ErrorClass::Timeout, format!("the attempt took longer than {timeout}"))
                .advice("give the step a longer `timeout:`, or less to do")),
        }
    }

    /// Keeps the manifest of a step that made a file.
    async fn keep(&self, message: &StepMessage, succeeded: Succeeded) -> Result<Succeeded, StepError> {
        if !Workbench::leaves_manifest(&succeeded) {
            return Ok(succeeded);
        }
        let (workbench, message) = (self.workbench.clone(), message.clone());
        let kept =
            tokio::task::spawn_blocking(move || workbench.keep_manifest(&message, &succeeded).map(|()| succeeded));
        kept.await.unwrap_or_else(|_| Err(StepError::new(ErrorClass::WorkflowError, "the step was aborted")))
    }
}

fn joined(ended: Result<Result<(), QueueError>, tokio::task::JoinError>) -> Result<(), QueueError> {
    match ended {
        Ok(ended) => ended,
        // Handed back.
        Err(error) if error.is_cancelled() => Ok(()),
        Err(error) => Err(QueueError::Unavailable(error.to_string())),
    }
}

/// The pool whose steps are done on this machine; the steps of others mostly wait for a provider.
const OWN_POOL: &str = "image";

/// A slot that is in use.
struct Busy;

impl Busy {
    fn new() -> Busy {
        metrics::gauge!("darkroom_worker_slots", "state" => "busy").increment(1.0);
        Busy
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        metrics::gauge!("darkroom_worker_slots", "state" => "busy").decrement(1.0);
    }
}

/// Whether the step does what can't be undone by doing it again: it calls a provider, or asks somebody else's server.
fn has_side_effects(message: &StepMessage) -> bool {
    op::find(&message.op).is_some_and(|op| op.pool != "image")
}

fn poison() -> StepError {
    StepError::new(
        ErrorClass::WorkflowError,
        format!("workers began the step {CLAIMS_MAX} times and none of them came to report on it"),
    )
    .code("poison")
    .advice("look at what the step is given; a smaller picture may help. Then resume the run")
}

/// The one op that does not deserve a thread.
async fn noop(message: &StepMessage) -> Result<Succeeded, StepError> {
    let (wait, succeeded) = crate::ops::noop(message)?;
    if wait.0 > 0 {
        tokio::time::sleep(wait.to_std()).await;
    }
    Ok(succeeded)
}
thread_local! {
    /// Whether this thread does a step, whose panic becomes the step's error.
    static IN_STEP: Cell<bool> = const { Cell::new(false) };
}

/// Does something whose panic is told as a step's error and not, a second time, by the process' hook.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match IN_STEP.get() {
            true => tracing::debug!(%panic, backtrace = %Backtrace::capture(), "a step panicked"),
            false => loud(panic),
        }));
    });
    IN_STEP.set(true);
    let done = work();
    IN_STEP.set(false);
    done
}

fn panicked(op: &str, panic: &(dyn Any + Send)) -> StepError {
    let said = panic
        .downcast_ref::<&str>()
        .map(|said| (*said).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    StepError::new(ErrorClass::WorkflowError, format!("{op} panicked: {said}"))
        .code("panic")
        .advice("this is a bug in Darkroom; please report it with the file that it was given")
}
