//! `/v1/workflows`: what can be run, and new versions of it.

use crate::caller::Caller;
use crate::key::Scope;
use crate::page::page;
use crate::problem::{Mistake, Problem};
use crate::runs::body;
use crate::segment::Segment;
use crate::service::{Api, Shared};
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Definition, Ledger, Queue, Store};
use darkroom_coordinator::{Version, WorkflowRecord};
use darkroom_engine::plan::Plan;
use darkroom_engine::{Compiled, Source, compile};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// How long the name of a file may be.
const NAME_BYTES_MAX: usize = 200;

/// A workflow's file.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WorkflowSource)]
pub(crate) struct Pushed {
    /// The text of the file, YAML or JSON.
    source: String,
    /// What the file is called in messages.
    #[serde(default)]
    #[schema(max_length = 200)]
    file: Option<String>,
}

impl<S: Store + Ledger, Q: Queue> Api<S, Q> {
    fn row(&self, name: &str, record: &WorkflowRecord) -> Option<Value> {
        let (number, push) = record.find(name, &Version::Latest).ok()?;
        Some(json!({
            "name": name,
            "version": number,
            "hash": push.hash,
            "enabled": record.enabled,
            "pushed_at": push.pushed_at.to_string(),
            "pushed_by": push.by,
        }))
    }
}

/// The inputs of a workflow, as a form is built from them.
fn inputs(plan: &Plan) -> Vec<Value> {
    let of = |input: &darkroom_engine::plan::Input| {
        json!({
            "name": input.name, "title": input.title, "type": input.ty.name(), "words": input.ty.words(),
            "default": input.default, "required": input.required, "min": input.min, "max": input.max,
            "pattern": input.pattern, "bytes_max": input.bytes_max,
        })
    };
    plan.inputs.iter().map(of).collect()
}

/// `GET /v1/workflows`
pub(crate) async fn list<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let all = api.workflows.list().await?;
    Ok(page(all.iter().filter_map(|(name, record)| api.row(name, record)).collect(), None, "/v1/workflows"))
}

/// `GET /v1/workflows/{name}`, with a version behind an `@` or not
pub(crate) async fn get<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    Segment(name): Segment,
) -> Result<Response, Problem> {
    caller.may(Scope::Read)?;
    let (name, version) = Version::split(&name);
    let record = api.workflows.get(name).await?;
    let (number, push) = record.find(name, &version)?;
    let definition = api.workflows.definition(push).await?;
    let plan = api.desk.plans().get(push.hash).await?;
    let mut document = api.row(name, &record).unwrap_or_default();
    document["version"] = number.into();
    document["hash"] = json!(push.hash);
    document["latest"] = record.latest().into();
    document["inputs"] = inputs(&plan).into();
    document["outputs"] = plan.outputs.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().into();
    document["source"] = definition.source.into();
    let tag = format!("\"{}-{}\"", push.hash, record.enabled);
    Ok(([(header::ETAG, tag)], axum::Json(document)).into_response())
}

/// `POST /v1/workflows`: makes a text the latest version of the workflow that it names.
pub(crate) async fn push<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
    bytes: Bytes,
) -> Result<Response, Problem> {
    caller.may(Scope::Admin)?;
    let Pushed { source, file } = body(&bytes)?;
    let file = file.unwrap_or_else(|| "workflow.yaml".to_owned());
    if file.len() > NAME_BYTES_MAX {
        return Err(Problem::bad_request(format!("`file` has more than {NAME_BYTES_MAX} bytes")));
    }
    let source = Source::new(file, source);
    let Compiled { plan, warnings, .. } = compile(&source).map_err(|errors| refused(&errors, &source))?;
    let definition = Definition {
        hash: plan.definition,
        workflow: plan.workflow.clone(),
        file: source.name().to_owned(),
        source: source.text().to_owned(),
    };
    let name = plan.workflow.clone();
    api.desk.define(&definition, Arc::new(plan)).await?;
    let pushed = api.workflows.push(&definition, &caller.who()).await?;
    tracing::info!(workflow = name, version = pushed.version, by = caller.who(), "a workflow was pushed");
    let document = json!({
        "name": name, "version": pushed.version, "hash": definition.hash, "is_new": pushed.is_new, "warnings": warnings,
    });
    let status = if pushed.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = (status, axum::Json(document)).into_response();
    if let Ok(location) = HeaderValue::from_str(&format!("{}/v1/workflows/{name}", api.options.public_url)) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    Ok(response)
}

/// Everything that is wrong with a text, each with its line.
fn refused(errors: &[darkroom_engine::Diagnostic], source: &Source) -> Problem {
    let mistakes = errors.iter().map(|error| {
        let at = source.position(error.span.start);
        Mistake {
            pointer: "/source".to_owned(),
            detail: format!("{}: {}", error.code, error.message),
            line: Some(at.line as usize),
            column: Some(at.column as usize),
        }
    });
    let count = errors.iter().filter(|error| error.is_error()).count();
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_workflow", format!("the workflow has {count} errors"))
        .advice("darkroom explain CODE tells more of each")
        .mistakes(mistakes.collect())
}
