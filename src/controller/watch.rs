//! Watches: every object that matters lands in a store, and wakes the Rollouts, AnalysisRuns and Experiments that it
//! concerns.
//!
//! Input: watch streams. Output: stores, and keys in the queues. One malformed object is left out and told;
//! the others go on. It must never decide anything.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::BoxStream;
use kube::api::{Api, ApiResource};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event};
use kube::runtime::{WatchStreamExt, watcher as watch_stream};
use kube::{Client, ResourceExt};
use serde_json::Value;
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::experiment::Experiment;
use tidegate_engine::analysis::Template;
use tidegate_engine::fence::Seen;
use tidegate_engine::plan::Reference;
use tidegate_engine::rollout::workload::WorkloadKind;
use tidegate_engine::rollout::world::{HASH_LABEL, INSTANCE_ID, Service, Set};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::{info, warn};

use crate::facts::{Facts, Pod, RolloutFacts, Slice, user_of};
use crate::jobs::{self, JobFacts};
use crate::kinds;
use crate::metrics::Metrics;
use crate::optional::{Lookout, Optional};
use crate::raw::Raw;
use crate::services;
use crate::store::{Change, Key, Store};
use crate::work::Queue;
use crate::workloads::{self, Followed, Workloads};

/// How long one watch lasts before it is begun again where it was: what a dead connection can hide at most.
const WATCH_SECONDS: u32 = 30;

/// How this controller watches anything: the client takes a longer silence for a dead connection.
pub(crate) fn config() -> watcher::Config {
    watcher::Config::default().timeout(WATCH_SECONDS)
}

/// Everything that the watches keep.
#[derive(Debug, Default)]
pub(crate) struct Stores {
    pub(crate) rollouts: Store<RolloutFacts>,
    pub(crate) sets: Store<Set>,
    pub(crate) services: Store<Service>,
    pub(crate) slices: Store<Slice>,
    pub(crate) pods: Store<Pod>,
    pub(crate) ingresses: Store<Value>,
    pub(crate) http_routes: Optional,
    pub(crate) grpc_routes: Optional,
    pub(crate) openshift_routes: Optional,
    pub(crate) runs: Store<AnalysisRun>,
    pub(crate) experiments: Store<Experiment>,
    pub(crate) templates: Store<Template>,
    pub(crate) cluster_templates: Store<Template>,
    pub(crate) workloads: Workloads,
    /// Jobs of analyses, as far as anybody has any.
    pub(crate) jobs: Followed<JobFacts>,
}

impl Stores {
    /// What the stores show of one object that plans write, by its reference.
    pub(crate) fn seen(&self, namespace: &str, object: &Reference) -> Option<Seen> {
        let namespace = object.namespace_or(namespace);
        match (object.api_version.as_str(), object.kind.as_str()) {
            ("argoproj.io/v1alpha1", "Rollout") => self.rollouts.seen(namespace, &object.name),
            ("argoproj.io/v1alpha1", "AnalysisRun") => self.runs.seen(namespace, &object.name),
            ("argoproj.io/v1alpha1", "Experiment") => self.experiments.seen(namespace, &object.name),
            ("apps/v1", "ReplicaSet") => self.sets.seen(namespace, &object.name),
            ("apps/v1", "Deployment") => {
                self.workloads.of(WorkloadKind::Deployment).store.seen(namespace, &object.name)
            }
            ("v1", "Pod") => self.pods.seen(namespace, &object.name),
            ("v1", "Service") => self.services.seen(namespace, &object.name),
            ("networking.k8s.io/v1", "Ingress") => self.ingresses.seen(namespace, &object.name),
            _ => self.optional(&object.kind)?.store.seen(namespace, &object.name),
        }
    }

    /// Routing objects of a kind.
    pub(crate) fn routes(&self, kind: &str) -> Option<&Store<Value>> {
        if kind == kinds::ingress().kind {
            return Some(&self.ingresses);
        }
        self.optional(kind).map(|optional| &optional.store)
    }

    /// Why objects of a kind in a namespace cannot be had, if so.
    pub(crate) fn unread(&self, kind: &str, namespace: &str) -> Option<String> {
        self.optional(kind)?.unread(namespace)
    }

    /// The kind of an object in the version that the cluster serves, where that is not always the same.
    pub(crate) fn served(&self, object: &Reference) -> Option<ApiResource> {
        self.optional(&object.kind)?.served()
    }

    /// Whether it is not known yet which workloads there are of the kind that a Rollout refers to.
    pub(crate) fn awaits_workload(&self, key: &Key) -> bool {
        let facts = self.rollouts.value(&key.namespace, &key.name);
        let workload = facts.as_ref().and_then(|facts| facts.uses.workload.as_ref());
        workload.is_some_and(|(kind, _)| self.workloads.of(*kind).is_awaited())
    }

    /// A kind that the cluster may lack.
    pub(crate) fn optional(&self, kind: &str) -> Option<&Optional> {
        match kind {
            "HTTPRoute" => Some(&self.http_routes),
            "GRPCRoute" => Some(&self.grpc_routes),
            "Route" => Some(&self.openshift_routes),
            _ => None,
        }
    }

    /// Whether each store has read a first complete list.
    pub(crate) fn are_listed(&self) -> bool {
        self.rollouts.is_listed()
            && self.sets.is_listed()
            && self.services.is_listed()
            && self.slices.is_listed()
            && self.pods.is_listed()
            && self.ingresses.is_listed()
            && self.runs.is_listed()
            && self.experiments.is_listed()
            && self.templates.is_listed()
            && self.cluster_templates.is_listed()
            && self.http_routes.is_settled()
            && self.grpc_routes.is_settled()
            && self.openshift_routes.is_settled()
    }

    /// Counts all but AnalysisRuns as listed, where nobody watches anything else.
    fn need_nothing_else(&self) {
        self.rollouts.list_ends();
        self.sets.list_ends();
        self.services.list_ends();
        self.slices.list_ends();
        self.pods.list_ends();
        self.ingresses.list_ends();
        self.experiments.list_ends();
        self.templates.list_ends();
        self.cluster_templates.list_ends();
        for optional in [&self.http_routes, &self.grpc_routes, &self.openshift_routes] {
            optional.note(None, None);
        }
    }

    /// Returns once each store has read a first complete list.
    pub(crate) async fn wait_listed(&self) {
        self.rollouts.wait_listed().await;
        self.sets.wait_listed().await;
        self.services.wait_listed().await;
        self.slices.wait_listed().await;
        self.pods.wait_listed().await;
        self.ingresses.wait_listed().await;
        self.runs.wait_listed().await;
        self.experiments.wait_listed().await;
        self.templates.wait_listed().await;
        self.cluster_templates.wait_listed().await;
        self.http_routes.wait_settled().await;
        self.grpc_routes.wait_settled().await;
        self.openshift_routes.wait_settled().await;
    }
}

/// The stores, and the queues of the loops that live from them.
#[derive(Debug, Default)]
pub(crate) struct Scene {
    pub(crate) stores: Stores,
    pub(crate) rollouts: Queue<Key>,
    pub(crate) runs: Queue<Key>,
    pub(crate) experiments: Queue<Key>,
    pub(crate) services: Queue<Key>,
}

/// Which objects to watch.
#[derive(Clone, Debug)]
pub(crate) struct Scope {
    /// The one namespace to watch; `None` for all.
    pub(crate) namespace: Option<String>,
    /// The controller instance whose objects are watched.
    pub(crate) instance_id: Option<String>,
    /// Whether AnalysisRuns are all that is watched, so that no other right is needed.
    pub(crate) analysis_only: bool,
}

impl Scope {
    /// Objects of other instances are invisible; without an id, so are all that name one.
    fn instance_selector(&self) -> String {
        self.instance_id
            .as_ref()
            .map_or_else(|| format!("!{INSTANCE_ID}"), |id| format!("{INSTANCE_ID}={id}"))
    }

    pub(crate) fn api(&self, client: &Client, kind: &ApiResource) -> Api<Raw> {
        match &self.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, kind),
            None => Api::all_with(client.clone(), kind),
        }
    }
}

/// Starts all watches. They live until the returned set is dropped, whoever leads.
pub(crate) fn start(
    client: &Client,
    scope: &Scope,
    (job_client, job_scope): (&Client, &Scope),
    scene: &Arc<Scene>,
    metrics: &Arc<Metrics>,
) -> JoinSet<()> {
    let every = config();
    let ours = every.clone().labels(&scope.instance_selector());
    let hashed = every.clone().labels(HASH_LABEL);
    let mut watches = JoinSet::new();
    let mut watch = Watches { client, scope, scene, metrics, tasks: &mut watches };
    watch.add(kinds::analysis_run(), &ours, |scene| &scene.stores.runs, wake_by_run);
    if scope.analysis_only {
        scene.stores.need_nothing_else();
        return watches;
    }
    watch.add(kinds::rollout(), &ours, |scene| &scene.stores.rollouts, wake_by_rollout);
    watch.add(kinds::replica_set(), &hashed, |scene| &scene.stores.sets, wake_by_set);
    watch.add(kinds::service(), &every, |scene| &scene.stores.services, wake_by_service);
    watch.add(kinds::endpoint_slice(), &every, |scene| &scene.stores.slices, wake_by_slice);
    watch.add(kinds::pod(), &hashed, |scene| &scene.stores.pods, wake_by_pod);
    watch.add(kinds::ingress(), &every, |scene| &scene.stores.ingresses, wake_by_ingress);
    watch.add(kinds::experiment(), &ours, |scene| &scene.stores.experiments, wake_by_experiment);
    watch.add(kinds::analysis_template(), &ours, |scene| &scene.stores.templates, wake_by_template);
    if scope.namespace.is_none() {
        let kind = kinds::cluster_analysis_template();
        watch.add(kind, &ours, |scene| &scene.stores.cluster_templates, wake_by_template);
    } else {
        // A controller of one namespace has no right to cluster-wide objects, and no use for them.
        scene.stores.cluster_templates.list_ends();
    }
    let v1beta1: &[&str] = &["v1beta1"];
    watch.look_out(kinds::http_route(), v1beta1, |scene| &scene.stores.http_routes);
    watch.look_out(kinds::grpc_route(), &[], |scene| &scene.stores.grpc_routes);
    watch.look_out(kinds::openshift_route(), &[], |scene| &scene.stores.openshift_routes);
    workloads::start(client, scope, scene, metrics, &mut watches);
    jobs::watch(job_client, job_scope, scene, metrics, &mut watches);
    watches
}

struct Watches<'a> {
    client: &'a Client,
    scope: &'a Scope,
    scene: &'a Arc<Scene>,
    metrics: &'a Arc<Metrics>,
    tasks: &'a mut JoinSet<()>,
}

impl Watches<'_> {
    fn add<T: Facts>(
        &mut self,
        kind: ApiResource,
        config: &watcher::Config,
        store: fn(&Scene) -> &Store<T>,
        wake: fn(&Scene, &Change<T>),
    ) {
        let api = self.scope.api(self.client, &kind);
        let (scene, metrics, config) = (Arc::clone(self.scene), Arc::clone(self.metrics), config.clone());
        self.tasks.spawn(async move { follow(api, &kind, config, &scene, store, wake, &metrics).await });
    }

    /// Follows a kind that the cluster may lack, in this version or else in an older one.
    fn look_out(&mut self, kind: ApiResource, older: &[&str], of: fn(&Scene) -> &Optional) {
        let versions = older.iter().map(|version| kinds::in_version(&kind, version));
        let lookout = Lookout {
            client: self.client.clone(),
            scope: self.scope.clone(),
            scene: Arc::clone(self.scene),
            metrics: Arc::clone(self.metrics),
            versions: std::iter::once(kind.clone()).chain(versions).collect(),
            kind,
            of,
        };
        self.tasks.spawn(lookout.keep());
    }
}

/// Follows one kind for ever.
async fn follow<T: Facts>(
    api: Api<Raw>,
    kind: &ApiResource,
    config: watcher::Config,
    scene: &Scene,
    store: fn(&Scene) -> &Store<T>,
    wake: fn(&Scene, &Change<T>),
    metrics: &Metrics,
) {
    let mut events = events(api, config);
    let store = store(scene);
    while let Some(event) = events.next().await {
        hear(event, kind, store, |change| wake(scene, change), metrics);
    }
}

/// The events of a watch that starts again whenever it ends.
pub(crate) fn events(api: Api<Raw>, config: watcher::Config) -> BoxStream<'static, Heard> {
    watch_stream(api, config).backoff(Delay::default()).boxed()
}

/// One event of a watch.
pub(crate) type Heard = Result<Event<Raw>, watcher::Error>;

/// What an event says of the watch itself.
#[derive(Debug)]
pub(crate) enum Said {
    /// An object changed.
    More,
    /// A list is complete.
    Listed,
    /// The watch failed and starts again.
    Failed(watcher::Error),
}

/// Takes one event into a store.
pub(crate) fn hear<T: Facts>(
    event: Heard,
    kind: &ApiResource,
    store: &Store<T>,
    wake: impl Fn(&Change<T>),
    metrics: &Metrics,
) -> Said {
    match event {
        Ok(Event::Init) => store.list_begins(),
        Ok(Event::InitApply(object)) => {
            store.list_holds(&key(&object));
            take_in(object, kind, store, wake, metrics);
        }
        Ok(Event::InitDone) => {
            store.list_ends().iter().for_each(wake);
            info!(kind = kind.kind, "caches are complete");
            return Said::Listed;
        }
        Ok(Event::Apply(object)) => take_in(object, kind, store, wake, metrics),
        Ok(Event::Delete(object)) => wake(&store.delete(key(&object))),
        Err(error) => {
            metrics.watch_failed(&kind.kind);
            warn!(kind = kind.kind, error = %crate::failure::chain(&error), "watch failed, starting it again");
            return Said::Failed(error);
        }
    }
    Said::More
}

fn take_in<T: Facts>(
    object: Raw,
    kind: &ApiResource,
    store: &Store<T>,
    wake: impl Fn(&Change<T>),
    metrics: &Metrics,
) {
    let key = key(&object);
    let seen = Seen {
        version: object.resource_version().unwrap_or_default(),
        uid: object.uid().unwrap_or_default(),
    };
    let old = store.get(&key);
    let same = old.as_ref().filter(|old| old.seen.uid == seen.uid).map(|old| &*old.value);
    match object.whole(kind, T::spec(same)).and_then(|object| T::keep(object, same)) {
        Ok(facts) => {
            let differs = old.is_none_or(|old| facts.differs(&old.value));
            let change = store.apply(key, seen, facts);
            if differs {
                wake(&change);
            }
        }
        Err(error) => {
            metrics.malformed(&kind.kind);
            warn!(kind = kind.kind, object = %key, error, "object is malformed and left alone");
            store.delete(key);
        }
    }
}

fn key(object: &Raw) -> Key {
    Key::new(object.namespace().unwrap_or_default(), object.name_any())
}

/// Waits 0.2 s to 5 s between attempts of a watch: kube's own 30 s would leave an abort waiting that long after
/// the API server is back.
#[derive(Debug, Default)]
struct Delay {
    attempts: u32,
    failed: Option<Instant>,
}

/// Each attempt begins with a success (the start of a list), so only a quiet time makes delays short again.
const QUIET: Duration = Duration::from_secs(30);

impl Iterator for Delay {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        if self.failed.replace(Instant::now()).is_none_or(|failed| failed.elapsed() > QUIET) {
            self.attempts = 0;
        }
        self.attempts = self.attempts.saturating_add(1);
        Some(Duration::from_millis(100 << self.attempts.min(6)).min(Duration::from_secs(5)))
    }
}

impl Backoff for Delay {
    fn reset(&mut self) {}
}

/// Wakes a Rollout, and the Experiments that it made: their pods go by what it gives them and has noticed.
fn wake_by_rollout(scene: &Scene, change: &Change<RolloutFacts>) {
    if let Some((kind, _)) = change.new.as_ref().and_then(|facts| facts.uses.workload.as_ref()) {
        scene.stores.workloads.of(*kind).want();
    }
    scene.rollouts.push(change.key.clone());
    services::wake_by_rollout(scene, change);
    let uids: BTreeSet<_> = change
        .old
        .iter()
        .chain(&change.new)
        .filter_map(|facts| facts.rollout.metadata.uid.as_ref())
        .collect();
    uids.into_iter().for_each(|uid| wake_experiments_of(scene, &change.key.namespace, uid));
}

/// Wakes the Rollout or Experiment that controls a ReplicaSet, those that could claim it, and those that wait for its
/// name.
fn wake_by_set(scene: &Scene, change: &Change<Set>) {
    wake_experiments(scene, &change.key.namespace, |name, experiment| {
        let mut sides = change.old.iter().chain(&change.new);
        let waits = || change.key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('-'));
        sides.any(|set| set.owner.is_some() && set.owner == experiment.metadata.uid) || waits()
    });
    for set in change.old.iter().chain(&change.new) {
        match &set.owner {
            Some(owner) => wake_found(scene, &change.key.namespace, owner),
            None => wake_where(scene, &change.key.namespace, |facts| facts.uses.claims(set)),
        }
    }
}

fn wake_by_service(scene: &Scene, change: &Change<Service>) {
    services::wake(scene, change);
    wake_experiments(scene, &change.key.namespace, |_, experiment| {
        let mut sides = change.old.iter().chain(&change.new);
        sides.any(|service| service.owner.is_some() && service.owner == experiment.metadata.uid)
    });
    wake_found(scene, &change.key.namespace, &user_of(&change.key.name));
}

/// Wakes the Rollouts that use a Service, and those whose Experiments have it: they give it a share of the traffic.
fn wake_by_slice(scene: &Scene, change: &Change<Slice>) {
    let namespace = &change.key.namespace;
    for slice in change.old.iter().chain(&change.new) {
        let by = user_of(&slice.service);
        wake_found(scene, namespace, &by);
        scene.stores.experiments.visit_found(namespace, &by, |_, experiment| {
            if let Some(rollout) = rollout_of(&experiment.value) {
                scene.rollouts.push_soon(Key::new(namespace, rollout));
            }
        });
    }
}

fn wake_by_pod(scene: &Scene, change: &Change<Pod>) {
    let Some(pod) = change.new.as_ref().or(change.old.as_ref()) else { return };
    let Some(set) = scene.stores.sets.value(&change.key.namespace, &pod.pod.set) else { return };
    if let Some(owner) = &set.owner {
        wake_found(scene, &change.key.namespace, owner);
    }
}

fn wake_by_ingress(scene: &Scene, change: &Change<Value>) {
    wake_by_route(scene, "Ingress", change);
}

/// Wakes the Rollouts of all namespaces that route through an object, by its old or its new labels.
pub(crate) fn wake_by_route(scene: &Scene, kind: &str, change: &Change<Value>) {
    let sides = [change.old.as_deref(), change.new.as_deref()];
    scene.stores.rollouts.visit_all(|namespace, name, facts| {
        let through =
            |object: Option<&Value>| facts.uses.routes_through(namespace, kind, &change.key, object);
        if sides.into_iter().any(through) {
            scene.rollouts.push(Key::new(namespace, name));
            wake_experiments_by(scene, namespace, facts);
        }
    });
}

/// Wakes the Rollouts that route through any object of a kind.
pub(crate) fn wake_by_kind(scene: &Scene, kind: &str) {
    scene.stores.rollouts.visit_all(|namespace, name, facts| {
        if facts.uses.routes_by(kind) {
            scene.rollouts.push(Key::new(namespace, name));
            wake_experiments_by(scene, namespace, facts);
        }
    });
}

fn wake_by_run(scene: &Scene, change: &Change<AnalysisRun>) {
    scene.runs.push(change.key.clone());
    let Some(run) = change.new.as_ref().or(change.old.as_ref()) else { return };
    if jobs::has_job(run) {
        scene.stores.jobs.want();
    }
    let owner = run.metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true));
    let Some(owner) = owner else { return };
    let key = Key::new(&change.key.namespace, &owner.name);
    match owner.kind.as_str() {
        "Rollout" => scene.rollouts.push(key),
        "Experiment" => scene.experiments.push(key),
        _ => {}
    }
}

/// Wakes an Experiment, and the Rollout that made it.
fn wake_by_experiment(scene: &Scene, change: &Change<Experiment>) {
    scene.experiments.push(change.key.clone());
    let Some(experiment) = change.new.as_ref().or(change.old.as_ref()) else { return };
    if let Some(rollout) = rollout_of(experiment) {
        scene.rollouts.push(Key::new(&change.key.namespace, rollout));
    }
}

/// The Rollout that made an Experiment for one of its steps.
pub(crate) fn rollout_of(experiment: &Experiment) -> Option<&str> {
    let mut owners = experiment.metadata.owner_references.iter().flatten();
    let owner = owners.find(|owner| owner.controller == Some(true) && owner.kind == "Rollout")?;
    Some(&owner.name)
}

fn wake_experiments_by(scene: &Scene, namespace: &str, facts: &RolloutFacts) {
    let uid = facts.rollout.metadata.uid.as_ref();
    uid.into_iter().for_each(|uid| wake_experiments_of(scene, namespace, uid));
}

/// Wakes the Experiments that a Rollout made, by its uid.
fn wake_experiments_of(scene: &Scene, namespace: &str, rollout: &str) {
    let experiments = &scene.experiments;
    scene.stores.experiments.visit_found(namespace, rollout, |name, _| {
        experiments.push(Key::new(namespace, name));
    });
}

fn wake_experiments(scene: &Scene, namespace: &str, concerned: impl Fn(&str, &Experiment) -> bool) {
    scene.stores.experiments.visit(namespace, |name, experiment| {
        if concerned(name, experiment) {
            scene.experiments.push(Key::new(namespace, name));
        }
    });
}

/// A template may be included by another one, so it concerns every Rollout and every Experiment with an analysis.
fn wake_by_template(scene: &Scene, change: &Change<Template>) {
    let cluster_wide = change.key.namespace.is_empty();
    scene.stores.experiments.visit_all(|namespace, name, experiment| {
        if (cluster_wide || namespace == change.key.namespace) && !experiment.spec.analyses.is_empty() {
            scene.experiments.push(Key::new(namespace, name));
        }
    });
    if cluster_wide {
        for (key, facts) in scene.stores.rollouts.all() {
            if facts.uses.analysis {
                scene.rollouts.push(key);
            }
        }
    } else {
        wake_where(scene, &change.key.namespace, |facts| facts.uses.analysis);
    }
}

/// Wakes the Rollouts that are found by a thing, their uid or a Service that they use, with what else is about to come.
fn wake_found(scene: &Scene, namespace: &str, by: &str) {
    let rollouts = &scene.rollouts;
    scene.stores.rollouts.visit_found(namespace, by, |name, _| rollouts.push_soon(Key::new(namespace, name)));
}

fn wake_where(scene: &Scene, namespace: &str, concerned: impl Fn(&RolloutFacts) -> bool) {
    scene.stores.rollouts.visit(namespace, |name, facts| {
        if concerned(facts) {
            scene.rollouts.push(Key::new(namespace, name));
        }
    });
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::json;
    use tokio::sync::oneshot;

    use super::*;
    use crate::work::Next;

    /// A Rollout behind an HTTPRoute, the Experiment of its step, and another Experiment.
    fn scene() -> Scene {
        let scene = Scene::default();
        let gateway = json!({"argoproj-labs/gatewayAPI": {"httpRoute": "shop"}});
        apply(
            &scene.stores.rollouts,
            "shop",
            json!({
                "metadata": {"name": "shop", "namespace": "ns", "uid": "r1"},
                "spec": {
                    "selector": {"matchLabels": {"app": "shop"}}, "template": {},
                    "strategy": {"canary": {
                        "stableService": "stable", "canaryService": "canary", "trafficRouting": {"plugins": gateway},
                    }},
                },
            }),
        );
        let owner =
            json!([{"apiVersion": "x", "kind": "Rollout", "name": "shop", "uid": "r1", "controller": true}]);
        apply(
            &scene.stores.experiments,
            "compare",
            json!({
                "metadata": {"name": "compare", "namespace": "ns", "ownerReferences": owner},
                "spec": {"templates": []},
                "status": {"templateStatuses": [{"name": "old", "serviceName": "compare-old"}]},
            }),
        );
        let other = json!({"metadata": {"name": "other", "namespace": "ns"}, "spec": {"templates": []}});
        apply(&scene.stores.experiments, "other", other);
        scene
    }

    fn apply<T: Facts>(store: &Store<T>, name: &str, object: Value) -> Change<T> {
        let facts = T::keep(object, None).unwrap();
        store.apply(Key::new("ns", name), Seen { version: "1".to_owned(), uid: "u".to_owned() }, facts)
    }

    /// The Rollouts and Experiments that something wakes.
    async fn woken(scene: &Scene, wake: impl FnOnce(&Scene)) -> (Vec<String>, Vec<String>) {
        let (rollouts, experiments) = (Mutex::default(), Mutex::default());
        let note = |names: &'static str, into: &Mutex<Vec<String>>, key: &Key| {
            assert_eq!(key.namespace, "ns", "{names}");
            into.lock().unwrap().push(key.name.clone());
        };
        let (end_rollouts, rollouts_end) = oneshot::channel::<()>();
        let (end_experiments, experiments_end) = oneshot::channel::<()>();
        let look = |key: Key| {
            note("rollouts", &rollouts, &key);
            std::future::ready(Next::Idle)
        };
        let work = scene.rollouts.work(Vec::new(), 4, async { drop(rollouts_end.await) }, look, |_| {});
        let look = |key: Key| {
            note("experiments", &experiments, &key);
            std::future::ready(Next::Idle)
        };
        let beside =
            scene.experiments.work(Vec::new(), 4, async { drop(experiments_end.await) }, look, |_| {});
        let tell = async {
            tokio::task::yield_now().await;
            wake(scene);
            // Virtual time: long enough for what is gathered.
            tokio::time::sleep(Duration::from_secs(1)).await;
            end_rollouts.send(()).unwrap();
            end_experiments.send(()).unwrap();
        };
        tokio::join!(work, beside, tell);
        (rollouts.into_inner().unwrap(), experiments.into_inner().unwrap())
    }

    #[tokio::test(start_paused = true)]
    async fn endpoints_of_an_experiment_wake_the_rollout_that_gives_it_a_share() {
        let scene = scene();
        let slice = |service: &str| {
            json!({
                "metadata": {"name": "s", "namespace": "ns", "labels": {"kubernetes.io/service-name": service}},
                "endpoints": [],
            })
        };
        let change = apply(&scene.stores.slices, "s", slice("compare-old"));
        let (rollouts, experiments) = woken(&scene, |scene| wake_by_slice(scene, &change)).await;
        assert_eq!((rollouts, experiments), (vec!["shop".to_owned()], Vec::new()));
        let change = apply(&scene.stores.slices, "t", slice("elsewhere"));
        let (rollouts, _) = woken(&scene, |scene| wake_by_slice(scene, &change)).await;
        assert_eq!(rollouts, Vec::<String>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn a_rollout_and_its_routes_wake_its_experiments() {
        let scene = scene();
        let both = (vec!["shop".to_owned()], vec!["compare".to_owned()]);
        let rollout = scene.stores.rollouts.value("ns", "shop");
        let change = Change { key: Key::new("ns", "shop"), old: None, new: rollout };
        assert_eq!(woken(&scene, |scene| wake_by_rollout(scene, &change)).await, both);
        let route = json!({"metadata": {"name": "shop", "namespace": "ns"}, "spec": {}});
        let change = apply(&scene.stores.http_routes.store, "shop", route);
        assert_eq!(woken(&scene, |scene| wake_by_route(scene, "HTTPRoute", &change)).await, both);
        assert_eq!(woken(&scene, |scene| wake_by_kind(scene, "HTTPRoute")).await, both);
        let none = (Vec::new(), Vec::new());
        assert_eq!(woken(&scene, |scene| wake_by_kind(scene, "GRPCRoute")).await, none);
    }

    #[test]
    fn instances_see_their_own_objects_only() {
        let scope = |id: Option<&str>| Scope {
            namespace: None,
            instance_id: id.map(str::to_owned),
            analysis_only: false,
        };
        assert_eq!(scope(None).instance_selector(), "!argo-rollouts.argoproj.io/controller-instance-id");
        assert_eq!(
            scope(Some("a")).instance_selector(),
            "argo-rollouts.argoproj.io/controller-instance-id=a"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn watches_start_again_within_five_seconds() {
        let mut delay = Delay::default();
        let first: Vec<u64> =
            delay.by_ref().take(7).map(|delay| u64::try_from(delay.as_millis()).unwrap()).collect();
        assert_eq!(first, [200, 400, 800, 1600, 3200, 5000, 5000]);
        delay.reset();
        assert_eq!(delay.next(), Some(Duration::from_secs(5)), "the start of a list is no success yet");
        tokio::time::advance(QUIET * 2).await;
        assert_eq!(delay.next(), Some(Duration::from_millis(200)));
    }
}
