//! What `detect` and `focus` find in real photographs and in pictures made from them.

use crate::placements::{CUP, Canvas, Cut, Dice, LEFT, OVERLAP_MIN, RIGHT, TOP, found, iou, paste, photo, placements};
use darkroom_proto::BoxPx;
use darkroom_worker::local::{DetectOptions, detect, focus};
use image::{Rgb, RgbImage};

fn best(picture: &RgbImage) -> Option<BoxPx> {
    detect(picture, DetectOptions::default()).first().map(|detection| detection.bounds)
}

fn contains(outer: BoxPx, inner: BoxPx) -> bool {
    outer.x <= inner.x
        && outer.y <= inner.y
        && outer.x + outer.w >= inner.x + inner.w
        && outer.y + outer.h >= inner.y + inner.h
}

fn area_share(bounds: BoxPx, picture: &RgbImage) -> f32 {
    bounds.w as f32 * bounds.h as f32 / (picture.width() as f32 * picture.height() as f32)
}

#[test]
fn the_cup_is_found_in_its_photograph() {
    let bounds = best(&photo("coffee.png")).unwrap();
    assert!(iou(bounds, CUP) >= OVERLAP_MIN, "{bounds:?}");
}

#[test]
fn the_face_of_the_cat_is_in_its_box() {
    let picture = photo("chelsea.png");
    let bounds = best(&picture).unwrap();
    assert!(contains(bounds, BoxPx { x: 95, y: 65, w: 245, h: 220 }), "{bounds:?}");
    assert!(area_share(bounds, &picture) < 0.75, "{bounds:?}");
}

#[test]
fn the_face_of_the_astronaut_is_in_its_box() {
    let picture = photo("astronaut.png");
    let bounds = best(&picture).unwrap();
    assert!(contains(bounds, BoxPx { x: 170, y: 70, w: 110, h: 115 }), "{bounds:?}");
    assert!(area_share(bounds, &picture) < 0.5, "{bounds:?}");
}

#[test]
fn the_cup_is_found_wherever_it_is_put() {
    let cases = [
        ("plain white", Canvas::Plain([255, 255, 255]), Cut::Cup),
        ("plain blue", Canvas::Plain([60, 110, 170]), Cut::Saucer),
        ("the photograph's own table", Canvas::Tiled(RIGHT, 1.0), Cut::Cup),
        ("the photograph's own table, stretched", Canvas::Stretched(TOP, 0.8), Cut::Ellipse),
        ("dark planks", Canvas::Drawn([80, 50, 32]), Cut::Margin(18)),
        ("light planks", Canvas::Drawn([205, 165, 115]), Cut::Box),
    ];
    for (name, canvas, cut) in cases {
        let count = found(&placements(canvas, cut, 20), best);
        assert!(count >= 18, "{name}: {count} of 20");
    }
}

/// Otherwise the tests above would prove nothing.
#[test]
fn a_box_that_stays_in_place_does_not_find_the_cup() {
    let placements = placements(Canvas::Tiled(RIGHT, 1.0), Cut::Cup, 20);
    for part in [0.2, 0.35, 0.5, 0.8, 1.0] {
        let centre = |picture: &RgbImage| {
            let (w, h) = (picture.width() as f32, picture.height() as f32);
            Some(BoxPx {
                x: (w * (1.0 - part) / 2.0) as u32,
                y: (h * (1.0 - part) / 2.0) as u32,
                w: (w * part) as u32,
                h: (h * part) as u32,
            })
        };
        let count = found(&placements, centre);
        assert!(count < 9, "a box of {part} finds {count} of 20");
    }
}

#[test]
fn the_box_moves_grows_and_turns_with_the_object() {
    let coffee = photo("coffee.png");
    for (scale, flip, at) in
        [(0.3, false, (0.1, 0.1)), (0.3, true, (0.9, 0.9)), (1.0, false, (0.05, 0.9)), (1.0, true, (0.95, 0.1))]
    {
        let mut picture = Canvas::Tiled(LEFT, 1.0).make(&coffee, 1600, 1200, 1);
        let truth = paste(&mut picture, &coffee, Cut::Cup, scale, flip, at);
        let bounds = best(&picture).unwrap();
        assert!(iou(bounds, truth) >= 0.5, "{scale} {flip} {at:?}: {bounds:?} for {truth:?}");
    }
}

#[test]
fn the_focus_lies_on_the_object() {
    for (picture, truth) in placements(Canvas::Tiled(RIGHT, 0.8), Cut::Saucer, 10) {
        let (x, y) = focus(&picture);
        let (x, y) = ((x * picture.width() as f32) as u32, (y * picture.height() as f32) as u32);
        assert!(contains(truth, BoxPx { x, y, w: 1, h: 1 }), "{x} {y} for {truth:?}");
    }
}

#[test]
fn a_plain_picture_has_nothing_in_it() {
    for colour in [[255, 255, 255], [0, 0, 0], [200, 60, 50], [128, 128, 128]] {
        let picture = RgbImage::from_pixel(640, 480, Rgb(colour));
        assert_eq!(detect(&picture, DetectOptions { max: 9, min_score: 0.0 }), []);
        assert_eq!(focus(&picture), (0.5, 0.5));
    }
}

#[test]
fn noise_and_bare_wood_have_nothing_clear_in_them() {
    let mut dice = Dice(3);
    let noise = RgbImage::from_fn(640, 480, |_, _| Rgb([0; 3].map(|_: u8| dice.below(256) as u8)));
    let wood = Canvas::Drawn([150, 95, 55]).make(&photo("coffee.png"), 1600, 1200, 2);
    for (name, picture) in [("noise", noise), ("wood", wood)] {
        let found = detect(&picture, DetectOptions { max: 9, min_score: 0.25 });
        assert_eq!(found, [], "{name}");
    }
}

#[test]
fn tiny_and_thin_pictures_are_no_trouble() {
    for (width, height) in [(1, 1), (2, 3), (1, 900), (900, 1), (7, 7)] {
        let picture = RgbImage::from_fn(width, height, |x, y| Rgb([(x * 40) as u8, (y * 40) as u8, 9]));
        for detection in detect(&picture, DetectOptions { max: 9, min_score: 0.0 }) {
            let bounds = detection.bounds;
            assert!(bounds.x + bounds.w <= width && bounds.y + bounds.h <= height, "{width}x{height} {bounds:?}");
        }
        let (x, y) = focus(&picture);
        assert!((0.0..=1.0).contains(&x) && (0.0..=1.0).contains(&y));
    }
}

#[test]
fn no_more_boxes_are_given_than_asked_for_and_none_under_the_score() {
    let picture = photo("rocket.jpg");
    assert!(detect(&picture, DetectOptions { max: 0, min_score: 0.0 }).is_empty());
    let two = detect(&picture, DetectOptions { max: 2, min_score: 0.0 });
    assert!(two.len() <= 2);
    let clear = detect(&picture, DetectOptions { max: 50, min_score: 0.3 });
    assert!(clear.iter().all(|detection| detection.score >= 0.3 && detection.score <= 1.0));
}
