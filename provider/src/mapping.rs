//! What the op table calls a thing becomes what a provider calls it, by the map of a route.
//!
//! An entry is `ours = "theirs"` or `ours = "theirs:form:form"`. `theirs` may lead into objects and lists
//! (`instances.0.prompt`). Ours are the parameters of the op and two that follow from them: `size` from `width`, `height` and
//! `aspect`, and `aspect` also from `width` and `height`.

use crate::adapter::{Ask, File};
use crate::form::{Shaped, Target};
use crate::http::Part;
use darkroom_proto::model::Route;
use darkroom_proto::op::{self, OpSpec};
use darkroom_proto::{ErrorClass, Map, StepError};
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// Parameters that say how Darkroom works, which no provider has to know.
const OURS: &[&str] =
    &["model", "strict", "on-unknown", "substitutes", "allow-empty", "min-score", "max", "budget", "cache"];

/// Pixels of a picture of which only the proportion is given.
const AREA: f64 = 1_048_576.0;

/// Sides that follow from a proportion are multiples of this, which every model takes.
const SIDE_STEP: f64 = 16.0;

/// What a provider is sent.
#[derive(Debug, Clone, Default)]
pub struct Mapped {
    /// Parameters by the provider's names, what is always sent included.
    pub body: Map,
    /// Fields of a form that are files: their names, and which of `ask.files`.
    pub files: Vec<(String, usize)>,
    /// Parameters that this route has no use for, as the op table names them.
    pub ignored: Vec<String>,
    /// What is asked for otherwise than it was given.
    pub notes: Vec<String>,
}

impl Mapped {
    /// The fields of a form: texts, then files.
    pub fn parts(&self, ask: &Ask<'_>) -> Vec<Part> {
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let texts = self.body.iter().map(|(name, value)| Part::text(name, text(value)));
        let files = self.files.iter().filter_map(|(name, at)| {
            let file = ask.files.get(*at)?;
            Some(Part {
                name: name.clone(),
                file_name: Some(file.name.clone()),
                media_type: Some(file.media_type.clone()),
                bytes: file.bytes.to_vec(),
            })
        });
        texts.chain(files).collect()
    }
}

/// What is asked for, by the provider's names.
///
/// # Errors
/// When the route can't do what is asked (`unsupported_parameter`), so that another one is taken, or when its map can't be
/// read.
pub fn body(ask: &Ask<'_>) -> Result<Mapped, StepError> {
    fits(ask)?;
    let mut mapped = Mapped { ignored: unsupported(ask), ..Mapped::default() };
    for (name, entry) in &ask.route.map {
        let target = Target::parse(entry).map_err(|why| bad_route(ask.route, name, &why))?;
        let Some(value) = value(ask, name) else { continue };
        let mut notes = Vec::new();
        let shaped = target.shape(name, value, &mut notes);
        // What follows from a picture was not asked for.
        let is_asked = name != "aspect" || sides(ask.params).is_some() || text(ask.params, "aspect").is_some();
        mapped.notes.extend(notes.into_iter().filter(|_| is_asked));
        match shaped.map_err(|why| cannot(ask, name, &why))? {
            Shaped::Value(value) => put(&mut mapped.body, target.path, value, false),
            Shaped::Items(items) => put(&mut mapped.body, target.path, Value::Array(items), true),
            Shaped::Parts(files) => mapped.files.extend(files.into_iter().map(|at| (target.path.to_owned(), at))),
            Shaped::Nothing => {}
        }
    }
    let only_proportion = has(ask.route, "aspect") && !has(ask.route, "size") && !has(ask.route, "width");
    if only_proportion && ["width", "height"].iter().any(|side| is_asked(ask, side)) {
        mapped.notes.push("width and height count as a proportion only".to_owned());
    }
    for (name, value) in &ask.route.defaults {
        mapped.body.entry(name).or_insert_with(|| value.clone());
    }
    merge(&mut mapped.body, &ask.route.fixed);
    Ok(mapped)
}

/// Whether the route can do what is asked at all.
///
/// # Errors
/// `unsupported_parameter`, of class `invalid_input`: the next route may be able to. Files are never left out, and with
/// `strict` no parameter is.
pub fn fits(ask: &Ask<'_>) -> Result<(), StepError> {
    let given = |name: &str| ask.files.iter().any(|file| file.param == name) || value(ask, name).is_some();
    if let Some(missing) = ask.route.needs.iter().find(|name| !given(name)) {
        return Err(cannot(ask, missing, "it is needed and was not given"));
    }
    if let Some(refused) = ask.route.refuses.iter().find(|name| given(name)) {
        return Err(cannot(ask, refused, "the model can't take it"));
    }
    if let Some(file) = ask.files.iter().find(|file| !has(ask.route, &file.param)) {
        return Err(cannot(ask, &file.param, "the model can't take it"));
    }
    if ask.params.get("strict").and_then(Value::as_bool) == Some(true)
        && let Some(ignored) = unsupported(ask).first()
    {
        return Err(cannot(ask, ignored, "the model can't take it, and `strict` is set"));
    }
    Ok(())
}

/// Parameters that differ from what holds without them and that the route has no name for.
pub fn unsupported(ask: &Ask<'_>) -> Vec<String> {
    let sized = ["size", "aspect", "width", "height"].iter().any(|name| has(ask.route, name));
    let files: BTreeSet<&str> = ask.files.iter().map(|file| file.param.as_str()).collect();
    let is_taken = |name: &str| {
        let is_size = matches!(name, "width" | "height" | "aspect");
        OURS.contains(&name) || files.contains(name) || has(ask.route, name) || (is_size && sized)
    };
    let is_ignored = |name: &&String| !is_taken(name) && is_asked(ask, name);
    ask.params.keys().filter(is_ignored).cloned().collect()
}

/// Whether the map of a route can be read.
///
/// # Errors
/// What is wrong with it.
pub fn check(route: &Route) -> Result<(), String> {
    for (name, entry) in &route.map {
        Target::parse(entry).map_err(|why| format!("`{name} = \"{entry}\"`: {why}"))?;
    }
    Ok(())
}

/// The sides of the picture that is asked for: `aspect` decides the proportion, `width` and `height` the area.
pub fn sides(params: &Map) -> Option<(u32, u32)> {
    let side = |name| params.get(name).and_then(Value::as_u64).and_then(|side| u32::try_from(side).ok());
    let both = side("width").zip(side("height"));
    let Some(ratio) = text(params, "aspect").and_then(ratio_of) else { return both };
    let area = both.map_or(AREA, |(width, height)| f64::from(width) * f64::from(height));
    let round = |side: f64| ((side / SIDE_STEP).round().max(1.0) * SIDE_STEP) as u32;
    Some((round((area * ratio).sqrt()), round((area / ratio).sqrt())))
}

/// The proportion that a text such as `16:9` or `1024x768` is.
pub(crate) fn ratio_of(text: &str) -> Option<f64> {
    let (width, height) = text.split_once([':', 'x'])?;
    let (width, height): (f64, f64) = (width.trim().parse().ok()?, height.trim().parse().ok()?);
    let ratio = width / height;
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

/// What a parameter is to be, before it is brought into form.
pub(crate) enum Raw<'a> {
    /// A plain value.
    Value(Value),
    /// Pixels across and down.
    Sides(u32, u32),
    /// Files, by their place in `ask.files`.
    Files(Vec<(usize, &'a File)>),
}

fn value<'a>(ask: &Ask<'a>, name: &str) -> Option<Raw<'a>> {
    let files: Vec<_> = ask.files.iter().enumerate().filter(|(_, file)| file.param == name).collect();
    if !files.is_empty() {
        return Some(Raw::Files(files));
    }
    match name {
        "size" => sides(ask.params).map(|(width, height)| Raw::Sides(width, height)),
        "width" => sides(ask.params).map(|(width, _)| Raw::Value(width.into())),
        "height" => sides(ask.params).map(|(_, height)| Raw::Value(height.into())),
        "aspect" => aspect(ask).map(|aspect| Raw::Value(aspect.into())),
        "duration" => seconds(ask.params.get(name)?).map(Raw::Value),
        _ => plain(ask.params.get(name)?).map(Raw::Value),
    }
}

/// A value that says something: null and empty text and lists do not.
fn plain(value: &Value) -> Option<Value> {
    let is_empty = match value {
        Value::Null => true,
        Value::String(text) => text.trim().is_empty(),
        Value::Array(items) => items.is_empty(),
        _ => false,
    };
    (!is_empty).then(|| value.clone())
}

fn text<'a>(params: &'a Map, name: &str) -> Option<&'a str> {
    params.get(name).and_then(Value::as_str).filter(|text| !text.is_empty())
}

/// The proportion that is asked for; of a film that begins with a picture, else the picture's.
fn aspect(ask: &Ask<'_>) -> Option<String> {
    if let Some(aspect) = text(ask.params, "aspect") {
        return Some(aspect.to_owned());
    }
    let first = ask.files.iter().find(|file| file.param == "image" && ask.op == "video.generate");
    let (width, height) = sides(ask.params).or_else(|| first?.size)?;
    let divisor = greatest_divisor(width, height).max(1);
    Some(format!("{}:{}", width / divisor, height / divisor))
}

fn greatest_divisor(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { greatest_divisor(b, a % b) }
}

/// A span of time in seconds, whole where it is: given as a number or as text such as `5s`.
fn seconds(value: &Value) -> Option<Value> {
    let seconds = match value {
        Value::Number(number) => number.as_f64()?,
        Value::String(text) => text.parse::<darkroom_proto::Duration>().ok()?.as_secs_f64(),
        _ => return None,
    };
    Some(number(seconds))
}

/// A number without a fraction where it has none.
pub(crate) fn number(value: f64) -> Value {
    if value.fract() == 0.0 && value.abs() < 9e15 { json!(value as i64) } else { json!(value) }
}

fn has(route: &Route, name: &str) -> bool {
    route.map.contains_key(name)
}

/// Whether a parameter has another value than it has when it is not given.
fn is_asked(ask: &Ask<'_>, name: &str) -> bool {
    let Some(value) = ask.params.get(name).and_then(plain) else { return false };
    let default = op::find(ask.op).and_then(|op: &OpSpec| op.param(name)).map_or("", |param| param.default);
    serde_json::from_str::<Value>(default).ok().is_none_or(|default| !same(&default, &value))
}

fn same(one: &Value, other: &Value) -> bool {
    one == other || one.as_f64().is_some_and(|one| Some(one) == other.as_f64())
}

/// Puts a value where `path` leads; where it leads to a list already and `extend` is set, behind what is there.
pub(crate) fn put(body: &mut Map, path: &str, value: Value, extend: bool) {
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    let slot = body.entry(first).or_insert(Value::Null);
    put_into(slot, rest, value, extend);
}

fn put_into(slot: &mut Value, path: Option<&str>, value: Value, extend: bool) {
    let Some(path) = path else {
        match (slot, value) {
            (Value::Array(there), Value::Array(more)) if extend => there.extend(more),
            (slot, value) => *slot = value,
        }
        return;
    };
    let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
    // A map names few places; more than this in a list is a mistake in it.
    if let Some(at) = first.parse::<usize>().ok().filter(|at| *at < 16) {
        if !slot.is_array() {
            *slot = Value::Array(Vec::new());
        }
        if let Value::Array(items) = slot {
            if items.len() <= at {
                items.resize(at + 1, Value::Null);
            }
            put_into(&mut items[at], rest, value, extend);
        }
        return;
    }
    if !slot.is_object() {
        *slot = Value::Object(Map::new());
    }
    if let Value::Object(fields) = slot {
        put_into(fields.entry(first).or_insert(Value::Null), rest, value, extend);
    }
}

/// Lays `over` over `body`: objects field by field, everything else whole.
fn merge(body: &mut Map, over: &Map) {
    for (name, value) in over {
        match (body.get_mut(name), value) {
            (Some(Value::Object(there)), Value::Object(fields)) => merge(there, fields),
            _ => {
                body.insert(name.clone(), value.clone());
            }
        }
    }
}

fn cannot(ask: &Ask<'_>, name: &str, why: &str) -> StepError {
    let Route { provider, endpoint, .. } = ask.route;
    StepError::new(ErrorClass::InvalidInput, format!("`{name}` does not go with {endpoint} of {provider}: {why}"))
        .code("unsupported_parameter")
        .advice(format!("Change or leave out `{name}`, or name another model."))
}

fn bad_route(route: &Route, name: &str, why: &str) -> StepError {
    let Route { provider, endpoint, .. } = route;
    let message = format!("the model catalogue has a mistake: {endpoint} of {provider}, `{name}`: {why}");
    StepError::new(ErrorClass::WorkflowError, message)
        .code("bad_route")
        .advice("Correct the entry in your models file.")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sample::Sample;
    use std::collections::BTreeMap;

    /// A route of nobody's with this map.
    fn route(map: &[(&str, &str)]) -> Route {
        let map = map.iter().map(|(ours, theirs)| ((*ours).to_owned(), (*theirs).to_owned()));
        let mut route = darkroom_proto::model::find("image.generate", "flux-pro").unwrap().routes[0].clone();
        route.map = BTreeMap::from_iter(map);
        route.fixed = Map::new();
        route
    }

    fn mapped(op: &'static str, map: &[(&str, &str)], params: Value) -> Mapped {
        body(&Sample::of(op, route(map), params).ask()).unwrap()
    }

    #[test]
    fn parameters_take_the_names_and_forms_of_the_route() {
        let cases = [
            (("size", "image_size:wh"), json!({}), json!({"image_size": {"width": 1024, "height": 1024}})),
            (("size", "size"), json!({"width": 640, "height": 480}), json!({"size": "640x480"})),
            (
                ("size", "size:multiple(16,256,3840):wxh"),
                json!({"width": 100, "height": 505}),
                json!({"size": "256x512"}),
            ),
            (
                ("size", "size:nearest(1024x1024|1536x1024|1024x1536)"),
                json!({"width": 1600, "height": 900}),
                json!({"size": "1536x1024"}),
            ),
            (("width", "w:multiple(32,256,1440)"), json!({"width": 1000}), json!({"w": 992})),
            (("height", "h:multiple(32,256,1440)"), json!({"height": 2000}), json!({"h": 1440})),
            (("aspect", "a:nearest(21:9|16:9|1:1)"), json!({"aspect": "2.39:1"}), json!({"a": "21:9"})),
            (("aspect", "a:nearest(4:3|3:4|1:1)"), json!({"width": 768, "height": 1024}), json!({"a": "3:4"})),
            (("aspect", "a"), json!({"width": 1920, "height": 1080}), json!({"a": "16:9"})),
            (("safety", "s:clamp(1,6):text"), json!({"safety": 0}), json!({"s": "1"})),
            (("safety", "s:clamp(1,6)"), json!({"safety": 5}), json!({"s": 5})),
            (("guidance", "g:times(2):int"), json!({"guidance": 1.6}), json!({"g": 3})),
            (("seed", "seed"), json!({"seed": 7}), json!({"seed": 7})),
            (("negative-prompt", "n"), json!({"negative-prompt": " "}), json!({})),
            (("negative-prompt", "n"), json!({"negative-prompt": null}), json!({})),
        ];
        for (map, params, want) in cases {
            assert_eq!(Value::Object(mapped("image.generate", &[map], params.clone()).body), want, "{map:?} {params}");
        }
    }

    #[test]
    fn an_aspect_gives_sides_of_the_same_area() {
        let cases = [
            (json!({"aspect": "16:9"}), Some((1360, 768))),
            (json!({"aspect": "1:1", "width": 512, "height": 512}), Some((512, 512))),
            (json!({"aspect": "9:16", "width": 1024, "height": 1024}), Some((768, 1360))),
            (json!({"width": 640, "height": 480}), Some((640, 480))),
            (json!({"width": 640}), None),
            (json!({}), None),
            (json!({"aspect": "none"}), None),
        ];
        for (params, want) in cases {
            assert_eq!(sides(params.as_object().unwrap()), want, "{params}");
        }
    }

    #[test]
    fn lengths_are_what_the_provider_offers_in_its_own_spelling() {
        let cases = [
            ("duration:nearest(5|10):text", json!("9s"), json!("10")),
            ("duration:nearest(5|10):int", json!("5s"), json!(5)),
            ("duration:nearest(8|6|4):int", json!("5s"), json!(6)),
            ("duration:suffix(s)", json!(5), json!("5s")),
            ("duration", json!("1m"), json!(60)),
            ("duration", json!("2.5s"), json!(2.5)),
        ];
        for (entry, asked, want) in cases {
            let mapped = mapped("video.generate", &[("duration", entry)], json!({"duration": asked}));
            assert_eq!(mapped.body["duration"], want, "{entry} {asked}");
        }
        let eight = mapped("video.generate", &[("duration", "d:nearest(5|10)")], json!({"duration": "8s"}));
        assert_eq!(eight.notes, ["duration: 8 became 10"]);
        let five = mapped("video.generate", &[("duration", "d:nearest(5|10)")], json!({"duration": "5s"}));
        assert!(five.notes.is_empty(), "{:?}", five.notes);
    }

    #[test]
    fn what_becomes_another_value_is_noted() {
        let off = mapped("image.generate", &[("aspect", "a:nearest(16:9|1:1)")], json!({"aspect": "2:1"}));
        assert_eq!(off.notes, ["aspect: 2:1 became 16:9"]);
        // 1366:768 is 16:9 but for rounding.
        let near = mapped("image.generate", &[("aspect", "a:nearest(16:9|1:1)")], json!({"aspect": "1366:768"}));
        assert!(near.notes.is_empty(), "{:?}", near.notes);
        let large = mapped("image.generate", &[("aspect", "a")], json!({"width": 2048, "height": 2048}));
        assert_eq!(large.notes, ["width and height count as a proportion only"]);
        let word = mapped("audio.speech", &[("voice", "voice:words(alloy|rachel=Rachel)")], json!({"voice": "Bob"}));
        assert_eq!(word.notes, ["voice: Bob is not known there and was left out"]);
        assert!(!word.body.contains_key("voice"));
        let word = mapped("audio.speech", &[("voice", "voice:words(alloy|rachel=Rachel)")], json!({"voice": "rachel"}));
        assert_eq!(word.body["voice"], "Rachel");
    }

    #[test]
    fn a_proportion_that_nobody_asked_for_is_the_pictures_own() {
        let map = [("image", "image"), ("aspect", "a:nearest(16:9|1:1|9:16)")];
        let given = Sample::of("video.generate", route(&map), json!({})).with("image");
        let mapped = body(&given.ask()).unwrap();
        assert_eq!(mapped.body["a"], "16:9");
        assert!(mapped.notes.is_empty(), "{:?}", mapped.notes);
        let edited = Sample::of("image.edit", route(&map), json!({})).with("image");
        assert!(!body(&edited.ask()).unwrap().body.contains_key("a"), "an edit keeps the proportion by itself");
    }

    #[test]
    fn files_go_in_the_form_that_the_provider_takes() {
        let cases = [
            (("image", "u:url"), json!({"u": "data:image/png;base64,cG5n"})),
            (("image", "u:data_uri"), json!({"u": "data:image/png;base64,cG5n"})),
            (("image", "u:base64"), json!({"u": "cG5n"})),
            (("image", "u:urls"), json!({"u": ["data:image/png;base64,cG5n"]})),
            (("image", "u.0:base64"), json!({"u": ["cG5n"]})),
            (
                ("image", "a.b.c:inline(mimeType,data)"),
                json!({"a": {"b": {"c": {"mimeType": "image/png", "data": "cG5n"}}}}),
            ),
        ];
        for (map, want) in cases {
            let sample = Sample::of("image.upscale", route(&[map]), json!({})).with("image");
            assert_eq!(Value::Object(body(&sample.ask()).unwrap().body), want, "{map:?}");
        }
        let mut sample = Sample::of("image.upscale", route(&[("image", "u:url")]), json!({})).with("image");
        sample.files[0].url = Some("https://store.example/x".to_owned());
        assert_eq!(body(&sample.ask()).unwrap().body["u"], "https://store.example/x");
    }

    #[test]
    fn several_files_follow_the_first_one_in_one_list() {
        let map = [("image", "urls:urls"), ("images", "urls:urls"), ("prompt", "prompt")];
        let mut sample =
            Sample::of("image.edit", route(&map), json!({"prompt": "x"})).with("images").with("image").with("images");
        for (at, file) in sample.files.iter_mut().enumerate() {
            file.url = Some(format!("https://s.example/{at}"));
        }
        let want = json!(["https://s.example/1", "https://s.example/0", "https://s.example/2"]);
        assert_eq!(body(&sample.ask()).unwrap().body["urls"], want);
    }

    #[test]
    fn files_of_a_form_are_parts_of_it() {
        let map = [("image", "image:part"), ("prompt", "prompt"), ("seed", "seed")];
        let sample = Sample::of("image.edit", route(&map), json!({"prompt": "x", "seed": 3})).with("image");
        let ask = sample.ask();
        let parts = body(&ask).unwrap().parts(&ask);
        let names: Vec<(&str, &[u8])> = parts.iter().map(|part| (part.name.as_str(), part.bytes.as_slice())).collect();
        assert_eq!(names, [("prompt", &b"x"[..]), ("seed", b"3"), ("image", b"png")]);
        assert_eq!(parts[2].file_name.as_deref(), Some("image.png"));
    }

    #[test]
    fn what_a_route_has_no_name_for_is_ignored_and_told() {
        let map = [("prompt", "prompt"), ("aspect", "aspect")];
        let cases = [
            (json!({"prompt": "x"}), &[][..]),
            (json!({"prompt": "x", "seed": 0}), &[]),
            (json!({"prompt": "x", "seed": 7}), &["seed"]),
            (json!({"prompt": "x", "width": 640, "height": 480}), &[]),
            (json!({"prompt": "x", "guidance": 3.5, "steps": 20}), &["guidance", "steps"]),
            (json!({"prompt": "x", "negative-prompt": ""}), &[]),
            (json!({"prompt": "x", "model": "flux-pro", "on-unknown": "hold"}), &[]),
        ];
        for (params, want) in cases {
            assert_eq!(mapped("image.generate", &map, params.clone()).ignored, want, "{params}");
        }
        let sized = mapped("image.generate", &[("prompt", "prompt")], json!({"prompt": "x", "width": 640}));
        assert_eq!(sized.ignored, ["width"]);
    }

    #[test]
    fn a_route_that_cant_do_what_is_asked_is_not_taken() {
        let map = [("prompt", "prompt")];
        let refused = |sample: Sample| body(&sample.ask()).unwrap_err();
        let strict = json!({"prompt": "x", "seed": 7, "strict": true});
        let needs = Route { needs: vec!["image".to_owned()], ..route(&[("image", "image")]) };
        let refuses = Route { refuses: vec!["target".to_owned()], ..route(&[("image", "image")]) };
        let cases = [
            ("seed", refused(Sample::of("image.generate", route(&map), strict))),
            ("image", refused(Sample::of("video.generate", route(&map), json!({"prompt": "x"})).with("image"))),
            ("image", refused(Sample::of("video.generate", needs, json!({"prompt": "x"})))),
            ("target", refused(Sample::of("image.detect", refuses, json!({"target": "mug"})).with("image"))),
        ];
        for (name, error) in cases {
            assert_eq!(
                (error.class, error.code.as_str()),
                (ErrorClass::InvalidInput, "unsupported_parameter"),
                "{name}"
            );
            assert!(error.message.contains(&format!("`{name}`")), "{error}");
        }
        let lenient = json!({"prompt": "x", "seed": 7, "strict": false});
        assert!(body(&Sample::of("image.generate", route(&map), lenient).ask()).is_ok());
        let not_asked = json!({"prompt": "x", "strict": true});
        assert!(body(&Sample::of("image.generate", route(&map), not_asked).ask()).is_ok());
    }

    #[test]
    fn what_is_fixed_lies_over_what_is_mapped() {
        let mut route = route(&[("image", "keyframes.frame0.url:url"), ("prompt", "model")]);
        route.fixed =
            serde_json::from_value(json!({"model": "ray", "keyframes": {"frame0": {"type": "image"}}})).unwrap();
        let sample = Sample::of("video.generate", route, json!({"prompt": "x"})).with("image");
        let want = json!({
            "keyframes": {"frame0": {"url": "data:image/png;base64,cG5n", "type": "image"}}, "model": "ray",
        });
        assert_eq!(Value::Object(body(&sample.ask()).unwrap().body), want);
    }

    #[test]
    fn a_default_is_sent_where_the_workflow_says_nothing() {
        let mut route = route(&[("aspect", "ratio")]);
        route.defaults = serde_json::from_value(json!({"ratio": "16:9"})).unwrap();
        let ratio =
            |params| body(&Sample::of("video.generate", route.clone(), params).ask()).unwrap().body["ratio"].clone();
        assert_eq!(ratio(json!({})), "16:9");
        assert_eq!(ratio(json!({"aspect": "1:1"})), "1:1");
    }

    #[test]
    fn a_map_that_cant_be_read_is_an_error_and_no_panic() {
        for entry in
            ["", ":text", "a:no-such-form", "a:nearest", "a:clamp(1)", "a:clamp(x,2)", "a:multiple(0,1,2)", "a:text("]
        {
            let route = route(&[("seed", entry)]);
            assert!(check(&route).is_err(), "{entry}");
            let error = body(&Sample::of("image.generate", route, json!({"seed": 1})).ask()).unwrap_err();
            assert_eq!(error.code, "bad_route", "{entry}");
        }
        let no_number = Sample::of("image.generate", route(&[("prompt", "a:int")]), json!({"prompt": "x"}));
        assert_eq!(body(&no_number.ask()).unwrap_err().code, "unsupported_parameter");
    }

    #[test]
    fn every_map_of_the_catalogue_can_be_read() {
        for model in darkroom_proto::model::all() {
            for route in &model.routes {
                assert_eq!(check(route), Ok(()), "{} of {}", route.endpoint, route.provider);
            }
        }
    }
}
