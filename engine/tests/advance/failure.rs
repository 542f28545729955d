//! Failures, retries, late and repeated reports, cancelling, poison.

use crate::world::{World, error, report};
use darkroom_engine::{Event, State, What, break_off};
use darkroom_proto::{Duration, ErrorClass, Outcome, RunStatus, StepError};
use serde_json::json;
use std::collections::BTreeSet;

const THREE: &str = "steps:\n  - {id: a, uses: noop}\n  - {id: b, uses: noop}\n  - {id: c, uses: noop}\n";

#[test]
fn a_failed_step_fails_the_run_and_nothing_after_it_starts() {
    let mut world = World::new(THREE).fault("b", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Failed);
    assert_eq!(world.failure().0, "b");
    assert_eq!(world.run.head.failure.as_ref().unwrap().number, 2);
    assert_eq!(world.status("c"), "pending");
    assert_eq!(world.published, ["a@1.1", "b@1.1"]);
}

#[test]
fn retryable_errors_come_back_after_1_2_4_8_seconds_give_or_take_a_quarter_and_then_fail() {
    let mut world = World::new("steps:\n  - {id: a, uses: noop}\n");
    world.start();
    let mut waits = Vec::new();
    for attempt in 1..=4 {
        world.fail_of("a", ErrorClass::Network);
        let State::Retrying { at } = world.get("a").state else { panic!("attempt {attempt}: {:?}", world.get("a")) };
        waits.push(at.since(world.now).0);
        assert_eq!(world.queue[0].at, at);
        assert_eq!(world.get("a").attempt, attempt + 1);
    }
    for (wait, seconds) in waits.iter().zip([1_000, 2_000, 4_000, 8_000]) {
        assert!(wait.abs_diff(seconds) <= seconds / 4, "{waits:?}");
    }
    assert!(waits.iter().zip([1_000, 2_000, 4_000, 8_000]).any(|(wait, exact)| *wait != exact), "there is jitter");
    world.fail_of("a", ErrorClass::Network);
    assert_eq!(world.run_status(), RunStatus::Failed);
    assert_eq!(world.published, ["a@1.1", "a@1.2", "a@1.3", "a@1.4", "a@1.5"]);
}

#[test]
fn only_what_can_pass_by_itself_is_retried() {
    for class in ErrorClass::ALL {
        let mut world = World::new("steps:\n  - {id: a, uses: noop}\n").fault("a", 1, class);
        world.finish();
        let want = if class.retryable() { RunStatus::Completed } else { RunStatus::Failed };
        assert_eq!(world.run_status(), want, "{class}");
    }
}

#[test]
fn a_step_has_its_own_retry_policy() {
    let text = "steps:\n  - id: a\n    uses: fail\n    retry: {attempts: 3, delay: 10s, backoff: fixed, errors: [invalid_input]}\n";
    let mut world = World::new(text);
    world.finish();
    assert_eq!(world.published.len(), 3);
    let text = "steps:\n  - id: a\n    uses: fail\n    with: {class: network}\n    retry: {errors: [timeout]}\n";
    let mut world = World::new(text);
    world.finish();
    assert_eq!(world.published.len(), 1);
}

#[test]
fn nobody_comes_back_sooner_than_the_provider_said() {
    for seconds in [1, 30, 90, 3_600] {
        let mut world = World::new("steps:\n  - {id: a, uses: noop}\n");
        world.start();
        let message = world.take_of("a");
        let slow_down = StepError { retry_after: Some(Duration::from_secs(seconds)), ..error(ErrorClass::RateLimit) };
        world.apply(Event::Report(report(&message, Outcome::Failed(slow_down))));
        assert!(world.queue[0].at.since(world.now) >= Duration::from_secs(seconds), "{seconds}");
    }
}

#[test]
fn a_tolerated_failure_has_an_error_and_what_uses_its_outputs_is_skipped_unless_it_has_a_condition() {
    let mut world = World::new(
        "steps:
  - {id: a, uses: fail, continue-on-error: true, with: {message: no}}
  - {id: uses, uses: noop, with: {data: '${{ steps.a.data }}'}}
  - {id: after-that, uses: noop, with: {data: '${{ steps.uses.data }}'}}
  - {id: asks, if: steps.a.error, uses: noop, with: {data: '${{ steps.a.error.class }}'}}
  - {id: other, uses: noop}
",
    );
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.run.head.tolerated, 1);
    assert_eq!(world.status("a"), "failed");
    for id in ["uses", "after-that"] {
        assert_eq!(world.status(id), "skipped");
        let why = world.get(id).skipped.as_ref().unwrap().to_string();
        assert_eq!(why, "it uses the outputs of `a`, which failed");
    }
    assert_eq!(world.data("asks"), json!("invalid_input"));
    assert_eq!(world.status("other"), "completed");
    let told = world.events.iter().any(|event| matches!(&event.what, What::StepFailed { tolerated: true, .. }));
    assert!(told, "the event says that the run goes on");
}

#[test]
fn a_group_that_may_fail_passes_that_on_to_its_members() {
    let mut world = World::new(
        "steps:\n  - continue-on-error: true\n    parallel:\n      - {id: a, uses: fail}\n      - id: b\n        for-each: [1, 2, 3]\n        tolerate: 1\n        uses: fail\n  - {id: c, uses: noop}\n",
    );
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!([world.status("a"), world.status("b"), world.status("c")], ["failed", "failed", "completed"]);
}

#[test]
fn what_runs_beside_a_failing_step_is_waited_for_and_what_waits_is_cancelled() {
    let text = "steps:\n  - parallel:\n      - {id: a, uses: noop}\n      - {id: b, uses: noop}\n      - {id: c, uses: noop}\n  - {id: d, uses: noop}\n";
    let mut world = World::new(text);
    world.start();
    world.fail_of("c", ErrorClass::Network);
    world.fail_of("a", ErrorClass::InvalidInput);
    assert_eq!(world.run_status(), RunStatus::Running, "b is with a worker");
    assert_eq!(world.status("c"), "cancelled", "its wait had not ended");
    world.answer_of("b");
    assert_eq!(world.run_status(), RunStatus::Failed);
    assert_eq!(world.status("b"), "completed");
    assert_eq!(world.status("d"), "pending");
}

#[test]
fn an_attempt_whose_wait_is_over_is_with_a_worker_and_is_waited_for() {
    let text = "steps:\n  - parallel:\n      - {id: a, uses: noop}\n      - {id: b, uses: noop}\n";
    let mut world = World::new(text);
    world.start();
    world.fail_of("b", ErrorClass::Network);
    let late = world.take_of("b");
    world.fail_of("a", ErrorClass::InvalidInput);
    assert_eq!(world.run_status(), RunStatus::Running);
    let done = world.work_on(&late);
    world.apply(Event::Report(done));
    assert_eq!(world.status("b"), "completed");
    assert_eq!(world.run_status(), RunStatus::Failed);
}

#[test]
fn reports_of_old_attempts_and_generations_are_ignored_and_counted() {
    let mut world = World::new(THREE);
    world.start();
    let first = world.take_of("a");
    let failed = report(&first, Outcome::Failed(error(ErrorClass::Network)));
    world.apply(Event::Report(failed.clone()));
    let change = world.apply(Event::Report(failed));
    assert!(change.is_empty() && world.get("a").attempt == 2, "the same failure twice is one failure");
    assert_eq!(world.run.head.stale_reports, 1);
    world.answer_of("a");
    let again = world.work_on(&first);
    assert!(world.apply(Event::Report(again)).is_empty(), "it has ended");
    assert_eq!(world.run.head.stale_reports, 2);
    world.fail_of("b", ErrorClass::InvalidInput);
    let mut old = first.clone();
    old.path = crate::world::path("b");
    world.apply(Event::Resume { from: None, set: Default::default() });
    let old = world.work_on(&old);
    assert!(world.apply(Event::Report(old)).is_empty(), "it was begun anew");
    assert_eq!(world.run.head.stale_reports, 3);
    let mut lost = first;
    lost.path = crate::world::path("nowhere");
    let lost = world.work_on(&lost);
    assert!(world.apply(Event::Report(lost)).is_empty());
}

#[test]
fn a_late_success_of_an_earlier_attempt_is_taken() {
    let mut world = World::new(THREE);
    world.start();
    let first = world.take_of("a");
    world.apply(Event::Report(report(&first, Outcome::Failed(error(ErrorClass::Timeout)))));
    let late = world.work_on(&first);
    world.apply(Event::Report(late));
    assert_eq!(world.status("a"), "completed");
    assert_eq!(world.queued(), ["a", "b"], "the second attempt is on its way still");
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.run.head.stale_reports, 1);
}

#[test]
fn cancelling_drains_what_is_with_a_worker_and_a_resume_goes_on() {
    let text = "steps:\n  - {id: a, uses: noop}\n  - parallel:\n      - {id: b, uses: noop}\n      - {id: c, uses: noop}\n  - {id: d, uses: noop}\n";
    let mut world = World::new(text);
    world.start();
    world.answer_of("a");
    world.fail_of("c", ErrorClass::Network);
    world.apply(Event::Cancel { reason: "enough".into() });
    assert_eq!(world.run_status(), RunStatus::Running);
    world.answer_of("b");
    assert_eq!(world.run_status(), RunStatus::Cancelled);
    assert_eq!([world.status("b"), world.status("c"), world.status("d")], ["completed", "cancelled", "pending"]);
    world.queue.clear();
    world.resume(None);
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.published, ["c@2.1", "d@2.1"]);
}

#[test]
fn a_run_that_has_not_started_is_cancelled_at_once_and_can_be_resumed() {
    let mut world = World::new(THREE);
    world.apply(Event::Cancel { reason: "no".into() });
    assert_eq!(world.run_status(), RunStatus::Cancelled);
    assert!(world.apply(Event::Start).is_empty());
    world.resume(None);
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn ten_losses_of_a_step_fail_it_as_poison_and_fewer_do_not() {
    let mut world = World::new(THREE);
    world.start();
    for loss in 1..=9 {
        world.reload();
        world.queue.clear();
        world.queue_lost();
        assert_eq!(world.published.last().map(String::as_str), Some("a@1.1"), "loss {loss} uses no attempt");
    }
    world.queue_lost();
    assert_eq!(world.run_status(), RunStatus::Failed);
    assert_eq!(world.get("a").error.as_ref().unwrap().code, "poison");
    world.queue.clear();
    world.resume(None);
    assert_eq!(world.run_status(), RunStatus::Completed, "a resume begins it anew");
}

#[test]
fn a_message_that_nobody_had_taken_is_no_loss() {
    let mut world = World::new(THREE);
    world.start();
    for _ in 0..50 {
        world.queue.clear();
        world.apply(Event::QueueLost { begun: BTreeSet::new() });
    }
    assert_eq!(world.get("a").losses, 0);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_later_attempt_that_kills_its_worker_is_poison_too() {
    let mut world = World::new("steps:\n  - {id: a, uses: noop}\n");
    world.start();
    world.fail_of("a", ErrorClass::Network);
    world.queue_lost();
    assert_eq!(world.get("a").losses, 0, "nobody had it");
    for _ in 0..10 {
        world.queue.clear();
        world.now = world.now.after(Duration::from_secs(60));
        world.queue_lost();
    }
    assert_eq!(world.get("a").error.as_ref().unwrap().code, "poison");
}

#[test]
fn a_run_that_was_broken_off_can_be_resumed() {
    let text = "steps:\n  - {id: a, uses: noop}\n  - id: b\n    for-each: range(20)\n    steps:\n      - {id: x, uses: noop}\n      - {id: y, uses: noop}\n  - {id: c, uses: noop}\n";
    let mut world = World::new(text);
    world.start();
    for _ in 0..6 {
        world.step();
    }
    let broken = break_off(&mut world.run, error(ErrorClass::WorkflowError), world.now);
    assert!(!broken.steps.is_empty() && world.run.steps.values().all(|step| step.state.ended()));
    world.queue.clear();
    world.apply(Event::Resume { from: None, set: Default::default() });
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}
