//! Why a step was taken from the step cache or not.

use crate::world::{World, path, picture};
use darkroom_engine::{CacheWhy, Spec, cache_why};
use darkroom_proto::{CacheEntry, CacheParts, CachedFrom, Map, Money, Outcome, RunId, Tenant, Timestamp, op};
use serde_json::{Value, json};

fn generate(with: &str) -> String {
    format!("steps:\n  - {{id: make, uses: image.generate, {with}}}\n")
}

const PLAIN: &str = "with: {prompt: a mug, model: flux-pro, seed: 42}";

/// What another run's step of an op was kept as.
fn entry(step: &str, at: u64, of: &str, params: &Value) -> CacheEntry {
    let params: Map = params.as_object().unwrap().clone();
    CacheEntry {
        outputs: Map::new(),
        from: CachedFrom { run: RunId::from_bytes([7; 16]), step: path(step) },
        at: Timestamp(at),
        cost: Money::ZERO,
        parts: Some(CacheParts::of(&Tenant::default(), op::find(of).unwrap(), &params)),
    }
}

fn ran(text: &str, change: impl FnOnce(&mut Spec)) -> World {
    let mut world = World::with(text, json!({}), change);
    world.finish();
    world
}

fn why(world: &World, step: &str, entries: &[CacheEntry]) -> CacheWhy {
    cache_why(&world.plan, &world.run, &path(step), entries, &|_| true)
}

fn plain() -> Value {
    json!({"prompt": "a mug", "model": "flux-pro", "seed": 42})
}

/// A part, and what it was then and is now.
type Differing = (String, Option<Value>, Option<Value>);

fn differing(world: &World, entries: &[CacheEntry]) -> (String, Vec<Differing>) {
    match why(world, "make", entries) {
        CacheWhy::Differs { nearest, differences, .. } => {
            let parts = differences.into_iter().map(|difference| (difference.part, difference.then, difference.now));
            (nearest.step.to_string(), parts.collect())
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_keeps_a_step_from_the_cache_is_named() {
    let equal = [entry("other", 0, "image.generate", &plain())];
    let not_cached = "steps:\n  - {uses: value, id: v, with: {value: 1}}\n".to_owned();
    let fan =
        "steps:\n  - {id: make, matrix: {n: [1, 2]}, uses: image.generate, with: {prompt: x, seed: 1}}\n".to_owned();
    let cases = [
        (generate(&format!("cache: off, {PLAIN}")), "make", CacheWhy::Off),
        (generate(&format!("cache: refresh, {PLAIN}")), "make", CacheWhy::Refresh),
        (generate("with: {prompt: a mug, model: flux-pro}"), "make", CacheWhy::NoSeed),
        (not_cached, "v", CacheWhy::NotCached { op: "value".into() }),
        (fan, "make", CacheWhy::NoCall),
    ];
    for (text, step, want) in cases {
        assert_eq!(why(&ran(&text, |_| {}), step, &equal), want, "{text}");
    }
    assert_eq!(why(&ran(&generate(PLAIN), |spec| spec.fresh = true), "make", &equal), CacheWhy::Fresh);
}

#[test]
fn a_hit_names_the_step_that_was_taken() {
    let mut world = World::with(&generate(PLAIN), json!({}), |_| {});
    world.start();
    let message = world.take_of("make");
    let from = CachedFrom { run: RunId::from_bytes([7; 16]), step: path("other[2]") };
    let mut taken = world.work_on(&message);
    if let Outcome::Succeeded(succeeded) = &mut taken.outcome {
        succeeded.cached = Some(from.clone());
    }
    world.apply(darkroom_engine::Event::Report(taken));
    assert_eq!(why(&world, "make", &[]), CacheWhy::Hit { from });
}

#[test]
fn the_parts_that_differ_from_the_nearest_earlier_step_are_named() {
    let world = ran(&generate(PLAIN), |_| {});
    let with = |name: &str, value: Value| {
        let mut all = plain();
        all[name] = value;
        all
    };
    let one =
        |name: &str, value: Value| differing(&world, &[entry("other", 0, "image.generate", &with(name, value))]).1;
    assert_eq!(one("seed", json!(41)), [("seed".into(), Some(json!(41)), Some(json!(42)))]);
    assert_eq!(one("prompt", json!("a cup")), [("prompt".into(), Some(json!("a cup")), Some(json!("a mug")))]);
    let model = one("model", json!("fal/flux-pro"));
    assert_eq!(model, [("model".into(), Some(json!("fal/flux-pro")), Some(json!("flux-pro")))]);
    let long = "x".repeat(20_000);
    assert_eq!(one("prompt", json!(long)), [("prompt".into(), None, Some(json!("a mug")))]);
    // Of several, the one that differs least, and of those the newest; nothing that was made later.
    let mut far = with("seed", json!(1));
    far["prompt"] = json!("a pot");
    let entries = [
        entry("later", u64::MAX, "image.generate", &with("seed", json!(3))),
        entry("near", 0, "image.generate", &with("seed", json!(2))),
        entry("far", 0, "image.generate", &far),
        entry("edit", 0, "image.edit", &plain()),
    ];
    assert_eq!(differing(&world, &entries).0, "near");
    assert_eq!(why(&world, "make", &entries[3..]), CacheWhy::FirstOfOp { op: "image.generate".into() });
}

#[test]
fn another_file_is_told_by_its_digest() {
    let text = "inputs:\n  photo: {type: image}\nsteps:\n  - {id: make, uses: image.edit, with: {image: '${{ inputs.photo }}', prompt: x, seed: 1}}\n";
    let mut world = World::with(text, json!({"photo": picture("a.png")}), |_| {});
    world.finish();
    let other = entry("other", 0, "image.edit", &json!({"image": picture("b.png"), "prompt": "x", "seed": 1}));
    match why(&world, "make", &[other]) {
        CacheWhy::Differs { differences, .. } => {
            assert_eq!(differences.len(), 1, "{differences:?}");
            assert_eq!((differences[0].part.as_str(), differences[0].is_file), ("image", true));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_equal_entry_that_was_not_taken_says_why() {
    let world = ran(&generate(PLAIN), |_| {});
    let equal = entry("other", 0, "image.generate", &plain());
    let nearest = equal.from.clone();
    assert_eq!(why(&world, "make", std::slice::from_ref(&equal)), CacheWhy::Kept { nearest: nearest.clone() });
    let gone = cache_why(&world.plan, &world.run, &path("make"), std::slice::from_ref(&equal), &|_| false);
    assert_eq!(gone, CacheWhy::Gone { nearest: nearest.clone() });
    let mut own = entry("make", 9, "image.generate", &plain());
    own.from.run = world.run.id;
    own.parts.as_mut().unwrap().by = "local".into();
    let want = CacheWhy::ByOther { nearest, then: String::new(), now: "local".into() };
    assert_eq!(why(&world, "make", &[own, equal.clone()]), want);
    // What another tenant has is not there.
    let mut foreign = equal;
    foreign.parts.as_mut().unwrap().tenant = "shop".parse().unwrap();
    assert_eq!(why(&world, "make", &[foreign]), CacheWhy::FirstOfOp { op: "image.generate".into() });
}

#[test]
fn what_is_kept_of_the_parts_is_bounded() {
    let (op, tenant) = (op::find("image.generate").unwrap(), Tenant::default());
    let params: Map = op.params.iter().map(|param| (param.name.to_owned(), json!("y".repeat(1_000)))).collect();
    let parts = CacheParts::of(&tenant, op, &params);
    assert!(json!(parts).to_string().len() <= 8 << 10);
    assert_eq!(parts.key, darkroom_proto::cache_key(&tenant, op, &params));
}
