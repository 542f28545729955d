//! Records by name in the file: a table for each kind.

use super::file::{StateFile, failed};
use super::tables::Bytes;
use crate::{Committed, RecordKind, StoreError, StoredRecord, limits};
use redb::{ReadableTable, TableDefinition};

/// The table of a kind.
pub(super) fn table(kind: RecordKind) -> Bytes {
    TableDefinition::new(kind.name())
}

impl StateFile {
    pub(super) fn put_record(&self, record: &StoredRecord) -> Result<Committed, StoreError> {
        limits::check_record(record)?;
        let key = record.name.as_bytes();
        let _turn = self.turn();
        let write = self.begin()?;
        let version = {
            let mut table = write.open_table(table(record.kind)).map_err(failed)?;
            let stored = table.get(key).map_err(failed)?;
            let stored = stored.map(|stored| decode(record.kind, key, stored.value())).transpose()?;
            let current = stored.map_or(0, |stored| stored.version);
            if current != record.version {
                return Ok(Committed::Conflict { current });
            }
            let value = [(current + 1).to_le_bytes().as_slice(), &record.body].concat();
            table.insert(key, value.as_slice()).map_err(failed)?;
            current + 1
        };
        write.commit().map_err(failed)?;
        Ok(Committed::Done(version))
    }

    pub(super) fn remove_record(&self, kind: RecordKind, name: &str) -> Result<bool, StoreError> {
        let _turn = self.turn();
        let write = self.begin()?;
        let removed = {
            let mut table = write.open_table(table(kind)).map_err(failed)?;
            table.remove(name.as_bytes()).map_err(failed)?.is_some()
        };
        write.commit().map_err(failed)?;
        Ok(removed)
    }

    pub(super) fn record(&self, kind: RecordKind, name: &str) -> Result<Option<StoredRecord>, StoreError> {
        let table = self.read()?.open_table(table(kind)).map_err(failed)?;
        let stored = table.get(name.as_bytes()).map_err(failed)?;
        stored.map(|stored| decode(kind, name.as_bytes(), stored.value())).transpose()
    }

    pub(super) fn records(&self, kind: RecordKind) -> Result<Vec<StoredRecord>, StoreError> {
        let table = self.read()?.open_table(table(kind)).map_err(failed)?;
        let all = table.iter().map_err(failed)?;
        all.map(|entry| {
            let (key, value) = entry.map_err(failed)?;
            decode(kind, key.value(), value.value())
        })
        .collect()
    }
}

/// The version as eight bytes, then the body.
fn decode(kind: RecordKind, key: &[u8], value: &[u8]) -> Result<StoredRecord, StoreError> {
    let name = std::str::from_utf8(key).ok();
    match (name, value.split_first_chunk()) {
        (Some(name), Some((version, body))) => {
            let version = u64::from_le_bytes(*version);
            Ok(StoredRecord { kind, name: name.to_owned(), version, body: body.to_vec() })
        }
        _ => Err(StoreError::Corrupt { what: format!("one of the {}", kind.name()), why: "it is not whole".into() }),
    }
}
