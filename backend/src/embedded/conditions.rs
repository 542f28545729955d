//! What is known of keys and routes of providers: kept in memory only, because it is soon found out again.

use crate::ledger::{Condition, KEY_PREFIX, Sighting};
use darkroom_proto::{Duration, Timestamp};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap, HashSet};

/// The providers of an embedded store, and how often something got better.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    providers: HashMap<String, Provider>,
    relief: u64,
    secret: Option<String>,
    trust: HashMap<String, Value>,
}

#[derive(Debug, Default)]
struct Provider {
    known: BTreeMap<String, Condition>,
    /// Until when somebody tries it.
    probes: HashMap<String, Timestamp>,
    /// The fingerprints of the configured keys.
    keys: HashSet<String>,
}

impl Conditions {
    pub(super) fn secret(&mut self) -> String {
        self.secret.get_or_insert_with(|| uuid::Uuid::new_v4().simple().to_string()).clone()
    }

    pub(super) fn keep_trust(&mut self, provider: &str, trust: &Value) {
        self.trust.insert(provider.to_owned(), trust.clone());
    }

    pub(super) fn trust(&self, provider: &str) -> Option<Value> {
        self.trust.get(provider).cloned()
    }

    pub(super) fn saw(&mut self, provider: &str, of: &str, sighting: &Sighting, now: Timestamp) -> Condition {
        let provider = self.providers.entry(provider.to_owned()).or_default();
        let condition = provider.known.entry(of.to_owned()).or_insert_with(|| Condition::unknown(of));
        let before = (condition.is_bad(), condition.until);
        self.relief += u64::from(condition.see(sighting, now));
        if before != (condition.is_bad(), condition.until) {
            // Whoever tried it has said how that went.
            provider.probes.remove(of);
        }
        condition.clone()
    }

    pub(super) fn forget(&mut self, provider: &str, of: &str) {
        let Some(provider) = self.providers.get_mut(provider) else { return };
        provider.probes.remove(of);
        self.relief += u64::from(provider.known.remove(of).is_some_and(|known| known.is_bad()));
    }

    pub(super) fn all(&self, provider: &str) -> Vec<Condition> {
        self.providers.get(provider).map(|provider| provider.known.values().cloned().collect()).unwrap_or_default()
    }

    pub(super) fn probe(&mut self, provider: &str, of: &str, hold: Duration, now: Timestamp) -> bool {
        let Some(provider) = self.providers.get_mut(provider) else { return true };
        let Some(known) = provider.known.get(of).filter(|known| known.is_bad()) else { return true };
        let is_free = now >= known.until && provider.probes.get(of).is_none_or(|until| *until <= now);
        if is_free {
            provider.probes.insert(of.to_owned(), now.after(hold));
        }
        is_free
    }

    pub(super) fn announce_keys(&mut self, provider: &str, fingerprints: &[String]) {
        let provider = self.providers.entry(provider.to_owned()).or_default();
        let configured: HashSet<String> = fingerprints.iter().cloned().collect();
        let is_key = |of: &str| of.starts_with(KEY_PREFIX);
        let is_bad = provider.known.values().any(|known| is_key(&known.of) && known.is_bad());
        let is_new = configured.difference(&provider.keys).next().is_some();
        provider.known.retain(|of, _| of.strip_prefix(KEY_PREFIX).is_none_or(|key| configured.contains(key)));
        provider.keys = configured;
        self.relief += u64::from(is_bad && is_new);
    }

    pub(super) fn keys(&self, provider: &str) -> Vec<String> {
        let mut keys: Vec<String> =
            self.providers.get(provider).map(|provider| provider.keys.iter().cloned().collect()).unwrap_or_default();
        keys.sort();
        keys
    }

    pub(super) fn relief(&self) -> u64 {
        self.relief
    }
}
