//! Checked steps to the plan.

use super::{Compiler, Role};
use crate::expr::{Expr, Template};
use crate::node::Node;
use crate::plan::{
    Argument, Body, Branch, Call, Child, Contender, FanOut, Input, Node as PlanNode, NodeIndex, Plan, RetryPolicy,
    Rule, Source, Tolerate, Work,
};
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
        let branches: Vec<_> = self.lists.iter().map(|list| list.branch).collect();
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
                    rule: match (&step.def.race, &step.def.repeat) {
                        (Some(contenders), _) => Rule::Race(
                            contenders
                                .iter()
                                .zip(&step.contenders)
                                .map(|(def, body)| Contender {
                                    body: bodies[*body].clone(),
                                    single: def.body.is_none(),
                                    delay: def.delay,
                                })
                                .collect(),
                        ),
                        (None, Some(repeat)) => Rule::Repeat { until: step.enough?, max: repeat.max },
                        (None, None) => Rule::Each { enough: step.enough },
                    },
                    for_each: step.for_each,
                    batch: step.def.batch,
                    matrix: step.matrix,
                    max_parallel: if step.def.repeat.is_some() { Some(1) } else { step.def.max_parallel },
                    tolerate: match step.def.tolerate {
                        Some(tolerate) => tolerate,
                        None if step.def.race.is_some() => Tolerate::All,
                        None if step.def.repeat.is_some() => Tolerate::Count(0),
                        None if step.def.continue_on_error => Tolerate::All,
                        None => Tolerate::Count(0),
                    },
                    body: match step.body {
                        Some(body) => bodies.get(body)?.clone(),
                        None => Body::default(),
                    },
                    single: step.def.body.is_none(),
                    skip_if_exists: step.skip_if_exists,
                }),
                Some(op) => {
                    let (mut given, mut wires) = (step.given, step.wires);
                    let child = step.def.child();
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
                        retry: match child {
                            // Its own steps were tried often enough.
                            Some(_) if step.def.retry == RetryPolicy::default() => {
                                RetryPolicy { attempts: 1, ..RetryPolicy::default() }
                            }
                            _ => step.def.retry.clone(),
                        },
                        timeout: step.def.timeout.unwrap_or(op.timeout),
                        cache: step.def.cache,
                        skip_if_exists: step.skip_if_exists,
                        task: step.def.task().map(str::to_owned),
                        child: child.map(|reference| Child {
                            reference: reference.to_owned(),
                            detach: step.def.detach,
                            abandons: step.def.abandons,
                            save_dir: step.save_dir,
                        }),
                    })
                }
            };
            nodes.push(PlanNode {
                id: step.id,
                title: step.def.title.clone(),
                number: step.place as u32 + 1,
                line,
                parent: step.parent.map(Self::index),
                branch: branches.get(step.list).copied().flatten(),
                branches: if step.role == Role::Inner { &[][..] } else { step.def.branches.as_slice() }
                    .iter()
                    .zip(&step.branches)
                    .map(|(def, body)| Branch { kind: def.kind, body: bodies[*body].clone(), fails: def.fails })
                    .collect(),
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
            about: self.definition.about.clone(),
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
