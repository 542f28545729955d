//! A task in hand: what it was given, its files, and how far it is.

use darkroom_proto::{ErrorClass, Map, TASK_VERSION, TaskError, TaskMessage, TaskReport, TaskSaid};
use lapin::options::BasicPublishOptions;
use lapin::{BasicProperties, Channel, Confirmation};
use serde_json::Value;
use std::future::Future;
use std::sync::Arc;

const JSON: &str = "application/json";
const PERSISTENT: u8 = 2;

/// What serves a task.
pub trait Handler: Send + Sync + 'static {
    /// Does one attempt, and gives its outputs: JSON values, and files as [`Task::upload`] gives them.
    ///
    /// It may be called for the same step again, at the same time too: after a crash, or when the broker lost the connection.
    /// What must not be done twice goes by `idempotency_key`. A panic is a failure that is not tried again.
    ///
    /// # Errors
    /// Whether the step is tried again follows from the class.
    fn handle(&self, task: Task) -> impl Future<Output = Result<Map, TaskError>> + Send;
}

/// A task in hand. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Task {
    message: Arc<TaskMessage>,
    channel: Channel,
    http: reqwest::Client,
}

impl Task {
    pub(crate) fn new(message: TaskMessage, channel: Channel, http: reqwest::Client) -> Task {
        Task { message: Arc::new(message), channel, http }
    }

    /// Everything that the message says.
    pub fn message(&self) -> &TaskMessage {
        &self.message
    }

    /// What the step was given.
    pub fn with(&self) -> &Map {
        &self.message.with
    }

    /// Says how much is done, from 0 to 1, and what it is at. It is said a few times a minute that the work goes on, so this
    /// is only for people; what can't be said now is passed over.
    pub async fn working(&self, progress: Option<f64>, note: &str) {
        if let Err(why) = self.say(TaskSaid::Working { progress, note: note.to_owned() }).await {
            tracing::debug!(why, "a sign of life could not be sent");
        }
    }

    /// The content of a file that the step was given.
    ///
    /// # Errors
    /// When it is no file, or can't be fetched now.
    pub async fn fetch(&self, file: &Value) -> Result<Vec<u8>, TaskError> {
        let url = file.get("url").and_then(Value::as_str);
        let url = url.ok_or_else(|| TaskError::new(ErrorClass::InvalidInput, "what was given is no file"))?;
        let answer = self.http.get(url).send().await.and_then(reqwest::Response::error_for_status);
        let bytes = async { answer?.bytes().await }.await;
        bytes.map(Vec::from).map_err(|error| told("a file could not be fetched", &error))
    }

    /// Sends a file, and gives what stands for it in outputs.
    ///
    /// # Errors
    /// When it can't be sent now.
    pub async fn upload(&self, name: &str, content: Vec<u8>) -> Result<Value, TaskError> {
        let failed = |error: reqwest::Error| told("a file could not be sent", &error);
        let url = reqwest::Url::parse_with_params(&self.message.upload, [("name", name)]).map_err(|error| {
            TaskError::new(ErrorClass::WorkflowError, format!("`upload` of the message is no link: {error}"))
        })?;
        let answer = self.http.post(url).body(content).send().await;
        let answer = answer.and_then(reqwest::Response::error_for_status).map_err(failed)?;
        let answer = answer.bytes().await.map_err(failed)?;
        let answer: Value = serde_json::from_slice(&answer).unwrap_or_default();
        let file = answer.get("file").filter(|file| file.is_string()).cloned();
        file.ok_or_else(|| TaskError::new(ErrorClass::ServerUnavailable, "a file was not taken as files are"))
    }

    /// Publishes what is said of this attempt; returns when the broker has it.
    pub(crate) async fn say(&self, said: TaskSaid) -> Result<(), String> {
        let report = TaskReport { v: TASK_VERSION, token: self.message.token.clone(), said };
        let body = serde_json::to_vec(&report).map_err(|error| error.to_string())?;
        let properties = BasicProperties::default().with_content_type(JSON.into()).with_delivery_mode(PERSISTENT);
        let mandatory = BasicPublishOptions { mandatory: true, immediate: false };
        let to = &self.message.report_to;
        let (exchange, key) = (to.exchange.as_str().into(), to.routing_key.as_str().into());
        let published = self.channel.basic_publish(exchange, key, mandatory, &body, properties);
        let confirmed = async { published.await?.await }.await;
        match confirmed.map_err(|error| error.to_string())? {
            Confirmation::Ack(None) => Ok(()),
            Confirmation::Ack(Some(_)) => Err("nobody takes reports: is this fleet set up?".to_owned()),
            Confirmation::Nack(_) | Confirmation::NotRequested => Err("RabbitMQ refused a report".to_owned()),
        }
    }
}

/// An error of a connection to the API. Links in it are secrets, so they are left out.
fn told(what: &str, error: &reqwest::Error) -> TaskError {
    match error.status() {
        Some(status) if status.is_client_error() => {
            TaskError::new(ErrorClass::WorkflowError, format!("{what}: HTTP {status}"))
        }
        Some(status) => TaskError::new(ErrorClass::ServerUnavailable, format!("{what}: HTTP {status}")),
        None => TaskError::new(ErrorClass::Network, format!("{what}: the connection broke")),
    }
}
