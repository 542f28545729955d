//! Reading pictures.

use super::{
    Color, Encoding, Format, Limits, MediaError, Picture, Size, color, encode, exif::Orientation, gif, jpeg, png, webp,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// How large the pixels are needed, so that a decoder which can give fewer for less work may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecodeHint {
    at_least: Option<Size>,
}

impl DecodeHint {
    /// Every pixel is needed.
    pub const FULL: DecodeHint = DecodeHint { at_least: None };

    /// The upright picture will be scaled to this size, or less: a smaller decoded picture will do as long as neither
    /// side is under it.
    pub fn at_least(size: Size) -> DecodeHint {
        DecodeHint { at_least: Some(size) }
    }

    /// Whether decoding the picture with this hint gives fewer pixels than it has.
    pub fn reduces(self, info: &PictureInfo) -> bool {
        info.format == Format::Jpeg && jpeg::eighths(info.size, self.at_least) < 8
    }
}

/// What a picture's header tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PictureInfo {
    /// Its format.
    pub format: Format,
    /// Its size, upright.
    pub size: Size,
    /// Whether it can be transparent.
    pub alpha: bool,
    /// How many frames it has, 1 for a still.
    pub frames: u64,
    /// The name of its colour profile, or empty.
    pub profile: String,
}

/// What the decoders of all formats find in a header.
pub(super) struct Header {
    pub(super) stored: Size,
    pub(super) alpha: bool,
    pub(super) frames: u64,
    pub(super) icc: Option<Vec<u8>>,
    pub(super) orientation: Orientation,
}

/// A picture and what its header told.
#[derive(Debug, Clone)]
pub struct Decoded {
    /// The pixels.
    pub picture: Picture,
    /// The header. Its size is that of the whole picture, also when the pixels are fewer by a [`DecodeHint`].
    pub info: PictureInfo,
}

/// Reads what a picture is from its header, without decoding it.
///
/// # Errors
/// When it is no picture, its header is damaged, or it is over a limit.
pub fn read_info(bytes: &[u8], limits: &Limits) -> Result<PictureInfo, MediaError> {
    let (format, header) = read_header(bytes, limits)?;
    Ok(info_of(format, &header))
}

/// Reads a picture: upright, sRGB, 8 bits. Of an animation it is the first frame.
///
/// Limits are checked against the header before memory is taken for pixels. A file that was cut short is an error, never
/// half a picture.
///
/// # Errors
/// When it is no picture, is damaged, or is over a limit.
pub fn decode(bytes: &[u8], hint: DecodeHint, limits: &Limits) -> Result<Decoded, MediaError> {
    let (format, header) = read_header(bytes, limits)?;
    let info = info_of(format, &header);
    let at_least = hint.at_least.map(|upright| header.orientation.turn(upright));
    let picture = guarded(format, || match format {
        Format::Png => png::decode(bytes, &header),
        Format::Jpeg => jpeg::decode(bytes, &header, at_least),
        Format::WebP => webp::decode(bytes, &header),
        Format::Gif => gif::decode(bytes, &header),
    })?;
    let picture = guarded(format, || Ok(color::to_srgb(picture, header.icc.as_deref())))?;
    Ok(Decoded { picture: header.orientation.apply(picture)?, info })
}

/// The same picture stored upright, in its own format, if it is stored turned or mirrored; `None` if it stands upright
/// already. For whoever does not heed the note about it in the file.
///
/// # Errors
/// As [`decode`].
pub fn upright(bytes: &[u8], limits: &Limits) -> Result<Option<Vec<u8>>, MediaError> {
    let (format, header) = read_header(bytes, limits)?;
    if header.orientation == Orientation::UPRIGHT {
        return Ok(None);
    }
    let encoding = match format {
        Format::Jpeg => Encoding::Jpeg { quality: UPRIGHT_QUALITY, background: Color::WHITE },
        Format::WebP => Encoding::WebP { quality: UPRIGHT_QUALITY },
        Format::Png | Format::Gif => Encoding::Png,
    };
    encode(&decode(bytes, DecodeHint::FULL, limits)?.picture, encoding).map(Some)
}

/// In which quality a picture is written that was only turned: what it loses must not be seen.
const UPRIGHT_QUALITY: u8 = 95;

fn read_header(bytes: &[u8], limits: &Limits) -> Result<(Format, Header), MediaError> {
    limits.check_bytes(bytes.len() as u64)?;
    let format = Format::sniff(bytes)?;
    let header = guarded(format, || match format {
        Format::Png => png::header(bytes, limits),
        Format::Jpeg => jpeg::header(bytes, limits),
        Format::WebP => webp::header(bytes, limits),
        Format::Gif => gif::header(bytes, limits),
    })?;
    Ok((format, header))
}

fn info_of(format: Format, header: &Header) -> PictureInfo {
    PictureInfo {
        format,
        size: header.orientation.turn(header.stored),
        alpha: header.alpha,
        frames: header.frames,
        profile: header.icc.as_deref().map(color::profile_name).unwrap_or_default(),
    }
}

/// Runs a decoder so that a panic in it is an error like any other: it was fed what somebody sent us.
fn guarded<T>(format: Format, work: impl FnOnce() -> Result<T, MediaError>) -> Result<T, MediaError> {
    catch_unwind(AssertUnwindSafe(work))
        .unwrap_or_else(|_| Err(MediaError::Broken { format, reason: "the decoder gave up on it".into() }))
}

/// A reader over the bytes of a header, for the walks over segments, chunks and blocks.
pub(super) struct Walk<'a> {
    bytes: &'a [u8],
    at: usize,
    format: Format,
}

impl<'a> Walk<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize, format: Format) -> Self {
        Walk { bytes, at, format }
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], MediaError> {
        let taken = self.at.checked_add(count).and_then(|end| self.bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| self.broken("it ends too early"))?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], MediaError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn byte(&mut self) -> Result<u8, MediaError> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.at >= self.bytes.len()
    }

    pub(super) fn broken(&self, reason: &str) -> MediaError {
        MediaError::Broken { format: self.format, reason: reason.to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_decoder_is_an_error() {
        let result: Result<(), _> = guarded(Format::Png, || std::panic::resume_unwind(Box::new("index out of bounds")));
        assert!(matches!(result, Err(MediaError::Broken { format: Format::Png, .. })));
    }
}
