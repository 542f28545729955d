//! `image.adjust` and `image.grayscale`.

use super::Job;
use super::job::outputs;
use crate::media::{Adjustment, adjust, grayscale};
use darkroom_proto::{StepError, Succeeded};

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let image = params.artifact("image")?;
    let adjustment = Adjustment {
        brightness: params.number("brightness")?,
        contrast: params.number("contrast")?,
        saturation: params.number("saturation")?,
        gamma: params.number("gamma")?,
        auto_white_balance: params.boolean("auto-white-balance")?,
    };
    let adjusted = adjust(&job.picture(&image)?.picture, &adjustment);
    Ok(outputs([("image", job.hand_on(adjusted, Some(&image))?.to_value())]))
}

pub(super) fn run_grayscale(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let image = job.params().artifact("image")?;
    let gray = grayscale(&job.picture(&image)?.picture);
    Ok(outputs([("image", job.hand_on(gray, Some(&image))?.to_value())]))
}
