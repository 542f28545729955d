//! PNG.

use super::decode::{Header, Walk};
use super::{Format, Layout, Limits, MediaError, Picture, Size, color, exif::Orientation};
use png::{BitDepth, ColorType, DecodingError, Transformations};
use std::io::Cursor;

/// What the decoder may take beside a few rows: a profile and a chunk's bytes.
const DECODER_BYTES_MAX: usize = 3 * color::PROFILE_BYTES_MAX;

/// The most bytes that an interlaced picture may take before it is reduced to 8 bits. Others are read row by row.
const INTERLACED_BYTES_MAX: usize = 512 << 20;

fn broken(reason: impl Into<String>) -> MediaError {
    MediaError::Broken { format: Format::Png, reason: reason.into() }
}

fn error(error: DecodingError) -> MediaError {
    match error {
        DecodingError::IoError(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => {
            broken("it ends too early")
        }
        DecodingError::LimitsExceeded => broken("a chunk unpacks to more than is allowed"),
        other => broken(other.to_string()),
    }
}

fn reader(bytes: &[u8]) -> Result<png::Reader<Cursor<&[u8]>>, MediaError> {
    // The size stands at a fixed place, and has been checked there.
    let row_bytes = bytes.get(16..20).map_or(0, |width| width.iter().fold(0, |n, b| n << 8 | usize::from(*b))) * 8;
    let limits = png::Limits { bytes: DECODER_BYTES_MAX + 4 * row_bytes };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_ignore_text_chunk(true);
    decoder.set_transformations(Transformations::EXPAND);
    decoder.read_info().map_err(error)
}

pub(super) fn header(bytes: &[u8], limits: &Limits) -> Result<Header, MediaError> {
    let mut walk = Walk::new(bytes, 8, Format::Png);
    let [_, _, _, _, b'I', b'H', b'D', b'R', w0, w1, w2, w3, h0, h1, h2, h3] = walk.array()? else {
        return Err(broken("its header is not where it should be"));
    };
    let stored = Size { width: u32::from_be_bytes([w0, w1, w2, w3]), height: u32::from_be_bytes([h0, h1, h2, h3]) };
    limits.check_size(Format::Png, stored)?;

    let reader = reader(bytes)?;
    let info = reader.info();
    let frames = info.animation_control().map_or(1, |animation| u64::from(animation.num_frames));
    limits.check_frames(frames)?;
    Ok(Header {
        stored,
        alpha: matches!(reader.output_color_type().0, ColorType::Rgba | ColorType::GrayscaleAlpha),
        frames,
        icc: info.icc_profile.as_ref().map(|icc| icc.to_vec()),
        orientation: info.exif_metadata.as_deref().map_or(Orientation::UPRIGHT, Orientation::from_exif),
    })
}

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Picture, MediaError> {
    let mut reader = reader(bytes)?;
    let (color, depth) = reader.output_color_type();
    let layout = match color {
        ColorType::Grayscale => Layout::Gray,
        ColorType::GrayscaleAlpha => Layout::GrayAlpha,
        ColorType::Rgb => Layout::Rgb,
        ColorType::Rgba => Layout::Rgba,
        ColorType::Indexed => return Err(broken("its palette is missing")),
    };
    let wide = depth == BitDepth::Sixteen;
    let total = header.stored.pixels() as usize * layout.channels();
    let mut pixels;
    if reader.info().interlaced {
        let size = reader.output_buffer_size().filter(|size| *size <= INTERLACED_BYTES_MAX);
        pixels = vec![0; size.ok_or_else(|| broken("an interlaced picture of this size is not read"))?];
        reader.next_frame(&mut pixels).map_err(error)?;
        if wide {
            let mut narrow = Vec::with_capacity(total);
            extend_narrowed(&mut narrow, &pixels);
            pixels = narrow;
        }
    } else {
        pixels = Vec::with_capacity(total);
        while let Some(row) = reader.next_row().map_err(error)? {
            if wide {
                extend_narrowed(&mut pixels, row.data());
            } else {
                pixels.extend_from_slice(row.data());
            }
        }
    }
    if pixels.len() != total {
        return Err(broken("it has fewer rows than it says"));
    }
    reader.finish().map_err(error)?;
    Picture::new(header.stored, layout, pixels)
}

/// Samples of 16 bits as samples of 8, rounded: 65,535 is 255 and 257 steps are one.
fn extend_narrowed(narrow: &mut Vec<u8>, wide: &[u8]) {
    let (pairs, _) = wide.as_chunks::<2>();
    narrow.extend(pairs.iter().map(|pair| ((u32::from(u16::from_be_bytes(*pair)) * 255 + 32_895) >> 16) as u8));
}

/// Writes a PNG, quickly: these are what steps hand on, not what is published.
pub(super) fn encode(picture: &Picture) -> Result<Vec<u8>, MediaError> {
    let reason = |error: png::EncodingError| MediaError::Encode { format: Format::Png, reason: error.to_string() };
    let mut bytes = Vec::with_capacity(picture.bytes() / 2);
    let mut encoder = png::Encoder::new(&mut bytes, picture.width(), picture.height());
    encoder.set_color(match picture.layout() {
        Layout::Gray => ColorType::Grayscale,
        Layout::GrayAlpha => ColorType::GrayscaleAlpha,
        Layout::Rgb => ColorType::Rgb,
        Layout::Rgba => ColorType::Rgba,
    });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(png::Compression::Fast);
    let mut writer = encoder.write_header().map_err(reason)?;
    writer.write_image_data(picture.pixels()).map_err(reason)?;
    writer.finish().map_err(reason)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_bits_are_rounded_to_eight() {
        let mut narrow = Vec::new();
        for wide in 0..=u16::MAX {
            narrow.clear();
            extend_narrowed(&mut narrow, &wide.to_be_bytes());
            assert_eq!(narrow, [(f64::from(wide) / 257.0).round() as u8], "{wide}");
        }
    }
}
