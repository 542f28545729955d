//! Records by name: a hash for each kind.

use super::scripts;
use super::store::Inner;
use crate::{Committed, RecordKind, StoreError, StoredRecord, limits};
use ::redis::cmd;

impl Inner {
    pub(super) async fn put_record(&self, record: &StoredRecord) -> Result<Committed, StoreError> {
        limits::check_record(record)?;
        let mut call = scripts::RECORD.call(&[self.keys.records(record.kind)], 128 + record.body.len());
        call.arg(&record.name).arg(record.version).arg(&record.body);
        let (written, version): (u64, u64) = self.connection().send("the version of a record", &call).await?;
        Ok(match written {
            1 => Committed::Done(version),
            _ => Committed::Conflict { current: version },
        })
    }

    pub(super) async fn remove_record(&self, kind: RecordKind, name: &str) -> Result<bool, StoreError> {
        let mut remove = cmd("HDEL");
        remove.arg(self.keys.records(kind)).arg(name);
        let removed: u64 = self.connection().send("a record", &remove).await?;
        Ok(removed > 0)
    }

    pub(super) async fn record(&self, kind: RecordKind, name: &str) -> Result<Option<StoredRecord>, StoreError> {
        let mut read = cmd("HGET");
        read.arg(self.keys.records(kind)).arg(name);
        let stored: Option<Vec<u8>> = self.connection().send("a record", &read).await?;
        stored.map(|stored| decode(kind, name.to_owned(), &stored)).transpose()
    }

    pub(super) async fn records(&self, kind: RecordKind) -> Result<Vec<StoredRecord>, StoreError> {
        let mut read = cmd("HGETALL");
        read.arg(self.keys.records(kind));
        let stored: Vec<(String, Vec<u8>)> = self.connection().send("records", &read).await?;
        let mut records = Vec::with_capacity(stored.len());
        for (name, stored) in stored {
            records.push(decode(kind, name, &stored)?);
        }
        records.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(records)
    }
}

/// The version and the body, with a bar between them.
fn decode(kind: RecordKind, name: String, stored: &[u8]) -> Result<StoredRecord, StoreError> {
    let mut parts = stored.splitn(2, |&byte| byte == b'|');
    let version = parts.next().and_then(|version| std::str::from_utf8(version).ok()?.parse().ok());
    match (version, parts.next()) {
        (Some(version), Some(body)) => Ok(StoredRecord { kind, name, version, body: body.to_vec() }),
        _ => Err(StoreError::Corrupt { what: format!("{name} of {}", kind.name()), why: "it is not whole".into() }),
    }
}
