//! `darkroom show RUN`

use crate::document::say_document;
use crate::door::Records;
use crate::failure::Failure;
use crate::output::{Format, say, span, table};
use crate::run_name;
use crate::settings::Settings;
use darkroom_coordinator::Stored;
use darkroom_engine::{Run, lies_in, run_document, step_document};
use darkroom_proto::{Money, RunDocument, RunId, StepDocument, StepPath};
use std::process::ExitCode;

/// Show a run and its steps
#[derive(Debug, clap::Args)]
#[command(after_help = "RUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest.\n\n\
    Examples:\n  darkroom show @latest\n  darkroom show product-photo --step crop\n  \
    darkroom show 5f2a9c1d --step 'branded[3]' -o json")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Only this step, instance or fan-out, such as `branded[3]`
    #[arg(long)]
    step: Option<StepPath>,
    /// Of a fan-out: instances after this one
    #[arg(long, default_value_t = 0)]
    after: u32,
    /// Of a fan-out: at most so many instances
    #[arg(long, default_value_t = 100)]
    limit: u32,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let records = Records::open(&settings).await?;
    let (id, _) = run_name::find(&records, &args.run).await?;
    let Stored { mut run, plan } = records.stored(id).await?;
    if let Some(path) = &args.step {
        let mut path = path.clone();
        // Instances of a wide fan-out are in runs of their own.
        while let Some((part, there)) = lies_in(&run, &path) {
            (run, path) = (records.stored(part).await?.run, there);
        }
        let path = &path;
        let document = step_document(&plan, &run, path, args.after, args.limit).filter(|_| exists(&run, path));
        let Some(document) = document else {
            return Err(Failure::not_found(format!("{} has no step `{path}`", id.short()))
                .advice(format!("`darkroom show {}` lists its steps", id.short())));
        };
        match format {
            Format::Json => say_document(&document, &settings)?,
            Format::Table => print_steps(&[document]),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let document = run_document(&plan, &run);
    match format {
        Format::Json => say_document(&document, &settings)?,
        Format::Table => print_run(&document, id),
    }
    Ok(ExitCode::SUCCESS)
}

/// Whether the fan-outs around a step have as many instances as its path says, as far as they are open.
fn exists(run: &Run, path: &StepPath) -> bool {
    let mut here = Some(path.clone());
    while let Some(path) = here {
        let fan = path.last().1.and_then(|number| Some((number, path.parent()?)));
        if let Some((number, fan)) = fan
            && let Some(fan) = run.step(&fan).and_then(|step| step.fan.as_ref())
            && number > fan.total
        {
            return false;
        }
        here = path.parent();
    }
    true
}

fn print_run(document: &RunDocument, id: RunId) {
    let took = document.finished_at.unwrap_or(document.updated_at).since(document.created_at);
    say(&format!("{}  {}  {}", document.id, document.workflow, document.status));
    say(&format!("created {}  took {}  version {}", document.created_at, span(took), document.version.short(7)));
    if let Some(schedule) = &document.schedule {
        say(&format!("started by schedule {} for {}", schedule.id, schedule.at));
    }
    let cost = &document.cost;
    let doubtful = match cost.possible_duplicates {
        0 => String::new(),
        calls => format!("  {calls} of its calls may have been paid twice"),
    };
    let (spent, estimated) = (Money::from_usd(cost.spent), Money::from_usd(cost.estimated));
    say(&format!("spent {spent}  estimated {estimated}{doubtful}"));
    say("");
    print_steps(&document.steps);
    for (name, value) in &document.outputs {
        let shown = value.get("name").and_then(|name| name.as_str()).map(str::to_owned);
        say(&format!("output {name}: {}", shown.unwrap_or_else(|| value.to_string())));
    }
    if let Some(error) = &document.error {
        say(&format!("error: {}: {}", error.class, error.message));
        if !error.advice.is_empty() {
            say(&format!("  help: {}", error.advice));
        }
        say(&format!("  resume: darkroom resume {}", id.short()));
    }
}

fn print_steps(steps: &[StepDocument]) {
    let mut rows = Vec::new();
    for step in steps {
        collect(step, &mut rows);
    }
    say(&table(&["STEP", "OP", "STATUS", "TRY", "TOOK", "COST", "NOTE"], &rows));
}

fn collect(step: &StepDocument, rows: &mut Vec<Vec<String>>) {
    let took = match (step.started_at, step.finished_at) {
        (Some(started), Some(finished)) => span(finished.since(started)),
        _ => String::new(),
    };
    let counts = step.items.map(|items| {
        format!(
            "{} items: completed {}, skipped {}, failed {}",
            items.total, items.completed, items.skipped, items.failed
        )
    });
    let error = step.error.as_ref().map(|error| format!("{}: {}", error.class, error.message));
    let saved = step.saved.as_ref().map(|path| format!("→ {path}"));
    let said = |name: &str| step.output.get(name).and_then(|value| value.as_str()).filter(|text| !text.is_empty());
    let decided = said("decision").filter(|_| step.op == "human.approve").map(|decision| match said("by") {
        Some(by) => format!("{decision} by {by} at {}", said("at").unwrap_or_default()),
        None => decision.to_owned(),
    });
    let note: Vec<String> = [counts, error, decided, step.reason.clone(), saved].into_iter().flatten().collect();
    let attempts = if step.attempts == 0 { String::new() } else { step.attempts.to_string() };
    let cost = Money::from_usd(step.cost).to_string();
    rows.push(vec![step.path.clone(), step.op.clone(), step.status.to_string(), attempts, took, cost, note.join("; ")]);
    for inner in &step.steps {
        collect(inner, rows);
    }
}
