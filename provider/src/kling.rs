//! Kling: films, at Kuaishou itself.
//!
//! Keys are `ACCESS:SECRET`; each request is signed with them anew. A job carries our id of the call, by which it can be
//! found again. Source: the documentation of Kling and what its users report; which class a code is, is ours.

use crate::adapter::{
    Access, Adapter, Ask, Disbelief, Failure, Found, Incoming, News, Polled, Product, Submission, Submitted, Traits,
};
use crate::answer;
use crate::http::{Request, Response, is_id};
use crate::{classify, mapping, sign};
use darkroom_proto::model::Route;
use darkroom_proto::{CallId, ErrorClass, Map, StepError, Timestamp};
use secrecy::ExposeSecret;
use serde_json::{Value, json};

/// The adapter. The endpoint of a route is `videos/text2video` or `videos/image2video`; the model is in what it always sends.
#[derive(Debug)]
pub(crate) struct Kling;

const NAME: &str = "kling";
const HOST: &str = "https://api-singapore.klingai.com";

/// How long a signature holds, and from how long ago, in seconds: clocks differ.
const SIGNED_FOR: (u64, u64) = (1_800, 5);

impl Adapter for Kling {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: false,
            webhook: true,
            signed: false,
            cancels: false,
            looks_up: true,
            // What an account may do depends on what it bought; a job too many is refused with 1303.
            at_once: 5,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["klingai.com"]
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mut mapped = mapping::body(ask)?;
        mapped.body.insert("external_task_id".to_owned(), ask.call.as_str().into());
        if let Some(webhook) = ask.webhook {
            mapped.body.insert("callback_url".to_owned(), webhook.into());
        }
        let url = access.url(HOST, &format!("/v1/{}", ask.route.endpoint));
        let request = keyed(access, Request::post(url, Value::Object(mapped.body)));
        Ok(Submission { request, ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        let body = response.json();
        match (code(&body), job(&body)) {
            (Some(0), Some(id)) if response.is_success() => {
                let mut handle = answer::handle(access, ask, id);
                handle.insert("kind".to_owned(), ask.route.endpoint.as_str().into());
                Submitted::Accepted(Value::Object(handle))
            }
            (Some(0) | None, _) if response.is_success() => answer::unreadable(NAME),
            // It took too long: whether the job is there can be looked up.
            (Some(5_002), _) => Submitted::Unclear(self.classify(response)),
            // The same id of a job again: somebody handed it in before.
            (Some(_), _) if classify::message_of(response).contains("external_task_id") => {
                Submitted::Unclear(self.classify(response))
            }
            (Some(_), _) if response.is_success() => Submitted::Refused(Failure::unbilled(self.classify(response))),
            _ => answer::refused(self, response),
        }
    }

    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError> {
        let kind = answer::text_in(handle, "kind").filter(|kind| kind.split('/').all(is_id));
        let (Some(kind), Some(id)) = (kind, answer::id_in(handle, "id")) else {
            return Err(classify::bad_handle(NAME));
        };
        Ok(keyed(access, Request::get(access.url(HOST, &format!("/v1/{kind}/{id}")))))
    }

    fn polled(&self, _access: &Access, _handle: &Value, _stage: &str, response: &Response) -> Polled {
        let body = response.json();
        if !response.is_success() || code(&body) != Some(0) {
            return Polled::Again(self.classify(response));
        }
        let state = body.pointer("/data/task_status").and_then(Value::as_str);
        match state {
            Some("submitted" | "processing") => Polled::Pending { progress: None },
            Some("succeed") => {
                let videos = body.pointer("/data/task_result/videos").and_then(Value::as_array);
                let url =
                    |video: &Value| video.get("url").and_then(Value::as_str).and_then(|url| answer::at("video", url));
                let files = videos.into_iter().flatten().filter_map(url).take(1).collect();
                match answer::made(NAME, Product { files, ..Product::default() }) {
                    Ok(product) => Polled::Done(product),
                    Err(failure) => Polled::Failed(failure),
                }
            }
            Some("failed") => {
                let said = body.pointer("/data/task_status_msg").and_then(Value::as_str).unwrap_or_default();
                let class = classify::by_words(said).unwrap_or(ErrorClass::ServerUnavailable);
                Polled::Failed(answer::failed(NAME, class, said))
            }
            Some(other) => answer::unknown_state(NAME, other, None),
            None => Polled::Again(classify::malformed(NAME, "the status can't be read")),
        }
    }

    fn look_up(&self, access: &Access, call: &CallId, route: &Route, _at: Timestamp) -> Option<Request> {
        Some(keyed(access, Request::get(access.url(HOST, &format!("/v1/{}/{call}", route.endpoint)))))
    }

    fn looked_up(&self, access: &Access, call: &CallId, route: &Route, response: &Response) -> Found {
        let body = response.json();
        match (code(&body), job(&body)) {
            (Some(0), Some(id)) if response.is_success() => {
                let named = body.pointer("/data/task_info/external_task_id").and_then(Value::as_str);
                if named.is_some_and(|named| named != call.as_str()) {
                    return Found::Unclear;
                }
                Found::Job(Value::Object(Map::from_iter([
                    ("id".to_owned(), id.into()),
                    ("op".to_owned(), "video.generate".into()),
                    ("at".to_owned(), access.now.0.into()),
                    ("kind".to_owned(), route.endpoint.as_str().into()),
                ])))
            }
            // Kling says so itself; a 404 of something on the way says nothing.
            (Some(1_203), _) => Found::Nothing,
            (Some(code), _) if response.status == 404 && code != 0 => Found::Nothing,
            _ => Found::Unclear,
        }
    }

    fn webhook(&self, incoming: &Incoming<'_>) -> Result<News, Disbelief> {
        let body: Value = serde_json::from_slice(incoming.body).map_err(|_| Disbelief::Malformed)?;
        let data = body.get("data").unwrap_or(&body);
        let job = answer::id_in(data, "task_id").ok_or(Disbelief::Malformed)?;
        Ok(match answer::text_in(data, "task_status") {
            Some(state @ ("succeed" | "failed")) => News::Ended { id: format!("{job}/{state}"), job },
            _ => News::Other,
        })
    }

    fn classify(&self, response: &Response) -> StepError {
        let body = response.json();
        let said = classify::message_of(response);
        let code = code(&body).filter(|code| *code != 0);
        let class = match code {
            Some(1_201) => classify::by_words(&said).filter(|class| *class == ErrorClass::TooLarge).or(class_of(1_201)),
            Some(code) => class_of(code),
            None => classify::by_words(&said),
        };
        let error = classify::error(NAME, response, class, &said);
        code.map_or(error.clone(), |code| error.code(code.to_string()))
    }
}

fn code(body: &Value) -> Option<i64> {
    body.get("code").and_then(Value::as_i64)
}

fn job(body: &Value) -> Option<String> {
    answer::id_in(body.get("data")?, "task_id")
}

fn class_of(code: i64) -> Option<ErrorClass> {
    Some(match code {
        1_101 | 1_102 => ErrorClass::QuotaExceeded,
        // Not signed, signed wrongly, too early or too late; an account or an address that may not.
        1_000..=1_004 | 1_100 | 1_103 | 1_304 => ErrorClass::InvalidKey,
        1_200 | 1_201 => ErrorClass::InvalidInput,
        1_202 | 1_203 => ErrorClass::ModelNotFound,
        1_300 | 1_301 => ErrorClass::ContentRejected,
        1_302 | 1_303 => ErrorClass::RateLimit,
        5_000 | 5_001 => ErrorClass::ServerUnavailable,
        5_002 => ErrorClass::Timeout,
        _ => return None,
    })
}

fn keyed(access: &Access, request: Request) -> Request {
    let key = access.key.expose_secret();
    // A key of one piece is what a server in between takes as it is.
    let token = match key.split_once(':') {
        Some((access_key, secret)) => signed(access_key, secret, access.now),
        None => key.to_owned(),
    };
    request.secret("authorization", format!("Bearer {token}"))
}

/// A JSON web token (HS256) of this moment.
fn signed(access_key: &str, secret: &str, now: Timestamp) -> String {
    let now = now.0 / 1_000;
    let (held, early) = SIGNED_FOR;
    let header = sign::base64_url(br#"{"alg":"HS256","typ":"JWT"}"#);
    // By hand: the order of the claims is the documentation's.
    let claims = format!(r#"{{"iss":{},"exp":{},"nbf":{}}}"#, json!(access_key), now + held, now.saturating_sub(early));
    let message = format!("{header}.{}", sign::base64_url(claims.as_bytes()));
    let signature = sign::base64_url(&sign::hmac_sha256(secret.as_bytes(), message.as_bytes()));
    format!("{message}.{signature}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Source;
    use crate::sample::{Sample, answered, incoming, json_of, keyed_by, secret};

    fn film() -> Sample {
        let map = json!({"prompt": "prompt", "negative-prompt": "negative_prompt", "image": "image:base64",
                         "duration": "duration:nearest(5|10)"});
        let fixed = json!({"model_name": "kling-v1-6", "mode": "std"});
        let route = json!({"endpoint": "videos/image2video", "map": map, "fixed": fixed});
        Sample::made("video.generate", route, json!({"prompt": "x", "duration": "5s"}))
            .file("image", Some("https://h/a.png"))
    }

    fn job_in(state: &str, more: Value) -> Value {
        let mut data = json!({"task_id": "T1", "task_status": state, "created_at": 1722769557708_i64});
        data.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"code": 0, "message": "SUCCEED", "request_id": "r", "data": data})
    }

    #[test]
    fn the_token_is_that_of_the_documentation() {
        let key = format!("AK:{}", "SK".repeat(16));
        let sent = Kling.submit(&keyed_by(&key), &film().ask()).unwrap().request;
        assert_eq!(
            secret(&sent, "authorization"),
            "Bearer eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJpc3MiOiJBSyIsImV4cCI6MTcwMDAwMTgwMCwibmJmIjoxNjk5OTk5OTk1fQ.8849R0vxKQbLDWjIi-MFI9fctJt4S6hIsvxM7TvzJb0"
        );
        assert!(!format!("{sent:?}").contains("SKSK"));
    }

    #[test]
    fn a_submission_carries_our_id_and_a_bare_picture() {
        let sample = film().webhook("https://h/w");
        let sent = Kling.submit(&keyed_by("AK:SK"), &sample.ask()).unwrap().request;
        assert_eq!(sent.url, "https://api-singapore.klingai.com/v1/videos/image2video");
        let want = json!({"model_name": "kling-v1-6", "mode": "std", "prompt": "x", "duration": "5", "image": "cG5n",
                          "callback_url": "https://h/w", "external_task_id": sample.call.as_str()});
        assert_eq!(*json_of(&sent), want);
    }

    #[test]
    fn a_job_is_followed_to_its_film() {
        let access = keyed_by("AK:SK");
        let taken = answered(200, job_in("submitted", json!({"task_info": {"external_task_id": "c"}})));
        let Submitted::Accepted(handle) = Kling.submitted(&access, &film().ask(), &taken) else {
            panic!("it was taken")
        };
        let poll = Kling.poll(&access, &handle).unwrap();
        assert_eq!(poll.url, "https://api-singapore.klingai.com/v1/videos/image2video/T1");
        for state in ["submitted", "processing", "queued"] {
            let pending = answered(200, job_in(state, json!({})));
            assert!(matches!(Kling.polled(&access, &handle, "", &pending), Polled::Pending { .. }), "{state}");
        }
        let videos =
            json!({"task_result": {"videos": [{"id": "v", "url": "https://cdn.example/a.mp4", "duration": "5"}]}});
        let Polled::Done(product) = Kling.polled(&access, &handle, "", &answered(200, job_in("succeed", videos)))
        else {
            panic!("it is done");
        };
        let url = "https://cdn.example/a.mp4";
        assert!(matches!(&product.files[0].source, Source::Url { url: found, with_key: false } if found == url));
    }

    #[test]
    fn refusals_are_classed_by_code_before_status() {
        use ErrorClass::{
            ContentRejected, InvalidInput, InvalidKey, ModelNotFound, QuotaExceeded, RateLimit, ServerUnavailable,
            TooLarge,
        };
        let cases = [
            (401, 1_000, "auth failed", InvalidKey),
            (401, 1_003, "not yet valid", InvalidKey),
            (401, 1_004, "expired", InvalidKey),
            (429, 1_100, "account abnormal", InvalidKey),
            (429, 1_101, "arrears", QuotaExceeded),
            (429, 1_102, "resource pack depleted", QuotaExceeded),
            (403, 1_103, "no access", InvalidKey),
            (400, 1_200, "bad", InvalidInput),
            (400, 1_201, "bad duration", InvalidInput),
            (400, 1_201, "image file is too large", TooLarge),
            (404, 1_202, "no such method", ModelNotFound),
            (404, 1_203, "no such model", ModelNotFound),
            (400, 1_301, "risk control", ContentRejected),
            (429, 1_302, "too fast", RateLimit),
            (429, 1_303, "parallel task over resource pack limit", RateLimit),
            (429, 1_304, "address is not in the list", InvalidKey),
            (500, 5_000, "oops", ServerUnavailable),
            (503, 5_001, "maintenance", ServerUnavailable),
            (200, 1_302, "too fast", RateLimit),
        ];
        for (status, code, said, class) in cases {
            let answer = answered(status, json!({"code": code, "message": said, "request_id": "r"}));
            let Submitted::Refused(failure) = Kling.submitted(&keyed_by("AK:SK"), &film().ask(), &answer) else {
                panic!("{code} is a refusal");
            };
            assert_eq!((failure.error.class, failure.billed), (class, false), "{status} {code} {said}");
        }
        for (status, code, said) in [(504, 5_002, "timeout"), (400, 1_201, "external_task_id exists already")] {
            let answer = answered(status, json!({"code": code, "message": said}));
            let submitted = Kling.submitted(&keyed_by("AK:SK"), &film().ask(), &answer);
            assert!(matches!(submitted, Submitted::Unclear(_)), "{code}");
        }
    }

    #[test]
    fn a_job_that_failed_is_classed_by_its_message() {
        let handle = json!({"id": "T1", "kind": "videos/text2video"});
        let cases = [
            (
                job_in("failed", json!({"task_status_msg": "Failure to pass the risk control system"})),
                ErrorClass::ContentRejected,
                true,
            ),
            (job_in("failed", json!({"task_status_msg": "out of workers"})), ErrorClass::ServerUnavailable, false),
            (job_in("succeed", json!({"task_result": {"videos": []}})), ErrorClass::ServerUnavailable, true),
        ];
        for (answer, class, billed) in cases {
            let Polled::Failed(failure) = Kling.polled(&keyed_by("AK:SK"), &handle, "", &answered(200, answer.clone()))
            else {
                panic!("{answer} is a failure");
            };
            assert_eq!((failure.error.class, failure.billed), (class, billed), "{answer}");
        }
        let expired = answered(401, json!({"code": 1_004, "message": "expired"}));
        assert!(matches!(Kling.polled(&keyed_by("AK:SK"), &handle, "", &expired), Polled::Again(_)));
        assert!(Kling.poll(&keyed_by("AK:SK"), &json!({"id": "T1", "kind": "../x"})).is_err());
    }

    #[test]
    fn a_call_is_found_by_our_id() {
        let (access, sample) = (keyed_by("AK:SK"), film());
        let asked = Kling.look_up(&access, &sample.call, &sample.route, access.now).unwrap();
        let want = format!("https://api-singapore.klingai.com/v1/videos/image2video/{}", sample.call);
        assert_eq!(asked.url, want);
        let look = |status, body| Kling.looked_up(&access, &sample.call, &sample.route, &answered(status, body));

        let named = |id: &str| job_in("processing", json!({"task_info": {"external_task_id": id}}));
        let Found::Job(handle) = look(200, named(sample.call.as_str())) else { panic!("it is there") };
        assert!(Kling.poll(&access, &handle).unwrap().url.ends_with("/image2video/T1"));
        assert!(matches!(look(200, named("another")), Found::Unclear));
        assert!(matches!(look(404, json!({"code": 1_203, "message": "not found"})), Found::Nothing));
        assert!(matches!(look(404, Value::Null), Found::Unclear), "somebody on the way");
        assert!(matches!(look(503, json!({"code": 5_001})), Found::Unclear));
    }

    #[test]
    fn a_webhook_says_only_that_somebody_should_ask() {
        let body = json!({"task_id": "T1", "task_status": "succeed", "task_result": {}}).to_string();
        let ended = News::Ended { job: "T1".to_owned(), id: "T1/succeed".to_owned() };
        assert_eq!(Kling.webhook(&incoming(body.as_bytes())), Ok(ended));
        let body = json!({"task_id": "T1", "task_status": "processing"}).to_string();
        assert_eq!(Kling.webhook(&incoming(body.as_bytes())), Ok(News::Other));
    }
}
