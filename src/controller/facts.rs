//! What is kept of each watched object: the few facts that decisions need, so that caches stay small.
//!
//! Input: one object as JSON. Output: facts. It must never know where objects come from or who reads the facts.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::core::{Selector, SelectorExt};
use serde_json::{Value, json};
use tidegate_api::analysis::{AnalysisRun, AnalysisTemplate};
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::Rollout;
use tidegate_api::tolerant;
use tidegate_engine::analysis::Template;
use tidegate_engine::plan::Reference;
use tidegate_engine::rollout::trouble::Trouble;
use tidegate_engine::rollout::workload::{self, Workload, WorkloadKind};
use tidegate_engine::rollout::world::{self, HASH_LABEL, Parsed, Service, Set, Texts};
use tidegate_engine::route::{Routers, Selection};
use tidegate_engine::sync::FIELD_MANAGER;
use tracing::warn;

use crate::raw::Spec;
use crate::store::Key;

/// Facts of one kind of object.
pub(crate) trait Facts: Sized + Send + Sync + 'static {
    /// Takes the facts from an object; `old` are those of the same object before, for what can be kept.
    ///
    /// # Errors
    /// Says what is wrong with an object of which nothing can be used.
    fn keep(object: Value, old: Option<&Self>) -> Result<Self, String>;

    /// Whether the facts need the spec of an object of which these are known; without it, `keep` takes from them what it
    /// would have read there.
    fn spec(_old: Option<&Self>) -> Spec {
        Spec::Wanted
    }

    /// Whether a change between the two concerns anybody.
    fn differs(&self, old: &Self) -> bool;

    /// What the object is looked for by, beside its name.
    fn found_by(&self) -> BTreeSet<String> {
        BTreeSet::new()
    }
}

/// What a ReplicaSet is found by that nobody controls.
pub(crate) const ORPHAN: &str = "";

/// What a Rollout or an Experiment is found by that uses a Service: no uid has a slash.
pub(crate) fn user_of(service: &str) -> String {
    format!("service/{service}")
}

/// The uids of the controlling owners.
fn controllers(metadata: &ObjectMeta) -> BTreeSet<String> {
    let owners = metadata.owner_references.iter().flatten().filter(|owner| owner.controller == Some(true));
    owners.map(|owner| owner.uid.clone()).collect()
}

/// A Rollout, its parsed spec, and the names of what it looks at.
#[derive(Debug)]
pub(crate) struct RolloutFacts {
    pub(crate) rollout: Arc<Rollout>,
    pub(crate) spec: Arc<Parsed>,
    pub(crate) uses: Arc<Uses>,
    /// Whether Tidegate's own sync applied it.
    pub(crate) synced: bool,
    /// The spec with the template of its workload, as long as neither has a new generation.
    with_workload: Arc<Mutex<Option<WithWorkload>>>,
}

/// A spec with the template of a workload, and of which generation of which workload that is.
#[derive(Debug)]
struct WithWorkload {
    uid: String,
    generation: i64,
    spec: Arc<Parsed>,
}

impl RolloutFacts {
    /// The parsed spec, with the template of the workload that it refers to; `unread` says why that cannot be read.
    pub(crate) fn spec_with(&self, workload: Option<&Workload>, unread: Option<&str>) -> Arc<Parsed> {
        if self.rollout.spec.workload_ref.is_none() {
            return Arc::clone(&self.spec);
        }
        let Some(workload) = workload else {
            return Arc::new(workload::parsed(&self.rollout, None, unread));
        };
        let mut kept = self.with_workload.lock().unwrap_or_else(PoisonError::into_inner);
        let same = |kept: &&WithWorkload| kept.uid == workload.uid && kept.generation == workload.generation;
        if let Some(kept) = kept.as_ref().filter(same) {
            return Arc::clone(&kept.spec);
        }
        let spec = Arc::new(workload::parsed(&self.rollout, Some(workload), None));
        let (uid, generation) = (workload.uid.clone(), workload.generation);
        *kept = Some(WithWorkload { uid, generation, spec: Arc::clone(&spec) });
        spec
    }
}

/// Names of the objects that a spec refers to; computed once per generation.
#[derive(Debug, Default)]
pub(crate) struct Uses {
    pub(crate) services: BTreeSet<String>,
    pub(crate) routes: BTreeSet<Reference>,
    /// Routing objects that are found by their labels.
    pub(crate) selections: Vec<Selection>,
    /// Whether any analysis is named, so that templates matter.
    pub(crate) analysis: bool,
    /// The object that the pod template comes from, where it is not the Rollout itself.
    pub(crate) workload: Option<(WorkloadKind, String)>,
    /// Whether a step runs an Experiment.
    pub(crate) experiment: bool,
    /// Which ReplicaSets without an owner could belong to it.
    selector: Option<Selector>,
}

impl Uses {
    fn of(rollout: &Rollout, spec: &Parsed) -> Self {
        let strategy = &rollout.spec.strategy;
        let selector = rollout.spec.selector.clone().and_then(|selector| Selector::try_from(selector).ok());
        // An empty selector would claim everything in the namespace.
        let mut uses =
            Self { selector: selector.filter(|selector| !selector.selects_all()), ..Self::default() };
        uses.workload = rollout.spec.workload_ref.as_ref().and_then(|reference| {
            Some((WorkloadKind::of(reference)?, reference.name.clone().unwrap_or_default()))
        });
        if let Some(canary) = &strategy.canary {
            uses.services.extend(canary.canary_service.iter().chain(&canary.stable_service).cloned());
            if let Some(pair) = &canary.ping_pong {
                uses.services.extend([pair.ping_service.clone(), pair.pong_service.clone()]);
            }
            let routers = Routers::of(rollout, spec);
            uses.routes.extend(routers.needs());
            uses.selections = routers.selections();
            let mut experiments = canary.steps.iter().filter_map(|step| step.experiment.as_ref());
            uses.experiment = experiments.clone().next().is_some();
            uses.analysis = canary.analysis.is_some()
                || canary.steps.iter().any(|step| step.analysis.is_some())
                || experiments.any(|experiment| !experiment.analyses.is_empty());
        }
        if let Some(blue_green) = &strategy.blue_green {
            uses.services.insert(blue_green.active_service.clone());
            uses.services.extend(blue_green.preview_service.clone());
            uses.analysis |=
                blue_green.pre_promotion_analysis.is_some() || blue_green.post_promotion_analysis.is_some();
        }
        uses.services.remove("");
        uses
    }

    /// Whether the Rollout of a namespace routes through an object.
    pub(crate) fn routes_through(&self, home: &str, kind: &str, key: &Key, object: Option<&Value>) -> bool {
        let named = |route: &Reference| {
            route.kind == kind && route.name == key.name && route.namespace_or(home) == key.namespace
        };
        let selected = |one: &Selection| {
            let namespace = one.namespace.as_deref().unwrap_or(home);
            let reference = one.reference(&key.name);
            one.kind == kind
                && namespace == key.namespace
                && object.is_some_and(|object| one.holds(&reference, object))
        };
        self.routes.iter().any(named) || self.selections.iter().any(selected)
    }

    /// Whether the Rollout routes through any object of a kind.
    pub(crate) fn routes_by(&self, kind: &str) -> bool {
        self.routes.iter().any(|route| route.kind == kind)
            || self.selections.iter().any(|one| one.kind == kind)
    }

    /// Whether the selector claims a ReplicaSet that nobody controls.
    pub(crate) fn claims(&self, set: &Set) -> bool {
        set.owner.is_none()
            && self
                .selector
                .as_ref()
                .is_some_and(|selector| selector.matches(&set.labels.clone().into_iter().collect()))
    }
}

impl Facts for RolloutFacts {
    fn spec(old: Option<&Self>) -> Spec {
        old.and_then(|old| old.rollout.metadata.generation).map_or(Spec::Wanted, Spec::KnownAt)
    }

    fn keep(mut object: Value, old: Option<&Self>) -> Result<Self, String> {
        let synced = take_managers(&mut object).iter().any(|manager| manager == FIELD_MANAGER);
        if let Some(members) = object.as_object_mut() {
            members.entry("spec").or_insert_with(|| json!({}));
        }
        let (mut rollout, dropped) =
            tolerant::decode::<Rollout>(object).map_err(|error| error.to_string())?;
        let same_spec = |old: &&Self| {
            let (old, new) = (&old.rollout.metadata, &rollout.metadata);
            // fieldRef arguments read metadata, but the parsed spec and the names do not.
            old.uid == new.uid && old.generation == new.generation && old.generation.is_some()
        };
        if let Some(old) = old.filter(same_spec) {
            let (spec, uses) = (Arc::clone(&old.spec), Arc::clone(&old.uses));
            rollout.spec = old.rollout.spec.clone();
            let with_workload = Arc::clone(&old.with_workload);
            return Ok(Self { rollout: Arc::new(rollout), spec, uses, synced, with_workload });
        }
        let name = rollout.metadata.name.as_deref().unwrap_or_default();
        let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
        for one in dropped {
            warn!(rollout = %format!("{namespace}/{name}"), field = one.path, error = one.error, "field is malformed and ignored");
        }
        let spec = Arc::new(Parsed::new(&rollout));
        let uses = Arc::new(Uses::of(&rollout, &spec));
        rollout.spec.template.0.fold();
        Ok(Self { rollout: Arc::new(rollout), spec, uses, synced, with_workload: Arc::default() })
    }

    fn differs(&self, old: &Self) -> bool {
        self.rollout.metadata.resource_version != old.rollout.metadata.resource_version
    }

    fn found_by(&self) -> BTreeSet<String> {
        let services = self.uses.services.iter().map(|name| user_of(name));
        self.rollout.metadata.uid.iter().cloned().chain(services).collect()
    }
}

/// Takes the names of those who applied an object out of it, and with them what is larger than many a spec.
fn take_managers(object: &mut Value) -> Vec<String> {
    let metadata = object.get_mut("metadata").and_then(Value::as_object_mut);
    let Some(Value::Array(entries)) = metadata.and_then(|metadata| metadata.remove("managedFields")) else {
        return Vec::new();
    };
    let appliers = entries.iter().filter(|entry| entry["operation"] == "Apply");
    appliers.filter_map(|entry| entry["manager"].as_str().map(str::to_owned)).collect()
}

impl Facts for Set {
    fn spec(old: Option<&Self>) -> Spec {
        old.map_or(Spec::Wanted, |old| Spec::KnownAt(old.generation))
    }

    fn keep(object: Value, old: Option<&Self>) -> Result<Self, String> {
        let set = Self::parse(&object);
        let Some(old) = old.filter(|_| object.get("spec").is_none()) else { return Ok(set) };
        let (selector, template) = (old.selector.clone(), old.template.clone());
        Ok(Self {
            replicas: old.replicas,
            min_ready_seconds: old.min_ready_seconds,
            selector,
            template,
            ..set
        })
    }

    fn differs(&self, old: &Self) -> bool {
        self != old
    }

    fn found_by(&self) -> BTreeSet<String> {
        [self.owner.clone().unwrap_or_else(|| ORPHAN.to_owned())].into()
    }
}

impl Facts for Service {
    fn keep(object: Value, _old: Option<&Self>) -> Result<Self, String> {
        let mut service = Self::parse(&object);
        // The largest annotation there is, and the least telling one.
        service.annotations.remove("kubectl.kubernetes.io/last-applied-configuration");
        Ok(service)
    }

    fn differs(&self, old: &Self) -> bool {
        self != old
    }
}

/// The endpoints of a Service in one EndpointSlice.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    pub(crate) service: String,
    /// Names of the pods behind ready endpoints.
    pub(crate) ready: BTreeSet<String>,
}

impl Facts for Slice {
    fn keep(object: Value, _old: Option<&Self>) -> Result<Self, String> {
        let service = object.pointer("/metadata/labels/kubernetes.io~1service-name").and_then(Value::as_str);
        let endpoints = object.get("endpoints").and_then(Value::as_array).into_iter().flatten();
        // An absent condition means ready, by the API's definition.
        let ready =
            endpoints.filter(|endpoint| endpoint.pointer("/conditions/ready") != Some(&Value::Bool(false)));
        let ready = ready.filter(|endpoint| endpoint.pointer("/targetRef/kind") == Some(&Value::from("Pod")));
        let ready =
            ready.filter_map(|endpoint| endpoint.pointer("/targetRef/name")?.as_str().map(str::to_owned));
        Ok(Self { service: service.unwrap_or_default().to_owned(), ready: ready.collect() })
    }

    fn differs(&self, old: &Self) -> bool {
        self != old
    }

    fn found_by(&self) -> BTreeSet<String> {
        [self.service.clone()].into()
    }
}

/// A pod of a Rollout.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Pod {
    pub(crate) hash: String,
    pub(crate) pod: Arc<world::Pod>,
    pub(crate) trouble: Option<Trouble>,
    /// Digests of the images that its containers run.
    pub(crate) digests: Texts,
}

impl Facts for Pod {
    fn spec(_old: Option<&Self>) -> Spec {
        Spec::Unwanted
    }

    fn keep(object: Value, old: Option<&Self>) -> Result<Self, String> {
        let pod = world::Pod::parse(&object);
        Ok(Self {
            hash: object
                .pointer("/metadata/labels")
                .map_or("", |labels| labels[HASH_LABEL].as_str().unwrap_or(""))
                .to_owned(),
            digests: digests(&object),
            trouble: Trouble::of_pod(&object, old.and_then(|old| old.trouble.as_ref())),
            pod: Arc::new(pod),
        })
    }

    fn differs(&self, old: &Self) -> bool {
        self != old
    }

    fn found_by(&self) -> BTreeSet<String> {
        [self.pod.set.clone()].into()
    }
}

/// The image digests of a pod's containers, such as `sha256:…` of `docker.io/library/nginx@sha256:…`.
fn digests(pod: &Value) -> Texts {
    let lists = ["/status/initContainerStatuses", "/status/containerStatuses"];
    let statuses = lists.iter().filter_map(|list| pod.pointer(list)?.as_array()).flatten();
    let digest = |status: &Value| {
        let (_, digest) = status["imageID"].as_str()?.rsplit_once('@')?;
        Some((status["name"].as_str()?.to_owned(), digest.to_owned()))
    };
    statuses.filter_map(digest).collect()
}

/// A routing object is kept whole: the router alone knows what matters in it.
impl Facts for Value {
    fn keep(object: Value, _old: Option<&Self>) -> Result<Self, String> {
        Ok(object)
    }

    fn differs(&self, old: &Self) -> bool {
        self.pointer("/metadata/resourceVersion") != old.pointer("/metadata/resourceVersion")
    }
}

impl Facts for AnalysisRun {
    fn keep(object: Value, _old: Option<&Self>) -> Result<Self, String> {
        let (run, dropped) = tolerant::decode::<Self>(object).map_err(|error| error.to_string())?;
        // Judging by the rest of a spec could pass what its owner wanted to fail.
        match dropped.into_iter().find(|dropped| dropped.path.starts_with("spec")) {
            Some(dropped) => Err(format!("{}: {}", dropped.path, dropped.error)),
            None => Ok(run),
        }
    }

    fn differs(&self, old: &Self) -> bool {
        self.metadata.resource_version != old.metadata.resource_version
    }

    fn found_by(&self) -> BTreeSet<String> {
        controllers(&self.metadata)
    }
}

impl Facts for Experiment {
    fn keep(mut object: Value, _old: Option<&Self>) -> Result<Self, String> {
        drop(take_managers(&mut object));
        let (experiment, dropped) = tolerant::decode::<Self>(object).map_err(|error| error.to_string())?;
        // Judging by the rest of a spec could pass what its owner wanted to fail.
        match dropped.into_iter().find(|dropped| dropped.path.starts_with("spec")) {
            Some(dropped) => Err(format!("{}: {}", dropped.path, dropped.error)),
            None => Ok(experiment),
        }
    }

    fn differs(&self, old: &Self) -> bool {
        self.metadata.resource_version != old.metadata.resource_version
    }

    fn found_by(&self) -> BTreeSet<String> {
        let statuses = self.status.iter().flat_map(|status| &status.template_statuses);
        let services = statuses.filter(|template| !template.service_name.is_empty());
        let services = services.map(|template| user_of(&template.service_name));
        controllers(&self.metadata).into_iter().chain(services).collect()
    }
}

/// Templates of both scopes have the same spec.
impl Facts for Template {
    fn keep(object: Value, _old: Option<&Self>) -> Result<Self, String> {
        let decoded = tolerant::decode::<AnalysisTemplate>(object);
        decoded.map(|(template, _)| template.into()).map_err(|error| error.to_string())
    }

    fn differs(&self, old: &Self) -> bool {
        self != old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_keeps_what_was_known_of_its_trouble() {
        let pod = |reason: &str, message: &str| {
            json!({
                "metadata": {"name": "shop-1", "labels": {HASH_LABEL: "abc"}, "ownerReferences": [{"kind": "ReplicaSet", "name": "shop-abc"}]},
                "status": {"containerStatuses": [
                    {"name": "app", "image": "shop:typo", "state": {"waiting": {"reason": reason, "message": message}}},
                ]},
            })
        };
        let first = Pod::keep(pod("ErrImagePull", "not found"), None).unwrap();
        assert_eq!((first.hash.as_str(), first.pod.set.as_str()), ("abc", "shop-abc"));
        let second = Pod::keep(pod("ImagePullBackOff", "Back-off pulling image"), Some(&first)).unwrap();
        assert_eq!(
            second.trouble.as_ref().map(Trouble::text),
            Some("container app: image shop:typo cannot be pulled: not found")
        );
        assert!(!second.differs(&first));
    }

    #[test]
    fn a_spec_that_was_passed_over_is_the_known_one() {
        let status = |replicas: i32| json!({"replicas": replicas, "readyReplicas": replicas});
        let metadata = json!({"name": "shop", "uid": "u", "generation": 2});
        let template = json!({"spec": {"containers": [{"name": "app", "image": "shop:1"}]}});
        let spec = json!({"replicas": 3, "minReadySeconds": 5, "selector": {"matchLabels": {"a": "b"}}, "template": template});
        let whole = |count| json!({"metadata": metadata, "spec": spec, "status": status(count)});
        let lean = json!({"metadata": metadata, "status": status(2)});

        let old = Set::keep(whole(1), None).unwrap();
        assert_eq!(Set::spec(Some(&old)), Spec::KnownAt(2));
        assert_eq!(Set::keep(lean.clone(), Some(&old)).unwrap(), Set::keep(whole(2), None).unwrap());

        let old = RolloutFacts::keep(whole(1), None).unwrap();
        assert_eq!(RolloutFacts::spec(Some(&old)), Spec::KnownAt(2));
        let (lean, whole) = (RolloutFacts::keep(lean, Some(&old)), RolloutFacts::keep(whole(2), None));
        assert_eq!(lean.unwrap().rollout, whole.unwrap().rollout);
    }

    #[test]
    fn only_ready_endpoints_of_pods_count() {
        let slice = json!({
            "metadata": {"labels": {"kubernetes.io/service-name": "shop"}},
            "endpoints": [
                {"conditions": {"ready": true}, "targetRef": {"kind": "Pod", "name": "a"}},
                {"conditions": {}, "targetRef": {"kind": "Pod", "name": "b"}},
                {"conditions": {"ready": false, "serving": true}, "targetRef": {"kind": "Pod", "name": "c"}},
                {"conditions": {"ready": true}, "addresses": ["10.0.0.1"]},
            ],
        });
        let slice = Slice::keep(slice, None).unwrap();
        assert_eq!(slice.service, "shop");
        assert_eq!(slice.ready, BTreeSet::from(["a".to_owned(), "b".to_owned()]));
    }

    #[test]
    fn a_rollout_names_what_it_looks_at_and_claims_orphans_by_its_selector() {
        let rollout = json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
            "metadata": {"name": "shop", "namespace": "ns", "uid": "u", "generation": 3},
            "spec": {
                "selector": {"matchLabels": {"app": "shop"}},
                "strategy": {"canary": {
                    "canaryService": "shop-canary", "stableService": "shop-stable",
                    "trafficRouting": {"nginx": {"stableIngress": "shop"}},
                    "steps": [{"setWeight": 20}, {"analysis": {"templates": [{"templateName": "ok"}]}}],
                }},
            },
        });
        let facts = RolloutFacts::keep(rollout.clone(), None).unwrap();
        assert_eq!(facts.uses.services, BTreeSet::from(["shop-canary".to_owned(), "shop-stable".to_owned()]));
        assert!(facts.uses.analysis);
        assert!(facts.uses.routes.iter().any(|route| route.name == "shop"));
        let mut set =
            Set { labels: Texts::from_iter([("app".to_owned(), "shop".to_owned())]), ..Set::default() };
        assert!(facts.uses.claims(&set));
        set.owner = Some("other".to_owned());
        assert!(!facts.uses.claims(&set));
        let again = RolloutFacts::keep(rollout, Some(&facts)).unwrap();
        assert!(Arc::ptr_eq(&again.spec, &facts.spec), "the same generation is parsed once");
    }

    #[test]
    fn a_spec_is_parsed_anew_for_a_new_template_of_its_workload() {
        let rollout = json!({
            "metadata": {"name": "shop", "namespace": "ns", "uid": "u", "generation": 3},
            "spec": {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "strategy": {"canary": {}}},
        });
        let facts = RolloutFacts::keep(rollout.clone(), None).unwrap();
        assert_eq!(facts.uses.workload, Some((WorkloadKind::Deployment, "web".to_owned())));
        let deployment = |generation: i64, image: &str| {
            let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": image}]}});
            let object = json!({"kind": "Deployment", "metadata": {"name": "web", "uid": "d", "generation": generation},
                "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}});
            Workload::keep(object, None).unwrap()
        };
        let first = facts.spec_with(Some(&deployment(1, "a:1")), None);
        assert!(first.valid.is_ok());
        let again = RolloutFacts::keep(rollout, Some(&facts)).unwrap();
        assert!(Arc::ptr_eq(&first, &again.spec_with(Some(&deployment(1, "a:1")), None)));
        assert_ne!(again.spec_with(Some(&deployment(2, "a:2")), None).template, first.template);
        let missing = again.spec_with(None, Some("no right"));
        let said = missing.valid.as_ref().unwrap_err()[0].to_string();
        assert_eq!(said, "deployments.apps \"ns/web\" cannot be read: no right");
    }

    #[test]
    fn who_applied_a_rollout_is_known_and_not_kept() {
        let applied = |manager: &str, operation: &str| {
            let entry = json!({ "manager": manager, "operation": operation });
            let rollout = json!({"metadata": {"name": "x", "managedFields": [entry]}, "spec": {"strategy": {"canary": {}}}});
            let facts = RolloutFacts::keep(rollout, None).unwrap();
            assert_eq!(facts.rollout.metadata.managed_fields, None);
            facts.synced
        };
        assert!(applied(FIELD_MANAGER, "Apply"));
        assert!(!applied(FIELD_MANAGER, "Update") && !applied("kubectl", "Apply"));
    }

    #[test]
    fn an_empty_selector_claims_nothing() {
        let rollout =
            json!({"metadata": {"name": "x"}, "spec": {"selector": {}, "strategy": {"canary": {}}}});
        let facts = RolloutFacts::keep(rollout, None).unwrap();
        assert!(!facts.uses.claims(&Set::default()));
    }
}
