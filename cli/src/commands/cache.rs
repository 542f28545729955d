//! `darkroom cache …`

use crate::commands::resume::step_named;
use crate::commands::run::in_use;
use crate::door::Records;
use crate::failure::Failure;
use crate::fleet::FleetStore;
use crate::output::{Format, complain, say, say_json, span, table};
use crate::settings::Settings;
use crate::{folder, run_name};
use darkroom_backend::{Artifacts, Store, StoreError};
use darkroom_coordinator::Stored;
use darkroom_engine::{CacheWhy, Difference, cache_why, cached_artifacts};
use darkroom_proto::{CacheEntry, CachedFrom, Duration, Sha256, StepPath, Timestamp};
use serde_json::{Value, json};
use std::io::{BufRead as _, IsTerminal as _};
use std::process::ExitCode;

/// Look at the step cache: why a step was taken from it or not, what it keeps, and have it forget
#[derive(Debug, clap::Args)]
#[command(
    after_help = "RUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest. STEP is an id, a \
    path such as 'shots[3]', or a number.\n\nExamples:\n  darkroom cache why @latest make\n  \
    darkroom cache list --op image.generate\n  darkroom cache forget product-photo make\n  \
    darkroom cache forget --older-than 7d --dry-run"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Explain why a step's outputs were taken from the cache, or what differs from the nearest earlier step
    Why {
        /// The run
        run: String,
        /// The step
        step: String,
    },
    /// List what is kept, the newest first
    List {
        /// Only of this op
        #[arg(long)]
        op: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
        limit: u32,
    },
    /// Forget what a step made or took, or all that is old: equal steps are done, and paid for, again
    Forget(Forget),
}

#[derive(Debug, clap::Args)]
struct Forget {
    /// The run
    #[arg(requires = "step", required_unless_present = "older_than")]
    run: Option<String>,
    /// The step; of a fan-out, all of its instances
    step: Option<String>,
    /// Everything that was made longer ago than this, such as 7d
    #[arg(long, value_name = "TIME", conflicts_with = "run")]
    older_than: Option<Duration>,
    /// Show what would be forgotten, and forget nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
}

/// How many entries are read at once.
const PAGE: usize = 200;

/// How many entries are looked at for one answer.
const SCANNED_MAX: usize = 100_000;

/// With how many earlier steps one is compared.
const COMPARED_MAX: usize = 2_000;

/// A value of a parameter is shown up to here.
const SHOWN_CHARS_MAX: usize = 60;

type Entry = (Sha256, CacheEntry);

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    // Of a folder the records are let go of before its state is opened for writing.
    let about = match &args.command {
        Command::Why { run, step } | Command::Forget(Forget { run: Some(run), step: Some(step), .. }) => {
            Some(about(&settings, run, step).await?)
        }
        Command::List { .. } | Command::Forget(_) => None,
    };
    match settings.fleet()? {
        Some(place) => {
            let fleet = FleetStore::open(&place).await?;
            command(args.command, about, &fleet.store, &settings, format).await
        }
        None if !folder::state().join("state.redb").exists() => {
            say_entries(&[], Timestamp(0), format);
            Ok(ExitCode::SUCCESS)
        }
        None => {
            let store = folder::store(&folder::state()).await.map_err(in_use)?;
            command(args.command, about, &store, &settings, format).await
        }
    }
}

/// The run and the step that are meant.
async fn about(settings: &Settings, run: &str, step: &str) -> Result<(Stored, StepPath), Failure> {
    let records = Records::open(settings).await?;
    let (id, _) = run_name::find(&records, run).await?;
    let stored = records.stored(id).await?;
    let path = step_named(&stored.plan, step)?;
    Ok((stored, path))
}

/// What is the same in a folder and in a fleet.
async fn command<S: Store>(
    command: Command,
    about: Option<(Stored, StepPath)>,
    store: &S,
    settings: &Settings,
    format: Format,
) -> Result<ExitCode, Failure> {
    let now = store.now().await?;
    match (command, about) {
        (Command::Why { .. }, Some((stored, path))) => {
            let artifacts = folder::artifacts(settings)?;
            let op = stored.plan.op_of(&path);
            let of_op = |entry: &CacheEntry| entry.parts.as_ref().is_some_and(|parts| Some(parts.op.as_str()) == op);
            let found = find(store, of_op, COMPARED_MAX).await?;
            let entries: Vec<CacheEntry> = found.into_iter().map(|(_, entry)| entry).collect();
            let whole = |entry: &CacheEntry| is_whole(&artifacts, entry);
            let why = cache_why(&stored.plan, &stored.run, &path, &entries, &whole);
            match format {
                Format::Json => {
                    let mut document = json!({ "run": stored.run.id, "step": path, "hit": why.is_hit() });
                    if let (Some(document), Ok(Value::Object(why))) =
                        (document.as_object_mut(), serde_json::to_value(&why))
                    {
                        document.extend(why);
                    }
                    say_json(&document);
                }
                Format::Table => say(&text(&why, now)),
            }
        }
        (Command::List { op, limit }, _) => {
            let of_op = |entry: &CacheEntry| op.is_none() || entry.parts.as_ref().map(|parts| &parts.op) == op.as_ref();
            say_entries(&find(store, of_op, limit as usize).await?, now, format);
        }
        (Command::Forget(forget), Some((stored, path))) => {
            let taken = stored.run.step(&path).and_then(|step| step.cached_from.as_deref());
            let within = [format!("{path}["), format!("{path}/")];
            let is_of = |from: &CachedFrom| {
                let is_in = from.step == path || within.iter().any(|within| from.step.as_str().starts_with(within));
                (from.run == stored.run.id && is_in) || Some(from) == taken
            };
            let entries = find(store, |entry| is_of(&entry.from), SCANNED_MAX).await?;
            if entries.is_empty() {
                return Err(Failure::not_found(format!("nothing is kept of step `{path}` of {}", stored.run.id))
                    .advice(format!("`darkroom cache why {} {path}` says more", stored.run.id.short())));
            }
            // What is named is not asked about.
            remove(store, entries, &Forget { yes: true, ..forget }, now, format).await?;
        }
        (Command::Forget(forget), None) => {
            let age = forget.older_than.unwrap_or_default();
            let entries = find(store, |entry| now.since(entry.at) > age, SCANNED_MAX).await?;
            remove(store, entries, &forget, now, format).await?;
        }
        (Command::Why { .. }, None) => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// The entries of which something is true, the newest first.
async fn find<S: Store>(
    store: &S,
    is_meant: impl Fn(&CacheEntry) -> bool,
    limit: usize,
) -> Result<Vec<Entry>, StoreError> {
    let mut found: Vec<Entry> = Vec::new();
    for skip in (0..SCANNED_MAX).step_by(PAGE) {
        let page = store.cached_entries(skip, PAGE).await?;
        if page.is_empty() || found.len() >= limit {
            break;
        }
        found.extend(page.into_iter().filter(|(_, entry)| is_meant(entry)));
    }
    found.sort_by_key(|(_, entry)| std::cmp::Reverse(entry.at));
    found.truncate(limit);
    Ok(found)
}

/// A store that can't be asked says nothing of its files.
fn is_whole(artifacts: &Artifacts, entry: &CacheEntry) -> bool {
    cached_artifacts(entry).iter().all(|artifact| artifacts.has(artifact).unwrap_or(true))
}

async fn remove<S: Store>(
    store: &S,
    entries: Vec<Entry>,
    how: &Forget,
    now: Timestamp,
    format: Format,
) -> Result<(), Failure> {
    if how.dry_run || entries.is_empty() {
        say_entries(&entries, now, format);
        return Ok(());
    }
    if !how.yes && !agrees(entries.len())? {
        return Ok(());
    }
    let mut forgotten = Vec::new();
    for (key, entry) in entries {
        if store.forget_cached(key).await? {
            forgotten.push((key, entry));
        }
    }
    match format {
        Format::Json => say_entries(&forgotten, now, format),
        Format::Table => say(&format!("forgot what {} gave", steps(forgotten.len()))),
    }
    Ok(())
}

fn steps(count: usize) -> String {
    if count == 1 { "1 step".to_owned() } else { format!("{count} steps") }
}

/// Asks a person, where there is one.
fn agrees(count: usize) -> Result<bool, Failure> {
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Failure::usage(format!("what {} gave would be forgotten, and nobody can be asked", steps(count)))
            .advice("say --yes, or --dry-run to see which"));
    }
    complain(&format!("forget what {} gave? equal steps are then done, and paid for, again [y/N]", steps(count)));
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(|error| Failure::other(format!("no answer: {error}")))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn say_entries(entries: &[Entry], now: Timestamp, format: Format) {
    if format == Format::Json {
        let document = |(key, entry): &Entry| json!({ "key": key, "entry": entry });
        return say_json(&json!({ "data": entries.iter().map(document).collect::<Vec<_>>() }));
    }
    if entries.is_empty() {
        return say("nothing is kept");
    }
    let cells = |(_, entry): &Entry| {
        let parts = entry.parts.as_ref();
        vec![
            entry.from.run.short(),
            entry.from.step.to_string(),
            parts.map(|parts| parts.op.clone()).unwrap_or_default(),
            parts.and_then(|parts| parts.model.clone()).unwrap_or_default(),
            parts.map(|parts| parts.by.clone()).unwrap_or_default(),
            entry.cost.to_string(),
            span(now.since(entry.at)),
        ]
    };
    let rows: Vec<Vec<String>> = entries.iter().map(cells).collect();
    say(&table(&["RUN", "STEP", "OP", "MODEL", "BY", "COST", "AGE"], &rows));
}

/// The answer for people: first whether, then why.
fn text(why: &CacheWhy, now: Timestamp) -> String {
    let step = |from: &CachedFrom| format!("step {} of {}", from.step, from.run);
    let by = |by: &str| if by.is_empty() { "the provider".to_owned() } else { by.to_owned() };
    match why {
        CacheWhy::Hit { from } => format!("hit: {}", step(from)),
        CacheWhy::AlreadySaved => "hit: its file was there already, saved by an equal step".to_owned(),
        CacheWhy::NoCall => "miss: it calls no op by itself; ask about a step in it".to_owned(),
        CacheWhy::Unresolved { error } => format!("not known: its parameters have no value yet: {error}"),
        CacheWhy::NotCached { op } => format!("miss: {op} is not cached: it is done again in no time"),
        CacheWhy::Off => "miss: the step says `cache: off`".to_owned(),
        CacheWhy::Refresh => "miss: the step says `cache: refresh`: it replaces what is kept".to_owned(),
        CacheWhy::Fresh => {
            "miss: the run takes nothing from before: it was fresh or forced, or resumed from a step".to_owned()
        }
        CacheWhy::NoSeed => "miss: no seed, so `cache: auto` takes nothing: each call gives something else".to_owned(),
        CacheWhy::Gone { nearest } => {
            format!("miss: artifact gone: {} was equal, but a file of it is not in the artifact store", step(nearest))
        }
        CacheWhy::ByOther { nearest, then, now } => {
            format!("miss: {} was equal, but made by {}, and this one by {}", step(nearest), by(then), by(now))
        }
        CacheWhy::Kept { nearest } => format!("kept: {} is equal: the next such step takes its outputs", step(nearest)),
        CacheWhy::FirstOfOp { op } => format!("miss: no earlier step of {op} is kept"),
        CacheWhy::Differs { nearest, at, differences } => {
            let names: Vec<&str> = differences.iter().map(|difference| difference.part.as_str()).collect();
            let ago = span(now.since(*at));
            let differ = if names.len() == 1 { "differs" } else { "differ" };
            let head = format!("miss: {} {differ} from {}, the nearest of {ago} ago", names.join(", "), step(nearest));
            let rows: Vec<Vec<String>> = differences.iter().map(row).collect();
            format!("{head}\n\n{}", table(&["PART", "THEN", "NOW"], &rows))
        }
    }
}

fn row(difference: &Difference) -> Vec<String> {
    let shown = |value: &Option<Value>| match value {
        None => "(too long to be kept)".to_owned(),
        Some(value) if difference.is_file => digests(value),
        Some(Value::Null) => "-".to_owned(),
        Some(value) => {
            let text = value.to_string();
            match text.char_indices().nth(SHOWN_CHARS_MAX) {
                Some((end, _)) => format!("{}…", &text[..end]),
                None => text,
            }
        }
    };
    vec![difference.part.clone(), shown(&difference.then), shown(&difference.now)]
}

/// Files, told by how their digests begin.
fn digests(value: &Value) -> String {
    match value {
        Value::Array(items) => items.iter().map(digests).collect::<Vec<_>>().join(" "),
        value => {
            let digest = value["sha256"].as_str().unwrap_or("-");
            digest.get(..12).unwrap_or(digest).to_owned()
        }
    }
}
