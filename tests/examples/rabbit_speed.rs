//! How quick the queue on RabbitMQ is on this machine: `cargo run --release -p darkroom-tests --example rabbit_speed`.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a tool for people at a terminal")]

use darkroom_backend::{Delivery, Lane, Publication, Queue, RabbitOptions, RabbitQueue, Shard, ShardMessage};
use darkroom_tests::sample;
use darkroom_tests::servers::rabbit::RabbitServer;
use std::time::{Duration, Instant};

/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(3);

fn main() {
    let server = RabbitServer::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let options = RabbitOptions { slots: 8, ..RabbitOptions::new(server.url().into()) };
        let queue = RabbitQueue::connect(options);
        let declared = Instant::now();
        queue.declare().await.unwrap();
        println!("connected, everything declared: {:.0} ms", declared.elapsed().as_secs_f64() * 1e3);
        for (batch, publishers) in [(1, 1), (16, 1), (256, 1), (1, 16), (16, 16)] {
            publish(&queue, batch, publishers).await;
        }
        take(&queue).await;
        round_trip(&queue).await;
        queue.delete().await.unwrap();
    });
}

fn step(number: u32) -> Publication {
    Publication::Step { pool: "image".into(), lane: Lane::First, delay: None, message: Box::new(sample::step(number)) }
}

async fn publish(queue: &RabbitQueue, batch: u32, publishers: u32) {
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..publishers {
        let queue = queue.clone();
        tasks.spawn(async move {
            let mut published = 0;
            while started.elapsed() < TIME {
                queue.publish((0..batch).map(step).collect()).await.unwrap();
                published += batch;
            }
            published
        });
    }
    let published: u32 = tasks.join_all().await.iter().sum();
    let rate = f64::from(published) / started.elapsed().as_secs_f64();
    println!("publish, {publishers} at once, batches of {batch}: {rate:.0}/s confirmed");
    queue.purge().await.unwrap();
}

async fn take(queue: &RabbitQueue) {
    const STEPS: u32 = 20_000;
    for from in (0..STEPS).step_by(500) {
        queue.publish((from..from + 500).map(step).collect()).await.unwrap();
    }
    let started = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let queue = queue.clone();
        tasks.spawn(async move {
            for _ in 0..STEPS / 8 {
                let delivery = queue.take_step(&["image".to_owned()]).await.unwrap().unwrap();
                delivery.ack().await.unwrap();
            }
        });
    }
    tasks.join_all().await;
    println!("take and ack steps, 8 slots: {:.0}/s", f64::from(STEPS) / started.elapsed().as_secs_f64());
    let nudge = |number| {
        let message = ShardMessage::Nudge { run: sample::run(Shard(0), 16, number) };
        Publication::Shard { shard: Shard(0), message }
    };
    for from in (0..STEPS).step_by(500) {
        queue.publish((from..from + 500).map(nudge).collect()).await.unwrap();
    }
    let (started, mut taken) = (Instant::now(), 0);
    while taken < STEPS {
        for delivery in queue.take_shard(&[Shard(0)], 512).await.unwrap() {
            delivery.ack().await.unwrap();
            taken += 1;
        }
    }
    println!("take and ack messages of a shard: {:.0}/s", f64::from(STEPS) / started.elapsed().as_secs_f64());
}

async fn round_trip(queue: &RabbitQueue) {
    let mut times = Vec::new();
    for number in 0..300 {
        let started = Instant::now();
        queue.publish(vec![step(number)]).await.unwrap();
        let delivery = queue.take_step(&["image".to_owned()]).await.unwrap().unwrap();
        times.push(started.elapsed());
        delivery.ack().await.unwrap();
    }
    times.sort();
    let at = |share: f64| times[(times.len() as f64 * share) as usize].as_secs_f64() * 1e3;
    println!("publish until taken: p50 {:.1} ms, p99 {:.1} ms", at(0.5), at(0.99));
}
