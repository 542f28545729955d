//! The artifact store in a local folder and in a bucket.

use darkroom_backend::{ArtifactError, Artifacts};
use darkroom_proto::{ErrorClass, StepError};
use darkroom_tests::artifacts_conformance;
use darkroom_tests::conformance::artifacts::{FolderPlace, Place as _, png};
use darkroom_tests::servers::free_port;
use darkroom_tests::servers::s3::{BUCKET, S3, shared_s3};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

artifacts_conformance!(folder, FolderPlace::new());
artifacts_conformance!(bucket, shared_s3().place());

/// Well over what a server that refuses, or is not there, takes to be told; well under a minute.
const QUICK: Duration = Duration::from_secs(15);

fn files(dir: &Path) -> usize {
    fs::read_dir(dir).unwrap().count()
}

#[test]
fn a_kept_file_is_read_only_and_nothing_half_written_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    let hex = artifact.sha256.to_string();
    let path = dir.path().canonicalize().unwrap().join("sha256").join(&hex[..2]).join(&hex[2..]);
    assert_eq!(artifacts.path(&artifact).as_ref(), Some(&path));
    assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, 0o444);
    assert_eq!(files(&dir.path().join("tmp")), 0);
}

#[test]
fn equal_bytes_are_one_file_that_is_not_written_again() {
    let dir = tempfile::tempdir().unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let modified = |artifact| fs::metadata(artifacts.path(artifact).unwrap()).unwrap().modified().unwrap();
    let first = artifacts.put(b"abc", &png()).unwrap();
    let before = modified(&first);
    let again = artifacts.put(b"abc", &png()).unwrap();
    assert_eq!(modified(&again), before);
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
    let days_ago = fs::metadata(tmp.join(&old)).unwrap().modified().unwrap() - Duration::from_secs(200_000);
    fs::File::open(tmp.join(&old)).unwrap().set_modified(days_ago).unwrap();
    let artifacts = Artifacts::open(dir.path()).unwrap();
    let is_there = |name: &String| tmp.join(name).exists();
    assert_eq!([&of_dead, &of_us, &odd, &old].map(is_there), [false, true, true, false]);
    artifacts.put(b"abc", &png()).unwrap();
}

#[test]
fn a_folder_that_can_t_be_made_is_unavailable() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, b"").unwrap();
    assert!(matches!(Artifacts::open(&file.join("store")), Err(ArtifactError::Unavailable { .. })));
}

#[test]
fn a_bucket_has_no_local_files() {
    let place = shared_s3().place();
    let artifacts = place.open();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    assert_eq!(artifacts.path(&artifact), None);
}

#[test]
fn a_bucket_without_a_prefix_is_a_store_too() {
    let artifacts = Artifacts::open_url_with(&format!("s3://{BUCKET}/"), shared_s3().variables()).unwrap();
    let bytes = format!("{} {}", std::process::id(), "without a prefix");
    let artifact = artifacts.put(bytes.as_bytes(), &png()).unwrap();
    assert_eq!(artifacts.get(&artifact).unwrap(), bytes.as_bytes());
    assert!(artifacts.url(&artifact).starts_with(&format!("s3://{BUCKET}/sha256/")), "{}", artifacts.url(&artifact));
}

/// Every call on a store that can't be used, and what each says.
fn refusals(url: &str, variables: Vec<(String, String)>) -> Vec<ArtifactError> {
    let secrets: Vec<String> =
        variables.iter().filter(|(name, _)| name.contains("SECRET")).map(|(_, value)| value.clone()).collect();
    let artifacts = Artifacts::open_url_with(url, variables).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file().set_len((16 << 20) + 1).unwrap();
    let known = shared_s3().place().open().put(b"abc", &png()).unwrap();
    let run = darkroom_proto::RunId::from_bytes([9; 16]);
    let began = Instant::now();
    let refused = vec![
        artifacts.put(b"abc", &png()).unwrap_err(),
        artifacts.put_file(file.path(), &png()).unwrap_err(),
        artifacts.get(&known).unwrap_err(),
        artifacts.verify(&known).unwrap_err(),
        artifacts.put_run(run, b"{}").unwrap_err(),
        artifacts.run(run).unwrap_err(),
    ];
    assert!(began.elapsed() < QUICK * refused.len() as u32, "{:?}", began.elapsed());
    for said in refused.iter().map(|error| format!("{error} {error:?}")).chain([format!("{artifacts:?}")]) {
        assert!(!secrets.iter().any(|secret| said.contains(secret)), "{said}");
    }
    refused
}

fn step_error(error: ArtifactError) -> (ErrorClass, String, String) {
    let error = StepError::from(error);
    assert!(!error.advice.is_empty());
    (error.class, error.code, error.message)
}

#[test]
fn a_wrong_secret_is_denied() {
    let s3 = shared_s3();
    let variables = s3.variables_with("AWS_SECRET_ACCESS_KEY", "wrong-and-still-secret");
    for error in refusals(&format!("s3://{BUCKET}"), variables) {
        let (class, code, message) = step_error(error);
        assert_eq!((class, code.as_str()), (ErrorClass::InvalidKey, "artifact_store_denied"), "{message}");
        let want = format!(
            "the artifact store s3://{BUCKET} at {} refuses access: the secret key does not belong to the access key \
             (SignatureDoesNotMatch)",
            s3.endpoint
        );
        assert_eq!(message, want);
    }
}

#[test]
fn an_unknown_key_is_denied() {
    let variables = shared_s3().variables_with("AWS_ACCESS_KEY_ID", "nobody");
    for error in refusals(&format!("s3://{BUCKET}"), variables) {
        let (_, code, message) = step_error(error);
        assert_eq!(code, "artifact_store_denied", "{message}");
        assert!(message.contains("InvalidAccessKeyId"), "{message}");
    }
}

#[test]
fn a_bucket_that_is_not_there_is_named() {
    let s3 = shared_s3();
    for error in refusals("s3://no-such-bucket/prefix", s3.variables()) {
        let (class, code, message) = step_error(error);
        assert_eq!((class, code.as_str()), (ErrorClass::ServerUnavailable, "artifact_bucket_missing"), "{message}");
        assert!(message.contains("s3://no-such-bucket/prefix at http://127.0.0.1"), "{message}");
    }
}

#[test]
fn a_server_that_is_down_is_told_within_seconds() {
    let endpoint = format!("http://127.0.0.1:{}", free_port());
    for error in refusals(&format!("s3://{BUCKET}"), shared_s3().variables_with("AWS_ENDPOINT_URL", &endpoint)) {
        let (class, code, message) = step_error(error);
        assert_eq!((class, code.as_str()), (ErrorClass::ServerUnavailable, "artifact_store_unavailable"), "{message}");
        assert!(message.contains(&endpoint) && message.contains("no connection"), "{message}");
    }
}

#[test]
fn a_server_that_never_answers_is_given_up() {
    let silent = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let mut variables = shared_s3().variables_with("AWS_ENDPOINT_URL", &endpoint);
    variables.push(("AWS_READ_TIMEOUT".to_owned(), "100ms".to_owned()));
    for error in refusals(&format!("s3://{BUCKET}"), variables) {
        let message = error.to_string();
        assert!(message.contains(&endpoint) && message.ends_with("no answer in time"), "{message}");
    }
}

#[test]
fn a_server_that_goes_away_is_unreachable() {
    let s3 = S3::start();
    let artifacts = Artifacts::open_url_with(&format!("s3://{BUCKET}"), s3.variables()).unwrap();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    s3.stop();
    let gone = artifacts.get(&artifact);
    assert!(matches!(gone, Err(ArtifactError::Unreachable { .. })), "{gone:?}");
}

#[test]
fn settings_that_don_t_fit_together_are_refused_at_once() {
    let set = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let cases = [
        ("only a key", "s3://prints", vec![set("AWS_ACCESS_KEY_ID", "key")], "AWS_SECRET_ACCESS_KEY is not set"),
        ("only a secret", "s3://prints", vec![set("AWS_SECRET_ACCESS_KEY", "hunter2")], "AWS_ACCESS_KEY_ID is not set"),
        ("another scheme", "gs://prints", vec![], "a bucket that speaks S3"),
    ];
    for (case, url, variables, want) in cases {
        let error = Artifacts::open_url_with(url, variables).unwrap_err();
        assert!(matches!(error, ArtifactError::BadUrl { .. }), "{case}: {error}");
        assert!(error.to_string().contains(want), "{case}: {error}");
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{case}: {error:?}");
    }
}
