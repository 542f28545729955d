//! [`Reader`]: reads a folder's state whether or not another process has it open.

use super::{EmbeddedStore, SocketClient};
use crate::{Command, Definition, Event, RunFilter, RunSummary, Store, StoreError, StoredRun};
use darkroom_proto::{RunId, Sha256};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long it is tried, because an owner has the file a moment before and after it serves the socket.
const TRY_FOR: Duration = Duration::from_secs(3);

/// How long between two tries.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Reads the state in a folder, and posts commands: from the file if nobody has it open, else through its owner.
///
/// As the owner it keeps others from opening the file: drop it as soon as the answers are there.
#[derive(Debug, Clone)]
pub enum Reader {
    /// This process has the file.
    Owner(EmbeddedStore),
    /// Another one has, and is asked.
    Guest(SocketClient),
}

impl Reader {
    /// Opens the file in `dir`, or finds its owner; tries for a few seconds where there seems to be neither.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        let give_up = tokio::time::Instant::now() + TRY_FOR;
        loop {
            let in_use = match EmbeddedStore::open(dir) {
                Ok(store) => return Ok(Reader::Owner(store)),
                Err(error @ StoreError::InUse { .. }) => error,
                Err(error) => return Err(error),
            };
            match SocketClient::connect(&Self::socket(dir)).await {
                Ok(client) => return Ok(Reader::Guest(client)),
                Err(_) if tokio::time::Instant::now() < give_up => tokio::time::sleep(TRY_EVERY).await,
                // What keeps the caller out is the other process; that its socket does not answer follows from it.
                Err(_) => return Err(in_use),
            }
        }
    }

    /// Where the owner of `dir` serves.
    pub fn socket(dir: &Path) -> PathBuf {
        dir.join("darkroom.sock")
    }

    /// As [`Store::list`].
    pub async fn list(&self, filter: &RunFilter) -> Result<Vec<(RunId, RunSummary)>, StoreError> {
        match self {
            Reader::Owner(store) => store.list(filter).await,
            Reader::Guest(client) => client.list(filter).await,
        }
    }

    /// As [`Store::load`].
    pub async fn load(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        match self {
            Reader::Owner(store) => store.load(run).await,
            Reader::Guest(client) => client.load(run).await,
        }
    }

    /// As [`Store::events`].
    pub async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        match self {
            Reader::Owner(store) => store.events(run, after, limit).await,
            Reader::Guest(client) => client.events(run, after, limit).await,
        }
    }

    /// As [`Store::definition`].
    pub async fn definition(&self, hash: Sha256) -> Result<Option<Definition>, StoreError> {
        match self {
            Reader::Owner(store) => store.definition(hash).await,
            Reader::Guest(client) => client.definition(hash).await,
        }
    }

    /// As [`Store::post`].
    pub async fn post(&self, command: &Command) -> Result<(), StoreError> {
        match self {
            Reader::Owner(store) => store.post(command).await,
            Reader::Guest(client) => client.post(command).await,
        }
    }
}
