//! [`Problem`]: why a request was not answered as it was meant, as RFC 9457 has it.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{ArtifactError, StoreError};
use darkroom_coordinator::{DeskError, PlanError, WorkflowError};
use darkroom_engine::input::InputError;
use serde::Serialize;
use serde_json::json;

/// Why a request was not answered as it was meant.
///
/// Becomes a body of `application/problem+json`: `type`, `title`, `status`, `code`, `detail`, `advice`, `retryable`, and
/// where they help `retry_after` in seconds and `errors`, each with a JSON pointer into the request.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    advice: String,
    retry_after: Option<u64>,
    errors: Vec<Mistake>,
}

/// Something that is wrong with a body.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Mistake {
    /// Where, as RFC 6901 has it.
    pub(crate) pointer: String,
    /// What.
    pub(crate) detail: String,
    /// Where it is in a text that the value is, such as a workflow file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) line: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) column: Option<usize>,
}

impl Mistake {
    /// A mistake at a place of the body.
    pub(crate) fn at(pointer: impl Into<String>, detail: impl Into<String>) -> Mistake {
        Mistake { pointer: pointer.into(), detail: detail.into(), line: None, column: None }
    }
}

impl Problem {
    pub(crate) fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Problem {
        Problem { status, code, detail: detail.into(), advice: String::new(), retry_after: None, errors: Vec::new() }
    }

    /// The request can't be understood.
    pub(crate) fn bad_request(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_request", detail)
    }

    /// There is no such thing, or it is another tenant's, which is the same.
    pub(crate) fn not_found(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::NOT_FOUND, "not_found", detail)
    }

    /// It does not fit with how things stand.
    pub(crate) fn conflict(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// Something is too large.
    pub(crate) fn too_large(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
    }

    /// A server does not answer at the moment.
    pub(crate) fn unavailable(detail: impl Into<String>) -> Problem {
        let problem = Problem::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", detail);
        Problem { retry_after: Some(1), ..problem }
    }

    /// What is wrong is on this side.
    pub(crate) fn internal(detail: impl Into<String>) -> Problem {
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", detail)
    }

    /// A link that somebody gave can't be followed.
    pub fn of_link(detail: &str, advice: &str) -> Problem {
        Problem::new(StatusCode::BAD_REQUEST, "bad_link", detail).advice(advice)
    }

    pub(crate) fn advice(mut self, advice: impl Into<String>) -> Problem {
        self.advice = advice.into();
        self
    }

    pub(crate) fn code(mut self, code: &'static str) -> Problem {
        self.code = code;
        self
    }

    pub(crate) fn retry_after(mut self, seconds: u64) -> Problem {
        self.retry_after = Some(seconds);
        self
    }

    pub(crate) fn mistakes(mut self, errors: Vec<Mistake>) -> Problem {
        self.errors = errors;
        self
    }

    /// The HTTP status.
    pub fn status(&self) -> u16 {
        self.status.as_u16()
    }

    /// Whether the same request may succeed later.
    pub fn is_retryable(&self) -> bool {
        self.retry_after.is_some() || self.status == StatusCode::SERVICE_UNAVAILABLE
    }

    /// The body.
    pub fn document(&self) -> serde_json::Value {
        let mut document = json!({
            "type": format!("/problems/{}", self.code.replace('_', "-")),
            "title": self.status.canonical_reason().unwrap_or_default(),
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
            "advice": self.advice,
            "retryable": self.is_retryable(),
        });
        if let Some(seconds) = self.retry_after {
            document["retry_after"] = seconds.into();
        }
        if !self.errors.is_empty() {
            document["errors"] = json!(self.errors);
        }
        document
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.document().to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Unreachable { .. } | StoreError::Unavailable(_) | StoreError::InUse { .. } => {
                tracing::warn!(%error, "the store did not answer a request");
                // Where it is says nothing to whoever asks, and is nobody else's business.
                Problem::unavailable("the store does not answer").advice("try again in a moment")
            }
            StoreError::TooLarge { .. } => Problem::too_large(error.to_string()).advice(error.advice()),
            StoreError::Fenced { .. } | StoreError::Corrupt { .. } => {
                tracing::error!(%error, "a request could not be answered");
                Problem::internal(error.to_string()).advice(error.advice())
            }
        }
    }
}

impl From<DeskError> for Problem {
    fn from(error: DeskError) -> Problem {
        match error {
            DeskError::Store(error) => error.into(),
            DeskError::Queue(error) => {
                tracing::warn!(%error, "the broker did not take what a request wanted to send");
                Problem::unavailable("the broker does not answer").advice("try again in a moment")
            }
            DeskError::Plan(error) => error.into(),
            DeskError::Record(error) => Problem::internal(error.to_string()),
        }
    }
}

impl From<PlanError> for Problem {
    fn from(error: PlanError) -> Problem {
        match error {
            PlanError::Store(error) => error.into(),
            error => Problem::internal(error.to_string()).advice("push the workflow again"),
        }
    }
}

impl From<WorkflowError> for Problem {
    fn from(error: WorkflowError) -> Problem {
        let detail = error.to_string();
        match error {
            WorkflowError::Missing(_) | WorkflowError::NoVersion { .. } => {
                Problem::not_found(detail).advice("GET /v1/workflows lists which there are")
            }
            WorkflowError::Ambiguous { .. } => Problem::bad_request(detail).advice("give more digits of the hash"),
            WorkflowError::TooMany(_) => Problem::conflict(detail).advice("push it under another name"),
            WorkflowError::Busy(_) => Problem::conflict(detail).advice("try again").retry_after(1),
            WorkflowError::Store(error) => error.into(),
            WorkflowError::Lost(_) | WorkflowError::Record(_) => Problem::internal(detail),
        }
    }
}

impl From<ArtifactError> for Problem {
    fn from(error: ArtifactError) -> Problem {
        match error {
            ArtifactError::TooLarge { .. } => Problem::too_large(error.to_string()),
            ArtifactError::Missing { .. } => Problem::not_found(error.to_string()),
            error => {
                tracing::warn!(%error, "the artifact store did not answer a request");
                Problem::unavailable("the artifact store does not answer").advice("try again in a moment")
            }
        }
    }
}

/// What is wrong with the inputs of a run: all of it at once.
pub(crate) fn of_inputs(errors: &[InputError]) -> Problem {
    let mistakes = errors.iter().map(|error| Mistake::at(pointer_of(error), error.to_string())).collect();
    let first = errors.first();
    Problem::new(StatusCode::BAD_REQUEST, "invalid_input", first.map(InputError::to_string).unwrap_or_default())
        .advice(first.map(InputError::advice).unwrap_or_default())
        .mistakes(mistakes)
}

fn pointer_of(error: &InputError) -> String {
    let (InputError::Unknown { name, .. }
    | InputError::Missing { name, .. }
    | InputError::WrongType { name, .. }
    | InputError::NotListed { name, .. }
    | InputError::OutOfRange { name, .. }
    | InputError::NoMatch { name, .. }
    | InputError::Unreadable { name, .. }) = error;
    format!("/inputs/{}", name.replace('~', "~0").replace('/', "~1"))
}
