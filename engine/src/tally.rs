//! How many steps of a run are in which state: enough to tell its status without looking at them.

use crate::run::{State, Step};
use darkroom_proto::RunStatus;

/// The counts; they follow from the steps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// On their way, or ready to be sent.
    busy: u32,
    /// Waiting for a provider, or to be let in.
    waiting: u32,
    /// Held by the engine itself.
    pub(crate) held: u32,
    /// Waiting until something that was in the way has gone.
    pub(crate) parked: u32,
}

impl Tally {
    /// The counts of these steps.
    pub(crate) fn of<'a>(steps: impl Iterator<Item = &'a Step>) -> Tally {
        let mut tally = Tally::default();
        steps.for_each(|step| tally.moved(None, Some(step.state)));
        tally
    }

    /// A step went from one state to another; `None`: it has none.
    pub(crate) fn moved(&mut self, before: Option<State>, after: Option<State>) {
        if let Some(count) = before.and_then(|state| self.count(state)) {
            *count = count.saturating_sub(1);
        }
        if let Some(count) = after.and_then(|state| self.count(state)) {
            *count += 1;
        }
    }

    /// Whether a step has not ended that is more than a container of others.
    pub(crate) fn has_open(&self) -> bool {
        self.busy + self.waiting + self.parked > 0
    }

    /// The status of a run that has begun and not ended. `goes_on`: it has more to do by itself.
    pub(crate) fn status(&self, goes_on: bool) -> RunStatus {
        match self {
            _ if goes_on || self.busy > 0 => RunStatus::Running,
            Tally { parked: 1.., .. } => RunStatus::PendingRetry,
            Tally { waiting: 1.., .. } | Tally { held: 1.., .. } => RunStatus::Waiting,
            _ => RunStatus::Running,
        }
    }

    /// Whether nothing is with a provider. What is ready goes nowhere while the run is paused.
    pub(crate) fn is_still(&self) -> bool {
        self.waiting == 0
    }

    /// Whether all that is left is held.
    pub(crate) fn only_held(&self) -> bool {
        self.held > 0 && self.busy == 0 && self.waiting == 0 && self.parked == 0
    }

    fn count(&mut self, state: State) -> Option<&mut u32> {
        match state {
            State::Ready | State::Dispatched | State::Retrying { .. } => Some(&mut self.busy),
            State::Waiting { .. } => Some(&mut self.waiting),
            State::Held { .. } => Some(&mut self.held),
            State::Parked { .. } => Some(&mut self.parked),
            State::Open | State::Completed | State::Cached | State::Skipped | State::Failed | State::Cancelled => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::Timestamp;

    #[test]
    fn a_run_is_as_its_busiest_step_and_parked_before_it_is_waiting() {
        let at = Timestamp(1);
        let (waits, parked) = (State::Waiting { submitted: true, until: at }, State::Parked { at });
        let cases = [
            (vec![], RunStatus::Running),
            (vec![State::Open, waits], RunStatus::Waiting),
            (vec![waits, parked], RunStatus::PendingRetry),
            (vec![waits, parked, State::Retrying { at }], RunStatus::Running),
            (vec![parked, State::Ready], RunStatus::Running),
            (vec![State::Completed, State::Dispatched, waits], RunStatus::Running),
        ];
        for (states, want) in cases {
            let mut tally = Tally::default();
            states.iter().for_each(|state| tally.moved(None, Some(*state)));
            assert_eq!(tally.status(false), want, "{states:?}");
            assert_eq!(tally.status(true), RunStatus::Running, "{states:?}");
            states.iter().for_each(|state| tally.moved(Some(*state), None));
            assert_eq!(tally, Tally::default());
        }
    }
}
