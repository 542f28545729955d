use crate::place::{Place, taking, until};
use crate::receiver::{Receiver, json as read};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

const KEY: &str = "authorization: Bearer r8_x";
const FLUX: &str = "/replicate/v1/models/black-forest-labs/flux-1.1-pro/predictions";

#[tokio::test]
async fn a_prediction_goes_from_starting_to_succeeded() {
    let place = Place::with(taking(100)).await;
    let made = place.post(FLUX, &[KEY], &json!({"input": {"prompt": "a mug", "output_format": "png"}})).await;
    assert_eq!((made.status, &made.json["status"], &made.json["output"]), (201, &json!("starting"), &Value::Null));
    let url = made.json["urls"]["get"].as_str().unwrap();
    assert_eq!(place.get(url, &[KEY]).await.json["status"], "processing");
    let done = until("it is done", || async {
        Some(place.get(url, &[KEY]).await.json).filter(|prediction| prediction["status"] == "succeeded")
    });
    let done = done.await;
    assert!(done["logs"].as_str().unwrap().contains("100%|"));
    let picture = place.get(done["output"].as_str().unwrap(), &[]).await;
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/png"));
    let list = place.get("/replicate/v1/predictions", &[KEY]).await.json;
    assert_eq!(list["results"][0]["id"], made.json["id"]);
    let others = place.get("/replicate/v1/predictions", &["authorization: Token other"]).await.json;
    assert_eq!(others["results"], json!([]), "a list is of one key");
    let charge = &place.charges().await[0];
    assert_eq!(
        (&charge["endpoint"], &charge["request_id"]),
        (&json!("black-forest-labs/flux-1.1-pro"), &made.json["id"])
    );
}

#[tokio::test]
async fn a_create_call_waits_if_it_is_asked_to() {
    let place = Place::with(taking(50)).await;
    let made = place.post(FLUX, &[KEY, "prefer: wait=5"], &json!({"input": {"prompt": "a mug"}})).await;
    assert_eq!((made.status, &made.json["status"]), (201, &json!("succeeded")));
    let place = Place::with(taking(60_000)).await;
    let made = place.post(FLUX, &[KEY, "prefer: wait=1"], &json!({"input": {"prompt": "a mug"}})).await;
    assert_eq!((made.status, &made.json["status"]), (201, &json!("processing")));
}

#[tokio::test]
async fn rejected_content_is_a_failed_prediction() {
    let place = Place::with(taking(0)).await;
    place.fault(json!({"kind": "content", "provider": "replicate"})).await;
    let made = place.post(FLUX, &[KEY, "prefer: wait"], &json!({"input": {"prompt": "a mug"}})).await;
    assert_eq!((made.status, &made.json["status"]), (201, &json!("failed")));
    assert!(made.json["error"].as_str().unwrap().starts_with("NSFW content detected"));
}

#[tokio::test]
async fn errors_are_problem_documents() {
    let place = Place::with(taking(0)).await;
    let body = json!({"input": {"prompt": "a mug"}});
    let cases = [
        (json!({"kind": "quota"}), 402, "Insufficient credit"),
        (json!({"kind": "invalid_key"}), 401, "Unauthenticated"),
        (json!({"kind": "http:503"}), 503, "Internal server error"),
        (json!({"kind": "http:429", "retry_after": 30}), 429, "Too many requests"),
    ];
    for (mut fault, status, title) in cases {
        fault["count"] = 1.into();
        place.fault(fault).await;
        let answer = place.post(FLUX, &[KEY], &body).await;
        assert_eq!(
            (answer.status, answer.json["title"].as_str(), &answer.json["status"]),
            (status, Some(title), &json!(status))
        );
        if status == 429 {
            assert!(answer.json["detail"].as_str().unwrap().ends_with("resets in ~30s."));
            assert_eq!((answer.header("retry-after"), answer.header("ratelimit-reset")), ("30", "30"));
        }
    }
    let missing = place.post(FLUX, &[KEY], &json!({"input": {}})).await;
    assert_eq!((missing.status, &missing.json["invalid_fields"][0]["field"]), (422, &json!("input.prompt")));
    assert_eq!(place.charges().await.len(), 0);
}

#[tokio::test]
async fn too_many_at_once_are_refused() {
    let place = Place::with(taking(60_000)).await;
    place.post("/_sim/limits", &[], &json!({"provider": "replicate", "at_once": 1})).await;
    let body = json!({"input": {"prompt": "a mug"}});
    let made = place.post(FLUX, &[KEY], &body).await;
    assert_eq!(made.status, 201);
    assert_eq!(place.post(FLUX, &[KEY], &body).await.status, 429);
    assert_eq!(place.post(FLUX, &["authorization: Bearer r8_y"], &body).await.status, 201, "another key");
    let cancelled = place.send(Method::POST, made.json["urls"]["cancel"].as_str().unwrap(), &[KEY], Vec::new()).await;
    assert_eq!((cancelled.status, &cancelled.json["status"]), (200, &json!("canceled")));
    assert_eq!(place.post(FLUX, &[KEY], &body).await.status, 201, "there is room again");
    place.post("/_sim/limits", &[], &json!({"provider": "replicate", "rate": {"count": 2, "per_ms": 60_000}})).await;
    let statuses = [place.post(FLUX, &[KEY], &body).await.status, place.post(FLUX, &[KEY], &body).await.status];
    assert_eq!(statuses, [201, 201]);
    let refused = place.post(FLUX, &[KEY], &body).await;
    assert_eq!(refused.status, 429);
    assert!((55..=60).contains(&refused.header("retry-after").parse::<u64>().unwrap()));
}

#[tokio::test]
async fn webhooks_are_signed_with_the_secret_that_is_told() {
    let (place, receiver) = (Place::with(taking(30)).await, Receiver::refusing(0).await);
    let body = json!({
        "input": {"prompt": "a mug"}, "webhook": receiver.url, "webhook_events_filter": ["start", "completed"],
    });
    let made = place.post(FLUX, &[KEY], &body).await;
    let came = receiver.all(2).await;
    let statuses: Vec<Value> = came.iter().map(|(_, body)| read(body)["status"].clone()).collect();
    assert_eq!(statuses, [json!("processing"), json!("succeeded")]);
    let secret = place.get("/replicate/v1/webhooks/default/secret", &[KEY]).await.json;
    let secret = STANDARD.decode(secret["key"].as_str().unwrap().strip_prefix("whsec_").unwrap()).unwrap();
    let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, &secret);
    for (headers, body) in &came {
        assert_eq!(read(body)["id"], made.json["id"]);
        let header = |name: &str| headers[&format!("webhook-{name}")].to_str().unwrap();
        let signed = [format!("{}.{}.", header("id"), header("timestamp")).as_bytes(), body].concat();
        let signature = STANDARD.decode(header("signature").strip_prefix("v1,").unwrap()).unwrap();
        assert!(aws_lc_rs::hmac::verify(&key, &signed, &signature).is_ok());
    }
    assert_ne!(came[0].0["webhook-id"], came[1].0["webhook-id"]);
}

#[tokio::test]
async fn models_give_one_link_a_list_or_an_object() {
    let place = Place::with(taking(0)).await;
    let picture = "data:image/png;base64,AAAA";
    let dino = "adirik/grounding-dino:efd10a8ddc57ea28773327e881ce95e20cc1d734c589f7dd01d2036921ed78aa";
    let cases = [
        ("black-forest-labs/flux-dev", json!({"prompt": "x", "num_outputs": 2}), "/1"),
        ("google/nano-banana", json!({"prompt": "x", "image_input": [picture]}), ""),
        ("minimax/video-01", json!({"prompt": "x"}), ""),
        ("topazlabs/image-upscale", json!({"image": picture, "upscale_factor": "4x"}), ""),
        (dino, json!({"image": picture, "query": "a mug"}), "/detections/0/bbox/3"),
        (dino.split_once(':').unwrap().1, json!({"image": picture, "query": "a mug"}), "/result_image"),
    ];
    for (version, input, gives) in cases {
        let body = json!({"version": version, "input": input});
        let made = place.post("/replicate/v1/predictions", &[KEY, "prefer: wait"], &body).await.json;
        assert!(made["output"].pointer(gives).is_some_and(|given| !given.is_null()), "{version}: {made}");
    }
    let without = json!({"version": "kwaivgi/kling-v1.6-pro", "input": {"prompt": "x"}});
    assert_eq!(place.post("/replicate/v1/predictions", &[KEY], &without).await.status, 422);
}
