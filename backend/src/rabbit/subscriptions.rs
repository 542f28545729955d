//! Which queues are consumed now, and with how much in advance.

use super::Shared;
use super::acker::Acker;
use super::connection::{Session, in_time};
use super::consumer::{self, Source};
use super::gauge::{Gauge, Pace};
use super::topology::{StepLine, short};
use crate::Shard;
use lapin::Consumer;
use lapin::options::{BasicCancelOptions, BasicConsumeOptions, BasicQosOptions};
use lapin::types::{FieldTable, ShortString};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How many more steps are taken in advance from a queue whose steps are quick: what is done in the time that the broker
/// takes to confirm a report, which is tens of milliseconds when it is busy.
const PREFETCH_QUICK: u16 = 256;
/// How many messages of a shard are taken in advance: a batch of its owner.
const PREFETCH_SHARD: u16 = 512;
/// After steps were slow, it takes so long until they may count as quick again. What is given back then counts as a
/// delivery, and the broker allows 20 of them.
const NOT_QUICK_FOR: Duration = Duration::from_secs(30);

/// A queue that is consumed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Step(String, StepLine),
    Shard(Shard),
}

/// How a queue is consumed.
struct Active {
    tag: ShortString,
    gauge: Option<Arc<Gauge>>,
    /// The second consumer, while steps are quick.
    quick: Option<ShortString>,
    not_quick_until: Option<Instant>,
}

struct Subscriptions {
    shared: Arc<Shared>,
    session: Arc<Session>,
    steps: Arc<Acker>,
    shards: Arc<Acker>,
    active: BTreeMap<Key, Active>,
    /// Tells when a consumer ended.
    ended: mpsc::UnboundedSender<(Key, ShortString)>,
    count: u64,
}

/// Keeps the consumers of a session what they should be.
pub(super) async fn run(shared: Arc<Shared>, session: Arc<Session>, steps: Arc<Acker>, shards: Arc<Acker>) {
    let (ended, mut endings) = mpsc::unbounded_channel();
    let mut subscriptions = Subscriptions {
        shared: Arc::clone(&shared),
        session: Arc::clone(&session),
        steps,
        shards,
        active: BTreeMap::new(),
        ended,
        count: 0,
    };
    loop {
        tokio::select! {
            result = subscriptions.adjust() => {
                if let Err(why) = result {
                    session.fail(why);
                }
            }
            () = session.ended() => return,
        }
        tokio::select! {
            () = shared.hub.wanted() => {}
            Some((key, tag)) = endings.recv() => {
                if let Err(why) = subscriptions.replace(key, &tag).await {
                    session.fail(why);
                }
            }
            () = session.ended() => return,
        }
    }
}

impl Subscriptions {
    /// Starts, changes and ends consumers until they are the right ones.
    async fn adjust(&mut self) -> Result<(), String> {
        for pool in self.shared.hub.wanted_pools() {
            let is_new = !self.active.contains_key(&Key::Step(pool.clone(), StepLine::First));
            if is_new && !self.shared.options.pools.contains(&pool) {
                let declare = self.shared.topology.declare_pool(self.session.consuming(), &pool);
                declare.await.map_err(|error| error.to_string())?;
            }
            for line in StepLine::of(&pool) {
                self.start(Key::Step(pool.clone(), *line)).await?;
            }
        }
        let wanted = self.shared.hub.wanted_shards();
        let has = self.active.keys().filter_map(|key| match key {
            Key::Shard(shard) => Some(*shard),
            Key::Step(..) => None,
        });
        let unwanted: Vec<Shard> = has.filter(|shard| !wanted.contains(shard)).collect();
        for shard in unwanted {
            if let Some(active) = self.active.remove(&Key::Shard(shard)) {
                self.cancel(&self.shards, active.tag).await?;
                self.shared.hub.give_back_shard(shard);
            }
        }
        for shard in wanted {
            self.start(Key::Shard(shard)).await?;
        }
        self.follow_the_pace().await
    }

    /// Adds second consumers where steps are quick, and takes them away where they are slow.
    async fn follow_the_pace(&mut self) -> Result<(), String> {
        let now = Instant::now();
        let keys: Vec<Key> = self.active.keys().cloned().collect();
        for key in keys {
            let Key::Step(pool, line) = &key else { continue };
            let prefetch = self.prefetch(pool);
            let Some(active) = self.active.get(&key) else { continue };
            let Some(gauge) = active.gauge.clone() else { continue };
            match (gauge.pace(), active.quick.clone()) {
                (Pace::Quick, None) if active.not_quick_until.is_none_or(|until| now >= until) => {
                    let tag = self.consume(&key, PREFETCH_QUICK, Some(&gauge)).await?;
                    gauge.set_prefetch(prefetch.saturating_add(PREFETCH_QUICK));
                    tracing::debug!(pool, ?line, "steps are quick: more are taken in advance");
                    self.active.entry(key).and_modify(|active| active.quick = Some(tag));
                }
                (Pace::Slow, Some(tag)) => {
                    self.cancel(&self.steps, tag).await?;
                    gauge.set_prefetch(prefetch);
                    self.shared.hub.give_back_steps(pool, *line, prefetch.into());
                    tracing::debug!(pool, ?line, "steps are slow: fewer are taken in advance");
                    self.active.entry(key).and_modify(|active| {
                        active.quick = None;
                        active.not_quick_until = Some(now + NOT_QUICK_FOR);
                    });
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// A consumer ended. If nobody here ended it, its queue was deleted: it is declared and consumed again.
    async fn replace(&mut self, key: Key, tag: &ShortString) -> Result<(), String> {
        let Some(active) = self.active.get_mut(&key) else { return Ok(()) };
        if active.quick.as_ref() == Some(tag) {
            active.quick = None;
        } else if active.tag == *tag {
            self.active.remove(&key);
        } else {
            return Ok(());
        }
        self.session.redeclare(&self.shared).await.map_err(|error| error.to_string())
    }

    fn prefetch(&self, pool: &str) -> u16 {
        let options = &self.shared.options;
        options.wide.get(pool).copied().unwrap_or(options.slots).saturating_mul(2).max(1)
    }

    async fn start(&mut self, key: Key) -> Result<(), String> {
        if self.active.contains_key(&key) {
            return Ok(());
        }
        let (prefetch, gauge) = match &key {
            Key::Step(pool, _) => (self.prefetch(pool), Some(Arc::new(Gauge::new(self.prefetch(pool))))),
            Key::Shard(_) => (PREFETCH_SHARD, None),
        };
        let tag = self.consume(&key, prefetch, gauge.as_ref()).await?;
        if let Key::Step(pool, StepLine::First) = &key {
            self.shared.hub.set_gauge(pool, gauge.clone());
        }
        self.active.insert(key, Active { tag, gauge, quick: None, not_quick_until: None });
        Ok(())
    }

    async fn consume(&mut self, key: &Key, prefetch: u16, gauge: Option<&Arc<Gauge>>) -> Result<ShortString, String> {
        let (acker, queue, source) = match key {
            Key::Step(pool, line) => {
                let queue = self.shared.topology.step_queue(pool, *line);
                (&self.steps, queue, Source::Step { pool: pool.clone(), line: *line })
            }
            Key::Shard(shard) => (&self.shards, self.shared.topology.shard_queue(*shard), Source::Shard(*shard)),
        };
        self.count += 1;
        let tag = short(&format!("{}-{}-{}", self.shared.options.name, self.session.epoch, self.count));
        let channel = acker.channel();
        // Holds for the consumers that are started after it.
        in_time(channel.basic_qos(prefetch, BasicQosOptions { global: false })).await?;
        let options = BasicConsumeOptions::default();
        let consume = channel.basic_consume(short(&queue), tag.clone(), options, FieldTable::default());
        let consumer: Consumer = in_time(consume).await?;
        let reading = consumer::Reading {
            shared: Arc::clone(&self.shared),
            session: Arc::clone(&self.session),
            acker: Arc::clone(acker),
            gauge: gauge.cloned(),
            source,
            queue,
        };
        let (ended, key, name) = (self.ended.clone(), key.clone(), tag.clone());
        self.shared.tasks.spawn(async move {
            reading.run(consumer).await;
            // The session may be over, and nobody listening.
            let _unheard = ended.send((key, name));
        });
        Ok(tag)
    }

    async fn cancel(&self, acker: &Acker, tag: ShortString) -> Result<(), String> {
        in_time(acker.channel().basic_cancel(tag, BasicCancelOptions::default())).await
    }
}
