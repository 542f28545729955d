//! Many jobs at a provider that takes its time: how little waiting for them costs.

use super::embedded;
use super::figures::{Figures, Timing, percentile};
use super::fleet::{messages, own_name, prepare, usage};
use super::folder::Folder;
use super::ground::{Choice, Ground};
use super::held::held;
use super::load::{Amount, Done, put_through};
use super::provider::{Hooks, MODEL, Provider};
use super::workflow::{compiled, films, pipeline, spec};
use crate::commands::run::new_id;
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::handing;
use crate::settings::{FleetPlace, Settings};
use crate::workflow_file::WorkflowFile;
use darkroom_backend::{Artifacts, Store as _};
use darkroom_coordinator::Submission;
use darkroom_proto::{Duration, Map, RunId, RunStatus};
use futures_util::future::try_join_all;
use std::sync::Arc;
use std::time::Instant;
use tokio::task::JoinSet;

/// How often a run of other work is handed in.
const BESIDE_EVERY: std::time::Duration = std::time::Duration::from_secs(1);

/// How many runs of other work are measured while there is nothing else to do.
const BESIDE_IDLE: u32 = 10;

/// How often it is looked whether a run of other work has ended.
const LOOK: std::time::Duration = std::time::Duration::from_millis(5);

/// How long a run of other work is waited for.
const BESIDE_MAX: std::time::Duration = std::time::Duration::from_secs(120);

#[derive(Debug, Clone, clap::Args)]
pub(super) struct Args {
    /// How many jobs
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    jobs: u32,
    /// How long the provider takes for each
    #[arg(long, default_value = "2s", value_parser = wait)]
    wait: Duration,
    /// How many of them are steps of one run
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    per_run: u32,
    /// On a fleet: let the provider tell when a job has ended
    #[arg(long)]
    webhooks: bool,
    /// On a fleet: hand in a run of three no-ops of 100 ms every second meanwhile, and measure it too
    #[arg(long)]
    beside: bool,
    /// On a fleet: so many runs instead that wait for an event and for nothing else
    #[arg(long, conflicts_with_all = ["webhooks", "beside", "per_run", "wait"])]
    held: bool,
    #[command(flatten)]
    fleet: Choice,
}

/// A time that a provider may take.
fn wait(text: &str) -> Result<Duration, String> {
    let wait: Duration = text.parse().map_err(|error| format!("{error}"))?;
    // Longer than this a step does not wait.
    let good = Duration(100)..=Duration::from_secs(15 * 60);
    if good.contains(&wait) { Ok(wait) } else { Err("from 100ms to 15m".to_owned()) }
}

impl Args {
    /// The lists of the runs: full ones, and a last one with the rest.
    fn runs(&self) -> Vec<(Map, u32)> {
        let (full, rest) = (self.jobs / self.per_run, self.jobs % self.per_run);
        let items = |from: u32, count: u32| {
            let list: Vec<u32> = (from..from + count).collect();
            Map::from_iter([("items".to_owned(), serde_json::json!(list))])
        };
        let mut runs = vec![(items(0, self.per_run), full), (items(self.per_run, rest), u32::from(rest > 0))];
        runs.retain(|(_, count)| *count > 0);
        runs
    }
}

/// Measures it: on the fleet if one is set, else in this process.
pub(super) async fn waiting(args: &Args, settings: &Settings, place: Option<&FleetPlace>) -> Result<Figures, Failure> {
    if args.fleet.attach {
        return Err(Failure::usage(
            "`bench waiting` brings a provider of its own, which roles that run already do not ask",
        )
        .advice("leave --attach out: it starts roles of its own in a namespace of its own"));
    }
    if place.is_none() && (args.webhooks || args.beside) {
        return Err(Failure::usage("--webhooks and --beside are for a fleet, and none is set")
            .advice("set DARKROOM__BROKER__URL and DARKROOM__STORE__URL, or leave them out"));
    }
    if args.held {
        let Some(place) = place else {
            return Err(Failure::usage("--held is for a fleet, and none is set")
                .advice("set DARKROOM__BROKER__URL and DARKROOM__STORE__URL"));
        };
        let mut ground = Ground::open(settings, place, &args.fleet).await?;
        let measured = ground.until_interrupted(Box::pin(held(args.jobs, &ground))).await;
        let measured = measured.map_err(|failure| ground.explained(failure));
        ground.close().await;
        return measured;
    }
    let folder = Folder::new()?;
    let provider = Provider::start(&folder, args.wait, args.jobs).await?;
    let mut figures = match place {
        Some(place) => Box::pin(on_fleet(args, settings, place, &provider)).await?,
        None => in_one_process(args, settings, &provider, &folder).await?,
    };
    let tally = provider.tally();
    let ideal = args.wait.as_secs_f64();
    (figures.ideal_s, figures.ratio) = (Some(ideal), Some(figures.wall_s / ideal));
    (figures.charges, figures.polls_max) = (Some(tally.charges), Some(tally.polls_most));
    figures.polls_per_job = Some(tally.polls as f64 / f64::from(args.jobs));
    Ok(figures)
}

async fn in_one_process(
    args: &Args,
    settings: &Settings,
    provider: &Provider,
    folder: &Folder,
) -> Result<Figures, Failure> {
    let artifacts = Artifacts::open(&folder.0.join("artifacts"))?;
    let engine = Embedded::open_at(&folder.0.join("state"), artifacts, &provider.settings(settings)).await?;
    let file = compiled("waiting", &films("waiting", MODEL))?;
    let runs = args.runs().into_iter().flat_map(|(inputs, count)| vec![inputs; count as usize]);
    let timing = embedded::all_at_once(&engine, &file, runs.collect()).await?;
    Ok(embedded::embedded_figures(timing, "waiting", u64::from(args.jobs)))
}

async fn on_fleet(
    args: &Args,
    settings: &Settings,
    place: &FleetPlace,
    provider: &Provider,
) -> Result<Figures, Failure> {
    let hooks = if args.webhooks { Some(Hooks::free().await?) } else { None };
    let mut ground = Ground::open_for(settings, place, &args.fleet, provider.wants(hooks)).await?;
    let measured = ground.until_interrupted(measure(args, &ground)).await;
    let measured = measured.map_err(|failure| ground.explained(failure));
    ground.close().await;
    measured
}

async fn measure(args: &Args, ground: &Ground) -> Result<Figures, Failure> {
    let fleet = &ground.fleet;
    let name = own_name("waiting");
    let file = Arc::new(compiled("waiting", &films(&name, MODEL))?);
    prepare(ground, &file).await?;
    let beside = if args.beside { Some(Beside::prepare(ground).await?) } else { None };
    let idle = match &beside {
        Some(beside) => beside.one_after_the_other(BESIDE_IDLE).await?,
        None => Vec::new(),
    };
    let (before, published) = (ground.cast().await.used(), ground.published());
    let began = Instant::now();
    let runs = args.runs();
    let jobs = try_join_all(runs.iter().map(|(inputs, count)| put_through(fleet, &file, inputs, Amount::Runs(*count))));
    let (done, meanwhile) = match &beside {
        Some(beside) => beside.until(jobs).await?,
        None => (jobs.await?, Vec::new()),
    };
    let wall = began.elapsed();
    let after = ground.cast().await.used();
    let done: Vec<RunId> = done.into_iter().flat_map(|Done { runs, .. }| runs).collect();
    let mut timing = Timing::of(done.len() as u32);
    timing.wall = wall.as_secs_f64();
    for (_, summary) in super::audit::summaries(fleet, &name, &done).await? {
        timing.count(summary.status);
        let ended = summary.finished_at.unwrap_or(summary.updated_at);
        timing.latencies.push(ended.since(summary.created_at).0 as f64);
    }
    let mut figures = timing.figures("waiting", u64::from(args.jobs));
    usage(&mut figures, &before, &after);
    figures.messages = messages(ground, published, figures.runs);
    if args.beside {
        figures.beside_runs = Some(meanwhile.len() as u32);
        figures.beside_idle_p50_ms = Some(percentile(&idle, 0.5));
        figures.beside_p50_ms = Some(percentile(&meanwhile, 0.5));
        figures.beside_p99_ms = Some(percentile(&meanwhile, 0.99));
    }
    Ok(figures)
}

/// Work that has nothing to do with the jobs, and should not notice them.
struct Beside {
    fleet: Fleet,
    file: Arc<WorkflowFile>,
}

impl Beside {
    async fn prepare(ground: &Ground) -> Result<Beside, Failure> {
        let file = Arc::new(compiled("beside", &pipeline(&own_name("beside"), 3, Duration(100)))?);
        prepare(ground, &file).await?;
        Ok(Beside { fleet: ground.fleet.clone(), file })
    }

    /// How long so many runs take with nothing else to do, in milliseconds.
    async fn one_after_the_other(&self, runs: u32) -> Result<Vec<f64>, Failure> {
        let mut times = Vec::new();
        for _ in 0..runs {
            times.push(one(self.fleet.clone(), self.file.clone()).await?);
        }
        Ok(times)
    }

    /// Hands in a run every second until `work` is done, and says how long each took.
    async fn until<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<(T, Vec<f64>), Failure> {
        let mut running: JoinSet<Result<f64, Failure>> = JoinSet::new();
        let mut every = tokio::time::interval(BESIDE_EVERY);
        tokio::pin!(work);
        let done = loop {
            tokio::select! {
                done = &mut work => break done?,
                _ = every.tick() => drop(running.spawn(one(self.fleet.clone(), self.file.clone()))),
            }
        };
        let mut times = Vec::new();
        while let Some(ended) = running.join_next().await {
            times.push(ended.map_err(|error| Failure::other(format!("handing in broke: {error}")))??);
        }
        Ok((done, times))
    }
}

/// How long one run takes, by the times that are stored with it.
async fn one(fleet: Fleet, file: Arc<WorkflowFile>) -> Result<f64, Failure> {
    let (run, desk) = (new_id(), fleet.desk());
    let submission = Submission { run, spec: spec(&file, Map::new()) };
    desk.submit(&[submission]).await.map_err(|error| handing::failed(&fleet, error))?;
    let give_up = Instant::now() + BESIDE_MAX;
    loop {
        let stored = fleet.store.store.load(run).await.map_err(|error| fleet.store.failed(error))?;
        match stored.map(|stored| stored.summary) {
            Some(summary) if summary.status == RunStatus::Completed => {
                let ended = summary.finished_at.unwrap_or(summary.updated_at);
                return Ok(ended.since(summary.created_at).0 as f64);
            }
            Some(summary) if summary.status.is_terminal() => {
                return Err(Failure::other(format!("a run beside the jobs is {}", summary.status)));
            }
            _ if Instant::now() > give_up => {
                return Err(Failure::other(format!(
                    "a run beside the jobs did not end within {} s",
                    BESIDE_MAX.as_secs()
                )));
            }
            _ => tokio::time::sleep(LOOK).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Command {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn every_job_is_in_one_run() {
        for (jobs, per_run, want) in [(10, 4, vec![(4, 2), (2, 1)]), (8, 4, vec![(4, 2)]), (3, 4, vec![(3, 1)])] {
            let words = ["bench", "--jobs", &jobs.to_string(), "--per-run", &per_run.to_string()].map(str::to_owned);
            let runs = Command::parse_from(words).args.runs();
            let sizes: Vec<(usize, u32)> =
                runs.iter().map(|(inputs, count)| (inputs["items"].as_array().unwrap().len(), *count)).collect();
            assert_eq!(sizes, want, "{jobs} jobs, {per_run} in each run");
        }
    }

    #[test]
    fn a_wait_is_one_that_a_step_has_the_patience_for() {
        assert_eq!(wait("30s"), Ok(Duration::from_secs(30)));
        for text in ["0s", "99ms", "16m", "soon"] {
            assert!(wait(text).is_err(), "{text}");
        }
    }
}
