//! The rules of [`Artifacts`]: call [`artifacts_conformance!`](crate::artifacts_conformance) for each place that they
//! may be kept at.

use darkroom_backend::{ArtifactError, Artifacts, Details};
use darkroom_proto::{Artifact, ErrorClass, RunId, Sha256, StepError, StepPath};
use std::fs;

/// A place for one store, empty. Tests may do to it what a broken disk or a stranger would do.
pub trait Place {
    /// Its URL.
    fn url(&self) -> String;
    /// Opens the store, as another process would.
    fn open(&self) -> Artifacts;
    /// Puts other bytes under a name of the store.
    fn overwrite(&self, name: &str, bytes: &[u8]);
    /// Removes what is under a name of the store.
    fn remove(&self, name: &str);
    /// The names of everything that is there, sorted.
    fn names(&self) -> Vec<String>;
}

/// A store in a folder of its own.
#[derive(Debug)]
pub struct FolderPlace(tempfile::TempDir);

impl FolderPlace {
    /// A new one, with a name that has to be encoded in URLs.
    pub fn new() -> FolderPlace {
        FolderPlace(tempfile::Builder::new().prefix("my störe ").tempdir().unwrap())
    }
}

impl Default for FolderPlace {
    fn default() -> Self {
        Self::new()
    }
}

impl Place for FolderPlace {
    fn url(&self) -> String {
        format!("file://{}", self.0.path().display().to_string().replace(' ', "%20").replace('ö', "%C3%B6"))
    }

    fn open(&self) -> Artifacts {
        Artifacts::open_url(&self.url()).unwrap()
    }

    fn overwrite(&self, name: &str, bytes: &[u8]) {
        // Files are read-only, and so made anew.
        self.remove(name);
        fs::write(self.0.path().join(name), bytes).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.path().join(name)).unwrap();
    }

    fn names(&self) -> Vec<String> {
        let mut names = Vec::new();
        let mut folders = vec![self.0.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    names.push(path.strip_prefix(self.0.path()).unwrap().display().to_string());
                }
            }
        }
        names.sort();
        names
    }
}

/// What is known of the files of the suite.
pub fn png() -> Details {
    Details {
        media_type: "image/png".into(),
        name: "mug ü.png".into(),
        width: Some(2),
        height: Some(3),
        ..Details::default()
    }
}

/// The name of an artifact in a store.
pub fn name(artifact: &Artifact) -> String {
    let hex = artifact.sha256.to_string();
    format!("sha256/{}/{}", &hex[..2], &hex[2..])
}

/// Bytes that repeat nowhere near the size of a part.
fn large(length: u32) -> Vec<u8> {
    (0..length).flat_map(|at| [(at % 251) as u8, (at / 65_521) as u8]).take(length as usize).collect()
}

/// What is put is got, under the name that its digest gives it.
pub fn what_is_put_is_got_under_its_digest(place: impl Place) {
    let artifacts = place.open();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    assert_eq!((artifact.sha256, artifact.bytes, artifact.width), (Sha256::of(b"abc"), 3, Some(2)));
    assert_eq!((artifact.media_type.as_str(), artifact.name.as_str()), ("image/png", "mug ü.png"));
    assert_eq!(artifacts.get(&artifact).unwrap(), b"abc");
    artifacts.verify(&artifact).unwrap();
    assert!(artifacts.has(&artifact).unwrap());
    assert_eq!(place.names(), [name(&artifact)]);
    assert_eq!(artifacts.root_url(), place.url());
    assert_eq!(artifacts.url(&artifact), format!("{}/{}", place.url(), name(&artifact)));
}

/// Another process finds what one put.
pub fn another_opening_finds_what_was_put(place: impl Place) {
    let artifact = place.open().put(b"abc", &png()).unwrap();
    assert_eq!(place.open().get(&artifact).unwrap(), b"abc");
    let elsewhere = place.open().put(b"abc", &Details { name: "other.png".into(), ..png() }).unwrap();
    assert_eq!((elsewhere.sha256, elsewhere.name.as_str()), (artifact.sha256, "other.png"));
    assert_eq!(place.names(), [name(&artifact)]);
}

/// An empty file is an artifact as well.
pub fn an_empty_file_is_an_artifact(place: impl Place) {
    let artifacts = place.open();
    let artifact = artifacts.put(b"", &Details::default()).unwrap();
    assert_eq!(artifacts.get(&artifact).unwrap(), b"");
    assert!(artifacts.has(&artifact).unwrap());
    artifacts.verify(&artifact).unwrap();
}

/// What is missing or damaged is told apart, and its bytes are never given out.
pub fn what_is_missing_or_damaged_is_told_apart_and_never_given_out(place: impl Place) {
    let artifacts = place.open();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    for (case, bytes) in [("longer", &b"abcd"[..]), ("shorter", b"ab"), ("as long", b"abd"), ("empty", b"")] {
        place.overwrite(&name(&artifact), bytes);
        assert!(matches!(artifacts.get(&artifact), Err(ArtifactError::Damaged { .. })), "{case}");
        assert!(matches!(artifacts.verify(&artifact), Err(ArtifactError::Damaged { .. })), "{case}");
        assert_eq!(artifacts.has(&artifact).unwrap(), bytes.len() == 3, "{case}");
    }
    place.remove(&name(&artifact));
    assert!(matches!(artifacts.verify(&artifact), Err(ArtifactError::Missing { .. })));
    assert!(!artifacts.has(&artifact).unwrap());
    let error = StepError::from(artifacts.get(&artifact).unwrap_err());
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::InvalidInput, "artifact_missing"));
    assert!(!error.advice.is_empty());
}

/// A file that was cut off is put again.
pub fn a_file_that_was_cut_off_is_put_again(place: impl Place) {
    let artifacts = place.open();
    let artifact = artifacts.put(b"abc", &png()).unwrap();
    place.overwrite(&name(&artifact), b"a");
    artifacts.put(b"abc", &png()).unwrap();
    assert_eq!(artifacts.get(&artifact).unwrap(), b"abc");
}

/// A file is streamed in, small or large.
pub fn a_file_is_streamed_in(place: impl Place) {
    let artifacts = place.open();
    let dir = tempfile::tempdir().unwrap();
    let from = dir.path().join("file");
    for length in [0, 3_000_000, (16 << 20) + 1] {
        let bytes = large(length);
        fs::write(&from, &bytes).unwrap();
        for _ in 0..2 {
            let artifact = artifacts.put_file(&from, &png()).unwrap();
            assert_eq!((artifact.sha256, artifact.bytes), (Sha256::of(&bytes), bytes.len() as u64), "{length}");
            assert!(artifacts.get(&artifact).unwrap() == bytes, "{length}");
        }
    }
    assert_eq!(place.names().len(), 3, "nothing half done is left");
    let gone = artifacts.put_file(&dir.path().join("gone"), &png());
    assert!(matches!(gone, Err(ArtifactError::Unavailable { .. })));
}

/// A large file is put and got in parts, and a change in any of them is found.
pub fn a_large_file_is_whole_or_refused(place: impl Place) {
    let artifacts = place.open();
    let mut bytes = large(45 << 20);
    bytes.push(7);
    let artifact = artifacts.put(&bytes, &png()).unwrap();
    assert!(artifacts.get(&artifact).unwrap() == bytes);
    artifacts.verify(&artifact).unwrap();
    artifacts.put(&bytes, &png()).unwrap();
    assert_eq!(place.names(), [name(&artifact)]);
    let last = bytes.len() - 1;
    let mut altered = bytes.clone();
    altered[last] ^= 1;
    for (case, spoilt) in [("altered", &altered[..]), ("cut off", &bytes[..last]), ("a stump", b"x"), ("empty", b"")] {
        place.overwrite(&name(&artifact), spoilt);
        let refused = artifacts.get(&artifact);
        assert!(matches!(refused, Err(ArtifactError::Damaged { .. })), "{case}: {:?}", refused.err());
        assert!(matches!(artifacts.verify(&artifact), Err(ArtifactError::Damaged { .. })), "{case}");
    }
    place.remove(&name(&artifact));
    assert!(matches!(artifacts.get(&artifact), Err(ArtifactError::Missing { .. })));
}

/// A manifest is found by step and generation, and a later one replaces it.
pub fn a_manifest_is_found_by_step_and_generation_and_is_replaced_by_a_later_one(place: impl Place) {
    let artifacts = place.open();
    let run = RunId::from_bytes([9; 16]);
    let path: StepPath = "branded[3]/resize".parse().unwrap();
    assert_eq!(artifacts.manifest(run, &path, 1).unwrap(), None);
    assert_eq!(artifacts.run(run).unwrap(), None);
    artifacts.put_run(run, b"{}").unwrap();
    artifacts.put_manifest(run, &path, 1, b"1").unwrap();
    artifacts.put_manifest(run, &path, 1, b"one").unwrap();
    artifacts.put_manifest(run, &path, 2, b"two").unwrap();
    let again = place.open();
    assert_eq!(again.manifest(run, &path, 1).unwrap().as_deref(), Some(&b"one"[..]));
    assert_eq!(again.manifest(run, &path, 2).unwrap().as_deref(), Some(&b"two"[..]));
    assert_eq!(again.manifest(run, &StepPath::top("branded"), 1).unwrap(), None);
    assert_eq!(again.run(run).unwrap().as_deref(), Some(&b"{}"[..]));
    let at = |generation: u32| format!("runs/{run}/branded%5b3%5d.resize@{generation}.json");
    assert_eq!(place.names(), [at(1), at(2), format!("runs/{run}/run.json")]);
}

/// What is over its limit is refused before it is kept.
pub fn a_manifest_over_its_limit_is_refused(place: impl Place) {
    let artifacts = place.open();
    let refused = artifacts.put_run(RunId::from_bytes([9; 16]), &vec![b' '; (16 << 20) + 1]);
    assert!(matches!(refused, Err(ArtifactError::TooLarge { .. })));
    assert_eq!(place.names(), [""; 0]);
}

/// Workers on machines of their own may put the same bytes at the same time.
pub fn many_workers_may_put_the_same_bytes(place: impl Place) {
    let big = large((16 << 20) + 9);
    let stores: Vec<Artifacts> = (0..4).map(|_| place.open()).collect();
    std::thread::scope(|scope| {
        for (worker, artifacts) in stores.iter().enumerate() {
            let big = &big;
            scope.spawn(move || {
                for number in 0..10u8 {
                    let artifact = artifacts.put(&[number; 1_000], &png()).unwrap();
                    assert_eq!(artifacts.get(&artifact).unwrap(), [number; 1_000], "worker {worker}");
                }
                let artifact = artifacts.put(big, &png()).unwrap();
                assert!(artifacts.get(&artifact).unwrap() == *big, "worker {worker}");
            });
        }
    });
    assert_eq!(place.names().len(), 11);
}

/// Calls may be made from async code, on a runtime of any kind.
pub fn calls_wait_inside_of_async_code_too(place: impl Place) {
    let artifacts = place.open();
    let current = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    current.block_on(async {
        let artifact = artifacts.put(b"abc", &png()).unwrap();
        assert_eq!(artifacts.get(&artifact).unwrap(), b"abc");
        let clone = artifacts.clone();
        let there = tokio::task::spawn_blocking(move || clone.verify(&artifact)).await.unwrap();
        there.unwrap();
        drop(artifacts);
    });
}

/// Tests every rule for a place: `artifacts_conformance!(name, place)`.
#[macro_export]
macro_rules! artifacts_conformance {
    ($backend:ident, $place:expr) => {
        mod $backend {
            use super::*;
            $crate::artifacts_conformance! { @rules $place;
                what_is_put_is_got_under_its_digest
                another_opening_finds_what_was_put
                an_empty_file_is_an_artifact
                what_is_missing_or_damaged_is_told_apart_and_never_given_out
                a_file_that_was_cut_off_is_put_again
                a_file_is_streamed_in
                a_large_file_is_whole_or_refused
                a_manifest_is_found_by_step_and_generation_and_is_replaced_by_a_later_one
                a_manifest_over_its_limit_is_refused
                many_workers_may_put_the_same_bytes
                calls_wait_inside_of_async_code_too
            }
        }
    };
    (@rules $place:expr; $($rule:ident)*) => {
        $(
            #[test]
            fn $rule() {
                $crate::conformance::artifacts::$rule($place);
            }
        )*
    };
}
