//! Workflows by name: those that were pushed, and those that come with this release.

use crate::catalogue;
use crate::failure::Failure;
use crate::fleet::FleetStore;
use crate::folder;
use crate::settings::Settings;
use crate::workflow_file::{self, WorkflowFile};
use darkroom_backend::Store;
use darkroom_coordinator::{Version, WorkflowError, Workflows};
use darkroom_engine::Source;
use std::path::{Path, PathBuf};

/// Whether this is the path of a file rather than a name.
pub(crate) fn is_path(what: &Path) -> bool {
    what.is_file() || what.extension().is_some() || what.components().count() != 1
}

/// Opens what somebody means: a workflow file, or a workflow by its name, with a version behind an `@` or not.
pub(crate) async fn open(what: &Path, settings: &Settings) -> Result<WorkflowFile, Failure> {
    match what.to_str().filter(|_| !is_path(what)) {
        Some(name) => by_name(name, settings).await,
        None => workflow_file::load(what),
    }
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
    let stored = match settings.fleet()? {
        Some(place) => in_store(FleetStore::open(&place).await?.store, what).await,
        None if has_state() => in_store(folder::store(&folder::state()).await?, what).await,
        None => Err(WorkflowError::Missing(Version::split(what).0.to_owned())),
    };
    match (stored, Version::split(what)) {
        (Err(WorkflowError::Missing(name)), (_, Version::Latest)) => match catalogue::find(&name) {
            Some(source) => Ok(Found { source, is_off: false }),
            None => Err(WorkflowError::Missing(name).into()),
        },
        (stored, _) => Ok(stored?),
    }
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
