//! `GET /jobs/{job_id}/stream`: what happens to an execution, as four kinds of Server-Sent Events.

use super::{UPLOAD, current, status_of, uploaded};
use crate::caller::Caller;
use crate::events::{Reading, last_seen, streamed};
use crate::key::Scope;
use crate::problem::Problem;
use crate::segment::Segment;
use crate::service::Shared;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use darkroom_backend::{Ledger, Queue, Store};
use darkroom_coordinator::Stored;
use darkroom_engine::plan::Plan;
use darkroom_engine::{Happened, What, step_document};
use darkroom_proto::{ErrorClass, ItemsDocument, RunId, StepError, StepPath};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;

/// `GET /jobs/{job_id}/stream`
pub(crate) async fn stream<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let after = last_seen(&headers)?.unwrap_or(0);
    let stored = api.run_of(&caller, &id).await?;
    let telling = Telling {
        run: stored.run.id,
        plan: stored.plan,
        // How far it is follows from all that happened, also what the client has heard of.
        reading: Reading::new(api.clone(), stored.run.id, 0),
        api,
        after,
        done: BTreeMap::new(),
        ended: None,
    };
    Ok(streamed(futures_util::stream::unfold(telling, |mut telling| async move {
        let event = telling.next().await?;
        Some((event, telling))
    })))
}

/// How far an execution was told of.
struct Telling<S, Q> {
    api: Shared<S, Q>,
    run: RunId,
    plan: Arc<Plan>,
    reading: Reading<S, Q>,
    /// The last event that the client knows.
    after: u64,
    /// How much of each top-level step is done, by its number: 1 is all.
    done: BTreeMap<u32, f64>,
    /// The run, once it has ended.
    ended: Option<Arc<Stored>>,
}

impl<S: Store + Ledger, Q: Queue> Telling<S, Q> {
    async fn next(&mut self) -> Option<Event> {
        loop {
            let (seq, happened) = self.reading.next().await?;
            self.count(&happened.what);
            if seq <= self.after {
                continue;
            }
            match self.tell(&happened).await {
                Ok(told) => {
                    let Some((kind, data)) = told else { continue };
                    return Some(Event::default().id(seq.to_string()).event(kind).data(data.to_string()));
                }
                Err(problem) => {
                    // The client comes again, with the id of the last event.
                    tracing::debug!(run = %self.run, status = problem.status(), "a stream of events ends early");
                    return None;
                }
            }
        }
    }

    /// Takes note of how far it is.
    fn count(&mut self, what: &What) {
        match what {
            What::StepCompleted { step, .. }
            | What::StepSkipped { step, .. }
            | What::StepFailed { step, .. }
            | What::StepCancelled { step, .. } => {
                if let Some(number) = self.top(step) {
                    self.done.insert(number, 1.0);
                }
            }
            What::ItemEnded { step, items, .. } if !step.as_str().contains('/') => {
                self.done.insert(self.plan.top_number(step), share(items));
            }
            What::RunResumed { from } => {
                let first = from.as_ref().map_or(u32::MAX, |step| self.plan.top_number(step));
                self.done.retain(|number, _| *number < first);
                self.ended = None;
            }
            _ => {}
        }
    }

    /// The number of a top-level step; `None` for what lies in one.
    fn top(&self, step: &StepPath) -> Option<u32> {
        let is_top = !step.as_str().contains(['/', '[']);
        is_top.then(|| self.plan.top_number(step))
    }

    /// How far it is, in percent.
    fn percent(&self) -> u32 {
        let steps = self.plan.top.nodes.len().max(1) as f64;
        (self.done.values().sum::<f64>() / steps * 100.0).floor().clamp(0.0, 100.0) as u32
    }

    fn progress(&self, step: Option<&StepPath>, message: String) -> (&'static str, Value) {
        let number = step.map_or(0, |step| self.plan.top_number(step));
        let node = self.plan.top.nodes.iter().map(|node| self.plan.node(*node)).find(|node| node.number == number);
        let name = node.map_or(UPLOAD, |node| node.id.as_str());
        let data = json!({ "step": number, "step_name": name, "progress": self.percent(), "message": message });
        ("progress", data)
    }

    fn error(&self, step: u32, error: &str, retryable: bool) -> (&'static str, Value) {
        ("error", json!({ "step": step, "error": error, "retryable": retryable }))
    }

    fn failed(&self, step: &StepPath, error: &StepError) -> (&'static str, Value) {
        self.error(self.plan.top_number(step), &error.message, error.class.retryable())
    }

    /// What is told of what happened: at most one event, because a client that comes again names the last that it saw.
    async fn tell(&mut self, happened: &Happened) -> Result<Option<(&'static str, Value)>, Problem> {
        Ok(Some(match &happened.what {
            What::RunStarted => {
                let uploaded = uploaded(&*self.stored().await?);
                let output = self.api.as_urls(uploaded).await?;
                ("checkpoint", json!({ "step": 0, "status": "completed", "output": output }))
            }
            What::RunResumed { from } => self.progress(from.as_ref(), "goes on".to_owned()),
            What::RunPaused { reason } => self.progress(None, format!("paused: {reason}")),
            What::RunCompleted { .. } => {
                let outputs = self.stored().await?.run.head.outputs.clone();
                ("complete", json!({ "result": self.api.as_urls(outputs).await? }))
            }
            What::RunFailed { step, error } => self.failed(step, error),
            What::RunCancelled { reason } => {
                let at = current(&*self.stored().await?);
                self.error(at, &format!("cancelled: {reason}"), ErrorClass::Cancelled.retryable())
            }
            What::StepDispatched { step, attempt: 1 } => self.progress(Some(step), format!("`{step}` is on its way")),
            What::StepDispatched { step, attempt } => {
                self.progress(Some(step), format!("`{step}` is on its way, try {attempt}"))
            }
            What::StepWaiting { step, reason } => self.progress(Some(step), format!("`{step}` waits: {reason}")),
            What::StepProgress { step, progress, note } => {
                let done = progress.map_or_else(String::new, |done| format!(" {:.0} %", done * 100.0));
                self.progress(Some(step), format!("`{step}`:{done} {note}").trim_end().to_owned())
            }
            What::StepRetrying { step, error, .. } | What::StepParked { step, error, .. } => self.failed(step, error),
            What::StepCompleted { step, .. }
            | What::StepSkipped { step, .. }
            | What::StepFailed { step, .. }
            | What::StepCancelled { step, .. } => match self.top(step) {
                Some(number) => self.checkpoint(number, step).await?,
                None => self.progress(Some(step), format!("`{step}` has ended")),
            },
            What::FanOutOpened { step, total } => self.progress(Some(step), format!("`{step}`: 0 of {total}")),
            What::ItemEnded { step, items, .. } => {
                let ended = items.completed + items.skipped + items.failed;
                self.progress(Some(step), format!("`{step}` has ended: {ended} of {}", items.total))
            }
            What::BranchBegun { step, branch, .. } => {
                self.progress(Some(step), format!("`{step}`: `{}` begins", branch.name()))
            }
            What::SignalTaken { step, name, .. } => self.progress(Some(step), format!("`{step}` took `{name}`")),
            What::StepDecided { step, decision, .. } => self.progress(Some(step), format!("`{step}` was {decision}")),
            What::ItemStarted { .. } | What::InputsSet { .. } | What::SignalKept { .. } | What::Refused { .. } => {
                return Ok(None);
            }
        }))
    }

    async fn checkpoint(&mut self, number: u32, step: &StepPath) -> Result<(&'static str, Value), Problem> {
        let stored = self.stored().await?;
        let document = step_document(&stored.plan, &stored.run, step, 0, 0);
        let document = document.ok_or_else(|| Problem::internal(format!("the run has no step `{step}`")))?;
        let status = status_of(&stored.run, &document);
        let output = self.api.as_urls(document.output).await?;
        Ok(("checkpoint", json!({ "step": number, "status": status, "output": output })))
    }

    /// The run as it is now.
    async fn stored(&mut self) -> Result<Arc<Stored>, Problem> {
        if let Some(stored) = &self.ended {
            return Ok(stored.clone());
        }
        let stored = self.api.desk.load(self.run).await?;
        let stored = Arc::new(stored.ok_or_else(|| Problem::not_found("the run was removed"))?);
        if stored.run.head.status.is_terminal() {
            self.ended = Some(stored.clone());
        }
        Ok(stored)
    }
}

/// How much of a fan-out is done.
fn share(items: &ItemsDocument) -> f64 {
    f64::from(items.completed + items.skipped + items.failed) / f64::from(items.total.max(1))
}
