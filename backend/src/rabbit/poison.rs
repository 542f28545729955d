//! Messages that nobody can read: put with the dead, never taken again and again.

use super::Shared;
use super::connection::Session;
use super::delivery::Ticket;
use super::publisher::{self, Outgoing, To};
use super::wire::{self, Cause, INLINE_BYTES_MAX};
use lapin::BasicProperties;
use lapin::message::Delivery;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long to wait before trying again to put a message with the dead.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Puts a message with the dead, and acks it once it is safe there.
pub(super) async fn bury(
    shared: Arc<Shared>,
    session: Arc<Session>,
    delivery: Delivery,
    queue: String,
    cause: Cause,
    ticket: Ticket,
) {
    tracing::error!(queue, %cause, bytes = delivery.data.len(), "a message can't be read: moved to the dead ones");
    let properties = wire::properties_of_dead(&delivery.properties, &queue, &cause.to_string());
    if put_with_the_dead(&shared, &session, &queue, delivery.data, properties).await {
        ticket.ack();
    }
}

/// Puts a message with the dead, and says whether it is safe there; it is not, if the connection was lost before.
pub(super) async fn put_with_the_dead(
    shared: &Shared,
    session: &Session,
    queue: &str,
    mut body: Vec<u8>,
    properties: BasicProperties,
) -> bool {
    let dead = shared.topology.dead();
    let properties = properties.with_message_id(shared.next_id().as_str().into());
    body.truncate(INLINE_BYTES_MAX as usize);
    while !session.has_ended() {
        let outgoing = Outgoing::new(&dead, "", body.clone(), properties.clone(), To::Queue(dead.clone()));
        match publisher::publish(shared, vec![outgoing]).await {
            Ok(()) => {
                shared.dead.fetch_add(1, Ordering::Relaxed);
                return true;
            }
            Err(error) => {
                tracing::warn!(%error, queue, "a message could not be moved to the dead ones yet");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
    false
}
