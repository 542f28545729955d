//! fal.ai: its queue.
//!
//! `POST queue.fal.run/<endpoint>`, then the status, then the result. There is no state for a failure: a job that is
//! COMPLETED failed if its result is an error. Source: the clients fal_client 1.0.3 and @fal-ai/client 1.10.1, and the
//! documentation of fal.

use crate::adapter::{
    Access, Adapter, Ask, Disbelief, Failure, File, Incoming, News, Polled, Product, Submission, Submitted, Traits,
    Uploaded,
};
use crate::answer::{self, Seen};
use crate::http::{Body, Method, Request, Response, encoded, is_id};
use crate::{classify, mapping, sign};
use darkroom_proto::model::Route;
use darkroom_proto::{ErrorClass, Map, StepError};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// The adapter.
#[derive(Debug)]
pub(crate) struct Fal;

const NAME: &str = "fal";
const QUEUE: &str = "https://queue.fal.run";
const REST: &str = "https://rest.fal.ai";

/// Files up to this size go in the request itself.
const INLINE_BYTES_MAX: usize = 1_000_000;

impl Adapter for Fal {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: false,
            webhook: true,
            signed: true,
            cancels: true,
            looks_up: false,
            // What is over the account's limit waits in fal's queue; it is not refused.
            // It keeps what is over the limit of a key in line, so nobody has to wait here.
            at_once: u32::MAX,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["fal.run", "rest.fal.ai"]
    }

    fn upload(&self, access: &Access, _route: &Route, file: &File) -> Option<Request> {
        if file.url.is_some() || file.bytes.len() <= INLINE_BYTES_MAX {
            return None;
        }
        let url = access.url(REST, "/storage/upload/initiate?storage_type=fal-cdn-v3");
        Some(keyed(access, Request::post(url, json!({"content_type": file.media_type, "file_name": file.name}))))
    }

    fn uploaded(
        &self,
        access: &Access,
        file: &File,
        stage: &str,
        memory: &Value,
        response: &Response,
    ) -> Result<Uploaded, StepError> {
        if !response.is_success() {
            return Err(self.classify(response));
        }
        let answer = response.json();
        let text = |name| answer::text_in(&answer, name).map(str::to_owned);
        match stage {
            "" => {
                let (Some(upload), Some(url)) = (text("upload_url"), text("file_url")) else {
                    return Err(classify::malformed(NAME, "the answer to the upload can't be read"));
                };
                if access.base_url.is_none() && !upload.starts_with("https://") {
                    return Err(classify::malformed(NAME, "the place to upload to is not safe"));
                }
                let body = Body::Bytes { media_type: file.media_type.clone(), bytes: file.bytes.to_vec() };
                let request = Request { body, ..Request::new(Method::Put, upload) }.within(UPLOAD_TIMEOUT);
                Ok(Uploaded::Next { request, stage: "put", memory: url.into() })
            }
            _ => memory
                .as_str()
                .map(|url| Uploaded::Done(url.to_owned()))
                .ok_or_else(|| classify::malformed(NAME, "the file that was uploaded has no URL")),
        }
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mapped = mapping::body(ask)?;
        let mut path = format!("/{}", ask.route.endpoint);
        if let Some(webhook) = ask.webhook {
            path.push_str("?fal_webhook=");
            path.push_str(&encoded(webhook));
        }
        let request = Request::post(access.url(QUEUE, &path), Value::Object(mapped.body));
        Ok(Submission { request: keyed(access, request), ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            // A runner that was reached has the job's id already.
            if response.status == 503 && response.header("x-fal-request-id").is_some() {
                return Submitted::Unclear(self.classify(response));
            }
            return answer::refused(self, response);
        }
        let answer = response.json();
        let Some(id) = answer::text_in(&answer, "request_id").filter(|id| is_id(id)) else {
            return answer::unreadable(NAME);
        };
        let mut handle = Map::from_iter([
            ("id".to_owned(), id.into()),
            ("app".to_owned(), app_of(&ask.route.endpoint).into()),
            ("op".to_owned(), ask.op.into()),
        ]);
        for name in ["status_url", "response_url", "cancel_url"] {
            if let Some(url) = answer::text_in(&answer, name).filter(|url| access.leads_home(url, self.hosts())) {
                handle.insert(name.to_owned(), url.into());
            }
        }
        if let Some((width, height)) = ask.files.iter().find_map(|file| file.size) {
            handle.insert("size".to_owned(), json!([width, height]));
        }
        if let Some(target) = ask.params.get("target").filter(|target| target.is_string()) {
            handle.insert("target".to_owned(), target.clone());
        }
        Submitted::Accepted(Value::Object(handle))
    }

    fn handle_of(&self, op: &str, route: &Route, job: &str) -> Option<Value> {
        is_id(job).then(|| json!({"id": job, "app": app_of(&route.endpoint), "op": op}))
    }

    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError> {
        let url = place(access, handle, "status_url", "/status").ok_or_else(|| classify::bad_handle(NAME))?;
        Ok(keyed(access, Request::get(url)))
    }

    fn polled(&self, access: &Access, handle: &Value, stage: &str, response: &Response) -> Polled {
        if !stage.is_empty() {
            return self.result(handle, stage == FAILED, response);
        }
        if !response.is_success() {
            return Polled::Again(self.classify(response));
        }
        let answer = response.json();
        match answer::text_in(&answer, "status") {
            Some("COMPLETED") => {
                let Some(url) = place(access, handle, "response_url", "") else {
                    return Polled::Again(classify::bad_handle(NAME));
                };
                let has_failed = ["error", "error_type"].iter().any(|name| answer::text_in(&answer, name).is_some());
                let stage = if has_failed { FAILED } else { "result" };
                Polled::Next { request: keyed(access, Request::get(url)), stage }
            }
            Some(_) => Polled::Pending { progress: None },
            None => Polled::Again(classify::malformed(NAME, "the status can't be read")),
        }
    }

    fn cancel(&self, access: &Access, handle: &Value) -> Option<Request> {
        let url = place(access, handle, "cancel_url", "/cancel")?;
        Some(keyed(access, Request::new(Method::Put, url)))
    }

    // `cancelled` stays false: a job that runs may end all the same, and be charged.

    fn trust(&self, access: &Access) -> Option<Request> {
        Some(Request::get(access.url(REST, "/.well-known/jwks.json")))
    }

    fn webhook(&self, incoming: &Incoming<'_>) -> Result<News, Disbelief> {
        let header = |name| sign::header(incoming, name).ok_or(Disbelief::Signature);
        let (id, user) = (header("x-fal-webhook-request-id")?, header("x-fal-webhook-user-id")?);
        let (stamp, signed) = (header("x-fal-webhook-timestamp")?, header("x-fal-webhook-signature")?);
        let digest: String = Sha256::digest(incoming.body).iter().map(|byte| format!("{byte:02x}")).collect();
        let message = format!("{id}\n{user}\n{stamp}\n{digest}");
        let signed = sign::from_hex(signed).ok_or(Disbelief::Signature)?;
        let keys = incoming.trust.get("keys").and_then(Value::as_array).ok_or(Disbelief::Signature)?;
        let keys = keys.iter().filter_map(|key| sign::from_base64_url(key.get("x")?.as_str()?));
        if !keys.take(KEYS_MAX).any(|key| sign::is_ed25519(&key, message.as_bytes(), &signed)) {
            return Err(Disbelief::Signature);
        }
        sign::is_timely(stamp, incoming.now)?;
        let body: Value = serde_json::from_slice(incoming.body).map_err(|_| Disbelief::Malformed)?;
        match answer::text_in(&body, "request_id") {
            Some(job) if job == id => Ok(News::Ended {
                job: job.to_owned(),
                id: format!("{job}/{}", answer::text_in(&body, "status").unwrap_or_default()),
            }),
            _ => Err(Disbelief::Malformed),
        }
    }

    fn told(&self, _access: &Access, handle: &Value, body: &str) -> Option<Product> {
        let body: Value = serde_json::from_str(body).ok()?;
        let of_job = answer::text_in(&body, "request_id").is_some_and(|job| answer::text_in(handle, "id") == Some(job));
        if !of_job || answer::text_in(&body, "status") != Some("OK") {
            return None;
        }
        // `null` where fal could not write it down.
        match outcome(handle, body.get("payload").filter(|payload| payload.is_object())?) {
            Polled::Done(product) => Some(product),
            _ => None,
        }
    }

    fn classify(&self, response: &Response) -> StepError {
        let body = response.json();
        let (found, code) = class_of(response, &body);
        let error = classify::error(NAME, response, found, "");
        code.map_or(error.clone(), |code| error.code(code))
    }
}

/// The stage of a result whose status says that the job failed.
const FAILED: &str = "failed";

/// How many keys of a key set are tried.
const KEYS_MAX: usize = 16;

/// How long sending a file ahead may take.
const UPLOAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(300);

impl Fal {
    /// Reads the result of a job that has ended. An error without a type of fal's own is only one of this question, unless
    /// the status said that the job failed: taking it for the job's would pay for the job again.
    fn result(&self, handle: &Value, has_failed: bool, response: &Response) -> Polled {
        let body = response.json();
        if !response.is_success() {
            let is_typed = class_of(response, &body).1.is_some();
            let is_of_job = has_failed || is_typed || matches!(response.status, 400 | 422);
            let error = self.classify(response);
            if !is_of_job || matches!(response.status, 401 | 403 | 429) {
                return Polled::Again(error);
            }
            // The model ran, and fal charges for that.
            let billed = error.code == "no_media_generated";
            return Polled::Failed(Failure { error, billed });
        }
        if body.is_null() {
            return Polled::Again(classify::malformed(NAME, "the result can't be read"));
        }
        outcome(handle, &body)
    }
}

/// What a job gave that ended well, as far as fal is concerned.
fn outcome(handle: &Value, output: &Value) -> Polled {
    let is_black = output.get("has_nsfw_concepts").and_then(Value::as_array);
    if is_black.is_some_and(|concepts| concepts.iter().any(|concept| concept.as_bool() == Some(true))) {
        return Polled::Failed(answer::censored(NAME, "the safety checker blackened the picture"));
    }
    match answer::made(NAME, product(handle, output)) {
        Ok(product) => Polled::Done(product),
        Err(failure) => Polled::Failed(failure),
    }
}

fn product(handle: &Value, body: &Value) -> Product {
    let op = answer::text_in(handle, "op").unwrap_or_default();
    let mut product = Product::default();
    match op {
        "image.detect" => {
            if let Some(seen) = seen(handle, body) {
                product.values = answer::boxes(seen, answer::size_in(handle));
            }
        }
        "image.describe" => {
            let said = ["results", "output"].iter().find_map(|name| answer::text_in(body, name));
            product.values.extend(said.map(|said| ("text".to_owned(), said.trim().into())));
        }
        op => {
            let output = answer::output_of(op);
            let url = |file: &Value| file.get("url").and_then(Value::as_str).and_then(|url| answer::at(output, url));
            product.files = match body.get(format!("{output}s").as_str()).and_then(Value::as_array) {
                Some(files) => files.iter().filter_map(url).collect(),
                None => body.get(output).and_then(url).into_iter().collect(),
            };
        }
    }
    if let Some(seed) = body.get("seed").filter(|seed| seed.is_number()) {
        product.facts.insert("seed".to_owned(), seed.clone());
    }
    product
}

/// Boxes of Florence (`results.bboxes`, pixels) and of Moondream (`objects`, parts of the picture).
fn seen(handle: &Value, body: &Value) -> Option<Vec<Seen>> {
    let number = |value: &Value, name: &str| value.get(name).and_then(Value::as_f64);
    if let Some(found) = body.pointer("/results/bboxes").and_then(Value::as_array) {
        let one = |found: &Value| {
            Some(Seen {
                x: number(found, "x")?,
                y: number(found, "y")?,
                w: number(found, "w")?,
                h: number(found, "h")?,
                label: answer::text_in(found, "label").unwrap_or_default().to_owned(),
                score: 1.0,
            })
        };
        return Some(found.iter().filter_map(one).collect());
    }
    let found = body.get("objects").and_then(Value::as_array)?;
    let label = answer::text_in(handle, "target").unwrap_or_default();
    let one = |found: &Value| {
        let (x0, y0) = (number(found, "x_min")?, number(found, "y_min")?);
        let (x1, y1) = (number(found, "x_max")?, number(found, "y_max")?);
        let is_part = [x0, y0, x1, y1].iter().all(|side| *side <= 1.0);
        let (width, height) = if is_part { answer::size_in(handle)? } else { (1, 1) };
        let (width, height) = (f64::from(width), f64::from(height));
        let label = label.to_owned();
        Some(Seen { x: x0 * width, y: y0 * height, w: (x1 - x0) * width, h: (y1 - y0) * height, label, score: 1.0 })
    };
    Some(found.iter().filter_map(one).collect())
}

/// The class that fal's own types mean, and the type.
fn class_of(response: &Response, body: &Value) -> (Option<ErrorClass>, Option<String>) {
    use ErrorClass::{
        Cancelled, ContentRejected, InvalidInput, QuotaExceeded, ServerUnavailable, Timeout, TooLarge,
        UnsupportedFormat,
    };
    let detail = body.get("detail").and_then(Value::as_str).unwrap_or_default().to_lowercase();
    if detail.contains("exhausted balance") || detail.contains("user is locked") {
        return (Some(QuotaExceeded), None);
    }
    let kind = answer::text_in(body, "error_type")
        .or_else(|| body.pointer("/detail/0/type").and_then(Value::as_str))
        .or_else(|| response.header("x-fal-error-type"));
    let Some(kind) = kind else { return (None, None) };
    let class = match kind {
        "request_timeout" | "startup_timeout" | "generation_timeout" => Timeout,
        "client_disconnected" | "client_cancelled" => Cancelled,
        "bad_request" => InvalidInput,
        "content_policy_violation" => ContentRejected,
        "no_media_generated" => ServerUnavailable,
        "image_too_large" | "file_too_large" => TooLarge,
        "unsupported_image_format" | "unsupported_audio_format" | "unsupported_video_format" => UnsupportedFormat,
        "internal_server_error" | "internal_error" | "downstream_service_error" | "downstream_service_unavailable" => {
            ServerUnavailable
        }
        kind if kind.starts_with("runner_") => ServerUnavailable,
        _ if response.status == 422 => InvalidInput,
        _ => return (None, Some(kind.to_owned())),
    };
    (Some(class), Some(kind.to_owned()))
}

fn keyed(access: &Access, request: Request) -> Request {
    request.secret("authorization", format!("Key {}", access.key.expose_secret()))
}

/// Where a job is asked about: as fal said, or as its documentation says.
fn place(access: &Access, handle: &Value, name: &str, end: &str) -> Option<String> {
    if let Some(url) = answer::text_in(handle, name).filter(|url| access.leads_home(url, Fal.hosts())) {
        return Some(url.to_owned());
    }
    let id = answer::text_in(handle, "id").filter(|id| is_id(id))?;
    let app = answer::text_in(handle, "app").filter(|app| app.split('/').all(is_id))?;
    Some(access.url(QUEUE, &format!("/{app}/requests/{id}{end}")))
}

/// `owner/app` of an endpoint: status and results live there, without what follows. Two namespaces are part of it.
fn app_of(endpoint: &str) -> String {
    let segments = match endpoint.split('/').next() {
        Some("workflows" | "comfy") => 3,
        _ => 2,
    };
    endpoint.split('/').take(segments).collect::<Vec<_>>().join("/")
}

#[cfg(test)]
mod tests;
