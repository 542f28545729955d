//! Steps that run another workflow: what it takes and gives, as far as that is known.
//!
//! Nothing flows into a child or out of it by itself: `with:` says what it gets, and what it gives has to be named. So the
//! plan does not depend on which version of the other workflow a run is pinned to.

use super::scope::{View, input_type};
use super::{Compiler, Given};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::expr::Template;
use crate::input::{check, describe};
use crate::node::Name;
use crate::plan::Input;
use crate::source::Span;
use crate::suggest;
use crate::types::Type;
use darkroom_proto::Kind;
use std::collections::BTreeMap;

/// The workflows that others may run, by the name that these write, such as `resize` or `resize@3`.
#[derive(Debug, Default)]
pub struct Library(BTreeMap<String, Signature>);

impl Library {
    /// Adds a workflow under a name.
    pub fn insert(&mut self, reference: String, signature: Signature) {
        self.0.insert(reference, signature);
    }
}

/// What a workflow takes and gives.
#[derive(Debug, Clone)]
pub struct Signature {
    pub(super) inputs: Vec<Input>,
    pub(super) outputs: Vec<(String, Type)>,
}

impl<'a> Compiler<'a, '_> {
    /// Checks the name of a workflow; false if there is none.
    pub(super) fn check_reference(&mut self, span: Span, reference: &str) -> bool {
        let (name, version) =
            reference.split_once('@').map_or((reference, None), |(name, version)| (name, Some(version)));
        if name.is_empty() || version == Some("") {
            let help = "such as `workflow:product-photo`, or `workflow:product-photo@3`";
            let message = format!("`workflow:{reference}` names no workflow");
            self.found.push(Diagnostic::error(code::UNKNOWN_WORKFLOW, span, message).help(help));
            return false;
        }
        let Some(library) = self.library.filter(|library| !library.0.contains_key(reference)) else { return true };
        let known = library.0.keys().map(String::as_str);
        let help = suggest::nearest(name, known).map_or_else(
            || "`darkroom workflows list` shows which there are; a file beside this one is called NAME.yaml".to_owned(),
            |nearest| format!("did you mean `workflow:{nearest}`?"),
        );
        let message = format!("there is no workflow `{reference}`");
        self.found.push(Diagnostic::error(code::UNKNOWN_WORKFLOW, span, message).help(help));
        false
    }

    /// What the child of a step takes and gives, if that is known.
    pub(super) fn signature(&self, at: usize) -> Option<&'a Signature> {
        self.library?.0.get(self.steps[at].def.child()?)
    }

    /// What the child of a step gives; none when nothing is known, as of a task. `detach` gives the run alone.
    pub(super) fn child_gives(&self, at: usize) -> Option<Vec<(String, Type)>> {
        if self.steps[at].def.detach {
            return Some(vec![("run".to_owned(), Type::Text)]);
        }
        self.signature(at).map(|signature| signature.outputs.clone())
    }

    /// Reads what a step gives to its child, or to the worker of its task.
    pub(super) fn foreign(&mut self, at: usize) {
        let def = self.steps[at].def;
        let view = View::of(Some(at), self.items_of(at));
        let signature = self.signature(at);
        let mut inputs = Vec::new();
        for &(name, node) in &def.with {
            let found = self.template(node, &view);
            if let Some(signature) = signature {
                self.child_input(signature, name, node.span, found.as_ref());
            }
            inputs.extend(found.map(|(template, _)| (name.text.clone(), template)));
        }
        let needed = signature.map(|signature| signature.inputs.as_slice()).unwrap_or_default();
        for input in needed.iter().filter(|input| input.required) {
            if !def.with.iter().any(|(name, _)| name.text == input.name) {
                let reference = def.child().unwrap_or_default();
                let message = format!("the workflow `{reference}` needs the input `{}`", input.name);
                let error = Diagnostic::error(code::MISSING_PARAMETER, self.place_of(at), message)
                    .label(describe(&input.ty))
                    .help(format!("add it under `with`: `{}: …`", input.name));
                self.found.push(error);
            }
        }
        if let Some((_, node)) = def.with.first() {
            let template = Some(Template::Map(inputs));
            self.steps[at].given.insert("with", Given { node, template, ty: Type::Any });
        }
        if let Some(node) = def.save_dir {
            self.steps[at].save_dir = self.template(node, &view).map(|(template, _)| template);
        }
    }

    fn child_input(&mut self, signature: &Signature, name: &Name, span: Span, found: Option<&(Template, Type)>) {
        let Some(input) = signature.inputs.iter().find(|input| input.name == name.text) else {
            let known = signature.inputs.iter().map(|input| input.name.as_str());
            let help = suggest::advice(&name.text, known, "it takes no inputs");
            let message = format!("the workflow has no input `{}`", name.text);
            self.found.push(Diagnostic::error(code::UNKNOWN_PARAMETER, name.span, message).help(help));
            return;
        };
        let (message, help) = match found {
            Some((Template::Literal(value), _)) => match check(input, value) {
                Ok(()) => return,
                Err(error) => (error.to_string(), error.advice()),
            },
            Some((Template::Expr(_) | Template::Text(_), ty)) if !may_be(ty, &input_type(&input.ty)) => (
                format!("the input `{}` takes {}, and this is {}", input.name, describe(&input.ty), ty.describe()),
                "give it another value".to_owned(),
            ),
            _ => return,
        };
        self.found.push(Diagnostic::error(code::WRONG_TYPE, span, message).help(help));
    }
}

/// Whether a value of this type may be what is wanted, as far as is known.
fn may_be(ty: &Type, wanted: &Type) -> bool {
    match (ty, wanted) {
        (Type::Any | Type::Null, _) | (_, Type::Any) => true,
        (Type::Text | Type::Word(_), Type::Text | Type::Word(_)) => true,
        (Type::Integer, Type::Number) | (Type::Number, Type::Integer) => true,
        (Type::Artifact(kind), Type::Artifact(wanted)) => match (kind, wanted) {
            (None, _) | (_, None | Some(Kind::File)) => true,
            (kind, wanted) => kind == wanted,
        },
        (Type::List(of), Type::List(wanted)) => may_be(of, wanted),
        (ty, wanted) => std::mem::discriminant(ty) == std::mem::discriminant(wanted),
    }
}
