//! MiniMax: films as tasks, and files of their own behind them.
//!
//! Errors come with status 200: `base_resp` has the code. Source: the documentation of MiniMax.

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::job::{Job, Order, Phase, Webhook};
use crate::media::Recipe;
use crate::options::Kind;
use crate::provider::{Class, Links, Provider, Refusal, Route};
use crate::studio::{Studio, seconds, seed};
use crate::webhook::{Notice, Occasion};
use crate::world::{World, new_id};
use darkroom_proto::{Duration, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// What models are called.
const MODELS: &[&str] = &["MiniMax-Hailuo-", "T2V-01", "I2V-01", "S2V-01", "video-01"];

/// The longest prompt, in characters.
const PROMPT_MAX: usize = 2_000;

/// Stands before the id of a task in the id of its file.
const FILE: &str = "2";

/// What the filter says of a film.
const OUTPUT_SENSITIVE: (u32, &str) = (1_027, "output new_sensitive");

pub(super) struct MiniMax;

impl Provider for MiniMax {
    fn name(&self) -> &'static str {
        "minimax"
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        let query = |name: &str| asked.query(name).unwrap_or_default();
        Some(match (asked.parts().0, &asked.parts().1[..]) {
            ("POST", ["v1", "video_generation"]) => Route::submit(asked.json()["model"].as_str().unwrap_or_default()),
            ("GET", ["v1", "query", "video_generation"]) => Route::of_job(Class::Poll, "query", query("task_id")),
            ("GET", ["v1", "files", "retrieve"]) => {
                let file = query("file_id");
                Route::of_job(Class::Poll, "file", file.strip_prefix(FILE).unwrap_or(""))
            }
            _ => return None,
        })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        asked.authorization("Bearer")
    }

    fn order(&self, asked: &Asked, route: &Route, _studio: &Studio<'_>) -> Result<Order, Refusal> {
        let input = asked.json();
        let model = route.endpoint.as_str();
        if !MODELS.iter().any(|known| model.starts_with(known)) {
            return Err(Refusal::invalid("model", format!("model {model} is not supported")));
        }
        let prompt = input["prompt"].as_str().unwrap_or_default();
        if prompt.chars().count() > PROMPT_MAX {
            return Err(Refusal::invalid("prompt", "prompt is too long"));
        }
        let is_given = |name: &str| !input[name].is_null();
        let missing = match model {
            _ if model.starts_with("I2V") => Some("first_frame_image").filter(|name| !is_given(name)),
            _ if model.starts_with("S2V") => Some("subject_reference").filter(|name| !is_given(name)),
            _ => Some("prompt").filter(|_| prompt.is_empty() && !is_given("first_frame_image")),
        };
        if let Some(missing) = missing {
            return Err(Refusal::missing(missing));
        }
        let mut order = Order::new(model, Kind::Video, Value::Null)
            .makes(Recipe::Film { mark: seed(&input), seconds: seconds(&input["duration"], 6) });
        order.id = Some(digits());
        order.webhook = input["callback_url"].as_str().map(|url| Webhook { on_start: true, ..Webhook::at(url) });
        order.input = input;
        Ok(order)
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        Reply::json(200, &json!({"task_id": job.id, "base_resp": base(0, "success")})).into()
    }

    fn look(&self, _asked: &Asked, route: &Route, world: &mut World) -> Answer {
        let now = world.now();
        let Some(job) = world.job("minimax", route.id()) else {
            let field = if route.endpoint == "file" { "file_id" } else { "task_id" };
            return self.refuse(&Refusal::invalid(field, "not found")).into();
        };
        if route.endpoint == "file" {
            return match job.phase(now) {
                Phase::Done => Answer::At(now, job),
                _ => self.refuse(&Refusal::invalid("file_id", "not found")).into(),
            };
        }
        let mut body = json!({"task_id": job.id, "status": "", "file_id": "", "base_resp": base(0, "success")});
        let word = match job.phase(now) {
            Phase::Queued => "Queueing",
            Phase::Running => "Processing",
            Phase::Done => {
                body["file_id"] = format!("{FILE}{}", job.id).into();
                (body["video_width"], body["video_height"]) = (1_280.into(), 720.into());
                "Success"
            }
            Phase::Failed | Phase::Cancelled => {
                body["base_resp"] = base(OUTPUT_SENSITIVE.0, OUTPUT_SENSITIVE.1);
                "Fail"
            }
        };
        body["status"] = word.into();
        Reply::json(200, &body).into()
    }

    /// A file, with a link that is fresh each time.
    fn finished(&self, _asked: &Asked, job: &Job, studio: &Studio<'_>) -> Reply {
        let length = job.makes.first().map_or(0, |recipe| studio.make(recipe).len());
        let file = json!({
            "file_id": format!("{FILE}{}", job.id), "bytes": length, "created_at": job.ends.0 / 1_000,
            "filename": "output.mp4", "purpose": "video_generation", "download_url": studio.link(job, 0),
        });
        Reply::json(200, &json!({"file": file, "base_resp": base(0, "success")}))
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let say = |code, message: &str| Reply::json(200, &json!({"base_resp": base(code, message)}));
        let reply = match refusal {
            Refusal::NoKey => say(1_004, "login fail: Please carry the API secret key in the 'Authorization' field"),
            Refusal::InvalidKey => say(2_049, "invalid api key"),
            Refusal::Forbidden => say(1_004, "not authorized"),
            Refusal::Quota => say(1_008, "insufficient balance"),
            Refusal::TooMany { at_once: true, .. } => say(1_041, "too many connections"),
            Refusal::TooMany { .. } => say(1_002, "rate limit"),
            Refusal::Content => say(1_026, "input new_sensitive"),
            Refusal::NotFound => Reply::bytes(404, "text/plain", "404 page not found"),
            Refusal::Invalid { field, message } => say(2_013, &format!("invalid params, {field}: {message}")),
            Refusal::Status { status, .. } => {
                let code = if *status == 504 { 1_001 } else { 1_000 };
                let reply = say(code, &format!("request failed with status {status}"));
                Reply { status: *status, ..reply }
            }
        };
        reply.after(refusal)
    }

    fn notice(&self, job: &Arc<Job>, occasion: Occasion, world: &mut World) -> Option<Notice> {
        let (word, code) = match (occasion, job.phase(world.now())) {
            (Occasion::Start, _) => ("processing", (0, "success")),
            (Occasion::End, Phase::Done) => ("success", (0, "success")),
            (Occasion::End, _) => ("failed", OUTPUT_SENSITIVE),
        };
        let mut body = json!({"task_id": job.id, "status": word, "base_resp": base(code.0, code.1)});
        if word == "success" {
            body["file_id"] = format!("{FILE}{}", job.id).into();
        }
        Some(Notice::json(&body))
    }

    fn challenge(&self, job: &Job) -> Option<Value> {
        Some(json!({"challenge": format!("challenge-{}", job.id)}))
    }

    fn links(&self) -> Links {
        Links { lifetime: Duration::from_secs(9 * 3_600), renewed: true, gone: 403 }
    }
}

fn base(code: u32, message: &str) -> Value {
    json!({"status_code": code, "status_msg": message})
}

/// An id of fifteen digits.
fn digits() -> String {
    let number = u128::from_str_radix(&new_id(), 16).unwrap_or_default();
    format!("1{:014}", number % 100_000_000_000_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::Options;
    use crate::trial::{Trial, come};

    const KEY: &str = "authorization: Bearer k";
    const SUBMIT: &str = "/minimax/v1/video_generation";

    fn code(got: &crate::trial::Got) -> i64 {
        got.json["base_resp"]["status_code"].as_i64().unwrap_or_else(|| panic!("{}", got.json))
    }

    #[tokio::test]
    async fn a_film_has_a_file_whose_link_is_renewed() {
        let trial = Trial::with(Options { video: Duration(0), links_expire: Some(Duration(0)), ..Options::default() });
        let taken = trial.post(SUBMIT, &[KEY], &json!({"model": "T2V-01", "prompt": "a mug"})).await;
        assert_eq!(code(&taken), 0);
        let query = format!("/minimax/v1/query/video_generation?task_id={}", taken.text("/task_id"));
        let done = trial.get(&query, &[KEY]).await;
        assert_eq!(done.text("/status"), "Success");
        let file = format!("/minimax/v1/files/retrieve?file_id={}", done.text("/file_id"));
        let first = trial.get(&file, &[KEY]).await;
        let link = first.text("/file/download_url");
        assert_eq!(trial.get(link, &[]).await.status, 403, "it has expired");
        assert_ne!(trial.get(&file, &[KEY]).await.text("/file/download_url"), link);
        let charge = &trial.charges().await[0];
        assert_eq!((&charge["endpoint"], &charge["provider"]), (&json!("T2V-01"), &json!("minimax")));
    }

    #[tokio::test]
    async fn a_film_is_played() {
        let trial = Trial::taking(0);
        let input = json!({"model": "I2V-01", "first_frame_image": "data:image/png;base64,AAAA"});
        let taken = trial.post(SUBMIT, &[KEY], &input).await;
        let file = format!("/minimax/v1/files/retrieve?file_id={FILE}{}", taken.text("/task_id"));
        let file = trial.get(&file, &[KEY]).await;
        let film = trial.get(file.text("/file/download_url"), &[]).await;
        assert_eq!((film.status, film.header("content-type")), (200, "video/mp4"));
        assert_eq!(file.json["file"]["bytes"], film.body.len());
    }

    #[tokio::test]
    async fn errors_come_with_status_200() {
        let trial = Trial::taking(60_000);
        trial.key("minimax", "bad", "invalid").await;
        trial.key("minimax", "poor", "exhausted").await;
        trial.key("minimax", "fast", "rate_limited").await;
        let input = json!({"model": "T2V-01", "prompt": "a mug"});
        let keys = ["bad", "poor", "fast"].map(|key| format!("authorization: Bearer {key}"));
        for (key, want) in keys.iter().zip([2_049, 1_008, 1_002]) {
            let got = trial.post(SUBMIT, &[key], &input).await;
            assert_eq!((got.status, code(&got)), (200, want), "{key}");
        }
        assert_eq!(code(&trial.post(SUBMIT, &[], &input).await), 1_004);
        for wrong in [json!({"model": "T2V-01"}), json!({"model": "I2V-01", "prompt": "x"}), json!({"prompt": "x"})] {
            assert_eq!(code(&trial.post(SUBMIT, &[KEY], &wrong).await), 2_013, "{wrong}");
        }
        trial.fault(json!({"provider": "minimax", "kind": "http:503", "count": 1})).await;
        assert_eq!(trial.post(SUBMIT, &[KEY], &input).await.status, 503);
        assert!(trial.charges().await.is_empty());
    }

    #[tokio::test]
    async fn what_the_filter_stops_is_a_failure() {
        let trial = Trial::taking(0);
        trial.fault(json!({"provider": "minimax", "kind": "content"})).await;
        let taken = trial.post(SUBMIT, &[KEY], &json!({"model": "T2V-01", "prompt": "x"})).await;
        let query = format!("/minimax/v1/query/video_generation?task_id={}", taken.text("/task_id"));
        let done = trial.get(&query, &[KEY]).await;
        assert_eq!((done.text("/status"), code(&done)), ("Fail", 1_027));
    }

    #[tokio::test]
    async fn a_callback_gives_the_challenge_back_before_it_is_told_anything() {
        let mut trial = Trial::taking(20);
        let (url, taken) = trial.receiver().await;
        trial.post(SUBMIT, &[KEY], &json!({"model": "T2V-01", "prompt": "x", "callback_url": url})).await;
        let come = come(&taken, "status", &["processing", "success"]).await;
        assert!(come[0].1["challenge"].is_string(), "{come:?}");
    }
}
