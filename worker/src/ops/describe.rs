//! `image.describe`, by the local provider.

use super::Job;
use super::job::outputs;
use super::local::require;
use crate::local::describe;
use crate::workbench::rgb;
use darkroom_proto::{StepError, Succeeded};
use serde_json::json;

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    require(job)?;
    let decoded = job.picture(&params.artifact("image")?)?;
    let mut text = describe(&rgb(&decoded.picture));
    if let Ok(question) = params.text("prompt") {
        // It can't be answered here, and whoever reads on should see that.
        text = format!("Asked “{question}”, the local preview can only say what it measures: {text}");
    }
    Ok(outputs([("text", json!(text))]))
}
