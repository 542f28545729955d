//! Short labels.

use super::{Color, Layout, MediaError, Picture};
use ab_glyph::{Font, FontRef, PxScaleFont, ScaleFont, point};

static FONT: &[u8] = include_bytes!("../../assets/OpenSans-Latin.ttf");

/// The label font in one size.
pub(super) struct Lettering {
    font: PxScaleFont<FontRef<'static>>,
}

impl Lettering {
    /// Letters whose lines are `height` pixels high.
    pub(super) fn new(height: f32) -> Result<Lettering, MediaError> {
        let font = FontRef::try_from_slice(FONT)
            .map_err(|_| MediaError::Internal { what: "the label font can't be read".into() })?;
        Ok(Lettering { font: font.into_scaled(height) })
    }

    fn width(&self, text: &str) -> f32 {
        let mut width = 0.0;
        let mut before = None;
        for c in text.chars() {
            let id = self.font.glyph_id(c);
            width += self.font.h_advance(id) + before.map_or(0.0, |before| self.font.kern(before, id));
            before = Some(id);
        }
        width
    }

    /// The text on one line, cut with an ellipsis where it would be wider than `width_max`.
    fn fitted(&self, text: &str, width_max: f32) -> String {
        let text: String = text.chars().take(500).map(|c| if c.is_control() { ' ' } else { c }).collect();
        if self.width(&text) <= width_max {
            return text;
        }
        let mut chars: Vec<char> = text.chars().collect();
        while chars.pop().is_some() {
            let shorter = chars.iter().collect::<String>().trim_end().to_owned() + "…";
            if self.width(&shorter) <= width_max {
                return shorter;
            }
        }
        String::new()
    }

    /// Writes a line centred around `middle`, its top at `top`, at most `width_max` wide.
    pub(super) fn write(&self, canvas: &mut Picture, text: &str, middle: u32, top: u32, width_max: u32, color: Color) {
        debug_assert_eq!(canvas.layout(), Layout::Rgb);
        let text = self.fitted(text, width_max as f32);
        let mut caret = point((middle as f32 - self.width(&text) / 2.0).round(), top as f32 + self.font.ascent());
        let mut before = None;
        for c in text.chars() {
            let id = self.font.glyph_id(c);
            caret.x += before.map_or(0.0, |before| self.font.kern(before, id));
            let glyph = id.with_scale_and_position(self.font.scale(), caret);
            caret.x += self.font.h_advance(id);
            before = Some(id);
            let Some(outline) = self.font.outline_glyph(glyph) else { continue };
            let corner = outline.px_bounds().min;
            outline.draw(|x, y, coverage| {
                let (x, y) = (corner.x as i64 + i64::from(x), corner.y as i64 + i64::from(y));
                tint(canvas, x, y, coverage, color);
            });
        }
    }
}

fn tint(canvas: &mut Picture, x: i64, y: i64, coverage: f32, color: Color) {
    if !(0..i64::from(canvas.width())).contains(&x) || !(0..i64::from(canvas.height())).contains(&y) {
        return;
    }
    let at = y as usize * canvas.stride() + x as usize * 3;
    let coverage = coverage.clamp(0.0, 1.0);
    for (sample, to) in canvas.pixels_mut()[at..at + 3].iter_mut().zip([color.r, color.g, color.b]) {
        *sample = (f32::from(*sample) + (f32::from(to) - f32::from(*sample)) * coverage).round() as u8;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_labels_end_in_an_ellipsis_that_fits() {
        let lettering = Lettering::new(20.0).unwrap();
        assert_eq!(lettering.fitted("flux-dev · 100", 1_000.0), "flux-dev · 100");
        let cut = lettering.fitted("a very long label that no cell has room for", 100.0);
        assert!(cut.ends_with('…') && lettering.width(&cut) <= 100.0, "{cut}");
        assert_eq!(lettering.fitted("anything", 0.5), "");
    }
}
