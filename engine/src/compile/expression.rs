//! Values with expressions in them.

use super::Compiler;
use super::scope::{Lost, View};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::eval;
use crate::expr::{Expr, ExprError, Part, Reference, Template};
use crate::names::{self, Path};
use crate::node::{Node, NodeKind};
use crate::scan::{self, Piece};
use crate::source::Span;
use crate::suggest;
use crate::token;
use crate::types::{self, Type, Typed};
use serde_json::Value;
use std::ops::Range;

/// The longest expression, in bytes.
const EXPRESSION_MAX: usize = 4_096;
/// The most expressions of a file.
const EXPRESSIONS_MAX: usize = 10_000;

/// Where an expression stands in the file.
#[derive(Clone, Copy)]
struct Place {
    /// All of it, or what surrounds it where the text in the file is written otherwise (escapes, folded lines).
    whole: Span,
    exact: bool,
}

impl Place {
    fn span(self, range: &Range<usize>) -> Span {
        if self.exact { self.whole.part(range.start, range.end) } else { self.whole }
    }
}

impl<'a> Compiler<'a, '_> {
    /// A value of the file as a template, and its type. Nothing if there is a mistake in it.
    pub(super) fn template(&mut self, node: &'a Node, view: &View) -> Option<(Template, Type)> {
        match &node.kind {
            NodeKind::Text(text) => self.text_template(node, text, view),
            NodeKind::List(items) => {
                let items: Vec<_> = items.iter().map(|item| self.template(item, view)).collect();
                let items: Vec<(Template, Type)> = items.into_iter().collect::<Option<_>>()?;
                let ty = Type::list(items.iter().map(|(_, ty)| ty.clone()).reduce(Type::or).unwrap_or(Type::Any));
                if items.iter().all(|(item, _)| matches!(item, Template::Literal(_))) {
                    return Some((Template::Literal(node.to_json_unescaped()), ty));
                }
                Some((Template::List(items.into_iter().map(|(item, _)| item).collect()), ty))
            }
            NodeKind::Map(entries) => {
                let fields: Vec<_> =
                    entries.iter().map(|entry| (entry.key.text.clone(), self.template(&entry.value, view))).collect();
                let fields: Vec<(String, (Template, Type))> =
                    fields.into_iter().map(|(key, field)| Some((key, field?))).collect::<Option<_>>()?;
                let types = fields.iter().map(|(key, (_, ty))| (key.clone(), ty.clone())).collect();
                let ty = Type::Object { fields: types, open: false };
                if fields.iter().all(|(_, (field, _))| matches!(field, Template::Literal(_))) {
                    return Some((Template::Literal(node.to_json_unescaped()), ty));
                }
                Some((Template::Map(fields.into_iter().map(|(key, (field, _))| (key, field)).collect()), ty))
            }
            kind => {
                let ty = match kind {
                    NodeKind::Bool(_) => Type::Boolean,
                    NodeKind::Number(number) if number.is_f64() => Type::Number,
                    NodeKind::Number(_) => Type::Integer,
                    _ => Type::Null,
                };
                Some((Template::Literal(node.to_json()), ty))
            }
        }
    }

    fn text_template(&mut self, node: &Node, text: &str, view: &View) -> Option<(Template, Type)> {
        let pieces = match scan::pieces(text) {
            Ok(pieces) => pieces,
            Err(unclosed) => {
                let place = self.place(node, text, unclosed.at, &text[unclosed.at..unclosed.at + 3]);
                let help = "add the missing `}}`; a literal `${{` is written `$${{`";
                self.found.push(
                    Diagnostic::error(
                        code::BAD_EXPRESSION,
                        place.whole,
                        "the expression that begins here is not closed",
                    )
                    .help(help),
                );
                return None;
            }
        };
        if !pieces.iter().any(|piece| matches!(piece, Piece::Expr { .. })) {
            let plain = pieces.into_iter().next().map_or_else(String::new, |piece| match piece {
                Piece::Text(text) => text,
                Piece::Expr { source, .. } => source,
            });
            return Some((Template::Literal(Value::String(plain)), Type::Text));
        }
        let blank = |piece: &&Piece| !matches!(piece, Piece::Text(text) if text.trim().is_empty());
        if let [Piece::Expr { source, at }] = pieces.iter().filter(blank).collect::<Vec<_>>()[..] {
            let place = self.place(node, text, *at, source);
            let (expr, ty) = self.expression(source, place, view)?;
            return Some((Template::Expr(expr), ty));
        }
        let parts: Vec<Option<Part>> = pieces
            .into_iter()
            .map(|piece| match piece {
                Piece::Text(text) => Some(Part::Text(text)),
                Piece::Expr { source, at } => {
                    let place = self.place(node, text, at, &source);
                    let (expr, ty) = self.expression(&source, place, view)?;
                    self.fits_text(&source, place.whole, &ty);
                    Some(Part::Expr(expr))
                }
            })
            .collect();
        Some((Template::Text(parts.into_iter().collect::<Option<_>>()?), Type::Text))
    }

    fn fits_text(&mut self, source: &str, span: Span, ty: &Type) {
        let help = match ty {
            Type::Artifact(_) => format!(
                "write `{source}.name` for its name, `{source}.stem` without extension, or `{source}.url` for a link"
            ),
            Type::List(_) => format!("write `{source} | join(', ')`, or one of its items: `{source}[0]`"),
            Type::Box | Type::Object { .. } => "name the field that is meant".to_owned(),
            _ => return,
        };
        let message = format!("`{source}` is {} and can't be put into text", ty.describe());
        self.found.push(Diagnostic::error(code::NOT_TEXT, span, message).help(help));
    }

    /// A value that is an expression as it is, braces allowed: `if`, `for-each`.
    pub(super) fn bare(&mut self, node: &Node, view: &View) -> Option<(Expr, Type)> {
        let text = match &node.kind {
            NodeKind::Text(text) => text.clone(),
            NodeKind::Bool(value) => value.to_string(),
            NodeKind::Number(number) => number.to_string(),
            _ => {
                let message = format!("an expression is expected, and this is {}", node.describe());
                self.found.push(Diagnostic::error(code::WRONG_SHAPE, node.span, message));
                return None;
            }
        };
        match scan::pieces(&text) {
            Ok(pieces) if text.contains("${{") => {
                if let [Piece::Expr { source, at }] = pieces.as_slice() {
                    let place = self.place(node, &text, *at, source);
                    return self.expression(source, place, view);
                }
                let error = Diagnostic::error(code::BAD_EXPRESSION, node.span, "this has to be one expression")
                    .help("write it without braces: `steps.a.status == 'completed' and inputs.b`");
                self.found.push(error);
                None
            }
            _ => {
                let source = text.trim();
                let lead = text.len() - text.trim_start().len();
                let place = self.place(node, &text, lead, source);
                self.expression(source, place, view)
            }
        }
    }

    /// Where the part of a text that begins at `at` stands in the file.
    fn place(&self, node: &Node, text: &str, at: usize, part: &str) -> Place {
        let raw = self.source.slice(node.span);
        let quoted = raw.starts_with(['"', '\'']);
        let direct = at + usize::from(quoted);
        let found = raw.get(direct..).is_some_and(|rest| rest.starts_with(part)).then_some(direct).or_else(|| {
            // Escapes or folded lines came before: the expression of the same number is the same one.
            let number = text[..at].matches("${{").count();
            let open = raw.match_indices("${{").nth(number.saturating_sub(1)).map_or(0, |(open, _)| open);
            raw[open..].find(part).map(|found| open + found)
        });
        match found.filter(|_| !part.is_empty()) {
            Some(start) => Place { whole: node.span.part(start, start + part.len()), exact: true },
            None => Place { whole: node.span, exact: false },
        }
    }

    fn expression(&mut self, source: &str, place: Place, view: &View) -> Option<(Expr, Type)> {
        let bad = |range: &Range<usize>, message: String, help: String| {
            Diagnostic::error(code::BAD_EXPRESSION, place.span(range), message).help(help)
        };
        let all = 0..source.len();
        self.expressions += 1;
        if self.expressions > EXPRESSIONS_MAX {
            if self.expressions == EXPRESSIONS_MAX + 1 {
                let message = format!("the file has more than {EXPRESSIONS_MAX} expressions");
                self.found
                    .push(Diagnostic::error(code::TOO_LARGE, place.whole, message).help("use `for-each` or `matrix`"));
            }
            return None;
        }
        if source.is_empty() {
            self.found.push(bad(
                &all,
                "the expression is empty".into(),
                "write what is meant, such as `inputs.prompt`".into(),
            ));
            return None;
        }
        if source.len() > EXPRESSION_MAX {
            let message = format!("the expression is longer than {EXPRESSION_MAX} bytes");
            self.found.push(bad(&all, message, "give long texts and lists as inputs".into()));
            return None;
        }
        let tokens = match token::tokens(source) {
            Ok(tokens) => tokens,
            Err(error) => {
                self.found.push(bad(&error.range, error.message, error.help));
                return None;
            }
        };
        let mut names = names::names(source, &tokens, &|root, name| self.knows(view, root, name));
        let mut sound = names.mistakes.is_empty();
        for mistake in names.mistakes.drain(..) {
            self.found.push(bad(&mistake.range, mistake.message, mistake.help));
        }
        // What stands between words is checked by Jinja itself, on the text as it was written.
        if sound && let Err(detail) = eval::Program::new(self.spelled(source, &names.paths), None) {
            let help = "expressions are those of Jinja, such as `inputs.a or inputs.b`".to_owned();
            self.found.push(bad(&all, format!("the expression can't be read: {detail}"), help));
            return None;
        }
        let mut references: Vec<Reference> = Vec::new();
        let mut normalized = String::new();
        let mut copied = 0;
        let mut typed: Vec<(&Path, Type, usize)> = Vec::new();
        for path in &names.paths {
            let found = match self.resolve(view, path, place.span(&path.range)) {
                Ok(found) => found,
                Err(lost) => {
                    let span = place.span(&lost.range);
                    self.lost(lost, span);
                    sound = false;
                    continue;
                }
            };
            let rest = &path.segments[found.covered..];
            if let Err((segment, ty, names)) = types::follow(found.ty.clone(), rest) {
                self.no_field(source, path, segment, &ty, &names, place);
                sound = false;
            }
            let number = references.iter().position(|known| *known == found.reference).unwrap_or_else(|| {
                references.push(found.reference);
                references.len() - 1
            });
            let root_end = path.range.start + path.root.len();
            let end = found.covered.checked_sub(1).and_then(|last| path.segments.get(last)).map_or(root_end, |s| s.end);
            normalized.push_str(&source[copied..path.range.start]);
            normalized.push_str(&format!("_r{number}"));
            copied = end;
            typed.push((path, found.ty, found.covered));
        }
        normalized.push_str(&source[copied..]);
        if !sound {
            return None;
        }
        let inferring = Typed { tokens: &tokens, paths: &typed };
        for attribute in &names.attributes {
            let item = inferring.range(attribute.list.clone()).item();
            if let Err(known) = item.field(&attribute.name) {
                let help =
                    suggest::advice(&attribute.name, known.iter().map(String::as_str), "the items have no attributes");
                let message = format!(
                    "the items are {}s and have no `{}`",
                    item.describe().trim_start_matches("a "),
                    attribute.name
                );
                let message = message.replace("items are an objects", "items");
                let message = message.replace("items and have", "items have");
                self.found
                    .push(Diagnostic::error(code::UNKNOWN_OUTPUT, place.span(&attribute.range), message).help(help));
                sound = false;
            }
        }
        let ty = inferring.infer();
        let only = match typed.as_slice() {
            [(path, _, covered)] if path.tokens == (0..tokens.len()) => Some(&path.segments[*covered..]),
            _ => None,
        };
        match eval::expr(source, normalized, references, only) {
            Ok(expr) => sound.then_some((expr, ty)),
            Err(ExprError::Syntax { detail, .. } | ExprError::Failed { detail, .. }) => {
                let help = "expressions are those of Jinja, such as `inputs.a or inputs.b`".to_owned();
                self.found.push(bad(&all, format!("the expression can't be read: {detail}"), help));
                None
            }
            Err(_) => None,
        }
    }

    /// The expression with its paths replaced by plain words, for reading its grammar only.
    fn spelled(&self, source: &str, paths: &[Path]) -> String {
        let mut spelled = String::new();
        let mut copied = 0;
        for path in paths {
            spelled.push_str(&source[copied..path.range.start]);
            spelled.push_str("_r0");
            copied = path.range.end;
        }
        spelled + &source[copied..]
    }

    fn no_field(
        &mut self,
        source: &str,
        path: &Path,
        segment: &names::Segment,
        ty: &Type,
        known: &[String],
        place: Place,
    ) {
        let before = source[path.range.start..segment.range.start].trim_end_matches(['.', '[', '"', '\'']);
        let name = &source[segment.range.clone()];
        let help = match ty {
            Type::List(_) => format!("it is a list: `{before}[0].{name}` is of its first item"),
            _ => suggest::advice(name, known.iter().map(String::as_str), ""),
        };
        let message = format!("`{before}` is {} and has no `{name}`", ty.describe());
        self.lost(
            Lost { code: code::UNKNOWN_OUTPUT, message, label: String::new(), help, range: segment.range.clone() },
            place.span(&segment.range),
        );
    }
}
