//! What is known of keys and routes.

use super::*;

const ROUTE: &str = "route/fal-ai/flux-pro";
const KEY: &str = "key/ab12cd34";
const HOLD: Duration = Duration::from_secs(10);

fn bad(state: Fitness, first: u64, max: u64) -> Sighting {
    let (first, max) = (Duration::from_secs(first), Duration::from_secs(max));
    Sighting::Bad { state, first, max, note: "quota exceeded".into() }
}

async fn saw<S: Ledger>(store: &S, of: &str, sighting: &Sighting) -> Condition {
    store.saw("fal", of, sighting).await.unwrap()
}

/// That something is believed until so many seconds from now.
async fn assert_until<S: Store>(store: &S, condition: &Condition, seconds: u64) {
    let left = condition.until.since(store.now().await.unwrap());
    assert!(left.0.abs_diff(seconds * 1_000) < 5_000, "{left} is not {seconds}s");
}

/// Nothing is to be done before anything was seen.
pub async fn what_is_not_known_is_healthy(subject: impl Subject) {
    let store = subject.store();
    assert_eq!(store.conditions("fal").await.unwrap(), []);
    assert_eq!(store.relief().await.unwrap(), 0);
    for _ in 0..2 {
        assert!(store.probe("fal", ROUTE, HOLD).await.unwrap());
    }
    let seen = saw(&store, ROUTE, &Sighting::Good).await;
    assert_eq!((seen.state, seen.recent, seen.seen, seen.of.as_str()), (Fitness::Healthy, 0, 1, ROUTE));
    saw(&store, KEY, &Sighting::Good).await;
    store.saw("openai", "route/images", &Sighting::Failure).await.unwrap();
    let of: Vec<String> = store.conditions("fal").await.unwrap().into_iter().map(|known| known.of).collect();
    assert_eq!(of, [KEY, ROUTE]);
    assert_eq!(store.conditions("openai").await.unwrap()[0].recent, 1);
    assert_eq!(store.conditions("other").await.unwrap(), []);
    for _ in 0..2 {
        assert!(store.probe("fal", ROUTE, HOLD).await.unwrap());
    }
}

/// After five failures in a row, for 30 s, then for twice as long after each try that failed.
pub async fn a_circuit_opens_and_one_caller_may_try_it(subject: impl Subject) {
    let store = subject.store();
    for number in 1..=5 {
        let seen = saw(&store, ROUTE, &Sighting::Failure).await;
        assert_eq!(seen.state == Fitness::Open, number == 5, "{number}");
    }
    assert_until(&store, &store.conditions("fal").await.unwrap()[0], 30).await;
    for seconds in [60, 120] {
        assert!(!store.probe("fal", ROUTE, HOLD).await.unwrap());
        subject.pass(Duration::from_secs(seconds / 2));
        let tries = at_once(10, |_| {
            let store = store.clone();
            async move { store.probe("fal", ROUTE, HOLD).await.unwrap() }
        });
        let tries = tries.await.into_iter().filter(|&may_try| may_try).count();
        assert_eq!(tries, 1);
        assert!(!store.probe("fal", ROUTE, HOLD).await.unwrap());
        let seen = saw(&store, ROUTE, &Sighting::Failure).await;
        assert_eq!(seen.state, Fitness::Open);
        assert_until(&store, &seen, seconds).await;
    }
    // Whoever tries and never comes back makes room for the next one.
    subject.pass(Duration::from_secs(120));
    assert!(store.probe("fal", ROUTE, HOLD).await.unwrap());
    subject.pass(HOLD);
    assert!(store.probe("fal", ROUTE, HOLD).await.unwrap());
    assert_eq!(saw(&store, ROUTE, &Sighting::Good).await.state, Fitness::Healthy);
    assert_eq!(store.relief().await.unwrap(), 1);
    assert!(store.probe("fal", ROUTE, HOLD).await.unwrap());
    assert_eq!(saw(&store, ROUTE, &Sighting::Failure).await.state, Fitness::Healthy);
}

/// Twice as long each time that it is still so after that, up to the most; many who see it at once count as one.
pub async fn a_bad_key_is_believed_for_longer_each_time(subject: impl Subject) {
    let store = subject.store();
    for (seconds, times) in [(100, 1), (200, 2), (400, 3), (500, 4), (500, 5)] {
        for _ in 0..3 {
            let seen = saw(&store, KEY, &bad(Fitness::Cooling, 100, 500)).await;
            assert_eq!((seen.state, seen.times, seen.note.as_str()), (Fitness::Cooling, times, "quota exceeded"));
            assert_until(&store, &seen, seconds).await;
        }
        assert_eq!(store.conditions("fal").await.unwrap().len(), 1);
        subject.pass(Duration::from_secs(seconds));
    }
    let seen = saw(&store, KEY, &bad(Fitness::Exhausted, 100, 500)).await;
    assert_eq!((seen.state, seen.times), (Fitness::Exhausted, 1));
    assert_until(&store, &seen, 100).await;
    let seen = saw(&store, KEY, &Sighting::Good).await;
    assert_eq!((seen.state, seen.times, seen.note.as_str()), (Fitness::Healthy, 0, ""));
    // What somebody took out of use is not put back by a call that was under way.
    saw(&store, ROUTE, &bad(Fitness::Disabled, 100, 100)).await;
    assert_eq!(saw(&store, ROUTE, &Sighting::Good).await.state, Fitness::Disabled);
}

/// None gets lost because somebody else saw something in between.
pub async fn sightings_that_come_at_once_are_all_counted(subject: impl Subject) {
    let store = subject.store();
    at_once(18, |_| {
        let store = store.clone();
        async move { saw(&store, ROUTE, &Sighting::Failure).await }
    })
    .await;
    let known = store.conditions("fal").await.unwrap();
    assert_eq!((known[0].seen, known[0].recent), (18, (1 << 18) - 1));
}

/// Once for each time, not for what was healthy all along.
pub async fn relief_rises_when_something_gets_better(subject: impl Subject) {
    let store = subject.store();
    saw(&store, KEY, &Sighting::Good).await;
    store.forget_condition("fal", KEY).await.unwrap();
    store.forget_condition("fal", ROUTE).await.unwrap();
    assert_eq!(store.relief().await.unwrap(), 0);
    saw(&store, KEY, &bad(Fitness::Exhausted, 100, 100)).await;
    saw(&store, KEY, &Sighting::Failure).await;
    assert_eq!(store.relief().await.unwrap(), 0);
    for _ in 0..2 {
        saw(&store, KEY, &Sighting::Good).await;
        assert_eq!(store.relief().await.unwrap(), 1);
    }
    saw(&store, KEY, &bad(Fitness::Disabled, 100, 100)).await;
    for _ in 0..2 {
        store.forget_condition("fal", KEY).await.unwrap();
        assert_eq!(store.relief().await.unwrap(), 2);
    }
    assert_eq!(store.conditions("fal").await.unwrap(), []);
}

/// A new key gives hope only where the old ones were bad.
pub async fn announcing_keys_forgets_others_and_notices_new_ones(subject: impl Subject) {
    let store = subject.store();
    let announce = async |keys: &[&str]| {
        let keys: Vec<String> = keys.iter().map(|&key| key.to_owned()).collect();
        store.announce_keys("fal", &keys).await.unwrap();
        let known = store.conditions("fal").await.unwrap().into_iter().map(|known| known.of).collect::<Vec<_>>();
        (known.join(" "), store.relief().await.unwrap())
    };
    assert_eq!(announce(&["ab12cd34", "b"]).await, (String::new(), 0));
    saw(&store, KEY, &bad(Fitness::Invalid, 100, 100)).await;
    saw(&store, ROUTE, &bad(Fitness::Missing, 100, 100)).await;
    assert_eq!(announce(&["ab12cd34", "b"]).await, (format!("{KEY} {ROUTE}"), 0));
    assert_eq!(announce(&["b"]).await, (ROUTE.to_owned(), 0));
    // No key is bad now.
    assert_eq!(announce(&["b", "c"]).await, (ROUTE.to_owned(), 0));
    saw(&store, "key/b", &bad(Fitness::Exhausted, 100, 100)).await;
    for _ in 0..2 {
        assert_eq!(announce(&["b", "c", "d"]).await, (format!("key/b {ROUTE}"), 1));
    }
    assert_eq!(store.keys("fal").await.unwrap(), ["b", "c", "d"]);
    assert_eq!(announce(&["e"]).await, (ROUTE.to_owned(), 2));
    assert_eq!(announce(&[]).await, (ROUTE.to_owned(), 2));
    assert_eq!(store.keys("fal").await.unwrap(), [""; 0]);
}
