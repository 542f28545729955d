//! Fan-outs: their items and combinations, and when they have seen enough failures.

use crate::expr::ExprError;
use crate::plan::{FanOut, Rule, Tolerate};
use crate::run::Fan;
use crate::scope::{RunScope, value_error};
use darkroom_proto::{Artifact, ErrorClass, Map, StepError};
use serde_json::Value;

/// The most instances of one fan-out.
pub const INSTANCES_MAX: u64 = 100_000;

/// The items and axes of a fan-out, evaluated.
#[derive(Debug, Clone, PartialEq)]
pub struct Expansion {
    items: Vec<Value>,
    axes: Vec<(String, Vec<Value>)>,
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
        let items = match fan.batch {
            None => items,
            Some(size) => in_batches(items, size),
        };
        let mut axes = Vec::with_capacity(fan.matrix.len());
        for (key, template) in &fan.matrix {
            let what = format!("matrix.{key}");
            let values = template.resolve(scope).map_err(|error| failed(&what, error))?;
            axes.push((key.clone(), list(&format!("`{what}`"), values)?));
        }
        let expansion = Expansion { items, axes };
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
        Expansion { items: vec![Value::Null; count], axes: Vec::new() }
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
        self.items.get(self.index(number) as usize).unwrap_or(&Value::Null)
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

/// The items in lists of `size`, the last of what is left.
fn in_batches(items: Vec<Value>, size: u32) -> Vec<Value> {
    let mut items = items.into_iter().peekable();
    let mut batches = Vec::new();
    while items.peek().is_some() {
        batches.push(items.by_ref().take(size.max(1) as usize).collect());
    }
    batches
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
    /// Whether so many failures are more than is tolerated.
    pub(crate) fn is_exceeded(self, fan: &Fan) -> bool {
        match self {
            Tolerate::Count(count) => fan.failed > count,
            Tolerate::Percent(percent) => f64::from(fan.failed) * 100.0 > percent * f64::from(fan.total),
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
    fn tolerance_is_a_count_or_a_share() {
        let fan = |failed| Fan { total: 10, failed, ..Fan::default() };
        let cases = [
            (Tolerate::Count(0), 1, true),
            (Tolerate::Count(2), 2, false),
            (Tolerate::Count(2), 3, true),
            (Tolerate::Percent(20.0), 2, false),
            (Tolerate::Percent(20.0), 3, true),
            (Tolerate::All, 10, false),
        ];
        for (tolerate, failed, exceeded) in cases {
            assert_eq!(tolerate.is_exceeded(&fan(failed)), exceeded, "{tolerate:?} {failed}");
        }
    }
}
