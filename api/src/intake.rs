//! [`Intake`]: runs that other services hand in, over HTTP or AMQP: checked, completed and stored.

use crate::Caller;
use crate::key::Scope;
use crate::problem::{Mistake, Problem, of_inputs};
use crate::service::Api;
use axum::http::StatusCode;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use darkroom_backend::{Clock, Created, Details, Ledger, Queue, Store};
use darkroom_coordinator::{Desk, DeskError, Submission, Version};
use darkroom_engine::input::complete;
use darkroom_engine::plan::{Input, InputType, Plan};
use darkroom_engine::preview::preview;
use darkroom_engine::{Pinned, Run, Spec};
use darkroom_proto::{Artifact, Map, Money, RunId, RunStatus};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use utoipa::ToSchema;

/// How long an idempotency key may be.
pub(crate) const KEY_BYTES_MAX: usize = 200;

/// How long a file may be that stands in the request itself.
const DATA_BYTES_MAX: usize = 1 << 20;

/// The largest file that is fetched by a link.
const LINKED_BYTES_MAX: u64 = 512 << 20;

/// How many files the inputs of one run may name.
const FILES_MAX: usize = 1_000;

/// A run that somebody wants.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RunRequest, example = json!({ "workflow": "product-photo", "inputs": { "subject": "tea cup" } }))]
pub struct Wanted {
    /// The workflow: its name, with a version behind an `@` or not.
    pub workflow: String,
    /// Its version: a number, the first digits of its hash, or `latest`.
    #[serde(default)]
    pub version: Option<String>,
    /// Its inputs. Files are references from `POST /v1/files`, links, or `data:` URLs.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub inputs: Map,
    /// Handing in twice under one key is handing in once.
    #[serde(default)]
    #[schema(min_length = 1, max_length = 200)]
    pub key: Option<String>,
}

/// A run that was handed in.
#[derive(Debug, Clone)]
pub struct Taken {
    /// Its id.
    pub(crate) id: RunId,
    /// Where it stands.
    pub(crate) status: RunStatus,
    /// Whether it was handed in under this key before.
    pub(crate) is_repeated: bool,
}

/// Takes runs in.
#[derive(Debug)]
pub struct Intake<'a, S, Q> {
    pub(crate) api: &'a Api<S, Q>,
    pub(crate) caller: &'a Caller,
}

/// A run that was checked and is not stored yet.
pub(crate) struct Checked {
    /// Its id.
    id: RunId,
    /// Whether the id follows from a key.
    is_keyed: bool,
    /// What it is given.
    spec: Spec,
}

/// A run that was looked at, with its plan.
pub(crate) struct Looked {
    /// The run, which is not stored.
    pub(crate) run: Run,
    /// Its plan.
    pub(crate) plan: Arc<Plan>,
}

impl<S: Store + Ledger, Q: Queue> Intake<'_, S, Q> {
    /// Takes one run in.
    pub async fn take(&self, wanted: Wanted) -> Result<Taken, Problem> {
        let checked = self.check(wanted).await?;
        let mut taken = self.store(vec![checked]).await?;
        taken.pop().ok_or_else(|| Problem::internal("a run was lost"))?
    }

    /// Takes several in, each for itself: the answers are in the order of the runs.
    pub(crate) async fn take_all(
        &self,
        wanted: Vec<Result<Wanted, Problem>>,
    ) -> Result<Vec<Result<Taken, Problem>>, Problem> {
        let (mut good, mut fates) = (Vec::new(), Vec::with_capacity(wanted.len()));
        for wanted in wanted {
            let checked = match wanted {
                Ok(wanted) => self.check(wanted).await,
                Err(problem) => Err(problem),
            };
            fates.push(checked.map(|checked| good.push(checked)));
        }
        let mut taken = self.store(good).await?.into_iter();
        let mut next = |()| taken.next().unwrap_or_else(|| Err(Problem::internal("a run was lost")));
        Ok(fates.into_iter().map(|fate| fate.and_then(&mut next)).collect())
    }

    /// Checks what is wanted, and completes it.
    pub(crate) async fn check(&self, wanted: Wanted) -> Result<Checked, Problem> {
        let id = match &wanted.key {
            Some(key) => RunId::from_key(self.caller.tenant().as_str(), key),
            None => new_id(),
        };
        let is_keyed = wanted.key.is_some();
        let Looked { run, plan } = self.look(wanted, id).await?;
        let mut spec = (*run.spec).clone();
        spec.estimated = self.estimated(&plan, &run)?;
        Ok(Checked { id, is_keyed, spec })
    }

    /// Takes a run in that was made from an earlier one.
    pub(crate) async fn take_made(&self, mut spec: Spec, plan: &Plan) -> Result<Taken, Problem> {
        self.caller.may(Scope::Submit)?;
        let id = new_id();
        spec.estimated = self.estimated(plan, &Run::new(id, Arc::new(spec.clone())))?;
        let mut taken = self.store(vec![Checked { id, is_keyed: false, spec }]).await?;
        taken.pop().ok_or_else(|| Problem::internal("a run was lost"))?
    }

    /// What is wanted as a run that is not stored.
    pub(crate) async fn look(&self, wanted: Wanted, id: RunId) -> Result<Looked, Problem> {
        self.caller.may(Scope::Submit)?;
        if wanted.key.as_ref().is_some_and(|key| !(1..=KEY_BYTES_MAX).contains(&key.len())) {
            return Err(Problem::bad_request(format!("an idempotency key has 1 to {KEY_BYTES_MAX} bytes"))
                .mistakes(vec![Mistake::at("/key", "empty or too long")]));
        }
        let (name, mut version) = Version::split(&wanted.workflow);
        if let Some(given) = &wanted.version {
            version = if given == "latest" { Version::Latest } else { Version::Given(given.clone()) };
        }
        let at = |problem: Problem| problem.mistakes(vec![Mistake::at("/workflow", format!("`{name}`"))]);
        let record = self.api.workflows.get(name).await.map_err(|error| at(error.into()))?;
        if !record.enabled {
            return Err(at(
                Problem::conflict(format!("the workflow `{name}` is switched off")).code("workflow_disabled")
            ));
        }
        let (_, push) = record.find(name, &version).map_err(|error| at(error.into()))?;
        let plan = self.api.desk.plans().get(push.hash).await?;
        if !plan.about.enabled {
            let detail = format!("the workflow `{name}` is switched off: its file says `enabled: false`");
            return Err(at(Problem::conflict(detail).code("workflow_disabled")));
        }
        let given = self.with_files(&plan, wanted.inputs).await?;
        let inputs = complete(&plan.inputs, &given).map_err(|errors| of_inputs(&errors))?;
        // An optional input that was not given is left out, as the CLI does.
        let inputs: Map = inputs.into_iter().filter(|(_, value)| !value.is_null()).collect();
        check_files(&plan, &inputs)?;
        let spec = Spec {
            tenant: self.caller.tenant().clone(),
            artifacts_url: self.api.artifacts.root_url(),
            children: self.children(&plan).await?,
            ..Spec::new(&plan, inputs, Clock::system().now())
        };
        Ok(Looked { run: Run::new(id, Arc::new(spec)), plan })
    }

    /// The workflows that its steps run, and those that these run, as they are now.
    async fn children(&self, plan: &Plan) -> Result<BTreeMap<String, Pinned>, Problem> {
        let mut pinned = BTreeMap::new();
        let mut open: Vec<String> = plan.children().into_iter().map(str::to_owned).collect();
        while let Some(reference) = open.pop() {
            if pinned.contains_key(&reference) {
                continue;
            }
            let (name, version) = Version::split(&reference);
            let record = self.api.workflows.get(name).await?;
            let (_, push) = record.find(name, &version)?;
            let child = self.api.desk.plans().get(push.hash).await?;
            open.extend(child.children().into_iter().map(str::to_owned));
            pinned.insert(reference, Pinned { definition: push.hash, files: Map::new() });
        }
        Ok(pinned)
    }

    fn estimated(&self, plan: &Plan, run: &Run) -> Result<Money, Problem> {
        let offer = |op: &str, model: &str| self.api.surroundings.offer(op, model);
        let shown = preview(plan, run, None, run.spec.created_at, &offer).map_err(|(path, error)| {
            Problem::new(StatusCode::BAD_REQUEST, "cannot_run", format!("`{path}` can't run: {}", error.message))
                .advice(error.advice)
        })?;
        Ok(Money::from_usd(shown.cost.high))
    }

    /// Stores runs and starts them.
    async fn store(&self, checked: Vec<Checked>) -> Result<Vec<Result<Taken, Problem>>, Problem> {
        let submissions: Vec<Submission> =
            checked.iter().map(|checked| Submission { run: checked.id, spec: checked.spec.clone() }).collect();
        let created = match self.api.desk.submit(&submissions).await {
            Ok(created) => created,
            // They are stored, and their coordinator looks at what is due.
            Err(DeskError::Queue(error)) => {
                tracing::warn!(%error, "runs are stored, and start a little later");
                vec![Created::Created; checked.len()]
            }
            Err(error) => return Err(error.into()),
        };
        let mut taken = Vec::with_capacity(checked.len());
        for (checked, created) in checked.into_iter().zip(created) {
            taken.push(match created {
                Created::Existed if checked.is_keyed => self.repeated(&checked).await,
                _ => Ok(Taken { id: checked.id, status: RunStatus::Pending, is_repeated: false }),
            });
        }
        Ok(taken)
    }

    /// A run that was there before under the same key.
    async fn repeated(&self, checked: &Checked) -> Result<Taken, Problem> {
        let stored = self.api.store.load(checked.id).await?;
        let stored = stored.ok_or_else(|| Problem::not_found("the run was removed just now"))?;
        if stored.summary.fingerprint != Desk::<S, Q>::fingerprint(&checked.spec) {
            let detail = "the idempotency key was used for another workflow or other inputs before";
            return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "idempotency_key_reused", detail)
                .advice("use a key of its own for each run"));
        }
        Ok(Taken { id: checked.id, status: stored.summary.status, is_repeated: true })
    }

    /// Inputs with artifacts in the place of what names files.
    pub(crate) async fn with_files(&self, plan: &Plan, given: Map) -> Result<Map, Problem> {
        let mut inputs = Map::new();
        let mut files = 0;
        for (name, value) in given {
            let input = plan.inputs.iter().find(|input| input.name == name);
            let value = match (input, value) {
                (Some(input), Value::String(text)) if is_file(&input.ty) => {
                    let artifact = self.file(input, &text, &mut files).await?.to_value();
                    if is_list(&input.ty) { Value::Array(vec![artifact]) } else { artifact }
                }
                (Some(input), Value::Array(items)) if is_list(&input.ty) => {
                    let mut artifacts = Vec::with_capacity(items.len());
                    for item in items {
                        let Value::String(text) = &item else { return Err(no_file(input, &item)) };
                        artifacts.push(self.file(input, text, &mut files).await?.to_value());
                    }
                    Value::Array(artifacts)
                }
                (Some(input), value) if is_file(&input.ty) && !value.is_null() => return Err(no_file(input, &value)),
                (_, value) => value,
            };
            inputs.insert(name, value);
        }
        Ok(inputs)
    }

    /// The file that a text names.
    async fn file(&self, input: &Input, text: &str, files: &mut usize) -> Result<Artifact, Problem> {
        *files += 1;
        if *files > FILES_MAX {
            return Err(Problem::too_large(format!("the inputs name more than {FILES_MAX} files")));
        }
        if text.starts_with(crate::link::FILE_PREFIX) {
            let opened = self.api.signer().await?.opened(self.caller.tenant(), text);
            let artifact = opened.ok_or_else(|| wrong(input, "the reference is to no file of yours"))?;
            return match input.bytes_max {
                Some(bytes_max) if artifact.bytes > bytes_max => Err(over_limit(input, artifact.bytes, bytes_max)),
                _ => Ok(artifact),
            };
        }
        let bytes_max = input.bytes_max.unwrap_or(LINKED_BYTES_MAX).min(LINKED_BYTES_MAX);
        let (bytes, name) = if let Some(data) = text.strip_prefix("data:") {
            (inline(data).map_err(|why| wrong(input, &why))?, String::new())
        } else if text.starts_with("https://") || text.starts_with("http://") {
            let fetched = self.api.surroundings.fetch(text.to_owned(), bytes_max).await;
            let fetched = fetched.map_err(|problem| problem.mistakes(vec![Mistake::at(pointer(input), "the link")]))?;
            (fetched.bytes, fetched.name)
        } else {
            let why = "it is no file: give a reference from POST /v1/files, a link, or a data: URL";
            return Err(wrong(input, why));
        };
        if bytes.len() as u64 > bytes_max {
            return Err(over_limit(input, bytes.len() as u64, bytes_max));
        }
        self.keep(bytes, name).await
    }

    /// Keeps a file that is in memory.
    async fn keep(&self, bytes: Vec<u8>, name: String) -> Result<Artifact, Problem> {
        let surroundings = self.api.surroundings.clone();
        let staging = self.api.options.staging.clone();
        let kept = self.api.blocking(move |artifacts| {
            let file = crate::files::staged(staging.as_deref())?;
            std::fs::write(file.path(), &bytes)?;
            let found = surroundings.look(file.path(), bytes.len() as u64);
            let name =
                if name.is_empty() { format!("file.{}", crate::files::extension(&found.media_type)) } else { name };
            std::io::Result::Ok(artifacts.put(&bytes, &Details { name, ..found }))
        });
        let kept = kept.await?.map_err(|error| Problem::unavailable(format!("the file can't be kept: {error}")))?;
        Ok(kept?)
    }
}

/// An id that no other run has.
pub(crate) fn new_id() -> RunId {
    let mut random = [0u8; 10];
    random.copy_from_slice(&uuid::Uuid::new_v4().as_bytes()[..10]);
    RunId::new(Clock::system().now(), random)
}

/// Files that a workflow has by default are at whoever wrote it, unless they were taken in when it was pushed.
fn check_files(plan: &Plan, inputs: &Map) -> Result<(), Problem> {
    let is_path = |input: &&Input| {
        let value = inputs.get(&input.name);
        is_file(&input.ty)
            && value.is_some_and(|value| {
                value.is_string() || value.as_array().is_some_and(|items| items.iter().any(Value::is_string))
            })
    };
    match plan.inputs.iter().find(is_path) {
        None => Ok(()),
        Some(input) => Err(wrong(input, "its default is a file beside the workflow, which is not here; give one")),
    }
}

fn pointer(input: &Input) -> String {
    format!("/inputs/{}", input.name)
}

fn wrong(input: &Input, why: &str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "invalid_input", format!("the input `{}`: {why}", input.name))
        .mistakes(vec![Mistake::at(pointer(input), why)])
}

fn over_limit(input: &Input, bytes: u64, bytes_max: u64) -> Problem {
    Problem::too_large(format!("`{}` has {bytes} bytes, over its limit of {bytes_max}", input.name))
}

fn no_file(input: &Input, value: &Value) -> Problem {
    let text: String = value.to_string().chars().take(60).collect();
    wrong(input, &format!("`{text}` is no file: give a reference from POST /v1/files, a link, or a data: URL"))
}

fn is_file(ty: &InputType) -> bool {
    is_list(ty) || matches!(ty, InputType::Image | InputType::Video | InputType::Audio | InputType::File)
}

fn is_list(ty: &InputType) -> bool {
    matches!(ty, InputType::Images | InputType::Files)
}

/// The bytes of a `data:` URL, behind its scheme.
fn inline(data: &str) -> Result<Vec<u8>, String> {
    let (kind, body) = data.split_once(',').ok_or("the data: URL has no comma")?;
    if !kind.ends_with(";base64") {
        return Err("a data: URL has to be base64 here".to_owned());
    }
    // Four characters are three bytes.
    if body.len() / 4 * 3 > DATA_BYTES_MAX {
        return Err(format!("a data: URL has at most {DATA_BYTES_MAX} bytes: send the file to POST /v1/files"));
    }
    STANDARD.decode(body).map_err(|error| format!("the data: URL is no base64: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_in_the_request_are_base64_and_small() {
        assert_eq!(inline("image/png;base64,bXVn").unwrap(), b"mug");
        assert!(inline("image/png,mug").is_err() && inline("image/png;base64").is_err());
        assert!(inline("image/png;base64,?").is_err());
        assert!(inline(&format!("image/png;base64,{}", "A".repeat(2 << 20))).unwrap_err().contains("/v1/files"));
    }
}
