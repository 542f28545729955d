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

    fn check(&self, access: &Access) -> Option<Request> {
        let request = Request::get(access.url(HOST, "/v1/models"));
        Some(request.secret("authorization", format!("Bearer {}", access.key.expose_secret())))
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::{self, Sample, access, answer, json_of, secret};
    use serde_json::json;

    fn picture() -> Sample {
        Sample::new("image.generate", "openai", "gpt-image", json!({"prompt": "x"}))
    }

    fn edit() -> Sample {
        Sample::new("image.edit", "openai", "gpt-image", json!({"prompt": "x"})).with("image")
    }

    fn speech_of(text: &str) -> Sample {
        Sample::new("audio.speech", "openai", "gpt-tts", json!({"text": text}))
    }

    #[test]
    fn pictures_speech_and_edits_go_where_the_clients_send_them() {
        let submit = |sample: &Sample, base| OpenAi.submit(&access(base), &sample.ask()).unwrap();
        let made = submit(&picture(), None);
        assert_eq!(made.request.url, "https://api.openai.com/v1/images/generations");
        assert_eq!(secret(&made.request, "authorization"), format!("Bearer {}", sample::KEY));
        let want = json!({"prompt": "x", "size": "1024x1024", "quality": "medium", "model": "gpt-image-2"});
        assert_eq!(*json_of(&made.request), want);
        assert!(made.request.timeout >= Duration::from_secs(180));
        assert!(made.ignored.is_empty(), "a seed that nobody asked for is not missed: {:?}", made.ignored);
        let spoken = submit(&speech_of("hi"), Some("http://127.0.0.1:1/v1")).request;
        assert_eq!(spoken.url, "http://127.0.0.1:1/v1/audio/speech");
        let want =
            json!({"input": "hi", "speed": 1, "response_format": "mp3", "model": "gpt-4o-mini-tts", "voice": "alloy"});
        assert_eq!(*json_of(&spoken), want);
        let edited = submit(&edit(), None).request;
        assert_eq!(edited.url, "https://api.openai.com/v1/images/edits");
        let names = |request: &Request| match &request.body {
            Body::Multipart(parts) => parts.iter().map(|part| part.name.clone()).collect::<Vec<_>>(),
            other => panic!("{other:?}"),
        };
        assert_eq!(names(&edited), ["prompt", "quality", "model", "image"]);
        assert_eq!(
            names(&submit(&edit().with("images"), None).request),
            ["prompt", "quality", "model", "image[]", "image[]"]
        );
    }

    #[test]
    fn what_the_model_has_no_name_for_is_told() {
        let params = json!({"prompt": "x", "seed": 7, "negative-prompt": "y"});
        let sample = Sample::new("image.generate", "openai", "gpt-image", params);
        let mut ignored = OpenAi.submit(&access(None), &sample.ask()).unwrap().ignored;
        ignored.sort();
        assert_eq!(ignored, ["negative-prompt", "seed"]);
        let masked = OpenAi.submit(&access(None), &edit().with("mask").ask()).unwrap_err();
        assert_eq!(masked.code, "unsupported_parameter");
    }

    #[test]
    fn the_answer_is_the_product() {
        let body = r#"{"created":1,"data":[{"b64_json":"cG5n"}],"output_format":"webp","usage":{"total_tokens":100}}"#;
        let Submitted::Done(product) = OpenAi.submitted(&access(None), &picture().ask(), &answer(200, body)) else {
            panic!()
        };
        let Source::Bytes { bytes, media_type } = &product.files[0].source else { panic!() };
        assert_eq!((bytes.as_slice(), media_type.as_str()), (&b"png"[..], "image/webp"));
        assert_eq!(product.facts["usage"]["total_tokens"], 100);
        // A compatible server may give a link.
        let linked = answer(200, r#"{"data":[{"url":"https://x.example/a.png"}]}"#);
        let Submitted::Done(product) = OpenAi.submitted(&access(None), &picture().ask(), &linked) else { panic!() };
        assert!(matches!(product.files[0].source, Source::Url { .. }));
        let sound = Response { headers: vec![("content-type".into(), "audio/mpeg; x=1".into())], ..answer(200, "mp3") };
        let Submitted::Done(product) = OpenAi.submitted(&access(None), &speech_of("hi").ask(), &sound) else {
            panic!()
        };
        assert!(matches!(&product.files[0].source, Source::Bytes { media_type, .. } if media_type == "audio/mpeg"));
        assert_eq!(product.files[0].output, "audio");
    }

    #[test]
    fn an_answer_without_a_product_is_a_failure_that_is_paid() {
        for body in [
            "{}",
            "<html>",
            r#"{"data":[]}"#,
            r#"{"data":[{"b64_json":""}]}"#,
            r#"{"data":[{"b64_json":"no base64"}]}"#,
        ] {
            let Submitted::Refused(failure) = OpenAi.submitted(&access(None), &picture().ask(), &answer(200, body))
            else {
                panic!("{body}")
            };
            assert_eq!((failure.error.class, failure.billed), (ErrorClass::ServerUnavailable, true), "{body}");
        }
        let empty = OpenAi.submitted(&access(None), &speech_of("hi").ask(), &answer(200, ""));
        assert!(matches!(empty, Submitted::Refused(failure) if failure.error.code == "no_media"));
    }

    #[test]
    fn errors_have_the_class_that_openai_documents() {
        use ErrorClass::*;
        let error = |code: &str, kind: &str, message: &str| {
            json!({"error": {"message": message, "type": kind, "param": null, "code": code}}).to_string()
        };
        let cases = [
            (
                400,
                error("moderation_blocked", "image_generation_user_error", "rejected by the safety system"),
                ContentRejected,
            ),
            (400, error("content_policy_violation", "invalid_request_error", "m"), ContentRejected),
            (400, error("billing_hard_limit_reached", "invalid_request_error", "m"), QuotaExceeded),
            (400, error("invalid_value", "invalid_request_error", "size is wrong"), InvalidInput),
            (400, error("invalid_image_file", "invalid_request_error", "m"), InvalidInput),
            (400, error("model_not_found", "invalid_request_error", "m"), ModelNotFound),
            (
                401,
                error("invalid_api_key", "invalid_request_error", "Incorrect API key provided: sk-abcdefghijkl"),
                InvalidKey,
            ),
            (403, error("", "invalid_request_error", "Your organization must be verified"), InvalidKey),
            (404, error("model_not_found", "invalid_request_error", "m"), ModelNotFound),
            (413, "{}".to_owned(), TooLarge),
            (429, error("rate_limit_exceeded", "requests", "m"), RateLimit),
            (429, error("insufficient_quota", "insufficient_quota", "m"), QuotaExceeded),
            (429, "{}".to_owned(), RateLimit),
            (500, error("", "server_error", "m"), ServerUnavailable),
            (503, error("", "server_error", "slow down"), ServerUnavailable),
        ];
        for (status, body, want) in cases {
            let error = OpenAi.classify(&answer(status, &body));
            assert_eq!(error.class, want, "{status} {body}");
            assert!(!error.message.contains("abcdefghijkl"), "{}", error.message);
        }
        let (gateway, limited) = (answer(504, "{}"), answer(503, "{}"));
        assert!(matches!(OpenAi.submitted(&access(None), &picture().ask(), &gateway), Submitted::Unclear(_)));
        assert!(matches!(OpenAi.submitted(&access(None), &picture().ask(), &limited), Submitted::Refused(_)));
    }
}
