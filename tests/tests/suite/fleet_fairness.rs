//! A large run and a small one on the same fleet.

use darkroom_proto::{Map, RunId};
use darkroom_tests::fleet::Fleet;
use darkroom_tests::fleet::load::Workflow;
use darkroom_tests::fleet::ordeal::form;
use darkroom_tests::poll;
use std::time::Duration;

const STEP_TIME: Duration = Duration::from_millis(100);

/// How long the large run may take at most.
const LARGE_MAX: Duration = Duration::from_secs(280);

/// So many times as long as on an idle fleet the small run may take.
const SMALL_MAX: f64 = 3.0;

/// What the large run may lose by it, of its time.
const LOSS_MAX: f64 = 0.10;

/// From when a run was handed in until it ended.
async fn time_of(fleet: &Fleet, run: RunId) -> Duration {
    let stored = fleet.ended(run, LARGE_MAX).await;
    let head = &stored.run.head;
    Duration::from_millis(head.finished_at.unwrap().0 - stored.run.spec.created_at.0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_run_beside_a_large_one_is_quick_and_costs_it_little() {
    let fleet = Fleet::shared();
    let coordinator = fleet.coordinator();
    // Fewer slots than a run may have steps under way: the large run has all of them, and more waiting.
    let workers = [(); 2].map(|()| fleet.start("worker", &["--slots", "2"], &[]));
    for role in [&coordinator].into_iter().chain(&workers) {
        role.ready().await;
    }
    let (small, large) = (Workflow::pipeline(3, STEP_TIME), Workflow::fan_out(STEP_TIME));
    let items = form(600, 5_000);
    // The first of each workflow has it compiled.
    let warm = fleet.submit(&small, Map::new()).await;
    time_of(&fleet, warm).await;
    let mut idle = Vec::new();
    for _ in 0..3 {
        let run = fleet.submit(&small, Map::new()).await;
        idle.push(time_of(&fleet, run).await);
    }
    idle.sort();
    let idle = idle[1];
    let run = fleet.submit(&large, Workflow::items(items)).await;
    let alone = time_of(&fleet, run).await;

    let beside = fleet.submit(&large, Workflow::items(items)).await;
    let done = async |run| {
        let steps = fleet.load(run).await.run.steps;
        steps.values().find_map(|step| step.fan.as_ref().map(|fan| fan.completed)).unwrap_or(0)
    };
    poll::until("the large run is well under way", async || done(beside).await > items / 10).await;
    let run = fleet.submit(&small, Map::new()).await;
    let small = time_of(&fleet, run).await;
    assert!(done(beside).await < items, "the large run was under way all the time");
    let together = time_of(&fleet, beside).await;
    let times = small.as_secs_f64() / idle.as_secs_f64();
    let loss = together.as_secs_f64() / alone.as_secs_f64() - 1.0;
    println!(
        "small: {small:?} beside {items} items, {idle:?} idle, {times:.2} times; large: {together:?}, {alone:?} alone, \
         loss {:.1} %",
        loss * 100.0
    );
    assert!(times <= SMALL_MAX, "the small run took {times:.2} times as long");
    assert!(loss < LOSS_MAX, "the large run lost {loss:.3}");
    fleet.leaves_nothing([coordinator].into_iter().chain(workers).collect()).await;
    fleet.remove().await;
}
