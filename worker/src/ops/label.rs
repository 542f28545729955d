//! The labels and places of the results of a fan-out on a contact sheet.

use darkroom_proto::{Artifact, Map};
use serde_json::Value;

/// The keys of a matrix, the slowest first.
///
/// JSON objects have no order. But combinations come in order, and the value of the first key changes least often.
pub(super) fn matrix_keys(results: &[Value]) -> Vec<String> {
    let matrices: Vec<&Map> = results.iter().filter_map(matrix).collect();
    let Some(first) = matrices.first() else { return Vec::new() };
    let changes = |key: &str| matrices.windows(2).filter(|pair| pair[0].get(key) != pair[1].get(key)).count();
    let mut keys: Vec<String> = first.keys().cloned().collect();
    keys.sort_by_cached_key(|key| changes(key));
    keys
}

fn matrix(result: &Value) -> Option<&Map> {
    result.get("matrix").and_then(Value::as_object).filter(|matrix| !matrix.is_empty())
}

/// What stands under a result: its matrix values, else its item, else its number.
pub(super) fn label(result: &Value, keys: &[String], position: usize) -> String {
    if let Some(matrix) = matrix(result) {
        let values: Vec<String> = keys.iter().filter_map(|key| matrix.get(key)).map(text).collect();
        if !values.is_empty() {
            return values.join(" · ");
        }
    }
    let item = result.get("item").map(text).unwrap_or_default();
    if !item.is_empty() {
        return item;
    }
    result.get("number").and_then(Value::as_u64).unwrap_or(position as u64 + 1).to_string()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Number(_) | Value::Bool(_) => value.to_string(),
        Value::Object(object) => {
            Artifact::from_value(value).map(|artifact| artifact.stem().to_owned()).unwrap_or_else(|| {
                ["name", "stem", "title", "number", "id"]
                    .iter()
                    .find_map(|key| object.get(*key).filter(|value| !value.is_null() && !value.is_object()))
                    .map(text)
                    .unwrap_or_default()
            })
        }
        Value::Null | Value::Array(_) => String::new(),
    }
}

/// Rows and columns of a matrix of two keys: a row for each value of the first, and of each item before that. Nothing if
/// the results are not such a matrix.
pub(super) fn matrix_places(results: &[Value], keys: &[String]) -> Option<Vec<(u32, u32)>> {
    let [down, across] = keys else { return None };
    let (mut rows, mut columns): (Vec<(Value, Value)>, Vec<Value>) = (Vec::new(), Vec::new());
    let mut places: Vec<(u32, u32)> = Vec::with_capacity(results.len());
    for result in results {
        let matrix = matrix(result)?;
        let row = (result.get("item").cloned().unwrap_or_default(), matrix.get(down)?.clone());
        let place = (place_of(&mut rows, row), place_of(&mut columns, matrix.get(across)?.clone()));
        if places.contains(&place) {
            return None;
        }
        places.push(place);
    }
    Some(places)
}

fn place_of<T: PartialEq>(seen: &mut Vec<T>, value: T) -> u32 {
    let at = seen.iter().position(|known| *known == value).unwrap_or_else(|| {
        seen.push(value);
        seen.len() - 1
    });
    at as u32
}

/// Why a result has no picture.
pub(super) fn missing_reason(result: &Value) -> String {
    let error = result.get("error");
    let class = error.and_then(|error| error.get("class")).or(error).and_then(Value::as_str);
    let status = result.get("status").and_then(Value::as_str);
    match (class, status) {
        (Some(class), _) => format!("failed: {class}"),
        (None, Some(status)) => status.to_owned(),
        (None, None) => "no picture".to_owned(),
    }
}

/// The picture of a result: its output `image`, or the first that is one.
pub(super) fn image_of(result: &Value) -> Option<Artifact> {
    let is_image = |value: &Value| Artifact::from_value(value).filter(|artifact| artifact.kind().name() == "image");
    result.get("image").and_then(is_image).or_else(|| {
        let outputs = result.as_object()?.iter().filter(|(name, _)| *name != "item");
        outputs.map(|(_, value)| value).find_map(is_image)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn labels_come_from_the_matrix_then_the_item_then_the_number() {
        let results: Vec<Value> = [("flux-dev", 100), ("flux-dev", 200), ("sdxl", 100), ("sdxl", 200)]
            .into_iter()
            .map(|(model, seed)| json!({"matrix": {"seed": seed, "model": model, "a": "x"}, "item": "mug"}))
            .collect();
        let keys = matrix_keys(&results);
        assert_eq!(keys, ["a", "model", "seed"], "the slowest first");
        assert_eq!(label(&results[1], &keys, 1), "x · flux-dev · 200");
        assert_eq!(label(&json!({"item": "a mug", "number": 4}), &[], 0), "a mug");
        assert_eq!(label(&json!({"item": {"name": "hero", "x": 1}}), &[], 0), "hero");
        assert_eq!(label(&json!({"item": {"x": 1}, "number": 4}), &[], 0), "4");
        assert_eq!(label(&json!({}), &[], 2), "3");
    }

    #[test]
    fn two_matrix_keys_make_rows_and_columns_even_where_results_are_missing() {
        let result = |model: &str, seed: i32| json!({"matrix": {"model": model, "seed": seed}});
        let results = [result("flux", 1), result("flux", 3), result("sdxl", 1), result("sdxl", 2), result("sdxl", 3)];
        let keys = matrix_keys(&results);
        assert_eq!(keys, ["model", "seed"]);
        assert_eq!(matrix_places(&results, &keys), Some(vec![(0, 0), (0, 1), (1, 0), (1, 2), (1, 1)]));
        assert_eq!(matrix_places(&results, &keys[..1]), None);
    }
}
