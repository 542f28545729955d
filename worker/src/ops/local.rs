//! What the ops share that the local provider serves.

use super::Job;
use crate::media::{Layout, Picture};
use darkroom_proto::{Artifact, ErrorClass, StepError};

/// How far an edit goes when nobody says.
pub(super) const STRENGTH: f64 = 0.85;

/// That the local provider serves the step's model.
pub(super) fn require(job: &Job<'_>) -> Result<String, StepError> {
    let model = job.params().text("model")?;
    job.context().routes.require(job.op().name, &model)?;
    Ok(model)
}

/// Notes of what was given and has no effect.
///
/// # Errors
/// When something was, and the step is `strict`.
pub(super) fn ignored(job: &Job<'_>, names: &[&str]) -> Result<Vec<String>, StepError> {
    let given = names.iter().filter(|name| job.params().given(name).is_some());
    given
        .map(|name| {
            if job.params().boolean("strict")? {
                let message = format!("`{}` is strict, and the local preview ignores `{name}`", job.op().name);
                return Err(StepError::new(ErrorClass::ModelNotFound, message)
                    .code("strict")
                    .advice(format!("take `{name}` or `strict` out, or configure the key of a provider")));
            }
            Ok(format!("the local preview ignores `{name}`"))
        })
        .collect()
}

/// A picture as the local provider works on it, and what it takes to put its opacity back.
pub(super) struct Colors {
    pub(super) rgb: image::RgbImage,
    pub(super) alpha: Option<Vec<u8>>,
}

impl Colors {
    /// The colours of an artifact.
    pub(super) fn of(job: &Job<'_>, artifact: &Artifact) -> Result<Colors, StepError> {
        let decoded = job.picture(artifact)?;
        let picture = &decoded.picture;
        let channels = picture.layout().channels();
        let alpha = picture
            .layout()
            .has_alpha()
            .then(|| picture.pixels().chunks_exact(channels).map(|pixel| pixel[channels - 1]).collect());
        let opaque = picture.to_layout(Layout::Rgb);
        let rgb = image::RgbImage::from_raw(opaque.width(), opaque.height(), opaque.pixels().to_vec());
        Ok(Colors { rgb: rgb.unwrap_or_default(), alpha })
    }

    /// Other colours of the same size under the same opacity.
    pub(super) fn with(&self, rgb: image::RgbImage) -> Result<Picture, StepError> {
        match &self.alpha {
            Some(alpha) => with_opacity(rgb, alpha),
            None => opaque(rgb),
        }
    }
}

/// A picture without opacity.
pub(super) fn opaque(rgb: image::RgbImage) -> Result<Picture, StepError> {
    let size = crate::media::Size { width: rgb.width(), height: rgb.height() };
    Ok(Picture::new(size, Layout::Rgb, rgb.into_raw())?)
}

/// A picture with a byte of opacity for each pixel.
pub(super) fn with_opacity(rgb: image::RgbImage, alpha: &[u8]) -> Result<Picture, StepError> {
    let size = crate::media::Size { width: rgb.width(), height: rgb.height() };
    let pixels = rgb.pixels().zip(alpha).flat_map(|(pixel, alpha)| [pixel.0[0], pixel.0[1], pixel.0[2], *alpha]);
    Ok(Picture::new(size, Layout::Rgba, pixels.collect())?)
}
