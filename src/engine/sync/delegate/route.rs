//! Which routing objects a Rollout's spec names, for every router that Argo Rollouts knows.

use serde_json::Value;

use super::super::object::{list, text};
use super::{Object, Routed, Selected};

/// Where a Rollout's spec names the Services that it points at its revisions.
const SERVICES: [&str; 6] = [
    "/spec/strategy/canary/canaryService",
    "/spec/strategy/canary/stableService",
    "/spec/strategy/canary/pingPong/pingService",
    "/spec/strategy/canary/pingPong/pongService",
    "/spec/strategy/blueGreen/activeService",
    "/spec/strategy/blueGreen/previewService",
];
/// Single objects: where the name stands under `trafficRouting`, and the kind.
const NAMED: [(&str, &str); 5] = [
    ("/istio/destinationRule/name", "DestinationRule"),
    ("/traefik/weightedTraefikServiceName", "TraefikService"),
    ("/istio/virtualService/name", "VirtualService"),
    ("/apisix/route/name", "ApisixRoute"),
    ("/appMesh/virtualService/name", "VirtualService"),
];
/// The plugin configurations that name Gateway API routes and OpenShift Routes: field and kind.
const PLUGIN: [(&str, &str); 8] = [
    ("httpRoute", "HTTPRoute"),
    ("httpRoutes", "HTTPRoute"),
    ("grpcRoute", "GRPCRoute"),
    ("grpcRoutes", "GRPCRoute"),
    ("tcpRoute", "TCPRoute"),
    ("tcpRoutes", "TCPRoute"),
    ("tlsRoute", "TLSRoute"),
    ("tlsRoutes", "TLSRoute"),
];

/// The fields of a plugin configuration that hold a selector, and the kind.
const SELECTORS: [(&str, &str); 4] = [
    ("httpRouteSelector", "HTTPRoute"),
    ("grpcRouteSelector", "GRPCRoute"),
    ("tcpRouteSelector", "TCPRoute"),
    ("tlsRouteSelector", "TLSRoute"),
];

/// What a Rollout routes through.
pub(super) fn routed(rollout: &Value) -> Routed {
    let mut routed = Routed::default();
    let home = text(rollout, "/metadata/namespace");
    let object = |kind, name: &str| Object { kind, namespace: home.to_owned(), name: name.to_owned() };
    for pointer in SERVICES {
        let name = text(rollout, pointer);
        if !name.is_empty() {
            routed.objects.insert(object("Service", name));
            routed.services.insert(name.to_owned());
        }
    }
    let Some(routing) = rollout.pointer("/spec/strategy/canary/trafficRouting") else { return routed };
    for (pointer, kind) in NAMED {
        let name = text(routing, pointer);
        if !name.is_empty() {
            routed.objects.insert(object(kind, name));
        }
    }
    for service in list(routing, "/istio/virtualServices") {
        routed.objects.insert(object("VirtualService", text(service, "/name")));
    }
    for (_, plugin) in routing.get("plugins").and_then(Value::as_object).into_iter().flatten() {
        plugged(plugin, home, &mut routed);
    }
    routed.managed =
        list(routing, "/managedRoutes").iter().map(|route| text(route, "/name").to_owned()).collect();
    routed
}

/// Adds what one plugin names or selects.
fn plugged(plugin: &Value, home: &str, routed: &mut Routed) {
    let elsewhere = field(plugin, "namespace").and_then(Value::as_str).filter(|name| !name.is_empty());
    let object = |kind, name: &str| Object {
        kind,
        namespace: elsewhere.unwrap_or(home).to_owned(),
        name: name.to_owned(),
    };
    let name =
        |route: &Value| route.as_str().or_else(|| field(route, "name")?.as_str()).unwrap_or("").to_owned();
    for (names, kind) in PLUGIN {
        match field(plugin, names) {
            Some(Value::String(name)) => {
                routed.objects.insert(object(kind, name));
            }
            Some(Value::Array(routes)) => {
                routed.objects.extend(routes.iter().map(|route| object(kind, &name(route))));
            }
            Some(_) | None => {}
        }
    }
    for (selector, kind) in SELECTORS {
        let selector = field(plugin, selector).cloned().map(serde_json::from_value);
        if let Some(Ok(selector)) = selector {
            let namespace = elsewhere.unwrap_or(home).to_owned();
            routed.selected.push(Selected { kind, namespace, selector });
        }
    }
    // Routes may be `[name]` or `[namespace/name]` (OpenShift), or `[{name}]` (Contour).
    for (names, kind) in [("routes", "Route"), ("httpProxies", "HTTPProxy")] {
        let routes = field(plugin, names).and_then(Value::as_array).into_iter().flatten();
        routed.objects.extend(routes.map(|route| {
            let name = name(route);
            object(kind, name.split_once('/').map_or(name.as_str(), |(_, name)| name))
        }));
    }
}

/// A field of a plugin configuration; the case of its name does not matter.
fn field<'v>(config: &'v Value, name: &str) -> Option<&'v Value> {
    let fields = config.as_object()?;
    fields
        .get(name)
        .or_else(|| fields.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value))
}
