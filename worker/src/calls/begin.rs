//! From a step to a job at a provider.

use super::choice::{Candidate, Choice};
use super::{
    ASKED_AT, ASKED_AT_IF_TOLD, By, Caller, DELAY_MAX, Handled, NOTE_WITHIN, Stuck, deferred, next_id, poll_message,
};
use crate::failpoint::Moment;
use crate::workbench::Kept;
use darkroom_backend::{
    Admission, Call, CallState, Fact, Fitness, Intended, Intent, Ledger, Refusal, Reservation, Sighting, Store, Token,
};
use darkroom_proto::{Duration, ErrorClass, Money, Outcome, StepCost, StepError, StepMessage, Timestamp, Waiting};
use darkroom_provider::{Access, Ask, Failure, File, Product, Submitted};
use serde_json::Value;
use std::time::Duration as StdDuration;

/// How many routes one message may try: each refused it unpaid.
const TRIES_MAX: usize = 12;

/// How long after it was written down a call may still be sent. Whoever is slower leaves it, because from then on others
/// may believe that it was sent and lost.
const SEND_WITHIN: Duration = Duration::from_secs(5);

/// How long money stays set aside for a call that nobody hears of.
const RESERVED_FOR: Duration = Duration::from_secs(3_600);

/// How much longer than until the next poll a place is held.
const HELD_BEYOND: Duration = Duration::from_secs(120);

/// What came of an attempt to call somebody.
#[expect(clippy::large_enum_variant, reason = "it is handed on at once, never kept")]
enum Tried {
    Handled(Handled),
    /// It cost nothing and came to nothing; somebody else may be called.
    Next,
}

impl<S: Store + Ledger> Caller<S> {
    /// Begins a step, or goes on with the call of it that is open.
    pub(super) async fn begin(&self, message: &StepMessage, redelivered: bool) -> Result<Handled, Stuck> {
        // What the ledger has may be told of before the claim: whether a call may be made is decided by the intent alone.
        let (token, mut calls) = tokio::try_join!(self.take(message), self.calls_of(message))?;
        // As long as nothing was sent for it, it may be spared the call.
        if calls.is_empty()
            && let Some(taken) = self.take_cached(message, By::Provider).await
        {
            let outcome = taken.map_or_else(Outcome::Failed, Outcome::Succeeded);
            return Ok(Handled::Ended { outcome, cost: StepCost::default() });
        }
        for tried in 0..TRIES_MAX {
            if tried > 0 {
                calls = self.calls_of(message).await?;
            }
            let open = calls.iter().rev().find(|call| !call.state.is_closed());
            if let Some(call) = open {
                match self.attach(message, call, &calls).await? {
                    Some(handled) => return Ok(handled),
                    // It is closed now, unpaid or flagged.
                    None => continue,
                }
            }
            if redelivered
                && calls.is_empty()
                && let Some(handled) = self.after_a_loss(message).await?
            {
                return Ok(handled);
            }
            match self.call(message, token, &calls).await? {
                Tried::Handled(handled) => return Ok(handled),
                Tried::Next => {}
            }
        }
        let error = StepError::new(ErrorClass::ServerUnavailable, "every route refused the call")
            .advice("`darkroom providers list` shows what is known of the providers");
        Ok(Handled::failed(error, self.cost_of(message).await?))
    }

    async fn take(&self, message: &StepMessage) -> Result<Token, Stuck> {
        let claim = || self.store.claim(message.run, &message.path, message.generation, message.attempt, &self.worker);
        self.insist(claim).await
    }

    /// A message that came before, from an earlier life of the store, of which the ledger knows nothing: the ledger may
    /// have lost its last moments. What is kept beside the files tells whether the step is done.
    async fn after_a_loss(&self, message: &StepMessage) -> Result<Option<Handled>, Stuck> {
        let Some(sent_in) = &message.epoch else { return Ok(None) };
        if self.insist(|| self.store.epoch()).await? == *sent_in {
            return Ok(None);
        }
        if let Some(kept) = self.kept(message).await? {
            let cost = self.cost_of(message).await?;
            return Ok(Some(Handled::Ended { outcome: Outcome::Succeeded(kept.succeeded), cost }));
        }
        if !self.holds_when_unknown(message) {
            tracing::warn!("the store was replaced since the step was sent; a call of it may be paid twice");
            metrics::counter!("darkroom_possible_duplicate_charges_total").increment(1);
            return Ok(None);
        }
        let error = StepError::new(
            ErrorClass::UnknownOutcome,
            "the store was replaced after the step was sent, and nobody can tell whether a call of it was paid",
        )
        .advice("look at the provider's own list of jobs; then resume the run from this step");
        Ok(Some(Handled::failed(error, StepCost::default())))
    }

    /// Whether a step whose payment is in doubt waits for a person.
    pub(super) fn holds_when_unknown(&self, message: &StepMessage) -> bool {
        message.params.get("on-unknown").and_then(Value::as_str) == Some("hold")
    }

    /// Goes on with a call that is open or settled. `None`: it is closed now, and another may be made.
    pub(super) async fn attach(
        &self,
        message: &StepMessage,
        call: &Call,
        calls: &[Call],
    ) -> Result<Option<Handled>, Stuck> {
        match call.state {
            CallState::Submitted => {
                let poll = poll_message(message, call, call.turn + 1, Duration(0), false);
                Ok(Some(waits(message, call, vec![poll], super::cost(calls))))
            }
            CallState::Settled => {
                let cost = super::cost(calls);
                Ok(Some(match self.kept(message).await? {
                    Some(kept) => Handled::Ended { outcome: Outcome::Succeeded(kept.succeeded), cost },
                    None => {
                        let error = StepError::new(
                            ErrorClass::WorkflowError,
                            "the step is paid and done, but its manifest is not in the artifact store any more",
                        )
                        .code("manifest_missing")
                        .advice("restore the artifact store; `resume --from-step` does the step anew and pays again");
                        Handled::failed(error, cost)
                    }
                }))
            }
            CallState::Held => Ok(Some(Handled::failed(super::doubt::held(call), super::cost(calls)))),
            _ => self.doubt(message, call).await,
        }
    }

    /// Calls somebody for the step.
    async fn call(&self, message: &StepMessage, token: Token, calls: &[Call]) -> Result<Tried, Stuck> {
        let now = self.now().await?;
        let so_far = super::cost(calls);
        let candidate = match self.choose(message, calls, now).await? {
            Choice::Call(candidate) => candidate,
            Choice::Later { at, reason } => return Ok(Tried::Handled(self.later(message, at, now, reason, so_far))),
            Choice::Nobody(error) => return Ok(Tried::Handled(Handled::failed(error, so_far))),
        };
        let files = match self.inputs(message, &candidate).await {
            Ok(files) => files,
            Err(error) => return self.not_sent(message, &candidate, error, so_far).await,
        };
        let id = next_id(message, calls);
        let usual = self.providers.usually(&message.op, candidate.route);
        let limits = candidate.account.limits(candidate.route, &candidate.key.fingerprint);
        if !limits.is_empty() {
            let hold = usual.max(Duration::from_secs(1));
            let hold = Duration(hold.0 + HELD_BEYOND.0);
            if let Admission::Later { at, limit } = self.insist(|| self.store.admit(&id, &limits, hold)).await? {
                let reason = format!("a free place at {} ({limit})", candidate.route.provider);
                return Ok(Tried::Handled(self.later(message, at, now, reason, so_far)));
            }
        }
        let price = price(message, &candidate);
        let name = super::model(message);
        let purses = self.providers.purses(&message.provenance.workflow, &name, &candidate.route.provider);
        let reserved = self.insist(|| self.store.reserve(&id, price, &purses, RESERVED_FOR)).await?;
        if let Reservation::Short { purse, spent, daily } = reserved {
            self.withdraw(&id, &limits).await?;
            let text =
                format!("the call costs up to {price}, and {purse} has spent or set aside {spent} of {daily} today");
            return Ok(Tried::Handled(Handled::failed(over_budget(text), so_far)));
        }
        self.reaches(Moment::BeforeIntent);
        let intent = Intent {
            run: message.run,
            step: message.path.clone(),
            generation: message.generation,
            attempt: message.attempt,
            token,
            model: name,
            provider: candidate.route.provider.clone(),
            endpoint: candidate.route.endpoint.clone(),
            key: candidate.key.fingerprint.clone(),
            worker: self.worker.clone(),
            price,
            send_within: SEND_WITHIN,
            budget: message.budget,
        };
        let began = tokio::time::Instant::now();
        let call = match self.insist(|| self.store.intent(&intent)).await? {
            Intended::Granted(call) => call,
            // Somebody was quicker; it is looked at again.
            Intended::Open(_) => return Ok(Tried::Next),
            Intended::Refused(refusal) => {
                self.withdraw(&id, &limits).await?;
                self.insist(|| self.store.book(&id, Money::ZERO, &purses)).await?;
                return Ok(Tried::Handled(self.refused(refusal, so_far)));
            }
        };
        self.reaches(Moment::AfterIntent);
        if began.elapsed() >= StdDuration::from_millis(SEND_WITHIN.0) {
            let error = StepError::new(ErrorClass::ServerUnavailable, "the store took too long to answer");
            return self.came_to_nothing(message, &call, error, &candidate).await;
        }
        self.send(message, &call, &candidate, &files, so_far).await
    }

    /// Sends a call that is written down.
    async fn send(
        &self,
        message: &StepMessage,
        call: &Call,
        candidate: &Candidate,
        files: &[File],
        so_far: StepCost,
    ) -> Result<Tried, Stuck> {
        let adapter = candidate.account.adapter;
        let access = self.access(&candidate.account, &candidate.key).await?;
        let hook = match adapter.traits().webhook && self.providers.options.public_url.is_some() {
            true => self.providers.hook(adapter.name(), &call.id, &self.secret().await?),
            false => None,
        };
        let params = super::inputs::canonical(&message.op, &message.params);
        let ask = Ask {
            op: &message.op,
            route: candidate.route,
            params: &params,
            files,
            call: &call.id,
            webhook: hook.as_deref(),
        };
        let submission = match adapter.submit(&access, &ask) {
            Ok(submission) => submission,
            Err(error) => return self.came_to_nothing(message, call, error, candidate).await,
        };
        let sent_at = tokio::time::Instant::now();
        let sending = self.ask(adapter.name(), "submit", &submission.request);
        let answer = if self.failpoint.is_some() { self.send_watched(sending).await } else { sending.await };
        self.reaches(Moment::Answered);
        let response = match answer {
            Ok(response) => response,
            Err(failed) if !failed.maybe_sent => {
                return self.came_to_nothing(message, call, failed.error, candidate).await;
            }
            Err(failed) => {
                tracing::warn!(call = %call.id, error = %failed.error, "nobody can tell yet whether the provider has the job");
                self.saw(candidate, &failed.error).await?;
                return match self.doubt(message, call).await? {
                    Some(handled) => Ok(Tried::Handled(handled)),
                    None => Ok(Tried::Next),
                };
            }
        };
        match adapter.submitted(&access, &ask, &response) {
            Submitted::Accepted(handle) => {
                self.saw_good(candidate).await?;
                Ok(Tried::Handled(self.accepted(message, call, candidate, handle, sent_at, so_far).await))
            }
            Submitted::Done(product) => {
                self.saw_good(candidate).await?;
                self.done_at_once(message, call, candidate, product, &access).await.map(Tried::Handled)
            }
            Submitted::Refused(failure) => self.failed(message, call, candidate, failure).await,
            Submitted::Unclear(error) => {
                self.saw(candidate, &error).await?;
                match self.doubt(message, call).await? {
                    Some(handled) => Ok(Tried::Handled(handled)),
                    None => Ok(Tried::Next),
                }
            }
        }
    }

    /// As in real life, but a test may end the process while the answer is on its way.
    async fn send_watched<T>(&self, sending: impl Future<Output = T>) -> T {
        const ON_ITS_WAY: StdDuration = StdDuration::from_millis(60);
        tokio::pin!(sending);
        match tokio::time::timeout(ON_ITS_WAY, &mut sending).await {
            Ok(answer) => answer,
            Err(_) => {
                self.reaches(Moment::Sent);
                sending.await
            }
        }
    }

    /// The provider has the job: its handle is written down before anything else.
    async fn accepted(
        &self,
        message: &StepMessage,
        call: &Call,
        candidate: &Candidate,
        handle: Value,
        sent_at: tokio::time::Instant,
        so_far: StepCost,
    ) -> Handled {
        let delay = self.first_poll(message, candidate);
        let next_at = call.at.after(Duration(sent_at.elapsed().as_millis() as u64)).after(delay);
        let fact = Fact::Submitted { handle: handle.clone(), next_at };
        let noted = tokio::time::timeout(NOTE_WITHIN, async {
            loop {
                match self.store.note(message.run, &call.id, &fact).await {
                    Ok(noted) => return noted,
                    Err(error) => {
                        tracing::warn!(%error, "waiting for the store with the handle of a job");
                        tokio::time::sleep(super::AGAIN_AFTER).await;
                    }
                }
            }
        })
        .await;
        let is_only_copy = noted.is_err();
        if !is_only_copy {
            self.reaches(Moment::Submitted);
        }
        let is_cancelled = matches!(&noted, Ok(Some(noted)) if noted.cancelled);
        let call = Call { handle: Some(handle), state: CallState::Submitted, next_at, ..call.clone() };
        // A job that nobody wants any more is asked about at once, which cancels it.
        let delay = if is_cancelled { Duration(0) } else { delay };
        let poll = poll_message(message, &call, 1, delay, is_only_copy);
        // What is under way has cost nothing yet.
        waits(message, &call, vec![poll], so_far)
    }

    /// How long after its submission a job is asked about first.
    fn first_poll(&self, message: &StepMessage, candidate: &Candidate) -> Duration {
        let usual = self.providers.usually(&message.op, candidate.route);
        let is_told = candidate.account.adapter.traits().webhook && self.providers.options.public_url.is_some();
        let share = if is_told { ASKED_AT_IF_TOLD } else { ASKED_AT };
        Duration((usual.0.saturating_mul(share) / 100).clamp(250, DELAY_MAX))
    }

    /// The step comes back later, without using an attempt.
    pub(super) fn later(
        &self,
        message: &StepMessage,
        at: Timestamp,
        now: Timestamp,
        reason: String,
        cost: StepCost,
    ) -> Handled {
        let since = message.deferred_since.unwrap_or(now);
        let delay = at.since(now);
        let waiting = Waiting { reason, submitted: false, until: at };
        Handled::Waits { next: vec![deferred(message, since, delay)], waiting: Some(waiting), cost }
    }

    fn refused(&self, refusal: Refusal, cost: StepCost) -> Handled {
        match refusal {
            Refusal::Stale | Refusal::Ended => Handled::Dropped,
            Refusal::Cancelled => {
                Handled::failed(StepError::new(ErrorClass::Cancelled, "the run was cancelled before the call"), cost)
            }
            Refusal::OverBudget { spent, budget } => {
                let text =
                    format!("the call would go over the run's budget: {spent} of {budget} are spent or set aside");
                Handled::failed(over_budget(text), cost)
            }
        }
    }

    /// A provider refused a call, or the job failed at once.
    async fn failed(
        &self,
        message: &StepMessage,
        call: &Call,
        candidate: &Candidate,
        failure: Failure,
    ) -> Result<Tried, Stuck> {
        if !failure.billed {
            return self.came_to_nothing(message, call, failure.error, candidate).await;
        }
        self.saw(candidate, &failure.error).await?;
        let handled = self.ended_badly(message, call, failure).await?;
        Ok(Tried::Handled(handled))
    }

    /// A call cost nothing: another route may be tried at once, if that can help.
    async fn came_to_nothing(
        &self,
        message: &StepMessage,
        call: &Call,
        error: StepError,
        candidate: &Candidate,
    ) -> Result<Tried, Stuck> {
        let fact = Fact::Rejected { error: error.clone() };
        self.insist(|| self.store.note(message.run, &call.id, &fact)).await?;
        self.close(message, call, Money::ZERO).await?;
        let so_far = self.cost_of(message).await?;
        self.not_sent(message, candidate, error, so_far).await
    }

    async fn not_sent(
        &self,
        _message: &StepMessage,
        candidate: &Candidate,
        error: StepError,
        so_far: StepCost,
    ) -> Result<Tried, Stuck> {
        self.saw(candidate, &error).await?;
        Ok(match error.class {
            // The key or the route is marked, and the next choice is another one, if there is one.
            ErrorClass::RateLimit | ErrorClass::QuotaExceeded | ErrorClass::InvalidKey | ErrorClass::ModelNotFound => {
                Tried::Next
            }
            _ => Tried::Handled(Handled::failed(error, so_far)),
        })
    }

    /// A job that is paid failed.
    pub(super) async fn ended_badly(
        &self,
        message: &StepMessage,
        call: &Call,
        failure: Failure,
    ) -> Result<Handled, Stuck> {
        let cost = if failure.billed { call.price } else { Money::ZERO };
        let fact = Fact::Failed { error: failure.error.clone(), cost };
        self.insist(|| self.store.note(message.run, &call.id, &fact)).await?;
        self.close(message, call, cost).await?;
        Ok(Handled::failed(failure.error, self.cost_of(message).await?))
    }

    /// A provider answered with the outcome itself.
    async fn done_at_once(
        &self,
        message: &StepMessage,
        call: &Call,
        candidate: &Candidate,
        product: Product,
        access: &Access,
    ) -> Result<Handled, Stuck> {
        /// How often an output is fetched that is told once only.
        const FETCHES: u32 = 5;
        let mut wait = StdDuration::from_millis(500);
        let mut problem = None;
        for _ in 0..FETCHES {
            match self.rescue(message, call, &candidate.account, access, &product).await {
                Ok(succeeded) => {
                    return self.settle(message, call, succeeded, product.cost.unwrap_or(call.price)).await;
                }
                Err(super::settle::Trouble::Hard(error)) => {
                    return self.ended_badly(message, call, Failure::billed(error)).await;
                }
                Err(super::settle::Trouble::Passing(error)) => problem = Some(error),
            }
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        let error = problem.unwrap_or_else(|| StepError::new(ErrorClass::Network, "the output can't be fetched"));
        self.ended_badly(message, call, Failure::billed(error)).await
    }

    async fn withdraw(&self, id: &darkroom_proto::CallId, limits: &[darkroom_backend::Limit]) -> Result<(), Stuck> {
        if limits.is_empty() {
            return Ok(());
        }
        let names: Vec<String> = limits.iter().map(|limit| limit.name.clone()).collect();
        self.insist(|| self.store.give_back(id, &names)).await
    }

    /// Notes that a key and a route work.
    pub(super) async fn saw_good(&self, candidate: &Candidate) -> Result<(), Stuck> {
        let provider = &candidate.route.provider;
        let conditions = self.conditions(provider).await?;
        for of in [format!("key/{}", candidate.key.fingerprint), format!("route/{}", candidate.route.endpoint)] {
            // What nothing bad is known of need not be told again and again.
            if conditions.iter().any(|condition| condition.of == of) {
                self.insist(|| self.store.saw(provider, &of, &Sighting::Good)).await?;
                self.forget_conditions(provider);
            }
        }
        Ok(())
    }

    /// Notes what an error says of a key or a route.
    pub(super) async fn saw(&self, candidate: &Candidate, error: &StepError) -> Result<(), Stuck> {
        let (key, route) =
            (format!("key/{}", candidate.key.fingerprint), format!("route/{}", candidate.route.endpoint));
        let recheck = self.providers.options.recheck_every;
        let bad = |state, first, max| Sighting::Bad { state, first, max, note: error.message.clone() };
        let (of, sighting) = match error.class {
            ErrorClass::RateLimit => {
                let pause = error.retry_after.unwrap_or(Duration::from_secs(5));
                (key, bad(Fitness::Cooling, pause, Duration(pause.0.max(60_000))))
            }
            ErrorClass::QuotaExceeded => (key, bad(Fitness::Exhausted, recheck, Duration(recheck.0 * 2))),
            ErrorClass::InvalidKey => (key, bad(Fitness::Invalid, recheck, Duration(recheck.0 * 2))),
            ErrorClass::ModelNotFound => {
                (route, bad(Fitness::Missing, Duration::from_secs(600), Duration::from_secs(6 * 3_600)))
            }
            ErrorClass::ServerUnavailable | ErrorClass::Timeout | ErrorClass::Network => (route, Sighting::Failure),
            // The provider is well; what it was asked is not.
            _ => return self.saw_good(candidate).await,
        };
        let provider = &candidate.route.provider;
        self.insist(|| self.store.saw(provider, &of, &sighting)).await?;
        self.forget_conditions(provider);
        metrics::counter!("darkroom_provider_errors_total", "provider" => provider.clone(), "class" => error.class.name())
            .increment(1);
        Ok(())
    }

    /// What the step gave, as its manifest says.
    pub(super) async fn kept(&self, message: &StepMessage) -> Result<Option<Kept>, Stuck> {
        let (workbench, message) = (self.workbench.clone(), message.clone());
        let read = tokio::task::spawn_blocking(move || workbench.read_manifest(&message)).await;
        read.unwrap_or_else(|_| Err(StepError::new(ErrorClass::WorkflowError, "reading the manifest was aborted")))
    }
}

/// The step waits for a job.
pub(super) fn waits(
    message: &StepMessage,
    call: &Call,
    next: Vec<darkroom_backend::Publication>,
    cost: StepCost,
) -> Handled {
    let waiting = Waiting {
        reason: format!("{} at {}", super::model(message), call.provider),
        submitted: true,
        until: call.next_at,
    };
    Handled::Waits { next, waiting: Some(waiting), cost }
}

/// What a call costs at most, as far as that is known beforehand.
fn price(message: &StepMessage, candidate: &Candidate) -> Money {
    let params = super::inputs::canonical(&message.op, &message.params);
    candidate.route.estimate(&params).map_or(Money::ZERO, |(_, high)| high)
}

fn over_budget(text: String) -> StepError {
    StepError::new(ErrorClass::WorkflowError, text)
        .code("over_budget")
        .advice("raise the budget, or let the run do less; nothing was paid for this step")
}

/// The error of a job that took longer than its step allows.
pub(super) fn over_time(message: &StepMessage, call: &Call) -> StepError {
    StepError::new(ErrorClass::Timeout, format!("{} took longer than {}", call.provider, message.timeout))
        .advice("give the step a longer `timeout:`, or take another model")
}
