//! Asking about a job until it has ended.

use super::{ASKED_AT, Caller, DELAY_MAX, Handled, Stuck, call_of, poll_message};
use crate::calls::begin::over_time;
use crate::failpoint::Moment;
use crate::providers::Account;
use darkroom_backend::{Call, CallState, Fact, Ledger, Noted, Store, Turn};
use darkroom_proto::{Duration, ErrorClass, Money, Outcome, StepError, StepMessage, Succeeded, Ticket, Timestamp};
use darkroom_provider::{Access, Failure, Polled, Product};
use serde_json::Value;
use std::sync::Arc;

/// How many questions one turn may ask.
const STAGES_MAX: usize = 6;

/// How much longer than until the next poll a place is held.
const HELD_BEYOND: Duration = Duration::from_secs(120);

/// How long after its time was over a job that can't be cancelled is still followed.
const FOLLOWED_BEYOND: Duration = Duration::from_secs(3_600);

/// How long at most it is until an output is fetched again.
const RESCUE_GAP_MAX: u64 = 60_000;

/// For how long an output that can't be fetched is tried again.
const RESCUED_WITHIN: Duration = Duration::from_secs(6 * 3_600);

impl<S: Store + Ledger> Caller<S> {
    /// A poll message has come.
    pub(super) async fn follow(
        &self,
        message: &StepMessage,
        ticket: &Ticket,
        redelivered: bool,
    ) -> Result<Handled, Stuck> {
        if ticket.is_only_copy {
            let fact = Fact::Submitted { handle: ticket.handle.clone(), next_at: self.now().await? };
            self.insist(|| self.store.note(message.run, &ticket.call, &fact)).await?;
        }
        let gap = self.gap(message, ticket);
        let now = self.now().await?;
        let next_at = now.after(gap);
        let mut taken = self.insist(|| self.store.turn(message.run, &ticket.call, ticket.turn, next_at)).await?;
        if taken == Turn::Unknown {
            // The store has lost its last moments; the message has what is needed to go on.
            tracing::warn!(call = %ticket.call, "the ledger has lost the call; it is written down again");
            let call = call_of(message, ticket);
            self.insist(|| self.store.restore(message.run, &call)).await?;
            taken = self.insist(|| self.store.turn(message.run, &ticket.call, ticket.turn, next_at)).await?;
        }
        if taken == Turn::Passed && redelivered {
            // Whoever had this turn may have died in it. What it had come to is told by the ledger, and reported again.
            if let Some(handled) = self.ended_before(message, ticket).await? {
                return Ok(handled);
            }
            // The next turn is taken in its place. If nobody died, that one is on its way, and finds itself taken.
            let turn = || self.store.turn(message.run, &ticket.call, ticket.turn + 1, next_at);
            taken = self.insist(turn).await?;
        }
        let Turn::Taken(Noted { call, cancelled }) = taken else { return Ok(Handled::Dropped) };
        let Some(account) = self.providers.account(&call.provider) else {
            tracing::warn!(provider = call.provider, "nobody here can ask this provider; asking again later");
            return self.again(message, &call, Duration::from_secs(30)).await;
        };
        let Some(key) = Self::key_of(&account, &call.key) else {
            return self.again(message, &call, Duration::from_secs(30)).await;
        };
        let access = self.access(&account, &key).await?;
        let handle = call.handle.clone().unwrap_or_else(|| ticket.handle.clone());
        let is_late = self.now().await?.since(call.at) > message.timeout;
        if (cancelled || is_late) && self.cancel(&account, &access, &handle).await {
            let fact = Fact::Cancelled { cost: Money::ZERO };
            self.insist(|| self.store.note(message.run, &call.id, &fact)).await?;
            self.close(message, &call, Money::ZERO).await?;
            let error = match cancelled {
                true => StepError::new(ErrorClass::Cancelled, format!("cancelled at {}", call.provider)),
                false => over_time(message, &call),
            };
            return Ok(Handled::failed(error, self.cost_of(message).await?));
        }
        if is_late && self.now().await?.since(call.at) > Duration(message.timeout.0 + FOLLOWED_BEYOND.0) {
            // It can't be cancelled and does not end: it may be paid, and is followed no further.
            return self.ended_badly(message, &call, Failure::billed(over_time(message, &call))).await;
        }
        // Whoever put it there has checked the signature. A step that was cancelled or is late is asked about all the same.
        let told = ticket.told.as_deref().filter(|_| !cancelled && !is_late);
        let asked = match told.and_then(|told| account.adapter.told(&access, &handle, told)) {
            Some(product) => Asked::Done(product),
            None => self.question(&account, &access, &handle).await,
        };
        match asked {
            Asked::Pending => {
                // The ladder has few rungs, so the first question may have come long before it was due.
                let pause = if cancelled || is_late { gap } else { gap.max(self.until_due(message, &call, now)) };
                self.hold_place(&account, &call, pause).await?;
                self.next_turn(message, &call, pause)
            }
            Asked::Again(error) => {
                tracing::debug!(call = %call.id, %error, "a poll failed, which says nothing about the job");
                let pause = error.retry_after.unwrap_or_default().max(Duration((gap.0 * 2).clamp(1_000, 30_000)));
                self.hold_place(&account, &call, pause).await?;
                self.next_turn(message, &call, pause)
            }
            Asked::Failed(failure) => self.ended_badly(message, &call, failure).await,
            Asked::Done(product) => self.done(message, &call, &account, &access, product).await,
        }
    }

    /// How the call of a ticket has ended, if it has.
    async fn ended_before(&self, message: &StepMessage, ticket: &Ticket) -> Result<Option<Handled>, Stuck> {
        let calls = self.calls_of(message).await?;
        let Some(call) = calls.last().filter(|call| call.id == ticket.call) else { return Ok(None) };
        if call.state == CallState::Settled {
            return self.attach(message, call, &calls).await;
        }
        let error = call.error.clone().filter(|_| call.state.is_closed());
        Ok(error.map(|error| Handled::failed(error, super::cost(&calls))))
    }

    /// The output of a job is fetched and kept; if that can't be done now, it is tried again by itself: the next turn asks
    /// for a fresh link.
    async fn done(
        &self,
        message: &StepMessage,
        call: &Call,
        account: &Arc<Account>,
        access: &Access,
        product: Product,
    ) -> Result<Handled, Stuck> {
        let now = self.now().await?;
        match self.rescue(message, call, account, access, &product).await {
            Ok(succeeded) => {
                self.providers.took(&call.provider, &call.endpoint, now.since(call.at));
                self.settle(message, call, succeeded, product.cost.unwrap_or(call.price)).await
            }
            Err(super::settle::Trouble::Hard(error)) => self.ended_badly(message, call, Failure::billed(error)).await,
            Err(super::settle::Trouble::Passing(error)) => {
                if now.since(call.at) > Duration(message.timeout.0 + RESCUED_WITHIN.0) {
                    return self.ended_badly(message, call, Failure::billed(error)).await;
                }
                tracing::warn!(call = %call.id, %error, "the output can't be fetched yet; it is tried again, and nothing is paid again");
                metrics::counter!("darkroom_output_fetches_failed_total", "provider" => call.provider.clone())
                    .increment(1);
                let pause = Duration((500 << call.turn.min(7)).min(RESCUE_GAP_MAX));
                self.next_turn(message, call, pause)
            }
        }
    }

    /// How long it is until the next question: a tenth of the model's usual time.
    fn gap(&self, message: &StepMessage, ticket: &Ticket) -> Duration {
        let usual = super::choice::route_of(&super::model(message), &ticket.provider, &ticket.endpoint)
            .map_or(Duration::from_secs(10), |route| self.providers.usually(&message.op, route));
        Duration((usual.0 / 10).clamp(250, 10_000))
    }

    /// How long it is until the first question is due.
    fn until_due(&self, message: &StepMessage, call: &Call, now: Timestamp) -> Duration {
        let route = super::choice::route_of(&super::model(message), &call.provider, &call.endpoint);
        let due = route.map_or(0, |route| self.providers.usually(&message.op, route).0.saturating_mul(ASKED_AT) / 100);
        Duration(due.saturating_sub(now.since(call.at).0).min(DELAY_MAX))
    }

    fn next_turn(&self, message: &StepMessage, call: &Call, delay: Duration) -> Result<Handled, Stuck> {
        let poll = poll_message(message, call, call.turn + 1, delay, false);
        Ok(Handled::Waits { next: vec![poll], waiting: None, cost: Default::default() })
    }

    async fn again(&self, message: &StepMessage, call: &Call, delay: Duration) -> Result<Handled, Stuck> {
        self.next_turn(message, call, delay)
    }

    /// Holds the place of a job that is still under way.
    async fn hold_place(&self, account: &Account, call: &Call, gap: Duration) -> Result<(), Stuck> {
        let Some(route) = super::choice::route_of(&call.model, &call.provider, &call.endpoint) else { return Ok(()) };
        let mut limits = account.limits(route, &call.key);
        limits.retain(|limit| limit.at_once.is_some());
        for limit in &mut limits {
            // It began long ago.
            limit.rate = None;
        }
        if limits.is_empty() {
            return Ok(());
        }
        let hold = Duration(gap.0 + HELD_BEYOND.0);
        self.insist(|| self.store.admit(&call.id, &limits, hold)).await.map(drop)
    }

    /// Whether the provider confirms that the job is cancelled and not charged.
    async fn cancel(&self, account: &Account, access: &Access, handle: &Value) -> bool {
        let Some(request) = account.adapter.cancel(access, handle) else { return false };
        match self.ask(account.adapter.name(), "cancel", &request).await {
            Ok(response) => account.adapter.cancelled(&response),
            Err(_) => false,
        }
    }

    /// Asks about a job, in as many exchanges as the provider needs.
    async fn question(&self, account: &Account, access: &Access, handle: &Value) -> Asked {
        let mut request = match account.adapter.poll(access, handle) {
            Ok(request) => request,
            Err(error) => return Asked::Failed(Failure::billed(error)),
        };
        let mut stage = "";
        for _ in 0..STAGES_MAX {
            let response = match self.ask(account.adapter.name(), "poll", &request).await {
                Ok(response) => response,
                Err(failed) => return Asked::Again(failed.error),
            };
            match account.adapter.polled(access, handle, stage, &response) {
                Polled::Pending { .. } => return Asked::Pending,
                Polled::Done(product) => return Asked::Done(product),
                Polled::Failed(failure) => return Asked::Failed(failure),
                Polled::Again(error) => return Asked::Again(error),
                Polled::Next { request: next, stage: of } => (request, stage) = (next, of),
            }
        }
        Asked::Again(StepError::new(ErrorClass::ServerUnavailable, "the provider answers in circles"))
    }

    /// The call is settled: everything about the step is kept.
    pub(super) async fn settle(
        &self,
        message: &StepMessage,
        call: &Call,
        succeeded: Succeeded,
        cost: Money,
    ) -> Result<Handled, Stuck> {
        self.reaches(Moment::BeforeSettle);
        let fact = Fact::Settled { cost };
        self.insist(|| self.store.note(message.run, &call.id, &fact)).await?;
        let (cost, ()) = tokio::try_join!(self.cost_of(message), self.close(message, call, cost))?;
        Ok(Handled::Ended { outcome: Outcome::Succeeded(succeeded), cost })
    }
}

/// What came of asking about a job.
enum Asked {
    Pending,
    Again(StepError),
    Failed(Failure),
    Done(Product),
}
