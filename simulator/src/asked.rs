//! [`Asked`]: a request, whole.

use crate::media::Blob;
use axum::body::Bytes;
use axum::http::{HeaderMap, Method};
use base64::Engine as _;
use serde_json::Value;

/// A request to a provider.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) method: Method,
    /// The path below the provider, without a slash at its beginning or end; not decoded.
    pub(crate) path: String,
    /// What stands behind the question mark.
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    /// Of an upload: the body, kept.
    pub(crate) blob: Option<Blob>,
    /// Where this simulator was reached: `http://host:port`.
    pub(crate) base: String,
    /// The provider.
    pub(crate) provider: &'static str,
}

impl Asked {
    /// The verb and the parts of the path, to match on.
    pub(crate) fn parts(&self) -> (&str, Vec<&str>) {
        (self.method.as_str(), self.path.split('/').collect())
    }

    /// Where the provider's paths begin: `http://host:port/provider`.
    pub(crate) fn root(&self) -> String {
        format!("{}/{}", self.base, self.provider)
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// A parameter of the query, decoded.
    pub(crate) fn query(&self, name: &str) -> Option<String> {
        self.query.split('&').find_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(key) == name).then(|| decoded(value))
        })
    }

    /// The body as JSON; null when it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// The key of an `Authorization` header of this scheme, whose name is taken in any case.
    pub(crate) fn authorization(&self, scheme: &str) -> Option<String> {
        let (word, key) = self.header("authorization")?.split_once(' ')?;
        word.eq_ignore_ascii_case(scheme).then(|| key.trim().to_owned())
    }
}

/// Undoes percent signs and pluses.
pub(crate) fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let (mut out, mut at) = (Vec::with_capacity(bytes.len()), 0);
    while at < bytes.len() {
        let hex = (bytes[at] == b'%').then(|| text.get(at + 1..at + 3)).flatten();
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                out.push(byte);
                at += 3;
            }
            None => {
                out.push(if bytes[at] == b'+' { b' ' } else { bytes[at] });
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// The bytes of a text in base64, of either alphabet, padded or not.
pub(crate) fn from_base64(text: &str) -> Option<Vec<u8>> {
    use base64::alphabet::{STANDARD, URL_SAFE};
    use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let lax = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let text = text.trim();
    let decode = |alphabet| GeneralPurpose::new(alphabet, lax).decode(text).ok();
    decode(&STANDARD).or_else(|| decode(&URL_SAFE))
}

/// The text of bytes in base64.
pub(crate) fn to_base64(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_decoded() {
        for (text, want) in
            [("http%3A%2F%2Fh%2Fw", "http://h/w"), ("a+b", "a b"), ("%", "%"), ("%zz", "%zz"), ("%é", "%é")]
        {
            assert_eq!(decoded(text), want, "{text}");
        }
    }

    #[test]
    fn base64_is_read_in_either_alphabet_padded_or_not() {
        for text in ["/+8=", "/+8", "_-8", "_-8="] {
            assert_eq!(from_base64(text).unwrap(), [0xff, 0xef], "{text}");
        }
        assert!(from_base64("not base64!").is_none());
    }
}
