//! Making edges clearer.

use super::Picture;

/// The picture with its edges raised: `amount` times what a pixel differs from the mean of those around it is added to it.
/// Opacity stays as it is.
pub fn sharpen(picture: &Picture, amount: f32) -> Picture {
    let layout = picture.layout();
    let (channels, colors) = (layout.channels(), layout.channels() - usize::from(layout.has_alpha()));
    let (width, height) = (picture.width(), picture.height());
    let mut result = picture.clone();
    let stride = picture.stride();
    for y in 0..height {
        let rows = [y.saturating_sub(1), y, (y + 1).min(height - 1)].map(|y| picture.row(y));
        let line = &mut result.pixels_mut()[y as usize * stride..][..stride];
        for x in 0..width as usize {
            let columns = [x.saturating_sub(1), x, (x + 1).min(width as usize - 1)];
            for color in 0..colors {
                let sample = |row: usize, column: usize| i32::from(rows[row][columns[column] * channels + color]);
                let edges = sample(0, 1) + sample(1, 0) + sample(1, 2) + sample(2, 1);
                let corners = sample(0, 0) + sample(0, 2) + sample(2, 0) + sample(2, 2);
                // A small Gauss.
                let mean = (4 * sample(1, 1) + 2 * edges + corners) as f32 / 16.0;
                let own = sample(1, 1) as f32;
                // `as` saturates, which is what is wanted of a sample that leaves the range.
                line[x * channels + color] = (own + (own - mean) * amount).round() as u8;
            }
        }
    }
    result
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Layout, Size};

    #[test]
    fn an_edge_gets_steeper_and_a_plain_area_and_opacity_stay() {
        let row = [100, 100, 100, 200, 200, 200];
        let pixels: Vec<u8> = row.into_iter().cycle().take(36).flat_map(|light| [light, 77]).collect();
        let picture = Picture::new(Size { width: 6, height: 6 }, Layout::GrayAlpha, pixels).unwrap();
        let sharp = sharpen(&picture, 0.5);
        let line: Vec<u8> = (0..6).map(|x| sharp.pixel(x, 3).r).collect();
        assert_eq!(line, [100, 100, 88, 213, 200, 200]);
        assert!((0..6).all(|x| sharp.pixel(x, 0).a == 77));
    }
}
