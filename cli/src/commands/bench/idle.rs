//! What a fleet uses that has nothing to do.

use super::ground::Ground;
use crate::failure::Failure;
use darkroom_proto::Duration;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Instant;

/// How long a fleet may calm down before it is looked at.
const CALM: std::time::Duration = std::time::Duration::from_secs(2);

/// What each role uses; the memory of several processes of a role is added up.
#[derive(Debug, Serialize)]
pub(super) struct Idle {
    bench: &'static str,
    wall_s: f64,
    /// Of one core.
    cpu_percent: BTreeMap<&'static str, f64>,
    rss_mb: BTreeMap<&'static str, f64>,
    processes: BTreeMap<&'static str, u32>,
}

/// Looks on for a while.
pub(super) async fn idle(ground: &mut Ground, time: Duration) -> Result<Idle, Failure> {
    tokio::time::sleep(CALM).await;
    let cast = ground.cast().await;
    let (before, began) = (cast.used(), Instant::now());
    tokio::time::sleep(std::time::Duration::from_millis(time.0)).await;
    let (after, wall_s) = (cast.used(), began.elapsed().as_secs_f64());
    ground.check()?;
    let mut cpu_percent = after.cpu_s_since(&before);
    cpu_percent.values_mut().for_each(|cpu| *cpu = *cpu * 100.0 / wall_s);
    Ok(Idle { bench: "idle", wall_s, cpu_percent, rss_mb: after.rss_mb(), processes: cast.count() })
}
