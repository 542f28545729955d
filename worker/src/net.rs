//! [`Net`]: the one HTTP client, for everything that is fetched by URL and for every call of a provider.
//!
//! It goes to public addresses over TLS only, unless a policy says otherwise, and looks at the address that it connects to,
//! not at a name that may mean another one a moment later. It asks no proxy, unpacks nothing, follows redirects only where
//! files are fetched, and sends every request once.

mod address;
mod ask;
mod body;
mod exchange;
mod fetch;
mod guard;
mod sniff;

pub(crate) use ask::Ask;
pub use fetch::{FetchError, FetchLimits, Fetched};
pub(crate) use guard::shown;
pub use sniff::media_type;

use darkroom_proto::{ErrorClass, StepError};
use darkroom_provider::{Method, Request, Response};
use exchange::{Exchange, Lines};
use guard::{Guard, Lookup};
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};

/// Where requests may go. By default to public addresses over TLS, and nowhere else.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NetPolicy {
    /// Whether private, loopback, link-local and other addresses that are not public are allowed, any port, and plain
    /// `http:`: for networks of one's own and for the simulator.
    pub allow_private: bool,
    /// Hosts with their ports, or base URLs, that are allowed all the same: the simulator, or a server of one's own. Another
    /// port of such a host is refused.
    pub trusted: Vec<String>,
}

/// The client. Copies share their connections.
#[derive(Clone)]
pub struct Net {
    guard: Guard,
    lines: Lines,
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    /// An entry of [`NetPolicy::trusted`] is no host and no URL.
    #[error("`{entry}` is no host with a port and no URL")]
    Trusted {
        /// The entry.
        entry: String,
    },
    /// TLS can't be set up, such as without certificates.
    #[error("TLS can't be set up: {0}")]
    Tls(String),
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{error}")]
pub struct SendError {
    /// What went wrong.
    pub error: StepError,
    /// Whether the request may have reached the other side. False only when it surely did not: it was refused here, the
    /// host has no address, or no connection was made.
    pub maybe_sent: bool,
}

/// The largest answer of a provider: pictures come in it as base64.
const ANSWER_BYTES_MAX: u64 = 64 << 20;

impl Net {
    /// A client that goes where `policy` lets it.
    ///
    /// # Errors
    /// When an entry of the policy can't be read, or TLS can't be set up.
    pub fn new(policy: NetPolicy) -> Result<Net, NetError> {
        Net::with_lookup(&policy, guard::system())
    }

    fn with_lookup(policy: &NetPolicy, lookup: Lookup) -> Result<Net, NetError> {
        let guard = Guard::new(policy, lookup)?;
        let lines = Lines::new(&guard)?;
        Ok(Net { guard, lines })
    }

    /// Sends a request once and gives the answer as it is: a redirect is an answer.
    ///
    /// # Errors
    /// When there is no answer within the time of the request, or it is too large.
    pub async fn send(&self, request: &Request) -> Result<Response, SendError> {
        let unsent = |error| SendError { error, maybe_sent: false };
        let url = self.guard.check(&request.url).map_err(unsent)?;
        let (media_type, body) = body::encode(&request.body).unzip();
        let mut headers = headers_of(&request.headers, &request.secrets).map_err(unsent)?;
        if let Some(media_type) = media_type
            && !headers.contains_key(CONTENT_TYPE)
        {
            headers.insert(CONTENT_TYPE, value_of(&media_type).map_err(unsent)?);
        }
        let method = match request.method {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let exchange = Exchange {
            is_question: method == reqwest::Method::GET,
            method,
            url,
            headers,
            body,
            time_max: request.timeout,
            bytes_max: ANSWER_BYTES_MAX,
            with_errors: true,
        };
        self.lines.exchange(exchange).await
    }
}

impl std::fmt::Debug for Net {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Net").finish_non_exhaustive()
    }
}

/// Headers as they are sent. What is secret is marked so, and no error repeats it.
fn headers_of(
    plain: &[(&'static str, String)],
    secrets: &[(&'static str, SecretString)],
) -> Result<HeaderMap, StepError> {
    let mut headers = HeaderMap::new();
    let name_of = |name: &'static str| {
        HeaderName::from_bytes(name.as_bytes())
            .map_err(|_| StepError::new(ErrorClass::WorkflowError, format!("`{name}` is no name of a header")))
    };
    for (name, value) in plain {
        headers.append(name_of(name)?, value_of(value)?);
    }
    for (name, value) in secrets {
        let mut value = HeaderValue::from_str(value.expose_secret()).map_err(|_| {
            StepError::new(
                ErrorClass::InvalidKey,
                format!("the key can't be sent as `{name}`: it has characters that no header takes"),
            )
            .code("key_malformed")
            .advice("look for line breaks and letters with accents in the key that is configured")
        })?;
        value.set_sensitive(true);
        headers.append(name_of(name)?, value);
    }
    Ok(headers)
}

fn value_of(value: &str) -> Result<HeaderValue, StepError> {
    HeaderValue::from_str(value)
        .map_err(|_| StepError::new(ErrorClass::InvalidInput, "a header has characters that no header takes"))
}

#[cfg(test)]
mod tests;
