//! [`RabbitQueue`]: the queue of a fleet, on RabbitMQ.
//!
//! Messages are persistent and confirmed, queues are quorum queues, and nothing is acked before its consequences are
//! durable; so what was published is delivered until it is acked, whatever restarts in between.

mod acker;
mod connection;
mod consumer;
mod delivery;
mod gauge;
mod hub;
mod poison;
mod publisher;
mod submission;
mod subscriptions;
mod topology;
mod wire;

pub use delivery::RabbitDelivery;
pub use submission::{Answer, Submissions, Submitted};
pub use topology::Declared;

use crate::{Artifacts, Publication, Queue, QueueError, Shard, ShardMessage};
use connection::{Link, Session};
use darkroom_proto::{Duration, ReportTo, StepMessage};
use hub::Hub;
use lapin::uri::AMQPUri;
use publisher::{Outgoing, To};
use secrecy::{ExposeSecret as _, SecretString};
use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use topology::{StepLine, Topology};
use wire::{INLINE_BYTES_MAX, REFERENCE_BYTES_MAX, REFERENCE_BYTES_MIN};

/// How long closing may take before it is given up.
const CLOSE_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(10);

/// How a [`RabbitQueue`] is set up.
#[derive(Debug, Clone)]
pub struct RabbitOptions {
    /// Where the broker is: `amqp://user:password@host:port/vhost`, or `amqps://…`.
    pub url: SecretString,
    /// What the names of exchanges and queues begin with.
    pub namespace: String,
    /// How many shards there are.
    pub shards: u16,
    /// The pools that always have queues. Others get theirs when a worker first takes from them.
    pub pools: Vec<String>,
    /// How many steps this process does at once: it takes up to twice as many in advance from each queue.
    pub slots: u16,
    /// The pools of which it does more at once, because their steps mostly wait for somebody else, and how many.
    pub wide: std::collections::BTreeMap<String, u16>,
    /// Where bodies over 64 KiB are put. Without it the limit of a message is 256 KiB.
    pub attachments: Option<Artifacts>,
    /// What the connections are called in the broker's lists.
    pub name: String,
    /// The delays that there are queues for; others take the nearest.
    pub ladder: Vec<Duration>,
}

impl RabbitOptions {
    /// The options of a fleet whose broker is there.
    pub fn new(url: SecretString) -> Self {
        Self {
            url,
            namespace: "dr".into(),
            shards: 16,
            pools: ["api", "image", "video", "system"].map(str::to_owned).into(),
            slots: 0,
            wide: std::collections::BTreeMap::new(),
            attachments: None,
            name: "darkroom".into(),
            ladder: topology::LADDER.into(),
        }
    }
}

/// How the connection to the broker is.
#[derive(Debug, Clone)]
pub struct Health {
    /// Whether there is one.
    pub connected: bool,
    /// Whether the broker takes no messages, because it has a memory or disk alarm.
    pub blocked: bool,
    /// Since when it is connected or not.
    pub since: Instant,
    /// Why there was none the last time.
    pub last_error: Option<String>,
}

/// The queue of a fleet, on RabbitMQ.
///
/// It connects by itself, and again whenever the connection is lost: meanwhile publishing waits for up to 30 seconds,
/// and taking as long as it takes. What was taken before is given out again by the broker.
#[derive(Debug, Clone)]
pub struct RabbitQueue {
    shared: Arc<Shared>,
    /// Which of those it is that take messages of shards here.
    taker: u8,
    /// The last clone that is dropped ends the connection.
    _open: Arc<DropGuard>,
}

/// What all parts of a queue share.
#[derive(Debug)]
struct Shared {
    options: RabbitOptions,
    place: String,
    topology: Topology,
    hub: Arc<Hub>,
    link: watch::Sender<Link>,
    state: Mutex<State>,
    /// The pools of tasks that something was sent to.
    task_pools: Mutex<BTreeSet<String>>,
    /// Messages that were put with the dead.
    dead: AtomicU64,
    /// Tells the messages of this process from others'.
    instance: u64,
    messages: AtomicU64,
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Debug)]
struct State {
    since: Instant,
    connected: bool,
    last_error: Option<String>,
    /// What was on the broker at first.
    declared: Declared,
}

impl RabbitQueue {
    /// A queue that connects by itself. Must be called inside a Tokio runtime.
    pub fn connect(options: RabbitOptions) -> RabbitQueue {
        let place = uri(&options).map_or_else(|_| "broker.url".to_owned(), |uri| connection::place(&uri));
        let stop = CancellationToken::new();
        let shared = Arc::new(Shared {
            topology: Topology::new(&options.namespace, options.shards, &options.ladder),
            place,
            hub: Arc::default(),
            link: watch::Sender::new(Link::Waiting),
            state: Mutex::new(State {
                since: Instant::now(),
                connected: false,
                last_error: None,
                declared: Declared::default(),
            }),
            task_pools: Mutex::default(),
            dead: AtomicU64::new(0),
            instance: RandomState::new().hash_one(&options.name),
            messages: AtomicU64::new(0),
            stop: stop.clone(),
            tasks: TaskTracker::new(),
            options,
        });
        shared.tasks.spawn(connection::supervise(Arc::clone(&shared)));
        RabbitQueue { shared, taker: 0, _open: Arc::new(stop.drop_guard()) }
    }

    /// The same queue for one of several that take messages of shards, each of its own: what is consumed is what all of
    /// them asked for last.
    pub fn taker(&self, taker: u8) -> RabbitQueue {
        RabbitQueue { taker, ..self.clone() }
    }

    /// Declares exchanges and queues, and says which of them this queue found at first and which it made. Declaring
    /// again changes nothing.
    pub async fn declare(&self) -> Result<Declared, QueueError> {
        let shared = &self.shared;
        let connection = connection::open(shared, "setup").await?;
        let declared = shared.topology.declare(&connection, &shared.pools(), true).await;
        close(connection).await;
        let mut declared = declared?;
        // What the connection made when it came up counts as made.
        let first = &shared.state().declared;
        let made = |name: &String| first.created.contains(name);
        let (created, found) = declared.found.into_iter().partition(made);
        declared.found = found;
        declared.created.extend(created);
        Ok(declared)
    }

    /// Ends the queue and removes everything of its namespace from the broker, messages included.
    pub async fn delete(&self) -> Result<(), QueueError> {
        // Consumers would declare again what goes away under them.
        self.close().await;
        let shared = &self.shared;
        let connection = connection::open(shared, "removal").await?;
        let deleted = shared.topology.delete(&connection, &shared.pools()).await;
        close(connection).await;
        deleted
    }

    /// Drops all messages that nobody holds.
    pub async fn purge(&self) -> Result<(), QueueError> {
        let shared = &self.shared;
        let connection = connection::open(shared, "removal").await?;
        let purged = shared.topology.purge(&connection, &shared.pools()).await;
        close(connection).await;
        purged
    }

    /// How the connection is. Cheap.
    pub fn health(&self) -> Health {
        let blocked = match &*self.shared.link.borrow() {
            Link::Up(session) => *session.blocked.borrow(),
            Link::Waiting | Link::Closed => false,
        };
        let state = self.shared.state();
        Health { connected: state.connected, blocked, since: state.since, last_error: state.last_error.clone() }
    }

    /// How many messages this queue has put with the dead because it could not read them.
    pub fn dead_count(&self) -> u64 {
        self.shared.dead.load(Ordering::Relaxed)
    }

    /// Ends it in good order: nothing is taken any more, acks are sent, what is held is given back, connections are
    /// closed. To be called before the runtime ends.
    pub async fn close(&self) {
        self.shared.stop.cancel();
        self.shared.tasks.close();
        if tokio::time::timeout(CLOSE_TIMEOUT, self.shared.tasks.wait()).await.is_err() {
            tracing::warn!("the connection to RabbitMQ did not close within {CLOSE_TIMEOUT:?}");
        }
    }
}

/// The URL in its parts. It is parsed anew each time, so that the password is kept nowhere but in the secret.
fn uri(options: &RabbitOptions) -> Result<AMQPUri, String> {
    options.url.expose_secret().parse().map_err(|why| format!("broker.url is no URL: {why}"))
}

async fn close(connection: lapin::Connection) {
    if let Err(why) = connection::in_time(connection.close(200, "done".into())).await {
        tracing::debug!(why, "a connection did not close");
    }
}

impl Queue for RabbitQueue {
    type Step = RabbitDelivery<StepMessage>;
    type Shard = RabbitDelivery<ShardMessage>;

    fn durable(&self) -> bool {
        true
    }

    async fn publish(&self, publications: Vec<Publication>) -> Result<(), QueueError> {
        let mut messages = Vec::with_capacity(publications.len());
        for publication in publications {
            if let Publication::Task { message, .. } = &publication {
                self.shared.declare_task(message.pool()).await?;
            }
            messages.push(self.shared.outgoing(publication).await?);
        }
        let count = messages.len() as u64;
        publisher::publish(&self.shared, messages).await?;
        metrics::counter!("darkroom_broker_published_total").increment(count);
        Ok(())
    }

    async fn take_step(&self, pools: &[String]) -> Result<Option<Self::Step>, QueueError> {
        Ok(self.shared.hub.take_step(pools).await.map(delivery::Received::take))
    }

    async fn take_shard(&self, shards: &[Shard], max: usize) -> Result<Vec<Self::Shard>, QueueError> {
        let taken = self.shared.hub.take_shard(self.taker, shards, max).await;
        Ok(taken.into_iter().map(delivery::Received::take).collect())
    }

    async fn depth(&self, pool: &str) -> Result<u64, QueueError> {
        let session = self.shared.session().await?;
        let waiting = self.shared.topology.depth(session.consuming(), pool).await?;
        let waiting = waiting.ok_or_else(|| QueueError::NoSuchPool { pool: pool.to_owned() })?;
        Ok(waiting + self.shared.hub.depth(pool))
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every pool that has queues, as far as is known here.
    fn pools(&self) -> BTreeSet<String> {
        let tasks = self.task_pools.lock().unwrap_or_else(PoisonError::into_inner).clone();
        self.options.pools.iter().cloned().chain(self.hub.wanted_pools()).chain(tasks).collect()
    }

    fn attachments(&self) -> Option<Artifacts> {
        self.options.attachments.clone()
    }

    fn next_id(&self) -> String {
        format!("{:016x}-{}", self.instance, self.messages.fetch_add(1, Ordering::Relaxed))
    }

    fn set_up(&self, session: &Arc<Session>) {
        {
            let mut state = self.state();
            (state.connected, state.since) = (true, Instant::now());
        }
        self.link.send_replace(Link::Up(Arc::clone(session)));
    }

    fn set_down(&self, why: &str) {
        {
            let mut state = self.state();
            if state.connected {
                (state.connected, state.since) = (false, Instant::now());
            }
            state.last_error = Some(why.to_owned());
        }
        self.link.send_replace(Link::Waiting);
        self.hub.forget();
        self.hub.set_blocked(false);
    }

    /// Keeps what was on the broker when this process first met it.
    fn note(&self, declared: Declared) {
        let mut state = self.state();
        if state.declared == Declared::default() {
            state.declared = declared;
        }
    }

    fn unreachable(&self, last: &str) -> QueueError {
        let known = self.state().last_error.clone();
        let why = known.or_else(|| (!last.is_empty()).then(|| last.to_owned()));
        QueueError::Unreachable { place: self.place.clone(), why: why.unwrap_or_else(|| "no answer".into()) }
    }

    /// The connection, when there is one.
    async fn session(&self) -> Result<Arc<Session>, QueueError> {
        let mut link = self.link.subscribe();
        let up = link.wait_for(|link| !matches!(link, Link::Waiting));
        match tokio::time::timeout(connection::TIMEOUT, up).await {
            Ok(Ok(link)) => match &*link {
                Link::Up(session) => Ok(Arc::clone(session)),
                Link::Waiting | Link::Closed => Err(QueueError::Unavailable("it was closed".into())),
            },
            Ok(Err(_)) => Err(QueueError::Unavailable("it was closed".into())),
            Err(_) => Err(self.unreachable("")),
        }
    }

    /// Declares the queue of a task before something is sent to it first: its workers may have no right to do so.
    async fn declare_task(&self, pool: String) -> Result<(), QueueError> {
        if self.pools().contains(&pool) {
            return Ok(());
        }
        let session = self.session().await?;
        match self.topology.declare_pool(session.consuming(), &pool).await {
            Ok(()) => {}
            // Somebody made another one. It may do; if not, its messages come back.
            Err(error @ QueueError::Refused { .. }) => tracing::warn!(%error, "the queue of a task is not ours"),
            Err(error) => return Err(error),
        }
        self.task_pools.lock().unwrap_or_else(PoisonError::into_inner).insert(pool);
        Ok(())
    }

    /// Fills in where reports about a task go.
    fn addressed(&self, mut publication: Publication) -> Publication {
        if let Publication::Task { message, .. } = &mut publication {
            let routing_key = message.run.shard(self.options.shards).to_string();
            message.report_to = ReportTo { exchange: self.topology.report(), routing_key };
        }
        publication
    }

    /// Encodes a message, and puts a large body where it is fetched from.
    async fn outgoing(&self, publication: Publication) -> Result<Outgoing, QueueError> {
        let publication = self.addressed(publication);
        let body = wire::encode(&publication)?;
        let trace = wire::trace(&publication);
        let content_type = wire::content_type(&publication);
        // What is written for others to read they have to be able to get.
        let attachments = self.attachments().filter(|_| content_type == wire::CONTENT_TYPE);
        let bytes = body.len() as u64;
        let (body, reference) = match attachments {
            Some(_) if bytes > REFERENCE_BYTES_MAX => {
                return Err(QueueError::TooLarge { bytes, bytes_max: REFERENCE_BYTES_MAX });
            }
            Some(attachments) if bytes > REFERENCE_BYTES_MIN => {
                let kept = consumer::put(self, attachments, body).await;
                let reference = kept.map_err(|why| {
                    QueueError::Unavailable(format!("a large message can't be kept in the artifact store: {why}"))
                })?;
                (Vec::new(), Some(reference))
            }
            None if bytes > INLINE_BYTES_MAX => {
                return Err(QueueError::TooLarge { bytes, bytes_max: INLINE_BYTES_MAX });
            }
            Some(_) | None => (body, None),
        };
        let properties = wire::properties(&self.next_id(), content_type, trace, reference);
        let (exchange, key, to) = match publication {
            Publication::Step { pool, lane, delay, .. } => {
                let key = Topology::step_key(&pool, StepLine::from(lane));
                let delayed = delay.and_then(|delay| self.topology.delay(delay));
                (delayed.unwrap_or_else(|| self.topology.steps()), key, To::Pool(pool))
            }
            Publication::Task { delay, message } => {
                let pool = message.pool();
                let delayed = delay.and_then(|delay| self.topology.delay(delay));
                (delayed.unwrap_or_else(|| self.topology.steps()), pool.clone(), To::Pool(pool))
            }
            Publication::Shard { shard, .. } => {
                (self.topology.shard(), shard.0.to_string(), To::Queue(self.topology.shard_queue(shard)))
            }
        };
        Ok(Outgoing::new(&exchange, &key, body, properties, to))
    }
}
