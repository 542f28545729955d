//! `darkroom list`

use crate::door::Records;
use crate::failure::Failure;
use crate::folder;
use crate::output::{Format, say, say_json, span, table};
use crate::settings::Settings;
use darkroom_backend::{RunFilter, RunSummary};
use darkroom_coordinator::run_row;
use darkroom_proto::{RunId, RunRow, RunStatus, Timestamp};
use std::process::ExitCode;

/// List the runs of this folder, or of the fleet, the newest first
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  darkroom list\n  darkroom list --status failed --workflow product-photo")]
pub(crate) struct Args {
    /// Only runs of this workflow
    #[arg(long)]
    workflow: Option<String>,
    /// Only runs with this status; may be given several times
    #[arg(long, value_parser = status)]
    status: Vec<RunStatus>,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Go on after this run, as `next_cursor` of the JSON form says
    #[arg(long)]
    cursor: Option<RunId>,
}

fn status(text: &str) -> Result<RunStatus, String> {
    RunStatus::ALL.iter().copied().find(|status| status.name() == text).ok_or_else(|| {
        let names: Vec<&str> = RunStatus::ALL.iter().map(|status| status.name()).collect();
        format!("expected one of {}", names.join(", "))
    })
}

#[derive(serde::Serialize)]
struct Page {
    data: Vec<RunRow>,
    next_cursor: Option<String>,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let in_fleet = settings.fleet()?.is_some();
    let limit = args.limit as usize;
    let filter = RunFilter {
        workflow: args.workflow,
        statuses: args.status,
        before: args.cursor,
        limit: limit + 1,
        ..RunFilter::default()
    };
    let mut runs = match Records::open(&settings).await {
        Ok(records) => records.list(&filter).await?,
        // A folder without runs is an empty list, not an error.
        Err(_) if !in_fleet && !folder::state().join("state.redb").exists() => Vec::new(),
        Err(failure) => return Err(failure),
    };
    let now = darkroom_backend::Clock::system().now();
    let next_cursor = (runs.len() > limit).then(|| runs[limit - 1].0.to_string());
    runs.truncate(limit);
    if format == Format::Json {
        say_json(&Page { data: runs.iter().map(|(id, summary)| run_row(*id, summary)).collect(), next_cursor });
        return Ok(ExitCode::SUCCESS);
    }
    if runs.is_empty() {
        let verb = if in_fleet { "submit" } else { "run" };
        say(&format!("no runs; start one: darkroom {verb} workflows/product-photo.yaml"));
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = runs.iter().map(|(id, summary)| cells(*id, summary, now)).collect();
    say(&table(&["RUN", "WORKFLOW", "STATUS", "STEP", "COST", "AGE", "WHY"], &rows));
    Ok(ExitCode::SUCCESS)
}

fn cells(id: RunId, summary: &RunSummary, now: Timestamp) -> Vec<String> {
    let why = summary.error.as_ref().map(|error| error.to_string()).unwrap_or_default();
    vec![
        id.short(),
        match summary.parent {
            Some(parent) => format!("{} (child of {})", summary.workflow, parent.short()),
            None => summary.workflow.clone(),
        },
        summary.status.to_string(),
        summary.step.clone().unwrap_or_default(),
        summary.spent.to_string(),
        span(now.since(summary.created_at)),
        why,
    ]
}
