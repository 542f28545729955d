//! [`Caller`]: does steps by calling providers, and pays for each of them once.
//!
//! A call is written down before it is sent; the handle that a provider gives for it is written down before anything else
//! happens; then the step waits in a message, not in a slot. Whoever takes a step looks into the ledger first and goes on
//! with the call that is open there. So it does not matter who is killed when, how often a message comes, or who sends it
//! again.

mod attend;
mod begin;
mod cached;
mod choice;
mod doubt;
mod follow;
mod inputs;
mod settle;

pub(crate) use cached::By;

use crate::failpoint::{CallFailpoint, Moment, crash};
use crate::net::Net;
use crate::providers::{Account, Key, Providers};
use crate::workbench::Workbench;
use darkroom_backend::{Call, CallState, Condition, Ledger, Publication, Store, StoreError};
use darkroom_proto::{
    CallId, Duration, ErrorClass, Money, Outcome, StepCost, StepError, StepMessage, Ticket, Timestamp, Waiting, op,
};
use darkroom_provider::{Access, Request, Response};
use std::collections::BTreeMap;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

/// How long is waited before the store is asked again that did not answer.
const AGAIN_AFTER: std::time::Duration = std::time::Duration::from_millis(200);

/// How long what is known of keys and routes is believed without asking the ledger again.
const CONDITIONS_KEPT: std::time::Duration = std::time::Duration::from_millis(500);

/// For how long the store's time is told from this machine's clock, once it was asked.
const TIME_KEPT: std::time::Duration = std::time::Duration::from_secs(1);

/// How long a handle may wait for a store that is away before it goes into a message instead.
const NOTE_WITHIN: std::time::Duration = std::time::Duration::from_secs(3);

/// When a job is asked about first, in percent of the usual time of its route.
const ASKED_AT: u64 = 85;

/// The same where the provider tells that a job has ended: only in case that nobody heard. Sooner it would meet the jobs that
/// are about to be told of, because the ladder has few rungs, and each of them would be looked at twice.
const ASKED_AT_IF_TOLD: u64 = 200;

/// The longest time until a job is asked about, in milliseconds: the ladder's last rung.
const DELAY_MAX: u64 = 600_000;

/// What to do about a provider that can't be reached.
const CONNECT_ADVICE: &str =
    "check that this machine reaches the provider, and its base_url if one is set; then resume the run";

/// What came of a message.
#[expect(clippy::large_enum_variant, reason = "it is handed on at once, never kept")]
#[derive(Debug)]
pub(crate) enum Handled {
    /// The step has ended, well or not.
    Ended {
        /// How.
        outcome: Outcome,
        /// What it has cost.
        cost: StepCost,
    },
    /// The step waits: these messages carry it on, and must be safe before anything is acked.
    Waits {
        /// The messages.
        next: Vec<Publication>,
        /// What whoever follows the run is told, if it is news.
        waiting: Option<Waiting>,
        /// What it has cost.
        cost: StepCost,
    },
    /// Somebody else deals with it.
    Dropped,
}

/// Does steps by calling providers.
#[derive(Debug)]
pub struct Caller<S> {
    store: S,
    providers: Arc<Providers>,
    workbench: Arc<Workbench>,
    /// This worker's id among the members.
    worker: String,
    failpoint: Option<CallFailpoint>,
    known: Mutex<BTreeMap<String, (tokio::time::Instant, Vec<Condition>)>>,
    /// When the store was asked for the time, and what it said.
    time: Mutex<Option<(tokio::time::Instant, Timestamp)>>,
    /// What makes the URLs of webhooks hard to guess.
    secret: tokio::sync::OnceCell<String>,
}

/// Why the store did not do what has to be done before a step goes on.
type Stuck = StepError;

impl<S: Store + Ledger> Caller<S> {
    /// A caller for one worker.
    pub fn new(
        store: S,
        providers: Arc<Providers>,
        workbench: Arc<Workbench>,
        worker: String,
        failpoint: Option<CallFailpoint>,
    ) -> Caller<S> {
        Caller {
            store,
            providers,
            workbench,
            worker,
            failpoint,
            known: Mutex::default(),
            time: Mutex::default(),
            secret: tokio::sync::OnceCell::new(),
        }
    }

    /// Learns what has to be known before the first call.
    pub(crate) async fn learn_pace(&self) {
        self.providers.learn_pace().await;
    }

    /// Whether this step is done by calling somebody.
    pub(crate) fn serves(&self, message: &StepMessage) -> bool {
        message.ticket.is_some() || self.providers.serves(&message.op, &message.params)
    }

    /// The HTTP client of this worker.
    pub(crate) fn net(&self) -> &Net {
        &self.providers.net
    }

    /// Deals with a message about a step: begins a call, or follows the one that is under way. A panic in it is the
    /// step's error as long as nothing is sent; afterwards the ledger has the call, and the message comes again.
    pub(crate) async fn handle(&self, message: &StepMessage, redelivered: bool) -> Handled {
        let handled = match &message.ticket {
            Some(ticket) => self.follow(message, ticket, redelivered).await,
            None => self.begin(message, redelivered).await,
        };
        handled.unwrap_or_else(|stuck| Handled::failed(stuck, StepCost::default()))
    }

    /// The process ends here, if a test wants it.
    fn reaches(&self, moment: Moment) {
        if self.failpoint.as_ref().is_some_and(|failpoint| failpoint.is_at(moment)) {
            crash(moment);
        }
    }

    /// As [`Caller::reaches`], before the message is acked.
    pub(crate) fn reaches_ack(&self) {
        self.reaches(Moment::BeforeAck);
    }

    /// Asks the store for as long as it is away: without it nothing may be paid, and nothing that was paid be forgotten.
    async fn insist<T, F: Future<Output = Result<T, StoreError>>>(&self, ask: impl Fn() -> F) -> Result<T, Stuck> {
        loop {
            match ask().await {
                Ok(answer) => return Ok(answer),
                Err(error @ (StoreError::Unavailable(_) | StoreError::Unreachable { .. })) => {
                    tracing::warn!(%error, "waiting for the store");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) => {
                    return Err(StepError::new(
                        ErrorClass::WorkflowError,
                        format!("the ledger can't be used: {error}"),
                    )
                    .code("ledger")
                    .advice(error.advice()));
                }
            }
        }
    }

    async fn secret(&self) -> Result<String, Stuck> {
        let asked = self.secret.get_or_try_init(|| self.insist(|| self.store.secret()));
        asked.await.cloned()
    }

    /// The store's time, to within what two clocks drift apart in a second: a call asks for it several times.
    async fn now(&self) -> Result<Timestamp, Stuck> {
        let told = *self.time.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((asked, time)) = told
            && asked.elapsed() < TIME_KEPT
        {
            return Ok(time.after(Duration(asked.elapsed().as_millis() as u64)));
        }
        let asked = tokio::time::Instant::now();
        let time = self.insist(|| self.store.now()).await?;
        *self.time.lock().unwrap_or_else(PoisonError::into_inner) = Some((asked, time));
        Ok(time)
    }

    /// The calls of the step in its generation, the first one first.
    async fn calls_of(&self, message: &StepMessage) -> Result<Vec<Call>, Stuck> {
        self.insist(|| self.store.calls_of(message.run, &message.path, message.generation)).await
    }

    /// What the step has cost so far in its generation.
    async fn cost_of(&self, message: &StepMessage) -> Result<StepCost, Stuck> {
        Ok(cost(&self.calls_of(message).await?))
    }

    /// What is known of the keys and routes of a provider, at most a moment old.
    async fn conditions(&self, provider: &str) -> Result<Vec<Condition>, Stuck> {
        {
            let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some((at, conditions)) = known.get(provider)
                && at.elapsed() < CONDITIONS_KEPT
            {
                return Ok(conditions.clone());
            }
        }
        let conditions = self.insist(|| self.store.conditions(provider)).await?;
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.insert(provider.to_owned(), (tokio::time::Instant::now(), conditions.clone()));
        Ok(conditions)
    }

    /// What is known of a provider has changed.
    fn forget_conditions(&self, provider: &str) {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).remove(provider);
    }

    /// The key of this fingerprint; another one of the provider when that is not configured any more, because a job that
    /// was paid is to be followed by whoever can.
    fn key_of(account: &Account, fingerprint: &str) -> Option<Key> {
        let same = account.keys.iter().find(|key| key.fingerprint == fingerprint);
        same.or(account.keys.first()).cloned()
    }

    async fn access(&self, account: &Account, key: &Key) -> Result<Access, Stuck> {
        Ok(Access { base_url: account.base_url.clone(), key: key.secret.clone(), now: self.now().await? })
    }

    /// Sends a request of an adapter and counts it.
    async fn ask(
        &self,
        provider: &str,
        what: &'static str,
        request: &Request,
    ) -> Result<Response, crate::net::SendError> {
        let began = tokio::time::Instant::now();
        let mut answer = self.providers.net.send(request).await;
        if let Err(failed) = &mut answer
            && failed.error.advice.is_empty()
        {
            CONNECT_ADVICE.clone_into(&mut failed.error.advice);
        }
        let code = match &answer {
            Ok(response) => response.status.to_string(),
            Err(_) => "none".to_owned(),
        };
        metrics::counter!("darkroom_provider_requests_total", "provider" => provider.to_owned(), "what" => what, "code" => code)
            .increment(1);
        metrics::histogram!("darkroom_provider_request_seconds", "provider" => provider.to_owned(), "what" => what)
            .record(began.elapsed().as_secs_f64());
        answer
    }

    /// Gives back what a call holds, and books what it cost.
    async fn close(&self, message: &StepMessage, call: &Call, cost: Money) -> Result<(), Stuck> {
        let purses = self.providers.purses(&message.provenance.workflow, &call.model, &call.provider);
        let booked = self.insist(|| self.store.book(&call.id, cost, &purses));
        tokio::try_join!(self.give_back(call), booked)?;
        if cost > Money::ZERO {
            metrics::counter!("darkroom_provider_spend_micro_usd_total", "provider" => call.provider.clone(), "model" => call.model.clone())
                .increment(cost.0);
        }
        Ok(())
    }

    async fn give_back(&self, call: &Call) -> Result<(), Stuck> {
        let Some(account) = self.providers.account(&call.provider) else { return Ok(()) };
        let route = choice::route_of(&call.model, &call.provider, &call.endpoint);
        let Some(route) = route else { return Ok(()) };
        let names: Vec<String> = account.limits(route, &call.key).into_iter().map(|limit| limit.name).collect();
        if names.is_empty() {
            return Ok(());
        }
        self.insist(|| self.store.give_back(&call.id, &names)).await
    }
}

impl Handled {
    /// The step ended by a panic of ours. A call of it that was sent stays in the ledger.
    pub(crate) fn panicked(error: StepError) -> Handled {
        Handled::failed(error, StepCost::default())
    }

    fn failed(error: StepError, cost: StepCost) -> Handled {
        Handled::Ended { outcome: Outcome::Failed(error), cost }
    }
}

/// What calls have cost together.
fn cost(calls: &[Call]) -> StepCost {
    let spent = calls.iter().map(|call| call.cost).sum();
    let possible_duplicates = calls.iter().filter(|call| call.possible_duplicate).count() as u32;
    StepCost { spent, possible_duplicates }
}

/// The pool of a step's op.
fn pool(message: &StepMessage) -> String {
    op::find(&message.op).map_or("api", |op| op.pool).to_owned()
}

/// The message that asks about a call at its next turn.
fn poll_message(message: &StepMessage, call: &Call, turn: u32, delay: Duration, is_only_copy: bool) -> Publication {
    let ticket = Ticket {
        call: call.id.clone(),
        turn,
        provider: call.provider.clone(),
        endpoint: call.endpoint.clone(),
        key: call.key.clone(),
        handle: call.handle.clone().unwrap_or_default(),
        since: call.at,
        price: call.price,
        is_only_copy,
        told: None,
    };
    Publication::Step {
        pool: pool(message),
        lane: darkroom_backend::Lane::Poll,
        delay: (delay.0 > 0).then_some(delay),
        message: Box::new(StepMessage { ticket: Some(Box::new(ticket)), deferred_since: None, ..message.clone() }),
    }
}

/// The message that brings a step back later, without using an attempt.
fn deferred(message: &StepMessage, since: Timestamp, delay: Duration) -> Publication {
    Publication::Step {
        pool: pool(message),
        lane: darkroom_backend::Lane::First,
        delay: Some(delay.max(Duration(250))),
        message: Box::new(StepMessage { ticket: None, deferred_since: Some(since), ..message.clone() }),
    }
}

/// The call that a ticket is about, as far as the ticket knows it.
fn call_of(message: &StepMessage, ticket: &Ticket) -> Call {
    Call {
        id: ticket.call.clone(),
        step: message.path.clone(),
        generation: message.generation,
        number: 1,
        attempt: message.attempt,
        model: model(message),
        provider: ticket.provider.clone(),
        endpoint: ticket.endpoint.clone(),
        key: ticket.key.clone(),
        worker: String::new(),
        price: ticket.price,
        at: ticket.since,
        send_by: ticket.since,
        state: CallState::Submitted,
        handle: Some(ticket.handle.clone()),
        second_handle: None,
        turn: 0,
        next_at: ticket.since,
        cost: Money::ZERO,
        possible_duplicate: false,
        error: None,
    }
}

/// The model that a step names.
fn model(message: &StepMessage) -> String {
    message.params.get("model").and_then(serde_json::Value::as_str).unwrap_or("local").to_owned()
}

/// The id that the next call of a step has after these.
fn next_id(message: &StepMessage, calls: &[Call]) -> CallId {
    let number = calls.last().map_or(0, |call| call.number) + 1;
    CallId::new(message.run, &message.path, message.generation, number)
}
