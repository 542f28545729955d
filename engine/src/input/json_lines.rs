//! JSON lines: one JSON value on each line.

use super::InputError;
use serde_json::Value;

/// The most values of one file.
const VALUES_MAX: usize = 1_000_000;
/// The most bytes of one line.
const LINE_BYTES_MAX: usize = 1 << 20;

/// The values as a list, in the order of their lines. Empty lines are left out.
pub(super) fn parse(name: &str, text: &str) -> Result<Value, InputError> {
    let unreadable = |line: usize, what: String| InputError::Unreadable {
        name: name.to_owned(),
        format: "JSON lines",
        detail: format!("line {line}: {what}"),
    };
    let mut values = Vec::new();
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let number = at + 1;
        if line.trim().is_empty() {
            continue;
        }
        if line.len() > LINE_BYTES_MAX {
            return Err(unreadable(number, format!("{} bytes, over the limit of {LINE_BYTES_MAX}", line.len())));
        }
        if values.len() == VALUES_MAX {
            return Err(unreadable(number, format!("more than {VALUES_MAX} values")));
        }
        values.push(serde_json::from_str(line).map_err(|error| unreadable(number, described(&error)))?);
    }
    Ok(Value::Array(values))
}

/// Whether a text that is no single JSON value is several, each on a line of its own.
pub(super) fn is_likely(text: &str) -> bool {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).take(2);
    let is_value = |line: &str| serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
    matches!((lines.next(), lines.next()), (Some(first), Some(second)) if is_value(first) && is_value(second))
}

/// What is wrong, with the column alone: every value has one line, and serde counts from there.
fn described(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let what = text.split(" at line ").next().unwrap_or_default();
    match (error.is_eof(), error.column()) {
        (true, _) => format!("{what}; every value has one line of its own"),
        (false, column) => format!("{what}, at column {column}"),
    }
}
