//! Notices: who is told that something went wrong and does not pass by itself.
//!
//! Every failure is an event of the run, for whoever looks. A notice is for somebody who does not look: the user of the
//! run, or the admin of the installation, as the class of the error says. A run tells each of its troubles once, however
//! many of its items have it.

use crate::change::{Effect, Happened, What};
use crate::plan::{Plan, Rule, Work};
use crate::run::Run;
use darkroom_proto::{Act, ErrorClass, RunId, StepError, StepPath, Timestamp};
use serde::{Deserialize, Serialize};

/// The most characters of a message or an advice in a notice.
const TEXT_CHARS_MAX: usize = 500;

/// What a notice is kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeKind {
    /// A step failed for good, and the run goes on without it.
    StepFailed,
    /// A step waits for something that somebody has to do.
    RunParked,
    /// The run failed.
    RunFailed,
}

impl NoticeKind {
    /// The word for it in documents, such as `run.failed`.
    pub fn name(self) -> &'static str {
        match self {
            NoticeKind::StepFailed => "step.failed",
            NoticeKind::RunParked => "run.parked",
            NoticeKind::RunFailed => "run.failed",
        }
    }
}

/// Something that somebody has to know. It has nothing of what a step was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// When it happened.
    pub at: Timestamp,
    /// Who is told: never nobody.
    pub to: Act,
    /// What happened.
    pub kind: NoticeKind,
    /// In which run.
    pub run: RunId,
    /// Of which workflow.
    pub workflow: String,
    /// How often the run had been resumed.
    pub generation: u32,
    /// At which step; the first of several.
    pub step: StepPath,
    /// What kind of error it is.
    pub class: ErrorClass,
    /// Its finer name.
    pub code: String,
    /// What happened, at most 500 characters.
    pub message: String,
    /// What to do about it, at most 500 characters. Empty when nobody knows.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

/// The notices that follow from what happened to a run, without those that it told before.
pub(crate) fn notices(plan: Option<&Plan>, run: &mut Run, events: &[Happened]) -> Vec<Effect> {
    let mut effects = Vec::new();
    for Happened { at, what } in events {
        let Some((kind, step, error)) = trouble(plan, run, what) else { continue };
        let Some(to) = recipient(kind, error.class) else { continue };
        if !run.head.told.insert((kind, error.class)) {
            continue;
        }
        effects.push(Effect::Notify(Box::new(Notice {
            at: *at,
            to,
            kind,
            run: run.id,
            workflow: run.spec.workflow.clone(),
            generation: run.head.generation,
            step: step.clone(),
            class: error.class,
            code: error.code.clone(),
            message: shortened(&error.message),
            advice: shortened(&error.advice),
        })));
    }
    effects
}

/// What somebody may have to know of an event.
fn trouble<'a>(plan: Option<&Plan>, run: &Run, what: &'a What) -> Option<(NoticeKind, &'a StepPath, &'a StepError)> {
    match what {
        // A contender that fails is what a race is there for.
        What::StepFailed { step, error, tolerated: true, .. } if !plan.is_some_and(|plan| races(plan, step)) => {
            Some((NoticeKind::StepFailed, step, error))
        }
        What::StepParked { step, error, .. } => Some((NoticeKind::RunParked, step, error)),
        // A child's failure is its parent's, which tells it.
        What::RunFailed { step, error } if run.spec.parent.as_ref().is_none_or(|parent| parent.detached) => {
            Some((NoticeKind::RunFailed, step, error))
        }
        _ => None,
    }
}

/// Whether a step is, or is in, a contender of a race.
fn races(plan: &Plan, step: &StepPath) -> bool {
    let Some(place) = plan.locate(step) else { return false };
    place.frames.iter().any(|frame| {
        let fan = &plan.node(frame.fan).work;
        frame.branch.is_none() && matches!(fan, Work::FanOut(fan) if matches!(fan.rule, Rule::Race(_)))
    })
}

/// Who is told, if anybody is. What passes by itself and did not pass in time is the user's, who may try again.
fn recipient(kind: NoticeKind, class: ErrorClass) -> Option<Act> {
    match (kind, class, class.act()) {
        (_, ErrorClass::Cancelled, _) | (NoticeKind::RunParked, _, Act::Nobody) => None,
        (_, _, Act::Nobody) => Some(Act::User),
        (_, _, act) => Some(act),
    }
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(TEXT_CHARS_MAX) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}
