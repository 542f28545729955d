//! `darkroom setup`

use crate::catalogue;
use crate::commands::workflows::push_all;
use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::folder;
use crate::output::{Format, complain, say, say_json};
use crate::settings::Settings;
use crate::workflow_file;
use darkroom_coordinator::{WorkflowError, Workflows};
use darkroom_proto::op;
use serde::Serialize;
use std::path::PathBuf;
use std::process::ExitCode;

/// Who pushes what comes with this release.
const SETUP: &str = "setup";
/// Who pushes the workflows of the folder that the settings name.
const SETUP_FOLDER: &str = "setup, from workflows.dir";

/// Make the servers of a fleet ready: queues on the broker, the schema of the store
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Doing it again changes nothing, and says what is there. Do it once for each namespace, and again \
    after an upgrade.\n\nExample:\n  \
    DARKROOM__BROKER__URL=amqp://127.0.0.1 DARKROOM__STORE__URL=redis://127.0.0.1 darkroom setup"
)]
pub(crate) struct Args {
    /// Also make the queue of this task, so that its workers can be started before the first run; may be repeated
    #[arg(long = "task", value_name = "NAME")]
    tasks: Vec<String>,
}

#[derive(Serialize)]
struct Done {
    namespace: String,
    broker: BrokerDone,
    store: StoreDone,
    artifacts: String,
    workflows: WorkflowsDone,
}

/// Which workflows were pushed, and which were there already.
#[derive(Serialize)]
struct WorkflowsDone {
    pushed: Vec<String>,
    found: Vec<String>,
}

#[derive(Serialize)]
struct BrokerDone {
    url: String,
    created: Vec<String>,
    found: Vec<String>,
}

#[derive(Serialize)]
struct StoreDone {
    url: String,
    server: String,
    appendfsync: Option<String>,
    schema: u64,
    shards: u16,
    created: bool,
}

pub(crate) async fn run(args: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let place = settings.fleet_for("setup")?;
    let artifacts = folder::artifacts(&settings)?;
    let root = artifacts.root_url();
    let fleet = Fleet::with_tasks(&place, artifacts, task_pools(&args.tasks)?);
    // One after the other: if the store is refused, nothing is left behind on the broker.
    let prepared = fleet.store.prepare().await?;
    let declared = fleet.declare().await?;
    let workflows = push(&fleet, settings.workflows.dir.as_deref()).await?;
    let done = Done {
        workflows,
        namespace: place.namespace,
        broker: BrokerDone { url: fleet.broker.clone(), created: declared.created, found: declared.found },
        store: StoreDone {
            url: fleet.store.place.clone(),
            server: prepared.server,
            appendfsync: prepared.appendfsync,
            schema: prepared.schema,
            shards: prepared.shards,
            created: prepared.is_new,
        },
        artifacts: root,
    };
    fleet.close().await;
    match format {
        Format::Json => say_json(&done),
        Format::Table => print(&done),
    }
    Ok(ExitCode::SUCCESS)
}

/// The pools of tasks by the names of these, with `task.` or without.
fn task_pools(names: &[String]) -> Result<Vec<String>, Failure> {
    let pool = |name: &String| {
        let pool = format!("{}{}", op::TASK_PREFIX, name.strip_prefix(op::TASK_PREFIX).unwrap_or(name));
        let advice = "small letters, digits and `-`, a letter first, such as `resize-3d`";
        op::task_name(&pool)
            .map(|_| pool.clone())
            .ok_or_else(|| Failure::usage(format!("--task {name}: no name of a task")).advice(advice))
    };
    names.iter().map(pool).collect()
}

/// Pushes the workflows that come with this release, and those of the folder that the settings name. One that comes with it
/// and that somebody has changed since is left as it is.
async fn push(fleet: &Fleet, folder: Option<&str>) -> Result<WorkflowsDone, Failure> {
    let workflows = Workflows::new(fleet.store.store.clone());
    let mut all = Vec::new();
    for (name, source) in catalogue::sources() {
        let changed = match workflows.get(name).await {
            Ok(record) => record.pushes.iter().any(|push| push.by != SETUP),
            Err(WorkflowError::Missing(_)) => false,
            Err(error) => return Err(error.into()),
        };
        if !changed {
            let file = workflow_file::compiled(&source, PathBuf::new())?;
            all.push((name.to_owned(), workflows.push(&file.definition, SETUP).await?));
        }
    }
    if let Some(folder) = folder {
        all.extend(push_all(&workflows, &[PathBuf::from(folder)], SETUP_FOLDER).await?);
    }
    let named = |is_new: bool| {
        all.iter()
            .filter(|(_, done)| done.is_new == is_new)
            .map(|(name, done)| format!("{name}@{}", done.version))
            .collect()
    };
    Ok(WorkflowsDone { pushed: named(true), found: named(false) })
}

fn print(done: &Done) {
    let Done { namespace, broker, store, artifacts, workflows } = done;
    say(&format!("namespace  {namespace}"));
    let queues = match (broker.created.len(), broker.found.len()) {
        (0, found) => format!("{found} queues are there, nothing was to be done"),
        (created, 0) => format!("{created} queues created"),
        (created, found) => format!("{created} queues created, {found} were there"),
    };
    say(&format!("broker     {}  {queues}", broker.url));
    // So many names are only of interest when a few were missing.
    if !broker.found.is_empty() {
        broker.created.iter().for_each(|queue| say(&format!("           created {queue}")));
    }
    let schema = if store.created { "written" } else { "is there, nothing was to be done" };
    say(&format!(
        "store      {}  {}, schema {} for {} shards {schema}",
        store.url, store.server, store.schema, store.shards
    ));
    match store.appendfsync.as_deref() {
        Some("always") | None => {}
        Some("off") => complain("warning: the store keeps no append-only file: what is done is lost when it ends"),
        Some(other) => complain(&format!(
            "warning: the store has `appendfsync {other}`: what was done last may be lost in a power cut; \
             `appendfsync always` loses nothing"
        )),
    }
    say(&format!("artifacts  {artifacts}"));
    say(&match (workflows.pushed.len(), workflows.found.len()) {
        (0, found) => format!("workflows  {found} are there, nothing was to be done"),
        (pushed, 0) => format!("workflows  {pushed} pushed"),
        (pushed, found) => format!("workflows  {pushed} pushed, {found} were there"),
    });
}
