//! `save`.

use super::job::outputs;
use super::{Job, place};
use darkroom_proto::{SaveTarget, StepError, Succeeded};
use serde_json::json;

/// The message's target, where the engine has put the output folder and what lies above the path, goes before the
/// parameter.
pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let file = params.artifact("file")?;
    let target = match &job.message().save {
        Some(target) => target.clone(),
        None => SaveTarget { path: params.text("path")?, out: None },
    };
    let saved = place(&file, &target, job.context())?;
    let outputs = outputs([("path", json!(saved.path)), ("file", saved.artifact.to_value())]);
    Ok(Succeeded { saved: Some(saved), ..outputs })
}
