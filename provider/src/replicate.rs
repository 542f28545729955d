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

    fn check(&self, access: &Access) -> Option<Request> {
        Some(keyed(access, Request::get(access.url(HOST, "/v1/predictions"))))
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

    /// What is sent is the prediction, as it would be answered.
    fn told(&self, access: &Access, handle: &Value, body: &str) -> Option<Product> {
        let prediction: Value = serde_json::from_str(body).ok()?;
        let id = answer::text_in(&prediction, "id")?;
        (answer::text_in(handle, "id") == Some(id)).then(|| ended(access, handle, &prediction)?.ok())?
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
        "succeeded" if prediction.get("data_removed").and_then(Value::as_bool) == Some(true) => {
            let error = classify::no_media(NAME, "its output was removed, an hour after it was made");
            Some(Err(Failure::billed(error)))
        }
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
mod tests;
