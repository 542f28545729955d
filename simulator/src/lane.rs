//! [`Lane`]: what is under way with one key at one provider, and how much may be.

use darkroom_proto::{Duration, Timestamp};
use std::collections::{BTreeSet, VecDeque};

/// How much a provider takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Limits {
    /// Jobs at once with one key.
    pub(crate) at_once: Option<usize>,
    /// So many submissions with one key in so long a time.
    pub(crate) rate: Option<(usize, Duration)>,
}

/// What a provider does with a job that is one too many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Over {
    /// It waits until another one has ended.
    Waits,
    /// It is refused.
    Refused,
}

/// What is under way with one key at one provider.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// When each of its jobs ends, with the job's number.
    ends: BTreeSet<(Timestamp, u64)>,
    /// When the last submissions were taken.
    taken: VecDeque<Timestamp>,
    /// The most jobs that were under way at once.
    pub(crate) most: usize,
}

impl Lane {
    /// When a job that comes now may begin.
    ///
    /// # Errors
    /// When it is refused: with the time after which it is worth another try.
    pub(crate) fn admit(&mut self, limits: Limits, over: Over, now: Timestamp) -> Result<Timestamp, Duration> {
        if let Some((count, per)) = limits.rate {
            while self.taken.front().is_some_and(|taken| now.since(*taken) >= per) {
                self.taken.pop_front();
            }
            if self.taken.len() >= count {
                let free = self.taken.front().map_or(now, |oldest| oldest.after(per));
                return Err(free.since(now));
            }
        }
        let under_way = self.under_way(now);
        let Some(at_once) = limits.at_once.filter(|at_once| under_way >= *at_once) else { return Ok(now) };
        match over {
            // So many have to end before it: then one place is free.
            Over::Waits => Ok(self.ends.iter().nth(under_way - at_once.max(1)).map_or(now, |(ends, _)| *ends)),
            Over::Refused => Err(self.ends.first().map_or(Duration(1_000), |(ends, _)| ends.since(now))),
        }
    }

    /// Takes a job in.
    pub(crate) fn take(&mut self, number: u64, ends: Timestamp, now: Timestamp, limits: Limits) {
        if limits.rate.is_some() {
            self.taken.push_back(now);
        }
        self.ends.insert((ends, number));
        self.most = self.most.max(self.under_way(now));
    }

    /// Lets a job go that was cancelled.
    pub(crate) fn release(&mut self, number: u64, ends: Timestamp) {
        self.ends.remove(&(ends, number));
    }

    /// How many jobs have not ended.
    pub(crate) fn under_way(&mut self, now: Timestamp) -> usize {
        while self.ends.first().is_some_and(|(ends, _)| *ends <= now) {
            self.ends.pop_first();
        }
        self.ends.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_over_the_limit_waits_for_a_place_or_is_refused() {
        let limits = Limits { at_once: Some(2), rate: None };
        let mut lane = Lane::default();
        let (now, mut begins) = (Timestamp(1_000), Vec::new());
        for number in 0..5 {
            let starts = lane.admit(limits, Over::Waits, now).unwrap();
            lane.take(number, starts.after(Duration(100)), now, limits);
            begins.push(starts.0);
        }
        assert_eq!(begins, [1_000, 1_000, 1_100, 1_100, 1_200], "two at once, in order");
        assert_eq!(lane.admit(limits, Over::Refused, now), Err(Duration(100)));
        assert_eq!(lane.admit(limits, Over::Refused, Timestamp(1_300)), Ok(Timestamp(1_300)));
        assert_eq!(lane.most, 5);
    }

    #[test]
    fn a_rate_counts_what_was_taken_in_the_time_before() {
        let limits = Limits { at_once: None, rate: Some((2, Duration(1_000))) };
        let mut lane = Lane::default();
        for number in 0..2 {
            let now = Timestamp(10_000 + number * 100);
            lane.admit(limits, Over::Refused, now).unwrap();
            lane.take(number, now, now, limits);
        }
        assert_eq!(lane.admit(limits, Over::Waits, Timestamp(10_200)), Err(Duration(800)));
        assert!(lane.admit(limits, Over::Waits, Timestamp(11_000)).is_ok());
    }
}
