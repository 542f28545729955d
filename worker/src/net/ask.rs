//! A request that a workflow words itself, as opposed to one that an adapter makes.

use super::exchange::Exchange;
use super::{ANSWER_BYTES_MAX, Net, SendError, value_of};
use darkroom_proto::{ErrorClass, StepError};
use darkroom_provider::Response;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use std::time::Duration;

/// Headers that belong to the connection, not to what is said over it.
const OURS: [&str; 8] =
    ["host", "connection", "content-length", "transfer-encoding", "accept-encoding", "te", "trailer", "upgrade"];

/// A request in a workflow's own words.
#[derive(Debug)]
pub(crate) struct Ask {
    /// The verb, in capital letters.
    pub(crate) method: String,
    /// Where to.
    pub(crate) url: String,
    /// Headers, as they were written.
    pub(crate) headers: Vec<(String, String)>,
    /// The type of the body and its bytes.
    pub(crate) body: Option<(&'static str, Vec<u8>)>,
    /// How long the whole exchange may take.
    pub(crate) time_max: Duration,
}

impl Net {
    /// Sends the request once and gives the answer as it is, whatever its status: a redirect is an answer.
    ///
    /// # Errors
    /// When it can't be sent as it is worded, or there is no answer within its time.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Response, SendError> {
        let unsent = |error| SendError { error, maybe_sent: false };
        let url = self.guard.check(&ask.url).map_err(unsent)?;
        let mut headers = HeaderMap::new();
        for (name, value) in &ask.headers {
            headers.append(name_of(name).map_err(unsent)?, sensitive(value).map_err(unsent)?);
        }
        let (media_type, body) = ask.body.unzip();
        if let Some(media_type) = media_type
            && !headers.contains_key(CONTENT_TYPE)
        {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
        }
        let method = Method::from_bytes(ask.method.as_bytes())
            .map_err(|_| unsent(StepError::new(ErrorClass::InvalidInput, "the method is no word of HTTP")))?;
        let exchange = Exchange {
            is_question: method.is_safe(),
            method,
            url,
            headers,
            body,
            time_max: ask.time_max,
            bytes_max: ANSWER_BYTES_MAX,
            with_errors: true,
        };
        self.lines.exchange(exchange).await
    }
}

fn name_of(name: &str) -> Result<HeaderName, StepError> {
    let bad =
        |why: &str| StepError::new(ErrorClass::InvalidInput, format!("the header `{name}` {why}")).code("bad_header");
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| bad("has characters that no header takes"))?;
    if OURS.contains(&parsed.as_str()) {
        return Err(bad("belongs to the connection and is not for a workflow to set").advice("Leave it out."));
    }
    Ok(parsed)
}

/// Whatever a workflow puts into a header may be a key.
fn sensitive(value: &str) -> Result<HeaderValue, StepError> {
    let mut value = value_of(value)?;
    value.set_sensitive(true);
    Ok(value)
}
