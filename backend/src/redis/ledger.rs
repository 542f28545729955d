//! [`Ledger`] on Redis.

use super::store::RedisStore;
use crate::StoreError;
use crate::ledger::{
    Admission, Call, Condition, Fact, Intended, Intent, Ledger, Limit, Noted, Purse, Reservation, Sighting, Spent, Turn,
};
use darkroom_proto::{CallId, Duration, Money, RunId, StepPath, Timestamp};
use serde_json::Value;

impl Ledger for RedisStore {
    async fn epoch(&self) -> Result<String, StoreError> {
        self.inner.life().await
    }

    async fn secret(&self) -> Result<String, StoreError> {
        self.inner.secret().await
    }

    async fn intent(&self, intent: &Intent) -> Result<Intended, StoreError> {
        self.inner.intent(intent).await
    }

    async fn note(&self, run: RunId, call: &CallId, fact: &Fact) -> Result<Option<Noted>, StoreError> {
        self.inner.note(run, call, fact).await
    }

    async fn restore(&self, run: RunId, call: &Call) -> Result<(), StoreError> {
        self.inner.restore(run, call).await
    }

    async fn turn(&self, run: RunId, call: &CallId, turn: u32, next_at: Timestamp) -> Result<Turn, StoreError> {
        self.inner.turn(run, call, turn, next_at).await
    }

    async fn calls(&self, run: RunId) -> Result<Vec<Call>, StoreError> {
        self.inner.calls(run).await
    }

    async fn call(&self, run: RunId, id: &CallId) -> Result<Option<Call>, StoreError> {
        self.inner.call(run, id).await
    }

    async fn calls_of(&self, run: RunId, step: &StepPath, generation: u32) -> Result<Vec<Call>, StoreError> {
        self.inner.calls_of(run, step, generation).await
    }

    async fn flag_cancelled(&self, run: RunId) -> Result<(), StoreError> {
        self.inner.flag_cancelled(run).await
    }

    async fn admit(&self, call: &CallId, limits: &[Limit], hold: Duration) -> Result<Admission, StoreError> {
        self.inner.admit(call, limits, hold).await
    }

    async fn give_back(&self, call: &CallId, limits: &[String]) -> Result<(), StoreError> {
        self.inner.leave_limits(call, limits).await
    }

    async fn reserve(
        &self,
        call: &CallId,
        price: Money,
        purses: &[Purse],
        hold: Duration,
    ) -> Result<Reservation, StoreError> {
        self.inner.reserve(call, price, purses, hold).await
    }

    async fn book(&self, call: &CallId, cost: Money, purses: &[Purse]) -> Result<(), StoreError> {
        self.inner.book(call, cost, purses).await
    }

    async fn spent(&self, days: u32) -> Result<Vec<Spent>, StoreError> {
        self.inner.spent(days).await
    }

    async fn saw(&self, provider: &str, of: &str, sighting: &Sighting) -> Result<Condition, StoreError> {
        self.inner.saw(provider, of, sighting).await
    }

    async fn forget_condition(&self, provider: &str, of: &str) -> Result<(), StoreError> {
        self.inner.forget_condition(provider, of).await
    }

    async fn conditions(&self, provider: &str) -> Result<Vec<Condition>, StoreError> {
        self.inner.conditions(provider).await
    }

    async fn probe(&self, provider: &str, of: &str, hold: Duration) -> Result<bool, StoreError> {
        self.inner.probe(provider, of, hold).await
    }

    async fn announce_keys(&self, provider: &str, fingerprints: &[String]) -> Result<(), StoreError> {
        self.inner.announce_keys(provider, fingerprints).await
    }

    async fn keep_trust(&self, provider: &str, trust: &Value) -> Result<(), StoreError> {
        self.inner.keep_trust(provider, trust).await
    }

    async fn trust(&self, provider: &str) -> Result<Option<Value>, StoreError> {
        self.inner.trust(provider).await
    }

    async fn keys(&self, provider: &str) -> Result<Vec<String>, StoreError> {
        self.inner.announced_keys(provider).await
    }

    async fn relief(&self) -> Result<u64, StoreError> {
        self.inner.relief().await
    }
}
