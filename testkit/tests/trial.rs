//! What a trial shows of a workflow.

#![allow(clippy::unwrap_used, reason = "a test that can't go on fails")]

use darkroom_testkit::{ErrorClass, Mock, RunStatus, StepStatus, Testkit};
use serde_json::json;
use std::time::Duration;

fn kit(steps: &str) -> Testkit {
    Testkit::from_text("test.yaml", &format!("workflow: test\n{steps}")).unwrap()
}

const DAY: Duration = Duration::from_secs(86_400);

#[test]
fn thirty_days_pass_at_once() {
    let mut trial =
        kit("steps:\n  - uses: sleep\n    with: {for: 30d}\n  - uses: noop\n    with: {data: 1}\n").start().unwrap();
    assert_eq!(trial.wait_for_status(RunStatus::Waiting).unwrap().step_status("sleep"), StepStatus::Waiting);
    assert_eq!(trial.advance(29 * DAY), RunStatus::Waiting);
    assert_eq!(trial.run_until_idle(), RunStatus::Completed);
    assert_eq!((trial.elapsed(), trial.order()), (30 * DAY, vec!["sleep".to_owned(), "noop".to_owned()]));
}

#[test]
fn a_mock_fails_as_often_as_it_says_and_retries_wait_in_virtual_time() {
    let mut trial = kit("steps:\n  - id: hero\n    uses: image.generate\n    with: {model: flux-pro, prompt: x}\n")
        .mock("hero", Mock::error(ErrorClass::RateLimit).times(2).costs(0.01).then(Mock::image(64, 48).costs(0.04)))
        .start()
        .unwrap();
    assert_eq!(trial.finish(), RunStatus::Completed, "{:#?}", trial.timeline());
    assert_eq!(trial.attempts("hero"), 3);
    // Who is asked to slow down, waits longer than a second or two.
    assert!((60..600).contains(&trial.elapsed().as_secs()), "{:?}", trial.elapsed());
    assert_eq!(trial.output("hero", "image")["width"], 64);
    assert!((trial.cost() - 0.06).abs() < 1e-9, "{}", trial.cost());
}

#[test]
fn what_has_no_mock_is_done_for_real() {
    let steps = "inputs:\n  photo: {type: image}\nsteps:\n  - uses: image.resize\n    with: {width: 30, height: 20}\n    \
                 save: small.png\noutputs:\n  small: ${{ steps.resize.image }}\n";
    let mut trial = kit(steps).input("photo", "@plain:640x480").start().unwrap();
    assert_eq!(trial.finish(), RunStatus::Completed, "{:#?}", trial.timeline());
    assert_eq!((trial.outputs()["small"]["width"].clone(), trial.out().join("small.png").exists()), (json!(30), true));
}

#[test]
fn a_timeout_takes_as_long_as_the_attempt_may() {
    let steps = "steps:\n  - uses: noop\n    timeout: 10m\n    retry: {attempts: 1}\n";
    let mut trial = kit(steps).mock("noop", Mock::timeout()).start().unwrap();
    assert_eq!(trial.finish(), RunStatus::Failed);
    assert_eq!(trial.elapsed(), Duration::from_secs(600));
    assert_eq!(trial.failure().unwrap().1.class, ErrorClass::Timeout);
}

#[test]
fn a_parked_step_is_checked_in_virtual_time() {
    let steps = "steps:\n  - id: hero\n    uses: image.generate\n    with: {model: flux-pro, prompt: x}\n";
    let mut trial = kit(steps)
        .mock("hero", Mock::error(ErrorClass::QuotaExceeded).times(3).then(Mock::image(8, 8)))
        .start()
        .unwrap();
    assert_eq!(trial.wait_for_status(RunStatus::PendingRetry).unwrap().attempts("hero"), 1);
    assert_eq!(trial.finish(), RunStatus::Completed, "{:#?}", trial.timeline());
    assert_eq!((trial.attempts("hero"), trial.elapsed()), (4, Duration::from_secs(900)));
}

#[test]
fn requests_are_kept_and_never_sent() {
    let steps = "steps:\n  - id: tell\n    uses: http.request\n    with: {url: https://example.com/x, method: POST, body: {a: 1}}\n";
    let mut trial = kit(steps).mock("tell", Mock::error(ErrorClass::Network).times(1)).start().unwrap();
    assert_eq!(trial.finish(), RunStatus::Completed, "{:#?}", trial.timeline());
    let requests = trial.requests();
    assert_eq!((requests.len(), requests[1].attempt), (2, 2));
    assert_eq!(
        (&requests[1].params["url"], &requests[1].params["body"]),
        (&json!("https://example.com/x"), &json!({"a": 1}))
    );
    assert_eq!(trial.output("tell", "status"), 200);
}

#[test]
fn nobody_runs_out_of_patience_unless_time_is_let_pass() {
    let steps = "steps:\n  - id: paid\n    uses: wait.event\n    timeout: 2h\n    with: {name: payment}\n";
    let waiting = || {
        let mut trial = kit(steps).start().unwrap();
        assert_eq!(trial.run_until_idle(), RunStatus::Waiting, "{:#?}", trial.timeline());
        trial
    };
    let mut in_time = waiting();
    in_time.advance(Duration::from_secs(3_600));
    in_time.signal("payment", json!({"amount": 3})).unwrap();
    assert_eq!((in_time.finish(), in_time.output("paid", "data")), (RunStatus::Completed, json!({"amount": 3})));
    let mut too_late = waiting();
    assert_eq!(too_late.advance(Duration::from_secs(7_201)), RunStatus::Failed);
    assert!(too_late.signal("payment", json!({})).is_err());
}

#[test]
fn mocks_of_no_step_are_refused() {
    let steps = "steps:\n  - id: each\n    for-each: '[1, 2]'\n    uses: noop\n  - uses: sleep\n    with: {for: 1s}\n";
    let refused = |path: &str| kit(steps).mock(path, Mock::timeout()).start().err().map(|error| error.to_string());
    assert_eq!(refused("each[*]"), None);
    assert_eq!(refused("each[2]"), None);
    assert_eq!(
        refused("eahc[*]").unwrap(),
        "the mock of `eahc[*]`: the workflow has no such step; did you mean `each`?"
    );
    assert!(refused("sleep").unwrap().contains("performed by the engine"));
    assert!(refused("each[").unwrap().contains("write the path"));
}

#[test]
fn a_mock_of_one_item_counts_more_than_that_of_all() {
    let steps = "steps:\n  - id: each\n    for-each: '[1, 2, 3]'\n    continue-on-error: true\n    uses: noop\n";
    let mut trial = kit(steps)
        .mock("each[*]", Mock::outputs(json!({"data": "all"})))
        .mock("each[2]", Mock::error(ErrorClass::InvalidInput))
        .start()
        .unwrap();
    assert_eq!(trial.finish(), RunStatus::Completed);
    assert_eq!(trial.step_status("each[2]"), StepStatus::Failed);
    assert_eq!((trial.output("each[1]", "data"), trial.output("each[3]", "data")), (json!("all"), json!("all")));
}

#[test]
fn the_second_of_a_race_begins_only_if_the_first_is_slow() {
    let steps = "steps:\n  - id: hero\n    race:\n      - {uses: image.generate, with: {prompt: a}}\n      - delay: 30s\n        \
                 uses: image.generate\n        with: {prompt: b}\n";
    let raced = |time: u64| {
        let slow = Mock::image(8, 8).takes(Duration::from_secs(time));
        let mut trial = kit(steps).mock("hero[1]", slow).mock("hero[2]", Mock::image(16, 16)).start().unwrap();
        assert_eq!(trial.finish(), RunStatus::Completed, "{:#?}", trial.timeline());
        (trial.output("hero", "winner"), trial.elapsed().as_secs(), trial.attempts("hero[2]"))
    };
    assert_eq!(raced(20), (json!(1), 20, 0));
    assert_eq!(raced(60), (json!(2), 30, 1));
}

#[test]
fn what_was_done_is_undone_when_a_run_is_cancelled_while_it_waits() {
    let step = |id: &str| format!("  - id: {id}\n    uses: noop\n    on-cancel:\n      - {{id: undo, uses: noop}}\n");
    let steps = format!("steps:\n{}{}  - id: ever\n    uses: sleep\n    with: {{for: 300d}}\n", step("a"), step("b"));
    let mut trial = kit(&steps).start().unwrap();
    trial.wait_for_step("ever").unwrap().cancel("enough").unwrap();
    assert_eq!(trial.finish(), RunStatus::Cancelled, "{:#?}", trial.timeline());
    let order = trial.order();
    let began = |step: &str| order.iter().position(|path| path == step);
    assert!(began("b/on-cancel/undo").is_some() && began("b/on-cancel/undo") < began("a/on-cancel/undo"), "{order:?}");
    assert!(trial.elapsed() < DAY);
}
