//! Children on a fleet whose coordinator ends between the commit, the start of a child, and the report of its end: there is
//! exactly one child, and its parent completes.

use darkroom_proto::{Map, RunStatus};
use darkroom_tests::fleet::Fleet;
use darkroom_tests::fleet::load::Workflow;
use serde_json::{Value, json};
use std::time::Duration;

const PARENT: &str = "workflow: parent
steps:
  - {id: one, uses: 'workflow:child', with: {number: 7}}
  - {id: after, uses: noop, with: {data: '${{ steps.one.doubled }}'}}
outputs:
  all: ${{ steps.after.data }}
";

const CHILD: &str = "workflow: child
inputs:
  number: {type: integer}
steps:
  - {id: work, uses: noop, with: {data: '${{ inputs.number * 2 }}'}}
outputs:
  doubled: ${{ steps.work.data }}
";

/// Divided into two runs.
const WIDE: &str = "workflow: wide
steps:
  - {id: each, for-each: range(1500), uses: noop, with: {data: '${{ item * 2 }}'}}
  - {id: after, uses: noop, with: {data: '${{ steps.each.results }}'}}
outputs:
  counts: ['${{ steps.each.completed }}', '${{ steps.after.data | length }}', '${{ steps.after.data[1234].data }}']
";

/// How long a coordinator may take to come to its failpoint, and a run to end after that.
const LONG: Duration = Duration::from_secs(60);

async fn one_child_although_the_coordinator_ends(at: &str) {
    let fleet = Fleet::shared();
    let mut coordinator = fleet.start("coordinator", &[], &[("DARKROOM__TEST__FAILPOINT", at)]);
    let worker = fleet.worker();
    coordinator.ready().await;
    worker.ready().await;
    let child = Workflow::new("child", CHILD);
    let parent = Workflow::new("parent", PARENT).running("child", &child);
    fleet.define(&child).await;
    let run = fleet.submit(&parent, Map::new()).await;
    let (status, _) = coordinator.end(LONG).await;
    assert!(coordinator.log().contains("ending at the failpoint"), "{at}: {status}\n{}", coordinator.log());
    let successor = fleet.coordinator();
    successor.ready().await;
    let ended = fleet.ended(run, LONG).await.run;
    assert_eq!((ended.head.status, &ended.head.outputs["all"]), (RunStatus::Completed, &json!(14)), "{at}");
    let listed: Value = serde_json::from_str(&fleet.cli_ok(&["list", "-o", "json"])).unwrap();
    let names: Vec<&str> =
        listed["data"].as_array().unwrap().iter().filter_map(|row| row["workflow"].as_str()).collect();
    assert_eq!(names.iter().filter(|name| **name == "child").count(), 1, "{at}: {names:?}");
    fleet.leaves_nothing(vec![successor, worker]).await;
    fleet.remove().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_is_one_child_although_the_coordinator_ends_around_its_start() {
    one_child_although_the_coordinator_ends("committed:child:1").await;
    one_child_although_the_coordinator_ends("published:child:1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_parent_hears_of_its_child_although_the_coordinator_ends_around_the_report() {
    one_child_although_the_coordinator_ends("committed:parent:1").await;
    one_child_although_the_coordinator_ends("published:parent:1").await;
}

/// A coordinator that ends around the start of a part, or around what it tells, costs nothing: every item is done, and
/// results come in item order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wide_fan_out_is_done_in_parts_although_coordinators_end() {
    for at in ["committed:child:1", "published:child:1", "committed:parent:1", "published:parent:1"] {
        let fleet = Fleet::shared();
        let mut coordinator = fleet.start("coordinator", &[], &[("DARKROOM__TEST__FAILPOINT", at)]);
        let worker = fleet.worker();
        coordinator.ready().await;
        worker.ready().await;
        let run = fleet.submit(&Workflow::new("wide", WIDE), Map::new()).await;
        let (status, _) = coordinator.end(LONG).await;
        assert!(coordinator.log().contains("ending at the failpoint"), "{at}: {status}\n{}", coordinator.log());
        let successor = fleet.coordinator();
        successor.ready().await;
        let ended = fleet.ended(run, LONG).await.run;
        assert_eq!(ended.head.status, RunStatus::Completed, "{at}: {:?}", ended.head.failure);
        assert_eq!(ended.head.outputs["counts"], json!([1500, 1500, 2468]), "{at}");
        let listed: Value = serde_json::from_str(&fleet.cli_ok(&["list", "-o", "json"])).unwrap();
        assert_eq!(listed["data"].as_array().unwrap().len(), 1, "{at}: parts are not listed");
        let part: Value =
            serde_json::from_str(&fleet.cli_ok(&["show", "wide", "--step", "each[1234]", "-o", "json"])).unwrap();
        assert_eq!((&part["path"], &part["output"]["data"]), (&json!("each[1234]"), &json!(2466)), "{at}");
        fleet.leaves_nothing(vec![successor, worker]).await;
        fleet.remove().await;
    }
}
