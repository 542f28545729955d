//! `image.remove-background`, by the local provider.

use super::Job;
use super::job::outputs;
use super::local::{Colors, require, with_opacity};
use crate::local::cutout;
use darkroom_proto::{StepError, Succeeded};

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    require(job)?;
    let image = job.params().artifact("image")?;
    let colors = Colors::of(job, &image)?;
    let mut alpha = cutout(&colors.rgb);
    // What was transparent before stays so.
    for (alpha, was) in alpha.iter_mut().zip(colors.alpha.iter().flatten()) {
        *alpha = (*alpha).min(*was);
    }
    let picture = with_opacity(colors.rgb, &alpha)?;
    Ok(outputs([("image", job.hand_on(picture, Some(&image))?.to_value())]))
}
