//! Writing pictures.

use super::{Color, Format, MediaError, Picture, jpeg, png, webp};

/// How a picture is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// PNG, without loss and quickly.
    Png,
    /// JPEG, baseline.
    Jpeg {
        /// 1 to 100.
        quality: u8,
        /// What shows through where the picture is transparent.
        background: Color,
    },
    /// WebP with loss.
    WebP {
        /// 1 to 100.
        quality: u8,
    },
    /// WebP without loss.
    WebPLossless,
}

/// What quality is written in when nobody says.
const QUALITY: u8 = 85;

impl Encoding {
    /// How a format is written when nobody says more. GIF is not written.
    pub fn usual(format: Format) -> Option<Encoding> {
        match format {
            Format::Png => Some(Encoding::Png),
            Format::Jpeg => Some(Encoding::Jpeg { quality: QUALITY, background: Color::WHITE }),
            Format::WebP => Some(Encoding::WebP { quality: QUALITY }),
            Format::Gif => None,
        }
    }

    /// The format that is written.
    pub fn format(self) -> Format {
        match self {
            Encoding::Png => Format::Png,
            Encoding::Jpeg { .. } => Format::Jpeg,
            Encoding::WebP { .. } | Encoding::WebPLossless => Format::WebP,
        }
    }
}

/// Writes a picture. Equal pictures give equal bytes.
///
/// # Errors
/// When the format can't hold a picture of its size.
pub fn encode(picture: &Picture, encoding: Encoding) -> Result<Vec<u8>, MediaError> {
    match encoding {
        Encoding::Png => png::encode(picture),
        Encoding::Jpeg { quality, background } => jpeg::encode(picture, quality, background),
        Encoding::WebP { quality } => webp::encode(picture, quality, false),
        Encoding::WebPLossless => webp::encode(picture, QUALITY, true),
    }
}
