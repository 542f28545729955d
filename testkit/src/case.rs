//! Tests that are written in a file: `NAME.test.yaml`.

use crate::error::{Refused, TestkitError};
use crate::expectation::Expectation;
pub use crate::expectation::Mismatch;
use crate::kit::Testkit;
use crate::mock::Mock;
use crate::read;
use crate::trial::Trial;
use darkroom_engine::{Decision, Source, render};
use darkroom_proto::{Duration, Map, StepStatus};
use serde::Serialize;
use serde_json::Value;
use std::path::Path;

/// The tests of one file.
#[derive(Debug)]
pub struct TestFile {
    cases: Vec<Case>,
}

/// One test: what a workflow is given, what happens to it, and what is expected of it.
#[derive(Debug, Clone)]
pub struct Case {
    pub(crate) name: String,
    pub(crate) kit: Testkit,
    pub(crate) events: Vec<Happening>,
    pub(crate) expectation: Expectation,
}

/// Something that happens to the run from outside.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Happening {
    /// As soon as this step waits.
    pub(crate) when: Option<String>,
    /// So much later.
    pub(crate) after: Option<Duration>,
    pub(crate) command: Option<Command>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Command {
    Signal { name: String, data: Value, by: String },
    Decide(Decision),
    Cancel(String),
    Terminate(String),
    Pause,
    Resume { from: Option<String>, set: Map },
}

/// How a test went.
#[derive(Debug, Clone, Serialize)]
pub struct Verdict {
    /// The test's name.
    pub name: String,
    /// What came otherwise than expected; nothing when the test passed.
    pub mismatches: Vec<Mismatch>,
    /// What happened in the trial, a line each.
    pub timeline: Vec<String>,
}

impl Verdict {
    /// Whether everything came as expected.
    pub fn passed(&self) -> bool {
        self.mismatches.is_empty()
    }
}

impl TestFile {
    /// Reads a file of tests and the workflow that it names, and checks the one against the other.
    ///
    /// # Errors
    /// When one of them can't be read, or has mistakes.
    pub fn read(path: &Path) -> Result<TestFile, TestkitError> {
        let bytes = std::fs::read(path)
            .map_err(|error| TestkitError::Unreadable { path: path.to_path_buf(), why: error.to_string() })?;
        let source = Source::from_bytes(path.display().to_string(), &bytes);
        let folder = path.parent().unwrap_or(Path::new(""));
        match read::read(&source, folder)? {
            Ok(cases) => Ok(TestFile { cases }),
            Err(diagnostics) => {
                let rendered = render(&diagnostics, &source, false);
                Err(TestkitError::Invalid { diagnostics, rendered })
            }
        }
    }

    /// Its tests, in the order of the file.
    pub fn cases(&self) -> &[Case] {
        &self.cases
    }
}

impl Case {
    /// The test's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs it.
    pub fn run(&self) -> Verdict {
        let mut verdict = Verdict { name: self.name.clone(), mismatches: Vec::new(), timeline: Vec::new() };
        let mut trial = match self.kit.start() {
            Ok(trial) => trial,
            Err(error) => {
                verdict.mismatches.push(Mismatch::new("start", "a run", error.to_string()));
                return verdict;
            }
        };
        match self.play(&mut trial) {
            Ok(()) => verdict.mismatches = self.expectation.mismatches(&trial),
            Err(mismatch) => verdict.mismatches.push(mismatch),
        }
        verdict.timeline = trial.timeline();
        verdict
    }

    fn play(&self, trial: &mut Trial) -> Result<(), Mismatch> {
        for (number, happening) in self.events.iter().enumerate() {
            let what = format!("events[{number}]");
            if let Some(step) = &happening.when {
                let waits = trial.wait_until(step, |status| status == StepStatus::Waiting);
                waits.map_err(|refused| Mismatch::new(&what, format!("`{step}` waits"), refused.0))?;
            }
            match (happening.after, &happening.when) {
                (Some(after), _) => drop(trial.advance(after.to_std())),
                (None, None) => drop(trial.run_until_idle()),
                (None, Some(_)) => {}
            }
            if let Some(command) = &happening.command {
                command.give(trial).map_err(|refused| Mismatch::new(&what, "taken", format!("refused: {refused}")))?;
            }
        }
        let status = self.expectation.status();
        match status.is_terminal() {
            true => drop(trial.finish()),
            // Whether it came to it, the expectation tells.
            false => drop(trial.wait_for_status(status)),
        }
        Ok(())
    }
}

impl Command {
    fn give(&self, trial: &mut Trial) -> Result<(), Refused> {
        match self {
            Command::Signal { name, data, by } => trial.signal_by(name, data.clone(), by),
            Command::Decide(decision) => trial.decide(None, decision.clone()),
            Command::Cancel(reason) => trial.cancel(reason),
            Command::Terminate(reason) => trial.terminate(reason),
            Command::Pause => trial.pause(),
            Command::Resume { from, set } => trial.resume(from.as_deref(), set.clone()),
        }
        .map(|_| ())
    }
}

/// A mock by the path that it is for.
pub(crate) type Mocks = Vec<(String, Mock)>;
