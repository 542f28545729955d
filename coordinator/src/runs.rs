//! The runs in memory, as the store has them.

use darkroom_engine::Run;
use darkroom_engine::plan::Plan;
use darkroom_proto::{RunId, Sha256};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many step instances the cached runs may have together; about 1 KiB each.
const CACHED_STEPS_MAX: usize = 100_000;

/// A run in memory.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) run: Run,
    pub(crate) plan: Arc<Plan>,
    /// The version that the store has.
    pub(crate) version: u64,
    pub(crate) fingerprint: Sha256,
}

/// A cache of runs, bounded by their steps: what is dropped is loaded again when something happens to it.
#[derive(Debug, Default)]
pub(crate) struct Runs {
    live: BTreeMap<RunId, Live>,
    steps: usize,
}

impl Runs {
    /// Takes a run out, to change it.
    pub(crate) fn take(&mut self, id: RunId) -> Option<Live> {
        let live = self.live.remove(&id)?;
        self.steps -= weight(&live);
        Some(live)
    }

    /// Puts a run in.
    pub(crate) fn put(&mut self, live: Live) {
        self.steps += weight(&live);
        if let Some(replaced) = self.live.insert(live.run.id, live) {
            self.steps -= weight(&replaced);
        }
    }

    /// Drops a run.
    pub(crate) fn forget(&mut self, id: RunId) {
        self.take(id);
    }

    /// The version of a run, if it is here.
    pub(crate) fn version(&self, id: RunId) -> Option<u64> {
        self.live.get(&id).map(|live| live.version)
    }

    /// A run, if it is here, when only its version changes.
    pub(crate) fn get_mut(&mut self, id: RunId) -> Option<&mut Live> {
        self.live.get_mut(&id)
    }

    /// Drops every run that is not wanted.
    pub(crate) fn retain(&mut self, wanted: impl Fn(RunId) -> bool) {
        self.live.retain(|id, _| wanted(*id));
        self.steps = self.live.values().map(weight).sum();
    }

    /// Keeps the cache within its bound.
    pub(crate) fn shed(&mut self) {
        while self.steps > CACHED_STEPS_MAX && self.live.len() > 1 {
            let Some((_, dropped)) = self.live.pop_first() else { return };
            self.steps -= weight(&dropped);
        }
    }
}

/// What a run weighs in the cache: its steps, and itself.
fn weight(live: &Live) -> usize {
    live.run.steps.len() + live.run.signals.len() + 1
}
