//! GIF, read only.

use super::decode::{Header, Walk};
use super::{Format, Layout, Limits, MediaError, Picture, Size, exif::Orientation};
use std::num::NonZeroU64;

fn broken(reason: impl Into<String>) -> MediaError {
    MediaError::Broken { format: Format::Gif, reason: reason.into() }
}

/// Walks over the blocks and counts the frames without unpacking any.
pub(super) fn header(bytes: &[u8], limits: &Limits) -> Result<Header, MediaError> {
    let mut walk = Walk::new(bytes, 6, Format::Gif);
    let [w0, w1, h0, h1, flags, _, _] = walk.array()?;
    let side = |b0, b1| u32::from(u16::from_le_bytes([b0, b1]));
    let stored = Size { width: side(w0, w1), height: side(h0, h1) };
    limits.check_size(Format::Gif, stored)?;
    skip_palette(&mut walk, flags)?;

    let mut frames = 0;
    let mut transparent = false;
    loop {
        match walk.byte()? {
            0x21 => {
                let label = walk.byte()?;
                let first = sub_block(&mut walk)?;
                if label == 0xf9 && frames == 0 {
                    transparent = first.first().is_some_and(|flags| flags & 1 == 1);
                }
                if !first.is_empty() {
                    skip_sub_blocks(&mut walk)?;
                }
            }
            0x2c => {
                let [x0, x1, y0, y1, w0, w1, h0, h1, flags] = walk.array()?;
                let frame = Size { width: side(w0, w1), height: side(h0, h1) };
                limits.check_size(Format::Gif, frame)?;
                let covers =
                    side(x0, x1) + side(y0, y1) == 0 && frame.width >= stored.width && frame.height >= stored.height;
                transparent |= frames == 0 && !covers;
                skip_palette(&mut walk, flags)?;
                walk.byte()?;
                skip_sub_blocks(&mut walk)?;
                frames += 1;
                limits.check_frames(frames)?;
            }
            0x3b => break,
            _ => return Err(broken("a block of an unknown kind")),
        }
    }
    if frames == 0 {
        return Err(broken("it has no frame"));
    }
    Ok(Header { stored, alpha: transparent, frames, icc: None, orientation: Orientation::UPRIGHT })
}

fn skip_palette(walk: &mut Walk<'_>, flags: u8) -> Result<(), MediaError> {
    if flags & 0x80 != 0 {
        walk.take(3 << ((flags & 7) + 1))?;
    }
    Ok(())
}

fn sub_block<'a>(walk: &mut Walk<'a>) -> Result<&'a [u8], MediaError> {
    let length = walk.byte()?;
    walk.take(usize::from(length))
}

fn skip_sub_blocks(walk: &mut Walk<'_>) -> Result<(), MediaError> {
    while !sub_block(walk)?.is_empty() {}
    Ok(())
}

/// The first frame on its canvas.
pub(super) fn decode(bytes: &[u8], header: &Header) -> Result<Picture, MediaError> {
    let error = |error: gif::DecodingError| broken(error.to_string());
    let mut options = gif::DecodeOptions::new();
    options.set_color_output(gif::ColorOutput::RGBA);
    options.check_lzw_end_code(false);
    // One frame, as large as the largest that the header's walk let pass.
    options.set_memory_limit(gif::MemoryLimit::Bytes(NonZeroU64::new(512 << 20).unwrap_or(NonZeroU64::MIN)));
    let mut decoder = options.read_info(bytes).map_err(error)?;
    let frame = decoder.next_frame_info().map_err(error)?.ok_or_else(|| broken("it has no frame"))?;
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    let mut pixels = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut pixels).map_err(error)?;

    let (width, height) = (header.stored.width as usize, header.stored.height as usize);
    if (left, top, frame_width, frame_height) != (0, 0, width, height) {
        let mut canvas = vec![0; width * height * 4];
        let visible = frame_width.min(width.saturating_sub(left)) * 4;
        for y in 0..frame_height.min(height.saturating_sub(top)) {
            let to = ((top + y) * width + left) * 4;
            canvas[to..to + visible].copy_from_slice(&pixels[y * frame_width * 4..][..visible]);
        }
        pixels = canvas;
    }
    let picture = Picture::new(header.stored, Layout::Rgba, pixels)?;
    Ok(if header.alpha { picture } else { picture.to_layout(Layout::Rgb) })
}
