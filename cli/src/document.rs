//! JSON documents as they are printed: every artifact in them with its `stem`, `ext` and `url`.

use crate::failure::Failure;
use crate::folder;
use crate::output::say_json;
use crate::settings::Settings;
use darkroom_backend::Artifacts;
use darkroom_proto::Artifact;
use serde::Serialize;
use serde_json::Value;

/// Prints a document.
pub(crate) fn say_document<T: Serialize>(document: &T, settings: &Settings) -> Result<(), Failure> {
    let mut value = serde_json::to_value(document)
        .map_err(|error| Failure::other(format!("the result is no JSON document: {error}")))?;
    complete(&mut value, &folder::artifacts(settings)?);
    say_json(&value);
    Ok(())
}

fn complete(value: &mut Value, artifacts: &Artifacts) {
    if let Some(artifact) = Artifact::from_value(value)
        && let Value::Object(object) = value
    {
        object.entry("duration").or_insert(Value::Null);
        object.insert("stem".to_owned(), artifact.stem().into());
        object.insert("ext".to_owned(), artifact.ext().into());
        object.insert("url".to_owned(), artifacts.url(&artifact).into());
        return;
    }
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| complete(value, artifacts)),
        Value::Object(object) => object.values_mut().for_each(|value| complete(value, artifacts)),
        _ => {}
    }
}
