//! Drawing a picture for a prompt.

use super::dice::Dice;
use super::ink::Ink;
use super::palette::Palette;
use super::pen::Pen;
use super::prompt::{Brief, Mood, Shot, Subject, Surface};
use super::subjects;
use super::surface::{self, Stage};
use darkroom_proto::BoxPx;
use image::RgbImage;
use tiny_skia::{Pixmap, Transform};

/// The widest and highest picture that is drawn; anything larger is drawn so.
pub const SIDE_MAX: u32 = 8192;

/// What to draw.
#[derive(Debug, Clone, Copy)]
pub struct Drawing<'a> {
    /// What should be seen.
    pub prompt: &'a str,
    /// What should not be seen.
    pub negative: &'a str,
    /// Other seeds draw other pictures of the same thing.
    pub seed: u64,
    /// Pixels across.
    pub width: u32,
    /// Pixels down.
    pub height: u32,
    /// Whose hand it is: other models draw other pictures, those with `pro` in their name finer ones.
    pub model: &'a str,
}

/// Draws a picture: the same parameters give the same bytes, and the size does not change the composition.
pub fn draw(drawing: &Drawing<'_>) -> RgbImage {
    draw_with_subject(drawing).0
}

/// Draws a picture and tells where its subject is.
pub fn draw_with_subject(drawing: &Drawing<'_>) -> (RgbImage, BoxPx) {
    let width = drawing.width.clamp(1, SIDE_MAX);
    let height = drawing.height.clamp(1, SIDE_MAX);
    let whole = BoxPx { x: 0, y: 0, w: width, h: height };
    let Some(mut pixmap) = Pixmap::new(width, height) else {
        return (RgbImage::new(width, height), whole);
    };
    let brief = Brief::of(drawing.prompt, drawing.negative);
    let mut dice = Dice::of(&["draw 1", drawing.prompt, drawing.negative, &drawing.seed.to_string(), drawing.model]);
    let palette = Palette::of(&brief, &mut dice);
    let detail = drawing.model.contains("pro");
    let (w, h) = (width as f32, height as f32);
    let place = Place::of(&brief, w / h, &mut dice);

    let mut pen = Pen::new(&mut pixmap, Transform::from_scale(h, h), detail);
    surface::paint(&mut pen, &brief, &palette, &place.stage, &mut dice);
    shadow(&mut pen, &brief, &palette, &place);
    let flip = if place.flip { -1.0 } else { 1.0 };
    let to_picture =
        Transform::from_scale(h * place.unit * flip, h * place.unit).post_translate(h * place.x, h * place.y);
    let mut pen = Pen::new(&mut pixmap, to_picture, detail);
    subjects::draw(&mut pen, &brief, &palette, &mut dice);
    let subject = pen.drawn().map_or(whole, |drawn| clip(drawn, width, height));
    (finish(&pixmap, &brief, &palette, width, height), subject)
}

/// Where the subject stands. Lengths are parts of the picture's height.
struct Place {
    stage: Stage,
    x: f32,
    y: f32,
    /// Half the subject's height.
    unit: f32,
    flip: bool,
}

impl Place {
    fn of(brief: &Brief, aspect: f32, dice: &mut Dice) -> Place {
        let room = aspect.min(1.0);
        let (near, drop) = match brief.shot {
            Shot::Normal => (0.25, 0.0),
            Shot::Hero => (0.31, 0.03),
            Shot::Detail => (0.37, 0.08),
            Shot::Wide => (0.15, -0.05),
        };
        let jitter = dice.between(0.92, 1.08);
        let horizon = dice.between(0.56, 0.66);
        let side = dice.between(-1.0, 1.0);
        let sink = dice.between(0.0, 1.0);
        let flip = dice.coin();
        if brief.subject == Subject::Emblem {
            let unit = room * 0.31 * jitter;
            let x = aspect * 0.5 + side * 0.05 * room;
            return Place { stage: Stage { aspect, horizon: 1.0 }, x, y: 0.5 + unit + side * 0.02, unit, flip: false };
        }
        let y = (horizon + 0.12 + 0.08 * sink + drop).min(0.96);
        let unit = (room * near * jitter * subjects::size(brief.subject)).min((y - 0.03) / 2.0).min(aspect * 0.44);
        let slack = (aspect / 2.0 - unit * 1.15).max(0.0);
        Place { stage: Stage { aspect, horizon }, x: aspect / 2.0 + side * slack.min(0.22 * aspect), y, unit, flip }
    }
}

/// What the subject casts on its surface.
fn shadow(pen: &mut Pen<'_>, brief: &Brief, palette: &Palette, place: &Place) {
    let (x, y, unit) = (place.x, place.y, place.unit);
    match brief.subject {
        Subject::Emblem => {}
        Subject::Boat => {
            pen.glow((x, y + unit * 0.12), (unit * 1.15, unit * 0.16), palette.main.darker(0.5), 0.5);
        }
        Subject::Mountain | Subject::Rocket => {
            pen.glow((x, y + unit * 0.02), (unit * 0.9, unit * 0.1), Ink::BLACK, 0.2);
        }
        Subject::Lighthouse if surface::surface_of(brief) == Surface::Water => {
            pen.glow((x, y + unit * 0.05), (unit * 1.3, unit * 0.14), Ink::BLACK, 0.3);
        }
        _ => {
            let (core, cast) = if brief.mood == Mood::Neon { (palette.main, 0.22) } else { (Ink::BLACK, 0.34) };
            pen.glow((x + unit * 0.22, y + unit * 0.03), (unit * 1.15, unit * 0.17), core, cast);
            pen.glow((x, y), (unit * 0.75, unit * 0.07), Ink::BLACK, 0.45);
        }
    }
}

fn clip(drawn: [f32; 4], width: u32, height: u32) -> BoxPx {
    let within = |value: f32, most: u32| value.round().clamp(0.0, most as f32) as u32;
    let (x, y) = (within(drawn[0], width - 1), within(drawn[1], height - 1));
    let (right, bottom) = (within(drawn[2], width), within(drawn[3], height));
    BoxPx { x, y, w: right.saturating_sub(x).max(1), h: bottom.saturating_sub(y).max(1) }
}

/// Darkens the corners as a lens does and adds a little grain, so that gradients show no steps.
fn finish(pixmap: &Pixmap, brief: &Brief, palette: &Palette, width: u32, height: u32) -> RgbImage {
    let fall = if brief.subject == Subject::Emblem { 0.0 } else { 0.13 + 0.1 * palette.dusk };
    let (w, h) = (width as f32, height as f32);
    let mut raw = Vec::with_capacity(width as usize * height as usize * 3);
    let mut noise = 0x2545_f491u32;
    for (y, line) in pixmap.data().chunks_exact(width as usize * 4).enumerate() {
        let dy = (y as f32 + 0.5) / h - 0.5;
        for (x, pixel) in line.chunks_exact(4).enumerate() {
            let dx = (x as f32 + 0.5) / w - 0.5;
            let far = (dx * dx + dy * dy) * 2.0;
            let light = 1.0 - fall * far * far;
            noise ^= noise << 13;
            noise ^= noise >> 17;
            noise ^= noise << 5;
            let grain = (noise >> 24) as f32 / 256.0;
            for channel in &pixel[..3] {
                raw.push((f32::from(*channel) * light + grain) as u8);
            }
        }
    }
    RgbImage::from_raw(width, height, raw).unwrap_or_else(|| RgbImage::new(width, height))
}
