//! Single values of the language's own keys.

use super::Reader;
use crate::code;
use crate::node::{Entry, Name, Node, NodeKind};
use crate::suggest;
use darkroom_proto::Duration;

impl Reader<'_> {
    fn wrong_shape(&mut self, key: &Name, value: &Node, wanted: &str, help: &str) {
        let message = format!("`{}` takes {wanted}", key.text);
        let label = format!("this is {}", value.describe());
        let span = if value.span.start == value.span.end { key.span } else { value.span };
        self.error(code::WRONG_SHAPE, span, message, &label, help);
    }

    /// Text. A number is taken for one: `title: 2024`.
    pub(super) fn text(&mut self, key: &Name, value: &Node) -> Option<String> {
        match &value.kind {
            NodeKind::Text(text) => Some(text.clone()),
            NodeKind::Number(number) => Some(number.to_string()),
            _ => {
                self.wrong_shape(key, value, "text", "");
                None
            }
        }
    }

    pub(super) fn boolean(&mut self, key: &Name, value: &Node) -> Option<bool> {
        if let NodeKind::Bool(value) = value.kind {
            return Some(value);
        }
        let help = match value.as_text() {
            Some(text) if text.contains("${{") => "it has to be known before the run: write it out",
            _ => "write `true` or `false`, without quotes",
        };
        self.wrong_shape(key, value, "true or false", help);
        None
    }

    /// A whole number of at least `min`.
    pub(super) fn count(&mut self, key: &Name, value: &Node, min: u32) -> Option<u32> {
        let number = match &value.kind {
            NodeKind::Number(number) => number.as_u64().and_then(|number| u32::try_from(number).ok()),
            _ => {
                self.wrong_shape(key, value, "a whole number", "write it without quotes");
                return None;
            }
        };
        if let Some(number) = number.filter(|number| *number >= min) {
            return Some(number);
        }
        let message = format!("`{}` can't be {}", key.text, value.to_json());
        self.error(code::OUT_OF_RANGE, value.span, message, "", format!("it is a whole number of at least {min}"));
        None
    }

    pub(super) fn number(&mut self, key: &Name, value: &Node) -> Option<f64> {
        match &value.kind {
            NodeKind::Number(number) => number.as_f64(),
            _ => {
                self.wrong_shape(key, value, "a number", "write it without quotes");
                None
            }
        }
    }

    pub(super) fn duration(&mut self, key: &Name, value: &Node) -> Option<Duration> {
        let text = match &value.kind {
            NodeKind::Text(text) => text.clone(),
            NodeKind::Number(number) => number.to_string(),
            _ => {
                self.wrong_shape(key, value, "a duration", "write a number with ms, s, m, h or d, such as `90s`");
                return None;
            }
        };
        match text.parse() {
            Ok(duration) => Some(duration),
            Err(_) => {
                let shown: String = text.chars().take(40).collect();
                let help = "write a number with ms, s, m, h or d, such as `90s`, `1.5m` or `48h`";
                self.error(code::BAD_DURATION, value.span, format!("`{shown}` is no duration"), "", help);
                None
            }
        }
    }

    /// One of a few words.
    pub(super) fn word<'w>(&mut self, key: &Name, value: &Node, words: &[&'w str]) -> Option<&'w str> {
        let Some(text) = value.as_text() else {
            let help = format!("one of {}", suggest::list(words.iter().copied()));
            self.wrong_shape(key, value, "a word", &help);
            return None;
        };
        if let Some(word) = words.iter().find(|word| **word == text) {
            return Some(word);
        }
        let help = suggest::advice(text, words.iter().copied(), "");
        self.error(code::UNKNOWN_WORD, value.span, format!("`{}` can't be `{text}`", key.text), "", help);
        None
    }

    /// A mapping; nothing, if it is none.
    pub(super) fn map<'a>(&mut self, key: &Name, value: &'a Node) -> &'a [Entry] {
        match &value.kind {
            NodeKind::Map(entries) => entries,
            NodeKind::Null => &[],
            _ => {
                self.wrong_shape(key, value, "a mapping", "write `name: value` lines, indented under it");
                &[]
            }
        }
    }

    /// A list; nothing, if it is none.
    pub(super) fn list<'a>(&mut self, key: &Name, value: &'a Node, help: &str) -> Option<&'a [Node]> {
        match &value.kind {
            NodeKind::List(items) => Some(items),
            _ => {
                self.wrong_shape(key, value, "a list", help);
                None
            }
        }
    }

    /// A list of names, or one name.
    pub(super) fn names(&mut self, key: &Name, value: &Node) -> Option<Vec<Name>> {
        let one = std::slice::from_ref(value);
        let items = match &value.kind {
            NodeKind::Text(_) => one,
            _ => self.list(key, value, "write `[a, b]`; `[]` waits for nothing")?,
        };
        let mut names = Vec::new();
        for item in items {
            match item.as_text() {
                Some(text) => names.push(Name { text: text.to_owned(), span: item.span }),
                None => self.wrong_shape(key, item, "a list of step ids", ""),
            }
        }
        Some(names)
    }
}
