//! Luma: films of Dream Machine.
//!
//! `POST api.lumalabs.ai/dream-machine/v1/<endpoint>`, then `/generations/<id>`. Pictures are taken by URL only. Source: the
//! clients lumaai (Python and JavaScript) and the documentation of Luma.

use crate::adapter::{Access, Adapter, Ask, Disbelief, Incoming, News, Polled, Product, Submission, Submitted, Traits};
use crate::answer;
use crate::http::{Request, Response};
use crate::{classify, mapping};
use darkroom_proto::{ErrorClass, StepError};
use secrecy::ExposeSecret;
use serde_json::Value;

/// The adapter. The endpoint of a route is `generations/video` or `generations/image`; the model is in what it always sends.
#[derive(Debug)]
pub(crate) struct Luma;

const NAME: &str = "luma";
const HOST: &str = "https://api.lumalabs.ai";

/// Where the API is; the official clients have it in their base URL.
const ROOT: &str = "/dream-machine/v1";

impl Adapter for Luma {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: false,
            webhook: true,
            signed: false,
            // Deleting a generation is not said to stop it.
            cancels: false,
            looks_up: false,
            at_once: 10,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.lumalabs.ai"]
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let is_public = |url: &Option<String>| url.as_deref().is_some_and(|url| url.starts_with("https://"));
        if let Some(file) = ask.files.iter().find(|file| !is_public(&file.url)) {
            return Err(needs_public_url(&file.param));
        }
        let mut mapped = mapping::body(ask)?;
        if let Some(webhook) = ask.webhook {
            mapped.body.insert("callback_url".to_owned(), webhook.into());
        }
        let url = place(access, &format!("/{}", ask.route.endpoint));
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
        Ok(keyed(access, Request::get(place(access, &format!("/generations/{id}")))))
    }

    fn polled(&self, _access: &Access, handle: &Value, _stage: &str, response: &Response) -> Polled {
        let body = response.json();
        if !response.is_success() {
            return Polled::Again(self.classify(response));
        }
        match answer::text_in(&body, "state") {
            Some("queued" | "dreaming") => Polled::Pending { progress: None },
            Some("completed") => {
                let output = answer::output_of(answer::text_in(handle, "op").unwrap_or_default());
                let url = body.pointer(&format!("/assets/{output}")).and_then(Value::as_str);
                let files = url.and_then(|url| answer::at(output, url)).into_iter().collect();
                match answer::made(NAME, Product { files, ..Product::default() }) {
                    Ok(product) => Polled::Done(product),
                    Err(failure) => Polled::Failed(failure),
                }
            }
            Some("failed") => {
                let said = answer::text_in(&body, "failure_reason").unwrap_or_default();
                let class = classify::by_words(said).unwrap_or(ErrorClass::ServerUnavailable);
                Polled::Failed(answer::failed(NAME, class, said))
            }
            Some(other) => answer::unknown_state(NAME, other, None),
            None => Polled::Again(classify::malformed(NAME, "the state can't be read")),
        }
    }

    fn webhook(&self, incoming: &Incoming<'_>) -> Result<News, Disbelief> {
        let body: Value = serde_json::from_slice(incoming.body).map_err(|_| Disbelief::Malformed)?;
        let job = answer::id_in(&body, "id").ok_or(Disbelief::Malformed)?;
        Ok(match answer::text_in(&body, "state") {
            Some(state @ ("completed" | "failed")) => News::Ended { id: format!("{job}/{state}"), job },
            _ => News::Other,
        })
    }

    fn classify(&self, response: &Response) -> StepError {
        classify::error(NAME, response, classify::by_words(&classify::message_of(response)), "")
    }
}

fn place(access: &Access, path: &str) -> String {
    let is_said = access.base_url.as_deref().is_some_and(|base| base.trim_end_matches('/').ends_with(ROOT));
    if is_said { access.url(HOST, path) } else { access.url(HOST, &format!("{ROOT}{path}")) }
}

fn needs_public_url(param: &str) -> StepError {
    StepError::new(
        ErrorClass::InvalidInput,
        format!("luma fetches `{param}` itself, and there is no URL under which it could"),
    )
    .code("needs_public_url")
    .advice("Keep artifacts in an S3 store that can be reached from outside, or name another model.")
}

fn keyed(access: &Access, request: Request) -> Request {
    request.secret("authorization", format!("Bearer {}", access.key.expose_secret()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Source;
    use crate::sample::{Sample, answered, incoming, json_of, keyed_by, secret};
    use serde_json::json;

    fn film(params: Value) -> Sample {
        let map = json!({"prompt": "prompt", "duration": "duration:nearest(5|9):suffix(s)"});
        let route = json!({"endpoint": "generations/video", "map": map, "fixed": {"model": "ray-2"}});
        Sample::made("video.generate", route, params)
    }

    fn moved() -> Sample {
        let map = json!({"prompt": "prompt", "image": "keyframes.frame0.url:url"});
        let fixed = json!({"model": "ray-2", "keyframes": {"frame0": {"type": "image"}}});
        let route = json!({"endpoint": "generations/video", "map": map, "fixed": fixed});
        Sample::made("video.generate", route, json!({"prompt": "x"}))
    }

    fn handle() -> Value {
        json!({"id": "g-1", "op": "video.generate", "at": 0})
    }

    #[test]
    fn a_submission_is_what_the_official_client_sends() {
        let sent = Luma.submit(&keyed_by("k"), &film(json!({"prompt": "x"})).ask()).unwrap().request;
        assert_eq!(sent.url, "https://api.lumalabs.ai/dream-machine/v1/generations/video");
        assert_eq!(secret(&sent, "authorization"), "Bearer k");
        assert_eq!(*json_of(&sent), json!({"model": "ray-2", "prompt": "x"}));

        let sample = film(json!({"prompt": "x", "duration": "8s"})).webhook("https://h/w");
        let sent = Luma.submit(&keyed_by("k"), &sample.ask()).unwrap();
        assert_eq!(json_of(&sent.request)["duration"], "9s");
        assert_eq!(json_of(&sent.request)["callback_url"], "https://h/w");
    }

    #[test]
    fn a_base_url_may_hold_the_root_as_with_the_official_clients() {
        for base in ["http://127.0.0.1:1/luma", "http://127.0.0.1:1/luma/dream-machine/v1/"] {
            let access = Access { base_url: Some(base.to_owned()), ..keyed_by("k") };
            let url = Luma.poll(&access, &handle()).unwrap().url;
            assert_eq!(url, "http://127.0.0.1:1/luma/dream-machine/v1/generations/g-1", "{base}");
        }
    }

    #[test]
    fn pictures_go_by_url_or_not_at_all() {
        let sent = Luma.submit(&keyed_by("k"), &moved().file("image", Some("https://s3/a.png")).ask()).unwrap().request;
        assert_eq!(json_of(&sent)["keyframes"]["frame0"], json!({"type": "image", "url": "https://s3/a.png"}));
        for url in [None, Some("http://10.0.0.1/a.png")] {
            let refused = Luma.submit(&keyed_by("k"), &moved().file("image", url).ask()).unwrap_err();
            assert_eq!((refused.class, refused.code.as_str()), (ErrorClass::InvalidInput, "needs_public_url"));
            assert!(refused.advice.contains("S3"));
        }
    }

    #[test]
    fn a_generation_is_followed_to_its_film() {
        let access = keyed_by("k");
        let taken = answered(201, json!({"id": "g-1", "state": "queued", "assets": null, "model": "ray-2"}));
        let Submitted::Accepted(handle) = Luma.submitted(&access, &film(json!({})).ask(), &taken) else {
            panic!("it was taken");
        };
        for state in ["queued", "dreaming", "sleeping"] {
            let answer = answered(200, json!({"id": "g-1", "state": state}));
            assert!(matches!(Luma.polled(&access, &handle, "", &answer), Polled::Pending { .. }), "{state}");
        }
        let done = json!({"id": "g-1", "state": "completed", "failure_reason": null,
                          "assets": {"video": "https://storage.cdn-luma.com/a.mp4", "progress_video": null}});
        let Polled::Done(product) = Luma.polled(&access, &handle, "", &answered(200, done)) else {
            panic!("it is done")
        };
        let url = "https://storage.cdn-luma.com/a.mp4";
        assert!(matches!(&product.files[0].source, Source::Url { url: found, with_key: false } if found == url));
    }

    #[test]
    fn a_generation_that_failed_is_classed_by_its_reason() {
        use ErrorClass::{ContentRejected, ServerUnavailable};
        let failed = |reason: &str| json!({"state": "failed", "failure_reason": reason});
        let cases = [
            (failed("Prompt failed moderation checks"), ContentRejected, true),
            (failed("job failed"), ServerUnavailable, false),
            (json!({"state": "failed", "failure_reason": null}), ServerUnavailable, false),
            (json!({"state": "completed", "assets": {"video": null}}), ServerUnavailable, true),
        ];
        for (answer, class, billed) in cases {
            let Polled::Failed(failure) = Luma.polled(&keyed_by("k"), &handle(), "", &answered(200, answer.clone()))
            else {
                panic!("{answer} is a failure");
            };
            assert_eq!((failure.error.class, failure.billed), (class, billed), "{answer}");
        }
        assert!(matches!(Luma.polled(&keyed_by("k"), &handle(), "", &answered(404, json!({}))), Polled::Again(_)));
    }

    #[test]
    fn refusals_are_classed_by_what_they_say() {
        use ErrorClass::{
            ContentRejected, InvalidInput, InvalidKey, QuotaExceeded, RateLimit, ServerUnavailable, TooLarge,
        };
        let cases = [
            (400, "Invalid aspect ratio", InvalidInput),
            (400, "Insufficient credits", QuotaExceeded),
            (400, "Prompt not allowed because advanced moderation failed", ContentRejected),
            (401, "Unauthorized", InvalidKey),
            (402, "no budget", QuotaExceeded),
            (403, "Not authenticated", InvalidKey),
            (413, "too much", TooLarge),
            (422, "wrong", InvalidInput),
            (429, "slow", RateLimit),
            (503, "down", ServerUnavailable),
        ];
        for (status, said, class) in cases {
            let answer = answered(status, json!({"detail": said}));
            let Submitted::Refused(failure) = Luma.submitted(&keyed_by("k"), &film(json!({})).ask(), &answer) else {
                panic!("{said} is a refusal");
            };
            assert_eq!((failure.error.class, failure.billed), (class, false), "{status} {said}");
        }
    }

    #[test]
    fn a_webhook_says_only_that_somebody_should_ask() {
        let news = Luma.webhook(&incoming(br#"{"id": "g-1", "state": "completed", "assets": {}}"#));
        assert_eq!(news, Ok(News::Ended { job: "g-1".to_owned(), id: "g-1/completed".to_owned() }));
        assert_eq!(Luma.webhook(&incoming(br#"{"id": "g-1", "state": "dreaming"}"#)), Ok(News::Other));
        assert_eq!(Luma.webhook(&incoming(b"x")), Err(Disbelief::Malformed));
    }
}
