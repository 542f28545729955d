//! `darkroom coordinator`

use crate::failure::Failure;
use crate::fleet::{Fleet, POOLS, SHARDS, Slots};
use crate::role::{RoleArgs, Stage};
use darkroom_backend::{Queue, QueueError, Repeating, Role};
use darkroom_coordinator::{Coordinator, CoordinatorError, Failpoint, Plans, hooks};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

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
    // Somebody told where providers reach us, so there is a door for what they say.
    let listen_for = stage.settings.public_url().map(|_| stage.settings.api_listen()).transpose()?;
    let recheck_every = stage.settings.recheck_every()?;
    let play = stage.play(pools, Slots::default(), move |fleet, stop| {
        let (name, failpoint) = (name.clone(), failpoint.clone());
        let listening = listen_for;
        Ok(async move {
            let mut hooks = JoinSet::new();
            if let Some(address) = listening {
                hooks.spawn(serve_hooks(address, fleet.clone()));
            }
            let queues = (0..DECIDERS).map(|taker| fleet.queue.taker(taker));
            let ended = match deliver {
                None => Box::pin(decide(&fleet, queues.collect(), &name, recheck_every, failpoint, stop)).await,
                Some(times) => {
                    let queues = queues.map(|queue| Repeating::new(queue, times)).collect();
                    Box::pin(decide(&fleet, queues, &name, recheck_every, failpoint, stop)).await
                }
            };
            ended.map_err(Failure::from)
        })
    });
    Box::pin(play).await
}

/// How long is waited before it is tried again to listen where somebody else does.
const LISTEN_AGAIN: Duration = Duration::from_secs(2);

/// Listens for webhooks of providers, and for nothing else. One coordinator of a machine is enough for that.
async fn serve_hooks(address: SocketAddr, fleet: Fleet) {
    let mut told = false;
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => {
                tracing::info!(%address, "listening for webhooks of providers under /hooks");
                let routes = hooks(fleet.store.store.clone(), fleet.queue.clone(), fleet.desk());
                if let Err(error) = axum::serve(listener, routes).await {
                    tracing::error!(%error, "webhooks are not heard any more; trying again");
                }
            }
            Err(error) if !told => {
                told = true;
                tracing::warn!(%address, %error, "can't listen for webhooks there; another coordinator may");
            }
            Err(_) => {}
        }
        tokio::time::sleep(LISTEN_AGAIN).await;
    }
}

/// How many loops decide, each about shards of its own: while one waits for the store the other goes on.
const DECIDERS: u8 = 2;

/// Decides about this process' share of the runs, until told to stop.
async fn decide<Q: Queue>(
    fleet: &Fleet,
    queues: Vec<Q>,
    name: &str,
    recheck_every: darkroom_proto::Duration,
    failpoint: Option<Failpoint>,
    stop: CancellationToken,
) -> Result<(), CoordinatorError> {
    let stop = stop.child_token();
    let store = fleet.store.store.clone();
    let plans = Arc::new(Plans::new(store.clone()));
    let mut deciding = JoinSet::new();
    for (number, queue) in queues.into_iter().enumerate() {
        let owner = format!("{name}.{}", number + 1);
        let coordinator = Coordinator::new(store.clone(), queue, plans.clone(), owner);
        let mut coordinator = coordinator.sharing(SHARDS).rechecking(recheck_every);
        if let Some(failpoint) = failpoint.clone() {
            coordinator = coordinator.failing_at(failpoint);
        }
        deciding.spawn(coordinator.run(stop.clone()));
    }
    let mut outcome = Ok(());
    while let Some(ended) = deciding.join_next().await {
        let ended = match ended {
            Ok(ended) => ended,
            Err(error) => Err(QueueError::Unavailable(format!("deciding broke: {error}")).into()),
        };
        // If one can't go on, none does: the role begins again with all of them.
        stop.cancel();
        outcome = outcome.and(ended);
    }
    outcome
}
