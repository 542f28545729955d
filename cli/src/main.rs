//! The `darkroom` command: one binary that runs workflows and looks at them.

mod accounts;
mod api;
mod asked;
mod catalogue;
mod children;
mod commands;
mod conclusion;
mod declared;
mod delivery;
mod document;
mod door;
mod embedded;
mod environment;
mod failure;
mod fleet;
mod folder;
mod given;
mod handing;
mod interrupt;
mod links;
mod log;
mod masked;
mod metric;
mod models_file;
mod named;
mod notices;
mod offer;
mod order;
mod output;
mod progress;
mod role;
mod run_name;
mod settings;
mod submissions;
mod tasks;
mod trail;
mod usage;
mod workflow_file;

use clap::{Parser, Subcommand};
use commands::{
    approvals, approve, bench, cache, cancel, config_show, coordinator, cost, docs, explain, keys, list, outputs,
    pause, plan, providers, rerun, resume, run, schedules, setup, show, signal, simulator, submit, tail, terminate,
    test, validate, version, worker, workflows,
};
use failure::Failure;
use output::Format;
use std::process::ExitCode;

/// Media pipelines that survive crashes: run a workflow file, and find every step where it stopped.
#[derive(Debug, Parser)]
#[command(name = "darkroom", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 ok, 1 failed, 2 usage or invalid file, 3 not found, 5 conflict, \
    6 partly failed, 7 not ended in time, 69 broker or store unreachable, 130 interrupted.\n\nFirst steps:\n  darkroom run workflows/product-photo.yaml\n  \
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
    Test(test::Args),
    List(list::Args),
    Show(show::Args),
    Tail(tail::Args),
    Resume(resume::Args),
    Rerun(rerun::Args),
    Fork(rerun::ForkArgs),
    Cache(cache::Args),
    Cancel(cancel::Args),
    Terminate(terminate::Args),
    Pause(pause::Args),
    Signal(signal::Args),
    Approve(approve::Args),
    Reject(approve::RejectArgs),
    Approvals(approvals::Args),
    Outputs(outputs::Args),
    Submit(submit::Args),
    Setup(setup::Args),
    Coordinator(coordinator::Args),
    Worker(worker::Args),
    Simulator(simulator::Args),
    Workflows(workflows::Args),
    Schedules(schedules::Args),
    Keys(keys::Args),
    Providers(providers::Args),
    Cost(cost::Args),
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
    // Roles log as their settings say, which are not read yet.
    if !matches!(cli.command, Command::Coordinator(_) | Command::Worker(_)) {
        log::of_command();
    }
    match dispatch(cli) {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    let format = cli.output;
    let brings_models = matches!(&cli.command, Command::Bench(args) if args.brings_models());
    if !brings_models && !matches!(cli.command, Command::Version(_) | Command::Config(_)) {
        models_file::register()?;
    }
    match cli.command {
        // These need neither state nor threads, and answer at once.
        Command::Test(args) => return test::run(&args, format),
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
            Command::Rerun(args) => rerun::rerun(args, format).await,
            Command::Fork(args) => rerun::fork(args, format).await,
            Command::Cache(args) => cache::run(args, format).await,
            Command::Show(args) => show::run(args, format).await,
            Command::Resume(args) => resume::run(args, format).await,
            Command::Outputs(args) => outputs::run(args, format).await,
            Command::Tail(args) => tail::run(args, format).await,
            Command::Cancel(args) => cancel::run(args, format).await,
            Command::Terminate(args) => terminate::run(args, format).await,
            Command::Pause(args) => pause::run(args, format).await,
            Command::Signal(args) => signal::run(args, format).await,
            Command::Approve(args) => approve::approve(args, format).await,
            Command::Reject(args) => approve::reject(args, format).await,
            Command::Approvals(args) => approvals::run(args, format).await,
            Command::Submit(args) => submit::run(args, format).await,
            Command::Setup(args) => setup::run(args, format).await,
            Command::Coordinator(args) => coordinator::run(args).await,
            Command::Worker(args) => worker::run(args).await,
            Command::Providers(args) => providers::run(&args, format).await,
            Command::Cost(args) => cost::run(args, format).await,
            Command::Schedules(args) => schedules::run(args, format).await,
            Command::Keys(args) => keys::run(args, format).await,
            Command::Simulator(args) => simulator::run(args, format).await,
            Command::Bench(args) => bench::run(args, format).await,
            Command::Workflows(args) => workflows::run(args, format).await,
            Command::Validate(args) => validate::run(args, format).await,
            Command::Test(_) | Command::Config(_) | Command::Explain(_) | Command::Version(_) | Command::Docs(_) => {
                Ok(ExitCode::SUCCESS)
            }
        }
    });
    // A step that is still on its thread must not keep the command from ending: its outcome is not waited for any more.
    runtime.shutdown_background();
    ended
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
