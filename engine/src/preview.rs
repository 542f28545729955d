//! What a run would do, before anything is spent.

use crate::change::Event;
use crate::document::fan_op;
use crate::expr::{Part, Reference, Template, holds};
use crate::fanout::{Expansion, INSTANCES_MAX};
use crate::plan::{Argument, Body, BranchKind, Call, FanOut, Node, NodeIndex, Plan, Rule, Source, Wire, Work};
use crate::price::{Instances, Pricing};
use crate::recorded::why_again;
use crate::reuse::{self, Fate};
use crate::run::{Frame, Place, Run, Skipped, State};
use crate::save::{check_collisions, clean_save_path};
use crate::scope::RunScope;
use darkroom_proto::op::ParamType;
use darkroom_proto::{Duration, Map, RunStatus, Sha256, StepError, StepPath, Timestamp};
use serde::Serialize;
use std::collections::BTreeSet;
use std::sync::Arc;

pub use crate::price::{Cost, Offer, Prices};

/// A preview, as `plan -o json` gives it.
#[derive(Debug, Clone, Serialize)]
pub struct Preview {
    /// The workflow's id.
    pub workflow: String,
    /// The digest of the definition.
    pub version: Sha256,
    /// The steps in order; those of a fan-out's body follow it, under `id[*]/`.
    pub steps: Vec<PreviewStep>,
    /// How many items all top-level fan-outs have, as far as known.
    pub items: u32,
    /// What everything costs, in USD.
    pub cost: Cost,
}

/// A step of a preview.
#[derive(Debug, Clone, Serialize)]
pub struct PreviewStep {
    /// Its path.
    pub path: String,
    /// What it does.
    pub op: String,
    /// The model, as far as it is known.
    pub model: Option<String>,
    /// Who serves the model.
    pub route: Option<String>,
    /// Where its picture (or other main input) comes from.
    pub from: Option<String>,
    /// What would happen.
    pub action: Action,
    /// Why.
    pub reason: String,
    /// How many instances it has; `None` when that is not known before it starts, or it is no fan-out.
    pub items: Option<u32>,
    /// Whether it is a fan-out.
    #[serde(skip)]
    pub is_fan_out: bool,
    /// Where it saves, as far as it is known.
    pub save: Option<String>,
    /// What it costs, in USD: all of its instances that are to run.
    pub cost: Cost,
    /// How long one call of it usually takes, if that is known.
    pub seconds: Option<f64>,
}

/// What would happen to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It runs.
    Run,
    /// Its outcome is kept.
    Keep,
    /// Its outcome comes from an equal step.
    Cached,
    /// It is not needed.
    Skip,
    /// That depends on what comes before it.
    Unknown,
}

/// What a run would do next. `run` is one that has not started, or one that has ended and is to be resumed: `from` then
/// says at which step. `prices` tells who serves a model for an op, and for how much, and what a child costs.
///
/// # Errors
/// When two instances of a fan-out whose items are known would save to one path, a save path leaves the folder, or what a
/// fan-out goes over is no list.
pub fn preview(
    plan: &Plan,
    run: &Run,
    from: Option<&StepPath>,
    now: Timestamp,
    prices: &dyn Prices,
) -> Result<Preview, (StepPath, StepError)> {
    let mut run = run.clone();
    run.divide_over(u32::MAX);
    if run.head.status.is_terminal() {
        crate::advance::advance(plan, &mut run, Event::Resume { from: from.cloned(), set: Map::new() }, now);
    }
    if run.head.status == RunStatus::Pending && run.spec.origin.is_some() {
        // What is taken from the earlier run is taken as soon as the run starts, step by step.
        crate::advance::advance(plan, &mut run, Event::Start, now);
    }
    let mut previewer = Previewer { plan, run, prices, steps: Vec::new(), items: 0 };
    // What is there already is looked for when a body begins, so not again for the top level of a run that goes on.
    let fates = match previewer.run.head.status {
        RunStatus::Pending => reuse::fates(&RunScope { plan, run: &previewer.run, frames: &[] }, &plan.top.nodes),
        _ => vec![Fate::Runs; plan.top.nodes.len()],
    };
    for (index, fate) in plan.top.nodes.iter().zip(fates) {
        previewer.top_step(*index, &fate)?;
    }
    Ok(Preview {
        workflow: plan.workflow.clone(),
        version: plan.definition,
        items: previewer.items,
        cost: previewer.steps.iter().fold(Cost::free(), |sum, step| sum.plus(&step.cost)),
        steps: previewer.steps,
    })
}

/// The paths of `skip-if-exists` that are known before anything runs.
pub fn skip_paths(plan: &Plan, run: &Run) -> Vec<String> {
    let mut paths = Vec::new();
    skip_paths_in(plan, &mut run.clone(), &plan.top, &mut Vec::new(), &mut paths);
    paths
}

fn skip_paths_in(plan: &Plan, run: &mut Run, body: &Body, frames: &mut Vec<Frame>, paths: &mut Vec<String>) {
    for index in &body.nodes {
        let node = plan.node(*index);
        let (templates, fan) = match &node.work {
            Work::Call(call) => (&call.skip_if_exists, None),
            Work::FanOut(fan) => (&fan.skip_if_exists, Some(fan)),
        };
        let Some(fan) = fan.filter(|fan| fan.has_items()) else {
            skip_paths_of(templates, &RunScope { plan, run, frames }, paths);
            continue;
        };
        let path = frames.last().map_or_else(|| StepPath::top(&node.id), |frame| frame.path().child(&node.id));
        let Ok(Some(expansion)) = expand(plan, run, fan, &path, frames) else { continue };
        for number in 1..=expansion.total() {
            if paths.len() >= INSTANCES_MAX as usize {
                return;
            }
            frames.push(Frame::instance(*index, path.clone(), number));
            skip_paths_of(templates, &RunScope { plan, run, frames }, paths);
            skip_paths_in(plan, run, fan.body_of(number), frames, paths);
            frames.pop();
        }
    }
}

fn skip_paths_of(templates: &[Template], scope: &RunScope<'_>, paths: &mut Vec<String>) {
    let known = templates.iter().filter_map(|template| scope.text(template).ok());
    paths.extend(known.filter_map(|path| clean_save_path(&path).ok()));
}

/// The items of a fan-out, if they follow from the inputs, from what is around it, or from steps that are done.
fn expand(
    plan: &Plan,
    run: &mut Run,
    fan: &FanOut,
    path: &StepPath,
    frames: &[Frame],
) -> Result<Option<Arc<Expansion>>, StepError> {
    let is_done = |id: &NodeIndex| {
        let node = plan.node(*id);
        node.parent.is_none() && run.step(&StepPath::top(&node.id)).is_some_and(|step| step.state.ended())
    };
    let is_known = |reference: &Reference| match reference {
        Reference::Step { node, .. } => is_done(node),
        Reference::Item | Reference::Index | Reference::Number | Reference::Matrix => !frames.is_empty(),
        Reference::Input(_) | Reference::Run(_) | Reference::Data | Reference::Error | Reference::Previous => {
            is_known(reference)
        }
    };
    let mut templates = fan.for_each.iter().chain(fan.matrix.iter().map(|(_, template)| template));
    if !templates.all(|template| template.references().into_iter().all(is_known)) {
        return Ok(None);
    }
    let expansion = Arc::new(Expansion::of(fan, &RunScope { plan, run, frames })?);
    run.expansions.insert(path.clone(), expansion.clone());
    Ok(Some(expansion))
}

/// How many instances of a fan-out are asked for their model.
const MODELS_LOOKED_AT: u32 = 1_000;

struct Previewer<'a> {
    plan: &'a Plan,
    run: Run,
    prices: &'a dyn Prices,
    steps: Vec<PreviewStep>,
    items: u32,
}

impl Previewer<'_> {
    fn top_step(&mut self, index: NodeIndex, fate: &Fate) -> Result<(), (StepPath, StepError)> {
        let plan = self.plan;
        let node = plan.node(index);
        let path = StepPath::top(&node.id);
        let (action, reason) = self.action(node, &path, fate);
        match &node.work {
            Work::Call(call) => {
                let mut step = self.call_step(path.to_string(), node, call, &[], action, reason);
                step.cost = self.cost(call, &Instances::one(), action);
                let template = call.save_template();
                if template.is_some_and(|template| template.references().into_iter().all(is_known))
                    && let Some(save) = &step.save
                {
                    clean_save_path(save).map_err(|error| (path.clone(), error))?;
                }
                self.steps.push(step);
            }
            Work::FanOut(fan) if !fan.has_items() => {
                self.container_step(path.to_string(), node, fan, &Instances::one(), action, reason);
            }
            Work::FanOut(fan) => {
                let expansion = match expand(plan, &mut self.run, fan, &path, &[]) {
                    Ok(expansion) => expansion,
                    Err(error) if action == Action::Run => return Err((path, error)),
                    Err(_) => None,
                };
                if expansion.is_some() && action == Action::Run {
                    let place = Place { node: index, frames: Vec::new(), is_instance: false };
                    check_collisions(plan, &mut self.run, &place, &path, fan).map_err(|error| (path.clone(), error))?;
                }
                self.fan_steps(&path, index, node, fan, expansion.as_deref(), action, reason);
            }
        }
        self.branch_steps(&path, node, action);
        Ok(())
    }

    /// The row of a race or `repeat`, for all that is in it.
    fn container_step(
        &mut self,
        path: String,
        node: &Node,
        fan: &FanOut,
        instances: &Instances,
        action: Action,
        mut reason: String,
    ) {
        let what = match &fan.rule {
            Rule::Each { .. } => String::new(),
            Rule::Race(contenders) => format!("the first of {} that succeeds", contenders.len()),
            Rule::Repeat { max, until } => format!("until {}, at most {max} times", until.source.trim()),
        };
        if reason.is_empty() {
            reason = what;
        }
        let cost = match action {
            Action::Run | Action::Unknown => {
                let pricing = Pricing { plan: self.plan, run: &self.run, prices: self.prices };
                pricing.container(node, instances, action == Action::Run)
            }
            Action::Keep | Action::Cached | Action::Skip => Cost::free(),
        };
        self.steps.push(PreviewStep {
            path,
            op: fan_op(self.plan, fan),
            model: None,
            route: None,
            from: self.sources(node.uses.iter().copied()),
            action,
            reason,
            items: None,
            is_fan_out: false,
            save: None,
            cost,
            seconds: None,
        });
    }

    /// A row for each branch of a step that is still to come: whether it is taken is not known.
    fn branch_steps(&mut self, path: &StepPath, node: &Node, action: Action) {
        if !matches!(action, Action::Run | Action::Unknown) {
            return;
        }
        for branch in &node.branches {
            let pricing = Pricing { plan: self.plan, run: &self.run, prices: self.prices };
            let cost = pricing.body(&branch.body, &Instances::one(), false);
            let reason = match branch.kind {
                BranchKind::OnError => "if it fails",
                BranchKind::OnTimeout => "if it takes too long",
                BranchKind::OnReject => "if it is rejected",
                BranchKind::OnCancel => "if the run is cancelled after it",
            };
            self.steps.push(PreviewStep {
                path: path.child(branch.kind.name()).to_string(),
                op: branch.kind.name().to_owned(),
                model: None,
                route: None,
                from: None,
                action: Action::Unknown,
                reason: reason.to_owned(),
                items: None,
                is_fan_out: false,
                save: None,
                cost,
                seconds: None,
            });
        }
    }

    fn action(&self, node: &Node, path: &StepPath, fate: &Fate) -> (Action, String) {
        if let Some(step) = self.run.step(path)
            && step.state.ended()
        {
            return match (step.state, &self.run.spec.origin) {
                (State::Cached, Some(origin)) => (Action::Keep, format!("kept from {}", origin.run.short())),
                (State::Skipped, Some(_)) => (Action::Skip, Skipped::Condition.to_string()),
                _ => (Action::Keep, "done".to_owned()),
            };
        }
        match fate {
            Fate::Reused(reusable) => {
                return (Action::Cached, Skipped::Saved { path: reusable.saved.path.clone() }.to_string());
            }
            Fate::NotNeeded => return (Action::Skip, Skipped::NotNeeded.to_string()),
            Fate::Runs => {}
        }
        let scope = RunScope { plan: self.plan, run: &self.run, frames: &[] };
        for condition in &node.conditions {
            if !condition.references.iter().all(is_known) {
                return (Action::Unknown, format!("if {}", condition.source.trim()));
            }
            if let Ok(false) = holds(condition, &scope) {
                return (Action::Skip, Skipped::Condition.to_string());
            }
        }
        if let Some(why) = why_again(self.plan, &self.run, path) {
            return (Action::Run, why.to_owned());
        }
        (Action::Run, if self.run.head.generation > 1 { "to be done".to_owned() } else { String::new() })
    }

    #[expect(clippy::too_many_arguments, reason = "all of it is what is known of one fan-out")]
    fn fan_steps(
        &mut self,
        path: &StepPath,
        index: NodeIndex,
        node: &Node,
        fan: &FanOut,
        expansion: Option<&Expansion>,
        mut action: Action,
        mut reason: String,
    ) {
        let plan = self.plan;
        let total = expansion.map(Expansion::total);
        self.items += total.unwrap_or(0);
        let frames = |number| vec![Frame::instance(index, path.clone(), number)];
        let mut to_run: Option<Vec<u32>> = total.map(|total| (1..=total).collect());
        if action == Action::Run
            && let Some(total) = total
        {
            let is_reused = |number: &u32| {
                let frames = frames(*number);
                let fates = reuse::fates(&RunScope { plan, run: &self.run, frames: &frames }, &fan.body.nodes);
                !fates.contains(&Fate::Runs)
            };
            let fresh: Vec<u32> = (1..=total).filter(|number| !is_reused(number)).collect();
            let reused = total as usize - fresh.len();
            to_run = Some(fresh);
            if reused > 0 && reused == total as usize {
                action = Action::Cached;
                reason = format!("all {total} exist, made from the same inputs");
            } else if reused > 0 {
                reason = format!("{reused} of {total} exist, made from the same inputs");
            }
        }
        let instances = Instances::of(to_run.map(|numbers| numbers.into_iter().map(&frames)));
        let first = frames(1);
        let mut row = match fan.body.nodes.first().map(|node| plan.node(*node)) {
            Some(only) if fan.single => match &only.work {
                Work::Call(call) => self.call_step(path.to_string(), only, call, &first, action, reason),
                Work::FanOut(_) => return,
            },
            _ => PreviewStep {
                path: path.to_string(),
                op: fan_op(plan, fan),
                model: None,
                route: None,
                from: self.sources(node.uses.iter().copied()),
                action,
                reason,
                items: None,
                is_fan_out: true,
                save: None,
                cost: Cost::free(),
                seconds: None,
            },
        };
        row.items = total;
        row.is_fan_out = true;
        if let (true, Some(Work::Call(call))) = (fan.single, fan.body.nodes.first().map(|node| &plan.node(*node).work))
        {
            row.cost = self.cost(call, &instances, action);
            let models = self.models(path, index, fan, total.unwrap_or(0));
            if !models.is_empty() {
                let provider = |model: &String| self.prices.offer(&row.op, model).map(|offer| offer.provider);
                let routes: BTreeSet<_> = models.iter().map(provider).collect();
                row.route = if routes.len() == 1 { routes.into_iter().next().flatten() } else { None };
                row.model = Some(models.join(", "));
            }
            row.save = row.save.filter(|_| total == Some(1)).or_else(|| self.written_save(fan));
        }
        self.steps.push(row);
        if !fan.single {
            self.body_steps(&format!("{path}[*]"), fan, action, &instances);
        }
    }

    fn body_steps(&mut self, prefix: &str, fan: &FanOut, action: Action, instances: &Instances) {
        let plan = self.plan;
        for index in &fan.body.nodes {
            let inner = plan.node(*index);
            let path = format!("{prefix}/{}", inner.id);
            let (action, reason) = match (action, inner.conditions.first()) {
                (Action::Run, Some(condition)) => (Action::Unknown, format!("if {}", condition.source.trim())),
                _ => (action, String::new()),
            };
            match &inner.work {
                Work::Call(call) => {
                    let mut step = self.call_step(path, inner, call, &[], action, reason);
                    step.save = call.save_template().map(written);
                    step.cost = self.cost(call, instances, action);
                    self.steps.push(step);
                }
                Work::FanOut(nested) if !nested.has_items() => {
                    self.container_step(path, inner, nested, instances, action, reason);
                }
                Work::FanOut(nested) => {
                    let nested_path = format!("{path}[*]");
                    let nested_instances = instances.of_nested();
                    let only = nested.body.nodes.first().map(|node| &plan.node(*node).work);
                    let cost = match only {
                        Some(Work::Call(call)) if nested.single => self.cost(call, &nested_instances, action),
                        _ => Cost::free(),
                    };
                    self.steps.push(PreviewStep {
                        path,
                        op: fan_op(plan, nested),
                        model: None,
                        route: None,
                        from: self.sources(inner.uses.iter().copied()),
                        action,
                        reason,
                        items: None,
                        is_fan_out: true,
                        save: None,
                        cost,
                        seconds: None,
                    });
                    if !nested.single {
                        self.body_steps(&nested_path, nested, action, &nested_instances);
                    }
                }
            }
        }
    }

    /// The models that the instances of a fan-out ask for, where each item or combination names its own.
    fn models(&self, path: &StepPath, index: NodeIndex, fan: &FanOut, total: u32) -> Vec<String> {
        let Some(Work::Call(call)) = fan.body.nodes.first().map(|node| &self.plan.node(*node).work) else {
            return Vec::new();
        };
        let parameter = call.op.params.iter().find(|param| matches!(param.ty, ParamType::Model(_)));
        let given = parameter.and_then(|param| call.arguments.iter().find(|argument| argument.name == param.name));
        let Some(Source::Given(template)) = given.map(|argument| &argument.source) else { return Vec::new() };
        let step = |reference: &Reference| matches!(reference, Reference::Step { .. });
        if template.references().into_iter().all(is_known) || template.references().into_iter().any(step) {
            return Vec::new();
        }
        let mut models: Vec<String> = Vec::new();
        for number in 1..=total.min(MODELS_LOOKED_AT) {
            let frames = [Frame::instance(index, path.clone(), number)];
            let scope = RunScope { plan: self.plan, run: &self.run, frames: &frames };
            match scope.text(template) {
                Ok(model) if !models.contains(&model) => models.push(model),
                _ => {}
            }
        }
        models
    }

    fn written_save(&self, fan: &FanOut) -> Option<String> {
        match &self.plan.node(*fan.body.nodes.first()?).work {
            Work::Call(call) => call.save_template().map(written),
            Work::FanOut(_) => None,
        }
    }

    fn call_step(
        &self,
        path: String,
        node: &Node,
        call: &Call,
        frames: &[Frame],
        action: Action,
        reason: String,
    ) -> PreviewStep {
        let scope = RunScope { plan: self.plan, run: &self.run, frames };
        let model = call.op.params.iter().find(|param| matches!(param.ty, ParamType::Model(_))).map(|param| {
            let given = call.arguments.iter().find(|argument| argument.name == param.name);
            match given.map(|argument| &argument.source) {
                Some(Source::Given(Template::Literal(value))) => value.as_str().unwrap_or_default().to_owned(),
                Some(Source::Given(template)) if template.references().into_iter().all(is_known) => {
                    scope.text(template).unwrap_or_default()
                }
                Some(Source::Given(template)) => written(template),
                Some(Source::Wired(_)) | None => param.default.trim_matches('"').to_owned(),
            }
        });
        let save = call.save_template().map(|template| match template.references().into_iter().all(is_known) {
            true => scope.text(template).unwrap_or_else(|_| written(template)),
            false => written(template),
        });
        let offer = model.as_deref().and_then(|model| self.prices.offer(call.op.name, model));
        PreviewStep {
            path,
            op: call.uses(),
            seconds: offer.as_ref().and_then(|offer| offer.usually).map(Duration::as_secs_f64),
            route: offer.map(|offer| offer.provider),
            model,
            from: self.source_of(node, call),
            action,
            reason,
            items: None,
            is_fan_out: false,
            save,
            cost: Cost::free(),
        }
    }

    /// What the instances of a call cost that are to run.
    fn cost(&self, call: &Call, instances: &Instances, action: Action) -> Cost {
        let pricing = Pricing { plan: self.plan, run: &self.run, prices: self.prices };
        match action {
            Action::Run => pricing.cost(call, instances, true),
            Action::Unknown => pricing.cost(call, instances, false),
            Action::Keep | Action::Cached | Action::Skip => Cost::free(),
        }
    }

    /// Where the main input of a call comes from.
    fn source_of(&self, node: &Node, call: &Call) -> Option<String> {
        let main = call.arguments.iter().find(|argument| matches!(argument.name, "image" | "video" | "audio" | "file"));
        match main.map(|argument: &Argument| &argument.source) {
            Some(Source::Wired(Wire::Step { node, .. } | Wire::FirstBox { node })) => {
                Some(self.plan.node(*node).id.clone())
            }
            Some(Source::Wired(Wire::Item)) => Some("item".to_owned()),
            Some(Source::Wired(Wire::Input { name })) => Some(format!("inputs.{name}")),
            Some(Source::Given(template)) => {
                let mut names: Vec<String> = Vec::new();
                for reference in template.references() {
                    let name = match reference {
                        Reference::Step { id, .. } => id.clone(),
                        Reference::Input(name) => format!("inputs.{name}"),
                        Reference::Item => "item".to_owned(),
                        Reference::Index
                        | Reference::Number
                        | Reference::Matrix
                        | Reference::Data
                        | Reference::Run(_)
                        | Reference::Error
                        | Reference::Previous => continue,
                    };
                    if !names.contains(&name) {
                        names.push(name);
                    }
                }
                (!names.is_empty()).then(|| names.join(", "))
            }
            None => self.sources(node.uses.iter().copied()),
        }
    }

    fn sources(&self, nodes: impl Iterator<Item = NodeIndex>) -> Option<String> {
        let ids: Vec<&str> = nodes.map(|node| self.plan.node(node).id.as_str()).collect();
        (!ids.is_empty()).then(|| ids.join(", "))
    }
}

/// Whether a value is known before anything has run.
pub(crate) fn is_known(reference: &Reference) -> bool {
    match reference {
        Reference::Input(_) => true,
        Reference::Run(name) => name == "workflow",
        Reference::Step { .. }
        | Reference::Item
        | Reference::Index
        | Reference::Number
        | Reference::Matrix
        | Reference::Data
        | Reference::Error
        | Reference::Previous => false,
    }
}

/// A template as it was written.
fn written(template: &Template) -> String {
    match template {
        Template::Literal(serde_json::Value::String(text)) => text.clone(),
        Template::Literal(value) => value.to_string(),
        Template::Expr(expr) => format!("${{{{ {} }}}}", expr.source.trim()),
        Template::Text(parts) => parts
            .iter()
            .map(|part| match part {
                Part::Text(text) => text.clone(),
                Part::Expr(expr) => format!("${{{{ {} }}}}", expr.source.trim()),
            })
            .collect(),
        Template::List(_) | Template::Map(_) => "…".to_owned(),
    }
}
