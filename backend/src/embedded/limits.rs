//! Who is let in by limits: true as long as the process lives, so kept in memory only. The rules are those of the script of
//! the fleet's store.

use crate::ledger::{Admission, Limit, slack, wait_for_place};
use darkroom_proto::{CallId, Duration, Timestamp};
use std::collections::{BTreeMap, HashMap, HashSet};

/// When somebody asks again whom a limit lets in never.
const NEVER_WAIT_MICROS: u64 = 10_000_000;

/// The limits of an embedded store by name. There are as many as are configured, so none is ever forgotten.
#[derive(Debug, Default)]
pub(super) struct Limits {
    limits: HashMap<String, Gate>,
    /// The number of whoever came to wait last.
    arrivals: u64,
}

/// One limit. Times are in microseconds.
#[derive(Debug, Default)]
struct Gate {
    /// Who is in, and until when.
    held: HashMap<CallId, u64>,
    /// Who waits for a place, in the order in which they came.
    queue: BTreeMap<u64, CallId>,
    /// Who waits for anything.
    waiters: HashMap<CallId, Waiter>,
    /// Up to when the rate is used by those who began.
    used: u64,
    /// Up to when the rate is used by those and by whoever has a turn.
    given: u64,
}

/// Somebody who was refused.
#[derive(Debug, Default)]
struct Waiter {
    /// The place in the queue.
    arrival: Option<u64>,
    /// When it has its turn.
    turn: Option<u64>,
    /// When it counts as gone.
    lapse: u64,
}

/// What is in the way, and until when.
struct Later<'a> {
    at: u64,
    limit: &'a str,
}

impl Gate {
    fn forget_lapsed(&mut self, now: u64) {
        self.held.retain(|_, until| *until > now);
        let queue = &mut self.queue;
        self.waiters.retain(|_, waiter| {
            let stays = waiter.lapse > now;
            if let (false, Some(arrival)) = (stays, waiter.arrival) {
                queue.remove(&arrival);
            }
            stays
        });
    }

    fn forget_waiter(&mut self, call: &CallId) {
        if let Some(arrival) = self.waiters.remove(call).and_then(|waiter| waiter.arrival) {
            self.queue.remove(&arrival);
        }
    }

    fn turn(&self, call: &CallId) -> Option<u64> {
        self.waiters.get(call)?.turn
    }

    /// How many wait before this call.
    fn ahead(&self, call: &CallId) -> usize {
        match self.waiters.get(call).and_then(|waiter| waiter.arrival) {
            Some(arrival) => self.queue.range(..arrival).count(),
            None => self.queue.len(),
        }
    }

    /// How many wait before this call, if it has to wait as well.
    fn is_full(&self, call: &CallId, places: Option<u32>) -> Option<usize> {
        let ahead = self.ahead(call);
        let is_full = ahead + self.held.len() >= places? as usize;
        is_full.then_some(ahead)
    }
}

impl Limits {
    pub(super) fn admit(&mut self, call: &CallId, limits: &[Limit], hold: Duration, now: Timestamp) -> Admission {
        let now = now.0.saturating_mul(1_000);
        let mut names = HashSet::new();
        let wanted: Vec<&Limit> = limits.iter().filter(|limit| names.insert(limit.name.as_str())).collect();
        wanted.iter().for_each(|limit| self.gate(limit).forget_lapsed(now));
        // Those that the call is in already ask for nothing more.
        let open: Vec<&Limit> =
            wanted.iter().copied().filter(|limit| !self.gate(limit).held.contains_key(call)).collect();
        let later = match self.later_for_place(call, &open, hold, now) {
            Some(later) => Some(later),
            None => self.later_for_rate(call, &open, now),
        };
        let Some(Later { at, limit }) = later else {
            for limit in wanted {
                let gate = self.gate(limit);
                gate.forget_waiter(call);
                gate.held.insert(call.clone(), now.saturating_add(hold.0.saturating_mul(1_000)));
            }
            return Admission::Admitted;
        };
        let lapse = at.saturating_add(slack(hold).0.saturating_mul(1_000));
        for wanted in open {
            if let Some(waiter) = self.gate(wanted).waiters.get_mut(call) {
                waiter.turn = waiter.turn.map(|turn| turn.max(at));
                waiter.lapse = lapse;
            }
        }
        Admission::Later { at: Timestamp(at.div_ceil(1_000)), limit: limit.to_owned() }
    }

    pub(super) fn leave(&mut self, call: &CallId, limits: &[String]) {
        for name in limits {
            if let Some(gate) = self.limits.get_mut(name) {
                gate.forget_waiter(call);
                gate.held.remove(call);
            }
        }
    }

    fn gate(&mut self, limit: &Limit) -> &mut Gate {
        self.limits.entry(limit.name.clone()).or_default()
    }

    /// Has the call wait where there is no place, or if it came before its turn.
    fn later_for_place<'a>(
        &mut self,
        call: &CallId,
        open: &[&'a Limit],
        hold: Duration,
        now: u64,
    ) -> Option<Later<'a>> {
        let mut later: Option<Later<'a>> = None;
        let mut full = Vec::new();
        for limit in open {
            let gate = self.gate(limit);
            if let Some(ahead) = gate.is_full(call, limit.at_once) {
                full.push(*limit);
                later = latest(later, now + wait_for_place(hold, ahead).0 * 1_000, &limit.name);
            }
            if let Some(turn) = gate.turn(call).filter(|&turn| turn > now) {
                later = latest(later, turn, &limit.name);
            }
        }
        for limit in full {
            self.arrivals += 1;
            let arrival = self.arrivals;
            let gate = self.gate(limit);
            let waiter = gate.waiters.entry(call.clone()).or_default();
            if waiter.arrival.is_none() {
                waiter.arrival = Some(arrival);
                gate.queue.insert(arrival, call.clone());
            }
        }
        later
    }

    /// Uses the rates, or gives the call a turn where one is used up.
    fn later_for_rate<'a>(&mut self, call: &CallId, open: &[&'a Limit], now: u64) -> Option<Later<'a>> {
        let rates: Vec<(&'a Limit, u64, u64)> = open
            .iter()
            .filter_map(|limit| {
                let (burst, span) = limit.rate.filter(|(_, span)| span.0 > 0)?;
                Some((*limit, u64::from(burst), span.0.saturating_mul(1_000)))
            })
            .collect();
        let mut later: Option<Later<'a>> = None;
        let mut early = HashSet::new();
        for (limit, burst, span) in &rates {
            let gate = self.gate(limit);
            let Some(interval) = interval(*span, *burst) else {
                later = latest(later, now + NEVER_WAIT_MICROS, &limit.name);
                continue;
            };
            let used = if gate.turn(call).is_some() { gate.used } else { gate.used.max(gate.given) };
            let earliest = used.saturating_sub(span.saturating_sub(interval));
            if earliest > now {
                early.insert(limit.name.as_str());
                later = latest(later, earliest, &limit.name);
            }
        }
        for (limit, burst, span) in &rates {
            let Some(interval) = interval(*span, *burst) else { continue };
            let gate = self.gate(limit);
            let has_turn = gate.turn(call).is_some();
            let is_early = early.contains(limit.name.as_str());
            if !has_turn && (is_early || later.is_none()) {
                gate.given = gate.given.max(gate.used).max(now) + interval;
            }
            match &later {
                None => gate.used = gate.used.max(now) + interval,
                Some(Later { at, .. }) if is_early => {
                    gate.waiters.entry(call.clone()).or_default().turn.get_or_insert(*at);
                }
                Some(_) => {}
            }
        }
        if later.is_some() {
            // Who waits for a turn is not to keep others from a place.
            for limit in open {
                let gate = self.gate(limit);
                if let Some(arrival) = gate.waiters.get_mut(call).and_then(|waiter| waiter.arrival.take()) {
                    gate.queue.remove(&arrival);
                }
            }
        }
        later
    }
}

/// The time between two who begin; nothing, if nobody may.
fn interval(span: u64, burst: u64) -> Option<u64> {
    // Rounded up, so that there are never more.
    (burst > 0).then(|| span.div_ceil(burst))
}

fn latest<'a>(later: Option<Later<'a>>, at: u64, limit: &'a str) -> Option<Later<'a>> {
    match later {
        Some(later) if later.at >= at => Some(later),
        _ => Some(Later { at, limit }),
    }
}
