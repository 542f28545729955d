//! `/metrics`, `/livez` and `/readyz` of a role.

use super::readiness::Readiness;
use crate::failure::Failure;
use crate::settings::Listen;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::IntoResponse;
use axum::routing::get;
use metrics_exporter_prometheus::PrometheusHandle;
use std::io::ErrorKind;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// The type of Prometheus' text.
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Takes the address. If it is taken and nobody chose it, a free port is taken instead: a second role on a machine is
/// usual.
pub(super) async fn bind(listen: Listen) -> Result<TcpListener, Failure> {
    let failed = |address: SocketAddr, error: std::io::Error| {
        let why = match error.kind() {
            ErrorKind::AddrInUse => "another process listens there".to_owned(),
            _ => error.to_string(),
        };
        Failure::other(format!("the pages can't be served at {address}: {why}"))
            .advice("choose another --metrics-listen; 127.0.0.1:0 takes a free port")
    };
    let listener = match TcpListener::bind(listen.address).await {
        Err(error) if error.kind() == ErrorKind::AddrInUse && !listen.is_chosen => {
            let any = SocketAddr::new(listen.address.ip(), 0);
            let listener = TcpListener::bind(any).await.map_err(|error| failed(any, error))?;
            tracing::warn!(address = %listen.address, "another process listens there; a free port is taken instead");
            listener
        }
        bound => bound.map_err(|error| failed(listen.address, error))?,
    };
    let address = listener.local_addr().map_err(|error| failed(listen.address, error))?;
    tracing::info!(%address, "serving /metrics, /livez and /readyz");
    Ok(listener)
}

#[derive(Clone)]
struct Pages {
    metrics: PrometheusHandle,
    readiness: Readiness,
}

/// Serves until it is dropped.
pub(super) async fn serve(listener: TcpListener, metrics: PrometheusHandle, readiness: Readiness) {
    let pages = Router::new()
        .route("/metrics", get(metrics_page))
        .route("/livez", get(alive_page))
        .route("/readyz", get(ready_page))
        .with_state(Pages { metrics, readiness });
    if let Err(error) = axum::serve(listener, pages).await {
        tracing::error!(%error, "the pages are not served any more");
    }
}

async fn metrics_page(State(pages): State<Pages>) -> impl IntoResponse {
    ([(CONTENT_TYPE, PROMETHEUS)], pages.metrics.render())
}

async fn alive_page(State(pages): State<Pages>) -> impl IntoResponse {
    match pages.readiness.is_alive() {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "the role is stuck\n"),
    }
}

async fn ready_page(State(pages): State<Pages>) -> impl IntoResponse {
    let reasons = pages.readiness.reasons();
    match reasons.is_empty() {
        true => (StatusCode::OK, "ok\n".to_owned()),
        false => (StatusCode::SERVICE_UNAVAILABLE, reasons.join("\n") + "\n"),
    }
}
