//! Unquoted `${{ }}` inside `{ }` or `[ ]`, where YAML takes the brace for a mapping: found, explained and repaired.

use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::{Source, Span};
use std::borrow::Cow;

/// The most values that are quoted in one file.
const REPAIRS_MAX: usize = 64;

/// A text in which values were quoted, and where.
pub(crate) struct Repair<'a> {
    text: Cow<'a, str>,
    /// The characters that were added, by their offset in `text`, in order. All are one byte.
    added: Vec<usize>,
    /// The values that were quoted, as spans of the original.
    values: Vec<Span>,
}

impl<'a> Repair<'a> {
    pub(crate) fn of(text: &'a str) -> Self {
        Repair { text: Cow::Borrowed(text), added: Vec::new(), values: Vec::new() }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// Quotes the value that broke the syntax at `at`, if that is what an expression does; `scalar` is where the text
    /// before it begins.
    pub(crate) fn quote(&mut self, at: usize, scalar: Option<usize>) -> bool {
        let opens = self.text.get(..at).is_some_and(|before| before.ends_with('$'))
            && self.text.get(at..).is_some_and(|after| after.starts_with("{{"));
        let Some(start) = scalar.filter(|start| opens && *start < at && self.values.len() < REPAIRS_MAX) else {
            return false;
        };
        let Some(value) = self.text.get(start..).map(|rest| &rest[..value_len(rest)]) else { return false };
        if value.contains('\n') || value.is_empty() {
            return false;
        }
        let end = start + value.len();
        let original = self.original(Span::new(start, end));
        // Quotes that did not help once don't help twice, and doubled again and again they fill the memory.
        if self.values.iter().any(|quoted| quoted.start < original.end && original.start < quoted.end) {
            return false;
        }
        self.values.push(original);
        if value.contains(['"', '\\']) {
            let inner: Vec<usize> = value.match_indices('\'').map(|(offset, _)| start + offset).collect();
            self.insert(end, '\'');
            inner.into_iter().rev().for_each(|offset| self.insert(offset, '\''));
            self.insert(start, '\'');
        } else {
            self.insert(end, '"');
            self.insert(start, '"');
        }
        true
    }

    fn insert(&mut self, at: usize, quote: char) {
        self.text.to_mut().insert(at, quote);
        let place = self.added.partition_point(|&added| added < at);
        self.added[place..].iter_mut().for_each(|added| *added += 1);
        self.added.insert(place, at);
    }

    /// A span of the repaired text in the original.
    pub(crate) fn original(&self, span: Span) -> Span {
        let original = |offset: usize| offset - self.added.partition_point(|&added| added < offset);
        Span::new(original(span.start), original(span.end))
    }

    /// One diagnostic for each line that was repaired.
    pub(crate) fn diagnostics(&self, source: &Source) -> Vec<Diagnostic> {
        let mut found: Vec<Diagnostic> = Vec::new();
        let mut last = None;
        let mut values = self.values.clone();
        values.sort();
        for value in values {
            let line = source.line_at(value.start);
            if last.replace(line) == Some(line) {
                continue;
            }
            let corrected = self.text.lines().nth(line).unwrap_or_default().trim();
            found.push(
                Diagnostic::error(code::UNQUOTED, value, "an expression inside `{ }` or `[ ]` needs quotes")
                    .label("YAML takes this brace for a mapping")
                    .help(format!("write: {corrected}")),
            );
        }
        found
    }
}

/// How long the unquoted value at the beginning of `rest` is, its expressions included.
fn value_len(rest: &str) -> usize {
    let mut at = 0;
    while let Some(found) = rest[at..].find(['$', ',', '}', ']', '\n', '#']) {
        at += found;
        if rest[at..].starts_with("${{") {
            at += crate::scan::expression_len(&rest[at..]).unwrap_or(3);
        } else if rest[at..].starts_with('$') || (rest[at..].starts_with('#') && !rest[..at].ends_with(' ')) {
            at += 1;
        } else {
            break;
        }
    }
    rest[..at.min(rest.len())].trim_end().len()
}
