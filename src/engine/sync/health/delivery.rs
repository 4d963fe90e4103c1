//! The health of Argo's own kinds.

use serde_json::Value;
use tidegate_api::source::HealthCode;

use super::super::object::{annotation, list, number, text};
use super::{Health, condition, degraded, healthy, is_true, progressing, verdict};

/// Judges an object of Argo's group.
pub(super) fn of(kind: &str, object: &Value) -> Option<Health> {
    match kind {
        "Rollout" => Some(rollout(object)),
        "AnalysisRun" => Some(analysis_run(object)),
        "Experiment" => Some(experiment(object)),
        "Application" => application(object),
        "ApplicationSet" => Some(application_set(object)),
        "Workflow" => Some(workflow(object)),
        "CronWorkflow" => Some(cron_workflow(object)),
        _ => None,
    }
}

/// A Rollout is as its phase says, once its controller has seen the spec.
fn rollout(object: &Value) -> Health {
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

/// An AnalysisRun is as its phase says.
fn analysis_run(object: &Value) -> Health {
    let or = |otherwise: &'static str| match text(object, "/status/message") {
        "" => otherwise.to_owned(),
        message => message.to_owned(),
    };
    match text(object, "/status/phase") {
        "Pending" | "Running" => progressing("Analysis run is running"),
        "Successful" => verdict(HealthCode::Healthy, or("Analysis run completed successfully")),
        "Failed" => degraded(or("Analysis run failed")),
        "Error" => degraded(or("Analysis run had an error")),
        "Inconclusive" => verdict(HealthCode::Unknown, or("Analysis run was inconclusive")),
        _ => progressing("Waiting for analysis run to finish: status has not been reconciled."),
    }
}

/// An Experiment is as its phase says.
fn experiment(object: &Value) -> Health {
    match text(object, "/status/phase") {
        "Pending" => progressing("Experiment is pending"),
        "Running" => progressing("Experiment is running"),
        "Successful" => verdict(HealthCode::Healthy, "Experiment is successful"),
        "Failed" => degraded("Experiment has failed"),
        "Error" => degraded("Experiment had an error"),
        "Inconclusive" => verdict(HealthCode::Unknown, text(object, "/status/message")),
        _ => progressing("Waiting for experiment to finish: status has not been reconciled."),
    }
}

/// The worst that its conditions say; trouble first, then work.
fn application_set(object: &Value) -> Health {
    let said = |type_: &str, status: &str| {
        condition(object, type_).filter(|c| text(c, "/status") == status).map(|c| text(c, "/message"))
    };
    if let Some(message) = said("ErrorOccurred", "True").or_else(|| said("ResourcesUpToDate", "False")) {
        return degraded(message);
    }
    if let Some(message) = said("RolloutProgressing", "True") {
        return progressing(message);
    }
    match said("ResourcesUpToDate", "True") {
        Some(message) => verdict(HealthCode::Healthy, message),
        None => progressing("Waiting for the status to be reported"),
    }
}

/// A Workflow is as its phase says.
fn workflow(object: &Value) -> Health {
    let message = text(object, "/status/message");
    match text(object, "/status/phase") {
        "" | "Pending" | "Running" => progressing(message),
        "Succeeded" => verdict(HealthCode::Healthy, message),
        "Failed" | "Error" => degraded(message),
        _ => verdict(HealthCode::Unknown, message),
    }
}

/// A CronWorkflow is well unless one of its conditions says otherwise; the first that says something decides.
fn cron_workflow(object: &Value) -> Health {
    let conditions = list(object, "/status/conditions").iter().filter(|c| is_true(c));
    let mut said = conditions.filter_map(|condition| match text(condition, "/type") {
        "SpecError" | "SubmissionError" => Some(degraded(text(condition, "/message"))),
        "Completed" => Some(verdict(HealthCode::Healthy, text(condition, "/message"))),
        _ => None,
    });
    said.next().unwrap_or_else(|| verdict(HealthCode::Healthy, "CronWorkflow is healthy."))
}

/// An Application hands on its own health; one that is Missing or Unknown does not count. Upstream has no
/// such check built in, but tells operators to add exactly this one.
fn application(object: &Value) -> Option<Health> {
    let code = object.pointer("/status/health/status").cloned()?;
    let code: HealthCode = serde_json::from_value(code).ok()?;
    let counts = !matches!(code, HealthCode::Missing | HealthCode::Unknown);
    counts.then(|| verdict(code, text(object, "/status/health/message")))
}
