//! Tasks: sent to a pool of their own, gone by what their workers say.

use crate::world::{World, path, picture, plan_of, report};
use darkroom_engine::{Effect, Event, What, line, overdue, run_document};
use darkroom_proto::{Duration, ErrorClass, Map, Outcome, Report, RunStatus, StepMessage, Succeeded, Working};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const ONE: &str = "inputs:
  photo: { type: image, default: logo.png }
steps:
  - id: model
    uses: task.resize-3d
    timeout: 60s
    retry: { attempts: 2, delay: 1s }
    with: { faces: 500, file: '${{ inputs.photo }}', style: { name: clay }, nothing: null }
  - {id: after, uses: noop, with: {data: '${{ steps.model.mesh.faces }}'}}
outputs:
  mesh: ${{ steps.model.mesh }}
";

fn started() -> (World, StepMessage) {
    let mut world = World::new(ONE);
    world.start();
    let message = world.take_of("model");
    (world, message)
}

fn done(message: &StepMessage, faces: u32) -> Report {
    let outputs = [("mesh".to_owned(), json!({"faces": faces}))].into_iter().collect();
    report(message, Outcome::Succeeded(Succeeded { outputs, ..Succeeded::default() }))
}

fn says(world: &mut World, message: &StepMessage, progress: Option<f64>, note: &str) -> bool {
    let working = Working { progress, note: note.to_owned() };
    !world.apply(Event::Report(report(message, Outcome::Working(working)))).is_empty()
}

/// Lets this much time pass and looks; `has_left`: the message is not in its queue.
fn look_after(world: &mut World, seconds: u64, has_left: bool) {
    world.now = world.now.after(Duration::from_secs(seconds));
    let due = overdue(&world.plan, &world.run, world.now).into_iter().map(|overdue| overdue.path);
    let lost = due.filter(|_| has_left).collect();
    world.apply(Event::Looked { lost, ready: BTreeSet::new() });
}

#[test]
fn a_task_goes_to_its_own_pool_with_what_it_was_given_and_its_outputs_are_whatever_it_gave() {
    let mut world = World::new(ONE);
    let change = world.apply(Event::Start);
    let Effect::Dispatch { pool, message, .. } = &change.effects[0] else { panic!("{change:?}") };
    assert_eq!((pool.as_str(), message.op.as_str()), ("task.resize-3d", "task.resize-3d"));
    assert_eq!(line(&world.plan, &path("model")).unwrap(), ("task.resize-3d".into(), false));
    let want = json!({"faces": 500, "file": picture("logo.png"), "style": {"name": "clay"}});
    assert_eq!(Value::Object(message.params.clone()), want);

    let message = world.take_of("model");
    world.apply(Event::Report(done(&message, 7)));
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.data("after"), json!(7));
    assert_eq!(world.run.head.outputs["mesh"], json!({"faces": 7}));
    assert_eq!(run_document(&world.plan, &world.run).steps[0].op, "task.resize-3d");
    assert_eq!(world.plan.tasks().into_iter().collect::<Vec<_>>(), ["resize-3d"]);
}

#[test]
fn only_the_first_of_several_answers_counts() {
    let (mut world, message) = started();
    world.apply(Event::Report(done(&message, 1)));
    world.apply(Event::Report(done(&message, 2)));
    world.apply(Event::Report(report(&message, Outcome::Failed(crate::world::error(ErrorClass::InvalidInput)))));
    assert!(!says(&mut world, &message, Some(0.5), "late"));
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.data("after"), json!(1));
    assert_eq!(world.run.head.stale_reports, 3);
}

#[test]
fn the_class_of_a_failure_decides_whether_it_is_tried_again() {
    for (class, status) in [(ErrorClass::ServerUnavailable, "retrying"), (ErrorClass::InvalidInput, "failed")] {
        let (mut world, message) = started();
        world.apply(Event::Report(report(&message, Outcome::Failed(crate::world::error(class)))));
        assert_eq!(world.status("model"), status);
    }
}

#[test]
fn signs_of_life_give_the_step_its_time_anew_and_silence_costs_an_attempt() {
    let (mut world, message) = started();
    for _ in 0..5 {
        assert!(says(&mut world, &message, None, ""));
        look_after(&mut world, 50, true);
        assert_eq!(world.status("model"), "running");
    }
    look_after(&mut world, 9, true);
    assert_eq!(world.status("model"), "running");
    look_after(&mut world, 1, true);
    assert_eq!((world.status("model"), world.get("model").attempt), ("retrying", 2));
    assert_eq!(world.get("model").error.as_ref().unwrap().code, "task_silent");

    // Whoever was silent fails to fail the next attempt, and does not keep it alive.
    let second = world.take_of("model");
    assert!(!says(&mut world, &message, Some(0.9), "still here"));
    world.apply(Event::Report(report(&message, Outcome::Failed(crate::world::error(ErrorClass::InvalidInput)))));
    assert_eq!(world.status("model"), "retrying");
    world.apply(Event::Report(done(&second, 2)));
    world.play();
    assert_eq!(world.data("after"), json!(2));
}

#[test]
fn what_a_silent_worker_gives_in_the_end_is_taken_if_nobody_was_faster() {
    let (mut world, message) = started();
    says(&mut world, &message, None, "");
    look_after(&mut world, 60, true);
    assert_eq!(world.get("model").attempt, 2);
    world.apply(Event::Report(done(&message, 1)));
    let second = world.take_of("model");
    world.apply(Event::Report(done(&second, 2)));
    world.play();
    assert_eq!(world.data("after"), json!(1));
}

#[test]
fn a_task_that_waits_in_its_queue_waits_for_a_worker_as_long_as_it_takes() {
    let (mut world, message) = started();
    for _ in 0..100 {
        look_after(&mut world, 600, false);
    }
    assert_eq!((world.status("model"), world.get("model").attempt), ("running", 1));
    // Its message has left the queue: from then on its worker has the step's time.
    look_after(&mut world, 60, true);
    look_after(&mut world, 59, true);
    assert_eq!(world.status("model"), "running");
    world.apply(Event::Report(done(&message, 1)));
    world.play();
    assert_eq!((world.run_status(), world.published.len()), (RunStatus::Completed, 2));
}

#[test]
fn workers_that_never_say_anything_fail_the_step_after_its_attempts() {
    let mut world = World::new(ONE);
    world.start();
    let mut looks = 0;
    while !world.run.head.status.is_terminal() {
        let seconds = world.run.due().unwrap().since(world.now).0.div_ceil(1_000);
        look_after(&mut world, seconds, true);
        looks += 1;
        assert!(looks < 20, "{:?}", world.statuses());
    }
    assert_eq!(world.published, ["model@1.1", "model@1.2"]);
    assert_eq!(world.failure(), ("model".to_owned(), "the worker of the task was not heard of for 1m"));
}

#[test]
fn much_talk_is_stored_and_told_only_now_and_then() {
    let (mut world, message) = started();
    let mut stored = 0;
    for tick in 0..1_000_u32 {
        world.now = world.now.after(Duration(100));
        stored += usize::from(says(&mut world, &message, Some(f64::from(tick) / 100_000.0), "frames"));
    }
    let told = world.events.iter().filter(|event| matches!(event.what, What::StepProgress { .. })).count();
    assert!((90..=101).contains(&stored), "{stored} stored in 100 s");
    assert!((9..=12).contains(&told), "{told} told in 100 s");
    let document = run_document(&world.plan, &world.run);
    assert_eq!(document.steps[0].reason.as_deref(), Some("1 %: frames"));

    // What makes no sense is put right, and what is too long is cut.
    world.now = world.now.after(Duration::from_secs(9));
    says(&mut world, &message, Some(f64::INFINITY), &"x".repeat(10_000));
    let pulse = world.get("model").pulse.clone().unwrap();
    assert_eq!((pulse.progress, pulse.note.len()), (None, 200));
    world.apply(Event::Report(done(&message, 1)));
    assert!(world.get("model").pulse.is_none(), "nothing is kept of it");
}

#[test]
fn a_cancelled_run_does_not_wait_for_its_tasks() {
    for is_heard in [false, true] {
        let (mut world, message) = started();
        if is_heard {
            says(&mut world, &message, Some(0.5), "");
        }
        world.apply(Event::Cancel { reason: "enough".into() });
        assert_eq!((world.status("model"), world.run_status()), ("cancelled", RunStatus::Cancelled));
        world.apply(Event::Report(done(&message, 1)));
        assert_eq!(world.run_status(), RunStatus::Cancelled);
    }
}

#[test]
fn the_losers_of_a_race_of_tasks_are_not_waited_for() {
    let text = "steps:\n  - {id: first, race: [{uses: task.a}, {uses: task.b}]}\n  \
                - {id: after, uses: noop, with: {data: '${{ steps.first.winner }}'}}\n";
    let mut world = World::new(text);
    world.start();
    let second = world.take_of("first[2]");
    world.apply(Event::Report(report(&second, Outcome::Succeeded(Succeeded::default()))));
    world.answer_of("after");
    assert_eq!((world.run_status(), world.data("after")), (RunStatus::Completed, json!(2)));
}

#[test]
fn a_run_of_tasks_that_is_restored_is_the_same() {
    let (mut world, message) = started();
    says(&mut world, &message, Some(0.25), "half way to the half");
    world.reload();
    world.apply(Event::Unperformed { steps: [path("model")].into(), notices: Vec::new() });
    let again = world.take_of("model");
    assert_eq!((again.attempt, &again.params), (message.attempt, &message.params));
    world.apply(Event::Report(done(&again, 3)));
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_fan_out_of_tasks_stands_in_one_line() {
    let text = "steps:\n  - {id: each, for-each: range(12), uses: task.a, with: {number: '${{ item }}'}}\n  \
                - {id: after, uses: noop, with: {data: '${{ steps.each.results[11].given }}'}}\n";
    let mut world = World::new(text);
    world.start();
    while let Some(message) = world.take() {
        if message.op == "noop" {
            break;
        }
        assert!(!line(&world.plan, &message.path).unwrap().1, "{}", message.path);
        let given = Map::from_iter([("given".to_owned(), message.params["number"].clone())]);
        let outcome = Outcome::Succeeded(Succeeded { outputs: given, ..Succeeded::default() });
        world.apply(Event::Report(report(&message, outcome)));
    }
    assert_eq!(world.get("each").fan.as_ref().unwrap().completed, 12);
    assert_eq!(plan_of(text).tasks().len(), 1);
}
