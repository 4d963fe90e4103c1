//! The health of what runs containers.

use serde_json::Value;
use tidegate_api::source::HealthCode;

use super::super::object::{annotation, list, number, text};
use super::{Health, condition, degraded, healthy, is_true, progressing, verdict};

fn count(object: &Value, pointer: &str) -> i64 {
    number(object, pointer).unwrap_or(0)
}

/// Whether the controller has seen the present spec.
fn is_observed(object: &Value) -> bool {
    count(object, "/metadata/generation") <= count(object, "/status/observedGeneration")
}

pub(super) fn deployment(object: &Value) -> Health {
    if object.pointer("/spec/paused") == Some(&Value::Bool(true)) {
        return verdict(HealthCode::Suspended, "Deployment is paused");
    }
    if !is_observed(object) {
        return progressing(
            "Waiting for rollout to finish: observed deployment generation less than desired generation",
        );
    }
    let deadline = condition(object, "Progressing").map(|progress| text(progress, "/reason"));
    if deadline == Some("ProgressDeadlineExceeded") {
        let name = text(object, "/metadata/name");
        return degraded(format!("Deployment {name:?} exceeded its progress deadline"));
    }
    let (replicas, updated) = (count(object, "/status/replicas"), count(object, "/status/updatedReplicas"));
    let available = count(object, "/status/availableReplicas");
    let wanted = number(object, "/spec/replicas");
    if let Some(wanted) = wanted.filter(|wanted| updated < *wanted) {
        return progressing(format!(
            "Waiting for rollout to finish: {updated} out of {wanted} new replicas have been updated..."
        ));
    }
    if replicas > updated {
        let old = replicas - updated;
        return progressing(format!(
            "Waiting for rollout to finish: {old} old replicas are pending termination..."
        ));
    }
    if available < updated {
        return progressing(format!(
            "Waiting for rollout to finish: {available} of {updated} updated replicas are available..."
        ));
    }
    healthy()
}

pub(super) fn stateful_set(object: &Value) -> Health {
    let observed = count(object, "/status/observedGeneration");
    if observed == 0 || count(object, "/metadata/generation") > observed {
        return progressing("Waiting for statefulset spec update to be observed...");
    }
    let wanted = number(object, "/spec/replicas");
    let ready = count(object, "/status/readyReplicas");
    if let Some(missing) = wanted.map(|wanted| wanted - ready).filter(|missing| *missing > 0) {
        return progressing(format!("Waiting for {missing} pods to be ready..."));
    }
    let strategy = text(object, "/spec/updateStrategy/type");
    if strategy == "OnDelete" {
        return verdict(HealthCode::Healthy, format!("statefulset has {ready} ready pods"));
    }
    if strategy == "RollingUpdate"
        && object.pointer("/spec/updateStrategy/rollingUpdate").is_some_and(|u| !u.is_null())
    {
        let partition = count(object, "/spec/updateStrategy/rollingUpdate/partition");
        let updated = count(object, "/status/updatedReplicas");
        let due = wanted.unwrap_or(1) - partition;
        if updated < due {
            return progressing(format!(
                "Waiting for partitioned roll out to finish: {updated} out of {due} new pods have been updated..."
            ));
        }
        return verdict(
            HealthCode::Healthy,
            format!("partitioned roll out complete: {updated} new pods have been updated..."),
        );
    }
    if text(object, "/status/updateRevision") != text(object, "/status/currentRevision") {
        let updated = count(object, "/status/updatedReplicas");
        let revision = text(object, "/status/updateRevision");
        return progressing(format!(
            "waiting for statefulset rolling update to complete {updated} pods at revision {revision}..."
        ));
    }
    let current = count(object, "/status/currentReplicas");
    let revision = text(object, "/status/currentRevision");
    verdict(
        HealthCode::Healthy,
        format!("statefulset rolling update complete {current} pods at revision {revision}..."),
    )
}

pub(super) fn replica_set(object: &Value) -> Health {
    if !is_observed(object) {
        return progressing(
            "Waiting for rollout to finish: observed replica set generation less than desired generation",
        );
    }
    if let Some(failure) = condition(object, "ReplicaFailure").filter(|c| is_true(c)) {
        return degraded(text(failure, "/message"));
    }
    let available = count(object, "/status/availableReplicas");
    match number(object, "/spec/replicas") {
        Some(wanted) if available < wanted => progressing(format!(
            "Waiting for rollout to finish: {available} out of {wanted} new replicas are available..."
        )),
        Some(_) | None => healthy(),
    }
}

pub(super) fn daemon_set(object: &Value) -> Health {
    if !is_observed(object) {
        return progressing(
            "Waiting for rollout to finish: observed daemon set generation less than desired generation",
        );
    }
    let (updated, wanted) =
        (count(object, "/status/updatedNumberScheduled"), count(object, "/status/desiredNumberScheduled"));
    if text(object, "/spec/updateStrategy/type") == "OnDelete" {
        return verdict(
            HealthCode::Healthy,
            format!("daemon set {updated} out of {wanted} new pods have been updated"),
        );
    }
    let name = text(object, "/metadata/name");
    let available = count(object, "/status/numberAvailable");
    if updated < wanted {
        return progressing(format!(
            "Waiting for daemon set {name:?} rollout to finish: {updated} out of {wanted} new pods have been updated..."
        ));
    }
    if available < wanted {
        return progressing(format!(
            "Waiting for daemon set {name:?} rollout to finish: {available} of {wanted} updated pods are available..."
        ));
    }
    healthy()
}

pub(super) fn job(object: &Value) -> Health {
    let of = |type_: &str| condition(object, type_).filter(|c| is_true(c));
    if let Some(failed) = of("Failed") {
        return degraded(text(failed, "/message"));
    }
    if let Some(suspended) = of("Suspended") {
        return verdict(HealthCode::Suspended, text(suspended, "/message"));
    }
    match of("Complete") {
        Some(complete) => verdict(HealthCode::Healthy, text(complete, "/message")),
        None => progressing(""),
    }
}

/// A CronJob is judged by its last run, as far as its status tells of one.
pub(super) fn cron_job(object: &Value) -> Health {
    if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return verdict(HealthCode::Suspended, "CronJob is Suspended");
    }
    let Some(status) = object.get("status").filter(|status| !status.is_null()) else {
        return progressing("Waiting for CronJob");
    };
    let well = |message: &str| verdict(HealthCode::Healthy, message);
    let (begun, done) = (text(status, "/lastScheduleTime"), text(status, "/lastSuccessfulTime"));
    // Nothing tells a run that is late from one that never was, so both count as well.
    if begun.is_empty() {
        well("CronJob has not been scheduled yet")
    } else if done.is_empty() {
        well("The Cronjob never completed successfully. It may not be healthy")
    } else if !list(status, "/active").is_empty() {
        well("The job is running. Its last execution may not have been successful")
    } else if done < begun {
        degraded("CronJob has not completed its last execution successfully")
    } else {
        well("CronJob has completed its last execution successfully")
    }
}

pub(super) fn pod(object: &Value) -> Health {
    let policy = text(object, "/spec/restartPolicy");
    let is_hook = annotation(object, "argocd.argoproj.io/hook").is_some_and(|hook| !hook.is_empty())
        || annotation(object, "helm.sh/hook").is_some_and(|hook| !hook.is_empty());
    let waits_for_ever =
        !is_hook && annotation(object, "argocd.argoproj.io/ignore-restart-policy") == Some("true");
    if (policy == "Always" || waits_for_ever)
        && let Some(trouble) = stuck_containers(object)
    {
        return degraded(trouble);
    }
    let message = text(object, "/status/message");
    match text(object, "/status/phase") {
        "Pending" => progressing(message),
        "Succeeded" => verdict(HealthCode::Healthy, message),
        "Failed" => degraded(if message.is_empty() { failure(object) } else { message.to_owned() }),
        "Running" => running_pod(object, policy),
        _ => verdict(HealthCode::Unknown, message),
    }
}

fn containers(object: &Value) -> impl Iterator<Item = &Value> {
    list(object, "/status/initContainerStatuses").iter().chain(list(object, "/status/containerStatuses"))
}

/// Why containers that should run for ever do not start.
fn stuck_containers(object: &Value) -> Option<String> {
    let waiting = list(object, "/status/containerStatuses").iter();
    let stuck = waiting.filter_map(|container| container.pointer("/state/waiting")).filter(|waiting| {
        let reason = text(waiting, "/reason");
        reason.starts_with("Err") || reason.ends_with("Error") || reason.ends_with("BackOff")
    });
    let messages: Vec<&str> = stuck.map(|waiting| text(waiting, "/message")).collect();
    (!messages.is_empty()).then(|| messages.join(", "))
}

/// Why a pod failed, by its first container that did.
fn failure(object: &Value) -> String {
    for container in containers(object) {
        let Some(ended) = container.pointer("/state/terminated") else { continue };
        let name = text(container, "/name");
        let message = text(ended, "/message");
        if !message.is_empty() {
            return message.to_owned();
        }
        if text(ended, "/reason") == "OOMKilled" {
            return "OOMKilled".to_owned();
        }
        let code = count(ended, "/exitCode");
        if code != 0 {
            return format!("container {name:?} failed with exit code {code}");
        }
    }
    String::new()
}

fn running_pod(object: &Value, policy: &str) -> Health {
    let message = text(object, "/status/message");
    if policy != "Always" {
        return progressing(message);
    }
    if condition(object, "Ready").is_some_and(is_true) {
        return verdict(HealthCode::Healthy, message);
    }
    let mut running = list(object, "/status/containerStatuses").iter();
    let ended = running.any(|container| container.pointer("/lastState/terminated").is_some());
    if ended { degraded(message) } else { progressing(message) }
}
