use crate::place::{Place, taking, until};
use reqwest::Method;
use serde_json::{Value, json};

const KEY: &str = "authorization: Key id:secret";

#[tokio::test]
async fn a_job_goes_through_the_queue() {
    let place = Place::with(taking(150)).await;
    let taken = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "a mug", "num_images": 2})).await;
    let id = taken.json["request_id"].as_str().unwrap();
    assert_eq!((taken.status, &taken.json["status"]), (200, &json!("IN_QUEUE")));
    let url = format!("{}/fal/fal-ai/flux/requests/{id}", place.url);
    assert_eq!(taken.json["response_url"], json!(url), "only owner and app stand in it");
    assert_eq!(place.get(&url, &[KEY]).await.status, 400, "not done yet");
    let status = place.get(&format!("{url}/status?logs=1"), &[KEY]).await;
    assert_eq!((status.status, &status.json["status"]), (202, &json!("IN_PROGRESS")));
    assert!(status.json["logs"].is_array());
    let done = until("the job is done", || async {
        Some(place.get(&format!("{url}/status"), &[KEY]).await).filter(|status| status.status == 200)
    });
    assert_eq!(done.await.json["status"], "COMPLETED");
    let result = place.get(&url, &[KEY]).await.json;
    assert_eq!(result["images"].as_array().unwrap().len(), 2);
    assert_eq!(result["has_nsfw_concepts"], json!([false, false]));
    assert_eq!(result["images"][0]["width"], 1_024);
}

#[tokio::test]
async fn a_cancelled_job_costs_nothing_if_it_had_not_begun() {
    let place = Place::with(taking(60_000)).await;
    place.post("/_sim/limits", &[], &json!({"provider": "fal", "at_once": 1})).await;
    let mut urls = Vec::new();
    for seed in 0..2 {
        let taken = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "a mug", "seed": seed})).await;
        urls.push(taken.json["cancel_url"].as_str().unwrap().to_owned());
    }
    let queued = place.get(&urls[1].replace("/cancel", "/status"), &[KEY]).await.json;
    assert_eq!((&queued["status"], &queued["queue_position"]), (&json!("IN_QUEUE"), &json!(0)));
    for url in &urls {
        let cancelled = place.send(Method::PUT, url, &[KEY], Vec::new()).await;
        assert_eq!((cancelled.status, &cancelled.json["status"]), (202, &json!("CANCELLATION_REQUESTED")));
        let again = place.send(Method::PUT, url, &[KEY], Vec::new()).await;
        assert_eq!((again.status, &again.json["status"]), (400, &json!("ALREADY_COMPLETED")));
    }
    let refunded: Vec<Value> = place.charges().await.into_iter().map(|charge| charge["refunded"].clone()).collect();
    assert_eq!(refunded, [Value::Null, json!(true)], "the first one was running");
    let result = place.get(&urls[0].replace("/cancel", ""), &[KEY]).await;
    assert_eq!((result.status, &result.json["error_type"]), (499, &json!("client_cancelled")));
}

#[tokio::test]
async fn a_job_that_can_not_begin_in_time_fails_and_costs_nothing() {
    let place = Place::with(taking(60_000)).await;
    place.post("/_sim/limits", &[], &json!({"provider": "fal", "at_once": 1})).await;
    place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "a mug"})).await;
    let headers = [KEY, "x-fal-request-timeout: 0.01"];
    let taken = place.post("/fal/fal-ai/flux/dev", &headers, &json!({"prompt": "a mug"})).await;
    let url = taken.json["response_url"].as_str().unwrap();
    let result =
        until("it gives up", || async { Some(place.get(url, &[KEY]).await).filter(|result| result.status != 400) });
    let result = result.await;
    assert_eq!((result.status, &result.json["error_type"]), (504, &json!("request_timeout")));
    assert_eq!(place.charges().await[1]["refunded"], true);
}

#[tokio::test]
async fn the_synchronous_form_answers_with_the_output() {
    let place = Place::with(taking(10)).await;
    let result =
        place.post("/fal/run/fal-ai/nano-banana", &[KEY], &json!({"prompt": "a mug", "sync_mode": true})).await;
    assert!(result.json["images"][0]["url"].as_str().unwrap().starts_with("data:image/png;base64,"), "{}", result.json);
}

#[tokio::test]
async fn the_stream_tells_each_state_until_the_end() {
    let place = Place::with(taking(300)).await;
    let taken = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "a mug"})).await;
    let stream = place.get(&format!("{}/stream", taken.json["status_url"].as_str().unwrap()), &[KEY]).await;
    assert_eq!(stream.header("content-type"), "text/event-stream");
    let events: Vec<Value> = String::from_utf8(stream.body)
        .unwrap()
        .split("\n\n")
        .filter_map(|event| serde_json::from_str(event.strip_prefix("data: ")?).ok())
        .collect();
    assert!(events.len() >= 2);
    assert_eq!(events.last().unwrap()["status"], "COMPLETED");
}

#[tokio::test]
async fn what_was_uploaded_is_an_input() {
    let place = Place::with(taking(0)).await;
    let made = place.post("/fal/fal-ai/nano-banana", &[KEY], &json!({"prompt": "a mug", "aspect_ratio": "1:1"})).await;
    let result = place.get(made.json["response_url"].as_str().unwrap(), &[KEY]).await.json;
    let picture = place.get(result["images"][0]["url"].as_str().unwrap(), &[]).await.body;

    let token = place.post("/fal/storage/auth/token?storage_type=fal-cdn-v3", &[KEY], &json!({})).await.json;
    assert_eq!(token["base_url"], json!(format!("{}/fal", place.url)));
    let authorization = format!("authorization: Bearer {}", token["token"].as_str().unwrap());
    let headers = [authorization.as_str(), "content-type: image/png", "x-fal-file-name: a mug.png"];
    let sent = place.send(Method::POST, "/fal/files/upload", &headers, picture.clone()).await.json;
    let by_token = sent["access_url"].as_str().unwrap().to_owned();

    let wanted = json!({"content_type": "image/png", "file_name": "mug.png"});
    let begun = place.post("/fal/storage/upload/initiate", &[KEY], &wanted).await.json;
    let upload = begun["upload_url"].as_str().unwrap();
    let put = place.send(Method::PUT, upload, &["content-type: image/png"], picture.clone()).await;
    assert_eq!(put.status, 200);
    let by_link = begun["file_url"].as_str().unwrap().to_owned();

    for url in [by_token, by_link] {
        let kept = place.get(&url, &[]).await;
        assert_eq!((kept.status, kept.header("content-type")), (200, "image/png"), "{url}");
        assert_eq!(kept.body, picture);
        let cut = place.post("/fal/fal-ai/birefnet/v2", &[KEY], &json!({"image_url": url})).await;
        let result = place.get(cut.json["response_url"].as_str().unwrap(), &[KEY]).await.json;
        let cut = place.get(result["image"]["url"].as_str().unwrap(), &[]).await;
        let info = darkroom_worker::media::read_info(&cut.body, &darkroom_worker::media::Limits::default()).unwrap();
        assert!(info.alpha && info.size.width == 1_024, "{info:?}");
    }
}

#[tokio::test]
async fn each_kind_of_model_gives_what_it_gives() {
    let place = Place::with(taking(0)).await;
    let picture = "data:image/png;base64,AAAA";
    let cases = [
        ("fal-ai/minimax/video-01", json!({"prompt": "x"}), "/video/url"),
        ("fal-ai/kling-video/v1.6/pro/image-to-video", json!({"prompt": "x", "image_url": picture}), "/video/url"),
        ("fal-ai/elevenlabs/tts/turbo-v2.5", json!({"text": "x"}), "/audio/url"),
        ("fal-ai/topaz/upscale/image", json!({"image_url": picture}), "/image/url"),
        ("fal-ai/flux-pro/kontext", json!({"prompt": "x", "image_url": picture}), "/images/0/url"),
        ("fal-ai/florence-2-large/object-detection", json!({"image_url": picture}), "/results/bboxes/0/w"),
        ("fal-ai/moondream3-preview/detect", json!({"image_url": picture, "prompt": "x"}), "/objects/0/x_min"),
    ];
    for (endpoint, input, gives) in cases {
        let taken = place.post(&format!("/fal/{endpoint}"), &[KEY], &input).await;
        assert_eq!(taken.status, 200, "{endpoint}: {}", taken.json);
        let result = place.get(taken.json["response_url"].as_str().unwrap(), &[KEY]).await.json;
        let given = result.pointer(gives).unwrap_or_else(|| panic!("{endpoint}: {result}"));
        if let Some(url) = given.as_str() {
            let file = place.get(url, &[]).await;
            assert!(file.status == 200 && file.body.len() > 1_000, "{endpoint}");
        }
    }
    let without = place.post("/fal/fal-ai/flux-pro/kontext", &[KEY], &json!({"prompt": "x"})).await;
    assert_eq!((without.status, &without.json["detail"][0]["loc"]), (422, &json!(["body", "image_url"])));
}
