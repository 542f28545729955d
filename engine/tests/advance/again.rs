//! Runs that are made from an earlier one.

use crate::world::{World, picture, pictures};
use darkroom_engine::{Again, Decision, Event, Origin, Spec, recorded, why_again};
use darkroom_proto::{Map, RunStatus, StepPath};
use serde_json::{Value, json};

/// A chain whose second step reads an input, with a generated picture that has no seed and a request to others.
const CHAIN: &str = "inputs:\n  prompt: {type: string, default: a mug}\n  width: {type: integer, default: 10}\nsteps:\n  - {id: draw, uses: image.generate, with: {prompt: '${{ inputs.prompt }}', model: flux-pro}}\n  - {id: small, uses: image.resize, with: {width: '${{ inputs.width }}'}}\n  - {id: gray, uses: image.grayscale}\n  - {id: tell, uses: notify.webhook, with: {url: 'https://a.test/', body: x}}\noutputs:\n  image: ${{ steps.gray.image }}\n";

const EACH: &str = "inputs:\n  photos: {type: 'image[]'}\nsteps:\n  - id: x\n    for-each: inputs.photos\n    steps:\n      - {id: small, uses: image.resize, with: {width: 5}}\n      - {id: gray, uses: image.grayscale}\n";

fn done(text: &str, inputs: Value, change: impl FnOnce(&mut Spec)) -> World {
    let mut world = World::with(text, inputs, change);
    world.finish();
    assert_eq!(world.run_status(), RunStatus::Completed);
    world
}

/// Makes a run from another one.
fn made(text: &str, earlier: &World, inputs: Value, how: Again, from: Option<&str>) -> World {
    let from: Option<StepPath> = from.map(|from| from.parse().unwrap());
    let taken = recorded(&earlier.plan, &earlier.run, how, from.as_ref());
    done(text, inputs, |spec| {
        spec.origin = Some(Origin { run: earlier.run.id, how, from });
        spec.recorded = taken;
    })
}

#[test]
fn a_rerun_pays_nothing_again_and_tells_others_again() {
    let first = done(CHAIN, json!({}), |_| {});
    let again = made(CHAIN, &first, json!({}), Again::Rerun, None);
    assert_eq!(again.published, ["tell@1.1"], "what acts on others is done again");
    assert_eq!(["draw", "small", "gray"].map(|step| again.status(step)), ["cached"; 3]);
    assert_eq!(again.run.head.outputs, first.run.head.outputs);
    assert_eq!(again.run.head.spent.0, 0);
}

#[test]
fn an_input_that_changed_redoes_what_depends_on_it_and_says_why() {
    let first = done(CHAIN, json!({}), |_| {});
    let again = made(CHAIN, &first, json!({"width": 11}), Again::Rerun, None);
    assert_eq!(again.published, ["small@1.1", "gray@1.1", "tell@1.1"]);
    // What a plan says of it, before anything is done.
    let taken = recorded(&first.plan, &first.run, Again::Rerun, None);
    let mut begun = World::with(CHAIN, json!({"width": 11}), |spec| {
        spec.origin = Some(Origin { run: first.run.id, how: Again::Rerun, from: None });
        spec.recorded = taken;
    });
    begun.start();
    let why = |step: &str| why_again(&begun.plan, &begun.run, &step.parse().unwrap());
    assert_eq!(["draw", "small", "gray"].map(why), [None, Some("inputs changed"), Some("upstream changed")]);
}

#[test]
fn a_fork_keeps_what_is_before_its_step_and_redoes_the_rest() {
    let first = done(CHAIN, json!({}), |_| {});
    let fork = made(CHAIN, &first, json!({}), Again::Fork, Some("small"));
    assert_eq!(fork.published, ["small@1.1", "gray@1.1", "tell@1.1"]);
    assert_eq!(fork.status("draw"), "cached");
    let last = made(CHAIN, &first, json!({}), Again::Fork, Some("tell"));
    assert_eq!(last.published, ["tell@1.1"]);
}

#[test]
fn a_step_whose_files_are_gone_is_done_again_and_what_stands_on_it_is_not() {
    let first = done(CHAIN, json!({}), |_| {});
    let mut taken = recorded(&first.plan, &first.run, Again::Rerun, None);
    taken.get_mut(&"small".parse::<StepPath>().unwrap()).unwrap().is_gone = true;
    let again = done(CHAIN, json!({}), |spec| {
        spec.origin = Some(Origin { run: first.run.id, how: Again::Rerun, from: None });
        spec.recorded = taken;
    });
    // Done again it gives the same file, so what was made of that is still right.
    assert_eq!(again.published, ["small@1.1", "tell@1.1"]);
}

#[test]
fn a_fork_asks_no_person_again_for_what_was_decided_before_its_step() {
    let text = "steps:\n  - {id: look, uses: human.approve, with: {title: Good?}}\n  - {id: after, uses: noop, with: {data: '${{ steps.look.decision }}'}}\n";
    let mut first = World::with(text, json!({}), |_| {});
    first.start();
    first.apply(Event::Approve(Decision {
        key: "k".into(),
        step: None,
        approved: true,
        answers: Map::new(),
        choice: None,
        by: "ann".into(),
        note: String::new(),
    }));
    first.finish();
    assert_eq!(first.run_status(), RunStatus::Completed);
    let fork = made(text, &first, json!({}), Again::Fork, Some("after"));
    assert_eq!((fork.status("look"), fork.published.as_slice()), ("cached", &["after@1.1".to_owned()][..]));
    // A rerun asks.
    let taken = recorded(&first.plan, &first.run, Again::Rerun, None);
    assert!(taken.keys().all(|path| path.as_str() != "look"));
}

#[test]
fn items_of_a_fan_out_are_taken_one_by_one() {
    let first = done(EACH, json!({"photos": pictures(3)}), |_| {});
    let mut other = pictures(3);
    other[1] = picture("new.png");
    let again = made(EACH, &first, json!({"photos": other}), Again::Rerun, None);
    assert_eq!(again.published, ["x[2]/small@1.1", "x[2]/gray@1.1"]);
}

#[test]
fn what_is_resumed_from_a_step_is_not_taken_from_the_earlier_run_again() {
    let first = done(CHAIN, json!({}), |_| {});
    let mut again = made(CHAIN, &first, json!({}), Again::Rerun, None);
    again.published.clear();
    again.resume(Some("small"));
    again.finish();
    assert_eq!(again.published, ["small@2.1", "gray@2.1", "tell@2.1"]);
}
