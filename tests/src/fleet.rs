//! A fleet for tests: real `darkroom` processes on real servers, in a namespace of its own.

pub mod broker;
pub mod load;
pub mod ordeal;
pub mod role;
pub mod verdict;
pub mod world;

use crate::servers::rabbit::shared_rabbit;
use crate::servers::redis::{namespace, shared_redis};
use broker::Broker;
use darkroom_backend::{
    Artifacts, RabbitOptions, RabbitQueue, RedisOptions, RedisStore, Shard, Store as _, StoreError,
};
use darkroom_coordinator::{Desk, Plans};
use role::Role;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use tempfile::TempDir;

/// The shards of a fleet, as the roles have them.
pub const SHARDS: u16 = 16;

/// The pools that the roles serve.
pub const POOLS: [&str; 3] = ["api", "image", "video"];

/// Where a fleet is and how tests reach it. Its roles are started by the tests, which hold them.
#[derive(Debug)]
pub struct Fleet {
    /// The URL of RabbitMQ.
    pub rabbit: String,
    /// The URL of Redis.
    pub redis: String,
    /// What its queues and keys begin with.
    pub namespace: String,
    /// The store, as a role sees it.
    pub store: RedisStore,
    /// The queue, as a role sees it.
    pub queue: RabbitQueue,
    /// Where runs are handed in.
    pub desk: Desk<RedisStore, RabbitQueue>,
    folder: TempDir,
    settings: Vec<(String, String)>,
    roles: AtomicU32,
}

impl Fleet {
    /// A fleet on the servers that tests share, set up.
    pub fn shared() -> Fleet {
        Fleet::on(&shared_rabbit(), &shared_redis())
    }

    /// A fleet on these servers, set up.
    pub fn on(rabbit: &str, redis: &str) -> Fleet {
        let fleet = Fleet::not_set_up(rabbit, redis);
        fleet.set_up();
        fleet
    }

    /// A fleet on these servers, which need not be there yet.
    pub fn not_set_up(rabbit: &str, redis: &str) -> Fleet {
        let folder = tempfile::Builder::new().prefix("darkroom-fleet-").tempdir().unwrap();
        let artifacts = folder.path().join("kept");
        Fleet::with_artifacts(rabbit, redis, folder, artifacts.to_str().unwrap(), &[])
    }

    /// A fleet on the shared servers that keeps its artifacts at this URL, which these variables let it into.
    pub fn shared_with_artifacts(url: &str, variables: &[(String, String)]) -> Fleet {
        let folder = tempfile::Builder::new().prefix("darkroom-fleet-").tempdir().unwrap();
        let fleet = Fleet::with_artifacts(&shared_rabbit(), &shared_redis(), folder, url, variables);
        fleet.set_up();
        fleet
    }

    fn with_artifacts(
        rabbit: &str,
        redis: &str,
        folder: TempDir,
        artifacts: &str,
        variables: &[(String, String)],
    ) -> Fleet {
        let namespace = namespace();
        let options = RedisOptions { url: redis.into(), namespace: namespace.clone(), shards: SHARDS };
        let store = RedisStore::connect(options);
        let attachments = Artifacts::open_url_with(artifacts, variables.iter().cloned()).unwrap();
        let queue = RabbitQueue::connect(RabbitOptions {
            namespace: namespace.clone(),
            shards: SHARDS,
            pools: POOLS.map(str::to_owned).into(),
            attachments: Some(attachments),
            name: "test".to_owned(),
            ..RabbitOptions::new(rabbit.into())
        });
        let desk = Desk::new(store.clone(), queue.clone(), Arc::new(Plans::new(store.clone())), SHARDS);
        let mut settings = vec![
            ("DARKROOM__BROKER__URL".to_owned(), rabbit.to_owned()),
            ("DARKROOM__STORE__URL".to_owned(), redis.to_owned()),
            ("DARKROOM__NAMESPACE".to_owned(), namespace.clone()),
            ("DARKROOM__ARTIFACTS__URL".to_owned(), artifacts.to_owned()),
        ];
        settings.extend_from_slice(variables);
        let (rabbit, redis) = (rabbit.to_owned(), redis.to_owned());
        Fleet { rabbit, redis, namespace, store, queue, desk, folder, settings, roles: AtomicU32::new(0) }
    }

    /// Runs `darkroom setup`.
    pub fn set_up(&self) {
        self.cli_ok(&["setup"]);
    }

    /// A folder of this fleet's own.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where its artifacts are, if that is a folder.
    pub fn kept(&self) -> PathBuf {
        self.folder.path().join("kept")
    }

    /// Runs a command of the CLI with the settings of the fleet.
    pub fn cli(&self, arguments: &[&str]) -> Output {
        blocking(|| self.command(arguments, &[]).output().unwrap())
    }

    /// Runs a command that must succeed, and gives what it printed.
    pub fn cli_ok(&self, arguments: &[&str]) -> String {
        let output = self.cli(arguments);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "darkroom {arguments:?}: {}: {said}", output.status);
        String::from_utf8(output.stdout).unwrap()
    }

    fn command(&self, arguments: &[&str], settings: &[(&str, &str)]) -> Command {
        let mut command = Command::new(binary());
        // In a folder of the fleet's: nobody's `darkroom.toml` or `.darkroom` takes part.
        command.args(arguments).current_dir(self.folder.path()).env("HOME", self.folder.path());
        for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("DARKROOM__")) {
            command.env_remove(name);
        }
        command.envs(self.settings.iter().map(|(name, value)| (name, value)));
        command.envs(settings.iter().copied());
        command
    }

    /// Starts a role with more arguments and settings. It may not be ready yet.
    pub fn start(&self, role: &'static str, arguments: &[&str], settings: &[(&str, &str)]) -> Role {
        let number = self.roles.fetch_add(1, Ordering::Relaxed) + 1;
        let mut all = vec![role, "--metrics-listen", "127.0.0.1:0", "--log-format", "text"];
        all.extend_from_slice(arguments);
        let log = self.folder.path().join(format!("{role}-{number}.log"));
        Role::spawn(format!("{role} {number}"), self.command(&all, settings), log)
    }

    /// Starts a coordinator, not waiting for it.
    pub fn coordinator(&self) -> Role {
        self.start("coordinator", &[], &[])
    }

    /// Starts a worker that does 8 steps at once, not waiting for it.
    pub fn worker(&self) -> Role {
        self.start("worker", &["--slots", "8"], &[])
    }

    /// Starts two coordinators and two workers, and waits until they are ready.
    pub async fn two_of_each(&self) -> (Vec<Role>, Vec<Role>) {
        let coordinators = vec![self.coordinator(), self.coordinator()];
        let workers = vec![self.worker(), self.worker()];
        for role in coordinators.iter().chain(&workers) {
            role.ready().await;
        }
        (coordinators, workers)
    }

    /// What is on the broker.
    pub async fn broker(&self) -> Broker {
        Broker::connect(&self.rabbit, &self.namespace).await
    }

    /// How many runs have not ended.
    pub async fn unfinished(&self) -> Result<usize, StoreError> {
        let asked = (0..SHARDS).map(|shard| self.store.active(Shard(shard)));
        let active = futures_util::future::try_join_all(asked).await?;
        Ok(active.iter().map(Vec::len).sum())
    }

    /// Who owns each shard that is owned, by the name of the process.
    pub async fn owners(&self) -> Vec<String> {
        let client = redis::Client::open(self.redis.as_str()).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        let keys: Vec<String> = (0..SHARDS).map(|shard| format!("{}:{{{shard}}}:owner", self.namespace)).collect();
        let values: Vec<Option<String>> = redis::cmd("MGET").arg(keys).query_async(&mut connection).await.unwrap();
        values.into_iter().flatten().collect()
    }

    /// Removes what it left on the broker.
    pub async fn remove(self) {
        tokio::time::timeout(std::time::Duration::from_secs(60), self.queue.delete()).await.unwrap().unwrap();
    }
}

/// Does what blocks a thread, inside a runtime with several or outside of one.
pub fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current() {
        Ok(_) => tokio::task::block_in_place(work),
        Err(_) => work(),
    }
}

/// The `darkroom` under test: `DARKROOM_BIN`, or the one that was built with the tests.
pub fn binary() -> PathBuf {
    let built = || {
        let tests = std::env::current_exe().unwrap();
        tests.parent().unwrap().parent().unwrap().join("darkroom")
    };
    let binary = std::env::var_os("DARKROOM_BIN").map_or_else(built, PathBuf::from);
    assert!(
        binary.is_file(),
        "{} is not there: build it with `cargo build --workspace --all-targets`",
        binary.display()
    );
    binary
}
