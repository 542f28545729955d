//! Leaving out what an equal step has saved before.

use crate::world::{World, picture, pictures};
use darkroom_engine::{Event, Reusable, Spec};
use darkroom_proto::{CachedFrom, Outcome, RunStatus, Sha256};
use serde_json::{Value, json};
use std::collections::BTreeMap;

const CHAIN: &str = "inputs:\n  photo: {type: image}\n  width: {type: integer, default: 10}\nsteps:\n  - {id: gray, uses: image.grayscale, save: gray.png}\n  - {id: small, uses: image.resize, with: {width: '${{ inputs.width }}'}, save: small.png}\noutputs:\n  image: ${{ steps.small.image }}\n";

const EACH: &str = "inputs:\n  photos: {type: 'image[]'}\nsteps:\n  - id: x\n    for-each: inputs.photos\n    steps:\n      - {uses: image.resize, with: {width: 5}}\n      - {uses: image.grayscale, save: 'out/${{ item.stem }}.png'}\n  - {uses: image.contact-sheet, with: {images: '${{ steps.x.images }}'}, save: sheet.png}\n";

const SINGLE: &str = "inputs:\n  photos: {type: 'image[]'}\nsteps:\n  - id: x\n    for-each: inputs.photos\n    uses: image.grayscale\n    save: out/${{ item.stem }}.png\n";

/// What a finished run lets others find again.
fn saved(world: &World) -> BTreeMap<Sha256, Reusable> {
    let reusable = |path| {
        let step = world.run.step(path).unwrap();
        Reusable { saved: step.saved.clone().unwrap(), outputs: step.outputs.clone() }
    };
    world.saved.iter().map(|(key, path)| (*key, reusable(path))).collect()
}

fn done(text: &str, inputs: Value, change: impl FnOnce(&mut Spec)) -> World {
    let mut world = World::with(text, inputs, change);
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Completed);
    world
}

fn photo() -> Value {
    json!({"photo": picture("a.png")})
}

#[test]
fn the_same_again_dispatches_nothing_and_gives_the_same_outputs() {
    for (text, inputs) in
        [(CHAIN, photo()), (EACH, json!({"photos": pictures(3)})), (SINGLE, json!({"photos": pictures(3)}))]
    {
        let first = done(text, inputs.clone(), |_| {});
        let again = done(text, inputs, |spec| spec.saved = saved(&first));
        assert!(again.published.is_empty(), "{:?}", again.published);
        assert_eq!(again.run.head.outputs, first.run.head.outputs);
        assert!(again.saved.is_empty(), "nothing was saved anew");
    }
}

#[test]
fn a_changed_input_redoes_only_what_depends_on_it() {
    let first = done(CHAIN, photo(), |_| {});
    let again = done(CHAIN, json!({"photo": picture("a.png"), "width": 11}), |spec| spec.saved = saved(&first));
    assert_eq!(again.published, ["small@1.1"]);
    assert_eq!(again.status("gray"), "cached");
    assert_ne!(again.run.head.outputs, first.run.head.outputs);
    let other = done(CHAIN, json!({"photo": picture("b.png")}), |spec| spec.saved = saved(&first));
    assert_eq!(other.published.len(), 2);
}

#[test]
fn one_more_item_does_only_that_item() {
    for (text, want) in
        [(EACH, vec!["x[4]/resize@1.1", "x[4]/grayscale@1.1", "contact-sheet@1.1"]), (SINGLE, vec!["x[4]@1.1"])]
    {
        let first = done(text, json!({"photos": pictures(3)}), |_| {});
        let again = done(text, json!({"photos": pictures(4)}), |spec| spec.saved = saved(&first));
        assert_eq!(again.published, want);
        let fan = again.get("x").fan.clone().unwrap();
        assert_eq!((fan.completed, fan.skipped, fan.failed), (1, 3, 0));
        let fresh = done(text, json!({"photos": pictures(4)}), |_| {});
        assert_eq!(again.get("x[2]").outputs, fresh.get("x[2]").outputs);
        if text == EACH {
            assert_eq!(
                again.get("contact-sheet").outputs,
                fresh.get("contact-sheet").outputs,
                "the sheet shows all of them"
            );
        }
    }
}

#[test]
fn another_filename_or_definition_is_another_file() {
    let first = done(CHAIN, photo(), |_| {});
    let renamed = done(CHAIN, photo(), |spec| {
        spec.saved = saved(&first);
        spec.filename = Some("other.png".into());
    });
    assert_eq!(renamed.published.len(), 2);
    let edited = CHAIN.replace("gray.png", "grey.png");
    let edited = done(&edited, photo(), |spec| spec.saved = saved(&first));
    assert_eq!(edited.published.len(), 2);
}

#[test]
fn what_depends_on_the_run_itself_is_never_reused() {
    let text =
        "inputs:\n  photo: {type: image}\nsteps:\n  - {id: a, uses: image.grayscale, save: '${{ run.id }}.png'}\n";
    assert!(done(text, photo(), |_| {}).saved.is_empty());
}

#[test]
fn a_resume_from_a_step_does_it_anew_although_its_file_is_there() {
    let first = done(CHAIN, photo(), |_| {});
    let mut again = done(CHAIN, photo(), |spec| spec.saved = saved(&first));
    again.resume(Some("gray"));
    assert_eq!(again.published, ["gray@2.1", "small@2.1"]);
    let first = done(EACH, json!({"photos": pictures(2)}), |_| {});
    for (from, want) in [
        ("x[2]", vec!["x[2]/resize@2.1", "x[2]/grayscale@2.1", "contact-sheet@2.1"]),
        ("x[2]/grayscale", vec!["x[2]/resize@2.1", "x[2]/grayscale@2.1", "contact-sheet@2.1"]),
    ] {
        let mut again = done(EACH, json!({"photos": pictures(2)}), |spec| spec.saved = saved(&first));
        again.resume(Some(from));
        assert_eq!(again.published, want, "{from}");
        assert_eq!(again.get("contact-sheet").outputs, first.get("contact-sheet").outputs);
    }
}

#[test]
fn a_step_whose_output_is_wanted_runs_although_a_later_file_is_there() {
    let text = "inputs:\n  photo: {type: image}\nsteps:\n  - {id: gray, uses: image.grayscale}\n  - {id: small, uses: image.resize, with: {width: 5}, save: small.png}\noutputs:\n  gray: ${{ steps.gray.image }}\n";
    let first = done(text, photo(), |_| {});
    let again = done(text, photo(), |spec| spec.saved = saved(&first));
    assert_eq!(again.published, ["gray@1.1"]);
    assert_eq!(again.run.head.outputs, first.run.head.outputs);
    assert_eq!(again.status("small"), "cached");
}

#[test]
fn a_condition_is_part_of_what_determines_a_file() {
    let text = "inputs:\n  photo: {type: image}\n  gray: {type: boolean, default: true}\nsteps:\n  - {id: gray, if: inputs.gray, uses: image.grayscale}\n  - {id: small, uses: image.resize, with: {width: 5}, save: small.png}\n";
    let first = done(text, photo(), |_| {});
    let other = done(text, json!({"photo": picture("a.png"), "gray": false}), |spec| spec.saved = saved(&first));
    assert_eq!(other.published, ["small@1.1"]);
}

#[test]
fn a_path_that_names_the_position_tells_equal_items_apart() {
    let text = "inputs:\n  photos: {type: 'image[]'}\nsteps:\n  - id: x\n    for-each: inputs.photos\n    uses: image.grayscale\n    save: out/${{ number }}.png\n";
    let same = json!({"photos": [picture("a.png"), picture("a.png")]});
    let first = done(text, same.clone(), |_| {});
    assert_eq!(first.files.len(), 2);
    let again = done(text, same, |spec| spec.saved = saved(&first));
    assert!(again.published.is_empty());
    assert_eq!(again.get("x[2]").saved.as_ref().unwrap().path, "out/2.png");
}

#[test]
fn what_the_step_cache_gave_ends_the_step_as_cached_and_flows_on() {
    let text = "steps:\n  - {id: make, uses: image.generate, with: {prompt: a mug, model: flux-pro, seed: 42}}\n  - {id: small, uses: image.resize, with: {width: 5}}\n";
    let mut world = World::with(text, json!({}), |_| {});
    world.start();
    let message = world.take_of("make");
    assert!(message.cache.as_ref().is_some_and(|cache| cache.read));
    let mut taken = world.work_on(&message);
    if let Outcome::Succeeded(succeeded) = &mut taken.outcome {
        succeeded.cached = Some(CachedFrom { run: message.run, step: message.path.clone() });
    }
    world.apply(Event::Report(taken));
    assert_eq!(world.status("make"), "cached");
    assert!(world.take_of("small").cache.is_none(), "pixel work is done anew");
}
