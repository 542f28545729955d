//! `darkroom worker`

use crate::failure::Failure;
use crate::fleet::{Fleet, POOLS, SHARDS};
use crate::folder;
use crate::role::{RoleArgs, Stage};
use darkroom_backend::{Queue, RedisStore, Repeating, Role};
use darkroom_worker::{Routes, Workbench, Worker};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Take part in a fleet: do the steps of its runs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Start as many as there is work for. It waits for its servers. SIGTERM or Ctrl-C drains it within \
    25 s: steps that were begun are finished or handed back; a second one ends it at once.\n\nExamples:\n  \
    darkroom worker\n  darkroom worker --pools image --slots 4 --metrics-listen 0.0.0.0:9465"
)]
pub(crate) struct Args {
    /// The pools that it serves, comma separated. Default: all
    #[arg(long, value_name = "POOLS")]
    pools: Option<String>,
    /// How many steps it does at once. Default: one for each core
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    slots: Option<u16>,
    #[command(flatten)]
    role: RoleArgs,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let stage = Stage::set(Role::Worker, &args.role)?;
    let pools = stage.settings.pools(args.pools.as_deref(), &POOLS)?;
    let cores = std::thread::available_parallelism().map_or(1, |cores| u16::try_from(cores.get()).unwrap_or(u16::MAX));
    let slots = args.slots.or(stage.settings.worker.slots).unwrap_or(cores).max(1);
    let artifacts = folder::artifacts(&stage.settings)?;
    let routes = Routes { has_provider_key: stage.settings.has_provider_key() };
    let bench = Bench::new(&stage.name);
    let workbench = Arc::new(Workbench::new(artifacts, &bench.0, routes));
    let (name, served) = (stage.name.clone(), pools.clone());
    let deliver = stage.settings.test.deliver;
    let play = stage.play(pools, slots, move |fleet, stop| {
        let (name, served, workbench) = (name.clone(), served.clone(), workbench.clone());
        Ok(async move {
            let queue = fleet.queue.clone();
            let ended = match deliver {
                None => Box::pin(worker(&fleet, queue, name, served, slots.into(), workbench).run(stop)).await,
                Some(times) => {
                    let queue = Repeating::new(queue, times);
                    Box::pin(worker(&fleet, queue, name, served, slots.into(), workbench).run(stop)).await
                }
            };
            ended.map_err(|error| fleet.broker_failed(error))
        })
    });
    Box::pin(play).await
}

/// Does steps of these pools.
fn worker<Q: Queue>(
    fleet: &Fleet,
    queue: Q,
    name: String,
    pools: Vec<String>,
    slots: usize,
    workbench: Arc<Workbench>,
) -> Worker<RedisStore, Q> {
    Worker::new(fleet.store.store.clone(), queue, name, pools, slots, SHARDS, workbench)
}

/// The folder for what is unfinished, of this process alone; removed when it ends.
struct Bench(PathBuf);

impl Bench {
    fn new(name: &str) -> Bench {
        Bench(Path::new(&std::env::temp_dir()).join(format!("darkroom-{name}")))
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        // Not there if nothing was ever unfinished; what can't be removed is in nobody's way.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
