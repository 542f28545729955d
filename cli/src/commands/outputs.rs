//! `darkroom outputs RUN --out DIR`

use crate::delivery::{all_files, deliver, saved_by_children};
use crate::document::say_document;
use crate::door::Records;
use crate::failure::Failure;
use crate::output::{Format, say};
use crate::settings::Settings;
use crate::{folder, run_name};
use darkroom_proto::Saved;
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
    let records = Records::open(&settings).await?;
    let (id, _) = run_name::find(&records, &args.run).await?;
    let stored = records.stored(id).await?;
    let mut files = all_files(&stored.run);
    files.extend(saved_by_children(&records, &stored.run).await?);
    // Copying takes a while, and the state of a folder is needed by whoever wants to run something.
    drop(records);
    let artifacts = folder::artifacts(&settings)?;
    let out =
        std::path::absolute(&args.out).map_err(|error| Failure::usage(format!("{}: {error}", args.out.display())))?;
    if files.is_empty() {
        return Err(Failure::not_found(format!("{id} has no files yet")).advice("`darkroom show` tells how far it is"));
    }
    deliver(&files, &out, &artifacts)?;
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
