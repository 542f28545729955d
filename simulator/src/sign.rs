//! Signatures of webhooks.

use aws_lc_rs::digest;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use std::fmt::Write as _;

/// The private half of the key that signs as fal: 32 bytes that everybody may know.
const SEED: [u8; 32] = {
    let mut seed = [0; 32];
    let mut at = 0;
    while at < 32 {
        seed[at] = at as u8;
        at += 1;
    }
    seed
};

fn pair() -> Option<Ed25519KeyPair> {
    Ed25519KeyPair::from_seed_unchecked(&SEED).ok()
}

/// The public key, as a JWK has it.
pub(crate) fn public_key() -> String {
    let key = pair().map(|pair| pair.public_key().as_ref().to_vec()).unwrap_or_default();
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(key)
}

/// The Ed25519 signature of a message, in hex.
pub(crate) fn ed25519(message: &[u8]) -> String {
    pair().map(|pair| hex(pair.sign(message).as_ref())).unwrap_or_default()
}

/// SHA-256, in hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

/// HMAC-SHA256.
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message).as_ref().to_vec()
}

/// Bytes in hex.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}
