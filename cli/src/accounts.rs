//! The providers that the settings tell of, as workers use them.

use crate::failure::Failure;
use crate::settings::Settings;
use darkroom_proto::Duration;
use darkroom_worker::net::Net;
use darkroom_worker::{CallOptions, ProviderOptions, Providers};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::sync::Arc;

/// What stands in for a key where the simulator does for the provider. Kling's have two parts.
const SIMULATED_KEY: &str = "simulated:key";

/// What is set of each provider. With the simulator all of them are there, and keys of one's own are used if there are any.
pub(crate) fn options(settings: &Settings) -> BTreeMap<String, ProviderOptions> {
    let simulator =
        settings.simulator.as_deref().map(|url| url.trim().trim_end_matches('/')).filter(|url| !url.is_empty());
    let mut options: BTreeMap<String, ProviderOptions> = BTreeMap::new();
    for (name, provider) in &settings.providers {
        let keys = provider.keys.expose_secret().split(',').map(str::trim).filter(|key| !key.is_empty());
        let given = ProviderOptions {
            keys: keys.map(|key| SecretString::from(key.to_owned())).collect(),
            base_url: provider.base_url.clone().filter(|url| !url.trim().is_empty()),
            at_once: provider.at_once,
            rate: provider.per_minute.map(|many| (many, Duration::from_secs(60))),
        };
        options.insert(name.to_ascii_lowercase(), given);
    }
    if let Some(simulator) = simulator {
        for adapter in darkroom_provider::adapters() {
            let provider = options.entry(adapter.name().to_owned()).or_default();
            if provider.keys.is_empty() {
                provider.keys.push(SecretString::from(SIMULATED_KEY.to_owned()));
            }
            if provider.base_url.is_none() {
                provider.base_url = Some(format!("{simulator}/{}", adapter.name()));
            }
        }
    }
    options
}

/// The providers, ready to be called.
///
/// # Errors
/// When a provider is not known, or a URL can't be used.
pub(crate) fn providers(settings: &Settings) -> Result<Arc<Providers>, Failure> {
    let options = options(settings);
    if let Some(unknown) = options.keys().find(|name| darkroom_provider::find(name).is_none()) {
        let known: Vec<&str> = darkroom_provider::adapters().iter().map(|adapter| adapter.name()).collect();
        return Err(Failure::usage(format!("there is no provider `{unknown}`"))
            .advice(format!("the providers of this release: {}", known.join(", "))));
    }
    // What somebody wrote into the settings is trusted to be where they want it.
    let bases = options.values().filter_map(|provider| provider.base_url.as_deref());
    let trusted = bases.chain(settings.simulator.as_deref()).filter_map(host_of).collect();
    let net = Net::new(settings.net.policy(trusted))
        .map_err(|error| Failure::other(format!("connections can't be made: {error}")))?;
    let calls = CallOptions {
        simulator: settings.simulator.clone().filter(|url| !url.trim().is_empty()),
        public_url: settings.public_url(),
        recheck_every: settings.recheck_every()?,
        cache_keep: settings.cache_keep()?,
        daily: settings.daily_budgets()?,
    };
    Ok(Arc::new(Providers::new(&options, net, calls)))
}

/// Host and port of a URL.
fn host_of(url: &str) -> Option<String> {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let host = rest.split(['/', '?', '#']).next()?;
    (!host.is_empty()).then(|| host.to_ascii_lowercase())
}

/// How often it is looked whether keys were replaced in their files.
const LOOK: std::time::Duration = std::time::Duration::from_secs(1);

/// Uses keys that are put into their files while the process runs.
pub(crate) async fn follow(providers: Arc<Providers>) {
    let mut known: Option<Vec<(String, Vec<String>)>> = None;
    loop {
        tokio::time::sleep(LOOK).await;
        // A file that is just being written can be read the next time.
        let Ok(settings) = Settings::load() else { continue };
        let options = options(&settings);
        let keys = |options: &BTreeMap<String, ProviderOptions>| -> Vec<(String, Vec<String>)> {
            let exposed = |provider: &ProviderOptions| {
                provider
                    .keys
                    .iter()
                    .map(|key| darkroom_proto::Sha256::of(key.expose_secret().as_bytes()).to_string())
                    .collect()
            };
            options.iter().map(|(name, provider)| (name.clone(), exposed(provider))).collect()
        };
        let now = keys(&options);
        if known.as_ref().is_some_and(|known| *known != now) {
            tracing::info!("the keys of providers were replaced");
            providers.replace(&options);
        }
        known = Some(now);
    }
}
