//! A run in virtual time.

use crate::error::Refused;
use crate::inputs::outputs_of;
use crate::mock::{Answer, Mock, matches, span};
use crate::stage::Stage;
use darkroom_engine::plan::Plan;
use darkroom_engine::{
    Change, ChildStart, Effect, Event, Happened, Held, Run, Spec, State, Wanted, What, advance, parked, run_document,
    step_document,
};
use darkroom_proto::op;
use darkroom_proto::{
    Duration, ErrorClass, Map, Money, Outcome, Provenance, Report, RunDocument, RunId, RunStatus, StepCost,
    StepDocument, StepError, StepMessage, StepPath, StepStatus, Succeeded, Timestamp, Waiting,
};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

/// How much happens in a trial at most: what goes on longer goes on for ever.
const TURNS_MAX: u32 = 1_000_000;

/// How many steps are under way at once.
const SLOTS: u32 = 64;

/// A run of a workflow in virtual time: nothing of it happens unless a method lets it, and then at once.
#[derive(Debug)]
pub struct Trial {
    plan: Arc<Plan>,
    run: Run,
    now: Timestamp,
    stage: Stage,
    mocks: Vec<(String, Mock)>,
    folder: PathBuf,
    /// What is under way, by when it comes; of what comes at the same time, what was sent first comes first.
    coming: BTreeMap<(Timestamp, u64), Coming>,
    sent: u64,
    /// How many attempts each step had.
    tried: BTreeMap<StepPath, u32>,
    spent: BTreeMap<(StepPath, u32), Money>,
    /// Steps, with their generation, that nobody pays for any more.
    voided: BTreeSet<(StepPath, u32)>,
    happened: Vec<Happened>,
    requests: Vec<Request>,
    turns: u32,
    keys: u32,
}

#[derive(Debug)]
enum Coming {
    /// A worker gets a message.
    Message(Box<StepMessage>),
    /// A worker says how an attempt ended.
    Report(Box<Report>),
}

/// A request that a step would have sent to somebody else's server.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Request {
    /// The step.
    pub step: String,
    /// Which try, from 1.
    pub attempt: u32,
    /// `http.request` or `notify.webhook`.
    pub op: String,
    /// Its parameters: `url`, `method`, `headers`, `body`.
    #[serde(flatten)]
    pub params: Map,
}

impl Trial {
    /// When every trial begins: 2027-01-15 at 8 in the morning, UTC.
    pub(crate) const BEGINS: Timestamp = Timestamp(1_800_000_000_000);

    pub(crate) fn start(
        plan: Arc<Plan>,
        spec: Spec,
        stage: Stage,
        mocks: Vec<(String, Mock)>,
        folder: PathBuf,
    ) -> Trial {
        let id = RunId::from_key("testkit", &spec.workflow);
        let mut run = Run::new(id, Arc::new(spec));
        run.divide_over(u32::MAX);
        run.make_room(SLOTS);
        let mut trial = Trial {
            plan,
            run,
            now: Trial::BEGINS,
            stage,
            mocks,
            folder,
            coming: BTreeMap::new(),
            sent: 0,
            tried: BTreeMap::new(),
            spent: BTreeMap::new(),
            voided: BTreeSet::new(),
            happened: Vec::new(),
            requests: Vec::new(),
            turns: 0,
            keys: 0,
        };
        trial.apply(Event::Start);
        trial
    }

    /// Lets everything happen that happens by itself, time-outs of waits for events and people left out: the run has
    /// ended then, or waits for somebody.
    pub fn run_until_idle(&mut self) -> RunStatus {
        while self.turn(None, false) {}
        self.status()
    }

    /// Lets everything happen until the run has ended, time-outs included; what waits for somebody waits in vain. A paused
    /// run stays paused.
    pub fn finish(&mut self) -> RunStatus {
        while self.turn(None, true) {}
        self.status()
    }

    /// Lets this much time pass, with all that happens in it.
    pub fn advance(&mut self, time: std::time::Duration) -> RunStatus {
        let until = self.now.after(span(time));
        while self.turn(Some(until), true) {}
        self.now = self.now.max(until);
        self.status()
    }

    /// Lets things happen until the run has this status.
    ///
    /// # Errors
    /// When it ends, or waits for somebody, without having had it.
    pub fn wait_for_status(&mut self, status: RunStatus) -> Result<&mut Trial, Refused> {
        while self.status() != status {
            if !self.turn(None, false) {
                return Err(Refused(format!("the run does not become {status}: it is {}", self.status())));
            }
        }
        Ok(self)
    }

    /// Lets things happen until a step waits, or has ended.
    ///
    /// # Errors
    /// When the run ends, or waits for somebody, before the step comes to it.
    pub fn wait_for_step(&mut self, step: &str) -> Result<&mut Trial, Refused> {
        self.wait_until(step, |status| status == StepStatus::Waiting || status.is_terminal())
    }

    pub(crate) fn wait_until(
        &mut self,
        step: &str,
        is_there: impl Fn(StepStatus) -> bool,
    ) -> Result<&mut Trial, Refused> {
        let path: StepPath = step.parse().map_err(|_| Refused(format!("`{step}` is no path of a step")))?;
        while !is_there(self.run.status_of(&path)) {
            if !self.turn(None, false) {
                let (status, run) = (self.run.status_of(&path), self.status());
                return Err(Refused(format!("`{step}` is {status}, and the run is {run}")));
            }
        }
        Ok(self)
    }

    /// Where the run stands.
    pub fn status(&self) -> RunStatus {
        self.run.head.status
    }

    /// The workflow's outputs, once the run has completed.
    pub fn outputs(&self) -> &Map {
        &self.run.head.outputs
    }

    /// The run as `show -o json` has it.
    pub fn document(&self) -> RunDocument {
        run_document(&self.plan, &self.run)
    }

    /// A step as `show --step` has it; none where the workflow has no such step.
    pub fn step(&self, path: &str) -> Option<StepDocument> {
        step_document(&self.plan, &self.run, &path.parse().ok()?, 0, darkroom_engine::INSTANCES_SHOWN)
    }

    /// Where a step stands; pending, if it is not there.
    pub fn step_status(&self, path: &str) -> StepStatus {
        path.parse().map_or(StepStatus::Pending, |path| self.run.status_of(&path))
    }

    /// An output of a step; null where it has none of the name.
    pub fn output(&self, path: &str, name: &str) -> Value {
        let step = path.parse::<StepPath>().ok().and_then(|path| self.run.step(&path));
        step.and_then(|step| step.outputs.get(name)).cloned().unwrap_or_default()
    }

    /// How many attempts of a step there were in its generation.
    pub fn attempts(&self, path: &str) -> u32 {
        path.parse::<StepPath>().ok().and_then(|path| self.run.step(&path)).map_or(0, |step| step.attempt)
    }

    /// The step that failed the run, and why.
    pub fn failure(&self) -> Option<(&StepPath, &StepError)> {
        self.run.head.failure.as_ref().map(|failure| (&failure.path, &failure.error))
    }

    /// The steps that did something, each once, in the order in which they began.
    pub fn order(&self) -> Vec<String> {
        let mut order: Vec<String> = Vec::new();
        for happened in &self.happened {
            let step = match &happened.what {
                What::StepDispatched { step, .. }
                | What::StepWaiting { step, .. }
                | What::StepCompleted { step, .. }
                | What::StepFailed { step, .. }
                | What::FanOutOpened { step, .. }
                | What::ItemStarted { step, .. } => step.to_string(),
                _ => continue,
            };
            if !order.contains(&step) {
                order.push(step);
            }
        }
        order
    }

    /// How much virtual time has passed since the run began.
    pub fn elapsed(&self) -> std::time::Duration {
        self.run.head.finished_at.unwrap_or(self.now).since(Trial::BEGINS).to_std()
    }

    /// What its calls cost, in US dollars, as far as mocks say.
    pub fn cost(&self) -> f64 {
        self.run.head.spent.usd()
    }

    /// The requests to other servers, none of which was sent.
    pub fn requests(&self) -> &[Request] {
        &self.requests
    }

    /// Where `save` puts files; the folder is gone with the trial.
    pub fn out(&self) -> PathBuf {
        self.stage.out()
    }

    /// What happened, a line each, with the virtual time since the beginning.
    pub fn timeline(&self) -> Vec<String> {
        self.happened.iter().map(|happened| line(happened, Trial::BEGINS)).collect()
    }

    pub(crate) fn run(&self) -> &Run {
        &self.run
    }

    pub(crate) fn new_key(&mut self) -> String {
        self.keys += 1;
        format!("test-{}", self.keys)
    }

    /// Applies one event, and performs what follows.
    pub(crate) fn apply(&mut self, event: Event) -> Change {
        let mut all = Change::default();
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let change = advance(&self.plan, &mut self.run, event, self.now);
            self.happened.extend(change.events.iter().cloned());
            self.voided.extend(change.voided.iter().cloned());
            for effect in &change.effects {
                self.perform(effect);
            }
            next = change.more.then_some(Event::Continue);
            all.absorb(change);
        }
        all
    }

    fn perform(&mut self, effect: &Effect) {
        match effect {
            Effect::Dispatch { delay, message, .. } => {
                let at = self.now.after(delay.unwrap_or_default());
                self.send(at, Coming::Message(message.clone()));
            }
            Effect::StartChild(start) => self.start_child(start),
            // Only a child has one.
            Effect::TellParent(_) => {}
        }
    }

    /// What becomes of a child: its mock says. It has no workers of its own here.
    fn start_child(&mut self, start: &ChildStart) {
        let ChildStart { parent, spec, wanted, .. } = start;
        let message = StepMessage {
            run: parent.run,
            path: parent.path.clone(),
            generation: parent.generation,
            attempt: parent.attempt,
            op: op::CHILD.name.to_owned(),
            params: spec.inputs.clone(),
            timeout: op::CHILD.timeout,
            save: None,
            provenance: Provenance { workflow: spec.workflow.clone(), definition: spec.definition },
            budget: None,
            ticket: None,
            deferred_since: None,
            epoch: None,
            cache: None,
        };
        if *wanted == Wanted::Cancelled {
            self.voided.insert((message.path.clone(), message.generation));
            self.is_called_off(&message, true);
        } else if self.mock_of(&message.path).is_none() {
            let error = StepError::new(ErrorClass::WorkflowError, "a test does not run other workflows")
                .code("no_mock")
                .advice(format!("add a mock of `{}` with the outputs of that workflow", message.path));
            self.send(self.now, Coming::Report(Box::new(start.failed(error))));
        } else {
            self.work_on(&message);
        }
    }

    fn send(&mut self, at: Timestamp, coming: Coming) {
        self.sent += 1;
        self.coming.insert((at, self.sent), coming);
    }

    /// Lets the next thing happen, if it does so until then. Without `patience` no wait for somebody runs out of time.
    fn turn(&mut self, until: Option<Timestamp>, patience: bool) -> bool {
        if self.status().is_terminal() || self.turns >= TURNS_MAX {
            return false;
        }
        let arrives = self.coming.first_key_value().map(|((at, _), _)| *at);
        let look_at = self.run.head.look_at;
        let (at, looks) = match (arrives, look_at) {
            (Some(arrives), Some(look_at)) if look_at < arrives => (look_at, true),
            (Some(arrives), _) => (arrives, false),
            (None, Some(look_at)) => (look_at, true),
            (None, None) => return false,
        };
        let is_too_late = until.is_some_and(|until| at > until);
        let ends_a_wait = !patience && self.patience_ends().is_some_and(|ends| ends <= at);
        if is_too_late || ends_a_wait {
            return false;
        }
        self.turns += 1;
        self.now = self.now.max(at);
        if looks {
            // Whatever was in the way has gone when somebody looks: what the step answers then, its mock says.
            let due = parked(&self.plan, &self.run).into_iter().filter(|step| step.at <= self.now);
            let ready = due.map(|step| step.path).collect();
            self.apply(Event::Looked { lost: BTreeSet::new(), ready });
            return true;
        }
        match self.coming.pop_first() {
            Some((_, Coming::Message(message))) => self.work_on(&message),
            Some((_, Coming::Report(report))) => drop(self.apply(Event::Report(*report))),
            None => return false,
        }
        true
    }

    /// When the first wait for an event or a person runs out of time.
    fn patience_ends(&self) -> Option<Timestamp> {
        let ends = self.run.steps.values().filter_map(|step| match (step.state, step.held.as_deref()) {
            (State::Held { until }, Some(Held::Event { .. } | Held::Person(_))) => until,
            _ => None,
        });
        if self.run.head.paused.is_some() { None } else { ends.min() }
    }

    /// What a worker does with a message.
    fn work_on(&mut self, message: &StepMessage) {
        let is_current = self.run.step(&message.path).is_some_and(|step| {
            step.generation == message.generation && step.attempt == message.attempt && !step.state.ended()
        });
        let is_paid = op::find(&message.op).is_some_and(|op| op.calls_a_provider());
        if !is_current || self.is_called_off(message, is_paid) {
            return;
        }
        if op::find(&message.op).is_some_and(|op| op.pool == "system") {
            let (step, params) = (message.path.to_string(), message.params.clone());
            self.requests.push(Request { step, attempt: message.attempt, op: message.op.clone(), params });
        }
        let before = self.tried.get(&message.path).copied().unwrap_or(0);
        self.tried.insert(message.path.clone(), before + 1);
        let (takes, costs, done) = match self.mock_of(&message.path).and_then(|mock| mock.answer(before)) {
            Some(answered) => {
                let takes = answered.takes.unwrap_or_default();
                let (takes, done) = match &answered.answer {
                    Answer::Timeout => (message.timeout, Err(too_long(message))),
                    _ if takes > message.timeout => (message.timeout, Err(too_long(message))),
                    answer => (takes, self.answer(answer, message)),
                };
                (takes, answered.costs, done)
            }
            None => {
                let (takes, done) = self.stage.perform(message);
                (takes, Money::ZERO, done)
            }
        };
        let spent = self.spent.entry((message.path.clone(), message.generation)).or_insert(Money::ZERO);
        *spent = [*spent, costs].into_iter().sum();
        let cost = StepCost { spent: *spent, possible_duplicates: 0 };
        let report = |outcome| Report {
            run: message.run,
            path: message.path.clone(),
            generation: message.generation,
            attempt: message.attempt,
            outcome,
            cost,
        };
        let until = self.now.after(takes);
        let ended = report(done.map_or_else(Outcome::Failed, Outcome::Succeeded));
        // What a provider takes its time for is with no worker meanwhile, and can be called off.
        if takes.0 > 0 && is_paid {
            let waiting = Waiting { reason: "its mock".to_owned(), submitted: true, until };
            self.apply(Event::Report(Report { cost: StepCost::default(), ..report(Outcome::Waiting(waiting)) }));
        }
        self.send(until, Coming::Report(Box::new(ended)));
    }

    /// Whether the message is one more about an attempt that is under way, or about one that nobody wants any more: that
    /// one is called off, as a worker would at the provider.
    fn is_called_off(&mut self, message: &StepMessage, is_paid: bool) -> bool {
        let is_of = |report: &Report| {
            (&report.path, report.generation, report.attempt) == (&message.path, message.generation, message.attempt)
        };
        let under_way = self.coming.iter().find_map(|(at, coming)| match coming {
            Coming::Report(report) if is_of(report) => Some((*at, report.clone())),
            _ => None,
        });
        let is_void = is_paid && self.voided.contains(&(message.path.clone(), message.generation));
        let called_off = || Outcome::Failed(StepError::new(ErrorClass::Cancelled, "it was called off"));
        match (under_way, is_void) {
            (Some((at, report)), true) => {
                self.coming.remove(&at);
                let report = Report { outcome: called_off(), cost: StepCost::default(), ..*report };
                self.send(self.now, Coming::Report(Box::new(report)));
                true
            }
            (None, true) => {
                let StepMessage { run, path, generation, attempt, .. } = message.clone();
                let (outcome, cost) = (called_off(), StepCost::default());
                let report = Report { run, path, generation, attempt, outcome, cost };
                self.send(self.now, Coming::Report(Box::new(report)));
                true
            }
            (under_way, false) => under_way.is_some(),
        }
    }

    /// The mock of a step: the exact one, or else the first whose pattern means it.
    fn mock_of(&self, path: &StepPath) -> Option<&Mock> {
        let exact = self.mocks.iter().rfind(|(pattern, _)| pattern == path.as_str());
        let found = exact.or_else(|| self.mocks.iter().find(|(pattern, _)| matches(pattern, path.as_str())));
        found.map(|(_, mock)| mock)
    }

    fn answer(&self, answer: &Answer, message: &StepMessage) -> Result<Succeeded, StepError> {
        let outputs = match answer {
            Answer::Error(error) => return Err(error.clone()),
            Answer::Timeout => return Err(too_long(message)),
            Answer::Picture(width, height) => {
                let name = op::find(&message.op).map_or("image", |op| op.primary);
                Map::from_iter([(name.to_owned(), self.stage.plain(*width, *height)?.to_value())])
            }
            Answer::Outputs(outputs) => outputs_of(outputs, &self.stage, &self.folder)
                .map_err(|why| StepError::new(ErrorClass::InvalidInput, format!("the mock: {why}")).code("mocked"))?,
        };
        let saved = self.stage.save(message, &outputs)?;
        Ok(Succeeded { outputs, saved, ..Succeeded::default() })
    }
}

fn too_long(message: &StepMessage) -> StepError {
    StepError::new(ErrorClass::Timeout, format!("the attempt took longer than {}", message.timeout)).code("mocked")
}

/// `+1.5s step_retrying hero attempt=1 …`: whatever kinds of events there are.
fn line(happened: &Happened, began: Timestamp) -> String {
    let mut text = format!("{:>10}", format!("+{}", shown(happened.at.since(began))));
    let Ok(Value::Object(mut fields)) = serde_json::to_value(&happened.what) else { return text };
    for name in ["event", "step"] {
        if let Some(Value::String(value)) = fields.shift_remove(name) {
            text.push_str(&format!(" {value}"));
        }
    }
    if let Some(Value::Object(error)) = fields.shift_remove("error") {
        let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
        text.push_str(&format!(" {}: {}", part("class"), part("message")));
    }
    for (name, value) in fields {
        let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        text.push_str(&format!(" {name}={value}"));
    }
    text
}

/// A span as people read it.
pub(crate) fn shown(time: Duration) -> String {
    match time.0 {
        0 => "0s".to_owned(),
        _ => time.to_string(),
    }
}
