//! Waiting: a step that is with no worker, because a provider is at work on it or it is not let in yet. It holds no slot
//! and no place in the window.

use crate::advance::Turn;
use crate::change::What;
use crate::run::State;
use crate::watch::Watch;
use darkroom_proto::{StepPath, Waiting};

impl Turn<'_> {
    /// A worker says that the step waits. It is looked at when the wait should have long been over.
    pub(crate) fn wait(&mut self, path: &StepPath, waiting: Waiting) {
        let Some(step) = self.run.step(path) else { return };
        let (was_submitted, known) = match step.state {
            State::Waiting { submitted, .. } => (submitted, step.waiting.as_ref() == Some(&waiting.reason)),
            _ => (false, false),
        };
        // Reports overtake each other: what a provider may have been paid for is not forgotten because of an older one.
        let submitted = waiting.submitted || was_submitted;
        if !submitted && self.is_abandoned(path) {
            self.call_off(path);
            return self.ended(path);
        }
        let Waiting { reason, until, .. } = waiting;
        let stored = reason.clone();
        self.change_step(path, |step| {
            step.state = State::Waiting { submitted, until };
            step.waiting = Some(stored);
        });
        self.set_watch(path, Watch::new(until));
        if !known || submitted != was_submitted {
            self.happened(What::StepWaiting { step: path.clone(), reason });
        }
    }
}
