//! Which provider and key a call is made with.

use super::inputs::{canonical, files_without_bytes};
use super::{Caller, Stuck, next_id};
use crate::providers::{Account, Key};
use darkroom_backend::{Call, CallState, Condition, Fitness, Ledger, Store};
use darkroom_proto::model::{self, Route};
use darkroom_proto::{Duration, ErrorClass, StepError, StepMessage, Timestamp};
use darkroom_provider::Ask;
use std::sync::Arc;

/// After so many failures of one route the next one is tried first.
const FAILURES_PER_ROUTE: usize = 2;

/// For how long one caller may try something that was out of order.
const PROBE_HOLD: Duration = Duration::from_secs(20);

/// Somebody who can be called.
pub(super) struct Candidate {
    pub(super) account: Arc<Account>,
    pub(super) route: &'static Route,
    pub(super) key: Key,
}

/// Whom to call, or why there is nobody.
pub(super) enum Choice {
    Call(Candidate),
    /// Nobody now: come back then, without using an attempt.
    Later {
        at: Timestamp,
        reason: String,
    },
    Nobody(StepError),
}

/// The route of a model at a provider.
pub(super) fn route_of(model: &str, provider: &str, endpoint: &str) -> Option<&'static Route> {
    let of = |known: &&'static model::Model| known.alias == model || model.ends_with(&format!("/{}", known.alias));
    let routes = |known: &'static model::Model| known.routes.iter();
    let mut named = model::all().iter().filter(of).flat_map(routes);
    named.find(|route| route.provider == provider && route.endpoint == endpoint).or_else(|| {
        let mut all = model::all().iter().flat_map(routes);
        all.find(|route| route.provider == provider && route.endpoint == endpoint)
    })
}

impl<S: Store + Ledger> Caller<S> {
    /// Chooses whom to call, after these calls of the step came to nothing.
    pub(super) async fn choose(&self, message: &StepMessage, calls: &[Call], now: Timestamp) -> Result<Choice, Stuck> {
        let name = super::model(message);
        let offers = model::offers(&message.op, &name, &now.to_string()[..10]);
        let mut offers: Vec<(usize, &'static Route)> = offers.into_iter().enumerate().collect();
        let failures = |route: &Route| {
            let on = |call: &&Call| call.provider == route.provider && call.endpoint == route.endpoint;
            calls.iter().filter(on).filter(|call| call.state != CallState::Cancelled).count()
        };
        offers.sort_by_key(|(at, route)| (failures(route) / FAILURES_PER_ROUTE, *at));
        // What it is asked for, without the bytes of its files: whether a route can do it at all.
        let (id, params, files) =
            (next_id(message, calls), canonical(&message.op, &message.params), files_without_bytes(message));
        let mut hindrances = Hindrances::default();
        let mut last_unsupported = None;
        for (_, route) in offers {
            let Some(account) = self.providers.account(&route.provider) else { continue };
            let ask = Ask { op: &message.op, route, params: &params, files: &files, call: &id, webhook: None };
            if let Err(unsupported) = darkroom_provider::mapping::fits(&ask) {
                last_unsupported = Some(unsupported);
                continue;
            }
            let conditions = self.conditions(&route.provider).await?;
            let of = |what: String| conditions.iter().find(|condition| condition.of == what);
            if !self.is_usable(&route.provider, of(format!("route/{}", route.endpoint)), now, &mut hindrances).await? {
                continue;
            }
            for key in &account.keys {
                let condition = of(format!("key/{}", key.fingerprint));
                if self.is_usable(&route.provider, condition, now, &mut hindrances).await? {
                    return Ok(Choice::Call(Candidate { account: account.clone(), route, key: key.clone() }));
                }
            }
        }
        Ok(hindrances.choice(message, &name, last_unsupported, now))
    }

    /// Whether a key or a route may be used: nothing is wrong with it, or it is this caller's to find out.
    async fn is_usable(
        &self,
        provider: &str,
        condition: Option<&Condition>,
        now: Timestamp,
        hindrances: &mut Hindrances,
    ) -> Result<bool, Stuck> {
        let Some(condition) = condition.filter(|condition| condition.state != Fitness::Healthy) else {
            return Ok(true);
        };
        if condition.state != Fitness::Disabled
            && condition.until <= now
            && self.insist(|| self.store.probe(provider, &condition.of, PROBE_HOLD)).await?
        {
            return Ok(true);
        }
        hindrances.add(provider, condition, now);
        Ok(false)
    }
}

/// Why the routes and keys of a model can't be used now.
#[derive(Default)]
struct Hindrances {
    cooling: Option<Timestamp>,
    open: Option<(Timestamp, String)>,
    exhausted: Option<String>,
    invalid: Option<String>,
    missing: Option<String>,
    disabled: Option<String>,
}

impl Hindrances {
    fn add(&mut self, provider: &str, condition: &Condition, now: Timestamp) {
        let said = format!("{provider}: {}", condition.note);
        let until = condition.until.max(now.after(Duration::from_secs(1)));
        match condition.state {
            Fitness::Cooling => self.cooling = Some(self.cooling.map_or(until, |before| before.min(until))),
            Fitness::Open => {
                let sooner = self.open.as_ref().is_none_or(|(before, _)| until < *before);
                if sooner {
                    self.open = Some((until, said));
                }
            }
            Fitness::Exhausted => self.exhausted = Some(said),
            Fitness::Invalid => self.invalid = Some(said),
            Fitness::Missing => self.missing = Some(said),
            Fitness::Disabled => self.disabled = Some(said),
            Fitness::Healthy => {}
        }
    }

    /// What to do when nobody can be called. A key that cools down comes back by itself, so the step only waits; the rest
    /// is an error of the class that is most likely to pass.
    fn choice(self, message: &StepMessage, model: &str, unsupported: Option<StepError>, now: Timestamp) -> Choice {
        let waited = message.deferred_since.map_or(Duration(0), |since| now.since(since));
        let retry_after = |error: StepError, at: Timestamp| StepError { retry_after: Some(at.since(now)), ..error };
        if let Some(at) = self.cooling {
            if waited < message.timeout.max(Duration::from_secs(600)) {
                return Choice::Later { at, reason: format!("a key for {model} that was used too often") };
            }
            let error = StepError::new(ErrorClass::RateLimit, format!("every key for `{model}` is used too often"));
            return Choice::Nobody(retry_after(error.code("keys_cooling").advice(RATE_ADVICE), at));
        }
        if let Some((at, said)) = self.open {
            let error =
                StepError::new(ErrorClass::ServerUnavailable, format!("no route of `{model}` works now: {said}"));
            return Choice::Nobody(retry_after(error.code("circuit_open").advice(OPEN_ADVICE), at));
        }
        let nobody = |class, code: &str, text: String, advice: &str| {
            Choice::Nobody(StepError::new(class, text).code(code).advice(advice))
        };
        if let Some(said) = self.exhausted {
            let text = format!("every key for `{model}` has run out of quota: {said}");
            return nobody(ErrorClass::QuotaExceeded, "keys_exhausted", text, QUOTA_ADVICE);
        }
        if let Some(said) = self.invalid {
            let text = format!("every key for `{model}` is refused: {said}");
            return nobody(ErrorClass::InvalidKey, "keys_invalid", text, KEY_ADVICE);
        }
        if let Some(error) = unsupported {
            let advice = "leave the parameter out, take `strict` away, or choose another model";
            return Choice::Nobody(if error.advice.is_empty() { error.advice(advice) } else { error });
        }
        let why = self.missing.or(self.disabled).map(|said| format!(": {said}")).unwrap_or_default();
        let text = format!("no provider that is configured serves `{model}` for {}{why}", message.op);
        nobody(ErrorClass::ModelNotFound, "no_route", text, ROUTE_ADVICE)
    }
}

const RATE_ADVICE: &str = "add a key, lower the number of steps at once (`max-parallel`), or wait";
const OPEN_ADVICE: &str =
    "the provider has trouble; it is tried again by itself. `darkroom providers list` shows what is known";
const QUOTA_ADVICE: &str = "top up the account or add a key of another; the run goes on by itself then";
const KEY_ADVICE: &str = "replace the key (DARKROOM__PROVIDERS__<NAME>__KEYS); the run goes on by itself then";
const ROUTE_ADVICE: &str =
    "`darkroom providers models` lists who offers the model; set a key of one of them, or use `model: local`";
