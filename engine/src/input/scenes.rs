//! Scripts: blocks that begin with `Scene 5:`, with `Prompt:` and `Narration:` paragraphs.

use super::InputError;
use serde_json::{Map, Value};

/// The scenes of a script, in order. Every paragraph `Word: …` becomes a field `word`; lines without one go on with the
/// paragraph before them.
pub(super) fn parse(name: &str, text: &str) -> Result<Value, InputError> {
    let unreadable = |line: usize, what: String| InputError::Unreadable {
        name: name.to_owned(),
        format: "a script of scenes",
        detail: format!("line {line}: {what}"),
    };
    let mut scenes: Vec<Map<String, Value>> = Vec::new();
    let mut starts: Vec<usize> = Vec::new();
    let mut field: Option<String> = None;
    for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let (number, line) = (at + 1, line.trim());
        if let Some(scene) = scene_number(line) {
            let Some(scene) = scene else {
                return Err(unreadable(number, format!("`{line}` has no number; write `Scene 1:`")));
            };
            if scenes.iter().any(|other| other.get("number") == Some(&scene.into())) {
                return Err(unreadable(number, format!("scene {scene} stands twice")));
            }
            scenes.push(Map::from_iter([("number".to_owned(), scene.into())]));
            starts.push(number);
            field = None;
            continue;
        }
        if line.is_empty() {
            continue;
        }
        let Some(scene) = scenes.last_mut() else {
            return Err(unreadable(number, "text before the first `Scene 1:`".to_owned()));
        };
        if let Some((word, rest)) = label(line) {
            if word == "number" || scene.contains_key(&word) {
                return Err(unreadable(number, format!("`{word}` stands twice in this scene")));
            }
            scene.insert(word.clone(), rest.into());
            field = Some(word);
        } else {
            let Some(Value::String(text)) = field.as_ref().and_then(|field| scene.get_mut(field)) else {
                return Err(unreadable(
                    number,
                    "text without a label; write `Prompt:` or `Narration:` before it".to_owned(),
                ));
            };
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(line);
        }
    }
    if scenes.is_empty() {
        return Err(unreadable(1, "there is no `Scene 1:` in it".to_owned()));
    }
    for (scene, start) in scenes.iter().zip(starts) {
        if scene.len() == 1 {
            return Err(unreadable(start, "the scene is empty".to_owned()));
        }
    }
    Ok(Value::Array(scenes.into_iter().map(Value::Object).collect()))
}

/// The number of a line `Scene 5:` or `Scene 5`; `Some(None)` where it has none.
fn scene_number(line: &str) -> Option<Option<u64>> {
    let rest = line.get(..5).filter(|word| word.eq_ignore_ascii_case("scene")).map(|_| line[5..].trim())?;
    let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len()));
    if !(after.is_empty() || after.starts_with([':', '-', '–', '.'])) {
        return None;
    }
    if number.is_empty() && !after.starts_with(':') {
        return None;
    }
    Some(number.parse().ok())
}

/// `Prompt: text` as the field's name and its text. A colon further in does not make a label.
fn label(line: &str) -> Option<(String, String)> {
    let (word, rest) = line.split_once(':')?;
    let one_word = word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '))
        && word.split(' ').count() <= 2
        && word.len() <= 32
        && (rest.is_empty() || rest.starts_with(' '));
    one_word.then(|| (word.to_ascii_lowercase().replace([' ', '-'], "_"), rest.trim().to_owned()))
}
