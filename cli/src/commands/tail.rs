//! `darkroom tail RUN`

use crate::door::Records;
use crate::failure::{EXIT_INTERRUPTED, Failure};
use crate::output::{Format, say};
use crate::run_name;
use crate::settings::Settings;
use crate::trail::{Followed, Trail};
use darkroom_engine::{CYCLES_MAX, Happened, What, event_document};
use std::process::ExitCode;

/// Show what happens to a run, until it ends
#[derive(Debug, clap::Args)]
#[command(after_help = "RUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest. With \
    `-o json` each line is one event.\n\nExamples:\n  darkroom tail @latest\n  \
    darkroom tail product-photo -o json | jq -r .event")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Only events after this one, as `seq` of the JSON form counts them
    #[arg(long, value_name = "SEQ", default_value_t = 0)]
    after: u64,
    /// Show what is there, and do not wait for more
    #[arg(long)]
    no_follow: bool,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let records = Records::open(&settings).await?;
    let (id, _) = run_name::find(&records, &args.run).await?;
    let mut trail = Trail::new(&settings, records, id, args.after);
    let show = |seq: u64, happened: &Happened| match format {
        Format::Table => say(&line(happened)),
        Format::Json => say(&event_document(seq, happened).to_string()),
    };
    if args.no_follow {
        loop {
            let events = trail.next().await?;
            if events.is_empty() {
                return Ok(ExitCode::SUCCESS);
            }
            events.iter().for_each(|(seq, happened)| show(*seq, happened));
        }
    }
    Ok(match trail.follow(None, show).await? {
        Followed::Ended | Followed::TimedOut => ExitCode::SUCCESS,
        Followed::Interrupted => ExitCode::from(EXIT_INTERRUPTED),
    })
}

/// An event for people.
fn line(happened: &Happened) -> String {
    let (step, what) = match &happened.what {
        What::RunStarted => (None, "run started".to_owned()),
        What::RunResumed { from: None } => (None, "run resumed".to_owned()),
        What::RunResumed { from: Some(from) } => (None, format!("run resumed from `{from}`")),
        What::RunCompleted { tolerated: 0 } => (None, "run completed".to_owned()),
        What::RunCompleted { tolerated } => (None, format!("run completed, {tolerated} failures tolerated")),
        What::RunFailed { step, error } => (None, format!("run failed at `{step}`: {error}")),
        What::RunPaused { reason } => (None, format!("run paused: {reason}")),
        What::InputsSet { names } => (None, format!("other inputs from here on: {}", names.join(", "))),
        What::SignalKept { name, by, .. } => (None, format!("the event `{name}` of {by} is kept")),
        What::SignalTaken { step, name, by, .. } => (Some(step), format!("takes the event `{name}` of {by}")),
        What::StepDecided { step, decision, by, .. } => (Some(step), format!("{decision} by {by}")),
        What::Refused { command, by, reason, .. } if by.is_empty() => (None, format!("{command} refused: {reason}")),
        What::Refused { command, by, reason, .. } => (None, format!("{command} of {by} refused: {reason}")),
        What::RunCancelled { reason } => (None, format!("run cancelled: {reason}")),
        What::StepDispatched { step, attempt: 1 } => (Some(step), "dispatched".to_owned()),
        What::StepDispatched { step, attempt } => (Some(step), format!("dispatched, attempt {attempt}")),
        What::StepCompleted { step, saved, .. } => {
            let saved = saved.as_ref().map(|path| format!("  → {path}")).unwrap_or_default();
            (Some(step), format!("completed{saved}"))
        }
        What::StepRetrying { step, attempt, again_at, error } => {
            (Some(step), format!("attempt {attempt} failed, again at {again_at}: {error}"))
        }
        What::StepProgress { step, progress, note } => {
            let share = progress.map(|progress| format!("{:.0} %", progress * 100.0)).unwrap_or_default();
            (Some(step), format!("{share} {note}").trim().to_owned())
        }
        What::StepWaiting { step, reason } => (Some(step), format!("waits for {reason}")),
        What::StepParked { step, error, again_at, cycle } => {
            (Some(step), format!("parked, looked at again at {again_at} (cycle {cycle} of {CYCLES_MAX}): {error}"))
        }
        What::StepFailed { step, error, tolerated: false, .. } => (Some(step), format!("failed: {error}")),
        What::StepFailed { step, error, tolerated: true, .. } => (Some(step), format!("failed, tolerated: {error}")),
        What::StepSkipped { step, reason } => (Some(step), format!("skipped: {reason}")),
        What::StepCancelled { step, spent } if spent.usd() > 0.0 => {
            (Some(step), format!("called off, after ${:.4} was spent on it", spent.usd()))
        }
        What::StepCancelled { step, .. } => (Some(step), "called off".to_owned()),
        What::BranchBegun { step, branch, error: Some(error) } => {
            (Some(step), format!("{} begins: {error}", branch.name()))
        }
        What::BranchBegun { step, branch, error: None } => (Some(step), format!("{} begins", branch.name())),
        What::FanOutOpened { step, total } => (Some(step), format!("has {total} items")),
        What::ItemStarted { step, label } => (Some(step), format!("{label} began")),
        What::ItemEnded { step, label, status, items } => {
            let done = items.completed + items.skipped + items.failed;
            (Some(step), format!("{label} {status}  [{done}/{}]", items.total))
        }
    };
    let step = step.map(|step| format!("{step}  ")).unwrap_or_default();
    format!("{}  {step}{what}", happened.at)
}
