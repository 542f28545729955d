//! One request and its answer.

use super::guard::{ADVICE, Denied, Guard, shown};
use super::{NetError, SendError};
use darkroom_proto::{ErrorClass, StepError};
use darkroom_provider::Response;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, HeaderValue};
use reqwest::{Client, Method, Url};
use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tower::util::MapResponseLayer;

/// How long finding the address, connecting and TLS may take together.
const CONNECT_TIME_MAX: Duration = Duration::from_secs(10);

/// How many idle connections are kept to one host.
const IDLE_MAX: usize = 16;

/// How long an idle connection is kept: shorter than servers do, among which 5 s is the least that is usual (Node.js), so
/// that it is hardly ever they who close it while we write.
const IDLE_TIME_MAX: Duration = Duration::from_secs(4);

tokio::task_local! {
    /// Whether the exchange of this task has a connection.
    static CONNECTED: Arc<AtomicBool>;
}

/// One request.
pub(super) struct Exchange {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) body: Option<Vec<u8>>,
    /// Of the whole exchange.
    pub(super) time_max: Duration,
    /// Whether it may go over a connection that was used before.
    pub(super) is_question: bool,
    /// Of the answer's body.
    pub(super) bytes_max: u64,
    /// Whether the body of an answer is taken in also when its status is none of success.
    pub(super) with_errors: bool,
}

/// Two ways to send.
///
/// Nothing here sends a request twice. reqwest does so when HTTP/2 says that a stream was not begun (`reqwest/src/retry.rs`,
/// `Classifier::ProtocolNacks`); that is off, and so is HTTP/2. hyper-util does so on a connection that was used before and
/// turned out to be closed (`hyper-util/src/client/legacy/client.rs`, `send_request`: `retry_canceled_requests`, which
/// reqwest can't turn off), and only where hyper gives the request back, which it does while no byte of it was written
/// (`hyper/src/proto/h1/dispatch.rs`, `recv_msg`). That is safe, but what is not sent again there is lost on a connection
/// that was already closing: whether it arrived can't be told. So whatever is not a mere question gets a connection of its
/// own, where a failure to connect is one that surely sent nothing; files do as well, which are worth one.
#[derive(Clone)]
pub(super) struct Lines {
    /// Keeps connections, for questions.
    kept: Client,
    /// A new connection each time.
    fresh: Client,
}

impl Lines {
    pub(super) fn new(guard: &Guard) -> Result<Lines, NetError> {
        let client = |idle_max: usize| {
            Client::builder()
                .user_agent(concat!("darkroom/", env!("CARGO_PKG_VERSION")))
                // A proxy would connect for us, to addresses that we don't see.
                .no_proxy()
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .retry(reqwest::retry::never())
                .http1_only()
                .dns_resolver(Arc::new(guard.clone()))
                .connect_timeout(CONNECT_TIME_MAX)
                .connector_layer(MapResponseLayer::new(|connection| {
                    // Without a pool the connection is made in the task that waits for it.
                    let _ = CONNECTED.try_with(|connected| connected.store(true, Ordering::Relaxed));
                    connection
                }))
                .pool_max_idle_per_host(idle_max)
                .pool_idle_timeout(IDLE_TIME_MAX)
                .build()
                .map_err(|error| NetError::Tls(cause(&error)))
        };
        Ok(Lines { kept: client(IDLE_MAX)?, fresh: client(0)? })
    }

    /// Sends the request once and takes in the answer.
    pub(super) async fn exchange(&self, exchange: Exchange) -> Result<Response, SendError> {
        let is_question = exchange.is_question;
        let client = if is_question { &self.kept } else { &self.fresh };
        let connected = Arc::new(AtomicBool::new(is_question));
        let (time_max, url) = (exchange.time_max, exchange.url.clone());
        let talk = CONNECTED.scope(connected.clone(), Box::pin(talk(client, exchange)));
        match tokio::time::timeout(time_max, talk).await {
            Ok(answered) => answered,
            Err(_) => {
                let place = shown(url.as_str());
                let error = format!("{place} did not answer within {} s", time_max.as_secs_f64());
                let error = StepError::new(ErrorClass::Timeout, error);
                Err(SendError { error, maybe_sent: connected.load(Ordering::Relaxed) })
            }
        }
    }
}

async fn talk(client: &Client, exchange: Exchange) -> Result<Response, SendError> {
    let url = exchange.url.clone();
    let place = || shown(url.as_str());
    let mut request = client.request(exchange.method, exchange.url).headers(exchange.headers);
    // Packed bodies are not unpacked here, where a few of them become gigabytes.
    request = request.header(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if let Some(body) = exchange.body {
        request = request.body(body);
    }
    let mut answer = request.send().await.map_err(|error| failed(&place(), &error))?;
    let arrived = |error| SendError { error, maybe_sent: true };
    let too_large = || {
        let error = format!("what {} answers has more than {} bytes", place(), exchange.bytes_max);
        arrived(StepError::new(ErrorClass::TooLarge, error))
    };
    let status = answer.status();
    let wanted = exchange.with_errors || status.is_success();
    if wanted && answer.content_length().is_some_and(|bytes| bytes > exchange.bytes_max) {
        return Err(too_large());
    }
    let headers = answer.headers().iter();
    let headers =
        headers.map(|(name, value)| (name.as_str().to_owned(), String::from_utf8_lossy(value.as_bytes()).into()));
    let headers = headers.collect();
    let mut body = Vec::new();
    while wanted && let Some(chunk) = answer.chunk().await.map_err(|error| failed(&place(), &error))? {
        if (body.len() + chunk.len()) as u64 > exchange.bytes_max {
            return Err(too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Response { status: status.as_u16(), headers, body })
}

/// What a failure means. The URL is not in it, which may hold a signature.
fn failed(place: &str, error: &reqwest::Error) -> SendError {
    if let Some(denied) = chain(error).find_map(|error| error.downcast_ref::<Denied>()) {
        let error = StepError::new(ErrorClass::InvalidInput, format!("{place} is not fetched: {denied}"));
        return SendError { error: error.code("address_refused").advice(ADVICE), maybe_sent: false };
    }
    let before = error.is_connect() || error.is_builder();
    let (class, code, what) = match () {
        () if error.is_timeout() && before => (ErrorClass::Timeout, "connect", "can't be connected to in time"),
        () if error.is_timeout() => (ErrorClass::Timeout, "timeout", "stopped answering"),
        () if error.is_dns() => (ErrorClass::Network, "dns", "has no address"),
        () if before => (ErrorClass::Network, "connect", "can't be connected to"),
        () => (ErrorClass::Network, "connection_lost", "broke the connection off"),
    };
    let error = StepError::new(class, format!("{place} {what}: {}", cause(error))).code(code);
    SendError { error, maybe_sent: !before }
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn Error + 'static)> {
    std::iter::successors(error.source(), |error: &&(dyn Error + 'static)| (*error).source())
}

/// The innermost reason: those around it only say that there is one, or name the URL.
fn cause(error: &reqwest::Error) -> String {
    chain(error).last().map_or_else(|| "no reason is known".to_owned(), ToString::to_string)
}
