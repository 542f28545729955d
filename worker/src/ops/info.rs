//! `image.info`.

use super::Job;
use super::job::outputs;
use crate::media::read_info;
use darkroom_proto::{StepError, Succeeded};
use serde_json::json;

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let image = job.params().artifact("image")?;
    let bytes = job.context().read(&image)?;
    let info = read_info(&bytes, &job.context().limits)?;
    Ok(outputs([
        ("width", json!(info.size.width)),
        ("height", json!(info.size.height)),
        ("media_type", json!(info.format.media_type())),
        ("bytes", json!(bytes.len())),
        ("alpha", json!(info.alpha)),
        ("frames", json!(info.frames)),
        ("profile", json!(info.profile)),
        ("image", image.to_value()),
    ]))
}
