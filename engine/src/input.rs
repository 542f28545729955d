//! The values that a run is given: checked against the workflow's inputs.

mod csv;
mod json_lines;
mod scenes;

use crate::plan::{Input, InputType};
use crate::suggest;
use darkroom_proto::{Artifact, Kind};
use serde_json::Value;

/// Why a given value is not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum InputError {
    /// The workflow has no such input.
    #[error("there is no input `{name}`")]
    Unknown {
        /// The name that was given.
        name: String,
        /// The names that there are.
        known: Vec<String>,
    },
    /// It has to be given and was not.
    #[error("the input `{name}` is missing")]
    Missing {
        /// The input.
        name: String,
        /// What it takes.
        wanted: String,
    },
    /// It is of another type.
    #[error("the input `{name}` is {wanted}, and `{given}` is not")]
    WrongType {
        /// The input.
        name: String,
        /// What it takes.
        wanted: String,
        /// What was given, shortened.
        given: String,
    },
    /// It is none of the words.
    #[error("the input `{name}` can't be `{given}`")]
    NotListed {
        /// The input.
        name: String,
        /// What was given.
        given: String,
        /// The words that it takes.
        words: Vec<String>,
    },
    /// It is too small, too large, too short or too long.
    #[error("the input `{name}` {rule}, and {given} is not")]
    OutOfRange {
        /// The input.
        name: String,
        /// The limit in words.
        rule: String,
        /// What was given.
        given: String,
    },
    /// It does not match the pattern.
    #[error("the input `{name}` has to match `{pattern}`, and `{given}` does not")]
    NoMatch {
        /// The input.
        name: String,
        /// The pattern.
        pattern: String,
        /// What was given.
        given: String,
    },
    /// The text is not in the format that the input reads.
    #[error("the input `{name}` can't be read as {format}: {detail}")]
    Unreadable {
        /// The input.
        name: String,
        /// What it should be.
        format: &'static str,
        /// What is wrong, with the line where there are lines.
        detail: String,
    },
}

impl InputError {
    /// What to do about it, as a sentence.
    pub fn advice(&self) -> String {
        match self {
            InputError::Unknown { name, known } => {
                let advice = suggest::advice(name, known.iter().map(String::as_str), "The workflow takes no inputs.");
                let mut chars = advice.chars();
                chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
            }
            InputError::Missing { name, wanted } => format!("Give {wanted}: `-i {name}=…`."),
            InputError::WrongType { wanted, .. } => format!("Give {wanted}."),
            InputError::NotListed { given, words, .. } => {
                let advice = suggest::advice(given, words.iter().map(String::as_str), "");
                let mut chars = advice.chars();
                chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
            }
            InputError::OutOfRange { rule, .. } => format!("Give a value that {rule}."),
            InputError::NoMatch { pattern, .. } => format!("Give text that matches `{pattern}` as a whole."),
            InputError::Unreadable { format, .. } => format!("Correct the file, or give another one that is {format}."),
        }
    }

    /// What is wrong, for a message that names the input itself.
    pub(crate) fn reason(&self) -> String {
        match self {
            InputError::WrongType { wanted, .. } => format!("{wanted} is wanted"),
            InputError::NotListed { words, .. } => {
                format!("it is one of {}", suggest::list(words.iter().map(String::as_str)))
            }
            InputError::OutOfRange { rule, .. } => format!("it {rule}"),
            InputError::NoMatch { pattern, .. } => format!("it has to match `{pattern}`"),
            other => other.to_string(),
        }
    }
}

/// The pattern of an input. It has to match the whole text.
pub(crate) fn compile_pattern(pattern: &str) -> Result<regex_lite::Regex, String> {
    regex_lite::RegexBuilder::new(&format!("^(?:{pattern})$"))
        .size_limit(1 << 20)
        .build()
        .map_err(|error| error.to_string())
}

/// What a given value turned out to be.
#[derive(Debug, Clone, PartialEq)]
pub enum Given<'a> {
    /// Text from a command line or a form, to be read as the input's type says.
    Text(&'a str),
    /// A JSON value, to be taken as it is.
    Json(&'a Value),
}

/// The value of an input from what was given for it.
///
/// Pictures, videos, sounds and files stay the paths or links they are: the host stores them and puts artifacts in their
/// place. Lists of them are lists of paths. Content of `csv`, `jsonl`, `scenes` and `json` files is read by the host, which
/// gives the text here.
pub fn coerce(input: &Input, given: Given<'_>) -> Result<Value, InputError> {
    let value = match given {
        Given::Json(value) => match (&input.ty, value) {
            (InputType::Scenes, Value::String(text)) => scenes::parse(&input.name, text)?,
            (InputType::Csv, Value::String(text)) => csv::parse(&input.name, text)?,
            (InputType::JsonLines, Value::String(text)) => json_lines::parse(&input.name, text)?,
            (InputType::Images | InputType::Files, Value::String(path)) => Value::Array(vec![path.clone().into()]),
            _ => value.clone(),
        },
        Given::Text(text) => read(input, text)?,
    };
    check(input, &value)?;
    Ok(value)
}

fn read(input: &Input, text: &str) -> Result<Value, InputError> {
    let trimmed = text.trim();
    let wrong = || wrong_type(input, text);
    Ok(match &input.ty {
        InputType::Integer => match trimmed.parse::<i64>() {
            Ok(number) => number.into(),
            Err(_) => return Err(wrong()),
        },
        InputType::Number => {
            let number = trimmed.parse::<f64>().ok().and_then(serde_json::Number::from_f64).ok_or_else(wrong)?;
            // A whole number stays one, so that it prints without a fraction.
            trimmed.parse::<i64>().map_or(Value::Number(number), Value::from)
        }
        InputType::Boolean => match trimmed.to_ascii_lowercase().as_str() {
            "true" | "yes" | "on" | "1" => true.into(),
            "false" | "no" | "off" | "0" => false.into(),
            _ => return Err(wrong()),
        },
        InputType::Json => serde_json::from_str(text).map_err(|error| InputError::Unreadable {
            name: input.name.clone(),
            format: "JSON",
            detail: match json_lines::is_likely(text) {
                true => "it has a JSON value on each line, which is the type `jsonl`".into(),
                false => error.to_string(),
            },
        })?,
        InputType::Csv => csv::parse(&input.name, text)?,
        InputType::JsonLines => json_lines::parse(&input.name, text)?,
        InputType::Scenes => scenes::parse(&input.name, text)?,
        InputType::Images | InputType::Files => Value::Array(vec![text.into()]),
        InputType::String
        | InputType::Enum(_)
        | InputType::Image
        | InputType::Video
        | InputType::Audio
        | InputType::File => text.into(),
    })
}

/// The values of all inputs of a workflow, from what was given: names checked, defaults put in, none forgotten.
///
/// An optional input that was not given is JSON null. Every mistake is reported.
pub fn complete(
    inputs: &[Input],
    given: &serde_json::Map<String, Value>,
) -> Result<serde_json::Map<String, Value>, Vec<InputError>> {
    let mut errors = Vec::new();
    for name in given.keys().filter(|name| !inputs.iter().any(|input| input.name == **name)) {
        let known = inputs.iter().map(|input| input.name.clone()).collect();
        errors.push(InputError::Unknown { name: name.clone(), known });
    }
    let mut values = serde_json::Map::new();
    for input in inputs {
        let value = match given.get(&input.name).filter(|value| !value.is_null()).or(input.default.as_ref()) {
            Some(value) => coerce(input, Given::Json(value)),
            None if input.required => {
                Err(InputError::Missing { name: input.name.clone(), wanted: describe(&input.ty).into() })
            }
            None => Ok(Value::Null),
        };
        match value {
            Ok(value) => drop(values.insert(input.name.clone(), value)),
            Err(error) => errors.push(error),
        }
    }
    if errors.is_empty() { Ok(values) } else { Err(errors) }
}

/// Checks a JSON value against an input. Files are paths or links, or artifacts once they are stored.
pub fn check(input: &Input, given: &Value) -> Result<(), InputError> {
    let wrong = || wrong_type(input, given);
    let file = |value: &Value| value.is_string() || Artifact::from_value(value).is_some();
    match &input.ty {
        InputType::Json => Ok(()),
        InputType::String => {
            let text = given.as_str().ok_or_else(wrong)?;
            range(input, text.chars().count() as f64, "has", "characters")?;
            pattern(input, text)
        }
        InputType::Integer => match given {
            Value::Number(number) if !number.is_f64() => range(input, number.as_f64().unwrap_or_default(), "is", ""),
            _ => Err(wrong()),
        },
        InputType::Number => range(input, given.as_f64().ok_or_else(wrong)?, "is", ""),
        InputType::Boolean => given.as_bool().map(|_| ()).ok_or_else(wrong),
        InputType::Enum(words) => {
            let text = given.as_str().ok_or_else(wrong)?;
            if words.iter().any(|word| word == text) {
                return Ok(());
            }
            Err(InputError::NotListed { name: input.name.clone(), given: shorten(text), words: words.clone() })
        }
        InputType::Image | InputType::Video | InputType::Audio => match Artifact::from_value(given) {
            Some(artifact) => kind(input, &artifact),
            None => given.as_str().filter(|path| !path.is_empty()).map(|_| ()).ok_or_else(wrong),
        },
        InputType::File => {
            if file(given) {
                Ok(())
            } else {
                Err(wrong())
            }
        }
        InputType::Images | InputType::Files => {
            let items = given.as_array().ok_or_else(wrong)?;
            if !items.iter().all(file) {
                return Err(wrong());
            }
            if input.ty == InputType::Images {
                items.iter().filter_map(Artifact::from_value).try_for_each(|artifact| kind(input, &artifact))?;
            }
            range(input, items.len() as f64, "has", "items")
        }
        InputType::Csv | InputType::JsonLines | InputType::Scenes => {
            let items = match given {
                // The default of such an input is a path.
                Value::String(_) => return Ok(()),
                Value::Array(items) if input.ty == InputType::JsonLines || items.iter().all(Value::is_object) => items,
                _ => return Err(wrong()),
            };
            range(input, items.len() as f64, "has", "items")
        }
    }
}

fn kind(input: &Input, artifact: &Artifact) -> Result<(), InputError> {
    let fits = match input.ty {
        InputType::Image | InputType::Images => artifact.kind() == Kind::Image,
        InputType::Video => artifact.kind() == Kind::Video,
        InputType::Audio => artifact.kind() == Kind::Audio,
        _ => true,
    };
    if fits { Ok(()) } else { Err(wrong_type(input, format!("{} ({})", artifact.name, artifact.media_type))) }
}

fn range(input: &Input, value: f64, verb: &str, unit: &str) -> Result<(), InputError> {
    let below = input.min.is_some_and(|min| value < min);
    let above = input.max.is_some_and(|max| value > max);
    if !(below || above) {
        return Ok(());
    }
    let limits = match (input.min, input.max) {
        (Some(min), Some(max)) => format!("from {min} to {max}"),
        (Some(min), None) => format!("at least {min}"),
        (None, Some(max)) => format!("at most {max}"),
        (None, None) => String::new(),
    };
    let rule = format!("{verb} {limits} {unit}").trim_end().to_owned();
    let given = format!("{value} {unit}").trim_end().to_owned();
    Err(InputError::OutOfRange { name: input.name.clone(), rule, given })
}

fn pattern(input: &Input, text: &str) -> Result<(), InputError> {
    let Some(pattern) = &input.pattern else { return Ok(()) };
    // `compile` has refused patterns that are none.
    if compile_pattern(pattern).is_ok_and(|regex| !regex.is_match(text)) {
        let given = shorten(text);
        return Err(InputError::NoMatch { name: input.name.clone(), pattern: pattern.clone(), given });
    }
    Ok(())
}

fn wrong_type(input: &Input, given: impl ToString) -> InputError {
    InputError::WrongType {
        name: input.name.clone(),
        wanted: describe(&input.ty).into(),
        given: shorten(&given.to_string()),
    }
}

fn shorten(text: &str) -> String {
    const MOST: usize = 60;
    if text.chars().count() <= MOST {
        text.to_owned()
    } else {
        text.chars().take(MOST).chain(std::iter::once('…')).collect()
    }
}

/// What an input takes, in words.
pub fn describe(ty: &InputType) -> &'static str {
    match ty {
        InputType::String => "text",
        InputType::Integer => "a whole number",
        InputType::Number => "a number",
        InputType::Boolean => "true or false",
        InputType::Enum(_) => "a word",
        InputType::Image => "a picture",
        InputType::Images => "a list of pictures",
        InputType::Video => "a video",
        InputType::Audio => "a sound",
        InputType::File => "a file",
        InputType::Files => "a list of files",
        InputType::Json => "JSON",
        InputType::Csv => "a table",
        InputType::JsonLines => "a list, or JSON lines",
        InputType::Scenes => "a script of scenes",
    }
}

#[cfg(test)]
mod tests;
