//! The workload that a Rollout takes its pod template from, and how it makes room for the Rollout's pods.
//!
//! Input: a Rollout with `spec.workloadRef` and the object that it names. Output: the Rollout as if it held the template
//! itself, or why it cannot be had; writes that note the generation and scale a Deployment down. The template is never
//! written into the Rollout.

use std::collections::BTreeMap;
use std::sync::Arc;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;
use tidegate_api::raw::PodTemplate;
use tidegate_api::rollout::{ObjectRef, Rollout, RolloutPhase};
use tidegate_api::valid::{FieldError, FieldErrorKind, ScaleDown, scale_down};

use super::core::Core;
use super::restart;
use super::world::{Parsed, World};
use crate::at::at;
use crate::plan::{Because, Move, Plan, Reference, Write};

/// The generation of the workload whose template a Rollout has taken up.
pub const WORKLOAD_GENERATION: &str = "rollout.argoproj.io/workload-generation";

/// Kinds that hold a pod template to refer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WorkloadKind {
    Deployment,
    ReplicaSet,
    PodTemplate,
}

impl WorkloadKind {
    /// Every kind there is.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::ReplicaSet, Self::PodTemplate];

    /// The kind that a reference names, if it can be referred to.
    #[must_use]
    pub fn of(reference: &ObjectRef) -> Option<Self> {
        let (group, kind) = group_and_kind(reference);
        match (group, kind) {
            ("apps", "Deployment") => Some(Self::Deployment),
            ("apps", "ReplicaSet") => Some(Self::ReplicaSet),
            ("", "PodTemplate") => Some(Self::PodTemplate),
            _ => None,
        }
    }

    /// Names an object of the kind.
    #[must_use]
    pub fn reference(self, name: &str) -> Reference {
        match self {
            Self::Deployment => Reference::new("apps/v1", "Deployment", name),
            Self::ReplicaSet => Reference::new("apps/v1", "ReplicaSet", name),
            Self::PodTemplate => Reference::new("v1", "PodTemplate", name),
        }
    }

    /// What Kubernetes calls the kind in errors.
    fn resource(self) -> &'static str {
        match self {
            Self::Deployment => "deployments.apps",
            Self::ReplicaSet => "replicasets.apps",
            Self::PodTemplate => "podtemplates",
        }
    }
}

fn group_and_kind(reference: &ObjectRef) -> (&str, &str) {
    let api_version = reference.api_version.as_deref().unwrap_or_default();
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    (group, reference.kind.as_deref().unwrap_or_default())
}

/// An object with a pod template, as far as a Rollout needs it.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    pub kind: WorkloadKind,
    pub name: String,
    pub uid: String,
    pub generation: i64,
    /// `spec.replicas`; 0 for what has no pods.
    pub replicas: i32,
    pub selector: Option<LabelSelector>,
    pub template: Value,
}

impl Workload {
    /// Reads a workload from its JSON; absent or malformed fields count as empty.
    #[must_use]
    pub fn parse(kind: WorkloadKind, object: &Value) -> Self {
        let text = |pointer: &str| at(object, pointer).and_then(Value::as_str).unwrap_or_default();
        let (template, selector) = match kind {
            WorkloadKind::Deployment | WorkloadKind::ReplicaSet => {
                (at(object, "/spec/template"), at(object, "/spec/selector"))
            }
            WorkloadKind::PodTemplate => (object.get("template"), None),
        };
        let replicas = at(object, "/spec/replicas").and_then(Value::as_i64);
        let default = i64::from(kind != WorkloadKind::PodTemplate);
        Self {
            kind,
            name: text("/metadata/name").to_owned(),
            uid: text("/metadata/uid").to_owned(),
            generation: at(object, "/metadata/generation").and_then(Value::as_i64).unwrap_or(0),
            replicas: i32::try_from(replicas.unwrap_or(default)).unwrap_or(i32::MAX),
            selector: selector.and_then(|selector| serde_json::from_value(selector.clone()).ok()),
            template: template.cloned().unwrap_or(Value::Null),
        }
    }
}

/// The Rollout with the template and the selector of its workload in their places; as it is where it holds its own, or
/// where they cannot be had.
#[must_use]
pub fn resolved(rollout: &Arc<Rollout>, workload: Option<&Workload>) -> Arc<Rollout> {
    let Some(workload) = workload.filter(|_| unresolved(rollout, workload, None).is_none()) else {
        return Arc::clone(rollout);
    };
    let mut resolved = (**rollout).clone();
    resolved.spec.template = PodTemplate(workload.template.clone().into());
    if resolved.spec.selector.is_none() {
        resolved.spec.selector.clone_from(&workload.selector);
    }
    Arc::new(resolved)
}

/// Parses a Rollout together with its workload: what [`resolved`] gives is what counts. `unread` says why workloads of
/// that kind cannot be read, where that is so.
#[must_use]
pub fn parsed(rollout: &Arc<Rollout>, workload: Option<&Workload>, unread: Option<&str>) -> Parsed {
    if rollout.spec.workload_ref.is_none() {
        return Parsed::new(rollout);
    }
    match unresolved(rollout, workload, unread) {
        None => Parsed::with_template_of_workload(&resolved(rollout, workload)),
        Some(why) => {
            let error = FieldError {
                path: String::new(),
                kind: FieldErrorKind::Unresolved,
                value: None,
                detail: why,
            };
            Parsed { valid: Err(vec![error]), ..Parsed::new(rollout) }
        }
    }
}

/// Why the template cannot be had, in the words of Argo Rollouts.
fn unresolved(rollout: &Rollout, workload: Option<&Workload>, unread: Option<&str>) -> Option<String> {
    let reference = rollout.spec.workload_ref.as_ref()?;
    let own = &rollout.spec.template;
    if !own.metadata("labels").is_empty() || !own.metadata("annotations").is_empty() {
        return Some("template must be empty for workload reference rollout".to_owned());
    }
    let Some(kind) = WorkloadKind::of(reference) else {
        let (group, kind) = group_and_kind(reference);
        return Some(format!("workload of type {group}/{kind} is not supported"));
    };
    let namespace = rollout.metadata.namespace.as_deref().unwrap_or_default();
    let name = reference.name.as_deref().unwrap_or_default();
    let what = format!("{} \"{namespace}/{name}\"", kind.resource());
    workload.is_none().then(|| match unread {
        None => format!("{what} not found"),
        Some(why) => format!("{what} cannot be read: {why}"),
    })
}

/// What of the generation the status is to show; empty without a workload.
pub(crate) fn observed_generation(world: &World) -> String {
    world.workload.as_ref().map(|workload| workload.generation.to_string()).unwrap_or_default()
}

/// Notes on the Rollout which generation of its workload is in use, for clients that wait for it.
pub(crate) fn annotate(world: &World, plan: &mut Plan) {
    let Some(workload) = &world.workload else { return };
    let generation = workload.generation.to_string();
    let annotations = world.rollout.metadata.annotations.as_ref();
    if annotations.and_then(|annotations| annotations.get(WORKLOAD_GENERATION)) != Some(&generation) {
        let annotations = BTreeMap::from([(WORKLOAD_GENERATION.to_owned(), generation)]);
        plan.push(Write::AnnotateRollout { annotations }, Because::Moves(Move::Bookkeeping));
    }
}

/// Scales the referenced Deployment down as the Rollout's own pods become available, in its first revision only.
///
/// `available` are the pods of the first revision that are available and stay. With 5 replicas, of which 2 are
/// available, `progressively` leaves 3 pods of the Deployment; `onsuccess` leaves all until the Rollout is Healthy.
pub(crate) fn make_room(facts: &Core<'_>, plan: &mut Plan) {
    let (Some(workload), Some(new)) = (&facts.world.workload, facts.new) else { return };
    let Some(reference) = &facts.rollout.spec.workload_ref else { return };
    if workload.kind != WorkloadKind::Deployment || new.revision() != 1 {
        return;
    }
    let wanted = facts.replicas;
    let available = restart::staying(facts, new);
    let rest = wanted.saturating_sub(available).max(0);
    let is_healthy = facts.status.phase == Some(RolloutPhase::Healthy) && rest == 0;
    let to = match scale_down(reference) {
        ScaleDown::Never => return,
        ScaleDown::OnSuccess if is_healthy => 0,
        ScaleDown::OnSuccess => return,
        ScaleDown::Progressively if is_healthy => 0,
        // Nobody has said yet how many pods the new ones replace.
        ScaleDown::Progressively if available == 0 => return,
        ScaleDown::Progressively => rest,
    };
    // Never up: whoever has scaled it down by hand wanted that. Pods that are lost come back in their ReplicaSet, whose
    // template is the Deployment's; and an abort takes none of the first revision, which is the stable one.
    if to < workload.replicas {
        let (name, uid, from) = (workload.name.clone(), workload.uid.clone(), workload.replicas);
        let because = Because::Moves(Move::WorkloadMakesRoom { available, of: wanted });
        plan.push(Write::ScaleWorkload { name, uid, from, to }, because);
    }
}

#[cfg(test)]
mod tests;
