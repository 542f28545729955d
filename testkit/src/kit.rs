//! What a trial is made of: a workflow, inputs and mocks.

use crate::error::TestkitError;
use crate::inputs;
use crate::mock::Mock;
use crate::stage::Stage;
use crate::trial::Trial;
use darkroom_engine::plan::Plan;
use darkroom_engine::{Compiled, Pinned, Source, compile, held_op, render};
use darkroom_proto::{Map, StepPath};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A workflow that is to be tried, with the inputs that it gets and what its steps answer.
#[derive(Debug, Clone)]
pub struct Testkit {
    pub(crate) plan: Arc<Plan>,
    /// Where the workflow's file is.
    home: PathBuf,
    /// Where files of inputs and mocks are looked for.
    folder: PathBuf,
    inputs: Map,
    mocks: Vec<(String, Mock)>,
}

impl Testkit {
    /// The workflow in a file. Files of its defaults, and of the inputs and mocks that are given, are relative to its
    /// folder.
    ///
    /// # Errors
    /// When the file can't be read, or is no workflow.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Testkit, TestkitError> {
        let path = path.as_ref();
        let bytes = std::fs::read(path)
            .map_err(|error| TestkitError::Unreadable { path: path.to_path_buf(), why: error.to_string() })?;
        let home = path.parent().unwrap_or(Path::new("")).to_path_buf();
        Testkit::of(&Source::from_bytes(path.display().to_string(), &bytes), home)
    }

    /// A workflow that is given as text; `name` is what its file would be called. Files are relative to the current folder.
    ///
    /// # Errors
    /// When it is no workflow.
    pub fn from_text(name: &str, text: &str) -> Result<Testkit, TestkitError> {
        Testkit::of(&Source::new(name, text), PathBuf::new())
    }

    fn of(source: &Source, home: PathBuf) -> Result<Testkit, TestkitError> {
        match compile(source) {
            Ok(Compiled { plan, .. }) => {
                let (folder, plan) = (home.clone(), Arc::new(plan));
                Ok(Testkit { plan, home, folder, inputs: Map::new(), mocks: Vec::new() })
            }
            Err(diagnostics) => {
                let rendered = render(&diagnostics, source, false);
                Err(TestkitError::Invalid { diagnostics, rendered })
            }
        }
    }

    /// The folder of the workflow's file.
    pub(crate) fn home(&self) -> &Path {
        &self.home
    }

    /// Files of inputs and mocks are relative to this folder.
    #[must_use]
    pub fn folder(mut self, folder: impl Into<PathBuf>) -> Testkit {
        self.folder = folder.into();
        self
    }

    /// Gives an input. Where it is a file, the value is its path, with or without `@`, or `@plain:640x480` for a plain
    /// picture of that size.
    #[must_use]
    pub fn input(mut self, name: &str, value: impl Into<Value>) -> Testkit {
        self.inputs.insert(name.to_owned(), value.into());
        self
    }

    /// What a step answers instead of being done. The path is that of a step, such as `branded[3]/resize`, or a pattern,
    /// such as `branded[*]/resize` or `shots[*]`. An exact path counts more than a pattern, an earlier pattern more than a
    /// later one.
    #[must_use]
    pub fn mock(mut self, path: &str, mock: Mock) -> Testkit {
        self.mocks.push((path.to_owned(), mock));
        self
    }

    /// Starts a run of it.
    ///
    /// # Errors
    /// When an input is missing or of another kind, a file is not there, or a mock is of no step.
    pub fn start(&self) -> Result<Trial, TestkitError> {
        for (path, _) in &self.mocks {
            check_mock(&self.plan, path).map_err(|why| TestkitError::Mock { path: path.clone(), why })?;
        }
        let stage = Stage::new()?;
        let inputs = inputs::complete(&self.plan.inputs, &self.inputs, &stage, &self.folder, &self.home)
            .map_err(|bad| TestkitError::Input { message: bad.message, advice: bad.advice })?;
        let pin = |name: &str| (name.to_owned(), Pinned { definition: self.plan.definition, files: Map::new() });
        let spec = darkroom_engine::Spec {
            artifacts_url: stage.artifacts_url(),
            out: Some(stage.out().display().to_string()),
            // A mock stands for each of them.
            children: self.plan.children().into_iter().map(pin).collect(),
            ..darkroom_engine::Spec::new(&self.plan, inputs, Trial::BEGINS)
        };
        Ok(Trial::start(self.plan.clone(), spec, stage, self.mocks.clone(), self.folder.clone()))
    }
}

/// Whether there can be a mock of this path; else why not.
pub(crate) fn check_mock(plan: &Plan, pattern: &str) -> Result<(), String> {
    let path: StepPath = pattern.replace("[*]", "[1]").replace('*', "any").parse().map_err(|_| {
        "write the path of a step, such as `resize`, `branded[3]/resize` or `branded[*]/resize`".to_owned()
    })?;
    let is_open = pattern.split('/').any(|segment| segment.starts_with('*'));
    if !is_open && !plan.has(&path) {
        return Err(format!("the workflow has no such step{}", did_you_mean(plan, &path)));
    }
    match held_op(plan, &path) {
        Some(op) => Err(format!("`{op}` is performed by the engine, in virtual time: send it events instead")),
        None => Ok(()),
    }
}

fn did_you_mean(plan: &Plan, path: &StepPath) -> String {
    let ids: Vec<&str> = plan.top.nodes.iter().map(|node| plan.node(*node).id.as_str()).collect();
    let top = path.as_str().split(['/', '[']).next().unwrap_or_default();
    match ids.contains(&top) {
        // It is what is under it that is not there.
        true if path.as_str().contains('[') => String::new(),
        true => format!("; items of `{top}` are written `{top}[*]`"),
        false => format!("; {}", darkroom_engine::suggest::advice(top, ids.iter().copied(), "it has no steps")),
    }
}
