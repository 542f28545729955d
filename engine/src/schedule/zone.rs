//! Time zones, from the database that is compiled in.

use super::cron::Cron;
use darkroom_proto::Timestamp;
use jiff::ToSpan as _;
use jiff::civil::{Date, DateTime};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use std::sync::LazyLock;

/// Only what is compiled in: what a machine has would make two coordinators disagree.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// The longest time between two days of a cron line: from one 29 February over a century without one to the next.
const DAYS_MAX: usize = 8 * 366 + 31;

/// No clock was ever put back further than this.
const HOURS_BACK: i32 = 3;

/// A time zone by its name, such as `Europe/Berlin`.
#[derive(Debug, Clone)]
pub struct Zone(TimeZone);

/// There is no time zone of this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no time zone `{name}`")]
pub struct ZoneError {
    /// What was asked for.
    pub name: String,
    /// What to write.
    pub help: String,
}

impl std::str::FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Zone, ZoneError> {
        ZONES.get(name).map(Zone).map_err(|_| {
            let names: Vec<String> = ZONES.available().map(|name| name.to_string()).collect();
            // People write the city, or the region wrongly.
            let city = |name: &str| name.rsplit('/').next().unwrap_or_default().to_lowercase();
            let same_city = names.iter().find(|known| city(known) == city(&name.replace(' ', "_")));
            let nearest = same_city.map(String::as_str);
            let nearest = nearest.or_else(|| crate::suggest::nearest(name, names.iter().map(String::as_str)));
            let help = match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "write a name of the IANA database, such as `Europe/Berlin` or `UTC`".to_owned(),
            };
            ZoneError { name: name.chars().take(60).collect(), help }
        })
    }
}

impl Zone {
    /// Coordinated Universal Time, which has no daylight saving.
    pub fn utc() -> Zone {
        Zone(TimeZone::UTC)
    }

    /// The first time of a cron line after `after`.
    ///
    /// A time that the clock jumps over counts at the moment of the jump. A time that comes twice, because the clock is put
    /// back, counts the first time; only lines for every hour go on through the hour that is repeated.
    pub(super) fn next(&self, cron: &Cron, after: Timestamp) -> Option<Timestamp> {
        let after = instant(after)?;
        let local = self.0.to_datetime(after);
        // What stands earlier on the clock may still come: in the hour that is repeated.
        let from = local.checked_sub(HOURS_BACK.hours()).ok()?;
        let mut date = from.date();
        let mut from_hour = from.hour();
        for _ in 0..DAYS_MAX {
            if !cron.has_month(date) {
                date = date.last_of_month().tomorrow().ok()?;
                from_hour = 0;
                continue;
            }
            if let Some(first) = cron.is_on(date).then(|| self.first(cron, date, from_hour, after)).flatten() {
                return timestamp(first);
            }
            date = date.tomorrow().ok()?;
            from_hour = 0;
        }
        None
    }

    /// The first time of a day after `after`, from an hour on.
    fn first(&self, cron: &Cron, date: Date, from_hour: i8, after: jiff::Timestamp) -> Option<jiff::Timestamp> {
        let mut first: Option<jiff::Timestamp> = None;
        let mut moments = Vec::new();
        let mut hours_left = HOURS_BACK;
        for hour in (from_hour..24).filter(|hour| cron.has_hour(*hour)) {
            for minute in (0..60).filter(|minute| cron.has_minute(*minute)) {
                self.moments(date.at(hour, minute, 0, 0), cron.is_every_hour(), &mut moments);
            }
            first = moments.drain(..).filter(|at| *at > after).chain(first).min();
            // Where the clock is put back, what stands later on it may come earlier.
            if first.is_some() {
                hours_left -= 1;
            }
            if hours_left < 0 {
                break;
            }
        }
        first
    }

    /// When the clock shows this.
    fn moments(&self, at: DateTime, both: bool, moments: &mut Vec<jiff::Timestamp>) {
        match self.0.to_ambiguous_timestamp(at).offset() {
            AmbiguousOffset::Unambiguous { offset } => moments.extend(offset.to_timestamp(at)),
            AmbiguousOffset::Gap { after, .. } => {
                // With the offset that holds later, the time lies before the jump.
                let jump = after.to_timestamp(at).ok().and_then(|early| self.0.following(early).next());
                moments.extend(jump.map(|jump| jump.timestamp()));
            }
            AmbiguousOffset::Fold { before, after } => {
                moments.extend(before.to_timestamp(at));
                if both {
                    moments.extend(after.to_timestamp(at));
                }
            }
        }
    }

    /// A point in time as people write it: RFC 3339 with an offset, or a date or date and time of this zone.
    pub fn read(&self, text: &str) -> Option<Timestamp> {
        if let Ok(at) = text.parse::<jiff::Timestamp>() {
            return timestamp(at);
        }
        let at: DateTime = text.parse().ok()?;
        timestamp(self.0.to_timestamp(at).ok()?)
    }

    /// A point in time as the clock of this zone shows it, with its offset: `2026-11-27 03:00 +01:00`.
    pub fn show(&self, at: Timestamp) -> String {
        match instant(at) {
            Some(at) => at.to_zoned(self.0.clone()).strftime("%Y-%m-%d %H:%M:%S %:z").to_string(),
            None => at.to_string(),
        }
    }
}

fn instant(at: Timestamp) -> Option<jiff::Timestamp> {
    jiff::Timestamp::from_millisecond(i64::try_from(at.0).ok()?).ok()
}

fn timestamp(at: jiff::Timestamp) -> Option<Timestamp> {
    u64::try_from(at.as_millisecond()).ok().map(Timestamp)
}
