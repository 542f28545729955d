//! Failures and what they stop: what has begun is waited for, nothing further begins.

use crate::advance::Turn;
use crate::branch::branch_of;
use crate::change::What;
use crate::lost::is_under_way;
use crate::plan::{BranchKind, Work};
use crate::race::has_enough;
use crate::run::{Failure, State, Step};
use crate::spec::OnError;
use darkroom_proto::{StepError, StepPath};

impl Turn<'_> {
    /// A step failed for good.
    pub(crate) fn fail(&mut self, path: &StepPath, error: StepError) {
        if self.is_superfluous(path) {
            return self.close_superfluous(path);
        }
        if !self.catch(path, path, &error) {
            self.fail_uncaught(path, path.clone(), error);
        }
    }

    /// A step failed for good, and no branch of it is for that.
    pub(crate) fn fail_uncaught(&mut self, path: &StepPath, failed_at: StepPath, error: StepError) {
        let tolerated = self.run_goes_on_without(path);
        let (now, stored) = (self.now, error.clone());
        // A copy of its message may still come to a worker.
        self.void(path);
        self.change_step(path, |step| {
            step.state = State::Failed;
            step.finished_at = Some(now);
            step.error = Some(stored);
            step.failed_at = Some(failed_at.clone()).filter(|failed_at| failed_at != path);
            step.forget_way();
        });
        let attempts = self.run.step(path).map_or(0, |step| step.attempt);
        self.happened(What::StepFailed { step: path.clone(), attempts, error: error.clone(), tolerated });
        if !self.goes_on_without(path) {
            self.escalate(path, failed_at, error);
        }
        self.ended(path);
    }

    /// Somebody wants the run to end.
    pub(crate) fn cancel(&mut self, reason: String) {
        if self.run.head.cancelled.is_none() {
            self.run.head.cancelled = Some(reason);
            self.run.head.paused = None;
            self.stop_within(None);
            let all = self.run.steps.keys().cloned().collect();
            self.cancel_at_providers(all);
            self.settle(None);
        } else if self.run.head.compensating {
            self.skip_compensation();
        }
    }

    /// Asks for the jobs of these steps at once: whoever takes such a message finds the job in the ledger, and cancels it
    /// at the provider.
    pub(crate) fn cancel_at_providers(&mut self, mut steps: Vec<StepPath>) {
        let submitted = |step: &Step| matches!(step.state, State::Waiting { submitted: true, .. });
        steps.retain(|path| self.run.step(path).is_some_and(submitted));
        for path in steps {
            self.send_now(&path);
        }
    }

    /// Whether nothing new may begin.
    pub(crate) fn is_stopping(&self) -> bool {
        (self.run.head.failure.is_some() || self.run.head.cancelled.is_some()) && !self.run.head.compensating
    }

    /// Whether the step's outcome no longer matters: the run, or an instance or fan-out around it, has failed.
    pub(crate) fn is_abandoned(&self, path: &StepPath) -> bool {
        let mut at = path.clone();
        loop {
            let around = match branch_of(&at) {
                // What is compensated has ended, whatever the end of what is around it.
                Some((_, BranchKind::OnCancel)) => return !self.run.head.compensating,
                // How the step itself ended is what its branch is for.
                Some((step, _)) => step.parent(),
                None => at.parent(),
            };
            let Some(around) = around else { break };
            if self.run.step(&around).is_some_and(|step| step.error.is_some() || has_enough(step)) {
                return true;
            }
            at = around;
        }
        self.is_stopping()
    }

    /// Whether the run goes on although the step failed: it, or an instance around it, may fail.
    pub(crate) fn run_goes_on_without(&self, path: &StepPath) -> bool {
        if self.is_divided_here(path) {
            return false;
        }
        if self.goes_on_without(path) {
            return true;
        }
        let Some(place) = self.plan.locate(path) else { return false };
        let is_caught = self.run.step(path).is_none_or(|step| step.caught.is_none())
            && self.plan.node(place.node).branch(BranchKind::OnError).is_some();
        if !place.is_instance && is_caught {
            return true;
        }
        let Some(parent) = path.parent() else { return false };
        if place.branch() == Some(BranchKind::OnCancel) {
            return true;
        }
        if let (Some(_), Work::FanOut(fan)) = (place.number(), &self.plan.node(place.node).work)
            && let Some(counts) = self.run.step(&parent).and_then(|step| step.fan.as_ref())
        {
            let whole = self.whole(&parent, counts);
            if !counts.stopped && !self.tolerance(fan, &place.around()).is_exceeded(counts.failed + 1, whole) {
                return true;
            }
        }
        self.run_goes_on_without(&parent)
    }

    /// Whether the step's failure stops nothing that follows it. An instance is counted; see `instance_ended`.
    pub(crate) fn goes_on_without(&self, path: &StepPath) -> bool {
        let Some(place) = self.plan.locate(path) else { return false };
        let node = self.plan.node(place.node);
        let is_stopped_by_user = matches!(&node.work, Work::FanOut(fan) if fan.has_items())
            && place.frames.is_empty()
            && self.run.spec.on_error == Some(OnError::Stop);
        !place.is_instance && node.continue_on_error && !is_stopped_by_user && !self.is_divided_here(path)
    }

    /// The failure of a step fails what it lies in: the instance, or the run.
    pub(crate) fn escalate(&mut self, path: &StepPath, failed_at: StepPath, error: StepError) {
        let is_single_instance = path.last().1.is_some();
        match path.parent().filter(|_| !self.is_divided_here(path)) {
            Some(_) if is_single_instance => {} // `instance_ended` counts it
            Some(instance) => {
                self.change_step(&instance, |step| {
                    if step.error.is_none() {
                        step.error = Some(error);
                        step.failed_at = Some(failed_at);
                    }
                });
                self.stop_within(Some(&instance));
            }
            None => {
                if self.run.head.failure.is_none() && self.run.head.cancelled.is_none() {
                    let number = self.plan.top_number(&failed_at);
                    self.run.head.failure = Some(Failure { path: failed_at, number, error });
                }
                self.stop_within(None);
            }
        }
    }

    /// Ends a step from outside: nothing is paid for it any more.
    pub(crate) fn call_off(&mut self, path: &StepPath) {
        let now = self.now;
        self.void(path);
        self.change_step(path, |step| {
            step.state = State::Cancelled;
            step.finished_at = Some(now);
            step.forget_way();
        });
    }

    /// Ends what has not been handed to a worker or a provider: steps under `ancestor` that are ready, on the delay ladder
    /// or parked, and the beginning of further instances. What is with a worker or a provider is waited for: it may have
    /// been paid.
    pub(crate) fn stop_within(&mut self, ancestor: Option<&StepPath>) {
        let mut within = match ancestor {
            Some(ancestor) => self.run.paths_within(ancestor),
            None => self.run.steps.keys().cloned().collect(),
        };
        self.stop_children(&within);
        let now = self.now;
        within.retain(|path| {
            let ends = |state| match state {
                State::Ready | State::Open => true,
                // One whose wait is over is with a worker.
                State::Retrying { at: back_at } | State::Waiting { submitted: false, until: back_at } => back_at > now,
                State::Parked { .. } | State::Held { .. } => true,
                _ => false,
            };
            Some(path) != ancestor
                && self.run.step(path).is_some_and(|step| ends(step.state) || is_under_way(step) && self.is_task(path))
        });
        for path in &within {
            // Nothing is paid for a task, and its worker need not be heard any more.
            self.leave_window(path);
            match self.run.step(path).map(|step| step.state) {
                Some(State::Open) => self.change_step(path, |step| {
                    if let Some(fan) = &mut step.fan {
                        fan.stopped = true;
                    }
                }),
                _ => self.call_off(path),
            }
        }
        let gone = |path: &StepPath| ancestor.is_none_or(|ancestor| path.is_within(ancestor));
        self.run.ready.retain(|path| !gone(path));
        self.run.fans.retain(|path| !gone(path));
        // The deepest first: an instance can only end when what lies in it has. One that ended with it is counted already.
        for path in within.iter().rev() {
            match self.run.step(path).map(|step| (step.state, step.fan.is_some())) {
                Some((State::Open, true)) => self.settle_fan(path),
                Some((State::Open, false)) => self.settle(Some(path)),
                Some((State::Cancelled, false)) if self.is_call(path) => self.instance_ended(path),
                _ => {}
            }
        }
    }

    /// Whether the path is an instance that is itself a call, or a part.
    fn is_call(&self, path: &StepPath) -> bool {
        let is_call = |place: crate::run::Place| place.is_instance && self.plan.call_at(&place).is_some();
        path.range().is_some() || self.plan.locate(path).is_some_and(is_call)
    }
}
