//! Who serves a model.

use darkroom_proto::{ErrorClass, StepError, model};

/// The name of the provider that needs no key.
const LOCAL: &str = "local";

/// Decides who serves the models of steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Routes {
    /// Whether a key of any provider is configured. Only without one do paid models fall back to the local preview:
    /// whoever has keys wants the real thing, or an error.
    pub has_provider_key: bool,
}

impl Routes {
    /// The provider that serves `alias` for an op, if there is one.
    pub fn of(self, op: &str, alias: &str) -> Option<String> {
        let model = model::find(op, alias)?;
        (model.local || !self.has_provider_key).then(|| LOCAL.to_owned())
    }

    /// As `of`, with the error that a step fails with when nobody serves the model.
    pub(crate) fn require(self, op: &str, alias: &str) -> Result<String, StepError> {
        self.of(op, alias).ok_or_else(|| {
            StepError::new(ErrorClass::ModelNotFound, format!("no provider that is configured serves `{alias}` for {op}"))
                .advice("this release has no adapters for paid providers yet: take the provider keys out of the configuration to get local previews, or use `model: local`")
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paid_models_fall_back_to_local_only_when_no_key_at_all_is_configured() {
        let (without, with) = (Routes { has_provider_key: false }, Routes { has_provider_key: true });
        assert_eq!(without.of("image.generate", "flux-pro").as_deref(), Some("local"));
        assert_eq!(with.of("image.generate", "flux-pro"), None);
        assert_eq!(with.of("image.generate", "local").as_deref(), Some("local"));
        assert_eq!(without.of("image.generate", "no-such-model"), None);
    }
}
