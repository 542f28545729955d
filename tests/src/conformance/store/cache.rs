//! The step cache: what is kept under a key, for a while.

use super::{Store, Subject, Timestamp};
use darkroom_proto::{CacheEntry, CachedFrom, Map, Money, RunId, Sha256, StepPath};
use std::time::Duration;

const KEEP: Duration = Duration::from_secs(3_600);

fn entry(text: &str) -> CacheEntry {
    let outputs: Map = [("text".to_owned(), text.into())].into_iter().collect();
    let from = CachedFrom { run: RunId::from_bytes([3; 16]), step: StepPath::top("make").instance(2) };
    CacheEntry { outputs, from, at: Timestamp(5), cost: Money::from_usd(0.04) }
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
