//! `image.resize`.

use super::Job;
use super::crop::focus;
use super::job::outputs;
use crate::media::{DecodeHint, Fit, Resizing, resize};
use darkroom_proto::{StepError, Succeeded};

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let image = params.artifact("image")?;
    let (width, height) = (params.pixels("width"), params.pixels("height"));
    if width.is_none() && height.is_none() {
        return Err(params.missing("width").advice("Give `width`, `height` or both."));
    }
    let fit = match params.text("fit")?.as_str() {
        "inside" => Fit::Inside,
        "exact" => Fit::Exact,
        "pad" => Fit::Pad,
        _ => Fit::Cover,
    };
    let enlarge = params.boolean("enlarge")?;
    let background = params.parsed("background")?;
    let plan = |size| Resizing::plan(size, width, height, fit, enlarge);

    let decoded = job.picture_for(&image, |info| Ok(DecodeHint::at_least(plan(info.size)?.scaled)))?;
    let focus = focus(job, &decoded.picture)?;
    let resized = resize(&decoded.picture, plan(decoded.info.size)?, focus, background)?;
    drop(decoded);
    Ok(outputs([("image", job.hand_on(resized, Some(&image))?.to_value())]))
}
