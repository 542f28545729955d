//! The instances of fan-outs: begun one by one as there is room, counted as they end.

use crate::advance::Turn;
use crate::change::What;
use crate::expr::Template;
use crate::fanout::Expansion;
use crate::part::part_label;
use crate::plan::{FanOut, NodeIndex, Rule, Tolerate, Work};
use crate::reuse::{self, Fate};
use crate::run::{Fan, Frame, Place, Skipped, State, Step, depth};
use crate::save::clean_save_path;
use crate::scope::RunScope;
use crate::spec::OnError;
use darkroom_proto::{ErrorClass, Map, StepCost, StepError, StepPath, StepStatus};
use std::sync::Arc;

impl Turn<'_> {
    /// Opens a fan-out: its items are known from here on.
    pub(crate) fn open_fan(&mut self, path: &StepPath, fan: &FanOut, place: &Place) {
        let expansion = {
            let scope = RunScope { plan: self.plan, run: self.run, frames: &place.frames };
            Expansion::of(fan, &scope)
        };
        self.put(path.clone(), self.new_step(State::Open));
        let expansion = match expansion {
            Ok(expansion) => Arc::new(expansion),
            Err(error) => return self.fail(path, error),
        };
        let total = expansion.total();
        if let Err(error) = self.check_paths(path, fan, total) {
            return self.fail(path, error);
        }
        self.run.expansions.insert(path.clone(), expansion);
        if let Err(error) = crate::save::check_collisions(self.plan, self.run, place, path, fan) {
            return self.fail(path, error);
        }
        let counts = match &fan.rule {
            Rule::Each { .. } | Rule::Repeat { .. } => Fan { total, parts: self.divided(fan, total), ..Fan::default() },
            Rule::Race(contenders) => self.line_up(contenders),
        };
        self.change_step(path, |step| step.fan = Some(counts));
        self.happened(What::FanOutOpened { step: path.clone(), total });
        self.queue_fan(path);
        self.settle_fan(path);
    }

    /// Refuses a fan-out whose steps would have longer paths than can be stored.
    fn check_paths(&self, path: &StepPath, fan: &FanOut, total: u32) -> Result<(), StepError> {
        let last = path.instance(total.max(1));
        let nodes = fan.bodies().into_iter().flat_map(|body| &body.nodes);
        let mut paths = nodes.map(|node| last.child(&self.plan.node(*node).id));
        match paths.find(|path| path.as_str().parse::<StepPath>().is_err()) {
            None => Ok(()),
            Some(path) => Err(StepError::new(ErrorClass::TooLarge, format!("the path `{path}` is too long"))
                .advice("give the steps shorter ids, or nest fewer fan-outs")),
        }
    }

    /// Makes the items of every fan-out known again after the run was restored, earlier steps first.
    pub(crate) fn expand_restored(&mut self) {
        if !std::mem::take(&mut self.run.is_restored) {
            return;
        }
        let with_place = |(path, step): (&StepPath, &Step)| {
            step.fan.as_ref()?;
            Some((self.plan.locate(path)?.node, path.clone()))
        };
        let mut fans: Vec<(NodeIndex, StepPath)> = self.run.steps.iter().filter_map(with_place).collect();
        fans.sort();
        for (_, path) in fans {
            self.expand_again(&path);
        }
    }

    /// Makes the items of a fan-out known again after the run was restored. What they are made of has not changed.
    pub(crate) fn expand_again(&mut self, fan_path: &StepPath) {
        if self.run.expansions.contains_key(fan_path) {
            return;
        }
        let Some(place) = self.plan.locate(fan_path) else { return };
        for frame in &place.frames {
            self.expand_again(&frame.fan_path);
        }
        let Work::FanOut(fan) = &self.plan.node(place.node).work else { return };
        let expansion = Expansion::of(fan, &RunScope { plan: self.plan, run: self.run, frames: &place.frames });
        if let Ok(expansion) = expansion {
            self.run.expansions.insert(fan_path.clone(), Arc::new(expansion));
        }
    }

    /// Puts a fan-out in line: inner ones before those that they lie in, so that what was begun is done first.
    pub(crate) fn queue_fan(&mut self, path: &StepPath) {
        let at = self.run.fans.partition_point(|other| depth(other) >= depth(path));
        self.run.fans.insert(at, path.clone());
    }

    /// The first fan-out that may begin another instance.
    pub(crate) fn fan_with_room(&self) -> Option<StepPath> {
        let has_room = |path: &&StepPath| {
            let Some(fan) = self.run.step(path).and_then(|step| step.fan.as_ref()) else { return false };
            if fan.stopped || fan.enough || fan.begins_at.is_some_and(|at| at > self.now) {
                return false;
            }
            let max = self.plan.locate(path).and_then(|place| match &self.plan.node(place.node).work {
                Work::FanOut(node) => self.at_once(path, node, fan),
                Work::Call(_) => None,
            });
            max.is_none_or(|max| fan.open < max)
        };
        self.run.fans.iter().find(has_room).cloned()
    }

    /// Begins the next instance of a fan-out.
    pub(crate) fn begin_instance(&mut self, fan_path: &StepPath) {
        self.expand_again(fan_path);
        let Some(place) = self.plan.locate(fan_path) else { return };
        let plan = self.plan;
        let Work::FanOut(fan) = &plan.node(place.node).work else { return };
        let mut begun = None;
        self.change_step(fan_path, |step| {
            if let Some(state) = &mut step.fan {
                begun = state.redo.pop_front().or_else(|| {
                    let has_more = state.has_more();
                    state.next += 1;
                    has_more.then_some(state.next)
                });
                state.open += u32::from(begun.is_some());
            }
        });
        let exhausted = self.run.step(fan_path).and_then(|step| step.fan.as_ref()).is_none_or(|fan| !fan.has_more());
        if exhausted {
            self.run.fans.retain(|path| path != fan_path);
        }
        let Some(number) = begun else { return };
        if self.run.step(fan_path).and_then(|step| step.fan.as_ref()).is_some_and(|fan| fan.parts.is_some()) {
            return self.begin_part(fan_path, number);
        }
        self.next_begins(fan_path, fan);
        let instance = fan_path.instance(number);
        let mut frames = place.frames;
        frames.push(Frame::instance(place.node, fan_path.clone(), number));
        if let Some(why) = self.reason_to_pass_over(fan, fan_path, &frames, number) {
            let mut step = self.new_step(State::Skipped);
            step.finished_at = Some(self.now);
            step.skipped = Some(why);
            self.put(instance.clone(), step);
            return self.instance_ended(&instance);
        }
        if fan.is_single(number) {
            let nodes = &fan.body_of(number).nodes;
            let fates = reuse::fates(&RunScope { plan: self.plan, run: self.run, frames: &frames }, nodes);
            if let Some(Fate::Reused(reusable)) = fates.into_iter().next() {
                let mut step = self.new_step(State::Cached);
                step.finished_at = Some(self.now);
                step.skipped = Some(Skipped::Saved { path: reusable.saved.path.clone() });
                step.outputs = reusable.outputs;
                step.saved = Some(reusable.saved);
                self.put(instance.clone(), step);
                return self.instance_ended(&instance);
            }
            self.started(&instance, fan_path, number);
            self.put(instance.clone(), self.new_step(State::Ready));
            self.run.ready.push_back(instance);
        } else {
            self.started(&instance, fan_path, number);
            self.put(instance.clone(), self.new_step(State::Open));
            self.begin_body(Some(&instance));
        }
    }

    fn started(&mut self, instance: &StepPath, fan_path: &StepPath, number: u32) {
        let label = self.label(fan_path, number);
        self.happened(What::ItemStarted { step: instance.clone(), label });
    }

    fn label(&self, fan_path: &StepPath, number: u32) -> String {
        self.run.expansions.get(fan_path).map_or_else(|| number.to_string(), |expansion| expansion.label(number))
    }

    fn reason_to_pass_over(&self, fan: &FanOut, fan_path: &StepPath, frames: &[Frame], number: u32) -> Option<Skipped> {
        if let Some(only) = &self.run.spec.only
            && fan_path.as_str() == only.step
            && let Some(expansion) = self.run.expansions.get(fan_path)
            && !only.numbers.contains(&(expansion.index(number) + 1))
        {
            return Some(Skipped::NotWanted);
        }
        self.exists(&fan.skip_if_exists, frames)
    }

    /// Whether the files that `skip-if-exists` names are all there.
    pub(crate) fn exists(&self, templates: &[Template], frames: &[Frame]) -> Option<Skipped> {
        if templates.is_empty() || self.run.spec.existing.is_empty() {
            return None;
        }
        let scope = RunScope { plan: self.plan, run: self.run, frames };
        let paths: Option<Vec<String>> =
            templates.iter().map(|template| clean_save_path(&scope.text(template).ok()?).ok()).collect();
        let paths = paths?;
        let first = paths.first().cloned()?;
        paths.iter().all(|path| self.run.spec.existing.contains(path)).then_some(Skipped::Exists { path: first })
    }

    /// What a fan-out tolerates in this run.
    pub(crate) fn tolerance(&self, fan: &FanOut, place: &Place) -> Tolerate {
        match self.run.spec.on_error {
            Some(OnError::Stop) if place.frames.is_empty() && fan.has_items() => Tolerate::Count(0),
            Some(OnError::Continue) if place.frames.is_empty() && fan.has_items() => Tolerate::All,
            _ => fan.tolerate,
        }
    }

    /// An instance has ended: it is counted, and the fan-out may have ended or seen enough.
    pub(crate) fn instance_ended(&mut self, instance: &StepPath) {
        let (Some(fan_path), Some(step)) = (instance.parent(), self.run.step(instance)) else { return };
        let (state, error) = (step.state, step.error.clone());
        let failed_at = step.failed_at.clone().unwrap_or_else(|| instance.clone());
        if let Some(branch) = self.plan.locate(instance).and_then(|place| place.branch()) {
            return self.branch_ended(&fan_path, branch, instance);
        }
        let Some(place) = self.plan.locate(&fan_path) else { return };
        let plan = self.plan;
        let Work::FanOut(fan) = &plan.node(place.node).work else { return };
        let tolerate = self.tolerance(fan, &place);
        let number = instance.last().1.unwrap_or_default();
        let is_part = instance.range().is_some();
        let is_over = is_part && self.count_part(&fan_path, instance);
        let whole =
            self.run.step(&fan_path).and_then(|step| step.fan.as_ref()).map_or(0, |fan| self.whole(&fan_path, fan));
        let mut enough = false;
        self.change_step(&fan_path, |step| {
            let Some(counts) = &mut step.fan else { return };
            counts.open = counts.open.saturating_sub(1);
            match state {
                _ if is_part => {}
                State::Completed => counts.completed += 1,
                State::Cached | State::Skipped => counts.skipped += 1,
                State::Failed => counts.failed += 1,
                State::Cancelled
                | State::Ready
                | State::Dispatched
                | State::Retrying { .. }
                | State::Waiting { .. }
                | State::Parked { .. }
                | State::Held { .. }
                | State::Open => {}
            }
            let exceeds = state == State::Failed && tolerate.is_exceeded(counts.failed, whole);
            if (exceeds || is_over) && !counts.stopped {
                counts.stopped = true;
                enough = true;
                step.error = error;
                step.failed_at = Some(failed_at);
            }
        });
        let items = self.run.step(&fan_path).and_then(|step| step.fan.as_ref()).map(Fan::items).unwrap_or_default();
        let label = match instance.range() {
            Some((first, last)) => part_label(first, last),
            None => self.label(&fan_path, number),
        };
        let status = if state == State::Cached { StepStatus::Skipped } else { state.status() };
        self.happened(What::ItemEnded { step: instance.clone(), label, status, items });
        if enough {
            self.stop_within(Some(&fan_path));
        } else {
            self.judge(&fan_path, fan, &place, number);
        }
        self.settle_fan(&fan_path);
        // Of a container that had enough: the run waits for what was with a worker or a provider then.
        if self.run.step(&fan_path).is_some_and(|step| step.state.ended()) {
            self.settle(None);
        }
    }

    /// Ends a fan-out if all its instances have.
    pub(crate) fn settle_fan(&mut self, path: &StepPath) {
        let Some(step) = self.run.step(path) else { return };
        let Some(counts) = &step.fan else { return };
        if step.state != State::Open || step.caught.is_some() || !counts.is_done() {
            return;
        }
        if step.error.is_none() && !counts.stopped {
            let verdict = self.verdict(path);
            if verdict.is_some() {
                self.change_step(path, |step| step.error = verdict);
            }
        }
        let Some(step) = self.run.step(path) else { return };
        let Some(counts) = &step.fan else { return };
        let (error, stopped, now) = (step.error.clone(), counts.stopped && !counts.enough, self.now);
        let failed_at = step.failed_at.clone().unwrap_or_else(|| path.clone());
        self.run.fans.retain(|fan| fan != path);
        let state = match (&error, stopped) {
            (Some(_), _) => State::Failed,
            (None, true) => State::Cancelled,
            (None, false) => State::Completed,
        };
        if let Some(error) = &error
            && self.catch(path, &failed_at, error)
        {
            return;
        }
        let outputs = if state == State::Completed { self.container_outputs(path) } else { Map::new() };
        self.change_step(path, |step| {
            step.state = state;
            step.finished_at = Some(now);
            step.outputs = outputs;
        });
        match error {
            Some(error) => {
                let tolerated = self.run_goes_on_without(path);
                self.happened(What::StepFailed { step: path.clone(), attempts: 1, error: error.clone(), tolerated });
                if !self.goes_on_without(path) {
                    self.escalate(path, failed_at, error);
                }
            }
            None if state == State::Completed => {
                self.happened(What::StepCompleted {
                    step: path.clone(),
                    attempts: 1,
                    saved: None,
                    notes: Vec::new(),
                    cost: StepCost::default(),
                });
            }
            None => {}
        }
        self.ended(path);
    }
}
