//! The artifact store: immutable files named by their digest, and the manifests that say where they come from.

mod error;
mod folder;
mod url;

pub use error::ArtifactError;

use darkroom_proto::{Artifact, RunId, Sha256, StepPath};
use folder::Folder;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How long a file may be that is read or written in one piece.
pub(crate) const PIECE_BYTES_MAX: u64 = 1 << 30;
/// How long a file may be that is streamed in.
pub(crate) const FILE_BYTES_MAX: u64 = 16 << 30;
/// How long a manifest may be.
pub(crate) const MANIFEST_BYTES_MAX: u64 = 16 << 20;

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
/// What a call acknowledged is durable. Calls wait for the disk: they belong on blocking threads. Cheap to clone; every
/// clone is the same store. Today a local folder; where else it may be is hidden in here, so that callers stay as they
/// are.
#[derive(Debug, Clone)]
pub struct Artifacts {
    place: Arc<Place>,
}

#[derive(Debug)]
enum Place {
    Folder(Folder),
}

impl Artifacts {
    /// Opens the store in a local folder; creates it at need, and removes what dead processes left half written.
    pub fn open(dir: &Path) -> Result<Self, ArtifactError> {
        Ok(Self { place: Arc::new(Place::Folder(Folder::open(dir)?)) })
    }

    /// Keeps these bytes. Keeping equal bytes again changes nothing.
    pub fn put(&self, bytes: &[u8], details: &Details) -> Result<Artifact, ArtifactError> {
        let Place::Folder(folder) = &*self.place;
        folder.put(bytes).map(|sha256| details.artifact(sha256, bytes.len() as u64))
    }

    /// Keeps a copy of a file, read piece by piece.
    pub fn put_file(&self, path: &Path, details: &Details) -> Result<Artifact, ArtifactError> {
        let Place::Folder(folder) = &*self.place;
        folder.put_file(path).map(|(sha256, bytes)| details.artifact(sha256, bytes))
    }

    /// The bytes of an artifact: exactly those that were kept, or an error.
    pub fn get(&self, artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
        let Place::Folder(folder) = &*self.place;
        folder.get(artifact)
    }

    /// Whether an artifact can be got, without keeping its bytes in memory.
    pub fn verify(&self, artifact: &Artifact) -> Result<(), ArtifactError> {
        let Place::Folder(folder) = &*self.place;
        folder.verify(artifact)
    }

    /// Where the file of an artifact is, for tools that read files themselves. It need not be there.
    pub fn path(&self, artifact: &Artifact) -> PathBuf {
        let Place::Folder(folder) = &*self.place;
        folder.path(artifact.sha256)
    }

    /// The URL of the whole store, without a slash at its end: an artifact's is this, `/sha256/`, the first two digits of
    /// its digest, `/` and the others.
    pub fn root_url(&self) -> String {
        let Place::Folder(folder) = &*self.place;
        url::of_file(folder.root())
    }

    /// The URL of an artifact.
    pub fn url(&self, artifact: &Artifact) -> String {
        let Place::Folder(folder) = &*self.place;
        url::of_file(&folder.path(artifact.sha256))
    }

    /// Keeps the manifest of a finished step, as JSON text.
    pub fn put_manifest(&self, run: RunId, path: &StepPath, generation: u32, json: &[u8]) -> Result<(), ArtifactError> {
        let Place::Folder(folder) = &*self.place;
        folder.put_document(&manifest_name(run, path, generation), json)
    }

    /// The manifest of a finished step, if there is one.
    pub fn manifest(&self, run: RunId, path: &StepPath, generation: u32) -> Result<Option<Vec<u8>>, ArtifactError> {
        let Place::Folder(folder) = &*self.place;
        folder.document(&manifest_name(run, path, generation))
    }

    /// Keeps what a run was given: definition and inputs, as JSON text. It is written before the first manifest.
    pub fn put_run(&self, run: RunId, json: &[u8]) -> Result<(), ArtifactError> {
        let Place::Folder(folder) = &*self.place;
        folder.put_document(&format!("runs/{run}/run.json"), json)
    }

    /// What a run was given, if it was kept.
    pub fn run(&self, run: RunId) -> Result<Option<Vec<u8>>, ArtifactError> {
        let Place::Folder(folder) = &*self.place;
        folder.document(&format!("runs/{run}/run.json"))
    }
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
