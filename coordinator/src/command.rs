//! Commands of people and services to a run, as they lie in the inbox.

use darkroom_engine::{Decision, Event};
use darkroom_proto::{Map, StepPath};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What somebody wants of a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum RunCommand {
    /// Go on after it ended or was paused.
    Resume {
        /// From this step, dropping it and what depends on it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<StepPath>,
        /// Inputs that have other values from now on.
        #[serde(default, skip_serializing_if = "Map::is_empty")]
        set: Map,
    },
    /// Send nothing new until it is resumed.
    Pause {
        /// Who or why.
        reason: String,
    },
    /// End at once, undoing nothing.
    Terminate {
        /// Who or why.
        reason: String,
    },
    /// Take an event.
    Signal {
        /// Its name.
        name: String,
        /// Its data.
        #[serde(default)]
        data: Value,
        /// Who sent it.
        by: String,
    },
    /// Take a person's decision.
    Decide(Decision),
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

    /// Whether nothing is to be paid for the run from the moment on at which it is given.
    pub fn ends_payments(&self) -> bool {
        matches!(self, RunCommand::Cancel { .. } | RunCommand::Terminate { .. })
    }

    /// The event that a command stored under this key is.
    pub(crate) fn decode(key: &str, body: &[u8]) -> Result<Event, serde_json::Error> {
        let key = || key.to_owned();
        Ok(match serde_json::from_slice(body)? {
            RunCommand::Resume { from, set } => Event::Resume { from, set },
            RunCommand::Pause { reason } => Event::Pause { reason },
            RunCommand::Terminate { reason } => Event::Terminate { reason },
            RunCommand::Signal { name, data, by } => Event::Signal { key: key(), name, data, by },
            RunCommand::Decide(decision) => Event::Approve(Decision { key: key(), ..decision }),
            RunCommand::Cancel { reason } => Event::Cancel { reason },
        })
    }
}
