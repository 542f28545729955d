//! Calls: what is sent to a worker, with every parameter resolved.

use crate::advance::Turn;
use crate::cache_key;
use crate::change::{Effect, What};
use crate::plan::{Call, Node, Plan, Work};
use crate::reuse;
use crate::run::{Place, State};
use crate::save::clean_save_path;
use crate::scope::{RunScope, value_error};
use darkroom_proto::op::ParamType;
use darkroom_proto::{
    Duration, ErrorClass, Map, Money, Provenance, SaveTarget, Sha256, StepError, StepMessage, StepPath,
};
use serde_json::Value;
use std::borrow::Cow;

/// What is published for an attempt.
pub(crate) struct Attempt {
    pub(crate) pool: Cow<'static, str>,
    pub(crate) message: Box<StepMessage>,
    /// The key under which what it saves is found again.
    pub(crate) key: Option<Sha256>,
    /// Whether it may be paid for.
    pub(crate) calls_a_provider: bool,
}

impl Turn<'_> {
    /// Publishes the next attempt of a ready step, or fails it when its parameters have no value.
    pub(crate) fn dispatch(&mut self, path: &StepPath) {
        if path.range().is_some() {
            return self.start_child(path);
        }
        if self.take_recorded(path) {
            return;
        }
        let (Some(place), Some(step)) = (self.plan.locate(path), self.run.step(path)) else { return };
        if self.plan.call_at(&place).is_some_and(|(_, call)| call.child.is_some()) {
            return self.start_child(path);
        }
        if self.plan.call_at(&place).is_some_and(|(_, call)| call.op.performed_by_engine()) {
            return self.perform(path, &place);
        }
        // One that was parked has had attempts before.
        let number = step.attempt + 1;
        match self.attempt(path, &place, number) {
            Ok(attempt) => {
                self.run.head.in_flight += 1;
                let (now, key) = (self.now, attempt.key);
                self.change_step(path, |step| {
                    step.state = State::Dispatched;
                    step.attempt = number;
                    step.started_at = now;
                    step.key = key;
                });
                self.happened(What::StepDispatched { step: path.clone(), attempt: number });
                self.publish(&place, None, attempt);
            }
            Err(error) => self.fail(path, error),
        }
    }

    pub(crate) fn publish(&mut self, place: &Place, delay: Option<Duration>, attempt: Attempt) {
        let batch = place.stands_behind();
        self.watch(&attempt.message.path, self.now.after(delay.unwrap_or_default()));
        let (pool, mut message) = (attempt.pool.into_owned(), attempt.message);
        self.watch_task(&message);
        if attempt.calls_a_provider {
            // Of a message that is sent again: when it was sent first. What came of it may be lost with that life of the store.
            let epoch = self.run.epoch.as_deref().map(str::to_owned);
            self.change_step(&message.path, |step| step.epoch = step.epoch.take().or(epoch));
            message.epoch = self.run.step(&message.path).and_then(|step| step.epoch.clone());
        }
        self.change.effects.push(Effect::Dispatch { pool, batch, delay, message });
    }

    /// Attempt `number` of a step: its parameters resolved.
    pub(crate) fn attempt(&mut self, path: &StepPath, place: &Place, number: u32) -> Result<Attempt, StepError> {
        for frame in &place.frames {
            self.expand_again(&frame.fan_path);
        }
        let plan = self.plan;
        let Some((node, call)) = plan.call_at(place) else {
            return Err(StepError::new(ErrorClass::WorkflowError, format!("`{path}` is no call of an op")));
        };
        let scope = RunScope { plan, run: self.run, frames: &place.frames };
        let mut params = parameters(&scope, call)?;
        if call.task.is_some() {
            params = match params.remove("with") {
                Some(Value::Object(given)) => given.into_iter().filter(|(_, value)| !value.is_null()).collect(),
                _ => Map::new(),
            };
        }
        let save = save_target(&scope, call, &params)?;
        let key = reuse::key(&scope, node);
        let cache = cache_key::cache_use(&self.run.spec.tenant, call, &params, self.run.head.reuse);
        let calls_a_provider = call.op.calls_a_provider();
        let message = StepMessage {
            run: self.run.id,
            path: path.clone(),
            generation: self.run.step(path).map_or(self.run.head.generation, |step| step.generation),
            attempt: number,
            op: call.uses(),
            params,
            timeout: call.timeout,
            save,
            provenance: Provenance { workflow: self.run.spec.workflow.clone(), definition: self.run.spec.definition },
            budget: self.budget().filter(|_| calls_a_provider),
            ticket: None,
            deferred_since: None,
            epoch: None,
            cache,
        };
        Ok(Attempt { pool: call.pool(), message: Box::new(message), key, calls_a_provider })
    }
}

impl Turn<'_> {
    /// What the run may spend: what its workflow says, and no more than what it belongs to leaves it.
    pub(crate) fn budget(&self) -> Option<Money> {
        match (self.plan.budget.filter(|_| self.run.spec.part.is_none()), self.run.spec.allowance) {
            (Some(own), Some(left)) => Some(own.min(left)),
            (own, left) => own.or(left),
        }
    }
}

impl Plan {
    /// The op of a step that is one call.
    pub fn op_of(&self, path: &StepPath) -> Option<&'static str> {
        let (_, call) = self.call_at(&self.locate(path)?)?;
        Some(call.op.name)
    }

    /// The call that runs at a place: the node's own, or the one that an instance is.
    pub(crate) fn call_at(&self, place: &Place) -> Option<(&Node, &Call)> {
        let node = self.node(place.node);
        match (&node.work, place.is_instance) {
            (Work::Call(call), false) => Some((node, call)),
            (Work::FanOut(fan), true) if place.number().is_some_and(|number| fan.is_single(number)) => {
                let only = self.node(*fan.body_of(place.number()?).nodes.first()?);
                match &only.work {
                    Work::Call(call) => Some((only, call)),
                    Work::FanOut(_) => None,
                }
            }
            _ => None,
        }
    }
}

/// The resolved parameters of a call. What is null is not given.
pub(crate) fn parameters(scope: &RunScope<'_>, call: &Call) -> Result<Map, StepError> {
    let mut params = Map::new();
    // A condition on an event is asked when one comes.
    let asked_later = |name: &str| call.op.param(name).is_some_and(|param| param.ty == ParamType::Condition);
    for argument in call.arguments.iter().filter(|argument| !asked_later(argument.name)) {
        let what = format!("with.{}", argument.name);
        let value = scope.argument(argument).map_err(|error| value_error(&what, &error))?;
        let required = call.op.param(argument.name).is_some_and(|param| param.required);
        match value {
            Value::Null if required => {
                return Err(StepError::new(
                    ErrorClass::MissingParameter,
                    format!("`{what}` of {} has no value", call.op.name),
                )
                .advice("what it refers to was skipped, failed or was not given; write a value, or an `if`"));
            }
            Value::Null => {}
            value => {
                params.insert(argument.name.to_owned(), value);
            }
        }
    }
    Ok(params)
}

/// Where a call saves, if it does.
pub(crate) fn save_target(scope: &RunScope<'_>, call: &Call, params: &Map) -> Result<Option<SaveTarget>, StepError> {
    let text = match (&call.save, call.op.name) {
        (Some(template), _) => scope.text(template).map_err(|error| value_error("save", &error))?,
        (None, "save") => params.get("path").and_then(Value::as_str).unwrap_or_default().to_owned(),
        (None, _) => return Ok(None),
    };
    let mut path = clean_save_path(&text)?;
    if let (Some(filename), true) = (&scope.run.spec.filename, scope.frames.is_empty()) {
        path = clean_save_path(&match path.rsplit_once('/') {
            Some((folder, _)) => format!("{folder}/{filename}"),
            None => filename.clone(),
        })?;
    }
    let path = match &scope.run.spec.save_dir {
        Some(folder) => clean_save_path(&format!("{folder}/{path}"))?,
        None => path,
    };
    Ok(Some(SaveTarget { path, out: scope.run.spec.out.clone() }))
}
