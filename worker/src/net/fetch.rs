//! Files by URL.

use super::exchange::Exchange;
use super::guard::shown;
use super::{Net, headers_of, sniff};
use darkroom_proto::{Duration, ErrorClass, StepError};
use darkroom_provider::Response;
use reqwest::{Method, Url};
use secrecy::SecretString;

/// How large a file may be, and how long fetching it may take, redirects included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FetchLimits {
    /// The most bytes.
    pub bytes_max: u64,
    /// The longest time.
    pub time_max: std::time::Duration,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its bytes. There is at least one.
    pub bytes: Vec<u8>,
    /// Its type, by its first bytes. What the server said only if they tell nothing and it is harmless, such as
    /// `audio/pcm`; else `application/octet-stream`.
    pub media_type: String,
    /// The status of the answer, one of success.
    pub status: u16,
}

/// Why there is no file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FetchError {
    /// The link leads nowhere any more, or does not let us in: one that has expired looks like this.
    #[error("the link answers {status}")]
    Gone {
        /// 403, 404 or 410.
        status: u16,
    },
    /// It is not to be fetched, is too large or is none of what it says: trying again changes nothing.
    #[error("{0}")]
    Refused(StepError),
    /// The network or the server failed: try again.
    #[error("{0}")]
    Passing(StepError),
}

/// The most redirects that are followed.
const REDIRECTS_MAX: usize = 3;

impl Net {
    /// Fetches a file. Each hop of a redirect is checked like the first URL. `secrets` are headers that go to the origin of
    /// `url` only: another scheme, host or port does not get them, nor does whoever comes after it.
    ///
    /// # Errors
    /// When the URL is refused, does not lead to a file, or the file is not within `limits`.
    pub async fn fetch(
        &self,
        url: &str,
        secrets: &[(&'static str, SecretString)],
        limits: FetchLimits,
    ) -> Result<Fetched, FetchError> {
        let deadline = tokio::time::Instant::now() + limits.time_max;
        let mut url = self.guard.check(url).map_err(FetchError::Refused)?;
        let mut headers = headers_of(&[], secrets).map_err(FetchError::Refused)?;
        for _ in 0..=REDIRECTS_MAX {
            let exchange = Exchange {
                method: Method::GET,
                url: url.clone(),
                headers: headers.clone(),
                body: None,
                is_question: false,
                time_max: deadline.saturating_duration_since(tokio::time::Instant::now()),
                bytes_max: limits.bytes_max,
                with_errors: false,
            };
            let answer = self.lines.exchange(exchange).await.map_err(|failed| sorted(failed.error))?;
            let Some(next) = next_hop(&url, &answer).map_err(FetchError::Refused)? else {
                return file(&url, answer);
            };
            let next = self.guard.check(&next).map_err(FetchError::Refused)?;
            if next.origin() != url.origin() {
                headers.clear();
            }
            url = next;
        }
        let error = format!("{} redirects more than {REDIRECTS_MAX} times", shown(url.as_str()));
        Err(FetchError::Refused(StepError::new(ErrorClass::InvalidInput, error).code("too_many_redirects")))
    }
}

/// Where the answer sends us, if it does.
fn next_hop(url: &Url, answer: &Response) -> Result<Option<String>, StepError> {
    if !matches!(answer.status, 301 | 302 | 303 | 307 | 308) {
        return Ok(None);
    }
    let next = answer.header("location").and_then(|place| url.join(place).ok());
    let next = next.ok_or_else(|| {
        let error = format!("{} redirects to no place that can be read", shown(url.as_str()));
        StepError::new(ErrorClass::InvalidInput, error).code("bad_redirect")
    })?;
    Ok(Some(next.to_string()))
}

/// The file that an answer is.
fn file(url: &Url, answer: Response) -> Result<Fetched, FetchError> {
    let place = shown(url.as_str());
    let status = answer.status;
    let error = |class, what: String| StepError::new(class, format!("{place} {what}"));
    match status {
        200..300 => {}
        403 | 404 | 410 => return Err(FetchError::Gone { status }),
        408 | 425 | 429 | 500.. => {
            let class = if status == 429 { ErrorClass::RateLimit } else { ErrorClass::ServerUnavailable };
            let seconds = answer.header("retry-after").and_then(|text| text.trim().parse().ok());
            let retry_after = seconds.map(|seconds: u32| Duration::from_secs(seconds.into()));
            return Err(FetchError::Passing(StepError { retry_after, ..error(class, format!("answers {status}")) }));
        }
        _ => {
            let error = error(ErrorClass::InvalidInput, format!("answers {status}"));
            return Err(FetchError::Refused(error.code("not_fetched")));
        }
    }
    if answer.body.is_empty() {
        // Storages answer like this for a moment after a file was written.
        return Err(FetchError::Passing(
            error(ErrorClass::ServerUnavailable, "is empty".to_owned()).code("empty_file"),
        ));
    }
    let said = answer.header("content-type");
    if let Some(packed) = answer.header("content-encoding").filter(|packed| !packed.eq_ignore_ascii_case("identity")) {
        let error = error(ErrorClass::UnsupportedFormat, format!("is packed as `{packed}`, which was not asked for"));
        return Err(FetchError::Refused(error.code("wrong_type")));
    }
    let found = sniff::media_type(&answer.body);
    if let Some(found) = found
        && let Some(said) = said.filter(|said| sniff::contradicts(said, found))
    {
        let what = format!("says that it is {said}, but it is {found}");
        return Err(FetchError::Refused(error(ErrorClass::UnsupportedFormat, what).code("wrong_type")));
    }
    let media_type = found.map_or_else(|| sniff::harmless(said), str::to_owned);
    Ok(Fetched { bytes: answer.body, media_type, status })
}

/// What a failed exchange means for a file: the class tells whether trying again helps.
fn sorted(error: StepError) -> FetchError {
    if error.class.retryable() { FetchError::Passing(error) } else { FetchError::Refused(error) }
}
