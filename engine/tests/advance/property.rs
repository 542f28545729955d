//! Whatever the network reorders, repeats or delays.

use crate::world::{Dice, World, plan_of};
use darkroom_engine::plan::Plan;
use darkroom_engine::{Event, Happened, Head, State, Step, What, parked};
use darkroom_proto::{ErrorClass, Report, StepPath};
use proptest::prelude::*;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, LazyLock};

const FLOWS: [&str; 10] = [
    "steps:\n  - {id: a, uses: noop}\n  - parallel:\n      - {id: b, uses: noop, continue-on-error: true}\n      - {id: c, uses: noop}\n      - {id: d, uses: noop}\n  - {id: e, uses: noop, with: {data: '${{ steps.b.data }}'}}\n  - {id: f, needs: [a], uses: noop}\n",
    "steps:\n  - id: x\n    for-each: range(30)\n    tolerate: 2\n    max-parallel: 5\n    uses: noop\n  - {id: e, uses: noop, with: {data: '${{ steps.x.completed }}'}}\n",
    "steps:\n  - id: x\n    for-each: range(4)\n    continue-on-error: true\n    steps:\n      - {id: p, uses: noop}\n      - id: y\n        matrix: {k: [1, 2, 3]}\n        steps:\n          - {id: q, uses: noop}\n          - {id: r, uses: noop, continue-on-error: true}\n      - {id: s, uses: noop}\n  - {id: e, uses: noop, with: {data: '${{ steps.x.completed }}'}}\n",
    "steps:\n  - id: x\n    for-each: range(6)\n    steps:\n      - id: y\n        for-each: range(4)\n        tolerate: 1\n        uses: noop\n      - {id: s, uses: noop}\n  - parallel:\n      - {id: f, for-each: range(3), uses: noop}\n      - {id: g, uses: noop}\n",
    "steps:\n  - {id: a, uses: image.generate, with: {prompt: mug}}\n  - id: x\n    for-each: range(12)\n    tolerate: 3\n    uses: image.generate\n    with: {prompt: 'mug ${{ item }}'}\n  - {id: b, uses: image.grayscale, with: {image: '${{ steps.a.image }}'}}\n",
    "steps:\n  - id: x\n    for-each: range(5)\n    continue-on-error: true\n    steps:\n      - {id: p, uses: image.generate, with: {prompt: mug}}\n      - id: y\n        for-each: range(3)\n        tolerate: 1\n        uses: image.generate\n        with: {prompt: cup}\n      - {id: s, uses: image.detect, with: {image: '${{ steps.p.image }}'}}\n  - {id: e, uses: noop, with: {data: '${{ steps.x.completed }}'}}\n",
    "steps:\n  - {id: v, uses: value, with: {value: [1, 2, 3]}}\n  - id: x\n    for-each: steps.v.value\n    continue-on-error: true\n    steps:\n      - {id: p, uses: image.generate, with: {prompt: mug}}\n      - {id: w, uses: wait.event, timeout: 1h, with: {name: go, filter: data == item}}\n      - {id: q, uses: noop}\n  - {id: e, uses: noop, with: {data: '${{ steps.x.completed }}'}}\n",
    "steps:\n  - {id: a, uses: noop, on-cancel: [{id: u, uses: noop}]}\n  - id: h\n    race:\n      - {uses: image.generate, with: {prompt: a}}\n      - {uses: image.generate, delay: 2s, with: {prompt: b}}\n      - steps:\n          - {id: p, uses: image.generate, with: {prompt: c}}\n          - {id: q, uses: image.grayscale, with: {image: '${{ steps.p.image }}'}}\n    on-error: [{id: e, uses: image.generate, with: {prompt: d}}]\n  - {id: z, uses: noop, with: {data: '${{ steps.h.winner }}'}}\n",
    "steps:\n  - id: x\n    for-each: range(8)\n    tolerate: 3\n    stop-when: steps.x.completed >= 3\n    on-error: [{id: e, uses: noop}, {then: fail}]\n    steps:\n      - id: r\n        race: [{uses: image.generate, with: {prompt: a}}, {uses: image.generate, with: {prompt: b}}]\n        on-cancel: [{id: u, uses: noop}]\n      - {id: s, uses: noop, on-timeout: [{id: t, uses: noop}]}\n  - {id: z, uses: noop}\n",
    "steps:\n  - id: l\n    repeat: {until: steps.b.data >= 3, max: 5}\n    on-error: [{id: e, for-each: range(3), uses: noop}]\n    steps:\n      - {id: a, uses: noop, with: {data: '${{ number }}'}}\n      - {id: b, uses: noop, with: {data: '${{ steps.a.data or 0 }}'}, on-error: [{id: c, uses: noop, with: {data: '${{ number }}'}}]}\n  - {id: z, uses: noop, with: {data: '${{ steps.l.count }}'}}\n",
];

/// The first of them end alike, whatever comes first: nothing in them races.
const ORDERED: usize = 7;

static PLANS: LazyLock<Vec<Arc<Plan>>> = LazyLock::new(|| FLOWS.iter().map(|text| plan_of(text)).collect());

/// How wild a run is: which faults, how often reports are repeated, whether messages are lost, whether it is cancelled.
#[derive(Debug, Clone)]
struct Weather {
    flow: usize,
    seed: u64,
    faults: u32,
    repeats: usize,
    losses: u32,
    /// How often a message waits, one in how many; 0: never.
    waits: usize,
    cancel_at: Option<usize>,
    /// Whether it is paused now and then, and gets events.
    visited: bool,
    resumes: u32,
}

fn weather() -> impl Strategy<Value = Weather> {
    let losses_and_waits = (0..3u32, 0..4usize);
    (
        0..FLOWS.len(),
        any::<u64>(),
        0..6u32,
        0..4usize,
        losses_and_waits,
        (prop::option::weighted(0.3, 0..60usize), any::<bool>()),
        0..3u32,
    )
        .prop_map(|(flow, seed, faults, repeats, (losses, waits), (cancel_at, visited), resumes)| Weather {
            flow,
            seed,
            faults,
            repeats,
            losses,
            waits,
            cancel_at,
            visited,
            resumes,
        })
}

/// Plays a run in this weather to its end.
fn play(weather: &Weather) -> World {
    let mut world = World::of(PLANS[weather.flow].clone(), json!({}), |_| {});
    let mut dice = Dice(weather.seed);
    let mut all = World::of(PLANS[weather.flow].clone(), json!({}), |_| {});
    all.checks = false;
    let paths = all.finish().dispatched();
    for _ in 0..weather.faults {
        let path = &paths[dice.below(paths.len())];
        let (attempts, class) = [
            (1, ErrorClass::Network),
            (2, ErrorClass::Timeout),
            (9, ErrorClass::InvalidInput),
            (9, ErrorClass::ServerUnavailable),
            (2, ErrorClass::QuotaExceeded),
            (99, ErrorClass::InvalidKey),
        ][dice.below(6)];
        world = world.fault(path, attempts, class);
    }
    world.start();
    for round in 0..=weather.resumes {
        if round > 0 {
            world.reload();
            let from = (dice.below(2) == 0).then(|| paths[dice.below(paths.len())].parse().unwrap());
            world.apply(Event::Resume { from, set: Default::default() });
        }
        storm(&mut world, &mut dice, weather);
    }
    world
}

fn storm(world: &mut World, dice: &mut Dice, weather: &Weather) {
    let mut reports: Vec<Report> = Vec::new();
    let (mut losses, mut steps) = (weather.losses, 0);
    loop {
        steps += 1;
        assert!(steps < 20_000, "it goes on for ever");
        if weather.cancel_at == Some(steps) {
            world.apply(Event::Cancel { reason: "storm".into() });
        }
        if weather.visited && dice.below(25) == 0 {
            match dice.below(3) {
                0 => drop(world.apply(Event::Pause { reason: "storm".into() })),
                1 if world.run.head.paused.is_some() => drop(world.apply(unpause())),
                _ => drop(world.signal("go", json!(dice.below(4)))),
            }
            continue;
        }
        if losses > 0 && dice.below(40) == 0 {
            losses -= 1;
            world.reload();
            // Some messages are lost, some come all the same.
            world.queue.retain(|_| dice.below(2) == 0);
            world.queue_lost();
            continue;
        }
        if dice.below(30) == 0 {
            // A key got better: some of what is parked is tried before its time.
            let ready = parked(&world.plan, &world.run).into_iter().filter(|_| dice.below(2) == 0);
            let ready = ready.map(|step| step.path).collect();
            world.apply(Event::Looked { lost: BTreeSet::new(), ready });
            continue;
        }
        match (world.queue.len(), reports.len()) {
            (0, 0) => {
                if world.let_timer_run() {
                    continue;
                }
                let seed = dice.below(usize::MAX) as u64;
                if world.run.head.paused.is_some() {
                    world.apply(unpause());
                } else if !world.check_parked(|step| Dice(seed ^ step.path.as_str().len() as u64).below(3) > 0)
                    && !world.let_time_pass()
                {
                    return;
                }
            }
            (0, count) => {
                let report = reports.swap_remove(dice.below(count));
                world.apply(Event::Report(report));
            }
            (waiting, count) if count == 0 || dice.below(2) == 0 => {
                let message = world.take_at(dice.below(waiting));
                let report = match weather.waits {
                    0 => world.work_on(&message),
                    waits if dice.below(waits + 1) == 0 => world.work_on(&message),
                    _ => world.wait_for(&message, dice.below(2) == 0),
                };
                reports.extend(std::iter::repeat_n(report, 1 + dice.below(weather.repeats + 1)));
            }
            (_, count) => {
                let report = reports.swap_remove(dice.below(count));
                world.apply(Event::Report(report));
            }
        }
    }
}

fn unpause() -> Event {
    Event::Resume { from: None, set: Default::default() }
}

/// How often each step ended in each round between resumes; a pause begins no round.
fn ends(events: &[Happened]) -> BTreeMap<(usize, StepPath), u32> {
    let mut ends = BTreeMap::new();
    let (mut round, mut is_paused) = (0, false);
    for event in events {
        match &event.what {
            What::RunPaused { .. } => is_paused = true,
            What::RunCancelled { .. } | What::RunCompleted { .. } | What::RunFailed { .. } => is_paused = false,
            What::RunResumed { .. } if is_paused => is_paused = false,
            What::RunResumed { .. } => round += 1,
            What::StepCompleted { step, .. } | What::StepFailed { step, .. } | What::StepSkipped { step, .. } => {
                *ends.entry((round, step.clone())).or_insert(0) += 1;
            }
            _ => {}
        }
    }
    ends
}

fn stored(world: &World) -> (Head, BTreeMap<StepPath, Step>) {
    (world.run.head.clone(), world.run.steps.clone())
}

proptest! {
    /// Nothing ends twice, nothing hangs, and the counters are right (the world checks them after every event).
    #[test]
    fn every_step_ends_at_most_once_and_every_run_ends(weather in weather()) {
        let world = play(&weather);
        prop_assert!(world.run.head.status.is_terminal(), "{:?}", world.statuses());
        for ((round, step), times) in ends(&world.events) {
            prop_assert!(times == 1, "{step} ended {times} times in round {round}");
        }
        let over = |event: &&Happened| matches!(event.what, What::RunCompleted { .. } | What::RunFailed { .. } | What::RunCancelled { .. });
        prop_assert_eq!(world.events.iter().filter(over).count() as u32, weather.resumes + 1);
    }

    /// A race has one winner at most, and what it left behind has ended otherwise than well before the run has.
    #[test]
    fn a_race_has_one_winner_and_every_loser_ends(weather in weather(), flow in ORDERED..FLOWS.len()) {
        let world = play(&Weather { flow, ..weather });
        for (path, step) in &world.run.steps {
            let Some(fan) = &step.fan else { continue };
            let Some(winner) = fan.winner else { continue };
            prop_assert_eq!(step.state, State::Completed);
            for number in (1..=fan.total).filter(|number| *number != winner) {
                let loser = world.run.step(&path.instance(number)).map(|step| step.state);
                prop_assert!(matches!(loser, None | Some(State::Cancelled | State::Failed)), "{path}[{number}]: {loser:?}");
            }
        }
    }

    /// The same events at the same times give the same run, the same events and the same messages.
    #[test]
    fn the_same_events_give_the_same_run(weather in weather()) {
        let (one, other) = (play(&weather), play(&weather));
        prop_assert_eq!(stored(&one), stored(&other));
        prop_assert_eq!(one.events, other.events);
        prop_assert_eq!(one.published, other.published);
    }

    /// Without failures the order of reports changes nothing that is left at the end.
    #[test]
    fn the_order_of_reports_does_not_matter(flow in 0..ORDERED, seed in any::<u64>(), repeats in 0..4usize, losses in 0..3u32, waits in 0..3usize) {
        let calm = Weather { flow, seed, faults: 0, repeats, losses, waits, cancel_at: None, visited: false, resumes: 0 };
        let world = play(&calm);
        let mut ordered = World::of(PLANS[flow].clone(), json!({}), |_| {});
        ordered.finish();
        prop_assert_eq!(world.statuses(), ordered.statuses());
        prop_assert_eq!(world.outputs(), ordered.outputs());
    }
}
