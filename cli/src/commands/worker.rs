//! `darkroom worker`

use crate::failure::Failure;
use crate::fleet::{Fleet, POOLS, SHARDS, Slots};
use crate::folder;
use crate::role::{RoleArgs, Stage};
use darkroom_backend::{Queue, RedisStore, Repeating, Role};
use darkroom_worker::{CallFailpoint, Caller, Routes, Workbench, Worker};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::task::JoinSet;

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
    let providers = crate::accounts::providers(&stage.settings)?;
    // Without providers everything is done on this machine, which has only so many hands.
    let calls = if providers.is_empty() { slots } else { stage.settings.worker.calls.unwrap_or(CALLS).max(1) };
    let failpoint: Option<CallFailpoint> = match &stage.settings.test.call_failpoint {
        Some(text) => Some(text.parse().map_err(|error| Failure::usage(format!("test.call_failpoint: {error}")))?),
        None => None,
    };
    let failpoint = Arc::new(std::sync::Mutex::new(failpoint));
    let mut follower = JoinSet::new();
    follower.spawn(crate::accounts::follow(providers.clone()));
    let (name, served) = (stage.name.clone(), pools.clone());
    let deliver = stage.settings.test.deliver;
    let play = stage.play(pools, Slots { own: slots, calls }, move |fleet, stop| {
        let (name, served, workbench) = (name.clone(), served.clone(), workbench.clone());
        let failpoint = failpoint.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        let store = fleet.store.store.clone();
        let caller = Arc::new(Caller::new(store, providers.clone(), workbench.clone(), name.clone(), failpoint));
        Ok(async move {
            let queue = fleet.queue.clone();
            let crew = Crew { name, pools: served, slots: slots.into(), calls: calls.into(), workbench, caller };
            let ended = match deliver {
                None => Box::pin(crew.worker(&fleet, queue).run(stop)).await,
                Some(times) => Box::pin(crew.worker(&fleet, Repeating::new(queue, times)).run(stop)).await,
            };
            ended.map_err(|error| fleet.broker_failed(error))
        })
    });
    let ended = Box::pin(play).await;
    follower.abort_all();
    ended
}

/// How many calls to providers a worker makes at once unless told otherwise: they mostly wait for an answer.
const CALLS: u16 = 128;

/// What a worker is made of.
struct Crew {
    name: String,
    pools: Vec<String>,
    slots: usize,
    calls: usize,
    workbench: Arc<Workbench>,
    caller: Arc<Caller<RedisStore>>,
}

impl Crew {
    fn worker<Q: Queue>(self, fleet: &Fleet, queue: Q) -> Worker<RedisStore, Q> {
        let store = fleet.store.store.clone();
        Worker::new(store, queue, self.name, self.pools, self.slots, SHARDS, self.workbench, self.caller)
            .calling(self.calls)
    }
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
