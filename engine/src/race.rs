//! Races, and fan-outs with `stop-when`: who begins when, when there is enough, and what becomes of the rest.
//!
//! A container that has enough ends at once. What is left of it is called off as by a cancelled run: what has not reached a
//! worker ends, what a provider has is cancelled there, and nothing more is paid. What can't end at once closes later; the
//! run does not end before.

use crate::advance::Turn;
use crate::change::What;
use crate::expr::holds;
use crate::plan::{Contender, FanOut, Rule, Work};
use crate::run::{Fan, Place, State, Step};
use crate::scope::{RunScope, is_ok, value_error};
use darkroom_proto::{Map, StepError, StepPath};
use std::collections::VecDeque;

/// Whether a container has enough, so that nothing further is wanted of it.
pub(crate) fn has_enough(step: &Step) -> bool {
    step.fan.as_ref().is_some_and(|fan| fan.enough)
}

impl Turn<'_> {
    /// The contenders in the order in which they begin.
    pub(crate) fn line_up(&mut self, contenders: &[Contender]) -> Fan {
        let total = contenders.len() as u32;
        let mut order: Vec<u32> = (1..=total).collect();
        order.sort_by_key(|number| contenders[*number as usize - 1].delay);
        let first = order.first().and_then(|number| contenders.get(*number as usize - 1));
        let begins_at = first.filter(|first| first.delay.0 > 0).map(|first| self.now.after(first.delay));
        if let Some(at) = begins_at {
            self.look_at(at);
        }
        Fan { total, next: total, redo: VecDeque::from(order), begins_at, ..Fan::default() }
    }

    /// The race begins again with the contenders that are to be begun again, in the order of their delays.
    pub(crate) fn line_up_again(&mut self, path: &StepPath, fan: &FanOut) {
        if !matches!(fan.rule, Rule::Race(_)) {
            return;
        }
        let now = self.now;
        self.change_step(path, |step| {
            step.started_at = now;
            if let Some(counts) = &mut step.fan {
                let delay = |number: &u32| fan.contender(*number).map(|contender| contender.delay);
                counts.redo.make_contiguous().sort_by_key(delay);
            }
        });
        self.next_begins(path, fan);
    }

    /// Sets when the next contender begins: its delay after the race, or at once when all that have begun have failed.
    pub(crate) fn next_begins(&mut self, path: &StepPath, fan: &FanOut) {
        let Some(step) = self.run.step(path) else { return };
        let (Some(counts), Rule::Race(_)) = (&step.fan, &fan.rule) else { return };
        let delay = counts.redo.front().and_then(|number| fan.contender(*number)).map(|contender| contender.delay);
        let is_hopeless = counts.open == 0 && counts.failed > 0;
        let begins_at = delay.filter(|_| !is_hopeless).map(|delay| step.started_at.after(delay));
        let begins_at = begins_at.filter(|at| *at > self.now);
        if begins_at == counts.begins_at {
            return;
        }
        self.change_step(path, |step| {
            if let Some(counts) = &mut step.fan {
                counts.begins_at = begins_at;
            }
        });
        if let Some(at) = begins_at {
            self.look_at(at);
        }
    }

    /// An instance ended and was counted: what that means for the container.
    pub(crate) fn judge(&mut self, path: &StepPath, fan: &FanOut, place: &Place, number: u32) {
        let Some(step) = self.run.step(path).filter(|step| step.state == State::Open && step.caught.is_none()) else {
            return;
        };
        // Also of one that was stopped: what it has, it has.
        if has_enough(step) || step.error.is_some() {
            return;
        }
        let is_good = self.run.step(&path.instance(number)).is_some_and(is_ok);
        let enough = match &fan.rule {
            Rule::Race(_) if is_good => {
                self.change_step(path, |step| {
                    if let Some(counts) = &mut step.fan {
                        counts.winner = Some(number);
                    }
                });
                Ok(true)
            }
            Rule::Race(_) => {
                self.next_begins(path, fan);
                Ok(false)
            }
            Rule::Each { enough: Some(condition) } => {
                let scope = RunScope { plan: self.plan, run: self.run, frames: &place.frames };
                holds(condition, &scope).map_err(|error| value_error("stop-when", &error))
            }
            Rule::Each { enough: None } => Ok(false),
            Rule::Repeat { until, .. } if is_good => self.is_repeated_enough(path, until, place, number),
            Rule::Repeat { .. } => Ok(false),
        };
        match enough {
            Ok(false) => {}
            Ok(true) => self.call_off_rest(path),
            Err(error) => {
                self.change_step(path, |step| {
                    step.error = Some(error);
                    if let Some(counts) = &mut step.fan {
                        counts.stopped = true;
                    }
                });
                self.stop_within(Some(path));
            }
        }
    }

    /// A container has enough: the rest of it is called off, at the provider too.
    fn call_off_rest(&mut self, path: &StepPath) {
        self.change_step(path, |step| {
            if let Some(counts) = &mut step.fan {
                counts.enough = true;
                counts.begins_at = None;
            }
        });
        self.stop_within(Some(path));
        let mut rest = self.run.paths_within(path);
        rest.retain(|inner| inner != path && self.run.step(inner).is_some_and(|step| !step.state.ended()));
        for inner in &rest {
            // It may be with a worker that has not called the provider yet.
            self.void(inner);
        }
        self.cancel_at_providers(rest);
    }

    /// Whether a container around a step has enough, so that its outcome is wanted no more.
    pub(crate) fn is_superfluous(&self, path: &StepPath) -> bool {
        let Some(step) = self.run.step(path) else { return false };
        if step.state.ended() {
            return false;
        }
        std::iter::successors(path.parent(), StepPath::parent).any(|path| self.run.step(&path).is_some_and(has_enough))
            && !crate::branch::is_compensation(path)
    }

    /// A step that is wanted no more has ended, however it did: it was cancelled. What it cost was booked.
    pub(crate) fn close_superfluous(&mut self, path: &StepPath) {
        self.run.ready.retain(|ready| ready != path);
        let spent = self.run.step(path).map(|step| step.cost.spent).unwrap_or_default();
        self.call_off(path);
        self.happened(What::StepCancelled { step: path.clone(), spent });
        self.ended(path);
    }

    /// Why a container failed all of whose instances have ended, if it did.
    pub(crate) fn verdict(&self, path: &StepPath) -> Option<StepError> {
        let node = self.plan.node(self.plan.locate(path)?.node);
        let (Work::FanOut(fan), Some(counts)) = (&node.work, self.run.step(path)?.fan.as_ref()) else { return None };
        match &fan.rule {
            Rule::Each { .. } => None,
            Rule::Repeat { max, .. } => (!counts.enough && counts.total > 0).then(|| crate::repeat::exhausted(*max)),
            Rule::Race(_) if counts.enough || counts.total == 0 => None,
            Rule::Race(_) => Some(self.all_failed(path, counts.total)),
        }
    }

    /// The error of a race that nobody won: its class and advice are those of the contender that failed last.
    fn all_failed(&self, path: &StepPath, total: u32) -> StepError {
        let instances = (1..=total).filter_map(|number| Some((number, self.run.step(&path.instance(number))?)));
        let mut failed: Vec<(u32, &Step)> = instances.collect();
        let causes = failed.iter().map(|(number, step)| match &step.error {
            Some(error) => format!("{number}: {}", error.message),
            None => format!("{number}: {}", step.state.status().name()),
        });
        let message = format!("every contender failed: {}", causes.collect::<Vec<_>>().join("; "));
        failed.sort_by_key(|(_, step)| step.finished_at);
        let last = failed.iter().rev().find_map(|(_, step)| step.error.as_ref());
        let class = last.map_or(darkroom_proto::ErrorClass::WorkflowError, |error| error.class);
        StepError::new(class, message)
            .code("all_failed")
            .advice(last.map_or_else(String::new, |error| error.advice.clone()))
    }

    /// The outputs of a container that has ended well and gives those of one of its instances.
    pub(crate) fn container_outputs(&self, path: &StepPath) -> Map {
        let outputs = || {
            let place = self.plan.locate(path)?;
            let Work::FanOut(fan) = &self.plan.node(place.node).work else { return None };
            let counts = self.run.step(path)?.fan.as_ref()?;
            let (number, name) = match &fan.rule {
                Rule::Each { .. } => return None,
                Rule::Race(_) => (counts.winner?, "winner"),
                Rule::Repeat { .. } => (counts.completed + counts.skipped, "count"),
            };
            let scope = RunScope { plan: self.plan, run: self.run, frames: &place.frames };
            let mut outputs = match scope.instance_outputs(&path.instance(number), fan) {
                Some((outputs, _)) => outputs.clone(),
                None => Map::new(),
            };
            outputs.insert(name.to_owned(), number.into());
            Some(outputs)
        };
        outputs().unwrap_or_default()
    }
}
