//! `POST /workflows/execute`: a file and what is to be done with it, as a form.

use super::catalogue::{Choice, choices};
use super::{ExecutionStatus, job_url, upload_input};
use crate::caller::Caller;
use crate::files::Received;
use crate::intake::{Intake, Wanted};
use crate::key::Scope;
use crate::problem::{Mistake, Problem};
use crate::runs::{body, idempotency_key};
use crate::service::Shared;
use axum::Json;
use axum::extract::multipart::{Field, MultipartError, MultipartRejection};
use axum::extract::{Multipart, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Ledger, Queue, Store};
use darkroom_coordinator::Version;
use darkroom_engine::plan::{Input, Plan};
use darkroom_proto::{Map, RunId};
use futures_util::TryStreamExt as _;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// How long a field may be that is no file.
const FIELD_BYTES_MAX: usize = 256 << 10;

/// What is to be done otherwise than the workflow says, by step.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Choices {
    /// Models, of those that `supported_models` lists.
    #[serde(default)]
    models: BTreeMap<String, String>,
    /// Prompts.
    #[serde(default)]
    prompts: BTreeMap<String, String>,
}

/// An execution that was taken in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Executed {
    /// The id of the run.
    #[schema(value_type = String)]
    job_id: RunId,
    /// The same.
    #[schema(value_type = String)]
    execution_id: RunId,
    /// Where it stands.
    status: ExecutionStatus,
    /// Where its events are.
    stream_url: String,
}

/// The form, as it came in.
#[derive(Default)]
struct Form {
    workflow: Option<String>,
    file: Option<(Received, String)>,
    choices: Choices,
}

/// `POST /workflows/execute`
pub(crate) async fn execute<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Result<Response, Problem> {
    caller.may(Scope::Submit)?;
    let key = idempotency_key(&headers)?;
    let form = read(&api, form.map_err(|_| no_form())?).await?;
    let missing = || {
        Problem::bad_request("the field `workflow_id` is missing")
            .mistakes(vec![Mistake::at("/workflow_id", "missing")])
    };
    let workflow = form.workflow.ok_or_else(missing)?;
    let (name, version) = Version::split(&workflow);
    let at = |problem: Problem| problem.mistakes(vec![Mistake::at("/workflow_id", format!("`{name}`"))]);
    let record = api.workflows.get(name).await.map_err(|error| at(error.into()))?;
    let (_, push) = record.find(name, &version).map_err(|error| at(error.into()))?;
    let plan = api.desk.plans().get(push.hash).await?;
    let mut inputs = chosen(&plan, &form.choices)?;
    if let Some((received, name)) = form.file {
        let input = upload_input(&plan).ok_or_else(|| {
            Problem::bad_request(format!("the workflow `{}` takes no file", plan.workflow))
                .mistakes(vec![Mistake::at("/file", "not expected")])
        })?;
        let artifact = api.keep_received(received, &name).await?;
        let reference = api.signer().await?.file(caller.tenant(), &artifact);
        inputs.insert(input.name.clone(), reference.into());
    }
    let wanted = Wanted { workflow, version: None, inputs, key };
    let taken = Intake { api: &api, caller: &caller }.take(wanted).await?;
    let base = &api.options.public_url;
    let document = Executed {
        job_id: taken.id,
        execution_id: taken.id,
        status: ExecutionStatus::of(taken.status),
        stream_url: format!("{base}/jobs/{}/stream", taken.id),
    };
    let mut response = (StatusCode::ACCEPTED, Json(document)).into_response();
    if let Ok(location) = HeaderValue::from_str(&job_url(base, taken.id)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

fn no_form() -> Problem {
    Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", "the body is no multipart/form-data")
        .advice("send a form with `workflow_id`, `file` and, if anything is to be otherwise, `options`")
}

async fn read<S: Store + Ledger, Q: Queue>(api: &Shared<S, Q>, mut fields: Multipart) -> Result<Form, Problem> {
    let mut form = Form::default();
    while let Some(field) = fields.next_field().await.map_err(|error| broken(&error))? {
        let name = field.name().unwrap_or_default().to_owned();
        let twice = |is_twice: bool| match is_twice {
            true => Err(Problem::bad_request(format!("the form has more than one `{name}`"))),
            false => Ok(()),
        };
        match name.as_str() {
            "workflow_id" => {
                twice(form.workflow.is_some())?;
                form.workflow = Some(text(field).await?);
            }
            "options" => {
                let given = text(field).await?;
                if !given.trim().is_empty() {
                    form.choices = body(given.as_bytes())?;
                }
            }
            "file" => {
                twice(form.file.is_some())?;
                let called = field.file_name().unwrap_or_default().to_owned();
                let received = api.receive(field.map_err(|error| error.body_text())).await?;
                // A form in a browser has an empty one where nothing was chosen.
                if received.bytes() > 0 || !called.is_empty() {
                    form.file = Some((received, called));
                }
            }
            other => {
                let problem = Problem::bad_request(format!("the form has no field `{other}`"));
                return Err(problem.advice("it has `workflow_id`, `file` and `options`"));
            }
        }
    }
    Ok(form)
}

fn broken(error: &MultipartError) -> Problem {
    Problem::bad_request(format!("the form can't be read: {}", error.body_text()))
}

/// A field that is no file.
async fn text(mut field: Field<'_>) -> Result<String, Problem> {
    let mut bytes = Vec::new();
    while let Some(piece) = field.chunk().await.map_err(|error| broken(&error))? {
        if bytes.len() + piece.len() > FIELD_BYTES_MAX {
            return Err(Problem::too_large(format!("a field that is no file has at most {FIELD_BYTES_MAX} bytes")));
        }
        bytes.extend_from_slice(&piece);
    }
    String::from_utf8(bytes).map_err(|_| Problem::bad_request("a field that is no file is UTF-8 text"))
}

/// The inputs that are set by what was chosen.
fn chosen(plan: &Plan, wanted: &Choices) -> Result<Map, Problem> {
    let all = choices(plan);
    let mut inputs = Map::new();
    let mut set = |kind: &str, step: &str, value: &str, input: Option<&Input>| {
        let wrong = |why: String| {
            Problem::new(StatusCode::BAD_REQUEST, "invalid_option", format!("`{kind}.{step}`: {why}"))
                .advice("GET /workflows/list shows what can be chosen")
                .mistakes(vec![Mistake::at(format!("/options/{kind}/{step}"), why)])
        };
        let input = input.ok_or_else(|| wrong("this can't be chosen for the step".to_owned()))?;
        let words = input.ty.words();
        if !words.is_empty() && !words.iter().any(|word| word == value) {
            return Err(wrong(format!("`{value}` is none of {}", words.join(", "))));
        }
        match inputs.insert(input.name.clone(), value.into()) {
            Some(before) if before != value => {
                Err(wrong(format!("another step sets the input `{}` otherwise", input.name)))
            }
            _ => Ok(()),
        }
    };
    let of = |step: &str| all.get(step).copied().unwrap_or(Choice::default());
    for (step, model) in &wanted.models {
        set("models", step, model, of(step).model)?;
    }
    for (step, prompt) in &wanted.prompts {
        set("prompts", step, prompt, of(step).prompt)?;
    }
    Ok(inputs)
}
