//! A picture made small and put into CIE Lab, where distances are what the eye sees.

use image::RgbImage;

/// The longer side that pictures are looked at. Large enough for an object of 3 % of the width, small enough to be
/// quick.
const SIDE: u32 = 320;

/// A small Lab copy of a picture.
pub(super) struct Thumbnail {
    pub(super) width: usize,
    pub(super) height: usize,
    /// Rows of `[L, a, b]`.
    pub(super) lab: Vec<[f32; 3]>,
}

impl Thumbnail {
    /// Averages boxes of pixels, so that every pixel of the picture counts once.
    pub(super) fn of(picture: &RgbImage) -> Thumbnail {
        let (full_width, full_height) = (picture.width().max(1) as usize, picture.height().max(1) as usize);
        let longer = full_width.max(full_height);
        let shrink = |side: usize| {
            if longer <= SIDE as usize { side } else { (side * SIDE as usize / longer).max(1) }
        };
        let (width, height) = (shrink(full_width), shrink(full_height));
        let columns: Vec<usize> = (0..=width).map(|x| x * full_width / width).collect();
        let raw = picture.as_raw();
        let mut lab = Vec::with_capacity(width * height);
        let mut sums = vec![[0u32; 3]; width];
        for y in 0..height {
            let (top, bottom) = (y * full_height / height, (y + 1) * full_height / height);
            sums.fill([0; 3]);
            for row in top..bottom {
                let Some(line) = raw.get(row * full_width * 3..(row + 1) * full_width * 3) else { continue };
                for (sum, edges) in sums.iter_mut().zip(columns.windows(2)) {
                    for pixel in line[edges[0] * 3..edges[1] * 3].chunks_exact(3) {
                        sum[0] += u32::from(pixel[0]);
                        sum[1] += u32::from(pixel[1]);
                        sum[2] += u32::from(pixel[2]);
                    }
                }
            }
            for (sum, edges) in sums.iter().zip(columns.windows(2)) {
                let count = ((bottom - top) * (edges[1] - edges[0])).max(1) as f32;
                lab.push(lab_of(sum.map(|channel| channel as f32 / count)));
            }
        }
        Thumbnail { width, height, lab }
    }
}

/// sRGB (0..255) to CIE Lab under D65.
fn lab_of(rgb: [f32; 3]) -> [f32; 3] {
    let linear = rgb.map(|channel| {
        let channel = channel / 255.0;
        if channel <= 0.04045 { channel / 12.92 } else { ((channel + 0.055) / 1.055).powf(2.4) }
    });
    let [r, g, b] = linear;
    let x = (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505;
    let y = 0.2126 * r + 0.7152 * g + 0.0722 * b;
    let z = (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089;
    let [fx, fy, fz] =
        [x, y, z].map(|value| if value > 0.008_856 { value.cbrt() } else { 7.787 * value + 16.0 / 116.0 });
    [116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_and_black_keep_their_lightness_and_have_no_colour() {
        for (channel, lightness) in [(255.0, 100.0), (0.0, 0.0)] {
            let [l, a, b] = lab_of([channel; 3]);
            assert!((l - lightness).abs() < 0.5 && a.abs() < 0.5 && b.abs() < 0.5, "{l} {a} {b}");
        }
    }

    #[test]
    fn the_longer_side_is_limited_and_the_proportion_kept() {
        let small = Thumbnail::of(&RgbImage::new(4000, 3000));
        assert_eq!((small.width, small.height), (320, 240));
        let narrow = Thumbnail::of(&RgbImage::new(1, 2000));
        assert_eq!((narrow.width, narrow.height), (1, 320));
    }
}
