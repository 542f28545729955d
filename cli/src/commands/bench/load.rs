//! Runs handed in to a fleet, as many at once as are wanted, until all of them have ended.

use super::workflow::spec;
use crate::commands::run::new_id;
use crate::failure::Failure;
use crate::fleet::{Fleet, SHARDS};
use crate::handing;
use crate::workflow_file::WorkflowFile;
use darkroom_backend::{Shard, Store as _};
use darkroom_coordinator::Submission;
use darkroom_proto::{Map, RunId};
use futures_util::future::try_join_all;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

/// How many runs are handed in together.
const BATCH: u32 = 250;

/// How many batches are handed in at the same time.
const SUBMITTERS: usize = 4;

/// How long the servers may be away, as they are while it is tested what happens then.
const AWAY_MAX: Duration = Duration::from_secs(120);

/// How often is looked which runs have ended: for each that is under way it costs something, so that much less often.
const LOOK_PER_RUN: Duration = Duration::from_micros(30);
const LOOK_MIN: Duration = Duration::from_millis(2);
const LOOK_MAX: Duration = Duration::from_millis(300);

/// How many runs there are.
#[derive(Debug, Clone, Copy)]
pub(super) enum Amount {
    /// So many, all at once.
    Runs(u32),
    /// So many at once, for so long.
    AtOnce(u32, Duration),
}

impl Amount {
    /// How many more may be handed in now.
    fn room(self, handed_in: u32, under_way: u32, elapsed: Duration) -> u32 {
        match self {
            Amount::Runs(runs) => runs.saturating_sub(handed_in),
            Amount::AtOnce(at_once, time) if elapsed < time => at_once.saturating_sub(under_way),
            Amount::AtOnce(..) => 0,
        }
    }
}

/// What was handed in, and has ended.
#[derive(Debug)]
pub(super) struct Done {
    pub(super) runs: Vec<RunId>,
    pub(super) wall: Duration,
}

/// Hands in runs of a workflow, all with the same inputs, and waits until they have ended.
pub(super) async fn put_through(
    fleet: &Fleet,
    file: &Arc<WorkflowFile>,
    inputs: &Map,
    amount: Amount,
) -> Result<Done, Failure> {
    let mut submitting: JoinSet<Result<Vec<RunId>, Failure>> = JoinSet::new();
    let (mut runs, mut under_way) = (Vec::new(), HashSet::new());
    let (mut handed_in, mut on_their_way) = (0, 0);
    let began = Instant::now();
    let mut next_look = began;
    loop {
        while submitting.len() < SUBMITTERS {
            let room = amount.room(handed_in, under_way.len() as u32 + on_their_way, began.elapsed()).min(BATCH);
            if room == 0 {
                break;
            }
            handed_in += room;
            on_their_way += room;
            submitting.spawn(hand_in(fleet.clone(), file.clone(), inputs.clone(), room));
        }
        if submitting.is_empty() && under_way.is_empty() {
            return Ok(Done { runs, wall: began.elapsed() });
        }
        tokio::select! {
            Some(batch) = submitting.join_next() => {
                let batch = batch.map_err(|error| Failure::other(format!("handing in broke: {error}")))??;
                on_their_way -= batch.len() as u32;
                under_way.extend(batch.iter().copied());
                runs.extend(batch);
            }
            () = tokio::time::sleep_until(next_look.into()), if !under_way.is_empty() => {
                let active = patiently(|| active(fleet)).await?;
                under_way.retain(|run| active.contains(run));
                let pause = LOOK_PER_RUN.saturating_mul(active.len() as u32).clamp(LOOK_MIN, LOOK_MAX);
                next_look = Instant::now() + pause;
            }
        }
    }
}

/// A run for each shard: when they have ended, every shard has an owner and somebody works.
pub(super) async fn warm_up(fleet: &Fleet, file: &WorkflowFile) -> Result<(), Failure> {
    let mut left: HashSet<u16> = (0..SHARDS).collect();
    let mut submissions = Vec::new();
    while !left.is_empty() {
        let run = new_id();
        if left.remove(&run.shard(SHARDS)) {
            submissions.push(Submission { run, spec: spec(file, Map::new()) });
        }
    }
    let desk = fleet.desk();
    let (desk, submissions) = (&desk, &submissions);
    patiently(|| async move {
        desk.define(&file.definition, file.plan.clone()).await.map_err(|error| handing::failed(fleet, error))?;
        desk.submit(submissions).await.map_err(|error| handing::failed(fleet, error))
    })
    .await?;
    let ours: HashSet<RunId> = submissions.iter().map(|submission| submission.run).collect();
    while !ours.is_disjoint(&patiently(|| active(fleet)).await?) {
        tokio::time::sleep(LOOK_MIN).await;
    }
    Ok(())
}

async fn hand_in(fleet: Fleet, file: Arc<WorkflowFile>, inputs: Map, count: u32) -> Result<Vec<RunId>, Failure> {
    let desk = fleet.desk();
    let new = (0..count).map(|_| Submission { run: new_id(), spec: spec(&file, inputs.clone()) });
    let submissions: Vec<Submission> = new.collect();
    // Handing in an id twice is handing it in once.
    let (desk, all) = (&desk, &submissions);
    patiently(|| async { desk.submit(all).await.map_err(|error| handing::failed(&fleet, error)) }).await?;
    Ok(submissions.into_iter().map(|submission| submission.run).collect())
}

/// The unfinished runs of all shards.
async fn active(fleet: &Fleet) -> Result<HashSet<RunId>, Failure> {
    let store = &fleet.store.store;
    let shards = (0..SHARDS).map(|shard| store.active(Shard(shard)));
    let active = try_join_all(shards).await.map_err(|error| fleet.store.failed(error))?;
    Ok(active.into_iter().flatten().collect())
}

/// Asks again while a server is away.
pub(super) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, Failure>
where
    F: Future<Output = Result<T, Failure>>,
{
    let give_up = Instant::now() + AWAY_MAX;
    loop {
        match ask().await {
            Err(failure) if failure.is_unreachable() && Instant::now() < give_up => {
                tracing::debug!(why = failure.message(), "asking again");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
            answer => return answer,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_of_runs_is_handed_in_as_a_whole() {
        assert_eq!(Amount::Runs(10).room(4, 4, Duration::ZERO), 6);
        assert_eq!(Amount::Runs(10).room(10, 0, Duration::ZERO), 0);
    }

    #[test]
    fn as_many_as_at_once_are_kept_under_way_until_the_time_is_up() {
        let amount = Amount::AtOnce(10, Duration::from_secs(30));
        assert_eq!(amount.room(500, 7, Duration::from_secs(29)), 3);
        assert_eq!(amount.room(500, 12, Duration::from_secs(29)), 0);
        assert_eq!(amount.room(500, 7, Duration::from_secs(30)), 0);
    }
}
