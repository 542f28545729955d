//! Why a trial can't begin, or a command to it was not taken.

use darkroom_engine::Diagnostic;
use std::path::PathBuf;

/// Why a trial can't begin.
#[derive(Debug, thiserror::Error)]
pub enum TestkitError {
    /// A file can't be read.
    #[error("{} can't be read: {why}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        why: String,
    },
    /// The workflow, or the file of its tests, has mistakes.
    #[error("{}", rendered.trim_end())]
    Invalid {
        /// What is wrong with it.
        diagnostics: Vec<Diagnostic>,
        /// The same as text, with the lines that it is about.
        rendered: String,
    },
    /// An input is not what the workflow takes.
    #[error("{message}; {advice}")]
    Input {
        /// What is wrong.
        message: String,
        /// What to do.
        advice: String,
    },
    /// A mock is of a step that is not there, or that no worker gets.
    #[error("the mock of `{path}`: {why}")]
    Mock {
        /// The path that was given.
        path: String,
        /// What is wrong with it.
        why: String,
    },
    /// There is no place for the trial's files.
    #[error("the trial's folder can't be used: {0}")]
    Disk(String),
}

/// A command to a trial was not taken, or what was waited for can't come any more.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Refused(pub String);
