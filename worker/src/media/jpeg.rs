//! JPEG.

use super::decode::{Header, Walk};
use super::{Color, Format, Layout, Limits, MediaError, Picture, Size, color, exif::Orientation};
use jpeg_decoder::{Decoder, PixelFormat, UnsupportedFeature};

fn broken(reason: impl Into<String>) -> MediaError {
    MediaError::Broken { format: Format::Jpeg, reason: reason.into() }
}

/// Walks over the segments before the first scan.
pub(super) fn header(bytes: &[u8], limits: &Limits) -> Result<Header, MediaError> {
    let mut walk = Walk::new(bytes, 2, Format::Jpeg);
    let mut size = None;
    let mut orientation = Orientation::UPRIGHT;
    let mut icc = Icc::default();
    loop {
        let marker = next_marker(&mut walk)?;
        match marker {
            // Markers without a segment.
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            0xd9 => return Err(broken("it ends before any pixels")),
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(walk.array()?));
        let segment = walk.take(length.checked_sub(2).ok_or_else(|| broken("a segment has no length"))?)?;
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let [_precision, h0, h1, w0, w1, ..] = *segment else { return Err(broken("its frame is too short")) };
                let found = Size {
                    width: u32::from(u16::from_be_bytes([w0, w1])),
                    height: u32::from(u16::from_be_bytes([h0, h1])),
                };
                limits.check_size(Format::Jpeg, found)?;
                size = Some(found);
            }
            0xe1 if segment.starts_with(b"Exif\0\0") => orientation = Orientation::from_exif(segment),
            0xe2 => icc.add(segment),
            0xda => break,
            _ => {}
        }
    }
    let stored = size.ok_or_else(|| broken("it has no frame"))?;
    Ok(Header { stored, alpha: false, frames: 1, icc: icc.joined(), orientation })
}

/// The next marker. Stray bytes before it are passed over, as all decoders do.
fn next_marker(walk: &mut Walk<'_>) -> Result<u8, MediaError> {
    while walk.byte()? != 0xff {}
    loop {
        let marker = walk.byte()?;
        if marker != 0xff {
            return Ok(marker);
        }
    }
}

/// A profile that is spread over segments, each with its number and their count.
#[derive(Default)]
struct Icc {
    parts: Vec<(u8, Vec<u8>)>,
    count: u8,
    bytes: usize,
}

impl Icc {
    fn add(&mut self, segment: &[u8]) {
        let Some([number, count, part @ ..]) = segment.strip_prefix(b"ICC_PROFILE\0") else { return };
        self.bytes += part.len();
        self.count = *count;
        if self.bytes <= color::PROFILE_BYTES_MAX {
            self.parts.push((*number, part.to_vec()));
        }
    }

    fn joined(mut self) -> Option<Vec<u8>> {
        self.parts.sort_by_key(|(number, _)| *number);
        let complete = !self.parts.is_empty()
            && self.parts.len() == usize::from(self.count)
            && self.parts.iter().zip(1..).all(|((number, _), want)| *number == want);
        complete.then(|| self.parts.into_iter().flat_map(|(_, part)| part).collect())
    }
}

/// At how many eighths of its size (1, 2, 4 or 8) a picture can be decoded so that no side is under `at_least`.
pub(super) fn eighths(stored: Size, at_least: Option<Size>) -> u32 {
    let Some(at_least) = at_least else { return 8 };
    [1, 2, 4]
        .into_iter()
        .find(|eighths| {
            let reduced = reduced(stored, *eighths);
            reduced.width >= at_least.width && reduced.height >= at_least.height
        })
        .unwrap_or(8)
}

fn reduced(stored: Size, eighths: u32) -> Size {
    let side = |side: u32| (side * eighths).div_ceil(8);
    Size { width: side(stored.width), height: side(stored.height) }
}

pub(super) fn decode(bytes: &[u8], header: &Header, at_least: Option<Size>) -> Result<Picture, MediaError> {
    let mut decoder = Decoder::new(bytes);
    let eighths = eighths(header.stored, at_least);
    let size = reduced(header.stored, eighths);
    decoder.set_max_decoding_buffer_size(size.pixels() as usize * 4);
    if eighths < 8 {
        // The decoder takes the first of these scales at which one side is large enough, which is ours: both of our
        // sides are what that scale gives.
        decoder.scale(size.width as u16, size.height as u16).map_err(error)?;
    }
    let pixels = decoder.decode().map_err(error)?;
    let info = decoder.info().ok_or_else(|| broken("it has no frame"))?;
    let got = Size { width: u32::from(info.width), height: u32::from(info.height) };
    match info.pixel_format {
        PixelFormat::L8 => Picture::new(got, Layout::Gray, pixels),
        PixelFormat::RGB24 => Picture::new(got, Layout::Rgb, pixels),
        PixelFormat::CMYK32 => color::cmyk_to_srgb(got, &pixels, header.icc.as_deref()),
        PixelFormat::L16 => {
            Err(MediaError::UnsupportedFeature { format: Format::Jpeg, feature: "16 bits per sample".into() })
        }
    }
}

fn error(error: jpeg_decoder::Error) -> MediaError {
    match error {
        jpeg_decoder::Error::Unsupported(feature) => MediaError::UnsupportedFeature {
            format: Format::Jpeg,
            feature: match feature {
                UnsupportedFeature::ArithmeticEntropyCoding => "arithmetic coding".into(),
                UnsupportedFeature::SamplePrecision(bits) => format!("{bits} bits per sample"),
                other => format!("{other:?}"),
            },
        },
        jpeg_decoder::Error::Io(_) => broken("it ends too early"),
        other => broken(other.to_string()),
    }
}

/// Writes a baseline JPEG. What is transparent shows `background`.
pub(super) fn encode(picture: &Picture, quality: u8, background: Color) -> Result<Vec<u8>, MediaError> {
    let flat;
    let picture = if picture.layout().has_alpha() {
        flat = picture.flattened(background);
        &flat
    } else {
        picture
    };
    let size = picture.size();
    let too_long = || MediaError::SideTooLongFor { format: Format::Jpeg, size, side_max: u32::from(u16::MAX) };
    let (width, height) = (u16::try_from(size.width), u16::try_from(size.height));
    let (width, height) = (width.map_err(|_| too_long())?, height.map_err(|_| too_long())?);
    let layout = if picture.layout().is_gray() { jpeg_encoder::ColorType::Luma } else { jpeg_encoder::ColorType::Rgb };

    let mut bytes = Vec::with_capacity(picture.bytes() / 8);
    let mut encoder = jpeg_encoder::Encoder::new(&mut bytes, quality);
    // A few percent smaller for a few percent more time.
    encoder.set_optimized_huffman_tables(true);
    encoder
        .encode(picture.pixels(), width, height, layout)
        .map_err(|error| MediaError::Encode { format: Format::Jpeg, reason: error.to_string() })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reduced_scales_keep_both_sides_large_enough() {
        let photo = Size { width: 4000, height: 2667 };
        let cases = [(1200, 800, 4), (2000, 1334, 4), (2001, 100, 8), (500, 334, 1), (501, 334, 2), (4000, 2667, 8)];
        for (width, height, want) in cases {
            assert_eq!(eighths(photo, Some(Size { width, height })), want, "{width}x{height}");
        }
        assert_eq!(eighths(photo, None), 8);
    }
}
