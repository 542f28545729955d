//! What purses spend, by day of UTC: what is booked is in the file, what is set aside in memory, because whoever set it
//! aside ends with the process.

use super::file::{StateFile, failed};
use super::layout;
use super::tables;
use crate::ledger::{Purse, Reservation, Spent, day_name, day_of};
use crate::{StoreError, limits};
use darkroom_proto::{CallId, Duration, Money, Timestamp};
use redb::{ReadableTable, Table};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeSet, HashMap};

/// For how many days it is remembered what a call was booked with.
const BOOKED_DAYS: u64 = 45;

/// For how many days it is remembered what was spent.
const SPENT_DAYS: u64 = 400;

/// What a purse spent on a day.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Account {
    amount: Money,
    calls: u64,
}

/// What a call was booked with.
#[derive(Debug, Serialize, Deserialize)]
struct Booked {
    cost: Money,
    day: u64,
}

/// The reservations of all calls.
#[derive(Debug, Default)]
pub(super) struct Reservations {
    by_call: HashMap<CallId, SetAside>,
    by_purse: HashMap<String, Money>,
}

#[derive(Debug)]
struct SetAside {
    price: Money,
    purses: BTreeSet<String>,
    until: Timestamp,
}

impl Reservations {
    fn forget_lapsed(&mut self, now: Timestamp) {
        let lapsed: Vec<CallId> =
            self.by_call.iter().filter(|(_, aside)| aside.until <= now).map(|(call, _)| call.clone()).collect();
        lapsed.iter().for_each(|call| self.end(call));
    }

    fn end(&mut self, call: &CallId) {
        let Some(SetAside { price, purses, .. }) = self.by_call.remove(call) else { return };
        for purse in purses {
            if let Some(aside) = self.by_purse.get_mut(&purse) {
                aside.0 = aside.0.saturating_sub(price.0);
                if *aside == Money::ZERO {
                    self.by_purse.remove(&purse);
                }
            }
        }
    }
}

impl StateFile {
    pub(super) fn reserve(
        &self,
        call: &CallId,
        price: Money,
        purses: &[Purse],
        hold: Duration,
    ) -> Result<Reservation, StoreError> {
        limits::check_names(purses.iter().map(|purse| purse.name.as_str()))?;
        let now = self.now();
        let read = self.read()?;
        let spend = read.open_table(tables::SPEND).map_err(failed)?;
        let mut reservations = self.reservations();
        reservations.forget_lapsed(now);
        // What is booked needs no reservation any more.
        if spend.get(tables::booked(call).as_slice()).map_err(failed)?.is_some() {
            return Ok(Reservation::Reserved);
        }
        let until = now.after(hold);
        if let Some(aside) = reservations.by_call.get_mut(call) {
            aside.until = aside.until.max(until);
            return Ok(Reservation::Reserved);
        }
        for purse in purses {
            let Some(daily) = purse.daily else { continue };
            let spent = account(&spend, day_of(now), &purse.name)?.amount;
            let aside = reservations.by_purse.get(&purse.name).copied().unwrap_or_default();
            let spent = spent.plus(aside);
            if spent.plus(price) > daily {
                return Ok(Reservation::Short { purse: purse.name.clone(), spent, daily });
            }
        }
        let names: BTreeSet<String> = purses.iter().map(|purse| purse.name.clone()).collect();
        for name in &names {
            let aside = reservations.by_purse.entry(name.clone()).or_default();
            *aside = aside.plus(price);
        }
        reservations.by_call.insert(call.clone(), SetAside { price, purses: names, until });
        Ok(Reservation::Reserved)
    }

    pub(super) fn book(&self, call: &CallId, cost: Money, purses: &[Purse]) -> Result<(), StoreError> {
        limits::check_names(purses.iter().map(|purse| purse.name.as_str()))?;
        let _turn = self.turn();
        let today = day_of(self.now());
        let write = self.begin()?;
        let is_more = {
            let mut spend = write.open_table(tables::SPEND).map_err(failed)?;
            let booked: Option<Booked> = match spend.get(tables::booked(call).as_slice()).map_err(failed)? {
                Some(stored) => Some(layout::decode_named("a booked call", stored.value())?),
                None => None,
            };
            let more = cost.0.saturating_sub(booked.as_ref().map_or(0, |booked| booked.cost.0));
            if more > 0 {
                forget_old(&mut spend, today)?;
                let names: BTreeSet<&str> = purses.iter().map(|purse| purse.name.as_str()).collect();
                for name in names {
                    let mut account = account(&spend, today, name)?;
                    account.amount = account.amount.plus(Money(more));
                    account.calls += u64::from(booked.is_none());
                    let value = layout::encode_named(&account)?;
                    spend.insert(tables::spent_on(today, name).as_slice(), value.as_slice()).map_err(failed)?;
                }
                let value = layout::encode_named(&Booked { cost, day: today })?;
                spend.insert(tables::booked(call).as_slice(), value.as_slice()).map_err(failed)?;
            }
            more > 0
        };
        if is_more {
            write.commit().map_err(failed)?;
        }
        self.reservations().end(call);
        Ok(())
    }

    pub(super) fn spent(&self, days: u32) -> Result<Vec<Spent>, StoreError> {
        let today = day_of(self.now());
        let spend = self.read()?.open_table(tables::SPEND).map_err(failed)?;
        let mut spent = Vec::new();
        for day in (0..u64::from(days).min(SPENT_DAYS)).map_while(|ago| today.checked_sub(ago)) {
            let (first, end) = (tables::spent_on(day, ""), tables::spent_on(day + 1, ""));
            for entry in spend.range::<&[u8]>(first.as_slice()..end.as_slice()).map_err(failed)? {
                let (key, value) = entry.map_err(failed)?;
                let account: Account = layout::decode_named("what was spent on a day", value.value())?;
                let purse = tables::purse(key.value())?;
                spent.push(Spent { day: day_name(day), purse, amount: account.amount, calls: account.calls });
            }
        }
        Ok(spent)
    }
}

fn account(
    spend: &impl ReadableTable<&'static [u8], &'static [u8]>,
    day: u64,
    purse: &str,
) -> Result<Account, StoreError> {
    match spend.get(tables::spent_on(day, purse).as_slice()).map_err(failed)? {
        Some(stored) => layout::decode_named("what was spent on a day", stored.value()),
        None => Ok(Account::default()),
    }
}

/// Forgets what is too old, on the first booking of a day.
fn forget_old(spend: &mut Table<'_, &'static [u8], &'static [u8]>, today: u64) -> Result<(), StoreError> {
    let (first, end) = (tables::spent_on(today, ""), tables::spent_on(today + 1, ""));
    if spend.range::<&[u8]>(first.as_slice()..end.as_slice()).map_err(failed)?.next().is_some() {
        return Ok(());
    }
    let old = tables::spent_on(today.saturating_sub(SPENT_DAYS), "");
    spend.retain_in::<&[u8], _>(tables::spent_on(0, "").as_slice()..old.as_slice(), |_, _| false).map_err(failed)?;
    let [first, end] = tables::all_booked();
    let is_kept = |value: &[u8]| match layout::decode_named::<Booked>("a booked call", value) {
        Ok(booked) => booked.day + BOOKED_DAYS >= today,
        Err(_) => true,
    };
    spend.retain_in::<&[u8], _>(first.as_slice()..end.as_slice(), |_, value| is_kept(value)).map_err(failed)
}
