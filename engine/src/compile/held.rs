//! Steps that the engine performs itself: what only they take, and what they do not.

use super::Compiler;
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::expr::Template;
use crate::json_schema::{SchemaError, check_schema};
use crate::node::Node;
use crate::plan::RetryPolicy;
use darkroom_proto::Duration;
use darkroom_proto::op::{ParamSpec, ParamType, WAIT_MAX};
use serde_json::Value;

impl Compiler<'_, '_> {
    /// A schema or a form, which is written out and uses only what is understood.
    pub(super) fn written_schema(&mut self, param: &ParamSpec, node: &Node, template: &Template) -> Option<Template> {
        let Template::Literal(value) = template else {
            let message = format!("`{}` has to be written out", param.name);
            let help = "it is known before the run; an expression can't make it";
            self.found.push(Diagnostic::error(code::BAD_SCHEMA, node.span, message).help(help));
            return None;
        };
        let sound = match (param.ty, value) {
            (ParamType::Form, Value::Object(fields)) => fields.iter().try_for_each(|(name, field)| {
                check_schema(field).map_err(|error| SchemaError { place: name.clone(), message: error.to_string() })
            }),
            (ParamType::Form, _) => Err(SchemaError {
                place: String::new(),
                message: "a form is a mapping of names to schemas, such as `note: { type: string }`".to_owned(),
            }),
            _ => check_schema(value),
        };
        match sound {
            Ok(()) => Some(template.clone()),
            Err(error) => {
                let message = format!("`{}` can't be used: {error}", param.name);
                let help = "`darkroom explain DR042` lists what a schema can say";
                self.found.push(Diagnostic::error(code::BAD_SCHEMA, node.span, message).help(help));
                None
            }
        }
    }

    /// Checks a step that needs no worker.
    pub(super) fn performed_by_engine(&mut self, at: usize) {
        let step = &self.steps[at];
        let Some(op) = step.op.filter(|op| op.performed_by_engine()) else { return };
        let (def, place) = (step.def, self.place_of(at));
        let written = |name: &str| def.with.iter().find(|(key, _)| key.text == name).copied();
        let mut found = Vec::new();
        let missing = |message: &str, help: &str| Diagnostic::error(code::MISSING_PARAMETER, place, message).help(help);
        match op.name {
            "sleep" => match (written("for"), written("until")) {
                (None, None) => found.push(missing("`sleep` needs `for` or `until`", "add `for: 1h` under `with`")),
                (Some(_), Some((key, _))) => found.push(
                    Diagnostic::error(code::CONFLICT, key.span, "`for` and `until` exclude each other")
                        .help("keep one of them"),
                ),
                (Some((_, node)), None) => {
                    let span = node.as_text().and_then(|text| text.parse::<Duration>().ok());
                    if span.is_some_and(|span| span > WAIT_MAX) {
                        found.push(
                            Diagnostic::error(code::OUT_OF_RANGE, node.span, "it would sleep for too long")
                                .help(format!("at most {WAIT_MAX}")),
                        );
                    }
                }
                (None, Some(_)) => {}
            },
            "value" if written("value").is_none() => {
                found.push(missing("`value` needs `value`", "add it under `with`: `value: ${{ … }}`"));
            }
            _ => {}
        }
        let waits_for_somebody = matches!(op.name, "wait.event" | "human.approve");
        let is_child = def.child().is_some();
        if let Some(timeout) = def.timeout {
            if !waits_for_somebody {
                let message = format!("`{}` has no `timeout`", op.name);
                found.push(Diagnostic::error(code::CONFLICT, def.span, message).help("remove it"));
            } else if timeout > WAIT_MAX {
                found.push(
                    Diagnostic::error(code::OUT_OF_RANGE, def.span, "`timeout` is too long")
                        .help(format!("a step waits at most {WAIT_MAX}")),
                );
            }
        }
        if def.retry != RetryPolicy::default() && !is_child {
            let message = format!("`{}` has no attempts, so `retry` has no effect", op.name);
            found.push(Diagnostic::error(code::CONFLICT, def.span, message).help("remove it"));
        }
        self.found.extend(found);
    }
}
