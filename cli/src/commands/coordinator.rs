//! `darkroom coordinator`

use crate::failure::Failure;
use crate::fleet::{Fleet, POOLS, SHARDS};
use crate::role::{RoleArgs, Stage};
use darkroom_backend::{RabbitQueue, RedisStore, Role};
use darkroom_coordinator::{Coordinator, Plans};
use std::process::ExitCode;
use std::sync::Arc;

/// Take part in a fleet: decide what happens next in its runs
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Start one or more; they share the runs, and take over from each other. It waits for its servers. \
    SIGTERM or Ctrl-C drains it within 25 s; a second one ends it at once.\n\nExample:\n  \
    DARKROOM__BROKER__URL=amqp://127.0.0.1 DARKROOM__STORE__URL=redis://127.0.0.1 darkroom coordinator"
)]
pub(crate) struct Args {
    #[command(flatten)]
    role: RoleArgs,
}

pub(crate) async fn run(args: Args) -> Result<ExitCode, Failure> {
    let stage = Stage::set(Role::Coordinator, &args.role)?;
    let name = stage.name.clone();
    let pools = POOLS.map(str::to_owned).to_vec();
    let play = stage.play(pools, 0, move |fleet, stop| {
        let coordinator = coordinator(&fleet, name.clone());
        Ok(async move { coordinator.run(stop).await.map_err(Failure::from) })
    });
    Box::pin(play).await
}

/// Decides about its share of the runs.
fn coordinator(fleet: &Fleet, name: String) -> Coordinator<RedisStore, RabbitQueue> {
    let (store, queue) = (fleet.store.store.clone(), fleet.queue.clone());
    let plans = Arc::new(Plans::new(store.clone()));
    Coordinator::new(store, queue, plans, name).sharing(SHARDS)
}
