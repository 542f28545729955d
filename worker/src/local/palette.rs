//! The colours of a picture, from the seed, the words of the prompt and the mood.

use super::dice::Dice;
use super::ink::Ink;
use super::prompt::{Brief, Mood, Subject};

/// The colours of one picture.
#[derive(Debug, Clone, Copy)]
pub(super) struct Palette {
    /// The subject.
    pub(super) main: Ink,
    /// Its second colour.
    pub(super) second: Ink,
    /// Small things that should strike.
    pub(super) accent: Ink,
    /// The wall or the sky, at the top.
    pub(super) high: Ink,
    /// The wall or the sky, at the horizon.
    pub(super) low: Ink,
    /// What the subject stands on.
    pub(super) ground: Ink,
    /// How dark the whole is, 0..1.
    pub(super) dusk: f32,
}

impl Palette {
    pub(super) fn of(brief: &Brief, dice: &mut Dice) -> Palette {
        let hue = dice.between(0.0, 360.0);
        let turn = [150.0, 180.0, 210.0, 40.0][dice.below(4)];
        let tint = hue + [180.0, 200.0, 160.0, 30.0][dice.below(4)];
        let bright = dice.between(0.42, 0.54);
        let mut palette = Palette {
            main: Ink::hsl(hue, dice.between(0.5, 0.72), bright),
            second: Ink::hsl(hue + turn, dice.between(0.35, 0.6), dice.between(0.4, 0.6)),
            accent: Ink::hsl(hue + turn + 40.0, 0.75, 0.55),
            high: Ink::hsl(tint, dice.between(0.16, 0.34), dice.between(0.78, 0.88)),
            low: Ink::hsl(tint + 12.0, dice.between(0.14, 0.3), dice.between(0.88, 0.94)),
            ground: Ink::hsl(tint + 25.0, 0.16, 0.86),
            dusk: 0.0,
        };
        if brief.outdoor() {
            palette.high = Ink::hsl(dice.between(196.0, 222.0), dice.between(0.4, 0.6), dice.between(0.6, 0.72));
            palette.low = Ink::hsl(dice.between(30.0, 200.0), 0.35, 0.9);
            palette.ground = Ink::hsl(dice.between(75.0, 125.0), 0.3, 0.5);
        }
        if brief.subject == Subject::Rocket {
            // A white hull needs a deeper sky.
            palette.high = palette.high.darker(0.55);
            palette.low = palette.low.mix(palette.high, 0.5);
        }
        palette.tune(brief.mood, dice);
        if let Some(colour) = brief.colour {
            palette.main = colour;
            let [r, g, b] = colour.0;
            if r + g + b > 2.4 && palette.dusk < 0.3 {
                palette.high = palette.high.darker(0.4);
                palette.low = palette.low.darker(0.3);
            }
        }
        if let Some(colour) = brief.second {
            palette.second = colour;
        }
        palette
    }

    fn tune(&mut self, mood: Mood, dice: &mut Dice) {
        match mood {
            Mood::Day => {}
            Mood::Dawn => {
                self.high = Ink::hsl(dice.between(215.0, 280.0), 0.36, dice.between(0.66, 0.74));
                self.low = Ink::hsl(dice.between(12.0, 40.0), 0.85, 0.8);
                self.ground = self.ground.mix(Ink::hsl(20.0, 0.4, 0.6), 0.25);
                self.dusk = 0.12;
            }
            Mood::Evening => {
                self.high = Ink::hsl(dice.between(225.0, 275.0), 0.42, dice.between(0.2, 0.3));
                self.low = Ink::hsl(dice.between(8.0, 35.0), 0.75, 0.55);
                self.ground = self.ground.darker(0.4);
                self.main = self.main.lighter(0.08);
                self.dusk = 0.45;
            }
            Mood::Storm => {
                self.high = Ink::hsl(dice.between(205.0, 235.0), 0.2, dice.between(0.22, 0.3));
                self.low = Ink::hsl(dice.between(190.0, 215.0), 0.16, 0.6);
                self.ground = self.ground.darker(0.35);
                self.dusk = 0.4;
            }
            Mood::Spring => {
                self.high = Ink::hsl(dice.between(95.0, 200.0), 0.4, 0.84);
                self.low = Ink::hsl(dice.between(50.0, 90.0), 0.55, 0.93);
                self.accent = Ink::hsl(dice.between(320.0, 350.0), 0.75, 0.76);
            }
            Mood::Neon => {
                let hue = dice.between(170.0, 320.0);
                self.high = Ink::hsl(hue + 60.0, 0.6, 0.09);
                self.low = Ink::hsl(hue + 30.0, 0.65, 0.2);
                self.ground = Ink::hsl(hue + 40.0, 0.5, 0.12);
                self.main = Ink::hsl(hue, 0.95, 0.58);
                self.accent = Ink::hsl(hue + 130.0, 0.95, 0.6);
                self.dusk = 0.8;
            }
        }
    }
}
