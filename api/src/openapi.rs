//! `/openapi.json`: the API's own description, made from the table of its routes, and a page to read it.

mod documents;
mod operation;
mod reading;

pub(crate) use operation::{Operation, of};

use crate::routes::routes;
use crate::service::Shared;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use darkroom_backend::{Ledger, Queue, Store};
use darkroom_proto::Sha256;
use serde_json::{Map, Value, json};
use std::sync::OnceLock;

/// What the groups of routes are about.
const TAGS: [(&str, &str); 7] = [
    ("runs", "Runs: created, followed, commanded."),
    ("workflows", "What can be run."),
    ("files", "Files for inputs, and what runs made."),
    ("people", "What waits for a person."),
    ("account", "Who asks."),
    ("compatibility", "The same runs in the words of services that were there before `/v1`."),
    ("about", "This description."),
];

/// The OpenAPI 3.1 document of the API: every route of [`router`](crate::router), and nothing else.
///
/// Which store and queue the API is over makes no difference to it.
pub fn document<S: Store + Ledger, Q: Queue>() -> Value {
    let mut paths: Map<String, Value> = Map::new();
    let mut schemas: Map<String, Value> = documents::schemas();
    for route in routes::<S, Q>() {
        schemas.extend(route.operation.schemas());
        let item = paths.entry(route.path.to_owned()).or_insert_with(|| json!({}));
        item[route.method.as_str().to_ascii_lowercase()] = route.operation.document();
    }
    schemas.sort_keys();
    let tags: Vec<Value> = TAGS.iter().map(|(name, about)| json!({ "name": name, "description": about })).collect();
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Darkroom",
            "version": env!("CARGO_PKG_VERSION"),
            "summary": "Multi-step media workflows: enqueued, followed, commanded.",
            "description": "Every answer has an `X-Request-Id`, as it came or made. Errors are problems of RFC 9457. \
                What another tenant has is not there: asking for it gives 404.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "servers": [{ "url": "/" }],
        "security": [{ "key": [] }],
        "tags": tags,
        "paths": paths,
        "components": {
            "securitySchemes": {
                "key": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A key of `darkroom keys create`. As long as there is none, programs on the \
                        coordinator's machine need none.",
                },
            },
            "schemas": schemas,
        },
    })
}

/// The document as it is served and checked in.
pub fn document_text<S: Store + Ledger, Q: Queue>() -> String {
    format!("{:#}\n", document::<S, Q>())
}

/// What is served: the document and the page. Neither depends on the store, so there is one of each.
fn served<S: Store + Ledger, Q: Queue>() -> &'static (String, String) {
    static SERVED: OnceLock<(String, String)> = OnceLock::new();
    SERVED.get_or_init(|| (document_text::<S, Q>(), reading::page(&document::<S, Q>())))
}

/// `GET /openapi.json`
pub(crate) async fn get<S: Store + Ledger, Q: Queue>(State(_): State<Shared<S, Q>>, headers: HeaderMap) -> Response {
    let (text, _) = served::<S, Q>();
    answer(text, "application/json", &headers)
}

/// `GET /docs`
pub(crate) async fn read<S: Store + Ledger, Q: Queue>(State(_): State<Shared<S, Q>>, headers: HeaderMap) -> Response {
    let (_, page) = served::<S, Q>();
    let mut response = answer(page, "text/html; charset=utf-8", &headers);
    if let Ok(policy) = reading::policy().parse() {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    response
}

fn answer(text: &'static str, media_type: &str, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", Sha256::of(text.as_bytes()).short(16));
    if headers.get(header::IF_NONE_MATCH).is_some_and(|given| given.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, tag)]).into_response();
    }
    let headers = [
        (header::ETAG, tag),
        (header::CONTENT_TYPE, media_type.to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
    ];
    (headers, text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use darkroom_backend::{EmbeddedQueue, EmbeddedStore};
    use std::collections::BTreeSet;

    fn made() -> Value {
        document::<EmbeddedStore, EmbeddedQueue>()
    }

    /// Every `$ref` in a value.
    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(object) => {
                found.extend(object.get("$ref").and_then(Value::as_str));
                object.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn the_committed_document_is_the_generated_one() {
        let committed = include_str!("../../docs/openapi.json");
        let text = document_text::<EmbeddedStore, EmbeddedQueue>();
        assert!(committed == text, "docs/openapi.json is not what the code says; `make docs-generate` writes it anew");
    }

    #[test]
    fn every_reference_leads_to_a_schema_and_every_schema_is_used() {
        let document = made();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let named: BTreeSet<String> = document["components"]["schemas"]
            .as_object()
            .unwrap()
            .keys()
            .map(|name| format!("#/components/schemas/{name}"))
            .collect();
        assert_eq!(found.into_iter().map(str::to_owned).collect::<BTreeSet<_>>(), named);
    }

    #[test]
    fn every_route_is_described_with_its_parameters() {
        let document = made();
        let (mut ids, mut count) = (BTreeSet::new(), 0);
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, operation) in item.as_object().unwrap() {
                count += 1;
                assert!(ids.insert(operation["operationId"].as_str().unwrap().to_owned()), "{method} {path}");
                let named: Vec<&str> = operation["parameters"]
                    .as_array()
                    .into_iter()
                    .flatten()
                    .filter(|parameter| parameter["in"] == "path")
                    .map(|parameter| parameter["name"].as_str().unwrap())
                    .collect();
                let written: Vec<&str> =
                    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')).collect();
                assert_eq!(named, written, "{method} {path}");
                let responses = operation["responses"].as_object().unwrap();
                assert!(responses.keys().any(|status| status.starts_with('2')), "{method} {path}");
            }
        }
        assert_eq!(count, routes::<EmbeddedStore, EmbeddedQueue>().len());
    }
}
