//! `GET /v1/runs/{id}/events`: what happens to a run, as Server-Sent Events that go on where a client was.

use crate::caller::Caller;
use crate::key::Scope;
use crate::problem::Problem;
use crate::runs::run_id;
use crate::segment::Segment;
use crate::service::Shared;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Ledger, Queue, Store};
use darkroom_coordinator::decode_event;
use darkroom_engine::{Happened, What, event_document};
use darkroom_proto::RunId;
use futures_util::stream::{self, Stream, StreamExt as _};
use serde::Deserialize;
use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;
use utoipa::IntoParams;

/// How many events are read at once.
const EVENTS_MAX: usize = 200;

/// How soon it is looked again after something happened, which is the most often that a client hears; each look in vain doubles
/// it.
const LOOK_MIN: Duration = Duration::from_millis(250);

/// The longest between two looks.
const LOOK_MAX: Duration = Duration::from_secs(1);

/// How often a client is told that the connection lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Where a client says which event it saw last.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Which events are told.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub(crate) struct After {
    /// Those behind the one of this number; `Last-Event-ID` counts for more.
    #[param(maximum = 18_446_744_073_709_551_615u64)]
    after: Option<u64>,
}

/// The kind of an event, by which clients choose what they listen for.
pub(crate) fn kind(what: &What) -> &'static str {
    match what {
        What::RunCompleted { .. } | What::RunCancelled { .. } => "complete",
        What::RunFailed { .. } | What::StepFailed { .. } => "error",
        What::StepCompleted { .. } | What::StepSkipped { .. } | What::StepCancelled { .. } => "checkpoint",
        _ => "progress",
    }
}

/// Whether a run has ended with this.
fn ends(what: &What) -> bool {
    matches!(what, What::RunCompleted { .. } | What::RunFailed { .. } | What::RunCancelled { .. })
}

/// How far the events of a run were read.
pub(crate) struct Reading<S, Q> {
    api: Shared<S, Q>,
    run: RunId,
    after: u64,
    read: VecDeque<(u64, Happened)>,
    /// The last event that was read ended the run.
    may_be_over: bool,
    pause: Duration,
}

/// `GET /v1/runs/{id}/events`
pub(crate) async fn follow<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(id): Segment,
    headers: HeaderMap,
    query: Result<Query<After>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let Query(query) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let run = run_id(&id)?;
    let stored = api.store.load(run).await?.filter(|stored| stored.summary.tenant == *caller.tenant());
    if stored.is_none() {
        return Err(Problem::not_found(format!("there is no run {run}")));
    }
    let after = last_seen(&headers)?.or(query.after).unwrap_or(0);
    Ok(streamed(stream::unfold(Reading::new(api, run, after), |mut reading| async move {
        let (seq, happened) = reading.next().await?;
        let event = Event::default().id(seq.to_string()).event(kind(&happened.what));
        Some((event.data(event_document(seq, &happened).to_string()), reading))
    })))
}

/// The last event that a client saw, as it says.
pub(crate) fn last_seen(headers: &HeaderMap) -> Result<Option<u64>, Problem> {
    let Some(id) = headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let seen = id.to_str().ok().and_then(|id| id.parse().ok());
    seen.map(Some).ok_or_else(|| Problem::bad_request("Last-Event-ID is no id of an event of a run"))
}

/// Events as an answer that lasts until there are no more.
pub(crate) fn streamed(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let keep_alive = KeepAlive::new().interval(HEARTBEAT).text("alive");
    let mut response = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive).into_response();
    // Proxies that collect an answer before they pass it on are told not to.
    response
        .headers_mut()
        .insert(HeaderName::from_static("x-accel-buffering"), axum::http::HeaderValue::from_static("no"));
    response
}

impl<S: Store + Ledger, Q: Queue> Reading<S, Q> {
    /// The events of a run behind the one of this number.
    pub(crate) fn new(api: Shared<S, Q>, run: RunId, after: u64) -> Reading<S, Q> {
        Reading { api, run, after, read: VecDeque::new(), may_be_over: true, pause: Duration::ZERO }
    }

    /// The next event and its number; `None` when the run has ended and all of them were read.
    pub(crate) async fn next(&mut self) -> Option<(u64, Happened)> {
        loop {
            if let Some(event) = self.read.pop_front() {
                return Some(event);
            }
            if !self.pause.is_zero() {
                tokio::time::sleep(self.pause).await;
            }
            match self.look().await {
                Ok(true) => {}
                Ok(false) => return None,
                Err(problem) => {
                    // The client comes again, with the id of the last event.
                    tracing::debug!(run = %self.run, status = problem.status(), "a stream of events ends early");
                    return None;
                }
            }
        }
    }

    /// Reads on. False: there is nothing more to come.
    async fn look(&mut self) -> Result<bool, Problem> {
        let events = self.api.store.events(self.run, self.after, EVENTS_MAX).await?;
        self.pause = match (events.len(), self.pause) {
            (EVENTS_MAX, _) => Duration::ZERO,
            (0, pause) => (pause * 2).clamp(LOOK_MIN, LOOK_MAX),
            _ => LOOK_MIN,
        };
        if events.is_empty() {
            if !self.may_be_over {
                return Ok(true);
            }
            let stored = self.api.store.load(self.run).await?;
            self.may_be_over = false;
            return Ok(stored.is_some_and(|stored| !stored.summary.status.is_terminal()));
        }
        for event in events {
            self.after = event.seq;
            let happened = decode_event(&event.body).map_err(|error| Problem::internal(error.to_string()))?;
            self.may_be_over = ends(&happened.what);
            self.read.push_back((event.seq, happened));
        }
        Ok(true)
    }
}
