//! The ops of the op table, on a worker: parameters in, artifacts and values out.
//!
//! Everything here blocks; callers run it on threads for that. Reading and storing artifacts, and finding what strikes
//! the eye, come in through [`Context`].

mod adjust;
mod cache;
mod contact_sheet;
mod crop;
mod describe;
mod detect;
mod edit;
mod encode;
mod fail;
mod files;
mod generate;
mod info;
mod job;
mod label;
mod local;
mod noop;
mod overlay;
mod params;
mod place;
mod remove_background;
mod resize;
mod save;
mod save_path;
mod speech;
mod upscale;
mod video;

pub use cache::PixelCache;
pub use files::{Files, NewFile};
pub use job::{Context, Job};
pub use noop::noop;
pub use params::Params;
pub use place::{clear_leftovers, place};

use darkroom_proto::{Artifact, ErrorClass, StepError, StepMessage, Succeeded};

/// Does one attempt of a step, and saves its primary output where the step says so.
///
/// # Errors
/// When the parameters are not what the op takes, the op fails, or the output can't be saved.
pub fn run(message: &StepMessage, context: &Context<'_>) -> Result<Succeeded, StepError> {
    let job = Job::new(message, context)?;
    let mut succeeded = match message.op.as_str() {
        "image.generate" => generate::run(&job),
        "image.detect" => detect::run(&job),
        "image.edit" => edit::run(&job),
        "image.style" => edit::run_style(&job),
        "image.upscale" => upscale::run(&job),
        "image.remove-background" => remove_background::run(&job),
        "image.describe" => describe::run(&job),
        "image.crop" => crop::run(&job),
        "image.resize" => resize::run(&job),
        "image.overlay" => overlay::run(&job),
        "image.grayscale" => adjust::run_grayscale(&job),
        "image.adjust" => adjust::run(&job),
        "image.encode" => encode::run(&job),
        "image.contact-sheet" => contact_sheet::run(&job),
        "image.info" => info::run(&job),
        "video.generate" => video::run(&job),
        "audio.speech" => speech::run(&job),
        "save" => return save::run(&job),
        "fail" => fail::run(&job),
        other => Err(StepError::new(ErrorClass::WorkflowError, format!("this worker does not run `{other}`"))
            .code("unknown_op")
            .advice("Upgrade the workers to the coordinator's release.")),
    }?;
    if let Some(target) = &message.save {
        let primary = succeeded.outputs.get(job.op().primary).and_then(Artifact::from_value).ok_or_else(|| {
            StepError::new(ErrorClass::WorkflowError, format!("`{}` gives no file to save", message.op))
        })?;
        succeeded.saved = Some(place(&primary, target, context)?);
    }
    Ok(succeeded)
}
