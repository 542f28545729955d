//! `darkroom outputs RUN --out DIR`

use crate::commands::show::stored;
use crate::document::say_document;
use crate::failure::Failure;
use crate::output::{Format, say};
use crate::settings::Settings;
use crate::{folder, run_name};
use darkroom_engine::Run;
use darkroom_proto::{Artifact, SaveTarget, Saved};
use darkroom_worker::ops::place;
use darkroom_worker::{Routes, Workbench};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::ExitCode;

/// Copy a run's saved files and outputs into a folder
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  darkroom outputs @latest --out ./delivery")]
pub(crate) struct Args {
    /// The run: an id, 4 or more characters of it, a workflow, or @latest
    run: String,
    /// The folder to copy into; it is made if it is not there
    #[arg(long)]
    out: PathBuf,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let reader = folder::reader().await?;
    let (id, _) = run_name::find(&reader, &args.run).await?;
    let stored = stored(&reader, id).await?;
    let artifacts = folder::artifacts(&settings)?;
    let out =
        std::path::absolute(&args.out).map_err(|error| Failure::usage(format!("{}: {error}", args.out.display())))?;
    let files = files(&stored.run);
    if files.is_empty() {
        return Err(Failure::not_found(format!("{id} has no files yet")).advice("`darkroom show` tells how far it is"));
    }
    let workbench = Workbench::new(artifacts, &folder::state(), Routes { has_provider_key: false });
    for (path, artifact) in &files {
        let target = SaveTarget { path: path.clone(), out: Some(out.display().to_string()) };
        place(artifact, &target, &workbench.context()).map_err(|error| {
            Failure::other(format!("{path} can't be written: {}", error.message)).advice(error.advice)
        })?;
    }
    match format {
        Format::Json => {
            let rows: Vec<Saved> = files.into_iter().map(|(path, artifact)| Saved { path, artifact }).collect();
            say_document(&rows, &settings)?;
        }
        Format::Table => {
            for (path, artifact) in &files {
                say(&format!("{}  {} bytes", out.join(path).display(), artifact.bytes));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// The files of a run by the path that they were saved to; and its outputs that were not saved, by their name.
fn files(run: &Run) -> BTreeMap<String, Artifact> {
    let saved = run.steps.values().filter_map(|step| step.saved.clone());
    let mut files: BTreeMap<String, Artifact> = saved.map(|saved| (saved.path, saved.artifact)).collect();
    for (name, value) in &run.head.outputs {
        if let Some(artifact) = Artifact::from_value(value)
            && !files.values().any(|file| file.sha256 == artifact.sha256)
        {
            files.insert(format!("{name}.{}", artifact.ext()), artifact);
        }
    }
    files
}
