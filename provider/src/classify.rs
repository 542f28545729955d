//! Which class an error is, what it says to people, and when it makes sense to come back.
//!
//! Adapters know the payloads of their provider; what is the same for all is here. The order is the body before the
//! status, and in a body: quota, key, content, size, model, input, rate.

use crate::http::Response;
use darkroom_proto::{Duration, ErrorClass, StepError};
use serde_json::Value;

/// How much of a body is looked at.
pub const BODY_BYTES_MAX: usize = 4_096;

/// How much of what a provider said is shown.
const SAID_CHARS_MAX: usize = 300;

/// The shortest and the longest wait that a provider can ask for.
const WAIT: (Duration, Duration) = (Duration(500), Duration::from_secs(900));

/// The error of an answer: its class as the adapter found it in the body, else by the status.
///
/// `said` is the provider's own sentence, where the adapter knows where it stands; empty: looked for in the usual places.
pub fn error(provider: &str, response: &Response, found: Option<ErrorClass>, said: &str) -> StepError {
    let class = found.unwrap_or_else(|| by_status(response));
    let said = if said.is_empty() { message_of(response) } else { said.to_owned() };
    let mut error = described(provider, class, &format!("{provider} answered {}", response.status), &said);
    if matches!(class, ErrorClass::RateLimit | ErrorClass::ServerUnavailable | ErrorClass::QuotaExceeded) {
        error.retry_after = retry_after(response);
    }
    error
}

/// The error of a job that failed at the provider, although the provider answered well.
pub fn failed(provider: &str, class: ErrorClass, said: &str) -> StepError {
    described(provider, class, &format!("{provider} did not make it"), said)
}

/// An answer that went well by its status and can't be used.
pub fn malformed(provider: &str, what: &str) -> StepError {
    failed(provider, ErrorClass::ServerUnavailable, what).code("malformed_answer")
}

/// A job that ended well and gave nothing.
pub fn no_media(provider: &str, said: &str) -> StepError {
    let said = if said.is_empty() { "it ended without an output" } else { said };
    failed(provider, ErrorClass::ServerUnavailable, said).code("no_media")
}

/// A handle that is none of this provider's.
pub fn bad_handle(provider: &str) -> StepError {
    StepError::new(ErrorClass::WorkflowError, format!("the handle of the job is none of {provider}'s"))
        .code("bad_handle")
}

fn described(provider: &str, class: ErrorClass, what: &str, said: &str) -> StepError {
    let said = excerpt(said);
    let message = if said.is_empty() { what.to_owned() } else { format!("{what}: {said}") };
    StepError::new(class, message).advice(advice(class, provider))
}

/// What to do about an error of this class, as a sentence.
pub fn advice(class: ErrorClass, provider: &str) -> String {
    match class {
        ErrorClass::RateLimit => format!(
            "Nothing has to be done: the step waits and goes on by itself. More keys of {provider}, or fewer runs at once, make it wait less."
        ),
        ErrorClass::QuotaExceeded => format!(
            "Add credit to the account at {provider}, or configure another key or provider; the run goes on by itself then."
        ),
        ErrorClass::Timeout => {
            format!("It is tried again. If it happens often, raise the step's `timeout`, or look at the status page of {provider}.")
        }
        ErrorClass::InvalidKey => format!(
            "Put a valid key of {provider} into the settings, with access to this model; the run goes on by itself then."
        ),
        ErrorClass::ServerUnavailable => {
            format!("It is tried again, and elsewhere if the model has another route. If it stays, look at the status page of {provider}.")
        }
        ErrorClass::Network => {
            format!("It is tried again. If it stays, check that this machine can reach {provider}.")
        }
        ErrorClass::ContentRejected => {
            "Change the prompt or the picture: the safety rules of the provider refused it, and it is not tried elsewhere.".to_owned()
        }
        ErrorClass::InvalidInput => "Correct the parameter or the file that the message names.".to_owned(),
        ErrorClass::UnsupportedFormat => "Convert the file first, such as with `image.encode`.".to_owned(),
        ErrorClass::ModelNotFound => format!(
            "Name another model, or correct its entry in the models file: {provider} does not offer it, or not any more. `darkroom providers models` lists them."
        ),
        ErrorClass::TooLarge => "Make the file smaller first, such as with `image.resize`, or the text shorter.".to_owned(),
        ErrorClass::MissingParameter => "Give the parameter that the message names.".to_owned(),
        ErrorClass::WorkflowError => "Correct the workflow as the message says.".to_owned(),
        ErrorClass::UnknownOutcome => format!(
            "Look at {provider} whether the job ran, then resume the run; `on-unknown: retry` lets a step pay again by itself."
        ),
        ErrorClass::Cancelled => String::new(),
    }
}

/// The class that a status means where the body says nothing.
pub fn by_status(response: &Response) -> ErrorClass {
    if response.status >= 400 && is_html(response) {
        return ErrorClass::ServerUnavailable;
    }
    match response.status {
        401 | 403 => ErrorClass::InvalidKey,
        402 => ErrorClass::QuotaExceeded,
        404 => ErrorClass::ModelNotFound,
        408 | 409 | 425 => ErrorClass::ServerUnavailable,
        413 => ErrorClass::TooLarge,
        429 => ErrorClass::RateLimit,
        499 => ErrorClass::Cancelled,
        504 => ErrorClass::Timeout,
        400..=499 => ErrorClass::InvalidInput,
        // 5xx, and what is no error by its status and none of what was asked for.
        _ => ErrorClass::ServerUnavailable,
    }
}

/// Whether a page for people came instead of an answer: a proxy or a load balancer speaks, not the provider.
pub fn is_html(response: &Response) -> bool {
    let start = response.body.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    response.header("content-type").is_some_and(|kind| kind.contains("text/html"))
        || response.body[start..].starts_with(b"<")
}

/// The class that words mean where a provider has no codes: by what all of them say.
pub fn by_words(text: &str) -> Option<ErrorClass> {
    const WORDS: &[(ErrorClass, &[&str])] = &[
        (
            ErrorClass::QuotaExceeded,
            &[
                "insufficient credit",
                "insufficient_quota",
                "insufficient balance",
                "exhausted balance",
                "not enough credits",
                "out of credits",
                "payment required",
                "billing_hard_limit",
                "quota_exceeded",
                "exceeded your current quota",
            ],
        ),
        (
            ErrorClass::InvalidKey,
            &[
                "invalid api key",
                "api key not valid",
                "invalid_api_key",
                "api_key_invalid",
                "unauthenticated",
                "incorrect api key",
            ],
        ),
        (
            ErrorClass::ContentRejected,
            &[
                "nsfw",
                "content_policy",
                "content policy",
                "safety system",
                "safety filter",
                "moderation",
                "moderated",
                "flagged as sensitive",
                "(e005)",
                "prohibited content",
                "risk control",
            ],
        ),
        (
            ErrorClass::TooLarge,
            &[
                "too large",
                "payload size exceeds",
                "file size exceeds",
                "exceeds the maximum size",
                "image_too_large",
                "file_too_large",
            ],
        ),
        (
            ErrorClass::ModelNotFound,
            &["model_not_found", "model not found", "no such model", "unknown model", "invalid version"],
        ),
        (ErrorClass::RateLimit, &["rate limit", "rate_limit", "too many requests", "was throttled", "slow down"]),
    ];
    let text = text.get(..BODY_BYTES_MAX.min(text.len())).unwrap_or(text).to_lowercase();
    WORDS.iter().find(|(_, words)| words.iter().any(|word| text.contains(word))).map(|(class, _)| *class)
}

/// What an answer says went wrong, from the places where providers say it.
pub fn message_of(response: &Response) -> String {
    const PLACES: &[&str] = &[
        "/error/message",
        "/detail/message",
        "/base_resp/status_msg",
        "/detail",
        "/message",
        "/error",
        "/errors/0",
        "/failure",
        "/title",
        "/name",
    ];
    let body = response.json();
    if let Some(said) = PLACES.iter().find_map(|place| body.pointer(place)?.as_str()).filter(|said| !said.is_empty()) {
        return said.to_owned();
    }
    if let Some(detail) = body.pointer("/detail/0") {
        let place = detail.get("loc").and_then(Value::as_array).and_then(|loc| loc.last()).and_then(Value::as_str);
        let said = detail.get("msg").and_then(Value::as_str).unwrap_or_default();
        return place.map_or_else(|| said.to_owned(), |place| format!("{place}: {said}"));
    }
    if is_html(response) || response.body.iter().take(BODY_BYTES_MAX).any(|byte| *byte == 0) {
        return String::new();
    }
    String::from_utf8_lossy(&response.body[..response.body.len().min(BODY_BYTES_MAX)]).into_owned()
}

/// A short, single-line piece of what somebody else said, without what could be a key or a signature.
pub fn excerpt(said: &str) -> String {
    let words = said.split_whitespace().take(200).map(|word| if is_secret(word) { "…" } else { word });
    let text = words.collect::<Vec<_>>().join(" ");
    let text = redact(&text);
    let text = text.trim().trim_end_matches('.');
    let end = text.char_indices().nth(SAID_CHARS_MAX).map_or(text.len(), |(at, _)| at);
    if end < text.len() { format!("{}…", &text[..end]) } else { text.to_owned() }
}

/// Marks behind which a secret stands.
const MARKS: &[&str] = &[
    "authorization:",
    "authorization\":",
    "bearer ",
    "x-key:",
    "xi-api-key:",
    "x-goog-api-key:",
    "api_key=",
    "api_key\":",
    "apikey=",
    "api key provided:",
    "key=",
    "token=",
    "sig=",
    "signature=",
    "x-amz-credential=",
];

/// The text with what stands behind such a mark taken out.
pub fn redact(text: &str) -> String {
    let lower = text.to_ascii_lowercase();
    let mut shown = String::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        let mark = MARKS.iter().filter_map(|mark| Some((lower[at..].find(mark)? + at, mark.len()))).min();
        let Some((start, length)) = mark else { break };
        let from = start + length;
        let skipped = text[from..].len() - text[from..].trim_start_matches([' ', '"', '\'']).len();
        let from = from + skipped;
        let ends = |c: char| c.is_whitespace() || matches!(c, '"' | '\'' | '&' | ',' | '}' | ')' | '<');
        let to = text[from..].find(ends).map_or(text.len(), |to| from + to);
        shown.push_str(&text[at..from]);
        if to > from {
            shown.push('…');
        }
        // `Authorization: Bearer abc`: the scheme is no secret, and what follows is.
        at = if matches!(lower[from..to].trim(), "bearer" | "key" | "token" | "basic") {
            let from = to + text[to..].len() - text[to..].trim_start().len();
            text[from..].find(ends).map_or(text.len(), |end| from + end)
        } else {
            to
        };
    }
    shown.push_str(&text[at.min(text.len())..]);
    shown
}

/// Whether a word looks like a key: a known beginning, or long and without meaning.
fn is_secret(word: &str) -> bool {
    const BEGINNINGS: &[&str] = &["sk-", "sk_", "r8_", "key_", "AIza", "whsec_", "eyJ", "luma-"];
    let bare = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
    let is_long = bare.len() >= 12 && BEGINNINGS.iter().any(|beginning| bare.starts_with(beginning));
    let is_noise = bare.len() >= 40
        && bare.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'+' | b'/' | b'='))
        && bare.bytes().any(|byte| byte.is_ascii_digit())
        && bare.bytes().any(|byte| byte.is_ascii_alphabetic());
    is_long || is_noise
}

/// When the provider said that it makes sense to come back, in any of its spellings, from half a second to a quarter of an
/// hour.
pub fn retry_after(response: &Response) -> Option<Duration> {
    let ms = in_headers(response).or_else(|| in_body(response))?;
    let (least, most) = WAIT;
    Some(Duration((ms.max(0.0) as u64).clamp(least.0, most.0)))
}

/// In milliseconds.
fn in_headers(response: &Response) -> Option<f64> {
    let header = |name| response.header(name).map(str::trim);
    if let Some(ms) = header("retry-after-ms").and_then(finite) {
        return Some(ms);
    }
    if let Some(ms) = header("retry-after").and_then(|text| spelled(text).or_else(|| until(response, http_date(text)?)))
    {
        return Some(ms);
    }
    if let Some(ms) = header("ratelimit-reset").and_then(|text| reset(response, text)) {
        return Some(ms);
    }
    // OpenAI: of requests and of tokens, the one that is used up.
    ["requests", "tokens", "images"].iter().find_map(|what| {
        let (left, reset) = (format!("x-ratelimit-remaining-{what}"), format!("x-ratelimit-reset-{what}"));
        let is_spent = response.header(&left).map(str::trim) == Some("0");
        response.header(&reset).and_then(spelled).filter(|_| is_spent)
    })
}

fn in_body(response: &Response) -> Option<f64> {
    let body = response.json();
    if let Some(details) = body.pointer("/error/details").and_then(Value::as_array) {
        let delay = details.iter().find_map(|detail| detail.get("retryDelay")?.as_str());
        if let Some(ms) = delay.and_then(spelled) {
            return Some(ms);
        }
    }
    if let Some(seconds) = ["/retry_after", "/error/retry_after"].iter().find_map(|at| body.pointer(at)?.as_f64()) {
        return Some(seconds * 1_000.0);
    }
    in_text(&message_of(response))
}

/// `resets in ~30s`, `available in 1 second`, `try again in 1m30s`: the span behind the first such words.
fn in_text(text: &str) -> Option<f64> {
    let text = text.get(..BODY_BYTES_MAX.min(text.len())).unwrap_or_default().to_lowercase();
    ["resets in", "available in", "again in", "retry in", "retry after", "wait"].iter().find_map(|words| {
        let rest = text.split_once(words)?.1.trim_start_matches([' ', '~', ':']);
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '.')).unwrap_or(rest.len());
        let first = rest[..end].trim_end_matches('.');
        let unit = rest[end..].split_whitespace().next().unwrap_or_default();
        let number = finite(first);
        match number {
            Some(number) if unit.starts_with("min") => Some(number * 60_000.0),
            Some(number) if unit.starts_with("ms") || unit.starts_with("milli") => Some(number),
            Some(number) => Some(number * 1_000.0),
            None => spelled(first),
        }
    })
}

/// Seconds as a number, or a span as Go writes it: `6m0s`, `120ms`, `1.5s`.
fn spelled(text: &str) -> Option<f64> {
    if let Some(seconds) = finite(text) {
        return Some(seconds * 1_000.0);
    }
    let (mut rest, mut sum) = (text, 0.0);
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let number = finite(&rest[..end])?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        sum += number
            * match &rest[end..unit_end] {
                "ms" => 1.0,
                "s" => 1_000.0,
                "m" => 60_000.0,
                "h" => 3_600_000.0,
                "us" | "µs" => 0.001,
                _ => return None,
            };
        rest = &rest[unit_end..];
    }
    (!text.is_empty()).then_some(sum)
}

fn finite(text: &str) -> Option<f64> {
    let is_number = text.bytes().next().is_some_and(|byte| byte.is_ascii_digit() || byte == b'.');
    text.parse::<f64>().ok().filter(|number| is_number && number.is_finite())
}

/// Seconds from now, or since 1970 where that is what it must be.
fn reset(response: &Response, text: &str) -> Option<f64> {
    match finite(text) {
        Some(epoch) if epoch > 1e8 => until(response, epoch),
        Some(seconds) => Some(seconds * 1_000.0),
        None => spelled(text),
    }
}

/// Milliseconds from when the answer was written to a second since 1970.
fn until(response: &Response, epoch: f64) -> Option<f64> {
    let written = http_date(response.header("date")?)?;
    Some((epoch - written) * 1_000.0)
}

/// Seconds since 1970 of `Sun, 06 Nov 1994 08:49:37 GMT`.
fn http_date(text: &str) -> Option<f64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let mut words = text.split_once(',')?.1.split_whitespace();
    let day: i64 = words.next()?.parse().ok()?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|known| *known == month)? as i64 + 1;
    let year: i64 = words.next()?.parse().ok().filter(|year| (1_970..10_000).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<i64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    // Howard Hinnant's civil-to-days algorithm.
    let y = year - i64::from(month <= 2);
    let (era, yoe) = (y / 400, y % 400);
    let doy = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let days = era * 146_097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719_468;
    Some((days * 86_400 + hour * 3_600 + minute * 60 + second) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::answer;

    fn with(status: u16, headers: &[(&str, &str)], body: &str) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Response { headers, ..answer(status, body) }
    }

    #[test]
    fn a_wait_is_read_in_all_its_spellings() {
        let date = ("date", "Sun, 06 Nov 1994 08:49:37 GMT");
        let google = r#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"@type":"QuotaFailure"},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"1.5s"}]}}"#;
        let cases: &[(&str, Response, Option<u64>)] = &[
            ("seconds", with(429, &[("Retry-After", "30")], ""), Some(30_000)),
            ("half seconds", with(429, &[("retry-after", "1.5")], ""), Some(1_500)),
            ("milliseconds", with(429, &[("retry-after-ms", "2500"), ("retry-after", "9")], ""), Some(2_500)),
            ("a date", with(503, &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT"), date], ""), Some(30_000)),
            (
                "a date of yesterday",
                with(503, &[("retry-after", "Sat, 05 Nov 1994 08:50:07 GMT"), date], ""),
                Some(500),
            ),
            ("a date without a clock", with(503, &[("retry-after", "Sun, 06 Nov 1994 08:50:07 GMT")], ""), None),
            ("Go", with(429, &[("retry-after", "6m0s")], ""), Some(360_000)),
            ("reset in seconds", with(429, &[("ratelimit-reset", "12")], ""), Some(12_000)),
            ("reset as an epoch", with(429, &[("ratelimit-reset", "784111787"), date], ""), Some(10_000)),
            (
                "of what is used up",
                with(
                    429,
                    &[
                        ("x-ratelimit-remaining-requests", "3"),
                        ("x-ratelimit-reset-requests", "9m"),
                        ("x-ratelimit-remaining-tokens", "0"),
                        ("x-ratelimit-reset-tokens", "1m2s500ms"),
                    ],
                    "",
                ),
                Some(62_500),
            ),
            ("RetryInfo", with(429, &[], google), Some(1_500)),
            (
                "text",
                with(429, &[], r#"{"detail":"Request was throttled. Your rate limit resets in ~30s."}"#),
                Some(30_000),
            ),
            ("older text", with(429, &[], r#"{"detail":"Expected available in 1 second."}"#), Some(1_000)),
            ("text in minutes", with(429, &[], r#"{"message":"Please try again in 2 minutes."}"#), Some(120_000)),
            ("text with a span", with(429, &[], r#"{"error":{"message":"Please try again in 1m30s."}}"#), Some(90_000)),
            ("too long", with(429, &[("retry-after", "86400")], ""), Some(900_000)),
            ("too short", with(429, &[("retry-after", "0")], ""), Some(500)),
            ("nonsense", with(429, &[("retry-after", "soon")], ""), None),
            ("not a number", with(429, &[("retry-after", "NaN")], ""), None),
            ("nothing", with(429, &[], "{}"), None),
        ];
        for (name, response, want) in cases {
            assert_eq!(retry_after(response).map(|wait| wait.0), *want, "{name}");
        }
    }

    #[test]
    fn a_status_decides_where_the_body_says_nothing() {
        use ErrorClass::{
            Cancelled, InvalidInput, InvalidKey, ModelNotFound, QuotaExceeded, RateLimit, ServerUnavailable, Timeout,
            TooLarge,
        };
        let cases = [
            (400, InvalidInput),
            (401, InvalidKey),
            (402, QuotaExceeded),
            (403, InvalidKey),
            (404, ModelNotFound),
            (408, ServerUnavailable),
            (409, ServerUnavailable),
            (413, TooLarge),
            (418, InvalidInput),
            (422, InvalidInput),
            (425, ServerUnavailable),
            (429, RateLimit),
            (499, Cancelled),
            (500, ServerUnavailable),
            (502, ServerUnavailable),
            (503, ServerUnavailable),
            (504, Timeout),
            (520, ServerUnavailable),
            (530, ServerUnavailable),
            (302, ServerUnavailable),
        ];
        for (status, want) in cases {
            assert_eq!(by_status(&answer(status, "{}")), want, "{status}");
        }
        let page = "\n <html><body>Access denied</body></html>";
        assert_eq!(by_status(&answer(403, page)), ServerUnavailable, "a proxy speaks, not the provider");
    }

    #[test]
    fn words_decide_in_order_from_quota_to_rate() {
        use ErrorClass::{ContentRejected, InvalidKey, ModelNotFound, QuotaExceeded, RateLimit, TooLarge};
        let cases = [
            ("Insufficient credit, and the rate limit is reached", Some(QuotaExceeded)),
            ("API key not valid. Please pass a valid API key.", Some(InvalidKey)),
            ("NSFW content detected. Try running it again", Some(ContentRejected)),
            ("the file is too large", Some(TooLarge)),
            ("model not found", Some(ModelNotFound)),
            ("Too Many Requests", Some(RateLimit)),
            ("a prompt is needed", None),
        ];
        for (text, want) in cases {
            assert_eq!(by_words(text), want, "{text}");
        }
    }

    #[test]
    fn an_error_says_what_the_provider_said_in_one_short_line() {
        let body = r#"{"detail":[{"loc":["body","prompt"],"msg":"field required","type":"missing"}]}"#;
        assert_eq!(error("fal", &answer(422, body), None, "").message, "fal answered 422: prompt: field required");
        let lines = error("x", &answer(400, "{\"error\":\"one.\\n  two.\"}"), None, "");
        assert_eq!(lines.message, "x answered 400: one. two");
        let long = error("x", &answer(400, &"word ".repeat(10_000)), None, "");
        assert!(long.message.chars().count() < 330, "{}", long.message.len());
        let page = error("x", &answer(502, "<html><h1>Bad gateway</h1></html>"), None, "");
        assert_eq!(page.message, "x answered 502");
        let binary = error("x", &Response { body: vec![0, 1, 255, 254], ..answer(500, "") }, None, "");
        assert_eq!(binary.message, "x answered 500");
    }

    #[test]
    fn what_could_be_a_key_is_never_repeated() {
        let cases = [
            "Incorrect API key provided: sk-proj-abcdefghijklmnop",
            "bad header Authorization: Bearer abcdefgh.ijkl",
            "bad header authorization: Key 1234:abcd",
            r#"{"headers":{"Authorization":"Bearer abcd1234"},"x":1}"#,
            "GET /v1/x?key=AIzaSyA1234567&alt=media failed",
            "https://delivery.bfl.ai/x.png?sig=abcd1234&se=1 expired",
            "x-key: 0123-4567 is unknown",
            "token r8_0123456789abcdefghij is unknown",
            "secret whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX",
            "0123456789abcdef0123456789abcdef0123456789abcdef",
        ];
        let secrets =
            ["abcd", "1234:", "0123-4567", "r8_0", "AAEC", "0123456789abcdef", "sk-proj-a", "SyA1234567", "efgh.ijkl"];
        for text in cases {
            let shown = excerpt(text);
            assert!(secrets.iter().all(|secret| !shown.contains(secret)), "{text} became {shown}");
            assert!(shown.contains('…'), "{text} became {shown}");
        }
        let plain = "prompt: value is not a valid integer (request 123e4567-e89b-12d3-a456-426614174000)";
        assert_eq!(excerpt(plain), plain);
    }

    #[test]
    fn every_class_has_advice_but_what_somebody_wanted() {
        for class in ErrorClass::ALL {
            let advice = advice(class, "fal");
            assert_eq!(advice.is_empty(), class == ErrorClass::Cancelled, "{class}");
            assert!(advice.is_empty() || advice.ends_with('.'), "{class}: {advice}");
        }
    }
}
