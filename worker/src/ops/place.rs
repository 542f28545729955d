//! Putting an artifact where a step saves it.

use super::job::Context;
use super::save_path::SavePath;
use crate::media::{DecodeHint, Encoding, Format};
use darkroom_proto::{Artifact, ErrorClass, Kind, SaveTarget, Saved, StepError};
use std::fs::{self, File};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// Saves an artifact under a path: converts a picture to the format of the path's extension if it is another, and writes
/// the file under the target's folder, if it has one. Serves the op `save` and `save:` of every step.
///
/// The file appears whole or not at all, and is on the disk when this returns.
///
/// # Errors
/// When the path leaves the folder, the extension is none that is written, or the file can't be written.
pub fn place(artifact: &Artifact, target: &SaveTarget, context: &Context<'_>) -> Result<Saved, StepError> {
    let fallback;
    let name = if artifact.name.is_empty() {
        fallback = format!("{}.{}", artifact.sha256.short(12), artifact.ext());
        &fallback
    } else {
        &artifact.name
    };
    let path = SavePath::new(&target.path, name)?;
    let saved = match encoding_for(artifact, &path)? {
        None => artifact.clone(),
        Some(encoding) => {
            let decoded = context.picture(artifact, |_| Ok(DecodeHint::FULL))?;
            let stored = context.store(&decoded.picture, encoding, artifact.stem())?;
            Artifact { name: path.file_name().to_owned(), ..stored }
        }
    };
    if let Some(out) = &target.out {
        let file = path.prepare(Path::new(out))?;
        let bytes = context.files.read(&saved)?;
        write_whole(&file, &bytes, Path::new(out), context.staging).map_err(|error| path.failed(&file, &error))?;
    }
    Ok(Saved { path: path.to_string(), artifact: saved })
}

/// How a picture has to be written for the path's extension; nothing if it is right as it is. Files that are no pictures
/// are right under any name.
fn encoding_for(artifact: &Artifact, path: &SavePath) -> Result<Option<Encoding>, StepError> {
    let extension = path.extension();
    if artifact.kind() != Kind::Image || artifact.ext() == extension {
        return Ok(None);
    }
    match Format::of_extension(&extension) {
        Some(format) if format.media_type() == artifact.media_type => Ok(None),
        Some(format) => Ok(Encoding::usual(format)),
        None => {
            let found = if extension.is_empty() { "no extension".to_owned() } else { format!("`.{extension}`") };
            let message = format!("can't save a picture to `{path}`: {found} says no format that is written");
            Err(StepError::new(ErrorClass::InvalidInput, message)
                .code("unknown_extension")
                .advice("End the path in .png, .jpg, .jpeg or .webp."))
        }
    }
}

/// Writes to a temporary file and renames it into place.
fn write_whole(file: &Path, bytes: &[u8], out: &Path, staging: &Path) -> std::io::Result<()> {
    fs::create_dir_all(staging)?;
    let staged = Staged::write(staging, bytes)?;
    let renamed = match fs::rename(&staged.path, file) {
        Err(error) if error.kind() == ErrorKind::CrossesDevices => across_file_systems(file, bytes, out),
        other => other,
    };
    renamed?;
    // The file itself is on the disk; this puts its name there. Not every file system knows how, and the next run would
    // find the file missing and make it again.
    if let Some(Ok(folder)) = file.parent().map(File::open) {
        let _ = folder.sync_all();
    }
    Ok(())
}

/// The staging folder is on another file system: a temporary file beside the output folder can still be renamed. Where
/// that is not possible either, the file is written in place.
fn across_file_systems(file: &Path, bytes: &[u8], out: &Path) -> std::io::Result<()> {
    if let Some(beside) = out.canonicalize()?.parent()
        && let Ok(staged) = Staged::write(beside, bytes)
        && fs::rename(&staged.path, file).is_ok()
    {
        return Ok(());
    }
    // A link in its place is replaced, as the rename would have.
    if fs::symlink_metadata(file).is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(file)?;
    }
    let mut handle = File::create(file)?;
    handle.write_all(bytes)?;
    handle.sync_all()
}

/// What the name of an unfinished file begins with; the number of the process that writes it follows.
const STAGED_PREFIX: &str = ".darkroom-save-";

/// Removes the unfinished files in a staging folder whose process is gone. What can't be removed stays: it is in nobody's
/// way.
pub fn clear_leftovers(staging: &Path) {
    let Ok(entries) = fs::read_dir(staging) else { return };
    for entry in entries.filter_map(Result::ok) {
        let name = entry.file_name();
        let rest = name.to_str().and_then(|name| name.strip_prefix(STAGED_PREFIX));
        let writer = rest.and_then(|rest| rest.split_once('-')).and_then(|(pid, _)| pid.parse::<u32>().ok());
        if let Some(writer) = writer
            && writer != std::process::id()
            && Path::new("/proc/self").exists()
            && !Path::new("/proc").join(writer.to_string()).exists()
            && let Err(error) = fs::remove_file(entry.path())
        {
            tracing::debug!(file = %entry.path().display(), %error, "a leftover can't be removed");
        }
    }
}

/// A temporary file, removed when it was not renamed away.
pub(super) struct Staged {
    path: PathBuf,
}

impl Staged {
    /// An empty one, for a program to write to. The folder is made at need.
    pub(super) fn empty(folder: &Path) -> std::io::Result<Staged> {
        fs::create_dir_all(folder)?;
        Ok(Staged::create(folder)?.0)
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn write(folder: &Path, bytes: &[u8]) -> std::io::Result<Staged> {
        let (staged, mut handle) = Staged::create(folder)?;
        handle.write_all(bytes)?;
        handle.sync_all()?;
        Ok(staged)
    }

    fn create(folder: &Path) -> std::io::Result<(Staged, File)> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            let path = folder.join(format!("{STAGED_PREFIX}{}-{number}", std::process::id()));
            match File::options().write(true).create_new(true).open(&path) {
                Ok(handle) => return Ok((Staged { path }, handle)),
                // Left by a process of this number that died.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // Renamed away, it is not there any more; otherwise a leftover is the most that can happen.
        let _ = fs::remove_file(&self.path);
    }
}
