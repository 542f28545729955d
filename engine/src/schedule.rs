//! Schedules: when runs start by themselves, and what becomes of a time at which the last run has not ended.

mod cron;
mod decide;
mod zone;

pub use cron::{Cron, CronError};
pub use decide::{BUFFER_MAX, Decision, End, decide};
pub use zone::{Zone, ZoneError};

use darkroom_proto::{Duration, Map, RunId, ScheduleId, Sha256, Timestamp};
use serde::{Deserialize, Serialize};

/// The shortest time between two runs of a schedule.
pub const EVERY_MIN: Duration = Duration(1_000);

/// How late a time may be noticed without being missed, whatever `catch-up` says: a coordinator that takes over needs
/// some seconds.
pub const CATCH_UP_MIN: Duration = Duration(10_000);

/// The window in which missed times are caught up on, where nothing else is said.
pub const CATCH_UP_DEFAULT: Duration = Duration(10 * 60_000);

/// What comes again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Rhythm {
    /// The times of a cron line, by the clock of the zone.
    Cron(String),
    /// Every so long, counted from `start`, or from the beginning of 1970.
    Every(Duration),
}

/// When something is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// What comes again.
    pub rhythm: Rhythm,
    /// The name of the time zone that cron lines go by.
    pub timezone: String,
    /// No time before it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Timestamp>,
    /// No time after it counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Timestamp>,
    /// Each time is put off by a part of this that follows from the schedule and the time, and never past the next time.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub jitter: Duration,
}

fn is_zero(duration: &Duration) -> bool {
    duration.0 == 0
}

/// Why a timing can't be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TimingError {
    /// The cron line.
    #[error(transparent)]
    Cron(#[from] CronError),
    /// The time zone.
    #[error(transparent)]
    Zone(#[from] ZoneError),
}

impl TimingError {
    /// What to write instead.
    pub fn advice(&self) -> &str {
        match self {
            TimingError::Cron(error) => &error.help,
            TimingError::Zone(error) => &error.help,
        }
    }
}

impl Timing {
    /// The timing, read and ready to be asked.
    pub fn calendar(&self) -> Result<Calendar, TimingError> {
        let cron = match &self.rhythm {
            Rhythm::Cron(line) => Some(line.parse()?),
            Rhythm::Every(_) => None,
        };
        Ok(Calendar { timing: self.clone(), cron, zone: self.timezone.parse()? })
    }
}

impl std::fmt::Display for Rhythm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Rhythm::Cron(line) => f.write_str(line),
            Rhythm::Every(period) => write!(f, "every {period}"),
        }
    }
}

/// A timing that was read.
#[derive(Debug, Clone)]
pub struct Calendar {
    timing: Timing,
    cron: Option<Cron>,
    zone: Zone,
}

impl Calendar {
    /// The first time after `after`; none, when the schedule has ended.
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let start = self.timing.start.unwrap_or_default();
        let after = after.max(Timestamp(start.0.saturating_sub(1)));
        let next = match (&self.cron, &self.timing.rhythm) {
            (Some(cron), _) => self.zone.next(cron, after)?,
            (None, Rhythm::Every(period)) => {
                let period = period.0.max(EVERY_MIN.0);
                match after.0.checked_sub(start.0) {
                    Some(since) => start.after(Duration((since / period + 1).saturating_mul(period))),
                    None => start,
                }
            }
            (None, Rhythm::Cron(_)) => return None,
        };
        self.timing.end.is_none_or(|end| next <= end).then_some(next)
    }

    /// When the time `at` is due: with the jitter of the schedule of this name.
    pub fn due(&self, id: &ScheduleId, at: Timestamp) -> Timestamp {
        if self.timing.jitter.0 == 0 {
            return at;
        }
        let gap = self.next(at).map_or(self.timing.jitter.0, |next| next.since(at).0);
        let range = self.timing.jitter.0.min(gap).max(1);
        let digest = Sha256::of(format!("jitter\0{id}\0{}", at.0).as_bytes());
        let bytes = digest.as_bytes();
        let part = bytes[..8].iter().fold(0u64, |number, byte| number << 8 | u64::from(*byte));
        at.after(Duration(part % range))
    }

    /// The zone that it goes by.
    pub fn zone(&self) -> &Zone {
        &self.zone
    }
}

/// What becomes of a time at which a run of the schedule has not ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Overlap {
    /// It is left out.
    #[default]
    Skip,
    /// It waits for the run to end; those after it are left out.
    BufferOne,
    /// It waits for the run to end, and so do those after it.
    BufferAll,
    /// The run is cancelled, and the time waits for its end.
    CancelOther,
    /// The run is terminated, and the time's own run starts at once.
    TerminateOther,
    /// Both run.
    AllowAll,
}

impl Overlap {
    /// All of them, in the order of the reference.
    pub const ALL: [Overlap; 6] = [
        Overlap::Skip,
        Overlap::BufferOne,
        Overlap::BufferAll,
        Overlap::CancelOther,
        Overlap::TerminateOther,
        Overlap::AllowAll,
    ];

    /// Its word in files.
    pub fn name(self) -> &'static str {
        match self {
            Overlap::Skip => "skip",
            Overlap::BufferOne => "buffer-one",
            Overlap::BufferAll => "buffer-all",
            Overlap::CancelOther => "cancel-other",
            Overlap::TerminateOther => "terminate-other",
            Overlap::AllowAll => "allow-all",
        }
    }
}

impl std::fmt::Display for Overlap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// How a schedule fires.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// When.
    pub timing: Timing,
    /// What becomes of a time at which a run has not ended.
    #[serde(default)]
    pub overlap: Overlap,
    /// How long after its time a run still starts that nobody was there to start.
    pub catch_up: Duration,
}

/// A schedule as a workflow file declares it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Declared {
    /// Its name: the workflow's id, if the file gives none.
    pub id: ScheduleId,
    /// How it fires.
    #[serde(flatten)]
    pub rule: Rule,
    /// Inputs of its runs, where they are not the defaults.
    pub inputs: Map,
    /// Whether it begins paused.
    pub paused: bool,
}

/// Why and since when a schedule does not fire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paused {
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// A time, and the run that it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fire {
    /// The scheduled time, without jitter.
    pub at: Timestamp,
    /// Its run.
    pub run: RunId,
}

/// Where a schedule stands.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ScheduleState {
    /// Every time up to this one is decided on.
    pub cursor: Timestamp,
    /// Its runs that are not known to have ended, oldest first. With `allow-all` only the last one is kept.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub running: Vec<RunId>,
    /// Times that wait for these to end, in the order in which they start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub buffer: Vec<Timestamp>,
    /// What was decided and is not known to be done: runs to start.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub firing: Vec<Fire>,
    /// What was decided and is not known to be done: runs to end.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ending: Vec<End>,
    /// The last run that it started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<Fire>,
    /// It does not fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<Paused>,
    /// How many runs it started.
    #[serde(default)]
    pub fired: u64,
    /// How many times were left out because a run had not ended.
    #[serde(default)]
    pub skipped: u64,
    /// How many times nobody was there for, until it was too late to catch up; a lower bound after long outages.
    #[serde(default)]
    pub missed: u64,
}

impl ScheduleState {
    /// A schedule that was made at `now`: times before that do not count.
    pub fn new(now: Timestamp) -> ScheduleState {
        ScheduleState { cursor: now, ..ScheduleState::default() }
    }

    /// Goes on from `now`: what was due during the pause is not caught up on.
    pub fn unpause(&mut self, now: Timestamp) {
        self.paused = None;
        self.cursor = self.cursor.max(now);
    }

    /// Notes a run that was started by hand.
    pub fn started(&mut self, fire: Fire) {
        self.last = Some(fire);
        self.fired += 1;
        if !self.running.contains(&fire.run) {
            self.running.push(fire.run);
        }
    }
}
