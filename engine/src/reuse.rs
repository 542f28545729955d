//! Leaving out what is there already: a step whose saved file exists, made from equal inputs by an equal definition,
//! need not run, and neither need what only it needs.

use crate::expr::Reference;
use crate::plan::{Body, Call, Node, NodeIndex, Plan, Rule, Source, Wire, Work};
use crate::scope::RunScope;
use crate::spec::Reusable;
use darkroom_proto::Sha256;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What becomes of a step of a body.
#[allow(clippy::large_enum_variant, reason = "one for each node while a run begins, and gone then")]
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one for each step of a body, for the length of a call")]
pub(crate) enum Fate {
    /// It runs.
    Runs,
    /// What it saved is there.
    Reused(Reusable),
    /// Nothing that runs needs it.
    NotNeeded,
}

/// The fates of the steps of a body, in their order.
pub(crate) fn fates(scope: &RunScope<'_>, nodes: &[NodeIndex]) -> Vec<Fate> {
    let run = scope.run;
    if !run.head.reuse || run.spec.saved.is_empty() {
        return vec![Fate::Runs; nodes.len()];
    }
    let mut needed: BTreeSet<NodeIndex> = BTreeSet::new();
    if scope.frames.is_empty() {
        for (_, template) in &scope.plan.outputs {
            needed.extend(template.references().into_iter().filter_map(step_of));
        }
    }
    // References only go back, so going backwards every step is seen after all that use it.
    let mut fates: Vec<Fate> = nodes
        .iter()
        .rev()
        .map(|index| {
            let node = scope.plan.node(*index);
            let reusable = match &node.work {
                Work::Call(call) if call.saves() => key(scope, node).and_then(|key| run.spec.saved.get(&key)),
                _ => None,
            };
            if let Some(reusable) = reusable {
                return Fate::Reused(reusable.clone());
            }
            let is_end = node.before.iter().all(|after| !data(scope.plan, *after).contains(index));
            if !(needed.contains(index) || is_end || saves_inside(scope.plan, node)) {
                return Fate::NotNeeded;
            }
            needed.extend(data(scope.plan, *index));
            Fate::Runs
        })
        .collect();
    fates.reverse();
    fates
}

/// The key under which what a call saves is found again: the digest of everything that determines it. `None` when it
/// saves nothing, or depends on the run itself.
pub(crate) fn key(scope: &RunScope<'_>, node: &Node) -> Option<Sha256> {
    let Work::Call(call) = &node.work else { return None };
    if !call.saves() {
        return None;
    }
    let plan = scope.plan;
    // Every step of the same body that it stands on, and then what all of them read from outside.
    let mut open: Vec<&Node> = vec![node];
    let mut seen: BTreeSet<&str> = BTreeSet::from([node.id.as_str()]);
    let mut outside: BTreeMap<Reference, Value> = BTreeMap::new();
    while let Some(next) = open.pop() {
        for reference in references(plan, next) {
            match step_of(&reference).map(|index| plan.node(index)) {
                Some(used) if used.parent == node.parent && used.branch == node.branch => {
                    if seen.insert(&used.id) {
                        open.push(used);
                    }
                }
                // A step inside a fan-out of this body: the fan-out's own definition covers it.
                Some(used) if scope.path_of(find_index(plan, used)?).is_none() => {}
                _ => {
                    if matches!(&reference, Reference::Run(name) if name != "workflow") {
                        return None;
                    }
                    let value = crate::expr::Scope::value(scope, &reference);
                    outside.insert(reference, value);
                }
            }
        }
    }
    let outside: Vec<Value> =
        outside.into_iter().map(|(reference, value)| json!([format!("{reference:?}"), value])).collect();
    let ids: Vec<&str> =
        scope.frames.iter().map(|frame| plan.node(frame.fan).id.as_str()).chain([node.id.as_str()]).collect();
    let determined = json!([plan.definition, ids, scope.run.spec.filename, outside]);
    Some(Sha256::of(determined.to_string().as_bytes()))
}

fn find_index(plan: &Plan, node: &Node) -> Option<NodeIndex> {
    plan.nodes.iter().position(|other| std::ptr::eq(other, node)).map(|index| NodeIndex(index as u32))
}

fn step_of(reference: &Reference) -> Option<NodeIndex> {
    match reference {
        Reference::Step { node, .. } => Some(*node),
        Reference::Input(_)
        | Reference::Item
        | Reference::Index
        | Reference::Number
        | Reference::Matrix
        | Reference::Data
        | Reference::Run(_)
        | Reference::Error
        | Reference::Previous => None,
    }
}

/// The steps of the same body that a step reads, in its parameters or its condition.
fn data(plan: &Plan, index: NodeIndex) -> BTreeSet<NodeIndex> {
    let node = plan.node(index);
    let mut steps: BTreeSet<NodeIndex> = node.uses.iter().copied().collect();
    steps.extend(
        references(plan, node).iter().filter_map(step_of).filter(|used| plan.node(*used).parent == node.parent),
    );
    steps
}

fn saves_in(plan: &Plan, body: &Body) -> bool {
    body.nodes.iter().any(|inner| saves_inside(plan, plan.node(*inner)))
}

fn saves_inside(plan: &Plan, node: &Node) -> bool {
    let inside = match &node.work {
        Work::Call(call) => call.saves(),
        Work::FanOut(fan) => fan.bodies().into_iter().any(|body| saves_in(plan, body)),
    };
    inside || node.branches.iter().any(|branch| saves_in(plan, &branch.body))
}

/// Everything that a step reads, the steps in its body included.
pub(crate) fn references(plan: &Plan, node: &Node) -> BTreeSet<Reference> {
    let mut all: BTreeSet<Reference> = BTreeSet::new();
    for condition in &node.conditions {
        all.extend(condition.references.iter().cloned());
    }
    match &node.work {
        Work::Call(call) => call_references(plan, call, &mut all),
        Work::FanOut(fan) => {
            let templates = fan.for_each.iter().chain(fan.matrix.iter().map(|(_, template)| template));
            for template in templates.chain(&fan.skip_if_exists) {
                all.extend(template.references().into_iter().cloned());
            }
            let condition = match &fan.rule {
                Rule::Each { enough } => enough.as_ref(),
                Rule::Race(_) => None,
                Rule::Repeat { until, .. } => Some(until),
            };
            let mut inside: BTreeSet<Reference> = BTreeSet::new();
            let mut bodies: BTreeSet<NodeIndex> = BTreeSet::new();
            for inner in fan.bodies().into_iter().flat_map(|body| &body.nodes) {
                inside.extend(references(plan, plan.node(*inner)));
                bodies.insert(*inner);
            }
            inside.extend(condition.into_iter().flat_map(|condition| condition.references.iter().cloned()));
            // What is bound inside the body is not read from outside it.
            all.extend(inside.into_iter().filter(|reference| match reference {
                Reference::Item | Reference::Matrix => !fan.has_items(),
                Reference::Index | Reference::Number => !fan.counts(),
                Reference::Previous => !matches!(fan.rule, Rule::Repeat { .. }),
                Reference::Step { node: used, .. } => !bodies.contains(used) && !std::ptr::eq(plan.node(*used), node),
                Reference::Data => false,
                Reference::Input(_) | Reference::Run(_) | Reference::Error => true,
            }));
        }
    }
    for branch in &node.branches {
        for inner in &branch.body.nodes {
            all.extend(references(plan, plan.node(*inner)).into_iter().filter(|reference| match reference {
                Reference::Step { node: used, .. } => {
                    !branch.body.nodes.contains(used) && !std::ptr::eq(plan.node(*used), node)
                }
                reference => *reference != Reference::Error,
            }));
        }
    }
    all
}

fn call_references(plan: &Plan, call: &Call, all: &mut BTreeSet<Reference>) {
    if let Some(save) = &call.save {
        all.extend(save.references().into_iter().cloned());
    }
    for argument in &call.arguments {
        match &argument.source {
            Source::Given(template) => all.extend(template.references().into_iter().cloned()),
            Source::Wired(Wire::Item) => {
                all.insert(Reference::Item);
            }
            Source::Wired(Wire::Input { name }) => {
                all.insert(Reference::Input(name.clone()));
            }
            Source::Wired(Wire::Step { node, output }) => {
                all.insert(step_reference(plan, *node, output));
            }
            Source::Wired(Wire::FirstBox { node }) => {
                all.insert(step_reference(plan, *node, "boxes"));
            }
        }
    }
}

fn step_reference(plan: &Plan, node: NodeIndex, name: &str) -> Reference {
    Reference::Step { node, id: plan.node(node).id.clone(), name: name.to_owned() }
}
