//! The model catalogue: aliases that workflows name, and who offers them.

use crate::{Duration, Map, Money};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::OnceLock;

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
    /// Whether it is built in and needs no key. It may have routes besides, which are better where a key is.
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
    /// What is sent where nothing else is said, by the provider's names.
    #[serde(default)]
    pub defaults: Map,
    /// What one call costs.
    #[serde(default)]
    pub price: Option<Price>,
    /// How long a job usually takes: `8s` in the file.
    #[serde(default, deserialize_with = "span")]
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
    /// Whether it is another model than the alias says, taken only where the workflow names it with its provider.
    #[serde(default)]
    pub substitute: bool,
    /// Why it is not used, if it is not.
    #[serde(default)]
    pub disabled: Option<String>,
}

impl Model {
    /// The providers that offer it, each once, in order of preference.
    pub fn providers(&self) -> Vec<&str> {
        let mut providers: Vec<&str> = Vec::new();
        for route in &self.routes {
            if !providers.contains(&route.provider.as_str()) {
                providers.push(&route.provider);
            }
        }
        providers
    }

    /// Every name that a workflow can call it by: the alias, its other names, and the alias behind each provider.
    pub fn names(&self) -> Vec<String> {
        let of_provider = self.providers().into_iter().map(|provider| format!("{provider}/{}", self.alias));
        std::iter::once(self.alias.clone()).chain(self.aka.iter().cloned()).chain(of_provider).collect()
    }
}

impl Route {
    /// Whether the provider still offers it on this day, given as `2026-10-23`.
    pub fn is_offered(&self, today: &str) -> bool {
        self.disabled.is_none() && self.retires.as_deref().is_none_or(|retires| today < retires)
    }

    /// What a call with these parameters costs, at least and at most, as far as that is known before it is made.
    pub fn estimate(&self, params: &Map) -> Option<(Money, Money)> {
        let price = self.price.as_ref()?;
        let units = match price.per {
            Unit::Second => self.seconds(params),
            per => Price::units(per, params),
        };
        Some((price.at_least(units), price.at_most(units)))
    }

    /// The seconds that are made: of the lengths that the route offers, the one that is nearest to what is asked for.
    fn seconds(&self, params: &Map) -> f64 {
        let asked = Price::units(Unit::Second, params);
        let offered = self.map.get("duration").and_then(|entry| entry.split_once("nearest(")?.1.split_once(')'));
        let offered = offered.map_or("", |(offered, _)| offered).split('|').filter_map(|of| of.trim().parse().ok());
        offered.min_by(|one: &f64, other: &f64| (one - asked).abs().total_cmp(&(other - asked).abs())).unwrap_or(asked)
    }
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

impl Unit {
    /// The word for people, such as `second`.
    pub fn name(self) -> &'static str {
        match self {
            Unit::Call => "call",
            Unit::Megapixel => "megapixel",
            Unit::Second => "second",
            Unit::ThousandCharacters => "1000 characters",
        }
    }
}

/// Pixels along a side, where neither sides nor a picture are given.
const SIDE: f64 = 1_024.0;

/// Seconds of film where none are given.
const SECONDS: f64 = 5.0;

impl Price {
    /// What so many units cost at most.
    pub fn at_most(&self, units: f64) -> Money {
        Money::from_usd(self.high * units)
    }

    /// What so many units cost at least.
    pub fn at_least(&self, units: f64) -> Money {
        Money::from_usd(self.low * units)
    }

    /// How many units a call with these parameters is, by the names of the op table.
    pub fn units(per: Unit, params: &Map) -> f64 {
        let number = |name: &str| params.get(name).and_then(Value::as_f64);
        match per {
            Unit::Call => 1.0,
            Unit::Megapixel => {
                let pixels = number("width").unwrap_or(SIDE) * number("height").unwrap_or(SIDE);
                (pixels / 1e6).ceil().max(1.0)
            }
            Unit::Second => match params.get("duration") {
                Some(Value::Number(seconds)) => seconds.as_f64().unwrap_or(SECONDS),
                Some(Value::String(text)) => text.parse::<Duration>().map_or(SECONDS, Duration::as_secs_f64),
                _ => SECONDS,
            },
            Unit::ThousandCharacters => {
                let text = params.get("text").and_then(Value::as_str).unwrap_or_default();
                (text.chars().count() as f64 / 1e3).ceil().max(1.0)
            }
        }
    }
}

/// Reads `8s`, or a number of seconds.
fn span<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Text(String),
        Seconds(u64),
    }
    match Written::deserialize(deserializer)? {
        Written::Text(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        Written::Seconds(seconds) => Ok(Some(Duration(seconds.saturating_mul(1_000)))),
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Catalogue {
    #[serde(default)]
    model: Vec<Model>,
}

/// The catalogue that this process uses.
static MODELS: OnceLock<Vec<Model>> = OnceLock::new();

fn built_in() -> Vec<Model> {
    match toml::from_str::<Catalogue>(include_str!("models.toml")) {
        Ok(catalogue) => catalogue.model,
        // The file is compiled in and a test reads it: this can't be reached in a release.
        Err(error) => unreachable!("models.toml: {error}"),
    }
}

/// Every model of the catalogue: those built in, and the user's own.
pub fn all() -> &'static [Model] {
    MODELS.get_or_init(built_in)
}

/// Why a user's models can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct ModelsError {
    /// Where, from 1; 0 where it is about no line.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

/// Adds the user's own models, written as `models.toml` is. One with the op and the alias of another takes its place.
/// For the whole process, once, before the catalogue is used.
///
/// # Errors
/// With the line where something is wrong; then nothing is added.
pub fn with_user_models(text: &str) -> Result<(), ModelsError> {
    let merged = merged(built_in(), text)?;
    let late = || ModelsError { line: 0, message: "the catalogue is in use already".to_owned() };
    MODELS.set(merged).map_err(|_| late())
}

/// How many models a file may add.
const USER_MODELS_MAX: usize = 1_000;

fn merged(mut models: Vec<Model>, text: &str) -> Result<Vec<Model>, ModelsError> {
    let line_at = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let own = toml::from_str::<Catalogue>(text).map_err(|error| ModelsError {
        line: error.span().map_or(1, |span| line_at(span.start)),
        message: error.message().replace('\n', " "),
    })?;
    if own.model.len() > USER_MODELS_MAX {
        let message = format!("{} models are too many: at most {USER_MODELS_MAX}", own.model.len());
        return Err(ModelsError { line: 1, message });
    }
    // Tables stand in the order in which they were read.
    let is_head = |(at, line): (usize, &str)| line.trim_start().starts_with("[[model]]").then_some(at + 1);
    let heads: Vec<usize> = text.lines().enumerate().filter_map(is_head).collect();
    for (at, model) in own.model.into_iter().enumerate() {
        let line = heads.get(at).copied().unwrap_or(1);
        check(&model).map_err(|message| ModelsError { line, message })?;
        let is_same = |known: &Model| known.capability == model.capability && known.alias == model.alias;
        match models.iter_mut().find(|known| is_same(known)) {
            Some(known) => *known = model,
            None => models.push(model),
        }
    }
    Ok(models)
}

fn check(model: &Model) -> Result<(), String> {
    let Model { alias, capability, .. } = model;
    let serves = |op: &crate::op::OpSpec| {
        op.params.iter().any(|param| matches!(param.ty, crate::op::ParamType::Model(of) if of == capability))
    };
    if alias.trim().is_empty() {
        return Err("a model needs an alias".to_owned());
    }
    if !crate::op::OPS.iter().any(serves) {
        return Err(format!("`{alias}`: there is no op `{capability}` that takes a model"));
    }
    if model.routes.is_empty() && !model.local {
        return Err(format!("`{alias}` has no route"));
    }
    for Route { provider, endpoint, price, retires, .. } in &model.routes {
        if provider.is_empty() || endpoint.is_empty() {
            return Err(format!("`{alias}`: a route needs a provider and an endpoint"));
        }
        let is_sound = |price: &Price| price.low >= 0.0 && price.low <= price.high && price.high.is_finite();
        if !price.as_ref().is_none_or(is_sound) {
            return Err(format!("`{alias}`: the price of {provider} goes from `low` to `high`, both 0 or more"));
        }
        if !retires.as_deref().is_none_or(is_day) {
            return Err(format!("`{alias}`: `retires` is a day such as 2026-10-23"));
        }
    }
    Ok(())
}

fn is_day(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let is_number = |part: &str, digits| part.len() == digits && part.bytes().all(|byte| byte.is_ascii_digit());
    matches!(parts.as_slice(), [year, month, day] if is_number(year, 4) && is_number(month, 2) && is_number(day, 2))
}

/// The model that `name` means for the op `capability`: an alias or another name of it, or one of them behind the name of a
/// provider that offers it, as `provider/alias`.
pub fn find(capability: &str, name: &str) -> Option<&'static Model> {
    resolve(all(), capability, name).map(|(model, _)| model)
}

/// What `name` means for the op `capability`: the alias, and the provider if the name has one.
pub fn meaning<'n>(capability: &str, name: &'n str) -> Option<(&'static Model, Option<&'n str>)> {
    resolve(all(), capability, name)
}

/// Who offers a model on this day (`2026-11-25`), the preferred first; of `provider/alias`, only that provider. What is
/// disabled or retired is not among them, and a substitute only where its provider is named.
pub fn offers(capability: &str, name: &str, today: &str) -> Vec<&'static Route> {
    offers_of(all(), capability, name, today)
}

fn offers_of<'a>(models: &'a [Model], capability: &str, name: &str, today: &str) -> Vec<&'a Route> {
    let Some((model, provider)) = resolve(models, capability, name) else { return Vec::new() };
    let is_wanted = |route: &&Route| match provider {
        Some(provider) => route.provider == provider,
        None => !route.substitute,
    };
    model.routes.iter().filter(is_wanted).filter(|route| route.is_offered(today)).collect()
}

/// The model, and the provider where the name restricts it to one. What stands in the catalogue as an alias goes before other
/// names, which are a provider's: `google/nano-banana` is an alias at Google, whatever somebody else calls so.
fn resolve<'a, 'n>(models: &'a [Model], capability: &str, name: &'n str) -> Option<(&'a Model, Option<&'n str>)> {
    let of_op = || models.iter().filter(|model| model.capability == capability);
    let by_alias = |name: &str| of_op().find(|model| model.alias == name);
    let by_aka = |name: &str| of_op().find(|model| model.aka.iter().any(|aka| aka == name));
    let at = |model: &'a Model, provider: &'n str| {
        model.routes.iter().any(|route| route.provider == provider).then_some((model, Some(provider)))
    };
    let split = name.split_once('/');
    let alone = |model| (model, None);
    by_alias(name)
        .map(alone)
        .or_else(|| split.and_then(|(provider, rest)| at(by_alias(rest)?, provider)))
        .or_else(|| by_aka(name).map(alone))
        .or_else(|| split.and_then(|(provider, rest)| at(by_aka(rest)?, provider)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::op;
    use std::collections::BTreeSet;

    /// A day on which some routes are retired and most are not.
    const TODAY: &str = "2026-11-25";

    fn params(text: &str) -> Map {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn a_model_is_found_by_alias_by_another_name_and_by_provider_and_alias() {
        assert!(find("image.generate", "flux-pro").is_some());
        assert!(find("image.generate", "fal/flux-pro").is_some());
        assert!(find("image.generate", "google/flux-pro").is_none());
        assert!(find("image.detect", "flux-pro").is_none());
        assert!(find("image.detect", "detect").is_some_and(|model| model.local));
        assert_eq!(find("image.generate", "fal-ai/flux-pro/v1.1").unwrap().alias, "flux-pro");
        assert_eq!(find("video.generate", "fal/minimax/video-01").unwrap().alias, "minimax/video-01");
    }

    #[test]
    fn every_alias_that_workflows_may_rely_on_has_an_offer_today() {
        let cases = [
            ("image.generate", "flux-pro"),
            ("image.generate", "flux-dev"),
            ("image.generate", "nano-banana"),
            ("image.generate", "flux-kontext-pro"),
            ("image.generate", "gpt-image"),
            ("image.edit", "nano-banana"),
            ("image.edit", "flux-kontext-pro"),
            ("image.edit", "gpt-image"),
            ("image.style", "illusion-diffusion"),
            ("image.upscale", "topaz-upscale"),
            ("image.remove-background", "remove-bg"),
            ("image.detect", "detect"),
            ("image.describe", "describe"),
            ("video.generate", "minimax/video-01"),
            ("video.generate", "kling/v1.6"),
            ("video.generate", "kling/v1.6-pro"),
            ("video.generate", "veo"),
            ("audio.speech", "tts"),
        ];
        for (capability, alias) in cases {
            assert!(!offers(capability, alias, TODAY).is_empty(), "{capability} {alias}");
        }
        for capability in cases.map(|(capability, _)| capability) {
            let has_local = all().iter().any(|model| model.capability == capability && model.local);
            assert!(has_local, "{capability} has nothing that needs no key");
        }
    }

    #[test]
    fn the_catalogue_is_sound() {
        let mut names = BTreeSet::new();
        for model in all() {
            check(model).unwrap();
            for name in std::iter::once(&model.alias).chain(&model.aka) {
                assert!(names.insert((&model.capability, name.clone())), "{} {name} stands twice", model.capability);
            }
            for provider in model.providers() {
                let name = format!("{provider}/{}", model.alias);
                let is_free = !all().iter().any(|other| other.aka.contains(&name) || other.alias == name);
                assert!(is_free, "{name} means two things");
            }
            let op = op::find(&model.capability).unwrap();
            for route in &model.routes {
                let place = format!("{} of {}", route.endpoint, route.provider);
                for name in route.map.keys().chain(&route.needs).chain(&route.refuses) {
                    let is_known = op.param(name).is_some() || matches!(name.as_str(), "size" | "aspect");
                    assert!(is_known, "{place}: {} has no parameter `{name}`", op.name);
                }
                for param in op.params.iter().filter(|param| param.required) {
                    assert!(route.map.contains_key(param.name), "{place} takes no `{}`", param.name);
                }
                let is_self_hosted = matches!(route.provider.as_str(), "comfyui" | "a1111");
                assert!(route.price.is_some() || is_self_hosted, "{place} has no price");
                assert!(route.usually.is_some(), "{place} takes how long?");
            }
        }
    }

    #[test]
    fn offers_leave_out_what_is_retired_disabled_or_a_substitute() {
        let models = merged(
            Vec::new(),
            r#"
            [[model]]
            alias = "m"
            capability = "image.generate"
            title = "M"
            [[model.route]]
            provider = "a"
            endpoint = "old"
            retires = "2026-10-23"
            [[model.route]]
            provider = "a"
            endpoint = "new"
            [[model.route]]
            provider = "b"
            endpoint = "off"
            disabled = "not checked"
            [[model.route]]
            provider = "c"
            endpoint = "other"
            substitute = true
            [[model.route]]
            provider = "d"
            endpoint = "last"
            "#,
        )
        .unwrap();
        let cases: [(&str, &str, &[&str]); 6] = [
            ("m", "2026-10-22", &["old", "new", "last"]),
            ("m", "2026-10-23", &["new", "last"]),
            ("a/m", "2026-10-23", &["new"]),
            ("b/m", "2026-10-23", &[]),
            ("c/m", "2026-10-23", &["other"]),
            ("x/m", "2026-10-23", &[]),
        ];
        for (name, today, want) in cases {
            let offers = offers_of(&models, "image.generate", name, today);
            let endpoints: Vec<&str> = offers.iter().map(|route| route.endpoint.as_str()).collect();
            assert_eq!(endpoints, want, "{name} on {today}");
        }
    }

    #[test]
    fn units_are_counted_as_prices_say() {
        let cases = [
            (Unit::Call, "{}", 1.0),
            (Unit::Megapixel, "{}", 2.0),
            (Unit::Megapixel, r#"{"width": 1000, "height": 1000}"#, 1.0),
            (Unit::Megapixel, r#"{"width": 64, "height": 64}"#, 1.0),
            (Unit::Second, "{}", 5.0),
            (Unit::Second, r#"{"duration": 8}"#, 8.0),
            (Unit::Second, r#"{"duration": "10s"}"#, 10.0),
            (Unit::ThousandCharacters, r#"{"text": "short"}"#, 1.0),
        ];
        for (per, given, want) in cases {
            assert_eq!(Price::units(per, &params(given)), want, "{per:?} {given}");
        }
        let long = params(&format!(r#"{{"text": "{}"}}"#, "ä".repeat(1_001)));
        assert_eq!(Price::units(Unit::ThousandCharacters, &long), 2.0);
    }

    #[test]
    fn a_film_costs_as_much_as_the_length_that_is_made() {
        let price = Price { low: 0.1, high: 0.2, per: Unit::Second, source: String::new() };
        let map = BTreeMap::from([("duration".to_owned(), "duration:nearest(5|10):text".to_owned())]);
        let route = Route { map, price: Some(price), ..route() };
        assert_eq!(route.estimate(&params(r#"{"duration": "9s"}"#)), Some((Money(1_000_000), Money(2_000_000))));
        assert_eq!(route.estimate(&Map::new()), Some((Money(500_000), Money(1_000_000))));
    }

    #[test]
    fn a_user_model_takes_the_place_of_the_built_in_one() {
        let text = "[[model]]\nalias = \"flux-pro\"\ncapability = \"image.generate\"\ntitle = \"Mine\"\n\
                    [[model.route]]\nprovider = \"fal\"\nendpoint = \"mine/flux\"\nusually = \"3s\"\n";
        let models = merged(built_in(), text).unwrap();
        let of = |name| models.iter().filter(move |model| model.alias == name && model.capability == "image.generate");
        assert_eq!(of("flux-pro").count(), 1);
        let model = of("flux-pro").next().unwrap();
        assert_eq!((model.title.as_str(), model.routes[0].endpoint.as_str()), ("Mine", "mine/flux"));
        assert_eq!(model.routes[0].usually, Some(Duration::from_secs(3)));
        assert_eq!(of("flux-dev").count(), 1);
    }

    #[test]
    fn a_mistake_in_a_user_model_names_its_line() {
        let model = "[[model]]\nalias = \"m\"\ncapability = \"image.generate\"\ntitle = \"M\"\n";
        let cases = [
            (format!("\n{model}colour = 1\n"), 6, "colour"),
            (format!("{model}[[model.route]]\nprovider = \"a\"\nendpoint = \"\"\n"), 1, "endpoint"),
            (format!("# one\n{model}"), 2, "no route"),
            (format!("{model}[[model.route]]\nprovider = \"a\"\nendpoint = \"e\"\nretires = \"soon\"\n"), 1, "retires"),
            (format!("{model}[[model.route]]\nprovider = \"a\"\nendpoint = \"e\"\nusually = \"long\"\n"), 8, "long"),
            (format!("{model}local = true\n{}", model.replace("image.generate", "image.crop")), 6, "image.crop"),
        ];
        for (text, line, says) in cases {
            let error = merged(Vec::new(), &text).unwrap_err();
            assert_eq!(error.line, line, "{text}: {error}");
            assert!(error.message.contains(says), "{text}: {error}");
        }
    }

    fn route() -> Route {
        Route {
            provider: "a".to_owned(),
            endpoint: "e".to_owned(),
            map: BTreeMap::new(),
            needs: Vec::new(),
            refuses: Vec::new(),
            fixed: Map::new(),
            defaults: Map::new(),
            price: None,
            usually: None,
            retires: None,
            successor: None,
            at_once: None,
            substitute: false,
            disabled: None,
        }
    }
}
