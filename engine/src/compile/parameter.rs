//! `with:`: every parameter exists, has the right type, and what is needed is there.

use super::scope::View;
use super::{Compiler, Given};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::expr::Template;
use crate::node::{Node, NodeKind};
use crate::source::Span;
use crate::suggest;
use crate::types::{Type, describe_kind};
use darkroom_proto::op::{OpSpec, ParamSpec, ParamType};
use darkroom_proto::{Duration, Kind, model};

/// Words of other tools, and what they are called here: parameter or key, the other word, ours.
const WORD_SYNONYMS: &[(&str, &str, &str)] = &[
    ("fit", "fill", "cover"),
    ("fit", "crop", "cover"),
    ("fit", "contain", "inside"),
    ("fit", "fit", "inside"),
    ("fit", "stretch", "exact"),
    ("fit", "letterbox", "pad"),
    ("format", "jpg", "jpeg"),
    ("gravity", "top", "north"),
    ("gravity", "bottom", "south"),
    ("gravity", "left", "west"),
    ("gravity", "right", "east"),
    ("gravity", "top-left", "north-west"),
    ("gravity", "top-right", "north-east"),
    ("gravity", "bottom-left", "south-west"),
    ("gravity", "bottom-right", "south-east"),
    ("gravity", "centre", "center"),
    ("gravity", "middle", "center"),
    ("focus", "top", "north"),
    ("focus", "bottom", "south"),
    ("focus", "left", "west"),
    ("focus", "right", "east"),
    ("focus", "centre", "center"),
    ("focus", "smart", "auto"),
    ("focus", "entropy", "auto"),
    ("focus", "attention", "auto"),
];

/// Parameters of other tools, and what they are called here.
pub(super) const PARAM_SYNONYMS: &[(&str, &str)] = &[
    ("w", "width"),
    ("h", "height"),
    ("text", "prompt"),
    ("prompt", "text"),
    ("input", "image"),
    ("input", "text"),
    ("src", "image"),
    ("picture", "image"),
    ("first-frame", "image"),
    ("first_frame", "image"),
    ("start-image", "image"),
    ("last_frame", "last-frame"),
    ("end-image", "last-frame"),
    ("end-frame", "last-frame"),
    ("seconds", "duration"),
    ("length", "duration"),
    ("question", "prompt"),
    ("style", "prompt"),
    ("scale", "factor"),
    ("rate", "speed"),
    ("watermark", "overlay"),
    ("logo", "overlay"),
    ("position", "gravity"),
    ("anchor", "gravity"),
    ("mode", "fit"),
    ("num_inference_steps", "steps"),
    ("guidance_scale", "guidance"),
    ("negative_prompt", "negative-prompt"),
    ("ratio", "aspect"),
    ("aspect-ratio", "aspect"),
    ("aspect_ratio", "aspect"),
    ("object", "target"),
    ("query", "target"),
    ("label", "target"),
    ("threshold", "min-score"),
    ("confidence", "min-score"),
    ("crop", "box"),
    ("bbox", "box"),
    ("file", "path"),
    ("to", "path"),
    ("filename", "path"),
    ("type", "format"),
];

impl<'a> Compiler<'a, '_> {
    /// Reads the parameters of a step.
    pub(super) fn parameters(&mut self, at: usize) {
        let (def, op) = (self.steps[at].def, self.steps[at].op);
        let view = View::of(Some(at), self.items_of(at));
        for &(name, node) in &def.with {
            let Some(op) = op else {
                self.template(node, &view);
                continue;
            };
            let Some(param) = op.param(&name.text) else {
                self.unknown_parameter(op, name);
                self.template(node, &view);
                continue;
            };
            if node.kind == NodeKind::Null {
                self.empty(param, name.span, node);
                continue;
            }
            if param.ty == ParamType::Condition {
                let asked = View { event: true, ..view };
                let template = self.bare(node, &asked).map(|(expr, _)| Template::Expr(expr));
                self.steps[at].given.insert(param.name, Given { node, template, ty: Type::Any });
                continue;
            }
            let found = self.template(node, &view);
            if let (ParamType::Schema | ParamType::Form, Some((template, _))) = (param.ty, &found) {
                let template = self.written_schema(param, node, template);
                self.steps[at].given.insert(param.name, Given { node, template, ty: Type::Any });
                continue;
            }
            let ty = found.as_ref().map_or(Type::Any, |(_, ty)| ty.clone());
            let sound = match &found {
                Some((Template::Literal(_) | Template::List(_) | Template::Map(_), _)) => {
                    self.literal(param, node, &ty)
                }
                Some((Template::Text(_), _)) => self.fits(param, &Type::Text, node.span, None),
                Some((Template::Expr(_), ty)) => {
                    self.fits(param, ty, node.span, node.as_text()) && self.domain(at, param, node, ty)
                }
                None => false,
            };
            let template = found.map(|(template, _)| template).filter(|_| sound);
            self.steps[at].given.insert(param.name, Given { node, template, ty });
        }
    }

    fn unknown_parameter(&mut self, op: &'static OpSpec, name: &crate::node::Name) {
        let known = || op.params.iter().map(|param| param.name);
        let synonym = PARAM_SYNONYMS.iter().find(|(other, here)| *other == name.text && op.param(here).is_some());
        let help = match synonym {
            Some((_, here)) => format!("it is called `{here}` here"),
            None if crate::read::step_key(&name.text) => {
                format!("`{}` is a key of the step: write it beside `uses`, not under `with`", name.text)
            }
            None => suggest::advice(&name.text, known(), "it takes no parameters"),
        };
        let error = Diagnostic::error(
            code::UNKNOWN_PARAMETER,
            name.span,
            format!("`{}` has no parameter `{}`", op.name, name.text),
        );
        self.found.push(error.help(help));
    }

    /// A parameter with nothing after its colon.
    fn empty(&mut self, param: &ParamSpec, key: Span, node: &Node) {
        let line =
            self.source.line_span(self.source.line_at(key.end)).map(|span| self.source.slice(span)).unwrap_or_default();
        let written = !self.source.slice(node.span).trim().is_empty();
        if let (ParamType::Color, Some((_, color)), false) = (param.ty, line.split_once('#'), written) {
            let color = color.split_whitespace().next().unwrap_or_default();
            let error = Diagnostic::error(
                code::WRONG_TYPE,
                key,
                format!("`{}` is empty: `#` begins a comment in YAML", param.name),
            )
            .help(format!("put the colour in quotes: {}: \"#{color}\"", param.name));
            self.found.push(error);
        } else if !written {
            let error = Diagnostic::error(code::WRONG_TYPE, key, format!("`{}` has no value", param.name))
                .help("write one after the colon, or remove the line");
            self.found.push(error);
        } else if param.required {
            let error = Diagnostic::error(
                code::MISSING_PARAMETER,
                node.span,
                format!("`{}` is needed and can't be none", param.name),
            );
            self.found.push(error.help(param.summary));
        }
    }

    /// Checks a written-out value. Expressions in it are looked at where they are values of their own.
    fn literal(&mut self, param: &ParamSpec, node: &Node, ty: &Type) -> bool {
        let name = param.name;
        let text = node.as_text();
        let number = match &node.kind {
            NodeKind::Number(number) => number.as_f64(),
            _ => None,
        };
        match param.ty {
            // Schemas and conditions are looked at where they are read.
            ParamType::Any | ParamType::Condition | ParamType::Schema | ParamType::Form => true,
            ParamType::Time => match text {
                Some(text) if text.parse::<darkroom_proto::Timestamp>().is_ok() => true,
                Some(text) => self.no(
                    node,
                    format!("`{text}` is no time"),
                    "write it as RFC 3339, such as `\"2027-01-31T09:00:00Z\"`".into(),
                ),
                None => self.mismatch(param, node),
            },
            ParamType::Text { max } => match text {
                Some(text) if text.chars().count() > max => self.range(
                    node,
                    format!("`{name}` is too long: {} characters", text.chars().count()),
                    format!("it has at most {max}"),
                ),
                Some(_) => true,
                None => self.mismatch(param, node),
            },
            ParamType::Integer { min, max } => match &node.kind {
                NodeKind::Number(number) if number.is_f64() => self.mismatch(param, node),
                NodeKind::Number(number) => match number.as_i64() {
                    Some(value) if (min..=max).contains(&value) => true,
                    _ => {
                        self.range(node, format!("`{name}` can't be {number}"), format!("it goes from {min} to {max}"))
                    }
                },
                _ => self.mismatch(param, node),
            },
            ParamType::Number { min, max } => match number {
                Some(value) if (min..=max).contains(&value) => true,
                Some(value) => {
                    self.range(node, format!("`{name}` can't be {value}"), format!("it goes from {min} to {max}"))
                }
                None => self.mismatch(param, node),
            },
            ParamType::Boolean => matches!(node.kind, NodeKind::Bool(_)) || self.mismatch(param, node),
            ParamType::Enum(words) => match text {
                Some(text) => self.word(name, text, words, node.span),
                None => self.mismatch(param, node),
            },
            ParamType::Model(capability) => match text {
                Some(text) => self.model(capability, text, node.span),
                None => self.mismatch(param, node),
            },
            ParamType::Color => match text {
                Some(text) if is_color(text) => true,
                Some(text) => self.no(
                    node,
                    format!("`{text}` is no colour"),
                    "write `\"#rrggbb\"` or `\"#rrggbbaa\"`, in quotes".into(),
                ),
                None => self.mismatch(param, node),
            },
            ParamType::Aspect => match text {
                Some(text) if is_aspect(text) => true,
                Some(text) => self.no(
                    node,
                    format!("`{text}` is no proportion"),
                    "write width to height, such as `\"16:9\"`".into(),
                ),
                None => self.mismatch(param, node),
            },
            ParamType::Duration => {
                let text = text.map(str::to_owned).or_else(|| number.map(|number| number.to_string()));
                match text {
                    Some(text) if text.parse::<Duration>().is_ok() => true,
                    Some(text) => {
                        let error =
                            Diagnostic::error(code::BAD_DURATION, node.span, format!("`{text}` is no duration"))
                                .help("write a number with ms, s, m, h or d, such as `20ms`");
                        self.found.push(error);
                        false
                    }
                    None => self.mismatch(param, node),
                }
            }
            ParamType::SavePath => text.is_some() || self.mismatch(param, node),
            ParamType::Box => self.box_literal(param, node, ty),
            ParamType::Artifact(_) | ParamType::AnyArtifact => self.no_artifact(param, node),
            ParamType::Images | ParamType::Results | ParamType::TextList => self.list_literal(param, node, ty),
        }
    }

    fn box_literal(&mut self, param: &ParamSpec, node: &Node, ty: &Type) -> bool {
        let Type::Object { fields, .. } = ty else { return self.mismatch(param, node) };
        let NodeKind::Map(entries) = &node.kind else { return self.mismatch(param, node) };
        let mut sound = true;
        for entry in entries {
            let key = entry.key.text.as_str();
            let ty = fields.iter().find(|(field, _)| field == key).map_or(Type::Any, |(_, ty)| ty.clone());
            let value = &entry.value;
            if !["x", "y", "w", "h"].contains(&key) {
                let help = "a box is `{ x: 10, y: 10, w: 200, h: 100 }`, in pixels".to_owned();
                sound = self.no_at(entry.key.span, format!("a box has no `{key}`"), help);
            } else if !matches!(ty, Type::Any | Type::Integer | Type::Number) {
                sound = self.no_at(
                    value.span,
                    format!("`{key}` of a box is a whole number, and this is {}", ty.describe()),
                    String::new(),
                );
            } else if let NodeKind::Number(number) = &value.kind
                && !number
                    .as_u64()
                    .is_some_and(|number| number <= u64::from(u32::MAX) && (number > 0 || matches!(key, "x" | "y")))
            {
                sound = self.range(
                    value,
                    format!("`{key}` of a box can't be {number}"),
                    "it is a whole number of pixels".into(),
                );
            }
        }
        for key in ["x", "y", "w", "h"] {
            if sound && !entries.iter().any(|entry| entry.key.text == key) {
                let help = "a box is `{ x: 10, y: 10, w: 200, h: 100 }`, in pixels".to_owned();
                sound = self.no(node, format!("the box has no `{key}`"), help);
            }
        }
        sound
    }

    fn list_literal(&mut self, param: &ParamSpec, node: &Node, ty: &Type) -> bool {
        let Type::List(of) = ty else {
            if let Some(path) = node.as_text().and_then(|text| self.bare_path(text)) {
                return self.without_braces(node, &path);
            }
            return self.mismatch(param, node);
        };
        let fits = match (param.ty, &**of) {
            (_, Type::Any) => true,
            (ParamType::Images, ty) => matches!(ty, Type::Artifact(None | Some(Kind::Image))),
            (ParamType::TextList, ty) => matches!(ty, Type::Text | Type::Word(_)),
            (ParamType::Results, ty) => matches!(ty, Type::Object { .. }),
            _ => false,
        };
        fits || self.mismatch(param, node)
    }

    /// A written-out value where a file is wanted.
    fn no_artifact(&mut self, param: &ParamSpec, node: &Node) -> bool {
        let Some(text) = node.as_text() else { return self.mismatch(param, node) };
        if let Some(path) = self.bare_path(text) {
            return self.without_braces(node, &path);
        }
        let noun = describe_kind(kind_of(param));
        let name = param.name;
        let ty = kind_of(param).unwrap_or(Kind::File).name();
        if self.definition.inputs.iter().any(|def| def.input.name == text) {
            let help = format!("write `${{{{ inputs.{text} }}}}`");
            return self.no(node, format!("`{name}` takes {noun}, and this is only text"), help);
        }
        if let Some(step) = self.steps.iter().find(|step| step.id == text) {
            let output = step.op.map_or("ok", |op| if op.primary.is_empty() { "data" } else { op.primary });
            let help = format!("write `${{{{ steps.{text}.{output} }}}}`");
            return self.no(node, format!("`{name}` takes {noun}, and this is only text"), help);
        }
        let shown: String = text.chars().take(60).collect();
        let help = format!(
            "make it an input, `{name}: {{ type: {ty}, default: {shown} }}` under `inputs`, and write `${{{{ inputs.{name} }}}}` here"
        );
        self.no(node, format!("`{name}` takes {noun}, and this is only text"), help)
    }

    fn without_braces(&mut self, node: &Node, path: &str) -> bool {
        let error = Diagnostic::error(code::MISSING_BRACES, node.span, format!("`{path}` is only text here"))
            .help(format!("write `${{{{ {path} }}}}`"));
        self.found.push(error);
        false
    }

    fn mismatch(&mut self, param: &ParamSpec, node: &Node) -> bool {
        if let Some(path) = node.as_text().and_then(|text| self.bare_path(text)) {
            return self.without_braces(node, &path);
        }
        let raw = self.source.slice(node.span);
        let help = match (param.ty, &node.kind) {
            (ParamType::Integer { .. }, NodeKind::Number(number)) => {
                format!("write it without a fraction, such as `{}`", number.as_f64().unwrap_or_default().round())
            }
            (ParamType::Integer { .. } | ParamType::Number { .. }, NodeKind::Text(text))
                if text.parse::<f64>().is_ok() =>
            {
                format!("remove the quotes: {}: {text}", param.name)
            }
            (ParamType::Boolean, _) => "write `true` or `false`, without quotes".to_owned(),
            (ParamType::Enum(words), _) => format!("write one of {}", suggest::list(words.iter().copied())),
            (
                ParamType::Text { .. }
                | ParamType::Color
                | ParamType::Aspect
                | ParamType::Model(_)
                | ParamType::SavePath,
                NodeKind::Number(_) | NodeKind::Bool(_),
            ) => format!("put it in quotes: {}: \"{raw}\"", param.name),
            _ => format!("such as `{}: {}`", param.name, sample(param)),
        };
        let message = format!("`{}` takes {}", param.name, wanted(param));
        let error =
            Diagnostic::error(code::WRONG_TYPE, node.span, message).label(format!("this is {}", node.describe()));
        self.found.push(error.help(help));
        false
    }

    fn no(&mut self, node: &Node, message: String, help: String) -> bool {
        self.no_at(node.span, message, help)
    }

    fn no_at(&mut self, span: Span, message: String, help: String) -> bool {
        self.found.push(Diagnostic::error(code::WRONG_TYPE, span, message).help(help));
        false
    }

    fn range(&mut self, node: &Node, message: String, help: String) -> bool {
        self.found.push(Diagnostic::error(code::OUT_OF_RANGE, node.span, message).help(help));
        false
    }

    fn word(&mut self, name: &str, text: &str, words: &[&str], span: Span) -> bool {
        if words.contains(&text) {
            return true;
        }
        let synonym = WORD_SYNONYMS
            .iter()
            .find(|(param, other, here)| *param == name && other.eq_ignore_ascii_case(text) && words.contains(here));
        let help = match synonym {
            Some((.., here)) => format!("it is called `{here}` here"),
            None => suggest::advice(text, words.iter().copied(), ""),
        };
        self.found.push(Diagnostic::error(code::UNKNOWN_WORD, span, format!("`{name}` can't be `{text}`")).help(help));
        false
    }

    fn model(&mut self, capability: &str, text: &str, span: Span) -> bool {
        if model::find(capability, text).is_some() {
            return true;
        }
        let of = || model::all().iter().filter(|model| model.capability == capability);
        let alias = text.split_once('/').map_or(text, |(_, alias)| alias);
        let (message, help) = match (of().find(|model| model.alias == alias), text.split_once('/')) {
            (Some(model), Some((provider, _))) => {
                let help = match model.providers().as_slice() {
                    [] => format!("it is built in: write `{alias}`"),
                    offered => format!(
                        "it is offered by {}; `{alias}` alone takes the first that is available",
                        suggest::list(offered.iter().copied())
                    ),
                };
                (format!("`{provider}` does not offer the model `{alias}`"), help)
            }
            _ => {
                let other = model::all().iter().find(|model| model.alias == text || model.alias == alias);
                let message = match other {
                    Some(other) => {
                        format!("the model `{}` is for `{}`, not for `{capability}`", other.alias, other.capability)
                    }
                    None => format!("there is no model `{text}` for `{capability}`"),
                };
                (
                    message,
                    suggest::advice(
                        alias,
                        of().map(|model| model.alias.as_str()),
                        "no model of the catalogue can do this",
                    ),
                )
            }
        };
        self.found.push(Diagnostic::error(code::UNKNOWN_MODEL, span, message).help(help));
        false
    }

    /// Whether a value of this type can be what the parameter takes.
    fn fits(&mut self, param: &ParamSpec, ty: &Type, span: Span, source: Option<&str>) -> bool {
        let fits = match (param.ty, ty) {
            (ParamType::Any | ParamType::Condition | ParamType::Schema | ParamType::Form, _)
            | (_, Type::Any | Type::Null) => true,
            (
                ParamType::Text { .. }
                | ParamType::Enum(_)
                | ParamType::Model(_)
                | ParamType::Color
                | ParamType::Aspect
                | ParamType::Duration
                | ParamType::Time
                | ParamType::SavePath,
                ty,
            ) => {
                matches!(ty, Type::Text | Type::Word(_))
                    || (param.ty == ParamType::Duration && matches!(ty, Type::Integer | Type::Number))
            }
            (ParamType::Integer { .. } | ParamType::Number { .. }, ty) => matches!(ty, Type::Integer | Type::Number),
            (ParamType::Boolean, ty) => *ty == Type::Boolean,
            (ParamType::Box, ty) => matches!(ty, Type::Box | Type::Object { .. }),
            (ParamType::Artifact(kind), ty) => match ty {
                Type::Artifact(found) => found.is_none_or(|found| found == kind),
                // A result of a fan-out stands for its primary artifact.
                Type::Object { .. } => ty.field(kind.name()).is_ok(),
                _ => false,
            },
            (ParamType::AnyArtifact, ty) => matches!(ty, Type::Artifact(_)),
            (ParamType::Images, Type::List(of)) => matches!(**of, Type::Any | Type::Artifact(None | Some(Kind::Image))),
            (ParamType::TextList, Type::List(of)) => matches!(**of, Type::Any | Type::Text | Type::Word(_)),
            (ParamType::Results, Type::List(of)) => match &**of {
                Type::Any => true,
                of => of.field("ok").is_ok(),
            },
            (ParamType::Images | ParamType::TextList | ParamType::Results, _) => false,
        };
        if fits {
            return true;
        }
        let inner = source.map(|text| text.trim().trim_start_matches("${{").trim_end_matches("}}").trim().to_owned());
        let help = match (param.ty, ty, inner) {
            (_, Type::List(of), Some(inner)) if self.would_fit(param, of) => {
                format!("take one of them: `${{{{ {inner}[0] }}}}`")
            }
            (ParamType::Images, Type::Artifact(_), Some(inner)) => format!("write a list: `${{{{ [{inner}] }}}}`"),
            (ParamType::Results, Type::List(_), Some(inner)) if inner.ends_with(".images") => {
                format!("write `${{{{ {}.results }}}}`, or give it to `images`", inner.trim_end_matches(".images"))
            }
            (ParamType::Text { .. } | ParamType::SavePath, Type::Artifact(_), Some(inner)) => {
                format!("write `${{{{ {inner}.name }}}}` for its name or `${{{{ {inner}.url }}}}` for a link")
            }
            (ParamType::Text { .. }, Type::Integer | Type::Number | Type::Boolean, Some(inner)) => {
                format!("write `${{{{ {inner} | string }}}}`")
            }
            (ParamType::Integer { .. } | ParamType::Number { .. }, Type::Text | Type::Word(_), Some(inner)) => {
                format!("if the text is a number, write `${{{{ {inner} | int }}}}`")
            }
            _ => String::new(),
        };
        let error = Diagnostic::error(code::WRONG_TYPE, span, format!("`{}` takes {}", param.name, wanted(param)))
            .label(format!("this is {}", ty.describe()))
            .help(help);
        self.found.push(error);
        false
    }

    fn would_fit(&self, param: &ParamSpec, ty: &Type) -> bool {
        match (param.ty, ty) {
            (ParamType::Artifact(kind), Type::Artifact(found)) => found.is_none_or(|found| found == kind),
            (ParamType::AnyArtifact, Type::Artifact(_)) | (ParamType::Box, Type::Box) => true,
            (ParamType::Text { .. }, Type::Text) => true,
            _ => false,
        }
    }

    /// The values that an expression can have, where they are written out in the file: each must be one that the parameter
    /// takes. A wrong one is reported where it is written.
    fn domain(&mut self, at: usize, param: &ParamSpec, node: &'a Node, ty: &Type) -> bool {
        let source = node.as_text().unwrap_or_default();
        let path = source.trim().trim_start_matches("${{").trim_end_matches("}}").trim();
        if let Some(key) = path.strip_prefix("matrix.") {
            let axes = self.items_of(at).map(|parent| &self.steps[parent].axes);
            let values =
                axes.and_then(|axes| axes.iter().find(|(name, ..)| name == key)).map(|(.., values)| values.clone());
            return values.unwrap_or_default().into_iter().fold(true, |sound, value| {
                let ty = match &value.kind {
                    NodeKind::Text(_) => Type::Text,
                    _ => Type::Any,
                };
                self.literal(param, value, &ty) && sound
            });
        }
        if let (Type::Word(words), Some(_)) = (ty, path.strip_prefix("inputs.")) {
            return words.clone().iter().all(|word| match param.ty {
                ParamType::Enum(known) => self.word(param.name, word, known, node.span),
                ParamType::Model(capability) => self.model(capability, word, node.span),
                _ => true,
            });
        }
        true
    }
}

fn kind_of(param: &ParamSpec) -> Option<Kind> {
    match param.ty {
        ParamType::Artifact(kind) => Some(kind),
        _ => None,
    }
}

/// What a parameter takes, in words.
pub(crate) fn wanted(param: &ParamSpec) -> String {
    match param.ty {
        ParamType::Text { .. } => "text".into(),
        ParamType::Integer { .. } => "a whole number".into(),
        ParamType::Number { .. } => "a number".into(),
        ParamType::Boolean => "true or false".into(),
        ParamType::Enum(_) => "a word".into(),
        ParamType::Model(_) => "the name of a model".into(),
        ParamType::Color => "a colour".into(),
        ParamType::Aspect => "a proportion".into(),
        ParamType::Duration => "a duration".into(),
        ParamType::Time => "a point in time".into(),
        ParamType::Condition => "an expression".into(),
        ParamType::Schema => "a JSON Schema".into(),
        ParamType::Form => "a form".into(),
        ParamType::SavePath => "a path".into(),
        ParamType::Box => "a box".into(),
        ParamType::Artifact(kind) => describe_kind(Some(kind)).into(),
        ParamType::AnyArtifact => "a file".into(),
        ParamType::Images => "a list of pictures".into(),
        ParamType::Results => "the `.results` of a fan-out".into(),
        ParamType::TextList => "a list of texts".into(),
        ParamType::Any => "any value".into(),
    }
}

/// A value that the parameter would take.
pub(super) fn sample(param: &ParamSpec) -> String {
    match param.ty {
        ParamType::Text { .. } => "…".into(),
        ParamType::Integer { min, max } => 100.clamp(min, max).to_string(),
        ParamType::Number { min, max } => 1f64.clamp(min, max).to_string(),
        ParamType::Boolean => "true".into(),
        ParamType::Enum(words) => words.first().copied().unwrap_or_default().into(),
        ParamType::Model(capability) => {
            model::all().iter().find(|model| model.capability == capability).map_or("…", |model| &model.alias).into()
        }
        ParamType::Color => "\"#ffffff\"".into(),
        ParamType::Aspect => "\"16:9\"".into(),
        ParamType::Duration => "20ms".into(),
        ParamType::Time => "\"2027-01-31T09:00:00Z\"".into(),
        ParamType::Condition => "data.amount > 0".into(),
        ParamType::Schema => "{ type: object }".into(),
        ParamType::Form => "{ note: { type: string } }".into(),
        ParamType::SavePath => "./output/final.png".into(),
        ParamType::Box => "{ x: 10, y: 10, w: 200, h: 100 }".into(),
        ParamType::Artifact(_) | ParamType::AnyArtifact => format!("${{{{ inputs.{} }}}}", param.name),
        ParamType::Images => "${{ steps.x.images }}".into(),
        ParamType::Results => "${{ steps.x.results }}".into(),
        ParamType::TextList => "[a, b]".into(),
        ParamType::Any => "…".into(),
    }
}

fn is_color(text: &str) -> bool {
    text.strip_prefix('#')
        .is_some_and(|digits| matches!(digits.len(), 6 | 8) && digits.bytes().all(|byte| byte.is_ascii_hexdigit()))
}

fn is_aspect(text: &str) -> bool {
    let part = |text: &str| text.parse::<f64>().is_ok_and(|number| number.is_finite() && number > 0.0);
    text.split_once(':').is_some_and(|(width, height)| part(width) && part(height))
}
