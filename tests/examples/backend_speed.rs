//! How quick the embedded backend is on this machine: `cargo run --release -p darkroom-tests --example backend_speed`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for people at a terminal")]

use darkroom_backend::{
    Artifacts, Clock, Delivery, Details, EmbeddedQueue, EmbeddedStore, Lane, Publication, Queue, RunFilter, Shard,
    Store,
};
use darkroom_proto::{RunId, RunStatus};
use darkroom_tests::conformance::artifacts::Place as _;
use darkroom_tests::sample;
use darkroom_tests::servers::s3::shared_s3;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant};

const LEASE: Duration = Duration::from_secs(3_600);

fn main() {
    let dir = tempfile::tempdir_in(std::env::args().nth(1).unwrap_or_else(|| ".".into())).unwrap();
    fsync(dir.path());
    for (name, runtime) in [
        ("current-thread", tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()),
        ("multi-thread", tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap()),
    ] {
        println!("{name} runtime");
        runtime.block_on(commits(&dir.path().join(name)));
        runtime.block_on(queue());
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(lists(&dir.path().join("lists")));
    println!("artifacts in a folder");
    artifacts(&Artifacts::open(&dir.path().join("artifacts")).unwrap());
    println!("artifacts in a bucket of a server on this machine");
    artifacts(&shared_s3().place().open());
}

fn fsync(dir: &Path) {
    let mut file = std::fs::File::create(dir.join("fsync")).unwrap();
    file.write_all(&vec![0; 4 << 20]).unwrap();
    file.sync_all().unwrap();
    let mut times = Vec::new();
    for at in 0..400u64 {
        file.seek(SeekFrom::Start(at % 1_000 * 4_096)).unwrap();
        file.write_all(&[at as u8; 4_096]).unwrap();
        let started = Instant::now();
        file.sync_data().unwrap();
        times.push(started.elapsed());
    }
    println!("fdatasync of 4 KiB: {:.3} ms", median_ms(&mut times));
}

fn median_ms(times: &mut [Duration]) -> f64 {
    times.sort();
    times[times.len() / 2].as_secs_f64() * 1e3
}

/// Commits as 5-step pipelines make them: each run is changed 6 times, its head and one field of 200 bytes each time.
async fn commits(dir: &Path) {
    let store = EmbeddedStore::open_with(dir, 1, Clock::system()).unwrap();
    let epoch = store.acquire(Shard(0), "bench", LEASE).await.unwrap().unwrap();
    let mut number = 0u32;
    for batch in [1usize, 8, 64, 256] {
        let mut times = Vec::new();
        let rounds = (2_000 / batch / 6).clamp(12, 100);
        for _ in 0..rounds {
            let runs: Vec<(RunId, u32)> = (0..batch)
                .map(|_| {
                    number += 1;
                    (sample::run(Shard(0), 1, number), number)
                })
                .collect();
            let new: Vec<_> = runs.iter().map(|&(run, number)| sample::new_run(run, number)).collect();
            store.create(&new).await.unwrap();
            for version in 1..=6u64 {
                let commits = runs.iter().map(|&(run, number)| change(run, number, version)).collect();
                let performed: Vec<_> = runs.iter().map(|&(run, _)| (run, version)).collect();
                let started = Instant::now();
                store.commit(Shard(0), epoch, commits, &performed).await.unwrap();
                if (2..=5).contains(&version) {
                    times.push(started.elapsed());
                }
            }
        }
        let ms = median_ms(&mut times);
        println!("  commit of {batch:3}: {ms:.3} ms, {:.4} ms each", ms / batch as f64);
    }
    drop(store);
    let started = Instant::now();
    let store = EmbeddedStore::open_with(dir, 1, Clock::system()).unwrap();
    println!("  open after {number} runs: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
    drop(store);
}

fn change(run: RunId, number: u32, version: u64) -> darkroom_backend::Commit {
    let mut change = sample::commit(run, number, version, version);
    change.head = vec![7; 300];
    change.fields = vec![(format!("step/{version}"), Some(vec![8; 200]))];
    change.events = vec![vec![9; 80], vec![9; 80]];
    change.outbox = vec![1; 300];
    if version == 6 {
        change.summary.status = RunStatus::Completed;
        change.outbox.clear();
    }
    change
}

async fn lists(dir: &Path) {
    let store = EmbeddedStore::open_with(dir, 1, Clock::system()).unwrap();
    for chunk in 0..20u32 {
        let new: Vec<_> = (0..1_000)
            .map(|at| {
                let number = chunk * 1_000 + at;
                let mut new = sample::new_run(sample::run(Shard(0), 1, number), number);
                new.head = vec![7; 2_000];
                new
            })
            .collect();
        let started = Instant::now();
        store.create(&new).await.unwrap();
        if chunk == 19 {
            println!("create of 1000: {:.1} ms", started.elapsed().as_secs_f64() * 1e3);
        }
    }
    let fingerprint = Some(sample::summary(1, RunStatus::Pending).fingerprint);
    for (name, filter) in [
        ("newest 20", RunFilter { limit: 20, ..RunFilter::default() }),
        ("one by fingerprint, the oldest but one", RunFilter { limit: 20, fingerprint, ..RunFilter::default() }),
    ] {
        let started = Instant::now();
        let found = store.list(&filter).await.unwrap().len();
        println!("list of 20000 runs, {name}: {:.2} ms, {found} found", started.elapsed().as_secs_f64() * 1e3);
    }
}

async fn queue() {
    const COUNT: u32 = 300_000;
    let queue = EmbeddedQueue::new(["api", "image"]);
    let pools = ["image".to_owned()];
    let step = |number| Publication::Step {
        pool: "image".into(),
        lane: Lane::First,
        delay: None,
        message: Box::new(sample::step(number)),
    };
    let mut spent = Duration::ZERO;
    for from in (0..COUNT).step_by(100) {
        let batches: Vec<Vec<Publication>> = (from..from + 100).map(|number| vec![step(number)]).collect();
        let started = Instant::now();
        for publications in batches {
            queue.publish(publications).await.unwrap();
        }
        let mut deliveries = Vec::with_capacity(100);
        for _ in 0..100 {
            deliveries.push(queue.take_step(&pools).await.unwrap().unwrap());
        }
        let mut done = Vec::with_capacity(100);
        for delivery in deliveries {
            done.push(delivery.message().attempt);
            delivery.ack().await.unwrap();
        }
        spent += started.elapsed();
    }
    println!("  queue: {:.0} publish + take + ack per second", f64::from(COUNT) / spent.as_secs_f64());
}

fn artifacts(artifacts: &Artifacts) {
    let bytes: Vec<u8> = (0..64u32 << 20).map(|at| (at.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    let started = Instant::now();
    darkroom_proto::Sha256::of(&bytes);
    println!("  sha256: {:.0} MB/s", 67.1 / started.elapsed().as_secs_f64());
    let started = Instant::now();
    let artifact = artifacts.put(&bytes, &Details::default()).unwrap();
    println!("  put of 64 MiB: {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    let started = Instant::now();
    artifacts.get(&artifact).unwrap();
    println!("  get of 64 MiB: {:.0} ms", started.elapsed().as_secs_f64() * 1e3);
    let mut times = Vec::new();
    for at in 0..50u8 {
        let bytes = vec![at; 100 << 10];
        let started = Instant::now();
        artifacts.put(&bytes, &Details::default()).unwrap();
        times.push(started.elapsed());
    }
    println!("  put of 100 KiB: {:.2} ms", median_ms(&mut times));
    let mut times = Vec::new();
    for at in 0..50u8 {
        let artifact = artifacts.put(&vec![at; 100 << 10], &Details::default()).unwrap();
        let started = Instant::now();
        artifacts.get(&artifact).unwrap();
        times.push(started.elapsed());
    }
    println!("  get of 100 KiB: {:.2} ms", median_ms(&mut times));
}
