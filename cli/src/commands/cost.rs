//! `darkroom cost`

use crate::failure::Failure;
use crate::fleet::FleetStore;
use crate::output::{Format, say, say_json, table};
use crate::settings::Settings;
use crate::{folder, run_name};
use darkroom_backend::{Call, Ledger, Spent};
use darkroom_proto::{Money, RunId};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Show what was spent: by day, or for one run by call
#[derive(Debug, clap::Args)]
#[command(
    after_help = "RUN is an id, 4 or more characters of it, a workflow (its newest run), or @latest. Days are those \
    of UTC. What may have been paid twice is marked.\n\nExamples:\n  darkroom cost\n  darkroom cost --days 30 --by model\n  \
    darkroom cost @latest"
)]
pub(crate) struct Args {
    /// The calls of this run, instead of days
    run: Option<String>,
    /// How many days, today included
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=400))]
    days: u32,
    /// What is added up
    #[arg(long, value_enum, default_value_t = By::Total)]
    by: By,
}

/// What spending is added up by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum By {
    /// Everything
    Total,
    /// The workflow
    Workflow,
    /// The model
    Model,
    /// The provider
    Provider,
}

impl By {
    /// The name of a purse that is meant, without its kind.
    fn name(self, purse: &str) -> Option<&str> {
        match self {
            By::Total => (purse == "total").then_some("total"),
            By::Workflow => purse.strip_prefix("workflow/"),
            By::Model => purse.strip_prefix("model/"),
            By::Provider => purse.strip_prefix("provider/"),
        }
    }
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    match &args.run {
        Some(name) => {
            let run = {
                // Of a folder the records are its owner: they are let go before its ledger is opened.
                let records = crate::door::Records::open(&settings).await?;
                run_name::find(&records, name).await?.0
            };
            let calls = match settings.fleet()? {
                Some(place) => {
                    let fleet = FleetStore::open(&place).await?;
                    fleet.store.calls(run).await.map_err(|error| fleet.failed(error))?
                }
                None => folder::store(&folder::state()).await?.calls(run).await?,
            };
            print_calls(run, &calls, format);
        }
        None => {
            let spent = match settings.fleet()? {
                Some(place) => {
                    let fleet = FleetStore::open(&place).await?;
                    fleet.store.spent(args.days).await.map_err(|error| fleet.failed(error))?
                }
                None if !folder::state().join("state.redb").exists() => Vec::new(),
                None => folder::store(&folder::state()).await?.spent(args.days).await?,
            };
            print_days(&spent, args.by, format);
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn print_days(spent: &[Spent], by: By, format: Format) {
    let rows: Vec<(&Spent, &str)> = spent.iter().filter_map(|spent| Some((spent, by.name(&spent.purse)?))).collect();
    let total: Money = rows.iter().map(|(spent, _)| spent.amount).sum();
    if format == Format::Json {
        let row = |(spent, name): &(&Spent, &str)| json!({"day": spent.day, "by": name, "cost": spent.amount.usd(), "calls": spent.calls});
        let data: Vec<Value> = rows.iter().map(row).collect();
        return say_json(&json!({"data": data, "total": total.usd(), "next_cursor": null}));
    }
    if rows.is_empty() {
        return say("nothing was spent");
    }
    let cells = |(spent, name): &(&Spent, &str)| {
        vec![spent.day.clone(), (*name).to_owned(), spent.calls.to_string(), spent.amount.to_string()]
    };
    let rows: Vec<Vec<String>> = rows.iter().map(cells).collect();
    say(&table(&["DAY", "BY", "CALLS", "COST"], &rows));
    say(&format!("together {total}"));
}

fn print_calls(run: RunId, calls: &[Call], format: Format) {
    let total: Money = calls.iter().map(|call| call.cost).sum();
    let doubtful = calls.iter().filter(|call| call.possible_duplicate).count();
    if format == Format::Json {
        let document = |call: &Call| {
            json!({
                "id": call.id,
                "step": call.step,
                "generation": call.generation,
                "attempt": call.attempt,
                "model": call.model,
                "provider": call.provider,
                "endpoint": call.endpoint,
                "key": call.key,
                "state": call.state,
                "job": call.handle.as_ref().and_then(|handle| handle.get("id")),
                "estimated": call.price.usd(),
                "cost": call.cost.usd(),
                "possible_duplicate": call.possible_duplicate,
                "at": call.at.to_string(),
                "error": call.error.as_ref().map(|error| json!({"class": error.class, "code": error.code, "message": error.message})),
            })
        };
        let data: Vec<Value> = calls.iter().map(document).collect();
        return say_json(&json!({
            "run": run.to_string(), "data": data, "total": total.usd(), "possible_duplicates": doubtful, "next_cursor": null,
        }));
    }
    if calls.is_empty() {
        return say(&format!("{} made no paid call", run.short()));
    }
    let cells = |call: &Call| {
        let state = serde_json::to_value(call.state).ok().and_then(|state| state.as_str().map(str::to_owned));
        let doubt = if call.possible_duplicate { "perhaps paid twice" } else { "" };
        let why = call.error.as_ref().map_or_else(String::new, |error| error.message.clone());
        let note = if doubt.is_empty() { why } else { doubt.to_owned() };
        vec![
            call.step.to_string(),
            call.model.clone(),
            call.provider.clone(),
            state.unwrap_or_default(),
            call.cost.to_string(),
            note,
        ]
    };
    let rows: Vec<Vec<String>> = calls.iter().map(cells).collect();
    say(&table(&["STEP", "MODEL", "PROVIDER", "CALL", "COST", "NOTE"], &rows));
    let doubt = if doubtful > 0 { format!(", {doubtful} perhaps paid twice") } else { String::new() };
    say(&format!("together {total}{doubt}"));
}
