//! Where runs are handed in, looked at and commanded, over any store and queue.

use crate::command::RunCommand;
use crate::plans::{PlanError, Plans, compile_definition};
use crate::record::{RecordError, decode_run, encode_head, spec_field, summary};
use darkroom_backend::{
    Command, Created, Definition, Ledger, NewRun, Publication, Queue, QueueError, Shard, ShardMessage, Store,
    StoreError, StoredRun,
};
use darkroom_engine::input::{InputError, complete};
use darkroom_engine::plan::Plan;
use darkroom_engine::{Again, ChildStart, Origin, Run, Spec, Wanted, child_report, recorded};
use darkroom_proto::{Duration, ErrorClass, Map, Report, RunId, RunStatus, Sha256, Start, StepError};
use std::sync::Arc;

/// How long after its creation a run is looked at that nobody has started.
const WATCH: Duration = Duration::from_secs(30);

/// Hands in runs and commands.
#[derive(Debug, Clone)]
pub struct Desk<S, Q> {
    store: S,
    queue: Q,
    plans: Arc<Plans<S>>,
    shards: u16,
}

/// A run to be handed in.
#[derive(Debug, Clone)]
pub struct Submission {
    /// Its id; handing in an id twice is handing it in once.
    pub run: RunId,
    /// What it is given.
    pub spec: Spec,
}

/// A run that was read from the store.
#[derive(Debug)]
pub struct Stored {
    /// The run.
    pub run: Run,
    /// Its plan.
    pub plan: Arc<Plan>,
}

/// Why the desk did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum DeskError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The queue.
    #[error(transparent)]
    Queue(#[from] QueueError),
    /// The plan.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// What is stored.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// Equal for runs that are to do the same: definition, inputs and output folder, and which items.
pub(crate) fn fingerprint(spec: &Spec) -> Sha256 {
    let mut same = vec![serde_json::json!([spec.definition, spec.inputs, spec.out, spec.filename, spec.only])];
    // As it was before there were children, where there are none.
    if !spec.children.is_empty() {
        same.push(serde_json::json!(spec.children));
    }
    let same = if same.len() == 1 { same.remove(0) } else { serde_json::Value::Array(same) };
    Sha256::of(same.to_string().as_bytes())
}

/// What a child is given, defaults included. Its parent has no folder to read files from: they come from the parent.
fn child_inputs(plan: &Plan, given: &Map) -> Result<Map, StepError> {
    let invalid = |errors: Vec<InputError>| {
        let first = errors.first().map(ToString::to_string).unwrap_or_default();
        let advice = errors.first().map(InputError::advice).unwrap_or_default();
        StepError::new(ErrorClass::InvalidInput, first).code("child_inputs").advice(advice)
    };
    let inputs = complete(&plan.inputs, given).map_err(invalid)?;
    for input in plan.inputs.iter().filter(|input| input.takes_files()) {
        let is_path = |value: &serde_json::Value| value.is_string();
        let value = inputs.get(&input.name);
        if value.is_some_and(|value| is_path(value) || value.as_array().is_some_and(|all| all.iter().any(is_path))) {
            let message = format!("the input `{}` of `{}` is a path, and has to be a file", input.name, plan.workflow);
            let advice = format!("give it under `with`: `{}: ${{{{ … }}}}`", input.name);
            return Err(StepError::new(ErrorClass::InvalidInput, message).code("child_inputs").advice(advice));
        }
    }
    Ok(inputs)
}

impl<S: Store + Ledger, Q: Queue> Desk<S, Q> {
    /// A desk for the runs of a store, in so many shards.
    pub fn new(store: S, queue: Q, plans: Arc<Plans<S>>, shards: u16) -> Desk<S, Q> {
        Desk { store, queue, plans, shards }
    }

    /// The fingerprint that a run of this spec has.
    pub fn fingerprint(spec: &Spec) -> Sha256 {
        fingerprint(spec)
    }

    /// Keeps a definition, so that runs can be pinned to it.
    pub async fn define(&self, definition: &Definition, plan: Arc<Plan>) -> Result<(), DeskError> {
        self.store.put_definition(definition).await?;
        self.plans.keep(plan);
        Ok(())
    }

    /// Stores runs and starts them.
    pub async fn submit(&self, submissions: &[Submission]) -> Result<Vec<Created>, DeskError> {
        let mut runs = Vec::with_capacity(submissions.len());
        for submission in submissions {
            let run = Run::new(submission.run, Arc::new(submission.spec.clone()));
            runs.push(NewRun {
                run: run.id,
                summary: summary(&run, fingerprint(&submission.spec)),
                head: encode_head(&run.head)?,
                fields: vec![spec_field(&submission.spec)?],
                events: Vec::new(),
                // Found by the owner if the message that starts it is lost.
                due: Some(submission.spec.created_at.after(WATCH)),
            });
        }
        let created = self.store.create(&runs).await?;
        // Those too that were there before: whoever handed them in may not have come to this. Starting twice is starting
        // once.
        self.publish_starts(&submissions.iter().map(|submission| submission.run).collect::<Vec<_>>()).await?;
        Ok(created)
    }

    async fn publish_starts(&self, runs: &[RunId]) -> Result<(), QueueError> {
        let starts = runs.iter().map(|run| Publication::Shard {
            shard: Shard(run.shard(self.shards)),
            message: ShardMessage::Start(Start { run: *run }),
        });
        self.queue.publish(starts.collect()).await
    }

    /// Starts the child of a step, if that was not done before. Says what its parent hears now: that the child has ended, or
    /// could not be started; nothing while it is under way.
    pub(crate) async fn start_child(&self, start: &ChildStart) -> Result<Option<Report>, DeskError> {
        if let Some(stored) = self.store.load(start.run).await? {
            let child = decode_run(start.run, &stored)?;
            if start.parent.detached {
                return Ok(Some(start.started()));
            }
            if child.head.status.is_terminal() {
                return Ok(child_report(&child));
            }
            let parent = start.parent.run;
            let command = match (start.wanted, child.head.status) {
                (Wanted::Cancelled, _) => {
                    Some(RunCommand::Cancel { reason: format!("its parent {parent} does not want it any more") })
                }
                (Wanted::Paused, status) if status != RunStatus::Paused => {
                    Some(RunCommand::Pause { reason: format!("{parent} is paused") })
                }
                (Wanted::Running, RunStatus::Paused) if start.spec.part.is_some() => {
                    Some(RunCommand::Resume { from: None, set: Map::new() })
                }
                _ => None,
            };
            match command {
                Some(command) => self.command(start.run, "parent", &command).await?,
                None if child.head.status == RunStatus::Pending => self.publish_starts(&[start.run]).await?,
                None => {}
            }
            return Ok(None);
        }
        if start.wanted == Wanted::Cancelled {
            let error = StepError::new(ErrorClass::Cancelled, "cancelled before it was started");
            return Ok(Some(start.failed(error)));
        }
        let plan = match self.plans.get(start.spec.definition).await {
            Ok(plan) => plan,
            Err(PlanError::Store(error)) => return Err(error.into()),
            Err(error) => {
                let error = StepError::new(ErrorClass::WorkflowError, error.to_string());
                return Ok(Some(start.failed(error.advice("push the workflow again, and start the run anew"))));
            }
        };
        if start.spec.part.is_some() {
            let spec = self.with_earlier(&plan, start).await?;
            self.submit(&[Submission { run: start.run, spec }]).await?;
            return Ok(None);
        }
        let inputs = match child_inputs(&plan, &start.spec.inputs) {
            Ok(inputs) => inputs,
            Err(error) => return Ok(Some(start.failed(error))),
        };
        let spec = Spec { workflow: plan.workflow.clone(), inputs, ..start.spec.clone() };
        self.submit(&[Submission { run: start.run, spec }]).await?;
        Ok(start.parent.detached.then(|| start.started()))
    }

    /// What a part is given, with what its earlier run has done.
    async fn with_earlier(&self, plan: &Plan, start: &ChildStart) -> Result<Spec, DeskError> {
        let mut spec = start.spec.clone();
        if let Some(earlier) = start.earlier
            && let Some(stored) = self.store.load(earlier).await?
        {
            let earlier = decode_run(earlier, &stored)?;
            spec.recorded = recorded(plan, &earlier, Again::Fork, None);
            spec.origin = Some(Origin { run: earlier.id, how: Again::Fork, from: None });
        }
        Ok(spec)
    }

    /// Puts a command into the inbox and nudges whoever owns the run.
    pub async fn command(&self, run: RunId, key: &str, command: &RunCommand) -> Result<(), DeskError> {
        if command.ends_payments() {
            // Nothing more is paid from now on, however long it takes until the run hears of it.
            self.store.flag_cancelled(run).await?;
        }
        self.store.post(&Command { key: key.to_owned(), run, body: command.encode() }).await?;
        let shard = Shard(run.shard(self.shards));
        self.queue.publish(vec![Publication::Shard { shard, message: ShardMessage::Nudge { run } }]).await?;
        Ok(())
    }

    /// A run and its plan.
    pub async fn load(&self, run: RunId) -> Result<Option<Stored>, DeskError> {
        match self.store.load(run).await? {
            Some(stored) => Ok(Some(self.open(run, &stored).await?)),
            None => Ok(None),
        }
    }

    /// The plans of the store's definitions.
    pub fn plans(&self) -> &Plans<S> {
        &self.plans
    }

    /// A run that was read, with its plan.
    pub async fn open(&self, id: RunId, stored: &StoredRun) -> Result<Stored, DeskError> {
        let run = decode_run(id, stored)?;
        let plan = self.plans.get(run.spec.definition).await?;
        Ok(Stored { run, plan })
    }
}

/// A run as it was read from a store, with its definition compiled.
pub fn open_run(id: RunId, stored: &StoredRun, definition: Definition) -> Result<Stored, DeskError> {
    let run = decode_run(id, stored)?;
    let plan = Arc::new(compile_definition(definition)?);
    Ok(Stored { run, plan })
}
