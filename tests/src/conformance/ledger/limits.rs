//! Who is let in.

use super::*;
use std::time::Instant;

const HOLD: Duration = Duration::from_secs(60);

fn places(name: &str, places: u32) -> Limit {
    Limit { name: name.into(), at_once: Some(places), rate: None }
}

fn rate(name: &str, count: u32, span: Duration) -> Limit {
    Limit { name: name.into(), at_once: None, rate: Some((count, span)) }
}

async fn is_in<S: Ledger>(store: &S, number: u32, limits: &[Limit]) -> bool {
    store.admit(&call_id(number), limits, HOLD).await.unwrap() == Admission::Admitted
}

/// When a call that is refused may come back.
async fn later<S: Ledger>(store: &S, number: u32, limits: &[Limit], in_the_way: &str) -> Timestamp {
    match store.admit(&call_id(number), limits, HOLD).await.unwrap() {
        Admission::Later { at, limit } if limit == in_the_way => at,
        other => panic!("{number}: {other:?}"),
    }
}

async fn leave<S: Ledger>(store: &S, number: u32, limits: &[Limit]) {
    let names: Vec<String> = limits.iter().map(|limit| limit.name.clone()).collect();
    store.give_back(&call_id(number), &names).await.unwrap();
}

/// A place is free when somebody leaves, or when a lease ends.
pub async fn only_so_many_are_in_at_once(subject: impl Subject) {
    let store = subject.store();
    let limits = [places("fal/ab", 2)];
    assert!(is_in(&store, 1, &limits).await && is_in(&store, 2, &limits).await);
    let now = store.now().await.unwrap();
    let at = later(&store, 3, &limits, "fal/ab").await;
    assert!((250..5_000).contains(&at.since(now).0), "{at} from {now}");
    leave(&store, 1, &limits).await;
    assert!(is_in(&store, 3, &limits).await);
    later(&store, 4, &limits, "fal/ab").await;
    subject.pass(HOLD);
    assert!(is_in(&store, 4, &limits).await && is_in(&store, 5, &limits).await);
    later(&store, 6, &limits, "fal/ab").await;
    // Other limits have nothing to do with it, and no limit lets everybody in.
    assert!(is_in(&store, 6, &[places("fal/cd", 1)]).await && is_in(&store, 6, &[]).await);
    // Nobody gets a place where there is none.
    later(&store, 7, &[places("none", 0)], "none").await;
    later(&store, 7, &[rate("never", 0, HOLD)], "never").await;
}

/// Whoever is in stays in by asking, which is no beginning.
pub async fn asking_again_renews_a_lease_and_uses_no_rate(subject: impl Subject) {
    let store = subject.store();
    let limits = [Limit { at_once: Some(1), ..rate("fal/ab", 2, Duration::from_secs(3_600)) }];
    for _ in 0..4 {
        assert!(is_in(&store, 1, &limits).await);
        subject.pass(Duration(HOLD.0 / 2));
    }
    later(&store, 2, &limits, "fal/ab").await;
    leave(&store, 1, &limits).await;
    assert!(is_in(&store, 2, &limits).await);
    leave(&store, 2, &limits).await;
    // Both beginnings are used.
    let at = later(&store, 3, &limits, "fal/ab").await;
    assert!(at.since(store.now().await.unwrap()) > Duration::from_secs(1_000), "{at}");
}

/// Nobody overtakes whoever came before.
pub async fn who_waits_for_a_place_keeps_the_order(subject: impl Subject) {
    let store = subject.store();
    let limits = [places("fal/ab", 1)];
    assert!(is_in(&store, 1, &limits).await);
    let ats = [
        later(&store, 2, &limits, "fal/ab").await,
        later(&store, 3, &limits, "fal/ab").await,
        later(&store, 4, &limits, "fal/ab").await,
    ];
    assert!(ats.is_sorted(), "{ats:?}");
    leave(&store, 1, &limits).await;
    for number in [4, 5, 3] {
        later(&store, number, &limits, "fal/ab").await;
    }
    assert!(is_in(&store, 2, &limits).await);
    later(&store, 3, &limits, "fal/ab").await;
    leave(&store, 2, &limits).await;
    later(&store, 4, &limits, "fal/ab").await;
    assert!(is_in(&store, 3, &limits).await);
    // With two places free, the first two who wait may have them, in either order.
    let limits = [places("fal/ab", 3)];
    assert!(is_in(&store, 5, &limits).await && is_in(&store, 4, &limits).await);
}

/// A place is not kept for ever for somebody who may have died.
pub async fn who_does_not_come_back_loses_the_place_in_the_queue(subject: impl Subject) {
    let store = subject.store();
    let limits = [places("fal/ab", 1)];
    assert!(is_in(&store, 1, &limits).await);
    later(&store, 2, &limits, "fal/ab").await;
    later(&store, 3, &limits, "fal/ab").await;
    leave(&store, 1, &limits).await;
    // A tenth of the lease beyond its turn.
    subject.pass(Duration(5_000));
    later(&store, 3, &limits, "fal/ab").await;
    subject.pass(Duration(5_000));
    assert!(is_in(&store, 3, &limits).await);
    leave(&store, 3, &limits).await;
    // Who was forgotten comes last.
    assert!(is_in(&store, 2, &limits).await);
}

/// What was promised to a caller is not used by others, and is used once.
pub async fn a_refused_caller_has_a_turn_and_is_not_counted_twice(subject: impl Subject) {
    let store = subject.store();
    let limits = [rate("fal/ab", 3, Duration::from_secs(30))];
    for number in 1..=3 {
        assert!(is_in(&store, number, &limits).await, "{number}");
    }
    let now = store.now().await.unwrap();
    let mut turns = Vec::new();
    for number in 4..=6 {
        turns.push(later(&store, number, &limits, "fal/ab").await);
    }
    for (turn, seconds) in turns.iter().zip([10, 20, 30]) {
        let wait = turn.since(now).0.abs_diff(seconds * 1_000);
        assert!(wait < 5_000, "{turn} is not {seconds} s after {now}");
    }
    // Asking early changes nothing.
    let early = later(&store, 4, &limits, "fal/ab").await;
    assert!(early.0.abs_diff(turns[0].0) < 50, "{early} is not {}", turns[0]);
    subject.pass(Duration::from_secs(10));
    assert!(is_in(&store, 4, &limits).await);
    for number in [5, 6, 7] {
        later(&store, number, &limits, "fal/ab").await;
    }
    subject.pass(Duration::from_secs(10));
    assert!(is_in(&store, 5, &limits).await);
    subject.pass(Duration::from_secs(10));
    assert!(is_in(&store, 6, &limits).await);
    later(&store, 8, &limits, "fal/ab").await;
    subject.pass(Duration::from_secs(10));
    assert!(is_in(&store, 7, &limits).await);
}

/// It has to be asked for again.
pub async fn a_turn_that_is_not_used_lapses(subject: impl Subject) {
    let store = subject.store();
    let limits = [rate("fal/ab", 1, Duration::from_secs(100))];
    assert!(is_in(&store, 1, &limits).await);
    later(&store, 2, &limits, "fal/ab").await;
    let second = later(&store, 3, &limits, "fal/ab").await;
    // The first turn is at 100 s, and kept for 6 s.
    subject.pass(Duration::from_secs(150));
    let now = store.now().await.unwrap();
    let anew = later(&store, 2, &limits, "fal/ab").await;
    // The next free turn is after that of the other one, which stands.
    assert!(anew.since(now) > Duration::from_secs(100), "{anew} from {now}, {second}");
    subject.pass(Duration::from_secs(50));
    assert!(is_in(&store, 3, &limits).await);
    later(&store, 2, &limits, "fal/ab").await;
    subject.pass(Duration::from_secs(100));
    assert!(is_in(&store, 2, &limits).await);
}

/// Over any time, no more begin than the burst and what has come free since.
pub async fn a_rate_is_never_exceeded_however_late_turns_are_used(subject: impl Subject) {
    const BURST: u32 = 4;
    const INTERVAL: f64 = 500.0;
    let store = subject.store();
    let limits = [rate("fal/ab", BURST, Duration(2_000))];
    let started = Instant::now();
    let mut passed = 0.0;
    // When each began, at the earliest and at the latest.
    let mut begun: Vec<(f64, f64)> = Vec::new();
    let mut waiting: Vec<u32> = (0..40).collect();
    for round in 0.. {
        assert!(round < 400, "{} still wait", waiting.len());
        let mut refused = Vec::new();
        for number in waiting {
            // Most come only now and then, so that their turns pile up.
            let is_late = number % 5 != 0 && round % 12 != 0;
            let before = passed + started.elapsed().as_secs_f64() * 1e3;
            if !is_late && is_in(&store, number, &limits).await {
                begun.push((before, passed + started.elapsed().as_secs_f64() * 1e3));
            } else {
                refused.push(number);
            }
        }
        waiting = refused;
        if waiting.is_empty() {
            break;
        }
        subject.pass(Duration(330));
        passed += 330.0;
    }
    for (first, (from, _)) in begun.iter().enumerate() {
        for (last, (_, to)) in begun.iter().enumerate().skip(first) {
            let most = f64::from(BURST) + (to - from) / INTERVAL;
            assert!((last - first + 1) as f64 <= most + 0.01, "{} in {} ms", last - first + 1, to - from);
        }
    }
}

/// A limit that is free is not used up by whoever another one refuses.
pub async fn a_call_is_let_in_by_all_limits_or_none(subject: impl Subject) {
    let store = subject.store();
    let (free, full, slow) = (places("free", 1), places("full", 1), rate("slow", 1, Duration::from_secs(1_000)));
    assert!(is_in(&store, 1, std::slice::from_ref(&full)).await);
    let all = [free.clone(), slow.clone(), full.clone()];
    later(&store, 2, &all, "full").await;
    assert!(is_in(&store, 3, &[free.clone(), slow.clone()]).await);
    leave(&store, 3, &all).await;
    // The turn at one limit does not keep others from the places of another.
    leave(&store, 1, &all).await;
    later(&store, 2, &all, "slow").await;
    assert!(is_in(&store, 4, &[free, full]).await);
    subject.pass(Duration::from_secs(1_000));
    leave(&store, 4, &all).await;
    assert!(is_in(&store, 2, &all).await);
}

/// The next one has both at once. Leaving twice, or without having been there, is no error.
pub async fn whoever_leaves_gives_back_place_and_turn(subject: impl Subject) {
    let store = subject.store();
    let limits = [places("fal/ab", 1)];
    assert!(is_in(&store, 1, &limits).await);
    later(&store, 2, &limits, "fal/ab").await;
    for number in [1, 1, 2, 9] {
        leave(&store, number, &limits).await;
    }
    // The second one is not waited for any more.
    assert!(is_in(&store, 3, &limits).await);
    store.give_back(&call_id(1), &[]).await.unwrap();
    store.give_back(&call_id(1), &["unknown".into()]).await.unwrap();
}
