//! A sentence of a recipe, read word by word: its verbs, and for each what its words say.

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

    /// The text of a parameter, from `start` on.
    fn text(&mut self, clause: &mut Clause, param: &'static str, start: usize) {
        let Some(op) = clause.op else { return };
        let is_whole = start < self.at;
        let works_on_picture = op.param("image").is_some() || op.name == "human.approve";
        if works_on_picture && !is_whole {
            self.head(clause);
        }
        let begin = if is_whole { start } else { self.at };
        self.at = self.text_end(op);
        let mut end = self.at;
        if works_on_picture {
            end = self.tail(clause, begin, end);
            // `the mug in step 1`
            while self.reference_at(0)
                && end > begin
                && self.tokens[end - 1].is_word(&["in", "on", "of", "from", "the"])
            {
                end -= 1;
            }
        }
        let words = self.tokens.get(begin..end).unwrap_or_default();
        let mut span = self.span(begin, end);
        if let Some(file) = words.iter().find(|token| token.kind == Kind::Path) {
            let message = format!("the file {} stands in the middle of a text", file.text);
            let help = "to lay a picture over it: `Overlay the logo ./logo.png`; if it is part of the text, put the text in quotes";
            self.found.push(Diagnostic::error(code::RECIPE_UNREAD, file.span, message).help(help));
            return;
        }
        // A question keeps its mark.
        if let Some(mark) =
            self.tokens.get(end).filter(|token| end == self.at && matches!(token.text.as_str(), "?" | "!"))
        {
            span.end = mark.span.end;
            self.at += 1;
        }
        let text = match words {
            [] => return,
            [one] if one.kind == Kind::Quoted => one.text.clone(),
            _ if op.name == "image.generate" => match self.several(clause, words) {
                Some(text) => text,
                None => return,
            },
            [article, rest @ ..] if op.name == "image.detect" && article.is_word(&["the", "a", "an"]) => {
                let first = rest.first().map_or(span.end, |token| token.span.start);
                self.slice(Span::new(first, span.end)).trim_matches(['"', '“', '”']).to_owned()
            }
            _ => self.joined(span),
        };
        clause.with.push((param, node(&text.into(), span)));
    }

    /// The words of a span as one line.
    fn joined(&self, span: Span) -> String {
        self.slice(span).split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Where a text ends.
    fn text_end(&self, op: &OpSpec) -> usize {
        let mut at = self.at;
        while let Some(token) = self.tokens.get(at) {
            let behind = &self.tokens[at + 1..];
            let ends = match token.kind {
                Kind::Mark('(' | ')' | '>' | ';' | '.') => true,
                Kind::Mark(':') => behind.is_empty(),
                _ if pace(&self.tokens[at..]).is_some() => true,
                _ if is_separator(token) && verb_follows(self.tokens, at) => true,
                _ if is_separator(token) => is_setting(op, behind) && token.is(','),
                Kind::Word => match token.word.as_str() {
                    "using" => true,
                    "with" | "at" | "and" | "in" => is_named_setting(op, behind),
                    "for" => op.param("duration").is_some() && setting::duration(behind).is_some(),
                    "step" => {
                        op.param("image").is_some() && behind.first().is_some_and(|token| token.count().is_some())
                    }
                    _ => false,
                },
                _ => false,
            };
            if ends {
                break;
            }
            at += 1;
        }
        at
    }

    /// Steps over `all images:`, `it as`, `the image to` before a text.
    fn head(&mut self, clause: &mut Clause) {
        if let Some((taken, all)) = picture(self.rest()) {
            self.at += taken;
            clause.all |= all;
        }
        if let Some(path) = self.peek(0).filter(|token| token.kind == Kind::Path) {
            self.at += 1;
            clause.path = Some(node(&path.text.as_str().into(), path.span));
        }
        const LINKS: &[&str] = &["to", "as", "like", "into", "with", "so", "that", "in"];
        while self.peek(0).is_some_and(|token| token.is(':') || token.is_word(LINKS)) {
            let is_setting = clause.op.is_some_and(|op| is_named_setting(op, &self.rest()[1..]));
            if is_setting || (self.reference_at(0)) {
                break;
            }
            self.at += 1;
        }
        let style = self.rest();
        if let [the, style, of, ..] = style
            && the.is_word(&["the"])
            && style.is_word(&["style"])
            && of.is_word(&["of"])
        {
            self.at += 3;
        }
    }

    fn reference_at(&self, ahead: usize) -> bool {
        self.peek(ahead).is_some_and(|token| token.is_word(&["step"]))
            && self.peek(ahead + 1).is_some_and(|token| token.count().is_some())
    }

    /// Where a text ends that has `in the generated image` behind it.
    fn tail(&mut self, clause: &mut Clause, begin: usize, end: usize) -> usize {
        let mut at = end;
        while at > begin {
            at -= 1;
            if self.tokens[at].is_word(&["in", "on", "from", "of", "for"])
                && let Some((taken, all)) = picture(&self.tokens[at + 1..end])
                && (at + 1 + taken == end || self.tokens[at + 1 + taken].is_word(&["of", "from"]))
            {
                clause.all |= all;
                return at;
            }
        }
        end
    }

    /// What a picture shows of which there may be several: `4 product photos of a tea pot` are four of `a product photo of a
    /// tea pot`.
    fn several(&mut self, clause: &mut Clause, words: &[&'a Token]) -> Option<String> {
        const VAGUE: &[&str] = &["several", "some", "many", "multiple", "few", "various"];
        let [first, rest @ ..] = words else { return None };
        if first.is_word(VAGUE) {
            let message = format!("how many `{}` is can't be known", first.text);
            let found = Diagnostic::error(code::RECIPE_UNREAD, first.span, message).label("a number is needed");
            self.found.push(found.help("write it in figures or in words: `Generate 4 …`"));
            return None;
        }
        let last = words.last()?;
        let is_copy = |noun: &Token| noun.is_word(PICTURES) || noun.is_word(COPIES);
        let quoted = |words: &[&Token]| match words {
            [noun, of, text] if is_copy(noun) && of.is_word(&["of"]) && text.kind == Kind::Quoted => {
                Some(text.text.clone())
            }
            [noun, text] if is_copy(noun) && text.kind == Kind::Quoted => Some(text.text.clone()),
            _ => None,
        };
        let Some(count) = first.count().filter(|_| !rest.is_empty()) else {
            let after_article = if first.is_word(&["a", "an", "the"]) { rest } else { words };
            return Some(
                quoted(after_article).unwrap_or_else(|| self.joined(Span::new(first.span.start, last.span.end))),
            );
        };
        clause.count = Some((count, first.span));
        if let Some(text) = quoted(rest).or_else(|| match rest {
            [text] if text.kind == Kind::Quoted => Some(text.text.clone()),
            _ => None,
        }) {
            return Some(text);
        }
        // `variations of a logo` are of `a logo`.
        if let [noun, of, thing, ..] = rest
            && noun.is_word(COPIES)
            && of.is_word(&["of"])
        {
            return Some(self.joined(Span::new(thing.span.start, last.span.end)));
        }
        let noun = rest.iter().position(|token| token.is_word(&["of", "showing", "with", "in", "for", "that"]));
        let mut noun = noun.unwrap_or(rest.len()).saturating_sub(1);
        let is_plural = |token: &&&Token| singular(&token.text) != token.text;
        // `2 cats playing chess`
        if rest.get(noun).filter(is_plural).is_none() {
            noun = rest.iter().position(|token| is_plural(&token)).unwrap_or(noun);
        }
        let mut text = String::new();
        for (at, token) in rest.iter().enumerate() {
            let before = at.checked_sub(1).and_then(|before| rest.get(before));
            if before.is_some_and(|before| before.span.end < token.span.start) {
                text.push(' ');
            }
            match at == noun && count > 1 {
                true => text.push_str(&singular(&token.text)),
                false => text.push_str(self.slice(token.span)),
            }
        }
        let article = if text.to_lowercase().starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" };
        Some(format!("{article} {text}"))
    }
}

/// What several are variations of is what each is.
const COPIES: &[&str] = &["variations", "versions", "variants", "takes", "variation", "version", "variant", "take"];

fn singular(word: &str) -> String {
    if let Some(stem) = word.strip_suffix("ies") {
        return format!("{stem}y");
    }
    let hisses = ["ches", "shes", "xes", "sses"].iter().any(|ending| word.ends_with(ending));
    match word.strip_suffix(if hisses { "es" } else { "s" }) {
        Some(one) if !one.ends_with('s') || hisses => one.to_owned(),
        _ => word.to_owned(),
    }
}

/// Words for a picture, `all the generated images` or `it`: how many, and whether all are meant.
fn picture(tokens: &[&Token]) -> Option<(usize, bool)> {
    let mut all = false;
    let mut at = 0;
    while let Some(token) = tokens.get(at).filter(|_| at < SEPARATORS_MAX) {
        if token.is_word(&["it", "them"]) {
            return Some((at + 1, all));
        }
        if token.is_word(PICTURES) {
            return Some((at + 1, all));
        }
        if token.is_word(ALL) {
            all = true;
        } else if !token.is_word(&["the", "this", "that", "these", "a", "of"]) && !token.is_word(MADE) {
            return None;
        }
        at += 1;
    }
    None
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
