//! Syntax errors of YAML in words that help.

use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use granit_parser::{ErrorKind, ScanError};

/// What is wrong with a text that is no YAML.
pub(crate) fn diagnose(text: &str) -> Option<Diagnostic> {
    let error = crate::yaml::parser(text).find_map(Result::err)?;
    let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
    Some(explain(text, at, &error))
}

fn explain(text: &str, at: usize, error: &ScanError) -> Diagnostic {
    let width = text.get(at..).and_then(|rest| rest.chars().next()).filter(|c| *c != '\n').map_or(0, char::len_utf8);
    let here = Span::new(at, at + width);
    let new = |message: &str| Diagnostic::error(code::SYNTAX, here, message);
    let line_start = text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |found| found + 1);
    let line = text.get(line_start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
    match error.kind() {
        ErrorKind::MappingValueNotAllowed | ErrorKind::InvalidColonPlacement | ErrorKind::SimpleKeyExpected => {
            match quoted_value(line) {
                Some(corrected) => new("a second `:` in one line")
                    .label("YAML takes the text before it for a key")
                    .help(format!("text with `: ` in it needs quotes: {corrected}")),
                None => new("a key is not expected here")
                    .help("check the indentation of this line, and that the line before it is complete"),
            }
        }
        ErrorKind::TabNotAllowed
        | ErrorKind::TabInBlockIndentation
        | ErrorKind::TabInIndentation
        | ErrorKind::TabAtBlockScalarStart
        | ErrorKind::TabInPlainScalar => {
            let tab = line.find('\t').map_or(here, |found| Span::new(line_start + found, line_start + found + 1));
            Diagnostic::error(code::SYNTAX, tab, "a tab can't indent YAML").help("indent with spaces")
        }
        ErrorKind::UnexpectedCharacter { character } => {
            new(&format!("a value can't begin with `{character}`")).help("put the value in quotes")
        }
        ErrorKind::UnclosedQuotedScalar
        | ErrorKind::InvalidQuotedScalarIndent
        | ErrorKind::DocumentIndicatorInQuotedScalar => {
            new("a quoted text before this place is not closed").help("add the missing quote")
        }
        ErrorKind::UnclosedFlowCollection { open } | ErrorKind::MismatchedFlowCollectionEnd { open, .. } => {
            new(&format!("a `{open}` before this place is not closed")).help("add the missing bracket")
        }
        ErrorKind::UnexpectedEofFlowMapping | ErrorKind::UnexpectedEofFlowSequence | ErrorKind::UnexpectedEof => {
            new("the file ends inside a list or mapping").help("add the missing bracket")
        }
        ErrorKind::ExpectedFlowMappingSeparator => new("`,` or `}` is expected here")
            .help("values with `{`, `}`, `[`, `]` or `,` in them need quotes inside `{ }`"),
        ErrorKind::ExpectedFlowSequenceSeparator => new("`,` or `]` is expected here")
            .help("values with `{`, `}`, `[`, `]` or `,` in them need quotes inside `[ ]`"),
        ErrorKind::ExpectedBlockMappingKey
        | ErrorKind::ExpectedBlockSequenceEntry
        | ErrorKind::BlockSequenceEntryNotAllowed
        | ErrorKind::InvalidIndentation => new("the indentation does not fit the lines before it")
            .help("keys of one mapping begin in one column; items of a list begin with `- ` in one column"),
        ErrorKind::UnknownQuotedScalarEscape => {
            new("no such escape in double quotes").help("write `\\\\` for a backslash, or use single quotes")
        }
        ErrorKind::RecursionLimitExceeded => Diagnostic::error(
            code::TOO_LARGE,
            here,
            format!("lists and mappings are nested more than {} deep", crate::yaml::DEPTH_MAX),
        ),
        kind => new(&format!("this is no YAML: {kind}")),
    }
}

/// `key: a: b` with its value in quotes.
fn quoted_value(line: &str) -> Option<String> {
    let (key, value) = line.split_once(": ")?;
    let value = value.trim();
    let plain = !value.starts_with(['"', '\'', '{', '[', '|', '>', '&', '*', '!']) && value.contains(": ");
    let ends_with_key = !value.starts_with(['"', '\'']) && value.ends_with(':');
    if !(plain || ends_with_key) {
        return None;
    }
    let quoted = value.replace('\\', "\\\\").replace('"', "\\\"");
    Some(format!("{}: \"{quoted}\"", key.trim_start()))
}
