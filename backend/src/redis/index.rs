//! The lists of runs: a sorted set for each status, by age.
//!
//! They are in other slots of a cluster than the runs, so they are not written with them but right behind, in the same
//! pipeline. A process that ends in between leaves them wrong, so they are a hint: whoever lists looks at the runs
//! themselves, and puts right what is wrong.

use super::encoding;
use super::keys::{self, Keys};
use super::store::Inner;
use crate::{RunFilter, RunSummary, Shard, StoreError};
use ::redis::Pipeline;
use darkroom_proto::{RunId, RunStatus};
use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};

/// How many entries are read in one go.
const PAGE: usize = 256;

/// How many runs the status is remembered of: 5 MB.
const KNOWN_MAX: usize = 100_000;

/// Under which status this process last put a run, so that a commit that leaves it writes no list.
#[derive(Default)]
pub(super) struct Known(Mutex<HashMap<RunId, RunStatus>>);

impl Known {
    pub(super) fn learn(&self, run: RunId, status: RunStatus) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if status.is_terminal() {
            known.remove(&run);
            return;
        }
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(run, status);
    }

    pub(super) fn get(&self, run: RunId) -> Option<RunStatus> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&run).copied()
    }

    pub(super) fn forget(&self, run: RunId) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&run);
    }
}

/// Entries to write and to remove, by list.
#[derive(Default)]
pub(super) struct Changes {
    put: BTreeMap<RunStatus, Vec<(u64, String)>>,
    remove: BTreeMap<RunStatus, Vec<String>>,
}

impl Changes {
    /// Puts a run under its status, and takes it from where it was, which is anywhere if that is not known.
    pub(super) fn follow(&mut self, run: RunId, summary: &RunSummary, was: Option<RunStatus>) {
        if summary.part {
            return;
        }
        self.put.entry(summary.status).or_default().push((summary.created_at.0, keys::member(run)));
        for &status in RunStatus::ALL {
            if status != summary.status && was.is_none_or(|was| was == status) {
                self.remove(run, status);
            }
        }
    }

    /// Puts a new run under its status.
    pub(super) fn add(&mut self, run: RunId, summary: &RunSummary) {
        if summary.part {
            return;
        }
        self.put.entry(summary.status).or_default().push((summary.created_at.0, keys::member(run)));
    }

    fn remove(&mut self, run: RunId, status: RunStatus) {
        self.remove.entry(status).or_default().push(keys::member(run));
    }

    /// A run may be in several changes of one pipeline, so removals come first: the last status wins.
    pub(super) fn write(self, keys: &Keys, pipeline: &mut Pipeline) {
        for (status, members) in self.remove {
            pipeline.cmd("ZREM").arg(keys.index(status)).arg(members);
        }
        for (status, entries) in self.put {
            let write = pipeline.cmd("ZADD").arg(keys.index(status));
            for (created_at, member) in entries {
                write.arg(created_at).arg(member);
            }
        }
    }
}

/// Where the reading of one list is.
struct Cursor {
    status: RunStatus,
    /// The last entry that was read, or what the list starts behind.
    last: Option<(u64, RunId)>,
    read: VecDeque<(u64, RunId)>,
    page: usize,
    is_done: bool,
}

impl Cursor {
    /// Takes in a page; it starts with entries as old as the last one, of which some were read before.
    fn take_in(&mut self, page: Vec<(Vec<u8>, f64)>) {
        let length = page.len();
        for (member, score) in page {
            let Some(entry) = keys::run_of_member(&member).map(|run| (score as u64, run)) else { continue };
            if self.last.is_none_or(|last| entry < last) {
                self.read.push_back(entry);
                self.last = Some(entry);
            }
        }
        self.is_done = length < self.page;
        if self.read.is_empty() {
            // All of one age.
            self.page *= 4;
        }
    }
}

impl Inner {
    pub(super) async fn list(&self, filter: &RunFilter) -> Result<Vec<(RunId, RunSummary)>, StoreError> {
        let mut behind = None;
        if let Some(before) = filter.before {
            let summaries = self.summaries(&[before]).await?;
            // Nothing is older than a run that is not there.
            let Some(Some(summary)) = summaries.first() else { return Ok(Vec::new()) };
            behind = Some((summary.created_at.0, before));
        }
        let wanted =
            RunStatus::ALL.iter().filter(|status| filter.statuses.is_empty() || filter.statuses.contains(status));
        let page = filter.limit.clamp(16, PAGE);
        let mut cursors: Vec<Cursor> = wanted
            .map(|&status| Cursor { status, last: behind, read: VecDeque::new(), page, is_done: false })
            .collect();
        let mut found = Vec::new();
        let mut seen = HashSet::new();
        while found.len() < filter.limit {
            self.read_on(&mut cursors).await?;
            let entries = newest(&mut cursors, page);
            if entries.is_empty() {
                if cursors.iter().all(|cursor| cursor.is_done) {
                    break;
                }
                continue;
            }
            let runs: Vec<RunId> = entries.iter().map(|&(_, run)| run).collect();
            let mut wrong = Changes::default();
            for ((status, run), summary) in entries.into_iter().zip(self.summaries(&runs).await?) {
                let Some(summary) = summary else {
                    wrong.remove(run, status);
                    continue;
                };
                if summary.status != status {
                    wrong.follow(run, &summary, Some(status));
                }
                if found.len() < filter.limit && passes(filter, &summary) && seen.insert(run) {
                    found.push((run, summary));
                }
            }
            self.write(wrong).await?;
        }
        Ok(found)
    }

    /// Reads on in all lists of which nothing is left, in one round trip.
    async fn read_on(&self, cursors: &mut [Cursor]) -> Result<(), StoreError> {
        let mut read = ::redis::pipe();
        let mut empty: Vec<&mut Cursor> =
            cursors.iter_mut().filter(|cursor| cursor.read.is_empty() && !cursor.is_done).collect();
        for cursor in &empty {
            let from = cursor.last.map_or("+inf".to_owned(), |(created_at, _)| created_at.to_string());
            let read = read.cmd("ZRANGE").arg(self.keys.index(cursor.status)).arg(from).arg("-inf");
            read.arg("BYSCORE").arg("REV").arg("LIMIT").arg(0).arg(cursor.page).arg("WITHSCORES");
        }
        let mut replies = self.connection().send_all(&read).await?;
        for cursor in &mut empty {
            cursor.take_in(replies.next("a list of runs")?);
        }
        Ok(())
    }

    /// What lists show of these runs.
    async fn summaries(&self, runs: &[RunId]) -> Result<Vec<Option<RunSummary>>, StoreError> {
        let mut read = ::redis::pipe();
        for &run in runs {
            read.cmd("HGET").arg(self.keys.run(run)).arg("summary");
        }
        let mut replies = self.connection().send_all(&read).await?;
        let mut summaries = Vec::with_capacity(runs.len());
        for _ in runs {
            let stored: Option<Vec<u8>> = replies.next("the summary of a run")?;
            summaries.push(stored.map(|bytes| encoding::decode("the summary of a run", &bytes)).transpose()?);
        }
        Ok(summaries)
    }

    async fn write(&self, changes: Changes) -> Result<(), StoreError> {
        let mut pipeline = ::redis::pipe();
        changes.write(&self.keys, &mut pipeline);
        self.connection().send_all(&pipeline).await.map(drop)
    }

    /// Makes the lists right for these runs.
    pub(super) async fn reindex(&self, runs: &[RunId]) -> Result<(), StoreError> {
        for runs in runs.chunks(PAGE) {
            let mut changes = Changes::default();
            for (&run, summary) in runs.iter().zip(self.summaries(runs).await?) {
                match summary {
                    Some(summary) => changes.follow(run, &summary, None),
                    None => RunStatus::ALL.iter().for_each(|&status| changes.remove(run, status)),
                }
            }
            self.write(changes).await?;
        }
        Ok(())
    }

    pub(super) async fn repair_index(&self, shard: Shard) -> Result<usize, StoreError> {
        let active = self.active(shard).await?;
        self.reindex(&active).await?;
        Ok(active.len())
    }

    /// Forgets what is known of these runs, of which something went wrong, and makes the lists right again, if that can
    /// be done now.
    pub(super) async fn doubt(&self, runs: &[RunId]) {
        runs.iter().for_each(|&run| self.known.forget(run));
        if let Err(error) = self.reindex(runs).await {
            tracing::debug!(%error, "lists of runs may be wrong until they are read");
        }
    }
}

/// Takes the newest entries off the cursors, at most so many, as long as it is known which one is next.
fn newest(cursors: &mut [Cursor], max: usize) -> Vec<(RunStatus, RunId)> {
    let mut taken = Vec::new();
    while taken.len() < max && cursors.iter().all(|cursor| cursor.is_done || !cursor.read.is_empty()) {
        let Some(cursor) = cursors.iter_mut().max_by_key(|cursor| cursor.read.front().copied()) else { break };
        let Some((_, run)) = cursor.read.pop_front() else { break };
        taken.push((cursor.status, run));
    }
    taken
}

fn passes(filter: &RunFilter, summary: &RunSummary) -> bool {
    filter.tenant.as_ref().is_none_or(|tenant| *tenant == summary.tenant)
        && filter.workflow.as_ref().is_none_or(|workflow| *workflow == summary.workflow)
        && (filter.statuses.is_empty() || filter.statuses.contains(&summary.status))
        && filter.fingerprint.is_none_or(|fingerprint| fingerprint == summary.fingerprint)
}
