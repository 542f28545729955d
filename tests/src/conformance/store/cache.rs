//! The step cache: what is kept under a key, for a while.

use super::{Store, Subject, Timestamp};
use darkroom_proto::{CacheEntry, CachedFrom, Map, Money, RunId, Sha256, StepPath};
use std::time::Duration;

const KEEP: Duration = Duration::from_secs(3_600);

fn entry(text: &str) -> CacheEntry {
    let outputs: Map = [("text".to_owned(), text.into())].into_iter().collect();
    let from = CachedFrom { run: RunId::from_bytes([3; 16]), step: StepPath::top("make").instance(2) };
    CacheEntry { outputs, from, at: Timestamp(5), cost: Money::from_usd(0.04), parts: None }
}

/// What is cached is found under its key alone, and replaced by what is cached later.
pub async fn cached_outputs_are_found_under_their_key<T: Subject>(subject: T) {
    let store = subject.store();
    let (key, other) = (Sha256::of(b"cached: one"), Sha256::of(b"cached: other"));
    assert_eq!(store.cached(key).await.unwrap(), None);
    store.put_cached(key, &entry("a"), KEEP).await.unwrap();
    assert_eq!(store.cached(key).await.unwrap(), Some(entry("a")));
    assert_eq!(store.cached(other).await.unwrap(), None);
    store.put_cached(key, &entry("b"), KEEP).await.unwrap();
    assert_eq!(store.cached(key).await.unwrap(), Some(entry("b")));
}

/// What is cached is forgotten when its time is over.
pub async fn cached_outputs_are_forgotten_in_time<T: Subject>(subject: T) {
    let (store, key) = (subject.store(), Sha256::of(b"cached: short"));
    store.put_cached(key, &entry("a"), subject.short_lease()).await.unwrap();
    subject.pass(subject.short_lease() * 2);
    let gone = async || store.cached(key).await.unwrap().is_none();
    while !gone().await {
        tokio::task::yield_now().await;
    }
}

/// Entries are listed page by page, what is kept for longest first; what has ended and what was replaced is not among them.
pub async fn cached_outputs_are_listed_by_how_long_they_are_kept<T: Subject>(subject: T) {
    let store = subject.store();
    let keys = ["one", "two", "three"].map(|name| Sha256::of(name.as_bytes()));
    assert_eq!(store.cached_entries(0, 10).await.unwrap(), []);
    store.put_cached(keys[1], &entry("old"), KEEP).await.unwrap();
    for (number, key) in (1..).zip(keys) {
        store.put_cached(key, &entry("a"), KEEP * number).await.unwrap();
    }
    let short = Sha256::of(b"short");
    store.put_cached(short, &entry("b"), subject.short_lease()).await.unwrap();
    subject.pass(subject.short_lease() * 2);
    while store.cached(short).await.unwrap().is_some() {
        tokio::task::yield_now().await;
    }
    let want = [keys[2], keys[1], keys[0]].map(|key| (key, entry("a")));
    assert_eq!(store.cached_entries(0, 10).await.unwrap(), want);
    assert_eq!(store.cached_entries(1, 1).await.unwrap(), want[1..2]);
    assert_eq!(store.cached_entries(0, 0).await.unwrap(), []);
    assert_eq!(store.cached_entries(4, 10).await.unwrap(), []);
}

/// Removing what is cached leaves the rest, and says whether anything was there.
pub async fn cached_outputs_are_removed_alone<T: Subject>(subject: T) {
    let (store, key, other) = (subject.store(), Sha256::of(b"removed"), Sha256::of(b"left"));
    assert!(!store.forget_cached(key).await.unwrap());
    store.put_cached(key, &entry("a"), KEEP).await.unwrap();
    store.put_cached(other, &entry("b"), KEEP).await.unwrap();
    assert!(store.forget_cached(key).await.unwrap());
    assert!(!store.forget_cached(key).await.unwrap());
    assert_eq!(store.cached(key).await.unwrap(), None);
    assert_eq!(store.cached_entries(0, 10).await.unwrap(), [(other, entry("b"))]);
}
