//! The routes of services that were there before `/v1`: the same runs, in the words that these services know.
//!
//! An *execution* is a run, its *job id* the run's id. Its *checkpoints* are the top-level steps, numbered from 1; checkpoint 0 is
//! a step that no workflow has, `upload`, which stands for the file that was sent. Artifacts are links: an output `image` that is
//! one is `image_url`.

mod catalogue;
mod execute;
mod execution;
mod stream;

pub(crate) use catalogue::{Catalogue, list};
pub(crate) use execute::{Choices, Executed, execute};
pub(crate) use execution::{Execution, Retried, execution, retry};
pub(crate) use stream::stream;

use crate::service::Api;
use darkroom_backend::{Ledger, Queue, Store};
use darkroom_coordinator::Stored;
use darkroom_engine::plan::{Input, Plan};
use darkroom_engine::{Run, State};
use darkroom_proto::{Artifact, Map, RunStatus, StepDocument, StepPath, StepStatus};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

/// The step that stands for the file that was sent.
const UPLOAD: &str = "upload";

/// Where an execution stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum ExecutionStatus {
    /// Nothing of it has started.
    Pending,
    /// It is under way, waits, or is paused.
    Running,
    /// It is done.
    Completed,
    /// It failed or was cancelled.
    Failed,
    /// It is tried again when what was in the way may have gone.
    PendingRetry,
}

impl ExecutionStatus {
    fn of(status: RunStatus) -> ExecutionStatus {
        match status {
            RunStatus::Pending => ExecutionStatus::Pending,
            RunStatus::Running | RunStatus::Waiting | RunStatus::Paused => ExecutionStatus::Running,
            RunStatus::Completed => ExecutionStatus::Completed,
            RunStatus::Failed | RunStatus::Cancelled => ExecutionStatus::Failed,
            RunStatus::PendingRetry => ExecutionStatus::PendingRetry,
        }
    }
}

/// Where a checkpoint stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum CheckpointStatus {
    /// It waits for earlier steps.
    Pending,
    /// It is under way.
    Running,
    /// It is done, or was not needed.
    Completed,
    /// It failed of something that trying again does not mend, or was cancelled.
    Failed,
    /// It failed of something that may pass.
    FailedRetryable,
    /// It is tried again when what was in the way may have gone.
    PendingRetry,
}

impl CheckpointStatus {
    fn of(step: &StepDocument, is_parked: bool) -> CheckpointStatus {
        match step.status {
            StepStatus::Pending | StepStatus::Ready => CheckpointStatus::Pending,
            StepStatus::Running | StepStatus::Waiting => CheckpointStatus::Running,
            StepStatus::Completed | StepStatus::Skipped | StepStatus::Cached => CheckpointStatus::Completed,
            StepStatus::Retrying if is_parked => CheckpointStatus::PendingRetry,
            StepStatus::Retrying => CheckpointStatus::FailedRetryable,
            StepStatus::Failed if step.error.as_ref().is_some_and(|error| error.retryable) => {
                CheckpointStatus::FailedRetryable
            }
            StepStatus::Failed | StepStatus::Cancelled => CheckpointStatus::Failed,
        }
    }
}

/// Where a step of a run stands, as a checkpoint.
fn status_of(run: &Run, step: &StepDocument) -> CheckpointStatus {
    let path: Option<StepPath> = step.path.parse().ok();
    let state = path.and_then(|path| run.step(&path)).map(|step| step.state);
    CheckpointStatus::of(step, matches!(state, Some(State::Parked { .. })))
}

/// The input that the file that was sent is: the first that has to be given, else the first that has no default, else the first.
fn upload_input(plan: &Plan) -> Option<&Input> {
    let files = || plan.inputs.iter().filter(|input| input.takes_files());
    files().find(|input| input.required).or_else(|| files().find(|input| input.default.is_none())).or(files().next())
}

/// What was sent, as the output of the step `upload`.
fn uploaded(stored: &Stored) -> Map {
    let input = upload_input(&stored.plan).map(|input| stored.run.input(&input.name));
    let file = match input {
        Some(Value::Array(mut files)) if files.len() == 1 => files.pop(),
        other => other,
    };
    file.filter(|file| !file.is_null()).map(|file| Map::from_iter([("file".to_owned(), file)])).unwrap_or_default()
}

/// The checkpoint that a run is at: the step that failed it, else the first that is not done, else the last.
fn current(stored: &Stored) -> u32 {
    if let Some(failure) = &stored.run.head.failure {
        return failure.number;
    }
    let plan = &stored.plan;
    let nodes = || plan.top.nodes.iter().map(|node| plan.node(*node));
    let is_done = |id: &str| {
        let status = stored.run.status_of(&StepPath::top(id));
        matches!(status, StepStatus::Completed | StepStatus::Skipped | StepStatus::Cached)
    };
    nodes().find(|node| !is_done(&node.id)).or(nodes().next_back()).map_or(0, |node| node.number)
}

impl<S: Store + Ledger, Q: Queue> Api<S, Q> {
    /// Outputs with links in the place of artifacts.
    async fn as_urls(&self, outputs: Map) -> Result<Map, crate::Problem> {
        match with_urls(self.with_links(Value::Object(outputs)).await?) {
            Value::Object(outputs) => Ok(outputs),
            _ => Err(crate::Problem::internal("outputs are no object")),
        }
    }
}

/// A value with `<name>_url` in the place of each artifact, and a list of links in the place of a list of artifacts.
fn with_urls(value: Value) -> Value {
    match value {
        Value::Object(object) => Value::Object(
            object
                .into_iter()
                .map(|(name, value)| match links(&value) {
                    Some(links) => (format!("{name}_url"), links),
                    None => (name, with_urls(value)),
                })
                .collect(),
        ),
        Value::Array(items) => {
            Value::Array(items.into_iter().map(|item| links(&item).unwrap_or(with_urls(item))).collect())
        }
        other => other,
    }
}

/// The link to an artifact, the links of a list of artifacts.
fn links(value: &Value) -> Option<Value> {
    match value {
        Value::Array(items) if !items.is_empty() => {
            items.iter().map(links).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        value => Artifact::from_value(value).and_then(|_| value.get("url").cloned()),
    }
}

/// Where a job is told of.
fn job_url(base: &str, id: darkroom_proto::RunId) -> String {
    format!("{base}/workflows/execution/{id}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn artifacts_are_links_wherever_they_are() {
        let artifact =
            |url: &str| json!({ "sha256": "0".repeat(64), "media_type": "image/png", "bytes": 3, "url": url });
        let outputs = json!({
            "image": artifact("/a"), "text": "mug", "images": [artifact("/b"), artifact("/c")], "none": [],
            "results": [{ "ok": true, "image": artifact("/d") }, { "ok": false, "image": null }],
        });
        let expected = json!({
            "image_url": "/a", "text": "mug", "images_url": ["/b", "/c"], "none": [],
            "results": [{ "ok": true, "image_url": "/d" }, { "ok": false, "image": null }],
        });
        assert_eq!(with_urls(outputs), expected);
    }

    #[test]
    fn every_status_of_a_run_is_one_that_older_services_know() {
        let word = |status: &RunStatus| serde_json::to_value(ExecutionStatus::of(*status)).unwrap();
        let words: Vec<Value> = RunStatus::ALL.iter().map(word).collect();
        let expected = ["pending", "running", "running", "pending_retry", "running", "completed", "failed", "failed"];
        assert_eq!(words, expected);
    }
}
