//! Who takes part, and who has claimed which step.

use super::encoding::{self, StoredClaim};
use super::ownership::ms;
use super::scripts;
use super::store::Inner;
use crate::{Claim, Member, Role, StoreError, Token};
use darkroom_proto::{RunId, StepPath, Timestamp};
use std::time::Duration;

/// How long claims of a run that has ended are kept, for who asks late whether its claim still holds.
const LATE_CLAIMS_KEPT: Duration = Duration::from_secs(24 * 3_600);

impl Inner {
    pub(super) async fn announce(&self, role: Role, member: &Member, ttl: Duration) -> Result<(), StoreError> {
        let mut call = scripts::ANNOUNCE.call(&[self.keys.members(role)], member.id.len() + member.info.len() + 32);
        call.arg(&member.id).arg(&member.info).arg(ms(ttl).min(1 << 50));
        self.connection().send("that a process takes part", &call).await
    }

    pub(super) async fn leave(&self, role: Role, id: &str) -> Result<(), StoreError> {
        let mut leave = ::redis::cmd("HDEL");
        leave.arg(self.keys.members(role)).arg(id);
        self.connection().send("that a process left", &leave).await
    }

    pub(super) async fn members(&self, role: Role) -> Result<Vec<Member>, StoreError> {
        let call = scripts::MEMBERS.call(&[self.keys.members(role)], 0);
        let found: Vec<(String, Vec<u8>)> = self.connection().send("the members", &call).await?;
        let mut members: Vec<Member> = found.into_iter().map(|(id, info)| Member { id, info }).collect();
        members.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(members)
    }

    pub(super) async fn claim(
        &self,
        run: RunId,
        step: &StepPath,
        generation: u32,
        attempt: u32,
        worker: &str,
    ) -> Result<Token, StoreError> {
        let claim = encoding::encode(&StoredClaim { attempt, worker: worker.to_owned() })?;
        let mut call = scripts::CLAIM.call(&[self.keys.run(run), self.keys.claims(run)], claim.len() + 600);
        call.arg(field(step, generation)).arg(claim).arg(ms(LATE_CLAIMS_KEPT)).arg(attempt);
        self.lane(self.keys.shard_of(run)).send("a token", &call).await.map(Token)
    }

    pub(super) async fn holds(
        &self,
        run: RunId,
        step: &StepPath,
        generation: u32,
        token: Token,
    ) -> Result<bool, StoreError> {
        let mut get = ::redis::cmd("HGET");
        get.arg(self.keys.claims(run)).arg(field(step, generation));
        let claim: Option<Vec<u8>> = self.lane(self.keys.shard_of(run)).send("a claim", &get).await?;
        Ok(claim.as_deref().and_then(split).is_some_and(|held| held.token == token))
    }

    pub(super) async fn claims(&self, run: RunId) -> Result<Vec<Claim>, StoreError> {
        let mut get = ::redis::cmd("HGETALL");
        get.arg(self.keys.claims(run));
        let found: Vec<(String, Vec<u8>)> =
            self.lane(self.keys.shard_of(run)).send("the claims of a run", &get).await?;
        let mut claims = Vec::with_capacity(found.len());
        for (field, value) in found {
            claims.push(decode(&field, &value)?);
        }
        claims.sort_by(|one, other| (&one.step, one.generation).cmp(&(&other.step, other.generation)));
        Ok(claims)
    }
}

/// Under what the claim of a step is found.
fn field(step: &StepPath, generation: u32) -> String {
    format!("{step}@{generation}")
}

fn decode(field: &str, value: &[u8]) -> Result<Claim, StoreError> {
    let corrupt = |why: &str| StoreError::Corrupt { what: format!("the claim of {field}"), why: why.to_owned() };
    let (step, generation) = field.rsplit_once('@').ok_or_else(|| corrupt("it has no generation"))?;
    let step = step.parse().map_err(|_| corrupt("it is of no step"))?;
    let generation = generation.parse().map_err(|_| corrupt("its generation is no number"))?;
    let Parts { token, times, stored } = split(value).ok_or_else(|| corrupt("it has no token"))?;
    let StoredClaim { attempt, worker } = encoding::decode("a claim", stored)?;
    Ok(Claim { step, generation, attempt, worker, token, times, since: Timestamp(token.0 / 1_000) })
}

/// A claim as it is stored.
struct Parts<'a> {
    token: Token,
    times: u32,
    stored: &'a [u8],
}

/// Takes a stored claim apart: token, attempt and times as text, then the rest, with `|` between them.
fn split(value: &[u8]) -> Option<Parts<'_>> {
    let mut parts = value.splitn(4, |&byte| byte == b'|');
    let token = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let times = std::str::from_utf8(parts.nth(1)?).ok()?.parse().ok()?;
    Some(Parts { token: Token(token), times, stored: parts.next()? })
}
