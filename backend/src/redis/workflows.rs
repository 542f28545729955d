//! Workflows by name: one hash.

use super::scripts;
use super::store::Inner;
use crate::{Committed, StoreError, StoredWorkflow, limits};
use ::redis::cmd;

impl Inner {
    pub(super) async fn put_workflow(&self, workflow: &StoredWorkflow) -> Result<Committed, StoreError> {
        limits::check_workflow(workflow)?;
        let mut call = scripts::WORKFLOW.call(&[self.keys.workflows()], 128 + workflow.body.len());
        call.arg(&workflow.name).arg(workflow.version).arg(&workflow.body);
        let (written, version): (u64, u64) = self.connection().send("the version of a workflow", &call).await?;
        Ok(match written {
            1 => Committed::Done(version),
            _ => Committed::Conflict { current: version },
        })
    }

    pub(super) async fn workflow(&self, name: &str) -> Result<Option<StoredWorkflow>, StoreError> {
        let mut read = cmd("HGET");
        read.arg(self.keys.workflows()).arg(name);
        let stored: Option<Vec<u8>> = self.connection().send("a workflow", &read).await?;
        stored.map(|stored| decode(name.to_owned(), &stored)).transpose()
    }

    pub(super) async fn workflows(&self) -> Result<Vec<StoredWorkflow>, StoreError> {
        let mut read = cmd("HGETALL");
        read.arg(self.keys.workflows());
        let stored: Vec<(String, Vec<u8>)> = self.connection().send("the workflows", &read).await?;
        let mut workflows = Vec::with_capacity(stored.len());
        for (name, stored) in stored {
            workflows.push(decode(name, &stored)?);
        }
        workflows.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        Ok(workflows)
    }
}

/// The version and the body, with a bar between them.
fn decode(name: String, stored: &[u8]) -> Result<StoredWorkflow, StoreError> {
    let mut parts = stored.splitn(2, |&byte| byte == b'|');
    let version = parts.next().and_then(|version| std::str::from_utf8(version).ok()?.parse().ok());
    match (version, parts.next()) {
        (Some(version), Some(body)) => Ok(StoredWorkflow { name, version, body: body.to_vec() }),
        _ => Err(StoreError::Corrupt { what: format!("the workflow {name}"), why: "it is not whole".into() }),
    }
}
