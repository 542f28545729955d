//! The image ops, through messages.

use crate::samples::*;
use crate::store::*;
use darkroom_proto::{Artifact, Duration, ErrorClass};
use darkroom_worker::media::{Color, Layout, Size};
use darkroom_worker::ops;
use serde_json::{Value, json};
use std::sync::atomic::Ordering;

fn size(picture: &darkroom_worker::media::Picture) -> (u32, u32) {
    (picture.width(), picture.height())
}

/// Left half red, right half blue.
fn two_halves(worker: &Worker, width: u32, height: u32) -> Value {
    let mut pixels = Vec::new();
    for _ in 0..height {
        for x in 0..width {
            pixels.extend(if x < width / 2 { [255, 0, 0] } else { [0, 0, 255] });
        }
    }
    let picture = darkroom_worker::media::Picture::new(Size { width, height }, Layout::Rgb, pixels).unwrap();
    worker.files.add("halves.png", &png(&picture)).to_value()
}

#[test]
fn each_fit_gives_its_size_and_outputs_are_named_after_the_input() {
    let worker = Worker::default();
    let image = worker.files.add("coffee.large.jpg", &jpeg(&photo(400, 300))).to_value();
    let cases = [
        (json!({"width": 100}), (100, 75)),
        (json!({"height": 100, "width": null}), (133, 100)),
        (json!({"width": 100, "height": 100}), (100, 100)),
        (json!({"width": 100, "height": 100, "fit": "inside"}), (100, 75)),
        (json!({"width": 100, "height": 100, "fit": "exact"}), (100, 100)),
        (json!({"width": 100, "height": 100, "fit": "pad"}), (100, 100)),
        (json!({"width": 800}), (800, 600)),
        (json!({"width": 800, "enlarge": false}), (400, 300)),
    ];
    for (mut params, want) in cases {
        params["image"] = image.clone();
        let (artifact, picture) = worker.image("image.resize", params.clone());
        assert_eq!(size(&picture), want, "{params}");
        assert_eq!((artifact.name.as_str(), artifact.media_type.as_str()), ("coffee.large.png", "image/png"));
    }
    let error = worker.run("image.resize", json!({"image": image})).unwrap_err();
    assert_eq!(error.class, ErrorClass::MissingParameter);
}

#[test]
fn cover_keeps_what_the_focus_says_and_pad_fills_with_the_background() {
    let worker = Worker::default();
    let image = two_halves(&worker, 200, 100);
    let color = |focus: &str| {
        let params = json!({"image": image, "width": 50, "height": 50, "focus": focus});
        worker.image("image.resize", params).1.pixel(25, 25)
    };
    let (red, blue) = (Color { r: 255, g: 0, b: 0, a: 255 }, Color { r: 0, g: 0, b: 255, a: 255 });
    assert_eq!((color("west"), color("east")), (red, blue));
    assert_eq!(color("auto"), blue, "the context's focus is the bottom right corner");
    let params = json!({"image": image, "width": 100, "height": 100, "fit": "pad", "background": "#00ff00"});
    let (_, padded) = worker.image("image.resize", params);
    assert_eq!((padded.pixel(50, 10), padded.pixel(10, 50)), (Color { r: 0, g: 255, b: 0, a: 255 }, red));
}

#[test]
fn crop_takes_a_box_with_padding_or_a_proportion() {
    let worker = Worker::default();
    let image = two_halves(&worker, 200, 100);
    let crop = |mut params: Value| {
        params["image"] = image.clone();
        worker
            .run("image.crop", params)
            .map(|succeeded| worker.decode(&Artifact::from_value(&succeeded.outputs["image"]).unwrap()))
    };
    let area = json!({"x": 150, "y": 50, "w": 100, "h": 10});
    assert_eq!(size(&crop(json!({"box": area})).unwrap()), (50, 10));
    assert_eq!(size(&crop(json!({"box": area, "padding": 20})).unwrap()), (70, 50));
    let square = crop(json!({"aspect": "1:1", "focus": "west"})).unwrap();
    assert_eq!((size(&square), square.pixel(99, 50).r), ((100, 100), 255));
    assert_eq!(crop(json!({"aspect": "1:1"})).unwrap().pixel(0, 50).b, 255, "`auto` is the default");
    let outside = crop(json!({"box": {"x": 200, "y": 0, "w": 5, "h": 5}})).unwrap_err();
    assert_eq!((outside.class, outside.code.as_str()), (ErrorClass::InvalidInput, "box_outside"));
    assert!(outside.message.contains("200x100") && outside.advice.contains("upright"), "{outside}");
    assert_eq!(crop(json!({})).unwrap_err().class, ErrorClass::MissingParameter);
    assert_eq!(crop(json!({"box": area, "aspect": "1:1"})).unwrap_err().class, ErrorClass::InvalidInput);
    assert_eq!(crop(json!({"aspect": "wide"})).unwrap_err().code, "invalid_aspect");
}

#[test]
fn an_overlay_leans_scales_and_is_clipped() {
    let worker = Worker::default();
    let image = worker.files.add("base.png", &png(&filled(100, 80, "#ffffff"))).to_value();
    let logo = worker.files.add("logo.png", &png(&filled(10, 10, "#ff0000"))).to_value();
    let red_at = |params: Value, x, y| {
        let mut all = json!({"image": image, "overlay": logo});
        all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
        worker.image("image.overlay", all).1.pixel(x, y).g == 0
    };
    assert!(red_at(json!({}), 50, 40), "the middle is the default");
    let corner = json!({"gravity": "south-east", "margin": 5});
    assert!(red_at(corner.clone(), 94, 74) && !red_at(corner, 95, 75));
    assert!(red_at(json!({"x": 95, "y": -5}), 99, 0), "it is clipped");
    assert!(red_at(json!({"x": 0, "y": 0, "scale": 3}), 29, 29));
    let params = json!({"image": image, "overlay": logo, "x": 100, "y": 0});
    let error = worker.run("image.overlay", params).unwrap_err();
    assert_eq!(error.code, "overlay_outside");
    let params = json!({"image": image, "overlay": logo, "x": 100});
    assert_eq!(worker.run("image.overlay", params).unwrap_err().class, ErrorClass::MissingParameter);
}

#[test]
fn encode_writes_each_format_without_the_camera_s_data() {
    let worker = Worker::default();
    let with_place = with_segment(&jpeg(&photo(64, 48)), 0xe1, &exif(6));
    let image = worker.files.add("photo.jpg", &with_place).to_value();
    let cases = [
        (json!({"format": "png"}), "photo.png", "image/png"),
        (json!({"format": "jpeg", "quality": 70}), "photo.jpg", "image/jpeg"),
        (json!({"format": "webp"}), "photo.webp", "image/webp"),
        (json!({"format": "webp", "lossless": true}), "photo.webp", "image/webp"),
    ];
    for (mut params, name, media_type) in cases {
        params["image"] = image.clone();
        let (artifact, picture) = worker.image("image.encode", params);
        assert_eq!((artifact.name.as_str(), artifact.media_type.as_str()), (name, media_type));
        assert_eq!(size(&picture), (48, 64), "upright");
        let bytes = ops::Files::read(&worker.files, &artifact).unwrap();
        assert!(!bytes.windows(3).any(|part| part == b"GPS"), "{name}");
        assert!(!bytes.windows(4).any(|part| part == b"Exif"), "{name}");
    }
    let error = worker.run("image.encode", json!({"image": image, "format": "jpeg", "lossless": true})).unwrap_err();
    assert_eq!(error.class, ErrorClass::InvalidInput);
}

#[test]
fn info_tells_everything_in_the_table() {
    let worker = Worker::default();
    let image = worker.files.add("p.png", &png(&filled(7, 5, "#ff000080")));
    let outputs = worker.run("image.info", json!({"image": image.to_value()})).unwrap().outputs;
    let spec = darkroom_proto::op::find("image.info").unwrap();
    for output in spec.outputs {
        assert!(outputs.contains_key(output.name), "{}", output.name);
    }
    assert_eq!((&outputs["width"], &outputs["height"], &outputs["alpha"]), (&json!(7), &json!(5), &json!(true)));
    assert_eq!((&outputs["frames"], &outputs["profile"]), (&json!(1), &json!("")));
}

#[test]
fn the_next_step_finds_the_pixels_and_the_result_is_the_same_without() {
    let warm = Worker::default();
    let cold = Worker { cache: ops::PixelCache::new(0), ..Worker::default() };
    let chain = |worker: &Worker| {
        let mut image = worker.files.add("a.jpg", &jpeg(&photo(800, 600))).to_value();
        // A whole decode first: it must not change what a reduced one gives after it.
        worker.run("image.grayscale", json!({"image": image})).unwrap();
        for (op, mut params) in [
            ("image.resize", json!({"width": 100, "height": 100})),
            ("image.adjust", json!({"contrast": 1.2, "saturation": 0.8})),
            ("image.grayscale", json!({})),
            ("image.encode", json!({"format": "webp"})),
        ] {
            params["image"] = image;
            image = worker.run(op, params).unwrap().outputs["image"].clone();
        }
        Artifact::from_value(&image).unwrap().sha256
    };
    assert_eq!(chain(&warm), chain(&cold));
    assert_eq!(warm.files.reads.load(Ordering::Relaxed), 2, "the JPEG, whole and reduced");
    assert_eq!(cold.files.reads.load(Ordering::Relaxed), 5);
}

#[test]
fn a_broken_picture_is_named_in_the_error() {
    let worker = Worker::default();
    let whole = png(&photo(64, 48));
    let image = worker.files.add("broken.png", &whole[..whole.len() / 2]).to_value();
    for (op, params) in
        [("image.grayscale", json!({"image": image})), ("image.resize", json!({"image": image, "width": 5}))]
    {
        let error = worker.run(op, params).unwrap_err();
        assert_eq!(error.class, ErrorClass::InvalidInput);
        assert!(error.message.starts_with("broken.png: the PNG picture is truncated"), "{error}");
    }
}

#[test]
fn noop_passes_data_on_and_says_how_long_it_takes() {
    let noop = |params| ops::noop(&message("noop", params)).unwrap();
    let (time, done) = noop(json!({"data": {"a": 1}, "step-time": "20ms"}));
    assert_eq!((time, &done.outputs["data"]), (Duration(20), &json!({"a": 1})));
    let (time, done) = noop(json!({}));
    assert_eq!((time, &done.outputs["data"]), (Duration(0), &Value::Null));
    assert_eq!(noop(json!({"step-time": 1.5})).0, Duration(1_500));
}

#[test]
fn fail_fails_as_often_as_it_says() {
    let worker = Worker::default();
    let params = json!({"class": "server_unavailable", "message": "down", "times": 2, "data": 7});
    let attempt = |attempt| {
        ops::run(&darkroom_proto::StepMessage { attempt, ..message("fail", params.clone()) }, &worker.context())
    };
    for number in [1, 2] {
        let error = attempt(number).unwrap_err();
        assert_eq!((error.class, error.message.as_str()), (ErrorClass::ServerUnavailable, "down"));
    }
    assert_eq!(attempt(3).unwrap().outputs["data"], 7);
    assert_eq!(worker.run("fail", json!({})).unwrap_err().class, ErrorClass::InvalidInput);
    let panicked =
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| worker.run("fail", json!({"class": "panic"}))));
    assert!(panicked.is_err());
}

#[test]
fn every_op_but_noop_runs_here() {
    let worker = Worker::default();
    // `noop` waits without a thread, so the loop of the worker does it.
    for op in darkroom_proto::op::OPS.iter().filter(|op| op.name != "noop" && !op.performed_by_engine()) {
        let code = worker.run(op.name, json!({})).err().map(|error| error.code).unwrap_or_default();
        assert_ne!(code, "unknown_op", "{}", op.name);
    }
}
