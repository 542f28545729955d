//! What a run takes from an earlier one: outputs of steps that would be done again with the same parameters and files.

use crate::advance::{Turn, turn};
use crate::change::Event;
use crate::plan::Plan;
use crate::run::{Run, State};
use darkroom_proto::{CachedFrom, Map, RunId, Saved, Sha256, StepPath, Succeeded, cache_key};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The most steps that a run takes from another one. Those beyond are done again.
pub const RECORDED_MAX: usize = 10_000;

/// What one call of an earlier run gave.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// The digest of op, model, parameters and input files.
    pub key: Sha256,
    /// Its outputs.
    pub outputs: Map,
    /// What it saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Saved>,
    /// A file of it is not in the artifact store any more, so that it has to be done again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_gone: bool,
    /// The run that it was, if it was a part of a wide fan-out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<RunId>,
}

/// Which run a run was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// The earlier run.
    pub run: RunId,
    /// How.
    pub how: Again,
    /// The step from which on everything is done again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<StepPath>,
}

/// How a run was made from another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Again {
    /// Done again from the beginning: waits and requests to others too.
    Rerun,
    /// Gone on with from a step: everything before it is taken as it was, decisions of people too.
    Fork,
}

/// What the completed calls of a run gave. Of a fork: without the step `from` and all that depends on it.
pub fn recorded(plan: &Plan, run: &Run, how: Again, from: Option<&StepPath>) -> BTreeMap<StepPath, Recorded> {
    let mut after = run.clone();
    if let (Some(from), true) = (from, run.head.status.is_terminal()) {
        let event = Event::Resume { from: Some(from.clone()), set: Map::new() };
        crate::advance::advance(plan, &mut after, event, run.head.updated_at);
    }
    let done: Vec<StepPath> = after
        .steps
        .iter()
        .filter(|(path, step)| {
            matches!(step.state, State::Completed | State::Cached) || path.range().is_some() && step.child.is_some()
        })
        .map(|(path, _)| path.clone())
        .collect();
    let now = after.head.updated_at;
    let mut turn: Turn<'_> = turn(plan, &mut after, now);
    turn.expand_restored();
    let mut recorded = BTreeMap::new();
    for path in done.into_iter().take(RECORDED_MAX) {
        if let (Some(_), Some(part)) = (path.range(), turn.run.step(&path).and_then(|step| step.child)) {
            let (key, outputs) = (Sha256::of(b"part"), Map::new());
            recorded.insert(path, Recorded { key, outputs, saved: None, is_gone: false, run: Some(part) });
            continue;
        }
        let Some(key) = turn.key_of(&path, how) else { continue };
        let Some(step) = turn.run.step(&path) else { continue };
        let (outputs, saved) = (step.outputs.clone(), step.saved.clone());
        recorded.insert(path, Recorded { key, outputs, saved, is_gone: false, run: None });
    }
    recorded
}

impl Turn<'_> {
    /// The digest of what determines the outputs of a call, if they may be taken from another run.
    fn key_of(&mut self, path: &StepPath, how: Again) -> Option<Sha256> {
        let place = self.plan.locate(path)?;
        let (_, call) = self.plan.call_at(&place)?;
        // What acts on others, or asks them, is done again by whoever does everything again.
        let acts = call.op.performed_by_engine() || call.op.pool == "system" || call.task.is_some();
        if how == Again::Rerun && acts {
            return None;
        }
        let mut params = self.attempt(path, &place, 1).ok()?.message.params;
        if let Some(task) = &call.task {
            // Of a task everything is one parameter: it is not known what determines what.
            params = [("with".to_owned(), serde_json::json!([task, params]))].into_iter().collect();
        }
        Some(cache_key(&self.run.spec.tenant, call.op, &params))
    }

    /// Takes what an earlier run gave for a step, if that had the same parameters and files. False: it is to be done.
    pub(crate) fn take_recorded(&mut self, path: &StepPath) -> bool {
        let spec = self.run.spec.clone();
        let Some(origin) = &spec.origin else { return false };
        // What was dropped since is to be done anew.
        if self.run.head.generation > 1 {
            return false;
        }
        let Some(recorded) = spec.recorded.get(path).filter(|recorded| !recorded.is_gone) else { return false };
        if self.key_of(path, origin.how) != Some(recorded.key) {
            return false;
        }
        let now = self.now;
        self.change_step(path, |step| step.started_at = now);
        let from = CachedFrom { run: origin.run, step: path.clone() };
        let (outputs, saved) = (recorded.outputs.clone(), recorded.saved.clone());
        self.succeed(path, Succeeded { outputs, saved, cached: Some(from), ..Succeeded::default() });
        true
    }
}

/// Why a step of a run that was made from another one is done again, as the glossary says it; `None` if it is taken, or the run
/// was made from no other one. `run` is where it stands after its start.
pub fn why_again(plan: &Plan, run: &Run, path: &StepPath) -> Option<&'static str> {
    let origin = run.spec.origin.as_ref()?;
    if run.step(path).is_some_and(|step| step.state == State::Cached) {
        return None;
    }
    let place = plan.locate(path)?;
    if run.spec.fresh || origin.from.as_ref() == Some(path) {
        return Some("forced");
    }
    let is_done = |node: &crate::plan::NodeIndex| {
        let path = StepPath::top(&plan.node(*node).id);
        run.step(&path).is_some_and(|step| step.state.ended())
    };
    if !plan.node(place.node).after.iter().all(is_done) {
        return Some("upstream changed");
    }
    let within = format!("{path}[");
    let of_step = |of: &StepPath| of == path || of.as_str().starts_with(&within);
    let known: Vec<&Recorded> =
        run.spec.recorded.iter().filter(|(of, _)| of_step(of)).map(|(_, recorded)| recorded).collect();
    Some(match known.iter().any(|recorded| recorded.is_gone) {
        _ if known.is_empty() => "not run before",
        true => "artifact missing",
        false => "inputs changed",
    })
}
