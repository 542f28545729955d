//! Setting up a store on Redis, and how its lists are put right.

use crate::redis::store_at;
use darkroom_backend::{Committed, RedisStore, RunFilter, Shard, Store, StoreError};
use darkroom_proto::{RunId, RunStatus, Timestamp};
use darkroom_tests::sample;
use darkroom_tests::servers::redis::{RedisServer, namespace, shared_redis};
use std::time::Duration;

const SHARD: Shard = Shard(0);

fn client() -> redis::Connection {
    redis::Client::open(shared_redis()).unwrap().get_connection().unwrap()
}

async fn listed(store: &RedisStore, statuses: &[RunStatus]) -> Vec<RunId> {
    let filter = RunFilter { statuses: statuses.to_vec(), limit: 100, ..RunFilter::default() };
    store.list(&filter).await.unwrap().into_iter().map(|(run, _)| run).collect()
}

#[tokio::test]
async fn preparing_twice_changes_nothing_and_a_start_wants_it_done() {
    let (url, namespace) = (shared_redis(), namespace());
    let store = store_at(&url, &namespace, 4);
    let early = store.check().await.unwrap_err();
    assert!(matches!(&early, StoreError::Unavailable(why) if why.contains("darkroom setup")), "{early}");
    let first = store.prepare().await.unwrap();
    assert!(first.is_new && first.server.contains('.') && first.appendfsync.is_some(), "{first:?}");
    let second = store.prepare().await.unwrap();
    assert_eq!((second.is_new, &second.server, second.schema, second.shards), (false, &first.server, 1, 4));
    store.check().await.unwrap();

    let more_shards = store_at(&url, &namespace, 8);
    for refused in [more_shards.check().await.err(), more_shards.prepare().await.err()] {
        assert!(matches!(&refused, Some(StoreError::Corrupt { why, .. }) if why.contains("4 shards")), "{refused:?}");
    }
    let _: () =
        redis::cmd("HSET").arg(format!("{namespace}:schema")).arg("version").arg(9).query(&mut client()).unwrap();
    for refused in [store.check().await.err(), store.prepare().await.err()] {
        assert!(
            matches!(&refused, Some(StoreError::Corrupt { why, .. }) if why.contains("schema is 9")),
            "{refused:?}"
        );
    }
}

#[tokio::test]
async fn a_server_that_evicts_is_refused() {
    let server = RedisServer::start_with(&["--maxmemory-policy", "allkeys-lru"]);
    let store = store_at(&server.url(), "dr", 4);
    let refused = store.prepare().await.unwrap_err();
    assert!(
        matches!(&refused, StoreError::Unavailable(why) if why.contains("maxmemory-policy noeviction")),
        "{refused}"
    );
    assert!(store.check().await.is_err(), "nothing was written");
}

/// Whatever happened to the lists, who lists all sees each run once and as it is, and leaves them right.
#[tokio::test]
async fn wrong_lists_are_put_right_when_they_are_read() {
    let namespace = namespace();
    let store = store_at(&shared_redis(), &namespace, 4);
    let runs: Vec<RunId> = (0..3).map(|number| sample::run(SHARD, 4, number)).collect();
    for (number, &run) in (0..).zip(&runs) {
        store.create(&[sample::new_run(run, number)]).await.unwrap();
    }
    let index = |status: RunStatus| format!("{namespace}:index:{status}");
    let member = |run: RunId| run.to_string().split_off(4);
    let mut client = client();
    let gone = sample::run(SHARD, 4, 9);
    let mut wrong = redis::pipe();
    wrong.cmd("ZREM").arg(index(RunStatus::Pending)).arg(member(runs[1]));
    for (status, number, run) in [
        (RunStatus::Completed, 1, runs[1]),
        (RunStatus::Failed, 1, runs[1]),
        (RunStatus::Running, 2, runs[2]),
        (RunStatus::Paused, 9, gone),
    ] {
        wrong.cmd("ZADD").arg(index(status)).arg(sample::created_at(number).0).arg(member(run));
    }
    let _: () = wrong.query(&mut client).unwrap();
    assert_eq!(listed(&store, &[RunStatus::Completed]).await, []);
    let _: () = redis::cmd("ZREM").arg(index(RunStatus::Pending)).arg(member(runs[1])).query(&mut client).unwrap();
    assert_eq!(listed(&store, &[]).await, [runs[2], runs[1], runs[0]]);
    for &status in RunStatus::ALL {
        let left: Vec<String> = redis::cmd("ZRANGE").arg(index(status)).arg(0).arg(-1).query(&mut client).unwrap();
        let right: Vec<String> = match status {
            RunStatus::Pending => runs.iter().copied().map(member).collect(),
            _ => vec![],
        };
        assert_eq!(left, right, "{status}");
    }
}

#[tokio::test]
async fn lost_lists_are_made_again_from_the_unfinished_runs() {
    let namespace = namespace();
    let store = store_at(&shared_redis(), &namespace, 4);
    let epoch = store.acquire(SHARD, "a", Duration::from_secs(60)).await.unwrap().unwrap();
    let runs: Vec<RunId> = (0..3).map(|number| sample::run(SHARD, 4, number)).collect();
    for (number, &run) in (0..).zip(&runs) {
        store.create(&[sample::new_run(run, number)]).await.unwrap();
    }
    store.commit(SHARD, epoch, vec![sample::commit(runs[1], 1, 1, 7)], &[]).await.unwrap();
    let keys: Vec<String> = RunStatus::ALL.iter().map(|status| format!("{namespace}:index:{status}")).collect();
    let _: () = redis::cmd("DEL").arg(keys).query(&mut client()).unwrap();
    assert_eq!(listed(&store, &[]).await, []);
    assert_eq!(store.repair_index(SHARD).await.unwrap(), 3);
    assert_eq!(listed(&store, &[]).await, [runs[2], runs[1], runs[0]]);
    assert_eq!(listed(&store, &[RunStatus::Running]).await, [runs[1]]);
}

/// A process that does not know where a run was leaves it in one list only; a refused commit moves it nowhere.
#[tokio::test]
async fn a_run_is_in_one_list_whoever_commits() {
    let (url, namespace) = (shared_redis(), namespace());
    let (one, other) = (store_at(&url, &namespace, 4), store_at(&url, &namespace, 4));
    let run = sample::run(SHARD, 4, 1);
    one.create(&[sample::new_run(run, 1)]).await.unwrap();
    let first = one.acquire(SHARD, "a", Duration::from_secs(60)).await.unwrap().unwrap();
    one.commit(SHARD, first, vec![sample::commit(run, 1, 1, 7)], &[]).await.unwrap();
    let second = other.acquire(SHARD, "a", Duration::from_secs(60)).await.unwrap().unwrap();
    let change = |version, status| {
        let mut change = sample::commit(run, 1, version, version + 7);
        change.summary.status = status;
        change
    };
    other.commit(SHARD, second, vec![change(2, RunStatus::Paused)], &[]).await.unwrap();
    assert!(one.commit(SHARD, first, vec![change(2, RunStatus::Failed)], &[]).await.is_err());
    let conflict = other.commit(SHARD, second, vec![change(1, RunStatus::Completed)], &[]).await.unwrap();
    assert_eq!(conflict, [Committed::Conflict { current: 3 }]);
    let mut client = client();
    for &status in RunStatus::ALL {
        let key = format!("{namespace}:index:{status}");
        let entries: usize = redis::cmd("ZCARD").arg(key).query(&mut client).unwrap();
        assert_eq!(entries, usize::from(status == RunStatus::Paused), "{status}");
    }
}

#[tokio::test]
async fn lists_of_many_runs_of_one_moment_are_read_page_by_page() {
    let store = store_at(&shared_redis(), &namespace(), 4);
    let mut runs = Vec::new();
    for number in 0..1_200 {
        let mut new = sample::new_run(RunId::from_key("many", &number.to_string()), 1);
        new.summary.status = if number % 3 == 0 { RunStatus::Running } else { RunStatus::Pending };
        runs.push(new);
    }
    store.create(&runs).await.unwrap();
    let mut expected: Vec<RunId> = runs.iter().map(|new| new.run).collect();
    expected.sort_unstable_by(|one, other| other.cmp(one));
    let mut found: Vec<RunId> = Vec::new();
    loop {
        let filter = RunFilter { before: found.last().copied(), limit: 100, ..RunFilter::default() };
        let page = store.list(&filter).await.unwrap();
        if page.is_empty() {
            break;
        }
        found.extend(page.into_iter().map(|(run, _)| run));
    }
    assert_eq!(found.len(), expected.len());
    assert_eq!(found, expected);
}

#[tokio::test]
async fn due_times_of_runs_that_are_gone_are_removed() {
    let namespace = namespace();
    let store = store_at(&shared_redis(), &namespace, 4);
    let runs: Vec<RunId> = (0..3).map(|number| sample::run(SHARD, 4, number)).collect();
    for (number, &run) in (0..).zip(&runs) {
        let mut new = sample::new_run(run, number);
        new.due = Some(Timestamp(u64::from(number) + 10));
        store.create(&[new]).await.unwrap();
    }
    let mut client = client();
    let gone = format!("{namespace}:{{0}}:run:{}", runs[0].to_string().split_off(4));
    let _: () = redis::cmd("DEL").arg(gone).query(&mut client).unwrap();
    assert_eq!(store.due(SHARD, Timestamp(11), 1).await.unwrap(), (vec![runs[1]], Some(Timestamp(12))));
    let left: usize = redis::cmd("ZCARD").arg(format!("{namespace}:{{0}}:timers")).query(&mut client).unwrap();
    assert_eq!(left, 2);
}
