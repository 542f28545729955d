//! The paid calls of runs, in the file: each change is one transaction.

use super::file::{StateFile, failed};
use super::layout::{self, Record};
use super::tables;
use crate::ledger::{Call, CallState, Fact, Intended, Intent, Noted, Refusal, Turn};
use crate::limits;
use crate::{CANCEL_FIELD, StoreError, void_field};
use darkroom_proto::{CallId, Money, RunId, StepPath, Timestamp};
use redb::{ReadableTable, Table};
use serde::{Deserialize, Serialize};

type Bytes<'t> = Table<'t, &'static [u8], &'static [u8]>;

/// A call as it is stored.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Kept {
    /// Who wrote its intent; 0 if that is not known any more.
    token: u64,
    call: Call,
}

/// The last call of a step in a generation, or the one that is open, so that an intent need not look at all of a run.
#[derive(Debug, Serialize, Deserialize)]
struct Newest {
    number: u32,
    attempt: u32,
    id: CallId,
}

impl StateFile {
    pub(super) fn intent(&self, intent: &Intent) -> Result<Intended, StoreError> {
        limits::check_intent(intent)?;
        let (run, place) = (intent.run, format!("{}@{}", intent.step, intent.generation));
        let _turn = self.turn();
        let now = self.now();
        let write = self.begin()?;
        let granted = {
            let runs = write.open_table(tables::RUNS).map_err(failed)?;
            let has = |name: &str| Ok(runs.get(tables::field(run, name).as_slice()).map_err(failed)?.is_some());
            let is_live = match runs.get(tables::record(run).as_slice()).map_err(failed)? {
                Some(stored) => !Record::decode(stored.value())?.summary.status.is_terminal(),
                None => false,
            };
            if !is_live {
                return Ok(Intended::Refused(Refusal::Ended));
            }
            if has(CANCEL_FIELD)? {
                return Ok(Intended::Refused(Refusal::Cancelled));
            }
            let is_void = has(&void_field(&intent.step, intent.generation))?;
            let holds = self.fleet().holds_for(run, &intent.step, intent.generation, intent.attempt, intent.token);
            if is_void || !holds {
                return Ok(Intended::Refused(Refusal::Stale));
            }
            let mut calls = write.open_table(tables::CALLS).map_err(failed)?;
            let mut number = 1;
            if let Some(newest) = newest(&calls, run, &place)? {
                if newest.attempt > intent.attempt {
                    return Ok(Intended::Refused(Refusal::Stale));
                }
                let kept = kept(&calls, run, &newest.id)?.ok_or_else(|| StoreError::Corrupt {
                    what: format!("call {}", newest.id),
                    why: "it is not there".to_owned(),
                })?;
                // Of this very token: the same intent was told before.
                if kept.call.state == CallState::Intent && kept.token == intent.token.0 {
                    return Ok(Intended::Granted(kept.call));
                }
                if !kept.call.state.is_closed() {
                    return Ok(Intended::Open(kept.call));
                }
                number = newest.number.saturating_add(1);
            }
            let spent = spent(&calls, run)?;
            if let Some(budget) = intent.budget.filter(|&budget| spent.plus(intent.price) > budget) {
                return Ok(Intended::Refused(Refusal::OverBudget { spent, budget }));
            }
            let call = Call::intended(intent, number, now);
            let newest = Newest { number, attempt: intent.attempt, id: call.id.clone() };
            put(&mut calls, &tables::newest_call(run, &place), &newest)?;
            put(&mut calls, &tables::call(run, &call.id), &Kept { token: intent.token.0, call: call.clone() })?;
            charge(&mut calls, run, Money::ZERO, call.charged())?;
            call
        };
        write.commit().map_err(failed)?;
        Ok(Intended::Granted(granted))
    }

    pub(super) fn note(&self, run: RunId, id: &CallId, fact: &Fact) -> Result<Option<Noted>, StoreError> {
        limits::check_fact(fact)?;
        Ok(self.change(run, id, |call| call.note(fact))?.map(|(noted, _)| noted))
    }

    pub(super) fn take_turn(&self, run: RunId, id: &CallId, turn: u32, next_at: Timestamp) -> Result<Turn, StoreError> {
        let take = |call: &mut Call| {
            call.take_turn(turn, next_at);
        };
        Ok(match self.change(run, id, take)? {
            None => Turn::Unknown,
            Some((noted, true)) => Turn::Taken(noted),
            Some((_, false)) => Turn::Passed,
        })
    }

    pub(super) fn restore(&self, run: RunId, call: &Call) -> Result<(), StoreError> {
        limits::check_call(call)?;
        let place = format!("{}@{}", call.step, call.generation);
        let _turn = self.turn();
        let write = self.begin()?;
        {
            let mut calls = write.open_table(tables::CALLS).map_err(failed)?;
            if kept(&calls, run, &call.id)?.is_some() {
                return Ok(());
            }
            let mut newest_now = Newest { number: call.number, attempt: call.attempt, id: call.id.clone() };
            if let Some(newest) = newest(&calls, run, &place)? {
                // What counts is the one call that may be open, else the last one.
                let is_open = kept(&calls, run, &newest.id)?.is_some_and(|kept| !kept.call.state.is_closed());
                if is_open || call.state.is_closed() && newest.number > call.number {
                    newest_now.id = newest.id;
                }
                newest_now.number = newest_now.number.max(newest.number);
                newest_now.attempt = newest_now.attempt.max(newest.attempt);
            }
            put(&mut calls, &tables::newest_call(run, &place), &newest_now)?;
            put(&mut calls, &tables::call(run, &call.id), &Kept { token: 0, call: call.clone() })?;
            charge(&mut calls, run, Money::ZERO, call.charged())?;
        }
        write.commit().map_err(failed)
    }

    pub(super) fn calls(&self, run: RunId) -> Result<Vec<Call>, StoreError> {
        let stored = self.read()?.open_table(tables::CALLS).map_err(failed)?;
        let prefix = tables::calls(run);
        let mut calls = Vec::new();
        for entry in stored.range::<&[u8]>(prefix.as_slice()..).map_err(failed)? {
            let (key, value) = entry.map_err(failed)?;
            if !key.value().starts_with(&prefix) {
                break;
            }
            calls.push(layout::decode_named::<Kept>("a call", value.value())?.call);
        }
        calls.sort_by(Call::in_order);
        Ok(calls)
    }

    pub(super) fn call(&self, run: RunId, id: &CallId) -> Result<Option<Call>, StoreError> {
        let stored = self.read()?.open_table(tables::CALLS).map_err(failed)?;
        Ok(kept(&stored, run, id)?.map(|kept| kept.call))
    }

    pub(super) fn calls_of(&self, run: RunId, step: &StepPath, generation: u32) -> Result<Vec<Call>, StoreError> {
        let stored = self.read()?.open_table(tables::CALLS).map_err(failed)?;
        let last = newest(&stored, run, &format!("{step}@{generation}"))?.map_or(0, |newest| newest.number);
        let mut calls = Vec::new();
        for number in 1..=last {
            // One may be missing that was lost before another was put back.
            calls.extend(kept(&stored, run, &CallId::new(run, step, generation, number))?.map(|kept| kept.call));
        }
        Ok(calls)
    }

    pub(super) fn flag_cancelled(&self, run: RunId) -> Result<(), StoreError> {
        let _turn = self.turn();
        let write = self.begin()?;
        {
            let mut runs = write.open_table(tables::RUNS).map_err(failed)?;
            let is_live = match runs.get(tables::record(run).as_slice()).map_err(failed)? {
                Some(stored) => !Record::decode(stored.value())?.summary.status.is_terminal(),
                None => false,
            };
            if !is_live {
                return Ok(());
            }
            runs.insert(tables::field(run, CANCEL_FIELD).as_slice(), b"1".as_slice()).map_err(failed)?;
        }
        write.commit().map_err(failed)
    }

    /// Changes a call, and says whether it is another one than before. Nothing, if it is not there.
    fn change(
        &self,
        run: RunId,
        id: &CallId,
        change: impl FnOnce(&mut Call),
    ) -> Result<Option<(Noted, bool)>, StoreError> {
        let _turn = self.turn();
        let write = self.begin()?;
        let (noted, is_new) = {
            let runs = write.open_table(tables::RUNS).map_err(failed)?;
            let has = |name: &str| -> Result<bool, StoreError> {
                Ok(runs.get(tables::field(run, name).as_slice()).map_err(failed)?.is_some())
            };
            let mut calls = write.open_table(tables::CALLS).map_err(failed)?;
            let Some(before) = kept(&calls, run, id)? else { return Ok(None) };
            let cancelled = has(CANCEL_FIELD)? || has(&void_field(&before.call.step, before.call.generation))?;
            let mut after = before.clone();
            change(&mut after.call);
            let is_new = after != before;
            if is_new {
                put(&mut calls, &tables::call(run, id), &after)?;
                charge(&mut calls, run, before.call.charged(), after.call.charged())?;
            }
            (Noted { call: after.call, cancelled }, is_new)
        };
        if is_new {
            write.commit().map_err(failed)?;
        }
        Ok(Some((noted, is_new)))
    }
}

fn kept(
    calls: &impl ReadableTable<&'static [u8], &'static [u8]>,
    run: RunId,
    id: &CallId,
) -> Result<Option<Kept>, StoreError> {
    let stored = calls.get(tables::call(run, id).as_slice()).map_err(failed)?;
    stored.map(|stored| layout::decode_named("a call", stored.value())).transpose()
}

fn newest(
    calls: &impl ReadableTable<&'static [u8], &'static [u8]>,
    run: RunId,
    place: &str,
) -> Result<Option<Newest>, StoreError> {
    let stored = calls.get(tables::newest_call(run, place).as_slice()).map_err(failed)?;
    stored.map(|stored| layout::decode_named("the last call of a step", stored.value())).transpose()
}

/// What the calls of a run take of its budget.
fn spent(calls: &Bytes<'_>, run: RunId) -> Result<Money, StoreError> {
    let stored = calls.get(tables::spent_by_run(run).as_slice()).map_err(failed)?;
    stored.map_or(Ok(Money::ZERO), |stored| layout::decode_named("what a run has cost", stored.value()))
}

/// Notes that a call takes another amount of its run's budget than before.
fn charge(calls: &mut Bytes<'_>, run: RunId, before: Money, after: Money) -> Result<(), StoreError> {
    if before == after {
        return Ok(());
    }
    let others = spent(calls, run)?.0.saturating_sub(before.0);
    put(calls, &tables::spent_by_run(run), &Money(others).plus(after))
}

fn put<T: Serialize>(calls: &mut Bytes<'_>, key: &[u8], value: &T) -> Result<(), StoreError> {
    calls.insert(key, layout::encode_named(value)?.as_slice()).map_err(failed)?;
    Ok(())
}
