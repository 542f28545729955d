//! Reads what a consumer receives.

use super::Shared;
use super::acker::Acker;
use super::connection::Session;
use super::delivery::{Received, Ticket};
use super::gauge::Gauge;
use super::poison;
use super::topology::StepLine;
use super::wire::{self, Body, Cause, Reference, Wire};
use crate::{ArtifactError, Artifacts, Details, Shard, ShardMessage};
use darkroom_proto::{Artifact, StepMessage};
use futures_util::{FutureExt as _, StreamExt as _};
use lapin::Consumer;
use lapin::message::Delivery;
use std::sync::Arc;
use std::time::Duration;

/// How often a body that can't be fetched is tried again here before its message is given back, after a time that
/// doubles from the first: a minute in all. Giving back counts as a delivery, and the broker allows 20.
const FETCHES_MAX: u32 = 7;
const FETCH_AGAIN_AFTER: Duration = Duration::from_millis(500);

/// Where messages come from.
#[derive(Debug, Clone)]
pub(super) enum Source {
    Step { pool: String, line: StepLine },
    Shard(Shard),
}

/// Everything that is needed to read from a queue.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    pub(super) shared: Arc<Shared>,
    pub(super) session: Arc<Session>,
    pub(super) acker: Arc<Acker>,
    pub(super) gauge: Option<Arc<Gauge>>,
    pub(super) source: Source,
    pub(super) queue: String,
}

impl Reading {
    /// Reads until the consumer or the session ends.
    pub(super) async fn run(&self, mut consumer: Consumer) {
        loop {
            let next = tokio::select! {
                next = consumer.next() => next,
                () = self.session.ended() => return,
            };
            let mut next = Some(next);
            // Takers are woken once for all that is here.
            while let Some(item) = next {
                match item {
                    Some(Ok(delivery)) => self.receive(delivery),
                    Some(Err(error)) => {
                        self.session.fail(error.to_string());
                        return;
                    }
                    None => {
                        self.shared.hub.wake();
                        return;
                    }
                }
                next = consumer.next().now_or_never();
            }
            self.shared.hub.wake();
        }
    }

    fn receive(&self, delivery: Delivery) {
        let ticket = Ticket::new(&self.acker, self.gauge.as_ref(), &self.shared.hub, delivery.delivery_tag);
        match &self.source {
            Source::Step { .. } => self.open::<StepMessage>(delivery, ticket),
            Source::Shard(_) => self.open::<ShardMessage>(delivery, ticket),
        }
    }

    fn open<M: Wire>(&self, delivery: Delivery, ticket: Ticket)
    where
        Self: Deliver<M>,
    {
        match wire::look(&delivery, &self.shared.topology.report()) {
            Ok(Body::Here(written)) => match wire::decode_as(written, &delivery.data) {
                Ok(message) => self.deliver(received(message, &delivery, ticket)),
                Err(cause) => self.bury(delivery, cause, ticket),
            },
            Ok(Body::Elsewhere(reference)) => {
                let (reading, session) = (self.clone(), Arc::clone(&self.session));
                self.shared.tasks.spawn(async move {
                    tokio::select! {
                        () = reading.fetch::<M>(delivery, reference, ticket) => {}
                        () = session.ended() => {}
                    }
                });
            }
            Err(cause) => self.bury(delivery, cause, ticket),
        }
    }

    fn bury(&self, delivery: Delivery, cause: Cause, ticket: Ticket) {
        let (shared, session) = (Arc::clone(&self.shared), Arc::clone(&self.session));
        self.shared.tasks.spawn(poison::bury(shared, session, delivery, self.queue.clone(), cause, ticket));
    }

    /// Gets the body of a message from the artifact store.
    async fn fetch<M: Wire>(&self, delivery: Delivery, reference: Reference, ticket: Ticket)
    where
        Self: Deliver<M>,
    {
        let mut wait = FETCH_AGAIN_AFTER;
        for fetch in 1..=FETCHES_MAX {
            let why = match self.shared.attachments() {
                Some(attachments) => match get(&self.shared, attachments, reference).await {
                    Ok(body) => {
                        match wire::decode(&body) {
                            Ok(message) => {
                                self.deliver(received(message, &delivery, ticket));
                                self.shared.hub.wake();
                            }
                            Err(cause) => self.bury(delivery, cause, ticket),
                        }
                        return;
                    }
                    Err(why) => why,
                },
                None => "no artifact store is configured here".to_owned(),
            };
            tracing::warn!(queue = self.queue, why, fetch, "the body of a message can't be fetched");
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
        drop(ticket);
    }
}

/// Gives a message to the takers of its kind.
trait Deliver<M> {
    fn deliver(&self, received: Received<M>);
}

impl Deliver<StepMessage> for Reading {
    fn deliver(&self, received: Received<StepMessage>) {
        if let Source::Step { pool, line } = &self.source {
            self.shared.hub.push_step(pool, *line, received);
        }
    }
}

impl Deliver<ShardMessage> for Reading {
    fn deliver(&self, received: Received<ShardMessage>) {
        if let Source::Shard(shard) = self.source {
            self.shared.hub.push_shard(shard, received);
        }
    }
}

fn received<M>(message: M, delivery: &Delivery, ticket: Ticket) -> Received<M> {
    let delivery_count = wire::delivery_count(&delivery.properties);
    Received { message, redelivered: delivery.redelivered, delivery_count, ticket }
}

fn artifact(reference: Reference) -> Artifact {
    Artifact {
        sha256: reference.sha256,
        media_type: wire::CONTENT_TYPE.into(),
        bytes: reference.bytes,
        width: None,
        height: None,
        duration: None,
        name: String::new(),
    }
}

async fn get(shared: &Shared, attachments: Artifacts, reference: Reference) -> Result<Vec<u8>, String> {
    let get = shared.tasks.spawn_blocking(move || attachments.get(&artifact(reference)));
    match get.await {
        Ok(body) => body.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}

/// Puts a body into the artifact store.
pub(super) async fn put(shared: &Shared, attachments: Artifacts, body: Vec<u8>) -> Result<Reference, String> {
    let put = shared.tasks.spawn_blocking(move || -> Result<Reference, ArtifactError> {
        let details = Details { media_type: wire::CONTENT_TYPE.into(), ..Details::default() };
        attachments.put(&body, &details).map(|kept| Reference { sha256: kept.sha256, bytes: kept.bytes })
    });
    match put.await {
        Ok(reference) => reference.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    }
}
