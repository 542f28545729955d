//! Real objects, cut out and put elsewhere. The tests use some of the canvases, the example `survey` all of them.

#![allow(dead_code, reason = "the tests and the example `survey` use different parts")]

use darkroom_proto::BoxPx;
use image::{Rgb, RgbImage};

/// How much of the found box and the true one must be common to both.
pub(crate) const OVERLAP_MIN: f32 = 0.35;

pub(crate) const CUP: BoxPx = BoxPx { x: 172, y: 18, w: 236, h: 292 };

pub(crate) fn photo(name: &str) -> RgbImage {
    let path = format!("{}/../photos/{name}", env!("CARGO_MANIFEST_DIR"));
    image::open(&path).unwrap_or_else(|error| panic!("{path}: {error}")).to_rgb8()
}

pub(crate) fn iou(a: BoxPx, b: BoxPx) -> f32 {
    let w = (a.x + a.w).min(b.x + b.w).saturating_sub(a.x.max(b.x));
    let h = (a.y + a.h).min(b.y + b.h).saturating_sub(a.y.max(b.y));
    let both = w as f32 * h as f32;
    both / (a.w as f32 * a.h as f32 + b.w as f32 * b.h as f32 - both)
}

/// Whole numbers that look random, from a seed.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1u64 << 24) as f32
    }
    pub(crate) fn below(&mut self, n: u32) -> u32 {
        (self.next() % u64::from(n.max(1))) as u32
    }
}

/// How the object is cut out of coffee.png.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Cut {
    /// Cup with handle, along its outline.
    Cup,
    /// An ellipse in the cup's box.
    Ellipse,
    /// Cup, spoon and saucer.
    Saucer,
    /// The cup's box.
    Box,
    /// The cup's box and this much around it.
    Margin(u32),
}

impl Cut {
    /// The part of coffee.png that is taken, and the object's box in it.
    pub(crate) fn window(self) -> BoxPx {
        match self {
            Cut::Cup | Cut::Ellipse | Cut::Box => CUP,
            Cut::Saucer => BoxPx { x: 76, y: 18, w: 406, h: 370 },
            Cut::Margin(m) => {
                let (x, y) = (CUP.x.saturating_sub(m), CUP.y.saturating_sub(m));
                BoxPx { x, y, w: (CUP.x + CUP.w + m).min(600) - x, h: (CUP.y + CUP.h + m).min(400) - y }
            }
        }
    }
    /// Whether the pixel of coffee.png belongs to it.
    pub(crate) fn holds(self, x: f32, y: f32) -> bool {
        let ellipse = |cx: f32, cy: f32, rx: f32, ry: f32| ((x - cx) / rx).powi(2) + ((y - cy) / ry).powi(2) <= 1.0;
        let cup = ellipse(290.0, 113.0, 118.0, 95.0)
            || ellipse(292.0, 165.0, 116.0, 118.0) && y > 110.0
            || ellipse(228.0, 268.0, 33.0, 42.0);
        match self {
            Cut::Cup => cup,
            Cut::Ellipse => ellipse(290.0, 164.0, 118.0, 146.0),
            Cut::Saucer => cup || ellipse(279.0, 226.0, 201.0, 161.0) || (ellipse(408.0, 80.0, 17.0, 14.0)),
            Cut::Box | Cut::Margin(_) => true,
        }
    }
}

/// Puts the object on the canvas and returns its box there.
pub(crate) fn paste(
    canvas: &mut RgbImage,
    coffee: &RgbImage,
    cut: Cut,
    scale: f32,
    flip: bool,
    at: (f32, f32),
) -> BoxPx {
    let window = cut.window();
    let (w, h) = ((window.w as f32 * scale) as u32, (window.h as f32 * scale) as u32);
    let x0 = ((canvas.width() - w) as f32 * at.0) as u32;
    let y0 = ((canvas.height() - h) as f32 * at.1) as u32;
    let small = image::imageops::resize(
        coffee,
        (600.0 * scale) as u32,
        (400.0 * scale) as u32,
        image::imageops::FilterType::Triangle,
    );
    for y in 0..h {
        for x in 0..w {
            let sx = if flip { w - 1 - x } else { x };
            let (fx, fy) = (window.x as f32 + sx as f32 / scale, window.y as f32 + y as f32 / scale);
            if cut.holds(fx, fy) {
                let px = ((fx * scale) as u32).min(small.width() - 1);
                let py = ((fy * scale) as u32).min(small.height() - 1);
                canvas.put_pixel(x0 + x, y0 + y, *small.get_pixel(px, py));
            }
        }
    }
    let inner = match cut {
        Cut::Margin(_) => CUP,
        _ => window,
    };
    let dx = if flip { window.x + window.w - inner.x - inner.w } else { inner.x - window.x };
    BoxPx {
        x: x0 + (dx as f32 * scale) as u32,
        y: y0 + ((inner.y - window.y) as f32 * scale) as u32,
        w: (inner.w as f32 * scale) as u32,
        h: (inner.h as f32 * scale) as u32,
    }
}

/// What lies under the object.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Canvas {
    Plain([u8; 3]),
    Gradient([u8; 3], [u8; 3]),
    /// A patch of coffee.png's table, repeated as mirror images, its lightness multiplied.
    Tiled(BoxPx, f32),
    /// The same stretched over the canvas.
    Stretched(BoxPx, f32),
    /// The same patch repeated as it is, with seams.
    Repeated(BoxPx),
    /// A wall above and a table below.
    Room([u8; 3], [u8; 3]),
    /// One colour with the noise of a camera.
    Noisy([u8; 3]),
    /// Planks drawn by rule from a base colour.
    Drawn([u8; 3]),
}

pub(crate) const RIGHT: BoxPx = BoxPx { x: 482, y: 190, w: 116, h: 205 };
pub(crate) const LEFT: BoxPx = BoxPx { x: 0, y: 120, w: 74, h: 170 };
pub(crate) const TOP: BoxPx = BoxPx { x: 430, y: 4, w: 166, h: 100 };

pub(crate) const SMALL: BoxPx = BoxPx { x: 500, y: 300, w: 64, h: 64 };

impl Canvas {
    pub(crate) fn make(self, coffee: &RgbImage, w: u32, h: u32, seed: u64) -> RgbImage {
        match self {
            Canvas::Plain(c) => RgbImage::from_pixel(w, h, Rgb(c)),
            Canvas::Gradient(a, b) => RgbImage::from_fn(w, h, |_, y| {
                let t = y as f32 / h as f32;
                Rgb(std::array::from_fn(|i| (f32::from(a[i]) * (1.0 - t) + f32::from(b[i]) * t) as u8))
            }),
            Canvas::Tiled(b, k) => RgbImage::from_fn(w, h, |x, y| {
                let mirror = |v: u32, n: u32| if (v / n).is_multiple_of(2) { v % n } else { n - 1 - v % n };
                shade(coffee.get_pixel(b.x + mirror(x, b.w), b.y + mirror(y, b.h)), k)
            }),
            Canvas::Stretched(b, k) => {
                let patch = image::imageops::crop_imm(coffee, b.x, b.y, b.w, b.h).to_image();
                let mut big = image::imageops::resize(&patch, w, h, image::imageops::FilterType::Triangle);
                for p in big.pixels_mut() {
                    *p = shade(p, k);
                }
                big
            }
            Canvas::Repeated(b) => RgbImage::from_fn(w, h, |x, y| *coffee.get_pixel(b.x + x % b.w, b.y + y % b.h)),
            Canvas::Room(wall, table) => RgbImage::from_fn(w, h, |_, y| Rgb(if y * 9 < h * 5 { wall } else { table })),
            Canvas::Noisy(base) => {
                let mut dice = Dice(seed);
                RgbImage::from_fn(w, h, |_, _| shade(&Rgb(base), 0.85 + 0.3 * dice.unit()))
            }
            Canvas::Drawn(base) => {
                let mut dice = Dice(seed);
                let planks: Vec<(f32, f32)> = (0..8).map(|_| (0.85 + 0.3 * dice.unit(), dice.unit() * 50.0)).collect();
                RgbImage::from_fn(w, h, |x, y| {
                    let plank = (y * 6 / h) as usize;
                    let (k, phase) = planks[plank];
                    let (fx, fy) = (x as f32, y as f32);
                    let wave = (fy * 0.11 + 3.0 * (fx * 0.004 + phase).sin() + phase).sin() * 0.09
                        + (fy * 0.43 + 2.0 * (fx * 0.01 + phase).sin()).sin() * 0.05;
                    let gap = if (y * 6) % h < 18 { 0.5 } else { 1.0 };
                    let mut z = u64::from(x / 6) * 7919 + u64::from(y) * 104_729;
                    z = (z ^ (z >> 15)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
                    let noise = ((z >> 40) as f32 / (1u64 << 24) as f32 - 0.5) * 0.12;
                    shade(&Rgb(base), (k + wave + noise) * gap)
                })
            }
        }
    }
}

/// Pictures with the cup somewhere, and where it is.
pub(crate) fn placements(canvas: Canvas, cut: Cut, count: u64) -> Vec<(RgbImage, BoxPx)> {
    let coffee = photo("coffee.png");
    let blank = canvas.make(&coffee, 1600, 1200, 11);
    (0..count)
        .map(|seed| {
            let mut dice = Dice(seed * 77 + 5);
            let mut picture = blank.clone();
            let scale = 0.3 + 0.7 * dice.unit();
            let flip = dice.below(2) == 1;
            let truth = paste(&mut picture, &coffee, cut, scale, flip, (dice.unit(), dice.unit()));
            (picture, truth)
        })
        .collect()
}

/// In how many of them a detector finds it.
pub(crate) fn found(placements: &[(RgbImage, BoxPx)], detector: impl Fn(&RgbImage) -> Option<BoxPx>) -> usize {
    placements
        .iter()
        .filter(|(picture, truth)| detector(picture).is_some_and(|bounds| iou(bounds, *truth) >= OVERLAP_MIN))
        .count()
}

fn shade(p: &Rgb<u8>, k: f32) -> Rgb<u8> {
    Rgb(p.0.map(|c| (f32::from(c) * k).clamp(0.0, 255.0) as u8))
}
