//! Runway: films and pictures as tasks.
//!
//! `POST api.dev.runwayml.com/v1/<endpoint>`, then `/v1/tasks/<id>`. A task that is THROTTLED waits for others of the
//! account; that is no error. Source: the clients runwayml (Python and JavaScript) and the documentation of Runway.

use crate::adapter::{Access, Adapter, Ask, Failure, File, Polled, Product, Submission, Submitted, Traits};
use crate::answer;
use crate::http::{Method, Request, Response};
use crate::{classify, mapping};
use darkroom_proto::{ErrorClass, StepError};
use secrecy::ExposeSecret;
use serde_json::Value;

/// The adapter. The endpoint of a route is the last part of its path; the model is in what the route always sends.
#[derive(Debug)]
pub(crate) struct Runway;

const NAME: &str = "runway";
const HOST: &str = "https://api.dev.runwayml.com";

/// The version of the wire format.
const VERSION: &str = "2024-11-06";

/// How long a file may be that goes as a data URI: 5 MB of text.
const INLINE_BYTES_MAX: usize = 3_700_000;

impl Adapter for Runway {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: false,
            webhook: false,
            signed: false,
            cancels: true,
            looks_up: false,
            // What is over the account's limit is throttled, not refused.
            // It keeps what is over the limit of a key in line (THROTTLED), so nobody has to wait here.
            at_once: u32::MAX,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.dev.runwayml.com"]
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        if let Some(file) = ask.files.iter().find(|file| file.url.is_none() && file.bytes.len() > INLINE_BYTES_MAX) {
            return Err(too_large(file));
        }
        let mapped = mapping::body(ask)?;
        let url = access.url(HOST, &format!("/v1/{}", ask.route.endpoint));
        let request = keyed(access, Request::post(url, Value::Object(mapped.body)));
        Ok(Submission { request, ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        match answer::id_in(&response.json(), "id") {
            Some(id) => Submitted::Accepted(Value::Object(answer::handle(access, ask, id))),
            None => answer::unreadable(NAME),
        }
    }

    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError> {
        let id = answer::id_of(NAME, handle)?;
        Ok(keyed(access, Request::get(access.url(HOST, &format!("/v1/tasks/{id}")))))
    }

    fn polled(&self, access: &Access, handle: &Value, _stage: &str, response: &Response) -> Polled {
        let body = response.json();
        // A task that was cancelled before it began is deleted.
        if response.status == 404 && body.is_object() && !answer::is_new(access, handle) {
            return Polled::Failed(answer::gone(NAME));
        }
        if !response.is_success() {
            return Polled::Again(self.classify(response));
        }
        let progress = body.get("progress").and_then(Value::as_f64);
        match answer::text_in(&body, "status") {
            Some("PENDING" | "THROTTLED") => Polled::Pending { progress: None },
            Some("RUNNING") => Polled::Pending { progress },
            Some("SUCCEEDED") => {
                let output = answer::output_of(answer::text_in(handle, "op").unwrap_or_default());
                let urls = body.get("output").map(answer::urls).unwrap_or_default();
                let files = urls.into_iter().filter_map(|url| answer::at(output, url)).take(1).collect();
                match answer::made(NAME, Product { files, ..Product::default() }) {
                    Ok(product) => Polled::Done(product),
                    Err(failure) => Polled::Failed(failure),
                }
            }
            Some("FAILED") => Polled::Failed(failure(&body)),
            // Nothing says that a task which was cancelled is not charged.
            Some("CANCELLED") => {
                Polled::Failed(Failure::billed(classify::failed(NAME, ErrorClass::Cancelled, "the task was cancelled")))
            }
            Some(other) => answer::unknown_state(NAME, other, progress),
            None => Polled::Again(classify::malformed(NAME, "the status can't be read")),
        }
    }

    fn cancel(&self, access: &Access, handle: &Value) -> Option<Request> {
        let id = answer::id_of(NAME, handle).ok()?;
        Some(keyed(access, Request::new(Method::Delete, access.url(HOST, &format!("/v1/tasks/{id}")))))
    }

    // `cancelled` stays false: what a cancelled task costs is not documented.

    fn classify(&self, response: &Response) -> StepError {
        let said = classify::message_of(response);
        let lower = said.to_lowercase();
        let class = match response.status {
            400 | 402 | 403 if lower.contains("credit") => Some(ErrorClass::QuotaExceeded),
            429 if lower.contains("daily") => Some(ErrorClass::QuotaExceeded),
            _ => classify::by_words(&said),
        };
        classify::error(NAME, response, class, &said)
    }
}

/// What became of a task that failed, by its code.
fn failure(body: &Value) -> Failure {
    let code = answer::text_in(body, "failureCode").unwrap_or_default();
    let said = answer::text_in(body, "failure").unwrap_or(code);
    let class = if code.starts_with("SAFETY") || code.contains(".SAFETY") {
        ErrorClass::ContentRejected
    } else if code.starts_with("ASSET") || code.starts_with("INPUT_PREPROCESSING") {
        ErrorClass::InvalidInput
    } else {
        // INTERNAL, INTERNAL.BAD_OUTPUT.*, THIRD_PARTY* and what is not known.
        ErrorClass::ServerUnavailable
    };
    let failure = answer::failed(NAME, class, said);
    if code.is_empty() { failure } else { Failure { error: failure.error.code(code), ..failure } }
}

fn too_large(file: &File) -> StepError {
    StepError::new(
        ErrorClass::TooLarge,
        format!("`{}` is {} bytes, and runway takes {INLINE_BYTES_MAX}", file.param, file.bytes.len()),
    )
    .advice("Make it smaller first, with `image.resize` or `image.encode`.")
}

fn keyed(access: &Access, request: Request) -> Request {
    request
        .header("x-runway-version", VERSION)
        .secret("authorization", format!("Bearer {}", access.key.expose_secret()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Source;
    use crate::sample::{Sample, answered, json_of, keyed_by, later, secret};
    use serde_json::json;

    fn film() -> Sample {
        let map = json!({"prompt": "promptText", "image": "promptImage:url", "duration": "duration:nearest(5|10):int",
                         "aspect": "ratio:nearest(1280:720|720:1280|960:960)", "seed": "seed"});
        let route = json!({"endpoint": "image_to_video", "map": map, "fixed": {"model": "gen4_turbo"}});
        Sample::made("video.generate", route, json!({"prompt": "x", "duration": "5s", "aspect": "16:9"}))
    }

    fn handle() -> Value {
        json!({"id": "17f20503", "op": "video.generate", "at": 0})
    }

    #[test]
    fn a_submission_is_what_the_official_client_sends() {
        let sent = Runway.submit(&keyed_by("k"), &film().file("image", Some("https://x/y.png")).ask()).unwrap().request;
        assert_eq!(sent.url, "https://api.dev.runwayml.com/v1/image_to_video");
        assert_eq!(secret(&sent, "authorization"), "Bearer k");
        assert_eq!(sent.headers, [("x-runway-version", "2024-11-06".to_owned())]);
        let want = json!({"duration": 5, "model": "gen4_turbo", "promptImage": "https://x/y.png", "promptText": "x",
                          "ratio": "1280:720"});
        assert_eq!(*json_of(&sent), want);
    }

    #[test]
    fn a_picture_without_a_url_goes_along_unless_it_is_large() {
        let sent = Runway.submit(&keyed_by("k"), &film().file("image", None).ask()).unwrap().request;
        assert_eq!(json_of(&sent)["promptImage"], "data:image/png;base64,cG5n");
        let sample = film().file("image", None);
        let mut files = sample.ask().files.to_vec();
        files[0].bytes = vec![0; INLINE_BYTES_MAX + 1].into();
        let refused = Runway.submit(&keyed_by("k"), &Ask { files: &files, ..sample.ask() }).unwrap_err();
        assert_eq!(refused.class, ErrorClass::TooLarge);
    }

    #[test]
    fn a_task_is_followed_to_its_film() {
        let access = keyed_by("k");
        let Submitted::Accepted(handle) =
            Runway.submitted(&access, &film().ask(), &answered(200, json!({"id": "t-1"})))
        else {
            panic!("it was taken");
        };
        assert_eq!(Runway.poll(&access, &handle).unwrap().url, "https://api.dev.runwayml.com/v1/tasks/t-1");
        let cases = [("PENDING", None), ("THROTTLED", None), ("RUNNING", Some(0.4)), ("REHEARSING", Some(0.4))];
        for (state, want) in cases {
            let answer = answered(200, json!({"id": "t-1", "status": state, "progress": 0.4}));
            let polled = Runway.polled(&access, &handle, "", &answer);
            assert!(matches!(polled, Polled::Pending { progress } if progress == want), "{state}");
        }
        let done = json!({"id": "t-1", "status": "SUCCEEDED", "output": ["https://dnznrvs05pmza.cloudfront.net/a.mp4?_jwt=x"]});
        let Polled::Done(product) = Runway.polled(&access, &handle, "", &answered(200, done)) else {
            panic!("it is done");
        };
        assert_eq!(product.files[0].output, "video");
        assert!(matches!(&product.files[0].source, Source::Url { with_key: false, .. }));
    }

    #[test]
    fn a_task_that_failed_is_classed_by_its_code() {
        use ErrorClass::{Cancelled, ContentRejected, InvalidInput, ServerUnavailable};
        let failed = |code: &str| json!({"status": "FAILED", "failure": "no", "failureCode": code});
        let cases = [
            (failed("SAFETY.INPUT.TEXT"), ContentRejected, true),
            (failed("SAFETY.OUTPUT.IMAGE"), ContentRejected, true),
            (failed("INPUT_PREPROCESSING.SAFETY.TEXT"), ContentRejected, true),
            (failed("INPUT_PREPROCESSING.INTERNAL"), InvalidInput, false),
            (failed("ASSET.INVALID"), InvalidInput, false),
            (failed("INTERNAL"), ServerUnavailable, false),
            (failed("INTERNAL.BAD_OUTPUT.CODE01"), ServerUnavailable, false),
            (failed("THIRD_PARTY.UNAVAILABLE"), ServerUnavailable, false),
            (json!({"status": "FAILED"}), ServerUnavailable, false),
            (json!({"status": "CANCELLED"}), Cancelled, true),
            (json!({"status": "SUCCEEDED", "output": []}), ServerUnavailable, true),
        ];
        for (answer, class, billed) in cases {
            let Polled::Failed(failure) = Runway.polled(&keyed_by("k"), &handle(), "", &answered(200, answer.clone()))
            else {
                panic!("{answer} is a failure");
            };
            assert_eq!((failure.error.class, failure.billed), (class, billed), "{answer}");
        }
    }

    #[test]
    fn a_task_is_gone_only_when_runway_says_so_and_it_is_not_new() {
        let access = keyed_by("k");
        let handle = json!({"id": "t", "op": "video.generate", "at": access.now.0});
        let missing = answered(404, json!({"error": "Task not found"}));
        assert!(matches!(Runway.polled(&access, &handle, "", &missing), Polled::Again(_)), "it is new");
        let late = later(&access, 60);
        let gone = Runway.polled(&late, &handle, "", &missing);
        assert!(matches!(gone, Polled::Failed(failure) if failure.billed && failure.error.code == "job_gone"));
        let page = Response { status: 404, headers: Vec::new(), body: b"<html>".to_vec() };
        assert!(matches!(Runway.polled(&late, &handle, "", &page), Polled::Again(_)), "somebody on the way");
    }

    #[test]
    fn refusals_are_classed_by_what_they_say() {
        use ErrorClass::{InvalidInput, InvalidKey, ModelNotFound, QuotaExceeded, RateLimit, ServerUnavailable};
        let cases = [
            (400, "Validation of body failed", InvalidInput),
            (400, "You do not have enough credits to run this task.", QuotaExceeded),
            (401, "Unauthorized", InvalidKey),
            (404, "Not found", ModelNotFound),
            (429, "Too many requests", RateLimit),
            (429, "You have reached the daily limit of tasks", QuotaExceeded),
            (503, "Service unavailable", ServerUnavailable),
        ];
        for (status, said, class) in cases {
            let answer = answered(status, json!({"error": said}));
            let Submitted::Refused(failure) = Runway.submitted(&keyed_by("k"), &film().ask(), &answer) else {
                panic!("{said} is a refusal");
            };
            assert_eq!((failure.error.class, failure.billed), (class, false), "{status} {said}");
        }
    }

    #[test]
    fn a_cancelled_task_is_deleted_and_still_followed() {
        let cancel = Runway.cancel(&keyed_by("k"), &handle()).unwrap();
        assert_eq!(
            (cancel.method, cancel.url.as_str()),
            (Method::Delete, "https://api.dev.runwayml.com/v1/tasks/17f20503")
        );
        assert!(!Runway.cancelled(&answered(204, Value::Null)));
        assert!(Runway.cancel(&keyed_by("k"), &json!({"id": "a/b"})).is_none());
    }
}
