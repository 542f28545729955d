//! How soon the work of a process that was killed goes on.

use darkroom_backend::{Clock, Queue as _};
use darkroom_engine::What;
use darkroom_proto::Map;
use darkroom_tests::fleet::load::Workflow;
use darkroom_tests::fleet::{Fleet, SHARDS};
use darkroom_tests::poll;
use std::time::{Duration, Instant};

/// How soon the work of a killed process goes on.
const SOON: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_steps_of_a_killed_worker_go_on_within_2_s() {
    let fleet = Fleet::shared();
    let coordinator = fleet.coordinator();
    let mut killed = fleet.worker();
    coordinator.ready().await;
    killed.ready().await;
    let step_time = Duration::from_secs(2);
    let workflow = Workflow::pipeline(1, step_time);
    let mut runs = Vec::new();
    for _ in 0..8 {
        runs.push(fleet.submit(&workflow, Map::new()).await);
    }
    for run in &runs {
        poll::until("its step is with the workers", async || fleet.load(*run).await.run.head.in_flight == 1).await;
    }
    poll::until("the worker has them", async || fleet.queue.depth("image").await.unwrap() == 0).await;
    let other = fleet.worker();
    // Not until it is ready: the steps must not be over by then.
    other.says("at work").await;
    let killed_at = Clock::system().now();
    assert!(killed.kill());
    let mut latest = Duration::ZERO;
    for run in &runs {
        fleet.ended(*run, Duration::from_secs(30)).await;
        let events = fleet.events(*run).await;
        let done = events.iter().find(|event| matches!(event.what, What::StepCompleted { .. })).unwrap();
        assert!(done.at > killed_at, "the step was over before its worker was killed");
        latest = latest.max(Duration::from_millis(done.at.0 - killed_at.0).saturating_sub(step_time));
    }
    println!("the steps of the killed worker went on after {latest:?} at the latest");
    assert!(latest < SOON, "{latest:?}");
    fleet.verify_runs(&runs).await;
    fleet.leaves_nothing(vec![coordinator, other]).await;
    fleet.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shards_of_a_killed_coordinator_are_the_others_within_2_s() {
    let fleet = Fleet::shared();
    let (mut coordinators, workers) = fleet.two_of_each().await;
    poll::until("the shards are shared", async || {
        let owners = fleet.owners().await;
        let of = |pid: u32| owners.iter().filter(|owner| owner.contains(&format!("-{pid}-"))).count();
        coordinators.iter().all(|coordinator| of(coordinator.pid()) == usize::from(SHARDS) / 2)
    })
    .await;
    let mut killed = coordinators.remove(0);
    let left = format!("-{}-", coordinators[0].pid());
    let since = Instant::now();
    assert!(killed.kill());
    let owned = async || fleet.owners().await.iter().filter(|owner| owner.contains(&left)).count();
    while owned().await < usize::from(SHARDS) {
        assert!(since.elapsed() < Duration::from_secs(20), "{:?}", fleet.owners().await);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let taken = since.elapsed();
    println!("the shards of the killed coordinator were the other's after {taken:?}");
    assert!(taken < SOON, "{taken:?}");
    // And it decides about them.
    let mut runs = Vec::new();
    for _ in 0..SHARDS {
        runs.push(fleet.submit(&Workflow::pipeline(2, Duration::ZERO), Map::new()).await);
    }
    fleet.all_ended(Duration::from_secs(20)).await;
    fleet.verify_runs(&runs).await;
    fleet.leaves_nothing(coordinators.into_iter().chain(workers).collect()).await;
    fleet.remove().await;
}
