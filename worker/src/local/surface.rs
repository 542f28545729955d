//! What is behind and under the subject.

use super::dice::Dice;
use super::ink::Ink;
use super::palette::Palette;
use super::pen::{Pen, curve, ellipse, path, rect};
use super::prompt::{Brief, Mood, Subject, Surface};

/// The picture's own coordinates: 0..`aspect` across, 0..1 down.
pub(super) struct Stage {
    /// Width over height.
    pub(super) aspect: f32,
    /// Where the surface begins.
    pub(super) horizon: f32,
}

/// Draws everything but the subject.
pub(super) fn paint(pen: &mut Pen<'_>, brief: &Brief, palette: &Palette, stage: &Stage, dice: &mut Dice) {
    let aspect = stage.aspect;
    if brief.subject == Subject::Emblem {
        let paper = palette.low.mix(Ink::WHITE, 0.75);
        pen.shade(&rect(0.0, 0.0, aspect, 1.0), (0.0, 0.0), (aspect, 1.0), &[(0.0, paper), (1.0, paper.darker(0.03))]);
        return;
    }
    pen.shade(
        &rect(0.0, 0.0, aspect, stage.horizon + 0.01),
        (0.0, 0.0),
        (0.0, stage.horizon),
        &[(0.0, palette.high), (1.0, palette.low)],
    );
    if brief.outdoor() {
        sky(pen, brief, palette, stage, dice);
    } else {
        wall(pen, brief, palette, stage, dice);
    }
    ground(pen, brief, palette, stage, dice);
}

/// The surface under the subject.
pub(super) fn surface_of(brief: &Brief) -> Surface {
    match (brief.surface, brief.subject) {
        (Surface::Plain | Surface::Wood, Subject::Boat | Subject::Lighthouse) => Surface::Water,
        (Surface::Plain | Surface::Wood, Subject::House | Subject::Tree | Subject::Mountain) => Surface::Grass,
        (surface, _) => surface,
    }
}

fn wall(pen: &mut Pen<'_>, brief: &Brief, palette: &Palette, stage: &Stage, dice: &mut Dice) {
    let aspect = stage.aspect;
    // Light falls in from one side.
    let side = if dice.coin() { 0.0 } else { aspect };
    pen.glow((side, 0.05), (aspect * 0.9, 0.7), Ink::WHITE, 0.25 * (1.0 - palette.dusk));
    if brief.mood == Mood::Neon {
        for _ in 0..3 {
            let (x, y) = (dice.between(0.0, aspect), dice.between(0.04, 0.2));
            let tube = curve(&[(x - 0.18, y), (x + 0.18, y - 0.02)]);
            pen.trace(&tube, palette.accent, 0.08, 0.05);
            pen.trace(&tube, palette.accent.lighter(0.2), 0.4, 0.008);
        }
    }
    if brief.mood == Mood::Spring {
        for corner in [0.0, aspect] {
            branch(pen, palette, (corner, dice.between(0.02, 0.12)), if corner == 0.0 { 1.0 } else { -1.0 }, dice);
        }
    }
}

/// A twig with blossoms that grows in from a side.
fn branch(pen: &mut Pen<'_>, palette: &Palette, from: (f32, f32), way: f32, dice: &mut Dice) {
    let points: Vec<(f32, f32)> =
        (0..5).map(|at| (from.0 + way * 0.06 * at as f32, from.1 + 0.012 * (at * at) as f32 * 0.5)).collect();
    pen.trace(&curve(&points), Ink([0.42, 0.3, 0.24]), 0.8, 0.008);
    for (x, y) in points {
        for _ in 0..2 {
            let (bx, by) = (x + dice.between(-0.025, 0.025), y + dice.between(-0.03, 0.03));
            for petal in 0..5 {
                let angle = petal as f32 * 1.2566;
                let dot = ellipse(bx + 0.011 * angle.cos(), by + 0.011 * angle.sin(), 0.009, 0.009);
                pen.veil(&dot, palette.accent.lighter(0.35), 0.9);
            }
            pen.veil(&ellipse(bx, by, 0.005, 0.005), Ink([0.9, 0.7, 0.3]), 1.0);
        }
    }
}

fn sky(pen: &mut Pen<'_>, brief: &Brief, palette: &Palette, stage: &Stage, dice: &mut Dice) {
    let aspect = stage.aspect;
    let sun = (dice.between(0.12, 0.3) * aspect, stage.horizon * dice.between(0.55, 0.85));
    match brief.mood {
        Mood::Storm => {
            for _ in 0..9 {
                let at = (dice.between(0.0, aspect), dice.between(0.0, stage.horizon * 0.5));
                pen.glow(at, (dice.between(0.2, 0.45), dice.between(0.05, 0.12)), palette.high.darker(0.4), 0.5);
            }
        }
        Mood::Evening | Mood::Neon => {
            for _ in 0..50 {
                let at = (dice.between(0.0, aspect), dice.between(0.0, stage.horizon * 0.6));
                let r = dice.between(0.0008, 0.002);
                pen.veil(&ellipse(at.0, at.1, r, r), Ink::WHITE, 0.7);
            }
            pen.glow(sun, (0.5, 0.22), palette.low.lighter(0.3), 0.5);
        }
        _ => {
            pen.glow(sun, (0.45, 0.35), Ink([1.0, 0.95, 0.82]), 0.6);
            for _ in 0..5 {
                let (x, y) = (dice.between(0.0, aspect), dice.between(0.05, stage.horizon * 0.55));
                for puff in 0..5 {
                    let at = (x + 0.045 * puff as f32, y - 0.012 * (2.0 - (puff as f32 - 2.0).abs()));
                    pen.glow(at, (dice.between(0.06, 0.09), dice.between(0.018, 0.032)), Ink::WHITE, 0.35);
                }
            }
        }
    }
    if !matches!(brief.subject, Subject::Boat | Subject::Lighthouse) {
        let far = palette.low.mix(palette.ground, 0.4).mix(palette.high, 0.25);
        hills(pen, far, stage, 0.09, dice);
    }
}

fn hills(pen: &mut Pen<'_>, ink: Ink, stage: &Stage, height: f32, dice: &mut Dice) {
    let phase = dice.between(0.0, 6.0);
    let mut text = format!("M 0 {}", stage.horizon + 0.02);
    for step in 0..=40 {
        let x = stage.aspect * step as f32 / 40.0;
        let y = stage.horizon - height * (0.5 + 0.35 * (x * 5.0 + phase).sin() + 0.15 * (x * 11.0 + phase * 2.0).sin());
        text.push_str(&format!(" L {x} {y}"));
    }
    text.push_str(&format!(" L {} {} Z", stage.aspect, stage.horizon + 0.02));
    pen.flat(&path(&text), ink);
}

fn ground(pen: &mut Pen<'_>, brief: &Brief, palette: &Palette, stage: &Stage, dice: &mut Dice) {
    let (aspect, top) = (stage.aspect, stage.horizon);
    let plane = rect(0.0, top, aspect, 1.0 - top);
    let dim = |ink: Ink| ink.darker(palette.dusk * 0.6);
    let fill = |pen: &mut Pen<'_>, far: Ink, near: Ink| {
        pen.shade(&plane, (0.0, top), (0.0, 1.0), &[(0.0, far), (1.0, near)]);
    };
    match surface_of(brief) {
        Surface::Wood => {
            let wood = dim(Ink::hsl(dice.between(20.0, 36.0), dice.between(0.35, 0.5), dice.between(0.4, 0.6)));
            fill(pen, wood.lighter(0.12), wood.darker(0.12));
            planks(pen, wood, stage, dice);
        }
        Surface::Marble => {
            let stone = dim(Ink::hsl(dice.between(20.0, 220.0), 0.06, 0.9));
            fill(pen, stone, stone.darker(0.1));
            for _ in 0..9 {
                let (mut x, mut y) = (dice.between(-0.1, aspect), top + dice.between(0.0, 0.25));
                let points: Vec<(f32, f32)> = (0..7)
                    .map(|_| {
                        x += dice.between(0.02, 0.12);
                        y += dice.between(-0.01, 0.06);
                        (x, y.max(top))
                    })
                    .collect();
                pen.trace(&curve(&points), stone.darker(0.5), dice.between(0.12, 0.3), dice.between(0.001, 0.005));
            }
        }
        Surface::Cloth => {
            let cloth = dim(palette.second.lighter(0.55));
            fill(pen, cloth.lighter(0.1), cloth.darker(0.12));
            for _ in 0..14 {
                let x = dice.between(-0.1, aspect + 0.1);
                let fold = curve(&[
                    (x, top),
                    (x + dice.between(-0.1, 0.1), (top + 1.0) / 2.0),
                    (x + dice.between(-0.25, 0.25), 1.0),
                ]);
                let (shade, width) = (dice.coin(), dice.between(0.01, 0.035));
                pen.trace(&fold, if shade { cloth.darker(0.4) } else { Ink::WHITE }, 0.1, width);
            }
        }
        Surface::Sand => {
            let sand = dim(Ink::hsl(dice.between(34.0, 44.0), 0.45, 0.74));
            fill(pen, sand.lighter(0.1), sand.darker(0.1));
            ripples(pen, sand.darker(0.35), 0.16, stage, dice);
        }
        Surface::Water => {
            let water =
                palette.high.mix(Ink::hsl(dice.between(190.0, 215.0), 0.5, 0.4), 0.65).darker(palette.dusk * 0.4);
            fill(pen, water.lighter(0.25), water.darker(0.25));
            ripples(pen, Ink::WHITE, 0.3, stage, dice);
        }
        Surface::Grass => {
            let grass = dim(Ink::hsl(dice.between(78.0, 120.0), 0.38, 0.5));
            fill(pen, grass.lighter(0.16), grass.darker(0.2));
            for _ in 0..(if pen.detail { 420 } else { 260 }) {
                let (x, y) = (dice.between(0.0, aspect), dice.between(top + 0.01, 1.0));
                let size = 0.006 + 0.03 * (y - top);
                let lean = dice.between(-0.4, 0.4) * size;
                pen.trace(&curve(&[(x, y), (x + lean, y - size)]), grass.darker(0.35), 0.3, 0.0018);
            }
        }
        Surface::Plain => {
            let table =
                if brief.outdoor() { dim(Ink::hsl(dice.between(20.0, 60.0), 0.1, 0.62)) } else { palette.ground };
            fill(pen, table, table.lighter(0.25 * (1.0 - palette.dusk)));
        }
    }
    // The far edge, where wall and surface meet.
    pen.trace(&curve(&[(0.0, top), (aspect, top)]), Ink::BLACK, 0.1, 0.003);
}

fn planks(pen: &mut Pen<'_>, wood: Ink, stage: &Stage, dice: &mut Dice) {
    let (aspect, top) = (stage.aspect, stage.horizon);
    let rows = 4;
    // Planks get wider towards the viewer.
    let edge = |row: usize| top + (1.0 - top) * (row as f32 / rows as f32).powf(1.35);
    for row in 0..rows {
        let (y0, y1) = (edge(row), edge(row + 1));
        let tone =
            if dice.coin() { wood.lighter(dice.between(0.0, 0.14)) } else { wood.darker(dice.between(0.0, 0.12)) };
        pen.veil(&rect(0.0, y0, aspect, y1 - y0), tone, 0.8);
        let grains = if pen.detail { 16 } else { 11 };
        for _ in 0..grains {
            let y = dice.between(y0 + 0.002, y1 - 0.002);
            let (sway, phase) = (dice.between(0.001, 0.007), dice.between(0.0, 6.0));
            let points: Vec<(f32, f32)> = (0..=10)
                .map(|step| {
                    let x = aspect * step as f32 / 10.0;
                    (x, (y + sway * (x * 4.0 + phase).sin()).clamp(y0, y1))
                })
                .collect();
            pen.trace(&curve(&points), wood.darker(0.45), dice.between(0.1, 0.3), dice.between(0.0008, 0.003));
        }
        pen.trace(&curve(&[(0.0, y1), (aspect, y1)]), wood.darker(0.75), 0.7, 0.003);
    }
}

fn ripples(pen: &mut Pen<'_>, ink: Ink, alpha: f32, stage: &Stage, dice: &mut Dice) {
    let count = if pen.detail { 120 } else { 80 };
    for _ in 0..count {
        let depth = dice.between(0.0, 1.0);
        let y = stage.horizon + 0.006 + (1.0 - stage.horizon) * depth * depth;
        let (x, half) = (dice.between(0.0, stage.aspect), 0.012 + 0.07 * depth * dice.between(0.4, 1.0));
        let wave = curve(&[(x - half, y), (x, y - 0.004 * depth), (x + half, y)]);
        pen.trace(&wave, ink, alpha * dice.between(0.3, 1.0), 0.0012 + 0.0022 * depth);
    }
}
