//! Pausing, going on, ending at once, and inputs that change meanwhile.

use crate::world::{World, path, picture};
use darkroom_engine::{Event, State, What, settable};
use darkroom_proto::{Duration, ErrorClass, Map, RunStatus};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const FIVE: &str = "inputs: {n: {type: integer, default: 1}}
steps:
  - {id: a, uses: noop, with: {data: '${{ inputs.n }}'}}
  - {id: x, for-each: range(3), uses: noop, with: {data: '${{ inputs.n * 10 + item }}'}}
  - {id: w, uses: sleep, with: {for: 1h}}
  - {id: e, uses: noop, with: {data: ['${{ steps.a.data }}', '${{ inputs.n }}']}}
";

fn pause(world: &mut World) {
    world.apply(Event::Pause { reason: "lunch".into() });
}

fn unpause(world: &mut World, set: Value) {
    world.apply(Event::Resume { from: None, set: set.as_object().cloned().unwrap_or_default() });
}

fn refused(world: &World) -> Option<&str> {
    world.events.iter().find_map(|event| match &event.what {
        What::Refused { reason, .. } => Some(reason.as_str()),
        _ => None,
    })
}

#[test]
fn a_paused_run_sends_nothing_new_and_records_what_ends_meanwhile() {
    let mut world = World::new(FIVE);
    world.start();
    pause(&mut world);
    assert_eq!(world.run_status(), RunStatus::Paused);
    world.answer_of("a");
    assert_eq!((world.status("a"), world.status("x"), world.run_status()), ("completed", "running", RunStatus::Paused));
    assert!(world.queue.is_empty(), "{:?}", world.queued());
    world.now = world.run.due().unwrap();
    world.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::new() });
    assert!(world.run.rests() && world.run.due().is_none(), "nobody looks at it any more");
    world.reload();
    unpause(&mut world, json!({}));
    assert_eq!(world.run_status(), RunStatus::Running);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_pause_at_any_moment_changes_nothing_of_what_the_run_gives() {
    let mut undisturbed = World::new(FIVE);
    undisturbed.finish();
    let mut moments = 0;
    for moment in 0.. {
        let mut world = World::new(FIVE);
        if moment > 0 {
            world.start();
        }
        let mut goes_on = true;
        for _ in 1..moment {
            goes_on = goes_on && world.step();
        }
        if !goes_on {
            break;
        }
        moments += 1;
        pause(&mut world);
        pause(&mut world);
        if moment == 0 {
            world.start();
        }
        world.play();
        assert!(!matches!(world.run_status(), RunStatus::Failed | RunStatus::Cancelled));
        world.reload();
        unpause(&mut world, json!({}));
        world.play();
        assert_eq!(world.run_status(), RunStatus::Completed, "paused at {moment}");
        assert_eq!((world.statuses(), world.published.len()), (undisturbed.statuses(), undisturbed.published.len()));
        assert_eq!(world.data("e"), undisturbed.data("e"));
    }
    assert!(moments > 5, "{moments}");
}

#[test]
fn a_time_that_comes_during_a_pause_counts_after_it() {
    let mut world = World::new("steps:\n  - {id: w, uses: wait.event, timeout: 1h, with: {name: go}}\n");
    world.start();
    pause(&mut world);
    world.now = world.now.after(Duration::from_secs(7_200));
    world.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::new() });
    assert_eq!((world.status("w"), world.run.due()), ("waiting", None));
    let mut late = world.cut(world.log.len());
    unpause(&mut world, json!({}));
    assert_eq!(world.status("w"), "failed");
    late.now = world.now;
    late.signal("go", json!(1));
    assert_eq!(late.status("w"), "completed", "what comes during the pause is taken");
}

#[test]
fn what_is_tried_again_later_is_taken_back_and_tried_after_the_pause() {
    for (class, op) in [(ErrorClass::ServerUnavailable, "noop"), (ErrorClass::RateLimit, "image.generate")] {
        let with = if op == "noop" { "" } else { ", with: {prompt: mug}" };
        let mut world = World::new(&format!("steps:\n  - {{id: a, uses: {op}{with}}}\n"));
        world.start();
        world.fail_of("a", class);
        assert!(matches!(world.get("a").state, State::Retrying { .. }));
        pause(&mut world);
        assert_eq!(world.get("a").state, State::Ready);
        let late = world.take_of("a");
        let report = world.work_on(&late);
        world.apply(Event::Report(report));
        assert_eq!(
            (world.status("a"), world.run.head.stale_reports),
            ("ready", 1),
            "{op}: the message finds nothing to do"
        );
        unpause(&mut world, json!({}));
        assert_eq!(world.published.last().unwrap(), "a@2.2");
        world.play();
        assert_eq!(world.run_status(), RunStatus::Completed);
    }
}

#[test]
fn an_attempt_that_fails_during_a_pause_is_repeated_after_it() {
    let mut world = World::new("steps:\n  - {id: a, uses: noop}\n");
    world.start();
    pause(&mut world);
    world.fail_of("a", ErrorClass::Network);
    assert_eq!((world.get("a").state, world.queue.len()), (State::Ready, 0));
    unpause(&mut world, json!({}));
    assert_eq!(world.published, ["a@1.1", "a@1.2"]);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn parked_steps_use_up_no_check_during_a_pause() {
    let mut world = World::new("steps:\n  - {id: a, uses: image.generate, with: {prompt: mug}}\n").fault(
        "a",
        1,
        ErrorClass::InvalidKey,
    );
    world.start();
    world.step();
    assert!(world.run.has_parked());
    pause(&mut world);
    world.now = world.now.after(Duration::from_secs(86_400));
    world.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::from([path("a")]) });
    assert!(world.run.has_parked() && world.run.due().is_none());
    unpause(&mut world, json!({}));
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_paused_run_can_be_cancelled() {
    let mut world = World::new(FIVE);
    world.start();
    world.answer_of("a");
    pause(&mut world);
    world.apply(Event::Cancel { reason: "enough".into() });
    world.play();
    assert_eq!((world.run_status(), world.run.head.paused.as_deref()), (RunStatus::Cancelled, None));
}

#[test]
fn a_terminated_run_has_ended_at_once_at_any_moment_and_can_be_resumed() {
    let mut undisturbed = World::new(FIVE);
    undisturbed.finish();
    for moment in 0..6 {
        let mut world = World::new(FIVE);
        world.start();
        for _ in 0..moment {
            world.step();
        }
        world.apply(Event::Terminate { reason: "fire".into() });
        assert_eq!(world.run_status(), RunStatus::Cancelled, "at {moment}");
        assert!(world.run.steps.values().all(|step| step.state.ended()));
        let before = world.statuses();
        world.play();
        assert_eq!(world.statuses(), before, "what is reported later changes nothing");
        world.resume(None);
        assert_eq!((world.statuses(), world.data("e")), (undisturbed.statuses(), undisturbed.data("e")));
    }
}

#[test]
fn a_terminated_run_has_its_jobs_cancelled_at_the_provider() {
    let mut world = World::new("steps:\n  - {id: a, uses: image.generate, with: {prompt: mug}}\n");
    world.start();
    let message = world.take_of("a");
    let report = world.wait_for(&message, true);
    world.apply(Event::Report(report));
    world.queue.clear();
    world.apply(Event::Terminate { reason: "fire".into() });
    assert_eq!(world.queued(), ["a"], "whoever takes it cancels the job");
    assert!(world.voided.contains(&(path("a"), 1)), "and nothing more is paid");
}

#[test]
fn inputs_can_be_changed_for_what_has_not_run() {
    let mut world = World::new(FIVE);
    world.start();
    world.answer_of("a");
    world.answer_of("x[1]");
    pause(&mut world);
    world.reload();
    unpause(&mut world, json!({"n": 5}));
    world.reload();
    world.play();
    assert_eq!(world.data("e"), json!([1, 5]), "what is done keeps what it had");
    assert_eq!(world.run.inputs()["n"], json!(5));
    assert_eq!(world.run.spec.inputs["n"], json!(1), "what the run was given does not change");
    let told = world.events.iter().any(|event| event.what == What::InputsSet { names: vec!["n".into()] });
    assert!(told, "it is in the audit trail");
}

#[test]
fn a_failed_or_cancelled_run_goes_on_with_other_inputs() {
    let text = "inputs: {bad: {type: boolean, default: true}}\nsteps:\n  - {id: a, uses: noop}\n  - {id: b, uses: fail, if: inputs.bad}\n";
    let mut world = World::new(text);
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Failed);
    world.apply(Event::Resume { from: None, set: json!({"bad": false}).as_object().cloned().unwrap() });
    world.play();
    assert_eq!((world.run_status(), world.status("b")), (RunStatus::Completed, "skipped"));
    assert_eq!(world.published_steps(), ["a", "b"]);
}

#[test]
fn what_a_begun_fan_out_runs_over_stays_as_it_is() {
    let text = "inputs: {photos: {type: 'image[]'}, size: {type: integer, default: 5}}\nsteps:\n  - {id: x, for-each: inputs.photos, uses: image.resize, with: {width: '${{ inputs.size }}'}}\n  - {id: f, uses: fail}\n";
    let given = json!({"photos": [picture("a.png"), picture("b.png")]});
    let mut world = World::with(text, given, |_| {});
    world.finish();
    let set = |value: Value| value.as_object().cloned().unwrap();
    let other = set(json!({"photos": [picture("c.png")]}));
    let reason = "`x` has begun and runs over the input `photos`; resume from it to run it anew";
    assert_eq!(settable(&world.plan, &world.run, None, &other).unwrap_err(), reason);
    assert_eq!(settable(&world.plan, &world.run, Some(&path("x")), &other), Ok(()));
    assert_eq!(settable(&world.plan, &world.run, None, &set(json!({"size": 6}))), Ok(()));
    let unknown = settable(&world.plan, &world.run, None, &set(json!({"photo": 1}))).unwrap_err();
    assert_eq!(unknown, "the workflow has no input `photo`; it has photos, size");
    world.apply(Event::Resume { from: None, set: other.clone() });
    assert_eq!((world.run_status(), refused(&world)), (RunStatus::Failed, Some(reason)), "the engine decides");
    world.apply(Event::Resume { from: Some(path("x")), set: other });
    world.play();
    assert_eq!(world.get("x").fan.as_ref().unwrap().total, 1);
}

#[test]
fn a_run_that_is_not_paused_is_not_resumed() {
    let mut world = World::new(FIVE);
    world.start();
    let change = world.apply(Event::Resume { from: None, set: Map::from_iter([("n".to_owned(), json!(2))]) });
    assert!(change.events.is_empty() && world.run.overrides.is_empty());
}
