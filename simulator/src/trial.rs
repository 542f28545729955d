//! A world for tests: requests without a port, and somebody who takes webhooks.

use crate::options::Options;
use crate::server::Simulator;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Request};
use darkroom_proto::Duration;
use hyper::service::Service as _;
use hyper_util::service::TowerToHyperService;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long anything may take that is expected to happen.
const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

/// Fields of a form by name; those whose name begins with `@` are files.
pub(crate) type Fields<'a> = [(&'a str, &'a [u8])];

/// A world of its own.
pub(crate) struct Trial {
    service: TowerToHyperService<Router>,
    tasks: JoinSet<()>,
    simulator: Simulator,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Null when it is no JSON.
    pub(crate) json: Value,
}

impl Got {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// A text in the JSON.
    pub(crate) fn text(&self, pointer: &str) -> &str {
        self.json.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("{pointer}: {}", self.json))
    }
}

impl Trial {
    /// Where every job takes so long.
    pub(crate) fn taking(ms: u64) -> Trial {
        let all = Duration(ms);
        Trial::with(Options { image: all, video: all, audio: all, webhook_again: Duration(5), ..Options::default() })
    }

    pub(crate) fn with(options: Options) -> Trial {
        let simulator = Simulator::new(options);
        Trial { service: TowerToHyperService::new(simulator.router()), tasks: JoinSet::new(), simulator }
    }

    /// Sends a request; headers are `name: value`, and a link of this world is a path too.
    pub(crate) async fn send(&self, method: &str, path: &str, headers: &[&str], body: impl Into<Body>) -> Got {
        let path = path.strip_prefix("http://sim").unwrap_or(path);
        let mut request = Request::builder().method(method).uri(path).header("host", "sim");
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        let answer = tokio::time::timeout(DEADLINE, self.service.call(request.body(body.into()).unwrap())).await;
        let Ok(response) = answer.expect("an answer in time");
        let (head, body) = response.into_parts();
        let body = to_bytes(body, usize::MAX).await.unwrap();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Got { status: head.status.as_u16(), headers: head.headers, body, json }
    }

    pub(crate) async fn get(&self, path: &str, headers: &[&str]) -> Got {
        self.send("GET", path, headers, Body::empty()).await
    }

    pub(crate) async fn post(&self, path: &str, headers: &[&str], body: &Value) -> Got {
        self.send("POST", path, headers, body.to_string()).await
    }

    /// Sends a form.
    pub(crate) async fn form(&self, path: &str, headers: &[&str], fields: &Fields<'_>) -> Got {
        let mut body = Vec::new();
        for (name, value) in fields {
            let (name, file) = match name.strip_prefix('@') {
                Some(name) => (name, "; filename=\"a.png\"\r\ncontent-type: image/png"),
                None => (*name, ""),
            };
            body.extend(format!("--B\r\ncontent-disposition: form-data; name=\"{name}\"{file}\r\n\r\n").bytes());
            body.extend_from_slice(value);
            body.extend(b"\r\n");
        }
        body.extend(b"--B--\r\n");
        let headers = [headers, &["content-type: multipart/form-data; boundary=B"]].concat();
        self.send("POST", path, &headers, body).await
    }

    pub(crate) async fn fault(&self, fault: Value) {
        assert_eq!(self.post("/_sim/faults", &[], &fault).await.status, 200, "{fault}");
    }

    pub(crate) async fn key(&self, provider: &str, key: &str, state: &str) {
        let set = self.post("/_sim/keys", &[], &json!({"provider": provider, "key": key, "state": state})).await;
        assert_eq!(set.status, 200);
    }

    pub(crate) async fn charges(&self) -> Vec<Value> {
        self.get("/_sim/charges", &[]).await.json.as_array().unwrap().clone()
    }

    /// A URL that takes webhooks from now on and gives challenges back, and what it took.
    pub(crate) async fn receiver(&mut self) -> (String, Arc<Mutex<Vec<(HeaderMap, Value)>>>) {
        let taken = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let router = Router::new()
            .fallback(async |State(taken): State<Arc<Mutex<Vec<_>>>>, headers: HeaderMap, body: Bytes| {
                taken.lock().unwrap().push((headers, serde_json::from_slice::<Value>(&body).unwrap()));
                body
            })
            .with_state(taken.clone());
        self.tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let simulator = self.simulator.clone();
        self.tasks.spawn(async move { simulator.serve(listener, CancellationToken::new()).await.unwrap() });
        (url, taken)
    }
}

/// Waits until every one of these words has come as this field of a webhook.
pub(crate) async fn come(
    taken: &Mutex<Vec<(HeaderMap, Value)>>,
    field: &str,
    words: &[&str],
) -> Vec<(HeaderMap, Value)> {
    let begun = tokio::time::Instant::now();
    loop {
        let so_far = taken.lock().unwrap().clone();
        if words.iter().all(|word| so_far.iter().any(|(_, body)| body[field] == *word)) {
            return so_far;
        }
        assert!(begun.elapsed() < DEADLINE, "{words:?}: {so_far:?}");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}
