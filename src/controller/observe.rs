//! Assembles the World of one Rollout from the stores: no request, no decision.
//!
//! Input: stores, a key, the time. Output: a World, and the versions of the objects in it. It must never filter
//! by what a decision might want: it shows what is there. Only what belongs to the Rollout is looked at, so that a
//! round costs the same in a namespace of a thousand.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use tidegate_engine::analysis::Template;
use tidegate_engine::fence::Seen;
use tidegate_engine::plan::Reference;
use tidegate_engine::rollout::trouble::Troubles;
use tidegate_engine::rollout::workload::{self, Workload, WorkloadKind};
use tidegate_engine::rollout::world::{Endpoints, Set, TemplateKey, World};

use crate::facts::{ORPHAN, RolloutFacts};
use crate::kinds;
use crate::store::{Kept, Key};
use crate::watch::Stores;

/// A World, with the versions of the objects that it shows: the preconditions of writes.
#[derive(Debug)]
pub(crate) struct Observed {
    pub(crate) world: World,
    pub(crate) seen: BTreeMap<Reference, Seen>,
}

/// Builds the World of a Rollout; `None` when there is no such Rollout.
pub(crate) fn observe(stores: &Stores, key: &Key, now: Timestamp) -> Option<Observed> {
    let facts = stores.rollouts.value(&key.namespace, &key.name)?;
    let mut seen = BTreeMap::new();
    let (workload, unread) = workload(stores, key, &facts, &mut seen);
    let mut world = World {
        now,
        // A copy: what a round reads of the template goes with the round, so that the store stays small.
        rollout: workload::resolved(&Arc::new((*facts.rollout).clone()), workload.as_deref()),
        spec: facts.spec_with(workload.as_deref(), unread.as_deref()),
        sets: Vec::new(),
        pods: Vec::new(),
        services: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        routes: BTreeMap::new(),
        unread: Default::default(),
        runs: Vec::new(),
        foreign_runs: BTreeSet::new(),
        experiments: Default::default(),
        templates: BTreeMap::new(),
        troubles: BTreeMap::new(),
        digests: BTreeMap::new(),
        holds: facts.synced,
        workload,
    };
    add_sets(stores, key, &facts, &mut world, &mut seen);
    add_services(stores, key, &facts, &mut world, &mut seen);
    add_runs(stores, key, &facts, &mut world);
    add_experiments(stores, key, &mut world);
    let of_experiments = services_of_experiments(&world);
    add_endpoints(stores, key, &of_experiments, &mut world);
    add_pods(stores, key, &mut world);
    add_routes(stores, key, &facts, &mut world);
    Some(Observed { world, seen })
}

/// The workload that the spec refers to, or why it cannot be read.
fn workload(
    stores: &Stores,
    key: &Key,
    facts: &RolloutFacts,
    seen: &mut BTreeMap<Reference, Seen>,
) -> (Option<Arc<Workload>>, Option<String>) {
    let Some((kind, name)) = &facts.uses.workload else { return (None, None) };
    let followed = stores.workloads.of(*kind);
    match followed.store.get(&Key::new(&key.namespace, name)) {
        Some(kept) => {
            // Only a Deployment is ever written.
            if *kind == WorkloadKind::Deployment {
                seen.insert(kind.reference(name), kept.seen);
            }
            (Some(kept.value), None)
        }
        None => (None, followed.unread()),
    }
}

/// The routing objects that the spec names or selects, and why some cannot be had.
fn add_routes(stores: &Stores, key: &Key, facts: &RolloutFacts, world: &mut World) {
    let mut unread = |kind: &str, namespace: &str| {
        if let Some(why) = stores.unread(kind, namespace) {
            world.unread.insert(kind.to_owned(), why);
        }
    };
    for reference in &facts.uses.routes {
        let namespace = reference.namespace_or(&key.namespace);
        unread(&reference.kind, namespace);
        let Some(store) = stores.routes(&reference.kind) else { continue };
        if let Some(kept) = store.get(&Key::new(namespace, &reference.name)) {
            world.routes.insert(reference.clone(), kept.value);
        }
    }
    for selection in &facts.uses.selections {
        let namespace = selection.namespace.as_deref().unwrap_or(&key.namespace);
        unread(selection.kind, namespace);
        let Some(store) = stores.routes(selection.kind) else { continue };
        store.visit(namespace, |name, object| {
            let reference = selection.reference(name);
            if selection.holds(&reference, object) {
                world.routes.insert(reference, object.clone());
            }
        });
    }
}

fn add_sets(
    stores: &Stores,
    key: &Key,
    facts: &RolloutFacts,
    world: &mut World,
    seen: &mut BTreeMap<Reference, Seen>,
) {
    // Content and version are taken together, so that they belong to each other.
    let mut add = |name: &str, kept: &Kept<Set>| {
        seen.insert(kinds::reference(&kinds::replica_set(), name), kept.seen.clone());
        // What is looked at in a round is not kept beyond it.
        world.sets.push(Arc::new(Set::clone(&kept.value)));
    };
    if let Some(uid) = &facts.rollout.metadata.uid {
        stores.sets.visit_found(&key.namespace, uid, &mut add);
    }
    stores.sets.visit_found(&key.namespace, ORPHAN, |name, kept| {
        if facts.uses.claims(&kept.value) {
            add(name, kept);
        }
    });
    world.sets.sort_by(|one, other| one.name.cmp(&other.name));
}

fn add_services(
    stores: &Stores,
    key: &Key,
    facts: &RolloutFacts,
    world: &mut World,
    seen: &mut BTreeMap<Reference, Seen>,
) {
    if facts.uses.services.is_empty() {
        return;
    }
    for name in &facts.uses.services {
        if let Some(kept) = stores.services.get(&Key::new(&key.namespace, name)) {
            seen.insert(kinds::reference(&kinds::service(), name), kept.seen);
            world.services.insert(name.clone(), kept.value);
        }
    }
    add_endpoints(stores, key, &facts.uses.services, world);
}

/// The Services of the Rollout's Experiments, which may have a share of its traffic.
fn services_of_experiments(world: &World) -> BTreeSet<String> {
    let statuses = world.experiments.own.iter().filter_map(|experiment| experiment.status.as_ref());
    let templates = statuses.flat_map(|status| &status.template_statuses);
    let named = templates.map(|template| &template.service_name).filter(|name| !name.is_empty());
    named.filter(|name| !world.endpoints.contains_key(*name)).cloned().collect()
}

/// The ready endpoints of Services, by the revision of their pods.
fn add_endpoints(stores: &Stores, key: &Key, services: &BTreeSet<String>, world: &mut World) {
    // A pod with two addresses is in two slices, and still is one endpoint.
    let mut ready: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for service in services {
        stores.slices.visit_found(&key.namespace, service, |_, slice| {
            ready.entry(service.clone()).or_default().extend(slice.value.ready.iter().cloned());
        });
    }
    for (service, pods) in ready {
        let endpoints: &mut Endpoints = world.endpoints.entry(service).or_default();
        for pod in pods {
            if let Some(pod) = stores.pods.value(&key.namespace, &pod) {
                *endpoints.ready.entry(pod.hash.clone()).or_default() += 1;
            }
        }
    }
}

/// The AnalysisRuns that the Rollout controls, and the names of others that one of its own could want.
fn add_runs(stores: &Stores, key: &Key, facts: &RolloutFacts, world: &mut World) {
    let uid = facts.rollout.metadata.uid.as_deref();
    let own = uid.unwrap_or_default();
    stores.runs.visit_found(&key.namespace, own, |_, run| world.runs.push(Arc::clone(&run.value)));
    stores.runs.visit_named(&key.namespace, &format!("{}-", key.name), |name, run| {
        if !controls(uid, &run.metadata) {
            world.foreign_runs.insert(name.to_owned());
        }
    });
    if facts.uses.analysis {
        world.templates = templates(stores, &key.namespace);
    }
}

/// Whether the controlling owner of an object has this uid.
pub(crate) fn controls(uid: Option<&str>, metadata: &ObjectMeta) -> bool {
    let mut owners = metadata.owner_references.iter().flatten();
    owners.any(|owner| owner.controller == Some(true) && Some(owner.uid.as_str()) == uid)
}

/// The AnalysisTemplates of a namespace, and those of the cluster.
pub(crate) fn templates(stores: &Stores, namespace: &str) -> BTreeMap<TemplateKey, Arc<Template>> {
    let mut templates = BTreeMap::new();
    stores.templates.visit(namespace, |name, template| {
        templates.insert(TemplateKey { cluster: false, name: name.to_owned() }, template.clone());
    });
    stores.cluster_templates.visit("", |name, template| {
        templates.insert(TemplateKey { cluster: true, name: name.to_owned() }, template.clone());
    });
    templates
}

/// The Experiments that the Rollout controls, and the names of others that one of its own could want.
fn add_experiments(stores: &Stores, key: &Key, world: &mut World) {
    let uid = world.rollout.metadata.uid.clone();
    let (own, experiments) = (uid.as_deref().unwrap_or_default(), &mut world.experiments);
    stores.experiments.visit_found(&key.namespace, own, |_, one| {
        experiments.own.push(Arc::clone(&one.value));
    });
    stores.experiments.visit_named(&key.namespace, &format!("{}-", key.name), |name, experiment| {
        if !controls(uid.as_deref(), &experiment.metadata) {
            experiments.foreign.insert(name.to_owned());
        }
    });
}

/// The pods of the ReplicaSets, the images they run, and the worst trouble of each revision: what its pods report, else why its pods cannot
/// be created.
fn add_pods(stores: &Stores, key: &Key, world: &mut World) {
    let mut found = Vec::new();
    for set in &world.sets {
        stores.pods.visit_found(&key.namespace, &set.name, |_, pod| {
            found.push((set.hash(), Arc::clone(&pod.value)));
        });
    }
    found.sort_by(|(_, one), (_, other)| one.pod.name.cmp(&other.pod.name));
    let mut troubles: BTreeMap<&str, Troubles> = BTreeMap::new();
    let mut digests: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for (hash, pod) in &found {
        if !pod.digests.is_empty() {
            digests.entry((*hash).to_owned()).or_default().extend(pod.digests.clone());
        }
        if let Some(trouble) = &pod.trouble {
            troubles.entry(*hash).or_default().note(&pod.pod.name, trouble);
        }
    }
    let pods = found.iter().map(|(_, pod)| Arc::clone(&pod.pod)).collect();
    let mut troubles: BTreeMap<String, String> =
        troubles.into_iter().filter_map(|(hash, all)| Some((hash.to_owned(), all.text()?))).collect();
    for set in &world.sets {
        if let Some(failure) = &set.status.failure {
            troubles.entry(set.hash().to_owned()).or_insert_with(|| failure.told());
        }
    }
    world.troubles = troubles;
    world.pods = pods;
    world.digests = digests;
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::facts::Facts;
    use crate::store::Store;

    fn put<T: Facts>(store: &Store<T>, object: Value) {
        let text =
            |pointer: &str| object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = Key::new(text("/metadata/namespace"), text("/metadata/name"));
        let seen = Seen { version: text("/metadata/resourceVersion"), uid: text("/metadata/uid") };
        store.apply(key, seen, T::keep(object, None).unwrap());
    }

    fn owner(kind: &str, name: &str, uid: &str) -> Value {
        json!([{"apiVersion": "x", "kind": kind, "name": name, "uid": uid, "controller": true}])
    }

    fn pod(name: &str, set: &str, hash: &str, status: Value) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "ns", "labels": {"rollouts-pod-template-hash": hash}, "ownerReferences": owner("ReplicaSet", set, set)},
            "status": status,
        })
    }

    fn scene() -> Stores {
        let stores = Stores::default();
        put(
            &stores.rollouts,
            json!({
                "metadata": {"name": "shop", "namespace": "ns", "uid": "r1", "generation": 1, "resourceVersion": "7"},
                "spec": {
                    "selector": {"matchLabels": {"app": "shop"}},
                    "strategy": {"canary": {
                        "stableService": "shop", "canaryService": "shop-canary",
                        "steps": [{"analysis": {"templates": [{"templateName": "ok"}]}}],
                        "trafficRouting": {"nginx": {"stableIngress": "shop"}},
                    }},
                },
            }),
        );
        let set = |name: &str, owner: Value, app: &str| {
            json!({"metadata": {"name": name, "namespace": "ns", "uid": name, "ownerReferences": owner,
                "labels": {"app": app, "rollouts-pod-template-hash": &name[5..]}}})
        };
        put(&stores.sets, set("shop-aa", owner("Rollout", "shop", "r1"), "shop"));
        put(&stores.sets, set("shop-bb", json!([]), "shop"));
        put(&stores.sets, set("shop-cc", owner("Rollout", "other", "r2"), "shop"));
        put(
            &stores.services,
            json!({"metadata": {"name": "shop", "namespace": "ns", "resourceVersion": "5", "uid": "s"}}),
        );
        put(&stores.services, json!({"metadata": {"name": "unrelated", "namespace": "ns"}}));
        put(&stores.ingresses, json!({"metadata": {"name": "shop", "namespace": "ns"}}));
        stores
    }

    fn world(stores: &Stores) -> Observed {
        observe(stores, &Key::new("ns", "shop"), Timestamp::UNIX_EPOCH).unwrap()
    }

    #[test]
    fn a_world_holds_what_the_rollout_controls_claims_and_names() {
        let observed = world(&scene());
        let names: Vec<&str> = observed.world.sets.iter().map(|set| set.name.as_str()).collect();
        assert_eq!(names, ["shop-aa", "shop-bb"]);
        assert_eq!(observed.world.services.keys().collect::<Vec<_>>(), ["shop"]);
        assert_eq!(observed.seen[&kinds::reference(&kinds::service(), "shop")].version, "5");
        assert!(observed.world.routes.contains_key(&kinds::reference(&kinds::ingress(), "shop")));
    }

    #[test]
    fn endpoints_are_counted_once_per_pod_and_by_revision() {
        let stores = scene();
        for (name, hash) in [("p1", "aa"), ("p2", "aa"), ("p3", "bb")] {
            put(&stores.pods, pod(name, &format!("shop-{hash}"), hash, json!({})));
        }
        let slice = |name: &str, pods: &[&str]| {
            let endpoints: Vec<Value> =
                pods.iter().map(|pod| json!({"targetRef": {"kind": "Pod", "name": pod}})).collect();
            json!({"metadata": {"name": name, "namespace": "ns", "labels": {"kubernetes.io/service-name": "shop"}}, "endpoints": endpoints})
        };
        put(&stores.slices, slice("shop-v4", &["p1", "p2", "p3", "not-seen-yet"]));
        put(&stores.slices, slice("shop-v6", &["p1"]));
        let endpoints = &world(&stores).world.endpoints["shop"];
        assert_eq!((endpoints.of("aa"), endpoints.of("bb")), (2, 1));
    }

    #[test]
    fn runs_of_others_only_leave_the_names_that_could_be_wanted() {
        let stores = scene();
        let run = |name: &str, uid: &str| json!({"metadata": {"name": name, "namespace": "ns", "ownerReferences": owner("Rollout", "shop", uid)}, "spec": {}});
        put(&stores.runs, run("ours", "r1"));
        put(&stores.runs, run("shop-theirs", "r0"));
        put(&stores.runs, run("other-theirs", "r0"));
        put(&stores.templates, json!({"metadata": {"name": "ok", "namespace": "ns"}, "spec": {}}));
        let world = world(&stores).world;
        assert_eq!(world.runs.len(), 1);
        assert_eq!(world.foreign_runs, BTreeSet::from(["shop-theirs".to_owned()]));
        assert!(world.templates.contains_key(&TemplateKey { cluster: false, name: "ok".to_owned() }));
    }

    #[test]
    fn troubles_come_from_pods_first_and_then_from_the_set() {
        let stores = scene();
        let waiting = json!({"containerStatuses": [{"name": "app", "image": "x", "state": {"waiting": {"reason": "ErrImagePull"}}}]});
        put(&stores.pods, pod("p1", "shop-aa", "aa", waiting));
        put(
            &stores.sets,
            json!({
                "metadata": {"name": "shop-bb", "namespace": "ns", "labels": {"app": "shop", "rollouts-pod-template-hash": "bb"}},
                "status": {"conditions": [{"type": "ReplicaFailure", "status": "True", "reason": "FailedCreate", "message": "exceeded quota"}]},
            }),
        );
        let troubles = world(&stores).world.troubles;
        assert_eq!(troubles["aa"], "pod p1: container app: image x cannot be pulled");
        assert_eq!(troubles["bb"], "FailedCreate: exceeded quota");
    }

    #[test]
    fn a_rollout_has_the_template_of_the_workload_that_it_refers_to() {
        let stores = Stores::default();
        put(
            &stores.rollouts,
            json!({
                "metadata": {"name": "shop", "namespace": "ns", "uid": "r1", "generation": 1},
                "spec": {"workloadRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"}, "strategy": {"canary": {}}},
            }),
        );
        assert!(stores.awaits_workload(&Key::new("ns", "shop")));
        let followed = stores.workloads.of(WorkloadKind::Deployment);
        followed.store.list_ends();
        assert!(!stores.awaits_workload(&Key::new("ns", "shop")));
        let missing = world(&stores).world;
        let said = missing.spec.valid.as_ref().unwrap_err()[0].to_string();
        assert_eq!(said, "deployments.apps \"ns/web\" not found");
        let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}});
        put(
            &followed.store,
            json!({"kind": "Deployment", "metadata": {"name": "web", "namespace": "ns", "resourceVersion": "9"},
                "spec": {"selector": {"matchLabels": {"app": "web"}}, "template": template}}),
        );
        let observed = world(&stores);
        assert!(observed.world.spec.valid.is_ok());
        assert_eq!(*observed.world.rollout.spec.template.0, template);
        assert_eq!(observed.seen[&kinds::reference(&kinds::deployment(), "web")].version, "9");
    }

    #[test]
    fn what_is_not_there_has_no_world() {
        assert!(observe(&Stores::default(), &Key::new("ns", "shop"), Timestamp::UNIX_EPOCH).is_none());
    }
}
