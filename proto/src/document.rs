//! The JSON documents that people and services read: the same from the CLI and from the API.

use crate::{ErrorClass, Map, RunId, RunStatus, ScheduleId, Scheduled, Sha256, StepError, StepStatus, Timestamp};
use serde::{Deserialize, Serialize, Serializer};

/// A run, as `show -o json` and `GET /v1/runs/{id}` give it.
#[derive(Debug, Clone, Serialize)]
pub struct RunDocument {
    /// `run_` and 32 hex digits.
    pub id: String,
    /// The workflow's id.
    pub workflow: String,
    /// The digest of the definition.
    pub version: Sha256,
    /// Where it stands.
    pub status: RunStatus,
    /// When it was stored.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(serialize_with = "rfc3339")]
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "rfc3339_option")]
    pub finished_at: Option<Timestamp>,
    /// What it was given, defaults included.
    pub inputs: Map,
    /// The schedule that started it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<ScheduledDocument>,
    /// The run that it was made from by `rerun`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<RunId>,
    /// The run that it was made from by `fork`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub forked_from: Option<RunId>,
    /// The run whose step started it, if one did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<ParentDocument>,
    /// Its top-level steps, with the instances of fan-outs that have at most 100.
    pub steps: Vec<StepDocument>,
    /// The workflow's outputs, once it completed.
    pub outputs: Map,
    /// What it cost.
    pub cost: CostDocument,
    /// Why it failed.
    pub error: Option<ErrorDocument>,
}

/// The step that started a run.
#[derive(Debug, Clone, Serialize)]
pub struct ParentDocument {
    /// Its run.
    pub run: String,
    /// Its path there.
    pub step: String,
}

/// What started a run at its time.
#[derive(Debug, Clone, Serialize)]
pub struct ScheduledDocument {
    /// The schedule.
    pub id: ScheduleId,
    /// The scheduled time, without jitter.
    #[serde(serialize_with = "rfc3339")]
    pub at: Timestamp,
}

impl From<&Scheduled> for ScheduledDocument {
    fn from(scheduled: &Scheduled) -> ScheduledDocument {
        ScheduledDocument { id: scheduled.id.clone(), at: scheduled.at }
    }
}

/// A step, or an instance of one.
#[derive(Debug, Clone, Serialize)]
pub struct StepDocument {
    /// Such as `branded[3]/resize`.
    pub path: String,
    /// What it does; a fan-out over a body has `for-each` or `matrix`.
    pub op: String,
    /// Where it stands.
    pub status: StepStatus,
    /// How many tries it took so far.
    pub attempts: u32,
    /// When it first started.
    #[serde(serialize_with = "rfc3339_option")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(serialize_with = "rfc3339_option")]
    pub finished_at: Option<Timestamp>,
    /// Its outputs by name.
    pub output: Map,
    /// Why it failed, or what made it retry.
    pub error: Option<ErrorDocument>,
    /// What it cost, in USD.
    pub cost: f64,
    /// Where it saved its output, relative to the output folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved: Option<String>,
    /// Why it was skipped, what it waits for, or what the worker of its task is at.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// While it waits for a person: `{title, show, ask, choose, since, deadline}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asks: Option<serde_json::Value>,
    /// The run that it started, if it is a workflow of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub child: Option<String>,
    /// The counts of a fan-out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub items: Option<ItemsDocument>,
    /// The instances of a small fan-out, or the steps of an instance's body.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepDocument>,
}

/// How far a fan-out is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ItemsDocument {
    /// All of them.
    pub total: u32,
    /// Done.
    pub completed: u32,
    /// Not needed.
    pub skipped: u32,
    /// Failed for good.
    pub failed: u32,
}

/// An error, with everything that a client decides by.
#[derive(Debug, Clone, Serialize)]
pub struct ErrorDocument {
    /// The class.
    pub class: ErrorClass,
    /// The finer name.
    pub code: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub advice: String,
    /// Whether trying again by itself can help.
    pub retryable: bool,
}

impl From<&StepError> for ErrorDocument {
    fn from(error: &StepError) -> Self {
        Self {
            class: error.class,
            code: error.code.clone(),
            message: error.message.clone(),
            advice: error.advice.clone(),
            retryable: error.class.retryable(),
        }
    }
}

/// What a run costs, in USD.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct CostDocument {
    /// Before it started.
    pub estimated: f64,
    /// So far.
    pub spent: f64,
    /// Calls that may have been paid twice.
    pub possible_duplicates: u32,
}

/// A run in a list.
#[derive(Debug, Clone, Serialize)]
pub struct RunRow {
    /// `run_` and 32 hex digits.
    pub id: String,
    /// The workflow's id.
    pub workflow: String,
    /// The digest of the definition.
    pub version: Sha256,
    /// Where it stands.
    pub status: RunStatus,
    /// The step that it is at or that failed.
    pub step: Option<String>,
    /// When it was stored.
    #[serde(serialize_with = "rfc3339")]
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(serialize_with = "rfc3339")]
    pub updated_at: Timestamp,
    /// When it ended.
    #[serde(serialize_with = "rfc3339_option")]
    pub finished_at: Option<Timestamp>,
    /// Why it failed.
    pub error: Option<ErrorDocument>,
    /// What it has cost so far, in USD.
    pub cost: f64,
    /// The run that it is the child of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
}

fn rfc3339<S: Serializer>(at: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(at)
}

fn rfc3339_option<S: Serializer>(at: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    match at {
        Some(at) => serializer.collect_str(at),
        None => serializer.serialize_none(),
    }
}
