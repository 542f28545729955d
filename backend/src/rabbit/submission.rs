//! Runs that other services hand in by publishing them: taken, answered, and acked or put with the dead.
//!
//! Only the envelope is known here. What a body means, and what is answered, is for whoever takes it.

use super::connection::{Session, in_time};
use super::poison;
use super::publisher::{self, Outgoing, To};
use super::topology::short;
use super::wire;
use super::{RabbitQueue, Shared};
use crate::QueueError;
use futures_util::StreamExt as _;
use lapin::message::Delivery;
use lapin::options::{BasicAckOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Consumer};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait before an answer is published again that the broker did not take.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// What names begin with that lead to a client without a queue.
const DIRECT_REPLY: &str = "amq.rabbitmq.reply-to.";

/// What other services hand in, as it comes over one connection.
///
/// Dropped, it gives back what was neither acked nor buried.
#[derive(Debug)]
pub struct Submissions {
    shared: Arc<Shared>,
    session: Arc<Session>,
    channel: Channel,
    consumer: Consumer,
}

/// A message with a run that somebody wants.
///
/// Nothing becomes of it until it is said: dropped without a word it stays with this consumer, and comes again when that
/// ends.
#[derive(Debug)]
pub struct Submitted {
    shared: Arc<Shared>,
    session: Arc<Session>,
    delivery: Delivery,
}

/// What is said to whoever handed something in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// What kind it is of: the AMQP property `type`.
    pub kind: &'static str,
    /// How its body is written.
    pub content_type: &'static str,
    /// The body.
    pub body: Vec<u8>,
}

impl RabbitQueue {
    /// Begins to take what other services hand in, at most `prefetch` at once. Waits for a connection.
    pub async fn submissions(&self, prefetch: u16) -> Result<Submissions, QueueError> {
        let shared = Arc::clone(&self.shared);
        let session = shared.session().await?;
        let unavailable = |why: String| QueueError::Unavailable(format!("what others hand in can't be taken: {why}"));
        let channel = in_time(session.consuming().create_channel()).await.map_err(unavailable)?;
        in_time(channel.basic_qos(prefetch, BasicQosOptions { global: false })).await.map_err(unavailable)?;
        let queue = shared.topology.submit();
        let tag = short(&format!("{}-{}-submit", shared.options.name, session.epoch));
        let consume = channel.basic_consume(short(&queue), tag, BasicConsumeOptions::default(), FieldTable::default());
        match in_time(consume).await {
            Ok(consumer) => Ok(Submissions { shared, session, channel, consumer }),
            Err(why) => {
                // The queue may have been deleted: whoever asks again finds it.
                session.redeclare(&shared).await?;
                Err(unavailable(why))
            }
        }
    }
}

impl Submissions {
    /// Waits for the next one. None, when the connection or the queue is gone: then begin again.
    pub async fn next(&mut self) -> Option<Submitted> {
        let next = tokio::select! {
            next = self.consumer.next() => next,
            () = self.session.ended() => None,
        };
        match next? {
            Ok(delivery) => {
                Some(Submitted { shared: Arc::clone(&self.shared), session: Arc::clone(&self.session), delivery })
            }
            Err(error) => {
                tracing::warn!(%error, "the consumer of what others hand in broke");
                None
            }
        }
    }

    /// Ends it; the broker gives what was neither acked nor buried to others.
    pub async fn close(self) {
        if let Err(why) = in_time(self.channel.close(200, "done".into())).await {
            tracing::debug!(why, "the channel of what others hand in did not close");
        }
    }
}

impl Submitted {
    fn properties(&self) -> &BasicProperties {
        &self.delivery.properties
    }

    /// The body.
    pub fn body(&self) -> &[u8] {
        &self.delivery.data
    }

    /// The key that it was published with.
    pub fn routing_key(&self) -> &str {
        self.delivery.routing_key.as_str()
    }

    /// How the body is written.
    pub fn content_type(&self) -> Option<&str> {
        self.properties().content_type().as_ref().map(ShortString::as_str)
    }

    /// How that is packed.
    pub fn content_encoding(&self) -> Option<&str> {
        self.properties().content_encoding().as_ref().map(ShortString::as_str)
    }

    /// What the sender calls it.
    pub fn message_id(&self) -> Option<&str> {
        self.properties().message_id().as_ref().map(ShortString::as_str)
    }

    /// The sender's name at the broker, which has checked it.
    pub fn user_id(&self) -> Option<&str> {
        self.properties().user_id().as_ref().map(ShortString::as_str)
    }

    /// A header as text; what is no text, as it looks.
    pub fn header(&self, name: &str) -> Option<String> {
        Some(match self.properties().headers().as_ref()?.inner().get(name)? {
            AMQPValue::LongString(text) => text.to_string(),
            AMQPValue::ShortString(text) => text.to_string(),
            other => format!("{other:?}"),
        })
    }

    /// Answers it, if an answer is wanted, and returns when that is safe with the broker or nobody can have it: a queue
    /// that is gone, or one of Darkroom's own.
    pub async fn answer(&self, answer: &Answer) {
        let Some(reply_to) = self.properties().reply_to().as_ref().map(ShortString::as_str) else { return };
        if reply_to.is_empty() {
            return;
        }
        if self.shared.topology.is_own(reply_to) {
            tracing::warn!(reply_to, "an answer is wanted in a queue of Darkroom's own: not sent");
            return;
        }
        let mut properties = BasicProperties::default()
            .with_content_type(answer.content_type.into())
            .with_type(answer.kind.into())
            .with_message_id(self.shared.next_id().as_str().into());
        // Who gave nothing to tell answers apart by gets back what it called the message.
        let correlation = self.properties().correlation_id().as_ref().or(self.properties().message_id().as_ref());
        if let Some(correlation) = correlation {
            properties = properties.with_correlation_id(correlation.clone());
        }
        while !self.session.has_ended() {
            let to = To::Asker(reply_to.to_owned());
            let outgoing = Outgoing::new("", reply_to, answer.body.clone(), properties.clone(), to);
            match publisher::publish(&self.shared, vec![outgoing]).await {
                Ok(()) => return,
                // The broker hands these on and says that no queue took them.
                Err(QueueError::Refused { .. }) if reply_to.starts_with(DIRECT_REPLY) => return,
                Err(QueueError::Refused { what, why }) => {
                    tracing::warn!(what, why, "nobody takes an answer");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%error, reply_to, "an answer could not be sent yet");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
    }

    /// It is dealt with.
    pub async fn ack(self) {
        if let Err(why) = in_time(self.delivery.acker.ack(BasicAckOptions::default())).await {
            tracing::warn!(%why, "what was handed in could not be acked: it comes again");
        }
    }

    /// It is to come again, to any consumer. The broker does so 20 times at most.
    pub async fn give_back(self) {
        let requeue = BasicNackOptions { multiple: false, requeue: true };
        if let Err(why) = in_time(self.delivery.acker.nack(requeue)).await {
            tracing::debug!(%why, "what was handed in could not be given back: it comes again anyway");
        }
    }

    /// Puts it with the dead for a cause, with more headers, and acks it once it is safe there.
    pub async fn bury(self, cause: &str, headers: &[(&str, String)]) {
        let queue = self.shared.topology.submit();
        let mut properties = wire::properties_of_dead(self.properties(), &queue, cause);
        let mut table = properties.headers().clone().unwrap_or_default();
        for (name, value) in headers {
            table.insert((*name).into(), AMQPValue::LongString(value.as_str().into()));
        }
        table.insert(wire::ROUTING_KEY.into(), AMQPValue::LongString(self.routing_key().into()));
        properties = properties.with_headers(table);
        let body = self.delivery.data.clone();
        if poison::put_with_the_dead(&self.shared, &self.session, &queue, body, properties).await {
            self.ack().await;
        }
    }
}
