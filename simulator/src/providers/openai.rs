//! OpenAI: images, speech, models. Everything is answered when it is done.

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, to_base64};
use crate::form::Form;
use crate::job::{Job, Order, Verdict};
use crate::media::{Change, Recipe, Source};
use crate::options::Kind;
use crate::provider::{Class, Provider, Refusal, Route, whole_seconds};
use crate::studio::{Studio, seed};
use crate::world::World;
use darkroom_proto::Timestamp;
use darkroom_worker::media::Format;
use serde_json::{Value, json};
use std::sync::Arc;

/// The models that the list names; any other is taken as well.
const MODELS: [&str; 6] = ["gpt-image-2", "gpt-image-1.5", "gpt-image-1-mini", "gpt-4o-mini-tts", "tts-1", "tts-1-hd"];

/// Bytes of a WAV file before its samples.
const WAV_HEADER: usize = 44;

pub(super) struct OpenAi;

impl Provider for OpenAi {
    fn name(&self) -> &'static str {
        "openai"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        let (verb, parts) = asked.parts();
        Some(match (verb, parts.strip_prefix(&["v1"]).unwrap_or(&parts)) {
            ("POST", ["images", "generations"] | ["audio", "speech"]) => {
                Route::submit(asked.json()["model"].as_str().unwrap_or_default())
            }
            ("POST", ["images", "edits"]) => {
                Route::submit(Form::of(asked).and_then(|form| form.text("model")).unwrap_or_default())
            }
            ("GET", ["models"]) => Route::other(Class::Other, "models"),
            ("GET", ["models", id]) => Route::of_job(Class::Other, "model", *id),
            _ => return None,
        })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.authorization("Bearer")
    }

    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        if asked.path.ends_with("edits") {
            let form = Form::of(asked).ok_or_else(|| Refusal::invalid("image", "the body is no form with files"))?;
            let image = form.files("image").next().ok_or_else(|| Refusal::missing("image"))?;
            let source = Source::Sent(studio.media().keep(image.bytes.clone()));
            return images(&route.endpoint, form.document(), Some(source));
        }
        let input = asked.json();
        if asked.path.ends_with("generations") {
            return images(&route.endpoint, input, None);
        }
        let text = input["input"].as_str().ok_or_else(|| Refusal::missing("input"))?;
        if text.chars().count() > 4_096 {
            return Err(Refusal::invalid("input", "string too long: at most 4096 characters"));
        }
        input["voice"].as_str().ok_or_else(|| Refusal::missing("voice"))?;
        let wav = match input["response_format"].as_str().unwrap_or("mp3") {
            "mp3" => false,
            "wav" | "pcm" => true,
            other => return Err(Refusal::invalid("response_format", format!("the simulator makes no {other}"))),
        };
        let recipe = Recipe::speech(text, wav);
        Ok(named(Order::new(&*route.endpoint, Kind::Audio, input)).makes(recipe))
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        Answer::At(job.ends, job.clone())
    }

    fn finished(&self, asked: &Asked, job: &Job, studio: &Studio<'_>) -> Reply {
        if job.verdict == Verdict::Rejected {
            return self.refuse(&Refusal::Content);
        }
        let reply = match asked.path.ends_with("speech") {
            true => speech(job, studio),
            false => pictures(job, studio),
        };
        reply.with("x-request-id", &*job.id)
    }

    fn look(&self, _asked: &Asked, route: &Route, _world: &mut World) -> Answer {
        let model = |id: &str| json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "simulator"});
        let body = match route.job.as_deref() {
            Some(id) if !MODELS.contains(&id) => return self.refuse(&Refusal::NotFound).into(),
            Some(id) => model(id),
            None => json!({"object": "list", "data": MODELS.map(model)}),
        };
        Reply::json(200, &body).into()
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let invalid = "invalid_request_error";
        let error = |status, code: &str, kind: &str, param: Option<&str>, message: &str| {
            Reply::json(status, &json!({"error": {"message": message, "type": kind, "param": param, "code": code}}))
        };
        let (reply, retry_after_ms) = match refusal {
            Refusal::NoKey => {
                let message = "You didn't provide an API key. You need to provide your API key in an Authorization header \
                               using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).";
                (
                    Reply::json(
                        401,
                        &json!({"error": {"message": message, "type": invalid, "param": null, "code": null}}),
                    ),
                    None,
                )
            }
            Refusal::InvalidKey => (error(401, "invalid_api_key", invalid, None, "Incorrect API key provided."), None),
            Refusal::Forbidden => {
                let message = "Your organization must be verified to use this model.";
                (error(403, "organization_must_be_verified", invalid, None, message), None)
            }
            Refusal::Quota => {
                let message = "You exceeded your current quota, please check your plan and billing details.";
                (error(429, "insufficient_quota", "insufficient_quota", None, message), None)
            }
            Refusal::TooMany { retry_after_ms, .. } => {
                let after = retry_after_ms.map(|ms| format!(" Please try again in {}s.", whole_seconds(ms)));
                let message = format!("Rate limit reached for requests.{}", after.unwrap_or_default());
                (error(429, "rate_limit_exceeded", "requests", None, &message), *retry_after_ms)
            }
            Refusal::Content => {
                let message = "Your request was rejected by the safety system. If you believe this is an error, contact us. \
                               safety_violations=[sexual].";
                (error(400, "moderation_blocked", "image_generation_user_error", None, message), None)
            }
            Refusal::NotFound => (error(404, "model_not_found", invalid, None, "The model does not exist."), None),
            Refusal::Invalid { field, message } => {
                let code = if message == "Field required" { "missing_required_parameter" } else { "invalid_value" };
                let message = format!("Invalid '{field}': {message}");
                (error(400, code, invalid, Some(field), &message), None)
            }
            Refusal::Status { status, retry_after_ms } => {
                let reply = match status {
                    404 => error(404, "model_not_found", invalid, None, "The model does not exist."),
                    500.. => {
                        let message = "The server had an error while processing your request. Sorry about that!";
                        error(*status, "server_error", "server_error", None, message)
                    }
                    _ => error(*status, "invalid_request", invalid, None, "The request could not be processed."),
                };
                (reply, *retry_after_ms)
            }
        };
        let reply = reply.with("x-request-id", format!("req_{}", crate::world::new_id()));
        match retry_after_ms {
            Some(ms) => {
                let seconds = whole_seconds(ms);
                reply
                    .with("retry-after", seconds.to_string())
                    .with("retry-after-ms", ms.to_string())
                    .with("x-ratelimit-remaining-requests", "0")
                    .with("x-ratelimit-reset-requests", format!("{seconds}s"))
            }
            None => reply,
        }
    }

    fn bills_rejected(&self) -> bool {
        false
    }
}

/// Requests are called `req_…` here.
fn named(mut order: Order) -> Order {
    order.id = Some(format!("req_{}", crate::world::new_id()));
    order
}

fn images(model: &str, input: Value, edited: Option<Source>) -> Result<Order, Refusal> {
    let prompt = input["prompt"].as_str().filter(|text| !text.is_empty()).ok_or_else(|| Refusal::missing("prompt"))?;
    if prompt.chars().count() > 32_000 {
        return Err(Refusal::invalid("prompt", "string too long: at most 32000 characters"));
    }
    let size = input["size"].as_str().unwrap_or("auto");
    let size = match size.split_once('x').map(|(width, height)| (width.parse().ok(), height.parse().ok())) {
        Some((Some(width @ 1..=4_096), Some(height @ 1..=4_096))) => (width, height),
        None if size == "auto" => (1_024, 1_024),
        _ => return Err(Refusal::invalid("size", format!("`{size}` is not supported"))),
    };
    // In forms numbers are text.
    let count = input["n"].as_u64().or_else(|| input["n"].as_str()?.parse().ok()).unwrap_or(1);
    if !(1..=10).contains(&count) {
        return Err(Refusal::invalid("n", "from 1 to 10"));
    }
    let format = input["output_format"].as_str().unwrap_or("png");
    let format = Format::of_extension(format)
        .ok_or_else(|| Refusal::invalid("output_format", format!("`{format}` is not supported")))?;
    let seed = seed(&input);
    let mut order = named(Order::new(model, Kind::Image, Value::Null));
    for number in 0..count {
        order.makes.push(match &edited {
            Some(source) => Recipe::changed(source.clone(), prompt, seed + number, Change::Edit, format),
            None => Recipe::drawn(prompt, seed + number, size, format),
        });
    }
    let stream = input["stream"] == true || input["stream"] == "true";
    order.memory = json!({"size": size, "stream": stream});
    order.input = input;
    Ok(order)
}

fn pictures(job: &Job, studio: &Studio<'_>) -> Reply {
    let made: Vec<String> = job.makes.iter().map(|recipe| to_base64(&studio.make(recipe))).collect();
    let format = match job.makes.first().map(|recipe| recipe.extension()) {
        Some("jpg") => "jpeg",
        Some(extension) => extension,
        None => "png",
    };
    let tokens = 1_056 * made.len();
    let usage = json!({
        "input_tokens": 50, "input_tokens_details": {"text_tokens": 10, "image_tokens": 40},
        "output_tokens": tokens, "total_tokens": tokens + 50,
    });
    let mut body = json!({
        "created": job.created.0 / 1_000, "background": "opaque", "output_format": format, "quality": "high",
        "size": format!("{}x{}", job.memory["size"][0], job.memory["size"][1]), "usage": usage,
    });
    if job.memory["stream"] == true {
        body["type"] = "image_generation.completed".into();
        body["created_at"] = body["created"].take();
        body["b64_json"] = made.into_iter().next().unwrap_or_default().into();
        return Reply::bytes(200, "text/event-stream", format!("event: image_generation.completed\ndata: {body}\n\n"));
    }
    body["data"] = made.into_iter().map(|made| json!({"b64_json": made})).collect();
    Reply::json(200, &body)
}

fn speech(job: &Job, studio: &Studio<'_>) -> Reply {
    let Some(recipe) = job.makes.first() else { return Reply::empty(500) };
    let made = studio.make(recipe);
    match job.input["response_format"].as_str() {
        Some("pcm") => Reply::bytes(200, "audio/pcm", made.slice(WAV_HEADER.min(made.len())..)),
        _ => Reply::bytes(200, recipe.media_type(), made),
    }
}
