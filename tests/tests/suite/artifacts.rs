//! The artifact store in a local folder.

use darkroom_backend::{ArtifactError, Artifacts, Details};
use darkroom_proto::{Artifact, ErrorClass, RunId, Sha256, StepError, StepPath};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

fn png() -> Details {
    Details {
        media_type: "image/png".into(),
        name: "mug ü.png".into(),
        width: Some(2),
        height: Some(3),
        ..Details::default()
    }
}

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

/// Overwrites the read-only file of an artifact, as a broken disk would.
fn spoil(artifacts: &Artifacts, artifact: &Artifact, bytes: &[u8]) {
    let path = artifacts.path(artifact);
    fs::remove_file(&path).unwrap();
    fs::write(path, bytes).unwrap();
}

#[test]
fn what_is_put_is_got_under_its_digest() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    assert_eq!((artifact.sha256, artifact.bytes, artifact.width), (Sha256::of(b"abc"), 3, Some(2)));
    assert_eq!((artifact.media_type.as_str(), artifact.name.as_str()), ("image/png", "mug ü.png"));
    assert_eq!(artifacts.get(&artifact).unwrap(), b"abc");
    artifacts.verify(&artifact).unwrap();
    let hex = Sha256::of(b"abc").to_string();
    let path = dir.path().canonicalize().unwrap().join("sha256").join(&hex[..2]).join(&hex[2..]);
    assert_eq!(artifacts.path(&artifact), path);
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(files(&dir.path().join("tmp")), 0);
}

#[test]
fn equal_bytes_are_one_file_that_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let first = artifacts.put(b"abc", &png()).unwrap();
    let before = fs::metadata(artifacts.path(&first)).unwrap().modified().unwrap();
    let again = artifacts.put(b"abc", &Details { name: "other.png".into(), ..png() }).unwrap();
    assert_eq!((again.sha256, again.name.as_str()), (first.sha256, "other.png"));
    assert_eq!(fs::metadata(artifacts.path(&again)).unwrap().modified().unwrap(), before);
}

#[test]
fn an_empty_file_is_an_artifact() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let artifact = artifacts.put(b"", &Details::default()).unwrap();
    assert_eq!(artifacts.get(&artifact).unwrap(), b"");
}

#[test]
fn what_is_missing_or_damaged_is_told_apart_and_never_given_out() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    for (name, bytes) in [("longer", &b"abcd"[..]), ("shorter", b"ab"), ("as long", b"abd"), ("empty", b"")] {
        spoil(&artifacts, &artifact, bytes);
        assert!(matches!(artifacts.get(&artifact), Err(ArtifactError::Damaged { .. })), "{name}");
        assert!(matches!(artifacts.verify(&artifact), Err(ArtifactError::Damaged { .. })), "{name}");
    }
    fs::remove_file(artifacts.path(&artifact)).unwrap();
    assert!(matches!(artifacts.verify(&artifact), Err(ArtifactError::Missing { .. })));
    let error = StepError::from(artifacts.get(&artifact).unwrap_err());
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::InvalidInput, "artifact_missing"));
    assert!(!error.advice.is_empty());
}

#[test]
fn a_file_that_was_cut_off_is_put_again() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    spoil(&artifacts, &artifact, b"a");
    artifacts.put(b"abc", &png()).unwrap();
    assert_eq!(artifacts.get(&artifact).unwrap(), b"abc");
}

#[test]
fn a_file_is_streamed_in() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(&dir.path().join("store")).unwrap();
    let bytes: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let from = dir.path().join("large");
    fs::write(&from, &bytes).unwrap();
    for _ in 0..2 {
        let artifact = artifacts.put_file(&from, &png()).unwrap();
        assert_eq!((artifact.sha256, artifact.bytes), (Sha256::of(&bytes), bytes.len() as u64));
        assert_eq!(artifacts.get(&artifact).unwrap(), bytes);
    }
    assert_eq!(files(&dir.path().join("store/tmp")), 0);
    let gone = artifacts.put_file(&dir.path().join("gone"), &png());
    assert!(matches!(gone, Err(ArtifactError::Unavailable { .. })));
}

#[test]
fn the_url_is_absolute_and_encoded() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(&dir.path().join("my störe")).unwrap();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    let url = artifacts.url(&artifact);
    let hex = artifact.sha256.to_string();
    assert!(url.starts_with("file:///"), "{url}");
    assert!(url.ends_with(&format!("/my%20st%C3%B6re/sha256/{}/{}", &hex[..2], &hex[2..])), "{url}");
}

#[test]
fn half_written_files_of_dead_processes_are_removed_and_others_kept() {
    let dir = tempfile::tempdir().unwrap();
    let tmp = dir.path().join("tmp");
    fs::create_dir_all(&tmp).unwrap();
    let mut dead = std::process::Command::new("true").spawn().unwrap();
    dead.wait().unwrap();
    let (of_dead, of_us, odd, old) =
        (format!("{}-0", dead.id()), format!("{}-999", std::process::id()), "odd".to_owned(), "1-old".to_owned());
    for name in [&of_dead, &of_us, &odd, &old] {
        fs::write(tmp.join(name), b"half").unwrap();
    }
    let days_ago = fs::metadata(tmp.join(&old)).unwrap().modified().unwrap() - std::time::Duration::from_secs(200_000);
    fs::File::open(tmp.join(&old)).unwrap().set_modified(days_ago).unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let is_there = |name: &String| tmp.join(name).exists();
    assert_eq!([&of_dead, &of_us, &odd, &old].map(is_there), [false, true, true, false]);
    artifacts.put(b"abc", &png()).unwrap();
}

#[test]
fn a_manifest_is_found_by_step_and_generation_and_is_replaced_by_a_later_one() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let run = RunId::from_bytes([9; 16]);
    let path: StepPath = "branded[3]/resize".parse().unwrap();
    assert_eq!(artifacts.manifest(run, &path, 1).unwrap(), None);
    artifacts.put_run(run, b"{}").unwrap();
    artifacts.put_manifest(run, &path, 1, b"1").unwrap();
    artifacts.put_manifest(run, &path, 1, b"one").unwrap();
    artifacts.put_manifest(run, &path, 2, b"two").unwrap();
    assert_eq!(artifacts.manifest(run, &path, 1).unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(artifacts.manifest(run, &path, 2).unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(artifacts.manifest(run, &StepPath::top("branded"), 1).unwrap(), None);
    assert_eq!(artifacts.run(run).unwrap().as_deref(), Some(&b"{}"[..]));
    assert_eq!(files(&dir.path().join(format!("runs/{run}"))), 3);
}

#[test]
fn many_threads_may_put_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8u8 {
            let artifacts = artifacts.clone();
            scope.spawn(move || {
                for number in 0..20u8 {
                    let artifact = artifacts.put(&[number; 1_000], &png()).unwrap();
                    assert_eq!(artifacts.get(&artifact).unwrap(), [number; 1_000], "thread {thread}");
                }
            });
        }
    });
    assert_eq!(files(&dir.path().join("tmp")), 0);
}

#[test]
fn a_folder_that_can_t_be_made_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Artifacts::open(&file.join("store")), Err(ArtifactError::Unavailable { .. })));
}
