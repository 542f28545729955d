//! Whether what was in the way of a parked step has gone.

use darkroom_backend::{Condition, Fitness};
use darkroom_engine::Parked;
use darkroom_proto::{ErrorClass, Timestamp, model};
use std::collections::BTreeMap;

/// What is known of a provider.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct ProviderSight {
    /// The keys that are configured somewhere.
    pub(crate) keys: Vec<String>,
    /// The keys and routes that something is known of.
    pub(crate) conditions: Vec<Condition>,
}

/// The providers that have to be asked about before a parked step can be judged; none if time alone decides.
pub(crate) fn providers_of(parked: &Parked, now: Timestamp) -> Vec<&'static str> {
    if !waits_for_a_key(parked.class) {
        return Vec::new();
    }
    routes_of(parked, now).map(|route| route.provider.as_str()).collect()
}

/// Whether a parked step may be tried again. One whose time has not come yet is only tried for a key that is usable again:
/// nothing else tells that it would go better now.
pub(crate) fn is_ready(parked: &Parked, providers: &BTreeMap<&'static str, ProviderSight>, now: Timestamp) -> bool {
    if !waits_for_a_key(parked.class) {
        return parked.at <= now;
    }
    routes_of(parked, now).any(|route| {
        let sight = providers.get(route.provider.as_str());
        sight.is_some_and(|sight| sight.serves(&route.endpoint, now))
    })
}

/// Whether steps of this class wait until a key has quota again, or is another one.
fn waits_for_a_key(class: ErrorClass) -> bool {
    matches!(class, ErrorClass::QuotaExceeded | ErrorClass::InvalidKey)
}

/// The routes by which the model of a step can be had today.
fn routes_of(parked: &Parked, now: Timestamp) -> impl Iterator<Item = &'static model::Route> {
    let (name, today) = (parked.model.as_deref().unwrap_or_default(), now.to_string());
    // A time begins with its day, of ten characters.
    model::offers(parked.op, name, today.get(..10).unwrap_or_default()).into_iter()
}

impl ProviderSight {
    /// Whether a call to this endpoint may go well: nothing is known against it, nor against one of the keys.
    fn serves(&self, endpoint: &str, now: Timestamp) -> bool {
        let route = format!("route/{endpoint}");
        let is_bad = |of: &str| self.conditions.iter().any(|condition| condition.of == of && is_bad(condition, now));
        // Where nobody said which keys there are, those count that something is known of.
        let known = self.conditions.iter().filter_map(|condition| condition.of.strip_prefix("key/"));
        let mut keys: Vec<&str> = self.keys.iter().map(String::as_str).collect();
        if keys.is_empty() {
            keys = known.collect();
        }
        !is_bad(&route) && keys.iter().any(|key| !is_bad(&format!("key/{key}")))
    }
}

/// Whether a key or a route is of no use now. Once its time has run out, somebody may try it.
fn is_bad(condition: &Condition, now: Timestamp) -> bool {
    match condition.state {
        Fitness::Healthy => false,
        Fitness::Disabled => true,
        Fitness::Cooling | Fitness::Exhausted | Fitness::Invalid | Fitness::Open | Fitness::Missing => {
            condition.until > now
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_proto::StepPath;

    const NOW: Timestamp = Timestamp(1_000_000);

    fn parked(class: ErrorClass, model: &str, at: u64) -> Parked {
        Parked { path: StepPath::top("a"), class, op: "image.generate", model: Some(model.into()), at: Timestamp(at) }
    }

    fn condition(of: &str, state: Fitness, until: u64) -> Condition {
        Condition { of: of.into(), state, until: Timestamp(until), times: 1, recent: 0, seen: 0, note: String::new() }
    }

    fn sight(keys: &[&str], conditions: Vec<Condition>) -> ProviderSight {
        ProviderSight { keys: keys.iter().map(|key| (*key).to_owned()).collect(), conditions }
    }

    #[test]
    fn what_passes_by_itself_is_tried_when_its_time_has_come_and_not_before() {
        for class in [ErrorClass::RateLimit, ErrorClass::Timeout, ErrorClass::ServerUnavailable, ErrorClass::Network] {
            assert!(providers_of(&parked(class, "flux-pro", 0), NOW).is_empty());
            assert!(is_ready(&parked(class, "flux-pro", NOW.0), &BTreeMap::new(), NOW));
            assert!(!is_ready(&parked(class, "flux-pro", NOW.0 + 1), &BTreeMap::new(), NOW));
        }
    }

    #[test]
    fn a_step_without_quota_or_key_is_tried_as_soon_as_a_key_and_a_route_of_its_model_are_usable() {
        let bad = |of: &str, state| condition(of, state, NOW.0 + 1);
        let cases = [
            ("nothing is known", sight(&[], vec![]), false),
            ("its key is exhausted", sight(&["k1"], vec![bad("key/k1", Fitness::Exhausted)]), false),
            ("its key is invalid", sight(&["k1"], vec![bad("key/k1", Fitness::Invalid)]), false),
            ("its key was replaced", sight(&["k2"], vec![bad("key/k1", Fitness::Invalid)]), true),
            ("one of two keys", sight(&["k1", "k2"], vec![bad("key/k1", Fitness::Exhausted)]), true),
            ("both keys", sight(&["k1"], vec![bad("key/k1", Fitness::Cooling), bad("key/k2", Fitness::Open)]), false),
            ("the time has run out", sight(&["k1"], vec![condition("key/k1", Fitness::Exhausted, NOW.0)]), true),
            ("out of use", sight(&["k1"], vec![condition("key/k1", Fitness::Disabled, NOW.0)]), false),
            ("healthy again", sight(&["k1"], vec![bad("key/k1", Fitness::Healthy)]), true),
            ("seen, not announced", sight(&[], vec![bad("key/k1", Fitness::Healthy)]), true),
        ];
        for (name, sight, want) in cases {
            let step = parked(ErrorClass::QuotaExceeded, "flux-pro", NOW.0 + 99);
            let providers = BTreeMap::from([("fal", sight)]);
            assert_eq!(is_ready(&step, &providers, NOW), want, "{name}");
        }
    }

    #[test]
    fn a_route_that_fails_is_not_usable_and_another_one_is() {
        let step = parked(ErrorClass::InvalidKey, "flux-pro", NOW.0);
        let providers = providers_of(&step, NOW);
        assert!(providers.contains(&"fal") && providers.contains(&"replicate"), "{providers:?}");
        let model = model::find("image.generate", "flux-pro").unwrap();
        let of_fal = model.routes.iter().filter(|route| route.provider == "fal");
        let broken: Vec<Condition> =
            of_fal.map(|route| condition(&format!("route/{}", route.endpoint), Fitness::Open, NOW.0 + 1)).collect();
        let mut sights = BTreeMap::from([("fal", sight(&["k1"], broken))]);
        assert!(!is_ready(&step, &sights, NOW));
        sights.insert("replicate", sight(&["k3"], vec![]));
        assert!(is_ready(&step, &sights, NOW));
    }

    #[test]
    fn a_step_that_names_its_provider_waits_for_that_one() {
        let step = parked(ErrorClass::QuotaExceeded, "fal/flux-pro", NOW.0);
        assert!(providers_of(&step, NOW).iter().all(|provider| *provider == "fal"));
        assert!(!is_ready(&step, &BTreeMap::from([("replicate", sight(&["k3"], vec![]))]), NOW));
        let at_fal = BTreeMap::from([("fal", sight(&["k1"], vec![]))]);
        assert!(is_ready(&step, &at_fal, NOW));
        let by_another_name = parked(ErrorClass::QuotaExceeded, "black-forest-labs/flux-1.1-pro", NOW.0);
        assert!(is_ready(&by_another_name, &at_fal, NOW), "it is the same model");
    }
}
