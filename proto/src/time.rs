//! Points and spans of time, as stored and sent.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A point in time: milliseconds since 1970 in UTC. Prints and parses as RFC 3339.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This long after it.
    pub fn after(self, duration: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(duration.0))
    }

    /// How long ago `earlier` was; zero if it was not.
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration(self.0.saturating_sub(earlier.0))
    }
}

impl std::fmt::Display for Timestamp {
    /// RFC 3339 with milliseconds, in UTC.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Howard Hinnant's days-to-civil algorithm, in unsigned arithmetic: no date before 1970 exists here.
        let (days, ms) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let z = days + 719_468;
        let (era, doe) = (z / 146_097, z % 146_097);
        let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
        let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
        let mp = (5 * doy + 2) / 153;
        let day = doy - (153 * mp + 2) / 5 + 1;
        let month = if mp < 10 { mp + 3 } else { mp - 9 };
        let year = yoe + era * 400 + u64::from(month <= 2);
        let (hour, minute, second) = (ms / 3_600_000, ms / 60_000 % 60, ms / 1_000 % 60);
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{:03}Z", ms % 1_000)
    }
}

/// The text is no point in time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no time; write it as RFC 3339, such as 2027-01-31T09:00:00Z")]
pub struct ParseTimestampError(String);

impl std::str::FromStr for Timestamp {
    type Err = ParseTimestampError;

    /// RFC 3339 with any offset, from 1970 to 9999. Fractions of a millisecond are cut off; a leap second is the second
    /// after it.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        parse_rfc_3339(text.trim()).ok_or_else(|| ParseTimestampError(text.chars().take(40).collect()))
    }
}

fn parse_rfc_3339(text: &str) -> Option<Timestamp> {
    let number = |from: usize, to: usize, max: u64| -> Option<u64> {
        let digits = text.get(from..to).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
        digits.parse().ok().filter(|number| *number <= max)
    };
    let sign = |at: usize, any: &str| text.get(at..at + 1).filter(|found| any.contains(*found));
    let (year, month, day) = (number(0, 4, 9_999)?, number(5, 7, 12)?, number(8, 10, 31)?);
    let (hour, minute, second) = (number(11, 13, 23)?, number(14, 16, 59)?, number(17, 19, 60)?);
    sign(4, "-").and(sign(7, "-")).and(sign(10, "Tt ")).and(sign(13, ":")).and(sign(16, ":"))?;
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_of_month = match month {
        2 => 28 + u64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    };
    if month == 0 || day == 0 || day > days_of_month || year < 1970 {
        return None;
    }
    let mut rest = text.get(19..)?;
    let mut ms = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let length = fraction.bytes().take_while(u8::is_ascii_digit).count();
        let digits: String = fraction[..length].chars().chain("00".chars()).take(3).collect();
        ms = digits.parse::<u64>().ok().filter(|_| length > 0)?;
        rest = &fraction[length..];
    }
    let offset: i64 = match rest {
        "Z" | "z" => 0,
        _ => {
            let sign = match rest.get(..1)? {
                "+" => 1,
                "-" => -1,
                _ => return None,
            };
            let (hours, minutes) = rest.get(1..)?.split_once(':')?;
            let part = |text: &str, max: i64| {
                text.parse::<i64>().ok().filter(|part| text.len() == 2 && (0..=max).contains(part))
            };
            sign * (part(hours, 23)? * 60 + part(minutes, 59)?)
        }
    };
    // Howard Hinnant's days-from-civil algorithm.
    let (y, m) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let (era, yoe) = (y / 400, y % 400);
    let doe = yoe * 365 + yoe / 4 - yoe / 100 + (153 * m + 2) / 5 + day - 1;
    let days = (era * 146_097 + doe).checked_sub(719_468)?;
    let utc = (days * 86_400 + hour * 3_600 + minute * 60 + second) as i64 - offset * 60;
    u64::try_from(utc).ok().map(|seconds| Timestamp(seconds * 1_000 + ms))
}

/// A span of time in milliseconds. Reads `250ms`, `30s`, `5m`, `48h`, `7d`, or a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Duration(pub u64);

impl Duration {
    /// A span of whole seconds.
    pub const fn from_secs(seconds: u64) -> Duration {
        Duration(seconds * 1_000)
    }

    /// The span as the standard library has it.
    pub fn to_std(self) -> std::time::Duration {
        std::time::Duration::from_millis(self.0)
    }

    /// The span in seconds.
    pub fn as_secs_f64(self) -> f64 {
        self.0 as f64 / 1_000.0
    }
}

/// The text is not a span of time.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no duration; write a number with ms, s, m, h or d, such as 90s")]
pub struct ParseDurationError(String);

impl std::str::FromStr for Duration {
    type Err = ParseDurationError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let error = || ParseDurationError(text.chars().take(40).collect());
        let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
        let number: f64 = text[..end].parse().map_err(|_| error())?;
        let unit = match text[end..].trim() {
            "ms" => 1.0,
            "" | "s" => 1_000.0,
            "m" | "min" => 60_000.0,
            "h" => 3_600_000.0,
            "d" => 86_400_000.0,
            _ => return Err(error()),
        };
        let ms = (number * unit).round();
        // A century: past it a span is a mistake, and sums of spans stay far from overflowing.
        if ms.is_finite() && ms <= 3_155_760_000_000.0 { Ok(Duration(ms as u64)) } else { Err(error()) }
    }
}

impl std::fmt::Display for Duration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            ms if ms == 0 || ms % 1_000 != 0 => write!(f, "{ms}ms"),
            ms if ms % 86_400_000 == 0 => write!(f, "{}d", ms / 86_400_000),
            ms if ms % 3_600_000 == 0 => write!(f, "{}h", ms / 3_600_000),
            ms if ms % 60_000 == 0 => write!(f, "{}m", ms / 60_000),
            ms => write!(f, "{}s", ms / 1_000),
        }
    }
}

impl Serialize for Duration {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(self.0)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u64::deserialize(deserializer).map(Duration)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_as_people_write_them() {
        let cases =
            [("250ms", 250), ("30s", 30_000), ("1.5s", 1_500), ("5m", 300_000), ("48h", 172_800_000), ("2", 2_000)];
        for (text, ms) in cases {
            assert_eq!(text.parse(), Ok(Duration(ms)), "{text}");
        }
        for text in ["", "s", "3 weeks", "1e400d", "-1s", "99999999999d"] {
            assert!(text.parse::<Duration>().is_err(), "{text}");
        }
    }

    #[test]
    fn timestamps_read_what_they_print_and_what_others_write() {
        for ms in [0, 951_782_400_000, 951_827_696_789, 1_795_248_000_000, 253_402_300_799_999] {
            assert_eq!(Timestamp(ms).to_string().parse(), Ok(Timestamp(ms)));
        }
        let cases = [
            ("2000-02-29T12:34:56Z", 951_827_696_000),
            ("2000-02-29t14:34:56.7891+02:00", 951_827_696_789),
            ("2000-02-29 07:04:56.5-05:30", 951_827_696_500),
        ];
        for (text, ms) in cases {
            assert_eq!(text.parse(), Ok(Timestamp(ms)), "{text}");
        }
        for text in [
            "",
            "2026",
            "2026-11-21",
            "2026-02-29T00:00:00Z",
            "2026-11-21T08:00:00",
            "1969-12-31T23:59:59Z",
            "2026-13-01T00:00:00Z",
            "2026-11-21T24:00:00Z",
            "2026-11-21T08:00:00.Z",
            "2026-11-21T08:00:00+2:00",
            "tomorrow at noon, please",
        ] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn timestamps_print_as_rfc_3339() {
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00.000Z");
        assert_eq!(Timestamp(951_827_696_789).to_string(), "2000-02-29T12:34:56.789Z");
        assert_eq!(Timestamp(1_795_248_000_000).to_string(), "2026-11-21T08:00:00.000Z");
    }
}
