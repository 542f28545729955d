//! `GET /workflows/execution/{job_id}` and `POST /workflows/retry/{job_id}`: where an execution stands, and going on with it.

use super::{CheckpointStatus, ExecutionStatus, UPLOAD, current, status_of, uploaded};
use crate::caller::Caller;
use crate::command::{Resume, can_resume};
use crate::key::Scope;
use crate::problem::Problem;
use crate::segment::Segment;
use crate::service::{Api, Shared};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Ledger, Queue, Store};
use darkroom_coordinator::Stored;
use darkroom_engine::run_document;
use darkroom_proto::{ErrorClass, Map, RunId, StepPath};
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// A run, as older services read it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Execution {
    /// The id of the run.
    #[schema(value_type = String)]
    id: RunId,
    /// The same.
    #[schema(value_type = String)]
    job_id: RunId,
    /// The workflow.
    workflow_id: String,
    /// Where it stands.
    status: ExecutionStatus,
    /// The number of the checkpoint that it is at, or that failed it.
    current_step: u32,
    /// How many steps the workflow has, the upload not counted.
    total_steps: u32,
    /// Every step by its number; 0 is the upload.
    #[schema(value_type = BTreeMap<String, Checkpoint>)]
    checkpoints: BTreeMap<u32, Checkpoint>,
    /// Whether it can be gone on with.
    can_retry: bool,
    /// How often it was gone on with.
    retry_count: u32,
    /// When it was taken in.
    created_at: String,
    /// When it last changed.
    updated_at: String,
}

/// A step, as older services read it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Checkpoint {
    /// Its id.
    step_name: String,
    /// What it does.
    step_type: String,
    /// Where it stands.
    status: CheckpointStatus,
    /// What it gave, with links in the place of files.
    #[schema(value_type = Object)]
    output: Map,
    /// Why it failed, or what its last try failed of.
    #[schema(required = true)]
    error: Option<String>,
    /// The class of that.
    #[schema(value_type = Option<String>, required = true)]
    error_type: Option<ErrorClass>,
    /// How often it was tried again.
    retry_count: u32,
    /// When its latest try was sent off; when it ended, if it has.
    #[schema(required = true)]
    last_attempt: Option<String>,
    /// When it first started.
    #[schema(required = true)]
    started_at: Option<String>,
    /// When it ended.
    #[schema(required = true)]
    completed_at: Option<String>,
}

/// `GET /workflows/execution/{job_id}`
pub(crate) async fn execution<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
) -> Result<Json<Execution>, Problem> {
    caller.may(Scope::Read)?;
    let stored = api.run_of(&caller, &id).await?;
    Ok(Json(api.as_execution(&stored).await?))
}

impl<S: Store + Ledger, Q: Queue> Api<S, Q> {
    async fn as_execution(&self, stored: &Stored) -> Result<Execution, Problem> {
        let (plan, run) = (&stored.plan, &stored.run);
        let created_at = run.spec.created_at.to_string();
        let upload = Checkpoint {
            step_name: UPLOAD.to_owned(),
            step_type: UPLOAD.to_owned(),
            status: CheckpointStatus::Completed,
            output: self.as_urls(uploaded(stored)).await?,
            error: None,
            error_type: None,
            retry_count: 0,
            last_attempt: Some(created_at.clone()),
            started_at: Some(created_at.clone()),
            completed_at: Some(created_at.clone()),
        };
        let mut checkpoints = BTreeMap::from([(0, upload)]);
        let document = run_document(plan, run);
        for (step, number) in document.steps.into_iter().zip(1..) {
            let status = status_of(run, &step);
            let path: Option<StepPath> = step.path.parse().ok();
            let sent_at = path.and_then(|path| run.step(&path)?.watch.map(|watch| watch.sent_at));
            let (name, op) = (step.path.clone(), step.op.clone());
            let checkpoint = Checkpoint {
                step_name: name,
                step_type: op,
                status,
                output: self.as_urls(step.output).await?,
                error: step.error.as_ref().map(|error| error.message.clone()),
                error_type: step.error.as_ref().map(|error| error.class),
                retry_count: step.attempts.saturating_sub(1),
                last_attempt: step.finished_at.or(sent_at).or(step.started_at).map(|at| at.to_string()),
                started_at: step.started_at.map(|at| at.to_string()),
                completed_at: step.finished_at.map(|at| at.to_string()),
            };
            checkpoints.insert(number, checkpoint);
        }
        Ok(Execution {
            id: run.id,
            job_id: run.id,
            workflow_id: run.spec.workflow.clone(),
            status: ExecutionStatus::of(run.head.status),
            current_step: current(stored),
            total_steps: u32::try_from(plan.top.nodes.len()).unwrap_or(u32::MAX),
            checkpoints,
            can_retry: can_resume(run).is_ok(),
            retry_count: run.head.generation.saturating_sub(1),
            created_at,
            updated_at: run.head.updated_at.to_string(),
        })
    }
}

/// An execution that is gone on with.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Retried {
    /// In words.
    message: String,
    /// The id of the run.
    #[schema(value_type = String)]
    execution_id: RunId,
    /// The number of the checkpoint that it goes on from.
    resume_from_step: u32,
}

/// `POST /workflows/retry/{job_id}`
pub(crate) async fn retry<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Scope::Operate)?;
    let stored = api.run_of(&caller, &id).await?;
    let from = current(&stored);
    let outcome = api.resume(&caller, &stored, &headers, Resume::default()).await?;
    let name = stored.plan.top.nodes.iter().map(|node| stored.plan.node(*node)).find(|node| node.number == from);
    let message = match name {
        Some(node) => format!("the execution goes on from step {from}, `{}`", node.id),
        None => "the execution goes on".to_owned(),
    };
    let document = Retried { message, execution_id: stored.run.id, resume_from_step: from };
    let code = if outcome.is_applied() { StatusCode::OK } else { StatusCode::ACCEPTED };
    Ok((code, Json(document)).into_response())
}
