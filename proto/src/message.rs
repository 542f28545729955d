//! What coordinators and workers say to each other.
//!
//! On a broker these travel as MessagePack with field names; embedded they are handed over as they are.

use crate::{
    Artifact, CacheUse, CachedFrom, Duration, Money, RunId, Sha256, StepCost, StepError, StepPath, Ticket, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The version of the messages that this release writes; it reads this one and the one before.
pub const WIRE_VERSION: u8 = 1;

/// Named JSON values, such as parameters and outputs.
pub type Map = serde_json::Map<String, Value>;

/// A run is to be started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// The run, which is in the store already.
    pub run: RunId,
}

/// A step is to be done: everything that a worker needs to do one attempt of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StepMessage {
    /// The run that it belongs to.
    pub run: RunId,
    /// Which step instance it is.
    pub path: StepPath,
    /// Rises with each drop, resume or repetition of the step; reports of an older one are ignored.
    pub generation: u32,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// What to do.
    pub op: String,
    /// Resolved parameters: no expressions are left in them. Artifacts are references.
    pub params: Map,
    /// How long this attempt may take.
    pub timeout: Duration,
    /// Where the primary output is saved, if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save: Option<SaveTarget>,
    /// What goes into the manifest.
    pub provenance: Provenance,
    /// What the whole run may cost, if that is limited.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<Money>,
    /// Of a poll message: the call that is to be asked about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Box<Ticket>>,
    /// Since when the step waits to be let in; it is deferred without using an attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deferred_since: Option<Timestamp>,
    /// In which life of the store it was sent. What was lost between two lives is not known to be lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// How it uses the step cache, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheUse>,
}

/// Where an output is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SaveTarget {
    /// The path, relative to the output folder, with `/` between its parts; checked not to leave it.
    pub path: String,
    /// The output folder, absolute. Without one the file is only recorded under its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<String>,
}

/// Where a step comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provenance {
    /// The workflow's id.
    pub workflow: String,
    /// The digest of the definition.
    pub definition: Sha256,
}

/// What a worker says of an attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The run of the step.
    pub run: RunId,
    /// The step instance.
    pub path: StepPath,
    /// The generation from the message.
    pub generation: u32,
    /// The attempt from the message.
    pub attempt: u32,
    /// How it ended, or that it waits.
    pub outcome: Outcome,
    /// What the step has cost so far in this generation.
    #[serde(default, skip_serializing_if = "StepCost::is_none")]
    pub cost: StepCost,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It is done.
    Succeeded(Succeeded),
    /// It is not.
    Failed(StepError),
    /// It has not ended: it waits for a provider, or to be let in, and holds no slot.
    Waiting(Waiting),
    /// It has not ended: a worker of a task is at it, and says so.
    Working(Working),
}

impl Outcome {
    /// The word for it in logs and metrics.
    pub fn name(&self) -> &'static str {
        match self {
            Outcome::Succeeded(_) => "succeeded",
            Outcome::Failed(_) => "failed",
            Outcome::Waiting(_) => "waiting",
            Outcome::Working(_) => "working",
        }
    }
}

/// What a step waits for that is with no worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Waiting {
    /// For people, such as `minimax/video-01 at fal`, or `a free place at fal (10 at once)`.
    pub reason: String,
    /// Whether a provider has the job: then the step may be paid already.
    pub submitted: bool,
    /// When it is to be looked after next.
    pub until: Timestamp,
}

/// A sign of life from a worker of a task.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Working {
    /// How much of it is done, from 0 to 1, if that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// What it is at, for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

/// What a done attempt gave.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Succeeded {
    /// The outputs of the op, by name.
    pub outputs: Map,
    /// What was saved, if something was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Saved>,
    /// Said to people, such as parameters that were ignored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
    /// Whose outputs these are, if they were taken from the step cache.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached: Option<CachedFrom>,
}

/// A file that was saved under a name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saved {
    /// The path, relative to the output folder.
    pub path: String,
    /// What stands there.
    pub artifact: Artifact,
}
