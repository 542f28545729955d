//! Steps whose fast retries are spent: checked now and then, and tried again when what was in the way has gone.

use crate::world::{World, error, path, report};
use darkroom_engine::{CYCLES_MAX, Event, Parked, RECHECK_EVERY, State, What, parked, run_document};
use darkroom_proto::{Duration, ErrorClass, Outcome, RunStatus, StepError};
use std::collections::BTreeSet;

const ONE: &str = "steps:\n  - {id: a, uses: image.generate, with: {prompt: mug, model: flux-pro}}\n";

/// Answers with failures of this class until the step is parked; how many attempts that took.
fn park(world: &mut World, class: ErrorClass) -> u32 {
    for attempt in 1.. {
        world.fail_of("a", class);
        if !matches!(world.get("a").state, State::Retrying { .. }) {
            return attempt;
        }
    }
    0
}

fn started(text: &str) -> World {
    let mut world = World::new(text);
    world.start();
    world
}

fn only(world: &World) -> Parked {
    let mut parked = parked(&world.plan, &world.run);
    assert_eq!(parked.len(), 1);
    parked.remove(0)
}

fn cycle(world: &World) -> u32 {
    world.get("a").parking.as_ref().unwrap().cycle
}

fn release(world: &mut World) {
    world.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::from([path("a")]) });
}

#[test]
fn a_step_is_parked_when_fast_retries_are_spent_and_at_once_when_they_can_not_help() {
    for class in ErrorClass::ALL {
        let mut world = started(ONE);
        let attempts = park(&mut world, class);
        let want = match class {
            ErrorClass::QuotaExceeded | ErrorClass::InvalidKey => (1, RunStatus::PendingRetry),
            class if class.retryable() => (5, RunStatus::PendingRetry),
            _ => (1, RunStatus::Failed),
        };
        assert_eq!((attempts, world.run_status()), want, "{class}");
        if class.retryable() {
            let parked = only(&world);
            assert_eq!((parked.class, parked.op, parked.model.as_deref()), (class, "image.generate", Some("flux-pro")));
            assert_eq!(parked.at.since(world.now), RECHECK_EVERY);
            assert!(world.run.due() <= Some(parked.at));
            assert!(world.queue.is_empty(), "nothing is on its way");
        }
    }
}

#[test]
fn a_step_that_is_tried_once_or_says_what_is_retried_or_runs_here_is_not_parked_for_anything_else() {
    let of =
        |retry: &str| format!("steps:\n  - {{id: a, uses: image.generate, with: {{prompt: mug}}, retry: {retry}}}\n");
    let cases = [
        ("attempts: 1".to_owned(), of("{attempts: 1}"), ErrorClass::QuotaExceeded, (1, RunStatus::Failed)),
        ("once".to_owned(), of("1"), ErrorClass::Network, (1, RunStatus::Failed)),
        ("another class".to_owned(), of("{errors: [timeout]}"), ErrorClass::InvalidKey, (1, RunStatus::Failed)),
        (
            "its class".to_owned(),
            of("{errors: [timeout], attempts: 2}"),
            ErrorClass::Timeout,
            (2, RunStatus::PendingRetry),
        ),
        (
            "no retryable class".to_owned(),
            of("{errors: [invalid_input], attempts: 3}"),
            ErrorClass::InvalidInput,
            (3, RunStatus::Failed),
        ),
        (
            "runs here".to_owned(),
            "steps:\n  - {id: a, uses: noop}\n".to_owned(),
            ErrorClass::Network,
            (5, RunStatus::Failed),
        ),
    ];
    for (name, text, class, want) in cases {
        let mut world = started(&text);
        assert_eq!((park(&mut world, class), world.run_status()), want, "{name}");
    }
}

#[test]
fn a_parked_step_is_checked_five_times_and_then_fails() {
    for is_ready in [false, true] {
        let mut world = started(ONE);
        park(&mut world, ErrorClass::QuotaExceeded);
        for number in 1..=CYCLES_MAX {
            assert_eq!((cycle(&world), world.run_status()), (number, RunStatus::PendingRetry));
            assert!(world.check_parked(|_| is_ready));
            if is_ready {
                assert_eq!(world.get("a").attempt, 1 + number);
                assert_eq!(world.run_status(), RunStatus::Running);
                world.fail_of("a", ErrorClass::QuotaExceeded);
            }
        }
        assert_eq!(world.run_status(), RunStatus::Failed);
        let error = world.get("a").error.as_ref().unwrap();
        assert_eq!((error.class, error.code.as_str()), (ErrorClass::QuotaExceeded, "retries_exhausted"));
        assert_eq!(error.message, "maximum retry attempts exceeded: scripted");
        assert!(!error.advice.is_empty());
        let cycles: Vec<u32> = world
            .events
            .iter()
            .filter_map(|event| match &event.what {
                What::StepParked { cycle, .. } => Some(*cycle),
                _ => None,
            })
            .collect();
        assert_eq!(cycles, [1, 2, 3, 4, 5]);
        assert!(world.voided.contains(&(path("a"), 1)));
    }
}

#[test]
fn after_a_check_every_retryable_failure_parks_and_a_success_completes() {
    let mut world = started(ONE);
    park(&mut world, ErrorClass::QuotaExceeded);
    world.check_parked(|_| true);
    world.fail_of("a", ErrorClass::Network);
    assert_eq!((cycle(&world), only(&world).class), (2, ErrorClass::Network), "there are no fast retries any more");
    world.check_parked(|_| true);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.published, ["a@1.1", "a@1.2", "a@1.3"]);

    let mut world = started(ONE);
    park(&mut world, ErrorClass::QuotaExceeded);
    world.check_parked(|_| true);
    world.fail_of("a", ErrorClass::ContentRejected);
    assert_eq!(world.run_status(), RunStatus::Failed, "what is hard fails at once");
}

#[test]
fn a_step_that_is_released_before_its_time_uses_no_check() {
    let mut world = started(ONE);
    park(&mut world, ErrorClass::InvalidKey);
    for _ in 0..12 {
        release(&mut world);
        assert_eq!(world.run_status(), RunStatus::Running);
        world.fail_of("a", ErrorClass::InvalidKey);
        assert_eq!(cycle(&world), 1);
    }
    assert_eq!(only(&world).at.since(world.now), RECHECK_EVERY, "the time begins anew");
    release(&mut world);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn how_often_is_checked_can_be_set_and_is_never_sooner_than_the_provider_said() {
    for (retry_after, want) in [(1, 7), (60, 60)] {
        let mut world = started(ONE);
        world.run.recheck(Duration::from_secs(7));
        for _ in 0..5 {
            let message = world.take_of("a");
            let slow_down =
                StepError { retry_after: Some(Duration::from_secs(retry_after)), ..error(ErrorClass::RateLimit) };
            world.apply(Event::Report(report(&message, Outcome::Failed(slow_down))));
        }
        assert_eq!(only(&world).at.since(world.now), Duration::from_secs(want));
    }
}

#[test]
fn a_late_success_ends_a_parked_step_and_one_that_is_about_to_be_tried_again() {
    let mut world = started(ONE);
    let first = world.take_of("a");
    world.apply(Event::Report(report(&first, Outcome::Failed(error(ErrorClass::QuotaExceeded)))));
    let done = world.work_on(&first);
    world.apply(Event::Report(done));
    assert_eq!(world.run_status(), RunStatus::Completed);

    let text = "steps:\n  - parallel:\n      - {id: a, uses: image.generate, with: {prompt: mug}}\n      - {id: x, for-each: range(30), uses: noop}\n";
    let mut world = started(text);
    let first = world.take_of("a");
    world.apply(Event::Report(report(&first, Outcome::Failed(error(ErrorClass::QuotaExceeded)))));
    release(&mut world);
    assert_eq!(world.get("a").state, State::Ready, "there is no room for it yet");
    let done = world.work_on(&first);
    world.apply(Event::Report(done));
    assert_eq!(world.status("a"), "completed");
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.published_steps().iter().filter(|step| **step == "a").count(), 1);
}

#[test]
fn many_parked_steps_are_released_as_there_is_room() {
    let text =
        "steps:\n  - {id: x, for-each: range(1000), tolerate: 1000, uses: image.generate, with: {prompt: mug}}\n";
    let mut world = World::new(text);
    world.checks = false;
    world.start();
    while let Some(message) = world.take() {
        world.apply(Event::Report(report(&message, Outcome::Failed(error(ErrorClass::QuotaExceeded)))));
    }
    let all = parked(&world.plan, &world.run);
    assert_eq!((all.len(), world.run_status()), (1_000, RunStatus::PendingRetry));
    let ready = all.into_iter().map(|step| step.path).collect();
    world.apply(Event::Looked { lost: BTreeSet::new(), ready });
    assert!(world.queue.len() <= 256, "{} at once", world.queue.len());
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_run_is_pending_retry_only_when_nothing_else_of_it_goes_on() {
    let text = "steps:\n  - parallel:\n      - {id: a, uses: image.generate, with: {prompt: mug}}\n      - {id: b, uses: noop}\n";
    let mut world = started(text);
    world.fail_of("a", ErrorClass::QuotaExceeded);
    assert_eq!(world.run_status(), RunStatus::Running);
    world.answer_of("b");
    assert_eq!(world.run_status(), RunStatus::PendingRetry);
    let document = run_document(&world.plan, &world.run);
    assert_eq!(document.steps[0].status.name(), "retrying");
    let reason = document.steps[0].reason.as_ref().unwrap();
    assert!(reason.starts_with("parked; looked at again at 2027-") && reason.ends_with("(cycle 1 of 5)"), "{reason}");
}

#[test]
fn a_cancelled_run_does_not_wait_for_what_is_parked() {
    let mut world = started(ONE);
    park(&mut world, ErrorClass::QuotaExceeded);
    let change = world.apply(Event::Cancel { reason: "enough".into() });
    assert_eq!((world.run_status(), world.status("a")), (RunStatus::Cancelled, "cancelled"));
    assert_eq!(change.voided, BTreeSet::from([(path("a"), 1)]));
    assert!(parked(&world.plan, &world.run).is_empty());
    world.resume(None);
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.published, ["a@2.1"], "it is begun anew, with fast retries");
}

#[test]
fn a_parked_step_survives_a_restart() {
    let mut world = started(ONE);
    park(&mut world, ErrorClass::QuotaExceeded);
    let at = only(&world).at;
    world.reload();
    world.queue_lost();
    assert!(world.queue.is_empty(), "nothing of it was on its way");
    assert_eq!((only(&world).at, world.run.due()), (at, Some(at)));
    world.check_parked(|_| true);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}
