//! Whose something is.

use serde::{Deserialize, Deserializer, Serialize};
use std::sync::Arc;

/// The longest name of a tenant.
const LENGTH_MAX: usize = 40;

/// Whose runs, keys, events and money something is among: what one tenant has, no other one sees. Small letters, digits and
/// `-`, a letter first, at most 40. Who does not say is `default`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Tenant(Arc<str>);

/// The text is no name of a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected small letters, digits and `-`, a letter first, at most {LENGTH_MAX}")]
pub struct ParseTenantError;

impl Tenant {
    const DEFAULT: &'static str = "default";

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether nobody said whose it is.
    pub fn is_default(&self) -> bool {
        &*self.0 == Self::DEFAULT
    }
}

impl Default for Tenant {
    fn default() -> Self {
        Tenant(Self::DEFAULT.into())
    }
}

impl std::fmt::Display for Tenant {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::str::FromStr for Tenant {
    type Err = ParseTenantError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let shaped = text.starts_with(|c: char| c.is_ascii_lowercase()) && text.chars().all(fits);
        if shaped && text.len() <= LENGTH_MAX { Ok(Tenant(text.into())) } else { Err(ParseTenantError) }
    }
}

impl<'de> Deserialize<'de> for Tenant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_tenants_fit_into_keys_and_addresses() {
        for good in ["default", "acme", "a", "team-7"] {
            assert_eq!(good.parse::<Tenant>().unwrap().as_str(), good);
        }
        for bad in ["", "7", "-a", "Acme", "a b", "a:b", "ä", &"a".repeat(41)] {
            assert!(bad.parse::<Tenant>().is_err(), "{bad}");
        }
        assert!(Tenant::default().is_default());
    }
}
