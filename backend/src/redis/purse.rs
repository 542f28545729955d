//! What purses spend, by day of UTC, and what is set aside in them.

use super::calls::amount;
use super::ownership::ms;
use super::scripts;
use super::store::Inner;
use crate::ledger::{Purse, Reservation, Spent, day_name, day_of};
use crate::{StoreError, limits};
use darkroom_proto::{CallId, Duration, Money};
use std::collections::{BTreeMap, BTreeSet};

/// How long it is remembered what a call was booked with.
const BOOKED_KEPT: std::time::Duration = std::time::Duration::from_secs(45 * 86_400);

/// How long it is remembered what was spent on a day.
const DAY_KEPT: std::time::Duration = std::time::Duration::from_secs(400 * 86_400);

/// How many days are kept.
const DAYS_MAX: u32 = 400;

impl Inner {
    pub(super) async fn reserve(
        &self,
        call: &CallId,
        price: Money,
        purses: &[Purse],
        hold: Duration,
    ) -> Result<Reservation, StoreError> {
        limits::check_names(purses.iter().map(|purse| purse.name.as_str()))?;
        let mut names = BTreeSet::new();
        let purses: Vec<&Purse> = purses.iter().filter(|purse| names.insert(purse.name.as_str())).collect();
        let bytes: usize = purses.iter().map(|purse| purse.name.len() + 32).sum();
        let mut reserve = scripts::RESERVE.call(&self.spend(call), 128 + bytes);
        reserve.arg(call.as_str()).arg(amount(price)).arg(ms(hold.to_std()));
        for purse in &purses {
            reserve.arg(&purse.name);
            match purse.daily {
                Some(daily) => reserve.arg(amount(daily)),
                None => reserve.arg(""),
            };
        }
        let (short, spent): (usize, u64) = self.connection().send("whether money is set aside", &reserve).await?;
        Ok(match short.checked_sub(1).and_then(|at| purses.get(at)) {
            Some(Purse { name, daily: Some(daily) }) => {
                Reservation::Short { purse: name.clone(), spent: Money(spent), daily: *daily }
            }
            _ => Reservation::Reserved,
        })
    }

    pub(super) async fn book(&self, call: &CallId, cost: Money, purses: &[Purse]) -> Result<(), StoreError> {
        limits::check_names(purses.iter().map(|purse| purse.name.as_str()))?;
        let names: BTreeSet<&str> = purses.iter().map(|purse| purse.name.as_str()).collect();
        let bytes: usize = names.iter().map(|name| name.len() + 16).sum();
        let mut book = scripts::BOOK.call(&self.spend(call), 128 + bytes);
        book.arg(call.as_str()).arg(amount(cost)).arg(ms(BOOKED_KEPT)).arg(ms(DAY_KEPT));
        for name in names {
            book.arg(name);
        }
        self.connection().send("that a call is booked", &book).await
    }

    pub(super) async fn spent(&self, days: u32) -> Result<Vec<Spent>, StoreError> {
        let today = day_of(self.time.now(self.connection()).await?);
        let mut read = ::redis::pipe();
        let days = days.min(DAYS_MAX);
        let start = self.keys.days();
        for day in (0..u64::from(days)).map_while(|ago| today.checked_sub(ago)) {
            read.cmd("HGETALL").arg(format!("{start}{day}"));
        }
        let mut replies = self.connection().send_all(&read).await?;
        let mut spent = Vec::new();
        for day in (0..u64::from(days)).map_while(|ago| today.checked_sub(ago)) {
            let stored: BTreeMap<String, u64> = replies.next("what was spent on a day")?;
            spent.extend(stored.iter().filter_map(|(field, &amount)| {
                let purse = field.strip_prefix("spent/")?;
                let calls = stored.get(&format!("calls/{purse}")).copied().unwrap_or_default();
                Some(Spent { day: day_name(day), purse: purse.to_owned(), amount: Money(amount), calls })
            }));
        }
        Ok(spent)
    }

    fn spend(&self, call: &CallId) -> [String; 5] {
        let keys = &self.keys;
        [keys.reservations(), keys.reserved(), keys.aside(), keys.booked(call), keys.days()]
    }
}
