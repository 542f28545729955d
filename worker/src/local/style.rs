//! Painting a picture anew with few colours.

use super::dice::Dice;
use super::ink::Ink;
use super::prompt::{colours, has, wanted};
use image::RgbImage;
use image::imageops::{FilterType, resize};

/// How to paint.
#[derive(Debug, Clone, Copy)]
pub struct Style<'a> {
    /// The style.
    pub prompt: &'a str,
    /// What it should not be.
    pub negative: &'a str,
    /// Other seeds paint in other colours.
    pub seed: u64,
    /// How far to go: 0 changes nothing.
    pub strength: f32,
    /// Whose hand it is: other models paint other pictures.
    pub model: &'a str,
}

/// The colours of a manner, from dark to light, and how it is painted.
#[derive(Debug, Clone)]
struct Manner {
    colours: Vec<Ink>,
    /// How much of the picture's own colour stays.
    own: f32,
    /// How dark outlines are.
    outline: f32,
    /// The size of a stroke, of 1,000 pixels.
    brush: f32,
}

type Named = (&'static [&'static str], &'static [[u8; 3]], f32, f32, f32);

/// Words, colours, own colour, outline, brush.
const MANNERS: &[Named] = &[
    (
        &["ukiyo", "woodblock", "hokusai", "japanese", "woodcut"],
        &[[26, 35, 62], [38, 76, 120], [171, 75, 58], [108, 150, 160], [214, 182, 130], [243, 232, 208]],
        0.3,
        0.8,
        3.0,
    ),
    (
        &["gogh", "impressionist", "impressionism", "starry", "oil", "monet"],
        &[[20, 28, 70], [36, 70, 140], [60, 110, 90], [190, 140, 50], [240, 200, 90], [250, 240, 190]],
        0.5,
        0.2,
        6.0,
    ),
    (
        &["watercolor", "watercolour", "pastel", "aquarelle"],
        &[[92, 98, 130], [130, 150, 180], [190, 160, 170], [220, 195, 170], [235, 225, 200], [252, 248, 240]],
        0.55,
        0.25,
        5.0,
    ),
    (
        &["pop", "warhol", "comic", "cartoon", "lichtenstein", "poster"],
        &[[24, 20, 30], [200, 30, 60], [30, 90, 190], [250, 150, 30], [250, 220, 60], [255, 250, 235]],
        0.25,
        0.9,
        2.5,
    ),
    (
        &["sketch", "pencil", "ink", "charcoal", "engraving", "drawing", "etching"],
        &[[30, 30, 32], [90, 90, 92], [170, 168, 164], [222, 219, 212], [250, 248, 242]],
        0.05,
        1.0,
        2.0,
    ),
    (
        &["cyberpunk", "neon", "synthwave", "vaporwave"],
        &[[14, 8, 40], [60, 16, 110], [180, 30, 150], [250, 60, 160], [60, 220, 230], [240, 250, 255]],
        0.3,
        0.5,
        3.0,
    ),
    (
        &["bauhaus", "cubist", "cubism", "mondrian", "constructivist", "deco"],
        &[[22, 22, 24], [34, 66, 130], [196, 44, 36], [230, 180, 40], [232, 226, 210]],
        0.15,
        0.7,
        8.0,
    ),
];

/// The longest side that strokes are looked for on; a larger picture is painted smaller and enlarged.
const SIDE_MAX: u32 = 1_600;

/// How many levels of light strokes are told apart by.
const LEVELS: usize = 24;

/// Paints a picture: the same parameters give the same bytes, in the size of the picture.
pub fn style(picture: &RgbImage, style: &Style<'_>) -> RgbImage {
    let text = wanted(style.prompt, style.negative);
    let mut dice = Dice::of(&["style 1", style.prompt, style.negative, &style.seed.to_string(), style.model]);
    let manner = Manner::of(&text, &mut dice);
    let (width, height) = (picture.width(), picture.height());
    let longer = width.max(height).max(1);
    let mut painted = if longer > SIDE_MAX {
        let side = |side: u32| (u64::from(side) * u64::from(SIDE_MAX) / u64::from(longer)).max(1) as u32;
        resize(picture, side(width), side(height), FilterType::Triangle)
    } else {
        picture.clone()
    };
    let radius = (manner.brush * longer.min(SIDE_MAX) as f32 / 1_000.0).round().clamp(1.0, 6.0) as usize;
    painted = strokes(&painted, radius);
    let edges = edges(&painted);
    manner.color(&mut painted, &edges);
    if painted.dimensions() != (width, height) {
        painted = resize(&painted, width, height, FilterType::CatmullRom);
    }
    if style.strength < 1.0 {
        let part = style.strength.max(0.0);
        for (made, was) in painted.iter_mut().zip(picture.iter()) {
            *made = (f32::from(*was) + (f32::from(*made) - f32::from(*was)) * part).round() as u8;
        }
    }
    painted
}

impl Manner {
    fn of(text: &str, dice: &mut Dice) -> Manner {
        let hue = dice.between(0.0, 360.0);
        let jitter = dice.between(-0.12, 0.12);
        let mut manner = match MANNERS.iter().find(|(names, ..)| has(text, names)) {
            Some((_, colours, own, outline, brush)) => {
                let tone = Ink::hsl(hue, 0.6, 0.5);
                let ink =
                    |rgb: &[u8; 3]| Ink(rgb.map(|channel| f32::from(channel) / 255.0)).mix(tone, jitter.abs() * 0.8);
                Manner { colours: colours.iter().map(ink).collect(), own: *own, outline: *outline, brush: *brush }
            }
            None => Manner {
                colours: (0..6)
                    .map(|step| {
                        let part = step as f32 / 5.0;
                        Ink::hsl(hue + 140.0 * part + dice.between(-20.0, 20.0), 0.55, 0.12 + 0.78 * part)
                    })
                    .collect(),
                own: 0.35,
                outline: dice.between(0.2, 0.7),
                brush: dice.between(2.5, 6.0),
            },
        };
        for (at, named) in colours(text).into_iter().take(3).enumerate() {
            // In the middle of the scale, where most of a picture is.
            let place = (manner.colours.len() / 2 + at) % manner.colours.len();
            manner.colours[place] = named;
        }
        manner.colours.sort_by(|one, other| light(*one).total_cmp(&light(*other)));
        manner.brush *= 1.0 + jitter;
        manner
    }

    /// Gives each stroke the colour of its light, and outlines.
    fn color(&self, picture: &mut RgbImage, edges: &[f32]) {
        let count = self.colours.len();
        for (pixel, edge) in picture.pixels_mut().zip(edges) {
            let own = Ink(pixel.0.map(|channel| f32::from(channel) / 255.0));
            let place = (light(own) * count as f32).min(count as f32 - 0.001);
            let (at, rest) = (place as usize, place.fract());
            // Flat in the middle of a colour, mixed only where two meet.
            let next = self.colours[(at + 1).min(count - 1)];
            let flat = self.colours[at].mix(next, ((rest - 0.7) / 0.3).clamp(0.0, 1.0) * 0.5);
            let ink = flat.mix(own, self.own).mix(self.colours[0], (edge * self.outline).min(0.85));
            pixel.0 = ink.0.map(|channel| (channel * 255.0).round() as u8);
        }
    }
}

fn light(ink: Ink) -> f32 {
    0.299 * ink.0[0] + 0.587 * ink.0[1] + 0.114 * ink.0[2]
}

/// The picture in strokes: each pixel becomes the mean of those around it that have the commonest light.
fn strokes(picture: &RgbImage, radius: usize) -> RgbImage {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let raw = picture.as_raw();
    let level = |at: usize| {
        let (r, g, b) = (u32::from(raw[at * 3]), u32::from(raw[at * 3 + 1]), u32::from(raw[at * 3 + 2]));
        ((299 * r + 587 * g + 114 * b) as usize * LEVELS / 255_001).min(LEVELS - 1)
    };
    let levels: Vec<u8> = (0..width * height).map(|at| level(at) as u8).collect();
    let mut made = Vec::with_capacity(raw.len());
    for y in 0..height {
        let rows = y.saturating_sub(radius)..(y + radius + 1).min(height);
        // Counts and sums of a window that slides along the row.
        let mut sums = [[0u32; 4]; LEVELS];
        let slide = |x: usize, sign: u32, sums: &mut [[u32; 4]; LEVELS]| {
            for row in rows.clone() {
                let at = row * width + x;
                let sum = &mut sums[usize::from(levels[at])];
                for (sum, value) in
                    sum.iter_mut().zip([1, raw[at * 3].into(), raw[at * 3 + 1].into(), raw[at * 3 + 2].into()])
                {
                    let value: u32 = value;
                    *sum = sum.wrapping_add(value.wrapping_mul(sign));
                }
            }
        };
        for x in 0..radius.min(width) {
            slide(x, 1, &mut sums);
        }
        for x in 0..width {
            if x + radius < width {
                slide(x + radius, 1, &mut sums);
            }
            if x > radius {
                // Adding the largest number takes one away.
                slide(x - radius - 1, u32::MAX, &mut sums);
            }
            let most = sums.iter().max_by_key(|sum| sum[0]).copied().unwrap_or([1; 4]);
            made.extend(most[1..].iter().map(|sum| (sum / most[0].max(1)) as u8));
        }
    }
    RgbImage::from_raw(picture.width(), picture.height(), made).unwrap_or_else(|| picture.clone())
}

/// How steeply light changes at each pixel, 0..1.
fn edges(picture: &RgbImage) -> Vec<f32> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let lights: Vec<f32> =
        picture.pixels().map(|pixel| light(Ink(pixel.0.map(|channel| f32::from(channel) / 255.0)))).collect();
    let at = |x: usize, y: usize| lights[y * width + x];
    let mut edges = Vec::with_capacity(lights.len());
    for y in 0..height {
        let (above, below) = (y.saturating_sub(1), (y + 1).min(height - 1));
        for x in 0..width {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(width - 1));
            let across = at(right, y) - at(left, y)
                + 0.5 * (at(right, above) - at(left, above) + at(right, below) - at(left, below));
            let down = at(x, below) - at(x, above)
                + 0.5 * (at(left, below) - at(left, above) + at(right, below) - at(right, above));
            edges.push(((across * across + down * down).sqrt() * 2.2 - 0.12).clamp(0.0, 1.0));
        }
    }
    edges
}
