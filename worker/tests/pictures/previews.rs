//! What the local provider stands in with for models: pictures, films and speech.

use crate::samples::{filled, png};
use crate::store::{Worker, message};
use darkroom_proto::{Artifact, Duration, ErrorClass, StepError};
use darkroom_worker::media::{Layout, Picture, Size, Sound};
use darkroom_worker::ops;
use darkroom_worker::program::{Call, Program, Programs};
use serde_json::{Value, json};
use std::ffi::OsString;

/// The photographs, and where in them something is that belongs to the subject.
const PHOTOS: [(&str, (u32, u32)); 4] = [
    ("coffee.png", (290, 150)),
    ("chelsea.png", (210, 170)),
    ("astronaut.png", (225, 120)),
    ("rocket.jpg", (320, 200)),
];

fn photo(worker: &Worker, name: &str) -> Value {
    let path = format!("{}/../photos/{name}", env!("CARGO_MANIFEST_DIR"));
    worker.files.add(name, &std::fs::read(&path).unwrap()).to_value()
}

fn size(picture: &Picture) -> (u32, u32) {
    (picture.width(), picture.height())
}

/// Mean difference per sample, 0..255.
fn difference(one: &Picture, other: &Picture) -> f64 {
    assert_eq!(size(one), size(other));
    let (one, other) = (one.to_layout(Layout::Rgb), other.to_layout(Layout::Rgb));
    let sum: u64 = one.pixels().iter().zip(other.pixels()).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.bytes() as f64
}

/// How far light and shade of two pictures go together, -1..1.
fn likeness(one: &Picture, other: &Picture) -> f64 {
    let lights = |picture: &Picture| -> Vec<f64> {
        picture.to_layout(Layout::Gray).pixels().iter().map(|light| f64::from(*light)).collect()
    };
    let (one, other) = (lights(one), lights(other));
    let mean = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let (one_mean, other_mean) = (mean(&one), mean(&other));
    let (mut both, mut one_square, mut other_square) = (0.0, 0.0, 0.0);
    for (a, b) in one.iter().zip(&other) {
        both += (a - one_mean) * (b - other_mean);
        one_square += (a - one_mean).powi(2);
        other_square += (b - other_mean).powi(2);
    }
    both / (one_square * other_square).sqrt()
}

#[test]
fn edits_and_styles_can_be_seen_and_repeated_and_what_is_on_the_picture_can_still_be_told() {
    let prompts = [
        "standing in neon rain, photorealistic, 4k",
        "at night",
        "in deep snow",
        "a warm sunset",
        "make it red",
        "something quite different",
        "",
    ];
    let styles = ["ukiyo-e woodblock print", "oil painting", "pencil sketch", "whatever comes"];
    let cases =
        prompts.map(|prompt| ("image.edit", prompt)).into_iter().chain(styles.map(|style| ("image.style", style)));
    let worker = Worker::default();
    let image = photo(&worker, "chelsea.png");
    let was = worker.decode(&Artifact::from_value(&image).unwrap());
    let mut made: Vec<(String, Picture)> = Vec::new();
    for (op, prompt) in cases {
        let params = json!({"image": image, "prompt": prompt, "seed": 3});
        let (first, picture) = worker.image(op, params.clone());
        let (again, _) = worker.image(op, params);
        assert_eq!(first.sha256, again.sha256, "{op} {prompt}");
        assert_eq!((size(&picture), first.name.as_str()), (size(&was), "chelsea.png"), "{op} {prompt}");
        let changed = difference(&was, &picture);
        assert!(changed > 6.0, "{op} {prompt}: it differs by {changed}");
        let alike = likeness(&was, &picture);
        assert!(alike > 0.6, "{op} {prompt}: alike by {alike}");
        for (other, earlier) in &made {
            let apart = difference(earlier, &picture);
            assert!(apart > 2.0, "{prompt} and {other} differ by {apart}");
        }
        made.push((format!("{op} {prompt}"), picture));
    }
}

#[test]
fn seeds_strength_and_masks_are_heeded() {
    let worker = Worker::default();
    let image = photo(&worker, "coffee.png");
    let was = worker.decode(&Artifact::from_value(&image).unwrap());
    for op in ["image.edit", "image.style"] {
        let made = |params: Value| {
            let mut all = json!({"image": image, "prompt": "a night in the city"});
            all.as_object_mut().unwrap().extend(params.as_object().unwrap().clone());
            worker.image(op, all).1
        };
        assert!(difference(&made(json!({"seed": 1})), &made(json!({"seed": 2}))) > 0.5, "{op}: the seed");
        let (none, some, all) =
            (made(json!({"strength": 0})), made(json!({"strength": 0.4})), made(json!({"strength": 1})));
        assert_eq!(difference(&was, &none), 0.0, "{op}");
        assert!(difference(&was, &some) * 1.5 < difference(&was, &all), "{op}");
    }
    let mut mask = vec![0u8; 600 * 400];
    for row in mask.chunks_exact_mut(600) {
        row[300..].fill(255);
    }
    let mask = Picture::new(was.size(), Layout::Gray, mask).unwrap();
    let mask = worker.files.add("mask.png", &png(&mask)).to_value();
    let params = json!({"image": image, "prompt": "at night", "mask": mask});
    let (_, masked) = worker.image("image.edit", params);
    assert_eq!(masked.pixel(100, 200), was.pixel(100, 200), "black in the mask stays");
    assert_ne!(masked.pixel(450, 200), was.pixel(450, 200), "white in the mask changes");
}

#[test]
fn an_edit_comes_in_the_proportion_and_size_that_is_asked_for() {
    let worker = Worker::default();
    let image = photo(&worker, "coffee.png");
    let cases = [
        (json!({}), (600, 400)),
        (json!({"aspect": "1:1"}), (400, 400)),
        (json!({"aspect": "1:1", "width": 512}), (512, 512)),
        (json!({"width": 300}), (300, 200)),
        (json!({"width": 300, "height": 300}), (300, 300)),
    ];
    for (mut params, want) in cases {
        params["image"] = image.clone();
        params["prompt"] = json!("warm");
        assert_eq!(size(&worker.image("image.edit", params.clone()).1), want, "{params}");
    }
    let params = json!({"image": image, "prompt": "warm", "aspect": "1:1", "width": 100, "height": 100});
    assert_eq!(worker.run("image.edit", params).unwrap_err().class, ErrorClass::InvalidInput);
    let cases = [
        (json!({"aspect": "16:9"}), (1_368, 768)),
        (json!({"aspect": "1:1"}), (1_024, 1_024)),
        (json!({"aspect": "9:16", "width": 360}), (360, 640)),
        (json!({"aspect": "2:1", "height": 200}), (400, 200)),
    ];
    for (mut params, want) in cases {
        params["prompt"] = json!("a mug");
        assert_eq!(size(&worker.image("image.generate", params.clone()).1), want, "{params}");
    }
}

#[test]
fn upscaling_enlarges_keeps_opacity_and_has_a_limit() {
    let worker = Worker::default();
    let image = photo(&worker, "coffee.png");
    let (twice, picture) = worker.image("image.upscale", json!({"image": image}));
    assert_eq!(size(&picture), (1_200, 800));
    assert_eq!(worker.image("image.upscale", json!({"image": image})).0.sha256, twice.sha256);
    let plain = worker.image("image.resize", json!({"image": image, "width": 1_200})).1;
    assert!(difference(&plain, &picture) > 0.1, "edges are raised");
    assert!(likeness(&plain, &picture) > 0.98);
    assert_eq!(size(&worker.image("image.upscale", json!({"image": image, "factor": 1.5})).1), (900, 600));
    let clear = worker.files.add("clear.png", &png(&filled(20, 10, "#ff000080"))).to_value();
    assert_eq!(worker.image("image.upscale", json!({"image": clear})).1.pixel(10, 10).a, 0x80);
    let large = worker.files.add("large.png", &png(&filled(4_000, 3_000, "#808080"))).to_value();
    let error = worker.run("image.upscale", json!({"image": large, "factor": 8})).unwrap_err();
    assert_eq!(error.class, ErrorClass::TooLarge, "{error}");
    assert!(error.message.contains("8 times 4000x3000") && error.advice.contains("factor"), "{error}");
    let error = worker.run("image.upscale", json!({"image": large, "factor": 9})).unwrap_err();
    assert_eq!(error.class, ErrorClass::InvalidInput, "{error}");
}

#[test]
fn without_background_the_subject_is_solid_and_a_plain_background_gone() {
    let worker = Worker::default();
    for (name, subject) in PHOTOS {
        let params = json!({"image": photo(&worker, name)});
        let (artifact, picture) = worker.image("image.remove-background", params.clone());
        assert_eq!((artifact.media_type.as_str(), picture.layout().has_alpha()), ("image/png", true), "{name}");
        assert_eq!(picture.pixel(subject.0, subject.1).a, 255, "{name}: the subject");
        let clear = picture.pixels().chunks_exact(4).filter(|pixel| pixel[3] == 0).count();
        let share = clear as f64 / picture.size().pixels() as f64;
        assert!((0.2..0.95).contains(&share), "{name}: {share} is gone");
        assert_eq!(worker.image("image.remove-background", params).0.sha256, artifact.sha256, "{name}");
    }
    // The cup on white, its own picture cut out by a circle.
    let coffee = worker.decode(&Artifact::from_value(&photo(&worker, "coffee.png")).unwrap());
    let mut pixels = vec![250u8; 600 * 500 * 3];
    for y in 0..230u32 {
        for x in 0..230u32 {
            if (f64::from(x) - 115.0).hypot(f64::from(y) - 115.0) < 112.0 {
                let color = coffee.pixel(175 + x, 50 + y);
                let at = (((y + 130) * 600 + x + 190) * 3) as usize;
                pixels[at..at + 3].copy_from_slice(&[color.r, color.g, color.b]);
            }
        }
    }
    let plain = Picture::new(Size { width: 600, height: 500 }, Layout::Rgb, pixels);
    let image = worker.files.add("cup.png", &png(&plain.unwrap())).to_value();
    let (_, picture) = worker.image("image.remove-background", json!({"image": image}));
    for (x, y) in [(0, 0), (599, 0), (0, 499), (599, 499), (300, 60), (120, 245), (300, 440)] {
        assert_eq!(picture.pixel(x, y).a, 0, "the background at {x},{y}");
    }
    for (x, y) in [(305, 245), (260, 200), (340, 300)] {
        assert_eq!(picture.pixel(x, y).a, 255, "the cup at {x},{y}");
    }
}

#[test]
fn a_description_says_what_is_measured_and_does_not_pretend_to_answer() {
    let worker = Worker::default();
    let say =
        |params: Value| worker.run("image.describe", params).unwrap().outputs["text"].as_str().unwrap().to_owned();
    let image = photo(&worker, "coffee.png");
    let plain = say(json!({"image": image}));
    assert!(plain.contains("600x400") && plain.contains("brown"), "{plain}");
    let asked = say(json!({"image": image, "prompt": "is it hot?"}));
    assert!(asked.contains("is it hot?") && asked.contains("can only say") && asked.ends_with(&plain), "{asked}");
}

#[test]
fn what_has_no_effect_is_noted_and_refused_where_the_step_is_strict() {
    let worker = Worker::default();
    let image = photo(&worker, "coffee.png");
    let params = json!({"image": image, "prompt": "warm", "steps": 20, "images": [image]});
    let notes = worker.run("image.edit", params.clone()).unwrap().notes;
    assert_eq!(notes, ["the local preview ignores `steps`", "the local preview ignores `images`"]);
    let mut strict = params;
    strict["strict"] = json!(true);
    let error = worker.run("image.edit", strict).unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::ModelNotFound, "strict"), "{error}");
    assert!(worker.run("image.edit", json!({"image": image, "prompt": "warm", "strict": true})).is_ok());
}

/// The frames of a film, decoded.
fn frames(worker: &Worker, video: &Artifact) -> Vec<Vec<u8>> {
    let bytes = ops_read(worker, video);
    let arguments = ["-loglevel", "error", "-i", "pipe:0", "-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"];
    let call = Call {
        program: Program::Ffmpeg,
        arguments: arguments.map(OsString::from).to_vec(),
        time_max: std::time::Duration::from_secs(60),
        output_bytes_max: 1 << 30,
    };
    let raw = worker.programs.call(&call, |to| to.write_all(&bytes)).unwrap();
    let frame = (video.width.unwrap() * video.height.unwrap() * 3) as usize;
    assert_eq!(raw.len() % frame, 0);
    raw.chunks_exact(frame).map(<[u8]>::to_vec).collect()
}

fn ops_read(worker: &Worker, artifact: &Artifact) -> Vec<u8> {
    use darkroom_worker::ops::Files as _;
    worker.files.read(artifact).unwrap()
}

fn apart(one: &[u8], other: &[u8]) -> f64 {
    let sum: u64 = one.iter().zip(other).map(|(a, b)| u64::from(a.abs_diff(*b))).sum();
    sum as f64 / one.len() as f64
}

fn video(worker: &Worker, params: Value) -> Result<Artifact, StepError> {
    let succeeded = worker.run("video.generate", params)?;
    Ok(Artifact::from_value(&succeeded.outputs["video"]).unwrap())
}

#[test]
fn a_film_moves_over_its_picture_begins_to_play_at_once_and_is_the_same_every_time() {
    let worker = Worker::default();
    let image = photo(&worker, "coffee.png");
    let params = json!({"image": image, "prompt": "zoom in", "duration": "1s"});
    let film = video(&worker, params.clone()).unwrap();
    assert_eq!(film.sha256, video(&worker, params).unwrap().sha256);
    assert_eq!((film.name.as_str(), film.media_type.as_str()), ("coffee.mp4", "video/mp4"));
    assert_eq!((film.width, film.height, film.duration), (Some(600), Some(400), Some(1.0)));
    let bytes = ops_read(&worker, &film);
    let place = |name: &[u8]| bytes.windows(4).position(|window| window == name).unwrap();
    assert!(place(b"moov") < place(b"mdat"), "what a player needs first stands first");
    let frames = frames(&worker, &film);
    assert_eq!(frames.len(), 24);
    let was = worker.decode(&Artifact::from_value(&image).unwrap());
    assert!(apart(&frames[0], was.pixels()) < 6.0, "it begins with the picture: {}", apart(&frames[0], was.pixels()));
    assert!(apart(&frames[0], &frames[23]) > 6.0, "it moves: {}", apart(&frames[0], &frames[23]));
    assert_eq!(std::fs::read_dir(worker.staging.path()).unwrap().count(), 0, "nothing is left over");
}

#[test]
fn a_film_has_the_proportion_that_is_asked_for_comes_without_a_picture_too_and_ends_with_the_last_one() {
    let worker = Worker::default();
    let drawn = video(&worker, json!({"prompt": "a boat on the sea", "duration": "250ms"})).unwrap();
    assert_eq!((drawn.width, drawn.height, drawn.duration), (Some(1_280), Some(720), Some(0.25)));
    assert_eq!(drawn.name, "shot.mp4", "it is named after the step");
    let image = photo(&worker, "rocket.jpg");
    let last = photo(&worker, "coffee.png");
    let params = json!({
        "image": image, "last-frame": last, "prompt": "pan left", "duration": "500ms", "aspect": "9:16", "seed": 4,
    });
    let film = video(&worker, params).unwrap();
    let (width, height) = (film.width.unwrap(), film.height.unwrap());
    assert!((f64::from(width) / f64::from(height) - 9.0 / 16.0).abs() < 0.02, "{width}x{height}");
    let frames = frames(&worker, &film);
    let want = worker.image("image.resize", json!({"image": last, "width": width, "height": height})).1;
    let end = apart(&frames[11], want.pixels());
    assert!(end < 12.0, "the last frame differs by {end}");
}

#[test]
fn films_have_limits_and_clear_errors() {
    let worker = Worker::default();
    let image = photo(&worker, "coffee.png");
    for duration in ["61s", "0ms"] {
        let error = video(&worker, json!({"image": image, "prompt": "zoom in", "duration": duration})).unwrap_err();
        assert_eq!(error.class, ErrorClass::InvalidInput, "{error}");
    }
    let bare = Worker { programs: Programs::on("/nowhere"), ..Worker::default() };
    let error = video(&bare, json!({"prompt": "zoom in"})).unwrap_err();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::WorkflowError, "ffmpeg_missing"), "{error}");
    assert!(error.advice.contains("apt-get install ffmpeg"), "{error}");
    let params = json!({"image": image, "prompt": "zoom in", "duration": "60s"});
    let hasty = darkroom_proto::StepMessage { timeout: Duration(200), ..message("video.generate", params) };
    let error = ops::run(&hasty, &worker.context()).unwrap_err();
    assert_eq!(error.class, ErrorClass::Timeout, "{error}");
    assert_eq!(std::fs::read_dir(worker.staging.path()).unwrap().count(), 0, "nothing is left over");
}

/// A search path with links to some programs alone.
fn only(programs: &[Program]) -> (tempfile::TempDir, Programs) {
    let folder = tempfile::tempdir().unwrap();
    for program in programs {
        let file = Programs::installed().find(*program).unwrap();
        std::os::unix::fs::symlink(file, folder.path().join(program.name())).unwrap();
    }
    let path = folder.path().as_os_str().to_owned();
    (folder, Programs::on(path))
}

fn speech(worker: &Worker, params: Value) -> (Artifact, Vec<u8>, Vec<String>) {
    let succeeded = worker.run("audio.speech", params).unwrap();
    let audio = Artifact::from_value(&succeeded.outputs["audio"]).unwrap();
    let bytes = ops_read(worker, &audio);
    (audio, bytes, succeeded.notes)
}

const SENTENCE: &str = "Every journey starts with a light that somebody keeps burning.";

#[test]
fn speech_is_sound_of_the_length_that_it_says() {
    let worker = Worker::default();
    let (audio, bytes, notes) = speech(&worker, json!({"text": SENTENCE, "format": "wav"}));
    let sound = Sound::from_wav(&bytes).unwrap();
    assert!((sound.seconds() - audio.duration.unwrap()).abs() < 0.001);
    assert!((2.0..8.0).contains(&sound.seconds()), "{} s", sound.seconds());
    assert!(sound.samples.iter().any(|sample| sample.unsigned_abs() > 3_000), "it can be heard");
    assert_eq!((audio.media_type.as_str(), audio.name.as_str(), notes.len()), ("audio/wav", "shot.wav", 0));
    assert_eq!(speech(&worker, json!({"text": SENTENCE, "format": "wav"})).0.sha256, audio.sha256);
    let (fast, ..) = speech(&worker, json!({"text": SENTENCE, "format": "wav", "speed": 2}));
    assert!(fast.duration.unwrap() < audio.duration.unwrap() * 0.75);
    let (compressed, bytes, _) = speech(&worker, json!({"text": SENTENCE}));
    assert_eq!((compressed.media_type.as_str(), compressed.name.as_str()), ("audio/mpeg", "shot.mp3"));
    assert!(bytes[0] == 0xff && bytes[1] & 0xe0 == 0xe0, "it begins with a frame");
    assert_eq!(speech(&worker, json!({"text": SENTENCE})).0.sha256, compressed.sha256);
}

#[test]
fn without_the_programs_speech_is_a_tone_and_says_so() {
    let mut worker = Worker { programs: Programs::on("/nowhere"), ..Worker::default() };
    let (tone, bytes, notes) = speech(&worker, json!({"text": SENTENCE}));
    assert_eq!(tone.media_type, "audio/wav");
    assert!(notes[0].contains("espeak-ng") && notes[1].contains("ffmpeg"), "{notes:?}");
    assert!((2.0..10.0).contains(&Sound::from_wav(&bytes).unwrap().seconds()));
    let (_folder, programs) = only(&[Program::Ffmpeg]);
    worker.programs = programs;
    let (tone, _, notes) = speech(&worker, json!({"text": SENTENCE}));
    assert_eq!((tone.media_type.as_str(), notes.len()), ("audio/mpeg", 1));
}

#[test]
fn text_is_spoken_and_never_a_command_and_other_models_voices_are_passed_over() {
    let worker = Worker::default();
    let marker = worker.staging.path().join("marker");
    let text = format!("$(touch {0}); `touch {0}`; --stdout -v de -f /etc/passwd", marker.display());
    let (audio, ..) = speech(&worker, json!({"text": text, "format": "wav"}));
    assert!(audio.duration.unwrap() > 3.0 && !marker.exists());
    let (_, _, notes) = speech(&worker, json!({"text": "Hello.", "voice": "alloy"}));
    assert_eq!(notes, ["the local preview ignores `voice`"]);
    let (_, _, notes) = speech(&worker, json!({"text": "Guten Tag.", "voice": "de"}));
    assert_eq!(notes, [""; 0]);
    let error = worker.run("audio.speech", json!({"text": "Hi.", "voice": "alloy", "strict": true})).unwrap_err();
    assert_eq!(error.code, "strict", "{error}");
    for text in ["", " \n", "…!?"] {
        let error = worker.run("audio.speech", json!({"text": text})).unwrap_err();
        assert_eq!(error.code, "nothing_to_say", "{text:?}: {error}");
    }
    let error = worker.run("audio.speech", json!({"text": "a".repeat(20_001)})).unwrap_err();
    assert_eq!(error.class, ErrorClass::InvalidInput);
}
