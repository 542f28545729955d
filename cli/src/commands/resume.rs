//! `darkroom resume RUN`

use crate::commands::run::{follow, in_use};
use crate::door::Records;
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::folder;
use crate::given::{self, Assignment};
use crate::handing::{self, Bring, Watch};
use crate::links::Links;
use crate::output::{Format, complain, say, say_json};
use crate::settings::Settings;
use crate::trail::Trail;
use crate::{order, run_name};
use darkroom_backend::{ArtifactError, Artifacts, Clock};
use darkroom_coordinator::{RunCommand, Stored};
use darkroom_engine::plan::Plan;
use darkroom_engine::{Run, What, kept_artifacts, settable};
use darkroom_proto::{Duration, Map, RunId, RunStatus, StepPath};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Go on with a run that failed, was interrupted or is paused; what is done stays done
#[derive(Debug, clap::Args)]
#[command(after_help = "RUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest; STEP an \
    id, a number, or an instance such as `branded[3]`.\n\nExamples:\n  darkroom resume @latest\n  \
    darkroom resume product-photo --from-step crop\n  darkroom resume product-photo --from-step 4\n  \
    darkroom resume product-photo --set 'prompt=a blue mug'")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Drop this step and what depends on it, and do them again
    #[arg(long, value_name = "STEP")]
    from_step: Option<String>,
    /// An input that has another value from now on, for the steps that have not run; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<Assignment>,
    /// On a fleet: show the run until it ends, or for so long. Without a fleet it is always shown
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true)]
    wait: Option<Option<Duration>>,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    // Only to have a good message when there is nothing here; the state is opened for writing below.
    let (id, set) = {
        let records = Records::open(&settings).await?;
        let (id, summary) = run_name::find(&records, &args.run).await?;
        let set = set_inputs(&records, id, &args.set, &settings).await?;
        let goes_on_there = summary.status == RunStatus::Paused || !set.is_empty() && !summary.status.is_terminal();
        if goes_on_there && matches!(&records, Records::Folder(reader) if reader.is_guest()) {
            return in_other_process(records, id, &args, set, &settings, format).await;
        }
        (id, set)
    };
    let wish = Wish { from_step: args.from_step.as_deref(), set };
    if let Some(place) = settings.fleet()? {
        let artifacts = folder::artifacts(&settings)?;
        let fleet = Fleet::open(&place, artifacts.clone()).await?;
        let began = Clock::system().now();
        let watch =
            |wait| Watch { settings: &settings, artifacts: &artifacts, wait, bring: Bring::Nothing, began, format };
        let ended = in_fleet(&fleet, id, wish, args.wait.map(watch), &artifacts, format).await;
        fleet.close().await;
        return ended;
    }
    let engine = Embedded::open(&settings).await.map_err(in_use)?;
    go_on(&engine, id, wish, &settings, format).await
}

/// How a run is to go on.
#[derive(Debug, Default)]
pub(crate) struct Wish<'a> {
    /// From this step, as a person names it.
    pub(crate) from_step: Option<&'a str>,
    /// With other inputs.
    pub(crate) set: Map,
}

/// The inputs that are to have other values.
async fn set_inputs(records: &Records, id: RunId, set: &[Assignment], settings: &Settings) -> Result<Map, Failure> {
    if set.is_empty() {
        return Ok(Map::new());
    }
    let plan = records.stored(id).await?.plan;
    given::take_in_given(&plan, set, &folder::artifacts(settings)?, &Links::new(settings)).await
}

/// Another process has the paused run: it is told to go on with it.
async fn in_other_process(
    records: Records,
    id: RunId,
    args: &Args,
    set: Map,
    settings: &Settings,
    format: Format,
) -> Result<ExitCode, Failure> {
    let stored = records.stored(id).await?;
    let wish = Wish { from_step: args.from_step.as_deref(), set };
    let (from, command) = checked(&stored, &wish, &folder::artifacts(settings)?)?;
    say_resuming(id, from.as_ref());
    if let Some((key, command)) = command {
        let is_answer = |what: &What| matches!(what, What::RunResumed { .. } | What::Refused { .. });
        order::give(settings, records, id, &key, &command, is_answer).await?;
    }
    order::say_status(settings, id, format).await
}

/// Goes on with a run and shows it until it ends.
pub(crate) async fn go_on(
    engine: &Embedded,
    id: RunId,
    wish: Wish<'_>,
    settings: &Settings,
    format: Format,
) -> Result<ExitCode, Failure> {
    let stored = engine.desk.load(id).await?.ok_or_else(|| Failure::not_found(format!("there is no run {id}")))?;
    let (from, command) = checked(&stored, &wish, &engine.artifacts)?;
    say_resuming(id, from.as_ref());
    let running = engine.start(Some(BTreeSet::from([id])));
    if let Some((key, command)) = command {
        engine.desk.command(id, &key, &command).await?;
    }
    follow(engine, running, stored, settings, format).await
}

/// Goes on with a run of a fleet, and watches it if somebody wants to.
pub(crate) async fn in_fleet(
    fleet: &Fleet,
    id: RunId,
    wish: Wish<'_>,
    watch: Option<Watch<'_>>,
    artifacts: &Artifacts,
    format: Format,
) -> Result<ExitCode, Failure> {
    let records = Records::Fleet(fleet.store.clone());
    let stored = records.stored(id).await?;
    let (from, command) = checked(&stored, &wish, artifacts)?;
    // What happens from here on is shown, so it is looked up before the command is given.
    let trail = match (&watch, &command) {
        (Some(watch), Some(_)) => Some(Trail::onwards(watch.settings, records, id).await?),
        (Some(watch), None) => Some(Trail::new(watch.settings, records, id, 0)),
        (None, _) => None,
    };
    match command {
        Some((key, command)) => {
            say_resuming(id, from.as_ref());
            fleet.desk().command(id, &key, &command).await.map_err(|error| handing::failed(fleet, error))?;
        }
        None => complain(&format!("{id} is under way already")),
    }
    match (watch, trail) {
        (Some(watch), Some(trail)) => watch.until_it_ends(trail, id, stored.plan).await,
        _ => {
            let status = stored.run.head.status;
            match format {
                Format::Json => say_json(&serde_json::json!({ "id": id, "status": status })),
                Format::Table => say(&format!("to see it: darkroom tail {}", id.short())),
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn say_resuming(id: RunId, from: Option<&StepPath>) {
    match from {
        Some(from) => complain(&format!("resuming {id} from `{from}`")),
        None => complain(&format!("resuming {id}")),
    }
}

/// A command, and the key that makes giving it twice giving it once.
type Keyed = (String, RunCommand);

/// The step to go on from and, if the run has ended, the command that makes it go on; refused if there is nothing to do.
fn checked(
    stored: &Stored,
    wish: &Wish<'_>,
    artifacts: &Artifacts,
) -> Result<(Option<StepPath>, Option<Keyed>), Failure> {
    let Stored { run, plan } = stored;
    let id = run.id;
    let from = wish.from_step.map(|name| step_named(plan, name)).transpose()?;
    let ended = run.head.status.is_terminal();
    let is_paused = run.head.paused.is_some();
    if !ended && !is_paused && !wish.set.is_empty() {
        return Err(Failure::conflict(format!("{id} is under way, so its inputs stay as they are"))
            .advice(format!("pause it first: darkroom pause {}", id.short())));
    }
    if ended && from.is_none() && run.head.failure.is_none() && run.head.tolerated == 0 && run.head.cancelled.is_none()
    {
        return Err(Failure::conflict(format!("{id} is completed: there is nothing to go on with"))
            .advice("--from-step STEP does a step and what depends on it again; `darkroom run` begins a new run"));
    }
    if !ended && from.is_some() {
        return Err(Failure::conflict(format!("{id} has not ended, so no step of it can be dropped"))
            .advice(format!("let it end first: darkroom resume {}", id.short())));
    }
    settable(plan, run, from.as_ref(), &wish.set).map_err(Failure::conflict)?;
    verify(artifacts, plan, run, from.as_ref())?;
    let key = format!("resume/{id}/{}", run.head.generation);
    let command = (ended || is_paused).then(|| (key, RunCommand::Resume { from: from.clone(), set: wish.set.clone() }));
    Ok((from, command))
}

/// The step that a person means by an id, a number from 1, or a path.
pub(crate) fn step_named(plan: &Plan, name: &str) -> Result<StepPath, Failure> {
    let ids = || {
        let ids = plan.top.nodes.iter().map(|node| plan.node(*node)).map(|node| format!("{} {}", node.number, node.id));
        ids.collect::<Vec<_>>().join(", ")
    };
    if let Ok(number) = name.parse::<u32>() {
        let node = plan.top.nodes.iter().map(|node| plan.node(*node)).find(|node| node.number == number);
        return node.map(|node| StepPath::top(&node.id)).ok_or_else(|| {
            Failure::usage(format!("the workflow has no step {number}")).advice(format!("its steps: {}", ids()))
        });
    }
    match name.parse::<StepPath>() {
        Ok(path) if plan.has(&path) => Ok(path),
        _ => Err(Failure::usage(format!("the workflow has no step `{name}`")).advice(format!("its steps: {}", ids()))),
    }
}

/// Checks that what earlier steps made, and is to be kept, is still what they made.
fn verify(artifacts: &Artifacts, plan: &Plan, run: &Run, from: Option<&StepPath>) -> Result<(), Failure> {
    for (path, artifact) in kept_artifacts(plan, run, from) {
        if let Err(error) = artifacts.verify(&artifact) {
            // A store that can't be asked says nothing of its files.
            if !matches!(error, ArtifactError::Missing { .. } | ArtifactError::Damaged { .. }) {
                return Err(error.into());
            }
            let name = if artifact.name.is_empty() { artifact.sha256.to_string() } else { artifact.name.clone() };
            let file = artifacts.path(&artifact).map(|path| path.display().to_string());
            let file = file.unwrap_or_else(|| artifacts.url(&artifact));
            let (advice, again) = match &path {
                Some(path) => {
                    let top = path.as_str().split(['/', '[']).next().unwrap_or_default().to_owned();
                    (
                        format!("make it again: darkroom resume {} --from-step {top}", run.id.short()),
                        format!("of step `{path}`"),
                    )
                }
                None => ("give the input again in a new run".to_owned(), "of an input".to_owned()),
            };
            return Err(
                Failure::conflict(format!("{name} {again} is not what it was: {error} ({file})")).advice(advice)
            );
        }
    }
    Ok(())
}
