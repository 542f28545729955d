//! `darkroom version`

use crate::failure::Failure;
use crate::output::{Format, say, say_json};
use std::process::ExitCode;

/// Print the version
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_: Args, format: Format) -> Result<ExitCode, Failure> {
    let version = env!("CARGO_PKG_VERSION");
    match format {
        Format::Table => say(&format!("darkroom {version}")),
        Format::Json => say_json(&serde_json::json!({ "version": version })),
    }
    Ok(ExitCode::SUCCESS)
}
