//! AUTOMATIC1111: Stable Diffusion on a server of one's own, which answers with the pictures, one job after the other.
//!
//! No price. A key is `user:password` and is looked at where one is shown. Interrupting marks what runs; the answer still
//! comes when it would have. Source: what its users report; there is no documentation of answers.

use crate::answer::{Answer, Reply};
use crate::asked::{Asked, from_base64, to_base64};
use crate::job::{Job, Order, Phase};
use crate::lane::{Limits, Over};
use crate::media::{Change, Recipe, Source};
use crate::options::Kind;
use crate::provider::{Class, Provider, Refusal, Route};
use crate::studio::{Studio, seed};
use crate::world::World;
use darkroom_proto::Timestamp;
use darkroom_worker::media::Format;
use serde_json::{Value, json};
use std::sync::Arc;

const NAME: &str = "a1111";

/// What jobs are handed in to.
const ENDPOINTS: &[&str] = &["txt2img", "img2img", "extra-single-image"];

const SAMPLERS: &[&str] =
    &["Euler", "Euler a", "DPM++ 2M", "DPM++ SDE", "DPM++ 2M SDE", "DPM++ 2M Karras", "DDIM", "UniPC", "LMS", "Heun"];

/// The most pictures of a job.
const PICTURES_MAX: u64 = 16;

pub(super) struct A1111;

impl Provider for A1111 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        let (method, parts) = asked.parts();
        let ["sdapi", "v1", what] = parts[..] else { return None };
        let route = match (method, what) {
            ("POST", endpoint) if ENDPOINTS.contains(&endpoint) => Route::submit(endpoint),
            ("GET", "progress") => Route::other(Class::Poll, what),
            ("POST", "interrupt" | "skip") => Route::other(Class::Cancel, what),
            ("GET", "sd-models" | "samplers" | "upscalers" | "options") => Route::other(Class::Other, what),
            _ => return None,
        };
        Some(if asked.header("authorization").is_some() { route } else { route.without_key() })
    }

    fn key(&self, asked: &Asked) -> Option<String> {
        String::from_utf8(from_base64(&asked.authorization("Basic")?)?).ok()
    }

    fn order(&self, asked: &Asked, route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        let input = asked.json();
        if !input.is_object() {
            return Err(Refusal::invalid("", "Field required"));
        }
        let order = Order::new(&*route.endpoint, Kind::Image, Value::Null);
        let (prompt, seed) = (input["prompt"].as_str().unwrap_or_default(), seed(&input));
        let mut order = if route.endpoint == "extra-single-image" {
            let source = given(&input["image"], studio)?;
            let factor = input["upscaling_resize"].as_f64().unwrap_or(2.0);
            if !(1.0..=8.0).contains(&factor) {
                return Err(Refusal::invalid("upscaling_resize", "ensure this value is from 1 to 8"));
            }
            let change = Change::Enlarge((factor * 100.0) as u32);
            order.makes(Recipe::changed(source, "", 0, change, Format::Png))
        } else {
            if input["sampler_name"].as_str().is_some_and(|name| !SAMPLERS.contains(&name)) {
                return Err(Refusal::invalid("sampler_name", "Sampler not found"));
            }
            let source = match route.endpoint.as_str() {
                "img2img" => Some(given(&input["init_images"][0], studio)?),
                _ => None,
            };
            let side = |name: &str| match &input[name] {
                Value::Null => Ok(512),
                side => side
                    .as_u64()
                    .filter(|side| (8..=8_192).contains(side))
                    .map(|side| side as u32)
                    .ok_or_else(|| Refusal::invalid(name, "value is not a valid integer")),
            };
            let size = (side("width")?, side("height")?);
            let count = |name: &str| input[name].as_u64().unwrap_or(1);
            let mut order = order;
            for number in 0..count("batch_size").saturating_mul(count("n_iter")).clamp(1, PICTURES_MAX) {
                order.makes.push(match &source {
                    Some(source) => Recipe::changed(source.clone(), prompt, seed + number, Change::Edit, Format::Png),
                    None => Recipe::drawn(prompt, seed + number, size, Format::Png),
                });
            }
            order
        };
        order.memory = seed.into();
        order.input = input;
        Ok(order)
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        Answer::At(job.ends, job.clone())
    }

    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer {
        let now = world.now();
        let key = self.key(asked).unwrap_or_default();
        let running = world.jobs_of(NAME, &key).find(|job| job.phase(now) == Phase::Running).cloned();
        let named = |names: &[&str], field: &str| names.iter().map(|name| json!({field: name})).collect::<Value>();
        let body = match route.endpoint.as_str() {
            "progress" => {
                let progress = running.as_ref().map_or(0.0, |job| job.progress(now));
                let left = running.as_ref().map_or(0.0, |job| job.ends.since(now).as_secs_f64());
                let steps = running.as_ref().and_then(|job| job.input["steps"].as_u64()).unwrap_or(20);
                json!({
                    "progress": progress, "eta_relative": left, "current_image": null, "textinfo": null,
                    "state": {
                        "skipped": false, "interrupted": false, "job": running.as_ref().map_or("", |job| &job.id),
                        "job_count": u8::from(running.is_some()), "job_no": 0, "sampling_steps": steps,
                        "sampling_step": (progress * steps as f64) as u64,
                    },
                })
            }
            "interrupt" | "skip" => {
                if let Some(job) = running {
                    world.cancel(NAME, &job.id, true);
                }
                json!({})
            }
            "samplers" => named(SAMPLERS, "name"),
            "upscalers" => named(&["None", "Lanczos", "R-ESRGAN 4x+"], "name"),
            "options" => json!({"sd_model_checkpoint": "v1-5-pruned-emaonly.safetensors"}),
            _ => {
                let name = "v1-5-pruned-emaonly";
                json!([{"title": format!("{name}.safetensors"), "model_name": name, "hash": null, "config": null}])
            }
        };
        Reply::json(200, &body).into()
    }

    fn finished(&self, _asked: &Asked, job: &Job, studio: &Studio<'_>) -> Reply {
        let pictures: Vec<String> = job.makes.iter().map(|recipe| to_base64(&studio.make(recipe))).collect();
        if job.endpoint == "extra-single-image" {
            let body = json!({"html_info": "<p>Upscaled</p>", "image": pictures.first()});
            return Reply::json(200, &body);
        }
        let first = job.memory.as_u64().unwrap_or(0);
        let seeds: Vec<u64> = (0..pictures.len() as u64).map(|number| first + number).collect();
        let info = json!({"prompt": job.input["prompt"], "seed": first, "all_seeds": seeds, "infotexts": []});
        let mut parameters = (*job.input).clone();
        parameters["init_images"] = Value::Null;
        Reply::json(200, &json!({"images": pictures, "parameters": parameters, "info": info.to_string()}))
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let error = |status, kind: &str, detail: &str, errors: &str| {
            Reply::json(status, &json!({"error": kind, "detail": detail, "body": "", "errors": errors}))
        };
        let plain = |status: u16, detail: &str| error(status, "HTTPException", detail, "");
        let reply = match refusal {
            Refusal::NoKey | Refusal::InvalidKey | Refusal::Forbidden => plain(401, "Incorrect username or password"),
            Refusal::Quota => error(500, "OSError", "", "[Errno 28] No space left on device"),
            Refusal::TooMany { .. } => plain(429, "Too many requests"),
            Refusal::Content => plain(400, "rejected"),
            Refusal::NotFound => Reply::json(404, &json!({"detail": "Not Found"})),
            Refusal::Invalid { message, .. } if message.ends_with("not found") => plain(404, message),
            Refusal::Invalid { message, .. } if message.starts_with("Invalid encoded") => plain(500, message),
            Refusal::Invalid { field, message } => {
                let detail = json!([{"loc": ["body", field], "msg": message, "type": "value_error"}]);
                Reply::json(422, &json!({"detail": detail}))
            }
            Refusal::Status { status, .. } => {
                error(*status, "RuntimeError", "", &format!("failed with status {status}"))
            }
        };
        reply.after(refusal)
    }

    fn charges(&self) -> bool {
        false
    }

    fn limits(&self) -> Limits {
        Limits { at_once: Some(1), rate: None }
    }

    fn over(&self) -> Over {
        Over::Waits
    }
}

/// The picture that a field holds.
fn given(value: &Value, studio: &Studio<'_>) -> Result<Source, Refusal> {
    if value.as_str().is_none_or(str::is_empty) {
        return Err(Refusal::invalid("init_images", "Init image not found"));
    }
    match studio.picture_or_base64(value) {
        Source::Elsewhere => Err(Refusal::invalid("init_images", "Invalid encoded image")),
        source => Ok(source),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;
    use darkroom_worker::media::{Limits, read_info};

    const ROOT: &str = "/a1111/sdapi/v1";

    fn size_of(picture: &Value) -> (u32, u32) {
        let bytes = from_base64(picture.as_str().unwrap()).unwrap();
        let size = read_info(&bytes, &Limits::default()).unwrap().size;
        (size.width, size.height)
    }

    #[tokio::test]
    async fn pictures_come_in_the_answer() {
        let trial = Trial::taking(0);
        let input = json!({"prompt": "a mug", "width": 96, "height": 64, "seed": 7, "n_iter": 2});
        let drawn = trial.post(&format!("{ROOT}/txt2img"), &[], &input).await;
        let info: Value = serde_json::from_str(drawn.text("/info")).unwrap();
        assert_eq!((&info["seed"], &info["all_seeds"]), (&json!(7), &json!([7, 8])));
        assert_eq!(size_of(&drawn.json["images"][1]), (96, 64));
        let picture = &drawn.json["images"][0];
        let edited = json!({"prompt": "at night", "init_images": [picture]});
        let edited = trial.post(&format!("{ROOT}/img2img"), &[], &edited).await;
        assert_eq!(size_of(&edited.json["images"][0]), (96, 64));
        assert_ne!(&edited.json["images"][0], picture);
        let large = json!({"image": picture, "upscaling_resize": 2, "upscaler_1": "R-ESRGAN 4x+"});
        let large = trial.post(&format!("{ROOT}/extra-single-image"), &[], &large).await;
        assert_eq!(size_of(&large.json["image"]), (192, 128));
        let charges = trial.charges().await;
        let endpoints: Vec<&Value> = charges.iter().map(|charge| &charge["endpoint"]).collect();
        assert_eq!(endpoints, ENDPOINTS);
        assert!(charges.iter().all(|charge| charge["price"] == 0.0));
    }

    #[tokio::test]
    async fn a_key_is_looked_at_where_one_is_shown() {
        let trial = Trial::taking(0);
        trial.key(NAME, "*", "invalid").await;
        trial.key(NAME, "me:secret", "ok").await;
        let basic = |key: &str| format!("authorization: Basic {}", to_base64(key.as_bytes()));
        let path = format!("{ROOT}/txt2img");
        let input = json!({"prompt": "x", "width": 64, "height": 64});
        for (key, status) in [("me:secret", 200), ("me:wrong", 401)] {
            assert_eq!(trial.post(&path, &[&basic(key)], &input).await.status, status, "{key}");
        }
        assert_eq!(trial.post(&path, &[], &input).await.status, 200);
    }

    #[tokio::test]
    async fn what_can_not_be_made_is_refused() {
        let trial = Trial::taking(0);
        let cases = [
            ("txt2img", json!({"prompt": "x", "sampler_name": "none"}), 404),
            ("txt2img", json!({"prompt": "x", "width": "wide"}), 422),
            ("img2img", json!({"prompt": "x"}), 404),
            ("img2img", json!({"prompt": "x", "init_images": ["!"]}), 500),
            ("extra-single-image", json!({"image": "AAAA", "upscaling_resize": 100}), 422),
        ];
        for (endpoint, input, status) in cases {
            let got = trial.post(&format!("{ROOT}/{endpoint}"), &[], &input).await;
            assert_eq!(got.status, status, "{input}: {}", got.json);
        }
        trial.fault(json!({"provider": NAME, "kind": "http:503", "count": 1})).await;
        assert_eq!(trial.post(&format!("{ROOT}/txt2img"), &[], &json!({})).await.status, 503);
        assert!(trial.charges().await.is_empty());
        let progress = trial.get(&format!("{ROOT}/progress"), &[]).await;
        assert_eq!(progress.json["progress"], 0.0);
    }
}
