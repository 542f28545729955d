//! The key of the step cache: the digest of everything that determines what a step gives. Equal keys mean equal outputs,
//! whatever run, workflow or folder the steps are in.

use crate::plan::{CacheMode, Call};
use darkroom_proto::model::{self, Model};
use darkroom_proto::op::OpSpec;
use darkroom_proto::{Artifact, CacheUse, Map, Sha256};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Whose cache it is, until there is more than one tenant.
const TENANT: &str = "default";

/// Parameters that say how a call is made and not what of.
const OF_THE_CALL: &[&str] = &["on-unknown", "model"];

/// How a call with these parameters uses the cache. `may_take`: whether the run takes anything from before.
pub(crate) fn cache_use(call: &Call, params: &Map, may_take: bool) -> Option<CacheUse> {
    if call.cache == CacheMode::Off || !call.op.is_cached() || draws_lots(call.op, params) {
        return None;
    }
    let read = may_take && call.cache == CacheMode::Auto;
    Some(CacheUse { key: key(call.op, params), read })
}

/// Whether each call gives something else: it could be told a seed, and was not.
fn draws_lots(op: &OpSpec, params: &Map) -> bool {
    let is_built_in = model_of(op, params).is_none_or(|(model, _)| model.routes.is_empty());
    op.param("seed").is_some() && !params.contains_key("seed") && !is_built_in
}

/// The digest of op, model, parameters and input files of a call, those left out filled in with what holds then.
pub(crate) fn key(op: &OpSpec, params: &Map) -> Sha256 {
    let mut determined: BTreeMap<&str, Value> = BTreeMap::new();
    for param in op.params.iter().filter(|param| !OF_THE_CALL.contains(&param.name)) {
        let value = match params.get(param.name) {
            Some(value) => canonical(value),
            None => serde_json::from_str(param.default).unwrap_or(Value::Null),
        };
        determined.insert(param.name, value);
    }
    let model = model_of(op, params).map(|(model, provider)| json!([model.alias, provider, version(model)]));
    let all = json!([TENANT, op.name, op.revision(), model, determined]);
    Sha256::of(all.to_string().as_bytes())
}

/// The model that a call names or has by default, and the provider if it names one.
fn model_of<'p>(op: &OpSpec, params: &'p Map) -> Option<(&'static Model, Option<&'p str>)> {
    let param = op.model_param()?;
    match params.get(param.name).and_then(Value::as_str) {
        Some(name) => model::meaning(op.name, name),
        None => {
            let default: String = serde_json::from_str(param.default).ok()?;
            model::find(op.name, &default).map(|model| (model, None))
        }
    }
}

/// What the catalogue says of how a model is asked. Another endpoint is another version of the model.
fn version(model: &Model) -> Sha256 {
    let routes = model.routes.iter().map(|route| json!([route.provider, route.endpoint, route.fixed, route.defaults]));
    Sha256::of(Value::Array(routes.collect()).to_string().as_bytes())
}

/// A value with each file as its content alone: what it is called does not change what is made of it. Maps come sorted.
fn canonical(value: &Value) -> Value {
    if let Some(artifact) = Artifact::from_value(value) {
        return json!({ "sha256": artifact.sha256 });
    }
    match value {
        Value::Array(items) => items.iter().map(canonical).collect(),
        Value::Object(map) => {
            let sorted: BTreeMap<&String, Value> = map.iter().map(|(name, value)| (name, canonical(value))).collect();
            json!(sorted)
        }
        // 2 and 2.0 are one number.
        Value::Number(number) => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < 9e15 => json!(float as i64),
            _ => value.clone(),
        },
        Value::Null | Value::Bool(_) | Value::String(_) => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::op;

    fn params(value: Value) -> Map {
        value.as_object().cloned().unwrap()
    }

    fn picture(name: &str, bytes: &str) -> Value {
        let artifact = Artifact {
            sha256: Sha256::of(bytes.as_bytes()),
            media_type: "image/png".into(),
            bytes: bytes.len() as u64,
            width: Some(1),
            height: Some(1),
            duration: None,
            name: name.into(),
        };
        artifact.to_value()
    }

    fn of(name: &str, value: Value) -> Sha256 {
        key(op::find(name).unwrap(), &params(value))
    }

    #[test]
    fn only_what_determines_the_result_is_in_the_key() {
        let base = || json!({"prompt": "a mug", "model": "flux-pro", "seed": 42});
        let with = |name: &str, value: Value| {
            let mut all = base();
            all[name] = value;
            of("image.generate", all)
        };
        let key = of("image.generate", base());
        let differing = [
            ("prompt", json!("a cup")),
            ("seed", json!(43)),
            ("width", json!(512)),
            ("model", json!("local")),
            ("model", json!("fal/flux-pro")),
        ];
        for (name, value) in differing {
            assert_ne!(with(name, value.clone()), key, "{name}: {value}");
        }
        for (name, value) in [("seed", json!(42.0)), ("on-unknown", json!("hold"))] {
            assert_eq!(with(name, value.clone()), key, "{name}: {value}");
        }
    }

    #[test]
    fn a_default_is_the_same_as_writing_it_out() {
        for op in op::OPS.iter().filter(|op| op.is_cached()) {
            for param in op.params.iter().filter(|param| !param.default.is_empty()) {
                let Ok(default) = serde_json::from_str::<Value>(param.default) else { continue };
                assert_eq!(
                    of(op.name, json!({})),
                    of(op.name, json!({param.name: default})),
                    "{} {}",
                    op.name,
                    param.name
                );
            }
        }
    }

    #[test]
    fn a_file_counts_by_its_bytes_and_not_by_its_name() {
        let edit = |name, bytes| of("image.edit", json!({"image": picture(name, bytes), "prompt": "x", "seed": 1}));
        assert_eq!(edit("a.png", "1"), edit("b.png", "1"));
        assert_ne!(edit("a.png", "1"), edit("a.png", "2"));
    }

    #[test]
    fn a_call_that_was_given_no_seed_is_made_anew() {
        let generate = op::find("image.generate").unwrap();
        assert!(draws_lots(generate, &params(json!({"prompt": "x", "model": "flux-pro"}))));
        assert!(!draws_lots(generate, &params(json!({"prompt": "x", "model": "flux-pro", "seed": 1}))));
    }
}
