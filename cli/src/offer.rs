//! What models cost at whoever serves them here.

use crate::settings::Settings;
use darkroom_backend::Clock;
use darkroom_engine::preview::Offer;
use darkroom_proto::model;
use darkroom_worker::Routes;
use std::collections::BTreeSet;

/// Who serves a model for an op, and for how much, with these settings.
pub(crate) fn offers(settings: &Settings) -> impl Fn(&str, &str) -> Option<Offer> {
    let routes = Routes { has_provider_key: settings.has_provider_key() };
    let options = crate::accounts::options(settings);
    let is_configured = |(_, provider): &(&String, &darkroom_worker::ProviderOptions)| {
        !provider.keys.is_empty() || provider.base_url.is_some()
    };
    let configured: BTreeSet<String> = options.iter().filter(is_configured).map(|(name, _)| name.clone()).collect();
    let today = Clock::system().now().to_string();
    move |op, name| {
        let mut offered = model::offers(op, name, &today[..10]).into_iter();
        if let Some(route) = offered.find(|route| configured.contains(&route.provider)) {
            return Some(Offer::of(route));
        }
        routes.of(op, name).map(Offer::local)
    }
}
