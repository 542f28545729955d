//! The text of a workflow file, and places in it.

use serde::Serialize;
use std::ops::Range;

/// The most bytes of a workflow file.
pub const BYTES_MAX: usize = 1024 * 1024;

/// A workflow file: its name and its text.
///
/// It takes any bytes: what is wrong with them is kept and reported by `compile`, like every other mistake.
#[derive(Debug, Clone)]
pub struct Source {
    name: String,
    text: String,
    line_starts: Vec<usize>,
    fault: Option<Fault>,
}

/// What is wrong with the bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// They are no UTF-8, from this offset of the (repaired) text on.
    NotText { at: usize, utf16: bool },
    /// There are too many.
    TooLong { bytes: usize },
}

/// A range of bytes of a [`Source`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    /// The first byte.
    pub start: usize,
    /// The byte after the last.
    pub end: usize,
}

impl Span {
    /// From `start` up to `end`, which is not part of it.
    pub fn new(start: usize, end: usize) -> Span {
        Span { start, end: end.max(start) }
    }

    /// The part from `start` to `end`, counted from the beginning of this one.
    pub fn part(self, start: usize, end: usize) -> Span {
        Span::new((self.start + start).min(self.end), (self.start + end).min(self.end))
    }

    /// It as a range, for slicing.
    pub fn range(self) -> Range<usize> {
        self.start..self.end
    }
}

/// A line and a column as people and editors count: from 1, in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    /// The line.
    pub line: u32,
    /// The column.
    pub column: u32,
}

impl Source {
    /// A file called `name` that holds `text`.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Source {
        let text = text.into();
        let fault = (text.len() > BYTES_MAX).then_some(Fault::TooLong { bytes: text.len() });
        Source::build(name.into(), text, fault)
    }

    /// A file called `name` that holds `bytes`, which may turn out not to be text.
    pub fn from_bytes(name: impl Into<String>, bytes: &[u8]) -> Source {
        if bytes.len() > BYTES_MAX {
            return Source::build(name.into(), String::new(), Some(Fault::TooLong { bytes: bytes.len() }));
        }
        match std::str::from_utf8(bytes) {
            Ok(text) => Source::new(name, text),
            Err(error) => {
                let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
                let fault = Fault::NotText { at: error.valid_up_to(), utf16 };
                Source::build(name.into(), String::from_utf8_lossy(bytes).into_owned(), Some(fault))
            }
        }
    }

    fn build(name: String, mut text: String, fault: Option<Fault>) -> Source {
        if matches!(fault, Some(Fault::TooLong { .. })) {
            text = String::new();
        }
        let line_starts = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        Source { name, text, line_starts, fault }
    }

    /// The file's name, as it is shown.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its text; empty when the file was too long to be kept.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn fault(&self) -> Option<&Fault> {
        self.fault.as_ref()
    }

    /// The text of a span; empty where the span is not of this file.
    pub fn slice(&self, span: Span) -> &str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Where the byte at `offset` is.
    pub fn position(&self, offset: usize) -> Position {
        let line = self.line_at(offset);
        let before = self.text.get(self.line_starts[line]..offset.min(self.text.len())).unwrap_or_default();
        Position { line: line as u32 + 1, column: before.chars().count() as u32 + 1 }
    }

    /// The line of the byte at `offset`, counted from 0.
    pub(crate) fn line_at(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|&start| start <= offset).saturating_sub(1)
    }

    /// The span of a line counted from 0, without its end of line.
    pub(crate) fn line_span(&self, line: usize) -> Option<Span> {
        let start = *self.line_starts.get(line)?;
        let end = self.line_starts.get(line + 1).map_or(self.text.len(), |next| next - 1);
        let end = if self.text.get(start..end).is_some_and(|text| text.ends_with('\r')) { end - 1 } else { end };
        Some(Span::new(start, end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        let source = Source::new("a.yaml", "a: ä\r\nbücher: x");
        let position = |line, column| Position { line, column };
        assert_eq!(source.position(0), position(1, 1));
        assert_eq!(source.position("a: ä".len()), position(1, 5));
        assert_eq!(source.position("a: ä\r\nbü".len()), position(2, 3));
        assert_eq!(source.position(9_999), position(2, 10));
        assert_eq!(source.line_span(0).map(|span| source.slice(span)), Some("a: ä"));
        assert_eq!(source.line_span(1).map(|span| source.slice(span)), Some("bücher: x"));
        assert_eq!(source.line_span(2), None);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_as_a_fault() {
        let source = Source::from_bytes("a.yaml", b"a: \xff\n");
        assert_eq!(source.fault(), Some(&Fault::NotText { at: 3, utf16: false }));
        assert!(Source::from_bytes("a.yaml", &vec![b'a'; BYTES_MAX + 1]).text().is_empty());
    }
}
