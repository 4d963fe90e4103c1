//! A ReplicaSet with its pods, and the role it plays in the Rollout.

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tidegate_api::rollout::Rollout;

use super::icon::Icon;
use super::pod::PodView;
use super::read::{annotation, condition, list, number, owned_by, text, time};
use super::rollout::Strategy;
use crate::rollout::world::{HASH_LABEL, REVISION, SCALE_DOWN_DEADLINE};

/// The template of an Experiment that a ReplicaSet belongs to.
const EXPERIMENT_TEMPLATE: &str = "experiment.argoproj.io/template-name";

/// Letters of a trouble in a sentence; what fits into two lines of a terminal beside the rest.
const SENTENCE_MAX: usize = 120;

/// A ReplicaSet with its pods.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SetView {
    pub name: String,
    pub created: Option<Timestamp>,
    pub revision: i64,
    pub status: SetHealth,
    pub icon: Icon,
    /// Roles: stable, canary, active, preview, ping, pong; in the order in which they are shown.
    pub tags: Vec<&'static str>,
    /// Template of the Experiment that it belongs to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// When it will be scaled down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scale_down_at: Option<Timestamp>,
    /// Wanted pods.
    pub desired: i64,
    /// Pods there are.
    pub replicas: i64,
    pub available: i64,
    pub images: Vec<String>,
    /// Why pods cannot be created.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
    pub pods: Vec<PodView>,
}

/// How a ReplicaSet is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum SetHealth {
    Healthy,
    Progressing,
    ScaledDown,
    ReplicaFailure,
}

impl SetHealth {
    /// Returns the word that is shown.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Healthy => "Healthy",
            Self::Progressing => "Progressing",
            Self::ScaledDown => "ScaledDown",
            Self::ReplicaFailure => "ReplicaFailure",
        }
    }

    fn icon(self) -> Icon {
        match self {
            Self::Healthy => Icon::Good,
            Self::Progressing => Icon::Progressing,
            Self::ScaledDown => Icon::Neutral,
            Self::ReplicaFailure => Icon::Bad,
        }
    }

    fn of(set: &Value) -> Self {
        let desired = number(set, "/spec/replicas");
        if number(set, "/metadata/generation") > number(set, "/status/observedGeneration") {
            Self::Progressing
        } else if condition(set, "ReplicaFailure", "True").is_some() {
            Self::ReplicaFailure
        } else if number(set, "/status/availableReplicas") < desired {
            Self::Progressing
        } else if desired == 0 {
            Self::ScaledDown
        } else {
            Self::Healthy
        }
    }
}

/// Sums up the ReplicaSets that belong to `owner`, newest revision first; a Rollout gives them roles.
pub(crate) fn sets(owner: &str, rollout: Option<&Rollout>, sets: &[Value], pods: &[Value]) -> Vec<SetView> {
    let mut views: Vec<SetView> = sets
        .iter()
        .filter(|set| owned_by(set, owner))
        .map(|set| SetView::new(set, rollout.map(|rollout| tags(rollout, set)).unwrap_or_default(), pods))
        .collect();
    views.sort_by(|a, b| b.revision.cmp(&a.revision).then_with(|| a.name.cmp(&b.name)));
    views
}

impl SetView {
    fn new(set: &Value, tags: Vec<&'static str>, pods: &[Value]) -> Self {
        let uid = text(set, "/metadata/uid");
        let mut pods: Vec<PodView> = pods.iter().filter(|pod| owned_by(pod, uid)).map(PodView::new).collect();
        pods.sort_by(|a, b| a.created.cmp(&b.created).then_with(|| a.name.cmp(&b.name)));
        let status = SetHealth::of(set);
        Self {
            name: text(set, "/metadata/name").to_owned(),
            created: time(set, "/metadata/creationTimestamp"),
            revision: annotation(set, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0),
            status,
            icon: status.icon(),
            tags,
            template: annotation(set, EXPERIMENT_TEMPLATE).map(str::to_owned),
            scale_down_at: annotation(set, SCALE_DOWN_DEADLINE).and_then(|text| text.parse().ok()),
            desired: number(set, "/spec/replicas"),
            replicas: number(set, "/status/replicas"),
            available: number(set, "/status/availableReplicas"),
            images: list(set, "/spec/template/spec/containers")
                .iter()
                .map(|container| text(container, "/image").to_owned())
                .collect(),
            failure: condition(set, "ReplicaFailure", "True").map(|why| text(why, "/message").to_owned()),
            pods,
        }
    }

    /// Says in a sentence what keeps the pods from becoming available: the first trouble, and how many pods have one.
    pub(crate) fn trouble(&self) -> Option<String> {
        if let Some(failure) = &self.failure {
            return Some(failure.clone());
        }
        let mut troubled = self.pods.iter().filter_map(|pod| Some((pod, pod.trouble.as_ref()?)));
        let (pod, trouble) = troubled.next()?;
        let trouble = shortened(trouble);
        match troubled.count() {
            0 => Some(format!("{}: {trouble}", pod.name)),
            more => Some(format!("{}: {trouble}; and {more} more", pod.name)),
        }
    }
}

/// Cuts a text that is too long for a sentence; kubelet's words on a failed pull have hundreds of letters.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SENTENCE_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Names the roles of a ReplicaSet.
pub(crate) fn tags(rollout: &Rollout, set: &Value) -> Vec<&'static str> {
    let hash =
        set.pointer("/metadata/labels").and_then(|labels| labels.get(HASH_LABEL)).and_then(Value::as_str);
    let (Some(hash), Some(status)) = (hash, rollout.status.as_ref()) else { return Vec::new() };
    let mut tags = Vec::new();
    let stable = status.stable_rs == hash;
    if stable {
        tags.push("stable");
    }
    match Strategy::of(rollout) {
        Strategy::Canary => {
            let canary = !stable && status.current_pod_hash == hash;
            if canary {
                tags.push("canary");
            }
            let ping_pong =
                rollout.spec.strategy.canary.as_ref().is_some_and(|canary| canary.ping_pong.is_some());
            if ping_pong && (stable || canary) {
                let stable_is_ping = status.canary.stable_ping_pong == "ping";
                tags.push(if stable == stable_is_ping { "ping" } else { "pong" });
            }
        }
        Strategy::BlueGreen => {
            if status.blue_green.active_selector == hash {
                tags.push("active");
            } else if status.blue_green.preview_selector == hash {
                tags.push("preview");
            }
        }
        Strategy::None => tags.clear(),
    }
    tags
}
