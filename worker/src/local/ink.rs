//! Colours to draw with.

/// An opaque colour, channels 0..1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Ink(pub(super) [f32; 3]);

impl Ink {
    pub(super) const WHITE: Ink = Ink([0.97, 0.96, 0.94]);
    pub(super) const BLACK: Ink = Ink([0.09, 0.09, 0.1]);

    /// From hue in degrees, saturation and lightness 0..1.
    pub(super) fn hsl(hue: f32, saturation: f32, lightness: f32) -> Ink {
        let chroma = saturation * lightness.min(1.0 - lightness);
        Ink([0.0, 8.0, 4.0].map(|offset| {
            let k = (offset + hue.rem_euclid(360.0) / 30.0) % 12.0;
            lightness - chroma * (k - 3.0).min(9.0 - k).clamp(-1.0, 1.0)
        }))
    }

    pub(super) fn mix(self, other: Ink, part: f32) -> Ink {
        let mut out = self.0;
        for (channel, other) in out.iter_mut().zip(other.0) {
            *channel += (other - *channel) * part;
        }
        Ink(out)
    }

    pub(super) fn lighter(self, part: f32) -> Ink {
        self.mix(Ink([1.0, 0.99, 0.96]), part)
    }

    pub(super) fn darker(self, part: f32) -> Ink {
        self.mix(Ink([0.06, 0.04, 0.1]), part)
    }

    pub(super) fn alpha(self, alpha: f32) -> tiny_skia::Color {
        let [r, g, b] = self.0.map(|channel| channel.clamp(0.0, 1.0));
        tiny_skia::Color::from_rgba(r, g, b, alpha.clamp(0.0, 1.0)).unwrap_or(tiny_skia::Color::BLACK)
    }
}
