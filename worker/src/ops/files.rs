//! What ops need from the artifact store.

use darkroom_proto::{Artifact, StepError};

/// A file that is to be stored.
#[derive(Debug, Clone, PartialEq)]
pub struct NewFile {
    /// Its content.
    pub bytes: Vec<u8>,
    /// What it is.
    pub media_type: &'static str,
    /// Its name, with extension.
    pub name: String,
    /// Pixels across, upright.
    pub width: Option<u32>,
    /// Pixels down, upright.
    pub height: Option<u32>,
    /// Seconds, for video and audio.
    pub duration: Option<f64>,
}

/// The artifact store as ops see it.
pub trait Files: Send + Sync {
    /// The content of an artifact, whose digest the store has checked.
    ///
    /// # Errors
    /// When it is gone or can't be reached.
    fn read(&self, artifact: &Artifact) -> Result<Vec<u8>, StepError>;

    /// Stores a file under its digest.
    ///
    /// # Errors
    /// When it can't be stored.
    fn store(&self, file: NewFile) -> Result<Artifact, StepError>;
}
