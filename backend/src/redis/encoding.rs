//! How values are encoded: MessagePack with field names, behind one byte that says which layout it is.

use crate::bytes::Bytes;
use crate::{Command, StoreError};
use darkroom_proto::RunId;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// The first byte of every value; another one is of another release.
const LAYOUT: u8 = 1;

/// A command, but for its key and position.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredCommand {
    run: RunId,
    body: Bytes,
}

/// A claim, but for what its key and token say.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredClaim {
    pub(super) attempt: u32,
    pub(super) worker: String,
}

pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    let mut out = Vec::with_capacity(512);
    out.push(LAYOUT);
    match rmp_serde::encode::write_named(&mut out, value) {
        Ok(()) => Ok(out),
        Err(error) => Err(StoreError::Corrupt { what: "a value to store".into(), why: error.to_string() }),
    }
}

pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    let corrupt = |why: String| StoreError::Corrupt { what: what.to_owned(), why };
    match bytes.split_first() {
        Some((&LAYOUT, value)) => rmp_serde::from_slice(value).map_err(|error| corrupt(error.to_string())),
        Some((layout, _)) => Err(corrupt(format!("it has layout {layout}, this release reads {LAYOUT}"))),
        None => Err(corrupt("it is empty".into())),
    }
}

/// The events of one commit, as one value.
pub(super) fn encode_events(events: &[Vec<u8>]) -> Vec<u8> {
    #[derive(Serialize)]
    #[serde(transparent)]
    struct Raw<'a>(#[serde(serialize_with = "raw")] &'a [u8]);

    fn raw<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(bytes)
    }

    let events: Vec<Raw<'_>> = events.iter().map(|event| Raw(event)).collect();
    // Byte strings always encode.
    encode(&events).unwrap_or_default()
}

/// The events in such a value.
pub(super) fn decode_events(bytes: &[u8]) -> Result<Vec<Vec<u8>>, StoreError> {
    let events: Vec<Bytes> = decode("the events of a run", bytes)?;
    Ok(events.into_iter().map(|event| event.0).collect())
}

pub(super) fn encode_command(command: &Command) -> Result<Vec<u8>, StoreError> {
    encode(&StoredCommand { run: command.run, body: Bytes(command.body.clone()) })
}

pub(super) fn decode_command(key: String, bytes: &[u8]) -> Result<Command, StoreError> {
    let stored: StoredCommand = decode("a command of the inbox", bytes)?;
    Ok(Command { key, run: stored.run, body: stored.body.0 })
}
