//! `darkroom keys …`

use crate::failure::Failure;
use crate::fleet::FleetStore;
use crate::output::{Format, complain, say, say_json, table};
use crate::settings::Settings;
use darkroom_api::{ApiKey, ApiKeys, KeyError, NewKey, Scope};
use darkroom_backend::{Clock, RedisStore};
use darkroom_proto::{Duration, Tenant, Timestamp};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::ExitCode;

/// Keys of the API: who may ask the fleet, and for what
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Scopes: submit (create runs, upload files), read (look at runs), operate (command runs; reading is \
    part of it), admin (everything).\n\nExamples:\n  darkroom keys create --scopes submit,read --name shop\n  \
    darkroom keys create --scopes admin --expires 90d\n  darkroom keys list\n  darkroom keys revoke 5f2a9c1d03b7"
)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Make a key. It is shown once, and only its digest is kept
    Create {
        /// What it allows, with commas between: submit, read, operate, admin
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<Scope>,
        /// Whose runs it is about: another tenant's are not there for it
        #[arg(long, default_value_t = Tenant::default())]
        tenant: Tenant,
        /// What people call it
        #[arg(long, default_value = "", hide_default_value = true, value_parser = name)]
        name: String,
        /// How long it is good for, such as 90d; not given, until it is revoked
        #[arg(long, value_name = "TIME")]
        expires: Option<Duration>,
    },
    /// List the keys, without what is secret of them
    List,
    /// End a key for good; within seconds nobody lets it in any more
    Revoke {
        /// The key's id
        id: String,
    },
}

fn name(text: &str) -> Result<String, String> {
    match text.chars().count() {
        0..=100 if !text.contains(char::is_control) => Ok(text.to_owned()),
        _ => Err("expected at most 100 characters in one line".to_owned()),
    }
}

impl From<KeyError> for Failure {
    fn from(error: KeyError) -> Failure {
        match error {
            KeyError::Missing(_) => Failure::not_found(error.to_string()).advice("`darkroom keys list` shows the keys"),
            KeyError::Busy(_) => Failure::conflict(error.to_string()).advice("try again"),
            KeyError::TooMany => {
                Failure::conflict(error.to_string()).advice("share keys between clients of one service")
            }
            KeyError::Store(error) => error.into(),
            KeyError::NoRandomness | KeyError::Corrupt { .. } => Failure::other(error.to_string()),
        }
    }
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let store = FleetStore::open(&settings.fleet_for("keys")?).await?;
    let keys = ApiKeys::new(store.store.clone());
    let failed = |error| match error {
        KeyError::Store(error) => store.failed(error),
        error => error.into(),
    };
    match args.command {
        Command::Create { scopes, tenant, name, expires } => {
            create(&keys, scopes, tenant, &name, expires, format).await.map_err(failed)?;
        }
        Command::List => list(&keys.list().await.map_err(failed)?, format),
        Command::Revoke { id } => {
            let key = keys.revoke(&id).await.map_err(failed)?;
            match format {
                Format::Json => say_json(&document(&key)),
                Format::Table => say(&format!("{} is revoked", key.id)),
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn create(
    keys: &ApiKeys<RedisStore>,
    scopes: Vec<Scope>,
    tenant: Tenant,
    name: &str,
    expires: Option<Duration>,
    format: Format,
) -> Result<(), KeyError> {
    let scopes: BTreeSet<Scope> = scopes.into_iter().collect();
    let expires_at = expires.map(|time| Clock::system().now().after(time));
    let NewKey { about, secret } = keys.create(name, tenant, scopes, expires_at).await?;
    match format {
        Format::Json => {
            let mut document = document(&about);
            document["key"] = secret.into();
            say_json(&document);
        }
        Format::Table => {
            say(&secret);
            complain(&format!("this is the only time that the key is shown; its id is {}", about.id));
        }
    }
    Ok(())
}

fn list(keys: &[ApiKey], format: Format) {
    if format == Format::Json {
        let data: Vec<Value> = keys.iter().map(document).collect();
        say_json(&json!({ "data": data, "next_cursor": null }));
        return;
    }
    if keys.is_empty() {
        say("no keys; the API lets in whoever is on its machine. Make one: darkroom keys create --scopes submit,read");
        return;
    }
    let now = Clock::system().now();
    let cells = |key: &ApiKey| {
        let state = match key.is_valid(now) {
            true => key.expires_at.map_or("good".to_owned(), |end| format!("good until {end}")),
            false if key.revoked_at.is_some() => "revoked".to_owned(),
            false => "expired".to_owned(),
        };
        vec![key.id.clone(), key.name.clone(), key.tenant.to_string(), scopes(key), state]
    };
    let rows: Vec<Vec<String>> = keys.iter().map(cells).collect();
    say(&table(&["KEY", "NAME", "TENANT", "SCOPES", "STATE"], &rows));
}

fn scopes(key: &ApiKey) -> String {
    key.scopes.iter().map(|scope| scope.name()).collect::<Vec<_>>().join(",")
}

fn document(key: &ApiKey) -> Value {
    let time = |at: Option<Timestamp>| at.map(|at| at.to_string());
    json!({
        "id": key.id, "name": key.name, "tenant": key.tenant, "scopes": key.scopes,
        "created_at": key.created_at.to_string(), "expires_at": time(key.expires_at), "revoked_at": time(key.revoked_at),
    })
}
