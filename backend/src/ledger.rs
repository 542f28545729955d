//! The ledger of paid calls: the part of the store that keeps money from being spent twice.
//!
//! A call is written down before it is made, its job's handle the moment that it is known, and its cost when it is
//! settled. *Only the intent is fenced*: it is refused to whoever does not hold the step, and while an earlier call of the
//! step is open. Facts are taken from anyone, because what happened at a provider has happened.

mod days;
mod facts;
mod sightings;
mod waits;

pub(crate) use days::{day_name, day_of};
pub(crate) use sightings::KEY_PREFIX;
pub(crate) use waits::{slack, wait_for_place};

use crate::{StoreError, Token};
use darkroom_proto::{CallId, Duration, Money, RunId, StepError, StepPath, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::future::Future;

/// One call to a provider, as the ledger has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Its id.
    pub id: CallId,
    /// The step that it is for.
    pub step: StepPath,
    /// The step's generation.
    pub generation: u32,
    /// Which call of the step and generation it is, from 1.
    pub number: u32,
    /// The attempt that made it.
    pub attempt: u32,
    /// The model that the workflow names.
    pub model: String,
    /// Who is called.
    pub provider: String,
    /// Where.
    pub endpoint: String,
    /// With which key: its fingerprint, never the key.
    pub key: String,
    /// The worker that sends it.
    #[serde(default)]
    pub worker: String,
    /// What it was expected to cost.
    pub price: Money,
    /// When it was written down, by the store's clock.
    pub at: Timestamp,
    /// Until when its sender may have begun to send it. Later, and without a handle, its outcome is unknown.
    pub send_by: Timestamp,
    /// Where it stands.
    pub state: CallState,
    /// What the provider calls the job, once that is known.
    #[serde(default)]
    pub handle: Option<Value>,
    /// Another job that a second sender reported for the same call: paid twice for sure.
    #[serde(default)]
    pub second_handle: Option<Value>,
    /// The last turn that was taken by a poll message.
    #[serde(default)]
    pub turn: u32,
    /// When the next turn is due, if all goes well.
    #[serde(default)]
    pub next_at: Timestamp,
    /// What it cost, once that is known; what it may have cost, of a call whose outcome is unknown.
    #[serde(default)]
    pub cost: Money,
    /// Whether it may have been paid although another call was made after it.
    #[serde(default)]
    pub possible_duplicate: bool,
    /// Why it came to nothing.
    #[serde(default)]
    pub error: Option<StepError>,
}

/// Where a call stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CallState {
    /// It may be sent, or has been: nobody knows of a job yet.
    Intent,
    /// The provider has the job.
    Submitted,
    /// It is done, paid, and its outputs are kept.
    Settled,
    /// It was not sent, or the provider refused it: nothing is paid.
    Rejected,
    /// The job failed and is not charged.
    FailedUnbilled,
    /// The job failed and is charged all the same.
    FailedBilled,
    /// The provider confirmed that the job was cancelled.
    Cancelled,
    /// Nobody can tell whether it was paid; another call may be made, and the step is flagged.
    Released,
    /// Nobody can tell whether it was paid, and nothing more is paid until a person decides.
    Held,
}

impl CallState {
    /// Whether another call of the same step may be made.
    pub fn is_closed(self) -> bool {
        match self {
            CallState::Rejected
            | CallState::FailedUnbilled
            | CallState::FailedBilled
            | CallState::Cancelled
            | CallState::Released => true,
            CallState::Intent | CallState::Submitted | CallState::Settled | CallState::Held => false,
        }
    }

    /// Whether a provider may still be at work on it, or nobody knows.
    pub fn is_open(self) -> bool {
        matches!(self, CallState::Intent | CallState::Submitted)
    }
}

/// What somebody wants to pay for.
#[derive(Debug, Clone, PartialEq)]
pub struct Intent {
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepPath,
    /// Its generation.
    pub generation: u32,
    /// The attempt.
    pub attempt: u32,
    /// What whoever asks holds of the step.
    pub token: Token,
    /// The model that the workflow names.
    pub model: String,
    /// Who is to be called.
    pub provider: String,
    /// Where.
    pub endpoint: String,
    /// With which key.
    pub key: String,
    /// The worker that is going to send it.
    pub worker: String,
    /// What it is expected to cost.
    pub price: Money,
    /// For how long the sender may begin to send it.
    pub send_within: Duration,
    /// What the run may cost, all its calls together.
    pub budget: Option<Money>,
}

/// The answer to an intent.
#[derive(Debug, Clone, PartialEq)]
pub enum Intended {
    /// It is written down: send it, and nobody else does.
    Granted(Call),
    /// An earlier call of this step and generation is open or settled: go on with that one, and pay nothing.
    Open(Call),
    /// Nothing may be paid.
    Refused(Refusal),
}

/// Why nothing may be paid for a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Somebody else has claimed the step since, or a later attempt has made a call, or the step was cancelled or dropped
    /// ([`void_field`]).
    Stale,
    /// The run was cancelled.
    Cancelled,
    /// The run has ended, or is gone.
    Ended,
    /// It would cost more than the run may.
    OverBudget {
        /// What is spent and reserved.
        spent: Money,
        /// What there is.
        budget: Money,
    },
}

/// Something that happened to a call. The first fact that closes a call stays.
#[derive(Debug, Clone, PartialEq)]
pub enum Fact {
    /// The provider has the job under this handle; it is looked after next at this time.
    Submitted {
        /// The handle.
        handle: Value,
        /// When the first poll is due.
        next_at: Timestamp,
    },
    /// The job is done, its outputs are kept.
    Settled {
        /// What it cost.
        cost: Money,
    },
    /// It was not sent, or was refused unpaid.
    Rejected {
        /// Why.
        error: StepError,
    },
    /// The job failed.
    Failed {
        /// Why.
        error: StepError,
        /// What is charged all the same.
        cost: Money,
    },
    /// The provider confirmed that it was cancelled.
    Cancelled {
        /// What is charged all the same.
        cost: Money,
    },
    /// Whether it was paid can't be known; another may be made.
    Released {
        /// What it may have cost.
        cost: Money,
    },
    /// Whether it was paid can't be known; nothing more is paid until a person decides.
    Held {
        /// What it may have cost.
        cost: Money,
    },
}

/// A call after a fact, and what whoever reported it has to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Noted {
    /// The call now.
    pub call: Call,
    /// Whether the run was cancelled, or the step called off ([`void_field`]): then the job is to be cancelled at the
    /// provider.
    pub cancelled: bool,
}

/// Whether a poll message has its turn.
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "it is the usual answer, and taken apart at once")]
pub enum Turn {
    /// It does; nobody else does.
    Taken(Noted),
    /// Another copy of the message had it, or the call has ended: the message is of no use any more.
    Passed,
    /// The ledger does not know the call: the store has lost its last moments, and the ticket repairs them.
    Unknown,
}

/// Something that only so many calls may have at once, or only so often.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limit {
    /// Its name, such as `fal/ab12cd34` for a key or `fal/ab12cd34/flux-pro` for a model with that key.
    pub name: String,
    /// How many calls may be under way.
    pub at_once: Option<u32>,
    /// How many calls may begin in how long a time. They may begin in a burst.
    pub rate: Option<(u32, Duration)>,
}

/// Whether a call is let in by all its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It is; what it holds is given back by `give_back`, or lapses.
    Admitted,
    /// Not yet: it has a turn at this time, which lapses if it is not used.
    Later {
        /// When.
        at: Timestamp,
        /// The limit that is in the way.
        limit: String,
    },
}

/// Who is charged for a call, and what they may spend.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purse {
    /// Such as `total`, `workflow/product-photo`, `model/flux-pro`, `provider/fal`, `tenant/default`.
    pub name: String,
    /// What it may spend in a day of UTC.
    pub daily: Option<Money>,
}

/// Whether the money for a call is set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reservation {
    /// It is, until the call is booked or the reservation lapses.
    Reserved,
    /// A purse has not enough left.
    Short {
        /// The purse.
        purse: String,
        /// What it has spent and set aside today.
        spent: Money,
        /// What it may spend.
        daily: Money,
    },
}

/// What a purse spent on a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spent {
    /// The day, as `2026-11-25`, in UTC.
    pub day: String,
    /// The purse.
    pub purse: String,
    /// How much.
    pub amount: Money,
    /// How many calls.
    pub calls: u64,
}

/// What is known of a key, a route or a model at a provider.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Condition {
    /// What it is of: `key/<fingerprint>` or `route/<endpoint>`.
    pub of: String,
    /// How it is.
    pub state: Fitness,
    /// Until when that is believed. Then one caller may try.
    pub until: Timestamp,
    /// How often in a row it was so; each time it is believed for longer.
    pub times: u32,
    /// The latest outcomes of a route, the newest in the lowest bit: 1 is a failure. For its circuit breaker.
    pub recent: u32,
    /// How many of these there are, at most 20.
    pub seen: u32,
    /// What the provider said.
    pub note: String,
}

/// How a key or a route is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fitness {
    /// Nothing is wrong with it.
    Healthy,
    /// A key that was used too often.
    Cooling,
    /// A key without credit.
    Exhausted,
    /// A key that the provider refuses.
    Invalid,
    /// A route that fails: its circuit is open.
    Open,
    /// A route that is not there.
    Missing,
    /// Somebody took it out of use.
    Disabled,
}

/// Something that was seen of a key or a route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sighting {
    /// A call went well: it is healthy, unless somebody took it out of use and that time has not run out.
    Good,
    /// A call failed at the provider's side; counts for the circuit breaker.
    Failure,
    /// It is in this state for as long; twice as long each further time, up to `max`. What is seen before the last time has
    /// run out is the same time still: many see one outage.
    Bad {
        /// The state.
        state: Fitness,
        /// For how long the first time.
        first: Duration,
        /// For how long at most.
        max: Duration,
        /// What the provider said.
        note: String,
    },
}

/// The paid calls of runs, and what limits them.
///
/// All of it is safe to repeat: a call is known by its id, which follows from its step.
pub trait Ledger: Clone + Send + Sync + 'static {
    /// Which life of the store this is: another one after it was restarted or replaced, when its last moments may be
    /// lost.
    fn epoch(&self) -> impl Future<Output = Result<String, StoreError>> + Send;

    /// A secret of this store that never changes, made when it is first asked for: what makes the URLs of webhooks hard to
    /// guess. 32 hex digits or more.
    fn secret(&self) -> impl Future<Output = Result<String, StoreError>> + Send;

    /// Writes down that a call is going to be made, if it may be.
    fn intent(&self, intent: &Intent) -> impl Future<Output = Result<Intended, StoreError>> + Send;

    /// Notes what happened to a call; nothing, if the ledger does not know it.
    ///
    /// - The first handle stays. One that differs is kept as the second one, and tells of a duplicate.
    /// - The first end stays; [`Fact::Held`] is none, it waits for another. Of later ends only a cost counts that is known
    ///   and higher.
    /// - A handle that comes after the end opens nothing again. It is kept, and tells of a possible duplicate where another
    ///   call may have been made since.
    fn note(
        &self,
        run: RunId,
        call: &CallId,
        fact: &Fact,
    ) -> impl Future<Output = Result<Option<Noted>, StoreError>> + Send;

    /// Puts a call back that the store has lost, from what a poll message carries. One that is there stays.
    fn restore(&self, run: RunId, call: &Call) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Takes turn `turn` of a call, once, and says when the next one is due. Turns may be left out, and none is taken before
    /// there is a handle or after the end.
    fn turn(
        &self,
        run: RunId,
        call: &CallId,
        turn: u32,
        next_at: Timestamp,
    ) -> impl Future<Output = Result<Turn, StoreError>> + Send;

    /// The calls of a run, in the order in which they were written down.
    fn calls(&self, run: RunId) -> impl Future<Output = Result<Vec<Call>, StoreError>> + Send;

    /// One call of a run, if there is one of this id.
    fn call(&self, run: RunId, id: &CallId) -> impl Future<Output = Result<Option<Call>, StoreError>> + Send;

    /// The calls of a step in a generation, the first one first. Costs the same however many calls the run has.
    fn calls_of(
        &self,
        run: RunId,
        step: &StepPath,
        generation: u32,
    ) -> impl Future<Output = Result<Vec<Call>, StoreError>> + Send;

    /// Flags a run as cancelled, so that nothing more is paid for it. The commit that goes on with the run removes the
    /// flag: it is the field [`CANCEL_FIELD`] of the run.
    fn flag_cancelled(&self, run: RunId) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lets a call in by all of `limits`, or by none; what it is given lapses after `hold` unless it is asked for again.
    ///
    /// Places go to those who wait in the order in which they came. Whoever a rate refuses has a turn, and is counted when
    /// it is given. Turns and places in the queue are kept for 2 s or a tenth of `hold` beyond the time that was said.
    fn admit(
        &self,
        call: &CallId,
        limits: &[Limit],
        hold: Duration,
    ) -> impl Future<Output = Result<Admission, StoreError>> + Send;

    /// Gives back what a call holds of these limits, and the turns that it has.
    fn give_back(&self, call: &CallId, limits: &[String]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Sets the price of a call aside in all of `purses`, or in none, for `hold`. A call that has a reservation keeps it.
    fn reserve(
        &self,
        call: &CallId,
        price: Money,
        purses: &[Purse],
        hold: Duration,
    ) -> impl Future<Output = Result<Reservation, StoreError>> + Send;

    /// Books what a call cost and ends its reservation; nothing for one that is unpaid. Booking it again changes nothing,
    /// but for a later, higher cost, of which the rest is added.
    fn book(&self, call: &CallId, cost: Money, purses: &[Purse])
    -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What was spent on the `days` days up to now, the newest day first, by purse.
    fn spent(&self, days: u32) -> impl Future<Output = Result<Vec<Spent>, StoreError>> + Send;

    /// Notes what was seen of a key or a route at a provider.
    fn saw(
        &self,
        provider: &str,
        of: &str,
        sighting: &Sighting,
    ) -> impl Future<Output = Result<Condition, StoreError>> + Send;

    /// Forgets what is known of a key or a route, so that it counts as healthy.
    fn forget_condition(&self, provider: &str, of: &str) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What is known of the keys and routes of a provider, sorted by what it is of. What is not here is healthy.
    fn conditions(&self, provider: &str) -> impl Future<Output = Result<Vec<Condition>, StoreError>> + Send;

    /// Of something whose time has run out: whether the caller is the one who may try it. For `hold` nobody else is.
    fn probe(&self, provider: &str, of: &str, hold: Duration) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Says which keys are configured, so that a new one is noticed.
    fn announce_keys(
        &self,
        provider: &str,
        fingerprints: &[String],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Keeps what webhooks of a provider are checked with.
    fn keep_trust(&self, provider: &str, trust: &Value) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What webhooks of a provider are checked with, if anybody has fetched it.
    fn trust(&self, provider: &str) -> impl Future<Output = Result<Option<Value>, StoreError>> + Send;

    /// The fingerprints of the keys that are configured, as they were announced last, sorted.
    fn keys(&self, provider: &str) -> impl Future<Output = Result<Vec<String>, StoreError>> + Send;

    /// Rises whenever a key or a route got better: a quota is back, a key was replaced.
    fn relief(&self) -> impl Future<Output = Result<u64, StoreError>> + Send;
}

/// The field of a run that says that it was cancelled: set at once when somebody wants that, removed by the commit that
/// goes on with the run.
pub const CANCEL_FIELD: &str = "cancel";

/// The field of a run that says that nothing is paid any more for a step in a generation: set by the commit that cancels or
/// drops a step whose message may still be on its way.
pub fn void_field(step: &StepPath, generation: u32) -> String {
    format!("void/{step}@{generation}")
}
