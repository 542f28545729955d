//! Benchmarks of one process: coordinator, worker and state in it.

use super::figures::{Figures, Timing};
use super::workflow::{WEB_READY, compiled, pipeline, spec};
use crate::embedded::{Embedded, Heard};
use crate::failure::Failure;
use crate::given;
use crate::links::Links;
use crate::usage::Usage;
use crate::workflow_file::WorkflowFile;
use darkroom_coordinator::Submission;
use darkroom_proto::{Duration, Map, RunId, RunStatus};
use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

/// The figures of this process alone, which is coordinator and worker in one.
pub(super) fn embedded_figures(timing: Timing, bench: &'static str, steps: u64) -> Figures {
    let usage = Usage::now();
    let mut figures = timing.figures(bench, steps);
    figures.cpu_s = BTreeMap::from([("embedded", usage.cpu_s)]);
    figures.peak_rss_mb = BTreeMap::from([("embedded", usage.peak_rss_mb)]);
    figures
}

/// Submits runs together and waits for all of them.
pub(super) async fn all_at_once(engine: &Embedded, file: &WorkflowFile, inputs: Vec<Map>) -> Result<Timing, Failure> {
    engine.desk.define(&file.definition, file.plan.clone()).await?;
    let mut running = engine.start(None);
    let mut waiting: BTreeMap<RunId, Instant> = BTreeMap::new();
    let mut timing = Timing::of(inputs.len() as u32);
    let mut submissions: Vec<Submission> = Vec::with_capacity(inputs.len());
    for inputs in inputs {
        submissions.push(Submission { run: crate::commands::run::new_id(), spec: spec(file, inputs) });
    }
    let mut began: Option<Instant> = None;
    for batch in submissions.chunks(1_000) {
        engine.desk.submit(batch).await?;
        began.get_or_insert_with(Instant::now);
        waiting.extend(batch.iter().map(|submission| (submission.run, Instant::now())));
    }
    let began = began.unwrap_or_else(Instant::now);
    while !waiting.is_empty() {
        let ended: Vec<(RunId, RunStatus)> = match running.hear().await? {
            Heard::News(news) if news.status.is_terminal() => vec![(news.run, news.status)],
            Heard::News(_) => continue,
            Heard::Missed => ended_in_store(engine, &waiting).await?,
        };
        for (run, status) in ended {
            let Some(submitted) = waiting.remove(&run) else { continue };
            timing.latencies.push(submitted.elapsed().as_secs_f64() * 1_000.0);
            timing.count(status);
        }
    }
    timing.wall = began.elapsed().as_secs_f64();
    running.stop().await?;
    Ok(timing)
}

async fn ended_in_store(
    engine: &Embedded,
    waiting: &BTreeMap<RunId, Instant>,
) -> Result<Vec<(RunId, RunStatus)>, Failure> {
    let mut ended = Vec::new();
    for run in waiting.keys() {
        if let Some(stored) = engine.desk.load(*run).await?
            && stored.run.head.status.is_terminal()
        {
            ended.push((*run, stored.run.head.status));
        }
    }
    Ok(ended)
}

/// Runs one after the other, and bare commits of the same size in the same file.
pub(super) async fn latency(engine: &Embedded, runs: u32, steps: u32) -> Result<Figures, Failure> {
    let file = compiled("latency", &pipeline("latency", steps, Duration(0)))?;
    engine.desk.define(&file.definition, file.plan.clone()).await?;
    let mut running = engine.start(None);
    let mut timing = Timing::of(runs);
    let (mut in_steps, mut commits) = (0.0, Vec::new());
    for _ in 0..runs {
        commits.push(crate::usage::durable_commit_ms(&engine.store).await?);
        let run = crate::commands::run::new_id();
        engine.desk.submit(&[Submission { run, spec: spec(&file, Map::new()) }]).await?;
        let began = Instant::now();
        let status = loop {
            match running.hear().await? {
                Heard::News(news) if news.run == run && news.status.is_terminal() => break news.status,
                Heard::News(_) | Heard::Missed => {}
            }
        };
        let took = began.elapsed().as_secs_f64();
        in_steps += took;
        timing.latencies.push(took * 1_000.0);
        timing.count(status);
    }
    timing.wall = in_steps;
    running.stop().await?;
    let mut figures = embedded_figures(timing, "latency", u64::from(runs) * u64::from(steps));
    commits.sort_by(f64::total_cmp);
    let commit_ms = commits[commits.len() / 2];
    figures.commit_ms = Some(commit_ms);
    // The start of a run is a commit too, so a run of K steps is K + 1 of them.
    figures.step_per_commit = Some(figures.p50_ms / f64::from(steps + 1) / commit_ms);
    Ok(figures)
}

/// Pictures to 800×800 gray WebP, taken in and written out.
pub(super) async fn media(engine: &Embedded, dir: &Path, repeat: u32, scratch: &Path) -> Result<Figures, Failure> {
    let file = compiled("media", WEB_READY)?;
    let before = Usage::now();
    let pattern = format!("@{}/*", dir.display());
    let mut images = Vec::new();
    for _ in 0..repeat {
        let assignment = format!("images={pattern}").parse().map_err(Failure::usage)?;
        let taken = given::take_in(&file.plan, &[assignment], scratch, &engine.artifacts, &Links::default()).await?;
        let list = taken.get("images").and_then(|list| list.as_array()).cloned().unwrap_or_default();
        images.extend(list);
    }
    let pictures = images.len() as u32;
    let inputs = Map::from_iter([("images".to_owned(), serde_json::Value::Array(images))]);
    let timing = all_at_once(engine, &file, vec![inputs]).await?;
    let mut figures = embedded_figures(timing, "media", u64::from(pictures) * 3);
    figures.pictures = Some(pictures);
    figures.cpu_ms_per_picture = Some((Usage::now().cpu_s - before.cpu_s) * 1_000.0 / f64::from(pictures.max(1)));
    Ok(figures)
}

/// The processor time of another program over the same folder, its own start included, in milliseconds.
pub(super) fn against_ms(command: &str, dir: &Path) -> Result<f64, Failure> {
    let before = Usage::now();
    let status = std::process::Command::new("sh")
        .args(["-c", &format!("{command} \"$0\"")])
        .arg(dir)
        .stdout(std::process::Stdio::null())
        .status()
        .map_err(|error| Failure::other(format!("`{command}` can't be run: {error}")))?;
    if !status.success() {
        return Err(Failure::other(format!("`{command}` failed: {status}")));
    }
    Ok((Usage::now().children_cpu_s - before.children_cpu_s) * 1_000.0)
}
