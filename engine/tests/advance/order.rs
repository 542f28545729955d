//! Which step starts when, and what conditions do.

use crate::world::{World, path, picture};
use darkroom_engine::{run_document, step_document};
use darkroom_proto::RunStatus;
use serde_json::{Value, json};

/// Plays step by step and notes what was under way together.
fn waves(text: &str) -> Vec<Vec<String>> {
    let mut world = World::new(text);
    world.start();
    let mut waves = Vec::new();
    while !world.queue.is_empty() {
        let wave: Vec<String> = world.queued().iter().map(ToString::to_string).collect();
        for path in &wave {
            world.answer_of(path);
        }
        waves.push(wave);
    }
    assert_eq!(world.run_status(), RunStatus::Completed);
    waves
}

#[test]
fn steps_start_when_what_they_wait_for_has_ended() {
    let cases: [(&str, &str, &[&[&str]]); 6] = [
        (
            "in the order of the list",
            "steps:\n  - {id: a, uses: noop}\n  - {id: b, uses: noop}\n  - {id: c, uses: noop}\n",
            &[&["a"], &["b"], &["c"]],
        ),
        (
            "`needs` replaces the list",
            "steps:\n  - {id: a, uses: noop}\n  - {id: b, uses: noop, needs: []}\n  - {id: c, uses: noop, needs: [a]}\n",
            &[&["a", "b"], &["c"]],
        ),
        (
            "a reference adds to `needs`",
            "steps:\n  - {id: a, uses: noop}\n  - {id: b, uses: noop, needs: []}\n  - {id: c, uses: noop, needs: [], with: {data: '${{ steps.b.data }}'}}\n",
            &[&["a", "b"], &["c"]],
        ),
        (
            "members of `parallel` together",
            "steps:\n  - {id: z, uses: noop}\n  - parallel:\n      - {id: a, uses: noop}\n      - {id: b, uses: noop}\n  - {id: c, uses: noop}\n",
            &[&["z"], &["a", "b"], &["c"]],
        ),
        (
            "ids are the op's last word and are counted",
            "steps:\n  - uses: noop\n  - uses: noop\n  - uses: noop\n",
            &[&["noop"], &["noop-2"], &["noop-3"]],
        ),
        (
            "a step after `needs: []` waits for everything before it",
            "steps:\n  - {id: a, uses: noop}\n  - {id: b, uses: noop, needs: []}\n  - {id: c, uses: noop}\n",
            &[&["a", "b"], &["c"]],
        ),
    ];
    for (name, text, want) in cases {
        assert_eq!(waves(text), want, "{name}");
    }
}

#[test]
fn values_flow_by_reference_and_keep_their_type() {
    let mut world = World::with(
        "inputs:\n  n: {type: integer, default: 3}\nsteps:\n  - {id: a, uses: noop, with: {data: '${{ inputs.n }}'}}\n  - {id: b, uses: noop, with: {data: {list: ['${{ steps.a.data }}', 'n is ${{ steps.a.data }}']}}}\noutputs:\n  all: ${{ steps.b.data.list }}\n",
        json!({"n": 7}),
        |_| {},
    );
    world.finish();
    assert_eq!(world.data("b"), json!({"list": [7, "n is 7"]}));
    assert_eq!(world.run.head.outputs.get("all"), Some(&json!([7, "n is 7"])));
}

#[test]
fn a_false_condition_passes_the_picture_on_and_gives_nothing_else() {
    let mut world = World::with(
        "inputs:\n  photo: {type: image}\nsteps:\n  - {id: find, if: 'false', uses: image.detect}\n  - {id: gray, if: 'false', uses: image.grayscale}\n  - {id: small, uses: image.resize, with: {width: 10}}\n  - {id: tell, uses: noop, with: {data: ['${{ steps.find.status }}', '${{ steps.find.boxes }}']}}\n",
        json!({"photo": picture("a.png")}),
        |_| {},
    );
    world.finish();
    assert_eq!(world.status("find"), "skipped");
    assert_eq!(world.get("gray").outputs.get("image"), Some(&picture("a.png")));
    assert_eq!(world.published, ["small@1.1", "tell@1.1"]);
    assert_eq!(world.data("tell"), json!(["skipped", Value::Null]));
}

#[test]
fn a_condition_reads_inputs_and_the_outputs_and_status_of_steps() {
    let text = "inputs:\n  wanted: {type: boolean, default: false}\nsteps:\n  - {id: a, uses: noop, with: {data: 5}}\n  - {id: b, if: inputs.wanted, uses: noop}\n  - {id: c, if: steps.a.data > 4, uses: noop}\n  - {id: d, if: \"steps.b.status == 'skipped'\", uses: noop}\n";
    let mut world = World::new(text);
    world.finish();
    assert_eq!(["a", "b", "c", "d"].map(|id| world.status(id)), ["completed", "skipped", "completed", "completed"]);
    let mut world = World::with(text, json!({"wanted": true}), |_| {});
    world.finish();
    assert_eq!(["a", "b", "c", "d"].map(|id| world.status(id)), ["completed", "completed", "completed", "skipped"]);
}

#[test]
fn the_condition_of_a_group_holds_for_its_members() {
    let mut world = World::new(
        "steps:\n  - if: 'false'\n    parallel:\n      - {id: a, uses: noop}\n      - {id: b, if: 'true', uses: noop}\n  - {id: c, uses: noop}\n",
    );
    world.finish();
    assert_eq!(world.published, ["c@1.1"]);
}

#[test]
fn a_condition_that_cannot_be_worked_out_fails_its_step() {
    let mut world = World::new(
        "steps:\n  - {id: a, uses: noop, with: {data: {}}}\n  - {id: b, if: steps.a.data.x.y > 1, uses: noop}\n",
    );
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Failed);
    let (step, message) = world.failure();
    assert_eq!(step, "b");
    assert!(message.contains("`if`"), "{message}");
}

#[test]
fn an_absent_value_in_a_required_parameter_is_an_error_that_names_it() {
    let mut world = World::with(
        "inputs:\n  photo: {type: image}\n  logo: {type: image, required: false}\nsteps:\n  - {id: a, uses: image.overlay, with: {image: '${{ inputs.photo }}', overlay: '${{ inputs.logo }}'}}\n",
        json!({"photo": picture("a.png")}),
        |_| {},
    );
    world.finish();
    assert!(world.failure().1.contains("`with.overlay`"), "{}", world.failure().1);
    assert!(world.published.is_empty());
}

#[test]
fn outputs_that_cannot_be_worked_out_fail_the_run() {
    let mut world = World::new("steps:\n  - {id: a, uses: noop}\noutputs:\n  text: x${{ steps.a.data }}\n");
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Failed);
    assert!(world.failure().1.contains("outputs.text"), "{}", world.failure().1);
}

#[test]
fn a_filename_replaces_the_last_part_of_the_single_saved_path_and_stays_in_the_folder() {
    let text = "inputs:\n  photo: {type: image}\nsteps:\n  - {id: a, uses: image.grayscale, save: SAVE}\n";
    let cases = [
        ("out/final.png", "mug.png", Some("out/mug.png")),
        ("final.png", "mug.png", Some("mug.png")),
        ("out/", "mug.png", Some("out/mug.png")),
        ("./", "mug.png", Some("mug.png")),
        ("out/final.png", "../../mug.png", None),
    ];
    for (save, filename, want) in cases {
        let mut world = World::with(&text.replace("SAVE", save), json!({"photo": picture("a.png")}), |spec| {
            spec.filename = Some(filename.to_owned());
        });
        world.finish();
        assert_eq!(world.files.keys().next().map(String::as_str), want, "{save} {filename}");
    }
}

#[test]
fn documents_show_a_hundred_instances_and_the_rest_by_page() {
    let fan =
        |items| format!("steps:\n  - id: x\n    for-each: range({items})\n    steps:\n      - {{id: p, uses: noop}}\n");
    for (items, shown) in [(100, 100), (101, 0)] {
        let mut world = World::new(&fan(items));
        let before = run_document(&world.plan, &world.run);
        assert_eq!((before.steps[0].items.map(|items| items.total), before.steps[0].steps.len()), (Some(0), 0));
        world.finish();
        let document = run_document(&world.plan, &world.run);
        assert_eq!(document.steps[0].steps.len(), shown);
        assert_eq!(document.steps[0].items.map(|counts| (counts.total, counts.completed)), Some((items, items)));
        let page = step_document(&world.plan, &world.run, &path("x"), 90, 20).unwrap();
        let paths: Vec<&str> = page.steps.iter().map(|step| step.path.as_str()).collect();
        assert_eq!((paths[0], paths.len() as u32), ("x[91]", items.min(110) - 90));
        let instance = step_document(&world.plan, &world.run, &path("x[7]"), 0, 10).unwrap();
        assert_eq!(instance.steps[0].path, "x[7]/p");
        assert!(step_document(&world.plan, &world.run, &path("x[7]/q"), 0, 10).is_none());
    }
}
