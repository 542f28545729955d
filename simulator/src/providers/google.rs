//! Google: pictures and text of Gemini, films of Veo, files. Both `/v1` and `/v1beta` are served.

mod model;

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, decoded};
use crate::job::{Job, Order, Phase, Verdict};
use crate::media::Recipe;
use crate::provider::{Class, Links, Provider, Refusal, Route};
use crate::sign;
use crate::studio::Studio;
use crate::world::World;
use darkroom_proto::{Duration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// How long films, and what was uploaded, are kept.
const KEPT: Duration = Duration::from_secs(2 * 86_400);

pub(super) struct Google;

impl Provider for Google {
    fn name(&self) -> &'static str {
        "google"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        let path = decoded(&asked.path);
        let parts: Vec<&str> = path.split('/').collect();
        let (is_upload, parts) = match &parts[..] {
            ["upload", rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let parts = match parts {
            ["v1" | "v1beta" | "v1alpha", rest @ ..] => rest,
            rest => rest,
        };
        Some(match (asked.method.as_str(), parts) {
            ("POST", ["files"]) if is_upload && asked.query("upload_id").is_none() => {
                Route::other(Class::Upload, "begin")
            }
            // The link is the permission.
            ("POST" | "PUT", ["files"]) if is_upload => Route::other(Class::Upload, "bytes").without_key(),
            _ if is_upload => return None,
            ("POST", ["models", call]) => match call.split_once(':')? {
                (model, "generateContent" | "streamGenerateContent" | "predictLongRunning") => Route::submit(model),
                _ => return None,
            },
            ("GET", ["models", _, "operations", id]) => Route::of_job(Class::Poll, "operation", *id),
            ("GET", ["models"]) => Route::other(Class::Other, "models"),
            ("GET", ["models", name]) => Route::of_job(Class::Other, "model", *name),
            // The official Python client takes the id out of `https` links only, and asks for the whole of others.
            ("GET", ["files", call] | ["files", "http:", .., "files", call]) => match call.strip_suffix(":download") {
                Some(id) => Route::of_job(Class::Download, "download", id),
                None => Route::of_job(Class::Other, "file", *call),
            },
            ("DELETE", ["files", id]) => Route::of_job(Class::Other, "remove", *id),
            _ => return None,
        })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.header("x-goog-api-key").map(str::to_owned).or_else(|| asked.query("key"))
    }

    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        match decoded(&asked.path).ends_with(":predictLongRunning") {
            true => model::film(&route.endpoint, asked.json()),
            false => model::content(&route.endpoint, asked.json(), studio),
        }
    }

    fn accepted(&self, asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        if decoded(&asked.path).ends_with(":predictLongRunning") {
            return Reply::json(200, &json!({"name": operation_name(job)})).into();
        }
        Answer::At(job.ends, job.clone())
    }

    fn finished(&self, asked: &Asked, job: &Job, studio: &Studio<'_>) -> Reply {
        let body = model::answer(job, studio);
        match decoded(&asked.path).ends_with(":streamGenerateContent") {
            true => Reply::bytes(200, "text/event-stream", format!("data: {body}\r\n\r\n")),
            false => Reply::json(200, &body),
        }
    }

    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer {
        let reply = match route.endpoint.as_str() {
            "operation" => match world.job("google", route.id()) {
                Some(job) => Reply::json(200, &operation(&job, world)),
                None => self.refuse(&Refusal::NotFound),
            },
            "download" => {
                let linked = world.files.get(route.id()).filter(|linked| world.now() < linked.expires);
                match linked.map(|linked| linked.recipe.extension()) {
                    Some(extension) => Reply::redirect(&format!("{}/_files/{}/0.{extension}", asked.base, route.id())),
                    None => self.refuse(&Refusal::NotFound),
                }
            }
            "models" => Reply::json(200, &json!({"models": model::MODELS.map(model::document)})),
            "model" => match model::MODELS.contains(&route.id()) {
                true => Reply::json(200, &model::document(route.id())),
                false => self.refuse(&Refusal::NotFound),
            },
            "begin" => begin_upload(asked, world),
            "bytes" => match upload(asked, world) {
                Some(reply) => reply,
                None => self.refuse(&Refusal::NotFound),
            },
            "remove" => match world.files.remove(route.id()) {
                true => Reply::json(200, &json!({})),
                false => self.refuse(&Refusal::NotFound),
            },
            _ => match file(asked, route.id(), world) {
                Some(file) => Reply::json(200, &file),
                None => self.refuse(&Refusal::NotFound),
            },
        };
        reply.into()
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let status = |code: u16, word: &str, message: &str, details: Value| {
            let mut error = json!({"code": code, "message": message, "status": word});
            if details.is_array() {
                error["details"] = details;
            }
            Reply::json(code, &json!({"error": error}))
        };
        let quota = |id: &str, value: &str, after_ms: Option<u64>| {
            let violation = json!({
                "quotaMetric": "generativelanguage.googleapis.com/generate_content_requests", "quotaId": id, "quotaValue": value,
            });
            let mut details =
                json!([{"@type": "type.googleapis.com/google.rpc.QuotaFailure", "violations": [violation]}]);
            if let (Some(ms), Value::Array(details)) = (after_ms, &mut details) {
                let delay = format!("{}s", ms as f64 / 1e3);
                details.push(json!({"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": delay}));
            }
            let message = "You exceeded your current quota, please check your plan and billing details.";
            status(429, "RESOURCE_EXHAUSTED", message, details)
        };
        match refusal {
            Refusal::NoKey => {
                let message = "Method doesn't allow unregistered callers (callers without established identity). Please use \
                               API Key or other form of API consumer identity to call this API.";
                status(403, "PERMISSION_DENIED", message, Value::Null)
            }
            Refusal::InvalidKey => {
                let info = json!({
                    "@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID",
                    "domain": "googleapis.com", "metadata": {"service": "generativelanguage.googleapis.com"},
                });
                let message = "API key not valid. Please pass a valid API key.";
                status(400, "INVALID_ARGUMENT", message, json!([info]))
            }
            Refusal::Forbidden => status(403, "PERMISSION_DENIED", "Your project has been denied access.", Value::Null),
            Refusal::Quota => quota("GenerateRequestsPerDayPerProjectPerModel", "100", None),
            Refusal::TooMany { retry_after_ms, .. } => {
                quota("GenerateRequestsPerMinutePerProjectPerModel", "10", *retry_after_ms)
            }
            Refusal::Content => {
                status(400, "INVALID_ARGUMENT", "The prompt was blocked by the safety settings.", Value::Null)
            }
            Refusal::NotFound => status(404, "NOT_FOUND", "The requested entity was not found.", Value::Null),
            Refusal::Invalid { field, message } => {
                status(400, "INVALID_ARGUMENT", &format!("Invalid value at '{field}': {message}"), Value::Null)
            }
            Refusal::Status { status: code, .. } => {
                let (word, message) = match code {
                    403 => ("PERMISSION_DENIED", "The caller does not have permission."),
                    404 => ("NOT_FOUND", "The requested entity was not found."),
                    413 => ("INVALID_ARGUMENT", "Request payload size exceeds the limit."),
                    503 => ("UNAVAILABLE", "The model is overloaded. Please try again later."),
                    504 => ("DEADLINE_EXCEEDED", "The request timed out. Please try again."),
                    500.. => ("INTERNAL", "An internal error has occurred. Please retry."),
                    _ => ("INVALID_ARGUMENT", "Request contains an invalid argument."),
                };
                status(*code, word, message, Value::Null)
            }
        }
    }

    fn links(&self) -> Links {
        Links { lifetime: KEPT, renewed: false, gone: 404 }
    }
}

fn operation_name(job: &Job) -> String {
    format!("models/{}/operations/{}", job.endpoint, job.id)
}

fn operation(job: &Job, world: &mut World) -> Value {
    let name = operation_name(job);
    let response = match (job.phase(world.now()), job.verdict) {
        (Phase::Queued | Phase::Running, _) => return json!({"name": name}),
        (_, Verdict::Good) => {
            let samples: Vec<Value> = (0..job.makes.len())
                .map(|output| {
                    let link = world.link(job, output);
                    let id = link.rsplit('/').nth(1).unwrap_or_default();
                    let uri = format!("{}/google/v1beta/files/{id}:download?alt=media", job.base);
                    json!({"video": {"uri": uri}})
                })
                .collect();
            json!({"generatedSamples": samples})
        }
        _ => json!({
            "raiMediaFilteredCount": job.makes.len(),
            "raiMediaFilteredReasons": ["The prompt violates the usage guidelines. Support codes: 58061214"],
        }),
    };
    let kind = "type.googleapis.com/google.ai.generativelanguage.v1beta.PredictLongRunningResponse";
    json!({"name": name, "done": true, "response": {"@type": kind, "generateVideoResponse": response}})
}

/// The first request of an upload: where the bytes go.
fn begin_upload(asked: &Asked, world: &mut World) -> Reply {
    let media_type = asked.header("x-goog-upload-header-content-type").unwrap_or("application/octet-stream").to_owned();
    let body = asked.json();
    let name = body["file"]["display_name"].as_str().or(body["file"]["displayName"].as_str()).unwrap_or_default();
    let recipe = Recipe::Sent { blob: world.media.keep(Vec::new()), media_type };
    let id = world.keep("google", recipe, name, KEPT);
    let url = format!("{}/upload/v1beta/files?upload_id={id}", asked.root());
    Reply::json(200, &json!({})).with("x-goog-upload-url", url).with("x-goog-upload-status", "active")
}

/// The bytes of an upload, whole or a part of them.
fn upload(asked: &Asked, world: &mut World) -> Option<Reply> {
    let id = asked.query("upload_id")?;
    let Recipe::Sent { blob, media_type } = &*world.files.get(&id)?.recipe else { return None };
    let before = world.media.sent(*blob).unwrap_or_default();
    let blob = match asked.blob {
        Some(blob) if before.is_empty() => blob,
        _ => world.media.keep([&before[..], &asked.body[..]].concat()),
    };
    let recipe = Recipe::Sent { blob, media_type: media_type.clone() };
    world.files.replace(&id, recipe);
    if !asked.header("x-goog-upload-command").is_some_and(|command| command.contains("finalize")) {
        return Some(Reply::json(200, &json!({})).with("x-goog-upload-status", "active"));
    }
    let body = json!({"file": file(asked, &id, world)?});
    Some(Reply::json(200, &body).with("x-goog-upload-status", "final"))
}

/// What was uploaded, as a document.
fn file(asked: &Asked, id: &str, world: &World) -> Option<Value> {
    let linked = world.files.get(id).filter(|linked| linked.provider == "google" && world.now() < linked.expires)?;
    let Recipe::Sent { blob, media_type } = &*linked.recipe else { return None };
    let bytes = world.media.sent(*blob).unwrap_or_default();
    let created = Timestamp(linked.expires.0.saturating_sub(KEPT.0)).to_string();
    Some(json!({
        "name": format!("files/{id}"), "displayName": linked.name, "mimeType": media_type,
        "sizeBytes": bytes.len().to_string(), "createTime": created, "updateTime": created,
        "expirationTime": linked.expires.to_string(),
        "sha256Hash": crate::asked::to_base64(sign::sha256(&bytes).as_bytes()),
        "uri": format!("{}/v1beta/files/{id}", asked.root()), "state": "ACTIVE", "source": "UPLOADED",
    }))
}
