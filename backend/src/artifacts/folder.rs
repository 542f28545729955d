//! Artifacts in a local folder.

use super::{
    ArtifactError, CHUNK_BYTES, FILE_BYTES_MAX, MANIFEST_BYTES_MAX, PIECE_BYTES_MAX, check, name_of, too_large,
    unavailable,
};
use darkroom_proto::{Artifact, Sha256};
use sha2::Digest as _;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How old a half-written file is that nobody writes any more, whoever began it.
const STALE_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// A folder with `sha256/ab/cdef…`, `runs/…` and, for files that are being written, `tmp/`.
#[derive(Debug)]
pub(super) struct Folder {
    root: PathBuf,
    tmp: PathBuf,
    started: AtomicU64,
}

/// A file of `tmp/` that is being written; removed when it does not get its name.
struct Unfinished {
    path: PathBuf,
    file: File,
    named: bool,
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        if !self.named {
            // It is removed as stale later if this fails.
            let _ = fs::remove_file(&self.path);
        }
    }
}

impl Folder {
    pub(super) fn open(dir: &Path) -> Result<Self, ArtifactError> {
        fs::create_dir_all(dir).map_err(|error| unavailable(dir, error))?;
        // Absolute and free of symlinks, so that URLs and paths stay right when the process changes its folder.
        let root = dir.canonicalize().map_err(|error| unavailable(dir, error))?;
        let tmp = root.join("tmp");
        for dir in [&tmp, &root.join("sha256"), &root.join("runs")] {
            fs::create_dir_all(dir).map_err(|error| unavailable(dir, error))?;
        }
        sync_dir(&root)?;
        let folder = Self { root, tmp, started: AtomicU64::new(0) };
        folder.remove_stale()?;
        Ok(folder)
    }

    /// Removes what processes that are gone left half written.
    fn remove_stale(&self) -> Result<(), ArtifactError> {
        for entry in fs::read_dir(&self.tmp).map_err(|error| unavailable(&self.tmp, error))? {
            let entry = entry.map_err(|error| unavailable(&self.tmp, error))?;
            let name = entry.file_name();
            let writer = name.to_str().and_then(|name| name.split_once('-')).and_then(|(pid, _)| pid.parse().ok());
            let old = entry.metadata().and_then(|metadata| metadata.modified()).is_ok_and(|modified| {
                // A clock that was set back makes ages negative: such files wait for another opening.
                modified.elapsed().is_ok_and(|age| age > STALE_AFTER)
            });
            if old || writer.is_some_and(|pid| !is_alive(pid)) {
                match fs::remove_file(entry.path()) {
                    Err(error) if error.kind() != ErrorKind::NotFound => return Err(unavailable(&entry.path(), error)),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// The folder itself.
    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    pub(super) fn path(&self, sha256: Sha256) -> PathBuf {
        self.root.join(name_of(sha256))
    }

    pub(super) fn put(&self, bytes: &[u8]) -> Result<Sha256, ArtifactError> {
        let length = bytes.len() as u64;
        if length > PIECE_BYTES_MAX {
            return Err(too_large("the file", length, PIECE_BYTES_MAX));
        }
        let sha256 = Sha256::of(bytes);
        let path = self.path(sha256);
        if !is_whole(&path, length, sha256)? {
            let mut unfinished = self.start()?;
            unfinished.file.write_all(bytes).map_err(|error| unavailable(&unfinished.path, error))?;
            self.finish(unfinished, &path)?;
        }
        Ok(sha256)
    }

    pub(super) fn put_file(&self, from: &Path) -> Result<(Sha256, u64), ArtifactError> {
        let mut input = File::open(from).map_err(|error| unavailable(from, error))?;
        let mut unfinished = self.start()?;
        let (mut hasher, mut length) = (sha2::Sha256::new(), 0u64);
        let mut chunk = vec![0u8; CHUNK_BYTES];
        loop {
            let count = match input.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(unavailable(from, error)),
            };
            length += count as u64;
            if length > FILE_BYTES_MAX {
                return Err(too_large(from.display().to_string(), length, FILE_BYTES_MAX));
            }
            hasher.update(&chunk[..count]);
            unfinished.file.write_all(&chunk[..count]).map_err(|error| unavailable(&unfinished.path, error))?;
        }
        let sha256 = Sha256::from_bytes(hasher.finalize().into());
        let path = self.path(sha256);
        if !is_whole(&path, length, sha256)? {
            self.finish(unfinished, &path)?;
        }
        Ok((sha256, length))
    }

    pub(super) fn get(&self, artifact: &Artifact) -> Result<Vec<u8>, ArtifactError> {
        if artifact.bytes > PIECE_BYTES_MAX {
            return Err(too_large("the file", artifact.bytes, PIECE_BYTES_MAX));
        }
        let (path, file) = self.look_up(artifact)?;
        let mut bytes = Vec::with_capacity(artifact.bytes as usize);
        file.take(artifact.bytes + 1).read_to_end(&mut bytes).map_err(|error| unavailable(&path, error))?;
        check(artifact, bytes.len() as u64, Sha256::of(&bytes))?;
        Ok(bytes)
    }

    pub(super) fn verify(&self, artifact: &Artifact) -> Result<(), ArtifactError> {
        let (path, mut file) = self.look_up(artifact)?;
        let mut hasher = sha2::Sha256::new();
        let mut length = 0u64;
        let mut chunk = vec![0u8; CHUNK_BYTES];
        loop {
            match file.read(&mut chunk) {
                Ok(0) => break,
                Ok(count) => {
                    length += count as u64;
                    hasher.update(&chunk[..count]);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(unavailable(&path, error)),
            }
        }
        check(artifact, length, Sha256::from_bytes(hasher.finalize().into()))
    }

    pub(super) fn has(&self, artifact: &Artifact) -> Result<bool, ArtifactError> {
        let path = self.path(artifact.sha256);
        match fs::metadata(&path) {
            Ok(file) => Ok(file.is_file() && file.len() == artifact.bytes),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
            Err(error) => Err(unavailable(&path, error)),
        }
    }

    /// The open file of an artifact, of the right length so far.
    fn look_up(&self, artifact: &Artifact) -> Result<(PathBuf, File), ArtifactError> {
        let path = self.path(artifact.sha256);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                return Err(ArtifactError::Missing { sha256: artifact.sha256 });
            }
            Err(error) => return Err(unavailable(&path, error)),
        };
        let length = file.metadata().map_err(|error| unavailable(&path, error))?.len();
        check(artifact, length, artifact.sha256)?;
        Ok((path, file))
    }

    /// Keeps a document under a name of its own; one of the same name is replaced.
    pub(super) fn put_document(&self, name: &str, json: &[u8]) -> Result<(), ArtifactError> {
        if json.len() as u64 > MANIFEST_BYTES_MAX {
            return Err(too_large(name, json.len() as u64, MANIFEST_BYTES_MAX));
        }
        let mut unfinished = self.start()?;
        unfinished.file.write_all(json).map_err(|error| unavailable(&unfinished.path, error))?;
        self.finish(unfinished, &self.root.join(name))
    }

    pub(super) fn document(&self, name: &str) -> Result<Option<Vec<u8>>, ArtifactError> {
        let path = self.root.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unavailable(&path, error)),
        }
    }

    /// A new file in `tmp/`, named by this process, so that an opening after its death can tell.
    fn start(&self) -> Result<Unfinished, ArtifactError> {
        loop {
            let number = self.started.fetch_add(1, Ordering::Relaxed);
            let path = self.tmp.join(format!("{}-{number}", std::process::id()));
            match OpenOptions::new().write(true).create_new(true).mode(0o644).open(&path) {
                Ok(file) => return Ok(Unfinished { path, file, named: false }),
                // Another store of this process in the same folder, or an earlier process with this number.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(unavailable(&path, error)),
            }
        }
    }

    /// Makes a written file durable and read-only, then gives it its name.
    fn finish(&self, mut unfinished: Unfinished, path: &Path) -> Result<(), ArtifactError> {
        let written = |error| unavailable(&unfinished.path, error);
        unfinished.file.set_permissions(Permissions::from_mode(0o444)).map_err(written)?;
        unfinished.file.sync_all().map_err(written)?;
        let Some(dir) = path.parent() else { return Ok(()) };
        let is_new = !dir.is_dir();
        if is_new {
            fs::create_dir_all(dir).map_err(|error| unavailable(dir, error))?;
        }
        fs::rename(&unfinished.path, path).map_err(|error| unavailable(path, error))?;
        unfinished.named = true;
        sync_dir(dir)?;
        match dir.parent() {
            Some(above) if is_new => sync_dir(above),
            _ => Ok(()),
        }
    }
}

/// Whether this file is there as it was put. One that something else than this store has changed is put again: that is
/// how what was damaged is mended.
fn is_whole(path: &Path, length: u64, sha256: Sha256) -> Result<bool, ArtifactError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(unavailable(path, error)),
    };
    let failed = |error| unavailable(path, error);
    if file.metadata().map_err(failed)?.len() != length {
        return Ok(false);
    }
    let mut hasher = sha2::Sha256::new();
    let mut chunk = vec![0u8; CHUNK_BYTES];
    loop {
        match file.read(&mut chunk) {
            Ok(0) => return Ok(Sha256::from_bytes(hasher.finalize().into()) == sha256),
            Ok(count) => hasher.update(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
    }
}

/// Names in a folder are durable once the folder is.
fn sync_dir(dir: &Path) -> Result<(), ArtifactError> {
    File::open(dir).and_then(|dir| dir.sync_all()).map_err(|error| unavailable(dir, error))
}

/// Whether a process of this number runs. Where there is no `/proc`, every process counts as alive, and age decides.
fn is_alive(pid: u32) -> bool {
    !Path::new("/proc/self").exists() || Path::new("/proc").join(pid.to_string()).exists()
}
