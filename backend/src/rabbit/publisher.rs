//! Publishing: one task for each session owns the channel and everything that is not confirmed yet.
//!
//! One task, because lapin numbers a message and queues its frames in two moves: publishing from several threads on one
//! channel could swap two numbers. And because it gives a returned message to whichever confirm comes next, not to its
//! own: who was returned can only be told by looking at all confirms of a frame together.

use super::Shared;
use super::connection::{Link, Session, TIMEOUT};
use super::topology::short;
use crate::QueueError;
use futures_util::FutureExt as _;
use futures_util::stream::{FuturesUnordered, StreamExt as _};
use lapin::options::BasicPublishOptions;
use lapin::types::ShortString;
use lapin::{BasicProperties, Channel, Confirmation};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

/// How many messages may be on their way without a confirm. lapin buffers without limit, so this is the limit.
const UNCONFIRMED_MAX: usize = 512;

/// How long to wait before what the broker refused is published again: a queue that changes its leader refuses for a
/// moment.
const AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A message, ready to be sent as often as needed.
#[derive(Debug)]
pub(super) struct Outgoing {
    exchange: ShortString,
    key: ShortString,
    body: Vec<u8>,
    properties: BasicProperties,
    /// Whom it is for, to say so if nobody is there.
    to: To,
}

/// Whom a message is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum To {
    Pool(String),
    Queue(String),
    /// The queue that somebody wants an answer in, which is none of ours.
    Asker(String),
}

impl Outgoing {
    pub(super) fn new(exchange: &str, key: &str, body: Vec<u8>, properties: BasicProperties, to: To) -> Self {
        Self { exchange: short(exchange), key: short(key), body, properties, to }
    }
}

/// Messages to send, and where to say how that went.
#[derive(Debug)]
pub(super) struct Job {
    messages: Arc<Vec<Outgoing>>,
    /// Which of them.
    which: Vec<usize>,
    done: oneshot::Sender<Vec<(usize, Fate)>>,
}

/// How sending a message went.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Confirmed,
    /// No queue is bound with its key.
    Returned,
    /// The broker refused it, or the connection was lost: it may be there or not.
    Lost(String),
}

/// Publishes all of them, over as many connections as it takes.
pub(super) async fn publish(shared: &Shared, messages: Vec<Outgoing>) -> Result<(), QueueError> {
    let deadline = Instant::now() + TIMEOUT;
    let mut link = shared.link.subscribe();
    let mut left: Vec<usize> = (0..messages.len()).collect();
    let mut confirmed = vec![false; messages.len()];
    let messages = Arc::new(messages);
    let mut declared = false;
    let mut last = String::new();
    while !left.is_empty() {
        let session = session(shared, &mut link, deadline, &last).await?;
        let (done, fates) = oneshot::channel();
        let job = Job { messages: Arc::clone(&messages), which: left.clone(), done };
        let fates = match session.jobs.send(job) {
            Ok(()) => match tokio::time::timeout_at(deadline, fates).await {
                Ok(fates) => fates.unwrap_or_default(),
                Err(_) if *session.blocked.borrow() => return Err(blocked()),
                Err(_) => {
                    session.fail("a publication was not confirmed in time");
                    let why = format!("RabbitMQ did not confirm within {TIMEOUT:?}");
                    return Err(QueueError::Unavailable(why));
                }
            },
            Err(_) => Vec::new(),
        };
        let mut returned = None;
        let mut refused = false;
        for (message, fate) in fates {
            match fate {
                Fate::Confirmed => confirmed[message] = true,
                Fate::Returned => returned = Some(message),
                Fate::Lost(why) => (last, refused) = (why, true),
            }
        }
        left.retain(|&message| !confirmed[message]);
        if let Some(message) = returned {
            let to = &messages[message].to;
            if declared || matches!(to, To::Asker(_)) {
                return Err(nobody(to));
            }
            declared = true;
            if let Err(error) = session.redeclare(shared).await {
                tracing::warn!(%error, "queues that are missing could not be declared");
            }
        } else if refused || session.has_ended() {
            tokio::time::sleep_until(deadline.min(Instant::now() + AGAIN_AFTER)).await;
        }
    }
    Ok(())
}

fn blocked() -> QueueError {
    QueueError::Unavailable("RabbitMQ takes no messages: it has a memory or disk alarm".into())
}

fn nobody(to: &To) -> QueueError {
    match to {
        To::Pool(pool) => QueueError::NoSuchPool { pool: pool.clone() },
        To::Queue(queue) => QueueError::Unavailable(format!("there is no queue {queue}")),
        To::Asker(queue) => QueueError::Refused { what: queue.clone(), why: "there is no such queue".into() },
    }
}

/// A session that publishes, when there is one.
async fn session(
    shared: &Shared,
    link: &mut tokio::sync::watch::Receiver<Link>,
    deadline: Instant,
    last: &str,
) -> Result<Arc<Session>, QueueError> {
    loop {
        let session = {
            let up = link.wait_for(|link| match link {
                Link::Up(session) => !session.has_ended(),
                Link::Waiting => false,
                Link::Closed => true,
            });
            match tokio::time::timeout_at(deadline, up).await {
                Ok(Ok(link)) => match &*link {
                    Link::Up(session) => Arc::clone(session),
                    Link::Waiting | Link::Closed => return Err(QueueError::Unavailable("it was closed".into())),
                },
                Ok(Err(_)) => return Err(QueueError::Unavailable("it was closed".into())),
                Err(_) => return Err(shared.unreachable(last)),
            }
        };
        if Instant::now() >= deadline {
            return Err(QueueError::Unavailable(format!("not confirmed within {TIMEOUT:?}: {last}")));
        }
        let mut is_blocked = session.blocked.subscribe();
        tokio::select! {
            open = is_blocked.wait_for(|blocked| !blocked) => {
                if open.is_ok() {
                    return Ok(Arc::clone(&session));
                }
            }
            () = session.ended() => {}
            () = tokio::time::sleep_until(deadline) => return Err(blocked()),
        }
    }
}

/// What a message of a job came to.
type Sent = (u64, usize, Result<Confirmation, lapin::Error>);

/// A job under way.
struct Running {
    messages: Arc<Vec<Outgoing>>,
    left: usize,
    fates: Vec<(usize, Fate)>,
    done: oneshot::Sender<Vec<(usize, Fate)>>,
}

/// Sends what comes until the session ends. Then every job that is not done is dropped, which tells those who wait.
pub(super) async fn run(session: Arc<Session>, channel: Channel, mut incoming: mpsc::UnboundedReceiver<Job>) {
    let mut running: HashMap<u64, Running> = HashMap::new();
    let mut waiting: VecDeque<(u64, usize)> = VecDeque::new();
    let mut unconfirmed = FuturesUnordered::new();
    let mut jobs = 0;
    loop {
        while unconfirmed.len() < UNCONFIRMED_MAX {
            let Some((job, message)) = waiting.pop_front() else { break };
            if let Some(messages) = running.get(&job).map(|job| Arc::clone(&job.messages)) {
                unconfirmed.push(send(&channel, job, messages, message));
            }
        }
        tokio::select! {
            biased;
            () = session.ended() => return,
            Some(sent) = unconfirmed.next(), if !unconfirmed.is_empty() => {
                let mut round: Vec<Sent> = vec![sent];
                drain(&mut unconfirmed, &mut round);
                // lapin settles all confirms of a frame under one lock, which this takes: whatever belongs to the frame
                // of a confirm that was seen is settled when it returns.
                let _barrier = channel.wait_for_confirms().now_or_never();
                drain(&mut unconfirmed, &mut round);
                settle(&session, &mut running, round);
            }
            job = incoming.recv(), if waiting.is_empty() => {
                let Some(Job { messages, which, done }) = job else { return };
                jobs += 1;
                waiting.extend(which.iter().map(|&message| (jobs, message)));
                running.insert(jobs, Running { messages, left: which.len(), fates: Vec::new(), done });
            }
        }
    }
}

/// Takes whatever is settled without waiting.
fn drain<F: Future<Output = Sent>>(unconfirmed: &mut FuturesUnordered<F>, round: &mut Vec<Sent>) {
    while let Some(Some(sent)) = unconfirmed.next().now_or_never() {
        round.push(sent);
    }
}

async fn send(channel: &Channel, job: u64, messages: Arc<Vec<Outgoing>>, position: usize) -> Sent {
    let message = &messages[position];
    let mandatory = BasicPublishOptions { mandatory: true, immediate: false };
    let (exchange, key) = (message.exchange.clone(), message.key.clone());
    let publish = channel.basic_publish(exchange, key, mandatory, &message.body, message.properties.clone());
    let sent = match publish.await {
        Ok(confirm) => confirm.await,
        Err(error) => Err(error),
    };
    (job, position, sent)
}

fn settle(session: &Session, running: &mut HashMap<u64, Running>, round: Vec<Sent>) {
    let mut returned = HashSet::new();
    let mut fates = Vec::with_capacity(round.len());
    for (job, message, sent) in round {
        let (fate, back) = match sent {
            Ok(Confirmation::Ack(back)) => (Fate::Confirmed, back),
            Ok(Confirmation::Nack(back)) => (Fate::Lost("RabbitMQ refused a message".into()), back),
            Ok(Confirmation::NotRequested) => {
                session.fail("the channel does not confirm");
                (Fate::Lost("the channel does not confirm".into()), None)
            }
            Err(error) => {
                session.fail(error.to_string());
                (Fate::Lost(error.to_string()), None)
            }
        };
        if let Some(id) = back.and_then(|back| back.delivery.properties.message_id().clone()) {
            returned.insert(id);
        }
        fates.push((job, message, fate));
    }
    for (job, message, mut fate) in fates {
        let Some(state) = running.get_mut(&job) else { continue };
        let is_returned = !returned.is_empty()
            && state.messages[message].properties.message_id().as_ref().is_some_and(|id| returned.contains(id));
        if is_returned && fate == Fate::Confirmed {
            fate = Fate::Returned;
        }
        state.fates.push((message, fate));
        state.left -= 1;
        if state.left == 0
            && let Some(done) = running.remove(&job)
        {
            // Nobody may be waiting any more.
            let _unheard = done.done.send(done.fates);
        }
    }
}
