//! Many runs that wait for an event and for nothing else: how little they cost meanwhile.

use super::figures::{Figures, Timing};
use super::fleet::{own_name, prepare, usage};
use super::ground::Ground;
use super::workflow::{compiled, spec};
use crate::commands::run::new_id;
use crate::failure::Failure;
use crate::handing;
use darkroom_backend::{RunFilter, Store as _};
use darkroom_coordinator::Submission;
use darkroom_proto::{Map, RunStatus};
use std::time::{Duration, Instant};

/// How many runs are handed in together.
const TOGETHER: u32 = 500;

/// How often it is looked how many of them wait.
const LOOK: Duration = Duration::from_secs(1);

/// How long nothing may change before it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// How many runs are listed at once.
const PAGE: usize = 10_000;

/// Hands them in, and measures when all of them wait. They count as completed then.
pub(super) async fn held(runs: u32, ground: &Ground) -> Result<Figures, Failure> {
    let fleet = &ground.fleet;
    let name = own_name("held");
    let text = format!("workflow: {name}\nsteps:\n  - {{ id: w, uses: wait.event, with: {{ name: go }} }}\n");
    let file = compiled("held", &text)?;
    prepare(ground, &file).await?;
    let desk = fleet.desk();
    let before = ground.cast().await.used();
    let began = Instant::now();
    let mut left = runs;
    while left > 0 {
        let count = left.min(TOGETHER);
        let submissions: Vec<Submission> =
            (0..count).map(|_| Submission { run: new_id(), spec: spec(&file, Map::new()) }).collect();
        desk.submit(&submissions).await.map_err(|error| handing::failed(fleet, error))?;
        left -= count;
    }
    let (mut waiting, mut changed) = (0, Instant::now());
    while waiting < runs && changed.elapsed() < PATIENCE {
        tokio::time::sleep(LOOK).await;
        let now = count_waiting(ground, &name).await?;
        if now != waiting {
            (waiting, changed) = (now, Instant::now());
        }
    }
    let wall = began.elapsed();
    let after = ground.cast().await.used();
    let mut timing = Timing::of(runs);
    timing.wall = wall.as_secs_f64();
    let mut figures = timing.figures("waiting", u64::from(runs));
    (figures.completed, figures.failed) = (waiting, 0);
    usage(&mut figures, &before, &after);
    (figures.rss_before_mb, figures.rss_after_mb) = (Some(before.rss_mb()), Some(after.rss_mb()));
    Ok(figures)
}

async fn count_waiting(ground: &Ground, workflow: &str) -> Result<u32, Failure> {
    let store = &ground.fleet.store;
    let statuses = vec![RunStatus::Waiting];
    let mut filter = RunFilter { workflow: Some(workflow.to_owned()), statuses, limit: PAGE, ..RunFilter::default() };
    let mut count = 0;
    loop {
        let listed = store.store.list(&filter).await.map_err(|error| store.failed(error))?;
        count += listed.len() as u32;
        match listed.last() {
            Some((oldest, _)) if listed.len() == PAGE => filter.before = Some(*oldest),
            _ => return Ok(count),
        }
    }
}
