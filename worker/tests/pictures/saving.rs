//! Saving under an output folder.

use crate::samples::*;
use crate::store::*;
use darkroom_proto::{Artifact, SaveTarget, StepError, Succeeded};
use darkroom_worker::media::{Limits, read_info};
use darkroom_worker::ops;
use serde_json::json;
use std::path::Path;

fn save(worker: &Worker, artifact: &Artifact, path: &str, out: &Path) -> Result<Succeeded, StepError> {
    let message = message("save", json!({"file": artifact.to_value(), "path": path}));
    ops::run(&saving(message, path, Some(out)), &worker.context())
}

fn is_empty(folder: &Path) -> bool {
    std::fs::read_dir(folder).unwrap().next().is_none()
}

#[test]
fn the_extension_decides_the_format_and_an_equal_one_keeps_the_bytes() {
    let worker = Worker::default();
    let out = tempfile::tempdir().unwrap();
    let original = png(&photo(64, 48));
    let artifact = worker.files.add("mug.png", &original);
    let cases = [
        ("a/b/mug.jpg", "image/jpeg"),
        ("mug.JPEG", "image/jpeg"),
        ("./mug.webp", "image/webp"),
        ("mug.png", "image/png"),
        ("kept/", "image/png"),
    ];
    for (path, media_type) in cases {
        let succeeded = save(&worker, &artifact, path, out.path()).unwrap();
        let saved = succeeded.saved.unwrap();
        let bytes = std::fs::read(out.path().join(&saved.path)).unwrap();
        assert_eq!(read_info(&bytes, &Limits::default()).unwrap().format.media_type(), media_type, "{path}");
        assert_eq!(saved.artifact.bytes, bytes.len() as u64, "{path}");
        assert_eq!(bytes == original, media_type == "image/png", "{path}");
        assert_eq!(succeeded.outputs["path"], json!(saved.path), "{path}");
        assert_eq!(Artifact::from_value(&succeeded.outputs["file"]), Some(saved.artifact), "{path}");
    }
    assert!(out.path().join("kept/mug.png").exists());
    assert!(is_empty(worker.staging.path()), "nothing is left behind");
}

#[test]
fn paths_that_leave_the_folder_write_nothing() {
    let worker = Worker::default();
    let parent = tempfile::tempdir().unwrap();
    let out = parent.path().join("out");
    let artifact = worker.files.add("mug.png", &png(&photo(8, 8)));
    let absolute = parent.path().join("absolute.png");
    for path in ["../mug.png", "a/../../mug.png", absolute.to_str().unwrap(), ".."] {
        assert_eq!(save(&worker, &artifact, path, &out).unwrap_err().code, "invalid_path", "{path}");
    }
    assert!(is_empty(parent.path()));
}

#[test]
#[cfg(unix)]
fn links_are_not_followed_out_of_the_folder() {
    let worker = Worker::default();
    let (out, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let artifact = worker.files.add("mug.png", &png(&photo(8, 8)));
    std::os::unix::fs::symlink(elsewhere.path(), out.path().join("away")).unwrap();
    assert_eq!(save(&worker, &artifact, "away/mug.png", out.path()).unwrap_err().code, "invalid_path");
    assert_eq!(save(&worker, &artifact, "away/deeper/mug.png", out.path()).unwrap_err().code, "invalid_path");
    assert!(is_empty(elsewhere.path()));

    // A link in the file's own place is replaced.
    let target = elsewhere.path().join("precious.png");
    std::fs::write(&target, b"precious").unwrap();
    std::os::unix::fs::symlink(&target, out.path().join("mug.png")).unwrap();
    save(&worker, &artifact, "mug.png", out.path()).unwrap();
    assert_eq!(std::fs::read(&target).unwrap(), b"precious");

    // A link that stays inside is fine.
    std::fs::create_dir(out.path().join("real")).unwrap();
    std::os::unix::fs::symlink(out.path().join("real"), out.path().join("alias")).unwrap();
    save(&worker, &artifact, "alias/mug.png", out.path()).unwrap();
    assert!(out.path().join("real/mug.png").exists());
}

#[test]
fn an_unknown_extension_of_a_picture_names_the_known_ones() {
    let worker = Worker::default();
    let out = tempfile::tempdir().unwrap();
    let picture = worker.files.add("mug.png", &png(&photo(8, 8)));
    for path in ["mug.bmp", "mug", "mug.gif"] {
        let error = save(&worker, &picture, path, out.path()).unwrap_err();
        assert_eq!(error.code, "unknown_extension", "{path}");
        assert!(error.advice.contains(".png, .jpg, .jpeg or .webp"), "{error}");
    }
    let text = Artifact { media_type: "text/plain".into(), ..worker.files.add("notes.txt", b"hello") };
    save(&worker, &text, "notes.anything", out.path()).unwrap();
    assert_eq!(std::fs::read(out.path().join("notes.anything")).unwrap(), b"hello");
}

#[test]
fn any_step_can_save_its_output_and_without_a_folder_it_is_only_recorded() {
    let worker = Worker::default();
    let out = tempfile::tempdir().unwrap();
    let image = worker.files.add("mug.png", &png(&photo(64, 48)));
    let message = message("image.resize", json!({"image": image.to_value(), "width": 32}));
    let succeeded = ops::run(&saving(message.clone(), "small.webp", Some(out.path())), &worker.context()).unwrap();
    let saved = succeeded.saved.unwrap();
    assert_eq!((saved.artifact.media_type.as_str(), saved.artifact.width), ("image/webp", Some(32)));
    assert!(out.path().join("small.webp").exists());
    assert_eq!(succeeded.outputs["image"]["media_type"], "image/png", "what flows on is not the saved copy");

    let recorded = ops::run(&saving(message, "small.png", None), &worker.context()).unwrap();
    assert_eq!(recorded.saved.unwrap().path, "small.png");
    let noop = crate::store::message("noop", json!({"data": 1}));
    assert!(ops::run(&saving(noop, "x.png", None), &worker.context()).is_err());
}

#[test]
fn a_folder_in_the_way_is_an_error_and_an_older_file_is_replaced() {
    let worker = Worker::default();
    let out = tempfile::tempdir().unwrap();
    let (old, new) = (worker.files.add("a.png", &png(&photo(8, 8))), worker.files.add("a.png", &png(&photo(9, 9))));
    save(&worker, &old, "a.png", out.path()).unwrap();
    save(&worker, &new, "a.png", out.path()).unwrap();
    assert_eq!(std::fs::read(out.path().join("a.png")).unwrap().len() as u64, new.bytes);
    std::fs::create_dir(out.path().join("folder.png")).unwrap();
    assert_eq!(save(&worker, &new, "folder.png", out.path()).unwrap_err().code, "save_failed");
    assert_eq!(save(&worker, &new, "a.png/b.png", out.path()).unwrap_err().code, "save_failed");
    let target = SaveTarget { path: "b.png".into(), out: Some(out.path().to_str().unwrap().into()) };
    let saved = ops::place(&new, &target, &worker.context()).unwrap();
    assert_eq!(saved.artifact, new);
}

#[test]
#[cfg(target_os = "linux")]
fn a_staging_folder_on_another_file_system_will_do() {
    // Memory is a file system of its own on Linux. Where it is not, a rename is tested here, which does no harm.
    let Ok(memory) = tempfile::tempdir_in("/dev/shm") else { return };
    let worker = Worker { staging: memory, ..Worker::default() };
    let parent = tempfile::tempdir().unwrap();
    let artifact = worker.files.add("mug.png", &png(&photo(8, 8)));
    save(&worker, &artifact, "mug.png", &parent.path().join("out")).unwrap();
    assert_eq!(std::fs::read(parent.path().join("out/mug.png")).unwrap().len() as u64, artifact.bytes);
    assert!(is_empty(worker.staging.path()));
    assert_eq!(std::fs::read_dir(parent.path()).unwrap().count(), 1, "nothing but the output folder");
}
