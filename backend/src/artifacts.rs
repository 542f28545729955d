//! The artifact store: immutable files named by their digest, and the manifests that say where they come from.

mod bucket;
mod error;
mod folder;
mod refusal;
mod requests;
mod url;

pub use error::ArtifactError;

use bucket::Bucket;
use darkroom_proto::{Artifact, RunId, Sha256, StepPath};
use folder::Folder;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use url::Location;

/// How long a file may be that is read or written in one piece.
pub(crate) const PIECE_BYTES_MAX: u64 = 1 << 30;
/// How long a file may be that is streamed in.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 30;
/// How long a manifest may be.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 16 << 20;
/// How much is read at once when a file is streamed.
const CHUNK_BYTES: usize = 1 << 18;

/// What is known of a file besides its bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Details {
    /// What it is, such as `image/png`.
    pub media_type: String,
    /// The name that it came with, with extension.
    pub name: String,
    /// Pixels across, upright.
    pub width: Option<u32>,
    /// Pixels down, upright.
    pub height: Option<u32>,
    /// Seconds, for video and audio.
    pub duration: Option<f64>,
}

impl Details {
    /// The artifact that a file with these details, this digest and length is.
    fn artifact(&self, sha256: Sha256, bytes: u64) -> Artifact {
        Artifact {
            sha256,
            media_type: self.media_type.clone(),
            bytes,
            width: self.width,
            height: self.height,
            duration: self.duration,
            name: self.name.clone(),
        }
    }
}

/// Where artifacts and manifests are kept. Files are never changed: equal bytes are one file.
///
/// What a call acknowledged is durable. Calls wait for the disk or the network: they belong on blocking threads. Cheap to
/// clone; every clone is the same store.
#[derive(Debug, Clone)]
pub struct Artifacts {
    place: Arc<Place>,
}

#[derive(Debug)]
enum Place {
    Folder(Folder),
    Bucket(Bucket),
}

impl Artifacts {
    /// Opens the store in a local folder; creates it at need, and removes what dead processes left half written.
    pub fn open(dir: &Path) -> Result<Self, ArtifactError> {
        Ok(Self { place: Arc::new(Place::Folder(Folder::open(dir)?)) })
    }

    /// Opens the store at a path, at `file:///path`, or at `s3://bucket/prefix`, with the keys, the region and the
    /// endpoint that the `AWS_*` variables of the environment say. Of a bucket nothing is asked yet.
    pub fn open_url(url: &str) -> Result<Self, ArtifactError> {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            name.into_string().ok().zip(value.into_string().ok())
        };
        Self::open_url_with(url, std::env::vars_os().filter_map(text))
    }

    /// The same with other variables than the environment's.
    pub fn open_url_with(
        url: &str,
        variables: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ArtifactError> {
        match url::parse(url)? {
            Location::Folder(path) => Self::open(&path),
            Location::Bucket { bucket, prefix } => {
                Ok(Self { place: Arc::new(Place::Bucket(Bucket::open(&bucket, &prefix, variables)?)) })
            }
        }
    }

    /// Keeps these bytes. Keeping equal bytes again changes nothing.
    pub fn put(&self, bytes: &[u8], details: &Details) -> Result<Artifact, ArtifactError> {
        let sha256 = match &*self.place {
            Place::Folder(folder) => folder.put(bytes),
            Place::Bucket(bucket) => bucket.put(bytes, &details.media_type),
        }?;
        Ok(details.artifact(sha256, bytes.len() as u64))
    }

    /// Keeps a copy of a file, read piece by piece.
    pub fn put_file(&self, path: &Path, details: &Details) -> Result<Artifact, ArtifactError> {
        let (sha256, bytes) = match &*self.place {
            Place::Folder(folder) => folder.put_file(path),
            Place::Bucket(bucket) => bucket.put_file(path, &details.media_type),
        }?;
        Ok(details.artifact(sha256, bytes))
    }

    /// The bytes of an artifact: exactly those that were kept, or an error.
    pub fn get(&self, artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
        match &*self.place {
            Place::Folder(folder) => folder.get(artifact),
            Place::Bucket(bucket) => bucket.get(artifact),
        }
    }

    /// Whether an artifact can be got, without keeping its bytes in memory.
    pub fn verify(&self, artifact: &Artifact) -> Result<(), ArtifactError> {
        match &*self.place {
            Place::Folder(folder) => folder.verify(artifact),
            Place::Bucket(bucket) => bucket.verify(artifact),
        }
    }

    /// Whether there is a file of an artifact's name and length, which is quicker to learn than whether it is right.
    pub fn has(&self, artifact: &Artifact) -> Result<bool, ArtifactError> {
        match &*self.place {
            Place::Folder(folder) => folder.has(artifact),
            Place::Bucket(bucket) => bucket.has(artifact),
        }
    }

    /// Where the local file of an artifact is, for tools that read files themselves. It need not be there. A bucket has
    /// none.
    pub fn path(&self, artifact: &Artifact) -> Option<PathBuf> {
        match &*self.place {
            Place::Folder(folder) => Some(folder.path(artifact.sha256)),
            Place::Bucket(_) => None,
        }
    }

    /// The URL of the whole store, without a slash at its end: an artifact's is this, `/sha256/`, the first two digits of
    /// its digest, `/` and the others.
    pub fn root_url(&self) -> String {
        match &*self.place {
            Place::Folder(folder) => url::of_file(folder.root()),
            Place::Bucket(bucket) => bucket.root().to_owned(),
        }
    }

    /// The URL of an artifact.
    pub fn url(&self, artifact: &Artifact) -> String {
        match &*self.place {
            Place::Folder(folder) => url::of_file(&folder.path(artifact.sha256)),
            Place::Bucket(bucket) => bucket.url(artifact.sha256),
        }
    }

    /// Keeps the manifest of a finished step, as JSON text.
    pub fn put_manifest(&self, run: RunId, path: &StepPath, generation: u32, json: &[u8]) -> Result<(), ArtifactError> {
        self.put_document(&manifest_name(run, path, generation), json)
    }

    /// The manifest of a finished step, if there is one.
    pub fn manifest(&self, run: RunId, path: &StepPath, generation: u32) -> Result<Option<Vec<u8>>, ArtifactError> {
        self.document(&manifest_name(run, path, generation))
    }

    /// Keeps what a run was given: definition and inputs, as JSON text. It is written before the first manifest.
    pub fn put_run(&self, run: RunId, json: &[u8]) -> Result<(), ArtifactError> {
        self.put_document(&run_name(run), json)
    }

    /// What a run was given, if it was kept.
    pub fn run(&self, run: RunId) -> Result<Option<Vec<u8>>, ArtifactError> {
        self.document(&run_name(run))
    }

    fn put_document(&self, name: &str, json: &[u8]) -> Result<(), ArtifactError> {
        match &*self.place {
            Place::Folder(folder) => folder.put_document(name, json),
            Place::Bucket(bucket) => bucket.put_document(name, json),
        }
    }

    fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        match &*self.place {
            Place::Folder(folder) => folder.document(name),
            Place::Bucket(bucket) => bucket.document(name),
        }
    }
}

/// Where a file is, under the root of any store.
fn name_of(sha256: Sha256) -> String {
    let hex = sha256.to_string();
    format!("sha256/{}/{}", &hex[..2], &hex[2..])
}

/// Whether a file of this length and digest is this artifact.
fn check(artifact: &Artifact, length: u64, sha256: Sha256) -> Result<(), ArtifactError> {
    let why = if length != artifact.bytes {
        format!("it has {length} bytes instead of {}", artifact.bytes)
    } else if sha256 != artifact.sha256 {
        format!("its content has the digest {}", sha256.short(12))
    } else {
        return Ok(());
    };
    Err(ArtifactError::Damaged { sha256: artifact.sha256, why })
}

fn unavailable(place: &Path, source: std::io::Error) -> ArtifactError {
    ArtifactError::Unavailable { place: place.display().to_string(), source }
}

fn too_large(what: impl Into<String>, bytes: u64, bytes_max: u64) -> ArtifactError {
    ArtifactError::TooLarge { what: what.into(), bytes, bytes_max }
}

/// Where it is kept what a run was given.
fn run_name(run: RunId) -> String {
    format!("runs/{run}/run.json")
}

/// The longest name that a step gets in a manifest's file name; file systems allow 255 bytes for all of it.
const STEP_NAME_BYTES_MAX: usize = 160;

/// Where a manifest is: `runs/<run>/<step>@<generation>.json`, with the path of the step made safe for any file system.
fn manifest_name(run: RunId, path: &StepPath, generation: u32) -> String {
    let mut name = String::new();
    for byte in path.as_str().bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            b'/' => name.push('.'),
            // Capital letters too: on a file system that ignores case, `A` and `a` are two steps and one file.
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    if name.len() > STEP_NAME_BYTES_MAX {
        // Shortened names are told apart by a digest of the whole.
        let digest = Sha256::of(path.as_str().as_bytes()).short(16);
        name.truncate(STEP_NAME_BYTES_MAX);
        name.push('~');
        name.push_str(&digest);
    }
    format!("runs/{run}/{name}@{generation}.json")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_manifest_is_safe_and_tells_steps_apart() {
        let run = RunId::from_bytes([7; 16]);
        let name = |path: &str| manifest_name(run, &path.parse().unwrap(), 2);
        assert_eq!(name("branded[3]/resize"), format!("runs/{run}/branded%5b3%5d.resize@2.json"));
        assert_ne!(name("A"), name("a"));
        assert_ne!(name("ä"), name("a"));
        let (one, other) = (format!("{}x", "ü".repeat(200)), format!("{}y", "ü".repeat(200)));
        assert_ne!(name(&one), name(&other));
        assert!(name(&one).rsplit('/').next().unwrap().len() < 255);
    }
}
