//! Changing the size.

use super::geometry::window_start;
use super::{
    Color, DecodeHint, Encoding, Fit, Layout, Limits, MediaError, Picture, Resizing, Size, canvas, decode, encode,
    grayscale, read_info,
};
use fast_image_resize::images::{TypedImage, TypedImageRef};
use fast_image_resize::pixels::{U8, U8x3, U8x4};
use fast_image_resize::{FilterType, PixelTrait, ResizeAlg, ResizeOptions, Resizer};

/// Carries a plan out. `focus` (from 0,0 at the top left to 1,1) is what stays when something is cut off; `background` is
/// what fills up.
///
/// The picture may have been decoded at a reduced scale: the plan says what the whole of it becomes.
///
/// # Errors
/// When the result has too many pixels.
pub fn resize(picture: &Picture, plan: Resizing, focus: (f32, f32), background: Color) -> Result<Picture, MediaError> {
    let Resizing { scaled, output } = plan;
    if output.width > scaled.width || output.height > scaled.height {
        let inner = resize_to(picture, scaled)?;
        return canvas::padded(&inner, output, background);
    }
    if scaled == output {
        return resize_to(picture, output);
    }
    // Only what stays is scaled, straight from the source: part of it in source pixels.
    let across = f64::from(picture.width()) / f64::from(scaled.width);
    let down = f64::from(picture.height()) / f64::from(scaled.height);
    let window = (f64::from(output.width) * across, f64::from(output.height) * down);
    let left = window_start(f64::from(picture.width()), window.0, focus.0);
    let top = window_start(f64::from(picture.height()), window.1, focus.1);
    if scaled == picture.size() {
        let area = super::Area { x: left as u32, y: top as u32, width: output.width, height: output.height };
        return picture.cropped(area);
    }
    scale(picture, (left, top, window.0, window.1), output)
}

/// The whole picture in another size.
///
/// # Errors
/// When the result has too many pixels.
pub fn resize_to(picture: &Picture, size: Size) -> Result<Picture, MediaError> {
    if size == picture.size() {
        return Ok(picture.clone());
    }
    scale(picture, (0.0, 0.0, f64::from(picture.width()), f64::from(picture.height())), size)
}

/// A part of the picture in another size. The part is left, top, width and height in pixels, which need not be whole, and
/// is clamped to the picture.
///
/// # Errors
/// When the result has too many pixels.
pub fn window(picture: &Picture, part: (f64, f64, f64, f64), size: Size) -> Result<Picture, MediaError> {
    let (full_width, full_height) = (f64::from(picture.width()), f64::from(picture.height()));
    let (width, height) = (part.2.clamp(1.0, full_width), part.3.clamp(1.0, full_height));
    let (left, top) = (part.0.clamp(0.0, full_width - width), part.1.clamp(0.0, full_height - height));
    scale(picture, (left, top, width, height), size)
}

fn scale(picture: &Picture, window: (f64, f64, f64, f64), size: Size) -> Result<Picture, MediaError> {
    size.check_output()?;
    let pixels = match picture.layout() {
        Layout::Gray => scaled::<U8>(picture, window, size),
        Layout::GrayAlpha => {
            // Rare, and not worth what the library's code for a fourth type takes to build.
            return Ok(scale(&picture.to_layout(Layout::Rgba), window, size)?.to_layout(Layout::GrayAlpha));
        }
        Layout::Rgb => scaled::<U8x3>(picture, window, size),
        Layout::Rgba => scaled::<U8x4>(picture, window, size),
    };
    let pixels = pixels.map_err(|why| MediaError::Internal { what: format!("resize: {why}") })?;
    Picture::new(size, picture.layout(), pixels)
}

/// By the type of pixels that it is: of a picture that says its type at run time, the library is compiled for all thirteen
/// types that it knows, which takes a minute.
fn scaled<P: PixelTrait>(picture: &Picture, window: (f64, f64, f64, f64), size: Size) -> Result<Vec<u8>, String> {
    let source = TypedImageRef::<P>::from_buffer(picture.width(), picture.height(), picture.pixels());
    let source = source.map_err(|error| error.to_string())?;
    let mut pixels = vec![0; size.width as usize * size.height as usize * P::size()];
    let mut target =
        TypedImage::<P>::from_buffer(size.width, size.height, &mut pixels).map_err(|error| error.to_string())?;
    let (left, top, width, height) = window;
    // Opacity is multiplied in first and out after, so that what nobody sees bleeds into nothing.
    let options = ResizeOptions::new()
        .resize_alg(ResizeAlg::Convolution(FilterType::Lanczos3))
        .use_alpha(picture.layout().has_alpha())
        .crop(left, top, width, height);
    Resizer::new().resize_typed(&source, &mut target, &options).map_err(|error| error.to_string())?;
    Ok(pixels)
}

/// Makes the grey square WebP that `darkroom bench media` makes of each picture, the way the steps `image.resize`,
/// `image.grayscale` and `image.encode` do. `hand_on` gets the PNGs that would be stored between them.
///
/// # Errors
/// When it is no picture that can be read.
pub fn thumbnail_webp(
    bytes: &[u8],
    side: u32,
    quality: u8,
    limits: &Limits,
    mut hand_on: impl FnMut(&[u8]),
) -> Result<Vec<u8>, MediaError> {
    let info = read_info(bytes, limits)?;
    let plan = Resizing::plan(info.size, Some(side), Some(side), Fit::Cover, true)?;
    let decoded = decode(bytes, DecodeHint::at_least(plan.scaled), limits)?;
    let square = resize(&decoded.picture, plan, (0.5, 0.5), Color::WHITE)?;
    drop(decoded);
    hand_on(&encode(&square, Encoding::Png)?);
    let gray = grayscale(&square);
    hand_on(&encode(&gray, Encoding::Png)?);
    encode(&gray, Encoding::WebP { quality })
}
