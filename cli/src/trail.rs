//! Follows a run by the events that are stored of it, from the outside, until it ends.

use crate::door::Records;
use crate::failure::Failure;
use crate::interrupt::Interrupt;
use crate::output::complain;
use crate::settings::Settings;
use darkroom_coordinator::decode_event;
use darkroom_engine::{Happened, What};
use darkroom_proto::{Duration, RunId};
use std::time::Duration as Time;
use tokio::time::Instant;

/// How many events are read at once.
const EVENTS_MAX: usize = 1_000;

/// How soon it is looked again after something happened; each look in vain doubles it.
const LOOK_MIN: Time = Time::from_millis(25);

/// The longest between two looks.
const LOOK_MAX: Time = Time::from_millis(400);

/// How long servers may be away while a run is followed: it goes on without them being watched.
const AWAY_MAX: Time = Time::from_secs(60);

/// The way of one run.
pub(crate) struct Trail<'a> {
    settings: &'a Settings,
    records: Option<Records>,
    run: RunId,
    after: u64,
    /// Whether the run may have ended without another event.
    may_be_over: bool,
    told: bool,
}

/// Why following ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// The run has ended.
    Ended,
    /// The time is up; the run goes on.
    TimedOut,
    /// Somebody pressed Ctrl-C; the run goes on.
    Interrupted,
}

impl<'a> Trail<'a> {
    /// The way of a run after event `after`.
    pub(crate) fn new(settings: &'a Settings, records: Records, run: RunId, after: u64) -> Trail<'a> {
        Trail { settings, records: Some(records), run, after, may_be_over: true, told: false }
    }

    /// What happened until now is skipped. The run has ended before, and is followed until it ends again.
    pub(crate) async fn onwards(settings: &'a Settings, records: Records, run: RunId) -> Result<Trail<'a>, Failure> {
        let mut trail = Trail::new(settings, records, run, 0);
        while !trail.next().await?.is_empty() {}
        trail.may_be_over = false;
        Ok(trail)
    }

    /// The events that are there and were not read yet.
    pub(crate) async fn next(&mut self) -> Result<Vec<(u64, Happened)>, Failure> {
        let records = match self.records.take() {
            Some(records) => records,
            None => Records::open(self.settings).await?,
        };
        let read = records.events(self.run, self.after, EVENTS_MAX).await;
        self.records = Some(records);
        let mut events = Vec::new();
        for event in read? {
            self.after = event.seq;
            events.push((event.seq, decode_event(&event.body)?));
        }
        if let Some((_, last)) = events.last() {
            self.may_be_over = ends(&last.what);
        }
        Ok(events)
    }

    /// Whether the run has ended, as far as its events were read.
    async fn is_over(&self) -> Result<bool, Failure> {
        let Some(records) = self.records.as_ref().filter(|_| self.may_be_over) else { return Ok(false) };
        let stored = records.load(self.run).await?;
        Ok(stored.is_none_or(|stored| stored.summary.status.is_terminal()))
    }

    /// Shows every event until the run ends, the time is up or somebody presses Ctrl-C.
    pub(crate) async fn follow(
        &mut self,
        time: Option<Duration>,
        mut show: impl FnMut(u64, &Happened),
    ) -> Result<Followed, Failure> {
        let until = time.map(|time| Instant::now() + time.to_std());
        let (mut pause, mut away) = (LOOK_MIN, None);
        let mut interrupt = Interrupt::listen()?;
        loop {
            let looked = tokio::select! {
                looked = self.look(&mut show) => looked,
                _ = interrupt.pressed() => return Ok(Followed::Interrupted),
            };
            match looked {
                Ok(Looked::Over) => return Ok(Followed::Ended),
                Ok(Looked::More) => (pause, away) = (LOOK_MIN, None),
                Ok(Looked::Nothing) => (pause, away) = ((pause * 2).min(LOOK_MAX), None),
                Err(failure) if failure.is_unreachable() => {
                    let since = *away.get_or_insert_with(|| {
                        complain(&format!("{} (trying on)", failure.message()));
                        Instant::now()
                    });
                    if since.elapsed() > AWAY_MAX {
                        return Err(failure);
                    }
                    pause = LOOK_MAX;
                }
                Err(failure) => return Err(failure),
            }
            if self.records.as_ref().is_some_and(Records::keeps_others_out) {
                self.records = None;
                if !std::mem::replace(&mut self.told, true) {
                    complain(&format!("nobody works on {} at the moment; waiting (Ctrl-C ends that)", self.run));
                }
                pause = LOOK_MAX;
            }
            let wake = Instant::now() + pause;
            if until.is_some_and(|until| until <= Instant::now()) {
                return Ok(Followed::TimedOut);
            }
            tokio::select! {
                () = tokio::time::sleep_until(until.map_or(wake, |until| until.min(wake))) => {}
                _ = interrupt.pressed() => return Ok(Followed::Interrupted),
            }
        }
    }

    async fn look(&mut self, show: &mut impl FnMut(u64, &Happened)) -> Result<Looked, Failure> {
        let events = self.next().await?;
        for (seq, happened) in &events {
            show(*seq, happened);
        }
        if events.len() < EVENTS_MAX && self.is_over().await? {
            return Ok(Looked::Over);
        }
        Ok(if events.is_empty() { Looked::Nothing } else { Looked::More })
    }
}

/// What a look found.
enum Looked {
    /// The run has ended.
    Over,
    /// Something happened.
    More,
    /// Nothing happened.
    Nothing,
}

/// Whether a run has ended with this.
fn ends(what: &What) -> bool {
    matches!(what, What::RunCompleted { .. } | What::RunFailed { .. } | What::RunCancelled { .. })
}
