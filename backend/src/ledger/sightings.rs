//! What sightings make of the condition of a key or a route, and when a circuit opens.

use super::{Condition, Fitness, Sighting};
use darkroom_proto::{Duration, Timestamp};

/// How many of the latest outcomes are looked at.
const SEEN_MAX: u32 = 20;

/// A circuit opens when so many of the latest outcomes are failures, once all are known.
const FAILURES_MAX: u32 = 10;

/// A circuit opens when so many in a row are failures.
const FAILURES_IN_A_ROW: u32 = 5;

/// For how long a circuit is open the first time.
const OPEN_FIRST: Duration = Duration::from_secs(30);

/// For how long a circuit is open at most.
const OPEN_MAX: Duration = Duration::from_secs(600);

/// How much is kept of what a provider said, in characters.
const NOTE_CHARS_MAX: usize = 500;

/// What the names of keys begin with among the conditions.
pub(crate) const KEY_PREFIX: &str = "key/";

impl Condition {
    /// Nothing is known of it.
    pub(crate) fn unknown(of: &str) -> Condition {
        Condition {
            of: of.to_owned(),
            state: Fitness::Healthy,
            until: Timestamp(0),
            times: 0,
            recent: 0,
            seen: 0,
            note: String::new(),
        }
    }

    /// Whether anything is wrong with it.
    pub(crate) fn is_bad(&self) -> bool {
        self.state != Fitness::Healthy
    }

    /// Takes a sighting in. True: it was bad, and is healthy now.
    ///
    /// What somebody took out of use stays so until its time has run out, whatever is seen of calls that were under way.
    pub(crate) fn see(&mut self, sighting: &Sighting, now: Timestamp) -> bool {
        let is_believed = self.is_bad() && now < self.until;
        let is_disabled = self.state == Fitness::Disabled && is_believed;
        match sighting {
            Sighting::Bad { state: Fitness::Healthy, .. } | Sighting::Good => {
                let was_bad = self.is_bad();
                if self.state == Fitness::Open {
                    // The failures that opened it would open it again at the next one.
                    (self.recent, self.seen) = (0, 0);
                }
                self.push(false);
                if is_disabled {
                    return false;
                }
                (self.state, self.until, self.times) = (Fitness::Healthy, Timestamp(0), 0);
                self.note.clear();
                was_bad
            }
            Sighting::Failure => {
                self.push(true);
                // Only what can be reached in another way has a circuit; a key is fine where its provider fails.
                let opens = match self.state {
                    Fitness::Healthy => self.fails_often() && !self.of.starts_with(KEY_PREFIX),
                    Fitness::Open => !is_believed,
                    _ => false,
                };
                if opens {
                    self.worsen(Fitness::Open, OPEN_FIRST, OPEN_MAX, now);
                }
                false
            }
            Sighting::Bad { state, first, max, note } => {
                if !is_disabled || *state == Fitness::Disabled {
                    self.worsen(*state, *first, *max, now);
                    self.note = note.chars().take(NOTE_CHARS_MAX).collect();
                }
                false
            }
        }
    }

    /// It counts as one time, however many see it before the caller that may try again does.
    fn worsen(&mut self, state: Fitness, first: Duration, max: Duration, now: Timestamp) {
        let is_same = self.state == state;
        if !is_same {
            (self.state, self.times, self.until) = (state, 1, Timestamp(0));
        } else if now >= self.until {
            self.times = self.times.saturating_add(1);
        }
        let doubled = first.0.saturating_mul(1 << (self.times - 1).min(32));
        self.until = self.until.max(now.after(Duration(doubled.min(max.0))));
    }

    fn push(&mut self, is_failure: bool) {
        self.recent = (self.recent << 1 | u32::from(is_failure)) & ((1 << SEEN_MAX) - 1);
        self.seen = (self.seen + 1).min(SEEN_MAX);
    }

    fn fails_often(&self) -> bool {
        self.recent.trailing_ones() >= FAILURES_IN_A_ROW
            || self.seen == SEEN_MAX && self.recent.count_ones() >= FAILURES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bad(state: Fitness) -> Sighting {
        Sighting::Bad { state, first: Duration(1_000), max: Duration(5_000), note: "no".into() }
    }

    #[test]
    fn a_circuit_opens_after_failures_in_a_row_or_half_of_all() {
        let cases = [
            ("four in a row", "1111", false),
            ("five in a row", "11111", true),
            ("a success between", "1111011", false),
            ("less than half of twenty", "01010101010101010100", false),
            ("half of twenty", "01010101010101010101", true),
            ("half of fewer", "0101010101", false),
        ];
        for (name, outcomes, is_open) in cases {
            for (of, is_open) in [("route/a", is_open), ("key/a", false)] {
                let mut condition = Condition::unknown(of);
                for outcome in outcomes.chars() {
                    let sighting = if outcome == '1' { Sighting::Failure } else { Sighting::Good };
                    condition.see(&sighting, Timestamp(1_000));
                }
                assert_eq!(condition.state == Fitness::Open, is_open, "{name} of {of}");
            }
        }
    }

    #[test]
    fn an_open_circuit_doubles_when_whoever_tries_fails_and_closes_when_it_goes_well() {
        let mut route = Condition::unknown("route/a");
        let mut now = Timestamp(1_000);
        for _ in 0..5 {
            route.see(&Sighting::Failure, now);
        }
        for seconds in [30, 60, 120, 240, 480, 600, 600] {
            assert_eq!(route.until, now.after(Duration::from_secs(seconds)));
            route.see(&Sighting::Failure, now);
            now = route.until;
            route.see(&Sighting::Failure, now);
        }
        assert!(route.see(&Sighting::Good, now));
        assert_eq!((route.state, route.times, route.recent, route.seen), (Fitness::Healthy, 0, 0, 1));
        route.see(&Sighting::Failure, now);
        assert_eq!(route.state, Fitness::Healthy);
    }

    #[test]
    fn a_bad_state_lasts_longer_each_time_but_many_who_see_it_at_once_count_as_one() {
        let mut key = Condition::unknown("key/a");
        let mut now = Timestamp(1_000);
        for ms in [1_000, 2_000, 4_000, 5_000, 5_000] {
            key.see(&bad(Fitness::Cooling), now);
            key.see(&bad(Fitness::Cooling), now);
            assert_eq!((key.state, key.until), (Fitness::Cooling, now.after(Duration(ms))));
            now = key.until;
        }
        key.see(&bad(Fitness::Exhausted), now);
        assert_eq!((key.state, key.times, key.until), (Fitness::Exhausted, 1, now.after(Duration(1_000))));
        assert!(key.see(&Sighting::Good, now));
        assert!(!key.see(&Sighting::Good, now));
        assert!(key.note.is_empty());
    }

    #[test]
    fn what_is_taken_out_of_use_stays_so_until_its_time_has_run_out() {
        let mut route = Condition::unknown("route/a");
        route.see(&bad(Fitness::Disabled), Timestamp(1_000));
        for sighting in [Sighting::Good, Sighting::Failure, bad(Fitness::Missing)] {
            assert!(!route.see(&sighting, Timestamp(1_999)));
            assert_eq!(route.state, Fitness::Disabled);
        }
        assert!(route.see(&Sighting::Good, Timestamp(2_000)));
    }
}
