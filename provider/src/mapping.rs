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
        let shaped = target.shape(name, value, &mut mapped.notes);
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
    let is_ignored = |name: &str| {
        let is_size = matches!(name, "width" | "height" | "aspect");
        !OURS.contains(&name)
            && !files.contains(name)
            && !has(ask.route, name)
            && !(is_size && sized)
            && is_asked(ask, name)
    };
    ask.params.keys().filter(|name| is_ignored(name)).cloned().collect()
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
        "aspect" => aspect(ask.params).map(|aspect| Raw::Value(aspect.into())),
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

fn aspect(params: &Map) -> Option<String> {
    if let Some(aspect) = text(params, "aspect") {
        return Some(aspect.to_owned());
    }
    let (width, height) = sides(params)?;
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
