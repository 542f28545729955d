//! Tasks: what is signed for workers in any language, what is opened of what they say, and `POST /v1/tasks/files`.

use crate::files::{Named, receive};
use crate::link::{FILE_PREFIX, Signer, escaped};
use crate::problem::Problem;
use crate::service::{Api, Shared};
use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use darkroom_backend::{Clock, Ledger, Queue, Store, StoreError};
use darkroom_coordinator::Tasks;
use darkroom_proto::{
    Artifact, Duration, ErrorClass, Map, Outcome, Report, StepCost, StepError, Succeeded, TaskError, TaskMessage,
    TaskReport, TaskSaid, TaskToken, Timestamp, Working,
};
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::Value;
use utoipa::IntoParams;

/// How long the links in a message are good for: it may lie in its queue for a while.
const LINKED_FOR: Duration = Duration::from_secs(7 * 86_400);

/// How much a worker may give beside files, in bytes of JSON.
const OUTPUTS_BYTES_MAX: usize = 64 << 10;

/// The longest text of an error, in characters.
const TEXT_CHARS_MAX: usize = 2_000;

/// The longest code of an error, in characters.
const CODE_CHARS_MAX: usize = 100;

/// How many notes are kept.
const NOTES_MAX: usize = 20;

/// The longest that a worker may have a retry wait.
const RETRY_AFTER_SECONDS_MAX: f64 = 86_400.0;

impl<S: Store + Ledger, Q: Queue> Tasks for Api<S, Q> {
    fn sign<'a>(&'a self, message: &'a mut TaskMessage) -> BoxFuture<'a, Result<(), StoreError>> {
        async move {
            let signer = self.store_signer().await?;
            if self.options.public_url.is_empty() {
                self.told.call_once(|| {
                    let url = self.base_url();
                    tracing::warn!(url, "links for workers of tasks lead to this machine alone: set api.public_url");
                });
            }
            sign(signer, self.base_url(), message, Clock::system().now());
            Ok(())
        }
        .boxed()
    }

    fn open<'a>(&'a self, report: &'a TaskReport) -> BoxFuture<'a, Result<Option<Report>, StoreError>> {
        async move { Ok(open(self.store_signer().await?, report)) }.boxed()
    }
}

fn sign(signer: &Signer, base: &str, message: &mut TaskMessage, now: Timestamp) {
    let until = now.after(LINKED_FOR);
    let token = TaskToken {
        tenant: message.tenant.clone(),
        run: message.run,
        step: message.step.clone(),
        generation: message.generation,
        attempt: message.attempt,
        until,
    };
    message.token = signer.task(&token);
    message.upload = format!("{base}/v1/tasks/files?token={}", escaped(&message.token));
    for value in message.with.values_mut() {
        link(value, &|artifact| (signer.link(base, artifact, until), signer.file(&message.tenant, artifact)));
    }
}

/// Adds to each file where it is fetched, and what it is called in a report.
fn link(value: &mut Value, of: &impl Fn(&Artifact) -> (String, String)) {
    let artifact = Artifact::from_value(value);
    match (value, artifact) {
        (Value::Object(object), Some(artifact)) => {
            let (url, file) = of(&artifact);
            object.insert("url".to_owned(), url.into());
            object.insert("file".to_owned(), file.into());
        }
        (Value::Object(object), None) => object.values_mut().for_each(|value| link(value, of)),
        (Value::Array(list), _) => list.iter_mut().for_each(|value| link(value, of)),
        _ => {}
    }
}

fn open(signer: &Signer, report: &TaskReport) -> Option<Report> {
    let token = signer.opened_task(&report.token)?;
    let outcome = match &report.said {
        TaskSaid::Succeeded { outputs, notes } => match given(signer, &token, outputs) {
            Ok(outputs) => {
                let notes = notes.iter().take(NOTES_MAX).map(|note| cut(note, TEXT_CHARS_MAX)).collect();
                Outcome::Succeeded(Succeeded { outputs, notes, ..Succeeded::default() })
            }
            Err(error) => Outcome::Failed(error),
        },
        TaskSaid::Failed { error } => Outcome::Failed(failure(error)),
        TaskSaid::Working { progress, note } => Outcome::Working(Working { progress: *progress, note: note.clone() }),
    };
    let TaskToken { run, step: path, generation, attempt, .. } = token;
    Some(Report { run, path, generation, attempt, outcome, cost: StepCost::default() })
}

/// What a worker gave: values as they are, and files as the references to them say.
fn given(signer: &Signer, token: &TaskToken, outputs: &Map) -> Result<Map, StepError> {
    let bytes = Value::Object(outputs.clone()).to_string().len();
    if bytes > OUTPUTS_BYTES_MAX {
        let message = format!("the task gave {bytes} bytes, over the limit of {OUTPUTS_BYTES_MAX}");
        return Err(StepError::new(ErrorClass::TooLarge, message)
            .code("task_outputs")
            .advice("upload what is large as a file and give its reference"));
    }
    let open = |(name, value): (&String, &Value)| Ok((name.clone(), opened(signer, token, name, value)?));
    outputs.iter().map(open).collect()
}

/// A value in which references to files are files.
fn opened(signer: &Signer, token: &TaskToken, name: &str, value: &Value) -> Result<Value, StepError> {
    let reference = match value {
        Value::String(text) if looks_like_a_reference(text) => Some(text.as_str()),
        Value::Object(object) => object.get("file").and_then(Value::as_str).filter(|text| looks_like_a_reference(text)),
        _ => None,
    };
    if let Some(reference) = reference {
        return match signer.opened(&token.tenant, reference) {
            Some(artifact) => Ok(artifact.to_value()),
            None => {
                Err(StepError::new(ErrorClass::WorkflowError, format!("the output `{name}` is no file that is here"))
                    .code("task_file")
                    .advice("upload it to the message's `upload`, and give the `file` of the answer as it is"))
            }
        };
    }
    match value {
        // A digest alone opens nothing: who knows one need not be who may see the file.
        value if Artifact::from_value(value).is_some() => {
            let message = format!("the output `{name}` is a file without its reference");
            Err(StepError::new(ErrorClass::WorkflowError, message)
                .code("task_file")
                .advice("give the `file` of the upload's answer, or of the file in the message"))
        }
        Value::Array(list) => {
            list.iter().map(|value| opened(signer, token, name, value)).collect::<Result<_, _>>().map(Value::Array)
        }
        Value::Object(object) => {
            let open = |(key, value): (&String, &Value)| Ok((key.clone(), opened(signer, token, name, value)?));
            object.iter().map(open).collect::<Result<_, _>>().map(Value::Object)
        }
        value => Ok(value.clone()),
    }
}

/// Whether a text is meant to be a reference, and is no link to a file on some disk.
fn looks_like_a_reference(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    text.strip_prefix(FILE_PREFIX).and_then(|rest| rest.split_once('.')).is_some_and(|(body, signature)| {
        !body.is_empty() && !signature.is_empty() && body.bytes().chain(signature.bytes()).all(fits)
    })
}

/// The error that a worker tells of.
fn failure(told: &TaskError) -> StepError {
    let message = cut(&told.message, TEXT_CHARS_MAX);
    let message = if message.is_empty() { "the task failed".to_owned() } else { message };
    let known = ErrorClass::from_name(&told.class).filter(|class| *class != ErrorClass::Cancelled);
    let Some(class) = known else {
        let classes = ErrorClass::ALL.iter().filter(|class| **class != ErrorClass::Cancelled);
        let names: Vec<&str> = classes.map(|class| class.name()).collect();
        let advice = format!(
            "`{}` is no class of errors, so it is not tried again; the classes are: {}",
            cut(&told.class, CODE_CHARS_MAX),
            names.join(", ")
        );
        return StepError::new(ErrorClass::WorkflowError, message).code("task").advice(advice);
    };
    let mut error = StepError::new(class, message).advice(cut(&told.advice, TEXT_CHARS_MAX));
    if !told.code.is_empty() {
        error = error.code(cut(&told.code, CODE_CHARS_MAX));
    }
    let seconds = told.retry_after_seconds.filter(|seconds| seconds.is_finite());
    error.retry_after =
        seconds.map(|seconds| Duration((seconds.clamp(0.0, RETRY_AFTER_SECONDS_MAX) * 1_000.0).round() as u64));
    error
}

/// Text within a limit, on one line.
fn cut(text: &str, chars_max: usize) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(chars_max).collect()
}

/// Who may upload a file for a task, and what the file is called.
#[derive(Deserialize, IntoParams)]
pub(crate) struct ForTask {
    /// The token of the task's message.
    token: String,
    /// What the file is called.
    name: Option<String>,
}

/// `POST /v1/tasks/files?token=…&name=mesh.glb`, with the file as its body: the token lets in.
pub(crate) async fn upload<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    query: Result<Query<ForTask>, axum::extract::rejection::QueryRejection>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let Query(ForTask { token, name }) = query.map_err(|error| Problem::bad_request(error.body_text()))?;
    let token = api.signer().await?.opened_task(&token).filter(|token| Clock::system().now() < token.until);
    let token = token.ok_or_else(|| {
        Problem::not_found("there is no such task, or it was sent too long ago")
            .advice("send files to the `upload` of the task's message, as it is")
    })?;
    receive(&api, &token.tenant, Named { name }, &headers, body).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::{ReportTo, RunId, Sha256, StepPath, Tenant};
    use serde_json::json;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn artifact() -> Artifact {
        Artifact {
            sha256: Sha256::of(b"mug"),
            media_type: "image/png".into(),
            bytes: 3,
            width: Some(1),
            height: Some(2),
            duration: None,
            name: "mug.png".into(),
        }
    }

    fn message(signer: &Signer) -> TaskMessage {
        let mut message = TaskMessage {
            v: 1,
            task: "resize-3d".into(),
            run: RunId::from_bytes([7; 16]),
            step: StepPath::top("model"),
            generation: 2,
            attempt: 3,
            workflow: "models".into(),
            tenant: Tenant::default(),
            idempotency_key: "k".into(),
            timeout_seconds: 60.0,
            with: [("list".to_owned(), json!([{"picture": artifact().to_value()}]))].into_iter().collect(),
            upload: String::new(),
            token: String::new(),
            report_to: ReportTo::default(),
        };
        sign(signer, "https://darkroom.example", &mut message, NOW);
        message
    }

    fn said(signer: &Signer, said: Value) -> Outcome {
        let mut report = json!({"v": 1, "token": message(signer).token});
        report.as_object_mut().unwrap().extend(said.as_object().unwrap().clone());
        open(signer, &serde_json::from_value(report).unwrap()).unwrap().outcome
    }

    fn failed(signer: &Signer, value: Value) -> StepError {
        match said(signer, value) {
            Outcome::Failed(error) => error,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn files_of_a_message_can_be_fetched_and_given_back() {
        let signer = Signer::new("secret");
        let message = message(&signer);
        let file = &message.with["list"][0]["picture"];
        assert!(file["url"].as_str().unwrap().starts_with("https://darkroom.example/v1/artifacts/"));
        assert!(message.upload.starts_with("https://darkroom.example/v1/tasks/files?token=default~run_07"));
        for passed_on in [file.clone(), file["file"].clone()] {
            match said(&signer, json!({"outcome": "succeeded", "outputs": {"image": passed_on, "n": 1}})) {
                Outcome::Succeeded(done) => {
                    assert_eq!(done.outputs["image"], artifact().to_value());
                    assert_eq!(done.outputs["n"], 1);
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_report_is_about_the_attempt_whose_token_it_has_and_about_none_without() {
        let signer = Signer::new("secret");
        let token = message(&signer).token;
        let report = |token: &str| TaskReport {
            v: 1,
            token: token.to_owned(),
            said: TaskSaid::Working { progress: Some(0.5), note: String::new() },
        };
        let opened = open(&signer, &report(&token)).unwrap();
        assert_eq!((opened.path.as_str(), opened.generation, opened.attempt), ("model", 2, 3));
        let changed = token.replacen("@2.3", "@2.4", 1);
        for forged in [changed.as_str(), "", "x~y", &token[..token.len() - 1]] {
            assert_eq!(open(&signer, &report(forged)), None, "{forged}");
        }
        assert_eq!(open(&Signer::new("another"), &report(&token)), None);
    }

    #[test]
    fn files_that_nobody_gave_are_no_outputs() {
        let signer = Signer::new("secret");
        let others = signer.file(&"acme".parse().unwrap(), &artifact());
        for value in [json!(others), json!({"file": others}), artifact().to_value(), json!("file:e30.x")] {
            let error = failed(&signer, json!({"outcome": "succeeded", "outputs": {"deep": [{"image": value}]}}));
            assert_eq!(error.code, "task_file");
        }
        // What only begins like one is text.
        let text = json!({"outcome": "succeeded", "outputs": {"where": "file:///tmp/mesh.glb"}});
        assert!(matches!(said(&signer, text), Outcome::Succeeded(_)));
        let much = json!({"outcome": "succeeded", "outputs": {"text": "a".repeat(OUTPUTS_BYTES_MAX)}});
        assert_eq!(failed(&signer, much).class, ErrorClass::TooLarge);
    }

    #[test]
    fn classes_decide_whether_a_failure_is_tried_again_and_an_unknown_one_is_not() {
        let signer = Signer::new("secret");
        let error = |class: &str| {
            let told = json!({"class": class, "message": "no\nmesh", "code": "no_mesh", "retry_after_seconds": 1.5});
            failed(&signer, json!({"outcome": "failed", "error": told}))
        };
        let known = error("server_unavailable");
        assert!(known.class.retryable());
        assert_eq!((known.code.as_str(), known.message.as_str()), ("no_mesh", "no mesh"));
        assert_eq!(known.retry_after, Some(Duration(1_500)));
        for unknown in ["oops", "cancelled", ""] {
            let error = error(unknown);
            assert_eq!((error.class, error.code.as_str()), (ErrorClass::WorkflowError, "task"));
            assert!(error.advice.contains("rate_limit, "), "{}", error.advice);
        }
    }
}
