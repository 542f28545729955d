//! What may be spent, and what was.

use super::*;

const HOLD: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

fn purse(name: &str, daily: impl Into<Option<u64>>) -> Purse {
    Purse { name: name.into(), daily: daily.into().map(Money) }
}

async fn reserve<S: Ledger>(store: &S, number: u32, purses: &[Purse]) -> Reservation {
    store.reserve(&call_id(number), Money(40), purses, HOLD).await.unwrap()
}

async fn book<S: Ledger>(store: &S, number: u32, cost: u64, purses: &[Purse]) {
    store.book(&call_id(number), Money(cost), purses).await.unwrap();
}

fn short(purse: &str, spent: u64, daily: u64) -> Reservation {
    Reservation::Short { purse: purse.into(), spent: Money(spent), daily: Money(daily) }
}

/// What was spent on the last days: how long ago, by whom, how much, on how many calls.
async fn spent<S: Store + Ledger>(store: &S) -> Vec<(u64, String, u64, u64)> {
    let found = store.spent(3).await.unwrap();
    let now = store.now().await.unwrap();
    let name = |ago: u64| Timestamp(now.0 - ago * DAY.0).to_string()[..10].to_owned();
    let ago = |spent: &Spent| (0..3).find(|&ago| name(ago) == spent.day).expect("a day of the last three");
    found.into_iter().map(|spent| (ago(&spent), spent.purse, spent.amount.0, spent.calls)).collect()
}

/// A purse that is short leaves the others as they are.
pub async fn money_is_set_aside_in_all_purses_or_none(subject: impl Subject) {
    let store = subject.store();
    let (wide, tight, open) = (purse("total", 200), purse("model/flux", 100), purse("tenant/default", None));
    let all = [wide.clone(), tight.clone(), open];
    assert_eq!(reserve(&store, 1, &all).await, Reservation::Reserved);
    assert_eq!(reserve(&store, 2, &all).await, Reservation::Reserved);
    for _ in 0..2 {
        assert_eq!(reserve(&store, 3, &all).await, short("model/flux", 80, 100));
    }
    for number in [4, 5, 6] {
        assert_eq!(reserve(&store, number, std::slice::from_ref(&wide)).await, Reservation::Reserved);
    }
    assert_eq!(reserve(&store, 7, std::slice::from_ref(&wide)).await, short("total", 200, 200));
    assert_eq!(store.spent(3).await.unwrap(), []);
    // A price that just fits does.
    assert_eq!(reserve(&store, 8, &[purse("exact", 40)]).await, Reservation::Reserved);
    assert_eq!(reserve(&store, 9, &[purse("nothing", 0)]).await, short("nothing", 0, 0));
}

/// Asking again, because the answer was lost, sets nothing more aside; whoever never books gives it back in time.
pub async fn a_reservation_lapses_and_is_kept_when_asked_for_again(subject: impl Subject) {
    let store = subject.store();
    let purses = [purse("total", 100)];
    for _ in 0..3 {
        assert_eq!(reserve(&store, 1, &purses).await, Reservation::Reserved);
        subject.pass(Duration(HOLD.0 / 2));
    }
    assert_eq!(reserve(&store, 2, &purses).await, Reservation::Reserved);
    assert_eq!(reserve(&store, 3, &purses).await, short("total", 80, 100));
    // The first one lapses, the second one not yet.
    subject.pass(Duration(HOLD.0 / 2));
    assert_eq!(reserve(&store, 3, &purses).await, Reservation::Reserved);
    assert_eq!(reserve(&store, 4, &purses).await, short("total", 80, 100));
}

/// Booking ends the reservation; booking again adds what is missing.
pub async fn a_call_is_booked_once_and_what_it_costs_more_is_added(subject: impl Subject) {
    let store = subject.store();
    let purses = [purse("total", 100), purse("provider/fal", None)];
    assert_eq!(reserve(&store, 1, &purses).await, Reservation::Reserved);
    assert_eq!(reserve(&store, 2, &purses).await, Reservation::Reserved);
    // What is unpaid leaves nothing behind.
    book(&store, 2, 0, &purses).await;
    assert_eq!(spent(&store).await, []);
    for (cost, total) in [(30, 30), (30, 30), (50, 50), (40, 50), (0, 50)] {
        book(&store, 1, cost, &purses).await;
        let want = [(0, "provider/fal".to_owned(), total, 1), (0, "total".to_owned(), total, 1)];
        assert_eq!(spent(&store).await, want, "{cost}");
    }
    assert_eq!(reserve(&store, 3, &purses).await, Reservation::Reserved);
    assert_eq!(reserve(&store, 4, &purses).await, short("total", 90, 100));
    // A reservation that comes after its booking sets nothing aside.
    assert_eq!(reserve(&store, 1, &purses).await, Reservation::Reserved);
    book(&store, 3, 0, &purses).await;
    assert_eq!(reserve(&store, 4, &purses).await, Reservation::Reserved);
    // Without a reservation, and beyond what a purse may spend: it was spent.
    book(&store, 5, 1_000, &purses).await;
    let want = [(0, "provider/fal".to_owned(), 1_050, 2), (0, "total".to_owned(), 1_050, 2)];
    assert_eq!(spent(&store).await, want);
}

/// Of many, as many get money as there is money.
pub async fn many_who_reserve_at_once_do_not_overspend(subject: impl Subject) {
    let store = subject.store();
    let answers = at_once(50, |number| {
        let store = store.clone();
        async move { reserve(&store, number, &[purse("total", 400)]).await }
    });
    let mut reserved = 0;
    for answer in answers.await {
        match answer {
            Reservation::Reserved => reserved += 1,
            refused => assert_eq!(refused, short("total", 400, 400)),
        }
    }
    assert_eq!(reserved, 10);
}

/// A purse is full again at midnight; what is told later of a call counts on the day on which it is told.
pub async fn every_day_has_its_own_money(subject: impl Subject) {
    let store = subject.store();
    let (total, other) = ([purse("total", 50)], [purse("other", None)]);
    book(&store, 1, 40, &total).await;
    assert_eq!(reserve(&store, 2, &total).await, short("total", 40, 50));
    subject.pass(DAY);
    assert_eq!(reserve(&store, 2, &total).await, Reservation::Reserved);
    book(&store, 2, 30, &total).await;
    book(&store, 1, 45, &total).await;
    book(&store, 3, 7, &other).await;
    let row = |ago, purse: &str, amount, calls| (ago, purse.to_owned(), amount, calls);
    assert_eq!(spent(&store).await, [row(0, "other", 7, 1), row(0, "total", 35, 1), row(1, "total", 40, 1)]);
    assert_eq!(store.spent(1).await.unwrap().len(), 2);
    assert_eq!(store.spent(0).await.unwrap(), []);
    subject.pass(DAY);
    subject.pass(DAY);
    assert_eq!(spent(&store).await, [row(2, "other", 7, 1), row(2, "total", 35, 1)]);
}
