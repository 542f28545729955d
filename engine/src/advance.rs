//! What happens next: one event in, a changed run and effects out.

use crate::change::{Change, Effect, Event, Happened, What};
use crate::expr::holds;
use crate::lost::is_under_way;
use crate::notice::notices;
use crate::part::failed_in_part;
use crate::plan::{Body, Node, NodeIndex, Plan, Work};
use crate::retry::jittered;
use crate::reuse::{self, Fate};
use crate::run::{Failure, Fan, Frame, QUICK, Run, Skipped, State, Step, WINDOW_MAX, WINDOW_MIN};
use crate::scope::{RunScope, passed_on, value_error};
use crate::signal::Signal;
use darkroom_proto::{Map, Money, Outcome, Report, RunStatus, StepCost, StepError, StepPath, Succeeded, Timestamp};
use std::collections::{BTreeSet, VecDeque};

/// How many steps and instances one call begins at most; then it asks to be continued, so that one wide run does not
/// hold up the others of its shard.
const WORK_MAX: u32 = 256;

/// Advances a run by one event.
///
/// Everything that is decided about a run is decided here. An event that comes late (its step has ended, or was begun
/// anew, or the run is over) changes nothing. The same events at the same times give the same run.
pub fn advance(plan: &Plan, run: &mut Run, event: Event, now: Timestamp) -> Change {
    let now = now.max(run.head.updated_at);
    let was_over = run.head.status.is_terminal();
    let mut turn = turn(plan, run, now);
    if !turn.run.listens_to(&event) {
        if let Event::Report(report) = event {
            turn.run.head.stale_reports += 1;
            // What was paid is paid, also after the run has ended.
            turn.book(&report);
        }
        return turn.change;
    }
    turn.run.head.updated_at = now;
    turn.expand_restored();
    match event {
        Event::Start => turn.start(),
        Event::Report(report) => turn.report(report),
        Event::Continue => {}
        Event::QueueLost { begun } => turn.publish_again(&begun),
        Event::Unperformed { steps, notices } => {
            turn.change.effects.extend(notices.into_iter().map(|notice| Effect::Notify(Box::new(notice))));
            turn.perform_again(&steps);
            if was_over {
                turn.tell_parent(false);
            }
        }
        Event::Looked { lost, ready } => turn.looked(&lost, &ready),
        Event::Signal { key, name, data, by } => turn.signal(Signal { key, name, data, by, at: now }),
        Event::Approve(decision) => turn.decide(decision),
        Event::Pause { reason } => turn.pause(reason),
        Event::Terminate { reason } => turn.terminate(reason),
        Event::Resume { from, set } => turn.resume(from, set),
        Event::Cancel { reason } => turn.cancel(reason),
    }
    turn.pump();
    if turn.run.head.compensating {
        // Whatever ended last: the next thing is undone, or the run ends.
        turn.settle(None);
        turn.pump();
    }
    turn.derive_status();
    turn.tell_parent(was_over);
    let notices = notices(Some(turn.plan), turn.run, &turn.change.events);
    turn.change.effects.extend(notices);
    turn.change
}

/// A turn in which nothing has happened yet.
pub(crate) fn turn<'a>(plan: &'a Plan, run: &'a mut Run, now: Timestamp) -> Turn<'a> {
    Turn { plan, run, now, change: Change::default(), work_left: WORK_MAX, reached: VecDeque::new() }
}

/// Ends a run that can't be advanced, because doing so panics. What was under way in it is cancelled, so that a resume
/// begins it anew.
pub fn break_off(run: &mut Run, error: StepError, now: Timestamp) -> Change {
    let now = now.max(run.head.updated_at);
    let path = StepPath::top("run");
    let mut cancelled = BTreeSet::new();
    let mut voided = BTreeSet::new();
    for (path, step) in run.steps.iter_mut().filter(|(_, step)| !step.state.ended()) {
        if step.attempt > 0 {
            voided.insert((path.clone(), step.generation));
        }
        if let State::Waiting { submitted: true, .. } = step.state {
            // Nobody waits for the job any more, and a resume pays for another one.
            step.cost.possible_duplicates += 1;
            run.head.possible_duplicates += 1;
        }
        step.state = State::Cancelled;
        step.finished_at = Some(now);
        step.forget_way();
        if let Some(fan) = &mut step.fan {
            fan.stopped = true;
            fan.open = 0;
        }
        cancelled.insert(path.clone());
    }
    run.derive_queues();
    run.head.in_flight = 0;
    run.head.updated_at = now;
    run.head.finished_at = Some(now);
    run.head.status = RunStatus::Failed;
    run.head.failure = Some(Failure { path: path.clone(), number: 0, error: error.clone() });
    let events = vec![Happened { at: now, what: What::RunFailed { step: path, error } }];
    let effects = notices(None, run, &events);
    Change { steps: cancelled, events, effects, voided, ..Change::default() }
}

/// One call of `advance`.
pub(crate) struct Turn<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) run: &'a mut Run,
    pub(crate) now: Timestamp,
    pub(crate) change: Change,
    /// How many steps and instances it may still begin.
    work_left: u32,
    /// Steps whose predecessors have all ended, to be decided on.
    pub(crate) reached: VecDeque<StepPath>,
}

impl Turn<'_> {
    pub(crate) fn happened(&mut self, what: What) {
        self.change.events.push(Happened { at: self.now, what });
    }

    pub(crate) fn start(&mut self) {
        if self.run.head.status != RunStatus::Pending {
            return;
        }
        self.run.head.status = RunStatus::Running;
        self.happened(What::RunStarted);
        match self.run.spec.part {
            Some(_) => self.start_part(),
            None => self.begin_body(None),
        }
    }

    /// The steps of the body that an instance is, or of the top level.
    pub(crate) fn body_of(&self, instance: Option<&StepPath>) -> Option<&Body> {
        match instance {
            None => Some(&self.plan.top),
            Some(path) => self.plan.body_at(&self.plan.locate(path)?),
        }
    }

    pub(crate) fn child_path(&self, instance: Option<&StepPath>, node: NodeIndex) -> StepPath {
        let id = &self.plan.node(node).id;
        instance.map_or_else(|| StepPath::top(id), |path| path.child(id))
    }

    /// Begins a body: what is not needed is passed over, what can start is reached.
    pub(crate) fn begin_body(&mut self, instance: Option<&StepPath>) {
        let Some(nodes) = self.body_of(instance).map(|body| body.nodes.clone()) else { return };
        let frames = instance.and_then(|path| self.plan.locate(path)).map(|place| place.frames).unwrap_or_default();
        let fates = reuse::fates(&RunScope { plan: self.plan, run: self.run, frames: &frames }, &nodes);
        for (node, fate) in nodes.iter().zip(fates) {
            let path = self.child_path(instance, *node);
            match fate {
                Fate::Runs => {}
                Fate::Reused(reusable) => {
                    let mut step = self.new_step(State::Cached);
                    step.finished_at = Some(self.now);
                    step.skipped = Some(Skipped::Saved { path: reusable.saved.path.clone() });
                    step.outputs = reusable.outputs;
                    step.saved = Some(reusable.saved);
                    let reason = step.skipped.as_ref().map(ToString::to_string).unwrap_or_default();
                    self.put(path.clone(), step);
                    self.happened(What::StepSkipped { step: path, reason });
                }
                Fate::NotNeeded => {
                    let mut step = self.new_step(State::Skipped);
                    step.finished_at = Some(self.now);
                    step.skipped = Some(Skipped::NotNeeded);
                    self.put(path, step);
                }
            }
        }
        self.reach_open(instance, &nodes);
    }

    /// As `reach_open`, for the body that an instance is.
    pub(crate) fn reach_body(&mut self, instance: Option<&StepPath>) {
        if let Some(nodes) = self.body_of(instance).map(|body| body.nodes.clone()) {
            self.reach_open(instance, &nodes);
        }
    }

    /// Reaches every pending step of a body whose predecessors have ended; ends the body if nothing is left.
    fn reach_open(&mut self, instance: Option<&StepPath>, nodes: &[NodeIndex]) {
        for node in nodes {
            let path = self.child_path(instance, *node);
            if self.run.step(&path).is_none() && self.may_begin(instance, *node) {
                self.reached.push_back(path);
            }
        }
        self.settle(instance);
    }

    fn may_begin(&self, instance: Option<&StepPath>, node: NodeIndex) -> bool {
        let ended = |before: &NodeIndex| {
            self.run.step(&self.child_path(instance, *before)).is_some_and(|step| step.state.ended())
        };
        self.plan.node(node).after.iter().rev().all(ended)
    }

    pub(crate) fn new_step(&self, state: State) -> Step {
        Step {
            state,
            generation: self.run.head.generation,
            attempt: 0,
            losses: 0,
            started_at: self.now,
            finished_at: None,
            outputs: Map::new(),
            error: None,
            failed_at: None,
            skipped: None,
            saved: None,
            cached_from: None,
            key: None,
            fan: None,
            caught: None,
            watch: None,
            waiting: None,
            held: None,
            taken: None,
            parking: None,
            cost: StepCost::default(),
            epoch: None,
            child: None,
            pulse: None,
        }
    }

    pub(crate) fn put(&mut self, path: StepPath, step: Step) {
        self.change.steps.insert(path.clone());
        let state = step.state;
        let before = self.run.steps.insert(path, step).map(|before| before.state);
        self.run.tally.moved(before, Some(state));
    }

    pub(crate) fn change_step(&mut self, path: &StepPath, change: impl FnOnce(&mut Step)) {
        if let Some(step) = self.run.steps.get_mut(path) {
            let before = step.state;
            change(step);
            self.run.tally.moved(Some(before), Some(step.state));
            self.change.steps.insert(path.clone());
        }
    }

    /// Forgets a step: it is pending again, and nothing is paid any more for what it was.
    pub(crate) fn forget(&mut self, path: &StepPath) {
        self.void(path);
        if let Some(gone) = self.run.steps.remove(path) {
            self.run.tally.moved(Some(gone.state), None);
        }
        self.change.steps.insert(path.clone());
    }

    /// Nothing is paid any more for a step in its generation: a message about it may still be on its way.
    pub(crate) fn void(&mut self, path: &StepPath) {
        let Some(step) = self.run.step(path).filter(|step| step.attempt > 0) else { return };
        let generation = step.generation;
        let call = self.plan.locate(path).and_then(|place| self.plan.call_at(&place));
        if call.is_some_and(|(_, call)| call.op.calls_a_provider()) {
            self.change.voided.insert((path.clone(), generation));
        }
    }

    /// The status of a run that goes on, from what its steps are at.
    fn derive_status(&mut self) {
        let status = self.run.head.status;
        if status != RunStatus::Pending && !status.is_terminal() {
            self.run.head.status = match self.run.head.paused {
                Some(_) => RunStatus::Paused,
                None => self.run.tally.status(self.change.more),
            };
        }
    }

    /// Decides on a step whose predecessors have ended.
    fn reach(&mut self, path: &StepPath) {
        // What is left of a failed instance or fan-out is not begun.
        if self.run.step(path).is_some() || self.is_abandoned(path) {
            return;
        }
        let Some(place) = self.plan.locate(path) else { return };
        let parent = path.parent();
        let plan = self.plan;
        let node = plan.node(place.node);
        if let Some(frame) = place.frames.last().cloned() {
            self.expand_again(&frame.fan_path);
        }
        match self.condition(node, &place.frames) {
            Ok(true) => {}
            Ok(false) => return self.skip(path, node, &place.frames, Skipped::Condition),
            Err(error) => {
                self.put(path.clone(), self.new_step(State::Ready));
                return self.fail(path, error);
            }
        }
        if node.conditions.is_empty()
            && let Some(failed) = self.failed_input(node, parent.as_ref())
        {
            return self.skip(path, node, &place.frames, Skipped::Failed { step: failed });
        }
        match &node.work {
            Work::Call(call) => {
                if let Some(why) = self.exists(&call.skip_if_exists, &place.frames) {
                    return self.skip(path, node, &place.frames, why);
                }
                let step = self.new_step(State::Ready);
                self.put(path.clone(), step);
                self.run.ready.push_back(path.clone());
            }
            Work::FanOut(fan) => self.open_fan(path, fan, &place),
        }
    }

    fn condition(&self, node: &Node, frames: &[Frame]) -> Result<bool, StepError> {
        let scope = RunScope { plan: self.plan, run: self.run, frames };
        for condition in &node.conditions {
            let holds = holds(condition, &scope).map_err(|error| value_error("if", &error))?;
            if !holds {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A step whose outputs this one uses and that failed, or was skipped because of one that did.
    fn failed_input(&self, node: &Node, instance: Option<&StepPath>) -> Option<StepPath> {
        node.uses.iter().find_map(|used| {
            let path = self.child_path(instance, *used);
            let step = self.run.step(&path)?;
            match (&step.state, &step.skipped) {
                (State::Failed, _) => Some(path),
                (State::Skipped, Some(Skipped::Failed { step })) => Some(step.clone()),
                _ => None,
            }
        })
    }

    fn skip(&mut self, path: &StepPath, node: &Node, frames: &[Frame], why: Skipped) {
        let outputs = match (&node.work, &why) {
            (Work::Call(call), Skipped::Condition | Skipped::Exists { .. }) => {
                passed_on(&RunScope { plan: self.plan, run: self.run, frames }, call)
            }
            _ => Map::new(),
        };
        let mut step = self.new_step(State::Skipped);
        step.finished_at = Some(self.now);
        step.outputs = outputs;
        if matches!(node.work, Work::FanOut(_)) {
            step.fan = Some(Fan::default());
        }
        let reason = why.to_string();
        step.skipped = Some(why);
        self.put(path.clone(), step);
        self.happened(What::StepSkipped { step: path.clone(), reason });
        self.ended(path);
    }

    fn report(&mut self, report: Report) {
        self.book(&report);
        let open = self.run.step(&report.path).is_some_and(|step| {
            let is_latest = step.attempt == report.attempt && is_under_way(step);
            // A success of any attempt of the current generation is taken; of all else only the latest attempt's.
            let is_success = matches!(report.outcome, Outcome::Succeeded(_));
            step.generation == report.generation && (is_latest || is_success && step.is_open())
        });
        if !open {
            self.run.head.stale_reports += 1;
            return;
        }
        if let Outcome::Working(working) = report.outcome {
            return self.hear(&report.path, working);
        }
        self.leave_window(&report.path);
        match report.outcome {
            Outcome::Succeeded(succeeded) if report.path.range().is_some() => self.part_ended(&report.path, succeeded),
            Outcome::Succeeded(succeeded) => self.succeed(&report.path, succeeded),
            Outcome::Failed(error) => self.fail_attempt(&report.path, error),
            Outcome::Waiting(waiting) => self.wait(&report.path, waiting),
            // It has not left the window.
            Outcome::Working(_) => {}
        }
    }

    /// Books what a step has cost, once: reports repeat, and overtake each other.
    fn book(&mut self, report: &Report) {
        let known = match self.run.step(&report.path) {
            Some(step) if step.generation == report.generation => step.cost,
            _ => return,
        };
        let cost = StepCost {
            spent: known.spent.max(report.cost.spent),
            possible_duplicates: known.possible_duplicates.max(report.cost.possible_duplicates),
        };
        if cost == known {
            return;
        }
        let head = &mut self.run.head;
        head.spent = head.spent.plus(Money(cost.spent.0 - known.spent.0));
        head.possible_duplicates += cost.possible_duplicates - known.possible_duplicates;
        self.change_step(&report.path, |step| step.cost = cost);
    }

    pub(crate) fn leave_window(&mut self, path: &StepPath) {
        let dispatched_at = match self.run.step(path) {
            Some(step) if step.state == State::Dispatched => step.started_at,
            _ => return,
        };
        let head = &mut self.run.head;
        head.in_flight = head.in_flight.saturating_sub(1);
        head.window = if self.now.since(dispatched_at) <= QUICK {
            (head.window * 2).min(WINDOW_MAX)
        } else {
            (head.window / 2).max(WINDOW_MIN)
        };
    }

    pub(crate) fn succeed(&mut self, path: &StepPath, succeeded: Succeeded) {
        if self.is_superfluous(path) {
            return self.close_superfluous(path);
        }
        let (now, saved_path) = (self.now, succeeded.saved.as_ref().map(|saved| saved.path.clone()));
        if self.run.step(path).is_some_and(|step| step.state == State::Ready) {
            // It was about to be tried again.
            self.run.ready.retain(|ready| ready != path);
        }
        self.change_step(path, |step| {
            step.state = if succeeded.cached.is_some() { State::Cached } else { State::Completed };
            step.finished_at = Some(now);
            step.outputs = succeeded.outputs;
            step.saved = succeeded.saved;
            step.cached_from = succeeded.cached.clone().map(Box::new);
            step.error = None;
            step.forget_way();
        });
        let mut notes = succeeded.notes;
        notes.extend(succeeded.cached.map(|from| format!("taken from the cache: step {} of {}", from.step, from.run)));
        let Some(step) = self.run.step(path) else { return };
        let (attempts, cost) = (step.attempt, step.cost);
        if let (Some(key), Some(_)) = (step.key, &step.saved) {
            self.change.saved.push((key, path.clone()));
        }
        self.happened(What::StepCompleted { step: path.clone(), attempts, saved: saved_path, notes, cost });
        self.ended(path);
    }

    /// An attempt failed: another one, or the end of the step.
    pub(crate) fn fail_attempt(&mut self, path: &StepPath, error: StepError) {
        if path.range().is_some() {
            return self.fail(path, error);
        }
        let Some(place) = self.plan.locate(path) else { return };
        let plan = self.plan;
        let Some((_, call)) = plan.call_at(&place) else { return };
        let attempt = self.run.step(path).map_or(1, |step| step.attempt);
        if self.is_abandoned(path) {
            return self.fail(path, error);
        }
        if self.run.head.paused.is_some() && call.retry.next(attempt, &error).is_some() {
            return self.try_again_after_pause(path, attempt, error);
        }
        if self.is_to_be_parked(path, call, attempt, &error) {
            return self.park(path, &place, error);
        }
        let Some(wait) = call.retry.next(attempt, &error) else { return self.fail(path, error) };
        // Never sooner than the other side asked for.
        let wait = jittered(wait, self.run.id, path, attempt).max(error.retry_after.unwrap_or_default());
        let again_at = self.now.after(wait);
        if call.child.is_some() {
            return self.start_child_again(path, attempt, again_at, error);
        }
        match self.attempt(path, &place, attempt + 1) {
            Ok(next) => {
                let stored = error.clone();
                self.change_step(path, |step| {
                    step.state = State::Retrying { at: again_at };
                    step.attempt = attempt + 1;
                    step.error = Some(stored);
                    step.forget_way();
                });
                self.happened(What::StepRetrying { step: path.clone(), attempt, again_at, error });
                self.publish(&place, Some(wait), next);
            }
            Err(error) => self.fail(path, error),
        }
    }

    /// A step has ended: what waited for it is reached, what it lies in may have ended too.
    pub(crate) fn ended(&mut self, path: &StepPath) {
        let Some(place) = self.plan.locate(path) else { return };
        if place.is_instance {
            return self.instance_ended(path);
        }
        if self.is_divided_here(path) {
            return self.settle(None);
        }
        let parent = path.parent();
        for next in &self.plan.node(place.node).before {
            if self.may_begin(parent.as_ref(), *next) {
                self.reached.push_back(self.child_path(parent.as_ref(), *next));
            }
        }
        self.settle(parent.as_ref());
    }

    /// Ends an instance, or the run, if nothing of it is left to do.
    pub(crate) fn settle(&mut self, instance: Option<&StepPath>) {
        let Some(body) = self.body_of(instance) else { return };
        let failed = match instance {
            None => self.run.head.failure.is_some() || self.run.head.cancelled.is_some(),
            Some(path) => match self.run.step(path) {
                Some(step) if step.state == State::Open => step.error.is_some() || self.is_abandoned(path),
                _ => return,
            },
        };
        let is_undone = |path: &StepPath| self.run.step(path).map_or(!failed, |step| !step.state.ended());
        let undone = match (instance, &self.run.spec.part) {
            (None, Some(part)) => is_undone(&part.path),
            // Backwards: of a long list the last is usually the one that is missing.
            _ => body.nodes.iter().rev().any(|node| is_undone(&self.child_path(instance, *node))),
        };
        if undone {
            return;
        }
        match instance {
            None => self.finish(),
            Some(path) => {
                let (state, now) = (self.instance_state(path), self.now);
                self.change_step(path, |step| {
                    step.state = state;
                    step.finished_at = Some(now);
                });
                self.instance_ended(path);
            }
        }
    }

    /// How an instance with a body ended, told from its steps.
    fn instance_state(&self, path: &StepPath) -> State {
        let Some(instance) = self.run.step(path) else { return State::Cancelled };
        if instance.error.is_some() {
            return State::Failed;
        }
        let was_cut_short = self.body_of(Some(path)).is_none_or(|body| {
            let is_left = |node: &NodeIndex| match self.run.step(&self.child_path(Some(path), *node)) {
                Some(step) => step.state == State::Cancelled,
                None => true,
            };
            body.nodes.iter().any(is_left)
        });
        if was_cut_short {
            return State::Cancelled;
        }
        let reused = self.body_of(Some(path)).is_some_and(|body| {
            body.nodes.iter().all(|node| match self.run.step(&self.child_path(Some(path), *node)) {
                Some(step) => matches!(
                    (step.state, &step.skipped),
                    (State::Cached, _) | (State::Skipped, Some(Skipped::NotNeeded))
                ),
                None => false,
            })
        });
        if reused { State::Cached } else { State::Completed }
    }

    /// Does whatever can be done now, within the window and the work budget.
    fn pump(&mut self) {
        loop {
            if let Some(path) = self.reached.pop_front() {
                self.reach(&path);
                continue;
            }
            if self.run.head.status.is_terminal() || self.is_stopping() || self.run.head.paused.is_some() {
                return;
            }
            if self.run.head.in_flight >= self.run.head.window.max(self.run.room) {
                return;
            }
            let next_fan = if self.run.ready.is_empty() { self.fan_with_room() } else { None };
            if self.run.ready.is_empty() && next_fan.is_none() {
                return;
            }
            if self.work_left == 0 {
                self.change.more = true;
                return;
            }
            self.work_left -= 1;
            match next_fan {
                Some(path) => self.begin_instance(&path),
                None => {
                    if let Some(path) = self.run.ready.pop_front() {
                        self.dispatch(&path);
                    }
                }
            }
        }
    }

    /// Every top-level step has ended: so has the run.
    pub(crate) fn finish(&mut self) {
        if self.run.head.status.is_terminal() || self.run.tally.has_open() || self.compensate() {
            return;
        }
        self.run.head.paused = None;
        self.run.head.finished_at = Some(self.now);
        if self.run.spec.part.is_some() {
            self.tell();
        }
        if let Some(reason) = self.run.head.cancelled.clone() {
            self.run.head.status = RunStatus::Cancelled;
            return self.happened(What::RunCancelled { reason });
        }
        if self.run.head.failure.is_none() && self.run.spec.part.is_none() {
            match self.outputs() {
                Ok(outputs) => self.run.head.outputs = outputs,
                Err(error) => {
                    self.run.head.failure = Some(Failure { path: StepPath::top("outputs"), number: 0, error });
                }
            }
        }
        match self.run.head.failure.clone() {
            Some(failure) => {
                self.run.head.status = RunStatus::Failed;
                self.happened(What::RunFailed { step: failure.path, error: failure.error });
            }
            None => {
                let failed = self.run.steps.iter().filter(|(_, step)| is_own_failure(step));
                let own = failed.filter(|(path, _)| !self.is_made_good(path)).count() as u32;
                let tolerated = own + self.run.steps.iter().map(|(path, step)| failed_in_part(path, step)).sum::<u32>();
                self.run.head.status = RunStatus::Completed;
                self.run.head.tolerated = tolerated;
                self.happened(What::RunCompleted { tolerated });
            }
        }
    }

    fn outputs(&self) -> Result<Map, StepError> {
        let scope = RunScope { plan: self.plan, run: self.run, frames: &[] };
        let mut outputs = Map::new();
        for (name, template) in &self.plan.outputs {
            let value = template.resolve(&scope).map_err(|error| value_error(&format!("outputs.{name}"), &error))?;
            outputs.insert(name.clone(), value);
        }
        Ok(outputs)
    }
}

/// Whether the step failed by itself: a fan-out fails by its instances, an instance with a body by a step in it.
fn is_own_failure(step: &Step) -> bool {
    step.state == State::Failed && step.fan.is_none() && step.failed_at.is_none()
}
