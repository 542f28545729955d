//! Steps that the engine performs itself: they wait for time, an event or a person, or only give a value a name. No worker
//! hears of them, and while they wait they cost nothing.

use crate::advance::Turn;
use crate::approval::Approval;
use crate::branch;
use crate::call::parameters;
use crate::change::What;
use crate::plan::{Call, Plan};
use crate::run::{Place, State};
use crate::scope::{RunScope, value_error};
use darkroom_proto::op::WAIT_MAX;
use darkroom_proto::{Duration, ErrorClass, Map, StepError, StepPath, Succeeded, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What ends a step that the engine holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Held {
    /// Time alone.
    Sleep,
    /// An event; its filter is in the plan.
    Event {
        /// Its name.
        name: String,
        /// What its data has to be like.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        schema: Option<Value>,
    },
    /// A person.
    Person(Approval),
}

/// How the wait of a step ends.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Ending {
    /// What it waited for came.
    Completed(Map),
    /// Nothing came in time. Without outputs the step fails.
    TimedOut(Map),
    /// A person said no.
    Rejected(Map),
}

/// What becomes of a step that is performed here.
enum Performed {
    /// It is done.
    Done(Map),
    /// It waits.
    Waits { held: Held, until: Timestamp, reason: String },
}

/// The op of a step that needs no worker; none of any other step.
pub fn held_op(plan: &Plan, path: &StepPath) -> Option<&'static str> {
    let place = plan.locate(path)?;
    let (_, call) = plan.call_at(&place)?;
    (call.op.performed_by_engine() && call.child.is_none()).then_some(call.op.name)
}

impl Turn<'_> {
    /// Performs a ready step that needs no worker.
    pub(crate) fn perform(&mut self, path: &StepPath, place: &Place) {
        for frame in &place.frames {
            self.expand_again(&frame.fan_path);
        }
        let plan = self.plan;
        let Some((_, call)) = plan.call_at(place) else { return };
        let scope = RunScope { plan, run: self.run, frames: &place.frames };
        let performed = performed(&scope, call, self.now);
        let now = self.now;
        self.change_step(path, |step| {
            step.attempt += 1;
            step.started_at = now;
        });
        match performed {
            Err(error) => self.fail(path, error),
            Ok(Performed::Done(outputs)) => self.held_ends(path, Ending::Completed(outputs)),
            Ok(Performed::Waits { until, .. }) if until <= self.now => self.wait_is_over(path, Held::Sleep),
            Ok(Performed::Waits { held, until, reason }) => {
                let stored = reason.clone();
                self.change_step(path, |step| {
                    step.state = State::Held { until: Some(until) };
                    step.held = Some(Box::new(held));
                    step.waiting = Some(stored);
                });
                self.look_at(until);
                self.happened(What::StepWaiting { step: path.clone(), reason });
                self.take_kept(path);
            }
        }
    }

    /// Ends the wait of a step.
    pub(crate) fn held_ends(&mut self, path: &StepPath, ending: Ending) {
        match ending {
            Ending::TimedOut(outputs) if outputs.is_empty() => self.fail(path, wait_timed_out()),
            Ending::Completed(outputs) => self.succeed(path, Succeeded { outputs, ..Succeeded::default() }),
            Ending::TimedOut(outputs) => self.held_ends_in(path, outputs, branch::Ending::TimedOut, undecided()),
            Ending::Rejected(outputs) => {
                let error = rejected(&outputs);
                self.held_ends_in(path, outputs, branch::Ending::Rejected, error);
            }
        }
    }

    /// The step has its outputs, and goes on in its branch for such an end if it has one.
    fn held_ends_in(&mut self, path: &StepPath, outputs: Map, ending: branch::Ending, error: StepError) {
        self.change_step(path, |step| step.outputs = outputs.clone());
        if !self.branch_off(path, path, &error, ending) {
            self.succeed(path, Succeeded { outputs, ..Succeeded::default() });
        }
    }

    /// Ends the waits whose time is over. What came in the same moment was taken before.
    pub(crate) fn end_overdue_waits(&mut self) {
        if self.run.tally.held == 0 {
            return;
        }
        let now = self.now;
        let is_over = |state| matches!(state, State::Held { until: Some(until) } if until <= now);
        let over: Vec<StepPath> =
            self.run.steps.iter().filter(|(_, step)| is_over(step.state)).map(|(path, _)| path.clone()).collect();
        for path in over {
            // The failure of one may have ended another.
            let Some(step) = self.run.step(&path).filter(|step| is_over(step.state)) else { continue };
            if let Some(held) = step.held.as_deref().cloned() {
                self.wait_is_over(&path, held);
            }
        }
    }

    fn wait_is_over(&mut self, path: &StepPath, held: Held) {
        let ending = match held {
            Held::Sleep => Ending::Completed(Map::from_iter([("until".to_owned(), self.now.to_string().into())])),
            Held::Event { .. } => Ending::TimedOut(Map::new()),
            Held::Person(_) => Ending::TimedOut(Approval::timed_out(self.now)),
        };
        self.held_ends(path, ending);
    }
}

fn performed(scope: &RunScope<'_>, call: &Call, now: Timestamp) -> Result<Performed, StepError> {
    if call.op.name == "value" {
        let argument = call.arguments.iter().find(|argument| argument.name == "value");
        let value = argument.map_or(Ok(Value::Null), |argument| scope.argument(argument));
        let value = value.map_err(|error| value_error("with.value", &error))?;
        return Ok(Performed::Done(Map::from_iter([("value".to_owned(), value)])));
    }
    let params = parameters(scope, call)?;
    let text = |name: &str| params.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let deadline = now.after(call.timeout.min(WAIT_MAX));
    Ok(match call.op.name {
        "sleep" => {
            let until = wakes_at(&params, now)?;
            Performed::Waits { held: Held::Sleep, until, reason: until.to_string() }
        }
        "wait.event" => {
            let name = text("name");
            let reason = format!("the event `{name}` until {deadline}");
            Performed::Waits {
                held: Held::Event { name, schema: params.get("schema").cloned() },
                until: deadline,
                reason,
            }
        }
        "human.approve" => {
            let approval = Approval::of(&params)?;
            let reason = format!("approval until {deadline}: {}", approval.title);
            Performed::Waits { held: Held::Person(approval), until: deadline, reason }
        }
        other => {
            return Err(StepError::new(
                ErrorClass::WorkflowError,
                format!("`{other}` can't be performed by the engine"),
            ));
        }
    })
}

/// When a `sleep` is over.
fn wakes_at(params: &Map, now: Timestamp) -> Result<Timestamp, StepError> {
    let invalid = |message: String| StepError::new(ErrorClass::InvalidInput, message);
    let span = |value: &Value| match value {
        Value::String(text) => text.parse::<Duration>().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    };
    let until = match (params.get("for"), params.get("until").and_then(Value::as_str)) {
        (Some(value), _) => {
            let span = span(value).ok_or_else(|| invalid(format!("`for` is {value}, which is no duration")))?;
            now.after(span)
        }
        (None, Some(text)) => text.parse().map_err(|error| invalid(format!("`until`: {error}")))?,
        (None, None) => {
            return Err(StepError::new(ErrorClass::MissingParameter, "neither `for` nor `until` has a value")
                .advice("give one of them a value, or the step an `if`"));
        }
    };
    if until.since(now) > WAIT_MAX {
        return Err(invalid(format!("it would sleep until {until}, over the limit of {WAIT_MAX}"))
            .advice("sleep for a shorter time, or start a run of its own then"));
    }
    Ok(until)
}

/// What a step fails of whose branch for it ends in failure.
fn undecided() -> StepError {
    StepError::new(ErrorClass::Timeout, "nobody decided in time")
        .code("approval_timed_out")
        .advice("resume the run from this step to ask again")
}

/// The same of one that somebody rejected.
fn rejected(outputs: &Map) -> StepError {
    let said = |name: &str| outputs.get(name).and_then(Value::as_str).filter(|said| !said.is_empty());
    let by = said("by").map(|by| format!(" by {by}")).unwrap_or_default();
    let note = said("note").map(|note| format!(": {note}")).unwrap_or_default();
    StepError::new(ErrorClass::InvalidInput, format!("rejected{by}{note}"))
        .code("rejected")
        .advice("change what was rejected and resume the run from there")
}

fn wait_timed_out() -> StepError {
    StepError::new(ErrorClass::Timeout, "the event did not come in time")
        .code("wait_timed_out")
        .advice("send it with `darkroom signal`, and resume the run; or give the step a longer `timeout`")
}
