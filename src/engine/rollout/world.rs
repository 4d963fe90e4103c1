//! Everything one decision about a Rollout may know, built once per round and never changed.
//!
//! Input: Kubernetes objects as JSON. Output: small typed facts behind `Arc`, so that a World is cheap to
//! build from a cache. It must never know where the objects came from.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use litemap::LiteMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tidegate_api::analysis::AnalysisRun;
use tidegate_api::compact::Compact;
use tidegate_api::experiment::Experiment;
use tidegate_api::rollout::Rollout;
use tidegate_api::valid::{FieldError, PluginRouting, ValidRollout};

use super::hash;
use super::trouble::bounded;
use super::workload::Workload;
use crate::analysis::Template;
use crate::at::at;
use crate::plan::Reference;

/// The label that names a revision on ReplicaSets, pods, AnalysisRuns and in Service selectors.
pub const HASH_LABEL: &str = "rollouts-pod-template-hash";
/// The revision number on a Rollout, ReplicaSet and AnalysisRun.
pub const REVISION: &str = "rollout.argoproj.io/revision";
/// Former revision numbers of a ReplicaSet that was used again.
pub const REVISION_HISTORY: &str = "rollout.argoproj.io/revision-history";
/// `spec.replicas` of the Rollout when the ReplicaSet was last sized.
pub const DESIRED_REPLICAS: &str = "rollout.argoproj.io/desired-replicas";
/// When an unused ReplicaSet may be scaled down.
pub const SCALE_DOWN_DEADLINE: &str = "scale-down-deadline";
/// What the pods of a ReplicaSet were given for the time of their role, as JSON.
pub const EPHEMERAL_METADATA: &str = "rollout.argoproj.io/ephemeral-metadata";
/// The Rollout that a Service belongs to.
pub const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";
/// The controller instance that an object belongs to.
pub const INSTANCE_ID: &str = "argo-rollouts.argoproj.io/controller-instance-id";

/// Everything one decision may know. Built once per round, never changed.
#[derive(Clone, Debug)]
pub struct World {
    pub now: Timestamp,
    /// The Rollout, with the template and the selector of its workload where it refers to one.
    pub rollout: Arc<Rollout>,
    /// What the spec of `rollout` says, parsed.
    pub spec: Arc<Parsed>,
    /// ReplicaSets that the Rollout controls, or orphans that its selector claims.
    pub sets: Vec<Arc<Set>>,
    /// Pods that those ReplicaSets control.
    pub pods: Vec<Arc<Pod>>,
    /// Services that the spec names, by name; absent when they do not exist.
    pub services: BTreeMap<String, Arc<Service>>,
    /// Ready endpoints of those Services, counted by the revision of the pod behind them.
    pub endpoints: BTreeMap<String, Endpoints>,
    /// Routing objects that the router asked for; absent when they do not exist.
    pub routes: BTreeMap<Reference, Arc<Value>>,
    /// Kinds of routing objects that cannot be read, and why: the cluster does not know them, or forbids it.
    pub unread: BTreeMap<String, String>,
    /// AnalysisRuns that the Rollout controls.
    pub runs: Vec<Arc<AnalysisRun>>,
    /// Names of AnalysisRuns in the namespace that the Rollout does not control; a new run must not take one.
    pub foreign_runs: BTreeSet<String>,
    /// Experiments that the Rollout controls, and the names that others have.
    pub experiments: Experiments,
    /// AnalysisTemplates of the namespace and ClusterAnalysisTemplates, by scope and name.
    pub templates: BTreeMap<TemplateKey, Arc<Template>>,
    /// Troubles that pods report, by revision: the text of the worst one, such as an image that cannot be pulled.
    pub troubles: BTreeMap<String, String>,
    /// What pods run, by revision and container: the digest of the image.
    pub digests: BTreeMap<String, BTreeMap<String, String>>,
    /// Whether content of this Rollout that was aborted is not to be shipped again.
    pub holds: bool,
    /// The workload whose template `rollout` shows, where the spec refers to one that exists.
    pub workload: Option<Arc<Workload>>,
}

impl World {
    /// A World that shows a Rollout and nothing else.
    #[must_use]
    pub fn of(rollout: Rollout, now: Timestamp) -> Self {
        Self {
            now,
            spec: Arc::new(Parsed::new(&rollout)),
            rollout: Arc::new(rollout),
            sets: Vec::new(),
            pods: Vec::new(),
            services: BTreeMap::new(),
            endpoints: BTreeMap::new(),
            routes: BTreeMap::new(),
            unread: BTreeMap::new(),
            runs: Vec::new(),
            foreign_runs: BTreeSet::new(),
            templates: BTreeMap::new(),
            troubles: BTreeMap::new(),
            digests: BTreeMap::new(),
            holds: false,
            workload: None,
            experiments: Experiments::default(),
        }
    }
}

impl World {
    /// Pods of a ReplicaSet that are not on their way out.
    pub(crate) fn pods_of(&self, set: &Set) -> impl Iterator<Item = &Pod> + use<'_> {
        let name = set.name.clone();
        self.pods.iter().map(AsRef::as_ref).filter(move |pod| !pod.leaving && pod.set == name)
    }
}

/// The Experiments around a Rollout.
#[derive(Clone, Debug, Default)]
pub struct Experiments {
    /// Those that the Rollout controls.
    pub own: Vec<Arc<Experiment>>,
    /// Names of those in the namespace that it does not control; a new one must not take one.
    pub foreign: BTreeSet<String>,
}

/// The parsed spec of a Rollout: depends on `spec`, on the template of a workload that it refers to, and on nothing
/// else, so it is computed once per generation of both.
#[derive(Clone, Debug)]
pub struct Parsed {
    pub valid: Result<ValidRollout, Vec<FieldError>>,
    /// The first part of a valid spec that nobody would act on.
    pub unserved: Option<String>,
    /// What the router plugins name, as far as it can be read: an abort needs it even when the spec is invalid.
    pub plugins: PluginRouting,
    /// The pod template, as far as its hash needs it.
    pub template: hash::Digest,
    pub steps_hash: String,
}

impl Parsed {
    /// Parses the spec of a Rollout.
    #[must_use]
    pub fn new(rollout: &Rollout) -> Self {
        Self::of(rollout, tidegate_api::valid::validate(rollout))
    }

    /// Parses a Rollout whose template is not its own.
    pub(crate) fn with_template_of_workload(rollout: &Rollout) -> Self {
        Self::of(rollout, tidegate_api::valid::validate_resolved(rollout))
    }

    fn of(rollout: &Rollout, valid: Result<ValidRollout, Vec<FieldError>>) -> Self {
        let steps =
            rollout.spec.strategy.canary.as_ref().map(|canary| canary.steps.as_slice()).unwrap_or_default();
        let steps: Vec<Value> =
            steps.iter().map(|step| serde_json::to_value(step).unwrap_or(Value::Null)).collect();
        let steps = (!steps.is_empty()).then_some(Value::Array(steps));
        let unsupported = valid.as_ref().map(tidegate_api::valid::unsupported).unwrap_or_default();
        Self {
            valid,
            unserved: unsupported.first().map(ToString::to_string),
            plugins: tidegate_api::valid::plugin_routing(rollout).0,
            template: hash::Digest::of(&hash::canonical(&rollout.spec.template.0)),
            // A blue-green update has no steps, which is not the same as a canary without any.
            steps_hash: match &rollout.spec.strategy.blue_green {
                Some(_) => String::new(),
                None => hash::steps_hash(steps.as_ref()),
            },
        }
    }
}

/// A template by scope: `cluster` is true for a ClusterAnalysisTemplate.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TemplateKey {
    pub cluster: bool,
    pub name: String,
}

impl TemplateKey {
    /// The kind of the template.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        if self.cluster { "ClusterAnalysisTemplate" } else { "AnalysisTemplate" }
    }
}

/// Ready endpoints of one Service by the revision hash of their pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Endpoints {
    pub ready: BTreeMap<String, i32>,
}

impl Endpoints {
    /// Ready endpoints whose pods carry `hash`.
    #[must_use]
    pub fn of(&self, hash: &str) -> i32 {
        self.ready.get(hash).copied().unwrap_or(0)
    }
}

/// A Service as far as a rollout needs it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Service {
    pub name: String,
    /// The uid of the controlling owner, if any: that of an Experiment.
    pub owner: Option<String>,
    pub selector: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Whether it only stands for a name elsewhere: no endpoints are ever listed for it, whatever it selects.
    /// <https://kubernetes.io/docs/concepts/services-networking/service/#externalname>
    pub external: bool,
}

impl Service {
    /// The revision that the Service selects, if any.
    #[must_use]
    pub fn hash(&self) -> Option<&str> {
        self.selector.get(HASH_LABEL).map(String::as_str)
    }

    /// Reads a Service from its JSON; absent fields count as empty.
    #[must_use]
    pub fn parse(object: &Value) -> Self {
        Self {
            name: text(object, "/metadata/name"),
            owner: controller(object),
            selector: map(object, "/spec/selector"),
            annotations: map(object, "/metadata/annotations"),
            external: text(object, "/spec/type") == "ExternalName",
        }
    }
}

/// Labels or annotations of an object that there is a lot of: a sorted list, which takes a fraction of a tree's room.
pub type Texts = LiteMap<String, String>;

/// A ReplicaSet as far as a rollout needs it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Set {
    pub name: String,
    pub uid: String,
    pub created: Timestamp,
    pub deleting: bool,
    pub generation: i64,
    pub labels: Texts,
    pub annotations: Texts,
    /// The uid of the controlling owner, if any.
    pub owner: Option<String>,
    /// `spec.replicas`.
    pub replicas: i32,
    pub min_ready_seconds: i32,
    pub selector: Compact,
    pub template: Compact,
    pub status: SetStatus,
}

/// The status of a ReplicaSet.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetStatus {
    pub observed_generation: i64,
    pub replicas: i32,
    pub ready: i32,
    pub available: i32,
    /// A true ReplicaFailure condition.
    pub failure: Option<SetFailure>,
}

/// What Kubernetes says of a ReplicaSet whose pods it cannot make or take away.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetFailure {
    pub reason: String,
    pub message: String,
    /// Since when: `lastTransitionTime`.
    pub since: Option<Timestamp>,
}

impl SetFailure {
    /// In one line, cut to what a status has room for.
    #[must_use]
    pub fn told(&self) -> String {
        format!("{}: {}", self.reason, bounded(&self.message))
    }
}

impl Set {
    /// The revision hash in the labels, empty when absent.
    #[must_use]
    pub fn hash(&self) -> &str {
        self.labels.get(HASH_LABEL).map_or("", String::as_str)
    }

    /// Whether its controller has seen its newest spec, so that its status speaks of that.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.status.observed_generation >= self.generation
    }

    /// The revision number, 0 when absent or unreadable.
    #[must_use]
    pub fn revision(&self) -> i64 {
        self.annotations.get(REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
    }

    /// The scale-down deadline, if one is set and readable.
    #[must_use]
    pub fn deadline(&self) -> Option<Timestamp> {
        self.annotations.get(SCALE_DOWN_DEADLINE).and_then(|text| text.parse().ok())
    }

    /// Whether an annotation for the scale-down deadline exists, readable or not.
    #[must_use]
    pub fn has_deadline(&self) -> bool {
        self.annotations.contains_key(SCALE_DOWN_DEADLINE)
    }

    /// The Rollout's replica count when this set was last sized.
    #[must_use]
    pub fn desired_replicas(&self) -> Option<i32> {
        self.annotations.get(DESIRED_REPLICAS).and_then(|text| text.parse().ok())
    }

    /// Reads a ReplicaSet from its JSON; absent or malformed fields count as zero or empty.
    #[must_use]
    pub fn parse(object: &Value) -> Self {
        Self {
            name: text(object, "/metadata/name"),
            uid: text(object, "/metadata/uid"),
            created: text(object, "/metadata/creationTimestamp").parse().unwrap_or_default(),
            deleting: at(object, "/metadata/deletionTimestamp").is_some(),
            generation: int(object, "/metadata/generation"),
            labels: map(object, "/metadata/labels"),
            annotations: map(object, "/metadata/annotations"),
            owner: controller(object),
            replicas: at(object, "/spec/replicas").and_then(Value::as_i64).map_or(1, clamp),
            min_ready_seconds: clamp(int(object, "/spec/minReadySeconds")),
            selector: Compact::folded(at(object, "/spec/selector").unwrap_or(&Value::Null)),
            template: Compact::folded(at(object, "/spec/template").unwrap_or(&Value::Null)),
            status: SetStatus::parse(object),
        }
    }

    /// The object to create, controlled by `rollout`.
    #[must_use]
    pub fn object(&self, rollout: &Rollout) -> Value {
        self.object_of(rollout.metadata.namespace.as_deref(), &owner_reference(rollout))
    }

    /// The object to create in a namespace, controlled by `owner`.
    #[must_use]
    pub fn object_of(&self, namespace: Option<&str>, owner: &Value) -> Value {
        // An empty list is no object in JSON.
        let object = |texts: &Texts| json!(texts.clone().into_iter().collect::<BTreeMap<_, _>>());
        json!({
            "apiVersion": "apps/v1",
            "kind": "ReplicaSet",
            "metadata": {
                "name": self.name,
                "namespace": namespace,
                "labels": object(&self.labels),
                "annotations": object(&self.annotations),
                "ownerReferences": [owner],
            },
            "spec": {
                "replicas": self.replicas,
                "minReadySeconds": self.min_ready_seconds,
                "selector": *self.selector,
                "template": *self.template,
            },
        })
    }
}

impl SetStatus {
    fn parse(object: &Value) -> Self {
        let failure = at(object, "/status/conditions").and_then(Value::as_array).and_then(|conditions| {
            let failed = |c: &&Value| c["type"] == "ReplicaFailure" && c["status"] == "True";
            let condition = conditions.iter().find(failed)?;
            Some(SetFailure {
                reason: condition["reason"].as_str()?.to_owned(),
                message: condition["message"].as_str().unwrap_or("").to_owned(),
                since: condition["lastTransitionTime"].as_str().and_then(|text| text.parse().ok()),
            })
        });
        Self {
            observed_generation: int(object, "/status/observedGeneration"),
            replicas: clamp(int(object, "/status/replicas")),
            ready: clamp(int(object, "/status/readyReplicas")),
            available: clamp(int(object, "/status/availableReplicas")),
            failure,
        }
    }
}

/// A pod of a ReplicaSet as far as restarts and roles need it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pod {
    pub name: String,
    pub uid: String,
    /// Name of the ReplicaSet that controls it, empty when none does.
    pub set: String,
    pub labels: Texts,
    pub annotations: Texts,
    pub created: Timestamp,
    /// Since when it is ready, if it is.
    pub ready_since: Option<Timestamp>,
    /// Being deleted, or ended: its ReplicaSet does not count it any more.
    pub leaving: bool,
}

impl Pod {
    /// When it becomes or became available, which is later than ready by the minReadySeconds of its ReplicaSet.
    #[must_use]
    pub fn available_at(&self, set: &Set) -> Option<Timestamp> {
        self.ready_since?.checked_add(SignedDuration::from_secs(set.min_ready_seconds.into())).ok()
    }

    /// Reads a pod from its JSON; absent or malformed fields count as empty.
    #[must_use]
    pub fn parse(object: &Value) -> Self {
        let list = |pointer| at(object, pointer).and_then(Value::as_array).into_iter().flatten();
        let mut owners = list("/metadata/ownerReferences").filter(|owner| owner["kind"] == "ReplicaSet");
        let ready = list("/status/conditions").find(|condition| condition["type"] == "Ready");
        let ready = ready.filter(|condition| condition["status"] == "True");
        let ended = matches!(text(object, "/status/phase").as_str(), "Failed" | "Succeeded");
        Self {
            name: text(object, "/metadata/name"),
            uid: text(object, "/metadata/uid"),
            labels: map(object, "/metadata/labels"),
            annotations: map(object, "/metadata/annotations"),
            set: owners.find_map(|owner| owner["name"].as_str()).unwrap_or_default().to_owned(),
            created: text(object, "/metadata/creationTimestamp").parse().unwrap_or_default(),
            ready_since: ready
                .map(|condition| text(condition, "/lastTransitionTime").parse().unwrap_or_default()),
            leaving: ended || at(object, "/metadata/deletionTimestamp").is_some(),
        }
    }
}

/// The owner reference that makes `rollout` the controller of an object.
#[must_use]
pub fn owner_reference(rollout: &Rollout) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Rollout",
        "name": rollout.metadata.name,
        "uid": rollout.metadata.uid,
        "controller": true,
        "blockOwnerDeletion": true,
    })
}

/// The uid of the owner that controls an object.
fn controller(object: &Value) -> Option<String> {
    let owners = at(object, "/metadata/ownerReferences")?.as_array()?;
    let controller = owners.iter().find(|owner| owner["controller"] == json!(true))?;
    Some(controller["uid"].as_str()?.to_owned())
}

fn text(object: &Value, pointer: &str) -> String {
    at(object, pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn int(object: &Value, pointer: &str) -> i64 {
    at(object, pointer).and_then(Value::as_i64).unwrap_or(0)
}

fn clamp(number: i64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn map<T: FromIterator<(String, String)>>(object: &Value, pointer: &str) -> T {
    let entries = at(object, pointer).and_then(Value::as_object).into_iter().flatten();
    entries.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
