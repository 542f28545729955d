//! [`Letter`]: a run that somebody handed in as a message, and what is answered.

use crate::caller::Caller;
use crate::intake::{Intake, Wanted};
use crate::problem::{Mistake, Problem};
use crate::runs::body;
use crate::service::Api;
use axum::http::StatusCode;
use darkroom_backend::{Ledger, Queue, Store};
use darkroom_proto::Tenant;
use serde::Deserialize as _;
use serde_json::{Value, json};

/// How long a body may be: brokers move small messages well and large ones badly.
const BODY_BYTES_MAX: usize = 256 << 10;

/// How deep values may lie in each other, in MessagePack as in JSON.
const DEPTH_MAX: usize = 128;

/// How long a problem may be that travels in a header.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// How much of a text is kept where all of it is too much.
const DETAIL_CHARS_MAX: usize = 500;

const JSON: &str = "application/json";
const MSGPACK: &str = "application/msgpack";

/// A run that somebody handed in as a message.
#[derive(Debug, Clone)]
pub struct Letter<'a> {
    /// The body: the fields of `POST /v1/runs`.
    pub body: &'a [u8],
    /// How it is written: JSON, which is also what is not said, or MessagePack.
    pub content_type: Option<&'a str>,
    /// How that is packed, which it must not be.
    pub content_encoding: Option<&'a str>,
    /// The workflow, if the body names none.
    pub routing_key: &'a str,
    /// The idempotency key; before one in the body.
    pub message_id: Option<&'a str>,
    /// The idempotency key if the sender gave none.
    pub fallback_key: &'a str,
    /// Whose run it is.
    pub tenant: Option<String>,
    /// The sender's name, as the broker has checked it.
    pub user: Option<&'a str>,
}

/// What is answered to a letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// `run` or `problem`.
    pub kind: &'static str,
    /// How the body is written: as the letter was.
    pub content_type: &'static str,
    /// The run's id, status and addresses, or the problem.
    pub body: Vec<u8>,
}

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Msgpack,
}

impl<'a> Letter<'a> {
    fn format(&self) -> Result<Format, Problem> {
        let unsupported = |detail: String| {
            Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail)
                .advice(format!("send {JSON} or {MSGPACK}, not packed, and set `content_type`"))
        };
        match self.content_encoding {
            None | Some("" | "utf-8" | "identity") => {}
            Some(other) => return Err(unsupported(format!("a body that is packed as `{other}` can't be read"))),
        }
        let content_type = self.content_type.unwrap_or_default();
        let essence = content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        match essence.as_str() {
            "" | JSON => Ok(Format::Json),
            MSGPACK | "application/x-msgpack" | "application/vnd.msgpack" => Ok(Format::Msgpack),
            _ => Err(unsupported(format!("the content type is `{content_type}`"))),
        }
    }

    /// What it wants, and for whom.
    fn read(&self) -> Result<(Wanted, Caller), Problem> {
        let format = self.format()?;
        let bytes = self.body.len();
        if bytes > BODY_BYTES_MAX {
            return Err(Problem::too_large(format!("the body has {bytes} bytes, over its limit of {BODY_BYTES_MAX}"))
                .advice("send files to POST /v1/files and name them by what that gives, or by links"));
        }
        let mut value: Value = match format {
            Format::Json => body(self.body)?,
            Format::Msgpack => unpacked(self.body)?,
        };
        if let Value::Object(fields) = &mut value
            && !self.routing_key.is_empty()
        {
            fields.entry("workflow").or_insert_with(|| self.routing_key.into());
        }
        let mut wanted: Wanted = serde_json::from_value(value).map_err(|error| {
            Problem::bad_request(format!("the body can't be read: {error}"))
                .advice("the body has the fields of POST /v1/runs")
                .mistakes(vec![Mistake::at("", error.to_string())])
        })?;
        if let Some(id) = self.message_id.filter(|id| !id.is_empty()) {
            wanted.key = Some(id.to_owned());
        }
        wanted.key.get_or_insert_with(|| self.fallback_key.to_owned());
        let tenant = match &self.tenant {
            None => Tenant::default(),
            Some(name) => name.parse().map_err(|error| {
                Problem::bad_request(format!("the header `tenant` is `{name}`: {error}"))
                    .advice("leave it out, or name a tenant")
            })?,
        };
        Ok((wanted, Caller::publisher(tenant, self.user)))
    }

    /// What is answered.
    pub fn reply(&self, outcome: &Result<Value, Problem>) -> Reply {
        let (kind, document) = match outcome {
            Ok(document) => ("run", document.clone()),
            Err(problem) => ("problem", problem.document()),
        };
        // Somebody who writes what nobody can read can most likely read JSON.
        match self.format().map(|format| (format, rmp_serde::to_vec_named(&document))) {
            Ok((Format::Msgpack, Ok(body))) => Reply { kind, content_type: MSGPACK, body },
            _ => Reply { kind, content_type: JSON, body: document.to_string().into_bytes() },
        }
    }
}

/// A value in MessagePack, all of it.
fn unpacked(mut bytes: &[u8]) -> Result<Value, Problem> {
    let mut reader = rmp_serde::Deserializer::new(&mut bytes);
    reader.set_max_depth(DEPTH_MAX);
    let value = Value::deserialize(&mut reader);
    let why = match value {
        Ok(value) if bytes.is_empty() => return Ok(value),
        Ok(_) => format!("{} bytes follow the value", bytes.len()),
        Err(error) => error.to_string(),
    };
    Err(Problem::bad_request(format!("the body can't be read: {why}"))
        .advice("the body is one MessagePack map with the fields of POST /v1/runs")
        .mistakes(vec![Mistake::at("", why)]))
}

impl Problem {
    /// The problem as it travels in the header of a message: short enough for one.
    pub fn header(&self) -> String {
        let mut document = self.document();
        let mut text = document.to_string();
        if text.len() > HEADER_BYTES_MAX
            && let Value::Object(fields) = &mut document
        {
            fields.remove("errors");
            for name in ["detail", "advice"] {
                let kept: String = fields[name].as_str().unwrap_or_default().chars().take(DETAIL_CHARS_MAX).collect();
                fields.insert(name.to_owned(), json!(kept));
            }
            text = document.to_string();
        }
        text
    }
}

impl<S: Store + Ledger, Q: Queue> Api<S, Q> {
    /// Takes in the run that a letter wants, which is stored when this returns: its id, its status and where to follow it.
    ///
    /// A letter that was taken before under its `message_id` gives the same run. If the problem is retryable, the same
    /// letter may be taken later.
    pub async fn submitted(&self, letter: &Letter<'_>) -> Result<Value, Problem> {
        let (wanted, caller) = letter.read()?;
        let taken = Intake { api: self, caller: &caller }.take(wanted).await?;
        Ok(self.created(&taken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Letter<'static> = Letter {
        body: br#"{"inputs": {"text": "hello"}}"#,
        content_type: None,
        content_encoding: None,
        routing_key: "nap@2",
        message_id: None,
        fallback_key: "none-given",
        tenant: None,
        user: None,
    };

    #[test]
    fn the_routing_key_names_the_workflow_and_the_message_id_is_the_key() {
        let (wanted, caller) = PLAIN.read().unwrap();
        assert_eq!((wanted.workflow.as_str(), caller.tenant().as_str()), ("nap@2", "default"));
        assert_eq!(wanted.key.as_deref(), Some("none-given"));
        let body = br#"{"workflow": "other", "key": "a"}"#;
        let (wanted, caller) =
            Letter { body, message_id: Some("b"), tenant: Some("acme".into()), ..PLAIN }.read().unwrap();
        assert_eq!((wanted.workflow.as_str(), wanted.key.as_deref()), ("other", Some("b")));
        assert_eq!(caller.tenant().as_str(), "acme");
    }

    #[test]
    fn json_and_messagepack_say_the_same() {
        let value = json!({ "workflow": "nap", "inputs": { "text": "ü", "n": 7, "list": [1.5, null] } });
        let (json, packed) = (value.to_string(), rmp_serde::to_vec_named(&value).unwrap());
        let read = |body: &[u8], content_type| {
            Letter { body, content_type: Some(content_type), ..PLAIN }.read().unwrap().0.inputs
        };
        let plain = read(json.as_bytes(), "application/json; charset=utf-8");
        assert_eq!(plain, read(&packed, "application/msgpack"));
    }

    #[test]
    fn what_nobody_can_read_is_a_problem_that_says_why() {
        let packed = rmp_serde::to_vec_named(&json!({ "workflow": "nap" })).unwrap();
        let longer = [packed.as_slice(), b"\x01"].concat();
        let deep = vec![0x91; 100_000];
        let long = vec![b' '; BODY_BYTES_MAX + 1];
        let msgpack = Some(MSGPACK);
        for (letter, status, detail) in [
            (Letter { body: b"{", ..PLAIN }, 400, "EOF"),
            (Letter { body: b"[]", ..PLAIN }, 400, "can't be read"),
            (Letter { body: b"{\"colour\": 1}", ..PLAIN }, 400, "colour"),
            (Letter { body: b"{}", routing_key: "", ..PLAIN }, 400, "workflow"),
            (Letter { body: &packed[..3], content_type: msgpack, ..PLAIN }, 400, "can't be read"),
            (Letter { body: &longer, content_type: msgpack, ..PLAIN }, 400, "1 bytes follow"),
            (Letter { body: &deep, content_type: msgpack, ..PLAIN }, 400, "depth"),
            (Letter { body: &long, ..PLAIN }, 413, "262145 bytes"),
            (Letter { content_type: Some("text/xml"), ..PLAIN }, 415, "text/xml"),
            (Letter { content_encoding: Some("gzip"), ..PLAIN }, 415, "gzip"),
            (Letter { tenant: Some("A B".into()), ..PLAIN }, 400, "tenant"),
        ] {
            let problem = letter.read().map(|_| ()).unwrap_err();
            assert_eq!(problem.status(), status, "{problem:?}");
            assert!(problem.document()["detail"].as_str().unwrap().contains(detail), "{problem:?}");
            assert!(!problem.is_retryable());
        }
    }

    #[test]
    fn an_answer_is_written_as_its_letter() {
        let outcome = Err(Problem::bad_request("no"));
        let plain = PLAIN.reply(&outcome);
        assert_eq!((plain.kind, plain.content_type), ("problem", JSON));
        let packed = Letter { content_type: Some(MSGPACK), ..PLAIN }.reply(&outcome);
        assert_eq!(packed.content_type, MSGPACK);
        let (plain, packed): (Value, Value) =
            (serde_json::from_slice(&plain.body).unwrap(), rmp_serde::from_slice(&packed.body).unwrap());
        assert_eq!(plain, packed);
        assert_eq!(Letter { content_type: Some("text/xml"), ..PLAIN }.reply(&outcome).content_type, JSON);
    }

    #[test]
    fn a_problem_fits_into_a_header() {
        let mistakes = vec![Mistake::at("/inputs", "x".repeat(100)); 1_000];
        let problem = Problem::bad_request("y".repeat(100_000)).mistakes(mistakes);
        assert!(problem.header().len() < HEADER_BYTES_MAX);
        assert!(Problem::bad_request("short").mistakes(vec![Mistake::at("", "z")]).header().contains("errors"));
    }
}
