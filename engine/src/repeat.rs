//! Loops with a bound: `repeat`.

use crate::advance::Turn;
use crate::expr::{Expr, holds};
use crate::run::{Frame, Place};
use crate::scope::{RunScope, value_error};
use darkroom_proto::{ErrorClass, StepError, StepPath};

/// The most iterations of one `repeat`.
pub const ITERATIONS_MAX: u32 = 1_000;

impl Turn<'_> {
    /// Whether the iteration that has just ended was the last one.
    pub(crate) fn is_repeated_enough(
        &self,
        path: &StepPath,
        until: &Expr,
        place: &Place,
        number: u32,
    ) -> Result<bool, StepError> {
        let mut frames = place.frames.clone();
        frames.push(Frame::instance(place.node, path.clone(), number));
        let scope = RunScope { plan: self.plan, run: self.run, frames: &frames };
        holds(until, &scope).map_err(|error| value_error("until", &error))
    }
}

/// The error of a `repeat` whose `until` did not become true.
pub(crate) fn exhausted(max: u32) -> StepError {
    StepError::new(ErrorClass::WorkflowError, format!("`until` did not hold after {max} iterations"))
        .code("repeat_exhausted")
        .advice("raise `max`, or look at what the last iteration gave; `continue-on-error: true` lets the run go on")
}
