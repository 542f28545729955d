//! Steps that wait for a provider, or to be let in.

use crate::world::{World, path, report};
use darkroom_engine::{Event, State, What, overdue, run_document};
use darkroom_proto::{Duration, ErrorClass, Outcome, RunStatus, StepMessage, Timestamp, Waiting};
use std::collections::BTreeSet;

const ONE: &str = "steps:\n  - {id: a, uses: image.generate, with: {prompt: mug}}\n";
const TWO: &str = "steps:\n  - parallel:\n      - {id: a, uses: image.generate, with: {prompt: mug}}\n      \
                   - {id: b, uses: noop}\n";
const WIDE: &str = "steps:\n  - {id: x, for-each: range(40), uses: image.generate, with: {prompt: mug}}\n";

fn waits(world: &mut World, message: &StepMessage, reason: &str, submitted: bool, until: Timestamp) {
    let waiting = Waiting { reason: reason.to_owned(), submitted, until };
    world.apply(Event::Report(report(message, Outcome::Waiting(waiting))));
}

/// The run with its first step waiting until 100 s from now.
fn waiting(text: &str, submitted: bool) -> (World, StepMessage, Timestamp) {
    let mut world = World::new(text);
    world.start();
    let message = world.take_of("a");
    let until = world.now.after(Duration::from_secs(100));
    waits(&mut world, &message, "flux-pro at fal", submitted, until);
    (world, message, until)
}

fn told(world: &World) -> usize {
    world.events.iter().filter(|event| matches!(event.what, What::StepWaiting { .. })).count()
}

#[test]
fn a_step_that_waits_takes_no_place_in_the_window() {
    let mut world = World::new(WIDE);
    world.start();
    let mut begun = 0;
    while let Some(message) = world.take() {
        begun += 1;
        let until = world.now.after(Duration::from_secs(60));
        waits(&mut world, &message, "flux-pro at fal", true, until);
    }
    assert_eq!(begun, 40, "all of them are with the provider at once");
    assert_eq!(world.run.head.in_flight, 0);
    assert_eq!(world.run_status(), RunStatus::Waiting);
    let document = run_document(&world.plan, &world.run);
    let item = &document.steps[0].steps[7];
    assert_eq!((item.status.name(), item.reason.as_deref()), ("waiting", Some("flux-pro at fal")));
}

#[test]
fn a_step_that_waits_is_looked_at_30_seconds_after_its_wait_should_be_over() {
    let (world, _, until) = waiting(ONE, true);
    assert_eq!(world.get("a").watch.unwrap().look_at.since(until), Duration::from_secs(30));
    assert!(overdue(&world.plan, &world.run, until.after(Duration::from_secs(29))).is_empty());
    let overdue = overdue(&world.plan, &world.run, until.after(Duration::from_secs(30)));
    assert!(overdue[0].submitted && overdue[0].calls_a_provider);
}

#[test]
fn what_a_step_waits_for_is_told_once() {
    let (mut world, message, until) = waiting(ONE, false);
    for seconds in 1..5 {
        waits(&mut world, &message, "flux-pro at fal", false, until.after(Duration::from_secs(seconds)));
    }
    assert_eq!(told(&world), 1);
    waits(&mut world, &message, "a free place at fal", false, until);
    waits(&mut world, &message, "a free place at fal", true, until);
    assert_eq!(told(&world), 3, "another reason, and that a provider has it, is news");
}

#[test]
fn an_older_report_does_not_make_a_job_undone_that_a_provider_has() {
    let (mut world, message, until) = waiting(ONE, true);
    waits(&mut world, &message, "a free place at fal", false, until);
    assert_eq!(world.get("a").state, State::Waiting { submitted: true, until });
    world.apply(Event::Cancel { reason: "enough".into() });
    assert_eq!(world.status("a"), "waiting");
}

#[test]
fn a_wait_ends_with_any_success_and_with_the_failure_of_its_attempt() {
    for submitted in [false, true] {
        let (mut world, message, _) = waiting(ONE, submitted);
        let done = world.work_on(&message);
        world.apply(Event::Report(done));
        assert_eq!(world.run_status(), RunStatus::Completed);
        assert_eq!(world.get("a").waiting, None);

        let (mut world, message, _) = waiting(ONE, submitted);
        let failed = report(&message, Outcome::Failed(crate::world::error(ErrorClass::Network)));
        world.apply(Event::Report(failed.clone()));
        assert!(matches!(world.get("a").state, State::Retrying { .. }));
        assert!(world.apply(Event::Report(failed)).is_empty(), "the same failure twice is one");
        let late = Waiting { reason: "late".into(), submitted: true, until: world.now };
        assert!(world.apply(Event::Report(report(&message, Outcome::Waiting(late)))).is_empty(), "its attempt is over");
        let done = world.work_on(&message);
        world.apply(Event::Report(done));
        assert_eq!(world.run_status(), RunStatus::Completed, "a late success is a success");
    }
}

#[test]
fn a_cancelled_run_waits_for_what_a_provider_has_and_for_nothing_else() {
    let (mut world, message, _) = waiting(ONE, true);
    world.apply(Event::Cancel { reason: "enough".into() });
    assert_eq!((world.run_status(), world.status("a")), (RunStatus::Waiting, "waiting"));
    assert!(world.voided.is_empty(), "its job goes on, and is paid");
    let done = world.work_on(&message);
    world.apply(Event::Report(done));
    assert_eq!((world.run_status(), world.status("a")), (RunStatus::Cancelled, "completed"));

    let (mut world, message, until) = waiting(ONE, false);
    let change = world.apply(Event::Cancel { reason: "enough".into() });
    assert_eq!((world.run_status(), world.status("a")), (RunStatus::Cancelled, "cancelled"));
    assert_eq!(change.voided, BTreeSet::from([(path("a"), 1)]), "its message is on the ladder");
    waits(&mut world, &message, "late", false, until);
    assert_eq!(world.status("a"), "cancelled");
}

#[test]
fn a_wait_to_be_let_in_that_is_over_is_with_a_worker_and_is_waited_for() {
    let (mut world, _, until) = waiting(ONE, false);
    world.now = until;
    world.apply(Event::Cancel { reason: "enough".into() });
    assert_eq!((world.run_status(), world.status("a")), (RunStatus::Waiting, "waiting"));
}

#[test]
fn a_step_that_is_not_let_in_ends_when_its_run_has_failed() {
    let mut world = World::new(TWO);
    world.start();
    let message = world.take_of("a");
    world.fail_of("b", ErrorClass::InvalidInput);
    assert_eq!(world.run_status(), RunStatus::Running, "a is with a worker");
    let until = world.now.after(Duration::from_secs(9));
    waits(&mut world, &message, "a free place at fal", false, until);
    assert_eq!((world.run_status(), world.status("a")), (RunStatus::Failed, "cancelled"));
    assert!(world.voided.contains(&(path("a"), 1)));
}

#[test]
fn a_poll_message_that_is_lost_is_made_again_and_a_long_job_is_never_poison() {
    let (mut world, message, _) = waiting(ONE, true);
    for _ in 0..20 {
        world.queue.clear();
        world.now = world.get("a").watch.unwrap().look_at;
        world.apply(Event::Looked { lost: BTreeSet::from([path("a")]), ready: BTreeSet::new() });
        assert_eq!(world.published.last().map(String::as_str), Some("a@1.1"), "it is the same attempt");
        assert_eq!((world.status("a"), world.queue[0].at), ("waiting", world.now));
        let until = world.now.after(Duration::from_secs(60));
        waits(&mut world, &message, "flux-pro at fal", true, until);
        assert_eq!(world.get("a").watch.unwrap().resends, 0);
    }
    let done = world.work_on(&message);
    world.apply(Event::Report(done));
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_job_that_nobody_ever_looks_after_again_fails_after_hours_and_not_minutes() {
    let (mut world, _, until) = waiting(ONE, true);
    let mut looks = 0;
    while !world.run.head.status.is_terminal() {
        looks += 1;
        world.now = world.get("a").watch.unwrap().look_at;
        world.apply(Event::Looked { lost: BTreeSet::from([path("a")]), ready: BTreeSet::new() });
    }
    assert_eq!((looks, world.get("a").error.as_ref().unwrap().code.as_str()), (20, "poison"));
    assert!(world.now.since(until) > Duration::from_secs(2 * 3_600));
}

#[test]
fn after_a_restart_a_step_that_waits_is_sent_when_its_wait_is_over() {
    for submitted in [false, true] {
        let (mut world, _, until) = waiting(ONE, submitted);
        world.reload();
        world.queue.clear();
        world.queue_lost();
        assert_eq!((world.queue.len(), world.queue[0].at), (1, until));
        world.play();
        assert_eq!(world.run_status(), RunStatus::Completed);
    }
}

#[test]
fn nothing_is_paid_for_what_was_dropped_cancelled_or_has_failed() {
    let text = "steps:\n  - {id: a, uses: image.generate, with: {prompt: mug}}\n  - {id: gray, uses: image.grayscale}\n  \
                - {id: b, uses: image.detect, with: {image: '${{ steps.a.image }}'}}\n";
    let mut world = World::new(text).fault("b", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!(world.voided, BTreeSet::from([(path("b"), 1)]), "a copy of its message may still be on its way");
    world.resume(Some("a"));
    let want = BTreeSet::from([(path("a"), 1), (path("b"), 1), (path("b"), 2)]);
    assert_eq!(world.voided, want, "what runs on this machine may run twice");
}

#[test]
fn what_is_broken_off_with_a_provider_is_flagged() {
    let (mut world, _, _) = waiting(ONE, true);
    let error = crate::world::error(ErrorClass::WorkflowError);
    let change = darkroom_engine::break_off(&mut world.run, error, world.now);
    assert_eq!(change.voided, BTreeSet::from([(path("a"), 1)]));
    assert_eq!(world.run.head.possible_duplicates, 1, "a resume pays for another job");
    assert_eq!(world.run.due(), None);
}
