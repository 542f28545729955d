//! Schedules that are due: decided on, and done after the decision is durable.
//!
//! The same two steps as for runs: the decision is one write, with what it has to do in it; then that is done, which is safe
//! to repeat, because a scheduled time is one run. Whoever takes over in between finds it in the record.

use crate::command::RunCommand;
use crate::desk::{Desk, DeskError, Submission};
use crate::failpoint::{Moment, crash};
use crate::schedules::{ScheduleRecord, decode_schedule, encode_schedule};
use crate::service::{Coordinator, CoordinatorError};
use darkroom_backend::{Committed, Ledger, Queue, Shard, Store};
use darkroom_engine::Spec;
use darkroom_engine::schedule::{Paused, decide};
use darkroom_proto::{Duration, RunId, ScheduleId, Scheduled, Timestamp};

/// How many due schedules of a shard one look takes.
const DUE_MAX: usize = 64;

/// How many steps one look takes with a schedule: a refused write, or one decision after the other.
const STEPS_MAX: usize = 8;

/// How long a schedule is left alone that this release can't read.
const UNREADABLE: Duration = Duration(60_000);

impl<S: Store + Ledger, Q: Queue> Coordinator<S, Q> {
    /// Has the due schedules of our shards fire.
    pub(crate) async fn fire_due(&mut self) -> Result<(), CoordinatorError> {
        let now = self.store.now().await?;
        for shard in self.tenures.keys().copied().collect::<Vec<Shard>>() {
            for id in self.store.due_schedules(shard, now, DUE_MAX).await? {
                self.fire(&id).await?;
            }
        }
        Ok(())
    }

    async fn fire(&mut self, id: &ScheduleId) -> Result<(), CoordinatorError> {
        for _ in 0..STEPS_MAX {
            let Some(stored) = self.store.schedule(id).await? else { return Ok(()) };
            let now = self.store.now().await?;
            if stored.due.is_none_or(|due| due > now) {
                return Ok(());
            }
            let mut record = match decode_schedule(&stored) {
                Ok(record) => record,
                Err(error) => {
                    tracing::error!(schedule = %id, %error, "a schedule can't be read; it does not fire");
                    let mut stored = stored;
                    stored.due = Some(now.after(UNREADABLE));
                    self.store.put_schedule(&stored).await?;
                    return Ok(());
                }
            };
            let has_acted = !record.state.firing.is_empty() || !record.state.ending.is_empty();
            self.perform(id, &record, now).await?;
            if has_acted && self.failpoint.as_mut().is_some_and(|point| point.fired(Moment::Published)) {
                crash(Moment::Published);
            }
            record.state.firing.clear();
            record.state.ending.clear();
            let before = record.state.clone();
            let due = self.decided(id, &mut record, now).await?;
            let fires = !record.state.firing.is_empty() || !record.state.ending.is_empty();
            // What has to be done is due now, whoever comes to it.
            let due = if fires { Some(now) } else { due };
            let next = encode_schedule(id, stored.version, due, &record)?;
            let Committed::Done(_) = self.store.put_schedule(&next).await? else { continue };
            count("darkroom_schedule_fired_total", before.fired, record.state.fired);
            count("darkroom_schedule_skipped_total", before.skipped, record.state.skipped);
            count("darkroom_schedule_missed_total", before.missed, record.state.missed);
            if !fires {
                return Ok(());
            }
            if self.failpoint.as_mut().is_some_and(|point| point.fired(Moment::Committed)) {
                crash(Moment::Committed);
            }
        }
        Ok(())
    }

    /// Decides on the times up to now; gives when to decide again.
    async fn decided(
        &self,
        id: &ScheduleId,
        record: &mut ScheduleRecord,
        now: Timestamp,
    ) -> Result<Option<Timestamp>, CoordinatorError> {
        let calendar = match record.rule.timing.calendar() {
            Ok(calendar) => calendar,
            Err(error) => {
                // It was readable when it was declared: it is of a later release.
                tracing::error!(schedule = %id, %error, "the times of a schedule can't be read; it is paused");
                record.state.paused = Some(Paused { reason: error.to_string(), at: now });
                return Ok(None);
            }
        };
        let mut running = Vec::with_capacity(record.state.running.len());
        for run in std::mem::take(&mut record.state.running) {
            if self.is_running(run).await? {
                running.push(run);
            }
        }
        record.state.running = running;
        let decision = decide(id, &record.rule, &calendar, &record.state, now);
        record.state = decision.state;
        Ok(decision.due)
    }

    async fn is_running(&self, run: RunId) -> Result<bool, CoordinatorError> {
        // One that is gone has ended long ago.
        Ok(self.store.load(run).await?.is_some_and(|stored| !stored.summary.status.is_terminal()))
    }

    /// Does what was decided.
    async fn perform(&self, id: &ScheduleId, record: &ScheduleRecord, now: Timestamp) -> Result<(), CoordinatorError> {
        let desk = Desk::new(self.store.clone(), self.queue.clone(), self.plans.clone(), self.shards);
        for end in &record.state.ending {
            let reason = format!("the schedule {id} started its run of {}", end.at);
            let command = match end.terminate {
                true => RunCommand::Terminate { reason },
                false => RunCommand::Cancel { reason },
            };
            let key = format!("schedule/{id}/{}", end.at.0);
            desk.command(end.run, &key, &command).await.map_err(passed_on)?;
        }
        let spec = |at: Timestamp| Spec {
            tenant: Default::default(),
            origin: None,
            recorded: Default::default(),
            created_at: now,
            schedule: Some(Scheduled { id: id.clone(), at }),
            ..record.spec.clone()
        };
        let fires = &record.state.firing;
        let submissions: Vec<Submission> =
            fires.iter().map(|fire| Submission { run: fire.run, spec: spec(fire.at) }).collect();
        if submissions.is_empty() {
            return Ok(());
        }
        desk.submit(&submissions).await.map_err(passed_on)?;
        for fire in fires {
            tracing::info!(schedule = %id, run = %fire.run, at = %fire.at, "a schedule started a run");
            let lateness = now.since(fire.at).as_secs_f64();
            metrics::histogram!("darkroom_schedule_lateness_seconds").record(lateness);
        }
        Ok(())
    }
}

fn count(name: &'static str, before: u64, after: u64) {
    let more = after.saturating_sub(before);
    if more > 0 {
        metrics::counter!(name).increment(more);
    }
}

fn passed_on(error: DeskError) -> CoordinatorError {
    match error {
        DeskError::Store(error) => error.into(),
        DeskError::Queue(error) => error.into(),
        DeskError::Plan(error) => error.into(),
        DeskError::Record(error) => error.into(),
    }
}
