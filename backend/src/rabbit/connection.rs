//! The connection to the broker: made, watched, and made again.

use super::Shared;
use super::acker::Acker;
use super::publisher::{self, Job};
use super::subscriptions;
use crate::QueueError;
use futures_util::{Stream, StreamExt as _};
use lapin::options::ConfirmSelectOptions;
use lapin::uri::AMQPUri;
use lapin::{Channel, Connection, ConnectionProperties, Event};
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long anything may take that the broker is asked for.
pub(super) const TIMEOUT: Duration = Duration::from_secs(30);
/// How long connecting may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long closing may take: nothing depends on it.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);
/// After two of these without a sign of life the connection is dead. Less gives false alarms on a busy machine.
const HEARTBEAT_SECONDS: u16 = 10;
const BACKOFF_MIN: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// A connection that lived so long was a good one: the next one is tried without delay.
const GOOD_AFTER: Duration = Duration::from_secs(10);
/// How often the connections are looked at besides listening to them.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Queues that were found missing are declared again at most this often.
const REDECLARE_EVERY: Duration = Duration::from_millis(500);

/// Waits for an answer of the broker, not for ever.
pub(super) async fn in_time<T>(answer: impl Future<Output = lapin::Result<T>>) -> Result<T, String> {
    match tokio::time::timeout(TIMEOUT, answer).await {
        Ok(answer) => answer.map_err(|error| error.to_string()),
        Err(_) => Err(format!("no answer within {TIMEOUT:?}")),
    }
}

/// What there is now of a connection.
#[derive(Debug, Clone)]
pub(super) enum Link {
    /// None yet, or none any more.
    Waiting,
    Up(Arc<Session>),
    /// There will be none again.
    Closed,
}

/// A pair of connections, from when both are open until one of them fails. Nothing of it outlives it: channels,
/// deliveries and acks belong to one session.
#[derive(Debug)]
pub(super) struct Session {
    /// Counts the sessions of a queue.
    pub(super) epoch: u64,
    /// Alarms of the broker stop publishing connections, so acks have one of their own.
    publishing: Connection,
    consuming: Connection,
    /// To the task that publishes.
    pub(super) jobs: mpsc::UnboundedSender<Job>,
    pub(super) blocked: watch::Sender<bool>,
    ended: CancellationToken,
    why: Mutex<Option<String>>,
    declared_at: tokio::sync::Mutex<Instant>,
    ackers: [Arc<Acker>; 2],
}

impl Session {
    /// Ends it. The first reason counts.
    pub(super) fn fail(&self, why: impl Into<String>) {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| why.into());
        self.ended.cancel();
    }

    /// Waits for its end.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended.is_cancelled()
    }

    fn why(&self) -> String {
        self.why.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(|| "closed".into())
    }

    /// The connection that is not stopped by alarms.
    pub(super) fn consuming(&self) -> &Connection {
        &self.consuming
    }

    /// Declares everything again, because something was found missing.
    pub(super) async fn redeclare(&self, shared: &Shared) -> Result<(), QueueError> {
        let mut declared_at = self.declared_at.lock().await;
        if declared_at.elapsed() >= REDECLARE_EVERY {
            tracing::warn!(namespace = shared.options.namespace, "queues are missing on the broker: declared again");
            shared.topology.declare(&self.consuming, &shared.pools(), false).await?;
            *declared_at = Instant::now();
        }
        Ok(())
    }

    /// Sends what is acked, and closes both connections.
    async fn close(&self) {
        let flush = async {
            for acker in &self.ackers {
                if let Err(why) = acker.send().await {
                    tracing::debug!(why, "acks were not sent: their messages come again");
                }
            }
        };
        // Every part of it is a courtesy to the broker, which copes without.
        let _flushed = tokio::time::timeout(CLOSE_TIMEOUT, flush).await;
        for connection in [&self.publishing, &self.consuming] {
            if connection.status().connected() {
                let _closed = tokio::time::timeout(CLOSE_TIMEOUT, connection.close(200, "done".into())).await;
            }
        }
    }
}

/// Keeps a queue connected until it is closed.
pub(super) async fn supervise(shared: Arc<Shared>) {
    let (mut epoch, mut attempt) = (0, 0);
    while !shared.stop.is_cancelled() {
        let opened = tokio::select! {
            biased;
            () = shared.stop.cancelled() => break,
            opened = open_session(&shared, epoch + 1) => opened,
        };
        let why = match opened {
            Ok(session) => {
                epoch += 1;
                tracing::info!(place = shared.place, epoch, "connected to RabbitMQ");
                let since = Instant::now();
                shared.set_up(&session);
                tokio::select! {
                    () = session.ended() => {}
                    () = shared.stop.cancelled() => {}
                }
                if since.elapsed() >= GOOD_AFTER {
                    attempt = 0;
                }
                if shared.stop.is_cancelled() {
                    shared.hub.close();
                    session.close().await;
                    session.fail("closed");
                    break;
                }
                let why = session.why();
                shared.set_down(&why);
                shared.tasks.spawn(async move { session.close().await });
                why
            }
            Err(error) => {
                let why = match error {
                    QueueError::Unreachable { why, .. } => why,
                    other => other.to_string(),
                };
                shared.set_down(&why);
                why
            }
        };
        attempt += 1;
        tracing::warn!(place = shared.place, why, attempt, "waiting for RabbitMQ");
        tokio::select! {
            () = tokio::time::sleep(backoff(attempt)) => {}
            () = shared.stop.cancelled() => {}
        }
    }
    shared.hub.close();
    shared.link.send_replace(Link::Closed);
}

/// Full jitter: anything up to a limit that doubles, so that many processes do not come back at the same moment.
fn backoff(attempt: u32) -> Duration {
    let limit = BACKOFF_MIN.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(BACKOFF_MAX);
    let random = RandomState::new().hash_one(attempt);
    limit.mul_f64((random >> 11) as f64 / (1u64 << 53) as f64)
}

/// Opens a connection.
pub(super) async fn open(shared: &Shared, role: &str) -> Result<Connection, QueueError> {
    let unreachable = |why| QueueError::Unreachable { place: shared.place.clone(), why };
    let mut uri = super::uri(&shared.options).map_err(unreachable)?;
    uri.query.heartbeat.get_or_insert(HEARTBEAT_SECONDS);
    uri.query.connection_timeout.get_or_insert(CONNECT_TIMEOUT.as_millis() as u64);
    let name = format!("{} ({role})", shared.options.name);
    let properties = ConnectionProperties::default().with_connection_name(name.into());
    match tokio::time::timeout(CONNECT_TIMEOUT, Connection::connect_uri(uri, properties)).await {
        Ok(Ok(connection)) => Ok(connection),
        Ok(Err(error)) => Err(unreachable(error.to_string())),
        Err(_) => Err(unreachable(format!("no answer within {CONNECT_TIMEOUT:?}"))),
    }
}

/// Where a broker is, without the password.
pub(super) fn place(uri: &AMQPUri) -> String {
    format!("{}:{}, vhost {}", uri.authority.host, uri.authority.port, uri.vhost)
}

async fn open_session(shared: &Arc<Shared>, epoch: u64) -> Result<Arc<Session>, QueueError> {
    let (publishing, consuming) = tokio::try_join!(open(shared, "publishing"), open(shared, "consuming"))?;
    match shared.topology.declare(&consuming, &shared.pools(), epoch == 1).await {
        Ok(declared) => shared.note(declared),
        // Whoever may not declare relies on somebody who did.
        Err(QueueError::Refused { what, why }) if why.contains("ACCESS_REFUSED") => {
            tracing::warn!(what, why, "may not declare: `darkroom setup` has to");
        }
        Err(error) => return Err(error),
    }
    let unavailable = |why: String| QueueError::Unreachable { place: shared.place.clone(), why };
    let publish = in_time(publishing.create_channel()).await.map_err(unavailable)?;
    in_time(publish.confirm_select(ConfirmSelectOptions::default())).await.map_err(unavailable)?;
    let acker = |channel: Channel| Arc::new(Acker::new(channel));
    let steps = acker(in_time(consuming.create_channel()).await.map_err(unavailable)?);
    let shards = acker(in_time(consuming.create_channel()).await.map_err(unavailable)?);
    let (jobs, incoming) = mpsc::unbounded_channel();
    let (from_publishing, from_consuming) = (publishing.events_listener(), consuming.events_listener());
    let session = Arc::new(Session {
        epoch,
        publishing,
        consuming,
        jobs,
        blocked: watch::Sender::new(false),
        ended: CancellationToken::new(),
        why: Mutex::default(),
        declared_at: tokio::sync::Mutex::new(Instant::now()),
        ackers: [Arc::clone(&steps), Arc::clone(&shards)],
    });
    let tasks = &shared.tasks;
    tasks.spawn(watch(Arc::clone(shared), Arc::clone(&session), from_publishing));
    tasks.spawn(watch(Arc::clone(shared), Arc::clone(&session), from_consuming));
    tasks.spawn(publisher::run(Arc::clone(&session), publish, incoming));
    for acker in [&steps, &shards] {
        let (session, acker) = (Arc::clone(&session), Arc::clone(acker));
        tasks.spawn(async move {
            tokio::select! {
                why = acker.run() => session.fail(why),
                () = session.ended() => {}
            }
        });
    }
    tasks.spawn(subscriptions::run(Arc::clone(shared), Arc::clone(&session), steps, shards));
    Ok(session)
}

/// Listens to what the broker says about a connection.
async fn watch(shared: Arc<Shared>, session: Arc<Session>, events: impl Stream<Item = Event>) {
    let mut events = std::pin::pin!(events);
    loop {
        let event = tokio::select! {
            () = session.ended() => return,
            event = events.next() => event,
            () = tokio::time::sleep(LOOK_EVERY) => {
                if !(session.publishing.status().connected() && session.consuming.status().connected()) {
                    session.fail("the connection is gone");
                }
                continue;
            }
        };
        match event {
            Some(Event::ConnectionBlocked(reason)) => {
                tracing::warn!(place = shared.place, reason, "RabbitMQ has an alarm: no new work is taken");
                session.blocked.send_replace(true);
                shared.hub.set_blocked(true);
            }
            Some(Event::ConnectionUnblocked) => {
                tracing::info!(place = shared.place, "the alarm of RabbitMQ is over");
                session.blocked.send_replace(false);
                shared.hub.set_blocked(false);
            }
            // Errors of one channel are met by those who use it.
            Some(Event::Error(error)) if error.is_amqp_soft_error() => {}
            Some(Event::Error(error)) => session.fail(error.to_string()),
            Some(_) => {}
            None => session.fail("the connection is gone"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backoff_stays_within_its_limit() {
        for attempt in 1..100 {
            assert!(backoff(attempt) <= BACKOFF_MAX);
        }
        assert!(backoff(1) <= BACKOFF_MIN);
    }

    #[test]
    fn the_place_has_no_password() {
        let uri: AMQPUri = "amqp://user:secret@broker:5673/shop".parse().unwrap();
        assert_eq!(place(&uri), "broker:5673, vhost shop");
    }
}
