//! The JSON Schema of workflow files, made from the op table and the keys of the language.

use crate::names::FILTERS;
use crate::read;
use crate::repeat::ITERATIONS_MAX;
use crate::schedule::Overlap;
use darkroom_proto::op::{self, OpSpec, ParamSpec, ParamType};
use darkroom_proto::{ErrorClass, model};
use serde_json::{Map, Value, json};

/// An expression inside text.
const EXPRESSION: &str = "\\$\\{\\{";
const ID: &str = "^[A-Za-z][A-Za-z0-9_-]{0,63}$";
const DURATION: &str = "^[0-9]+(\\.[0-9]+)?\\s*(ms|s|m|min|h|d)?$";

/// The schema (draft 2020-12), for editors: `# yaml-language-server: $schema=…`.
///
/// It knows the shape of files, the parameters of every op and their ranges. What needs the rest of the file, such as
/// whether a step exists, is left to `compile`.
pub fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Darkroom workflow",
        "description": "A workflow of AI media steps. See the reference page of the language.",
        "type": "object",
        "required": ["workflow", "steps"],
        "additionalProperties": false,
        "properties": top(),
        "$defs": {
            "id": {"type": "string", "pattern": ID},
            "duration": {"anyOf": [{"type": "string", "pattern": DURATION}, {"type": "number", "minimum": 0}]},
            "expression": {"type": "string", "pattern": EXPRESSION},
            "condition": {
                "type": ["string", "boolean", "number"],
                "description": format!("An expression; braces are not needed. Filters: {}.", FILTERS.join(", ")),
            },
            "paths": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "names": {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]},
            "steps": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/element"}},
            "element": {
                "if": {"required": ["parallel"]},
                "then": {"$ref": "#/$defs/parallel"},
                "else": {"$ref": "#/$defs/step"},
            },
            "parallel": parallel(),
            "step": step(),
            "input": input(),
            "retry": retry(),
            "contender": contender(),
            "branch": {
                "type": "array",
                "minItems": 1,
                "items": {
                    "if": {"required": ["then"]},
                    "then": {"additionalProperties": false, "properties": {"then": {"const": "fail"}}},
                    "else": {"$ref": "#/$defs/element"},
                },
            },
            "schedule": schedule(),
        },
    })
}

fn text(description: &str) -> Value {
    json!({"type": "string", "description": description})
}

fn reference(name: &str, description: &str) -> Value {
    json!({"$ref": format!("#/$defs/{name}"), "description": description})
}

fn top() -> Value {
    let ui: Map<String, Value> =
        read::UI_KEYS.iter().map(|key| ((*key).to_owned(), json!({"type": "string"}))).collect();
    json!({
        "workflow": reference("id", "The workflow's id."),
        "title": text("Its name for people."),
        "description": text("What it does, in a sentence."),
        "enabled": {"type": "boolean", "description": "Whether it may be started.", "default": true},
        "credits": {"type": "integer", "minimum": 0, "description": "What a run is charged for."},
        "estimated-duration": reference("duration", "About how long a run takes."),
        "budget": {"type": ["string", "number"], "description": "The most that a run may spend, such as `1.50 USD`."},
        "ui": {"type": "object", "additionalProperties": false, "properties": ui, "description": "How a catalogue shows it."},
        "schedule": {
            "description": "When runs start by themselves: one schedule, or several.",
            "anyOf": [{"$ref": "#/$defs/schedule"}, {"type": "array", "items": {"$ref": "#/$defs/schedule"}}],
        },
        "inputs": {
            "type": ["object", "null"],
            "description": "What a run is given.",
            "additionalProperties": {"$ref": "#/$defs/input"},
        },
        "steps": reference("steps", "What it does, in order."),
        "outputs": {"type": ["object", "null"], "description": "What it gives: a name and an expression for each."},
    })
}

fn input() -> Value {
    json!({
        "type": "object",
        "required": ["type"],
        "additionalProperties": false,
        "properties": {
            "type": {"enum": read::TYPES, "description": "What it takes."},
            "title": text("Its name in forms."),
            "description": text("What it is for."),
            "default": {"description": "What it is when it is not given; a path for pictures and files."},
            "required": {"type": "boolean", "description": "Whether it must be given. Without a default it must."},
            "enum": {"type": "array", "minItems": 1, "items": {"type": "string"}, "description": "The words of an `enum`."},
            "min": {"type": "number", "description": "The least number, length of text or length of a list."},
            "max": {"type": "number", "description": "The most."},
            "pattern": text("A regular expression that the whole text must match."),
            "max-bytes": {"type": ["integer", "string"], "description": "The largest file, such as `20MB`."},
            "ui": {"type": "object", "description": "How forms show it."},
        },
        "if": {"properties": {"type": {"const": "enum"}}, "required": ["type"]},
        "then": {"required": ["enum"]},
    })
}

fn schedule() -> Value {
    let overlaps = Overlap::ALL.map(Overlap::name);
    let time = "A date, a date and time in the zone, or one with an offset.";
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "cron": text("Minute, hour, day, month and weekday, such as `0 3 * * 1-5`."),
            "every": reference("duration", "The time between two runs, at least 1s."),
            "timezone": {"type": "string", "default": "UTC", "description": "The zone that `cron` goes by, such as `Europe/Berlin`."},
            "overlap": {"enum": overlaps, "default": "skip", "description": "What becomes of a time at which a run has not ended."},
            "jitter": reference("duration", "Each time is put off by a part of this."),
            "start": text(time),
            "end": text(time),
            "catch-up": reference("duration", "How late a run still starts after an outage; 10m if nothing is said."),
            "inputs": {"type": "object", "description": "Inputs of its runs, where they are not the defaults."},
            "id": {"type": "string", "description": "Its name: the workflow's id, if nothing is said."},
            "paused": {"type": "boolean", "default": false, "description": "Whether it begins paused."},
        },
        "oneOf": [{"required": ["cron"]}, {"required": ["every"]}],
    })
}

fn retry() -> Value {
    let classes: Vec<&str> = ErrorClass::ALL.into_iter().map(ErrorClass::name).collect();
    json!({
        "anyOf": [
            {"type": "integer", "minimum": 1, "maximum": 100},
            {
                "type": "object",
                "additionalProperties": false,
                "properties": {
                    "attempts": {"type": "integer", "minimum": 1, "maximum": 100, "default": 5},
                    "delay": reference("duration", "The first wait."),
                    "backoff": {
                        "anyOf": [
                            {"enum": ["fixed", "linear", "exponential"]},
                            {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/duration"}},
                        ],
                        "default": "exponential",
                    },
                    "max-delay": reference("duration", "No wait is longer."),
                    "errors": {"anyOf": [{"enum": classes}, {"type": "array", "items": {"enum": classes}}]},
                },
            },
        ],
    })
}

fn parallel() -> Value {
    json!({
        "type": "object",
        "required": ["parallel"],
        "additionalProperties": false,
        "properties": {
            "parallel": reference("steps", "Steps that run side by side."),
            "title": text("What they do, for people."),
            "needs": reference("names", "The steps that end before they start, instead of all earlier ones."),
            "if": reference("condition", "When they run."),
            "continue-on-error": {"type": "boolean", "description": "Their failures do not stop what follows."},
        },
    })
}

/// The name of a workflow, with a version or not.
const CHILD: &str = "^workflow:[^@]+(@.+)?$";

/// The name of a task.
const TASK: &str = "^task\\.[a-z][a-z0-9-]{0,63}$";

fn uses() -> Value {
    let ops: Vec<&str> = op::OPS.iter().map(|op| op.name).collect();
    let named = |pattern: &str| json!({"type": "string", "pattern": pattern});
    json!({
        "anyOf": [{"enum": ops}, named(CHILD), named(TASK)],
        "description": "The op that it calls, the workflow that it runs, such as `workflow:product-photo@3`, or the task that a worker of yours does, such as `task.resize-3d`.",
    })
}

fn contender() -> Value {
    let cases: Vec<Value> = op::OPS.iter().map(with).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "id": reference("id", "Its name for people."),
            "title": text("What it does, for people."),
            "uses": uses(),
            "with": {"type": ["object", "null"], "description": "The op's parameters."},
            "steps": reference("steps", "Its steps, where it is more than one call."),
            "delay": reference("duration", "How long after the others it begins."),
            "retry": reference("retry", "How failures are retried."),
            "timeout": reference("duration", "How long one attempt may take."),
            "cache": {"enum": read::CACHE_WORDS, "description": "Whether outputs of an equal step may be taken: `auto`, `off`, or `refresh` to do it and record it anew."},
        },
        "anyOf": [{"required": ["uses"]}, {"required": ["steps"]}],
        "allOf": cases,
    })
}

fn repeat() -> Value {
    json!({
        "type": "object",
        "additionalProperties": false,
        "required": read::REPEAT_KEYS,
        "properties": {
            "until": reference("condition", "Asked after each iteration: when it holds, that was the last one."),
            "max": {"type": "integer", "minimum": 1, "maximum": ITERATIONS_MAX, "description": "The most iterations."},
        },
        "description": "Does the step again and again.",
    })
}

fn step() -> Value {
    let cases: Vec<Value> = op::OPS.iter().map(with).collect();
    json!({
        "type": "object",
        "additionalProperties": false,
        "properties": {
            "id": reference("id", "Its name in expressions. Default: the last word of its op."),
            "title": text("What it does, for people."),
            "uses": uses(),
            "with": {"type": ["object", "null"], "description": "The op's parameters."},
            "needs": reference("names", "The steps that end before it starts, instead of all earlier ones of its list."),
            "if": reference("condition", "When it runs. Skipped, it passes its picture on."),
            "for-each": {"type": ["string", "array"], "description": "A list, or an expression that makes one: one instance per item."},
            "matrix": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": {"type": ["array", "string"]},
                "description": "Lists of values: one instance per combination.",
            },
            "steps": reference("steps", "The steps of each instance."),
            "race": {
                "type": "array",
                "minItems": 2,
                "items": {"$ref": "#/$defs/contender"},
                "description": "Contenders: the first success wins, the others are cancelled.",
            },
            "repeat": repeat(),
            "stop-when": reference("condition", "Asked after each instance: when it holds, the rest is cancelled."),
            "on-error": reference("branch", "Steps for when it failed for good; `- then: fail` may be the last."),
            "on-timeout": reference("branch", "Steps for when it took too long."),
            "on-reject": reference("branch", "Steps for when it was rejected."),
            "on-cancel": reference("branch", "Steps that undo what it did, for when the run is cancelled."),
            "batch": {"type": "integer", "minimum": 1, "description": "How many items one instance gets: `item` is a list of them."},
            "max-parallel": {"type": "integer", "minimum": 1, "description": "How many instances run at once at most."},
            "continue-on-error": {"type": "boolean", "description": "Its failure does not stop what follows; of a fan-out, all instances may fail."},
            "tolerate": {"type": ["integer", "string"], "description": "How many instances may fail: `5` or `10%`."},
            "retry": reference("retry", "How failures are retried."),
            "timeout": reference("duration", "How long one attempt may take."),
            "save": text("Where its main output is saved, relative to `--out`."),
            "save-dir": text("Where what a child saves lies, relative to `--out`."),
            "detach": {"type": "boolean", "description": "The child is started and not waited for; the output `run` is its id."},
            "on-parent-close": {"enum": ["cancel", "abandon"], "description": "What becomes of the child when its parent ends before it."},
            "skip-if-exists": reference("paths", "Paths that make it unnecessary when all of them exist."),
            "cache": {"enum": read::CACHE_WORDS, "description": "Whether outputs of an equal step may be taken: `auto`, `off`, or `refresh` to do it and record it anew."},
        },
        "anyOf": [{"required": ["uses"]}, {"required": ["steps", "for-each"]}, {"required": ["steps", "matrix"]}, {"required": ["steps", "repeat"]}, {"required": ["race"]}],
        "allOf": cases,
    })
}

fn with(op: &OpSpec) -> Value {
    let properties: Map<String, Value> =
        op.params.iter().map(|param| (param.name.to_owned(), parameter(param))).collect();
    let required: Vec<&str> = op
        .params
        .iter()
        .filter(|param| param.required && !matches!(param.ty, ParamType::Artifact(_) | ParamType::AnyArtifact))
        .map(|param| param.name)
        .collect();
    let mut then = json!({
        "properties": {
            "with": {"additionalProperties": false, "properties": properties, "required": required, "description": op.summary},
        },
    });
    if !required.is_empty() {
        then["required"] = json!(["with"]);
    }
    json!({"if": {"properties": {"uses": {"const": op.name}}, "required": ["uses"]}, "then": then})
}

/// A parameter: a value of its type, or an expression.
fn parameter(param: &ParamSpec) -> Value {
    let plain = match param.ty {
        ParamType::Text { max } => Some(json!({"type": "string", "maxLength": max})),
        ParamType::Integer { min, max } => Some(json!({"type": "integer", "minimum": min, "maximum": max})),
        ParamType::Number { min, max } => Some(json!({"type": "number", "minimum": min, "maximum": max})),
        ParamType::Boolean => Some(json!({"type": "boolean"})),
        ParamType::Enum(words) => Some(json!({"enum": words})),
        ParamType::Model(capability) => {
            let of = model::all().iter().filter(|model| model.capability == capability);
            let names: std::collections::BTreeSet<String> = of.flat_map(model::Model::names).collect();
            Some(json!({"enum": names}))
        }
        ParamType::Color => Some(json!({"type": "string", "pattern": "^#([0-9a-fA-F]{6}|[0-9a-fA-F]{8})$"})),
        ParamType::Aspect => Some(json!({"type": "string", "pattern": "^[0-9.]+:[0-9.]+$"})),
        ParamType::Duration => Some(json!({"$ref": "#/$defs/duration"})),
        ParamType::SavePath => Some(json!({"type": "string"})),
        ParamType::Box => {
            let side = json!({"anyOf": [{"type": "integer", "minimum": 0}, {"$ref": "#/$defs/expression"}]});
            let sides = json!({"x": side, "y": side, "w": side, "h": side});
            Some(
                json!({"type": "object", "additionalProperties": false, "properties": sides, "required": ["x", "y", "w", "h"]}),
            )
        }
        ParamType::Images | ParamType::TextList | ParamType::Results => Some(json!({"type": "array"})),
        ParamType::Artifact(_) | ParamType::AnyArtifact => None,
        ParamType::Time => Some(json!({"type": "string", "format": "date-time"})),
        ParamType::Condition => return json!({"$ref": "#/$defs/condition", "description": param.summary}),
        ParamType::Schema => return json!({"type": "object", "description": param.summary}),
        ParamType::Form => {
            let field = json!({"type": "object"});
            return json!({"type": "object", "additionalProperties": field, "description": param.summary});
        }
        ParamType::Any => return json!({"description": param.summary}),
    };
    let expression = json!({"$ref": "#/$defs/expression"});
    let mut schema = match plain {
        Some(plain) if param.required => json!({"anyOf": [plain, expression]}),
        Some(plain) => json!({"anyOf": [plain, expression, {"type": "null"}]}),
        None => expression,
    };
    schema["description"] = json!(param.summary);
    if let Ok(default) = serde_json::from_str::<Value>(param.default) {
        schema["default"] = default;
    }
    schema
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lists_every_key_that_the_reader_knows() {
        let schema = schema();
        let keys = |pointer: &str| {
            let mut keys: Vec<String> = schema.pointer(pointer).unwrap().as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let sorted = |keys: &[&str]| {
            let mut keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
            keys.sort();
            keys
        };
        assert_eq!(keys("/properties"), sorted(read::TOP_KEYS));
        assert_eq!(keys("/$defs/input/properties"), sorted(read::INPUT_KEYS));
        assert_eq!(keys("/$defs/parallel/properties"), sorted(read::GROUP_KEYS));
        assert_eq!(keys("/$defs/retry/anyOf/1/properties"), sorted(read::RETRY_KEYS));
        assert_eq!(keys("/$defs/schedule/properties"), sorted(read::SCHEDULE_KEYS));
        let steps: Vec<&str> = read::STEP_KEYS.iter().copied().filter(|key| *key != "parallel").collect();
        assert_eq!(keys("/$defs/step/properties"), sorted(&steps));
        assert_eq!(keys("/$defs/contender/properties"), sorted(read::CONTENDER_KEYS));
        assert_eq!(keys("/$defs/step/properties/repeat/properties"), sorted(read::REPEAT_KEYS));
    }
}
