//! ComfyUI: graphs on a server of one's own, one after the other, under an id that the caller may give.
//!
//! No key and no price. What a graph gives is guessed from its nodes: a picture for each node that saves one, drawn by the
//! first text, size and seed that are found, or the picture that it loads, changed. A websocket is not served, no node is
//! carried out, and equal graphs are not recognised. Source: its `server.py`, version 0.36.

mod graph;

use crate::answer::{Answer, Reply};
use crate::asked::Asked;
use crate::files::Linked;
use crate::form::Form;
use crate::job::{Job, Order, Phase};
use crate::lane::{Limits, Over};
use crate::media::{Recipe, hash};
use crate::provider::{Class, Provider, Refusal, Route};
use crate::studio::Studio;
use crate::world::World;
use darkroom_proto::Timestamp;
use serde_json::{Value, json};
use std::sync::Arc;

const NAME: &str = "comfyui";

/// The type of an error whose text is a document of nodes.
const IN_NODES: &str = "prompt_outputs_failed_validation";

pub(super) struct ComfyUi;

impl Provider for ComfyUi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn route(&self, asked: &Asked) -> Option<Route> {
        let (method, parts) = asked.parts();
        // Everything is below `/api` too.
        let parts = parts.strip_prefix(&["api"]).unwrap_or(&parts);
        let route = match (method, parts) {
            ("POST", ["prompt"]) => Route::submit("prompt"),
            ("GET", ["prompt"]) => Route::other(Class::Other, "left"),
            ("GET", ["history", id]) => Route::of_job(Class::Poll, "history", *id),
            ("GET", ["history"]) => Route::other(Class::Poll, "histories"),
            ("POST", ["history"]) => Route::other(Class::Other, "forget"),
            ("GET", ["queue"]) => Route::other(Class::Poll, "queue"),
            ("POST", ["queue"]) => Route::other(Class::Cancel, "unqueue"),
            ("POST", ["interrupt"]) => Route::other(Class::Cancel, "interrupt"),
            ("GET", ["view"]) => Route::other(Class::Download, "view"),
            ("POST", ["upload", "image"]) => Route::other(Class::Upload, "upload"),
            ("GET", ["object_info"]) => Route::other(Class::Other, "objects"),
            ("GET", ["object_info", class]) => Route::of_job(Class::Other, "objects", *class),
            ("GET", ["system_stats"]) => Route::other(Class::Other, "system"),
            ("POST", ["free"]) => Route::other(Class::Other, "free"),
            _ => return None,
        };
        Some(route.without_key())
    }

    fn key(&self, _asked: &Asked) -> Option<String> {
        None
    }

    fn order(&self, asked: &Asked, _route: &Route, studio: &Studio<'_>) -> Result<Order, Refusal> {
        let input = asked.json();
        let id = match &input["prompt_id"] {
            Value::Null => None,
            given => match given.as_str().filter(|id| uuid::Uuid::try_parse(id).is_ok()) {
                Some(id) => Some(id.to_owned()),
                None => return Err(Refusal::invalid("invalid_prompt_id", "prompt_id must be a UUID")),
            },
        };
        let mut order = graph::order(&input["prompt"], studio)?;
        order.id = id;
        order.input = input;
        Ok(order)
    }

    fn accepted(&self, _asked: &Asked, job: &Arc<Job>, _now: Timestamp) -> Answer {
        Reply::json(200, &json!({"prompt_id": job.id, "number": job.number, "node_errors": {}})).into()
    }

    fn look(&self, asked: &Asked, route: &Route, world: &mut World) -> Answer {
        let now = world.now();
        let jobs = |world: &World, phase: Phase| -> Vec<Arc<Job>> {
            let mut jobs: Vec<_> = world.jobs_of(NAME, "").filter(|job| job.phase(now) == phase).cloned().collect();
            jobs.reverse();
            jobs
        };
        let body = match route.endpoint.as_str() {
            "history" => {
                match world.job(NAME, route.id()).and_then(|job| Some((job.id.clone(), history(&job, world)?))) {
                    Some((id, entry)) => json!({id: entry}),
                    None => json!({}),
                }
            }
            "histories" => {
                let most = asked.query("max_items").and_then(|most| most.parse().ok()).unwrap_or(200);
                let known: Vec<Arc<Job>> = world.jobs_of(NAME, "").cloned().collect();
                let entries = known.iter().filter_map(|job| Some((job.id.clone(), history(job, world)?)));
                entries.take(most).collect::<serde_json::Map<String, Value>>().into()
            }
            "forget" => {
                let ended = world.jobs_of(NAME, "").filter(|job| job.ended(now).is_some());
                let ended: Vec<String> = ended.map(|job| job.id.clone()).collect();
                let (asked, all) = (asked.json(), asked.json()["clear"] == true);
                for id in ended.iter().filter(|id| all || names(&asked["delete"], id)) {
                    world.delete(NAME, id);
                }
                return Reply::empty(200).into();
            }
            "queue" => {
                let entry = |job: &Arc<Job>| json!([job.number, job.id, job.input["prompt"], {}, []]);
                let list = |phase| jobs(world, phase).iter().map(entry).collect::<Value>();
                json!({"queue_running": list(Phase::Running), "queue_pending": list(Phase::Queued)})
            }
            "left" => {
                let left = jobs(world, Phase::Running).len() + jobs(world, Phase::Queued).len();
                json!({"exec_info": {"queue_remaining": left}})
            }
            "unqueue" => {
                let asked = asked.json();
                for job in jobs(world, Phase::Queued) {
                    if asked["clear"] == true || names(&asked["delete"], &job.id) {
                        world.cancel(NAME, &job.id, true);
                    }
                }
                return Reply::empty(200).into();
            }
            "interrupt" => {
                let only = asked.json()["prompt_id"].as_str().map(str::to_owned);
                for job in jobs(world, Phase::Running) {
                    if only.as_ref().is_none_or(|only| *only == job.id) {
                        world.cancel(NAME, &job.id, true);
                    }
                }
                return Reply::empty(200).into();
            }
            "view" => {
                let part = |name: &str| asked.query(name).unwrap_or_default();
                let kind = asked.query("type").unwrap_or_else(|| "output".to_owned());
                return match world.files.get(&file_id(&kind, &part("subfolder"), &part("filename"))) {
                    Some(linked) => Answer::File(linked.recipe.clone()),
                    None => Reply::empty(404).into(),
                };
            }
            "upload" => return upload(asked, world).into(),
            "objects" => graph::objects(route.job.as_deref()),
            "system" => json!({
                "system": {"os": "posix", "comfyui_version": "0.36.0", "python_version": "3.12", "argv": ["main.py"]},
                "devices": [{"name": "simulator", "type": "cpu", "index": 0, "vram_total": 0, "vram_free": 0}],
            }),
            _ => return Reply::empty(200).into(),
        };
        Reply::json(200, &body).into()
    }

    fn refuse(&self, refusal: &Refusal) -> Reply {
        let error = |status, kind: &str, message: &str, nodes: Value| {
            let error = json!({"type": kind, "message": message, "details": "", "extra_info": {}});
            Reply::json(status, &json!({"error": error, "node_errors": nodes}))
        };
        let plain = |status: u16| Reply::bytes(status, "text/plain", format!("{status}: refused\n"));
        let reply = match refusal {
            Refusal::Invalid { field, message } if field == IN_NODES => {
                let nodes = serde_json::from_str(message).unwrap_or_default();
                error(400, IN_NODES, "Prompt outputs failed validation", nodes)
            }
            Refusal::Invalid { field, message } if field == "id" => error(400, "invalid_prompt_id", message, json!({})),
            Refusal::Invalid { field, message } => error(400, field, message, json!({})),
            // It has no keys: a server in between may.
            Refusal::NoKey | Refusal::InvalidKey | Refusal::Forbidden => plain(401),
            Refusal::Quota => plain(402),
            Refusal::TooMany { .. } => plain(429),
            Refusal::Content => plain(400),
            Refusal::NotFound => plain(404),
            Refusal::Status { status, .. } => plain(*status),
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

/// Whether a list names an id.
fn names(list: &Value, id: &str) -> bool {
    list.as_array().is_some_and(|list| list.iter().any(|named| named == id))
}

/// How a file of the server is known here.
fn file_id(kind: &str, folder: &str, name: &str) -> String {
    format!("comfyui{:016x}", hash(&(kind, folder.trim_matches('/'), name)))
}

/// Keeps a file for good.
fn keep(world: &mut World, (kind, folder, name): (&str, &str, &str), recipe: Arc<Recipe>) {
    let linked = Linked { provider: NAME, recipe, name: name.to_owned(), expires: Timestamp(u64::MAX), gone: 404 };
    world.files.put(file_id(kind, folder, name), linked);
}

fn upload(asked: &Asked, world: &mut World) -> Reply {
    let form = Form::of(asked).unwrap_or_default();
    let Some(file) = form.files("image").next() else { return Reply::empty(400) };
    let given = file.file_name.clone().unwrap_or_default();
    let name = given.rsplit('/').next().filter(|name| !name.is_empty() && *name != "..");
    let Some(name) = name else { return Reply::empty(400) };
    let folder = form.text("subfolder").unwrap_or_default();
    let kind = form.text("type").unwrap_or_else(|| "input".to_owned());
    if folder.split('/').any(|part| part == "..") || !["input", "temp", "output"].contains(&kind.as_str()) {
        return Reply::empty(400);
    }
    let media_type = file.media_type.clone().unwrap_or_else(|| "image/png".to_owned());
    let recipe = Arc::new(Recipe::Sent { blob: world.media.keep(file.bytes.clone()), media_type });
    // Without `overwrite` a name that is taken gets a number.
    let is_taken = |world: &World, name: &str| {
        world.files.get(&file_id(&kind, &folder, name)).is_some_and(|known| known.recipe != recipe)
    };
    let mut chosen = name.to_owned();
    if !form.text("overwrite").is_some_and(|word| ["true", "1"].contains(&word.as_str())) {
        let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "png"));
        for number in 1..1_000 {
            if !is_taken(world, &chosen) {
                break;
            }
            chosen = format!("{stem} ({number}).{ending}");
        }
    } else if is_taken(world, &chosen) {
        world.files.remove(&file_id(&kind, &folder, &chosen));
    }
    keep(world, (&kind, &folder, &chosen), recipe);
    Reply::json(200, &json!({"name": chosen, "subfolder": folder, "type": kind}))
}

/// What the history has of a job; nothing before it has ended, and nothing of one that was taken out of the queue.
fn history(job: &Job, world: &mut World) -> Option<Value> {
    let ended = job.ended(world.now())?;
    let is_whole = match job.cancelled {
        Some(cancelled) if !cancelled.had_begun => return None,
        cancelled => cancelled.is_none(),
    };
    let event = |name: &str, at: Timestamp| json!([name, {"prompt_id": job.id, "timestamp": at.0}]);
    let last = if is_whole { "execution_success" } else { "execution_interrupted" };
    let messages = json!([event("execution_start", job.starts), event(last, ended)]);
    let mut outputs = json!({});
    for (number, file) in graph::files(job).into_iter().enumerate().filter(|_| is_whole) {
        if let Some(recipe) = job.makes.get(number) {
            keep(world, (&file.kind, &file.folder, &file.name), recipe.clone());
        }
        let list = &mut outputs[&file.node][&file.list];
        if list.is_null() {
            *list = json!([]);
        }
        if let Some(list) = list.as_array_mut() {
            list.push(json!({"filename": file.name, "subfolder": file.folder, "type": file.kind}));
        }
    }
    let state = if is_whole { "success" } else { "error" };
    Some(json!({
        "prompt": [job.number, job.id, job.input["prompt"], {}, []], "outputs": outputs, "meta": {},
        "status": {"status_str": state, "completed": is_whole, "messages": messages},
    }))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::trial::Trial;
    use darkroom_worker::media::{Limits, read_info};

    const ID: &str = "123e4567-e89b-12d3-a456-426614174000";

    fn drawn(id: Option<&str>) -> Value {
        json!({"prompt_id": id, "client_id": "c", "prompt": {
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd_xl.safetensors"}},
            "2": {"class_type": "CLIPTextEncode", "inputs": {"clip": ["1", 1], "text": "a mug"}},
            "3": {"class_type": "EmptyLatentImage", "inputs": {"width": 320, "height": 200, "batch_size": 1}},
            "4": {"class_type": "KSampler", "inputs": {"model": ["1", 0], "positive": ["2", 0], "latent_image": ["3", 0], "seed": 7}},
            "5": {"class_type": "SaveImage", "inputs": {"images": ["4", 0], "filename_prefix": "mine/mug"}},
        }})
    }

    async fn size_of(trial: &Trial, id: &str, node: &str) -> (u32, u32) {
        let entry = trial.get(&format!("/comfyui/history/{id}"), &[]).await.json[id].clone();
        assert_eq!(entry["status"]["status_str"], "success", "{entry}");
        let file = &entry["outputs"][node]["images"][0];
        let part = |name: &str| file[name].as_str().unwrap();
        let (name, folder, kind) = (part("filename"), part("subfolder"), part("type"));
        let path = format!("/comfyui/view?filename={name}&subfolder={folder}&type={kind}");
        let got = trial.get(&path, &[]).await;
        assert_eq!(got.header("content-type"), "image/png");
        let size = read_info(&got.body, &Limits::default()).unwrap().size;
        (size.width, size.height)
    }

    #[tokio::test]
    async fn a_graph_is_found_by_the_id_that_was_given() {
        let trial = Trial::taking(0);
        let taken = trial.post("/comfyui/api/prompt", &[], &drawn(Some(ID))).await;
        assert_eq!((taken.status, taken.text("/prompt_id")), (200, ID), "{}", taken.json);
        assert_eq!(size_of(&trial, ID, "5").await, (320, 200));
        let again = trial.post("/comfyui/prompt", &[], &drawn(Some(ID))).await;
        assert_eq!((again.status, again.text("/error/type")), (400, "invalid_prompt_id"));
        let charges = trial.charges().await;
        assert_eq!((charges.len(), &charges[0]["price"]), (1, &json!(0.0)));
        assert_eq!(trial.get(&format!("/comfyui/history/{}", uuid::Uuid::nil()), &[]).await.json, json!({}));
    }

    #[tokio::test]
    async fn a_graph_can_load_what_was_uploaded() {
        let trial = Trial::taking(0);
        let picture =
            crate::media::Media::default().make(&Recipe::drawn("x", 1, (60, 40), darkroom_worker::media::Format::Png));
        let fields: [(&str, &[u8]); 2] = [("@image", &picture), ("subfolder", b"in")];
        let sent = trial.form("/comfyui/upload/image", &[], &fields).await;
        assert_eq!(sent.json, json!({"name": "a.png", "subfolder": "in", "type": "input"}));
        let other: [(&str, &[u8]); 2] = [("@image", b"other"), ("subfolder", b"in")];
        assert_eq!(trial.form("/comfyui/upload/image", &[], &other).await.text("/name"), "a (1).png");
        let back = trial.get("/comfyui/view?filename=a.png&subfolder=in&type=input", &[]).await;
        assert_eq!(back.body, picture);
        let graph = |name: &str| {
            json!({"prompt": {
                "1": {"class_type": "LoadImage", "inputs": {"image": name}},
                "2": {"class_type": "UpscaleModelLoader", "inputs": {"model_name": "x4.pth"}},
                "3": {"class_type": "ImageUpscaleWithModel", "inputs": {"upscale_model": ["2", 0], "image": ["1", 0]}},
                "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "up"}},
            }})
        };
        let taken = trial.post("/comfyui/prompt", &[], &graph("in/a.png")).await;
        assert_eq!(size_of(&trial, taken.text("/prompt_id"), "4").await, (240, 160));
        let missing = trial.post("/comfyui/prompt", &[], &graph("nothing.png")).await;
        assert_eq!(missing.text("/node_errors/1/errors/0/extra_info/input_name"), "image");
    }

    #[tokio::test]
    async fn one_runs_and_the_others_wait_until_they_are_taken_out() {
        let trial = Trial::taking(60_000);
        let mut ids = Vec::new();
        for _ in 0..3 {
            let taken = trial.post("/comfyui/prompt", &[], &drawn(None)).await;
            ids.push(taken.text("/prompt_id").to_owned());
        }
        let queue = trial.get("/comfyui/queue", &[]).await.json;
        assert_eq!((&queue["queue_running"][0][1], &queue["queue_pending"][1][1]), (&json!(ids[0]), &json!(ids[2])));
        trial.post("/comfyui/queue", &[], &json!({"delete": [ids[1], ids[0]]})).await;
        trial.post("/comfyui/interrupt", &[], &json!({"prompt_id": ids[0]})).await;
        let queue = trial.get("/comfyui/queue", &[]).await.json;
        assert_eq!((&queue["queue_running"], &queue["queue_pending"][0][1]), (&json!([]), &json!(ids[2])));
        assert_eq!(trial.get(&format!("/comfyui/history/{}", ids[1]), &[]).await.json, json!({}), "never begun");
        let entry = trial.get(&format!("/comfyui/history/{}", ids[0]), &[]).await.json[&ids[0]].clone();
        assert_eq!(entry["status"]["messages"][1][0], "execution_interrupted");
        assert_eq!(entry["outputs"], json!({}));
    }

    #[tokio::test]
    async fn what_can_not_run_is_refused_with_the_node() {
        let trial = Trial::taking(0);
        let with = |at: &str, value: Value| {
            let mut input = drawn(None);
            *input.pointer_mut(at).unwrap() = value;
            input
        };
        let cases = [
            (with("/prompt_id", json!("mine")), "/error/type", "invalid_prompt_id"),
            (with("/prompt", json!({})), "/error/type", "no_prompt"),
            (with("/prompt/5/class_type", json!("PreviewAny")), "/error/type", "prompt_no_outputs"),
            (with("/prompt/3/class_type", Value::Null), "/error/type", "invalid_prompt"),
            (with("/prompt/4/inputs/model/0", json!("9")), "/node_errors/4/errors/0/type", "bad_linked_input"),
            (with("/prompt/1/inputs/ckpt_name", json!("none")), "/node_errors/1/errors/0/type", "value_not_in_list"),
        ];
        for (input, at, says) in cases {
            let got = trial.post("/comfyui/prompt", &[], &input).await;
            assert_eq!((got.status, got.text(at)), (400, says), "{}", got.json);
        }
        trial.fault(json!({"provider": "comfyui", "kind": "http:502", "count": 1})).await;
        assert_eq!(trial.post("/comfyui/prompt", &[], &drawn(None)).await.status, 502);
        assert!(trial.charges().await.is_empty());
        let known = trial.get("/comfyui/object_info/KSampler", &[]).await.json;
        assert!(known["KSampler"]["input"]["required"]["seed"].is_array());
        assert!(trial.get("/comfyui/system_stats", &[]).await.json["devices"].is_array());
    }
}
