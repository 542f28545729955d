//! Settings: defaults < /etc < ~/.config < ./darkroom.toml < `DARKROOM__SECTION__KEY`.

use crate::failure::Failure;
use config::{Config, Environment, File, FileFormat};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Everything that can be set. An unknown key is an error; what only a fleet uses is read and kept for it.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Settings {
    /// Where artifacts are kept.
    pub(crate) artifacts: Artifacts,
    /// What this machine does.
    pub(crate) worker: Worker,
    /// Who makes pictures, films and sounds.
    pub(crate) providers: BTreeMap<String, Provider>,
    /// Where more workflows are.
    pub(crate) workflows: Workflows,
    /// RabbitMQ, for a fleet.
    broker: Place,
    /// Redis, for a fleet.
    store: Place,
    /// The prefix of exchanges, queues and keys on a fleet.
    namespace: Option<String>,
    /// The HTTP API.
    api: Api,
    /// The metrics page.
    metrics: Metrics,
    /// When runs that wait for a quota or a key are looked at again.
    retry: Retry,
    /// The simulator that stands in for every provider.
    simulator: Option<String>,
}

/// Where artifacts are kept.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Artifacts {
    /// A path, a `file:///` URL or `s3://bucket/prefix`. Default: `.darkroom/artifacts`.
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
    pools: Option<String>,
}

/// A provider.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Provider {
    /// Its keys, comma separated.
    #[serde(skip_serializing)]
    keys: SecretString,
    /// Its own URL.
    base_url: Option<String>,
}

/// Where more workflows are.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Workflows {
    /// A folder with workflow files.
    pub(crate) dir: Option<String>,
}

/// Where a server is.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Place {
    /// Its URL. Not set: embedded. It may carry a password.
    #[serde(skip_serializing)]
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
    listen: Option<String>,
}

/// When waiting runs are looked at again.
#[derive(Debug, Clone, Default, Deserialize, Serialize)]
#[serde(default, deny_unknown_fields)]
struct Retry {
    recheck_every: Option<String>,
}

impl Settings {
    /// Reads them from their places.
    pub(crate) fn load() -> Result<Settings, Failure> {
        let mut builder = Config::builder();
        for (path, _) in Settings::files() {
            builder = builder.add_source(File::from(path).format(FileFormat::Toml).required(false));
        }
        let environment = Environment::with_prefix("DARKROOM").prefix_separator("__").separator("__");
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
        let variable = format!("DARKROOM__{}", key.to_ascii_uppercase().replace('.', "__"));
        if std::env::var_os(&variable).is_some() {
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

    /// Whether any provider has a key. Without one, models fall back to the local preview.
    pub(crate) fn has_provider_key(&self) -> bool {
        self.providers.values().any(|provider| !provider.keys.expose_secret().trim().is_empty())
    }
}
