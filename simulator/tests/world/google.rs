use crate::place::{Place, taking, until};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::json;

const KEY: &str = "x-goog-api-key: g";
const VEO: &str = "/google/v1beta/models/veo-3.1-generate-preview:predictLongRunning";

fn content(prompt: &str) -> serde_json::Value {
    json!({
        "contents": [{"role": "user", "parts": [{"text": prompt}]}],
        "generationConfig": {"responseModalities": ["IMAGE"], "imageConfig": {"aspectRatio": "16:9"}},
    })
}

#[tokio::test]
async fn pictures_are_in_the_answer_under_both_versions() {
    let place = Place::with(taking(0)).await;
    for version in ["v1", "v1beta"] {
        let path = format!("/google/{version}/models/gemini-3-pro-image:generateContent");
        let made = place.post(&path, &[KEY], &content("a mug")).await;
        let part = &made.json["candidates"][0]["content"]["parts"][0]["inlineData"];
        let bytes = STANDARD.decode(part["data"].as_str().unwrap()).unwrap();
        let info = darkroom_worker::media::read_info(&bytes, &darkroom_worker::media::Limits::default()).unwrap();
        assert!(info.size.width > info.size.height, "{info:?}");
    }
    assert_eq!(place.charges().await[0]["endpoint"], "gemini-3-pro-image");
}

#[tokio::test]
async fn a_film_is_an_operation_and_its_download_needs_the_key() {
    let place = Place::with(taking(50)).await;
    let body = json!({"instances": [{"prompt": "a mug"}], "parameters": {"sampleCount": 1, "durationSeconds": 4}});
    let begun = place.post(VEO, &[KEY], &body).await.json;
    let path = format!("/google/v1beta/{}", begun["name"].as_str().unwrap());
    assert_eq!(place.get(&path, &[KEY]).await.json["done"], json!(null));
    let done =
        until("it is done", || async { Some(place.get(&path, &[KEY]).await.json).filter(|it| it["done"] == true) });
    let done = done.await;
    let samples = &done["response"]["generateVideoResponse"]["generatedSamples"];
    let uri = samples[0]["video"]["uri"].as_str().unwrap();
    assert_eq!(place.get(uri, &[]).await.status, 403, "the key is needed");
    let redirect = place.get(uri, &[KEY]).await;
    assert_eq!(redirect.status, 302);
    let film = place.get(redirect.header("location"), &[]).await;
    assert_eq!((film.status, film.header("content-type"), &film.body[4..8]), (200, "video/mp4", &b"ftyp"[..]));
}

#[tokio::test]
async fn rejected_content_is_a_success_without_a_result() {
    let place = Place::with(taking(0)).await;
    place.fault(json!({"kind": "content"})).await;
    let made = place.post("/google/v1/models/gemini-3-pro-image:generateContent", &[KEY], &content("a mug")).await;
    assert_eq!((made.status, &made.json["candidates"][0]["finishReason"]), (200, &json!("IMAGE_SAFETY")));
    let begun = place.post(VEO, &[KEY], &json!({"instances": [{"prompt": "a mug"}]})).await.json;
    let done = place.get(&format!("/google/v1beta/{}", begun["name"].as_str().unwrap()), &[KEY]).await.json;
    assert_eq!(done["response"]["generateVideoResponse"]["raiMediaFilteredCount"], 1);
}

#[tokio::test]
async fn errors_are_told_by_status_and_details() {
    let place = Place::with(taking(0)).await;
    let cases = [
        (json!({"kind": "quota"}), 429, "RESOURCE_EXHAUSTED", "PerDay"),
        (json!({"kind": "http:429", "retry_after": 1.5}), 429, "RESOURCE_EXHAUSTED", "\"retryDelay\":\"1.5s\""),
        (json!({"kind": "http:429"}), 429, "RESOURCE_EXHAUSTED", "PerMinute"),
        (json!({"kind": "invalid_key"}), 400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        (json!({"kind": "http:503"}), 503, "UNAVAILABLE", "overloaded"),
        (json!({"kind": "http:504"}), 504, "DEADLINE_EXCEEDED", ""),
    ];
    for (mut fault, status, word, says) in cases {
        fault["count"] = 1.into();
        place.fault(fault.clone()).await;
        let answer = place.post("/google/v1/models/m:generateContent", &[KEY], &content("a mug")).await;
        assert_eq!((answer.status, answer.json["error"]["status"].as_str()), (status, Some(word)), "{fault}");
        assert!(answer.json.to_string().contains(says), "{fault}: {}", answer.json);
        assert_eq!(answer.header("retry-after"), "", "the delay is in the body");
    }
}

#[tokio::test]
async fn a_file_is_sent_in_parts_and_used_as_an_input() {
    let place = Place::with(taking(0)).await;
    let made = place.post("/google/v1/models/m-image:generateContent", &[KEY], &content("a mug")).await.json;
    let data = made["candidates"][0]["content"]["parts"][0]["inlineData"]["data"].as_str().unwrap();
    let picture = STANDARD.decode(data).unwrap();
    let headers = [
        KEY,
        "x-goog-upload-protocol: resumable",
        "x-goog-upload-command: start",
        "x-goog-upload-header-content-type: image/png",
    ];
    let begun = place.post("/google/upload/v1beta/files", &headers, &json!({"file": {"display_name": "mug"}})).await;
    let url = begun.header("x-goog-upload-url").to_owned();
    let (head, tail) = picture.split_at(picture.len() / 2);
    let part = place.send(Method::POST, &url, &["x-goog-upload-command: upload"], head.to_vec()).await;
    assert_eq!(part.header("x-goog-upload-status"), "active");
    let last = place.send(Method::POST, &url, &["x-goog-upload-command: upload, finalize"], tail.to_vec()).await;
    assert_eq!(last.header("x-goog-upload-status"), "final");
    let file = &last.json["file"];
    assert_eq!((&file["displayName"], &file["sizeBytes"]), (&json!("mug"), &json!(picture.len().to_string())));
    let parts =
        json!([{"fileData": {"fileUri": file["uri"], "mimeType": "image/png"}}, {"text": "where is the mug? boxes"}]);
    let body = json!({"contents": [{"parts": parts}]});
    let said = place.post("/google/v1/models/gemini-2.5-flash:generateContent", &[KEY], &body).await.json;
    let text = said["candidates"][0]["content"]["parts"][0]["text"].as_str().unwrap();
    let boxes: Vec<serde_json::Value> = serde_json::from_str(text).unwrap();
    let corners: Vec<u64> = boxes[0]["box_2d"].as_array().unwrap().iter().map(|at| at.as_u64().unwrap()).collect();
    assert!(corners.len() == 4 && corners[0] < corners[2] && corners[3] <= 1_000, "{corners:?}");
}
