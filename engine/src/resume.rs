//! Going on after a run has ended: dropping what failed, or a step and what depends on it.

use crate::advance::Turn;
use crate::branch::branch_of;
use crate::change::{Event, What};
use crate::plan::{BranchKind, NodeIndex, Plan, Work};
use crate::race::has_enough;
use crate::run::{Frame, Run, Skipped, State};
use darkroom_proto::{Artifact, Map, RunStatus, StepPath};
use std::collections::BTreeSet;

/// The artifacts that a resume would build on: those of the inputs, and the outputs of steps that it keeps.
pub fn kept_artifacts(plan: &Plan, run: &Run, from: Option<&StepPath>) -> Vec<(Option<StepPath>, Artifact)> {
    let mut after = run.clone();
    if run.head.status.is_terminal() {
        crate::advance::advance(
            plan,
            &mut after,
            Event::Resume { from: from.cloned(), set: Map::new() },
            run.head.updated_at,
        );
    }
    let mut kept: Vec<(Option<StepPath>, Artifact)> = Vec::new();
    collect(&serde_json::Value::Object(run.inputs()), &mut |artifact| kept.push((None, artifact)));
    // What a step passes on was made by one that finished before it.
    let mut steps: Vec<_> = after.steps.iter().collect();
    steps.sort_by_key(|(path, step)| (step.finished_at, plan.locate(path).map(|place| place.node)));
    for (path, step) in steps {
        for value in step.outputs.values() {
            collect(value, &mut |artifact| kept.push((Some(path.clone()), artifact)));
        }
    }
    let mut seen = BTreeSet::new();
    kept.retain(|(_, artifact)| seen.insert(artifact.sha256));
    kept
}

fn collect(value: &serde_json::Value, found: &mut dyn FnMut(Artifact)) {
    if let Some(artifact) = Artifact::from_value(value) {
        return found(artifact);
    }
    match value {
        serde_json::Value::Array(list) => list.iter().for_each(|value| collect(value, found)),
        serde_json::Value::Object(object) => object.values().for_each(|value| collect(value, found)),
        _ => {}
    }
}

impl Turn<'_> {
    pub(crate) fn resume(&mut self, from: Option<StepPath>, set: Map) {
        if !self.run.head.status.is_terminal() {
            return self.unpause(set);
        }
        if let Some(parent) = self.run.spec.parent.as_ref().filter(|_| self.run.spec.part.is_some()) {
            let reason = format!("it is a part of {}: resume that", parent.run);
            return self.happened(What::Refused {
                command: "resume".to_owned(),
                by: String::new(),
                key: String::new(),
                reason,
            });
        }
        if !self.set_inputs(from.as_ref(), set) {
            return;
        }
        let head = &mut self.run.head;
        head.generation += 1;
        head.status = RunStatus::Running;
        head.finished_at = None;
        head.failure = None;
        head.cancelled = None;
        head.compensating = false;
        head.compensated = false;
        head.in_flight = 0;
        head.tolerated = 0;
        head.outputs.clear();
        head.reuse &= from.is_none();
        self.happened(What::RunResumed { from: from.clone() });
        let failed: Vec<StepPath> = self
            .run
            .steps
            .iter()
            .filter(|(path, step)| matches!(step.state, State::Failed | State::Cancelled) && self.is_to_be_redone(path))
            .map(|(path, _)| path.clone())
            .collect();
        if let Some(from) = &from {
            self.drop_step(&self.whole_of(from));
        }
        // What was undone is done anew.
        let undone = self.run.steps.keys().filter_map(branch_of).filter(|(_, kind)| *kind == BranchKind::OnCancel);
        for (path, _) in undone.collect::<Vec<_>>() {
            self.drop_step(&path);
        }
        for path in failed {
            // One that went with something around it is gone already.
            if self.run.step(&path).is_some_and(|step| matches!(step.state, State::Failed | State::Cancelled)) {
                match (self.run.step(&path).is_some_and(|step| step.fan.is_some()), path.last().1, path.parent()) {
                    (true, ..) => self.reopen_fan(&path),
                    // With its failed siblings; what was done in it is kept.
                    (false, Some(_), Some(fan_path)) => self.reopen_fan(&fan_path),
                    (false, ..) => self.drop_step(&path),
                }
            }
        }
        self.run.derive_queues();
        self.reach_everything();
    }

    /// Whether a step that failed or was cancelled is begun anew: not what a branch or the winner of a race made good, nor
    /// what was called off, nor by itself what lies in a branch, which goes with its step.
    fn is_to_be_redone(&self, path: &StepPath) -> bool {
        let mut around = Some(path.clone());
        while let Some(path) = around {
            if branch_of(&path).is_some() {
                return false;
            }
            around = path.parent();
            let step = around.as_ref().and_then(|around| self.run.step(around));
            if step.is_some_and(|step| has_enough(step) || step.caught.is_some() && step.state == State::Completed) {
                return false;
            }
        }
        true
    }

    /// What is dropped when a step is: the whole race, `repeat` or branching step that it lies in, the outermost of them.
    fn whole_of(&self, path: &StepPath) -> StepPath {
        let Some(place) = self.plan.locate(path) else { return path.clone() };
        let is_whole = |frame: &&Frame| match &self.plan.node(frame.fan).work {
            Work::FanOut(fan) => frame.branch.is_some() || !fan.has_items(),
            Work::Call(_) => true,
        };
        place.frames.iter().find(is_whole).map_or_else(|| path.clone(), |frame| frame.fan_path.clone())
    }

    /// Forgets a step, what lies in it, what depends on it, and opens again what it lies in.
    fn drop_step(&mut self, path: &StepPath) {
        let Some(place) = self.plan.locate(path) else { return };
        if place.is_instance {
            let Some(fan_path) = path.parent() else { return };
            if self.forget_instance(&fan_path, path) {
                self.reopen_fan(&fan_path);
            }
            return;
        }
        let parent = path.parent();
        for node in self.with_dependents(parent.as_ref(), place.node) {
            let dropped = self.child_path(parent.as_ref(), node);
            self.forget_within(&dropped);
        }
        if let Some(instance) = parent {
            self.reopen_instance(&instance);
        }
    }

    /// A step and everything in its body that waits for it; and what it reads that was passed over as not needed.
    fn with_dependents(&self, instance: Option<&StepPath>, node: NodeIndex) -> BTreeSet<NodeIndex> {
        let mut dropped = BTreeSet::from([node]);
        let mut open = vec![node];
        while let Some(next) = open.pop() {
            let passed_over = self.plan.node(next).after.iter().filter(|before| {
                let step = self.run.step(&self.child_path(instance, **before));
                step.is_some_and(|step| step.skipped == Some(Skipped::NotNeeded))
            });
            for related in self.plan.node(next).before.iter().chain(passed_over) {
                if dropped.insert(*related) {
                    open.push(*related);
                }
            }
        }
        dropped
    }

    fn forget_within(&mut self, path: &StepPath) {
        for gone in self.run.paths_within(path) {
            self.run.expansions.remove(&gone);
            self.forget(&gone);
        }
    }

    /// Forgets an instance, so that it is begun again. False if it had not begun.
    fn forget_instance(&mut self, fan_path: &StepPath, instance: &StepPath) -> bool {
        if instance.range().is_some() {
            return self.uncount_part(fan_path, instance);
        }
        let (Some(number), Some(state)) = (instance.last().1, self.run.step(instance).map(|step| step.state)) else {
            return false;
        };
        self.forget_within(instance);
        self.change_step(fan_path, |step| {
            let Some(fan) = &mut step.fan else { return };
            fan.uncount(state);
            if !fan.redo.contains(&number) {
                fan.redo.push_back(number);
            }
        });
        true
    }

    /// Opens a fan-out again that has ended; its failed and cancelled instances are begun again.
    fn reopen_fan(&mut self, fan_path: &StepPath) {
        let Some(place) = self.plan.locate(fan_path) else { return };
        let mut undone: Vec<StepPath> = self
            .run
            .paths_within(fan_path)
            .into_iter()
            .filter(|path| path.parent().as_ref() == Some(fan_path) && path.last().1.is_some())
            .filter(|path| {
                self.run.step(path).is_some_and(|step| matches!(step.state, State::Failed | State::Cancelled))
            })
            .collect();
        undone.sort_by_key(|instance| instance.last().1);
        let has_items = matches!(&self.plan.node(place.node).work, Work::FanOut(fan) if fan.has_items());
        let was_exhausted =
            undone.is_empty() && self.run.step(fan_path).is_some_and(|step| step.state == State::Failed);
        let is_caught = self.run.step(fan_path).is_some_and(|step| step.caught.is_some());
        let never_opened = self.run.step(fan_path).and_then(|step| step.fan.as_ref()).is_none();
        if !has_items && (was_exhausted || never_opened || is_caught) {
            return self.drop_step(fan_path);
        }
        for kind in BranchKind::ALL {
            self.forget_within(&fan_path.child(kind.name()));
        }
        for instance in undone {
            match self.is_single(&place.node, &instance) {
                true => {
                    self.forget_instance(fan_path, &instance);
                }
                false => self.reopen_failed_instance(fan_path, &instance),
            }
        }
        self.change_step(fan_path, |step| {
            step.state = State::Open;
            step.finished_at = None;
            step.error = None;
            step.failed_at = None;
            step.caught = None;
            if let Some(fan) = &mut step.fan {
                fan.stopped = false;
                fan.enough = false;
                fan.winner = None;
                fan.begins_at = None;
            }
        });
        let plan = self.plan;
        if let Work::FanOut(fan) = &plan.node(place.node).work {
            self.line_up_again(fan_path, fan);
        }
        let parent = fan_path.parent();
        let mut dependents = self.with_dependents(parent.as_ref(), place.node);
        dependents.remove(&place.node);
        for node in dependents {
            let dropped = self.child_path(parent.as_ref(), node);
            self.forget_within(&dropped);
        }
        if let Some(instance) = parent {
            self.reopen_instance(&instance);
        }
    }

    fn is_single(&self, node: &NodeIndex, instance: &StepPath) -> bool {
        let number = instance.last().1.unwrap_or(1);
        instance.range().is_some() || matches!(&self.plan.node(*node).work, Work::FanOut(fan) if fan.is_single(number))
    }

    /// An instance that failed goes on with the steps of it that are done.
    fn reopen_failed_instance(&mut self, fan_path: &StepPath, instance: &StepPath) {
        let undone: Vec<StepPath> = self
            .run
            .paths_within(instance)
            .into_iter()
            .filter(|path| path.parent().as_ref() == Some(instance))
            .filter(|path| {
                self.run.step(path).is_some_and(|step| matches!(step.state, State::Failed | State::Cancelled))
            })
            .collect();
        self.open_instance(fan_path, instance);
        for path in undone {
            if self.run.step(&path).is_some_and(|step| step.fan.is_some()) {
                self.reopen_fan(&path);
            } else if let Some(place) = self.plan.locate(&path) {
                for node in self.with_dependents(Some(instance), place.node) {
                    let dropped = self.child_path(Some(instance), node);
                    self.forget_within(&dropped);
                }
            }
        }
    }

    /// Opens an instance again because a step in it was dropped.
    fn reopen_instance(&mut self, instance: &StepPath) {
        let Some(fan_path) = instance.parent() else { return };
        if self.run.step(instance).is_none_or(|step| step.state == State::Open) {
            return;
        }
        self.open_instance(&fan_path, instance);
        self.reopen_fan(&fan_path);
    }

    fn open_instance(&mut self, fan_path: &StepPath, instance: &StepPath) {
        let Some(state) = self.run.step(instance).map(|step| step.state) else { return };
        self.change_step(fan_path, |step| {
            if let Some(fan) = &mut step.fan {
                fan.uncount(state);
                fan.open += 1;
            }
        });
        self.change_step(instance, |step| {
            step.state = State::Open;
            step.finished_at = None;
            step.error = None;
            step.failed_at = None;
            step.skipped = None;
        });
    }

    /// Reaches what can begin, at the top and in every open instance.
    fn reach_everything(&mut self) {
        let instances: Vec<StepPath> = self
            .run
            .steps
            .iter()
            .filter(|(_, step)| step.state == State::Open && step.fan.is_none())
            .map(|(path, _)| path.clone())
            .collect();
        for instance in instances.iter().rev() {
            self.reach_body(Some(instance));
        }
        self.reach_body(None);
        let fans: Vec<StepPath> = self
            .run
            .steps
            .iter()
            .filter(|(_, step)| step.state == State::Open && step.fan.is_some())
            .map(|(path, _)| path.clone())
            .collect();
        for fan in fans.iter().rev() {
            self.settle_fan(fan);
        }
    }
}

impl crate::run::Fan {
    /// Takes an instance that had ended so out of the counts.
    fn uncount(&mut self, state: State) {
        let count = match state {
            State::Completed => &mut self.completed,
            State::Cached | State::Skipped => &mut self.skipped,
            State::Failed => &mut self.failed,
            State::Ready
            | State::Dispatched
            | State::Retrying { .. }
            | State::Waiting { .. }
            | State::Parked { .. }
            | State::Held { .. }
            | State::Open => &mut self.open,
            State::Cancelled => return,
        };
        *count = count.saturating_sub(1);
    }
}
