//! `GET /workflows/list`: what can be executed, and what may be chosen.

use crate::caller::Caller;
use crate::key::Scope;
use crate::problem::Problem;
use crate::service::Shared;
use axum::Json;
use axum::extract::State;
use darkroom_backend::{Ledger, Queue, Store};
use darkroom_coordinator::Version;
use darkroom_engine::expr::{Reference, Template};
use darkroom_engine::plan::{Call, Input, Node, Plan, Source, Work};
use serde::Serialize;
use serde_json::Value;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Everything that can be executed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Catalogue {
    workflows: Vec<Listed>,
}

/// A workflow, and what may be chosen of it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogueWorkflow)]
pub(crate) struct Listed {
    /// What `workflow_id` says.
    id: String,
    /// Its title.
    name: String,
    /// What it does.
    description: String,
    /// A symbol for it.
    #[schema(required = true)]
    icon: Option<String>,
    /// What it is listed under.
    #[schema(required = true)]
    category: Option<String>,
    /// A film that shows what it makes, as its file names it.
    #[schema(required = true)]
    preview_video: Option<String>,
    /// A small picture, as its file names it.
    #[schema(required = true)]
    preview_thumbnail: Option<String>,
    /// Whether it can be executed.
    enabled: bool,
    /// The prompt that a step has if none is given.
    default_prompts: BTreeMap<String, String>,
    /// The models that can be chosen for a step.
    supported_models: BTreeMap<String, Vec<String>>,
    /// Its top-level steps.
    steps: Vec<ListedStep>,
    /// About how long it takes.
    #[schema(required = true)]
    estimated_duration_seconds: Option<u64>,
    /// What it is charged for.
    credits_cost: u32,
}

/// A step of a workflow.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CatalogueStep)]
pub(crate) struct ListedStep {
    /// Its id.
    name: String,
    /// What it does.
    description: String,
}

/// `GET /workflows/list`
pub(crate) async fn list<S: Store + Ledger, Q: Queue>(
    State(api): State<Shared<S, Q>>,
    caller: Caller,
) -> Result<Json<Catalogue>, Problem> {
    caller.may(Scope::Read)?;
    let mut workflows = Vec::new();
    for (name, record) in api.workflows.list().await? {
        let Ok((_, push)) = record.find(&name, &Version::Latest) else { continue };
        match api.desk.plans().get(push.hash).await {
            Ok(plan) => workflows.push(Listed::new(&plan, record.enabled)),
            // One that this release can't read does not hide the others.
            Err(error) => tracing::warn!(workflow = name, %error, "a workflow is left out of the list"),
        }
    }
    Ok(Json(Catalogue { workflows }))
}

impl Listed {
    fn new(plan: &Plan, is_on: bool) -> Listed {
        let about = plan.about.clone();
        let choices = choices(plan);
        let models = |choice: &Choice<'_>| choice.model.map(|input| input.ty.words().to_vec());
        let prompt = |choice: &Choice<'_>| choice.prompt?.default.as_ref().and_then(Value::as_str).map(str::to_owned);
        fn of<T>(choices: &BTreeMap<&str, Choice<'_>>, what: impl Fn(&Choice<'_>) -> Option<T>) -> BTreeMap<String, T> {
            choices.iter().filter_map(|(step, choice)| Some(((*step).to_owned(), what(choice)?))).collect()
        }
        Listed {
            id: plan.workflow.clone(),
            name: about.title,
            description: about.description.unwrap_or_default(),
            icon: about.icon,
            category: about.category,
            preview_video: about.preview,
            preview_thumbnail: about.thumbnail,
            enabled: is_on && about.enabled,
            default_prompts: of(&choices, prompt),
            supported_models: of(&choices, models),
            steps: plan.top.nodes.iter().map(|node| listed_step(plan, plan.node(*node))).collect(),
            estimated_duration_seconds: about.estimated_duration.map(|duration| duration.0.div_ceil(1_000)),
            credits_cost: about.credits.unwrap_or_default(),
        }
    }
}

fn listed_step(plan: &Plan, node: &Node) -> ListedStep {
    let description = match (&node.title, &node.work) {
        (Some(title), _) => title.clone(),
        (None, Work::Call(Call { child: Some(child), .. })) => format!("Runs the workflow `{}`", child.reference),
        (None, Work::Call(call)) => call.op.summary.to_owned(),
        (None, Work::FanOut(fan)) => {
            let bodies = fan.bodies();
            let within = bodies.iter().flat_map(|body| &body.nodes).map(|node| plan.node(*node));
            let ops = within.filter_map(|node| match &node.work {
                Work::Call(call) => Some(call.uses()),
                Work::FanOut(_) => None,
            });
            ops.collect::<Vec<_>>().join(", ")
        }
    };
    ListedStep { name: node.id.clone(), description }
}

/// What may be chosen for a step: inputs that a parameter of it is exactly.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Choice<'a> {
    /// Its model, one of the words of this input.
    pub(super) model: Option<&'a Input>,
    /// Its prompt.
    pub(super) prompt: Option<&'a Input>,
}

/// What may be chosen, by step. Where steps of several bodies have one id, it is of the first that has a choice.
pub(super) fn choices(plan: &Plan) -> BTreeMap<&str, Choice<'_>> {
    let mut choices = BTreeMap::new();
    // Outer ones come before the ones in their bodies.
    for node in &plan.nodes {
        let Work::Call(call) = &node.work else { continue };
        let model = exactly(plan, call, "model").filter(|input| !input.ty.words().is_empty());
        let prompt = exactly(plan, call, "prompt");
        if model.is_some() || prompt.is_some() {
            choices.entry(node.id.as_str()).or_insert(Choice { model, prompt });
        }
    }
    choices
}

/// The input that a parameter is, with nothing around it.
fn exactly<'a>(plan: &'a Plan, call: &Call, parameter: &str) -> Option<&'a Input> {
    let argument = call.arguments.iter().find(|argument| argument.name == parameter)?;
    let Source::Given(Template::Expr(expr)) = &argument.source else { return None };
    let [Reference::Input(name)] = expr.references.as_slice() else { return None };
    let source = expr.source.trim();
    let is_it = source == format!("inputs.{name}")
        || [format!("inputs['{name}']"), format!("inputs[\"{name}\"]")].iter().any(|other| other == source);
    plan.inputs.iter().find(|input| is_it && input.name == *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_engine::compile;

    #[test]
    fn what_may_be_chosen_is_an_input_that_a_parameter_is_exactly() {
        let text = "workflow: x\nestimated-duration: 90500ms\ninputs:\n  picture: { type: image }\n  model: { type: enum, enum: [flux-dev, flux-pro], default: flux-dev }\n  look: { type: string, default: neon rain }\nsteps:\n  - id: exact\n    title: Rain\n    uses: image.generate\n    with: { model: '${{ inputs.model }}', prompt: '${{ inputs.look }}' }\n  - id: around\n    uses: image.generate\n    with: { model: flux-dev, prompt: 'A ${{ inputs.look }}' }\n  - id: worked_out\n    uses: image.generate\n    with: { model: flux-dev, prompt: '${{ inputs.look | upper }}' }\n  - id: each\n    for-each: [1, 2]\n    uses: image.edit\n    with: { model: nano-banana, image: '${{ inputs.picture }}', prompt: '${{ inputs.look }}' }\n";
        let plan = compile(&darkroom_engine::Source::new("x.yaml", text))
            .map_err(|errors| format!("{errors:?}"))
            .unwrap()
            .plan;
        let listed = Listed::new(&plan, true);
        let models: Vec<_> = listed.supported_models.into_iter().collect();
        assert_eq!(models, [("exact".to_owned(), vec!["flux-dev".to_owned(), "flux-pro".to_owned()])]);
        let prompts: Vec<_> = listed.default_prompts.keys().map(String::as_str).collect();
        assert_eq!(prompts, ["each", "exact"]);
        assert_eq!((listed.estimated_duration_seconds, listed.steps[0].description.as_str()), (Some(91), "Rain"));
        assert_eq!(listed.steps[3].description, "image.edit");
        assert!(!Listed::new(&plan, false).enabled);
    }
}
