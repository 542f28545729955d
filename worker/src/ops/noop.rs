//! `noop`.

use super::Params;
use super::job::outputs;
use darkroom_proto::{Duration, ErrorClass, StepError, StepMessage, Succeeded, op};
use serde_json::Value;

/// What a `noop` gives, and how long to wait before saying so. Whoever runs it waits, without a thread.
///
/// # Errors
/// When its parameters are not what it takes.
pub fn noop(message: &StepMessage) -> Result<(Duration, Succeeded), StepError> {
    let Some(op) = op::find("noop") else {
        return Err(StepError::new(ErrorClass::WorkflowError, "`noop` is no op that this worker knows"));
    };
    let params = Params::new(op, &message.params)?;
    let data = params.given("data").cloned().unwrap_or(Value::Null);
    Ok((params.duration("step-time")?, outputs([("data", data)])))
}
