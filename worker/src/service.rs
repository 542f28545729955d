//! The loop of a worker: take a step, do it, report, ack. Nothing is kept between steps.

use crate::workbench::Workbench;
use darkroom_backend::{Delivery, Publication, Queue, QueueError, Shard, ShardMessage};
use darkroom_proto::{ErrorClass, Outcome, Report, StepError, StepMessage};
use std::any::Any;
use std::backtrace::Backtrace;
use std::cell::Cell;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Once};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Does the steps of some pools.
#[derive(Debug, Clone)]
pub struct Worker<Q> {
    queue: Q,
    pools: Vec<String>,
    slots: usize,
    shards: u16,
    workbench: Arc<Workbench>,
}

impl<Q: Queue> Worker<Q> {
    /// A worker that does up to `slots` steps of `pools` at once.
    pub fn new(queue: Q, pools: Vec<String>, slots: usize, shards: u16, workbench: Arc<Workbench>) -> Worker<Q> {
        Worker { queue, pools, slots: slots.max(1), shards, workbench }
    }

    /// Works until `stop`; then finishes what it has begun and returns.
    ///
    /// # Errors
    /// When the queue can't be used any more. Steps that were taken and not acked come again.
    pub async fn run(self, stop: CancellationToken) -> Result<(), QueueError> {
        let mut slots = JoinSet::new();
        for _ in 0..self.slots {
            let (worker, stop) = (self.clone(), stop.clone());
            slots.spawn(async move { worker.slot(stop).await });
        }
        let mut ended = Ok(());
        while let Some(slot) = slots.join_next().await {
            ended = ended.and(slot.unwrap_or_else(|error| Err(QueueError::Unavailable(error.to_string()))));
        }
        ended
    }

    async fn slot(&self, stop: CancellationToken) -> Result<(), QueueError> {
        loop {
            let taken = tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                taken = self.queue.take_step(&self.pools) => taken?,
            };
            let Some(delivery) = taken else { return Ok(()) };
            let message = delivery.message();
            let report = Report {
                run: message.run,
                path: message.path.clone(),
                generation: message.generation,
                attempt: message.attempt,
                outcome: self.attempt(message).await,
            };
            let shard = Shard(report.run.shard(self.shards));
            let message = ShardMessage::Reports(vec![report]);
            self.queue.publish(vec![Publication::Shard { shard, message }]).await?;
            delivery.ack().await?;
        }
    }

    /// One attempt of a step, within its time. A panic in it is its error.
    async fn attempt(&self, message: &StepMessage) -> Outcome {
        if message.op == "noop" {
            return noop(message).await;
        }
        let (workbench, message, timeout) = (self.workbench.clone(), message.clone(), message.timeout);
        // Pixel work would hold up everything else on an async thread, so it has threads of its own.
        let work = tokio::task::spawn_blocking(move || {
            let op = message.op.clone();
            quietly(|| std::panic::catch_unwind(AssertUnwindSafe(|| workbench.perform(&message))))
                .unwrap_or_else(|panic| Err(panicked(&op, &*panic)))
        });
        match tokio::time::timeout(timeout.to_std(), work).await {
            Ok(Ok(Ok(succeeded))) => Outcome::Succeeded(succeeded),
            Ok(Ok(Err(error))) => Outcome::Failed(error),
            Ok(Err(_)) => Outcome::Failed(StepError::new(ErrorClass::WorkflowError, "the step was aborted")),
            Err(_) => Outcome::Failed(
                StepError::new(ErrorClass::Timeout, format!("the attempt took longer than {timeout}"))
                    .advice("give the step a longer `timeout:`, or less to do"),
            ),
        }
    }
}

/// The one op that does not deserve a thread.
async fn noop(message: &StepMessage) -> Outcome {
    match crate::ops::noop(message) {
        Ok((wait, succeeded)) => {
            if wait.0 > 0 {
                tokio::time::sleep(wait.to_std()).await;
            }
            Outcome::Succeeded(succeeded)
        }
        Err(error) => Outcome::Failed(error),
    }
}

thread_local! {
    /// Whether this thread does a step, whose panic becomes the step's error.
    static IN_STEP: Cell<bool> = const { Cell::new(false) };
}

/// Does something whose panic is told as a step's error and not, a second time, by the process' hook.
fn quietly<T>(work: impl FnOnce() -> T) -> T {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let loud = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| match IN_STEP.get() {
            true => tracing::debug!(%panic, backtrace = %Backtrace::capture(), "a step panicked"),
            false => loud(panic),
        }));
    });
    IN_STEP.set(true);
    let done = work();
    IN_STEP.set(false);
    done
}

fn panicked(op: &str, panic: &(dyn Any + Send)) -> StepError {
    let said = panic
        .downcast_ref::<&str>()
        .map(|said| (*said).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_default();
    StepError::new(ErrorClass::WorkflowError, format!("{op} panicked: {said}"))
        .code("panic")
        .advice("this is a bug in Darkroom; please report it with the file that it was given")
}
