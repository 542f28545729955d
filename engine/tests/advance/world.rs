//! A world without brokers and without pictures: a store of commits, a queue, and a worker that answers from a script.

use darkroom_engine::plan::Plan;
use darkroom_engine::{
    Change, ChildStart, Effect, Event, Happened, Head, Notice, Parked, Run, Signal, Source, Spec, State, Step, What,
    advance, compile, line, parked,
};
use darkroom_proto::{
    Artifact, Duration, ErrorClass, Map, Outcome, Report, RunId, RunStatus, Saved, Sha256, StepCost, StepError,
    StepMessage, StepPath, Succeeded, Timestamp, Waiting,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// How long a worker takes for a step.
pub(crate) const STEP_TIME: Duration = Duration(20);

const BEGIN: Timestamp = Timestamp(1_800_000_000_000);

/// A message that waits in the queue.
#[derive(Clone)]
pub(crate) struct Queued {
    pub(crate) at: Timestamp,
    pub(crate) batch: bool,
    pub(crate) message: StepMessage,
}

/// What one commit wrote, as bytes.
#[derive(Clone, Default)]
pub(crate) struct Commit {
    head: Vec<u8>,
    steps: Vec<(StepPath, Option<Vec<u8>>)>,
    signals: Vec<(u64, Option<Vec<u8>>)>,
    overrides: Option<Vec<u8>>,
    voided: BTreeSet<(StepPath, u32)>,
}

/// Steps that fail although their op would not: up to which attempt, and of what.
pub(crate) type Faults = BTreeMap<String, (u32, StepError)>;

pub(crate) struct World {
    pub(crate) plan: Arc<Plan>,
    pub(crate) run: Run,
    pub(crate) now: Timestamp,
    pub(crate) queue: Vec<Queued>,
    pub(crate) faults: Faults,
    /// Everything that was committed, the creation of the run first.
    pub(crate) log: Vec<Commit>,
    pub(crate) events: Vec<Happened>,
    /// Every message that was published, as `path@generation.attempt`.
    pub(crate) published: Vec<String>,
    /// What lies in the output folder.
    pub(crate) files: BTreeMap<String, Sha256>,
    /// What was reported as saved, by key.
    pub(crate) saved: Vec<(Sha256, StepPath)>,
    /// The children that were started, or looked after.
    pub(crate) children: Vec<ChildStart>,
    /// What its parent was told.
    pub(crate) told: Vec<Report>,
    /// What somebody was told.
    pub(crate) notices: Vec<Notice>,
    /// Changed steps, events and effects, all told.
    pub(crate) work: usize,
    /// Rounds of `Continue`.
    pub(crate) continued: u32,
    /// Steps, with their generation, that nothing is paid for any more.
    pub(crate) voided: BTreeSet<(StepPath, u32)>,
    /// How often a step of an op that calls a provider waits before it is answered: to be let in first, then for the job.
    pub(crate) waits: u32,
    /// How often each message has waited.
    pub(crate) waited: BTreeMap<String, u32>,
    /// Whether commits are written and invariants checked; off where it would hide the engine's own cost.
    pub(crate) checks: bool,
}

/// A picture that is told apart by `name`.
pub(crate) fn picture(name: &str) -> Value {
    artifact(name, "image/png", name.as_bytes()).to_value()
}

pub(crate) fn pictures(count: u32) -> Value {
    (1..=count).map(|number| picture(&format!("p{number}.png"))).collect()
}

fn artifact(name: &str, media_type: &str, bytes: &[u8]) -> Artifact {
    Artifact {
        sha256: Sha256::of(bytes),
        media_type: media_type.to_owned(),
        bytes: bytes.len() as u64,
        width: Some(64),
        height: Some(48),
        duration: None,
        name: name.to_owned(),
    }
}

pub(crate) fn path(text: &str) -> StepPath {
    text.parse().unwrap()
}

pub(crate) fn error(class: ErrorClass) -> StepError {
    StepError::new(class, "scripted")
}

fn pack<T: Serialize>(value: &T) -> Vec<u8> {
    rmp_serde::to_vec_named(value).unwrap()
}

fn unpack<T: DeserializeOwned>(bytes: &[u8]) -> T {
    rmp_serde::from_slice(bytes).unwrap()
}

pub(crate) fn plan_of(text: &str) -> Arc<Plan> {
    let text = if text.starts_with("workflow:") { text.to_owned() } else { format!("workflow: test\n{text}") };
    match compile(&Source::new("test.yaml", text)) {
        Ok(compiled) => Arc::new(compiled.plan),
        Err(errors) => panic!("{:#?}", errors.iter().map(|error| error.message.clone()).collect::<Vec<_>>()),
    }
}

impl World {
    /// A run of a workflow that has not started.
    pub(crate) fn new(text: &str) -> World {
        World::with(text, json!({}), |_| {})
    }

    pub(crate) fn with(text: &str, inputs: Value, change: impl FnOnce(&mut Spec)) -> World {
        World::of(plan_of(text), inputs, change)
    }

    pub(crate) fn of(plan: Arc<Plan>, inputs: Value, change: impl FnOnce(&mut Spec)) -> World {
        let mut given = inputs.as_object().cloned().unwrap_or_default();
        for input in &plan.inputs {
            if let (false, Some(default)) = (given.contains_key(&input.name), &input.default) {
                let is_picture = default.as_str().is_some_and(|text| text.ends_with(".png"));
                given.insert(input.name.clone(), if is_picture { picture("logo.png") } else { default.clone() });
            }
        }
        let mut spec = Spec {
            artifacts_url: "file:///artifacts".into(),
            out: Some("/out".into()),
            ..Spec::new(&plan, given, BEGIN)
        };
        change(&mut spec);
        let spec: Spec = unpack(&pack(&spec));
        let run = Run::new(RunId::from_key("tenant", "key"), Arc::new(spec));
        let first = Commit { head: pack(&run.head), ..Commit::default() };
        let log = vec![first];
        World {
            plan,
            run,
            now: BEGIN,
            queue: Vec::new(),
            faults: Faults::new(),
            log,
            events: Vec::new(),
            published: Vec::new(),
            files: BTreeMap::new(),
            saved: Vec::new(),
            children: Vec::new(),
            told: Vec::new(),
            notices: Vec::new(),
            work: 0,
            continued: 0,
            voided: BTreeSet::new(),
            waits: 0,
            waited: BTreeMap::new(),
            checks: true,
        }
    }

    /// The step fails its first `attempts` attempts of each generation with an error of this class.
    pub(crate) fn fault(mut self, path: &str, attempts: u32, class: ErrorClass) -> World {
        self.faults.insert(path.to_owned(), (attempts, error(class)));
        self
    }

    /// The run as it was stored after so many commits, its queue empty and the time a little later.
    pub(crate) fn cut(&self, commits: usize) -> World {
        let mut head = Vec::new();
        let mut steps: BTreeMap<StepPath, Step> = BTreeMap::new();
        let mut signals: BTreeMap<u64, Signal> = BTreeMap::new();
        let mut overrides = Map::new();
        for commit in &self.log[..commits] {
            head.clone_from(&commit.head);
            for (number, signal) in &commit.signals {
                match signal {
                    Some(signal) => signals.insert(*number, unpack(signal)),
                    None => signals.remove(number),
                };
            }
            if let Some(stored) = &commit.overrides {
                overrides = unpack(stored);
            }
            for (path, step) in &commit.steps {
                match step {
                    Some(step) => steps.insert(path.clone(), unpack(step)),
                    None => steps.remove(path),
                };
            }
        }
        let head: Head = unpack(&head);
        let now = head.updated_at.after(Duration(1_000));
        let mut run = Run::restore(self.run.id, self.run.spec.clone(), head, steps);
        (run.signals, run.overrides) = (signals, overrides);
        World {
            plan: self.plan.clone(),
            run,
            now,
            queue: Vec::new(),
            faults: self.faults.clone(),
            log: self.log[..commits].to_vec(),
            events: Vec::new(),
            published: Vec::new(),
            files: BTreeMap::new(),
            saved: Vec::new(),
            children: Vec::new(),
            told: Vec::new(),
            notices: Vec::new(),
            work: 0,
            continued: 0,
            voided: self.log[..commits].iter().flat_map(|commit| commit.voided.clone()).collect(),
            waits: self.waits,
            waited: BTreeMap::new(),
            checks: true,
        }
    }

    /// The run read again from the store, as after a restart.
    pub(crate) fn reload(&mut self) {
        let stored = self.cut(self.log.len());
        assert_eq!(stored.run.steps, self.run.steps, "what is stored is what is in memory");
        assert_eq!((&stored.run.signals, &stored.run.overrides), (&self.run.signals, &self.run.overrides));
        self.run = stored.run;
    }

    /// The process died while a worker was at everything that could be with one.
    pub(crate) fn queue_lost(&mut self) -> Change {
        let is_begun = |step: &Step| match step.state {
            State::Dispatched => true,
            State::Retrying { at } => at <= self.now,
            _ => false,
        };
        let begun = self.run.steps.iter().filter(|(_, step)| is_begun(step)).map(|(path, _)| path.clone()).collect();
        self.apply(Event::QueueLost { begun })
    }

    /// Advances by one event, commits, performs; goes on as long as the engine asks for it.
    pub(crate) fn apply(&mut self, event: Event) -> Change {
        let mut all = Change::default();
        let mut next = Some(event);
        while let Some(event) = next.take() {
            let window = self.run.head.window;
            let before = if self.checks { self.payable() } else { BTreeSet::new() };
            let change = advance(&self.plan, &mut self.run, event, self.now);
            self.voided.extend(change.voided.iter().cloned());
            if self.checks {
                self.commit(&change);
                self.check(window, &change);
                self.check_causes(change.more);
                self.check_voided(&before);
            }
            self.work += change.steps.len() + change.events.len() + change.effects.len();
            self.events.extend(change.events.iter().cloned());
            self.saved.extend(change.saved.iter().cloned());
            for effect in &change.effects {
                let (batch, delay, message) = match effect {
                    Effect::Dispatch { batch, delay, message, .. } => (batch, delay, message),
                    Effect::StartChild(start) => {
                        self.children.push((**start).clone());
                        continue;
                    }
                    Effect::Notify(notice) => {
                        self.notices.push((**notice).clone());
                        continue;
                    }
                    Effect::TellParent(report) => {
                        self.told.push((**report).clone());
                        continue;
                    }
                };
                self.published.push(format!("{}@{}.{}", message.path, message.generation, message.attempt));
                let at = self.now.after(delay.unwrap_or_default());
                self.queue.push(Queued { at, batch: *batch, message: (**message).clone() });
            }
            if change.more {
                self.continued += 1;
                next = Some(Event::Continue);
            }
            all.absorb(change);
        }
        all
    }

    fn commit(&mut self, change: &Change) {
        let steps = change.steps.iter().map(|path| (path.clone(), self.run.steps.get(path).map(pack)));
        let (head, voided) = (pack(&self.run.head), change.voided.clone());
        let signals = change.signals.iter().map(|number| (*number, self.run.signals.get(number).map(pack))).collect();
        let overrides = change.inputs.then(|| pack(&self.run.overrides));
        self.log.push(Commit { head, steps: steps.collect(), signals, overrides, voided });
    }

    /// What must hold after every event.
    fn check(&self, window: u32, change: &Change) {
        let dispatched = self.run.steps.values().filter(|step| step.state == State::Dispatched).count();
        assert_eq!(self.run.head.in_flight as usize, dispatched, "in_flight counts the dispatched steps");
        let fresh = change.events.iter().any(|event| matches!(event.what, What::StepDispatched { .. }));
        let widest = window.max(self.run.head.window);
        assert!(!fresh || self.run.head.in_flight <= widest, "{} in flight, {widest} may be", self.run.head.in_flight);
        for (path, step) in &self.run.steps {
            let Some(fan) = step.fan.as_ref().filter(|fan| fan.parts.is_none() && fan.before == 0) else { continue };
            let children: Vec<State> = self.children(path);
            let count = |wanted: &[State]| children.iter().filter(|state| wanted.contains(state)).count() as u32;
            let open = children.iter().filter(|state| !state.ended()).count() as u32;
            assert_eq!(fan.open, open, "{path}: open of {children:?}");
            assert_eq!(fan.completed, count(&[State::Completed]), "{path}: completed");
            assert_eq!(fan.skipped, count(&[State::Cached, State::Skipped]), "{path}: skipped");
            assert_eq!(fan.failed, count(&[State::Failed]), "{path}: failed");
            if step.state == State::Completed && !fan.enough && step.caught.is_none() {
                assert_eq!(fan.completed + fan.skipped + fan.failed, fan.total, "{path}: all instances are counted");
            }
            if step.state.ended() && !fan.enough {
                assert_eq!(open, 0, "{path} has ended and so have its instances");
            }
        }
        if self.run.head.status.is_terminal() {
            let open = self.run.steps.iter().find(|(_, step)| !step.state.ended());
            assert!(open.is_none(), "the run has ended, and {open:?} has not");
        }
    }

    /// No run is left without a live cause: whatever is under way, waits or is parked is looked at, and what is ready
    /// waits for something that is under way.
    fn check_causes(&self, goes_on: bool) {
        let head = &self.run.head;
        if head.status.is_terminal() || head.status == RunStatus::Pending {
            return;
        }
        let mut states = BTreeSet::new();
        for (path, step) in &self.run.steps {
            let (kind, look_at) = match step.state {
                State::Dispatched | State::Retrying { .. } => ("busy", step.watch.map(|watch| watch.look_at)),
                State::Waiting { .. } => ("waiting", step.watch.map(|watch| watch.look_at)),
                State::Parked { at } => ("parked", Some(at)),
                State::Held { until } => {
                    assert!(step.held.is_some(), "{path} is held, and nothing says for what");
                    ("waiting", until)
                }
                State::Ready => {
                    let is_kept = goes_on || head.in_flight >= head.window || head.paused.is_some();
                    assert!(is_kept, "{path} is ready and nothing keeps it");
                    states.insert("busy");
                    continue;
                }
                _ => continue,
            };
            states.insert(kind);
            let is_asleep = head.paused.is_some() && matches!(step.state, State::Parked { .. } | State::Held { .. });
            let is_seen = look_at.is_some() && head.look_at.is_some() && head.look_at <= look_at;
            assert!(is_asleep || is_seen, "{path} is {kind} and nobody looks: {step:?}");
            assert_eq!(step.waiting.is_some(), kind == "waiting", "{path}: {step:?}");
        }
        let want = match () {
            () if head.paused.is_some() => RunStatus::Paused,
            () if goes_on || states.contains("busy") || states.is_empty() => RunStatus::Running,
            () if states.contains("parked") => RunStatus::PendingRetry,
            () => RunStatus::Waiting,
        };
        assert_eq!(head.status, want, "{:?}", self.statuses());
        assert_eq!(self.run.has_parked(), states.contains("parked"));
    }

    /// The steps that a message was sent about and that may be paid for, with their generation.
    fn payable(&self) -> BTreeSet<(StepPath, u32)> {
        let calls_a_provider =
            |path: &StepPath| line(&self.plan, path).is_some_and(|(pool, _)| matches!(&*pool, "api" | "video"));
        let payable = self.run.steps.iter().filter(|(path, step)| step.attempt > 0 && calls_a_provider(path));
        payable.map(|(path, step)| (path.clone(), step.generation)).collect()
    }

    /// For what ended without success, or was dropped, nothing is paid any more.
    fn check_voided(&self, before: &BTreeSet<(StepPath, u32)>) {
        for (path, generation) in self.payable().union(before) {
            let ends_well = match self.run.step(path).filter(|step| step.generation == *generation) {
                Some(step) => !matches!(step.state, State::Failed | State::Cancelled),
                None => false,
            };
            let is_void = self.voided.contains(&(path.clone(), *generation));
            if is_void
                && self.run.step(path).is_some_and(|step| step.caught.is_some() || self.is_called_off(path, step))
            {
                continue;
            }
            assert_eq!(is_void, !ends_well, "{path}@{generation}: {:?}", self.run.step(path));
        }
    }

    /// Whether a container around the step had enough before the step ended.
    fn is_called_off(&self, path: &StepPath, step: &Step) -> bool {
        let mut around = std::iter::successors(path.parent(), StepPath::parent);
        let has_enough = |step: &Step| step.fan.as_ref().is_some_and(|fan| fan.enough);
        !step.state.ended() && around.any(|path| self.run.step(&path).is_some_and(has_enough))
    }

    fn children(&self, fan: &StepPath) -> Vec<State> {
        let inside =
            self.run.steps.range(fan.clone()..).take_while(|(path, _)| path.as_str().starts_with(fan.as_str()));
        inside
            .filter(|(path, _)| path.parent().as_ref() == Some(fan) && path.last().1.is_some())
            .map(|(_, step)| step.state)
            .collect()
    }

    pub(crate) fn start(&mut self) -> &mut World {
        self.apply(Event::Start);
        self
    }

    /// The message that comes next, taken out of the queue; the time is then.
    pub(crate) fn take(&mut self) -> Option<StepMessage> {
        let (at, _) = self.queue.iter().enumerate().min_by_key(|(at, queued)| (queued.at, *at))?;
        Some(self.take_at(at))
    }

    pub(crate) fn take_at(&mut self, at: usize) -> StepMessage {
        let queued = self.queue.remove(at);
        self.now = self.now.max(queued.at).after(STEP_TIME);
        queued.message
    }

    /// Answers the next message, or checks what is parked; false if there is neither.
    pub(crate) fn step(&mut self) -> bool {
        if self.let_timer_run() {
            return true;
        }
        let Some(message) = self.take() else { return self.check_parked(|_| true) || self.let_time_pass() };
        if let Some(report) = self.wait_with(&message) {
            self.apply(Event::Report(report));
            return true;
        }
        let report = self.work_on(&message);
        self.apply(Event::Report(report));
        true
    }

    /// Lets time pass until the next contender of a race begins, if nothing comes before.
    pub(crate) fn let_timer_run(&mut self) -> bool {
        let begins_at = |step: &Step| step.fan.as_ref().filter(|_| step.state == State::Open)?.begins_at;
        // A pause holds them up as well.
        let (Some(at), None) = (self.run.steps.values().filter_map(begins_at).min(), &self.run.head.paused) else {
            return false;
        };
        assert!(
            self.run.head.look_at.is_some_and(|look_at| look_at <= at),
            "nobody looks when the next contender begins"
        );
        if self.queue.iter().any(|queued| queued.at <= at) {
            return false;
        }
        self.now = self.now.max(at);
        self.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::new() });
        true
    }

    /// Lets time pass until a parked step is checked; those count as ready that are.
    pub(crate) fn check_parked(&mut self, is_ready: impl Fn(&Parked) -> bool) -> bool {
        let parked = parked(&self.plan, &self.run);
        let Some(at) = parked.iter().map(|step| step.at).min() else { return false };
        self.now = self.now.max(at);
        let due = parked.into_iter().filter(|step| step.at <= self.now);
        let ready = due.filter(is_ready).map(|step| step.path).collect();
        self.apply(Event::Looked { lost: BTreeSet::new(), ready });
        true
    }

    /// Lets time pass until a step that the engine holds has waited long enough; false if there is none.
    pub(crate) fn let_time_pass(&mut self) -> bool {
        let held = self.run.steps.values().filter_map(|step| match step.state {
            State::Held { until } => until,
            _ => None,
        });
        let (Some(at), None) = (held.min(), &self.run.head.paused) else { return false };
        self.now = self.now.max(at);
        self.apply(Event::Looked { lost: BTreeSet::new(), ready: BTreeSet::new() });
        true
    }

    /// Sends an event.
    pub(crate) fn signal(&mut self, name: &str, data: Value) -> Change {
        let key = format!("{name} {data}");
        self.apply(Event::Signal { key, name: name.into(), data, by: "ada".into() })
    }

    /// Answers messages until there are none left.
    pub(crate) fn play(&mut self) -> &mut World {
        while self.step() {}
        self
    }

    /// Starts and plays to the end.
    pub(crate) fn finish(&mut self) -> &mut World {
        self.start().play();
        assert!(self.run.head.status.is_terminal(), "it hangs: {:#?}", self.statuses());
        self
    }

    pub(crate) fn resume(&mut self, from: Option<&str>) -> &mut World {
        self.reload();
        self.published.clear();
        self.apply(Event::Resume { from: from.map(path), set: Default::default() });
        self.play();
        assert!(self.run.head.status.is_terminal(), "it hangs: {:#?}", self.statuses());
        self
    }

    /// As long as the step of a message waits, its message comes back.
    fn wait_with(&mut self, message: &StepMessage) -> Option<Report> {
        line(&self.plan, &message.path).filter(|(pool, _)| *pool != "image")?;
        let key = format!("{}@{}.{}", message.path, message.generation, message.attempt);
        let times = self.waited.entry(key).or_default();
        if *times >= self.waits {
            return None;
        }
        *times += 1;
        let submitted = *times > 1;
        Some(self.wait_for(message, submitted))
    }

    /// A worker says that the step waits, and sends its message to itself.
    pub(crate) fn wait_for(&mut self, message: &StepMessage, submitted: bool) -> Report {
        let until = self.now.after(Duration::from_secs(2));
        let reason = if submitted { "flux-pro at fal" } else { "a free place at fal" };
        self.queue.push(Queued { at: until, batch: false, message: message.clone() });
        report(message, Outcome::Waiting(Waiting { reason: reason.to_owned(), submitted, until }))
    }

    /// What a worker does with a message.
    pub(crate) fn work_on(&mut self, message: &StepMessage) -> Report {
        let outcome = match self.faults.get(message.path.as_str()) {
            Some((attempts, error)) if message.attempt <= *attempts => Outcome::Failed(error.clone()),
            _ => answer(message),
        };
        if let Outcome::Succeeded(Succeeded { saved: Some(saved), .. }) = &outcome {
            self.files.insert(saved.path.clone(), saved.artifact.sha256);
        }
        report(message, outcome)
    }

    /// Takes the message of this step out of the queue.
    pub(crate) fn take_of(&mut self, path: &str) -> StepMessage {
        let at = self.queue.iter().position(|queued| queued.message.path.as_str() == path);
        self.take_at(at.unwrap_or_else(|| panic!("no message of {path} in {:?}", self.queued())))
    }

    /// Answers the message of this step.
    pub(crate) fn answer_of(&mut self, path: &str) {
        let message = self.take_of(path);
        let report = self.work_on(&message);
        self.apply(Event::Report(report));
    }

    /// Answers the message of this step with a failure.
    pub(crate) fn fail_of(&mut self, path: &str, class: ErrorClass) {
        let message = self.take_of(path);
        self.apply(Event::Report(report(&message, Outcome::Failed(error(class)))));
    }

    /// The steps whose messages are in the queue.
    pub(crate) fn queued(&self) -> Vec<&str> {
        self.queue.iter().map(|queued| queued.message.path.as_str()).collect()
    }

    pub(crate) fn get(&self, text: &str) -> &Step {
        self.run.step(&path(text)).unwrap_or_else(|| panic!("{text} is pending in {:#?}", self.statuses()))
    }

    pub(crate) fn status(&self, text: &str) -> &'static str {
        self.run.status_of(&path(text)).name()
    }

    pub(crate) fn run_status(&self) -> RunStatus {
        self.run.head.status
    }

    /// The `data` of a `noop`.
    pub(crate) fn data(&self, text: &str) -> Value {
        self.get(text).outputs.get("data").cloned().unwrap_or_default()
    }

    pub(crate) fn statuses(&self) -> BTreeMap<String, &'static str> {
        self.run.steps.iter().map(|(path, step)| (path.to_string(), step.state.status().name())).collect()
    }

    pub(crate) fn outputs(&self) -> BTreeMap<String, Map> {
        self.run.steps.iter().map(|(path, step)| (path.to_string(), step.outputs.clone())).collect()
    }

    /// The steps that were dispatched, in order.
    pub(crate) fn dispatched(&self) -> Vec<String> {
        let first = |event: &Happened| match &event.what {
            What::StepDispatched { step, .. } => Some(step.to_string()),
            _ => None,
        };
        self.events.iter().filter_map(first).collect()
    }

    /// The steps of the published messages.
    pub(crate) fn published_steps(&self) -> Vec<&str> {
        self.published.iter().filter_map(|text| text.split('@').next()).collect()
    }

    /// Why the run failed.
    pub(crate) fn failure(&self) -> (String, &str) {
        let failure =
            self.run.head.failure.as_ref().unwrap_or_else(|| panic!("it did not fail: {:?}", self.statuses()));
        (failure.path.to_string(), &failure.error.message)
    }
}

pub(crate) fn report(message: &StepMessage, outcome: Outcome) -> Report {
    Report {
        run: message.run,
        path: message.path.clone(),
        generation: message.generation,
        attempt: message.attempt,
        outcome,
        cost: StepCost::default(),
    }
}

/// What the op gives: pictures are told apart by what they were made of.
fn answer(message: &StepMessage) -> Outcome {
    let params = &message.params;
    let given = |name: &str| params.get(name).cloned().unwrap_or_default();
    let mut outputs = Map::new();
    let primary = match message.op.as_str() {
        "noop" => {
            outputs.insert("data".into(), given("data"));
            ""
        }
        "fail" => {
            let times = given("times").as_u64().unwrap_or(u64::MAX);
            if u64::from(message.attempt) <= times {
                let class = given("class").as_str().and_then(ErrorClass::from_name).unwrap_or(ErrorClass::InvalidInput);
                return Outcome::Failed(StepError::new(class, "failed on purpose"));
            }
            outputs.insert("data".into(), given("data"));
            ""
        }
        "image.detect" => {
            outputs.insert("boxes".into(), json!([{"x": 1, "y": 2, "w": 3, "h": 4}]));
            outputs.insert("labels".into(), json!(["thing"]));
            outputs.insert("scores".into(), json!([0.5]));
            outputs.insert("image".into(), given("image"));
            "image"
        }
        "image.info" => {
            outputs.insert("width".into(), json!(64));
            outputs.insert("image".into(), given("image"));
            "image"
        }
        "save" => {
            outputs.insert("path".into(), given("path"));
            outputs.insert("file".into(), given("file"));
            "file"
        }
        _ => {
            let made_of = format!("{} {}", message.op, Value::Object(params.clone()));
            let name = Artifact::from_value(&given("image")).map_or("made.png".to_owned(), |image| image.name);
            outputs.insert("image".into(), artifact(&name, "image/png", made_of.as_bytes()).to_value());
            "image"
        }
    };
    let saved = message.save.as_ref().and_then(|target| {
        let artifact = Artifact::from_value(outputs.get(primary)?)?;
        let path =
            if target.path.ends_with('/') { format!("{}{}", target.path, artifact.name) } else { target.path.clone() };
        Some(Saved { path, artifact })
    });
    Outcome::Succeeded(Succeeded { outputs, saved, notes: Vec::new(), cached: None })
}

/// Numbers that follow from a seed (SplitMix64).
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}
