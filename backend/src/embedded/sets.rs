//! What the owner of a shard asks for all the time, kept in memory: which runs are active, dirty and due, and who owns
//! the shard.

use crate::Epoch;
use darkroom_proto::{RunId, Timestamp};
use std::collections::{BTreeSet, HashMap};

/// The sets of one shard. They follow from the records of its open runs and are made again from them at open.
#[derive(Debug, Default)]
pub(super) struct Sets {
    open: HashMap<RunId, OpenRun>,
    active: BTreeSet<(Timestamp, RunId)>,
    due: BTreeSet<(Timestamp, RunId)>,
    dirty: BTreeSet<(Timestamp, RunId)>,
    pub(super) lease: Option<Lease>,
}

/// What the sets know of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct OpenRun {
    pub(super) version: u64,
    pub(super) created_at: Timestamp,
    pub(super) active: bool,
    pub(super) dirty: bool,
    pub(super) due: Option<Timestamp>,
}

impl OpenRun {
    /// Whether there is a reason to know of the run at all.
    pub(super) fn is_open(&self) -> bool {
        self.active || self.dirty || self.due.is_some()
    }
}

/// Who owns a shard, and until when.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    pub(super) owner: String,
    pub(super) epoch: Epoch,
    pub(super) until: Timestamp,
}

impl Sets {
    /// Puts what is known of a run in the place of what was.
    pub(super) fn put(&mut self, run: RunId, now: OpenRun) {
        let was = if now.is_open() { self.open.insert(run, now) } else { self.open.remove(&run) };
        if let Some(was) = was {
            self.active.remove(&(was.created_at, run));
            self.dirty.remove(&(was.created_at, run));
            if let Some(due) = was.due {
                self.due.remove(&(due, run));
            }
        }
        if now.active {
            self.active.insert((now.created_at, run));
        }
        if now.dirty {
            self.dirty.insert((now.created_at, run));
        }
        if let Some(due) = now.due {
            self.due.insert((due, run));
        }
    }

    /// What is known of a run, if it is open.
    pub(super) fn get(&self, run: RunId) -> Option<OpenRun> {
        self.open.get(&run).copied()
    }

    /// The unfinished runs, oldest first.
    pub(super) fn active(&self) -> Vec<RunId> {
        self.active.iter().map(|&(_, run)| run).collect()
    }

    /// The runs with effects to perform, oldest first.
    pub(super) fn dirty(&self) -> Vec<RunId> {
        self.dirty.iter().map(|&(_, run)| run).collect()
    }

    /// The runs that are due, the most overdue first, and when the next one after them is.
    pub(super) fn due(&self, now: Timestamp, limit: usize) -> (Vec<RunId>, Option<Timestamp>) {
        let runs: Vec<RunId> =
            self.due.iter().take_while(|&&(due, _)| due <= now).take(limit).map(|&(_, run)| run).collect();
        let next = self.due.iter().nth(runs.len()).map(|&(due, _)| due);
        (runs, next)
    }

    /// The epoch that owns the shard now.
    pub(super) fn epoch(&self, now: Timestamp) -> Option<Epoch> {
        self.lease.as_ref().filter(|lease| lease.until > now).map(|lease| lease.epoch)
    }
}
