//! The point of a picture that strikes the eye.

use super::detect::{DetectOptions, detect};
use super::saliency::Saliency;
use super::thumbnail::Thumbnail;
use image::RgbImage;

/// The centre of what strikes the eye, each coordinate 0..1. The middle where nothing does.
///
/// It lies in the clearest thing, nearer to the parts of it that differ most; a mean over the whole picture would lie
/// between two things.
pub fn focus(picture: &RgbImage) -> (f32, f32) {
    let Some(best) = detect(picture, DetectOptions { max: 1, min_score: 0.1 }).into_iter().next() else {
        return (0.5, 0.5);
    };
    let saliency = Saliency::of(&Thumbnail::of(picture));
    let scale_x = saliency.width as f32 / picture.width().max(1) as f32;
    let scale_y = saliency.height as f32 / picture.height().max(1) as f32;
    let inside = |start: u32, length: u32, scale: f32, most: usize| {
        let from = (start as f32 * scale) as usize;
        from..(((start + length) as f32 * scale).ceil() as usize).min(most)
    };
    let (mut mass, mut x_mass, mut y_mass) = (0.0f32, 0.0f32, 0.0f32);
    for y in inside(best.bounds.y, best.bounds.h, scale_y, saliency.height) {
        for x in inside(best.bounds.x, best.bounds.w, scale_x, saliency.width) {
            // Something of every pixel counts, so that the box's own centre has a say.
            let weight = saliency.values[y * saliency.width + x].min(4.0) + 0.5;
            mass += weight;
            x_mass += weight * (x as f32 + 0.5);
            y_mass += weight * (y as f32 + 0.5);
        }
    }
    if mass <= 0.0 {
        return (0.5, 0.5);
    }
    let part = |sum: f32, side: usize| (sum / mass / side as f32).clamp(0.0, 1.0);
    (part(x_mass, saliency.width), part(y_mass, saliency.height))
}
