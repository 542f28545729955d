//! A recipe as the workflow file that it means.

use crate::failure::{EXIT_USAGE, Failure};
use crate::output::{complain, say};
use crate::workflow_file;
use darkroom_engine::{compile, recipe, summary};
use std::path::Path;

/// Prints the workflow file, or writes it to `out`.
pub(super) fn run(path: &Path, out: Option<&Path>) -> Result<(), Failure> {
    let source = workflow_file::read(path)?;
    if !recipe::is_recipe(&source) {
        return Err(Failure::usage(format!("{} is a workflow file already", path.display()))
            .advice("a recipe is a file whose name ends in .txt, or whose first line begins as one"));
    }
    // What is wrong further on is worth knowing before the file is used.
    let written = compile(&source).map(|compiled| compiled.warnings).and_then(|warnings| {
        workflow_file::show(&warnings, &source);
        recipe::to_yaml(&source)
    });
    let yaml = written.map_err(|errors| {
        workflow_file::show(&errors, &source);
        complain(&summary(&errors, 1));
        Failure::printed(EXIT_USAGE)
    })?;
    match out {
        None => say(yaml.trim_end()),
        Some(out) => std::fs::write(out, yaml)
            .map_err(|error| Failure::usage(format!("{} can't be written: {error}", out.display())))?,
    }
    Ok(())
}
