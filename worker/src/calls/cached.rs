//! The step cache, as a worker uses it: before a step is done or a call for it is begun, and after it succeeded.

use super::Caller;
use crate::workbench::artifacts_of;
use darkroom_backend::{Ledger, Store};
use darkroom_proto::{
    Artifact, CacheEntry, CacheParts, CachedFrom, ErrorClass, Map, Money, Sha256, StepError, StepMessage, Succeeded,
    model, op,
};
use serde_json::{Value, json};

/// Who does a step. A preview is never taken for what the model would have made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// A provider.
    Provider,
    /// This machine.
    Local,
}

impl<S: Store + Ledger> Caller<S> {
    /// Ends a step with what an equal one gave, if that is there whole; saves it where this step saves. A store that is
    /// away, or files that are gone, only mean that the step is done.
    pub(crate) async fn take_cached(&self, message: &StepMessage, by: By) -> Option<Result<Succeeded, StepError>> {
        let key = self.cache_key(message, by).filter(|_| message.cache.as_ref().is_some_and(|cache| cache.read))?;
        let entry = match self.store.cached(key).await {
            Ok(entry) => entry?,
            Err(error) => {
                tracing::debug!(%error, "the step cache was not asked");
                return None;
            }
        };
        let (workbench, message) = (self.workbench.clone(), message.clone());
        let taken = tokio::task::spawn_blocking(move || {
            if !workbench.has_all(&entry.outputs) {
                return None;
            }
            let mut origin = json!({ "cached": entry.from, "cost": 0.0 });
            if by == By::Local {
                origin["provider"] = json!("local");
                origin["preview"] = json!(true);
            }
            let outputs = named_here(&message, entry.outputs, by);
            let succeeded = Succeeded { outputs, cached: Some(entry.from), ..Succeeded::default() };
            Some(workbench.finish_called(&message, succeeded, &origin))
        });
        let aborted = || Some(Err(StepError::new(ErrorClass::WorkflowError, "taking from the cache was aborted")));
        let taken = taken.await.unwrap_or_else(|_| aborted())?;
        metrics::counter!("darkroom_worker_cache_hits_total").increment(1);
        Some(taken)
    }

    /// Keeps what a step gave for equal ones. That it can't be kept costs the next one its work, and this one nothing.
    pub(crate) async fn keep_cached(&self, message: &StepMessage, succeeded: &Succeeded, by: By, cost: Money) {
        let Some(key) = self.cache_key(message, by).filter(|_| succeeded.cached.is_none()) else { return };
        let Ok(at) = self.now().await else { return };
        let from = CachedFrom { run: message.run, step: message.path.clone() };
        let parts = self.parts(message, by);
        let entry = CacheEntry { outputs: succeeded.outputs.clone(), from, at, cost, parts };
        let keep = std::time::Duration::from_millis(self.providers.options.cache_keep.0);
        if let Err(error) = self.store.put_cached(key, &entry, keep).await {
            tracing::warn!(%error, "what the step gave is not in the step cache");
        }
    }

    /// The key of the message for who does it: this machine, or providers at these addresses. What the simulator made is
    /// not what the provider itself would have made.
    fn cache_key(&self, message: &StepMessage, by: By) -> Option<Sha256> {
        let cache = message.cache.as_ref()?;
        let by = match by {
            By::Local => json!("local"),
            By::Provider => json!(self.addresses(message)),
        };
        Some(Sha256::of(json!([cache.key, by]).to_string().as_bytes()))
    }

    /// What determines what the step gives, for people who ask why another one was not taken from it.
    fn parts(&self, message: &StepMessage, by: By) -> Option<CacheParts> {
        let tenant = message.cache.as_ref().map(|cache| &cache.tenant)?;
        let by = match by {
            By::Local => "local".to_owned(),
            By::Provider => {
                let addresses = self.addresses(message);
                addresses.iter().map(|(name, url)| format!("{name} at {url}")).collect::<Vec<_>>().join(", ")
            }
        };
        Some(CacheParts { by, ..CacheParts::of(tenant, op::find(&message.op)?, &message.params) })
    }

    /// The providers of the step's model whose address is set.
    fn addresses(&self, message: &StepMessage) -> Vec<(&'static str, String)> {
        let name = message.params.get("model").and_then(Value::as_str).unwrap_or_default();
        let routes = model::find(&message.op, name).map(|model| model.routes.as_slice()).unwrap_or_default();
        let offers = |provider: &str| routes.iter().any(|route| route.provider == provider);
        let accounts = self.providers.accounts().into_iter().filter(|account| offers(account.adapter.name()));
        accounts.filter_map(|account| Some((account.adapter.name(), account.base_url.clone()?))).collect()
    }
}

/// The outputs with their files called as if they had been made here: what is passed on keeps its name, what was made is
/// called after the step, or after the picture that it was made from.
fn named_here(message: &StepMessage, mut outputs: Map, by: By) -> Map {
    let given: Vec<Artifact> = message.params.values().flat_map(artifacts_of).collect();
    let source = message.params.get("image").and_then(Artifact::from_value).filter(|_| by == By::Local);
    let stem = source.map(|source| source.stem().to_owned()).filter(|stem| !stem.is_empty());
    let stem = stem.unwrap_or_else(|| message.path.last().0.to_owned());
    let renamed = |made: Artifact| match given.iter().find(|given| given.sha256 == made.sha256) {
        Some(given) => given.clone(),
        None => Artifact { name: format!("{stem}.{}", made.ext()), ..made },
    };
    for value in outputs.values_mut() {
        if let Some(made) = Artifact::from_value(value) {
            *value = renamed(made).to_value();
        } else if let Value::Array(items) = value {
            for item in items {
                if let Some(made) = Artifact::from_value(item) {
                    *item = renamed(made).to_value();
                }
            }
        }
    }
    outputs
}
