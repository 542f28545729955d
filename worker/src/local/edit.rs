//! Changing a picture as words say, as far as light, colour and weather go.

use super::dice::Dice;
use super::ink::Ink;
use super::prompt::{colours, has, wanted};
use image::RgbImage;

/// What to change.
#[derive(Debug, Clone, Copy)]
pub struct Edit<'a> {
    /// What should be seen.
    pub prompt: &'a str,
    /// What should not be seen.
    pub negative: &'a str,
    /// Other seeds change the picture in other ways.
    pub seed: u64,
    /// How far to go: 0 changes nothing.
    pub strength: f32,
    /// Whose hand it is: other models make other pictures.
    pub model: &'a str,
}

/// The light and colours of a place or a time of day.
#[derive(Debug, Clone, Copy)]
struct Look {
    /// What shadows lean to.
    shade: Ink,
    /// What lights lean to.
    light: Ink,
    /// How much.
    tint: f32,
    saturation: f32,
    contrast: f32,
    brightness: f32,
}

const fn look(shade: [f32; 3], light: [f32; 3], tint: f32, saturation: f32, contrast: f32, brightness: f32) -> Look {
    Look { shade: Ink(shade), light: Ink(light), tint, saturation, contrast, brightness }
}

const LOOKS: &[(Look, &[&str])] = &[
    (
        look([0.14, 0.0, 0.5], [1.0, 0.2, 0.9], 0.62, 1.5, 1.3, 0.9),
        &["neon", "cyberpunk", "synthwave", "vaporwave", "futuristic", "disco", "nightclub"],
    ),
    (
        look([0.0, 0.02, 0.2], [0.4, 0.56, 1.0], 0.6, 0.7, 1.15, 0.5),
        &["night", "midnight", "moon", "moonlight", "dark", "stars"],
    ),
    (
        look([0.35, 0.45, 0.6], [0.96, 0.98, 1.0], 0.4, 0.5, 0.9, 1.18),
        &["snow", "snowy", "winter", "ice", "icy", "frost", "frozen", "arctic", "cold", "blizzard"],
    ),
    (
        look([0.32, 0.06, 0.1], [1.0, 0.76, 0.36], 0.55, 1.25, 1.05, 1.02),
        &["warm", "sunset", "sunrise", "golden", "dawn", "dusk", "evening", "autumn", "fall", "fire", "candlelight"],
    ),
    (
        look([0.4, 0.22, 0.08], [1.0, 0.9, 0.62], 0.4, 0.95, 1.1, 1.12),
        &["desert", "sand", "dune", "dunes", "mars", "western", "dusty", "summer", "beach"],
    ),
    (
        look([0.08, 0.12, 0.18], [0.72, 0.78, 0.84], 0.4, 0.55, 1.1, 0.78),
        &["rain", "rainy", "storm", "stormy", "wet", "thunder", "moody", "dramatic", "gloomy"],
    ),
    (
        look([0.42, 0.45, 0.48], [0.92, 0.93, 0.94], 0.45, 0.45, 0.7, 1.08),
        &["fog", "foggy", "mist", "misty", "haze", "hazy", "smoke", "steam"],
    ),
    (
        look([0.02, 0.14, 0.05], [0.8, 0.95, 0.55], 0.4, 1.15, 1.05, 0.95),
        &["forest", "jungle", "garden", "meadow", "moss", "tropical", "spring", "rainforest"],
    ),
    (
        look([0.0, 0.14, 0.24], [0.4, 0.9, 0.9], 0.55, 0.9, 0.95, 0.85),
        &["underwater", "ocean", "sea", "aquarium", "lagoon", "deep"],
    ),
    (
        look([0.24, 0.13, 0.06], [0.98, 0.88, 0.68], 0.55, 0.45, 0.92, 1.02),
        &["vintage", "retro", "sepia", "old", "antique", "nostalgic", "1970s", "polaroid"],
    ),
    (
        look([0.02, 0.02, 0.03], [0.96, 0.96, 0.95], 0.3, 0.0, 1.35, 0.95),
        &["noir", "monochrome", "black and white", "grayscale", "greyscale"],
    ),
    (
        look([0.05, 0.0, 0.12], [0.75, 0.55, 1.0], 0.45, 1.1, 1.2, 0.75),
        &["space", "galaxy", "nebula", "magic", "magical", "fantasy", "dream", "dreamy"],
    ),
];

/// What lies in the air or on the film.
#[derive(Debug, Clone, Copy, Default)]
struct Weather {
    rain: bool,
    snow: bool,
    fog: bool,
    grain: bool,
    vignette: bool,
}

/// Changes a picture: the same parameters give the same bytes. What is on it can still be told.
pub fn edit(picture: &RgbImage, edit: &Edit<'_>) -> RgbImage {
    let text = wanted(edit.prompt, edit.negative);
    let mut dice = Dice::of(&["edit 1", edit.prompt, edit.negative, &edit.seed.to_string(), edit.model]);
    let look = Look::of(&text, &mut dice);
    let weather = Weather {
        rain: has(&text, &["rain", "rainy", "storm", "stormy", "thunder", "drizzle"]),
        snow: has(&text, &["snow", "snowy", "snowing", "blizzard"]),
        fog: has(&text, &["fog", "foggy", "mist", "misty", "haze", "hazy", "smoke"]),
        grain: has(&text, &["grain", "grainy", "film", "vintage", "retro", "noir", "analog", "polaroid"]),
        vignette: has(
            &text,
            &["vignette", "cinematic", "dramatic", "noir", "neon", "night", "moody", "vintage", "old", "dark"],
        ),
    };
    let mut made = picture.clone();
    look.apply(&mut made);
    weather.apply(&mut made, look.light, &mut dice);
    if edit.strength < 1.0 {
        let part = edit.strength.max(0.0);
        for (made, was) in made.iter_mut().zip(picture.iter()) {
            *made = (f32::from(*was) + (f32::from(*made) - f32::from(*was)) * part).round() as u8;
        }
    }
    made
}

impl Look {
    /// The mean of everything that is named; where nothing is, what the dice say.
    fn of(text: &str, dice: &mut Dice) -> Look {
        let named = LOOKS.iter().filter(|(_, names)| has(text, names)).map(|(look, _)| *look);
        let tinted = colours(text).into_iter().map(|ink| Look {
            shade: ink.darker(0.7),
            light: ink.lighter(0.45),
            tint: 0.45,
            saturation: 1.05,
            contrast: 1.05,
            brightness: 1.0,
        });
        let looks: Vec<Look> = named.chain(tinted).collect();
        let turn = dice.between(-14.0, 14.0);
        let lift = dice.between(0.94, 1.06);
        let count = looks.len() as f32;
        if looks.is_empty() {
            let hue = dice.between(0.0, 360.0);
            return Look {
                shade: Ink::hsl(hue, 0.6, 0.16),
                light: Ink::hsl(hue + dice.between(120.0, 200.0), 0.7, 0.75),
                tint: 0.62,
                saturation: dice.between(0.8, 1.4),
                contrast: dice.between(1.0, 1.2),
                brightness: lift,
            };
        }
        let mean = |of: &dyn Fn(&Look) -> f32| looks.iter().map(of).sum::<f32>() / count;
        let ink = |of: &dyn Fn(&Look) -> Ink| Ink([0, 1, 2].map(|at| mean(&|look| of(look).0[at])));
        Look {
            shade: turned(ink(&|look| look.shade), turn),
            light: turned(ink(&|look| look.light), turn),
            tint: mean(&|look| look.tint),
            saturation: mean(&|look| look.saturation),
            contrast: mean(&|look| look.contrast),
            brightness: mean(&|look| look.brightness) * lift,
        }
    }

    fn apply(&self, picture: &mut RgbImage) {
        for pixel in picture.pixels_mut() {
            let rgb = pixel.0.map(|channel| f32::from(channel) / 255.0);
            let light = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
            for ((channel, shade), bright) in pixel.0.iter_mut().zip(self.shade.0).zip(self.light.0) {
                let own = f32::from(*channel) / 255.0;
                let toned = light + (own - light) * self.saturation;
                let lit = ((toned - 0.5) * self.contrast + 0.5) * self.brightness;
                let tint = shade + (bright - shade) * (light * self.brightness).clamp(0.0, 1.0);
                // `as` saturates, which is what is wanted of a colour that leaves the range.
                *channel = ((lit + (tint - lit) * self.tint) * 255.0).round() as u8;
            }
        }
    }
}

/// A colour with its red, green and blue turned into each other by a few degrees.
fn turned(ink: Ink, degrees: f32) -> Ink {
    let part = (degrees / 120.0).abs();
    let [r, g, b] = ink.0;
    ink.mix(Ink(if degrees > 0.0 { [b, r, g] } else { [g, b, r] }), part)
}

impl Weather {
    fn apply(&self, picture: &mut RgbImage, light: Ink, dice: &mut Dice) {
        if self.fog {
            fog(picture);
        }
        if self.rain {
            streaks(picture, light.mix(Ink::WHITE, 0.5), dice);
        }
        if self.snow {
            flakes(picture, dice);
        }
        if self.vignette || self.grain {
            film(picture, if self.vignette { 0.5 } else { 0.0 }, if self.grain { 26.0 } else { 0.0 });
        }
    }
}

/// Thicker towards the top, where things are farther away.
fn fog(picture: &mut RgbImage) {
    let height = picture.height().max(1) as f32;
    for (_, y, pixel) in picture.enumerate_pixels_mut() {
        let part = 0.5 - 0.35 * y as f32 / height;
        for channel in &mut pixel.0 {
            *channel = (f32::from(*channel) + (222.0 - f32::from(*channel)) * part) as u8;
        }
    }
}

/// Rain, slanted by the wind.
fn streaks(picture: &mut RgbImage, ink: Ink, dice: &mut Dice) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    let slant = dice.between(-0.3, 0.3);
    let thick = (height.min(width) / 450.0).max(1.0);
    for _ in 0..420 {
        let (x, y) = (dice.between(-0.2, 1.2) * width, dice.between(-0.1, 1.0) * height);
        let (length, part) = (dice.between(0.04, 0.13) * height, dice.between(0.25, 0.75));
        let steps = length.ceil() as u32;
        for step in 0..steps {
            let down = step as f32;
            dot(picture, (x + down * slant, y + down), thick * 0.5, ink, part * (down / length));
        }
    }
}

/// Snow, large and small.
fn flakes(picture: &mut RgbImage, dice: &mut Dice) {
    let (width, height) = (picture.width() as f32, picture.height() as f32);
    for _ in 0..380 {
        let at = (dice.between(0.0, 1.0) * width, dice.between(0.0, 1.0) * height);
        let near = dice.between(0.0, 1.0);
        let radius = (0.0012 + 0.006 * near * near * near) * height.min(width);
        dot(picture, at, radius.max(0.7), Ink::WHITE, 0.85);
    }
}

/// A round spot with a soft edge.
fn dot(picture: &mut RgbImage, (x, y): (f32, f32), radius: f32, ink: Ink, part: f32) {
    let reach = radius + 1.0;
    let range = |middle: f32, side: u32| {
        let from = (middle - reach).floor().max(0.0) as u32;
        from..((middle + reach).ceil().max(0.0) as u32).min(side)
    };
    for row in range(y, picture.height()) {
        for column in range(x, picture.width()) {
            let far = ((column as f32 + 0.5 - x).powi(2) + (row as f32 + 0.5 - y).powi(2)).sqrt();
            let part = part * (radius + 0.5 - far).clamp(0.0, 1.0);
            if part > 0.0 {
                for (channel, ink) in picture.get_pixel_mut(column, row).0.iter_mut().zip(ink.0) {
                    *channel = (f32::from(*channel) + (ink * 255.0 - f32::from(*channel)) * part) as u8;
                }
            }
        }
    }
}

/// Dark corners and grain.
fn film(picture: &mut RgbImage, fall: f32, grain: f32) {
    let (width, height) = (picture.width().max(1) as f32, picture.height().max(1) as f32);
    let mut noise = 0x2545_f491u32;
    for (x, y, pixel) in picture.enumerate_pixels_mut() {
        let (dx, dy) = ((x as f32 + 0.5) / width - 0.5, (y as f32 + 0.5) / height - 0.5);
        let far = (dx * dx + dy * dy) * 2.0;
        let light = 1.0 - fall * far;
        noise ^= noise << 13;
        noise ^= noise >> 17;
        noise ^= noise << 5;
        let speck = ((noise >> 24) as f32 / 255.0 - 0.5) * grain;
        for channel in &mut pixel.0 {
            *channel = (f32::from(*channel) * light + speck).round() as u8;
        }
    }
}
