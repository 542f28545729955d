//! The time of Redis, asked for at most once a second.

use super::connection::Connection;
use crate::{Clock, StoreError};
use darkroom_proto::Timestamp;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How long the steady clock of the machine is trusted to go on from what Redis said.
const TRUSTED: Duration = Duration::from_secs(1);

/// A clock that follows Redis'. In between it goes by the steady clock of the machine; it never goes back, also where
/// Redis' clock was set back or another server answers after a failover.
pub(super) struct Time {
    clock: Clock,
    told: Mutex<Told>,
    /// Held by who asks Redis.
    asking: tokio::sync::Mutex<()>,
}

struct Told {
    /// When Redis was last asked; never, at first.
    asked_at: Option<Instant>,
    /// Up to when the clock was moved on.
    moved_to: Instant,
}

impl Time {
    pub(super) fn new() -> Self {
        let told = Told { asked_at: None, moved_to: Instant::now() };
        Self { clock: Clock::manual(Timestamp(0)), told: Mutex::new(told), asking: tokio::sync::Mutex::new(()) }
    }

    pub(super) async fn now(&self, connection: &Connection) -> Result<Timestamp, StoreError> {
        if let Some(now) = self.trusted() {
            return Ok(now);
        }
        let _asking = self.asking.lock().await;
        if let Some(now) = self.trusted() {
            return Ok(now);
        }
        let (seconds, micros): (u64, u64) = connection.send("the time", &::redis::cmd("TIME")).await?;
        Ok(self.tell(Timestamp(seconds * 1_000 + micros / 1_000)))
    }

    /// The time, if Redis was asked for it not long ago.
    fn trusted(&self) -> Option<Timestamp> {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.asked_at.filter(|at| at.elapsed() < TRUSTED)?;
        self.move_on(&mut told);
        Some(self.clock.now())
    }

    fn tell(&self, now: Timestamp) -> Timestamp {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        self.move_on(&mut told);
        self.clock.set(now);
        told.asked_at = Some(Instant::now());
        self.clock.now()
    }

    /// Only by whole milliseconds, which is what the clock counts: frequent callers must not lose the rest.
    fn move_on(&self, told: &mut Told) {
        let passed = Duration::from_millis(told.moved_to.elapsed().as_millis() as u64);
        self.clock.advance(passed);
        told.moved_to += passed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_follows_redis_but_never_back() {
        let time = Time::new();
        assert_eq!(time.trusted(), None);
        assert_eq!(time.tell(Timestamp(1_795_000_000_000)), Timestamp(1_795_000_000_000));
        let later = time.tell(Timestamp(1_795_000_009_000));
        assert!(later >= Timestamp(1_795_000_009_000));
        assert!(time.tell(Timestamp(1_795_000_001_000)) >= later);
        assert!(time.trusted().is_some_and(|now| now >= later));
    }
}
