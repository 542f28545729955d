//! What came from the broker and was not taken yet, and what is wanted from it.

use super::delivery::Received;
use super::gauge::Gauge;
use super::topology::StepLine;
use crate::{Lane, Shard, ShardMessage};
use darkroom_proto::StepMessage;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// So many of [`Lane::First`] are taken to one of [`Lane::Batch`], while there are both.
const FIRST_TO_ONE_BATCH: u8 = 4;

/// The batch lane may be so many takes of the first one behind, and catches up when its messages come: the broker has
/// them, but needs a moment to send them.
const FIRST_AHEAD_MAX: u8 = 4 * FIRST_TO_ONE_BATCH;

/// How long the batch lane waits for the first one when the broker most likely has more of that, and only needs a moment
/// to send it: without this quick steps would be taken from both alike, because both run empty here all the time.
const REFILL: Duration = Duration::from_millis(10);

/// Between consumers, which fill it, and takers.
#[derive(Debug, Default)]
pub(super) struct Hub {
    lines: Mutex<Lines>,
    /// Something came, or the queue was closed: takers look again.
    arrived: Notify,
    /// Other consumers may be needed.
    wanted: Notify,
}

#[derive(Debug, Default)]
struct Lines {
    closed: bool,
    /// The broker has an alarm: what is here stays here.
    blocked: bool,
    pools: Vec<Pool>,
    shards: BTreeMap<Shard, VecDeque<Received<ShardMessage>>>,
    /// The shards that each taker asked for last.
    wanted_shards: BTreeMap<u8, BTreeSet<Shard>>,
    /// Which of its pools or shards a taker looks at first; moves on, so that none of them starves.
    turn: usize,
}

#[derive(Debug)]
struct Pool {
    name: String,
    first: VecDeque<(StepLine, Received<StepMessage>)>,
    batch: VecDeque<Received<StepMessage>>,
    /// How many were taken from the first lane that the batch lane was not yet taken from in return.
    first_taken: u8,
    /// Of the queue of the first lane, while there is a consumer.
    gauge: Option<Arc<Gauge>>,
}

/// What a look gave.
pub(super) enum Look<T> {
    Taken(T),
    Empty,
    /// Nothing yet, but look again after this time even if nothing comes.
    Wait(Duration),
    Closed,
}

impl Pool {
    fn take(&mut self) -> Look<Received<StepMessage>> {
        let lane = match (self.first.is_empty(), self.batch.is_empty()) {
            (true, true) => return Look::Empty,
            (false, true) => Lane::First,
            (true, false) if self.first_taken >= FIRST_TO_ONE_BATCH => Lane::Batch,
            (true, false) => match &self.gauge {
                Some(gauge) if gauge.was_full_within(REFILL) => return Look::Wait(REFILL),
                _ => Lane::Batch,
            },
            (false, false) if self.first_taken < FIRST_TO_ONE_BATCH => Lane::First,
            (false, false) => Lane::Batch,
        };
        let taken = match lane {
            Lane::First | Lane::Poll => {
                self.first_taken = self.first_taken.saturating_add(1).min(FIRST_AHEAD_MAX);
                self.first.pop_front().map(|(_, received)| received)
            }
            Lane::Batch => {
                self.first_taken = self.first_taken.saturating_sub(FIRST_TO_ONE_BATCH);
                self.batch.pop_front()
            }
        };
        taken.map_or(Look::Empty, Look::Taken)
    }
}

impl Hub {
    /// Waits for the next step of these pools; nothing, when the queue is closed.
    pub(super) async fn take_step(&self, pools: &[String]) -> Option<Received<StepMessage>> {
        self.take(|lines| lines.take_step(pools, &self.wanted)).await
    }

    /// Waits for messages of these shards, which become those that are consumed for this taker; none, when the queue is
    /// closed.
    pub(super) async fn take_shard(&self, taker: u8, shards: &[Shard], max: usize) -> Vec<Received<ShardMessage>> {
        let want = shards.iter().copied().collect::<BTreeSet<Shard>>();
        {
            let mut lines = self.lines();
            if lines.wanted_shards.get(&taker) != Some(&want) {
                lines.wanted_shards.insert(taker, want);
                self.wanted.notify_one();
            }
        }
        self.take(|lines| lines.take_shard(shards, max.max(1))).await.unwrap_or_default()
    }

    /// Dropping it loses nothing: what is taken is given out in the same poll.
    async fn take<T>(&self, mut look: impl FnMut(&mut Lines) -> Look<T>) -> Option<T> {
        loop {
            let arrived = self.arrived.notified();
            let mut arrived = std::pin::pin!(arrived);
            // From here on nothing that comes is missed.
            arrived.as_mut().enable();
            let seen = look(&mut self.lines());
            match seen {
                Look::Taken(taken) => return Some(taken),
                Look::Closed => return None,
                Look::Empty => arrived.await,
                Look::Wait(time) => {
                    tokio::select! {
                        () = arrived => {}
                        () = tokio::time::sleep(time) => {}
                    }
                }
            }
        }
    }

    pub(super) fn push_step(&self, pool: &str, line: StepLine, received: Received<StepMessage>) {
        let mut lines = self.lines();
        let closed = lines.closed;
        let Some(pool) = lines.pools.iter_mut().find(|known| known.name == pool).filter(|_| !closed) else { return };
        match line.lane() {
            Lane::First | Lane::Poll => pool.first.push_back((line, received)),
            Lane::Batch => pool.batch.push_back(received),
        }
    }

    pub(super) fn push_shard(&self, shard: Shard, received: Received<ShardMessage>) {
        let mut lines = self.lines();
        if !lines.closed {
            lines.shards.entry(shard).or_default().push_back(received);
        }
    }

    /// Takers look again.
    pub(super) fn wake(&self) {
        self.arrived.notify_waiters();
    }

    /// Whoever keeps the consumers looks whether they are the right ones.
    pub(super) fn look_at_consumers(&self) {
        self.wanted.notify_one();
    }

    /// Waits until other consumers may be needed.
    pub(super) async fn wanted(&self) {
        self.wanted.notified().await;
    }

    /// The pools that steps were ever taken for.
    pub(super) fn wanted_pools(&self) -> Vec<String> {
        self.lines().pools.iter().map(|pool| pool.name.clone()).collect()
    }

    /// The shards of the last take of each taker.
    pub(super) fn wanted_shards(&self) -> BTreeSet<Shard> {
        self.lines().all_wanted_shards()
    }

    /// Says what is known of the first lane of a pool.
    pub(super) fn set_gauge(&self, pool: &str, gauge: Option<Arc<Gauge>>) {
        if let Some(pool) = self.lines().pools.iter_mut().find(|known| known.name == pool) {
            pool.gauge = gauge;
        }
    }

    /// Gives back what waits here for a shard that is not wanted any more.
    pub(super) fn give_back_shard(&self, shard: Shard) {
        let dropped = {
            let mut lines = self.lines();
            if lines.all_wanted_shards().contains(&shard) { None } else { lines.shards.remove(&shard) }
        };
        drop(dropped);
    }

    /// Gives back what waits here of a queue beyond the first few.
    pub(super) fn give_back_steps(&self, pool: &str, line: StepLine, keep: usize) {
        let mut dropped = Vec::new();
        let mut lines = self.lines();
        let Some(pool) = lines.pools.iter_mut().find(|known| known.name == pool) else { return };
        match line.lane() {
            Lane::Batch => dropped.extend(pool.batch.drain(keep.min(pool.batch.len())..)),
            Lane::First | Lane::Poll => {
                let mut kept = VecDeque::with_capacity(pool.first.len());
                let mut seen = 0;
                for (of, received) in pool.first.drain(..) {
                    seen += usize::from(of == line);
                    if of == line && seen > keep {
                        dropped.push(received);
                    } else {
                        kept.push_back((of, received));
                    }
                }
                pool.first = kept;
            }
        }
        drop(lines);
        drop(dropped);
    }

    /// How many steps of a pool wait here.
    pub(super) fn depth(&self, pool: &str) -> u64 {
        let lines = self.lines();
        let pool = lines.pools.iter().find(|known| known.name == pool);
        pool.map_or(0, |pool| (pool.first.len() + pool.batch.len()) as u64)
    }

    /// Forgets everything that came over a connection that is gone: it comes again over the next.
    pub(super) fn forget(&self) {
        let dropped = {
            let mut lines = self.lines();
            let steps: Vec<_> = lines
                .pools
                .iter_mut()
                .map(|pool| {
                    pool.gauge = None;
                    (std::mem::take(&mut pool.first), std::mem::take(&mut pool.batch))
                })
                .collect();
            (steps, std::mem::take(&mut lines.shards))
        };
        drop(dropped);
    }

    /// Stops or resumes handing out.
    pub(super) fn set_blocked(&self, blocked: bool) {
        self.lines().blocked = blocked;
        if !blocked {
            self.wake();
        }
    }

    /// Ends it for all who wait, and gives back what is here.
    pub(super) fn close(&self) {
        self.lines().closed = true;
        self.forget();
        self.wake();
    }

    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    fn all_wanted_shards(&self) -> BTreeSet<Shard> {
        self.wanted_shards.values().flatten().copied().collect()
    }

    fn take_step(&mut self, pools: &[String], wanted: &Notify) -> Look<Received<StepMessage>> {
        if self.closed {
            return Look::Closed;
        }
        for name in pools {
            if !self.pools.iter().any(|pool| pool.name == *name) {
                let name = name.clone();
                let (first, batch) = (VecDeque::new(), VecDeque::new());
                self.pools.push(Pool { name, first, batch, first_taken: 0, gauge: None });
                wanted.notify_one();
            }
        }
        if self.blocked {
            return Look::Empty;
        }
        self.turn = self.turn.wrapping_add(1);
        let mut wait = false;
        for offset in 0..pools.len() {
            let name = &pools[self.turn.wrapping_add(offset) % pools.len()];
            let Some(pool) = self.pools.iter_mut().find(|pool| pool.name == *name) else { continue };
            match pool.take() {
                taken @ Look::Taken(_) => return taken,
                Look::Wait(_) => wait = true,
                Look::Empty | Look::Closed => {}
            }
        }
        if wait { Look::Wait(REFILL) } else { Look::Empty }
    }

    fn take_shard(&mut self, shards: &[Shard], max: usize) -> Look<Vec<Received<ShardMessage>>> {
        if self.closed {
            return Look::Closed;
        }
        if self.blocked {
            return Look::Empty;
        }
        self.turn = self.turn.wrapping_add(1);
        let mut taken = Vec::new();
        for offset in 0..shards.len() {
            let shard = shards[self.turn.wrapping_add(offset) % shards.len()];
            if let Some(line) = self.shards.get_mut(&shard) {
                let count = line.len().min(max - taken.len());
                taken.extend(line.drain(..count));
            }
        }
        if taken.is_empty() { Look::Empty } else { Look::Taken(taken) }
    }
}
