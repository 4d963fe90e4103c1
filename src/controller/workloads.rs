//! The objects that Rollouts take their pod templates from: a kind is followed once a Rollout refers to it.
//!
//! Input: the first reference to a kind, then its watch. Output: a store for each kind, and why one is empty where its
//! kind cannot be read. Nobody without such a Rollout pays for it.

use std::sync::{Arc, PoisonError, RwLock};

use std::time::Duration;

use futures::StreamExt;
use kube::Client;
use kube::api::{Api, ApiResource};
use kube::runtime::watcher;
use serde_json::Value;
use tidegate_engine::rollout::workload::{Workload, WorkloadKind};
use tokio::sync::watch as channel;
use tokio::task::JoinSet;

use crate::facts::Facts;
use crate::failure::chain;
use crate::kinds;
use crate::metrics::Metrics;
use crate::raw::Raw;
use crate::store::{Change, Key, Store};
use crate::watch::{Said, Scene, Scope, config, events, hear};

/// Time until a kind that must not be read is tried again.
const DENIED_PAUSE: Duration = Duration::from_secs(60);

/// One kind that is followed once somebody wants it.
#[derive(Debug)]
pub(crate) struct Followed<T> {
    pub(crate) store: Store<T>,
    wanted: channel::Sender<bool>,
    /// Why nothing of the kind could be read so far.
    unread: RwLock<Option<String>>,
}

impl<T> Default for Followed<T> {
    fn default() -> Self {
        let wanted = channel::Sender::new(false);
        Self { store: Store::default(), wanted, unread: RwLock::new(None) }
    }
}

/// All kinds of workloads.
#[derive(Debug, Default)]
pub(crate) struct Workloads {
    deployments: Followed<Workload>,
    replica_sets: Followed<Workload>,
    pod_templates: Followed<Workload>,
}

impl Workloads {
    pub(crate) fn of(&self, kind: WorkloadKind) -> &Followed<Workload> {
        match kind {
            WorkloadKind::Deployment => &self.deployments,
            WorkloadKind::ReplicaSet => &self.replica_sets,
            WorkloadKind::PodTemplate => &self.pod_templates,
        }
    }
}

impl<T: Facts> Followed<T> {
    /// Notes that somebody refers to the kind.
    pub(crate) fn want(&self) {
        self.wanted.send_replace(true);
    }

    /// Whether nothing can be said yet about which objects there are.
    pub(crate) fn is_awaited(&self) -> bool {
        !self.store.is_listed() && self.unread().is_none()
    }

    /// Why nothing of the kind can be read, if so.
    pub(crate) fn unread(&self) -> Option<String> {
        self.unread.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn note(&self, unread: Option<String>) -> bool {
        let mut known = self.unread.write().unwrap_or_else(PoisonError::into_inner);
        let is_news = *known != unread;
        *known = unread;
        is_news
    }
}

impl Facts for Workload {
    fn keep(object: Value, _old: Option<&Self>) -> Result<Self, String> {
        let kind = WorkloadKind::ALL.into_iter().find(|kind| object["kind"] == kind.reference("").kind);
        kind.map(|kind| Self::parse(kind, &object)).ok_or_else(|| "holds no pod template".to_owned())
    }

    fn differs(&self, old: &Self) -> bool {
        self != old
    }
}

/// Starts a watch for each kind, which sleeps until a Rollout refers to it.
pub(crate) fn start(
    client: &Client,
    scope: &Scope,
    scene: &Arc<Scene>,
    metrics: &Arc<Metrics>,
    tasks: &mut JoinSet<()>,
) {
    for kind in WorkloadKind::ALL {
        let (client, scope) = (client.clone(), scope.clone());
        let (scene, metrics) = (Arc::clone(scene), Arc::clone(metrics));
        tasks.spawn(async move {
            let followed = scene.stores.workloads.of(kind);
            let resource = kinds::workload(kind);
            let wake = |change: &Change<Workload>| wake(&scene, kind, &change.key);
            let api = scope.api(&client, &resource);
            follow(followed, api, &resource, config(), wake, || wake_all(&scene, kind), &metrics).await;
        });
    }
}

/// Follows a kind from when it is wanted on. `news` is called when it is known what there is, or why that is not known.
pub(crate) async fn follow<T: Facts>(
    followed: &Followed<T>,
    api: Api<Raw>,
    kind: &ApiResource,
    config: watcher::Config,
    wake: impl Fn(&Change<T>),
    news: impl Fn(),
    metrics: &Metrics,
) {
    // The sender lives as long as this, so waiting cannot fail.
    let _ = followed.wanted.subscribe().wait_for(|wanted| *wanted).await;
    let mut events = events(api, config);
    while let Some(event) = events.next().await {
        let (is_news, is_denied) = match hear(event, kind, &followed.store, &wake, metrics) {
            Said::More => (false, false),
            Said::Listed => {
                followed.note(None);
                (true, false)
            }
            Said::Failed(error) => {
                // What was read before stays as it is.
                let is_news = !followed.store.is_listed() && followed.note(Some(chain(&error)));
                (is_news, is_denied(&error))
            }
        };
        if is_news {
            news();
        }
        if is_denied {
            tokio::time::sleep(DENIED_PAUSE).await;
        }
    }
}

fn is_denied(error: &watcher::Error) -> bool {
    match error {
        watcher::Error::InitialListFailed(error)
        | watcher::Error::WatchStartFailed(error)
        | watcher::Error::WatchFailed(error) => {
            matches!(error, kube::Error::Api(status) if status.code == 403)
        }
        watcher::Error::WatchError(status) => status.code == 403,
        watcher::Error::NoResourceVersion => false,
    }
}

/// Wakes the Rollouts that refer to an object.
fn wake(scene: &Scene, kind: WorkloadKind, object: &Key) {
    scene.stores.rollouts.visit(&object.namespace, |name, facts| {
        if facts.uses.workload.as_ref().is_some_and(|(of, named)| *of == kind && *named == object.name) {
            scene.rollouts.push(Key::new(&object.namespace, name));
        }
    });
}

/// Wakes the Rollouts that refer to any object of a kind.
fn wake_all(scene: &Scene, kind: WorkloadKind) {
    scene.stores.rollouts.visit_all(|namespace, name, facts| {
        if facts.uses.workload.as_ref().is_some_and(|(of, _)| *of == kind) {
            scene.rollouts.push(Key::new(namespace, name));
        }
    });
}
