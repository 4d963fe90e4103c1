//! What the delivery half owns in objects that Git holds too.
//!
//! A Rollout's controller writes the hash of a revision into Service selectors, weights into routes, and an
//! autoscaler writes replicas. The lists and maps that hold them are atomic for the server, so field
//! ownership does not protect them: applying Git's version would take traffic from the pods that have it.
//! Before an object is compared or applied, these leaves are copied from the live object. Everything else in
//! the object stays Git's.

mod route;
mod table;

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;
use tidegate_api::valid::selects;

use super::object::{Key, annotation, child_map, list, set_annotation, text};

/// The selector entry by which a Rollout's controller points a Service at one revision.
const HASH: &str = "rollouts-pod-template-hash";
/// The annotation that lists the ALB annotations which a Rollout's controller wrote.
const MANAGED_ALB: &str = "rollouts.argoproj.io/managed-alb-actions";
const ALB_ACTIONS: &str = ".ingress.kubernetes.io/actions.";
/// The annotations of a canary Ingress that a Rollout's controller writes, after any prefix.
const CANARY: &str = "/canary";

/// The Rollouts and autoscalers whose work must not be reverted.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Delegation {
    /// Objects whose replicas somebody else sets.
    scaled: BTreeSet<Key>,
    /// What Rollouts route through.
    pub(super) routed: Vec<Routed>,
}

/// What one Rollout routes through.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Routed {
    /// The Services and routing objects that the Rollout's spec names.
    pub(super) objects: BTreeSet<Object>,
    /// The routing objects that it finds by their labels.
    pub(super) selected: Vec<Selected>,
    /// The Services whose weights are the Rollout's; every weight is, where it names none.
    pub(super) services: BTreeSet<String>,
    /// The names of the routes that the Rollout's controller adds and removes.
    pub(super) managed: BTreeSet<String>,
}

/// One object by its kind, namespace and name.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Object {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) name: String,
}

/// Objects of one kind and namespace by their labels.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Selected {
    pub(super) kind: &'static str,
    pub(super) namespace: String,
    pub(super) selector: LabelSelector,
}

impl Delegation {
    /// Reads who owns what from Rollouts and autoscalers, live ones and those that Git holds.
    pub(super) fn read<'a>(neighbours: impl Iterator<Item = &'a Value>) -> Self {
        let mut delegation = Self::default();
        for object in neighbours {
            match text(object, "/kind") {
                "HorizontalPodAutoscaler" => delegation.scaled.insert(scale_target(object)),
                "Rollout" => {
                    delegation.scaled.extend(referenced_workload(object));
                    delegation.routed.push(route::routed(object));
                    true
                }
                _ => false,
            };
        }
        delegation
    }

    /// Copies the leaves that somebody else owns from the live object into the wanted one. Says whether there are
    /// any: also equal ones may be others by the time that the object is applied.
    pub(super) fn settle(&self, wanted: &mut Value, live: &Value) -> bool {
        let key = Key::of(wanted);
        let mut shared = self.scaled.contains(&key) && copy_replicas(wanted, live);
        for routed in self.routed.iter().filter(|routed| routed.concerns(&key, live)) {
            shared = true;
            match (key.group.as_str(), key.kind.as_str()) {
                ("", "Service") => copy_hash(wanted, live, "/spec/selector"),
                ("networking.istio.io", "DestinationRule") => copy_subsets(wanted, live),
                _ => table::settle(wanted, live, routed),
            }
        }
        if let ("networking.k8s.io" | "extensions", "Ingress") = (key.group.as_str(), key.kind.as_str()) {
            shared |= copy_ingress(wanted, live);
        }
        shared
    }
}

impl Routed {
    /// Whether the Rollout routes through an object. The live labels count: they are what its controller goes by.
    fn concerns(&self, key: &Key, live: &Value) -> bool {
        let named = |object: &Object| {
            object.kind == key.kind && object.namespace == key.namespace && object.name == key.name
        };
        let selected = |one: &Selected| {
            one.kind == key.kind && one.namespace == key.namespace && selects(&one.selector, &labels(live))
        };
        self.objects.iter().any(named) || self.selected.iter().any(selected)
    }
}

fn labels(object: &Value) -> BTreeMap<String, String> {
    let labels = object.pointer("/metadata/labels").and_then(Value::as_object).into_iter().flatten();
    labels.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}

/// The object that an autoscaler scales.
fn scale_target(autoscaler: &Value) -> Key {
    let (group, _) = text(autoscaler, "/spec/scaleTargetRef/apiVersion").split_once('/').unwrap_or_default();
    Key {
        group: group.to_owned(),
        kind: text(autoscaler, "/spec/scaleTargetRef/kind").to_owned(),
        namespace: text(autoscaler, "/metadata/namespace").to_owned(),
        name: text(autoscaler, "/spec/scaleTargetRef/name").to_owned(),
    }
}

/// The Deployment whose template a Rollout uses and which its controller scales down.
fn referenced_workload(rollout: &Value) -> Option<Key> {
    let scale_down = text(rollout, "/spec/workloadRef/scaleDown");
    if !matches!(scale_down, "onsuccess" | "progressively") {
        return None;
    }
    let (group, _) = text(rollout, "/spec/workloadRef/apiVersion").split_once('/')?;
    Some(Key {
        group: group.to_owned(),
        kind: text(rollout, "/spec/workloadRef/kind").to_owned(),
        namespace: text(rollout, "/metadata/namespace").to_owned(),
        name: text(rollout, "/spec/workloadRef/name").to_owned(),
    })
}

/// Keeps the live replicas where Git names some. Where it names none there is nothing to revert; unless
/// they were applied earlier, when leaving them out would reset them to 1. Says whether the wanted object has them.
fn copy_replicas(wanted: &mut Value, live: &Value) -> bool {
    let Some(replicas) = live.pointer("/spec/replicas").filter(|replicas| !replicas.is_null()) else {
        return false;
    };
    let git_names_them = wanted.pointer("/spec/replicas").is_some_and(|replicas| !replicas.is_null());
    if !git_names_them && !applied_replicas(live) {
        return false;
    }
    if let Some(spec) = child_map(wanted, "spec") {
        spec.insert("replicas".to_owned(), replicas.clone());
    }
    true
}

/// Whether the replicas of a live object are among the fields that were applied by us.
fn applied_replicas(live: &Value) -> bool {
    list(live, "/metadata/managedFields").iter().any(|entry| {
        text(entry, "/manager") == super::FIELD_MANAGER
            && entry.pointer("/fieldsV1/f:spec/f:replicas").is_some()
    })
}

/// Keeps the revision that a selector points at.
fn copy_hash(wanted: &mut Value, live: &Value, selector: &str) {
    let Some(hash) = live.pointer(selector).and_then(|selector| selector.get(HASH)) else { return };
    if let Some(Value::Object(selector)) = wanted.pointer_mut(selector)
        && !selector.contains_key(HASH)
    {
        selector.insert(HASH.to_owned(), hash.clone());
    }
}

/// Keeps the canary annotations of an Ingress that a Rollout owns, and the ALB actions that its controller
/// wrote. Says whether any differed.
fn copy_ingress(wanted: &mut Value, live: &Value) -> bool {
    let owned = list(live, "/metadata/ownerReferences").iter().any(|owner| text(owner, "/kind") == "Rollout");
    let managed = annotation(live, MANAGED_ALB).unwrap_or_default().to_owned();
    let annotations = live.pointer("/metadata/annotations").and_then(Value::as_object);
    let mut differed = false;
    for (name, value) in annotations.into_iter().flatten() {
        let is_canary = owned && name.contains(CANARY);
        let is_action = name.contains(ALB_ACTIONS) && managed.contains(name.as_str());
        if (is_canary || is_action)
            && let (Some(known), Some(value)) = (annotation(wanted, name), value.as_str())
            && known != value
        {
            set_annotation(wanted, name, value);
            differed = true;
        }
    }
    differed
}

/// Keeps the revisions that the subsets of a DestinationRule point at.
fn copy_subsets(wanted: &mut Value, live: &Value) {
    let Some(Value::Array(subsets)) = wanted.pointer_mut("/spec/subsets") else { return };
    for subset in subsets {
        let name = text(subset, "/name").to_owned();
        if let Some(live) = list(live, "/spec/subsets").iter().find(|live| text(live, "/name") == name) {
            if subset.get("labels").is_none() && live.pointer("/labels").is_some() {
                child_map(subset, "labels");
            }
            copy_hash(subset, live, "/labels");
        }
    }
}

#[cfg(test)]
mod tests;
