//! What a step needs, and which of its parameters go together.

use super::parameter::{PARAM_SYNONYMS, sample};
use super::{Compiler, Step};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::source::Span;
use crate::suggest;
use darkroom_proto::Kind;
use darkroom_proto::op::{OpSpec, ParamSpec, ParamType};

impl Compiler<'_, '_> {
    /// Reports what a step needs and does not have.
    pub(super) fn missing(&mut self, at: usize) {
        let step = &self.steps[at];
        let Some(op) = step.op else { return };
        let place = self.place_of(at);
        let flows = |param: &ParamSpec| match param.ty {
            ParamType::Artifact(kind) => param.name == kind.name(),
            ParamType::AnyArtifact => param.name == Kind::File.name(),
            _ => false,
        };
        let missing: Vec<&ParamSpec> = op
            .params
            .iter()
            .filter(|param| param.required && !flows(param))
            .filter(|param| !step.def.with.iter().any(|(name, _)| name.text == param.name))
            .filter(|param| !self.misspelled(step, op, param))
            .collect();
        for param in missing {
            let error =
                Diagnostic::error(code::MISSING_PARAMETER, place, format!("`{}` needs `{}`", op.name, param.name))
                    .label(param.summary)
                    .help(format!("add it under `with`: `{}: {}`", param.name, sample(param)));
            self.found.push(error);
        }
    }

    /// Whether an unknown parameter of the step was probably meant to be this one: it was reported already.
    fn misspelled(&self, step: &Step<'_>, op: &OpSpec, param: &ParamSpec) -> bool {
        let names = || op.params.iter().map(|param| param.name);
        step.def.with.iter().filter(|(name, _)| op.param(&name.text).is_none()).any(|(name, _)| {
            suggest::nearest(&name.text, names()) == Some(param.name)
                || PARAM_SYNONYMS.iter().any(|(other, here)| *other == name.text && *here == param.name)
        })
    }

    /// Parameters that go together or exclude each other.
    pub(super) fn together(&mut self, at: usize) {
        let step = &self.steps[at];
        let Some(op) = step.op else { return };
        let place = self.place_of(at);
        let written = |name: &str| step.def.with.iter().find(|(key, _)| key.text == name).map(|(key, _)| key.span);
        let conflict =
            |span: Span, message: &str, help: &str| Diagnostic::error(code::CONFLICT, span, message).help(help);
        let mut found = Vec::new();
        match op.name {
            "image.resize"
                if written("width").is_none()
                    && written("height").is_none()
                    && step.def.with.iter().all(|(key, _)| op.param(&key.text).is_some()) =>
            {
                found.push(
                    Diagnostic::error(code::MISSING_PARAMETER, place, "`image.resize` needs `width`, `height` or both")
                        .help("add one under `with`, such as `width: 1024`; the other side follows"),
                );
            }
            "image.contact-sheet" => match (written("results"), written("images")) {
                (None, None) => found.push(
                    Diagnostic::error(
                        code::MISSING_PARAMETER,
                        place,
                        "`image.contact-sheet` needs `results` or `images`",
                    )
                    .help("add it under `with`, such as `results: ${{ steps.variants.results }}`"),
                ),
                (Some(_), Some(span)) => {
                    found.push(conflict(span, "`results` and `images` exclude each other", "keep one of them"));
                }
                (Some(_), None) => {
                    if let Some(span) = written("labels") {
                        let help = "remove it: the labels of `results` come from the matrix or the items";
                        found.push(conflict(span, "`labels` go with `images`", help));
                    }
                }
                _ => {}
            },
            "image.generate" | "image.edit" => {
                if let (Some(span), Some(_), Some(_)) = (written("aspect"), written("width"), written("height")) {
                    let help = "keep `aspect`, with one side if you like, or both sides";
                    found.push(conflict(span, "`aspect` and both sides exclude each other", help));
                }
            }
            "image.crop" => {
                if let (Some(_), Some(span)) = (written("box"), written("aspect")) {
                    found.push(conflict(span, "`box` and `aspect` exclude each other", "keep one of them"));
                } else if let (None, Some(span)) = (written("aspect"), written("focus")) {
                    found.push(conflict(
                        span,
                        "`focus` goes with `aspect`",
                        "add `aspect`, such as `aspect: \"16:9\"`, or remove it",
                    ));
                } else if let (Some(_), Some(span)) = (written("aspect"), written("padding")) {
                    found.push(conflict(span, "`padding` goes with `box`", "remove it, or crop to a box first"));
                }
            }
            "image.overlay" => match (written("x"), written("y")) {
                (Some(span), None) => found.push(conflict(span, "`x` needs `y`", "add `y`, or use `gravity`")),
                (None, Some(span)) => found.push(conflict(span, "`y` needs `x`", "add `x`, or use `gravity`")),
                (Some(_), Some(_)) => {
                    if let Some(span) = written("gravity").or(written("margin")) {
                        found.push(conflict(
                            span,
                            "`x` and `y` exclude `gravity` and `margin`",
                            "keep one way of placing it",
                        ));
                    }
                }
                _ => {}
            },
            _ => {}
        }
        self.found.extend(found);
    }
}
