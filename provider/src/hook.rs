//! The URLs that providers tell us at when a job has ended.

use darkroom_proto::Sha256;

/// The part of a webhook's URL that nobody can guess: who knows it was given it by us. `secret` is the store's.
pub fn hook_token(secret: &str, call: &str) -> String {
    Sha256::of(format!("hook\0{secret}\0{call}").as_bytes()).short(32)
}
