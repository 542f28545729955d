//! The paid calls of a run: a hash with one field for each call and a few for what follows from them.
//!
//! A call is stored under its id as `kind|token|at|send_by|write|` and the call itself: what scripts look at or know alone
//! is text before the value, as in claims. `kind` is `i` for an intent, `c` for a closed call and `o` for any other;
//! `token` is who wrote the intent, and `write` tells one write from another. Beside the calls stand `@<step>@<generation>`
//! with `number|attempt|id` of its last call (or of the one that is open), so that an intent need not look at all of them,
//! and `spent` with what the calls take of the run's budget.
//!
//! What becomes of a call is worked out here, by the rules of [`Call`], and written if the call is still what was read.

use super::connection::random;
use super::encoding;
use super::ownership::ms;
use super::reads::FIELD;
use super::scripts;
use super::store::Inner;
use crate::ledger::{Call, CallState, Fact, Intended, Intent, Noted, Refusal, Turn};
use crate::limits;
use crate::{CANCEL_FIELD, StoreError, void_field};
use ::redis::cmd;
use darkroom_proto::{CallId, Money, RunId, StepPath, Timestamp};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How long calls are kept of a run that the store does not have: it was lost with them, or comes back as they do.
const LOST_CALLS_KEPT: Duration = Duration::from_secs(7 * 24 * 3_600);

/// How many calls of a step are asked for at once: hardly any has more.
const FEW: u32 = 4;

/// How many calls are remembered as they were written.
const WRITTEN_MAX: usize = 4_096;

/// How often a write is tried that others get ahead of.
const TRIES_MAX: usize = 64;

/// The largest amount that is stored, a thousand million dollars: sums of such stay exact in scripts.
const AMOUNT_MAX: Money = Money(1 << 50);

impl Inner {
    pub(super) async fn intent(&self, intent: &Intent) -> Result<Intended, StoreError> {
        limits::check_intent(intent)?;
        let (run, lane) = (intent.run, self.lane(self.keys.shard_of(intent.run)));
        let place = place(&intent.step, intent.generation);
        let keys = [self.keys.run(run), self.keys.claims(run), self.keys.calls(run)];
        let mut number = 1;
        for _ in 0..TRIES_MAX {
            // The times are those of the store, which the script knows.
            let wanted = Call::intended(intent, number, Timestamp(0));
            let stored = encoding::encode(&wanted)?;
            let mut call = scripts::INTENT.call(&keys, stored.len() + 1_024);
            call.arg(&place).arg(intent.token.0).arg(intent.attempt).arg(field(CANCEL_FIELD));
            call.arg(field(&void_field(&intent.step, intent.generation))).arg(amount(intent.price));
            match intent.budget {
                Some(budget) => call.arg(amount(budget)),
                None => call.arg(""),
            };
            call.arg(number).arg(wanted.id.as_str()).arg(ms(intent.send_within.to_std())).arg(random()).arg(stored);
            let (word, said): (String, Vec<u8>) = lane.send("the answer to an intent", &call).await?;
            let said_number = || std::str::from_utf8(&said).ok().and_then(|said| said.parse::<u64>().ok());
            return Ok(match (word.as_str(), intent.budget) {
                ("granted", _) => {
                    let call = Kept::decode(&said)?.call;
                    self.written.put(&call.id, said);
                    Intended::Granted(call)
                }
                ("open", _) => Intended::Open(Kept::decode(&said)?.call),
                ("stale", _) => Intended::Refused(Refusal::Stale),
                ("cancelled", _) => Intended::Refused(Refusal::Cancelled),
                ("ended", _) => Intended::Refused(Refusal::Ended),
                ("over", Some(budget)) => {
                    let spent = said_number().map_or(Money::ZERO, Money);
                    Intended::Refused(Refusal::OverBudget { spent, budget })
                }
                ("again", _) => {
                    number = said_number().and_then(|next| u32::try_from(next).ok()).unwrap_or(number);
                    continue;
                }
                (other, _) => return Err(corrupt(format!("unexpected reply `{other}`"))),
            });
        }
        Err(StoreError::Unavailable(format!("the calls of {run} change all the time")))
    }

    pub(super) async fn note(&self, run: RunId, id: &CallId, fact: &Fact) -> Result<Option<Noted>, StoreError> {
        limits::check_fact(fact)?;
        Ok(self.change(run, id, |call| call.note(fact)).await?.map(|changed| changed.noted))
    }

    pub(super) async fn turn(
        &self,
        run: RunId,
        id: &CallId,
        turn: u32,
        next_at: Timestamp,
    ) -> Result<Turn, StoreError> {
        let take = |call: &mut Call| {
            call.take_turn(turn, next_at);
        };
        let changed = self.change(run, id, take).await?;
        Ok(match changed {
            None => Turn::Unknown,
            Some(changed) if changed.is_new => Turn::Taken(changed.noted),
            Some(_) => Turn::Passed,
        })
    }

    pub(super) async fn restore(&self, run: RunId, call: &Call) -> Result<(), StoreError> {
        limits::check_call(call)?;
        let stored = Kept { token: 0, call: call.clone() }.encode()?;
        let mut restore = scripts::RESTORE.call(&[self.keys.run(run), self.keys.calls(run)], stored.len() + 1_024);
        restore.arg(call.id.as_str()).arg(stored).arg(place(&call.step, call.generation)).arg(call.number);
        restore.arg(call.attempt).arg(amount(call.charged())).arg(ms(LOST_CALLS_KEPT));
        self.lane(self.keys.shard_of(run)).send("that a call is back", &restore).await
    }

    pub(super) async fn calls(&self, run: RunId) -> Result<Vec<Call>, StoreError> {
        let mut get = cmd("HGETALL");
        get.arg(self.keys.calls(run));
        let stored: Vec<(Vec<u8>, Vec<u8>)> =
            self.lane(self.keys.shard_of(run)).send("the calls of a run", &get).await?;
        let of_calls = stored.iter().filter(|(name, _)| name.starts_with(b"c_"));
        let mut calls =
            of_calls.map(|(_, value)| Ok(Kept::decode(value)?.call)).collect::<Result<Vec<_>, StoreError>>()?;
        calls.sort_by(Call::in_order);
        Ok(calls)
    }

    pub(super) async fn call(&self, run: RunId, id: &CallId) -> Result<Option<Call>, StoreError> {
        let mut get = cmd("HGET");
        get.arg(self.keys.calls(run)).arg(id.as_str());
        let stored: Option<Vec<u8>> = self.lane(self.keys.shard_of(run)).send("a call", &get).await?;
        stored.map(|stored| Ok(Kept::decode(&stored)?.call)).transpose()
    }

    pub(super) async fn calls_of(&self, run: RunId, step: &StepPath, generation: u32) -> Result<Vec<Call>, StoreError> {
        let mut get = cmd("HMGET");
        get.arg(self.keys.calls(run)).arg(format!("@{}", place(step, generation)));
        for number in 1..=FEW {
            get.arg(CallId::new(run, step, generation, number).as_str());
        }
        let mut stored: Vec<Option<Vec<u8>>> =
            self.lane(self.keys.shard_of(run)).send("the calls of a step", &get).await?;
        let newest = if stored.is_empty() { None } else { stored.remove(0) };
        let digits = newest.as_deref().and_then(|newest| newest.split(|&byte| byte == b'|').next());
        let last = digits.and_then(|digits| std::str::from_utf8(digits).ok()?.parse::<u32>().ok());
        if last.is_some_and(|last| last > FEW) {
            let mut calls = self.calls(run).await?;
            calls.retain(|call| call.step == *step && call.generation == generation);
            calls.sort_by_key(|call| call.number);
            return Ok(calls);
        }
        stored.iter().flatten().map(|value| Ok(Kept::decode(value)?.call)).collect()
    }

    pub(super) async fn flag_cancelled(&self, run: RunId) -> Result<(), StoreError> {
        let mut flag = scripts::CANCEL.call(&[self.keys.run(run)], 32);
        flag.arg(field(CANCEL_FIELD));
        self.lane(self.keys.shard_of(run)).send("that a run is flagged", &flag).await
    }

    /// A call as it is stored, and whether its run is cancelled.
    async fn read_call(&self, run: RunId, id: &CallId) -> Result<(Option<Vec<u8>>, bool), StoreError> {
        let mut read = ::redis::pipe();
        read.cmd("HGET").arg(self.keys.calls(run)).arg(id.as_str());
        read.cmd("HEXISTS").arg(self.keys.run(run)).arg(field(CANCEL_FIELD));
        let mut replies = self.lane(self.keys.shard_of(run)).send_all(&read).await?;
        Ok((replies.next("a call")?, replies.next("whether a run is cancelled")?))
    }

    /// Changes a call, over again if somebody else changed it in between. Nothing, if it is not there.
    async fn change(&self, run: RunId, id: &CallId, change: impl Fn(&mut Call)) -> Result<Option<Changed>, StoreError> {
        let (keys, lane) = ([self.keys.run(run), self.keys.calls(run)], self.lane(self.keys.shard_of(run)));
        // Whoever wrote the call last knows how it is; the script compares, and tells if that is so no more.
        let mut stored = self.written.take(id);
        let (mut cancelled, mut is_read) = (false, stored.is_none());
        if is_read {
            (stored, cancelled) = self.read_call(run, id).await?;
        }
        for _ in 0..TRIES_MAX {
            let Some(before) = stored else { return Ok(None) };
            let mut kept = Kept::decode(&before)?;
            let charged = kept.call.charged();
            let unchanged = kept.call.clone();
            change(&mut kept.call);
            let void = field(&void_field(&kept.call.step, kept.call.generation));
            if kept.call == unchanged {
                if !is_read {
                    // Nothing is to be written, and so nothing would tell whether it is out of date.
                    (stored, cancelled) = self.read_call(run, id).await?;
                    is_read = true;
                    continue;
                }
                if !cancelled {
                    let mut read = ::redis::cmd("HEXISTS");
                    read.arg(&keys[0]).arg(&void);
                    cancelled = lane.send("whether a step was called off", &read).await?;
                }
                return Ok(Some(Changed { noted: Noted { call: unchanged, cancelled }, is_new: false }));
            }
            let more = i128::from(amount(kept.call.charged())) - i128::from(amount(charged));
            let after = kept.encode()?;
            let mut write = scripts::CALL.call(&keys, before.len() + after.len() + void.len() + 128);
            write.arg(id.as_str()).arg(&before).arg(&after).arg(more.to_string());
            write.arg(field(CANCEL_FIELD)).arg(void);
            // Not once, where the answer may be lost: whoever tried again would find a turn taken by somebody unknown.
            let what = "whether a call is noted";
            let answer = match lane.send(what, &write).await {
                Err(StoreError::Unreachable { .. }) => lane.send(what, &write).await,
                answer => answer,
            };
            let is_done: bool;
            (is_done, stored, cancelled) = answer?;
            is_read = true;
            if is_done {
                if !kept.call.state.is_closed() {
                    self.written.put(id, after);
                }
                return Ok(Some(Changed { noted: Noted { call: kept.call, cancelled }, is_new: true }));
            }
        }
        Err(StoreError::Unavailable(format!("{id} changes all the time")))
    }
}

/// The open calls that this process wrote last, as they were stored: to change one it need not be read first.
///
/// They are guesses, because others may have changed them since. Each is used once, and comes back with the write that it
/// leads to.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<HashMap<CallId, Vec<u8>>>);

impl Written {
    fn put(&self, id: &CallId, stored: Vec<u8>) {
        let mut calls = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= WRITTEN_MAX {
            // Which of them are of no use any more is not known here; to read a call once more costs little.
            calls.clear();
        }
        calls.insert(id.clone(), stored);
    }

    fn take(&self, id: &CallId) -> Option<Vec<u8>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(id)
    }
}

/// A call after somebody was to change it.
struct Changed {
    noted: Noted,
    /// Whether it is another one than before.
    is_new: bool,
}

/// A call as it is stored.
struct Kept {
    /// Who wrote its intent; 0 if that is not known any more.
    token: u64,
    call: Call,
}

impl Kept {
    fn encode(&self) -> Result<Vec<u8>, StoreError> {
        let kind = match self.call.state {
            CallState::Intent => 'i',
            state if state.is_closed() => 'c',
            _ => 'o',
        };
        let Call { at, send_by, .. } = &self.call;
        let mut stored = format!("{kind}|{}|{}|{}|{}|", self.token, at.0, send_by.0, random()).into_bytes();
        // The times stand in one place only.
        let timeless = Call { at: Timestamp(0), send_by: Timestamp(0), ..self.call.clone() };
        stored.extend(encoding::encode(&timeless)?);
        Ok(stored)
    }

    fn decode(stored: &[u8]) -> Result<Kept, StoreError> {
        let mut parts = stored.splitn(6, |&byte| byte == b'|').skip(1);
        let mut number = || {
            let text = std::str::from_utf8(parts.next()?).ok()?;
            text.parse::<u64>().ok()
        };
        let numbers = (number(), number(), number(), number());
        let (Some(token), Some(at), Some(send_by), Some(_)) = numbers else {
            return Err(corrupt("it has no times".to_owned()));
        };
        let mut call: Call = encoding::decode("a call", parts.next().unwrap_or_default())?;
        (call.at, call.send_by) = (Timestamp(at), Timestamp(send_by));
        Ok(Kept { token, call })
    }
}

fn corrupt(why: String) -> StoreError {
    StoreError::Corrupt { what: "a call".to_owned(), why }
}

/// A step in a generation, as claims and calls have it.
fn place(step: &StepPath, generation: u32) -> String {
    format!("{step}@{generation}")
}

/// The name of a run's field as it is stored.
fn field(name: &str) -> String {
    format!("{FIELD}{name}")
}

/// An amount as it is stored.
pub(super) fn amount(money: Money) -> u64 {
    money.min(AMOUNT_MAX).0
}
