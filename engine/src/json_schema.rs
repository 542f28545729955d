//! The part of JSON Schema that events and forms are checked with: types, fields, items, words and limits.

use serde_json::{Map, Value};

/// Keywords that say something about data.
const KEYWORDS: &[&str] = &[
    "type",
    "properties",
    "required",
    "additionalProperties",
    "items",
    "enum",
    "const",
    "minimum",
    "maximum",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "pattern",
];

/// Keywords for people.
const NOTES: &[&str] = &["title", "description", "default", "examples", "format", "$comment"];

const TYPES: &[&str] = &["string", "number", "integer", "boolean", "object", "array", "null"];

/// What is wrong with a schema, or with data: where, and what.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", if .place.is_empty() { String::new() } else { format!("`{}`: ", .place) })]
pub struct SchemaError {
    /// Where, such as `items[2].amount`; empty for the whole.
    pub place: String,
    /// What, such as `a number is wanted`.
    pub message: String,
}

impl SchemaError {
    fn new(place: &str, message: impl Into<String>) -> SchemaError {
        SchemaError { place: place.to_owned(), message: message.into() }
    }
}

/// Checks that a schema uses only what is understood here: what would not be heeded is an error, not ignored.
pub fn check_schema(schema: &Value) -> Result<(), SchemaError> {
    sound(schema, "")
}

/// Checks data by a schema; the first thing that does not fit is the error.
pub fn check_data(schema: &Value, data: &Value) -> Result<(), SchemaError> {
    fits(schema, data, "")
}

fn inside(place: &str, name: &str) -> String {
    if place.is_empty() { name.to_owned() } else { format!("{place}.{name}") }
}

fn sound(schema: &Value, place: &str) -> Result<(), SchemaError> {
    let Value::Object(schema) = schema else {
        return Err(SchemaError::new(place, "a schema is a mapping, such as `{ type: string }`"));
    };
    for (keyword, value) in schema {
        let wrong = |wanted: &str| Err(SchemaError::new(place, format!("`{keyword}` takes {wanted}")));
        match keyword.as_str() {
            "type" => {
                let one = std::slice::from_ref(value);
                let types = value.as_array().map_or(one, Vec::as_slice);
                if types.is_empty() || !types.iter().all(|ty| ty.as_str().is_some_and(|ty| TYPES.contains(&ty))) {
                    return wrong(&format!("one of {}", TYPES.join(", ")));
                }
            }
            "properties" => {
                let Value::Object(fields) = value else { return wrong("a mapping of names to schemas") };
                for (name, field) in fields {
                    sound(field, &inside(place, name))?;
                }
            }
            "items" => sound(value, &format!("{place}[]"))?,
            "required" => match value.as_array() {
                Some(names) if names.iter().all(Value::is_string) => {}
                _ => return wrong("a list of names"),
            },
            "additionalProperties" if !value.is_boolean() => return wrong("true or false"),
            "enum" if !value.is_array() => return wrong("a list"),
            "minimum" | "maximum" if !value.is_number() => return wrong("a number"),
            "minLength" | "maxLength" | "minItems" | "maxItems" if !value.is_u64() => return wrong("a whole number"),
            "pattern" => match value.as_str() {
                Some(pattern) => drop(regex(pattern).map_err(|error| SchemaError::new(place, error))?),
                None => return wrong("a regular expression"),
            },
            known if KEYWORDS.contains(&known) || NOTES.contains(&known) => {}
            _ => {
                let message = format!("`{keyword}` is not understood here; there is {}", KEYWORDS.join(", "));
                return Err(SchemaError::new(place, message));
            }
        }
    }
    Ok(())
}

fn regex(pattern: &str) -> Result<regex_lite::Regex, String> {
    let built = regex_lite::RegexBuilder::new(pattern).size_limit(1 << 20).build();
    built.map_err(|error| format!("`pattern` is no regular expression: {error}"))
}

fn fits(schema: &Value, data: &Value, place: &str) -> Result<(), SchemaError> {
    let Value::Object(schema) = schema else { return Ok(()) };
    let no = |message: String| Err(SchemaError::new(place, message));
    if let Some(wanted) = schema.get("type") {
        let one = std::slice::from_ref(wanted);
        let types: Vec<&str> = wanted.as_array().map_or(one, Vec::as_slice).iter().filter_map(Value::as_str).collect();
        if !types.iter().any(|ty| is_of(ty, data)) {
            return no(format!("{} is wanted, and this is {}", types.join(" or "), type_of(data)));
        }
    }
    if let Some(words) = schema.get("enum").and_then(Value::as_array)
        && !words.contains(data)
    {
        return no(format!("it is one of {}", Value::Array(words.clone())));
    }
    if let Some(constant) = schema.get("const")
        && constant != data
    {
        return no(format!("it is {constant}"));
    }
    let limit = |keyword: &str| schema.get(keyword).and_then(Value::as_f64);
    let within = |size: f64, min: &str, max: &str, unit: &str| match (limit(min), limit(max)) {
        (Some(min), _) if size < min => no(format!("it has at least {min}{unit}")),
        (_, Some(max)) if size > max => no(format!("it has at most {max}{unit}")),
        _ => Ok(()),
    };
    match data {
        Value::Number(number) => {
            let number = number.as_f64().unwrap_or_default();
            match (limit("minimum"), limit("maximum")) {
                (Some(min), _) if number < min => return no(format!("it is at least {min}")),
                (_, Some(max)) if number > max => return no(format!("it is at most {max}")),
                _ => {}
            }
        }
        Value::String(text) => {
            within(text.chars().count() as f64, "minLength", "maxLength", " characters")?;
            if let Some(pattern) = schema.get("pattern").and_then(Value::as_str)
                && !regex(pattern).is_ok_and(|regex| regex.is_match(text))
            {
                return no(format!("it has to match `{pattern}`"));
            }
        }
        Value::Array(items) => {
            within(items.len() as f64, "minItems", "maxItems", " items")?;
            if let Some(of) = schema.get("items") {
                for (at, item) in items.iter().enumerate() {
                    fits(of, item, &format!("{place}[{at}]"))?;
                }
            }
        }
        Value::Object(fields) => fit_fields(schema, fields, place)?,
        Value::Null | Value::Bool(_) => {}
    }
    Ok(())
}

fn fit_fields(schema: &Map<String, Value>, fields: &Map<String, Value>, place: &str) -> Result<(), SchemaError> {
    let known = schema.get("properties").and_then(Value::as_object);
    for name in schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if !fields.contains_key(name) {
            return Err(SchemaError::new(place, format!("`{name}` is missing")));
        }
    }
    for (name, value) in fields {
        match known.and_then(|known| known.get(name)) {
            Some(field) => fits(field, value, &inside(place, name))?,
            None if schema.get("additionalProperties") == Some(&Value::Bool(false)) => {
                return Err(SchemaError::new(place, format!("there is no `{name}`")));
            }
            None => {}
        }
    }
    Ok(())
}

fn is_of(ty: &str, data: &Value) -> bool {
    match ty {
        "integer" => data.as_f64().is_some_and(|number| number.fract() == 0.0),
        ty => ty == type_of(data),
    }
}

fn type_of(data: &Value) -> &'static str {
    match data {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn data_is_checked_by_types_fields_items_words_and_limits() {
        let order = json!({
            "type": "object", "required": ["id", "amount"], "additionalProperties": false,
            "properties": {
                "id": {"type": "string", "pattern": "^o-[0-9]+$", "maxLength": 6},
                "amount": {"type": "number", "minimum": 0.5, "maximum": 100},
                "count": {"type": "integer"},
                "tags": {"type": "array", "maxItems": 2, "items": {"enum": ["new", "gift"]}},
                "note": {"type": ["string", "null"]},
            },
        });
        check_schema(&order).unwrap();
        let cases = [
            (json!({"id": "o-1", "amount": 1}), ""),
            (json!({"id": "o-1", "amount": 1, "count": 2.0, "tags": ["new"], "note": null}), ""),
            (json!([]), "object is wanted, and this is array"),
            (json!({"id": "o-1"}), "`amount` is missing"),
            (json!({"id": "x", "amount": 1}), "`id`: it has to match `^o-[0-9]+$`"),
            (json!({"id": "o-12345", "amount": 1}), "`id`: it has at most 6 characters"),
            (json!({"id": "o-1", "amount": 0}), "`amount`: it is at least 0.5"),
            (json!({"id": "o-1", "amount": "1"}), "`amount`: number is wanted, and this is string"),
            (json!({"id": "o-1", "amount": 1, "count": 1.5}), "`count`: integer is wanted, and this is number"),
            (json!({"id": "o-1", "amount": 1, "tags": ["new", "old"]}), "`tags[1]`: it is one of [\"new\",\"gift\"]"),
            (json!({"id": "o-1", "amount": 1, "tags": ["new", "new", "new"]}), "`tags`: it has at most 2 items"),
            (json!({"id": "o-1", "amount": 1, "extra": 1}), "there is no `extra`"),
        ];
        for (data, want) in cases {
            let found = check_data(&order, &data).err().map(|error| error.to_string()).unwrap_or_default();
            assert_eq!(found, want, "{data}");
        }
    }

    #[test]
    fn a_schema_that_would_not_be_heeded_is_refused() {
        let cases = [
            (json!("string"), "a schema is a mapping, such as `{ type: string }`"),
            (json!({"type": "text"}), "`type` takes one of string, number, integer, boolean, object, array, null"),
            (json!({"properties": {"a": {"minimum": "1"}}}), "`a`: `minimum` takes a number"),
            (json!({"pattern": "("}), "`pattern` is no regular expression"),
            (json!({"oneOf": []}), "`oneOf` is not understood here"),
        ];
        for (schema, want) in cases {
            let found = check_schema(&schema).unwrap_err().to_string();
            assert!(found.starts_with(want), "{found}");
        }
    }
}
