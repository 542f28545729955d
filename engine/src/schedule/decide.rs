//! What a schedule does now: a pure transition.

use super::{CATCH_UP_MIN, Calendar, Fire, Overlap, Rule, ScheduleState};
use darkroom_proto::{Duration, RunId, ScheduleId, Timestamp};
use serde::{Deserialize, Serialize};

/// How many times may wait for a run to end.
pub const BUFFER_MAX: usize = 1_000;

/// How many runs one decision starts; what is left follows at once.
const FIRES_MAX: usize = 100;

/// How many times one decision passes that nobody was there for. The rest is jumped over and not counted.
const MISSED_MAX: u64 = 10_000;

/// How soon it is looked again whether a run has ended that others wait for.
const WAIT: Duration = Duration(1_000);

/// A run that has to end before its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    /// The run.
    pub run: RunId,
    /// The time that takes its place.
    pub at: Timestamp,
    /// Whether it is terminated rather than cancelled: nobody waits for it.
    pub terminate: bool,
}

/// What follows for a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// Where it stands now. What is to be done is in `firing` and `ending`, and leaves it once it is done.
    pub state: ScheduleState,
    /// When to decide again; none: only somebody's command changes anything.
    pub due: Option<Timestamp>,
}

/// Decides on every time up to `now`. `state.running` has only runs that have not ended; what an earlier decision had to do
/// is done.
///
/// The same arguments give the same decision. A time is decided on once: the cursor never goes back.
pub fn decide(id: &ScheduleId, rule: &Rule, calendar: &Calendar, state: &ScheduleState, now: Timestamp) -> Decision {
    let mut state = state.clone();
    if state.paused.is_some() {
        return Decision { state, due: None };
    }
    let window = Duration(rule.catch_up.0.max(CATCH_UP_MIN.0));
    drain(id, rule, &mut state);
    let mut passed = 0;
    let next = loop {
        let Some(at) = calendar.next(state.cursor) else { break None };
        let due = calendar.due(id, at);
        if due > now {
            break Some(due);
        }
        if state.firing.len() >= FIRES_MAX {
            break Some(now);
        }
        if now.since(due) > window {
            state.missed += 1;
            passed += 1;
            state.cursor = match passed >= MISSED_MAX {
                // The beginning of the window, with room for what jitter puts off.
                true => at.max(Timestamp(now.0.saturating_sub(window.0.saturating_add(rule.timing.jitter.0)))),
                false => at,
            };
            continue;
        }
        state.cursor = at;
        take(id, rule, &mut state, at);
    };
    let waiting = (!state.buffer.is_empty()).then(|| now.after(WAIT));
    let due = next.into_iter().chain(waiting).min();
    Decision { state, due }
}

/// Starts what has waited and need not wait longer.
fn drain(id: &ScheduleId, rule: &Rule, state: &mut ScheduleState) {
    while !state.buffer.is_empty() && state.firing.len() < FIRES_MAX {
        if !state.running.is_empty() && rule.overlap != Overlap::AllowAll {
            return;
        }
        let at = state.buffer.remove(0);
        fire(id, rule, state, at);
    }
}

/// Decides on one time.
fn take(id: &ScheduleId, rule: &Rule, state: &mut ScheduleState, at: Timestamp) {
    let is_busy = !state.running.is_empty() || !state.buffer.is_empty();
    match rule.overlap {
        _ if !is_busy => fire(id, rule, state, at),
        Overlap::AllowAll => fire(id, rule, state, at),
        Overlap::Skip => state.skipped += 1,
        Overlap::BufferOne if state.buffer.is_empty() => state.buffer.push(at),
        Overlap::BufferAll if state.buffer.len() < BUFFER_MAX => state.buffer.push(at),
        Overlap::BufferOne | Overlap::BufferAll => state.skipped += 1,
        Overlap::CancelOther => {
            end(state, at, false);
            if state.running.is_empty() {
                return fire(id, rule, state, at);
            }
            // What waited for the same end is out of date by now.
            state.skipped += state.buffer.len() as u64;
            state.buffer = vec![at];
        }
        Overlap::TerminateOther => {
            end(state, at, true);
            state.running.clear();
            fire(id, rule, state, at);
        }
    }
}

/// Has the runs end. One that was only just decided on does not start.
fn end(state: &mut ScheduleState, at: Timestamp, terminate: bool) {
    let unstarted: Vec<RunId> = state.firing.drain(..).map(|fire| fire.run).collect();
    state.fired -= unstarted.len() as u64;
    state.skipped += unstarted.len() as u64;
    state.running.retain(|run| !unstarted.contains(run));
    for run in &state.running {
        if !state.ending.iter().any(|end| end.run == *run) {
            state.ending.push(End { run: *run, at, terminate });
        }
    }
}

fn fire(id: &ScheduleId, rule: &Rule, state: &mut ScheduleState, at: Timestamp) {
    let fire = Fire { at, run: id.run_at(at) };
    state.firing.push(fire);
    if rule.overlap == Overlap::AllowAll {
        // Nothing waits for them.
        state.running.clear();
    }
    state.started(fire);
}
