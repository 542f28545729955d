//! What steps will cost, as far as that is known before anything is paid.

use crate::expr::Reference;
use crate::plan::{Body, Call, Node, Plan, Rule, Source, Work};
use crate::preview::is_known;
use crate::run::{Frame, Run};
use crate::scope::RunScope;
use darkroom_proto::model::{Price, Route};
use darkroom_proto::op::ParamType;
use darkroom_proto::{Duration, Map};
use serde::Serialize;
use serde_json::Value;

/// How many instances of a fan-out are priced one by one; the others cost as much on average.
const INSTANCES_PRICED: u32 = 1_000;

/// Who serves a model, and for how much.
#[derive(Debug, Clone, PartialEq)]
pub struct Offer {
    /// The provider.
    pub provider: String,
    /// Whether it is this machine, and costs nothing.
    pub is_free: bool,
    /// What is paid, if that is known.
    pub price: Option<Price>,
    /// How long a job usually takes.
    pub usually: Option<Duration>,
}

impl Offer {
    /// By this machine.
    pub fn local(provider: impl Into<String>) -> Offer {
        Offer { provider: provider.into(), is_free: true, price: None, usually: None }
    }

    /// By a provider.
    pub fn of(route: &Route) -> Offer {
        Offer { provider: route.provider.clone(), is_free: false, price: route.price.clone(), usually: route.usually }
    }
}

/// A range of costs in USD.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Cost {
    /// At least.
    pub low: f64,
    /// At most.
    pub high: f64,
    /// Where the figure comes from: `local` where nothing is paid, `unknown` where nobody says.
    pub source: String,
    /// Whether something in it is the cost of a single item, because it is not known yet how many there are.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub per_item: bool,
}

/// The source of what costs nothing.
const LOCAL: &str = "local";

/// The source of what nobody says the price of.
const UNKNOWN: &str = "unknown";

impl Cost {
    /// Nothing is paid.
    pub fn free() -> Cost {
        Cost { low: 0.0, high: 0.0, source: LOCAL.to_owned(), per_item: false }
    }

    /// Nobody says what is paid.
    fn unknown() -> Cost {
        Cost { source: UNKNOWN.to_owned(), ..Cost::free() }
    }

    /// Whether all of it is known.
    pub fn is_known(&self) -> bool {
        !self.source.split("; ").any(|source| source == UNKNOWN)
    }

    /// Both together.
    pub(crate) fn plus(self, other: &Cost) -> Cost {
        let mut sources: Vec<&str> = self.source.split("; ").chain(other.source.split("; ")).collect();
        sources.sort_unstable();
        sources.dedup();
        // What costs nothing is worth no mention beside what does.
        if sources.len() > 1 {
            sources.retain(|source| *source != LOCAL);
        }
        Cost {
            low: self.low + other.low,
            high: self.high + other.high,
            source: sources.join("; "),
            per_item: self.per_item || other.per_item,
        }
    }

    fn times(self, factor: f64) -> Cost {
        Cost { low: self.low * factor, high: self.high * factor, ..self }
    }
}

/// What a preview has to be told: who serves models, and what other workflows cost. Any function that gives offers is one
/// that knows no other workflows.
pub trait Prices {
    /// Who serves a model for an op, and for how much.
    fn offer(&self, op: &str, model: &str) -> Option<Offer>;

    /// What a run of another workflow costs with these inputs, as far as they are known; `None`: nobody knows.
    fn child(&self, reference: &str, inputs: &Map) -> Option<Cost> {
        let _ = (reference, inputs);
        None
    }
}

impl<F: Fn(&str, &str) -> Option<Offer>> Prices for F {
    fn offer(&self, op: &str, model: &str) -> Option<Offer> {
        self(op, model)
    }
}

/// How often a call is made, and what it sees each time.
pub(crate) struct Instances {
    frames: Vec<Vec<Frame>>,
    /// What the priced ones stand for.
    factor: f64,
    per_item: bool,
}

impl Instances {
    /// A step that runs once.
    pub(crate) fn one() -> Instances {
        Instances { frames: vec![Vec::new()], factor: 1.0, per_item: false }
    }

    /// The instances of a fan-out, those left out that need not run; `None`: nobody knows yet how many there are.
    pub(crate) fn of(frames: Option<impl Iterator<Item = Vec<Frame>>>) -> Instances {
        let Some(frames) = frames else { return Instances { per_item: true, ..Instances::one() } };
        let mut total = 0u32;
        let mut priced = Vec::new();
        for frame in frames {
            total += 1;
            if total <= INSTANCES_PRICED {
                priced.push(frame);
            }
        }
        let factor = f64::from(total) / (priced.len() as f64).max(1.0);
        Instances { frames: priced, factor, per_item: false }
    }

    /// Those of a fan-out that lies in each of these: nobody knows how many it has.
    pub(crate) fn of_nested(&self) -> Instances {
        Instances { frames: vec![Vec::new()], factor: self.factor * self.frames.len() as f64, per_item: true }
    }
}

/// What prices are made from.
pub(crate) struct Pricing<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) run: &'a Run,
    pub(crate) prices: &'a dyn Prices,
}

impl Pricing<'_> {
    /// What the instances of a call cost together. `is_certain`: it will run.
    pub(crate) fn cost(&self, call: &Call, instances: &Instances, is_certain: bool) -> Cost {
        if !call.op.calls_a_provider() && call.child.is_none() {
            return Cost::free();
        }
        let costs = instances.frames.iter().map(|frames| self.cost_of_one(call, frames));
        let sum = costs.fold(Cost::free(), |sum, cost| sum.plus(&cost)).times(instances.factor);
        let low = if is_certain { sum.low } else { 0.0 };
        Cost { low, per_item: instances.per_item && sum.high > 0.0, ..sum }
    }

    /// What a step costs with everything in it. Of a race at least one contender is paid, at most all; of a `repeat` at
    /// least one iteration, at most `max`; of branches, perhaps nothing.
    pub(crate) fn whole(&self, node: &Node, instances: &Instances, is_certain: bool) -> Cost {
        let is_certain = is_certain && node.conditions.is_empty();
        let branches = node.branches.iter().map(|branch| self.body(&branch.body, instances, false));
        branches.fold(self.container(node, instances, is_certain), |sum, cost| sum.plus(&cost))
    }

    /// The same without its own branches.
    pub(crate) fn container(&self, node: &Node, instances: &Instances, is_certain: bool) -> Cost {
        match &node.work {
            Work::Call(call) => self.cost(call, instances, is_certain),
            Work::FanOut(fan) => match &fan.rule {
                Rule::Each { .. } => self.body(&fan.body, &instances.of_nested(), is_certain),
                Rule::Race(contenders) => {
                    let costs: Vec<Cost> =
                        contenders.iter().map(|one| self.body(&one.body, instances, is_certain)).collect();
                    let low = costs.iter().map(|cost| cost.low).min_by(f64::total_cmp).unwrap_or(0.0);
                    Cost { low, ..costs.iter().fold(Cost::free(), |sum, cost| sum.plus(cost)) }
                }
                Rule::Repeat { max, .. } => {
                    let once = self.body(&fan.body, instances, is_certain);
                    Cost { high: once.high * f64::from(*max), ..once }
                }
            },
        }
    }

    /// What the steps of a body cost together.
    pub(crate) fn body(&self, body: &Body, instances: &Instances, is_certain: bool) -> Cost {
        let costs = body.nodes.iter().map(|node| self.whole(self.plan.node(*node), instances, is_certain));
        costs.fold(Cost::free(), |sum, cost| sum.plus(&cost))
    }

    fn cost_of_one(&self, call: &Call, frames: &[Frame]) -> Cost {
        if let Some(child) = &call.child {
            let inputs = match self.static_params(call, frames).remove("with") {
                Some(Value::Object(inputs)) => inputs,
                _ => Map::new(),
            };
            return self.prices.child(&child.reference, &inputs).unwrap_or_else(Cost::unknown);
        }
        let Some(param) = call.op.params.iter().find(|param| matches!(param.ty, ParamType::Model(_))) else {
            return Cost::free();
        };
        let params = self.static_params(call, frames);
        let offer =
            params.get(param.name).and_then(Value::as_str).and_then(|model| self.prices.offer(call.op.name, model));
        match offer {
            Some(offer) if offer.is_free => Cost::free(),
            Some(Offer { provider, price: Some(price), .. }) => {
                let units = Price::units(price.per, &params);
                let (low, high) = (price.at_least(units).usd(), price.at_most(units).usd());
                Cost { low, high, source: format!("{provider}: {}", price.source), per_item: false }
            }
            Some(_) | None => Cost::unknown(),
        }
    }

    /// The parameters of a call that are known before anything runs, defaults included.
    fn static_params(&self, call: &Call, frames: &[Frame]) -> Map {
        let scope = RunScope { plan: self.plan, run: self.run, frames };
        let is_static = |reference: &Reference| match reference {
            Reference::Item | Reference::Index | Reference::Number | Reference::Matrix => !frames.is_empty(),
            Reference::Input(_)
            | Reference::Run(_)
            | Reference::Step { .. }
            | Reference::Data
            | Reference::Error
            | Reference::Previous => is_known(reference),
        };
        let mut params = Map::new();
        for param in call.op.params {
            let argument = call.arguments.iter().find(|argument| argument.name == param.name);
            let value = match argument.map(|argument| (argument, &argument.source)) {
                Some((argument, Source::Given(template))) => {
                    let is_static = template.references().into_iter().all(is_static);
                    is_static.then(|| scope.argument(argument).ok()).flatten()
                }
                Some((_, Source::Wired(_))) => None,
                None => serde_json::from_str(param.default).ok(),
            };
            if let Some(value) = value.filter(|value| !value.is_null()) {
                params.insert(param.name.to_owned(), value);
            }
        }
        params
    }
}
