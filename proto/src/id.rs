//! Ids of runs.

use crate::{Sha256, Timestamp};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// Identifies one run of a workflow.
///
/// UUIDv7, so ids sort by creation time in logs and in stores; its last byte says which shard the run belongs to, for
/// life.
///
/// Text in JSON (`run_` and 32 hex digits), 16 bytes in MessagePack.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunId(Uuid);

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() { serializer.collect_str(self) } else { self.0.serialize(serializer) }
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if !deserializer.is_human_readable() {
            return Uuid::deserialize(deserializer).map(Self);
        }
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl RunId {
    /// An id for a run that is created at `now`; the rest of it is taken from `random`.
    pub fn new(now: Timestamp, random: [u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(now.0, &random).into_uuid())
    }

    /// The id that follows from the idempotency key of a tenant: creating it twice is creating it once.
    pub fn from_key(tenant: &str, key: &str) -> Self {
        let digest = Sha256::of(format!("run\0{tenant}\0{key}").as_bytes());
        let mut bytes = [0u8; 16];
        bytes.copy_from_slice(&digest.as_bytes()[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    /// The shard that the run belongs to, of `shards`.
    pub fn shard(self, shards: u16) -> u16 {
        u16::from(self.0.as_bytes()[15]) % shards.max(1)
    }

    /// The raw 16 bytes, which sort by creation time.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// The id with these raw bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }

    /// The last 8 hex digits, as tables show it.
    pub fn short(self) -> String {
        self.0.simple().to_string().split_off(24)
    }
}

impl std::fmt::Display for RunId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "run_{}", self.0.simple())
    }
}

/// The text is not an id of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a run id: expected `run_` and 32 hex digits")]
pub struct ParseRunIdError;

impl std::str::FromStr for RunId {
    type Err = ParseRunIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let hex = text.strip_prefix("run_").filter(|hex| hex.len() == 32).ok_or(ParseRunIdError)?;
        Uuid::try_parse(hex).map(Self).map_err(|_| ParseRunIdError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_parses_what_it_prints_and_sorts_by_time() {
        let early = RunId::new(Timestamp(1_000), [7; 10]);
        let late = RunId::new(Timestamp(2_000), [0; 10]);
        assert_eq!(early.to_string().parse(), Ok(early));
        assert!(early < late);
        assert!(early.to_string().ends_with(&early.short()));
        for text in ["", "run_", "run_zz", "0190163d-8694-739b-aea5-966c26f8ad90"] {
            assert_eq!(text.parse::<RunId>(), Err(ParseRunIdError), "{text}");
        }
    }

    #[test]
    fn the_same_key_of_a_tenant_gives_the_same_run() {
        assert_eq!(RunId::from_key("a", "k"), RunId::from_key("a", "k"));
        assert_ne!(RunId::from_key("a", "k"), RunId::from_key("b", "k"));
    }
}
