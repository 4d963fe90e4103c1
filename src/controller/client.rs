//! The Kubernetes client: kube's own stack, with a limit on requests, a count of them, and a gate for writes.
//!
//! Input: where the cluster is. Output: clients. The gate makes it impossible for any loop to write without the
//! lease, whatever the loop does. It must never know what is requested.

use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::future::BoxFuture;
use http::{Method, Request, Response};
use kube::client::{Body, ClientBuilder};
use kube::{Client, Config};
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

use crate::metrics::Metrics;

/// A write gets its answer within this time or counts as lost: less than what separates the renew deadline
/// (10 s) from the end of the lease (15 s), so that a write which we still wait for cannot land under another leader.
pub(crate) const WRITE_WITHIN: Duration = Duration::from_secs(4);
/// A read may take longer: a page of a list on a busy API server does.
const READ_WITHIN: Duration = Duration::from_secs(30);

/// The longest silence within an answer. A watch ends after 30 s, so a connection that says nothing for longer is dead.
const SILENT_WITHIN: Duration = Duration::from_secs(45);

/// Until when writes are allowed. Clones share one state.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gate {
    open_until: Arc<Mutex<Option<Instant>>>,
}

impl Gate {
    /// A gate that is always open, for a controller without leader election.
    pub(crate) fn always_open() -> Self {
        let far = Instant::now() + Duration::from_secs(60 * 60 * 24 * 365 * 30);
        Self { open_until: Arc::new(Mutex::new(Some(far))) }
    }

    /// Allows writes until a point in time.
    pub(crate) fn open_until(&self, until: Instant) {
        *self.open_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(until);
    }

    /// Stops writes from now on.
    pub(crate) fn close(&self) {
        *self.open_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Until when writes may be sent, if they may be sent now.
    pub(crate) fn until(&self) -> Option<Instant> {
        let until = *self.open_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.filter(|until| Instant::now() < *until)
    }

    /// Whether a write may be sent now.
    pub(crate) fn is_open(&self) -> bool {
        self.until().is_some()
    }
}

/// A request that was stopped before it was sent.
#[derive(Debug, thiserror::Error)]
#[error("not sent, because this controller does not hold the lease")]
pub(crate) struct Refused;

/// A request that got no answer in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer from the API server within {seconds} s")]
struct NoAnswer {
    seconds: u64,
}

/// So many requests per second, with a reserve for bursts: what clients of Kubernetes call qps and burst.
#[derive(Debug)]
pub(crate) struct Limit {
    per_second: f64,
    burst: f64,
    /// When the reserve would be full again if nothing more were sent.
    full_at: Mutex<Instant>,
}

impl Limit {
    /// Builds a limit; a rate of zero or less means none.
    pub(crate) fn new(per_second: f64, burst: u32) -> Self {
        Self { per_second, burst: f64::from(burst.max(1)), full_at: Mutex::new(Instant::now()) }
    }

    /// Takes one request out of the reserve; returns when it may be sent.
    fn book(&self, now: Instant) -> Instant {
        if self.per_second <= 0.0 {
            return now;
        }
        let one = Duration::from_secs_f64(1.0 / self.per_second);
        let reserve = Duration::from_secs_f64((self.burst - 1.0) / self.per_second);
        let mut full_at = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let start = (*full_at).max(now);
        *full_at = start + one;
        start.checked_sub(reserve).map_or(now, |at| at.max(now))
    }
}

/// Builds a client on which every request is limited and counted, and on which writes pass the gate.
///
/// # Errors
/// Fails when the configuration names credentials that cannot be read.
pub(crate) fn build(
    config: &Config,
    limit: Limit,
    gate: Gate,
    metrics: Arc<Metrics>,
) -> Result<Client, kube::Error> {
    let mut config = config.clone();
    // kube would repeat a write for minutes, past the end of the lease; the loops have a back-off of their own.
    config.default_retry = false;
    // Nothing that is read, a watch least of all, may be silent for longer than a watch lasts.
    config.read_timeout = Some(SILENT_WITHIN);
    let door = Door { limit: Arc::new(limit), gate, metrics };
    Ok(ClientBuilder::try_from(config)?.with_layer(&door).build())
}

/// The layer in front of kube's own stack.
#[derive(Clone)]
struct Door {
    limit: Arc<Limit>,
    gate: Gate,
    metrics: Arc<Metrics>,
}

impl<S> Layer<S> for Door {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Guarded<S> {
        Guarded { door: self.clone(), inner: Arc::new(tokio::sync::Mutex::new(inner)) }
    }
}

/// A service behind the door.
struct Guarded<S> {
    door: Door,
    /// kube's stack is not `Clone`; it only waits to become ready, and is free again once the request is on its way.
    inner: Arc<tokio::sync::Mutex<S>>,
}

impl<S, B> Service<Request<Body>> for Guarded<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = BoxError> + Send + 'static,
    S::Future: Send + 'static,
    B: Send + 'static,
{
    type Response = Response<B>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (door, inner) = (self.door.clone(), Arc::clone(&self.inner));
        Box::pin(async move {
            tokio::time::sleep_until(door.limit.book(Instant::now())).await;
            let writes = request.method() != Method::GET;
            if writes && !door.gate.is_open() {
                return Err(BoxError::from(Refused));
            }
            let (verb, uri) = (verb(&request), request.uri().clone());
            let response = {
                let mut inner = inner.lock().await;
                std::future::poll_fn(|context| inner.poll_ready(context)).await?;
                inner.call(request)
            };
            let within = if writes { WRITE_WITHIN } else { READ_WITHIN };
            let answer = tokio::time::timeout(within, response).await;
            let answer =
                answer.unwrap_or_else(|_| Err(BoxError::from(NoAnswer { seconds: within.as_secs() })));
            let status = answer.as_ref().map_or(0, |response| response.status().as_u16());
            let target = Target::of(uri.path());
            door.metrics.requested(target.kind, target.namespace, target.told_name(verb), verb, status);
            answer
        })
    }
}

/// The verb as upstream's metric names it.
fn verb(request: &Request<Body>) -> &'static str {
    let watching = request.uri().query().is_some_and(|query| query.contains("watch=true"));
    let named = Target::of(request.uri().path()).name.is_some();
    match request.method().as_str() {
        "GET" if watching => "Watch",
        "GET" if named => "Get",
        "GET" => "List",
        "POST" => "Create",
        "PUT" => "Update",
        "PATCH" => "Patch",
        "DELETE" => "Delete",
        _ => "Unknown",
    }
}

/// Kinds whose objects come and go with every update: their names are not told, which keeps the number of series down.
const UNNAMED: [&str; 6] = ["events", "replicasets", "analysisruns", "jobs", "experiments", "pods"];

/// What a request is about, by its path: `/apis/apps/v1/namespaces/a/deployments/x` is Deployment x of namespace a.
#[derive(Debug, PartialEq, Eq)]
struct Target<'p> {
    /// In the plural.
    kind: &'p str,
    /// Empty for all namespaces, and for what has none.
    namespace: &'p str,
    name: Option<&'p str>,
}

impl<'p> Target<'p> {
    fn of(path: &'p str) -> Self {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let root = if parts.next() == Some("api") { 1 } else { 2 };
        let rest: Vec<&str> = parts.skip(root).collect();
        match rest.as_slice() {
            ["namespaces", namespace, kind, more @ ..] => {
                Self { kind, namespace, name: more.first().copied() }
            }
            [kind, more @ ..] => Self { kind, namespace: "", name: more.first().copied() },
            [] => Self { kind: "Unknown", namespace: "", name: None },
        }
    }

    /// The name, where a metric tells it.
    fn told_name(&self, verb: &str) -> Option<&'p str> {
        self.name.filter(|_| verb != "List" && !UNNAMED.contains(&self.kind))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_at_once_and_the_rest_at_the_rate() {
        let limit = Limit::new(10.0, 3);
        let now = Instant::now();
        let waits: Vec<u128> = (0..5).map(|_| (limit.book(now) - now).as_millis()).collect();
        assert_eq!(waits, [0, 0, 0, 100, 200]);
        tokio::time::advance(Duration::from_secs(10)).await;
        let later = Instant::now();
        assert_eq!(limit.book(later), later);
        assert_eq!(Limit::new(0.0, 1).book(later), later, "no rate means no limit");
    }

    #[tokio::test(start_paused = true)]
    async fn the_gate_shuts_by_itself() {
        let gate = Gate::default();
        assert!(!gate.is_open());
        gate.open_until(Instant::now() + Duration::from_secs(10));
        assert!(gate.is_open());
        tokio::time::advance(Duration::from_secs(10)).await;
        assert!(!gate.is_open());
        assert!(Gate::always_open().is_open());
    }

    #[test]
    fn paths_tell_kind_and_verb() {
        let target = |path| {
            let Target { kind, namespace, name } = Target::of(path);
            (kind, namespace, name)
        };
        let status = "/apis/argoproj.io/v1alpha1/namespaces/shop/rollouts/web/status";
        assert_eq!(target(status), ("rollouts", "shop", Some("web")));
        assert_eq!(target("/api/v1/namespaces/shop/services"), ("services", "shop", None));
        assert_eq!(target("/api/v1/namespaces/shop"), ("namespaces", "", Some("shop")));
        assert_eq!(target("/apis/apps/v1/replicasets"), ("replicasets", "", None));
        assert_eq!(target("/apis/apps/v1"), ("Unknown", "", None));
        assert_eq!(Target::of(status).told_name("Patch"), Some("web"));
        assert_eq!(Target::of("/api/v1/namespaces/a/pods/b").told_name("Patch"), None, "pods come and go");
        let get = |uri: &str| verb(&Request::get(uri).body(Body::empty()).unwrap());
        assert_eq!(get("/api/v1/pods?watch=true&x=1"), "Watch");
        assert_eq!(get("/api/v1/pods?limit=5"), "List");
        assert_eq!(get("/api/v1/namespaces/a/pods/b"), "Get");
    }
}
