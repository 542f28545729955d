//! `/v1/runs`: created, listed and looked at.

use crate::caller::Caller;
use crate::intake::{Intake, Taken, Wanted, new_id};
use crate::key::Scope;
use crate::page::{LIMIT, LIMIT_MAX, page};
use crate::problem::{Mistake, Problem, of_inputs};
use crate::service::{Api, Shared};
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Artifacts, Ledger, Queue, RunFilter, Store};
use darkroom_coordinator::{Stored, made_from, run_row};
use darkroom_engine::input::check;
use darkroom_engine::preview::preview;
use darkroom_engine::{Again, lies_in, pages_of, run_document, step_document};
use darkroom_proto::{Map, RunId, RunStatus, StepPath};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::time::Duration;

/// How many runs one call creates.
const BATCH_MAX: usize = 1_000;

/// The longest that a call waits for a run.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// How soon it is looked again whether a run has ended; each look in vain makes it longer.
const LOOK_MIN: Duration = Duration::from_millis(20);
const LOOK_MAX: Duration = Duration::from_millis(250);

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// A JSON body, or what is wrong with it.
pub(crate) fn body<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    serde_json::from_slice(bytes).map_err(|error| {
        let problem = Problem::bad_request(format!("the body can't be read: {error}"));
        let mut mistake = Mistake::at("", error.to_string());
        (mistake.line, mistake.column) = (Some(error.line()), Some(error.column()));
        problem.advice("the body is a JSON object, as /openapi.json describes it").mistakes(vec![mistake])
    })
}

/// A body that may be left out.
pub(crate) fn optional_body<T: DeserializeOwned + Default>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.trim_ascii().is_empty() { Ok(T::default()) } else { body(bytes) }
}

/// The id of a run in an address. What is no id is the id of no run.
pub(crate) fn run_id(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| no_run(text))
}

fn no_run(id: impl std::fmt::Display) -> Problem {
    Problem::not_found(format!("there is no run {id}")).advice("GET /v1/runs lists the runs")
}

impl<S: Store + Ledger, Q: Queue> Api<S, Q> {
    /// A run of the caller's tenant. Another tenant's is not there.
    pub(crate) async fn run_of(&self, caller: &Caller, id: &str) -> Result<Stored, Problem> {
        let id = run_id(id)?;
        let stored = self.desk.load(id).await?.filter(|stored| stored.run.spec.tenant == *caller.tenant());
        stored.ok_or_else(|| no_run(id))
    }

    async fn document(&self, stored: &Stored) -> Result<Value, Problem> {
        let document = serde_json::to_value(run_document(&stored.plan, &stored.run))
            .map_err(|error| Problem::internal(format!("the run is no JSON: {error}")))?;
        self.with_links(document).await
    }

    /// What a client needs to go on with a run.
    pub(crate) fn created(&self, taken: &Taken) -> Value {
        let id = taken.id;
        let base = &self.options.public_url;
        json!({
            "id": id,
            "status": taken.status,
            "urls": {
                "self": format!("{base}/v1/runs/{id}"),
                "events": format!("{base}/v1/runs/{id}/events"),
                "cancel": format!("{base}/v1/runs/{id}/cancel"),
                "resume": format!("{base}/v1/runs/{id}/resume"),
            },
        })
    }

    /// Waits until a run has ended, or the time is up.
    async fn ended(&self, id: RunId, wait: Duration) -> Result<Option<Stored>, Problem> {
        let give_up = tokio::time::Instant::now() + wait;
        let mut pause = LOOK_MIN;
        loop {
            let stored = self.store.load(id).await?;
            if stored.is_some_and(|stored| stored.summary.status.is_terminal()) {
                return Ok(self.desk.load(id).await?);
            }
            let now = tokio::time::Instant::now();
            if now >= give_up {
                return Ok(None);
            }
            tokio::time::sleep(pause.min(give_up - now)).await;
            pause = (pause * 3 / 2).min(LOOK_MAX);
        }
    }
}

/// `POST /v1/runs`
pub(crate) async fn create<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Problem> {
    caller.may(Scope::Submit)?;
    let mut wanted: Wanted = body(&bytes)?;
    if let Some(key) = headers.get(IDEMPOTENCY_KEY) {
        let key = key.to_str().map_err(|_| Problem::bad_request("the Idempotency-Key is no ASCII text"))?;
        // The draft writes it as a string of RFC 8941, most clients as it is.
        wanted.key = Some(key.trim().trim_matches('"').to_owned());
    }
    let wait = wait_of(&headers);
    let taken = Intake { api: &api, caller: &caller }.take(wanted).await?;
    let ended = match wait {
        Some(wait) => api.ended(taken.id, wait).await?,
        None => None,
    };
    let (status, document) = match &ended {
        Some(stored) => (StatusCode::OK, api.document(stored).await?),
        None => (StatusCode::ACCEPTED, api.created(&taken)),
    };
    let mut response = (status, axum::Json(document)).into_response();
    let headers = response.headers_mut();
    if let Ok(location) = HeaderValue::from_str(&format!("{}/v1/runs/{}", api.options.public_url, taken.id)) {
        headers.insert(header::LOCATION, location);
    }
    if let Some(wait) = wait
        && let Ok(applied) = HeaderValue::from_str(&format!("wait={}", wait.as_secs()))
    {
        headers.insert(PREFERENCE_APPLIED, applied);
    }
    if taken.is_repeated {
        headers.insert(HeaderName::from_static("idempotent-replayed"), HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// `Prefer: wait=30`, or `wait` alone, which is as long as may be waited.
fn wait_of(headers: &HeaderMap) -> Option<Duration> {
    let preferences = headers.get_all(PREFER).iter().filter_map(|value| value.to_str().ok());
    let wait = preferences.flat_map(|value| value.split([',', ';'])).find_map(|preference| {
        let preference = preference.trim();
        if preference.eq_ignore_ascii_case("wait") {
            return Some(WAIT_MAX);
        }
        let (name, seconds) = preference.split_once('=')?;
        let seconds = seconds.trim().trim_matches('"').parse().ok()?;
        name.trim().eq_ignore_ascii_case("wait").then(|| Duration::from_secs(seconds))
    })?;
    Some(wait.min(WAIT_MAX))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// Each as in `POST /v1/runs`.
    runs: Vec<Value>,
}

/// `POST /v1/runs/batch`
pub(crate) async fn create_batch<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    headers: HeaderMap,
    bytes: Bytes,
) -> Result<Response, Problem> {
    caller.may(Scope::Submit)?;
    let Batch { runs } = body(&bytes)?;
    if runs.is_empty() || runs.len() > BATCH_MAX {
        return Err(Problem::bad_request(format!("a batch has 1 to {BATCH_MAX} runs, and this one {}", runs.len())));
    }
    let key =
        headers.get(IDEMPOTENCY_KEY).and_then(|key| key.to_str().ok()).map(|key| key.trim_matches('"').to_owned());
    let wanted = runs.into_iter().zip(0..).map(|(run, number)| {
        let mut wanted: Wanted = serde_json::from_value(run).map_err(|error| {
            Problem::bad_request(format!("the run can't be read: {error}"))
                .mistakes(vec![Mistake::at(format!("/runs/{number}"), error.to_string())])
        })?;
        if let (None, Some(key)) = (&wanted.key, &key) {
            wanted.key = Some(format!("{key}/{number}"));
        }
        Ok(wanted)
    });
    let taken = Intake { api: &api, caller: &caller }.take_all(wanted.collect()).await?;
    let outcomes: Vec<Value> = taken
        .iter()
        .map(|taken| match taken {
            Ok(taken) => api.created(taken),
            Err(problem) => json!({ "problem": problem.document() }),
        })
        .collect();
    let created = taken.iter().filter(|taken| taken.is_ok()).count();
    let document = json!({ "created": created, "failed": outcomes.len() - created, "data": outcomes });
    // Each outcome tells for itself; all of them together were taken note of.
    Ok((StatusCode::ACCEPTED, axum::Json(document)).into_response())
}

/// `POST /v1/plans`: what a run would do and cost, without making it.
pub(crate) async fn plan<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    bytes: Bytes,
) -> Result<Response, Problem> {
    let looked = Intake { api: &api, caller: &caller }.look(body(&bytes)?, new_id()).await?;
    let offer = |op: &str, model: &str| api.surroundings.offer(op, model);
    let (plan, run) = (&looked.plan, &looked.run);
    let shown = preview(plan, run, None, run.spec.created_at, &offer).map_err(|(path, error)| {
        Problem::new(StatusCode::BAD_REQUEST, "cannot_run", format!("`{path}` can't run: {}", error.message))
            .advice(error.advice)
    })?;
    Ok(axum::Json(shown).into_response())
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields)]
struct Remade {
    /// Inputs that have other values in the new run.
    #[serde(default)]
    inputs: Map,
    /// Of a rerun: take nothing from the earlier run.
    #[serde(default)]
    force: bool,
    /// Of a fork: the step from which on everything is done again.
    #[serde(default)]
    from_step: Option<String>,
}

/// `POST /v1/runs/{id}/rerun`
pub(crate) async fn rerun<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<Response, Problem> {
    api.make_again(&caller, &id, Again::Rerun, optional_body(&bytes)?).await
}

/// `POST /v1/runs/{id}/fork`
pub(crate) async fn fork<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Path(id): Path<String>,
    bytes: Bytes,
) -> Result<Response, Problem> {
    api.make_again(&caller, &id, Again::Fork, body(&bytes)?).await
}

impl<S: Store + Ledger, Q: Queue> Api<S, Q> {
    async fn make_again(&self, caller: &Caller, id: &str, how: Again, wanted: Remade) -> Result<Response, Problem> {
        caller.may(Scope::Read)?;
        let intake = Intake { api: self, caller };
        let earlier = self.run_of(caller, id).await?;
        let from: Option<StepPath> = match (how, &wanted.from_step) {
            (Again::Rerun, None) => None,
            (Again::Rerun, Some(_)) => return Err(Problem::bad_request("`from_step` is for a fork")),
            (Again::Fork, None) => return Err(Problem::bad_request("a fork needs `from_step`")),
            (Again::Fork, Some(_)) if !earlier.run.head.status.is_terminal() => {
                return Err(Problem::conflict("the run has not ended, so nobody knows what it will give"));
            }
            (Again::Fork, Some(step)) => {
                let none = || Problem::bad_request(format!("the run has no step `{step}`"));
                let path = step.parse().map_err(|_| none())?;
                step_document(&earlier.plan, &earlier.run, &path, 0, 0).ok_or_else(none)?;
                Some(path)
            }
        };
        let set = intake.with_files(&earlier.plan, wanted.inputs).await?;
        let unknown = set.keys().find(|name| !earlier.plan.inputs.iter().any(|input| input.name == **name));
        if let Some(name) = unknown {
            return Err(Problem::bad_request(format!("the workflow has no input `{name}`"))
                .mistakes(vec![Mistake::at(format!("/inputs/{name}"), "no such input")]));
        }
        for input in earlier.plan.inputs.iter().filter(|input| set.contains_key(&input.name)) {
            check(input, &set[&input.name]).map_err(|error| of_inputs(&[error]))?;
        }
        let (now, force) = (darkroom_backend::Clock::system().now(), wanted.force);
        let plan = earlier.plan.clone();
        let made = move |artifacts: &Artifacts| made_from(&earlier, set, how, from.as_ref(), force, artifacts, now);
        let spec = self.blocking(made).await?;
        let taken = intake.take_made(spec, &plan).await?;
        let mut response = (StatusCode::ACCEPTED, axum::Json(self.created(&taken))).into_response();
        if let Ok(location) = HeaderValue::from_str(&format!("{}/v1/runs/{}", self.options.public_url, taken.id)) {
            response.headers_mut().insert(header::LOCATION, location);
        }
        Ok(response)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Filter {
    limit: Option<u32>,
    cursor: Option<String>,
    workflow: Option<String>,
    /// One or several, with commas between them.
    status: Option<String>,
}

/// `GET /v1/runs`
pub(crate) async fn list<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    query: Result<Query<Filter>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let Query(filter) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let limit = limit(filter.limit)?;
    let statuses = filter.status.as_deref().map(statuses).transpose()?.unwrap_or_default();
    let before = filter.cursor.as_deref().map(cursor).transpose()?;
    let wanted = RunFilter {
        tenant: Some(caller.tenant().clone()),
        workflow: filter.workflow.clone(),
        statuses,
        before,
        limit: limit + 1,
        ..RunFilter::default()
    };
    let mut runs = api.store.list(&wanted).await?;
    let next = (runs.len() > limit).then(|| runs[limit - 1].0.to_string());
    runs.truncate(limit);
    let data = runs.iter().map(|(id, summary)| json!(run_row(*id, summary))).collect();
    let mut here = format!("{}/v1/runs?limit={limit}", api.options.public_url);
    for (name, value) in [("workflow", &filter.workflow), ("status", &filter.status)] {
        if let Some(value) = value {
            here.push_str(&format!("&{name}={}", crate::link::escaped(value)));
        }
    }
    Ok(page(data, next, &here))
}

fn limit(given: Option<u32>) -> Result<usize, Problem> {
    match given.unwrap_or(LIMIT) {
        limit @ 1..=LIMIT_MAX => Ok(limit as usize),
        other => Err(Problem::bad_request(format!("limit is 1 to {LIMIT_MAX}, and {other} is not"))),
    }
}

fn cursor(text: &str) -> Result<RunId, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request("the cursor is none of this API").advice("use `next_cursor` of the page before")
    })
}

fn statuses(text: &str) -> Result<Vec<RunStatus>, Problem> {
    let of = |name: &str| {
        RunStatus::ALL.iter().copied().find(|status| status.name() == name.trim()).ok_or_else(|| {
            let names: Vec<&str> = RunStatus::ALL.iter().map(|status| status.name()).collect();
            Problem::bad_request(format!("there is no status `{name}`")).advice(format!("use {}", names.join(", ")))
        })
    };
    text.split(',').map(of).collect()
}

/// `GET /v1/runs/{id}`
pub(crate) async fn get<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let id = run_id(&id)?;
    let stored = api.store.load(id).await?.filter(|stored| stored.summary.tenant == *caller.tenant());
    let stored = stored.ok_or_else(|| no_run(id))?;
    // Links in it end, so it changes within an hour although the run does not.
    let hour = darkroom_backend::Clock::system().now().0 / 3_600_000;
    let tag = format!("\"{}-{hour}\"", stored.version);
    if headers.get(header::IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes()) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response());
    }
    let stored = api.desk.open(id, &stored).await?;
    let document = api.document(&stored).await?;
    let headers = [(header::ETAG, tag), (header::CACHE_CONTROL, "private, no-cache".to_owned())];
    Ok((headers, axum::Json(document)).into_response())
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Under {
    under: Option<String>,
    limit: Option<u32>,
    cursor: Option<u32>,
}

/// `GET /v1/runs/{id}/steps`: one step with the instances of a fan-out, a page at a time; or all top-level steps.
pub(crate) async fn steps<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Path(id): Path<String>,
    here: Uri,
    query: Result<Query<Under>, axum::extract::rejection::QueryRejection>,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let Query(wanted) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let limit = limit(wanted.limit)? as u32;
    let mut stored = api.run_of(&caller, &id).await?;
    let Some(under) = &wanted.under else {
        let document = api.document(&stored).await?;
        let steps = document.get("steps").and_then(Value::as_array).cloned().unwrap_or_default();
        return Ok(page(steps, None, here.path()));
    };
    let none = || Problem::not_found(format!("the run has no step `{under}`"));
    let mut path: StepPath = under.parse().map_err(|_| none())?;
    // Instances of a wide fan-out are in runs of their own.
    while let Some((part, there)) = lies_in(&stored.run, &path) {
        (stored, path) = (api.run_of(&caller, &part.to_string()).await?, there);
    }
    let after = wanted.cursor.unwrap_or(0);
    let document = step_document(&stored.plan, &stored.run, &path, after, limit).ok_or_else(none)?;
    let total = pages_of(&stored.run, &path);
    let next = (after.saturating_add(limit) < total).then(|| (after + limit).to_string());
    let document = api.with_links(json!(document)).await?;
    let steps = document.get("steps").and_then(Value::as_array).cloned().unwrap_or_default();
    let here = format!("{}?under={}&limit={limit}", here.path(), crate::link::escaped(under));
    Ok(page(steps, next, &here))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_is_waited_is_what_rfc_7240_says_and_has_a_limit() {
        let wait = |text: &'static str| {
            let headers = HeaderMap::from_iter([(PREFER, HeaderValue::from_static(text))]);
            wait_of(&headers).map(|wait| wait.as_secs())
        };
        assert_eq!(wait("wait=5"), Some(5));
        assert_eq!(wait("respond-async, wait=\"7\""), Some(7));
        assert_eq!(wait("wait"), Some(60));
        assert_eq!(wait("wait=900"), Some(60));
        assert_eq!(wait("return=minimal"), None);
        assert_eq!(wait("wait=soon"), None);
    }
}
