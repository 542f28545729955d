//! How long callers wait whom a limit refused.

use darkroom_proto::Duration;

/// The shortest time after which it makes sense to ask again: the first rung of the delay ladder.
const WAIT_MIN: Duration = Duration(250);

/// The longest time after which somebody asks again who waits for a place.
const WAIT_MAX: Duration = Duration(10_000);

/// For how long a turn is kept for a caller that does not come.
pub(crate) fn slack(hold: Duration) -> Duration {
    Duration(hold.0 / 10).max(Duration(2_000))
}

/// When somebody asks again who waits for a place behind `ahead` others: a guess, because nobody knows how long those
/// stay who are in.
pub(crate) fn wait_for_place(hold: Duration, ahead: usize) -> Duration {
    let by_position = Duration(WAIT_MIN.0.saturating_mul(ahead as u64 + 1));
    Duration(hold.0 / 4).min(by_position).min(WAIT_MAX).max(WAIT_MIN)
}
