//! Pictures that are none, or broken, or too large: told by name, quickly, and the others are done.

use crate::folder::{Folder, photo, workflow};
use std::fs;
use std::time::{Duration, Instant};

/// A PNG that says that it is 65535×65535, and is 1 KiB long.
fn gigantic() -> Vec<u8> {
    let mut png = fs::read(photo("coffee.png")).unwrap();
    png.truncate(1_024);
    png[16..20].copy_from_slice(&65_535u32.to_be_bytes());
    png[20..24].copy_from_slice(&65_535u32.to_be_bytes());
    let checksum = crc32(&png[12..29]);
    png[29..33].copy_from_slice(&checksum.to_be_bytes());
    png
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| if sum & 1 == 1 { (sum >> 1) ^ 0xedb8_8320 } else { sum >> 1 })
    })
}

fn filled() -> Folder {
    let folder = Folder::new();
    let coffee = fs::read(photo("coffee.png")).unwrap();
    folder.write("in/1-good.png", &coffee);
    folder.write("in/2-truncated.png", &coffee[..coffee.len() / 2]);
    folder.write("in/3-text.png", "this is no picture at all, whatever its name says\n");
    folder.write("in/4-empty.png", "");
    folder.write("in/5-gigantic.png", gigantic());
    folder.copy_photo("rocket.jpg", "in/6-mislabelled.png");
    folder
}

#[test]
fn bad_pictures_of_a_batch_fail_by_name_and_the_others_are_done() {
    let folder = filled();
    let ended = folder.run(&["run", &workflow("web-ready"), "-i", "images=@in/*"]).expect(6);
    let ended = ended.never_says(&["panicked", "backtrace", "WARN"]);
    assert!(ended.out.contains("completed 2 · skipped 0 · failed 4"), "{ended}");
    assert_eq!(folder.names("output/processed"), ["1-good.webp", "6-mislabelled.webp"]);
    for name in ["2-truncated.png", "3-text.png", "4-empty.png", "5-gigantic.png"] {
        let told: Vec<&str> = ended.err.lines().filter(|line| line.contains(name)).collect();
        assert_eq!(told.len(), 1, "{name} is told once: {ended}");
    }
    let json = folder.run(&["show", "@latest", "-o", "json"]).expect(0).json();
    for item in json["steps"][0]["steps"].as_array().unwrap().iter().filter(|item| item["status"] == "failed") {
        let error = &item["error"];
        assert!(error["advice"].as_str().is_some_and(|advice| advice.len() > 10), "{item}");
        assert_eq!(error["retryable"], false, "{item}");
    }
}

#[test]
fn a_bad_picture_fails_a_single_run_at_the_step_that_opens_it() {
    for bad in ["2-truncated.png", "3-text.png", "4-empty.png", "5-gigantic.png"] {
        let folder = filled();
        let given = format!("photo=in/{bad}");
        let began = Instant::now();
        let ended = folder.run(&["run", &workflow("product-photo"), "-i", &given]);
        let took = began.elapsed();
        assert!(ended.code == 1 || ended.code == 2, "{ended}");
        let ended = ended.says(&[bad, "help:"]).never_says(&["panicked", "backtrace"]);
        assert!(took < Duration::from_secs(5), "{bad} took {took:?}: {ended}");
        assert!(folder.names("output").is_empty());
    }
}

#[test]
fn a_file_that_is_no_picture_is_told_for_an_image_input() {
    let folder = filled();
    folder.write("in/notes.txt", "a shopping list");
    let ended = folder.run(&["run", &workflow("product-photo"), "-i", "photo=in/notes.txt"]);
    assert!(ended.code == 1 || ended.code == 2, "{ended}");
    ended.says(&["notes.txt", "help:"]);
}
