//! The health of what brings traffic in: Services, Ingresses, Gateway API, OpenShift Routes.

use serde_json::Value;
use tidegate_api::source::HealthCode;

use super::super::object::{list, number, text};
use super::{Health, degraded, healthy, is_true, progressing, verdict};

pub(super) fn service(object: &Value) -> Health {
    if text(object, "/spec/type") == "LoadBalancer" { ingress(object) } else { healthy() }
}

pub(super) fn ingress(object: &Value) -> Health {
    if list(object, "/status/loadBalancer/ingress").is_empty() { progressing("") } else { healthy() }
}

/// A Route is well once every router has admitted it.
pub(super) fn openshift_route(object: &Value) -> Health {
    let Some(routers) = object.pointer("/status/ingress").and_then(Value::as_array) else {
        return progressing("Route is still getting admitted");
    };
    let count = |status: &str| {
        let conditions = routers.iter().flat_map(|router| list(router, "/conditions"));
        conditions.filter(|c| text(c, "/type") == "Admitted" && text(c, "/status") == status).count()
    };
    if count("True") >= routers.len() {
        verdict(HealthCode::Healthy, "Route is healthy")
    } else if count("False") > 0 {
        degraded("Route is degraded")
    } else {
        progressing("Route is still getting admitted")
    }
}

/// A Gateway is as its conditions and those of its listeners say.
pub(super) fn gateway(object: &Value) -> Health {
    let own = object.pointer("/status/conditions").and_then(Value::as_array);
    if let Some(trouble) = own.and_then(|conditions| trouble(conditions, "Gateway", "")) {
        return trouble;
    }
    let listeners = list(object, "/status/listeners");
    let of_listener = |listener| trouble(list(listener, "/conditions"), "Listener", "Listener: ");
    if let Some(trouble) = listeners.iter().find_map(of_listener) {
        return trouble;
    }
    if own.is_some() || !listeners.is_empty() {
        return verdict(HealthCode::Healthy, "Gateway is healthy");
    }
    progressing("Waiting for Gateway status")
}

/// A route of the Gateway API is well once one of its parents has seen the present spec, and none that has finds
/// fault with it.
pub(super) fn gateway_route(object: &Value) -> Health {
    let kind = text(object, "/kind");
    let generation = number(object, "/metadata/generation");
    let is_current = |parent: &&Value| {
        let conditions = list(parent, "/conditions");
        let seen = |condition: &Value| number(condition, "/observedGeneration") == generation;
        !conditions.is_empty() && (generation.is_none() || conditions.iter().any(seen))
    };
    let mut well = false;
    for parent in list(object, "/status/parents").iter().filter(is_current) {
        let place = format!("Parent {}: ", text(parent, "/parentRef/name"));
        if let Some(trouble) = trouble(list(parent, "/conditions"), "Route", &place) {
            return trouble;
        }
        well = true;
    }
    if well {
        verdict(HealthCode::Healthy, format!("{kind} is healthy"))
    } else {
        progressing(format!("Waiting for {kind} status"))
    }
}

/// What is wrong by one set of the Gateway API's conditions.
fn trouble(conditions: &[Value], what: &str, place: &str) -> Option<Health> {
    let said = |condition: &Value, otherwise: String| {
        let message = text(condition, "/message");
        format!("{place}{}", if message.is_empty() { &otherwise } else { message })
    };
    for type_ in ["ResolvedRefs", "Accepted"] {
        let failed = conditions.iter().find(|c| text(c, "/type") == type_ && text(c, "/status") == "False");
        if let Some(failed) = failed {
            return Some(degraded(said(failed, format!("Failed condition: {type_}"))));
        }
    }
    let waits = conditions.iter().find(|c| text(c, "/type") == "Programmed" && !is_true(c));
    waits.map(|waits| progressing(said(waits, format!("{what} is still being programmed"))))
}
