//! What goes into `advance` and what comes out of it.

use crate::approval::Decision;
use crate::child::ChildStart;
use crate::notice::Notice;
use crate::plan::BranchKind;
use darkroom_proto::{
    Duration, ItemsDocument, Map, Money, Report, Sha256, StepCost, StepError, StepMessage, StepPath, Timestamp,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeSet;

/// Something that happened to a run.
#[allow(clippy::large_enum_variant, reason = "most events are reports, and they are moved, not kept")]
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// It may start.
    Start,
    /// A worker said how an attempt ended.
    Report(Report),
    /// It goes on after the work budget was spent.
    Continue,
    /// Messages may be lost: whatever is under way is published again.
    QueueLost {
        /// The steps that a worker had begun and not ended: they may be what ended the process.
        begun: BTreeSet<StepPath>,
    },
    /// The last owner committed that the messages of these steps be published and these notices given, and may not have come
    /// to it.
    Unperformed {
        /// The steps.
        steps: BTreeSet<StepPath>,
        /// What somebody was to be told.
        notices: Vec<Notice>,
    },
    /// Its time to be looked at had come, and somebody looked.
    Looked {
        /// The steps whose messages are gone.
        lost: BTreeSet<StepPath>,
        /// Parked steps that nothing is in the way of any more. Named before its time, a step is tried again at once, and
        /// that does not count as a check.
        ready: BTreeSet<StepPath>,
    },
    /// Somebody sent an event, for a step that waits for it now or later.
    Signal {
        /// What makes sending it twice sending it once.
        key: String,
        /// Its name.
        name: String,
        /// Its data.
        data: Value,
        /// Who.
        by: String,
    },
    /// Somebody decided on a step that waits for a person.
    Approve(Decision),
    /// Somebody wants nothing new to be sent until it is resumed.
    Pause {
        /// Who or why.
        reason: String,
    },
    /// Somebody wants it to end at once, without anything being undone.
    Terminate {
        /// Who or why.
        reason: String,
    },
    /// Somebody wants it to go on: after a pause, from where it failed, or from this step.
    Resume {
        /// Drop this step and what depends on it.
        from: Option<StepPath>,
        /// Inputs that have other values from now on, for steps that have not run.
        set: Map,
    },
    /// Somebody wants it to end.
    Cancel {
        /// Who or why.
        reason: String,
    },
}

/// What `advance` changed and what is to be done about it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Change {
    /// Steps whose state changed or is gone; their state now is in the run.
    pub steps: BTreeSet<StepPath>,
    /// For the audit trail and for whoever watches.
    pub events: Vec<Happened>,
    /// To be performed after the change is committed.
    pub effects: Vec<Effect>,
    /// Files that were saved, by the key of what determined them.
    pub saved: Vec<(Sha256, StepPath)>,
    /// Steps, with their generation, that ended without success although a message about them may still be on its way:
    /// nothing is paid for them any more.
    pub voided: BTreeSet<(StepPath, u32)>,
    /// Events that are kept from now on or no more, by their number; those that are kept are in the run.
    pub signals: BTreeSet<u64>,
    /// Inputs were changed: they are in the run's `overrides`.
    pub inputs: bool,
    /// The work budget was spent: send `Continue` after the commit.
    pub more: bool,
    /// What is stored beside the steps has to be stored again, such as when the run is looked at next.
    pub touched: bool,
}

impl Change {
    /// Adds what a later event changed.
    pub fn absorb(&mut self, later: Change) {
        self.steps.extend(later.steps);
        self.events.extend(later.events);
        self.effects.extend(later.effects);
        self.saved.extend(later.saved);
        self.voided.extend(later.voided);
        self.signals.extend(later.signals);
        self.inputs |= later.inputs;
        // What the earlier event left undone, the later one went on with.
        self.more = later.more;
        self.touched |= later.touched;
    }

    /// Whether nothing happened that has to be stored or done.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
            && self.events.is_empty()
            && self.effects.is_empty()
            && self.voided.is_empty()
            && self.signals.is_empty()
            && !self.inputs
            && !self.more
            && !self.touched
    }
}

/// What has to be done about a change.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Publish a step message.
    Dispatch {
        /// The pool.
        pool: String,
        /// Whether it stands behind other runs' work: an item of a fan-out beyond its first 8.
        batch: bool,
        /// How long it is kept back.
        delay: Option<Duration>,
        /// The message.
        message: Box<StepMessage>,
    },
    /// Create a run that is the child of a step, if there is none yet, and start it. If it has ended already, its parent is
    /// told again.
    StartChild(Box<ChildStart>),
    /// Tell the parent how this run ended.
    TellParent(Box<Report>),
    /// Tell somebody what went wrong. It may be told twice, and nothing waits for it.
    Notify(Box<Notice>),
}

/// A fact of the audit trail.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Happened {
    /// When.
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub what: What,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// The run started.
    RunStarted,
    /// The run goes on after it had ended or was stopped.
    RunResumed {
        /// From this step.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<StepPath>,
    },
    /// Every step ended, and no failure stopped the run.
    RunCompleted {
        /// How many failures were tolerated.
        tolerated: u32,
    },
    /// A step failed the run.
    RunFailed {
        /// The step.
        step: StepPath,
        /// Why.
        error: StepError,
    },
    /// Somebody cancelled it.
    RunCancelled {
        /// Who or why.
        reason: String,
    },
    /// Somebody paused it.
    RunPaused {
        /// Who or why.
        reason: String,
    },
    /// Somebody changed inputs, for the steps that have not run.
    InputsSet {
        /// Their names.
        names: Vec<String>,
    },
    /// An event came that no step waits for yet.
    SignalKept {
        /// Its name.
        name: String,
        /// Who sent it.
        by: String,
        /// Its key.
        key: String,
    },
    /// A step took an event.
    SignalTaken {
        /// The step.
        step: StepPath,
        /// The event's name.
        name: String,
        /// Who sent it.
        by: String,
        /// Its key.
        key: String,
    },
    /// Somebody decided on a step; what they answered is in its outputs.
    StepDecided {
        /// The step.
        step: StepPath,
        /// `approved` or `rejected`.
        decision: String,
        /// Who.
        by: String,
        /// The decision's key.
        key: String,
    },
    /// What somebody wanted was refused, and changed nothing.
    Refused {
        /// What: `signal`, `approve`, `reject` or `resume`.
        command: String,
        /// Who wanted it.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        by: String,
        /// Its key.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        key: String,
        /// Why not.
        reason: String,
    },
    /// A step is on its way to a worker.
    StepDispatched {
        /// The step.
        step: StepPath,
        /// Which try, from 1.
        attempt: u32,
    },
    /// A step is done.
    StepCompleted {
        /// The step.
        step: StepPath,
        /// How many tries it took.
        attempts: u32,
        /// What it saved.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        saved: Option<String>,
        /// What people should know.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
        /// What it cost.
        #[serde(default, skip_serializing_if = "StepCost::is_none")]
        cost: StepCost,
    },
    /// A step waits for a provider, or to be let in; told again only when it waits for something else.
    StepWaiting {
        /// The step.
        step: StepPath,
        /// For what.
        reason: String,
    },
    /// The worker of a task is at it; told again only when it has come further.
    StepProgress {
        /// The step.
        step: StepPath,
        /// How much of it is done, from 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<f64>,
        /// What it is at.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
    /// An attempt failed and is tried again.
    StepRetrying {
        /// The step.
        step: StepPath,
        /// Which try failed.
        attempt: u32,
        /// When it is tried again.
        again_at: Timestamp,
        /// Why it failed.
        error: StepError,
    },
    /// The fast retries of a step are spent: it is tried again when what was in the way may have gone.
    StepParked {
        /// The step.
        step: StepPath,
        /// What is in the way.
        error: StepError,
        /// When that is checked next.
        again_at: Timestamp,
        /// Which check that is, from 1.
        cycle: u32,
    },
    /// A step failed for good.
    StepFailed {
        /// The step.
        step: StepPath,
        /// How many tries it took.
        attempts: u32,
        /// Why.
        error: StepError,
        /// Whether the run goes on all the same.
        tolerated: bool,
    },
    /// A step was called off: what is around it has enough without it.
    StepCancelled {
        /// The step.
        step: StepPath,
        /// What it had cost all the same.
        #[serde(default, skip_serializing_if = "no_money")]
        spent: Money,
    },
    /// A branch of a step began.
    BranchBegun {
        /// The step.
        step: StepPath,
        /// Which.
        branch: BranchKind,
        /// What the step failed of, if it did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        error: Option<StepError>,
    },
    /// A step was not needed.
    StepSkipped {
        /// The step.
        step: StepPath,
        /// Why.
        reason: String,
    },
    /// A fan-out began.
    FanOutOpened {
        /// The step.
        step: StepPath,
        /// How many instances it has.
        total: u32,
    },
    /// An instance of a fan-out began.
    ItemStarted {
        /// The instance.
        step: StepPath,
        /// What people call it.
        label: String,
    },
    /// An instance of a fan-out ended; how follows from its own event.
    ItemEnded {
        /// The instance.
        step: StepPath,
        /// What people call it.
        label: String,
        /// `completed`, `skipped`, `failed` or `cancelled`.
        status: darkroom_proto::StepStatus,
        /// How far the fan-out is now.
        items: ItemsDocument,
    },
}

fn no_money(amount: &Money) -> bool {
    *amount == Money::ZERO
}
