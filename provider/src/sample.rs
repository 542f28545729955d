//! Asks and answers for the tests of adapters.

use crate::adapter::{Access, Ask, File, Incoming};
use crate::http::{Body, Request, Response};
use darkroom_proto::model::{self, Route};
use darkroom_proto::op;
use darkroom_proto::{CallId, Map, RunId, StepPath, Timestamp};
use secrecy::ExposeSecret;
use serde_json::Value;
use std::sync::Arc;

/// The key of tests. It must be found in no URL, body or error.
pub(crate) const KEY: &str = "key_0123456789abcdef0123456789abcdef0123456789";

/// What an ask borrows.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(crate) op: &'static str,
    pub(crate) route: Route,
    pub(crate) params: Map,
    pub(crate) files: Vec<File>,
    pub(crate) call: CallId,
    pub(crate) webhook: Option<String>,
}

impl Sample {
    /// Of the first route that a provider has for a model, with the op's defaults.
    pub(crate) fn new(op: &'static str, provider: &str, alias: &str, params: Value) -> Sample {
        let model = model::find(op, alias).unwrap();
        let route = model.routes.iter().filter(|route| route.retires.as_deref() != Some("2026-10-02"));
        let route = route.clone().find(|route| route.provider == provider).unwrap();
        Sample::of(op, route.clone(), params)
    }

    /// Of this route.
    pub(crate) fn of(op: &'static str, route: Route, params: Value) -> Sample {
        let mut all = Map::new();
        for param in op::find(op).unwrap().params.iter().filter(|param| !param.default.is_empty()) {
            all.insert(param.name.to_owned(), serde_json::from_str(param.default).unwrap());
        }
        all.extend(params.as_object().unwrap().clone());
        let call = CallId::new(RunId::from_bytes([7; 16]), &StepPath::top("edit"), 1, 1);
        Sample { op, route, params: all, files: Vec::new(), call, webhook: None }
    }

    /// The same with the endpoint of another route of the model.
    pub(crate) fn at(mut self, alias: &str, endpoint: &str) -> Sample {
        let model = model::find(self.op, alias).unwrap();
        self.route = model.routes.iter().find(|route| route.endpoint == endpoint).unwrap().clone();
        self
    }

    /// The same with a picture of 1000 by 500 pixels.
    pub(crate) fn with(mut self, param: &str) -> Sample {
        self.files.push(picture(param));
        self
    }

    /// Of a route as it stands in a models file, whoever offers it, with nothing but these parameters.
    pub(crate) fn made(op: &'static str, mut route: Value, params: Value) -> Sample {
        route["provider"] = "sample".into();
        let params = params.as_object().unwrap().clone();
        Sample { params, ..Sample::of(op, serde_json::from_value(route).unwrap(), Value::Object(Map::new())) }
    }

    /// The same with a picture of 640 by 480 pixels that may be somewhere.
    pub(crate) fn file(mut self, param: &str, url: Option<&str>) -> Sample {
        self.files.push(File { size: Some((640, 480)), url: url.map(str::to_owned), ..picture(param) });
        self
    }

    /// The same with somebody who listens.
    pub(crate) fn webhook(mut self, url: &str) -> Sample {
        self.webhook = Some(url.to_owned());
        self
    }

    pub(crate) fn ask(&self) -> Ask<'_> {
        Ask {
            op: self.op,
            route: &self.route,
            params: &self.params,
            files: &self.files,
            call: &self.call,
            webhook: self.webhook.as_deref(),
        }
    }
}

/// A file that is only small, not a picture.
pub(crate) fn picture(param: &str) -> File {
    File {
        param: param.to_owned(),
        name: format!("{param}.png"),
        media_type: "image/png".to_owned(),
        bytes: Arc::from(&b"png"[..]),
        size: Some((1_000, 500)),
        url: None,
    }
}

/// How a provider is reached in tests.
pub(crate) fn access(base_url: Option<&str>) -> Access {
    Access { base_url: base_url.map(str::to_owned), key: KEY.to_owned().into(), now: Timestamp(1_700_000_000_000) }
}

/// An answer.
pub(crate) fn answer(status: u16, body: &str) -> Response {
    Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

/// The JSON that a request carries.
pub(crate) fn json_of(request: &Request) -> &Value {
    match &request.body {
        Body::Json(body) => body,
        other => panic!("{other:?}"),
    }
}

/// A header that carries the key.
pub(crate) fn secret<'a>(request: &'a Request, name: &str) -> &'a str {
    request.secrets.iter().find(|(known, _)| *known == name).unwrap().1.expose_secret()
}

/// Nothing of a request but its secrets names the key.
pub(crate) fn assert_key_is_hidden(request: &Request) {
    let shown = format!("{request:?}");
    assert!(!shown.contains(KEY), "{shown}");
}

/// The provider itself, with this key.
pub(crate) fn keyed_by(key: &str) -> Access {
    Access { key: key.to_owned().into(), ..access(None) }
}

/// The same so many seconds later.
pub(crate) fn later(access: &Access, seconds: u64) -> Access {
    Access { now: Timestamp(access.now.0 + seconds * 1_000), ..access.clone() }
}

/// An answer with a JSON body.
pub(crate) fn answered(status: u16, body: Value) -> Response {
    answer(status, &body.to_string())
}

/// What came to a webhook without any signature.
pub(crate) fn incoming(body: &[u8]) -> Incoming<'_> {
    Incoming { headers: &[], body, now: access(None).now, trust: &Value::Null }
}
