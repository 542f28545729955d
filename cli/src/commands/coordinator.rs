//! `darkroom coordinator`

use crate::failure::Failure;
use crate::fleet::{Fleet, POOLS, SHARDS};
use crate::role::{RoleArgs, Stage};
use darkroom_backend::{Queue, RedisStore, Repeating, Role};
use darkroom_coordinator::{Coordinator, Failpoint, Plans};
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
    let deliver = stage.settings.test.deliver;
    let failpoint: Option<Failpoint> = match &stage.settings.test.failpoint {
        Some(text) => Some(text.parse().map_err(|error| Failure::usage(format!("test.failpoint: {error}")))?),
        None => None,
    };
    let play = stage.play(pools, 0, move |fleet, stop| {
        let (name, failpoint) = (name.clone(), failpoint.clone());
        Ok(async move {
            let queue = fleet.queue.clone();
            let ended = match deliver {
                None => Box::pin(coordinator(&fleet, queue, name, failpoint).run(stop)).await,
                Some(times) => {
                    let queue = Repeating::new(queue, times);
                    Box::pin(coordinator(&fleet, queue, name, failpoint).run(stop)).await
                }
            };
            ended.map_err(Failure::from)
        })
    });
    Box::pin(play).await
}

/// Decides about its share of the runs.
fn coordinator<Q: Queue>(
    fleet: &Fleet,
    queue: Q,
    name: String,
    failpoint: Option<Failpoint>,
) -> Coordinator<RedisStore, Q> {
    let store = fleet.store.store.clone();
    let plans = Arc::new(Plans::new(store.clone()));
    let coordinator = Coordinator::new(store, queue, plans, name).sharing(SHARDS);
    match failpoint {
        Some(failpoint) => coordinator.failing_at(failpoint),
        None => coordinator,
    }
}
