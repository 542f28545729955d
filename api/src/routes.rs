//! The table of all routes: what serves each, and what the API's description says of it.

use crate::artifacts::get as get_artifact;
use crate::compat::{self, Catalogue, Executed, Execution, Retried};
use crate::events::After;
use crate::files::Named;
use crate::intake::Wanted;
use crate::key::Scope::{Admin, Operate, Read, Submit};
use crate::link::Linked;
use crate::openapi::{self, Operation, of};
use crate::runs::{Batch, Filter, Fork, Rerun, Under};
use crate::service::{self, Shared};
use crate::task::ForTask;
use crate::workflows::Pushed;
use crate::{command, events, files, runs, task, workflows};
use axum::extract::DefaultBodyLimit;
use axum::http::Method;
use axum::routing::{MethodRouter, get, post};
use darkroom_backend::{Ledger, Queue, Store};
use serde_json::{Value, json};

/// A route.
pub(crate) struct Route<S, Q> {
    pub(crate) method: Method,
    pub(crate) path: &'static str,
    pub(crate) handler: MethodRouter<Shared<S, Q>>,
    pub(crate) operation: Operation,
}

type Handler<S, Q> = MethodRouter<Shared<S, Q>>;

fn on_get<S, Q>(path: &'static str, handler: Handler<S, Q>, operation: Operation) -> Route<S, Q> {
    Route { method: Method::GET, path, handler, operation }
}

fn on_post<S, Q>(path: &'static str, handler: Handler<S, Q>, operation: Operation) -> Route<S, Q> {
    Route { method: Method::POST, path, handler, operation }
}

/// Every route of the API.
pub(crate) fn routes<S: Store + Ledger, Q: Queue>() -> Vec<Route<S, Q>> {
    let mut routes = of_runs();
    routes.extend(of_commands());
    routes.extend(of_things());
    routes.extend(of_older_services());
    routes.extend([
        on_get(
            "/openapi.json",
            get(openapi::get::<S, Q>),
            Operation::new("getDescription", "about", "This description.")
                .needs_nothing()
                .gives(200, "OpenAPI 3.1.", Some(json!({ "type": "object" })))
                .has(200, "ETag", "Changes with it.")
                .cached(),
        ),
        on_get(
            "/docs",
            get(openapi::read::<S, Q>),
            Operation::new("readDescription", "about", "This description, to be read.")
                .needs_nothing()
                .gives_other(200, "A page.", "text/html", text())
                .has(200, "ETag", "Changes with it.")
                .cached(),
        ),
    ]);
    routes
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn bytes() -> Value {
    json!({ "type": "string", "format": "binary" })
}

/// The kinds of events, of a run and of an execution.
const EVENTS: [&str; 4] = ["progress", "checkpoint", "error", "complete"];

const LAST_EVENT_ID: &str = "The `id` of the last event that the client saw; the stream goes on behind it.";

fn of_runs<S: Store + Ledger, Q: Queue>() -> Vec<Route<S, Q>> {
    vec![
        on_get(
            "/v1/runs",
            get(runs::list::<S, Q>),
            Operation::new("listRuns", "runs", "Runs, the newest first.")
                .needs(&[Read])
                .query::<Filter>()
                .gives(200, "A page of runs.", Some(of("RunList")))
                .may_have(200, "Link", "The next page, `rel=\"next\"`."),
        ),
        on_post(
            "/v1/runs",
            post(runs::create::<S, Q>),
            Operation::new("createRun", "runs", "Creates a run.")
                .says("The same `Idempotency-Key` gives the same run, for as long as it is kept.")
                .needs(&[Submit])
                .idempotent()
                .header("Prefer", "`wait=30` waits for its end, at most so many seconds and at most 60.", None)
                .takes::<Wanted>()
                .refuses(&[404, 409, 422])
                .gives(200, "The run, which has ended.", Some(of("Run")))
                .has(200, "Location", "The run.")
                .has(200, "Preference-Applied", "How long was waited at most.")
                .may_have(200, "Idempotent-Replayed", "`true` where it was there before.")
                .gives(202, "The run was taken in.", Some(of("Created")))
                .has(202, "Location", "The run.")
                .may_have(202, "Preference-Applied", "How long was waited at most.")
                .may_have(202, "Idempotent-Replayed", "`true` where it was there before."),
        ),
        on_post(
            "/v1/runs/batch",
            post(runs::create_batch::<S, Q>),
            Operation::new("createRuns", "runs", "Creates up to 1,000 runs, each with an outcome of its own.")
                .says("A run without a `key` has `<Idempotency-Key>/<its place>`, where the header is given.")
                .needs(&[Submit])
                .idempotent()
                .takes::<Batch>()
                .gives(202, "What came of each.", Some(of("BatchOutcome"))),
        ),
        on_get(
            "/v1/runs/{id}",
            get(runs::get::<S, Q>),
            Operation::new("getRun", "runs", "A run.")
                .needs(&[Read])
                .run("id")
                .gives(200, "The run.", Some(of("Run")))
                .has(200, "ETag", "Changes with it, and within an hour, because its links do.")
                .cached(),
        ),
        on_get(
            "/v1/runs/{id}/steps",
            get(runs::steps::<S, Q>),
            Operation::new("listSteps", "runs", "Top-level steps, or the instances of a fan-out.")
                .needs(&[Read])
                .run("id")
                .query::<Under>()
                .gives(200, "A page of steps.", Some(of("StepList")))
                .may_have(200, "Link", "The next page, `rel=\"next\"`."),
        ),
        on_get(
            "/v1/runs/{id}/events",
            get(events::follow::<S, Q>),
            Operation::new("followRun", "runs", "What happens to a run, as Server-Sent Events.")
                .says("The kinds are `progress`, `checkpoint`, `error` and `complete`; the data is the line of `darkroom tail -o json`. Ends with the run.")
                .needs(&[Read])
                .run("id")
                .query::<After>()
                .header("Last-Event-ID", LAST_EVENT_ID, Some("^[0-9]{1,18}$"))
                .streams(&EVENTS),
        ),
        on_post(
            "/v1/runs/{id}/rerun",
            post(runs::rerun::<S, Q>),
            made_again("rerunRun", "A new run of the same, which takes what is the same.").may_take::<Rerun>(),
        ),
        on_post(
            "/v1/runs/{id}/fork",
            post(runs::fork::<S, Q>),
            made_again("forkRun", "A new run that does a step and all behind it again.").takes::<Fork>(),
        ),
        on_post(
            "/v1/plans",
            post(runs::plan::<S, Q>),
            Operation::new("planRun", "runs", "What a run would do and cost, without making it.")
                .needs(&[Submit])
                .takes::<Wanted>()
                .refuses(&[404, 409])
                .gives(200, "The plan.", Some(of("Plan"))),
        ),
    ]
}

fn made_again(id: &'static str, summary: &'static str) -> Operation {
    Operation::new(id, "runs", summary)
        .needs(&[Read, Submit])
        .run("id")
        .refuses(&[409])
        .gives(202, "The run was taken in.", Some(of("Created")))
        .has(202, "Location", "The run.")
}

fn of_commands<S: Store + Ledger, Q: Queue>() -> Vec<Route<S, Q>> {
    let command = |id, summary| {
        Operation::new(id, "runs", summary)
            .needs(&[Operate])
            .run("id")
            .idempotent()
            .refuses(&[409])
            .gives(200, "The run has taken it.", Some(of("Outcome")))
            .gives(202, "It is stored, and will be applied.", Some(of("Outcome")))
    };
    vec![
        on_post(
            "/v1/runs/{id}/cancel",
            post(command::cancel::<S, Q>),
            command("cancelRun", "Ends a run; what it did is undone where it says how.").may_take::<command::Reason>(),
        ),
        on_post(
            "/v1/runs/{id}/terminate",
            post(command::terminate::<S, Q>),
            command("terminateRun", "Ends a run at once; nothing is undone.").may_take::<command::Reason>(),
        ),
        on_post(
            "/v1/runs/{id}/pause",
            post(command::pause::<S, Q>),
            command("pauseRun", "Nothing new of a run is sent until it is resumed.").may_take::<command::Reason>(),
        ),
        on_post(
            "/v1/runs/{id}/resume",
            post(command::resume::<S, Q>),
            command("resumeRun", "Goes on after a pause, a failure, or from a step.").may_take::<command::Resume>(),
        ),
        on_post(
            "/v1/runs/{id}/signal",
            post(command::signal::<S, Q>),
            command("signalRun", "Sends an event, for a step that waits for it now or later.")
                .takes::<command::Signal>(),
        ),
        on_post(
            "/v1/runs/{id}/approve",
            post(command::approve::<S, Q>),
            command("approveStep", "Approves what a step asks.").may_take::<command::Decide>(),
        ),
        on_post(
            "/v1/runs/{id}/reject",
            post(command::reject::<S, Q>),
            command("rejectStep", "Rejects what a step asks.").may_take::<command::Decide>(),
        ),
        on_get(
            "/v1/approvals",
            get(command::approvals::<S, Q>),
            Operation::new("listApprovals", "people", "Steps that wait for a person.").needs(&[Read]).gives(
                200,
                "All of them.",
                Some(of("ApprovalList")),
            ),
        ),
    ]
}

fn of_things<S: Store + Ledger, Q: Queue>() -> Vec<Route<S, Q>> {
    vec![
        on_get(
            "/v1/workflows",
            get(workflows::list::<S, Q>),
            Operation::new("listWorkflows", "workflows", "Workflows by name.").needs(&[Read]).gives(
                200,
                "All of them.",
                Some(of("WorkflowList")),
            ),
        ),
        on_post(
            "/v1/workflows",
            post(workflows::push::<S, Q>),
            Operation::new(
                "pushWorkflow",
                "workflows",
                "Makes a text the latest version of the workflow that it names.",
            )
            .needs(&[Admin])
            .takes::<Pushed>()
            .refuses(&[409, 422])
            .gives(200, "It is the latest already.", Some(of("WorkflowPushed")))
            .has(200, "Location", "The workflow.")
            .gives(201, "It is a new version.", Some(of("WorkflowPushed")))
            .has(201, "Location", "The workflow."),
        ),
        on_get(
            "/v1/workflows/{name}",
            get(workflows::get::<S, Q>),
            Operation::new("getWorkflow", "workflows", "A version of a workflow.")
                .needs(&[Read])
                .segment("name", "Its name, with a version behind an `@` or not.", text())
                .refuses(&[400])
                .gives(200, "The workflow.", Some(of("Workflow")))
                .has(200, "ETag", "Changes with it."),
        ),
        on_post(
            "/v1/files",
            // Streamed to the disk, with a limit of its own.
            post(files::upload::<S, Q>).layer(DefaultBodyLimit::disable()),
            Operation::new("uploadFile", "files", "Keeps a file for inputs.")
                .needs(&[Submit])
                .query::<Named>()
                .takes_other("application/octet-stream", bytes())
                .gives(201, "The file was kept.", Some(of("File"))),
        ),
        on_post(
            "/v1/tasks/files",
            post(task::upload::<S, Q>).layer(DefaultBodyLimit::disable()),
            Operation::new("uploadTaskFile", "files", "Keeps a file that a task made.")
                .says("The token of the task's message lets in, as long as it is good.")
                .needs_nothing()
                .query::<ForTask>()
                .takes_other("application/octet-stream", bytes())
                .refuses(&[404])
                .gives(201, "The file was kept.", Some(of("File"))),
        ),
        on_get(
            "/v1/artifacts/{sha256}",
            get(get_artifact::<S, Q>),
            Operation::new("getArtifact", "files", "A file, by a link of a document.")
                .says("The link lets in, until it ends.")
                .needs_nothing()
                .segment("sha256", "Its digest.", json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }))
                .query::<Linked>()
                .header("Range", "The part that is wanted, `bytes=0-99`.", None)
                .refuses(&[413, 503])
                .gives_other(200, "The file.", "*/*", bytes())
                .has(200, "ETag", "Its digest.")
                .gives_other(206, "The part.", "*/*", bytes())
                .has(206, "Content-Range", "Which part it is.")
                .cached()
                .refuses(&[416]),
        ),
        on_get(
            "/v1/whoami",
            get(service::whoami::<S, Q>),
            Operation::new("whoami", "account", "Whose the key is and what it may do.").needs(&[]).gives(
                200,
                "Who asks.",
                Some(of("Whoami")),
            ),
        ),
    ]
}

fn of_older_services<S: Store + Ledger, Q: Queue>() -> Vec<Route<S, Q>> {
    let form = json!({
        "type": "object",
        "required": ["workflow_id"],
        "properties": {
            "workflow_id": { "type": "string" },
            "file": bytes(),
            "options": { "type": "string", "contentMediaType": "application/json", "contentSchema": of("Choices") },
        },
        "additionalProperties": false,
    });
    let mut execute =
        Operation::new("executeWorkflow", "compatibility", "Takes a file and has a workflow do its work on it.")
            .needs(&[Submit])
            .idempotent()
            .takes_other("multipart/form-data", form)
            .refuses(&[404, 409, 415, 422])
            .gives_a::<Executed>(202, "The execution was taken in.")
            .has(202, "Location", "The execution.");
    execute.learn::<compat::Choices>();
    vec![
        on_get(
            "/workflows/list",
            get(compat::list::<S, Q>),
            Operation::new("listCatalogue", "compatibility", "What can be executed, and what can be chosen.")
                .needs(&[Read])
                .gives_a::<Catalogue>(200, "Everything."),
        ),
        on_post(
            "/workflows/execute",
            post(compat::execute::<S, Q>).layer(DefaultBodyLimit::disable()),
            execute,
        ),
        on_get(
            "/workflows/execution/{job_id}",
            get(compat::execution::<S, Q>),
            Operation::new("getExecution", "compatibility", "Where an execution stands.")
                .needs(&[Read])
                .run("job_id")
                .gives_a::<Execution>(200, "The execution."),
        ),
        on_post(
            "/workflows/retry/{job_id}",
            post(compat::retry::<S, Q>),
            Operation::new("retryExecution", "compatibility", "Goes on with an execution where it failed.")
                .needs(&[Operate])
                .run("job_id")
                .idempotent()
                .refuses(&[409])
                .gives_a::<Retried>(200, "It goes on.")
                .gives_a::<Retried>(202, "It will go on."),
        ),
        on_get(
            "/jobs/{job_id}/stream",
            get(compat::stream::<S, Q>),
            Operation::new("streamJob", "compatibility", "What happens to an execution, as Server-Sent Events.")
                .says("The kinds are `progress` {step, step_name, progress, message}, `checkpoint` {step, status, output}, `error` {step, error, retryable} and `complete` {result}.")
                .needs(&[Read])
                .run("job_id")
                .header("Last-Event-ID", LAST_EVENT_ID, Some("^[0-9]{1,18}$"))
                .refuses(&[400])
                .streams(&EVENTS),
        ),
    ]
}
