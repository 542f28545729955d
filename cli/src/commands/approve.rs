//! `darkroom approve RUN[/STEP]` and `darkroom reject RUN[/STEP]`

use crate::door::Records;
use crate::failure::Failure;
use crate::output::{Format, say, say_json};
use crate::settings::Settings;
use crate::{order, run_name};
use darkroom_coordinator::{RunCommand, Stored};
use darkroom_engine::{Approval, Decision, What, answers, awaiting};
use darkroom_proto::{Map, RunId, StepPath};
use serde_json::Value;
use std::process::ExitCode;

/// Approve what a run waits for a person for
#[derive(Debug, clap::Args)]
#[command(after_help = "`darkroom approvals list` shows what waits. RUN is an id, 4 or more characters of it, a \
    workflow (its newest run), or @latest; STEP is needed where several steps wait.\n\nExamples:\n  \
    darkroom approve @latest\n  darkroom approve 5f2a9c1d/review --answer caption='Our mug' --choose 2")]
pub(crate) struct Args {
    #[command(flatten)]
    what: Common,
    /// Which of the pictures, from 1
    #[arg(long, value_name = "N")]
    choose: Option<u32>,
}

/// Reject what a run waits for a person for
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  darkroom reject @latest --note 'the logo is missing'")]
pub(crate) struct RejectArgs {
    #[command(flatten)]
    what: Common,
}

#[derive(Debug, clap::Args)]
struct Common {
    /// The run, and the step if several wait
    #[arg(value_name = "RUN[/STEP]")]
    run: String,
    /// A field of the form; may be given several times
    #[arg(long = "answer", value_name = "NAME=VALUE", value_parser = pair)]
    answers: Vec<(String, String)>,
    /// What you want to say about it
    #[arg(long, default_value = "", hide_default_value = true)]
    note: String,
    /// Who decides; not given, the user of this machine
    #[arg(long, value_name = "WHO")]
    by: Option<String>,
}

fn pair(text: &str) -> Result<(String, String), String> {
    let pair = text.split_once('=').filter(|(name, _)| !name.trim().is_empty());
    pair.map(|(name, value)| (name.trim().to_owned(), value.to_owned())).ok_or_else(|| "expected NAME=VALUE".to_owned())
}

pub(crate) async fn approve(args: Args, format: Format) -> Result<ExitCode, Failure> {
    decide(args.what, true, args.choose, format).await
}

pub(crate) async fn reject(args: RejectArgs, format: Format) -> Result<ExitCode, Failure> {
    decide(args.what, false, None, format).await
}

async fn decide(args: Common, approved: bool, choice: Option<u32>, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let records = Records::open(&settings).await?;
    let (run, step) = match args.run.split_once('/') {
        Some((run, step)) => (run, Some(step)),
        None => (args.run.as_str(), None),
    };
    let (id, summary) = run_name::find(&records, run).await?;
    order::check_open(id, summary.status)?;
    let stored = records.stored(id).await?;
    let (step, approval) = meant(&stored, step)?;
    let key = order::new_key();
    let decision = Decision {
        key: String::new(),
        step: Some(step.clone()),
        approved,
        answers: read(approval, &args.answers),
        choice,
        by: order::who(args.by),
        note: args.note,
    };
    answers(approval, &decision).map_err(|reason| {
        Failure::usage(format!("`{step}` of {id}: {reason}"))
            .advice(format!("what is asked: darkroom approvals list, or darkroom show {} --step {step}", id.short()))
    })?;
    let command = RunCommand::Decide(decision);
    let is_ours = |what: &What| match what {
        What::StepDecided { key: of, .. } | What::Refused { key: of, .. } => *of == key,
        _ => false,
    };
    match order::give(&settings, records, id, &key, &command, is_ours).await? {
        Some(What::StepDecided { step, decision, by, .. }) => {
            match format {
                Format::Json => say_json(&serde_json::json!({"id": id, "step": step, "decision": decision, "by": by})),
                Format::Table => say(&format!("`{step}` of {id} {decision} by {by}")),
            }
            Ok(ExitCode::SUCCESS)
        }
        Some(What::Refused { reason, .. }) => Err(Failure::conflict(format!("{id}: {reason}"))),
        _ => Err(order::not_answered(id)),
    }
}

/// The step that a person means, and what it asks.
fn meant<'a>(stored: &'a Stored, step: Option<&str>) -> Result<(StepPath, &'a Approval), Failure> {
    let Stored { run, plan } = stored;
    let id: RunId = run.id;
    let waiting: Vec<_> = awaiting(run).collect();
    let names = || waiting.iter().map(|(path, ..)| path.to_string()).collect::<Vec<_>>().join(", ");
    let none = || match waiting.is_empty() {
        true => "nothing of it waits for a person".to_owned(),
        false => format!("what waits: {}", names()),
    };
    let Some(step) = step else {
        return match waiting.as_slice() {
            [(path, _, approval)] => Ok(((*path).clone(), approval)),
            [] => Err(Failure::conflict(format!("no step of {id} waits for a person"))
                .advice("`darkroom approvals list` shows what waits")),
            _ => Err(Failure::usage(format!("several steps of {id} wait for a person")).advice(format!(
                "name one: darkroom approve {}/STEP; {}",
                id.short(),
                none()
            ))),
        };
    };
    if let Some((path, _, approval)) = waiting.iter().find(|(path, ..)| path.as_str() == step) {
        return Ok(((*path).clone(), approval));
    }
    match step.parse::<StepPath>() {
        Ok(path) if plan.has(&path) => {
            let status = run.status_of(&path);
            Err(Failure::conflict(format!("`{step}` of {id} does not wait for a person: it is {status}"))
                .advice(none()))
        }
        _ => Err(Failure::not_found(format!("{id} has no step `{step}`")).advice(none())),
    }
}

/// Answers as the form's types say: text is text, anything else is JSON. What is no JSON stays text, and is refused as such.
fn read(approval: &Approval, given: &[(String, String)]) -> Map {
    let value = |name: &str, text: &str| {
        let ty = approval.ask.get(name).and_then(|field| field.get("type"));
        match ty.and_then(Value::as_str) {
            Some("string") | None => Value::String(text.to_owned()),
            Some(_) => serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned())),
        }
    };
    given.iter().map(|(name, text)| (name.clone(), value(name, text))).collect()
}
