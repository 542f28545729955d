//! What lies in the queues of a fleet, seen and done by hand.

use super::{POOLS, SHARDS};
use lapin::options::{
    BasicGetOptions, BasicPublishOptions, ConfirmSelectOptions, QueueDeclareOptions, QueueDeleteOptions,
    QueuePurgeOptions,
};
use lapin::types::{AMQPValue, FieldTable};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties};
use std::collections::BTreeMap;

/// The rungs of the delay ladder, in milliseconds.
const RUNGS: [u32; 12] = [250, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 128_000, 256_000, 600_000];

/// A connection that looks at one namespace.
#[derive(Debug)]
pub struct Broker {
    connection: Connection,
    namespace: String,
}

/// A dead letter.
#[derive(Debug)]
pub struct Dead {
    /// Why it is there.
    pub cause: String,
    /// The queue that it was in.
    pub queue: String,
    /// How long its body is.
    pub bytes: usize,
}

impl Broker {
    /// Connects.
    pub async fn connect(url: &str, namespace: &str) -> Broker {
        let connection = Connection::connect(url, ConnectionProperties::default()).await.unwrap();
        Broker { connection, namespace: namespace.to_owned() }
    }

    /// The queues that work is in, without that of the dead.
    fn queues(&self) -> Vec<String> {
        let steps = POOLS.iter().flat_map(|pool| ["", ".poll", ".batch"].map(|line| format!("steps.{pool}{line}")));
        let shards = (0..SHARDS).map(|shard| format!("shard.{shard}"));
        let rungs = RUNGS.iter().map(|rung| format!("delay.{rung}"));
        rungs.chain(steps).chain(shards).map(|name| format!("{}.{name}", self.namespace)).collect()
    }

    async fn channel(&self) -> Channel {
        self.connection.create_channel().await.unwrap()
    }

    /// How many messages wait in each queue that is not empty, without those that a process holds.
    pub async fn waiting(&self) -> BTreeMap<String, u32> {
        let channel = self.channel().await;
        let mut waiting = BTreeMap::new();
        for name in self.queues() {
            let look = QueueDeclareOptions { passive: true, ..QueueDeclareOptions::default() };
            let queue = channel.queue_declare(name.as_str().into(), look, FieldTable::default()).await.unwrap();
            if queue.message_count() > 0 {
                waiting.insert(name, queue.message_count());
            }
        }
        channel.close(200, "done".into()).await.unwrap();
        waiting
    }

    /// Deletes all queues that work is in, with what is in them.
    pub async fn delete_queues(&self) {
        let channel = self.channel().await;
        for name in self.queues() {
            channel.queue_delete(name.as_str().into(), QueueDeleteOptions::default()).await.unwrap();
        }
    }

    /// Drops what waits in the queues, and says how many messages that were.
    pub async fn purge(&self) -> u32 {
        let channel = self.channel().await;
        let mut purged = 0;
        for name in self.queues() {
            purged += channel.queue_purge(name.as_str().into(), QueuePurgeOptions::default()).await.unwrap();
        }
        purged
    }

    /// Takes out what is dead.
    pub async fn take_dead(&self) -> Vec<Dead> {
        let channel = self.channel().await;
        let name = format!("{}.dead", self.namespace);
        let text = |headers: &FieldTable, name: &str| match headers.inner().get(name) {
            Some(AMQPValue::LongString(text)) => text.to_string(),
            other => format!("{other:?}"),
        };
        let mut dead = Vec::new();
        while let Some(got) = channel.basic_get(name.as_str().into(), BasicGetOptions { no_ack: true }).await.unwrap() {
            let headers = got.delivery.properties.headers().clone().unwrap_or_default();
            let (cause, queue) = (text(&headers, "dr-cause"), text(&headers, "dr-queue"));
            dead.push(Dead { cause, queue, bytes: got.delivery.data.len() });
        }
        dead
    }

    /// Publishes bytes to an exchange of the namespace.
    pub async fn publish(&self, exchange: &str, key: &str, version: Option<i32>, body: &[u8]) {
        let channel = self.channel().await;
        channel.confirm_select(ConfirmSelectOptions::default()).await.unwrap();
        let mut headers = FieldTable::default();
        if let Some(version) = version {
            headers.insert("dr-v".into(), AMQPValue::LongInt(version));
        }
        let properties =
            BasicProperties::default().with_content_type("application/msgpack".into()).with_headers(headers);
        let exchange = format!("{}.{exchange}", self.namespace);
        let (exchange, key) = (exchange.as_str().into(), key.into());
        let confirm = channel.basic_publish(exchange, key, BasicPublishOptions::default(), body, properties);
        confirm.await.unwrap().await.unwrap();
    }
}
