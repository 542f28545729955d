//! Google's Gemini API: pictures and words by `generateContent`, films by Veo.
//!
//! The former is synchronous, the latter a long-running operation. Source: google-genai 3.4.0 and 1.75.0, and the
//! documentation of the Gemini API.

use crate::adapter::{Access, Adapter, Ask, Failure, Made, Polled, Product, Source, Submission, Submitted, Traits};
use crate::answer::{self, Seen};
use crate::http::{Request, Response};
use crate::{classify, mapping};
use darkroom_proto::{ErrorClass, Map, StepError};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::time::Duration;

/// The adapter.
#[derive(Debug)]
pub(crate) struct Google;

const NAME: &str = "google";
const HOST: &str = "https://generativelanguage.googleapis.com";

/// A picture takes half a minute, and more when the provider is busy.
const TIMEOUT: Duration = Duration::from_secs(180);

/// What is asked about a picture where the workflow asks nothing.
const DESCRIBE: &str =
    "Describe this picture in two or three plain sentences: what it shows, how it is arranged, light and colours.";

/// Boxes come as parts of a thousand, the vertical side first.
const BOX_PARTS: f64 = 1_000.0;

impl Adapter for Google {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            // Veo is not: it answers with a job.
            synchronous: true,
            webhook: false,
            signed: false,
            cancels: false,
            looks_up: false,
            at_once: 20,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["generativelanguage.googleapis.com"]
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mapped = mapping::body(ask)?;
        let is_film = ask.op == "video.generate";
        let (verb, body) = match is_film {
            true => ("predictLongRunning", mapped.body),
            false => ("generateContent", content(ask.op, mapped.body)),
        };
        let url = access.url(HOST, &format!("/v1beta/models/{}:{verb}", ask.route.endpoint));
        let request = Request::post(url, Value::Object(body)).within(if is_film { Request::TIMEOUT } else { TIMEOUT });
        Ok(Submission { request: keyed(access, request), ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, _access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        let body = response.json();
        if ask.op == "video.generate" {
            return match answer::text_in(&body, "name").filter(|name| is_operation(name)) {
                Some(name) => Submitted::Accepted(json!({"id": name, "op": ask.op})),
                None => answer::unreadable(NAME),
            };
        }
        if !body.is_object() {
            return Submitted::Refused(Failure::billed(classify::malformed(NAME, "the answer can't be read")));
        }
        match generated(ask, &body) {
            Ok(product) => Submitted::Done(product),
            Err(failure) => Submitted::Refused(failure),
        }
    }

    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError> {
        let name = answer::text_in(handle, "id").filter(|name| is_operation(name));
        let name = name.ok_or_else(|| classify::bad_handle(NAME))?;
        Ok(keyed(access, Request::get(access.url(HOST, &format!("/v1beta/{name}")))))
    }

    fn polled(&self, access: &Access, _handle: &Value, _stage: &str, response: &Response) -> Polled {
        if !response.is_success() {
            return Polled::Again(self.classify(response));
        }
        let body = response.json();
        if !body.is_object() {
            return Polled::Again(classify::malformed(NAME, "the operation can't be read"));
        }
        if body.get("done").and_then(Value::as_bool) != Some(true) {
            return Polled::Pending { progress: None };
        }
        if let Some(error) = body.get("error").filter(|error| error.is_object()) {
            return Polled::Failed(Failure::unbilled(of_operation(error)));
        }
        match films(access, &body) {
            Ok(product) => Polled::Done(product),
            Err(failure) => Polled::Failed(failure),
        }
    }

    fn classify(&self, response: &Response) -> StepError {
        let body = response.json();
        let error = body.get("error").unwrap_or(&Value::Null);
        let said = answer::text_in(error, "message").unwrap_or_default();
        let state = answer::text_in(error, "status").unwrap_or_default();
        let found = class_of(response.status, state, said, error.get("details").unwrap_or(&Value::Null));
        classify::error(NAME, response, found, said)
    }
}

fn keyed(access: &Access, request: Request) -> Request {
    request.secret("x-goog-api-key", access.key.expose_secret())
}

fn is_operation(name: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    name.len() <= 300
        && name.starts_with("models/")
        && name.split('/').all(|part| !part.is_empty() && part != ".." && part.bytes().all(is_plain))
}

/// The body of `generateContent`: the text first, then the pictures; what else was mapped stays as it is.
fn content(op: &str, mut mapped: Map) -> Map {
    let prompt = mapped.remove("prompt").and_then(|prompt| prompt.as_str().map(str::to_owned)).unwrap_or_default();
    let text = match op {
        "image.detect" => format!(
            "Find every {prompt} in this picture. Answer with a JSON list only: for each an object with \"box_2d\", which is \
             [ymin, xmin, ymax, xmax] from 0 to 1000, and \"label\". If there is none, answer with an empty list."
        ),
        "image.describe" if prompt.is_empty() => DESCRIBE.to_owned(),
        _ => prompt,
    };
    let mut parts = vec![json!({"text": text})];
    if let Some(Value::Array(images)) = mapped.remove("images") {
        parts.extend(images.into_iter().map(|image| json!({"inlineData": image})));
    }
    let mut body = Map::from_iter([("contents".to_owned(), json!([{"role": "user", "parts": parts}]))]);
    body.extend(mapped);
    match op {
        "image.detect" => {
            mapping::put(&mut body, "generationConfig.responseMimeType", "application/json".into(), false)
        }
        "image.describe" => {}
        _ => mapping::put(&mut body, "generationConfig.responseModalities", json!(["IMAGE"]), false),
    }
    body
}

/// What `generateContent` gave. All of its failures come with status 200.
fn generated(ask: &Ask<'_>, body: &Value) -> Result<Product, Failure> {
    let blocked = body.pointer("/promptFeedback/blockReason").and_then(Value::as_str);
    if let Some(reason) = blocked.filter(|reason| *reason != "BLOCK_REASON_UNSPECIFIED") {
        let said = format!("the prompt was blocked, {reason}");
        return Err(Failure::unbilled(
            classify::failed(NAME, ErrorClass::ContentRejected, &said).code(reason.to_lowercase()),
        ));
    }
    let candidate = body.pointer("/candidates/0").unwrap_or(&Value::Null);
    let reason = answer::text_in(candidate, "finishReason").unwrap_or_default();
    let parts = candidate.pointer("/content/parts").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let is_thought = |part: &&Value| part.get("thought").and_then(Value::as_bool) == Some(true);
    let parts: Vec<&Value> = parts.iter().filter(|part| !is_thought(part)).collect();
    let text: String = parts.iter().filter_map(|part| answer::text_in(part, "text")).collect();
    if REJECTIONS.contains(&reason) {
        let said = answer::text_in(candidate, "finishMessage").unwrap_or("the safety rules refused it");
        let error = classify::failed(NAME, ErrorClass::ContentRejected, &format!("{said}, {reason}"));
        return Err(Failure::unbilled(error.code(reason.to_lowercase())));
    }
    let mut product = Product::default();
    match ask.op {
        "image.detect" => {
            let size = ask.files.iter().find_map(|file| file.size);
            product.values.extend(boxes(&text, size).unwrap_or_default());
        }
        "image.describe" => {
            product
                .values
                .extend(Some(text.trim()).filter(|text| !text.is_empty()).map(|text| ("text".to_owned(), text.into())));
        }
        _ => {
            let picture = |part: &&Value| {
                let data = part.get("inlineData")?;
                let media_type = answer::text_in(data, "mimeType").unwrap_or("image/png");
                answer::inline("image", answer::text_in(data, "data")?, media_type)
            };
            product.files = parts.iter().filter_map(picture).collect();
        }
    }
    if product.files.is_empty() && product.values.is_empty() {
        let said = match (reason, text.trim()) {
            ("" | "STOP", "") => "the answer has no media".to_owned(),
            ("" | "STOP", text) => format!("it answered in words only: {text}"),
            (reason, _) => format!("the answer has no media, {reason}"),
        };
        return Err(Failure::unbilled(classify::no_media(NAME, &said)));
    }
    if let Some(usage) = body.get("usageMetadata").filter(|usage| usage.is_object()) {
        product.facts.insert("usage".to_owned(), usage.clone());
    }
    Ok(product)
}

/// Reasons to stop that are the safety rules'.
const REJECTIONS: &[&str] = &[
    "SAFETY",
    "PROHIBITED_CONTENT",
    "BLOCKLIST",
    "SPII",
    "RECITATION",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
];

/// Boxes from the JSON that a language model wrote, with or without a fence around it.
fn boxes(text: &str, size: Option<(u32, u32)>) -> Option<Map> {
    let (from, to) = (text.find('[')?, text.rfind(']')?);
    let list: Vec<Value> = serde_json::from_str(text.get(from..=to)?).ok()?;
    let (width, height) = size?;
    let one = |found: &Value| {
        let side = |at: usize| found.get("box_2d")?.get(at)?.as_f64().map(|side| side / BOX_PARTS);
        let (y0, x0, y1, x1) = (side(0)?, side(1)?, side(2)?, side(3)?);
        let (width, height) = (f64::from(width), f64::from(height));
        let label = answer::text_in(found, "label").unwrap_or_default().to_owned();
        Some(Seen { x: x0 * width, y: y0 * height, w: (x1 - x0) * width, h: (y1 - y0) * height, label, score: 1.0 })
    };
    Some(answer::boxes(list.iter().filter_map(one).collect(), size))
}

/// The films of an operation that is done.
fn films(access: &Access, body: &Value) -> Result<Product, Failure> {
    let response = body.pointer("/response/generateVideoResponse").or_else(|| body.get("response"));
    let response = response.unwrap_or(&Value::Null);
    let samples = response.get("generatedSamples").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let film = |sample: &Value| {
        let url = sample.pointer("/video/uri")?.as_str()?;
        let with_key = access.leads_home(url, Google.hosts());
        let source = match answer::at("video", url)?.source {
            Source::Url { url, .. } => Source::Url { url, with_key },
            bytes => bytes,
        };
        Some(Made { output: "video", source })
    };
    let files: Vec<Made> = samples.iter().filter_map(film).collect();
    let filtered = response.get("raiMediaFilteredCount").and_then(Value::as_u64).unwrap_or(0);
    if files.is_empty() && filtered > 0 {
        let reason = response.pointer("/raiMediaFilteredReasons/0").and_then(Value::as_str);
        let said = reason.unwrap_or("the safety rules refused the film");
        return Err(Failure::unbilled(classify::failed(NAME, ErrorClass::ContentRejected, said)));
    }
    answer::made(NAME, Product { files, ..Product::default() })
}

/// The error of an operation: codes of google.rpc.Code.
fn of_operation(error: &Value) -> StepError {
    let said = answer::text_in(error, "message").unwrap_or_default();
    let class = match error.get("code").and_then(Value::as_u64) {
        Some(3) => classify::by_words(said)
            .filter(|class| *class == ErrorClass::ContentRejected)
            .unwrap_or(ErrorClass::InvalidInput),
        Some(4) => ErrorClass::Timeout,
        Some(5) => ErrorClass::ModelNotFound,
        Some(7 | 16) => ErrorClass::InvalidKey,
        Some(8) => classify::by_words(said).unwrap_or(ErrorClass::RateLimit),
        Some(1) => ErrorClass::Cancelled,
        _ => ErrorClass::ServerUnavailable,
    };
    classify::failed(NAME, class, said)
}

fn class_of(status: u16, state: &str, said: &str, details: &Value) -> Option<ErrorClass> {
    let details = details.as_array().map_or(&[][..], Vec::as_slice);
    let lower = said.to_lowercase();
    match (status, state) {
        (429, _) | (_, "RESOURCE_EXHAUSTED") => {
            let violations = details.iter().filter_map(|detail| detail.get("violations")?.as_array()).flatten();
            let is_used_up = |violation: &Value| {
                answer::text_in(violation, "quotaId").is_some_and(|id| id.contains("PerDay"))
                    || answer::text_in(violation, "quotaValue") == Some("0")
            };
            let is_quota = violations.into_iter().any(is_used_up) || lower.contains("limit: 0");
            Some(if is_quota { ErrorClass::QuotaExceeded } else { ErrorClass::RateLimit })
        }
        (400, _) => {
            let is_key = details.iter().any(|detail| answer::text_in(detail, "reason") == Some("API_KEY_INVALID"));
            if is_key || lower.contains("api key not valid") || state == "FAILED_PRECONDITION" {
                Some(ErrorClass::InvalidKey)
            } else if lower.contains("payload size exceeds") {
                Some(ErrorClass::TooLarge)
            } else {
                Some(ErrorClass::InvalidInput)
            }
        }
        (_, "DEADLINE_EXCEEDED") => Some(ErrorClass::Timeout),
        _ => None,
    }
}
