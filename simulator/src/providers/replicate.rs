//! Replicate: predictions by version, model and deployment, models, files, signed webhooks.

mod model;

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, from_base64, to_base64};
use crate::form::Form;
use crate::job::{Job, Order, Phase, Verdict, Webhook};
use crate::media::Recipe;
use crate::provider::{Class, Links, Provider, Refusal, Route, whole_seconds};
use crate::sign;
use crate::studio::Studio;
use crate::webhook::{Notice, Occasion};
use crate::world::{Cancel, World};
use darkroom_proto::{Duration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// After this, input and output of a prediction are removed.
const KEPT: Duration = Duration::from_secs(3_600);

/// How long what was uploaded is kept.
const UPLOAD_KEPT: Duration = Duration::from_secs(86_400);

/// What webhooks are signed with, the same for everybody.
const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";

/// How many predictions a page of the list has.
const PAGE: usize = 100;

pub(super) struct Replicate;

impl Provider for Replicate {
    fn name(&self) -> &'static str {
        "replicate"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        let (verb, parts) = asked.parts();
        Some(match (verb, parts.strip_prefix(&["v1"]).unwrap_or(&parts)) {
            ("POST", ["predictions"]) => {
                let input = asked.json();
                let version = input["version"].as_str().or(input["model"].as_str()).unwrap_or_default();
                Route::submit(model::endpoint(version))
            }
            ("POST", ["models" | "deployments", owner, name, "predictions"]) => {
                Route::submit(format!("{owner}/{name}"))
            }
            ("GET", ["predictions"]) => Route::other(Class::Other, "list"),
            ("GET", ["predictions", id]) => Route::of_job(Class::Poll, "get", *id),
            ("POST", ["predictions", id, "cancel"]) => Route::of_job(Class::Cancel, "cancel", *id),
            ("GET", ["models", _, _]) => Route::other(Class::Other, "model"),
            ("GET", ["models", _, _, "versions", _]) => Route::other(Class::Other, "version"),
            ("GET", ["account"]) => Route::other(Class::Other, "account"),
            ("GET", ["webhooks", "default", "secret"]) => Route::other(Class::Other, "secret"),
            ("POST", ["files"]) => Route::other(Class::Upload, "file"),
            ("GET", ["files"]) => Route::other(Class::Other, "files"),
            ("GET", ["files", id]) => Route::of_job(Class::Other, "file", *id),
            ("DELETE", ["files", id]) => Route::of_job(Class::Other, "remove", *id),
            _ => return None,
        })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.authorization("Bearer").or_else(|| asked.authorization("Token"))
    }

    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        let body = asked.json();
        if route.endpoint.is_empty() {
            return Err(Refusal::invalid("version", "version is required"));
        }
        let mut order = model::order(&route.endpoint, &body["input"], studio)?;
        order.id = Some(new_id());
        if let Some(url) = body["webhook"].as_str() {
            let wants = |event: &str| match &body["webhook_events_filter"] {
                Value::Array(events) => events.iter().any(|known| known == event),
                _ => true,
            };
            order.webhook = Some(Webhook { on_start: wants("start"), on_end: wants("completed"), ..Webhook::at(url) });
        }
        Ok(order)
    }

    fn accepted(&self, asked: &Asked, job: &Arc<Job>, now: Timestamp) -> Answer {
        let wait = asked.header("prefer").and_then(|prefer| {
            let rest = prefer.split(',').find_map(|part| part.trim().strip_prefix("wait"))?;
            let seconds = rest.strip_prefix('=').and_then(|seconds| seconds.parse().ok()).unwrap_or(60);
            Some(Duration::from_secs(seconds.clamp(1, 60)))
        });
        match wait {
            Some(wait) => Answer::At(job.ends.min(now.after(wait)), job.clone()),
            None => {
                let mut body = prediction(job, now, &mut |_| String::new());
                body["status"] = "starting".into();
                (body["started_at"], body["completed_at"], body["output"]) = (Value::Null, Value::Null, Value::Null);
                body["metrics"] = json!({});
                Reply::json(201, &body).into()
            }
        }
    }

    fn finished(&self, _asked: &Asked, job: &Job, studio: &Studio<'_>) -> Reply {
        Reply::json(201, &prediction(job, studio.now(), &mut |output| studio.link(job, output)))
    }

    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer {
        let now = world.now();
        let reply = match route.endpoint.as_str() {
            "get" => match world.job("replicate", route.id()) {
                Some(job) => Reply::json(200, &prediction(&job, now, &mut |output| world.link(&job, output))),
                None => self.refuse(&Refusal::NotFound),
            },
            "cancel" => match world.cancel("replicate", route.id(), false) {
                Cancel::Done(job) | Cancel::TooLate(job) => {
                    Reply::json(200, &prediction(&job, now, &mut |output| world.link(&job, output)))
                }
                Cancel::Unknown => self.refuse(&Refusal::NotFound),
            },
            "list" => {
                let from: usize = asked.query("cursor").and_then(|cursor| cursor.parse().ok()).unwrap_or(0);
                let key = self.key(asked).unwrap_or_default();
                let jobs: Vec<Arc<Job>> = world.jobs_of("replicate", &key).skip(from).take(PAGE + 1).cloned().collect();
                let url = |from: usize| format!("{}/v1/predictions?cursor={from}", asked.root());
                let next = (jobs.len() > PAGE).then(|| url(from + PAGE));
                let previous = (from > 0).then(|| url(from.saturating_sub(PAGE)));
                let results: Vec<Value> = jobs
                    .iter()
                    .take(PAGE)
                    .map(|job| prediction(job, now, &mut |output| world.link(job, output)))
                    .collect();
                Reply::json(200, &json!({"previous": previous, "next": next, "results": results}))
            }
            "model" => Reply::json(200, &model::document(asked)),
            "version" => Reply::json(200, &model::version(asked)),
            "account" => Reply::json(200, &json!({"type": "user", "username": "simulator", "name": "Simulator"})),
            "secret" => Reply::json(200, &json!({"key": SECRET})),
            "files" => {
                let ids = world.files.uploaded("replicate");
                let results: Vec<Value> = ids.iter().filter_map(|id| file(asked, id, world)).collect();
                Reply::json(200, &json!({"previous": null, "next": null, "results": results}))
            }
            "remove" => match world.files.remove(route.id()) {
                true => Reply::empty(204),
                false => self.refuse(&Refusal::NotFound),
            },
            _ if route.class == Class::Upload => match self.upload(asked, world) {
                Some(file) => Reply::json(201, &file),
                None => self.refuse(&Refusal::missing("content")),
            },
            _ => match file(asked, route.id(), world) {
                Some(file) => Reply::json(200, &file),
                None => self.refuse(&Refusal::NotFound),
            },
        };
        reply.into()
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let problem = |status: u16, title: &str, detail: &str| {
            Reply::json(status, &json!({"title": title, "detail": detail, "status": status}))
        };
        match refusal {
            Refusal::NoKey => problem(401, "Unauthenticated", "You did not pass an authentication token"),
            Refusal::InvalidKey => problem(401, "Unauthenticated", "You did not pass a valid authentication token"),
            Refusal::Forbidden => problem(403, "Forbidden", "You do not have permission to perform this action."),
            Refusal::Quota => problem(
                402,
                "Insufficient credit",
                "You have insufficient credit to run this model. Go to https://replicate.com/account/billing#billing to \
                 purchase credit.",
            ),
            Refusal::Content => problem(422, "Input validation failed", model::NSFW),
            Refusal::NotFound => problem(404, "Not found", "The requested resource could not be found."),
            Refusal::Invalid { field, message } => {
                let detail = format!("- input: {field} {}\n", message.to_lowercase());
                let fields = json!([{"type": "invalid", "field": format!("input.{field}"), "description": message}]);
                let body = json!({
                    "title": "Input validation failed", "detail": detail, "status": 422, "invalid_fields": fields,
                });
                Reply::json(422, &body)
            }
            Refusal::TooMany { retry_after_ms: None, .. } => {
                problem(429, "Too many requests", "Request was throttled.")
            }
            Refusal::TooMany { retry_after_ms: Some(ms), .. } => {
                let seconds = whole_seconds(*ms).to_string();
                let detail = format!("Request was throttled. Your rate limit resets in ~{seconds}s.");
                problem(429, "Too many requests", &detail)
                    .with("retry-after", &*seconds)
                    .with("ratelimit-remaining", "0")
                    .with("ratelimit-reset", seconds)
            }
            Refusal::Status { status, retry_after_ms } => {
                let title = match status {
                    413 => "Payload too large",
                    500.. => "Internal server error",
                    _ => "Bad request",
                };
                let reply = problem(*status, title, "The request could not be processed.");
                match retry_after_ms {
                    Some(ms) => reply.with("retry-after", whole_seconds(*ms).to_string()),
                    None => reply,
                }
            }
        }
    }

    fn notice(&self, job: &Arc<Job>, occasion: Occasion, world: &mut World) -> Option<Notice> {
        let mut body = prediction(job, world.now(), &mut |output| world.link(job, output));
        if occasion == Occasion::Start {
            body["status"] = "processing".into();
            (body["completed_at"], body["output"]) = (Value::Null, Value::Null);
        }
        let notice = Notice::json(&body);
        let id = format!("msg_{}_{}", job.id, if occasion == Occasion::Start { "start" } else { "completed" });
        let at = (world.now().0 / 1_000).to_string();
        let signature = signature(SECRET, &id, &at, &notice.body);
        Some(
            notice
                .with("webhook-id", id)
                .with("webhook-timestamp", at)
                .with("webhook-signature", format!("v1,{signature}")),
        )
    }

    fn links(&self) -> Links {
        Links { lifetime: KEPT, renewed: false, gone: 404 }
    }

    fn webhook_tries(&self, occasion: Occasion) -> u32 {
        if occasion == Occasion::End { 6 } else { 1 }
    }
}

impl Replicate {
    fn upload(&self, asked: &Asked, world: &mut World) -> Option<Value> {
        let form = Form::of(asked)?;
        let content = form.files("content").next()?;
        let media_type = content.media_type.clone().unwrap_or_else(|| "application/octet-stream".to_owned());
        let recipe = Recipe::Sent { blob: world.media.keep(content.bytes.clone()), media_type };
        let id = world.keep("replicate", recipe, content.file_name.as_deref().unwrap_or("file"), UPLOAD_KEPT);
        file(asked, &id, world)
    }
}

/// What was uploaded, as a document.
fn file(asked: &Asked, id: &str, world: &World) -> Option<Value> {
    let linked = world.files.get(id).filter(|linked| linked.provider == "replicate" && world.now() < linked.expires)?;
    let Recipe::Sent { blob, media_type } = &*linked.recipe else { return None };
    let bytes = world.media.sent(*blob).unwrap_or_default();
    let digest = sign::sha256(&bytes);
    Some(json!({
        "id": id, "name": linked.name, "content_type": media_type, "size": bytes.len(), "etag": digest,
        "checksums": {"sha256": digest}, "metadata": {},
        "created_at": Timestamp(linked.expires.0.saturating_sub(UPLOAD_KEPT.0)).to_string(),
        "expires_at": linked.expires.to_string(), "urls": {"get": format!("{}/v1/files/{id}", asked.root())},
    }))
}

/// A prediction as it stands.
fn prediction(job: &Job, now: Timestamp, link: &mut dyn FnMut(usize) -> String) -> Value {
    let phase = job.phase(now);
    let ended = job.ended(now);
    let removed = ended.is_some_and(|ended| now.since(ended) >= KEPT);
    let status = match phase {
        Phase::Queued => "starting",
        Phase::Running => "processing",
        Phase::Done => "succeeded",
        Phase::Failed => "failed",
        Phase::Cancelled if job.cancelled.is_some_and(|cancelled| !cancelled.had_begun) => "aborted",
        Phase::Cancelled => "canceled",
    };
    let error = match job.verdict {
        Verdict::Rejected if phase == Phase::Failed => Value::from(model::NSFW),
        _ => Value::Null,
    };
    let output = if phase == Phase::Done && !removed { model::output(job, link) } else { Value::Null };
    let metrics = match ended {
        Some(_) => json!({"predict_time": job.takes_s(), "total_time": job.takes_s(), "image_count": job.makes.len()}),
        None => json!({}),
    };
    let begun = phase != Phase::Queued;
    let url = format!("{}/replicate/v1/predictions/{}", job.base, job.id);
    let (model, version) = model::names(&job.endpoint);
    json!({
        "id": job.id, "model": model, "version": version,
        "input": if removed { json!({}) } else { job.input["input"].clone() },
        "output": output, "logs": if removed { String::new() } else { logs(job, now) }, "error": error,
        "status": status, "created_at": job.created.to_string(),
        "started_at": begun.then(|| job.starts.to_string()), "completed_at": ended.map(|ended| ended.to_string()),
        "data_removed": removed, "source": "api", "metrics": metrics,
        "urls": {"get": url, "cancel": format!("{url}/cancel"), "web": format!("https://replicate.com/p/{}", job.id)},
    })
}

/// A progress bar as models print it, which clients read.
fn logs(job: &Job, now: Timestamp) -> String {
    let steps = (job.progress(now) * 28.0) as u32;
    match job.phase(now) {
        Phase::Queued => String::new(),
        _ => format!("{:3}%|{:10}| {steps}/28 [00:00<00:00]\n", steps * 100 / 28, "#".repeat(steps as usize * 10 / 28)),
    }
}

/// The signature of a webhook, as Standard Webhooks has it.
fn signature(secret: &str, id: &str, timestamp: &str, body: &[u8]) -> String {
    let key = secret.strip_prefix("whsec_").and_then(from_base64).unwrap_or_default();
    let message = [format!("{id}.{timestamp}.").as_bytes(), body].concat();
    to_base64(&sign::hmac_sha256(&key, &message))
}

/// Ids are 26 small letters and digits.
fn new_id() -> String {
    let mut rest = uuid::Uuid::new_v4().as_u128();
    let mut id = String::with_capacity(26);
    for _ in 0..26 {
        id.push(char::from(b"0123456789abcdefghjkmnpqrstvwxyz"[(rest & 31) as usize]));
        rest >>= 5;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn webhooks_are_signed_as_documented() {
        let signed = signature(SECRET, "msg_1", "1700000000", br#"{"id":"P1","status":"succeeded"}"#);
        assert_eq!(signed, "erLh+W2rgPzXMg+XsSDHxaySHg8Nu02RgpNZKY3YnN8=");
    }

    #[test]
    fn ids_look_like_theirs() {
        let id = new_id();
        assert!(id.len() == 26 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
        assert_ne!(id, new_id());
    }
    #[test]
    fn what_a_prediction_gave_is_removed_after_an_hour() {
        let order = Order::new("a/b", crate::options::Kind::Image, json!({"input": {"prompt": "x"}}));
        let mut job = Job::of(order.makes(Recipe::speech("x", true)), Timestamp(1_000), Duration(500));
        job.endpoint = "a/b".to_owned();
        let at = |now| prediction(&job, Timestamp(now), &mut |_| "link".to_owned());
        assert_eq!((&at(1_400)["status"], &at(1_400)["output"]), (&json!("processing"), &Value::Null));
        assert_eq!((&at(1_500)["output"], &at(1_500)["data_removed"]), (&json!("link"), &json!(false)));
        let later = at(1_500 + KEPT.0);
        assert_eq!(
            (&later["output"], &later["data_removed"], &later["input"]),
            (&Value::Null, &json!(true), &json!({}))
        );
        assert_eq!(later["status"], "succeeded");
    }
}
