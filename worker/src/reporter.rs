//! Reports on their way to the coordinators: what is ready together travels together.

use darkroom_backend::{Delivery, Publication, Queue, QueueError, Shard, ShardMessage, bound_of_report};
use darkroom_proto::Report;
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::mpsc;

/// How many reports may be ready and not yet on their way; more hold up the slots.
const READY_MAX: usize = 1_024;

/// How long the reports of one message may be together.
const MESSAGE_BYTES_MAX: u64 = 64 << 10;

/// How long is waited before reports are published again that the broker did not take.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Where slots put their reports.
#[derive(Debug)]
pub(crate) struct Outgoing<D>(mpsc::Sender<(Report, D)>);

impl<D> Clone for Outgoing<D> {
    fn clone(&self) -> Self {
        Outgoing(self.0.clone())
    }
}

impl<D> Outgoing<D> {
    /// Puts a report on its way; the delivery is acked once the broker has the report.
    pub(crate) async fn send(&self, report: Report, delivery: D) {
        // Without a reporter the delivery is dropped, and its step comes again.
        let _ = self.0.send((report, delivery)).await;
    }
}

/// Publishes reports, and acks the steps that they are about.
#[derive(Debug)]
pub(crate) struct Reporter<Q: Queue> {
    queue: Q,
    shards: u16,
    ready: mpsc::Receiver<(Report, Q::Step)>,
}

impl<Q: Queue> Reporter<Q> {
    /// A reporter, and the way to it. It ends when every way to it is gone.
    pub(crate) fn new(queue: Q, shards: u16) -> (Reporter<Q>, Outgoing<Q::Step>) {
        let (sender, ready) = mpsc::channel(READY_MAX);
        (Reporter { queue, shards, ready }, Outgoing(sender))
    }

    /// Reports until there is nobody left to report. What becomes ready while a publication is not confirmed yet goes
    /// with the next one; nothing is held back to make a batch.
    ///
    /// # Errors
    /// When the queue can't be used any more.
    pub(crate) async fn run(mut self) -> Result<(), QueueError> {
        let mut ready = Vec::new();
        while self.ready.recv_many(&mut ready, READY_MAX).await > 0 {
            let (reports, deliveries): (Vec<Report>, Vec<Q::Step>) = ready.drain(..).unzip();
            metrics::counter!("darkroom_worker_reports_total").increment(reports.len() as u64);
            let publications = messages(reports, self.shards);
            metrics::counter!("darkroom_worker_report_messages_total").increment(publications.len() as u64);
            loop {
                match self.queue.publish(publications.clone()).await {
                    Ok(()) => break,
                    Err(error) if !self.queue.durable() => return Err(error),
                    Err(error) => {
                        tracing::warn!(%error, messages = publications.len(), "reporting failed and is tried again");
                        tokio::time::sleep(AGAIN_AFTER).await;
                    }
                }
            }
            for delivery in deliveries {
                if let Err(error) = delivery.ack().await {
                    tracing::debug!(%error, "an ack was lost; the step comes again and changes nothing");
                }
            }
        }
        Ok(())
    }
}

/// Reports as messages, one or a few for each shard.
pub(crate) fn messages(reports: Vec<Report>, shards: u16) -> Vec<Publication> {
    let mut of_shard: BTreeMap<Shard, (u64, Vec<Report>)> = BTreeMap::new();
    let mut publications = Vec::new();
    let message = |shard, reports| Publication::Shard { shard, message: ShardMessage::Reports(reports) };
    for report in reports {
        let (shard, bytes) = (Shard(report.run.shard(shards)), bound_of_report(&report));
        let (gathered, reports) = of_shard.entry(shard).or_default();
        if *gathered + bytes > MESSAGE_BYTES_MAX && !reports.is_empty() {
            publications.push(message(shard, std::mem::take(reports)));
            *gathered = 0;
        }
        *gathered += bytes;
        reports.push(report);
    }
    publications.extend(of_shard.into_iter().map(|(shard, (_, reports))| message(shard, reports)));
    publications
}
