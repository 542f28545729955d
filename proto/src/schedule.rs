//! What starts runs at times.

use crate::{RunId, Sha256, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

/// The longest name of a schedule.
const LENGTH_MAX: usize = 80;

/// The name of a schedule: letters, digits, `-`, `_` and `.`, a letter first, at most 80.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ScheduleId(String);

/// The text is no name of a schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected letters, digits, `-`, `_` and `.`, a letter first, at most {LENGTH_MAX}")]
pub struct ParseScheduleIdError;

impl ScheduleId {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The shard whose owner fires it, of `shards`.
    pub fn shard(&self, shards: u16) -> u16 {
        u16::from(Sha256::of(self.0.as_bytes()).as_bytes()[31]) % shards.max(1)
    }

    /// The run of a scheduled time: whoever fires it, and however often, it is one run.
    pub fn run_at(&self, at: Timestamp) -> RunId {
        RunId::from_key("schedule", &format!("{}\0{}", self.0, at.0))
    }
}

impl std::fmt::Display for ScheduleId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for ScheduleId {
    type Err = ParseScheduleIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        let shaped = text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(fits);
        if shaped && text.len() <= LENGTH_MAX { Ok(ScheduleId(text.to_owned())) } else { Err(ParseScheduleIdError) }
    }
}

impl<'de> Deserialize<'de> for ScheduleId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// What started a run: a schedule, and the time that it was scheduled for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scheduled {
    /// The schedule.
    pub id: ScheduleId,
    /// The scheduled time: without jitter, and not when the run came to be created.
    pub at: Timestamp,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scheduled_time_is_one_run_and_each_has_its_own() {
        let id: ScheduleId = "nightly".parse().unwrap();
        let other: ScheduleId = "nightly-2".parse().unwrap();
        assert_eq!(id.run_at(Timestamp(5)), id.run_at(Timestamp(5)));
        assert_ne!(id.run_at(Timestamp(5)), id.run_at(Timestamp(6)));
        assert_ne!(id.run_at(Timestamp(5)), other.run_at(Timestamp(5)));
        assert!(id.shard(16) < 16);
    }

    #[test]
    fn names_are_short_words() {
        for text in ["nightly", "a", "shop.prices-2_b"] {
            assert_eq!(text.parse::<ScheduleId>().unwrap().as_str(), text);
        }
        for text in ["", "2nd", "a b", "ä", &"a".repeat(81)] {
            assert!(text.parse::<ScheduleId>().is_err(), "{text}");
        }
    }
}
