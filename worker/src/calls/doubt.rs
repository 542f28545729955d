//! Calls of which nobody knows whether they were paid.

use super::{Caller, Handled, Stuck, choice};
use darkroom_backend::{Call, CallState, Fact, Ledger, Role, Store};
use darkroom_proto::{Duration, ErrorClass, Money, Outcome, StepError, StepMessage, Timestamp};
use darkroom_provider::Found;
use serde_json::Value;

/// How long after a call may still have been sent its answer may come.
const ANSWER_WITHIN: Duration = Duration::from_secs(35);

/// The same of a provider that answers with the outcome.
const OUTCOME_WITHIN: Duration = Duration::from_secs(305);

/// How often it is looked whether the sender of a call is still there: workers say so every few seconds.
const SENDER_LOOK: Duration = Duration::from_secs(4);

/// How long a provider may take until it knows of a job that it was given.
const KNOWN_WITHIN: Duration = Duration::from_secs(2);

/// How long at most a webhook is waited for that tells of a job nobody knows.
const HOOK_WITHIN_MAX: Duration = Duration::from_secs(600);

impl<S: Store + Ledger> Caller<S> {
    /// Finds out what became of a call that was written down and of which no job is known. `None`: it is closed now, and
    /// another may be made.
    pub(super) async fn doubt(&self, message: &StepMessage, call: &Call) -> Result<Option<Handled>, Stuck> {
        // Somebody may have heard since.
        let calls = self.calls_of(message).await?;
        let Some(call) = calls.iter().find(|known| known.id == call.id) else { return Ok(None) };
        if call.state != CallState::Intent {
            return Ok(None);
        }
        // What it gave may be kept already, and only its settling was lost.
        if let Some(handled) = self.settled_by_manifest(message, call).await? {
            return Ok(Some(handled));
        }
        let now = self.now().await?;
        let account = self.providers.account(&call.provider);
        let traits = account.as_ref().map(|account| account.adapter.traits());
        let sender_is_gone = call.worker != self.worker && {
            let workers = self.insist(|| self.store.members(Role::Worker)).await?;
            !workers.iter().any(|worker| worker.id == call.worker)
        };
        // This worker is not sending it any more: it is here.
        let nobody_sends = sender_is_gone || call.worker == self.worker;
        let answered_within =
            if traits.is_some_and(|traits| traits.synchronous) { OUTCOME_WITHIN } else { ANSWER_WITHIN };
        let answered_by = call.send_by.after(if nobody_sends { Duration(0) } else { answered_within });
        let known_by = call.at.after(KNOWN_WITHIN);
        let settle_at = if call.worker == self.worker { known_by } else { answered_by.max(known_by) };
        if now < settle_at {
            // Its sender may be found to be gone much earlier than its answer would be too late.
            let look_at = if nobody_sends { settle_at } else { settle_at.min(now.after(SENDER_LOOK)) };
            return Ok(Some(self.wait_in_doubt(message, call, look_at, now, &calls)));
        }
        if let Some(account) = &account
            && let Some(key) = Self::key_of(account, &call.key)
            && let Some(route) = choice::route_of(&call.model, &call.provider, &call.endpoint)
        {
            let access = self.access(account, &key).await?;
            if let Some(request) = account.adapter.look_up(&access, &call.id, route, call.at) {
                let answer = self.ask(account.adapter.name(), "look-up", &request).await;
                let found = match &answer {
                    Ok(response) => account.adapter.looked_up(&access, &call.id, route, response),
                    Err(_) => {
                        return Ok(Some(self.wait_in_doubt(message, call, now.after(Duration(2_000)), now, &calls)));
                    }
                };
                match found {
                    Found::Job(handle) => return self.found(message, call, handle, &calls).await.map(Some),
                    Found::Nothing => {
                        self.never_arrived(message, call).await?;
                        return Ok(None);
                    }
                    Found::Unclear => {}
                }
            }
            // A webhook that carries our id tells of the job; it comes when the job has ended.
            if traits.is_some_and(|traits| traits.webhook && traits.signed && !traits.synchronous)
                && self.providers.options.public_url.is_some()
            {
                let usual = self.providers.usually(&message.op, route);
                let grace = Duration((usual.0 * 3 / 2 + 10_000).min(HOOK_WITHIN_MAX.0));
                if now < call.at.after(grace) {
                    let again = now.after(Duration((usual.0 / 4).clamp(1_000, 30_000)));
                    return Ok(Some(self.wait_in_doubt(message, call, again, now, &calls)));
                }
            }
        }
        self.give_up(message, call).await
    }

    /// Settles a call whose outputs are kept beside its files.
    async fn settled_by_manifest(&self, message: &StepMessage, call: &Call) -> Result<Option<Handled>, Stuck> {
        let Some(kept) = self.kept(message).await?.filter(|kept| kept.call.as_deref() == Some(call.id.as_str())) else {
            return Ok(None);
        };
        let fact = Fact::Settled { cost: kept.cost };
        self.insist(|| self.store.note(message.run, &call.id, &fact)).await?;
        self.close(message, call, kept.cost).await?;
        let cost = self.cost_of(message).await?;
        Ok(Some(Handled::Ended { outcome: Outcome::Succeeded(kept.succeeded), cost }))
    }

    fn wait_in_doubt(
        &self,
        message: &StepMessage,
        _call: &Call,
        at: Timestamp,
        now: Timestamp,
        calls: &[Call],
    ) -> Handled {
        let reason = "it is found out whether its last call was paid".to_owned();
        self.later(message, at, now, reason, super::cost(calls))
    }

    /// The provider has the job after all.
    async fn found(&self, message: &StepMessage, call: &Call, handle: Value, calls: &[Call]) -> Result<Handled, Stuck> {
        tracing::info!(call = %call.id, "the provider has the job; nothing is paid again");
        let next_at = self.now().await?;
        let fact = Fact::Submitted { handle: handle.clone(), next_at };
        self.insist(|| self.store.note(message.run, &call.id, &fact)).await?;
        let call = Call { handle: Some(handle), state: CallState::Submitted, next_at, ..call.clone() };
        let poll = super::poll_message(message, &call, call.turn + 1, Duration(0), false);
        Ok(super::begin::waits(message, &call, vec![poll], super::cost(calls)))
    }

    /// The provider has no such job.
    async fn never_arrived(&self, message: &StepMessage, call: &Call) -> Result<(), Stuck> {
        let error = StepError::new(ErrorClass::Network, "the provider never got the call");
        let fact = Fact::Rejected { error };
        self.insist(|| self.store.note(message.run, &call.id, &fact)).await?;
        self.close(message, call, Money::ZERO).await
    }

    /// Nobody can tell, and nobody will: the step goes on, flagged, or waits for a person.
    async fn give_up(&self, message: &StepMessage, call: &Call) -> Result<Option<Handled>, Stuck> {
        let holds = self.holds_when_unknown(message);
        let cost = call.price;
        let fact = if holds { Fact::Held { cost } } else { Fact::Released { cost } };
        let noted = self.insist(|| self.store.note(message.run, &call.id, &fact)).await?;
        if noted.is_some_and(|noted| matches!(noted.call.state, CallState::Submitted | CallState::Settled)) {
            // Its handle came in the same moment.
            return Ok(None);
        }
        self.close(message, call, cost).await?;
        if holds {
            return Ok(Some(Handled::failed(held(call), self.cost_of(message).await?)));
        }
        tracing::warn!(call = %call.id, provider = call.provider, "the call may have been paid; the step is flagged and called again");
        metrics::counter!("darkroom_possible_duplicate_charges_total", "provider" => call.provider.clone())
            .increment(1);
        Ok(None)
    }
}

/// The error of a step that waits for a person, because nobody can tell whether it was paid.
pub(super) fn held(call: &Call) -> StepError {
    StepError::new(
        ErrorClass::UnknownOutcome,
        format!(
            "nobody can tell whether {} has the job of call {}, which costs up to {}",
            call.provider, call.id, call.price
        ),
    )
    .advice("look at the provider's own list of jobs; `resume --from-step` calls it again, and may pay twice")
}
