//! How a run ended: its files, its counts, its error, and what to do next.

use crate::document::say_document;
use crate::failure::{EXIT_FAILED, EXIT_PARTLY_FAILED, Failure};
use crate::output::{Format, complain, say, span};
use crate::settings::Settings;
use darkroom_coordinator::Stored;
use darkroom_engine::run_document;
use darkroom_proto::{Money, RunStatus, Saved, StepStatus, Timestamp};
use std::path::Path;
use std::process::ExitCode;

/// Prints how a run ended. Its files are shown under `out`; `None`: as the workflow names them.
pub(crate) fn conclude(
    stored: &Stored,
    began: Timestamp,
    out: Option<&Path>,
    settings: &Settings,
    format: Format,
) -> Result<ExitCode, Failure> {
    let Stored { run, plan } = stored;
    let id = run.id;
    if format == Format::Json {
        say_document(&run_document(plan, run), settings)?;
    } else {
        let mut files: Vec<&Saved> = run.steps.values().filter_map(|step| step.saved.as_ref()).collect();
        files.sort_by(|a, b| natord::compare(&a.path, &b.path));
        files.dedup();
        for saved in files.iter().take(FILES_SHOWN) {
            let size = match (saved.artifact.width, saved.artifact.height) {
                (Some(width), Some(height)) => format!("{width}×{height}, "),
                _ => String::new(),
            };
            say(&format!(
                "saved {}  ({size}{} kB)",
                shown_path(out, &saved.path),
                saved.artifact.bytes.div_ceil(1_000)
            ));
        }
        if files.len() > FILES_SHOWN {
            say(&format!("… and {} more files: darkroom outputs {} --out DIR", files.len() - FILES_SHOWN, id.short()));
        }
    }
    let statistics = Statistics::of(stored);
    let took = run.head.finished_at.unwrap_or(run.head.updated_at).since(began);
    let spent = match run.head.spent {
        Money::ZERO => String::new(),
        spent => format!(" · {spent}"),
    };
    let line = format!(
        "completed {} · skipped {} · failed {} · {}{spent} · {} {id}",
        statistics.completed,
        statistics.skipped,
        statistics.failed,
        span(took),
        run.head.status,
    );
    match format {
        Format::Table => say(&line),
        Format::Json => complain(&line),
    }
    if run.head.possible_duplicates > 0 {
        complain(&format!(
            "{} of its calls may have been paid twice: darkroom show {}",
            run.head.possible_duplicates,
            id.short()
        ));
    }
    if let Some(failure) = &run.head.failure {
        complain("");
        let attempts = run.step(&failure.path).map_or(1, |step| step.attempt);
        let after = if attempts > 1 { format!(" after {attempts} attempts") } else { String::new() };
        complain(&format!("error: step {} `{}` failed{after}: {}", failure.number, failure.path, failure.error));
        if !failure.error.advice.is_empty() {
            complain(&format!("  help: {}", failure.error.advice));
        }
        complain(&format!("  resume: darkroom resume {}", id.short()));
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    if run.head.status == RunStatus::Cancelled {
        return Ok(ExitCode::from(EXIT_FAILED));
    }
    if run.head.tolerated > 0 {
        complain(&format!(
            "{} failed and were tolerated; try them again: darkroom resume {}",
            run.head.tolerated,
            id.short()
        ));
        return Ok(ExitCode::from(EXIT_PARTLY_FAILED));
    }
    Ok(ExitCode::SUCCESS)
}

/// How many saved files are listed.
const FILES_SHOWN: usize = 20;

/// The path of a saved file as somebody in the current folder would write it.
fn shown_path(out: Option<&Path>, path: &str) -> String {
    let Some(out) = out else { return path.to_owned() };
    let full = out.join(path);
    match std::env::current_dir().ok().and_then(|here| full.strip_prefix(here).ok().map(Path::to_path_buf)) {
        Some(relative) => format!("./{}", relative.display()),
        None => full.display().to_string(),
    }
}

/// How many items and single steps ended how.
struct Statistics {
    completed: u32,
    skipped: u32,
    failed: u32,
}

impl Statistics {
    fn of(stored: &Stored) -> Statistics {
        let mut statistics = Statistics { completed: 0, skipped: 0, failed: 0 };
        for node in &stored.plan.top.nodes {
            let path = darkroom_proto::StepPath::top(&stored.plan.node(*node).id);
            let Some(step) = stored.run.step(&path) else { continue };
            match &step.fan {
                Some(fan) => {
                    statistics.completed += fan.completed;
                    statistics.skipped += fan.skipped;
                    statistics.failed += fan.failed;
                }
                None => match step.state.status() {
                    StepStatus::Completed => statistics.completed += 1,
                    StepStatus::Skipped | StepStatus::Cached => statistics.skipped += 1,
                    StepStatus::Failed => statistics.failed += 1,
                    _ => {}
                },
            }
        }
        statistics
    }
}
