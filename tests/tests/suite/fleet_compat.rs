//! The routes of services that were there before `/v1`, as their clients use them.

use super::fleet_api::{Answer, Asked, problem};
use darkroom_tests::poll;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};

/// A workflow for a picture, with what may be chosen of it.
const PRINT: &str = r"workflow: print
title: A print
description: A small one
credits: 3
estimated-duration: 2m
ui: { icon: P, category: paper }
inputs:
  photo: { type: image, max-bytes: 1MB }
  frame: { type: image, required: false }
  model: { type: enum, enum: [flux-dev, flux-pro], default: flux-dev }
  look: { type: string, default: neon rain }
steps:
  - id: small
    title: Made small
    uses: image.resize
    with: { image: '${{ inputs.photo }}', width: 8, height: 8 }
  - id: drawn
    uses: image.generate
    with: { model: '${{ inputs.model }}', prompt: '${{ inputs.look }}', seed: 1 }
  - id: words
    uses: noop
    with: { data: '${{ inputs.look }} by ${{ inputs.model }}' }
outputs:
  small: ${{ steps.small.image }}
  drawn: ${{ steps.drawn.image }}
  said: ${{ steps.words.data }}
";

/// A workflow that fails, first in a way that passes and then in one that does not.
const TEAR: &str = r"workflow: tear
steps:
  - id: shaky
    uses: fail
    with: { class: server_unavailable, times: 1 }
    retry: { attempts: 2, delay: 10ms }
  - id: torn
    uses: fail
    with: { class: content_rejected, message: not this }
";

/// A form as a client sends it: names, file names and contents.
async fn form(asked: &Asked, fields: &[(&str, Option<&str>, &[u8])]) -> Answer {
    let mut body = Vec::new();
    for (name, file, content) in fields {
        let file = file.map(|file| format!("; filename=\"{file}\"")).unwrap_or_default();
        body.extend(format!("--cut\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
        body.extend_from_slice(content);
        body.extend(b"\r\n");
    }
    body.extend(b"--cut--\r\n");
    let request = asked.client.post(format!("{}/workflows/execute", asked.base));
    Asked::answer(request.header("content-type", "multipart/form-data; boundary=cut").body(body)).await
}

/// The events of a stream: their kinds and data.
fn events(answer: &Answer) -> Vec<(String, Value)> {
    assert_eq!(answer.headers["content-type"], "text/event-stream");
    let blocks = answer.body.as_str().unwrap().split("\n\n");
    let field = |block: &str, name: &str| block.lines().find_map(|line| line.strip_prefix(name).map(str::to_owned));
    blocks
        .filter_map(|block| Some((field(block, "event: ")?, serde_json::from_str(&field(block, "data: ")?).unwrap())))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_older_services_list_execute_follow_and_retry() {
    let asked = Asked::begin().await;
    for source in [PRINT, TEAR] {
        let pushed = asked.post("/v1/workflows", None, json!({ "source": source })).await;
        assert_eq!(pushed.status, StatusCode::CREATED, "{}", pushed.body);
    }

    let list = asked.get("/workflows/list", None).await;
    let listed = |id: &str| {
        let mut workflows = list.body["workflows"].as_array().unwrap().iter();
        workflows.find(|workflow| workflow["id"] == id).unwrap()
    };
    let print = listed("print");
    let expected = json!({
        "id": "print", "name": "A print", "description": "A small one", "icon": "P", "category": "paper",
        "preview_video": null, "preview_thumbnail": null, "enabled": true,
        "default_prompts": { "drawn": "neon rain" }, "supported_models": { "drawn": ["flux-dev", "flux-pro"] },
        "steps": [
            { "name": "small", "description": "Made small" },
            { "name": "drawn", "description": print["steps"][1]["description"] },
            { "name": "words", "description": print["steps"][2]["description"] },
        ],
        "estimated_duration_seconds": 120, "credits_cost": 3,
    });
    assert_eq!(*print, expected);
    let models = &listed("img-edit-to-video")["supported_models"];
    assert_eq!(models["image_edit"], json!(["nano-banana", "flux-kontext-pro"]), "{models}");

    let photo = std::fs::read(concat!(env!("CARGO_MANIFEST_DIR"), "/../workflows/media/logo.png")).unwrap();
    let options = br#"{"models": {"drawn": "flux-pro"}, "prompts": {"drawn": "snow"}}"#;
    // The file may come before anything says what it is for.
    let fields: [(&str, Option<&str>, &[u8]); 3] =
        [("file", Some("../logo.png"), &photo), ("workflow_id", None, b"print"), ("options", None, options)];
    let taken = form(&asked, &fields).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.body);
    let id = taken.body["job_id"].as_str().unwrap().to_owned();
    let expected = json!({
        "job_id": id, "execution_id": id, "status": "pending", "stream_url": format!("/jobs/{id}/stream"),
    });
    assert_eq!(taken.body, expected);

    let told = events(&asked.get(&format!("/jobs/{id}/stream"), None).await);
    let checkpoints: Vec<&Value> = told.iter().filter(|(kind, _)| kind == "checkpoint").map(|(_, data)| data).collect();
    let numbers: Vec<&Value> = checkpoints.iter().map(|data| &data["step"]).collect();
    assert_eq!(numbers, [0, 1, 2, 3], "{told:?}");
    assert!(checkpoints.iter().all(|data| data["status"] == "completed"), "{told:?}");
    let (_, first) = told.iter().find(|(kind, data)| kind == "progress" && data["step"] == 2).unwrap();
    assert_eq!((&first["step_name"], &first["progress"]), (&json!("drawn"), &json!(33)), "{first}");
    let (kind, last) = told.last().unwrap();
    assert_eq!((kind.as_str(), &last["result"]["said"]), ("complete", &json!("snow by flux-pro")), "{last}");
    // Links in it lead somewhere, without a key.
    let got = asked.client.get(format!("{}{}", asked.base, last["result"]["drawn_url"].as_str().unwrap()));
    assert_eq!(Asked::answer(got).await.headers["content-type"], "image/png");
    let after = [("last-event-id", "4")];
    let rest = asked.send(Method::GET, &format!("/jobs/{id}/stream"), None, &after, None).await;
    let kinds = |told: &[(String, Value)]| told.iter().map(|(kind, _)| kind.clone()).collect::<Vec<_>>();
    assert_eq!(kinds(&events(&rest)), kinds(&told)[4..]);

    let shown = asked.get(&format!("/workflows/execution/{id}"), None).await.body;
    let part = |value: &Value, names: &[&str]| names.iter().map(|name| value[*name].clone()).collect::<Vec<_>>();
    assert_eq!(
        part(&shown, &["id", "workflow_id", "status", "current_step", "total_steps", "can_retry", "retry_count"]),
        [json!(id), json!("print"), json!("completed"), json!(3), json!(3), json!(false), json!(0)]
    );
    let names = ["step_name", "step_type", "status", "error", "error_type", "retry_count"];
    let checkpoint = |number: &str| part(&shown["checkpoints"][number], &names);
    assert_eq!(
        checkpoint("0"),
        [json!("upload"), json!("upload"), json!("completed"), json!(null), json!(null), json!(0)]
    );
    assert_eq!(
        checkpoint("1"),
        [json!("small"), json!("image.resize"), json!("completed"), json!(null), json!(null), json!(0)]
    );
    let checkpoints = &shown["checkpoints"];
    assert!(checkpoints["0"]["output"]["file_url"].as_str().unwrap().contains("name=logo.png"), "{checkpoints}");
    assert!(checkpoints["1"]["output"]["image_url"].is_string() && checkpoints["4"].is_null(), "{checkpoints}");
    assert!(checkpoints["3"]["last_attempt"].is_string() && checkpoints["3"]["completed_at"].is_string());

    // What is not as it should be is told, and no run is made of it.
    let workflow: (&str, Option<&str>, &[u8]) = ("workflow_id", None, b"print");
    let photo: (&str, Option<&str>, &[u8]) = ("file", Some("a.png"), &photo);
    for (fields, code) in [
        (vec![photo], "bad_request"),
        (vec![workflow], "invalid_input"),
        (vec![workflow, photo, ("options", None, br#"{"models": {"drawn": "flux"}}"#)], "invalid_option"),
        (vec![workflow, photo, ("options", None, br#"{"models": {"small": "flux-dev"}}"#)], "invalid_option"),
        (vec![workflow, photo, ("options", None, br#"{"prompts": {"words": "x"}}"#)], "invalid_option"),
        (vec![workflow, photo, ("options", None, br#"{"seed": 7}"#)], "bad_request"),
        (vec![workflow, photo, ("options", None, b"x")], "bad_request"),
        (vec![workflow, photo, photo], "bad_request"),
        (vec![workflow, photo, ("colour", None, b"red")], "bad_request"),
        (vec![workflow, ("file", Some("a.png"), b"")], "bad_request"),
        (vec![("workflow_id", None, b"tear"), photo], "bad_request"),
    ] {
        problem(&form(&asked, &fields).await, 400, code);
    }
    problem(&form(&asked, &[("workflow_id", None, b"none")]).await, 404, "not_found");
    problem(&asked.post("/workflows/execute", None, json!({})).await, 415, "unsupported_media_type");
    for path in ["/workflows/execution/run_0", "/jobs/1/stream"] {
        problem(&asked.get(path, None).await, 404, "not_found");
    }

    let taken = form(&asked, &[("workflow_id", None, b"tear")]).await;
    let id = taken.body["job_id"].as_str().unwrap().to_owned();
    let told = events(&asked.get(&format!("/jobs/{id}/stream"), None).await);
    let errors: Vec<&Value> = told.iter().filter(|(kind, _)| kind == "error").map(|(_, data)| data).collect();
    assert_eq!(part(errors[0], &["step", "retryable"]), [json!(1), json!(true)], "{told:?}");
    assert_eq!(*errors[1], json!({ "step": 2, "error": "not this", "retryable": false }), "{told:?}");
    assert_eq!((errors.len(), told.last().unwrap().0.as_str()), (2, "error"));

    let retried = asked.post(&format!("/workflows/retry/{id}"), None, json!({})).await;
    assert_eq!(retried.status, StatusCode::OK, "{}", retried.body);
    assert_eq!(part(&retried.body, &["execution_id", "resume_from_step"]), [json!(id), json!(2)]);
    let execution = async || asked.get(&format!("/workflows/execution/{id}"), None).await.body;
    poll::until("it fails again", async || execution().await["status"] == "failed").await;
    let shown = execution().await;
    assert_eq!(
        part(&shown, &["current_step", "can_retry", "retry_count"]),
        [json!(2), json!(true), json!(1)],
        "{shown}"
    );
    assert_eq!(shown["checkpoints"]["1"]["retry_count"], 1, "{shown}");
    assert_eq!(
        part(&shown["checkpoints"]["2"], &["status", "error", "error_type"]),
        [json!("failed"), json!("not this"), json!("content_rejected")]
    );
    asked.end().await;
}
