//! Pictures, read by other code than what wrote them where there is some.

use std::path::Path;

/// A decoded picture.
pub(crate) struct Seen {
    pub(crate) width: u32,
    pub(crate) height: u32,
    rgba: Vec<u8>,
}

impl Seen {
    /// Reads a PNG, JPEG or WebP file.
    pub(crate) fn read(path: &Path) -> Seen {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        Seen::decode(&bytes)
    }

    /// Decodes a PNG, JPEG or WebP.
    pub(crate) fn decode(bytes: &[u8]) -> Seen {
        if bytes.starts_with(b"RIFF") {
            let mut decoder = image_webp::WebPDecoder::new(std::io::Cursor::new(bytes)).unwrap();
            let (width, height) = decoder.dimensions();
            let mut pixels = vec![0; decoder.output_buffer_size().unwrap()];
            decoder.read_image(&mut pixels).unwrap();
            let rgba = match decoder.has_alpha() {
                true => pixels,
                false => pixels.as_chunks::<3>().0.iter().flat_map(|[r, g, b]| [*r, *g, *b, 255]).collect(),
            };
            return Seen { width, height, rgba };
        }
        let picture = image::load_from_memory(bytes).unwrap().into_rgba8();
        Seen { width: picture.width(), height: picture.height(), rgba: picture.into_raw() }
    }

    /// Width and height.
    pub(crate) fn size(&self) -> (u32, u32) {
        (self.width, self.height)
    }

    /// Red, green, blue and alpha of a pixel.
    pub(crate) fn pixel(&self, x: u32, y: u32) -> [u8; 4] {
        let at = ((y * self.width + x) * 4) as usize;
        self.rgba[at..at + 4].try_into().unwrap()
    }

    /// Whether red, green and blue are the same everywhere, but for what a codec rounds.
    pub(crate) fn is_gray(&self) -> bool {
        self.rgba.as_chunks::<4>().0.iter().all(|[r, g, b, _]| r.abs_diff(*g) <= 3 && g.abs_diff(*b) <= 3)
    }

    /// How many different colours there are, of 4 bits each.
    pub(crate) fn colors(&self) -> usize {
        let coarse = self.rgba.as_chunks::<4>().0.iter().map(|[r, g, b, _]| [r >> 4, g >> 4, b >> 4]);
        coarse.collect::<std::collections::BTreeSet<_>>().len()
    }
}
