//! The message of a step that is under way, made again for somebody who has none.

use crate::advance::{Turn, turn};
use crate::plan::Plan;
use crate::run::Run;
use darkroom_proto::{StepMessage, StepPath};

/// The message of a step of a run, as it was sent for its latest attempt. `None` when the run has no such step under way,
/// or its parameters have no value any more.
pub fn step_message(plan: &Plan, run: &Run, path: &StepPath) -> Option<StepMessage> {
    let attempt = run.step(path).filter(|step| !step.state.ended())?.attempt;
    let place = plan.locate(path)?;
    let mut run = run.clone();
    let now = run.head.updated_at;
    let mut turn: Turn<'_> = turn(plan, &mut run, now);
    turn.expand_restored();
    turn.attempt(path, &place, attempt).ok().map(|attempt| *attempt.message)
}
