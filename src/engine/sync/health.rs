//! How well an object is, kind by kind, as Argo CD judges.
//!
//! Input: a live object. Output: a verdict and why, or nothing for kinds without a check; those do not
//! count.

mod delivery;
mod workload;

use serde_json::Value;
use tidegate_api::source::HealthCode;

use super::object::{Key, annotation, is_going, list, text};

/// A verdict and why.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Health {
    /// The verdict.
    pub code: HealthCode,
    /// Why; may be empty.
    pub message: String,
}

/// A verdict.
fn verdict(code: HealthCode, message: impl Into<String>) -> Health {
    Health { code, message: message.into() }
}

fn healthy() -> Health {
    verdict(HealthCode::Healthy, "")
}

fn progressing(message: impl Into<String>) -> Health {
    verdict(HealthCode::Progressing, message)
}

fn degraded(message: impl Into<String>) -> Health {
    verdict(HealthCode::Degraded, message)
}

/// Judges one live object.
#[must_use]
pub fn of(object: &Value) -> Option<Health> {
    if is_going(object) {
        return Some(progressing("Pending deletion"));
    }
    let key = Key::of(object);
    match (key.group.as_str(), key.kind.as_str()) {
        ("apps", "Deployment") => Some(workload::deployment(object)),
        ("apps", "StatefulSet") => Some(workload::stateful_set(object)),
        ("apps", "ReplicaSet") => Some(workload::replica_set(object)),
        ("apps", "DaemonSet") => Some(workload::daemon_set(object)),
        ("", "Pod") => Some(workload::pod(object)),
        ("batch", "Job") => Some(workload::job(object)),
        ("", "Service") => Some(service(object)),
        ("networking.k8s.io" | "extensions", "Ingress") => Some(ingress(object)),
        ("", "PersistentVolumeClaim") => Some(claim(object)),
        ("autoscaling", "HorizontalPodAutoscaler") => Some(autoscaler(object)),
        ("apiregistration.k8s.io", "APIService") => Some(api_service(object)),
        ("argoproj.io", "Rollout") => Some(delivery::rollout(object)),
        ("argoproj.io", "AnalysisRun" | "Experiment") => Some(delivery::run(object)),
        ("argoproj.io", "Application") => delivery::application(object),
        _ => None,
    }
}

/// Whether an object asks not to be judged.
pub(super) fn is_ignored(object: &Value) -> bool {
    annotation(object, "argocd.argoproj.io/ignore-healthcheck") == Some("true")
}

/// One condition of an object's status.
fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|condition| text(condition, "/type") == type_)
}

fn is_true(condition: &Value) -> bool {
    text(condition, "/status") == "True"
}

fn service(object: &Value) -> Health {
    if text(object, "/spec/type") == "LoadBalancer" { ingress(object) } else { healthy() }
}

fn ingress(object: &Value) -> Health {
    if list(object, "/status/loadBalancer/ingress").is_empty() { progressing("") } else { healthy() }
}

fn claim(object: &Value) -> Health {
    match text(object, "/status/phase") {
        "Lost" => degraded(""),
        "Pending" => progressing(""),
        "Bound" => healthy(),
        _ => verdict(HealthCode::Unknown, ""),
    }
}

fn autoscaler(object: &Value) -> Health {
    const BROKEN: [(&str, &str); 8] = [
        ("AbleToScale", "FailedGetScale"),
        ("AbleToScale", "FailedUpdateScale"),
        ("ScalingActive", "FailedGetResourceMetric"),
        ("ScalingActive", "FailedGetObjectMetric"),
        ("ScalingActive", "FailedGetPodsMetric"),
        ("ScalingActive", "FailedGetExternalMetric"),
        ("ScalingActive", "FailedComputeMetricsReplicas"),
        ("ScalingActive", "InvalidSelector"),
    ];
    let conditions = list(object, "/status/conditions");
    let broken = conditions.iter().find(|condition| {
        BROKEN.contains(&(text(condition, "/type"), text(condition, "/reason"))) && !is_true(condition)
    });
    if let Some(condition) = broken {
        return degraded(text(condition, "/message"));
    }
    let able = ["AbleToScale", "ScalingLimited"]
        .iter()
        .find_map(|type_| condition(object, type_).filter(|c| is_true(c)));
    able.map_or_else(
        || progressing("Waiting to Autoscale"),
        |c| verdict(HealthCode::Healthy, text(c, "/message")),
    )
}

fn api_service(object: &Value) -> Health {
    match condition(object, "Available") {
        Some(condition) if is_true(condition) => verdict(HealthCode::Healthy, text(condition, "/message")),
        Some(condition) => progressing(text(condition, "/message")),
        None => progressing("Waiting to be processed"),
    }
}

#[cfg(test)]
mod tests;
