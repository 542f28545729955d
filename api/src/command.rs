//! What somebody wants of a run: `POST /v1/runs/{id}/cancel` and the like.

use crate::caller::Caller;
use crate::intake::Intake;
use crate::key::Scope;
use crate::page::page;
use crate::problem::{Mistake, Problem};
use crate::runs::{body, idempotency_key, optional_body};
use crate::segment::Segment;
use crate::service::{Api, Shared};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Ledger, Queue, RunFilter, Store};
use darkroom_coordinator::{RunCommand, Stored, decode_event};
use darkroom_engine::{
    Approval, Decision, Run, SIGNAL_BYTES_MAX, What, answers, awaiting, run_document, settable, step_document,
};
use darkroom_proto::{Map, RunId, RunStatus, StepPath};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::time::Duration;
use utoipa::ToSchema;

/// How long it is watched for what came of a command: most come at once.
const WATCHED: Duration = Duration::from_secs(2);

/// How often it is looked meanwhile.
const LOOK: Duration = Duration::from_millis(20);

/// How many events are read at once.
const EVENTS_MAX: usize = 1_000;

/// How many runs are looked at for what waits for people.
const APPROVALS_MAX: usize = 500;

/// Why.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ReasonRequest)]
pub(crate) struct Reason {
    /// What the trail of the run says beside who it was.
    #[serde(default)]
    reason: String,
}

/// From where a run goes on.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = ResumeRequest)]
pub(crate) struct Resume {
    /// The step to go on from, which is dropped with all that depends on it.
    #[serde(default)]
    from_step: Option<String>,
    /// Inputs that have other values from now on.
    #[serde(default)]
    #[schema(value_type = Object)]
    set: Map,
}

/// An event.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SignalRequest)]
pub(crate) struct Signal {
    /// Its name, which a step waits for.
    name: String,
    /// Its data.
    #[serde(default)]
    data: Value,
}

/// What somebody decided.
#[derive(Deserialize, Default, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = DecideRequest)]
pub(crate) struct Decide {
    /// The step, where several wait.
    #[serde(default)]
    step: Option<String>,
    /// What the form asks for.
    #[serde(default)]
    #[schema(value_type = Object)]
    answers: Map,
    /// Which of the pictures, from 1.
    #[serde(default)]
    #[schema(maximum = 4_294_967_295u32)]
    choose: Option<u32>,
    /// Why.
    #[serde(default)]
    note: String,
}

/// `POST /v1/runs/{id}/cancel`
pub(crate) async fn cancel<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Outcome, Problem> {
    caller.may(Scope::Operate)?;
    let Reason { reason } = optional_body(&bytes)?;
    let stored = api.open_run(&caller, &id).await?;
    let reason = said(&caller, &reason);
    let is_answer = |what: &What| matches!(what, What::RunCancelled { .. });
    api.give(&stored, &headers, |_| RunCommand::Cancel { reason }, is_answer).await
}

/// `POST /v1/runs/{id}/terminate`
pub(crate) async fn terminate<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Outcome, Problem> {
    caller.may(Scope::Operate)?;
    let Reason { reason } = optional_body(&bytes)?;
    let stored = api.open_run(&caller, &id).await?;
    let reason = said(&caller, &reason);
    let is_answer = |what: &What| matches!(what, What::RunCancelled { .. });
    api.give(&stored, &headers, |_| RunCommand::Terminate { reason }, is_answer).await
}

/// `POST /v1/runs/{id}/pause`
pub(crate) async fn pause<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Outcome, Problem> {
    caller.may(Scope::Operate)?;
    let Reason { reason } = optional_body(&bytes)?;
    let stored = api.open_run(&caller, &id).await?;
    let reason = said(&caller, &reason);
    api.give(&stored, &headers, |_| RunCommand::Pause { reason }, |what| matches!(what, What::RunPaused { .. })).await
}

/// `POST /v1/runs/{id}/resume`
pub(crate) async fn resume<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Outcome, Problem> {
    caller.may(Scope::Operate)?;
    let wanted = optional_body(&bytes)?;
    let stored = api.run_of(&caller, &id).await?;
    api.resume(&caller, &stored, &headers, wanted).await
}

/// Whether there is anything to go on with in a run, without doing a step again.
pub(crate) fn can_resume(run: &Run) -> Result<(), Problem> {
    let (has_ended, is_paused) = (run.head.status.is_terminal(), run.head.paused.is_some());
    if !has_ended && !is_paused {
        return Err(Problem::conflict(format!("{} is {}: there is nothing to go on with", run.id, run.head.status)));
    }
    if run.head.status == RunStatus::Completed && run.head.tolerated == 0 {
        return Err(Problem::conflict("the run is completed: there is nothing to go on with")
            .advice("give `from_step` to do a step and what depends on it again"));
    }
    Ok(())
}

/// `POST /v1/runs/{id}/signal`
pub(crate) async fn signal<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Outcome, Problem> {
    caller.may(Scope::Operate)?;
    let Signal { name, data } = body(&bytes)?;
    let length = data.to_string().len();
    if length > SIGNAL_BYTES_MAX {
        return Err(Problem::too_large(format!("the data has {length} bytes, over the limit of {SIGNAL_BYTES_MAX}"))
            .advice("send a file or a link instead"));
    }
    let stored = api.open_run(&caller, &id).await?;
    let by = caller.who();
    api.give(&stored, &headers, |_| RunCommand::Signal { name, data, by }, |_| false).await
}

/// `POST /v1/runs/{id}/approve`
pub(crate) async fn approve<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Outcome, Problem> {
    api.decide(&caller, &id, true, &headers, &bytes).await
}

/// `POST /v1/runs/{id}/reject`
pub(crate) async fn reject<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Outcome, Problem> {
    api.decide(&caller, &id, false, &headers, &bytes).await
}

/// `GET /v1/approvals`: what waits for people.
pub(crate) async fn approvals<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let filter = RunFilter {
        tenant: Some(caller.tenant().clone()),
        statuses: vec![RunStatus::Waiting, RunStatus::Running],
        limit: APPROVALS_MAX,
        ..RunFilter::default()
    };
    let mut data = Vec::new();
    for (id, _) in api.store.list(&filter).await? {
        let Some(stored) = api.desk.load(id).await? else { continue };
        let shown = run_document(&stored.plan, &stored.run);
        for (step, ..) in awaiting(&stored.run) {
            let document = step_document(&stored.plan, &stored.run, step, 0, 1);
            let asks = document.and_then(|document| document.asks);
            data.push(json!({ "run": id, "workflow": shown.workflow, "step": step, "asks": asks }));
        }
    }
    let Value::Array(data) = api.with_links(Value::Array(data)).await? else {
        return Err(Problem::internal("no list"));
    };
    Ok(page(data, None, "/v1/approvals"))
}

/// Who did it, and why if they said.
fn said(caller: &Caller, reason: &str) -> String {
    match reason.trim() {
        "" => format!("by {}", caller.who()),
        reason => format!("{reason} (by {})", caller.who()),
    }
}

impl<S: Store + Ledger, Q: Queue> Api<S, Q> {
    /// A run that has not ended.
    async fn open_run(&self, caller: &Caller, id: &str) -> Result<Stored, Problem> {
        let stored = self.run_of(caller, id).await?;
        match stored.run.head.status.is_terminal() {
            true => Err(Problem::conflict(format!("{} is {} already", stored.run.id, stored.run.head.status))),
            false => Ok(stored),
        }
    }

    async fn decide(
        &self,
        caller: &Caller,
        id: &str,
        approved: bool,
        headers: &HeaderMap,
        bytes: &[u8],
    ) -> Result<Outcome, Problem> {
        caller.may(Scope::Operate)?;
        let wanted: Decide = optional_body(bytes)?;
        let stored = self.open_run(caller, id).await?;
        let (step, approval) = meant(&stored, wanted.step.as_deref())?;
        let decision = Decision {
            key: String::new(),
            step: Some(step.clone()),
            approved,
            answers: wanted.answers,
            choice: wanted.choose,
            by: caller.who(),
            note: wanted.note,
        };
        answers(approval, &decision).map_err(|reason| {
            Problem::bad_request(format!("`{step}`: {reason}")).advice("GET /v1/approvals shows what is asked")
        })?;
        self.give(&stored, headers, |_| RunCommand::Decide(decision), |_| false).await
    }

    /// Goes on with a run.
    pub(crate) async fn resume(
        &self,
        caller: &Caller,
        stored: &Stored,
        headers: &HeaderMap,
        wanted: Resume,
    ) -> Result<Outcome, Problem> {
        let Resume { from_step, set } = wanted;
        let (run, plan) = (&stored.run, &stored.plan);
        let from: Option<StepPath> = from_step
            .map(|text| {
                let path = text.parse().ok().filter(|path| step_document(plan, run, path, 0, 0).is_some());
                path.ok_or_else(|| {
                    Problem::bad_request(format!("the run has no step `{text}`"))
                        .mistakes(vec![Mistake::at("/from_step", "no such step")])
                })
            })
            .transpose()?;
        match &from {
            None => can_resume(run)?,
            Some(_) if run.head.status.is_terminal() => {}
            Some(_) => return Err(Problem::conflict("the run has not ended, so no step of it can be dropped")),
        }
        let set = Intake { api: self, caller }.with_files(plan, set).await?;
        settable(plan, run, from.as_ref(), &set).map_err(Problem::conflict)?;
        let is_answer = |what: &What| matches!(what, What::RunResumed { .. } | What::Refused { .. });
        self.give(stored, headers, |_| RunCommand::Resume { from, set }, is_answer).await
    }

    /// Gives a command to a run, and tells what came of it if that is known soon.
    async fn give(
        &self,
        stored: &Stored,
        headers: &HeaderMap,
        command: impl FnOnce(&str) -> RunCommand,
        is_answer: impl Fn(&What) -> bool,
    ) -> Result<Outcome, Problem> {
        let id = stored.run.id;
        let key = match idempotency_key(headers)? {
            Some(key) => format!("api/{id}/{key}"),
            None => uuid::Uuid::new_v4().to_string(),
        };
        let mut after = 0;
        while let Some(last) = self.store.events(id, after, EVENTS_MAX).await?.last() {
            after = last.seq;
        }
        self.desk.command(id, &key, &command(&key)).await?;
        let is_answer = |what: &What| is_ours(what, &key) || is_answer(what);
        let answer = self.answer(id, after, is_answer).await?;
        let status = self.store.load(id).await?.map(|stored| stored.summary.status);
        match answer {
            Some(What::Refused { reason, .. }) => Err(Problem::conflict(reason).code("refused")),
            answer => Ok(Outcome { id, status, applied: answer.is_some() }),
        }
    }

    /// The first answer among the events of a run after `after`, if one comes soon.
    async fn answer(
        &self,
        id: RunId,
        mut after: u64,
        is_answer: impl Fn(&What) -> bool,
    ) -> Result<Option<What>, Problem> {
        let give_up = tokio::time::Instant::now() + WATCHED;
        loop {
            for event in self.store.events(id, after, EVENTS_MAX).await? {
                after = event.seq;
                let happened = decode_event(&event.body).map_err(|error| Problem::internal(error.to_string()))?;
                if is_answer(&happened.what) {
                    return Ok(Some(happened.what));
                }
            }
            if tokio::time::Instant::now() > give_up {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What came of a command.
#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    /// The run.
    id: RunId,
    /// Where it stands now.
    status: Option<RunStatus>,
    /// Whether it is known that the run has taken the command; if not it will.
    applied: bool,
}

impl Outcome {
    /// Whether it is known that the run has taken the command.
    pub(crate) fn is_applied(&self) -> bool {
        self.applied
    }
}

impl IntoResponse for Outcome {
    fn into_response(self) -> Response {
        let code = if self.applied { StatusCode::OK } else { StatusCode::ACCEPTED };
        (code, axum::Json(self)).into_response()
    }
}

/// Whether an event is the answer to the command of a key.
fn is_ours(what: &What, key: &str) -> bool {
    match what {
        What::SignalKept { key: of, .. }
        | What::SignalTaken { key: of, .. }
        | What::StepDecided { key: of, .. }
        | What::Refused { key: of, .. } => of == key,
        _ => false,
    }
}

/// The step that somebody decides on.
fn meant<'a>(stored: &'a Stored, step: Option<&str>) -> Result<(&'a StepPath, &'a Approval), Problem> {
    let waiting: Vec<_> = awaiting(&stored.run).map(|(path, _, approval)| (path, approval)).collect();
    let names = || waiting.iter().map(|(path, _)| path.to_string()).collect::<Vec<_>>().join(", ");
    match (step, waiting.as_slice()) {
        (_, []) => Err(Problem::conflict("no step of the run waits for a person")),
        (None, [one]) => Ok(*one),
        (None, _) => Err(Problem::conflict(format!("several steps wait: {}", names())).advice("say which: `step`")),
        (Some(step), _) => waiting.iter().find(|(path, _)| path.as_str() == step).copied().ok_or_else(|| {
            Problem::conflict(format!("`{step}` waits for no person")).advice(format!("waiting: {}", names()))
        }),
    }
}
