//! Looking at runs whose time has come: what became of the steps that nobody reported on.

use crate::runs::Live;
use crate::service::{Coordinator, CoordinatorError};
use darkroom_backend::{Member, Queue, Role, Shard, Store};
use darkroom_engine::{Event, Overdue, line, overdue};
use darkroom_proto::{Duration, RunId, StepPath, Timestamp};
use futures_util::future::join_all;
use std::collections::{BTreeMap, BTreeSet};

/// How many due runs of a shard one look takes.
const DUE_MAX: usize = 256;

/// How much later a step must have been sent that is already reported on, for an earlier one of its line to count as
/// lost: messages of one line overtake each other a little.
const OVERTAKING: Duration = Duration(2_000);

/// What one look finds out about the fleet, asked for once.
#[derive(Default)]
struct Sight {
    workers: Option<BTreeSet<String>>,
    depths: BTreeMap<&'static str, u64>,
}

impl<S: Store, Q: Queue> Coordinator<S, Q> {
    /// Finds the runs that are due, and tells itself what became of their steps.
    pub(crate) async fn look_around(&mut self) -> Result<(), CoordinatorError> {
        self.slots = slots(&self.store.members(Role::Worker).await?);
        let now = self.store.now().await?;
        let shards: Vec<Shard> = self.tenures.keys().copied().collect();
        let asked = join_all(shards.iter().map(|shard| self.store.due(*shard, now, DUE_MAX))).await;
        let mut sight = Sight::default();
        for due in asked {
            for run in due?.0 {
                let Some(live) = self.take(run).await? else { continue };
                let lost = self.lost(&live, now, &mut sight).await;
                self.runs.put(live);
                let lost = lost?;
                if !lost.is_empty() {
                    tracing::warn!(%run, steps = lost.len(), "messages about steps are lost; they are sent again");
                    metrics::counter!("darkroom_coordinator_resends_total").increment(lost.len() as u64);
                }
                self.own.push_back((run, Event::Looked { lost }));
            }
        }
        if self.reads_inboxes() {
            for inbox in join_all(shards.iter().map(|shard| self.store.inbox(*shard))).await {
                let commanded: BTreeSet<RunId> = inbox?.into_iter().map(|command| command.run).collect();
                self.own.extend(commanded.into_iter().map(|run| (run, Event::Continue)));
            }
        }
        Ok(())
    }

    /// The overdue steps of a run whose messages are gone: no worker that is alive has them, and their line is empty or
    /// has moved on past them.
    async fn lost(
        &self,
        live: &Live,
        now: Timestamp,
        sight: &mut Sight,
    ) -> Result<BTreeSet<StepPath>, CoordinatorError> {
        let overdue = overdue(&live.plan, &live.run, now);
        let mut lost = BTreeSet::new();
        if overdue.is_empty() {
            return Ok(lost);
        }
        let claims = self.store.claims(live.run.id).await?;
        let workers = match &sight.workers {
            Some(workers) => workers,
            None => {
                let members = self.store.members(Role::Worker).await?;
                sight.workers.insert(members.into_iter().map(|member| member.id).collect())
            }
        };
        for Overdue { path, generation, pool, batch, sent_at } in overdue {
            let claim = claims.iter().find(|claim| claim.step == path && claim.generation == generation);
            if claim.is_some_and(|claim| workers.contains(&claim.worker)) {
                continue;
            }
            let passed = self.reported.get(&(pool, batch)).is_some_and(|latest| *latest > sent_at.after(OVERTAKING));
            let depth = match sight.depths.get(pool) {
                Some(depth) => *depth,
                None => *sight.depths.entry(pool).or_insert(self.queue.depth(pool).await?),
            };
            if passed || depth == 0 {
                lost.insert(path);
            }
        }
        Ok(lost)
    }

    /// Remembers how far each line of workers has come, from the reports of a run.
    pub(crate) fn note_reports(&mut self, live: &Live, events: &[Event]) {
        if !self.queue.durable() {
            return;
        }
        for event in events {
            let Event::Report(report) = event else { continue };
            let Some(watch) = live.run.step(&report.path).and_then(|step| step.watch) else { continue };
            let Some(line) = line(&live.plan, &report.path) else { continue };
            let latest = self.reported.entry(line).or_insert(watch.sent_at);
            *latest = (*latest).max(watch.sent_at);
        }
    }
}

/// How many slots the workers of the widest pool have together, by what they say of themselves.
fn slots(workers: &[Member]) -> u32 {
    let mut of_pool: BTreeMap<String, u32> = BTreeMap::new();
    for worker in workers {
        let Ok(said) = serde_json::from_slice::<Said>(&worker.info) else { continue };
        for pool in said.pools {
            let slots = of_pool.entry(pool).or_default();
            *slots = slots.saturating_add(said.slots);
        }
    }
    of_pool.into_values().max().unwrap_or_default()
}

/// What a worker says of itself.
#[derive(Debug, serde::Deserialize)]
struct Said {
    pools: Vec<String>,
    slots: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_added_up_by_pool_and_the_widest_counts() {
        let worker = |info: &str| Member { id: info.into(), info: info.into() };
        let workers = [
            worker(r#"{"pools": ["api", "image"], "slots": 4}"#),
            worker(r#"{"pools": ["image"], "slots": 8}"#),
            worker("of another release"),
        ];
        assert_eq!(slots(&workers), 12);
        assert_eq!(slots(&[]), 0);
    }
}
