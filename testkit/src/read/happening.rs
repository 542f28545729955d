//! `events:` of a test.

use super::{Reader, unknown_key};
use crate::case::{Command, Happening};
use darkroom_engine::code;
use darkroom_engine::node::{Entry, Name, Node, NodeKind};
use darkroom_engine::{Decision, suggest};
use darkroom_proto::{Map, StepPath};

const EVENT_KEYS: &[&str] = &[
    "when",
    "after",
    "signal",
    "data",
    "approve",
    "reject",
    "answers",
    "choice",
    "note",
    "by",
    "cancel",
    "terminate",
    "pause",
    "resume",
    "set",
];

/// The keys that say what happens, and those that go with each.
const COMMANDS: &[(&str, &[&str])] = &[
    ("signal", &["data", "by"]),
    ("approve", &["answers", "choice", "note", "by"]),
    ("reject", &["answers", "note", "by"]),
    ("cancel", &[]),
    ("terminate", &[]),
    ("pause", &[]),
    ("resume", &["set"]),
];

/// Who does something, unless somebody is named.
const SOMEBODY: &str = "test";

impl Reader<'_> {
    pub(super) fn happenings(&mut self, key: &Name, value: &Node) -> Vec<Happening> {
        let items = self.list(key, value, "write a list: `- when: review`, then what happens");
        items.iter().map(|item| self.happening(key, item)).collect()
    }

    fn happening(&mut self, key: &Name, item: &Node) -> Happening {
        let entries = self.map(key, item);
        let mut happening = Happening::default();
        for Entry { key, value } in entries {
            match key.text.as_str() {
                "when" => {
                    happening.when = self.text(key, value).filter(|text| self.step(text, value.span).is_some());
                }
                "after" => happening.after = self.duration(key, value),
                known if EVENT_KEYS.contains(&known) => {}
                _ => unknown_key(self.found, key, EVENT_KEYS, "an event"),
            }
        }
        let mut commands = entries
            .iter()
            .filter_map(|entry| Some((entry, COMMANDS.iter().find(|(name, _)| *name == entry.key.text)?)));
        let first = commands.next();
        if let Some((second, _)) = commands.next() {
            let message = format!("`{}` is a second thing in one event", second.key.text);
            self.error(code::BAD_TEST, second.key.span, message, "make it an event of its own, with a `-` before it");
        }
        let with: &[&str] = first.map_or(&[], |(_, (_, with))| with);
        for Entry { key, .. } in entries {
            let is_detail = !["when", "after"].contains(&key.text.as_str())
                && EVENT_KEYS.contains(&key.text.as_str())
                && !COMMANDS.iter().any(|(name, _)| *name == key.text);
            if is_detail && !with.contains(&key.text.as_str()) {
                let takers =
                    COMMANDS.iter().filter(|(_, with)| with.contains(&key.text.as_str())).map(|(name, _)| *name);
                let help = format!("it goes with {}", suggest::list(takers));
                self.error(code::BAD_TEST, key.span, format!("`{}` means nothing here", key.text), help);
            }
        }
        if let Some((entry, _)) = first {
            happening.command = self.command(&entry.key, &entry.value, entries);
        }
        happening
    }

    fn command(&mut self, key: &Name, value: &Node, entries: &[Entry]) -> Option<Command> {
        let detail = |name: &str| entries.iter().find(|entry| entry.key.text == name);
        let by = detail("by").and_then(|entry| self.text(&entry.key, &entry.value));
        let by = by.unwrap_or_else(|| SOMEBODY.to_owned());
        Some(match key.text.as_str() {
            "signal" => {
                let data = detail("data").map(|entry| entry.value.to_json()).unwrap_or_default();
                Command::Signal { name: self.text(key, value)?, data, by }
            }
            "approve" | "reject" => {
                let answers = detail("answers").map(|entry| self.values(entry)).unwrap_or_default();
                Command::Decide(Decision {
                    key: String::new(),
                    step: self.step_or_none(key, value),
                    approved: key.text == "approve",
                    answers,
                    choice: detail("choice").and_then(|entry| self.count(&entry.key, &entry.value, 1)),
                    by,
                    note: detail("note").and_then(|entry| self.text(&entry.key, &entry.value)).unwrap_or_default(),
                })
            }
            "cancel" => Command::Cancel(self.text(key, value)?),
            "terminate" => Command::Terminate(self.text(key, value)?),
            "pause" => Command::Pause,
            _ => {
                let set = detail("set").map(|entry| self.values(entry)).unwrap_or_default();
                Command::Resume { from: self.step_or_none(key, value).map(|step| step.to_string()), set }
            }
        })
    }

    /// The step that is named; none for nothing and for `true`.
    fn step_or_none(&mut self, key: &Name, value: &Node) -> Option<StepPath> {
        match value.kind {
            NodeKind::Null | NodeKind::Bool(true) => None,
            _ => {
                let text = self.text(key, value)?;
                self.step(&text, value.span)
            }
        }
    }

    fn values(&mut self, entry: &Entry) -> Map {
        let entries = self.map(&entry.key, &entry.value);
        entries.iter().map(|entry| (entry.key.text.clone(), entry.value.to_json())).collect()
    }
}
