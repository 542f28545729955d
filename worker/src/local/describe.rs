//! Saying what can be measured of a picture.

use super::detect::{DetectOptions, detect};
use super::thumbnail::Thumbnail;
use image::RgbImage;

/// What is said of a picture: its size, its light, its colours, and where the eye goes. What it *shows* is not known here.
pub fn describe(picture: &RgbImage) -> String {
    let (width, height) = (picture.width(), picture.height());
    let shape = match (f64::from(width) / f64::from(height.max(1)), width == height) {
        (_, true) => "square",
        (ratio, _) if ratio > 1.0 => "wide",
        _ => "tall",
    };
    let thumbnail = Thumbnail::of(picture);
    let count = thumbnail.lab.len().max(1) as f32;
    let mean = thumbnail.lab.iter().map(|lab| lab[0]).sum::<f32>() / count;
    let spread = (thumbnail.lab.iter().map(|lab| (lab[0] - mean).powi(2)).sum::<f32>() / count).sqrt();
    let light = match mean {
        ..25.0 => "dark",
        25.0..45.0 => "rather dark",
        45.0..65.0 => "of middle light",
        65.0..82.0 => "light",
        _ => "very light",
    };
    let contrast = match spread {
        ..8.0 => "little contrast",
        8.0..20.0 => "some contrast",
        _ => "strong contrast",
    };
    let colours = colours(&thumbnail);
    let mut text =
        format!("A {shape} picture of {width}x{height} pixels, {light}, with {contrast}, mostly {}.", joined(&colours));
    match detect(picture, DetectOptions { max: 1, min_score: 0.2 }).first() {
        Some(found) => {
            let bounds = found.bounds;
            let middle = |start: u32, length: u32, side: u32| {
                (f64::from(start) + f64::from(length) / 2.0) / f64::from(side.max(1))
            };
            let third = |at: f64, words: [&'static str; 3]| words[((at * 3.0) as usize).min(2)];
            let across = third(middle(bounds.x, bounds.w, width), ["on the left", "", "on the right"]);
            let down = third(middle(bounds.y, bounds.h, height), ["at the top", "", "at the bottom"]);
            let place = match (down, across) {
                ("", "") => "in the middle".to_owned(),
                ("", place) | (place, "") => place.to_owned(),
                (down, across) => format!("{down} {across}"),
            };
            let share = f64::from(bounds.w) * f64::from(bounds.h) / (f64::from(width) * f64::from(height)).max(1.0);
            let percent = (share * 100.0).round().max(1.0);
            text.push_str(&format!(" What strikes the eye lies {place} and takes up about {percent} % of it."));
        }
        None => text.push_str(" Nothing in it strikes the eye."),
    }
    text
}

/// The commonest colours, the first the most; at most three, and only what covers a twelfth of the picture.
fn colours(thumbnail: &Thumbnail) -> Vec<&'static str> {
    let mut counts: Vec<(&'static str, usize)> = Vec::new();
    for lab in &thumbnail.lab {
        let name = name(*lab);
        match counts.iter_mut().find(|(known, _)| *known == name) {
            Some((_, count)) => *count += 1,
            None => counts.push((name, 1)),
        }
    }
    // Stable: what is equally common stays in the order in which it was seen.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let least = thumbnail.lab.len() / 12;
    let common = counts.iter().enumerate().filter(|(at, (_, count))| *at == 0 || *count > least);
    common.take(3).map(|(_, (name, _))| *name).collect()
}

/// What people call a colour.
fn name([l, a, b]: [f32; 3]) -> &'static str {
    if a.hypot(b) < 9.0 {
        return match l {
            ..18.0 => "black",
            18.0..45.0 => "dark grey",
            45.0..75.0 => "grey",
            75.0..92.0 => "light grey",
            _ => "white",
        };
    }
    match b.atan2(a).to_degrees().rem_euclid(360.0) {
        hue @ (20.0..75.0) if l < 50.0 && a.hypot(b) < 50.0 => {
            if l < 30.0 || hue > 35.0 {
                "brown"
            } else {
                "red"
            }
        }
        15.0..40.0 => "red",
        40.0..75.0 => {
            if a.hypot(b) < 28.0 {
                "beige"
            } else {
                "orange"
            }
        }
        75.0..105.0 => {
            if l < 55.0 {
                "brown"
            } else {
                "yellow"
            }
        }
        105.0..170.0 => "green",
        170.0..230.0 => "turquoise",
        230.0..300.0 => "blue",
        300.0..330.0 => "violet",
        _ => "pink",
    }
}

fn joined(names: &[&str]) -> String {
    match names {
        [] => "nothing".to_owned(),
        [one] => (*one).to_owned(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use image::Rgb;

    #[test]
    fn colours_are_called_what_people_call_them() {
        let cases = [
            ([255, 255, 255], "white"),
            ([0, 0, 0], "black"),
            ([128, 128, 128], "grey"),
            ([220, 30, 30], "red"),
            ([120, 75, 40], "brown"),
            ([240, 140, 30], "orange"),
            ([250, 225, 60], "yellow"),
            ([40, 150, 60], "green"),
            ([40, 80, 200], "blue"),
            ([40, 180, 180], "turquoise"),
        ];
        for (rgb, want) in cases {
            let said = describe(&RgbImage::from_pixel(40, 20, Rgb(rgb)));
            assert!(said.contains(&format!("mostly {want}.")), "{rgb:?}: {said}");
            assert!(said.starts_with("A wide picture of 40x20 pixels"), "{said}");
        }
    }
}
