//! What flows into a step without being written.
//!
//! A picture that is not given is that of the nearest earlier step that makes one; *near* is counted in edges, of which
//! those that only repeat a longer way do not count. The first step takes the item, or the workflow's only picture. What a
//! step can do without is wired in the same way, and left out where there is nothing.

use super::{Compiler, Role};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::plan::{InputType, Wire};
use crate::suggest;
use crate::types::{Type, describe_kind};
use darkroom_proto::Kind;
use darkroom_proto::op::{OutputType, ParamSpec, ParamType};
use std::collections::HashSet;

/// What a search among the earlier steps ended with.
enum Search {
    One(usize),
    Several(Vec<usize>),
    /// It went past a step of which nothing is known.
    Unsure,
    None,
}

impl Compiler<'_, '_> {
    /// Wires every parameter of a step that is named after its kind and was not given.
    pub(super) fn wire(&mut self, at: usize) {
        self.close_ancestors(at);
        let Some(op) = self.steps[at].op else { return };
        for param in op.params {
            let kind = match param.ty {
                ParamType::Artifact(kind) if param.name == kind.name() => Some(kind),
                ParamType::AnyArtifact if param.name == Kind::File.name() => None,
                _ => continue,
            };
            if !self.steps[at].given.contains_key(param.name) {
                self.wire_artifact(at, param, kind);
            }
        }
        let step = &self.steps[at];
        let crops = op.name == "image.crop" && !step.given.contains_key("box") && !step.given.contains_key("aspect");
        if crops {
            self.wire_box(at);
        }
    }

    fn wire_artifact(&mut self, at: usize, param: &'static ParamSpec, kind: Option<Kind>) {
        match self.nearest(at, |step| step.gives(kind)) {
            Search::One(from) => {
                let output = self.steps[from].op.map_or("", |op| op.primary);
                self.steps[at].after.insert(from);
                self.steps[at].uses.insert(from);
                self.steps[at].wires.insert(param.name, Wire::Step { node: Self::index(from), output });
            }
            Search::Several(from) => self.ambiguous(at, param, kind, &from),
            Search::Unsure => {
                // Something earlier is broken; it may well have been meant.
                self.steps[at].broken = true;
            }
            Search::None => self.wire_first(at, param, kind),
        }
    }

    /// What flows into a step with no earlier picture.
    fn wire_first(&mut self, at: usize, param: &'static ParamSpec, kind: Option<Kind>) {
        let first = self.steps[at].ancestors.is_empty();
        let Some(parent) = self.steps[at].parent else {
            let mut fitting = self.definition.inputs.iter().filter(|def| !def.broken && takes(&def.input.ty, kind));
            if let (Some(only), None, true) = (fitting.next(), fitting.next(), first) {
                let name = only.input.name.clone();
                self.used_inputs.insert(name.clone());
                self.steps[at].wires.insert(param.name, Wire::Input { name });
                return;
            }
            self.nothing_flows(at, param, kind);
            return;
        };
        let has_items = self.lists[self.steps[at].list].branch.is_none() && self.steps[parent].def.for_each.is_some();
        if first && has_items && self.steps[parent].broken {
            self.steps[at].broken = true;
        } else if first && has_items && holds(&self.steps[parent].item, kind) {
            self.steps[at].wires.insert(param.name, Wire::Item);
        } else {
            self.nothing_flows(at, param, kind);
        }
    }

    fn wire_box(&mut self, at: usize) {
        match self.nearest(at, |step| match step.op {
            _ if step.broken => None,
            Some(op) => Some(op.name == "image.detect"),
            None => Some(false),
        }) {
            Search::One(from) => {
                self.steps[at].after.insert(from);
                self.steps[at].uses.insert(from);
                self.steps[at].wires.insert("box", Wire::FirstBox { node: Self::index(from) });
            }
            Search::Unsure => self.steps[at].broken = true,
            Search::Several(from) => {
                let ids: Vec<&str> = from.iter().map(|from| self.steps[*from].id.as_str()).collect();
                let error = Diagnostic::error(code::AMBIGUOUS, self.place_of(at), "it is not clear which box is meant")
                    .label(format!("{} are equally near", suggest::list(ids.iter().copied())))
                    .help(format!("write one of them under `with`: `box: ${{{{ steps.{}.boxes[0] }}}}`", ids[0]));
                self.found.push(error);
            }
            Search::None => {
                let error = Diagnostic::error(
                    code::MISSING_PARAMETER,
                    self.place_of(at),
                    "`image.crop` needs `box` or `aspect`",
                )
                .label("no earlier `image.detect` gives a box")
                .help("write `aspect: \"16:9\"` or a box under `with`, or add a step `image.detect` before it");
                self.found.push(error);
            }
        }
    }

    /// The nearest earlier steps for which `fits` holds; where it can't tell, the search ends.
    fn nearest(&self, at: usize, fits: impl Fn(&super::Step<'_>) -> Option<bool>) -> Search {
        let mut seen: HashSet<usize> = HashSet::new();
        let mut level = self.direct(at);
        while !level.is_empty() {
            let mut next = Vec::new();
            let mut found = Vec::new();
            for from in level {
                if !seen.insert(from) {
                    continue;
                }
                match fits(&self.steps[from]) {
                    None => return Search::Unsure,
                    Some(true) => found.push(from),
                    Some(false) => next.extend(self.direct(from)),
                }
            }
            match found.as_slice() {
                [] => {}
                [one] => return Search::One(*one),
                _ => {
                    found.sort_unstable();
                    return Search::Several(found);
                }
            }
            level = next;
        }
        Search::None
    }

    /// What a step waits for, without what these wait for themselves.
    fn direct(&self, at: usize) -> Vec<usize> {
        let after = &self.steps[at].after;
        after
            .iter()
            .copied()
            .filter(|one| {
                !after.iter().any(|other| other != one && self.steps[*other].ancestors.contains(self.steps[*one].place))
            })
            .collect()
    }

    /// The kind of the file that a step passes on, where its op leaves that open.
    pub(super) fn file_kind(&self, at: usize) -> Option<Kind> {
        let step = &self.steps[at];
        if let Some(given) = step.given.get("file") {
            return match given.ty {
                Type::Artifact(kind) => kind,
                _ => None,
            };
        }
        match step.wires.get("file")? {
            Wire::Step { node, .. } => {
                let from = node.0 as usize;
                match self.steps[from].primary_kind() {
                    Some(None) => self.file_kind(from),
                    kind => kind.flatten(),
                }
            }
            Wire::Input { name } => {
                let def = self.definition.inputs.iter().find(|def| def.input.name == *name)?;
                match def.input.ty {
                    InputType::Image => Some(Kind::Image),
                    InputType::Video => Some(Kind::Video),
                    InputType::Audio => Some(Kind::Audio),
                    _ => None,
                }
            }
            Wire::Item => match step.parent.map(|parent| &self.steps[parent].item) {
                Some(Type::Artifact(kind)) => *kind,
                _ => None,
            },
            Wire::FirstBox { .. } => None,
        }
    }

    pub(super) fn place_of(&self, at: usize) -> crate::source::Span {
        let step = &self.steps[at];
        step.def.uses.as_ref().map_or(step.def.span, |name| name.span)
    }

    fn ambiguous(&mut self, at: usize, param: &ParamSpec, kind: Option<Kind>, from: &[usize]) {
        let ids: Vec<&str> = from.iter().map(|from| self.steps[*from].id.as_str()).collect();
        let output = self.steps[from[0]].op.map_or("", |op| op.primary);
        let noun = describe_kind(kind).trim_start_matches("a ");
        let error =
            Diagnostic::error(code::AMBIGUOUS, self.place_of(at), format!("it is not clear which {noun} is meant"))
                .label(format!("{} are equally near", suggest::list(ids.iter().copied())))
                .help(format!(
                    "write one of them under `with`: `{}: ${{{{ steps.{}.{output} }}}}`",
                    param.name, ids[0]
                ));
        self.found.push(error);
    }

    fn nothing_flows(&mut self, at: usize, param: &ParamSpec, kind: Option<Kind>) {
        if !param.required {
            return;
        }
        let noun = describe_kind(kind).trim_start_matches("a ");
        let name = param.name;
        let step = &self.steps[at];
        let suggestion = self.suggestion(at, kind);
        let (label, help) = match step.parent.map(|parent| &self.steps[parent]) {
            Some(parent) if parent.def.for_each.is_none() || self.lists[step.list].branch.is_some() => (
                match self.lists[step.list].branch {
                    Some(branch) => format!("nothing flows into the `{}` of `{}`", branch.name(), parent.id),
                    None if parent.def.race.is_some() => format!("nothing flows into the race `{}`", parent.id),
                    None => format!("`{}` has no items, and nothing else flows into it", parent.id),
                },
                suggestion.unwrap_or_else(|| "a `.image` of a step before the fan-out".to_owned()),
            ),
            Some(parent) if step.ancestors.is_empty() => {
                let items = match &parent.item {
                    Type::Object { .. } | Type::Any => "an item without one".to_owned(),
                    item => item.describe(),
                };
                (
                    format!("an item of `{}` is {items}", parent.id),
                    suggestion.unwrap_or_else(|| "${{ item.image }}".to_owned()),
                )
            }
            Some(_) => ("no earlier step of the body makes one".to_owned(), "${{ item }}".to_owned()),
            None => {
                let fitting: Vec<&str> = self
                    .definition
                    .inputs
                    .iter()
                    .filter(|def| takes(&def.input.ty, kind))
                    .map(|def| def.input.name.as_str())
                    .collect();
                let label = match fitting.as_slice() {
                    [] => format!("no earlier step makes one, and no input is {}", describe_kind(kind)),
                    [_] => "no earlier step makes one, and inputs flow into the first step only".to_owned(),
                    several => format!(
                        "no earlier step makes one, and {} are inputs of that kind",
                        suggest::list(several.iter().copied())
                    ),
                };
                (label, suggestion.unwrap_or_else(|| "${{ inputs.photo }}".to_owned()))
            }
        };
        let error =
            Diagnostic::error(code::NOTHING_FLOWS, self.place_of(at), format!("no {noun} flows into `{}`", step.id))
                .label(label)
                .help(format!("write it under `with`, such as `{name}: {help}`"));
        self.found.push(error);
    }

    /// The value that was most probably meant.
    fn suggestion(&self, at: usize, kind: Option<Kind>) -> Option<String> {
        if let Some(def) = self.definition.inputs.iter().find(|def| takes(&def.input.ty, kind)) {
            return Some(format!("${{{{ inputs.{} }}}}", def.input.name));
        }
        let mut viewer = at;
        loop {
            let here = &self.steps[viewer];
            let earlier = self.lists[here.list].steps.iter().take(here.place).rev();
            let step = earlier.map(|at| &self.steps[*at]).find(|step| step.gives(kind) == Some(true));
            if let Some((step, op)) = step.and_then(|step| Some((step, step.op?))) {
                return Some(format!("${{{{ steps.{}.{} }}}}", step.id, op.primary));
            }
            viewer = here.parent?;
        }
    }
}

impl super::Step<'_> {
    /// Whether its primary output is an artifact of `kind` (of any, if none is named); nothing if that is not known.
    fn gives(&self, kind: Option<Kind>) -> Option<bool> {
        if self.broken && self.role != Role::FanOut {
            return match self.op {
                Some(_) => self
                    .primary_kind()
                    .map_or(Some(false), |found| Some(kind.is_none() || found.is_none() || found == kind)),
                None => None,
            };
        }
        Some(match self.primary_kind() {
            None => false,
            Some(None) => true,
            Some(found) => kind.is_none() || found == kind,
        })
    }

    /// The kind of its primary output, if that is an artifact; `Some(None)` where any kind can come out.
    fn primary_kind(&self) -> Option<Option<Kind>> {
        let op = self.op?;
        match op.output(op.primary)?.ty {
            OutputType::Artifact(kind) => Some(Some(kind)),
            OutputType::SameArtifact => Some(None),
            _ => None,
        }
    }
}

/// Whether an input is a single file of a kind.
fn takes(ty: &InputType, kind: Option<Kind>) -> bool {
    match ty {
        InputType::Image => kind.is_none_or(|kind| kind == Kind::Image),
        InputType::Video => kind.is_none_or(|kind| kind == Kind::Video),
        InputType::Audio => kind.is_none_or(|kind| kind == Kind::Audio),
        InputType::File => kind.is_none(),
        _ => false,
    }
}

/// Whether an item is, or has, a file of a kind. Of what is not known the run will tell.
fn holds(item: &Type, kind: Option<Kind>) -> bool {
    let fits = |found: Option<Kind>| kind.is_none() || found.is_none() || found == kind;
    match item {
        Type::Any => true,
        Type::Artifact(found) => fits(*found),
        Type::Object { fields, open } => {
            let name = kind.unwrap_or(Kind::Image).name();
            let artifact = |(field, ty): &(String, Type)| match ty {
                Type::Artifact(found) => (kind.is_none() || field == name || field == "file") && fits(*found),
                _ => false,
            };
            fields.iter().any(artifact)
                || (*open && !fields.iter().any(|(field, _)| field == name || field == "narration"))
        }
        _ => false,
    }
}
