//! Loops with a bound.

use crate::world::World;
use darkroom_proto::{ErrorClass, RunStatus};
use serde_json::json;

const COUNT: &str = "
steps:
- id: x
  repeat: { until: steps.x.data >= 3, max: 5 }
  uses: noop
  with: { data: '${{ (previous.data if previous else 0) + 1 }}' }
outputs: { data: '${{ steps.x.data }}', count: '${{ steps.x.count }}' }
";

#[test]
fn iterations_come_one_after_the_other_until_the_expression_holds() {
    let mut world = World::new(COUNT);
    world.start();
    assert_eq!(world.queued(), ["x[1]"]);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.dispatched(), ["x[1]", "x[2]", "x[3]"]);
    assert_eq!(json!(world.run.head.outputs), json!({"data": 3, "count": 3}));
}

#[test]
fn a_loop_that_comes_to_no_end_fails_unless_it_may() {
    let text = COUNT.replace(">= 3", ">= 30");
    let mut world = World::new(&text);
    world.finish();
    assert_eq!(world.get("x").error.as_ref().map(|error| error.code.as_str()), Some("repeat_exhausted"));
    assert_eq!(world.dispatched().len(), 5);

    let mut tolerated = World::new(&text.replace("  uses: noop", "  continue-on-error: true\n  uses: noop"));
    tolerated.finish();
    assert_eq!(tolerated.run_status(), RunStatus::Completed);
}

#[test]
fn until_sees_the_steps_of_the_body_and_number_counts_iterations() {
    let mut world = World::new(
        "
steps:
- id: x
  repeat: { until: steps.b.data == 'done 2', max: 4 }
  steps:
  - { uses: noop, id: a, with: { data: '${{ number }}' } }
  - { uses: noop, id: b, with: { data: 'done ${{ steps.a.data }}' } }
",
    );
    world.finish();
    assert_eq!(world.dispatched(), ["x[1]/a", "x[1]/b", "x[2]/a", "x[2]/b"]);
    assert_eq!(world.get("x").outputs.get("data"), Some(&json!("done 2")));
}

#[test]
fn the_failure_of_an_iteration_fails_the_loop_and_a_resume_goes_on_with_it() {
    let mut world = World::new(COUNT).fault("x[2]", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!(world.failure(), ("x[2]".to_owned(), "scripted"));
    world.faults.clear();
    world.resume(None);
    assert_eq!(world.published_steps(), ["x[2]", "x[3]"]);
    assert_eq!(world.run_status(), RunStatus::Completed);
}
