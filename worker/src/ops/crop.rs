//! `image.crop`.

use super::Job;
use super::job::outputs;
use crate::media::{Gravity, Picture, aspect_area, padded_area};
use darkroom_proto::{StepError, Succeeded};
use serde_json::Value;

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let image = params.artifact("image")?;
    let (area, aspect) = (params.given("box"), params.given("aspect"));
    if area.is_some() && aspect.is_some() {
        return Err(params.invalid("aspect", "can't be given with `box`").advice("Give one of the two."));
    }
    if area.is_none() && aspect.is_none() {
        return Err(params.missing("box").advice("Give `box`, or `aspect` with `focus`."));
    }
    let decoded = job.picture(&image)?;
    let size = decoded.picture.size();
    let area = if let Some(area) = area {
        let side = |name: &str| area.get(name).and_then(Value::as_f64).unwrap_or_default().round() as i64;
        let padding = params.integer("padding").unwrap_or_default();
        padded_area(size, side("x"), side("y"), side("w"), side("h"), padding)?
    } else {
        aspect_area(size, params.parsed("aspect")?, focus(job, &decoded.picture)?)
    };
    let cropped = decoded.picture.cropped(area)?;
    drop(decoded);
    Ok(outputs([("image", job.hand_on(cropped, Some(&image))?.to_value())]))
}

/// The point that the parameter `focus` keeps.
pub(super) fn focus(job: &Job<'_>, picture: &Picture) -> Result<(f32, f32), StepError> {
    let word = job.params().text("focus")?;
    match (word.as_str(), Gravity::from_name(&word)) {
        ("auto", _) => {
            // A focus that is no number would go unnoticed into every coordinate after it.
            let (x, y) = (job.context().focus)(picture);
            let valid = |value: f32| if value.is_nan() { 0.5 } else { value.clamp(0.0, 1.0) };
            Ok((valid(x), valid(y)))
        }
        (_, Some(gravity)) => Ok(gravity.point()),
        (_, None) => Err(job.params().invalid("focus", format_args!("is `{word}`, which is no place"))),
    }
}
