//! Schedules of a fleet: each time is one run, although coordinators end while they fire.

use darkroom_backend::{RunFilter, Store as _};
use darkroom_coordinator::Schedules;
use darkroom_proto::{RunId, RunStatus, ScheduleId, Timestamp};
use darkroom_tests::fleet::Fleet;
use darkroom_tests::poll;
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

/// How long a coordinator may take to come to its failpoint.
const REACH_MAX: Duration = Duration::from_secs(15);

/// How many runs the schedule starts before it is looked at what it did.
const FIRED_MIN: u64 = 6;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_scheduled_time_is_one_run_whenever_a_coordinator_is_killed() {
    let fleet = Fleet::shared();
    let file = fleet.folder().join("tick.yaml");
    std::fs::write(
        &file,
        "workflow: tick\nschedule:\n  every: 1s\n  overlap: allow-all\nsteps:\n  - { id: tick, uses: noop }\n",
    )
    .unwrap();
    let worker = fleet.worker();
    worker.ready().await;
    let made = fleet.cli_ok(&["schedules", "create", file.to_str().unwrap()]);
    assert_eq!(made.trim(), "tick created");
    // One ends with a decision that is durable and not done, the next one with one that is done and not forgotten.
    for failpoint in ["committed:schedule:2", "published:schedule:2"] {
        let mut coordinator = fleet.start("coordinator", &[], &[("DARKROOM__TEST__FAILPOINT", failpoint)]);
        let (status, _) = coordinator.end(REACH_MAX).await;
        let log = coordinator.log();
        assert!(log.contains("ending at the failpoint"), "{failpoint}: {status}\n{log}");
    }
    let successor = fleet.coordinator();
    let id: ScheduleId = "tick".parse().unwrap();
    let schedules = Schedules::new(fleet.store.clone());
    poll::until("the schedule has fired often enough", || async {
        schedules.get(&id).await.unwrap().state.fired >= FIRED_MIN
    })
    .await;
    fleet.cli_ok(&["schedules", "pause", "tick", "--reason", "enough"]);
    poll::until("what was decided is done", || async {
        let state = schedules.get(&id).await.unwrap().state;
        state.firing.is_empty() && fleet.unfinished().await.unwrap() == 0
    })
    .await;

    let state = schedules.get(&id).await.unwrap().state;
    assert_eq!((state.skipped, state.missed), (0, 0), "every time was within the window");
    let listed = fleet.store.list(&RunFilter { limit: 1_000, ..RunFilter::default() }).await.unwrap();
    let mut by_time: BTreeMap<Timestamp, RunId> = BTreeMap::new();
    for (run, summary) in &listed {
        assert_eq!(summary.status, RunStatus::Completed, "{run}");
        let scheduled = fleet.load(*run).await.run.spec.schedule.clone().expect("a schedule started it");
        assert_eq!((&scheduled.id, *run), (&id, id.run_at(scheduled.at)));
        assert_eq!(by_time.insert(scheduled.at, *run), None, "{} has two runs", scheduled.at);
    }
    assert_eq!(by_time.len() as u64, state.fired, "each decision came to be a run");
    let (first, last) = (*by_time.keys().next().unwrap(), *by_time.keys().next_back().unwrap());
    assert_eq!(last.since(first).0 / 1_000 + 1, state.fired, "no time was left out");

    // A time that has fired is not fired again, and a paused schedule still starts a run when it is told to.
    let from = first.to_string();
    let span =
        ["schedules", "backfill", "tick", "--from", &from, "--to", &last.to_string(), "-o", "json"].map(str::to_owned);
    let again = json(&fleet.cli_ok(&span.iter().map(String::as_str).collect::<Vec<_>>()));
    assert_eq!(again["data"].as_array().unwrap().len() as u64, state.fired);
    let triggered = json(&fleet.cli_ok(&["schedules", "trigger", "tick", "-o", "json"]));
    let run: RunId = triggered["run"].as_str().unwrap().parse().unwrap();
    poll::until("the triggered run has completed", || async {
        let stored = fleet.store.load(run).await.unwrap();
        stored.is_some_and(|stored| stored.summary.status == RunStatus::Completed)
    })
    .await;
    fleet.cli_ok(&["schedules", "unpause", "tick"]);
    let shown = json(&fleet.cli_ok(&["schedules", "show", "tick", "-o", "json"]));
    assert_eq!((&shown["paused"], shown["next"].as_array().unwrap().len()), (&Value::Null, 5), "{shown}");
    poll::until("what was filled in has been decided on", || async {
        schedules.get(&id).await.unwrap().state.buffer.is_empty()
    })
    .await;
    let times: Vec<Timestamp> = by_time.keys().copied().collect();
    for at in times {
        assert_eq!(fleet.load(id.run_at(at)).await.run.spec.created_at.since(at).0 / 60_000, 0, "it is the first run");
    }
    fleet.cli_ok(&["schedules", "delete", "tick"]);
    assert_eq!(fleet.cli(&["schedules", "show", "tick"]).status.code(), Some(3));
    drop(successor);
    fleet.remove().await;
}
