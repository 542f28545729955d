//! `darkroom rerun RUN` and `darkroom fork RUN`

use crate::commands::plan;
use crate::commands::resume::step_named;
use crate::commands::run::{follow, in_use, new_id, note_fallback, previewed, run_manifest};
use crate::delivery::{deliver, saved_files};
use crate::door::Records;
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::given::{self, Assignment};
use crate::handing::{Bring, Watch, hand_in};
use crate::links::Links;
use crate::output::{Format, complain, say, say_json};
use crate::settings::Settings;
use crate::trail::Trail;
use crate::workflow_file::{self, WorkflowFile};
use crate::{folder, run_name};
use darkroom_backend::{Artifacts, Clock};
use darkroom_coordinator::{Stored, Submission, made_from};
use darkroom_engine::{Again, Run, Source, Spec};
use darkroom_proto::{Duration, Money, RunId, StepPath};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Do a run again, as a new run: what equal steps gave is taken from it
#[derive(Debug, clap::Args)]
#[command(
    after_help = "The new run has the same definition and the same inputs, but for those that are given. Steps with \
    the same parameters and files are taken from RUN and cost nothing; waits, approvals and requests to others are done \
    again. RUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest.\n\nExamples:\n  \
    darkroom rerun @latest -i subject='tea pot' --dry-run\n  darkroom rerun product-photo --force"
)]
pub(crate) struct Args {
    #[command(flatten)]
    what: Common,
    /// Take nothing from the earlier run, and nothing from the cache
    #[arg(long)]
    force: bool,
}

/// Go on from a step of a run, as a new run: everything before the step is taken as it was
#[derive(Debug, clap::Args)]
#[command(
    after_help = "RUN stays as it is. Steps before STEP are taken, decisions of people too, unless an input that is \
    given changes what they would do.\n\nExamples:\n  darkroom fork @latest --from-step resize\n  \
    darkroom fork product-photo --from-step overlay -i logo=other.png --out other"
)]
pub(crate) struct ForkArgs {
    #[command(flatten)]
    what: Common,
    /// The step from which on everything is done again
    #[arg(long, value_name = "STEP")]
    from_step: String,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The earlier run
    run: String,
    /// An input that has another value in the new run; may be given several times
    #[arg(short, long = "input", value_name = "NAME=VALUE")]
    input: Vec<Assignment>,
    /// The folder that outputs are saved under; not given, that of the earlier run
    #[arg(long)]
    out: Option<PathBuf>,
    /// Show what would be taken and what be done, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// On a fleet: show the run until it ends, or for so long. Without a fleet it is always shown
    #[arg(long, value_name = "TIME", num_args = 0..=1, require_equals = true)]
    wait: Option<Option<Duration>>,
}

pub(crate) async fn rerun(args: Args, format: Format) -> Result<ExitCode, Failure> {
    again(args.what, Again::Rerun, None, args.force, format).await
}

pub(crate) async fn fork(args: ForkArgs, format: Format) -> Result<ExitCode, Failure> {
    again(args.what, Again::Fork, Some(args.from_step), false, format).await
}

async fn again(
    args: Common,
    how: Again,
    from: Option<String>,
    force: bool,
    format: Format,
) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let artifacts = folder::artifacts(&settings)?;
    // Of a folder this is let go of before the state is opened for writing.
    let (earlier, file) = {
        let records = Records::open(&settings).await?;
        let (id, _) = run_name::find(&records, &args.run).await?;
        let stored = records.stored(id).await?;
        let definition = records.definition(stored.run.spec.definition).await?;
        let definition = definition.ok_or_else(|| Failure::other(format!("the definition of {id} is missing")))?;
        (stored, workflow_file::compiled(&Source::new(definition.file, definition.source), PathBuf::new())?)
    };
    let from = from.map(|name| step_named(&earlier.plan, &name)).transpose()?;
    if from.is_some() && !earlier.run.head.status.is_terminal() {
        return Err(Failure::conflict(format!("{} has not ended, so nobody knows what it will give", earlier.run.id))
            .advice("fork it when it has ended, or cancel it first"));
    }
    let mut spec = made(&earlier, &args, how, from.as_ref(), force, &artifacts, &settings).await?;
    let id = new_id();
    let shown = previewed(&file, &Run::new(id, Arc::new(spec.clone())), &settings)?;
    spec.estimated = Money::from_usd(shown.cost.high);
    if args.dry_run {
        match format {
            Format::Json => say_json(&shown),
            Format::Table => say(plan::text(&shown).trim_end()),
        }
        return Ok(ExitCode::SUCCESS);
    }
    if format == Format::Table {
        complain(plan::text(&shown).trim_end());
    }
    note_fallback(&shown);
    match settings.fleet()? {
        Some(place) => {
            let fleet = Fleet::open(&place, artifacts.clone()).await?;
            let began = spec.created_at;
            let status = hand_in(&fleet, &file, id, spec, &artifacts).await?;
            let Some(wait) = args.wait else {
                fleet.close().await;
                crate::order::say_as(id, status, format);
                return Ok(ExitCode::SUCCESS);
            };
            let bring = args.out.as_deref().map_or(Bring::Nothing, Bring::Saved);
            let watch = Watch { settings: &settings, artifacts: &artifacts, wait, bring, began, format };
            let trail = Trail::new(&settings, Records::Fleet(fleet.store.clone()), id, 0);
            let ended = watch.until_it_ends(trail, id, file.plan).await;
            fleet.close().await;
            ended
        }
        None => here(id, spec, file, &settings, format).await,
    }
}

/// In this process.
async fn here(
    id: RunId,
    spec: Spec,
    file: WorkflowFile,
    settings: &Settings,
    format: Format,
) -> Result<ExitCode, Failure> {
    let engine = Embedded::open(settings).await.map_err(in_use)?;
    let run = Run::new(id, Arc::new(spec.clone()));
    engine.desk.define(&file.definition, file.plan.clone()).await?;
    engine.artifacts.put_run(id, run_manifest(id, &file, &spec).as_bytes())?;
    let running = engine.start(Some([id].into()));
    let out = spec.out.clone();
    engine.desk.submit(&[Submission { run: id, spec }]).await?;
    let ended = follow(&engine, running, Stored { run, plan: file.plan }, settings, format).await?;
    // What was taken from the earlier run was not saved by a step of this one.
    if let (Some(out), Some(stored)) = (out, engine.desk.load(id).await?) {
        deliver(&saved_files(&stored.run), Path::new(&out), &engine.artifacts)?;
    }
    Ok(ended)
}

/// What the new run is given.
async fn made(
    earlier: &Stored,
    args: &Common,
    how: Again,
    from: Option<&StepPath>,
    force: bool,
    artifacts: &Artifacts,
    settings: &Settings,
) -> Result<Spec, Failure> {
    let set = given::take_in_given(&earlier.plan, &args.input, artifacts, &Links::new(settings)).await?;
    let mut spec = made_from(earlier, set, how, from, force, artifacts, Clock::system().now());
    if let (Some(out), true) = (&args.out, spec.out.is_some()) {
        let out = std::path::absolute(out).map_err(|error| Failure::usage(format!("--out: {error}")))?;
        spec.out = Some(out.components().collect::<PathBuf>().display().to_string());
    }
    Ok(spec)
}
