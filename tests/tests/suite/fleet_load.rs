//! A fleet under load while its processes and servers are killed, stopped, emptied and cut off: nothing is lost, and
//! nothing is done twice.

use darkroom_tests::fleet::ordeal::{Ordeal, form};
use darkroom_tests::fleet::{Fleet, blocking};
use darkroom_tests::proxy::{Proxy, Traffic};
use darkroom_tests::servers::rabbit::{RabbitServer, shared_rabbit};
use darkroom_tests::servers::redis::{RedisServer, shared_redis};
use std::time::{Duration, Instant};

/// How long a fleet works between two strikes at servers.
const BETWEEN: Duration = Duration::from_secs(4);

/// How long Redis is away: longer than a lease lives.
const AWAY: Duration = Duration::from_secs(2);

/// How soon the work of a process that is gone goes on: 2 s, and a second for doing it among a hundred other runs on few
/// cores.
const SOON: Duration = Duration::from_secs(3);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_workers_lose_nothing() {
    let fleet = Fleet::shared();
    let (coordinators, mut workers) = fleet.two_of_each().await;
    let kills = form(4, 15);
    let mut ordeal = Ordeal::begin("a worker is killed every 2 s", kills, fleet).await;
    ordeal.must_resume_within(SOON);
    for kill in 0..kills {
        ordeal.strike().await;
        let mut killed = workers.remove(0);
        assert!(killed.kill(), "worker {kill} was alive");
        ordeal.may_resume();
        workers.push(ordeal.fleet.worker());
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    ordeal.end(coordinators.into_iter().chain(workers).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_coordinators_lose_nothing() {
    let fleet = Fleet::shared();
    let (mut coordinators, workers) = fleet.two_of_each().await;
    let kills = form(3, 10);
    let mut ordeal = Ordeal::begin("a coordinator is killed every 3 s", kills, fleet).await;
    ordeal.must_resume_within(SOON);
    for kill in 0..kills {
        ordeal.strike().await;
        let mut killed = coordinators.remove(0);
        assert!(killed.kill(), "coordinator {kill} was alive");
        ordeal.may_resume();
        coordinators.push(ordeal.fleet.coordinator());
        tokio::time::sleep(Duration::from_secs(3)).await;
    }
    ordeal.end(coordinators.into_iter().chain(workers).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broker_that_is_killed_loses_nothing() {
    let server = blocking(RabbitServer::start);
    let fleet = Fleet::on(&server.url(), &shared_redis());
    let (coordinators, workers) = fleet.two_of_each().await;
    let kills = form(2, 5);
    let mut ordeal = Ordeal::begin("RabbitMQ is killed and restarted", kills, fleet).await;
    for _ in 0..kills {
        ordeal.strike().await;
        blocking(|| {
            server.kill();
            server.restart();
        });
        ordeal.may_resume();
        tokio::time::sleep(BETWEEN).await;
    }
    ordeal.end(coordinators.into_iter().chain(workers).collect()).await;
    blocking(|| drop(server));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_killed_loses_nothing() {
    let mut server = blocking(RedisServer::start);
    let fleet = Fleet::on(&shared_rabbit(), &server.url());
    let (coordinators, workers) = fleet.two_of_each().await;
    let kills = form(2, 5);
    let mut ordeal = Ordeal::begin("Redis is killed and restarted", kills, fleet).await;
    for _ in 0..kills {
        ordeal.strike().await;
        server.kill();
        tokio::time::sleep(AWAY).await;
        blocking(|| server.restart());
        ordeal.may_resume();
        tokio::time::sleep(BETWEEN).await;
    }
    let verdict = ordeal.end(coordinators.into_iter().chain(workers).collect()).await;
    println!("the last run to start waited for {:?}, the slowest took {:?}", verdict.slowest_start, verdict.slowest);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_worker_that_is_stopped_and_goes_on_does_no_harm() {
    let fleet = Fleet::shared();
    let (coordinators, workers) = fleet.two_of_each().await;
    let mut ordeal = Ordeal::begin("a worker is stopped for a while", 1, fleet).await;
    ordeal.strike().await;
    workers[0].pause();
    ordeal.may_resume();
    tokio::time::sleep(form(Duration::from_secs(10), Duration::from_secs(30))).await;
    workers[0].resume();
    tokio::time::sleep(BETWEEN).await;
    ordeal.end(coordinators.into_iter().chain(workers).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn purged_queues_lose_nothing() {
    let fleet = Fleet::shared();
    let (coordinators, workers) = fleet.two_of_each().await;
    let broker = fleet.broker().await;
    let mut ordeal = Ordeal::begin_ahead("all queues are purged", 1, fleet, 400).await;
    ordeal.strike().await;
    // Workers hold what they took in advance. While they are stopped the rest of the 400 waits in the queues.
    workers.iter().for_each(|worker| worker.pause());
    let mut purged = 0;
    let since = Instant::now();
    while purged == 0 && since.elapsed() < Duration::from_secs(20) {
        tokio::time::sleep(Duration::from_millis(200)).await;
        purged = broker.purge().await;
    }
    workers.iter().for_each(|worker| worker.resume());
    ordeal.may_resume();
    println!("{purged} messages are gone");
    assert!(purged > 0, "there was nothing to purge");
    tokio::time::sleep(BETWEEN).await;
    ordeal.end(coordinators.into_iter().chain(workers).collect()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_that_come_three_times_do_no_harm() {
    let fleet = Fleet::shared();
    let thrice = [("DARKROOM__TEST__DELIVER", "3")];
    let coordinators = [(); 2].map(|()| fleet.start("coordinator", &[], &thrice));
    let workers = [(); 2].map(|()| fleet.start("worker", &["--slots", "8"], &thrice));
    for role in coordinators.iter().chain(&workers) {
        role.ready().await;
    }
    let mut ordeal = Ordeal::begin("every message comes three times", 1, fleet).await;
    ordeal.strike().await;
    ordeal.may_resume();
    tokio::time::sleep(form(Duration::from_secs(8), Duration::from_secs(30))).await;
    let verdict = ordeal.end(coordinators.into_iter().chain(workers).collect()).await;
    println!("{} reports were ignored", verdict.stale);
    assert!(verdict.stale > 0, "repeated reports are ignored and counted");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_coordinator_that_is_cut_off_from_the_store_does_no_harm() {
    let server = shared_redis();
    let proxy = Proxy::before(server.trim_start_matches("redis://").trim_end_matches('/')).await;
    let fleet = Fleet::shared();
    let behind = format!("redis://127.0.0.1:{}/", proxy.port);
    let cut = fleet.start("coordinator", &[], &[("DARKROOM__STORE__URL", &behind)]);
    let other = fleet.coordinator();
    let workers = [fleet.worker(), fleet.worker()];
    for role in [&cut, &other].into_iter().chain(&workers) {
        role.ready().await;
    }
    let mut ordeal = Ordeal::begin("a coordinator is cut off from Redis", 1, fleet).await;
    ordeal.must_resume_within(SOON);
    ordeal.strike().await;
    let since = Instant::now();
    proxy.set(Traffic::Swallowed);
    ordeal.may_resume();
    let time = form(Duration::from_secs(5), Duration::from_secs(10));
    let by_other = format!("-{}-", other.pid());
    let mut taken = None;
    while since.elapsed() < time {
        let owners = ordeal.fleet.owners().await;
        if taken.is_none() && owners.len() == 16 && owners.iter().all(|owner| owner.contains(&by_other)) {
            taken = Some(since.elapsed());
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    proxy.set(Traffic::Flows);
    println!("its shards were the other's after {taken:?}");
    assert!(taken.is_some_and(|taken| taken < SOON), "{taken:?}");
    tokio::time::sleep(BETWEEN).await;
    ordeal.end([cut, other].into_iter().chain(workers).collect()).await;
}
