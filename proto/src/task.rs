//! What coordinators and workers of tasks say to each other: the contract for workers in any language, as JSON.
//!
//! Whoever serves `task.NAME` reads [`TaskMessage`]s from the queue of that pool and answers with [`TaskReport`]s. Fields
//! may be added within a version; readers pass over what they do not know.

use crate::{ErrorClass, Map, RunId, StepMessage, StepPath, Tenant, Timestamp, op};
use serde::{Deserialize, Serialize};
use std::str::FromStr;

/// The version of the contract.
pub const TASK_VERSION: u8 = 1;

/// One attempt of a step, for whoever serves its task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskMessage {
    /// The version of the contract.
    pub v: u8,
    /// The task, without `task.`.
    pub task: String,
    /// The run.
    pub run: RunId,
    /// The path of the step in it, such as `branded[3]/resize`.
    pub step: StepPath,
    /// Rises when the step is begun anew by a resume.
    pub generation: u32,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// The workflow's id.
    pub workflow: String,
    /// Whose run it is.
    pub tenant: Tenant,
    /// The same for every delivery and attempt of this step, and for no other: for whatever must not be done twice.
    pub idempotency_key: String,
    /// How long the worker may say nothing, in seconds: each report that it is at work begins the time anew.
    pub timeout_seconds: f64,
    /// What the step is given. Each file is an object with a link `url` and a reference `file`.
    pub with: Map,
    /// Where files are sent that the step gives: `POST`, with the file as the body.
    pub upload: String,
    /// What reports are made with: it names this attempt, and is signed.
    pub token: String,
    /// Where reports are published.
    pub report_to: ReportTo,
}

/// Where reports about a step are published.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReportTo {
    /// The exchange.
    pub exchange: String,
    /// The routing key.
    pub routing_key: String,
}

impl TaskMessage {
    /// The message of an attempt as the engine made it; none if it is no task's. Token, links and the way back are filled
    /// in by those who know them.
    pub fn of(message: &StepMessage, tenant: &Tenant) -> Option<TaskMessage> {
        let task = op::task_name(&message.op)?.to_owned();
        Some(TaskMessage {
            v: TASK_VERSION,
            task,
            run: message.run,
            step: message.path.clone(),
            generation: message.generation,
            attempt: message.attempt,
            workflow: message.provenance.workflow.clone(),
            tenant: tenant.clone(),
            idempotency_key: format!("{}/{}@{}", message.run, message.path, message.generation),
            timeout_seconds: message.timeout.0 as f64 / 1_000.0,
            with: message.params.clone(),
            upload: String::new(),
            token: String::new(),
            report_to: ReportTo::default(),
        })
    }

    /// The pool whose workers serve it.
    pub fn pool(&self) -> String {
        format!("{}{}", op::TASK_PREFIX, self.task)
    }
}

/// What a worker says of an attempt of a task.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TaskReport {
    /// The version of the contract.
    pub v: u8,
    /// The token from the message.
    pub token: String,
    /// How it ended, or that it goes on.
    #[serde(flatten)]
    pub said: TaskSaid,
}

/// How an attempt of a task ended, or that it goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum TaskSaid {
    /// It is done.
    Succeeded {
        /// What it gave: JSON values, and references to files.
        #[serde(default)]
        outputs: Map,
        /// Said to people.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        notes: Vec<String>,
    },
    /// It is not.
    Failed {
        /// Why.
        error: TaskError,
    },
    /// It goes on: a sign of life.
    Working {
        /// How much is done, from 0 to 1.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        progress: Option<f64>,
        /// What it is at, for people.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        note: String,
    },
}

/// Why an attempt of a task failed.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct TaskError {
    /// One of the classes of errors: whether it is tried again follows from it.
    pub class: String,
    /// A finer name, such as `no_mesh`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub code: String,
    /// What happened, in one sentence.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advice: String,
    /// When it makes sense to come back, in seconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<f64>,
}

impl TaskError {
    /// An error of a class.
    pub fn new(class: ErrorClass, message: impl Into<String>) -> TaskError {
        TaskError { class: class.name().to_owned(), message: message.into(), ..TaskError::default() }
    }
}

impl TaskReport {
    /// The run that it is about, as far as its token can be read. Whether the token is genuine is for others to say.
    pub fn run(&self) -> Option<RunId> {
        TaskToken::split(&self.token).map(|(token, _)| token.run)
    }
}

/// An attempt of a step, as the token of its message names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskToken {
    /// Whose run it is.
    pub tenant: Tenant,
    /// The run.
    pub run: RunId,
    /// The step.
    pub step: StepPath,
    /// Its generation.
    pub generation: u32,
    /// Its attempt.
    pub attempt: u32,
    /// Until when files are taken for it.
    pub until: Timestamp,
}

impl TaskToken {
    /// A token and its signature, as they stand in a message.
    pub fn split(signed: &str) -> Option<(TaskToken, &str)> {
        let (token, signature) = signed.rsplit_once('~')?;
        Some((token.parse().ok()?, signature))
    }
}

impl std::fmt::Display for TaskToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let TaskToken { tenant, run, step, generation, attempt, until } = self;
        write!(f, "{tenant}~{run}/{step}@{generation}.{attempt}~{}", until.0)
    }
}

/// The text is no token of a task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is no token of a task")]
pub struct ParseTaskTokenError;

impl FromStr for TaskToken {
    type Err = ParseTaskTokenError;

    fn from_str(text: &str) -> Result<TaskToken, ParseTaskTokenError> {
        let read = || {
            let mut parts = text.split('~');
            let (tenant, attempt, until) = (parts.next()?, parts.next()?, parts.next()?);
            let (run, step) = attempt.split_once('/')?;
            let (step, number) = step.rsplit_once('@')?;
            let (generation, attempt) = number.split_once('.')?;
            Some(TaskToken {
                tenant: tenant.parse().ok()?,
                run: run.parse().ok()?,
                step: step.parse().ok()?,
                generation: generation.parse().ok()?,
                attempt: attempt.parse().ok()?,
                until: Timestamp(until.parse().ok()?),
            })
            .filter(|_| parts.next().is_none())
        };
        read().ok_or(ParseTaskTokenError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_token_reads_what_it_writes() {
        let token = TaskToken {
            tenant: Tenant::default(),
            run: RunId::from_bytes([7; 16]),
            step: StepPath::top("shots").instance(3).child("resize"),
            generation: 2,
            attempt: 4,
            until: Timestamp(99),
        };
        assert_eq!(token.to_string().parse(), Ok(token.clone()));
        let signed = format!("{token}~c2ln");
        assert_eq!(TaskToken::split(&signed), Some((token, "c2ln")));
        for bad in ["", "default~x~1", "default~run_1/a@1.1~1", "a~b~c~d~e", "~~~"] {
            assert_eq!(bad.parse::<TaskToken>(), Err(ParseTaskTokenError), "{bad}");
        }
    }

    #[test]
    fn reports_are_written_as_the_contract_says() {
        let cases = [
            (
                json!({"v": 1, "token": "t", "outcome": "succeeded", "outputs": {"n": 1}}),
                TaskSaid::Succeeded { outputs: [("n".to_owned(), json!(1))].into_iter().collect(), notes: vec![] },
            ),
            (
                json!({"v": 1, "token": "t", "outcome": "failed", "error": {"class": "network", "message": "gone"}}),
                TaskSaid::Failed {
                    error: TaskError { class: "network".into(), message: "gone".into(), ..TaskError::default() },
                },
            ),
            (
                json!({"v": 1, "token": "t", "outcome": "working", "progress": 0.5}),
                TaskSaid::Working { progress: Some(0.5), note: String::new() },
            ),
        ];
        for (written, said) in cases {
            let report = TaskReport { v: 1, token: "t".into(), said };
            assert_eq!(serde_json::to_value(&report).unwrap(), written);
            assert_eq!(serde_json::from_value::<TaskReport>(written).unwrap(), report);
        }
        for bad in [json!({}), json!({"v": 1, "token": "t"}), json!({"v": 1, "token": "t", "outcome": "done"})] {
            assert!(serde_json::from_value::<TaskReport>(bad).is_err());
        }
    }
}
