//! OpenAI, and servers that speak like it: pictures, changed pictures and speech.
//!
//! All of it is synchronous: the answer to the submission is the product. Such a server (Together, LocalAI, a proxy …) is this
//! adapter with a base URL and models of the user's own. Source: the clients openai 3.52.0 and 1.109.1, and OpenAI's
//! documentation.

use crate::adapter::{Access, Adapter, Ask, Failure, Polled, Product, Source, Submission, Submitted, Traits};
use crate::answer;
use crate::http::{Body, Method, Part, Request, Response};
use crate::{classify, mapping};
use darkroom_proto::{ErrorClass, StepError};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::time::Duration;

/// The adapter.
#[derive(Debug)]
pub(crate) struct OpenAi;

const NAME: &str = "openai";
const HOST: &str = "https://api.openai.com";

/// A picture takes two minutes, and more when the provider is busy.
const TIMEOUT: Duration = Duration::from_secs(300);

/// The voice where none is named.
const VOICE: &str = "alloy";

impl Adapter for OpenAi {
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
            at_once: 50,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &["api.openai.com"]
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mut mapped = mapping::body(ask)?;
        mapped.body.insert("model".to_owned(), ask.route.endpoint.clone().into());
        let path = match ask.op {
            "audio.speech" => {
                mapped.body.entry("voice").or_insert_with(|| VOICE.into());
                "/v1/audio/speech"
            }
            _ if ask.files.is_empty() => "/v1/images/generations",
            _ => "/v1/images/edits",
        };
        let body = if mapped.files.is_empty() {
            Body::Json(Value::Object(mapped.body.clone()))
        } else {
            Body::Multipart(form(mapped.parts(ask)))
        };
        let request = Request { body, ..Request::new(Method::Post, access.url(HOST, path)) }.within(TIMEOUT);
        let request = request.secret("authorization", format!("Bearer {}", access.key.expose_secret()));
        Ok(Submission { request, ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, _access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        let product = match ask.op {
            "audio.speech" => speech(response),
            _ => pictures(&response.json()),
        };
        match product.map(|product| answer::made(NAME, product)) {
            Some(Ok(product)) => Submitted::Done(product),
            Some(Err(failure)) => Submitted::Refused(failure),
            // It was made and is charged, and it is lost: only this request had it.
            None => Submitted::Refused(Failure::billed(classify::malformed(NAME, "the answer can't be read"))),
        }
    }

    fn poll(&self, _access: &Access, _handle: &Value) -> Result<Request, StepError> {
        Err(classify::bad_handle(NAME))
    }

    fn polled(&self, _access: &Access, _handle: &Value, _stage: &str, response: &Response) -> Polled {
        Polled::Failed(Failure::unbilled(self.classify(response)))
    }

    fn classify(&self, response: &Response) -> StepError {
        use ErrorClass::{ContentRejected, InvalidInput, InvalidKey, ModelNotFound, QuotaExceeded, RateLimit};
        let body = response.json();
        let of = |name: &str| body.pointer(&format!("/error/{name}")).and_then(Value::as_str).unwrap_or_default();
        let (code, kind) = (of("code"), of("type"));
        let found = match (code, kind) {
            ("insufficient_quota" | "billing_hard_limit_reached", _) | (_, "insufficient_quota") => Some(QuotaExceeded),
            ("invalid_api_key", _) => Some(InvalidKey),
            ("moderation_blocked" | "content_policy_violation", _) | (_, "image_generation_user_error") => {
                Some(ContentRejected)
            }
            ("model_not_found", _) => Some(ModelNotFound),
            ("rate_limit_exceeded", _) => Some(RateLimit),
            _ if (400..429).contains(&response.status) && !matches!(response.status, 401 | 403 | 404 | 413) => {
                classify::by_words(of("message")).or_else(|| (kind == "invalid_request_error").then_some(InvalidInput))
            }
            _ => None,
        };
        let error = classify::error(NAME, response, found, of("message"));
        if code.is_empty() { error } else { error.code(code) }
    }
}

/// The fields of an edit: one picture is `image`, several are `image[]`.
fn form(mut parts: Vec<Part>) -> Vec<Part> {
    let is_picture = |part: &Part| part.name == "image" && part.file_name.is_some();
    if parts.iter().filter(|part| is_picture(part)).count() > 1 {
        parts.iter_mut().filter(|part| is_picture(part)).for_each(|part| part.name = "image[]".to_owned());
    }
    parts
}

fn pictures(body: &Value) -> Option<Product> {
    let data = body.get("data")?.as_array()?;
    let format = answer::text_in(body, "output_format").unwrap_or("png");
    let media_type = format!("image/{format}");
    let picture = |one: &Value| match answer::text_in(one, "b64_json") {
        Some(data) => answer::inline("image", data, &media_type),
        None => answer::text_in(one, "url").and_then(|url| answer::at("image", url)),
    };
    let mut product = Product { files: data.iter().filter_map(picture).collect(), ..Product::default() };
    if let Some(usage) = body.get("usage").filter(|usage| usage.is_object()) {
        product.facts.insert("usage".to_owned(), usage.clone());
    }
    Some(product)
}

fn speech(response: &Response) -> Option<Product> {
    let media_type = response.header("content-type").unwrap_or("audio/mpeg");
    let media_type = media_type.split(';').next().unwrap_or(media_type).trim().to_owned();
    if media_type == "application/json" || classify::is_html(response) {
        return None;
    }
    let source = Source::Bytes { bytes: response.body.clone(), media_type };
    let files = if response.body.is_empty() { Vec::new() } else { vec![crate::Made { output: "audio", source }] };
    Some(Product { files, ..Product::default() })
}
