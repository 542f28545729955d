//! The model catalogue: aliases that workflows name, and who offers them.

use crate::{Duration, Map, Money};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// A model that a workflow can name.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
    /// Other names of it, such as a provider's own.
    #[serde(default)]
    pub aka: Vec<String>,
    /// Who offers it and how, in order of preference.
    #[serde(default, rename = "route")]
    pub routes: Vec<Route>,
}

/// A model as one provider offers it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// The provider.
    pub provider: String,
    /// What the provider calls the model, or the path of its endpoint.
    pub endpoint: String,
    /// What the provider calls our parameters: `name` or `name:form`, by the names of the op table. What is not here is
    /// ignored by this route, and said to be.
    #[serde(default)]
    pub map: BTreeMap<String, String>,
    /// Parameters without which this route is not taken, such as `image` of one that only animates pictures.
    #[serde(default)]
    pub needs: Vec<String>,
    /// Parameters with which this route is not taken, because leaving them out would be another job.
    #[serde(default)]
    pub refuses: Vec<String>,
    /// What is always sent, by the provider's names.
    #[serde(default)]
    pub fixed: Map,
    /// What one call costs.
    #[serde(default)]
    pub price: Option<Price>,
    /// How long a job usually takes.
    #[serde(default)]
    pub usually: Option<Duration>,
    /// The day from which the provider does not offer it any more, as `2026-10-23`.
    #[serde(default)]
    pub retires: Option<String>,
    /// What the provider offers instead.
    #[serde(default)]
    pub successor: Option<String>,
    /// How many calls of it may be under way with one key, if fewer than the provider's own limit.
    #[serde(default)]
    pub at_once: Option<u32>,
    /// Whether it is another model than the alias says, taken only where the user agreed to substitutes.
    #[serde(default)]
    pub substitute: bool,
    /// Why it is not used, if it is not.
    #[serde(default)]
    pub disabled: Option<String>,
}

/// What a call costs, as far as that is known before it is made.
#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// US dollars for one unit, at least.
    pub low: f64,
    /// US dollars for one unit, at most: what is set aside before the call.
    pub high: f64,
    /// What is counted.
    pub per: Unit,
    /// Where the figure comes from, and from when it is.
    pub source: String,
}

/// What a price is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// A call, whatever it makes.
    Call,
    /// A million pixels of output, rounded up.
    Megapixel,
    /// A second of film.
    Second,
    /// A thousand characters of text, rounded up.
    ThousandCharacters,
}

impl Price {
    /// What so many units cost at most.
    pub fn at_most(&self, units: f64) -> Money {
        Money::from_usd(self.high * units)
    }

    /// What so many units cost at least.
    pub fn at_least(&self, units: f64) -> Money {
        Money::from_usd(self.low * units)
    }
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
        of(alias).filter(|model| model.routes.iter().any(|route| route.provider == provider))
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
