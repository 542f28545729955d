//! What a worker does for the providers beside the steps: says which keys there are, and fetches what webhooks are checked
//! with.

use super::Caller;
use darkroom_backend::{Ledger, Store};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked whether keys were replaced. A run that waits for a key goes on within 5 s of its arrival.
const LOOK: Duration = Duration::from_secs(1);

/// How often keys are announced although they are the same.
const ANNOUNCE_EVERY: Duration = Duration::from_secs(60);

/// How long what webhooks are checked with is believed; providers allow a day.
const TRUST_KEPT: Duration = Duration::from_secs(6 * 3_600);

/// How long is waited after it could not be fetched.
const TRUST_AGAIN: Duration = Duration::from_secs(20);

impl<S: Store + Ledger> Caller<S> {
    /// Attends to the providers for as long as the worker works; ends when it is dropped.
    pub(crate) async fn attend(&self) {
        let mut announced: BTreeMap<&'static str, (BTreeSet<String>, Instant)> = BTreeMap::new();
        let mut trust_at: BTreeMap<&'static str, Instant> = BTreeMap::new();
        loop {
            for account in self.providers.accounts() {
                let provider = account.adapter.name();
                let keys: BTreeSet<String> = account.keys.iter().map(|key| key.fingerprint.clone()).collect();
                let is_told =
                    announced.get(provider).is_some_and(|(told, at)| *told == keys && at.elapsed() < ANNOUNCE_EVERY);
                if !is_told {
                    let list: Vec<String> = keys.iter().cloned().collect();
                    match self.store.announce_keys(provider, &list).await {
                        Ok(()) => {
                            self.forget_conditions(provider);
                            announced.insert(provider, (keys, Instant::now()));
                        }
                        Err(error) => tracing::debug!(%error, provider, "keys could not be announced"),
                    }
                }
                let wants_trust = self.providers.options.public_url.is_some() && account.adapter.traits().signed;
                if wants_trust && trust_at.get(provider).is_none_or(|at| *at <= Instant::now()) {
                    let again = if self.fetch_trust(&account).await { TRUST_KEPT } else { TRUST_AGAIN };
                    trust_at.insert(provider, Instant::now() + again);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Fetches what webhooks of a provider are checked with, for the coordinators, which have no keys.
    async fn fetch_trust(&self, account: &crate::providers::Account) -> bool {
        let Some(key) = account.keys.first() else { return false };
        let Ok(access) = self.access(account, key).await else { return false };
        let Some(request) = account.adapter.trust(&access) else { return true };
        let provider = account.adapter.name();
        match self.ask(provider, "trust", &request).await {
            Ok(response) if response.is_success() => self.store.keep_trust(provider, &response.json()).await.is_ok(),
            Ok(response) => {
                tracing::warn!(provider, status = response.status, "what webhooks are checked with can't be fetched");
                false
            }
            Err(failed) => {
                tracing::warn!(provider, error = %failed.error, "what webhooks are checked with can't be fetched");
                false
            }
        }
    }
}
