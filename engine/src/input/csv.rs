//! Tables: CSV by RFC 4180, the first line names the columns.

use super::InputError;
use serde_json::{Map, Value};

/// The rows as objects whose values are text. Separators are commas, or semicolons or tabs if the first line has more of
/// them.
pub(super) fn parse(name: &str, text: &str) -> Result<Value, InputError> {
    let unreadable = |line: usize, what: &str| InputError::Unreadable {
        name: name.to_owned(),
        format: "a table",
        detail: format!("line {line}: {what}"),
    };
    let text = text.trim_start_matches('\u{feff}');
    let head = text.lines().next().unwrap_or_default();
    let count = |separator: char| head.matches(separator).count();
    let separator = [',', ';', '\t'].into_iter().rev().max_by_key(|separator| count(*separator)).unwrap_or(',');
    let mut records =
        records(text, separator).map_err(|line| unreadable(line, "a quoted cell is not closed"))?.into_iter();
    let Some((_, columns)) = records.next() else { return Err(unreadable(1, "there is nothing in it")) };
    let columns: Vec<String> = columns.into_iter().map(|column| column.trim().to_owned()).collect();
    for (at, column) in columns.iter().enumerate() {
        if column.is_empty() {
            return Err(unreadable(1, &format!("column {} has no name", at + 1)));
        }
        if columns[..at].contains(column) {
            return Err(unreadable(1, &format!("two columns are called `{column}`")));
        }
    }
    let mut rows = Vec::new();
    for (line, record) in records {
        if record.len() != columns.len() {
            let what = format!("{} cells, and there are {} columns", record.len(), columns.len());
            return Err(unreadable(line, &what));
        }
        let row = columns.iter().cloned().zip(record.into_iter().map(Value::from));
        rows.push(Value::Object(Map::from_iter(row)));
    }
    Ok(Value::Array(rows))
}

/// The records with the lines where they begin; an error is the line where a quote is opened and not closed. Empty lines
/// are left out.
fn records(text: &str, separator: char) -> Result<Vec<(usize, Vec<String>)>, usize> {
    let mut records = Vec::new();
    let (mut record, mut cell): (Vec<String>, String) = (Vec::new(), String::new());
    let (mut line, mut start, mut opened) = (1, 1, None);
    let mut touched = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        line += usize::from(c == '\n');
        match (c, opened) {
            ('"', Some(_)) if chars.peek() == Some(&'"') => {
                chars.next();
                cell.push('"');
            }
            ('"', Some(_)) => opened = None,
            (c, Some(_)) => cell.push(c),
            ('"', None) if cell.is_empty() => (opened, touched) = (Some(line), true),
            ('\r', None) if matches!(chars.peek(), Some('\n')) => {}
            ('\n', None) => {
                if touched || !cell.is_empty() || !record.is_empty() {
                    record.push(std::mem::take(&mut cell));
                    records.push((start, std::mem::take(&mut record)));
                }
                (start, touched) = (line, false);
            }
            (c, None) if c == separator => (record, touched) = (pushed(record, &mut cell), true),
            (c, None) => cell.push(c),
        }
    }
    if let Some(line) = opened {
        return Err(line);
    }
    if touched || !cell.is_empty() || !record.is_empty() {
        record.push(cell);
        records.push((start, record));
    }
    Ok(records)
}

fn pushed(mut record: Vec<String>, cell: &mut String) -> Vec<String> {
    record.push(std::mem::take(cell));
    record
}
