//! MiniMax: Hailuo films.
//!
//! `POST /v1/video_generation`, then `/v1/query/video_generation`, then `/v1/files/retrieve` for a link. Errors come with
//! status 200: what counts is `base_resp`. Source: the documentation of MiniMax; there is no official client for films.

use crate::adapter::{
    Access, Adapter, Ask, Disbelief, Failure, Incoming, News, Polled, Product, Submission, Submitted, Traits,
};
use crate::answer;
use crate::http::{Request, Response};
use crate::{classify, mapping};
use darkroom_proto::{ErrorClass, StepError};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// The adapter.
#[derive(Debug)]
pub(crate) struct MiniMax;

const NAME: &str = "minimax";
const HOST: &str = "https://api.minimax.io";

/// The stage that asks for the link of a film.
const FILE: &str = "file";

/// What `base_resp` says when it took too long: nobody knows what became of it.
const TIMED_OUT: i64 = 1_001;

impl Adapter for MiniMax {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: false,
            webhook: true,
            signed: false,
            cancels: false,
            looks_up: false,
            // Not documented as a number: a job too many is refused with 1041.
            at_once: 5,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.minimax.io", "api.minimaxi.com"]
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mut mapped = mapping::body(ask)?;
        mapped.body.entry("model").or_insert_with(|| ask.route.endpoint.as_str().into());
        if let Some(webhook) = ask.webhook {
            mapped.body.insert("callback_url".to_owned(), webhook.into());
        }
        let url = access.url(HOST, "/v1/video_generation");
        let request = keyed(access, Request::post(url, Value::Object(mapped.body)));
        Ok(Submission { request, ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        let body = response.json();
        match (code(&body), answer::id_in(&body, "task_id")) {
            (Some(0), Some(id)) => Submitted::Accepted(Value::Object(answer::handle(access, ask, id))),
            (Some(0) | None, _) => answer::unreadable(NAME),
            (Some(TIMED_OUT), _) => Submitted::Unclear(self.classify(response)),
            (Some(_), _) => Submitted::Refused(Failure::unbilled(self.classify(response))),
        }
    }

    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError> {
        let id = answer::id_of(NAME, handle)?;
        Ok(keyed(access, Request::get(access.url(HOST, &format!("/v1/query/video_generation?task_id={id}")))))
    }

    fn polled(&self, access: &Access, _handle: &Value, stage: &str, response: &Response) -> Polled {
        let body = response.json();
        if !response.is_success() {
            return Polled::Again(self.classify(response));
        }
        if stage == FILE {
            return self.film(response, &body);
        }
        match answer::text_in(&body, "status") {
            Some("Success") => {
                let Some(file) = answer::id_in(&body, "file_id") else {
                    return Polled::Failed(Failure::billed(classify::no_media(NAME, "")));
                };
                let url = access.url(HOST, &format!("/v1/files/retrieve?file_id={file}"));
                Polled::Next { request: keyed(access, Request::get(url)), stage: FILE }
            }
            Some("Fail") => {
                let class = code(&body).and_then(class_of).unwrap_or(ErrorClass::ServerUnavailable);
                Polled::Failed(answer::failed(NAME, class, &classify::message_of(response)))
            }
            // What the question came to is no news of the job, unless it is about the content.
            _ if code(&body).is_some_and(|code| code != 0) => match code(&body).and_then(class_of) {
                Some(class @ ErrorClass::ContentRejected) => {
                    Polled::Failed(answer::failed(NAME, class, &classify::message_of(response)))
                }
                _ => Polled::Again(self.classify(response)),
            },
            Some("Preparing" | "Queueing" | "Processing") => Polled::Pending { progress: None },
            Some(other) => answer::unknown_state(NAME, other, None),
            None => Polled::Again(classify::malformed(NAME, "the status can't be read")),
        }
    }

    fn webhook(&self, incoming: &Incoming<'_>) -> Result<News, Disbelief> {
        let body: Value = serde_json::from_slice(incoming.body).map_err(|_| Disbelief::Malformed)?;
        if let Some(challenge) = body.get("challenge") {
            return Ok(News::Challenge(json!({"challenge": challenge})));
        }
        let job = answer::id_in(&body, "task_id").ok_or(Disbelief::Malformed)?;
        Ok(match answer::text_in(&body, "status").map(str::to_lowercase).as_deref() {
            Some(state @ ("success" | "failed" | "fail")) => News::Ended { id: format!("{job}/{state}"), job },
            _ => News::Other,
        })
    }

    fn classify(&self, response: &Response) -> StepError {
        let body = response.json();
        let said = classify::message_of(response);
        let code = code(&body).filter(|code| *code != 0);
        let class = match code {
            // A parameter that is wrong; which one is told in words only.
            Some(2_013) if said.to_lowercase().contains("model") => Some(ErrorClass::ModelNotFound),
            Some(2_013) => classify::by_words(&said).filter(|class| *class == ErrorClass::TooLarge).or(class_of(2_013)),
            Some(code) => class_of(code).or(Some(ErrorClass::ServerUnavailable)),
            None => classify::by_words(&said),
        };
        let error = classify::error(NAME, response, class, &said);
        code.map_or(error.clone(), |code| error.code(code.to_string()))
    }
}

impl MiniMax {
    /// Reads the link of a film. Asking again gives a fresh one.
    fn film(&self, response: &Response, body: &Value) -> Polled {
        if code(body) != Some(0) {
            return Polled::Again(self.classify(response));
        }
        let url = body.pointer("/file/download_url").and_then(Value::as_str);
        let files = url.and_then(|url| answer::at("video", url)).into_iter().collect();
        match answer::made(NAME, Product { files, ..Product::default() }) {
            Ok(product) => Polled::Done(product),
            Err(failure) => Polled::Failed(failure),
        }
    }
}

fn code(body: &Value) -> Option<i64> {
    body.pointer("/base_resp/status_code").and_then(Value::as_i64)
}

/// The class that a code of `base_resp` means.
fn class_of(code: i64) -> Option<ErrorClass> {
    Some(match code {
        1_000 | 1_024 | 1_033 => ErrorClass::ServerUnavailable,
        TIMED_OUT => ErrorClass::Timeout,
        1_002 | 1_039 | 1_041 => ErrorClass::RateLimit,
        1_004 | 2_049 => ErrorClass::InvalidKey,
        1_008 => ErrorClass::QuotaExceeded,
        1_026 | 1_027 => ErrorClass::ContentRejected,
        1_042 | 2_013 => ErrorClass::InvalidInput,
        _ => return None,
    })
}

fn keyed(access: &Access, request: Request) -> Request {
    request.secret("authorization", format!("Bearer {}", access.key.expose_secret()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Source;
    use crate::sample::{Sample, answered, incoming, json_of, keyed_by, secret};

    fn film() -> Sample {
        let map =
            json!({"prompt": "prompt", "image": "first_frame_image:url", "duration": "duration:nearest(6|10):int"});
        let route = json!({"endpoint": "I2V-01", "map": map, "fixed": {"prompt_optimizer": true}});
        Sample::made("video.generate", route, json!({"prompt": "x"})).file("image", Some("https://h/a.png"))
    }

    fn said(code: i64, said: &str) -> Value {
        json!({"task_id": "", "base_resp": {"status_code": code, "status_msg": said}})
    }

    fn handle() -> Value {
        json!({"id": "106916112212032", "op": "video.generate", "at": 0})
    }

    #[test]
    fn a_submission_names_the_model_and_who_listens() {
        let sent = MiniMax.submit(&keyed_by("k"), &film().webhook("https://h/w").ask()).unwrap().request;
        assert_eq!(sent.url, "https://api.minimax.io/v1/video_generation");
        assert_eq!(secret(&sent, "authorization"), "Bearer k");
        let want = json!({"model": "I2V-01", "prompt": "x", "first_frame_image": "https://h/a.png", "prompt_optimizer": true,
                          "callback_url": "https://h/w"});
        assert_eq!(*json_of(&sent), want);
    }

    #[test]
    fn what_is_refused_with_status_200_is_refused() {
        use ErrorClass::{
            ContentRejected, InvalidInput, InvalidKey, ModelNotFound, QuotaExceeded, RateLimit, ServerUnavailable,
            TooLarge,
        };
        let cases = [
            (1_000, "unknown error", ServerUnavailable),
            (1_002, "rate limit", RateLimit),
            (1_004, "not authorized", InvalidKey),
            (1_008, "insufficient balance", QuotaExceeded),
            (1_024, "internal error", ServerUnavailable),
            (1_026, "input new_sensitive", ContentRejected),
            (1_027, "output new_sensitive", ContentRejected),
            (1_033, "system error", ServerUnavailable),
            (1_039, "token limit", RateLimit),
            (1_041, "conn limit", RateLimit),
            (1_042, "invisible character ratio limit", InvalidInput),
            (2_013, "invalid params, prompt", InvalidInput),
            (2_013, "invalid params, model not support", ModelNotFound),
            (2_013, "invalid params, image too large", TooLarge),
            (2_049, "invalid api key", InvalidKey),
            (9_999, "what is this", ServerUnavailable),
        ];
        for (code, text, class) in cases {
            let answer = answered(200, said(code, text));
            let Submitted::Refused(failure) = MiniMax.submitted(&keyed_by("k"), &film().ask(), &answer) else {
                panic!("{code} is a refusal");
            };
            assert_eq!((failure.error.class, failure.billed), (class, false), "{code} {text}");
            assert_eq!(failure.error.code, code.to_string());
            assert!(!failure.error.advice.is_empty(), "{code}");
        }
        let timed_out = MiniMax.submitted(&keyed_by("k"), &film().ask(), &answered(200, said(1_001, "timeout")));
        assert!(matches!(timed_out, Submitted::Unclear(error) if error.class == ErrorClass::Timeout));
        let odd = MiniMax.submitted(&keyed_by("k"), &film().ask(), &answered(200, said(0, "success")));
        assert!(matches!(odd, Submitted::Unclear(_)), "it was taken, and has no name");
    }

    #[test]
    fn a_film_is_found_in_two_questions() {
        let access = keyed_by("k");
        let taken = json!({"task_id": "106916112212032", "base_resp": {"status_code": 0, "status_msg": "success"}});
        let Submitted::Accepted(handle) = MiniMax.submitted(&access, &film().ask(), &answered(200, taken)) else {
            panic!("it was taken");
        };
        let first = MiniMax.poll(&access, &handle).unwrap();
        assert_eq!(first.url, "https://api.minimax.io/v1/query/video_generation?task_id=106916112212032");
        for state in ["Preparing", "Queueing", "Processing", "Dreaming"] {
            let answer = answered(200, json!({"status": state, "base_resp": {"status_code": 0}}));
            assert!(matches!(MiniMax.polled(&access, &handle, "", &answer), Polled::Pending { .. }), "{state}");
        }
        let success = json!({"task_id": "1", "status": "Success", "file_id": "205258526306433", "video_width": 1280,
                             "base_resp": {"status_code": 0, "status_msg": "success"}});
        let Polled::Next { request, stage } = MiniMax.polled(&access, &handle, "", &answered(200, success)) else {
            panic!("the link is still to be asked for");
        };
        assert_eq!(request.url, "https://api.minimax.io/v1/files/retrieve?file_id=205258526306433");
        let file = json!({"file": {"file_id": 205258526306433_i64, "download_url": "https://cdn.example/a.mp4"},
                          "base_resp": {"status_code": 0, "status_msg": "success"}});
        let Polled::Done(product) = MiniMax.polled(&access, &handle, stage, &answered(200, file)) else {
            panic!("it is done");
        };
        let url = "https://cdn.example/a.mp4";
        assert!(matches!(&product.files[0].source, Source::Url { url: found, with_key: false } if found == url));
    }

    #[test]
    fn a_question_that_fails_is_no_failure_of_the_job() {
        let access = keyed_by("k");
        let busy = answered(200, said(1_002, "rate limit"));
        for stage in ["", FILE] {
            let again = MiniMax.polled(&access, &handle(), stage, &busy);
            assert!(matches!(again, Polled::Again(error) if error.class == ErrorClass::RateLimit), "{stage}");
        }
        assert!(matches!(MiniMax.polled(&access, &handle(), "", &answered(500, json!({}))), Polled::Again(_)));
        assert!(MiniMax.poll(&access, &json!({"id": "1&x=2"})).is_err());
    }

    #[test]
    fn a_job_that_failed_is_classed_by_its_code() {
        let access = keyed_by("k");
        let fail = |code| json!({"status": "Fail", "base_resp": {"status_code": code, "status_msg": "no"}});
        let cases = [
            ("", fail(1_027), ErrorClass::ContentRejected, true),
            ("", said(1_026, "new_sensitive"), ErrorClass::ContentRejected, true),
            ("", fail(0), ErrorClass::ServerUnavailable, false),
            ("", json!({"status": "Success", "base_resp": {"status_code": 0}}), ErrorClass::ServerUnavailable, true),
            (FILE, json!({"file": {}, "base_resp": {"status_code": 0}}), ErrorClass::ServerUnavailable, true),
        ];
        for (stage, answer, class, billed) in cases {
            let Polled::Failed(failure) = MiniMax.polled(&access, &handle(), stage, &answered(200, answer.clone()))
            else {
                panic!("{answer} is a failure");
            };
            assert_eq!((failure.error.class, failure.billed), (class, billed), "{answer}");
        }
    }

    #[test]
    fn a_challenge_is_given_back_and_news_only_hint() {
        let cases = [
            (json!({"challenge": "c"}), Ok(News::Challenge(json!({"challenge": "c"})))),
            (json!({"task_id": "1", "status": "processing"}), Ok(News::Other)),
            (
                json!({"task_id": "1", "status": "success", "file_id": "2"}),
                Ok(News::Ended { job: "1".to_owned(), id: "1/success".to_owned() }),
            ),
            (json!({"status": "success"}), Err(Disbelief::Malformed)),
        ];
        for (body, want) in cases {
            assert_eq!(MiniMax.webhook(&incoming(body.to_string().as_bytes())), want, "{body}");
        }
    }
}
