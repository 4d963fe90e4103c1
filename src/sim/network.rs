//! A model of EndpointSlices and of whoever serves routes: what Services reach, and the weight that is in effect.
//!
//! Input: Services, pods, routing objects. Output: ready endpoints by revision, and the data plane's weight. Both
//! follow late; that is what makes the order of writes matter.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tidegate_api::rollout::Rollout;
use tidegate_engine::rollout::world::Endpoints;

use crate::cluster::Cluster;
use crate::pods::Pods;
use crate::shape::{
    CANARY_SERVICE, MANAGED_ROUTES, PING_SERVICE, PONG_SERVICE, ROLLOUT, STABLE_SERVICE, Way,
};

/// Which Service is the canary's, and which the stable one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Turn {
    pub(crate) canary: &'static str,
    pub(crate) stable: &'static str,
}

/// Who has which role before any status says anything.
pub(crate) fn first_turn(rollout: &Rollout) -> Turn {
    let canary = rollout.spec.strategy.canary.as_ref();
    if canary.is_some_and(|canary| canary.ping_pong.is_some()) {
        Turn { canary: PING_SERVICE, stable: PONG_SERVICE }
    } else {
        Turn { canary: CANARY_SERVICE, stable: STABLE_SERVICE }
    }
}

/// Who has which role now.
pub(crate) fn turn(cluster: &Cluster) -> Turn {
    let first = cluster.rollout().map(|held| first_turn(&held.object.rollout));
    let first = first.unwrap_or(Turn { canary: CANARY_SERVICE, stable: STABLE_SERVICE });
    if first.stable == PONG_SERVICE && cluster.status().canary.stable_ping_pong == "ping" {
        return Turn { canary: first.stable, stable: first.canary };
    }
    first
}

/// The split as whoever serves the routes took it up, and who had which role then.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InEffect {
    turn: Turn,
    least: i32,
    most: i32,
    by_steps: bool,
}

impl InEffect {
    /// The least and the most weight of whoever is the canary now.
    pub(crate) fn weights(&self, turn: Turn, max: i32) -> (i32, i32) {
        if self.turn == turn {
            (self.least, self.most.max(i32::from(self.by_steps)))
        } else {
            (max - self.most, max - self.least)
        }
    }
}

/// Writes the ready endpoints of a Service, if they changed.
pub(crate) fn sync_endpoints(cluster: &mut Cluster, pods: &Pods, service: &str) {
    let Some(known) = cluster.services.object(service).cloned() else { return };
    let mut endpoints = Endpoints::default();
    for (_, held) in cluster.sets.all() {
        let hash = held.object.hash();
        if known.hash().is_none_or(|selected| selected == hash) {
            let ready = pods.ready(cluster, hash);
            if ready > 0 {
                endpoints.ready.insert(hash.to_owned(), ready);
            }
        }
    }
    if cluster.endpoints.object(service) != Some(&endpoints) {
        cluster.put_endpoints(service, endpoints);
    }
}

/// An object that users made. One HTTPRoute names no weights, which means the same for both Services.
pub(crate) fn made(way: Way, Turn { canary, stable }: Turn) -> Value {
    match way {
        Way::Ingress(name) => stable_ingress(name),
        Way::HttpRoute(name) => {
            let weighted = way.is_reported();
            let backend = |service: &str, weight: i32| {
                let backend = json!({ "name": service, "port": 80 });
                if weighted { merged(backend, json!({ "weight": weight })) } else { backend }
            };
            json!({
                "apiVersion": "gateway.networking.k8s.io/v1",
                "kind": "HTTPRoute",
                "metadata": { "name": name, "namespace": "sim", "labels": { "app": "shop" } },
                "spec": { "parentRefs": [{ "name": "eg" }], "rules": [
                    { "backendRefs": [backend(stable, 9), backend(canary, 0), { "name": "third", "weight": 3 }] },
                    { "backendRefs": [{ "name": "docs", "port": 80 }] },
                    { "backendRefs": [backend(canary, 0), backend(stable, 1)] },
                ] },
            })
        }
        Way::Route(name) => json!({
            "apiVersion": "route.openshift.io/v1",
            "kind": "Route",
            "metadata": { "name": name, "namespace": "sim" },
            "spec": {
                "to": { "kind": "Service", "name": STABLE_SERVICE, "weight": 100 },
                "alternateBackends": [{ "kind": "Service", "name": "third", "weight": 10 }],
            },
        }),
    }
}

fn merged(mut object: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (object.as_object_mut(), more) {
        object.extend(more);
    }
    object
}

fn stable_ingress(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": name, "namespace": "sim" },
        "spec": { "rules": [{ "host": "shop.test", "http": { "paths": [
            { "path": "/", "pathType": "Prefix", "backend": { "service": { "name": STABLE_SERVICE, "port": { "number": 80 } } } },
        ] } }] },
    })
}

/// The name of the object that holds the weight of a way.
fn weighted(way: Way) -> String {
    match way {
        Way::Ingress(stable) => format!("{ROLLOUT}-{stable}-canary"),
        Way::HttpRoute(name) | Way::Route(name) => name.to_owned(),
    }
}

const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";

/// The weight that one object asks for, in parts of `max`; read by other means than the planner reads it.
pub(crate) fn weight_of(cluster: &Cluster, name: &str, max: i32) -> i32 {
    let Some(object) = cluster.routes.object(name) else { return 0 };
    let turn = turn(cluster);
    match object["kind"].as_str() {
        Some("HTTPRoute") => {
            let rules = object["spec"]["rules"].as_array();
            let backends = rules.into_iter().flatten().filter_map(|rule| rule["backendRefs"].as_array());
            // A rule for the canary alone is for requests that a step chose; it has no weight.
            let backends = backends.filter(|all| all.iter().any(|backend| backend["name"] == turn.stable));
            backends.map(|backends| split(backends.iter(), turn, 1, max)).max().unwrap_or(0)
        }
        Some("Route") => {
            let alternates = object["spec"]["alternateBackends"].as_array();
            split(
                std::iter::once(&object["spec"]["to"]).chain(alternates.into_iter().flatten()),
                turn,
                100,
                max,
            )
        }
        _ => {
            let weight = &object["metadata"]["annotations"][WEIGHT];
            weight.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
        }
    }
}

/// The canary's part of what both Services get.
fn split<'b>(backends: impl Iterator<Item = &'b Value>, turn: Turn, absent: i64, max: i32) -> i32 {
    let (mut canary, mut stable) = (0, 0);
    for backend in backends {
        let weight = backend["weight"].as_i64().unwrap_or(absent);
        match backend["name"].as_str() {
            Some(name) if name == turn.canary => canary += weight,
            Some("third") | None => {}
            // Whatever an Experiment has goes off the stable side's share.
            Some(_) => stable += weight,
        }
    }
    if canary == 0 {
        return 0;
    }
    let share = (canary * i64::from(max)).div_euclid(canary + stable);
    let exact = share * (canary + stable) == canary * i64::from(max);
    i32::try_from(if exact { share } else { share + 1 }).unwrap_or(max)
}

/// The Services that HTTPRoutes send requests to.
pub(crate) fn reached(cluster: &Cluster) -> BTreeSet<String> {
    cluster.routes.all().flat_map(|(_, held)| reached_by(&held.object)).collect()
}

/// The Services that one HTTPRoute sends requests to.
pub(crate) fn reached_by(route: &Value) -> BTreeSet<String> {
    let rules = route["spec"]["rules"].as_array().into_iter().flatten();
    let backends = rules.filter_map(|rule| rule["backendRefs"].as_array()).flatten();
    let weighted = backends.filter(|backend| backend["weight"] != 0);
    weighted.filter_map(|backend| backend["name"].as_str().map(str::to_owned)).collect()
}

/// The least and the most weight that the objects ask for: a crash may come between two of them.
pub(crate) fn weights(cluster: &Cluster, ways: &[Way], max: i32) -> (i32, i32) {
    let turn = turn(cluster);
    taken_up(cluster, ways, max).weights(turn, max)
}

/// What the objects ask for, as whoever serves them takes it up.
pub(crate) fn taken_up(cluster: &Cluster, ways: &[Way], max: i32) -> InEffect {
    // A route that does not exist brings no request to either side; an Ingress without a canary brings all to one.
    let is_there =
        |way: &&Way| matches!(way, Way::Ingress(_)) || cluster.routes.object(&weighted(**way)).is_some();
    let weights = ways.iter().filter(is_there).map(|way| weight_of(cluster, &weighted(*way), max));
    let (least, most) = (weights.clone().min().unwrap_or(0), weights.max().unwrap_or(0));
    let by_steps = ways.iter().filter_map(|way| cluster.routes.object(&weighted(*way))).any(has_step_rule);
    InEffect { turn: turn(cluster), least, most, by_steps }
}

/// Whether a route sends requests to the canary that a step asked for.
pub(crate) fn has_step_rule(object: &Value) -> bool {
    if object["kind"] == "Ingress" {
        return !object["metadata"]["annotations"]["nginx.ingress.kubernetes.io/canary-by-header"].is_null();
    }
    let rules = object["spec"]["rules"].as_array().into_iter().flatten();
    rules.into_iter().any(|rule| {
        MANAGED_ROUTES.iter().any(|name| rule["name"].as_str().is_some_and(|known| known.starts_with(name)))
    })
}

/// Lets those who serve HTTPRoutes say what they have taken up.
pub(crate) fn report(cluster: &mut Cluster, ways: &[Way]) {
    for way in ways.iter().filter(|way| way.is_reported()) {
        let name = weighted(*way);
        let Some(mut object) = cluster.routes.object(&name).cloned() else { continue };
        let generation = object["metadata"]["generation"].clone();
        let accepted = json!({ "type": "Accepted", "status": "True", "observedGeneration": generation });
        let parents = json!([{ "parentRef": { "name": "eg" }, "conditions": [accepted] }]);
        if object["status"]["parents"] != parents {
            object["status"]["parents"] = parents;
            cluster.put_route(&name, object);
        }
    }
}

/// Whether those who serve a route have said anything about it.
pub(crate) fn has_report(cluster: &Cluster, way: Way) -> bool {
    let reports = |object: &Value| object["status"]["parents"].is_array();
    way.is_reported() && cluster.routes.object(&weighted(way)).is_some_and(reports)
}

/// Writes another weight of the canary, as no person should.
pub(crate) fn tamper(cluster: &mut Cluster, way: Way, weight: i32) {
    let name = weighted(way);
    let Some(mut object) = cluster.routes.object(&name).cloned() else { return };
    let written = match way {
        Way::Ingress(_) => {
            object["metadata"]["annotations"].get_mut(WEIGHT).map(|at| *at = weight.to_string().into())
        }
        Way::HttpRoute(_) => {
            object.pointer_mut("/spec/rules/0/backendRefs/1").map(|at| at["weight"] = weight.into())
        }
        Way::Route(_) => object.pointer_mut("/spec/to").map(|at| at["weight"] = (100 - weight).into()),
    };
    if written.is_some() {
        cluster.put_route(&name, object);
    }
}
