//! Things to wear, to carry and to furnish with.

use crate::local::dice::Dice;
use crate::local::ink::Ink;
use crate::local::palette::Palette;
use crate::local::pen::{Pen, curve, ellipse, path, rect, rounded};

const METAL: Ink = Ink([0.83, 0.71, 0.45]);

pub(super) fn bag(pen: &mut Pen<'_>, palette: &Palette) {
    let main = palette.main;
    pen.line(&path("M -0.48 -1.2 C -0.5 -2.05 0.5 -2.05 0.48 -1.2"), main.darker(0.4), 0.11);
    pen.trace(&path("M -0.46 -1.25 C -0.48 -2 0.44 -2.02 0.46 -1.3"), main.lighter(0.3), 0.5, 0.03);
    pen.tall(
        &path("M -0.72 -1.25 Q 0 -1.38 0.72 -1.25 L 0.95 -0.12 Q 0.94 0 0.8 0 L -0.8 0 Q -0.94 0 -0.95 -0.12 Z"),
        main,
    );
    pen.tall(
        &path("M -0.74 -1.27 Q 0 -1.4 0.74 -1.27 L 0.8 -0.72 Q 0.4 -0.46 0 -0.46 Q -0.4 -0.46 -0.8 -0.72 Z"),
        main.lighter(0.1),
    );
    pen.trace(&path("M -0.77 -0.74 Q -0.4 -0.5 0 -0.5 Q 0.4 -0.5 0.77 -0.74"), Ink::WHITE, 0.55, 0.016);
    pen.trace(&path("M -0.9 -0.1 Q 0 -0.04 0.9 -0.1"), Ink::WHITE, 0.4, 0.014);
    pen.tall(&rounded(-0.12, -0.6, 0.24, 0.24, 0.06), METAL);
    pen.flat(&ellipse(0.0, -0.48, 0.045, 0.045), main.darker(0.6));
    for x in [-0.48, 0.48] {
        pen.ball(&ellipse(x, -1.18, 0.07, 0.07), METAL);
    }
    pen.glow((-0.5, -1.02), (0.3, 0.2), Ink::WHITE, 0.35);
}

pub(super) fn shoe(pen: &mut Pen<'_>, palette: &Palette) {
    let main = palette.main;
    pen.flat(
        &path("M -0.98 -0.2 L -0.98 -0.06 Q -0.96 0 -0.88 0 L 0.98 0 Q 1.12 -0.02 1.1 -0.2 Z"),
        Ink::WHITE.darker(0.06),
    );
    let upper = path(
        "M -0.96 -0.18 C -1.02 -0.6 -0.9 -0.9 -0.9 -1.14 Q -0.62 -1.02 -0.3 -1.16 C -0.1 -0.84 0.15 -0.68 0.5 -0.6 C 0.9 -0.52 1.1 -0.42 1.1 -0.18 Z",
    );
    pen.tall(&upper, main);
    pen.flat(&path("M -0.9 -1.14 Q -0.62 -1.02 -0.3 -1.16 Q -0.6 -1.26 -0.9 -1.14 Z"), main.darker(0.6));
    pen.flat(
        &path("M -0.97 -0.2 C -1 -0.6 -0.92 -0.8 -0.9 -1.0 L -0.7 -0.94 C -0.7 -0.6 -0.62 -0.4 -0.5 -0.2 Z"),
        palette.second,
    );
    pen.tall(
        &path("M 0.62 -0.18 C 0.6 -0.4 0.68 -0.5 0.78 -0.53 C 1.04 -0.44 1.1 -0.36 1.1 -0.18 Z"),
        Ink::WHITE.darker(0.04),
    );
    pen.line(&path("M -0.42 -0.3 Q 0 -0.22 0.36 -0.56"), Ink::WHITE, 0.09);
    for at in 0..4 {
        let (x, y) = (-0.2 + 0.16 * at as f32, -0.98 + 0.105 * at as f32);
        pen.line(&curve(&[(x - 0.1, y + 0.08), (x + 0.1, y - 0.05)]), Ink::WHITE, 0.05);
    }
    pen.line(&curve(&[(-0.96, -0.19), (0.2, -0.19), (1.08, -0.19)]), main.darker(0.4), 0.02);
    pen.trace(&curve(&[(-0.95, -0.06), (1.05, -0.06)]), palette.second, 0.9, 0.035);
    pen.glow((0.3, -0.56), (0.3, 0.08), Ink::WHITE, 0.4);
}

pub(super) fn lamp(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let warm = Ink([1.0, 0.88, 0.6]);
    pen.glow((0.0, -1.3), (1.5, 1.2), warm, 0.25 + 0.3 * palette.dusk);
    pen.round(&rect(-0.05, -1.2, 0.1, 1.1), METAL);
    if dice.coin() {
        pen.ball(&ellipse(0.0, -0.5, 0.3, 0.32), palette.second);
    }
    pen.round(&path("M -0.42 0 Q -0.4 -0.16 0 -0.18 Q 0.4 -0.16 0.42 0 Z"), METAL.darker(0.15));
    let shade = path("M -0.4 -2 L 0.4 -2 L 0.82 -1.08 Q 0 -0.96 -0.82 -1.08 Z");
    pen.round(&shade, palette.main.lighter(0.12));
    pen.glow((0.0, -1.3), (0.55, 0.5), warm, 0.75);
    pen.trace(&path("M -0.82 -1.08 Q 0 -0.96 0.82 -1.08"), palette.main.darker(0.4), 0.8, 0.04);
    pen.trace(&path("M -0.4 -2 L 0.4 -2"), palette.main.darker(0.3), 0.8, 0.03);
}

pub(super) fn watch(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let strap = palette.main;
    pen.round(&path("M -0.34 -1.4 L -0.26 -1.98 Q 0 -2.02 0.26 -1.98 L 0.34 -1.4 Z"), strap);
    pen.round(&path("M -0.34 -0.6 L -0.26 -0.02 Q 0 0.02 0.26 -0.02 L 0.34 -0.6 Z"), strap);
    for y in [-1.8, -1.66, -0.36, -0.2] {
        pen.flat(&ellipse(0.0, y, 0.03, 0.03), strap.darker(0.6));
    }
    pen.flat(&rounded(0.6, -1.08, 0.14, 0.16, 0.04), METAL.darker(0.2));
    pen.ball(&ellipse(0.0, -1.0, 0.66, 0.66), METAL);
    pen.flat(&ellipse(0.0, -1.0, 0.56, 0.56), METAL.darker(0.45));
    pen.ball(&ellipse(0.0, -1.0, 0.54, 0.54), palette.second.darker(0.45));
    for hour in 0..12 {
        let (sin, cos) = (hour as f32 * std::f32::consts::TAU / 12.0).sin_cos();
        let inner = if hour % 3 == 0 { 0.38 } else { 0.43 };
        pen.line(&curve(&[(inner * sin, -1.0 - inner * cos), (0.48 * sin, -1.0 - 0.48 * cos)]), Ink::WHITE, 0.035);
    }
    for (length, width) in [(0.28, 0.055), (0.42, 0.035)] {
        let (sin, cos) = dice.between(0.0, std::f32::consts::TAU).sin_cos();
        pen.line(&curve(&[(0.0, -1.0), (length * sin, -1.0 - length * cos)]), Ink::WHITE, width);
    }
    pen.flat(&ellipse(0.0, -1.0, 0.05, 0.05), palette.accent);
    pen.glow((-0.2, -1.24), (0.26, 0.16), Ink::WHITE, 0.5);
}

pub(super) fn phone(pen: &mut Pen<'_>, palette: &Palette) {
    pen.flat(&rounded(-0.5, -2.0, 1.0, 2.0, 0.16), METAL.mix(Ink::WHITE, 0.3));
    pen.flat(&rounded(-0.47, -1.97, 0.94, 1.94, 0.14), Ink::BLACK);
    let screen = rounded(-0.43, -1.92, 0.86, 1.84, 0.1);
    pen.shade(
        &screen,
        (-0.43, -1.92),
        (0.43, -0.1),
        &[(0.0, palette.main.lighter(0.35)), (0.5, palette.main), (1.0, palette.second.darker(0.1))],
    );
    pen.ball(&ellipse(0.12, -1.36, 0.2, 0.2), palette.accent.lighter(0.3));
    pen.flat(
        &path("M -0.43 -0.95 Q -0.2 -1.2 0.05 -0.98 Q 0.25 -0.82 0.43 -1 L 0.43 -0.62 L -0.43 -0.62 Z"),
        palette.second.darker(0.3),
    );
    for row in 0..2 {
        for column in 0..4 {
            let ink = [Ink::WHITE, palette.accent, palette.second.lighter(0.4), palette.main.lighter(0.5)]
                [(row + column) % 4];
            pen.flat(&rounded(-0.37 + 0.195 * column as f32, -0.54 + 0.2 * row as f32, 0.15, 0.15, 0.04), ink);
        }
    }
    pen.flat(&rounded(-0.14, -1.88, 0.28, 0.07, 0.035), Ink::BLACK);
    pen.veil(
        &path("M -0.43 -1.8 L -0.43 -0.9 L 0.25 -1.92 L -0.33 -1.92 Q -0.43 -1.92 -0.43 -1.8 Z"),
        Ink::WHITE,
        0.14,
    );
}

pub(super) fn book(pen: &mut Pen<'_>, palette: &Palette) {
    let main = palette.main;
    pen.flat(&path("M 0.62 -1.6 L 0.8 -1.5 L 0.8 -0.02 L 0.62 0 Z"), Ink::WHITE.darker(0.12));
    for step in 0..6 {
        let x = 0.65 + 0.026 * step as f32;
        pen.trace(&curve(&[(x, -1.57), (x, -0.03)]), Ink::BLACK, 0.25, 0.008);
    }
    pen.shade(
        &rounded(-0.72, -1.62, 1.38, 1.62, 0.04),
        (-0.72, -1.6),
        (0.66, 0.0),
        &[(0.0, main.lighter(0.18)), (1.0, main.darker(0.18))],
    );
    pen.shade(
        &rect(-0.72, -1.6, 0.18, 1.58),
        (-0.72, 0.0),
        (-0.54, 0.0),
        &[(0.0, main.darker(0.1)), (0.4, main.lighter(0.2)), (1.0, main.darker(0.45))],
    );
    pen.flat(&rounded(-0.36, -1.36, 0.84, 0.4, 0.03), Ink::WHITE.darker(0.03));
    for (y, half) in [(-1.24, 0.3), (-1.1, 0.2)] {
        pen.line(&curve(&[(0.06 - half, y), (0.06 + half, y)]), main.darker(0.5), 0.04);
    }
    pen.ball(&ellipse(0.06, -0.5, 0.24, 0.24), palette.second.lighter(0.2));
    pen.line(&path("M 0.3 -1.62 L 0.3 -1.5"), palette.accent, 0.05);
}

pub(super) fn chair(pen: &mut Pen<'_>, palette: &Palette) {
    let wood = Ink([0.5, 0.33, 0.2]);
    for (top, foot) in [
        ((-0.5, -0.7), (-0.62, 0.0)),
        ((0.5, -0.7), (0.62, 0.0)),
        ((-0.3, -0.8), (-0.36, -0.14)),
        ((0.3, -0.8), (0.36, -0.14)),
    ] {
        pen.line(&curve(&[top, foot]), wood, 0.09);
    }
    pen.tall(&path("M -0.5 -0.9 C -0.62 -1.5 -0.56 -2 0 -2 C 0.56 -2 0.62 -1.5 0.5 -0.9 Z"), palette.main);
    pen.trace(
        &path("M -0.38 -1 C -0.46 -1.5 -0.42 -1.86 0 -1.86 C 0.42 -1.86 0.46 -1.5 0.38 -1"),
        palette.main.darker(0.5),
        0.6,
        0.025,
    );
    for (x, y) in [(-0.2, -1.5), (0.2, -1.5), (0.0, -1.25)] {
        pen.flat(&ellipse(x, y, 0.035, 0.035), palette.main.darker(0.5));
    }
    pen.tall(&rounded(-0.7, -0.98, 1.4, 0.34, 0.14), palette.main.lighter(0.1));
    pen.trace(&curve(&[(-0.6, -0.72), (0.0, -0.69), (0.6, -0.72)]), palette.main.darker(0.5), 0.6, 0.025);
    pen.glow((-0.2, -1.66), (0.26, 0.26), Ink::WHITE, 0.35);
}
