//! Roles that start before their servers, that are told to leave, and that are given what nobody can read.

use darkroom_proto::{Map, RunStatus};
use darkroom_tests::fleet::load::{Load, Workflow};
use darkroom_tests::fleet::role::Role;
use darkroom_tests::fleet::{Fleet, blocking};
use darkroom_tests::poll;
use darkroom_tests::servers::rabbit::RabbitServer;
use darkroom_tests::servers::redis::RedisServer;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An exchange, a key, a version, a body, and the cause that the message must be dead of.
type Planted<'a> = (&'a str, &'a str, Option<i32>, &'a [u8], &'a str);

/// How long a role may drain.
const DRAIN_MAX: Duration = Duration::from_secs(25);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_wait_for_their_servers_and_say_so() {
    let rabbit = blocking(RabbitServer::start);
    let mut redis = blocking(RedisServer::start);
    let fleet = Fleet::not_set_up(&rabbit.url(), &redis.url());
    blocking(|| rabbit.kill());
    redis.kill();
    let roles = [fleet.coordinator(), fleet.worker()];
    for role in &roles {
        role.says("waiting for a server").await;
        let (status, why) = role.page("/readyz").unwrap();
        assert_eq!(status, 503, "{why}");
        assert!(why.contains("store") && why.contains("broker"), "{why}");
        assert_eq!(role.page("/livez").unwrap().0, 200, "a role that waits is not stuck");
    }
    blocking(|| {
        redis.restart();
        rabbit.restart();
    });
    fleet.set_up();
    for role in &roles {
        role.ready().await;
    }
    let run = fleet.submit(&Workflow::pipeline(3, Duration::ZERO), Map::new()).await;
    fleet.ended(run, Duration::from_secs(20)).await;
    fleet.verify_runs(&[run]).await;
    fleet.leaves_nothing(roles.into()).await;
    drop(fleet);
    blocking(|| drop(rabbit));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn roles_that_are_told_to_end_under_load_drain_in_time_and_lose_nothing() {
    let fleet = Arc::new(Fleet::shared());
    let (coordinators, workers) = fleet.two_of_each().await;
    let load = Load::start(&fleet, &Workflow::pipeline(5, Duration::from_millis(20)), 100).await;
    let done = async || fleet.unfinished().await.is_ok_and(|unfinished| load.handed_in() > unfinished + 20);
    poll::until("the fleet is at work", done).await;
    let mut left: Vec<Role> = coordinators.into_iter().chain(workers).collect();
    left.iter().for_each(Role::terminate);
    for role in &mut left {
        let (status, after) = role.end(DRAIN_MAX).await;
        println!("{} drained in {after:?}", role.name);
        assert!(status.success(), "{}: {status}\n{}", role.name, role.log());
    }
    assert!(fleet.unfinished().await.unwrap() > 0, "there was work left");
    let (coordinators, workers) = fleet.two_of_each().await;
    let runs = load.stop().await;
    fleet.all_ended(Duration::from_secs(90)).await;
    fleet.verify_runs(&runs).await;
    fleet.leaves_nothing(coordinators.into_iter().chain(workers).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_can_read_ends_with_the_dead_while_a_run_completes_beside_it() {
    let fleet = Fleet::shared();
    let roles = [fleet.coordinator(), fleet.worker()];
    for role in &roles {
        role.ready().await;
    }
    let broker = fleet.broker().await;
    let run = fleet.submit(&Workflow::pipeline(5, Duration::from_millis(50)), Map::new()).await;
    let too_large = vec![0; 300 << 10];
    let planted: [Planted; 7] = [
        ("steps", "image", Some(1), b"\xc1 no MessagePack", "malformed"),
        ("steps", "image", Some(99), b"\x80", "unknown version 99"),
        ("steps", "api", None, b"\x80", "no version"),
        ("steps", "image.batch", Some(1), &too_large, "too large"),
        ("shard", "3", Some(1), b"\x81\xa5other\x80", "malformed"),
        ("shard", "4", Some(99), b"\x80", "unknown version 99"),
        ("shard", "5", Some(1), &too_large, "too large"),
    ];
    for (exchange, key, version, body, _) in planted {
        broker.publish(exchange, key, version, body).await;
    }
    fleet.ended(run, Duration::from_secs(20)).await;
    let dead = Mutex::new(Vec::new());
    poll::until("all of them are dead", async || {
        let taken = broker.take_dead().await;
        let mut dead = dead.lock().unwrap();
        dead.extend(taken);
        dead.len() >= planted.len()
    })
    .await;
    let dead = dead.into_inner().unwrap();
    for (exchange, key, _, _, cause) in planted {
        let queue = format!("{}.{exchange}.{key}", fleet.namespace);
        assert!(dead.iter().any(|dead| dead.queue == queue && dead.cause.contains(cause)), "{queue} {cause}: {dead:?}");
    }
    assert_eq!(dead.len(), planted.len(), "{dead:?}");
    fleet.verify_runs(&[run]).await;
    fleet.leaves_nothing(roles.into()).await;
    fleet.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_output_of_300_kib_travels_by_reference() {
    let fleet = Fleet::shared();
    let roles = [fleet.coordinator(), fleet.worker()];
    for role in &roles {
        role.ready().await;
    }
    let workflow = Workflow::new(
        "large",
        "workflow: large\ninputs:\n  data: { type: json }\nsteps:\n  - { id: a, uses: noop, with: { data: \"${{ inputs.data }}\" } }\n  \
         - { id: b, uses: noop, with: { data: \"${{ steps.a.data }}\" } }\n",
    );
    let large = serde_json::Value::String("0123456789abcdef".repeat((300 << 10) / 16));
    let run = fleet.submit(&workflow, Map::from_iter([("data".to_owned(), large.clone())])).await;
    let stored = fleet.ended(run, Duration::from_secs(20)).await;
    assert_eq!(stored.run.head.status, RunStatus::Completed, "{:?}", stored.run.steps);
    for step in stored.run.steps.values() {
        assert_eq!(step.outputs.get("data"), Some(&large));
    }
    let found = files_over(&fleet.kept(), 300 << 10);
    // Each step is sent with it, and reports it.
    assert!(found >= 4, "{found} messages lay in the artifact store");
    fleet.verify_runs(&[run]).await;
    fleet.leaves_nothing(roles.into()).await;
    fleet.remove().await;
}

/// How many files under a folder are at least so long.
fn files_over(folder: &std::path::Path, bytes: u64) -> usize {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            let about = entry.metadata().unwrap();
            if about.is_dir() { files_over(&entry.path(), bytes) } else { usize::from(about.len() >= bytes) }
        })
        .sum()
}
