//! `darkroom schedules …`

mod shown;

use crate::asked::Asked;
use crate::commands::run::{follow, in_use};
use crate::declared::{Declaring, Made};
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::fleet::FleetStore;
use crate::folder;
use crate::named;
use crate::output::{Format, complain, say, say_json};
use crate::settings::Settings;
use crate::workflow_file::{self, WorkflowFile};
use darkroom_backend::{Clock, Created, Store};
use darkroom_coordinator::{Schedules, Stored, Submission};
use darkroom_engine::Run;
use darkroom_engine::schedule::{
    BUFFER_MAX, CATCH_UP_DEFAULT, Declared, EVERY_MIN, Fire, Overlap, Rhythm, Rule, Timing, Zone,
};
use darkroom_proto::{Duration, Map, ScheduleId, Scheduled, Timestamp};
use shown::{Times, say_made, say_schedules, say_times};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Start runs at times: make, look at and command schedules
#[derive(Debug, clap::Args)]
#[command(
    after_help = "On a fleet the coordinators fire schedules. In a folder no process does: there they can be managed, \
    previewed and triggered.\n\nExamples:\n  darkroom schedules create workflows/nightly.yaml\n  \
    darkroom schedules create workflows/product-photo.yaml --cron '0 3 * * 1-5' --timezone Europe/Berlin\n  \
    darkroom schedules next nightly -n 10\n  darkroom schedules pause nightly --reason 'stock is being counted'\n  \
    darkroom schedules backfill nightly --from 2026-11-01 --to 2026-11-08"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List them: when each fires next, and how its last run went
    List,
    /// Show one: its rule, its next times, its last run
    Show {
        /// The schedule
        id: ScheduleId,
    },
    /// Make the schedules of a workflow file, or one with the times given here
    #[command(
        after_help = "A schedule of the same name gets the new times and the workflow as it is now, and goes on from \
        where it stands."
    )]
    Create(Box<Create>),
    /// Stop it from firing
    Pause {
        /// The schedule
        id: ScheduleId,
        /// Why, for whoever looks at it later
        #[arg(long, default_value = "paused on the command line")]
        reason: String,
    },
    /// Have it fire again, from now on: what was due meanwhile is left out
    Unpause {
        /// The schedule
        id: ScheduleId,
    },
    /// Start a run now, whether it is paused or its last run goes on
    Trigger {
        /// The schedule
        id: ScheduleId,
    },
    /// Start the runs of times that are over: one after the other, or with `overlap: allow-all` together
    Backfill {
        /// The schedule
        id: ScheduleId,
        /// From this time on: a date or a date and time in the schedule's zone, or with an offset
        #[arg(long, value_name = "TIME")]
        from: String,
        /// Until this time
        #[arg(long, value_name = "TIME")]
        to: String,
        /// At most so many runs
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=BUFFER_MAX as i64))]
        limit: u32,
    },
    /// Remove it; its runs go on
    Delete {
        /// The schedule
        id: ScheduleId,
    },
    /// Show when it fires next, also before it is made
    Next {
        /// The schedule, or a workflow file
        name: String,
        /// How many times
        #[arg(short = 'n', long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        count: u32,
    },
}

/// What is made of a file.
#[derive(Debug, clap::Args)]
struct Create {
    /// The workflow file
    file: PathBuf,
    /// The schedule's name; the workflow's id, if nothing is said
    #[arg(long, requires = "rhythm")]
    id: Option<ScheduleId>,
    /// Minute, hour, day, month and weekday, such as '0 3 * * 1-5'
    #[arg(long, value_name = "LINE", group = "rhythm")]
    cron: Option<String>,
    /// The time between two runs, at least 1s
    #[arg(long, value_name = "TIME", group = "rhythm")]
    every: Option<Duration>,
    /// The time zone that --cron goes by, such as Europe/Berlin
    #[arg(long, default_value = "UTC", requires = "rhythm")]
    timezone: String,
    /// What becomes of a time at which a run has not ended
    #[arg(long, default_value = "skip", value_parser = overlap, requires = "rhythm",
        value_name = "skip|buffer-one|buffer-all|cancel-other|terminate-other|allow-all")]
    overlap: Overlap,
    /// Put each time off by a part of this
    #[arg(long, value_name = "TIME", requires = "rhythm")]
    jitter: Option<Duration>,
    /// No time before this one counts
    #[arg(long, value_name = "TIME", requires = "rhythm")]
    start: Option<String>,
    /// No time after this one counts
    #[arg(long, value_name = "TIME", requires = "rhythm")]
    end: Option<String>,
    /// How late a run still starts after an outage
    #[arg(long, value_name = "TIME", requires = "rhythm")]
    catch_up: Option<Duration>,
    /// Begin paused
    #[arg(long, requires = "rhythm")]
    paused: bool,
    #[command(flatten)]
    asked: Asked,
}

fn overlap(text: &str) -> Result<Overlap, String> {
    let names = Overlap::ALL.map(Overlap::name).join(", ");
    Overlap::ALL.into_iter().find(|overlap| overlap.name() == text).ok_or(format!("expected one of {names}"))
}

/// How long a reason may be.
const REASON_BYTES_MAX: usize = 1_000;

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    if let Command::Next { name, count } = &args.command
        && Path::new(name).is_file()
    {
        return next_of_file(&workflow_file::load(Path::new(name))?, *count as usize, format);
    }
    match settings.fleet()? {
        Some(place) => {
            let fleet = FleetStore::open(&place).await?;
            command(args.command, &fleet.store, &settings, None, format).await
        }
        None => {
            if let Command::Trigger { id } = &args.command {
                return trigger_here(id, &settings, format).await;
            }
            if let Command::Backfill { .. } = &args.command {
                return Err(Failure::usage(
                    "nothing fires schedules in a folder, so that nothing would start these runs",
                )
                .advice("start runs of a workflow with `darkroom run`; on a fleet, backfill does it"));
            }
            let out = std::path::absolute(".").ok().and_then(|out| out.to_str().map(str::to_owned));
            let out =
                out.ok_or_else(|| Failure::usage("the current folder is no UTF-8 path, and can't be recorded"))?;
            let is_read = matches!(args.command, Command::List);
            if is_read && !folder::state().join("state.redb").exists() {
                return say_schedules(&[], format);
            }
            let creates = matches!(args.command, Command::Create(_));
            let store = folder::store(&folder::state()).await.map_err(in_use)?;
            let done = command(args.command, &store, &settings, Some(out), format).await?;
            if creates {
                complain(
                    "note: nothing fires schedules in a folder; `darkroom schedules trigger` starts a run, and a fleet \
                     fires them by itself",
                );
            }
            Ok(done)
        }
    }
}

/// What is the same in a folder and in a fleet; `out`: the folder that runs save under, in a folder.
async fn command<S: Store>(
    command: Command,
    store: &S,
    settings: &Settings,
    out: Option<String>,
    format: Format,
) -> Result<ExitCode, Failure> {
    let schedules = Schedules::new(store.clone());
    let done = |id: &ScheduleId, what: &str| match format {
        Format::Json => say_json(&serde_json::json!({ "id": id, "status": what })),
        Format::Table => say(&format!("{id} {what}")),
    };
    match command {
        Command::List => {
            let mut shown = Vec::new();
            for (id, record) in schedules.list().await? {
                shown.push(shown::document(store, id, record, 1).await?);
            }
            return say_schedules(&shown, format);
        }
        Command::Show { id } => {
            let record = schedules.get(&id).await?;
            let document = shown::document(store, id, record, 5).await?;
            match format {
                Format::Json => say_json(&document),
                Format::Table => say(&shown::text(&document, Clock::system().now())),
            }
        }
        Command::Create(create) => {
            let artifacts = folder::artifacts(settings)?;
            let declaring = Declaring { store, artifacts: &artifacts, settings, out };
            say_made(&made(&create, &declaring).await?, format);
        }
        Command::Pause { id, reason } => {
            if reason.len() > REASON_BYTES_MAX {
                return Err(Failure::usage(format!("the reason is over {REASON_BYTES_MAX} bytes")));
            }
            schedules.pause(&id, &reason).await?;
            done(&id, "paused");
        }
        Command::Unpause { id } => {
            schedules.unpause(&id).await?;
            done(&id, "active");
        }
        Command::Trigger { id } => {
            let fire = schedules.trigger(&id).await?;
            match format {
                Format::Json => say_json(&serde_json::json!({ "id": id, "run": fire.run })),
                Format::Table => say(&format!("{} starts; to see it: darkroom tail {}", fire.run, fire.run.short())),
            }
        }
        Command::Backfill { id, from, to, limit } => {
            let record = schedules.get(&id).await?;
            let zone: Zone =
                record.rule.timing.calendar().map_err(darkroom_coordinator::ScheduleError::from)?.zone().clone();
            let (from, to) = (moment("--from", &from, &zone)?, moment("--to", &to, &zone)?);
            if to < from {
                return Err(Failure::usage("--to is before --from"));
            }
            let times = schedules.backfill(&id, from, to, limit as usize).await?;
            if times.is_empty() {
                return Err(Failure::not_found(format!("`{id}` has no time in that span that is over"))
                    .advice("times that are yet to come fire by themselves"));
            }
            let runs: Vec<Fire> = times.into_iter().map(|at| Fire { at, run: id.run_at(at) }).collect();
            say_times(&Times { id: id.to_string(), zone, fires: runs, with_runs: true }, format);
        }
        Command::Delete { id } => {
            schedules.remove(&id).await?;
            done(&id, "deleted");
        }
        Command::Next { name, count } => {
            let id: ScheduleId = name.parse().map_err(|_| {
                Failure::not_found(format!("there is no schedule `{name}`, and no file of this name"))
                    .advice("`darkroom schedules list` shows which there are")
            })?;
            let record = schedules.get(&id).await?;
            if let Some(paused) = &record.state.paused {
                complain(&format!("note: it is paused: {}", paused.reason));
            }
            say_times(&Times::next(&id, &record.rule, store.now().await?, count as usize)?, format);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn moment(flag: &str, text: &str, zone: &Zone) -> Result<Timestamp, Failure> {
    zone.read(text).ok_or_else(|| {
        Failure::usage(format!("{flag} {text}: expected a point in time"))
            .advice("such as 2027-01-31, 2027-01-31T08:00, or 2027-01-31T08:00:00+01:00")
    })
}

async fn made<S: Store>(create: &Create, declaring: &Declaring<'_, S>) -> Result<Vec<Made>, Failure> {
    let file = named::load(&create.file, declaring.settings).await?;
    file.check_enabled(&create.file)?;
    let rhythm = match (&create.cron, create.every) {
        (Some(line), _) => Rhythm::Cron(line.clone()),
        (None, Some(every)) if every < EVERY_MIN => {
            return Err(Failure::usage(format!("--every {every}: expected at least {EVERY_MIN}")));
        }
        (None, Some(every)) => Rhythm::Every(every),
        (None, None) if file.schedules.is_empty() => {
            return Err(Failure::usage(format!("{} has no `schedule:`", create.file.display()))
                .advice("say when with --cron '0 3 * * 1-5' or --every 1h, or add `schedule:` to the file"));
        }
        (None, None) => return declaring.declare_schedules(&file).await,
    };
    let zone: Zone = create
        .timezone
        .parse()
        .map_err(|error: darkroom_engine::schedule::ZoneError| Failure::usage(error.to_string()).advice(error.help))?;
    let bound = |flag, text: &Option<String>| text.as_ref().map(|text| moment(flag, text, &zone)).transpose();
    let timing = Timing {
        rhythm,
        timezone: create.timezone.clone(),
        start: bound("--start", &create.start)?,
        end: bound("--end", &create.end)?,
        jitter: create.jitter.unwrap_or_default(),
    };
    let calendar = timing.calendar().map_err(darkroom_coordinator::ScheduleError::from)?;
    if calendar.next(Timestamp(0)).is_none() {
        return Err(Failure::usage("this time never comes between --start and --end"));
    }
    let id = match &create.id {
        Some(id) => id.clone(),
        None => file.plan.workflow.parse().map_err(|error| Failure::usage(format!("--id is needed: {error}")))?,
    };
    let rule = Rule { timing, overlap: create.overlap, catch_up: create.catch_up.unwrap_or(CATCH_UP_DEFAULT) };
    let declared = Declared { id, rule, inputs: Map::new(), paused: create.paused };
    Ok(vec![declaring.declare(&file, &declared, &create.asked).await?])
}

/// The next times of the schedules that a file declares.
fn next_of_file(file: &WorkflowFile, count: usize, format: Format) -> Result<ExitCode, Failure> {
    if file.schedules.is_empty() {
        return Err(Failure::not_found(format!("{} has no `schedule:`", file.definition.file)));
    }
    let now = Clock::system().now();
    for declared in &file.schedules {
        say_times(&Times::next(&declared.id, &declared.rule, now, count)?, format);
    }
    Ok(ExitCode::SUCCESS)
}

/// Nobody fires in a folder: this process does the run, and shows it until it ends.
async fn trigger_here(id: &ScheduleId, settings: &Settings, format: Format) -> Result<ExitCode, Failure> {
    let engine = Embedded::open(settings).await.map_err(in_use)?;
    let schedules = Schedules::new(engine.store.clone());
    let mut record = schedules.get(id).await?;
    let at = engine.store.now().await?;
    let fire = Fire { at, run: id.run_at(at) };
    record.spec.created_at = at;
    record.spec.schedule = Some(Scheduled { id: id.clone(), at });
    let plan =
        engine.desk.plans().get(record.spec.definition).await.map_err(|error| Failure::other(error.to_string()))?;
    let run = Run::new(fire.run, Arc::new(record.spec.clone()));
    let running = engine.start(Some(BTreeSet::from([fire.run])));
    let created = engine.desk.submit(&[Submission { run: fire.run, spec: record.spec }]).await?;
    if created.first() == Some(&Created::Created) {
        schedules
            .change(id, |record, _| {
                // Nothing decides here: whether it has ended is looked up when it is shown.
                record.state.running.clear();
                record.state.started(fire);
                Ok(())
            })
            .await?;
    }
    follow(&engine, running, Stored { run, plan }, settings, format).await
}
