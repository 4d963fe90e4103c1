//! The HTTP side: health for the kubelet, metrics for Prometheus.
//!
//! Input: two ports. Output: /healthz and /readyz on one, /metrics on the other. It must never block a decision.

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::watch::Scene;

/// Why a port cannot be served.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on port {port} for {what}")]
pub struct ServeError {
    what: &'static str,
    port: u16,
    source: std::io::Error,
}

/// Opens a port on all addresses of both families where the machine has both.
pub(crate) async fn listen(what: &'static str, port: u16) -> Result<TcpListener, ServeError> {
    let both = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))).await;
    let bound = match both {
        Ok(listener) => Ok(listener),
        // A machine without IPv6.
        Err(_) => TcpListener::bind(SocketAddr::from(([0, 0, 0, 0], port))).await,
    };
    bound.map_err(|source| ServeError { what, port, source })
}

/// Serves /healthz and /readyz until the future is dropped.
pub(crate) async fn health(listener: TcpListener, scene: Arc<Scene>) -> std::io::Result<()> {
    let routes = Router::new()
        .route("/healthz", get(|| async { "ok" }))
        .route("/readyz", get(ready))
        .with_state(scene);
    axum::serve(listener, routes).await
}

/// Ready means that the caches are complete, also for a controller that does not lead: it could at once.
async fn ready(State(scene): State<Arc<Scene>>) -> (StatusCode, &'static str) {
    if scene.stores.are_listed() {
        (StatusCode::OK, "ok")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "caches are not complete yet")
    }
}

/// Serves /metrics until the future is dropped.
pub(crate) async fn metrics(listener: TcpListener, registry: Arc<Registry>) -> std::io::Result<()> {
    let routes = Router::new().route("/metrics", get(scrape)).with_state(registry);
    axum::serve(listener, routes).await
}

async fn scrape(State(registry): State<Arc<Registry>>) -> impl IntoResponse {
    let mut text = String::new();
    let status = match encode(&mut text, &registry) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, [(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
