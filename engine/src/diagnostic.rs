//! What is wrong with a file, where, and what to do about it.

use crate::source::{Position, Source, Span};
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The workflow can't run.
    Error,
    /// It can, and probably not as meant.
    Warning,
}

/// One mistake in a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// Its code, such as `DR014`, which [`crate::code::find`] explains.
    pub code: &'static str,
    /// What is wrong, in one sentence without a full stop.
    pub message: String,
    /// The file.
    pub file: String,
    /// Where it is, in bytes.
    #[serde(skip)]
    pub span: Span,
    /// Where it begins.
    #[serde(flatten)]
    pub position: Position,
    /// Where it ends: the position after the last character.
    pub end: Position,
    /// What stands under the marked text. Empty when there is nothing to add.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub label: String,
    /// What to do. Empty when the message says it already.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub help: String,
}

impl Diagnostic {
    /// An error with one of the codes of [`crate::code`].
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        let nowhere = Position { line: 0, column: 0 };
        Diagnostic {
            severity: Severity::Error,
            code,
            message: message.into(),
            file: String::new(),
            span,
            position: nowhere,
            end: nowhere,
            label: String::new(),
            help: String::new(),
        }
    }

    /// A warning with one of the codes of [`crate::code`].
    pub(crate) fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Diagnostic {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// The same with this under the marked text.
    pub fn label(mut self, label: impl Into<String>) -> Diagnostic {
        self.label = label.into();
        self
    }

    /// The same with what to do about it.
    pub fn help(mut self, help: impl Into<String>) -> Diagnostic {
        self.help = help.into();
        self
    }

    /// Whether the workflow can't run because of it.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }

    fn placed(mut self, source: &Source) -> Diagnostic {
        self.file = source.name().to_owned();
        self.position = source.position(self.span.start);
        self.end = source.position(self.span.end);
        self
    }
}

/// The most diagnostics that are given for one file.
const DIAGNOSTICS_MAX: usize = 100;

/// What was found so far in one file.
#[derive(Debug, Default)]
pub struct Findings {
    found: Vec<Diagnostic>,
}

impl Findings {
    /// Adds one.
    pub fn push(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Adds several.
    pub fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        self.found.extend(diagnostics);
    }

    /// Whether there is an error among them.
    pub fn has_errors(&self) -> bool {
        self.found.iter().any(Diagnostic::is_error)
    }

    /// Everything found, in the order of the file, each mistake once.
    pub fn finish(mut self, source: &Source) -> Vec<Diagnostic> {
        self.found.sort_by_key(|found| (found.span.start, found.severity, found.span.end));
        self.found.dedup_by(|a, b| a.span == b.span && a.code == b.code && a.message == b.message);
        // Past a hundred nobody reads on, and one file could cause tens of thousands.
        if self.found.len() > DIAGNOSTICS_MAX && self.has_errors() {
            self.found.retain(Diagnostic::is_error);
        }
        self.found.truncate(DIAGNOSTICS_MAX);
        self.found.into_iter().map(|diagnostic| diagnostic.placed(source)).collect()
    }
}
