//! Benchmarks on a fleet.

use super::audit::{audit, summaries};
use super::figures::{Figures, Timing, percentile, percentile_of_whole};
use super::ground::Ground;
use super::load::{Amount, Done, patiently, put_through, warm_up};
use super::usage_of::Cast;
use super::workflow::{compiled, fan_out_and_in, pipeline, spec};
use crate::commands::run::new_id;
use crate::failure::Failure;
use crate::handing;
use crate::output::complain;
use crate::workflow_file::WorkflowFile;
use darkroom_backend::Store as _;
use darkroom_coordinator::{Submission, decode_event};
use darkroom_engine::What;
use darkroom_proto::{Duration, Map, RunId};
use std::sync::Arc;
use std::time::Instant;

/// How often it is looked whether a single run has ended.
const LOOK: std::time::Duration = std::time::Duration::from_millis(1);

/// Many runs of a few steps.
pub(super) async fn pipelines(
    ground: &Ground,
    amount: Amount,
    steps: u32,
    step_time: Duration,
    is_verified: bool,
) -> Result<Figures, Failure> {
    let name = own_name("pipelines");
    let file = Arc::new(compiled("pipelines", &pipeline(&name, steps, step_time))?);
    let (done, mut figures) = measured(ground, &file, &Map::new(), amount, "pipelines", u64::from(steps)).await?;
    if is_verified {
        let wrong = audit(&ground.fleet, &done.runs, steps as usize).await?;
        wrong.iter().take(10).for_each(|wrong| complain(&format!("wrong: {wrong}")));
        figures.verified = Some(wrong.is_empty());
    }
    Ok(figures)
}

/// One run over many items, and behind it a step that gets all results, or of over 10,000 their number.
pub(super) async fn fanout(ground: &Ground, items: u32, step_time: Duration) -> Result<Figures, Failure> {
    let file = Arc::new(compiled("fanout", &fan_out_and_in(&own_name("fanout"), items as usize, step_time))?);
    let list: Vec<u32> = (0..items).collect();
    let inputs = Map::from_iter([("items".to_owned(), serde_json::json!(list))]);
    let steps = u64::from(items) + 1;
    Ok(measured(ground, &file, &inputs, Amount::Runs(1), "fanout", steps).await?.1)
}

/// A workflow that no other benchmark uses: the runs of one namespace can be told apart by it.
pub(super) fn own_name(bench: &str) -> String {
    format!("{bench}-{}", &uuid::Uuid::new_v4().simple().to_string()[..8])
}

/// Puts runs through, and says what that took.
async fn measured(
    ground: &Ground,
    file: &Arc<WorkflowFile>,
    inputs: &Map,
    amount: Amount,
    bench: &'static str,
    steps_per_run: u64,
) -> Result<(Done, Figures), Failure> {
    let fleet = &ground.fleet;
    prepare(ground, file).await?;
    let cast = ground.cast().await;
    let (before, published) = (cast.used(), ground.published());
    let done = put_through(fleet, file, inputs, amount).await?;
    let cast = cast.and(ground.cast().await);
    let after = cast.used();
    let mut timing = Timing::of(done.runs.len() as u32);
    timing.wall = done.wall.as_secs_f64();
    for (_, summary) in summaries(fleet, &file.plan.workflow, &done.runs).await? {
        timing.count(summary.status);
        let ended = summary.finished_at.unwrap_or(summary.updated_at);
        timing.latencies.push(ended.since(summary.created_at).0 as f64);
    }
    let steps = steps_per_run * u64::from(timing.runs);
    let mut figures = timing.figures(bench, steps);
    usage(&mut figures, &before, &after);
    figures.messages = messages(ground, published, figures.runs);
    Ok((done, figures))
}

/// How many messages were published since then, and to start so many runs.
pub(super) fn messages(ground: &Ground, before: Option<u64>, runs: u32) -> Option<u64> {
    Some(ground.published()?.saturating_sub(before?) + u64::from(runs))
}

/// What everybody used in between.
pub(super) fn usage(figures: &mut Figures, before: &super::usage_of::Used, after: &super::usage_of::Used) {
    figures.cpu_s = after.cpu_s_since(before);
    figures.peak_rss_mb = after.peak_rss_mb();
    figures.cpu_ms_per_step = Some(figures.cpu_s.values().sum::<f64>() * 1_000.0 / figures.steps.max(1) as f64);
}

/// Keeps the definition, and waits until everybody has done something.
pub(super) async fn prepare(ground: &Ground, file: &WorkflowFile) -> Result<(), Failure> {
    let (fleet, desk) = (&ground.fleet, ground.fleet.desk());
    let warm = compiled("warm-up", &pipeline(&own_name("warm-up"), 1, Duration(0)))?;
    warm_up(fleet, &warm).await?;
    let desk = &desk;
    let define = || async move { desk.define(&file.definition, file.plan.clone()).await };
    patiently(|| async { define().await.map_err(|error| handing::failed(fleet, error)) }).await
}

/// Runs one after the other.
pub(super) async fn latency(ground: &Ground, runs: u32, steps: u32) -> Result<Figures, Failure> {
    let file = compiled("latency", &pipeline(&own_name("latency"), steps, Duration(0)))?;
    prepare(ground, &file).await?;
    let cast: Cast = ground.cast().await;
    let before = cast.used();
    let fleet = &ground.fleet;
    let desk = fleet.desk();
    let (mut timing, mut seen, mut ids) = (Timing::of(runs), Vec::new(), Vec::new());
    for _ in 0..runs {
        let run = new_id();
        let submission = Submission { run, spec: spec(&file, Map::new()) };
        let began = Instant::now();
        desk.submit(&[submission]).await.map_err(|error| handing::failed(fleet, error))?;
        let status = loop {
            let stored = fleet.store.store.load(run).await.map_err(|error| fleet.store.failed(error))?;
            match stored.map(|stored| stored.summary) {
                Some(summary) if summary.status.is_terminal() => break summary.status,
                _ => tokio::time::sleep(LOOK).await,
            }
        };
        let took = began.elapsed().as_secs_f64();
        timing.wall += took;
        seen.push(took * 1_000.0);
        timing.count(status);
        ids.push(run);
    }
    let after = cast.used();
    let (mut of_runs, mut of_steps) = (Vec::new(), Vec::new());
    for run in ids {
        let times = times(ground, run).await?;
        of_runs.extend(times.last().zip(times.first()).map(|(last, first)| last - first));
        of_steps.extend(times.windows(2).map(|pair| pair[1] - pair[0]));
    }
    let mut figures = timing.figures("latency", u64::from(runs) * u64::from(steps));
    (figures.p50_ms, figures.p99_ms) = (percentile_of_whole(&of_runs, 0.5), percentile_of_whole(&of_runs, 0.99));
    figures.step_p50_ms = Some(percentile_of_whole(&of_steps, 0.5));
    figures.step_p99_ms = Some(percentile_of_whole(&of_steps, 0.99));
    figures.seen_p50_ms = Some(percentile(&seen, 0.5));
    figures.seen_p99_ms = Some(percentile(&seen, 0.99));
    usage(&mut figures, &before, &after);
    Ok(figures)
}

/// When a run was handed in, and when each of its steps was done, in milliseconds.
async fn times(ground: &Ground, run: RunId) -> Result<Vec<u64>, Failure> {
    let fleet = &ground.fleet;
    let stored = fleet.store.store.load(run).await.map_err(|error| fleet.store.failed(error))?;
    let mut times: Vec<u64> = stored.map(|stored| stored.summary.created_at.0).into_iter().collect();
    for event in fleet.store.store.events(run, 0, usize::MAX).await.map_err(|error| fleet.store.failed(error))? {
        let happened = decode_event(&event.body)?;
        if matches!(happened.what, What::StepCompleted { .. }) {
            // The clock of who handed in may be ahead of the store's.
            times.push(happened.at.0.max(times.last().copied().unwrap_or_default()));
        }
    }
    Ok(times)
}
