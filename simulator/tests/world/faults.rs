use crate::place::{DEADLINE, Place, taking, until};
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

const KEY: &str = "authorization: Key id:secret";

async fn submit(place: &Place) -> Result<reqwest::Response, reqwest::Error> {
    let body = json!({"prompt": "a mug"}).to_string().into_bytes();
    place.try_send(Method::POST, "/fal/fal-ai/nano-banana", &[KEY], body).await
}

#[tokio::test]
async fn faults_before_a_job_is_taken_cost_nothing_and_speak_as_the_provider_does() {
    let place = Place::with(taking(10)).await;
    let cases = [
        (json!({"kind": "http:503"}), 503, json!("runner_scheduling_failure"), ""),
        (json!({"kind": "http:503", "retry_after": 7}), 503, json!("runner_scheduling_failure"), "7"),
        (json!({"kind": "http:429", "retry_after": 2}), 429, Value::Null, "2"),
        (json!({"kind": "http:404"}), 404, Value::Null, ""),
        (json!({"kind": "quota"}), 403, Value::Null, ""),
        (json!({"kind": "invalid_key"}), 401, Value::Null, ""),
    ];
    for (mut fault, status, error_type, retry_after) in cases {
        fault["count"] = 1.into();
        place.fault(fault.clone()).await;
        let answer = place.post("/fal/fal-ai/nano-banana", &[KEY], &json!({"prompt": "a mug"})).await;
        assert_eq!((answer.status, &answer.json["error_type"]), (status, &error_type), "{fault}");
        assert!(answer.json["detail"].is_string(), "{fault}: {}", answer.json);
        assert_eq!(answer.header("retry-after"), retry_after, "{fault}");
        if fault["kind"] == "quota" {
            assert!(answer.json["detail"].as_str().unwrap().contains("Exhausted balance"));
        }
    }
    assert_eq!(place.charges().await.len(), 0);
    assert_eq!(submit(&place).await.unwrap().status(), 200, "each happened once");
}

#[tokio::test]
async fn a_reset_ends_the_connection_without_an_answer_and_without_a_charge() {
    let place = Place::with(taking(10)).await;
    place.fault(json!({"kind": "reset", "count": 1})).await;
    let error = submit(&place).await.unwrap_err();
    assert!(error.is_request() && error.status().is_none(), "{error:?}");
    assert_eq!(place.charges().await.len(), 0);
    assert_eq!(submit(&place).await.unwrap().status(), 200);
}

#[tokio::test]
async fn accept_then_drop_takes_the_job_and_loses_the_answer() {
    let place = Place::with(taking(0)).await;
    place.fault(json!({"kind": "accept-then-drop", "count": 1})).await;
    let error = submit(&place).await.unwrap_err();
    assert!(error.is_request() && error.status().is_none(), "{error:?}");
    let charges = place.charges().await;
    assert_eq!(charges.len(), 1);
    let id = charges[0]["request_id"].as_str().unwrap();
    let result = place.get(&format!("/fal/fal-ai/nano-banana/requests/{id}"), &[KEY]).await;
    assert_eq!(result.status, 200, "the job goes on");
}

#[tokio::test]
async fn a_request_that_hangs_is_never_answered_and_costs_nothing() {
    let place = Place::with(taking(0)).await;
    place.fault(json!({"kind": "hang", "count": 1})).await;
    tokio::select! {
        answer = submit(&place) => panic!("{answer:?}"),
        () = until("the request arrived", || async {
            (place.state().await["requests"]["fal"]["submit"] == 1).then_some(())
        }) => {}
    }
    assert_eq!(place.charges().await.len(), 0);
    assert_eq!(submit(&place).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_malformed_answer_is_a_success_that_breaks_off_after_the_job_was_taken() {
    let place = Place::with(taking(0)).await;
    place.fault(json!({"kind": "malformed", "count": 1})).await;
    let answer = place.post("/fal/fal-ai/nano-banana", &[KEY], &json!({"prompt": "a mug"})).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.body.is_empty() && answer.json.is_null());
    assert_eq!(place.charges().await.len(), 1);
    // What can't be taken is refused as ever: nothing is lost.
    for kind in ["malformed", "accept-then-drop"] {
        place.fault(json!({"kind": kind, "count": 1})).await;
        assert_eq!(place.post("/fal/fal-ai/nano-banana", &[KEY], &json!({})).await.status, 422);
    }
    assert_eq!(place.charges().await.len(), 1);
}

#[tokio::test]
async fn slowness_is_waited_for() {
    let place = Place::with(taking(0)).await;
    place.fault(json!({"kind": "slow:200", "count": 1})).await;
    let began = std::time::Instant::now();
    assert_eq!(submit(&place).await.unwrap().status(), 200);
    assert!((Duration::from_millis(200)..DEADLINE).contains(&began.elapsed()));
}

#[tokio::test]
async fn content_is_rejected_where_the_provider_says_so() {
    let place = Place::with(taking(0)).await;
    place.fault(json!({"kind": "content", "count": 2})).await;
    let taken = place.post("/fal/fal-ai/nano-banana", &[KEY], &json!({"prompt": "a mug"})).await;
    let url = taken.json["response_url"].as_str().unwrap();
    let status = place.get(&format!("{url}/status"), &[KEY]).await.json;
    assert_eq!((&status["status"], &status["error_type"]), (&json!("COMPLETED"), &json!("content_policy_violation")));
    let result = place.get(url, &[KEY]).await;
    assert_eq!((result.status, &result.json["detail"][0]["type"]), (422, &json!("content_policy_violation")));
    // On flux it is a success with a black picture.
    let taken = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "a mug", "image_size": "square"})).await;
    let result = place.get(taken.json["response_url"].as_str().unwrap(), &[KEY]).await;
    assert_eq!((result.status, &result.json["has_nsfw_concepts"]), (200, &json!([true])));
    let picture = place.get(result.json["images"][0]["url"].as_str().unwrap(), &[]).await;
    assert!(picture.body.starts_with(&[0xff, 0xd8, 0xff]));
}

#[tokio::test]
async fn a_fault_of_polls_leaves_submissions_alone() {
    let place = Place::with(taking(0)).await;
    place.fault(json!({"kind": "http:500", "endpoint": "poll", "count": 1})).await;
    let taken = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "a mug"})).await;
    assert_eq!(taken.status, 200);
    let url = taken.json["response_url"].as_str().unwrap();
    assert_eq!(place.get(url, &[KEY]).await.status, 500);
    assert_eq!(place.get(url, &[KEY]).await.status, 200);
    place.fault(json!({"kind": "quota"})).await;
    assert_eq!(place.send(Method::DELETE, "/_sim/faults", &[], Vec::new()).await.status, 200);
    assert_eq!(place.get("/_sim/faults", &[]).await.json, json!([]));
}

#[tokio::test]
async fn a_key_is_what_was_said_about_it() {
    let place = Place::with(taking(0)).await;
    let submit = |place: &Place, key: &str| {
        let (client, url) = (place.client.clone(), format!("{}/fal/fal-ai/flux/dev", place.url));
        let request = client.post(url).header("authorization", format!("Key {key}")).body(r#"{"prompt": "x"}"#);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    for (state, status) in [("invalid", 401), ("exhausted", 403), ("rate_limited", 429), ("disabled", 403), ("ok", 200)]
    {
        place.post("/_sim/keys", &[], &json!({"provider": "fal", "key": "a", "state": state})).await;
        assert_eq!(submit(&place, "a").await, status, "{state}");
        assert_eq!(submit(&place, "b").await, 200, "another key");
    }
    place.post("/_sim/keys", &[], &json!({"provider": "fal", "key": "*", "state": "exhausted"})).await;
    assert_eq!(submit(&place, "a").await, 403);
    place.post("/_sim/keys", &[], &json!({"provider": "fal", "key": "a", "state": "ok"})).await;
    assert_eq!((submit(&place, "a").await, submit(&place, "b").await), (200, 403));
}

#[tokio::test]
async fn only_the_keys_that_were_chosen_are_good() {
    let options = darkroom_simulator::Options { keys: Some(vec!["good".to_owned()]), ..taking(0) };
    let place = Place::with(options).await;
    let body = json!({"prompt": "x"});
    assert_eq!(place.post("/fal/fal-ai/flux/dev", &["authorization: Key good"], &body).await.status, 200);
    assert_eq!(place.post("/fal/fal-ai/flux/dev", &["authorization: Key bad"], &body).await.status, 401);
}
