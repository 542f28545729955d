//! Workflows by name: those that were pushed, and those that come with this release.

use crate::failure::{EXIT_USAGE, Failure};
use crate::fleet::FleetStore;
use crate::folder;
use crate::output::complain;
use crate::settings::Settings;
use crate::workflow_file::{self, WorkflowFile};
use crate::{catalogue, children};
use darkroom_backend::Store;
use darkroom_coordinator::{Version, WorkflowError, Workflows};
use darkroom_engine::{Source, compile_with, summary};
use std::path::{Path, PathBuf};

/// Whether this is the path of a file rather than a name.
pub(crate) fn is_path(what: &Path) -> bool {
    what.is_file() || what.extension().is_some() || what.components().count() != 1
}

/// Opens what somebody means: a workflow file, or a workflow by its name, with a version behind an `@` or not.
pub(crate) async fn open(what: &Path, settings: &Settings) -> Result<WorkflowFile, Failure> {
    match what.to_str().filter(|_| !is_path(what)) {
        Some(name) => by_name(name, settings).await,
        None => load(what, settings).await,
    }
}

/// Reads a workflow file and compiles it with the workflows that its steps run.
pub(crate) async fn load(path: &Path, settings: &Settings) -> Result<WorkflowFile, Failure> {
    let file = workflow_file::load(path)?;
    with_children(file, path.parent(), settings).await
}

/// Finds the workflows that the steps of a workflow run, and checks what they are given.
async fn with_children(
    file: WorkflowFile,
    folder: Option<&Path>,
    settings: &Settings,
) -> Result<WorkflowFile, Failure> {
    if file.plan.children().is_empty() {
        return Ok(file);
    }
    let (children, library) = children::gather(&file.plan, folder, settings).await?;
    let source = Source::new(file.definition.file.clone(), file.definition.source.clone());
    if let Err(errors) = compile_with(&source, &library) {
        workflow_file::show(&errors, &source);
        complain(&summary(&errors, 1));
        return Err(Failure::printed(EXIT_USAGE));
    }
    Ok(WorkflowFile { children, ..file })
}

/// What is stored under a name, or comes with this release: its text, and whether it is switched off.
pub(crate) struct Found {
    /// The text.
    pub(crate) source: Source,
    /// Whether somebody has switched it off.
    pub(crate) is_off: bool,
}

/// Looks a workflow up: in the fleet if one is set, else in this folder, else among those that come with this release.
pub(crate) async fn look_up(what: &str, settings: &Settings) -> Result<Found, Failure> {
    Ok(find(what, settings).await??)
}

/// The same; the inner error says that there is none.
pub(crate) async fn find(what: &str, settings: &Settings) -> Result<Result<Found, WorkflowError>, Failure> {
    let stored = match settings.fleet()? {
        Some(place) => in_store(FleetStore::open(&place).await?.store, what).await,
        None if has_state() => in_store(folder::store(&folder::state()).await?, what).await,
        None => Err(WorkflowError::Missing(Version::split(what).0.to_owned())),
    };
    Ok(match (stored, Version::split(what)) {
        (Err(WorkflowError::Missing(name)), (_, Version::Latest)) => match catalogue::find(&name) {
            Some(source) => Ok(Found { source, is_off: false }),
            None => Err(WorkflowError::Missing(name)),
        },
        (stored, _) => stored,
    })
}

/// Whether this folder has state.
pub(crate) fn has_state() -> bool {
    folder::state().join("state.redb").exists()
}

async fn in_store<S: Store>(store: S, what: &str) -> Result<Found, WorkflowError> {
    let (name, version) = Version::split(what);
    let workflows = Workflows::new(store);
    let record = workflows.get(name).await?;
    let (_, push) = record.find(name, &version)?;
    let definition = workflows.definition(push).await?;
    Ok(Found { source: Source::new(definition.file, definition.source), is_off: !record.enabled })
}

/// A workflow by its name. The files that its inputs have as defaults are looked for in the current folder.
async fn by_name(what: &str, settings: &Settings) -> Result<WorkflowFile, Failure> {
    let Found { source, is_off } = look_up(what, settings).await?;
    let file = workflow_file::compiled(&source, PathBuf::new())?;
    let file = with_children(file, None, settings).await?;
    Ok(WorkflowFile { is_off, ..file })
}

impl From<WorkflowError> for Failure {
    fn from(error: WorkflowError) -> Failure {
        let message = error.to_string();
        match error {
            WorkflowError::Missing(_) => Failure::not_found(message).advice(
                "`darkroom workflows list` shows which there are; a file is named with its ending, such as shop.yaml",
            ),
            WorkflowError::NoVersion { name, .. } | WorkflowError::Ambiguous { name, .. } => {
                Failure::not_found(message).advice(format!("`darkroom workflows history {name}` shows its versions"))
            }
            WorkflowError::TooMany(_) => Failure::conflict(message).advice("push it under another name"),
            WorkflowError::Lost(_) => Failure::other(message).advice("push the workflow again"),
            WorkflowError::Busy(_) => Failure::conflict(message).advice("try again"),
            WorkflowError::Store(error) => error.into(),
            WorkflowError::Record(error) => error.into(),
        }
    }
}
