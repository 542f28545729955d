//! What facts make of a call: the rules that every store keeps, whatever it keeps calls in.

use super::{Call, CallState, Fact, Intent};
use darkroom_proto::{CallId, Money, StepError, Timestamp};
use serde_json::Value;

impl Call {
    /// The call that an intent asks for, as number `number` of its step and generation.
    pub(crate) fn intended(intent: &Intent, number: u32, now: Timestamp) -> Call {
        Call {
            id: CallId::new(intent.run, &intent.step, intent.generation, number),
            step: intent.step.clone(),
            generation: intent.generation,
            number,
            attempt: intent.attempt,
            model: intent.model.clone(),
            provider: intent.provider.clone(),
            endpoint: intent.endpoint.clone(),
            key: intent.key.clone(),
            worker: intent.worker.clone(),
            price: intent.price,
            at: now,
            send_by: now.after(intent.send_within),
            state: CallState::Intent,
            handle: None,
            second_handle: None,
            turn: 0,
            next_at: Timestamp(0),
            cost: Money::ZERO,
            possible_duplicate: false,
            error: None,
        }
    }

    /// The order of a run's calls: as they were written down.
    pub(crate) fn in_order(&self, other: &Call) -> std::cmp::Ordering {
        let place = |call: &Call| (call.at, call.step.clone(), call.generation, call.number);
        place(self).cmp(&place(other))
    }

    /// What it takes of its run's budget: its price as long as it is open, what it cost from then on.
    pub(crate) fn charged(&self) -> Money {
        if self.state.is_open() { self.price } else { self.cost }
    }

    /// Takes a fact in. Doing it again changes nothing.
    pub(crate) fn note(&mut self, fact: &Fact) {
        match fact {
            Fact::Submitted { handle, next_at } => self.submitted(handle, *next_at),
            Fact::Settled { cost } => self.end(CallState::Settled, *cost, None),
            Fact::Rejected { error } => self.end(CallState::Rejected, Money::ZERO, Some(error)),
            Fact::Failed { error, cost: Money::ZERO } => self.end(CallState::FailedUnbilled, Money::ZERO, Some(error)),
            Fact::Failed { error, cost } => self.end(CallState::FailedBilled, *cost, Some(error)),
            Fact::Cancelled { cost } => self.end(CallState::Cancelled, *cost, None),
            Fact::Released { cost } => self.end(CallState::Released, *cost, None),
            Fact::Held { cost } => self.end(CallState::Held, *cost, None),
        }
    }

    /// Takes a turn, if it is later than the last one and the job is still looked after.
    pub(crate) fn take_turn(&mut self, turn: u32, next_at: Timestamp) -> bool {
        let is_free = self.state == CallState::Submitted && turn > self.turn;
        if is_free {
            (self.turn, self.next_at) = (turn, next_at);
        }
        is_free
    }

    /// A handle never opens a call again: it is only kept, for whoever looks into it. Where another call may have been
    /// made since, it tells of money that was spent twice.
    fn submitted(&mut self, handle: &Value, next_at: Timestamp) {
        match &self.handle {
            None => {
                self.handle = Some(handle.clone());
                if self.state == CallState::Intent {
                    (self.state, self.next_at) = (CallState::Submitted, next_at);
                }
                self.possible_duplicate |= self.state.is_closed();
            }
            Some(first) if first == handle => {}
            Some(_) => {
                self.second_handle.get_or_insert_with(|| handle.clone());
                self.possible_duplicate = true;
            }
        }
    }

    /// The first end stays, but for one that only waits for a person. What later ones cost counts where it is more, unless
    /// it is a guess.
    fn end(&mut self, state: CallState, cost: Money, error: Option<&StepError>) {
        let is_guess = matches!(state, CallState::Released | CallState::Held);
        let may_end = self.state.is_open() || self.state == CallState::Held && state != CallState::Held;
        if !may_end {
            if !is_guess {
                self.cost = self.cost.max(cost);
            }
            return;
        }
        self.cost = match state {
            CallState::Rejected | CallState::FailedUnbilled => Money::ZERO,
            _ => self.cost.max(cost),
        };
        self.state = state;
        self.error = error.cloned();
        self.possible_duplicate |= state == CallState::Released;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Token;
    use darkroom_proto::{Duration, ErrorClass, RunId, StepPath};
    use serde_json::json;

    fn call() -> Call {
        let intent = Intent {
            run: RunId::from_bytes([7; 16]),
            step: StepPath::top("edit"),
            generation: 1,
            attempt: 1,
            token: Token(1),
            model: "flux".into(),
            provider: "fal".into(),
            endpoint: "fal-ai/flux".into(),
            key: "ab".into(),
            worker: "w".into(),
            price: Money(40),
            send_within: Duration::from_secs(30),
            budget: None,
        };
        Call::intended(&intent, 1, Timestamp(1_000))
    }

    fn submitted(handle: &str) -> Fact {
        Fact::Submitted { handle: json!(handle), next_at: Timestamp(5) }
    }

    fn failed(cost: u64) -> Fact {
        Fact::Failed { error: error(), cost: Money(cost) }
    }

    fn error() -> StepError {
        StepError::new(ErrorClass::Timeout, "too slow")
    }

    #[test]
    fn the_first_end_stays_and_the_highest_cost_counts() {
        use CallState::*;
        let settled = |cost| Fact::Settled { cost: Money(cost) };
        let released = |cost| Fact::Released { cost: Money(cost) };
        let held = |cost| Fact::Held { cost: Money(cost) };
        let rejected = || Fact::Rejected { error: error() };
        let cases: [(&str, Vec<Fact>, CallState, u64, bool); 14] = [
            ("nothing is known", vec![], Intent, 0, false),
            ("a handle", vec![submitted("a")], Submitted, 0, false),
            ("settled", vec![submitted("a"), settled(40), settled(40)], Settled, 40, false),
            ("a later, higher cost", vec![settled(40), settled(50), settled(30)], Settled, 50, false),
            ("an end after the end", vec![settled(40), failed(10)], Settled, 40, false),
            ("unbilled", vec![failed(0)], FailedUnbilled, 0, false),
            ("unbilled, but billed after all", vec![failed(0), settled(40)], FailedUnbilled, 40, false),
            ("billed", vec![failed(10)], FailedBilled, 10, false),
            ("cancelled", vec![submitted("a"), Fact::Cancelled { cost: Money(7) }], Cancelled, 7, false),
            ("released", vec![released(40)], Released, 40, true),
            ("held, then decided", vec![held(40), held(40), settled(39)], Settled, 40, false),
            ("held, and nothing was paid", vec![held(40), rejected()], Rejected, 0, false),
            ("held, and a handle arrives", vec![held(40), submitted("a")], Held, 40, false),
            ("rejected, and a handle arrives", vec![rejected(), submitted("a")], Rejected, 0, true),
        ];
        for (name, facts, state, cost, possible_duplicate) in cases {
            let mut call = call();
            facts.iter().for_each(|fact| call.note(fact));
            assert_eq!(
                (call.state, call.cost, call.possible_duplicate),
                (state, Money(cost), possible_duplicate),
                "{name}"
            );
            let once = call.clone();
            facts.iter().for_each(|fact| call.note(fact));
            assert_eq!(call, once, "{name}, told again");
            assert_eq!(call.charged(), if state.is_open() { Money(40) } else { call.cost }, "{name}");
        }
    }

    #[test]
    fn the_first_handle_stays_and_another_one_is_a_duplicate() {
        let mut call = call();
        for handle in ["a", "a", "b", "a", "c"] {
            call.note(&submitted(handle));
        }
        assert_eq!((&call.handle, &call.second_handle), (&Some(json!("a")), &Some(json!("b"))));
        assert_eq!((call.state, call.possible_duplicate), (CallState::Submitted, true));
    }

    #[test]
    fn a_turn_is_taken_once_and_only_while_the_job_is_looked_after() {
        let mut call = call();
        assert!(!call.take_turn(1, Timestamp(9)));
        call.note(&submitted("a"));
        for (turn, is_taken) in [(1, true), (1, false), (3, true), (2, false), (4, true)] {
            assert_eq!(call.take_turn(turn, Timestamp(9)), is_taken, "{turn}");
        }
        assert_eq!((call.turn, call.next_at), (4, Timestamp(9)));
        call.note(&failed(0));
        assert!(!call.take_turn(5, Timestamp(9)));
    }
}
