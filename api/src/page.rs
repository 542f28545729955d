//! Lists: pages with a cursor.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// How many entries a page has if nobody says.
pub(crate) const LIMIT: u32 = 50;

/// How many it may have.
pub(crate) const LIMIT_MAX: u32 = 1_000;

/// A page of a list. `here` is the address without the cursor; the next page is linked to.
pub(crate) fn page(data: Vec<Value>, next_cursor: Option<String>, here: &str) -> Response {
    let link = next_cursor.as_ref().map(|cursor| {
        let glue = if here.contains('?') { '&' } else { '?' };
        format!("<{here}{glue}cursor={cursor}>; rel=\"next\"")
    });
    let mut response = axum::Json(json!({ "data": data, "next_cursor": next_cursor })).into_response();
    if let Some(link) = link.and_then(|link| HeaderValue::from_str(&link).ok()) {
        response.headers_mut().insert(header::LINK, link);
    }
    response
}
