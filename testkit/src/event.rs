//! What people and services do to a run while it is tried.

use crate::error::Refused;
use crate::trial::Trial;
use darkroom_engine::{Change, Decision, Event, What};
use darkroom_proto::{Map, StepPath};
use serde_json::Value;

/// Who does it, unless somebody is named.
const SOMEBODY: &str = "test";

impl Trial {
    /// Sends an event to the run, for a step that waits for it now or later.
    ///
    /// # Errors
    /// When it is refused.
    pub fn signal(&mut self, name: &str, data: impl Into<Value>) -> Result<&mut Trial, Refused> {
        self.signal_by(name, data.into(), SOMEBODY)
    }

    pub(crate) fn signal_by(&mut self, name: &str, data: Value, by: &str) -> Result<&mut Trial, Refused> {
        let key = self.new_key();
        self.command(Event::Signal { key, name: name.to_owned(), data, by: by.to_owned() })
    }

    /// Says yes to the step that waits for a person, with the answers to its form, an object.
    ///
    /// # Errors
    /// When the step does not wait, or the answers are refused.
    pub fn approve(&mut self, step: &str, answers: impl Into<Value>) -> Result<&mut Trial, Refused> {
        let answers = match answers.into() {
            Value::Object(answers) => answers,
            _ => Map::new(),
        };
        self.decide(Some(step), Decision { answers, ..yes() })
    }

    /// Chooses a picture, from 1, for the step that waits for a person.
    ///
    /// # Errors
    /// When the step does not wait, or there is no such picture.
    pub fn choose(&mut self, step: &str, choice: u32) -> Result<&mut Trial, Refused> {
        self.decide(Some(step), Decision { choice: Some(choice), ..yes() })
    }

    /// Says no to the step that waits for a person.
    ///
    /// # Errors
    /// When the step does not wait.
    pub fn reject(&mut self, step: &str, note: &str) -> Result<&mut Trial, Refused> {
        self.decide(Some(step), Decision { approved: false, note: note.to_owned(), ..yes() })
    }

    /// Decides for a person; without a step, about the only one that waits.
    ///
    /// # Errors
    /// When the step does not wait, or the decision is refused.
    pub fn decide(&mut self, step: Option<&str>, decision: Decision) -> Result<&mut Trial, Refused> {
        let step: Option<StepPath> = match step {
            Some(step) => Some(step.parse().map_err(|_| Refused(format!("`{step}` is no path of a step")))?),
            None => decision.step.clone(),
        };
        let key = self.new_key();
        self.command(Event::Approve(Decision { key, step, ..decision }))
    }

    /// Pauses the run.
    ///
    /// # Errors
    /// When it has ended.
    pub fn pause(&mut self) -> Result<&mut Trial, Refused> {
        self.command(Event::Pause { reason: SOMEBODY.to_owned() })
    }

    /// Lets the run go on, after a pause or after it failed; `set` are inputs that have other values from now on.
    ///
    /// # Errors
    /// When that is refused.
    pub fn resume(&mut self, from: Option<&str>, set: Map) -> Result<&mut Trial, Refused> {
        let from = match from {
            Some(step) => Some(step.parse().map_err(|_| Refused(format!("`{step}` is no path of a step")))?),
            None => None,
        };
        self.command(Event::Resume { from, set })
    }

    /// Cancels the run.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cancel(&mut self, reason: &str) -> Result<&mut Trial, Refused> {
        self.command(Event::Cancel { reason: reason.to_owned() })
    }

    /// Ends the run at once, without anything being undone.
    ///
    /// # Errors
    /// When it has ended.
    pub fn terminate(&mut self, reason: &str) -> Result<&mut Trial, Refused> {
        self.command(Event::Terminate { reason: reason.to_owned() })
    }

    /// Gives the run a command, and says whether it was refused.
    fn command(&mut self, event: Event) -> Result<&mut Trial, Refused> {
        if !self.run().listens_to(&event) {
            return Err(Refused(format!("the run is {} already", self.status())));
        }
        let change: Change = self.apply(event);
        let refused = change.events.into_iter().find_map(|happened| match happened.what {
            What::Refused { reason, .. } => Some(Refused(reason)),
            _ => None,
        });
        refused.map_or(Ok(self), Err)
    }
}

fn yes() -> Decision {
    Decision {
        key: String::new(),
        step: None,
        approved: true,
        answers: Map::new(),
        choice: None,
        by: SOMEBODY.to_owned(),
        note: String::new(),
    }
}
