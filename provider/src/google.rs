//! Google's Gemini API: pictures and words by `generateContent`, films by Veo.
//!
//! The former is synchronous, the latter a long-running operation. Source: google-genai 3.4.0 and 1.75.0, and the
//! documentation of the Gemini API.

use crate::adapter::{Access, Adapter, Ask, Failure, Made, Polled, Product, Source, Submission, Submitted, Traits};
use crate::answer::{self, Seen};
use crate::http::{Request, Response};
use crate::{classify, mapping};
use darkroom_proto::{ErrorClass, Map, StepError};
use secrecy::{ExposeSecret, SecretString};
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

    fn download_secrets(&self, access: &Access) -> Vec<(&'static str, SecretString)> {
        vec![("x-goog-api-key", access.key.clone())]
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, Sample, access, answer, json_of, secret};

    fn picture() -> Sample {
        let params = json!({"prompt": "x", "width": 1920, "height": 1080, "seed": 42});
        Sample::new("image.generate", "google", "nano-banana", params)
    }

    fn film() -> Sample {
        Sample::new("video.generate", "google", "veo", json!({"prompt": "x", "duration": "8s"}))
    }

    fn of(sample: &Sample, body: &Value) -> Submitted {
        Google.submitted(&access(None), &sample.ask(), &answer(200, &body.to_string()))
    }

    fn candidate(reason: &str, parts: Value) -> Value {
        json!({"candidates": [{"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}]})
    }

    #[test]
    fn a_picture_is_asked_for_as_the_client_does() {
        let Submission { request, ignored, .. } = Google.submit(&access(None), &picture().ask()).unwrap();
        let host = "https://generativelanguage.googleapis.com";
        assert_eq!(request.url, format!("{host}/v1beta/models/gemini-3-pro-image:generateContent"));
        assert_eq!(secret(&request, "x-goog-api-key"), sample::KEY);
        let want = json!({
            "contents": [{"role": "user", "parts": [{"text": "x"}]}],
            "generationConfig": {
                "imageConfig": {"aspectRatio": "16:9"}, "seed": 42, "responseModalities": ["IMAGE"],
            },
        });
        assert_eq!(*json_of(&request), want);
        assert!(ignored.is_empty(), "{ignored:?}");
        let edit =
            Sample::new("image.edit", "google", "nano-banana", json!({"prompt": "x"})).with("image").with("images");
        let body = Google.submit(&access(None), &edit.ask()).unwrap().request;
        let parts = json_of(&body).pointer("/contents/0/parts").unwrap();
        let image = json!({"inlineData": {"mimeType": "image/png", "data": "cG5n"}});
        assert_eq!(*parts, json!([{"text": "x"}, image, image]));
    }

    #[test]
    fn a_film_is_a_long_running_operation() {
        let request =
            Google.submit(&access(Some("http://127.0.0.1:1/google")), &film().with("image").ask()).unwrap().request;
        assert_eq!(request.url, "http://127.0.0.1:1/google/v1beta/models/veo-3.1-generate-preview:predictLongRunning");
        let want = json!({
            "instances": [{"prompt": "x", "image": {"mimeType": "image/png", "bytesBase64Encoded": "cG5n"}}],
            "parameters": {"durationSeconds": 8, "aspectRatio": "16:9", "sampleCount": 1, "resolution": "720p"},
        });
        let body = json_of(&request);
        assert_eq!(body["instances"], want["instances"]);
        assert_eq!(body["parameters"], want["parameters"]);
        let name = "models/veo-3.1-generate-preview/operations/abc";
        let Submitted::Accepted(handle) = of(&film(), &json!({"name": name})) else { panic!() };
        let poll = Google.poll(&access(None), &handle).unwrap();
        assert_eq!(poll.url, format!("https://generativelanguage.googleapis.com/v1beta/{name}"));
        for name in ["", "models/../x", "operations/abc", "models/a?key=b"] {
            assert!(Google.poll(&access(None), &json!({"id": name})).is_err(), "{name}");
            assert!(matches!(of(&film(), &json!({"name": name})), Submitted::Unclear(_)), "{name}");
        }
    }

    #[test]
    fn the_picture_is_the_part_that_is_no_thought() {
        let data = json!({"inlineData": {"mimeType": "image/png", "data": "cG5n"}});
        let thought = json!({"thought": true, "inlineData": {"mimeType": "image/png", "data": "AAAA"}});
        let body = candidate("STOP", json!([{"text": "here"}, thought, data]));
        let Submitted::Done(product) = of(&picture(), &body) else { panic!() };
        let [made] = product.files.as_slice() else { panic!("{product:?}") };
        assert!(
            matches!(&made.source, Source::Bytes { bytes, media_type } if bytes == b"png" && media_type == "image/png")
        );
    }

    #[test]
    fn what_the_safety_rules_stop_is_a_rejection_and_what_is_missing_is_tried_again() {
        use ErrorClass::{ContentRejected, ServerUnavailable};
        let mut cases: Vec<(Value, ErrorClass)> =
            REJECTIONS.iter().map(|reason| (candidate(reason, json!([])), ContentRejected)).collect();
        for reason in ["SAFETY", "BLOCKLIST", "PROHIBITED_CONTENT", "IMAGE_SAFETY", "OTHER"] {
            cases.push((json!({"promptFeedback": {"blockReason": reason}}), ContentRejected));
        }
        for reason in ["NO_IMAGE", "IMAGE_OTHER", "OTHER", "MALFORMED_RESPONSE", "STOP"] {
            cases.push((candidate(reason, json!([{"text": "I can't"}])), ServerUnavailable));
        }
        cases.push((json!({}), ServerUnavailable));
        cases.push((json!({"candidates": []}), ServerUnavailable));
        for (body, want) in cases {
            let Submitted::Refused(failure) = of(&picture(), &body) else { panic!("{body}") };
            assert_eq!(failure.error.class, want, "{body}");
            assert!(want == ContentRejected || failure.error.code == "no_media", "{body}");
        }
    }

    #[test]
    fn words_and_boxes_are_read_out_of_the_text() {
        let describe = Sample::new("image.describe", "google", "describe", json!({})).with("image");
        let request = Google.submit(&access(None), &describe.ask()).unwrap().request;
        assert_eq!(json_of(&request).pointer("/contents/0/parts/0/text"), Some(&DESCRIBE.into()));
        let Submitted::Done(product) = of(&describe, &candidate("STOP", json!([{"text": " A mug. "}]))) else {
            panic!()
        };
        assert_eq!(product.values["text"], "A mug.");
        let detect = Sample::new("image.detect", "google", "detect", json!({"target": "mug"})).with("image");
        let request = Google.submit(&access(None), &detect.ask()).unwrap().request;
        let body = json_of(&request);
        assert!(body.pointer("/contents/0/parts/0/text").unwrap().as_str().unwrap().contains("mug"));
        assert_eq!(body.pointer("/generationConfig/responseMimeType"), Some(&"application/json".into()));
        for text in [
            r#"[{"box_2d":[100,200,600,700],"label":"mug"}]"#,
            "```json\n[{\"box_2d\":[100,200,600,700],\"label\":\"mug\"}]\n```",
        ] {
            let Submitted::Done(product) = of(&detect, &candidate("STOP", json!([{"text": text}]))) else {
                panic!("{text}")
            };
            // Of a picture of 1000 by 500 pixels.
            assert_eq!(product.values["boxes"], json!([{"x": 200, "y": 50, "w": 500, "h": 250}]), "{text}");
        }
        let Submitted::Done(product) = of(&detect, &candidate("STOP", json!([{"text": "[]"}]))) else { panic!() };
        assert_eq!(product.values["boxes"], json!([]));
        assert!(matches!(of(&detect, &candidate("STOP", json!([{"text": "none"}]))), Submitted::Refused(_)));
    }

    #[test]
    fn an_operation_is_pending_done_filtered_or_failed() {
        use ErrorClass::*;
        let handle = json!({"id": "models/veo/operations/abc", "op": "video.generate"});
        let polled = |body: &Value| Google.polled(&access(None), &handle, "", &answer(200, &body.to_string()));
        let done = |response: Value| json!({"done": true, "response": {"generateVideoResponse": response}});
        let sample =
            |uri: &str| done(json!({"generatedSamples": [{"video": {"uri": uri}}], "raiMediaFilteredCount": 0}));
        assert!(matches!(polled(&json!({"name": "x"})), Polled::Pending { .. }));
        let home = "https://generativelanguage.googleapis.com/v1beta/files/xyz:download?alt=media";
        for (uri, shows_key) in [(home, true), ("https://evil.example/x.mp4", false)] {
            let Polled::Done(product) = polled(&sample(uri)) else { panic!("{uri}") };
            assert!(
                matches!(&product.files[0].source, Source::Url { url, with_key } if url == uri && *with_key == shows_key),
                "{uri}"
            );
        }
        let filtered = done(json!({"raiMediaFilteredCount": 1, "raiMediaFilteredReasons": ["no celebrities"]}));
        let error = |code: u32, message: &str| json!({"done": true, "error": {"code": code, "message": message}});
        let cases = [
            (filtered, ContentRejected),
            (done(json!({})), ServerUnavailable),
            (error(3, "a parameter is wrong"), InvalidInput),
            (error(3, "violates our content policy"), ContentRejected),
            (error(4, "m"), Timeout),
            (error(8, "m"), RateLimit),
            (error(8, "you exceeded your current quota"), QuotaExceeded),
            (error(13, "m"), ServerUnavailable),
            (error(14, "m"), ServerUnavailable),
            (error(99, "m"), ServerUnavailable),
        ];
        for (body, want) in cases {
            let Polled::Failed(failure) = polled(&body) else { panic!("{body}") };
            assert_eq!(failure.error.class, want, "{body}");
        }
        for status in [401, 404, 429, 503] {
            let again = Google.polled(&access(None), &handle, "", &answer(status, "{}"));
            assert!(matches!(again, Polled::Again(_)), "{status}");
        }
    }

    #[test]
    fn errors_have_the_class_that_google_documents() {
        use ErrorClass::*;
        let error = |code: u16, status: &str, message: &str, details: Value| {
            json!({"error": {"code": code, "message": message, "status": status, "details": details}}).to_string()
        };
        let quota = |id: &str, value: &str| {
            json!([
                {"@type": "QuotaFailure", "violations": [{"quotaId": id, "quotaValue": value}]},
                {"@type": "RetryInfo", "retryDelay": "30s"},
            ])
        };
        let minute = "GenerateRequestsPerMinutePerProjectPerModel-FreeTier";
        let cases = [
            (400, error(400, "INVALID_ARGUMENT", "m", json!([{"reason": "API_KEY_INVALID"}])), InvalidKey),
            (
                400,
                error(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", json!([])),
                InvalidKey,
            ),
            (400, error(400, "INVALID_ARGUMENT", "aspect ratio", json!([])), InvalidInput),
            (400, error(400, "INVALID_ARGUMENT", "Request payload size exceeds the limit", json!([])), TooLarge),
            (400, error(400, "FAILED_PRECONDITION", "User location is not supported", json!([])), InvalidKey),
            (403, error(403, "PERMISSION_DENIED", "m", json!([])), InvalidKey),
            (404, error(404, "NOT_FOUND", "models/x is not found", json!([])), ModelNotFound),
            (413, "{}".to_owned(), TooLarge),
            (429, error(429, "RESOURCE_EXHAUSTED", "m", quota(minute, "10")), RateLimit),
            (429, error(429, "RESOURCE_EXHAUSTED", "m", quota(minute, "0")), QuotaExceeded),
            (
                429,
                error(429, "RESOURCE_EXHAUSTED", "m", quota("GenerateRequestsPerDayPerProject", "10")),
                QuotaExceeded,
            ),
            (500, error(500, "INTERNAL", "m", json!([])), ServerUnavailable),
            (503, error(503, "UNAVAILABLE", "overloaded", json!([])), ServerUnavailable),
            (504, error(504, "DEADLINE_EXCEEDED", "m", json!([])), Timeout),
        ];
        for (status, body, want) in cases {
            assert_eq!(Google.classify(&answer(status, &body)).class, want, "{status} {body}");
        }
        let limited = Google.classify(&answer(429, &error(429, "RESOURCE_EXHAUSTED", "m", quota(minute, "10"))));
        assert_eq!(limited.retry_after, Some(darkroom_proto::Duration::from_secs(30)));
    }
}
