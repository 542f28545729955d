//! The model catalogue: aliases that workflows name, and who offers them.

use serde::Deserialize;
use std::sync::LazyLock;

/// A model that a workflow can name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name in workflows.
    pub alias: String,
    /// The op that it serves.
    pub capability: String,
    /// What it is, for people.
    pub title: String,
    /// Whether it is built in and needs no key.
    #[serde(default)]
    pub local: bool,
    /// Who offers it, in order of preference.
    #[serde(default)]
    pub providers: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    model: Vec<Model>,
}

static MODELS: LazyLock<Vec<Model>> =
    LazyLock::new(|| match toml::from_str::<Catalogue>(include_str!("models.toml")) {
        Ok(catalogue) => catalogue.model,
        // The file is compiled in and a test reads it: this can't be reached in a release.
        Err(error) => unreachable!("models.toml: {error}"),
    });

/// Every model of the built-in catalogue.
pub fn all() -> &'static [Model] {
    &MODELS
}

/// The model that `name` means for the op `capability`: an alias, or `provider/alias`.
pub fn find(capability: &str, name: &str) -> Option<&'static Model> {
    let of = |alias: &str| all().iter().find(|model| model.capability == capability && model.alias == alias);
    of(name).or_else(|| {
        let (provider, alias) = name.split_once('/')?;
        of(alias).filter(|model| model.providers.iter().any(|offered| offered == provider))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_found_by_alias_and_by_provider_and_alias() {
        assert!(find("image.generate", "flux-pro").is_some());
        assert!(find("image.generate", "fal/flux-pro").is_some());
        assert!(find("image.generate", "google/flux-pro").is_none());
        assert!(find("image.detect", "flux-pro").is_none());
        assert!(find("image.detect", "detect").is_some_and(|model| model.local));
    }
}
