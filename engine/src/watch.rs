//! Watches: every step that is under way is looked at again, even if every message about it was lost.

use crate::advance::Turn;
use crate::lost::is_under_way;
use crate::plan::Plan;
use crate::run::{Run, State, Step};
use darkroom_proto::{Duration, ErrorClass, RunStatus, StepError, StepPath, Timestamp};
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// How long after it was sent a step is looked at first; each further look comes after twice the time.
pub(crate) const LOOK_FIRST: Duration = Duration::from_secs(30);

/// The longest time between two looks.
const LOOK_MAX: Duration = Duration::from_secs(600);

/// The message of a step that is taken for lost this often is held to be what loses it.
const RESENDS_MAX: u32 = 4;

/// The same of a step whose job a provider has: polls that come late, because there are many, are no poison, and what may
/// be paid is not given up in minutes.
const RESENDS_MAX_SUBMITTED: u32 = 20;

/// When a step that is under way is looked at again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// When its message was sent last, or comes back from the delay ladder.
    pub sent_at: Timestamp,
    /// When it is looked at next.
    pub look_at: Timestamp,
    /// How often it was looked at.
    #[serde(default)]
    pub looks: u32,
    /// How often its message was taken for lost and sent again.
    #[serde(default)]
    pub resends: u32,
}

impl Watch {
    /// The watch of a message that is with the workers from `sent_at` on.
    pub(crate) fn new(sent_at: Timestamp) -> Watch {
        Watch { sent_at, look_at: sent_at.after(LOOK_FIRST), looks: 0, resends: 0 }
    }

    /// The watch after its message was sent again.
    pub(crate) fn sent(self, sent_at: Timestamp) -> Watch {
        Watch { sent_at, look_at: sent_at.after(self.gap()), ..self }
    }

    /// The watch after a look found nothing wrong.
    fn looked(self, now: Timestamp) -> Watch {
        let next = Watch { looks: self.looks + 1, ..self };
        Watch { look_at: now.after(next.gap()), ..next }
    }

    fn gap(self) -> Duration {
        Duration(LOOK_FIRST.0.saturating_mul(1 << self.looks.min(8))).min(LOOK_MAX)
    }
}

/// A step whose time to be looked at has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overdue {
    /// The step.
    pub path: StepPath,
    /// Its generation.
    pub generation: u32,
    /// The pool that its message went to.
    pub pool: Cow<'static, str>,
    /// Whether it went to the line of wide fan-outs.
    pub batch: bool,
    /// When its message was sent.
    pub sent_at: Timestamp,
    /// Whether its op may call a provider.
    pub calls_a_provider: bool,
    /// Whether a provider has its job.
    pub submitted: bool,
}

/// The steps of a run that are to be looked at now: whoever asks finds out which of them nobody has, and sends
/// `Event::Looked`.
pub fn overdue(plan: &Plan, run: &Run, now: Timestamp) -> Vec<Overdue> {
    let is_due = |watch: &Watch| watch.look_at <= now;
    // What became of a child is found by starting it again.
    let with_workers = |step: &Step| is_under_way(step) && step.child.is_none();
    let steps = run.steps.iter().filter(|(_, step)| with_workers(step) && step.watch.as_ref().is_none_or(is_due));
    let overdue = steps.filter_map(|(path, step)| {
        let place = plan.locate(path)?;
        let (_, call) = plan.call_at(&place)?;
        Some(Overdue {
            path: path.clone(),
            generation: step.generation,
            pool: call.pool(),
            batch: place.stands_behind() && call.task.is_none(),
            sent_at: step.watch.map_or(step.started_at, |watch| watch.sent_at),
            calls_a_provider: call.op.calls_a_provider(),
            submitted: matches!(step.state, State::Waiting { submitted: true, .. }),
        })
    });
    overdue.collect()
}

/// The line that the message of a step goes to: its pool, and whether it stands behind other runs' work. None for a step
/// that no worker gets.
pub fn line(plan: &Plan, path: &StepPath) -> Option<(Cow<'static, str>, bool)> {
    let place = plan.locate(path)?;
    let (_, call) = plan.call_at(&place)?;
    (!call.op.performed_by_engine()).then(|| (call.pool(), place.stands_behind() && call.task.is_none()))
}

impl Run {
    /// When its owner has to look at it, if nothing happens before.
    pub fn due(&self) -> Option<Timestamp> {
        if self.head.status.is_terminal() {
            return None;
        }
        // What rests is woken by a time that is known, or by a command, and commands are looked for anyway.
        let soon = || (!self.rests()).then(|| self.head.updated_at.after(LOOK_FIRST));
        self.head.look_at.or_else(soon)
    }

    /// Sets when the run is looked at anew, from its steps.
    pub(crate) fn derive_look(&mut self) {
        let is_paused = self.head.paused.is_some();
        let look_at = |step: &Step| match step.state {
            State::Parked { .. } | State::Held { .. } | State::Open if is_paused => None,
            State::Parked { at } => Some(at),
            State::Held { until } => until,
            State::Open => step.fan.as_ref().filter(|fan| !fan.stopped && !fan.enough)?.begins_at,
            _ if is_under_way(step) => step.watch.map(|watch| watch.look_at),
            _ => None,
        };
        self.head.look_at = self.steps.values().filter_map(look_at).min();
    }
}

impl Turn<'_> {
    /// Puts a watch on a step whose message is with the workers from `sent_at` on.
    pub(crate) fn watch(&mut self, path: &StepPath, sent_at: Timestamp) {
        let Some(step) = self.run.step(path) else { return };
        let watch = step.watch.map_or_else(|| Watch::new(sent_at), |watch| watch.sent(sent_at));
        self.set_watch(path, watch);
    }

    pub(crate) fn set_watch(&mut self, path: &StepPath, watch: Watch) {
        self.change_step(path, |step| step.watch = Some(watch));
        self.look_at(watch.look_at);
    }

    /// Has the run looked at at this time, if not before.
    pub(crate) fn look_at(&mut self, at: Timestamp) {
        let before = self.run.head.look_at;
        self.run.head.look_at = Some(before.map_or(at, |before| before.min(at)));
    }

    /// Somebody looked at the steps that were due: the messages of `lost` are gone, the others are where they should be;
    /// nothing is in the way of the parked steps in `ready`.
    pub(crate) fn looked(&mut self, lost: &BTreeSet<StepPath>, ready: &BTreeSet<StepPath>) {
        self.change.touched = true;
        if self.run.head.status == RunStatus::Pending {
            return self.start();
        }
        let now = self.now;
        let due: Vec<StepPath> = self
            .run
            .steps
            .iter()
            .filter(|(_, step)| is_under_way(step) && step.watch.is_none_or(|watch| watch.look_at <= now))
            .map(|(path, _)| path.clone())
            .collect();
        for path in due {
            // The failure of one may have ended another.
            let Some(step) = self.run.step(&path).filter(|step| is_under_way(step)) else { continue };
            let watch = step.watch.unwrap_or_else(|| Watch::new(step.started_at)).looked(now);
            if step.child.is_some() {
                self.change_step(&path, |step| step.watch = Some(watch));
                self.follow_child(&path);
                continue;
            }
            if self.is_task(&path) {
                self.look_at_task(&path, watch, lost.contains(&path));
                continue;
            }
            let resends = watch.resends + 1;
            let resends_max = match step.state {
                State::Waiting { submitted: true, .. } => RESENDS_MAX_SUBMITTED,
                _ => RESENDS_MAX,
            };
            if !lost.contains(&path) {
                self.change_step(&path, |step| step.watch = Some(watch));
            } else if resends >= resends_max {
                self.leave_window(&path);
                self.fail(&path, never_taken(resends_max));
            } else {
                self.change_step(&path, |step| step.watch = Some(Watch { resends, ..watch }));
                self.send_again(&path);
            }
        }
        if self.run.head.paused.is_none() {
            self.checked(ready);
            self.end_overdue_waits();
        }
        self.run.derive_look();
    }
}

fn never_taken(times: u32) -> StepError {
    StepError::new(ErrorClass::WorkflowError, format!("the step was sent {times} times and nobody reported on it"))
        .code("poison")
        .advice("look into the dead letters for it and at the workers of its pool; then resume the run")
}
