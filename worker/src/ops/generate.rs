//! `image.generate`, by the local provider.

use super::Job;
use super::job::outputs;
use crate::local::{Drawing, draw};
use crate::media::{Layout, Picture, Size};
use darkroom_proto::{StepError, Succeeded};

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let model = params.text("model")?;
    job.context().routes.require(job.op().name, &model)?;
    let (prompt, negative) = (params.text("prompt")?, params.text("negative-prompt").unwrap_or_default());
    let size =
        Size { width: params.pixels("width").unwrap_or(1_024), height: params.pixels("height").unwrap_or(1_024) };
    let drawing = Drawing {
        prompt: &prompt,
        negative: &negative,
        seed: params.integer("seed").unwrap_or(0).unsigned_abs(),
        width: size.width,
        height: size.height,
        model: &model,
    };
    let picture = Picture::new(size, Layout::Rgb, draw(&drawing).into_raw())?;
    let image = job.hand_on(picture, None)?;
    let mut succeeded = outputs([("image", image.to_value())]);
    for ignored in ["steps", "guidance"] {
        if params.given(ignored).is_some() {
            succeeded.notes.push(format!("the local preview ignores `{ignored}`"));
        }
    }
    Ok(succeeded)
}
