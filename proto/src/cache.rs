//! The step cache: what an equal step gave before is taken instead of doing, and paying for, the step again.

use crate::model::{self, Model};
use crate::op::OpSpec;
use crate::{Artifact, Map, Money, RunId, Sha256, StepPath, Tenant, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// Parameters that say how a call is made and not what of.
const OF_THE_CALL: &[&str] = &["on-unknown", "model"];

/// What an entry keeps of what determined it, in bytes of JSON.
const PARTS_BYTES_MAX: usize = 8 << 10;

/// The longest value that is kept as it is: where there is room, and where there is not.
const VALUE_BYTES_MAX: [usize; 2] = [1 << 10, 100];

/// How a step uses the cache, as its message says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheUse {
    /// The digest of everything that determines what the step gives.
    pub key: Sha256,
    /// Whether what is there may be taken. Otherwise it is only replaced.
    pub read: bool,
    /// Whose cache it is.
    #[serde(default, skip_serializing_if = "Tenant::is_default")]
    pub tenant: Tenant,
}

/// The step whose outputs were taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CachedFrom {
    /// Its run.
    pub run: RunId,
    /// The step in it.
    pub step: StepPath,
}

/// What the cache keeps under a key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheEntry {
    /// What the step gave. Artifacts are references.
    pub outputs: Map,
    /// Which step it was.
    pub from: CachedFrom,
    /// When it was done.
    pub at: Timestamp,
    /// What it cost.
    #[serde(default)]
    pub cost: Money,
    /// What determined it. Entries of earlier releases have nothing here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<CacheParts>,
}

/// What determines the outputs of a call, part by part, so that people can be told how two calls differ. At most 8 KiB of
/// JSON: a longer value is kept as its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CacheParts {
    /// The digest of all of it, as the messages of steps carry it.
    pub key: Sha256,
    /// Whose entry it is.
    #[serde(default, skip_serializing_if = "Tenant::is_default")]
    pub tenant: Tenant,
    /// The op.
    pub op: String,
    /// Its revision.
    pub revision: u32,
    /// The model's alias, with the provider before it if the call names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// The digest of how the catalogue says that the model is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Sha256>,
    /// The parameters, those left out with what holds then. A file is `{"sha256": …}`: what it is called does not count.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, Value>,
    /// The digests of parameters that are too long to be kept.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub long: BTreeMap<String, Sha256>,
    /// Who did it: `local`, or the addresses of providers that are not their own. Empty: the providers themselves.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub by: String,
}

impl CacheParts {
    /// The parts of a call.
    pub fn of(tenant: &Tenant, op: &OpSpec, params: &Map) -> CacheParts {
        let determined = determined(op, params);
        let model = model_of(op, params);
        let mut parts = CacheParts {
            key: key_of(tenant, op, model, &determined),
            tenant: tenant.clone(),
            op: op.name.to_owned(),
            revision: op.revision(),
            model: model.map(|(model, provider)| match provider {
                Some(provider) => format!("{provider}/{}", model.alias),
                None => model.alias.clone(),
            }),
            version: model.map(|(model, _)| version(model)),
            params: determined.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
            long: BTreeMap::new(),
            by: String::new(),
        };
        for bytes_max in VALUE_BYTES_MAX {
            parts.shorten(bytes_max);
            if json!(parts).to_string().len() <= PARTS_BYTES_MAX {
                break;
            }
        }
        parts
    }

    /// Keeps values over a length as their digests.
    fn shorten(&mut self, bytes_max: usize) {
        let (kept, long) = std::mem::take(&mut self.params)
            .into_iter()
            .partition::<BTreeMap<String, Value>, _>(|(_, value)| value.to_string().len() <= bytes_max);
        self.params = kept;
        self.long.extend(long.into_iter().map(|(name, value)| (name, digest(&value))));
    }

    /// The digest of a parameter, whether or not it was short enough to be kept.
    pub fn digest_of(&self, name: &str) -> Option<Sha256> {
        self.long.get(name).copied().or_else(|| self.params.get(name).map(digest))
    }
}

fn digest(value: &Value) -> Sha256 {
    Sha256::of(value.to_string().as_bytes())
}

/// The key of a call: the digest of whose it is, op, model, parameters and input files. Equal keys mean equal outputs,
/// whatever run, workflow or folder the steps are in.
pub fn cache_key(tenant: &Tenant, op: &OpSpec, params: &Map) -> Sha256 {
    key_of(tenant, op, model_of(op, params), &determined(op, params))
}

fn key_of(
    tenant: &Tenant,
    op: &OpSpec,
    model: Option<(&Model, Option<&str>)>,
    determined: &BTreeMap<&str, Value>,
) -> Sha256 {
    let model = model.map(|(model, provider)| json!([model.alias, provider, version(model)]));
    let all = json!([tenant, op.name, op.revision(), model, determined]);
    Sha256::of(all.to_string().as_bytes())
}

/// The parameters that determine what a call gives, those left out filled in with what holds then.
fn determined(op: &OpSpec, params: &Map) -> BTreeMap<&'static str, Value> {
    let mut determined: BTreeMap<&str, Value> = BTreeMap::new();
    for param in op.params.iter().filter(|param| !OF_THE_CALL.contains(&param.name)) {
        let value = match params.get(param.name) {
            Some(value) => canonical(value),
            None => serde_json::from_str(param.default).unwrap_or(Value::Null),
        };
        determined.insert(param.name, value);
    }
    determined
}

/// The model that a call names or has by default, and the provider if it names one.
pub fn model_of<'p>(op: &OpSpec, params: &'p Map) -> Option<(&'static Model, Option<&'p str>)> {
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
