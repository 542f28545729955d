//! The filters that the language adds to Jinja's, and Jinja's that need a limit.

use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind};
use std::cell::Cell;

/// The most bytes of text that a filter makes.
const TEXT_MAX: usize = 8 * 1024 * 1024;
/// The largest count or width that a filter takes.
const COUNT_MAX: usize = 10_000;

pub(crate) fn register(environment: &mut Environment<'static>) {
    environment.add_filter("slug", slug);
    environment.add_filter("where_in", where_in);
    environment.add_filter("replace", replace);
    environment.add_filter("join", join);
    environment.add_filter("indent", indent);
    environment.add_filter("format", format);
    environment.add_filter("batch", batch);
    environment.add_filter("slice", slice);
}

thread_local! {
    /// The bytes of text that the filters of the evaluation under way may still make. A filter inside `map` runs once for
    /// each item, which fuel does not count.
    static BUDGET: Cell<usize> = const { Cell::new(0) };
}

/// The most bytes of text that the filters of one evaluation make together.
const BUDGET_MAX: usize = 64 * 1024 * 1024;

/// Begins an evaluation.
pub(crate) fn refill() {
    BUDGET.set(BUDGET_MAX);
}

/// Takes the bytes that a filter is about to make from the budget.
fn spend(bytes: usize) -> Result<(), Error> {
    let left = BUDGET.get().checked_sub(bytes).filter(|_| bytes <= TEXT_MAX).ok_or_else(too_long)?;
    BUDGET.set(left);
    Ok(())
}

fn too_long() -> Error {
    Error::new(ErrorKind::InvalidOperation, format!("the text would be longer than {TEXT_MAX} bytes"))
}

fn text(value: &Value) -> Result<String, Error> {
    match value.as_str() {
        Some(text) => Ok(text.to_owned()),
        None if value.is_undefined() => Err(Error::from(ErrorKind::UndefinedError)),
        None => Ok(value.to_string()),
    }
}

/// Text as a part of a file name: letters and digits of any script in lower case, everything between them one dash.
fn slug(value: Value) -> Result<String, Error> {
    Ok(slugged(&text(&value)?))
}

pub(crate) fn slugged(text: &str) -> String {
    let mut slug = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_alphanumeric() {
            slug.extend(c.to_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') && !matches!(c, '\'' | '’') {
            slug.push('-');
        }
    }
    slug.truncate(slug.trim_end_matches('-').len());
    slug
}

/// The items whose attribute is one of the list; an empty list, or none, keeps all.
fn where_in(items: Value, attribute: String, list: Value) -> Result<Value, Error> {
    if list.is_none() || list.is_undefined() || list.len() == Some(0) {
        return Ok(items);
    }
    let wanted: Vec<Value> = list.try_iter()?.collect();
    let mut kept = Vec::new();
    for item in items.try_iter()? {
        let value = attribute.split('.').try_fold(item.clone(), |value, name| value.get_attr(name))?;
        if wanted.contains(&value) {
            kept.push(item);
        }
    }
    Ok(Value::from_object(kept))
}

fn replace(value: Value, from: String, to: String) -> Result<String, Error> {
    let value = text(&value)?;
    let count = value.matches(from.as_str()).count();
    spend(count.saturating_mul(to.len()).saturating_add(value.len()))?;
    Ok(value.replace(&from, &to))
}

fn join(items: Value, joiner: Option<String>) -> Result<String, Error> {
    let joiner = joiner.unwrap_or_default();
    let mut joined = String::new();
    for (number, item) in items.try_iter()?.enumerate() {
        if number > 0 {
            joined.push_str(&joiner);
        }
        let item = text(&item)?;
        spend(item.len() + joiner.len())?;
        joined.push_str(&item);
    }
    Ok(joined)
}

fn indent(value: Value, width: Option<usize>, options: Kwargs) -> Result<String, Error> {
    let width = match width {
        Some(width) => width,
        None => options.get::<Option<usize>>("width")?.unwrap_or(4),
    };
    let first: bool = options.get::<Option<bool>>("first")?.unwrap_or(false);
    options.assert_all_used()?;
    let value = text(&value)?;
    let lines = value.lines().count();
    spend(lines.saturating_mul(width).saturating_add(value.len()))?;
    if width > COUNT_MAX {
        return Err(too_long());
    }
    let pad = " ".repeat(width);
    let indented = value.lines().enumerate().map(|(number, line)| {
        if line.is_empty() || (number == 0 && !first) { line.to_owned() } else { format!("{pad}{line}") }
    });
    Ok(indented.collect::<Vec<_>>().join("\n"))
}

/// `'%s-%s' | format(a, b)`. Widths are limited: a large one would fill the memory.
fn format(
    state: &mut minijinja::State<'_, '_>,
    pattern: &Value,
    arguments: minijinja::value::Rest<minijinja::value::ValueOrKwargs>,
) -> Result<Value, Error> {
    let wide = pattern
        .as_str()
        .unwrap_or_default()
        .split(|c: char| !c.is_ascii_digit())
        .any(|digits| digits.trim_start_matches('0').len() > 4);
    if wide || pattern.as_str().is_some_and(|pattern| pattern.contains('*')) {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("a width is larger than {COUNT_MAX}")));
    }
    let made = minijinja::filters::format(state, pattern, arguments)?;
    spend(made.as_str().map_or(0, str::len))?;
    Ok(made)
}

fn batch(state: &minijinja::State<'_, '_>, value: Value, count: usize, fill: Option<Value>) -> Result<Value, Error> {
    spend(count)?;
    minijinja::filters::batch(state, value, bounded(count)?, fill)
}

fn slice(state: &minijinja::State<'_, '_>, value: Value, count: usize, fill: Option<Value>) -> Result<Value, Error> {
    spend(count)?;
    minijinja::filters::slice(state, value, bounded(count)?, fill)
}

fn bounded(count: usize) -> Result<usize, Error> {
    if count > COUNT_MAX {
        return Err(Error::new(ErrorKind::InvalidOperation, format!("the count is larger than {COUNT_MAX}")));
    }
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_are_safe_in_file_names_in_every_script() {
        let cases = [
            ("16:9", "16-9"),
            ("Tea Pot!", "tea-pot"),
            ("  Ünïcode — Größe ", "ünïcode-größe"),
            ("茶壶 1", "茶壶-1"),
            ("it's", "its"),
            ("../..", ""),
            ("", ""),
        ];
        for (given, want) in cases {
            assert_eq!(slugged(given), want, "{given}");
        }
    }
}
