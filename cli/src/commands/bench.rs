//! `darkroom bench …`: figures of this machine, as ratios within one run.

mod audit;
mod embedded;
mod figures;
mod fleet;
mod folder;
mod ground;
mod held;
mod idle;
mod limit;
mod limit_cycle;
mod limit_echo;
mod limit_write;
mod listeners;
mod load;
mod messages;
mod provider;
mod roles;
mod usage_of;
mod waiting;
mod workflow;

use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::output::Format;
use crate::settings::{FleetPlace, Settings};
use darkroom_backend::Artifacts;
use darkroom_proto::{Duration, Map};
use figures::{Figures, print};
use folder::Folder;
use ground::{Choice, Ground};
use limit::Limit;
use load::Amount;
use std::path::PathBuf;
use std::process::ExitCode;
use workflow::{compiled, fan_out, pipeline};

/// Measure: on the fleet if one is set, else in a folder of its own; what was made is removed afterwards
#[derive(Debug, clap::Args)]
#[command(after_help = "On a fleet it starts roles of its own in a namespace of its own, or uses those that run \
    (--attach).\n\nExamples:\n  darkroom bench pipelines --runs 2000 --steps 5\n  \
    darkroom bench latency --runs 200\n  darkroom bench fanout --items 10000\n  \
    darkroom bench waiting --jobs 1000 --wait 5s\n  darkroom bench media --dir ./photos\n  darkroom bench pipelines --attach --at-least 30s --verify")]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// Many runs of a few steps, all at once
    Pipelines(Pipelines),
    /// One run after the other; embedded, also one durable commit after the other
    Latency {
        /// How many runs
        #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        runs: u32,
        /// How many steps each
        #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
        steps: u32,
        /// On a fleet: measure first what the servers alone allow
        #[arg(long)]
        limit: bool,
        #[command(flatten)]
        fleet: Choice,
    },
    /// One run over many items; on a fleet with a step behind them that gets all results, up to 10,000
    Fanout {
        /// How many items
        #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        items: u32,
        /// How long each step takes
        #[arg(long, default_value = "0ms")]
        step_time: Duration,
        #[command(flatten)]
        fleet: Choice,
    },
    /// Many jobs at a provider that takes its time, which is a simulator of its own
    Waiting(waiting::Args),
    /// What a fleet uses that has nothing to do
    Idle {
        /// For how long
        #[arg(long = "for", value_name = "TIME", default_value = "10s")]
        time: Duration,
        #[command(flatten)]
        fleet: Choice,
    },
    /// What the servers of a fleet alone allow: messages to and fro, durable writes
    Limit,
    /// Pictures to 800×800 gray WebP, everything included; always in one process
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
    #[command(hide = true)]
    LimitEcho(limit_echo::Args),
}

#[derive(Debug, clap::Args)]
struct Pipelines {
    /// How many runs; with --at-least, how many at once
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    runs: u32,
    /// How many steps each
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    steps: u32,
    /// How long each step takes
    #[arg(long, default_value = "0ms")]
    step_time: Duration,
    /// On a fleet: as many runs as last so long
    #[arg(long, value_name = "TIME")]
    at_least: Option<Duration>,
    /// On a fleet: check that every run completed, and that every step has exactly one recorded outcome
    #[arg(long)]
    verify: bool,
    /// On a fleet: measure first what the servers alone allow
    #[arg(long)]
    limit: bool,
    #[command(flatten)]
    fleet: Choice,
}

impl Args {
    /// Whether it brings a model of its own into the catalogue, and so takes none of the user's.
    pub(crate) fn brings_models(&self) -> bool {
        matches!(self.what, What::Waiting(_))
    }
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let place = settings.fleet()?;
    let figures = match (args.what, place) {
        (What::LimitEcho(args), _) => return limit_echo::run(args, &settings.fleet_for("bench limit-echo")?).await,
        (What::Limit, _) => {
            let place = settings.fleet_for("bench limit")?;
            Limit::measure(&place).await?.figures()
        }
        (What::Idle { time, fleet }, _) => {
            let place = settings.fleet_for("bench idle")?;
            let mut ground = Ground::open(&settings, &place, &fleet).await?;
            let found = idle::idle(&mut ground, time).await;
            ground.close().await;
            print(&found?, format);
            return Ok(ExitCode::SUCCESS);
        }
        (What::Waiting(args), place) => Box::pin(waiting::waiting(&args, &settings, place.as_ref())).await?,
        (what @ (What::Pipelines(_) | What::Latency { .. } | What::Fanout { .. }), Some(place)) => {
            Box::pin(on_fleet(what, &settings, &place)).await?
        }
        (what, _) => Box::pin(in_one_process(what, &settings)).await?,
    };
    let is_good = figures.is_good();
    print(&figures, format);
    Ok(ExitCode::from(u8::from(!is_good)))
}

async fn on_fleet(what: What, settings: &Settings, place: &FleetPlace) -> Result<Figures, Failure> {
    let (What::Pipelines(Pipelines { fleet: choice, .. })
    | What::Latency { fleet: choice, .. }
    | What::Fanout { fleet: choice, .. }) = &what
    else {
        return Err(Failure::usage("this is not measured on a fleet"));
    };
    let limit = match &what {
        What::Pipelines(Pipelines { limit: true, .. }) | What::Latency { limit: true, .. } => {
            Some(Limit::measure(place).await?)
        }
        _ => None,
    };
    let mut ground = Ground::open(settings, place, choice).await?;
    let measured = ground.until_interrupted(measure(&what, &ground)).await;
    let measured = measured.map_err(|failure| ground.explained(failure));
    ground.close().await;
    let mut figures = measured?;
    if let Some(limit) = limit {
        match figures.step_p50_ms {
            Some(p50) => {
                figures.limit_p50_ms = Some(limit.p50_ms);
                figures.of_limit = Some(p50 / limit.p50_ms);
            }
            None => {
                figures.limit_steps_per_s = Some(limit.each.steps_per_s);
                figures.limit_batched_steps_per_s = Some(limit.together.steps_per_s);
                figures.of_limit = Some(figures.steps_per_s / limit.each.steps_per_s);
                figures.of_limit_batched = Some(figures.steps_per_s / limit.together.steps_per_s);
            }
        }
        figures.writes_per_s = Some(limit.writes_per_s);
    }
    Ok(figures)
}

async fn measure(what: &What, ground: &Ground) -> Result<Figures, Failure> {
    match what {
        What::Pipelines(Pipelines { runs, steps, step_time, at_least, verify, .. }) => {
            let amount = match at_least {
                Some(time) => Amount::AtOnce(*runs, std::time::Duration::from_millis(time.0)),
                None => Amount::Runs(*runs),
            };
            fleet::pipelines(ground, amount, *steps, *step_time, *verify).await
        }
        What::Latency { runs, steps, .. } => fleet::latency(ground, *runs, *steps).await,
        What::Fanout { items, step_time, .. } => fleet::fanout(ground, *items, *step_time).await,
        _ => Err(Failure::usage("this is not measured on a fleet")),
    }
}

async fn in_one_process(what: What, settings: &Settings) -> Result<Figures, Failure> {
    let of_a_fleet = match &what {
        What::Pipelines(args) => args.limit || args.verify || args.at_least.is_some() || args.fleet.attach,
        What::Latency { limit, fleet, .. } => *limit || fleet.attach,
        What::Fanout { fleet, .. } => fleet.attach,
        _ => false,
    };
    if of_a_fleet {
        let flags = "--attach, --limit, --at-least and --verify are for a fleet, and none is set";
        return Err(
            Failure::usage(flags).advice("set DARKROOM__BROKER__URL and DARKROOM__STORE__URL, or leave them out")
        );
    }
    let folder = Folder::new()?;
    let artifacts = Artifacts::open(&folder.0.join("artifacts"))?;
    let engine = Embedded::open_at(&folder.0.join("state"), artifacts, settings).await?;
    match what {
        What::Pipelines(Pipelines { runs, steps, step_time, .. }) => {
            let file = compiled("pipelines", &pipeline("pipelines", steps, step_time))?;
            let timing = embedded::all_at_once(&engine, &file, vec![Map::new(); runs as usize]).await?;
            Ok(embedded::embedded_figures(timing, "pipelines", u64::from(runs) * u64::from(steps)))
        }
        What::Latency { runs, steps, .. } => embedded::latency(&engine, runs, steps).await,
        What::Fanout { items, step_time, .. } => {
            let file = compiled("fanout", &fan_out("fanout", step_time))?;
            let list: Vec<u32> = (0..items).collect();
            let inputs = Map::from_iter([("items".to_owned(), serde_json::json!(list))]);
            let timing = embedded::all_at_once(&engine, &file, vec![inputs]).await?;
            Ok(embedded::embedded_figures(timing, "fanout", u64::from(items)))
        }
        What::Media { dir, repeat, against } => {
            let mut figures = embedded::media(&engine, &dir, repeat, &folder.0).await?;
            if let (Some(command), Some(pictures)) = (against, figures.pictures) {
                let rounds = f64::from(pictures) / f64::from(repeat);
                figures.against_cpu_ms_per_picture = Some(embedded::against_ms(&command, &dir)? / rounds.max(1.0));
            }
            Ok(figures)
        }
        What::Idle { .. } | What::Limit | What::LimitEcho(_) | What::Waiting(_) => {
            Err(Failure::usage("this needs a fleet"))
        }
    }
}
