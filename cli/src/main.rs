//! The `darkroom` command: one binary that runs workflows and looks at them.

mod commands;
mod document;
mod embedded;
mod failure;
mod folder;
mod given;
mod output;
mod progress;
mod run_name;
mod settings;
mod usage;
mod workflow_file;

use clap::{Parser, Subcommand};
use commands::{
    bench, config_show, docs, explain, list, outputs, plan, resume, run, show, validate, version, workflows,
};
use failure::Failure;
use output::Format;
use std::process::ExitCode;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Media pipelines that survive crashes: run a workflow file, and find every step where it stopped.
#[derive(Debug, Parser)]
#[command(name = "darkroom", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 ok, 1 failed, 2 usage or invalid file, 3 not found, 5 conflict, \
    6 partly failed, 130 interrupted.\n\nFirst steps:\n  darkroom run workflows/product-photo.yaml\n  \
    darkroom run workflows/web-ready.yaml -i 'images=@./photos/*.png'\n  darkroom list")]
struct Cli {
    /// How results are printed
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,

    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Validate(validate::Args),
    Plan(plan::Args),
    List(list::Args),
    Show(show::Args),
    Resume(resume::Args),
    Outputs(outputs::Args),
    Workflows(workflows::Args),
    Bench(bench::Args),
    Config(config_show::Args),
    Explain(explain::Args),
    Version(version::Args),
    #[command(hide = true)]
    Docs(docs::Args),
}

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help to stdout and mistakes to stderr by itself; a closed pipe is nobody's mistake.
            let _ = error.print();
            return ExitCode::from(if error.use_stderr() { 2 } else { 0 });
        }
    };
    log_to_stderr();
    match dispatch(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let format = cli.output;
    match cli.command {
        // These need neither state nor threads, and answer at once.
        Command::Validate(args) => return validate::run(args, format),
        Command::Workflows(args) => return workflows::run(args, format),
        Command::Config(args) => return config_show::run(args, format),
        Command::Explain(args) => return explain::run(args),
        Command::Version(args) => return version::run(args, format),
        Command::Docs(args) => return docs::run(&args),
        _ => {}
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::other(format!("the async runtime can't start: {error}")))?;
    let ended = runtime.block_on(async {
        match cli.command {
            Command::Run(args) => run::run(args, format).await,
            Command::Plan(args) => plan::run(args, format).await,
            Command::List(args) => list::run(args, format).await,
            Command::Show(args) => show::run(args, format).await,
            Command::Resume(args) => resume::run(args, format).await,
            Command::Outputs(args) => outputs::run(args, format).await,
            Command::Bench(args) => bench::run(args, format).await,
            Command::Validate(_)
            | Command::Workflows(_)
            | Command::Config(_)
            | Command::Explain(_)
            | Command::Version(_)
            | Command::Docs(_) => Ok(ExitCode::SUCCESS),
        }
    });
    // A step that is still on its thread must not keep the command from ending: its outcome is not waited for any more.
    runtime.shutdown_background();
    ended
}

/// Logs go to stderr, warnings and worse unless `RUST_LOG` says otherwise: `info`, or `darkroom_worker=debug,warn`.
fn log_to_stderr() {
    let wanted = std::env::var("RUST_LOG").ok().and_then(|text| text.parse::<Targets>().ok());
    let filter = wanted.unwrap_or_else(|| Targets::new().with_default(tracing::Level::WARN));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr);
    tracing_subscriber::registry().with(lines).with(filter).init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
