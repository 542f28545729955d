//! [`Job`]: something a provider was asked to make.

use crate::media::Recipe;
use crate::options::Kind;
use darkroom_proto::Timestamp;
use serde_json::Value;
use std::sync::Arc;

/// What a submission asks for, as a provider's file reads it.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    /// The provider's name of the model or of the path: what charges and faults call it.
    pub(crate) endpoint: String,
    pub(crate) kind: Kind,
    /// The request as received.
    pub(crate) input: Value,
    /// What it will give.
    pub(crate) makes: Vec<Recipe>,
    /// Who wants to be told.
    pub(crate) webhook: Option<Webhook>,
    /// A name of the caller's own choice, which must be unique for a key where the provider says so.
    pub(crate) external: Option<String>,
    /// An id of the caller's own choice instead of one of ours.
    pub(crate) id: Option<String>,
    /// It fails if it could not begin within so many milliseconds.
    pub(crate) begins_within_ms: Option<u64>,
    /// What the provider's file wants to remember.
    pub(crate) memory: Value,
}

impl Order {
    pub(crate) fn new(endpoint: impl Into<String>, kind: Kind, input: Value) -> Order {
        Order {
            endpoint: endpoint.into(),
            kind,
            input,
            makes: Vec::new(),
            webhook: None,
            external: None,
            id: None,
            begins_within_ms: None,
            memory: Value::Null,
        }
    }

    pub(crate) fn makes(mut self, recipe: Recipe) -> Order {
        self.makes.push(recipe);
        self
    }
}

/// Who wants to be told about a job.
#[derive(Debug, Clone)]
pub(crate) struct Webhook {
    pub(crate) url: String,
    /// Whether it wants to be told that the job has begun.
    pub(crate) on_start: bool,
    /// Whether it wants to be told that the job has ended.
    pub(crate) on_end: bool,
    /// What it is to recognise us by, where the caller chooses that.
    pub(crate) secret: Option<String>,
}

impl Webhook {
    /// Tells the end of a job.
    pub(crate) fn at(url: impl Into<String>) -> Webhook {
        Webhook { url: url.into(), on_start: false, on_end: true, secret: None }
    }
}

/// What a provider was asked to make, and what came of it. It changes by time alone, unless it is cancelled.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    /// Counts all jobs of this world.
    pub(crate) number: u64,
    pub(crate) provider: &'static str,
    pub(crate) endpoint: String,
    pub(crate) key: String,
    pub(crate) kind: Kind,
    /// The request as received, long strings cut.
    pub(crate) input: Arc<Value>,
    pub(crate) makes: Vec<Arc<Recipe>>,
    pub(crate) webhook: Option<Webhook>,
    pub(crate) external: Option<String>,
    pub(crate) memory: Value,
    pub(crate) created: Timestamp,
    pub(crate) starts: Timestamp,
    pub(crate) ends: Timestamp,
    pub(crate) cancelled: Option<Cancelled>,
    pub(crate) verdict: Verdict,
    /// Where simulators are reached: links begin with it.
    pub(crate) base: String,
}

/// What becomes of a job in the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It gives what was asked for.
    Good,
    /// The provider's filter does not let the result pass.
    Rejected,
    /// It could not begin in time.
    Late,
}

/// When a job was cancelled, and whether it had begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Cancelled {
    pub(crate) at: Timestamp,
    pub(crate) had_begun: bool,
}

/// Where a job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Queued,
    Running,
    Done,
    /// It ended without what was asked for: its [`Verdict`] says why.
    Failed,
    Cancelled,
}

impl Job {
    pub(crate) fn phase(&self, now: Timestamp) -> Phase {
        match (self.cancelled, self.verdict) {
            (Some(_), _) => Phase::Cancelled,
            (None, _) if now < self.starts => Phase::Queued,
            (None, _) if now < self.ends => Phase::Running,
            (None, Verdict::Good) => Phase::Done,
            (None, Verdict::Rejected | Verdict::Late) => Phase::Failed,
        }
    }

    /// When it has ended, by itself or cancelled.
    pub(crate) fn ended(&self, now: Timestamp) -> Option<Timestamp> {
        match self.cancelled {
            Some(cancelled) => Some(cancelled.at),
            None => (self.ends <= now).then_some(self.ends),
        }
    }

    /// How much is done, from 0 to 1.
    pub(crate) fn progress(&self, now: Timestamp) -> f64 {
        let whole = self.ends.since(self.starts).0.max(1);
        (now.since(self.starts).0 as f64 / whole as f64).min(1.0)
    }

    /// Seconds that it took, or will take.
    pub(crate) fn takes_s(&self) -> f64 {
        self.ends.since(self.starts).as_secs_f64()
    }
}

#[cfg(test)]
impl Job {
    /// A job that begins then and takes so long.
    pub(crate) fn of(order: Order, begins: Timestamp, takes: darkroom_proto::Duration) -> Job {
        Job {
            id: "job".to_owned(),
            number: 0,
            provider: "test",
            endpoint: order.endpoint,
            key: "key".to_owned(),
            kind: order.kind,
            input: Arc::new(order.input),
            makes: order.makes.into_iter().map(Arc::new).collect(),
            webhook: order.webhook,
            external: order.external,
            memory: order.memory,
            created: begins,
            starts: begins,
            ends: begins.after(takes),
            cancelled: None,
            verdict: Verdict::Good,
            base: "http://simulator".to_owned(),
        }
    }
}
