use crate::place::{Place, taking};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

const KEY: &str = "authorization: Bearer sk-x";
const IMAGES: &str = "/openai/v1/images/generations";

#[tokio::test]
async fn pictures_are_in_the_answer() {
    let place = Place::with(taking(20)).await;
    let body = json!({"model": "gpt-image-2", "prompt": "a mug", "n": 2, "size": "512x256", "output_format": "webp"});
    let made = place.post(IMAGES, &[KEY], &body).await;
    assert_eq!((made.status, made.json["data"].as_array().unwrap().len()), (200, 2));
    let bytes = STANDARD.decode(made.json["data"][0]["b64_json"].as_str().unwrap()).unwrap();
    let info = darkroom_worker::media::read_info(&bytes, &darkroom_worker::media::Limits::default()).unwrap();
    assert_eq!((info.format.extension(), info.size.width, info.size.height), ("webp", 512, 256));
    let charge = &place.charges().await[0];
    assert_eq!(charge["endpoint"], "gpt-image-2");
    assert_eq!(charge["request_id"].as_str().unwrap(), made.header("x-request-id"));
}

#[tokio::test]
async fn an_edit_is_a_form_with_files() {
    let place = Place::with(taking(0)).await;
    let made = place.post(IMAGES, &[KEY], &json!({"model": "m", "prompt": "a mug", "size": "64x48"})).await.json;
    let picture = STANDARD.decode(made["data"][0]["b64_json"].as_str().unwrap()).unwrap();
    let mut form = b"--B\r\nContent-Disposition: form-data; name=\"prompt\"\r\n\r\nblue\r\n--B\r\nContent-Disposition: form-data; \
        name=\"model\"\r\n\r\ngpt-image-2\r\n--B\r\nContent-Disposition: form-data; name=\"image[]\"; filename=\"a.png\"\r\n\r\n"
        .to_vec();
    form.extend(&picture);
    form.extend(b"\r\n--B--\r\n");
    let headers = [KEY, "content-type: multipart/form-data; boundary=B"];
    let edited = place.send(Method::POST, "/openai/v1/images/edits", &headers, form).await;
    assert_eq!(edited.status, 200, "{}", edited.json);
    let bytes = STANDARD.decode(edited.json["data"][0]["b64_json"].as_str().unwrap()).unwrap();
    let info = darkroom_worker::media::read_info(&bytes, &darkroom_worker::media::Limits::default()).unwrap();
    assert_eq!((info.size.width, info.size.height), (64, 48), "the size of what was given");
    assert_ne!(bytes, picture);
    assert_eq!(place.charges().await[1]["input"]["image[]"], json!(format!("file a.png, {} bytes", picture.len())));
}

#[tokio::test]
async fn errors_have_code_and_type() {
    let place = Place::with(taking(0)).await;
    let body = json!({"model": "gpt-image-2", "prompt": "a mug"});
    let cases = [
        (json!({"kind": "quota"}), 429, "insufficient_quota"),
        (json!({"kind": "http:429", "retry_after": 1.5}), 429, "rate_limit_exceeded"),
        (json!({"kind": "invalid_key"}), 401, "invalid_api_key"),
        (json!({"kind": "http:404"}), 404, "model_not_found"),
        (json!({"kind": "http:500"}), 500, "server_error"),
        (json!({"kind": "content"}), 400, "moderation_blocked"),
    ];
    for (mut fault, status, code) in cases {
        fault["count"] = 1.into();
        place.fault(fault.clone()).await;
        let answer = place.post(IMAGES, &[KEY], &body).await;
        assert_eq!((answer.status, answer.json["error"]["code"].as_str()), (status, Some(code)), "{fault}");
        if fault["retry_after"].is_number() {
            assert_eq!((answer.header("retry-after"), answer.header("retry-after-ms")), ("2", "1500"));
        }
    }
    let charges: Vec<Value> = place.charges().await.iter().map(|charge| charge["refunded"].clone()).collect();
    assert_eq!(charges, [json!(true)], "what was rejected was taken and is not billed");
}

#[tokio::test]
async fn a_job_whose_answer_is_lost_is_charged_at_once() {
    let place = Place::with(taking(60_000)).await;
    place.fault(json!({"kind": "accept-then-drop", "count": 1})).await;
    let body = json!({"model": "gpt-image-2", "prompt": "a mug"}).to_string().into_bytes();
    assert!(place.try_send(Method::POST, IMAGES, &[KEY], body).await.is_err());
    assert_eq!(place.charges().await.len(), 1);
}

#[tokio::test]
async fn speech_is_sound() {
    let place = Place::with(taking(0)).await;
    let first = |format: &str| {
        let body = json!({"model": "tts-1", "voice": "alloy", "input": "hello", "response_format": format});
        let place = &place;
        async move { place.post("/openai/v1/audio/speech", &[KEY], &body).await }
    };
    let (mp3, wav, pcm) = (first("mp3").await, first("wav").await, first("pcm").await);
    assert_eq!((mp3.header("content-type"), wav.header("content-type")), ("audio/mpeg", "audio/wav"));
    assert!(wav.body.starts_with(b"RIFF"));
    assert_eq!(wav.body[44..], pcm.body);
    assert_eq!(first("opus").await.status, 400);
}
