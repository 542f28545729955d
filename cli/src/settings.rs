//! Settings: defaults < /etc < ~/.config < ./darkroom.toml < `DARKROOM__SECTION__KEY`.

use crate::environment;
use crate::failure::Failure;
use crate::log::LogFormat;
use crate::masked;
use config::{Config, Environment, File, FileFormat};
use darkroom_coordinator::{NoticeOptions, Ways};
use darkroom_engine::RECHECK_EVERY;
use darkroom_proto::{Duration, Money};
use darkroom_worker::CACHE_KEPT;
use darkroom_worker::net::NetPolicy;
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::num::NonZeroU8;
use std::path::PathBuf;

/// Everything that can be set. An unknown key is an error; what is not used yet is read and kept.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where artifacts are kept.
    pub(crate) artifacts: Artifacts,
    /// What this machine does.
    pub(crate) worker: Worker,
    /// Who makes pictures, films and sounds.
    pub(crate) providers: BTreeMap<String, Provider>,
    /// Where more models are.
    pub(crate) models: Models,
    /// Where more workflows are.
    pub(crate) workflows: Workflows,
    /// RabbitMQ, for a fleet.
    broker: Place,
    /// Redis, for a fleet.
    store: Place,
    /// The prefix of exchanges, queues and keys on a fleet. Default: `dr`.
    namespace: Option<String>,
    /// What roles log.
    pub(crate) log: Log,
    /// What may be spent.
    budget: Budget,
    /// The HTTP API.
    api: Api,
    /// The metrics page.
    metrics: Metrics,
    /// What is fetched by URL.
    pub(crate) net: Net,
    /// When runs that wait for a quota or a key are looked at again.
    retry: Retry,
    /// What the step cache keeps.
    cache: Cache,
    /// Who is told what went wrong.
    notices: Notices,
    /// The URL of the simulator that stands in for every provider.
    pub(crate) simulator: Option<String>,
    /// What tests of the fleet do to a role; not for use.
    #[serde(skip_serializing)]
    pub(crate) test: Test,
}

/// Where artifacts are kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Artifacts {
    /// A path, a `file:///` URL or `s3://bucket/prefix`. Default: `.darkroom/artifacts`.
    #[serde(serialize_with = "masked::serialize_place")]
    pub(crate) url: String,
}

impl Default for Artifacts {
    fn default() -> Self {
        Self { url: ".darkroom/artifacts".to_owned() }
    }
}

/// What this machine does.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Worker {
    /// How many steps run at once. Default: one for each core, because a decoder saturates one.
    pub(crate) slots: Option<u16>,
    /// The pools that it serves, comma separated. Default: all.
    pub(crate) pools: Option<String>,
    /// How many calls to providers it makes at once, which mostly wait for an answer. Default: 128.
    pub(crate) calls: Option<u16>,
}

/// A provider.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Provider {
    /// Its keys, comma separated.
    #[serde(skip_serializing)]
    pub(crate) keys: SecretString,
    /// Instead of its own hosts: a proxy, a compatible server, or, of ComfyUI and AUTOMATIC1111, where yours is.
    pub(crate) base_url: Option<String>,
    /// How many jobs of one key may be under way. Default: what the provider allows.
    pub(crate) at_once: Option<u32>,
    /// How many jobs one key may hand in within a minute. Default: what the provider allows.
    pub(crate) per_minute: Option<u32>,
}

/// Where more models are.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Models {
    /// A file with models of one's own, written as the built-in catalogue is.
    pub(crate) file: Option<String>,
}

/// Where more workflows are.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Workflows {
    /// A folder with workflow files.
    pub(crate) dir: Option<String>,
}

/// What tests of the fleet do to a role. Not shown, and not for use: both only do harm.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Test {
    /// Where a coordinator ends itself, such as `committed:next:3`.
    pub(crate) failpoint: Option<String>,
    /// Where a worker ends itself in a paid call, such as `call:sent:3`.
    pub(crate) call_failpoint: Option<String>,
    /// How many times everything that a role publishes is delivered.
    pub(crate) deliver: Option<NonZeroU8>,
}

/// Where a server is.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Place {
    /// Its URL. Not set: embedded. It may carry a password.
    #[serde(serialize_with = "masked::serialize")]
    url: Option<SecretString>,
}

/// The HTTP API.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Api {
    listen: Option<String>,
    public_url: Option<String>,
    url: Option<String>,
    #[serde(skip_serializing)]
    key: Option<SecretString>,
}

/// The metrics page.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Metrics {
    /// Where roles serve `/metrics`, `/livez` and `/readyz`. Default: `127.0.0.1:9464`.
    listen: Option<SocketAddr>,
}

/// What may be spent in a day of UTC, as `20 USD`, by all runs together. What is not set is not limited.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Budget {
    /// By everything.
    daily: Option<String>,
    /// By the runs of a workflow.
    workflow: BTreeMap<String, String>,
    /// By calls of a model.
    model: BTreeMap<String, String>,
    /// By calls of a provider.
    provider: BTreeMap<String, String>,
}

/// What is fetched by URL.
#[derive(Debug, Clone, Copy, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Net {
    /// Whether links may lead to addresses that are not public, and have no TLS. Default: no.
    pub(crate) allow_private: bool,
}

impl Net {
    /// Where requests may go: `trusted` are hosts, or base URLs, that somebody configured.
    pub(crate) fn policy(self, trusted: Vec<String>) -> NetPolicy {
        NetPolicy { allow_private: self.allow_private, trusted }
    }
}

/// What roles log.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    /// Default: text on a terminal, JSON lines elsewhere.
    pub(crate) format: Option<LogFormat>,
}

/// Where the servers of a fleet are, and which part of them is ours.
#[derive(Debug, Clone)]
pub(crate) struct FleetPlace {
    /// RabbitMQ.
    pub(crate) broker: SecretString,
    /// Redis.
    pub(crate) store: SecretString,
    /// The prefix of exchanges, queues and keys.
    pub(crate) namespace: String,
}

/// Where the pages of a role are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Listen {
    /// The address.
    pub(crate) address: SocketAddr,
    /// Whether somebody chose it: then no other one will do.
    pub(crate) is_chosen: bool,
}

/// The prefix of exchanges, queues and keys.
const NAMESPACE: &str = "dr";

/// How long a namespace may be.
const NAMESPACE_CHARS_MAX: usize = 40;

/// Where pages are served.
const LISTEN: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 9464);

/// Where the HTTP API is served.
const API_LISTEN: &str = "127.0.0.1:8080";

/// When waiting runs are looked at again.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Retry {
    /// How often a step is checked whose fast retries are spent, such as `300s`. Default: 5 min.
    recheck_every: Option<String>,
}

/// What the step cache keeps.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Cache {
    /// How long what a step gave may be taken by equal steps, such as `30d`, which is the default.
    keep: Option<String>,
}

/// Who is told what went wrong, and how.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Notices {
    /// Users of runs.
    user: Audience,
    /// Admins of the installation.
    admin: Audience,
    /// How long the same trouble of other runs is not told to an admin again, such as `10m`, which is the default.
    quiet: Option<String>,
}

/// How somebody is told.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Audience {
    /// Whether by a line of the log. Default: by roles yes, by other commands no.
    log: Option<bool>,
    /// Whether by a line on the console of the process.
    console: bool,
    /// A URL that is posted to.
    #[serde(serialize_with = "masked::serialize")]
    webhook: Option<SecretString>,
}

impl Audience {
    fn url(&self) -> Option<SecretString> {
        self.webhook.clone().filter(|url| !url.expose_secret().trim().is_empty())
    }

    fn ways(&self, is_role: bool) -> Ways {
        Ways { log: self.log.unwrap_or(is_role), console: self.console, webhook: self.url().is_some() }
    }
}

/// Where notices are posted. The addresses may carry keys.
#[derive(Debug, Clone)]
pub(crate) struct Webhooks {
    /// For users.
    pub(crate) user: Option<SecretString>,
    /// For admins.
    pub(crate) admin: Option<SecretString>,
}

/// How long the same trouble is not told again.
const NOTICES_QUIET: Duration = Duration::from_secs(600);

/// Entries end by the clock of the store; a shorter time would hold nothing.
const CACHE_KEEP_MIN: Duration = Duration::from_secs(1);

/// Steps are not checked more often: each check asks the store.
const RECHECK_MIN: Duration = Duration::from_secs(1);

impl Settings {
    /// Reads them from their places.
    pub(crate) fn load() -> Result<Settings, Failure> {
        let mut builder = Config::builder();
        for (path, _) in Settings::files() {
            builder = builder.add_source(File::from(path).format(FileFormat::Toml).required(false));
        }
        let environment = Environment::with_prefix("DARKROOM")
            .prefix_separator("__")
            .separator("__")
            .source(Some(environment::variables()?));
        let settings = builder.add_source(environment).build().and_then(Config::try_deserialize::<Settings>);
        settings.map_err(|error| {
            Failure::usage(format!("the configuration can't be used: {error} (in {})", Settings::culprit()))
                .advice("take the key out or correct it; the keys are `section.key`, or DARKROOM__SECTION__KEY")
        })
    }

    /// The file that can't be used even by itself; if there is none, the environment is at fault.
    fn culprit() -> String {
        let is_bad = |path: &PathBuf| {
            let file = File::from(path.clone()).format(FileFormat::Toml).required(false);
            let alone = Config::builder().add_source(file).build();
            alone.and_then(Config::try_deserialize::<Settings>).is_err()
        };
        let file = Settings::files().into_iter().map(|(path, _)| path).find(is_bad);
        file.map_or_else(|| "the environment".to_owned(), |path| path.display().to_string())
    }

    /// The files that are read, the later over the earlier, and what they are for.
    pub(crate) fn files() -> Vec<(PathBuf, &'static str)> {
        let mut files = vec![(PathBuf::from("/etc/darkroom/config.toml"), "machine")];
        let home = std::env::var_os("XDG_CONFIG_HOME")
            .map(PathBuf::from)
            .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".config")));
        files.extend(home.map(|home| (home.join("darkroom/config.toml"), "user")));
        files.push((PathBuf::from("darkroom.toml"), "folder"));
        files
    }

    /// Where the value of a key such as `artifacts.url` comes from: a variable, a file, or `default`.
    pub(crate) fn origin(key: &str) -> String {
        if let Some(variable) = environment::variable_of(key) {
            return variable;
        }
        let has = |path: &PathBuf| {
            let file = File::from(path.clone()).format(FileFormat::Toml).required(false);
            let read = Config::builder().add_source(file).build();
            read.is_ok_and(|read| read.get::<config::Value>(key).is_ok())
        };
        let file = Settings::files().into_iter().rev().map(|(path, _)| path).find(has);
        file.map_or_else(|| "default".to_owned(), |path| path.display().to_string())
    }

    /// Where requests to a provider go instead of to its own hosts: what is set for it, or the simulator.
    pub(crate) fn base_url(&self, provider: &str) -> Option<String> {
        let given =
            |url: &Option<String>| url.as_deref().map(str::trim).filter(|url| !url.is_empty()).map(str::to_owned);
        let own = self.providers.get(provider).and_then(|provider| given(&provider.base_url));
        own.or_else(|| Some(format!("{}/{provider}", given(&self.simulator)?.trim_end_matches('/'))))
    }

    /// How many keys a provider has.
    pub(crate) fn key_count(&self, provider: &str) -> usize {
        let keys = self.providers.get(provider).map(|provider| provider.keys.expose_secret());
        keys.unwrap_or_default().split(',').filter(|key| !key.trim().is_empty()).count()
    }

    /// Whether any provider has a key. Without one, models fall back to the local preview.
    pub(crate) fn has_provider_key(&self) -> bool {
        crate::accounts::options(self).values().any(|provider| !provider.keys.is_empty() || provider.base_url.is_some())
    }

    /// What may be spent in a day, by purse.
    pub(crate) fn daily_budgets(&self) -> Result<BTreeMap<String, Money>, Failure> {
        let of = |kind: &'static str, budgets: &BTreeMap<String, String>| -> Vec<(String, String)> {
            budgets.iter().map(|(name, text)| (format!("{kind}/{name}"), text.clone())).collect()
        };
        let Budget { daily, workflow, model, provider } = &self.budget;
        let mut budgets: Vec<(String, String)> = daily.iter().map(|text| ("total".to_owned(), text.clone())).collect();
        budgets.extend(of("workflow", workflow).into_iter().chain(of("model", model)).chain(of("provider", provider)));
        let parsed = budgets.into_iter().map(|(purse, text)| match text.parse() {
            Ok(amount) => Ok((purse, amount)),
            Err(error) => Err(Failure::usage(format!("budget of {purse}: `{text}`: {error}"))
                .advice("write dollars for a day, such as `budget.daily = \"20 USD\"`")),
        });
        parsed.collect()
    }

    /// Where the HTTP API is served.
    pub(crate) fn api_listen(&self) -> Result<SocketAddr, Failure> {
        let text = self.api.listen.as_deref().map(str::trim).filter(|text| !text.is_empty()).unwrap_or(API_LISTEN);
        text.parse().map_err(|_| {
            Failure::usage(format!("api.listen: `{text}` is no address"))
                .advice("write an address and a port, such as 127.0.0.1:8080")
        })
    }

    /// Where webhooks of providers arrive from outside, if anybody told.
    pub(crate) fn public_url(&self) -> Option<String> {
        self.api.public_url.clone().filter(|url| !url.trim().is_empty())
    }

    /// The same where nobody listens for webhooks.
    pub(crate) fn without_webhooks(mut self) -> Settings {
        self.api.public_url = None;
        self
    }

    /// How often steps are checked whose fast retries are spent.
    pub(crate) fn recheck_every(&self) -> Result<Duration, Failure> {
        let Some(text) = self.retry.recheck_every.as_deref().filter(|text| !text.trim().is_empty()) else {
            return Ok(RECHECK_EVERY);
        };
        let wrong = |why: String| {
            Failure::usage(format!("retry.recheck_every: {why} (in {})", Settings::origin("retry.recheck_every")))
                .advice("write a time of at least 1s, such as `300s` or `5m`")
        };
        match text.trim().parse::<Duration>() {
            Ok(every) if every >= RECHECK_MIN => Ok(every),
            Ok(every) => Err(wrong(format!("{every} is too short"))),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// How long the step cache keeps what a step gave.
    pub(crate) fn cache_keep(&self) -> Result<Duration, Failure> {
        let Some(text) = self.cache.keep.as_deref().filter(|text| !text.trim().is_empty()) else {
            return Ok(CACHE_KEPT);
        };
        let wrong = |why: String| {
            Failure::usage(format!("cache.keep: {why} (in {})", Settings::origin("cache.keep"))).advice(
                "write a time of at least 1s, such as `12h` or `30d`; `cache: off` in a step keeps nothing of it",
            )
        };
        match text.trim().parse::<Duration>() {
            Ok(keep) if keep >= CACHE_KEEP_MIN => Ok(keep),
            Ok(keep) => Err(wrong(format!("{keep} is too short"))),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// Who is told how of what went wrong; `is_role`: by a process that nobody looks at.
    pub(crate) fn notices(&self, is_role: bool) -> Result<NoticeOptions, Failure> {
        let quiet = match self.notices.quiet.as_deref().map(str::trim).filter(|text| !text.is_empty()) {
            None => NOTICES_QUIET,
            Some(text) => text.parse::<Duration>().map_err(|error| {
                Failure::usage(format!("notices.quiet: {error} (in {})", Settings::origin("notices.quiet")))
                    .advice("write a time, such as `10m`; `0s` tells every trouble")
            })?,
        };
        Ok(NoticeOptions { user: self.notices.user.ways(is_role), admin: self.notices.admin.ways(is_role), quiet })
    }

    /// Where notices are posted.
    pub(crate) fn notice_webhooks(&self) -> Webhooks {
        Webhooks { user: self.notices.user.url(), admin: self.notices.admin.url() }
    }

    /// Where the fleet is; `None`: everything is done here, in one process.
    pub(crate) fn fleet(&self) -> Result<Option<FleetPlace>, Failure> {
        let set = |place: &Place| place.url.clone().filter(|url| !url.expose_secret().trim().is_empty());
        let half = |there: &str, missing: &str, what: &str| {
            Failure::usage(format!("{there} is set ({}), but {missing} is not", Settings::origin(there))).advice(format!(
                "a fleet needs both: set DARKROOM__{}, the URL of {what}; to run here without a fleet, unset {there}",
                missing.to_ascii_uppercase().replace('.', "__")
            ))
        };
        match (set(&self.broker), set(&self.store)) {
            (None, None) => Ok(None),
            (Some(_), None) => Err(half("broker.url", "store.url", "Redis")),
            (None, Some(_)) => Err(half("store.url", "broker.url", "RabbitMQ")),
            (Some(broker), Some(store)) => Ok(Some(FleetPlace { broker, store, namespace: self.namespace()? })),
        }
    }

    /// The same, for a command that is of no use without one.
    pub(crate) fn fleet_for(&self, command: &str) -> Result<FleetPlace, Failure> {
        self.fleet()?.ok_or_else(|| {
            Failure::usage(format!("`darkroom {command}` needs a fleet, and none is set")).advice(
                "set DARKROOM__BROKER__URL=amqp://… and DARKROOM__STORE__URL=redis://…; without a fleet, \
                 `darkroom run` does everything in one process",
            )
        })
    }

    fn namespace(&self) -> Result<String, Failure> {
        let name = self.namespace.as_deref().filter(|name| !name.is_empty()).unwrap_or(NAMESPACE);
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '-');
        if name.len() > NAMESPACE_CHARS_MAX || !name.chars().all(is_plain) {
            return Err(Failure::usage(format!("the namespace `{name}` can't be used"))
                .advice(format!("use up to {NAMESPACE_CHARS_MAX} small letters, digits, `.` and `-`")));
        }
        Ok(name.to_owned())
    }

    /// Where the pages of a role are served.
    pub(crate) fn listen(&self) -> Listen {
        let chosen = self.metrics.listen;
        Listen { address: chosen.unwrap_or(LISTEN), is_chosen: chosen.is_some() }
    }

    /// The pools that a worker serves: those given, those set, or all.
    pub(crate) fn pools(&self, given: Option<&str>, all: &[&str]) -> Result<Vec<String>, Failure> {
        let Some(text) = given.or(self.worker.pools.as_deref()).filter(|text| !text.trim().is_empty()) else {
            return Ok(all.iter().map(|pool| (*pool).to_owned()).collect());
        };
        let pools: BTreeSet<&str> = text.split(',').map(str::trim).filter(|pool| !pool.is_empty()).collect();
        if let Some(unknown) = pools.iter().find(|pool| !all.contains(pool)) {
            return Err(Failure::usage(format!("there is no pool `{unknown}`"))
                .advice(format!("the pools of this release: {}", all.join(", "))));
        }
        Ok(pools.into_iter().map(str::to_owned).collect())
    }
}
