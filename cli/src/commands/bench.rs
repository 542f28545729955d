//! `darkroom bench …`: figures of this machine, as ratios within one run.

use crate::embedded::{Embedded, Heard};
use crate::failure::Failure;
use crate::given;
use crate::output::{Format, say, say_json};
use crate::settings::Settings;
use crate::usage::Usage;
use crate::workflow_file::WorkflowFile;
use darkroom_backend::{Artifacts, Clock, Definition};
use darkroom_coordinator::Submission;
use darkroom_engine::Spec;
use darkroom_engine::{Source, compile};
use darkroom_proto::{Duration, Map, RunId, RunStatus};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

/// Measure: in a folder of its own, removed afterwards
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  darkroom bench pipelines --runs 2000 --steps 5\n  \
    darkroom bench latency --runs 200\n  darkroom bench fanout --items 10000\n  darkroom bench media --dir ./photos")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Many runs of a few steps, all at once
    Pipelines {
        /// How many runs
        #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        runs: u32,
        /// How many steps each
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        steps: u32,
        /// How long each step takes
        #[arg(long, default_value = "0ms")]
        step_time: Duration,
    },
    /// One run after the other, and one durable commit after the other
    Latency {
        /// How many runs
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        runs: u32,
        /// How many steps each
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        steps: u32,
    },
    /// One run over many items
    Fanout {
        /// How many items
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        items: u32,
        /// How long each step takes
        #[arg(long, default_value = "0ms")]
        step_time: Duration,
    },
    /// Pictures to 800×800 gray WebP, everything included
    Media {
        /// The folder with the pictures
        #[arg(long)]
        dir: PathBuf,
        /// How many times over each picture is done
        #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        repeat: u32,
        /// Another program to measure in the same run: a shell command that is given the folder
        #[arg(long, value_name = "COMMAND")]
        against: Option<String>,
    },
}

/// What a benchmark found.
#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    runs: u32,
    completed: u32,
    failed: u32,
    steps: u64,
    /// From the first submission accepted to the last completion seen.
    wall_s: f64,
    steps_per_s: f64,
    /// Wall time for each step.
    ms_per_step: f64,
    p50_ms: f64,
    p99_ms: f64,
    cpu_s: BTreeMap<&'static str, f64>,
    peak_rss_mb: BTreeMap<&'static str, f64>,
    /// One durable commit, measured in the same run.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit_ms: Option<f64>,
    /// A step of a single run, in durable commits.
    #[serde(skip_serializing_if = "Option::is_none")]
    step_per_commit: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pictures: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_ms_per_picture: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    against_cpu_ms_per_picture: Option<f64>,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let folder = Folder::new()?;
    let settings = Settings::load()?;
    let artifacts = Artifacts::open(&folder.0.join("artifacts"))?;
    let engine = Embedded::open_at(&folder.0.join("state"), artifacts, &settings).await?;
    let figures = match args.what {
        What::Pipelines { runs, steps, step_time } => {
            let file = compiled("pipelines", &pipeline(steps, step_time))?;
            let timing = all_at_once(&engine, &file, vec![Map::new(); runs as usize]).await?;
            timing.figures("pipelines", u64::from(runs) * u64::from(steps))
        }
        What::Latency { runs, steps } => latency(&engine, runs, steps).await?,
        What::Fanout { items, step_time } => {
            let file = compiled("fanout", &fan_out(step_time))?;
            let list: Vec<u32> = (0..items).collect();
            let inputs = Map::from_iter([("items".to_owned(), serde_json::json!(list))]);
            let timing = all_at_once(&engine, &file, vec![inputs]).await?;
            timing.figures("fanout", u64::from(items))
        }
        What::Media { dir, repeat, against } => {
            let mut figures = media(&engine, &dir, repeat, &folder.0).await?;
            if let (Some(command), Some(pictures)) = (against, figures.pictures) {
                let rounds = f64::from(pictures) / f64::from(repeat);
                figures.against_cpu_ms_per_picture = Some(against_ms(&command, &dir)? / rounds.max(1.0));
            }
            figures
        }
    };
    let failed = figures.failed;
    match format {
        Format::Json => say_json(&figures),
        Format::Table => {
            let value = serde_json::to_value(&figures).unwrap_or_default();
            for (name, value) in value.as_object().into_iter().flatten() {
                say(&format!("{name:<20} {value}"));
            }
        }
    }
    Ok(ExitCode::from(u8::from(failed > 0)))
}

/// A folder of this benchmark's own, removed at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Folder, Failure> {
        // Beside the state that it stands for: a temporary file system may be memory, where nothing is durable.
        let path = std::path::absolute(crate::folder::state())
            .map_err(|error| Failure::other(error.to_string()))?
            .join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed lies in .darkroom/, where it harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn compiled(name: &str, text: &str) -> Result<WorkflowFile, Failure> {
    let source = Source::new(format!("{name}.yaml"), text);
    let compiled = compile(&source).map_err(|errors| {
        let first = errors.first().map(|error| error.message.clone()).unwrap_or_default();
        Failure::other(format!("the benchmark's own workflow does not compile: {first}"))
    })?;
    let definition = Definition {
        hash: compiled.plan.definition,
        workflow: compiled.plan.workflow.clone(),
        file: source.name().to_owned(),
        source: source.text().to_owned(),
    };
    Ok(WorkflowFile { plan: Arc::new(compiled.plan), definition, enabled: true, folder: PathBuf::new() })
}

/// No-op steps that pass 200 bytes on, one after the other.
fn pipeline(steps: u32, step_time: Duration) -> String {
    let mut text = String::from("workflow: pipelines\nsteps:\n");
    for number in 1..=steps {
        let data = match number {
            1 => "x".repeat(200),
            _ => format!("${{{{ steps.s{}.data }}}}", number - 1),
        };
        let _ =
            writeln!(text, "  - {{ id: s{number}, uses: noop, with: {{ data: \"{data}\", step-time: {step_time} }} }}");
    }
    text
}

fn fan_out(step_time: Duration) -> String {
    format!(
        "workflow: fanout\ninputs:\n  items: {{ type: json }}\nsteps:\n  - id: each\n    for-each: inputs.items\n    \
         uses: noop\n    with: {{ data: \"${{{{ item }}}} {}\", step-time: {step_time} }}\n",
        "x".repeat(190)
    )
}

/// How long runs took.
struct Timing {
    runs: u32,
    completed: u32,
    failed: u32,
    wall: f64,
    /// Milliseconds from a run's submission to its completion.
    latencies: Vec<f64>,
}

impl Timing {
    fn figures(mut self, bench: &'static str, steps: u64) -> Figures {
        self.latencies.sort_by(f64::total_cmp);
        let percentile = |share: f64| {
            let last = self.latencies.len().saturating_sub(1);
            self.latencies.get((last as f64 * share).round() as usize).copied().unwrap_or(0.0)
        };
        let usage = Usage::now();
        Figures {
            bench,
            runs: self.runs,
            completed: self.completed,
            failed: self.failed,
            steps,
            wall_s: self.wall,
            steps_per_s: steps as f64 / self.wall,
            ms_per_step: self.wall * 1_000.0 / steps as f64,
            p50_ms: percentile(0.5),
            p99_ms: percentile(0.99),
            // Coordinator and worker are one process here.
            cpu_s: BTreeMap::from([("embedded", usage.cpu_s)]),
            peak_rss_mb: BTreeMap::from([("embedded", usage.peak_rss_mb)]),
            commit_ms: None,
            step_per_commit: None,
            pictures: None,
            cpu_ms_per_picture: None,
            against_cpu_ms_per_picture: None,
        }
    }
}

fn spec(file: &WorkflowFile, inputs: Map) -> Spec {
    Spec {
        workflow: file.plan.workflow.clone(),
        definition: file.plan.definition,
        inputs,
        created_at: Clock::system().now(),
        artifacts_url: String::new(),
        out: None,
        filename: None,
        only: None,
        on_error: None,
        existing: BTreeSet::new(),
        saved: BTreeMap::new(),
    }
}

/// Submits runs together and waits for all of them.
async fn all_at_once(engine: &Embedded, file: &WorkflowFile, inputs: Vec<Map>) -> Result<Timing, Failure> {
    engine.desk.define(&file.definition, file.plan.clone()).await?;
    let mut running = engine.start(None);
    let mut waiting: BTreeMap<RunId, Instant> = BTreeMap::new();
    let mut timing = Timing { runs: inputs.len() as u32, completed: 0, failed: 0, wall: 0.0, latencies: Vec::new() };
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
            match status {
                RunStatus::Completed => timing.completed += 1,
                _ => timing.failed += 1,
            }
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
async fn latency(engine: &Embedded, runs: u32, steps: u32) -> Result<Figures, Failure> {
    let file = compiled("latency", &pipeline(steps, Duration(0)))?;
    engine.desk.define(&file.definition, file.plan.clone()).await?;
    let mut running = engine.start(None);
    let mut timing = Timing { runs, completed: 0, failed: 0, wall: 0.0, latencies: Vec::new() };
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
        match status {
            RunStatus::Completed => timing.completed += 1,
            _ => timing.failed += 1,
        }
    }
    timing.wall = in_steps;
    running.stop().await?;
    let mut figures = timing.figures("latency", u64::from(runs) * u64::from(steps));
    commits.sort_by(f64::total_cmp);
    let commit_ms = commits[commits.len() / 2];
    figures.commit_ms = Some(commit_ms);
    // The start of a run is a commit too, so a run of K steps is K + 1 of them.
    figures.step_per_commit = Some(figures.p50_ms / f64::from(steps + 1) / commit_ms);
    Ok(figures)
}

const WEB_READY: &str = "workflow: media
inputs:
  images: { type: 'image[]' }
steps:
  - id: each
    for-each: inputs.images
    steps:
      - { uses: image.resize, with: { width: 800, height: 800 } }
      - uses: image.grayscale
      - { uses: image.encode, with: { format: webp, quality: 85 } }
";

async fn media(engine: &Embedded, dir: &Path, repeat: u32, scratch: &Path) -> Result<Figures, Failure> {
    let file = compiled("media", WEB_READY)?;
    let before = Usage::now();
    let pattern = format!("@{}/*", dir.display());
    let mut images = Vec::new();
    for _ in 0..repeat {
        let assignment = format!("images={pattern}").parse().map_err(Failure::usage)?;
        let taken = given::take_in(&file.plan, &[assignment], scratch, &engine.artifacts)?;
        let list = taken.get("images").and_then(|list| list.as_array()).cloned().unwrap_or_default();
        images.extend(list);
    }
    let pictures = images.len() as u32;
    let inputs = Map::from_iter([("images".to_owned(), serde_json::Value::Array(images))]);
    let timing = all_at_once(engine, &file, vec![inputs]).await?;
    let mut figures = timing.figures("media", u64::from(pictures) * 3);
    figures.pictures = Some(pictures);
    figures.cpu_ms_per_picture = Some((Usage::now().cpu_s - before.cpu_s) * 1_000.0 / f64::from(pictures.max(1)));
    Ok(figures)
}

/// The processor time of another program over the same folder, its own start included, in milliseconds.
fn against_ms(command: &str, dir: &Path) -> Result<f64, Failure> {
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
