//! Runway: films and pictures as tasks, which wait for others of the account instead of being refused.
//!
//! Source: the official clients runwayml, and the documentation of Runway.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::charge;
use crate::job::{Job, Order, Phase};
use crate::lane::Over;
use crate::media::{Change, Recipe};
use crate::options::Kind;
use crate::provider::{Class, Links, Provider, Refusal, Route};
use crate::studio::{Studio, aspect, seconds, seed};
use crate::world::World;
use darkroom_proto::{Duration, Timestamp};
use darkroom_worker::media::Format;
use serde_json::{Value, json};
use std::sync::Arc;

/// The version of the wire format, which every request has to name.
const VERSION: &str = "2024-11-06";

/// What jobs are handed in to.
const ENDPOINTS: &[&str] = &["image_to_video", "text_to_video", "text_to_image"];

/// The longest data URI, in characters.
const INLINE_MAX: usize = 5 << 20;

/// US dollars of a credit.
const CREDIT: f64 = 0.01;

/// How much of its time a task is still said to be pending, though it has a place.
const PENDING: f64 = 0.05;

pub(super) struct Runway;

impl Provider for Runway {
    fn name(&self) -> &'static str {
        "runway"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        Some(match (asked.parts().0, &asked.parts().1[..]) {
            ("POST", ["v1", endpoint]) if ENDPOINTS.contains(endpoint) => Route::submit(*endpoint),
            ("GET", ["v1", "tasks", id]) => Route::of_job(Class::Poll, "task", *id),
            ("DELETE", ["v1", "tasks", id]) => Route::of_job(Class::Cancel, "delete", *id),
            _ => return None,
        })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.authorization("Bearer")
    }

    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        has_version(asked)?;
        let input = asked.json();
        let text = |name: &str| {
            input[name].as_str().filter(|text| !text.is_empty()).ok_or_else(|| Refusal::invalid(name, "Required"))
        };
        text("model")?;
        let needs_prompt = route.endpoint != "image_to_video";
        let prompt = if needs_prompt { text("promptText")? } else { input["promptText"].as_str().unwrap_or_default() };
        let size =
            text("ratio").map(|ratio| size(ratio).ok_or_else(|| Refusal::invalid("ratio", "Invalid ratio")))??;
        let seed = seed(&input);
        let mut order = if route.endpoint == "text_to_image" {
            let given = &input["referenceImages"][0]["uri"];
            let recipe = match given.is_string() {
                true => Recipe::changed(studio.picture(given), prompt, seed, Change::Edit, Format::Png),
                false => Recipe::drawn(prompt, seed, size, Format::Png),
            };
            Order::new(&*route.endpoint, Kind::Image, Value::Null).makes(recipe)
        } else {
            let wanted = &input["duration"];
            if !wanted.is_null() && !wanted.as_u64().is_some_and(|seconds| (2..=10).contains(&seconds)) {
                return Err(Refusal::invalid("duration", "Must be an integer from 2 to 10"));
            }
            if route.endpoint == "image_to_video" {
                let given = &input["promptImage"];
                let given = given.as_str().or(given[0]["uri"].as_str()).unwrap_or_default();
                let is_known =
                    ["https://", "http://", "data:", "runway://"].iter().any(|start| given.starts_with(start));
                if !is_known {
                    return Err(Refusal::invalid("promptImage", "Must be a URL, a data URI or a Runway upload"));
                }
                if given.starts_with("data:") && given.len() > INLINE_MAX {
                    return Err(Refusal::invalid("promptImage", "Data URIs are limited to 5MB: asset size exceeded"));
                }
            }
            let film = Recipe::Film { mark: seed, seconds: seconds(wanted, 5) };
            Order::new(&*route.endpoint, Kind::Video, Value::Null).makes(film)
        };
        order.input = input;
        Ok(order)
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        Reply::json(200, &json!({"id": job.id, "estimatedCost": {"credits": credits(job)}})).into()
    }

    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer {
        if let Err(refusal) = has_version(asked) {
            return self.refuse(&refusal).into();
        }
        let Some(job) = world.job("runway", route.id()) else {
            return Reply::json(404, &json!({"error": "No task with that id was found."})).into();
        };
        if route.endpoint == "delete" {
            // Of a task that ended this is no cancelling, but its outputs go all the same.
            world.cancel("runway", &job.id, false);
            world.delete("runway", &job.id);
            return Reply::empty(204).into();
        }
        Reply::json(200, &task(&job, world)).into()
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let say = |status, message: &str| Reply::json(status, &json!({"error": message}));
        let reply = match refusal {
            Refusal::NoKey => say(401, "No API key was provided."),
            Refusal::InvalidKey => say(401, "The provided API key is invalid."),
            Refusal::Forbidden => say(403, "This API key may not use this."),
            Refusal::Quota => say(400, "You do not have enough credits to run this task."),
            Refusal::TooMany { .. } => say(429, "Too many requests. Please try again later."),
            Refusal::Content => say(400, "The input did not pass content moderation."),
            Refusal::NotFound => say(404, "Not found."),
            Refusal::Invalid { field, message } => {
                let issues = json!([{"path": [field], "message": message}]);
                let told = "Validation of body failed";
                Reply::json(400, &json!({"error": format!("{told}: {field}: {message}"), "issues": issues}))
            }
            Refusal::Status { status, .. } => say(*status, &format!("Request failed with status {status}.")),
        };
        reply.after(refusal)
    }

    fn links(&self) -> Links {
        Links { lifetime: Duration::from_secs(24 * 3_600), renewed: true, gone: 403 }
    }

    fn over(&self) -> Over {
        Over::Waits
    }
}

fn has_version(asked: &Asked) -> Result<(), Refusal> {
    match asked.header("x-runway-version") {
        Some(VERSION) => Ok(()),
        Some(_) => Err(Refusal::invalid("X-Runway-Version", "This version is not supported")),
        None => Err(Refusal::invalid("X-Runway-Version", "The header is required")),
    }
}

fn credits(job: &Job) -> f64 {
    (charge::price(job).usd() / CREDIT).ceil()
}

/// The size that a ratio names in pixels; `16:9` is one too, for some models.
fn size(ratio: &str) -> Option<(u32, u32)> {
    let (width, height) = ratio.split_once(':')?;
    match (width.parse::<u32>().ok()?, height.parse::<u32>().ok()?) {
        (1..=99, 1..=99) => aspect(ratio),
        (width @ 1..=8_192, height @ 1..=8_192) => Some((width, height)),
        _ => None,
    }
}

fn task(job: &Job, world: &mut World) -> Value {
    let now = world.now();
    let mut task = json!({"id": job.id, "createdAt": job.created.to_string()});
    let word = match job.phase(now) {
        Phase::Queued => "THROTTLED",
        Phase::Running if job.progress(now) < PENDING => "PENDING",
        Phase::Running => {
            task["progress"] = job.progress(now).into();
            "RUNNING"
        }
        Phase::Done => {
            let links: Vec<String> = (0..job.makes.len()).map(|output| world.link(job, output)).collect();
            task["output"] = links.into();
            "SUCCEEDED"
        }
        Phase::Failed => {
            task["failure"] = "The output did not pass content moderation.".into();
            task["failureCode"] = match job.kind {
                Kind::Image => "SAFETY.OUTPUT.IMAGE".into(),
                _ => "SAFETY.OUTPUT.VIDEO".into(),
            };
            "FAILED"
        }
        Phase::Cancelled => "CANCELLED",
    };
    task["status"] = word.into();
    let cost = if job.ended(now).is_some() { "cost" } else { "estimatedCost" };
    task[cost] = json!({"credits": credits(job) as u64});
    task
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::trial::Trial;

    const KEY: &str = "authorization: Bearer k";
    const V: &str = "x-runway-version: 2024-11-06";

    fn film() -> Value {
        json!({"model": "gen4_turbo", "promptImage": "https://x/y.png", "promptText": "x", "ratio": "1280:720", "duration": 5})
    }

    #[tokio::test]
    async fn a_task_gives_films_and_pictures_with_links_that_are_renewed() {
        let all = Duration(0);
        let trial = Trial::with(Options { image: all, video: all, links_expire: Some(all), ..Options::default() });
        let drawn = json!({"model": "gen4_image", "promptText": "a mug", "ratio": "640:360"});
        for (endpoint, input) in [("image_to_video", film()), ("text_to_video", film()), ("text_to_image", drawn)] {
            let taken = trial.post(&format!("/runway/v1/{endpoint}"), &[KEY, V], &input).await;
            assert!(taken.json["estimatedCost"]["credits"].as_u64().is_none_or(|credits| credits > 0));
            let path = format!("/runway/v1/tasks/{}", taken.text("/id"));
            let done = trial.get(&path, &[KEY, V]).await;
            assert_eq!(done.text("/status"), "SUCCEEDED");
            let link = done.text("/output/0");
            assert_eq!(trial.get(link, &[]).await.status, 403, "it has expired");
            assert_ne!(trial.get(&path, &[KEY, V]).await.text("/output/0"), link);
        }
        let charges = trial.charges().await;
        let endpoints: Vec<&Value> = charges.iter().map(|charge| &charge["endpoint"]).collect();
        assert_eq!(endpoints, ENDPOINTS);
    }

    #[tokio::test]
    async fn a_task_over_the_limit_is_throttled_and_one_that_is_deleted_is_gone() {
        let trial = Trial::taking(60_000);
        trial.post("/_sim/limits", &[], &json!({"provider": "runway", "at_once": 1})).await;
        let mut paths = Vec::new();
        for _ in 0..2 {
            let taken = trial.post("/runway/v1/image_to_video", &[KEY, V], &film()).await;
            paths.push(format!("/runway/v1/tasks/{}", taken.text("/id")));
        }
        assert_eq!(trial.get(&paths[0], &[KEY, V]).await.text("/status"), "PENDING");
        assert_eq!(trial.get(&paths[1], &[KEY, V]).await.text("/status"), "THROTTLED");
        for path in &paths {
            assert_eq!(trial.send("DELETE", path, &[KEY, V], "").await.status, 204);
            assert_eq!(trial.get(path, &[KEY, V]).await.status, 404);
            assert_eq!(trial.send("DELETE", path, &[KEY, V], "").await.status, 404);
        }
        let refunded: Vec<Value> = trial.charges().await.into_iter().map(|charge| charge["refunded"].clone()).collect();
        assert_eq!(refunded, [Value::Null, json!(true)], "the first one was running");
    }

    #[tokio::test]
    async fn refusals_are_said_as_runway_says_them() {
        let trial = Trial::taking(0);
        let submit = "/runway/v1/image_to_video";
        trial.key("runway", "poor", "exhausted").await;
        trial.key("runway", "bad", "invalid").await;
        let mut without_ratio = film();
        without_ratio["ratio"] = Value::Null;
        let mut local = film();
        local["promptImage"] = "photo.png".into();
        let cases: [(&str, &[&str], Value, u16, &str); 6] = [
            ("no key", &[V], film(), 401, "key"),
            ("bad key", &["authorization: Bearer bad", V], film(), 401, "invalid"),
            ("no money", &["authorization: Bearer poor", V], film(), 400, "credits"),
            ("no version", &[KEY], film(), 400, "X-Runway-Version"),
            ("no ratio", &[KEY, V], without_ratio, 400, "ratio"),
            ("no URL", &[KEY, V], local, 400, "promptImage"),
        ];
        for (name, headers, input, status, says) in cases {
            let got = trial.post(submit, headers, &input).await;
            assert!(got.status == status && got.text("/error").contains(says), "{name}: {} {}", got.status, got.json);
        }
        trial.fault(json!({"provider": "runway", "kind": "http:429", "count": 1, "retry_after": 2})).await;
        let got = trial.post(submit, &[KEY, V], &film()).await;
        assert_eq!((got.status, got.header("retry-after")), (429, "2"));
        trial.fault(json!({"provider": "runway", "kind": "content"})).await;
        let taken = trial.post(submit, &[KEY, V], &film()).await;
        let done = trial.get(&format!("/runway/v1/tasks/{}", taken.text("/id")), &[KEY, V]).await;
        assert_eq!((done.text("/status"), done.text("/failureCode")), ("FAILED", "SAFETY.OUTPUT.VIDEO"));
    }
}
