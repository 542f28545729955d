//! A coordinator that ends between commit, publication and ack, and queues that are deleted then: its successor finds
//! and performs what was committed, and every run finishes.

use darkroom_proto::{Map, RunId, RunStatus};
use darkroom_tests::fleet::Fleet;
use darkroom_tests::fleet::load::Workflow;
use darkroom_tests::fleet::role::Role;
use std::time::{Duration, Instant};

/// How long every run may take to finish after all messages were lost.
const FINISH_MAX: Duration = Duration::from_secs(90);

/// How long a coordinator may take to come to its failpoint.
const REACH_MAX: Duration = Duration::from_secs(60);

/// A fan-out most of which stands in the batch lane, and one that takes several work budgets.
const WIDE: u32 = 24;
const VERY_WIDE: u32 = 2_000;

/// A fleet whose coordinator has ended at its failpoint.
struct Struck {
    what: String,
    // Before the fleet, so that its log is still there when a test fails.
    worker: Role,
    fleet: Fleet,
    runs: Vec<RunId>,
}

/// Work that has the effects of a kind.
fn work_of(kind: &str) -> Vec<(Workflow, Map)> {
    let step_time = Duration::from_millis(20);
    match kind {
        "fan-out" => vec![(Workflow::fan_out(step_time), Workflow::items(WIDE)); 4],
        "continue" => {
            // Items that have nothing to do take no room in the window, so they spend the work budget.
            let text = "workflow: sparse\ninputs:\n  items: { type: json }\nsteps:\n  - id: each\n    for-each: inputs.items\n    \
                        steps:\n      - { id: rare, uses: noop, if: item % 100 == 99 }\n";
            vec![(Workflow::new("sparse", text), Workflow::items(VERY_WIDE)); 2]
        }
        "retry" => {
            let text = "workflow: flaky\nsteps:\n  - id: flaky\n    uses: noop\n    with: { step-time: \"${{ 'soon' }}\" }\n    \
                        retry: { attempts: 3, delay: 1s, errors: [invalid_input] }\n    continue-on-error: true\n";
            vec![(Workflow::new("flaky", text), Map::new()); 8]
        }
        _ => vec![(Workflow::pipeline(3, step_time), Map::new()); 24],
    }
}

async fn strike(moment: &str, kind: &str) -> Struck {
    let what = format!("{moment}:{kind}:2");
    let fleet = Fleet::shared();
    let mut coordinator = fleet.start("coordinator", &[], &[("DARKROOM__TEST__FAILPOINT", &what)]);
    let worker = fleet.worker();
    coordinator.ready().await;
    worker.ready().await;
    let mut runs = Vec::new();
    for (workflow, inputs) in work_of(kind) {
        runs.push(fleet.submit(&workflow, inputs).await);
    }
    let (status, _) = coordinator.end(REACH_MAX).await;
    assert!(coordinator.log().contains("ending at the failpoint"), "{what}: {status}\n{}", coordinator.log());
    let unfinished = fleet.unfinished().await.unwrap();
    assert!(unfinished > 0, "{what}: work was under way");
    let broker = fleet.broker().await;
    broker.delete_queues().await;
    Struck { what, fleet, worker, runs }
}

async fn recover(struck: Struck) {
    let Struck { what, fleet, worker, runs } = struck;
    let since = Instant::now();
    let successor = fleet.coordinator();
    successor.ready().await;
    fleet.all_ended(FINISH_MAX).await;
    let effects = successor.metric("darkroom_coordinator_taken_over_effects_total");
    #[allow(clippy::print_stdout, reason = "what was done is told with the test")]
    {
        println!("{what}: {effects} effects were performed by the successor, all ended after {:.1?}", since.elapsed());
    }
    assert!(effects > 0.0, "{what}: the successor found nothing to perform");
    for run in &runs {
        assert_eq!(fleet.load(*run).await.run.head.status, RunStatus::Completed, "{what}: {run}");
    }
    fleet.leaves_nothing(vec![successor, worker]).await;
    fleet.remove().await;
}

/// One after the other to the failpoint, then all together: for most of the time they only wait for the watches.
async fn every_kind(moment: &str) {
    let mut struck = Vec::new();
    for kind in ["first", "next", "fan-out", "retry", "continue"] {
        struck.push(strike(moment, kind).await);
    }
    futures_util::future::join_all(struck.into_iter().map(recover)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_committed_and_not_published_is_performed_by_the_successor() {
    every_kind("committed").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_published_and_not_acked_is_performed_again_by_the_successor() {
    every_kind("published").await;
}
