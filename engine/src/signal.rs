//! Events that people and services send to a run: each is taken by one step that waits for it, or kept until one does.

use crate::advance::Turn;
use crate::change::What;
use crate::expr::{Expr, ExprError, Reference, Scope, Template, holds};
use crate::held::{Ending, Held};
use crate::json_schema::check_data;
use crate::plan::{Plan, Source};
use crate::run::{Frame, Run};
use crate::scope::RunScope;
use darkroom_proto::{Artifact, Map, StepPath, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How many events that nobody waits for are kept in a run.
pub const SIGNALS_MAX: usize = 1_000;

/// How large the data of an event may be, in bytes of JSON.
pub const SIGNAL_BYTES_MAX: usize = 64 * 1024;

/// How long the name of an event may be, in characters.
const NAME_MAX: usize = 100;

/// An event that nobody has waited for yet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Signal {
    /// What makes sending it twice sending it once.
    pub key: String,
    /// Its name.
    pub name: String,
    /// Its data.
    pub data: Value,
    /// Who sent it.
    pub by: String,
    /// When it came.
    pub at: Timestamp,
}

/// Whether a run would take or keep an event of this name and data.
///
/// # Errors
/// Why not, in words for whoever sends it.
pub fn check_signal(run: &Run, name: &str, data: &Value) -> Result<(), String> {
    let length = name.chars().count();
    if length == 0 || length > NAME_MAX {
        return Err(format!("the name of an event has 1 to {NAME_MAX} characters"));
    }
    let bytes = data.to_string().len();
    if bytes > SIGNAL_BYTES_MAX {
        return Err(format!("the data has {bytes} bytes, over the limit of {SIGNAL_BYTES_MAX}"));
    }
    let mut refused = None;
    for (path, schema) in waits(run, name) {
        match schema.map_or(Ok(()), |schema| check_data(schema, data)) {
            Ok(()) => return Ok(()),
            Err(error) => refused = Some(format!("the data is not what `{path}` waits for: {error}")),
        }
    }
    match refused {
        Some(reason) => Err(reason),
        None if run.signals.len() >= SIGNALS_MAX => Err(format!("the run keeps {SIGNALS_MAX} events already")),
        None => Ok(()),
    }
}

/// The steps that wait for an event of this name, in the order of their paths, with what its data has to be like.
fn waits<'a>(run: &'a Run, name: &'a str) -> impl Iterator<Item = (&'a StepPath, Option<&'a Value>)> {
    run.steps.iter().filter(|_| run.tally.held > 0).filter_map(move |(path, step)| match step.held.as_deref() {
        Some(Held::Event { name: wanted, schema }) if wanted == name => Some((path, schema.as_ref())),
        _ => None,
    })
}

/// What a filter sees: all that the step sees, and the event's data.
struct EventScope<'a> {
    step: RunScope<'a>,
    data: &'a Value,
}

impl Scope for EventScope<'_> {
    fn value(&self, reference: &Reference) -> Value {
        match reference {
            Reference::Data => self.data.clone(),
            other => self.step.value(other),
        }
    }

    fn url(&self, artifact: &Artifact) -> String {
        self.step.url(artifact)
    }
}

impl Turn<'_> {
    /// Somebody sent an event.
    pub(crate) fn signal(&mut self, signal: Signal) {
        if self.is_known(&signal.key) {
            return;
        }
        if let Err(reason) = check_signal(self.run, &signal.name, &signal.data) {
            return self.refuse("signal", signal.by, signal.key, reason);
        }
        let mut waiting: Vec<(Timestamp, StepPath)> = waits(self.run, &signal.name)
            .filter_map(|(path, _)| Some((self.run.step(path)?.started_at, path.clone())))
            .collect();
        waiting.sort();
        match waiting.into_iter().find(|(_, path)| self.wants(path, &signal)) {
            Some((_, path)) => self.take(&path, signal),
            None if self.run.signals.len() >= SIGNALS_MAX => {
                let reason = format!("the run keeps {SIGNALS_MAX} events already");
                self.refuse("signal", signal.by, signal.key, reason);
            }
            None => {
                let Signal { name, by, key, .. } = signal.clone();
                self.happened(What::SignalKept { name, by, key });
                let number = self.run.signals.last_key_value().map_or(1, |(last, _)| last + 1);
                self.run.signals.insert(number, signal);
                self.change.signals.insert(number);
            }
        }
    }

    /// Whether an event of this key came before.
    fn is_known(&self, key: &str) -> bool {
        self.run.signals.values().any(|kept| kept.key == key)
            || self.run.steps.values().any(|step| step.taken.as_deref() == Some(key))
    }

    /// Gives a step that has begun to wait the earliest event that was kept for it.
    pub(crate) fn take_kept(&mut self, path: &StepPath) {
        let Some(Held::Event { name, .. }) = self.run.step(path).and_then(|step| step.held.as_deref()) else { return };
        let kept = self.run.signals.iter().filter(|(_, signal)| signal.name == *name);
        let Some(number) = kept.into_iter().find(|(_, signal)| self.wants(path, signal)).map(|(number, _)| *number)
        else {
            return;
        };
        if let Some(signal) = self.run.signals.remove(&number) {
            self.change.signals.insert(number);
            self.take(path, signal);
        }
    }

    fn take(&mut self, path: &StepPath, signal: Signal) {
        let Signal { key, name, data, by, .. } = signal;
        self.change_step(path, |step| step.taken = Some(key.clone()));
        self.happened(What::SignalTaken { step: path.clone(), name, by, key });
        self.held_ends(path, Ending::Completed(Map::from_iter([("data".to_owned(), data)])));
    }

    /// Whether the data of an event is what a step waits for.
    fn wants(&self, path: &StepPath, signal: &Signal) -> bool {
        let held = self.run.step(path).and_then(|step| step.held.as_deref());
        let Some(Held::Event { schema, .. }) = held else { return false };
        if schema.as_ref().is_some_and(|schema| check_data(schema, &signal.data).is_err()) {
            return false;
        }
        let Some(place) = self.plan.locate(path) else { return false };
        let Some(filter) = filter_of(self.plan, &place) else { return true };
        // A filter that asks for what the data does not have does not hold.
        passes(filter, self.plan, self.run, &place.frames, &signal.data).unwrap_or(false)
    }
}

fn filter_of<'a>(plan: &'a Plan, place: &crate::run::Place) -> Option<&'a Expr> {
    let (_, call) = plan.call_at(place)?;
    let filter = call.arguments.iter().find(|argument| argument.name == "filter")?;
    match &filter.source {
        Source::Given(Template::Expr(expr)) => Some(expr),
        Source::Given(_) | Source::Wired(_) => None,
    }
}

fn passes(filter: &Expr, plan: &Plan, run: &Run, frames: &[Frame], data: &Value) -> Result<bool, ExprError> {
    holds(filter, &EventScope { step: RunScope { plan, run, frames }, data })
}
