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
    /// A local file or folder can't be read or written.
    #[error("{place}: {source}")]
    Unavailable {
        /// The file or folder.
        place: String,
        /// Why.
        source: std::io::Error,
    },
    /// The server of the store can't be reached, or failed.
    #[error("the artifact store {place} can't be reached: {why}")]
    Unreachable {
        /// The store and its server.
        place: String,
        /// What happened.
        why: String,
    },
    /// The server of the store refuses our key.
    #[error("the artifact store {place} refuses access: {why}")]
    Denied {
        /// The store and its server.
        place: String,
        /// What it said.
        why: String,
    },
    /// The server of the store has no such bucket.
    #[error("the artifact store {place} is not there: there is no bucket of this name")]
    NoBucket {
        /// The store and its server.
        place: String,
    },
    /// The URL of a store can't be used. Where it may hold a secret, only its beginning is kept.
    #[error("the artifact store `{url}` can't be used: {why}")]
    BadUrl {
        /// The URL, or its beginning.
        url: String,
        /// What is wrong with it.
        why: String,
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
            ArtifactError::Unreachable { .. } => {
                "check AWS_ENDPOINT_URL, and that the server runs and answers from here"
            }
            ArtifactError::Denied { .. } => {
                "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN and AWS_REGION, and that the key may \
                 get, put and list objects of the bucket"
            }
            ArtifactError::NoBucket { .. } => "make the bucket, or correct artifacts.url or AWS_ENDPOINT_URL",
            ArtifactError::BadUrl { .. } => {
                "set artifacts.url to a folder, file:///folder or s3://bucket/prefix; keys and endpoint come from \
                 AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT_URL"
            }
        }
    }

    /// What kind of error it is for the policy: only what can pass without a change of the run may come back.
    fn class(&self) -> ErrorClass {
        match self {
            ArtifactError::Missing { .. } | ArtifactError::Damaged { .. } => ErrorClass::InvalidInput,
            ArtifactError::TooLarge { .. } => ErrorClass::TooLarge,
            ArtifactError::Unavailable { .. } | ArtifactError::Unreachable { .. } | ArtifactError::NoBucket { .. } => {
                ErrorClass::ServerUnavailable
            }
            ArtifactError::Denied { .. } => ErrorClass::InvalidKey,
            ArtifactError::BadUrl { .. } => ErrorClass::WorkflowError,
        }
    }

    fn code(&self) -> &'static str {
        match self {
            ArtifactError::Missing { .. } => "artifact_missing",
            ArtifactError::Damaged { .. } => "artifact_damaged",
            ArtifactError::TooLarge { .. } => "artifact_too_large",
            ArtifactError::Unavailable { .. } | ArtifactError::Unreachable { .. } => "artifact_store_unavailable",
            ArtifactError::Denied { .. } => "artifact_store_denied",
            ArtifactError::NoBucket { .. } => "artifact_bucket_missing",
            ArtifactError::BadUrl { .. } => "artifact_store_unusable",
        }
    }
}

impl From<ArtifactError> for StepError {
    fn from(error: ArtifactError) -> StepError {
        StepError::new(error.class(), error.to_string()).code(error.code()).advice(error.advice())
    }
}
