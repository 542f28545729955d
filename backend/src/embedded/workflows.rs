//! Workflows by name in the file.

use super::file::{StateFile, failed};
use super::tables;
use crate::{Committed, StoreError, StoredWorkflow, limits};
use redb::ReadableTable;

impl StateFile {
    pub(super) fn put_workflow(&self, workflow: &StoredWorkflow) -> Result<Committed, StoreError> {
        limits::check_workflow(workflow)?;
        let key = workflow.name.as_bytes();
        let _turn = self.turn();
        let write = self.begin()?;
        let version = {
            let mut table = write.open_table(tables::WORKFLOWS).map_err(failed)?;
            let stored = table.get(key).map_err(failed)?.map(|stored| decode(key, stored.value())).transpose()?;
            let current = stored.map_or(0, |stored| stored.version);
            if current != workflow.version {
                return Ok(Committed::Conflict { current });
            }
            let value = [(current + 1).to_le_bytes().as_slice(), &workflow.body].concat();
            table.insert(key, value.as_slice()).map_err(failed)?;
            current + 1
        };
        write.commit().map_err(failed)?;
        Ok(Committed::Done(version))
    }

    pub(super) fn workflow(&self, name: &str) -> Result<Option<StoredWorkflow>, StoreError> {
        let table = self.read()?.open_table(tables::WORKFLOWS).map_err(failed)?;
        let stored = table.get(name.as_bytes()).map_err(failed)?;
        stored.map(|stored| decode(name.as_bytes(), stored.value())).transpose()
    }

    pub(super) fn workflows(&self) -> Result<Vec<StoredWorkflow>, StoreError> {
        let table = self.read()?.open_table(tables::WORKFLOWS).map_err(failed)?;
        let all = table.iter().map_err(failed)?;
        all.map(|entry| {
            let (key, value) = entry.map_err(failed)?;
            decode(key.value(), value.value())
        })
        .collect()
    }
}

/// The version as eight bytes, then the body.
fn decode(key: &[u8], value: &[u8]) -> Result<StoredWorkflow, StoreError> {
    let name = std::str::from_utf8(key).ok();
    match (name, value.split_first_chunk()) {
        (Some(name), Some((version, body))) => {
            Ok(StoredWorkflow { name: name.to_owned(), version: u64::from_le_bytes(*version), body: body.to_vec() })
        }
        _ => Err(StoreError::Corrupt { what: "a workflow".into(), why: "it is not whole".into() }),
    }
}
