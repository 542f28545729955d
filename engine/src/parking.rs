//! The second layer of retrying (SPEC C3): a step whose fast retries are spent is parked, and checked now and then.

use crate::advance::Turn;
use crate::change::What;
use crate::plan::{Call, Plan, RetryPolicy};
use crate::run::{Place, Run, State};
use darkroom_proto::{Duration, ErrorClass, StepError, StepPath, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// How often a parked step is checked, unless the settings say otherwise.
pub const RECHECK_EVERY: Duration = Duration::from_secs(300);

/// How often it is checked before it fails.
pub const CYCLES_MAX: u32 = 5;

/// How a step is tried whose fast retries are spent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parking {
    /// While it is parked: which check comes next, from 1. Later: how many checks were used up.
    pub cycle: u32,
    /// The model that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
}

/// A parked step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Parked {
    /// The step.
    pub path: StepPath,
    /// What is in its way.
    pub class: ErrorClass,
    /// Its op.
    pub op: &'static str,
    /// The model that it asks for.
    pub model: Option<String>,
    /// When it is checked next.
    pub at: Timestamp,
}

/// The parked steps of a run: whoever asks finds out which of them nothing is in the way of any more, and sends
/// `Event::Looked`.
pub fn parked(plan: &Plan, run: &Run) -> Vec<Parked> {
    if !run.has_parked() {
        return Vec::new();
    }
    let parked = run.steps.iter().filter_map(|(path, step)| {
        let State::Parked { at } = step.state else { return None };
        let (_, call) = plan.call_at(&plan.locate(path)?)?;
        let class = step.error.as_ref().map_or(ErrorClass::Timeout, |error| error.class);
        let model = step.parking.as_ref().and_then(|parking| parking.model.clone());
        Some(Parked { path: path.clone(), class, op: call.op.name, model, at })
    });
    parked.collect()
}

impl RetryPolicy {
    /// Whether a step is parked when its fast retries of this class are spent. One that is to be tried once is not, nor is
    /// one that says which classes are retried, for any other.
    pub(crate) fn parks(&self, class: ErrorClass) -> bool {
        class.retryable() && self.retries(class) && self.attempts > 1
    }
}

impl Turn<'_> {
    /// Whether a failed attempt is the last for now: fast retries are spent, or can't help.
    pub(crate) fn is_to_be_parked(&self, path: &StepPath, call: &Call, attempt: u32, error: &StepError) -> bool {
        let was_parked = self.run.step(path).is_some_and(|step| step.parking.is_some());
        let is_hopeless = matches!(error.class, ErrorClass::QuotaExceeded | ErrorClass::InvalidKey);
        let is_spent = was_parked || is_hopeless || call.retry.next(attempt, error).is_none();
        call.op.calls_a_provider() && call.retry.parks(error.class) && is_spent
    }

    /// Parks a step, or fails it when it was checked often enough.
    pub(crate) fn park(&mut self, path: &StepPath, place: &Place, error: StepError) {
        let Some(step) = self.run.step(path) else { return };
        let cycle = step.parking.as_ref().map_or(0, |parking| parking.cycle) + 1;
        if cycle > CYCLES_MAX {
            return self.fail(path, exhausted(error));
        }
        let known = step.parking.as_ref().map(|parking| parking.model.clone());
        let model = match (known, step.attempt) {
            (Some(model), _) => model,
            (None, attempt) => match self.attempt(path, place, attempt) {
                Ok(attempt) => attempt.message.params.get("model").and_then(Value::as_str).map(str::to_owned),
                Err(error) => return self.fail(path, error),
            },
        };
        // Never sooner than the other side asked for.
        let wait = self.run.recheck_every.max(error.retry_after.unwrap_or_default());
        let again_at = self.now.after(wait);
        let stored = error.clone();
        self.change_step(path, |step| {
            step.state = State::Parked { at: again_at };
            step.error = Some(stored);
            step.forget_way();
            step.parking = Some(Parking { cycle, model });
        });
        self.look_at(again_at);
        self.happened(What::StepParked { step: path.clone(), error, again_at, cycle });
    }

    /// Somebody checked the parked steps: nothing is in the way of those in `ready`; of the others those whose time had
    /// come have used up a check.
    pub(crate) fn checked(&mut self, ready: &BTreeSet<StepPath>) {
        if !self.run.has_parked() {
            return;
        }
        let now = self.now;
        let of = |(path, step): (&StepPath, &crate::run::Step)| match step.state {
            State::Parked { at } => Some((path.clone(), at <= now)),
            _ => None,
        };
        let parked: Vec<(StepPath, bool)> = self.run.steps.iter().filter_map(of).collect();
        for (path, is_due) in parked {
            // The failure of one may have ended another.
            let Some(State::Parked { .. }) = self.run.step(&path).map(|step| step.state) else { continue };
            if ready.contains(&path) {
                self.unpark(&path, !is_due);
            } else if is_due {
                let error = self.run.step(&path).and_then(|step| step.error.clone());
                if let (Some(place), Some(error)) = (self.plan.locate(&path), error) {
                    self.park(&path, &place, error);
                }
            }
        }
    }

    /// Lets a parked step be tried again, as there is room.
    fn unpark(&mut self, path: &StepPath, is_early: bool) {
        self.change_step(path, |step| {
            step.state = State::Ready;
            if let (Some(parking), true) = (&mut step.parking, is_early) {
                parking.cycle = parking.cycle.saturating_sub(1);
            }
        });
        self.run.ready.push_back(path.clone());
    }
}

fn exhausted(last: StepError) -> StepError {
    let advice = match last.advice.is_empty() {
        true => "it did not pass by itself; look into what the provider says, then resume the run".to_owned(),
        false => format!("{}; then resume the run", last.advice),
    };
    StepError::new(last.class, format!("maximum retry attempts exceeded: {}", last.message))
        .code("retries_exhausted")
        .advice(advice)
}
