//! No step waits without a watch: whatever message is lost, somebody looks, and the run goes on.

use crate::world::{World, path, pictures};
use darkroom_engine::{Event, State, overdue};
use darkroom_proto::{Duration, ErrorClass, RunStatus, StepPath, Timestamp};
use serde_json::json;
use std::collections::BTreeSet;

const THREE: &str = "steps:\n  - {id: a, uses: noop}\n  - {id: b, uses: noop}\n  - {id: c, uses: noop}\n";

fn seconds(since: Timestamp, then: Option<Timestamp>) -> u64 {
    then.unwrap().since(since).0 / 1_000
}

/// Lets time pass until the run is due, and says that of the overdue steps these are lost.
fn look(world: &mut World, is_lost: impl Fn(&StepPath) -> bool) -> Vec<StepPath> {
    world.now = world.now.max(world.run.due().unwrap());
    let overdue: Vec<StepPath> =
        overdue(&world.plan, &world.run, world.now).into_iter().map(|overdue| overdue.path).collect();
    let lost = overdue.iter().filter(|path| is_lost(path)).cloned().collect();
    world.apply(Event::Looked { lost, ready: BTreeSet::new() });
    overdue
}

#[test]
fn a_step_is_looked_at_after_30_seconds_and_then_ever_more_rarely() {
    let mut world = World::new(THREE);
    world.start();
    let mut gaps = Vec::new();
    for _ in 0..8 {
        let before = world.now;
        gaps.push(seconds(before, world.run.due()));
        assert_eq!(look(&mut world, |_| false), [path("a")]);
    }
    assert_eq!(gaps, [30, 60, 120, 240, 480, 600, 600, 600]);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.run.due(), None, "nothing is waited for");
}

#[test]
fn a_run_that_nobody_started_is_started_when_it_is_looked_at() {
    let mut world = World::new(THREE);
    assert_eq!(seconds(world.now, world.run.due()), 30);
    look(&mut world, |_| false);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_lost_message_is_sent_again_as_the_same_attempt_and_the_fourth_time_it_fails_the_step() {
    let mut world = World::new(THREE);
    world.start();
    for _ in 0..3 {
        world.queue.clear();
        look(&mut world, |_| true);
    }
    assert_eq!(world.published, ["a@1.1"; 4]);
    world.queue.clear();
    look(&mut world, |_| true);
    assert_eq!(world.get("a").error.as_ref().unwrap().code, "poison");
    assert_eq!(world.run_status(), RunStatus::Failed);
}

#[test]
fn a_step_on_the_ladder_is_looked_at_after_it_comes_back() {
    let mut world = World::new("steps:\n  - {id: a, uses: noop, retry: {attempts: 9}}\n");
    world.start();
    for _ in 0..6 {
        world.fail_of("a", ErrorClass::Network);
    }
    let State::Retrying { at } = world.get("a").state else { panic!("it is retried") };
    let first = overdue(&world.plan, &world.run, at);
    assert!(first.is_empty(), "it is where it should be");
    let watch = world.get("a").watch.unwrap();
    assert_eq!(watch.sent_at, at);
    assert_eq!(seconds(at, Some(watch.look_at)), 30);
    assert!(at.since(world.now) >= Duration::from_secs(20), "the sixth wait is long");
}

#[test]
fn only_what_is_still_under_way_is_performed_by_a_successor() {
    let mut world = World::new(THREE);
    world.start();
    world.step();
    world.published.clear();
    world.apply(Event::Unperformed { steps: BTreeSet::from([path("a"), path("b"), path("c")]), notices: Vec::new() });
    assert_eq!(world.published, ["b@1.1"], "a is done and c has not begun");
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_run_goes_on_whenever_all_its_messages_are_lost() {
    let text = "inputs: {images: {type: \"image[]\"}}\nsteps:\n  - {id: first, uses: noop}\n  - id: items\n    \
                for-each: inputs.images\n    steps:\n      - {id: one, uses: noop}\n      - {id: two, uses: noop}\n  \
                - {id: last, uses: noop}\n";
    let mut whole = World::with(text, json!({"images": pictures(12)}), |_| {});
    whole.finish();
    for commits in 1..whole.log.len() {
        let mut world = whole.cut(commits);
        let mut looks = 0;
        while !world.run.head.status.is_terminal() {
            looks += 1;
            assert!(looks < 5, "it hangs after {commits} commits: {:#?}", world.statuses());
            world.now = world.now.after(Duration::from_secs(1));
            look(&mut world, |_| true);
            world.play();
        }
        assert_eq!(world.run_status(), RunStatus::Completed);
        assert_eq!(world.statuses(), whole.statuses(), "after {commits} commits");
    }
}
