//! The user's own models: the file that `models.file` names.

use crate::failure::Failure;
use crate::settings::Settings;
use darkroom_proto::model;
use darkroom_provider::{adapters, mapping};

/// The largest file that is read.
const BYTES_MAX: u64 = 1 << 20;

/// Adds them to the catalogue, if there are any. Before anything looks into it, once in a process.
pub(crate) fn register() -> Result<(), Failure> {
    // Settings that can't be used are reported by the command that uses them.
    let Ok(settings) = Settings::load() else { return Ok(()) };
    let Some(path) = settings.models.file.as_deref().filter(|path| !path.trim().is_empty()) else { return Ok(()) };
    let wrong = |why: String| {
        Failure::usage(format!("models.file: {path}: {why} (in {})", Settings::origin("models.file")))
            .advice("correct the file, or take `models.file` out of the settings; `darkroom providers models` lists what is known")
    };
    let about = std::fs::metadata(path).map_err(|error| wrong(error.to_string()))?;
    if about.len() > BYTES_MAX {
        return Err(wrong(format!("it is over {BYTES_MAX} bytes")));
    }
    let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
    model::with_user_models(&text).map_err(|error| wrong(error.to_string()))?;
    for (model, route) in model::all().iter().flat_map(|model| model.routes.iter().map(move |route| (model, route))) {
        let alias = &model.alias;
        mapping::check(route).map_err(|why| wrong(format!("`{alias}`, {}: {why}", route.provider)))?;
        if !adapters().iter().any(|adapter| adapter.name() == route.provider) {
            let known: Vec<&str> = adapters().iter().map(|adapter| adapter.name()).collect();
            let message =
                format!("`{alias}`: there is no provider `{}`; there are {}", route.provider, known.join(", "));
            return Err(wrong(message));
        }
    }
    Ok(())
}
