//! Where the expressions of a step get their values: the inputs, the steps before it, its item.

use crate::expr::{ExprError, Reference, Scope, Template};
use crate::fanout::Expansion;
use crate::part::gathered;
use crate::plan::{Argument, FanOut, NodeIndex, Plan, Rule, Source, Wire, Work};
use crate::run::{Frame, Run, State, Step};
use darkroom_proto::op::OutputType;
use darkroom_proto::{Artifact, ErrorClass, Kind, Map, RunId, StepError, StepPath, StepStatus, Timestamp};
use serde_json::{Value, json};

/// What an instance of a fan-out came to.
struct Instance<'a> {
    number: u32,
    status: StepStatus,
    error: Value,
    outputs: Option<&'a Map>,
    /// Which of them is the primary one.
    primary: &'static str,
}

impl Instance<'_> {
    fn is_ok(&self) -> bool {
        matches!(self.status, StepStatus::Completed | StepStatus::Cached)
    }
}

/// The values that a step instance sees.
pub(crate) struct RunScope<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) run: &'a Run,
    /// The instances around it, the outermost first. Their expansions are known.
    pub(crate) frames: &'a [Frame],
}

impl Scope for RunScope<'_> {
    fn value(&self, reference: &Reference) -> Value {
        match reference {
            Reference::Input(name) => self.run.input(name),
            Reference::Step { node, name, .. } => self.step_value(*node, name),
            Reference::Item => self.innermost(FanOut::has_items, |expansion, number| expansion.item(number).clone()),
            Reference::Index => self.innermost(FanOut::counts, |expansion, number| expansion.index(number).into()),
            Reference::Number => {
                self.innermost(FanOut::counts, |expansion, number| (expansion.index(number) + 1).into())
            }
            Reference::Matrix => {
                self.innermost(FanOut::has_items, |expansion, number| Value::Object(expansion.combination(number)))
            }
            Reference::Error => self.error(),
            Reference::Previous => self.previous(),
            Reference::Run(name) => match name.as_str() {
                "id" => self.handed_in().0.to_string().into(),
                "workflow" => self.run.spec.workflow.clone().into(),
                "started_at" => self.handed_in().1.to_string().into(),
                _ => Value::Null,
            },
            // Known only to a wait that is asked about an event.
            Reference::Data => Value::Null,
        }
    }

    fn url(&self, artifact: &Artifact) -> String {
        let digest = artifact.sha256.to_string();
        format!("{}/sha256/{}/{}", self.run.spec.artifacts_url, &digest[..2], &digest[2..])
    }
}

impl RunScope<'_> {
    /// The run that somebody handed in, which this one may be a part of, and when.
    fn handed_in(&self) -> (RunId, Timestamp) {
        let spec = &self.run.spec;
        spec.part.as_ref().map_or((self.run.id, spec.created_at), |part| (part.run, part.created_at))
    }

    /// The state of a step, if it is not pending; of a part, also of those outside it.
    fn step(&self, path: &StepPath) -> Option<&Step> {
        let outside = || self.run.spec.part.as_ref().and_then(|part| part.steps.get(path));
        self.run.step(path).or_else(outside)
    }

    /// The path of a node as seen from here; `None` when it lies in another body.
    pub(crate) fn path_of(&self, node: NodeIndex) -> Option<StepPath> {
        let here = self.plan.node(node);
        match here.parent {
            None => Some(StepPath::top(&here.id)),
            Some(fan) => self.frames.iter().find(|frame| frame.fan == fan).map(|frame| frame.path().child(&here.id)),
        }
    }

    /// The value of a parameter; null when it is not given.
    pub(crate) fn argument(&self, argument: &Argument) -> Result<Value, ExprError> {
        match &argument.source {
            Source::Given(template) => template.resolve(self),
            Source::Wired(wire) => Ok(self.wired(wire, argument.name)),
        }
    }

    /// A value that must be text.
    pub(crate) fn text(&self, template: &Template) -> Result<String, ExprError> {
        Ok(match template.resolve(self)? {
            Value::String(text) => text,
            other => other.to_string(),
        })
    }

    fn wired(&self, wire: &Wire, parameter: &str) -> Value {
        match wire {
            Wire::Step { node, output } => self.step_value(*node, output),
            Wire::FirstBox { node } => self.step_value(*node, "boxes").get(0).cloned().unwrap_or_default(),
            Wire::Input { name } => self.run.input(name),
            Wire::Item => {
                let item = self.value(&Reference::Item);
                artifact_in(&item, parameter).map_or(Value::Null, |artifact| artifact.to_value())
            }
        }
    }

    /// What the innermost instance of a container that `gives` it is.
    fn innermost(&self, gives: impl Fn(&FanOut) -> bool, value: impl Fn(&Expansion, u32) -> Value) -> Value {
        let is_such = |frame: &&Frame| match &self.plan.node(frame.fan).work {
            Work::FanOut(fan) => frame.branch.is_none() && gives(fan),
            Work::Call(_) => false,
        };
        let Some(frame) = self.frames.iter().rev().find(is_such) else { return Value::Null };
        self.run.expansions.get(&frame.fan_path).map_or(Value::Null, |expansion| value(expansion, frame.number))
    }

    /// What the step failed of whose branch this is.
    fn error(&self) -> Value {
        let frame = self.frames.iter().rev().find(|frame| frame.branch.is_some());
        let caught = frame.and_then(|frame| self.step(&frame.fan_path)).and_then(|step| step.caught.as_ref());
        caught.map_or(Value::Null, |caught| {
            let error = &caught.error;
            json!({
                "class": error.class.name(), "code": error.code, "message": error.message, "advice": error.advice,
                "step": caught.failed_at,
            })
        })
    }

    /// The outputs of the iteration before this one; null in the first.
    fn previous(&self) -> Value {
        let repeats = |frame: &&Frame| match &self.plan.node(frame.fan).work {
            Work::FanOut(fan) => frame.branch.is_none() && matches!(fan.rule, Rule::Repeat { .. }),
            Work::Call(_) => false,
        };
        let Some(frame) = self.frames.iter().rev().find(repeats) else { return Value::Null };
        let (Work::FanOut(fan), 2..) = (&self.plan.node(frame.fan).work, frame.number) else { return Value::Null };
        let outputs = self.instance_outputs(&frame.fan_path.instance(frame.number - 1), fan);
        outputs.map_or(Value::Null, |(outputs, _)| Value::Object(outputs.clone()))
    }

    fn step_value(&self, node: NodeIndex, name: &str) -> Value {
        let Some(path) = self.path_of(node) else { return Value::Null };
        let Some(step) = self.step(&path) else { return Value::Null };
        match (name, &self.plan.node(node).work) {
            // Of a request that was answered it is the answer's; in the results of a fan-out always the step's.
            ("status", Work::Call(_)) if step.outputs.contains_key("status") => step.outputs["status"].clone(),
            ("status", _) => step.state.status().name().into(),
            ("error", _) => error_value(step),
            // Of a single iteration of a `repeat`, its own outputs: `until` asks for them.
            (_, Work::FanOut(fan)) if !fan.has_items() || step.outputs.contains_key(name) => {
                match self.iteration(node, fan) {
                    Some(outputs) => outputs.get(name).cloned().unwrap_or_default(),
                    None => step.outputs.get(name).cloned().unwrap_or_default(),
                }
            }
            (_, Work::Call(_)) => step.outputs.get(name).cloned().unwrap_or_default(),
            (_, Work::FanOut(fan)) => self.fan_value(&path, step, fan, name),
        }
    }

    /// The outputs of the iteration of this `repeat` that is looked from.
    fn iteration(&self, node: NodeIndex, fan: &FanOut) -> Option<&Map> {
        let frame = self.frames.last().filter(|frame| frame.fan == node && frame.branch.is_none())?;
        Some(self.instance_outputs(&frame.path(), fan)?.0)
    }

    /// `total`, `results` and so on of a fan-out.
    fn fan_value(&self, path: &StepPath, step: &Step, fan: &FanOut, name: &str) -> Value {
        let counts = step.fan.as_ref().map(|fan| fan.items()).unwrap_or_default();
        match name {
            "total" => counts.total.into(),
            "completed" => counts.completed.into(),
            "skipped" => counts.skipped.into(),
            "failed" => counts.failed.into(),
            "results" => self.results(path, step, fan, |_| true),
            "ok" => self.results(path, step, fan, |ok| ok),
            "images" => self.primaries(path, step, fan, Kind::Image),
            "videos" => self.primaries(path, step, fan, Kind::Video),
            "audios" => self.primaries(path, step, fan, Kind::Audio),
            _ => Value::Null,
        }
    }

    /// What every instance came to, in order, wherever it was done.
    fn each_instance(&self, path: &StepPath, step: &Step, fan: &FanOut, visit: &mut dyn FnMut(Instance<'_>)) {
        let Some(counts) = &step.fan else { return };
        let Some(parts) = &counts.parts else {
            for number in counts.before + 1..=counts.total {
                let instance_path = path.instance(number);
                let instance = self.step(&instance_path);
                let (outputs, primary) = match self.instance_outputs(&instance_path, fan) {
                    Some((outputs, primary)) => (Some(outputs), primary),
                    None => (None, ""),
                };
                let status = instance.map_or(StepStatus::Pending, |step| step.state.status());
                visit(Instance { number, status, error: instance.map_or(Value::Null, error_value), outputs, primary });
            }
            return;
        };
        let primary = self.primary(fan, 1);
        for part in parts.paths(path, counts.total) {
            let gathered = self.step(&part).map(gathered).unwrap_or_default();
            let (first, last) = part.range().unwrap_or((1, 0));
            let mut gathered = gathered.into_iter();
            for number in first..=last {
                let known = gathered.next();
                let known = known.as_ref();
                visit(Instance {
                    number,
                    status: known.map_or(StepStatus::Pending, |known| known.status),
                    error: known.and_then(|known| known.error.as_ref()).map_or(Value::Null, stated),
                    outputs: known.filter(|_| primary.is_some()).map(|known| &known.outputs),
                    primary: primary.unwrap_or_default(),
                });
            }
        }
    }

    /// The results of the instances whose being ok passes the filter, in order.
    fn results(&self, path: &StepPath, step: &Step, fan: &FanOut, wanted: impl Fn(bool) -> bool) -> Value {
        let expansion = self.run.expansions.get(path);
        let mut results = Vec::new();
        self.each_instance(path, step, fan, &mut |instance| {
            if !wanted(instance.is_ok()) {
                return;
            }
            let mut result = Map::new();
            result.insert("ok".into(), instance.is_ok().into());
            result.insert("status".into(), instance.status.name().into());
            if let Some(expansion) = expansion {
                let number = instance.number;
                result.insert("index".into(), expansion.index(number).into());
                result.insert("number".into(), (expansion.index(number) + 1).into());
                result.insert("item".into(), expansion.item(number).clone());
                result.insert("matrix".into(), Value::Object(expansion.combination(number)));
            }
            result.insert("error".into(), instance.error);
            for (name, value) in instance.outputs.into_iter().flatten() {
                result.entry(name.clone()).or_insert_with(|| value.clone());
            }
            results.push(Value::Object(result));
        });
        Value::Array(results)
    }

    fn primaries(&self, path: &StepPath, step: &Step, fan: &FanOut, kind: Kind) -> Value {
        let mut artifacts = Vec::new();
        let is_kind = |value: &&Value| Artifact::from_value(value).is_some_and(|file| file.kind() == kind);
        self.each_instance(path, step, fan, &mut |instance| {
            let (Some(outputs), true) = (instance.outputs, instance.is_ok()) else { return };
            let primary = outputs.get(instance.primary);
            // A child gives what its workflow declares: the first of that kind.
            let value = primary.or_else(|| outputs.values().find(is_kind).filter(|_| instance.primary.is_empty()));
            artifacts.extend(value.filter(is_kind).cloned());
        });
        Value::Array(artifacts)
    }

    /// Which output of instance `number` is the primary one; `None` if it has none of its own.
    fn primary(&self, fan: &FanOut, number: u32) -> Option<&'static str> {
        match &self.plan.node(*fan.body_of(number).nodes.last()?).work {
            Work::Call(call) => Some(call.op.primary),
            Work::FanOut(inner) if inner.has_items() => None,
            Work::FanOut(inner) => Some(self.plan.primary(inner)),
        }
    }

    /// The outputs of the last step of an instance, and which of them is the primary one.
    pub(crate) fn instance_outputs(&self, instance: &StepPath, fan: &FanOut) -> Option<(&Map, &'static str)> {
        let number = instance.last().1.unwrap_or(1);
        let last = self.plan.node(*fan.body_of(number).nodes.last()?);
        let primary = self.primary(fan, number)?;
        let step = if fan.is_single(number) { self.step(instance) } else { self.step(&instance.child(&last.id)) }?;
        Some((&step.outputs, primary))
    }
}

/// Whether an instance gave what it was to give, now or in an earlier run.
pub(crate) fn is_ok(step: &Step) -> bool {
    match step.state {
        State::Completed | State::Cached => true,
        State::Ready
        | State::Dispatched
        | State::Retrying { .. }
        | State::Waiting { .. }
        | State::Parked { .. }
        | State::Held { .. }
        | State::Open
        | State::Skipped
        | State::Failed
        | State::Cancelled => false,
    }
}

fn error_value(step: &Step) -> Value {
    match (&step.error, step.state) {
        (Some(error), State::Failed) => stated(error),
        _ => Value::Null,
    }
}

fn stated(error: &StepError) -> Value {
    json!({
        "class": error.class.name(), "code": error.code, "message": error.message, "advice": error.advice,
        "retryable": error.class.retryable(),
    })
}

/// The artifact that a value is, or has, for the parameter of this name.
pub(crate) fn artifact_in(value: &Value, parameter: &str) -> Option<Artifact> {
    let fits = |artifact: &Artifact| parameter == "file" || artifact.kind().name() == parameter;
    if let Some(artifact) = Artifact::from_value(value) {
        return fits(&artifact).then_some(artifact);
    }
    let object = value.as_object()?;
    let named = object.get(parameter).and_then(Artifact::from_value).filter(fits);
    named.or_else(|| object.values().filter_map(Artifact::from_value).find(fits))
}

/// What a call that is skipped passes on: the artifact that came in, where it gives one of the same name.
pub(crate) fn passed_on(scope: &RunScope<'_>, call: &crate::plan::Call) -> Map {
    let mut outputs = Map::new();
    for output in call.op.outputs {
        let passes = matches!(output.ty, OutputType::Artifact(_) | OutputType::SameArtifact);
        let argument = call.arguments.iter().find(|argument| argument.name == output.name);
        if let (true, Some(argument)) = (passes, argument)
            && let Ok(value) = scope.argument(argument)
            && Artifact::from_value(&value).is_some()
        {
            outputs.insert(output.name.to_owned(), value);
        }
    }
    outputs
}

/// The error of a step whose `what` has no usable value.
pub(crate) fn value_error(what: &str, error: &ExprError) -> StepError {
    let class = match error {
        ExprError::NoneInText { .. } => ErrorClass::MissingParameter,
        ExprError::TooMuch { .. } => ErrorClass::TooLarge,
        ExprError::Syntax { .. } | ExprError::Failed { .. } | ExprError::NotText { .. } => ErrorClass::WorkflowError,
    };
    StepError::new(class, format!("`{what}`: {error}")).code("expression").advice(error.advice())
}
