//! The loop: take a message, do it, say how it ended, ack.

use crate::task::{Handler, Task};
use darkroom_proto::{ErrorClass, TASK_VERSION, TaskError, TaskMessage, TaskSaid, op};
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::message::Delivery;
use lapin::options::{
    BasicAckOptions, BasicCancelOptions, BasicConsumeOptions, BasicNackOptions, BasicQosOptions, ConfirmSelectOptions,
};
use lapin::types::FieldTable;
use lapin::{Channel, Connection, ConnectionProperties, Consumer};
use secrecy::{ExposeSecret as _, SecretString};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// What the consumer is called at the broker.
const TAG: &str = "taskworker";

/// How long is waited before the broker is asked again.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// How often it is said within the step's time that the work goes on, and how long is waited at most and at least.
const SIGNS_PER_TIMEOUT: f64 = 4.0;
const SIGN_EVERY: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// How long a connection to the API may take, and how long it may bring nothing.
const CONNECT_MAX: Duration = Duration::from_secs(10);
const STALLED_MAX: Duration = Duration::from_secs(60);

/// What a worker serves, and where.
#[derive(Debug, Clone)]
pub struct Options {
    /// The broker: `amqp://user:password@host:port/vhost`, or `amqps://…`.
    pub url: SecretString,
    /// The namespace of the fleet.
    pub namespace: String,
    /// The task, without `task.`.
    pub task: String,
    /// How many it does at once.
    pub slots: u16,
}

impl Options {
    /// One at a time, of a fleet in the namespace `dr`.
    pub fn new(url: SecretString, task: impl Into<String>) -> Options {
        Options { url, namespace: "dr".into(), task: task.into(), slots: 1 }
    }
}

/// Why a worker could not begin.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The broker.
    #[error("the queue `{queue}` can't be consumed: {why}")]
    Broker {
        /// The queue.
        queue: String,
        /// What the broker said.
        why: String,
    },
    /// The HTTP client for files.
    #[error("there is no HTTP client: {0}")]
    Http(#[from] reqwest::Error),
}

/// Serves a task until `stop`; then finishes what it has begun. It connects again whenever the connection is lost: what it
/// was at is then given out again by the broker.
///
/// `begun` is called once it takes messages for the first time.
///
/// # Errors
/// When it can't begin: the broker is not there, or the queue is not, or may not be read.
pub async fn serve<H: Handler>(
    options: Options,
    handler: H,
    begun: impl FnOnce(),
    stop: CancellationToken,
) -> Result<(), WorkerError> {
    let queue = format!("{}.steps.{}{}", options.namespace, op::TASK_PREFIX, options.task);
    let http = reqwest::Client::builder().connect_timeout(CONNECT_MAX).read_timeout(STALLED_MAX).build()?;
    let handler = Arc::new(handler);
    let broken = |error: lapin::Error| WorkerError::Broker { queue: queue.clone(), why: error.to_string() };
    let mut line = Line::open(&options, &queue).await.map_err(broken)?;
    begun();
    loop {
        line.take(&handler, &http, &stop).await;
        if stop.is_cancelled() {
            line.close().await;
            return Ok(());
        }
        line = loop {
            tokio::select! {
                () = tokio::time::sleep(AGAIN_AFTER) => {}
                () = stop.cancelled() => return Ok(()),
            }
            match Line::open(&options, &queue).await {
                Ok(line) => break line,
                Err(error) => tracing::warn!(%error, queue, "waiting for the broker"),
            }
        };
    }
}

/// A connection that messages come over.
struct Line {
    connection: Connection,
    channel: Channel,
    consumer: Consumer,
}

impl Line {
    async fn open(options: &Options, queue: &str) -> Result<Line, lapin::Error> {
        let connection = Connection::connect(options.url.expose_secret(), ConnectionProperties::default()).await?;
        let channel = connection.create_channel().await?;
        channel.confirm_select(ConfirmSelectOptions::default()).await?;
        channel.basic_qos(options.slots.max(1), BasicQosOptions { global: false }).await?;
        let consume = BasicConsumeOptions::default();
        let consumer = channel.basic_consume(queue.into(), TAG.into(), consume, FieldTable::default()).await?;
        Ok(Line { connection, channel, consumer })
    }

    /// Takes messages until `stop`, or until the connection is lost; then waits for what it is at.
    async fn take<H: Handler>(&mut self, handler: &Arc<H>, http: &reqwest::Client, stop: &CancellationToken) {
        let mut in_hand = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                Some(_) = in_hand.join_next(), if !in_hand.is_empty() => {}
                next = self.consumer.next() => match next {
                    Some(Ok(delivery)) => {
                        let (handler, channel, http) = (handler.clone(), self.channel.clone(), http.clone());
                        in_hand.spawn(async move { work(&*handler, delivery, channel, http).await });
                    }
                    Some(Err(error)) => {
                        tracing::warn!(%error, "the connection to the broker was lost");
                        break;
                    }
                    None => break,
                },
            }
        }
        if stop.is_cancelled() {
            // What was taken in advance is given back when the connection ends.
            let cancelled = self.channel.basic_cancel(TAG.into(), BasicCancelOptions::default()).await;
            if let Err(error) = cancelled {
                tracing::debug!(%error, "the consumer could not be ended");
            }
        } else {
            in_hand.abort_all();
        }
        while in_hand.join_next().await.is_some() {}
    }

    async fn close(self) {
        if let Err(error) = self.connection.close(200, "done".into()).await {
            tracing::debug!(%error, "the connection could not be closed");
        }
    }
}

/// Deals with one message. It is acked once the broker has what is said of it; before, it comes again if anything happens.
async fn work<H: Handler>(handler: &H, delivery: Delivery, channel: Channel, http: reqwest::Client) {
    let message = match serde_json::from_slice::<TaskMessage>(&delivery.data) {
        Ok(message) if message.v == TASK_VERSION => message,
        unreadable => {
            let why = unreadable.map_or_else(|error| error.to_string(), |message| format!("version {}", message.v));
            tracing::error!(why, "a message can't be read: moved to the dead ones");
            let refuse = BasicNackOptions { multiple: false, requeue: false };
            if let Err(error) = delivery.acker.nack(refuse).await {
                tracing::debug!(%error, "a message could not be refused");
            }
            return;
        }
    };
    let wait = Duration::from_secs_f64((message.timeout_seconds / SIGNS_PER_TIMEOUT).clamp(0.0, 86_400.0));
    let wait = wait.clamp(SIGN_EVERY.0, SIGN_EVERY.1);
    let task = Task::new(message, channel, http);
    let handling = AssertUnwindSafe(handler.handle(task.clone())).catch_unwind();
    let signs = async {
        loop {
            task.working(None, "").await;
            tokio::time::sleep(wait).await;
        }
    };
    let said = tokio::select! {
        handled = handling => match handled {
            Ok(Ok(outputs)) => TaskSaid::Succeeded { outputs, notes: Vec::new() },
            Ok(Err(error)) => TaskSaid::Failed { error },
            Err(_) => TaskSaid::Failed {
                error: TaskError { code: "panic".into(), ..TaskError::new(ErrorClass::WorkflowError, "the worker panicked") },
            },
        },
        () = signs => return,
    };
    match task.say(said).await {
        Ok(()) => {
            if let Err(error) = delivery.acker.ack(BasicAckOptions::default()).await {
                tracing::debug!(%error, "an ack was lost; the task comes again, and nobody takes its report");
            }
        }
        Err(why) => {
            tracing::warn!(why, "a report could not be sent; its task is given back");
            let give_back = BasicNackOptions { multiple: false, requeue: true };
            if let Err(error) = delivery.acker.nack(give_back).await {
                tracing::debug!(%error, "a task comes again when the connection ends");
            }
        }
    }
}
