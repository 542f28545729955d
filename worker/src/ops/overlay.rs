//! `image.overlay`.

use super::Job;
use super::job::outputs;
use crate::media::{Gravity, Picture, Placement, Size, overlay, resize_to};
use darkroom_proto::{StepError, Succeeded};

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let (image, top) = (params.artifact("image")?, params.artifact("overlay")?);
    let placement = match (params.integer("x"), params.integer("y")) {
        (Some(x), Some(y)) => Placement::At { x, y },
        (None, None) => {
            let word = params.text("gravity")?;
            let gravity = Gravity::from_name(&word);
            Placement::Towards {
                gravity: gravity.ok_or_else(|| params.invalid("gravity", format_args!("is `{word}`")))?,
                margin: params.integer("margin").unwrap_or_default(),
            }
        }
        (Some(_), None) => return Err(params.missing("y").advice("Give both `x` and `y`, or neither.")),
        (None, Some(_)) => return Err(params.missing("x").advice("Give both `x` and `y`, or neither.")),
    };
    let (opacity, scale) = (params.number("opacity")?, params.number("scale")?);

    let top = job.picture(&top)?;
    let scaled: Option<Picture> =
        (scale != 1.0).then(|| resize_to(&top.picture, times(top.picture.size(), scale))).transpose()?;
    let base = job.picture(&image)?;
    let result = overlay(&base.picture, scaled.as_ref().unwrap_or(&top.picture), placement, opacity)?;
    drop((base, top, scaled));
    Ok(outputs([("image", job.hand_on(result, Some(&image))?.to_value())]))
}

fn times(size: Size, scale: f64) -> Size {
    let side = |side: u32| (f64::from(side) * scale).round().max(1.0) as u32;
    Size { width: side(size.width), height: side(size.height) }
}
