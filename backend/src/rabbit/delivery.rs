//! A message that was taken from the broker.

use super::acker::Acker;
use super::gauge::Gauge;
use super::hub::Hub;
use crate::{Delivery, QueueError};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// A message that was taken from a [`RabbitQueue`](crate::RabbitQueue).
///
/// When the connection that it came over is lost, acking it does nothing: the broker gives it out again anyway.
#[derive(Debug)]
pub struct RabbitDelivery<M> {
    received: Received<M>,
}

/// A message that came from the broker and was not taken yet.
#[derive(Debug)]
pub(super) struct Received<M> {
    pub(super) message: M,
    pub(super) redelivered: bool,
    pub(super) delivery_count: u32,
    pub(super) ticket: Ticket,
}

/// The right to say what becomes of a delivery. Dropped without a word, it gives the delivery back.
#[derive(Debug)]
pub(super) struct Ticket {
    acker: Arc<Acker>,
    gauge: Option<Arc<Gauge>>,
    hub: Arc<Hub>,
    tag: u64,
    taken: Option<Instant>,
    /// How long the work took, once it is done.
    took: Option<Duration>,
    settled: bool,
}

impl Ticket {
    pub(super) fn new(acker: &Arc<Acker>, gauge: Option<&Arc<Gauge>>, hub: &Arc<Hub>, tag: u64) -> Self {
        acker.received(tag);
        if let Some(gauge) = gauge {
            gauge.arrived();
        }
        let (acker, gauge, hub) = (Arc::clone(acker), gauge.cloned(), Arc::clone(hub));
        Self { acker, gauge, hub, tag, taken: None, took: None, settled: false }
    }

    pub(super) fn ack(mut self) {
        self.settled = true;
        self.acker.ack(self.tag);
        self.leave(self.took.or_else(|| self.taken.map(|taken| taken.elapsed())));
    }

    fn leave(&self, took: Option<Duration>) {
        if self.gauge.as_ref().is_some_and(|gauge| gauge.left(took)) {
            self.hub.look_at_consumers();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if !self.settled {
            self.acker.give_back(self.tag);
            self.leave(None);
        }
    }
}

impl<M> Received<M> {
    /// Hands it out.
    pub(super) fn take(mut self) -> RabbitDelivery<M> {
        self.ticket.taken = Some(Instant::now());
        RabbitDelivery { received: self }
    }
}

impl<M: Send + 'static> Delivery for RabbitDelivery<M> {
    type Message = M;

    fn message(&self) -> &M {
        &self.received.message
    }

    fn redelivered(&self) -> bool {
        self.received.redelivered
    }

    fn delivery_count(&self) -> u32 {
        self.received.delivery_count
    }

    fn worked(&mut self) {
        let ticket = &mut self.received.ticket;
        ticket.took = ticket.taken.map(|taken| taken.elapsed());
    }

    async fn ack(self) -> Result<(), QueueError> {
        self.received.ticket.ack();
        Ok(())
    }
}
