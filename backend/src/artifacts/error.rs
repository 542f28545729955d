//! Why an artifact could not be kept or got.

use darkroom_proto::{ErrorClass, Sha256, StepError};

/// Why an artifact could not be kept or got.
#[derive(Debug, thiserror::Error)]
pub enum ArtifactError {
    /// It is not in the store.
    #[error("artifact {} is not in the store", sha256.short(12))]
    Missing {
        /// Its digest.
        sha256: Sha256,
    },
    /// The file under its name is not what was put there.
    #[error("artifact {} is damaged: {why}", sha256.short(12))]
    Damaged {
        /// Its digest.
        sha256: Sha256,
        /// What is wrong with it.
        why: String,
    },
    /// A file is over the limit.
    #[error("{what} is {bytes} bytes, over the limit of {bytes_max}")]
    TooLarge {
        /// What it is.
        what: String,
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The store can't be read or written.
    #[error("{place}: {source}")]
    Unavailable {
        /// The file or folder.
        place: String,
        /// Why.
        source: std::io::Error,
    },
}

impl ArtifactError {
    /// One sentence for the operator.
    pub fn advice(&self) -> &'static str {
        match self {
            ArtifactError::Missing { .. } => "restore it, or run the step that made it again with --from-step",
            ArtifactError::Damaged { .. } => "delete the damaged file and run the step that made it again",
            ArtifactError::TooLarge { .. } => "use a smaller file",
            ArtifactError::Unavailable { .. } => "check that the disk has room and the folder may be written",
        }
    }

    /// What kind of error it is for the policy: only a store that can't be reached may come back by itself.
    fn class(&self) -> ErrorClass {
        match self {
            ArtifactError::Missing { .. } | ArtifactError::Damaged { .. } => ErrorClass::InvalidInput,
            ArtifactError::TooLarge { .. } => ErrorClass::TooLarge,
            ArtifactError::Unavailable { .. } => ErrorClass::ServerUnavailable,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ArtifactError::Missing { .. } => "artifact_missing",
            ArtifactError::Damaged { .. } => "artifact_damaged",
            ArtifactError::TooLarge { .. } => "artifact_too_large",
            ArtifactError::Unavailable { .. } => "artifact_store_unavailable",
        }
    }
}

impl From<ArtifactError> for StepError {
    fn from(error: ArtifactError) -> StepError {
        StepError::new(error.class(), error.to_string()).code(error.code()).advice(error.advice())
    }
}
