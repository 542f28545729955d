//! The HTTP API of a fleet, as other services use it.

use darkroom_tests::fleet::Fleet;
use darkroom_tests::fleet::role::Role;
use darkroom_tests::poll;
use darkroom_tests::servers::free_port;
use reqwest::{Client, Method, StatusCode};
use serde_json::{Value, json};

/// A workflow of one no-op that lasts.
const NAP: &str = "workflow: nap\ninputs:\n  text: { type: string, max: 20 }\n  time: { type: string, default: 0ms }\nsteps:\n  - id: rest\n    uses: noop\n    with: { data: \"${{ inputs.text }}\", step-time: \"${{ inputs.time }}\" }\noutputs:\n  said: ${{ steps.rest.data }}\n";

/// A fleet with an API and whoever asks it.
pub(super) struct Asked {
    pub(super) fleet: Fleet,
    pub(super) base: String,
    pub(super) client: Client,
    _roles: Vec<Role>,
}

/// What came back.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) body: Value,
}

impl Asked {
    pub(super) async fn begin() -> Asked {
        let fleet = Fleet::shared();
        let listen = format!("127.0.0.1:{}", free_port());
        let coordinator = fleet.start("coordinator", &[], &[("DARKROOM__API__LISTEN", listen.as_str())]);
        let worker = fleet.start("worker", &["--slots", "2"], &[]);
        for role in [&coordinator, &worker] {
            role.ready().await;
        }
        coordinator.says("the API listens").await;
        Asked { fleet, base: format!("http://{listen}"), client: Client::new(), _roles: vec![coordinator, worker] }
    }

    /// A key with these scopes for a tenant.
    pub(super) fn key(&self, scopes: &str, tenant: &str) -> String {
        let made = self.fleet.cli_ok(&["keys", "create", "--scopes", scopes, "--tenant", tenant, "-o", "json"]);
        let made: Value = serde_json::from_str(&made).unwrap();
        made["key"].as_str().unwrap().to_owned()
    }

    pub(super) async fn send(
        &self,
        method: Method,
        path: &str,
        key: Option<&str>,
        headers: &[(&str, &str)],
        body: Option<Value>,
    ) -> Answer {
        let mut request = self.client.request(method, format!("{}{path}", self.base));
        if let Some(key) = key {
            request = request.header("authorization", format!("Bearer {key}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Asked::answer(request).await
    }

    pub(super) async fn answer(request: reqwest::RequestBuilder) -> Answer {
        let response = request.send().await.unwrap();
        let (status, headers) = (response.status(), response.headers().clone());
        let text = response.text().await.unwrap();
        Answer { status, headers, body: serde_json::from_str(&text).unwrap_or(Value::String(text)) }
    }

    pub(super) async fn get(&self, path: &str, key: Option<&str>) -> Answer {
        self.send(Method::GET, path, key, &[], None).await
    }

    pub(super) async fn post(&self, path: &str, key: Option<&str>, body: Value) -> Answer {
        self.send(Method::POST, path, key, &[], Some(body)).await
    }

    pub(super) async fn push(&self, key: Option<&str>) {
        let pushed = self.post("/v1/workflows", key, json!({ "source": NAP, "file": "nap.yaml" })).await;
        assert_eq!(pushed.status, StatusCode::CREATED, "{}", pushed.body);
    }

    pub(super) async fn end(self) {
        drop(self._roles);
        self.fleet.remove().await;
    }
}

/// A problem has a code, and says what to do.
pub(super) fn problem<'a>(answer: &'a Answer, status: u16, code: &str) -> &'a Value {
    assert_eq!(answer.status.as_u16(), status, "{}", answer.body);
    assert_eq!(answer.headers["content-type"], "application/problem+json");
    assert_eq!(answer.body["code"], code, "{}", answer.body);
    &answer.body
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_run_is_created_followed_and_read_over_http() {
    let asked = Asked::begin().await;
    asked.push(None).await;
    let wanted = json!({ "workflow": "nap", "inputs": { "text": "hello" } });

    let taken = asked.post("/v1/runs", None, wanted.clone()).await;
    assert_eq!(taken.status, StatusCode::ACCEPTED, "{}", taken.body);
    let id = taken.body["id"].as_str().unwrap().to_owned();
    assert_eq!(taken.headers["location"], format!("/v1/runs/{id}"));
    assert_eq!(taken.body["urls"]["events"], format!("/v1/runs/{id}/events"));

    // The stream tells everything and ends with the run.
    let events = asked.get(&format!("/v1/runs/{id}/events"), None).await;
    assert_eq!(events.headers["content-type"], "text/event-stream");
    let text = events.body.as_str().unwrap();
    let kinds: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    assert_eq!(kinds, ["progress", "progress", "checkpoint", "complete"], "{text}");
    let last = text.lines().filter_map(|line| line.strip_prefix("id: ")).next_back().unwrap();
    // Who comes again hears only what is new.
    let after = [("last-event-id", "2")];
    let rest = asked.send(Method::GET, &format!("/v1/runs/{id}/events"), None, &after, None).await;
    let ids: Vec<&str> = rest.body.as_str().unwrap().lines().filter_map(|line| line.strip_prefix("id: ")).collect();
    assert_eq!(ids, ["3", last]);

    let run = asked.get(&format!("/v1/runs/{id}"), None).await;
    assert_eq!((run.body["status"].as_str(), run.body["outputs"]["said"].as_str()), (Some("completed"), Some("hello")));
    let shown: Value = serde_json::from_str(&asked.fleet.cli_ok(&["show", &id, "-o", "json"])).unwrap();
    assert_eq!(run.body, shown, "the API and the CLI give one document");
    let etag = run.headers["etag"].to_str().unwrap();
    let same = asked.send(Method::GET, &format!("/v1/runs/{id}"), None, &[("if-none-match", etag)], None).await;
    assert_eq!(same.status, StatusCode::NOT_MODIFIED);

    // Whoever would rather wait gets the run itself.
    let waited = asked.send(Method::POST, "/v1/runs", None, &[("prefer", "wait=20")], Some(wanted)).await;
    assert_eq!((waited.status, waited.body["status"].as_str()), (StatusCode::OK, Some("completed")));
    assert_eq!(waited.headers["preference-applied"], "wait=20");

    // Done again it takes what is there.
    let rerun = asked.post(&format!("/v1/runs/{id}/rerun"), None, json!({})).await;
    let again = rerun.body["id"].as_str().unwrap().to_owned();
    let ended = async || asked.get(&format!("/v1/runs/{again}"), None).await.body["status"] == "completed";
    poll::until("the rerun completes", ended).await;
    let again = asked.get(&format!("/v1/runs/{again}"), None).await;
    assert_eq!((&again.body["rerun_of"], &again.body["steps"][0]["status"]), (&json!(id), &json!("cached")));
    let fork = asked.post(&format!("/v1/runs/{id}/fork"), None, json!({ "from_step": "nope" })).await;
    problem(&fork, 400, "bad_request");

    let page = asked.get("/v1/runs?limit=2&workflow=nap", None).await;
    assert_eq!(page.body["data"].as_array().unwrap().len(), 2);
    let next = page.headers["link"].to_str().unwrap();
    let next = next.strip_prefix('<').and_then(|link| link.split_once('>')).unwrap().0;
    let next = asked.get(next, None).await;
    assert_eq!((next.body["data"][0]["id"].as_str(), &next.body["next_cursor"]), (Some(id.as_str()), &Value::Null));
    asked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_hands_a_run_in_once_and_other_inputs_under_it_are_refused() {
    let asked = Asked::begin().await;
    asked.push(None).await;
    let send = |text: &'static str| {
        let wanted = json!({ "workflow": "nap", "inputs": { "text": text } });
        asked.send(Method::POST, "/v1/runs", None, &[("idempotency-key", "order-7")], Some(wanted))
    };
    let (first, again, other) = (send("a").await, send("a").await, send("b").await);
    assert_eq!(first.body["id"], again.body["id"]);
    assert_eq!(again.headers["idempotent-replayed"], "true");
    problem(&other, 422, "idempotency_key_reused");

    // Each run of a batch has an outcome of its own, and a batch that is sent again creates nothing.
    let batch = json!({ "runs": [
        { "workflow": "nap", "inputs": { "text": "one" } },
        { "workflow": "nap", "inputs": { "text": 7 } },
        { "workflow": "nop" },
        { "workflow": "nap", "inputs": { "text": "two" }, "colour": "red" },
        { "workflow": "nap", "inputs": { "text": "two" } },
    ]});
    let key = [("idempotency-key", "batch-1")];
    let first = asked.send(Method::POST, "/v1/runs/batch", None, &key, Some(batch.clone())).await;
    assert_eq!(first.status, StatusCode::ACCEPTED);
    assert_eq!((&first.body["created"], &first.body["failed"]), (&json!(2), &json!(3)));
    let codes: Vec<&Value> = first.body["data"].as_array().unwrap().iter().map(|one| &one["problem"]["code"]).collect();
    assert_eq!(
        codes,
        [&Value::Null, &json!("invalid_input"), &json!("not_found"), &json!("bad_request"), &Value::Null]
    );
    assert_eq!(first.body["data"][1]["problem"]["errors"][0]["pointer"], "/inputs/text");
    let again = asked.send(Method::POST, "/v1/runs/batch", None, &key, Some(batch)).await;
    assert_eq!(first.body["data"][4]["id"], again.body["data"][4]["id"]);
    asked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_let_in_whom_they_name_and_tenants_do_not_see_each_other() {
    let asked = Asked::begin().await;
    let admin = asked.key("admin", "default");
    // As soon as there is a key, being on this machine is no key.
    let refused = async || asked.get("/v1/runs", None).await.status == StatusCode::UNAUTHORIZED;
    poll::until("the key is let in no more", refused).await;
    asked.push(Some(&admin)).await;
    let (acme, other) = (asked.key("submit,read", "acme"), asked.key("submit,operate", "other"));

    let wanted = json!({ "workflow": "nap", "inputs": { "text": "mine", "time": "60s" } });
    let poll_key = async || asked.get("/v1/whoami", Some(&other)).await.status == StatusCode::OK;
    poll::until("the key is let in", poll_key).await;
    let taken = asked.post("/v1/runs", Some(&acme), wanted.clone()).await;
    let id = taken.body["id"].as_str().unwrap().to_owned();
    // The same idempotency key of two tenants is two.
    let key = [("idempotency-key", "one")];
    let mine = asked.send(Method::POST, "/v1/runs", Some(&acme), &key, Some(wanted.clone())).await;
    let theirs = asked.send(Method::POST, "/v1/runs", Some(&other), &key, Some(wanted.clone())).await;
    assert_ne!(mine.body["id"], theirs.body["id"]);

    for path in ["", "/events", "/steps"] {
        problem(&asked.get(&format!("/v1/runs/{id}{path}"), Some(&other)).await, 404, "not_found");
        assert_eq!(
            asked.get(&format!("/v1/runs/{id}{path}?after=100000"), Some(&admin)).await.status.as_u16() / 100,
            4
        );
    }
    problem(&asked.post(&format!("/v1/runs/{id}/cancel"), Some(&other), json!({})).await, 404, "not_found");
    problem(&asked.post(&format!("/v1/runs/{id}/cancel"), Some(&acme), json!({})).await, 403, "forbidden");
    let listed = asked.get("/v1/runs", Some(&other)).await;
    assert_eq!(listed.body["data"].as_array().unwrap().len(), 1, "{}", listed.body);
    problem(&asked.post("/v1/workflows", Some(&acme), json!({ "source": NAP })).await, 403, "forbidden");

    // A file is of use to the tenant that sent it.
    let sent = asked
        .client
        .post(format!("{}/v1/files?name=mug.txt", asked.base))
        .header("authorization", format!("Bearer {acme}"));
    let sent = sent.body("mug").send().await.unwrap();
    assert_eq!(sent.status(), StatusCode::CREATED);
    let sent: Value = serde_json::from_str(&sent.text().await.unwrap()).unwrap();
    assert_eq!((sent["media_type"].as_str(), sent["name"].as_str()), (Some("text/plain"), Some("mug.txt")));
    let got = asked.send(Method::GET, sent["url"].as_str().unwrap(), None, &[("range", "bytes=1-")], None).await;
    assert_eq!((got.status, got.body.as_str()), (StatusCode::PARTIAL_CONTENT, Some("ug")));
    let bent = sent["url"].as_str().unwrap().replace("bytes=3", "bytes=2");
    problem(&asked.get(&bent, None).await, 404, "not_found");

    // A revoked key is out within seconds.
    let about = asked.get("/v1/whoami", Some(&acme)).await;
    asked.fleet.cli_ok(&["keys", "revoke", about.body["key"].as_str().unwrap()]);
    let refused = async || asked.get("/v1/runs", Some(&acme)).await.status == StatusCode::UNAUTHORIZED;
    poll::until("the key is let in no more", refused).await;
    let all = asked.fleet.cli_ok(&["keys", "list"]);
    assert!(all.contains("revoked") && !all.contains(&acme), "{all}");
    asked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_request_is_told_with_its_place() {
    let asked = Asked::begin().await;
    asked.push(None).await;
    let bad =
        asked.post("/v1/workflows", None, json!({ "source": "workflow: x\nsteps:\n  - uses: image.crpo\n" })).await;
    let error = &problem(&bad, 422, "invalid_workflow")["errors"][0];
    assert_eq!((&error["pointer"], &error["line"]), (&json!("/source"), &json!(3)), "{error}");
    for (path, body, status, code) in [
        ("/v1/runs", json!({ "workflow": "nap" }), 400, "invalid_input"),
        ("/v1/runs", json!({ "workflow": "nap", "inputs": { "text": "x".repeat(21) } }), 400, "invalid_input"),
        ("/v1/runs", json!({ "workflow": "nap@9", "inputs": { "text": "x" } }), 404, "not_found"),
        ("/v1/runs", json!({ "workflows": "nap" }), 400, "bad_request"),
        ("/v1/runs", json!([]), 400, "bad_request"),
        ("/v1/runs/batch", json!({ "runs": [] }), 400, "bad_request"),
        ("/v1/runs/run_0/cancel", json!({}), 404, "not_found"),
        ("/v1/nothing", json!({}), 404, "not_found"),
        ("/v1/whoami", json!({}), 405, "method_not_allowed"),
    ] {
        let answer = asked.post(path, None, body).await;
        assert_ne!(problem(&answer, status, code)["detail"], "", "{path}");
    }
    for path in
        ["/v1/runs?limit=0", "/v1/runs?limit=x", "/v1/runs?colour=red", "/v1/runs?status=done", "/v1/runs?cursor=7"]
    {
        problem(&asked.get(path, None).await, 400, "bad_request");
    }
    asked.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn runs_are_commanded_over_http_and_the_outcome_is_told() {
    let asked = Asked::begin().await;
    let source = "workflow: order\nsteps:\n  - id: paid\n    uses: wait.event\n    with: { name: payment }\n  - id: look\n    uses: human.approve\n    with: { title: Good? }\noutputs:\n  sum: ${{ steps.paid.data.sum }}\n";
    let pushed = asked.post("/v1/workflows", None, json!({ "source": source })).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{}", pushed.body);
    let id = asked.post("/v1/runs", None, json!({ "workflow": "order" })).await.body["id"].as_str().unwrap().to_owned();
    let at = |what: &str| format!("/v1/runs/{id}/{what}");

    let paused = asked.post(&at("pause"), None, json!({ "reason": "lunch" })).await;
    assert_eq!((paused.status, paused.body["status"].as_str()), (StatusCode::OK, Some("paused")), "{}", paused.body);
    let resumed = asked.post(&at("resume"), None, json!({})).await;
    assert_eq!(resumed.status, StatusCode::OK, "{}", resumed.body);
    problem(&asked.post(&at("resume"), None, json!({})).await, 409, "conflict");
    problem(&asked.post(&at("approve"), None, json!({})).await, 409, "conflict");

    let signal = json!({ "name": "payment", "data": { "sum": 7 } });
    let key = [("idempotency-key", "pay-1")];
    let heard = asked.send(Method::POST, &at("signal"), None, &key, Some(signal)).await;
    assert_eq!((heard.status, &heard.body["applied"]), (StatusCode::OK, &json!(true)), "{}", heard.body);
    let waits = async || asked.get("/v1/approvals", None).await.body["data"].as_array().unwrap().len() == 1;
    poll::until("a step waits for a person", waits).await;
    let inbox = asked.get("/v1/approvals", None).await;
    assert_eq!((&inbox.body["data"][0]["run"], &inbox.body["data"][0]["asks"]["title"]), (&json!(id), &json!("Good?")));
    let approved = asked.post(&at("approve"), None, json!({ "note": "fine" })).await;
    assert_eq!(approved.status, StatusCode::OK, "{}", approved.body);
    let done = async || asked.get(&format!("/v1/runs/{id}"), None).await.body["status"] == "completed";
    poll::until("the run completes", done).await;
    assert_eq!(asked.get(&format!("/v1/runs/{id}"), None).await.body["outputs"]["sum"], 7);
    problem(&asked.post(&at("cancel"), None, json!({})).await, 409, "conflict");
    asked.end().await;
}
