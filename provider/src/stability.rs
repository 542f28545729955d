//! Stability AI: pictures at once, by forms.
//!
//! `POST api.stability.ai/v2beta/<endpoint>` answers with the picture; what takes long answers with an id, and
//! `/v2beta/results/<id>` has the picture later. A picture that the filter blurred counts as made, and is charged. Source:
//! the documentation of Stability AI; its official client speaks an older format.

use crate::adapter::{Access, Adapter, Ask, Failure, Polled, Product, Submission, Submitted, Traits};
use crate::answer;
use crate::http::{Body, Method, Request, Response};
use crate::{classify, mapping};
use darkroom_proto::{Duration, ErrorClass, Map, StepError};
use secrecy::ExposeSecret;
use serde_json::Value;

/// The adapter. The endpoint of a route is its path behind `/v2beta/`.
#[derive(Debug)]
pub(crate) struct Stability;

const NAME: &str = "stability";
const HOST: &str = "https://api.stability.ai";

/// How long a picture may take that is answered at once.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(180);

impl Adapter for Stability {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: true,
            webhook: false,
            signed: false,
            cancels: false,
            looks_up: false,
            // Only the rate is documented.
            at_once: 10,
            rate: Some((150, Duration::from_secs(10))),
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.stability.ai"]
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mapped = mapping::body(ask)?;
        let url = access.url(HOST, &format!("/v2beta/{}", ask.route.endpoint));
        let body = Body::Multipart(mapped.parts(ask));
        let request = Request { body, ..Request::new(Method::Post, url) }.within(TIMEOUT);
        Ok(Submission { request: keyed(access, request), ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        let body = response.json();
        let format = ask.route.fixed.get("output_format").and_then(Value::as_str).unwrap_or("png");
        if let Some(id) = answer::id_in(&body, "id").filter(|_| picture(&body).is_none()) {
            let mut handle = answer::handle(access, ask, id);
            handle.insert("format".to_owned(), format.into());
            return Submitted::Accepted(Value::Object(handle));
        }
        if body.get("finish_reason").is_none() && picture(&body).is_none() {
            return answer::unreadable(NAME);
        }
        match result(&body, format) {
            Ok(product) => Submitted::Done(product),
            Err(failure) => Submitted::Refused(failure),
        }
    }

    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError> {
        let id = answer::id_of(NAME, handle)?;
        Ok(keyed(access, Request::get(access.url(HOST, &format!("/v2beta/results/{id}")))))
    }

    fn polled(&self, _access: &Access, handle: &Value, _stage: &str, response: &Response) -> Polled {
        let body = response.json();
        if !response.is_success() {
            let error = self.classify(response);
            // The only words about the job that come as an error.
            return match error.class {
                ErrorClass::ContentRejected => Polled::Failed(Failure::unbilled(error)),
                _ => Polled::Again(error),
            };
        }
        if response.status == 202 {
            return Polled::Pending { progress: None };
        }
        if body.is_null() {
            return Polled::Again(classify::malformed(NAME, "the result can't be read"));
        }
        match result(&body, answer::text_in(handle, "format").unwrap_or("png")) {
            Ok(product) => Polled::Done(product),
            Err(failure) => Polled::Failed(failure),
        }
    }

    fn classify(&self, response: &Response) -> StepError {
        let body = response.json();
        let said = body.pointer("/errors/0").and_then(Value::as_str).unwrap_or_default().to_owned();
        let class = match answer::text_in(&body, "name") {
            Some("content_moderation") => Some(ErrorClass::ContentRejected),
            Some("payload_too_large") => Some(ErrorClass::TooLarge),
            _ => classify::by_words(&said),
        };
        classify::error(NAME, response, class, &said)
    }
}

fn picture(body: &Value) -> Option<&str> {
    ["image", "result"].iter().find_map(|name| answer::text_in(body, name))
}

/// The picture of an answer. A failed one costs nothing; one that was blurred is a result to Stability.
fn result(body: &Value, format: &str) -> Result<Product, Failure> {
    match answer::text_in(body, "finish_reason") {
        Some("CONTENT_FILTERED") => return Err(answer::censored(NAME, "the filter blurred the picture")),
        Some("SUCCESS") | None => {}
        Some(other) => return Err(answer::failed(NAME, ErrorClass::ServerUnavailable, other)),
    }
    let file = picture(body).and_then(|data| answer::inline("image", data, &format!("image/{format}")));
    let seed = body.get("seed").filter(|seed| seed.is_number()).map(|seed| ("seed".to_owned(), seed.clone()));
    answer::made(NAME, Product { files: file.into_iter().collect(), facts: Map::from_iter(seed), ..Product::default() })
}

fn keyed(access: &Access, request: Request) -> Request {
    request
        .header("accept", "application/json")
        .secret("authorization", format!("Bearer {}", access.key.expose_secret()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Source;
    use crate::sample::{Sample, answered, keyed_by, secret};
    use serde_json::json;

    fn core() -> Sample {
        let map = json!({"prompt": "prompt", "seed": "seed", "negative-prompt": "negative_prompt",
                         "aspect": "aspect_ratio:nearest(16:9|1:1|9:16)"});
        let route = json!({"endpoint": "stable-image/generate/core", "map": map, "fixed": {"output_format": "webp"}});
        Sample::made("image.generate", route, json!({"prompt": "x", "seed": 42, "aspect": "1:1"}))
    }

    fn cut_out() -> Sample {
        let route = json!({"endpoint": "stable-image/edit/remove-background", "map": {"image": "image:part"}});
        Sample::made("image.remove-background", route, json!({})).file("image", None)
    }

    /// Fields of a form: name, name of the file if it is one, and what it holds.
    type Fields = Vec<(String, Option<String>, Vec<u8>)>;

    fn parts(sample: &Sample) -> (Request, Fields) {
        let request = Stability.submit(&keyed_by("k"), &sample.ask()).unwrap().request;
        let Body::Multipart(parts) = request.body.clone() else { panic!("it is a form") };
        (request, parts.into_iter().map(|part| (part.name, part.file_name, part.bytes)).collect())
    }

    #[test]
    fn a_submission_is_always_a_form() {
        let (request, fields) = parts(&core());
        assert_eq!(request.url, "https://api.stability.ai/v2beta/stable-image/generate/core");
        assert_eq!(secret(&request, "authorization"), "Bearer k");
        assert_eq!(request.headers, [("accept", "application/json".to_owned())]);
        let text = |name: &str, value: &str| (name.to_owned(), None, value.as_bytes().to_vec());
        let mut want =
            vec![text("aspect_ratio", "1:1"), text("output_format", "webp"), text("prompt", "x"), text("seed", "42")];
        want.sort();
        let mut fields = fields;
        fields.sort();
        assert_eq!(fields, want);

        let (_, fields) = parts(&cut_out());
        assert_eq!(fields, [("image".to_owned(), Some("a.png".to_owned()), b"png".to_vec())]);
    }

    #[test]
    fn a_picture_comes_at_once() {
        let answer = answered(200, json!({"image": "cG5n", "finish_reason": "SUCCESS", "seed": 42}));
        let Submitted::Done(product) = Stability.submitted(&keyed_by("k"), &core().ask(), &answer) else {
            panic!("it is done");
        };
        assert_eq!(product.facts["seed"], 42);
        let Source::Bytes { bytes, media_type } = &product.files[0].source else { panic!("it is here") };
        assert_eq!((bytes.as_slice(), media_type.as_str()), (&b"png"[..], "image/webp"));
    }

    #[test]
    fn what_is_no_picture_is_a_failure_or_unclear() {
        let cases = [
            (
                json!({"image": "cG5n", "finish_reason": "CONTENT_FILTERED", "seed": 1}),
                ErrorClass::ContentRejected,
                true,
            ),
            (json!({"finish_reason": "SUCCESS", "seed": 1}), ErrorClass::ServerUnavailable, true),
            (json!({"image": "?", "finish_reason": "SUCCESS"}), ErrorClass::ServerUnavailable, true),
            (json!({"image": "cG5n", "finish_reason": "ERROR"}), ErrorClass::ServerUnavailable, false),
        ];
        for (body, class, billed) in cases {
            let Submitted::Refused(failure) =
                Stability.submitted(&keyed_by("k"), &core().ask(), &answered(200, body.clone()))
            else {
                panic!("{body} is a failure");
            };
            assert_eq!((failure.error.class, failure.billed), (class, billed), "{body}");
        }
        for (status, body) in [(200, Value::Null), (200, json!({})), (504, json!({}))] {
            let submitted = Stability.submitted(&keyed_by("k"), &core().ask(), &answered(status, body.clone()));
            assert!(matches!(submitted, Submitted::Unclear(_)), "{status} {body}");
        }
    }

    #[test]
    fn refusals_are_classed_by_name_before_status() {
        use ErrorClass::{
            ContentRejected, InvalidInput, InvalidKey, QuotaExceeded, RateLimit, ServerUnavailable, TooLarge,
        };
        let cases = [
            (400, "bad_request", "prompt: cannot be blank", InvalidInput),
            (401, "unauthorized", "missing authorization header", InvalidKey),
            (402, "payment_required", "You lack sufficient credits", QuotaExceeded),
            (403, "content_moderation", "Your request was flagged by our content moderation system", ContentRejected),
            (403, "forbidden", "no access", InvalidKey),
            (413, "payload_too_large", "too large", TooLarge),
            (422, "unprocessable_entity", "some error", InvalidInput),
            (429, "rate_limit_exceeded", "You have exceeded the rate limit", RateLimit),
            (500, "internal_error", "oops", ServerUnavailable),
        ];
        for (status, name, said, class) in cases {
            let answer = answered(status, json!({"id": "e1", "name": name, "errors": [said]}));
            let Submitted::Refused(failure) = Stability.submitted(&keyed_by("k"), &core().ask(), &answer) else {
                panic!("{name} is a refusal");
            };
            assert_eq!((failure.error.class, failure.billed), (class, false), "{status} {name}");
            assert!(failure.error.message.contains(said), "{}", failure.error.message);
        }
    }

    #[test]
    fn what_takes_long_is_asked_for_later() {
        let access = keyed_by("k");
        let Submitted::Accepted(handle) =
            Stability.submitted(&access, &core().ask(), &answered(200, json!({"id": "a6dc"})))
        else {
            panic!("it was taken");
        };
        assert_eq!(Stability.poll(&access, &handle).unwrap().url, "https://api.stability.ai/v2beta/results/a6dc");
        let polled = |status, body| Stability.polled(&access, &handle, "", &answered(status, body));
        assert!(matches!(polled(202, json!({"id": "a6dc", "status": "in-progress"})), Polled::Pending { .. }));
        let done = json!({"result": "cG5n", "finish_reason": "SUCCESS", "seed": 7});
        assert!(matches!(polled(200, done), Polled::Done(product) if product.files.len() == 1));
        assert!(matches!(polled(404, json!({"name": "not_found", "errors": ["no"]})), Polled::Again(_)));
        let flagged = polled(403, json!({"name": "content_moderation", "errors": ["flagged"]}));
        assert!(matches!(flagged, Polled::Failed(failure) if failure.error.class == ErrorClass::ContentRejected));
    }
}
