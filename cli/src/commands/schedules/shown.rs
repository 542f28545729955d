//! Schedules as people and programs read them.

use crate::commands::schedules::Made;
use crate::failure::Failure;
use crate::output::{Format, say, say_json, span, table};
use darkroom_backend::{Store, StoreError};
use darkroom_coordinator::{ScheduleError, ScheduleRecord};
use darkroom_engine::schedule::{Calendar, Fire, Paused, Rule, Zone};
use darkroom_proto::{Map, RunId, RunStatus, ScheduleId, Timestamp};
use serde::{Serialize, Serializer};
use std::process::ExitCode;

/// A schedule.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    id: ScheduleId,
    workflow: String,
    version: darkroom_proto::Sha256,
    /// A cron line, or `every 2h`.
    when: String,
    timezone: String,
    overlap: darkroom_engine::schedule::Overlap,
    jitter: String,
    catch_up: String,
    #[serde(serialize_with = "rfc3339_option")]
    start: Option<Timestamp>,
    #[serde(serialize_with = "rfc3339_option")]
    end: Option<Timestamp>,
    inputs: Map,
    paused: Option<PausedDocument>,
    #[serde(serialize_with = "rfc3339_list")]
    next: Vec<Timestamp>,
    last: Option<Last>,
    waiting: usize,
    fired: u64,
    skipped: u64,
    missed: u64,
    #[serde(skip)]
    zone: Option<Zone>,
}

#[derive(Debug, Serialize)]
struct PausedDocument {
    reason: String,
    #[serde(serialize_with = "rfc3339")]
    at: Timestamp,
}

/// The last run.
#[derive(Debug, Serialize)]
struct Last {
    run: RunId,
    #[serde(serialize_with = "rfc3339")]
    at: Timestamp,
    /// None: it is not stored yet, or not any more.
    status: Option<RunStatus>,
}

fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn rfc3339_option<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    at.map(|at| at.to_string()).serialize(serializer)
}

fn rfc3339_list<S: Serializer>(times: &[Timestamp], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(times.iter().map(Timestamp::to_string))
}

/// A schedule with its next times and how its last run went.
pub(super) async fn document<S: Store>(
    store: &S,
    id: ScheduleId,
    record: ScheduleRecord,
    count: usize,
) -> Result<Document, StoreError> {
    let ScheduleRecord { rule, spec, state } = record;
    let last = match state.last {
        Some(Fire { at, run }) => {
            let status = store.load(run).await?.map(|stored| stored.summary.status);
            Some(Last { run, at, status })
        }
        None => None,
    };
    // One that this release can't read has no next time.
    let calendar = rule.timing.calendar().ok();
    let now = store.now().await?;
    let next = match (&calendar, &state.paused) {
        (Some(calendar), None) => following(calendar, &id, now.max(state.cursor), count),
        _ => Vec::new(),
    };
    Ok(Document {
        workflow: spec.workflow.clone(),
        version: spec.definition,
        when: rule.timing.rhythm.to_string(),
        timezone: rule.timing.timezone.clone(),
        overlap: rule.overlap,
        jitter: rule.timing.jitter.to_string(),
        catch_up: rule.catch_up.to_string(),
        start: rule.timing.start,
        end: rule.timing.end,
        inputs: spec.inputs,
        paused: state.paused.map(|Paused { reason, at }| PausedDocument { reason, at }),
        next,
        last,
        waiting: state.buffer.len(),
        fired: state.fired,
        skipped: state.skipped,
        missed: state.missed,
        zone: calendar.map(|calendar| calendar.zone().clone()),
        id,
    })
}

fn following(calendar: &Calendar, id: &ScheduleId, after: Timestamp, count: usize) -> Vec<Timestamp> {
    let mut times = Vec::new();
    let mut after = after;
    while let (true, Some(at)) = (times.len() < count, calendar.next(after)) {
        times.push(calendar.due(id, at));
        after = at;
    }
    times
}

impl Document {
    fn time(&self, at: Timestamp) -> String {
        self.zone.as_ref().map_or_else(|| at.to_string(), |zone| zone.show(at))
    }

    fn state(&self) -> String {
        match (&self.paused, self.next.is_empty(), self.waiting) {
            (Some(paused), _, _) => format!("paused: {}", paused.reason),
            (None, true, 0) => "ended".to_owned(),
            (None, _, 0) => "active".to_owned(),
            (None, _, waiting) => format!("active, {waiting} waiting"),
        }
    }
}

/// Prints schedules.
pub(super) fn say_schedules(schedules: &[Document], format: Format) -> Result<ExitCode, Failure> {
    match format {
        Format::Json => say_json(&serde_json::json!({ "data": schedules, "next_cursor": null })),
        Format::Table if schedules.is_empty() => {
            say("no schedules; make one: darkroom schedules create workflows/product-photo.yaml --cron '0 3 * * 1-5'");
        }
        Format::Table => {
            let none = || "–".to_owned();
            let cells = |schedule: &Document| {
                let status =
                    |last: &Last| last.status.map_or_else(|| "pending".to_owned(), |status| status.to_string());
                vec![
                    schedule.id.to_string(),
                    schedule.workflow.clone(),
                    schedule.when.clone(),
                    schedule.timezone.clone(),
                    schedule.next.first().map_or_else(none, |at| schedule.time(*at)),
                    schedule.last.as_ref().map_or_else(none, |last| last.run.short()),
                    schedule.last.as_ref().map_or_else(none, status),
                    schedule.state(),
                ]
            };
            let rows: Vec<Vec<String>> = schedules.iter().map(cells).collect();
            say(&table(&["SCHEDULE", "WORKFLOW", "WHEN", "ZONE", "NEXT", "LAST RUN", "OUTCOME", "STATE"], &rows));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A schedule for people.
pub(super) fn text(schedule: &Document, now: Timestamp) -> String {
    let version = schedule.version.to_string();
    let version = version.get(..7).unwrap_or(&version);
    let mut lines = vec![format!("{}   {} @ {version}   {}", schedule.id, schedule.workflow, schedule.state())];
    let mut line = |name: &str, value: String| lines.push(format!("  {name:<9}{value}"));
    line("when", format!("{}   {}", schedule.when, schedule.timezone));
    line("rule", format!("overlap {}   catch-up {}", schedule.overlap, schedule.catch_up));
    if schedule.jitter != "0ms" {
        line("jitter", schedule.jitter.clone());
    }
    for (name, bound) in [("start", schedule.start), ("end", schedule.end)] {
        if let Some(at) = bound {
            line(name, schedule.time(at));
        }
    }
    for (number, at) in schedule.next.iter().enumerate() {
        let name = if number == 0 { "next" } else { "" };
        line(name, format!("{}   in {}", schedule.time(*at), span(at.since(now))));
    }
    if let Some(last) = &schedule.last {
        let status = last.status.map_or_else(|| "pending".to_owned(), |status| status.to_string());
        line("last", format!("{}   {status}   {}", last.run.short(), schedule.time(last.at)));
    }
    line(
        "counts",
        format!(
            "{} fired, {} skipped, {} missed, {} waiting",
            schedule.fired, schedule.skipped, schedule.missed, schedule.waiting
        ),
    );
    lines.join("\n")
}

/// Prints what was made.
pub(super) fn say_made(made: &[Made], format: Format) {
    let word = |made: &Made| if made.is_new { "created" } else { "changed" };
    match format {
        Format::Json => {
            let row = |made: &Made| serde_json::json!({ "id": made.id, "status": word(made) });
            say_json(&serde_json::json!({ "data": made.iter().map(row).collect::<Vec<_>>(), "next_cursor": null }));
        }
        Format::Table => made.iter().for_each(|made| say(&format!("{} {}", made.id, word(made)))),
    }
}

/// Times of a schedule.
pub(super) struct Times {
    pub(super) id: String,
    pub(super) zone: Zone,
    pub(super) fires: Vec<Fire>,
    /// Whether the runs are certain to come to be.
    pub(super) with_runs: bool,
}

impl Times {
    /// The next ones.
    pub(super) fn next(id: &ScheduleId, rule: &Rule, now: Timestamp, count: usize) -> Result<Times, Failure> {
        let calendar = rule.timing.calendar().map_err(ScheduleError::from)?;
        let mut fires = Vec::new();
        let mut after = now;
        while let (true, Some(at)) = (fires.len() < count, calendar.next(after)) {
            fires.push(Fire { at: calendar.due(id, at), run: id.run_at(at) });
            after = at;
        }
        Ok(Times { id: id.to_string(), zone: calendar.zone().clone(), fires, with_runs: false })
    }
}

/// Prints times, by the clock of their zone and in UTC.
pub(super) fn say_times(times: &Times, format: Format) {
    match format {
        Format::Json => {
            let row = |fire: &Fire| match times.with_runs {
                true => serde_json::json!({ "at": fire.at.to_string(), "run": fire.run }),
                false => serde_json::json!({ "at": fire.at.to_string() }),
            };
            let rows: Vec<_> = times.fires.iter().map(row).collect();
            say_json(&serde_json::json!({ "id": times.id, "data": rows, "next_cursor": null }));
        }
        Format::Table if times.fires.is_empty() => say(&format!("{} has ended", times.id)),
        Format::Table => {
            let cells = |fire: &Fire| {
                let run = if times.with_runs { fire.run.short() } else { String::new() };
                vec![times.id.clone(), times.zone.show(fire.at), fire.at.to_string(), run]
            };
            let rows: Vec<Vec<String>> = times.fires.iter().map(cells).collect();
            say(&table(&["SCHEDULE", "TIME", "UTC", if times.with_runs { "RUN" } else { "" }], &rows));
        }
    }
}
