//! WebP.

use super::decode::{Header, Walk};
use super::{Format, Layout, Limits, MediaError, Picture, Size, color, exif::Orientation};
use image_webp::WebPDecoder;
use std::io::Cursor;

/// The most pixels on a side: the format has 14 bits for it.
const SIDE_MAX: u32 = 16_383;

fn broken(reason: impl Into<String>) -> MediaError {
    MediaError::Broken { format: Format::WebP, reason: reason.into() }
}

/// Walks over the chunks.
pub(super) fn header(bytes: &[u8], limits: &Limits) -> Result<Header, MediaError> {
    let mut walk = Walk::new(bytes, 4, Format::WebP);
    // The container's length is not asked: what counts is whether the chunks are there.
    walk.take(8)?;
    let mut header = Header {
        stored: Size { width: 0, height: 0 },
        alpha: false,
        frames: 0,
        icc: None,
        orientation: Orientation::UPRIGHT,
    };
    let mut canvas = false;
    let mut stills = 0;
    while !walk.is_at_end() {
        let Ok(name) = walk.array::<4>() else { break };
        let length = u32::from_le_bytes(walk.array()?) as usize;
        let chunk = walk.take(length)?;
        if length % 2 == 1 && !walk.is_at_end() {
            walk.byte()?;
        }
        match &name {
            b"VP8X" => {
                let [flags, _, _, _, w0, w1, w2, h0, h1, h2, ..] = *chunk else {
                    return Err(broken("its header is too short"));
                };
                let side = |b0, b1, b2| u32::from_le_bytes([b0, b1, b2, 0]) + 1;
                header.stored = Size { width: side(w0, w1, w2), height: side(h0, h1, h2) };
                header.alpha = flags & 0x10 != 0;
                canvas = true;
                limits.check_size(Format::WebP, header.stored)?;
            }
            b"VP8 " | b"VP8L" => {
                stills += 1;
                if !canvas {
                    (header.stored, header.alpha) = still_header(&name, chunk)?;
                    limits.check_size(Format::WebP, header.stored)?;
                    break;
                }
            }
            b"ANMF" => {
                header.frames += 1;
                limits.check_frames(header.frames)?;
            }
            b"ICCP" if chunk.len() <= color::PROFILE_BYTES_MAX => header.icc = Some(chunk.to_vec()),
            b"EXIF" => header.orientation = Orientation::from_exif(chunk),
            _ => {}
        }
    }
    if stills == 0 && header.frames == 0 {
        return Err(broken("it has no pixels"));
    }
    header.frames = header.frames.max(1);
    Ok(header)
}

fn still_header(name: &[u8; 4], chunk: &[u8]) -> Result<(Size, bool), MediaError> {
    match (name, chunk) {
        (b"VP8L", [0x2f, b0, b1, b2, b3, ..]) => {
            let bits = u32::from_le_bytes([*b0, *b1, *b2, *b3]);
            Ok((Size { width: (bits & 0x3fff) + 1, height: (bits >> 14 & 0x3fff) + 1 }, bits >> 28 & 1 == 1))
        }
        (b"VP8 ", [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1, ..]) => {
            let side = |b0: u8, b1: u8| u32::from(u16::from_le_bytes([b0, b1]) & 0x3fff);
            Ok((Size { width: side(*w0, *w1), height: side(*h0, *h1) }, false))
        }
        _ => Err(broken("its frame header is damaged")),
    }
}

pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Picture, MediaError> {
    let error = |error: image_webp::DecodingError| broken(error.to_string());
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(error)?;
    let (width, height) = decoder.dimensions();
    if (Size { width, height }) != header.stored {
        return Err(broken("its headers disagree on its size"));
    }
    decoder.set_memory_limit(header.stored.pixels() as usize * 4);
    let layout = if decoder.has_alpha() { Layout::Rgba } else { Layout::Rgb };
    let mut pixels = vec![0; header.stored.pixels() as usize * layout.channels()];
    if decoder.is_animated() {
        decoder.read_frame(&mut pixels).map_err(error)?;
    } else {
        decoder.read_image(&mut pixels).map_err(error)?;
    }
    Picture::new(header.stored, layout, pixels)
}

/// Writes a WebP.
pub(super) fn encode(picture: &Picture, quality: u8, lossless: bool) -> Result<Vec<u8>, MediaError> {
    let size = picture.size();
    if size.width.max(size.height) > SIDE_MAX {
        return Err(MediaError::SideTooLongFor { format: Format::WebP, size, side_max: SIDE_MAX });
    }
    let failed = |reason: String| MediaError::Encode { format: Format::WebP, reason };
    let layout = if picture.layout().has_alpha() { Layout::Rgba } else { Layout::Rgb };
    let converted;
    let pixels = if picture.layout() == layout {
        picture.pixels()
    } else {
        converted = picture.to_layout(layout);
        converted.pixels()
    };
    let encoder = if layout == Layout::Rgba {
        webp::Encoder::from_rgba(pixels, size.width, size.height)
    } else {
        webp::Encoder::from_rgb(pixels, size.width, size.height)
    };
    let mut config = webp::WebPConfig::new().map_err(|()| failed("libwebp has no settings".into()))?;
    config.quality = if lossless { LOSSLESS_EFFORT } else { f32::from(quality) };
    config.lossless = i32::from(lossless);
    config.method = 4;
    config.thread_level = 0;
    // Without loss means also the colours that nobody sees.
    config.exact = i32::from(lossless);
    let bytes = encoder.encode_advanced(&config).map_err(|error| failed(format!("{error:?}")))?;
    Ok(bytes.to_vec())
}

/// How hard lossless encoding tries, 0 to 100. More costs much time for a few percent.
const LOSSLESS_EFFORT: f32 = 50.0;
