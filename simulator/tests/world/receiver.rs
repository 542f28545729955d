//! Somebody who takes webhooks.

use crate::place::until;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// What came, in order.
pub(crate) type Came = Arc<Mutex<Vec<(HeaderMap, Bytes)>>>;

/// Takes webhooks, after it has refused some.
pub(crate) struct Receiver {
    pub(crate) url: String,
    came: Came,
    _tasks: JoinSet<()>,
}

impl Receiver {
    pub(crate) async fn refusing(times: usize) -> Receiver {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let came = Came::default();
        let router = Router::new().fallback(take).with_state((came.clone(), times));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { axum::serve(listener, router).await.unwrap() });
        Receiver { url, came, _tasks: tasks }
    }

    /// What came, once there are so many.
    pub(crate) async fn all(&self, count: usize) -> Vec<(HeaderMap, Bytes)> {
        until("webhooks", || async {
            let came = self.came.lock().unwrap();
            (came.len() >= count).then(|| came.clone())
        })
        .await
    }

    pub(crate) fn count(&self) -> usize {
        self.came.lock().unwrap().len()
    }
}

async fn take(State((came, refuse)): State<(Came, usize)>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let mut came = came.lock().unwrap();
    came.push((headers, body));
    if came.len() > refuse { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

pub(crate) fn json(body: &Bytes) -> Value {
    serde_json::from_slice(body).unwrap()
}
