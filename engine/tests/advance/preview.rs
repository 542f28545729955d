//! What a preview says of a run.

use crate::world::{World, path, picture, pictures};
use darkroom_engine::Reusable;
use darkroom_engine::preview::{Action, Cost, Offer, Preview, Prices, preview};
use darkroom_proto::model::{Price, Unit};
use darkroom_proto::{Duration, ErrorClass, Map, StepError, StepPath};
use serde_json::json;

const PHOTO: &str = "inputs:\n  photo: {type: image}\n  wide: {type: boolean, default: false}\nsteps:\n  - {id: gray, uses: image.grayscale, save: gray.png}\n  - {id: wide, if: inputs.wide, uses: image.resize, with: {width: 90}}\n  - {id: look, if: steps.gray.status == 'completed', uses: image.info}\n  - {id: small, uses: image.resize, with: {width: 5}, save: small.png}\n";

fn of(world: &World, from: Option<&str>) -> Result<Preview, (StepPath, StepError)> {
    let from = from.map(path);
    preview(&world.plan, &world.run, from.as_ref(), world.now, &offer)
}

/// Who serves a model in these tests: `flux-pro` for each picture, `flux-dev` for each megapixel, `nano-banana` for nobody
/// says what.
fn offer(_: &str, model: &str) -> Option<Offer> {
    let price = |low, high, per| Some(Price { low, high, per, source: "2026-11".to_owned() });
    let usually = Some(Duration::from_secs(9));
    let by = |price| Offer { provider: "fal".to_owned(), is_free: false, price, usually };
    match model {
        "flux-pro" => Some(by(price(0.04, 0.05, Unit::Call))),
        "flux-dev" => Some(by(price(0.02, 0.02, Unit::Megapixel))),
        "nano-banana" => Some(by(None)),
        model => Some(Offer::local(format!("{model} by us"))),
    }
}

/// What a step, or everything, costs in cents.
fn cents(cost: &Cost) -> (u32, u32, bool) {
    ((cost.low * 100.0).round() as u32, (cost.high * 100.0).round() as u32, cost.per_item)
}

#[test]
fn a_plan_says_what_each_step_will_cost_and_how_that_is_known() {
    let text = "inputs:\n  more: {type: boolean, default: true}\n  models: {type: json, default: [flux-pro, flux-dev]}\nsteps:\n  \
                - {id: one, uses: image.generate, with: {prompt: mug, model: flux-pro}}\n  \
                - {id: large, uses: image.generate, with: {prompt: mug, model: flux-dev, width: 2000, height: 1500}}\n  \
                - {id: perhaps, if: steps.one.error, uses: image.generate, with: {prompt: mug, model: flux-pro}}\n  \
                - {id: no, if: not inputs.more, uses: image.generate, with: {prompt: mug, model: flux-pro}}\n  \
                - {id: each, for-each: range(10), uses: image.generate, with: {prompt: mug, model: flux-pro}}\n  \
                - {id: models, for-each: inputs.models, uses: image.generate, with: {prompt: mug, model: '${{ item }}', width: 1000, height: 1000}}\n  \
                - {id: gray, uses: image.grayscale, with: {image: '${{ steps.one.image }}'}}\n  \
                - {id: here, uses: image.generate, with: {prompt: mug}}\n  \
                - id: open\n    for-each: steps.each.ok\n    steps:\n      - {id: p, uses: image.generate, with: {prompt: mug, model: flux-pro}}\n";
    let mut world = World::new(text);
    let shown = of(&world, None).unwrap();
    let costs: Vec<(&str, (u32, u32, bool))> =
        shown.steps.iter().map(|step| (step.path.as_str(), cents(&step.cost))).collect();
    let want = [
        ("one", (4, 5, false)),
        ("large", (6, 6, false)),
        ("perhaps", (0, 5, false)),
        ("no", (0, 0, false)),
        ("each", (40, 50, false)),
        ("models", (6, 7, false)),
        ("gray", (0, 0, false)),
        ("here", (0, 0, false)),
        ("open", (0, 0, false)),
        ("open[*]/p", (4, 5, true)),
    ];
    assert_eq!(costs, want);
    assert_eq!(cents(&shown.cost), (60, 78, true));
    assert_eq!((shown.cost.source.as_str(), shown.steps[0].cost.source.as_str()), ("fal: 2026-11", "fal: 2026-11"));
    assert_eq!((shown.steps[7].cost.source.as_str(), shown.steps[0].seconds), ("local", Some(9.0)));
    world.finish();
    let after = of(&world, Some("each")).unwrap();
    assert_eq!(cents(&after.steps[0].cost), (0, 0, false), "what is kept is not paid again");
}

#[test]
fn a_price_that_nobody_knows_is_not_taken_for_nothing() {
    let world = World::new("steps:\n  - {id: a, uses: image.generate, with: {prompt: mug, model: nano-banana}}\n");
    let shown = of(&world, None).unwrap();
    assert!(!shown.cost.is_known() && !shown.steps[0].cost.is_known());
    assert_eq!(shown.cost.source, "unknown");
}

fn rows(world: &World, from: Option<&str>) -> Vec<(String, Action)> {
    of(world, from).unwrap().steps.into_iter().map(|step| (step.path, step.action)).collect()
}

fn photo() -> serde_json::Value {
    json!({"photo": picture("a.png")})
}

#[test]
fn a_fresh_run_runs_skips_what_its_inputs_exclude_and_leaves_open_what_depends_on_steps() {
    let world = World::with(PHOTO, photo(), |_| {});
    let want = [("gray", Action::Run), ("wide", Action::Skip), ("look", Action::Unknown), ("small", Action::Run)];
    assert_eq!(rows(&world, None), want.map(|(path, action)| (path.to_owned(), action)));
    let preview = of(&world, None).unwrap();
    assert_eq!(preview.steps[3].save.as_deref(), Some("small.png"));
    assert_eq!(preview.steps[0].from.as_deref(), Some("inputs.photo"));
}

#[test]
fn a_fan_out_over_a_known_list_says_how_many_and_one_over_an_unknown_list_does_not() {
    let text = "inputs:\n  photos: {type: 'image[]'}\nsteps:\n  - {id: x, for-each: inputs.photos, matrix: {w: [1, 2]}, uses: image.resize, with: {width: '${{ matrix.w }}'}}\n  - id: y\n    for-each: steps.x.ok\n    steps:\n      - {uses: image.grayscale, save: '${{ number }}.png'}\n";
    let mut world = World::with(text, json!({"photos": pictures(3)}), |_| {});
    let before = of(&world, None).unwrap();
    let items: Vec<(&str, Option<u32>)> = before.steps.iter().map(|step| (step.path.as_str(), step.items)).collect();
    assert_eq!(items, [("x", Some(6)), ("y", None), ("y[*]/grayscale", None)]);
    assert_eq!(before.items, 6);
    assert_eq!(before.steps[2].save.as_deref(), Some("${{ number }}.png"));
    world.finish();
    let after = of(&world, Some("y")).unwrap();
    assert_eq!(
        (after.steps[0].action, after.steps[1].action, after.steps[1].items),
        (Action::Keep, Action::Run, Some(6))
    );
}

#[test]
fn after_a_failure_what_is_done_is_kept() {
    let mut world = World::with(PHOTO, photo(), |_| {}).fault("small", 9, ErrorClass::InvalidInput);
    world.finish();
    let want = [("gray", Action::Keep), ("wide", Action::Keep), ("look", Action::Keep), ("small", Action::Run)];
    assert_eq!(rows(&world, None), want.map(|(path, action)| (path.to_owned(), action)));
    let want = [("gray", Action::Keep), ("wide", Action::Keep), ("look", Action::Unknown), ("small", Action::Run)];
    assert_eq!(rows(&world, Some("look")), want.map(|(path, action)| (path.to_owned(), action)));
    assert_eq!(world.run.head.generation, 1, "a preview changes nothing");
}

#[test]
fn what_is_there_already_is_cached_and_what_only_it_needs_is_skipped() {
    let mut first = World::with(PHOTO, photo(), |_| {});
    first.finish();
    let reusable = |path| {
        let step = first.run.step(path).unwrap();
        Reusable { saved: step.saved.clone().unwrap(), outputs: step.outputs.clone() }
    };
    let saved = first.saved.iter().map(|(key, path)| (*key, reusable(path))).collect();
    let mut world = World::with(PHOTO, photo(), |spec| spec.saved = saved);
    let said = rows(&world, None);
    assert_eq!(said[0], ("gray".to_owned(), Action::Cached));
    assert_eq!(said[3], ("small".to_owned(), Action::Cached));
    world.finish();
    for (path, action) in said {
        let did = match world.status(&path) {
            "cached" => Action::Cached,
            "skipped" => Action::Skip,
            _ => Action::Run,
        };
        assert!(action == did || action == Action::Unknown, "{path}: said {action:?}, did {did:?}");
    }
    assert_eq!(rows(&world, Some("gray"))[0].1, Action::Run, "from a step it is done anew");
}

#[test]
fn what_would_fail_for_certain_is_an_error() {
    let photos = json!({"photos": [picture("a.png"), picture("a.png")], "list": "no"});
    let cases = [
        (
            "x",
            "save_collision",
            "  - {id: x, for-each: inputs.photos, uses: image.grayscale, save: '${{ item.stem }}.png'}\n",
        ),
        ("x", "invalid_input", "  - {id: x, for-each: inputs.list, uses: noop}\n"),
    ];
    for (step, code, steps) in cases {
        let text = format!("inputs:\n  photos: {{type: 'image[]'}}\n  list: {{type: json}}\nsteps:\n{steps}");
        let (at, error) = of(&World::with(&text, photos.clone(), |_| {}), None).unwrap_err();
        assert_eq!((at.as_str(), error.code.as_str()), (step, code), "{steps}");
    }
    let text = "inputs:\n  name: {type: string}\n  photo: {type: image}\nsteps:\n  - {id: a, uses: image.grayscale, save: '${{ inputs.name }}.png'}\n";
    let world = World::with(text, json!({"photo": picture("a.png"), "name": "../x"}), |_| {});
    assert_eq!(of(&world, None).unwrap_err().1.code, "save_path");
}

/// Knows one other workflow, which pays for each of the pictures that it is given.
struct Shop;

impl Prices for Shop {
    fn offer(&self, op: &str, model: &str) -> Option<Offer> {
        offer(op, model)
    }

    fn child(&self, reference: &str, inputs: &Map) -> Option<Cost> {
        let low = inputs.get("count")?.as_f64()? * 0.04;
        (reference == "shop").then(|| Cost { low, high: 2.0 * low, source: "fal: 2026-11".into(), per_item: false })
    }
}

#[test]
fn children_cost_what_their_workflows_do_and_those_that_nobody_knows_are_unknown() {
    let text = "inputs:
  count: {type: integer, default: 3}
steps:
  - {id: one, uses: 'workflow:shop', with: {count: '${{ inputs.count }}'}}
  - {id: each, for-each: '[1, 2]', uses: 'workflow:shop', with: {count: '${{ item }}'}}
  - {id: other, uses: 'workflow:other'}
";
    let world = World::new(text);
    let shown = preview(&world.plan, &world.run, None, world.now, &Shop).unwrap();
    let costs: Vec<(f64, f64, bool)> =
        shown.steps.iter().map(|step| (step.cost.low, step.cost.high, step.cost.is_known())).collect();
    assert_eq!(costs, [(0.12, 0.24, true), (0.12, 0.24, true), (0.0, 0.0, false)]);
}
