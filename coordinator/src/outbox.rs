//! The outbox of a run: what its last commit has to be followed by.
//!
//! It holds no messages: they are made again from the run, so it stays a few dozen bytes.

use crate::record::{RecordError, decode, encode};
use darkroom_engine::{Change, Effect, Event};
use darkroom_proto::StepPath;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// What is to be done after a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Outbox {
    /// Steps whose messages are to be published.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub(crate) steps: BTreeSet<StepPath>,
    /// The run is to be gone on with.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) more: bool,
}

impl Outbox {
    /// What follows from a change; none if nothing does.
    pub(crate) fn of(change: &Change) -> Option<Outbox> {
        let dispatched = change.effects.iter().map(|effect| match effect {
            Effect::Dispatch { message, .. } => message.path.clone(),
        });
        let outbox = Outbox { steps: dispatched.collect(), more: change.more };
        (!outbox.steps.is_empty() || outbox.more).then_some(outbox)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, RecordError> {
        encode("outbox", self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Outbox, RecordError> {
        decode("outbox", bytes)
    }

    /// How many effects it holds.
    pub(crate) fn len(&self) -> usize {
        self.steps.len() + usize::from(self.more)
    }

    /// What its run has to hear to perform it.
    pub(crate) fn event(self) -> Event {
        Event::Unperformed { steps: self.steps }
    }
}
