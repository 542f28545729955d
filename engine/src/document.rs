//! A run as people and services read it.

use crate::change::{Happened, What};
use crate::parking::CYCLES_MAX;
use crate::part::part_items;
use crate::plan::{Body, BranchKind, Call, FanOut, NodeIndex, Plan, Rule, Work};
use crate::recorded::Again;
use crate::run::{Place, Run, State, Step};
use darkroom_proto::{
    CostDocument, ErrorDocument, Map, Money, ParentDocument, RunDocument, StepDocument, StepPath, StepStatus,
};
use serde_json::{Value, json};

/// How many instances of a fan-out a run's document shows; more come by `show RUN --step`.
pub const INSTANCES_SHOWN: u32 = 100;

/// The document of a run.
pub fn run_document(plan: &Plan, run: &Run) -> RunDocument {
    let origin = |how| run.spec.origin.as_ref().filter(|origin| origin.how == how).map(|origin| origin.run);
    RunDocument {
        id: run.id.to_string(),
        workflow: run.spec.workflow.clone(),
        version: run.spec.definition,
        status: run.head.status,
        created_at: run.spec.created_at,
        updated_at: run.head.updated_at,
        finished_at: run.head.finished_at,
        inputs: run.inputs(),
        schedule: run.spec.schedule.as_ref().map(Into::into),
        rerun_of: origin(Again::Rerun),
        forked_from: origin(Again::Fork),
        parent: run
            .spec
            .parent
            .as_ref()
            .map(|parent| ParentDocument { run: parent.run.to_string(), step: parent.path.to_string() }),
        steps: top_documents(plan, run),
        outputs: run.head.outputs.clone(),
        cost: CostDocument {
            estimated: run.spec.estimated.usd(),
            spent: run.head.spent.usd(),
            possible_duplicates: run.head.possible_duplicates,
        },
        error: run.head.failure.as_ref().map(|failure| ErrorDocument::from(&failure.error)),
    }
}

/// The document of an event: `seq`, `at`, `event` and what belongs to it. Times are text and money is dollars, as in all
/// documents.
pub fn event_document(seq: u64, happened: &Happened) -> Value {
    let mut document = json!({ "seq": seq, "at": happened.at.to_string() });
    // An event that is no JSON would be one of ours that can't be written, and there is none.
    if let (Value::Object(document), Ok(Value::Object(what))) = (&mut document, serde_json::to_value(&happened.what)) {
        document.extend(what);
        match &happened.what {
            What::StepRetrying { again_at, .. } | What::StepParked { again_at, .. } => {
                document.insert("again_at".to_owned(), again_at.to_string().into());
            }
            What::StepCompleted { cost, .. } if !cost.is_none() => {
                document.insert("cost".to_owned(), cost.spent.usd().into());
            }
            What::StepCancelled { spent, .. } if spent.usd() > 0.0 => {
                document.insert("cost".to_owned(), spent.usd().into());
            }
            _ => {}
        }
    }
    document
}

/// The document of one step, instance or fan-out; with all of its instances from number `after + 1` on, at most `limit`. Of
/// one that is done in parts: with its parts; what lies in them is in other runs ([`crate::lies_in`]).
pub fn step_document(plan: &Plan, run: &Run, path: &StepPath, after: u32, limit: u32) -> Option<StepDocument> {
    let place = plan.locate(path)?;
    let mut document = match (&plan.node(place.node).work, place.is_instance) {
        _ if place.branch().is_some() => branch_document(plan, run, &place, path),
        (Work::FanOut(_), true) if path.range().is_some() => part_document(run, path),
        (Work::FanOut(fan), true) => instance_document(plan, run, path, fan),
        (_, true) => return None,
        (_, false) => node_document(plan, run, place.node, path),
    };
    if let (Work::FanOut(fan), false) = (&plan.node(place.node).work, place.is_instance) {
        let counts = run.step(path).and_then(|step| step.fan.as_ref());
        document.steps = match counts.map(|counts| (counts, &counts.parts)) {
            Some((counts, Some(parts))) => {
                let page = parts.paths(path, counts.total).skip(after as usize).take(limit as usize);
                page.map(|path| part_document(run, &path)).collect()
            }
            Some((counts, None)) => {
                let after = counts.before.saturating_add(after);
                let numbers = after.saturating_add(1)..=after.saturating_add(limit).min(counts.total);
                numbers.map(|number| instance_document(plan, run, &path.instance(number), fan)).collect()
            }
            None => Vec::new(),
        };
        document.steps.extend(branch_documents(plan, run, path));
    }
    Some(document)
}

/// How many instances a fan-out has to show, or parts, page by page.
pub fn pages_of(run: &Run, path: &StepPath) -> u32 {
    let Some(counts) = run.step(path).and_then(|step| step.fan.as_ref()) else { return 0 };
    counts.parts.as_ref().map_or(counts.items().total, |parts| parts.count(counts.total))
}

/// The top-level steps; of a part the fan-out that it is of.
fn top_documents(plan: &Plan, run: &Run) -> Vec<StepDocument> {
    let place = run.spec.part.as_ref().and_then(|part| Some((plan.locate(&part.path)?, &part.path)));
    match place {
        Some((place, path)) => vec![node_document(plan, run, place.node, path)],
        None => body_documents(plan, run, &plan.top, None),
    }
}

fn body_documents(plan: &Plan, run: &Run, body: &Body, instance: Option<&StepPath>) -> Vec<StepDocument> {
    let path = |node: NodeIndex| {
        let id = &plan.node(node).id;
        instance.map_or_else(|| StepPath::top(id), |instance| instance.child(id))
    };
    body.nodes.iter().map(|node| node_document(plan, run, *node, &path(*node))).collect()
}

fn node_document(plan: &Plan, run: &Run, node: NodeIndex, path: &StepPath) -> StepDocument {
    let step = run.step(path);
    let mut document = match &plan.node(node).work {
        Work::Call(call) => call_document(path, call, step),
        Work::FanOut(fan) => {
            let mut document = blank(path, &fan_op(plan, fan), step);
            let items = step.and_then(|step| step.fan.as_ref()).map(crate::run::Fan::items);
            document.items = Some(items.unwrap_or_default());
            document.cost = cost_within(run, path);
            // What a part gave is told to the run that it is of.
            let is_divided_here = run.spec.part.as_ref().is_some_and(|part| part.path == *path);
            document.output = step.filter(|_| !is_divided_here).map(|step| step.outputs.clone()).unwrap_or_default();
            let counts = step.and_then(|step| step.fan.as_ref());
            if let Some((counts, parts)) = counts.and_then(|counts| Some((counts, counts.parts.as_ref()?))) {
                if parts.count(counts.total) <= INSTANCES_SHOWN {
                    document.steps = parts.paths(path, counts.total).map(|path| part_document(run, &path)).collect();
                }
                return document;
            }
            let before = counts.map_or(0, |counts| counts.before);
            let total = begun_of(fan, step, document.items.map_or(0, |items| items.total));
            if total <= INSTANCES_SHOWN {
                let numbers = before + 1..=before + total;
                document.steps =
                    numbers.map(|number| instance_document(plan, run, &path.instance(number), fan)).collect();
            }
            document
        }
    };
    document.steps.extend(branch_documents(plan, run, path));
    document
}

/// How many instances there are to show: of a `repeat`, those that were begun.
fn begun_of(fan: &FanOut, step: Option<&Step>, total: u32) -> u32 {
    match (&fan.rule, step.and_then(|step| step.fan.as_ref())) {
        (Rule::Repeat { .. }, Some(counts)) => counts.next.min(total),
        _ => total,
    }
}

/// The branches of a step that were begun.
fn branch_documents(plan: &Plan, run: &Run, path: &StepPath) -> Vec<StepDocument> {
    let begun = BranchKind::ALL.into_iter().map(|kind| path.child(kind.name())).filter(|path| run.step(path).is_some());
    begun.filter_map(|path| Some(branch_document(plan, run, &plan.locate(&path)?, &path))).collect()
}

fn branch_document(plan: &Plan, run: &Run, place: &Place, path: &StepPath) -> StepDocument {
    let mut document = blank(path, place.branch().map_or("", BranchKind::name), run.step(path));
    document.cost = cost_within(run, path);
    if let (Some(body), true) = (plan.body_at(place), run.step(path).is_some()) {
        document.steps = body_documents(plan, run, body, Some(path));
    }
    document
}

fn instance_document(plan: &Plan, run: &Run, path: &StepPath, fan: &FanOut) -> StepDocument {
    let step = run.step(path);
    let number = path.last().1.unwrap_or(1);
    let body = fan.body_of(number);
    if let (true, Some(node)) = (fan.is_single(number), body.nodes.first())
        && let Work::Call(call) = &plan.node(*node).work
    {
        return call_document(path, call, step);
    }
    let mut document = blank(path, "steps", step);
    document.cost = cost_within(run, path);
    if step.is_some() {
        document.steps = body_documents(plan, run, body, Some(path));
    }
    document
}

/// The instances of a fan-out that are a run of their own.
fn part_document(run: &Run, path: &StepPath) -> StepDocument {
    let step = run.step(path);
    StepDocument { items: Some(part_items(path, step)), ..blank(path, "part", step) }
}

fn call_document(path: &StepPath, call: &Call, step: Option<&Step>) -> StepDocument {
    let mut document = blank(path, &call.uses(), step);
    if let Some(step) = step {
        document.attempts = step.attempt;
        document.output = step.outputs.clone();
    }
    document
}

fn blank(path: &StepPath, op: &str, step: Option<&Step>) -> StepDocument {
    StepDocument {
        path: path.to_string(),
        op: op.to_owned(),
        status: step.map_or(StepStatus::Pending, |step| step.state.status()),
        attempts: 0,
        started_at: step.map(|step| step.started_at),
        finished_at: step.and_then(|step| step.finished_at),
        output: Map::new(),
        error: step.and_then(|step| step.error.as_ref()).map(ErrorDocument::from),
        cost: step.map_or(0.0, |step| step.cost.spent.usd()),
        reason: step.and_then(reason),
        asks: step.and_then(crate::approval::asked),
        saved: step.and_then(|step| step.saved.as_ref()).map(|saved| saved.path.clone()),
        child: step.and_then(|step| step.child).map(|child| child.to_string()),
        items: None,
        steps: Vec::new(),
    }
}

/// What the steps under a path have cost.
fn cost_within(run: &Run, path: &StepPath) -> f64 {
    let within = run.paths_within(path).into_iter().filter_map(|path| run.step(&path));
    within.map(|step| step.cost.spent).sum::<Money>().usd()
}

/// Why a step was skipped, what it waits for, or what the worker of its task is at.
fn reason(step: &Step) -> Option<String> {
    match (&step.state, &step.parking) {
        (State::Waiting { .. } | State::Held { .. }, _) => step.waiting.clone(),
        (State::Parked { at }, Some(parking)) => {
            Some(format!("parked; looked at again at {at} (cycle {} of {CYCLES_MAX})", parking.cycle))
        }
        (State::Dispatched | State::Retrying { .. }, _) => step.pulse.as_ref().and_then(|pulse| pulse.said()),
        _ => step.skipped.as_ref().map(ToString::to_string),
    }
}

/// What a fan-out does: its op where it has just one, else how it fans out.
pub(crate) fn fan_op(plan: &Plan, fan: &FanOut) -> String {
    match fan.rule {
        Rule::Each { .. } => {}
        Rule::Race(_) => return "race".to_owned(),
        Rule::Repeat { .. } => return "repeat".to_owned(),
    }
    if fan.single
        && let Some(node) = fan.body.nodes.first()
        && let Work::Call(call) = &plan.node(*node).work
    {
        return call.uses();
    }
    match (&fan.for_each, fan.matrix.is_empty()) {
        (Some(_), true) => "for-each".to_owned(),
        (Some(_), false) => "for-each, matrix".to_owned(),
        (None, _) => "matrix".to_owned(),
    }
}
