//! Clauses to the tree of a workflow file.
//!
//! One picture flows from step to step as it does in a workflow file. Where there are several, a sentence is a `for-each`
//! over them, and the clauses joined to it by arrows are its body.

mod anew;
mod each;

use super::clause::{Axis, Clause, Pace, Reader, node, pace};
use super::outline::{Block, Heading, Outline, Sentence};
use super::token::{Line, Token};
use super::verbs::{PICTURES, Words};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Name, Node, NodeKind};
use crate::source::{Source, Span};
use darkroom_proto::op::OpSpec;
use serde_json::Value;
use std::collections::HashMap;

/// The most verbs of a recipe.
const VERBS_MAX: usize = 1_000;
/// The most pictures that one sentence makes.
const COUNT_MAX: u64 = 1_000;
/// Endings of the pictures that `For each image in FOLDER` means.
const PICTURE_ENDINGS: &[&str] = &["png", "jpg", "jpeg", "webp"];

/// What a step made, to be worked on.
#[derive(Debug, Clone)]
struct Made {
    /// The step, or the input.
    path: String,
    kind: &'static str,
    many: bool,
    /// Whether it flows into the next step by itself.
    flows: bool,
    /// The format that it was written in, where that was said.
    format: Option<String>,
}

impl Made {
    /// One file, or the list of them.
    fn file(&self) -> String {
        match (self.path.starts_with("inputs."), self.many) {
            (true, _) => self.path.clone(),
            (false, true) => format!("{}.{}s", self.path, self.kind),
            (false, false) => format!("{}.{}", self.path, self.kind),
        }
    }

    /// What `for-each` goes over.
    fn items(made: &[Made]) -> String {
        match made {
            [one] if one.many && one.path.starts_with("steps.") => format!("{}.ok", one.path),
            [one] if one.many => one.path.clone(),
            _ => {
                let part = |made: &Made| if made.many { made.file() } else { format!("[{}]", made.file()) };
                made.iter().map(part).collect::<Vec<_>>().join(" + ")
            }
        }
    }
}

/// Steps that are done for each of several pictures.
struct Each<'c> {
    id: &'c str,
    items: String,
    span: Span,
    /// Whether the items are the user's own files, which have names.
    is_files: bool,
}

struct Lowering<'a> {
    found: &'a mut Vec<Diagnostic>,
    inputs: Vec<Entry>,
    steps: Vec<Node>,
    /// What was made and not worked on yet, the last of it last.
    open: Vec<Made>,
    /// What each numbered step made.
    numbered: HashMap<u64, Vec<Made>>,
    ids: HashMap<String, usize>,
    subject: Option<String>,
    /// What was looked for last.
    target: Option<Option<String>>,
    saved: bool,
    /// How many verbs were read.
    verbs: usize,
}

/// The tree of a recipe; none if it has no step.
pub(super) fn lower(
    source: &Source,
    lines: &[Line],
    recipe: &Outline<'_>,
    found: &mut Vec<Diagnostic>,
) -> Option<Node> {
    let mut lowering = Lowering {
        found,
        inputs: Vec::new(),
        steps: Vec::new(),
        open: Vec::new(),
        numbered: HashMap::new(),
        ids: HashMap::new(),
        subject: None,
        target: None,
        saved: false,
        verbs: 0,
    };
    for block in &recipe.blocks {
        lowering.block(source.text(), block);
    }
    let Lowering { inputs, steps, open, saved, .. } = lowering;
    if steps.is_empty() {
        return None;
    }
    let first = lines.first().and_then(|line| line.tokens.first()).map_or(Span::default(), |token| token.span);
    let (id, id_span, title) = name(source, recipe.name, first);
    let mut entries = vec![entry("workflow", id_span, text(id, id_span))];
    entries.extend(title.map(|title| entry("title", id_span, text(title, id_span))));
    if !inputs.is_empty() {
        entries.push(entry("inputs", first, map(inputs, first)));
    }
    entries.push(entry("steps", first, Node { kind: NodeKind::List(steps), span: first }));
    if let (Some(last), false) = (open.last(), saved) {
        let name = format!("{}{}", last.kind, if last.many { "s" } else { "" });
        let output = entry(&name, first, text(braces(&last.file()), first));
        entries.push(entry("outputs", first, map(vec![output], first)));
    }
    Some(map(entries, first))
}

/// The workflow's id, where it is said, and its title if that is another: from the head, else from the file's name.
fn name(source: &Source, given: Option<&Token>, first: Span) -> (String, Span, Option<String>) {
    let file = source.name().rsplit(['/', '\\']).next().unwrap_or_default();
    let stem = file.rsplit_once('.').map_or(file, |(stem, _)| stem);
    let said = given.map_or(stem, |token| token.text.as_str());
    let mut id = slug(said, '-');
    if !id.starts_with(|c: char| c.is_ascii_alphabetic()) {
        id = format!("recipe-{id}").trim_end_matches('-').to_owned();
    }
    id.truncate(64);
    let title = given.filter(|token| token.text != id && !token.text.trim().is_empty()).map(|token| token.text.clone());
    (id, given.map_or(first, |token| token.span), title)
}

/// Letters and digits, everything between them one mark.
fn slug(words: &str, between: char) -> String {
    let parts = words.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_' && between == '-'));
    let parts: Vec<String> = parts.filter(|part| !part.is_empty()).map(str::to_ascii_lowercase).collect();
    parts.join(&between.to_string())
}

fn entry(key: &str, span: Span, value: Node) -> Entry {
    Entry { key: Name { text: key.to_owned(), span }, value }
}

fn map(entries: Vec<Entry>, span: Span) -> Node {
    Node { kind: NodeKind::Map(entries), span }
}

fn text(text: impl Into<String>, span: Span) -> Node {
    Node { kind: NodeKind::Text(text.into()), span }
}

fn braces(expression: &str) -> String {
    format!("${{{{ {expression} }}}}")
}

/// The parameter that takes the picture that a step works on.
fn picture_param(op: &OpSpec) -> Option<&'static str> {
    match op.name {
        "save" => Some("file"),
        _ => op.param("image").map(|param| param.name),
    }
}

/// Whether it makes something of nothing, or waits: nothing flows into it.
fn begins_anew(op: &OpSpec) -> bool {
    picture_param(op).is_none()
}

impl Lowering<'_> {
    fn form(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Diagnostic::error(code::RECIPE_FORM, span, message).help(help));
    }

    fn count(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Diagnostic::error(code::RECIPE_COUNT, span, message).help(help));
    }

    fn id(&mut self, base: &str) -> String {
        let number = self.ids.entry(base.to_owned()).or_default();
        *number += 1;
        if *number == 1 { base.to_owned() } else { format!("{base}_{number}") }
    }

    fn block(&mut self, source: &str, block: &Block<'_>) {
        match block.heading {
            Heading::ForEach { folder, span } => self.for_each_file(source, block, folder, span),
            Heading::None => {
                for sentence in &block.sentences {
                    if !self.runs(sentence) {
                        let clauses = self.read(source, sentence);
                        self.chain(&clauses, sentence.number, None);
                    }
                }
            }
            Heading::Phase { per_image, one_by_one, span } => {
                let mut clauses = Vec::new();
                for sentence in &block.sentences {
                    if !self.runs(sentence) {
                        clauses.extend(self.read(source, sentence));
                    }
                }
                let first = self.steps.len();
                let is_new =
                    |clause: &Clause| clause.op.is_some_and(|op| matches!(op.name, "image.generate" | "audio.speech"));
                self.chain(&clauses, None, per_image.then_some(span));
                if one_by_one {
                    self.set_pace(first, Pace::AtMost(1), span);
                } else if clauses.len() > 1 && clauses.iter().all(is_new) {
                    let members = self.steps.split_off(first);
                    let list = Node { kind: NodeKind::List(members), span };
                    self.steps.push(map(vec![entry("parallel", span, list)], span));
                }
            }
        }
    }

    fn read(&mut self, source: &str, sentence: &Sentence<'_>) -> Vec<Clause> {
        let mut clauses = Reader::new(source, &sentence.tokens, self.found).sentence();
        for bullet in &sentence.bullets {
            match clauses.last_mut() {
                Some(last) => Reader::new(source, bullet, self.found).bullet(last),
                None => self.form(sentence.span(), "the list belongs to no verb", "write what is done before the `:`"),
            }
        }
        let before = self.verbs;
        self.verbs += clauses.iter().map(|clause| 1 + clause.inner.len()).sum::<usize>();
        if self.verbs > VERBS_MAX {
            if before <= VERBS_MAX {
                let message = format!("the recipe has more than {VERBS_MAX} verbs");
                let help = "make several recipes of it, or a workflow file with `for-each`";
                self.found.push(Diagnostic::error(code::TOO_LARGE, sentence.span(), message).help(help));
            }
            return Vec::new();
        }
        clauses
    }

    /// `Run all combinations in parallel.`
    fn runs(&mut self, sentence: &Sentence<'_>) -> bool {
        let Some(first) = sentence.tokens.first().filter(|token| token.is_word(&["run"])) else { return false };
        const WORDS: &[&str] =
            &["all", "every", "each", "the", "them", "these", "of", "combination", "combinations", "steps"];
        let known = |token: &Token| token.is_word(WORDS) || token.is_word(PICTURES) || token.is('.') || token.is(',');
        let mut at = 1;
        let mut said = None;
        let mut unread: Vec<&Token> = Vec::new();
        while let Some(token) = sentence.tokens.get(at) {
            if let Some((found, taken)) = pace(&sentence.tokens[at..]) {
                said = Some(found);
                at += taken;
                continue;
            }
            if !known(token) {
                unread.push(token);
            }
            at += 1;
        }
        if let (Some(from), Some(to)) = (unread.first(), unread.last()) {
            let span = Span::new(from.span.start, to.span.end);
            let words = unread.iter().map(|token| token.text.as_str()).collect::<Vec<_>>().join(" ");
            let found = Diagnostic::error(code::RECIPE_UNREAD, span, format!("can't read `{words}` in how it is run"));
            self.found
                .push(found.help("such as `Run in parallel.`, `Run at most 4 in parallel.` or `Run one at a time.`"));
            return true;
        }
        let span = sentence.span();
        match said {
            Some(pace) if self.steps.iter().any(is_fan_out) => {
                let last = self.steps.iter().rposition(is_fan_out).unwrap_or_default();
                self.set_pace(last, pace, span);
            }
            Some(Pace::Parallel | Pace::AtMost(2..)) => {
                let help = "the steps of a recipe follow each other; only several pictures, `For each …` and `4 variations`, are made at once";
                self.count(span, "there is nothing to run in parallel", help);
            }
            Some(Pace::AtMost(_)) => {}
            None => {
                let help = "such as `Run in parallel.`, `Run at most 4 in parallel.` or `Run one at a time.`";
                self.form(first.span, "how it is run is missing", help);
            }
        }
        true
    }

    /// Sets how many go on at once in the fan-outs from a step on.
    fn set_pace(&mut self, from: usize, pace: Pace, span: Span) {
        let Pace::AtMost(most) = pace else { return };
        for step in self.steps.iter_mut().skip(from).filter(|step| is_fan_out(step)) {
            if let NodeKind::Map(entries) = &mut step.kind {
                entries.retain(|entry| entry.key.text != "max-parallel");
                let at = entries.iter().position(|entry| matches!(entry.key.text.as_str(), "uses" | "steps"));
                entries.insert(at.unwrap_or(entries.len()), entry("max-parallel", span, node(&most.into(), span)));
            }
        }
    }

    /// An input for a file that the recipe names, as an expression.
    fn input(&mut self, base: &str, kind: &str, default: Option<Node>, span: Span) -> String {
        let is_same = |input: &&Entry| match (&input.value.kind, &default) {
            (NodeKind::Map(entries), Some(default)) => entries.iter().any(|entry| entry.value.kind == default.kind),
            _ => false,
        };
        if let Some(known) = self.inputs.iter().find(is_same) {
            return format!("inputs.{}", known.key.text);
        }
        let base = match base.starts_with(|c: char| c.is_ascii_alphabetic()) {
            true => base.to_owned(),
            false => format!("file_{base}").trim_end_matches('_').to_owned(),
        };
        let taken = |name: &str| self.inputs.iter().any(|input| input.key.text == name);
        let name = (1..).map(|number| if number == 1 { base.clone() } else { format!("{base}_{number}") });
        let name = name.into_iter().find(|name| !taken(name)).unwrap_or(base);
        let mut entries = vec![entry("type", span, text(kind, span))];
        entries.extend(default.map(|default| entry("default", span, default)));
        self.inputs.push(entry(&name, span, map(entries, span)));
        format!("inputs.{name}")
    }

    /// The input for a picture at a path.
    fn file_input(&mut self, path: &Node) -> String {
        let said = path.as_text().unwrap_or_default();
        let file = said.rsplit('/').next().unwrap_or_default();
        let stem = slug(file.rsplit_once('.').map_or(file, |(stem, _)| stem), '_');
        self.input(&stem, "image", Some(path.clone()), path.span)
    }

    /// What a clause works on. Taken out of what is open, unless a step is named.
    fn works_on(&mut self, clause: &Clause, all: bool) -> Vec<Made> {
        if let Some((number, span)) = clause.from {
            if let Some(made) = self.numbered.get(&number) {
                self.open.retain(|open| made.iter().all(|made| made.path != open.path));
                return made.iter().map(|made| Made { flows: false, ..made.clone() }).collect();
            }
            let help = "steps are counted from 1, and a step can use only what is made before it";
            self.form(span, format!("step {number} makes no picture before this"), help);
        }
        if let Some(path) = clause.path.as_ref().filter(|_| !clause.op.is_some_and(takes_path)) {
            let path = self.file_input(path);
            return vec![Made { path, kind: "image", many: false, flows: false, format: None }];
        }
        let made = if all { std::mem::take(&mut self.open) } else { self.open.pop().into_iter().collect() };
        if made.is_empty() {
            let optional = clause.op.is_some_and(|op| op.name == "video.generate");
            if optional {
                return Vec::new();
            }
            let path = self.input("image", "image", None, clause.verb_span);
            return vec![Made { path, kind: "image", many: false, flows: false, format: None }];
        }
        made
    }

    /// The clauses of a sentence, or of a phase that works on every picture.
    fn chain(&mut self, clauses: &[Clause], number: Option<u64>, per_image: Option<Span>) {
        let mut at = 0;
        while let Some(clause) = clauses.get(at) {
            let rest = &clauses[at..];
            let Some(op) = clause.op else {
                // Sentences held together by a verb.
                at += 1;
                if !clause.inner.is_empty() && self.work_on_pictures(&clause.inner) {
                    let made = self.works_on(clause, clause.all || per_image.is_some());
                    let id = clause.verb.names[0].rsplit(' ').next().unwrap_or_default();
                    self.group(&clause.inner, made, id, clause.pace, clause.span);
                }
                continue;
            };
            if op.name == "image.contact-sheet" || begins_anew(op) {
                at += 1;
                self.anew(clause, op);
                continue;
            }
            // What follows works on the same pictures, up to what doesn't.
            let made = self.works_on(clause, clause.all || per_image.is_some());
            let goes_on = |clause: &&Clause| {
                let same = clause.op.filter(|op| !begins_anew(op) && op.name != "image.contact-sheet");
                let others = clause.all && !self.open.is_empty();
                clause.from.is_none() && !others && same.is_some_and(|op| clause.path.is_none() || takes_path(op))
            };
            let length = 1 + rest[1..].iter().take_while(goes_on).count();
            let phase = per_image.map(|_| "phase".to_owned());
            let id = phase.unwrap_or_else(|| op.last_word().replace('-', "_"));
            let pace = rest[..length].iter().find_map(|clause| clause.pace);
            self.group(&rest[..length], made, &id, pace, clause.span);
            at += length;
        }
        if let (Some(number), Some(last)) = (number, self.open.last()) {
            self.numbered.insert(number, vec![last.clone()]);
        }
    }

    /// Whether the clauses that another one holds together all work on the pictures of that one.
    fn work_on_pictures(&mut self, clauses: &[Clause]) -> bool {
        let mut flat = Vec::new();
        flatten(clauses, &mut flat);
        for clause in &flat {
            let anew = clause.op.is_some_and(|op| begins_anew(op) || op.name == "image.contact-sheet");
            let other = clause.path.is_some() && !clause.op.is_some_and(takes_path);
            if anew || other || clause.from.is_some() {
                let message =
                    format!("`{}` is about something else than the pictures it stands under", clause.verb.names[0]);
                self.form(clause.verb_span, message, "make a sentence of its own of it");
                return false;
            }
        }
        true
    }

    /// Clauses that work on the same: steps one after the other on one picture, a fan-out over several.
    fn group(&mut self, clauses: &[Clause], made: Vec<Made>, id: &str, pace: Option<(Pace, Span)>, span: Span) {
        let is_many = made.len() > 1 || made.iter().any(|made| made.many);
        if !is_many && clauses.iter().all(|clause| clause.axes.is_empty()) {
            let mut made = made.into_iter().next();
            for clause in clauses {
                made = self.single(clause, made);
            }
            self.open.extend(made);
            return;
        }
        let first = self.steps.len();
        let items = Made::items(&made);
        let made = self.each(clauses, &Each { id, items, span, is_files: false });
        if let Some((pace, span)) = pace {
            self.set_pace(first, pace, span);
        }
        self.open.push(made);
    }

    /// A step on one picture.
    fn single(&mut self, clause: &Clause, from: Option<Made>) -> Option<Made> {
        let Some(op) = clause.op else {
            let mut made = from;
            for inner in &clause.inner {
                made = self.single(inner, made);
            }
            return made;
        };
        let id = self.id(&op.last_word().replace('-', "_"));
        let mut with = Vec::new();
        if let (Some(made), Some(param)) = (from.as_ref().filter(|made| !made.flows), picture_param(op)) {
            with.push(entry(param, clause.verb_span, text(braces(&made.file()), clause.verb_span)));
        }
        with.extend(self.with(clause, op));
        if op.name == "save" {
            with.extend(self.save_path(clause, None, from.as_ref().and_then(|made| made.format.clone())));
        }
        self.steps.push(step(Some(&id), clause, with));
        let kind = match op.name {
            "video.generate" => "video",
            "image.describe" => return from,
            // What was saved stays what is worked on.
            "save" => return from,
            _ => "image",
        };
        let format = match op.name {
            "image.encode" => said(clause, "format"),
            _ => None,
        };
        Some(Made { path: format!("steps.{id}"), kind, many: false, flows: true, format })
    }

    /// The parameters of a clause: what it says, and what its verb gives.
    fn with(&mut self, clause: &Clause, op: &'static OpSpec) -> Vec<Entry> {
        let mut with: Vec<Entry> = Vec::new();
        if op.name == "image.overlay"
            && let Some(path) = &clause.path
        {
            let input = self.file_input(path);
            with.push(entry("overlay", path.span, text(braces(&input), path.span)));
        }
        with.extend(clause.with.iter().map(|(name, node)| entry(name, node.span, node.clone())));
        let is_said = |name: &str| {
            clause.with.iter().any(|(said, _)| *said == name) || clause.axes.iter().any(|axis| axis.param == name)
        };
        let placed = is_said("x")
            || (is_said("gravity") && !is_said("margin") && said(clause, "gravity").as_deref() == Some("center"));
        for (name, value) in clause.verb.gives {
            let lossless =
                *name == "quality" && (said(clause, "format").as_deref() == Some("png") || is_said("lossless"));
            let elsewhere = placed && matches!(*name, "gravity" | "margin");
            if !(is_said(name) || lossless || elsewhere) {
                let value = serde_json::from_str(value).unwrap_or(Value::Null);
                with.push(entry(name, clause.verb_span, node(&value, clause.verb_span)));
            }
        }
        self.complete(clause, op, &with);
        match op.name {
            "image.detect" => self.target = Some(said(clause, "target")),
            "image.crop" => self.cropped(clause),
            _ => {}
        }
        with
    }

    /// What an op can't do without has to be said, where nothing else says it.
    fn complete(&mut self, clause: &Clause, op: &'static OpSpec, with: &[Entry]) {
        let is_given = |name: &str| {
            with.iter().any(|entry| entry.key.text == name) || clause.axes.iter().any(|axis| axis.param == name)
        };
        // Those of files are told, and asked for, where they are read.
        let own = |name: &str| picture_param(op) == Some(name) || matches!(name, "path" | "url" | "title");
        let missing = op.params.iter().filter(|param| param.required && !own(param.name) && !is_given(param.name));
        for param in missing {
            let what = param.summary.split(';').next().unwrap_or_default();
            let message = format!("`{}` needs {what}", clause.verb.names[0]);
            self.form(clause.verb_span, message, format!("such as `{}`", clause.verb.example));
        }
        let sized = ["width", "height"].into_iter().any(is_given);
        if op.name == "image.resize" && !sized {
            self.form(
                clause.verb_span,
                "`resize` needs a size",
                "such as `Resize to 1024x1024` or `Resize to 800px wide`",
            );
        }
    }

    /// What is cropped to has to be what was detected.
    fn cropped(&mut self, clause: &Clause) {
        let Some((words, span)) = &clause.detected else { return };
        match &self.target {
            None => {
                let help = format!("put a step before it: `Detect the {words}`");
                self.form(*span, "nothing is detected before this", help);
            }
            Some(Some(target)) => {
                let (named, known) = (words.to_lowercase(), target.to_lowercase());
                if !named.contains(&known) && !known.contains(&named) {
                    let message = format!("`{words}` was not detected, `{target}` was");
                    self.count(*span, message, format!("write `Crop to the detected {target}`, or detect the {words}"));
                }
            }
            Some(None) => {}
        }
    }
}

fn takes_path(op: &OpSpec) -> bool {
    matches!(op.name, "save" | "image.overlay" | "notify.webhook")
}

fn is_fan_out(step: &Node) -> bool {
    match &step.kind {
        NodeKind::Map(entries) => entries.iter().any(|entry| matches!(entry.key.text.as_str(), "for-each" | "matrix")),
        _ => false,
    }
}

fn said(clause: &Clause, param: &str) -> Option<String> {
    let given = clause.with.iter().find(|(name, _)| *name == param);
    given.and_then(|(_, node)| node.as_text()).map(str::to_owned)
}

fn flatten<'c>(clauses: &'c [Clause], flat: &mut Vec<&'c Clause>) {
    for clause in clauses {
        match clause.verb.words {
            Words::Sentences => flatten(&clause.inner, flat),
            _ => flat.push(clause),
        }
    }
}

/// The name of an axis in expressions.
fn key(axis: &Axis) -> String {
    axis.param.replace('-', "_")
}

fn matrix(axes: &[Axis], span: Span) -> Node {
    let list = |axis: &Axis| Node { kind: NodeKind::List(axis.values.clone()), span: axis.span };
    map(axes.iter().map(|axis| entry(&key(axis), axis.span, list(axis))).collect(), span)
}

fn step(id: Option<&str>, clause: &Clause, with: Vec<Entry>) -> Node {
    let verb = clause.verb_span;
    let mut entries: Vec<Entry> = id.map(|id| entry("id", verb, text(id, verb))).into_iter().collect();
    entries.push(entry("uses", verb, text(clause.verb.op, verb)));
    if !with.is_empty() {
        entries.push(entry("with", verb, map(with, clause.span)));
    }
    map(entries, clause.span)
}
