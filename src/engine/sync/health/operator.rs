//! The health of other controllers' kinds: secrets, certificates, Flux, Flagger, OpenShift, definitions.

use serde_json::Value;
use tidegate_api::source::HealthCode;

use super::super::object::{list, text};
use super::{Health, condition, degraded, is_true, progressing, verdict};

/// By one condition: `True` is well, `False` is not, anything else waits.
fn by_condition(object: &Value, type_: &str, waiting: &str) -> Health {
    let Some(condition) = condition(object, type_) else { return progressing(waiting) };
    let message = text(condition, "/message");
    match text(condition, "/status") {
        "True" => verdict(HealthCode::Healthy, message),
        "False" => degraded(message),
        _ => progressing(waiting),
    }
}

/// An ExternalSecret that is refreshed on change only is judged by what was said since its last refresh.
pub(super) fn external_secret(object: &Value) -> Health {
    let waiting = "Waiting for ExternalSecret";
    if text(object, "/spec/refreshPolicy") == "OnChange"
        && let Some(ready) = condition(object, "Ready")
        && text(ready, "/lastTransitionTime") < text(object, "/status/refreshTime")
    {
        return progressing(waiting);
    }
    by_condition(object, "Ready", waiting)
}

/// A store of secrets, or what pushes one, is as its controller says.
pub(super) fn secret_store(object: &Value) -> Health {
    by_condition(object, "Ready", &format!("Waiting for {}", text(object, "/kind")))
}

pub(super) fn sealed_secret(object: &Value) -> Health {
    by_condition(object, "Synced", "Waiting for Sealed Secret to be decrypted")
}

/// A certificate that is being issued is waited for, whatever is said of the one before.
pub(super) fn certificate(object: &Value) -> Health {
    if let Some(issuing) = condition(object, "Issuing").filter(|c| is_true(c)) {
        return progressing(text(issuing, "/message"));
    }
    by_condition(object, "Ready", "Waiting for certificate")
}

pub(super) fn issuer(object: &Value) -> Health {
    let waiting =
        if text(object, "/kind") == "Issuer" { "Initializing issuer" } else { "Initializing ClusterIssuer" };
    by_condition(object, "Ready", waiting)
}

/// Flux's kinds: two conditions say that it works on it, and one or two that it is done.
pub(super) fn flux(object: &Value, group: &str) -> Health {
    let kind = text(object, "/kind");
    if object.pointer("/spec/suspend") == Some(&Value::Bool(true)) {
        return verdict(HealthCode::Suspended, format!("{kind} is suspended"));
    }
    if kind == "HelmRepository" && text(object, "/spec/type") == "oci" {
        let message = "Helm repositories of type 'oci' do not contain any information in the status.";
        return verdict(HealthCode::Healthy, message);
    }
    let Some(conditions) = object.pointer("/status/conditions").and_then(Value::as_array) else {
        return progressing("Status unknown");
    };
    let (done, needed): (&[&str], usize) = match group {
        "source.toolkit.fluxcd.io" => (&["ArtifactInStorage"], 2),
        "helm.toolkit.fluxcd.io" => (&["Released", "TestSuccess"], 2),
        _ => (&[], 1),
    };
    let (mut working, mut succeeded, mut message) = (0, 0, String::new());
    for condition in conditions {
        match (text(condition, "/type"), text(condition, "/status")) {
            ("Ready", status) => {
                working += usize::from(status == "Unknown");
                succeeded += usize::from(status == "True");
                text(condition, "/reason").clone_into(&mut message);
            }
            ("Reconciling", "True") => working += 1,
            ("ArtifactOutdated", "True") if needed == 2 && done == ["ArtifactInStorage"] => {
                message = format!("{message} {}", text(condition, "/reason"));
            }
            (type_, "True") if done.contains(&type_) => succeeded += 1,
            _ => {}
        }
    }
    if working == 2 {
        progressing(message)
    } else if succeeded >= needed {
        verdict(HealthCode::Healthy, message)
    } else {
        degraded(message)
    }
}

/// Flagger's Canary is as its phase says.
pub(super) fn flagger_canary(object: &Value) -> Health {
    const BETWEEN: &str = " --- ";
    if object.get("status").is_none_or(Value::is_null) {
        return verdict(HealthCode::Unknown, "No status");
    }
    let phase = text(object, "/status/phase");
    let weight = object.pointer("/status/canaryWeight").and_then(Value::as_i64).filter(|weight| *weight > 0);
    let weight = weight.map(|weight| format!("Canary Weight: {weight} %"));
    let said = list(object, "/status/conditions").iter().map(|c| text(c, "/message").to_owned());
    let message = weight.into_iter().chain(said).collect::<Vec<_>>().join(BETWEEN);
    let code = match phase {
        "Failed" => HealthCode::Degraded,
        "Progressing" | "Finalising" | "Promoting" => HealthCode::Progressing,
        "Succeeded" | "Initialized" => HealthCode::Healthy,
        _ => HealthCode::Unknown,
    };
    verdict(code, format!("{phase}{BETWEEN}{message}"))
}

/// OpenShift's DeploymentConfig is well when it is both available and has progressed.
pub(super) fn deployment_config(object: &Value) -> Health {
    let waiting = "replication controller is waiting for pods to run";
    let Some(conditions) = object.pointer("/status/conditions").and_then(Value::as_array) else {
        return progressing(waiting);
    };
    let good = |c: &&Value| matches!(text(c, "/type"), "Available" | "Progressing") && is_true(c);
    match conditions.iter().filter(good).count() {
        2 => verdict(HealthCode::Healthy, "replication controller successfully rolled out"),
        1 => progressing(waiting),
        _ => degraded("Deployment config is degraded"),
    }
}

/// A definition is well once the server serves it. One whose names are just being taken is waited for.
pub(super) fn definition(object: &Value) -> Health {
    if list(object, "/status/conditions").is_empty() {
        return progressing("Status conditions not found");
    }
    let of = |type_: &str, status: &str| {
        condition(object, type_).filter(|c| text(c, "/status") == status).map(|c| text(c, "/message"))
    };
    if let Some(message) = of("Terminating", "True") {
        return progressing(format!("CRD is terminating: {message}"));
    }
    if let Some(message) = of("NamesAccepted", "False") {
        return degraded(format!("CRD names have not been accepted: {message}"));
    }
    match condition(object, "Established") {
        Some(established) if is_true(established) => {}
        Some(installing) if text(installing, "/reason") == "Installing" => {
            return progressing("CRD is not established");
        }
        Some(_) | None => return degraded("CRD is not established"),
    }
    match of("NonStructuralSchema", "True") {
        Some(message) => degraded(format!("Schema violations found: {message}")),
        None => verdict(HealthCode::Healthy, "CRD is healthy"),
    }
}
