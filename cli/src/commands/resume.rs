//! `darkroom resume RUN`

use crate::commands::run::{follow, in_use};
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::output::{Format, complain};
use crate::run_name;
use crate::settings::Settings;
use darkroom_backend::ArtifactError;
use darkroom_coordinator::{RunCommand, Stored};
use darkroom_engine::plan::Plan;
use darkroom_engine::{Run, kept_artifacts};
use darkroom_proto::{RunId, StepPath};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Go on with a run that failed or was interrupted; what is done stays done
#[derive(Debug, clap::Args)]
#[command(after_help = "RUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest; STEP an \
    id, a number, or an instance such as `branded[3]`.\n\nExamples:\n  darkroom resume @latest\n  \
    darkroom resume product-photo --from-step crop\n  darkroom resume product-photo --from-step 4")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Drop this step and what depends on it, and do them again
    #[arg(long, value_name = "STEP")]
    from_step: Option<String>,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    // Only to have a good message when there is nothing here; the state is opened for writing below.
    let id = {
        let reader = crate::folder::reader().await?;
        run_name::find(&reader, &args.run).await?.0
    };
    let engine = Embedded::open(&settings).await.map_err(in_use)?;
    go_on(&engine, id, args.from_step.as_deref(), &settings, format).await
}

/// Goes on with a run and shows it until it ends.
pub(crate) async fn go_on(
    engine: &Embedded,
    id: RunId,
    from_step: Option<&str>,
    settings: &Settings,
    format: Format,
) -> Result<ExitCode, Failure> {
    let stored = engine.desk.load(id).await?.ok_or_else(|| Failure::not_found(format!("there is no run {id}")))?;
    let Stored { run, plan } = &stored;
    let from = from_step.map(|name| step_named(plan, name)).transpose()?;
    let ended = run.head.status.is_terminal();
    if ended && from.is_none() && run.head.failure.is_none() && run.head.tolerated == 0 && run.head.cancelled.is_none()
    {
        return Err(Failure::conflict(format!("{id} is completed: there is nothing to go on with"))
            .advice("--from-step STEP does a step and what depends on it again; `darkroom run` begins a new run"));
    }
    if !ended && from.is_some() {
        return Err(Failure::conflict(format!("{id} has not ended, so no step of it can be dropped"))
            .advice(format!("let it end first: darkroom resume {}", id.short())));
    }
    verify(engine, plan, run, from.as_ref()).await?;
    match &from {
        Some(from) => complain(&format!("resuming {id} from `{from}`")),
        None => complain(&format!("resuming {id}")),
    }
    let running = engine.start(Some(BTreeSet::from([id])));
    if ended {
        let key = format!("resume/{id}/{}", run.head.generation);
        engine.desk.command(id, &key, &RunCommand::Resume { from }).await?;
    }
    follow(engine, running, stored, settings, format).await
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
async fn verify(engine: &Embedded, plan: &Plan, run: &Run, from: Option<&StepPath>) -> Result<(), Failure> {
    for (path, artifact) in kept_artifacts(plan, run, from) {
        if let Err(error) = engine.artifacts.verify(&artifact) {
            // A store that can't be asked says nothing of its files.
            if !matches!(error, ArtifactError::Missing { .. } | ArtifactError::Damaged { .. }) {
                return Err(error.into());
            }
            let name = if artifact.name.is_empty() { artifact.sha256.to_string() } else { artifact.name.clone() };
            let file = engine.artifacts.path(&artifact).map(|path| path.display().to_string());
            let file = file.unwrap_or_else(|| engine.artifacts.url(&artifact));
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
