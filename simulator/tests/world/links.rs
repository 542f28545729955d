use crate::place::{Place, taking, until};
use darkroom_proto::Duration;
use serde_json::json;

const KEY: &str = "authorization: Key id:secret";

async fn result(place: &Place) -> (String, String) {
    let taken = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "a mug", "image_size": "square"})).await;
    let url = taken.json["response_url"].as_str().unwrap().to_owned();
    let file = place.get(&url, &[KEY]).await.json["images"][0]["url"].as_str().unwrap().to_owned();
    (url, file)
}

#[tokio::test]
async fn an_output_is_a_picture_of_the_size_and_type_that_was_asked_for() {
    let place = Place::with(taking(0)).await;
    let (_, file) = result(&place).await;
    let picture = place.get(&file, &[]).await;
    assert_eq!((picture.status, picture.header("content-type")), (200, "image/jpeg"));
    let info = darkroom_worker::media::read_info(&picture.body, &darkroom_worker::media::Limits::default()).unwrap();
    assert_eq!((info.size.width, info.size.height), (512, 512));
}

#[tokio::test]
async fn a_link_expires() {
    let place = Place::with(darkroom_simulator::Options { links_expire: Some(Duration(50)), ..taking(0) }).await;
    let (_, file) = result(&place).await;
    until("the link expires", || async { (place.get(&file, &[]).await.status == 404).then_some(()) }).await;
    assert_eq!(place.get(&format!("{}/_files/nothing/0.png", place.url), &[]).await.status, 404);
}

#[tokio::test]
async fn an_output_that_expired_by_a_fault_has_a_fresh_link_when_it_is_asked_for_again() {
    let place = Place::with(taking(0)).await;
    place.fault(json!({"kind": "expire-output", "count": 1})).await;
    let (url, file) = result(&place).await;
    assert_eq!(place.get(&file, &[]).await.status, 404);
    let fresh = place.get(&url, &[KEY]).await.json["images"][0]["url"].as_str().unwrap().to_owned();
    assert_ne!(fresh, file);
    assert_eq!(place.get(&fresh, &[]).await.status, 200);
    let same = place.get(&url, &[KEY]).await.json["images"][0]["url"].as_str().unwrap().to_owned();
    assert_eq!(same, fresh, "a good link stays the same");
    assert_eq!(place.charges().await.len(), 1);
}

#[tokio::test]
async fn downloads_can_fail_too() {
    let place = Place::with(taking(0)).await;
    let (_, file) = result(&place).await;
    place.fault(json!({"kind": "http:503", "endpoint": "download", "count": 1})).await;
    assert_eq!(place.get(&file, &[]).await.status, 503);
    place.fault(json!({"kind": "reset", "endpoint": "download", "count": 1})).await;
    assert!(place.try_send(reqwest::Method::GET, &file, &[], Vec::new()).await.is_err());
    assert_eq!(place.get(&file, &[]).await.status, 200);
}
