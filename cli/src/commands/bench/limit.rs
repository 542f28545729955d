//! What the servers of a fleet alone allow, as durably as the fleet uses them.

use super::figures::{Figures, Timing, percentile};
use super::limit_cycle::{Acks, Cycle};
use super::limit_write;
use super::usage_of::Cast;
use crate::failure::Failure;
use crate::settings::FleetPlace;
use std::time::Duration;

/// How many messages are tried to be under way.
const IN_FLIGHT: [usize; 3] = [64, 256, 1_024];

/// How long each of them is measured.
const TIME: Duration = Duration::from_secs(2);

/// How often one message goes to and fro by itself.
const SINGLE: u32 = 500;

/// What was measured.
#[derive(Debug)]
pub(super) struct Limit {
    /// Messages that went to an echo and came back, each acked by itself.
    pub(super) each: Rate,
    /// The same with acks for many of them.
    pub(super) together: Rate,
    /// One by itself.
    pub(super) p50_ms: f64,
    p99_ms: f64,
    /// State writes.
    pub(super) writes_per_s: f64,
}

/// The best rate, and with how many messages under way.
#[derive(Debug, Default)]
pub(super) struct Rate {
    pub(super) steps_per_s: f64,
    in_flight: usize,
    steps: u64,
    wall_s: f64,
    /// Processor time for each, of everybody.
    cpu_ms: f64,
}

impl Limit {
    /// Measures it, in a namespace of its own.
    pub(super) async fn measure(place: &FleetPlace) -> Result<Limit, Failure> {
        let place = FleetPlace { namespace: super::ground::own_namespace(), ..place.clone() };
        let mut cycle = Cycle::open(&place, Acks::Each).await?;
        let alone = alone(&mut cycle).await;
        let each = rate(&mut cycle, &place).await;
        cycle.close().await;
        let (alone, each) = (alone?, each?);
        let mut cycle = Cycle::open(&place, Acks::Together).await?;
        let together = rate(&mut cycle, &place).await;
        cycle.close().await;
        let together = together?;
        let writes_per_s = limit_write::writes_per_s(&place, TIME).await?;
        let (p50_ms, p99_ms) = (percentile(&alone, 0.5), percentile(&alone, 0.99));
        Ok(Limit { each, together, p50_ms, p99_ms, writes_per_s })
    }

    /// As figures: a message to and fro is a step, and a run.
    pub(super) fn figures(self) -> Figures {
        let runs = u32::try_from(self.each.steps).unwrap_or(u32::MAX);
        let timing = Timing { completed: runs, wall: self.each.wall_s, ..Timing::of(runs) };
        Figures {
            p50_ms: self.p50_ms,
            p99_ms: self.p99_ms,
            cpu_ms_per_step: Some(self.each.cpu_ms),
            in_flight: Some(self.each.in_flight),
            batched_steps_per_s: Some(self.together.steps_per_s),
            batched_cpu_ms_per_step: Some(self.together.cpu_ms),
            writes_per_s: Some(self.writes_per_s),
            ..timing.figures("limit", self.each.steps)
        }
    }
}

/// The times of messages that are under way alone, in milliseconds.
async fn alone(cycle: &mut Cycle) -> Result<Vec<f64>, Failure> {
    // The first ones also pay for connections and code that are new.
    cycle.many(IN_FLIGHT[0], TIME / 2).await?;
    let mut times = Vec::new();
    for _ in 0..SINGLE {
        times.push(cycle.one().await?.as_secs_f64() * 1_000.0);
    }
    Ok(times)
}

/// The best rate of all numbers of messages.
async fn rate(cycle: &mut Cycle, place: &FleetPlace) -> Result<Rate, Failure> {
    let mut cast = Cast::with_servers(place);
    cycle.echoes().for_each(|pid| cast.add("echo", pid));
    cycle.many(IN_FLIGHT[0], TIME / 2).await?;
    let mut best = Rate::default();
    for in_flight in IN_FLIGHT {
        let before = cast.used();
        let (steps, wall) = cycle.many(in_flight, TIME).await?;
        let cpu_s: f64 = cast.used().cpu_s_since(&before).values().sum();
        let (wall_s, cpu_ms) = (wall.as_secs_f64(), cpu_s * 1_000.0 / steps.max(1) as f64);
        let rate = Rate { steps_per_s: steps as f64 / wall_s, in_flight, steps, wall_s, cpu_ms };
        if rate.steps_per_s > best.steps_per_s {
            best = rate;
        }
    }
    Ok(best)
}
