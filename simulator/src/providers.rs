//! The providers, one file each.

mod fal;

use crate::provider::Provider;

/// Every provider that is simulated.
pub(crate) fn all() -> Vec<Box<dyn Provider>> {
    vec![Box::new(fal::Fal)]
}
