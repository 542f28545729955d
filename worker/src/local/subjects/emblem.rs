//! A flat emblem on paper.

use crate::local::dice::Dice;
use crate::local::ink::Ink;
use crate::local::palette::Palette;
use crate::local::pen::{Pen, curve, ellipse, path, rect, rounded};
use crate::local::prompt::{Brief, Motif};

/// Drawn between -1 and 1 around `(0, -1)`.
pub(super) fn emblem(pen: &mut Pen<'_>, palette: &Palette, brief: &Brief, dice: &mut Dice) {
    let dark = palette.main.darker(0.25);
    let paper = palette.low.mix(Ink::WHITE, 0.75);
    let filled = dice.coin();
    let (ground, figure) = if filled { (dark, paper) } else { (paper, dark) };
    match dice.below(3) {
        0 => {
            pen.flat(&ellipse(0.0, -1.0, 0.98, 0.98), dark);
            if filled {
                pen.trace(&ellipse(0.0, -1.0, 0.88, 0.88), paper, 1.0, 0.03);
            } else {
                pen.flat(&ellipse(0.0, -1.0, 0.9, 0.9), ground);
                pen.trace(&ellipse(0.0, -1.0, 0.83, 0.83), dark, 1.0, 0.02);
            }
        }
        1 => {
            let shield = "M -0.8 -1.85 Q 0 -2.1 0.8 -1.85 L 0.8 -0.9 C 0.8 -0.4 0.4 -0.12 0 0 C -0.4 -0.12 -0.8 -0.4 -0.8 -0.9 Z";
            pen.flat(&path(shield), ground);
            pen.line(&path(shield), dark, 0.08);
        }
        _ => {
            pen.flat(&rounded(-0.92, -1.92, 1.84, 1.84, 0.4), ground);
            pen.line(&rounded(-0.92, -1.92, 1.84, 1.84, 0.4), dark, 0.08);
        }
    }
    let accent = if filled { palette.second.lighter(0.45) } else { palette.second };
    match brief.motif {
        Motif::Wheat if dice.coin() => wheat(pen, figure, accent),
        Motif::Wheat => loaf(pen, figure, ground, accent),
        Motif::Cup => cup(pen, figure, accent),
        Motif::Leaf => leaf(pen, figure, ground, accent),
        Motif::Sun => sun(pen, figure, accent),
        Motif::Wave => wave(pen, figure, accent),
    }
    // A line where the name would be.
    for (x, half) in [(-0.2, 0.12), (0.06, 0.06), (0.24, 0.08)] {
        pen.flat(&rounded(x - half, -0.44, half * 2.0, 0.06, 0.03), figure);
    }
}

fn grain(pen: &mut Pen<'_>, x: f32, y: f32, way: f32, size: f32, ink: Ink) {
    let text = format!(
        "M {x} {y} C {} {} {} {} {} {} C {} {} {} {} {x} {y} Z",
        x + way * size * 0.2,
        y - size * 0.75,
        x + way * size * 0.8,
        y - size * 0.9,
        x + way * size,
        y - size * 1.15,
        x + way * size * 1.15,
        y - size * 0.5,
        x + way * size * 0.7,
        y - size * 0.05,
    );
    pen.flat(&path(&text), ink);
}

fn wheat(pen: &mut Pen<'_>, figure: Ink, accent: Ink) {
    pen.line(&curve(&[(0.0, -0.56), (0.0, -1.5)]), figure, 0.05);
    for row in 0..5 {
        let y = -0.78 - 0.17 * row as f32;
        for way in [-1.0, 1.0] {
            grain(pen, way * 0.03, y, way, 0.25, if row % 2 == 0 { figure } else { accent });
        }
    }
    pen.flat(&path("M 0 -1.46 C -0.12 -1.6 -0.08 -1.68 0 -1.78 C 0.08 -1.68 0.12 -1.6 0 -1.46 Z"), figure);
}

fn loaf(pen: &mut Pen<'_>, figure: Ink, ground: Ink, accent: Ink) {
    pen.flat(&path("M -0.62 -0.62 L -0.62 -0.98 C -0.74 -1.34 -0.4 -1.42 0 -1.42 C 0.4 -1.42 0.74 -1.34 0.62 -0.98 L 0.62 -0.62 Q 0.6 -0.56 0.54 -0.56 L -0.54 -0.56 Q -0.6 -0.56 -0.62 -0.62 Z"), figure);
    for x in [-0.34, 0.0, 0.34] {
        pen.line(&curve(&[(x - 0.08, -0.84), (x + 0.02, -1.0), (x + 0.1, -1.22)]), ground, 0.06);
    }
    for (x, lean) in [(-0.2, -0.05), (0.0, 0.0), (0.2, 0.05)] {
        pen.line(&curve(&[(x, -1.5), (x + lean, -1.58), (x - lean, -1.66), (x + lean, -1.74)]), accent, 0.05);
    }
}

fn cup(pen: &mut Pen<'_>, figure: Ink, accent: Ink) {
    pen.line(&path("M 0.4 -1.2 C 0.78 -1.28 0.74 -0.8 0.34 -0.84"), figure, 0.08);
    pen.flat(
        &path("M -0.5 -1.3 L 0.5 -1.3 C 0.5 -0.9 0.4 -0.64 0.14 -0.6 L -0.14 -0.6 C -0.4 -0.64 -0.5 -0.9 -0.5 -1.3 Z"),
        figure,
    );
    for x in [-0.22, 0.0, 0.22] {
        pen.line(&curve(&[(x, -1.4), (x + 0.05, -1.5), (x - 0.05, -1.6), (x, -1.7)]), accent, 0.05);
    }
}

fn leaf(pen: &mut Pen<'_>, figure: Ink, ground: Ink, accent: Ink) {
    pen.flat(&path("M -0.5 -0.66 C -0.7 -1.3 -0.2 -1.66 0.6 -1.64 C 0.66 -1 0.2 -0.5 -0.5 -0.66 Z"), figure);
    pen.line(&curve(&[(-0.6, -0.56), (-0.1, -1.05), (0.4, -1.46)]), ground, 0.05);
    pen.flat(&path("M 0.1 -0.6 C 0.2 -0.9 0.5 -0.95 0.64 -0.86 C 0.6 -0.62 0.36 -0.52 0.1 -0.6 Z"), accent);
}

fn sun(pen: &mut Pen<'_>, figure: Ink, accent: Ink) {
    for ray in 0..12 {
        let (sin, cos) = (ray as f32 * std::f32::consts::TAU / 12.0).sin_cos();
        pen.line(&curve(&[(0.42 * cos, -1.12 + 0.42 * sin), (0.58 * cos, -1.12 + 0.58 * sin)]), figure, 0.07);
    }
    pen.flat(&ellipse(0.0, -1.12, 0.32, 0.32), accent);
}

fn wave(pen: &mut Pen<'_>, figure: Ink, accent: Ink) {
    pen.flat(&ellipse(0.0, -1.32, 0.26, 0.26), accent);
    pen.flat(&rect(-0.4, -1.2, 0.0001, 0.0001), figure);
    for (row, y) in [-1.1, -0.9, -0.7].into_iter().enumerate() {
        let half = 0.6 - 0.1 * row as f32;
        let points: Vec<(f32, f32)> =
            (0..=8).map(|at| (-half + half * at as f32 / 4.0, y + if at % 2 == 0 { 0.05 } else { -0.05 })).collect();
        pen.line(&curve(&points), figure, 0.07);
    }
}
