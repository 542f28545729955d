//! The inputs of a trial: checked as those of a run are, their files taken in.

use crate::mock::resolved;
use crate::stage::Stage;
use darkroom_engine::input::{self, Given, InputError};
use darkroom_engine::plan::{Input, InputType};
use darkroom_proto::{Artifact, Map};
use serde_json::Value;
use std::path::Path;

/// What is wrong with an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BadInput {
    pub(crate) name: String,
    pub(crate) message: String,
    pub(crate) advice: String,
}

impl BadInput {
    fn of(name: &str, error: &InputError) -> BadInput {
        BadInput { name: name.to_owned(), message: error.to_string(), advice: error.advice() }
    }
}

/// The values of all inputs, defaults put in. Given files are looked for in `folder`, those of defaults in `home`.
pub(crate) fn complete(
    inputs: &[Input],
    given: &Map,
    stage: &Stage,
    folder: &Path,
    home: &Path,
) -> Result<Map, BadInput> {
    if let Some(name) = given.keys().find(|name| !inputs.iter().any(|input| input.name == **name)) {
        let known = inputs.iter().map(|input| input.name.clone()).collect();
        return Err(BadInput::of(name, &InputError::Unknown { name: name.clone(), known }));
    }
    let mut values = Map::new();
    for input in inputs {
        let given = given.get(&input.name).filter(|value| !value.is_null());
        let (value, folder) = match (given, &input.default) {
            (Some(value), _) => (value, folder),
            (None, Some(default)) => (default, home),
            (None, None) if input.required => {
                let wanted = input::describe(&input.ty).to_owned();
                return Err(BadInput::of(&input.name, &InputError::Missing { name: input.name.clone(), wanted }));
            }
            (None, None) => continue,
        };
        let value = taken_in(input, value, stage, folder).map_err(|message| BadInput {
            name: input.name.clone(),
            message: format!("the input `{}`: {message}", input.name),
            advice: "Paths are relative to the file that they stand in.".to_owned(),
        })?;
        let value = input::coerce(input, Given::Json(&value)).map_err(|error| BadInput::of(&input.name, &error))?;
        values.insert(input.name.clone(), value);
    }
    Ok(values)
}

/// A value with the files that it names taken in: `photo.png` and `@photo.png` mean the same where a file is wanted.
fn taken_in(input: &Input, value: &Value, stage: &Stage, folder: &Path) -> Result<Value, String> {
    let artifact = |text: &str| stage.named(text.strip_prefix('@').unwrap_or(text), folder).map(|file| file.to_value());
    match (&input.ty, value) {
        (InputType::Image | InputType::Video | InputType::Audio | InputType::File, Value::String(text)) => {
            artifact(text)
        }
        (InputType::Images | InputType::Files, Value::Array(items)) => {
            let item = |item: &Value| item.as_str().map_or_else(|| Ok(item.clone()), artifact);
            items.iter().map(item).collect::<Result<Vec<_>, _>>().map(Value::Array)
        }
        (InputType::Images | InputType::Files, Value::String(text)) => Ok(Value::Array(vec![artifact(text)?])),
        (InputType::Csv | InputType::JsonLines | InputType::Scenes, Value::String(text)) => {
            let path = folder.join(text.strip_prefix('@').unwrap_or(text));
            std::fs::read_to_string(&path)
                .map(Value::String)
                .map_err(|error| format!("{} can't be read: {error}", path.display()))
        }
        (InputType::Json, Value::String(text)) if text.starts_with('@') && !text.starts_with("@@") => {
            let path = folder.join(&text[1..]);
            let text =
                std::fs::read_to_string(&path).map_err(|error| format!("{} can't be read: {error}", path.display()))?;
            serde_json::from_str(&text).map_err(|error| format!("{} is no JSON: {error}", path.display()))
        }
        _ => Ok(value.clone()),
    }
}

/// The outputs of a mock, the files that they name taken in.
pub(crate) fn outputs_of(outputs: &Map, stage: &Stage, folder: &Path) -> Result<Map, String> {
    let mut file = |name: &str| stage.named(name, folder).map(|file: Artifact| file.to_value());
    match resolved(&Value::Object(outputs.clone()), &mut file)? {
        Value::Object(outputs) => Ok(outputs),
        _ => Ok(Map::new()),
    }
}
