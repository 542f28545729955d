//! Files of tests, read as strictly as workflow files: every key is known and of the right shape, and fits the workflow.

mod expect;
mod happening;
mod mocks;

use crate::case::Case;
use crate::error::TestkitError;
use crate::inputs;
use crate::kit::Testkit;
use crate::stage::Stage;
use darkroom_engine::diagnostic::{Diagnostic, Findings};
use darkroom_engine::node::{Entry, Name, Node, NodeKind};
use darkroom_engine::plan::Plan;
use darkroom_engine::source::Span;
use darkroom_engine::{Source, code, suggest, yaml};
use darkroom_proto::{Duration, Map, StepPath};
use std::path::Path;

const FILE_KEYS: &[&str] = &["workflow", "tests"];
const TEST_KEYS: &[&str] = &["name", "inputs", "mocks", "events", "expect"];

/// The tests of a file, or what is wrong with it.
pub(crate) fn read(source: &Source, folder: &Path) -> Result<Result<Vec<Case>, Vec<Diagnostic>>, TestkitError> {
    let (root, others) = yaml::parse(source);
    let mut found = Findings::default();
    found.extend(others);
    let cases = match &root {
        Some(root) => file(root, folder, &mut found)?,
        None => Vec::new(),
    };
    if found.has_errors() {
        return Ok(Err(found.finish(source)));
    }
    Ok(Ok(cases))
}

fn file(root: &Node, folder: &Path, found: &mut Findings) -> Result<Vec<Case>, TestkitError> {
    let NodeKind::Map(entries) = &root.kind else {
        let message = format!("a file of tests is a mapping, and this one holds {}", root.describe());
        let error = Diagnostic::error(code::DOCUMENTS, root.span, message);
        found.push(error.help("begin with `workflow: my-workflow.yaml`, then `tests:`"));
        return Ok(Vec::new());
    };
    let (mut workflow, mut tests) = (None, None);
    for Entry { key, value } in entries {
        match key.text.as_str() {
            "workflow" => workflow = Some(value),
            "tests" => tests = Some((key, value)),
            _ => unknown_key(found, key, FILE_KEYS, "a file of tests"),
        }
    }
    let top = entries.first().map(|entry| entry.key.span).unwrap_or_default();
    let Some(named) = workflow.and_then(Node::as_text) else {
        let span = workflow.map_or(top, |value| value.span);
        let error = Diagnostic::error(code::MISSING_KEY, span, "the tests name no workflow: `workflow` is a path");
        found.push(error.help("begin the file with `workflow: my-workflow.yaml`, relative to this file"));
        return Ok(Vec::new());
    };
    let path = folder.join(named);
    if let (Some(value), false) = (workflow, path.is_file()) {
        let error = Diagnostic::error(code::BAD_TEST, value.span, format!("there is no file {}", path.display()));
        found.push(error.help("the path is relative to this file"));
        return Ok(Vec::new());
    }
    let kit = Testkit::from_file(&path)?.folder(folder);
    let stage = Stage::new()?;
    let mut reader = Reader { found, kit: &kit, stage: &stage, folder };
    match tests {
        Some((key, value)) => {
            let items = reader.list(key, value, "write a list of tests, each `- name: …`");
            Ok(items.iter().filter_map(|item| reader.case(key, item)).collect())
        }
        None => {
            reader.error(code::MISSING_KEY, top, "there is no `tests`", "add `tests:` with a list of tests");
            Ok(Vec::new())
        }
    }
}

fn unknown_key(found: &mut Findings, key: &Name, known: &[&str], place: &str) {
    let help = suggest::advice(&key.text, known.iter().copied(), "");
    let error = Diagnostic::error(code::UNKNOWN_KEY, key.span, format!("{place} has no key `{}`", key.text));
    found.push(error.help(help));
}

/// Reads the tests of one workflow.
struct Reader<'a> {
    found: &'a mut Findings,
    kit: &'a Testkit,
    stage: &'a Stage,
    folder: &'a Path,
}

impl Reader<'_> {
    fn case(&mut self, key: &Name, item: &Node) -> Option<Case> {
        let entries = self.map(key, item);
        let (mut name, mut given, mut kit) = (None, (item.span, Map::new(), Vec::new()), self.kit.clone());
        let (mut events, mut expectation) = (Vec::new(), None);
        for Entry { key, value } in entries {
            match key.text.as_str() {
                "name" => name = self.text(key, value),
                "inputs" => {
                    let entries = self.map(key, value);
                    let values = entries.iter().map(|entry| (entry.key.text.clone(), entry.value.to_json())).collect();
                    let spans = entries.iter().map(|entry| (entry.key.text.clone(), entry.value.span)).collect();
                    given = (key.span, values, spans);
                }
                "mocks" => {
                    for (path, mock) in self.mocks(key, value) {
                        kit = kit.mock(&path, mock);
                    }
                }
                "events" => events = self.happenings(key, value),
                "expect" => expectation = Some(self.expectation(key, value)),
                _ => unknown_key(self.found, key, TEST_KEYS, "a test"),
            }
        }
        let start = entries.first().map_or(item.span, |entry| entry.key.span);
        let Some(name) = name else {
            self.error(
                code::MISSING_KEY,
                start,
                "the test has no `name`",
                "say what it shows, such as `name: it is tried again`",
            );
            return None;
        };
        let Some(expectation) = expectation else {
            self.error(
                code::MISSING_KEY,
                start,
                "the test expects nothing: `expect` is missing",
                "add `expect: {status: completed}`",
            );
            return None;
        };
        let (at, values, spans) = given;
        self.check_inputs(if values.is_empty() { start } else { at }, &values, &spans);
        for (name, value) in values {
            kit = kit.input(&name, value);
        }
        Some(Case { name, kit, events, expectation })
    }

    /// Checks inputs as the start of a run does.
    fn check_inputs(&mut self, at: Span, values: &Map, spans: &[(String, Span)]) {
        let inputs = &self.kit.plan.inputs;
        if let Err(bad) = inputs::complete(inputs, values, self.stage, self.folder, self.kit.home()) {
            let span = spans.iter().find(|(name, _)| *name == bad.name).map_or(at, |(_, span)| *span);
            self.error(code::BAD_TEST, span, bad.message, bad.advice);
        }
    }

    fn plan(&self) -> &Plan {
        &self.kit.plan
    }

    fn error(&mut self, code: &'static str, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.found.push(Diagnostic::error(code, span, message).help(help));
    }

    fn wrong_shape(&mut self, key: &Name, value: &Node, wanted: &str, help: &str) {
        let span = if value.span.start == value.span.end { key.span } else { value.span };
        let error = Diagnostic::error(code::WRONG_SHAPE, span, format!("`{}` takes {wanted}", key.text));
        self.found.push(error.label(format!("this is {}", value.describe())).help(help));
    }

    fn text(&mut self, key: &Name, value: &Node) -> Option<String> {
        match &value.kind {
            NodeKind::Text(text) => Some(text.clone()),
            NodeKind::Number(number) => Some(number.to_string()),
            _ => {
                self.wrong_shape(key, value, "text", "");
                None
            }
        }
    }

    /// A whole number from `min` on.
    fn count(&mut self, key: &Name, value: &Node, min: u32) -> Option<u32> {
        let number = match &value.kind {
            NodeKind::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => None,
        };
        let number = number.filter(|number| *number >= min);
        if number.is_none() {
            self.wrong_shape(key, value, &format!("a whole number from {min} on"), "write it without quotes");
        }
        number
    }

    fn number(&mut self, key: &Name, value: &Node) -> Option<f64> {
        match &value.kind {
            NodeKind::Number(number) => number.as_f64(),
            _ => {
                self.wrong_shape(key, value, "a number", "write it without quotes");
                None
            }
        }
    }

    fn duration(&mut self, key: &Name, value: &Node) -> Option<Duration> {
        let text = self.text(key, value)?;
        let duration = text.parse().ok();
        if duration.is_none() {
            let help = "write a number with ms, s, m, h or d, such as `90s`, `1.5m` or `48h`";
            self.error(code::BAD_DURATION, value.span, format!("`{text}` is no duration"), help);
        }
        duration
    }

    /// The value of a list of words that it is by its name.
    fn word<T: Copy>(&mut self, key: &Name, value: &Node, words: &[(&'static str, T)]) -> Option<T> {
        let text = self.text(key, value)?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, meant)| *meant);
        if found.is_none() {
            let help = suggest::advice(&text, words.iter().map(|(word, _)| *word), "");
            self.error(code::UNKNOWN_WORD, value.span, format!("`{}` can't be `{text}`", key.text), help);
        }
        found
    }

    fn map<'n>(&mut self, key: &Name, value: &'n Node) -> &'n [Entry] {
        match &value.kind {
            NodeKind::Map(entries) => entries,
            NodeKind::Null => &[],
            _ => {
                self.wrong_shape(key, value, "a mapping", "write `name: value` lines, indented under it");
                &[]
            }
        }
    }

    fn list<'n>(&mut self, key: &Name, value: &'n Node, help: &str) -> &'n [Node] {
        match &value.kind {
            NodeKind::List(items) => items,
            _ => {
                self.wrong_shape(key, value, "a list", help);
                &[]
            }
        }
    }

    /// The path of a step that the workflow has.
    fn step(&mut self, text: &str, span: Span) -> Option<StepPath> {
        let Ok(path) = text.parse::<StepPath>() else {
            let help = "write it as `darkroom show` does, such as `resize` or `branded[3]/resize`";
            self.error(code::BAD_TEST, span, format!("`{text}` is no path of a step"), help);
            return None;
        };
        if !self.plan().has(&path) {
            let plan = self.plan();
            let ids: Vec<String> = plan.top.nodes.iter().map(|node| plan.node(*node).id.clone()).collect();
            let top = text.split(['/', '[']).next().unwrap_or_default();
            let help = match ids.iter().any(|id| id == top) {
                true => format!("`{top}` is a step, and there is nothing of this path in it"),
                false => suggest::advice(top, ids.iter().map(String::as_str), ""),
            };
            self.error(code::BAD_TEST, span, format!("the workflow has no step `{text}`"), help);
            return None;
        }
        Some(path)
    }
}
