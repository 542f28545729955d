//! The fleet that a benchmark runs on: one of its own, removed afterwards, or the one that is there.

use super::folder::Folder;
use super::roles::{Numbers, Roles, Surroundings, Wants};
use super::usage_of::Cast;
use crate::failure::{EXIT_INTERRUPTED, Failure};
use crate::fleet::Fleet;
use crate::folder as state_folder;
use crate::settings::{FleetPlace, Settings};
use darkroom_backend::{Artifacts, Role, Store as _};
use secrecy::ExposeSecret as _;
use tokio::signal::unix::{SignalKind, signal};

/// How many keys are looked at in one go.
const SCANNED: u32 = 1_000;

/// Which fleet.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Choice {
    /// On a fleet: use the roles that run in its namespace, rather than some in a namespace of its own
    #[arg(long, conflicts_with_all = ["coordinators", "workers", "slots"])]
    pub(super) attach: bool,
    #[command(flatten)]
    pub(super) numbers: Numbers,
}

/// A fleet to measure.
#[derive(Debug)]
pub(super) struct Ground {
    pub(super) fleet: Fleet,
    pub(super) place: FleetPlace,
    roles: Option<Roles>,
    /// Whether it is removed afterwards.
    is_own: bool,
    folder: Folder,
}

impl Ground {
    /// Finds the fleet, or makes one and waits until it is at work.
    pub(super) async fn open(settings: &Settings, place: &FleetPlace, choice: &Choice) -> Result<Ground, Failure> {
        Ground::open_for(settings, place, choice, Wants::default()).await
    }

    /// The same, with roles that get more than others.
    pub(super) async fn open_for(
        settings: &Settings,
        place: &FleetPlace,
        choice: &Choice,
        wants: Wants,
    ) -> Result<Ground, Failure> {
        let folder = Folder::new()?;
        if choice.attach {
            let fleet = Fleet::open(place, state_folder::artifacts(settings)?).await?;
            return Ok(Ground { fleet, place: place.clone(), roles: None, is_own: false, folder });
        }
        let artifacts = match Settings::origin("artifacts.url").as_str() {
            "default" => Artifacts::open(&folder.0.join("artifacts"))?,
            _ => state_folder::artifacts(settings)?,
        };
        let place = FleetPlace { namespace: own_namespace(), ..place.clone() };
        let around = Surroundings { namespace: place.namespace.clone(), artifacts: artifacts.root_url(), wants };
        let fleet = Fleet::of_command(&place, artifacts);
        let mut ground = Ground { fleet, place, roles: None, is_own: true, folder };
        match ground.begin(&choice.numbers, &around).await {
            Ok(()) => Ok(ground),
            Err(failure) => {
                ground.close().await;
                Err(failure)
            }
        }
    }

    async fn begin(&mut self, numbers: &Numbers, around: &Surroundings) -> Result<(), Failure> {
        self.fleet.store.prepare().await?;
        self.fleet.check_broker().await?;
        self.fleet.declare().await?;
        let roles = self.roles.insert(Roles::start(numbers, &self.folder, around)?);
        roles.at_work(&self.fleet).await
    }

    /// What went wrong, with what the roles say about it.
    pub(super) fn explained(&mut self, failure: Failure) -> Failure {
        match &mut self.roles {
            // Who was interrupted knows why.
            Some(roles) if !failure.message().is_empty() => roles.explained(failure.message().to_owned()),
            _ => failure,
        }
    }

    /// Fails if a role has ended.
    pub(super) fn check(&mut self) -> Result<(), Failure> {
        self.roles.as_mut().map_or(Ok(()), Roles::check)
    }

    /// Does it, unless somebody ends this command: then what was made is removed all the same.
    pub(super) async fn until_interrupted<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut terminate = signal(SignalKind::terminate())
            .map_err(|error| Failure::other(format!("signals can't be heard: {error}")))?;
        tokio::select! {
            done = work => done,
            _ = terminate.recv() => Err(Failure::printed(EXIT_INTERRUPTED)),
            _ = tokio::signal::ctrl_c() => Err(Failure::printed(EXIT_INTERRUPTED)),
        }
    }

    /// Who takes part.
    pub(super) async fn cast(&self) -> Cast {
        let mut cast = Cast::with_servers(&self.place);
        match &self.roles {
            Some(roles) => roles.pids().into_iter().for_each(|(role, pid)| cast.add(role, pid)),
            None => {
                for (role, name) in [(Role::Coordinator, "coordinator"), (Role::Worker, "worker")] {
                    // Only for figures: whoever can't be asked is not counted.
                    for member in self.fleet.store.store.members(role).await.unwrap_or_default() {
                        cast.add_member(name, &member.id);
                    }
                }
            }
        }
        cast
    }

    /// How many messages the roles that were started here have published. Those that this command published, one for each
    /// run, are not among them.
    pub(super) fn published(&self) -> Option<u64> {
        self.roles.as_ref().and_then(Roles::published)
    }

    /// Ends what was started, and removes what was made.
    pub(super) async fn close(self) {
        if let Some(roles) = self.roles {
            roles.end().await;
        }
        if self.is_own {
            if let Err(error) = self.fleet.queue.delete().await {
                tracing::warn!(%error, namespace = self.place.namespace, "queues of the benchmark are left behind");
            }
            if let Err(error) = remove_keys(&self.place).await {
                tracing::warn!(%error, namespace = self.place.namespace, "keys of the benchmark are left behind");
            }
        }
        self.fleet.close().await;
    }
}

/// A namespace that nobody else has.
pub(super) fn own_namespace() -> String {
    format!("bench-{}", &uuid::Uuid::new_v4().simple().to_string()[..12])
}

/// Removes all keys of a namespace of our own.
pub(super) async fn remove_keys(place: &FleetPlace) -> Result<(), redis::RedisError> {
    let client = redis::Client::open(place.store.expose_secret())?;
    let mut connection = client.get_multiplexed_async_connection().await?;
    let pattern = format!("{}:*", place.namespace);
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(&pattern).arg("COUNT").arg(SCANNED);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(&mut connection).await?;
        // One by one, because in a cluster they are in many places.
        let mut unlink = redis::pipe();
        for key in keys {
            unlink.cmd("UNLINK").arg(key).ignore();
        }
        if !unlink.is_empty() {
            unlink.exec_async(&mut connection).await?;
        }
        if next == 0 {
            return Ok(());
        }
        cursor = next;
    }
}
