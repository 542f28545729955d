//! `darkroom signal RUN NAME JSON`

use crate::door::Records;
use crate::failure::Failure;
use crate::output::{Format, complain, say, say_json};
use crate::settings::Settings;
use crate::{order, run_name};
use darkroom_coordinator::RunCommand;
use darkroom_engine::{SIGNAL_BYTES_MAX, What};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Send an event to a run; a step that waits for it takes it, or it is kept until one does
#[derive(Debug, clap::Args)]
#[command(
    after_help = "RUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest.\n\nExamples:\n  \
    darkroom signal @latest payment '{\"order\": 7}'\n  darkroom signal shop-order payment @payment.json --key pay-7"
)]
pub(crate) struct Args {
    /// The run
    run: String,
    /// The event's name, as `wait.event` says
    name: String,
    /// Its data: JSON, or `@` and a file of it
    #[arg(default_value = "null")]
    data: String,
    /// Who sends it; not given, the user of this machine
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
    /// Sending an event twice under one key is sending it once
    #[arg(long)]
    key: Option<String>,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let data = data(&args.data)?;
    let records = Records::open(&settings).await?;
    let (id, summary) = run_name::find(&records, &args.run).await?;
    order::check_open(id, summary.status)?;
    let bytes = data.to_string().len();
    if bytes > SIGNAL_BYTES_MAX {
        return Err(Failure::usage(format!("the data has {bytes} bytes, over the limit of {SIGNAL_BYTES_MAX}"))
            .advice("send an artifact or a link instead"));
    }
    let key = args.key.map_or_else(order::new_key, |key| format!("signal/{id}/{key}"));
    let command = RunCommand::Signal { name: args.name.clone(), data, by: order::who(args.by) };
    let is_ours = |what: &What| match what {
        What::SignalKept { key: of, .. } | What::SignalTaken { key: of, .. } | What::Refused { key: of, .. } => {
            *of == key
        }
        _ => false,
    };
    match order::give(&settings, records, id, &key, &command, is_ours).await? {
        Some(What::Refused { reason, .. }) => {
            Err(Failure::usage(format!("{id} refuses the event `{}`: {reason}", args.name)))
        }
        Some(What::SignalTaken { step, .. }) => {
            tell(format, &json!({"id": id, "taken": true, "step": step}), &format!("`{step}` of {id} took the event"));
            Ok(ExitCode::SUCCESS)
        }
        Some(_) => {
            let text = format!("no step of {id} waits for the event yet; it is kept");
            tell(format, &json!({"id": id, "taken": false, "step": null}), &text);
            Ok(ExitCode::SUCCESS)
        }
        None => {
            complain(order::not_answered(id).message());
            complain("an event that was sent before under this key is not sent again");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn tell(format: Format, document: &Value, text: &str) {
    match format {
        Format::Json => say_json(document),
        Format::Table => say(text),
    }
}

fn data(text: &str) -> Result<Value, Failure> {
    let (text, place) = match text.strip_prefix('@') {
        Some(path) => {
            let read = std::fs::read_to_string(path).map_err(|error| Failure::usage(format!("{path}: {error}")))?;
            (read, path.to_owned())
        }
        None => (text.to_owned(), "the data".to_owned()),
    };
    serde_json::from_str(&text).map_err(|error| {
        Failure::usage(format!("{place} is no JSON: {error}")).advice("text needs quotes: '\"text\"'; or give @file")
    })
}
