//! Replicate: predictions.
//!
//! A prediction is made of a model (`owner/name`), of one version of it (`owner/name:version`) or of a deployment
//! (`deployments/owner/name`). Source: the clients replicate 1.0.7 (Python) and 1.4.0 (JavaScript), and their documentation.

use crate::adapter::{
    Access, Adapter, Ask, Disbelief, Failure, File, Found, Incoming, News, Polled, Product, Source, Submission,
    Submitted, Traits, Uploaded,
};
use crate::answer::{self, Seen};
use crate::http::{Body, Method, Part, Request, Response, is_id};
use crate::{classify, mapping, sign};
use darkroom_proto::model::{self, Route};
use darkroom_proto::{CallId, Duration, ErrorClass, Map, StepError, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Replicate;

const NAME: &str = "replicate";
const HOST: &str = "https://api.replicate.com";

/// Files up to this size go in the request itself.
const INLINE_BYTES_MAX: usize = 256 * 1024;

/// How far Replicate's clock may be behind ours.
const CLOCK_OFF_MAX: Duration = Duration::from_secs(60);

impl Adapter for Replicate {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: false,
            webhook: true,
            signed: true,
            cancels: true,
            looks_up: true,
            at_once: 100,
            rate: Some((600, Duration::from_secs(60))),
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.replicate.com"]
    }

    fn upload(&self, access: &Access, _route: &Route, file: &File) -> Option<Request> {
        if file.url.is_some() || file.bytes.len() <= INLINE_BYTES_MAX {
            return None;
        }
        let content = Part {
            name: "content".to_owned(),
            file_name: Some(file.name.clone()),
            media_type: Some(file.media_type.clone()),
            bytes: file.bytes.to_vec(),
        };
        let request = Request::new(Method::Post, access.url(HOST, "/v1/files")).within(UPLOAD_TIMEOUT);
        Some(keyed(access, Request { body: Body::Multipart(vec![content]), ..request }))
    }

    fn uploaded(
        &self,
        _access: &Access,
        _file: &File,
        _stage: &str,
        _memory: &Value,
        response: &Response,
    ) -> Result<Uploaded, StepError> {
        if !response.is_success() {
            return Err(self.classify(response));
        }
        let url = response.json().pointer("/urls/get").and_then(Value::as_str).map(str::to_owned);
        url.map(Uploaded::Done).ok_or_else(|| classify::malformed(NAME, "the answer to the upload can't be read"))
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mapped = mapping::body(ask)?;
        let mut body = Map::new();
        let path = match ask.route.endpoint.split_once(':') {
            Some((_, version)) => {
                body.insert("version".to_owned(), version.into());
                "/v1/predictions".to_owned()
            }
            None => match ask.route.endpoint.strip_prefix("deployments/") {
                Some(deployment) => format!("/v1/deployments/{deployment}/predictions"),
                None => format!("/v1/models/{}/predictions", ask.route.endpoint),
            },
        };
        body.insert("input".to_owned(), Value::Object(mapped.body));
        if let Some(webhook) = ask.webhook {
            body.insert("webhook".to_owned(), webhook.into());
            body.insert("webhook_events_filter".to_owned(), json!(["completed"]));
        }
        let request = keyed(access, Request::post(access.url(HOST, &path), Value::Object(body)));
        Ok(Submission { request, ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        let prediction = response.json();
        let size = ask.files.iter().find_map(|file| file.size);
        let Some(handle) = handle(access, &prediction, ask.op, size) else { return answer::unreadable(NAME) };
        match ended(access, &handle, &prediction) {
            Some(Ok(product)) => Submitted::Done(product),
            Some(Err(failure)) => Submitted::Refused(failure),
            None => Submitted::Accepted(handle),
        }
    }

    fn handle_of(&self, op: &str, _route: &Route, job: &str) -> Option<Value> {
        is_id(job).then(|| json!({"id": job, "op": op}))
    }

    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError> {
        let url = place(access, handle, "").ok_or_else(|| classify::bad_handle(NAME))?;
        Ok(keyed(access, Request::get(url)))
    }

    fn polled(&self, access: &Access, handle: &Value, _stage: &str, response: &Response) -> Polled {
        if !response.is_success() {
            return Polled::Again(self.classify(response));
        }
        let prediction = response.json();
        if answer::text_in(&prediction, "status").is_none() {
            return Polled::Again(classify::malformed(NAME, "the prediction can't be read"));
        }
        match ended(access, handle, &prediction) {
            Some(Ok(product)) => Polled::Done(product),
            Some(Err(failure)) => Polled::Failed(failure),
            None => Polled::Pending { progress: answer::text_in(&prediction, "logs").and_then(progress) },
        }
    }

    fn cancel(&self, access: &Access, handle: &Value) -> Option<Request> {
        Some(keyed(access, Request::new(Method::Post, place(access, handle, "/cancel")?)))
    }

    fn download_secrets(&self, access: &Access) -> Vec<(&'static str, SecretString)> {
        vec![bearer(access)]
    }

    /// `aborted` did not start and is not charged; `canceled` ran and is.
    fn cancelled(&self, response: &Response) -> bool {
        response.is_success() && answer::text_in(&response.json(), "status") == Some("aborted")
    }

    /// There is no id of ours that Replicate would keep, but its list tells what was made of the model since.
    fn look_up(&self, access: &Access, _call: &CallId, _route: &Route, at: Timestamp) -> Option<Request> {
        let since = Timestamp(at.0.saturating_sub(CLOCK_OFF_MAX.0));
        let path = format!("/v1/predictions?created_after={since}");
        Some(keyed(access, Request::get(access.url(HOST, &path))))
    }

    fn looked_up(&self, access: &Access, call: &CallId, route: &Route, response: &Response) -> Found {
        let list = response.json();
        let Some(found) = list.get("results").and_then(Value::as_array).filter(|_| response.is_success()) else {
            return Found::Unclear;
        };
        let is_ours = |prediction: &&Value| {
            answer::text_in(prediction, "webhook").is_some_and(|webhook| webhook.contains(call.as_str()))
        };
        if let Some(prediction) = found.iter().find(is_ours) {
            return handle(access, prediction, op_of(route), None).map_or(Found::Unclear, Found::Job);
        }
        let is_whole = list.get("next").is_none_or(Value::is_null);
        if is_whole && !found.iter().any(|prediction| may_be_of(prediction, route)) {
            return Found::Nothing;
        }
        Found::Unclear
    }

    fn trust(&self, access: &Access) -> Option<Request> {
        Some(keyed(access, Request::get(access.url(HOST, "/v1/webhooks/default/secret"))))
    }

    fn webhook(&self, incoming: &Incoming<'_>) -> Result<News, Disbelief> {
        let secret = incoming.trust.as_str().or_else(|| answer::text_in(incoming.trust, "key"));
        let id = sign::standard_webhook(incoming, secret.ok_or(Disbelief::Signature)?)?;
        let body: Value = serde_json::from_slice(incoming.body).map_err(|_| Disbelief::Malformed)?;
        let job = answer::text_in(&body, "id").ok_or(Disbelief::Malformed)?;
        match answer::text_in(&body, "status") {
            Some("succeeded" | "failed" | "canceled" | "aborted") => {
                Ok(News::Ended { job: job.to_owned(), id: id.to_owned() })
            }
            _ => Ok(News::Other),
        }
    }

    fn classify(&self, response: &Response) -> StepError {
        let said = response.json();
        let of = |name| answer::text_in(&said, name).unwrap_or_default();
        let (title, detail) = (of("title"), of("detail"));
        let found = match response.status {
            422 if detail.to_lowercase().contains("version") => Some(ErrorClass::ModelNotFound),
            402 => Some(ErrorClass::QuotaExceeded),
            400..=499 if response.status != 429 => classify::by_words(&format!("{title}: {detail}")),
            _ => None,
        };
        classify::error(NAME, response, found, detail)
    }
}

/// How long sending a file ahead may take.
const UPLOAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(300);

fn keyed(access: &Access, mut request: Request) -> Request {
    request.secrets.push(bearer(access));
    request
}

fn bearer(access: &Access) -> (&'static str, SecretString) {
    ("authorization", format!("Bearer {}", access.key.expose_secret()).into())
}

fn handle(access: &Access, prediction: &Value, op: &str, size: Option<(u32, u32)>) -> Option<Value> {
    let id = answer::text_in(prediction, "id").filter(|id| is_id(id))?;
    let mut handle = json!({"id": id, "op": op});
    let get = prediction.pointer("/urls/get").and_then(Value::as_str);
    if let Some(url) = get.filter(|url| access.leads_home(url, Replicate.hosts())) {
        handle["url"] = url.into();
    }
    if let Some((width, height)) = size {
        handle["size"] = json!([width, height]);
    }
    Some(handle)
}

/// Where a prediction is asked about.
fn place(access: &Access, handle: &Value, end: &str) -> Option<String> {
    if let Some(url) = answer::text_in(handle, "url").filter(|url| access.leads_home(url, Replicate.hosts())) {
        return Some(format!("{url}{end}"));
    }
    let id = answer::text_in(handle, "id").filter(|id| is_id(id))?;
    Some(access.url(HOST, &format!("/v1/predictions/{id}{end}")))
}

/// The outcome of a prediction that has ended.
fn ended(access: &Access, handle: &Value, prediction: &Value) -> Option<Result<Product, Failure>> {
    let said = answer::text_in(prediction, "error").unwrap_or_default();
    match answer::text_in(prediction, "status")? {
        "succeeded" => Some(answer::made(NAME, product(access, handle, prediction))),
        "failed" => Some(Err(Failure::unbilled(failed(said)))),
        "canceled" => Some(Err(Failure::billed(classify::failed(NAME, ErrorClass::Cancelled, "it was cancelled")))),
        "aborted" => {
            let why = if said.is_empty() { "it did not start in time" } else { said };
            Some(Err(Failure::unbilled(classify::failed(NAME, ErrorClass::Timeout, why).code("aborted"))))
        }
        _ => None,
    }
}

/// The error of a prediction that failed: Replicate says why in words, with a code in them for some.
fn failed(said: &str) -> StepError {
    let lower = said.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let class = if has(&["nsfw", "sensitive", "safety", "e005"]) {
        ErrorClass::ContentRejected
    } else if has(&["e6716", "timed out", "timeout"]) {
        ErrorClass::Timeout
    } else if has(&["e1000", "e1001", "out of memory"]) {
        ErrorClass::ServerUnavailable
    } else {
        classify::by_words(said).unwrap_or(ErrorClass::ServerUnavailable)
    };
    classify::failed(NAME, class, said)
}

fn product(access: &Access, handle: &Value, prediction: &Value) -> Product {
    let op = answer::text_in(handle, "op").unwrap_or_default();
    let output = prediction.get("output").unwrap_or(&Value::Null);
    let mut product = Product::default();
    match op {
        "image.detect" => {
            let found = output.get("detections").and_then(Value::as_array);
            if let Some(found) = found {
                product.values = answer::boxes(found.iter().filter_map(seen).collect(), answer::size_in(handle));
            }
        }
        "image.describe" => {
            // Language models answer in pieces.
            let pieces = output.as_array().map(|pieces| pieces.iter().filter_map(Value::as_str).collect::<String>());
            let said = output.as_str().map(str::to_owned).or(pieces).filter(|said| !said.trim().is_empty());
            product.values.extend(said.map(|said| ("text".to_owned(), said.trim().into())));
        }
        op => {
            let urls = answer::urls(output);
            product.files = urls.into_iter().filter_map(|url| answer::at(answer::output_of(op), url)).collect();
            for made in &mut product.files {
                if let Source::Url { url, with_key } = &mut made.source {
                    // Files that were uploaded are behind the key; those that a model made are not.
                    *with_key = url.contains("/v1/files/") && access.leads_home(url, Replicate.hosts());
                }
            }
        }
    }
    if let Some(seed) = prediction.pointer("/input/seed").filter(|seed| seed.is_number()) {
        product.facts.insert("seed".to_owned(), seed.clone());
    }
    product
}

/// A box of Grounding DINO: corners, in pixels.
fn seen(found: &Value) -> Option<Seen> {
    let corner = |at: usize| found.get("bbox")?.get(at)?.as_f64();
    let (x0, y0, x1, y1) = (corner(0)?, corner(1)?, corner(2)?, corner(3)?);
    let label = answer::text_in(found, "label").unwrap_or_default().to_owned();
    let score = found.get("confidence").and_then(Value::as_f64).unwrap_or(1.0);
    Some(Seen { x: x0, y: y0, w: x1 - x0, h: y1 - y0, label, score })
}

/// The op that a route serves, where only the route is known.
fn op_of(route: &Route) -> &'static str {
    let has = |model: &&model::Model| model.routes.iter().any(|known| known.endpoint == route.endpoint);
    model::all().iter().find(has).map_or("image.generate", |model| model.capability.as_str())
}

/// Whether a prediction of the list can be one of this route.
fn may_be_of(prediction: &Value, route: &Route) -> bool {
    let (name, version) = route.endpoint.split_once(':').unwrap_or((&route.endpoint, ""));
    let is = |field: &str, wanted: &str| answer::text_in(prediction, field).is_none_or(|said| said == wanted);
    match (answer::text_in(prediction, "model"), version) {
        (Some(model), _) => model == name,
        (None, "") => true,
        (None, version) => is("version", version),
    }
}

/// How far a prediction is, by the last line of its log that a progress bar wrote: ` 45%|████▌ | 9/20 [00:01<00:01]`.
fn progress(logs: &str) -> Option<f64> {
    let of_line = |line: &str| {
        let (percent, rest) = line.trim_start().split_once('%')?;
        let percent: u32 = percent.parse().ok().filter(|percent| *percent <= 100)?;
        rest.trim_start().starts_with('|').then_some(f64::from(percent) / 100.0)
    };
    logs.lines().rev().take(20).find_map(of_line)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, Sample, access, answer, json_of, secret};

    fn flux() -> Sample {
        Sample::new("image.generate", "replicate", "flux-pro", json!({"prompt": "x", "safety": 0}))
    }

    fn prediction(status: &str, output: Value, error: Value) -> String {
        json!({
            "id": "P1", "model": "black-forest-labs/flux-1.1-pro", "version": "hidden", "input": {"prompt": "x", "seed": 7},
            "output": output, "error": error, "status": status, "logs": "", "metrics": {},
            "urls": {"get": "https://api.replicate.com/v1/predictions/P1"},
        })
        .to_string()
    }

    fn polled(op: &str, body: &str) -> Polled {
        Replicate.polled(&access(None), &json!({"id": "P1", "op": op, "size": [1000, 500]}), "", &answer(200, body))
    }

    #[test]
    fn a_prediction_is_made_of_a_model_a_version_or_a_deployment() {
        let submit = |sample: &Sample, base| Replicate.submit(&access(base), &sample.ask()).unwrap().request;
        let mut sample = flux();
        sample.webhook = Some("https://h/w".to_owned());
        let request = submit(&sample, None);
        assert_eq!(request.url, "https://api.replicate.com/v1/models/black-forest-labs/flux-1.1-pro/predictions");
        assert_eq!(secret(&request, "authorization"), format!("Bearer {}", sample::KEY));
        let want = json!({
            "input": {
                "prompt": "x", "seed": 0, "width": 1024, "height": 1024, "safety_tolerance": 1,
                "aspect_ratio": "custom", "output_format": "png",
            },
            "webhook": "https://h/w", "webhook_events_filter": ["completed"],
        });
        assert_eq!(*json_of(&request), want);
        let version = Sample::new("image.remove-background", "replicate", "remove-bg", json!({})).with("image");
        let request = submit(&version, Some("http://127.0.0.1:1/replicate"));
        assert_eq!(request.url, "http://127.0.0.1:1/replicate/v1/predictions");
        let body = json_of(&request);
        assert_eq!(body["version"], "95fcc2a26d3899cd6c2691c900465aaeff466285a65c14638cc5f36f34befaf1");
        assert_eq!(body["input"], json!({"image": "data:image/png;base64,cG5n"}));
        let mut deployed = flux();
        deployed.route.endpoint = "deployments/me/mine".to_owned();
        assert_eq!(submit(&deployed, None).url, "https://api.replicate.com/v1/deployments/me/mine/predictions");
    }

    #[test]
    fn a_submission_is_accepted_done_refused_or_unclear() {
        let cases = [
            (answer(201, &prediction("starting", Value::Null, Value::Null)), "accepted"),
            (answer(202, &prediction("processing", json!("https://a/b"), Value::Null)), "accepted"),
            (answer(201, &prediction("succeeded", json!("https://a/b"), Value::Null)), "done"),
            (answer(201, &prediction("failed", Value::Null, json!("boom"))), "refused"),
            (answer(402, r#"{"title":"Insufficient credit","status":402}"#), "refused"),
            (answer(429, "{}"), "refused"),
            (answer(503, "{}"), "refused"),
            (answer(504, "{}"), "unclear"),
            (answer(201, "{}"), "unclear"),
            (answer(201, "<html>"), "unclear"),
        ];
        for (response, want) in cases {
            let is = match Replicate.submitted(&access(None), &flux().ask(), &response) {
                Submitted::Accepted(handle) => {
                    assert_eq!(handle["id"], "P1");
                    "accepted"
                }
                Submitted::Done(_) => "done",
                Submitted::Refused(_) => "refused",
                Submitted::Unclear(_) => "unclear",
            };
            assert_eq!(is, want, "{response:?}");
        }
    }

    #[test]
    fn a_job_is_asked_about_where_it_lives() {
        let body: Value = serde_json::from_str(&prediction("starting", Value::Null, Value::Null)).unwrap();
        let handle = handle(&access(None), &body, "image.generate", None).unwrap();
        let url = |base| Replicate.poll(&access(base), &handle).unwrap().url;
        assert_eq!(url(None), "https://api.replicate.com/v1/predictions/P1");
        assert_eq!(url(Some("http://127.0.0.1:1/replicate/v1")), "http://127.0.0.1:1/replicate/v1/predictions/P1");
        let cancel = Replicate.cancel(&access(None), &handle).unwrap();
        assert_eq!(cancel.url, "https://api.replicate.com/v1/predictions/P1/cancel");
        assert!(Replicate.poll(&access(None), &json!({"id": "../account"})).is_err());
    }

    #[test]
    fn outputs_come_as_a_text_a_list_or_an_object() {
        let (one, two) = ("https://replicate.delivery/a.png", "https://replicate.delivery/b.png");
        for (output, want) in [(json!(one), 1), (json!([one, two]), 2), (json!({"image": one}), 1)] {
            let Polled::Done(product) = polled("image.generate", &prediction("succeeded", output.clone(), Value::Null))
            else {
                panic!("{output}")
            };
            assert_eq!(product.files.len(), want, "{output}");
            assert!(matches!(&product.files[0].source, Source::Url { url, with_key: false } if url == one));
            assert_eq!(product.facts["seed"], 7);
        }
        let kept = json!("https://api.replicate.com/v1/files/F1");
        let Polled::Done(product) = polled("image.upscale", &prediction("succeeded", kept, Value::Null)) else {
            panic!()
        };
        assert!(matches!(product.files[0].source, Source::Url { with_key: true, .. }));
        let found = json!({"detections": [
            {"bbox": [10, 20, 110, 70], "label": "mug", "confidence": 0.5},
            {"bbox": [0, 0, 5000, 5000], "label": "table", "confidence": 0.9},
        ]});
        let Polled::Done(product) = polled("image.detect", &prediction("succeeded", found, Value::Null)) else {
            panic!()
        };
        let want = json!([{"x": 0, "y": 0, "w": 1000, "h": 500}, {"x": 10, "y": 20, "w": 100, "h": 50}]);
        assert_eq!((&product.values["boxes"], &product.values["scores"]), (&want, &json!([0.9, 0.5])));
        let words = json!(["A ", "mug."]);
        let Polled::Done(product) = polled("image.describe", &prediction("succeeded", words, Value::Null)) else {
            panic!()
        };
        assert_eq!(product.values["text"], "A mug.");
    }

    #[test]
    fn a_prediction_that_failed_has_the_class_of_its_words() {
        use ErrorClass::*;
        let cases = [
            (
                "failed",
                json!("NSFW content detected. Try running it again, or try a different prompt."),
                ContentRejected,
                false,
            ),
            (
                "failed",
                json!("The input or output was flagged as sensitive. Please try again. (E005)"),
                ContentRejected,
                false,
            ),
            ("failed", json!("(E1001) CUDA out of memory"), ServerUnavailable, false),
            ("failed", json!("(E1000) unknown error"), ServerUnavailable, false),
            ("failed", json!("E6716: the model did not start in time"), Timeout, false),
            ("failed", Value::Null, ServerUnavailable, false),
            ("canceled", Value::Null, Cancelled, true),
            ("aborted", Value::Null, Timeout, false),
            ("succeeded", Value::Null, ServerUnavailable, true),
        ];
        for (status, error, class, billed) in cases {
            let Polled::Failed(failure) = polled("image.generate", &prediction(status, Value::Null, error.clone()))
            else {
                panic!("{status} {error}")
            };
            assert_eq!((failure.error.class, failure.billed), (class, billed), "{status} {error}");
        }
    }

    #[test]
    fn a_poll_that_fails_says_nothing_about_the_job() {
        for (status, body) in [(404, "{}"), (401, "{}"), (429, "{}"), (500, "{}"), (200, "<html>")] {
            let polled = Replicate.polled(&access(None), &json!({"id": "P1"}), "", &answer(status, body));
            assert!(matches!(polled, Polled::Again(_)), "{status}");
        }
        let logs = prediction("processing", Value::Null, Value::Null)
            .replace(r#""logs":"""#, r#""logs":"loading\n 45%|████▌     | 9/20 [00:01<00:01]\n""#);
        assert!(
            matches!(polled("image.generate", &logs), Polled::Pending { progress: Some(progress) } if progress == 0.45)
        );
        let unknown = prediction("dreaming", Value::Null, Value::Null);
        assert!(matches!(polled("image.generate", &unknown), Polled::Pending { progress: None }));
    }

    #[test]
    fn errors_have_the_class_that_replicate_documents() {
        use ErrorClass::*;
        let cases = [
            (401, r#"{"title":"Unauthenticated","status":401,"detail":"You did not pass a token"}"#, InvalidKey),
            (402, r#"{"title":"Insufficient credit","status":402,"detail":"Go to billing"}"#, QuotaExceeded),
            (
                404,
                r#"{"title":"Not found","status":404,"detail":"The requested resource could not be found."}"#,
                ModelNotFound,
            ),
            (413, "payload too large", TooLarge),
            (
                422,
                r#"{"title":"Input validation failed","status":422,"detail":"- input: prompt is required"}"#,
                InvalidInput,
            ),
            (
                422,
                r#"{"title":"Invalid version or not permitted","status":422,"detail":"The specified version does not exist"}"#,
                ModelNotFound,
            ),
            (429, r#"{"status":429,"detail":"Request was throttled. Your rate limit resets in ~30s."}"#, RateLimit),
            (500, "{}", ServerUnavailable),
            (503, "<html>", ServerUnavailable),
        ];
        for (status, body, want) in cases {
            assert_eq!(Replicate.classify(&answer(status, body)).class, want, "{status} {body}");
        }
        let throttled = Replicate.classify(&answer(429, cases[6].1));
        assert_eq!(throttled.retry_after, Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_list_tells_what_was_certainly_not_made() {
        let sample = flux();
        let ask = sample.ask();
        let at = Timestamp(1_700_000_000_000);
        let request = Replicate.look_up(&access(None), ask.call, ask.route, at).unwrap();
        assert_eq!(request.url, "https://api.replicate.com/v1/predictions?created_after=2023-11-14T22:12:20.000Z");
        let of = |model: &str| json!({"id": "P9", "model": model, "version": "v"});
        let ours = json!({"id": "P9", "model": "x/y", "webhook": format!("https://h/hooks/replicate/{}", ask.call)});
        let flux = "black-forest-labs/flux-1.1-pro";
        let cases = [
            (200, json!({"results": [], "next": null}), "nothing"),
            (200, json!({"results": [of("x/y")], "next": null}), "nothing"),
            (200, json!({"results": [of("x/y")], "next": "https://more"}), "unclear"),
            (200, json!({"results": [of(flux)], "next": null}), "unclear"),
            (200, json!({"results": [of(flux), ours], "next": null}), "job"),
            (200, json!({}), "unclear"),
            (404, json!({"results": []}), "unclear"),
        ];
        for (status, body, want) in cases {
            let found = Replicate.looked_up(&access(None), ask.call, ask.route, &answer(status, &body.to_string()));
            let is = match found {
                Found::Job(handle) => {
                    assert_eq!((&handle["id"], &handle["op"]), (&json!("P9"), &json!("image.generate")));
                    "job"
                }
                Found::Nothing => "nothing",
                Found::Unclear => "unclear",
            };
            assert_eq!(is, want, "{status} {body}");
        }
    }

    #[test]
    fn a_webhook_of_the_end_is_news_and_others_are_none() {
        let trust = json!({"key": "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX"});
        let check = |body: &str, signed: &str| {
            let headers: Vec<(String, String)> =
                [("webhook-id", "msg_1"), ("webhook-timestamp", "1700000000"), ("webhook-signature", signed)]
                    .map(|(name, value)| (name.to_owned(), value.to_owned()))
                    .to_vec();
            let now = Timestamp(1_700_000_000_000);
            Replicate.webhook(&Incoming { headers: &headers, body: body.as_bytes(), now, trust: &trust })
        };
        let sign = |body: &str| {
            use base64::Engine;
            let secret = (0u8..24).collect::<Vec<_>>();
            let signed = sign::hmac_sha256(&secret, format!("msg_1.1700000000.{body}").as_bytes());
            format!("v1,{}", base64::engine::general_purpose::STANDARD.encode(signed))
        };
        let ended = r#"{"id":"P1","status":"succeeded"}"#;
        assert_eq!(check(ended, &sign(ended)), Ok(News::Ended { job: "P1".into(), id: "msg_1".into() }));
        let begun = r#"{"id":"P1","status":"processing"}"#;
        assert_eq!(check(begun, &sign(begun)), Ok(News::Other));
        assert_eq!(check("[]", &sign("[]")), Err(Disbelief::Malformed));
        assert_eq!(check(ended, &sign(begun)), Err(Disbelief::Signature));
    }

    #[test]
    fn a_large_file_is_sent_ahead_as_a_file_of_replicate() {
        let (access, mut file) = (access(None), sample::picture("image"));
        assert!(Replicate.upload(&access, &flux().route, &file).is_none());
        file.bytes = vec![0; 256 * 1024 + 1].into();
        let request = Replicate.upload(&access, &flux().route, &file).unwrap();
        assert_eq!(request.url, "https://api.replicate.com/v1/files");
        let Body::Multipart(parts) = &request.body else { panic!("{request:?}") };
        assert_eq!((parts[0].name.as_str(), parts[0].file_name.as_deref()), ("content", Some("image.png")));
        let made = answer(201, r#"{"id":"F1","urls":{"get":"https://api.replicate.com/v1/files/F1"}}"#);
        let Ok(Uploaded::Done(url)) = Replicate.uploaded(&access, &file, "", &Value::Null, &made) else { panic!() };
        assert_eq!(url, "https://api.replicate.com/v1/files/F1");
        assert!(Replicate.uploaded(&access, &file, "", &Value::Null, &answer(201, "{}")).is_err());
    }
}
