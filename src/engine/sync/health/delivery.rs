//! The health of Argo's own kinds.

use serde_json::Value;
use tidegate_api::source::HealthCode;

use super::super::object::{annotation, number, text};
use super::{Health, condition, degraded, healthy, is_true, progressing, verdict};

/// A Rollout is as its phase says, once its controller has seen the spec.
pub(super) fn rollout(object: &Value) -> Health {
    if !is_observed(object) {
        return progressing("Waiting for rollout spec update to be observed");
    }
    let message = text(object, "/status/message");
    match text(object, "/status/phase") {
        "Paused" => verdict(HealthCode::Suspended, message),
        "Healthy" => verdict(HealthCode::Healthy, message),
        "Degraded" => degraded(message),
        "Progressing" => progressing(message),
        _ => by_conditions(object),
    }
}

/// Whether the status is about the present spec. `observedGeneration` is a text; versions before 0.10 wrote
/// a hash there, which counts as observed.
fn is_observed(object: &Value) -> bool {
    let Some(status) = object.get("status") else { return false };
    let generation = number(object, "/metadata/generation").unwrap_or(0);
    let observed = text(status, "/observedGeneration").parse::<i64>().ok();
    if observed.is_some_and(|observed| observed < generation) {
        return false;
    }
    if object.pointer("/spec/workloadRef").is_none_or(Value::is_null) {
        return true;
    }
    let workload =
        annotation(object, "rollout.argoproj.io/workload-generation").and_then(|g| g.parse::<i64>().ok());
    let seen = text(status, "/workloadObservedGeneration").parse::<i64>().ok();
    match (workload, seen) {
        (Some(workload), Some(seen)) => workload == seen,
        (Some(_) | None, Some(_) | None) => true,
    }
}

/// How Rollouts without a phase (before 1.0) are judged.
fn by_conditions(object: &Value) -> Health {
    if let Some(invalid) = condition(object, "InvalidSpec").filter(|c| is_true(c)) {
        return degraded(text(invalid, "/message"));
    }
    let Some(progress) = condition(object, "Progressing") else {
        return progressing("Waiting for rollout to finish");
    };
    match text(progress, "/reason") {
        "RolloutAborted" | "ProgressDeadlineExceeded" => degraded(text(progress, "/message")),
        "RolloutPaused" => verdict(HealthCode::Suspended, "Rollout is paused"),
        _ if condition(object, "Available").is_some_and(is_true)
            && text(progress, "/reason") == "NewReplicaSetAvailable" =>
        {
            healthy()
        }
        _ => progressing("Waiting for rollout to finish"),
    }
}

/// An AnalysisRun or Experiment is as its phase says.
pub(super) fn run(object: &Value) -> Health {
    let message = text(object, "/status/message");
    match text(object, "/status/phase") {
        "Successful" => verdict(HealthCode::Healthy, message),
        "Failed" | "Error" => degraded(message),
        "Inconclusive" => verdict(HealthCode::Unknown, message),
        _ => progressing(message),
    }
}

/// An Application hands on its own health; one that is Missing or Unknown does not count. Upstream has no
/// such check built in, but tells operators to add exactly this one.
pub(super) fn application(object: &Value) -> Option<Health> {
    let code = object.pointer("/status/health/status").cloned()?;
    let code: HealthCode = serde_json::from_value(code).ok()?;
    let counts = !matches!(code, HealthCode::Missing | HealthCode::Unknown);
    counts.then(|| verdict(code, text(object, "/status/health/message")))
}
