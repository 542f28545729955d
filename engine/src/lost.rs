//! Lost messages: whatever is under way is published again.

use crate::advance::Turn;
use crate::run::{State, Step};
use darkroom_proto::{Duration, ErrorClass, RunStatus, StepError, StepPath};
use std::collections::BTreeSet;

/// A step that a worker was at this often when the process died is held to be the cause (LANGUAGE.md part 6).
const LOSSES_MAX: u32 = 10;

impl Turn<'_> {
    /// Whatever is under way is published again, for its messages may be gone. Only steps that were begun have lost an
    /// attempt: a message that nobody had taken yet did nobody harm.
    pub(crate) fn publish_again(&mut self, begun: &BTreeSet<StepPath>) {
        if self.run.head.status == RunStatus::Pending {
            return self.start();
        }
        let under_way: Vec<StepPath> =
            self.run.steps.iter().filter(|(_, step)| is_under_way(step)).map(|(path, _)| path.clone()).collect();
        for path in under_way {
            // The failure of one may have ended another.
            let Some(step) = self.run.step(&path).filter(|step| is_under_way(step)) else { continue };
            let losses = step.losses + 1;
            if begun.contains(&path) {
                self.change_step(&path, |step| step.losses = losses);
                if losses >= LOSSES_MAX {
                    self.leave_window(&path);
                    self.fail(&path, poison());
                    continue;
                }
            }
            self.send_again(&path);
        }
    }

    /// The messages of these steps, as far as they are still under way, are published: whoever committed them may not
    /// have come to it.
    pub(crate) fn perform_again(&mut self, steps: &BTreeSet<StepPath>) {
        self.change.touched = true;
        for path in steps {
            if self.run.step(path).is_some_and(is_under_way) {
                self.send_again(path);
            }
        }
    }

    /// Publishes the message of a step again. A lost attempt is the same attempt.
    pub(crate) fn send_again(&mut self, path: &StepPath) {
        let Some(step) = self.run.step(path) else { return };
        let delay = match step.state {
            State::Retrying { at: back_at } | State::Waiting { until: back_at, .. } if back_at > self.now => {
                Some(back_at.since(self.now))
            }
            _ => None,
        };
        self.send(path, delay);
    }

    /// Publishes the message of a step again, without waiting for what it waits for.
    pub(crate) fn send_now(&mut self, path: &StepPath) {
        self.send(path, None);
    }

    fn send(&mut self, path: &StepPath, delay: Option<Duration>) {
        let (Some(place), Some(step)) = (self.plan.locate(path), self.run.step(path)) else { return };
        if step.child.is_some() {
            // One that is to be started later is looked at then.
            if delay.is_none() {
                self.follow_child(path);
            }
            return;
        }
        let attempt = step.attempt;
        match self.attempt(path, &place, attempt) {
            Ok(attempt) => self.publish(&place, delay, attempt),
            Err(error) => {
                self.leave_window(path);
                self.fail(path, error);
            }
        }
    }
}

/// Whether a message about the step is on its way, or it is with a worker or a provider.
pub(crate) fn is_under_way(step: &Step) -> bool {
    matches!(step.state, State::Dispatched | State::Retrying { .. } | State::Waiting { .. })
}

fn poison() -> StepError {
    StepError::new(
        ErrorClass::WorkflowError,
        format!("the process died {LOSSES_MAX} times while this step was under way"),
    )
    .code("poison")
    .advice("look at what the step is given; a smaller picture may help. Then resume the run")
}
