//! The workflows that ship, on the photos that ship.

use crate::folder::{Folder, photo, repository, workflow};
use crate::picture::Seen;
use std::fs;
use std::path::Path;

/// The logo is at (850, 850) of a picture of 1024×1024, as far as it is opaque.
fn has_the_logo(path: &Path) {
    let (made, logo) = (Seen::read(path), Seen::read(&repository("workflows/media/logo.png")));
    assert_eq!(made.size(), (1_024, 1_024));
    let mut compared = 0;
    for y in 0..logo.height {
        for x in 0..logo.width {
            let want = logo.pixel(x, y);
            if want[3] == 255 {
                let got = made.pixel(850 + x, 850 + y);
                let far = (0..3).any(|channel| got[channel].abs_diff(want[channel]) > 2);
                assert!(!far, "the logo's pixel {x},{y} is {want:?}, the picture has {got:?}");
                compared += 1;
            }
        }
    }
    assert!(compared > 1_000, "the logo has {compared} opaque pixels");
    assert!(made.colors() > 30, "the picture has {} colours", made.colors());
}

#[test]
fn a_product_photo_is_made_from_nothing() {
    let folder = Folder::new();
    let ended = folder.run(&["run", &workflow("product-photo")]).expect(0);
    let ended = ended.says(&["no provider key", "flux-pro", "[1/5] generate", "[5/5] overlay"]);
    ended.prints(&["saved ./output/product-final.png", "1024×1024", "completed 5 · skipped 0 · failed 0"]);
    has_the_logo(&folder.path("output/product-final.png"));
    assert_eq!(folder.names("output"), ["product-final.png"]);
}

#[test]
fn a_product_photo_is_made_from_a_photo_and_the_cup_is_found_in_it() {
    let folder = Folder::new();
    let given = format!("photo={}", photo("coffee.png"));
    folder.run(&["run", &workflow("product-photo"), "-i", &given]).expect(0).says(&["[1/5] generate  skipped"]);
    has_the_logo(&folder.path("output/product-final.png"));

    let shown = folder.run(&["show", "@latest", "--step", "detect", "-o", "json"]).expect(0).json();
    let side = |name: &str| shown["output"]["boxes"][0][name].as_f64().unwrap();
    let (left, top, right, bottom) = (side("x"), side("y"), side("x") + side("w"), side("y") + side("h"));
    let across = |a: (f64, f64), b: (f64, f64)| (a.1.min(b.1) - a.0.max(b.0)).max(0.0);
    let common = across((left, right), (172.0, 408.0)) * across((top, bottom), (18.0, 310.0));
    let overlap = common / (side("w") * side("h") + 236.0 * 292.0 - common);
    assert!(overlap >= 0.35, "the box is ({left},{top})–({right},{bottom}): IoU {overlap:.2}");
}

#[test]
fn every_photo_becomes_a_gray_square_webp() {
    let folder = Folder::new();
    let (pngs, jpgs) = (format!("images=@{}", photo("").clone() + "/*.png"), format!("images=@{}/*.jpg", photo("")));
    let ended = folder.run(&["run", &workflow("web-ready"), "-i", &pngs, "-i", &jpgs]).expect(0);
    ended.says(&["/4] coffee", "→ output/processed/rocket.webp"]).prints(&["completed 4 · skipped 0 · failed 0"]);
    assert_eq!(folder.names("output/processed"), ["astronaut.webp", "chelsea.webp", "coffee.webp", "rocket.webp"]);
    for (name, bytes) in folder.files("output/processed") {
        assert_eq!((&bytes[..4], &bytes[8..12]), (&b"RIFF"[..], &b"WEBP"[..]), "{name}");
        let seen = Seen::decode(&bytes);
        assert_eq!(seen.size(), (800, 800), "{name}");
        assert!(seen.is_gray() && seen.colors() > 8, "{name}");
    }
}

#[test]
fn two_models_and_three_seeds_make_six_pictures_and_a_labelled_sheet() {
    let folder = Folder::new();
    folder.run(&["run", &workflow("logo-fleet")]).expect(0).says(&["flux-dev, flux-pro", "flux-pro · 300"]);
    let files = folder.files("output/logos");
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let models = ["flux-dev", "flux-pro"].into_iter();
    let mut want: Vec<String> = models.flat_map(|m| [100, 200, 300].map(|seed| format!("{m}-{seed}.png"))).collect();
    want.push("sheet.png".into());
    assert_eq!(names, want);
    let pictures: std::collections::BTreeSet<&Vec<u8>> = files.values().collect();
    assert_eq!(pictures.len(), 7, "all differ");
    let sheet = Seen::read(&folder.path("output/logos/sheet.png"));
    assert!(sheet.width > sheet.height && sheet.colors() > 20);
}

#[test]
fn twelve_social_pictures_have_their_aspects() {
    let folder = Folder::new();
    folder.run(&["run", &workflow("marketing-assets")]).expect(0);
    let files = folder.files("output/social");
    assert_eq!(files.len(), 12);
    for (name, bytes) in files {
        let (width, height) = Seen::decode(&bytes).size();
        let aspect = match name.split_once('-').unwrap().1 {
            "1-1.webp" => 1.0,
            "16-9.webp" => 16.0 / 9.0,
            "9-16.webp" => 9.0 / 16.0,
            other => panic!("{other}"),
        };
        assert!((f64::from(width) / f64::from(height) - aspect).abs() < 0.01, "{name}: {width}×{height}");
    }
}

#[test]
fn the_same_parameters_make_the_same_bytes() {
    let (here, there) = (Folder::new(), Folder::new());
    for folder in [&here, &there] {
        folder.run(&["run", &workflow("product-photo")]).expect(0);
    }
    assert_eq!(here.files("output"), there.files("output"));
}

#[test]
fn the_manifest_says_that_a_drawn_picture_is_a_local_preview() {
    let folder = Folder::new();
    folder.run(&["run", &workflow("product-photo")]).expect(0);
    let manifests = folder.files(".darkroom/artifacts/runs");
    let (_, drawn) = manifests.iter().find(|(name, _)| name.contains("generate")).expect("it has a manifest");
    let drawn: serde_json::Value = serde_json::from_slice(drawn).unwrap();
    assert_eq!((drawn["provider"].as_str(), drawn["preview"].as_bool()), (Some("local"), Some(true)));
    assert!(fs::read_dir(folder.path(".darkroom/staging")).is_ok_and(|mut left| left.next().is_none()));
}
