//! How quick the store on Redis is on this machine: `cargo run --release -p darkroom-tests --example redis_speed`.
//!
//! Each commit has a head of 300 bytes, 2 fields of 300, 2 events of 100, and effects of 50, as a step makes them.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for people at a terminal")]

use darkroom_backend::{Commit, Committed, Epoch, RedisOptions, RedisStore, Shard, Store};
use darkroom_proto::{RunId, Timestamp};
use darkroom_tests::sample;
use darkroom_tests::servers::redis::RedisServer;
use std::time::{Duration, Instant};
use tokio::task::JoinSet;

const SHARDS: u16 = 16;
const LEASE: Duration = Duration::from_secs(3_600);
const TIME: Duration = Duration::from_secs(3);

#[tokio::main]
async fn main() {
    let server = RedisServer::start();
    let pid = server.pid().unwrap();
    for (name, shards) in [("one shard", 1), ("16 shards at once", SHARDS)] {
        println!("{name}");
        for batch in [1usize, 16, 128] {
            let namespace = format!("speed-{shards}-{batch}");
            let store = RedisStore::connect(RedisOptions { url: server.url().into(), namespace, shards: SHARDS });
            measure(&store, shards, batch, pid).await;
            println!("      {}", scripts(&server.url()));
        }
    }
}

/// How long scripts took inside of Redis since this was last asked.
fn scripts(url: &str) -> String {
    let mut client = redis::Client::open(url).unwrap().get_connection().unwrap();
    let info: String = redis::cmd("INFO").arg("commandstats").query(&mut client).unwrap();
    let _: () = redis::cmd("CONFIG").arg("RESETSTAT").query(&mut client).unwrap();
    let of =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{name}:"))).unwrap_or("none");
    format!("evalsha {}; hset {}; xadd {}", of("evalsha"), of("hset"), of("xadd"))
}

async fn measure(store: &RedisStore, shards: u16, batch: usize, pid: u32) {
    let mut owned = Vec::new();
    for shard in (0..shards).map(Shard) {
        let epoch = store.acquire(shard, "bench", LEASE).await.unwrap().unwrap();
        let runs: Vec<RunId> = (0..batch as u32).map(|number| sample::run(shard, SHARDS, number)).collect();
        let new: Vec<_> = (0..).zip(&runs).map(|(number, &run)| sample::new_run(run, number)).collect();
        store.create(&new).await.unwrap();
        owned.push((shard, epoch, runs));
    }
    let (own, theirs, started) = (cpu(std::process::id()), cpu(pid), Instant::now());
    let mut tasks = JoinSet::new();
    for (shard, epoch, runs) in owned {
        tasks.spawn(commit_on(store.clone(), shard, epoch, runs, started));
    }
    let results = tasks.join_all().await;
    let (wall, own, theirs) = (started.elapsed(), cpu(std::process::id()) - own, cpu(pid) - theirs);
    let commits: usize = results.iter().map(|(commits, _)| commits).sum();
    let mut times: Vec<Duration> = results.into_iter().flat_map(|(_, times)| times).collect();
    times.sort();
    let ms = |at: usize| times[at * (times.len() - 1) / 100].as_secs_f64() * 1e3;
    println!(
        "  batches of {batch:3}: {:6.0} commits/s, call p50 {:.2} ms, p99 {:.2} ms; CPU for each commit: redis {:.0} µs, \
         here {:.0} µs; redis {:.0} % of a core",
        commits as f64 / wall.as_secs_f64(),
        ms(50),
        ms(99),
        theirs / commits as f64 * 1e6,
        own / commits as f64 * 1e6,
        theirs / wall.as_secs_f64() * 100.0,
    );
}

async fn commit_on(
    store: RedisStore,
    shard: Shard,
    epoch: Epoch,
    runs: Vec<RunId>,
    started: Instant,
) -> (usize, Vec<Duration>) {
    let (mut version, mut commits, mut times) = (1u64, 0, Vec::new());
    while started.elapsed() < TIME {
        let batch: Vec<Commit> = (0..).zip(&runs).map(|(number, &run)| change(run, number, version)).collect();
        let performed: Vec<_> = runs.iter().map(|&run| (run, version)).collect();
        let call = Instant::now();
        let outcomes = store.commit(shard, epoch, batch, &performed).await.unwrap();
        times.push(call.elapsed());
        assert!(outcomes.iter().all(|outcome| *outcome == Committed::Done(version + 1)));
        version += 1;
        commits += runs.len();
    }
    (commits, times)
}

fn change(run: RunId, number: u32, version: u64) -> Commit {
    let mut change = sample::commit(run, number, version, version);
    change.head = vec![7; 300];
    let field = |name: u64| (format!("steps/{name}"), Some(vec![8; 300]));
    change.fields = vec![field(version % 8), field(version % 8 + 1)];
    change.events = vec![vec![9; 100], vec![9; 100]];
    change.outbox = vec![1; 50];
    change.due = Some(Timestamp(sample::created_at(number).0 + version));
    change
}

/// The seconds that a process has spent on a CPU; 100 ticks are one.
fn cpu(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
