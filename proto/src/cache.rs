//! The step cache: what an equal step gave before is taken instead of doing, and paying for, the step again.

use crate::{Map, Money, RunId, Sha256, StepPath, Timestamp};
use serde::{Deserialize, Serialize};

/// How a step uses the cache, as its message says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheUse {
    /// The digest of everything that determines what the step gives.
    pub key: Sha256,
    /// Whether what is there may be taken. Otherwise it is only replaced.
    pub read: bool,
}

/// The step whose outputs were taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedFrom {
    /// Its run.
    pub run: RunId,
    /// The step in it.
    pub step: StepPath,
}

/// What the cache keeps under a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// What the step gave. Artifacts are references.
    pub outputs: Map,
    /// Which step it was.
    pub from: CachedFrom,
    /// When it was done.
    pub at: Timestamp,
    /// What it cost.
    #[serde(default)]
    pub cost: Money,
}
