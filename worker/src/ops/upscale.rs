//! `image.upscale`, by the local provider.

use super::Job;
use super::job::outputs;
use super::local::require;
use crate::media::{Fit, Resizing, resize_to, sharpen};
use darkroom_proto::{StepError, Succeeded};

/// How much edges are raised after enlarging, which softens them.
const SHARPEN: f32 = 0.6;

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    require(job)?;
    let image = params.artifact("image")?;
    let factor = params.number("factor")?;
    let decoded = job.picture(&image)?;
    let size = decoded.picture.size();
    let times = |side: u32| (f64::from(side) * factor).round() as u32;
    let plan = Resizing::plan(size, Some(times(size.width)), Some(times(size.height)), Fit::Exact, true);
    let plan = plan.map_err(|error| {
        let mut error = StepError::from(error);
        error.message = format!("{factor} times {size}: {}", error.message);
        error.advice("give a smaller `factor`, or make the picture smaller before")
    })?;
    let larger = sharpen(&resize_to(&decoded.picture, plan.output)?, if factor > 1.0 { SHARPEN } else { 0.0 });
    drop(decoded);
    Ok(outputs([("image", job.hand_on(larger, Some(&image))?.to_value())]))
}
