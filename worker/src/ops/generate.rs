//! `image.generate`, by the local provider.

use super::Job;
use super::edit::seed;
use super::job::outputs;
use super::local::{ignored, opaque, require};
use crate::local::{Drawing, draw};
use crate::media::{Aspect, Size};
use darkroom_proto::{StepError, Succeeded};

/// A side of a picture that is given only a proportion is a multiple of this, as models have it.
const SIDE_STEP: f64 = 8.0;

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let model = require(job)?;
    let notes = ignored(job, &["steps", "guidance", "safety"])?;
    let (prompt, negative) = (params.text("prompt")?, params.text("negative-prompt").unwrap_or_default());
    let size = size(job)?;
    let drawing = Drawing {
        prompt: &prompt,
        negative: &negative,
        seed: seed(job),
        width: size.width,
        height: size.height,
        model: &model,
    };
    let image = job.hand_on(opaque(draw(&drawing))?, None)?;
    Ok(Succeeded { notes, ..outputs([("image", image.to_value())]) })
}

/// The sides that are given; of a proportion with one side the other follows, alone it is about a million pixels.
fn size(job: &Job<'_>) -> Result<Size, StepError> {
    let params = job.params();
    let side = |name: &str| params.pixels(name).unwrap_or(1_024);
    if params.given("aspect").is_none() {
        return Ok(Size { width: side("width"), height: side("height") });
    }
    let ratio = params.parsed::<Aspect>("aspect")?.ratio();
    let stepped = |length: f64| (length / SIDE_STEP).round() * SIDE_STEP;
    let limited = |length: f64| length.round().clamp(64.0, 4_096.0) as u32;
    Ok(match (params.given("width"), params.given("height")) {
        (Some(_), Some(_)) => {
            return Err(params
                .invalid("aspect", "can't be given with both `width` and `height`")
                .advice("Give it with one of them, or leave it out."));
        }
        (Some(_), None) => Size { width: side("width"), height: limited(f64::from(side("width")) / ratio) },
        (None, Some(_)) => Size { width: limited(f64::from(side("height")) * ratio), height: side("height") },
        (None, None) => {
            Size { width: limited(stepped(1_024.0 * ratio.sqrt())), height: limited(stepped(1_024.0 / ratio.sqrt())) }
        }
    })
}
