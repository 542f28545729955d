//! What the servers of a fleet alone allow, as durably as the fleet uses them.

use super::figures::{Figures, Timing, percentile};
use super::limit_cycle::Cycle;
use super::limit_write;
use crate::failure::Failure;
use crate::settings::FleetPlace;
use std::time::Duration;

/// How many messages are tried to be under way.
const IN_FLIGHT: [usize; 3] = [64, 256, 1_024];

/// How long each number of them is measured.
const TIME: Duration = Duration::from_secs(3);

/// How often one message goes to and fro by itself.
const SINGLE: u32 = 500;

/// What was measured.
#[derive(Debug)]
pub(super) struct Limit {
    /// Messages that went to an echo and came back.
    pub(super) steps_per_s: f64,
    /// How many were under way then.
    in_flight: usize,
    /// How many there were, in how many seconds.
    steps: u64,
    wall_s: f64,
    /// One by itself.
    pub(super) p50_ms: f64,
    p99_ms: f64,
    /// State writes.
    pub(super) writes_per_s: f64,
}

impl Limit {
    /// Measures it, in a namespace of its own.
    pub(super) async fn measure(place: &FleetPlace) -> Result<Limit, Failure> {
        let place = FleetPlace { namespace: super::ground::own_namespace(), ..place.clone() };
        let mut cycle = Cycle::open(&place).await?;
        let measured = Limit::of(&mut cycle, &place).await;
        cycle.close().await;
        measured
    }

    async fn of(cycle: &mut Cycle, place: &FleetPlace) -> Result<Limit, Failure> {
        // The first ones also pay for connections and code that are new.
        cycle.many(IN_FLIGHT[0], TIME / 3).await?;
        let mut singles = Vec::new();
        for _ in 0..SINGLE {
            singles.push(cycle.one().await?.as_secs_f64() * 1_000.0);
        }
        let mut best: Option<(f64, usize, u64, f64)> = None;
        for in_flight in IN_FLIGHT {
            let (steps, wall) = cycle.many(in_flight, TIME).await?;
            let (wall_s, rate) = (wall.as_secs_f64(), steps as f64 / wall.as_secs_f64());
            if best.is_none_or(|best| rate > best.0) {
                best = Some((rate, in_flight, steps, wall_s));
            }
        }
        let (steps_per_s, in_flight, steps, wall_s) = best.unwrap_or_default();
        let writes_per_s = limit_write::writes_per_s(place, TIME).await?;
        let (p50_ms, p99_ms) = (percentile(&singles, 0.5), percentile(&singles, 0.99));
        Ok(Limit { steps_per_s, in_flight, steps, wall_s, p50_ms, p99_ms, writes_per_s })
    }

    /// As figures: a message to and fro is a step, and a run.
    pub(super) fn figures(self) -> Figures {
        let runs = u32::try_from(self.steps).unwrap_or(u32::MAX);
        let timing = Timing { completed: runs, wall: self.wall_s, ..Timing::of(runs) };
        Figures {
            p50_ms: self.p50_ms,
            p99_ms: self.p99_ms,
            in_flight: Some(self.in_flight),
            writes_per_s: Some(self.writes_per_s),
            ..timing.figures("limit", self.steps)
        }
    }
}
