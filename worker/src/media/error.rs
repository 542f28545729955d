//! What can go wrong with a picture.

use super::{Format, Size};
use darkroom_proto::{ErrorClass, StepError};

/// Why a picture can't be read, changed or written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MediaError {
    /// The bytes are no picture of a kind that is read here.
    #[error("the file is {found}, not a picture that can be read")]
    Unsupported {
        /// What it seems to be, with its article.
        found: &'static str,
    },
    /// It is a picture of a known format, in a variant that is not read.
    #[error("the {format} picture uses {feature}, which is not read")]
    UnsupportedFeature {
        /// The format.
        format: Format,
        /// What it uses.
        feature: String,
    },
    /// The file has been cut short or damaged.
    #[error("the {format} picture is truncated or damaged: {reason}")]
    Broken {
        /// The format.
        format: Format,
        /// What the decoder said.
        reason: String,
    },
    /// A side is zero.
    #[error("the {format} picture has no pixels: it is {size}")]
    NoPixels {
        /// The format.
        format: Format,
        /// What its header says.
        size: Size,
    },
    /// The file is too long.
    #[error("the picture's file has {bytes} bytes, over the limit of {bytes_max}")]
    TooManyBytes {
        /// Its length.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The picture has too many pixels.
    #[error("a picture of {size} has {} pixels, over the limit of {pixels_max}", size.pixels())]
    TooManyPixels {
        /// Its size.
        size: Size,
        /// The limit.
        pixels_max: u64,
    },
    /// A side is too long.
    #[error("a picture of {size} is over the limit of {side_max} pixels on a side")]
    SideTooLong {
        /// Its size.
        size: Size,
        /// The limit.
        side_max: u32,
    },
    /// An animation has too many frames.
    #[error("the animation has {frames} frames or more, over the limit of {frames_max}")]
    TooManyFrames {
        /// How many were counted before counting stopped.
        frames: u64,
        /// The limit.
        frames_max: u64,
    },
    /// The format can't hold a picture of this size.
    #[error("{format} can't hold a picture of {size}: its limit is {side_max} pixels on a side")]
    SideTooLongFor {
        /// The format.
        format: Format,
        /// The picture's size.
        size: Size,
        /// The format's limit.
        side_max: u32,
    },
    /// A box has no pixel in common with the picture.
    #[error("the box at {x},{y} of {width}x{height} lies outside the picture of {picture}")]
    BoxOutside {
        /// The box' left edge.
        x: i64,
        /// Its top edge.
        y: i64,
        /// Its width.
        width: i64,
        /// Its height.
        height: i64,
        /// The picture's size.
        picture: Size,
    },
    /// An overlay has no pixel in common with the picture.
    #[error("the overlay of {overlay} at {x},{y} lies wholly outside the picture of {picture}")]
    OverlayOutside {
        /// The overlay's left edge.
        x: i64,
        /// Its top edge.
        y: i64,
        /// The overlay's size.
        overlay: Size,
        /// The picture's size.
        picture: Size,
    },
    /// The text is no colour.
    #[error("`{text}` is no colour")]
    Color {
        /// The text, shortened.
        text: String,
    },
    /// The text is no proportion.
    #[error("`{text}` is no proportion")]
    Aspect {
        /// The text, shortened.
        text: String,
    },
    /// A contact sheet of nothing.
    #[error("there is no picture to put on the sheet: the list is empty")]
    EmptySheet,
    /// The picture could not be written.
    #[error("the picture could not be written as {format}: {reason}")]
    Encode {
        /// The format.
        format: Format,
        /// What the encoder said.
        reason: String,
    },
    /// A rule of ours is broken.
    #[error("internal error: {what}")]
    Internal {
        /// Which one.
        what: String,
    },
}

impl MediaError {
    /// What kind of error it is.
    pub fn class(&self) -> ErrorClass {
        match self {
            MediaError::Unsupported { .. } | MediaError::UnsupportedFeature { .. } => ErrorClass::UnsupportedFormat,
            MediaError::TooManyBytes { .. }
            | MediaError::TooManyPixels { .. }
            | MediaError::SideTooLong { .. }
            | MediaError::TooManyFrames { .. }
            | MediaError::SideTooLongFor { .. } => ErrorClass::TooLarge,
            MediaError::Broken { .. }
            | MediaError::NoPixels { .. }
            | MediaError::BoxOutside { .. }
            | MediaError::OverlayOutside { .. }
            | MediaError::Color { .. }
            | MediaError::Aspect { .. }
            | MediaError::EmptySheet => ErrorClass::InvalidInput,
            MediaError::Encode { .. } | MediaError::Internal { .. } => ErrorClass::WorkflowError,
        }
    }

    /// Its stable name.
    pub fn code(&self) -> &'static str {
        match self {
            MediaError::Unsupported { .. } | MediaError::UnsupportedFeature { .. } => "unsupported_format",
            MediaError::Broken { .. } => "broken_picture",
            MediaError::NoPixels { .. } => "no_pixels",
            MediaError::TooManyBytes { .. } => "too_many_bytes",
            MediaError::TooManyPixels { .. } => "too_many_pixels",
            MediaError::SideTooLong { .. } | MediaError::SideTooLongFor { .. } => "side_too_long",
            MediaError::TooManyFrames { .. } => "too_many_frames",
            MediaError::BoxOutside { .. } => "box_outside",
            MediaError::OverlayOutside { .. } => "overlay_outside",
            MediaError::Color { .. } => "invalid_color",
            MediaError::Aspect { .. } => "invalid_aspect",
            MediaError::EmptySheet => "empty_sheet",
            MediaError::Encode { .. } => "encode_failed",
            MediaError::Internal { .. } => "internal",
        }
    }

    /// What to do about it.
    pub fn advice(&self) -> &'static str {
        match self {
            MediaError::Unsupported { .. } | MediaError::UnsupportedFeature { .. } => {
                "Give a PNG, JPEG, WebP or GIF picture."
            }
            MediaError::Broken { .. } | MediaError::NoPixels { .. } => {
                "Open the file in a viewer; export or download it again."
            }
            MediaError::TooManyBytes { .. } => "Give a smaller file.",
            MediaError::TooManyPixels { .. } | MediaError::SideTooLong { .. } => {
                "Make the picture smaller before giving it."
            }
            MediaError::TooManyFrames { .. } => "Give a still picture; of animations only the first frame is used.",
            MediaError::SideTooLongFor { .. } => "Write it as PNG, or make it smaller with `image.resize`.",
            MediaError::BoxOutside { .. } => {
                "Boxes are in pixels of the upright picture that the step works on; check that the box was found in this picture and not before it was resized."
            }
            MediaError::OverlayOutside { .. } => {
                "Check `x` and `y`, or use `gravity` and `margin`, which follow the picture's size."
            }
            MediaError::Color { .. } => "Write it as `#rrggbb` or `#rrggbbaa`, in quotes.",
            MediaError::Aspect { .. } => "Write width to height, such as `16:9`, in quotes.",
            MediaError::EmptySheet => {
                "Check the fan-out or list that the sheet is made from; `if:` can skip the sheet when there is none."
            }
            MediaError::Encode { .. } | MediaError::Internal { .. } => "This is a bug in Darkroom; please report it.",
        }
    }
}

impl From<MediaError> for StepError {
    fn from(error: MediaError) -> StepError {
        StepError::new(error.class(), error.to_string()).code(error.code()).advice(error.advice())
    }
}
