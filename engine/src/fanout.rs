//! Fan-outs: their items and combinations, and when they have seen enough failures.

use crate::expr::ExprError;
use crate::plan::{FanOut, Rule, Tolerate};
use crate::scope::{RunScope, value_error};
use darkroom_proto::{Artifact, ErrorClass, Map, StepError};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The most instances of one fan-out.
pub const INSTANCES_MAX: u64 = 100_000;

/// The items and axes of a fan-out, evaluated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Expansion {
    items: Vec<Value>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    axes: Vec<(String, Vec<Value>)>,
    /// How many items come before these: a part of a fan-out has only its own.
    #[serde(default, skip_serializing_if = "is_none")]
    before: u32,
}

fn is_none(before: &u32) -> bool {
    *before == 0
}

impl Expansion {
    /// Evaluates what a fan-out runs over.
    pub(crate) fn of(fan: &FanOut, scope: &RunScope<'_>) -> Result<Expansion, StepError> {
        match &fan.rule {
            Rule::Each { .. } => {}
            Rule::Race(contenders) => return Ok(Expansion::numbered(contenders.len())),
            Rule::Repeat { max, .. } => return Ok(Expansion::numbered(*max as usize)),
        }
        let list = |what: &str, value: Value| match value {
            Value::Array(list) => Ok(list),
            Value::Null => Err(invalid(format!("{what} has no value")).advice("give it a list, or a default")),
            other => Err(invalid(format!("{what} is no list but {}", kind_of(&other)))
                .advice("write a list, or an expression that gives one")),
        };
        let failed = |what: &str, error: ExprError| value_error(what, &error);
        let items = match &fan.for_each {
            None => vec![Value::Null],
            Some(template) => list("`for-each`", template.resolve(scope).map_err(|error| failed("for-each", error))?)?,
        };
        let mut axes = Vec::with_capacity(fan.matrix.len());
        for (key, template) in &fan.matrix {
            let what = format!("matrix.{key}");
            let values = template.resolve(scope).map_err(|error| failed(&what, error))?;
            axes.push((key.clone(), list(&format!("`{what}`"), values)?));
        }
        let expansion = Expansion { items, axes, before: 0 };
        let total = (expansion.items.len() as u64).saturating_mul(expansion.combinations());
        if total > INSTANCES_MAX {
            return Err(StepError::new(
                ErrorClass::TooLarge,
                format!("the fan-out has {total} instances, over the limit of {INSTANCES_MAX}"),
            )
            .advice("split it into several runs"));
        }
        Ok(expansion)
    }

    /// Instances that are told apart by their numbers alone.
    fn numbered(count: usize) -> Expansion {
        Expansion { items: vec![Value::Null; count], axes: Vec::new(), before: 0 }
    }

    /// Only the items of the instances from `first` to `last`, at their places.
    pub(crate) fn between(&self, first: u32, last: u32) -> Expansion {
        let (from, to) = (self.index(first).saturating_sub(self.before), self.index(last).saturating_sub(self.before));
        let items = self.items.iter().skip(from as usize).take((to - from) as usize + 1).cloned().collect();
        Expansion { items, axes: self.axes.clone(), before: self.before + from }
    }

    /// How many instances there are.
    pub fn total(&self) -> u32 {
        (self.items.len() as u64 * self.combinations()).min(INSTANCES_MAX) as u32
    }

    /// How many items there are.
    pub fn item_count(&self) -> u32 {
        self.items.len() as u32
    }

    fn combinations(&self) -> u64 {
        self.axes.iter().map(|(_, values)| values.len() as u64).fold(1, u64::saturating_mul)
    }

    /// The position of the item of an instance, from 0; `number` counts instances from 1.
    pub fn index(&self, number: u32) -> u32 {
        (u64::from(number.saturating_sub(1)) / self.combinations().max(1)) as u32
    }

    /// The item of an instance.
    pub fn item(&self, number: u32) -> &Value {
        let at = self.index(number).checked_sub(self.before);
        at.and_then(|at| self.items.get(at as usize)).unwrap_or(&Value::Null)
    }

    /// The combination of an instance, its keys in the order of the matrix.
    pub fn combination(&self, number: u32) -> Map {
        let mut rest = u64::from(number.saturating_sub(1)) % self.combinations().max(1);
        let mut values = Vec::with_capacity(self.axes.len());
        for (key, axis) in self.axes.iter().rev() {
            let length = (axis.len() as u64).max(1);
            values.push((key.clone(), axis.get((rest % length) as usize).cloned().unwrap_or_default()));
            rest /= length;
        }
        values.into_iter().rev().collect()
    }

    /// What people call an instance: its file's name, its words, or its number.
    pub fn label(&self, number: u32) -> String {
        let item = match self.item(number) {
            Value::Null => None,
            value => match Artifact::from_value(value) {
                Some(artifact) if !artifact.name.is_empty() => Some(artifact.stem().to_owned()),
                Some(_) => None,
                None => named(value),
            },
        };
        let combination = self.combination(number);
        let words = item.into_iter().chain(combination.values().filter_map(named)).collect::<Vec<_>>();
        let mut label = words.join(" · ");
        if label.is_empty() {
            label = number.to_string();
        }
        if label.chars().count() > 60 {
            label = label.chars().take(59).chain(['…']).collect();
        }
        label.replace(['\n', '\r', '\t'], " ")
    }
}

fn named(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Object(object) => match (object.get("matrix"), object.get("name").or(object.get("number"))) {
            (Some(Value::Object(matrix)), _) if !matrix.is_empty() => {
                Some(matrix.values().filter_map(named).collect::<Vec<_>>().join(" · "))
            }
            (_, Some(name @ (Value::String(_) | Value::Number(_)))) => named(name),
            _ => None,
        },
        Value::Null | Value::Array(_) => None,
    }
}

fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

fn invalid(message: String) -> StepError {
    StepError::new(ErrorClass::InvalidInput, message)
}

impl Tolerate {
    /// Whether so many failures of so many instances are more than is tolerated.
    pub(crate) fn is_exceeded(self, failed: u32, total: u32) -> bool {
        match self {
            Tolerate::Count(count) => failed > count,
            Tolerate::Percent(percent) => f64::from(failed) * 100.0 > percent * f64::from(total),
            Tolerate::All => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn expansion() -> Expansion {
        Expansion {
            items: vec![json!("a"), json!("b")],
            axes: vec![
                ("model".into(), vec![json!("x"), json!("y")]),
                ("seed".into(), vec![json!(1), json!(2), json!(3)]),
            ],
            before: 0,
        }
    }

    #[test]
    fn items_are_outermost_and_the_first_key_of_a_matrix_is_slowest() {
        let expansion = expansion();
        assert_eq!(expansion.total(), 12);
        let row = |number| (expansion.item(number).clone(), Value::Object(expansion.combination(number)));
        assert_eq!(row(1), (json!("a"), json!({"model": "x", "seed": 1})));
        assert_eq!(row(3), (json!("a"), json!({"model": "x", "seed": 3})));
        assert_eq!(row(4), (json!("a"), json!({"model": "y", "seed": 1})));
        assert_eq!(row(12), (json!("b"), json!({"model": "y", "seed": 3})));
        assert_eq!(expansion.label(4), "a · y · 1");
    }

    #[test]
    fn a_part_of_a_fan_out_has_the_items_of_its_instances() {
        let whole = expansion();
        for (first, last) in [(1, 12), (5, 8), (6, 7), (7, 12), (12, 12)] {
            let part = whole.between(first, last);
            let nested = part.between(last, last);
            for number in first..=last {
                assert_eq!(part.item(number), whole.item(number), "{number} of {first}-{last}");
                assert_eq!(part.combination(number), whole.combination(number));
                assert_eq!(part.index(number), whole.index(number));
            }
            assert_eq!(nested.item(last), whole.item(last));
            assert!(part.items.len() <= 2);
        }
        assert_eq!(whole.between(7, 12).items, [json!("b")]);
    }

    #[test]
    fn tolerance_is_a_count_or_a_share() {
        let cases = [
            (Tolerate::Count(0), 1, true),
            (Tolerate::Count(2), 2, false),
            (Tolerate::Count(2), 3, true),
            (Tolerate::Percent(20.0), 2, false),
            (Tolerate::Percent(20.0), 3, true),
            (Tolerate::All, 10, false),
        ];
        for (tolerate, failed, exceeded) in cases {
            assert_eq!(tolerate.is_exceeded(failed, 10), exceeded, "{tolerate:?} {failed}");
        }
    }
}
