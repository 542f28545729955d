//! Checked steps to the plan.

use super::{Compiler, Role};
use crate::expr::{Expr, Template};
use crate::node::Node;
use crate::plan::{Argument, Body, Call, FanOut, Input, Node as PlanNode, NodeIndex, Plan, Source, Tolerate, Work};
use darkroom_proto::Sha256;

impl Compiler<'_, '_> {
    /// The plan, and the canonical JSON of the definition; nothing when something was wrong.
    pub(super) fn plan(self, tree: &Node) -> Option<(Plan, String)> {
        if self.found.has_errors() {
            return None;
        }
        let canonical = tree.to_json().to_string();
        let bodies: Vec<Body> = self
            .lists
            .iter()
            .map(|list| Body { nodes: list.steps.iter().copied().map(Self::index).collect() })
            .collect();
        let mut before: Vec<Vec<NodeIndex>> = vec![Vec::new(); self.steps.len()];
        for (at, step) in self.steps.iter().enumerate() {
            for earlier in &step.after {
                before[*earlier].push(Self::index(at));
            }
        }
        let source = self.source;
        let mut nodes = Vec::with_capacity(self.steps.len());
        for (step, before) in self.steps.into_iter().zip(before) {
            let line = source.position(step.def.span.start).line;
            let indices = |steps: &std::collections::BTreeSet<usize>| steps.iter().copied().map(Self::index).collect();
            let (after, uses) = (indices(&step.after), indices(&step.uses));
            let work = match step.op {
                None => Work::FanOut(FanOut {
                    for_each: step.for_each,
                    matrix: step.matrix,
                    max_parallel: step.def.max_parallel,
                    tolerate: match step.def.tolerate {
                        Some(tolerate) => tolerate,
                        None if step.def.continue_on_error => Tolerate::All,
                        None => Tolerate::Count(0),
                    },
                    body: bodies.get(step.body?)?.clone(),
                    single: step.def.body.is_none(),
                    skip_if_exists: step.skip_if_exists,
                }),
                Some(op) => {
                    let (mut given, mut wires) = (step.given, step.wires);
                    let mut arguments = Vec::new();
                    for param in op.params {
                        let source = match (given.remove(param.name), wires.remove(param.name)) {
                            (Some(given), _) => Source::Given(given.template?),
                            (None, Some(wire)) => Source::Wired(wire),
                            (None, None) => continue,
                        };
                        arguments.push(Argument { name: param.name, source });
                    }
                    Work::Call(Call {
                        op,
                        arguments,
                        save: step.save,
                        retry: step.def.retry.clone(),
                        timeout: step.def.timeout.unwrap_or(op.timeout),
                        skip_if_exists: step.skip_if_exists,
                    })
                }
            };
            nodes.push(PlanNode {
                id: step.id,
                number: step.place as u32 + 1,
                line,
                parent: step.parent.map(Self::index),
                after,
                before,
                uses,
                conditions: if step.role == Role::Inner { Vec::new() } else { step.holds },
                continue_on_error: step.continue_on_error,
                work,
            });
        }
        let plan = Plan {
            workflow: self.definition.id.clone(),
            title: self.definition.about.title.clone(),
            budget: self.definition.budget,
            definition: Sha256::of(canonical.as_bytes()),
            inputs: self.definition.inputs.iter().map(|def| def.input.clone()).collect::<Vec<Input>>(),
            nodes,
            top: bodies.into_iter().next()?,
            outputs: self.outputs,
        };
        Some((plan, canonical))
    }
}

const _: fn() = || {
    // Plans are shared between the shards' threads.
    fn shared<T: Send + Sync>() {}
    shared::<Plan>();
    shared::<Template>();
    shared::<Expr>();
};
