//! `image.edit` and `image.style`, by the local provider.

use super::Job;
use super::job::outputs;
use super::local::{Colors, STRENGTH, ignored, require};
use crate::local::{Edit, Style, edit, style};
use crate::media::{Aspect, Color, Fit, Layout, Picture, Resizing, Size, aspect_area, resize, resize_to};
use darkroom_proto::{StepError, Succeeded};

pub(super) fn run(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let model = require(job)?;
    let notes = ignored(job, &["steps", "guidance", "images"])?;
    let image = params.artifact("image")?;
    let (prompt, negative) = (params.text("prompt")?, params.text("negative-prompt").unwrap_or_default());
    let colors = Colors::of(job, &image)?;
    let asked = Edit { prompt: &prompt, negative: &negative, seed: seed(job), strength: strength(job), model: &model };
    let mut made = edit(&colors.rgb, &asked);
    if let Ok(mask) = params.artifact("mask") {
        let mask = job.picture(&mask)?;
        let size = Size { width: made.width(), height: made.height() };
        let mask = resize_to(&mask.picture.flattened(Color::WHITE).to_layout(Layout::Gray), size)?;
        for ((made, was), may) in made.pixels_mut().zip(colors.rgb.pixels()).zip(mask.pixels()) {
            for (made, was) in made.0.iter_mut().zip(was.0) {
                let (new, old, may) = (u32::from(*made), u32::from(was), u32::from(*may));
                *made = ((new * may + old * (255 - may) + 127) / 255) as u8;
            }
        }
    }
    let picture = fitted(job, colors.with(made)?)?;
    let image = job.hand_on(picture, Some(&image))?;
    Ok(Succeeded { notes, ..outputs([("image", image.to_value())]) })
}

pub(super) fn run_style(job: &Job<'_>) -> Result<Succeeded, StepError> {
    let params = job.params();
    let model = require(job)?;
    let notes = ignored(job, &["steps", "guidance"])?;
    let image = params.artifact("image")?;
    let (prompt, negative) = (params.text("prompt")?, params.text("negative-prompt").unwrap_or_default());
    let colors = Colors::of(job, &image)?;
    let asked = Style { prompt: &prompt, negative: &negative, seed: seed(job), strength: strength(job), model: &model };
    let picture = colors.with(style(&colors.rgb, &asked))?;
    let image = job.hand_on(picture, Some(&image))?;
    Ok(Succeeded { notes, ..outputs([("image", image.to_value())]) })
}

pub(super) fn seed(job: &Job<'_>) -> u64 {
    job.params().integer("seed").unwrap_or(0).unsigned_abs()
}

fn strength(job: &Job<'_>) -> f32 {
    job.params().number("strength").unwrap_or(STRENGTH) as f32
}

/// The picture in the proportion and size that the step asks for: what strikes the eye stays.
fn fitted(job: &Job<'_>, picture: Picture) -> Result<Picture, StepError> {
    let params = job.params();
    let (width, height) = (params.pixels("width"), params.pixels("height"));
    let focus = |picture: &Picture| (job.context().focus)(picture);
    let mut picture = picture;
    if params.given("aspect").is_some() {
        let aspect: Aspect = params.parsed("aspect")?;
        if width.is_some() && height.is_some() {
            return Err(params
                .invalid("aspect", "can't be given with both `width` and `height`")
                .advice("Give it with one of them, or leave it out."));
        }
        picture = picture.cropped(aspect_area(picture.size(), aspect, focus(&picture)))?;
    }
    if width.is_none() && height.is_none() {
        return Ok(picture);
    }
    let plan = Resizing::plan(picture.size(), width, height, Fit::Cover, true)?;
    Ok(resize(&picture, plan, focus(&picture), Color::WHITE)?)
}
