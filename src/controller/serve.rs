//! The HTTP side: health for the kubelet, metrics for Prometheus.
//!
//! Input: two ports. Output: /healthz and /readyz on one, /metrics on the other. It must never block a decision.

mod plain;

use std::net::{Ipv6Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::watch::Scene;

/// What the registry writes, for those who name it in `Accept`.
const OPEN_KIND: &str = "application/openmetrics-text";
const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// What everybody else gets, as from upstream.
const PLAIN: &str = "text/plain; version=0.0.4; charset=utf-8";

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
    axum::serve(listener, scrapes(registry)).await
}

fn scrapes(registry: Arc<Registry>) -> Router {
    Router::new().route("/metrics", get(scrape)).with_state(registry)
}

async fn scrape(State(registry): State<Arc<Registry>>, headers: HeaderMap) -> impl IntoResponse {
    let mut text = String::new();
    let status = match encode(&mut text, &registry) {
        Ok(()) => StatusCode::OK,
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let (kind, text) = if takes_open(&headers) { (OPEN, text) } else { (PLAIN, plain::of(&text)) };
    (status, [(header::CONTENT_TYPE, kind)], text)
}

/// Whether whoever asks names OpenMetrics; `*/*` is not enough.
fn takes_open(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|kind| {
        let kind = kind.split(';').next().unwrap_or_default();
        kind.trim().eq_ignore_ascii_case(OPEN_KIND)
    })
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use prometheus_client::metrics::counter::Counter;
    use tower::ServiceExt;

    use super::*;

    /// What comes back for an `Accept` header: its type, and its text.
    async fn scraped(accept: Option<&str>) -> (String, String) {
        let mut registry = Registry::default();
        let panics: Counter = Counter::default();
        registry.register("tidegate_panics", "Decisions that panicked", panics);
        let mut request = Request::get("/metrics").body(Body::empty()).unwrap();
        if let Some(kinds) = accept {
            request.headers_mut().insert(header::ACCEPT, kinds.parse().unwrap());
        }
        let response = scrapes(Arc::new(registry)).oneshot(request).await.unwrap();
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let text = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (kind, String::from_utf8(text.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn openmetrics_is_for_those_who_name_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, wanted) in [
            (None, PLAIN),
            (Some("*/*"), PLAIN),
            (Some("text/plain;version=0.0.4"), PLAIN),
            (Some("application/openmetrics-text-like"), PLAIN),
            (Some(prometheus), OPEN),
            (Some("text/html, Application/OpenMetrics-Text"), OPEN),
        ] {
            let (kind, text) = scraped(accept).await;
            assert_eq!(kind, wanted, "{accept:?}");
            assert_eq!(text.ends_with("# EOF\n"), kind == OPEN, "{text}");
            assert_eq!(text.contains("# TYPE tidegate_panics_total counter\n"), kind == PLAIN, "{text}");
            assert!(text.contains("\ntidegate_panics_total 0\n"), "{text}");
        }
    }
}
