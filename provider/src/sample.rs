//! What tests of adapters begin with.

use crate::adapter::{Access, Ask, File, Incoming};
use crate::http::Response;
use darkroom_proto::model::Route;
use darkroom_proto::{CallId, Map, RunId, StepPath, Timestamp};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

/// Something to ask an adapter for.
pub(crate) struct Sample {
    op: &'static str,
    route: Route,
    params: Map,
    files: Vec<File>,
    pub(crate) call: CallId,
    webhook: Option<&'static str>,
}

impl Sample {
    /// Parameters of an op, for a route without its provider.
    pub(crate) fn made(op: &'static str, route: Value, params: Value) -> Sample {
        let Value::Object(mut route) = route else { panic!("a route is an object") };
        route.insert("provider".to_owned(), "sample".into());
        Sample {
            op,
            route: serde_json::from_value(route.into()).unwrap(),
            params: serde_json::from_value(params).unwrap(),
            files: Vec::new(),
            call: CallId::new(RunId::from_bytes([7; 16]), &StepPath::top("make"), 1, 1),
            webhook: None,
        }
    }

    /// The same with a small file.
    pub(crate) fn file(mut self, param: &str, url: Option<&str>) -> Sample {
        self.files.push(File {
            param: param.to_owned(),
            name: "a.png".to_owned(),
            media_type: "image/png".to_owned(),
            bytes: b"png".as_slice().into(),
            size: Some((640, 480)),
            url: url.map(str::to_owned),
        });
        self
    }

    /// The same with somebody who listens.
    pub(crate) fn webhook(mut self, url: &'static str) -> Sample {
        self.webhook = Some(url);
        self
    }

    pub(crate) fn ask(&self) -> Ask<'_> {
        Ask {
            op: self.op,
            route: &self.route,
            params: &self.params,
            files: &self.files,
            call: &self.call,
            webhook: self.webhook,
        }
    }

    pub(crate) fn route(&self) -> &Route {
        &self.route
    }
}

/// The second at which tests of adapters happen.
pub(crate) const NOW: u64 = 1_700_000_000;

/// The provider itself, with this key.
pub(crate) fn keyed_by(key: &str) -> Access {
    Access { base_url: None, key: SecretString::from(key.to_owned()), now: Timestamp(NOW * 1_000) }
}

/// The same so many seconds later.
pub(crate) fn later(access: &Access, seconds: u64) -> Access {
    Access { now: Timestamp(access.now.0 + seconds * 1_000), ..access.clone() }
}

/// An answer with a JSON body.
pub(crate) fn answered(status: u16, body: Value) -> Response {
    Response { status, headers: Vec::new(), body: body.to_string().into_bytes() }
}

/// What came to a webhook without any signature.
pub(crate) fn incoming(body: &[u8]) -> Incoming<'_> {
    Incoming { headers: &[], body, now: Timestamp(NOW * 1_000), trust: &Value::Null }
}

/// A header that carries the key.
pub(crate) fn secret<'a>(request: &'a crate::Request, name: &str) -> &'a str {
    request.secrets.iter().find(|(known, _)| *known == name).unwrap().1.expose_secret()
}

/// The JSON body of a request.
pub(crate) fn json_of(request: &crate::Request) -> &Value {
    match &request.body {
        crate::Body::Json(body) => body,
        other => panic!("no JSON: {other:?}"),
    }
}
