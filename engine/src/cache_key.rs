//! The key of the step cache: the digest of everything that determines what a step gives. Equal keys mean equal outputs,
//! whatever run, workflow or folder the steps are in.

use crate::plan::{CacheMode, Call};
use darkroom_proto::op::OpSpec;
use darkroom_proto::{CacheUse, Map, Tenant, cache_key, model_of};

/// How a call with these parameters uses the cache. `may_take`: whether the run takes anything from before.
pub(crate) fn cache_use(tenant: &Tenant, call: &Call, params: &Map, may_take: bool) -> Option<CacheUse> {
    if call.cache == CacheMode::Off || !call.op.is_cached() || draws_lots(call.op, params) {
        return None;
    }
    let read = may_take && call.cache == CacheMode::Auto;
    Some(CacheUse { key: cache_key(tenant, call.op, params), read, tenant: tenant.clone() })
}

/// Whether each call gives something else: it could be told a seed, and was not.
pub(crate) fn draws_lots(op: &OpSpec, params: &Map) -> bool {
    let is_built_in = model_of(op, params).is_none_or(|(model, _)| model.routes.is_empty());
    op.param("seed").is_some() && !params.contains_key("seed") && !is_built_in
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::Sha256;
    use darkroom_proto::{Artifact, op};
    use serde_json::{Value, json};

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
        cache_key(&Tenant::default(), op::find(name).unwrap(), &params(value))
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

    #[test]
    fn what_one_tenant_made_is_not_there_for_another_one() {
        let (op, params) = (op::find("image.generate").unwrap(), params(json!({"prompt": "x", "seed": 1})));
        let of = |tenant: &str| cache_key(&tenant.parse().unwrap(), op, &params);
        assert_eq!(of("default"), cache_key(&Tenant::default(), op, &params));
        assert_ne!(of("shop"), of("default"));
    }
}
