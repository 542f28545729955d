//! The rules of the store over every backend, and what only the embedded one has.

use darkroom_backend::{Clock, Committed, EmbeddedStore, RunFilter, Shard, Store, StoreError};
use darkroom_proto::{RunId, RunStatus, Timestamp};
use darkroom_tests::conformance::store::{SHARDS, Subject};
use darkroom_tests::{poll, sample, store_conformance};
use std::time::Duration;

const SHARD: Shard = Shard(0);
const LEASE: Duration = Duration::from_secs(60);

struct Embedded {
    store: EmbeddedStore,
    clock: Clock,
    _dir: tempfile::TempDir,
}

fn embedded() -> Embedded {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp(1_795_000_000_000));
    let store = EmbeddedStore::open_with(dir.path(), SHARDS, clock.clone()).unwrap();
    Embedded { store, clock, _dir: dir }
}

impl Subject for Embedded {
    type Store = EmbeddedStore;

    fn store(&self) -> EmbeddedStore {
        self.store.clone()
    }

    fn short_lease(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn pass(&self, time: Duration) {
        self.clock.advance(time);
    }
}

store_conformance!(embedded, embedded());

#[tokio::test]
async fn a_file_that_is_open_is_in_use_within_the_process_too() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let clone = store.clone();
    drop(store);
    assert!(matches!(EmbeddedStore::open(dir.path()), Err(StoreError::InUse { .. })));
    drop(clone);
    EmbeddedStore::open(dir.path()).unwrap();
}

#[tokio::test]
async fn everything_is_there_after_reopening() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let first = store.acquire(SHARD, "a", LEASE).await.unwrap().unwrap();
    let runs: Vec<RunId> = (0..6).map(|number| sample::run(SHARD, 1, number)).collect();
    let new: Vec<_> = (0..6).map(|number| sample::new_run(runs[number as usize], number)).collect();
    store.create(&new).await.unwrap();
    let commits = (0..6u32).map(|number| {
        let mut change = sample::commit(runs[number as usize], number, 1, 7);
        change.due = (number < 2).then_some(Timestamp(1_000 - u64::from(number)));
        if number % 2 == 0 {
            change.outbox = b"effects".to_vec();
        }
        if number >= 4 {
            change.summary.status = RunStatus::Completed;
        }
        change
    });
    store.commit(SHARD, first, commits.collect(), &[]).await.unwrap();
    store.post(&sample::command(runs[0], "k")).await.unwrap();
    // Of an ended run the mark is durable; of an unfinished one its effects may come again.
    store.commit(SHARD, first, vec![], &[(runs[4], 2)]).await.unwrap();
    let loaded = store.load(runs[0]).await.unwrap();
    drop(store);

    let store = EmbeddedStore::open(dir.path()).unwrap();
    assert_eq!(store.load(runs[0]).await.unwrap(), loaded);
    assert_eq!(store.active(SHARD).await.unwrap(), runs[..4]);
    assert_eq!(store.dirty(SHARD).await.unwrap(), [runs[0], runs[2]]);
    assert_eq!(store.due(SHARD, Timestamp(9_999), 9).await.unwrap(), (vec![runs[1], runs[0]], None));
    assert_eq!(store.inbox(SHARD).await.unwrap(), [sample::command(runs[0], "k")]);
    assert_eq!(store.list(&RunFilter { limit: 9, ..RunFilter::default() }).await.unwrap().len(), 6);
    // The lease ended with the process, and the epoch goes on rising.
    let second = store.acquire(SHARD, "b", LEASE).await.unwrap().unwrap();
    assert!(second > first);
    // Also the commit id is remembered.
    let repeated = sample::commit(runs[3], 3, 1, 7);
    assert_eq!(store.commit(SHARD, second, vec![repeated], &[]).await.unwrap(), [Committed::Done(2)]);
}

#[tokio::test]
async fn another_number_of_shards_only_moves_the_runs() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let runs: Vec<RunId> = (0..4).map(|shard| sample::run(Shard(shard), 4, u32::from(shard))).collect();
    for (number, &run) in (0..).zip(&runs) {
        store.create(&[sample::new_run(run, number)]).await.unwrap();
    }
    drop(store);
    let store = EmbeddedStore::open_with(dir.path(), 4, Clock::system()).unwrap();
    for (shard, &run) in (0..).zip(&runs) {
        assert_eq!(store.active(Shard(shard)).await.unwrap(), [run]);
    }
    assert!(matches!(store.active(Shard(4)).await, Err(StoreError::Unavailable(_))));
}

#[tokio::test]
async fn time_starts_no_earlier_than_the_last_change() {
    let dir = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp(1_000));
    let store = EmbeddedStore::open(dir.path()).unwrap();
    store.create(&[sample::new_run(sample::run(SHARD, 1, 5), 5)]).await.unwrap();
    drop(store);
    let store = EmbeddedStore::open_with(dir.path(), 1, clock.clone()).unwrap();
    assert_eq!(store.now().await.unwrap(), sample::created_at(5));
    clock.advance(Duration::from_millis(1_500));
    assert_eq!(store.now().await.unwrap(), Timestamp(sample::created_at(5).0 + 1_500));
}

#[tokio::test]
async fn a_file_that_is_none_of_ours_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("state.redb"), vec![7; 8_192]).unwrap();
    let error = EmbeddedStore::open(dir.path()).unwrap_err();
    assert!(matches!(error, StoreError::Unavailable(_) | StoreError::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn ten_thousand_runs_are_listed_quickly() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    for thousand in 0..10 {
        let new = (0..1_000).map(|at| {
            let number = thousand * 1_000 + at;
            let mut new = sample::new_run(sample::run(SHARD, 1, number), number);
            new.head = vec![7; 4_000];
            new
        });
        store.create(&new.collect::<Vec<_>>()).await.unwrap();
    }
    let fingerprint = Some(sample::summary(3, RunStatus::Pending).fingerprint);
    for (name, filter, found) in [
        ("the newest", RunFilter { limit: 20, ..RunFilter::default() }, 20),
        ("one of the oldest", RunFilter { limit: 20, fingerprint, ..RunFilter::default() }, 1),
    ] {
        let started = std::time::Instant::now();
        assert_eq!(store.list(&filter).await.unwrap().len(), found, "{name}");
        // 0.2 and 3 ms where nothing else runs; the limit is for a debug build on a busy machine.
        assert!(started.elapsed() < Duration::from_millis(500), "{name}: {:?}", started.elapsed());
    }
}

#[tokio::test]
async fn who_has_patience_opens_a_file_that_is_let_go_of() {
    let dir = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(dir.path()).unwrap();
    let impatient = EmbeddedStore::open_within(dir.path(), Duration::ZERO).await;
    assert!(matches!(impatient, Err(StoreError::InUse { .. })));
    let letting_go = async {
        tokio::task::yield_now().await;
        drop(store);
    };
    let (opened, ()) = tokio::join!(EmbeddedStore::open_within(dir.path(), poll::DEADLINE), letting_go);
    opened.unwrap();
}
