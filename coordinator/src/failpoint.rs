//! A place where a coordinator ends itself as a crash would: for the tests of what its successor finds.

use darkroom_engine::{Change, Effect, What};
use std::str::FromStr;

/// On which side of the publication of a batch's effects the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The changes are committed, and none of their effects is performed.
    Committed,
    /// The effects are published, and nothing of what led to them is acked.
    Published,
}

/// The effects that a batch must have to count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EffectKind {
    /// The first steps of a run are sent.
    First,
    /// Steps that come after others are sent.
    Next,
    /// Items of a wide fan-out are sent.
    FanOut,
    /// A step is sent through the delay ladder.
    Retry,
    /// A run that spent its work budget is gone on with.
    Continue,
    /// The child of a step is started, or looked after.
    Child,
    /// A run that has ended tells its parent.
    Parent,
    /// A schedule starts a run.
    Schedule,
}

/// Where a coordinator ends itself, written `committed:next:3`: at the third batch in which steps follow others, between
/// the commit and the publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failpoint {
    moment: Moment,
    kind: EffectKind,
    batches_left: u32,
    is_in_batch: bool,
}

/// Not a failpoint.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "`{0}` is no failpoint: it is `committed` or `published`, `first`, `next`, `fan-out`, `retry`, `continue`, `child`, `parent` or `schedule`, and which batch, such as `committed:next:3`"
)]
pub struct ParseFailpointError(String);

impl FromStr for Failpoint {
    type Err = ParseFailpointError;

    fn from_str(text: &str) -> Result<Failpoint, ParseFailpointError> {
        let wrong = || ParseFailpointError(text.to_owned());
        let [moment, kind, batch] = text.split(':').collect::<Vec<_>>()[..] else { return Err(wrong()) };
        let moment = match moment {
            "committed" => Moment::Committed,
            "published" => Moment::Published,
            _ => return Err(wrong()),
        };
        let kind = match kind {
            "first" => EffectKind::First,
            "next" => EffectKind::Next,
            "fan-out" => EffectKind::FanOut,
            "retry" => EffectKind::Retry,
            "continue" => EffectKind::Continue,
            "child" => EffectKind::Child,
            "parent" => EffectKind::Parent,
            "schedule" => EffectKind::Schedule,
            _ => return Err(wrong()),
        };
        match batch.parse() {
            Ok(batches_left) if batches_left > 0 => Ok(Failpoint { moment, kind, batches_left, is_in_batch: false }),
            _ => Err(wrong()),
        }
    }
}

impl Failpoint {
    /// A change of the batch was committed.
    pub(crate) fn saw(&mut self, change: &Change) {
        let starts = change.events.iter().any(|event| event.what == What::RunStarted);
        let mut dispatched = change.effects.iter().filter_map(|effect| match effect {
            Effect::Dispatch { batch, delay, .. } => Some((*batch, delay.is_some())),
            Effect::StartChild(_) | Effect::TellParent(_) | Effect::Notify(_) => None,
        });
        let starts_child = || change.effects.iter().any(|effect| matches!(effect, Effect::StartChild(_)));
        let tells_parent = || change.effects.iter().any(|effect| matches!(effect, Effect::TellParent(_)));
        self.is_in_batch |= match self.kind {
            EffectKind::First => starts && dispatched.next().is_some(),
            EffectKind::Next => !starts && dispatched.any(|(batch, delayed)| !batch && !delayed),
            EffectKind::FanOut => dispatched.any(|(batch, _)| batch),
            EffectKind::Retry => dispatched.any(|(_, delayed)| delayed),
            EffectKind::Continue => change.more,
            EffectKind::Child => starts_child(),
            EffectKind::Parent => tells_parent(),
            EffectKind::Schedule => false,
        };
    }

    /// What a schedule decided came to this moment: says whether the process is to end here.
    pub(crate) fn fired(&mut self, moment: Moment) -> bool {
        self.is_in_batch = self.kind == EffectKind::Schedule && self.moment == moment;
        self.reached().is_some()
    }

    /// The batch is committed: says at which moment of it the process is to end, if it is.
    pub(crate) fn reached(&mut self) -> Option<Moment> {
        if !std::mem::take(&mut self.is_in_batch) || self.batches_left == 0 {
            return None;
        }
        self.batches_left -= 1;
        (self.batches_left == 0).then_some(self.moment)
    }
}

/// Ends the process as a crash does: nothing is flushed, dropped or told to the servers.
pub(crate) fn crash(moment: Moment) -> ! {
    tracing::error!(?moment, "ending at the failpoint");
    std::process::abort()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failpoint_is_read_and_counts_the_batches_of_its_kind() {
        let mut failpoint: Failpoint = "published:continue:2".parse().unwrap();
        let more = Change { more: true, ..Change::default() };
        let mut reached = Vec::new();
        for change in [&more, &Change::default(), &more, &more] {
            failpoint.saw(change);
            reached.push(failpoint.reached());
        }
        assert_eq!(reached, [None, None, Some(Moment::Published), None]);
    }

    #[test]
    fn what_is_no_failpoint_is_refused() {
        for text in ["", "committed", "committed:next", "committed:next:0", "later:next:1", "committed:all:1"] {
            assert!(text.parse::<Failpoint>().is_err(), "{text}");
        }
    }
}
