//! [`Charge`]: what was paid for, and what it costs.

use crate::job::Job;
use crate::media::Recipe;
use darkroom_proto::model::{self, Route, Unit};
use darkroom_proto::{Money, Timestamp};
use serde_json::{Value, json};
use std::sync::Arc;

/// How many characters of a string are kept of a request.
const STRING_MAX: usize = 500;

/// One charge.
#[derive(Debug, Clone)]
pub(crate) struct Charge {
    pub(crate) provider: &'static str,
    pub(crate) endpoint: String,
    pub(crate) request_id: String,
    pub(crate) key: String,
    pub(crate) at: Timestamp,
    pub(crate) price: Money,
    pub(crate) input: Arc<Value>,
    /// Whether the provider takes nothing for it after all.
    pub(crate) refunded: bool,
}

impl Charge {
    /// What a job costs from now on.
    pub(crate) fn of(job: &Job) -> Charge {
        Charge {
            provider: job.provider,
            endpoint: job.endpoint.clone(),
            request_id: job.id.clone(),
            key: job.key.clone(),
            at: job.created,
            price: price(job),
            input: job.input.clone(),
            refunded: false,
        }
    }

    pub(crate) fn document(&self) -> Value {
        let mut document = json!({
            "provider": self.provider, "endpoint": self.endpoint, "request_id": self.request_id, "key": self.key,
            "at": self.at.to_string(), "price": self.price.usd(), "input": *self.input,
        });
        if self.refunded {
            document["refunded"] = true.into();
        }
        document
    }
}

/// The catalogue's highest price where it has one, and otherwise one that is usual for the kind. Of several entries for an
/// endpoint, the one counts whose fixed parameters were sent.
pub(crate) fn price(job: &Job) -> Money {
    let total = |of: &dyn Fn(&Recipe) -> f64| job.makes.iter().map(|recipe| of(recipe)).sum::<f64>();
    let calls = job.makes.len().max(1) as f64;
    let routes = || model::all().iter().flat_map(|model| &model.routes);
    let mut known = routes().filter(|route| route.provider == job.provider && route.endpoint == job.endpoint);
    let is_sent = |route: &&Route| {
        let mut texts = route.fixed.iter().filter(|(_, value)| value.is_string());
        texts.all(|(name, value)| job.input[name] == *value)
    };
    let known = known.clone().find(is_sent).or_else(|| known.next());
    if let Some(price) = known.and_then(|route| route.price.as_ref()) {
        return price.at_most(match price.per {
            Unit::Call => calls,
            Unit::Megapixel => total(&|recipe| (recipe.pixels() as f64 / 1e6).ceil().max(1.0)),
            Unit::Second => total(&|recipe| recipe.seconds().max(1.0)),
            Unit::ThousandCharacters => total(&|recipe| (recipe.characters() as f64 / 1e3).ceil().max(1.0)),
        });
    }
    let each = match job.kind {
        crate::options::Kind::Image => 0.04,
        crate::options::Kind::Video => 0.5,
        crate::options::Kind::Audio => 0.01,
    };
    Money::from_usd(each * calls)
}

/// The same value with long strings cut.
pub(crate) fn cut(value: &Value) -> Value {
    match value {
        Value::String(text) => Value::String(text.chars().take(STRING_MAX).collect()),
        Value::Array(items) => items.iter().map(cut).collect(),
        Value::Object(fields) => fields.iter().map(|(name, value)| (name.clone(), cut(value))).collect(),
        other => other.clone(),
    }
}
