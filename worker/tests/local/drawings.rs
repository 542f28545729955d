//! What `draw` draws.

use crate::placements::iou;
use darkroom_worker::local::{DetectOptions, Drawing, detect, draw, draw_with_subject};
use image::RgbImage;

const PROMPTS: [&str; 8] = [
    "A product photo of a coffee mug on a wooden table",
    "a minimalist logo for a bakery",
    "spring collection on a bright table, hero shot",
    "a tea pot",
    "a cat on a linen cloth",
    "a red car in the evening",
    "storm over the sea",
    "portrait of a woman, detail",
];

fn drawing(prompt: &str, seed: u64) -> Drawing<'_> {
    Drawing { prompt, negative: "", seed, width: 384, height: 384, model: "flux-dev" }
}

/// Mean difference per channel, 0..255.
fn difference(one: &RgbImage, other: &RgbImage) -> f64 {
    let sum: u64 = one.as_raw().iter().zip(other.as_raw()).map(|(one, other)| u64::from(one.abs_diff(*other))).sum();
    sum as f64 / one.as_raw().len() as f64
}

#[test]
fn the_same_parameters_draw_the_same_bytes() {
    for prompt in PROMPTS {
        assert_eq!(draw(&drawing(prompt, 42)).as_raw(), draw(&drawing(prompt, 42)).as_raw(), "{prompt}");
    }
}

#[test]
fn other_seeds_models_and_prompts_draw_clearly_other_pictures() {
    for prompt in PROMPTS {
        let first = draw(&drawing(prompt, 100));
        for seed in [200, 300] {
            let other = difference(&first, &draw(&drawing(prompt, seed)));
            assert!(other > 3.0, "{prompt}: seed {seed} differs by {other}");
        }
        let model = difference(&first, &draw(&Drawing { model: "flux-pro", ..drawing(prompt, 100) }));
        assert!(model > 3.0, "{prompt}: the model differs by {model}");
    }
    for pair in PROMPTS.windows(2) {
        let other = difference(&draw(&drawing(pair[0], 1)), &draw(&drawing(pair[1], 1)));
        assert!(other > 5.0, "{pair:?} differ by {other}");
    }
}

/// Flat pictures have hardly any edges or colours, noise has edges everywhere and does not compress.
#[test]
fn a_drawing_is_neither_flat_nor_noise() {
    for prompt in PROMPTS {
        let picture = draw(&drawing(prompt, 7));
        let light = |x: u32, y: u32| picture.get_pixel(x, y).0.iter().map(|c| i32::from(*c)).sum::<i32>() / 3;
        let mut edges = 0;
        let mut histogram = [0u32; 64];
        for y in 1..picture.height() {
            for x in 1..picture.width() {
                if (light(x, y) - light(x - 1, y)).abs() + (light(x, y) - light(x, y - 1)).abs() > 24 {
                    edges += 1;
                }
                histogram[(light(x, y) / 4) as usize] += 1;
            }
        }
        let count = f64::from((picture.width() - 1) * (picture.height() - 1));
        let density = f64::from(edges) / count;
        let entropy: f64 =
            histogram.iter().filter(|n| **n > 0).map(|n| f64::from(*n) / count).map(|p| -p * p.log2()).sum();
        assert!((0.004..0.2).contains(&density), "{prompt}: edge density {density}");
        assert!((0.8..5.9).contains(&entropy), "{prompt}: entropy {entropy}");
        let mut jpeg = Vec::new();
        image::codecs::jpeg::JpegEncoder::new_with_quality(&mut jpeg, 85).encode_image(&picture).unwrap();
        let share = jpeg.len() as f64 / picture.as_raw().len() as f64;
        assert!((0.008..0.12).contains(&share), "{prompt}: a JPEG of {share} of the raw size");
    }
}

#[test]
fn the_subject_that_was_drawn_is_found() {
    let mut found = 0;
    for prompt in PROMPTS {
        for seed in 0..5 {
            let (picture, subject) = draw_with_subject(&drawing(prompt, seed));
            let best = detect(&picture, DetectOptions::default());
            if best.first().is_some_and(|best| iou(best.bounds, subject) >= 0.4) {
                found += 1;
            }
        }
    }
    assert!(found >= 38, "{found} of 40");
}

#[test]
fn a_named_colour_is_the_subjects_colour() {
    for (colour, channel) in [("red", 0), ("green", 1), ("blue", 2)] {
        let prompt = format!("a {colour} bottle");
        let (picture, subject) = draw_with_subject(&drawing(&prompt, 5));
        let pixel = picture.get_pixel(subject.x + subject.w / 2, subject.y + subject.h * 9 / 20).0;
        let rest = (0..3).filter(|other| *other != channel).map(|other| pixel[other]).max().unwrap();
        assert!(pixel[channel] > rest, "{colour}: {pixel:?}");
    }
}

#[test]
fn the_size_is_what_was_asked_for_and_does_not_change_the_composition() {
    for (width, height) in [(1, 1), (64, 900), (900, 64), (512, 288), (288, 512)] {
        let (picture, subject) = draw_with_subject(&Drawing { width, height, ..drawing("a shoe", 3) });
        assert_eq!((picture.width(), picture.height()), (width, height));
        assert!(subject.x + subject.w <= width && subject.y + subject.h <= height, "{width}x{height}: {subject:?}");
    }
    let (_, small) = draw_with_subject(&drawing("a shoe", 3));
    let (_, large) = draw_with_subject(&Drawing { width: 768, height: 768, ..drawing("a shoe", 3) });
    assert!(large.x.abs_diff(small.x * 2) <= 2 && large.w.abs_diff(small.w * 2) <= 2, "{small:?} {large:?}");
}
