//! Luma: generations of Dream Machine.
//!
//! Source: the official clients lumaai, and the documentation of Luma.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::job::{Job, Order, Phase, Webhook};
use crate::media::{Change, Recipe};
use crate::options::Kind;
use crate::provider::{Class, Provider, Refusal, Route};
use crate::studio::{Studio, aspect, seconds, seed};
use crate::webhook::{Notice, Occasion};
use crate::world::World;
use darkroom_proto::Timestamp;
use darkroom_worker::media::Format;
use serde_json::{Value, json};
use std::sync::Arc;

/// The most generations in a list.
const LIST_MAX: usize = 100;

pub(super) struct Luma;

impl Provider for Luma {
    fn name(&self) -> &'static str {
        "luma"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        let (method, parts) = asked.parts();
        let ["dream-machine", "v1", parts @ ..] = &parts[..] else { return None };
        Some(match (method, parts) {
            ("POST", ["generations"] | ["generations", "video"]) => Route::submit("generations/video"),
            ("POST", ["generations", "image"]) => Route::submit("generations/image"),
            ("GET", ["generations"]) => Route::other(Class::Other, "list"),
            ("GET", ["generations", id]) => Route::of_job(Class::Poll, "get", *id),
            ("DELETE", ["generations", id]) => Route::of_job(Class::Cancel, "delete", *id),
            ("GET", ["ping"]) => Route::other(Class::Other, "ping"),
            ("GET", ["credits"]) => Route::other(Class::Other, "credits"),
            _ => return None,
        })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.authorization("Bearer")
    }

    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        let input = asked.json();
        let is_given = |name: &str| input[name].as_str().is_some_and(|text| !text.is_empty());
        if !is_given("model") {
            return Err(Refusal::missing("model"));
        }
        let (prompt, seed) = (input["prompt"].as_str().unwrap_or_default(), seed(&input));
        let mut order = if route.endpoint == "generations/image" {
            let given = &input["modify_image_ref"]["url"];
            if prompt.is_empty() && !given.is_string() {
                return Err(Refusal::missing("prompt"));
            }
            let format = if input["format"] == "png" { Format::Png } else { Format::Jpeg };
            let size = input["aspect_ratio"].as_str().and_then(aspect).unwrap_or((1_360, 768));
            let recipe = match given.is_string() {
                true => Recipe::changed(studio.picture(given), prompt, seed, Change::Edit, format),
                false => Recipe::drawn(prompt, seed, size, format),
            };
            Order::new(&*route.endpoint, Kind::Image, Value::Null).makes(recipe)
        } else {
            let frames = ["frame0", "frame1"].map(|name| &input["keyframes"][name]);
            for (number, frame) in frames.iter().enumerate().filter(|(_, frame)| frame["type"] == "image") {
                let url = frame["url"].as_str().unwrap_or_default();
                if !["https://", "http://"].iter().any(|start| url.starts_with(start)) {
                    return Err(Refusal::invalid(&format!("keyframes.frame{number}.url"), "Invalid URL"));
                }
            }
            if prompt.is_empty() && frames.iter().all(|frame| frame.is_null()) {
                return Err(Refusal::missing("prompt"));
            }
            let film = Recipe::Film { mark: seed, seconds: seconds(&input["duration"], 5) };
            Order::new(&*route.endpoint, Kind::Video, Value::Null).makes(film)
        };
        order.webhook = input["callback_url"].as_str().map(|url| Webhook { on_start: true, ..Webhook::at(url) });
        order.input = input;
        Ok(order)
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        if job.kind == Kind::Image && job.input["sync"] == true {
            return Answer::At(job.ends, job.clone());
        }
        Reply::json(201, &generation(job, "queued", None)).into()
    }

    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer {
        match route.endpoint.as_str() {
            "ping" => return Reply::json(200, &json!({"message": "pong"})).into(),
            "credits" => return Reply::json(200, &json!({"credit_balance": 100_000.0})).into(),
            "list" => {
                let number = |name: &str, otherwise: usize| {
                    asked.query(name).and_then(|number| number.parse().ok()).unwrap_or(otherwise)
                };
                let (limit, offset) = (number("limit", LIST_MAX).min(LIST_MAX), number("offset", 0));
                let key = self.key(asked).unwrap_or_default();
                let jobs: Vec<Arc<Job>> = world.jobs_of("luma", &key).cloned().collect();
                let list: Vec<Value> = jobs.iter().skip(offset).take(limit).map(|job| told(job, world)).collect();
                let body = json!({
                    "generations": list, "count": jobs.len(), "limit": limit, "offset": offset,
                    "has_more": offset + limit < jobs.len(),
                });
                return Reply::json(200, &body).into();
            }
            _ => {}
        }
        let Some(job) = world.job("luma", route.id()) else {
            return Reply::json(404, &json!({"detail": "Generation not found"})).into();
        };
        if route.endpoint == "delete" {
            // Nothing says that deleting stops it: only one that waits is given back.
            if job.phase(world.now()) == Phase::Queued {
                world.cancel("luma", &job.id, false);
            }
            world.delete("luma", &job.id);
            return Reply::empty(204).into();
        }
        Reply::json(200, &told(&job, world)).into()
    }

    fn finished(&self, _asked: &Asked, job: &Job, studio: &Studio<'_>) -> Reply {
        match job.phase(studio.now()) {
            Phase::Done => Reply::json(201, &generation(job, "completed", Some(studio.link(job, 0)))),
            _ => Reply::json(201, &generation(job, "failed", None)),
        }
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let say = |status, message: &str| Reply::json(status, &json!({"detail": message}));
        let reply = match refusal {
            Refusal::NoKey => say(403, "Not authenticated"),
            Refusal::InvalidKey => say(401, "Invalid API key"),
            Refusal::Forbidden => say(403, "This API key may not use this"),
            Refusal::Quota => say(402, "Insufficient credits"),
            Refusal::TooMany { .. } => say(429, "Too many requests"),
            Refusal::Content => say(400, "Content moderation: the prompt was rejected"),
            Refusal::NotFound => say(404, "Not Found"),
            Refusal::Invalid { field, message } => say(400, &format!("{field}: {message}")),
            Refusal::Status { status, .. } => say(*status, &format!("Request failed with status {status}")),
        };
        reply.after(refusal)
    }

    fn notice(&self, job: &Arc<Job>, occasion: Occasion, world: &mut World) -> Option<Notice> {
        Some(Notice::json(&match occasion {
            Occasion::Start => generation(job, "dreaming", None),
            Occasion::End => told(job, world),
        }))
    }
}

fn told(job: &Job, world: &mut World) -> Value {
    match job.phase(world.now()) {
        Phase::Queued => generation(job, "queued", None),
        Phase::Running => generation(job, "dreaming", None),
        Phase::Done => generation(job, "completed", Some(world.link(job, 0))),
        Phase::Failed | Phase::Cancelled => generation(job, "failed", None),
    }
}

fn generation(job: &Job, state: &str, link: Option<String>) -> Value {
    let word = if job.kind == Kind::Image { "image" } else { "video" };
    let mut request = (*job.input).clone();
    request["generation_type"] = word.into();
    let mut body = json!({
        "id": job.id, "generation_type": word, "state": state, "failure_reason": null,
        "created_at": job.created.to_string(), "assets": null, "model": job.input["model"], "request": request,
    });
    if let Some(link) = link {
        body["assets"] = json!({"video": null, "image": null, "progress_video": null});
        body["assets"][word] = link.into();
    }
    if state == "failed" {
        body["failure_reason"] = "Content moderation: the result was rejected".into();
    }
    body
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::{Trial, come};

    const KEY: &str = "authorization: Bearer k";
    const ROOT: &str = "/luma/dream-machine/v1/generations";

    #[tokio::test]
    async fn a_generation_gives_a_film_or_a_picture() {
        let trial = Trial::taking(0);
        let film = json!({"model": "ray-2", "prompt": "a mug", "duration": "5s"});
        let picture = json!({"model": "photon-1", "prompt": "a mug", "aspect_ratio": "1:1"});
        for (path, input, asset, media_type) in [
            ("", &film, "/assets/video", "video/mp4"),
            ("/video", &film, "/assets/video", "video/mp4"),
            ("/image", &picture, "/assets/image", "image/jpeg"),
        ] {
            let taken = trial.post(&format!("{ROOT}{path}"), &[KEY], input).await;
            assert_eq!((taken.status, taken.text("/state")), (201, "queued"), "{path}");
            let done = trial.get(&format!("{ROOT}/{}", taken.text("/id")), &[KEY]).await;
            assert_eq!(done.text("/state"), "completed");
            assert_eq!(trial.get(done.text(asset), &[]).await.header("content-type"), media_type);
        }
        let charges = trial.charges().await;
        let endpoints: Vec<&Value> = charges.iter().map(|charge| &charge["endpoint"]).collect();
        assert_eq!(endpoints, ["generations/video", "generations/video", "generations/image"]);
        assert_eq!(trial.get(ROOT, &[KEY]).await.json["count"], 3);
        let sync = json!({"model": "photon-1", "prompt": "a mug", "sync": true});
        assert_eq!(trial.post(&format!("{ROOT}/image"), &[KEY], &sync).await.text("/state"), "completed");
    }

    #[tokio::test]
    async fn a_generation_that_is_deleted_is_gone_and_paid_if_it_ran() {
        let trial = Trial::taking(60_000);
        let taken = trial.post(ROOT, &[KEY], &json!({"model": "ray-2", "prompt": "x"})).await;
        let path = format!("{ROOT}/{}", taken.text("/id"));
        assert_eq!(trial.get(&path, &[KEY]).await.text("/state"), "dreaming");
        assert_eq!(trial.send("DELETE", &path, &[KEY], "").await.status, 204);
        assert_eq!(trial.get(&path, &[KEY]).await.status, 404);
        assert_eq!(trial.charges().await[0]["refunded"], Value::Null);
    }

    #[tokio::test]
    async fn refusals_are_said_as_luma_says_them() {
        let trial = Trial::taking(0);
        trial.key("luma", "bad", "invalid").await;
        trial.key("luma", "poor", "exhausted").await;
        let good = json!({"model": "ray-2", "prompt": "x"});
        let inline =
            json!({"model": "ray-2", "keyframes": {"frame0": {"type": "image", "url": "data:image/png;base64,AA"}}});
        let cases: [(&[&str], &Value, u16, &str); 5] = [
            (&[], &good, 403, "authenticated"),
            (&["authorization: Bearer bad"], &good, 401, "key"),
            (&["authorization: Bearer poor"], &good, 402, "credits"),
            (&[KEY], &json!({"prompt": "x"}), 400, "model"),
            (&[KEY], &inline, 400, "frame0"),
        ];
        for (headers, input, status, says) in cases {
            let got = trial.post(ROOT, headers, input).await;
            assert!(got.status == status && got.text("/detail").contains(says), "{} {}", got.status, got.json);
        }
        trial.fault(json!({"provider": "luma", "kind": "http:503", "count": 1})).await;
        assert_eq!(trial.post(ROOT, &[KEY], &good).await.status, 503);
        trial.fault(json!({"provider": "luma", "kind": "content"})).await;
        let taken = trial.post(ROOT, &[KEY], &good).await;
        let done = trial.get(&format!("{ROOT}/{}", taken.text("/id")), &[KEY]).await;
        assert_eq!(done.text("/state"), "failed");
        assert!(done.text("/failure_reason").contains("moderation"));
    }

    #[tokio::test]
    async fn a_callback_tells_that_it_dreams_and_what_it_gave() {
        let mut trial = Trial::taking(20);
        let (url, taken) = trial.receiver().await;
        trial.post(ROOT, &[KEY], &json!({"model": "ray-2", "prompt": "x", "callback_url": url})).await;
        let come = come(&taken, "state", &["dreaming", "completed"]).await;
        assert!(come.iter().any(|(_, body)| body["assets"]["video"].is_string()));
    }
}
