//! OpenShift Route: `to` is the stable Service, and the canary Service is one of its `alternateBackends`.
//!
//! Input: Routes by name, in the Rollout's namespace. Output: the same Routes with both weights. At weight 0 the canary
//! is taken out of the list; what else is in the list stays.

use serde_json::{Value, json};
use tidegate_api::valid::OpenShiftRouting;

use super::{Acceptance, Fault, Objects, Routed, Router, Sides, Weights, range, share};
use crate::at::{at, at_mut};
use crate::plan::{Reference, RouteWrite};
use crate::rollout::world::World;

const API_VERSION: &str = "route.openshift.io/v1";
const KIND: &str = "Route";
/// A backend's weight where it names none, by OpenShift's API.
const DEFAULT_WEIGHT: i64 = 100;
/// Most alternate backends of a Route, by OpenShift's API.
const ALTERNATES_MAX: usize = 3;

pub(super) struct OpenShift<'a> {
    spec: &'a OpenShiftRouting,
}

impl<'a> OpenShift<'a> {
    pub(super) fn new(spec: &'a OpenShiftRouting) -> Self {
        Self { spec }
    }

    fn routes<'o>(&self, now: &'o Objects) -> impl Iterator<Item = &'o Value> {
        let found: Vec<&'o Value> =
            self.spec.routes.iter().filter_map(|name| now.get(&route(name)).map(AsRef::as_ref)).collect();
        found.into_iter()
    }
}

impl Router for OpenShift<'_> {
    fn name(&self) -> &'static str {
        "OpenShift"
    }

    fn needs(&self, _sides: &Sides<'_>) -> Vec<Reference> {
        self.spec.routes.iter().map(|name| route(name)).collect()
    }

    fn fault(&self, world: &World, sides: &Sides<'_>) -> Option<Fault> {
        self.spec.routes.iter().enumerate().find_map(|(index, name)| {
            let missing = || match world.unread.get(KIND) {
                Some(why) => format!("{KIND} cannot be read: {why}"),
                None => format!("{} not found", route(name)),
            };
            let found = world.routes.get(&route(name));
            let why = found.map_or_else(|| Some(missing()), |found| misfit(name, found, sides))?;
            let path = format!(
                "spec.strategy.canary.trafficRouting.plugins[argoproj-labs/openshift].routes[{index}]"
            );
            Some(Fault { path, value: name.clone(), why })
        })
    }

    fn weights(&self, now: &Objects, sides: &Sides<'_>) -> (i32, i32) {
        let weights = self.routes(now).map(|route| weight_of(route, sides));
        range(weights.map(|weight| (weight, weight)))
    }

    fn acceptance(&self, now: &Objects, _sides: &Sides<'_>) -> Acceptance {
        self.routes(now).map(acceptance_of).max().unwrap_or(Acceptance::Silent)
    }

    fn route(&self, now: &Objects, want: &Weights<'_>) -> Routed {
        let mut routed = Routed::default();
        for name in &self.spec.routes {
            let Some(from) = now.get(&route(name)) else {
                routed.refusal.get_or_insert_with(|| format!("{} not found", route(name)));
                continue;
            };
            if let Some(why) = misfit(name, from, &want.sides) {
                routed.refusal.get_or_insert(why);
            }
            let Some(to) = weighted(from, want).filter(|to| *to != **from) else { continue };
            routed.writes.push(RouteWrite {
                reference: route(name),
                from: Some((**from).clone()),
                to,
                weight: want.canary,
                max_weight: want.sides.max,
            });
        }
        routed
    }
}

fn route(name: &str) -> Reference {
    Reference::new(API_VERSION, KIND, name)
}

fn alternates(route: &Value) -> &[Value] {
    at(route, "/spec/alternateBackends").and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn names(backend: &Value, service: &str) -> bool {
    backend.get("name").and_then(Value::as_str) == Some(service)
}

/// What keeps a Route from being weighted, and what to change.
fn misfit(name: &str, route: &Value, sides: &Sides<'_>) -> Option<String> {
    let to = at(route, "/spec/to/name").and_then(Value::as_str).unwrap_or_default();
    if to != sides.stable_service {
        return Some(format!(
            "Route {name} sends to Service {to:?}: set spec.to.name to the stableService {}",
            sides.stable_service
        ));
    }
    let others = alternates(route).iter().filter(|backend| !names(backend, sides.canary_service)).count();
    (others >= ALTERNATES_MAX).then(|| {
        format!(
            "Route {name} has {others} other alternateBackends and may have {ALTERNATES_MAX}: take one away"
        )
    })
}

fn weight(backend: &Value) -> i64 {
    let weight = backend.get("weight").and_then(Value::as_i64).unwrap_or(DEFAULT_WEIGHT);
    weight.clamp(0, i64::from(i32::MAX))
}

/// The canary's share of what both Services get, in parts of all traffic.
fn weight_of(route: &Value, sides: &Sides<'_>) -> i32 {
    let canaries = alternates(route).iter().filter(|backend| names(backend, sides.canary_service));
    let canary: i64 = canaries.map(weight).sum();
    let to = at(route, "/spec/to").filter(|to| names(to, sides.stable_service));
    share(canary, to.map_or(0, weight), sides.max)
}

/// The Route with both weights. Where its stable side is somebody else's the canary can only be taken out: an abort
/// must not wait until a renamed Service is put right.
fn weighted(route: &Value, want: &Weights<'_>) -> Option<Value> {
    let mut route = route.clone();
    match at_mut(&mut route, "/spec/to").filter(|to| names(to, want.sides.stable_service)) {
        Some(to) => to["weight"] = json!(want.sides.max - want.canary),
        None if want.canary > 0 => return None,
        None => {}
    }
    let known = alternates(&route);
    let mut list: Vec<Value> = Vec::with_capacity(known.len() + 1);
    let mut left = (want.canary > 0).then(|| json!(want.canary));
    for backend in known {
        if !names(backend, want.sides.canary_service) {
            list.push(backend.clone());
        } else if let Some(weight) = left.take() {
            let mut backend = backend.clone();
            backend["weight"] = weight;
            list.push(backend);
        }
    }
    if let Some(weight) = left {
        list.push(json!({ "kind": "Service", "name": want.sides.canary_service, "weight": weight }));
    }
    let spec = route.get_mut("spec")?.as_object_mut()?;
    if list.is_empty() {
        spec.remove("alternateBackends");
    } else {
        spec.insert("alternateBackends".to_owned(), Value::Array(list));
    }
    Some(route)
}

/// What the routers of the cluster say. They name no generation, so an admission only tells that the Route is served.
fn acceptance_of(route: &Value) -> Acceptance {
    let ingresses = at(route, "/status/ingress").and_then(Value::as_array).into_iter().flatten();
    let conditions = ingresses.filter_map(|ingress| ingress.get("conditions")?.as_array()).flatten();
    let mut refused = None;
    for condition in conditions.filter(|condition| condition["type"] == "Admitted") {
        if condition["status"] == "True" {
            return Acceptance::Accepted;
        }
        let text = |field: &str| condition.get(field).and_then(Value::as_str).unwrap_or_default();
        let name = at(route, "/metadata/name").and_then(Value::as_str).unwrap_or_default();
        let message: String = text("message").chars().take(200).collect();
        refused = Some(format!("no router admits Route {name}: {} {message}", text("reason")));
    }
    refused.map_or(Acceptance::Silent, Acceptance::Refused)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tidegate_api::rollout::Rollout;

    use super::*;

    fn rollout() -> Rollout {
        serde_json::from_value(json!({ "metadata": { "name": "shop", "namespace": "web" }, "spec": {} }))
            .unwrap()
    }

    fn sides(rollout: &Rollout) -> Sides<'_> {
        Sides { rollout, canary_service: "canary", stable_service: "stable", max: 100, max_named: false }
    }

    fn backend(name: &str, weight: Option<i32>) -> Value {
        let mut backend = json!({ "kind": "Service", "name": name });
        if let Some(weight) = weight {
            backend["weight"] = json!(weight);
        }
        backend
    }

    fn object(to: Value, alternates: &[Value]) -> Value {
        let mut object = json!({ "metadata": { "name": "shop" }, "spec": { "host": "shop.test", "to": to } });
        if !alternates.is_empty() {
            object["spec"]["alternateBackends"] = json!(alternates);
        }
        object
    }

    /// What is written for a weight, and the weight that was shown before.
    fn routed(now: &Value, canary: i32) -> (Routed, i32) {
        let (rollout, spec) = (rollout(), OpenShiftRouting { routes: vec!["shop".to_owned()] });
        let (router, sides) = (OpenShift::new(&spec), sides(&rollout));
        let objects = Objects::from([(route("shop"), Arc::new(now.clone()))]);
        (
            router.route(&objects, &Weights { sides, canary, steps: &[], extras: &[] }),
            router.weights(&objects, &sides).1,
        )
    }

    #[test]
    fn the_canary_comes_and_goes_and_the_others_stay() {
        let third = backend("third", Some(7));
        let cases: [(Value, i32, i32, Value); 6] = [
            (
                object(backend("stable", Some(100)), &[]),
                0,
                20,
                object(backend("stable", Some(80)), &[backend("canary", Some(20))]),
            ),
            (
                object(backend("stable", None), std::slice::from_ref(&third)),
                0,
                20,
                object(backend("stable", Some(80)), &[third.clone(), backend("canary", Some(20))]),
            ),
            (
                object(backend("stable", Some(80)), &[backend("canary", Some(20)), third.clone()]),
                20,
                60,
                object(backend("stable", Some(40)), &[backend("canary", Some(60)), third.clone()]),
            ),
            (
                object(backend("stable", Some(80)), &[backend("canary", Some(20)), third.clone()]),
                20,
                0,
                object(backend("stable", Some(100)), std::slice::from_ref(&third)),
            ),
            (
                object(backend("stable", Some(0)), &[backend("canary", None)]),
                100,
                0,
                object(backend("stable", Some(100)), &[]),
            ),
            (
                object(backend("stable", Some(2)), &[backend("canary", Some(1))]),
                34,
                34,
                object(backend("stable", Some(66)), &[backend("canary", Some(34))]),
            ),
        ];
        for (now, shown, canary, want) in cases {
            let (routed, weight) = routed(&now, canary);
            assert_eq!(weight, shown, "{now}");
            assert_eq!(routed.refusal, None);
            assert_eq!(routed.writes.iter().map(|write| &write.to).collect::<Vec<_>>(), [&want]);
            assert_eq!(self::routed(&want, canary), (Routed::default(), canary), "nothing is left to do");
        }
    }

    #[test]
    fn a_route_that_does_not_fit_is_refused_but_lowered() {
        let full = [backend("a", None), backend("b", None), backend("c", None)];
        let (routed_full, _) = routed(&object(backend("stable", None), &full), 20);
        assert!(routed_full.refusal.is_some_and(|why| why.contains("take one away")));
        let foreign = object(backend("other", None), &[]);
        let (routed_foreign, _) = routed(&foreign, 20);
        assert!(routed_foreign.refusal.is_some_and(|why| why.contains("set spec.to.name")));
        assert!(routed_foreign.writes.is_empty());
        let crowded: Vec<Value> = full.iter().cloned().chain([backend("canary", Some(20))]).collect();
        let (lowered, _) = routed(&object(backend("stable", Some(80)), &crowded), 0);
        assert_eq!(lowered.writes.len(), 1, "an abort never waits for a fault");
        let renamed = object(backend("former", Some(80)), &[backend("canary", Some(20)), full[0].clone()]);
        let (lowered, shown) = routed(&renamed, 0);
        assert_eq!(shown, 100);
        assert_eq!(lowered.writes[0].to, object(backend("former", Some(80)), &full[..1]));
    }

    #[test]
    fn admission_is_told_as_far_as_it_is_reported() {
        let with = |status: &[&str]| {
            let ingress = |status: &&str| json!({ "conditions": [{ "type": "Admitted", "status": status, "reason": "HostAlreadyClaimed" }] });
            json!({ "metadata": { "name": "shop" }, "status": { "ingress": status.iter().map(ingress).collect::<Vec<_>>() } })
        };
        assert_eq!(acceptance_of(&with(&[])), Acceptance::Silent);
        assert_eq!(acceptance_of(&with(&["False", "True"])), Acceptance::Accepted);
        assert!(
            matches!(acceptance_of(&with(&["False"])), Acceptance::Refused(why) if why.contains("HostAlreadyClaimed"))
        );
    }
}
