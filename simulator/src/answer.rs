//! [`Answer`] and [`Reply`]: what comes back.

use crate::job::Job;
use crate::media::Recipe;
use crate::provider::{Refusal, whole_seconds};
use axum::body::{Body, Bytes};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::Response;
use darkroom_proto::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// What a provider answers.
#[derive(Debug)]
pub(crate) enum Answer {
    /// This, at once.
    Now(Reply),
    /// What [`Provider::finished`](crate::provider::Provider::finished) says then, outside of any lock: the place to make
    /// pictures, and how synchronous providers answer.
    At(Timestamp, Arc<Job>),
    /// The states of a job as server-sent events, until it has ended.
    Events(Arc<Job>),
    /// A file, made outside of any lock.
    File(Arc<Recipe>),
}

impl From<Reply> for Answer {
    fn from(reply: Reply) -> Answer {
        Answer::Now(reply)
    }
}

/// A response as a value.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: Bytes,
}

impl Reply {
    pub(crate) fn json(status: u16, body: &Value) -> Reply {
        Reply::bytes(status, "application/json", body.to_string())
    }

    pub(crate) fn bytes(status: u16, media_type: &str, body: impl Into<Bytes>) -> Reply {
        Reply { status, headers: vec![("content-type", media_type.to_owned())], body: body.into() }
    }

    pub(crate) fn empty(status: u16) -> Reply {
        Reply { status, headers: Vec::new(), body: Bytes::new() }
    }

    pub(crate) fn redirect(to: &str) -> Reply {
        Reply::empty(302).with("location", to)
    }

    /// Says when another try is worth it, where a refusal knows that.
    pub(crate) fn after(self, refusal: &Refusal) -> Reply {
        match refusal {
            Refusal::TooMany { retry_after_ms: Some(ms), .. } | Refusal::Status { retry_after_ms: Some(ms), .. } => {
                self.with("retry-after", whole_seconds(*ms).to_string())
            }
            _ => self,
        }
    }

    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Reply {
        self.headers.push((name, value.into()));
        self
    }

    /// The same as a success whose body breaks off in the middle.
    pub(crate) fn broken(mut self) -> Reply {
        self.status = 200;
        self.body.truncate(self.body.len() / 2);
        self
    }

    pub(crate) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        for (name, value) in self.headers {
            // What can't stand in a header, such as a new line in somebody's text, is left out.
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(HeaderName::from_static(name), value);
            }
        }
        response
    }
}

/// Marks a response that is not to be sent: the connection ends without one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hangup;

impl Hangup {
    pub(crate) fn response() -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response.extensions_mut().insert(Hangup);
        response
    }
}
