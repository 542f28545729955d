//! What is done after a commit: publish its effects, then ack what led to it.

use crate::desk::{Desk, DeskError};
use crate::failpoint::{Moment, crash};
use crate::task::{Tasks, failed, sign_all};
use darkroom_backend::{Delivery, Ledger, Publication, Queue, QueueError, Store};
use darkroom_engine::ChildStart;
use darkroom_proto::{ErrorClass, Outcome, Report, RunId, StepCost, StepError};
use std::sync::Arc;
use std::time::Duration;

/// How long is waited before a publication is tried again that the broker did not take.
const AGAIN_AFTER: Duration = Duration::from_millis(200);

/// The effects of a batch of commits, and the deliveries that led to them.
#[derive(Debug)]
pub(crate) struct Act<D> {
    /// Tells it from others; they rise.
    pub(crate) number: u64,
    /// Children to be started, or looked after.
    pub(crate) children: Vec<ChildStart>,
    /// To be published.
    pub(crate) publications: Vec<Publication>,
    /// The commits whose effects are performed with it.
    pub(crate) performed: Vec<(RunId, u64)>,
    /// To be acked.
    pub(crate) deliveries: Vec<D>,
    /// In tests: the process ends before the acks.
    pub(crate) crashes: Option<Moment>,
}

/// What came of an act.
#[derive(Debug)]
pub(crate) struct Done {
    /// Which act.
    pub(crate) number: u64,
    /// The commits whose effects are performed.
    pub(crate) performed: Vec<(RunId, u64)>,
    /// The failures of steps whose messages can't be sent, and what is known of children already.
    pub(crate) refused: Vec<Report>,
}

impl<D: Delivery> Act<D> {
    /// Publishes, as long as it takes, and acks.
    ///
    /// # Errors
    /// When the queue was closed: what was not published stays in the outboxes.
    pub(crate) async fn perform<S: Store + Ledger, Q: Queue<Shard = D>>(
        mut self,
        queue: Q,
        desk: Desk<S, Q>,
        tasks: Option<Arc<dyn Tasks>>,
    ) -> Result<Done, QueueError> {
        let mut refused = sign_all(&mut self.publications, tasks.as_ref()).await?;
        for start in std::mem::take(&mut self.children) {
            refused.extend(started(&desk, &start, queue.durable()).await?);
        }
        if !queue.durable() {
            // It either takes everything or is of no use any more.
            queue.publish(self.publications).await?;
            for delivery in self.deliveries {
                delivery.ack().await?;
            }
            return Ok(Done { number: self.number, performed: self.performed, refused });
        }
        while !self.publications.is_empty() {
            match queue.publish(self.publications.clone()).await {
                Ok(()) => break,
                Err(QueueError::TooLarge { bytes, bytes_max }) => {
                    refused.extend(one_by_one(&queue, self.publications, bytes, bytes_max).await);
                    break;
                }
                Err(QueueError::NoSuchPool { pool }) => {
                    tracing::warn!(pool, "no queue for this pool; its steps wait until there is one");
                    break;
                }
                Err(error) => {
                    tracing::warn!(%error, messages = self.publications.len(), "publishing failed and is tried again");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
            }
        }
        if let Some(moment) = self.crashes {
            crash(moment);
        }
        for delivery in self.deliveries {
            if let Err(error) = delivery.ack().await {
                tracing::debug!(%error, "an ack was lost; the message comes again and changes nothing");
            }
        }
        Ok(Done { number: self.number, performed: self.performed, refused })
    }
}

/// Starts a child, as long as it takes where servers may be away.
async fn started<S: Store + Ledger, Q: Queue>(
    desk: &Desk<S, Q>,
    start: &ChildStart,
    is_patient: bool,
) -> Result<Option<Report>, QueueError> {
    loop {
        match desk.start_child(start).await {
            Ok(report) => return Ok(report),
            Err(DeskError::Record(error)) => {
                let error = StepError::new(ErrorClass::WorkflowError, error.to_string());
                return Ok(Some(start.failed(error)));
            }
            Err(DeskError::Queue(error)) if !is_patient => return Err(error),
            Err(error) if !is_patient => return Err(QueueError::Unavailable(error.to_string())),
            Err(error) => {
                tracing::warn!(%error, child = %start.run, "a child could not be started and is tried again");
                tokio::time::sleep(AGAIN_AFTER).await;
            }
        }
    }
}

/// Publishes each by itself, and fails the steps of those that are too large.
async fn one_by_one<Q: Queue>(queue: &Q, publications: Vec<Publication>, bytes: u64, bytes_max: u64) -> Vec<Report> {
    let mut refused = Vec::new();
    for publication in publications {
        if !matches!(queue.publish(vec![publication.clone()]).await, Err(QueueError::TooLarge { .. })) {
            continue;
        }
        let error = StepError::new(
            ErrorClass::TooLarge,
            format!("what the step is given is {bytes} bytes, over the limit of {bytes_max}"),
        )
        .advice("pass large data as files");
        match publication {
            Publication::Task { message, .. } => refused.push(failed(&message, error)),
            Publication::Shard { .. } => {}
            Publication::Step { message, .. } => refused.push(Report {
                run: message.run,
                path: message.path,
                generation: message.generation,
                attempt: message.attempt,
                outcome: Outcome::Failed(error),
                cost: StepCost::default(),
            }),
        }
    }
    refused
}
