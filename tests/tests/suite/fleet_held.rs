//! Runs that wait for events and people on a fleet, whose coordinator is killed between.

use darkroom_coordinator::RunCommand;
use darkroom_engine::What;
use darkroom_proto::{Map, RunId, RunStatus};
use darkroom_tests::fleet::Fleet;
use darkroom_tests::fleet::load::Workflow;
use darkroom_tests::poll;
use serde_json::{Value, json};
use std::time::Duration;

const ORDER: &str = "workflow: order
steps:
  - {id: nap, uses: sleep, with: {for: 200ms}}
  - {id: paid, uses: wait.event, timeout: 1h, with: {name: payment, filter: data.order == 7}}
  - {id: work, uses: noop, with: {data: '${{ steps.paid.data.order }}'}}
  - {id: review, uses: human.approve, with: {title: 'Send it?', ask: {parcel: {type: integer}}}}
outputs:
  all: ['${{ steps.work.data }}', '${{ steps.review.answers.parcel }}', '${{ steps.review.by }}']
";

async fn waits_at(fleet: &Fleet, run: RunId, step: &str) {
    let step = step.parse().unwrap();
    poll::until("it waits", async || {
        let run = fleet.load(run).await.run;
        run.status_of(&step).name() == "waiting" && run.head.status == RunStatus::Waiting
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_and_approvals_count_once_although_the_coordinator_is_killed_between() {
    let fleet = Fleet::shared();
    let (mut coordinator, worker) = (fleet.coordinator(), fleet.worker());
    coordinator.ready().await;
    worker.ready().await;
    let workflow = Workflow::new("order", ORDER);
    let (run, early) = (fleet.submit(&workflow, Map::new()).await, fleet.submit(&workflow, Map::new()).await);
    let (id, early_id) = (run.to_string(), early.to_string());
    // This event may come before its step waits for it: the run naps.
    fleet.cli_ok(&["signal", &early_id, "payment", "{\"order\": 7}", "--key", "first"]);
    waits_at(&fleet, run, "paid").await;
    waits_at(&fleet, early, "review").await;
    assert!(coordinator.kill());
    // Nobody decides now: the command is stored, and the one who comes next applies it.
    let signal =
        |order: u32| RunCommand::Signal { name: "payment".into(), data: json!({ "order": order }), by: "shop".into() };
    for order in [8, 7, 7] {
        fleet.desk.command(run, &format!("signal/{order}"), &signal(order)).await.unwrap();
    }
    let mut second = fleet.coordinator();
    waits_at(&fleet, run, "review").await;
    let listed: Value = serde_json::from_str(&fleet.cli_ok(&["approvals", "list", "-o", "json"])).unwrap();
    let titles: Vec<&Value> = listed["data"].as_array().unwrap().iter().map(|row| &row["title"]).collect();
    assert_eq!(titles, ["Send it?", "Send it?"], "{listed}");
    fleet.cli_ok(&["pause", &id]);
    fleet.cli_ok(&["approve", &id, "--answer", "parcel=3", "--by", "ada"]);
    assert!(second.kill());
    let third = fleet.coordinator();
    third.ready().await;
    fleet.cli_ok(&["approve", &early_id, "--answer", "parcel=4", "--by", "bo"]);
    poll::until("it ends", async || fleet.load(run).await.run.head.status.is_terminal()).await;
    for (run, parcel, by) in [(run, 3, "ada"), (early, 4, "bo")] {
        let ended = fleet.ended(run, Duration::from_secs(20)).await;
        assert_eq!(ended.run.head.status, RunStatus::Completed);
        assert_eq!(ended.run.head.outputs["all"], json!([7, parcel, by]));
        let events = fleet.events(run).await;
        let taken = events.iter().filter(|event| matches!(event.what, What::SignalTaken { .. })).count();
        let decided = events.iter().filter(|event| matches!(event.what, What::StepDecided { .. })).count();
        assert_eq!((taken, decided), (1, 1));
    }
    assert_eq!(fleet.load(run).await.run.signals.len(), 1, "the event of another order is kept");
    let refused = fleet.cli(&["reject", &id]);
    assert_eq!(refused.status.code(), Some(5));
    fleet.leaves_nothing(vec![third, worker]).await;
    fleet.remove().await;
}
