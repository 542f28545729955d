//! What there is on the broker: names, and how they are declared and deleted.

use super::connection::{TIMEOUT, in_time};
use crate::{Lane, QueueError, Shard};
use darkroom_proto::{Duration, op};
use lapin::options::{
    ExchangeDeclareOptions, ExchangeDeleteOptions, QueueBindOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{Channel, Connection, ExchangeKind};
use std::collections::BTreeSet;

/// The rungs of the delay ladder.
pub(super) const LADDER: [Duration; 12] = [
    Duration(250),
    Duration(500),
    Duration(1_000),
    Duration(2_000),
    Duration(4_000),
    Duration(8_000),
    Duration(16_000),
    Duration(32_000),
    Duration(64_000),
    Duration(128_000),
    Duration(256_000),
    Duration(600_000),
];

/// How often a message may come back before the broker moves it to the dead ones. RabbitMQ 3 has no limit of its own,
/// RabbitMQ 4 has this one.
const DELIVERY_LIMIT: i32 = 20;

/// AMQP's limit of a name.
const NAME_BYTES_MAX: usize = 255;

/// One of the queues of a pool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum StepLine {
    First,
    /// Polls of providers: first in line as well, in a queue of their own so that operators can tell them apart.
    Poll,
    Batch,
}

impl StepLine {
    const ALL: [StepLine; 3] = [StepLine::First, StepLine::Poll, StepLine::Batch];

    /// The queues of a pool: those who serve a task take it from one.
    pub(super) fn of(pool: &str) -> &'static [StepLine] {
        if pool.starts_with(op::TASK_PREFIX) { &[StepLine::First] } else { &StepLine::ALL }
    }

    pub(super) fn lane(self) -> Lane {
        match self {
            StepLine::First | StepLine::Poll => Lane::First,
            StepLine::Batch => Lane::Batch,
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            StepLine::First => "",
            StepLine::Poll => ".poll",
            StepLine::Batch => ".batch",
        }
    }
}

impl From<Lane> for StepLine {
    fn from(lane: Lane) -> StepLine {
        match lane {
            Lane::First => StepLine::First,
            Lane::Batch => StepLine::Batch,
            Lane::Poll => StepLine::Poll,
        }
    }
}

/// What was found on the broker, and what was missing and made.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Declared {
    /// The queues that were there already.
    pub found: Vec<String>,
    /// The queues that are new.
    pub created: Vec<String>,
}

/// The names of everything in a namespace.
#[derive(Debug, Clone)]
pub(super) struct Topology {
    namespace: String,
    shards: u16,
    ladder: Vec<Duration>,
}

struct QueuePlan {
    name: String,
    arguments: FieldTable,
    /// The exchanges and the keys that it is bound with.
    bindings: Vec<(String, String)>,
}

impl Topology {
    pub(super) fn new(namespace: &str, shards: u16, ladder: &[Duration]) -> Self {
        let mut ladder = ladder.to_vec();
        ladder.sort();
        ladder.dedup();
        Self { namespace: namespace.to_owned(), shards, ladder }
    }

    pub(super) fn steps(&self) -> String {
        format!("{}.steps", self.namespace)
    }

    pub(super) fn step_key(pool: &str, line: StepLine) -> String {
        format!("{pool}{}", line.suffix())
    }

    pub(super) fn step_queue(&self, pool: &str, line: StepLine) -> String {
        format!("{}.steps.{pool}{}", self.namespace, line.suffix())
    }

    pub(super) fn shard(&self) -> String {
        format!("{}.shard", self.namespace)
    }

    pub(super) fn shard_queue(&self, shard: Shard) -> String {
        format!("{}.shard.{}", self.namespace, shard.0)
    }

    /// Where workers of tasks publish what they say: messages of shards from those who may say nothing else.
    pub(super) fn report(&self) -> String {
        format!("{}.report", self.namespace)
    }

    pub(super) fn dead(&self) -> String {
        format!("{}.dead", self.namespace)
    }

    pub(super) fn submit(&self) -> String {
        format!("{}.submit", self.namespace)
    }

    /// Whether a queue of this name is one of these, which nobody else may have anything put into.
    pub(super) fn is_own(&self, queue: &str) -> bool {
        let Some(rest) = queue.strip_prefix(&self.namespace).and_then(|rest| rest.strip_prefix('.')) else {
            return false;
        };
        matches!(rest, "dead" | "submit") || ["steps.", "shard.", "delay."].iter().any(|kind| rest.starts_with(kind))
    }

    fn rung(&self, rung: Duration) -> String {
        format!("{}.delay.{}", self.namespace, rung.0)
    }

    /// The exchange whose queue keeps messages back for about so long; none, if that is not at all.
    pub(super) fn delay(&self, delay: Duration) -> Option<String> {
        nearest_rung(&self.ladder, delay).map(|rung| self.rung(rung))
    }

    /// Exchanges and their kinds.
    fn exchanges(&self) -> Vec<(String, ExchangeKind)> {
        let mut all = vec![
            (self.dead(), ExchangeKind::Fanout),
            (self.steps(), ExchangeKind::Direct),
            (self.shard(), ExchangeKind::Direct),
            (self.report(), ExchangeKind::Direct),
            (self.submit(), ExchangeKind::Topic),
        ];
        all.extend(self.ladder.iter().map(|&rung| (self.rung(rung), ExchangeKind::Fanout)));
        all
    }

    /// Queues in the order of their declaration: whatever is dead-lettered to comes before what dead-letters to it.
    fn queues(&self, pools: &BTreeSet<String>) -> Vec<QueuePlan> {
        let dead = QueuePlan { name: self.dead(), arguments: quorum([]), bindings: vec![(self.dead(), String::new())] };
        let submit =
            QueuePlan { name: self.submit(), arguments: self.work(), bindings: vec![(self.submit(), "#".into())] };
        let shards = (0..self.shards).map(|shard| QueuePlan {
            name: self.shard_queue(Shard(shard)),
            arguments: self.work(),
            bindings: vec![(self.shard(), shard.to_string()), (self.report(), shard.to_string())],
        });
        let steps = pools.iter().flat_map(|pool| self.pool_queues(pool));
        let ladder = self.ladder.iter().map(|&rung| QueuePlan {
            name: self.rung(rung),
            arguments: quorum([
                ("x-message-ttl", AMQPValue::LongLongInt(rung.0 as i64)),
                ("x-dead-letter-exchange", text(self.steps())),
                ("x-dead-letter-strategy", text("at-least-once")),
                // Without it the broker falls back to at-most-once, silently.
                ("x-overflow", text("reject-publish")),
            ]),
            bindings: vec![(self.rung(rung), String::new())],
        });
        [dead, submit].into_iter().chain(shards).chain(steps).chain(ladder).collect()
    }

    fn pool_queues(&self, pool: &str) -> Vec<QueuePlan> {
        let plan = |line: &StepLine| QueuePlan {
            name: self.step_queue(pool, *line),
            arguments: self.work(),
            bindings: vec![(self.steps(), Self::step_key(pool, *line))],
        };
        StepLine::of(pool).iter().map(plan).collect()
    }

    /// The arguments of a queue that work is taken from.
    fn work(&self) -> FieldTable {
        quorum([
            ("x-delivery-limit", AMQPValue::LongInt(DELIVERY_LIMIT)),
            ("x-dead-letter-exchange", text(self.dead())),
        ])
    }

    /// Declares everything. Declaring it again changes nothing; with `look` it tells first what is there.
    pub(super) async fn declare(
        &self,
        connection: &Connection,
        pools: &BTreeSet<String>,
        look: bool,
    ) -> Result<Declared, QueueError> {
        let queues = self.queues(pools);
        let mut declared = Declared::default();
        if look {
            let names = queues.iter().map(|queue| queue.name.clone());
            declared = look_for(connection, names.collect()).await?;
        }
        let channel = open(connection).await?;
        let durable = ExchangeDeclareOptions { durable: true, ..ExchangeDeclareOptions::default() };
        for (name, kind) in self.exchanges() {
            let declare = channel.exchange_declare(short(&name), kind, durable, FieldTable::default());
            in_time(declare).await.map_err(|why| refused(&name, why))?;
        }
        for queue in queues {
            declare_queue(&channel, queue).await?;
        }
        close(channel).await;
        Ok(declared)
    }

    /// Declares the queues of one pool.
    pub(super) async fn declare_pool(&self, connection: &Connection, pool: &str) -> Result<(), QueueError> {
        let channel = open(connection).await?;
        for queue in self.pool_queues(pool) {
            declare_queue(&channel, queue).await?;
        }
        close(channel).await;
        Ok(())
    }

    /// Deletes everything, messages included.
    pub(super) async fn delete(&self, connection: &Connection, pools: &BTreeSet<String>) -> Result<(), QueueError> {
        let channel = open(connection).await?;
        // Rungs first, so that nothing is dead-lettered to what is gone.
        for queue in self.queues(pools).into_iter().rev() {
            let delete = channel.queue_delete(short(&queue.name), QueueDeleteOptions::default());
            in_time(delete).await.map_err(|why| refused(&queue.name, why))?;
        }
        for (name, _) in self.exchanges() {
            let delete = channel.exchange_delete(short(&name), ExchangeDeleteOptions::default());
            in_time(delete).await.map_err(|why| refused(&name, why))?;
        }
        close(channel).await;
        Ok(())
    }

    /// Drops the messages of all queues that are not held by anybody.
    pub(super) async fn purge(&self, connection: &Connection, pools: &BTreeSet<String>) -> Result<(), QueueError> {
        let channel = open(connection).await?;
        for queue in self.queues(pools) {
            let purge = channel.queue_purge(short(&queue.name), QueuePurgeOptions::default());
            in_time(purge).await.map_err(|why| refused(&queue.name, why))?;
        }
        close(channel).await;
        Ok(())
    }

    /// How many messages wait in the queues of a pool; none, if the pool has no queues.
    pub(super) async fn depth(&self, connection: &Connection, pool: &str) -> Result<Option<u64>, QueueError> {
        let channel = open(connection).await?;
        let mut depth = 0;
        for line in StepLine::of(pool) {
            match look_at(&channel, &self.step_queue(pool, *line)).await {
                Ok(messages) => depth += u64::from(messages),
                Err(Look::Missing) => return Ok(None),
                Err(Look::Failed(why)) => return Err(QueueError::Unavailable(why)),
            }
        }
        close(channel).await;
        Ok(Some(depth))
    }
}

/// The rung that is nearest in proportion: a wait is never shortened or lengthened by more than what lies between two
/// rungs, which is 1.4 times for most.
fn nearest_rung(ladder: &[Duration], delay: Duration) -> Option<Duration> {
    if delay.0 == 0 {
        return None;
    }
    let above = ladder.iter().position(|&rung| rung >= delay);
    let Some(above) = above else { return ladder.last().copied() };
    let Some(below) = above.checked_sub(1) else { return ladder.first().copied() };
    let middle = u128::from(ladder[below].0) * u128::from(ladder[above].0);
    let is_above = u128::from(delay.0) * u128::from(delay.0) >= middle;
    Some(ladder[if is_above { above } else { below }])
}

fn quorum<const N: usize>(more: [(&str, AMQPValue); N]) -> FieldTable {
    let mut table = FieldTable::default();
    table.insert("x-queue-type".into(), text("quorum"));
    for (name, value) in more {
        table.insert(name.into(), value);
    }
    table
}

fn text(value: impl Into<String>) -> AMQPValue {
    AMQPValue::LongString(value.into().into())
}

/// A name as AMQP takes it. What is too long is cut, and so names nothing: limits are checked where names come in.
pub(super) fn short(name: &str) -> ShortString {
    let cut = name.floor_char_boundary(NAME_BYTES_MAX);
    ShortString::from(&name[..cut])
}

fn refused(what: &str, why: String) -> QueueError {
    QueueError::Refused { what: what.to_owned(), why }
}

async fn open(connection: &Connection) -> Result<Channel, QueueError> {
    in_time(connection.create_channel()).await.map_err(QueueError::Unavailable)
}

/// Channels are closed rather than dropped, so that their number can be used again at once.
async fn close(channel: Channel) {
    if let Err(why) = in_time(channel.close(200, "done".into())).await {
        tracing::debug!(why, "a channel did not close in {TIMEOUT:?}");
    }
}

async fn declare_queue(channel: &Channel, queue: QueuePlan) -> Result<(), QueueError> {
    let QueuePlan { name, arguments, bindings } = queue;
    let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
    in_time(channel.queue_declare(short(&name), durable, arguments)).await.map_err(|why| refused(&name, why))?;
    for (exchange, key) in bindings {
        let (bind, table) = (QueueBindOptions::default(), FieldTable::default());
        in_time(channel.queue_bind(short(&name), short(&exchange), short(&key), bind, table))
            .await
            .map_err(|why| refused(&name, why))?;
    }
    Ok(())
}

enum Look {
    Missing,
    Failed(String),
}

/// How many messages wait in a queue. The channel can't be used any more when it is missing: AMQP closes it.
async fn look_at(channel: &Channel, queue: &str) -> Result<u32, Look> {
    let passive = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
    let look = channel.queue_declare(short(queue), passive, FieldTable::default());
    match tokio::time::timeout(TIMEOUT, look).await {
        Ok(Ok(found)) => Ok(found.message_count()),
        Ok(Err(error)) if error.is_amqp_soft_error() => Err(Look::Missing),
        Ok(Err(error)) => Err(Look::Failed(error.to_string())),
        Err(_) => Err(Look::Failed("no answer in time".into())),
    }
}

async fn look_for(connection: &Connection, queues: Vec<String>) -> Result<Declared, QueueError> {
    let mut declared = Declared::default();
    let mut channel = open(connection).await?;
    for queue in queues {
        match look_at(&channel, &queue).await {
            Ok(_) => declared.found.push(queue),
            Err(Look::Missing) => {
                declared.created.push(queue);
                channel = open(connection).await?;
            }
            Err(Look::Failed(why)) => return Err(refused(&queue, why)),
        }
    }
    close(channel).await;
    Ok(declared)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_takes_the_rung_nearest_in_proportion() {
        let cases = [
            (0, None),
            (1, Some(250)),
            (250, Some(250)),
            (353, Some(250)),
            (354, Some(500)),
            (500, Some(500)),
            (3_000, Some(4_000)),
            (60_000, Some(64_000)),
            (600_000, Some(600_000)),
            (86_400_000, Some(600_000)),
        ];
        for (delay, want) in cases {
            assert_eq!(nearest_rung(&LADDER, Duration(delay)), want.map(Duration), "{delay} ms");
        }
        assert_eq!(nearest_rung(&[], Duration(5)), None);
    }

    #[test]
    fn answers_are_put_into_no_queue_of_the_fleet() {
        let topology = Topology::new("dr", 2, &LADDER);
        let pools = BTreeSet::from(["image".to_owned()]);
        for queue in topology.queues(&pools) {
            assert!(topology.is_own(&queue.name), "{}", queue.name);
        }
        for other in ["dr", "dr.answers", "drawings.steps.image", "shop.dead", "amq.gen-7", ""] {
            assert!(!topology.is_own(other), "{other}");
        }
    }

    #[test]
    fn a_task_is_taken_from_one_queue() {
        let topology = Topology::new("dr", 2, &LADDER);
        let names = |pool| topology.pool_queues(pool).into_iter().map(|queue| queue.name).collect::<Vec<_>>();
        assert_eq!(names("task.resize-3d"), ["dr.steps.task.resize-3d"]);
        assert_eq!(names("image").len(), 3);
    }

    #[test]
    fn what_is_dead_lettered_to_is_declared_first() {
        let topology = Topology::new("dr", 16, &LADDER);
        let pools = ["api", "image", "video", "system"].map(str::to_owned).into();
        let names: Vec<String> = topology.queues(&pools).into_iter().map(|queue| queue.name).collect();
        assert_eq!(names.len(), 1 + 1 + 16 + 4 * 3 + 12);
        let position = |name: &str| names.iter().position(|other| other == name).unwrap();
        assert_eq!(position("dr.dead"), 0);
        assert!(position("dr.steps.video.batch") < position("dr.delay.250"));
    }
}
