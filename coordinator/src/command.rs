//! Commands of people and services to a run, as they lie in the inbox.

use darkroom_engine::Event;
use darkroom_proto::StepPath;
use serde::{Deserialize, Serialize};

/// What somebody wants of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum RunCommand {
    /// Go on after it ended.
    Resume {
        /// From this step, dropping it and what depends on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<StepPath>,
    },
    /// End.
    Cancel {
        /// Who or why.
        reason: String,
    },
}

impl RunCommand {
    /// The command as it is stored.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// The event that a stored command is.
    pub(crate) fn decode(body: &[u8]) -> Result<Event, serde_json::Error> {
        Ok(match serde_json::from_slice(body)? {
            RunCommand::Resume { from } => Event::Resume { from },
            RunCommand::Cancel { reason } => Event::Cancel { reason },
        })
    }
}
