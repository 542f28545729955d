//! Branches of steps: `on-error`, `on-timeout`, `on-reject` when one ends otherwise than well, and `on-cancel`, which
//! undoes what it did when the run is cancelled.

use crate::advance::Turn;
use crate::change::What;
use crate::plan::{BranchKind, Node};
use crate::run::{Caught, State, Step};
use darkroom_proto::{ErrorClass, Map, StepCost, StepError, StepPath};

/// How a step ended otherwise than well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(dead_code, reason = "steps that wait for people and events end so")]
pub(crate) enum Ending {
    /// It failed for good.
    Failed(ErrorClass),
    /// Nobody decided in time, which is no failure.
    TimedOut,
    /// Somebody said no, which is no failure.
    Rejected,
}

impl Ending {
    /// The branches that are for this, the most specific first.
    fn kinds(self) -> &'static [BranchKind] {
        match self {
            Ending::TimedOut => &[BranchKind::OnTimeout],
            Ending::Failed(ErrorClass::Timeout) => &[BranchKind::OnTimeout, BranchKind::OnError],
            Ending::Failed(_) => &[BranchKind::OnError],
            // Not a failure by itself: whoever finds no branch for it fails the step, or lets its outputs tell.
            Ending::Rejected => &[BranchKind::OnReject],
        }
    }
}

/// The branch of a step that is taken when it ends so.
pub(crate) fn choose(node: &Node, ending: Ending) -> Option<BranchKind> {
    ending.kinds().iter().copied().find(|kind| node.branch(*kind).is_some())
}

/// The step and the branch of it that a path names, if it names a branch.
pub(crate) fn branch_of(path: &StepPath) -> Option<(StepPath, BranchKind)> {
    let (id, None) = path.last() else { return None };
    Some((path.parent()?, BranchKind::from_name(id)?))
}

/// Whether a path is an `on-cancel` branch or lies in one.
pub(crate) fn is_compensation(path: &StepPath) -> bool {
    std::iter::successors(Some(path.clone()), StepPath::parent)
        .any(|path| matches!(branch_of(&path), Some((_, BranchKind::OnCancel))))
}

impl Turn<'_> {
    /// Begins the branch for the failure of a step, if it has one and anybody still wants it. False: it just fails.
    pub(crate) fn catch(&mut self, path: &StepPath, failed_at: &StepPath, error: &StepError) -> bool {
        self.branch_off(path, failed_at, error, Ending::Failed(error.class))
    }

    /// As `catch`, for any way to end.
    pub(crate) fn branch_off(
        &mut self,
        path: &StepPath,
        failed_at: &StepPath,
        error: &StepError,
        ending: Ending,
    ) -> bool {
        if self.is_divided_here(path) {
            return false;
        }
        let Some(place) = self.plan.locate(path).filter(|place| !place.is_instance) else { return false };
        let Some(branch) = choose(self.plan.node(place.node), ending) else { return false };
        if self.run.step(path).is_none_or(|step| step.caught.is_some()) || self.is_abandoned(path) {
            return false;
        }
        // A copy of its message may still come to a worker.
        self.void(path);
        let caught = Caught { branch, error: error.clone(), failed_at: failed_at.clone() };
        self.change_step(path, |step| {
            step.state = State::Open;
            step.error = None;
            step.failed_at = None;
            step.caught = Some(caught);
            step.forget_way();
        });
        self.happened(What::BranchBegun { step: path.clone(), branch, error: Some(error.clone()) });
        self.begin_branch(path, branch);
        true
    }

    fn begin_branch(&mut self, path: &StepPath, branch: BranchKind) {
        let container = path.child(branch.name());
        self.put(container.clone(), self.new_step(State::Open));
        self.begin_body(Some(&container));
    }

    /// A branch has ended, and so has its step.
    pub(crate) fn branch_ended(&mut self, path: &StepPath, branch: BranchKind, container: &StepPath) {
        if branch == BranchKind::OnCancel {
            return self.settle(None);
        }
        let (Some(ended), Some(step)) = (self.run.step(container), self.run.step(path)) else { return };
        let Some(caught) = step.caught.clone().filter(|_| !step.state.ended()) else { return };
        let fails = self.plan.locate(path).and_then(|place| self.plan.node(place.node).branch(branch)).map(|b| b.fails);
        match ended.state {
            State::Completed | State::Cached | State::Skipped if fails == Some(true) => {
                self.fail_uncaught(path, caught.failed_at, caught.error);
            }
            State::Completed | State::Cached | State::Skipped => self.complete(path, container),
            State::Failed => {
                let failed_at = ended.failed_at.clone().unwrap_or_else(|| container.clone());
                let error = ended.error.clone().unwrap_or(caught.error);
                self.fail_uncaught(path, failed_at, error);
            }
            _ => {
                self.call_off(path);
                self.ended(path);
            }
        }
    }

    /// A step is completed by its branch: its outputs are those of the branch's last step.
    fn complete(&mut self, path: &StepPath, container: &StepPath) {
        let last = self.body_of(Some(container)).and_then(|body| body.nodes.last()).copied();
        let outputs = last.and_then(|node| self.run.step(&self.child_path(Some(container), node)));
        let outputs = outputs.map_or_else(Map::new, |step| step.outputs.clone());
        let now = self.now;
        self.change_step(path, |step| {
            step.state = State::Completed;
            step.finished_at = Some(now);
            step.outputs = outputs;
        });
        let attempts = self.run.step(path).map_or(0, |step| step.attempt);
        let cost = self.run.step(path).map_or_else(StepCost::default, |step| step.cost);
        self.happened(What::StepCompleted { step: path.clone(), attempts, saved: None, notes: Vec::new(), cost });
        self.ended(path);
    }

    /// Whether a failure was made good: a branch caught what it led to, or the race around it was won all the same.
    pub(crate) fn is_made_good(&self, path: &StepPath) -> bool {
        std::iter::successors(path.parent(), StepPath::parent)
            .filter_map(|around| self.run.step(&around))
            .any(|step| step.state == State::Completed && (step.caught.is_some() || has_winner(step)))
    }

    /// Goes on with the compensation of a cancelled run in which everything else has ended; false when there is nothing
    /// (more) to undo. One branch at a time, that of the step that ended last first.
    pub(crate) fn compensate(&mut self) -> bool {
        if self.run.head.cancelled.is_none() || !self.plan.compensates() {
            return false;
        }
        let is_under_way = |(path, step): (&StepPath, &Step)| {
            step.state == State::Open && matches!(branch_of(path), Some((_, BranchKind::OnCancel)))
        };
        if self.run.steps.iter().any(is_under_way) {
            return true;
        }
        let Some(next) = self.next_to_undo() else {
            self.run.head.compensating = false;
            return false;
        };
        self.run.head.compensating = true;
        self.happened(What::BranchBegun { step: next.clone(), branch: BranchKind::OnCancel, error: None });
        self.begin_branch(&next, BranchKind::OnCancel);
        true
    }

    /// The step that ended last of those that have something to undo and are not undone.
    fn next_to_undo(&self) -> Option<StepPath> {
        if self.run.head.compensated {
            return None;
        }
        let undo = |(path, step): (&StepPath, &Step)| {
            let has_begun = match step.state {
                State::Completed => true,
                State::Cancelled => step.attempt > 0 || step.fan.as_ref().is_some_and(|fan| fan.next > 0),
                _ => false,
            };
            let place = self.plan.locate(path).filter(|place| has_begun && !place.is_instance)?;
            self.plan.node(place.node).branch(BranchKind::OnCancel)?;
            let is_undone = self.run.step(&path.child(BranchKind::OnCancel.name())).is_some();
            (!is_undone && !is_compensation(path) && !self.is_divided_here(path))
                .then(|| (step.finished_at, place.node, path.clone()))
        };
        self.run.steps.iter().filter_map(undo).max().map(|(.., path)| path)
    }

    /// Somebody wants the run to end without what is left of its compensation.
    pub(crate) fn skip_compensation(&mut self) {
        self.run.head.compensating = false;
        self.run.head.compensated = true;
        self.stop_within(None);
        let all = self.run.steps.keys().cloned().collect();
        self.cancel_at_providers(all);
        self.settle(None);
    }
}

fn has_winner(step: &Step) -> bool {
    step.fan.as_ref().is_some_and(|fan| fan.winner.is_some())
}

impl crate::plan::Plan {
    /// Whether a step of it has something to undo.
    fn compensates(&self) -> bool {
        self.nodes.iter().any(|node| node.branch(BranchKind::OnCancel).is_some())
    }
}
