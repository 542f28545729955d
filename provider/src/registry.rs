//! Every adapter, by its name.

use crate::adapter::Adapter;
use crate::fal::Fal;
use crate::google::Google;
use crate::openai::OpenAi;
use crate::replicate::Replicate;

/// Every adapter of this release.
pub fn adapters() -> &'static [&'static dyn Adapter] {
    &[&Fal, &Replicate, &OpenAi, &Google]
}

/// The adapter of this name.
pub fn find(name: &str) -> Option<&'static dyn Adapter> {
    adapters().iter().copied().find(|adapter| adapter.name() == name)
}
