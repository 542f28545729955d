//! Who is let in by limits: sorted sets of calls, and a rate by the time up to which it is used.

use super::scripts;
use super::store::Inner;
use crate::ledger::{Admission, Limit, slack};
use crate::{StoreError, limits};
use darkroom_proto::{CallId, Duration, Timestamp};
use std::collections::BTreeSet;

impl Inner {
    pub(super) async fn admit(&self, call: &CallId, wanted: &[Limit], hold: Duration) -> Result<Admission, StoreError> {
        limits::check_names(wanted.iter().map(|limit| limit.name.as_str()))?;
        let mut names = BTreeSet::new();
        let wanted: Vec<&Limit> = wanted.iter().filter(|limit| names.insert(limit.name.as_str())).collect();
        if wanted.is_empty() {
            return Ok(Admission::Admitted);
        }
        let keys: Vec<String> = wanted.iter().flat_map(|limit| self.keys.limit(&limit.name)).collect();
        let mut admit = scripts::ADMIT.call(&keys, 128 + 48 * wanted.len());
        admit.arg(call.as_str()).arg(hold.0.min(HOLD_MAX)).arg(slack(hold).0.min(HOLD_MAX));
        for limit in &wanted {
            match limit.at_once {
                Some(places) => admit.arg(places),
                None => admit.arg(""),
            };
            match limit.rate.filter(|(_, span)| span.0 > 0) {
                Some((burst, span)) => admit.arg(burst).arg(span.0.min(HOLD_MAX)),
                None => admit.arg("").arg(""),
            };
        }
        let (in_the_way, at): (usize, u64) = self.connection().send("whether a call is let in", &admit).await?;
        Ok(match in_the_way.checked_sub(1).and_then(|at| wanted.get(at)) {
            Some(limit) => Admission::Later { at: Timestamp(at), limit: limit.name.clone() },
            None => Admission::Admitted,
        })
    }

    pub(super) async fn leave_limits(&self, call: &CallId, names: &[String]) -> Result<(), StoreError> {
        limits::check_names(names.iter().map(String::as_str))?;
        // But for the rates, which what is over does not give back.
        let keys: Vec<String> = names.iter().flat_map(|name| self.keys.limit(name).into_iter().take(4)).collect();
        if keys.is_empty() {
            return Ok(());
        }
        let mut leave = scripts::LEAVE.call(&keys, 64);
        leave.arg(call.as_str());
        self.connection().send("that a call has left", &leave).await
    }
}

/// The longest span that is taken, ten years: what is added to it stays exact.
const HOLD_MAX: u64 = 10 * 365 * 86_400_000;
