//! Webhooks: what is told to whom, and told again when nobody took it.

use crate::fault::FaultKind;
use crate::server::Shared;
use axum::body::Bytes;
use darkroom_proto::{Duration, Timestamp};
use serde_json::{Value, json};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long a receiver may take to answer: the shortest that a provider names.
const ANSWER_MAX: std::time::Duration = std::time::Duration::from_secs(15);

/// How long a receiver may take to give a challenge back.
const CHALLENGE_MAX: std::time::Duration = std::time::Duration::from_secs(3);

/// Deliveries at once.
const AT_ONCE: usize = 64;

/// The longest wait between two tries.
const AGAIN_MAX: Duration = Duration::from_secs(60);

/// What a webhook is told about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Occasion {
    /// The job has begun.
    Start,
    /// The job has ended.
    End,
}

/// What is sent to a webhook.
#[derive(Debug, Clone)]
pub(crate) struct Notice {
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
    /// What is sent first, and must come back as it was.
    pub(crate) challenge: Option<Value>,
}

impl Notice {
    pub(crate) fn json(body: &Value) -> Notice {
        Notice { headers: Vec::new(), body: body.to_string().into(), challenge: None }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Notice {
        self.headers.push((name, value.into()));
        self
    }
}

/// Somebody who will be told something.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Due {
    pub(crate) at: Timestamp,
    pub(crate) provider: &'static str,
    pub(crate) job: String,
    pub(crate) occasion: Occasion,
    pub(crate) tries: u32,
    /// Whether it is about a job that ended early: what was due at its usual end is dropped then.
    pub(crate) cancelled: bool,
}

/// Who will be told something, soonest first.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    due: BinaryHeap<Reverse<Due>>,
    delivered: u64,
    lost: u64,
    failed: u64,
    /// Woken when something was put in.
    pub(crate) wake: Arc<Notify>,
}

impl Outbox {
    pub(crate) fn put(&mut self, due: Due) {
        self.due.push(Reverse(due));
        self.wake.notify_one();
    }

    pub(crate) fn clear(&mut self) {
        let wake = self.wake.clone();
        *self = Outbox { wake, ..Outbox::default() };
    }

    /// The next one whose time has come, or when that will be.
    fn next(&mut self, now: Timestamp) -> Result<Due, Option<Timestamp>> {
        match self.due.peek() {
            Some(Reverse(due)) if due.at <= now => self.due.pop().map(|Reverse(due)| due).ok_or(None),
            next => Err(next.map(|Reverse(due)| due.at)),
        }
    }

    pub(crate) fn document(&self) -> Value {
        json!({"waiting": self.due.len(), "delivered": self.delivered, "lost": self.lost, "failed": self.failed})
    }
}

/// Delivers webhooks until the end.
pub(crate) async fn deliver(shared: Arc<Shared>, stop: CancellationToken) {
    let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).timeout(ANSWER_MAX).build();
    let client = match client {
        Ok(client) => client,
        Err(error) => {
            tracing::error!(%error, "webhooks can't be delivered");
            return;
        }
    };
    let (places, tasks) = (Arc::new(Semaphore::new(AT_ONCE)), TaskTracker::new());
    let wake = shared.world().outbox.wake.clone();
    loop {
        let next = {
            let mut world = shared.world();
            let now = world.now();
            world.outbox.next(now)
        };
        match next {
            Ok(due) => {
                let Some((url, notice)) = notice(&shared, &due) else { continue };
                let Ok(place) = places.clone().acquire_owned().await else { return };
                let (shared, client) = (shared.clone(), client.clone());
                let stopped = stop.clone();
                tasks.spawn(async move {
                    let taken = tokio::select! {
                        taken = send(&client, &url, notice) => taken,
                        () = stopped.cancelled() => return,
                    };
                    drop(place);
                    settle(&shared, due, taken);
                });
            }
            Err(at) => {
                let later = async {
                    match at {
                        Some(at) => shared.clock.until(at).await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    () = wake.notified() => {}
                    () = later => {}
                    () = stop.cancelled() => break,
                }
            }
        }
    }
    tasks.close();
    tasks.wait().await;
}

/// What is to be sent, if it is still to be and no fault loses it.
fn notice(shared: &Shared, due: &Due) -> Option<(String, Notice)> {
    let provider = shared.provider(due.provider)?;
    let mut world = shared.world();
    let job = world.job(due.provider, &due.job)?;
    if due.occasion == Occasion::End && job.cancelled.is_some() != due.cancelled {
        return None;
    }
    if due.tries == 0 && world.faults.of_job(FaultKind::LostWebhook, due.provider, &job.endpoint) {
        world.outbox.lost += 1;
        return None;
    }
    let url = job.webhook.as_ref()?.url.clone();
    let mut notice = provider.notice(&job, due.occasion, &mut world)?;
    if !world.challenged.contains(&job.number) {
        notice.challenge = provider.challenge(&job);
    }
    Some((url, notice))
}

async fn send(client: &reqwest::Client, url: &str, notice: Notice) -> bool {
    if let Some(challenge) = &notice.challenge {
        let request = client.post(url).header("content-type", "application/json").body(challenge.to_string());
        let came = match request.timeout(CHALLENGE_MAX).send().await {
            Ok(response) if response.status().is_success() => response.bytes().await.unwrap_or_default(),
            _ => Bytes::new(),
        };
        if serde_json::from_slice::<Value>(&came).ok().as_ref() != Some(challenge) {
            return false;
        }
    }
    let mut request = client.post(url).header("content-type", "application/json").body(notice.body);
    for (name, value) in notice.headers {
        request = request.header(name, value);
    }
    match request.send().await {
        Ok(response) => response.status().is_success(),
        Err(error) => {
            tracing::debug!(%error, "a webhook was not taken");
            false
        }
    }
}

fn settle(shared: &Shared, mut due: Due, taken: bool) {
    let tries_max = shared.provider(due.provider).map_or(1, |provider| provider.webhook_tries(due.occasion));
    let mut world = shared.world();
    if taken {
        world.outbox.delivered += 1;
        let job = world.job(due.provider, &due.job);
        if let (Some(job), Some(provider)) = (job, shared.provider(due.provider))
            && provider.challenge(&job).is_some()
        {
            world.challenged.insert(job.number);
        }
        return;
    }
    let again = Duration(world.options.webhook_again.0.saturating_mul(1 << due.tries.min(16)).min(AGAIN_MAX.0));
    due.tries += 1;
    if due.tries >= tries_max {
        world.outbox.failed += 1;
        return;
    }
    due.at = world.now().after(again);
    world.outbox.put(due);
}
