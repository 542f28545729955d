//! Tasks on their way to workers that are not Darkroom's, and what these say on its way back.
//!
//! Nothing that such a worker says is believed because of who may publish: a report names an attempt by a token that only a
//! coordinator can have signed, and files by references that only the API can have given.

use crate::service::{AGAIN_AFTER, Coordinator, is_passing};
use darkroom_backend::{Ledger, Publication, Queue, QueueError, Store, StoreError};
use darkroom_proto::{ErrorClass, Outcome, Report, StepCost, StepError, TaskMessage, TaskReport};
use futures_util::future::BoxFuture;
use std::sync::Arc;

/// Signs what is sent to workers of tasks, and opens what they say. Whoever serves the API can.
pub trait Tasks: std::fmt::Debug + Send + Sync + 'static {
    /// Fills in the token of a message, the links of its files, and where new ones are sent.
    fn sign<'a>(&'a self, message: &'a mut TaskMessage) -> BoxFuture<'a, Result<(), StoreError>>;

    /// What a report says, its files opened. None if its token is not genuine.
    fn open<'a>(&'a self, report: &'a TaskReport) -> BoxFuture<'a, Result<Option<Report>, StoreError>>;
}

impl<S: Store + Ledger, Q: Queue> Coordinator<S, Q> {
    /// What the workers of tasks said, opened. What is not genuine is told and dropped.
    pub(crate) async fn task_reports(&self, all: &[TaskReport]) -> Result<Vec<Report>, StoreError> {
        let mut reports = Vec::new();
        let Some(tasks) = &self.tasks else { return Ok(reports) };
        for said in all {
            match tasks.open(said).await? {
                Some(report) => reports.push(report),
                None => {
                    metrics::counter!("darkroom_coordinator_forged_reports_total").increment(1);
                    tracing::warn!(run = ?said.run(), "a report about a task has no genuine token; it is dropped");
                }
            }
        }
        Ok(reports)
    }
}

/// Signs the messages of tasks among these, as long as that takes. What can't be sent to anybody is taken out, and told.
pub(crate) async fn sign_all(
    publications: &mut Vec<Publication>,
    tasks: Option<&Arc<dyn Tasks>>,
) -> Result<Vec<Report>, QueueError> {
    let mut refused = Vec::new();
    if !publications.iter().any(|publication| matches!(publication, Publication::Task { .. })) {
        return Ok(refused);
    }
    let Some(tasks) = tasks else {
        publications.retain(|publication| match publication {
            Publication::Task { message, .. } => {
                refused.push(failed(message, no_fleet(message)));
                false
            }
            Publication::Step { .. } | Publication::Shard { .. } => true,
        });
        return Ok(refused);
    };
    for publication in publications {
        let Publication::Task { message, .. } = publication else { continue };
        loop {
            match tasks.sign(message).await {
                Ok(()) => break,
                Err(error) if is_passing(&error) => {
                    tracing::warn!(%error, "waiting for the store");
                    tokio::time::sleep(AGAIN_AFTER).await;
                }
                Err(error) => return Err(QueueError::Unavailable(error.to_string())),
            }
        }
    }
    Ok(refused)
}

/// What is said of a task in place of its worker.
pub(crate) fn failed(message: &TaskMessage, error: StepError) -> Report {
    Report {
        run: message.run,
        path: message.step.clone(),
        generation: message.generation,
        attempt: message.attempt,
        outcome: Outcome::Failed(error),
        cost: StepCost::default(),
    }
}

fn no_fleet(message: &TaskMessage) -> StepError {
    let what = format!("`{}` is done by workers of a fleet, and this is one process", message.pool());
    StepError::new(ErrorClass::WorkflowError, what)
        .code("needs_a_fleet")
        .advice("hand the run in to a fleet: set broker.url and store.url, or api.url, and use `darkroom submit`")
}
