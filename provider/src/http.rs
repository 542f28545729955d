//! Requests and responses as values: adapters make and read them, somebody else sends them.

use secrecy::SecretString;
use serde_json::Value;
use std::time::Duration;

/// The verb of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Read.
    Get,
    /// Do.
    Post,
    /// Put there.
    Put,
    /// Remove.
    Delete,
}

/// A request to a provider.
#[derive(Debug, Clone)]
pub struct Request {
    /// The verb.
    pub method: Method,
    /// Where to. Of the provider's own hosts, or of the base URL that is configured instead.
    pub url: String,
    /// Headers without secrets, names in small letters.
    pub headers: Vec<(&'static str, String)>,
    /// Headers that carry the key. They are sent to the provider's hosts only, and never shown.
    pub secrets: Vec<(&'static str, SecretString)>,
    /// What is sent.
    pub body: Body,
    /// How long the whole exchange may take.
    pub timeout: Duration,
}

/// What a request carries.
#[derive(Debug, Clone, Default)]
pub enum Body {
    /// Nothing.
    #[default]
    Empty,
    /// JSON.
    Json(Value),
    /// Bytes as they are.
    Bytes {
        /// Their type.
        media_type: String,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// A form with files.
    Multipart(Vec<Part>),
}

/// A field of a form.
#[derive(Debug, Clone)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Of a file: its name.
    pub file_name: Option<String>,
    /// Of a file: its type.
    pub media_type: Option<String>,
    /// What it holds.
    pub bytes: Vec<u8>,
}

impl Part {
    /// A field of text.
    pub fn text(name: &str, value: impl Into<String>) -> Part {
        Part { name: name.to_owned(), file_name: None, media_type: None, bytes: value.into().into_bytes() }
    }
}

impl Request {
    /// How long an exchange may take unless the adapter says otherwise.
    pub const TIMEOUT: Duration = Duration::from_secs(30);

    /// A request without a body.
    pub fn new(method: Method, url: impl Into<String>) -> Request {
        Request {
            method,
            url: url.into(),
            headers: Vec::new(),
            secrets: Vec::new(),
            body: Body::Empty,
            timeout: Request::TIMEOUT,
        }
    }

    /// `GET`.
    pub fn get(url: impl Into<String>) -> Request {
        Request::new(Method::Get, url)
    }

    /// `POST` with a JSON body.
    pub fn post(url: impl Into<String>, body: Value) -> Request {
        Request { body: Body::Json(body), ..Request::new(Method::Post, url) }
    }

    /// The same with a header.
    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.headers.push((name, value.into()));
        self
    }

    /// The same with a header that carries the key.
    pub fn secret(mut self, name: &'static str, value: impl Into<String>) -> Request {
        self.secrets.push((name, SecretString::from(value.into())));
        self
    }

    /// The same with another limit of time.
    pub fn within(mut self, timeout: Duration) -> Request {
        self.timeout = timeout;
        self
    }
}

/// What a provider answered.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// Headers, names in small letters.
    pub headers: Vec<(String, String)>,
    /// The body, whole.
    pub body: Vec<u8>,
}

impl Response {
    /// Whether the status says that it went well.
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// Letters, digits and a few signs: what may stand in a path without changing where it leads.
pub(crate) fn is_id(text: &str) -> bool {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !text.is_empty() && text.len() <= 200 && text != ".." && text != "." && text.bytes().all(is_plain)
}

/// A text as the value of a query.
pub(crate) fn encoded(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
