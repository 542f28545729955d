//! How quickly the steps of a queue are done, and how many of them are here.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Steps whose work takes no longer than this are quick: many of them have to be here to keep a worker busy.
const QUICK: Duration = Duration::from_millis(5);
/// Steps that take longer are slow: what one worker holds, another one could do.
const SLOW: Duration = Duration::from_millis(15);
/// So many steps are looked at before anything is said about them.
const SAMPLES_MIN: u32 = 8;
/// How much a new figure counts in the moving average, as one part of so many.
const WEIGHT: u32 = 8;

/// What is known of one queue that steps are taken from.
#[derive(Debug)]
pub(super) struct Gauge {
    reading: Mutex<Reading>,
}

#[derive(Debug)]
struct Reading {
    prefetch: usize,
    /// Deliveries that are not settled.
    here: usize,
    /// When there were last as many here as the broker gives out at once: then it may have more.
    full_at: Option<Instant>,
    mean: Duration,
    samples: u32,
}

/// What the time that steps take says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Quick,
    Between,
    Slow,
}

impl Gauge {
    pub(super) fn new(prefetch: u16) -> Self {
        let reading = Reading { prefetch: prefetch.into(), here: 0, full_at: None, mean: Duration::ZERO, samples: 0 };
        Self { reading: Mutex::new(reading) }
    }

    /// As many are given out at once from now on.
    pub(super) fn set_prefetch(&self, prefetch: u16) {
        self.reading().prefetch = prefetch.into();
    }

    /// One came.
    pub(super) fn arrived(&self) {
        let mut reading = self.reading();
        reading.here += 1;
        if reading.here >= reading.prefetch {
            reading.full_at = Some(Instant::now());
        }
    }

    /// One was acked or given back; `took` is the time since it was taken, if it was acked. True: the pace changed.
    pub(super) fn left(&self, took: Option<Duration>) -> bool {
        let mut reading = self.reading();
        if reading.here >= reading.prefetch {
            reading.full_at = Some(Instant::now());
        }
        reading.here = reading.here.saturating_sub(1);
        let Some(took) = took else { return false };
        let before = reading.pace();
        reading.samples = reading.samples.saturating_add(1);
        reading.mean = match reading.samples {
            1 => took,
            samples => {
                let weight = samples.min(WEIGHT);
                (reading.mean * (weight - 1) + took) / weight
            }
        };
        reading.pace() != before
    }

    /// How long steps take.
    pub(super) fn pace(&self) -> Pace {
        self.reading().pace()
    }

    /// Whether there were as many here as the broker gives out, not longer ago than this.
    pub(super) fn was_full_within(&self, window: Duration) -> bool {
        self.reading().full_at.is_some_and(|at| at.elapsed() < window)
    }

    fn reading(&self) -> MutexGuard<'_, Reading> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    fn pace(&self) -> Pace {
        match self.mean {
            _ if self.samples < SAMPLES_MIN => Pace::Between,
            mean if mean < QUICK => Pace::Quick,
            mean if mean > SLOW => Pace::Slow,
            _ => Pace::Between,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pace_follows_the_steps() {
        let gauge = Gauge::new(8);
        for _ in 0..20 {
            gauge.left(Some(Duration::from_millis(2)));
        }
        assert_eq!(gauge.pace(), Pace::Quick);
        for _ in 0..20 {
            gauge.left(Some(Duration::from_millis(200)));
        }
        assert_eq!(gauge.pace(), Pace::Slow);
    }

    #[test]
    fn little_is_said_of_a_few_steps() {
        let gauge = Gauge::new(8);
        assert!(!gauge.left(Some(Duration::from_millis(1))));
        assert_eq!(gauge.pace(), Pace::Between);
    }
}
