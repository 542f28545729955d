//! A simulator on a port of its own, and a client.

use darkroom_proto::Duration;
use darkroom_simulator::{Options, Simulator};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use std::future::Future;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// How long anything may take that is expected to happen.
pub(crate) const DEADLINE: std::time::Duration = std::time::Duration::from_secs(20);

/// A simulator on a port of its own. It ends with the test.
pub(crate) struct Place {
    pub(crate) url: String,
    pub(crate) client: Client,
    _tasks: JoinSet<std::io::Result<()>>,
}

/// Where everything takes so long.
pub(crate) fn taking(ms: u64) -> Options {
    let all = Duration(ms);
    Options { image: all, video: all, audio: all, webhook_again: Duration(5), ..Options::default() }
}

impl Place {
    pub(crate) async fn with(options: Options) -> Place {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let mut tasks = JoinSet::new();
        tasks.spawn(Simulator::new(options).serve(listener, CancellationToken::new()));
        let client = Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        Place { url, client, _tasks: tasks }
    }

    /// Sends a request; headers are `name: value`.
    pub(crate) async fn try_send(
        &self,
        method: Method,
        path: &str,
        headers: &[&str],
        body: Vec<u8>,
    ) -> Result<Response, reqwest::Error> {
        let url = if path.starts_with("http") { path.to_owned() } else { format!("{}{path}", self.url) };
        let mut request = self.client.request(method, url).body(body);
        for header in headers {
            let (name, value) = header.split_once(": ").unwrap();
            request = request.header(name, value);
        }
        request.send().await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, headers: &[&str], body: Vec<u8>) -> Answer {
        Answer::of(self.try_send(method, path, headers, body).await.unwrap()).await
    }

    pub(crate) async fn get(&self, path: &str, headers: &[&str]) -> Answer {
        self.send(Method::GET, path, headers, Vec::new()).await
    }

    pub(crate) async fn post(&self, path: &str, headers: &[&str], body: &Value) -> Answer {
        self.send(Method::POST, path, headers, body.to_string().into_bytes()).await
    }

    /// Sets a fault.
    pub(crate) async fn fault(&self, fault: Value) {
        assert_eq!(self.post("/_sim/faults", &[], &fault).await.status, 200, "{fault}");
    }

    pub(crate) async fn charges(&self) -> Vec<Value> {
        self.get("/_sim/charges", &[]).await.json.as_array().unwrap().clone()
    }

    pub(crate) async fn state(&self) -> Value {
        self.get("/_sim/state", &[]).await.json
    }
}

/// A response that was read.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: reqwest::header::HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Null when it is no JSON.
    pub(crate) json: Value,
}

impl Answer {
    async fn of(response: Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.unwrap().to_vec();
        let json = serde_json::from_slice(&body).unwrap_or(Value::Null);
        Answer { status, headers, body, json }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

/// Looks again and again until there is something.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let found = tokio::time::timeout(DEADLINE, async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    });
    found.await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}
