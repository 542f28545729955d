//! Schedules as they are stored: a rule, what its runs are given, and where it stands.

use crate::record::{RecordError, decode, encode};
use darkroom_backend::{Committed, Store, StoreError, StoredSchedule};
use darkroom_engine::Spec;
use darkroom_engine::schedule::{BUFFER_MAX, Fire, Paused, Rule, ScheduleState, TimingError};
use darkroom_proto::{ScheduleId, Timestamp};
use serde::{Deserialize, Serialize};

/// How often a change is tried again that another one came before.
const TRIES_MAX: u32 = 16;

/// A schedule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScheduleRecord {
    /// When it fires.
    pub rule: Rule,
    /// What each run is given, but for its time. It is pinned to a version of the workflow.
    pub spec: Spec,
    /// Where it stands.
    pub state: ScheduleState,
}

/// Why a schedule was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// There is none of this name.
    #[error("there is no schedule `{0}`")]
    Missing(ScheduleId),
    /// The change does not apply.
    #[error("{0}")]
    Refused(String),
    /// Others changed it each time.
    #[error("the schedule `{0}` is being changed by others all the time")]
    Busy(ScheduleId),
    /// Its times can't be read.
    #[error(transparent)]
    Timing(#[from] TimingError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What is stored.
    #[error(transparent)]
    Record(#[from] RecordError),
}

/// The schedules of a store, for whoever looks at them and commands them. Only the owner of a schedule's shard fires it;
/// what is done here it finds in the record.
#[derive(Debug, Clone)]
pub struct Schedules<S> {
    store: S,
}

impl<S: Store> Schedules<S> {
    /// The schedules of a store.
    pub fn new(store: S) -> Schedules<S> {
        Schedules { store }
    }

    /// All of them, by name.
    pub async fn list(&self) -> Result<Vec<(ScheduleId, ScheduleRecord)>, ScheduleError> {
        let stored = self.store.schedules().await?;
        stored.into_iter().map(|stored| Ok((stored.id.clone(), decode_schedule(&stored)?))).collect()
    }

    /// One of them.
    pub async fn get(&self, id: &ScheduleId) -> Result<ScheduleRecord, ScheduleError> {
        match self.store.schedule(id).await? {
            Some(stored) => Ok(decode_schedule(&stored)?),
            None => Err(ScheduleError::Missing(id.clone())),
        }
    }

    /// Makes a schedule, or gives the one of this name another rule and another version of its workflow: where it stands
    /// stays as it is. True: it is new.
    pub async fn declare(
        &self,
        id: &ScheduleId,
        rule: &Rule,
        spec: &Spec,
        paused: bool,
    ) -> Result<bool, ScheduleError> {
        rule.timing.calendar()?;
        for _ in 0..TRIES_MAX {
            let now = self.store.now().await?;
            let stored = self.store.schedule(id).await?;
            let mut record = match &stored {
                Some(stored) => decode_schedule(stored)?,
                None => {
                    let mut state = ScheduleState::new(now);
                    state.paused = paused.then(|| Paused { reason: "declared as paused".into(), at: now });
                    ScheduleRecord { rule: rule.clone(), spec: spec.clone(), state }
                }
            };
            if record.spec.workflow != spec.workflow {
                let message = format!("`{id}` is a schedule of the workflow `{}`", record.spec.workflow);
                return Err(ScheduleError::Refused(message));
            }
            (record.rule, record.spec) = (rule.clone(), spec.clone());
            if self.put(id, stored.as_ref(), &record, now).await? {
                return Ok(stored.is_none());
            }
        }
        Err(ScheduleError::Busy(id.clone()))
    }

    /// Changes a schedule, and gives it as it is then. Its owner looks at it soon.
    pub async fn change<T>(
        &self,
        id: &ScheduleId,
        change: impl Fn(&mut ScheduleRecord, Timestamp) -> Result<T, ScheduleError>,
    ) -> Result<T, ScheduleError> {
        for _ in 0..TRIES_MAX {
            let now = self.store.now().await?;
            let stored = self.store.schedule(id).await?.ok_or_else(|| ScheduleError::Missing(id.clone()))?;
            let mut record = decode_schedule(&stored)?;
            let changed = change(&mut record, now)?;
            if self.put(id, Some(&stored), &record, now).await? {
                return Ok(changed);
            }
        }
        Err(ScheduleError::Busy(id.clone()))
    }

    /// Stops it from firing.
    pub async fn pause(&self, id: &ScheduleId, reason: &str) -> Result<(), ScheduleError> {
        self.change(id, |record, now| {
            record.state.paused = Some(Paused { reason: reason.to_owned(), at: now });
            Ok(())
        })
        .await
    }

    /// Has it fire again, from now on.
    pub async fn unpause(&self, id: &ScheduleId) -> Result<(), ScheduleError> {
        self.change(id, |record, now| match record.state.paused {
            Some(_) => {
                record.state.unpause(now);
                Ok(())
            }
            None => Err(ScheduleError::Refused(format!("the schedule `{id}` is not paused"))),
        })
        .await
    }

    /// Has it start a run now, paused or not, and whatever runs.
    pub async fn trigger(&self, id: &ScheduleId) -> Result<Fire, ScheduleError> {
        self.change(id, |record, now| {
            let fire = Fire { at: now, run: id.run_at(now) };
            record.state.firing.push(fire);
            record.state.started(fire);
            Ok(fire)
        })
        .await
    }

    /// Has it start the runs of past times, at most `limit`: one after the other, or all at once where its runs may
    /// overlap. A time that has fired before is one run still. Gives the times.
    pub async fn backfill(
        &self,
        id: &ScheduleId,
        from: Timestamp,
        to: Timestamp,
        limit: usize,
    ) -> Result<Vec<Timestamp>, ScheduleError> {
        self.change(id, |record, now| {
            let calendar = record.rule.timing.calendar()?;
            // What is yet to come fires by itself.
            let to = to.min(record.state.cursor).min(now);
            let mut times = Vec::new();
            let mut next = calendar.next(Timestamp(from.0.saturating_sub(1)));
            while let Some(at) = next.filter(|at| *at <= to) {
                if times.len() == limit {
                    break;
                }
                times.push(at);
                next = calendar.next(at);
            }
            let buffer = &mut record.state.buffer;
            buffer.extend(&times);
            buffer.sort_unstable();
            buffer.dedup();
            match buffer.len() <= BUFFER_MAX {
                true => Ok(times),
                false => Err(ScheduleError::Refused(format!(
                    "{} runs of `{id}` would wait; at most {BUFFER_MAX} may",
                    buffer.len()
                ))),
            }
        })
        .await
    }

    /// Removes it. Its runs go on.
    pub async fn remove(&self, id: &ScheduleId) -> Result<(), ScheduleError> {
        match self.store.remove_schedule(id).await? {
            true => Ok(()),
            false => Err(ScheduleError::Missing(id.clone())),
        }
    }

    async fn put(
        &self,
        id: &ScheduleId,
        stored: Option<&StoredSchedule>,
        record: &ScheduleRecord,
        now: Timestamp,
    ) -> Result<bool, ScheduleError> {
        let version = stored.map_or(0, |stored| stored.version);
        let schedule = encode_schedule(id, version, Some(now), record)?;
        Ok(matches!(self.store.put_schedule(&schedule).await?, Committed::Done(_)))
    }
}

/// A schedule as it was stored.
pub(crate) fn decode_schedule(stored: &StoredSchedule) -> Result<ScheduleRecord, RecordError> {
    decode("schedule", &stored.body)
}

/// A schedule as it is stored.
pub(crate) fn encode_schedule(
    id: &ScheduleId,
    version: u64,
    due: Option<Timestamp>,
    record: &ScheduleRecord,
) -> Result<StoredSchedule, RecordError> {
    Ok(StoredSchedule { id: id.clone(), version, due, body: encode("schedule", record)? })
}
