//! Webhooks: a Git server says that something was pushed, and the Applications concerned are looked at at once.
//!
//! Input: `POST /api/webhook`, from anybody who can reach the port. Output: the refresh annotation on Applications,
//! which is what Argo CD's clients set, so that any replica may answer. Nothing of a payload is applied or logged. What
//! nobody has proved costs little: deliveries, connections, bodies and times are bounded, and a body is read only when
//! a secret is configured and a proof is there.

mod door;
mod proof;
mod settings;
mod tell;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use futures::StreamExt;
use kube::Client;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tidegate_engine::sync::webhook::{Change, Provider};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tracing::{debug, info, warn};

use self::door::Door;
use self::proof::Proof;
use self::settings::Settings;

/// Upstream's path, so that hooks that are configured go on working.
const PATH: &str = "/api/webhook";
/// Bodies that are read at once: with the largest of 50 MB, 100 MB of memory.
const BODIES_AT_ONCE: usize = 2;
/// The longest that a body may take to come, or to wait for its turn. GitHub gives up after 10 s.
const BODY_WITHIN: Duration = Duration::from_secs(20);
const TURN_WITHIN: Duration = Duration::from_secs(5);
/// Deliveries per second, and at once: more than a busy Git server sends, and little enough to check.
const DELIVERIES_PER_SECOND: f64 = 20.0;
const DELIVERIES_AT_ONCE: f64 = 100.0;
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
        bodies: Semaphore::new(BODIES_AT_ONCE),
        rate: door::Rate::new(DELIVERIES_PER_SECOND, DELIVERIES_AT_ONCE),
        changes,
    };
    let routes = routes(Arc::new(receiver));
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
    bodies: Semaphore,
    rate: door::Rate,
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
        Some((provider, event)) => receiver.take(provider, event, &parts.headers, body).await,
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
        headers: &HeaderMap,
        body: Body,
    ) -> Result<usize, Refused> {
        if !self.rate.admits() {
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
        let body = self.body(headers, body, settings.body_max).await?;
        proof.check(&body).map_err(denied)?;
        let changes = provider.changes(event, &body).map_err(|why| {
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

    /// Reads a body, within bounds of size and time.
    async fn body(&self, headers: &HeaderMap, body: Body, most: usize) -> Result<Vec<u8>, Refused> {
        let large = || {
            let why = format!(
                "the body is larger than {most} bytes, see {} in ConfigMap {}",
                settings::MAX_KEY,
                settings::MAP
            );
            Refused::new("large", StatusCode::PAYLOAD_TOO_LARGE, "the body is too large", why)
        };
        let length = headers
            .get(header::CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse::<usize>().ok());
        if length.is_some_and(|length| length > most) {
            return Err(large());
        }
        let Ok(Ok(_turn)) = timeout(TURN_WITHIN, self.bodies.acquire()).await else {
            return Err(Refused::new(
                "limited",
                StatusCode::SERVICE_UNAVAILABLE,
                "try again later",
                "too many bodies",
            ));
        };
        let mut bytes = Vec::new();
        let read = async {
            let mut parts = body.into_data_stream();
            while let Some(part) = parts.next().await {
                let part = part.map_err(|_| {
                    Refused::new(
                        "malformed",
                        StatusCode::BAD_REQUEST,
                        "the body ended early",
                        "the body ended early",
                    )
                })?;
                if bytes.len() + part.len() > most {
                    return Err(large());
                }
                bytes.extend_from_slice(&part);
            }
            Ok(())
        };
        match timeout(BODY_WITHIN, read).await {
            Ok(done) => done.map(|()| bytes),
            Err(_) => {
                Err(Refused::new("slow", StatusCode::REQUEST_TIMEOUT, "the body is too slow", "too slow"))
            }
        }
    }
}
