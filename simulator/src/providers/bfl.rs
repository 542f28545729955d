//! Black Forest Labs: jobs that are asked about at the URL which the answer names, links for ten minutes.
//!
//! A job is known in one region only: `/v1/get_result` elsewhere does not find it, unless it has a webhook, as the answer
//! names no URL then. Source: the documentation of BFL.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::charge;
use crate::job::{Job, Order, Phase, Webhook};
use crate::lane::Limits;
use crate::media::{Change, Recipe};
use crate::options::Kind;
use crate::provider::{Class, Links, Provider, Refusal, Route};
use crate::studio::{Studio, aspect, seed};
use crate::webhook::{Notice, Occasion};
use crate::world::World;
use darkroom_proto::{Duration, Timestamp};
use darkroom_worker::media::Format;
use serde_json::{Value, json};
use std::sync::Arc;

/// The endpoints that are offered.
const ENDPOINTS: &[&str] = &[
    "flux-pro-1.1",
    "flux-pro-1.1-ultra",
    "flux-pro",
    "flux-dev",
    "flux-kontext-pro",
    "flux-kontext-max",
    "flux-2-pro",
    "flux-2-flex",
    "flux-2-max",
];

/// US dollars of a credit.
const CREDIT: f64 = 0.01;

pub(super) struct Bfl;

impl Provider for Bfl {
    fn name(&self) -> &'static str {
        "bfl"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        let id = || asked.query("id").unwrap_or_default();
        Some(match (asked.parts().0, &asked.parts().1[..]) {
            ("GET", ["v1", "get_result"]) => Route::of_job(Class::Poll, "anywhere", id()),
            ("GET", ["us1", "v1", "get_result"]) => Route::of_job(Class::Poll, "region", id()),
            ("GET", ["v1", "credits"]) => Route::other(Class::Other, "credits"),
            ("POST", ["v1", endpoint]) if ENDPOINTS.contains(endpoint) => Route::submit(*endpoint),
            _ => return None,
        })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.header("x-key").map(str::to_owned)
    }

    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        let input = asked.json();
        if !input.is_object() {
            return Err(Refusal::invalid("", "Input should be a valid dictionary or object"));
        }
        let prompt = input["prompt"].as_str().unwrap_or_default();
        if prompt.is_empty() && !input["image_prompt"].is_string() {
            return Err(Refusal::missing("prompt"));
        }
        if !(input["safety_tolerance"].is_null() || input["safety_tolerance"].as_u64().is_some_and(|level| level <= 6))
        {
            return Err(Refusal::invalid("safety_tolerance", "Input should be less than or equal to 6"));
        }
        let format = match input["output_format"].as_str() {
            None | Some("jpeg") => Format::Jpeg,
            Some("png") => Format::Png,
            Some(_) => return Err(Refusal::invalid("output_format", "Input should be 'jpeg' or 'png'")),
        };
        let seed = seed(&input);
        let given =
            ["input_image", "image_prompt"].iter().find_map(|name| Some(&input[*name]).filter(|v| v.is_string()));
        let recipe = match given {
            Some(given) => Recipe::changed(studio.picture_or_base64(given), prompt, seed, Change::Edit, format),
            None => Recipe::drawn(prompt, seed, size(&input)?, format),
        };
        let mut order = Order::new(&*route.endpoint, Kind::Image, Value::Null).makes(recipe);
        order.webhook = input["webhook_url"]
            .as_str()
            .map(|url| Webhook { secret: input["webhook_secret"].as_str().map(str::to_owned), ..Webhook::at(url) });
        order.input = input;
        Ok(order)
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        let credits = charge::price(job).usd() / CREDIT;
        let cost = (credits * 1e3).round() / 1e3;
        let body = match &job.webhook {
            Some(webhook) => json!({"id": job.id, "status": "Pending", "webhook_url": webhook.url, "cost": cost}),
            None => {
                let url = format!("{}/bfl/us1/v1/get_result?id={}", job.base, job.id);
                json!({"id": job.id, "polling_url": url, "cost": cost})
            }
        };
        Reply::json(200, &body).into()
    }

    fn look(&self, _asked: &Asked, route: &Route, world: &mut World) -> Answer {
        if route.endpoint == "credits" {
            return Reply::json(200, &json!({"credits": 10_000.0})).into();
        }
        let job = world.job("bfl", route.id()).filter(|job| route.endpoint == "region" || job.webhook.is_some());
        match job {
            Some(job) => Reply::json(200, &status(&job, world)),
            None => {
                let body = json!({"id": route.id(), "status": "Task not found", "result": null, "progress": null});
                Reply::json(404, &body)
            }
        }
        .into()
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let flat = |status, detail: &str| Reply::json(status, &json!({"detail": detail}));
        let reply = match refusal {
            Refusal::NoKey => flat(403, "Not authenticated"),
            Refusal::InvalidKey => flat(403, "Not authenticated - Invalid Authentication"),
            Refusal::Forbidden => flat(403, "Not authorized for this endpoint"),
            Refusal::Quota => flat(402, "Insufficient credits. Please add more credits at api.bfl.ai."),
            Refusal::TooMany { at_once: true, .. } => {
                flat(429, "Exceeded the limit of 24 active tasks. Please wait until one of them has ended.")
            }
            Refusal::TooMany { .. } => flat(429, "Rate limit exceeded"),
            Refusal::Content => flat(400, "Request Moderated"),
            Refusal::NotFound => flat(404, "Not Found"),
            Refusal::Invalid { field, message } => {
                let loc: Vec<&str> =
                    std::iter::once("body").chain(Some(&**field).filter(|field| !field.is_empty())).collect();
                let kind = if message == "Field required" { "missing" } else { "value_error" };
                Reply::json(422, &json!({"detail": [{"loc": loc, "msg": message, "type": kind}]}))
            }
            Refusal::Status { status, .. } => flat(*status, &format!("Request failed with status {status}")),
        };
        reply.after(refusal)
    }

    fn notice(&self, job: &Arc<Job>, _occasion: Occasion, world: &mut World) -> Option<Notice> {
        let mut body = status(job, world);
        body["task_id"] = job.id.clone().into();
        let notice = Notice::json(&body);
        Some(match job.webhook.as_ref().and_then(|webhook| webhook.secret.as_deref()) {
            Some(secret) => notice.with("x-webhook-secret", secret),
            None => notice,
        })
    }

    fn links(&self) -> Links {
        Links { lifetime: Duration::from_secs(600), renewed: false, gone: 403 }
    }

    fn limits(&self) -> Limits {
        Limits { at_once: Some(24), rate: None }
    }

    fn bills_rejected(&self) -> bool {
        false
    }
}

/// What is told about a job.
fn status(job: &Job, world: &mut World) -> Value {
    let now = world.now();
    let mut body = json!({
        "id": job.id, "status": "Pending", "result": null, "progress": null, "details": null, "preview": null,
    });
    match job.phase(now) {
        Phase::Queued => {}
        Phase::Running => body["progress"] = job.progress(now).into(),
        Phase::Done => {
            body["status"] = "Ready".into();
            let seconds = |at: Timestamp| at.0 as f64 / 1e3;
            body["result"] = json!({
                "sample": world.link(job, 0), "prompt": job.input["prompt"], "seed": seed(&job.input),
                "start_time": seconds(job.starts), "end_time": seconds(job.ends), "duration": job.takes_s(),
            });
        }
        Phase::Failed | Phase::Cancelled => {
            body["status"] = "Content Moderated".into();
            body["details"] = json!({"Moderation Reasons": ["Safety Filter"]});
        }
    }
    body
}

/// The size that is asked for, by sides or by an aspect.
fn size(input: &Value) -> Result<(u32, u32), Refusal> {
    if let Some(size) = input["aspect_ratio"].as_str().and_then(aspect) {
        return Ok(size);
    }
    let side = |name: &str, otherwise: u32| match &input[name] {
        Value::Null => Ok(otherwise),
        side => match side.as_u64().filter(|side| (256..=1_440).contains(side) && side % 32 == 0) {
            Some(side) => Ok(side as u32),
            None => Err(Refusal::invalid(name, "Input should be a multiple of 32 from 256 to 1440")),
        },
    };
    Ok((side("width", 1_024)?, side("height", 768)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Trial, come};
    use darkroom_worker::media::{Limits, read_info};

    const KEY: &str = "x-key: k";

    #[tokio::test]
    async fn a_picture_is_asked_for_where_the_answer_says() {
        let trial = Trial::taking(0);
        let input = json!({"prompt": "a mug", "width": 512, "height": 256, "output_format": "png", "seed": 7});
        let taken = trial.post("/bfl/v1/flux-pro-1.1", &[KEY], &input).await;
        assert!(taken.status == 200 && taken.json["cost"].as_f64().unwrap() > 0.0, "{}", taken.json);
        let elsewhere = trial.get(&format!("/bfl/v1/get_result?id={}", taken.text("/id")), &[KEY]).await;
        assert_eq!((elsewhere.status, elsewhere.text("/status")), (404, "Task not found"));
        let done = trial.get(taken.text("/polling_url"), &[KEY]).await;
        assert_eq!((done.text("/status"), &done.json["result"]["seed"]), ("Ready", &json!(7)));
        let file = trial.get(done.text("/result/sample"), &[]).await;
        assert_eq!(file.header("content-type"), "image/png");
        let size = read_info(&file.body, &Limits::default()).unwrap().size;
        assert_eq!((size.width, size.height), (512, 256));
        let charge = &trial.charges().await[0];
        assert_eq!((&charge["endpoint"], &charge["key"]), (&json!("flux-pro-1.1"), &json!("k")));
        assert_eq!(charge["price"].as_f64().unwrap() / CREDIT, taken.json["cost"].as_f64().unwrap());
    }

    #[tokio::test]
    async fn refusals_are_said_as_bfl_says_them() {
        let trial = Trial::taking(60_000);
        let input = json!({"prompt": "a mug"});
        assert_eq!(trial.post("/bfl/v1/flux-dev", &[], &input).await.status, 403);
        trial.key("bfl", "bad", "invalid").await;
        trial.key("bfl", "poor", "exhausted").await;
        for (key, status) in [("x-key: bad", 403), ("x-key: poor", 402)] {
            assert_eq!(trial.post("/bfl/v1/flux-dev", &[key], &input).await.status, status, "{key}");
        }
        let wrong = trial.post("/bfl/v1/flux-dev", &[KEY], &json!({"prompt": "x", "width": 1_000})).await;
        assert_eq!((wrong.status, &wrong.json["detail"][0]["loc"]), (422, &json!(["body", "width"])));
        trial.fault(json!({"provider": "bfl", "kind": "http:503", "count": 1, "retry_after": 3})).await;
        let busy = trial.post("/bfl/v1/flux-dev", &[KEY], &input).await;
        assert_eq!((busy.status, busy.header("retry-after")), (503, "3"));
        for number in 0..25 {
            let want = if number < 24 { 200 } else { 429 };
            assert_eq!(trial.post("/bfl/v1/flux-dev", &[KEY], &input).await.status, want, "job {number}");
        }
        assert_eq!(trial.charges().await.len(), 24);
    }

    #[tokio::test]
    async fn what_the_filter_stops_costs_nothing() {
        let trial = Trial::taking(0);
        trial.fault(json!({"provider": "bfl", "kind": "content"})).await;
        let taken =
            trial.post("/bfl/v1/flux-kontext-pro", &[KEY], &json!({"prompt": "x", "input_image": "AAAA"})).await;
        let done = trial.get(taken.text("/polling_url"), &[KEY]).await;
        assert_eq!((done.status, done.text("/status"), &done.json["result"]), (200, "Content Moderated", &Value::Null));
        assert_eq!(trial.charges().await[0]["refunded"], true);
    }

    #[tokio::test]
    async fn a_webhook_has_its_secret() {
        let mut trial = Trial::taking(0);
        let (url, taken) = trial.receiver().await;
        let input = json!({"prompt": "x", "webhook_url": url, "webhook_secret": "s"});
        let answer = trial.post("/bfl/v1/flux-dev", &[KEY], &input).await;
        assert!(answer.json.get("polling_url").is_none());
        let (headers, body) = come(&taken, "status", &["Ready"]).await.remove(0);
        assert_eq!((&headers["x-webhook-secret"], &body["status"]), (&"s".parse().unwrap(), &json!("Ready")));
        let path = format!("/bfl/v1/get_result?id={}", answer.text("/id"));
        assert_eq!(trial.get(&path, &[KEY]).await.text("/status"), "Ready");
    }
}
