//! The tree of a YAML or JSON file: values that know where they stand.

use crate::source::Span;
use serde_json::{Map, Number, Value};

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Where it stands. An alias stands where it is written, not where its anchor is.
    pub span: Span,
}

/// What a [`Node`] is.
#[derive(Debug, Clone, PartialEq)]
pub enum NodeKind {
    /// Nothing.
    Null,
    /// True or false.
    Bool(bool),
    /// A number.
    Number(Number),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Node>),
    /// A mapping, its keys in order.
    Map(Vec<Entry>),
}

/// A key of a map with its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The key.
    pub key: Name,
    /// The value.
    pub value: Node,
}

/// A word and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The word.
    pub text: String,
    /// Where it stands.
    pub span: Span,
}

impl Node {
    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.kind {
            NodeKind::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What it is, for messages: "a list".
    pub fn describe(&self) -> &'static str {
        match &self.kind {
            NodeKind::Null => "nothing",
            NodeKind::Bool(_) => "true or false",
            NodeKind::Number(number) if number.is_f64() => "a number",
            NodeKind::Number(_) => "a whole number",
            NodeKind::Text(_) => "text",
            NodeKind::List(_) => "a list",
            NodeKind::Map(_) => "a mapping",
        }
    }

    /// It as a JSON value, its keys in order.
    pub fn to_json(&self) -> Value {
        match &self.kind {
            NodeKind::Null => Value::Null,
            NodeKind::Bool(value) => Value::Bool(*value),
            NodeKind::Number(number) => Value::Number(number.clone()),
            NodeKind::Text(text) => Value::String(text.clone()),
            NodeKind::List(items) => Value::Array(items.iter().map(Node::to_json).collect()),
            NodeKind::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.text.clone(), entry.value.to_json())).collect::<Map<_, _>>(),
            ),
        }
    }

    /// It as the value that it means where it has no expression in it: `$${{` is written for `${{`.
    pub(crate) fn to_json_unescaped(&self) -> Value {
        match &self.kind {
            NodeKind::Text(text) => Value::String(text.replace("$${{", "${{")),
            NodeKind::List(items) => Value::Array(items.iter().map(Node::to_json_unescaped).collect()),
            NodeKind::Map(entries) => Value::Object(
                entries.iter().map(|entry| (entry.key.text.clone(), entry.value.to_json_unescaped())).collect(),
            ),
            _ => self.to_json(),
        }
    }
}
