//! The state of one execution.

use crate::change::Event;
use crate::fanout::Expansion;
use crate::held::Held;
use crate::notice::NoticeKind;
use crate::parking::{Parking, RECHECK_EVERY};
use crate::part::{PART_MAX, Part, Parts};
use crate::plan::{Body, BranchKind, NodeIndex, Plan, Work};
use crate::signal::Signal;
use crate::spec::Spec;
use crate::tally::Tally;
use crate::task::Pulse;
use crate::watch::Watch;
use darkroom_proto::{
    CachedFrom, Duration, ErrorClass, ItemsDocument, Map, Money, RunId, RunStatus, Saved, Sha256, StepCost, StepError,
    StepPath, StepStatus, Timestamp, instance_numbers,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// The part of a run that changes with almost every event: counters and cursors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// Where the run stands.
    pub status: RunStatus,
    /// Rises with every resume; steps that begin take it as their generation.
    pub generation: u32,
    /// The latest time that the run has seen; it never goes back.
    pub updated_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// The step that failed the run, and nothing new starts.
    pub failure: Option<Failure>,
    /// Who or why, when somebody cancelled it.
    #[serde(default)]
    pub cancelled: Option<String>,
    /// Who or why, while somebody has it paused: nothing new is sent, and no time-out counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// It was cancelled, everything in it has ended, and the `on-cancel` branches of its steps are done.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compensating: bool,
    /// What was left of its compensation is skipped.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compensated: bool,
    /// Whether what equal steps saved before is taken; a resume from a step wants it done anew.
    pub reuse: bool,
    /// When the run has to be looked at because of a step that is under way; perhaps a little early.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub look_at: Option<Timestamp>,
    /// How many steps are dispatched and not reported.
    pub in_flight: u32,
    /// How many may be: it widens while steps are quick.
    pub window: u32,
    /// Failures that were tolerated.
    pub tolerated: u32,
    /// Reports that were ignored because their step had ended or was begun anew.
    pub stale_reports: u32,
    /// What its calls to providers cost so far, those of steps that were dropped included.
    #[serde(default, skip_serializing_if = "is_nothing")]
    pub spent: Money,
    /// Calls that may have been paid twice.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub possible_duplicates: u32,
    /// The troubles that somebody was told of since it was started or resumed.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub told: BTreeSet<(NoticeKind, ErrorClass)>,
    /// The workflow's outputs, once it completed.
    pub outputs: Map,
}

/// What failed a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// The step.
    pub path: StepPath,
    /// The number of the top-level step that it belongs to.
    pub number: u32,
    /// The error.
    pub error: StepError,
}

/// The state of one step instance. A step that has none is pending.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// Where it stands.
    pub state: State,
    /// The generation that it began in.
    pub generation: u32,
    /// How many attempts were dispatched.
    #[serde(default)]
    pub attempt: u32,
    /// How often the process died while it was under way.
    #[serde(default)]
    pub losses: u32,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Its outputs.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub outputs: Map,
    /// Why it failed, or what the last attempt failed of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<StepError>,
    /// Of a failed fan-out or instance: the step in it that failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failed_at: Option<StepPath>,
    /// Why it was skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub skipped: Option<Skipped>,
    /// What it saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saved: Option<Saved>,
    /// The step that its outputs were taken from, if the step cache or an earlier run gave them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cached_from: Option<Box<CachedFrom>>,
    /// The key under which an equal step finds what it saved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Sha256>,
    /// Of a fan-out: how far it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fan: Option<Fan>,
    /// Once a branch of it was begun: which, and of what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caught: Option<Caught>,
    /// While it is under way: when it is looked at again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watch: Option<Watch>,
    /// While it waits: for what.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waiting: Option<String>,
    /// While the engine itself holds it: what ends it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held: Option<Box<Held>>,
    /// The key of the event that ended it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub taken: Option<String>,
    /// Once its fast retries were spent: how it is tried since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parking: Option<Parking>,
    /// What its calls cost so far in its generation.
    #[serde(default, skip_serializing_if = "StepCost::is_none")]
    pub cost: StepCost,
    /// While its outcome is open: in which life of the store its attempt was sent first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub epoch: Option<String>,
    /// The run that its latest attempt is, if it is a child.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub child: Option<RunId>,
    /// While a worker of a task has it: when that was heard of last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulse: Option<Box<Pulse>>,
}

impl Step {
    /// Whether an attempt of it was sent and it has not ended, nor is in a branch.
    pub(crate) fn is_open(&self) -> bool {
        self.attempt > 0 && !self.state.ended() && self.caught.is_none()
    }

    /// Forgets where its message is and what it waits for: it is on its way no more.
    pub(crate) fn forget_way(&mut self) {
        self.watch = None;
        self.waiting = None;
        self.held = None;
        self.epoch = None;
        self.pulse = None;
    }
}

/// What a branch of a step was begun of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Caught {
    /// The branch.
    pub branch: BranchKind,
    /// What the step failed of.
    pub error: StepError,
    /// The step in it that failed, or itself.
    pub failed_at: StepPath,
}

/// Where a step instance stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Everything it waits for has ended; it waits for room in the window.
    Ready,
    /// Its message was published.
    Dispatched,
    /// Its message was published to come back at this time.
    Retrying {
        /// When it comes back.
        at: Timestamp,
    },
    /// It is with no worker: a provider has its job, or it comes back to be let in.
    Waiting {
        /// Whether a provider has its job: then it may be paid already.
        submitted: bool,
        /// When it is looked after next.
        until: Timestamp,
    },
    /// Its fast retries are spent; it is tried again when what was in the way may have gone.
    Parked {
        /// When that is checked next.
        at: Timestamp,
    },
    /// No worker has it and none will: the engine waits for time, an event or a person.
    Held {
        /// When that is over at the latest.
        until: Option<Timestamp>,
    },
    /// A container, an instance of one, a branch, or a step in one of its branches, that is under way.
    Open,
    /// Done.
    Completed,
    /// Its outputs came from an earlier, equal step.
    Cached,
    /// Not needed.
    Skipped,
    /// Failed for good.
    Failed,
    /// Ended from outside.
    Cancelled,
}

impl State {
    /// Whether it has ended.
    pub fn ended(self) -> bool {
        self.status().is_terminal()
    }

    /// The status that documents show.
    pub fn status(self) -> StepStatus {
        match self {
            State::Ready => StepStatus::Ready,
            State::Dispatched | State::Open => StepStatus::Running,
            State::Retrying { .. } | State::Parked { .. } => StepStatus::Retrying,
            State::Waiting { .. } | State::Held { .. } => StepStatus::Waiting,
            State::Completed => StepStatus::Completed,
            State::Cached => StepStatus::Cached,
            State::Skipped => StepStatus::Skipped,
            State::Failed => StepStatus::Failed,
            State::Cancelled => StepStatus::Cancelled,
        }
    }
}

/// Why a step was skipped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skipped {
    /// Its `if` was false.
    Condition,
    /// It uses the outputs of a step that failed.
    Failed {
        /// That step.
        step: StepPath,
    },
    /// `--only` leaves it out.
    NotWanted,
    /// What it saves exists, made from the same inputs.
    Saved {
        /// The file, or the first of them.
        path: String,
    },
    /// The files that `skip-if-exists` names exist.
    Exists {
        /// The first of them.
        path: String,
    },
    /// Nothing that runs needs it.
    NotNeeded,
}

impl std::fmt::Display for Skipped {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Skipped::Condition => f.write_str("its condition is false"),
            Skipped::Failed { step } => write!(f, "it uses the outputs of `{step}`, which failed"),
            Skipped::NotWanted => f.write_str("--only leaves it out"),
            Skipped::Saved { path } => write!(f, "{path} exists, made from the same inputs"),
            Skipped::Exists { path } => write!(f, "{path} exists"),
            Skipped::NotNeeded => f.write_str("nothing that runs needs it"),
        }
    }
}

/// How far a fan-out is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fan {
    /// How many instances it has.
    pub total: u32,
    /// How many instances were begun or passed over: the cursor.
    pub next: u32,
    /// Instances before the cursor that have to be begun again.
    #[serde(default, skip_serializing_if = "VecDeque::is_empty")]
    pub redo: VecDeque<u32>,
    /// Begun and not ended.
    pub open: u32,
    /// Ended well.
    pub completed: u32,
    /// Not needed.
    pub skipped: u32,
    /// Failed for good.
    pub failed: u32,
    /// More failed than it tolerates, or it was cancelled: no further instance is begun.
    #[serde(default)]
    pub stopped: bool,
    /// It has what it needs: the rest was called off, and what of that is with a worker or a provider closes later.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub enough: bool,
    /// Of a race that was won: the contender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub winner: Option<u32>,
    /// Of a race: when the next contender begins, if not sooner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begins_at: Option<Timestamp>,
    /// Where it is done in parts, that are runs of their own: which. `next`, `redo` and `open` then speak of parts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Box<Parts>>,
    /// In such a run: how many instances come before its own. `total` is its last one there.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub before: u32,
}

impl Fan {
    /// Whether every instance has ended that it waits for.
    pub fn is_done(&self) -> bool {
        self.enough || self.open == 0 && (self.stopped || !self.has_more())
    }

    /// Whether not everything of it was begun.
    pub(crate) fn has_more(&self) -> bool {
        self.next < self.parts.as_ref().map_or(self.total, |parts| parts.count(self.total)) || !self.redo.is_empty()
    }

    /// The counts as documents show them.
    pub fn items(&self) -> ItemsDocument {
        ItemsDocument {
            total: self.total - self.before.min(self.total),
            completed: self.completed,
            skipped: self.skipped,
            failed: self.failed,
        }
    }
}

/// One execution of a workflow.
///
/// `head`, `steps`, `signals` and `overrides` are what is stored; the rest is derived and is lost with the memory.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its id.
    pub id: RunId,
    /// What it was given.
    pub spec: Arc<Spec>,
    /// Its counters and cursors.
    pub head: Head,
    /// Its step instances, but for the pending ones.
    pub steps: BTreeMap<StepPath, Step>,
    /// Events that nobody has waited for yet, in the order in which they came.
    pub signals: BTreeMap<u64, Signal>,
    /// Inputs that somebody changed after the run had begun.
    pub overrides: Map,
    /// Steps that are ready and wait for room, in the order in which they became so.
    pub(crate) ready: VecDeque<StepPath>,
    /// Fan-outs that still have instances to begin: the deepest first, of those the earliest opened.
    pub(crate) fans: Vec<StepPath>,
    /// The items of fan-outs, made from the definition when they are first needed.
    pub(crate) expansions: BTreeMap<StepPath, Arc<Expansion>>,
    /// It was restored, and its expansions are not known again yet.
    pub(crate) is_restored: bool,
    /// How many undone steps there is room for at least, however slow they are.
    pub(crate) room: u32,
    /// How often parked steps are checked.
    pub(crate) recheck_every: Duration,
    /// In which life the store is.
    pub(crate) epoch: Option<Arc<str>>,
    /// Wider fan-outs are done in parts of this size.
    pub(crate) part_max: u32,
    /// How many steps are in the states that its status follows from.
    pub(crate) tally: Tally,
}

/// The narrowest window of undone steps, where there are few slots.
pub const WINDOW_MIN: u32 = 8;

/// The widest, for steps that take next to no time.
pub const WINDOW_MAX: u32 = 256;

/// The most room that slow steps get, however many slots there are.
const ROOM_MAX: u32 = 4_096;

/// A step that ends sooner than this after its dispatch widens the window.
pub(crate) const QUICK: Duration = Duration(5);

impl Run {
    /// A run that has not started.
    pub fn new(id: RunId, spec: Arc<Spec>) -> Run {
        let head = Head {
            status: RunStatus::Pending,
            generation: 1,
            updated_at: spec.created_at,
            finished_at: None,
            failure: None,
            cancelled: None,
            paused: None,
            compensating: false,
            compensated: false,
            reuse: !spec.fresh,
            look_at: None,
            in_flight: 0,
            window: WINDOW_MIN,
            tolerated: 0,
            stale_reports: 0,
            spent: Money::ZERO,
            possible_duplicates: 0,
            told: BTreeSet::new(),
            outputs: Map::new(),
        };
        let expansions = spec.part.as_deref().map(Part::expansions).unwrap_or_default();
        Run {
            id,
            spec,
            head,
            steps: BTreeMap::new(),
            signals: BTreeMap::new(),
            overrides: Map::new(),
            ready: VecDeque::new(),
            fans: Vec::new(),
            expansions,
            is_restored: false,
            room: WINDOW_MIN,
            recheck_every: RECHECK_EVERY,
            epoch: None,
            part_max: PART_MAX,
            tally: Tally::default(),
        }
    }

    /// A run as it was stored.
    pub fn restore(id: RunId, spec: Arc<Spec>, head: Head, steps: BTreeMap<StepPath, Step>) -> Run {
        let mut run = Run { head, steps, is_restored: true, ..Run::new(id, spec) };
        run.derive_queues();
        run
    }

    /// Fills what is derived from the steps: who is ready, which fan-outs have more to begin.
    pub(crate) fn derive_queues(&mut self) {
        self.tally = Tally::of(self.steps.values());
        let mut ready: Vec<(Timestamp, &StepPath)> = self
            .steps
            .iter()
            .filter(|(_, step)| step.state == State::Ready)
            .map(|(path, step)| (step.started_at, path))
            .collect();
        ready.sort();
        self.ready = ready.into_iter().map(|(_, path)| path.clone()).collect();
        let mut fans: Vec<(std::cmp::Reverse<usize>, Timestamp, &StepPath)> = self
            .steps
            .iter()
            .filter(|(_, step)| step.state == State::Open)
            .filter(|(_, step)| step.fan.as_ref().is_some_and(|fan| !fan.stopped && !fan.enough && fan.has_more()))
            .map(|(path, step)| (std::cmp::Reverse(depth(path)), step.started_at, path))
            .collect();
        fans.sort();
        self.fans = fans.into_iter().map(|(.., path)| path.clone()).collect();
    }

    /// Says how many slots the workers have: twice as many of its steps may be undone, so that none of them waits for the
    /// next one.
    pub fn make_room(&mut self, slots: u32) {
        self.room = slots.saturating_mul(2).clamp(WINDOW_MIN, ROOM_MAX);
    }

    /// Says how often steps are checked whose fast retries are spent.
    pub fn recheck(&mut self, every: Duration) {
        self.recheck_every = every;
    }

    /// Says how many instances of a fan-out it has itself; wider ones are done in parts. All of them, where nobody starts
    /// other runs.
    pub fn divide_over(&mut self, instances: u32) {
        self.part_max = instances.max(1);
    }

    /// Says in which life the store is; messages carry the one in which they were sent first.
    pub fn store_lives(&mut self, epoch: Option<&Arc<str>>) {
        self.epoch = epoch.cloned();
    }

    /// The value of an input: as it was changed last, or as the run was given it.
    pub fn input(&self, name: &str) -> serde_json::Value {
        self.overrides.get(name).or_else(|| self.spec.inputs.get(name)).cloned().unwrap_or_default()
    }

    /// All inputs as they are now.
    pub fn inputs(&self) -> Map {
        let mut inputs = self.spec.inputs.clone();
        inputs.extend(self.overrides.iter().map(|(name, value)| (name.clone(), value.clone())));
        inputs
    }

    /// Whether there is a time at which it goes on by itself.
    pub fn has_timers(&self) -> bool {
        self.has_parked() || self.tally.held > 0 || self.begins_late() || self.has_delayed_child()
    }

    /// Whether a child of it is started again when its time has come.
    fn has_delayed_child(&self) -> bool {
        let is_delayed = |step: &Step| step.child.is_some() && matches!(step.state, State::Retrying { .. });
        !self.spec.children.is_empty() && self.steps.values().any(is_delayed)
    }

    /// Whether nothing of it is with a worker or a provider, and nothing will be until a time, an event or a person.
    pub fn rests(&self) -> bool {
        match self.head.status {
            RunStatus::Paused => self.head.in_flight == 0 && self.tally.is_still(),
            RunStatus::Waiting => self.tally.only_held(),
            _ => false,
        }
    }

    /// Whether steps of it wait until something that was in the way has gone.
    pub fn has_parked(&self) -> bool {
        self.tally.parked > 0
    }

    /// Whether something in it begins when its time has come: a contender of a race.
    pub fn begins_late(&self) -> bool {
        let begins_at = |path: &StepPath| self.step(path)?.fan.as_ref()?.begins_at;
        self.fans.iter().any(|path| begins_at(path).is_some())
    }

    /// Whether the event would find something to do; a run that has ended hears nothing but `resume`.
    pub fn listens_to(&self, event: &Event) -> bool {
        // Its parent, or somebody else, may not have heard of its end.
        let tells = || match event {
            Event::Unperformed { notices, .. } => self.spec.parent.is_some() || !notices.is_empty(),
            _ => false,
        };
        !self.head.status.is_terminal() || matches!(event, Event::Resume { .. }) || tells()
    }

    /// The state of a step, if it is not pending.
    pub fn step(&self, path: &StepPath) -> Option<&Step> {
        self.steps.get(path)
    }

    /// The steps at a path and under it.
    pub(crate) fn paths_within(&self, ancestor: &StepPath) -> Vec<StepPath> {
        // A path sorts before everything that it is the beginning of; what only begins alike (`a-2` after `a`) is left out.
        self.steps
            .range(ancestor..)
            .map(|(path, _)| path)
            .take_while(|path| path.as_str().starts_with(ancestor.as_str()))
            .filter(|path| path.is_within(ancestor))
            .cloned()
            .collect()
    }

    /// The state of a step: where it stands, pending included.
    pub fn status_of(&self, path: &StepPath) -> StepStatus {
        self.steps.get(path).map_or(StepStatus::Pending, |step| step.state.status())
    }
}

fn is_nothing(amount: &Money) -> bool {
    *amount == Money::ZERO
}

fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// How many instances a step lies in.
pub(crate) fn depth(path: &StepPath) -> usize {
    path.as_str().bytes().filter(|byte| *byte == b'[').count()
}

/// Where a path leads in the plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The node: for an instance of a fan-out, the fan-out.
    pub(crate) node: NodeIndex,
    /// The instances that it lies in, the outermost first; for an instance of a fan-out, itself last.
    pub(crate) frames: Vec<Frame>,
    /// Whether the path names an instance of the node (`x[3]`), or a branch of it (`x/on-error`), rather than the node.
    pub(crate) is_instance: bool,
}

/// Instances of a fan-out up to this number stand in line with other runs' work; those after it stand behind.
const FIRST_INSTANCES: u32 = 8;

impl Place {
    /// Whether the work here stands behind that of other runs.
    pub(crate) fn stands_behind(&self) -> bool {
        self.frames.iter().any(|frame| frame.number > FIRST_INSTANCES)
    }

    /// The branch that the path names, if it names one.
    pub(crate) fn branch(&self) -> Option<BranchKind> {
        self.frames.last().filter(|_| self.is_instance)?.branch
    }

    /// The number of the instance that the path names, if it names one.
    pub(crate) fn number(&self) -> Option<u32> {
        let is_one = |frame: &&Frame| self.is_instance && frame.branch.is_none() && frame.until.is_none();
        self.frames.last().filter(is_one).map(|frame| frame.number)
    }

    /// Of an instance: its fan-out as a whole.
    pub(crate) fn around(&self) -> Place {
        let mut frames = self.frames.clone();
        if self.is_instance {
            frames.pop();
        }
        Place { node: self.node, frames, is_instance: false }
    }
}

/// An instance of a container, or a branch of a step, that a step lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    /// The container, or the step that has the branch.
    pub(crate) fan: NodeIndex,
    /// Its path, as a whole.
    pub(crate) fan_path: StepPath,
    /// The instance's number, from 1; 0 for a branch.
    pub(crate) number: u32,
    /// The last of the instances, where it is several of them together.
    pub(crate) until: Option<u32>,
    /// The branch, where it is none of its instances but a branch of the step.
    pub(crate) branch: Option<BranchKind>,
}

impl Frame {
    /// Instance `number` of a container.
    pub(crate) fn instance(fan: NodeIndex, fan_path: StepPath, number: u32) -> Frame {
        Frame { fan, fan_path, number, until: None, branch: None }
    }

    /// The path of the instance or branch.
    pub(crate) fn path(&self) -> StepPath {
        match (self.branch, self.until) {
            (Some(branch), _) => self.fan_path.child(branch.name()),
            (None, Some(last)) => self.fan_path.part(self.number, last),
            (None, None) => self.fan_path.instance(self.number),
        }
    }
}

impl Plan {
    /// Where a path leads; `None` when this workflow has no such step.
    pub(crate) fn locate(&self, path: &StepPath) -> Option<Place> {
        let mut body: &Body = &self.top;
        let mut frames: Vec<Frame> = Vec::new();
        let mut place = None;
        for segment in path.as_str().split('/') {
            let last = place.filter(|(_, is_instance)| !is_instance).map(|(node, _)| node);
            if let (Some(owner), Some(kind)) = (last, BranchKind::from_name(segment)) {
                body = &self.node(owner).branch(kind)?.body;
                let fan_path = self.path_in(&frames, owner);
                frames.push(Frame { fan: owner, fan_path, number: 0, until: None, branch: Some(kind) });
                place = Some((owner, true));
                continue;
            }
            let (id, number) = match segment.strip_suffix(']').and_then(|rest| rest.split_once('[')) {
                Some((id, text)) => (id, Some(instance_numbers(text)?)),
                None => (segment, None),
            };
            let node = self.find(body, id)?;
            if let Some((number, until)) = number {
                let Work::FanOut(fan) = &self.node(node).work else { return None };
                let fan_path = self.path_in(&frames, node);
                frames.push(Frame { until, ..Frame::instance(node, fan_path, number) });
                body = fan.body_of(number);
            }
            place = Some((node, number.is_some()));
        }
        let (node, is_instance) = place?;
        Some(Place { node, frames, is_instance })
    }

    /// The path of a step of the body that these frames lead into.
    fn path_in(&self, frames: &[Frame], node: NodeIndex) -> StepPath {
        let id = &self.node(node).id;
        frames.last().map_or_else(|| StepPath::top(id), |frame| frame.path().child(id))
    }

    /// The steps of the instance or branch that a path names.
    pub(crate) fn body_at(&self, place: &Place) -> Option<&Body> {
        let node = self.node(place.node);
        match (place.branch(), &node.work) {
            (Some(kind), _) => Some(&node.branch(kind)?.body),
            (None, Work::FanOut(fan)) => Some(fan.body_of(place.number().unwrap_or(1))),
            (None, Work::Call(_)) => None,
        }
    }

    /// Whether a path leads to a step of this workflow.
    pub fn has(&self, path: &StepPath) -> bool {
        self.locate(path).is_some()
    }

    /// The step of this id in a body.
    pub fn find(&self, body: &Body, id: &str) -> Option<NodeIndex> {
        body.nodes.iter().copied().find(|node| self.node(*node).id == id)
    }

    /// The number of the top-level step that a path belongs to.
    pub fn top_number(&self, path: &StepPath) -> u32 {
        let id = path.as_str().split(['/', '[']).next().unwrap_or_default();
        self.find(&self.top, id).map_or(0, |node| self.node(node).number)
    }
}
