//! Coordinator and worker in this process, on the state of this folder.

use crate::failure::Failure;
use crate::folder;
use crate::settings::Settings;
use darkroom_backend::{
    Artifacts, EmbeddedQueue, EmbeddedStore, Publication, Queue as _, Reader, Shard, ShardMessage, SocketServer,
    Store as _, serve,
};
use darkroom_coordinator::{Coordinator, Desk, News, Plans};
use darkroom_proto::RunId;
use darkroom_worker::{Caller, Providers, Routes, Workbench, Worker};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// The shards of an embedded store.
pub(crate) const SHARDS: u16 = 1;

/// The pools that this release has ops for.
const POOLS: [&str; 4] = ["api", "image", "system", "video"];

/// How many calls to providers are made at once unless told otherwise.
const CALLS: usize = 32;

/// The engine in this process.
pub(crate) struct Embedded {
    /// The state.
    pub(crate) store: EmbeddedStore,
    /// The files.
    pub(crate) artifacts: Artifacts,
    /// Where runs are handed in.
    pub(crate) desk: Desk<EmbeddedStore, EmbeddedQueue>,
    queue: EmbeddedQueue,
    state: PathBuf,
    plans: Arc<Plans<EmbeddedStore>>,
    routes: Routes,
    providers: Arc<Providers>,
    slots: usize,
    calls: usize,
    recheck_every: darkroom_proto::Duration,
    settings: Settings,
}

/// The engine, running.
pub(crate) struct Running {
    news: broadcast::Receiver<Arc<News>>,
    worker: JoinSet<Result<(), Failure>>,
    worker_stop: CancellationToken,
    coordinator: JoinSet<Result<(), Failure>>,
    coordinator_stop: CancellationToken,
    /// Ends once the coordinator has, and what it left is told.
    notifier: JoinSet<()>,
    _socket: Option<SocketServer>,
    _commands: JoinSet<()>,
}

impl Embedded {
    /// Opens the state of this folder; nothing runs yet.
    pub(crate) async fn open(settings: &Settings) -> Result<Embedded, Failure> {
        Embedded::open_at(&folder::state(), folder::artifacts(settings)?, settings).await
    }

    /// Opens the state of a folder.
    pub(crate) async fn open_at(state: &Path, artifacts: Artifacts, settings: &Settings) -> Result<Embedded, Failure> {
        let store = folder::store(state).await?;
        let queue = EmbeddedQueue::new(POOLS);
        let plans = Arc::new(Plans::new(store.clone()));
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Ok(Embedded {
            desk: Desk::new(store.clone(), queue.clone(), plans.clone(), SHARDS),
            store,
            artifacts,
            queue,
            state: state.to_path_buf(),
            plans,
            routes: Routes { has_provider_key: settings.has_provider_key() },
            providers: crate::accounts::providers(settings)?,
            recheck_every: settings.recheck_every()?,
            settings: settings.clone(),
            slots: settings.worker.slots.map_or(cores, usize::from).max(1),
            calls: settings.worker.calls.map_or(CALLS, usize::from).max(1),
        })
    }

    /// A coordinator of this state; `recover`: see `start`.
    pub(crate) fn coordinator(&self, recover: Option<BTreeSet<RunId>>) -> Coordinator<EmbeddedStore, EmbeddedQueue> {
        let mut coordinator =
            Coordinator::new(self.store.clone(), self.queue.clone(), self.plans.clone(), "embedded".to_owned());
        if let Some(runs) = recover {
            coordinator = coordinator.only(runs);
        }
        coordinator.rechecking(self.recheck_every)
    }

    /// Starts deciding and working. Of what an earlier process left unfinished, only `recover` goes on; `None`: all of it.
    pub(crate) fn start(&self, recover: Option<BTreeSet<RunId>>) -> Running {
        let coordinator = self.coordinator(recover).begun(Workbench::interrupted(&self.state));
        let mut notifier = JoinSet::new();
        let coordinator = match crate::notices::open(&self.settings, false) {
            Ok((notices, telling)) => {
                notifier.spawn(telling.run());
                coordinator.telling(notices)
            }
            Err(failure) => {
                tracing::warn!("nobody is told what goes wrong: {}", failure.message());
                coordinator
            }
        };
        let news = coordinator.subscribe();
        let workbench = Arc::new(Workbench::new(self.artifacts.clone(), &self.state, self.routes));
        workbench.clear_leftovers();
        let pools = POOLS.map(str::to_owned).to_vec();
        let (store, queue) = (self.store.clone(), self.queue.clone());
        let (name, providers) = ("embedded".to_owned(), self.providers.clone());
        let caller = Arc::new(Caller::new(store.clone(), providers, workbench.clone(), name.clone(), None));
        let worker = Worker::new(store, queue, name, pools, self.slots, SHARDS, workbench, caller);
        let worker = if self.providers.is_empty() { worker } else { worker.calling(self.calls) };
        let (worker_stop, coordinator_stop) = (CancellationToken::new(), CancellationToken::new());
        let (mut workers, mut coordinators) = (JoinSet::new(), JoinSet::new());
        let stop = coordinator_stop.clone();
        coordinators.spawn(async move { coordinator.run(stop).await.map_err(Failure::from) });
        let stop = worker_stop.clone();
        workers.spawn(async move { worker.run(stop).await.map_err(Failure::from) });
        // Without the socket other commands wait for this one to end, which is no reason not to run.
        let socket = serve(self.store.clone(), &Reader::socket(&self.state)).ok();
        let mut commands = JoinSet::new();
        commands.spawn(pass_on(self.store.clone(), self.queue.clone()));
        Running {
            news,
            worker: workers,
            worker_stop,
            coordinator: coordinators,
            coordinator_stop,
            notifier,
            _socket: socket,
            _commands: commands,
        }
    }
}

/// How often it is looked for commands of other processes.
const LOOK: Duration = Duration::from_millis(200);

/// Tells the coordinator of the commands that other processes put into the inbox through the socket; ends when dropped.
async fn pass_on(store: EmbeddedStore, queue: EmbeddedQueue) {
    let shard = Shard(0);
    let mut told: BTreeSet<String> = BTreeSet::new();
    loop {
        tokio::time::sleep(LOOK).await;
        // What can't be read now can be the next time; the engine itself says what is wrong with the state.
        let Ok(commands) = store.inbox(shard).await else { continue };
        told.retain(|key| commands.iter().any(|command| command.key == *key));
        let new: Vec<_> = commands.into_iter().filter(|command| !told.contains(&command.key)).collect();
        let nudges =
            new.iter().map(|command| Publication::Shard { shard, message: ShardMessage::Nudge { run: command.run } });
        if !new.is_empty() && queue.publish(nudges.collect()).await.is_ok() {
            told.extend(new.into_iter().map(|command| command.key));
        }
    }
}

impl Running {
    /// What happens next.
    ///
    /// # Errors
    /// When the engine ended by itself.
    pub(crate) async fn hear(&mut self) -> Result<Heard, Failure> {
        tokio::select! {
            biased;
            news = self.news.recv() => match news {
                Ok(news) => Ok(Heard::News(news)),
                Err(RecvError::Lagged(_)) => Ok(Heard::Missed),
                Err(RecvError::Closed) => Err(why(self.coordinator.join_next().await)),
            },
            ended = self.worker.join_next() => Err(why(ended)),
            ended = self.coordinator.join_next() => Err(why(ended)),
        }
    }

    /// Finishes the steps that are with a worker, commits what came of them, and ends.
    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        // The worker ends first: what it reports last is still decided on.
        self.worker_stop.cancel();
        let worker = outcome(self.worker.join_next().await);
        self.coordinator_stop.cancel();
        let ended = worker.and(outcome(self.coordinator.join_next().await));
        while self.notifier.join_next().await.is_some() {}
        ended
    }
}

/// What a listener hears.
pub(crate) enum Heard {
    /// Something happened.
    News(Arc<News>),
    /// More happened than the listener could follow; the store knows how things stand.
    Missed,
}

type Ended = Option<Result<Result<(), Failure>, tokio::task::JoinError>>;

fn outcome(ended: Ended) -> Result<(), Failure> {
    match ended {
        Some(Ok(ended)) => ended,
        Some(Err(error)) => Err(Failure::other(format!("the engine broke: {error}"))),
        None => Ok(()),
    }
}

fn why(ended: Ended) -> Failure {
    outcome(ended).err().unwrap_or_else(|| Failure::other("the engine ended"))
}
