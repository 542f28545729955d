//! Children: started once, followed until they end, and called off with what they are in.

use crate::world::{World, error, path, picture, plan_of};
use darkroom_engine::{CHILD_DEPTH_MAX, ChildStart, Event, Parent, Pinned, Run, Spec, Wanted, child_report};
use darkroom_proto::{ErrorClass, Map, Money, Outcome, Report, RunId, RunStatus, Sha256, StepCost, Succeeded};
use serde_json::json;
use std::collections::BTreeSet;
use std::sync::Arc;

const ONE: &str = "steps:
  - {id: one, uses: 'workflow:shop', with: {order: 7, note: 'none'}, save-dir: out}
  - {id: after, uses: noop, with: {data: '${{ steps.one.total }}'}}
";

const RETRIED: &str = "steps:
  - {id: one, uses: 'workflow:shop', retry: {attempts: 2, delay: 1s}}
";

const CAUGHT: &str = "steps:
  - id: one
    uses: workflow:shop
    on-error: [{id: notify, uses: noop, with: {data: '${{ error.class }}'}}]
";

const EACH: &str = "steps:
  - {id: each, for-each: '[1, 2, 3]', tolerate: 1, uses: 'workflow:shop', with: {order: '${{ item }}'}}
  - {id: after, uses: noop, with: {data: '${{ steps.each.failed }}'}}
";

const RACE: &str = "steps:
  - {id: first, race: [{uses: 'workflow:shop'}, {uses: 'workflow:other'}]}
";

const BESIDE: &str = "steps:
  - parallel:
      - {id: kept, uses: 'workflow:shop', on-parent-close: abandon}
      - {id: ended, uses: 'workflow:shop'}
";

const DETACHED: &str = "steps:
  - {id: one, uses: 'workflow:shop', detach: true}
  - {id: after, uses: noop, with: {data: '${{ steps.one.run }}'}}
";

fn started(text: &str) -> World {
    let mut world = World::of(plan_of(text), json!({}), |spec| {
        let hash = |name: &str| {
            let files = Map::from_iter([("logo".to_owned(), picture("logo.png"))]);
            (name.to_owned(), Pinned { definition: Sha256::of(name.as_bytes()), files })
        };
        spec.children = ["shop", "other"].map(hash).into();
    });
    world.start();
    world
}

fn report(start: &ChildStart, outcome: Outcome, spent: u64) -> Event {
    let Parent { run, path, generation, attempt, .. } = start.parent.clone();
    let cost = StepCost { spent: Money(spent), possible_duplicates: 0 };
    Event::Report(Report { run, path, generation, attempt, outcome, cost })
}

fn done(start: &ChildStart, total: u32) -> Event {
    let outputs = Map::from_iter([("total".to_owned(), total.into())]);
    report(start, Outcome::Succeeded(Succeeded { outputs, ..Succeeded::default() }), 40_000)
}

fn failed(start: &ChildStart, class: ErrorClass) -> Event {
    report(start, Outcome::Failed(error(class)), 0)
}

#[test]
fn a_child_gets_its_inputs_and_its_outputs_are_the_steps() {
    let mut world = started(ONE);
    let start = world.children[0].clone();
    assert_eq!((world.status("one"), world.run_status()), ("waiting", RunStatus::Waiting));
    assert_eq!(world.run.head.in_flight, 0, "a child takes no place in the window");
    assert_eq!(start.spec.definition, Sha256::of(b"shop"));
    assert_eq!(start.spec.save_dir.as_deref(), Some("out"));
    assert_eq!(
        serde_json::Value::Object(start.spec.inputs.clone()),
        json!({"order": 7, "note": "none", "logo": picture("logo.png")})
    );
    assert_eq!(start.spec.children, world.run.spec.children, "its own children are pinned too");
    world.apply(done(&start, 9));
    world.finish();
    assert_eq!((world.status("one"), world.data("after")), ("completed", json!(9)));
    assert_eq!(world.run.head.spent, Money(40_000), "what a child cost counts in its parent");
}

#[test]
fn whatever_is_lost_the_same_child_is_started_again() {
    let mut world = started(ONE);
    let first = world.children[0].run;
    world.queue_lost();
    world.apply(Event::Unperformed { steps: BTreeSet::from([path("one")]) });
    for _ in 0..50 {
        world.now = world.run.due().unwrap();
        world.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::new() });
    }
    assert_eq!(world.children.len(), 53, "each look is also a question");
    assert!(world.children.iter().all(|start| start.run == first));
    assert_eq!(world.status("one"), "waiting", "one that takes long is no poison");
    let end = done(&world.children[0].clone(), 1);
    world.apply(end.clone());
    world.apply(end);
    world.finish();
    assert_eq!((world.run_status(), world.run.head.spent), (RunStatus::Completed, Money(40_000)));
}

#[test]
fn a_failed_child_is_another_one_when_it_is_tried_again_and_fails_its_parent_otherwise() {
    let mut world = started(ONE);
    world.apply(failed(&world.children[0].clone(), ErrorClass::Network));
    assert_eq!(world.run_status(), RunStatus::Failed, "its own steps were tried often enough");

    let mut world = started(RETRIED);
    world.apply(failed(&world.children[0].clone(), ErrorClass::Network));
    assert_eq!((world.status("one"), world.children.len()), ("retrying", 1));
    world.now = world.run.due().unwrap();
    world.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::new() });
    let (first, second) = (world.children[0].clone(), world.children[1].clone());
    assert!(first.run != second.run && second.parent.attempt == 2);
    world.apply(failed(&first, ErrorClass::Network));
    assert_eq!(world.status("one"), "waiting", "the first attempt is over");
    world.apply(done(&second, 1));
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn branches_and_tolerance_are_for_children_too() {
    let mut world = started(CAUGHT);
    world.apply(failed(&world.children[0].clone(), ErrorClass::InvalidInput));
    world.finish();
    assert_eq!((world.status("one"), world.data("one/on-error/notify")), ("completed", json!("invalid_input")));

    let mut world = started(EACH);
    let starts = world.children.clone();
    assert_eq!(starts.iter().map(|start| &start.spec.inputs["order"]).collect::<Vec<_>>(), [1, 2, 3]);
    world.apply(done(&starts[0], 1));
    world.apply(failed(&starts[1], ErrorClass::InvalidInput));
    world.apply(done(&starts[2], 1));
    world.finish();
    assert_eq!((world.run_status(), world.data("after")), (RunStatus::Completed, json!(1)));
}

#[test]
fn the_loser_of_a_race_is_cancelled() {
    let mut world = started(RACE);
    let winner = world.children[0].clone();
    world.apply(done(&winner, 1));
    let called_off = world.children.last().unwrap().clone();
    assert!(called_off.wanted == Wanted::Cancelled && called_off.run != winner.run);
    world.apply(failed(&called_off, ErrorClass::Cancelled));
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn cancelling_reaches_the_children_that_are_not_left_alone() {
    let mut world = started(BESIDE);
    let before = world.children.len();
    world.apply(Event::Cancel { reason: "enough".into() });
    assert_eq!(world.status("kept"), "cancelled");
    let stopped = world.children[before..].to_vec();
    assert!(!stopped.is_empty());
    assert!(stopped.iter().all(|start| start.wanted == Wanted::Cancelled && start.parent.path == path("ended")));
    assert_eq!(world.run_status(), RunStatus::Waiting, "it ends when its child has");
    world.apply(failed(&stopped[0], ErrorClass::Cancelled));
    assert_eq!(world.run_status(), RunStatus::Cancelled);
}

#[test]
fn a_detached_child_is_started_and_not_waited_for() {
    let mut world = started(DETACHED);
    let start = world.children[0].clone();
    assert!(start.parent.detached);
    world.apply(Event::Report(start.started()));
    world.finish();
    assert_eq!(world.data("after"), json!(start.run.to_string()));
}

#[test]
fn workflows_that_run_each_other_for_ever_end_at_a_depth() {
    for (depth, want) in [(CHILD_DEPTH_MAX - 1, RunStatus::Waiting), (CHILD_DEPTH_MAX, RunStatus::Failed)] {
        let above = started(ONE).children[0].clone();
        let mut world = World::of(plan_of(ONE), json!({}), |spec| {
            spec.children = above.spec.children.clone();
            spec.parent = Some(Box::new(Parent { depth, ..above.parent.clone() }));
        });
        world.start();
        assert_eq!(world.run_status(), want, "{depth}");
    }
}

/// A run that is a child, before it starts.
fn child(text: &str) -> World {
    let above = started(ONE).children[0].clone();
    let spent = StepCost { spent: Money(5), possible_duplicates: 1 };
    World::of(plan_of(text), json!({}), |spec| spec.parent = Some(Box::new(Parent { spent, ..above.parent.clone() })))
}

#[test]
fn a_child_tells_its_end_once_and_again_when_that_may_be_lost() {
    let mut world = child("steps: [{id: a, uses: noop, with: {data: 3}}]\noutputs: {total: '${{ steps.a.data }}'}");
    world.start();
    assert!(world.told.is_empty());
    world.finish();
    let Outcome::Succeeded(succeeded) = &world.told[0].outcome else { panic!("{:?}", world.told) };
    assert_eq!(succeeded.outputs["total"], json!(3));
    assert_eq!(world.told[0].cost.spent, Money(5), "what earlier attempts cost is counted too");
    world.reload();
    world.apply(Event::Unperformed { steps: BTreeSet::new() });
    assert_eq!(world.told.len(), 2);
    assert_eq!(world.told[0], world.told[1]);

    let mut world = child("steps: [{id: a, uses: noop}]").fault("a", 9, ErrorClass::InvalidInput);
    world.start();
    world.finish();
    let Outcome::Failed(error) = &world.told[0].outcome else { panic!("{:?}", world.told) };
    assert_eq!(error.class, ErrorClass::InvalidInput);
    assert!(error.message.contains(&world.run.id.to_string()), "{}", error.message);
}

#[test]
fn a_run_that_has_not_ended_or_is_nobodys_child_tells_nothing() {
    let spec: Spec = Spec::clone(&started(ONE).run.spec);
    let run = Run::new(RunId::from_bytes([7; 16]), Arc::new(spec));
    assert_eq!(child_report(&run), None);
    assert_eq!(child_report(&child(ONE).run), None);
}
