//! A workflow file to a [`Plan`], or to everything that is wrong with it.
//!
//! The steps are looked at in the order of the file, bodies at their place, so that whatever a step can refer to has been
//! looked at before. A mistake makes the value it is in unknown; what follows from an unknown value is not reported.

mod build;
mod child;
mod container;
mod expression;
mod held;
mod order;
mod parameter;
mod required;
mod saving;
mod scope;
mod wiring;

use crate::code;
use crate::definition::{About, Definition, Element, StepDef};
use crate::diagnostic::{Diagnostic, Findings};
use crate::expr::{Expr, Template};
use crate::node::{Name, Node, NodeKind};
use crate::plan::{BranchKind, NodeIndex, Plan, Wire};
use crate::source::{Source, Span};
use crate::suggest;
use crate::types::Type;
use crate::{read, recipe, yaml};
pub use child::{Library, Signature};
use darkroom_proto::op::{self, OpSpec};
use std::collections::{BTreeSet, HashMap, HashSet};

/// A workflow that can run.
#[derive(Debug)]
pub struct Compiled {
    /// What `advance` walks.
    pub plan: Plan,
    /// What a catalogue shows of it.
    pub about: About,
    /// The definition in its canonical JSON form, which the plan's hash is of.
    pub definition: String,
    /// What a workflow that runs it has to know of it.
    pub signature: Signature,
    /// What is probably not as meant.
    pub warnings: Vec<Diagnostic>,
}

/// Compiles a workflow, or tells everything that is wrong with it, in the order of the file.
///
/// Of the workflows that its steps run it knows nothing: any input is taken, and an output may be anything. The plan is the
/// same as that of [`compile_with`].
pub fn compile(source: &Source) -> Result<Compiled, Vec<Diagnostic>> {
    compiled(source, None)
}

/// As [`compile`]; also checks what its steps give to the workflows that they run, and use of them. The library has to have
/// each of these under the name that the step writes.
pub fn compile_with(source: &Source, library: &Library) -> Result<Compiled, Vec<Diagnostic>> {
    compiled(source, Some(library))
}

fn compiled(source: &Source, library: Option<&Library>) -> Result<Compiled, Vec<Diagnostic>> {
    let mut found = Findings::default();
    let (tree, mistakes) = if recipe::is_recipe(source) { recipe::parse(source) } else { yaml::parse(source) };
    found.extend(mistakes);
    let Some(tree) = tree else {
        if !found.has_errors() {
            let error = Diagnostic::error(code::DOCUMENTS, Span::default(), "the file is empty")
                .help("`darkroom workflows new NAME` writes a template");
            found.push(error);
        }
        return Err(found.finish(source));
    };
    let definition = read::read(&tree, &mut found);
    let plan = definition.as_ref().and_then(|definition| {
        let mut compiler = Compiler::new(source, &mut found, definition, library);
        compiler.check();
        let outputs = std::mem::take(&mut compiler.output_types);
        compiler.plan(&tree).map(|(plan, canonical)| (plan, canonical, outputs))
    });
    let failed = found.has_errors();
    let diagnostics = found.finish(source);
    match (plan, definition) {
        (Some((plan, canonical, outputs)), Some(Definition { about, .. })) if !failed => {
            let signature = Signature { inputs: plan.inputs.clone(), outputs };
            Ok(Compiled { plan, about, definition: canonical, signature, warnings: diagnostics })
        }
        _ => Err(diagnostics),
    }
}

/// What a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// One call.
    Plain,
    /// A fan-out with a body.
    FanOut,
    /// The call inside of a fan-out that has `uses` itself.
    Inner,
}

/// A step on its way from the definition to the plan.
#[derive(Debug)]
struct Step<'a> {
    def: &'a StepDef<'a>,
    role: Role,
    id: String,
    list: usize,
    place: usize,
    parent: Option<usize>,
    /// The list of its body.
    body: Option<usize>,
    /// The lists of its contenders, and of its branches.
    contenders: Vec<usize>,
    branches: Vec<usize>,
    /// `stop-when`, or `until`.
    enough: Option<Expr>,
    op: Option<&'static OpSpec>,
    /// Nothing can be said of its outputs: it was reported already.
    broken: bool,
    conditions: Vec<&'a Node>,
    needs: Option<&'a [Name]>,
    continue_on_error: bool,

    after: BTreeSet<usize>,
    uses: BTreeSet<usize>,
    /// All steps of its list that end before it starts.
    ancestors: order::Ancestors,
    holds: Vec<Expr>,
    for_each: Option<Template>,
    matrix: Vec<(String, Template)>,
    /// What an item is, and what each matrix key may be.
    item: Type,
    axes: Vec<(String, Type, Vec<&'a Node>)>,
    given: HashMap<&'static str, Given<'a>>,
    wires: HashMap<&'static str, Wire>,
    save: Option<Template>,
    skip_if_exists: Vec<Template>,
    save_dir: Option<Template>,
}

/// A parameter that was written. Without a template it was wrong, which was reported.
#[derive(Debug)]
struct Given<'a> {
    node: &'a Node,
    template: Option<Template>,
    ty: Type,
}

/// A list of steps.
#[derive(Debug, Default)]
struct List<'a> {
    elements: &'a [Element<'a>],
    steps: Vec<usize>,
    owner: Option<usize>,
    /// The branch of its owner that it is, if it is one.
    branch: Option<BranchKind>,
    ids: HashMap<String, usize>,
}

struct Compiler<'a, 'f> {
    source: &'a Source,
    found: &'f mut Findings,
    definition: &'a Definition<'a>,
    steps: Vec<Step<'a>>,
    lists: Vec<List<'a>>,
    used_inputs: HashSet<String>,
    /// References to later steps: from, to, where.
    forward: Vec<(usize, usize, Span)>,
    saved: HashMap<String, Span>,
    outputs: Vec<(String, Template)>,
    output_types: Vec<(String, Type)>,
    library: Option<&'a Library>,
    /// How many expressions were read.
    expressions: usize,
}

impl<'a, 'f> Compiler<'a, 'f> {
    fn new(
        source: &'a Source,
        found: &'f mut Findings,
        definition: &'a Definition<'a>,
        library: Option<&'a Library>,
    ) -> Self {
        Compiler {
            source,
            found,
            definition,
            steps: Vec::new(),
            lists: Vec::new(),
            used_inputs: HashSet::new(),
            forward: Vec::new(),
            saved: HashMap::new(),
            outputs: Vec::new(),
            output_types: Vec::new(),
            library,
            expressions: 0,
        }
    }

    fn check(&mut self) {
        self.list(&self.definition.steps, None, None);
        self.order();
        for at in self.lists[0].steps.clone() {
            self.step(at);
        }
        self.workflow_outputs();
        self.report_forward();
        self.report_unused();
    }

    /// Makes the steps of a list, then the lists of their bodies.
    fn list(&mut self, elements: &'a [Element<'a>], owner: Option<usize>, branch: Option<BranchKind>) -> usize {
        let list = self.lists.len();
        self.lists.push(List { elements, owner, branch, ..List::default() });
        self.members(elements, list, &mut Around { conditions: Vec::new(), needs: None, continue_on_error: false });
        self.ids(list);
        for at in self.lists[list].steps.clone() {
            let def = self.steps[at].def;
            if let Some(contenders) = &def.race {
                for contender in contenders {
                    let body = self.instance(contender, at);
                    self.steps[at].contenders.push(body);
                }
            } else if self.steps[at].role == Role::FanOut {
                self.steps[at].body = Some(self.instance(def, at));
            }
            for branch in &def.branches {
                let body = self.list(&branch.body, Some(at), Some(branch.kind));
                self.steps[at].branches.push(body);
            }
        }
        list
    }

    /// The steps of an instance of `owner`.
    fn instance(&mut self, def: &'a StepDef<'a>, owner: usize) -> usize {
        match &def.body {
            Some(body) => self.list(body, Some(owner), None),
            None => self.inner(def, owner),
        }
    }

    fn members(&mut self, elements: &'a [Element<'a>], list: usize, around: &mut Around<'a>) {
        for element in elements {
            match element {
                Element::Step(def) => {
                    let role = if def.is_container() { Role::FanOut } else { Role::Plain };
                    self.push(def, role, list, around);
                }
                Element::Parallel(group) => {
                    let mut inside = Around {
                        conditions: around.conditions.iter().copied().chain(group.condition).collect(),
                        needs: group.needs.as_deref().or(around.needs),
                        continue_on_error: around.continue_on_error || group.continue_on_error,
                    };
                    self.members(&group.members, list, &mut inside);
                }
            }
        }
    }

    /// The only step of the body of a fan-out with `uses`.
    fn inner(&mut self, def: &'a StepDef<'a>, owner: usize) -> usize {
        let list = self.lists.len();
        self.lists.push(List { owner: Some(owner), ..List::default() });
        let around = Around { conditions: Vec::new(), needs: None, continue_on_error: false };
        self.push(def, Role::Inner, list, &around);
        let id = self.steps[owner].id.clone();
        if let Some(inner) = self.steps.last_mut() {
            inner.id = id;
        }
        list
    }

    fn push(&mut self, def: &'a StepDef<'a>, role: Role, list: usize, around: &Around<'a>) {
        let at = self.steps.len();
        let inner = role == Role::Inner;
        let own = def.condition.filter(|_| !inner);
        let (op, unknown) = if role == Role::FanOut { (None, false) } else { self.op(def) };
        self.steps.push(Step {
            def,
            role,
            id: String::new(),
            list,
            place: self.lists[list].steps.len(),
            parent: self.lists[list].owner,
            body: None,
            contenders: Vec::new(),
            branches: Vec::new(),
            enough: None,
            op,
            broken: def.broken || unknown,
            conditions: around.conditions.iter().copied().chain(own).collect(),
            needs: def.needs.as_deref().filter(|_| !inner).or(around.needs),
            continue_on_error: around.continue_on_error || (def.continue_on_error && !inner),
            after: BTreeSet::new(),
            uses: BTreeSet::new(),
            ancestors: order::Ancestors::default(),
            holds: Vec::new(),
            for_each: None,
            matrix: Vec::new(),
            item: Type::Any,
            axes: Vec::new(),
            given: HashMap::new(),
            wires: HashMap::new(),
            save: None,
            skip_if_exists: Vec::new(),
            save_dir: None,
        });
        self.lists[list].steps.push(at);
    }

    /// The op of a step, and whether it is one that can't be used.
    fn op(&mut self, def: &StepDef<'_>) -> (Option<&'static OpSpec>, bool) {
        let Some(name) = &def.uses else { return (None, true) };
        if let Some(op) = op::find(&name.text) {
            return (Some(op), false);
        }
        if let Some(reference) = def.child() {
            let is_known = self.check_reference(name.span, reference);
            return (Some(&op::CHILD), !is_known);
        }
        if def.task().is_some() {
            return (Some(&op::TASK), false);
        }
        if name.text.starts_with(op::TASK_PREFIX) {
            let message = format!("`{}` names no task", name.text);
            let help = format!(
                "a task is called by small letters, digits and `-`, a letter first, at most {}: `task.resize-3d`",
                op::TASK_NAME_CHARS_MAX
            );
            self.found.push(Diagnostic::error(code::UNKNOWN_OP, name.span, message).help(help));
            return (None, true);
        }
        if op::LATER.contains(&name.text.as_str()) {
            let message = format!("`{}` is not in this release yet", name.text);
            self.found.push(Diagnostic::error(code::LATER, name.span, message));
            return (None, true);
        }
        let known = || op::OPS.iter().map(|op| op.name);
        let tail = name.text.rsplit('.').next().unwrap_or_default();
        let help = match known().find(|known| known.rsplit('.').next() == Some(tail)) {
            Some(op) => format!("did you mean `{op}`?"),
            None => suggest::advice(&name.text, known(), ""),
        };
        let error =
            Diagnostic::error(code::UNKNOWN_OP, name.span, format!("there is no op `{}`", name.text)).help(help);
        self.found.push(error);
        (None, true)
    }

    /// Gives every step of a list its id.
    fn ids(&mut self, list: usize) {
        let steps = self.lists[list].steps.clone();
        let mut ids: HashMap<String, usize> = HashMap::new();
        for &at in &steps {
            let Some(id) = &self.steps[at].def.id else { continue };
            self.steps[at].id.clone_from(&id.text);
            if let Some(&first) = ids.get(&id.text) {
                let line = self.line(self.steps[first].def.id.as_ref().map_or(id.span, |name| name.span));
                let error =
                    Diagnostic::error(code::DUPLICATE_ID, id.span, format!("two steps are called `{}`", id.text))
                        .label(format!("the first is on line {line}"))
                        .help("give one of them another `id`");
                self.found.push(error);
            } else {
                ids.insert(id.text.clone(), at);
            }
        }
        let mut numbers: HashMap<String, usize> = HashMap::new();
        for &at in &steps {
            let step = &self.steps[at];
            if step.def.id.is_some() {
                continue;
            }
            let word = match &step.def.uses {
                Some(name) => {
                    let word = name.text.rsplit(['.', ':']).next().unwrap_or_default();
                    word.split('@').next().unwrap_or_default().to_owned()
                }
                None if step.def.race.is_some() => "race".to_owned(),
                None if step.def.repeat.is_some() => "repeat".to_owned(),
                None => "each".to_owned(),
            };
            let number = numbers.entry(word.clone()).or_insert(0usize);
            let id = loop {
                *number += 1;
                let id = if *number == 1 { word.clone() } else { format!("{word}-{number}") };
                if !ids.contains_key(&id) {
                    break id;
                }
            };
            ids.insert(id.clone(), at);
            self.steps[at].id = id;
        }
        self.lists[list].ids = ids;
    }

    /// Checks a step and its body.
    fn step(&mut self, at: usize) {
        let step = &self.steps[at];
        let (def, role) = (step.def, step.role);
        let bodies: Vec<usize> = step.body.iter().chain(&step.contenders).copied().collect();
        let branches = step.branches.clone();
        self.conditions(at);
        if role == Role::FanOut {
            self.fan_out(at);
            for inner in bodies.iter().flat_map(|body| self.lists[*body].steps.clone()).collect::<Vec<_>>() {
                self.step(inner);
            }
            self.enough(at);
        } else {
            if def.is_foreign() {
                self.foreign(at);
            } else {
                self.parameters(at);
                self.wire(at);
                self.missing(at);
                self.together(at);
            }
            self.performed_by_engine(at);
        }
        // What is saved or skipped for a fan-out with `uses` is that of its one step.
        let skips = if role == Role::Inner { &[][..] } else { def.skip_if_exists.as_slice() };
        self.steps[at].skip_if_exists = skips.iter().filter_map(|node| self.skip_path(at, node)).collect();
        if role != Role::FanOut {
            self.saves(at);
        }
        for inner in branches.iter().flat_map(|body| self.lists[*body].steps.clone()).collect::<Vec<_>>() {
            self.step(inner);
        }
        self.close_ancestors(at);
    }

    fn line(&self, span: Span) -> u32 {
        self.source.position(span.start).line
    }

    fn workflow_outputs(&mut self) {
        let outputs = &self.definition.outputs;
        for (name, node) in outputs {
            let view = scope::View::of(None, None);
            if let Some((template, ty)) = self.template(node, &view) {
                self.outputs.push((name.text.clone(), template));
                self.output_types.push((name.text.clone(), ty));
            }
            if let (NodeKind::Text(text), Some(path)) =
                (&node.kind, node.as_text().and_then(|text| self.bare_path(text)))
            {
                let error = Diagnostic::error(code::MISSING_BRACES, node.span, format!("`{text}` is only text here"))
                    .help(format!("write `${{{{ {path} }}}}`"));
                self.found.push(error);
            }
        }
    }

    /// Inputs that nothing reads. Where something is wrong, the mistake may be the reason.
    fn report_unused(&mut self) {
        if self.found.has_errors() {
            return;
        }
        for def in &self.definition.inputs {
            if !self.used_inputs.contains(&def.input.name) {
                let name = &def.name;
                self.found.push(
                    Diagnostic::warning(code::UNUSED, name.span, format!("the input `{}` is never used", name.text))
                        .help(format!("use it as `${{{{ inputs.{} }}}}`, or remove it", name.text)),
                );
            }
        }
    }

    fn index(at: usize) -> NodeIndex {
        NodeIndex(at as u32)
    }
}

/// What a `parallel:` group around a step says of it.
struct Around<'a> {
    conditions: Vec<&'a Node>,
    needs: Option<&'a [Name]>,
    continue_on_error: bool,
}
