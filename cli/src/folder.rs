//! The `.darkroom` folder: where the state and the artifacts of this folder's runs are.

use crate::failure::Failure;
use crate::settings::Settings;
use darkroom_backend::{Artifacts, EmbeddedStore, Reader, RunFilter, SocketClient, StoreError};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The folder of the state, relative to the current one.
pub(crate) const STATE: &str = ".darkroom";

/// The state folder.
pub(crate) fn state() -> PathBuf {
    PathBuf::from(STATE)
}

/// The artifacts that the settings point to.
pub(crate) fn artifacts(settings: &Settings) -> Result<Artifacts, Failure> {
    let url = &settings.artifacts.url;
    let path = match url.split_once("://") {
        None => PathBuf::from(url),
        Some(("file", path)) if path.starts_with('/') => PathBuf::from(path),
        Some((scheme, _)) => {
            return Err(Failure::usage(format!("artifacts can't be kept at a `{scheme}` URL in this release"))
                .advice("set artifacts.url to a folder or a file:/// URL"));
        }
    };
    let path = std::path::absolute(&path).map_err(|error| Failure::other(format!("{}: {error}", path.display())))?;
    Ok(Artifacts::open(&path)?)
}

/// How long the state may still be held by a process that only looks, was just killed, or is just starting or ending.
const PATIENCE: Duration = Duration::from_secs(10);

/// The state for writing. While a run is under way here it is that run's.
pub(crate) async fn store(state: &Path) -> Result<EmbeddedStore, Failure> {
    match EmbeddedStore::open(state) {
        // Whoever answers on the socket is alive, and is not waited for.
        Err(StoreError::InUse { .. }) if !is_answered(state).await => EmbeddedStore::open_within(state, PATIENCE).await,
        opened => opened,
    }
    .map_err(|error| unusable(state, error))
}

/// Whether a live process owns the state of a folder.
async fn is_answered(state: &Path) -> bool {
    let ask = async {
        let client = SocketClient::connect(&Reader::socket(state)).await?;
        client.list(&RunFilter { limit: 1, ..RunFilter::default() }).await
    };
    tokio::time::timeout(Duration::from_millis(500), ask).await.is_ok_and(|answer| answer.is_ok())
}

/// The state can't be opened: which, and what to do.
fn unusable(state: &Path, error: StoreError) -> Failure {
    let place = state.join("state.redb").display().to_string();
    let why = match &error {
        StoreError::Unavailable(why) => why.clone(),
        StoreError::Corrupt { .. } => error.to_string(),
        StoreError::InUse { .. }
        | StoreError::Fenced { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Unreachable { .. } => return error.into(),
    };
    let advice = format!(
        "check that the disk has room and {} may be written; if another release wrote it, use that one, or move the \
         folder away to start afresh",
        state.display()
    );
    Failure::from(error).saying(format!("{place} can't be used: {why}")).advice(advice)
}

/// The state for reading, whether or not a run is under way here.
pub(crate) async fn reader() -> Result<Reader, Failure> {
    let folder = state();
    if !Path::new(&folder).join("state.redb").exists() {
        return Err(Failure::not_found("there are no runs in this folder yet")
            .advice("run one: darkroom run workflows/product-photo.yaml"));
    }
    Reader::open(&folder).await.map_err(|error| unusable(&folder, error))
}
