//! Days of UTC, by which money is counted.

use darkroom_proto::Timestamp;

const DAY_MS: u64 = 86_400_000;

/// The number of the day since 1970.
pub(crate) fn day_of(at: Timestamp) -> u64 {
    at.0 / DAY_MS
}

/// The day as `2026-11-25`.
pub(crate) fn day_name(day: u64) -> String {
    let mut text = Timestamp(day.saturating_mul(DAY_MS)).to_string();
    text.truncate(text.find('T').unwrap_or(text.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_named_by_its_date() {
        for (ms, name) in [(0, "1970-01-01"), (1_795_000_000_000, "2026-11-18"), (1_795_046_399_999, "2026-11-18")] {
            assert_eq!(day_name(day_of(Timestamp(ms))), name);
        }
    }
}
