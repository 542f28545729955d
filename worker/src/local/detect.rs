//! Finding the things that stand out in a picture.

use super::mask::{dilate, erode, fill_holes};
use super::saliency::Saliency;
use super::thumbnail::Thumbnail;
use darkroom_proto::BoxPx;
use image::RgbImage;

/// What surrounds a region belongs to it from this part of the level on.
const GROWTH: f32 = 0.6;

/// Half the width, in pixels of the thumbnail, that a thing has at least.
const OPEN: usize = 2;

/// A thing in a picture in a picture is only looked at from this score on.
const INSET_SCORE_MIN: f32 = 0.3;

/// What to look for.
#[derive(Debug, Clone, Copy)]
pub struct DetectOptions {
    /// The most boxes to return.
    pub max: usize,
    /// The lowest score to return, 0..1.
    pub min_score: f32,
}

impl Default for DetectOptions {
    fn default() -> Self {
        Self { max: 5, min_score: 0.2 }
    }
}

/// Something that stands out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where it is, in pixels of the picture.
    pub bounds: BoxPx,
    /// How clearly it stands out, 0..1.
    pub score: f32,
}

/// The things that stand out in `picture`, clearest first.
///
/// Where the clearest is a picture in the picture, such as a photograph on a page, what stands out in that comes first.
pub fn detect(picture: &RgbImage, options: DetectOptions) -> Vec<Detection> {
    let mut detections = look(picture);
    if let Some(inner) = detections.first().filter(|(_, inset)| *inset).and_then(|(best, _)| within(picture, best)) {
        detections.insert(0, (inner, false));
    }
    detections
        .into_iter()
        .map(|(detection, _)| detection)
        .filter(|detection| detection.score >= options.min_score)
        .take(options.max)
        .collect()
}

/// What stands out, and whether it is a rectangle.
fn look(picture: &RgbImage) -> Vec<(Detection, bool)> {
    let saliency = Saliency::of(&Thumbnail::of(picture));
    let scale_x = picture.width() as f32 / saliency.width as f32;
    let scale_y = picture.height() as f32 / saliency.height as f32;
    found(&saliency)
        .into_iter()
        .map(|region| {
            (Detection { bounds: region.bounds(scale_x, scale_y), score: region.score() }, region.is_rectangle())
        })
        .collect()
}

/// The clearest thing inside a rectangle, if it is most of what is there but not all of it.
fn within(picture: &RgbImage, outer: &Detection) -> Option<Detection> {
    let BoxPx { x, y, w, h } = outer.bounds;
    // The rectangle's own edge, which is blurred and may be off by a pixel of the thumbnail, stays outside.
    let (edge_x, edge_y) = (w / 24 + picture.width() / 320, h / 24 + picture.height() / 320);
    let (inner_w, inner_h) = (w.checked_sub(edge_x * 2)?, h.checked_sub(edge_y * 2)?);
    if inner_w < 24 || inner_h < 24 {
        return None;
    }
    let inset = image::imageops::crop_imm(picture, x + edge_x, y + edge_y, inner_w, inner_h).to_image();
    let (best, _) = look(&inset).into_iter().next()?;
    let share = best.bounds.w as f32 * best.bounds.h as f32 / (inner_w as f32 * inner_h as f32);
    if best.score < INSET_SCORE_MIN || !(0.3..0.9).contains(&share) {
        return None;
    }
    let bounds = BoxPx { x: best.bounds.x + x + edge_x, y: best.bounds.y + y + edge_y, ..best.bounds };
    Some(Detection { bounds, score: best.score.max(outer.score) })
}

/// Regions at every level that means something, best first, without those that repeat a better one.
///
/// One level does for a plain or an evenly textured background. A picture whose border is a medley needs lower ones.
fn found(saliency: &Saliency) -> Vec<Region> {
    let mut candidates: Vec<Region> = [1.0, 0.75, 0.55, 0.4]
        .into_iter()
        .filter(|level| *level == 1.0 || *level >= saliency.level_min)
        .flat_map(|level| regions(saliency, level))
        .collect();
    candidates.sort_by(|a, b| b.rank().total_cmp(&a.rank()));
    let mut kept: Vec<Region> = Vec::new();
    for candidate in candidates {
        if kept.iter().all(|better| !better.repeats(&candidate)) {
            kept.push(candidate);
        }
    }
    kept
}

/// A connected part of the saliency map that is over a level.
struct Region {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
    /// Its pixels, holes filled.
    area: usize,
    /// Those over the level, and by how much they are.
    solid: usize,
    mass: f32,
    /// The steepest that saliency rises at the outline, on the mean.
    crisp: f32,
    /// How many of its pixels lie on the frame's border.
    border: usize,
    /// How far its box's centre lies from the frame's, -1..1.
    off_centre: (f32, f32),
    frame: usize,
    frame_sides: (usize, usize),
}

impl Region {
    fn bounds(&self, scale_x: f32, scale_y: f32) -> BoxPx {
        // Smoothing takes a little off the outline.
        let (pad_x, pad_y) = ((self.right + 1 - self.left) as f32 * 0.012, (self.bottom + 1 - self.top) as f32 * 0.012);
        let (width, height) = self.frame_sides;
        let x = ((self.left as f32 - pad_x).max(0.0) * scale_x).round() as u32;
        let y = ((self.top as f32 - pad_y).max(0.0) * scale_y).round() as u32;
        let right = (((self.right + 1) as f32 + pad_x).min(width as f32) * scale_x).round() as u32;
        let bottom = (((self.bottom + 1) as f32 + pad_y).min(height as f32) * scale_y).round() as u32;
        BoxPx { x, y, w: (right - x).max(1), h: (bottom - y).max(1) }
    }

    /// Whether most of the smaller of the two boxes lies in the other.
    fn repeats(&self, other: &Region) -> bool {
        let overlap = |a0: usize, a1: usize, b0: usize, b1: usize| (a1.min(b1) + 1).saturating_sub(a0.max(b0));
        let both = overlap(self.left, self.right, other.left, other.right)
            * overlap(self.top, self.bottom, other.top, other.bottom);
        both * 2 > self.box_area().min(other.box_area())
    }

    /// Whether it fills its box.
    fn is_rectangle(&self) -> bool {
        self.area * 100 >= self.box_area() * 94
    }

    fn box_area(&self) -> usize {
        (self.right + 1 - self.left) * (self.bottom + 1 - self.top)
    }

    /// How clearly it stands out on the whole: strength counts for more than size, and thin streaks, which wood has,
    /// for less than what is as wide as high.
    fn rank(&self) -> f32 {
        let (w, h) = ((self.right + 1 - self.left) as f32, (self.bottom + 1 - self.top) as f32);
        let free = 1.0 - (self.border as f32 / (w + h)).min(0.9);
        let slim = (w.min(h) / w.max(h)).max(0.05);
        let fill = self.area as f32 / self.box_area() as f32;
        // A box around the whole picture says nothing.
        let selective = 1.0 - (self.box_area() as f32 / self.frame as f32).powi(4);
        let off_centre = self.off_centre.0.powi(2) + self.off_centre.1.powi(2);
        self.score()
            * (self.area as f32).sqrt()
            * slim.min(0.6).powf(0.35)
            * self.crisp.sqrt()
            * free.powi(3)
            * fill.powf(0.8)
            * selective
            / (1.0 + 0.4 * off_centre)
    }

    fn score(&self) -> f32 {
        let strength = self.mass / self.solid.max(1) as f32;
        let size = (self.area as f32 / self.frame as f32 / 0.0025).min(1.0);
        (strength / (strength + 0.8) * size).clamp(0.0, 1.0)
    }
}

/// The connected parts over `level`, each grown into what is nearly as salient around it.
fn regions(saliency: &Saliency, level: f32) -> Vec<Region> {
    let (width, height) = (saliency.width, saliency.height);
    let over = |level: f32| -> Vec<bool> {
        let mask: Vec<bool> = saliency.values.iter().map(|value| *value > level).collect();
        let mut mask = erode(&dilate(&mask, width, height, 2), width, height, 2);
        fill_holes(&mut mask, width, height);
        // Streaks and edges no wider than this are no things, but would tie things to them.
        dilate(&erode(&mask, width, height, OPEN), width, height, OPEN)
    };
    let mut core = over(level);
    let wide = over(level * GROWTH);
    let mut out = Vec::new();
    for start in 0..core.len() {
        if !core[start] {
            continue;
        }
        let region = flood(&mut core, saliency, level, start);
        let grown = flood(&mut wide.clone(), saliency, level, start);
        out.push(
            if region.box_area() * 7 > width * height
                && grown.box_area() <= region.box_area() * 5 / 2
                && region.box_area() * 2 < width * height
            {
                Region {
                    mass: region.mass,
                    area: region.area,
                    solid: region.solid,
                    crisp: region.crisp,
                    border: region.border,
                    ..grown
                }
            } else {
                region
            },
        );
    }
    out
}

/// Takes the connected part around `start` out of the mask.
fn flood(mask: &mut [bool], saliency: &Saliency, level: f32, start: usize) -> Region {
    let (width, height) = (saliency.width, saliency.height);
    let mut region = Region {
        left: width,
        top: height,
        right: 0,
        bottom: 0,
        area: 0,
        solid: 0,
        mass: 0.0,
        crisp: 0.0,
        border: 0,
        off_centre: (0.0, 0.0),
        frame: width * height,
        frame_sides: (width, height),
    };
    let mut outline = (0.0, 0usize);
    let mut stack = vec![start];
    mask[start] = false;
    while let Some(at) = stack.pop() {
        let (x, y) = (at % width, at / width);
        region.left = region.left.min(x);
        region.right = region.right.max(x);
        region.top = region.top.min(y);
        region.bottom = region.bottom.max(y);
        region.area += 1;
        if saliency.values[at] > level {
            region.solid += 1;
            region.mass += (saliency.values[at] / level).min(4.0) - 1.0;
        }
        for (nx, ny) in [(x.wrapping_sub(1), y), (x + 1, y), (x, y.wrapping_sub(1)), (x, y + 1)] {
            if nx < width && ny < height && mask[ny * width + nx] {
                mask[ny * width + nx] = false;
                stack.push(ny * width + nx);
            }
        }
        if x > 1 && y > 1 && x + 2 < width && y + 2 < height {
            let value = |x: usize, y: usize| saliency.values[y * width + x].min(4.0);
            let slope = (value(x + 1, y) - value(x - 1, y)).abs().max((value(x, y + 1) - value(x, y - 1)).abs());
            outline.0 += slope * slope;
            outline.1 += 1;
        }
        if x == 0 || y == 0 || x + 1 == width || y + 1 == height {
            region.border += 1;
        }
    }
    region.off_centre = (
        (region.left + region.right) as f32 / width as f32 - 1.0,
        (region.top + region.bottom) as f32 / height as f32 - 1.0,
    );
    region.crisp = (outline.0 / outline.1.max(1) as f32).sqrt();
    region
}
