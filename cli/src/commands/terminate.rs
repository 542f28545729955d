//! `darkroom terminate RUN`

use crate::door::Records;
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::output::Format;
use crate::settings::Settings;
use crate::{order, run_name};
use darkroom_backend::{Ledger as _, Store as _};
use darkroom_coordinator::RunCommand;
use darkroom_engine::What;
use darkroom_proto::RunId;
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// End a run at once: nothing is waited for and nothing is undone
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Jobs that providers have are cancelled there; what they cost is booked. `darkroom cancel` waits for \
    what is under way instead.\n\nRUN is an id, 4 or more characters of it, a workflow (its newest run), or \
    @latest.\n\nExamples:\n  darkroom terminate @latest --reason 'wrong account'"
)]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Why, for whoever looks at it later
    #[arg(long, default_value = "terminated on the command line")]
    reason: String,
}

/// How long it is waited for providers to confirm that their jobs are cancelled.
const CONFIRMED: Duration = Duration::from_secs(30);

/// How often it is looked meanwhile.
const LOOK: Duration = Duration::from_millis(50);

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    super::cancel::check_reason(&args.reason)?;
    let records = Records::open(&settings).await?;
    let (id, summary) = run_name::find(&records, &args.run).await?;
    order::check_open(id, summary.status)?;
    let command = RunCommand::Terminate { reason: args.reason };
    let key = format!("terminate/{id}/{}", summary.updated_at.0);
    if matches!(&records, Records::Folder(reader) if !reader.is_guest()) {
        drop(records);
        alone(&settings, id, &key, &command).await?;
        return order::say_status(&settings, id, format).await;
    }
    let is_answer =
        |what: &What| matches!(what, What::RunCompleted { .. } | What::RunFailed { .. } | What::RunCancelled { .. });
    match order::give(&settings, records, id, &key, &command, is_answer).await? {
        Some(_) => order::say_status(&settings, id, format).await,
        None => Err(order::not_answered(id)),
    }
}

/// Nobody works here: this process does, until the providers have cancelled what they had.
async fn alone(settings: &Settings, id: RunId, key: &str, command: &RunCommand) -> Result<(), Failure> {
    let engine = Embedded::open(settings).await?;
    // Before anything runs: it meets the run in the same batch as the steps that were under way.
    engine.store.flag_cancelled(id).await?;
    let posted = darkroom_backend::Command { key: key.to_owned(), run: id, body: command.encode() };
    engine.store.post(&posted).await?;
    let running = engine.start(Some(BTreeSet::from([id])));
    let give_up = Instant::now() + CONFIRMED;
    while Instant::now() < give_up {
        let ended = engine.store.load(id).await?.is_none_or(|stored| stored.summary.status.is_terminal());
        if ended && !engine.store.calls(id).await?.iter().any(|call| call.state.is_open()) {
            break;
        }
        tokio::time::sleep(LOOK).await;
    }
    running.stop().await
}
