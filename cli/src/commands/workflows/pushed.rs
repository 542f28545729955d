//! Workflows that are kept by name.

use super::{Command, diff, files_of};
use crate::failure::Failure;
use crate::output::{Format, complain, say, say_json, table};
use crate::workflow_file::{self, WorkflowFile};
use crate::{catalogue, order};
use darkroom_backend::Store;
use darkroom_coordinator::{Pushed, Version, WorkflowError, WorkflowRecord, Workflows};
use darkroom_engine::{Source, compile};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// The exit code of `diff` when something differs.
const EXIT_DIFFERENT: u8 = 1;

/// Does what is about workflows by name; without a store there are only those that come with this release.
pub(super) async fn command<S: Store>(command: Command, store: Option<S>, format: Format) -> Result<ExitCode, Failure> {
    let workflows = store.map(Workflows::new);
    let stored = || workflows.as_ref().ok_or_else(|| Failure::not_found("nothing was pushed in this folder yet"));
    match command {
        Command::List { .. } => {
            let records = match &workflows {
                Some(workflows) => workflows.list().await?,
                None => Vec::new(),
            };
            say_list(&records, format);
        }
        Command::Push { files, by } => {
            let by = order::who(by);
            let pushed = push_all(stored()?, &files, &by).await?;
            say_pushed(&pushed, format);
        }
        Command::Diff { name, other } => return diff_of(stored()?, &name, other.as_deref(), format).await,
        Command::History { name } => history(stored()?, &name, format).await?,
        Command::Disable { name } => switch(stored()?, &name, false, format).await?,
        Command::Enable { name } => switch(stored()?, &name, true, format).await?,
        Command::Schema
        | Command::New { .. }
        | Command::Show { .. }
        | Command::Convert { .. }
        | Command::Import { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Pushes files and the files of folders. Everything is compiled before anything is pushed.
pub(crate) async fn push_all<S: Store>(
    workflows: &Workflows<S>,
    files: &[PathBuf],
    by: &str,
) -> Result<Vec<(String, Pushed)>, Failure> {
    let mut found: Vec<WorkflowFile> = Vec::new();
    for path in files {
        match path.is_dir() {
            false => found.push(workflow_file::load(path)?),
            // A folder may hold other files than workflows.
            true => {
                for path in files_of(path)? {
                    let source = workflow_file::read(&path)?;
                    match source.text().contains("workflow") {
                        true => found.push(workflow_file::load(&path)?),
                        false => complain(&format!("{} is no workflow file, and is left out", path.display())),
                    }
                }
            }
        }
    }
    let mut pushed = Vec::new();
    for file in &found {
        let done = workflows.push(&file.definition, by).await?;
        pushed.push((file.plan.workflow.clone(), done));
    }
    Ok(pushed)
}

fn say_pushed(pushed: &[(String, Pushed)], format: Format) {
    match format {
        Format::Json => {
            let row = |(name, done): &(String, Pushed)| json!({ "workflow": name, "version": done.version, "new": done.is_new });
            say_json(&json!({ "data": pushed.iter().map(row).collect::<Vec<_>>() }));
        }
        Format::Table => {
            for (name, Pushed { version, is_new }) in pushed {
                let note = if *is_new { "" } else { " (unchanged)" };
                say(&format!("{name}@{version}{note}"));
            }
        }
    }
}

fn say_list(records: &[(String, WorkflowRecord)], format: Format) {
    let mut rows: Vec<[String; 5]> = Vec::new();
    for (name, record) in records {
        let state = if record.enabled { "enabled" } else { "disabled" };
        let (by, at) =
            record.pushes.last().map_or_else(Default::default, |last| (last.by.clone(), last.pushed_at.to_string()));
        rows.push([name.clone(), record.latest().to_string(), state.to_owned(), at, by]);
    }
    for (name, _) in catalogue::sources() {
        if !records.iter().any(|(known, _)| known == name) {
            rows.push([name.to_owned(), "–".into(), "enabled".into(), "–".into(), "this release".into()]);
        }
    }
    rows.sort();
    match format {
        Format::Json => {
            let row = |[name, version, state, at, by]: &[String; 5]| {
                let version = version.parse::<u32>().ok();
                let at = version.map(|_| at);
                json!({ "workflow": name, "version": version, "enabled": state == "enabled", "pushed_at": at, "by": by })
            };
            say_json(&json!({ "data": rows.iter().map(row).collect::<Vec<_>>(), "next_cursor": null }));
        }
        Format::Table => {
            let rows: Vec<Vec<String>> = rows.into_iter().map(Vec::from).collect();
            say(&table(&["WORKFLOW", "VERSION", "STATE", "PUSHED", "BY"], &rows));
        }
    }
}

async fn history<S: Store>(workflows: &Workflows<S>, name: &str, format: Format) -> Result<(), Failure> {
    let record = workflows.get(name).await?;
    let runs = workflows.runs(name).await?;
    let versions = (1u32..).zip(&record.pushes).map(|(number, push)| {
        let (all, open) = runs.get(&push.hash).copied().unwrap_or_default();
        (number, push, all, open)
    });
    match format {
        Format::Json => {
            let row = |(number, push, all, open): (u32, &darkroom_coordinator::Push, u64, u64)| {
                json!({ "version": number, "hash": push.hash, "pushed_at": push.pushed_at.to_string(),
                    "by": push.by, "runs": all, "open_runs": open })
            };
            say_json(
                &json!({ "workflow": name, "enabled": record.enabled, "data": versions.map(row).collect::<Vec<_>>() }),
            );
        }
        Format::Table => {
            let row = |(number, push, all, open): (u32, &darkroom_coordinator::Push, u64, u64)| {
                let hash: String = push.hash.to_string().chars().take(12).collect();
                vec![
                    number.to_string(),
                    hash,
                    push.pushed_at.to_string(),
                    push.by.clone(),
                    all.to_string(),
                    open.to_string(),
                ]
            };
            let rows: Vec<Vec<String>> = versions.map(row).collect();
            say(&table(&["VERSION", "HASH", "PUSHED", "BY", "RUNS", "OPEN"], &rows));
        }
    }
    Ok(())
}

async fn switch<S: Store>(workflows: &Workflows<S>, name: &str, enabled: bool, format: Format) -> Result<(), Failure> {
    let changed = match workflows.switch(name, enabled).await {
        Err(WorkflowError::Missing(missing)) => {
            // One that comes with this release is kept from now on, so that it can be switched.
            let Some(source) = catalogue::find(name) else { return Err(WorkflowError::Missing(missing).into()) };
            let file = workflow_file::compiled(&source, PathBuf::new())?;
            workflows.push(&file.definition, &order::who(None)).await?;
            workflows.switch(name, enabled).await? || enabled
        }
        changed => changed?,
    };
    let state = if enabled { "enabled" } else { "disabled" };
    match format {
        Format::Json => say_json(&json!({ "workflow": name, "enabled": enabled, "changed": changed })),
        Format::Table => say(&format!("{name} is {state}{}", if changed { "" } else { " already" })),
    }
    Ok(())
}

/// A text to compare, and what it is called.
type Named = (String, String);

async fn diff_of<S: Store>(
    workflows: &Workflows<S>,
    what: &str,
    other: Option<&str>,
    format: Format,
) -> Result<ExitCode, Failure> {
    let (name, version) = Version::split(what);
    let record = workflows.get(name).await?;
    let (old, new) = match (other, &version) {
        (Some(other), _) if !other.starts_with('@') => {
            let file = Path::new(other);
            let new = (other.to_owned(), canonical(&workflow_file::read(file)?)?);
            (of_version(workflows, name, &record, &version).await?, new)
        }
        (Some(other), _) => {
            let newer = Version::split(other).1;
            let old = of_version(workflows, name, &record, &version).await?;
            (old, of_version(workflows, name, &record, &newer).await?)
        }
        (None, Version::Given(_)) => {
            let old = of_version(workflows, name, &record, &version).await?;
            (old, of_version(workflows, name, &record, &Version::Latest).await?)
        }
        (None, Version::Latest) => {
            let before = record.latest().saturating_sub(1);
            if before == 0 {
                return Err(Failure::not_found(format!("`{name}` has only one version"))
                    .advice(format!("to compare it with a file: darkroom workflows diff {name} FILE")));
            }
            let old = of_version(workflows, name, &record, &Version::Given(before.to_string())).await?;
            (old, of_version(workflows, name, &record, &Version::Latest).await?)
        }
    };
    let text = diff::unified((&old.0, &old.1), (&new.0, &new.1));
    match format {
        Format::Json => say_json(&json!({ "old": old.0, "new": new.0, "equal": text.is_empty(), "diff": text })),
        Format::Table if text.is_empty() => {}
        Format::Table => say(text.trim_end()),
    }
    Ok(ExitCode::from(if text.is_empty() { 0 } else { EXIT_DIFFERENT }))
}

async fn of_version<S: Store>(
    workflows: &Workflows<S>,
    name: &str,
    record: &WorkflowRecord,
    version: &Version,
) -> Result<Named, Failure> {
    let (number, push) = record.find(name, version)?;
    let definition = workflows.definition(push).await?;
    Ok((format!("{name}@{number}"), canonical(&Source::new(definition.file, definition.source))?))
}

/// What a workflow means, as text: its canonical form, one key a line.
fn canonical(source: &Source) -> Result<String, Failure> {
    let compiled = compile(source).map_err(|errors| {
        workflow_file::show(&errors, source);
        Failure::usage(format!("{} does not compile", source.name()))
    })?;
    let value: serde_json::Value = serde_json::from_str(&compiled.definition)
        .map_err(|error| Failure::other(format!("the canonical form of {} is no JSON: {error}", source.name())))?;
    Ok(format!("{value:#}"))
}
