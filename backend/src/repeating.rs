//! A queue that delivers everything several times, as a network that repeats might: for the tests of what that does.

use crate::queue::{Publication, Queue, QueueError};
use crate::store::Shard;
use std::num::NonZeroU8;

/// Publishes everything so many times to the queue inside.
#[derive(Debug, Clone)]
pub struct Repeating<Q> {
    queue: Q,
    times: NonZeroU8,
}

impl<Q: Queue> Repeating<Q> {
    /// This queue, with each publication published so many times.
    pub fn new(queue: Q, times: NonZeroU8) -> Repeating<Q> {
        Repeating { queue, times }
    }
}

impl<Q: Queue> Queue for Repeating<Q> {
    type Step = Q::Step;
    type Shard = Q::Shard;

    fn durable(&self) -> bool {
        self.queue.durable()
    }

    async fn publish(&self, publications: Vec<Publication>) -> Result<(), QueueError> {
        let times = usize::from(self.times.get());
        let repeated = publications.into_iter().flat_map(|publication| std::iter::repeat_n(publication, times));
        self.queue.publish(repeated.collect()).await
    }

    async fn take_step(&self, pools: &[String]) -> Result<Option<Self::Step>, QueueError> {
        self.queue.take_step(pools).await
    }

    async fn take_shard(&self, shards: &[Shard], max: usize) -> Result<Vec<Self::Shard>, QueueError> {
        self.queue.take_shard(shards, max).await
    }

    async fn depth(&self, pool: &str) -> Result<u64, QueueError> {
        self.queue.depth(pool).await
    }
}
