//! The API against its own description, asked by a program that no one here wrote.

use super::fleet_api::Asked;
use darkroom_tests::clients;
use darkroom_tests::fleet::blocking;
use darkroom_tests::poll;
use reqwest::StatusCode;
use serde_json::json;

/// The workflow of the description's examples, with nothing to draw.
const EXAMPLE: &str = "workflow: product-photo\ninputs:\n  subject: { type: string, default: coffee mug }\nsteps:\n  - id: rest\n    uses: noop\n    with: { data: \"${{ inputs.subject }}\" }\noutputs:\n  said: ${{ steps.rest.data }}\n";

/// All of its checks are on: no 5xx; every status, type, header and body as described; nothing taken that the description
/// forbids, nothing refused that it allows, nothing done without a key. What is let off is in its configuration, with the reason.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_a_client_could_ask_is_answered_as_described() {
    let asked = Asked::begin().await;
    let key = asked.key("admin", "default");
    let let_in = async || asked.get("/v1/runs", Some(&key)).await.status == StatusCode::OK;
    poll::until("the key is let in", let_in).await;
    let pushed = asked.post("/v1/workflows", Some(&key), json!({ "source": EXAMPLE })).await;
    assert_eq!(pushed.status, StatusCode::CREATED, "{}", pushed.body);
    let refused = async || asked.get("/v1/runs", None).await.status == StatusCode::UNAUTHORIZED;
    poll::until("nobody is let in without a key", refused).await;

    let page = asked.get("/docs", None).await;
    let policy = page.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-"), "{policy}");
    assert!(page.body.as_str().unwrap().contains("<code>POST /v1/runs</code>"));
    let served = asked.get("/openapi.json", None).await;
    let committed: serde_json::Value = serde_json::from_str(include_str!("../../../docs/openapi.json")).unwrap();
    assert_eq!(served.body, committed);

    blocking(|| clients::schemathesis(&format!("{}/openapi.json", asked.base), &key));
    asked.end().await;
}
