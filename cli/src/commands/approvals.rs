//! `darkroom approvals list`

use crate::door::Records;
use crate::failure::Failure;
use crate::folder;
use crate::output::{Format, say, say_json, span, table};
use crate::settings::Settings;
use darkroom_backend::{Clock, RunFilter};
use darkroom_engine::{State, awaiting};
use darkroom_proto::{Artifact, RunStatus, Timestamp};
use serde::Serialize;
use serde_json::Value;
use std::process::ExitCode;

/// What waits for a person
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, clap::Subcommand)]
enum What {
    /// List the steps that wait for a person, the newest run first
    #[command(after_help = "Examples:\n  darkroom approvals list\n  darkroom approvals list -o json")]
    List {
        /// At most so many
        #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
        limit: u32,
    },
}

/// How many runs are asked for at once.
const PAGE: usize = 1_000;

#[derive(Debug, Serialize)]
struct Row {
    run: String,
    workflow: String,
    step: String,
    title: String,
    since: String,
    deadline: Option<String>,
    show: Vec<Value>,
    ask: Value,
    choose: Vec<Value>,
    #[serde(skip)]
    times: (Timestamp, Option<Timestamp>),
    #[serde(skip)]
    short: String,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let What::List { limit } = args.what;
    let settings = Settings::load()?;
    let in_fleet = settings.fleet()?.is_some();
    let rows = match Records::open(&settings).await {
        Ok(records) => rows(&records, limit as usize).await?,
        // A folder without runs is an empty list, not an error.
        Err(_) if !in_fleet && !folder::state().join("state.redb").exists() => Vec::new(),
        Err(failure) => return Err(failure),
    };
    if format == Format::Json {
        say_json(&serde_json::json!({ "data": rows }));
        return Ok(ExitCode::SUCCESS);
    }
    if rows.is_empty() {
        say("nothing waits for a person");
        return Ok(ExitCode::SUCCESS);
    }
    let now = Clock::system().now();
    let cells: Vec<Vec<String>> = rows.iter().map(|row| cells(row, now)).collect();
    say(&table(&["RUN", "STEP", "TITLE", "SINCE", "LEFT", "SHOWS", "CHOOSE", "ASKS"], &cells));
    Ok(ExitCode::SUCCESS)
}

async fn rows(records: &Records, limit: usize) -> Result<Vec<Row>, Failure> {
    let statuses = vec![RunStatus::Waiting, RunStatus::Running, RunStatus::PendingRetry, RunStatus::Paused];
    let mut filter = RunFilter { statuses, limit: PAGE, ..RunFilter::default() };
    let mut rows = Vec::new();
    loop {
        let runs = records.list(&filter).await?;
        // A run that waits for a person says so in its summary.
        for (id, _) in runs.iter().filter(|(_, summary)| summary.step.is_some()) {
            let run = records.stored(*id).await?.run;
            for (path, step, approval) in awaiting(&run) {
                let deadline = match step.state {
                    State::Held { until } => until,
                    _ => None,
                };
                rows.push(Row {
                    run: id.to_string(),
                    workflow: run.spec.workflow.clone(),
                    step: path.to_string(),
                    title: approval.title.clone(),
                    since: step.started_at.to_string(),
                    deadline: deadline.map(|deadline| deadline.to_string()),
                    show: approval.show.clone(),
                    ask: Value::Object(approval.ask.clone()),
                    choose: approval.choose.clone(),
                    times: (step.started_at, deadline),
                    short: id.short(),
                });
            }
            if rows.len() >= limit {
                rows.truncate(limit);
                return Ok(rows);
            }
        }
        match runs.last() {
            Some((oldest, _)) if runs.len() == PAGE => filter.before = Some(*oldest),
            _ => return Ok(rows),
        }
    }
}

fn cells(row: &Row, now: Timestamp) -> Vec<String> {
    let names = |files: &[Value]| {
        let names: Vec<String> = files.iter().filter_map(Artifact::from_value).map(|artifact| artifact.name).collect();
        names.join(", ")
    };
    let fields = row.ask.as_object().map(|ask| ask.keys().cloned().collect::<Vec<_>>().join(", "));
    vec![
        row.short.clone(),
        row.step.clone(),
        row.title.clone(),
        span(now.since(row.times.0)),
        row.times.1.map(|deadline| span(deadline.since(now))).unwrap_or_default(),
        names(&row.show),
        names(&row.choose),
        fields.unwrap_or_default(),
    ]
}
