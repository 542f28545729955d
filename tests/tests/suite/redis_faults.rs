//! What happens to the store on Redis when the server is killed, refuses, or is not there.

use crate::redis::store_at;
use darkroom_backend::{Commit, Committed, Epoch, RedisStore, Shard, Store, StoreError};
use darkroom_proto::{RunId, Timestamp};
use darkroom_tests::poll;
use darkroom_tests::sample;
use darkroom_tests::servers::redis::{RedisServer, namespace, shared_redis};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

const SHARDS: u16 = 4;
const SHARD: Shard = Shard(0);
const LEASE: Duration = Duration::from_secs(600);
const KILLS: u64 = 4;

async fn owned_run(store: &RedisStore) -> (Epoch, RunId) {
    let run = sample::run(SHARD, SHARDS, 1);
    store.create(&[sample::new_run(run, 1)]).await.unwrap();
    (store.acquire(SHARD, "a", LEASE).await.unwrap().unwrap(), run)
}

/// Commits until told to stop, and says which version was acknowledged. What was not is repeated, as its owner would.
async fn commit_on(store: RedisStore, shard: u16, acknowledged: Arc<AtomicU64>, stop: Arc<AtomicBool>) -> u64 {
    let shard = Shard(shard);
    let run = sample::run(shard, SHARDS, 1);
    let epoch = store.acquire(shard, "a", LEASE).await.unwrap().unwrap();
    store.create(&[sample::new_run(run, 1)]).await.unwrap();
    acknowledged.store(1, Ordering::Release);
    let mut version = 1;
    while !stop.load(Ordering::Acquire) {
        let mut change = sample::commit(run, 1, version, version + 1_000);
        change.outbox = b"effects".to_vec();
        match store.commit(shard, epoch, vec![change], &[(run, version)]).await {
            Ok(outcomes) => {
                assert_eq!(outcomes, [Committed::Done(version + 1)]);
                version += 1;
                acknowledged.store(version, Ordering::Release);
            }
            Err(StoreError::Unreachable { .. }) => tokio::time::sleep(Duration::from_millis(5)).await,
            Err(error) => panic!("{error}"),
        }
    }
    version
}

async fn check(store: &RedisStore, shard: u16, acknowledged: u64, when: &str) {
    let shard = Shard(shard);
    let run = sample::run(shard, SHARDS, 1);
    let loaded = store.load(run).await.unwrap().unwrap();
    assert!(loaded.version >= acknowledged, "{when}: {} was acknowledged, {} is there", acknowledged, loaded.version);
    let events = store.events(run, 0, usize::MAX).await.unwrap();
    assert!(events.len() as u64 >= acknowledged, "{when}");
    assert!(events.iter().zip(1..).all(|(event, seq)| event.seq == seq), "{when}");
    assert_eq!(store.active(shard).await.unwrap(), [run], "{when}");
}

#[tokio::test]
async fn acknowledged_commits_survive_kill_9_of_redis_under_load() {
    let mut server = RedisServer::start();
    let store = store_at(&server.url(), "dr", SHARDS);
    store.prepare().await.unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let acknowledged: Vec<Arc<AtomicU64>> = (0..SHARDS).map(|_| Arc::default()).collect();
    let mut tasks = JoinSet::new();
    for (shard, acknowledged) in (0..).zip(&acknowledged) {
        tasks.spawn(commit_on(store.clone(), shard, Arc::clone(acknowledged), Arc::clone(&stop)));
    }
    let mut before = 1;
    for kill in 1..=KILLS {
        let heard = |at: &Arc<AtomicU64>| at.load(Ordering::Acquire) >= before + 20 * kill;
        poll::until("commits go on", async || acknowledged.iter().all(heard)).await;
        server.kill();
        let at_kill: Vec<u64> = acknowledged.iter().map(|at| at.load(Ordering::Acquire)).collect();
        before = at_kill.iter().copied().max().unwrap();
        server.restart();
        let other = store_at(&server.url(), "dr", SHARDS);
        poll::until("redis answers", async || other.check().await.is_ok()).await;
        for (shard, acknowledged) in (0..).zip(at_kill) {
            check(&other, shard, acknowledged, &format!("kill {kill}")).await;
        }
    }
    stop.store(true, Ordering::Release);
    for version in tasks.join_all().await {
        assert!(version > before);
    }
    for (shard, acknowledged) in (0..).zip(acknowledged) {
        let version = acknowledged.load(Ordering::Acquire);
        check(&store, shard, version, "at the end").await;
        // What was repeated was not applied twice.
        let run = sample::run(Shard(shard), SHARDS, 1);
        assert_eq!(store.events(run, 0, usize::MAX).await.unwrap().len() as u64, version);
        assert_eq!(store.load(run).await.unwrap().unwrap().version, version);
    }
}

/// Passes on what is said, until it is armed: then the next reply is lost, and the connection with it.
struct Eavesdropper {
    port: u16,
    armed: Arc<AtomicBool>,
    _tasks: JoinSet<()>,
}

impl Eavesdropper {
    async fn before(url: &str) -> Self {
        let server = url.trim_start_matches("redis://").trim_end_matches('/').to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let armed = Arc::new(AtomicBool::new(false));
        let mut tasks = JoinSet::new();
        let is_armed = Arc::clone(&armed);
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = TcpStream::connect(&server).await.unwrap();
                connections.spawn(pass_on(client, server, Arc::clone(&is_armed)));
            }
        });
        Self { port, armed, _tasks: tasks }
    }

    fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port)
    }

    fn lose_next_reply(&self) {
        self.armed.store(true, Ordering::Release);
    }
}

async fn pass_on(mut client: TcpStream, mut server: TcpStream, armed: Arc<AtomicBool>) {
    let (mut from_client, mut from_server) = (vec![0; 64 << 10], vec![0; 64 << 10]);
    loop {
        tokio::select! {
            read = client.read(&mut from_client) => match read {
                Ok(length @ 1..) => server.write_all(&from_client[..length]).await.unwrap(),
                _ => return,
            },
            read = server.read(&mut from_server) => match read {
                Ok(length @ 1..) if !armed.swap(false, Ordering::AcqRel) => {
                    if client.write_all(&from_server[..length]).await.is_err() {
                        return;
                    }
                }
                _ => return,
            },
        }
    }
}

#[tokio::test]
async fn writes_whose_reply_was_lost_are_repeated_harmlessly() {
    let between = Eavesdropper::before(&shared_redis()).await;
    let store = store_at(&between.url(), &namespace(), SHARDS);
    store.prepare().await.unwrap();
    let new = sample::new_run(sample::run(SHARD, SHARDS, 2), 2);
    between.lose_next_reply();
    assert_eq!(store.create(std::slice::from_ref(&new)).await.unwrap(), [darkroom_backend::Created::Created]);
    assert_eq!(store.create(&[new]).await.unwrap(), [darkroom_backend::Created::Existed]);
    let (epoch, run) = owned_run(&store).await;
    for version in 1..=5 {
        let mut change = sample::commit(run, 1, version, version + 7);
        change.outbox = b"effects".to_vec();
        between.lose_next_reply();
        let outcome = store.commit(SHARD, epoch, vec![change], &[(run, version)]).await.unwrap();
        assert_eq!(outcome, [Committed::Done(version + 1)]);
        assert!(!between.armed.load(Ordering::Acquire), "a reply was lost");
    }
    assert_eq!(store.events(run, 0, 100).await.unwrap().len(), 6);
    between.lose_next_reply();
    store.post(&sample::command(run, "k")).await.unwrap();
    assert_eq!(store.inbox(SHARD).await.unwrap(), [sample::command(run, "k")]);
}

#[tokio::test]
async fn a_store_that_is_down_says_so_quickly_and_works_again() {
    let mut server = RedisServer::start();
    let store = store_at(&server.url(), "dr", SHARDS);
    store.prepare().await.unwrap();
    let (epoch, run) = owned_run(&store).await;
    server.kill();
    let started = Instant::now();
    for _ in 0..10 {
        let refused = store.commit(SHARD, epoch, vec![sample::commit(run, 1, 1, 7)], &[]).await.unwrap_err();
        assert!(matches!(&refused, StoreError::Unreachable { place, .. } if place.starts_with("redis://127.0.0.1:")));
        assert!(refused.advice().contains("store.url"), "{refused}");
    }
    // Milliseconds in truth: nobody waits for a server that refuses connections.
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
    server.restart();
    poll::until("it works again", async || {
        let again = store.commit(SHARD, epoch, vec![sample::commit(run, 1, 1, 7)], &[]).await;
        again.is_ok_and(|outcomes| outcomes == [Committed::Done(2)])
    })
    .await;
}

#[tokio::test]
async fn a_store_of_which_nobody_answers_says_so() {
    let store = store_at("redis://user:secret@127.0.0.1:1/", "dr", SHARDS);
    let refused = store.now().await.unwrap_err();
    assert!(matches!(refused, StoreError::Unreachable { .. }) && !refused.to_string().contains("secret"), "{refused}");
    let store = store_at(&shared_redis(), "a{b}", SHARDS);
    assert!(store.now().await.unwrap_err().to_string().contains("braces"));
}

#[tokio::test]
async fn a_server_that_stands_still_is_used_again_when_it_goes_on() {
    let server = RedisServer::start();
    let store = store_at(&server.url(), "dr", SHARDS);
    store.prepare().await.unwrap();
    let (epoch, run) = owned_run(&store).await;
    server.pause();
    let commit = |version| sample::commit(run, 1, version, version + 7);
    let refused = store.commit(SHARD, epoch, vec![commit(1)], &[]).await;
    assert!(matches!(refused, Err(StoreError::Unreachable { .. })), "{refused:?}");
    server.resume();
    poll::until("it goes on", async || {
        store.commit(SHARD, epoch, vec![commit(1)], &[]).await.is_ok_and(|outcomes| outcomes == [Committed::Done(2)])
    })
    .await;
    assert_eq!(store.events(run, 0, 10).await.unwrap().len(), 2);
}

#[tokio::test]
async fn scripts_that_were_flushed_are_loaded_again() {
    let server = RedisServer::start();
    let store = store_at(&server.url(), "dr", SHARDS);
    let (epoch, run) = owned_run(&store).await;
    let mut client = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut client).unwrap();
    let outcome = store.commit(SHARD, epoch, vec![sample::commit(run, 1, 1, 7)], &[(run, 2)]).await.unwrap();
    assert_eq!(outcome, [Committed::Done(2)]);
    let _: () = redis::cmd("SCRIPT").arg("FLUSH").query(&mut client).unwrap();
    assert_eq!(store.due(SHARD, Timestamp(5), 5).await.unwrap(), (vec![], None));
}

#[tokio::test]
async fn a_full_server_changes_nothing_and_says_why() {
    let server = RedisServer::start();
    let store = store_at(&server.url(), "dr", SHARDS);
    let (epoch, run) = owned_run(&store).await;
    let mut client = redis::Client::open(server.url()).unwrap().get_connection().unwrap();
    let mut maxmemory = |bytes: u64| {
        let _: () = redis::cmd("CONFIG").arg("SET").arg("maxmemory").arg(bytes).query(&mut client).unwrap();
    };
    maxmemory(1);
    let refused = store.commit(SHARD, epoch, vec![sample::commit(run, 1, 1, 7)], &[]).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Unavailable(why) if why.contains("OOM")), "{refused}");
    assert_eq!(store.load(run).await.unwrap().unwrap().version, 1);
    maxmemory(0);
    let outcome = store.commit(SHARD, epoch, vec![sample::commit(run, 1, 1, 7)], &[]).await.unwrap();
    assert_eq!(outcome, [Committed::Done(2)]);
}

/// More than one script takes, a run more than once, and more fields than Lua unpacks.
#[tokio::test]
async fn large_batches_are_applied_whole_and_in_order() {
    let store = store_at(&shared_redis(), &namespace(), SHARDS);
    let epoch = store.acquire(SHARD, "a", LEASE).await.unwrap().unwrap();
    let runs: Vec<RunId> = (0..150).map(|number| sample::run(SHARD, SHARDS, number)).collect();
    let new: Vec<_> = (0..).zip(&runs).map(|(number, &run)| sample::new_run(run, number)).collect();
    store.create(&new).await.unwrap();
    let change = |number: u32, version: u64| -> Commit {
        let mut change = sample::commit(runs[number as usize], number, version, version + 7);
        change.fields[0].1 = Some(vec![number as u8; 20_000]);
        change.outbox = b"effects".to_vec();
        change
    };
    let mut commits: Vec<Commit> = (0..150).map(|number| change(number, 1)).collect();
    commits.extend((0..150).map(|number| change(number, 2)));
    commits[149].fields = (0..9_001).map(|at| (format!("{at:04}"), Some(vec![7]))).collect();
    commits[299].fields = (0..9_000).map(|at| (format!("{at:04}"), None)).collect();
    commits[299].commands = (0..9_000).map(|at| format!("command {at}")).collect();
    let performed: Vec<_> = runs[..100].iter().map(|&run| (run, 3)).collect();
    let outcomes = store.commit(SHARD, epoch, commits, &performed).await.unwrap();
    assert!(outcomes[..150].iter().all(|outcome| *outcome == Committed::Done(2)));
    assert!(outcomes[150..].iter().all(|outcome| *outcome == Committed::Done(3)));
    let loaded = store.load(runs[149]).await.unwrap().unwrap();
    let names: Vec<&str> = loaded.fields.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["9000", "inputs"]);
    assert_eq!(store.dirty(SHARD).await.unwrap(), runs[100..]);
}
