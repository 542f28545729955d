//! Plants, animals and people.

use crate::local::dice::Dice;
use crate::local::ink::Ink;
use crate::local::palette::Palette;
use crate::local::pen::{Pen, curve, ellipse, lathe, path};
use crate::local::prompt::Brief;

const LEAF: Ink = Ink([0.27, 0.52, 0.28]);

pub(super) fn flower(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let petal_ink = palette.main.lighter(0.12);
    let heads = [(0.0, -1.62, 0.3), (-0.52, -1.3, 0.23), (0.5, -1.36, 0.24)];
    for (x, y, _) in heads {
        pen.line(&curve(&[(0.0, -0.55), (x * 0.55, -0.95), (x, y)]), LEAF.darker(0.2), 0.05);
    }
    for (x, way) in [(-0.1, -1.0f32), (0.1, 1.0), (0.0, -0.6), (0.0, 0.7)] {
        let leaf = path(&format!(
            "M {x} -0.55 C {} -1.15 {} -1.1 {} -0.95 C {} -0.7 {} -0.55 {x} -0.55 Z",
            x + way * 0.2,
            x + way * 0.62,
            x + way * 0.74,
            x + way * 0.6,
            x + way * 0.3
        ));
        pen.tall(&leaf, LEAF);
    }
    for (x, y, r) in heads {
        let petals = 7 + dice.below(3);
        for petal in 0..petals {
            let angle = petal as f32 * std::f32::consts::TAU / petals as f32;
            let (px, py) = (x + r * 0.62 * angle.cos(), y + r * 0.62 * angle.sin());
            pen.ball(&ellipse(px, py, r * 0.4, r * 0.4), petal_ink.darker(0.1 * (petal % 2) as f32));
        }
        pen.ball(&ellipse(x, y, r * 0.36, r * 0.36), Ink([0.93, 0.72, 0.22]));
    }
    pen.round(&lathe(&[(0.44, -0.62), (0.4, -0.3), (0.3, 0.0)]), palette.second);
    pen.round(&lathe(&[(0.48, -0.68), (0.48, -0.52)]), palette.second.lighter(0.15));
}

fn fur(palette: &Palette, brief: &Brief) -> Ink {
    if brief.colour.is_some() {
        return palette.main;
    }
    palette.main.mix([Ink([0.78, 0.5, 0.25]), Ink([0.45, 0.42, 0.42]), Ink([0.6, 0.42, 0.28])][brief.variant % 3], 0.72)
}

fn eyes(pen: &mut Pen<'_>, y: f32, apart: f32, r: f32, iris: Ink, slit: f32) {
    for x in [-apart, apart] {
        pen.flat(&ellipse(x, y, r, r), iris);
        pen.flat(&ellipse(x, y, r * slit, r * 0.9), Ink::BLACK);
        pen.flat(&ellipse(x - r * 0.3, y - r * 0.35, r * 0.24, r * 0.24), Ink::WHITE);
    }
}

pub(super) fn cat(pen: &mut Pen<'_>, palette: &Palette, brief: &Brief) {
    let coat = fur(palette, brief);
    let cream = coat.lighter(0.6);
    pen.line(&curve(&[(0.45, -0.14), (0.85, -0.1), (0.98, -0.42), (0.82, -0.66)]), coat.darker(0.22), 0.17);
    pen.round(&path("M -0.55 0 C -0.78 -0.5 -0.5 -1.05 0 -1.05 C 0.5 -1.05 0.78 -0.5 0.55 0 Z"), coat);
    pen.tall(&ellipse(0.0, -0.5, 0.27, 0.42), cream);
    for x in [-0.22, 0.22] {
        pen.tall(&ellipse(x, -0.1, 0.18, 0.11), cream);
    }
    for way in [-1.0f32, 1.0] {
        let ear = |inner: f32| {
            path(&format!(
                "M {} -1.56 L {} -2 L {} -1.74 Z",
                way * (0.52 - inner * 0.4),
                way * (0.48 - inner * 0.3),
                way * (0.1 + inner)
            ))
        };
        pen.flat(&ear(0.0), coat.darker(0.15));
        pen.flat(
            &path(&format!("M {} -1.6 L {} -1.88 L {} -1.72 Z", way * 0.45, way * 0.44, way * 0.2)),
            Ink([0.9, 0.62, 0.6]),
        );
    }
    pen.ball(&ellipse(0.0, -1.36, 0.58, 0.48), coat);
    for x in [-0.14, 0.0, 0.14] {
        pen.line(&curve(&[(x, -1.8), (x * 0.85, -1.62)]), coat.darker(0.45), 0.05);
    }
    pen.flat(&ellipse(-0.11, -1.18, 0.15, 0.12), cream);
    pen.flat(&ellipse(0.11, -1.18, 0.15, 0.12), cream);
    eyes(pen, -1.42, 0.23, 0.12, Ink([0.62, 0.76, 0.3]), 0.42);
    pen.flat(&path("M -0.07 -1.27 L 0.07 -1.27 L 0 -1.19 Z"), Ink([0.82, 0.42, 0.4]));
    pen.line(&path("M -0.1 -1.11 Q -0.04 -1.09 0 -1.17 Q 0.04 -1.09 0.1 -1.11"), Ink::BLACK, 0.02);
    for way in [-1.0f32, 1.0] {
        for lift in [-0.06, 0.0, 0.06] {
            pen.trace(
                &curve(&[(way * 0.2, -1.17 + lift * 0.4), (way * 0.72, -1.2 + lift * 1.8)]),
                Ink::WHITE,
                0.85,
                0.014,
            );
        }
    }
}

pub(super) fn dog(pen: &mut Pen<'_>, palette: &Palette, brief: &Brief) {
    let coat = fur(palette, brief);
    let cream = coat.lighter(0.62);
    pen.line(&curve(&[(0.45, -0.2), (0.78, -0.4), (0.86, -0.72)]), coat.darker(0.1), 0.15);
    pen.round(&path("M -0.52 0 C -0.72 -0.5 -0.5 -1.1 0 -1.1 C 0.5 -1.1 0.72 -0.5 0.52 0 Z"), coat);
    pen.tall(&ellipse(0.0, -0.56, 0.28, 0.42), cream);
    for x in [-0.24, 0.24] {
        pen.tall(&ellipse(x, -0.1, 0.2, 0.12), cream.darker(0.06));
    }
    pen.ball(&ellipse(0.0, -1.45, 0.5, 0.5), coat);
    pen.flat(&path("M -0.09 -1.94 L 0.09 -1.94 L 0.16 -1.3 L -0.16 -1.3 Z"), cream);
    for way in [-1.0f32, 1.0] {
        let ear = path(&format!(
            "M {0} -1.86 C {1} -1.95 {2} -1.4 {3} -1.08 C {4} -1.02 {5} -1.3 {0} -1.86 Z",
            way * 0.3,
            way * 0.7,
            way * 0.82,
            way * 0.62,
            way * 0.46,
            way * 0.44
        ));
        pen.tall(&ear, coat.darker(0.38));
    }
    pen.tall(&ellipse(0.0, -1.2, 0.28, 0.23), cream);
    eyes(pen, -1.52, 0.2, 0.09, Ink([0.35, 0.2, 0.12]), 0.6);
    pen.ball(&ellipse(0.0, -1.32, 0.12, 0.085), Ink::BLACK);
    pen.line(&path("M -0.16 -1.13 Q -0.06 -1.06 0 -1.14 Q 0.06 -1.06 0.16 -1.13"), Ink::BLACK, 0.022);
    pen.tall(&path("M -0.07 -1.1 Q 0 -1.12 0.07 -1.1 C 0.08 -0.94 -0.08 -0.94 -0.07 -1.1 Z"), Ink([0.9, 0.45, 0.48]));
    pen.line(&path("M -0.4 -1.03 Q 0 -0.88 0.4 -1.03"), palette.accent, 0.08);
    pen.ball(&ellipse(0.0, -0.88, 0.09, 0.09), Ink([0.85, 0.7, 0.3]));
}

pub(super) fn person(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let skin = [Ink([0.95, 0.78, 0.66]), Ink([0.85, 0.63, 0.48]), Ink([0.62, 0.42, 0.3]), Ink([0.42, 0.27, 0.2])]
        [dice.below(4)];
    let hair = [Ink([0.16, 0.11, 0.09]), Ink([0.36, 0.22, 0.12]), Ink([0.72, 0.52, 0.28]), Ink([0.5, 0.2, 0.12])]
        [dice.below(4)];
    let long = dice.coin();
    if long {
        pen.tall(&path("M -0.5 -1.4 C -0.55 -2.1 0.55 -2.1 0.5 -1.4 C 0.52 -1 0.56 -0.8 0.5 -0.66 L -0.5 -0.66 C -0.56 -0.8 -0.52 -1 -0.5 -1.4 Z"), hair.darker(0.2));
    }
    pen.round(
        &path("M -0.95 0 C -0.95 -0.5 -0.7 -0.68 -0.3 -0.74 L 0.3 -0.74 C 0.7 -0.68 0.95 -0.5 0.95 0 Z"),
        palette.main,
    );
    pen.flat(&path("M -0.17 -1.05 L -0.17 -0.76 Q 0 -0.5 0.17 -0.76 L 0.17 -1.05 Z"), skin.darker(0.2));
    pen.trace(&path("M -0.25 -0.75 Q 0 -0.4 0.25 -0.75"), palette.main.darker(0.4), 0.8, 0.05);
    for x in [-0.4, 0.4] {
        pen.flat(&ellipse(x, -1.36, 0.07, 0.11), skin.darker(0.15));
    }
    pen.ball(
        &path(
            "M -0.4 -1.5 C -0.42 -2 0.42 -2 0.4 -1.5 C 0.4 -1.15 0.2 -0.92 0 -0.92 C -0.2 -0.92 -0.4 -1.15 -0.4 -1.5 Z",
        ),
        skin,
    );
    pen.flat(&path("M -0.43 -1.38 C -0.6 -2.12 0.6 -2.12 0.43 -1.38 C 0.42 -1.6 0.3 -1.72 0.12 -1.76 C -0.1 -1.66 -0.4 -1.7 -0.43 -1.38 Z"), hair);
    pen.trace(&curve(&[(-0.3, -1.84), (0.0, -1.93), (0.3, -1.82)]), hair.lighter(0.5), 0.4, 0.05);
    for x in [-0.16, 0.16] {
        pen.flat(&ellipse(x, -1.4, 0.075, 0.045), Ink::WHITE);
        pen.flat(&ellipse(x, -1.4, 0.04, 0.043), palette.second.darker(0.35));
        pen.flat(&ellipse(x, -1.4, 0.02, 0.022), Ink::BLACK);
        pen.line(&curve(&[(x - 0.09, -1.5), (x, -1.53), (x + 0.09, -1.5)]), hair.darker(0.2), 0.03);
        pen.glow((x * 1.5, -1.23), (0.11, 0.08), Ink([0.9, 0.4, 0.35]), 0.4);
    }
    pen.trace(&path("M 0.01 -1.38 Q 0.07 -1.24 0 -1.22"), skin.darker(0.5), 0.7, 0.025);
    pen.line(&path("M -0.13 -1.1 Q 0 -1.02 0.13 -1.1"), Ink([0.7, 0.25, 0.25]), 0.04);
}

pub(super) fn tree(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let crown = palette.main.mix(LEAF, 0.65);
    pen.round(&path("M -0.14 0 Q -0.06 -0.4 -0.1 -1 L 0.1 -1 Q 0.06 -0.4 0.16 0 Z"), Ink([0.4, 0.28, 0.19]));
    pen.line(&curve(&[(0.0, -0.7), (0.3, -1.0)]), Ink([0.38, 0.26, 0.18]), 0.08);
    for (x, y, r) in [
        (-0.45, -1.0, 0.38),
        (0.48, -1.05, 0.4),
        (-0.3, -1.42, 0.42),
        (0.32, -1.45, 0.4),
        (0.0, -1.6, 0.4),
        (0.02, -1.15, 0.46),
    ] {
        pen.ball(&ellipse(x, y, r, r), crown.darker(dice.between(0.0, 0.12)));
    }
    for _ in 0..60 {
        let (angle, r) = (dice.between(0.0, std::f32::consts::TAU), dice.between(0.0, 0.62));
        let at = (r * angle.cos() * 1.1, -1.28 + r * angle.sin() * 0.9);
        pen.veil(&ellipse(at.0, at.1, 0.05, 0.035), crown.lighter(0.45), 0.35);
    }
}
