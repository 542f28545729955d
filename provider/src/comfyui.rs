//! ComfyUI: graphs on a server of one's own.
//!
//! `POST /prompt` takes a graph and an id that we give, `/history/<id>` has the outcome once there is one, and `/queue` what
//! waits and runs. Nothing is charged. Source: its `server.py`, version 0.36.
//!
//! Graphs are data, in `comfyui/`: a text that is `$name` stands for a value of the route's map, of what the route always
//! sends or of the graph's defaults. A route may bring a graph of its own as `fixed.graph`.

use crate::adapter::{
    Access, Adapter, Ask, Failure, File, Found, Polled, Product, Submission, Submitted, Traits, Uploaded,
};
use crate::answer;
use crate::http::{Body, Method, Part, Request, Response, encoded};
use crate::{classify, mapping};
use darkroom_proto::model::Route;
use darkroom_proto::{CallId, ErrorClass, Map, Sha256, StepError, Timestamp};
use serde_json::{Value, json};

/// The adapter. The endpoint of a route is the name of a graph.
#[derive(Debug)]
pub(crate) struct ComfyUi;

const NAME: &str = "comfyui";
const HOST: &str = "http://127.0.0.1:8188";

/// Built-in graphs.
const GRAPHS: &[(&str, &str)] = &[
    ("flux-dev", include_str!("comfyui/flux-dev.json")),
    ("illusion-diffusion", include_str!("comfyui/illusion-diffusion.json")),
    ("sdxl", include_str!("comfyui/sdxl.json")),
    ("sdxl-img2img", include_str!("comfyui/sdxl-img2img.json")),
    ("upscale", include_str!("comfyui/upscale.json")),
];

/// The folder of its inputs that files go to.
const FOLDER: &str = "darkroom";

/// How long sending a file ahead may take.
const UPLOAD_TIMEOUT: std::time::Duration = std::time::Duration::from_secs(120);

/// The stage that looks whether a job waits or runs.
const QUEUE: &str = "queue";

/// The stage that looks into the history once more: a job that is in neither may just have gone from one to the other.
const LAST: &str = "last";

impl Adapter for ComfyUi {
    fn name(&self) -> &'static str {
        NAME
    }

    fn traits(&self) -> Traits {
        Traits {
            synchronous: false,
            webhook: false,
            signed: false,
            cancels: true,
            looks_up: true,
            at_once: 1,
            rate: None,
        }
    }

    fn hosts(&self) -> &'static [&'static str] {
        &[]
    }

    fn needs_key(&self) -> bool {
        false
    }

    fn upload(&self, access: &Access, _route: &Route, file: &File) -> Option<Request> {
        // By what it holds: files of one name may be several, and a name must not lead elsewhere.
        let ending = file.name.rsplit_once('.').map(|(_, ending)| ending).filter(|ending| crate::http::is_id(ending));
        let name = format!("{}.{}", Sha256::of(&file.bytes).short(32), ending.unwrap_or("png"));
        let picture = Part {
            name: "image".to_owned(),
            file_name: Some(name),
            media_type: Some(file.media_type.clone()),
            bytes: file.bytes.to_vec(),
        };
        let parts = vec![
            picture,
            Part::text("overwrite", "true"),
            Part::text("type", "input"),
            Part::text("subfolder", FOLDER),
        ];
        let request = Request::new(Method::Post, access.url(HOST, "/upload/image"));
        Some(Request { body: Body::Multipart(parts), ..request }.within(UPLOAD_TIMEOUT))
    }

    fn uploaded(
        &self,
        _access: &Access,
        _file: &File,
        _stage: &str,
        _memory: &Value,
        response: &Response,
    ) -> Result<Uploaded, StepError> {
        if !response.is_success() {
            return Err(self.classify(response));
        }
        let body = response.json();
        let name = answer::text_in(&body, "name");
        let name = name.ok_or_else(|| classify::malformed(NAME, "the answer to the upload can't be read"))?;
        Ok(Uploaded::Done(match answer::text_in(&body, "subfolder") {
            Some(folder) => format!("{folder}/{name}"),
            None => name.to_owned(),
        }))
    }

    fn submit(&self, access: &Access, ask: &Ask<'_>) -> Result<Submission, StepError> {
        let mut mapped = mapping::body(ask)?;
        let (mut graph, defaults) = graph_of(ask.route, mapped.body.remove("graph"))?;
        let (width, height) = ask.files.iter().find_map(|file| file.size).map_or((1_024, 1_024), answer::fitted);
        let ours = Map::from_iter([
            // Two equal graphs are one to it, and the second has no output.
            ("prefix".to_owned(), format!("darkroom_{}", ask.call).into()),
            ("width".to_owned(), width.into()),
            ("height".to_owned(), height.into()),
        ]);
        fill(&mut graph, &|name| {
            mapped.body.get(name).or_else(|| defaults.get(name)).or_else(|| ours.get(name)).cloned()
        })
        .map_err(|name| bad_graph(ask.route, &format!("nothing says what `${name}` is")))?;
        let id = ask.call.uuid().to_string();
        let body = json!({"prompt": graph, "prompt_id": id, "client_id": id});
        let request = Request::post(access.url(HOST, "/prompt"), body);
        Ok(Submission { request, ignored: mapped.ignored, notes: mapped.notes })
    }

    fn submitted(&self, access: &Access, ask: &Ask<'_>, response: &Response) -> Submitted {
        if !response.is_success() {
            return answer::refused(self, response);
        }
        // Old versions give a job an id of their own.
        match answer::id_in(&response.json(), "prompt_id") {
            Some(id) => Submitted::Accepted(Value::Object(answer::handle(access, ask, id))),
            None => answer::unreadable(NAME),
        }
    }

    fn check(&self, access: &Access) -> Option<Request> {
        Some(Request::get(access.url(HOST, "/system_stats")))
    }

    fn poll(&self, access: &Access, handle: &Value) -> Result<Request, StepError> {
        let id = answer::id_of(NAME, handle)?;
        Ok(Request::get(access.url(HOST, &format!("/history/{id}"))))
    }

    fn polled(&self, access: &Access, handle: &Value, stage: &str, response: &Response) -> Polled {
        let body = response.json();
        if !response.is_success() {
            return Polled::Again(self.classify(response));
        }
        let Some(id) = answer::id_in(handle, "id").filter(|_| body.is_object()) else {
            return Polled::Again(classify::malformed(NAME, "the answer can't be read"));
        };
        let history = || Request::get(access.url(HOST, &format!("/history/{id}")));
        match (stage, body.get(&id)) {
            (QUEUE, _) if is_queued(&body, &id) => Polled::Pending { progress: None },
            (QUEUE, _) => Polled::Next { request: history(), stage: LAST },
            (_, Some(entry)) => self.outcome(access, handle, entry),
            (LAST, None) if answer::is_new(access, handle) => Polled::Pending { progress: None },
            // It was restarted, or somebody emptied its queue.
            (LAST, None) => Polled::Failed(Failure::unbilled(answer::gone(NAME).error)),
            (_, None) => Polled::Next { request: Request::get(access.url(HOST, "/queue")), stage: QUEUE },
        }
    }

    /// Takes the job out of the queue. One that runs already runs on: interrupting it ends whatever runs in versions that do
    /// not know ids there.
    fn cancel(&self, access: &Access, handle: &Value) -> Option<Request> {
        let id = answer::id_of(NAME, handle).ok()?;
        Some(Request::post(access.url(HOST, "/queue"), json!({"delete": [id]})))
    }

    fn look_up(&self, access: &Access, _call: &CallId, _route: &Route, _at: Timestamp) -> Option<Request> {
        Some(Request::get(access.url(HOST, "/queue")))
    }

    /// A job that is not in the queue has run, or never came. The first poll tells which, and one that never came is a
    /// failure that costs nothing there: so it counts as found.
    fn looked_up(&self, access: &Access, call: &CallId, _route: &Route, response: &Response) -> Found {
        let body = response.json();
        if !response.is_success() || !body.is_object() {
            return Found::Unclear;
        }
        let id = call.uuid().to_string();
        let age = if is_queued(&body, &id) { access.now.0 } else { 0 };
        Found::Job(json!({"id": id, "at": age}))
    }

    fn classify(&self, response: &Response) -> StepError {
        let body = response.json();
        let Some(kind) = body.pointer("/error/type").and_then(Value::as_str) else {
            return classify::error(NAME, response, None, "");
        };
        let nodes = body.get("node_errors").and_then(Value::as_object).into_iter().flatten();
        let mut errors = nodes.flat_map(|(_, node)| node.get("errors").and_then(Value::as_array).into_iter().flatten());
        let Some(first) = errors.clone().next() else {
            return classify::error(NAME, response, Some(ErrorClass::InvalidInput), "").code(kind);
        };
        let chosen = errors.find(|error| is_missing_model(error));
        let class = if chosen.is_some() { ErrorClass::ModelNotFound } else { ErrorClass::InvalidInput };
        let error = chosen.unwrap_or(first);
        let said = ["message", "details"].iter().filter_map(|name| answer::text_in(error, name)).collect::<Vec<_>>();
        classify::error(NAME, response, Some(class), &said.join(": "))
            .code(answer::text_in(error, "type").unwrap_or(kind))
    }
}

impl ComfyUi {
    /// Reads what became of a graph.
    fn outcome(&self, access: &Access, handle: &Value, entry: &Value) -> Polled {
        let state = entry.pointer("/status/status_str").and_then(Value::as_str);
        if state == Some("error") {
            return Polled::Failed(failure(entry));
        }
        let wanted = answer::text_in(handle, "op").map(answer::output_of);
        let file = output(wanted, entry).and_then(|(kind, file)| {
            let part = |name| encoded(answer::text_in(file, name).unwrap_or_default());
            let path =
                format!("/view?filename={}&subfolder={}&type={}", part("filename"), part("subfolder"), part("type"));
            answer::at(kind, &access.url(HOST, &path))
        });
        match answer::made(NAME, Product { files: file.into_iter().collect(), ..Product::default() }) {
            Ok(product) => Polled::Done(product),
            Err(failure) => Polled::Failed(Failure::unbilled(failure.error)),
        }
    }
}

/// A graph with its defaults: the route's own, or the built-in one that it names.
fn graph_of(route: &Route, own: Option<Value>) -> Result<(Value, Map), StepError> {
    let object = |value: Option<Value>| match value {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    if let Some(graph) = own {
        return match graph.is_object() {
            true => Ok((graph, Map::new())),
            false => Err(bad_graph(route, "`fixed.graph` is no graph")),
        };
    }
    let (_, text) = GRAPHS
        .iter()
        .find(|(name, _)| *name == route.endpoint)
        .ok_or_else(|| bad_graph(route, "there is no graph of this name, and the route brings none"))?;
    let mut read = object(serde_json::from_str(text).ok());
    let graph = read.remove("graph").ok_or_else(|| bad_graph(route, "it can't be read"))?;
    Ok((graph, object(read.remove("defaults"))))
}

/// Puts values where a graph has `$name`; the error is a name that has none.
fn fill(value: &mut Value, find: &dyn Fn(&str) -> Option<Value>) -> Result<(), String> {
    match value {
        Value::String(text) => match text.strip_prefix('$') {
            Some(name) => {
                let name = name.to_owned();
                *value = find(&name).ok_or(name)?;
                Ok(())
            }
            None => Ok(()),
        },
        Value::Array(items) => items.iter_mut().try_for_each(|item| fill(item, find)),
        Value::Object(fields) => fields.values_mut().try_for_each(|field| fill(field, find)),
        _ => Ok(()),
    }
}

fn bad_graph(route: &Route, why: &str) -> StepError {
    StepError::new(ErrorClass::WorkflowError, format!("the graph `{}` of comfyui can't be used: {why}", route.endpoint))
        .code("bad_route")
        .advice("Correct the entry in your models file.")
}

/// Whether a job waits or runs. An entry of the queue is `[number, id, …]`.
fn is_queued(body: &Value, id: &str) -> bool {
    ["queue_running", "queue_pending"]
        .iter()
        .filter_map(|name| body.get(*name)?.as_array())
        .flatten()
        .any(|entry| entry.get(1).and_then(Value::as_str) == Some(id))
}

/// The first file that is of the wanted kind, of any where none is named; what was not kept is a preview only.
fn output<'a>(wanted: Option<&str>, entry: &'a Value) -> Option<(&'static str, &'a Value)> {
    let nodes = entry.get("outputs")?.as_object()?.values();
    let files = nodes.filter_map(Value::as_object).flat_map(|node| node.values().filter_map(Value::as_array).flatten());
    let of_kind = |file: &'a Value| Some((kind_of(answer::text_in(file, "filename")?), file));
    let found: Vec<_> =
        files.filter_map(of_kind).filter(|(kind, _)| wanted.is_none_or(|wanted| wanted == *kind)).collect();
    let kept = found.iter().find(|(_, file)| answer::text_in(file, "type") == Some("output"));
    kept.or(found.first()).copied()
}

/// What kind of output a file is, by its name.
fn kind_of(name: &str) -> &'static str {
    match name.rsplit('.').next().unwrap_or_default().to_lowercase().as_str() {
        "mp4" | "webm" | "mov" | "mkv" | "gif" => "video",
        "mp3" | "wav" | "flac" | "opus" => "audio",
        _ => "image",
    }
}

/// Why a graph failed, as the last of its messages tells.
fn failure(entry: &Value) -> Failure {
    let messages = entry.pointer("/status/messages").and_then(Value::as_array);
    let find = |event: &str| {
        let of = |message: &&Value| message.get(0).and_then(Value::as_str) == Some(event);
        messages.into_iter().flatten().rev().find(of).and_then(|message| message.get(1))
    };
    let Some(raised) = find("execution_error") else {
        let class = match find("execution_interrupted") {
            Some(_) => ErrorClass::Cancelled,
            None => ErrorClass::ServerUnavailable,
        };
        return Failure::unbilled(classify::failed(NAME, class, "the graph was interrupted"));
    };
    let part = |name| answer::text_in(raised, name).unwrap_or_default().trim();
    let (kind, said) = (part("exception_type"), part("exception_message"));
    let told = format!("{}: {said}", part("node_type"));
    if answer::is_out_of_memory(kind) || answer::is_out_of_memory(said) {
        let error = classify::failed(NAME, ErrorClass::ServerUnavailable, &told).code("out_of_memory");
        return Failure::unbilled(error);
    }
    let is_full = said.contains("No space left");
    let class = if is_full { ErrorClass::QuotaExceeded } else { ErrorClass::ServerUnavailable };
    Failure::unbilled(classify::failed(NAME, class, &told).code("execution_error"))
}

/// Whether an error of a node is that a file of a model is not there.
fn is_missing_model(error: &Value) -> bool {
    const FILES: &[&str] =
        &["ckpt_name", "unet_name", "vae_name", "clip_name", "lora_name", "control_net_name", "model_name"];
    let input = error.pointer("/extra_info/input_name").and_then(Value::as_str).unwrap_or_default();
    answer::text_in(error, "type") == Some("value_not_in_list") && FILES.iter().any(|file| input.starts_with(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::Source;
    use crate::sample::{Sample, answered, json_of, keyed_by, later};

    fn drawn() -> Sample {
        let map = json!({"prompt": "prompt", "negative-prompt": "negative_prompt", "width": "width:multiple(8,64,2048)",
                         "height": "height:multiple(8,64,2048)", "seed": "seed", "steps": "steps", "guidance": "guidance"});
        let params = json!({"prompt": "a $prefix", "width": 1000, "height": 768, "seed": 42});
        Sample::made("image.generate", json!({"endpoint": "sdxl", "map": map}), params)
    }

    fn handle(access: &Access) -> Value {
        json!({"id": "p-1", "op": "image.generate", "at": access.now.0})
    }

    fn polled(access: &Access, stage: &str, body: Value) -> Polled {
        ComfyUi.polled(access, &handle(&keyed_by("")), stage, &answered(200, body))
    }

    #[test]
    fn a_graph_is_filled_and_has_our_id() {
        let sample = drawn();
        let sent = ComfyUi.submit(&keyed_by(""), &sample.ask()).unwrap().request;
        assert_eq!(sent.url, "http://127.0.0.1:8188/prompt");
        let id = sample.call.uuid().to_string();
        let body = json_of(&sent);
        assert_eq!((&body["prompt_id"], &body["client_id"]), (&json!(id), &json!(id)));
        let input = |node: &str, name: &str| &body["prompt"][node]["inputs"][name];
        assert_eq!(input("1", "ckpt_name"), "sd_xl_base_1.0.safetensors");
        assert_eq!(input("2", "text"), "a $prefix", "what is asked for is not looked into");
        assert_eq!(input("3", "text"), "");
        assert_eq!((input("4", "width"), input("4", "height")), (&json!(1000), &json!(768)));
        assert_eq!((input("5", "seed"), input("5", "steps"), input("5", "cfg")), (&json!(42), &json!(25), &json!(7)));
        assert_eq!(*input("7", "filename_prefix"), json!(format!("darkroom_{}", sample.call)));
        assert_eq!(input("7", "images"), &json!(["6", 0]));
    }

    #[test]
    fn every_built_in_graph_is_whole() {
        for (name, _) in GRAPHS {
            let map = json!({"prompt": "prompt", "image": "image:url"});
            let sample = Sample::made("image.edit", json!({"endpoint": name, "map": map}), json!({"prompt": "x"}));
            let sent =
                ComfyUi.submit(&keyed_by(""), &sample.file("image", Some("darkroom/a.png")).ask()).unwrap().request;
            let graph = json_of(&sent)["prompt"].as_object().unwrap();
            assert!(!graph.is_empty(), "{name}");
            for (at, node) in graph {
                assert!(node["class_type"].is_string(), "{name} {at}");
                for (input, value) in node["inputs"].as_object().unwrap() {
                    assert!(!value.as_str().is_some_and(|text| text.starts_with('$')), "{name} {at} {input}");
                    // A list is an output of another node.
                    if let Some(from) = value.as_array() {
                        assert!(graph.contains_key(from[0].as_str().unwrap()), "{name} {at} {input}");
                    }
                }
            }
            assert!(graph.values().any(|node| node["class_type"] == "SaveImage"), "{name}");
        }
    }

    #[test]
    fn a_route_may_bring_its_own_graph() {
        let route = |graph: Value| json!({"endpoint": "mine", "map": {"prompt": "prompt"}, "fixed": {"graph": graph}});
        let graph = json!({"1": {"class_type": "Say", "inputs": {"text": "$prompt"}}});
        let sample = Sample::made("image.generate", route(graph), json!({"prompt": "x"}));
        let sent = ComfyUi.submit(&keyed_by(""), &sample.ask()).unwrap().request;
        assert_eq!(json_of(&sent)["prompt"]["1"]["inputs"]["text"], "x");

        let holes = json!({"1": {"class_type": "Say", "inputs": {"text": "$nobody"}}});
        for bad in [route(holes), route(json!("x")), json!({"endpoint": "none"})] {
            let sample = Sample::made("image.generate", bad.clone(), json!({}));
            assert_eq!(ComfyUi.submit(&keyed_by(""), &sample.ask()).unwrap_err().code, "bad_route", "{bad}");
        }
    }

    #[test]
    fn a_file_is_sent_ahead_under_a_name_that_says_what_it_holds() {
        let map = json!({"prompt": "prompt", "image": "image:url"});
        let sample =
            Sample::made("image.edit", json!({"endpoint": "sdxl-img2img", "map": map}), json!({"prompt": "x"}))
                .file("image", None);
        let file = &sample.ask().files[0];
        let request = ComfyUi.upload(&keyed_by(""), &sample.route, file).unwrap();
        assert_eq!(request.url, "http://127.0.0.1:8188/upload/image");
        let Body::Multipart(parts) = &request.body else { panic!("it is a form") };
        let name = parts[0].file_name.clone().unwrap();
        assert!(name.ends_with(".png") && name.len() == 36, "{name}");
        let answer = answered(200, json!({"name": name, "subfolder": "darkroom", "type": "input"}));
        let uploaded = ComfyUi.uploaded(&keyed_by(""), file, "", &Value::Null, &answer).unwrap();
        assert!(matches!(uploaded, Uploaded::Done(place) if place == format!("darkroom/{name}")));
        let refused = ComfyUi.uploaded(&keyed_by(""), file, "", &Value::Null, &answered(200, json!({})));
        assert_eq!(refused.unwrap_err().code, "malformed_answer");
    }

    #[test]
    fn a_job_is_followed_through_history_and_queue() {
        let access = keyed_by("");
        let taken = answered(200, json!({"prompt_id": "p-1", "number": 3, "node_errors": {}}));
        let Submitted::Accepted(handle) = ComfyUi.submitted(&access, &drawn().ask(), &taken) else {
            panic!("it was taken");
        };
        assert_eq!(ComfyUi.poll(&access, &handle).unwrap().url, "http://127.0.0.1:8188/history/p-1");
        let Polled::Next { request, stage } = polled(&access, "", json!({})) else { panic!("not done yet") };
        assert_eq!((request.url.as_str(), stage), ("http://127.0.0.1:8188/queue", QUEUE));
        for queue in [
            json!({"queue_running": [[3, "p-1", {}, {}, []]], "queue_pending": []}),
            json!({"queue_running": [], "queue_pending": [[3, "p-1", {}, {}, []]]}),
        ] {
            assert!(matches!(polled(&access, QUEUE, queue.clone()), Polled::Pending { .. }), "{queue}");
        }
        let empty = json!({"queue_running": [], "queue_pending": []});
        let Polled::Next { request, stage } = polled(&access, QUEUE, empty) else {
            panic!("it may have ended just now")
        };
        assert_eq!((request.url.as_str(), stage), ("http://127.0.0.1:8188/history/p-1", LAST));
        assert!(matches!(polled(&access, LAST, json!({})), Polled::Pending { .. }), "it is new");
        let gone = polled(&later(&access, 60), LAST, json!({}));
        assert!(matches!(gone, Polled::Failed(failure) if !failure.billed && failure.error.code == "job_gone"));
        assert!(matches!(polled(&access, "", json!([])), Polled::Again(_)));
    }

    #[test]
    fn what_was_kept_is_the_output() {
        let file = |name: &str, kind: &str| json!({"filename": name, "subfolder": "a b", "type": kind});
        let entry = json!({"outputs": {"5": {"images": [file("preview.png", "temp")]},
                                       "7": {"images": [file("d_1_.png", "output")], "gifs": [file("d.mp4", "output")]}},
                           "status": {"status_str": "success", "completed": true, "messages": []}});
        for (op, name) in [("image.generate", "d_1_.png"), ("video.generate", "d.mp4")] {
            let handle = json!({"id": "p-1", "op": op});
            let answer = answered(200, json!({"p-1": entry}));
            let Polled::Done(product) = ComfyUi.polled(&keyed_by(""), &handle, "", &answer) else {
                panic!("it is done")
            };
            let want = format!("http://127.0.0.1:8188/view?filename={name}&subfolder=a%20b&type=output");
            assert!(matches!(&product.files[0].source, Source::Url { url, with_key: false } if *url == want), "{op}");
        }
    }

    #[test]
    fn a_graph_that_failed_costs_nothing_and_has_a_class() {
        use ErrorClass::{Cancelled, QuotaExceeded, ServerUnavailable};
        let raised = |kind: &str, said: &str| {
            json!([["execution_start", {}], ["execution_error", {"exception_type": kind, "exception_message": said,
                                                               "node_type": "KSampler", "node_id": "5"}]])
        };
        let cases = [
            (raised("torch.OutOfMemoryError", "Allocation on device "), ServerUnavailable, "out_of_memory"),
            (raised("RuntimeError", "shapes differ"), ServerUnavailable, "execution_error"),
            (raised("OSError", "[Errno 28] No space left on device"), QuotaExceeded, "execution_error"),
            (json!([["execution_interrupted", {"node_id": "5"}]]), Cancelled, "cancelled"),
        ];
        for (messages, class, code) in cases {
            let status = json!({"status_str": "error", "completed": false, "messages": messages});
            let Polled::Failed(failure) = polled(&keyed_by(""), "", json!({"p-1": {"outputs": {}, "status": status}}))
            else {
                panic!("{messages} is a failure");
            };
            let found = (failure.error.class, failure.error.code.as_str(), failure.billed);
            assert_eq!(found, (class, code, false), "{messages}");
        }
        let cached = json!({"p-1": {"outputs": {}, "status": {"status_str": "success", "completed": true}}});
        let empty = polled(&keyed_by(""), "", cached);
        assert!(matches!(empty, Polled::Failed(failure) if failure.error.code == "no_media" && !failure.billed));
    }

    #[test]
    fn a_graph_that_is_refused_names_what_is_missing() {
        let refused = |input: &str, kind: &str| {
            json!({"error": {"type": "prompt_outputs_failed_validation", "message": "Prompt outputs failed validation"},
                   "node_errors": {"1": {"class_type": "CheckpointLoaderSimple", "errors": [
                       {"type": kind, "message": "Value not in list", "details": "x not in []",
                        "extra_info": {"input_name": input}}]}}})
        };
        let bare = json!({"error": {"type": "invalid_prompt_id", "message": "no"}, "node_errors": {}});
        let cases = [
            (refused("ckpt_name", "value_not_in_list"), ErrorClass::ModelNotFound, "value_not_in_list"),
            (refused("sampler_name", "value_not_in_list"), ErrorClass::InvalidInput, "value_not_in_list"),
            (refused("steps", "value_bigger_than_max"), ErrorClass::InvalidInput, "value_bigger_than_max"),
            (bare, ErrorClass::InvalidInput, "invalid_prompt_id"),
        ];
        for (body, class, code) in cases {
            let Submitted::Refused(failure) =
                ComfyUi.submitted(&keyed_by(""), &drawn().ask(), &answered(400, body.clone()))
            else {
                panic!("{body} is a refusal");
            };
            assert_eq!((failure.error.class, failure.error.code.as_str()), (class, code), "{body}");
        }
        let down = ComfyUi.submitted(&keyed_by(""), &drawn().ask(), &answered(502, Value::Null));
        assert!(matches!(down, Submitted::Unclear(_)));
    }

    #[test]
    fn a_call_in_doubt_is_found_or_turns_out_to_be_lost_for_nothing() {
        let (access, sample) = (keyed_by(""), drawn());
        let asked = ComfyUi.look_up(&access, &sample.call, &sample.route, access.now).unwrap();
        assert_eq!(asked.url, "http://127.0.0.1:8188/queue");
        let id = sample.call.uuid().to_string();
        let empty = json!({"queue_running": [], "queue_pending": []});
        for queue in [json!({"queue_running": [[1, id]], "queue_pending": []}), empty.clone()] {
            let answer = answered(200, queue);
            let Found::Job(handle) = ComfyUi.looked_up(&access, &sample.call, &sample.route, &answer) else {
                panic!("it is asked about");
            };
            assert!(ComfyUi.poll(&access, &handle).unwrap().url.ends_with(&id));
        }
        let Found::Job(handle) = ComfyUi.looked_up(&access, &sample.call, &sample.route, &answered(200, empty)) else {
            panic!("it is asked about");
        };
        let lost = ComfyUi.polled(&access, &handle, LAST, &answered(200, json!({})));
        assert!(matches!(lost, Polled::Failed(failure) if !failure.billed));
        let down = ComfyUi.looked_up(&access, &sample.call, &sample.route, &answered(502, Value::Null));
        assert!(matches!(down, Found::Unclear));
    }

    #[test]
    fn a_job_that_nobody_wants_leaves_the_queue() {
        let cancel = ComfyUi.cancel(&keyed_by(""), &handle(&keyed_by(""))).unwrap();
        assert_eq!(cancel.url, "http://127.0.0.1:8188/queue");
        assert_eq!(*json_of(&cancel), json!({"delete": ["p-1"]}));
        assert!(!ComfyUi.cancelled(&answered(200, Value::Null)));
    }
}
