//! Messages to an echo and back, over quorum queues.

use super::limit_echo::publish;
use crate::failure::Failure;
use crate::settings::FleetPlace;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::options::{
    BasicAckOptions, BasicConsumeOptions, BasicQosOptions, ConfirmSelectOptions, QueueDeclareOptions,
    QueueDeleteOptions,
};
use lapin::types::{AMQPValue, FieldTable, ShortString};
use lapin::{BasicProperties, Channel, Connection, ConnectionProperties, Consumer};
use secrecy::ExposeSecret as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The size of a message that carries a step.
const MESSAGE_BYTES: usize = 700;

/// How many processes send messages back.
const ECHOES: usize = 2;

/// How many replies may be here before any is acked.
const PREFETCH: u16 = 2_048;

/// How long a message may take.
const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How messages are acked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Acks {
    /// Each by itself, as a simple client does.
    Each,
    /// As many together as there are, as ours does.
    Together,
}

/// The queues, this end of them, and the echoes at the other one.
pub(super) struct Cycle {
    steps: String,
    replies: String,
    out: Channel,
    back: Channel,
    consumer: Consumer,
    connections: [Connection; 2],
    acks: Acks,
    echoes: Vec<Echo>,
}

struct Echo(Child);

impl Drop for Echo {
    fn drop(&mut self) {
        // It holds nothing that is needed; if it can't be ended there is nobody to tell.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Cycle {
    /// Makes the queues and starts the echoes.
    pub(super) async fn open(place: &FleetPlace, acks: Acks) -> Result<Cycle, Failure> {
        let (publishing, consuming) = tokio::try_join!(connect(place), connect(place))?;
        let out = publishing.create_channel().await.map_err(broken)?;
        out.confirm_select(ConfirmSelectOptions::default()).await.map_err(broken)?;
        let back = consuming.create_channel().await.map_err(broken)?;
        let (steps, replies) =
            (format!("{}.limit.steps", place.namespace), format!("{}.limit.replies", place.namespace));
        for queue in [&steps, &replies] {
            let mut arguments = FieldTable::default();
            arguments.insert("x-queue-type".into(), AMQPValue::LongString("quorum".into()));
            let durable = QueueDeclareOptions { durable: true, ..QueueDeclareOptions::default() };
            back.queue_declare(short(queue), durable, arguments).await.map_err(broken)?;
        }
        back.basic_qos(PREFETCH, BasicQosOptions::default()).await.map_err(broken)?;
        let options = BasicConsumeOptions::default();
        let consume = back.basic_consume(short(&replies), short("bench"), options, FieldTable::default());
        let consumer = consume.await.map_err(broken)?;
        let connections = [publishing, consuming];
        let mut cycle = Cycle { steps, replies, out, back, consumer, connections, acks, echoes: Vec::new() };
        for _ in 0..ECHOES {
            cycle.echoes.push(cycle.start_echo()?);
        }
        Ok(cycle)
    }

    /// A process of its own, as a worker is.
    fn start_echo(&self) -> Result<Echo, Failure> {
        let failed = |error: std::io::Error| Failure::other(format!("an echo can't be started: {error}"));
        let child = Command::new(std::env::current_exe().map_err(failed)?)
            .args(["bench", "limit-echo", &self.steps, &self.replies])
            .args((self.acks == Acks::Together).then_some("--together"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .map_err(failed)?;
        Ok(Echo(child))
    }

    /// How long one message takes to the echo and back.
    pub(super) async fn one(&mut self) -> Result<Duration, Failure> {
        let body = vec![b'x'; MESSAGE_BYTES];
        let began = Instant::now();
        let (_, took) = tokio::try_join!(publish(&self.out, &self.steps, &body), async {
            let tag = take(&mut self.consumer).await?;
            let took = began.elapsed();
            self.back.basic_ack(tag, BasicAckOptions::default()).await.map_err(broken)?;
            Ok(took)
        })?;
        Ok(took)
    }

    /// Keeps so many under way for so long; how many came back, in what time.
    pub(super) async fn many(&mut self, in_flight: usize, time: Duration) -> Result<(u64, Duration), Failure> {
        let body = vec![b'x'; MESSAGE_BYTES];
        let mut unconfirmed = FuturesUnordered::new();
        let (mut sent, mut returned) = (0_u64, 0_u64);
        let began = Instant::now();
        let mut counted = None;
        loop {
            let is_over = began.elapsed() >= time;
            if is_over && counted.is_none() {
                counted = Some((returned, began.elapsed()));
            }
            while !is_over && ((sent - returned) as usize) < in_flight {
                sent += 1;
                unconfirmed.push(publish(&self.out, &self.steps, &body));
            }
            if let (Some(counted), true) = (counted, sent == returned && unconfirmed.is_empty()) {
                return Ok(counted);
            }
            tokio::select! {
                Some(confirmed) = unconfirmed.next(), if !unconfirmed.is_empty() => {
                    confirmed?;
                    while let Some(Some(confirmed)) = unconfirmed.next().now_or_never() {
                        confirmed?;
                    }
                }
                tag = take(&mut self.consumer), if sent > returned => {
                    let mut last = tag?;
                    returned += 1;
                    while self.acks == Acks::Together && let Some(tag) = take(&mut self.consumer).now_or_never() {
                        last = tag?;
                        returned += 1;
                    }
                    let multiple = self.acks == Acks::Together;
                    self.back.basic_ack(last, BasicAckOptions { multiple }).await.map_err(broken)?;
                }
            }
        }
    }

    /// The processes that send messages back.
    pub(super) fn echoes(&self) -> impl Iterator<Item = u32> {
        self.echoes.iter().map(|echo| echo.0.id())
    }

    /// Ends the echoes and removes the queues.
    pub(super) async fn close(mut self) {
        self.echoes.clear();
        for queue in [&self.steps, &self.replies] {
            if let Err(error) = self.back.queue_delete(short(queue), QueueDeleteOptions::default()).await {
                tracing::warn!(%error, queue, "a queue of the benchmark is left behind");
            }
        }
        for connection in &self.connections {
            if let Err(error) = connection.close(200, "done".into()).await {
                tracing::debug!(%error, "a connection did not close");
            }
        }
    }
}

async fn take(consumer: &mut Consumer) -> Result<u64, Failure> {
    match tokio::time::timeout(ANSWER_MAX, consumer.next()).await {
        Ok(Some(Ok(delivery))) => Ok(delivery.delivery_tag),
        Ok(Some(Err(error))) => Err(broken(error)),
        Ok(None) => Err(Failure::unreachable("the broker ended the consumer")),
        Err(_) => Err(Failure::unreachable(format!("no message came back within {} s", ANSWER_MAX.as_secs()))),
    }
}

/// A connection to the broker.
pub(super) async fn connect(place: &FleetPlace) -> Result<Connection, Failure> {
    let uri = place.broker.expose_secret();
    Connection::connect(uri, ConnectionProperties::default()).await.map_err(broken)
}

/// What an error of the broker means here.
pub(super) fn broken(error: lapin::Error) -> Failure {
    Failure::unreachable(format!("the broker can't be used: {error}"))
}

/// A name as AMQP takes it; all names here are short.
pub(super) fn short(name: &str) -> ShortString {
    ShortString::from(name)
}

/// What goes with a message: as with those of a fleet, it is durable and has an id.
pub(super) fn message() -> BasicProperties {
    BasicProperties::default()
        .with_content_type("application/msgpack".into())
        .with_delivery_mode(2)
        .with_message_id("bench-0123456789abcdef".into())
}
