//! `darkroom plan FILE|RUN`

use crate::commands::resume::step_named;
use crate::commands::run::{What, previewed};
use crate::door::Records;
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::given;
use crate::links::Links;
use crate::offer::offers;
use crate::output::{Format, say, say_json, table};
use crate::settings::Settings;
use crate::{folder, named, run_name, tasks};
use darkroom_engine::Run;
use darkroom_engine::preview::{Action, Cost, Preview, PreviewStep, preview};
use darkroom_proto::Money;
use darkroom_proto::op::TASK_PREFIX;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Show what a workflow file, or going on with a run, would do, before anything is done
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  darkroom plan workflows/logo-fleet.yaml\n  \
    darkroom plan workflows/web-ready.yaml -i 'images=@./photos/*.png'\n  \
    darkroom plan product-photo --from-step crop")]
pub(crate) struct Args {
    /// A workflow file, a workflow by its name, or a run
    what: String,
    #[command(flatten)]
    given: What,
    /// Of a run: going on from this step
    #[arg(long, value_name = "STEP")]
    from_step: Option<String>,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let path = PathBuf::from(&args.what);
    let shown = if named::is_path(&path) || is_workflow(&args, &settings).await? {
        if args.from_step.is_some() {
            return Err(
                Failure::usage("--from-step goes with a run, not with a file").advice("name the run, or its workflow")
            );
        }
        of_file(&path, &args.given, &settings).await?
    } else {
        of_run(&args, &settings).await?
    };
    match format {
        Format::Json => say_json(&shown),
        Format::Table => say(text(&shown).trim_end()),
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether a name means a workflow rather than a run of it: it is that of one that was pushed or comes with this release,
/// and nothing says that going on with a run is meant.
async fn is_workflow(args: &Args, settings: &Settings) -> Result<bool, Failure> {
    if args.from_step.is_some() || args.what.starts_with('@') {
        return Ok(false);
    }
    if args.what.contains('@') || !args.given.inputs().is_empty() {
        return Ok(true);
    }
    // A run goes first: what it is called is what its owner sees in lists.
    if settings.fleet()?.is_none() && !named::has_state() {
        return Ok(named::look_up(&args.what, settings).await.is_ok());
    }
    let is_run = run_name::find(&Records::open(settings).await?, &args.what).await.is_ok();
    Ok(!is_run && named::look_up(&args.what, settings).await.is_ok())
}

async fn of_file(path: &Path, what: &What, settings: &Settings) -> Result<Preview, Failure> {
    let file = named::open(path, settings).await?;
    tasks::note(&file.plan, settings);
    // With state here, what exists already counts; without, a plan leaves none behind.
    let engine = match folder::state().join("state.redb").exists() {
        true => Embedded::open(settings).await.ok(),
        false => None,
    };
    let spec = match engine {
        Some(engine) => what.spec(&file, &engine, settings).await?,
        None => {
            let links = Links::new(settings);
            what.spec_of(&file, given::looked_at(&file.plan, what.inputs(), &file.folder, &links).await?)?
        }
    };
    let run = Run::new(crate::commands::run::new_id(), Arc::new(spec));
    previewed(&file, &run, settings)
}

async fn of_run(args: &Args, settings: &Settings) -> Result<Preview, Failure> {
    let records = Records::open(settings).await?;
    let (id, _) = run_name::find(&records, &args.what).await?;
    let stored = records.stored(id).await?;
    let from = args.from_step.as_deref().map(|name| step_named(&stored.plan, name)).transpose()?;
    let now = darkroom_backend::Clock::system().now();
    preview(&stored.plan, &stored.run, from.as_ref(), now, &offers(settings))
        .map_err(|(path, error)| Failure::usage(format!("`{path}` can't run: {}", error.message)).advice(error.advice))
}

/// A preview for people.
pub(crate) fn text(shown: &Preview) -> String {
    let rows: Vec<Vec<String>> = shown.steps.iter().map(row).collect();
    let steps = table(&["  STEP", "OP", "FROM", "ACTION", "MODEL", "EST.COST", "SAVES"], &rows);
    let counts = |action: Action| shown.steps.iter().filter(|step| step.action == action).count();
    let unserved: BTreeSet<&str> = shown
        .steps
        .iter()
        .filter(|step| step.route.is_none() && matches!(step.action, Action::Run | Action::Unknown))
        .filter_map(|step| step.model.as_deref())
        .filter(|model| !model.contains("${{"))
        .collect();
    let is_here = !shown.steps.iter().any(|step| step.op.starts_with(TASK_PREFIX));
    let spent = match unserved.is_empty() {
        true if is_here && shown.cost.high == 0.0 && shown.cost.is_known() => {
            "Will spend $0.00: everything runs on this machine.".to_owned()
        }
        true => format!("Will spend {} ({}).", amount(&shown.cost), shown.cost.source),
        false => {
            let names: Vec<&str> = unserved.into_iter().collect();
            format!("No provider that is configured serves {}.", names.join(", "))
        }
    };
    format!(
        "{} @ {}\n{steps}\n{spent} {} kept, {} to run, {} skipped.\n",
        shown.workflow,
        shown.version.short(7),
        counts(Action::Keep) + counts(Action::Cached),
        counts(Action::Run) + counts(Action::Unknown),
        counts(Action::Skip),
    )
}

/// A range of costs, such as `$0.04–$0.08 per item`.
fn amount(cost: &Cost) -> String {
    let (low, high) = (Money::from_usd(cost.low), Money::from_usd(cost.high));
    let range = match (low == high, cost.is_known()) {
        (true, true) => high.to_string(),
        (false, true) => format!("{low}–{high}"),
        (_, false) if high == Money::ZERO => "?".to_owned(),
        (_, false) => format!("{low}–{high} and more"),
    };
    if cost.per_item { format!("{range} per item") } else { range }
}

fn row(step: &PreviewStep) -> Vec<String> {
    let action = match step.action {
        Action::Run => "run",
        Action::Keep => "✓ keep",
        Action::Cached => "✓ exists",
        Action::Skip => "– skip",
        Action::Unknown => "? run",
    };
    let items = match (step.is_fan_out, step.items) {
        (true, Some(items)) => format!(" ×{items}"),
        (true, None) => " ×?".to_owned(),
        (false, _) => String::new(),
    };
    let reason = if step.reason.is_empty() { String::new() } else { format!(" ({})", step.reason) };
    let model = match (&step.model, &step.route) {
        (Some(model), Some(route)) if model != route => format!("{model} → {route}"),
        (Some(model), Some(_)) => model.clone(),
        // Which one it is, is known only when the step begins.
        (Some(model), None) if model.contains("${{") => model.clone(),
        (Some(model), None) => format!("{model} (no provider)"),
        (None, _) => String::new(),
    };
    let depth = step.path.matches('/').count();
    let name = match step.path.rsplit_once('/') {
        Some((_, id)) => format!("  {}{id}", "  ".repeat(depth)),
        None => format!("  {}", step.path),
    };
    vec![
        format!("{name}{items}"),
        step.op.clone(),
        step.from.clone().unwrap_or_else(|| "–".to_owned()),
        format!("{action}{reason}"),
        model,
        amount(&step.cost),
        step.save.clone().unwrap_or_default(),
    ]
}
