//! Tasks, which only a fleet has workers for: said before anything is begun.

use crate::failure::Failure;
use crate::output::complain;
use crate::settings::Settings;
use darkroom_engine::plan::Plan;
use darkroom_proto::op::TASK_PREFIX;

/// What stands in the way of doing a workflow in this process.
pub(crate) fn can_run_here(plan: &Plan) -> Result<(), Failure> {
    let Some(names) = named(plan) else { return Ok(()) };
    Err(Failure::usage(format!("{names}: done by workers of a fleet, and this is one process")).advice(
        "set broker.url and store.url to have a fleet do it; `darkroom test` tries the workflow with mocks of these steps",
    ))
}

/// Says of a workflow that it needs a fleet, where there is none.
pub(crate) fn note(plan: &Plan, settings: &Settings) {
    let has_fleet = settings.fleet().is_ok_and(|fleet| fleet.is_some());
    if let Some(names) = named(plan).filter(|_| !has_fleet) {
        complain(&format!("note: {names}: done by workers of a fleet; set broker.url and store.url to run it"));
    }
}

fn named(plan: &Plan) -> Option<String> {
    let names: Vec<String> = plan.tasks().into_iter().map(|task| format!("`{TASK_PREFIX}{task}`")).collect();
    (!names.is_empty()).then(|| names.join(", "))
}
