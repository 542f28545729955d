//! `image.encode`.

use super::Job;
use super::job::outputs;
use crate::media::Encoding;
use darkroom_proto::{StepError, Succeeded};

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let image = params.artifact("image")?;
    let quality = params.integer("quality").and_then(|quality| u8::try_from(quality).ok());
    let quality = quality.ok_or_else(|| params.missing("quality"))?;
    let encoding = match (params.text("format")?.as_str(), params.boolean("lossless")?) {
        ("png", _) => Encoding::Png,
        ("jpeg", true) => {
            return Err(params
                .invalid("lossless", "can't be had with JPEG")
                .advice("Write PNG or WebP, or leave `lossless` out."));
        }
        ("jpeg", false) => Encoding::Jpeg { quality, background: params.parsed("background")? },
        (_, true) => Encoding::WebPLossless,
        (_, false) => Encoding::WebP { quality },
    };
    let decoded = job.picture(&image)?;
    let artifact = job.context().store(&decoded.picture, encoding, &job.stem(Some(&image)))?;
    Ok(outputs([("image", artifact.to_value())]))
}
