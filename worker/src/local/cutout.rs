//! Telling the subject of a picture from its background.

use super::detect::{DetectOptions, detect};
use super::mask::{dilate, erode, fill_holes};
use super::saliency::Saliency;
use super::thumbnail::Thumbnail;
use image::RgbImage;

/// How often colours and places are weighed against each other.
const ROUNDS: usize = 4;

/// Colours per side of the cube that they are counted in.
const BINS: usize = 14;

/// How many pixels of the thumbnail the soft edge reaches to both sides.
const EDGE: usize = 3;

/// How opaque each pixel of the picture is, row by row, when everything but its subject is taken away; 255 is solid.
///
/// The subject is what strikes the eye; where nothing does, what is in the middle.
pub fn cutout(picture: &RgbImage) -> Vec<u8> {
    let thumbnail = Thumbnail::of(picture);
    let (width, height) = (thumbnail.width, thumbnail.height);
    let saliency = Saliency::of(&thumbnail);
    let place = Place::of(picture, width, height);
    let prior: Vec<f32> =
        (0..width * height).map(|at| place.prior(at % width, at / width, saliency.values[at])).collect();
    let mask = subject(&weighed(&thumbnail, &prior), &place, width, height);
    soft(picture, &mask, width, height)
}

/// Where the subject lies, in pixels of the thumbnail.
struct Place {
    middle: (f32, f32),
    /// Half its sides.
    reach: (f32, f32),
}

impl Place {
    fn of(picture: &RgbImage, width: usize, height: usize) -> Place {
        let (w, h) = (width as f32, height as f32);
        match detect(picture, DetectOptions { max: 1, min_score: 0.1 }).first() {
            Some(found) => {
                let scale = (w / picture.width().max(1) as f32, h / picture.height().max(1) as f32);
                let reach = (found.bounds.w as f32 / 2.0, found.bounds.h as f32 / 2.0);
                let middle = (found.bounds.x as f32 + reach.0, found.bounds.y as f32 + reach.1);
                Place {
                    middle: (middle.0 * scale.0, middle.1 * scale.1),
                    reach: ((reach.0 * scale.0).max(1.0), (reach.1 * scale.1).max(1.0)),
                }
            }
            None => Place { middle: (w / 2.0, h / 2.0), reach: ((w * 0.32).max(1.0), (h * 0.32).max(1.0)) },
        }
    }

    /// How far a pixel lies from the middle; 1 is the edge of the box.
    fn off(&self, x: usize, y: usize) -> (f32, f32) {
        ((x as f32 + 0.5 - self.middle.0).abs() / self.reach.0, (y as f32 + 0.5 - self.middle.1).abs() / self.reach.1)
    }

    /// Whether a pixel is in the box, or nearly.
    fn reaches(&self, x: usize, y: usize) -> bool {
        let (dx, dy) = self.off(x, y);
        dx <= 1.12 && dy <= 1.12
    }

    /// How probable it is that a pixel belongs to the subject, by where it is and how much it differs from the border.
    fn prior(&self, x: usize, y: usize, saliency: f32) -> f32 {
        let (dx, dy) = self.off(x, y);
        let strikes = ((saliency - 0.25) / 0.75).clamp(0.0, 1.0);
        if !self.reaches(x, y) {
            return 0.02 + 0.1 * strikes;
        }
        let central = (1.0 - dx.hypot(dy)).clamp(0.0, 1.0);
        (0.1 + 0.55 * strikes + 0.75 * central).min(0.97)
    }
}

/// The prior, weighed with how common each colour is in the subject and around it.
fn weighed(thumbnail: &Thumbnail, prior: &[f32]) -> Vec<f32> {
    let bins: Vec<usize> = thumbnail.lab.iter().map(|lab| bin(*lab)).collect();
    let mut parts = prior.to_vec();
    for _ in 0..ROUNDS {
        let (mut inside, mut outside) = (vec![0.3f32; BINS * BINS * BINS], vec![0.3f32; BINS * BINS * BINS]);
        for (bin, part) in bins.iter().zip(&parts) {
            inside[*bin] += part;
            outside[*bin] += 1.0 - part;
        }
        let (in_all, out_all) = (inside.iter().sum::<f32>(), outside.iter().sum::<f32>());
        for ((part, prior), bin) in parts.iter_mut().zip(prior).zip(&bins) {
            let (in_share, out_share) = (inside[*bin] / in_all, outside[*bin] / out_all);
            // A colour says at most so much: the same one may well be on both sides.
            let says = (in_share / (in_share + out_share)).clamp(0.06, 0.94);
            *part = prior * says / (prior * says + (1.0 - prior) * (1.0 - says));
        }
    }
    parts
}

fn bin([l, a, b]: [f32; 3]) -> usize {
    let part =
        |value: f32, from: f32, to: f32| (((value - from) / (to - from) * BINS as f32).max(0.0) as usize).min(BINS - 1);
    (part(l, 0.0, 100.0) * BINS + part(a, -70.0, 70.0)) * BINS + part(b, -70.0, 70.0)
}

/// The connected parts that are more probably the subject than not, without specks and holes.
fn subject(parts: &[f32], place: &Place, width: usize, height: usize) -> Vec<bool> {
    let over: Vec<bool> = parts.iter().map(|part| *part > 0.5).collect();
    let closed = erode(&dilate(&over, width, height, 3), width, height, 3);
    let mut mask = dilate(&erode(&closed, width, height, 2), width, height, 2);
    fill_holes(&mut mask, width, height);
    let mut left = mask;
    let mut kept = vec![false; left.len()];
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for start in 0..left.len() {
        if left[start] {
            groups.push(connected(&mut left, start, width, height));
        }
    }
    // What is like the subject and lies elsewhere is something else.
    groups.retain(|group| group.iter().any(|at| place.reaches(at % width, at / width)));
    let largest = groups.iter().map(Vec::len).max().unwrap_or(0);
    for group in groups.iter().filter(|group| group.len() * 8 >= largest) {
        for at in group {
            kept[*at] = true;
        }
    }
    if largest == 0 {
        // Nothing is left: what is in the middle is better than an empty picture.
        for (at, kept) in kept.iter_mut().enumerate() {
            let (dx, dy) = place.off(at % width, at / width);
            *kept = dx.hypot(dy) <= 1.0;
        }
    }
    kept
}

/// Takes the part around `start` out of a mask.
fn connected(mask: &mut [bool], start: usize, width: usize, height: usize) -> Vec<usize> {
    let mut group = vec![start];
    mask[start] = false;
    let mut next = 0;
    while let Some(at) = group.get(next).copied() {
        next += 1;
        let (x, y) = (at % width, at / width);
        for (nx, ny) in [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)] {
            if nx < width && ny < height && mask[ny * width + nx] {
                mask[ny * width + nx] = false;
                group.push(ny * width + nx);
            }
        }
    }
    group
}

/// The mask in the picture's size. Its edge follows the picture's own edges, by a guided filter (He, Sun and Tang, 2010):
/// around each pixel the mask is taken for a line over the picture's light.
fn soft(picture: &RgbImage, mask: &[bool], width: usize, height: usize) -> Vec<u8> {
    let light = |rgb: [f32; 3]| (0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2]) / 255.0;
    let small = image::imageops::thumbnail(picture, width as u32, height as u32);
    let lights: Vec<f32> = small.pixels().map(|pixel| light(pixel.0.map(f32::from))).collect();
    let part = |inside: &[bool]| -> Vec<f32> { inside.iter().map(|inside| f32::from(u8::from(*inside))).collect() };
    let values = part(mask);
    let mean = |of: &[f32]| blurred(of, width, height, EDGE);
    let products = |one: &[f32], other: &[f32]| -> Vec<f32> { one.iter().zip(other).map(|(a, b)| a * b).collect() };
    let (light_mean, value_mean) = (mean(&lights), mean(&values));
    let (both, square) = (mean(&products(&lights, &values)), mean(&products(&lights, &lights)));
    let (mut slopes, mut bases) = (Vec::with_capacity(values.len()), Vec::with_capacity(values.len()));
    for at in 0..values.len() {
        let slope = (both[at] - light_mean[at] * value_mean[at]) / (square[at] - light_mean[at].powi(2) + 0.002);
        slopes.push(slope);
        bases.push(value_mean[at] - slope * light_mean[at]);
    }
    let (slopes, bases) = (mean(&slopes), mean(&bases));
    // Well inside and well outside nothing is left to guess.
    let inner = blurred(&part(&erode(mask, width, height, EDGE)), width, height, 1);
    let outer = blurred(&part(&dilate(mask, width, height, EDGE)), width, height, 1);

    let across = Steps::of(picture.width(), width);
    let down = Steps::of(picture.height(), height);
    let mut alphas = Vec::with_capacity(picture.width() as usize * picture.height() as usize);
    for (x, y, pixel) in picture.enumerate_pixels() {
        let (column, row) = (across.at(x), down.at(y));
        let value = |of: &[f32]| {
            let along = |row: usize| {
                let (from, to) = (of[row * width + column.0], of[row * width + column.1]);
                from + (to - from) * column.2
            };
            let (above, below) = (along(row.0), along(row.1));
            above + (below - above) * row.2
        };
        let guided = value(&slopes) * light(pixel.0.map(f32::from)) + value(&bases);
        let bounded = guided.clamp(value(&inner).min(1.0), value(&outer).max(value(&inner)).min(1.0));
        let steep = ((bounded - 0.2) / 0.6).clamp(0.0, 1.0);
        alphas.push((steep * steep * (3.0 - 2.0 * steep) * 255.0).round() as u8);
    }
    alphas
}

/// From places in the picture to places in the thumbnail.
struct Steps {
    scale: f32,
    last: usize,
}

impl Steps {
    fn of(full: u32, small: usize) -> Steps {
        Steps { scale: small as f32 / full.max(1) as f32, last: small - 1 }
    }

    /// The two pixels that a place lies between, and how far on the way.
    fn at(&self, full: u32) -> (usize, usize, f32) {
        let place = ((full as f32 + 0.5) * self.scale - 0.5).clamp(0.0, self.last as f32);
        (place as usize, (place as usize + 1).min(self.last), place.fract())
    }
}

/// A mean over squares of `2 * radius + 1`.
fn blurred(of: &[f32], width: usize, height: usize, radius: usize) -> Vec<f32> {
    let mut rows = vec![0.0; of.len()];
    for (line, row) in of.chunks_exact(width).zip(rows.chunks_exact_mut(width)) {
        for (x, mean) in row.iter_mut().enumerate() {
            let part = &line[x.saturating_sub(radius)..(x + radius + 1).min(width)];
            *mean = part.iter().sum::<f32>() / part.len() as f32;
        }
    }
    let mut out = vec![0.0; of.len()];
    for y in 0..height {
        let lines = y.saturating_sub(radius)..(y + radius + 1).min(height);
        let count = lines.len() as f32;
        for line in lines {
            for x in 0..width {
                out[y * width + x] += rows[line * width + x] / count;
            }
        }
    }
    out
}
