//! How well an object is, kind by kind, as Argo CD judges.
//!
//! Input: a live object. Output: a verdict and why, or nothing for kinds without a check; those do not
//! count.

mod autoscale;
mod delivery;
mod network;
mod operator;
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

/// The finalizer by which a hook's outcome is kept readable while somebody deletes it.
const HOOK_FINALIZER: &str = "argocd.argoproj.io/hook-finalizer";

/// Judges one live object.
#[must_use]
pub fn of(object: &Value) -> Option<Health> {
    let keeps_outcome =
        || list(object, "/metadata/finalizers").iter().any(|finalizer| finalizer == HOOK_FINALIZER);
    if is_going(object) && !keeps_outcome() {
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
        ("batch", "CronJob") => Some(workload::cron_job(object)),
        ("", "Service") => Some(network::service(object)),
        ("networking.k8s.io" | "extensions", "Ingress") => Some(network::ingress(object)),
        ("", "PersistentVolumeClaim") => Some(claim(object)),
        ("autoscaling", "HorizontalPodAutoscaler") => Some(autoscale::autoscaler(object)),
        ("apiregistration.k8s.io", "APIService") => Some(api_service(object)),
        ("argoproj.io", kind) => delivery::of(kind, object),
        (group, kind) => of_others(group, kind, object),
    }
}

/// Judges objects of kinds that are neither Kubernetes' nor Argo's own.
fn of_others(group: &str, kind: &str, object: &Value) -> Option<Health> {
    match (group, kind) {
        ("gateway.networking.k8s.io", "Gateway") => Some(network::gateway(object)),
        ("gateway.networking.k8s.io", "HTTPRoute" | "GRPCRoute" | "TLSRoute") => {
            Some(network::gateway_route(object))
        }
        ("route.openshift.io", "Route") => Some(network::openshift_route(object)),
        ("apps.openshift.io", "DeploymentConfig") => Some(operator::deployment_config(object)),
        ("apiextensions.k8s.io", "CustomResourceDefinition") => Some(operator::definition(object)),
        ("external-secrets.io", "ExternalSecret") => Some(operator::external_secret(object)),
        (
            "external-secrets.io",
            "SecretStore" | "ClusterSecretStore" | "ClusterExternalSecret" | "PushSecret",
        ) => Some(operator::secret_store(object)),
        ("bitnami.com", "SealedSecret") => Some(operator::sealed_secret(object)),
        ("cert-manager.io", "Certificate") => Some(operator::certificate(object)),
        ("cert-manager.io", "Issuer" | "ClusterIssuer") => Some(operator::issuer(object)),
        ("flagger.app", "Canary") => Some(operator::flagger_canary(object)),
        (
            "source.toolkit.fluxcd.io",
            "GitRepository" | "OCIRepository" | "HelmRepository" | "HelmChart" | "Bucket",
        )
        | ("kustomize.toolkit.fluxcd.io", "Kustomization")
        | ("helm.toolkit.fluxcd.io", "HelmRelease") => Some(operator::flux(object, group)),
        _ => None,
    }
}

/// Whether a verdict counts for the Application's: a Job that somebody suspended is as it should be.
pub(super) fn aggregated(key: &Key, health: &Health) -> HealthCode {
    let is_job = key.group == "batch" && key.kind == "Job";
    if is_job && health.code == HealthCode::Suspended { HealthCode::Healthy } else { health.code }
}

/// Judges one live object, unless it asks not to be judged.
pub(super) fn judged(object: &Value) -> Option<Health> {
    if is_ignored(object) { None } else { of(object) }
}

/// Whether an object asks not to be judged.
fn is_ignored(object: &Value) -> bool {
    annotation(object, "argocd.argoproj.io/ignore-healthcheck") == Some("true")
}

/// One condition of an object's status.
fn condition<'a>(object: &'a Value, type_: &str) -> Option<&'a Value> {
    list(object, "/status/conditions").iter().find(|condition| text(condition, "/type") == type_)
}

fn is_true(condition: &Value) -> bool {
    text(condition, "/status") == "True"
}

fn claim(object: &Value) -> Health {
    match text(object, "/status/phase") {
        "Lost" => degraded(""),
        "Pending" => progressing(""),
        "Bound" => healthy(),
        _ => verdict(HealthCode::Unknown, ""),
    }
}

fn api_service(object: &Value) -> Health {
    let Some(condition) = condition(object, "Available") else {
        return progressing("Waiting to be processed");
    };
    let message = format!("{}: {}", text(condition, "/reason"), text(condition, "/message"));
    if is_true(condition) { verdict(HealthCode::Healthy, message) } else { progressing(message) }
}

#[cfg(test)]
mod tests;
