//! Going on after a run has ended.

use crate::world::World;
use darkroom_engine::{Event, kept_artifacts};
use darkroom_proto::{ErrorClass, RunStatus};
use serde_json::json;

const FIVE: &str = "steps:\n  - {id: a, uses: noop, with: {data: 1}}\n  - {id: b, uses: noop, with: {data: '${{ steps.a.data + 1 }}'}}\n  - {id: c, uses: noop}\n  - {id: d, uses: noop, needs: [b]}\n  - {id: e, uses: noop, with: {data: '${{ steps.b.data }}'}}\n";

const FAN: &str = "steps:
  - {id: a, uses: noop}
  - id: x
    for-each: range(12)
    continue-on-error: true
    uses: noop
    with: {data: '${{ number }}'}
  - {id: tell, uses: noop, with: {data: ['${{ steps.x.completed }}', '${{ steps.x.failed }}']}}
  - {id: free, needs: [a], uses: noop}
";

const BODY: &str = "steps:
  - id: x
    for-each: range(4)
    steps:
      - {id: p, uses: noop, with: {data: '${{ number }}'}}
      - {id: q, uses: noop, with: {data: '${{ steps.p.data * 10 }}'}}
      - {id: r, uses: noop, with: {data: '${{ steps.q.data + 1 }}'}}
  - {id: sum, uses: noop, with: {data: '${{ steps.x.results | map(attribute=\"data\") | sum }}'}}
";

const NESTED: &str = "steps:
  - id: x
    for-each: range(3)
    continue-on-error: true
    steps:
      - {id: p, uses: noop}
      - id: y
        for-each: range(3)
        uses: noop
        with: {data: '${{ number }}'}
      - {id: q, uses: noop, with: {data: '${{ steps.y.completed }}'}}
  - {id: end, uses: noop, with: {data: '${{ steps.x.completed }}'}}
";

#[test]
fn a_resume_goes_on_where_the_run_failed() {
    let steps = ["a", "b", "c", "d", "e"];
    for (at, id) in steps.iter().enumerate() {
        let mut world = World::new(FIVE).fault(id, 9, ErrorClass::InvalidInput);
        world.finish();
        assert_eq!((world.run_status(), world.failure().0.as_str()), (RunStatus::Failed, *id));
        let kept: Vec<&str> = steps.into_iter().filter(|id| world.status(id) == "completed").collect();
        world.faults.clear();
        world.resume(None);
        assert_eq!(world.run_status(), RunStatus::Completed, "{id}");
        assert_eq!(world.run.head.generation, 2);
        assert!(kept.iter().all(|kept| !world.published_steps().contains(kept)), "{id}: {:?}", world.published);
        assert!(world.published.contains(&format!("{id}@2.1")), "{id}: {:?}", world.published);
        assert_eq!(world.data("e"), json!(2), "{at}");
        assert!(world.run.head.failure.is_none() && world.get(id).error.is_none());
    }
}

#[test]
fn a_resume_from_a_step_drops_it_and_what_waits_for_it_and_keeps_the_rest() {
    let cases: [(&str, &[&str]); 5] = [
        ("a", &["a", "b", "c", "d", "e"]),
        ("b", &["b", "c", "d", "e"]),
        ("c", &["c", "e"]),
        ("d", &["d", "e"]),
        ("e", &["e"]),
    ];
    for (from, want) in cases {
        let mut world = World::new(FIVE);
        world.finish().resume(Some(from));
        let mut redone = world.published_steps();
        redone.sort_unstable();
        assert_eq!(redone, want, "from {from}");
        assert_eq!(world.run_status(), RunStatus::Completed);
    }
}

#[test]
fn a_run_that_has_nothing_left_to_do_is_completed_again_at_once() {
    let mut world = World::new(FIVE);
    world.finish().resume(None);
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert!(world.published.is_empty());
}

#[test]
fn tolerated_failures_are_redone_and_what_depends_on_them() {
    let mut world =
        World::new(FAN).fault("x[2]", 9, ErrorClass::InvalidInput).fault("x[11]", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!((world.run_status(), world.run.head.tolerated), (RunStatus::Completed, 2));
    assert_eq!(world.data("tell"), json!([10, 2]));
    world.faults.remove("x[2]");
    world.resume(None);
    assert_eq!(world.published, ["x[2]@2.1", "x[11]@2.1", "tell@2.1"]);
    assert_eq!((world.run.head.tolerated, world.data("tell")), (1, json!([11, 1])));
    world.faults.clear();
    world.resume(None);
    assert_eq!(world.published, ["x[11]@3.1", "tell@3.1"]);
    assert_eq!((world.run.head.tolerated, world.data("tell")), (0, json!([12, 0])));
}

#[test]
fn an_instance_can_be_redone_by_its_path() {
    let mut world = World::new(FAN);
    world.finish().resume(Some("x[3]"));
    assert_eq!(world.published, ["x[3]@2.1", "tell@2.1"]);
    let mut world = World::new(BODY);
    world.finish().resume(Some("x[3]"));
    assert_eq!(world.published, ["x[3]/p@2.1", "x[3]/q@2.1", "x[3]/r@2.1", "sum@2.1"]);
    assert_eq!(world.data("sum"), json!(104));
}

#[test]
fn a_step_in_an_instance_can_be_redone_by_its_path() {
    let mut world = World::new(BODY);
    world.finish().resume(Some("x[3]/q"));
    assert_eq!(world.published, ["x[3]/q@2.1", "x[3]/r@2.1", "sum@2.1"]);
    assert_eq!(world.data("sum"), json!(104));
    let mut world = World::new(NESTED);
    world.finish().resume(Some("x[2]/y[3]"));
    assert_eq!(world.published, ["x[2]/y[3]@2.1", "x[2]/q@2.1", "end@2.1"]);
}

#[test]
fn a_failed_instance_goes_on_with_what_it_had_done() {
    let mut world = World::new(BODY).fault("x[2]/q", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!(world.failure().0, "x[2]/q");
    let done: Vec<String> =
        world.statuses().into_iter().filter(|(_, status)| *status == "completed").map(|(path, _)| path).collect();
    world.faults.clear();
    world.resume(None);
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.data("sum"), json!(104));
    assert!(done.iter().all(|path| !world.published_steps().contains(&path.as_str())), "{:?}", world.published);
}

#[test]
fn a_failure_in_a_nested_fan_out_is_redone_alone() {
    let mut world = World::new(NESTED).fault("x[2]/y[2]", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!((world.run_status(), world.data("end")), (RunStatus::Completed, json!(2)));
    assert_eq!(world.run.head.tolerated, 1);
    world.faults.clear();
    world.resume(None);
    assert_eq!(world.published, ["x[2]/y[2]@2.1", "x[2]/q@2.1", "end@2.1"]);
    assert_eq!((world.data("end"), world.run.head.tolerated), (json!(3), 0));
    assert_eq!(world.data("x[2]/q"), json!(3));
}

#[test]
fn a_tolerated_failure_in_a_body_is_redone_and_the_instance_counted_once() {
    let text = "steps:\n  - id: x\n    for-each: range(3)\n    steps:\n      - {id: p, uses: noop, continue-on-error: true}\n      - {id: q, uses: noop}\n  - {id: end, uses: noop, with: {data: '${{ steps.x.completed }}'}}\n";
    let mut world = World::new(text).fault("x[2]/p", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!((world.run.head.tolerated, world.data("end")), (1, json!(3)));
    world.faults.clear();
    world.resume(None);
    assert_eq!(world.published, ["x[2]/p@2.1", "x[2]/q@2.1", "end@2.1"]);
    assert_eq!(world.data("end"), json!(3));
}

#[test]
fn a_cancelled_run_goes_on_with_what_was_not_done() {
    for text in [FIVE, FAN, BODY, NESTED] {
        let mut undisturbed = World::new(text);
        undisturbed.finish();
        let count = undisturbed.published.len();
        for after in 0..count {
            let mut world = World::new(text);
            world.start();
            for _ in 0..after {
                world.step();
            }
            world.apply(Event::Cancel { reason: "test".into() });
            world.play();
            assert_eq!(world.run_status(), RunStatus::Cancelled);
            let first = world.published.len();
            world.resume(None);
            assert_eq!(world.statuses(), undisturbed.statuses(), "cancelled after {after}");
            assert_eq!(world.outputs(), undisturbed.outputs());
            assert_eq!(first + world.published.len(), count, "nothing was done twice");
        }
    }
}

#[test]
fn a_resume_after_a_failure_at_any_step_of_any_workflow_gives_what_an_undisturbed_run_gives() {
    for text in [FIVE, FAN, BODY, NESTED] {
        let mut undisturbed = World::new(text);
        undisturbed.finish();
        for step in undisturbed.dispatched() {
            let mut world = World::new(text).fault(&step, 9, ErrorClass::ContentRejected);
            world.finish();
            world.faults.clear();
            world.resume(None);
            assert_eq!(world.run_status(), RunStatus::Completed, "{step}");
            assert_eq!(world.statuses(), undisturbed.statuses(), "{step}");
            assert_eq!(world.outputs(), undisturbed.outputs(), "{step}");
        }
    }
}

#[test]
fn a_resume_from_any_step_of_any_workflow_gives_what_the_first_run_gave() {
    for text in [FIVE, FAN, BODY, NESTED] {
        let mut first = World::new(text);
        first.finish();
        for from in first.statuses().keys() {
            let mut world = World::new(text);
            world.finish().resume(Some(from));
            assert_eq!(world.statuses(), first.statuses(), "{from}");
            assert_eq!(world.outputs(), first.outputs(), "{from}");
            assert!(world.published.len() <= first.published.len());
        }
    }
}

#[test]
fn a_resume_from_a_step_that_the_run_never_came_to_changes_nothing_else() {
    let mut world = World::new(BODY).fault("x[1]/p", 9, ErrorClass::InvalidInput);
    world.finish();
    world.faults.clear();
    world.resume(Some("sum"));
    assert_eq!((world.run_status(), world.data("sum")), (RunStatus::Completed, json!(104)));
}

#[test]
fn the_artifacts_that_a_resume_builds_on_are_those_that_it_keeps() {
    let text = "inputs:\n  photo: {type: image}\nsteps:\n  - {id: a, uses: image.grayscale}\n  - {id: b, uses: image.info}\n  - {id: c, uses: image.resize, with: {width: 5}}\n";
    let mut world = World::with(text, json!({"photo": crate::world::picture("p.png")}), |_| {});
    world.finish();
    let from = crate::world::path("b");
    let kept = kept_artifacts(&world.plan, &world.run, Some(&from));
    let steps: Vec<String> =
        kept.iter().map(|(step, _)| step.as_ref().map_or("input".into(), ToString::to_string)).collect();
    assert_eq!(steps, ["input", "a"]);
    assert_eq!(world.run.head.generation, 1, "the run itself is as it was");
}
