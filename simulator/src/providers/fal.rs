//! fal: the queue, the synchronous form below `/fal/run`, storage, signed webhooks.
//!
//! Its hosts are one here: `queue.fal.run`, `rest.fal.ai` and `v3.fal.media` are `/fal`, `fal.run` is `/fal/run`.

mod model;

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::job::{Job, Order, Phase, Verdict, Webhook};
use crate::lane::Over;
use crate::media::Recipe;
use crate::provider::{Class, Provider, Refusal, Route};
use crate::sign;
use crate::studio::Studio;
use crate::webhook::{Notice, Occasion};
use crate::world::{Cancel, World};
use darkroom_proto::{Duration, Timestamp};
use darkroom_worker::media::Format;
use serde_json::{Value, json};
use std::sync::Arc;

/// What uploads and outputs are kept for.
const KEPT: Duration = Duration::from_secs(7 * 86_400);

/// Stands before the key in the tokens of the storage.
const TOKEN: &str = "cdn-";

/// The account that webhooks name.
const USER: &str = "user_simulator";

pub(super) struct Fal;

impl Provider for Fal {
    fn name(&self) -> &'static str {
        "fal"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        Some(match (asked.parts().0, &asked.parts().1[..]) {
            ("GET", [".well-known", "jwks.json"]) => Route::other(Class::Other, "jwks").without_key(),
            ("POST", ["storage", "auth", "token"]) => Route::other(Class::Upload, "token"),
            ("POST", ["storage", "upload", "initiate"]) => Route::other(Class::Upload, "initiate"),
            ("POST", ["files", "upload"]) => Route::other(Class::Upload, "upload"),
            // The link is the permission.
            ("PUT", ["files", id, _]) => Route::of_job(Class::Upload, "put", *id).without_key(),
            // `owner/app`, below `workflows/` and `comfy/` one part more.
            ("GET", [.., "requests", id]) => Route::of_job(Class::Poll, "result", *id),
            ("GET", [.., "requests", id, "status"]) => Route::of_job(Class::Poll, "status", *id),
            ("GET", [.., "requests", id, "status", "stream"]) => Route::of_job(Class::Poll, "stream", *id),
            ("PUT", [.., "requests", id, "cancel"]) => Route::of_job(Class::Cancel, "cancel", *id),
            ("POST", ["run", endpoint @ ..]) if endpoint.len() > 1 => Route::submit(endpoint.join("/")),
            ("POST", endpoint) if endpoint.len() > 1 && !endpoint.contains(&"requests") => {
                Route::submit(endpoint.join("/"))
            }
            _ => return None,
        })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.authorization("Key").or_else(|| Some(asked.authorization("Bearer")?.strip_prefix(TOKEN)?.to_owned()))
    }

    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        let mut order = model::order(&route.endpoint, asked.json(), studio)?;
        order.webhook = asked.query("fal_webhook").map(Webhook::at);
        let deadline = asked.header("x-fal-request-timeout").and_then(|seconds| seconds.parse::<f64>().ok());
        order.begins_within_ms = deadline.map(|seconds| (seconds.max(0.0) * 1e3) as u64);
        Ok(order)
    }

    fn accepted(&self, asked: &Asked, job: &Arc<Job>, now: Timestamp) -> Answer {
        if asked.path.starts_with("run/") {
            return Answer::At(job.ends, job.clone());
        }
        let mut body = urls(job);
        body["status"] = "IN_QUEUE".into();
        body["gateway_request_id"] = job.id.clone().into();
        body["queue_position"] = position(job, now).into();
        body["cancel_url"] = format!("{}/cancel", job_url(job)).into();
        Reply::json(200, &body).with("x-fal-request-id", &*job.id).into()
    }

    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer {
        let now = world.now();
        match route.endpoint.as_str() {
            "jwks" => {
                let key =
                    json!({"kty": "OKP", "crv": "Ed25519", "use": "sig", "kid": "simulator", "x": sign::public_key()});
                return Reply::json(200, &json!({"keys": [key]})).into();
            }
            "token" => {
                let token = format!("{TOKEN}{}", self.key(asked).unwrap_or_default());
                let expires = now.after(Duration::from_secs(3_600)).to_string();
                let body = json!({
                    "token": token, "token_type": "Bearer", "base_url": asked.root(), "expires_at": expires,
                });
                return Reply::json(200, &body).into();
            }
            "initiate" => {
                let input = asked.json();
                let name = name_of(input["file_name"].as_str().unwrap_or("file"));
                let media_type = input["content_type"].as_str().unwrap_or("application/octet-stream").to_owned();
                let recipe = Recipe::Sent { blob: world.media.keep(Vec::new()), media_type };
                let id = world.keep("fal", recipe, &name, KEPT);
                let body = json!({
                    "upload_url": format!("{}/files/{id}/{name}", asked.root()),
                    "file_url": format!("{}/_files/{id}/{name}", asked.base),
                });
                return Reply::json(200, &body).into();
            }
            "put" => {
                let media_type = asked.header("content-type").unwrap_or("application/octet-stream").to_owned();
                let known =
                    asked.blob.is_some_and(|blob| world.files.replace(route.id(), Recipe::Sent { blob, media_type }));
                return Reply::empty(if known { 200 } else { 404 }).into();
            }
            "upload" => {
                let name = name_of(asked.header("x-fal-file-name").unwrap_or("file"));
                let media_type = asked.header("content-type").unwrap_or("application/octet-stream").to_owned();
                let blob = asked.blob.unwrap_or_else(|| world.media.keep(Vec::new()));
                let recipe = Recipe::Sent { blob, media_type };
                let id = world.keep("fal", recipe, &name, KEPT);
                let url = format!("{}/_files/{id}/{name}", asked.base);
                return Reply::json(200, &json!({"access_url": url})).into();
            }
            _ => {}
        }
        if route.endpoint == "cancel" {
            let (status, word) = match world.cancel("fal", route.id(), false) {
                Cancel::Done(_) => (202, "CANCELLATION_REQUESTED"),
                Cancel::TooLate(_) => (400, "ALREADY_COMPLETED"),
                Cancel::Unknown => (404, "NOT_FOUND"),
            };
            return Reply::json(status, &json!({"status": word})).into();
        }
        let Some(job) = world.job("fal", route.id()) else {
            return Reply::json(404, &json!({"detail": "Request not found"})).into();
        };
        match route.endpoint.as_str() {
            "status" => {
                let status = status(&job, now);
                Reply::json(if status["status"] == "COMPLETED" { 200 } else { 202 }, &status).into()
            }
            "stream" => Answer::Events(job),
            _ => self.result(&job, world),
        }
    }

    fn finished(&self, _asked: &Asked, job: &Job, studio: &Studio<'_>) -> Reply {
        match failure(job, studio.now()) {
            Some(reply) => reply,
            None => Reply::json(
                200,
                &model::output(job, &mut |output| match model::is_inline(job) {
                    true => data_uri(&studio.make(&job.makes[output]), &job.makes[output]),
                    false => studio.link(job, output),
                }),
            )
            .with("x-fal-request-id", &*job.id),
        }
    }

    fn event(&self, job: &Job, now: Timestamp) -> String {
        status(job, now).to_string()
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let flat = |status, detail: &str| Reply::json(status, &json!({"detail": detail}));
        let reply = match refusal {
            Refusal::NoKey => flat(401, "Authentication is required to access this application."),
            Refusal::InvalidKey => flat(401, "No user found for Key ID and Secret"),
            Refusal::Forbidden => flat(403, "Forbidden: this key may not access the application."),
            Refusal::Quota => {
                flat(403, "User is locked. Reason: Exhausted balance. Top up your balance at fal.ai/dashboard/billing.")
            }
            Refusal::TooMany { .. } => flat(429, "Too many requests. Please slow down."),
            Refusal::NotFound => flat(404, "Application not found"),
            Refusal::Content => model_error("prompt", "content_policy_violation", CONTENT),
            Refusal::Invalid { field, message } => {
                let kind = if message == "Field required" { "missing" } else { "value_error" };
                model_error(field, kind, message)
            }
            Refusal::Status { status, .. } => {
                let kind = match status {
                    400 => "bad_request",
                    499 => "client_cancelled",
                    502 => "runner_incomplete_response",
                    503 => "runner_scheduling_failure",
                    504 => "request_timeout",
                    500.. => "internal_error",
                    _ => "",
                };
                let detail = format!("Request failed with status {status}");
                match kind {
                    "" => flat(*status, &detail),
                    kind => Reply::json(*status, &json!({"detail": detail, "error_type": kind}))
                        .with("x-fal-error-type", kind),
                }
            }
        };
        reply.after(refusal)
    }

    fn notice(&self, job: &Arc<Job>, _occasion: Occasion, world: &mut World) -> Option<Notice> {
        let mut body = json!({"request_id": job.id, "gateway_request_id": job.id});
        match failure(job, world.now()) {
            Some(reply) => {
                body["status"] = "ERROR".into();
                body["error"] = format!("Invalid status code: {}", reply.status).into();
                body["payload"] = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
            }
            None => {
                body["status"] = "OK".into();
                body["payload"] = model::output(job, &mut |output| world.link(job, output));
            }
        }
        let notice = Notice::json(&body);
        let at = (world.now().0 / 1_000).to_string();
        let signature = signature(&job.id, USER, &at, &notice.body);
        Some(
            notice
                .with("x-fal-webhook-request-id", &*job.id)
                .with("x-fal-webhook-user-id", USER)
                .with("x-fal-webhook-timestamp", at)
                .with("x-fal-webhook-signature", signature),
        )
    }

    fn over(&self) -> Over {
        Over::Waits
    }

    fn rejected(&self, order: &mut Order) {
        if model::is_flux(&order.endpoint) {
            for recipe in &mut order.makes {
                let (width, height) = recipe.size().unwrap_or((1_024, 1_024));
                *recipe = Recipe::Black { width, height, format: Format::Jpeg };
            }
        }
    }

    fn webhook_tries(&self, _occasion: Occasion) -> u32 {
        10
    }
}

impl Fal {
    fn result(&self, job: &Arc<Job>, world: &mut World) -> Answer {
        let now = world.now();
        if job.ended(now).is_none() {
            return Reply::json(400, &json!({"detail": "Request is still in progress"})).into();
        }
        if let Some(reply) = failure(job, now) {
            return reply.into();
        }
        if model::is_inline(job) {
            return Answer::At(now, job.clone());
        }
        let output = model::output(job, &mut |output| world.link(job, output));
        Reply::json(200, &output).with("x-fal-request-id", &*job.id).into()
    }
}

/// What is said about content that is against the rules.
const CONTENT: &str = "The content could not be processed because it contained material flagged by a content checker.";

/// Where a job is asked about: the name of the app, without what stands behind it.
fn job_url(job: &Job) -> String {
    let parts: Vec<&str> = job.endpoint.split('/').collect();
    let length = if ["workflows", "comfy"].contains(&parts[0]) { 3 } else { 2 };
    format!("{}/fal/{}/requests/{}", job.base, parts[..length.min(parts.len())].join("/"), job.id)
}

fn urls(job: &Job) -> Value {
    let url = job_url(job);
    json!({"request_id": job.id, "response_url": url, "status_url": format!("{url}/status"), "cancel_url": format!("{url}/cancel")})
}

/// How many jobs may be before one that waits: told by its time, as all take about as long.
fn position(job: &Job, now: Timestamp) -> u64 {
    job.starts.since(now).0.saturating_sub(1) / job.ends.since(job.starts).0.max(1)
}

fn status(job: &Job, now: Timestamp) -> Value {
    let mut status = urls(job);
    let (word, queued) = match job.phase(now) {
        Phase::Queued => ("IN_QUEUE", true),
        Phase::Running => ("IN_PROGRESS", false),
        Phase::Done | Phase::Failed | Phase::Cancelled => ("COMPLETED", false),
    };
    status["status"] = word.into();
    if queued {
        status["queue_position"] = position(job, now).into();
        return status;
    }
    let message = format!("{:.0}%", job.progress(now) * 100.0);
    let log = json!({"message": message, "level": "INFO", "source": "USER", "timestamp": job.starts.to_string()});
    status["logs"] = json!([log]);
    if word == "COMPLETED" {
        status["metrics"] = json!({"inference_time": job.takes_s()});
        if let Some(reply) = failure(job, now) {
            let body: Value = serde_json::from_slice(&reply.body).unwrap_or(Value::Null);
            status["error"] = format!("Invalid status code: {}", reply.status).into();
            status["error_type"] = match &body["error_type"] {
                Value::Null => body["detail"][0]["type"].clone(),
                known => known.clone(),
            };
        }
    }
    status
}

/// How a job that ended badly answers. On flux, rejected pictures are black and no failure.
fn failure(job: &Job, now: Timestamp) -> Option<Reply> {
    match (job.phase(now), job.verdict) {
        (Phase::Cancelled, _) => {
            let body = json!({"detail": "Request was cancelled by the client", "error_type": "client_cancelled"});
            Some(Reply::json(499, &body))
        }
        (Phase::Failed, Verdict::Late) => {
            let body = json!({"detail": "Request timed out before it started", "error_type": "request_timeout"});
            Some(Reply::json(504, &body).with("x-fal-request-timeout-type", "user"))
        }
        (Phase::Failed, _) if !model::is_flux(&job.endpoint) => {
            Some(model_error("prompt", "content_policy_violation", CONTENT))
        }
        _ => None,
    }
}

fn model_error(field: &str, kind: &str, message: &str) -> Reply {
    let loc: Vec<&str> = std::iter::once("body").chain(Some(field).filter(|field| !field.is_empty())).collect();
    let url = format!("https://docs.fal.ai/errors/#{kind}");
    let body = json!({"detail": [{"loc": loc, "msg": message, "type": kind, "url": url}]});
    Reply::json(422, &body).with("x-fal-error-type", kind).with("x-fal-retryable", "false")
}

/// The signature of a webhook.
fn signature(request_id: &str, user_id: &str, timestamp: &str, body: &[u8]) -> String {
    sign::ed25519(format!("{request_id}\n{user_id}\n{timestamp}\n{}", sign::sha256(body)).as_bytes())
}

fn data_uri(bytes: &[u8], recipe: &Recipe) -> String {
    format!("data:{};base64,{}", recipe.media_type(), crate::asked::to_base64(bytes))
}

/// A name that can stand in a path.
fn name_of(text: &str) -> String {
    let text = text.rsplit('/').next().unwrap_or_default();
    let name: String = text.chars().filter(|c| c.is_ascii_alphanumeric() || ".-_".contains(*c)).take(100).collect();
    if name.is_empty() { "file".to_owned() } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_signed_as_documented() {
        let id = "123e4567-e89b-12d3-a456-426614174000";
        let body =
            format!(r#"{{"request_id":"{id}","gateway_request_id":"{id}","status":"OK","payload":{{"seed":42}}}}"#);
        assert_eq!(body.len(), 149);
        assert_eq!(sign::sha256(body.as_bytes()), "4664337eb3519781c2b166784c69f911f31d37f1d6259e3cbe7f00508e1700e6");
        assert_eq!(sign::public_key(), "A6EHv_POEL4dcN0Y50vAmWfk1jCbpQ1fHdyGZBJVMbg");
        assert_eq!(
            signature(id, "user_1", "1700000000", body.as_bytes()),
            "4f67aa3d4b38badee973a3b6741b92f0aa5a029c3d7f792c025b37896e409519\
             ae538d86b8a084154e94a8d2b60a6310d6f22ee72299d62a12729934399edc08"
        );
    }
}
