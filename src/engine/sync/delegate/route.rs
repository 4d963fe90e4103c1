//! Which routing objects a Rollout's spec names, for every router that Argo Rollouts knows.

use serde_json::Value;

use super::super::object::{list, text};
use super::Routed;

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

/// What a Rollout routes through.
pub(super) fn routed(rollout: &Value) -> Routed {
    let mut routed =
        Routed { namespace: text(rollout, "/metadata/namespace").to_owned(), ..Routed::default() };
    for pointer in SERVICES {
        let name = text(rollout, pointer);
        if !name.is_empty() {
            routed.objects.insert(("Service", name.to_owned()));
        }
    }
    let Some(routing) = rollout.pointer("/spec/strategy/canary/trafficRouting") else { return routed };
    for (pointer, kind) in NAMED {
        let name = text(routing, pointer);
        if !name.is_empty() {
            routed.objects.insert((kind, name.to_owned()));
        }
    }
    for service in list(routing, "/istio/virtualServices") {
        routed.objects.insert(("VirtualService", text(service, "/name").to_owned()));
    }
    for (_, plugin) in routing.get("plugins").and_then(Value::as_object).into_iter().flatten() {
        for (field, kind) in PLUGIN {
            match plugin.get(field) {
                Some(Value::String(name)) => {
                    routed.objects.insert((kind, name.clone()));
                }
                Some(Value::Array(routes)) => {
                    routed.objects.extend(routes.iter().map(|route| (kind, text(route, "/name").to_owned())));
                }
                Some(_) | None => {}
            }
        }
        // Routes may be `[name]` (OpenShift) or `[{name}]` (Contour).
        for route in list(plugin, "/routes") {
            let name = route.as_str().unwrap_or_else(|| text(route, "/name"));
            routed.objects.insert(("Route", name.to_owned()));
        }
        for proxy in list(plugin, "/httpProxies") {
            let name = proxy.as_str().unwrap_or_else(|| text(proxy, "/name"));
            routed.objects.insert(("HTTPProxy", name.to_owned()));
        }
    }
    routed.managed =
        list(routing, "/managedRoutes").iter().map(|route| text(route, "/name").to_owned()).collect();
    routed
}
