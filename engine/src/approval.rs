//! Approval: what a person is asked, and what they may answer.

use crate::advance::Turn;
use crate::change::What;
use crate::held::{Ending, Held};
use crate::json_schema::check_data;
use crate::run::{Run, State, Step};
use darkroom_proto::{Artifact, ErrorClass, Map, StepError, StepPath, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How many files are shown, or can be chosen among, at most.
const FILES_MAX: usize = 100;

/// How long a note or a name may be, in bytes.
const NOTE_BYTES_MAX: usize = 4_096;

/// How large the answers of a form may be, in bytes.
const ANSWERS_BYTES_MAX: usize = 64 * 1024;

/// What a person is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Approval {
    /// The question.
    pub title: String,
    /// Files to look at.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub show: Vec<Value>,
    /// The fields of a form: a JSON Schema for each name.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub ask: Map,
    /// Pictures of which one is to be chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choose: Vec<Value>,
}

/// What a person decided.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What makes giving it twice giving it once.
    #[serde(default)]
    pub key: String,
    /// The step; none: the only one that waits for a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<StepPath>,
    /// Yes or no.
    pub approved: bool,
    /// The form, filled in.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub answers: Map,
    /// Which picture, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choice: Option<u32>,
    /// Who.
    pub by: String,
    /// What they wrote about it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub note: String,
}

impl Decision {
    /// The word for it.
    pub fn name(&self) -> &'static str {
        if self.approved { "approved" } else { "rejected" }
    }
}

impl Approval {
    pub(crate) fn of(params: &Map) -> Result<Approval, StepError> {
        let files = |name: &str| -> Result<Vec<Value>, StepError> {
            let files = match params.get(name) {
                None => Vec::new(),
                Some(Value::Array(files)) => files.iter().filter(|file| !file.is_null()).cloned().collect(),
                Some(file) => vec![file.clone()],
            };
            if files.len() > FILES_MAX {
                let message = format!("`{name}` has {} files, over the limit of {FILES_MAX}", files.len());
                return Err(StepError::new(ErrorClass::TooLarge, message).advice("show fewer"));
            }
            match files.iter().find(|file| Artifact::from_value(file).is_none()) {
                None => Ok(files),
                Some(other) => {
                    let shown: String = other.to_string().chars().take(60).collect();
                    Err(StepError::new(ErrorClass::InvalidInput, format!("`{name}` takes files, and {shown} is none")))
                }
            }
        };
        Ok(Approval {
            title: params.get("title").and_then(Value::as_str).unwrap_or_default().to_owned(),
            show: files("show")?,
            ask: params.get("ask").and_then(Value::as_object).cloned().unwrap_or_default(),
            choose: files("choose")?,
        })
    }

    /// The outputs when nobody decided in time.
    pub(crate) fn timed_out(now: Timestamp) -> Map {
        outputs("timed_out", Map::new(), Value::Null, "", now, "")
    }
}

fn outputs(decision: &str, answers: Map, choice: Value, by: &str, at: Timestamp, note: &str) -> Map {
    Map::from_iter([
        ("decision".to_owned(), decision.into()),
        ("answers".to_owned(), answers.into()),
        ("choice".to_owned(), choice),
        ("by".to_owned(), by.into()),
        ("at".to_owned(), at.to_string().into()),
        ("note".to_owned(), note.into()),
    ])
}

/// The steps of a run that wait for a person, in the order of their paths.
pub fn awaiting(run: &Run) -> impl Iterator<Item = (&StepPath, &Step, &Approval)> {
    // Every commit asks, and a run may have thousands of steps: those that have no step like this are not gone through.
    let steps = (run.tally.held > 0).then_some(&run.steps);
    steps.into_iter().flatten().filter_map(|(path, step)| match step.held.as_deref() {
        Some(Held::Person(approval)) => Some((path, step, approval)),
        _ => None,
    })
}

/// What a step asks a person, for documents.
pub(crate) fn asked(step: &Step) -> Option<Value> {
    let (Some(Held::Person(approval)), State::Held { until }) = (step.held.as_deref(), step.state) else { return None };
    Some(json!({
        "title": approval.title, "show": approval.show, "ask": approval.ask, "choose": approval.choose,
        "since": step.started_at.to_string(), "deadline": until.map(|until| until.to_string()),
    }))
}

/// The answers of a decision with what is not filled in taken from the form's defaults.
///
/// # Errors
/// What is wrong with it, in words for whoever decided.
pub fn answers(approval: &Approval, decision: &Decision) -> Result<Map, String> {
    let Decision { approved, choice, by, note, .. } = decision;
    if by.len() > NOTE_BYTES_MAX || note.len() > NOTE_BYTES_MAX {
        return Err(format!("a note or name has at most {NOTE_BYTES_MAX} bytes"));
    }
    if Value::Object(decision.answers.clone()).to_string().len() > ANSWERS_BYTES_MAX {
        return Err(format!("the answers have more than {ANSWERS_BYTES_MAX} bytes"));
    }
    let count = approval.choose.len();
    match choice {
        Some(_) if count == 0 => return Err("there is nothing to choose".to_owned()),
        Some(number) if *number == 0 || *number as usize > count => {
            return Err(format!("there is no picture {number}; they are numbered from 1 to {count}"));
        }
        None if *approved && count > 0 => {
            return Err(format!("one of the {count} pictures has to be chosen (--choose N)"));
        }
        _ => {}
    }
    let fields = || approval.ask.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    let mut answers = Map::new();
    for (name, value) in &decision.answers {
        let Some(field) = approval.ask.get(name) else {
            return Err(match approval.ask.is_empty() {
                true => format!("`{name}` is not asked: there is no form"),
                false => format!("`{name}` is not asked; the form has {}", fields()),
            });
        };
        check_data(field, value).map_err(|error| format!("answer `{name}`: {error}"))?;
        answers.insert(name.clone(), value.clone());
    }
    for (name, field) in &approval.ask {
        match (answers.contains_key(name), field.get("default")) {
            (true, _) => {}
            (false, Some(default)) => drop(answers.insert(name.clone(), default.clone())),
            (false, None) if *approved => return Err(format!("`{name}` is not answered (--answer {name}=…)")),
            (false, None) => {}
        }
    }
    Ok(answers)
}

impl Turn<'_> {
    /// Somebody decided.
    pub(crate) fn decide(&mut self, decision: Decision) {
        if self.run.steps.values().any(|step| step.taken.as_ref() == Some(&decision.key) && !decision.key.is_empty()) {
            return;
        }
        let judged = self.weigh(&decision);
        let Decision { key, approved, by, .. } = decision;
        let (step, outputs) = match judged {
            Ok(judged) => judged,
            Err(reason) => {
                let command = if approved { "approve" } else { "reject" };
                return self.refuse(command, by, key, reason);
            }
        };
        let word = outputs.get("decision").and_then(Value::as_str).unwrap_or_default().to_owned();
        self.happened(What::StepDecided { step: step.clone(), decision: word, by, key: key.clone() });
        self.change_step(&step, |step| step.taken = Some(key));
        self.held_ends(&step, if approved { Ending::Completed(outputs) } else { Ending::Rejected(outputs) });
    }

    /// The step that a decision is about, and the outputs that it gives it.
    fn weigh(&self, decision: &Decision) -> Result<(StepPath, Map), String> {
        let mut waiting =
            awaiting(self.run).filter(|(path, ..)| decision.step.as_ref().is_none_or(|step| step == *path));
        let (path, _, approval) = match (waiting.next(), waiting.next()) {
            (Some(one), None) => one,
            (Some(_), Some(_)) => return Err("several steps wait for a person: name one of them".to_owned()),
            (None, _) => {
                return Err(match &decision.step {
                    Some(step) => format!("the step `{step}` does not wait for a person"),
                    None => "no step waits for a person".to_owned(),
                });
            }
        };
        let answers = answers(approval, decision)?;
        let chosen = decision.choice.and_then(|number| approval.choose.get(number.checked_sub(1)? as usize));
        let choice = chosen.cloned().unwrap_or_default();
        let outputs = outputs(decision.name(), answers, choice, &decision.by, self.now, &decision.note);
        Ok((path.clone(), outputs))
    }

    /// Tells that what somebody wanted was not done.
    pub(crate) fn refuse(&mut self, command: &str, by: String, key: String, reason: String) {
        self.happened(What::Refused { command: command.to_owned(), by, key, reason });
    }
}
