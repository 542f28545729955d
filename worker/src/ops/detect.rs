//! `image.detect`, by the local provider.

use super::Job;
use super::job::outputs;
use super::local::require;
use crate::local::{DetectOptions, detect};
use crate::workbench::rgb;
use darkroom_proto::{ErrorClass, StepError, Succeeded};
use serde_json::json;

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    require(job)?;
    let artifact = params.artifact("image")?;
    let decoded = job.picture(&artifact)?;
    let options = DetectOptions {
        max: params.integer("max").and_then(|max| usize::try_from(max).ok()).unwrap_or(5),
        min_score: params.number("min-score")? as f32,
    };
    let found = detect(&rgb(&decoded.picture), options);
    let target = params.given("target").and_then(|target| target.as_str()).unwrap_or("object");
    if found.is_empty() && !params.boolean("allow-empty")? {
        let name = if artifact.name.is_empty() { "the picture" } else { &artifact.name };
        return Err(StepError::new(ErrorClass::InvalidInput, format!("nothing that stands out was found in {name}"))
            .code("nothing_found")
            .advice(
                "use a picture in which the subject stands out, or set `allow-empty: true` and an `if` on what follows",
            ));
    }
    let boxes: Vec<_> = found.iter().map(|detection| json!(detection.bounds)).collect();
    let labels: Vec<_> = found.iter().map(|_| json!(target)).collect();
    let scores: Vec<_> =
        found.iter().map(|found| json!((f64::from(found.score) * 1_000.0).round() / 1_000.0)).collect();
    Ok(outputs([
        ("boxes", json!(boxes)),
        ("labels", json!(labels)),
        ("scores", json!(scores)),
        ("image", artifact.to_value()),
    ]))
}
