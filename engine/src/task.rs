//! Tasks: steps that workers of somebody else's do, in whatever language.
//!
//! They make no claims and leave no marks, so whether one is at a step is told from what it says: each sign of life gives
//! it the step's `timeout` anew. Before the first one a step is taken to be in hand once its message has left the queue.

use crate::advance::Turn;
use crate::change::What;
use crate::watch::{LOOK_FIRST, Watch};
use darkroom_proto::{Duration, ErrorClass, StepError, StepMessage, StepPath, Timestamp, Working, op};
use serde::{Deserialize, Serialize};

/// A worker that has come further is heard this often at most; what it says in between is passed over.
const HEARD_EVERY: Duration = Duration(1_000);

/// One that only says that it is there is heard so many times within the step's `timeout`.
const SIGNS_PER_TIMEOUT: u64 = 8;

/// How much further a worker must have come for that to be told to people, unless some time has passed.
const TOLD_SHARE: f64 = 0.01;

/// After this time what a worker says is told to people if it says something else than before.
const TOLD_EVERY: Duration = Duration::from_secs(10);

/// The longest note of a worker, in characters.
const NOTE_CHARS_MAX: usize = 200;

/// What is known of the worker that has a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Pulse {
    /// When it was heard last, or when its message had left the queue.
    pub at: Timestamp,
    /// How much is done, from 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub progress: Option<f64>,
    /// What it is at.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
    /// When people were told last, and how much was done then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub told: Option<(Timestamp, Option<f64>)>,
}

impl Pulse {
    fn new(at: Timestamp) -> Pulse {
        Pulse { at, progress: None, note: String::new(), told: None }
    }

    /// How far it is, for people.
    pub(crate) fn said(&self) -> Option<String> {
        match (self.progress, self.note.is_empty()) {
            (None, true) => None,
            (None, false) => Some(self.note.clone()),
            (Some(progress), is_bare) => {
                let percent = format!("{:.0} %", progress * 100.0);
                Some(if is_bare { percent } else { format!("{percent}: {}", self.note) })
            }
        }
    }

    /// Whether a sign of life says so much that it is stored.
    fn takes(&self, working: &Working, now: Timestamp, timeout: Duration) -> bool {
        let since = now.since(self.at);
        let says_more = working.progress != self.progress || working.note != self.note;
        since.0 >= timeout.0 / SIGNS_PER_TIMEOUT || says_more && since >= HEARD_EVERY
    }

    /// Whether what it says now is told to people.
    fn tells(&self, before: Option<&Pulse>) -> bool {
        let Some((told_at, told)) = self.told else { return self.said().is_some() };
        let (now, then) = (self.progress.unwrap_or_default(), told.unwrap_or_default());
        let says_more = before.is_none_or(|before| (before.progress, &before.note) != (self.progress, &self.note));
        (now - then).abs() >= TOLD_SHARE || says_more && self.at.since(told_at) >= TOLD_EVERY
    }
}

impl Turn<'_> {
    /// Whether the step is a task.
    pub(crate) fn is_task(&self, path: &StepPath) -> bool {
        self.task_timeout(path).is_some()
    }

    fn task_timeout(&self, path: &StepPath) -> Option<Duration> {
        // A part of a wide fan-out is a run, whatever its instances are.
        let place = self.plan.locate(path).filter(|_| path.range().is_none())?;
        let (_, call) = self.plan.call_at(&place)?;
        call.task.as_ref().map(|_| call.timeout)
    }

    /// Has a task that was sent looked at after its `timeout` at the latest.
    pub(crate) fn watch_task(&mut self, message: &StepMessage) {
        let (path, timeout) = (&message.path, message.timeout);
        let is_task = op::task_name(&message.op).is_some();
        if let Some(watch) = self.run.step(path).filter(|_| is_task).and_then(|step| step.watch) {
            let look_at = watch.look_at.min(watch.sent_at.after(timeout));
            self.set_watch(path, Watch { look_at, ..watch });
        }
    }

    /// A worker says that it is at the step.
    pub(crate) fn hear(&mut self, path: &StepPath, working: Working) {
        let (Some(timeout), Some(step)) = (self.task_timeout(path), self.run.step(path)) else { return };
        let working = bounded(working);
        let (now, before) = (self.now, step.pulse.as_deref().cloned());
        if before.as_ref().is_some_and(|pulse| !pulse.takes(&working, now, timeout)) {
            return;
        }
        let watch = step.watch.unwrap_or_else(|| Watch::new(step.started_at));
        let told = before.as_ref().and_then(|pulse| pulse.told);
        let Working { progress, note } = working;
        let mut pulse = Pulse { at: now, progress, note, told };
        let tells = pulse.tells(before.as_ref());
        if tells {
            pulse.told = Some((now, pulse.progress));
            let (step, progress, note) = (path.clone(), pulse.progress, pulse.note.clone());
            self.happened(What::StepProgress { step, progress, note });
        }
        self.change_step(path, |step| step.pulse = Some(Box::new(pulse)));
        self.set_watch(path, Watch { look_at: now.after(timeout), ..watch });
    }

    /// Somebody looked at a task whose time had come. `has_left`: its message is not in the queue any more.
    pub(crate) fn look_at_task(&mut self, path: &StepPath, watch: Watch, has_left: bool) {
        let (Some(timeout), Some(step)) = (self.task_timeout(path), self.run.step(path)) else { return };
        let now = self.now;
        let heard_at = step.pulse.as_ref().map(|pulse| pulse.at);
        let look_at = match heard_at {
            Some(heard_at) if now.since(heard_at) >= timeout => {
                self.leave_window(path);
                return self.fail_attempt(path, silent(timeout));
            }
            Some(heard_at) => heard_at.after(timeout),
            None if has_left => {
                self.change_step(path, |step| step.pulse = Some(Box::new(Pulse::new(now))));
                now.after(timeout)
            }
            None => watch.look_at.min(now.after(timeout.max(LOOK_FIRST))),
        };
        self.change_step(path, |step| step.watch = Some(Watch { look_at, ..watch }));
    }
}

/// What a worker said, within limits.
fn bounded(working: Working) -> Working {
    let progress = working.progress.filter(|progress| progress.is_finite()).map(|progress| progress.clamp(0.0, 1.0));
    let note = working.note.chars().map(|c| if c.is_control() { ' ' } else { c }).take(NOTE_CHARS_MAX).collect();
    Working { progress, note }
}

fn silent(timeout: Duration) -> StepError {
    StepError::new(ErrorClass::Timeout, format!("the worker of the task was not heard of for {timeout}"))
        .code("task_silent")
        .advice(
            "have it report that it is at work a few times within the step's `timeout`, or give the step a longer one",
        )
}
