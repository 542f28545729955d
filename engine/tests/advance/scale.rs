//! Work grows with the number of items and no faster. Counted, not timed; `--nocapture` prints the times.

use crate::world::World;
use darkroom_engine::Event;
use darkroom_proto::{Duration, ErrorClass, RunStatus};
use std::time::Instant;

/// Plays first come first served without looking for the earliest, which the queue of this world is slow at.
fn run(name: &str, text: &str, items: usize, bad: bool) -> usize {
    let mut world = World::new(text);
    world.checks = false;
    world.run.divide_over(u32::MAX);
    if bad {
        for number in 1..=items {
            world = world.fault(&format!("x[{number}]"), 9, ErrorClass::InvalidInput);
        }
    }
    let began = Instant::now();
    play(&mut world);
    println!("{name} {items}: {:?}, {} units of work", began.elapsed(), world.work);
    world.work
}

fn play(world: &mut World) {
    world.start();
    let mut next = 0;
    while next < world.queue.len() {
        let message = world.queue[next].message.clone();
        next += 1;
        world.now = world.now.after(Duration(1));
        let report = world.work_on(&message);
        world.apply(Event::Report(report));
    }
    assert_eq!(world.run_status(), RunStatus::Completed);
}

fn fan(items: usize) -> String {
    format!("steps:\n  - id: x\n    for-each: range({items})\n    continue-on-error: true\n    uses: noop\n")
}

#[test]
fn ten_times_the_items_are_ten_times_the_work() {
    let small = run("items", &fan(1_000), 1_000, false);
    let large = run("items", &fan(10_000), 10_000, false);
    assert!(small <= 12 * 1_000, "{small}");
    assert!(large <= 10 * small + 100, "{large}");
}

#[test]
fn failing_items_are_no_more_work() {
    let large = run("failing items", &fan(10_000), 10_000, true);
    assert!(large <= 12 * 10_000, "{large}");
}

#[test]
fn beginning_many_failed_items_again_is_no_more_work() {
    let mut world = World::new(&fan(5_000));
    world.checks = false;
    world.run.divide_over(u32::MAX);
    for number in 1..=5_000 {
        world = world.fault(&format!("x[{number}]"), 9, ErrorClass::InvalidInput);
    }
    play(&mut world);
    world.faults.clear();
    (world.work, world.queue) = (0, Vec::new());
    let began = Instant::now();
    world.apply(Event::Resume { from: None, set: Default::default() });
    play(&mut world);
    println!("5000 items again: {:?}, {} units of work", began.elapsed(), world.work);
    assert!(world.work <= 14 * 5_000, "{}", world.work);
    assert_eq!(world.get("x").fan.as_ref().map(|fan| (fan.completed, fan.failed)), Some((5_000, 0)));
}

#[test]
fn items_with_a_body_are_work_for_each_step() {
    let body = |items| {
        format!(
            "steps:\n  - id: x\n    for-each: range({items})\n    steps:\n      - uses: noop\n      - uses: noop\n      - uses: noop\n"
        )
    };
    let large = run("items with 3 steps", &body(10_000), 10_000, false);
    assert!(large <= 3 * 12 * 10_000, "{large}");
}

#[test]
fn a_long_list_of_steps_is_work_for_each_step() {
    let steps: String = std::iter::repeat_n("  - uses: noop\n", 1_000).collect();
    let work = run("steps in a row", &format!("steps:\n{steps}"), 1_000, false);
    assert!(work <= 12 * 1_000, "{work}");
}
