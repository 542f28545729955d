//! What is too much.

use super::{Format, MediaError, Size};

/// Limits on what is read. They are checked against the header before anything is decoded or allocated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of an encoded picture. Default: 64 MiB, more than any camera's JPEG and most PNGs of 100 megapixels.
    pub bytes_max: u64,
    /// Pixels of a picture that is read or made. Default: 100 million, 400 MB decoded with opacity.
    pub pixels_max: u64,
    /// Pixels along one side. Default: 50,000.
    pub side_max: u32,
    /// Frames of an animation. Default: 2,000. Only the first is used, the others still have to be walked over.
    pub frames_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { bytes_max: 64 << 20, pixels_max: PIXELS_MAX, side_max: 50_000, frames_max: 2_000 }
    }
}

/// Pixels of a picture that an op makes, whatever was configured for reading.
pub(super) const PIXELS_MAX: u64 = 100_000_000;

impl Limits {
    /// Checks the length of an encoded picture.
    ///
    /// # Errors
    /// When it is too long.
    pub fn check_bytes(&self, bytes: u64) -> Result<(), MediaError> {
        if bytes > self.bytes_max {
            return Err(MediaError::TooManyBytes { bytes, bytes_max: self.bytes_max });
        }
        Ok(())
    }

    pub(super) fn check_size(&self, format: Format, size: Size) -> Result<(), MediaError> {
        if size.pixels() == 0 {
            return Err(MediaError::NoPixels { format, size });
        }
        if size.width.max(size.height) > self.side_max {
            return Err(MediaError::SideTooLong { size, side_max: self.side_max });
        }
        if size.pixels() > self.pixels_max {
            return Err(MediaError::TooManyPixels { size, pixels_max: self.pixels_max });
        }
        Ok(())
    }

    pub(super) fn check_frames(&self, frames: u64) -> Result<(), MediaError> {
        if frames > self.frames_max {
            return Err(MediaError::TooManyFrames { frames, frames_max: self.frames_max });
        }
        Ok(())
    }
}
