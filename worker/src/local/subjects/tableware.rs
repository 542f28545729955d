//! Things to eat and drink from, and to eat.

use crate::local::dice::Dice;
use crate::local::ink::Ink;
use crate::local::palette::Palette;
use crate::local::pen::{Pen, curve, ellipse, lathe, path, rounded};
use crate::local::prompt::Brief;

const COFFEE: Ink = Ink([0.27, 0.15, 0.08]);

pub(super) fn mug(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let main = palette.main;
    let taper = dice.between(0.0, 0.14);
    pen.line(&path("M 0.58 -1.2 C 1.2 -1.32 1.2 -0.28 0.52 -0.34"), main.darker(0.3), 0.2);
    pen.trace(&path("M 0.62 -1.22 C 1.14 -1.28 1.16 -0.36 0.56 -0.38"), main.lighter(0.3), 0.5, 0.06);
    let body = lathe(&[
        (0.66, -1.5),
        (0.66 - taper * 0.4, -0.8),
        (0.62 - taper, -0.16),
        (0.57 - taper, -0.05),
        (0.46 - taper, 0.0),
    ]);
    pen.round(&body, main);
    match dice.below(3) {
        0 => {
            pen.shade(
                &path("M -0.645 -0.98 Q 0 -0.84 0.645 -0.98 L 0.63 -0.72 Q 0 -0.58 -0.63 -0.72 Z"),
                (-0.64, 0.0),
                (0.64, 0.0),
                &[(0.0, palette.second), (0.25, palette.second.lighter(0.3)), (1.0, palette.second.darker(0.4))],
            );
        }
        1 => {
            for (x, y) in [(-0.3, -0.95), (0.05, -0.6), (0.34, -1.0), (-0.32, -0.38), (0.32, -0.3), (0.02, -1.16)] {
                pen.flat(&ellipse(x, y, 0.075, 0.085), palette.second.lighter(0.35));
            }
        }
        _ => {}
    }
    pen.flat(&ellipse(0.0, -1.5, 0.67, 0.17), main.lighter(0.3));
    pen.shade(
        &ellipse(0.0, -1.49, 0.59, 0.13),
        (-0.6, 0.0),
        (0.6, 0.0),
        &[(0.0, main.darker(0.5)), (1.0, main.lighter(0.1))],
    );
    pen.flat(&ellipse(0.0, -1.46, 0.54, 0.1), COFFEE);
    pen.veil(&ellipse(-0.12, -1.475, 0.3, 0.045), Ink([0.72, 0.5, 0.3]), 0.6);
    pen.trace(&curve(&[(-0.46, -1.2), (-0.46, -0.75), (-0.42, -0.3)]), Ink::WHITE, 0.42, 0.07);
    if pen.detail {
        for (x, lean) in [(-0.18, 0.1), (0.12, -0.08)] {
            let steam = curve(&[(x, -1.6), (x + lean, -1.72), (x - lean, -1.85), (x + lean * 0.6, -1.98)]);
            pen.trace(&steam, Ink::WHITE, 0.3, 0.05);
        }
    }
}

pub(super) fn teapot(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let main = palette.main;
    let plump = dice.between(0.68, 0.82);
    pen.line(&path("M -0.5 -1.05 C -1.3 -1.3 -1.25 -0.15 -0.5 -0.35"), main.darker(0.25), 0.15);
    pen.trace(&path("M -0.54 -1.1 C -1.24 -1.26 -1.2 -0.2 -0.54 -0.4"), main.lighter(0.4), 0.5, 0.04);
    pen.tall(
        &path("M 0.4 -0.28 C 0.86 -0.36 0.78 -0.94 1.2 -1.18 L 1.04 -1.28 C 0.66 -1.1 0.62 -0.8 0.4 -0.78 Z"),
        main.darker(0.12),
    );
    pen.ball(&lathe(&[(0.34, -1.2), (0.6, -1.02), (plump, -0.6), (0.58, -0.18), (0.38, 0.0)]), main);
    pen.flat(&lathe(&[(0.4, -0.05), (0.44, 0.0)]), main.darker(0.45));
    let band = dice.coin();
    if band {
        for (at, x) in [-0.5f32, -0.25, 0.0, 0.25, 0.5].into_iter().enumerate() {
            let y = -0.56 + 0.1 * (1.0 - x * x * 2.0);
            let dot = if at % 2 == 0 { palette.second.lighter(0.4) } else { Ink::WHITE };
            pen.flat(&ellipse(x, y, 0.07, 0.08), dot);
        }
    } else {
        pen.trace(
            &curve(&[(-plump * 0.97, -0.68), (0.0, -0.52), (plump * 0.97, -0.68)]),
            palette.second.lighter(0.4),
            0.9,
            0.07,
        );
    }
    pen.round(&path("M -0.4 -1.17 C -0.34 -1.42 0.34 -1.42 0.4 -1.17 Q 0 -1.05 -0.4 -1.17 Z"), main.lighter(0.08));
    pen.trace(&path("M -0.4 -1.17 Q 0 -1.05 0.4 -1.17"), main.darker(0.6), 0.7, 0.025);
    pen.ball(&ellipse(0.0, -1.43, 0.11, 0.1), palette.second);
    pen.glow((-0.3, -0.84), (0.2, 0.24), Ink::WHITE, 0.55);
}

pub(super) fn bottle(pen: &mut Pen<'_>, palette: &Palette, dice: &mut Dice) {
    let main = palette.main;
    let (wide, shoulder) = (dice.between(0.4, 0.54), dice.between(-1.3, -1.1));
    let body = lathe(&[
        (0.15, -1.82),
        (0.15, -1.55),
        (0.2, -1.42),
        (wide * 0.9, shoulder),
        (wide, shoulder + 0.25),
        (wide, -0.12),
        (wide * 0.9, 0.0),
    ]);
    pen.round(&body, main);
    pen.round(&rounded(-0.18, -2.0, 0.36, 0.26, 0.05), palette.second.darker(0.2));
    let label =
        path(&format!("M {0} -0.86 Q 0 -0.8 {1} -0.86 L {1} -0.3 Q 0 -0.24 {0} -0.3 Z", -wide * 0.98, wide * 0.98));
    pen.shade(
        &label,
        (-wide, 0.0),
        (wide, 0.0),
        &[(0.0, Ink::WHITE.darker(0.1)), (0.25, Ink::WHITE), (1.0, Ink::WHITE.darker(0.35))],
    );
    pen.flat(&ellipse(0.0, -0.62, 0.12, 0.12), palette.second);
    for (y, half) in [(-0.42, 0.22), (-0.36, 0.14)] {
        pen.line(&curve(&[(-half, y), (half, y)]), palette.second.darker(0.5), 0.02);
    }
    pen.trace(&curve(&[(-wide * 0.68, -1.02), (-wide * 0.68, -0.2)]), Ink::WHITE, 0.45, 0.06);
    pen.trace(&curve(&[(-0.08, -1.7), (-0.09, -1.5)]), Ink::WHITE, 0.5, 0.04);
}

/// The shape for whatever has no shape of its own: a vase with a twig, its form chosen by the prompt's words.
pub(super) fn vase(pen: &mut Pen<'_>, palette: &Palette, brief: &Brief, dice: &mut Dice) {
    let main = palette.main;
    let profiles: [&[(f32, f32)]; 4] = [
        &[(0.26, -1.4), (0.16, -1.24), (0.3, -1.0), (0.58, -0.6), (0.5, -0.18), (0.3, 0.0)],
        &[(0.34, -1.4), (0.28, -1.2), (0.42, -0.9), (0.5, -0.5), (0.42, -0.12), (0.36, 0.0)],
        &[(0.18, -1.4), (0.14, -1.1), (0.2, -0.86), (0.6, -0.5), (0.56, -0.16), (0.34, 0.0)],
        &[(0.5, -1.4), (0.44, -1.1), (0.34, -0.6), (0.3, -0.2), (0.34, 0.0)],
    ];
    let profile = profiles[brief.variant / 4 % profiles.len()];
    let mouth = profile[0].0;
    let stems = 3 + dice.below(3);
    for stem in 0..stems {
        let lean = (stem as f32 - (stems - 1) as f32 / 2.0) * 0.26 + dice.between(-0.06, 0.06);
        let tip = (lean * 1.4, dice.between(-1.98, -1.76));
        pen.line(&curve(&[(lean * 0.3, -1.36), (lean, -1.6), tip]), Ink([0.3, 0.45, 0.26]), 0.035);
        if brief.variant.is_multiple_of(2) {
            for petal in 0..6 {
                let angle = petal as f32 * 1.047;
                pen.flat(
                    &ellipse(tip.0 + 0.08 * angle.cos(), tip.1 + 0.08 * angle.sin(), 0.065, 0.065),
                    palette.accent.lighter(0.15),
                );
            }
            pen.flat(&ellipse(tip.0, tip.1, 0.05, 0.05), Ink([0.95, 0.8, 0.35]));
        } else {
            for leaf in 0..4 {
                let part = 0.35 + 0.2 * leaf as f32;
                let (x, y) = (lean * (0.6 + 0.8 * part), -1.4 + (tip.1 + 1.4) * part);
                let side = if leaf % 2 == 0 { 0.1 } else { -0.1 };
                pen.flat(&ellipse(x + side, y - 0.03, 0.1, 0.045), Ink([0.36, 0.55, 0.32]));
            }
        }
    }
    pen.round(&lathe(profile), main);
    pen.flat(&ellipse(0.0, -1.4, mouth, mouth * 0.2), main.lighter(0.25));
    pen.flat(&ellipse(0.0, -1.39, mouth * 0.82, mouth * 0.14), main.darker(0.6));
    let belly = profile
        .iter()
        .copied()
        .fold((0.0, 0.0), |best: (f32, f32), at| if at.0 > best.0 && at.1 > -1.3 { at } else { best });
    pen.trace(
        &curve(&[(-belly.0 * 0.97, belly.1), (0.0, belly.1 + 0.1), (belly.0 * 0.97, belly.1)]),
        palette.second.lighter(0.3),
        0.85,
        0.05,
    );
    pen.trace(
        &curve(&[(-belly.0 * 0.94, belly.1 + 0.1), (0.0, belly.1 + 0.2), (belly.0 * 0.94, belly.1 + 0.1)]),
        palette.second.lighter(0.3),
        0.6,
        0.02,
    );
    pen.glow((-belly.0 * 0.5, belly.1 - 0.06), (0.1, 0.28), Ink::WHITE, 0.6);
}

pub(super) fn fruit(pen: &mut Pen<'_>, palette: &Palette, brief: &Brief) {
    let skin = if brief.colour.is_some() { palette.main } else { palette.main.mix(Ink([0.8, 0.16, 0.12]), 0.7) };
    let apple = path(
        "M 0 -1.3 C 0.3 -1.55 1 -1.42 0.92 -0.75 C 0.86 -0.2 0.5 0.06 0.2 0 C 0.08 -0.04 -0.08 -0.04 -0.2 0 \
         C -0.5 0.06 -0.86 -0.2 -0.92 -0.75 C -1 -1.42 -0.3 -1.55 0 -1.3 Z",
    );
    pen.ball(&apple, skin);
    pen.glow((0.4, -0.4), (0.5, 0.45), skin.mix(Ink([0.95, 0.75, 0.25]), 0.7), 0.45);
    pen.glow((0.0, -1.28), (0.34, 0.12), skin.darker(0.7), 0.6);
    pen.line(&curve(&[(0.0, -1.27), (0.02, -1.5), (0.12, -1.72)]), Ink([0.36, 0.24, 0.15]), 0.07);
    pen.tall(
        &path("M 0.06 -1.5 C 0.2 -1.86 0.55 -1.86 0.74 -1.66 C 0.55 -1.46 0.25 -1.4 0.06 -1.5 Z"),
        Ink([0.36, 0.6, 0.24]),
    );
    pen.trace(&curve(&[(0.08, -1.51), (0.4, -1.64), (0.68, -1.66)]), Ink([0.2, 0.4, 0.15]), 0.7, 0.02);
    pen.glow((-0.45, -1.0), (0.18, 0.26), Ink::WHITE, 0.8);
}

pub(super) fn bread(pen: &mut Pen<'_>, dice: &mut Dice) {
    let crust = Ink::hsl(dice.between(24.0, 34.0), 0.6, dice.between(0.42, 0.52));
    let loaf = path(
        "M -1.05 -0.3 C -1.15 -0.95 -0.6 -1.1 0 -1.1 C 0.6 -1.1 1.15 -0.95 1.05 -0.3 C 1 0.02 0.7 0 0 0 C -0.7 0 -1 0.02 -1.05 -0.3 Z",
    );
    pen.tall(&loaf, crust);
    pen.glow((-0.3, -0.85), (0.7, 0.25), Ink([1.0, 0.9, 0.7]), 0.5);
    for x in [-0.6, -0.2, 0.2, 0.6] {
        let cut = path(&format!(
            "M {} -0.5 Q {} -0.85 {} -0.98 Q {} -0.72 {} -0.5 Z",
            x - 0.14,
            x - 0.06,
            x + 0.16,
            x + 0.12,
            x - 0.14
        ));
        pen.flat(&cut, Ink([0.95, 0.84, 0.62]));
        pen.trace(&cut, crust.darker(0.4), 0.5, 0.02);
    }
    for _ in 0..40 {
        let (x, y) = (dice.between(-0.85, 0.85), dice.between(-0.95, -0.4));
        pen.veil(&ellipse(x, y, 0.02, 0.012), Ink::WHITE, 0.55);
    }
}
