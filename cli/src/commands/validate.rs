//! `darkroom validate FILE…`

use crate::children;
use crate::failure::{EXIT_USAGE, Failure};
use crate::output::{Format, complain, say, say_json};
use crate::settings::Settings;
use crate::{named, tasks, workflow_file};
use darkroom_engine::{Diagnostic, compile, compile_with, summary};
use std::path::PathBuf;
use std::process::ExitCode;

/// Check workflow files: everything that can be known before they run
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  darkroom validate workflows/*.yaml")]
pub(crate) struct Args {
    /// The files, or names of workflows
    #[arg(required = true)]
    files: Vec<PathBuf>,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let mut all: Vec<Diagnostic> = Vec::new();
    let mut unreadable = 0;
    for path in &args.files {
        let source = match path.to_str().filter(|_| !named::is_path(path)) {
            Some(name) => named::look_up(name, &Settings::load()?).await.map(|found| found.source),
            None => workflow_file::read(path),
        };
        let source = match source {
            Ok(source) => source,
            Err(failure) => {
                unreadable += 1;
                failure.report();
                continue;
            }
        };
        let compiled = match compile(&source) {
            Ok(compiled) if !compiled.plan.children().is_empty() => {
                let folder = if named::is_path(path) { path.parent() } else { None };
                match children::gather(&compiled.plan, folder, &Settings::load()?).await {
                    Ok((_, library)) => compile_with(&source, &library),
                    Err(failure) => {
                        unreadable += 1;
                        failure.report();
                        continue;
                    }
                }
            }
            compiled => compiled,
        };
        let found = match compiled {
            Ok(compiled) => {
                workflow_file::warn_of_missing(&compiled.about, path);
                if let (Format::Table, Ok(settings)) = (format, Settings::load()) {
                    tasks::note(&compiled.plan, &settings);
                }
                compiled.warnings
            }
            Err(diagnostics) => diagnostics,
        };
        if format == Format::Table {
            workflow_file::show(&found, &source);
            if !found.iter().any(Diagnostic::is_error) {
                say(&format!("{}: ok", path.display()));
            }
        }
        all.extend(found);
    }
    let errors = all.iter().filter(|diagnostic| diagnostic.is_error()).count() + unreadable;
    if format == Format::Json {
        let warnings = all.iter().filter(|diagnostic| !diagnostic.is_error()).count();
        say_json(&serde_json::json!({ "errors": errors, "warnings": warnings, "diagnostics": all }));
    } else if !all.is_empty() {
        complain(&summary(&all, args.files.len()));
    }
    Ok(ExitCode::from(if errors > 0 { EXIT_USAGE } else { 0 }))
}
