//! How commands end when they don't end well: a message, advice, an exit code.

use crate::output::complain;
use darkroom_backend::{ArtifactError, QueueError, StoreError};
use darkroom_coordinator::{CoordinatorError, DeskError, RecordError};
use std::process::ExitCode;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) struct Failure {
    exit: u8,
    message: String,
    advice: String,
}

/// A run or something else failed.
pub(crate) const EXIT_FAILED: u8 = 1;
/// The command line or a file is wrong.
pub(crate) const EXIT_USAGE: u8 = 2;
/// There is no such thing.
pub(crate) const EXIT_NOT_FOUND: u8 = 3;
/// It is not in the state for that.
pub(crate) const EXIT_CONFLICT: u8 = 5;
/// Some of it failed.
pub(crate) const EXIT_PARTLY_FAILED: u8 = 6;
/// The time of `--wait` is up, and the run goes on.
pub(crate) const EXIT_TIMED_OUT: u8 = 7;
/// The store or the broker can't be used.
pub(crate) const EXIT_UNREACHABLE: u8 = 69;
/// Somebody pressed Ctrl-C.
pub(crate) const EXIT_INTERRUPTED: u8 = 130;

impl Failure {
    fn new(exit: u8, message: impl Into<String>) -> Failure {
        Failure { exit, message: message.into(), advice: String::new() }
    }

    /// Something went wrong that has no class of its own.
    pub(crate) fn other(message: impl Into<String>) -> Failure {
        Failure::new(EXIT_FAILED, message)
    }

    /// The command line or a file is wrong.
    pub(crate) fn usage(message: impl Into<String>) -> Failure {
        Failure::new(EXIT_USAGE, message)
    }

    /// There is no such thing.
    pub(crate) fn not_found(message: impl Into<String>) -> Failure {
        Failure::new(EXIT_NOT_FOUND, message)
    }

    /// It is not in the state for that.
    pub(crate) fn conflict(message: impl Into<String>) -> Failure {
        Failure::new(EXIT_CONFLICT, message)
    }

    /// A server can't be reached.
    pub(crate) fn unreachable(message: impl Into<String>) -> Failure {
        Failure::new(EXIT_UNREACHABLE, message)
    }

    /// The same with what to do about it.
    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Failure {
        self.advice = advice.into();
        self
    }

    /// The same in other words.
    pub(crate) fn saying(mut self, message: impl Into<String>) -> Failure {
        self.message = message.into();
        self
    }

    /// Whether something is not in the state for what was asked.
    pub(crate) fn is_conflict(&self) -> bool {
        self.exit == EXIT_CONFLICT
    }

    /// Whether a server or a disk was not to be had, which may pass.
    pub(crate) fn is_unreachable(&self) -> bool {
        self.exit == EXIT_UNREACHABLE
    }

    /// What went wrong.
    pub(crate) fn message(&self) -> &str {
        &self.message
    }

    /// What to do about it.
    pub(crate) fn remedy(&self) -> &str {
        &self.advice
    }

    /// Diagnostics were printed already; only the exit code is left to give.
    pub(crate) fn printed(exit: u8) -> Failure {
        Failure::new(exit, "")
    }

    /// Prints it and gives the exit code.
    pub(crate) fn report(self) -> ExitCode {
        if !self.message.is_empty() {
            complain(&format!("error: {}", self.message));
        }
        if !self.advice.is_empty() {
            complain(&format!("  help: {}", self.advice));
        }
        ExitCode::from(self.exit)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Failure {
        let exit = match &error {
            StoreError::InUse { .. } | StoreError::Fenced { .. } => EXIT_CONFLICT,
            StoreError::Unavailable(_) | StoreError::Unreachable { .. } => EXIT_UNREACHABLE,
            StoreError::TooLarge { .. } | StoreError::Corrupt { .. } => EXIT_FAILED,
        };
        Failure::new(exit, error.to_string()).advice(error.advice())
    }
}

impl From<QueueError> for Failure {
    fn from(error: QueueError) -> Failure {
        let exit = match &error {
            QueueError::Unavailable(_) | QueueError::Unreachable { .. } => EXIT_UNREACHABLE,
            QueueError::NoSuchPool { .. } | QueueError::TooLarge { .. } | QueueError::Refused { .. } => EXIT_FAILED,
        };
        Failure::new(exit, error.to_string()).advice(error.advice())
    }
}

impl From<ArtifactError> for Failure {
    fn from(error: ArtifactError) -> Failure {
        let exit = match &error {
            ArtifactError::BadUrl { .. } => EXIT_USAGE,
            ArtifactError::Unreachable { .. } => EXIT_UNREACHABLE,
            _ => EXIT_FAILED,
        };
        Failure::new(exit, error.to_string()).advice(error.advice())
    }
}

impl From<RecordError> for Failure {
    fn from(error: RecordError) -> Failure {
        Failure::new(EXIT_FAILED, error.to_string())
            .advice("use the release that wrote it; or move the .darkroom folder away to start afresh")
    }
}

impl From<DeskError> for Failure {
    fn from(error: DeskError) -> Failure {
        match error {
            DeskError::Store(error) => error.into(),
            DeskError::Queue(error) => error.into(),
            DeskError::Record(error) => error.into(),
            DeskError::Plan(error) => Failure::other(error.to_string()),
        }
    }
}

impl From<CoordinatorError> for Failure {
    fn from(error: CoordinatorError) -> Failure {
        match error {
            CoordinatorError::Store(error) => error.into(),
            CoordinatorError::Queue(error) => error.into(),
            CoordinatorError::Record(error) => error.into(),
            CoordinatorError::Plan(error) => Failure::other(error.to_string()),
            CoordinatorError::NotOwner => Failure::conflict(error.to_string()),
        }
    }
}
