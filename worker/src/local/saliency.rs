//! A saliency map: how unlike its surroundings each part of a picture is.

use super::thumbnail::Thumbnail;

/// How unlike the background each pixel of the thumbnail is: 1 is the least that counts, more is clearer.
pub(super) struct Saliency {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) values: Vec<f32>,
    /// Below this nothing could be told from chance or be seen.
    pub(super) level_min: f32,
}

/// How many pixels of the frame's border stand for the background.
const SAMPLES: usize = 640;
/// A colour is background when this share of the border is like it: less may be an object that touches the border.
const SHARE: f32 = 0.025;
/// The smallest difference that counts, in Lab units: about four times what the eye can just tell apart.
const DIFFERENCE_MIN: f32 = 9.0;

impl Saliency {
    /// Compares every colour with the colours of the frame's border.
    pub(super) fn of(thumbnail: &Thumbnail) -> Saliency {
        let (width, height) = (thumbnail.width, thumbnail.height);
        let smooth = box_blur(&thumbnail.lab, width, height, 1);
        let samples = border(&smooth, width, height);
        let nth = ((samples.len() as f32 * SHARE) as usize).clamp(1, samples.len().max(2) - 1);
        let mut scratch = Vec::with_capacity(samples.len());
        let mut own: Vec<f32> = samples.iter().map(|sample| distance(&samples, *sample, nth, &mut scratch)).collect();
        own.sort_by(f32::total_cmp);
        let quantile = |percent: usize| own.get(own.len() * percent / 100).copied().unwrap_or(0.0);
        // How far single spots of wood or cloth stray from the rest.
        let least = (quantile(94) * 1.6).max(DIFFERENCE_MIN);

        let mut keyed: Vec<(u32, usize)> = smooth.iter().enumerate().map(|(at, lab)| (bin(*lab), at)).collect();
        keyed.sort_unstable();
        let mut values = vec![0.0; smooth.len()];
        for group in keyed.chunk_by(|a, b| a.0 == b.0) {
            let mut mean = [0.0f32; 3];
            for (_, at) in group {
                for (sum, channel) in mean.iter_mut().zip(smooth[*at]) {
                    *sum += channel / group.len() as f32;
                }
            }
            let value = distance(&samples, mean, nth, &mut scratch) / least;
            for (_, at) in group {
                values[*at] = value;
            }
        }
        discount_bands(&smooth, &mut values, width, height, least);
        Saliency { width, height, values, level_min: DIFFERENCE_MIN / least }
    }
}

/// Takes away what goes on to both sides of the frame in the same row: a horizon, the edge of a table, a plank.
///
/// Its colours are too few on the border to be background by themselves.
fn discount_bands(lab: &[[f32; 3]], values: &mut [f32], width: usize, height: usize, least: f32) {
    if width < 8 {
        return;
    }
    let end = |x: usize, y: usize| lab[y.min(height - 1) * width + x];
    for y in 0..height {
        let rows = y.saturating_sub(2)..=(y + 2).min(height - 1);
        for x in 0..width {
            let at = y * width + x;
            let nearest = |column: usize| {
                rows.clone().map(|row| squared(end(column, row), lab[at])).fold(f32::INFINITY, f32::min)
            };
            let farther = nearest(1).max(nearest(width - 2)).sqrt() / least;
            values[at] = values[at].min(farther);
        }
    }
}

/// Colours closer than a step are treated as one.
fn bin(lab: [f32; 3]) -> u32 {
    let [l, a, b] = lab;
    let part = |value: f32, step: f32| ((value / step).floor() as i32 + 64).clamp(0, 127) as u32;
    part(l, 2.5) << 14 | part(a, 2.5) << 7 | part(b, 2.5)
}

/// Evenly spaced pixels of the outer three rows and columns.
fn border(lab: &[[f32; 3]], width: usize, height: usize) -> Vec<[f32; 3]> {
    let mut ring = Vec::new();
    let edge = 3;
    for y in 0..height {
        for x in 0..width {
            if x < edge || y < edge || x + edge >= width || y + edge >= height {
                ring.push(lab[y * width + x]);
            }
        }
    }
    let step = ring.len().div_ceil(SAMPLES).max(1);
    // The step is kept odd so that it doesn't stay in one column of the side edges.
    ring.into_iter().step_by(step | 1).collect()
}

/// The distance to the `nth` nearest sample.
fn distance(samples: &[[f32; 3]], lab: [f32; 3], nth: usize, scratch: &mut Vec<f32>) -> f32 {
    scratch.clear();
    scratch.extend(samples.iter().map(|sample| squared(*sample, lab)));
    if nth >= scratch.len() {
        return 0.0;
    }
    let (_, value, _) = scratch.select_nth_unstable_by(nth, f32::total_cmp);
    value.sqrt()
}

/// The square of how unlike two colours are.
fn squared(one: [f32; 3], other: [f32; 3]) -> f32 {
    let [l, a, b] = [one[0] - other[0], one[1] - other[1], one[2] - other[2]];
    // Light and shade vary within one thing; its hue varies less.
    0.6 * l * l + a * a + b * b
}

/// A mean over squares of `2 * radius + 1`.
fn box_blur(lab: &[[f32; 3]], width: usize, height: usize, radius: usize) -> Vec<[f32; 3]> {
    let mut rows = vec![[0.0; 3]; lab.len()];
    blur_lines(lab, &mut rows, height, width, width, 1, radius);
    let mut out = vec![[0.0; 3]; lab.len()];
    blur_lines(&rows, &mut out, width, height, 1, width, radius);
    out
}

fn blur_lines(
    from: &[[f32; 3]],
    to: &mut [[f32; 3]],
    lines: usize,
    length: usize,
    line_step: usize,
    step: usize,
    radius: usize,
) {
    for line in 0..lines {
        for at in 0..length {
            let (first, last) = (at.saturating_sub(radius), (at + radius).min(length - 1));
            let mut sum = [0.0f32; 3];
            for other in first..=last {
                for (sum, channel) in sum.iter_mut().zip(from[line * line_step + other * step]) {
                    *sum += channel;
                }
            }
            to[line * line_step + at * step] = sum.map(|channel| channel / (last - first + 1) as f32);
        }
    }
}
