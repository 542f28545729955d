//! What models cost at whoever serves them here.

use crate::settings::Settings;
use darkroom_engine::preview::Offer;
use darkroom_proto::model;
use darkroom_worker::Routes;

/// Who serves a model for an op, and for how much, with these settings.
pub(crate) fn offers(settings: &Settings) -> impl Fn(&str, &str) -> Option<Offer> {
    let routes = Routes { has_provider_key: settings.has_provider_key() };
    move |op, name| {
        let provider = routes.of(op, name)?;
        let route =
            model::find(op, name).and_then(|model| model.routes.iter().find(|route| route.provider == provider));
        Some(route.map_or_else(|| Offer::local(provider), Offer::of))
    }
}
