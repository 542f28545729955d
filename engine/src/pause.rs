//! Pausing and going on, ending at once, and changing inputs of steps that have not run.

use crate::advance::{Turn, advance};
use crate::change::{Event, What};
use crate::expr::{Reference, Template};
use crate::plan::{FanOut, Plan, Work};
use crate::run::{Run, State, Step};
use darkroom_proto::{Map, StepCost, StepError, StepPath};

/// Whether these inputs can have other values from now on.
///
/// # Errors
/// Why not, in words for whoever wants it: there is no such input, or a fan-out that has begun was made from it.
pub fn settable(plan: &Plan, run: &Run, from: Option<&StepPath>, set: &Map) -> Result<(), String> {
    if let Some(name) = set.keys().find(|name| !plan.inputs.iter().any(|input| input.name == **name)) {
        let known: Vec<&str> = plan.inputs.iter().map(|input| input.name.as_str()).collect();
        return Err(match known.is_empty() {
            true => format!("the workflow has no input `{name}`; it takes none"),
            false => format!("the workflow has no input `{name}`; it has {}", known.join(", ")),
        });
    }
    if set.is_empty() {
        return Ok(());
    }
    let mut after = run.clone();
    if run.head.status.is_terminal() {
        advance(plan, &mut after, Event::Resume { from: from.cloned(), set: Map::new() }, run.head.updated_at);
    }
    // What was begun from the old list can't be told from what would be begun from another one.
    for (path, _) in after.steps.iter().filter(|(_, step)| step.fan.is_some()) {
        let Some(place) = plan.locate(path) else { continue };
        let Work::FanOut(fan) = &plan.node(place.node).work else { continue };
        // A resume begins what it dropped anew, at once: what has no instance yet is not begun.
        let was_dropped = run.step(path).map(|step| step.generation) != after.step(path).map(|step| step.generation);
        if let (Some(name), false) = (reads(fan, set), was_dropped) {
            return Err(format!("`{path}` has begun and runs over the input `{name}`; resume from it to run it anew"));
        }
    }
    Ok(())
}

/// An input among these that a fan-out runs over.
fn reads<'a>(fan: &FanOut, set: &'a Map) -> Option<&'a str> {
    let lists = fan.for_each.iter().chain(fan.matrix.iter().map(|(_, template)| template));
    let references: Vec<&Reference> = lists.flat_map(Template::references).collect();
    let is_read = |name: &&String| references.contains(&&Reference::Input((*name).clone()));
    set.keys().find(is_read).map(String::as_str)
}

impl Turn<'_> {
    /// Somebody wants nothing new to be sent. What a worker or a provider has is let end; what would come back to a worker
    /// by itself is taken back, under a new generation, so that the message that still comes finds nothing to do.
    pub(crate) fn pause(&mut self, reason: String) {
        if self.run.head.paused.is_some() || self.is_stopping() {
            return;
        }
        self.run.head.paused = Some(reason.clone());
        self.run.head.generation += 1;
        let now = self.now;
        let comes_back = |step: &Step| match step.state {
            State::Retrying { at } => at > now,
            State::Waiting { submitted, until } => !submitted && until > now,
            _ => false,
        };
        let back: Vec<StepPath> =
            self.run.steps.iter().filter(|(_, step)| comes_back(step)).map(|(path, _)| path.clone()).collect();
        for path in back {
            self.take_back(&path);
        }
        self.follow_parts();
        self.run.derive_look();
        self.change.touched = true;
        self.happened(What::RunPaused { reason });
    }

    fn take_back(&mut self, path: &StepPath) {
        self.void(path);
        let generation = self.run.head.generation;
        self.change_step(path, |step| {
            step.state = State::Ready;
            step.generation = generation;
            // The attempt that was to come has not been made.
            step.attempt = step.attempt.saturating_sub(1);
            step.cost = StepCost::default();
            step.forget_way();
        });
        self.run.ready.push_back(path.clone());
    }

    /// An attempt failed while the run is paused: the next one waits for the end of the pause.
    pub(crate) fn try_again_after_pause(&mut self, path: &StepPath, attempt: u32, error: StepError) {
        let stored = error.clone();
        self.change_step(path, |step| {
            step.state = State::Ready;
            step.error = Some(stored);
            step.forget_way();
        });
        self.run.ready.push_back(path.clone());
        self.happened(What::StepRetrying { step: path.clone(), attempt, again_at: self.now, error });
    }

    /// Somebody wants a paused run to go on.
    pub(crate) fn unpause(&mut self, set: Map) {
        if self.run.head.paused.is_none() || !self.set_inputs(None, set) {
            return;
        }
        self.run.head.paused = None;
        self.change.touched = true;
        self.happened(What::RunResumed { from: None });
        self.follow_parts();
        self.end_overdue_waits();
        self.run.derive_look();
    }

    /// Gives inputs other values, if that can be.
    pub(crate) fn set_inputs(&mut self, from: Option<&StepPath>, set: Map) -> bool {
        if let Err(reason) = settable(self.plan, self.run, from, &set) {
            self.refuse("resume", String::new(), String::new(), reason);
            return false;
        }
        if !set.is_empty() {
            self.happened(What::InputsSet { names: set.keys().cloned().collect() });
            self.run.overrides.extend(set);
            self.change.inputs = true;
        }
        true
    }

    /// Somebody wants the run to end at once. Jobs that providers have are cancelled there; what comes of them is booked
    /// and changes nothing else.
    pub(crate) fn terminate(&mut self, reason: String) {
        self.run.head.cancelled.get_or_insert(reason);
        self.run.head.compensated = true;
        let all = self.run.steps.keys().cloned().collect();
        self.cancel_at_providers(all);
        let open: Vec<StepPath> =
            self.run.steps.iter().filter(|(_, step)| !step.state.ended()).map(|(path, _)| path.clone()).collect();
        for path in open {
            self.call_off(&path);
            self.change_step(&path, |step| {
                if let Some(fan) = &mut step.fan {
                    fan.stopped = true;
                    fan.open = 0;
                }
            });
        }
        self.run.head.in_flight = 0;
        self.reached.clear();
        self.run.derive_queues();
        self.finish();
    }
}
