//! [`EmbeddedQueue`]: the queue of one process, in memory.

use super::lines::{Lines, Waiting};
use super::waiters::Ticket;
use super::weight;
use crate::{Delivery, Lane, Publication, Queue, QueueError, Shard, ShardMessage};
use darkroom_proto::StepMessage;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Poll};
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

/// How many messages there may be that are not acked, in all lines together.
const MESSAGES_MAX: usize = 1_000_000;

/// How long a message may be, as MessagePack: what a fleet takes as well, where large ones travel by reference, so that a
/// workflow that runs embedded also runs there.
const MESSAGE_BYTES_MAX: u64 = 64 << 20;

/// The queue of one process, in memory: messages end with it, and the owner of a shard publishes what is under way
/// again when it starts.
///
/// Messages are handed over as they are, without encoding. Those that wait for the same line are served in the order
/// that they came. A dropped delivery goes back to the head of its line.
#[derive(Debug, Clone)]
pub struct EmbeddedQueue {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lines: Mutex<Lines>,
    timer: Arc<Timer>,
}

/// What the timer task waits for besides time. Shared with the task, which must not keep the queue alive.
#[derive(Debug, Default)]
struct Timer {
    look_again: Notify,
    started: AtomicBool,
    tasks: TaskTracker,
}

impl EmbeddedQueue {
    /// A queue with these pools, whose names are those that steps are published to, and any number of shards.
    pub fn new<S: Into<String>>(pools: impl IntoIterator<Item = S>) -> Self {
        Self::with_limit(pools, MESSAGES_MAX)
    }

    /// A queue that holds at most so many messages.
    pub fn with_limit<S: Into<String>>(pools: impl IntoIterator<Item = S>, messages_max: usize) -> Self {
        let mut names: Vec<String> = pools.into_iter().map(Into::into).collect();
        names.sort();
        names.dedup();
        let lines = Mutex::new(Lines::new(names, messages_max));
        Self { shared: Arc::new(Shared { lines, timer: Arc::default() }) }
    }

    /// Ends it: whoever waits gets nothing, what is left is dropped, and publishing is refused.
    pub fn close(&self) {
        self.shared.lines().close();
        self.shared.timer.look_again.notify_one();
    }

    /// The task that lets delayed steps in, started with the first of them.
    fn start_timer(&self) {
        let timer = &self.shared.timer;
        if !timer.started.swap(true, Ordering::AcqRel) {
            timer.tasks.spawn(keep_time(Arc::downgrade(&self.shared), Arc::clone(timer)));
        }
    }

    fn take<T, F: FnMut(&mut Lines) -> Option<T>>(&self, side: Side, lines: Arc<[usize]>, attempt: F) -> Take<F> {
        Take { shared: Arc::clone(&self.shared), side, lines, ticket: None, attempt }
    }
}

impl Queue for EmbeddedQueue {
    type Step = StepDelivery;
    type Shard = ShardDelivery;

    fn durable(&self) -> bool {
        false
    }

    async fn publish(&self, publications: Vec<Publication>) -> Result<(), QueueError> {
        for publication in &publications {
            let bytes = weight::of(publication, MESSAGE_BYTES_MAX);
            if bytes > MESSAGE_BYTES_MAX {
                return Err(QueueError::TooLarge { bytes, bytes_max: MESSAGE_BYTES_MAX });
            }
        }
        let mut timer_has_to_look = false;
        {
            let mut lines = self.shared.lines();
            if lines.closed {
                return Err(QueueError::Unavailable("it was closed".into()));
            }
            if !lines.has_room_for(publications.len()) {
                return Err(QueueError::Unavailable("it is full: too many messages are not dealt with".into()));
            }
            // All or none: nothing is pushed before every pool is known.
            for publication in &publications {
                match publication {
                    Publication::Step { pool, .. } => drop(lines.pool(pool)?),
                    // Those who serve tasks are other processes.
                    Publication::Task { message, .. } => {
                        return Err(QueueError::NoSuchPool { pool: message.pool() });
                    }
                    Publication::Shard { .. } => {}
                }
            }
            for publication in publications {
                match publication {
                    Publication::Step { pool, lane, delay: None, message } => {
                        let pool = lines.pool(&pool)?;
                        lines.push_step(pool, lane, Arc::from(message));
                    }
                    Publication::Step { pool, lane, delay: Some(delay), message } => {
                        let pool = lines.pool(&pool)?;
                        let until = Instant::now() + delay.to_std();
                        timer_has_to_look |= lines.push_delayed(until, pool, lane, Arc::from(message));
                    }
                    Publication::Shard { shard, message } => lines.push_shard(shard, Arc::new(message)),
                    // Refused above.
                    Publication::Task { .. } => {}
                }
            }
        }
        if timer_has_to_look {
            self.start_timer();
            self.shared.timer.look_again.notify_one();
        }
        Ok(())
    }

    async fn take_step(&self, pools: &[String]) -> Result<Option<StepDelivery>, QueueError> {
        let lines: Arc<[usize]> = {
            let lines = self.shared.lines();
            pools.iter().map(|pool| lines.pool(pool)).collect::<Result<_, _>>()?
        };
        let wanted = Arc::clone(&lines);
        let taken = self.take(Side::Steps, lines, move |lines| lines.take_step(&wanted)).await;
        Ok(taken.map(|(pool, lane, waiting)| StepDelivery {
            shared: Arc::clone(&self.shared),
            pool,
            lane,
            waiting,
            acked: false,
        }))
    }

    async fn take_shard(&self, shards: &[Shard], max: usize) -> Result<Vec<ShardDelivery>, QueueError> {
        let lines = shards.iter().map(|shard| usize::from(shard.0)).collect();
        let max = max.max(1);
        let attempt = |lines: &mut Lines| Some(lines.take_shard(shards, max)).filter(|taken| !taken.is_empty());
        let taken = self.take(Side::Shards, lines, attempt).await.unwrap_or_default();
        let delivery = |(shard, waiting): (Shard, Waiting<ShardMessage>)| ShardDelivery {
            shared: Arc::clone(&self.shared),
            shard,
            waiting,
            acked: false,
        };
        Ok(taken.into_iter().map(delivery).collect())
    }

    async fn depth(&self, pool: &str) -> Result<u64, QueueError> {
        let lines = self.shared.lines();
        let pool = lines.pool(pool)?;
        Ok(lines.pools[pool].depth() as u64)
    }
}

impl Shared {
    fn lines(&self) -> MutexGuard<'_, Lines> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.timer.look_again.notify_one();
    }
}

/// Lets delayed steps in when their time comes, as long as the queue lives.
async fn keep_time(queue: Weak<Shared>, timer: Arc<Timer>) {
    loop {
        let next = match queue.upgrade() {
            Some(shared) => {
                let mut lines = shared.lines();
                if lines.closed {
                    return;
                }
                lines.release(Instant::now())
            }
            None => return,
        };
        match next {
            Some(next) => {
                tokio::select! {
                    () = tokio::time::sleep_until(next) => {}
                    () = timer.look_again.notified() => {}
                }
            }
            None => timer.look_again.notified().await,
        }
    }
}

/// Which waiters a taker stands among.
#[derive(Debug, Clone, Copy)]
enum Side {
    Steps,
    Shards,
}

/// Waits until an attempt to take something succeeds; nothing, when the queue is closed.
///
/// Dropping it loses nothing: what it takes it gives out in the same poll, and a wake that it did not use goes to the
/// next who waits.
struct Take<F> {
    shared: Arc<Shared>,
    side: Side,
    lines: Arc<[usize]>,
    ticket: Option<Ticket>,
    attempt: F,
}

impl<F> Take<F> {
    /// Leaves the waiters, and wakes others for what is left in the lines that it was woken for.
    fn leave(&mut self, lines: &mut Lines) {
        let Some(ticket) = self.ticket.take() else { return };
        match self.side {
            Side::Steps => lines.step_waiters.leave(ticket),
            Side::Shards => lines.shard_waiters.leave(ticket),
        }
        for &line in &*self.lines {
            match self.side {
                Side::Steps if lines.pools[line].depth() > 0 => lines.step_waiters.wake(line),
                Side::Shards if lines.has_for_shard(Shard(line as u16)) => lines.shard_waiters.wake(line),
                Side::Steps | Side::Shards => {}
            }
        }
    }
}

impl<T, F: FnMut(&mut Lines) -> Option<T> + Unpin> Future for Take<F> {
    type Output = Option<T>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<T>> {
        let this = self.get_mut();
        let shared = Arc::clone(&this.shared);
        let mut lines = shared.lines();
        if lines.closed {
            this.leave(&mut lines);
            return Poll::Ready(None);
        }
        if let Some(taken) = (this.attempt)(&mut lines) {
            this.leave(&mut lines);
            return Poll::Ready(Some(taken));
        }
        let waiters = match this.side {
            Side::Steps => &mut lines.step_waiters,
            Side::Shards => &mut lines.shard_waiters,
        };
        waiters.wait(&mut this.ticket, &this.lines, context.waker());
        Poll::Pending
    }
}

impl<F> Drop for Take<F> {
    fn drop(&mut self) {
        if self.ticket.is_some() {
            let shared = Arc::clone(&self.shared);
            self.leave(&mut shared.lines());
        }
    }
}

/// A step that was taken from an [`EmbeddedQueue`].
#[derive(Debug)]
pub struct StepDelivery {
    shared: Arc<Shared>,
    pool: usize,
    lane: Lane,
    waiting: Waiting<StepMessage>,
    acked: bool,
}

impl Delivery for StepDelivery {
    type Message = StepMessage;

    fn message(&self) -> &StepMessage {
        &self.waiting.message
    }

    fn redelivered(&self) -> bool {
        self.waiting.redelivered
    }

    async fn ack(mut self) -> Result<(), QueueError> {
        self.acked = true;
        self.shared.lines().ack();
        Ok(())
    }
}

impl Drop for StepDelivery {
    fn drop(&mut self) {
        if !self.acked {
            let message = Arc::clone(&self.waiting.message);
            self.shared.lines().give_back_step(self.pool, self.lane, message);
        }
    }
}

/// A message of a shard that was taken from an [`EmbeddedQueue`].
#[derive(Debug)]
pub struct ShardDelivery {
    shared: Arc<Shared>,
    shard: Shard,
    waiting: Waiting<ShardMessage>,
    acked: bool,
}

impl Delivery for ShardDelivery {
    type Message = ShardMessage;

    fn message(&self) -> &ShardMessage {
        &self.waiting.message
    }

    fn redelivered(&self) -> bool {
        self.waiting.redelivered
    }

    async fn ack(mut self) -> Result<(), QueueError> {
        self.acked = true;
        self.shared.lines().ack();
        Ok(())
    }
}

impl Drop for ShardDelivery {
    fn drop(&mut self) {
        if !self.acked {
            let message = Arc::clone(&self.waiting.message);
            self.shared.lines().give_back_shard(self.shard, message);
        }
    }
}
