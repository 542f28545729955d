//! [`Providers`]: who can be called from here, with which keys, where.

use crate::net::Net;
use darkroom_backend::{Limit, Purse};
use darkroom_proto::model::{self, Route};
use darkroom_proto::{Duration, Money, Sha256, StepError, Timestamp};
use darkroom_provider::{Access, Adapter, Request};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};

/// How long the step cache keeps what a step gave, unless told otherwise.
pub const CACHE_KEPT: Duration = Duration::from_secs(30 * 24 * 3_600);

/// How many hex digits of a key's digest name it in the ledger, in messages and in logs.
const FINGERPRINT_DIGITS: usize = 12;

/// From here on a limit of jobs at once is none.
const AT_ONCE_UNLIMITED: u32 = 100_000;

/// How much of a new figure goes into what is known of a route's usual time, as one part of so many.
const USUAL_WEIGHT: u64 = 4;

/// How long the simulator may take to say how long its jobs take.
const PACE_WITHIN: std::time::Duration = std::time::Duration::from_secs(2);

/// How long jobs take, by what they make.
#[derive(Debug, Clone, Copy)]
struct Pace {
    image: Duration,
    video: Duration,
    audio: Duration,
}

impl Pace {
    fn of(&self, op: &str) -> Duration {
        match op.split('.').next() {
            Some("video") => self.video,
            Some("audio") => self.audio,
            _ => self.image,
        }
    }
}

/// What is set of one provider.
#[derive(Debug, Clone, Default)]
pub struct ProviderOptions {
    /// Its keys, in order of preference. A provider that wants none (ComfyUI) is used when its URL is set.
    pub keys: Vec<SecretString>,
    /// Instead of its own hosts.
    pub base_url: Option<String>,
    /// How many jobs of a key may be under way, instead of what is usual there.
    pub at_once: Option<u32>,
    /// How many submissions a key may make in how long a time, instead of what is usual there.
    pub rate: Option<(u32, Duration)>,
}

/// What is set for all of them.
#[derive(Debug, Clone)]
pub struct CallOptions {
    /// The simulator that stands in for every provider, if one does.
    pub simulator: Option<String>,
    /// Where webhooks of providers arrive, without a slash at its end; none: nobody listens for them.
    pub public_url: Option<String>,
    /// When an exhausted or invalid key is tried again.
    pub recheck_every: Duration,
    /// How long the step cache keeps what a step gave.
    pub cache_keep: Duration,
    /// What may be spent in a day, by purse: `total`, `workflow/NAME`, `model/NAME`, `provider/NAME`.
    pub daily: BTreeMap<String, Money>,
}

impl Default for CallOptions {
    fn default() -> CallOptions {
        CallOptions {
            simulator: None,
            public_url: None,
            recheck_every: Duration::from_secs(300),
            cache_keep: CACHE_KEPT,
            daily: BTreeMap::new(),
        }
    }
}

/// A key, and what it is called where it must not be shown.
#[derive(Debug, Clone)]
pub struct Key {
    /// The key.
    pub secret: SecretString,
    /// The beginning of its digest.
    pub fingerprint: String,
}

impl Key {
    fn new(secret: SecretString) -> Key {
        let fingerprint = Sha256::of(secret.expose_secret().as_bytes()).short(FINGERPRINT_DIGITS);
        Key { secret, fingerprint }
    }
}

/// A provider that can be called.
#[derive(Debug, Clone)]
pub struct Account {
    /// Its wire format.
    pub adapter: &'static dyn Adapter,
    /// Its keys.
    pub keys: Vec<Key>,
    /// Instead of its own hosts.
    pub base_url: Option<String>,
    at_once: Option<u32>,
    rate: Option<(u32, Duration)>,
}

impl Account {
    /// What limits calls of a route with a key.
    pub(crate) fn limits(&self, route: &Route, key: &str) -> Vec<Limit> {
        let traits = self.adapter.traits();
        let at_once = Some(self.at_once.unwrap_or(traits.at_once)).filter(|many| *many < AT_ONCE_UNLIMITED);
        let rate = self.rate.or(traits.rate);
        let provider = self.adapter.name();
        let mut limits = Vec::new();
        if at_once.is_some() || rate.is_some() {
            limits.push(Limit { name: format!("{provider}/{key}"), at_once, rate });
        }
        if route.at_once.is_some() {
            let name = format!("{provider}/{key}/{}", route.endpoint);
            limits.push(Limit { name, at_once: route.at_once, rate: None });
        }
        limits
    }
}

/// Who can be called from here. Keys may be replaced while it is in use.
#[derive(Debug)]
pub struct Providers {
    accounts: RwLock<BTreeMap<&'static str, Arc<Account>>>,
    /// The guarded connection to all of them.
    pub(crate) net: Net,
    /// What is set for all of them.
    pub(crate) options: CallOptions,
    /// How long the jobs of the simulator take.
    pace: OnceLock<Pace>,
    /// How long jobs of a route took lately.
    usual: Mutex<BTreeMap<(String, String), Duration>>,
}

impl Providers {
    /// Those that have a key, or that need none and have a URL.
    pub fn new(providers: &BTreeMap<String, ProviderOptions>, net: Net, options: CallOptions) -> Providers {
        let made =
            Providers { accounts: RwLock::default(), net, options, pace: OnceLock::new(), usual: Mutex::default() };
        made.replace(providers);
        made
    }

    /// Uses these from now on.
    pub fn replace(&self, providers: &BTreeMap<String, ProviderOptions>) {
        let mut accounts = BTreeMap::new();
        for adapter in darkroom_provider::adapters() {
            let Some(given) = providers.get(adapter.name()) else { continue };
            let mut keys: Vec<Key> = given.keys.iter().cloned().map(Key::new).collect();
            if keys.is_empty() && !adapter.needs_key() && given.base_url.is_some() {
                keys.push(Key::new(SecretString::from(String::new())));
            }
            if keys.is_empty() {
                continue;
            }
            let account = Account {
                adapter: *adapter,
                keys,
                base_url: given.base_url.clone(),
                at_once: given.at_once,
                rate: given.rate,
            };
            accounts.insert(adapter.name(), Arc::new(account));
        }
        *self.accounts.write().unwrap_or_else(PoisonError::into_inner) = accounts;
    }

    /// Whether none can be called.
    pub fn is_empty(&self) -> bool {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// A provider that can be called.
    pub fn account(&self, provider: &str) -> Option<Arc<Account>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).get(provider).cloned()
    }

    /// All that can be called.
    pub fn accounts(&self) -> Vec<Arc<Account>> {
        self.accounts.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// Whether a step of this op is done by calling somebody: otherwise it is done on this machine.
    pub(crate) fn serves(&self, op: &str, params: &darkroom_proto::Map) -> bool {
        let Some(name) = params.get("model").and_then(serde_json::Value::as_str) else { return false };
        let Some(model) = model::find(op, name) else { return false };
        // A model that is built in as well is called only where somebody is configured who offers it.
        match model.local {
            true => model.routes.iter().any(|route| self.account(&route.provider).is_some()),
            false => !self.is_empty(),
        }
    }

    /// Who pays for a call, and what they may spend.
    pub(crate) fn purses(&self, workflow: &str, model: &str, provider: &str) -> Vec<Purse> {
        let names = [
            "total".to_owned(),
            format!("workflow/{workflow}"),
            format!("model/{model}"),
            format!("provider/{provider}"),
        ];
        let purse = |name: String| Purse { daily: self.options.daily.get(&name).copied(), name };
        names.into_iter().map(purse).collect()
    }

    /// Where a provider may tell that the job of a call has ended.
    pub(crate) fn hook(&self, provider: &str, call: &darkroom_proto::CallId, secret: &str) -> Option<String> {
        let public = self.options.public_url.as_deref()?.trim_end_matches('/');
        let token = darkroom_provider::hook_token(secret, call.as_str());
        Some(format!("{public}/hooks/{provider}/{call}/{token}"))
    }

    /// Asks a provider whether a key is good. False: it can't be told without paying.
    ///
    /// # Errors
    /// When the key is refused, or the provider can't be asked.
    pub async fn check(&self, account: &Account, key: &Key, now: Timestamp) -> Result<bool, StepError> {
        let access = Access { base_url: account.base_url.clone(), key: key.secret.clone(), now };
        let Some(request) = account.adapter.check(&access) else { return Ok(false) };
        let response = self.net.send(&request).await.map_err(|failed| failed.error)?;
        if response.is_success() { Ok(true) } else { Err(account.adapter.classify(&response)) }
    }

    /// How long a job of an op usually takes on a route: what was seen lately, else what the simulator says where it stands
    /// in for everybody, else what the catalogue says.
    pub(crate) fn usually(&self, op: &str, route: &Route) -> Duration {
        let seen = {
            let usual = self.usual.lock().unwrap_or_else(PoisonError::into_inner);
            usual.get(&(route.provider.clone(), route.endpoint.clone())).copied()
        };
        let simulated = || self.pace.get().map(|pace| pace.of(op));
        seen.or_else(simulated).or(route.usually).unwrap_or(Duration::from_secs(10))
    }

    /// Asks the simulator, where it stands in for everybody, how long its jobs take: nothing in the catalogue tells.
    pub(crate) async fn learn_pace(&self) {
        let Some(simulator) = &self.options.simulator else { return };
        let ask = Request::get(format!("{}/_sim", simulator.trim_end_matches('/'))).within(PACE_WITHIN);
        let Ok(answer) = self.net.send(&ask).await else { return };
        let told = answer.json();
        let latency = |kind: &str| Some(Duration(told.get("latency_ms")?.get(kind)?.as_u64()?));
        if let (Some(image), Some(video), Some(audio)) = (latency("image"), latency("video"), latency("audio")) {
            // It is asked once; whoever asked first is as right as anybody.
            let _ = self.pace.set(Pace { image, video, audio });
        }
    }

    /// A job of a route took so long.
    pub(crate) fn took(&self, provider: &str, endpoint: &str, time: Duration) {
        let mut usual = self.usual.lock().unwrap_or_else(PoisonError::into_inner);
        let known = usual.entry((provider.to_owned(), endpoint.to_owned())).or_insert(time);
        known.0 = (known.0 * (USUAL_WEIGHT - 1) + time.0) / USUAL_WEIGHT;
    }
}
