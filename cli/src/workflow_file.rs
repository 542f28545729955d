//! Workflow files: found, read, compiled, and what is wrong with them shown.

use crate::children::ChildFile;
use crate::failure::{EXIT_USAGE, Failure};
use crate::output::{color_on_stderr, complain};
use darkroom_backend::Definition;
use darkroom_engine::plan::Plan;
use darkroom_engine::schedule::Declared;
use darkroom_engine::source::BYTES_MAX;
use darkroom_engine::{About, Compiled, Diagnostic, Source, compile, recipe, render, summary};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A workflow that compiled, and where it came from.
pub(crate) struct WorkflowFile {
    /// What was compiled.
    pub(crate) plan: Arc<Plan>,
    /// What is kept of it.
    pub(crate) definition: Definition,
    /// What a catalogue shows of it.
    pub(crate) about: About,
    /// Whether its file lets it be run.
    pub(crate) enabled: bool,
    /// Whether somebody has switched it off under its name.
    pub(crate) is_off: bool,
    /// When its runs start by themselves.
    pub(crate) schedules: Vec<Declared>,
    /// The folder that default paths are relative to.
    pub(crate) folder: PathBuf,
    /// The workflows that its steps run, and those that these run.
    pub(crate) children: Vec<ChildFile>,
}

impl WorkflowFile {
    /// Refuses to run what is switched off.
    pub(crate) fn check_enabled(&self, name: &Path) -> Result<(), Failure> {
        let off = |advice: String| Err(Failure::conflict(format!("{} is switched off", name.display())).advice(advice));
        if self.is_off {
            return off(format!("`darkroom workflows enable {}` lets it be run again", self.plan.workflow));
        }
        match self.enabled {
            true => Ok(()),
            false => off("its file says `enabled: false`".to_owned()),
        }
    }
}

/// Reads a file and compiles it; prints what is wrong with it.
pub(crate) fn load(path: &Path) -> Result<WorkflowFile, Failure> {
    let file = compiled(&read(path)?, path.parent().map(Path::to_path_buf).unwrap_or_default())?;
    warn_of_missing(&file.about, path);
    Ok(file)
}

/// Compiles a workflow; prints what is wrong with it.
pub(crate) fn compiled(source: &Source, folder: PathBuf) -> Result<WorkflowFile, Failure> {
    match compile(source) {
        Ok(Compiled { plan, warnings, about, .. }) => {
            show(&warnings, source);
            let (file, text) = kept(source);
            let definition = Definition { hash: plan.definition, workflow: plan.workflow.clone(), file, source: text };
            Ok(WorkflowFile {
                plan: Arc::new(plan),
                definition,
                enabled: about.enabled,
                is_off: false,
                schedules: about.schedules.clone(),
                about,
                folder,
                children: Vec::new(),
            })
        }
        Err(errors) => {
            show(&errors, source);
            complain(&summary(&errors, 1));
            Err(Failure::printed(EXIT_USAGE))
        }
    }
}

/// The name and the text under which a file is kept. Of a recipe it is the workflow file that it means: later releases may
/// know more verbs, and what a run was started with stays what it was.
fn kept(source: &Source) -> (String, String) {
    match recipe::is_recipe(source).then(|| recipe::to_yaml(source)) {
        Some(Ok(yaml)) => (Path::new(source.name()).with_extension("yaml").display().to_string(), yaml),
        _ => (source.name().to_owned(), source.text().to_owned()),
    }
}

/// Warns of previews that are not there: they are for catalogues, and no reason not to run.
pub(crate) fn warn_of_missing(about: &About, path: &Path) {
    let folder = path.parent().unwrap_or(Path::new(""));
    for (key, file) in [("ui.preview", &about.preview), ("ui.thumbnail", &about.thumbnail)] {
        if let Some(file) = file
            && !file.contains("://")
            && !folder.join(file).exists()
        {
            complain(&format!("warning: {}: `{key}`: there is no file {file}", path.display()));
        }
    }
}

/// Reads a file as a source; what is wrong inside it is told by compiling it.
pub(crate) fn read(path: &Path) -> Result<Source, Failure> {
    let name = path.display().to_string();
    let failed = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => Failure::usage(format!("there is no file {name}"))
            .advice("give the path of a workflow file, such as workflows/product-photo.yaml"),
        _ => Failure::usage(format!("{name} can't be read: {error}")),
    };
    let file = std::fs::File::open(path).map_err(failed)?;
    if file.metadata().map_err(failed)?.is_dir() {
        return Err(Failure::usage(format!("{name} is a folder, not a workflow file")));
    }
    let mut bytes = Vec::new();
    // One byte more than is allowed shows that it is too long.
    file.take(BYTES_MAX as u64 + 1).read_to_end(&mut bytes).map_err(failed)?;
    Ok(Source::from_bytes(name.as_str(), &bytes))
}

/// Prints diagnostics.
pub(crate) fn show(diagnostics: &[Diagnostic], source: &Source) {
    if !diagnostics.is_empty() {
        complain(render(diagnostics, source, color_on_stderr()).trim_end());
    }
}
