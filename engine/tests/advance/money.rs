//! What steps cost, what a run may cost, and in which life of the store messages were sent.

use crate::world::{World, error, path, report};
use darkroom_engine::{Event, What, run_document};
use darkroom_proto::{ErrorClass, Money, Outcome, Report, RunStatus, StepCost, StepMessage};
use std::collections::BTreeSet;
use std::sync::Arc;

const ONE: &str = "budget: 1.50 USD\nsteps:\n  - {id: a, uses: image.generate, with: {prompt: mug}}\n  \
                   - {id: gray, uses: image.grayscale}\n";

fn cost(cents: u64, possible_duplicates: u32) -> StepCost {
    StepCost { spent: Money(cents * 10_000), possible_duplicates }
}

fn with_cost(report: Report, cents: u64, possible_duplicates: u32) -> Event {
    Event::Report(Report { cost: cost(cents, possible_duplicates), ..report })
}

fn failed(message: &StepMessage) -> Report {
    report(message, Outcome::Failed(error(ErrorClass::Network)))
}

#[test]
fn what_a_step_costs_is_counted_once_however_often_it_is_reported() {
    let mut world = World::new(ONE);
    world.start();
    let first = world.take_of("a");
    for _ in 0..3 {
        world.apply(with_cost(failed(&first), 4, 1));
    }
    let second = world.take_of("a");
    let done = world.work_on(&second);
    world.apply(with_cost(done.clone(), 12, 1));
    world.apply(with_cost(failed(&first), 4, 1));
    assert_eq!(world.get("a").cost, cost(12, 1));
    assert_eq!((world.run.head.spent, world.run.head.possible_duplicates), (Money(120_000), 1));
    let told = world.events.iter().find_map(|event| match &event.what {
        What::StepCompleted { cost, .. } => Some(*cost),
        _ => None,
    });
    assert_eq!(told, Some(cost(12, 1)));
    let document = run_document(&world.plan, &world.run);
    assert_eq!((document.steps[0].cost, document.cost.spent, document.cost.possible_duplicates), (0.12, 0.12, 1));
}

#[test]
fn a_step_that_is_done_anew_is_paid_anew_and_what_was_paid_stays_counted() {
    let mut world = World::new(ONE);
    world.start();
    let message = world.take_of("a");
    let done = world.work_on(&message);
    world.apply(with_cost(done, 4, 0));
    world.play();
    world.apply(Event::Resume { from: Some(path("a")), set: Default::default() });
    let message = world.take_of("a");
    assert_eq!(world.get("a").cost, StepCost::default());
    let done = world.work_on(&message);
    world.apply(with_cost(done, 4, 0));
    world.play();
    assert_eq!((world.get("a").cost, world.run.head.spent), (cost(4, 0), Money(80_000)));
}

#[test]
fn what_was_paid_is_counted_although_the_step_or_the_run_has_ended() {
    let mut world = World::new(ONE);
    world.start();
    let message = world.take_of("a");
    let done = world.work_on(&message);
    world.apply(Event::Report(done.clone()));
    let change = world.apply(with_cost(done.clone(), 4, 0));
    assert_eq!(change.steps, BTreeSet::from([path("a")]), "it is stored");
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    world.apply(with_cost(done.clone(), 9, 0));
    assert_eq!(world.run.head.spent, Money(90_000));
    assert!(world.apply(with_cost(done, 9, 0)).is_empty());
}

#[test]
fn a_fan_out_costs_what_its_instances_cost() {
    let text = "steps:\n  - id: x\n    for-each: range(3)\n    steps:\n      - {id: p, uses: image.generate, with: {prompt: mug}}\n";
    let mut world = World::new(text);
    world.start();
    for _ in 0..2 {
        let message = world.take().unwrap();
        let done = world.work_on(&message);
        world.apply(with_cost(done, 4, 0));
    }
    let document = run_document(&world.plan, &world.run);
    assert_eq!((document.steps[0].cost, document.steps[0].steps[0].cost), (0.08, 0.04));
}

#[test]
fn a_budget_travels_with_what_may_be_paid_and_a_new_message_says_in_which_life_of_the_store_it_was_sent() {
    let mut world = World::new(ONE);
    let lives: Vec<Arc<str>> = vec!["one".into(), "two".into()];
    world.run.store_lives(Some(&lives[0]));
    world.start();
    let first = world.take_of("a");
    assert_eq!((first.budget, first.epoch.as_deref()), (Some(Money(1_500_000)), Some("one")));
    world.reload();
    world.run.store_lives(Some(&lives[1]));
    world.queue_lost();
    let again = world.take_of("a");
    assert_eq!((again.attempt, again.epoch.as_deref()), (1, Some("one")), "it was sent in an earlier life");
    world.apply(Event::Report(failed(&again)));
    let second = world.take_of("a");
    assert_eq!((second.attempt, second.epoch.as_deref()), (2, Some("two")));
    let done = world.work_on(&second);
    world.apply(Event::Report(done));
    let here = world.take_of("gray");
    assert_eq!((here.budget, here.epoch), (None, None), "what runs on this machine is not paid");
}
