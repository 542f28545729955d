//! Buildings, vessels and land.

use crate::local::dice::Dice;
use crate::local::ink::Ink;
use crate::local::palette::Palette;
use crate::local::pen::{Pen, curve, ellipse, path, rect, rounded};

const GLASS: Ink = Ink([0.6, 0.78, 0.88]);
const WARM: Ink = Ink([1.0, 0.87, 0.52]);

fn pane(palette: &Palette) -> Ink {
    if palette.dusk > 0.1 { WARM } else { GLASS }
}

pub(super) fn house(pen: &mut Pen<'_>, palette: &Palette) {
    let wall = palette.main.lighter(0.55);
    pen.tall(&rect(0.42, -1.85, 0.2, 0.6), Ink([0.6, 0.3, 0.24]));
    pen.shade(
        &rect(-0.85, -1.05, 1.7, 1.05),
        (-0.85, 0.0),
        (0.85, 0.0),
        &[(0.0, wall.lighter(0.15)), (1.0, wall.darker(0.16))],
    );
    pen.tall(&path("M -1.05 -1 L 0 -1.9 L 1.05 -1 Z"), palette.main.darker(0.12));
    for row in 1..5 {
        let y = -1.9 + 0.18 * row as f32;
        let half = (y + 1.9) * 1.05 / 0.9;
        pen.trace(&curve(&[(-half, y), (half, y)]), palette.main.darker(0.6), 0.35, 0.018);
    }
    pen.flat(&ellipse(0.0, -1.36, 0.15, 0.15), Ink::WHITE);
    pen.flat(&ellipse(0.0, -1.36, 0.11, 0.11), pane(palette));
    pen.tall(&path("M -0.17 0 L -0.17 -0.52 Q 0 -0.68 0.17 -0.52 L 0.17 0 Z"), palette.second.darker(0.25));
    pen.flat(&ellipse(0.1, -0.28, 0.025, 0.025), WARM);
    for x in [-0.56, 0.56] {
        pen.flat(&rect(x - 0.21, -0.8, 0.42, 0.46), Ink::WHITE);
        pen.flat(&rect(x - 0.17, -0.76, 0.34, 0.38), pane(palette));
        pen.line(&curve(&[(x, -0.76), (x, -0.38)]), Ink::WHITE, 0.03);
        pen.line(&curve(&[(x - 0.17, -0.57), (x + 0.17, -0.57)]), Ink::WHITE, 0.03);
        for bush in -2..=2 {
            pen.ball(&ellipse(x + 0.12 * bush as f32, -0.08, 0.12, 0.1), Ink([0.3, 0.52, 0.28]));
        }
    }
}

pub(super) fn lighthouse(pen: &mut Pen<'_>, palette: &Palette) {
    let stripe = palette.main.mix(Ink([0.78, 0.18, 0.16]), 0.55);
    let rock = Ink([0.4, 0.36, 0.36]);
    pen.glow((0.0, -1.72), (1.1, 0.6), WARM, 0.35 + 0.3 * palette.dusk);
    pen.tall(
        &path("M -0.95 0.06 L -0.8 -0.2 L -0.5 -0.3 L -0.36 -0.46 L 0.34 -0.46 L 0.6 -0.34 L 0.8 -0.1 L 1.1 0.06 Z"),
        rock,
    );
    pen.veil(&path("M -0.5 -0.3 L -0.36 -0.46 L -0.1 -0.46 L -0.24 -0.1 Z"), Ink::WHITE, 0.16);
    pen.veil(&path("M 0.34 -0.46 L 0.6 -0.34 L 0.5 0.04 L 0.2 0.04 Z"), Ink::BLACK, 0.22);
    let half = |y: f32| 0.17 + 0.12 * (y + 1.5) / 1.06;
    for band in 0..5 {
        let (y0, y1) = (-1.5 + 0.212 * band as f32, -1.5 + 0.212 * (band + 1) as f32);
        let tower =
            path(&format!("M {} {y0} L {} {y0} L {} {y1} L {} {y1} Z", -half(y0), half(y0), half(y1), -half(y1)));
        pen.round(&tower, if band % 2 == 0 { stripe } else { Ink::WHITE });
    }
    pen.flat(&rounded(-0.26, -1.57, 0.52, 0.08, 0.02), Ink::BLACK.lighter(0.15));
    pen.flat(&rect(-0.14, -1.8, 0.28, 0.24), WARM.lighter(0.3));
    for x in [-0.14, 0.0, 0.14] {
        pen.line(&curve(&[(x, -1.8), (x, -1.56)]), Ink::BLACK.lighter(0.15), 0.022);
    }
    pen.round(&path("M -0.2 -1.79 Q -0.14 -1.96 0 -2 Q 0.14 -1.96 0.2 -1.79 Z"), stripe.darker(0.2));
    pen.veil(&path("M 0.1 -1.7 L 2.4 -2.05 L 2.4 -1.5 L 0.1 -1.66 Z"), WARM.lighter(0.3), 0.16 + 0.2 * palette.dusk);
    pen.flat(&path("M -0.07 -0.46 L -0.07 -0.64 Q 0 -0.72 0.07 -0.64 L 0.07 -0.46 Z"), Ink([0.35, 0.2, 0.15]));
    for y in [-0.9, -1.24] {
        pen.flat(&rounded(-0.04, y, 0.08, 0.12, 0.03), Ink([0.25, 0.25, 0.32]));
    }
}

pub(super) fn boat(pen: &mut Pen<'_>, palette: &Palette) {
    pen.line(&curve(&[(0.0, -0.36), (0.0, -2.0)]), Ink([0.45, 0.3, 0.2]), 0.045);
    pen.shade(
        &path("M 0.06 -1.92 Q 0.66 -1.2 0.82 -0.39 L -0.02 -0.39 Z"),
        (0.0, 0.0),
        (0.85, 0.0),
        &[(0.0, Ink::WHITE), (1.0, Ink::WHITE.darker(0.2))],
    );
    pen.shade(
        &path("M -0.06 -1.74 Q -0.5 -1.1 -0.68 -0.39 L 0.02 -0.39 Z"),
        (-0.7, 0.0),
        (0.0, 0.0),
        &[(0.0, palette.accent.lighter(0.2)), (1.0, palette.accent.darker(0.1))],
    );
    pen.flat(&path("M 0 -2 L 0.22 -1.94 L 0 -1.88 Z"), palette.main);
    pen.tall(
        &path(
            "M -0.98 -0.4 L 0.98 -0.4 C 0.9 -0.14 0.74 0.02 0.6 0.02 L -0.6 0.02 C -0.78 0.02 -0.92 -0.2 -0.98 -0.4 Z",
        ),
        palette.main,
    );
    pen.line(&curve(&[(-0.96, -0.39), (0.96, -0.39)]), Ink::WHITE, 0.05);
    for x in [-0.4, 0.0, 0.4] {
        pen.flat(&ellipse(x, -0.2, 0.055, 0.055), Ink::WHITE);
    }
    pen.trace(&curve(&[(-0.9, 0.04), (-0.4, 0.0), (0.0, 0.05), (0.4, 0.0), (0.9, 0.04)]), Ink::WHITE, 0.7, 0.04);
}

pub(super) fn car(pen: &mut Pen<'_>, palette: &Palette) {
    let main = palette.main;
    pen.tall(
        &path("M -0.62 -0.6 C -0.5 -0.98 -0.36 -1.04 -0.1 -1.04 L 0.14 -1.04 C 0.4 -1.04 0.52 -0.8 0.66 -0.6 Z"),
        main.darker(0.1),
    );
    pen.tall(&path("M -0.52 -0.6 C -0.42 -0.88 -0.34 -0.95 -0.12 -0.95 L -0.04 -0.95 L -0.04 -0.6 Z"), GLASS);
    pen.tall(&path("M 0.04 -0.95 L 0.14 -0.95 C 0.34 -0.95 0.42 -0.8 0.54 -0.6 L 0.04 -0.6 Z"), GLASS);
    pen.tall(&path("M -1.08 -0.2 C -1.12 -0.46 -1.04 -0.58 -0.8 -0.62 L 0.7 -0.62 C 0.98 -0.58 1.12 -0.48 1.12 -0.2 Q 1.1 -0.14 1.02 -0.14 L -1 -0.14 Q -1.06 -0.14 -1.08 -0.2 Z"), main);
    pen.trace(&curve(&[(-0.95, -0.5), (0.0, -0.53), (0.95, -0.48)]), Ink::WHITE, 0.45, 0.03);
    pen.trace(&curve(&[(0.0, -0.6), (-0.02, -0.2)]), main.darker(0.6), 0.7, 0.015);
    pen.flat(&rounded(0.08, -0.46, 0.14, 0.03, 0.015), main.darker(0.6));
    pen.flat(&ellipse(1.04, -0.4, 0.06, 0.07), WARM.lighter(0.3));
    pen.flat(&rounded(-1.1, -0.46, 0.07, 0.12, 0.02), Ink([0.8, 0.12, 0.12]));
    for x in [-0.62, 0.64] {
        pen.flat(&ellipse(x, -0.18, 0.26, 0.24), main.darker(0.65));
        pen.flat(&ellipse(x, -0.2, 0.21, 0.21), Ink::BLACK);
        pen.ball(&ellipse(x, -0.2, 0.12, 0.12), Ink([0.78, 0.79, 0.82]));
        pen.flat(&ellipse(x, -0.2, 0.035, 0.035), Ink::BLACK.lighter(0.3));
    }
}

pub(super) fn rocket(pen: &mut Pen<'_>, palette: &Palette) {
    let hull = Ink::WHITE.darker(0.03);
    pen.glow((0.0, -0.1), (0.5, 0.5), Ink([1.0, 0.7, 0.25]), 0.6);
    pen.tall(
        &path("M -0.17 -0.42 C -0.3 -0.2 -0.1 -0.12 0 0 C 0.1 -0.12 0.3 -0.2 0.17 -0.42 Z"),
        Ink([0.98, 0.55, 0.15]),
    );
    pen.tall(
        &path("M -0.09 -0.42 C -0.14 -0.28 -0.04 -0.22 0 -0.14 C 0.04 -0.22 0.14 -0.28 0.09 -0.42 Z"),
        Ink([1.0, 0.88, 0.45]),
    );
    for way in [-1.0f32, 1.0] {
        let fin = path(&format!(
            "M {0} -1 C {1} -0.85 {2} -0.6 {3} -0.28 L {4} -0.46 Z",
            way * 0.28,
            way * 0.5,
            way * 0.62,
            way * 0.6,
            way * 0.22
        ));
        pen.tall(&fin, palette.main);
    }
    pen.round(&path("M 0 -2 C 0.34 -1.7 0.4 -1.2 0.34 -0.8 Q 0.3 -0.56 0.22 -0.42 L -0.22 -0.42 Q -0.3 -0.56 -0.34 -0.8 C -0.4 -1.2 -0.34 -1.7 0 -2 Z"), hull);
    pen.round(
        &path("M 0 -2 C 0.16 -1.86 0.24 -1.7 0.29 -1.56 Q 0 -1.46 -0.29 -1.56 C -0.24 -1.7 -0.16 -1.86 0 -2 Z"),
        palette.main,
    );
    pen.flat(&ellipse(0.0, -1.22, 0.17, 0.17), palette.main.darker(0.3));
    pen.ball(&ellipse(0.0, -1.22, 0.125, 0.125), GLASS);
    pen.trace(&path("M -0.345 -0.82 Q 0 -0.72 0.345 -0.82"), palette.main, 1.0, 0.07);
    pen.tall(&path("M -0.2 -0.46 L 0.2 -0.46 L 0.16 -0.36 L -0.16 -0.36 Z"), Ink([0.35, 0.35, 0.4]));
    pen.line(&curve(&[(0.0, -0.7), (0.0, -0.34)]), palette.main.darker(0.2), 0.06);
}

pub(super) fn mountain(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let rock = palette.main.mix(Ink([0.42, 0.44, 0.52]), 0.6);
    for (x, height, half, part) in [(-0.75, 0.95, 0.62, 0.3), (0.78, 1.05, 0.66, 0.25), (0.0, 1.5, 0.95, 0.0)] {
        let ink = rock.mix(palette.low, part);
        let (peak, lean) = (-height, dice.between(-0.08, 0.08));
        let top = x + lean;
        pen.tall(
            &path(&format!(
                "M {} 0.02 L {} {} L {top} {peak} L {} {} L {} 0.02 Z",
                x - half,
                x - half * 0.45,
                peak * 0.56,
                x + half * 0.5,
                peak * 0.5,
                x + half
            )),
            ink,
        );
        pen.veil(
            &path(&format!(
                "M {top} {peak} L {} {} L {} 0.02 L {} 0.02 L {} {} Z",
                x + half * 0.5,
                peak * 0.5,
                x + half,
                x + half * 0.15,
                x + half * 0.12,
                peak * 0.45
            )),
            Ink::BLACK,
            0.2,
        );
        let snow = path(&format!(
            "M {top} {peak} L {} {} L {} {} L {} {} L {} {} L {} {} Z",
            top - half * 0.27,
            peak * 0.74,
            top - half * 0.1,
            peak * 0.68,
            top,
            peak * 0.77,
            top + half * 0.12,
            peak * 0.66,
            top + half * 0.28,
            peak * 0.74
        ));
        pen.flat(&snow, Ink::WHITE);
    }
    for at in 0..9 {
        let x = -1.25 + 0.31 * at as f32 + dice.between(-0.08, 0.08);
        let h = dice.between(0.2, 0.36);
        pen.tall(
            &path(&format!("M {} 0.04 L {x} {} L {} 0.04 Z", x - h * 0.32, -h, x + h * 0.32)),
            Ink([0.16, 0.34, 0.26]),
        );
    }
}
