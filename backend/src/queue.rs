//! The seam to what moves: step messages to workers, reports and starts to coordinators.

use crate::Shard;
use darkroom_proto::{Duration, Report, RunId, Start, StepMessage, TaskMessage, TaskReport};
use std::future::Future;

/// Which line of a pool a step stands in. Workers take both, four of `First` to one of `Batch` while both have some.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// First in line.
    First,
    /// The items of a wide fan-out beyond its first 8.
    Batch,
    /// Questions to providers about their jobs: first in line as well, in a queue of their own where there are queues, so
    /// that operators can tell them apart.
    Poll,
}

/// A message for the owner of a shard.
#[derive(Debug, Clone, PartialEq)]
pub enum ShardMessage {
    /// A run is to be started.
    Start(Start),
    /// Workers said how attempts ended.
    Reports(Vec<Report>),
    /// The worker of a task said how an attempt ended, or that it goes on.
    Task(TaskReport),
    /// A command is in the inbox, or the run is to be looked at for another reason.
    Nudge {
        /// The run.
        run: RunId,
    },
}

/// A message to publish.
#[derive(Debug, Clone, PartialEq)]
pub enum Publication {
    /// To the workers of a pool.
    Step {
        /// The pool.
        pool: String,
        /// Its line.
        lane: Lane,
        /// How long it is kept back first. The nearest rung of the delay ladder serves it.
        delay: Option<Duration>,
        /// The message.
        message: Box<StepMessage>,
    },
    /// To the workers of a task, who read JSON and take it from one line.
    Task {
        /// How long it is kept back first.
        delay: Option<Duration>,
        /// The message, signed; where reports go is filled in here.
        message: Box<TaskMessage>,
    },
    /// To the owner of a shard.
    Shard {
        /// The shard.
        shard: Shard,
        /// The message.
        message: ShardMessage,
    },
}

/// A message that was received and not yet acked.
///
/// Dropping it without `ack` gives it back: it comes again, marked as redelivered.
pub trait Delivery: Send + 'static {
    /// What was sent.
    type Message: Send;

    /// The message.
    fn message(&self) -> &Self::Message;

    /// Whether somebody may have received it before.
    fn redelivered(&self) -> bool;

    /// How often it was given back or lost before, as far as the queue counts that.
    fn delivery_count(&self) -> u32 {
        0
    }

    /// Says that the work for it is done and only its outcome is on its way. A queue that gives out some in advance goes
    /// by how long work takes, and not by how long it is until the ack.
    fn worked(&mut self) {}

    /// Says that it is dealt with: everything that follows from it is durable.
    fn ack(self) -> impl Future<Output = Result<(), QueueError>> + Send;
}

/// Why the queue did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// Nobody serves the pool.
    #[error("no queue for pool `{pool}`")]
    NoSuchPool {
        /// The pool.
        pool: String,
    },
    /// A message is over its limit.
    #[error("message is {bytes} bytes, over the limit of {bytes_max}")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        bytes_max: u64,
    },
    /// The broker can't be used now, or the queue was closed.
    #[error("the queue can't be used: {0}")]
    Unavailable(String),
    /// There is no connection to the broker.
    #[error("RabbitMQ at {place} can't be reached: {why}")]
    Unreachable {
        /// Host, port and virtual host.
        place: String,
        /// Why, as far as is known.
        why: String,
    },
    /// The broker has something of this name that is not what is wanted.
    #[error("{what} can't be declared: {why}")]
    Refused {
        /// The queue or exchange.
        what: String,
        /// What the broker said.
        why: String,
    },
}

impl QueueError {
    /// One sentence for the operator.
    pub fn advice(&self) -> &'static str {
        match self {
            QueueError::NoSuchPool { .. } => "start a worker that serves this pool, or correct its name",
            QueueError::TooLarge { .. } => "pass large values as artifacts, which travel by reference",
            QueueError::Unavailable(_) => "check the alarms of RabbitMQ (memory, disk) and its log, then try again",
            QueueError::Unreachable { .. } => "check broker.url and that RabbitMQ runs and accepts connections",
            QueueError::Refused { .. } => {
                "check the permissions of the user; if the queue has other arguments, drain and delete it, or use another \
                 namespace"
            }
        }
    }
}

/// What moves. At-least-once: a message that was published is delivered until it is acked, perhaps twice, in no
/// promised order.
///
/// Cheap to clone; every clone is the same queue.
pub trait Queue: Clone + Send + Sync + 'static {
    /// A received step.
    type Step: Delivery<Message = StepMessage>;
    /// A received message of a shard.
    type Shard: Delivery<Message = ShardMessage>;

    /// Whether messages survive the end of every process. If not, the owner of a shard publishes what is under way
    /// again when it starts.
    fn durable(&self) -> bool;

    /// Publishes all of them; when it returns they are safe.
    fn publish(&self, publications: Vec<Publication>) -> impl Future<Output = Result<(), QueueError>> + Send;

    /// The next step for one of `pools`; waits for one. Taking is fair between lanes, as [`Lane`] says.
    /// `None` when the queue was closed.
    fn take_step(&self, pools: &[String]) -> impl Future<Output = Result<Option<Self::Step>, QueueError>> + Send;

    /// Whatever is there for one of `shards`, at least one and at most `max`; waits for the first.
    /// Empty when the queue was closed.
    fn take_shard(
        &self,
        shards: &[Shard],
        max: usize,
    ) -> impl Future<Output = Result<Vec<Self::Shard>, QueueError>> + Send;

    /// How many messages wait in a pool, both lanes, without those kept back.
    fn depth(&self, pool: &str) -> impl Future<Output = Result<u64, QueueError>> + Send;
}
