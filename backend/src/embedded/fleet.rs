//! Who takes part, and who has claimed which step: true as long as the process lives, so kept in memory only.

use crate::{Claim, Member, Role, Token};
use darkroom_proto::{Duration, RunId, StepPath, Timestamp};
use std::collections::BTreeMap;

/// The members and claims of an embedded store.
#[derive(Debug, Default)]
pub(super) struct Fleet {
    members: BTreeMap<(Role, String), (Timestamp, Vec<u8>)>,
    claims: BTreeMap<RunId, BTreeMap<(StepPath, u32), Claim>>,
    last_token: u64,
}

impl Fleet {
    pub(super) fn announce(&mut self, role: Role, member: &Member, now: Timestamp, ttl: std::time::Duration) {
        let until = now.after(Duration(ttl.as_millis() as u64));
        self.members.insert((role, member.id.clone()), (until, member.info.clone()));
    }

    pub(super) fn leave(&mut self, role: Role, id: &str) {
        self.members.remove(&(role, id.to_owned()));
    }

    pub(super) fn members(&mut self, role: Role, now: Timestamp) -> Vec<Member> {
        self.members.retain(|_, (until, _)| *until > now);
        let of_role = self.members.iter().filter(|((member_role, _), _)| *member_role == role);
        of_role.map(|((_, id), (_, info))| Member { id: id.clone(), info: info.clone() }).collect()
    }

    pub(super) fn claim(
        &mut self,
        run: RunId,
        step: &StepPath,
        generation: u32,
        attempt: u32,
        worker: &str,
        now: Timestamp,
    ) -> Token {
        self.last_token = (now.0 * 1_000).max(self.last_token + 1);
        let token = Token(self.last_token);
        let claims = self.claims.entry(run).or_default();
        let last = claims.get(&(step.clone(), generation)).filter(|last| last.attempt == attempt);
        let times = last.map_or(1, |last| last.times.saturating_add(1));
        let worker = worker.to_owned();
        let claim = Claim { step: step.clone(), generation, attempt, worker, token, times, since: now };
        claims.insert((step.clone(), generation), claim);
        token
    }

    pub(super) fn holds(&self, run: RunId, step: &StepPath, generation: u32, token: Token) -> bool {
        let claim = self.claims.get(&run).and_then(|claims| claims.get(&(step.clone(), generation)));
        claim.is_some_and(|claim| claim.token == token)
    }

    /// Whether this is the claim of that attempt, and nobody has claimed the step since.
    pub(super) fn holds_for(&self, run: RunId, step: &StepPath, generation: u32, attempt: u32, token: Token) -> bool {
        let claim = self.claims.get(&run).and_then(|claims| claims.get(&(step.clone(), generation)));
        claim.is_some_and(|claim| claim.token == token && claim.attempt == attempt)
    }

    pub(super) fn claims(&self, run: RunId) -> Vec<Claim> {
        self.claims.get(&run).map(|claims| claims.values().cloned().collect()).unwrap_or_default()
    }

    /// The run has ended.
    pub(super) fn forget(&mut self, run: RunId) {
        self.claims.remove(&run);
    }
}
