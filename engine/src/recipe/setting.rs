//! Settings in a sentence: which words are the value of which parameter of its op.

use super::token::{Kind, Token};
use darkroom_proto::model;
use darkroom_proto::op::{OpSpec, ParamSpec, ParamType};
use serde_json::{Number, Value};

/// Other words for parameters.
const OTHER_WORDS: &[(&str, &str)] = &[
    ("ratio", "aspect"),
    ("ratios", "aspect"),
    ("aspect ratio", "aspect"),
    ("aspect ratios", "aspect"),
    ("margins", "margin"),
    ("long", "duration"),
    ("wide", "width"),
    ("tall", "height"),
    ("minutes timeout", "timeout"),
    ("background color", "background"),
    ("background colour", "background"),
    ("avoiding", "negative-prompt"),
    ("times", "factor"),
];

/// The parameter that the words from here on name, and how many words that takes.
pub(super) fn param(op: &OpSpec, tokens: &[&Token]) -> Option<(&'static ParamSpec, usize)> {
    let word = |at: usize| tokens.get(at).filter(|token| token.kind == Kind::Word).map(|token| token.word.as_str());
    let first = word(0)?;
    if let Some(second) = word(1) {
        let both = format!("{first} {second}");
        let other = OTHER_WORDS.iter().find(|(words, _)| *words == both).map(|(_, name)| *name);
        if let Some(param) = op.param(other.unwrap_or(&both.replace(' ', "-"))) {
            return Some((param, 2));
        }
    }
    let other = OTHER_WORDS.iter().find(|(words, _)| *words == first).map(|(_, name)| *name);
    let name = other.unwrap_or(first);
    let found = op.param(name).or_else(|| op.param(name.strip_suffix('s')?))?;
    (!matches!(found.ty, ParamType::Artifact(_) | ParamType::Images | ParamType::Results)).then_some((found, 1))
}

/// The value that the tokens from here on give for a parameter, and how many of them it takes.
pub(super) fn value(param: &ParamSpec, tokens: &[&Token]) -> Option<(Value, usize)> {
    let first = *tokens.first()?;
    let text = || (Value::from(first.text.as_str()), 1);
    match (param.ty, first.kind) {
        (ParamType::Duration, _) => duration(tokens),
        (ParamType::Integer { .. }, Kind::Number { value, unit: "" | "px" | "%" | "x" }) => Some((number(value), 1)),
        (ParamType::Integer { .. }, Kind::Word) => first.count().map(|count| (count.into(), 1)),
        (ParamType::Number { max, .. }, Kind::Number { value, unit: "%" }) if max <= 1.0 => {
            Some((number(value / 100.0), 1))
        }
        (ParamType::Number { .. }, Kind::Number { value, unit: "" | "x" }) => Some((number(value), 1)),
        (ParamType::Aspect, Kind::Aspect) => Some(text()),
        (ParamType::Color, Kind::Color) => Some(text()),
        (ParamType::Enum(words), Kind::Word | Kind::Quoted) => one_of(words, &first.word).map(|word| (word.into(), 1)),
        (ParamType::Model(_), Kind::Word | Kind::Quoted) => Some(text()),
        (ParamType::Text { .. }, Kind::Quoted) => Some(text()),
        (ParamType::Text { .. }, Kind::Word) if param.name == "voice" => Some(text()),
        (ParamType::Time, Kind::Word | Kind::Quoted) => Some((first.text.to_uppercase().into(), 1)),
        _ => None,
    }
}

/// A parameter that a value tells by its looks alone: a model, a format, a word of a list.
pub(super) fn bare(op: &OpSpec, tokens: &[&Token]) -> Option<(&'static ParamSpec, Value, usize)> {
    let first = *tokens.first()?;
    let of = |name: &str| op.param(name);
    match first.kind {
        Kind::Word => {
            if let Some(param) = op.model_param()
                && let ParamType::Model(capability) = param.ty
                && model::find(capability, &first.text).is_some()
            {
                return Some((param, first.text.as_str().into(), 1));
            }
            if let Some(found) = gravity(op, tokens) {
                return Some(found);
            }
            if first.word == "square" {
                return of("aspect").map(|param| (param, "1:1".into(), 1));
            }
            op.params.iter().find_map(|param| match param.ty {
                ParamType::Enum(words) => one_of(words, &first.word).map(|word| (param, word.into(), 1)),
                ParamType::Boolean if param.name == first.word => Some((param, true.into(), 1)),
                _ => None,
            })
        }
        Kind::Aspect => of("aspect").map(|param| (param, first.text.as_str().into(), 1)),
        Kind::Number { unit: "x", value } => of("factor").map(|param| (param, number(value), 1)),
        Kind::Number { .. } => {
            let name = if op.name == "sleep" { "for" } else { "duration" };
            let param = of(name)?;
            duration(tokens).map(|(value, taken)| (param, value, taken))
        }
        _ => None,
    }
}

/// `in the bottom right corner`, `top-left`, `center`.
fn gravity(op: &OpSpec, tokens: &[&Token]) -> Option<(&'static ParamSpec, Value, usize)> {
    let param = op.param("gravity")?;
    let mut parts = Vec::new();
    let mut taken = 0;
    for token in tokens.iter().take(2).filter(|token| token.kind == Kind::Word) {
        let words: Vec<Option<&str>> = token
            .word
            .split('-')
            .map(|word| match word {
                "top" | "upper" | "north" => Some("north"),
                "bottom" | "lower" | "south" => Some("south"),
                "left" | "west" => Some("west"),
                "right" | "east" => Some("east"),
                "center" | "centre" | "middle" => Some("center"),
                _ => None,
            })
            .collect();
        if words.contains(&None) {
            break;
        }
        parts.extend(words.into_iter().flatten());
        taken += 1;
    }
    let place = match parts.as_slice() {
        [one] => (*one).to_owned(),
        [vertical @ ("north" | "south"), side @ ("east" | "west")] => format!("{vertical}-{side}"),
        ["center", side] | [side, "center"] => (*side).to_owned(),
        _ => return None,
    };
    if tokens.get(taken).is_some_and(|token| token.is_word(&["corner", "edge", "side"])) {
        taken += 1;
    }
    Some((param, place.into(), taken))
}

/// `5s`, `5 seconds`.
pub(super) fn duration(tokens: &[&Token]) -> Option<(Value, usize)> {
    let Kind::Number { value, unit } = tokens.first()?.kind else { return None };
    if matches!(unit, "ms" | "s" | "m" | "h" | "d") {
        return Some((format!("{}{unit}", number(value)).into(), 1));
    }
    let unit = match tokens.get(1).filter(|_| unit.is_empty())?.word.as_str() {
        "second" | "seconds" | "sec" => "s",
        "minute" | "minutes" | "min" => "m",
        "hour" | "hours" => "h",
        "day" | "days" => "d",
        _ => return None,
    };
    Some((format!("{}{unit}", number(value)).into(), 2))
}

fn one_of(words: &'static [&'static str], word: &str) -> Option<&'static str> {
    let word = if word == "jpg" { "jpeg" } else { word };
    words.iter().copied().find(|known| *known == word)
}

/// A number as JSON, whole where it is.
pub(super) fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 {
        return Value::from(value as i64);
    }
    // Percentages are exact to six places, not to the last bit.
    Number::from_f64((value * 1e6).round() / 1e6).map_or(Value::Null, Value::Number)
}
