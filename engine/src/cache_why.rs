//! Why a step took its outputs from the step cache, or why it did not.

use crate::advance::{Turn, turn};
use crate::cache_key::draws_lots;
use crate::plan::{CacheMode, Plan};
use crate::run::{Run, State};
use darkroom_proto::{Artifact, CacheEntry, CacheParts, CachedFrom, Map, StepPath, Timestamp};
use serde::Serialize;
use serde_json::Value;

/// The answer to why a step was, or was not, taken from the step cache.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "reason", rename_all = "snake_case")]
pub enum CacheWhy {
    /// Its outputs are those of an earlier step.
    Hit {
        /// Which step that is.
        from: CachedFrom,
    },
    /// Its file was there, saved by an equal step; the cache was not asked.
    AlreadySaved,
    /// It calls no op by itself: it is many, a loop, a race or another workflow.
    NoCall,
    /// Its parameters have no value yet, or none any more.
    Unresolved {
        /// Why.
        error: String,
    },
    /// Nothing of its op is kept.
    NotCached {
        /// The op.
        op: String,
    },
    /// The step says `cache: off`.
    Off,
    /// The step says `cache: refresh`: it replaces what is kept.
    Refresh,
    /// The whole run takes nothing from before.
    Fresh,
    /// It has no seed, so each call gives something else.
    NoSeed,
    /// An equal step had made it, but a file of that is not in the artifact store any more.
    Gone {
        /// The equal step.
        nearest: CachedFrom,
    },
    /// An equal step had made it, but with somebody else: a preview, or another address.
    ByOther {
        /// The equal step.
        nearest: CachedFrom,
        /// Who made it then; empty: the provider itself.
        then: String,
        /// Who made it now.
        now: String,
    },
    /// An equal step is kept: the next one, or this one if it has not begun, takes its outputs.
    Kept {
        /// The equal step.
        nearest: CachedFrom,
    },
    /// The nearest earlier step of the op differs.
    Differs {
        /// The nearest earlier step.
        nearest: CachedFrom,
        /// When it was done.
        at: Timestamp,
        /// In what.
        differences: Vec<Difference>,
    },
    /// No earlier step of the op is kept.
    FirstOfOp {
        /// The op.
        op: String,
    },
}

impl CacheWhy {
    /// Whether the step's outputs were taken.
    pub fn is_hit(&self) -> bool {
        matches!(self, CacheWhy::Hit { .. } | CacheWhy::AlreadySaved)
    }
}

/// A part in which two calls differ.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// The name of a parameter, `model`, `model version` or `op revision`.
    pub part: String,
    /// Whether it is a file, or a list of them: they are told by their digests.
    pub is_file: bool,
    /// What it was, if that is short enough to be kept.
    pub then: Option<Value>,
    /// What it is.
    pub now: Option<Value>,
}

/// Why a step of a run was, or was not, taken from the step cache. `entries`: what is kept of its op, the newest first;
/// `is_whole` tells whether all files of an entry are in the artifact store. What has been dropped from the cache meanwhile is
/// not known, nor what was replaced.
pub fn cache_why(
    plan: &Plan,
    run: &Run,
    path: &StepPath,
    entries: &[CacheEntry],
    is_whole: &dyn Fn(&CacheEntry) -> bool,
) -> CacheWhy {
    let step = run.step(path);
    if let Some(from) = step.and_then(|step| step.cached_from.as_deref()) {
        return CacheWhy::Hit { from: from.clone() };
    }
    let Some(place) = plan.locate(path) else { return CacheWhy::NoCall };
    let Some((_, call)) = plan.call_at(&place) else { return CacheWhy::NoCall };
    if step.is_some_and(|step| step.state == State::Cached) {
        return CacheWhy::AlreadySaved;
    }
    if !call.op.is_cached() {
        return CacheWhy::NotCached { op: call.op.name.to_owned() };
    }
    if call.cache == CacheMode::Off {
        return CacheWhy::Off;
    }
    let params = match resolved(plan, run, path) {
        Ok(params) => params,
        Err(error) => return CacheWhy::Unresolved { error },
    };
    if draws_lots(call.op, &params) {
        return CacheWhy::NoSeed;
    }
    if call.cache == CacheMode::Refresh {
        return CacheWhy::Refresh;
    }
    if !run.head.reuse {
        return CacheWhy::Fresh;
    }
    let parts = CacheParts::of(&run.spec.tenant, call.op, &params);
    let began = step.filter(|step| step.state.ended()).map(|step| step.started_at);
    nearest(run, path, &parts, began, entries, is_whole)
}

/// The parameters of a call, as they were or will be.
fn resolved(plan: &Plan, run: &Run, path: &StepPath) -> Result<Map, String> {
    let place = plan.locate(path).ok_or_else(|| format!("there is no step `{path}`"))?;
    let mut run = run.clone();
    let now = run.head.updated_at;
    let mut turn: Turn<'_> = turn(plan, &mut run, now);
    turn.expand_restored();
    turn.attempt(path, &place, 1).map(|attempt| attempt.message.params).map_err(|error| error.message)
}

/// What the entries say of a step that may take from them. `began`: when, of a step that has ended.
fn nearest(
    run: &Run,
    path: &StepPath,
    parts: &CacheParts,
    began: Option<Timestamp>,
    entries: &[CacheEntry],
    is_whole: &dyn Fn(&CacheEntry) -> bool,
) -> CacheWhy {
    let is_own = |entry: &CacheEntry| entry.from.run == run.id && entry.from.step == *path;
    let own = entries.iter().find(|entry| is_own(entry)).and_then(|own| own.parts.as_ref());
    let others = entries.iter().filter(|entry| !is_own(entry)).filter_map(|entry| {
        let of = entry.parts.as_ref()?;
        (of.tenant == parts.tenant && of.op == parts.op).then_some((entry, of))
    });
    let (equal, differing): (Vec<_>, Vec<_>) = others.partition(|(_, of)| of.key == parts.key);
    if let Some((entry, of)) = equal.first() {
        let nearest = entry.from.clone();
        return match own.map(|own| own.by.as_str()) {
            Some(now) if now != of.by => CacheWhy::ByOther { nearest, then: of.by.clone(), now: now.to_owned() },
            _ if !is_whole(entry) => CacheWhy::Gone { nearest },
            _ => CacheWhy::Kept { nearest },
        };
    }
    let earlier = differing.into_iter().filter(|(entry, _)| began.is_none_or(|began| entry.at <= began));
    let compared = earlier.map(|(entry, of)| (entry, differences(of, parts)));
    match compared.min_by_key(|(entry, differences)| (differences.len(), std::cmp::Reverse(entry.at))) {
        Some((entry, differences)) => CacheWhy::Differs { nearest: entry.from.clone(), at: entry.at, differences },
        None => CacheWhy::FirstOfOp { op: parts.op.clone() },
    }
}

/// In what two calls of one op differ.
fn differences(then: &CacheParts, now: &CacheParts) -> Vec<Difference> {
    let text = |value: &Option<String>| value.clone().map(Value::from);
    let plain = |part: &str, then, now| Difference { part: part.to_owned(), is_file: false, then, now };
    let mut differences = Vec::new();
    if then.revision != now.revision {
        differences.push(plain("op revision", Some(then.revision.into()), Some(now.revision.into())));
    }
    if then.model != now.model {
        differences.push(plain("model", text(&then.model), text(&now.model)));
    } else if then.version != now.version {
        let version = |parts: &CacheParts| parts.version.map(|version| Value::from(version.short(8)));
        differences.push(plain("model version", version(then), version(now)));
    }
    let names = |parts: &CacheParts| parts.params.keys().chain(parts.long.keys()).cloned().collect::<Vec<_>>();
    let mut all = names(then);
    all.extend(names(now));
    all.sort_unstable();
    all.dedup();
    for name in all {
        if then.digest_of(&name) == now.digest_of(&name) {
            continue;
        }
        let (then, now) = (then.params.get(&name).cloned(), now.params.get(&name).cloned());
        let is_file = [&then, &now].into_iter().flatten().any(is_file);
        differences.push(Difference { part: name, is_file, then, now });
    }
    differences
}

/// Whether a canonical value is a file or a list of them.
fn is_file(value: &Value) -> bool {
    match value {
        Value::Array(items) => items.first().is_some_and(is_file),
        Value::Object(map) => map.len() == 1 && map.contains_key("sha256"),
        _ => false,
    }
}

/// The files that an entry needs.
pub fn cached_artifacts(entry: &CacheEntry) -> Vec<Artifact> {
    let files = |value: &Value| -> Vec<Artifact> {
        match value {
            Value::Array(items) => items.iter().filter_map(Artifact::from_value).collect(),
            value => Artifact::from_value(value).into_iter().collect(),
        }
    };
    entry.outputs.values().flat_map(files).collect()
}
