//! `darkroom providers …`

use crate::failure::Failure;
use crate::fleet::FleetStore;
use crate::output::{Format, complain, say, say_json, table};
use crate::settings::Settings;
use darkroom_backend::{Clock, Condition, Fitness, Ledger as _};
use darkroom_proto::StepError;
use darkroom_proto::model::{self, Model, Price, Route};
use darkroom_provider::{Adapter, adapters};
use serde_json::{Value, json};
use std::process::ExitCode;

/// Who makes pictures, films and sounds: the providers, and their models
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  darkroom providers list\n  darkroom providers models\n  \
    darkroom providers models video.generate\n  darkroom providers test\n  DARKROOM__PROVIDERS__FAL__KEYS=… darkroom providers list")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// List the providers: whether they have keys, where they are, what they can do
    List,
    /// Ask each provider that has keys, or this one, whether they are good, as far as that costs nothing
    Test {
        /// The provider
        provider: Option<String>,
    },
    /// List the models: who offers them, what they cost, until when
    Models {
        /// Only models of this op, such as `image.edit`
        op: Option<String>,
    },
}

pub(crate) async fn run(args: &Args, format: Format) -> Result<ExitCode, Failure> {
    match &args.command {
        Command::List => list(&Settings::load()?, format).await?,
        Command::Test { provider } => return test(&Settings::load()?, provider.as_deref(), format).await,
        Command::Models { op } => models(op.as_deref(), format)?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(settings: &Settings, format: Format) -> Result<(), Failure> {
    let known = known(settings).await?;
    if format == Format::Json {
        let documents = adapters().iter().map(|adapter| {
            let mut document = provider(*adapter, settings);
            document["conditions"] = of(&known, adapter.name())
                .map(|known| json!({"of": known.of, "state": known.state, "until": known.until.to_string(), "note": known.note}))
                .collect();
            document
        });
        say_json(&json!({ "data": documents.collect::<Vec<Value>>(), "next_cursor": null }));
        return Ok(());
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
        let trouble: Vec<String> = of(&known, name)
            .filter(|known| known.state != Fitness::Healthy)
            .map(|known| format!("{} {} until {}: {}", known.of, fitness(known.state), known.until, known.note))
            .collect();
        vec![name.to_owned(), keys, place, abilities(*adapter), trouble.join("; ")]
    };
    let rows: Vec<Vec<String>> = adapters().iter().map(row).collect();
    say(&table(&["PROVIDER", "KEYS", "WHERE", "CAN", "TROUBLE"], &rows));
    for unknown in settings.providers.keys().filter(|name| !adapters().iter().any(|adapter| adapter.name() == *name)) {
        complain(&format!("note: there are settings for a provider `{unknown}`, which is not known"));
    }
    Ok(())
}

/// What is known of one provider.
fn of<'a>(known: &'a [(String, Condition)], name: &'a str) -> impl Iterator<Item = &'a Condition> {
    known.iter().filter(move |(provider, _)| provider == name).map(|(_, condition)| condition)
}

/// What a fleet knows of keys and routes. A folder remembers nothing of the kind.
async fn known(settings: &Settings) -> Result<Vec<(String, Condition)>, Failure> {
    let Some(place) = settings.fleet()? else { return Ok(Vec::new()) };
    let fleet = FleetStore::open(&place).await?;
    let mut known = Vec::new();
    for adapter in adapters() {
        let of_it = fleet.store.conditions(adapter.name()).await.map_err(|error| fleet.failed(error))?;
        known.extend(of_it.into_iter().map(|condition| (adapter.name().to_owned(), condition)));
    }
    Ok(known)
}

fn fitness(state: Fitness) -> &'static str {
    match state {
        Fitness::Healthy => "is well",
        Fitness::Cooling => "was used too often",
        Fitness::Exhausted => "has no quota",
        Fitness::Invalid => "is refused",
        Fitness::Open => "fails",
        Fitness::Missing => "is not there",
        Fitness::Disabled => "is out of use",
    }
}

/// Asks providers whether their keys are good. A fleet hears of those that are.
async fn test(settings: &Settings, only: Option<&str>, format: Format) -> Result<ExitCode, Failure> {
    let providers = crate::accounts::providers(settings)?;
    let accounts = providers.accounts();
    if let Some(name) = only
        && !accounts.iter().any(|account| account.adapter.name() == name)
    {
        return Err(Failure::usage(format!("the provider `{name}` has no key")).advice(format!(
            "set DARKROOM__PROVIDERS__{}__KEYS; `darkroom providers list` lists the providers",
            name.to_ascii_uppercase()
        )));
    }
    let fleet = match settings.fleet()? {
        Some(place) => Some(FleetStore::open(&place).await?),
        None => None,
    };
    let mut results = Vec::new();
    for account in accounts.iter().filter(|account| only.is_none_or(|name| account.adapter.name() == name)) {
        for key in &account.keys {
            let verdict = providers.check(account, key, Clock::system().now()).await;
            let (provider, of) = (account.adapter.name(), format!("key/{}", key.fingerprint));
            if let (Some(fleet), Ok(true)) = (&fleet, &verdict) {
                fleet.store.forget_condition(provider, &of).await.map_err(|error| fleet.failed(error))?;
            }
            results.push((provider, key.fingerprint.clone(), verdict));
        }
    }
    let said = |verdict: &Result<bool, StepError>| match verdict {
        Ok(true) => "good".to_owned(),
        Ok(false) => "can't be told without paying".to_owned(),
        Err(error) => error.to_string(),
    };
    match format {
        Format::Json => {
            let row = |(provider, key, verdict): &(&str, String, Result<bool, StepError>)| {
                let good = match verdict {
                    Ok(true) => Value::Bool(true),
                    Ok(false) => Value::Null,
                    Err(_) => Value::Bool(false),
                };
                json!({"provider": provider, "key": key, "good": good, "says": said(verdict)})
            };
            say_json(&json!({"data": results.iter().map(row).collect::<Vec<_>>(), "next_cursor": null}));
        }
        Format::Table if results.is_empty() => say("no provider has a key"),
        Format::Table => {
            let cells = |(provider, key, verdict): &(&str, String, Result<bool, StepError>)| {
                vec![(*provider).to_owned(), key.clone(), said(verdict)]
            };
            say(&table(&["PROVIDER", "KEY", "SAYS"], &results.iter().map(cells).collect::<Vec<_>>()));
        }
    }
    let is_bad = results.iter().any(|(_, _, verdict)| verdict.is_err());
    Ok(if is_bad { ExitCode::FAILURE } else { ExitCode::SUCCESS })
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
