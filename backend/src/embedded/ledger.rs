//! [`Ledger`] on the file of one process.

use super::store::EmbeddedStore;
use crate::ledger::{
    Admission, Call, Condition, Fact, Intended, Intent, Ledger, Limit, Noted, Purse, Reservation, Sighting, Spent, Turn,
};
use crate::{StoreError, limits};
use darkroom_proto::{CallId, Duration, Money, RunId, StepPath, Timestamp};
use serde_json::Value;

impl Ledger for EmbeddedStore {
    /// What was acknowledged is in the file, so there is only one life.
    async fn epoch(&self) -> Result<String, StoreError> {
        Ok("embedded".to_owned())
    }

    /// One for each life of the process: nobody outside of it is told the URLs that are made with it.
    async fn secret(&self) -> Result<String, StoreError> {
        Ok(self.file().conditions().secret())
    }

    async fn intent(&self, intent: &Intent) -> Result<Intended, StoreError> {
        let intent = intent.clone();
        self.blocking(move |file| file.intent(&intent)).await
    }

    async fn note(&self, run: RunId, call: &CallId, fact: &Fact) -> Result<Option<Noted>, StoreError> {
        let (call, fact) = (call.clone(), fact.clone());
        self.blocking(move |file| file.note(run, &call, &fact)).await
    }

    async fn restore(&self, run: RunId, call: &Call) -> Result<(), StoreError> {
        let call = call.clone();
        self.blocking(move |file| file.restore(run, &call)).await
    }

    async fn turn(&self, run: RunId, call: &CallId, turn: u32, next_at: Timestamp) -> Result<Turn, StoreError> {
        let call = call.clone();
        self.blocking(move |file| file.take_turn(run, &call, turn, next_at)).await
    }

    async fn calls(&self, run: RunId) -> Result<Vec<Call>, StoreError> {
        self.blocking(move |file| file.calls(run)).await
    }

    async fn call(&self, run: RunId, id: &CallId) -> Result<Option<Call>, StoreError> {
        let id = id.clone();
        self.blocking(move |file| file.call(run, &id)).await
    }

    async fn calls_of(&self, run: RunId, step: &StepPath, generation: u32) -> Result<Vec<Call>, StoreError> {
        let step = step.clone();
        self.blocking(move |file| file.calls_of(run, &step, generation)).await
    }

    async fn flag_cancelled(&self, run: RunId) -> Result<(), StoreError> {
        self.blocking(move |file| file.flag_cancelled(run)).await
    }

    async fn admit(&self, call: &CallId, wanted: &[Limit], hold: Duration) -> Result<Admission, StoreError> {
        limits::check_names(wanted.iter().map(|limit| limit.name.as_str()))?;
        Ok(self.file().limits().admit(call, wanted, hold, self.file().now()))
    }

    async fn give_back(&self, call: &CallId, names: &[String]) -> Result<(), StoreError> {
        self.file().limits().leave(call, names);
        Ok(())
    }

    async fn reserve(
        &self,
        call: &CallId,
        price: Money,
        purses: &[Purse],
        hold: Duration,
    ) -> Result<Reservation, StoreError> {
        let (call, purses) = (call.clone(), purses.to_vec());
        self.blocking(move |file| file.reserve(&call, price, &purses, hold)).await
    }

    async fn book(&self, call: &CallId, cost: Money, purses: &[Purse]) -> Result<(), StoreError> {
        let (call, purses) = (call.clone(), purses.to_vec());
        self.blocking(move |file| file.book(&call, cost, &purses)).await
    }

    async fn spent(&self, days: u32) -> Result<Vec<Spent>, StoreError> {
        self.blocking(move |file| file.spent(days)).await
    }

    async fn saw(&self, provider: &str, of: &str, sighting: &Sighting) -> Result<Condition, StoreError> {
        limits::check_names([provider, of])?;
        Ok(self.file().conditions().saw(provider, of, sighting, self.file().now()))
    }

    async fn forget_condition(&self, provider: &str, of: &str) -> Result<(), StoreError> {
        self.file().conditions().forget(provider, of);
        Ok(())
    }

    async fn conditions(&self, provider: &str) -> Result<Vec<Condition>, StoreError> {
        Ok(self.file().conditions().all(provider))
    }

    async fn probe(&self, provider: &str, of: &str, hold: Duration) -> Result<bool, StoreError> {
        Ok(self.file().conditions().probe(provider, of, hold, self.file().now()))
    }

    async fn announce_keys(&self, provider: &str, fingerprints: &[String]) -> Result<(), StoreError> {
        limits::check_names(fingerprints.iter().map(String::as_str).chain([provider]))?;
        self.file().conditions().announce_keys(provider, fingerprints);
        Ok(())
    }

    async fn keep_trust(&self, provider: &str, trust: &Value) -> Result<(), StoreError> {
        self.file().conditions().keep_trust(provider, trust);
        Ok(())
    }

    async fn trust(&self, provider: &str) -> Result<Option<Value>, StoreError> {
        Ok(self.file().conditions().trust(provider))
    }

    async fn keys(&self, provider: &str) -> Result<Vec<String>, StoreError> {
        Ok(self.file().conditions().keys(provider))
    }

    async fn relief(&self) -> Result<u64, StoreError> {
        Ok(self.file().conditions().relief())
    }
}
