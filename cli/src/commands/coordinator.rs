//! `darkroom coordinator`

use crate::failure::Failure;
use crate::fleet::{Fleet, POOLS, SHARDS, Slots};
use crate::role::{RoleArgs, Stage};
use crate::{api, folder, notices, submissions};
use darkroom_backend::{Queue, QueueError, Repeating, Role};
use darkroom_coordinator::{Coordinator, CoordinatorError, Failpoint, Notices, Plans, Tasks};
use darkroom_proto::Duration;
use std::process::ExitCode;
use std::sync::Arc;
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
    let (settings, artifacts) = (stage.settings.clone(), folder::artifacts(&stage.settings)?);
    // A wrong address is told at once, not when the servers are there.
    settings.api_listen()?;
    let recheck_every = stage.settings.recheck_every()?;
    // So are settings that can't be used.
    notices::open(&settings, true)?;
    let play = stage.play(pools, Slots::default(), move |fleet, stop| {
        let (name, failpoint) = (name.clone(), failpoint.clone());
        let stop = stop.child_token();
        let (notices, notifier) = notices::open(&settings, true)?;
        let api = api::open(settings.clone(), artifacts.clone(), &fleet);
        let deciders = Deciders { name, recheck_every, notices, failpoint, tasks: api.clone() };
        let taking = submissions::take(api.clone(), fleet.queue.clone(), stop.clone());
        let serving = api::serve(api, settings.clone(), fleet.clone(), stop.clone());
        Ok(async move {
            let (mut asked, mut handed_in, mut telling) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
            telling.spawn(notifier.run());
            asked.spawn(serving);
            handed_in.spawn(taking);
            let queues = (0..DECIDERS).map(|taker| fleet.queue.taker(taker));
            let ended = match deliver {
                None => Box::pin(deciders.decide(&fleet, queues.collect(), stop.clone())).await,
                Some(times) => {
                    let queues = queues.map(|queue| Repeating::new(queue, times)).collect();
                    Box::pin(deciders.decide(&fleet, queues, stop.clone())).await
                }
            };
            // What was begun to be taken in is stored and answered, so that nobody has to do it again.
            stop.cancel();
            while handed_in.join_next().await.is_some() {}
            while telling.join_next().await.is_some() {}
            ended.map_err(Failure::from)
        })
    });
    Box::pin(play).await
}

/// How many loops decide, each about shards of its own: while one waits for the store the other goes on.
const DECIDERS: u8 = 2;

/// What the loops of one process have in common.
struct Deciders {
    name: String,
    recheck_every: Duration,
    notices: Notices,
    failpoint: Option<Failpoint>,
    tasks: Arc<dyn Tasks>,
}

impl Deciders {
    /// Decides about this process' share of the runs, until told to stop.
    async fn decide<Q: Queue>(
        self,
        fleet: &Fleet,
        queues: Vec<Q>,
        stop: CancellationToken,
    ) -> Result<(), CoordinatorError> {
        let stop = stop.child_token();
        let store = fleet.store.store.clone();
        let plans = Arc::new(Plans::new(store.clone()));
        let mut deciding = JoinSet::new();
        for (number, queue) in queues.into_iter().enumerate() {
            let owner = format!("{}.{}", self.name, number + 1);
            let coordinator = Coordinator::new(store.clone(), queue, plans.clone(), owner);
            let coordinator = coordinator.sharing(SHARDS).rechecking(self.recheck_every).telling(self.notices.clone());
            let mut coordinator = coordinator.serving(self.tasks.clone());
            if let Some(failpoint) = self.failpoint.clone() {
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
}
