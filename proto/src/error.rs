//! Why a step failed, in terms that a person and the retry policy both understand.

use crate::Duration;
use serde::{Deserialize, Serialize};

/// The class of an error: what the engine does about it follows from this alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// The provider asked to slow down.
    RateLimit,
    /// The account has no credit or quota left.
    QuotaExceeded,
    /// An attempt took longer than it may.
    Timeout,
    /// The provider refused the key.
    InvalidKey,
    /// The provider, or a server of ours, is down or failed by itself.
    ServerUnavailable,
    /// The connection broke.
    Network,
    /// The provider's safety rules refused the content.
    ContentRejected,
    /// A parameter or a file is not what the op can work on.
    InvalidInput,
    /// The file is of a kind that is not read here.
    UnsupportedFormat,
    /// No route offers the model.
    ModelNotFound,
    /// A file, a picture or a value is over its limit.
    TooLarge,
    /// A required parameter has no value.
    MissingParameter,
    /// The workflow, or Darkroom itself, is at fault.
    WorkflowError,
    /// A paid call whose outcome can't be known.
    UnknownOutcome,
    /// Somebody cancelled the run or the step.
    Cancelled,
}

impl ErrorClass {
    /// Every class, in the order of the documentation.
    pub const ALL: [ErrorClass; 15] = [
        ErrorClass::RateLimit,
        ErrorClass::QuotaExceeded,
        ErrorClass::Timeout,
        ErrorClass::InvalidKey,
        ErrorClass::ServerUnavailable,
        ErrorClass::Network,
        ErrorClass::ContentRejected,
        ErrorClass::InvalidInput,
        ErrorClass::UnsupportedFormat,
        ErrorClass::ModelNotFound,
        ErrorClass::TooLarge,
        ErrorClass::MissingParameter,
        ErrorClass::WorkflowError,
        ErrorClass::UnknownOutcome,
        ErrorClass::Cancelled,
    ];

    /// The name in files and documents, such as `rate_limit`.
    pub fn name(self) -> &'static str {
        match self {
            ErrorClass::RateLimit => "rate_limit",
            ErrorClass::QuotaExceeded => "quota_exceeded",
            ErrorClass::Timeout => "timeout",
            ErrorClass::InvalidKey => "invalid_key",
            ErrorClass::ServerUnavailable => "server_unavailable",
            ErrorClass::Network => "network",
            ErrorClass::ContentRejected => "content_rejected",
            ErrorClass::InvalidInput => "invalid_input",
            ErrorClass::UnsupportedFormat => "unsupported_format",
            ErrorClass::ModelNotFound => "model_not_found",
            ErrorClass::TooLarge => "too_large",
            ErrorClass::MissingParameter => "missing_parameter",
            ErrorClass::WorkflowError => "workflow_error",
            ErrorClass::UnknownOutcome => "unknown_outcome",
            ErrorClass::Cancelled => "cancelled",
        }
    }

    /// The class with this name.
    pub fn from_name(name: &str) -> Option<ErrorClass> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    /// Whether trying again by itself can help. `unknown_outcome` can't: trying again may pay twice.
    pub fn retryable(self) -> bool {
        match self {
            ErrorClass::RateLimit
            | ErrorClass::QuotaExceeded
            | ErrorClass::Timeout
            | ErrorClass::InvalidKey
            | ErrorClass::ServerUnavailable
            | ErrorClass::Network => true,
            ErrorClass::ContentRejected
            | ErrorClass::InvalidInput
            | ErrorClass::UnsupportedFormat
            | ErrorClass::ModelNotFound
            | ErrorClass::TooLarge
            | ErrorClass::MissingParameter
            | ErrorClass::WorkflowError
            | ErrorClass::UnknownOutcome
            | ErrorClass::Cancelled => false,
        }
    }

    /// Who has to do something about it.
    pub fn act(self) -> Act {
        match self {
            ErrorClass::RateLimit
            | ErrorClass::Timeout
            | ErrorClass::ServerUnavailable
            | ErrorClass::Network
            | ErrorClass::Cancelled => Act::Nobody,
            ErrorClass::QuotaExceeded | ErrorClass::InvalidKey | ErrorClass::UnknownOutcome => Act::Admin,
            ErrorClass::ContentRejected
            | ErrorClass::InvalidInput
            | ErrorClass::UnsupportedFormat
            | ErrorClass::ModelNotFound
            | ErrorClass::TooLarge
            | ErrorClass::MissingParameter
            | ErrorClass::WorkflowError => Act::User,
        }
    }
}

impl std::fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// Who must act on an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Whoever wrote the workflow or gave the inputs.
    User,
    /// Whoever runs the installation.
    Admin,
    /// It passes by itself.
    Nobody,
}

/// An error of one attempt: facts for the policy, words for people.
///
/// It is data, not a chain of sources: it is stored, sent and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{class}: {message}")]
pub struct StepError {
    /// What kind of error it is.
    pub class: ErrorClass,
    /// A stable, finer name, such as `nothing_found`; the class' own name where there is nothing finer to say.
    pub code: String,
    /// What happened and where, in one sentence without a full stop, without secrets.
    pub message: String,
    /// What to do about it, as a sentence. Empty when there is nothing to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// When the other side said that it makes sense to come back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<Duration>,
}

impl StepError {
    /// An error of `class` whose code is the class' name.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> Self {
        Self { class, code: class.name().to_owned(), message: message.into(), advice: String::new(), retry_after: None }
    }

    /// The same error with a finer code.
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = code.into();
        self
    }

    /// The same error with what to do about it.
    pub fn advice(mut self, advice: impl Into<String>) -> Self {
        self.advice = advice.into();
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_class_round_trips_by_its_name() {
        for class in ErrorClass::ALL {
            assert_eq!(ErrorClass::from_name(class.name()), Some(class));
            assert_eq!(serde_json::to_value(class).unwrap(), serde_json::json!(class.name()));
        }
    }
}
