//! Webhooks: a Git server says that something was pushed, and the Applications concerned are looked at at once.
//!
//! Input: `POST /api/webhook`, from anybody who can reach the port. Output: the refresh annotation on Applications,
//! which is what Argo CD's clients set, so that any replica may answer. Nothing of a payload is applied or logged. What
//! nobody has proved costs little: deliveries, connections, bodies and times are bounded, and a body is read only when
//! a secret is configured and a proof is there.

mod body;
mod door;
mod proof;
mod settings;
mod tell;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use kube::Client;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tidegate_engine::sync::webhook::{Change, Provider};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tracing::{debug, info, warn};

use self::body::Bodies;
use self::door::{Door, Peer};
use self::proof::Proof;
use self::settings::Settings;

/// Upstream's path, so that hooks that are configured go on working.
const PATH: &str = "/api/webhook";
/// Deliveries per second of one address, and at once: more than a busy Git server sends.
const DELIVERIES_PER_SECOND: f64 = 20.0;
const DELIVERIES_AT_ONCE: f64 = 100.0;
/// The same of all together: little enough to check.
const ALL_PER_SECOND: f64 = 100.0;
const ALL_AT_ONCE: f64 = 500.0;
/// Changes that wait for their Applications to be found.
const CHANGES_WAITING: usize = 1000;

/// What the receiver may do, and where.
#[derive(Clone, Debug)]
pub(crate) struct WebhookConfig {
    /// The namespace of Applications and of the Secret.
    pub(crate) applications: String,
    /// Whether providers without a secret are believed.
    pub(crate) allow_unsigned: bool,
}

/// Deliveries by provider and outcome.
#[derive(Clone, Debug, Default)]
pub(crate) struct Deliveries(Family<[(&'static str, &'static str); 2], Counter>);

impl Deliveries {
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("tidegate_webhook_deliveries", "Webhooks received, by outcome", self.0.clone());
    }

    fn count(&self, provider: &'static str, outcome: &'static str) {
        self.0.get_or_create(&[("provider", provider), ("outcome", outcome)]).inc();
    }
}

/// Serves webhooks until the future is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    config: WebhookConfig,
    client: Client,
    deliveries: Deliveries,
) -> std::io::Result<()> {
    let (changes, waiting) = mpsc::channel(CHANGES_WAITING);
    let receiver = Receiver {
        settings: Settings::new(client.clone(), config.applications.clone()),
        allow_unsigned: config.allow_unsigned,
        deliveries,
        bodies: Bodies::default(),
        rate: door::Rate::new(ALL_PER_SECOND, ALL_AT_ONCE),
        peers: door::Peers::new(DELIVERIES_PER_SECOND, DELIVERIES_AT_ONCE),
        changes,
    };
    let routes = routes(Arc::new(receiver)).into_make_service_with_connect_info::<Peer>();
    tokio::select! {
        ended = axum::serve(Door::new(listener), routes) => ended,
        () = tell::run(client, config.applications, waiting) => Ok(()),
    }
}

fn routes(receiver: Arc<Receiver>) -> Router {
    Router::new().route(PATH, post(receive)).with_state(receiver)
}

/// What a delivery needs.
struct Receiver {
    settings: Settings,
    allow_unsigned: bool,
    deliveries: Deliveries,
    bodies: Bodies,
    rate: door::Rate,
    peers: door::Peers,
    changes: mpsc::Sender<Change>,
}

/// Why a delivery is not taken, and what its sender is told; the log tells the rest.
struct Refused {
    outcome: &'static str,
    status: StatusCode,
    told: String,
    why: String,
}

impl Refused {
    fn new(outcome: &'static str, status: StatusCode, told: &str, why: impl Into<String>) -> Self {
        Self { outcome, status, told: told.to_owned(), why: why.into() }
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let provider = Provider::of(|name| parts.headers.get(name).and_then(|value| value.to_str().ok()));
    let name = provider.map_or("unknown", |(provider, _)| provider.name());
    let taken = match provider {
        Some((provider, event)) => {
            let peer = parts.extensions.get::<ConnectInfo<Peer>>().map(|ConnectInfo(peer)| *peer);
            receiver.take(provider, event, peer, &parts.headers, body).await
        }
        None => Err(Refused::new(
            "unknown",
            StatusCode::BAD_REQUEST,
            "unknown kind of webhook",
            "no known headers",
        )),
    };
    match taken {
        Ok(0) => {
            receiver.deliveries.count(name, "ignored");
            (StatusCode::OK, "nothing to do\n").into_response()
        }
        Ok(_) => {
            receiver.deliveries.count(name, "accepted");
            (StatusCode::OK, "accepted\n").into_response()
        }
        Err(refused) => {
            receiver.deliveries.count(name, refused.outcome);
            match refused.outcome {
                // One line for each would let anybody fill the log.
                "limited" | "unknown" => debug!(provider = name, why = refused.why, "webhook refused"),
                _ => warn!(provider = name, outcome = refused.outcome, why = refused.why, "webhook refused"),
            }
            let mut response = (refused.status, format!("{}\n", refused.told)).into_response();
            if refused.status == StatusCode::SERVICE_UNAVAILABLE
                || refused.status == StatusCode::TOO_MANY_REQUESTS
            {
                response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("5"));
            }
            response
        }
    }
}

impl Receiver {
    /// Takes a delivery; says how many changes it told.
    async fn take(
        &self,
        provider: Provider,
        event: &str,
        peer: Option<Peer>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<usize, Refused> {
        if !peer.is_none_or(|peer| self.peers.admits(peer)) || !self.rate.admits() {
            return Err(Refused::new(
                "limited",
                StatusCode::TOO_MANY_REQUESTS,
                "too many webhooks",
                "too many",
            ));
        }
        let settings = self.settings.current().await.map_err(|why| {
            Refused::new("unavailable", StatusCode::SERVICE_UNAVAILABLE, "try again later", why)
        })?;
        let proof = match settings.secrets.of(provider) {
            Ok(Some(secret)) => Proof::read(provider, headers, secret),
            Ok(None) if self.allow_unsigned => Ok(Proof::Given),
            Err(why) => Err(why),
            Ok(None) => Err(format!(
                "no secret is configured: set {} in Secret {}, and the same at the sender",
                settings::key(provider),
                settings::SECRET
            )),
        };
        let denied = |why: String| {
            Refused::new("denied", StatusCode::UNAUTHORIZED, "the signature is missing or wrong", why)
        };
        let proof = proof.map_err(denied)?;
        let body = self.bodies.read(headers, body, settings.body_max).await?;
        proof.check(&body.bytes).map_err(denied)?;
        let changes = provider.changes(event, &body.bytes).map_err(|why| {
            Refused::new("malformed", StatusCode::BAD_REQUEST, "the body is not JSON of that event", why)
        })?;
        drop(body);
        let count = changes.len();
        for change in changes {
            info!(provider = provider.name(), what = change.shown(), "webhook received");
            self.changes.try_send(change).map_err(|_| {
                Refused::new("limited", StatusCode::SERVICE_UNAVAILABLE, "try again later", "too much waits")
            })?;
        }
        Ok(count)
    }
}
