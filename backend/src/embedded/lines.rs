//! The lines of an [`EmbeddedQueue`](super::EmbeddedQueue): what stands where, and who comes next.

use super::waiters::Waiters;
use crate::{Lane, QueueError, Shard, ShardMessage};
use darkroom_proto::StepMessage;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::sync::Arc;
use tokio::time::Instant;

/// So many of [`Lane::First`] are taken to one of [`Lane::Batch`], while there are both.
const FIRST_TO_ONE_BATCH: u8 = 4;

/// A message that waits.
#[derive(Debug)]
pub(super) struct Waiting<M> {
    /// Shared, so that a delivery that is dropped can give it back.
    pub(super) message: Arc<M>,
    pub(super) redelivered: bool,
}

/// Everything behind the queue's lock.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) pools: Vec<Pool>,
    shards: HashMap<Shard, VecDeque<Waiting<ShardMessage>>>,
    /// Who waits for steps, by position of the pool.
    pub(super) step_waiters: Waiters,
    /// Who waits for messages of shards, by number of the shard.
    pub(super) shard_waiters: Waiters,
    delayed: BinaryHeap<Reverse<Delayed>>,
    delayed_count: u64,
    /// Which of its pools or shards a taker looks at first; moves on, so that none of them starves.
    turn: usize,
    /// All messages that are not acked yet.
    messages: usize,
    messages_max: usize,
    pub(super) closed: bool,
}

/// The two lanes of a pool.
#[derive(Debug)]
pub(super) struct Pool {
    pub(super) name: String,
    first: VecDeque<Waiting<StepMessage>>,
    batch: VecDeque<Waiting<StepMessage>>,
    /// How many were taken from the first lane since the last from the other.
    first_taken: u8,
}

/// A step that is kept back.
#[derive(Debug)]
pub(super) struct Delayed {
    until: Instant,
    /// Keeps steps of the same moment in order.
    number: u64,
    pool: usize,
    lane: Lane,
    message: Arc<StepMessage>,
}

impl PartialEq for Delayed {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for Delayed {}

impl PartialOrd for Delayed {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Delayed {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.until, self.number).cmp(&(other.until, other.number))
    }
}

impl Pool {
    fn lane(&mut self, lane: Lane) -> &mut VecDeque<Waiting<StepMessage>> {
        match lane {
            Lane::First | Lane::Poll => &mut self.first,
            Lane::Batch => &mut self.batch,
        }
    }

    fn take(&mut self) -> Option<(Lane, Waiting<StepMessage>)> {
        let lane = match (self.first.is_empty(), self.batch.is_empty()) {
            (true, true) => return None,
            (false, true) => Lane::First,
            (true, false) => Lane::Batch,
            (false, false) if self.first_taken < FIRST_TO_ONE_BATCH => Lane::First,
            (false, false) => Lane::Batch,
        };
        self.first_taken = match lane {
            Lane::First | Lane::Poll => self.first_taken.saturating_add(1).min(FIRST_TO_ONE_BATCH),
            Lane::Batch => 0,
        };
        self.lane(lane).pop_front().map(|waiting| (lane, waiting))
    }

    /// How many wait in both lanes.
    pub(super) fn depth(&self) -> usize {
        self.first.len() + self.batch.len()
    }
}

impl Lines {
    pub(super) fn new(pools: Vec<String>, messages_max: usize) -> Self {
        let pool = |name| Pool { name, first: VecDeque::new(), batch: VecDeque::new(), first_taken: 0 };
        Self {
            pools: pools.into_iter().map(pool).collect(),
            shards: HashMap::new(),
            step_waiters: Waiters::default(),
            shard_waiters: Waiters::default(),
            delayed: BinaryHeap::new(),
            delayed_count: 0,
            turn: 0,
            messages: 0,
            messages_max,
            closed: false,
        }
    }

    /// The position of a pool.
    pub(super) fn pool(&self, name: &str) -> Result<usize, QueueError> {
        let position = self.pools.iter().position(|pool| pool.name == name);
        position.ok_or_else(|| QueueError::NoSuchPool { pool: name.to_owned() })
    }

    /// Whether so many more messages may come.
    pub(super) fn has_room_for(&self, more: usize) -> bool {
        self.messages.saturating_add(more) <= self.messages_max
    }

    pub(super) fn push_step(&mut self, pool: usize, lane: Lane, message: Arc<StepMessage>) {
        self.messages += 1;
        self.pools[pool].lane(lane).push_back(Waiting { message, redelivered: false });
        self.step_waiters.wake(pool);
    }

    /// Keeps a step back. True: it is now the first to come back, so the timer has to look again.
    pub(super) fn push_delayed(&mut self, until: Instant, pool: usize, lane: Lane, message: Arc<StepMessage>) -> bool {
        self.messages += 1;
        self.delayed_count += 1;
        let number = self.delayed_count;
        self.delayed.push(Reverse(Delayed { until, number, pool, lane, message }));
        self.delayed.peek().is_some_and(|Reverse(first)| first.number == number)
    }

    pub(super) fn push_shard(&mut self, shard: Shard, message: Arc<ShardMessage>) {
        self.messages += 1;
        self.shards.entry(shard).or_default().push_back(Waiting { message, redelivered: false });
        self.shard_waiters.wake(usize::from(shard.0));
    }

    /// Lets the steps in whose time has come, and says when the next one's does.
    pub(super) fn release(&mut self, now: Instant) -> Option<Instant> {
        while let Some(Reverse(first)) = self.delayed.peek() {
            if first.until > now {
                return Some(first.until);
            }
            if let Some(Reverse(Delayed { pool, lane, message, .. })) = self.delayed.pop() {
                self.pools[pool].lane(lane).push_back(Waiting { message, redelivered: false });
                self.step_waiters.wake(pool);
            }
        }
        None
    }

    /// The next step of one of these pools.
    pub(super) fn take_step(&mut self, pools: &[usize]) -> Option<(usize, Lane, Waiting<StepMessage>)> {
        self.turn = self.turn.wrapping_add(1);
        (0..pools.len()).find_map(|offset| {
            let pool = pools[(self.turn.wrapping_add(offset)) % pools.len()];
            self.pools[pool].take().map(|(lane, waiting)| (pool, lane, waiting))
        })
    }

    /// At most `max` messages of these shards.
    pub(super) fn take_shard(&mut self, shards: &[Shard], max: usize) -> Vec<(Shard, Waiting<ShardMessage>)> {
        self.turn = self.turn.wrapping_add(1);
        let mut taken = Vec::new();
        for offset in 0..shards.len() {
            let shard = shards[(self.turn.wrapping_add(offset)) % shards.len()];
            if let Some(line) = self.shards.get_mut(&shard) {
                let count = line.len().min(max - taken.len());
                taken.extend(line.drain(..count).map(|waiting| (shard, waiting)));
            }
        }
        taken
    }

    /// Whether something waits for a shard.
    pub(super) fn has_for_shard(&self, shard: Shard) -> bool {
        self.shards.get(&shard).is_some_and(|line| !line.is_empty())
    }

    /// A step was dealt with, or a message of a shard.
    pub(super) fn ack(&mut self) {
        self.messages = self.messages.saturating_sub(1);
    }

    /// A step comes back to where it was taken.
    pub(super) fn give_back_step(&mut self, pool: usize, lane: Lane, message: Arc<StepMessage>) {
        if self.closed {
            return;
        }
        self.pools[pool].lane(lane).push_front(Waiting { message, redelivered: true });
        self.step_waiters.wake(pool);
    }

    /// A message of a shard comes back to where it was taken.
    pub(super) fn give_back_shard(&mut self, shard: Shard, message: Arc<ShardMessage>) {
        if self.closed {
            return;
        }
        self.shards.entry(shard).or_default().push_front(Waiting { message, redelivered: true });
        self.shard_waiters.wake(usize::from(shard.0));
    }

    /// Drops everything and tells everybody.
    pub(super) fn close(&mut self) {
        self.closed = true;
        for pool in &mut self.pools {
            pool.first.clear();
            pool.batch.clear();
        }
        self.shards.clear();
        self.delayed.clear();
        self.messages = 0;
        self.step_waiters.wake_all();
        self.shard_waiters.wake_all();
    }
}
