//! YAML and JSON text to a tree whose nodes know their place.
//!
//! YAML 1.2 with the core schema; JSON is read by the same rules. One document, no tags but the core ones, and limits on
//! depth and size that hold after aliases are written out, so that a small file can't become a large tree.

use crate::code;
use crate::diagnostic::Diagnostic;
use crate::node::{Entry, Name, Node, NodeKind};
use crate::quoting::Repair;
use crate::source::{BYTES_MAX, Fault, Source, Span};
use crate::syntax;
use granit_parser::{Event, Parser, ScalarStyle, StrInput, Tag};
use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

/// The deepest nesting of lists and mappings.
pub(crate) const DEPTH_MAX: usize = 64;
/// The most values in a file after its aliases are written out.
pub(crate) const NODES_MAX: usize = 10_000;

/// The tree of a file, as far as there is one, and what is wrong with its text.
pub fn parse(source: &Source) -> (Option<Node>, Vec<Diagnostic>) {
    if let Some(fault) = source.fault() {
        return (None, vec![unreadable(fault)]);
    }
    // A file with unquoted expressions inside `{ }` or `[ ]` is no YAML. The quotes are added in a copy, so that everything
    // else that is wrong with it can be reported as well.
    let mut repair = Repair::of(source.text());
    let mut outcome = Builder::new(repair.text()).run();
    while let Err(Stop::Syntax { at, scalar }) = &outcome
        && repair.quote(*at, *scalar)
    {
        outcome = Builder::new(repair.text()).run();
    }
    let mut found = repair.diagnostics(source);
    let (node, mut others) = match outcome {
        Ok((node, others)) => (node, others),
        Err(Stop::Syntax { .. }) => (None, syntax::diagnose(repair.text()).into_iter().collect()),
        Err(Stop::Found(others)) => (None, others),
    };
    for diagnostic in &mut others {
        diagnostic.span = repair.original(diagnostic.span);
    }
    found.extend(others);
    let node = node.map(|mut node| {
        if !repair.is_empty() {
            relocate(&mut node, &repair);
        }
        node
    });
    (node, found)
}

/// What is told of bytes that are no text.
pub(crate) fn unreadable(fault: &Fault) -> Diagnostic {
    match fault {
        Fault::NotText { at, utf16 } => {
            let help = if *utf16 {
                "this looks like UTF-16: save the file as UTF-8"
            } else {
                "save the file as UTF-8, and check that it is the workflow and not a picture or an archive"
            };
            Diagnostic::error(code::UNREADABLE, Span::new(*at, *at), "the file is not UTF-8 text")
                .label("the first byte that is no text")
                .help(help)
        }
        Fault::TooLong { bytes } => Diagnostic::error(
            code::TOO_LARGE,
            Span::default(),
            format!("the file has {bytes} bytes, over the limit of {BYTES_MAX}"),
        )
        .help("give large data as an input (`type: json`, `csv` or `file`) instead of writing it into the workflow"),
    }
}

fn relocate(node: &mut Node, repair: &Repair) {
    node.span = repair.original(node.span);
    match &mut node.kind {
        NodeKind::List(items) => items.iter_mut().for_each(|item| relocate(item, repair)),
        NodeKind::Map(entries) => {
            for entry in entries {
                entry.key.span = repair.original(entry.key.span);
                relocate(&mut entry.value, repair);
            }
        }
        _ => {}
    }
}

/// Why there is no tree.
enum Stop {
    /// The text is no YAML from here on; `scalar` is where the value before it begins.
    Syntax { at: usize, scalar: Option<usize> },
    /// It is, and can't be used.
    Found(Vec<Diagnostic>),
}

/// A value that is remembered for its aliases, and what it costs to write it out again.
struct Anchored {
    node: Node,
    nodes: usize,
    bytes: usize,
}

/// A list or mapping that is not closed yet.
struct Frame {
    start: usize,
    anchor: usize,
    /// The counters when it began.
    nodes: usize,
    bytes: usize,
    kind: FrameKind,
}

enum FrameKind {
    List(Vec<Node>),
    Map { entries: Vec<Entry>, key: Option<Name>, names: HashMap<String, Span>, merged: HashSet<String> },
}

struct Builder<'a> {
    text: &'a str,
    parser: Parser<'a, StrInput<'a>>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    bytes: usize,
    root: Option<Node>,
    found: Vec<Diagnostic>,
}

pub(crate) fn parser(text: &str) -> Parser<'_, StrInput<'_>> {
    let options = granit_parser::options! {
        emit_unresolved_aliases: true,
        flow_nesting_limit: DEPTH_MAX + 1,
        block_nesting_limit: DEPTH_MAX + 1,
        simple_key_max_lookahead: 1024,
    };
    Parser::new_from_str_with_options(text, options)
}

impl<'a> Builder<'a> {
    fn new(text: &'a str) -> Self {
        Builder {
            text,
            parser: parser(text),
            stack: Vec::new(),
            anchors: HashMap::new(),
            nodes: 0,
            bytes: 0,
            root: None,
            found: Vec::new(),
        }
    }

    fn run(mut self) -> Result<(Option<Node>, Vec<Diagnostic>), Stop> {
        let mut documents = 0;
        let mut scalar = None;
        while let Some(event) = self.parser.next() {
            let (event, place) = event.map_err(|error| Stop::Syntax {
                at: error.marker().byte_offset().unwrap_or(self.text.len()),
                scalar,
            })?;
            let range = place.byte_range().unwrap_or_default();
            let span = Span::new(range.start, range.end);
            match event {
                Event::DocumentStart(..) => {
                    documents += 1;
                    if documents > 1 {
                        let found = Diagnostic::error(code::DOCUMENTS, span, "a second document begins here")
                            .help("a workflow file holds one document: remove the `---`, or make two files");
                        return self.stop(found);
                    }
                }
                Event::Scalar(text, style, anchor, tag) => {
                    scalar = Some(span.start);
                    let node = self.scalar(text, style, tag.as_deref(), span);
                    self.value(node, anchor)?;
                }
                Event::SequenceStart(_, anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), span);
                    self.open(span, anchor, FrameKind::List(Vec::new()))?;
                }
                Event::MappingStart(_, anchor, tag) => {
                    self.refuse_tag(tag.as_deref(), span);
                    let (names, merged) = (HashMap::new(), HashSet::new());
                    self.open(span, anchor, FrameKind::Map { entries: Vec::new(), key: None, names, merged })?;
                }
                Event::SequenceEnd | Event::MappingEnd => self.close(span)?,
                Event::Alias(anchor) => self.alias(anchor, span)?,
                Event::UnresolvedAlias(name) => {
                    let name = name.into_owned();
                    let found = Diagnostic::error(code::ALIAS, span, format!("there is no anchor `&{name}`"))
                        .label("an unquoted `*` begins an alias")
                        .help(format!("if it is text, put it in quotes: \"*{name}\""));
                    return self.stop(found);
                }
                _ => {}
            }
        }
        if self.found.iter().any(|found| found.code != code::DUPLICATE_KEY) {
            return Err(Stop::Found(self.found));
        }
        Ok((self.root, self.found))
    }

    fn stop<T>(&mut self, found: Diagnostic) -> Result<T, Stop> {
        self.found.push(found);
        Err(Stop::Found(std::mem::take(&mut self.found)))
    }

    fn count(&mut self, nodes: usize, bytes: usize, span: Span) -> Result<(), Stop> {
        self.nodes += nodes;
        self.bytes += bytes;
        if self.nodes > NODES_MAX {
            let found = Diagnostic::error(code::TOO_LARGE, span, "the file holds more than 10,000 values")
                .label("counted with what its aliases stand for")
                .help("give large data as an input (`type: json`, `csv` or `file`)");
            return self.stop(found);
        }
        if self.bytes > BYTES_MAX {
            let found =
                Diagnostic::error(code::TOO_LARGE, span, format!("the file holds more than {BYTES_MAX} bytes of text"))
                    .label("counted with what its aliases stand for")
                    .help("give large data as an input (`type: json`, `csv` or `file`)");
            return self.stop(found);
        }
        Ok(())
    }

    fn open(&mut self, span: Span, anchor: usize, kind: FrameKind) -> Result<(), Stop> {
        let (nodes, bytes) = (self.nodes, self.bytes);
        self.count(1, 0, span)?;
        if self.stack.len() >= DEPTH_MAX {
            let found = Diagnostic::error(
                code::TOO_LARGE,
                span,
                format!("lists and mappings are nested more than {DEPTH_MAX} deep"),
            );
            return self.stop(found);
        }
        self.stack.push(Frame { start: span.start, anchor, nodes, bytes, kind });
        Ok(())
    }

    fn close(&mut self, span: Span) -> Result<(), Stop> {
        let Some(frame) = self.stack.pop() else { return Ok(()) };
        let (kind, last) = match frame.kind {
            FrameKind::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (NodeKind::List(items), last)
            }
            FrameKind::Map { entries, .. } => {
                let last = entries.iter().map(|entry| entry.value.span.end).max();
                (NodeKind::Map(entries), last)
            }
        };
        // The end of a block is where the next token begins: its last value tells better.
        let end = if span.end > span.start { span.end } else { last.unwrap_or(span.end) };
        let node = Node { kind, span: Span::new(frame.start, end) };
        if frame.anchor > 0 {
            let (nodes, bytes) = (self.nodes - frame.nodes, self.bytes - frame.bytes);
            self.anchors.insert(frame.anchor, Anchored { node: node.clone(), nodes, bytes });
        }
        self.place(node)
    }

    /// A scalar that may be a key, a value or the whole document.
    fn value(&mut self, node: Node, anchor: usize) -> Result<(), Stop> {
        let bytes = node.as_text().map_or(0, str::len);
        self.count(1, bytes, node.span)?;
        if anchor > 0 {
            self.anchors.insert(anchor, Anchored { node: node.clone(), nodes: 1, bytes });
        }
        self.place(node)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Result<(), Stop> {
        let Some((nodes, bytes)) = self.anchors.get(&anchor).map(|anchored| (anchored.nodes, anchored.bytes)) else {
            let found = Diagnostic::error(code::ALIAS, span, "the alias stands inside what it is an alias of");
            return self.stop(found);
        };
        self.count(nodes, bytes, span)?;
        let Some(mut node) = self.anchors.get(&anchor).map(|anchored| anchored.node.clone()) else { return Ok(()) };
        if self.stack.len() + depth(&node) > DEPTH_MAX {
            let found = Diagnostic::error(
                code::TOO_LARGE,
                span,
                format!("lists and mappings are nested more than {DEPTH_MAX} deep"),
            );
            return self.stop(found);
        }
        move_to(&mut node, span);
        self.place(node)
    }

    fn place(&mut self, node: Node) -> Result<(), Stop> {
        let Some(frame) = self.stack.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut frame.kind {
            FrameKind::List(items) => items.push(node),
            FrameKind::Map { entries, key, names, merged } => match key.take() {
                Some(name) if name.text == "<<" => return self.merge(node),
                Some(name) => {
                    if merged.remove(&name.text) {
                        entries.retain(|entry| entry.key.text != name.text);
                    }
                    if let Some(first) = names.insert(name.text.clone(), name.span) {
                        names.insert(name.text.clone(), first);
                        let line = self.text.get(..first.start).unwrap_or_default().matches('\n').count() + 1;
                        let message = format!("the key `{}` stands twice in one mapping", name.text);
                        let found = Diagnostic::error(code::DUPLICATE_KEY, name.span, message)
                            .label(format!("first on line {line}"))
                            .help("keep one of them: the second would silently replace the first");
                        self.found.push(found);
                    } else {
                        entries.push(Entry { key: name, value: node });
                    }
                }
                None => {
                    let raw = self.text.get(node.span.range()).unwrap_or_default();
                    let text = match &node.kind {
                        NodeKind::Text(text) => text.clone(),
                        NodeKind::List(_) | NodeKind::Map(_) => return self.stop(no_key(self.text, &node)),
                        // `1:` and `true:` are keys as written.
                        _ => raw.to_owned(),
                    };
                    *key = Some(Name { text, span: node.span });
                }
            },
        }
        Ok(())
    }

    /// `<<: *anchor`: keys that the mapping does not have itself are taken over.
    fn merge(&mut self, node: Node) -> Result<(), Stop> {
        let span = node.span;
        let sources = match node.kind {
            NodeKind::Map(_) => vec![node],
            NodeKind::List(items) => items,
            _ => Vec::new(),
        };
        if sources.is_empty() || sources.iter().any(|source| !matches!(source.kind, NodeKind::Map(_))) {
            return self.stop(
                Diagnostic::error(code::ALIAS, span, "`<<` takes a mapping, or a list of mappings")
                    .help("write `<<: *name`, where `&name` marks a mapping further up"),
            );
        }
        if let Some(Frame { kind: FrameKind::Map { entries, names, merged, .. }, .. }) = self.stack.last_mut() {
            for entry in sources.into_iter().flat_map(|source| match source.kind {
                NodeKind::Map(entries) => entries,
                _ => Vec::new(),
            }) {
                if !names.contains_key(&entry.key.text) && merged.insert(entry.key.text.clone()) {
                    entries.push(entry);
                }
            }
        }
        Ok(())
    }

    fn scalar(&mut self, text: Cow<'_, str>, style: ScalarStyle, tag: Option<&Tag>, span: Span) -> Node {
        let kind = match tag.map(|tag| (tag, tag.core_suffix())) {
            None if style == ScalarStyle::Plain => resolve(&text),
            None | Some((_, Some("str"))) => NodeKind::Text(text.into_owned()),
            Some((_, Some(_))) => resolve(&text),
            Some((tag, None)) => {
                self.refuse_tag(Some(tag), span);
                NodeKind::Null
            }
        };
        // The span of a block scalar reaches into the next line.
        let raw = self.text.get(span.range()).unwrap_or_default();
        Node { kind, span: Span::new(span.start, span.start + raw.trim_end().len()) }
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: Span) {
        if let Some(tag) = tag.filter(|tag| tag.core_suffix().is_none()) {
            let found =
                Diagnostic::error(code::SYNTAX, span, format!("the tag `{}` means nothing here", tag.original()))
                    .help("if the value is text that begins with `!`, put it in quotes");
            self.found.push(found);
        }
    }
}

fn no_key(text: &str, node: &Node) -> Diagnostic {
    let raw = text.get(node.span.range()).unwrap_or_default();
    let found = Diagnostic::error(code::SYNTAX, node.span, format!("{} can't be a key", node.describe()));
    if raw.starts_with('{') {
        let inner = raw.trim_matches(['{', '}']).trim();
        return found
            .label("`{` begins a mapping in YAML")
            .help(format!("an expression is written ${{{{ {inner} }}}}"));
    }
    found.help("a key is a word followed by `:`")
}

fn depth(node: &Node) -> usize {
    match &node.kind {
        NodeKind::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        NodeKind::Map(entries) => 1 + entries.iter().map(|entry| depth(&entry.value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// What an alias stands for is reported where the alias is: the anchor may be right where it is.
fn move_to(node: &mut Node, span: Span) {
    node.span = span;
    match &mut node.kind {
        NodeKind::List(items) => items.iter_mut().for_each(|item| move_to(item, span)),
        NodeKind::Map(entries) => {
            for entry in entries {
                entry.key.span = span;
                move_to(&mut entry.value, span);
            }
        }
        _ => {}
    }
}

/// A plain scalar by the core schema. What JSON has no number for (`.inf`, `.nan`) stays text.
fn resolve(text: &str) -> NodeKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return NodeKind::Null,
        "true" | "True" | "TRUE" => return NodeKind::Bool(true),
        "false" | "False" | "FALSE" => return NodeKind::Bool(false),
        _ => {}
    }
    number(text).map_or_else(|| NodeKind::Text(text.to_owned()), NodeKind::Number)
}

fn number(text: &str) -> Option<serde_json::Number> {
    for (prefix, radix) in [("0x", 16), ("0o", 8)] {
        if let Some(digits) = text.strip_prefix(prefix) {
            let digits = digits.bytes().all(|byte| byte.is_ascii_alphanumeric()).then_some(digits)?;
            return u64::from_str_radix(digits, radix).ok().map(Into::into);
        }
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).map_or((unsigned, None), |(m, e)| (m, Some(e)));
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, part) = mantissa.split_once('.').map_or((mantissa, None), |(whole, part)| (whole, Some(part)));
    let digits = whole.len() + part.map_or(0, str::len);
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && all_digits(exponent)
    });
    if digits == 0 || !all_digits(whole) || !part.is_none_or(all_digits) || !exponent_fits {
        return None;
    }
    let text = text.strip_prefix('+').unwrap_or(text);
    if part.is_none() && exponent.is_none() {
        if let Ok(value) = text.parse::<i64>() {
            return Some(value.into());
        }
        if let Ok(value) = text.parse::<u64>() {
            return Some(value.into());
        }
    }
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64)
}
