//! [`Api`]: what the API is made of, and its routes.

use crate::caller::Caller;
use crate::key::ApiKeys;
use crate::link::Signer;
use crate::problem::Problem;
use crate::routes::routes;
use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Artifacts, Details, Ledger, Queue, Store, StoreError};
use darkroom_coordinator::{Desk, Workflows};
use darkroom_engine::preview::Offer;
use darkroom_proto::{Duration, Timestamp};
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use tokio::sync::OnceCell;

/// How long a body may be that is read at once: a batch of a thousand runs.
const BODY_BYTES_MAX: usize = 16 << 20;

/// How long links to artifacts are good for.
const LINKED_FOR: Duration = Duration(3_600_000);

/// What whoever serves the API lends it: it does no HTTP of its own, and knows nothing of pictures.
pub trait Surroundings: Send + Sync + 'static {
    /// Fetches what a link leads to, at most so many bytes, by a client that refuses private addresses.
    fn fetch(&self, link: String, bytes_max: u64) -> BoxFuture<'static, Result<Fetched, Problem>>;

    /// What a file is, told from its content: media type, and the size of a picture.
    fn look(&self, file: &Path, bytes: u64) -> Details;

    /// Who serves a model for an op, and for how much.
    fn offer(&self, op: &str, model: &str) -> Option<Offer>;
}

/// What a link led to.
#[derive(Debug)]
pub struct Fetched {
    /// The bytes.
    pub bytes: Vec<u8>,
    /// What they are.
    pub media_type: String,
    /// The name at the end of the link.
    pub name: String,
}

/// How an API is served.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where it is reached from outside, without a slash at its end; links begin with it. Empty: links are relative.
    pub public_url: String,
    /// Where it is reached on this machine, without a slash at its end: links for workers of tasks begin with it while there
    /// is no `public_url`.
    pub local_url: String,
    /// Whether whoever is on this machine is let in without a key as long as there is none. Not where a proxy may stand in
    /// front, because then everybody seems to be on this machine.
    pub lets_local_in: bool,
    /// The largest file that is taken in, in bytes.
    pub file_bytes_max: u64,
    /// The folder that uploads lie in until they are complete. `None`: the system's.
    pub staging: Option<std::path::PathBuf>,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            public_url: String::new(),
            local_url: String::new(),
            lets_local_in: true,
            file_bytes_max: 4 << 30,
            staging: None,
        }
    }
}

/// What the API is made of.
pub struct Api<S, Q> {
    pub(crate) store: S,
    pub(crate) desk: Desk<S, Q>,
    pub(crate) workflows: Workflows<S>,
    pub(crate) artifacts: Artifacts,
    pub(crate) keys: ApiKeys<S>,
    pub(crate) surroundings: Arc<dyn Surroundings>,
    pub(crate) options: Options,
    signer: OnceCell<Signer>,
    /// It is told once that links for workers of tasks lead to this machine.
    pub(crate) told: std::sync::Once,
}

impl<S, Q> std::fmt::Debug for Api<S, Q> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<S: Store + Ledger, Q: Queue> Api<S, Q> {
    /// An API over a store and a queue.
    pub fn new(
        store: S,
        desk: Desk<S, Q>,
        artifacts: Artifacts,
        surroundings: Arc<dyn Surroundings>,
        options: Options,
    ) -> Api<S, Q> {
        Api {
            workflows: Workflows::new(store.clone()),
            keys: ApiKeys::new(store.clone()),
            store,
            desk,
            artifacts,
            surroundings,
            options,
            signer: OnceCell::new(),
            told: std::sync::Once::new(),
        }
    }

    /// The keys that it lets in.
    pub fn keys(&self) -> &ApiKeys<S> {
        &self.keys
    }

    pub(crate) async fn signer(&self) -> Result<&Signer, Problem> {
        Ok(self.store_signer().await?)
    }

    /// Signs with the secret of the store, which all coordinators share.
    pub(crate) async fn store_signer(&self) -> Result<&Signer, StoreError> {
        let made = self.signer.get_or_try_init(|| async {
            self.store.secret().await.map(|secret| Signer::new(&format!("api/{secret}")))
        });
        made.await
    }

    /// What links begin with that somebody follows who did not ask for them here.
    pub(crate) fn base_url(&self) -> &str {
        if self.options.public_url.is_empty() { &self.options.local_url } else { &self.options.public_url }
    }

    /// A document with a link to each artifact in it, and the artifacts' names taken apart.
    pub(crate) async fn with_links(&self, mut document: Value) -> Result<Value, Problem> {
        let signer = self.signer().await?;
        let until = darkroom_backend::Clock::system().now().after(LINKED_FOR);
        link_all(&mut document, signer, &self.options.public_url, until);
        Ok(document)
    }

    /// Runs what waits for a disk where that holds nobody up.
    pub(crate) async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Artifacts) -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let artifacts = self.artifacts.clone();
        tokio::task::spawn_blocking(move || work(&artifacts))
            .await
            .map_err(|error| Problem::internal(format!("a task broke: {error}")))
    }
}

fn link_all(value: &mut Value, signer: &Signer, base: &str, until: Timestamp) {
    if let Some(artifact) = darkroom_proto::Artifact::from_value(value)
        && let Value::Object(object) = value
    {
        object.entry("duration").or_insert(Value::Null);
        object.insert("stem".to_owned(), artifact.stem().into());
        object.insert("ext".to_owned(), artifact.ext().into());
        object.insert("url".to_owned(), signer.link(base, &artifact, until).into());
        return;
    }
    match value {
        Value::Array(list) => list.iter_mut().for_each(|value| link_all(value, signer, base, until)),
        Value::Object(object) => object.values_mut().for_each(|value| link_all(value, signer, base, until)),
        _ => {}
    }
}

/// What handlers are given.
pub(crate) type Shared<S, Q> = Arc<Api<S, Q>>;

/// The routes of the API.
pub fn router<S: Store + Ledger, Q: Queue>(api: Arc<Api<S, Q>>) -> Router {
    routes::<S, Q>()
        .into_iter()
        .fold(Router::new(), |router, route| router.route(route.path, route.handler))
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .fallback(|| async { Problem::not_found("there is no such address; the API's are under /v1") })
        .method_not_allowed_fallback(|| async {
            Problem::new(axum::http::StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "not with this method")
        })
        .layer(middleware::from_fn(around))
        .with_state(api)
}

/// What holds for every answer: a request id, no guessing of types, nothing kept by caches, and a line in the log.
async fn around(mut request: Request, next: Next) -> Response {
    let given = request.headers().get(REQUEST_ID).and_then(|id| id.to_str().ok());
    let fits = |id: &&str| (1..=100).contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_graphic());
    let id = given.filter(fits).map_or_else(|| uuid::Uuid::new_v4().simple().to_string(), str::to_owned);
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    request.extensions_mut().insert(RequestId(id.clone()));
    let began = std::time::Instant::now();
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&id) {
        headers.insert(REQUEST_ID, value);
    }
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    let status = response.status();
    let (code, ms) = (status.as_u16(), began.elapsed().as_millis() as u64);
    match method.is_safe() {
        true => tracing::debug!(%method, path, status = code, request = id, ms, "answered"),
        false => {
            tracing::info!(target: "darkroom_api::audit", %method, path, status = code, request = id, ms, "answered")
        }
    }
    metrics::counter!("darkroom_api_requests_total", "method" => method_name(&method), "status" => status.as_u16().to_string())
        .increment(1);
    metrics::histogram!("darkroom_api_request_seconds").record(began.elapsed().as_secs_f64());
    response
}

/// Methods are whatever clients write; as a label only known ones count.
fn method_name(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        _ => "other",
    }
}

/// What a request is called in the log and in its answer.
#[derive(Debug, Clone)]
pub(crate) struct RequestId(pub(crate) String);

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// `GET /v1/whoami`
pub(crate) async fn whoami<S: Store + Ledger, Q: Queue>(State(_): State<Shared<S, Q>>, caller: Caller) -> Response {
    let scopes: Vec<&str> = caller.scopes().map(crate::key::Scope::name).collect();
    axum::Json(json!({ "tenant": caller.tenant(), "key": caller.key_id(), "scopes": scopes })).into_response()
}
