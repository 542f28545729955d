//! The outbox of a run: what its last commit has to be followed by.
//!
//! It holds no messages: they are made again from the run, so it stays a few dozen bytes. Notices are few, and stand in it as
//! they are.

use crate::record::{RecordError, decode, encode};
use darkroom_engine::{Change, Effect, Event, Notice};
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
    /// The run that it is the child of is to be told how it ended.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) tells: bool,
    /// What somebody is to be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) notices: Vec<Notice>,
}

impl Outbox {
    /// What follows from a change; none if nothing does.
    pub(crate) fn of(change: &Change) -> Option<Outbox> {
        let mut outbox = Outbox { steps: BTreeSet::new(), more: change.more, tells: false, notices: Vec::new() };
        for effect in &change.effects {
            match effect {
                Effect::Dispatch { message, .. } => drop(outbox.steps.insert(message.path.clone())),
                Effect::StartChild(start) => drop(outbox.steps.insert(start.parent.path.clone())),
                Effect::TellParent(_) => outbox.tells = true,
                Effect::Notify(notice) => outbox.notices.push((**notice).clone()),
            }
        }
        (outbox.len() > 0).then_some(outbox)
    }

    pub(crate) fn encode(&self) -> Result<Vec<u8>, RecordError> {
        encode("outbox", self)
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Outbox, RecordError> {
        decode("outbox", bytes)
    }

    /// How many effects it holds.
    pub(crate) fn len(&self) -> usize {
        self.steps.len() + usize::from(self.more) + usize::from(self.tells) + self.notices.len()
    }

    /// What its run has to hear to perform it.
    pub(crate) fn event(self) -> Event {
        Event::Unperformed { steps: self.steps, notices: self.notices }
    }
}
