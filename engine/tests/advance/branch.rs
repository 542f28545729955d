//! Branches of steps, and compensation.

use crate::world::World;
use darkroom_engine::Event;
use darkroom_proto::{ErrorClass, RunStatus};
use serde_json::json;

const CAUGHT: &str = "
steps:
- id: x
  uses: fail
  retry: 1
  on-error:
  - { uses: noop, id: notify, with: { data: '${{ error.class }} of ${{ error.step }}: ${{ error.message }}' } }
- uses: noop
  id: after
  with: { data: '${{ steps.x.data }}' }
";

fn undo(then: &str) -> String {
    format!(
        "
steps:
- id: one
  uses: noop
  with: {{ data: 1 }}
  on-cancel:
  - {{ uses: noop, id: undo, with: {{ data: 'undo ${{{{ steps.one.data }}}}' }} }}
- id: two
  uses: noop
  with: {{ data: 2 }}
  on-cancel:
  - {{ uses: {then}, id: undo }}
- id: three
  uses: noop
"
    )
}

#[test]
fn a_caught_failure_lets_the_run_go_on_with_the_outputs_of_the_branch() {
    let mut world = World::new(CAUGHT);
    world.finish();
    assert_eq!((world.run_status(), world.run.head.tolerated), (RunStatus::Completed, 0));
    assert_eq!(world.status("x"), "completed");
    assert_eq!(world.data("after"), json!("invalid_input of x: failed on purpose"));
    assert_eq!(world.dispatched(), ["x", "x/on-error/notify", "after"]);
}

#[test]
fn then_fail_fails_the_step_of_what_it_failed_of() {
    let mut world = World::new(&CAUGHT.replace("\n- uses: noop", "\n  - then: fail\n- uses: noop"));
    world.finish();
    assert_eq!(world.failure(), ("x".to_owned(), "failed on purpose"));
    assert_eq!((world.status("x/on-error/notify"), world.status("after")), ("completed", "pending"));
}

#[test]
fn a_failure_inside_a_branch_fails_the_step() {
    let mut world = World::new(CAUGHT).fault("x/on-error/notify", 9, ErrorClass::InvalidKey);
    world.finish();
    assert_eq!(world.failure(), ("x/on-error/notify".to_owned(), "scripted"));
    world.faults.clear();
    world.resume(None);
    assert_eq!(world.published_steps(), ["x", "x/on-error/notify", "after"]);
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn the_most_specific_branch_is_taken() {
    let text = "
steps:
- id: x
  uses: noop
  retry: 1
  on-error:
  - { uses: noop, id: a, with: { data: error } }
  on-timeout:
  - { uses: noop, id: a, with: { data: timeout } }
";
    for (class, want) in [(ErrorClass::Timeout, "timeout"), (ErrorClass::InvalidInput, "error")] {
        let mut world = World::new(text).fault("x", 9, class);
        world.finish();
        assert_eq!(world.data("x"), json!(want));
    }
}

#[test]
fn a_fan_out_is_caught_as_a_whole_and_keeps_its_results() {
    let mut world = World::new(
        "
steps:
- id: shots
  for-each: range(3)
  uses: noop
  with: { data: '${{ item }}' }
  on-error:
  - { uses: noop, with: { data: '${{ error.step }} of ${{ steps.shots.total }}' } }
- uses: noop
  id: after
  with: { data: '${{ steps.shots.failed }}' }
",
    )
    .fault("shots[2]", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!((world.run_status(), world.run.head.tolerated), (RunStatus::Completed, 0));
    assert_eq!(world.get("shots").outputs.get("data"), Some(&json!("shots[2] of 3")));
    assert_eq!(world.data("after"), json!(1));
}

#[test]
fn branches_work_inside_an_instance() {
    let mut world = World::new(
        "
steps:
- id: each
  for-each: range(2)
  steps:
  - id: x
    uses: noop
    on-error:
    - { uses: noop, id: y, with: { data: 'no ${{ item }}' } }
  - { uses: noop, id: z, with: { data: '${{ steps.x.data }}' } }
",
    )
    .fault("each[2]/x", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!(world.data("each[2]/z"), json!("no 1"));
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_cancelled_run_undoes_what_was_done_the_last_first() {
    let mut world = World::new(&undo("noop"));
    world.start();
    world.answer_of("one");
    world.answer_of("two");
    world.apply(Event::Cancel { reason: "enough".into() });
    world.answer_of("three");
    assert_eq!(world.queued(), ["two/on-cancel/undo"]);
    assert_eq!(world.run_status(), RunStatus::Running);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Cancelled);
    assert_eq!(world.dispatched(), ["one", "two", "three", "two/on-cancel/undo", "one/on-cancel/undo"]);
    assert_eq!(world.data("one/on-cancel/undo"), json!("undo 1"));
    // What was undone is done anew.
    world.resume(None);
    assert_eq!(world.published_steps(), ["one", "two", "three"]);
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_failing_compensation_stops_no_other_and_a_second_cancel_skips_what_is_left() {
    let mut failing = World::new(&undo("fail"));
    failing.start();
    failing.answer_of("one");
    failing.answer_of("two");
    failing.apply(Event::Cancel { reason: "enough".into() });
    failing.play();
    assert_eq!(failing.run_status(), RunStatus::Cancelled);
    assert_eq!(failing.status("two/on-cancel/undo"), "failed");
    assert_eq!(failing.status("one/on-cancel/undo"), "completed");

    let mut skipped = World::new(&undo("noop"));
    skipped.start();
    skipped.answer_of("one");
    skipped.answer_of("two");
    skipped.apply(Event::Cancel { reason: "enough".into() });
    skipped.answer_of("three");
    skipped.apply(Event::Cancel { reason: "at once".into() });
    skipped.play();
    assert_eq!((skipped.run_status(), skipped.status("one/on-cancel/undo")), (RunStatus::Cancelled, "pending"));
}

#[test]
fn a_failed_run_compensates_nothing() {
    let mut world = World::new(&undo("noop")).fault("three", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!(world.dispatched(), ["one", "two", "three"]);
}
