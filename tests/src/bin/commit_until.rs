//! The process that the tests of durability kill or let run out of room: `commit_until killed|refused DIR`.
//!
//! It says on stdout what was acknowledged; the test looks at what is there afterwards.

#![allow(clippy::unwrap_used, reason = "a child of a test that can't go on fails, and the test with it")]

use darkroom_backend::{EmbeddedStore, Epoch, Shard, Store, StoreError};
use darkroom_tests::sample;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [until, dir] = arguments.as_slice() else { panic!("commit_until killed|refused DIR") };
    let store = EmbeddedStore::open(Path::new(dir)).unwrap();
    let epoch = store.acquire(Shard(0), "child", Duration::from_secs(3_600)).await.unwrap().unwrap();
    match until.as_str() {
        "killed" => killed(store, epoch).await,
        "refused" => refused(store, epoch).await,
        other => panic!("until what is `{other}`?"),
    }
}

/// Commits one batch after the other, all runs in each, and says after each that it was acknowledged. Every run of it
/// goes on where the last one was killed.
async fn killed(store: EmbeddedStore, epoch: Epoch) {
    let runs: Vec<_> = (0..sample::RUNS).map(|number| sample::run(Shard(0), 1, number)).collect();
    let new: Vec<_> = (0..sample::RUNS).map(|number| sample::new_run(runs[number as usize], number)).collect();
    store.create(&new).await.unwrap();
    let mut version = store.load(runs[0]).await.unwrap().unwrap().version;
    loop {
        let change = |(number, &run)| {
            let mut change = sample::commit(run, number, version, version + 1);
            // Lengths that differ move pages about.
            change.fields[0].1 = Some(vec![version as u8; (version * 97 % 3_000) as usize]);
            change.outbox = b"effects".to_vec();
            change
        };
        let commits = (0..).zip(&runs).map(change).collect();
        store.commit(Shard(0), epoch, commits, &[]).await.unwrap();
        version += 1;
        say(version);
    }
}

/// Commits until there is no room for more; reading goes on then.
async fn refused(store: EmbeddedStore, epoch: Epoch) {
    let run = sample::run(Shard(0), 1, 0);
    store.create(&[sample::new_run(run, 0)]).await.unwrap();
    let mut version = 1;
    let error = loop {
        let mut change = sample::commit(run, 0, version, version + 1);
        change.fields[0].1 = Some(vec![version as u8; 100_000]);
        match store.commit(Shard(0), epoch, vec![change], &[]).await {
            Ok(_) => version += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, StoreError::Unavailable(_)), "{error}");
    assert!(store.load(run).await.unwrap().unwrap().version >= version);
    say(version);
}

fn say(version: u64) {
    writeln!(std::io::stdout().lock(), "acknowledged {version}").unwrap();
}
