//! [`Reader`]: reads a folder's state whether or not another process has it open.

use super::{EmbeddedStore, SocketClient};
use crate::{Command, Definition, Event, RunFilter, RunSummary, Store, StoreError, StoredRun};
use darkroom_proto::{RunId, Sha256};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long it is tried: an owner has the file a moment before and after it serves the socket, and on a disk that is kept
/// busy by others that moment is seconds.
const TRY_FOR: Duration = Duration::from_secs(10);

/// How long between two tries.
const TRY_EVERY: Duration = Duration::from_millis(20);

/// Reads the state in a folder, and posts commands: from the file if nobody has it open, else through its owner.
///
/// As the owner it keeps others from opening the file: drop it as soon as the answers are there.
#[derive(Debug)]
pub struct Reader {
    dir: PathBuf,
    // A std mutex: it is held to look at the link or to change it, never across an await.
    link: Mutex<Link>,
}

/// How the state is reached.
#[derive(Debug, Clone)]
enum Link {
    /// This process has the file.
    Owner(EmbeddedStore),
    /// Another one has, and is asked.
    Guest(SocketClient),
}

impl Link {
    /// Opens the file in `dir`, or finds its owner; tries for a few seconds where there seems to be neither.
    async fn open(dir: &Path) -> Result<Link, StoreError> {
        let give_up = tokio::time::Instant::now() + TRY_FOR;
        loop {
            let in_use = match EmbeddedStore::open(dir) {
                Ok(store) => return Ok(Link::Owner(store)),
                Err(error @ StoreError::InUse { .. }) => error,
                Err(error) => return Err(error),
            };
            match SocketClient::connect(&Reader::socket(dir)).await {
                Ok(client) => return Ok(Link::Guest(client)),
                Err(_) if tokio::time::Instant::now() < give_up => tokio::time::sleep(TRY_EVERY).await,
                // What keeps the caller out is the other process; that its socket does not answer follows from it.
                Err(_) => return Err(in_use),
            }
        }
    }
}

impl Reader {
    /// Opens the file in `dir`, or finds its owner; tries for a few seconds where there seems to be neither.
    pub async fn open(dir: &Path) -> Result<Self, StoreError> {
        Ok(Reader { dir: dir.to_owned(), link: Mutex::new(Link::open(dir).await?) })
    }

    /// Where the owner of `dir` serves.
    pub fn socket(dir: &Path) -> PathBuf {
        dir.join("darkroom.sock")
    }

    /// Whether another process has the file, and is asked.
    pub fn is_guest(&self) -> bool {
        matches!(*self.link(), Link::Guest(_))
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks whoever has the file; once more if its owner ended before it answered.
    async fn ask<T>(&self, call: impl AsyncFn(Link) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let link = self.link().clone();
        let was_guest = matches!(link, Link::Guest(_));
        match call(link).await {
            Err(StoreError::Unavailable(_)) if was_guest => {
                let next = Link::open(&self.dir).await?;
                *self.link() = next.clone();
                call(next).await
            }
            answer => answer,
        }
    }

    /// As [`Store::list`].
    pub async fn list(&self, filter: &RunFilter) -> Result<Vec<(RunId, RunSummary)>, StoreError> {
        self.ask(async |link| match link {
            Link::Owner(store) => store.list(filter).await,
            Link::Guest(client) => client.list(filter).await,
        })
        .await
    }

    /// As [`Store::load`].
    pub async fn load(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        self.ask(async |link| match link {
            Link::Owner(store) => store.load(run).await,
            Link::Guest(client) => client.load(run).await,
        })
        .await
    }

    /// As [`Store::events`].
    pub async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.ask(async |link| match link {
            Link::Owner(store) => store.events(run, after, limit).await,
            Link::Guest(client) => client.events(run, after, limit).await,
        })
        .await
    }

    /// As [`Store::definition`].
    pub async fn definition(&self, hash: Sha256) -> Result<Option<Definition>, StoreError> {
        self.ask(async |link| match link {
            Link::Owner(store) => store.definition(hash).await,
            Link::Guest(client) => client.definition(hash).await,
        })
        .await
    }

    /// As [`Store::post`].
    pub async fn post(&self, command: &Command) -> Result<(), StoreError> {
        self.ask(async |link| match link {
            Link::Owner(store) => store.post(command).await,
            Link::Guest(client) => client.post(command).await,
        })
        .await
    }
}
