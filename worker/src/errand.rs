//! Errands: `http.request` and `notify.webhook`, a request to somebody else's server.
//!
//! Every attempt of a step sends its request once, under one idempotency key for all of them: a server that honours it
//! does the thing once, however often a worker dies or an answer is lost.

use crate::net::{Ask, Net, media_type, shown};
use crate::ops::Params;
use crate::workbench::Workbench;
use darkroom_proto::{ErrorClass, Map, Sha256, StepError, StepMessage, Succeeded, op};
use darkroom_provider::{Response, classify};
use serde_json::{Value, json};
use std::sync::Arc;

/// From here on what was answered is kept as a file, and the step's output refers to it.
const INLINE_BYTES_MAX: usize = 32 << 10;

/// The most that is kept of the answer's headers.
const HEADER_BYTES_MAX: usize = 8 << 10;

/// How many hex digits an idempotency key has.
const KEY_DIGITS: usize = 32;

/// What a step says of itself to a server, unless the workflow says it.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// Whether the op is one of these.
pub(crate) fn serves(op: &str) -> bool {
    matches!(op, "http.request" | "notify.webhook")
}

/// One attempt.
///
/// # Errors
/// When the request can't be sent as it is worded, is not answered in time, or the answer is a failure.
pub(crate) async fn run(net: &Net, workbench: &Arc<Workbench>, message: &StepMessage) -> Result<Succeeded, StepError> {
    let Some(op) = op::find(&message.op) else {
        return Err(StepError::new(ErrorClass::WorkflowError, format!("`{}` is no op of this worker", message.op)));
    };
    let params = Params::new(op, &message.params)?;
    let url = params.text("url")?;
    let is_notice = message.op == "notify.webhook";
    let method = if is_notice { "POST".to_owned() } else { params.text("method")? };
    let body = body_of(&params, &method, is_notice)?;
    let mut headers = headers_of(&params)?;
    let key = idempotency_key(message);
    if is_notice {
        headers.push(("webhook-id".to_owned(), format!("msg_{key}")));
    }
    if !matches!(method.as_str(), "GET" | "HEAD")
        && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case(IDEMPOTENCY_KEY))
    {
        headers.push((IDEMPOTENCY_KEY.to_owned(), key));
    }
    let place = shown(&url);
    let ask = Ask { method, url, headers, body, time_max: message.timeout.to_std() };
    let answer = net.ask(ask).await.map_err(|failed| failed.error)?;
    let takes_all = !is_notice && params.boolean("any-status")?;
    if !(200..300).contains(&answer.status) && !takes_all {
        return Err(refused(&place, &answer));
    }
    let mut outputs = Map::new();
    outputs.insert("status".to_owned(), json!(answer.status));
    if !is_notice {
        outputs.insert("headers".to_owned(), Value::Object(headers_seen(&answer)));
        outputs.insert("body".to_owned(), body_seen(workbench, message, answer).await?);
    }
    Ok(Succeeded { outputs, ..Succeeded::default() })
}

/// The same for every attempt of a step, and for no other step.
fn idempotency_key(message: &StepMessage) -> String {
    let of = format!("{}/{}@{}", message.run, message.path, message.generation);
    Sha256::of(of.as_bytes()).to_string().chars().take(KEY_DIGITS).collect()
}

/// Text is sent as it is, but for notices; anything else as JSON.
fn body_of(params: &Params<'_>, method: &str, is_notice: bool) -> Result<Option<(&'static str, Vec<u8>)>, StepError> {
    let Some(body) = params.given("body") else { return Ok(None) };
    if matches!(method, "GET" | "HEAD") {
        return Err(params.invalid("body", format_args!("is not sent with {method}")).advice("Set `method: POST`."));
    }
    Ok(Some(match body {
        Value::String(text) if !is_notice => ("text/plain; charset=utf-8", text.clone().into_bytes()),
        value => ("application/json", value.to_string().into_bytes()),
    }))
}

fn headers_of(params: &Params<'_>) -> Result<Vec<(String, String)>, StepError> {
    let Some(given) = params.given("headers") else { return Ok(Vec::new()) };
    let Value::Object(given) = given else {
        return Err(params.invalid("headers", "is no mapping of names to texts"));
    };
    let header = |(name, value): (&String, &Value)| match value {
        Value::String(text) => Ok(Some((name.clone(), text.clone()))),
        Value::Number(_) | Value::Bool(_) => Ok(Some((name.clone(), value.to_string()))),
        Value::Null => Ok(None),
        Value::Array(_) | Value::Object(_) => {
            Err(params.invalid("headers", format_args!("has a `{name}` that is no text")))
        }
    };
    given.iter().filter_map(|entry| header(entry).transpose()).collect()
}

/// The answer's headers, without what would let somebody else go on in our name.
fn headers_seen(answer: &Response) -> Map {
    let mut left = HEADER_BYTES_MAX;
    let mut seen = Map::new();
    for (name, value) in answer.headers.iter().filter(|(name, _)| !name.contains("cookie")) {
        left = left.saturating_sub(name.len() + value.len());
        if left == 0 {
            break;
        }
        let value = match seen.get(name).and_then(Value::as_str) {
            Some(before) => format!("{before}, {value}"),
            None => value.clone(),
        };
        seen.insert(name.clone(), Value::String(value));
    }
    seen
}

/// The answer's body: a value if it is JSON, text if it is text, else a file; a long one is a file as well.
async fn body_seen(workbench: &Arc<Workbench>, message: &StepMessage, answer: Response) -> Result<Value, StepError> {
    if answer.body.is_empty() {
        return Ok(Value::Null);
    }
    let declared = answer.header("content-type").unwrap_or_default().to_ascii_lowercase();
    let is_json = declared.split(';').next().is_some_and(|kind| kind.ends_with("/json") || kind.ends_with("+json"));
    if answer.body.len() <= INLINE_BYTES_MAX {
        if is_json {
            return serde_json::from_slice(&answer.body).map_err(|error| {
                StepError::new(ErrorClass::InvalidInput, format!("the answer says that it is JSON and is not: {error}"))
                    .code("bad_answer")
            });
        }
        if media_type(&answer.body).is_none_or(|kind| kind.starts_with("text/"))
            && let Ok(text) = std::str::from_utf8(&answer.body)
        {
            return Ok(Value::String(text.to_owned()));
        }
    }
    let kind = match media_type(&answer.body) {
        Some(kind) if !is_json => kind,
        _ if is_json => "application/json",
        _ => "application/octet-stream",
    };
    let (workbench, message) = (workbench.clone(), message.clone());
    let kept = tokio::task::spawn_blocking(move || workbench.keep_made(&message, answer.body, kind));
    let artifact = kept.await.map_err(|_| StepError::new(ErrorClass::WorkflowError, "the step was aborted"))??;
    Ok(artifact.to_value())
}

/// What a status of failure means. The keys that a workflow sends here are its own, so a refused one is for it to mend.
fn refused(place: &str, answer: &Response) -> StepError {
    let (class, advice) = match answer.status {
        408 | 504 => (ErrorClass::Timeout, ""),
        425 | 429 => (ErrorClass::RateLimit, ""),
        500..=599 => (ErrorClass::ServerUnavailable, ""),
        300..=399 => (ErrorClass::InvalidInput, "Redirects are not followed: give the URL that it leads to."),
        401 | 403 => (ErrorClass::InvalidInput, "Check the key that the step sends in its headers."),
        413 => (ErrorClass::TooLarge, "Send less, or a link to it."),
        _ => (
            ErrorClass::InvalidInput,
            "Correct the request; `any-status: true` takes every answer of an `http.request` as its outcome.",
        ),
    };
    let said = classify::excerpt(&classify::message_of(answer));
    let message = match said.is_empty() {
        true => format!("{place} answered {}", answer.status),
        false => format!("{place} answered {}: {said}", answer.status),
    };
    let mut error = StepError::new(class, message).code(format!("http_{}", answer.status)).advice(advice);
    if class == ErrorClass::RateLimit || class == ErrorClass::ServerUnavailable {
        error.retry_after = classify::retry_after(answer);
    }
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { status, headers, body: body.to_vec() }
    }

    #[test]
    fn a_status_says_whether_trying_again_can_help() {
        let cases = [
            (301, ErrorClass::InvalidInput),
            (400, ErrorClass::InvalidInput),
            (401, ErrorClass::InvalidInput),
            (404, ErrorClass::InvalidInput),
            (408, ErrorClass::Timeout),
            (413, ErrorClass::TooLarge),
            (429, ErrorClass::RateLimit),
            (500, ErrorClass::ServerUnavailable),
            (503, ErrorClass::ServerUnavailable),
            (504, ErrorClass::Timeout),
        ];
        for (status, class) in cases {
            let error = refused("https://example.com/", &answer(status, &[], b""));
            assert_eq!((error.class, error.code), (class, format!("http_{status}")), "{status}");
        }
    }

    #[test]
    fn a_wait_that_the_server_asks_for_is_kept() {
        let error = refused("https://example.com/", &answer(429, &[("retry-after", "7")], b"slow down"));
        assert_eq!(error.retry_after, Some(darkroom_proto::Duration::from_secs(7)));
        assert!(error.message.ends_with("answered 429: slow down"), "{}", error.message);
    }

    #[test]
    fn cookies_are_not_kept_and_repeated_headers_are_joined() {
        let seen = headers_seen(&answer(200, &[("set-cookie", "session=1"), ("via", "a"), ("via", "b")], b""));
        assert_eq!(Value::Object(seen), json!({"via": "a, b"}));
    }
}
