//! Fan-outs: their order, limits, tolerance and values.

use crate::world::{World, path, picture, pictures};
use darkroom_engine::{Event, OnError, Only, What};
use darkroom_proto::{ErrorClass, RunStatus};
use serde_json::{Value, json};

/// The fan-out fails at the instances that `bad` names.
fn flow(keys: &str, items: u32) -> String {
    format!(
        "steps:\n  - id: x\n    for-each: range({items})\n{keys}    uses: noop\n    with: {{data: '${{{{ item }}}}'}}\n  - {{id: after, uses: noop, with: {{data: ['${{{{ steps.x.total }}}}', '${{{{ steps.x.completed }}}}', '${{{{ steps.x.skipped }}}}', '${{{{ steps.x.failed }}}}']}}}}\n"
    )
}

fn with_bad(text: &str, bad: &[u32]) -> World {
    let mut world = World::new(text);
    for number in bad {
        world = world.fault(&format!("x[{number}]"), 9, ErrorClass::InvalidInput);
    }
    world
}

#[test]
fn items_are_outermost_and_the_first_key_of_a_matrix_is_slowest() {
    let mut world = World::new(
        "steps:\n  - id: x\n    for-each: [a, b]\n    matrix: {m: [1, 2], n: [p, q]}\n    uses: noop\n    with: {data: '${{ item }}${{ matrix.m }}${{ matrix.n }} ${{ index }} ${{ number }}'}\n",
    );
    world.finish();
    let data: Vec<Value> = (1..=8).map(|number| world.data(&format!("x[{number}]"))).collect();
    assert_eq!(
        json!(data),
        json!(["a1p 0 1", "a1q 0 1", "a2p 0 1", "a2q 0 1", "b1p 1 2", "b1q 1 2", "b2p 1 2", "b2q 1 2"])
    );
    assert_eq!(world.dispatched()[..3], ["x[1]", "x[2]", "x[3]"]);
}

#[test]
fn a_fan_out_gives_results_ok_images_and_counts() {
    let text = "inputs:\n  photos: {type: 'image[]'}\nsteps:\n  - id: x\n    for-each: inputs.photos\n    matrix: {w: [10, 20]}\n    continue-on-error: true\n    uses: image.resize\n    with: {width: '${{ matrix.w }}'}\n  - id: tell\n    uses: noop\n    with: {data: {results: '${{ steps.x.results }}', ok: '${{ steps.x.ok }}', images: '${{ steps.x.images }}', counts: ['${{ steps.x.total }}', '${{ steps.x.completed }}', '${{ steps.x.skipped }}', '${{ steps.x.failed }}']}}\n  - id: again\n    for-each: steps.x.ok\n    steps:\n      - {uses: image.grayscale}\n      - {id: tell, uses: noop, with: {data: ['${{ item.number }}', '${{ item.matrix.w }}', '${{ number }}']}}\n";
    let mut world =
        World::with(text, json!({"photos": pictures(2)}), |_| {}).fault("x[2]", 9, ErrorClass::InvalidInput);
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.run.head.tolerated, 1);
    let data = world.data("tell");
    assert_eq!(data["counts"], json!([4, 3, 0, 1]));
    let brief = |result: &Value| {
        json!([
            result["ok"],
            result["status"],
            result["index"],
            result["number"],
            result["matrix"]["w"],
            result["item"]["name"]
        ])
    };
    let results: Vec<Value> = data["results"].as_array().unwrap().iter().map(brief).collect();
    assert_eq!(results[0], json!([true, "completed", 0, 1, 10, "p1.png"]));
    assert_eq!(results[1], json!([false, "failed", 0, 1, 20, "p1.png"]));
    assert_eq!(results[3], json!([true, "completed", 1, 2, 20, "p2.png"]));
    assert_eq!(data["results"][1]["error"]["class"], "invalid_input");
    assert_eq!(data["results"][0]["image"], world.get("x[1]").outputs["image"]);
    assert_eq!(data["ok"].as_array().unwrap().len(), 3);
    assert_eq!(data["images"].as_array().unwrap().len(), 3);
    assert_eq!(world.data("again[2]/tell"), json!([2, 10, 2]));
    assert_eq!(world.get("again[1]/grayscale").outputs["image"]["name"], "p1.png", "the result's picture flows");
}

#[test]
fn the_first_failure_stops_the_siblings() {
    let mut world = World::new(&flow("", 100));
    world.start();
    assert_eq!(world.queue.len(), 8, "the window");
    world.fail_of("x[4]", ErrorClass::Network);
    world.fail_of("x[2]", ErrorClass::InvalidInput);
    let before = world.published.len();
    assert_eq!(world.status("x[4]"), "cancelled", "it was waiting to be tried again");
    assert_eq!(world.run_status(), RunStatus::Running);
    world.queue.retain(|queued| queued.message.path.as_str() != "x[4]");
    world.play();
    assert_eq!(world.published.len(), before, "nothing more is begun");
    assert_eq!(world.run_status(), RunStatus::Failed);
    assert_eq!(world.failure().0, "x[2]");
    let fan = world.get("x").fan.clone().unwrap();
    assert_eq!((fan.completed, fan.failed, fan.open), (7, 1, 0), "what was with workers was drained");
    assert_eq!(world.status("after"), "pending");
}

#[test]
fn an_instance_with_a_body_does_not_go_on_after_its_sibling_failed() {
    let text = "steps:\n  - id: x\n    for-each: range(3)\n    steps:\n      - {id: a, uses: noop}\n      - {id: b, uses: noop}\n";
    let mut world = World::new(text);
    world.start();
    world.fail_of("x[1]/a", ErrorClass::InvalidInput);
    world.answer_of("x[2]/a");
    assert_eq!(world.status("x[2]"), "cancelled");
    assert_eq!(world.queued(), ["x[3]/a"]);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Failed);
    assert_eq!(world.failure().0, "x[1]/a");
    assert_eq!(world.status("x[2]/b"), "pending");
}

#[test]
fn an_instance_that_was_done_when_its_sibling_failed_is_completed() {
    let text = "steps:\n  - id: x\n    for-each: range(3)\n    steps:\n      - {id: a, uses: noop}\n";
    let mut world = World::new(text);
    world.start();
    world.fail_of("x[1]/a", ErrorClass::InvalidInput);
    world.play();
    assert_eq!([world.status("x[2]"), world.status("x[3]")], ["completed", "completed"]);
}

#[test]
fn tolerance_is_a_count_or_a_share_and_more_than_that_fails() {
    let cases: [(&str, &[u32], RunStatus); 8] = [
        ("", &[], RunStatus::Completed),
        ("", &[20], RunStatus::Failed),
        ("    tolerate: 2\n", &[1, 20], RunStatus::Completed),
        ("    tolerate: 2\n", &[1, 2, 20], RunStatus::Failed),
        ("    tolerate: 10%\n", &[1, 20], RunStatus::Completed),
        ("    tolerate: 10%\n", &[1, 2, 20], RunStatus::Failed),
        (
            "    continue-on-error: true\n",
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
            RunStatus::Completed,
        ),
        (
            "    tolerate: 100%\n",
            &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20],
            RunStatus::Completed,
        ),
    ];
    for (keys, bad, want) in cases {
        let mut world = with_bad(&flow(keys, 20), bad);
        world.finish();
        assert_eq!(world.run_status(), want, "{keys} {bad:?}");
        if want == RunStatus::Completed {
            assert_eq!(world.run.head.tolerated as usize, bad.len(), "{keys}");
            assert_eq!(world.data("after"), json!([20, 20 - bad.len(), 0, bad.len()]), "{keys}");
        }
    }
}

#[test]
fn on_error_overrides_what_top_level_fan_outs_tolerate() {
    let mut world = with_bad(&flow("", 20), &[1, 2]);
    std::sync::Arc::get_mut(&mut world.run.spec).unwrap().on_error = Some(OnError::Continue);
    world.finish();
    assert_eq!((world.run_status(), world.run.head.tolerated), (RunStatus::Completed, 2));
    let mut world = with_bad(&flow("    continue-on-error: true\n", 20), &[3]);
    std::sync::Arc::get_mut(&mut world.run.spec).unwrap().on_error = Some(OnError::Stop);
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Failed);
    assert!(world.published.len() < 20);
}

#[test]
fn max_parallel_is_never_exceeded_and_always_used() {
    for (keys, most) in [("    max-parallel: 3\n", 3), ("    max-parallel: 1\n", 1), ("", 8)] {
        let mut world = World::new(&flow(keys, 30));
        world.start();
        let mut seen = 0;
        while !world.queue.is_empty() {
            let open = world.get("x").fan.as_ref().map_or(0, |fan| fan.open);
            assert!(open <= most, "{keys}");
            seen = seen.max(open);
            world.step();
        }
        assert_eq!((world.run_status(), seen), (RunStatus::Completed, most), "{keys}");
    }
}

#[test]
fn the_window_widens_while_steps_are_quick_and_narrows_again() {
    let mut world = World::new(&flow("", 2_000));
    world.run.divide_over(u32::MAX);
    world.start();
    let mut widest = 0;
    while world.queue.len() > 1 && world.published.len() < 1_500 {
        let message = world.queue.remove(0).message;
        let report = world.work_on(&message);
        world.apply(Event::Report(report));
        widest = widest.max(world.run.head.in_flight);
    }
    assert_eq!(widest, 256);
    world.play();
    assert_eq!(world.run.head.window, 8);
}

#[test]
fn items_beyond_the_eighth_stand_behind_the_work_of_others() {
    let mut world = World::new(&flow("", 12));
    world.start();
    let mut lanes = Vec::new();
    while let Some(queued) = world.queue.first().cloned() {
        lanes.push(queued.batch);
        world.step();
    }
    assert_eq!(lanes[..8], [false; 8]);
    assert_eq!(lanes[8..12], [true; 4]);
}

#[test]
fn inner_fan_outs_are_done_before_outer_ones_begin_more() {
    let text = "steps:\n  - id: x\n    for-each: range(100)\n    steps:\n      - id: y\n        for-each: range(10)\n        uses: noop\n        with: {data: '${{ item }}'}\n";
    let mut world = World::new(text);
    world.start();
    assert!(world.get("x").fan.as_ref().unwrap().open <= 2, "{:?}", world.get("x").fan);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.published.len(), 1_000);
    assert_eq!(world.dispatched()[..11].last().map(String::as_str), Some("x[2]/y[1]"));
}

#[test]
fn bodies_nest_and_see_their_own_item() {
    let text = "steps:\n  - id: x\n    for-each: [a, b]\n    steps:\n      - {id: first, uses: noop, with: {data: '${{ item }}'}}\n      - id: y\n        matrix: {k: [1, 2]}\n        steps:\n          - {id: inner, uses: noop, with: {data: '${{ steps.first.data }}${{ matrix.k }}'}}\n      - {id: last, uses: noop, with: {data: '${{ steps.y.results | map(attribute=\"data\") | list }}'}}\n  - {id: end, uses: noop, with: {data: '${{ steps.x.results | map(attribute=\"data\") | list }}'}}\n";
    let mut world = World::new(text);
    world.finish();
    assert_eq!(world.data("end"), json!([["a1", "a2"], ["b1", "b2"]]));
}

#[test]
fn a_condition_in_a_body_is_asked_for_each_item_and_on_the_fan_out_once() {
    let text = "steps:\n  - id: x\n    for-each: [1, 2, 3]\n    steps:\n      - {id: a, if: item == 2, uses: noop}\n      - {id: b, uses: noop}\n  - id: none\n    if: 'false'\n    for-each: [1, 2]\n    uses: noop\n  - {id: end, uses: noop, with: {data: ['${{ steps.none.status }}', '${{ steps.none.total }}']}}\n";
    let mut world = World::new(text);
    world.finish();
    let asked = [1, 2, 3].map(|number| world.status(&format!("x[{number}]/a")));
    assert_eq!(asked, ["skipped", "completed", "skipped"]);
    assert_eq!(world.data("end"), json!(["skipped", 0]));
}

#[test]
fn an_empty_list_is_no_error_and_no_list_is_a_clear_one() {
    let text = "inputs:\n  list: {type: json}\nsteps:\n  - {id: x, for-each: inputs.list, uses: noop}\n  - {id: after, uses: noop, with: {data: '${{ steps.x.results }}'}}\n";
    let mut world = World::with(text, json!({"list": []}), |_| {});
    world.finish();
    assert_eq!((world.run_status(), world.data("after")), (RunStatus::Completed, json!([])));
    for (value, what) in
        [(json!("abc"), "is no list but"), (json!({"a": 1}), "is no list but"), (Value::Null, "has no value")]
    {
        let mut world = World::with(text, json!({"list": value}), |_| {});
        world.finish();
        let (step, message) = world.failure();
        assert!(step == "x" && message.contains("`for-each`") && message.contains(what), "{message}");
        assert!(world.published.is_empty());
    }
}

#[test]
fn more_instances_than_the_limit_are_refused_before_anything_is_dispatched() {
    let text = "inputs:\n  a: {type: json}\nsteps:\n  - id: x\n    matrix: {a: '${{ inputs.a }}', b: '${{ inputs.a }}', c: '${{ inputs.a }}', d: '${{ inputs.a }}', e: '${{ inputs.a }}', f: '${{ inputs.a }}', g: '${{ inputs.a }}', h: '${{ inputs.a }}', i: '${{ inputs.a }}', j: '${{ inputs.a }}'}\n    for-each: inputs.a\n    uses: noop\n";
    for length in [4, 100] {
        let list: Vec<u32> = (0..length).collect();
        let mut world = World::with(text, json!({"a": list}), |_| {});
        world.finish();
        assert!(world.failure().1.contains("over the limit"), "{}", world.failure().1);
        assert!(world.published.is_empty());
    }
}

#[test]
fn only_runs_the_items_that_are_wanted() {
    let text = "steps:\n  - id: x\n    for-each: [a, b, c]\n    matrix: {k: [1, 2]}\n    uses: noop\n";
    let mut world =
        World::with(text, json!({}), |spec| spec.only = Some(Only { step: "x".into(), numbers: [1, 3].into() }));
    world.finish();
    assert_eq!(world.published_steps(), ["x[1]", "x[2]", "x[5]", "x[6]"]);
    let fan = world.get("x").fan.clone().unwrap();
    assert_eq!((fan.completed, fan.skipped, fan.total), (4, 2, 6));
}

#[test]
fn files_that_exist_make_items_and_steps_unnecessary() {
    let text = "inputs:\n  photos: {type: 'image[]'}\n  photo: {type: image}\nsteps:\n  - id: x\n    for-each: inputs.photos\n    skip-if-exists: out/${{ item.stem }}.png\n    uses: image.grayscale\n    save: out/${{ item.stem }}.png\n  - id: y\n    for-each: inputs.photos\n    steps:\n      - {id: z, uses: image.grayscale, skip-if-exists: 'gray/${{ item.stem }}.png', save: 'gray/${{ item.stem }}.png'}\n  - {id: one, uses: image.grayscale, with: {image: '${{ inputs.photo }}'}, skip-if-exists: [a.png, b.png], save: a.png}\n";
    let inputs = json!({"photos": pictures(3), "photo": picture("q.png")});
    let mut world = World::with(text, inputs.clone(), |_| {});
    let wanted = darkroom_engine::preview::skip_paths(&world.plan, &world.run);
    assert_eq!(
        wanted,
        ["out/p1.png", "out/p2.png", "out/p3.png", "gray/p1.png", "gray/p2.png", "gray/p3.png", "a.png", "b.png"]
    );
    world.finish();
    assert_eq!(world.published.len(), 7);
    let existing = ["out/p2.png", "gray/p1.png", "a.png"].map(str::to_owned);
    let mut world = World::with(text, inputs.clone(), |spec| spec.existing = existing.clone().into());
    world.finish();
    assert_eq!(world.published_steps(), ["x[1]", "x[3]", "y[2]/z", "y[3]/z", "one"]);
    let existing = ["a.png", "b.png"].map(str::to_owned);
    let mut world = World::with(text, inputs, |spec| spec.existing = existing.clone().into());
    world.finish();
    assert_eq!(world.status("one"), "skipped");
    assert_eq!(world.get("one").outputs["image"], picture("q.png"), "the picture is passed on");
}

#[test]
fn two_instances_that_would_save_to_one_path_are_refused_before_anything_is_dispatched() {
    let inputs = json!({"photos": [picture("a.png"), picture("b.png"), picture("a.png")], "names": ["n", "n"]});
    let head = "inputs:\n  photos: {type: 'image[]'}\n  names: {type: json}\nsteps:\n";
    let refused = [
        (
            "x[1]",
            "  - id: x\n    for-each: inputs.photos\n    uses: image.grayscale\n    save: out/${{ item.stem }}.png\n",
        ),
        (
            "x[1]/save",
            "  - id: x\n    for-each: inputs.photos\n    steps:\n      - uses: image.grayscale\n      - {uses: save, with: {path: 'out/./${{ item.stem }}.png'}}\n",
        ),
        (
            "x[1]/y[1]",
            "  - id: x\n    for-each: inputs.photos\n    steps:\n      - uses: image.grayscale\n      - id: y\n        matrix: {w: [10, 20]}\n        uses: image.resize\n        with: {image: '${{ steps.grayscale.image }}', width: '${{ matrix.w }}'}\n        save: out/${{ matrix.w }}.png\n",
        ),
    ];
    for (first, steps) in refused {
        let mut world = World::with(&format!("{head}{steps}"), inputs.clone(), |_| {});
        world.finish();
        assert!(world.failure().1.contains(&format!("`{first}` and")), "{}", world.failure().1);
        assert_eq!(world.get("x").error.as_ref().unwrap().code, "save_collision");
        assert!(world.published.is_empty(), "{steps}");
    }
    let fine = [
        "  - id: x\n    for-each: inputs.photos\n    uses: image.grayscale\n    save: out/${{ number }}.png\n",
        "  - id: x\n    for-each: inputs.photos\n    steps:\n      - {if: 'number == 1', uses: image.grayscale, save: 'out/${{ item.stem }}-1.png'}\n      - {if: 'number != 1', uses: image.info, save: 'out/${{ item.stem }}-${{ number }}.png'}\n",
    ];
    for steps in fine {
        let mut world = World::with(&format!("{head}{steps}"), inputs.clone(), |_| {});
        world.finish();
        assert_eq!(world.run_status(), RunStatus::Completed, "{steps}");
    }
}

#[test]
fn a_failure_tells_whether_the_run_goes_on() {
    let text = "steps:\n  - id: x\n    for-each: range(3)\n    tolerate: 1\n    steps:\n      - {id: p, uses: noop}\n      - {id: y, matrix: {k: [1, 2]}, uses: noop}\n";
    let mut world =
        World::new(text).fault("x[1]/p", 9, ErrorClass::InvalidInput).fault("x[2]/y[1]", 9, ErrorClass::InvalidInput);
    world.finish();
    let told: Vec<(String, bool)> = world
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::StepFailed { step, tolerated, .. } => Some((step.to_string(), *tolerated)),
            _ => None,
        })
        .collect();
    let want = [("x[1]/p", true), ("x[2]/y[1]", false), ("x[2]/y", false), ("x", false)];
    assert_eq!(told, want.map(|(path, tolerated)| (path.to_owned(), tolerated)));
}

#[test]
fn paths_that_could_not_be_stored_are_refused() {
    let id = "a".repeat(60);
    let mut text = "steps:\n".to_owned();
    for depth in 0..9 {
        let indent = "    ".repeat(depth);
        text += &format!("{indent}  - id: {id}\n{indent}    for-each: [1]\n{indent}    steps:\n");
    }
    text += &format!("{}  - uses: noop\n", "    ".repeat(9));
    let mut world = World::new(&text);
    world.finish();
    assert!(world.failure().1.contains("is too long"), "{}", world.failure().1);
    world.reload();
}

#[test]
fn the_counts_of_a_fan_out_are_told_with_every_item() {
    let mut world = with_bad(&flow("    continue-on-error: true\n", 5), &[2]);
    world.finish();
    let told: Vec<(u32, u32)> = world
        .events
        .iter()
        .filter_map(|event| match &event.what {
            What::ItemEnded { items, .. } => Some((items.completed, items.failed)),
            _ => None,
        })
        .collect();
    assert_eq!(told, [(1, 0), (1, 1), (2, 1), (3, 1), (4, 1)]);
    assert_eq!(world.get("x[2]").error.as_ref().map(|error| error.class), Some(ErrorClass::InvalidInput));
    assert!(world.run.step(&path("x")).is_some_and(|step| step.error.is_none()));
}

#[test]
fn a_wide_fan_out_of_skipped_items_goes_on_in_several_rounds() {
    let mut world = World::with(&flow("", 2_000), json!({}), |spec| {
        spec.only = Some(Only { step: "x".into(), numbers: [2_000].into() })
    });
    world.run.divide_over(u32::MAX);
    let change = darkroom_engine::advance(&world.plan.clone(), &mut world.run, Event::Start, world.now);
    assert!(change.more, "one call does not do everything");
    assert!(change.steps.len() < 300);
    world.checks = false;
    world.apply(Event::Continue);
    assert!(world.continued >= 6, "{}", world.continued);
    world.play();
    assert_eq!(world.run_status(), RunStatus::Completed);
    assert_eq!(world.data("after"), json!([2_000, 1, 1_999, 0]));
}

#[test]
fn a_wide_run_of_slow_steps_keeps_all_slots_busy_and_as_many_steps_waiting() {
    let text = "steps:\n  - id: x\n    for-each: range(200)\n    uses: noop\n";
    for (slots, undone) in [(0, 8), (2, 8), (20, 40), (60, 120)] {
        let mut world = World::new(text);
        world.checks = false;
        world.run.make_room(slots);
        world.start();
        assert_eq!(world.run.head.in_flight, undone, "{slots} slots");
        world.play();
        assert_eq!(world.run_status(), RunStatus::Completed);
    }
}
