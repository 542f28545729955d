//! `darkroom pause RUN`

use crate::door::Records;
use crate::failure::Failure;
use crate::output::{Format, complain};
use crate::settings::Settings;
use crate::{order, run_name};
use darkroom_coordinator::RunCommand;
use darkroom_engine::What;
use darkroom_proto::RunStatus;
use std::process::ExitCode;

/// Send nothing new for a run until it is resumed; what is under way is let end
#[derive(Debug, clap::Args)]
#[command(after_help = "Time-outs that come meanwhile count when the run goes on: darkroom resume RUN.\n\n\
    RUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest.\n\nExamples:\n  \
    darkroom pause @latest --reason 'the prices are being looked at'")]
pub(crate) struct Args {
    /// The run
    run: String,
    /// Why, for whoever looks at it later
    #[arg(long, default_value = "paused on the command line")]
    reason: String,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    super::cancel::check_reason(&args.reason)?;
    let records = Records::open(&settings).await?;
    let (id, summary) = run_name::find(&records, &args.run).await?;
    order::check_open(id, summary.status)?;
    if summary.status == RunStatus::Paused {
        return Err(Failure::conflict(format!("{id} is paused already")));
    }
    let command = RunCommand::Pause { reason: args.reason };
    let key = format!("pause/{id}/{}", summary.updated_at.0);
    let is_answer = |what: &What| {
        matches!(
            what,
            What::RunPaused { .. } | What::RunCompleted { .. } | What::RunFailed { .. } | What::RunCancelled { .. }
        )
    };
    match order::give(&settings, records, id, &key, &command, is_answer).await? {
        Some(What::RunPaused { .. }) => {
            order::say_as(id, RunStatus::Paused, format);
            complain(&format!("what is under way is let end; to go on: darkroom resume {}", id.short()));
            Ok(ExitCode::SUCCESS)
        }
        Some(_) => Err(Failure::conflict(format!("{id} ended just now"))),
        None => Err(order::not_answered(id)),
    }
}
