//! The one place that reads the time of the machine.

use darkroom_proto::Timestamp;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// A source of time that never goes back, even when the clock of the machine is set back: then it goes on by the
/// machine's steady clock until the other has caught up.
///
/// Going on matters as much as not going back: a time that stood still would hold back everything that waits for it.
/// Cheap to clone; every clone is the same clock.
#[derive(Debug, Clone)]
pub struct Clock {
    source: Arc<Source>,
    last: Arc<Mutex<Last>>,
}

#[derive(Debug)]
enum Source {
    System { started: Instant },
    Manual(Mutex<Reading>),
}

/// What the two clocks of a source say.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Timestamp,
    steady: Duration,
}

/// The last time that was given, and when by the steady clock.
#[derive(Debug, Clone, Copy)]
struct Last {
    given: Timestamp,
    steady: Duration,
}

impl Clock {
    /// The clock of the machine.
    pub fn system() -> Clock {
        Clock::of(Source::System { started: Instant::now() })
    }

    /// A clock that stands at `start` until it is moved, for tests.
    pub fn manual(start: Timestamp) -> Clock {
        Clock::of(Source::Manual(Mutex::new(Reading { wall: start, steady: Duration::ZERO })))
    }

    fn of(source: Source) -> Clock {
        let last = Last { given: Timestamp(0), steady: Duration::ZERO };
        Clock { source: Arc::new(source), last: Arc::new(Mutex::new(last)) }
    }

    /// The time now: at least what was given before.
    pub fn now(&self) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let reading = self.source.read();
        let elapsed = reading.steady.saturating_sub(last.steady).as_millis() as u64;
        if reading.wall >= last.given {
            *last = Last { given: reading.wall, steady: reading.steady };
        } else if elapsed > 0 {
            // Only whole milliseconds are taken off the steady clock: frequent callers must not lose the rest.
            let steady = last.steady + Duration::from_millis(elapsed);
            *last = Last { given: Timestamp(last.given.0 + elapsed), steady };
        }
        last.given
    }

    /// Gives nothing before `floor` from now on.
    pub fn not_before(&self, floor: Timestamp) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if floor > last.given {
            *last = Last { given: floor, steady: self.source.read().steady };
        }
    }

    /// Moves a manual clock on. The clock of the machine takes no notice.
    pub fn advance(&self, by: Duration) {
        if let Source::Manual(reading) = &*self.source {
            let mut reading = reading.lock().unwrap_or_else(PoisonError::into_inner);
            reading.wall = Timestamp(reading.wall.0 + by.as_millis() as u64);
            reading.steady += by;
        }
    }

    /// Sets the wall time of a manual clock, as a person sets the clock of a machine. The clock of the machine takes
    /// no notice.
    pub fn set(&self, wall: Timestamp) {
        if let Source::Manual(reading) = &*self.source {
            reading.lock().unwrap_or_else(PoisonError::into_inner).wall = wall;
        }
    }
}

impl Source {
    fn read(&self) -> Reading {
        match self {
            #[expect(clippy::disallowed_methods, reason = "this is the clock that the others are to take it from")]
            Source::System { started } => {
                let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                Reading { wall: Timestamp(wall.as_millis() as u64), steady: started.elapsed() }
            }
            Source::Manual(reading) => *reading.lock().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_goes_on_when_the_clock_is_set_back() {
        let clock = Clock::manual(Timestamp(10_000));
        assert_eq!(clock.now(), Timestamp(10_000));
        clock.set(Timestamp(4_000));
        assert_eq!(clock.now(), Timestamp(10_000));
        clock.advance(Duration::from_millis(300));
        assert_eq!(clock.now(), Timestamp(10_300));
        clock.advance(Duration::from_secs(60));
        assert_eq!(clock.now(), Timestamp(64_300));
    }

    #[test]
    fn time_goes_on_from_a_floor_in_the_future() {
        let clock = Clock::manual(Timestamp(1_000));
        clock.not_before(Timestamp(5_000));
        assert_eq!(clock.now(), Timestamp(5_000));
        clock.advance(Duration::from_micros(600));
        assert_eq!(clock.now(), Timestamp(5_000));
        clock.advance(Duration::from_micros(600));
        assert_eq!(clock.now(), Timestamp(5_001));
    }
}
