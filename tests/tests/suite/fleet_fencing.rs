//! A worker that is stopped while it has a step with side effects, and reports of what is over: neither changes anything.

use darkroom_backend::{Lane, Publication, Queue as _, Shard, ShardMessage, Store as _};
use darkroom_engine::What;
use darkroom_proto::{Map, Outcome, Report, RunStatus, StepCost, StepPath, Succeeded};
use darkroom_tests::fleet::load::Workflow;
use darkroom_tests::fleet::{Fleet, SHARDS};
use darkroom_tests::poll;
use std::time::Duration;

/// The broker gives a step of a stopped worker to another when it misses its heartbeats, of which one is sent in 10 s.
const REDELIVERED_MAX: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_worker_that_wakes_up_changes_nothing() {
    let fleet = Fleet::shared();
    let coordinator = fleet.coordinator();
    let stopped = fleet.start("worker", &["--slots", "1", "--pools", "api"], &[]);
    coordinator.ready().await;
    stopped.ready().await;
    let workflow = Workflow::new(
        "picture",
        "workflow: picture\nsteps:\n  - { id: make, uses: image.generate, with: { prompt: a mug, width: 4096, height: 4096 } }\n",
    );
    let run = fleet.submit(&workflow, Map::new()).await;
    poll::until("the step is claimed", async || !fleet.store.claims(run).await.unwrap().is_empty()).await;
    stopped.pause();
    assert_eq!(
        fleet.load(run).await.run.head.status,
        RunStatus::Running,
        "the worker was stopped while it had the step"
    );
    let first = fleet.store.claims(run).await.unwrap().remove(0);
    let other = fleet.start("worker", &["--slots", "1", "--pools", "api"], &[]);
    other.ready().await;
    let claimed_again = async || {
        let claims = fleet.store.claims(run).await.unwrap();
        claims.first().is_none_or(|claim| claim.token != first.token)
    };
    let taken = tokio::time::timeout(REDELIVERED_MAX, async {
        while !claimed_again().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    assert!(taken.await.is_ok(), "nobody else took the step within {REDELIVERED_MAX:?}");
    let ended = fleet.ended(run, Duration::from_secs(60)).await;
    let (steps, events) = (ended.run.steps.clone(), fleet.events(run).await);
    stopped.resume();
    stopped.says("another worker has the step now").await;
    stopped.ready().await;
    // What it still had to say is dealt with when nothing waits any more.
    fleet.verify_runs(&[run]).await;
    fleet.leaves_nothing(vec![coordinator, other, stopped]).await;
    assert_eq!(fleet.load(run).await.run.steps, steps);
    assert_eq!(fleet.events(run).await, events);
    fleet.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_report_of_an_old_generation_is_ignored_and_counted() {
    let fleet = Fleet::shared();
    let (coordinator, worker) = (fleet.coordinator(), fleet.worker());
    coordinator.ready().await;
    worker.ready().await;
    // Its first generation fails, and a resume begins the second.
    let workflow = Workflow::new(
        "resumed",
        "workflow: resumed\nsteps:\n  - { id: slow, uses: noop, with: { step-time: 1s } }\n  - { id: bad, uses: fail, with: { message: no } }\n",
    );
    let run = fleet.submit(&workflow, Map::new()).await;
    assert_eq!(fleet.ended(run, Duration::from_secs(30)).await.run.head.status, RunStatus::Failed);
    fleet.cli_ok(&["resume", &run.to_string(), "--from-step", "slow"]);
    let path = StepPath::top("slow");
    poll::until("the second generation is under way", async || {
        fleet.load(run).await.run.step(&path).is_some_and(|step| step.generation == 2 && !step.state.ended())
    })
    .await;
    let mut outputs = Map::new();
    outputs.insert("data".to_owned(), "of the first generation".into());
    let old = Report {
        run,
        path: path.clone(),
        generation: 1,
        attempt: 1,
        outcome: Outcome::Succeeded(Succeeded { outputs, ..Succeeded::default() }),
        cost: StepCost::default(),
    };
    let message = ShardMessage::Reports(vec![old]);
    fleet.queue.publish(vec![Publication::Shard { shard: Shard(run.shard(SHARDS)), message }]).await.unwrap();
    poll::until("it is counted", async || coordinator.metric("darkroom_coordinator_stale_reports_total") >= 1.0).await;
    let ended = fleet.ended(run, Duration::from_secs(30)).await;
    assert_ne!(ended.run.step(&path).unwrap().outputs.get("data"), Some(&"of the first generation".into()));
    let events = fleet.events(run).await;
    let done = events.iter().filter(|event| matches!(&event.what, What::StepCompleted { step, .. } if *step == path));
    assert_eq!(done.count(), 2, "once in each generation: {events:?}");
    fleet.leaves_nothing(vec![coordinator, worker]).await;
    fleet.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_step_message_of_a_run_that_has_ended_changes_nothing() {
    let fleet = Fleet::shared();
    let (coordinator, worker) = (fleet.coordinator(), fleet.worker());
    coordinator.ready().await;
    worker.ready().await;
    let run = fleet.submit(&Workflow::pipeline(1, Duration::ZERO), Map::new()).await;
    let ended = fleet.ended(run, Duration::from_secs(20)).await;
    let events = fleet.events(run).await;
    let mut message = darkroom_tests::sample::step(1);
    (message.run, message.path) = (run, StepPath::top("s1"));
    let step = Publication::Step { pool: "image".into(), lane: Lane::First, delay: None, message: Box::new(message) };
    fleet.queue.publish(vec![step]).await.unwrap();
    poll::until("it is done, and reported", async || worker.metric("darkroom_worker_reports_total") >= 2.0).await;
    fleet.leaves_nothing(vec![coordinator, worker]).await;
    assert_eq!(fleet.load(run).await.run.steps, ended.run.steps);
    assert_eq!(fleet.events(run).await, events);
    fleet.remove().await;
}
