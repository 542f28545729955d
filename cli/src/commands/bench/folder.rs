//! The folder that a benchmark works in.

use crate::failure::Failure;
use std::path::PathBuf;

/// A folder of this benchmark's own, removed at its end.
#[derive(Debug)]
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Result<Folder, Failure> {
        // Beside the state that it stands for: a temporary file system may be memory, where nothing is durable.
        let path = std::path::absolute(crate::folder::state())
            .map_err(|error| Failure::other(error.to_string()))?
            .join(format!("bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
        Ok(Folder(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What can't be removed lies in .darkroom/, where it harms nobody.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
