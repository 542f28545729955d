//! `darkroom providers …`

use crate::failure::Failure;
use crate::output::{Format, complain, say, say_json, table};
use crate::settings::Settings;
use darkroom_backend::Clock;
use darkroom_proto::model::{self, Model, Price, Route};
use darkroom_provider::{Adapter, adapters};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Who makes pictures, films and sounds: the providers, and their models
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  darkroom providers list\n  darkroom providers models\n  \
    darkroom providers models video.generate\n  DARKROOM__PROVIDERS__FAL__KEYS=… darkroom providers list")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the providers: whether they have keys, where they are, what they can do
    List,
    /// List the models: who offers them, what they cost, until when
    Models {
        /// Only models of this op, such as `image.edit`
        op: Option<String>,
    },
}

pub(crate) fn run(args: &Args, format: Format) -> Result<ExitCode, Failure> {
    match &args.command {
        Command::List => list(&Settings::load()?, format),
        Command::Models { op } => models(op.as_deref(), format)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn list(settings: &Settings, format: Format) {
    if format == Format::Json {
        let documents: Vec<Value> = adapters().iter().map(|adapter| provider(*adapter, settings)).collect();
        say_json(&json!({ "data": documents, "next_cursor": null }));
        return;
    }
    let row = |adapter: &&dyn Adapter| {
        let name = adapter.name();
        let keys = match settings.key_count(name) {
            0 if !adapter.needs_key() => "none needed".to_owned(),
            0 => "–".to_owned(),
            count => count.to_string(),
        };
        let place =
            settings.base_url(name).unwrap_or_else(|| adapter.hosts().first().map_or("–", |host| host).to_owned());
        vec![name.to_owned(), keys, place, abilities(*adapter)]
    };
    let rows: Vec<Vec<String>> = adapters().iter().map(row).collect();
    say(&table(&["PROVIDER", "KEYS", "WHERE", "CAN"], &rows));
    for unknown in settings.providers.keys().filter(|name| !adapters().iter().any(|adapter| adapter.name() == *name)) {
        complain(&format!("note: there are settings for a provider `{unknown}`, which is not known"));
    }
}

/// What a provider can do, in words.
fn abilities(adapter: &dyn Adapter) -> String {
    let traits = adapter.traits();
    let webhook = match (traits.webhook, traits.signed) {
        (true, true) => "signed webhooks",
        (true, false) => "webhooks",
        _ => "",
    };
    let words = [
        if traits.synchronous { "answers at once" } else { "" },
        webhook,
        if traits.cancels { "cancels" } else { "" },
        if traits.looks_up { "looks up" } else { "" },
    ];
    let mut words: Vec<String> = words.into_iter().filter(|word| !word.is_empty()).map(str::to_owned).collect();
    words.push(format!("{} at once", traits.at_once));
    words.join(", ")
}

fn provider(adapter: &dyn Adapter, settings: &Settings) -> Value {
    let (name, traits) = (adapter.name(), adapter.traits());
    let rate = traits.rate.map(|(count, span)| json!({ "count": count, "per_seconds": span.as_secs_f64() }));
    json!({
        "provider": name,
        "keys": settings.key_count(name),
        "needs_key": adapter.needs_key(),
        "base_url": settings.base_url(name),
        "hosts": adapter.hosts(),
        "synchronous": traits.synchronous,
        "webhook": traits.webhook,
        "signed": traits.signed,
        "cancels": traits.cancels,
        "looks_up": traits.looks_up,
        "at_once": traits.at_once,
        "rate": rate,
    })
}

fn models(op: Option<&str>, format: Format) -> Result<(), Failure> {
    let chosen: Vec<&Model> = model::all().iter().filter(|model| op.is_none_or(|op| model.capability == op)).collect();
    if let (Some(op), true) = (op, chosen.is_empty()) {
        let mut known: Vec<&str> = model::all().iter().map(|model| model.capability.as_str()).collect();
        known.dedup();
        return Err(Failure::usage(format!("there are no models for `{op}`"))
            .advice(format!("ops with models: {}", known.join(", "))));
    }
    let today: String = Clock::system().now().to_string().chars().take(10).collect();
    match format {
        Format::Json => {
            let documents: Vec<Value> = chosen.iter().map(|model| document(model, &today)).collect();
            say_json(&json!({ "data": documents, "next_cursor": null }));
        }
        Format::Table => {
            let rows: Vec<Vec<String>> = chosen.iter().flat_map(|model| rows(model, &today)).collect();
            say(&table(&["MODEL", "OP", "PROVIDER", "ENDPOINT", "PRICE", "USUALLY", "NOTE"], &rows));
        }
    }
    Ok(())
}

/// A row for each route; of what is built in, one for itself.
fn rows(model: &Model, today: &str) -> Vec<Vec<String>> {
    let start = |provider: &str| vec![model.alias.clone(), model.capability.clone(), provider.to_owned()];
    let local = model.local.then(|| {
        let rest = ["–", "free", "–", ""].map(str::to_owned);
        start("local").into_iter().chain(rest).collect()
    });
    let of_route = |route: &Route| {
        let price = route.price.as_ref().map_or_else(|| "–".to_owned(), price);
        let usually = route.usually.map_or_else(|| "–".to_owned(), |span| span.to_string());
        let endpoint: String = route.endpoint.split(':').next().unwrap_or_default().to_owned();
        start(&route.provider).into_iter().chain([endpoint, price, usually, note(route, today)]).collect()
    };
    local.into_iter().chain(model.routes.iter().map(of_route)).collect()
}

/// Such as `$0.04 a megapixel`, or `$0.08–$0.16 a call (estimate)`.
fn price(price: &Price) -> String {
    let (low, high) = (price.at_least(1.0), price.at_most(1.0));
    let amount = if low == high { high.to_string() } else { format!("{low}–{high}") };
    let article = if price.per == model::Unit::ThousandCharacters { "for" } else { "a" };
    let estimate = if price.source.contains("estimate") { " (estimate)" } else { "" };
    format!("{amount} {article} {}{estimate}", price.per.name())
}

fn note(route: &Route, today: &str) -> String {
    let mut notes = Vec::new();
    if let Some(retires) = &route.retires {
        let verb = if today < retires.as_str() { "ends" } else { "ended" };
        notes.push(format!("{verb} {retires}"));
    }
    notes.extend(route.successor.as_ref().map(|successor| format!("then {successor}")));
    notes.extend(route.disabled.as_ref().map(|why| format!("not used: {why}")));
    if route.substitute {
        notes.push(format!("a substitute, taken only as {}/…", route.provider));
    }
    notes.extend((!route.needs.is_empty()).then(|| format!("with {}", route.needs.join(", "))));
    notes.extend((!route.refuses.is_empty()).then(|| format!("without {}", route.refuses.join(", "))));
    notes.join("; ")
}

fn document(model: &Model, today: &str) -> Value {
    let route = |route: &Route| {
        let price = route.price.as_ref().map(
            |price| json!({ "low": price.low, "high": price.high, "per": price.per.name(), "source": price.source }),
        );
        json!({
            "provider": route.provider,
            "endpoint": route.endpoint,
            "offered": route.is_offered(today),
            "price": price,
            "usually_seconds": route.usually.map(|span| span.as_secs_f64()),
            "retires": route.retires,
            "successor": route.successor,
            "substitute": route.substitute,
            "disabled": route.disabled,
            "needs": route.needs,
            "refuses": route.refuses,
        })
    };
    json!({
        "alias": model.alias,
        "op": model.capability,
        "title": model.title,
        "local": model.local,
        "aka": model.aka,
        "routes": model.routes.iter().map(route).collect::<Vec<_>>(),
    })
}
