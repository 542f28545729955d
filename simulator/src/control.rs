//! The control under `/_sim`.

use crate::answer::Reply;
use crate::fault::Wanted;
use crate::key::KeyState;
use crate::lane::Limits;
use crate::server::Shared;
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::Response;
use axum::routing::{get, post};
use darkroom_proto::Duration;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::Arc;

type World = State<Arc<Shared>>;

pub(crate) fn routes() -> Router<Arc<Shared>> {
    Router::new()
        .route("/_sim", get(about))
        .route("/_sim/charges", get(charges))
        .route("/_sim/faults", get(faults).post(add_faults).delete(remove_faults))
        .route("/_sim/keys", post(set_key))
        .route("/_sim/limits", post(set_limits))
        .route("/_sim/state", get(state))
        .route("/_sim/reset", post(reset).delete(reset))
}

async fn about(State(shared): World) -> Response {
    let (image, video, audio) = {
        let world = shared.world();
        (world.options.image, world.options.video, world.options.audio)
    };
    done(json!({
        "providers": shared.provider_names(),
        "version": env!("CARGO_PKG_VERSION"),
        "latency_ms": {"image": image.0, "video": video.0, "audio": audio.0},
    }))
}

async fn charges(State(shared): World) -> Response {
    // Documents are made after the lock is let go.
    let charges: Vec<_> = shared.world().charges().cloned().collect();
    done(charges.iter().map(crate::charge::Charge::document).collect())
}

async fn faults(State(shared): World) -> Response {
    let document = shared.world().faults.document();
    done(document)
}

async fn add_faults(State(shared): World, body: Bytes) -> Response {
    let wanted: Vec<Wanted> = match several(&body) {
        Ok(wanted) => wanted,
        Err(why) => return refused(&why),
    };
    let names = shared.provider_names();
    let mut world = shared.world();
    for wanted in wanted {
        if let Err(why) = world.faults.add(wanted, &names) {
            return refused(&why);
        }
    }
    done(world.faults.document())
}

async fn remove_faults(State(shared): World) -> Response {
    shared.world().faults.clear();
    done(json!([]))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Key {
    provider: String,
    key: String,
    state: KeyState,
}

async fn set_key(State(shared): World, body: Bytes) -> Response {
    let keys: Vec<Key> = match several(&body) {
        Ok(keys) => keys,
        Err(why) => return refused(&why),
    };
    if let Some(key) = keys.iter().find(|key| shared.provider(&key.provider).is_none()) {
        return refused(&format!("there is no provider `{}`", key.provider));
    }
    let mut world = shared.world();
    for Key { provider, key, state } in keys {
        world.keys.set(&provider, &key, state);
    }
    done(json!({}))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Limit {
    provider: String,
    at_once: Option<usize>,
    rate: Option<Rate>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rate {
    count: usize,
    per_ms: u64,
}

async fn set_limits(State(shared): World, body: Bytes) -> Response {
    let limits: Vec<Limit> = match several(&body) {
        Ok(limits) => limits,
        Err(why) => return refused(&why),
    };
    if let Some(limit) = limits.iter().find(|limit| shared.provider(&limit.provider).is_none()) {
        return refused(&format!("there is no provider `{}`", limit.provider));
    }
    if limits.iter().any(|limit| limit.at_once == Some(0)) {
        return refused("at_once: at least 1");
    }
    let mut world = shared.world();
    for Limit { provider, at_once, rate } in limits {
        let rate = rate.map(|rate| (rate.count, Duration(rate.per_ms)));
        world.set_limits(&provider, Limits { at_once, rate });
    }
    done(json!({}))
}

async fn state(State(shared): World) -> Response {
    let document = shared.world().state();
    done(document)
}

async fn reset(State(shared): World) -> Response {
    shared.world().reset();
    done(json!({}))
}

/// One of them, or a list.
fn several<T: DeserializeOwned>(body: &[u8]) -> Result<Vec<T>, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("no JSON: {error}"))?;
    let values = if let Value::Array(values) = value { values } else { vec![value] };
    values.into_iter().map(|value| serde_json::from_value(value).map_err(|error| error.to_string())).collect()
}

fn done(document: Value) -> Response {
    Reply::json(200, &document).into_response()
}

fn refused(why: &str) -> Response {
    Reply::json(422, &json!({"error": why})).into_response()
}
