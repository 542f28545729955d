//! The names in an expression: which values it reads, by which path, and which filters it uses.
//!
//! The language of expressions binds no names, so every word that is not a keyword, an attribute, a filter, a test or a
//! keyword argument is a value from outside.

use crate::suggest;
use crate::token::{LexError, Token, TokenKind};
use std::ops::Range;

/// A value from outside, and what is taken of it: `steps.detect.boxes[0].x`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Path {
    /// The first word.
    pub root: String,
    /// What follows.
    pub segments: Vec<Segment>,
    /// The tokens that it consists of.
    pub tokens: Range<usize>,
    /// Its bytes in the expression.
    pub range: Range<usize>,
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Segment {
    pub kind: SegmentKind,
    /// Its bytes in the expression, without dot or brackets.
    pub range: Range<usize>,
    /// Where what follows it begins, for cutting the path here.
    pub end: usize,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SegmentKind {
    /// `.name` or `['name']`
    Name(String),
    /// `[0]`
    Index(i64),
    /// `[anything else]`: nothing can be known of it.
    Dynamic,
}

/// An attribute that a filter takes of each item of a list: `steps.x.results | map(attribute='image')`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Attribute {
    /// The tokens of the list.
    pub list: Range<usize>,
    /// The attribute; only what stands before its first dot.
    pub name: String,
    /// Its bytes, without the quotes.
    pub range: Range<usize>,
}

/// What an expression reads and uses.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub paths: Vec<Path>,
    pub attributes: Vec<Attribute>,
    pub mistakes: Vec<LexError>,
}

const KEYWORDS: &[&str] =
    &["and", "or", "not", "in", "is", "if", "else", "true", "false", "none", "True", "False", "None"];

/// The filters of expressions.
pub(crate) const FILTERS: &[&str] = &[
    "abs",
    "attr",
    "batch",
    "bool",
    "capitalize",
    "chain",
    "count",
    "d",
    "default",
    "dictsort",
    "first",
    "float",
    "format",
    "groupby",
    "indent",
    "int",
    "items",
    "join",
    "last",
    "length",
    "lines",
    "list",
    "lower",
    "map",
    "max",
    "min",
    "reject",
    "rejectattr",
    "replace",
    "reverse",
    "round",
    "select",
    "selectattr",
    "slice",
    "slug",
    "sort",
    "split",
    "string",
    "sum",
    "title",
    "trim",
    "unique",
    "upper",
    "where_in",
    "zip",
];

/// The tests of expressions, after `is`.
pub(crate) const TESTS: &[&str] = &[
    "boolean",
    "defined",
    "divisibleby",
    "endingwith",
    "eq",
    "equalto",
    "even",
    "false",
    "float",
    "ge",
    "greaterthan",
    "gt",
    "in",
    "int",
    "integer",
    "iterable",
    "le",
    "lessthan",
    "lower",
    "lt",
    "mapping",
    "ne",
    "none",
    "number",
    "odd",
    "sameas",
    "sequence",
    "startingwith",
    "string",
    "true",
    "undefined",
    "upper",
];

/// The functions of expressions.
pub(crate) const FUNCTIONS: &[&str] = &["range", "dict"];

/// Filters of a list whose first text argument, or `attribute=`, names an attribute of its items.
const BY_ATTRIBUTE: &[&str] = &["selectattr", "rejectattr", "groupby", "where_in"];

/// The names in `tokens`. `known` tells whether there is something of this name under a root: names may have dashes in
/// them, which are signs otherwise, so `steps.contact-sheet.image` means a step only if there is one of that name.
pub(crate) fn names(source: &str, tokens: &[Token], known: &dyn Fn(&str, &str) -> bool) -> Names {
    let mut names = Names::default();
    let mut at = 0;
    while at < tokens.len() {
        let Some(name) = tokens[at].name() else {
            at += 1;
            continue;
        };
        let before = at.checked_sub(1).map(|before| &tokens[before]);
        let after = tokens.get(at + 1);
        if before.is_some_and(|token| token.is("|")) {
            check(&mut names, &tokens[at], name, "filter", FILTERS);
            attribute(&mut names, tokens, at);
            at += 1;
        } else if before.is_some_and(|token| token.is(".")) {
            at += 1;
        } else if is_test(tokens, at) {
            if name != "not" {
                check(&mut names, &tokens[at], name, "test", TESTS);
            }
            at += 1;
        } else if KEYWORDS.contains(&name)
            || (after.is_some_and(|token| token.is("=")) && before.is_some_and(|token| token.is("(") || token.is(",")))
        {
            at += 1;
        } else if after.is_some_and(|token| token.is("(")) {
            check(&mut names, &tokens[at], name, "function", FUNCTIONS);
            at += 1;
        } else {
            let path = path(source, tokens, at, known, &mut names.mistakes);
            at = path.tokens.end;
            names.paths.push(path);
        }
    }
    names
}

fn is_test(tokens: &[Token], at: usize) -> bool {
    let word = |back: usize| at.checked_sub(back).and_then(|before| tokens[before].name());
    word(1) == Some("is") || (word(1) == Some("not") && word(2) == Some("is"))
}

fn check(names: &mut Names, token: &Token, name: &str, what: &str, known: &'static [&'static str]) {
    if !known.contains(&name) {
        names.mistakes.push(LexError {
            message: format!("there is no {what} `{name}`"),
            help: suggest::advice(name, known.iter().copied(), ""),
            range: token.range.clone(),
        });
    }
}

/// The attribute that the filter at `at` takes, if it is written out.
fn attribute(names: &mut Names, tokens: &[Token], at: usize) {
    let Some(filter) = tokens[at].name() else { return };
    if !tokens.get(at + 1).is_some_and(|token| token.is("(")) {
        return;
    }
    let mut argument = at + 2;
    let keyword = tokens.get(argument).and_then(Token::name) == Some("attribute")
        && tokens.get(argument + 1).is_some_and(|token| token.is("="));
    if keyword {
        argument += 2;
    } else if !BY_ATTRIBUTE.contains(&filter) {
        return;
    }
    let Some(Token { kind: TokenKind::Text(text), range }) = tokens.get(argument) else { return };
    let name = text.split(['.', '[']).next().unwrap_or_default().to_owned();
    let Some(start) = operand(tokens, at - 1) else { return };
    names.attributes.push(Attribute {
        list: start..at - 1,
        range: range.start + 1..range.start + 1 + name.len(),
        name,
    });
}

/// Where the operand of the `|` at `pipe` begins: a path, a bracket, or another filtered value.
fn operand(tokens: &[Token], pipe: usize) -> Option<usize> {
    let mut depth = 0usize;
    let mut at = pipe;
    while at > 0 {
        let token = &tokens[at - 1];
        let TokenKind::Sign(sign) = token.kind else {
            if depth == 0
                && token.name().is_some_and(|name| {
                    KEYWORDS.contains(&name) && !tokens.get(at.wrapping_sub(2)).is_some_and(|t| t.is("."))
                })
            {
                return Some(at);
            }
            at -= 1;
            continue;
        };
        match sign {
            ")" | "]" | "}" => depth += 1,
            "(" | "[" | "{" if depth == 0 => return Some(at),
            "(" | "[" | "{" => depth -= 1,
            "." | "|" => {}
            _ if depth == 0 => return Some(at),
            _ => {}
        }
        at -= 1;
    }
    Some(0)
}

fn path(
    source: &str,
    tokens: &[Token],
    at: usize,
    known: &dyn Fn(&str, &str) -> bool,
    mistakes: &mut Vec<LexError>,
) -> Path {
    let root = tokens[at].name().unwrap_or_default().to_owned();
    let mut segments: Vec<Segment> = Vec::new();
    let mut next = at + 1;
    let mut end = tokens[at].range.end;
    loop {
        let token = |offset: usize| tokens.get(next + offset);
        if token(0).is_some_and(|token| token.is(".")) {
            let Some(word) = token(1).filter(|token| matches!(token.kind, TokenKind::Name(_) | TokenKind::Integer(_)))
            else {
                break;
            };
            if token(2).is_some_and(|token| token.is("(")) {
                mistakes.push(LexError {
                    message: format!("values have no methods, so `{}(…)` can't be called", &source[word.range.clone()]),
                    help: "use a filter: `value | filter`".to_owned(),
                    range: word.range.clone(),
                });
            }
            let dashed = segments.is_empty().then(|| dashed(source, &root, word.range.start, known)).flatten();
            end = dashed.unwrap_or(word.range.end);
            let range = word.range.start..end;
            let kind = match word.kind {
                TokenKind::Integer(index) if dashed.is_none() => SegmentKind::Index(index),
                _ => SegmentKind::Name(source[range.clone()].to_owned()),
            };
            segments.push(Segment { kind, range, end });
            next += 1;
            while tokens.get(next).is_some_and(|token| token.range.start < end) {
                next += 1;
            }
        } else if token(0).is_some_and(|token| token.is("[")) {
            let literal =
                |offset: usize| token(offset).filter(|_| token(offset + 1).is_some_and(|token| token.is("]")));
            let (kind, word, len) = match (literal(1), literal(2)) {
                (Some(Token { kind: TokenKind::Text(text), range }), _) => {
                    (SegmentKind::Name(text.clone()), range.start + 1..range.end - 1, 3)
                }
                (Some(Token { kind: TokenKind::Integer(index), range }), _) => {
                    (SegmentKind::Index(*index), range.clone(), 3)
                }
                (None, Some(Token { kind: TokenKind::Integer(index), range }))
                    if token(1).is_some_and(|t| t.is("-")) =>
                {
                    (SegmentKind::Index(-index), range.clone(), 4)
                }
                _ => {
                    // What stands inside is looked at by the caller, as an expression of its own.
                    let close = closing(tokens, next).unwrap_or(next);
                    let start = token(1).map_or(end, |token| token.range.start);
                    let range = start..tokens[close].range.start.max(start);
                    segments.push(Segment { kind: SegmentKind::Dynamic, range, end });
                    break;
                }
            };
            end = tokens[next + len - 1].range.end;
            segments.push(Segment { kind, range: word, end });
            next += len;
        } else {
            break;
        }
    }
    Path { root, segments, tokens: at..next, range: tokens[at].range.start..end }
}

/// The token that closes the bracket at `open`.
fn closing(tokens: &[Token], open: usize) -> Option<usize> {
    let mut depth = 0usize;
    tokens.iter().enumerate().skip(open).find_map(|(at, token)| {
        match token.kind {
            TokenKind::Sign("(" | "[" | "{") => depth += 1,
            TokenKind::Sign(")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        (depth == 0).then_some(at)
    })
}

/// Where a name with dashes ends that begins at `start`: the longest one that is known, or, when no part of it is, all of
/// it, so that it can be reported as a whole.
fn dashed(source: &str, root: &str, start: usize, known: &dyn Fn(&str, &str) -> bool) -> Option<usize> {
    let rest = &source[start..];
    let run = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || c == '-')).unwrap_or(rest.len());
    let run = rest[..run].trim_end_matches('-');
    if !run.contains('-') || !matches!(root, "steps" | "inputs" | "matrix") {
        return None;
    }
    let mut candidate = run;
    loop {
        if known(root, candidate) {
            return Some(start + candidate.len());
        }
        match candidate.rfind('-') {
            Some(dash) => candidate = candidate[..dash].trim_end_matches('-'),
            None => return Some(start + run.len()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::token::tokens;

    fn found(source: &str) -> Vec<String> {
        let tokens = tokens(source).unwrap();
        let known = |_: &str, name: &str| ["contact-sheet", "resize", "resize-2", "hero"].contains(&name);
        let names = names(source, &tokens, &known);
        assert!(names.mistakes.is_empty(), "{source}: {:?}", names.mistakes);
        let segment = |segment: &Segment| match &segment.kind {
            SegmentKind::Name(name) => name.clone(),
            SegmentKind::Index(index) => format!("[{index}]"),
            SegmentKind::Dynamic => "[?]".into(),
        };
        let path =
            |path: &Path| format!("{}/{}", path.root, path.segments.iter().map(segment).collect::<Vec<_>>().join("/"));
        names.paths.iter().map(path).collect()
    }

    #[test]
    fn names_are_found_and_words_of_the_language_are_not() {
        let cases: &[(&str, &[&str])] = &[
            ("steps.detect.boxes[0].x + 1", &["steps/detect/boxes/[0]/x"]),
            ("inputs.photo or steps.hero.image", &["inputs/photo", "steps/hero/image"]),
            ("not inputs['a b']", &["inputs/a b"]),
            ("item.kind is not defined and x is string", &["item/kind", "x/"]),
            ("'steps.x' ~ item | replace('a', to) | upper", &["item/", "to/"]),
            ("steps[item.name].image", &["steps/[?]", "item/name"]),
            ("steps.contact-sheet.image", &["steps/contact-sheet/image"]),
            ("steps.resize-2.image", &["steps/resize-2/image"]),
            ("steps.resize-3", &["steps/resize"]),
            ("steps.sheet-x.image", &["steps/sheet-x/image"]),
            ("index-1", &["index/"]),
            ("range(3)[1] + dict(a=item)", &["item/"]),
            ("xs[1:n]", &["xs/[?]", "n/"]),
            ("xs[-1]", &["xs/[-1]"]),
            ("{'a': b}", &["b/"]),
            ("a if b else c", &["a/", "b/", "c/"]),
        ];
        for (source, want) in cases {
            assert_eq!(&found(source), want, "{source}");
        }
    }

    #[test]
    fn attributes_of_lists_are_found() {
        let source = "1 + steps.x.results | selectattr('ok') | map(attribute='image.url') | list";
        let tokens = tokens(source).unwrap();
        let names = names(source, &tokens, &|_, _| true);
        let texts: Vec<_> =
            names.attributes.iter().map(|found| (found.name.as_str(), &source[found.range.clone()])).collect();
        assert_eq!(texts, [("ok", "ok"), ("image", "image")]);
        assert_eq!(names.attributes[0].list, 2..7);
    }
}
