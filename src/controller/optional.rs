//! Kinds that a cluster may lack: followed while they are served, looked for again while they are not.
//!
//! Input: discovery and one watch. Output: a store, and why it is empty where its kind cannot be read. A kind that is
//! installed later, or taken away, is noticed; no other watch ever waits for it.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::api::ApiResource;
use kube::runtime::watcher;
use serde_json::Value;
use tokio::sync::watch as channel;
use tracing::{debug, info};

use crate::failure::chain;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::watch::{Said, Scene, Scope, config, events, hear, wake_by_kind, wake_by_route};

/// Time until a kind that is not there is looked for again: doubled up to a minute, so that a cluster that never
/// has it is asked once a minute, and somebody who installs it waits no longer than that.
const LOOK_SOONEST: Duration = Duration::from_secs(2);
const LOOK_LATEST: Duration = Duration::from_secs(60);

/// The objects of one kind, as far as there are any.
#[derive(Debug)]
pub(crate) struct Optional {
    pub(crate) store: Store<Value>,
    state: RwLock<State>,
    settled: channel::Sender<bool>,
}

#[derive(Debug, Default)]
struct State {
    /// The version that is followed.
    served: Option<ApiResource>,
    /// Why there are no objects; `None` once a list was read.
    unread: Option<String>,
    /// The one namespace that is watched; `None` for all.
    only: Option<String>,
}

impl Default for Optional {
    fn default() -> Self {
        let state = State { unread: Some("nobody has looked yet".to_owned()), ..State::default() };
        Self { store: Store::default(), state: RwLock::new(state), settled: channel::Sender::new(false) }
    }
}

impl Optional {
    /// Why objects of a namespace cannot be had, if so.
    pub(crate) fn unread(&self, namespace: &str) -> Option<String> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let out_of_reach = state.only.as_ref().filter(|only| *only != namespace);
        state.unread.clone().or_else(|| {
            out_of_reach.map(|only| format!("this controller watches namespace {only} only, not {namespace}"))
        })
    }

    /// The version that the cluster serves, if any.
    pub(crate) fn served(&self) -> Option<ApiResource> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).served.clone()
    }

    fn is_read(&self) -> bool {
        self.state.read().unwrap_or_else(PoisonError::into_inner).unread.is_none()
    }

    /// Whether it is known whether the kind can be read: what is planned before could miss a route that is there.
    pub(crate) fn is_settled(&self) -> bool {
        *self.settled.borrow()
    }

    /// Returns once it is known whether the kind can be read.
    pub(crate) async fn wait_settled(&self) {
        // The sender lives as long as this, so waiting cannot fail.
        let _ = self.settled.subscribe().wait_for(|settled| *settled).await;
    }

    /// Notes what is known of the kind; whether that is news.
    pub(crate) fn note(&self, served: Option<ApiResource>, unread: Option<String>) -> bool {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let news = state.unread != unread;
        state.served = served;
        state.unread = unread;
        drop(state);
        self.settled.send_replace(true);
        news
    }
}

/// Who looks for one kind, and follows it.
pub(crate) struct Lookout {
    pub(crate) client: Client,
    pub(crate) scope: Scope,
    pub(crate) scene: Arc<Scene>,
    pub(crate) metrics: Arc<Metrics>,
    /// The kind in the version that plans name.
    pub(crate) kind: ApiResource,
    /// The versions that will do, the best first.
    pub(crate) versions: Vec<ApiResource>,
    pub(crate) of: fn(&Scene) -> &Optional,
}

impl Lookout {
    /// Looks and follows for ever.
    pub(crate) async fn keep(self) {
        let reach = self.scope.namespace.clone();
        self.optional().state.write().unwrap_or_else(PoisonError::into_inner).only = reach;
        let mut pause = LOOK_SOONEST;
        loop {
            match self.discover().await {
                Ok(Some(kind)) => {
                    self.follow(&kind).await;
                    pause = LOOK_SOONEST;
                }
                Ok(None) => self.lacks(),
                Err(error) => self.cannot_read(&chain(&error)),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LOOK_LATEST);
        }
    }

    fn optional(&self) -> &Optional {
        (self.of)(&self.scene)
    }

    /// The first of the versions that the cluster serves.
    async fn discover(&self) -> Result<Option<ApiResource>, kube::Error> {
        for version in &self.versions {
            match self.client.list_api_group_resources(&version.api_version).await {
                Ok(list) if list.resources.iter().any(|resource| resource.name == version.plural) => {
                    return Ok(Some(version.clone()));
                }
                Ok(_) => {}
                Err(error) if is_absent(&error) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Follows the kind until its path is not found any more. The objects stay until discovery says the same.
    async fn follow(&self, kind: &ApiResource) {
        info!(kind = kind.kind, version = kind.api_version, "kind is served, following it");
        let mut events = events(self.scope.api(&self.client, kind), config());
        let optional = self.optional();
        // Objects say the version that they were read in, so the store holds one version at a time.
        while let Some(event) = events.next().await {
            let wake = |change: &_| wake_by_route(&self.scene, &self.kind.kind, change);
            match hear(event, kind, &optional.store, wake, &self.metrics) {
                Said::More => {}
                Said::Listed => self.note(Some(kind.clone()), None),
                Said::Failed(error) if ends(&error) => return,
                Said::Failed(error) => self.cannot_read(&chain(&error)),
            }
        }
    }

    /// The kind is not there, so none of its objects is.
    fn lacks(&self) {
        let store = &self.optional().store;
        store.list_begins();
        for change in store.list_ends() {
            wake_by_route(&self.scene, &self.kind.kind, &change);
        }
        debug!(kind = self.kind.kind, "kind is not served");
        let group = &self.kind.group;
        self.note(None, Some(format!("the cluster does not serve it; install the kinds of {group}")));
    }

    /// A failure before anything was read; what was read before stays as it is.
    fn cannot_read(&self, why: &str) {
        let optional = self.optional();
        if !optional.is_read() {
            self.note(optional.served(), Some(why.to_owned()));
        }
    }

    fn note(&self, served: Option<ApiResource>, unread: Option<String>) {
        if self.optional().note(served, unread) {
            wake_by_kind(&self.scene, &self.kind.kind);
        }
    }
}

/// Whether a failed watch means that the kind is gone.
fn ends(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => is_absent(error),
        watcher::Error::WatchError(status) => status.code == 404,
        watcher::Error::NoResourceVersion => false,
    }
}

pub(crate) fn is_absent(error: &kube::Error) -> bool {
    matches!(error, kube::Error::Api(status) if status.code == 404)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::facts::{Facts, RolloutFacts};
    use crate::kinds;
    use crate::mock::{Server, server};
    use crate::store::Key;

    fn rollout() -> Value {
        json!({
            "metadata": { "name": "shop", "namespace": "web", "uid": "r1", "resourceVersion": "1" },
            "spec": { "strategy": { "canary": {
                "canaryService": "c", "stableService": "s",
                "trafficRouting": { "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": "shop" } } },
            } } },
        })
    }

    async fn absent(server: &mut Server, version: &str) {
        let status = json!({ "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "no" });
        let asked = server.answer(404, status).await;
        assert_eq!(asked.line, format!("GET /apis/gateway.networking.k8s.io/{version}"));
    }

    async fn until(optional: &Optional, is_read: bool) {
        while optional.is_read() != is_read {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_is_noticed_when_it_comes_and_when_it_goes() {
        let (client, mut server) = server();
        let scene = Arc::new(Scene::default());
        let facts = RolloutFacts::keep(rollout(), None).unwrap();
        let seen = tidegate_engine::fence::Seen { version: "1".to_owned(), uid: "r1".to_owned() };
        scene.stores.rollouts.apply(Key::new("web", "shop"), seen, facts);
        let older = kinds::in_version(&kinds::http_route(), "v1beta1");
        let lookout = Lookout {
            client,
            scope: Scope { namespace: None, instance_id: None, analysis_only: false },
            scene: Arc::clone(&scene),
            metrics: Arc::new(Metrics::default()),
            kind: kinds::http_route(),
            versions: vec![kinds::http_route(), older.clone()],
            of: |scene| &scene.stores.http_routes,
        };
        let task = tokio::spawn(lookout.keep());
        let optional = &scene.stores.http_routes;
        assert!(!optional.is_settled());
        absent(&mut server, "v1").await;
        absent(&mut server, "v1beta1").await;
        optional.wait_settled().await;
        assert!(optional.unread("web").unwrap().contains("does not serve it"));
        // Somebody installs an older Gateway API; paused time runs to the next look.
        absent(&mut server, "v1").await;
        let names = json!([{ "name": "httproutes", "kind": "HTTPRoute", "namespaced": true, "singularName": "", "verbs": [] }]);
        server
            .answer(200, json!({ "kind": "APIResourceList", "groupVersion": "x", "resources": names }))
            .await;
        let route =
            json!({ "metadata": { "name": "shop", "namespace": "web", "resourceVersion": "5", "uid": "u" } });
        let list = json!({ "kind": "HTTPRouteList", "apiVersion": "x", "metadata": { "resourceVersion": "7" }, "items": [route] });
        let asked = server.answer(200, list).await;
        assert!(
            asked.line.starts_with("GET /apis/gateway.networking.k8s.io/v1beta1/httproutes?"),
            "{}",
            asked.line
        );
        until(optional, true).await;
        assert_eq!(optional.unread("web"), None);
        assert_eq!(optional.served(), Some(older));
        let kept = optional.store.value("web", "shop").unwrap();
        assert_eq!(kept["apiVersion"], "gateway.networking.k8s.io/v1beta1");
        // It is taken away: the watch is not found, and discovery says the same.
        let gone = json!({ "kind": "Status", "status": "Failure", "code": 404, "reason": "NotFound", "message": "no" });
        server.answer(404, gone).await;
        absent(&mut server, "v1").await;
        absent(&mut server, "v1beta1").await;
        until(optional, false).await;
        assert_eq!(optional.store.value("web", "shop"), None);
        task.abort();
    }

    #[tokio::test(start_paused = true)]
    async fn a_kind_that_must_not_be_read_holds_nobody_up_and_says_why() {
        let (client, mut server) = server();
        let scene = Arc::new(Scene::default());
        let lookout = Lookout {
            client,
            scope: Scope { namespace: Some("web".to_owned()), instance_id: None, analysis_only: false },
            scene: Arc::clone(&scene),
            metrics: Arc::new(Metrics::default()),
            kind: kinds::openshift_route(),
            versions: vec![kinds::openshift_route()],
            of: |scene| &scene.stores.openshift_routes,
        };
        let task = tokio::spawn(lookout.keep());
        let names = json!([{ "name": "routes", "kind": "Route", "namespaced": true, "singularName": "", "verbs": [] }]);
        server
            .answer(200, json!({ "kind": "APIResourceList", "groupVersion": "x", "resources": names }))
            .await;
        let denied = json!({ "kind": "Status", "status": "Failure", "code": 403, "reason": "Forbidden", "message": "no right" });
        server.answer(403, denied).await;
        let optional = &scene.stores.openshift_routes;
        optional.wait_settled().await;
        assert!(optional.unread("web").unwrap().contains("no right"));
        // Later somebody grants the right.
        let list = json!({ "kind": "RouteList", "apiVersion": "x", "metadata": { "resourceVersion": "7" }, "items": [] });
        server.answer(200, list).await;
        until(optional, true).await;
        assert_eq!(optional.unread("web"), None);
        assert!(optional.unread("other").unwrap().contains("watches namespace web only"));
        task.abort();
    }
}
