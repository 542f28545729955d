//! Which names an expression can use where it stands, and what they are.

use super::container::caught;
use super::{Compiler, Role};
use crate::code;
use crate::diagnostic::Diagnostic;
use crate::expr::Reference;
use crate::names::{Path, Segment, SegmentKind};
use crate::plan::InputType;
use crate::source::Span;
use crate::suggest;
use crate::types::Type;
use darkroom_proto::Kind;

/// What a fan-out gives.
pub(crate) const GATHERED: &[&str] =
    &["results", "ok", "images", "videos", "audios", "total", "completed", "skipped", "failed"];
/// What every step gives besides its outputs.
pub(crate) const ALWAYS: &[&str] = &["status", "error"];
/// Names that tell how a step went and not what it made: using them does not depend on its success.
const TELLING: &[&str] = &["status", "error", "total", "completed", "skipped", "failed"];
const RUN: &[&str] = &["id", "workflow", "started_at"];
const ROOTS: &[&str] = &["inputs", "steps", "run", "item", "index", "number", "matrix", "error", "previous"];

/// From where an expression looks.
#[derive(Debug, Clone, Copy)]
pub(super) struct View {
    /// The step that it belongs to; none for the workflow's outputs.
    pub step: Option<usize>,
    /// The fan-out whose `item` and `matrix` it sees.
    pub items: Option<usize>,
    /// Whether it is a condition.
    pub condition: bool,
    /// Whether it is asked about an event, whose data is `data`.
    pub event: bool,
    /// A list whose steps it sees besides: that of an iteration, for `until`.
    pub list: Option<usize>,
    /// Whether it sees the step that it belongs to itself: `until`, `stop-when`.
    pub own: bool,
}

impl View {
    /// What a value of `step` sees.
    pub(super) fn of(step: Option<usize>, items: Option<usize>) -> View {
        View { step, items, condition: false, event: false, list: None, own: false }
    }
}

/// A path that was found: what it reads, its type, and how many of its segments that covers.
pub(super) struct Found {
    pub reference: Reference,
    pub ty: Type,
    pub covered: usize,
}

/// A mistake in a path, and where in it.
pub(super) struct Lost {
    pub code: &'static str,
    pub message: String,
    pub label: String,
    pub help: String,
    pub range: std::ops::Range<usize>,
}

impl Lost {
    fn new(code: &'static str, range: &std::ops::Range<usize>, message: String, help: String) -> Lost {
        Lost { code, message, label: String::new(), help, range: range.clone() }
    }
}

impl<'a> Compiler<'a, '_> {
    /// Whether there is something called `name` under `root`.
    pub(super) fn knows(&self, view: &View, root: &str, name: &str) -> bool {
        match root {
            "inputs" => self.definition.inputs.iter().any(|def| def.input.name == name),
            "matrix" => {
                self.each_around(view.items).is_some_and(|at| self.steps[at].axes.iter().any(|(key, ..)| key == name))
            }
            _ => self.visible(view, name).is_some(),
        }
    }

    /// What a path reads. `span` is that of the path, for what is reported later.
    pub(super) fn resolve(&mut self, view: &View, path: &Path, span: Span) -> Result<Found, Lost> {
        let name = match path.segments.first() {
            Some(Segment { kind: SegmentKind::Name(name), range, .. }) => Some((name.as_str(), range)),
            _ => None,
        };
        match (path.root.as_str(), name) {
            ("inputs", Some((name, range))) => self.input(name, range),
            ("steps", Some((name, range))) => self.output(view, path, name, range, span),
            ("run", Some((name, _))) if RUN.contains(&name) => {
                Ok(Found { reference: Reference::Run(name.to_owned()), ty: Type::Text, covered: 1 })
            }
            ("run", Some((name, range))) => Err(Lost::new(
                code::UNKNOWN_NAME,
                range,
                format!("a run has no `{name}`"),
                suggest::advice(name, RUN.iter().copied(), ""),
            )),
            (root @ ("inputs" | "steps" | "run"), None) => Err(self.unnamed(root, path)),
            ("item", _) => self.item(view, path),
            ("index" | "number", _) => {
                self.inside(view, path)?;
                let reference = if path.root == "index" { Reference::Index } else { Reference::Number };
                Ok(Found { reference, ty: Type::Integer, covered: 0 })
            }
            ("data", _) if view.event => Ok(Found { reference: Reference::Data, ty: Type::Any, covered: 0 }),
            ("error", _) if self.catches(view) => Ok(caught()),
            ("previous", _) => self.previous(view, path),
            ("matrix", name) => self.axis(view, path, name.map(|(name, range)| (name, range.clone()))),
            _ => Err(self.unknown_root(view, path)),
        }
    }

    fn unnamed(&self, root: &str, path: &Path) -> Lost {
        match path.segments.first() {
            Some(segment) => Lost {
                label: "this is known only during the run".into(),
                ..Lost::new(
                    code::DYNAMIC,
                    &segment.range,
                    format!("the name after `{root}` has to be written out"),
                    format!("choose between written-out names: `{root}.a if condition else {root}.b`"),
                )
            },
            None => Lost::new(
                code::UNKNOWN_NAME,
                &path.range,
                format!("`{root}` alone is no value"),
                format!("name what is meant: `{root}.NAME`"),
            ),
        }
    }

    fn unknown_root(&self, view: &View, path: &Path) -> Lost {
        let name = path.root.as_str();
        let rest: Vec<&str> = path
            .segments
            .iter()
            .map_while(|segment| match &segment.kind {
                SegmentKind::Name(name) => Some(name.as_str()),
                _ => None,
            })
            .collect();
        let tail = if rest.is_empty() { String::new() } else { format!(".{}", rest.join(".")) };
        let help = if name == "error" {
            "`error` is known in `on-error` branches; `steps.ID.error` works everywhere".into()
        } else if self.knows(view, "inputs", name) {
            format!("did you mean `inputs.{name}{tail}`?")
        } else if self.knows(view, "matrix", name) {
            format!("did you mean `matrix.{name}{tail}`?")
        } else if self.knows(view, "steps", name) {
            format!("did you mean `steps.{name}{tail}`?")
        } else if let Some(root) = suggest::nearest(name, ROOTS.iter().copied()) {
            format!("did you mean `{root}`?")
        } else {
            let known = if view.items.is_some() { &ROOTS[..7] } else { &ROOTS[..3] };
            format!("there is {}; text needs quotes: '{name}'", suggest::list(known.iter().copied()))
        };
        Lost::new(code::UNKNOWN_NAME, &path.range, format!("`{name}` is nothing that an expression knows"), help)
    }

    fn inside(&self, view: &View, path: &Path) -> Result<usize, Lost> {
        view.items.ok_or_else(|| {
            let root = &path.root;
            Lost::new(
                code::UNKNOWN_NAME,
                &path.range,
                format!("there is no `{root}` here"),
                format!("`{root}` exists inside fan-outs only: in the steps of `for-each` and `matrix`"),
            )
        })
    }

    fn item(&self, view: &View, path: &Path) -> Result<Found, Lost> {
        let inside = self.inside(view, path)?;
        let at = self.each_around(Some(inside)).ok_or_else(|| self.no_items(inside, path))?;
        let step = &self.steps[at];
        if step.def.for_each.is_none() {
            return Err(Lost::new(
                code::UNKNOWN_NAME,
                &path.range,
                format!("`{}` has no items", step.id),
                format!("it has a `matrix` and no `for-each`: use `matrix.{}`", self.first_axis(at)),
            ));
        }
        Ok(Found { reference: Reference::Item, ty: step.item.clone(), covered: 0 })
    }

    fn first_axis(&self, at: usize) -> &str {
        self.steps[at].axes.first().map_or("KEY", |(key, ..)| key)
    }

    fn axis(&self, view: &View, path: &Path, name: Option<(&str, std::ops::Range<usize>)>) -> Result<Found, Lost> {
        let inside = self.inside(view, path)?;
        let at = self.each_around(Some(inside)).ok_or_else(|| self.no_items(inside, path))?;
        let axes = &self.steps[at].axes;
        if self.steps[at].def.matrix.is_none() {
            let outer = std::iter::successors(self.steps[at].parent, |outer| self.steps[*outer].parent)
                .find(|outer| self.steps[*outer].def.matrix.is_some());
            let help = match outer {
                Some(outer) => {
                    format!(
                        "the matrix of `{}` is not seen from a fan-out inside it; give its value on in the items",
                        self.steps[outer].id
                    )
                }
                None => "it has items: use `item`".to_owned(),
            };
            let message = format!("`{}` has no `matrix`", self.steps[at].id);
            return Err(Lost::new(code::UNKNOWN_NAME, &path.range, message, help));
        }
        if let Some((name, range)) = name
            && !axes.iter().any(|(key, ..)| key == name)
        {
            let keys = axes.iter().map(|(key, ..)| key.as_str());
            return Err(Lost::new(
                code::UNKNOWN_NAME,
                &range,
                format!("the matrix has no key `{name}`"),
                suggest::advice(name, keys, ""),
            ));
        }
        let fields = axes.iter().map(|(key, ty, _)| (key.clone(), ty.clone())).collect();
        Ok(Found { reference: Reference::Matrix, ty: Type::Object { fields, open: false }, covered: 0 })
    }

    fn input(&mut self, name: &str, range: &std::ops::Range<usize>) -> Result<Found, Lost> {
        let Some(def) = self.definition.inputs.iter().find(|def| def.input.name == name) else {
            let names = self.definition.inputs.iter().map(|def| def.input.name.as_str());
            let none = format!("declare it: `inputs: {{ {name}: {{ type: string }} }}`");
            return Err(Lost::new(
                code::UNKNOWN_INPUT,
                range,
                format!("there is no input `{name}`"),
                suggest::advice(name, names, &none),
            ));
        };
        self.used_inputs.insert(name.to_owned());
        let ty = if def.broken { Type::Any } else { input_type(&def.input.ty) };
        Ok(Found { reference: Reference::Input(name.to_owned()), ty, covered: 1 })
    }

    /// The step called `id` that `view` sees, and the step of the same list that looks.
    fn visible(&self, view: &View, id: &str) -> Option<(usize, Option<usize>)> {
        if let Some(&found) = view.list.and_then(|list| self.lists[list].ids.get(id)) {
            return Some((found, None));
        }
        let mut viewer = view.step;
        loop {
            let list = viewer.map_or(0, |at| self.steps[at].list);
            // The one step of a fan-out with `uses` goes by the fan-out's own id.
            if let Some(&found) = self.lists[list].ids.get(id) {
                return Some((found, viewer));
            }
            viewer = Some(self.steps[viewer?].parent?);
        }
    }

    fn visible_ids(&self, view: &View) -> Vec<&str> {
        let mut ids = Vec::new();
        let mut viewer = view.step;
        loop {
            let list = viewer.map_or(0, |at| self.steps[at].list);
            let place = viewer.map_or(usize::MAX, |at| self.steps[at].place);
            ids.extend(
                self.lists[list]
                    .steps
                    .iter()
                    .map(|&at| &self.steps[at])
                    .filter(|step| step.place < place)
                    .map(|step| step.id.as_str()),
            );
            match viewer.and_then(|at| self.steps[at].parent) {
                Some(parent) => viewer = Some(parent),
                None => return ids,
            }
        }
    }

    fn output(
        &mut self,
        view: &View,
        path: &Path,
        id: &str,
        range: &std::ops::Range<usize>,
        span: Span,
    ) -> Result<Found, Lost> {
        let Some((target, viewer)) = self.visible(view, id) else { return Err(self.unknown_step(view, id, range)) };
        let through = viewer.and_then(|viewer| self.branch_towards(view, viewer));
        let is_own = viewer == Some(target) && (view.own || through.is_some());
        if viewer == Some(target) && !is_own {
            let message = match self.steps[target].role {
                Role::FanOut if view.step != Some(target) || view.items == Some(target) => {
                    format!("a step of `{id}` refers to `{id}`, which ends after it")
                }
                _ => format!("`{id}` refers to itself"),
            };
            return Err(Lost::new(
                code::CYCLE,
                range,
                message,
                "a step can use only what ends before it starts".into(),
            ));
        }
        let output = match path.segments.get(1) {
            Some(Segment { kind: SegmentKind::Name(name), range, .. }) => Some((name.as_str(), range)),
            Some(segment) => {
                return Err(
                    self.unnamed(&format!("steps.{id}"), &Path { segments: vec![segment.clone()], ..path.clone() })
                );
            }
            None => None,
        };
        let step = &self.steps[target];
        let ty = if step.broken { Type::Any } else { self.output_type(target, id, output, range)? };
        let name = output.map_or_else(String::new, |(name, _)| name.to_owned());
        if let Some(viewer) = viewer.filter(|_| !is_own) {
            if self.steps[target].place > self.steps[viewer].place {
                self.forward.push((viewer, target, span));
            } else {
                self.steps[viewer].after.insert(target);
                if !view.condition && through.is_none() && !TELLING.contains(&name.as_str()) {
                    self.steps[viewer].uses.insert(target);
                }
            }
        }
        let reference = Reference::Step { node: Self::index(target), id: id.to_owned(), name };
        Ok(Found { reference, ty, covered: if output.is_some() { 2 } else { 1 } })
    }

    fn unknown_step(&self, view: &View, id: &str, range: &std::ops::Range<usize>) -> Lost {
        let inside = self.steps.iter().find(|step| step.id == id && step.role != Role::Inner);
        if let Some((step, owner)) = inside.and_then(|step| Some((step, step.parent?))) {
            if let Some(lost) = self.inside_other(step, owner, id, range) {
                return lost;
            }
            let owner = &self.steps[owner].id;
            return Lost {
                label: format!("it runs once for each item of `{owner}`"),
                ..Lost::new(
                    code::INTO_BODY,
                    range,
                    format!("`{id}` is a step inside the fan-out `{owner}`"),
                    format!("use what is gathered: `steps.{owner}.images` or `steps.{owner}.results`"),
                )
            };
        }
        let ids = self.visible_ids(view);
        let help = suggest::advice(id, ids.iter().copied(), "no step runs before this one");
        Lost::new(code::UNKNOWN_STEP, range, format!("there is no step `{id}`"), help)
    }

    fn output_type(
        &self,
        target: usize,
        id: &str,
        output: Option<(&str, &std::ops::Range<usize>)>,
        range: &std::ops::Range<usize>,
    ) -> Result<Type, Lost> {
        let step = &self.steps[target];
        let is_foreign = step.def.is_foreign() && step.op.is_some();
        let shared = if is_foreign { self.child_gives(target) } else { self.shared_outputs(target) };
        if let (true, None, Some((name, _))) = (is_foreign, &shared, output)
            && name != "status"
        {
            return Ok(Type::Any);
        }
        let names: Vec<&str> = match (step.op, &shared) {
            (Some(op), _) if !is_foreign => op.outputs.iter().map(|output| output.name).collect(),
            (_, Some(shared)) => shared.iter().map(|(name, _)| name.as_str()).collect(),
            (Some(_), None) => Vec::new(),
            (None, None) => GATHERED.to_vec(),
        };
        let giver = match &shared {
            Some(_) if is_foreign => "the workflow",
            Some(_) if step.def.race.is_some() => "the race",
            Some(_) => "the loop",
            None => step.op.map_or("a fan-out", |op| op.name),
        };
        let is_unknown = is_foreign && shared.is_none();
        let gives = || match is_unknown {
            true => "what it gives is known only where it is done".to_owned(),
            false => format!("{giver} gives: {}", if names.is_empty() { "nothing".into() } else { names.join(", ") }),
        };
        let Some((name, place)) = output else {
            let suggestion = match step.op {
                Some(op) if !op.primary.is_empty() => format!("did you mean `steps.{id}.{}`?", op.primary),
                Some(_) => "name one of its outputs".into(),
                None if shared.is_some() => "name one of its outputs".into(),
                None => format!("did you mean `steps.{id}.ok`? it lists the instances that succeeded"),
            };
            let error =
                Lost::new(code::UNKNOWN_OUTPUT, range, format!("`steps.{id}` is a step, not a value"), suggestion);
            return Err(Lost { label: gives(), ..error });
        };
        if name == "status" {
            // A request gives its answer's, once there is one.
            return Ok(if step.op.is_some_and(|op| op.output(name).is_some()) { Type::Any } else { Type::Text });
        }
        if name == "error" {
            return Ok(Type::Any);
        }
        let ty = match step.op {
            Some(op) if !is_foreign => op.output(name).map(|output| Type::of_output(output.ty, self.file_kind(target))),
            _ => match &shared {
                Some(shared) => shared.iter().find(|(field, _)| field == name).map(|(_, ty)| ty.clone()),
                None => self.gathered(target, name),
            },
        };
        ty.ok_or_else(|| {
            if let Some(lost) = self.not_shared(target, id, name, place) {
                return lost;
            }
            let mut help = suggest::advice(name, names.iter().copied().chain(ALWAYS.iter().copied()), "");
            if name == "box" && names.contains(&"boxes") {
                help = format!("did you mean `steps.{id}.boxes[0]`?");
            } else if let (Some(_), false) = (step.op, names.is_empty())
                && GATHERED.contains(&name)
            {
                help = format!("`{id}` runs once and is no fan-out: {}", gives());
            } else if let Some(nearest) = suggest::nearest(name, names.iter().copied()) {
                help = format!("did you mean `steps.{id}.{nearest}`?");
            } else if step.op.is_none() && shared.is_none() && ["image", "video", "audio"].contains(&name) {
                help = format!("did you mean `steps.{id}.{name}s`? a fan-out makes a list");
            }
            let error = Lost::new(code::UNKNOWN_OUTPUT, place, format!("step `{id}` has no output `{name}`"), help);
            Lost { label: gives(), ..error }
        })
    }

    /// What the fan-out `target` gives under `name`.
    fn gathered(&self, target: usize, name: &str) -> Option<Type> {
        Some(match name {
            "results" | "ok" => Type::list(self.result_type(target)),
            "images" => Type::list(Type::Artifact(Some(Kind::Image))),
            "videos" => Type::list(Type::Artifact(Some(Kind::Video))),
            "audios" => Type::list(Type::Artifact(Some(Kind::Audio))),
            "total" | "completed" | "skipped" | "failed" => Type::Integer,
            _ => return None,
        })
    }

    /// What one of the results of a fan-out is.
    fn result_type(&self, target: usize) -> Type {
        let step = &self.steps[target];
        let axes = step.axes.iter().map(|(key, ty, _)| (key.clone(), ty.clone())).collect();
        let mut fields = vec![
            ("ok".to_owned(), Type::Boolean),
            ("status".to_owned(), Type::Text),
            ("index".to_owned(), Type::Integer),
            ("number".to_owned(), Type::Integer),
            ("item".to_owned(), if step.def.for_each.is_some() { step.item.clone() } else { Type::Null }),
            ("matrix".to_owned(), Type::Object { fields: axes, open: false }),
            ("error".to_owned(), Type::Any),
        ];
        let last = self.last_of_body(target);
        let Some(last) = last.filter(|&last| !self.steps[last].broken) else {
            return Type::Object { fields, open: true };
        };
        match self.steps[last].op {
            Some(_) if self.steps[last].def.is_foreign() => match self.child_gives(last) {
                Some(gives) => fields.extend(gives),
                None => return Type::Object { fields, open: true },
            },
            Some(op) => fields.extend(
                op.outputs
                    .iter()
                    .filter(|output| output.name != "status")
                    .map(|output| (output.name.to_owned(), Type::of_output(output.ty, self.file_kind(last)))),
            ),
            None if self.shared_outputs(last).is_some() => fields.extend(self.shared_outputs(last).unwrap_or_default()),
            None => {
                fields.extend(GATHERED.iter().filter_map(|name| Some(((*name).to_owned(), self.gathered(last, name)?))))
            }
        }
        Type::Object { fields, open: false }
    }

    /// The last step of the body of a fan-out, whose outputs are those of the instance.
    pub(super) fn last_of_body(&self, target: usize) -> Option<usize> {
        self.steps[target].body.and_then(|body| self.lists[body].steps.last().copied())
    }

    /// A text that is a path to a value, without the braces that it needs.
    pub(super) fn bare_path(&self, text: &str) -> Option<String> {
        let text = text.trim();
        let path_like = text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '[' | ']'));
        let (root, rest) = text.split_once(['.', '['])?;
        let known = match root {
            "inputs" => self.definition.inputs.iter().any(|def| rest.split(['.', '[']).next() == Some(&def.input.name)),
            "steps" => self.steps.iter().any(|step| rest.split(['.', '[']).next() == Some(&step.id)),
            "matrix" | "item" => self.steps.iter().any(|step| step.role == Role::FanOut),
            _ => false,
        };
        (path_like && known).then(|| text.to_owned())
    }

    pub(super) fn lost(&mut self, lost: Lost, span: Span) {
        self.found.push(Diagnostic::error(lost.code, span, lost.message).label(lost.label).help(lost.help));
    }
}

/// The type of an input's values in expressions.
pub(super) fn input_type(ty: &InputType) -> Type {
    match ty {
        InputType::String => Type::Text,
        InputType::Integer => Type::Integer,
        InputType::Number => Type::Number,
        InputType::Boolean => Type::Boolean,
        InputType::Enum(words) => Type::Word(words.clone()),
        InputType::Image => Type::Artifact(Some(Kind::Image)),
        InputType::Images => Type::list(Type::Artifact(Some(Kind::Image))),
        InputType::Video => Type::Artifact(Some(Kind::Video)),
        InputType::Audio => Type::Artifact(Some(Kind::Audio)),
        InputType::File => Type::Artifact(None),
        InputType::Files => Type::list(Type::Artifact(None)),
        InputType::Json => Type::Any,
        InputType::Csv => Type::list(Type::Object { fields: Vec::new(), open: true }),
        InputType::JsonLines => Type::list(Type::Any),
        InputType::Scenes => {
            let field = |name: &str, ty| (name.to_owned(), ty);
            let fields =
                vec![field("number", Type::Integer), field("prompt", Type::Text), field("narration", Type::Text)];
            Type::list(Type::Object { fields, open: true })
        }
    }
}

#[cfg(test)]
mod tests {
    use darkroom_proto::op;

    #[test]
    fn no_op_gives_an_output_under_a_name_that_results_have_themselves() {
        let reserved = ["ok", "index", "number", "item", "matrix", "error"];
        for op in op::OPS {
            for output in op.outputs {
                assert!(!reserved.contains(&output.name), "{}.{}", op.name, output.name);
                // The answer of a server has a status of its own; among results it is the instance's.
                assert!(output.name != "status" || op.pool == "system", "{}.{}", op.name, output.name);
            }
        }
    }
}
