//! The rules of [`Ledger`]: call [`ledger_conformance!`](crate::ledger_conformance) for each backend.
//!
//! Every rule gets a [`Subject`]: a store of its own, empty, with [`SHARDS`] shards, and a way to let time pass in it.

mod calls;
mod conditions;
mod facts;
mod limits;
mod purses;

pub use calls::*;
pub use conditions::*;
pub use facts::*;
pub use limits::*;
pub use purses::*;

use crate::conformance::store::SHARDS;
use crate::sample::{commit, new_run, run};
use darkroom_backend::{
    Admission, CANCEL_FIELD, Call, CallState, Condition, Created, Epoch, Fact, Fitness, Intended, Intent, Ledger,
    Limit, Purse, Refusal, Reservation, Shard, Sighting, Spent, Store, StoreError, Token, Turn, void_field,
};
use darkroom_proto::{CallId, Duration, ErrorClass, Money, RunId, RunStatus, StepError, StepPath, Timestamp};
use serde_json::json;
use std::future::Future;
use tokio::task::JoinSet;

const S0: Shard = Shard(0);
const LEASE: std::time::Duration = std::time::Duration::from_secs(60);

/// A store to put to the test.
pub trait Subject {
    /// What it is.
    type Store: Store + Ledger;

    /// An empty store with [`SHARDS`] shards; the same one on every call.
    fn store(&self) -> Self::Store;

    /// Lets so much time pass for limits, purses and conditions.
    fn pass(&self, time: Duration);
}

/// A store whose shard 0 is owned, with one run in it.
async fn with_run<S: Store>(store: &S) -> (Epoch, RunId) {
    let id = run(S0, SHARDS, 1);
    assert_eq!(store.create(&[new_run(id, 1)]).await.unwrap(), [Created::Created]);
    (store.acquire(S0, "a", LEASE).await.unwrap().expect("nobody owns the shard of a new store"), id)
}

/// What the first attempt of a step wants to pay for, with the token of its claim.
async fn claimed<S: Store>(store: &S, run: RunId, step: &str) -> Intent {
    claimed_by(store, run, step, 1).await
}

async fn claimed_by<S: Store>(store: &S, run: RunId, step: &str, attempt: u32) -> Intent {
    let step = StepPath::top(step);
    let token = store.claim(run, &step, 1, attempt, "w").await.unwrap();
    Intent {
        run,
        step,
        generation: 1,
        attempt,
        token,
        model: "flux-pro".into(),
        provider: "fal".into(),
        endpoint: "fal-ai/flux-pro".into(),
        key: "ab12cd34".into(),
        worker: "w".into(),
        price: Money(40),
        send_within: Duration::from_secs(30),
        budget: None,
    }
}

async fn granted<S: Ledger>(store: &S, intent: &Intent) -> Call {
    match store.intent(intent).await.unwrap() {
        Intended::Granted(call) => call,
        other => panic!("not granted: {other:?}"),
    }
}

async fn refused<S: Ledger>(store: &S, intent: &Intent) -> Refusal {
    match store.intent(intent).await.unwrap() {
        Intended::Refused(refusal) => refusal,
        other => panic!("not refused: {other:?}"),
    }
}

async fn note<S: Ledger>(store: &S, run: RunId, call: &Call, fact: Fact) -> Call {
    store.note(run, &call.id, &fact).await.unwrap().expect("the ledger knows the call").call
}

fn error() -> StepError {
    StepError::new(ErrorClass::Timeout, "too slow")
}

fn submitted(handle: &str) -> Fact {
    Fact::Submitted { handle: json!({"id": handle, "urls": [1, 2.5, null]}), next_at: Timestamp(7) }
}

/// What many get who ask at once, each with a number.
async fn at_once<T, F>(count: u32, ask: impl Fn(u32) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    (0..count).map(ask).collect::<JoinSet<T>>().join_all().await
}

/// A call that is in no ledger, for what goes by its id alone.
fn call_id(number: u32) -> CallId {
    CallId::new(RunId::from_bytes([9; 16]), &StepPath::top("edit"), 1, number)
}

/// One test for each rule of the suite; `$subject` is an expression that makes a new [`Subject`].
#[macro_export]
macro_rules! ledger_conformance {
    ($backend:ident, $subject:expr) => {
        mod $backend {
            use super::*;
            $crate::ledger_conformance! { @rules $subject;
                an_intent_is_granted_to_whoever_holds_the_step
                an_intent_told_again_is_the_same_call
                an_intent_is_refused_to_whoever_does_not_hold_the_step
                there_is_no_other_call_before_the_last_one_is_closed
                an_earlier_attempt_does_not_call_after_a_later_one
                nothing_is_paid_for_a_cancelled_run
                only_a_run_that_has_not_ended_is_flagged_as_cancelled
                nothing_is_paid_for_a_dropped_step
                nothing_is_paid_for_a_run_that_has_ended
                a_run_costs_no_more_than_its_budget
                of_many_who_claim_and_intend_at_once_one_is_granted
                no_order_of_events_gives_two_open_calls
                calls_come_in_the_order_in_which_they_were_written_down
                a_step_has_its_own_calls_only
                facts_are_taken_from_anyone_and_after_the_end_of_the_run
                the_first_handle_stays_and_another_one_is_a_duplicate
                the_first_end_stays_and_the_highest_cost_counts
                facts_that_are_told_at_once_are_all_kept
                a_turn_is_taken_once
                a_lost_call_is_put_back_and_counts
                a_fact_that_is_too_large_is_refused
                the_epoch_stays_while_the_store_lives
                only_so_many_are_in_at_once
                asking_again_renews_a_lease_and_uses_no_rate
                who_waits_for_a_place_keeps_the_order
                who_does_not_come_back_loses_the_place_in_the_queue
                a_refused_caller_has_a_turn_and_is_not_counted_twice
                a_turn_that_is_not_used_lapses
                a_rate_is_never_exceeded_however_late_turns_are_used
                a_call_is_let_in_by_all_limits_or_none
                whoever_leaves_gives_back_place_and_turn
                money_is_set_aside_in_all_purses_or_none
                a_reservation_lapses_and_is_kept_when_asked_for_again
                a_call_is_booked_once_and_what_it_costs_more_is_added
                many_who_reserve_at_once_do_not_overspend
                every_day_has_its_own_money
                what_is_not_known_is_healthy
                a_circuit_opens_and_one_caller_may_try_it
                a_bad_key_is_believed_for_longer_each_time
                sightings_that_come_at_once_are_all_counted
                relief_rises_when_something_gets_better
                announcing_keys_forgets_others_and_notices_new_ones
            }
        }
    };
    (@rules $subject:expr; $($rule:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $rule() {
                $crate::conformance::ledger::$rule($subject).await;
            }
        )*
    };
}
