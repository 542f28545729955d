//! The JSON Schema of files of tests, for editors.

use darkroom_proto::{ErrorClass, RunStatus, StepStatus};
use serde_json::{Value, json};

/// The JSON Schema of files of tests. It knows the keys; whether steps, inputs and outputs are those of the workflow, only
/// [`crate::TestFile::read`] knows.
pub fn schema() -> Value {
    let classes = ErrorClass::ALL.map(ErrorClass::name);
    let runs: Vec<&str> = RunStatus::ALL.iter().map(|status| status.name()).collect();
    let steps: Vec<&str> = StepStatus::ALL.iter().map(|status| status.name()).collect();
    let text = json!({"type": "string"});
    let span = json!({"type": ["string", "number"]});
    let object = json!({"type": "object"});
    let step = json!({"type": ["string", "boolean", "null"]});
    let count = json!({"type": "integer", "minimum": 0});
    let closed = |properties: Value, required: Value| json!({"type": "object", "additionalProperties": false, "properties": properties, "required": required});
    let mock = closed(
        json!({
            "outputs": object, "image": {"type": "string", "pattern": "^[0-9]+x[0-9]+$"},
            "error": {"enum": classes}, "code": text, "message": text, "timeout": {"const": true},
            "times": {"type": "integer", "minimum": 1}, "takes": span, "cost": {"type": "number"},
            "then": {"$ref": "#/$defs/mock"},
        }),
        json!([]),
    );
    let event = closed(
        json!({
            "when": text, "after": span, "signal": text, "data": {}, "approve": step, "reject": step, "answers": object,
            "choice": {"type": "integer", "minimum": 1}, "note": text, "by": text, "cancel": text, "terminate": text,
            "pause": {}, "resume": step, "set": object,
        }),
        json!([]),
    );
    let status = json!({"enum": steps});
    let wanted = closed(json!({"status": status, "output": object}), json!([]));
    let expect = closed(
        json!({
            "status": {"enum": runs},
            "steps": {"type": "object", "additionalProperties": {"anyOf": [status, wanted]}},
            "outputs": object,
            "order": {"type": "array", "items": text},
            "attempts": {"type": "object", "additionalProperties": count},
            "error": closed(json!({"step": text, "class": {"enum": classes}, "code": text, "message": text}), json!([])),
            "elapsed": span,
            "cost": {"type": "number"},
            "requests": {"anyOf": [count, {"type": "array", "items": object}]},
            "saved": {"type": "array", "items": text},
        }),
        json!([]),
    );
    let test = closed(
        json!({
            "name": text, "inputs": object,
            "mocks": {"type": "object", "additionalProperties": {"$ref": "#/$defs/mock"}},
            "events": {"type": "array", "items": event}, "expect": expect,
        }),
        json!(["name", "expect"]),
    );
    let mut file =
        closed(json!({"workflow": text, "tests": {"type": "array", "items": test}}), json!(["workflow", "tests"]));
    file["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
    file["title"] = json!("Tests of a Darkroom workflow");
    file["$defs"] = json!({"mock": mock});
    file
}
