//! A place where a worker ends itself as a crash would: for the tests of what becomes of a call that was under way.

use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};

/// Where in a paid call the process ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Before it is written down.
    BeforeIntent,
    /// It is written down, and nothing is sent.
    AfterIntent,
    /// The request is on its way, and no answer has come.
    Sent,
    /// The answer has come, and nobody knows of it.
    Answered,
    /// The handle is written down, and nothing else is done.
    Submitted,
    /// The outputs are kept, and the call is not settled.
    BeforeSettle,
    /// The call is settled, and the message not acked.
    BeforeAck,
}

impl Moment {
    const ALL: [(&str, Moment); 7] = [
        ("before-intent", Moment::BeforeIntent),
        ("after-intent", Moment::AfterIntent),
        ("sent", Moment::Sent),
        ("answered", Moment::Answered),
        ("submitted", Moment::Submitted),
        ("before-settle", Moment::BeforeSettle),
        ("before-ack", Moment::BeforeAck),
    ];
}

/// Where a worker ends itself, written `call:sent:3`: the third time that it has sent a call.
#[derive(Debug)]
pub struct CallFailpoint {
    moment: Moment,
    left: AtomicU32,
}

/// Not a failpoint.
#[derive(Debug, Clone, thiserror::Error)]
#[error(
    "`{0}` is no failpoint of a worker: it is `call`, `before-intent`, `after-intent`, `sent`, `answered`, `submitted`, `before-settle` or `before-ack`, and which time, such as `call:sent:3`"
)]
pub struct ParseCallFailpointError(String);

impl FromStr for CallFailpoint {
    type Err = ParseCallFailpointError;

    fn from_str(text: &str) -> Result<CallFailpoint, ParseCallFailpointError> {
        let wrong = || ParseCallFailpointError(text.to_owned());
        let ["call", moment, time] = text.split(':').collect::<Vec<_>>()[..] else { return Err(wrong()) };
        let (_, moment) = Moment::ALL.into_iter().find(|(name, _)| *name == moment).ok_or_else(wrong)?;
        match time.parse() {
            Ok(left) if left > 0 => Ok(CallFailpoint { moment, left: AtomicU32::new(left) }),
            _ => Err(wrong()),
        }
    }
}

impl CallFailpoint {
    /// Whether the process is to end here, now.
    pub(crate) fn is_at(&self, moment: Moment) -> bool {
        self.moment == moment && self.left.fetch_sub(1, Ordering::Relaxed) == 1
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
    fn a_failpoint_is_reached_at_its_moment_and_time_once() {
        let failpoint: CallFailpoint = "call:sent:2".parse().unwrap();
        let at = [Moment::Sent, Moment::Answered, Moment::Sent, Moment::Sent].map(|moment| failpoint.is_at(moment));
        assert_eq!(at, [false, false, true, false]);
        assert!("call:sent:0".parse::<CallFailpoint>().is_err());
        assert!("call:never:1".parse::<CallFailpoint>().is_err());
    }
}
