//! The servers of a fleet: reached within a few seconds, or told what is wrong with which.

use crate::failure::Failure;
use crate::masked::masked;
use crate::settings::{FleetPlace, Settings};
use darkroom_backend::{
    Artifacts, Declared, Prepared, QueueError, RabbitOptions, RabbitQueue, RedisOptions, RedisStore, StoreError,
};
use darkroom_coordinator::{Desk, Plans};
use secrecy::ExposeSecret as _;
use std::sync::Arc;
use std::time::Duration;

/// The shards of a fleet.
pub(crate) const SHARDS: u16 = 16;

/// The pools that this release has ops for.
pub(crate) const POOLS: [&str; 4] = ["api", "image", "system", "video"];

/// How long a server may take to answer a command that a person waits for; two of them are asked at once.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long declaring some fifty queues may take; each is replicated.
const SETUP_MAX: Duration = Duration::from_secs(60);

/// How long leaving may take.
const CLOSE_MAX: Duration = Duration::from_secs(2);

fn unanswered(time: Duration) -> String {
    format!("no answer within {} s", time.as_secs())
}

/// The store of a fleet.
#[derive(Debug, Clone)]
pub(crate) struct FleetStore {
    /// The store.
    pub(crate) store: RedisStore,
    /// Where it is, without secrets.
    pub(crate) place: String,
}

/// Both servers of a fleet.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    /// Redis.
    pub(crate) store: FleetStore,
    /// RabbitMQ.
    pub(crate) queue: RabbitQueue,
    /// Where that is, without secrets.
    pub(crate) broker: String,
}

/// A server of a fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Server {
    /// RabbitMQ.
    Broker,
    /// Redis.
    Store,
}

impl Server {
    /// Its name in settings, pages and metrics.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Server::Broker => "broker",
            Server::Store => "store",
        }
    }

    /// What it is.
    fn product(self) -> &'static str {
        match self {
            Server::Broker => "RabbitMQ",
            Server::Store => "Redis",
        }
    }

    fn unreachable(self, place: &str, why: &str) -> Failure {
        let key = format!("{}.url", self.name());
        Failure::unreachable(format!("the {} at {place} can't be reached: {why}", self.name())).advice(format!(
            "check that {} runs there and lets this user in, or correct {key} ({})",
            self.product(),
            Settings::origin(&key)
        ))
    }
}

impl FleetStore {
    /// The store; nothing is connected yet.
    pub(crate) fn new(place: &FleetPlace) -> FleetStore {
        let options = RedisOptions { url: place.store.clone(), namespace: place.namespace.clone(), shards: SHARDS };
        FleetStore { store: RedisStore::connect(options), place: masked(place.store.expose_secret()) }
    }

    /// The store, after it answered.
    pub(crate) async fn open(place: &FleetPlace) -> Result<FleetStore, Failure> {
        let store = FleetStore::new(place);
        store.check().await?;
        Ok(store)
    }

    /// Whether it answers and is set up.
    pub(crate) async fn check(&self) -> Result<(), Failure> {
        match tokio::time::timeout(PATIENCE, self.store.check()).await {
            Ok(checked) => checked.map(drop).map_err(|error| self.failed(error)),
            Err(_) => Err(Server::Store.unreachable(&self.place, &unanswered(PATIENCE))),
        }
    }

    /// What an error of it means for a person.
    pub(crate) fn failed(&self, error: StoreError) -> Failure {
        match error {
            StoreError::Unreachable { why, .. } => Server::Store.unreachable(&self.place, &why),
            StoreError::Unavailable(why) if why.contains("darkroom setup") => {
                let why = why.split(": run `").next().unwrap_or_default();
                Failure::unreachable(format!("the fleet is not set up yet: {why}"))
                    .advice("run `darkroom setup` once, with the settings of this command")
            }
            StoreError::Unavailable(why) => {
                Failure::unreachable(format!("the store at {} can't be used: {why}", self.place))
                    .advice("put right what it says; its log may say more")
            }
            error => error.into(),
        }
    }

    /// Writes the schema, or finds it.
    pub(crate) async fn prepare(&self) -> Result<Prepared, Failure> {
        match tokio::time::timeout(PATIENCE, self.store.prepare()).await {
            Ok(prepared) => prepared.map_err(|error| self.failed(error)),
            Err(_) => Err(Server::Store.unreachable(&self.place, &unanswered(PATIENCE))),
        }
    }
}

/// How many steps a process does at once.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Slots {
    /// On this machine.
    pub(crate) own: u16,
    /// By calling providers.
    pub(crate) calls: u16,
}

impl Fleet {
    /// Both servers; nothing is asked of them yet. `name` is what the broker shows of this process.
    pub(crate) fn new(place: &FleetPlace, artifacts: Artifacts, pools: Vec<String>, slots: Slots, name: &str) -> Fleet {
        let wide = pools.iter().filter(|pool| *pool != "image").map(|pool| (pool.clone(), slots.calls)).collect();
        let options = RabbitOptions {
            namespace: place.namespace.clone(),
            shards: SHARDS,
            pools,
            slots: slots.own,
            wide,
            attachments: Some(artifacts),
            name: name.to_owned(),
            ..RabbitOptions::new(place.broker.clone())
        };
        let broker = masked(place.broker.expose_secret());
        Fleet { store: FleetStore::new(place), queue: RabbitQueue::connect(options), broker }
    }

    /// Both servers for a command; nothing is asked of them yet.
    pub(crate) fn of_command(place: &FleetPlace, artifacts: Artifacts) -> Fleet {
        Fleet::with_tasks(place, artifacts, Vec::new())
    }

    /// The same, with pools of tasks beside the usual ones.
    pub(crate) fn with_tasks(place: &FleetPlace, artifacts: Artifacts, tasks: Vec<String>) -> Fleet {
        let pools = POOLS.into_iter().map(str::to_owned).chain(tasks).collect();
        Fleet::new(place, artifacts, pools, Slots::default(), &format!("command-{}", std::process::id()))
    }

    /// Both servers for a command, after both answered.
    pub(crate) async fn open(place: &FleetPlace, artifacts: Artifacts) -> Result<Fleet, Failure> {
        let fleet = Fleet::of_command(place, artifacts);
        let (store, broker) = tokio::join!(fleet.store.check(), fleet.check_broker());
        store.and(broker)?;
        Ok(fleet)
    }

    /// Whether the broker answers, waiting for its connection for a moment.
    pub(crate) async fn check_broker(&self) -> Result<(), Failure> {
        let give_up = tokio::time::Instant::now() + PATIENCE;
        loop {
            match self.broker_health() {
                Ok(()) => return Ok(()),
                Err(_) if tokio::time::Instant::now() < give_up => tokio::time::sleep(Duration::from_millis(20)).await,
                Err(failure) => return Err(failure),
            }
        }
    }

    /// Whether the broker is connected and takes messages at this moment.
    pub(crate) fn broker_health(&self) -> Result<(), Failure> {
        let health = self.queue.health();
        if !health.connected {
            let why = health.last_error.unwrap_or_else(|| "no answer yet".to_owned());
            return Err(Server::Broker.unreachable(&self.broker, &why));
        }
        if health.blocked {
            return Err(Failure::unreachable(format!("the broker at {} takes no messages", self.broker))
                .advice("it has a memory or disk alarm: `rabbitmqctl status` tells which"));
        }
        Ok(())
    }

    /// Declares what is missing on the broker.
    pub(crate) async fn declare(&self) -> Result<Declared, Failure> {
        match tokio::time::timeout(SETUP_MAX, self.queue.declare()).await {
            Ok(declared) => declared.map_err(|error| self.broker_failed(error)),
            Err(_) => Err(Server::Broker.unreachable(&self.broker, &unanswered(SETUP_MAX))),
        }
    }

    /// Leaves the broker in an orderly way, if it lets us soon.
    pub(crate) async fn close(&self) {
        if tokio::time::timeout(CLOSE_MAX, self.queue.close()).await.is_err() {
            tracing::debug!("the broker did not let go in time");
        }
    }

    /// What an error of the broker means for a person.
    pub(crate) fn broker_failed(&self, error: QueueError) -> Failure {
        match error {
            QueueError::Unreachable { why, .. } => Server::Broker.unreachable(&self.broker, &why),
            error => error.into(),
        }
    }

    /// Where runs and commands are handed in.
    pub(crate) fn desk(&self) -> Desk<RedisStore, RabbitQueue> {
        let plans = Arc::new(Plans::new(self.store.store.clone()));
        Desk::new(self.store.store.clone(), self.queue.clone(), plans, SHARDS)
    }
}
