//! The time.

use darkroom_proto::Timestamp;
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// The time of the machine at the start, carried on by tokio's clock, so that tests which stop tokio's time stop this one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    started: Instant,
    wall: Timestamp,
}

impl Clock {
    pub(crate) fn start() -> Clock {
        #[expect(clippy::disallowed_methods, reason = "only where the time begins; it goes on by tokio's clock")]
        let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Clock { started: Instant::now(), wall: Timestamp(wall.as_millis() as u64) }
    }

    pub(crate) fn now(self) -> Timestamp {
        Timestamp(self.wall.0 + self.started.elapsed().as_millis() as u64)
    }

    /// Waits until then; not at all if that is past.
    pub(crate) async fn until(self, at: Timestamp) {
        tokio::time::sleep_until(self.started + Duration::from_millis(at.0.saturating_sub(self.wall.0))).await;
    }
}
