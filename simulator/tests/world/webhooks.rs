use crate::place::{Place, taking, until};
use crate::receiver::{Receiver, json};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use serde_json::json as value;

const KEY: &str = "authorization: Key id:secret";

fn from_hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
}

fn in_query(url: &str) -> String {
    url.replace(':', "%3A").replace('/', "%2F")
}

#[tokio::test]
async fn a_webhook_of_fal_is_signed_with_the_key_that_is_published() {
    let (place, receiver) = (Place::with(taking(20)).await, Receiver::refusing(0).await);
    let path = format!("/fal/fal-ai/flux/dev?fal_webhook={}", in_query(&receiver.url));
    let taken = place.post(&path, &[KEY], &value!({"prompt": "a mug"})).await;
    let (headers, body) = receiver.all(1).await.remove(0);
    let header = |name: &str| headers[&format!("x-fal-webhook-{name}")].to_str().unwrap();
    assert_eq!(value!(header("request-id")), taken.json["request_id"]);
    let told = json(&body);
    assert_eq!((&told["status"], &told["request_id"]), (&value!("OK"), &taken.json["request_id"]));
    assert!(told["payload"]["images"][0]["url"].is_string());

    let keys = place.get("/fal/.well-known/jwks.json", &[]).await.json;
    let x = keys["keys"][0]["x"].as_str().unwrap();
    let key = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(x).unwrap();
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &body);
    let digest: String = digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    let message = format!("{}\n{}\n{}\n{digest}", header("request-id"), header("user-id"), header("timestamp"));
    let signature = from_hex(header("signature"));
    let key = UnparsedPublicKey::new(&ED25519, key);
    assert!(key.verify(message.as_bytes(), &signature).is_ok());
    assert!(key.verify(format!("{message}x").as_bytes(), &signature).is_err());
}

#[tokio::test]
async fn a_webhook_that_is_not_taken_comes_again() {
    let (place, receiver) = (Place::with(taking(0)).await, Receiver::refusing(2).await);
    place.fault(value!({"kind": "content"})).await;
    let path = format!("/fal/fal-ai/nano-banana?fal_webhook={}", in_query(&receiver.url));
    place.post(&path, &[KEY], &value!({"prompt": "a mug"})).await;
    let came = receiver.all(3).await;
    for (_, body) in &came {
        let told = json(body);
        assert_eq!((&told["status"], &told["error"]), (&value!("ERROR"), &value!("Invalid status code: 422")));
    }
    let state = until("it was delivered", || async {
        Some(place.state().await["webhooks"].clone()).filter(|state| state["delivered"] == 1)
    });
    assert_eq!(state.await, value!({"waiting": 0, "delivered": 1, "lost": 0, "failed": 0}));
}

#[tokio::test]
async fn a_lost_webhook_never_comes() {
    let (place, receiver) = (Place::with(taking(0)).await, Receiver::refusing(0).await);
    place.fault(value!({"kind": "lost-webhook", "count": 1})).await;
    let path = format!("/fal/fal-ai/flux/dev?fal_webhook={}", in_query(&receiver.url));
    place.post(&path, &[KEY], &value!({"prompt": "a mug"})).await;
    until("it was lost", || async { (place.state().await["webhooks"]["lost"] == 1).then_some(()) }).await;
    place.post(&path, &[KEY], &value!({"prompt": "a mug"})).await;
    receiver.all(1).await;
    assert_eq!(receiver.count(), 1, "only the second one came");
}

#[tokio::test]
async fn the_end_of_a_cancelled_job_is_told_at_once() {
    let (place, receiver) = (Place::with(taking(60_000)).await, Receiver::refusing(0).await);
    let path = format!("/fal/fal-ai/flux/dev?fal_webhook={}", in_query(&receiver.url));
    let taken = place.post(&path, &[KEY], &value!({"prompt": "a mug"})).await;
    let cancel = taken.json["cancel_url"].as_str().unwrap();
    place.send(reqwest::Method::PUT, cancel, &[KEY], Vec::new()).await;
    let (_, body) = receiver.all(1).await.remove(0);
    assert_eq!(json(&body)["error"], "Invalid status code: 499");
}
