//! `darkroom setup`

use crate::failure::Failure;
use crate::fleet::Fleet;
use crate::folder;
use crate::output::{Format, complain, say, say_json};
use crate::settings::Settings;
use serde::Serialize;
use std::process::ExitCode;

/// Make the servers of a fleet ready: queues on the broker, the schema of the store
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Doing it again changes nothing, and says what is there. Do it once for each namespace, and again \
    after an upgrade.\n\nExample:\n  \
    DARKROOM__BROKER__URL=amqp://127.0.0.1 DARKROOM__STORE__URL=redis://127.0.0.1 darkroom setup"
)]
pub(crate) struct Args {}

#[derive(Serialize)]
struct Done {
    namespace: String,
    broker: BrokerDone,
    store: StoreDone,
    artifacts: String,
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

pub(crate) async fn run(_: Args, format: Format) -> Result<ExitCode, Failure> {
    let settings = Settings::load()?;
    let place = settings.fleet_for("setup")?;
    let artifacts = folder::artifacts(&settings)?;
    let root = artifacts.root_url();
    let fleet = Fleet::of_command(&place, artifacts);
    // One after the other: if the store is refused, nothing is left behind on the broker.
    let prepared = fleet.store.prepare().await?;
    let declared = fleet.declare().await?;
    let done = Done {
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

fn print(done: &Done) {
    let Done { namespace, broker, store, artifacts } = done;
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
}
