//! The socket of an embedded store: while one process owns the file, others on the same machine read through it.

use super::EmbeddedStore;
use super::wire::{self, Call, FRAME_BYTES_MAX, Reply, Request, TooLong, VERSION};
use crate::{Command, Definition, Event, RunFilter, RunSummary, Store, StoreError, StoredRun};
use darkroom_proto::{RunId, Sha256};
use std::fs::{File, Permissions};
use std::io::ErrorKind;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long one end waits for the other: far longer than any call takes.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many guests are served at once; more wait in the backlog of the socket.
const GUESTS_MAX: usize = 64;

/// The longest path that a socket address takes everywhere; longer ones go through an open folder.
const PATH_BYTES_MAX: usize = 100;

fn unavailable(what: &str, path: &Path, error: impl std::fmt::Display) -> StoreError {
    StoreError::Unavailable(format!("{what} {}: {error}", path.display()))
}

/// A path by which a socket can be reached although its own is too long for a socket address.
struct Address {
    path: PathBuf,
    /// Open as long as the path is used.
    _folder: Option<File>,
}

impl Address {
    fn of(path: &Path) -> std::io::Result<Address> {
        let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
            return Err(ErrorKind::InvalidInput.into());
        };
        if path.as_os_str().len() <= PATH_BYTES_MAX {
            return Ok(Address { path: path.to_owned(), _folder: None });
        }
        let dir = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
        let folder = File::open(dir)?;
        let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string());
        if !short.exists() {
            return Err(std::io::Error::new(ErrorKind::InvalidFilename, "the path is too long for a socket"));
        }
        Ok(Address { path: short.join(name), _folder: Some(folder) })
    }
}

/// The serving end. Dropping it stops serving soon; [`close`](SocketServer::close) waits for that.
#[derive(Debug)]
pub struct SocketServer {
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl SocketServer {
    /// Stops serving, removes the socket, and lets go of the store.
    pub async fn close(self) {
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for SocketServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// The name of a bound socket, removed before the store is let go of: after that it may be the next owner's.
#[derive(Debug)]
struct Name(PathBuf);

impl Drop for Name {
    fn drop(&mut self) {
        // Whoever finds it left behind is refused, and the next owner replaces it.
        let _ = std::fs::remove_file(&self.0);
    }
}

/// Serves a store to other processes of the same user at `path`, usually `darkroom.sock` beside its file. Needs a tokio
/// runtime.
///
/// A socket that is there already was left behind: whoever has the store open is its only owner.
pub fn serve(store: EmbeddedStore, path: &Path) -> Result<SocketServer, StoreError> {
    let listener = bind(path).map_err(|error| unavailable("can't listen at", path, error))?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let owned = Owned { _name: Name(path.to_owned()), listener, store };
    tasks.spawn(accept(owned, stop.clone(), tasks.clone()));
    Ok(SocketServer { stop, tasks })
}

/// Binds under another name first, so that the socket is never there with more permissions than it is to have.
fn bind(path: &Path) -> std::io::Result<UnixListener> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}", std::process::id()));
    let first = path.with_file_name(name);
    match std::fs::remove_file(&first) {
        Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(&Address::of(&first)?.path)?;
    std::fs::set_permissions(&first, Permissions::from_mode(0o600))?;
    std::fs::rename(&first, path)?;
    Ok(listener)
}

/// What a server holds, in the order that it lets go of it, however it ends.
#[derive(Debug)]
struct Owned {
    _name: Name,
    listener: UnixListener,
    store: EmbeddedStore,
}

async fn accept(owned: Owned, stop: CancellationToken, tasks: TaskTracker) {
    let guests = Arc::new(Semaphore::new(GUESTS_MAX));
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = accept_one(&owned.listener, &guests) => accepted,
        };
        match accepted {
            Ok((stream, permit)) => {
                let (store, stop) = (owned.store.clone(), stop.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        () = stop.cancelled() => {}
                        served = tokio::time::timeout(PATIENCE, answer(stream, store)) => match served {
                            Ok(Ok(())) => {}
                            Ok(Err(error)) => tracing::debug!(%error, "a guest of the store left early"),
                            Err(_) => tracing::debug!("a guest of the store was too slow"),
                        },
                    }
                    drop(permit);
                });
            }
            Err(error) => {
                // Such as no file descriptors left: it passes, and must not become a busy loop.
                tracing::warn!(%error, "can't accept a guest of the store");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn accept_one(
    listener: &UnixListener,
    guests: &Arc<Semaphore>,
) -> std::io::Result<(UnixStream, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(guests).acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, permit))
}

/// Answers the one request of a connection.
async fn answer(mut stream: UnixStream, store: EmbeddedStore) -> std::io::Result<()> {
    let request: Request = wire::read(&mut stream).await?;
    let reply = if request.version == VERSION {
        reply_to(request.call, &store).await.unwrap_or_else(Reply::from)
    } else {
        Reply::Unavailable(format!("its owner speaks version {VERSION}, not {}; use one release", request.version))
    };
    // The lock of the file goes with the last clone: a guest that reads slowly must not hold it.
    drop(store);
    match wire::write(&mut stream, &reply).await {
        Err(error) => match error.get_ref().and_then(|inner| inner.downcast_ref::<TooLong>()) {
            Some(&TooLong(bytes)) => {
                wire::write(&mut stream, &Reply::TooLarge { bytes, bytes_max: FRAME_BYTES_MAX }).await
            }
            None => Err(error),
        },
        written => written,
    }
}

async fn reply_to(call: Call, store: &EmbeddedStore) -> Result<Reply, StoreError> {
    Ok(match call {
        Call::Ping => Reply::Done,
        Call::List { workflow, statuses, fingerprint, before, limit, tenant } => {
            Reply::Runs(store.list(&RunFilter { workflow, statuses, fingerprint, before, limit, tenant }).await?)
        }
        Call::Load { run } => Reply::Run(store.load(run).await?.map(|run| Box::new(run.into()))),
        Call::Events { run, after, limit } => store.events(run, after, limit).await?.into(),
        Call::Definition { hash } => Reply::Definition(store.definition(hash).await?),
        Call::Post { key, run, body } => {
            store.post(&Command { key, run, body: body.0 }).await?;
            Reply::Done
        }
    })
}

/// The asking end. Each call is a connection of its own, so an owner that restarted is simply the next one asked.
#[derive(Debug, Clone)]
pub struct SocketClient {
    path: PathBuf,
}

impl SocketClient {
    /// Finds the owner that serves at `path`; an error when nobody does.
    pub async fn connect(path: &Path) -> Result<Self, StoreError> {
        let client = Self { path: path.to_owned() };
        match client.call(Call::Ping).await? {
            Reply::Done => Ok(client),
            other => Err(client.unexpected(other)),
        }
    }

    /// As [`Store::list`].
    pub async fn list(&self, filter: &RunFilter) -> Result<Vec<(RunId, RunSummary)>, StoreError> {
        match self.call(filter.into()).await? {
            Reply::Runs(runs) => Ok(runs),
            other => Err(self.unexpected(other)),
        }
    }

    /// As [`Store::load`].
    pub async fn load(&self, run: RunId) -> Result<Option<StoredRun>, StoreError> {
        match self.call(Call::Load { run }).await? {
            Reply::Run(run) => Ok(run.map(|run| (*run).into())),
            other => Err(self.unexpected(other)),
        }
    }

    /// As [`Store::events`].
    pub async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<Event>, StoreError> {
        match self.call(Call::Events { run, after, limit }).await? {
            Reply::Events(events) => Ok(events.into_iter().map(|(seq, body)| Event { seq, body: body.0 }).collect()),
            other => Err(self.unexpected(other)),
        }
    }

    /// As [`Store::definition`].
    pub async fn definition(&self, hash: Sha256) -> Result<Option<Definition>, StoreError> {
        match self.call(Call::Definition { hash }).await? {
            Reply::Definition(definition) => Ok(definition),
            other => Err(self.unexpected(other)),
        }
    }

    /// As [`Store::post`].
    pub async fn post(&self, command: &Command) -> Result<(), StoreError> {
        match self.call(command.into()).await? {
            Reply::Done => Ok(()),
            other => Err(self.unexpected(other)),
        }
    }

    async fn call(&self, call: Call) -> Result<Reply, StoreError> {
        let exchange = async {
            let mut stream = UnixStream::connect(&Address::of(&self.path)?.path).await?;
            wire::write(&mut stream, &Request { version: VERSION, call }).await?;
            wire::read(&mut stream).await
        };
        match tokio::time::timeout(PATIENCE, exchange).await {
            Ok(Ok(reply)) => Ok(reply),
            Ok(Err(error)) => Err(unavailable("nobody answers at", &self.path, error)),
            Err(_) => Err(unavailable("nobody answers at", &self.path, format!("not within {PATIENCE:?}"))),
        }
    }

    /// The error that a reply is.
    fn unexpected(&self, reply: Reply) -> StoreError {
        match reply {
            Reply::TooLarge { bytes, bytes_max } => {
                StoreError::TooLarge { what: "what was to be sent over the socket", bytes, bytes_max }
            }
            Reply::Corrupt { what, why } => StoreError::Corrupt { what, why },
            Reply::Unavailable(why) => StoreError::Unavailable(why),
            Reply::Done | Reply::Runs(_) | Reply::Run(_) | Reply::Events(_) | Reply::Definition(_) => {
                unavailable("wrong reply at", &self.path, "it answers another question")
            }
        }
    }
}
