//! Laying one picture over another.

use super::{Gravity, Layout, MediaError, Picture};

/// Where an overlay goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Its top left corner here.
    At {
        /// Pixels from the left edge.
        x: i64,
        /// Pixels from the top edge.
        y: i64,
    },
    /// Leaning to a place.
    Towards {
        /// The place.
        gravity: Gravity,
        /// Pixels away from the edges that it leans to.
        margin: i64,
    },
}

/// Lays `top` over `base` (source over), its opacity multiplied by `opacity`. What sticks out is cut off.
///
/// # Errors
/// When nothing of it lies inside.
pub fn overlay(base: &Picture, top: &Picture, placement: Placement, opacity: f64) -> Result<Picture, MediaError> {
    let (picture, size) = (base.size(), top.size());
    let (x, y) = match placement {
        Placement::At { x, y } => (x, y),
        Placement::Towards { gravity, margin } => gravity.corner(picture, size, margin),
    };
    let span = |start: i64, length: u32, limit: u32| {
        (start.clamp(0, i64::from(limit)), start.saturating_add(i64::from(length)).clamp(0, i64::from(limit)))
    };
    let ((left, right), (up, down)) = (span(x, size.width, picture.width), span(y, size.height, picture.height));
    if left >= right || up >= down {
        return Err(MediaError::OverlayOutside { x, y, overlay: size, picture });
    }

    let layout = match (base.layout(), top.layout().is_gray()) {
        (Layout::Gray, false) => Layout::Rgb,
        (Layout::GrayAlpha, false) => Layout::Rgba,
        (layout, _) => layout,
    };
    let mut result = base.to_layout(layout);
    let top_layout = if layout.is_gray() { Layout::GrayAlpha } else { Layout::Rgba };
    let top = top.to_layout(top_layout);
    let opacity = (opacity.clamp(0.0, 1.0) * 255.0).round() as u32;
    let (channels, top_channels) = (layout.channels(), top_layout.channels());
    let stride = result.stride();
    for row in up..down {
        let to = row as usize * stride;
        let to = &mut result.pixels_mut()[to + left as usize * channels..to + right as usize * channels];
        let from = top.row((row - y) as u32);
        let from = &from[(left - x) as usize * top_channels..(right - x) as usize * top_channels];
        for (to, from) in to.chunks_exact_mut(channels).zip(from.chunks_exact(top_channels)) {
            blend(to, from, opacity, layout.has_alpha());
        }
    }
    Ok(result)
}

/// Source over, for one pixel. `from` ends in its opacity; `to` does when `to_alpha`.
fn blend(to: &mut [u8], from: &[u8], opacity: u32, to_alpha: bool) {
    let Some((from_alpha, colors)) = from.split_last() else { return };
    // In 255ths of 255ths, so that nothing is rounded before the end.
    let source = u32::from(*from_alpha) * opacity;
    let below = if to_alpha { to.last().map_or(255, |alpha| u32::from(*alpha)) } else { 255 };
    let rest = (65_025 - source) * below / 255;
    let total = source + rest;
    if total == 0 {
        return;
    }
    for (to, from) in to.iter_mut().zip(colors) {
        *to = ((u32::from(*from) * source + u32::from(*to) * rest + total / 2) / total) as u8;
    }
    if to_alpha && let Some(alpha) = to.last_mut() {
        *alpha = ((total + 127) / 255) as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::{Color, Size};

    fn filled(width: u32, height: u32, color: &str) -> Picture {
        let color: Color = color.parse().unwrap();
        Picture::filled(Size { width, height }, color).unwrap()
    }

    #[test]
    fn what_sticks_out_is_cut_off() {
        let (base, top) = (filled(4, 4, "#ffffff"), filled(4, 4, "#ff0000"));
        let result = overlay(&base, &top, Placement::At { x: 2, y: -3 }, 1.0).unwrap();
        for y in 0..4 {
            for x in 0..4 {
                let want = if x >= 2 && y < 1 { "#ff0000" } else { "#ffffff" };
                assert_eq!(result.pixel(x, y), want.parse().unwrap(), "{x},{y}");
            }
        }
    }

    #[test]
    fn wholly_outside_is_an_error_that_names_places_and_sizes() {
        let (base, top) = (filled(40, 30, "#ffffff"), filled(8, 6, "#ff0000"));
        for (x, y) in [(40, 0), (0, 30), (-8, 0), (0, -6), (i64::MAX, 0)] {
            let error = overlay(&base, &top, Placement::At { x, y }, 1.0).unwrap_err().to_string();
            for part in ["8x6", "40x30", &format!("{x},{y}")] {
                assert!(error.contains(part), "{error}");
            }
        }
    }

    #[test]
    fn opacity_mixes_and_transparent_bases_stay_right() {
        let half = overlay(&filled(1, 1, "#ffffff"), &filled(1, 1, "#ff0000"), Placement::At { x: 0, y: 0 }, 0.5);
        assert_eq!(half.unwrap().pixel(0, 0), "#ff7f7f".parse().unwrap());
        let onto_nothing =
            overlay(&filled(1, 1, "#00ff0000"), &filled(1, 1, "#ff000080"), Placement::At { x: 0, y: 0 }, 1.0);
        assert_eq!(onto_nothing.unwrap().pixel(0, 0), "#ff000080".parse().unwrap());
        let invisible = overlay(&filled(1, 1, "#123456"), &filled(1, 1, "#ff0000"), Placement::At { x: 0, y: 0 }, 0.0);
        assert_eq!(invisible.unwrap().pixel(0, 0), "#123456".parse().unwrap());
    }
}
