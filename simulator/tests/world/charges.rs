use crate::place::{Place, taking};
use serde_json::json;

const KEY: &str = "authorization: Key id:secret";

#[tokio::test]
async fn every_submission_that_is_taken_is_a_charge() {
    let place = Place::with(taking(10)).await;
    let long = "x".repeat(2_000);
    let taken = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": long})).await;
    assert_eq!(taken.status, 200);
    let charges = place.charges().await;
    assert_eq!(charges.len(), 1);
    let charge = &charges[0];
    assert_eq!(charge["provider"], "fal");
    assert_eq!(charge["endpoint"], "fal-ai/flux/dev");
    assert_eq!(charge["request_id"], taken.json["request_id"]);
    assert_eq!(charge["key"], "id:secret");
    assert!(charge["at"].as_str().unwrap().starts_with("20"));
    assert!(charge["price"].as_f64().unwrap() > 0.0);
    assert_eq!(charge["input"]["prompt"].as_str().unwrap().len(), 500, "long strings are cut");
}

#[tokio::test]
async fn what_is_refused_is_no_charge() {
    let place = Place::with(taking(10)).await;
    let refused = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({})).await;
    assert_eq!((refused.status, &refused.json["detail"][0]["type"]), (422, &json!("missing")));
    assert_eq!(place.post("/fal/fal-ai/flux/dev", &[], &json!({"prompt": "x"})).await.status, 401);
    assert_eq!(place.charges().await.len(), 0);
}

#[tokio::test]
async fn a_reset_forgets_everything() {
    let place = Place::with(taking(10)).await;
    place.fault(json!({"kind": "quota"})).await;
    place.post("/_sim/keys", &[], &json!({"provider": "fal", "key": "*", "state": "invalid"})).await;
    assert_eq!(place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "x"})).await.status, 401);
    assert_eq!(place.post("/_sim/reset", &[], &json!({})).await.status, 200);
    assert_eq!(place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "x"})).await.status, 200);
    assert_eq!(place.charges().await.len(), 1);
    place.post("/_sim/reset", &[], &json!({})).await;
    assert_eq!(place.charges().await.len(), 0);
    assert_eq!(place.state().await["jobs"]["queued"], 0);
    assert_eq!(place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "x"})).await.status, 200);
    assert_eq!(place.charges().await.len(), 1);
}

#[tokio::test]
async fn the_oldest_jobs_are_forgotten_when_there_are_too_many() {
    let options = darkroom_simulator::Options { remember_max: 3, ..taking(0) };
    let place = Place::with(options).await;
    let mut urls = Vec::new();
    for number in 0..5 {
        let taken = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "x", "seed": number})).await;
        urls.push(taken.json["response_url"].as_str().unwrap().to_owned());
    }
    let charges = place.charges().await;
    let seeds: Vec<i64> = charges.iter().map(|charge| charge["input"]["seed"].as_i64().unwrap()).collect();
    assert_eq!(seeds, [2, 3, 4]);
    assert_eq!(place.get(&urls[0], &[KEY]).await.status, 404);
    assert_eq!(place.get(&urls[4], &[KEY]).await.status, 200);
}

#[tokio::test]
async fn the_control_says_what_is_wrong_with_a_request() {
    let place = Place::with(taking(10)).await;
    let cases = [
        ("/_sim/faults", json!({"kind": "earthquake"}), "earthquake"),
        ("/_sim/faults", json!({"kind": "reset", "often": true}), "often"),
        ("/_sim/keys", json!({"provider": "fal", "key": "*", "state": "lost"}), "lost"),
        ("/_sim/keys", json!({"provider": "nobody", "key": "*", "state": "ok"}), "nobody"),
        ("/_sim/limits", json!({"provider": "fal", "at_once": 0}), "at least 1"),
    ];
    for (path, body, says) in cases {
        let answer = place.post(path, &[], &body).await;
        assert_eq!(answer.status, 422, "{body}");
        assert!(answer.json["error"].as_str().unwrap().contains(says), "{body}: {}", answer.json);
    }
}

#[tokio::test]
async fn the_state_counts_jobs_requests_and_polls() {
    let place = Place::with(taking(60_000)).await;
    let mut status = String::new();
    for number in 0..3 {
        let taken = place.post("/fal/fal-ai/flux/dev", &[KEY], &json!({"prompt": "x", "seed": number})).await;
        status = taken.json["status_url"].as_str().unwrap().to_owned();
    }
    for _ in 0..2 {
        assert_eq!(place.get(&status, &[KEY]).await.status, 202);
    }
    let state = place.state().await;
    assert_eq!(state["jobs"]["running"], 3);
    assert_eq!(state["requests"]["fal"], json!({"submit": 3, "poll": 2}));
    assert_eq!(state["polls"], json!({"jobs": 1, "total": 2, "most": 2}));
    assert_eq!(state["at_once"], json!([{"provider": "fal", "key": "id:secret", "now": 3, "most": 3}]));
}
