//! What is said over the socket of an embedded store: one request and one reply, each a frame of MessagePack.

use crate::bytes::Bytes;
use crate::{Command, Definition, Event, RunFilter, RunSummary, StoreError, StoredRun};
use darkroom_proto::{RunId, RunStatus, Sha256, Tenant};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// The longest frame.
pub(super) const FRAME_BYTES_MAX: u64 = 64 << 20;

/// The version of what is said here. Both ends are usually the same binary; if not, they say so.
pub(super) const VERSION: u8 = 1;

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) version: u8,
    pub(super) call: Call,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Call {
    Ping,
    List {
        workflow: Option<String>,
        statuses: Vec<RunStatus>,
        fingerprint: Option<Sha256>,
        before: Option<RunId>,
        limit: usize,
        #[serde(default)]
        tenant: Option<Tenant>,
    },
    Load {
        run: RunId,
    },
    Events {
        run: RunId,
        after: u64,
        limit: usize,
    },
    Definition {
        hash: Sha256,
    },
    Post {
        key: String,
        run: RunId,
        body: Bytes,
    },
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Reply {
    Done,
    Runs(Vec<(RunId, RunSummary)>),
    Run(Option<Box<Run>>),
    Events(Vec<(u64, Bytes)>),
    Definition(Option<Definition>),
    TooLarge { bytes: u64, bytes_max: u64 },
    Corrupt { what: String, why: String },
    Unavailable(String),
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Run {
    version: u64,
    summary: RunSummary,
    head: Bytes,
    fields: Vec<(String, Bytes)>,
    outbox: Bytes,
}

impl From<&RunFilter> for Call {
    fn from(filter: &RunFilter) -> Call {
        let RunFilter { workflow, statuses, fingerprint, before, limit, tenant } = filter.clone();
        Call::List { workflow, statuses, fingerprint, before, limit, tenant }
    }
}

impl From<&Command> for Call {
    fn from(command: &Command) -> Call {
        Call::Post { key: command.key.clone(), run: command.run, body: Bytes(command.body.clone()) }
    }
}

impl From<StoredRun> for Run {
    fn from(run: StoredRun) -> Run {
        Run {
            version: run.version,
            summary: run.summary,
            head: Bytes(run.head),
            fields: run.fields.into_iter().map(|(name, value)| (name, Bytes(value))).collect(),
            outbox: Bytes(run.outbox),
        }
    }
}

impl From<Run> for StoredRun {
    fn from(run: Run) -> StoredRun {
        StoredRun {
            version: run.version,
            summary: run.summary,
            head: run.head.0,
            fields: run.fields.into_iter().map(|(name, value)| (name, value.0)).collect(),
            outbox: run.outbox.0,
        }
    }
}

impl From<Vec<Event>> for Reply {
    fn from(events: Vec<Event>) -> Reply {
        Reply::Events(events.into_iter().map(|event| (event.seq, Bytes(event.body))).collect())
    }
}

impl From<StoreError> for Reply {
    fn from(error: StoreError) -> Reply {
        match error {
            StoreError::TooLarge { bytes, bytes_max, .. } => Reply::TooLarge { bytes, bytes_max },
            StoreError::Corrupt { what, why } => Reply::Corrupt { what, why },
            StoreError::Unavailable(why) => Reply::Unavailable(why),
            error @ (StoreError::Fenced { .. } | StoreError::InUse { .. } | StoreError::Unreachable { .. }) => {
                Reply::Unavailable(error.to_string())
            }
        }
    }
}

/// Writes one frame: its length as four bytes, the highest first, then the value.
pub(super) async fn write<T: Serialize>(to: &mut (impl AsyncWrite + Unpin), value: &T) -> std::io::Result<()> {
    let body = rmp_serde::to_vec_named(value).map_err(std::io::Error::other)?;
    let length = body.len() as u64;
    if length > FRAME_BYTES_MAX {
        return Err(std::io::Error::other(TooLong(length)));
    }
    to.write_all(&(length as u32).to_be_bytes()).await?;
    to.write_all(&body).await?;
    to.flush().await
}

/// Reads one frame.
pub(super) async fn read<T: DeserializeOwned>(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<T> {
    let length = u64::from(from.read_u32().await?);
    if length > FRAME_BYTES_MAX {
        return Err(std::io::Error::other(TooLong(length)));
    }
    // Grows with what comes rather than with what was announced.
    let mut body = Vec::new();
    from.take(length).read_to_end(&mut body).await?;
    if (body.len() as u64) < length {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    rmp_serde::from_slice(&body).map_err(std::io::Error::other)
}

/// A frame is over the limit.
#[derive(Debug, thiserror::Error)]
#[error("a frame of {0} bytes is over the limit of {FRAME_BYTES_MAX}")]
pub(super) struct TooLong(pub(super) u64);
