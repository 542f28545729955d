//! Wide fan-outs, done in parts: each part is a run of the same definition that has some of the instances, on a shard of
//! its own. The run that they are of only counts them, and keeps what they gave as text until somebody asks for it.

use crate::advance::Turn;
use crate::change::What;
use crate::child::{ChildStart, Parent, Wanted};
use crate::expr::Reference;
use crate::fanout::Expansion;
use crate::plan::{Body, BranchKind, FanOut, NodeIndex, Plan, Rule, Work};
use crate::reuse;
use crate::run::{Fan, Frame, Run, State, Step};
use crate::scope::RunScope;
use crate::spec::Spec;
use darkroom_proto::{
    ErrorClass, ItemsDocument, Map, Money, Outcome, Report, RunId, RunStatus, StepCost, StepError, StepPath,
    StepStatus, Succeeded, Timestamp,
};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// The most instances of a fan-out that one run has, unless it is told otherwise. A wider one is done in parts.
pub const PART_MAX: u32 = 1_000;

/// How many parts of a fan-out run at once.
const AT_ONCE: u32 = 16;

/// How a fan-out is divided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// How many instances a part has; the last one may have fewer.
    pub size: u32,
    /// Parts that are begun again: which run each was before, by its first instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub earlier: BTreeMap<u32, RunId>,
    /// What those that run may spend, by their first instance.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub granted: BTreeMap<u32, Money>,
}

impl Parts {
    /// How many parts so many instances make.
    pub fn count(&self, total: u32) -> u32 {
        total.div_ceil(self.size.max(1))
    }

    /// The first and the last instance of a part; parts are counted from 1.
    fn range(&self, part: u32, total: u32) -> (u32, u32) {
        let before = part.saturating_sub(1).saturating_mul(self.size);
        (before + 1, before.saturating_add(self.size).min(total))
    }

    /// Which part an instance lies in, from 1.
    pub(crate) fn part_of(&self, number: u32) -> u32 {
        number.saturating_sub(1) / self.size.max(1) + 1
    }

    /// The paths of the parts, in order.
    pub(crate) fn paths(&self, fan_path: &StepPath, total: u32) -> impl Iterator<Item = StepPath> {
        (1..=self.count(total)).map(move |part| {
            let (first, last) = self.range(part, total);
            fan_path.part(first, last)
        })
    }
}

/// What a run is that has some instances of a fan-out of another one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// The run that somebody handed in: what `run.id` says, and whose budget counts.
    pub run: RunId,
    /// When that was created: what `run.started_at` says.
    pub created_at: Timestamp,
    /// The fan-out.
    pub path: StepPath,
    /// The first of its instances here.
    pub first: u32,
    /// The last.
    pub last: u32,
    /// How many it has in all: tolerance is a share of these.
    pub total: u32,
    /// How many may run at once here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
    /// The items of the fan-out, and those around it, as far as they are wanted here.
    pub items: BTreeMap<StepPath, Expansion>,
    /// Steps outside the fan-out that its instances look at.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub steps: BTreeMap<StepPath, Step>,
}

impl Part {
    pub(crate) fn expansions(&self) -> BTreeMap<StepPath, Arc<Expansion>> {
        self.items.iter().map(|(path, items)| (path.clone(), Arc::new(items.clone()))).collect()
    }
}

/// What the run of a part tells the one that it is of, as its outputs.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Told {
    completed: u32,
    skipped: u32,
    failed: u32,
    /// What each instance came to, a JSON list as text: a hundred thousand of them are kept, and seldom looked at.
    #[serde(default)]
    results: String,
    /// The first failure.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    error: Option<StepError>,
    /// The step that it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    failed_at: Option<StepPath>,
    /// More failed than is tolerated of the whole.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    over: bool,
    /// Who or why, if somebody ended it before it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cancelled: Option<String>,
}

/// What an instance came to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Gathered {
    #[serde(rename = "s")]
    pub(crate) status: StepStatus,
    #[serde(rename = "o", default, skip_serializing_if = "Map::is_empty")]
    pub(crate) outputs: Map,
    #[serde(rename = "e", default, skip_serializing_if = "Option::is_none")]
    pub(crate) error: Option<StepError>,
}

impl Told {
    /// What a step that is a part was told, once it was.
    fn of(step: &Step) -> Option<Told> {
        if step.outputs.is_empty() {
            return None;
        }
        serde_json::from_value(serde_json::Value::Object(step.outputs.clone())).ok()
    }

    fn add_to(&self, fan: &mut Fan) {
        fan.completed += self.completed;
        fan.skipped += self.skipped;
        fan.failed += self.failed;
    }

    fn take_from(&self, fan: &mut Fan) {
        fan.completed = fan.completed.saturating_sub(self.completed);
        fan.skipped = fan.skipped.saturating_sub(self.skipped);
        fan.failed = fan.failed.saturating_sub(self.failed);
    }
}

/// What the instances of a part came to; nothing while that is not known.
pub(crate) fn gathered(step: &Step) -> Vec<Gathered> {
    let results = step.outputs.get("results").and_then(serde_json::Value::as_str).unwrap_or_default();
    serde_json::from_str(results).unwrap_or_default()
}

/// How many instances failed in a part; none if the step is none.
pub(crate) fn failed_in_part(path: &StepPath, step: &Step) -> u32 {
    let told = path.range().and_then(|_| Told::of(step));
    told.map_or(0, |told| told.failed)
}

/// The counts of a part as documents show them.
pub(crate) fn part_items(path: &StepPath, step: Option<&Step>) -> ItemsDocument {
    let told = step.and_then(Told::of).unwrap_or_default();
    let total = path.range().map_or(0, |(first, last)| last - first + 1);
    ItemsDocument { total, completed: told.completed, skipped: told.skipped, failed: told.failed }
}

/// Where what a path names is looked at, if that is not the run itself: the run of a part, and the path there. Of an
/// instance it is the same; of a part it is the fan-out, which has only its instances there.
pub fn lies_in(run: &Run, path: &StepPath) -> Option<(RunId, StepPath)> {
    if path.range().is_some() {
        return Some((run.step(path)?.child?, path.parent()?));
    }
    std::iter::successors(Some(path.clone()), StepPath::parent).find_map(|instance| {
        let number = instance.last().1.filter(|_| instance.range().is_none())?;
        let fan_path = instance.parent()?;
        let fan = run.step(&fan_path)?.fan.as_ref()?;
        let parts = fan.parts.as_ref()?;
        let (first, last) = parts.range(parts.part_of(number), fan.total);
        Some((run.step(&fan_path.part(first, last))?.child?, path.clone()))
    })
}

/// What the parent of a part that has ended hears of it.
pub(crate) fn part_report(run: &Run, parent: &Parent, cost: StepCost) -> Option<Report> {
    let told = run.spec.part.as_ref().and_then(|part| run.step(&part.path)).map(|step| &step.outputs);
    match run.head.status {
        // One that was broken off has nothing to tell but why.
        RunStatus::Completed | RunStatus::Failed | RunStatus::Cancelled => {
            let outputs = told.filter(|told| !told.is_empty())?.clone();
            Some(parent.report(Outcome::Succeeded(Succeeded { outputs, ..Succeeded::default() }), cost))
        }
        _ => None,
    }
}

/// Whether a fan-out may be divided. Not one that looks at its results while it runs, whose steps are undone when the run
/// is cancelled, or hear from people and events, which are addressed to the run.
fn is_divisible(plan: &Plan, fan: &FanOut) -> bool {
    fn is_alone(plan: &Plan, body: &Body) -> bool {
        body.nodes.iter().all(|node| {
            let node = plan.node(*node);
            let work = match &node.work {
                Work::Call(call) => !matches!(call.op.name, "wait.event" | "human.approve"),
                Work::FanOut(inner) => inner.bodies().into_iter().all(|body| is_alone(plan, body)),
            };
            let undoes = |kind: BranchKind| kind == BranchKind::OnCancel;
            work && node.branches.iter().all(|branch| !undoes(branch.kind) && is_alone(plan, &branch.body))
        })
    }
    matches!(fan.rule, Rule::Each { enough: None }) && is_alone(plan, &fan.body)
}

/// What the instances of a fan-out read; what it goes over they are given.
fn read_inside(plan: &Plan, fan: &FanOut) -> BTreeSet<Reference> {
    let inside = fan.body.nodes.iter().flat_map(|node| reuse::references(plan, plan.node(*node)));
    inside.chain(fan.skip_if_exists.iter().flat_map(|path| path.references().into_iter().cloned())).collect()
}

/// How many parts run at once where so many instances may.
fn parts_at_once(max_parallel: Option<u32>) -> u32 {
    max_parallel.map_or(AT_ONCE, |max| max.clamp(1, AT_ONCE))
}

impl Turn<'_> {
    /// How a fan-out of so many instances is divided; `None`: it is not.
    pub(crate) fn divided(&self, fan: &FanOut, total: u32) -> Option<Box<Parts>> {
        let is_wide = total > self.run.part_max && is_divisible(self.plan, fan);
        is_wide.then(|| Box::new(Parts { size: self.run.part_max, earlier: BTreeMap::new(), granted: BTreeMap::new() }))
    }

    /// Whether the step is the fan-out that the run is a part of. Whatever it lies in is not here.
    pub(crate) fn is_divided_here(&self, path: &StepPath) -> bool {
        self.run.spec.part.as_ref().is_some_and(|part| part.path == *path)
    }

    /// How many instances of a fan-out may run at once, or parts of it.
    pub(crate) fn at_once(&self, path: &StepPath, fan: &FanOut, counts: &Fan) -> Option<u32> {
        match &self.run.spec.part {
            _ if counts.parts.is_some() => Some(parts_at_once(fan.max_parallel)),
            Some(part) if part.path == *path => part.max_parallel,
            _ => fan.max_parallel,
        }
    }

    /// How many instances what is tolerated is a share of.
    pub(crate) fn whole(&self, path: &StepPath, counts: &Fan) -> u32 {
        self.run.spec.part.as_ref().filter(|part| part.path == *path).map_or(counts.total, |part| part.total)
    }

    /// Begins a run that is a part.
    pub(crate) fn start_part(&mut self) {
        let Some(part) = self.run.spec.part.clone() else { return };
        let before = part.first - 1;
        let mut step = self.new_step(State::Open);
        step.fan = Some(Fan { total: part.last, next: before, before, ..Fan::default() });
        self.put(part.path.clone(), step);
        self.happened(What::FanOutOpened { step: part.path.clone(), total: part.last - before });
        self.queue_fan(&part.path);
        self.settle_fan(&part.path);
    }

    /// Begins a part of a fan-out.
    pub(crate) fn begin_part(&mut self, fan_path: &StepPath, part: u32) {
        let Some(counts) = self.run.step(fan_path).and_then(|step| step.fan.as_ref()) else { return };
        let Some((first, last)) = counts.parts.as_ref().map(|parts| parts.range(part, counts.total)) else { return };
        let path = fan_path.part(first, last);
        self.happened(What::ItemStarted { step: path.clone(), label: part_label(first, last) });
        self.put(path.clone(), self.new_step(State::Ready));
        self.run.ready.push_back(path);
    }

    /// The run that a part is.
    pub(crate) fn part_start(&mut self, path: &StepPath, wanted: Wanted) -> Option<ChildStart> {
        let ((first, last), fan_path) = (path.range()?, path.parent()?);
        let place = self.plan.locate(&fan_path)?;
        for frame in &place.frames {
            self.expand_again(&frame.fan_path);
        }
        self.expand_again(&fan_path);
        let allowance = self.grant(&fan_path, first, last);
        let node = self.plan.node(place.node);
        let Work::FanOut(fan) = &node.work else { return None };
        let (step, whole) = (self.run.step(path)?, self.run.step(&fan_path)?.fan.as_ref()?);
        let above = &self.run.spec;
        let mut items: BTreeMap<StepPath, Expansion> = BTreeMap::new();
        items.insert(fan_path.clone(), self.run.expansions.get(&fan_path)?.between(first, last));
        for frame in place.frames.iter().filter(|frame| frame.branch.is_none()) {
            if let Some(expansion) = self.run.expansions.get(&frame.fan_path) {
                items.insert(frame.fan_path.clone(), expansion.between(frame.number, frame.number));
            }
        }
        let parent = Parent {
            run: self.run.id,
            path: path.clone(),
            generation: step.generation,
            attempt: step.attempt,
            depth: above.parent.as_ref().map_or(1, |parent| parent.depth + 1),
            spent: step.cost,
            detached: false,
        };
        let root = above.part.as_ref();
        let part = Part {
            run: root.map_or(self.run.id, |part| part.run),
            created_at: root.map_or(above.created_at, |part| part.created_at),
            path: fan_path.clone(),
            first,
            last,
            total: whole.total,
            max_parallel: fan.max_parallel.map(|max| (max / parts_at_once(Some(max))).max(1)),
            items,
            steps: self.looked_at(fan, &place.frames),
        };
        let read = read_inside(self.plan, fan);
        let mut inputs = self.run.inputs();
        inputs.retain(|name, _| read.contains(&Reference::Input(name.clone())));
        let recorded = above.recorded.get(path).and_then(|recorded| recorded.run);
        let earlier = whole.parts.as_ref().and_then(|parts| parts.earlier.get(&first).copied());
        let spec = Spec {
            inputs,
            created_at: step.started_at,
            estimated: Money::ZERO,
            schedule: None,
            origin: None,
            recorded: BTreeMap::new(),
            parent: Some(Box::new(parent.clone())),
            part: Some(Box::new(part)),
            allowance,
            ..Spec::clone(above)
        };
        let earlier = earlier.or(recorded.filter(|_| self.run.head.generation == 1)).filter(|_| !above.fresh);
        Some(ChildStart { run: step.child?, spec, parent, wanted, earlier })
    }

    /// What a part may spend: its share of what is left, which what others did not need comes back to.
    fn grant(&mut self, fan_path: &StepPath, first: u32, last: u32) -> Option<Money> {
        let budget = self.budget()?;
        let counts = self.run.step(fan_path)?.fan.as_ref()?;
        let parts = counts.parts.as_ref()?;
        if let Some(granted) = parts.granted.get(&first) {
            return Some(*granted);
        }
        let size = |first: u32| parts.range(parts.part_of(first), counts.total).1 - first + 1;
        let own = last - first + 1;
        let done = counts.completed + counts.skipped + counts.failed;
        let begun = done + parts.granted.keys().copied().map(size).sum::<u32>();
        let rest = counts.total.saturating_sub(begun).max(own);
        let taken = self.run.head.spent.plus(parts.granted.values().copied().sum());
        let left = budget.0.saturating_sub(taken.0);
        let share = Money((u128::from(left) * u128::from(own) / u128::from(rest)) as u64);
        self.change_step(fan_path, |step| {
            if let Some(parts) = step.fan.as_mut().and_then(|fan| fan.parts.as_mut()) {
                parts.granted.insert(first, share);
            }
        });
        Some(share)
    }

    /// The steps outside a fan-out that its instances look at.
    fn looked_at(&self, fan: &FanOut, frames: &[Frame]) -> BTreeMap<StepPath, Step> {
        let scope = RunScope { plan: self.plan, run: self.run, frames };
        let node_of = |reference: &Reference| match reference {
            Reference::Step { node, .. } => Some(*node),
            _ => None,
        };
        let read: BTreeSet<NodeIndex> = read_inside(self.plan, fan).iter().filter_map(node_of).collect();
        let mut paths: Vec<StepPath> = read.into_iter().filter_map(|node| scope.path_of(node)).collect();
        for frame in frames {
            match (&self.plan.node(frame.fan).work, frame.branch) {
                (_, Some(_)) => paths.push(frame.fan_path.clone()),
                (Work::FanOut(FanOut { rule: Rule::Repeat { .. }, .. }), None) if frame.number > 1 => {
                    paths.push(frame.fan_path.instance(frame.number - 1));
                }
                _ => {}
            }
        }
        let outer = self.run.spec.part.iter().flat_map(|part| &part.steps);
        let known = self.run.steps.iter().chain(outer);
        let wanted = |(path, _): &(&StepPath, &Step)| paths.iter().any(|wanted| path.is_within(wanted));
        known.filter(wanted).map(|(path, step)| (path.clone(), step.clone())).collect()
    }

    /// A part has ended, one way or the other.
    pub(crate) fn part_ended(&mut self, path: &StepPath, succeeded: Succeeded) {
        if self.is_superfluous(path) {
            return self.close_superfluous(path);
        }
        let (now, is_unwanted) = (self.now, self.is_abandoned(path));
        let told: Result<Told, _> = serde_json::from_value(serde_json::Value::Object(succeeded.outputs.clone()));
        let told = match told {
            Ok(told) => told,
            Err(error) => {
                let message = format!("what the part tells can't be read: {error}");
                return self.fail(path, StepError::new(ErrorClass::WorkflowError, message));
            }
        };
        // Whoever ends a part by hand ends something that is wanted.
        let by_hand = told.cancelled.as_ref().filter(|_| !is_unwanted).map(|reason| {
            StepError::new(ErrorClass::Cancelled, format!("a part was cancelled: {reason}"))
                .advice("resume the run to go on with it")
        });
        let error = by_hand.or(told.error);
        self.change_step(path, |step| {
            step.state = match (&told.cancelled, &error) {
                (Some(_), _) if is_unwanted => State::Cancelled,
                (_, Some(_)) => State::Failed,
                (_, None) => State::Completed,
            };
            step.finished_at = Some(now);
            step.outputs = succeeded.outputs;
            step.error = error.clone();
            step.failed_at = told.failed_at.clone();
            step.forget_way();
        });
        let Some((attempts, cost, state)) = self.run.step(path).map(|step| (step.attempt, step.cost, step.state))
        else {
            return;
        };
        let step = path.clone();
        self.happened(match (state, error) {
            (State::Cancelled, _) => What::StepCancelled { step, spent: cost.spent },
            (_, Some(error)) => What::StepFailed { step, attempts, error, tolerated: !told.over },
            (_, None) => What::StepCompleted { step, attempts, saved: None, notes: Vec::new(), cost },
        });
        self.ended(path);
    }

    /// Counts the instances of a part that has ended. Whether more of them failed than is tolerated.
    pub(crate) fn count_part(&mut self, fan_path: &StepPath, part: &StepPath) -> bool {
        let (Some((first, _)), Some(step)) = (part.range(), self.run.step(part)) else { return false };
        let (told, state) = (Told::of(step), step.state);
        self.change_step(fan_path, |step| {
            let Some(fan) = &mut step.fan else { return };
            if let Some(parts) = &mut fan.parts {
                parts.granted.remove(&first);
            }
            match &told {
                Some(told) => told.add_to(fan),
                None => fan.failed += u32::from(state == State::Failed),
            }
        });
        state == State::Failed && told.is_none_or(|told| told.over || told.cancelled.is_some())
    }

    /// Takes a part out of the counts, so that it is begun again with what its run has done.
    pub(crate) fn uncount_part(&mut self, fan_path: &StepPath, part: &StepPath) -> bool {
        let (Some((first, _)), Some(step)) = (part.range(), self.run.step(part)) else { return false };
        let (told, state, child) = (Told::of(step), step.state, step.child);
        self.change_step(fan_path, |step| {
            let Some(fan) = &mut step.fan else { return };
            match &told {
                _ if !state.ended() => fan.open = fan.open.saturating_sub(1),
                Some(told) => told.take_from(fan),
                None => fan.failed = fan.failed.saturating_sub(u32::from(state == State::Failed)),
            }
            let Some(parts) = &mut fan.parts else { return };
            parts.granted.remove(&first);
            if let Some(child) = child {
                parts.earlier.insert(first, child);
            }
            let number = parts.part_of(first);
            if !fan.redo.contains(&number) {
                fan.redo.push_back(number);
            }
        });
        self.forget(part);
        true
    }

    /// Keeps what the run of a part tells once it has ended, with the fan-out: a list of results may be long.
    pub(crate) fn tell(&mut self) {
        let told = self.told();
        if let Some(path) = self.run.spec.part.as_ref().map(|part| part.path.clone()) {
            self.change_step(&path, |step| step.outputs = told);
        }
    }

    /// What the run of a part tells: everything about its instances.
    fn told(&self) -> Map {
        let Some(part) = self.run.spec.part.as_deref() else { return Map::new() };
        let place = self.plan.locate(&part.path);
        let (Some(place), Some(step)) = (place, self.run.step(&part.path)) else { return Map::new() };
        let (Work::FanOut(fan), Some(counts)) = (&self.plan.node(place.node).work, &step.fan) else {
            return Map::new();
        };
        let scope = RunScope { plan: self.plan, run: self.run, frames: &place.frames };
        let (mut results, mut first_failure) = (Vec::new(), None);
        for number in part.first..=part.last {
            let path = part.path.instance(number);
            let instance = self.run.step(&path);
            let outputs = scope.instance_outputs(&path, fan).map(|(outputs, _)| outputs.clone()).unwrap_or_default();
            let error = instance.filter(|step| step.state == State::Failed).and_then(|step| step.error.clone());
            if let (None, Some(error), Some(step)) = (&first_failure, &error, instance) {
                first_failure = Some((error.clone(), step.failed_at.clone().unwrap_or(path)));
            }
            let status = instance.map_or(StepStatus::Pending, |step| step.state.status());
            results.push(Gathered { status, outputs, error });
        }
        let over = self.run.head.failure.as_ref();
        let failure = over.map(|failure| (failure.error.clone(), failure.path.clone())).or(first_failure);
        let (error, failed_at) = failure.map_or((None, None), |(error, at)| (Some(error), Some(at)));
        let told = Told {
            completed: counts.completed,
            skipped: counts.skipped,
            failed: counts.failed,
            results: serde_json::to_string(&results).unwrap_or_default(),
            error,
            failed_at,
            over: over.is_some(),
            cancelled: self.run.head.cancelled.clone(),
        };
        match serde_json::to_value(told) {
            Ok(serde_json::Value::Object(told)) => told,
            _ => Map::new(),
        }
    }
}

/// What people call a part: its instances.
pub(crate) fn part_label(first: u32, last: u32) -> String {
    format!("{first}–{last}")
}
