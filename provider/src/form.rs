//! The forms of values: `duration = "duration:nearest(5|10):text"`.
//!
//! | form | what it makes |
//! |---|---|
//! | `text`, `int`, `number` | text; a whole number; a number |
//! | `wh` | `{width, height}` |
//! | `wxh` | `1024x768`, which `size` is without a form too |
//! | `nearest(a\|b)` | the nearest of these proportions, sizes or numbers, as text |
//! | `multiple(step,min,max)` | the nearest multiple within the limits, of a number or of both sides |
//! | `clamp(min,max)` | the nearest number within the limits |
//! | `times(factor)` | a product |
//! | `words(ours=theirs\|both)` | a word of these; of another word nothing is sent |
//! | `suffix(s)` | text with an ending |
//! | `list` | a list of one |
//! | `split` | the parts of a text between commas, as a list |
//! | `url`, `data_uri`, `base64` | of a file: its URL, or a data URI where it has none; a data URI; its bytes in base64 |
//! | `urls`, `data_uris`, `base64s` | the same as a list, behind what is there |
//! | `inline(type,data)` | `{type: media type, data: base64}` |
//! | `inlines(type,data)` | the same as a list, behind what is there |
//! | `part` | a file of a form |

use crate::adapter::File;
use crate::mapping::{Raw, number, ratio_of};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// Where a value goes, and in which form.
#[derive(Debug, PartialEq)]
pub(crate) struct Target<'a> {
    /// The provider's name, with dots into objects and lists.
    pub(crate) path: &'a str,
    forms: Vec<Form<'a>>,
}

/// A step towards what a provider takes.
#[derive(Debug, PartialEq)]
pub(crate) enum Form<'a> {
    Text,
    Int,
    Number,
    Wh,
    WxH,
    Nearest(Vec<&'a str>),
    Multiple { step: f64, min: f64, max: f64 },
    Clamp { min: f64, max: f64 },
    Times(f64),
    Words(Vec<(&'a str, &'a str)>),
    Suffix(&'a str),
    List,
    Split,
    Url,
    Urls,
    DataUri,
    DataUris,
    Base64,
    Base64s,
    Inline(&'a str, &'a str),
    Inlines(&'a str, &'a str),
    Part,
}

/// What became of a value.
pub(crate) enum Shaped {
    /// One value.
    Value(Value),
    /// More of a list.
    Items(Vec<Value>),
    /// Files of a form.
    Parts(Vec<usize>),
    /// Nothing is sent.
    Nothing,
}

impl<'a> Target<'a> {
    /// Reads `name:form:form(…)`.
    pub(crate) fn parse(entry: &'a str) -> Result<Target<'a>, String> {
        let mut pieces = pieces(entry).into_iter();
        let path = pieces.next().filter(|path| !path.is_empty()).ok_or("it names nothing")?;
        Ok(Target { path, forms: pieces.map(Form::parse).collect::<Result<_, _>>()? })
    }

    /// Brings a value into form; `notes` learns what is lost. The error says what the provider can't take.
    pub(crate) fn shape(&self, name: &str, raw: Raw<'_>, notes: &mut Vec<String>) -> Result<Shaped, String> {
        let mut value = match raw {
            Raw::Files(files) => return self.files(&files),
            Raw::Sides(width, height) => json!([width, height]),
            Raw::Value(value) => value,
        };
        let is_size = value.is_array() && name == "size";
        for form in &self.forms {
            value = match form.apply(name, value, notes)? {
                Some(value) => value,
                None => return Ok(Shaped::Nothing),
            };
        }
        match &value {
            Value::Array(sides) if is_size && sides.len() == 2 && !self.forms.contains(&Form::List) => {
                Ok(Shaped::Value(format!("{}x{}", sides[0], sides[1]).into()))
            }
            _ => Ok(Shaped::Value(value)),
        }
    }

    fn files(&self, files: &[(usize, &File)]) -> Result<Shaped, String> {
        let form = self.forms.first().unwrap_or(&Form::Url);
        if *form == Form::Part {
            return Ok(Shaped::Parts(files.iter().map(|(at, _)| *at).collect()));
        }
        let one = |file: &File| match form {
            Form::Url | Form::Urls => Ok(file.url.clone().unwrap_or_else(|| data_uri(file)).into()),
            Form::DataUri | Form::DataUris => Ok(data_uri(file).into()),
            Form::Base64 | Form::Base64s => Ok(STANDARD.encode(&file.bytes).into()),
            Form::Inline(media_type, data) | Form::Inlines(media_type, data) => {
                Ok(json!({*media_type: file.media_type, *data: STANDARD.encode(&file.bytes)}))
            }
            _ => Err("it is a file, and the map does not say how files are sent".to_owned()),
        };
        match (form, files) {
            (Form::Urls | Form::DataUris | Form::Base64s | Form::Inlines(..), files) => {
                Ok(Shaped::Items(files.iter().map(|(_, file)| one(file)).collect::<Result<_, _>>()?))
            }
            (_, [(_, file)]) => one(file).map(Shaped::Value),
            (_, files) => Err(format!("it takes one file, not {}", files.len())),
        }
    }
}

/// A file as a data URI.
pub(crate) fn data_uri(file: &File) -> String {
    format!("data:{};base64,{}", file.media_type, STANDARD.encode(&file.bytes))
}

/// Splits at colons that stand in no parentheses.
fn pieces(entry: &str) -> Vec<&str> {
    let (mut pieces, mut from, mut depth) = (Vec::new(), 0, 0u32);
    for (at, c) in entry.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => {
                pieces.push(&entry[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    pieces.push(&entry[from..]);
    pieces
}

impl<'a> Form<'a> {
    fn parse(text: &'a str) -> Result<Form<'a>, String> {
        let (name, inside) = match text.split_once('(') {
            Some((name, rest)) => (name, rest.strip_suffix(')').ok_or_else(|| format!("`{text}` has no end"))?),
            None => (text, ""),
        };
        let numbers = || -> Result<Vec<f64>, String> {
            let read = |part: &str| part.trim().parse::<f64>().ok().filter(|number| number.is_finite());
            inside.split(',').map(|part| read(part).ok_or_else(|| format!("`{part}` is no number"))).collect()
        };
        let wrong = |wants: &str| format!("`{name}` takes {wants}");
        Ok(match name {
            "text" => Form::Text,
            "int" => Form::Int,
            "number" => Form::Number,
            "wh" => Form::Wh,
            "wxh" => Form::WxH,
            "nearest" if !inside.is_empty() => Form::Nearest(inside.split('|').map(str::trim).collect()),
            "multiple" => match numbers()?.as_slice() {
                [step, min, max] if *step > 0.0 && min <= max => Form::Multiple { step: *step, min: *min, max: *max },
                _ => return Err(wrong("a step, the least and the most")),
            },
            "clamp" => match numbers()?.as_slice() {
                [min, max] if min <= max => Form::Clamp { min: *min, max: *max },
                _ => return Err(wrong("the least and the most")),
            },
            "times" => match numbers()?.as_slice() {
                [factor] => Form::Times(*factor),
                _ => return Err(wrong("one number")),
            },
            "words" if !inside.is_empty() => {
                let pair = |word: &'a str| word.split_once('=').unwrap_or((word, word));
                Form::Words(inside.split('|').map(|word| pair(word.trim())).collect())
            }
            "suffix" => Form::Suffix(inside),
            "list" => Form::List,
            "split" => Form::Split,
            "url" => Form::Url,
            "urls" => Form::Urls,
            "data_uri" => Form::DataUri,
            "data_uris" => Form::DataUris,
            "base64" => Form::Base64,
            "base64s" => Form::Base64s,
            "inline" | "inlines" => {
                let (media_type, data) = inside.split_once(',').ok_or_else(|| wrong("two names"))?;
                let (media_type, data) = (media_type.trim(), data.trim());
                if name == "inline" { Form::Inline(media_type, data) } else { Form::Inlines(media_type, data) }
            }
            "part" => Form::Part,
            _ => return Err(format!("there is no form `{text}`")),
        })
    }

    /// The value in this form; nothing where it has none.
    fn apply(&self, name: &str, value: Value, notes: &mut Vec<String>) -> Result<Option<Value>, String> {
        let of_number = |value: &Value| {
            let text = value.as_str().and_then(leading_number);
            value.as_f64().or(text).ok_or_else(|| format!("{} is no number", shown(value)))
        };
        Ok(Some(match self {
            Form::Text => match &value {
                Value::String(_) => value,
                Value::Array(_) => shown(&value).into(),
                other => other.to_string().into(),
            },
            Form::Int => number(of_number(&value)?.round()),
            Form::Number => number(of_number(&value)?),
            Form::Wh => match value.as_array().map(Vec::as_slice) {
                Some([width, height]) => json!({"width": width, "height": height}),
                _ => return Err("it has no sides".to_owned()),
            },
            Form::WxH => shown(&value).into(),
            Form::Nearest(options) => {
                let best = nearest(&value, options).ok_or_else(|| format!("{} is none of these", shown(&value)))?;
                if best.is_off {
                    notes.push(format!("{name}: {} became {}", shown(&value), best.option));
                }
                best.option.into()
            }
            Form::Multiple { step, min, max } => {
                let round = |value: f64| ((value / step).round() * step).clamp(*min, *max);
                let rounded = match &value {
                    Value::Array(sides) => Value::Array(
                        sides.iter().map(|side| Ok(number(round(of_number(side)?)))).collect::<Result<_, String>>()?,
                    ),
                    value => number(round(of_number(value)?)),
                };
                note(name, &value, &rounded, notes);
                rounded
            }
            Form::Clamp { min, max } => {
                let clamped = number(of_number(&value)?.clamp(*min, *max));
                note(name, &value, &clamped, notes);
                clamped
            }
            Form::Times(factor) => number(of_number(&value)? * factor),
            Form::Words(words) => {
                let text = shown(&value);
                match words.iter().find(|(ours, _)| *ours == text) {
                    Some((_, theirs)) => (*theirs).into(),
                    None => {
                        notes.push(format!("{name}: {text} is not known there and was left out"));
                        return Ok(None);
                    }
                }
            }
            Form::Suffix(ending) => format!("{}{ending}", shown(&value)).into(),
            Form::List => json!([value]),
            Form::Split => {
                let text = shown(&value);
                let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
                parts.map(Value::from).collect()
            }
            _ => return Err("it is no file".to_owned()),
        }))
    }
}

fn note(name: &str, asked: &Value, given: &Value, notes: &mut Vec<String>) {
    let is_same = asked.as_f64().zip(given.as_f64()).map_or_else(|| asked == given, |(one, other)| one == other);
    if !is_same {
        notes.push(format!("{name}: {} became {}", shown(asked), shown(given)));
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(sides) => sides.iter().map(Value::to_string).collect::<Vec<_>>().join("x"),
        other => other.to_string(),
    }
}

fn leading_number(text: &str) -> Option<f64> {
    let text = text.trim();
    let end = text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '-'))).unwrap_or(text.len());
    text[..end].parse().ok()
}

struct Nearest<'a> {
    option: &'a str,
    is_off: bool,
}

/// The option that is nearest: proportions by the logarithm of their ratio, then sizes by their area; numbers by distance.
fn nearest<'a>(value: &Value, options: &[&'a str]) -> Option<Nearest<'a>> {
    let text = shown(value);
    if let Some(ratio) = ratio_of(&text) {
        let area = |text: &str| {
            let (width, height) = text.split_once('x')?;
            Some((width.parse::<f64>().ok()? * height.parse::<f64>().ok()?).ln())
        };
        let off = |option: &str| {
            let by_ratio = ratio_of(option).map(|of| (ratio.ln() - of.ln()).abs())?;
            let by_area = area(option).zip(area(&text)).map_or(0.0, |(one, other)| (one - other).abs());
            Some((by_ratio, by_area))
        };
        let measured = options.iter().filter_map(|option| Some((*option, off(option)?)));
        let (option, (by_ratio, by_area)) =
            measured.min_by(|one, other| one.1.0.total_cmp(&other.1.0).then(one.1.1.total_cmp(&other.1.1)))?;
        // A hundredth is what rounding to whole pixels makes.
        return Some(Nearest { option, is_off: by_ratio > 0.01 || by_area > 0.01 });
    }
    if let Some(option) = options.iter().find(|option| **option == text) {
        return Some(Nearest { option, is_off: false });
    }
    let wanted = value.as_f64().or_else(|| leading_number(&text))?;
    let measured = options.iter().filter_map(|option| Some((*option, (leading_number(option)? - wanted).abs())));
    let (option, off) = measured.min_by(|one, other| one.1.total_cmp(&other.1))?;
    Some(Nearest { option, is_off: off > 1e-9 })
}
