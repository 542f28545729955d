//! A tree as YAML text, as people write it.

use crate::node::{Node, NodeKind};
use serde_json::Value;

/// The text of a mapping.
pub(super) fn write(tree: &Node) -> String {
    let mut text = String::new();
    if let NodeKind::Map(entries) = &tree.kind {
        for entry in entries {
            pair(&entry.key.text, &entry.value, 0, &mut text);
        }
    }
    text
}

fn pair(key: &str, value: &Node, indent: usize, text: &mut String) {
    text.push_str(&scalar_text(key));
    text.push(':');
    match &value.kind {
        NodeKind::Map(entries) if !entries.is_empty() => {
            text.push('\n');
            for entry in entries {
                text.push_str(&" ".repeat(indent + 2));
                pair(&entry.key.text, &entry.value, indent + 2, text);
            }
        }
        NodeKind::List(items) if items.iter().any(|item| matches!(item.kind, NodeKind::Map(_))) => {
            text.push('\n');
            for item in items {
                text.push_str(&" ".repeat(indent + 2));
                text.push_str("- ");
                self::item(item, indent + 4, text);
            }
        }
        _ => {
            text.push(' ');
            text.push_str(&flow(value));
            text.push('\n');
        }
    }
}

fn item(node: &Node, indent: usize, text: &mut String) {
    match &node.kind {
        NodeKind::Map(entries) if !entries.is_empty() => {
            for (at, entry) in entries.iter().enumerate() {
                if at > 0 {
                    text.push_str(&" ".repeat(indent));
                }
                pair(&entry.key.text, &entry.value, indent, text);
            }
        }
        _ => {
            text.push_str(&flow(node));
            text.push('\n');
        }
    }
}

fn flow(node: &Node) -> String {
    match &node.kind {
        NodeKind::Text(text) => scalar_text(text),
        NodeKind::List(items) => {
            // Inside of brackets more marks mean something to YAML: text is always quoted there, unless it is a word.
            let inner = |item: &Node| match item.as_text() {
                Some(text) if !is_word(text) => quoted(text),
                _ => flow(item),
            };
            format!("[{}]", items.iter().map(inner).collect::<Vec<_>>().join(", "))
        }
        _ => node.to_json().to_string(),
    }
}

/// Text without quotes where it means the same, else as a JSON string, which is YAML.
fn scalar_text(text: &str) -> String {
    let is_plain = text.starts_with(|c: char| c.is_alphabetic() || c == '.' || c == '/' || c == '$')
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text
            .chars()
            .any(|c| c.is_control() || c == '\u{feff}' || c == '\u{85}' || c == '\u{2028}' || c == '\u{2029}')
        && !is_other(text);
    if is_plain { text.to_owned() } else { quoted(text) }
}

fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'/' | b'.'))
        && !is_other(text)
}

/// Whether YAML reads it as something else than text.
fn is_other(text: &str) -> bool {
    let lower = text.to_lowercase();
    matches!(lower.as_str(), "true" | "false" | "null" | "yes" | "no" | "on" | "off" | "~")
        || text.starts_with('.') && text[1..].starts_with(|c: char| c.is_ascii_digit() || c.is_alphabetic())
}
