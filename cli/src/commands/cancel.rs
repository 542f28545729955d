//! `darkroom cancel RUN`

use crate::door::Records;
use crate::embedded::Embedded;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::handing;
use crate::interrupt::Interrupt;
use crate::output::{Format, complain, say, say_json};
use crate::settings::Settings;
use crate::{folder, run_name};
use darkroom_backend::{Command, Ledger as _, Reader, Store as _};
use darkroom_coordinator::RunCommand;
use darkroom_proto::{RunId, RunStatus};
use std::collections::BTreeSet;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// End a run; what is done stays done
#[derive(Debug, clap::Args)]
#[command(after_help = "Nothing further begins; steps that a worker is at are waited for. A cancelled run can be \
    resumed.\n\nRUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest.\n\nExamples:\n  \
    darkroom cancel @latest\n  darkroom cancel 5f2a9c1d --reason 'wrong logo'")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Why, for whoever looks at it later
    #[arg(long, default_value = "cancelled on the command line")]
    reason: String,
}

/// How long it is watched whether the run ends: most do at once.
const WATCHED: Duration = Duration::from_secs(3);

/// How often it is looked meanwhile.
const LOOK: Duration = Duration::from_millis(50);

/// How long a reason may be.
const REASON_BYTES_MAX: usize = 1_000;

/// Refuses a reason that is too long to be kept.
pub(crate) fn check_reason(reason: &str) -> Result<(), Failure> {
    match reason.len() > REASON_BYTES_MAX {
        true => Err(Failure::usage(format!("the reason is over {REASON_BYTES_MAX} bytes"))),
        false => Ok(()),
    }
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    check_reason(&args.reason)?;
    let records = Records::open(&settings).await?;
    let (id, summary) = run_name::find(&records, &args.run).await?;
    if summary.status.is_terminal() {
        return Err(Failure::conflict(format!("{id} is {} already", summary.status)));
    }
    let command = RunCommand::Cancel { reason: args.reason };
    let key = format!("cancel/{id}/{}", summary.updated_at.0);
    let status = match records {
        Records::Fleet(_) => {
            let fleet = Fleet::open(&settings.fleet_for("cancel")?, folder::artifacts(&settings)?).await?;
            fleet.desk().command(id, &key, &command).await.map_err(|error| handing::failed(&fleet, error))?;
            let records = Records::Fleet(fleet.store.clone());
            let status = status_soon(&records, id).await;
            fleet.close().await;
            status?
        }
        Records::Folder(reader) if reader.is_guest() => {
            reader.post(&Command { key, run: id, body: command.encode() }).await?;
            status_soon(&Records::Folder(reader), id).await?
        }
        Records::Folder(reader) => alone(reader, &settings, Command { key, run: id, body: command.encode() }).await?,
    };
    match format {
        Format::Json => say_json(&serde_json::json!({ "id": id, "status": status })),
        Format::Table => say(&format!("{id} {status}")),
    }
    if !status.is_terminal() {
        complain("it ends when the steps that are under way have ended");
    }
    Ok(ExitCode::SUCCESS)
}

/// The status of the run when it has ended, or where it stands a moment later.
async fn status_soon(records: &Records, id: RunId) -> Result<RunStatus, Failure> {
    let give_up = Instant::now() + WATCHED;
    loop {
        let stored = records.load(id).await?.ok_or_else(|| Failure::not_found(format!("there is no run {id}")))?;
        let status = stored.summary.status;
        if status.is_terminal() || Instant::now() > give_up {
            return Ok(status);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Nobody works here: this process does, until the run has ended.
async fn alone(reader: Reader, settings: &Settings, command: Command) -> Result<RunStatus, Failure> {
    drop(reader);
    let id = command.run;
    let engine = Embedded::open(settings).await?;
    // Before anything runs: it meets the run in the same batch as the steps that were under way, and nothing else begins.
    engine.store.flag_cancelled(id).await?;
    engine.store.post(&command).await?;
    let mut interrupt = Interrupt::listen()?;
    let mut running = engine.start(Some(BTreeSet::from([id])));
    let status = loop {
        let stored = engine.store.load(id).await?.ok_or_else(|| Failure::not_found(format!("there is no run {id}")))?;
        if stored.summary.status.is_terminal() {
            break stored.summary.status;
        }
        tokio::select! {
            heard = running.hear() => drop(heard?),
            () = tokio::time::sleep(LOOK) => {}
            _ = interrupt.pressed() => break stored.summary.status,
        }
    };
    running.stop().await?;
    Ok(status)
}
