//! What the spec refers to: Services, routing objects and analysis templates must exist and fit.
//!
//! Input: a World whose spec is valid by itself. Output: faults in the order and with the texts of Argo Rollouts, whose
//! first one goes into the InvalidSpec condition. Everything that is missing comes before anything that does not fit.
//! Faults are looked for in every round, because what is missing may appear later.

mod analyses;

use std::collections::BTreeMap;

use tidegate_api::rollout::{PodTemplateMetadata, RolloutStrategy, RolloutTrafficRouting};
use tidegate_api::valid::{FieldError, FieldErrorKind};

use super::world::{HASH_LABEL, MANAGED_BY, Service, World};
use crate::route::Routers;

pub(crate) use analyses::unserved_metric;

/// How much a World shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// All of a namespace: what it does not show does not exist.
    Cluster,
    /// What some files hold: the rest may be in the cluster.
    Files,
}

/// The first thing that the spec refers to and that is missing or unfit.
pub(crate) fn fault(world: &World) -> Option<String> {
    faults(world, Sight::Cluster).first().map(ToString::to_string)
}

/// Everything that the spec refers to and that is missing or unfit, first what Argo Rollouts reports.
#[must_use]
pub fn faults(world: &World, sight: Sight) -> Vec<FieldError> {
    let strategy = &world.rollout.spec.strategy;
    let services = services(strategy);
    let named = analyses::named(strategy);
    let routing = strategy.canary.as_ref().and_then(|canary| canary.traffic_routing.as_ref());
    let mut faults = Vec::new();
    if sight == Sight::Cluster {
        faults.extend(services.iter().filter_map(|named| missing_service(world, named)));
        faults.extend(named.iter().filter_map(|analysis| analyses::missing(world, analysis)));
    }
    let unclear = routing.and_then(unclear_objects);
    let is_clear = unclear.is_none();
    faults.extend(unclear);
    let route = Routers::of(&world.rollout, &world.spec).fault(world);
    let (missing, unfit) = route.map_or((None, None), |fault| {
        let error = invalid(&fault.path, &fault.value, &fault.why);
        if fault.is_missing() { (Some(error), None) } else { (None, Some(error)) }
    });
    faults.extend(missing.filter(|_| sight == Sight::Cluster && is_clear));
    if !faults.is_empty() {
        return faults;
    }
    let labels = world.rollout.spec.template.metadata("labels");
    for service in &services {
        unfit_service(world, service, &labels, &mut faults);
    }
    for analysis in &named {
        analyses::unfit(world, analysis, &mut faults);
    }
    faults.extend(unfit);
    faults
}

/// The error of a field whose value is a text, or a list that is written as JSON.
fn invalid(path: &str, value: &str, why: &str) -> FieldError {
    let is_list = value.starts_with('[');
    FieldError {
        path: path.to_owned(),
        kind: FieldErrorKind::Invalid,
        value: Some(if is_list { value.to_owned() } else { format!("{value:?}") }),
        detail: why.to_owned(),
    }
}

/// A Service that the spec names, and the field that names it.
struct NamedService<'a> {
    path: &'static str,
    name: &'a str,
}

/// The Services of a strategy, in the order in which they are looked for.
fn services(strategy: &RolloutStrategy) -> Vec<NamedService<'_>> {
    let mut found = Vec::new();
    if let Some(blue_green) = &strategy.blue_green {
        found.push(("spec.strategy.blueGreen.activeService", Some(&blue_green.active_service)));
        found.push(("spec.strategy.blueGreen.previewService", blue_green.preview_service.as_ref()));
    } else if let Some(canary) = &strategy.canary {
        found.push(("spec.strategy.canary.stableService", canary.stable_service.as_ref()));
        found.push(("spec.strategy.canary.canaryService", canary.canary_service.as_ref()));
        if let Some(pair) = &canary.ping_pong {
            found.push(("spec.strategy.canary.pingPong.pingService", Some(&pair.ping_service)));
            found.push(("spec.strategy.canary.pingPong.pongService", Some(&pair.pong_service)));
        }
    }
    let named = found.into_iter().filter_map(|(path, name)| {
        let name = name.map(String::as_str).filter(|name| !name.is_empty())?;
        Some(NamedService { path, name })
    });
    named.collect()
}

fn missing_service(world: &World, named: &NamedService<'_>) -> Option<FieldError> {
    let is_there = world.services.contains_key(named.name);
    let why = format!("service {:?} not found", named.name);
    (!is_there).then(|| invalid(named.path, named.name, &why))
}

/// What of a Service does not fit; `labels` are those of the pod template.
fn unfit_service(
    world: &World,
    named: &NamedService<'_>,
    labels: &BTreeMap<String, String>,
    faults: &mut Vec<FieldError>,
) {
    let Some(service) = world.services.get(named.name) else { return };
    for label in unmatched_labels(service, labels) {
        let why = format!("Service {:?} has unmatch label {label:?} in rollout", named.name);
        faults.push(invalid(named.path, named.name, &why));
    }
    if let Some(label) = moving_label(world, service, labels) {
        let why = format!(
            "Service {:?} selects pods by label {label:?}, which changes with their role, and would have none for a \
             moment: remove it from the selector, the controller adds the revision",
            named.name
        );
        faults.push(invalid(named.path, named.name, &why));
    }
    let owner = service.annotations.get(MANAGED_BY);
    if owner.is_some_and(|owner| world.rollout.metadata.name.as_ref() != Some(owner)) {
        let why = format!("Service {:?} is managed by another Rollout", named.name);
        faults.push(invalid(named.path, named.name, &why));
    }
}

/// Selector labels of the Service that the pod template does not give. What a role gives to pods does not count: they get
/// and lose it after the Service has moved, and it would lead to nobody until then.
fn unmatched_labels<'s>(service: &'s Service, labels: &BTreeMap<String, String>) -> Vec<&'s str> {
    let unmatched = service
        .selector
        .iter()
        .filter(|(key, value)| key.as_str() != HASH_LABEL && labels.get(*key) != Some(value));
    unmatched.map(|(key, _)| key.as_str()).collect()
}

/// A selector label that the pod template gives and a role changes, which nobody can afford whose Services or router move
/// users from one revision to the other.
fn moving_label<'s>(
    world: &World,
    service: &'s Service,
    labels: &BTreeMap<String, String>,
) -> Option<&'s str> {
    let (stable, new) = roles(&world.rollout.spec.strategy)?;
    let changes = |key: &str| {
        let mut given = [stable, new].into_iter().flatten().filter_map(|role| role.labels.get(key));
        labels.get(key).is_some_and(|label| given.any(|given| given != label))
    };
    service.selector.keys().map(String::as_str).find(|key| *key != HASH_LABEL && changes(key))
}

/// What pods of the stable revision and of the new one have besides their template, where that can leave a Service without
/// pods.
fn roles(strategy: &RolloutStrategy) -> Option<(Option<&PodTemplateMetadata>, Option<&PodTemplateMetadata>)> {
    if let Some(blue_green) = &strategy.blue_green {
        return Some((blue_green.active_metadata.as_ref(), blue_green.preview_metadata.as_ref()));
    }
    let canary = strategy.canary.as_ref().filter(|canary| canary.traffic_routing.is_some())?;
    Some((canary.stable_metadata.as_ref(), canary.canary_metadata.as_ref()))
}

/// A router that names its objects in two ways at once, or in none.
fn unclear_objects(routing: &RolloutTrafficRouting) -> Option<FieldError> {
    let is_set = |name: Option<&String>| name.is_some_and(|name| !name.is_empty());
    let ingresses = |single: bool, several: bool, names: &str| match (single, several) {
        (true, true) => Some(format!("Either {names} must be configured. Both are configured.")),
        (false, false) => Some(format!("Either {names} must be configured. Neither are configured.")),
        (true, false) | (false, true) => None,
    };
    let nginx = routing.nginx.as_ref().and_then(|nginx| {
        let (single, several) = (is_set(nginx.stable_ingress.as_ref()), !nginx.stable_ingresses.is_empty());
        Some(("nginx", ingresses(single, several, "StableIngress or StableIngresses")?))
    });
    let alb = || {
        let alb = routing.alb.as_ref()?;
        let single = is_set(alb.ingress.as_ref());
        Some(("alb", ingresses(single, !alb.ingresses.is_empty(), "Ingress or Ingresses")?))
    };
    let istio = || {
        let istio = routing.istio.as_ref()?;
        let one = istio.virtual_service.is_some() == istio.virtual_services.is_empty();
        let why = "either VirtualService or VirtualServices must be configured";
        (!one).then(|| ("istio", why.to_owned()))
    };
    let (router, detail) = nginx.or_else(alb).or_else(istio)?;
    let path = format!("spec.strategy.canary.trafficRouting.{router}");
    Some(FieldError { path, kind: FieldErrorKind::Internal, value: None, detail })
}

#[cfg(test)]
mod tests;
