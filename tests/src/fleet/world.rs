//! The providers of a fleet under test: the simulator, in the process of the test, over real connections.

use super::blocking;
use darkroom_simulator::{Options, Simulator};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Providers that answer as the real ones do, and count what they charge.
#[derive(Debug)]
pub struct World {
    address: SocketAddr,
    stop: CancellationToken,
    _serving: JoinSet<()>,
}

impl World {
    /// Begins one on a free port.
    pub async fn begin(options: Options) -> World {
        let listener = TcpListener::bind(("127.0.0.1", crate::servers::free_port())).await.unwrap();
        let (address, stop) = (listener.local_addr().unwrap(), CancellationToken::new());
        let (simulator, stopped) = (Simulator::new(options), stop.clone());
        let mut serving = JoinSet::new();
        serving.spawn(async move { simulator.serve(listener, stopped).await.unwrap() });
        World { address, stop, _serving: serving }
    }

    /// Its URL, as `DARKROOM__SIMULATOR` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Has something go wrong, as `POST /_sim/faults` takes it.
    pub fn fault(&self, fault: Value) {
        self.ask("POST", "/_sim/faults", &fault);
    }

    /// Takes all faults away.
    pub fn heal(&self) {
        self.ask("DELETE", "/_sim/faults", &json!({}));
    }

    /// Forgets everything.
    pub fn reset(&self) {
        self.ask("POST", "/_sim/reset", &json!({}));
    }

    /// Changes a key, as `POST /_sim/keys` takes it.
    pub fn key(&self, provider: &str, key: &str, state: &str) {
        self.ask("POST", "/_sim/keys", &json!({"provider": provider, "key": key, "state": state}));
    }

    /// What was charged, in order.
    pub fn charges(&self) -> Vec<Value> {
        let charges = self.ask("GET", "/_sim/charges", &json!({}));
        charges.as_array().cloned().unwrap_or_default()
    }

    /// How often each prompt was charged.
    pub fn charged(&self) -> BTreeMap<String, u32> {
        let mut charged = BTreeMap::new();
        for charge in self.charges() {
            *charged.entry(prompt_of(&charge["input"]).unwrap_or_default()).or_default() += 1;
        }
        charged
    }

    /// Jobs, requests and the like, as `GET /_sim/state` gives it.
    pub fn state(&self) -> Value {
        self.ask("GET", "/_sim/state", &json!({}))
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        blocking(|| {
            let mut stream = TcpStream::connect(self.address).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            let body = body.to_string();
            let head = format!(
                "{method} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                self.address,
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).unwrap();
            let at = answer.windows(4).position(|end| end == b"\r\n\r\n").unwrap() + 4;
            let head = String::from_utf8_lossy(&answer[..at]).to_ascii_lowercase();
            assert!(head.starts_with("http/1.1 2"), "{method} {path}: {}", String::from_utf8_lossy(&answer));
            let body = if head.contains("transfer-encoding: chunked") {
                unchunked(&answer[at..])
            } else {
                answer[at..].to_vec()
            };
            serde_json::from_slice(&body).unwrap_or(Value::Null)
        })
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The prompt of a request, wherever the provider wants it.
fn prompt_of(input: &Value) -> Option<String> {
    match input {
        Value::Object(map) => {
            let named =
                ["prompt", "promptText", "text", "promptImage"].iter().find_map(|name| map.get(*name)?.as_str());
            named.map(str::to_owned).or_else(|| map.values().find_map(prompt_of))
        }
        Value::Array(values) => values.iter().find_map(prompt_of),
        _ => None,
    }
}

fn unchunked(mut body: &[u8]) -> Vec<u8> {
    let mut whole = Vec::new();
    while let Some(at) = body.windows(2).position(|end| end == b"\r\n") {
        let size = std::str::from_utf8(&body[..at]).ok().and_then(|size| usize::from_str_radix(size.trim(), 16).ok());
        let Some(size) = size.filter(|size| *size > 0) else { break };
        whole.extend_from_slice(&body[at + 2..at + 2 + size]);
        body = &body[at + 2 + size + 2..];
    }
    whole
}
