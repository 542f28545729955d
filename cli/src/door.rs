//! Which runs a command is about: those of this folder, or those of a fleet.

use crate::failure::Failure;
use crate::fleet::FleetStore;
use crate::folder;
use crate::settings::Settings;
use darkroom_backend::{Definition, Event, Reader, RunFilter, RunSummary, Store as _, StoredRun};
use darkroom_coordinator::{Stored, open_run};
use darkroom_proto::{RunId, Sha256};

/// The runs behind the door that the settings choose, for looking at.
///
/// Of a folder that nobody else has open this is the owner: drop it as soon as the answers are there.
pub(crate) enum Records {
    /// Those of this folder.
    Folder(Reader),
    /// Those of a fleet.
    Fleet(FleetStore),
}

impl Records {
    /// Opens them: the fleet's if one is set, else this folder's.
    pub(crate) async fn open(settings: &Settings) -> Result<Records, Failure> {
        Ok(match settings.fleet()? {
            Some(place) => Records::Fleet(FleetStore::open(&place).await?),
            None => Records::Folder(folder::reader().await?),
        })
    }

    /// Whether no other process can work on these runs as long as this one looks.
    pub(crate) fn keeps_others_out(&self) -> bool {
        matches!(self, Records::Folder(reader) if !reader.is_guest())
    }

    /// Where they are, for messages.
    pub(crate) fn place(&self) -> &'static str {
        match self {
            Records::Folder(_) => "in this folder",
            Records::Fleet(_) => "in this fleet",
        }
    }

    /// Runs, the newest first.
    pub(crate) async fn list(&self, filter: &RunFilter) -> Result<Vec<(RunId, RunSummary)>, Failure> {
        match self {
            Records::Folder(reader) => Ok(reader.list(filter).await?),
            Records::Fleet(fleet) => fleet.store.list(filter).await.map_err(|error| fleet.failed(error)),
        }
    }

    /// What is stored of a run.
    pub(crate) async fn load(&self, run: RunId) -> Result<Option<StoredRun>, Failure> {
        match self {
            Records::Folder(reader) => Ok(reader.load(run).await?),
            Records::Fleet(fleet) => fleet.store.load(run).await.map_err(|error| fleet.failed(error)),
        }
    }

    /// The events of a run after position `after`.
    pub(crate) async fn events(&self, run: RunId, after: u64, limit: usize) -> Result<Vec<Event>, Failure> {
        match self {
            Records::Folder(reader) => Ok(reader.events(run, after, limit).await?),
            Records::Fleet(fleet) => fleet.store.events(run, after, limit).await.map_err(|error| fleet.failed(error)),
        }
    }

    /// A definition.
    pub(crate) async fn definition(&self, hash: Sha256) -> Result<Option<Definition>, Failure> {
        match self {
            Records::Folder(reader) => Ok(reader.definition(hash).await?),
            Records::Fleet(fleet) => fleet.store.definition(hash).await.map_err(|error| fleet.failed(error)),
        }
    }

    /// A run with its plan.
    pub(crate) async fn stored(&self, id: RunId) -> Result<Stored, Failure> {
        let stored = self.load(id).await?.ok_or_else(|| Failure::not_found(format!("there is no run {id}")))?;
        let definition = self.definition(stored.summary.definition).await?;
        let definition = definition.ok_or_else(|| Failure::other(format!("the definition of {id} is missing")))?;
        Ok(open_run(id, &stored, definition)?)
    }
}
