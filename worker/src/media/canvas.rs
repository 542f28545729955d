//! Putting pictures and boxes on a background.

use super::{Area, Color, Layout, MediaError, Picture, Size};

/// The picture in the middle of a larger one of one colour. Transparent parts stay so.
pub(super) fn padded(picture: &Picture, size: Size, background: Color) -> Result<Picture, MediaError> {
    let mut canvas = Picture::filled(size, background)?;
    let alpha = picture.layout().has_alpha() || canvas.layout().has_alpha();
    let gray = picture.layout().is_gray() && canvas.layout().is_gray();
    let layout = match (gray, alpha) {
        (true, false) => Layout::Gray,
        (true, true) => Layout::GrayAlpha,
        (false, false) => Layout::Rgb,
        (false, true) => Layout::Rgba,
    };
    canvas = canvas.to_layout(layout);
    let corner = ((size.width - picture.width()) / 2, (size.height - picture.height()) / 2);
    paste(&mut canvas, &picture.to_layout(layout), corner);
    Ok(canvas)
}

/// Copies a picture of the same layout onto another, in which it must fit.
pub(super) fn paste(canvas: &mut Picture, picture: &Picture, (x, y): (u32, u32)) {
    debug_assert_eq!(canvas.layout(), picture.layout());
    let start = x as usize * canvas.layout().channels();
    let stride = canvas.stride();
    for row in 0..picture.height() {
        let line = picture.row(row);
        let at = (y + row) as usize * stride + start;
        canvas.pixels_mut()[at..at + line.len()].copy_from_slice(line);
    }
}

/// Fills an area of an RGB canvas.
pub(super) fn fill(canvas: &mut Picture, area: Area, color: Color) {
    debug_assert_eq!(canvas.layout(), Layout::Rgb);
    let stride = canvas.stride();
    let line = [color.r, color.g, color.b].repeat(area.width as usize);
    for y in area.y..area.y + area.height {
        let at = y as usize * stride + area.x as usize * 3;
        canvas.pixels_mut()[at..at + line.len()].copy_from_slice(&line);
    }
}
