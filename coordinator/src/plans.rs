//! Compiled workflows, by the hash of their definition.

use darkroom_backend::{Definition, Store, StoreError};
use darkroom_engine::plan::Plan;
use darkroom_engine::{Source, compile};
use darkroom_proto::Sha256;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

/// How many plans are kept.
const PLANS_MAX: usize = 256;

/// The plans of the definitions in a store, compiled when they are first needed.
#[derive(Debug)]
pub struct Plans<S> {
    store: S,
    // A std mutex: it is held for a look-up, never across an await.
    kept: Mutex<BTreeMap<Sha256, Arc<Plan>>>,
}

/// Why there is no plan.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// The definition is not in the store.
    #[error("the definition {0} is not in the store")]
    Missing(Sha256),
    /// A definition that was accepted once is not accepted by this release.
    #[error("the definition {hash} does not compile with this release: {first}")]
    Refused {
        /// Which.
        hash: Sha256,
        /// The first of the errors.
        first: String,
    },
    /// The store could not be read.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl<S: Store> Plans<S> {
    /// The plans of a store.
    pub fn new(store: S) -> Plans<S> {
        Plans { store, kept: Mutex::new(BTreeMap::new()) }
    }

    /// The plan of a definition.
    pub async fn get(&self, hash: Sha256) -> Result<Arc<Plan>, PlanError> {
        if let Some(plan) = self.kept().get(&hash) {
            return Ok(plan.clone());
        }
        let definition = self.store.definition(hash).await?.ok_or(PlanError::Missing(hash))?;
        Ok(self.keep(Arc::new(compile_definition(definition)?)))
    }

    /// Keeps a plan that was compiled elsewhere.
    pub fn keep(&self, plan: Arc<Plan>) -> Arc<Plan> {
        let mut kept = self.kept();
        while kept.len() >= PLANS_MAX {
            kept.pop_first();
        }
        kept.insert(plan.definition, plan.clone());
        plan
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, BTreeMap<Sha256, Arc<Plan>>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Compiles a definition that was accepted before.
pub(crate) fn compile_definition(definition: Definition) -> Result<Plan, PlanError> {
    let hash = definition.hash;
    let compiled = compile(&Source::new(definition.file, definition.source));
    compiled.map(|compiled| compiled.plan).map_err(|errors| PlanError::Refused {
        hash,
        first: errors.first().map(|error| error.message.clone()).unwrap_or_default(),
    })
}
