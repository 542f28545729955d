//! Brightness, contrast, saturation, gamma, white balance, and taking the colour out.

use super::{Layout, Picture, picture::luma};

/// How a picture is adjusted. 1 leaves a value as it is. They are applied in this order: white balance, brightness,
/// contrast, gamma, saturation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Adjustment {
    /// Times the light.
    pub brightness: f64,
    /// Times the distance from middle grey.
    pub contrast: f64,
    /// Times the colour; 0 is grey.
    pub saturation: f64,
    /// More than 1 lightens the shadows.
    pub gamma: f64,
    /// Make what should be grey grey.
    pub auto_white_balance: bool,
}

impl Default for Adjustment {
    fn default() -> Self {
        Adjustment { brightness: 1.0, contrast: 1.0, saturation: 1.0, gamma: 1.0, auto_white_balance: false }
    }
}

/// The picture without its colour.
pub fn grayscale(picture: &Picture) -> Picture {
    picture.to_layout(if picture.layout().has_alpha() { Layout::GrayAlpha } else { Layout::Gray })
}

/// The picture, adjusted. Opacity stays as it is.
pub fn adjust(picture: &Picture, adjustment: &Adjustment) -> Picture {
    let gains = if adjustment.auto_white_balance { white_balance(picture) } else { [1.0; 3] };
    let curves = gains.map(|gain| curve(gain, adjustment));
    let mut result = picture.clone();
    let layout = picture.layout();
    for pixel in result.pixels_mut().chunks_exact_mut(layout.channels()) {
        if layout.is_gray() {
            pixel[0] = curves[1][usize::from(pixel[0])];
            continue;
        }
        for (sample, curve) in pixel.iter_mut().zip(&curves) {
            *sample = curve[usize::from(*sample)];
        }
        if adjustment.saturation != 1.0 {
            let gray = f64::from(luma(pixel[0], pixel[1], pixel[2]));
            for sample in &mut pixel[..3] {
                // `as` saturates, which is what is wanted of a colour that leaves the range.
                *sample = (gray + (f64::from(*sample) - gray) * adjustment.saturation).round() as u8;
            }
        }
    }
    result
}

fn curve(gain: f64, adjustment: &Adjustment) -> [u8; 256] {
    std::array::from_fn(|value| {
        let light = value as f64 / 255.0 * gain * adjustment.brightness;
        let light = (light - 0.5) * adjustment.contrast + 0.5;
        (light.clamp(0.0, 1.0).powf(1.0 / adjustment.gamma) * 255.0).round() as u8
    })
}

/// Grey world: the picture as a whole is taken to be grey. Gains are bounded, because a picture of one colour is not.
fn white_balance(picture: &Picture) -> [f64; 3] {
    if picture.layout().is_gray() {
        return [1.0; 3];
    }
    let mut sums = [0u64; 3];
    let channels = picture.layout().channels();
    for pixel in picture.pixels().chunks_exact(channels) {
        let weight = pixel.get(3).map_or(255, |alpha| u64::from(*alpha));
        for (sum, sample) in sums.iter_mut().zip(pixel) {
            *sum += u64::from(*sample) * weight;
        }
    }
    let mean = sums.iter().sum::<u64>() as f64 / 3.0;
    sums.map(|sum| if sum == 0 { 1.0 } else { (mean / sum as f64).clamp(0.5, 2.0) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Size;

    fn adjusted(rgb: [u8; 3], adjustment: Adjustment) -> Vec<u8> {
        let picture = Picture::new(Size { width: 1, height: 1 }, Layout::Rgb, rgb.to_vec()).unwrap();
        adjust(&picture, &adjustment).pixels().to_vec()
    }

    #[test]
    fn each_adjustment_does_what_it_says_and_one_changes_nothing() {
        let plain = Adjustment::default();
        let cases = [
            ("nothing", plain, [200, 100, 50]),
            ("twice the light", Adjustment { brightness: 2.0, ..plain }, [255, 200, 100]),
            ("no contrast", Adjustment { contrast: 0.0, ..plain }, [128, 128, 128]),
            ("twice the contrast", Adjustment { contrast: 2.0, ..plain }, [255, 73, 0]),
            ("no colour", Adjustment { saturation: 0.0, ..plain }, [124, 124, 124]),
            ("more colour", Adjustment { saturation: 1.5, ..plain }, [238, 88, 13]),
            ("lighter shadows", Adjustment { gamma: 2.0, ..plain }, [226, 160, 113]),
            ("grey world", Adjustment { auto_white_balance: true, ..plain }, [117, 117, 100]),
        ];
        for (name, adjustment, want) in cases {
            assert_eq!(adjusted([200, 100, 50], adjustment), want, "{name}");
        }
    }
}
