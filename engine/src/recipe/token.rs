//! The words of a recipe: what each is by its looks, and where it stands.

use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;

/// A line that has words.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) tokens: Vec<Token>,
    /// Whether it is indented, and so may go on with the sentence before it.
    pub(super) is_indented: bool,
}

/// A word, a number or a mark.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Token {
    pub(super) kind: Kind,
    /// As written; of a quotation what is between the quotes.
    pub(super) text: String,
    /// In lower case, to compare.
    pub(super) word: String,
    pub(super) span: Span,
}

/// What a token is by its looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    Word,
    /// `42`, `30px`, `85%`, `2x`, `5s`.
    Number {
        value: f64,
        unit: &'static str,
    },
    /// `1920x1080`.
    Size {
        width: u32,
        height: u32,
    },
    /// `16:9`.
    Aspect,
    /// A path or an address.
    Path,
    /// `#rrggbb`.
    Color,
    Quoted,
    /// `,` `;` `:` `.` `(` `)`, `-` for a bullet and `>` for an arrow.
    Mark(char),
}

impl Token {
    pub(super) fn is(&self, mark: char) -> bool {
        self.kind == Kind::Mark(mark)
    }

    pub(super) fn is_word(&self, words: &[&str]) -> bool {
        self.kind == Kind::Word && words.contains(&self.word.as_str())
    }

    /// The whole number that it is, in figures or in words.
    pub(super) fn count(&self) -> Option<u64> {
        const NUMBERS: &[&str] =
            &["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
        match self.kind {
            Kind::Number { value, unit: "" } if value >= 0.0 && value.fract() == 0.0 && value < 1e15 => {
                Some(value as u64)
            }
            Kind::Word => NUMBERS.iter().position(|number| *number == self.word).map(|at| at as u64 + 1),
            _ => None,
        }
    }
}

/// The lines of a text that have words. A line that begins with `#` is a comment.
pub(super) fn lines(text: &str, found: &mut Vec<Diagnostic>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut start = 0;
    for raw in text.split_inclusive('\n') {
        let trimmed = raw.trim_start_matches(['\u{feff}', ' ', '\t']);
        if !trimmed.starts_with('#') {
            let tokens = tokens(raw, start, found);
            if !tokens.is_empty() {
                lines.push(Line { tokens, is_indented: trimmed.len() < raw.len() && !raw.starts_with('\u{feff}') });
            }
        }
        start += raw.len();
    }
    lines
}

fn tokens(line: &str, start: usize, found: &mut Vec<Diagnostic>) -> Vec<Token> {
    let mut tokens: Vec<Token> = Vec::new();
    let mut at = 0;
    while let Some(c) = line.get(at..).and_then(|rest| rest.chars().next()) {
        let rest = &line[at..];
        let mark = |mark, bytes: usize| (Kind::Mark(mark), bytes);
        let arrow = ["→", "⇒", "->", "=>"].iter().find(|arrow| rest.starts_with(**arrow));
        let (kind, bytes) = match c {
            _ if c.is_whitespace() || c == '\u{feff}' => {
                at += c.len_utf8();
                continue;
            }
            _ if arrow.is_some() => mark('>', arrow.map_or(1, |arrow| arrow.len())),
            ',' | ';' | '(' | ')' | ':' => mark(c, 1),
            '•' => mark('-', c.len_utf8()),
            '*' | '-' if tokens.is_empty() && rest[1..].starts_with([' ', '\t']) => mark('-', 1),
            '"' | '“' | '”' => {
                let open = c.len_utf8();
                let Some(length) = rest[open..].find(['"', '“', '”']) else {
                    let end = line.trim_end().len();
                    let span = Span::new(start + at, start + end);
                    found.push(
                        Diagnostic::error(code::RECIPE_FORM, span, "the quotation is not closed")
                            .help("a quotation ends on the line that it begins on, with another `\"`"),
                    );
                    return tokens;
                };
                let inner = &rest[open..open + length];
                let close = rest[open + length..].chars().next().map_or(1, char::len_utf8);
                let span = Span::new(start + at, start + at + open + length + close);
                tokens.push(Token { kind: Kind::Quoted, text: inner.to_owned(), word: inner.to_lowercase(), span });
                at += open + length + close;
                continue;
            }
            _ => {
                let end = rest
                    .char_indices()
                    .find(|(at, c)| {
                        c.is_whitespace()
                            || matches!(c, ',' | ';' | '(' | ')' | '"' | '“' | '”' | '→' | '⇒')
                            || rest[*at..].starts_with("->")
                            || rest[*at..].starts_with("=>")
                    })
                    .map_or(rest.len(), |(at, _)| at);
                // What ends a sentence is no part of its last word.
                let word = rest[..end].trim_end_matches(['.', ':', '!', '?']);
                match word.is_empty() {
                    true => mark('.', rest[..end].chars().next().map_or(1, char::len_utf8)),
                    false => (kind(word), word.len()),
                }
            }
        };
        let text = &rest[..bytes];
        // A question mark or an exclamation mark ends a sentence as a full stop does.
        let span = Span::new(start + at, start + at + bytes);
        tokens.push(Token { kind, text: text.to_owned(), word: text.to_lowercase(), span });
        at += bytes;
    }
    tokens
}

/// Endings of files that recipes name.
const ENDINGS: &[&str] = &["png", "jpg", "jpeg", "webp", "gif", "mp4", "mp3", "wav", "txt", "csv", "json"];

fn kind(word: &str) -> Kind {
    let lower = word.to_lowercase();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some((left, right)) = lower.split_once(':')
        && is_number(left)
        && is_number(right)
    {
        return Kind::Aspect;
    }
    let sides = lower.strip_suffix("px").unwrap_or(&lower);
    if let Some((width, height)) = sides.split_once(['x', '×'])
        && let (Ok(width), Ok(height)) = (width.parse(), height.parse())
    {
        return Kind::Size { width, height };
    }
    if let Some(hex) = lower.strip_prefix('#')
        && matches!(hex.len(), 6 | 8)
        && hex.bytes().all(|byte| byte.is_ascii_hexdigit())
    {
        return Kind::Color;
    }
    let begins = ["./", "../", "/", "~/"].iter().any(|begin| word.starts_with(begin));
    let ends = lower.rsplit_once('.').is_some_and(|(stem, ending)| !stem.is_empty() && ENDINGS.contains(&ending));
    if begins || ends || word.ends_with('/') || word.contains("://") {
        return Kind::Path;
    }
    let digits = lower.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(lower.len());
    let units = ["", "px", "%", "x", "ms", "s", "m", "h", "d"];
    if let Ok(value) = lower[..digits].parse::<f64>()
        && let Some(unit) = units.iter().find(|unit| **unit == &lower[digits..])
    {
        return Kind::Number { value, unit };
    }
    Kind::Word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_apart_by_their_looks() {
        let cases = [
            ("mug", Kind::Word),
            ("42", Kind::Number { value: 42.0, unit: "" }),
            ("30px", Kind::Number { value: 30.0, unit: "px" }),
            ("85%.", Kind::Number { value: 85.0, unit: "%" }),
            ("1920x1080", Kind::Size { width: 1920, height: 1080 }),
            ("16:9", Kind::Aspect),
            ("./out/", Kind::Path),
            ("logo.png", Kind::Path),
            ("minimax/video-01", Kind::Word),
            ("#ff8800", Kind::Color),
            ("“a, b”", Kind::Quoted),
            ("→", Kind::Mark('>')),
            ("->", Kind::Mark('>')),
        ];
        for (text, want) in cases {
            assert_eq!(tokens(text, 0, &mut Vec::new())[0].kind, want, "{text}");
        }
    }
}
