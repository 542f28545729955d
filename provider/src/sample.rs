//! What tests of adapters begin with.

use crate::adapter::{Access, Ask, File, Incoming};
use crate::http::{Body, Request, Response};
use darkroom_proto::model::{self, Route};
use darkroom_proto::{CallId, Map, RunId, StepPath, Timestamp, op};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::sync::Arc;

/// The key of tests. It must be found in no URL, body or error.
pub(crate) const KEY: &str = "key_0123456789abcdef0123456789abcdef0123456789";

/// The second at which tests of adapters happen.
pub(crate) const NOW: u64 = 1_700_000_000;

/// Something to ask an adapter for.
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
    /// Of the first route that a provider offers for a model today, with the op's defaults.
    pub(crate) fn new(op: &'static str, provider: &str, alias: &str, params: Value) -> Sample {
        let offers = model::offers(op, &format!("{provider}/{alias}"), "2026-11-25");
        Sample::of(op, offers[0].clone(), params)
    }

    /// Of this route, with the op's defaults.
    pub(crate) fn of(op: &'static str, route: Route, params: Value) -> Sample {
        let mut all = Map::new();
        for param in op::find(op).unwrap().params.iter().filter(|param| !param.default.is_empty()) {
            all.insert(param.name.to_owned(), serde_json::from_str(param.default).unwrap());
        }
        all.extend(params.as_object().unwrap().clone());
        Sample { params: all, ..Sample::with_route(op, route) }
    }

    /// Parameters of an op, for a route without its provider.
    pub(crate) fn made(op: &'static str, route: Value, params: Value) -> Sample {
        let Value::Object(mut route) = route else { panic!("a route is an object") };
        route.insert("provider".to_owned(), "sample".into());
        let route = serde_json::from_value(route.into()).unwrap();
        Sample { params: serde_json::from_value(params).unwrap(), ..Sample::with_route(op, route) }
    }

    fn with_route(op: &'static str, route: Route) -> Sample {
        let call = CallId::new(RunId::from_bytes([7; 16]), &StepPath::top("make"), 1, 1);
        Sample { op, route, params: Map::new(), files: Vec::new(), call, webhook: None }
    }

    /// The same with a picture of 1000 by 500 pixels.
    pub(crate) fn with(mut self, param: &str) -> Sample {
        self.files.push(picture(param));
        self
    }

    /// The same with a small file.
    pub(crate) fn file(mut self, param: &str, url: Option<&str>) -> Sample {
        self.files.push(File {
            name: "a.png".to_owned(),
            size: Some((640, 480)),
            url: url.map(str::to_owned),
            ..picture(param)
        });
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

/// The provider itself, or what stands in for it, with the key of tests.
pub(crate) fn access(base_url: Option<&str>) -> Access {
    Access { base_url: base_url.map(str::to_owned), ..keyed_by(KEY) }
}

/// The provider itself, with this key.
pub(crate) fn keyed_by(key: &str) -> Access {
    Access { base_url: None, key: SecretString::from(key.to_owned()), now: Timestamp(NOW * 1_000) }
}

/// The same so many seconds later.
pub(crate) fn later(access: &Access, seconds: u64) -> Access {
    Access { now: Timestamp(access.now.0 + seconds * 1_000), ..access.clone() }
}

/// An answer with this text as its body.
pub(crate) fn answer(status: u16, body: &str) -> Response {
    Response { status, headers: Vec::new(), body: body.as_bytes().to_vec() }
}

/// An answer with a JSON body.
pub(crate) fn answered(status: u16, body: Value) -> Response {
    answer(status, &body.to_string())
}

/// What came to a webhook without any signature.
pub(crate) fn incoming(body: &[u8]) -> Incoming<'_> {
    Incoming { headers: &[], body, now: Timestamp(NOW * 1_000), trust: &Value::Null }
}

/// A header that carries the key.
pub(crate) fn secret<'a>(request: &'a Request, name: &str) -> &'a str {
    request.secrets.iter().find(|(known, _)| *known == name).unwrap().1.expose_secret()
}

/// The JSON body of a request.
pub(crate) fn json_of(request: &Request) -> &Value {
    match &request.body {
        Body::Json(body) => body,
        other => panic!("no JSON: {other:?}"),
    }
}

/// Nothing of a request but its secrets names the key.
pub(crate) fn assert_key_is_hidden(request: &Request) {
    let shown = format!("{request:?}");
    assert!(!shown.contains(KEY), "{shown}");
}
