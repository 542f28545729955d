//! Cut the log: from every commit on, a run that is restored ends as the undisturbed one did.

use crate::world::{World, picture, pictures, plan_of};
use darkroom_engine::{Decision, Event, State, run_document};
use darkroom_proto::{ErrorClass, RunStatus};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// The end of a run: its document without times and tries, and its files.
fn end(world: &World) -> (Value, Vec<(String, String)>) {
    let mut document = serde_json::to_value(run_document(&world.plan, &world.run)).unwrap();
    scrub(&mut document);
    (document, world.files.iter().map(|(path, digest)| (path.clone(), digest.to_string())).collect())
}

fn scrub(value: &mut Value) {
    match value {
        Value::Object(object) => {
            for key in ["created_at", "updated_at", "started_at", "finished_at", "attempts", "until", "at"] {
                object.remove(key);
            }
            object.values_mut().for_each(scrub);
        }
        Value::Array(list) => list.iter_mut().for_each(scrub),
        _ => {}
    }
}

/// Cuts the log of a run after every commit and lets each go on.
fn every_cut(name: &str, mut world: World) {
    let first = world.log.len();
    world.start();
    let mut files = vec![(1, world.files.clone())];
    while world.step() {
        files.push((world.log.len(), world.files.clone()));
    }
    assert!(world.run.head.status.is_terminal(), "{name} hangs");
    let want = end(&world);
    for commits in first..=world.log.len() {
        let mut cut = world.cut(commits);
        let ended: BTreeSet<String> =
            cut.run.steps.iter().filter(|(_, step)| step.state.ended()).map(|(path, _)| path.to_string()).collect();
        let under_way = cut
            .run
            .steps
            .values()
            .filter(|step| matches!(step.state, State::Dispatched | State::Retrying { .. } | State::Waiting { .. }))
            .count();
        // What was written before the cut is still there.
        cut.files =
            files.iter().rev().find(|(at, _)| *at <= commits).map(|(_, files)| files.clone()).unwrap_or_default();
        cut.queue_lost();
        assert!(cut.published.len() >= under_way, "{name} cut at {commits}");
        cut.play();
        assert_eq!(end(&cut), want, "{name} cut at {commits}");
        let twice: Vec<&str> = cut.published_steps().into_iter().filter(|path| ended.contains(*path)).collect();
        assert!(twice.is_empty(), "{name} cut at {commits} does {twice:?} twice");
    }
}

fn catalogue(name: &str) -> String {
    let path = format!("{}/../workflows/{name}.yaml", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn the_catalogue_recovers_from_every_cut() {
    for (name, inputs) in [
        ("logo-fleet", json!({})),
        ("marketing-assets", json!({})),
        ("product-photo", json!({})),
        ("product-photo", json!({"photo": picture("mug.png")})),
        ("web-ready", json!({"images": pictures(12)})),
    ] {
        let plan = plan_of(&catalogue(name));
        every_cut(name, World::of(plan.clone(), inputs.clone(), |_| {}));
        let mut retried = World::of(plan.clone(), inputs.clone(), |_| {});
        let mut all = World::of(plan, inputs, |_| {});
        all.finish();
        for (at, path) in all.dispatched().into_iter().enumerate() {
            retried = retried.fault(&path, at as u32 % 3, ErrorClass::ServerUnavailable);
        }
        every_cut(name, retried);
    }
}

#[test]
fn steps_that_wait_and_are_parked_recover_from_every_cut() {
    for (name, inputs) in [("product-photo", json!({})), ("logo-fleet", json!({}))] {
        let mut waiting = World::of(plan_of(&catalogue(name)), inputs.clone(), |_| {});
        waiting.waits = 3;
        every_cut(name, waiting);
        let mut parked = World::of(plan_of(&catalogue(name)), inputs, |_| {});
        parked.waits = 1;
        for (path, attempts, class) in [
            ("generate", 7, ErrorClass::ServerUnavailable),
            ("variants[2]", 3, ErrorClass::QuotaExceeded),
            ("variants[4]", 99, ErrorClass::InvalidKey),
        ] {
            parked = parked.fault(path, attempts, class);
        }
        every_cut(name, parked);
    }
}

#[test]
fn tolerated_failures_recover_from_every_cut() {
    let images = json!({"images": pictures(12)});
    let plan = plan_of(&catalogue("web-ready"));
    let mut world = World::of(plan, images, |_| {});
    for path in ["each[2]/resize", "each[5]/encode", "each[12]/grayscale"] {
        world = world.fault(path, 99, ErrorClass::UnsupportedFormat);
    }
    every_cut("web-ready", world);
    let world = World::new(&catalogue("logo-fleet")).fault("variants[3]", 99, ErrorClass::Network);
    every_cut("logo-fleet", world);
}

#[test]
fn a_failed_run_ends_as_failed_from_every_cut() {
    for path in ["generate", "detect", "overlay"] {
        every_cut("product-photo", World::new(&catalogue("product-photo")).fault(path, 99, ErrorClass::InvalidInput));
    }
}

#[test]
fn nested_fan_outs_recover_from_every_cut() {
    let text = "steps:
  - {id: a, uses: noop, with: {data: [1, 2, 3]}}
  - id: x
    for-each: steps.a.data
    matrix: {k: [p, q]}
    continue-on-error: true
    max-parallel: 2
    steps:
      - {id: first, if: item != 2, uses: noop, with: {data: '${{ item }}'}}
      - id: y
        for-each: range(item)
        steps:
          - {id: deep, uses: noop, with: {data: '${{ number }}'}}
          - {id: deeper, continue-on-error: true, uses: noop, with: {data: '${{ steps.deep.data }}'}}
      - {id: last, uses: noop, with: {data: '${{ steps.y.results | map(attribute=\"data\") | list }}'}}
  - id: z
    for-each: steps.x.ok
    uses: noop
    with: {data: ['${{ item.data }}', '${{ item.matrix.k }}']}
outputs:
  all: ${{ steps.z.results | map(attribute='data') | list }}
";
    every_cut("nested", World::new(text));
    let world = World::new(text)
        .fault("x[3]/y[1]/deep", 2, ErrorClass::Timeout)
        .fault("x[5]/y[2]/deep", 99, ErrorClass::InvalidInput)
        .fault("x[6]/y[3]/deeper", 99, ErrorClass::InvalidInput)
        .fault("z[2]", 1, ErrorClass::RateLimit);
    every_cut("nested with failures", world);
}

#[test]
fn a_resumed_run_recovers_from_every_cut() {
    let mut world = World::new(&catalogue("marketing-assets")).fault("branded[2]/adjust", 99, ErrorClass::InvalidInput);
    world.finish();
    world.faults.clear();
    let before = world.log.len();
    world.files.clear();
    world.resume(None);
    let want = end(&world);
    for commits in before + 1..=world.log.len() {
        let mut cut = world.cut(commits);
        cut.files.clone_from(&world.files);
        cut.queue_lost();
        cut.play();
        assert_eq!(end(&cut), want, "cut at {commits}");
    }
}

#[test]
fn a_cancelled_run_stays_cancelled_from_every_cut() {
    let mut world = World::new(&catalogue("marketing-assets"));
    world.start();
    for _ in 0..9 {
        world.step();
    }
    let before = world.log.len();
    world.apply(Event::Cancel { reason: "test".into() });
    world.play();
    for commits in before + 1..=world.log.len() {
        let mut cut = world.cut(commits);
        cut.queue_lost();
        cut.play();
        assert_eq!(cut.run_status(), world.run_status());
        assert_eq!(cut.statuses(), world.statuses(), "cut at {commits}");
    }
}

/// Waits of all kinds, and what people do about them: between any two commits the process may die.
#[test]
fn held_steps_recover_from_every_cut() {
    let text = "steps:
  - {id: v, uses: value, with: {value: [1, 2]}}
  - {id: s, uses: sleep, with: {for: 30d}}
  - id: x
    for-each: steps.v.value
    continue-on-error: true
    steps:
      - {id: w, uses: wait.event, timeout: 1h, with: {name: go, filter: data == item}}
      - {id: p, uses: noop, with: {data: '${{ steps.w.data }}'}}
  - {id: ask, uses: human.approve, timeout: 2h, with: {title: 'fine?'}}
  - {id: end, uses: noop, with: {data: ['${{ steps.x.completed }}', '${{ steps.ask.decision }}']}}
";
    every_cut("held", World::new(text));
    let mut early = World::new(text);
    early.signal("go", json!(2));
    every_cut("held, with an event that came first", early);
}

/// A command stays in the inbox until it is applied, so after a crash it may come again: that changes nothing.
#[test]
fn what_people_send_counts_once_whenever_the_process_dies() {
    let text = "steps:
  - id: x
    for-each: range(3)
    uses: wait.event
    with: {name: go, filter: data.number > item}
  - {id: n, uses: noop, with: {data: '${{ steps.x.results | map(attribute=\"data\") | list }}'}}
  - {id: ask, uses: human.approve, with: {title: 'fine?', ask: {why: {type: string}}}}
  - {id: last, uses: wait.event, with: {name: go}}
";
    let signal = |number: u32| Event::Signal {
        key: format!("s{number}"),
        name: "go".into(),
        data: json!({ "number": number }),
        by: "ada".into(),
    };
    let answers = json!({"why": "it is"}).as_object().cloned().unwrap();
    let decision = |key: &str| Decision {
        key: key.into(),
        step: None,
        approved: true,
        answers: answers.clone(),
        choice: None,
        by: "ada".into(),
        note: String::new(),
    };
    let script = [signal(3), signal(2), signal(9), signal(1), Event::Approve(decision("d"))];
    let play = |world: &mut World| {
        for event in &script {
            while !world.queue.is_empty() {
                world.step();
            }
            world.apply(event.clone());
        }
        while !world.queue.is_empty() {
            world.step();
        }
    };
    let mut world = World::new(text);
    world.start();
    play(&mut world);
    assert_eq!(world.run_status(), RunStatus::Completed, "{:?}", world.statuses());
    let want = end(&world);
    for commits in 1..=world.log.len() {
        let mut cut = world.cut(commits);
        cut.queue_lost();
        play(&mut cut);
        assert_eq!(end(&cut), want, "cut at {commits}");
    }
}

#[test]
fn a_paused_run_stays_paused_from_every_cut_and_goes_on_as_if_nothing_had_been() {
    let mut world = World::new(&catalogue("marketing-assets"));
    let mut undisturbed = World::new(&catalogue("marketing-assets"));
    undisturbed.finish();
    world.start();
    for _ in 0..9 {
        world.step();
    }
    let before = world.log.len();
    world.apply(Event::Pause { reason: "test".into() });
    world.play();
    for commits in before + 1..=world.log.len() {
        let mut cut = world.cut(commits);
        cut.queue_lost();
        cut.play();
        assert_eq!(cut.run_status(), RunStatus::Paused, "cut at {commits}");
        cut.apply(Event::Resume { from: None, set: Default::default() });
        cut.play();
        assert_eq!(cut.statuses(), undisturbed.statuses(), "cut at {commits}");
    }
}

const CONTAINERS: &str = "steps:
  - id: hero
    race:
      - {uses: image.generate, with: {prompt: a}}
      - {uses: image.generate, delay: 1h, with: {prompt: b}}
      - steps:
          - {id: p, uses: image.generate, with: {prompt: c}}
          - {id: q, uses: image.grayscale, with: {image: '${{ steps.p.image }}'}}
    on-error: [{id: e, uses: noop}, {id: f, uses: noop, with: {data: '${{ error.message }}'}}]
    on-cancel: [{id: undo, uses: noop}]
  - id: loop
    repeat: {until: steps.loop.data >= 3, max: 4}
    uses: noop
    with: {data: '${{ number }}'}
  - id: shots
    for-each: range(12)
    max-parallel: 3
    stop-when: steps.shots.completed >= 4
    uses: noop
    on-cancel: [{id: undo, uses: noop}]
  - {id: last, uses: noop, with: {data: ['${{ steps.hero.status }}', '${{ steps.loop.count }}']}}
";

#[test]
fn races_branches_and_loops_recover_from_every_cut() {
    every_cut("containers", World::new(CONTAINERS));
    let world = World::new(CONTAINERS).fault("hero[1]", 99, ErrorClass::InvalidInput);
    every_cut("containers with a failed contender", world);
    let mut world = World::new(CONTAINERS);
    for path in ["hero[1]", "hero[2]", "hero[3]/q"] {
        world = world.fault(path, 99, ErrorClass::InvalidInput);
    }
    every_cut("containers with a caught failure", world);
}

#[test]
fn a_compensation_goes_on_from_every_cut() {
    let mut world = World::new(CONTAINERS);
    world.start();
    while world.status("shots") != "completed" {
        world.step();
    }
    let before = world.log.len();
    world.apply(Event::Cancel { reason: "test".into() });
    world.play();
    assert_eq!(world.status("hero/on-cancel/undo"), "completed");
    for commits in before + 1..=world.log.len() {
        let mut cut = world.cut(commits);
        cut.queue_lost();
        cut.play();
        assert_eq!(cut.run_status(), world.run_status());
        assert_eq!(cut.statuses(), world.statuses(), "cut at {commits}");
    }
}

#[test]
fn tasks_recover_from_every_cut() {
    let text = "steps:
  - {id: a, uses: task.first, with: {n: 1}}
  - {id: x, for-each: '[1, 2, 3]', continue-on-error: true, uses: task.second, with: {n: '${{ item }}'}}
  - {id: b, uses: noop, with: {data: ['${{ steps.x.completed }}', '${{ steps.a.image.name }}']}}
";
    every_cut("tasks", World::new(text));
    let world = World::new(text).fault("a", 2, ErrorClass::Timeout).fault("x[2]", 99, ErrorClass::InvalidInput);
    every_cut("tasks that fail", world);
}
