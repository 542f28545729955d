//! `fail`.

use super::Job;
use super::job::outputs;
use darkroom_proto::{ErrorClass, StepError, Succeeded};
use serde_json::Value;

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    if params.integer("times").is_some_and(|times| i64::from(job.message().attempt) > times) {
        return Ok(outputs([("data", params.given("data").cloned().unwrap_or(Value::Null))]));
    }
    let (class, message) = (params.text("class")?, params.text("message")?);
    match ErrorClass::from_name(&class) {
        Some(class) => Err(StepError::new(class, message)),
        // The only word of the table that is no class. That the worker survives it is what it is there to show.
        None => panic!("{message}"),
    }
}
