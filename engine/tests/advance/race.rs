//! Races, and fan-outs that stop when they have enough.

use crate::world::{World, error, plan_of, report};
use darkroom_engine::{Event, What};
use darkroom_proto::{ErrorClass, Money, Outcome, RunStatus, StepCost};
use serde_json::json;

const TWO: &str = "
steps:
- id: hero
  race:
  - uses: noop
    with: { data: first }
  - uses: noop
    with: { data: second }
- uses: noop
  id: after
  with: { data: '${{ steps.hero.data }} of ${{ steps.hero.winner }}' }
";

const PAID: &str = "
steps:
- id: hero
  race:
  - uses: image.generate
    with: { model: fal/flux-pro, prompt: a }
  - uses: image.generate
    with: { model: replicate/flux-pro, prompt: b }
- uses: image.resize
  with: { image: '${{ steps.hero.image }}', width: 10 }
";

const HEDGE: &str = "
steps:
- id: hero
  race:
  - uses: noop
    with: { data: first }
  - delay: 10s
    uses: noop
    with: { data: second }
";

#[test]
fn the_first_success_wins_and_gives_the_outputs() {
    let mut world = World::new(TWO);
    world.start();
    assert_eq!(world.queued(), ["hero[1]", "hero[2]"]);
    world.answer_of("hero[2]");
    assert_eq!(world.get("hero").outputs.get("winner"), Some(&json!(2)));
    // The loser is with a worker: what follows does not wait for it.
    assert_eq!(world.queued(), ["hero[1]", "after"]);
    world.answer_of("after");
    assert_eq!(world.data("after"), json!("second of 2"));
    assert_eq!(world.run_status(), RunStatus::Running, "the loser is with a worker");
    world.answer_of("hero[1]");
    assert_eq!((world.status("hero[1]"), world.run_status()), ("cancelled", RunStatus::Completed));
}

#[test]
fn the_failure_of_a_contender_is_no_failure_of_the_run() {
    let mut world = World::new(TWO).fault("hero[1]", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!((world.status("hero[1]"), world.run.head.tolerated), ("failed", 0));
    assert_eq!(world.data("after"), json!("second of 2"));
}

#[test]
fn a_race_that_nobody_wins_fails_with_all_causes() {
    let mut world = World::new(TWO).fault("hero[1]", 9, ErrorClass::InvalidInput);
    world = world.fault("hero[2]", 9, ErrorClass::ContentRejected);
    world.finish();
    let (path, message) = world.failure();
    assert_eq!((path.as_str(), message), ("hero", "every contender failed: 1: scripted; 2: scripted"));
    assert_eq!(world.get("hero").error.as_ref().map(|error| error.class), Some(ErrorClass::ContentRejected));
    assert_eq!(world.status("after"), "pending");
}

#[test]
fn a_delayed_contender_begins_late_and_not_at_all_once_somebody_won() {
    let mut quick = World::new(HEDGE);
    quick.finish();
    assert_eq!(quick.dispatched(), ["hero[1]"]);

    let mut slow = World::new(HEDGE);
    slow.start();
    let first = slow.take_of("hero[1]");
    let began = slow.now;
    assert!(slow.let_timer_run());
    assert_eq!(slow.queued(), ["hero[2]"]);
    assert!(slow.now.since(began).0 >= 9_900);
    slow.answer_of("hero[2]");
    let late = slow.work_on(&first);
    slow.apply(Event::Report(late));
    assert_eq!((slow.status("hero[1]"), slow.run_status()), ("cancelled", RunStatus::Completed));
}

#[test]
fn a_delay_ends_when_all_that_have_begun_have_failed() {
    let mut world = World::new(HEDGE);
    world.start();
    let began = world.now;
    world.fail_of("hero[1]", ErrorClass::InvalidInput);
    assert_eq!(world.queued(), ["hero[2]"]);
    assert!(world.now.since(began).0 < 1_000);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_delay_survives_a_restart() {
    let mut world = World::new(HEDGE);
    world.start();
    let first = world.take_of("hero[1]");
    world.reload();
    assert!(world.let_timer_run());
    assert_eq!(world.queued(), ["hero[2]"]);
    let report = world.work_on(&first);
    world.apply(Event::Report(report));
    assert_eq!(world.get("hero").outputs.get("winner"), Some(&json!(1)));
}

#[test]
fn the_job_of_a_loser_is_asked_for_at_once_and_nothing_more_is_paid_for_it() {
    let mut world = World::new(PAID);
    world.start();
    let first = world.take_of("hero[1]");
    let waits = world.wait_for(&first, true);
    world.apply(Event::Report(waits));
    world.published.clear();
    world.answer_of("hero[2]");
    assert!(world.published.contains(&"hero[1]@1.1".to_owned()), "{:?}", world.published);
    assert!(world.voided.iter().any(|(path, _)| path.as_str() == "hero[1]"));
    // The worker cancels it at the provider and says so; it had cost something.
    let mut closed = report(&first, Outcome::Failed(error(ErrorClass::Cancelled)));
    closed.cost = StepCost { spent: Money::from_usd(0.04), possible_duplicates: 0 };
    world.queue.retain(|queued| queued.message.path.as_str() != "hero[1]");
    world.apply(Event::Report(closed));
    world.play();
    assert_eq!((world.status("hero[1]"), world.run_status()), ("cancelled", RunStatus::Completed));
    assert_eq!(world.get("hero[1]").cost.spent, Money::from_usd(0.04));
    assert_eq!(world.run.head.spent, Money::from_usd(0.04));
    let told = world.events.iter().any(|event| {
        matches!(&event.what, What::StepCancelled { step, spent } if step.as_str() == "hero[1]" && spent.usd() > 0.0)
    });
    assert!(told, "the sunk cost is told");
}

#[test]
fn contenders_with_steps_race_too() {
    let mut world = World::new(
        "
steps:
- id: hero
  race:
  - steps:
    - { uses: noop, id: a, with: { data: 1 } }
    - { uses: noop, id: b, with: { data: '${{ steps.a.data + 1 }}' } }
  - uses: noop
    with: { data: 7 }
outputs: { given: '${{ steps.hero.data }}' }
",
    );
    world.start();
    world.answer_of("hero[1]/a");
    world.answer_of("hero[1]/b");
    assert_eq!(world.status("hero[1]"), "completed");
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.run.head.outputs.get("given"), Some(&json!(2)));
    assert_eq!(world.status("hero[2]"), "cancelled");
}

#[test]
fn a_race_is_resumed_with_what_failed_in_it_and_a_won_one_is_kept() {
    let mut lost = World::new(TWO).fault("hero[1]", 9, ErrorClass::InvalidInput);
    lost = lost.fault("hero[2]", 9, ErrorClass::InvalidInput);
    lost.finish();
    lost.faults.clear();
    lost.resume(None);
    assert_eq!((lost.run_status(), lost.run.head.tolerated), (RunStatus::Completed, 0));

    let mut won = World::new(TWO).fault("after", 9, ErrorClass::InvalidInput);
    won.finish();
    won.faults.clear();
    won.resume(None);
    assert_eq!(won.published_steps(), ["after"]);
    won.resume(Some("hero[2]"));
    assert_eq!(won.published_steps(), ["hero[1]", "hero[2]", "after"]);
}

#[test]
fn a_resumed_race_keeps_its_delays() {
    let mut world = World::new(HEDGE).fault("hero[1]", 9, ErrorClass::InvalidInput);
    world = world.fault("hero[2]", 9, ErrorClass::InvalidInput);
    world.finish();
    world.faults.clear();
    world.resume(None);
    assert_eq!(world.published_steps(), ["hero[1]"], "the hedge is not needed");
    assert_eq!(world.run_status(), RunStatus::Completed);
}

#[test]
fn a_fan_out_stops_when_it_has_enough() {
    let mut world = World::new(
        "
steps:
- id: shots
  for-each: range(20)
  stop-when: steps.shots.completed >= 3
  uses: noop
  with: { data: '${{ item }}' }
- uses: noop
  id: after
  with: { data: '${{ steps.shots.ok | length }}' }
",
    );
    world.finish();
    assert_eq!((world.run_status(), world.status("shots")), (RunStatus::Completed, "completed"));
    assert_eq!(world.data("after"), json!(3));
    let counts = world.get("shots").fan.clone().unwrap();
    assert_eq!((counts.completed, counts.open), (3, 0));
    assert!(world.dispatched().len() < 21, "the others were never begun");
}

#[test]
fn what_only_some_contenders_give_is_no_output_of_the_race() {
    let text = "workflow: t\nsteps:\n- id: hero\n  race:\n  - { uses: noop, with: { data: 1 } }\n  - { uses: image.generate, with: { prompt: a } }\noutputs: { x: '${{ steps.hero.image }}' }\n";
    let errors = darkroom_engine::compile(&darkroom_engine::Source::new("t.yaml", text)).unwrap_err();
    assert!(errors[0].message.contains("not every contender of `hero` gives `image`"), "{errors:?}");
    plan_of(TWO);
}
