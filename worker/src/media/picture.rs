//! Decoded pictures.

use super::{Area, MediaError, Size};

/// How the samples of a pixel lie in memory, 8 bits each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layout {
    /// Grey.
    Gray,
    /// Grey and opacity.
    GrayAlpha,
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue and opacity.
    Rgba,
}

impl Layout {
    /// Bytes of one pixel.
    pub fn channels(self) -> usize {
        match self {
            Layout::Gray => 1,
            Layout::GrayAlpha => 2,
            Layout::Rgb => 3,
            Layout::Rgba => 4,
        }
    }

    /// Whether pixels can be transparent.
    pub fn has_alpha(self) -> bool {
        matches!(self, Layout::GrayAlpha | Layout::Rgba)
    }

    /// Whether there is no colour.
    pub fn is_gray(self) -> bool {
        matches!(self, Layout::Gray | Layout::GrayAlpha)
    }
}

/// A colour in sRGB, with opacity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Color {
    /// Red.
    pub r: u8,
    /// Green.
    pub g: u8,
    /// Blue.
    pub b: u8,
    /// Opacity, 255 is solid.
    pub a: u8,
}

impl Color {
    /// Solid white.
    pub const WHITE: Color = Color { r: 255, g: 255, b: 255, a: 255 };

    /// How light it is, as the Y of JPEG has it.
    pub fn luma(self) -> u8 {
        luma(self.r, self.g, self.b)
    }

    /// Whether it is a solid grey.
    fn is_gray(self) -> bool {
        self.r == self.g && self.g == self.b
    }
}

/// Reads `#rrggbb` and `#rrggbbaa`.
impl std::str::FromStr for Color {
    type Err = MediaError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || MediaError::Color { text: text.chars().take(40).collect() };
        let hex = text.strip_prefix('#').filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit())).ok_or_else(error)?;
        let channel = |at: usize| hex.get(at..at + 2).and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let a = if hex.len() == 6 { Some(255) } else { channel(6).filter(|_| hex.len() == 8) };
        match (channel(0), channel(2), channel(4), a) {
            (Some(r), Some(g), Some(b), Some(a)) => Ok(Color { r, g, b, a }),
            _ => Err(error()),
        }
    }
}

/// How light a colour is: Rec. 601, which is the Y of JPEG, so a grey JPEG and a greyed colour one agree.
pub(super) fn luma(r: u8, g: u8, b: u8) -> u8 {
    ((u32::from(r) * 19_595 + u32::from(g) * 38_470 + u32::from(b) * 7_471 + 32_768) >> 16) as u8
}

/// An upright picture in sRGB, its opacity not multiplied into its colours.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture {
    size: Size,
    layout: Layout,
    pixels: Vec<u8>,
}

impl std::fmt::Debug for Picture {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Picture({} {:?})", self.size, self.layout)
    }
}

impl Picture {
    /// A picture of these pixels, row by row from the top, without gaps.
    ///
    /// # Errors
    /// When a side is zero or `pixels` is not as long as size and layout say.
    pub fn new(size: Size, layout: Layout, pixels: Vec<u8>) -> Result<Picture, MediaError> {
        let want = size.pixels() * layout.channels() as u64;
        if want == 0 || pixels.len() as u64 != want {
            return Err(MediaError::Internal { what: format!("{} bytes for a picture of {size}", pixels.len()) });
        }
        Ok(Picture { size, layout, pixels })
    }

    /// A picture of one colour, grey or without opacity where the colour allows it.
    ///
    /// # Errors
    /// When it has no or too many pixels.
    pub fn filled(size: Size, color: Color) -> Result<Picture, MediaError> {
        size.check_output()?;
        let count = size.pixels() as usize;
        let Color { r, g, b, a } = color;
        let (layout, pixels) = match (color.is_gray(), a) {
            (true, 255) => (Layout::Gray, vec![r; count]),
            (true, _) => (Layout::GrayAlpha, [r, a].repeat(count)),
            (false, 255) => (Layout::Rgb, [r, g, b].repeat(count)),
            (false, _) => (Layout::Rgba, [r, g, b, a].repeat(count)),
        };
        Picture::new(size, layout, pixels)
    }

    /// Its size.
    pub fn size(&self) -> Size {
        self.size
    }

    /// Pixels across.
    pub fn width(&self) -> u32 {
        self.size.width
    }

    /// Pixels down.
    pub fn height(&self) -> u32 {
        self.size.height
    }

    /// How its samples lie.
    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// Its samples, row by row from the top, without gaps.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// Bytes of its samples.
    pub fn bytes(&self) -> usize {
        self.pixels.len()
    }

    pub(super) fn pixels_mut(&mut self) -> &mut [u8] {
        &mut self.pixels
    }

    /// Bytes of one row.
    pub(super) fn stride(&self) -> usize {
        self.size.width as usize * self.layout.channels()
    }

    /// One row.
    pub(super) fn row(&self, y: u32) -> &[u8] {
        let stride = self.stride();
        &self.pixels[y as usize * stride..][..stride]
    }

    /// One pixel as a colour.
    pub fn pixel(&self, x: u32, y: u32) -> Color {
        let channels = self.layout.channels();
        color_of(&self.row(y)[x as usize * channels..][..channels])
    }

    /// The same picture in another layout. Dropping opacity leaves the colours as they are; dropping colour takes the
    /// luma.
    pub fn to_layout(&self, layout: Layout) -> Picture {
        if layout == self.layout {
            return self.clone();
        }
        let mut pixels = Vec::with_capacity(self.size.pixels() as usize * layout.channels());
        for pixel in self.pixels.chunks_exact(self.layout.channels()) {
            let Color { r, g, b, a } = color_of(pixel);
            match layout {
                Layout::Gray => pixels.push(luma(r, g, b)),
                Layout::GrayAlpha => pixels.extend([luma(r, g, b), a]),
                Layout::Rgb => pixels.extend([r, g, b]),
                Layout::Rgba => pixels.extend([r, g, b, a]),
            }
        }
        Picture { size: self.size, layout, pixels }
    }

    /// The picture over a solid colour, without opacity.
    pub fn flattened(&self, background: Color) -> Picture {
        let over = |top: u8, below: u8, a: u8| {
            ((u32::from(top) * u32::from(a) + u32::from(below) * (255 - u32::from(a)) + 127) / 255) as u8
        };
        match self.layout {
            Layout::Gray | Layout::Rgb => self.clone(),
            Layout::GrayAlpha if background.is_gray() => {
                let pixels = self.pixels.chunks_exact(2).map(|p| over(p[0], background.r, p[1])).collect();
                Picture { size: self.size, layout: Layout::Gray, pixels }
            }
            Layout::GrayAlpha | Layout::Rgba => {
                let mut pixels = Vec::with_capacity(self.size.pixels() as usize * 3);
                for pixel in self.pixels.chunks_exact(self.layout.channels()) {
                    let Color { r, g, b, a } = color_of(pixel);
                    pixels.extend([over(r, background.r, a), over(g, background.g, a), over(b, background.b, a)]);
                }
                Picture { size: self.size, layout: Layout::Rgb, pixels }
            }
        }
    }

    /// The part of the picture inside `area`.
    ///
    /// # Errors
    /// When the area is empty or sticks out.
    pub fn cropped(&self, area: Area) -> Result<Picture, MediaError> {
        let (right, bottom) = (u64::from(area.x) + u64::from(area.width), u64::from(area.y) + u64::from(area.height));
        if right > u64::from(self.width()) || bottom > u64::from(self.height()) {
            return Err(MediaError::Internal { what: format!("{area:?} sticks out of {}", self.size) });
        }
        let channels = self.layout.channels();
        let (start, length) = (area.x as usize * channels, area.width as usize * channels);
        let mut pixels = Vec::with_capacity(length * area.height as usize);
        for y in area.y..area.y + area.height {
            pixels.extend_from_slice(&self.row(y)[start..start + length]);
        }
        Picture::new(Size { width: area.width, height: area.height }, self.layout, pixels)
    }
}

fn color_of(pixel: &[u8]) -> Color {
    match *pixel {
        [l] => Color { r: l, g: l, b: l, a: 255 },
        [l, a] => Color { r: l, g: l, b: l, a },
        [r, g, b] => Color { r, g, b, a: 255 },
        [r, g, b, a, ..] => Color { r, g, b, a },
        [] => Color { r: 0, g: 0, b: 0, a: 0 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_read_with_and_without_opacity() {
        assert_eq!("#ff8000".parse(), Ok(Color { r: 255, g: 128, b: 0, a: 255 }));
        assert_eq!("#FF800040".parse(), Ok(Color { r: 255, g: 128, b: 0, a: 64 }));
        for text in ["", "#fff", "ff8000", "#ff80", "#ff80000", "#gg0000", "#ff80é0"] {
            assert!(text.parse::<Color>().is_err(), "{text}");
        }
    }

    #[test]
    fn flattening_shows_the_background_through() {
        let size = Size { width: 3, height: 1 };
        let picture = Picture::new(size, Layout::Rgba, vec![255, 0, 0, 255, 255, 0, 0, 0, 255, 0, 0, 128]).unwrap();
        let flat = picture.flattened("#0000ff".parse().unwrap());
        assert_eq!(flat.pixels(), [255, 0, 0, 0, 0, 255, 128, 0, 127]);
    }
}
