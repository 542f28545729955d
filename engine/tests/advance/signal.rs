//! Events: taken once, kept when they come first, refused when they are not what is waited for.

use crate::world::{World, path};
use darkroom_engine::{Event, SIGNAL_BYTES_MAX, SIGNALS_MAX, What, check_signal};
use darkroom_proto::{Duration, ErrorClass, RunStatus};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const PAID: &str = "inputs: {order: {type: integer, default: 7}}
steps:
  - id: paid
    uses: wait.event
    timeout: 1h
    with:
      name: payment
      filter: data.order == inputs.order
      schema: {type: object, required: [order], properties: {amount: {type: number, minimum: 0}}}
  - {id: after, uses: noop, with: {data: '${{ steps.paid.data }}'}}
";

const TWO: &str = "steps:
  - {id: first, uses: wait.event, with: {name: go}}
  - {id: second, uses: wait.event, with: {name: go}}
  - {id: third, uses: wait.event, with: {name: other}}
";

const WIDE: &str = "steps:
  - {id: x, for-each: range(3), uses: wait.event, with: {name: go, filter: 'data.number >= number'}}
";

fn started(text: &str) -> World {
    let mut world = World::new(text);
    world.start();
    world
}

fn taken(world: &World) -> Vec<String> {
    let taken = |what: &What| match what {
        What::SignalTaken { step, key, .. } => Some(format!("{step}: {key}")),
        _ => None,
    };
    world.events.iter().filter_map(|event| taken(&event.what)).collect()
}

fn refused(world: &World) -> Vec<String> {
    let refused = |what: &What| match what {
        What::Refused { reason, by, .. } => Some(format!("{by}: {reason}")),
        _ => None,
    };
    world.events.iter().filter_map(|event| refused(&event.what)).collect()
}

#[test]
fn a_step_takes_the_event_that_its_filter_holds_for_and_others_are_kept() {
    let mut world = started(PAID);
    for data in [json!({"order": 8}), json!({"order": "7"}), json!({"order": null})] {
        world.signal("payment", data);
    }
    world.signal("refund", json!({"order": 7}));
    assert_eq!((world.status("paid"), world.run.signals.len()), ("waiting", 4));
    world.signal("payment", json!({"order": 7, "amount": 5}));
    world.play();
    assert_eq!((world.run_status(), world.data("after")), (RunStatus::Completed, json!({"order": 7, "amount": 5})));
    assert_eq!(world.run.signals.len(), 4);
}

#[test]
fn an_event_that_comes_first_is_kept_and_taken_in_the_order_of_coming() {
    let mut world = World::new(TWO);
    world.signal("go", json!(1));
    world.start();
    assert_eq!(world.get("first").outputs["data"], json!(1), "it came before the run started");
    world.signal("other", json!(2));
    world.signal("other", json!(3));
    world.reload();
    world.signal("go", json!(4));
    assert_eq!(world.get("second").outputs["data"], json!(4));
    assert_eq!(world.get("third").outputs["data"], json!(2), "the one that came first");
    assert_eq!((world.run_status(), world.run.signals.len()), (RunStatus::Completed, 1));
}

#[test]
fn an_event_is_taken_by_one_step_and_a_repeated_one_by_none() {
    let mut world = started(WIDE);
    world.signal("go", json!({"number": 9}));
    world.signal("go", json!({"number": 9}));
    assert_eq!(taken(&world), ["x[1]: go {\"number\":9}"]);
    world.signal("go", json!({"number": 1}));
    assert_eq!(world.run.signals.len(), 1, "x[1] has its event, and it is not for the others");
    world.signal("go", json!({"number": 1}));
    assert_eq!(world.run.signals.len(), 1, "kept once");
    world.signal("go", json!({"number": 3}));
    world.signal("go", json!({"number": 4}));
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn data_that_breaks_the_schema_is_refused_at_the_door_and_recorded() {
    let mut world = started(PAID);
    let cases = [
        (json!([7]), "the data is not what `paid` waits for: object is wanted, and this is array"),
        (json!({}), "the data is not what `paid` waits for: `order` is missing"),
        (json!({"order": 7, "amount": -1}), "the data is not what `paid` waits for: `amount`: it is at least 0"),
    ];
    for (number, (data, want)) in cases.into_iter().enumerate() {
        assert_eq!(check_signal(&world.run, "payment", &data).unwrap_err(), want);
        world.signal("payment", data);
        assert_eq!(refused(&world)[number], format!("ada: {want}"));
    }
    assert_eq!((world.status("paid"), world.run.signals.len()), ("waiting", 0));
}

#[test]
fn what_is_kept_is_bounded() {
    let mut world = started(TWO);
    let large = json!("x".repeat(SIGNAL_BYTES_MAX));
    world.signal("later", large);
    world.signal(&"n".repeat(101), json!(1));
    assert_eq!(refused(&world).len(), 2);
    for number in 0..=SIGNALS_MAX {
        world.signal("later", json!(number));
    }
    assert_eq!(world.run.signals.len(), SIGNALS_MAX);
    assert_eq!(refused(&world)[2], format!("ada: the run keeps {SIGNALS_MAX} events already"));
    world.signal("go", json!(1));
    assert_eq!(world.status("first"), "completed", "what a step waits for is taken all the same");
}

#[test]
fn a_wait_that_is_over_fails_and_the_error_says_what_to_do() {
    let mut world = started(PAID);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Failed);
    let error = world.get("paid").error.clone().unwrap();
    assert_eq!((error.class, error.code.as_str()), (ErrorClass::Timeout, "wait_timed_out"));
    assert!(error.advice.contains("darkroom signal"), "{}", error.advice);
    world.apply(Event::Resume { from: None, set: Default::default() });
    world.signal("payment", json!({"order": 7}));
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn an_event_that_comes_with_the_time_out_wins() {
    let mut world = started(PAID);
    world.now = world.now.after(Duration::from_secs(7_200));
    // The coordinator gives what lies in the inbox before it says that the time has come.
    world.signal("payment", json!({"order": 7}));
    world.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::new() });
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn the_order_of_events_for_different_steps_does_not_matter() {
    let text = "steps:
  - parallel:
      - {id: a, uses: wait.event, with: {name: a}}
      - {id: b, uses: wait.event, with: {name: b}}
      - {id: c, uses: wait.event, with: {name: c}}
  - {id: e, uses: noop, with: {data: ['${{ steps.a.data }}', '${{ steps.b.data }}', '${{ steps.c.data }}']}}
";
    let orders: [[&str; 3]; 6] =
        [["a", "b", "c"], ["a", "c", "b"], ["b", "a", "c"], ["b", "c", "a"], ["c", "a", "b"], ["c", "b", "a"]];
    for order in orders {
        for early in 0..=3 {
            let mut world = World::new(text);
            order[..early].iter().for_each(|name| drop(world.signal(name, json!(*name))));
            world.start();
            order[early..].iter().for_each(|name| drop(world.signal(name, json!(*name))));
            world.play();
            assert_eq!(world.data("e"), json!(["a", "b", "c"]), "{order:?}, {early} of them early");
            assert!(world.run.signals.is_empty());
        }
    }
}

#[test]
fn thousands_of_runs_that_only_wait_are_looked_at_by_nobody() {
    let text = "steps:\n  - {id: w, uses: wait.event, with: {name: go}}\n";
    let plan = crate::world::plan_of(text);
    for _ in 0..2_000 {
        let mut world = World::of(plan.clone(), Value::Null, |_| {});
        world.checks = false;
        world.start();
        assert!(world.run.rests());
        let year = Duration::from_secs(365 * 86_400);
        assert_eq!(world.run.due(), Some(world.now.after(year)), "nothing is due before its time is up");
        assert!(world.run.step(&path("w")).unwrap().watch.is_none());
    }
}
