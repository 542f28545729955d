//! A sentence of a recipe, read word by word: its verbs, and for each what its words say.

mod text;

use super::setting;
use super::token::{Kind, Token};
use super::verbs::{ALL, FILLERS, MADE, OWN, PICTURES, VERBS, Verb, Words};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::node::{Node, NodeKind};
use crate::source::Span;
use darkroom_proto::op::{self, OpSpec, ParamType};
use serde_json::Value;

/// What one verb of a sentence says.
#[derive(Debug)]
pub(super) struct Clause {
    pub(super) verb: &'static Verb,
    /// None of a verb that only holds others together.
    pub(super) op: Option<&'static OpSpec>,
    pub(super) span: Span,
    pub(super) verb_span: Span,
    /// Parameters, in the order in which they are said.
    pub(super) with: Vec<(&'static str, Node)>,
    /// Parameters of which every value is wanted.
    pub(super) axes: Vec<Axis>,
    /// How many are to be made.
    pub(super) count: Option<(u64, Span)>,
    /// Whether all the pictures are meant.
    pub(super) all: bool,
    /// The number of the step whose picture is meant.
    pub(super) from: Option<(u64, Span)>,
    pub(super) pace: Option<(Pace, Span)>,
    /// A file or a folder.
    pub(super) path: Option<Node>,
    /// What is cropped to, as it was called when it was detected.
    pub(super) detected: Option<(String, Span)>,
    pub(super) inner: Vec<Clause>,
}

/// The values of a parameter of which each is wanted.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) param: &'static str,
    pub(super) span: Span,
    pub(super) values: Vec<Node>,
}

/// How many of several go on at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pace {
    Parallel,
    AtMost(u64),
}

/// A node of a recipe.
pub(super) fn node(value: &Value, span: Span) -> Node {
    let kind = match value {
        Value::Null => NodeKind::Null,
        Value::Bool(value) => NodeKind::Bool(*value),
        Value::Number(number) => NodeKind::Number(number.clone()),
        Value::String(text) => NodeKind::Text(text.clone()),
        Value::Array(items) => NodeKind::List(items.iter().map(|item| node(item, span)).collect()),
        Value::Object(entries) => NodeKind::Map(
            entries
                .iter()
                .map(|(key, value)| crate::node::Entry {
                    key: crate::node::Name { text: key.clone(), span },
                    value: node(value, span),
                })
                .collect(),
        ),
    };
    Node { kind, span }
}

/// What is read of a sentence.
pub(super) struct Reader<'a> {
    text: &'a str,
    tokens: &'a [&'a Token],
    at: usize,
    /// How many sentences this is inside of.
    depth: usize,
    found: &'a mut Vec<Diagnostic>,
}

/// The most sentences inside of sentences.
const DEPTH_MAX: usize = 8;
/// The most commas and little words that are looked past for a verb or a noun, so that time grows with the text alone.
const SEPARATORS_MAX: usize = 8;
/// The most mistakes of one recipe after which reading goes on.
const FOUND_MAX: usize = 100;

const NEXT: &[&str] = &["then", "and", "next", "finally", "first", "afterwards", "please"];

impl<'a> Reader<'a> {
    /// Reads `tokens`, which are of `text`.
    pub(super) fn new(text: &'a str, tokens: &'a [&'a Token], found: &'a mut Vec<Diagnostic>) -> Reader<'a> {
        Reader { text, tokens, at: 0, depth: 0, found }
    }

    /// The clauses of the sentence, in their order.
    pub(super) fn sentence(mut self) -> Vec<Clause> {
        let mut clauses = Vec::new();
        while self.at < self.tokens.len() {
            clauses.extend(self.chain());
            // A bracket that nothing opened.
            if self.at < self.tokens.len() {
                self.unread(self.at, self.at + 1, "nothing is opened that it could close");
                self.at += 1;
            }
        }
        clauses
    }

    fn peek(&self, ahead: usize) -> Option<&'a Token> {
        self.tokens.get(self.at + ahead).copied()
    }

    fn rest(&self) -> &'a [&'a Token] {
        self.tokens.get(self.at..).unwrap_or_default()
    }

    fn span(&self, from: usize, to: usize) -> Span {
        let start = self.tokens.get(from).map_or(0, |token| token.span.start);
        let end = to.checked_sub(1).and_then(|last| self.tokens.get(last)).map_or(start, |token| token.span.end);
        Span::new(start, end)
    }

    fn slice(&self, span: Span) -> &'a str {
        self.text.get(span.range()).unwrap_or_default()
    }

    /// Reports the words from one place to another.
    fn unread(&mut self, from: usize, to: usize, label: &str) {
        let span = self.span(from, to);
        let words = self.slice(span);
        let found = Diagnostic::error(code::RECIPE_UNREAD, span, format!("can't read `{words}`"));
        self.found.push(found.label(label));
    }

    /// Clauses up to the end, or up to a bracket that closes.
    fn chain(&mut self) -> Vec<Clause> {
        let mut clauses = Vec::new();
        loop {
            loop {
                let next = after_separators(self.tokens, self.at);
                if next == self.at {
                    break;
                }
                self.at = next;
            }
            if self.found.len() > FOUND_MAX || self.depth > DEPTH_MAX {
                self.give_up();
            }
            match self.peek(0) {
                None => return clauses,
                Some(token) if token.is(')') => return clauses,
                Some(_) => {}
            }
            match verb(self.rest()) {
                Some((verb, taken)) => clauses.push(self.clause(verb, taken)),
                None => self.no_verb(),
            }
        }
    }

    /// Reads no further: there is too much wrong, or too much inside of each other.
    fn give_up(&mut self) {
        if self.depth > DEPTH_MAX {
            let message = format!("sentences stand more than {DEPTH_MAX} deep in each other");
            let span = self.span(self.at, self.at + 1);
            self.found.push(Diagnostic::error(code::TOO_LARGE, span, message).help("write them one after the other"));
        }
        self.at = self.tokens.len();
    }

    /// Reports a sentence without a verb, and goes on behind it.
    fn no_verb(&mut self) {
        let start = self.at;
        self.at += 1;
        while let Some(token) = self.peek(0) {
            let ends = token.is('>') || token.is(';') || token.is('.') || token.is(')');
            if ends || (is_separator(token) && verb_follows(self.tokens, self.at)) {
                break;
            }
            self.at += 1;
        }
        let span = self.span(start, self.at);
        let word = self.tokens.get(start).map(|token| token.word.clone()).unwrap_or_default();
        let message = format!("no verb is known in `{}`", self.slice(span));
        let found = Diagnostic::error(code::RECIPE_VERB, span, message).label("a step begins with a verb");
        self.found.push(found.help(known_verbs(&word)));
    }

    fn clause(&mut self, verb: &'static Verb, taken: usize) -> Clause {
        let start = self.at;
        self.at += taken;
        let mut clause = Clause {
            verb,
            op: op::find(verb.op),
            span: self.span(start, self.at),
            verb_span: self.span(start, self.at),
            with: Vec::new(),
            axes: Vec::new(),
            count: None,
            all: false,
            from: None,
            pace: None,
            path: None,
            detected: None,
            inner: Vec::new(),
        };
        match verb.words {
            Words::Settings => self.settings(&mut clause),
            Words::Text(param) => {
                self.text(&mut clause, param, self.at);
                self.settings(&mut clause);
            }
            Words::Whole(param) => {
                self.text(&mut clause, param, start);
                self.settings(&mut clause);
            }
            Words::Sentences => self.sentences(&mut clause),
        }
        clause.span = self.span(start, self.at);
        clause
    }

    /// `Process all images: …`, `Create variants (…)`.
    fn sentences(&mut self, clause: &mut Clause) {
        while let Some(token) = self.peek(0) {
            if token.is(':') || token.is('(') {
                self.at += 1;
                self.depth += 1;
                clause.inner = self.chain();
                self.depth -= 1;
                if token.is('(') {
                    match self.peek(0).is_some_and(|token| token.is(')')) {
                        true => self.at += 1,
                        false => self.unclosed(token.span),
                    }
                }
                return;
            }
            if is_separator(token) {
                break;
            }
            self.one(clause);
        }
        let message = format!("what `{}` does is missing", clause.verb.names[0]);
        let help = format!("write it behind a `:`, such as `{}`", clause.verb.example);
        self.found.push(Diagnostic::error(code::RECIPE_FORM, clause.verb_span, message).help(help));
    }

    fn unclosed(&mut self, span: Span) {
        let found = Diagnostic::error(code::RECIPE_FORM, span, "the bracket is not closed");
        self.found.push(found.help("a bracket closes in the sentence that it opens in"));
    }

    /// The settings up to the end of the clause.
    fn settings(&mut self, clause: &mut Clause) {
        let mut open: Vec<Span> = Vec::new();
        while let Some(token) = self.peek(0) {
            match token.kind {
                Kind::Mark('(') => open.push(token.span),
                Kind::Mark(')') if open.pop().is_none() => return,
                Kind::Mark('>' | ';' | '.') if open.is_empty() => return,
                Kind::Mark(_) if !is_separator(token) => {}
                _ if is_separator(token) && open.is_empty() && self.ends(clause) => return,
                Kind::Mark(_) => {}
                _ => {
                    self.one(clause);
                    continue;
                }
            }
            self.at += 1;
        }
        if let Some(span) = open.first() {
            self.unclosed(*span);
        }
    }

    /// Whether another clause begins behind the separator: with a verb that is no parameter here, as `scale 0.5` is.
    fn ends(&self, clause: &Clause) -> bool {
        let behind = &self.tokens[after_separators(self.tokens, self.at)..];
        verb(behind).is_some() && !clause.op.is_some_and(|op| is_named_setting(op, behind))
    }

    /// One setting, or one word that means nothing. What is neither is reported.
    fn one(&mut self, clause: &mut Clause) {
        if self.pace(clause) || self.reference(clause) || self.detected(clause) || self.setting(clause) {
            return;
        }
        let Some(token) = self.peek(0) else { return };
        if means_nothing(clause, token) {
            clause.all |= token.is_word(ALL);
            self.at += 1;
            return;
        }
        let start = self.at;
        self.at += 1;
        while let Some(token) = self.peek(0) {
            let rest = self.rest();
            let is_read = clause.op.is_some_and(|op| is_setting(op, rest)) || means_nothing(clause, token);
            if is_read || matches!(token.kind, Kind::Mark(_) | Kind::Path) || pace(rest).is_some() {
                break;
            }
            self.at += 1;
        }
        let span = self.span(start, self.at);
        let words = self.slice(span);
        let message = format!("can't read `{words}` in what `{}` does", clause.verb.names[0]);
        let mut help = match clause.op {
            None => format!("such as `{}`", clause.verb.example),
            Some(op) => {
                let word = self.tokens[start].word.as_str();
                let models: Vec<String> = models(op);
                let known = op.params.iter().map(|param| param.name).chain(models.iter().map(String::as_str));
                match crate::suggest::nearest(word, known) {
                    Some(nearest) => format!("did you mean `{nearest}`?"),
                    None => format!("it takes {}", crate::suggest::list(takes(op))),
                }
            }
        };
        if let Some((verb, _)) = self.tokens.get(start).and_then(|_| verb(&self.tokens[start..])) {
            help = format!("if `{}` is a step of its own, write `then` before it", verb.names[0]);
        }
        let found = Diagnostic::error(code::RECIPE_UNREAD, span, message).label("these words mean nothing here");
        self.found.push(found.help(help));
    }

    /// `parallel`, `one at a time`, `at most 4 at once`.
    fn pace(&mut self, clause: &mut Clause) -> bool {
        let Some((pace, taken)) = pace(self.rest()) else { return false };
        clause.pace = Some((pace, self.span(self.at, self.at + taken)));
        self.at += taken;
        true
    }

    /// `the image of step 2`, of which `step 2` is read here.
    fn reference(&mut self, clause: &mut Clause) -> bool {
        let (Some(step), Some(number)) = (self.peek(0), self.peek(1)) else { return false };
        match number.count().filter(|_| step.is_word(&["step"])) {
            Some(number) => {
                clause.from = Some((number, self.span(self.at, self.at + 2)));
                self.at += 2;
                true
            }
            None => false,
        }
    }

    /// `the detected mug`.
    fn detected(&mut self, clause: &mut Clause) -> bool {
        let is_crop = clause.verb.op == "image.crop";
        if !is_crop || !self.peek(0).is_some_and(|token| token.is_word(&["detected", "found"])) {
            return false;
        }
        self.at += 1;
        let start = self.at;
        while let Some(token) = self.peek(0) {
            let is_word = matches!(token.kind, Kind::Word | Kind::Quoted);
            if !is_word || is_separator(token) || token.is_word(FILLERS) || token.is_word(PICTURES) {
                break;
            }
            self.at += 1;
        }
        let span = self.span(start, self.at);
        let words = self.slice(span).trim_matches(['"', '“', '”']);
        if !words.is_empty() && !["box", "object", "subject", "area", "region"].contains(&words) {
            clause.detected = Some((words.to_owned(), span));
        }
        true
    }

    /// A value with its parameter, in whichever order; or a value that tells its parameter.
    fn setting(&mut self, clause: &mut Clause) -> bool {
        let Some(op) = clause.op else { return false };
        let Some(token) = self.peek(0) else { return false };
        let at = self.at;
        match token.kind {
            Kind::Number { value, unit: "%" } if clause.verb.percent.is_some() => {
                if let Some((name, sign)) = clause.verb.percent {
                    let times = 1.0 + f64::from(sign) * value / 100.0;
                    self.at += 1;
                    self.set(clause, name, vec![node(&setting::number(times), token.span)]);
                }
                return true;
            }
            Kind::Size { width, height } if op.param("width").is_some() => {
                self.at += 1;
                self.set(clause, "width", vec![node(&width.into(), token.span)]);
                self.set(clause, "height", vec![node(&height.into(), token.span)]);
                return true;
            }
            Kind::Path if clause.path.is_none() && takes_file(op) => {
                self.at += 1;
                clause.path = Some(node(&token.text.as_str().into(), token.span));
                return true;
            }
            Kind::Quoted if clause.path.is_none() && matches!(op.name, "save" | "image.overlay") => {
                self.at += 1;
                clause.path = Some(node(&token.text.as_str().into(), token.span));
                return true;
            }
            Kind::Number { .. } if op.param("x").is_some() => {
                if let (Some(comma), Some(second)) = (self.peek(1), self.peek(2))
                    && comma.is(',')
                    && let (Kind::Number { value: x, .. }, Kind::Number { value: y, .. }) = (token.kind, second.kind)
                {
                    self.at += 3;
                    self.set(clause, "x", vec![node(&setting::number(x), token.span)]);
                    self.set(clause, "y", vec![node(&setting::number(y), second.span)]);
                    return true;
                }
            }
            _ => {}
        }
        if let Some((param, value, taken)) = value_first(op, self.rest()) {
            let node = node(&value, self.span(at, at + 1));
            self.at += taken;
            self.set(clause, param, vec![node]);
            return true;
        }
        if let Some((param, named)) = setting::param(op, self.rest()) {
            let said = |clause: &Clause| clause.with.iter().any(|(name, _)| *name == param.name);
            let mut behind = named;
            while self.peek(behind).is_some_and(|token| token.is(':') || token.is_word(&["of", "to", "is", "at"])) {
                behind += 1;
            }
            let first = setting::value(param, &self.tokens[(at + behind).min(self.tokens.len())..]);
            if first.is_none() && (said(clause) || param.ty == ParamType::Boolean) {
                if !said(clause) {
                    self.set(clause, param.name, vec![node(&true.into(), self.span(at, at + named))]);
                }
                self.at = at + named;
                return true;
            }
            if first.is_some() {
                self.at = at + behind;
                let values = self.values(op, |tokens| setting::value(param, tokens));
                self.set(clause, param.name, values);
                return true;
            }
        }
        if let Some((param, _, _)) = setting::bare(op, self.rest()) {
            let values = self.values(op, |tokens| {
                let (found, value, taken) = setting::bare(op, tokens)?;
                (found.name == param.name).then_some((value, taken))
            });
            self.set(clause, param.name, values);
            return true;
        }
        false
    }

    /// A value, and further ones behind commas and `and` that are of the same kind and have no other name behind them.
    fn values(&mut self, op: &OpSpec, read: impl Fn(&[&Token]) -> Option<(Value, usize)>) -> Vec<Node> {
        let mut values = Vec::new();
        let mut next = self.at;
        while let Some((value, taken)) = read(&self.tokens[next.min(self.tokens.len())..]) {
            let rest = &self.tokens[next..];
            if !values.is_empty() && (is_named_setting(op, rest) || pace(rest).is_some()) {
                break;
            }
            values.push(node(&value, self.span(next, next + taken)));
            self.at = next + taken;
            next = self.at;
            while self.tokens.get(next).is_some_and(|token| token.is(',') || token.is_word(&["and", "or"])) {
                next += 1;
            }
            if next == self.at {
                break;
            }
        }
        values
    }

    /// Notes the values of a parameter: one, or several of which each is wanted.
    fn set(&mut self, clause: &mut Clause, param: &'static str, values: Vec<Node>) {
        let (Some(first), Some(last)) = (values.first(), values.last()) else { return };
        let span = Span::new(first.span.start, last.span.end);
        let other = clause.with.iter().find(|(name, _)| *name == param).map(|(_, node)| node.kind.clone());
        let is_same = other.as_ref().is_some_and(|other| values.len() == 1 && *other == first.kind);
        if (other.is_some() && !is_same) || clause.axes.iter().any(|axis| axis.param == param) {
            let message = format!("`{param}` is said twice");
            let found = Diagnostic::error(code::RECIPE_COUNT, span, message).label("and differently");
            self.found.push(found.help("keep one of them; for several results give a list, such as `seeds 1, 2, 3`"));
            return;
        }
        match <[Node; 1]>::try_from(values) {
            Ok([value]) if other.is_none() => clause.with.push((param, value)),
            Ok(_) => {}
            Err(values) => clause.axes.push(Axis { param, span, values }),
        }
    }

    /// The list `- Models: a, b` below a sentence.
    pub(super) fn bullet(mut self, clause: &mut Clause) {
        while self.at < self.tokens.len() {
            match self.peek(0) {
                Some(token) if matches!(token.kind, Kind::Mark(_)) => self.at += 1,
                _ => self.one(clause),
            }
        }
    }
}

fn means_nothing(clause: &Clause, token: &Token) -> bool {
    let own = OWN.iter().find(|(op, _)| *op == clause.verb.op).map(|(_, words)| *words);
    token.is_word(FILLERS)
        || token.is_word(PICTURES)
        || token.is_word(MADE)
        || token.is_word(ALL)
        || own.is_some_and(|own| token.is_word(own))
}

/// Whether a file can be named in a sentence about an op: what it works on, what it lays over, where it saves or calls.
fn takes_file(op: &OpSpec) -> bool {
    op.param("image").is_some() || matches!(op.name, "save" | "notify.webhook")
}

/// What an op takes in a recipe, by its names.
fn takes(op: &OpSpec) -> impl Iterator<Item = &'static str> + Clone {
    op.params
        .iter()
        .map(|param| param.name)
        .filter(|name| !matches!(*name, "image" | "file" | "box" | "on-unknown" | "strict"))
}

fn models(op: &OpSpec) -> Vec<String> {
    let Some(ParamType::Model(capability)) = op.model_param().map(|param| param.ty) else { return Vec::new() };
    let of_op = darkroom_proto::model::all().iter().filter(|model| model.capability == capability);
    of_op.map(|model| model.alias.clone()).collect()
}

/// `50 steps`, `30px padding`, `30px of padding`.
fn value_first(op: &OpSpec, tokens: &[&Token]) -> Option<(&'static str, Value, usize)> {
    let [first, rest @ ..] = tokens else { return None };
    if !matches!(first.kind, Kind::Number { .. }) {
        return None;
    }
    let of = usize::from(rest.first().is_some_and(|token| token.is_word(&["of"])));
    let (param, named) = setting::param(op, &rest[of..])?;
    // `seeds 1, 2 steps 5`: a name with its own value behind it is not the name of what is before it.
    let behind = &rest[of + named..];
    let (value, _) = setting::value(param, tokens).filter(|(_, taken)| *taken == 1)?;
    (!behind.first().is_some_and(|token| matches!(token.kind, Kind::Number { .. })) || param.name != "steps")
        .then_some((param.name, value, 1 + of + named))
}

/// Whether a parameter is named with its value from here on.
fn is_named_setting(op: &OpSpec, tokens: &[&Token]) -> bool {
    let named_first = || {
        let (param, taken) = setting::param(op, tokens)?;
        let behind = tokens.get(taken..)?;
        let skip = usize::from(behind.first().is_some_and(|token| token.is(':') || token.is_word(&["of", "to", "is"])));
        setting::value(param, behind.get(skip..)?)
    };
    value_first(op, tokens).is_some() || named_first().is_some()
}

fn is_setting(op: &OpSpec, tokens: &[&Token]) -> bool {
    is_named_setting(op, tokens) || setting::bare(op, tokens).is_some()
}

/// `in parallel`, `one at a time`, `at most 4 in parallel`: how many words that takes.
pub(super) fn pace(tokens: &[&Token]) -> Option<(Pace, usize)> {
    let says = |at: usize, words: &[&str]| {
        words.iter().enumerate().all(|(ahead, word)| tokens.get(at + ahead).is_some_and(|token| token.is_word(&[word])))
    };
    for words in [&["in", "parallel"][..], &["parallel"], &["at", "once"], &["at", "the", "same", "time"]] {
        if says(0, words) {
            return Some((Pace::Parallel, words.len()));
        }
    }
    let sequence: [&[&str]; 6] = [
        &["one", "at", "a", "time"],
        &["one", "by", "one"],
        &["one", "after", "the", "other"],
        &["in", "sequence"],
        &["sequentially"],
        &["sequential"],
    ];
    if let Some(words) = sequence.iter().find(|words| says(0, words)) {
        return Some((Pace::AtMost(1), words.len()));
    }
    let most = if says(0, &["at", "most"]) || says(0, &["up", "to"]) { 2 } else { return None };
    let number = tokens.get(most)?.count()?;
    let (_, taken) = pace(tokens.get(most + 1..)?).filter(|(pace, _)| *pace == Pace::Parallel)?;
    Some((Pace::AtMost(number), most + 1 + taken))
}

fn is_separator(token: &Token) -> bool {
    matches!(token.kind, Kind::Mark(',' | ';' | '>' | '.')) || token.is_word(&["then", "and"])
}

fn after_separators(tokens: &[&Token], mut at: usize) -> usize {
    let most = at + SEPARATORS_MAX;
    while at < most && tokens.get(at).is_some_and(|token| is_separator(token) || token.is(':') || token.is_word(NEXT)) {
        at += 1;
    }
    at
}

/// Whether a new clause begins behind the separator at `at`.
fn verb_follows(tokens: &[&Token], at: usize) -> bool {
    verb(&tokens[after_separators(tokens, at)..]).is_some()
}

/// Words that may stand between those of a verb's name: `remove the background`, `add the company logo`.
const WITHIN_NAMES: &[&str] = &["the", "a", "an", "it", "them", "its", "their", "our", "company", "brand"];

/// The verb that the words begin with, the longest name first, and how many words that takes.
pub(super) fn verb(tokens: &[&Token]) -> Option<(&'static Verb, usize)> {
    let first = tokens.first().filter(|token| token.kind == Kind::Word)?.word.as_str();
    let names = VERBS.iter().flat_map(|verb| verb.names.iter().map(move |name| (verb, *name)));
    let names = names.filter(|(_, name)| name.starts_with(first));
    let matching = names.filter_map(|(verb, name)| {
        let mut at = 0;
        for (place, word) in name.split(' ').enumerate() {
            while place > 0 && tokens.get(at).is_some_and(|token| token.is_word(WITHIN_NAMES)) {
                at += 1;
            }
            tokens.get(at).filter(|token| token.kind == Kind::Word && token.word == word)?;
            at += 1;
        }
        Some((name.split(' ').count(), verb, at))
    });
    let (_, verb, taken) = matching.max_by_key(|(words, ..)| *words)?;
    Some((verb, taken))
}

/// The verbs for people, those that look like `word` first.
pub(super) fn known_verbs(word: &str) -> String {
    let nearest = crate::suggest::nearest(word, VERBS.iter().flat_map(|verb| verb.names.iter().copied()));
    let mut names: Vec<&str> = VERBS.iter().map(|verb| verb.names[0]).collect();
    if word.len() <= 40 {
        names.sort_by_key(|name| strsim::damerau_levenshtein(word, name));
    }
    names.dedup();
    let names = names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    match nearest {
        Some(nearest) => format!("did you mean `{nearest}`? The verbs are {names}"),
        None => format!("the verbs are {names}"),
    }
}
