//! Backends of a Rollout's Experiments in the rules of an HTTPRoute, beside its two Services.
//!
//! Input: a route, and the Services that are to have a share. Output: the same route with them as backends, and no others
//! that came this way. An annotation says which backends these are, in the very write that brings them: whatever becomes
//! of the Experiment, its backends are found again, and nobody else's are ever taken away.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{Extra, Sides};
use crate::at::{at, at_mut};

/// Names the Services of Experiments that a route leads to, each as `namespace/rollout/service`.
const BACKENDS: &str = "tidegate.dev/experiment-backends";

/// The Services of this Rollout's Experiments that a route leads to.
pub(super) fn known(object: &Value, sides: &Sides<'_>) -> BTreeSet<String> {
    let own = prefix(sides);
    listed(object).iter().filter_map(|one| one.strip_prefix(&own)).map(str::to_owned).collect()
}

/// The same with the largest weight that any rule gives to each.
pub(super) fn weights(object: &Value, sides: &Sides<'_>) -> BTreeMap<String, i32> {
    let known = known(object, sides);
    let rules = at(object, "/spec/rules").and_then(Value::as_array);
    let backends = rules.into_iter().flatten().filter_map(|rule| rule["backendRefs"].as_array()).flatten();
    let mut weights = BTreeMap::new();
    for backend in backends {
        let Some(name) = backend["name"].as_str().filter(|name| known.contains(*name)) else { continue };
        let most: &mut i32 = weights.entry(name.to_owned()).or_default();
        *most = (*most).max(i32::try_from(weight(backend)).unwrap_or(i32::MAX));
    }
    weights
}

/// What these Services have of one rule, all together.
pub(super) fn total(backends: &[Value], known: &BTreeSet<String>) -> i64 {
    let ours = backends.iter().filter(|backend| is_one_of(backend, known));
    ours.map(weight).sum()
}

/// Takes the backends out that are not wanted any more, whatever rule they stand in.
pub(super) fn drop_unwanted(object: &mut Value, sides: &Sides<'_>, wanted: &[Extra]) {
    let mut gone = known(object, sides);
    gone.retain(|name| !wanted.iter().any(|extra| extra.service == *name));
    if gone.is_empty() {
        return;
    }
    let rules = at_mut(object, "/spec/rules").and_then(Value::as_array_mut);
    for rule in rules.into_iter().flatten() {
        if let Some(backends) = rule.get_mut("backendRefs").and_then(Value::as_array_mut) {
            backends.retain(|backend| !is_one_of(backend, &gone));
        }
    }
}

/// Gives the wanted Services their weights in one rule; `of` is the namespace of the route. What they have goes off the
/// stable side.
pub(super) fn put(backends: &mut Vec<Value>, wanted: &[Extra], of: &str, sides: &Sides<'_>) {
    for extra in wanted {
        let of_extra = |backend: &&mut Value| backend["name"] == extra.service.as_str();
        if let Some(backend) = backends.iter_mut().find(of_extra) {
            backend["weight"] = json!(extra.weight);
            continue;
        }
        let mut backend = json!({ "name": extra.service, "port": extra.port, "weight": extra.weight });
        if of != sides.home() {
            backend["namespace"] = json!(sides.home());
        }
        backends.push(backend);
    }
}

/// What the annotation says once these Services are in the route; `None` where it is not needed.
pub(super) fn note(object: &Value, sides: &Sides<'_>, wanted: &[Extra]) -> (&'static str, Option<String>) {
    let own = prefix(sides);
    let mut all: BTreeSet<String> = listed(object).into_iter().filter(|one| !one.starts_with(&own)).collect();
    all.extend(wanted.iter().map(|extra| format!("{own}{}", extra.service)));
    let all: Vec<String> = all.into_iter().collect();
    (BACKENDS, (!all.is_empty()).then(|| all.join(",")))
}

fn prefix(sides: &Sides<'_>) -> String {
    format!("{}/{}/", sides.home(), sides.rollout.metadata.name.as_deref().unwrap_or_default())
}

fn listed(object: &Value) -> BTreeSet<String> {
    let annotations = at(object, "/metadata/annotations").and_then(|all| all.get(BACKENDS));
    let names = annotations.and_then(Value::as_str).unwrap_or_default().split(',').map(str::trim);
    names.filter(|one| !one.is_empty()).map(str::to_owned).collect()
}

fn is_one_of(backend: &Value, names: &BTreeSet<String>) -> bool {
    backend["name"].as_str().is_some_and(|name| names.contains(name))
}

fn weight(backend: &Value) -> i64 {
    backend["weight"].as_i64().unwrap_or(1).max(0)
}
