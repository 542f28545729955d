//! What is known of a value before the run.

use crate::names::{Path, Segment, SegmentKind};
use crate::token::{Token, TokenKind};
use darkroom_proto::Kind;
use darkroom_proto::op::OutputType;
use std::ops::Range;

/// The fields of an artifact in expressions.
pub(crate) const ARTIFACT_FIELDS: &[&str] =
    &["sha256", "media_type", "bytes", "width", "height", "duration", "name", "stem", "ext", "url"];

/// The type of a value, as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    /// Nothing is known.
    Any,
    /// `none`.
    Null,
    Text,
    /// One of these words.
    Word(Vec<String>),
    Integer,
    Number,
    Boolean,
    /// An artifact; of this kind, if that is known.
    Artifact(Option<Kind>),
    /// `{x, y, w, h}`.
    Box,
    List(Box<Type>),
    /// An object with these fields, and possibly others.
    Object {
        fields: Vec<(String, Type)>,
        open: bool,
    },
}

impl Type {
    pub(crate) fn list(of: Type) -> Type {
        Type::List(Box::new(of))
    }

    /// What an op gives.
    pub(crate) fn of_output(ty: OutputType, incoming: Option<Kind>) -> Type {
        match ty {
            OutputType::Artifact(kind) => Type::Artifact(Some(kind)),
            OutputType::SameArtifact => Type::Artifact(incoming),
            OutputType::Boxes => Type::list(Type::Box),
            OutputType::TextList => Type::list(Type::Text),
            OutputType::NumberList => Type::list(Type::Number),
            OutputType::Text => Type::Text,
            OutputType::Number => Type::Number,
            OutputType::Boolean => Type::Boolean,
            OutputType::Any => Type::Any,
        }
    }

    /// For messages: "a picture".
    pub(crate) fn describe(&self) -> String {
        match self {
            Type::Any => "a value".into(),
            Type::Null => "nothing".into(),
            Type::Text | Type::Word(_) => "text".into(),
            Type::Integer => "a whole number".into(),
            Type::Number => "a number".into(),
            Type::Boolean => "true or false".into(),
            Type::Artifact(kind) => describe_kind(*kind).into(),
            Type::Box => "a box".into(),
            Type::List(of) if **of == Type::Any => "a list".into(),
            Type::List(of) => match of.describe().split_once(' ') {
                Some(("a" | "an", noun)) => format!("a list of {}", plural(noun)),
                _ => "a list".into(),
            },
            Type::Object { .. } => "an object".into(),
        }
    }

    /// What `name` of it is; an error holds the names that there are.
    pub(crate) fn field(&self, name: &str) -> Result<Type, Vec<String>> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        match self {
            Type::Artifact(_) => match name {
                "bytes" | "width" | "height" => Ok(Type::Integer),
                "duration" => Ok(Type::Number),
                _ if ARTIFACT_FIELDS.contains(&name) => Ok(Type::Text),
                _ => Err(names(ARTIFACT_FIELDS)),
            },
            Type::Box => match name {
                "x" | "y" | "w" | "h" => Ok(Type::Integer),
                _ => Err(names(&["x", "y", "w", "h"])),
            },
            Type::Object { fields, open } => match fields.iter().find(|(field, _)| field == name) {
                Some((_, ty)) => Ok(ty.clone()),
                None if *open => Ok(Type::Any),
                None => Err(fields.iter().map(|(field, _)| field.clone()).collect()),
            },
            Type::Text | Type::Word(_) | Type::Integer | Type::Number | Type::Boolean | Type::List(_) => {
                Err(Vec::new())
            }
            Type::Any | Type::Null => Ok(Type::Any),
        }
    }

    /// What an item of it is.
    pub(crate) fn item(&self) -> Type {
        match self {
            Type::List(of) => (**of).clone(),
            _ => Type::Any,
        }
    }

    /// What a value is that may be this or that.
    pub(crate) fn or(self, other: Type) -> Type {
        match (self, other) {
            (Type::Null, ty) | (ty, Type::Null) => ty,
            (Type::Integer, Type::Number) | (Type::Number, Type::Integer) => Type::Number,
            (Type::Artifact(a), Type::Artifact(b)) => Type::Artifact(a.filter(|_| a == b)),
            (Type::List(a), Type::List(b)) => Type::list(a.or(*b)),
            (Type::Text | Type::Word(_), Type::Text | Type::Word(_)) => Type::Text,
            (a, b) if a == b => a,
            _ => Type::Any,
        }
    }
}

/// "a picture".
pub(crate) fn describe_kind(kind: Option<Kind>) -> &'static str {
    match kind {
        Some(Kind::Image) => "a picture",
        Some(Kind::Video) => "a video",
        Some(Kind::Audio) => "a sound",
        Some(Kind::File) | None => "a file",
    }
}

fn plural(noun: &str) -> String {
    match noun {
        "box" => "boxes".into(),
        "text" => "texts".into(),
        _ => format!("{noun}s"),
    }
}

/// An expression whose paths are resolved, so that its type can be inferred.
pub(crate) struct Typed<'a> {
    pub tokens: &'a [Token],
    /// Each path with the type of its root and how many segments that covers.
    pub paths: &'a [(&'a Path, Type, usize)],
}

impl Typed<'_> {
    /// The type of the whole expression.
    pub(crate) fn infer(&self) -> Type {
        self.range(0..self.tokens.len())
    }

    /// The type of a part of it.
    pub(crate) fn range(&self, range: Range<usize>) -> Type {
        let Some(first) = self.tokens.get(range.start).filter(|_| !range.is_empty()) else { return Type::Any };
        if range.len() == 1 {
            match &first.kind {
                TokenKind::Integer(_) => return Type::Integer,
                TokenKind::Float => return Type::Number,
                TokenKind::Text(_) => return Type::Text,
                TokenKind::Name(name) => match name.as_str() {
                    "true" | "false" | "True" | "False" => return Type::Boolean,
                    "none" | "None" => return Type::Null,
                    _ => {}
                },
                TokenKind::Sign(_) => return Type::Any,
            }
        }
        if let Some((path, ty, covered)) = self.paths.iter().find(|(path, ..)| path.tokens == range) {
            return follow(ty.clone(), &path.segments[*covered..]).unwrap_or(Type::Any);
        }
        let word = |word: &'static str| self.split(range.clone(), move |token| token.name() == Some(word));
        let sign = |sign: &'static str| self.split(range.clone(), move |token| token.is(sign));
        if let Some(at) = word("if").first() {
            let otherwise = word("else").first().map_or(Type::Null, |at| self.range(at + 1..range.end));
            return self.range(range.start..*at).or(otherwise);
        }
        let ors = word("or");
        if !ors.is_empty() {
            return self.parts(&range, &ors).reduce(Type::or).unwrap_or(Type::Any);
        }
        if !word("and").is_empty() {
            return Type::Any;
        }
        let compares = |token: &Token| {
            ["==", "!=", "<", ">", "<=", ">="].iter().any(|sign| token.is(sign))
                || matches!(token.name(), Some("in" | "is"))
        };
        if first.name() == Some("not") || !self.split(range.clone(), compares).is_empty() {
            return Type::Boolean;
        }
        if !sign("~").is_empty() {
            return Type::Text;
        }
        let sums = sign("+");
        if !sums.is_empty() {
            return self.parts(&range, &sums).reduce(sum).unwrap_or(Type::Any);
        }
        if ["-", "*", "/", "//", "%", "**"].iter().any(|operator| !sign(operator).is_empty()) {
            return Type::Any;
        }
        if let Some(pipe) = sign("|").last() {
            return self.filtered(self.range(range.start..*pipe), *pipe + 1..range.end);
        }
        let closes_last = |opens: &str, closes: &str| {
            first.is(opens) && self.closing(range.start) == Some(range.end - 1) && self.tokens[range.end - 1].is(closes)
        };
        let inner = range.start + 1..range.end - 1;
        if closes_last("(", ")") {
            return self.range(inner);
        }
        if closes_last("[", "]") {
            let commas = self.split(inner.clone(), |token| token.is(","));
            let items = self.parts(&inner, &commas).filter(|ty| *ty != Type::Null);
            return Type::list(items.reduce(Type::or).unwrap_or(Type::Any));
        }
        if first.name() == Some("range") {
            return Type::list(Type::Integer);
        }
        Type::Any
    }

    fn parts<'b>(&'b self, range: &'b Range<usize>, splits: &'b [usize]) -> impl Iterator<Item = Type> + 'b {
        let starts = std::iter::once(range.start).chain(splits.iter().map(|at| at + 1));
        let ends = splits.iter().copied().chain(std::iter::once(range.end));
        starts.zip(ends).filter(|(start, end)| start < end).map(|(start, end)| self.range(start..end))
    }

    /// Where tokens that match stand in `range` outside of brackets.
    fn split(&self, range: Range<usize>, matches: impl Fn(&Token) -> bool) -> Vec<usize> {
        let mut depth = 0usize;
        let mut found = Vec::new();
        for at in range.clone() {
            let token = &self.tokens[at];
            match token.kind {
                TokenKind::Sign("(" | "[" | "{") => depth += 1,
                TokenKind::Sign(")" | "]" | "}") => depth = depth.saturating_sub(1),
                // An attribute may be called like a keyword, and a first `-` is no subtraction.
                _ if depth == 0
                    && at > range.start
                    && matches(token)
                    && !(token.name().is_some() && self.tokens[at - 1].is(".")) =>
                {
                    found.push(at);
                }
                _ => {}
            }
        }
        found
    }

    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0usize;
        for (at, token) in self.tokens.iter().enumerate().skip(open) {
            match token.kind {
                TokenKind::Sign("(" | "[" | "{") => depth += 1,
                TokenKind::Sign(")" | "]" | "}") => {
                    depth -= 1;
                    if depth == 0 {
                        return Some(at);
                    }
                }
                _ => {}
            }
        }
        None
    }

    fn filtered(&self, ty: Type, filter: Range<usize>) -> Type {
        let Some(name) = self.tokens[filter.clone()].first().and_then(Token::name) else { return Type::Any };
        match name {
            "list" | "reverse" | "sort" | "unique" | "selectattr" | "rejectattr" | "select" | "reject" | "where_in" => {
                ty
            }
            "first" | "last" | "min" | "max" => ty.item(),
            "length" | "count" | "int" => Type::Integer,
            "float" | "round" => Type::Number,
            "bool" => Type::Boolean,
            "join" | "lower" | "upper" | "title" | "capitalize" | "trim" | "replace" | "slug" | "string" | "format"
            | "indent" => Type::Text,
            "split" | "lines" => Type::list(Type::Text),
            "default" | "d" if filter.len() > 3 => ty.or(self.range(filter.start + 2..filter.end - 1)),
            "map" => match self.tokens.get(filter.start + 4).map(|token| &token.kind) {
                Some(TokenKind::Text(attribute)) if self.tokens[filter.start + 2].name() == Some("attribute") => {
                    let of = attribute.split('.').try_fold(ty.item(), |ty, name| ty.field(name));
                    Type::list(of.unwrap_or(Type::Any))
                }
                _ => Type::list(Type::Any),
            },
            _ => Type::Any,
        }
    }
}

fn sum(a: Type, b: Type) -> Type {
    match (a, b) {
        (Type::List(a), Type::List(b)) => Type::list(a.or(*b)),
        (Type::Integer, Type::Integer) => Type::Integer,
        (Type::Integer | Type::Number, Type::Integer | Type::Number) => Type::Number,
        (Type::Text | Type::Word(_), Type::Text | Type::Word(_)) => Type::Text,
        _ => Type::Any,
    }
}

/// The type of what a path takes of a value; an error names the segment that does not exist and what there is.
pub(crate) fn follow(ty: Type, segments: &[Segment]) -> Result<Type, (&Segment, Type, Vec<String>)> {
    segments.iter().try_fold(ty, |ty, segment| match &segment.kind {
        SegmentKind::Name(name) => ty.field(name).map_err(|names| (segment, ty.clone(), names)),
        SegmentKind::Index(_) => Ok(ty.item()),
        SegmentKind::Dynamic => Ok(Type::Any),
    })
}
