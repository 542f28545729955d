//! Every adapter, by its name.

use crate::a1111::A1111;
use crate::adapter::Adapter;
use crate::bfl::Bfl;
use crate::comfyui::ComfyUi;
use crate::elevenlabs::ElevenLabs;
use crate::fal::Fal;
use crate::google::Google;
use crate::kling::Kling;
use crate::luma::Luma;
use crate::minimax::MiniMax;
use crate::openai::OpenAi;
use crate::replicate::Replicate;
use crate::runway::Runway;
use crate::stability::Stability;

/// Every adapter of this release.
pub fn adapters() -> &'static [&'static dyn Adapter] {
    &[
        &Fal,
        &Replicate,
        &OpenAi,
        &Google,
        &Bfl,
        &MiniMax,
        &Kling,
        &Runway,
        &Luma,
        &Stability,
        &ElevenLabs,
        &ComfyUi,
        &A1111,
    ]
}

/// The adapter of this name.
pub fn find(name: &str) -> Option<&'static dyn Adapter> {
    adapters().iter().copied().find(|adapter| adapter.name() == name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapter::{Polled, Submitted};
    use crate::http::{Body, Response};
    use crate::sample::{self, Sample};
    use darkroom_proto::{ErrorClass, model, op};
    use serde_json::{Value, json};

    /// An ask for every route of the catalogue that an adapter is there for, with everything that it needs.
    fn asks() -> Vec<(&'static dyn Adapter, Sample)> {
        let routes = model::all().iter().flat_map(|model| model.routes.iter().map(move |route| (model, route)));
        let ask = |(model, route): (&'static model::Model, &'static model::Route)| {
            let op = op::find(&model.capability).unwrap();
            let mut params = json!({});
            let mut sample = Sample::of(op.name, route.clone(), json!({}));
            for param in
                op.params.iter().filter(|param| param.required || route.needs.iter().any(|need| need == param.name))
            {
                match param.ty {
                    op::ParamType::Artifact(_) | op::ParamType::Images => {
                        sample = sample.with(param.name);
                        sample.files.last_mut().unwrap().url = Some("https://store.example/x.png".to_owned());
                    }
                    _ => params[param.name] = "words".into(),
                }
            }
            sample.params.extend(params.as_object().unwrap().clone());
            Some((find(&route.provider)?, sample))
        };
        routes.filter_map(ask).collect()
    }

    #[test]
    fn every_adapter_is_found_by_its_name() {
        for adapter in adapters() {
            assert_eq!(find(adapter.name()).map(Adapter::name), Some(adapter.name()));
        }
        assert!(find("local").is_none());
    }

    #[test]
    fn every_route_makes_a_request_that_goes_home_and_shows_no_key() {
        for base in [None, Some("http://127.0.0.1:8911/sim")] {
            for (adapter, sample) in asks() {
                let name = format!("{} {}", adapter.name(), sample.route.endpoint);
                let access = sample::access(base);
                let submission =
                    adapter.submit(&access, &sample.ask()).unwrap_or_else(|error| panic!("{name}: {error}"));
                let request = submission.request;
                let is_self_hosted = adapter.hosts().is_empty();
                assert!(
                    access.leads_home(&request.url, adapter.hosts()) || is_self_hosted,
                    "{name} goes to {}",
                    request.url
                );
                sample::assert_key_is_hidden(&request);
                assert!(!matches!(request.body, Body::Empty), "{name} asks for nothing");
                assert!(submission.ignored.is_empty(), "{name} ignores {:?}, which nobody gave", submission.ignored);
            }
        }
    }

    /// Whatever comes back, nothing panics, an error is an error, and no key is repeated.
    #[test]
    fn answers_that_make_no_sense_are_errors() {
        let bodies =
            ["", "null", "[]", "{}", "\"x\"", "<html>", "{\"status\":7}", "{\"error\":null,\"detail\":[null]}"];
        let handle = json!({"id": "x", "app": "a/b", "op": "image.generate"});
        let long = format!("{{\"detail\":\"{}\"}}", sample::KEY.repeat(500));
        let mut seen = std::collections::BTreeSet::new();
        for (adapter, sample) in asks() {
            if !seen.insert((adapter.name(), sample.op)) {
                continue;
            }
            let access = sample::access(None);
            for body in bodies.iter().copied().chain([long.as_str(), "{\"detail\":{\"message\":{}}}"]) {
                for status in [200, 202, 400, 401, 403, 404, 422, 429, 499, 500, 502, 503, 504, 520] {
                    let response = Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() };
                    let shown = match adapter.submitted(&access, &sample.ask(), &response) {
                        Submitted::Refused(failure) => failure.error.to_string(),
                        Submitted::Unclear(error) => error.to_string(),
                        // Bytes of a sound or of a picture are whatever they are.
                        Submitted::Done(_) if status < 300 => String::new(),
                        other => panic!("{} takes {status} {body} for {other:?}", adapter.name()),
                    };
                    assert!(!shown.contains(sample::KEY), "{shown}");
                    if status < 300 {
                        continue;
                    }
                    if let Polled::Done(product) = adapter.polled(&access, &handle, "", &response) {
                        panic!("{} takes {status} {body} for {product:?}", adapter.name());
                    }
                }
            }
        }
    }

    #[test]
    fn a_page_of_a_proxy_is_nobodys_refusal() {
        for adapter in adapters() {
            let page = sample::answer(502, "<html><body>Bad Gateway</body></html>");
            assert_eq!(adapter.classify(&page).class, ErrorClass::ServerUnavailable, "{}", adapter.name());
            let limited = sample::answer(429, "{}");
            assert_eq!(adapter.classify(&limited).class, ErrorClass::RateLimit, "{}", adapter.name());
            assert!(!adapter.classify(&limited).advice.is_empty(), "{}", adapter.name());
        }
    }

    /// Handles lie in queues and stores.
    #[test]
    fn no_handle_holds_the_key() {
        let accepted = [
            json!({"request_id": "r1", "status": "IN_QUEUE"}),
            json!({"id": "r1", "status": "starting"}),
            json!({"name": "models/veo/operations/r1"}),
        ];
        for (adapter, sample) in asks() {
            for body in &accepted {
                let response = sample::answer(200, &body.to_string());
                let answer = adapter.submitted(&sample::access(None), &sample.ask(), &response);
                if let Submitted::Accepted(handle) = answer {
                    assert!(handle.get("id").is_some_and(Value::is_string), "{}: {handle}", adapter.name());
                    assert!(!handle.to_string().contains(sample::KEY), "{handle}");
                }
            }
        }
    }
}
