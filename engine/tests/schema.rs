//! The generated schema accepts what `compile` accepts, and refuses the plain mistakes.

#![allow(clippy::unwrap_used, reason = "test code: a panic is the report")]

use darkroom_engine::{Source, compile, schema, template};
use serde_json::{Value, json};
use std::path::Path;

#[test]
fn every_workflow_of_the_catalogue_is_valid() {
    let schema = schema::schema();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut texts = vec![("template".to_owned(), template::template("new").into_bytes())];
    for folder in ["../workflows", "tests/wiring"] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "yaml") {
                texts.push((path.display().to_string(), std::fs::read(&path).unwrap()));
            }
        }
    }
    for (name, text) in texts {
        let definition = compile(&Source::from_bytes(name.as_str(), &text)).unwrap().definition;
        let value: Value = serde_json::from_str(&definition).unwrap();
        let errors: Vec<String> =
            validator.iter_errors(&value).map(|error| format!("{} at {}", error, error.instance_path())).collect();
        assert_eq!(errors, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn plain_mistakes_are_refused() {
    let schema = schema::schema();
    let validator = jsonschema::draft202012::new(&schema).unwrap();
    let file = |step: Value| json!({"workflow": "a", "steps": [step]});
    let cases = [
        ("the least file", file(json!({"uses": "noop"})), true),
        ("unknown op", file(json!({"uses": "nop"})), false),
        ("unknown key", file(json!({"uses": "noop", "iff": "true"})), false),
        ("unknown parameter", file(json!({"uses": "noop", "with": {"dta": 1}})), false),
        ("missing parameter", file(json!({"uses": "image.encode", "with": {}})), false),
        ("missing with", file(json!({"uses": "image.encode"})), false),
        ("number out of range", file(json!({"uses": "image.generate", "with": {"prompt": "a", "width": 5}})), false),
        (
            "expression for a number",
            file(json!({"uses": "image.generate", "with": {"prompt": "a", "width": "${{ inputs.w }}"}})),
            true,
        ),
        ("text for a number", file(json!({"uses": "image.generate", "with": {"prompt": "a", "width": "wide"}})), false),
        ("unknown model", file(json!({"uses": "image.generate", "with": {"prompt": "a", "model": "x"}})), false),
        (
            "provider and model",
            file(json!({"uses": "image.generate", "with": {"prompt": "a", "model": "fal/flux-pro"}})),
            true,
        ),
        ("group", file(json!({"parallel": [{"uses": "noop"}]})), true),
        ("fan-out with a body", file(json!({"for-each": "range(3)", "steps": [{"uses": "noop"}]})), true),
        ("body without fan-out", file(json!({"steps": [{"uses": "noop"}]})), false),
        ("no steps", json!({"workflow": "a", "steps": []}), false),
        ("no id", json!({"steps": [{"uses": "noop"}]}), false),
    ];
    for (name, value, valid) in cases {
        assert_eq!(validator.is_valid(&value), valid, "{name}");
    }
}
