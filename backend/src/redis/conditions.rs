//! What is known of keys and routes of providers: one hash for each provider.
//!
//! A condition is stored as `fitness|until|write|` and the condition itself: what scripts look at is text before the value.
//! `fitness` is `g` for good and `b` for bad, and `write` tells one write from another. What a sighting makes of it is
//! worked out here, by the rules of [`Condition`], and written if the condition is still what was read.

use super::connection::random;
use super::encoding;
use super::scripts;
use super::store::Inner;
use crate::ledger::{Condition, KEY_PREFIX, Sighting};
use crate::{StoreError, limits};
use darkroom_proto::{Duration, Timestamp};
use serde_json::Value;

/// How long what webhooks are checked with is kept, in seconds: keys of providers change within a day.
const TRUST_KEPT_S: u64 = 86_400;

/// How often a write is tried that others get ahead of.
const TRIES_MAX: usize = 64;

impl Inner {
    pub(super) async fn saw(&self, provider: &str, of: &str, sighting: &Sighting) -> Result<Condition, StoreError> {
        limits::check_names([provider, of])?;
        let keys = [self.keys.conditions(provider), self.keys.relief(), self.keys.probe(provider, of)];
        let mut read = ::redis::pipe();
        read.cmd("TIME");
        read.cmd("HGET").arg(&keys[0]).arg(of);
        let mut replies = self.connection().send_all(&read).await?;
        let (seconds, micros): (u64, u64) = replies.next("the time")?;
        let now = Timestamp(seconds * 1_000 + micros / 1_000);
        let mut stored: Vec<u8> = replies.next::<Option<Vec<u8>>>("a condition")?.unwrap_or_default();
        for _ in 0..TRIES_MAX {
            let before = match stored.is_empty() {
                true => Condition::unknown(of),
                false => decode(&stored)?,
            };
            let mut after = before.clone();
            let is_relief = after.see(sighting, now);
            if after == before {
                return Ok(after);
            }
            let value = encode(&after)?;
            let mut see = scripts::SEE.call(&keys, of.len() + stored.len() + value.len() + 32);
            see.arg(of).arg(&stored).arg(&value).arg(if is_relief { "1" } else { "" });
            let is_done: bool;
            (is_done, stored) = self.connection().send("a condition", &see).await?;
            if is_done {
                return Ok(after);
            }
        }
        Err(StoreError::Unavailable(format!("the condition of {of} at {provider} changes all the time")))
    }

    pub(super) async fn forget_condition(&self, provider: &str, of: &str) -> Result<(), StoreError> {
        limits::check_names([provider, of])?;
        let keys = [self.keys.conditions(provider), self.keys.relief(), self.keys.probe(provider, of)];
        let mut forget = scripts::FORGET.call(&keys, of.len());
        forget.arg(of);
        self.connection().send("that a condition is forgotten", &forget).await
    }

    pub(super) async fn secret(&self) -> Result<String, StoreError> {
        let key = self.keys.secret();
        let mut ask = ::redis::pipe();
        ask.cmd("SET").arg(&key).arg(uuid::Uuid::new_v4().simple().to_string()).arg("NX");
        ask.cmd("GET").arg(&key);
        let mut replies = self.connection().send_all(&ask).await?;
        let _made: Option<String> = replies.next("whether there was a secret")?;
        replies.next("the secret")
    }

    pub(super) async fn keep_trust(&self, provider: &str, trust: &Value) -> Result<(), StoreError> {
        limits::check_names([provider])?;
        let mut set = ::redis::cmd("SET");
        set.arg(self.keys.trust(provider)).arg(trust.to_string()).arg("EX").arg(TRUST_KEPT_S);
        self.connection().send("what webhooks are checked with", &set).await
    }

    pub(super) async fn trust(&self, provider: &str) -> Result<Option<Value>, StoreError> {
        let mut get = ::redis::cmd("GET");
        get.arg(self.keys.trust(provider));
        let text: Option<String> = self.connection().send("what webhooks are checked with", &get).await?;
        Ok(text.and_then(|text| serde_json::from_str(&text).ok()))
    }

    pub(super) async fn conditions(&self, provider: &str) -> Result<Vec<Condition>, StoreError> {
        let mut get = ::redis::cmd("HVALS");
        get.arg(self.keys.conditions(provider));
        let stored: Vec<Vec<u8>> = self.connection().send("the conditions of a provider", &get).await?;
        let mut found = stored.iter().map(|value| decode(value)).collect::<Result<Vec<_>, StoreError>>()?;
        found.sort_by(|one, other| one.of.cmp(&other.of));
        Ok(found)
    }

    pub(super) async fn probe(&self, provider: &str, of: &str, hold: Duration) -> Result<bool, StoreError> {
        limits::check_names([provider, of])?;
        let keys = [self.keys.conditions(provider), self.keys.probe(provider, of)];
        let mut probe = scripts::PROBE.call(&keys, of.len() + 64);
        probe.arg(of).arg(random()).arg(hold.0.clamp(1, 1 << 50));
        self.connection().send("whether a condition may be tried", &probe).await
    }

    pub(super) async fn announce_keys(&self, provider: &str, fingerprints: &[String]) -> Result<(), StoreError> {
        limits::check_names(fingerprints.iter().map(String::as_str).chain([provider]))?;
        let keys = [self.keys.conditions(provider), self.keys.fingerprints(provider), self.keys.relief()];
        let bytes: usize = fingerprints.iter().map(|fingerprint| fingerprint.len() + 16).sum();
        let mut announce = scripts::KEYS.call(&keys, 16 + bytes);
        announce.arg(KEY_PREFIX);
        for fingerprint in fingerprints {
            announce.arg(fingerprint);
        }
        self.connection().send("that keys are known", &announce).await
    }

    pub(super) async fn announced_keys(&self, provider: &str) -> Result<Vec<String>, StoreError> {
        limits::check_names([provider])?;
        let mut get = ::redis::cmd("SMEMBERS");
        get.arg(self.keys.fingerprints(provider));
        let mut keys: Vec<String> = self.connection().send("the keys of a provider", &get).await?;
        keys.sort();
        Ok(keys)
    }

    pub(super) async fn relief(&self) -> Result<u64, StoreError> {
        let mut get = ::redis::cmd("GET");
        get.arg(self.keys.relief());
        let times: Option<u64> = self.connection().send("the number of reliefs", &get).await?;
        Ok(times.unwrap_or_default())
    }
}

fn encode(condition: &Condition) -> Result<Vec<u8>, StoreError> {
    let fitness = if condition.is_bad() { 'b' } else { 'g' };
    let mut stored = format!("{fitness}|{}|{}|", condition.until.0, random()).into_bytes();
    // The time stands in one place only.
    stored.extend(encoding::encode(&Condition { until: Timestamp(0), ..condition.clone() })?);
    Ok(stored)
}

fn decode(stored: &[u8]) -> Result<Condition, StoreError> {
    let mut parts = stored.splitn(4, |&byte| byte == b'|').skip(1);
    let until = parts.next().and_then(|until| std::str::from_utf8(until).ok()?.parse().ok());
    let Some(until) = until else {
        return Err(StoreError::Corrupt { what: "a condition".to_owned(), why: "it has no time".to_owned() });
    };
    let mut condition: Condition = encoding::decode("a condition", parts.nth(1).unwrap_or_default())?;
    condition.until = Timestamp(until);
    Ok(condition)
}
