//! Signatures: of webhooks that come in, and of keys that go out.

use crate::adapter::{Disbelief, Incoming};
use aws_lc_rs::{hmac, signature};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use darkroom_proto::Timestamp;

/// How far the clock of a webhook may be off, in seconds.
const LEEWAY_SECS: u64 = 300;

/// Whether the signature is this key's, over this message. Ed25519; the key is 32 bytes.
pub(crate) fn is_ed25519(key: &[u8], message: &[u8], signed: &[u8]) -> bool {
    signature::UnparsedPublicKey::new(&signature::ED25519, key).verify(message, signed).is_ok()
}

/// HMAC with SHA-256.
pub(crate) fn hmac_sha256(secret: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message).as_ref().to_vec()
}

/// Whether it is, compared in constant time.
pub(crate) fn is_hmac_sha256(secret: &[u8], message: &[u8], signed: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, secret), message, signed).is_ok()
}

/// Base64 for URLs, without padding.
pub(crate) fn base64_url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The bytes of base64 for URLs.
pub(crate) fn from_base64_url(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}

/// The bytes of hex digits.
pub(crate) fn from_hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}

/// A header of a webhook.
pub(crate) fn header<'a>(incoming: &Incoming<'a>, name: &str) -> Option<&'a str> {
    incoming.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Whether a webhook of this second, as text, is of now.
///
/// # Errors
/// `Stale` if it is too old or from the future, `Malformed` if it is no number.
pub(crate) fn is_timely(stamp: &str, now: Timestamp) -> Result<(), Disbelief> {
    let stamp: u64 = stamp.parse().map_err(|_| Disbelief::Malformed)?;
    if stamp.abs_diff(now.0 / 1_000) <= LEEWAY_SECS { Ok(()) } else { Err(Disbelief::Stale) }
}

/// Checks a webhook by the rules of Standard Webhooks (Svix): HMAC over `id.timestamp.body`, any of several signatures.
/// Gives its id.
///
/// # Errors
/// When it is not to be believed.
pub(crate) fn standard_webhook<'a>(incoming: &Incoming<'a>, secret: &str) -> Result<&'a str, Disbelief> {
    let (Some(id), Some(stamp), Some(signatures)) =
        (header(incoming, "webhook-id"), header(incoming, "webhook-timestamp"), header(incoming, "webhook-signature"))
    else {
        return Err(Disbelief::Signature);
    };
    let secret = STANDARD.decode(secret.strip_prefix("whsec_").unwrap_or(secret)).map_err(|_| Disbelief::Signature)?;
    let message = [id.as_bytes(), b".", stamp.as_bytes(), b".", incoming.body].concat();
    let is_signed = signatures
        .split(' ')
        .filter_map(|one| one.strip_prefix("v1,"))
        .any(|one| STANDARD.decode(one).is_ok_and(|signed| is_hmac_sha256(&secret, &message, &signed)));
    if !is_signed {
        return Err(Disbelief::Signature);
    }
    is_timely(stamp, incoming.now)?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    const BODY: &[u8] = br#"{"id":"P1","status":"succeeded"}"#;
    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYX";
    /// Passes the validator of Replicate's own client.
    const SIGNED: &str = "v1,erLh+W2rgPzXMg+XsSDHxaySHg8Nu02RgpNZKY3YnN8=";

    fn check(signature: &str, body: &[u8], now: u64, secret: &str) -> Result<String, Disbelief> {
        let headers: Vec<(String, String)> =
            [("webhook-id", "msg_1"), ("webhook-timestamp", "1700000000"), ("webhook-signature", signature)]
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .to_vec();
        let incoming = Incoming { headers: &headers, body, now: Timestamp(now * 1_000), trust: &Value::Null };
        standard_webhook(&incoming, secret).map(str::to_owned)
    }

    #[test]
    fn a_standard_webhook_is_believed_only_with_its_signature_and_in_time() {
        let now = 1_700_000_000;
        let other = "v1,AAAA+W2rgPzXMg+XsSDHxaySHg8Nu02RgpNZKY3YnN8=";
        let cases = [
            ("signed", check(SIGNED, BODY, now, SECRET), Ok("msg_1".to_owned())),
            ("one of two", check(&format!("{other} {SIGNED}"), BODY, now, SECRET), Ok("msg_1".to_owned())),
            ("late by less than the leeway", check(SIGNED, BODY, now + 299, SECRET), Ok("msg_1".to_owned())),
            ("another signature", check(other, BODY, now, SECRET), Err(Disbelief::Signature)),
            ("another body", check(SIGNED, b"{}", now, SECRET), Err(Disbelief::Signature)),
            ("another secret", check(SIGNED, BODY, now, "whsec_AAAA"), Err(Disbelief::Signature)),
            ("no secret at all", check(SIGNED, BODY, now, "not base64!"), Err(Disbelief::Signature)),
            ("no version", check(&SIGNED[3..], BODY, now, SECRET), Err(Disbelief::Signature)),
            ("too old", check(SIGNED, BODY, now + 301, SECRET), Err(Disbelief::Stale)),
            ("from the future", check(SIGNED, BODY, now - 301, SECRET), Err(Disbelief::Stale)),
        ];
        for (name, is, want) in cases {
            assert_eq!(is, want, "{name}");
        }
    }

    /// The vector of Kling's tokens: RFC 7515 with HS256.
    #[test]
    fn a_token_is_signed_as_published() {
        let head = base64_url(br#"{"alg":"HS256","typ":"JWT"}"#);
        let claims = base64_url(br#"{"iss":"AK","exp":1700001800,"nbf":1699999995}"#);
        let message = format!("{head}.{claims}");
        let signed = base64_url(&hmac_sha256("SK".repeat(16).as_bytes(), message.as_bytes()));
        assert_eq!(signed, "8849R0vxKQbLDWjIi-MFI9fctJt4S6hIsvxM7TvzJb0");
    }

    #[test]
    fn hex_is_read_or_refused() {
        let cases = [("00ff", Some(vec![0, 255])), ("0", None), ("0g", None), ("ä0", None), ("", Some(Vec::new()))];
        for (text, want) in cases {
            assert_eq!(from_hex(text), want, "{text}");
        }
    }
}
