//! Pictures: reading, changing and writing them.
//!
//! Everything inside is upright, 8 bits per sample and sRGB: orientation and colour profiles are applied when a picture
//! is read, so no op has to think of them and nothing but pixels (no profile, no EXIF, no place) reaches an output.
//! Untrusted bytes are only ever read by decoders written in Rust; libwebp, the one C library, sees pixels that we decoded.

mod adjust;
mod canvas;
mod color;
mod decode;
mod encode;
mod error;
mod exif;
mod format;
mod geometry;
mod gif;
mod jpeg;
mod limits;
mod overlay;
mod picture;
mod png;
mod resize;
mod sharpen;
mod sheet;
mod text;
mod wav;
mod webp;

pub use adjust::{Adjustment, adjust, grayscale};
pub use decode::{DecodeHint, Decoded, PictureInfo, decode, read_info, upright};
pub use encode::{Encoding, encode};
pub use error::MediaError;
pub use format::Format;
pub use geometry::{Area, Aspect, Fit, Gravity, Resizing, Size, aspect_area, padded_area};
pub use limits::Limits;
pub use overlay::{Placement, overlay};
pub use picture::{Color, Layout, Picture};
pub use resize::{resize, resize_to, thumbnail_webp, window};
pub use sharpen::sharpen;
pub use sheet::{Cell, CellContent, Sheet, contact_sheet};
pub use wav::Sound;
