//! Orientation: reading it from EXIF and applying it.

use super::{MediaError, Picture, Size};

/// How the stored pixels have to be turned and mirrored to be upright: the EXIF values 1 to 8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Orientation(u8);

impl Orientation {
    pub(super) const UPRIGHT: Orientation = Orientation(1);

    /// The orientation that EXIF data (a TIFF file, with or without the `Exif` header before it) gives. Anything
    /// damaged or unknown is upright: a bad tag is no reason to refuse a picture.
    pub(super) fn from_exif(exif: &[u8]) -> Orientation {
        orientation_tag(exif.strip_prefix(b"Exif\0\0").unwrap_or(exif))
            .filter(|value| (1..=8).contains(value))
            .map_or(Orientation::UPRIGHT, |value| Orientation(value as u8))
    }

    fn swaps_sides(self) -> bool {
        self.0 >= 5
    }

    /// The upright size of a picture that is stored in this size. The way back is the same.
    pub(super) fn turn(self, stored: Size) -> Size {
        if self.swaps_sides() { Size { width: stored.height, height: stored.width } } else { stored }
    }

    /// The picture, upright.
    pub(super) fn apply(self, picture: Picture) -> Result<Picture, MediaError> {
        if self.0 == 1 {
            return Ok(picture);
        }
        match picture.layout().channels() {
            1 => self.apply_pixels::<1>(picture),
            2 => self.apply_pixels::<2>(picture),
            3 => self.apply_pixels::<3>(picture),
            _ => self.apply_pixels::<4>(picture),
        }
    }

    fn apply_pixels<const N: usize>(self, picture: Picture) -> Result<Picture, MediaError> {
        let stored = picture.size();
        let upright = self.turn(stored);
        let (pixels, _) = picture.pixels().as_chunks::<N>();
        let (width, height) = (stored.width as usize, stored.height as usize);
        let mut turned = Vec::with_capacity(picture.bytes());
        for y in 0..upright.height as usize {
            // The first stored pixel of this upright row, and how far the next one is.
            let (start, step): (usize, isize) = match self.0 {
                2 => (y * width + width - 1, -1),
                3 => ((height - 1 - y) * width + width - 1, -1),
                4 => ((height - 1 - y) * width, 1),
                5 => (y, width as isize),
                6 => ((height - 1) * width + y, -(width as isize)),
                7 => ((height - 1) * width + width - 1 - y, -(width as isize)),
                8 => (width - 1 - y, width as isize),
                _ => (y * width, 1),
            };
            for x in 0..upright.width as isize {
                turned.extend_from_slice(&pixels[start.wrapping_add_signed(x * step)]);
            }
        }
        Picture::new(upright, picture.layout(), turned)
    }
}

fn orientation_tag(tiff: &[u8]) -> Option<u16> {
    let little = match tiff.get(..4)? {
        [b'I', b'I', 42, 0] => true,
        [b'M', b'M', 0, 42] => false,
        _ => return None,
    };
    let u16_at = |at: usize| {
        let pair: [u8; 2] = tiff.get(at..at.checked_add(2)?)?.try_into().ok()?;
        Some(if little { u16::from_le_bytes(pair) } else { u16::from_be_bytes(pair) })
    };
    let u32_at = |at: usize| {
        let four: [u8; 4] = tiff.get(at..at.checked_add(4)?)?.try_into().ok()?;
        Some(if little { u32::from_le_bytes(four) } else { u32::from_be_bytes(four) })
    };
    let directory = u32_at(4)? as usize;
    let entries = u16_at(directory)? as usize;
    (0..entries)
        .map(|index| directory + 2 + index * 12)
        .find(|&entry| u16_at(entry) == Some(0x0112))
        .and_then(|entry| u16_at(entry + 8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media::Layout;

    /// EXIF data with nothing but an orientation.
    pub(crate) fn exif(orientation: u8) -> Vec<u8> {
        let mut exif = b"Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0".to_vec();
        exif.extend([orientation, 0, 0, 0, 0, 0, 0]);
        exif
    }

    #[test]
    fn all_eight_orientations_come_out_upright() {
        // Upright: 1 2 3 over 4 5 6. Each case is how a camera of that orientation stores it.
        let cases: [(u8, u32, [u8; 6]); 8] = [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [3, 6, 2, 5, 1, 4]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [4, 1, 5, 2, 6, 3]),
        ];
        for (value, width, stored) in cases {
            let size = Size { width, height: 6 / width };
            let picture = Picture::new(size, Layout::Gray, stored.to_vec()).unwrap();
            let orientation = Orientation::from_exif(&exif(value));
            let upright = orientation.apply(picture).unwrap();
            assert_eq!(upright.size(), Size { width: 3, height: 2 }, "{value}");
            assert_eq!(upright.pixels(), [1, 2, 3, 4, 5, 6], "{value}");
        }
    }

    #[test]
    fn damaged_exif_is_upright() {
        let whole = exif(6);
        for end in 0..whole.len() - 6 {
            assert_eq!(Orientation::from_exif(&whole[..end]), Orientation::UPRIGHT, "{end}");
        }
        assert_eq!(Orientation::from_exif(&exif(9)), Orientation::UPRIGHT);
        assert_eq!(Orientation::from_exif(b"MM\0\x2a\xff\xff\xff\xff"), Orientation::UPRIGHT);
    }
}
