//! Notices: who is told what, and how often.

use crate::world::{World, path};
use darkroom_engine::{Effect, Event, Notice, NoticeKind};
use darkroom_proto::{Act, ErrorClass, RunStatus};

fn told(world: &World) -> Vec<(NoticeKind, Act, &str, ErrorClass)> {
    world.notices.iter().map(|notice| (notice.kind, notice.to, notice.step.as_str(), notice.class)).collect()
}

#[test]
fn who_is_told_of_a_failed_run_follows_from_the_class() {
    for class in ErrorClass::ALL {
        let text = "steps:\n  - {id: a, uses: noop, retry: {attempts: 1, errors: []}}\n";
        let mut world = World::new(text).fault("a", 99, class);
        world.finish();
        if world.run_status() != RunStatus::Failed {
            continue;
        }
        let want = match class.act() {
            _ if class == ErrorClass::Cancelled => vec![],
            Act::Nobody => vec![(NoticeKind::RunFailed, Act::User, "a", class)],
            act => vec![(NoticeKind::RunFailed, act, "a", class)],
        };
        assert_eq!(told(&world), want, "{class}");
    }
}

#[test]
fn a_run_tells_each_of_its_troubles_once_however_many_items_have_it() {
    let text = "steps:\n  - {id: x, for-each: range(50), continue-on-error: true, uses: noop}\n";
    let mut world = World::new(text);
    for number in 1..=40 {
        let class = if number % 2 == 0 { ErrorClass::InvalidInput } else { ErrorClass::ContentRejected };
        world = world.fault(&format!("x[{number}]"), 99, class);
    }
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Completed);
    let mut troubles: Vec<(NoticeKind, ErrorClass)> = told(&world).into_iter().map(|told| (told.0, told.3)).collect();
    troubles.sort();
    assert_eq!(
        troubles,
        [(NoticeKind::StepFailed, ErrorClass::ContentRejected), (NoticeKind::StepFailed, ErrorClass::InvalidInput),]
    );
}

#[test]
fn what_a_race_or_a_branch_takes_care_of_is_not_told() {
    let text = "steps:\n  - id: hero\n    race:\n      - {uses: noop}\n      - {uses: noop}\n  - id: caught\n    uses: noop\n    on-error:\n      - {id: mend, uses: noop}\n";
    let mut world =
        World::new(text).fault("hero[1]", 99, ErrorClass::InvalidInput).fault("caught", 99, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(told(&world), []);
}

#[test]
fn a_resumed_run_tells_its_troubles_again() {
    let mut world = World::new("steps:\n  - {id: a, uses: noop}\n").fault("a", 99, ErrorClass::InvalidInput);
    world.finish();
    world.apply(Event::Resume { from: None, set: serde_json::Map::new() });
    world.finish();
    assert_eq!(world.notices.len(), 2);
    assert_ne!(world.notices[0].generation, world.notices[1].generation);
}

#[test]
fn a_notice_that_was_committed_and_not_given_is_given_by_the_next_owner_also_of_a_run_that_has_ended() {
    let mut world = World::new("steps:\n  - {id: a, uses: noop}\n").fault("a", 99, ErrorClass::InvalidInput);
    world.finish();
    let notice: Notice = world.notices[0].clone();
    let event = Event::Unperformed { steps: [path("a")].into(), notices: vec![notice.clone()] };
    let change = world.apply(event);
    assert_eq!(change.effects, [Effect::Notify(Box::new(notice))]);
}

#[test]
fn a_notice_has_nothing_of_what_the_step_was_given_and_is_short() {
    let text = "steps:\n  - {id: a, uses: noop, with: {data: TOP-SECRET}}\n";
    let mut world = World::new(text);
    let mut error = crate::world::error(ErrorClass::InvalidInput);
    error.message = "é".repeat(10_000);
    world.faults.insert("a".to_owned(), (99, error));
    world.finish();
    let notice = serde_json::to_string(&world.notices[0]).unwrap();
    assert!(!notice.contains("TOP-SECRET"));
    assert_eq!(world.notices[0].message.chars().count(), 501);
}
