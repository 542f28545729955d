//! Children: runs of other workflows that are the steps of a run.
//!
//! The step of a child waits as for a provider's job: it is under way, takes no place in the window, and ends with an
//! ordinary report. Starting a child is also how its parent looks after it: what was created is not created again, and one
//! that has ended tells its outcome anew.

use crate::advance::Turn;
use crate::call::parameters;
use crate::change::{Effect, What};
use crate::lost::is_under_way;
use crate::part::part_report;
use crate::plan::{Call, Plan};
use crate::run::{Run, State, Step};
use crate::save::clean_save_path;
use crate::scope::{RunScope, value_error};
use crate::spec::Spec;
use darkroom_proto::{
    ErrorClass, Map, Money, Outcome, Report, RunId, RunStatus, Sha256, StepCost, StepError, StepPath, Succeeded,
    Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// How deep workflows may run each other: a workflow that runs itself, for ever, ends here.
pub const CHILD_DEPTH_MAX: u32 = 16;

/// A workflow that steps run, as it was when their run was handed in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pinned {
    /// Its definition.
    pub definition: Sha256,
    /// The files that its inputs have as defaults.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub files: Map,
}

/// The step that a run is the child of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Parent {
    /// Its run.
    pub run: RunId,
    /// Its path there.
    pub path: StepPath,
    /// Its generation.
    pub generation: u32,
    /// Which of its attempts the child is.
    pub attempt: u32,
    /// How many runs there are above the child.
    pub depth: u32,
    /// What its earlier attempts have cost.
    #[serde(default, skip_serializing_if = "StepCost::is_none")]
    pub spent: StepCost,
    /// Whether it does not wait for the child.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub detached: bool,
}

/// A child that is to be started.
#[derive(Debug, Clone, PartialEq)]
pub struct ChildStart {
    /// Its id, which follows from its parent: starting it twice is starting it once.
    pub run: RunId,
    /// What it is given, the inputs as the parent gives them: neither checked nor complete.
    pub spec: Spec,
    /// Its parent.
    pub parent: Parent,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Of a part: a run whose outcomes it takes where it would do the same.
    pub earlier: Option<RunId>,
}

/// What a parent wants of a child.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// That it goes on.
    Running,
    /// That it begins nothing new; of parts only.
    Paused,
    /// That it ends; one that was not started is not started at all.
    Cancelled,
}

impl ChildStart {
    /// What its parent hears when it could not be started.
    pub fn failed(&self, error: StepError) -> Report {
        self.parent.report(Outcome::Failed(error), StepCost::default())
    }

    /// What its parent hears of a child that it does not wait for.
    pub fn started(&self) -> Report {
        let outputs = [("run".to_owned(), Value::from(self.run.to_string()))].into_iter().collect();
        self.parent.report(Outcome::Succeeded(Succeeded { outputs, ..Succeeded::default() }), StepCost::default())
    }
}

impl Parent {
    pub(crate) fn report(&self, outcome: Outcome, cost: StepCost) -> Report {
        let cost = StepCost {
            spent: self.spent.spent.plus(cost.spent),
            possible_duplicates: self.spent.possible_duplicates + cost.possible_duplicates,
        };
        let (generation, attempt) = (self.generation, self.attempt);
        Report { run: self.run, path: self.path.clone(), generation, attempt, outcome, cost }
    }
}

/// What the parent of a run that has ended hears of it; nothing if nobody waits for it.
pub fn child_report(run: &Run) -> Option<Report> {
    let parent = run.spec.parent.as_deref().filter(|parent| !parent.detached)?;
    let cost = StepCost { spent: run.head.spent, possible_duplicates: run.head.possible_duplicates };
    if let (Some(_), Some(report)) = (&run.spec.part, part_report(run, parent, cost)) {
        return Some(report);
    }
    let outcome = match run.head.status {
        RunStatus::Completed => {
            let outputs = run.head.outputs.clone();
            Outcome::Succeeded(Succeeded { outputs, ..Succeeded::default() })
        }
        RunStatus::Failed => {
            let failure = run.head.failure.as_ref()?;
            let mut error = failure.error.clone();
            error.message = format!("`{}` of {} failed: {}", failure.path, run.id, error.message);
            error.retry_after = None;
            Outcome::Failed(error)
        }
        RunStatus::Cancelled => {
            let reason = run.head.cancelled.as_deref().unwrap_or_default();
            let message = format!("{} was cancelled: {reason}", run.id);
            Outcome::Failed(StepError::new(ErrorClass::Cancelled, message).advice("resume the run to start it anew"))
        }
        _ => return None,
    };
    Some(parent.report(outcome, cost))
}

/// The id of the child that an attempt of a step is.
fn child_id(run: RunId, path: &StepPath, generation: u32, attempt: u32) -> RunId {
    RunId::from_key("child", &format!("{run}/{path}@{generation}.{attempt}"))
}

impl Turn<'_> {
    /// Starts the next attempt of a ready step that is a child.
    pub(crate) fn start_child(&mut self, path: &StepPath) {
        let Some(step) = self.run.step(path) else { return };
        let (attempt, generation, now) = (step.attempt + 1, step.generation, self.now);
        let child = child_id(self.run.id, path, generation, attempt);
        self.change_step(path, |step| {
            step.attempt = attempt;
            step.started_at = now;
            step.child = Some(child);
            step.state = State::Waiting { submitted: true, until: now };
            step.waiting = Some(child.to_string());
        });
        self.watch(path, now);
        self.happened(What::StepDispatched { step: path.clone(), attempt });
        self.follow_child(path);
    }

    /// An attempt failed that was a child: another one is begun later.
    pub(crate) fn start_child_again(&mut self, path: &StepPath, attempt: u32, again_at: Timestamp, error: StepError) {
        let generation = self.run.step(path).map_or(1, |step| step.generation);
        let child = child_id(self.run.id, path, generation, attempt + 1);
        let stored = error.clone();
        self.change_step(path, |step| {
            step.forget_way();
            step.state = State::Retrying { at: again_at };
            step.attempt = attempt + 1;
            step.error = Some(stored);
            step.child = Some(child);
        });
        // The look is what starts it.
        self.set_watch(path, crate::watch::Watch { sent_at: again_at, look_at: again_at, looks: 0, resends: 0 });
        self.happened(What::StepRetrying { step: path.clone(), attempt, again_at, error });
    }

    /// Starts the child of a step, or hears of it if it was started before.
    pub(crate) fn follow_child(&mut self, path: &StepPath) {
        let wanted = match self.is_abandoned(path) || self.is_superfluous(path) {
            true => Wanted::Cancelled,
            false if path.range().is_some() && self.run.head.paused.is_some() => Wanted::Paused,
            false => Wanted::Running,
        };
        self.send_child(path, wanted);
    }

    /// The parts that run pause and go on with the run.
    pub(crate) fn follow_parts(&mut self) {
        let is_part = |(path, step): &(&StepPath, &Step)| path.range().is_some() && is_under_way(step);
        let parts: Vec<StepPath> = self.run.steps.iter().filter(is_part).map(|(path, _)| path.clone()).collect();
        for path in parts {
            self.follow_child(&path);
        }
    }

    fn send_child(&mut self, path: &StepPath, wanted: Wanted) {
        if wanted == Wanted::Cancelled && self.is_left_alone(path) {
            return;
        }
        match self.child_start(path, wanted) {
            Ok(None) => {}
            Ok(Some(start)) => {
                if let Some(State::Retrying { .. }) = self.run.step(path).map(|step| step.state) {
                    let (now, child) = (self.now, start.run);
                    self.change_step(path, |step| {
                        step.state = State::Waiting { submitted: true, until: now };
                        step.waiting = Some(child.to_string());
                    });
                }
                self.change.effects.push(Effect::StartChild(Box::new(start)));
            }
            Err(error) => self.fail(path, error),
        }
    }

    fn child_start(&mut self, path: &StepPath, wanted: Wanted) -> Result<Option<ChildStart>, StepError> {
        if path.range().is_some() {
            return Ok(self.part_start(path, wanted));
        }
        let Some(place) = self.plan.locate(path) else { return Ok(None) };
        for frame in &place.frames {
            self.expand_again(&frame.fan_path);
        }
        let plan: &Plan = self.plan;
        let (Some((_, call)), Some(step)) = (plan.call_at(&place), self.run.step(path)) else { return Ok(None) };
        let (Some(child), Some(id)) = (&call.child, step.child) else { return Ok(None) };
        let above = &self.run.spec;
        let depth = above.parent.as_ref().map_or(1, |parent| parent.depth + 1);
        if depth > CHILD_DEPTH_MAX {
            let message = format!("workflows run each other more than {CHILD_DEPTH_MAX} deep");
            return Err(StepError::new(ErrorClass::WorkflowError, message)
                .code("too_deep")
                .advice("a workflow that runs itself needs an `if` that ends it"));
        }
        let Some(pinned) = above.children.get(&child.reference) else {
            let message = format!("the run was handed in without the workflow `{}`", child.reference);
            return Err(StepError::new(ErrorClass::WorkflowError, message)
                .code("unknown_workflow")
                .advice("push that workflow, and start the run anew"));
        };
        let scope = RunScope { plan, run: self.run, frames: &place.frames };
        let mut inputs = match parameters(&scope, call)?.remove("with") {
            Some(Value::Object(mut inputs)) => {
                inputs.retain(|_, value| !value.is_null());
                inputs
            }
            _ => Map::new(),
        };
        for (name, file) in &pinned.files {
            inputs.entry(name).or_insert_with(|| file.clone());
        }
        let parent = Parent {
            run: self.run.id,
            path: path.clone(),
            generation: step.generation,
            attempt: step.attempt,
            depth,
            spent: step.cost,
            detached: child.detach,
        };
        let left = self.budget().map(|budget| Money(budget.0.saturating_sub(self.run.head.spent.0)));
        let spec = Spec {
            allowance: left,
            workflow: child.reference.split('@').next().unwrap_or_default().to_owned(),
            definition: pinned.definition,
            inputs,
            created_at: step.started_at,
            filename: None,
            only: None,
            on_error: None,
            existing: Default::default(),
            estimated: Default::default(),
            saved: BTreeMap::new(),
            schedule: None,
            origin: None,
            recorded: BTreeMap::new(),
            parent: Some(Box::new(parent.clone())),
            save_dir: save_dir(&scope, call)?,
            part: None,
            ..Spec::clone(above)
        };
        Ok(Some(ChildStart { run: id, spec, parent, wanted, earlier: None }))
    }

    /// What these steps lie in is stopped: their children are cancelled, or left to themselves.
    pub(crate) fn stop_children(&mut self, within: &[StepPath]) {
        for path in within {
            let Some(step) = self.run.step(path).filter(|step| step.child.is_some() && is_under_way(step)) else {
                continue;
            };
            let has_not_begun = matches!(step.state, State::Retrying { .. });
            if self.is_left_alone(path) {
                self.call_off(path);
            } else if !has_not_begun {
                self.send_child(path, Wanted::Cancelled);
            }
        }
    }

    fn is_left_alone(&self, path: &StepPath) -> bool {
        let call = self.plan.locate(path).and_then(|place| self.plan.call_at(&place));
        call.is_some_and(|(_, call)| call.child.as_ref().is_some_and(|child| child.abandons))
    }

    /// The run has ended: whoever waits for it as a child is told.
    pub(crate) fn tell_parent(&mut self, was_over: bool) {
        if !was_over && let Some(report) = child_report(self.run) {
            self.change.effects.push(Effect::TellParent(Box::new(report)));
        }
    }
}

/// The path under which a child saves.
fn save_dir(scope: &RunScope<'_>, call: &Call) -> Result<Option<String>, StepError> {
    let own = match call.child.as_ref().and_then(|child| child.save_dir.as_ref()) {
        Some(template) => Some(scope.text(template).map_err(|error| value_error("save-dir", &error))?),
        None => None,
    };
    let folder = match (&scope.run.spec.save_dir, own) {
        (Some(above), Some(own)) => format!("{above}/{own}"),
        (Some(above), None) => above.clone(),
        (None, Some(own)) => own,
        (None, None) => return Ok(None),
    };
    let folder = clean_save_path(&folder)?;
    Ok(Some(folder.trim_end_matches('/').to_owned()))
}
