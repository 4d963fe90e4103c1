//! One case per router: Git's weights differ from the live ones, and the live ones stay.

use serde_json::{Value, json};

use super::Delegation;

fn rollout(routing: Value) -> Value {
    json!({
        "kind": "Rollout",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "strategy": { "canary": { "trafficRouting": routing } } },
    })
}

/// Settles the wanted object under one Rollout and checks the result.
fn check(routing: Value, wanted: &Value, live: &Value, want: &Value) {
    let rollout = rollout(routing);
    let delegation = Delegation::read([&rollout].into_iter());
    let mut settled = wanted.clone();
    let copied = delegation.settle(&mut settled, live);
    assert_eq!(settled, *want);
    assert_eq!(copied, wanted != want);
}

fn object(kind: &str, spec: Value) -> Value {
    let group = match kind {
        "HTTPRoute" => "gateway.networking.k8s.io/v1",
        "VirtualService" | "DestinationRule" => "networking.istio.io/v1",
        "TraefikService" => "traefik.io/v1alpha1",
        "Route" => "route.openshift.io/v1",
        "Deployment" => "apps/v1",
        _ => "v1",
    };
    json!({ "apiVersion": group, "kind": kind, "metadata": { "name": "web", "namespace": "shop" }, "spec": spec })
}

#[test]
fn service_keeps_the_revision_it_points_at() {
    let wanted = object("Service", json!({ "selector": { "app": "web" }, "ports": [{ "port": 81 }] }));
    let live = object(
        "Service",
        json!({ "selector": { "app": "web", "rollouts-pod-template-hash": "abc" }, "ports": [{ "port": 80 }] }),
    );
    let want = object(
        "Service",
        json!({ "selector": { "app": "web", "rollouts-pod-template-hash": "abc" }, "ports": [{ "port": 81 }] }),
    );
    let rollout = json!({
        "kind": "Rollout",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "strategy": { "blueGreen": { "activeService": "web" } } },
    });
    let delegation = Delegation::read([&rollout].into_iter());
    let mut settled = wanted.clone();
    assert!(delegation.settle(&mut settled, &live));
    assert_eq!(settled, want);
    assert!(delegation.settle(&mut settled, &want), "what is equal now may be another revision in a moment");
}

#[test]
fn a_service_that_no_rollout_names_is_gits() {
    let wanted = object("Service", json!({ "selector": { "app": "web" } }));
    let live =
        object("Service", json!({ "selector": { "app": "web", "rollouts-pod-template-hash": "gone" } }));
    check(json!({}), &wanted, &live, &wanted);
}

#[test]
fn http_route_keeps_weights_and_managed_rules_but_not_git_rules() {
    let routing = json!({
        "managedRoutes": [{ "name": "canary-header" }],
        "plugins": { "argoproj-labs/gatewayAPI": { "httpRoutes": [{ "name": "web" }] } },
    });
    let rule = |stable: i64, canary: i64, path: &str| {
        json!({
            "matches": [{ "path": path }],
            "backendRefs": [{ "name": "stable", "weight": stable }, { "name": "canary", "weight": canary }],
        })
    };
    let managed = json!({ "name": "canary-header", "backendRefs": [{ "name": "canary" }] });
    let by_hand = json!({ "name": "by-hand", "backendRefs": [{ "name": "other" }] });
    let wanted = object("HTTPRoute", json!({ "rules": [rule(100, 0, "/new")] }));
    let live = object("HTTPRoute", json!({ "rules": [managed, rule(80, 20, "/"), by_hand] }));
    let want = object("HTTPRoute", json!({ "rules": [managed, rule(80, 20, "/new")] }));
    check(routing, &wanted, &live, &want);
}

/// A Rollout that names its two Services, and a route that Git has changed while a canary has weight.
fn with_services(plugins: Value) -> Value {
    let mut rollout = rollout(json!({ "plugins": plugins }));
    rollout["spec"]["strategy"]["canary"]["stableService"] = json!("stable");
    rollout["spec"]["strategy"]["canary"]["canaryService"] = json!("canary");
    rollout
}

fn settled(rollout: &Value, wanted: &Value, live: &Value) -> Value {
    let mut settled = wanted.clone();
    Delegation::read([rollout].into_iter()).settle(&mut settled, live);
    settled
}

fn backend(name: &str, weight: i64) -> Value {
    json!({ "name": name, "weight": weight })
}

#[test]
fn weights_of_other_services_in_a_rule_are_gits_also_new_ones() {
    let rollout = with_services(json!({ "argoproj-labs/gatewayAPI": { "httpRoute": "web" } }));
    let route = |backends: Value| object("HTTPRoute", json!({ "rules": [{ "backendRefs": backends }] }));
    let live = route(json!([backend("stable", 80), backend("canary", 20), backend("third", 5)]));
    let wanted = route(json!([backend("stable", 100), backend("canary", 0), backend("third", 9)]));
    let want = route(json!([backend("stable", 80), backend("canary", 20), backend("third", 9)]));
    assert_eq!(settled(&rollout, &wanted, &live), want);
    let wanted = route(json!([backend("stable", 100), backend("canary", 0), backend("fourth", 1)]));
    let want = route(json!([backend("stable", 80), backend("canary", 20), backend("fourth", 1)]));
    assert_eq!(settled(&rollout, &wanted, &live), want);
}

#[test]
fn routes_are_found_in_every_way_that_a_rollout_may_name_them() {
    let route = |stable: i64, canary: i64, label: &str| {
        let rules = json!([{ "backendRefs": [backend("stable", stable), backend("canary", canary)] }]);
        let mut route = object("HTTPRoute", json!({ "rules": rules }));
        route["metadata"]["labels"] = json!({ "app": label });
        route
    };
    let named = [
        (json!({ "httpRoute": "web" }), true),
        (json!({ "httproute": "web", "namespace": "shop" }), true),
        (json!({ "httpRoutes": [{ "name": "other" }, { "name": "web" }] }), true),
        (json!({ "httpRouteSelector": { "matchLabels": { "app": "web" } } }), true),
        (json!({ "httpRouteSelector": { "matchLabels": { "app": "other" } } }), false),
        (json!({ "httpRoute": "web", "namespace": "elsewhere" }), false),
        (json!({ "grpcRoute": "web" }), false),
    ];
    for (config, is_delegated) in named {
        let rollout = with_services(json!({ "argoproj-labs/gatewayAPI": config }));
        let settled = settled(&rollout, &route(100, 0, "web"), &route(60, 40, "web"));
        let weight = settled.pointer("/spec/rules/0/backendRefs/1/weight");
        assert_eq!(weight == Some(&json!(40)), is_delegated, "{config}");
    }
}

#[test]
fn other_alternate_backends_of_a_route_are_gits() {
    let rollout = with_services(json!({ "argoproj-labs/openshift": { "routes": ["shop/web"] } }));
    let route = |to: i64, alternates: Value| {
        object("Route", json!({ "to": backend("stable", to), "alternateBackends": alternates }))
    };
    let live = route(70, json!([backend("third", 5), backend("canary", 30)]));
    let wanted = route(100, json!([backend("third", 9)]));
    assert_eq!(
        settled(&rollout, &wanted, &live),
        route(70, json!([backend("third", 9), backend("canary", 30)]))
    );
    // At rest the canary is not in the list, whatever Git says of it.
    let resting = route(100, json!([backend("third", 9)]));
    let wanted = route(100, json!([backend("third", 9), backend("canary", 0)]));
    assert_eq!(settled(&rollout, &wanted, &resting), resting);
}

#[test]
fn a_route_that_no_rollout_names_is_gits() {
    let routing = json!({ "plugins": { "argoproj-labs/gatewayAPI": { "httpRoute": "other" } } });
    let route = |weight: i64| {
        object("HTTPRoute", json!({ "rules": [{ "backendRefs": [{ "name": "a", "weight": weight }] }] }))
    };
    check(routing, &route(100), &route(20), &route(100));
}

#[test]
fn virtual_service_keeps_weights() {
    let spec = |stable: i64, canary: i64, timeout: &str| {
        json!({ "http": [{
            "name": "primary",
            "timeout": timeout,
            "route": [
                { "destination": { "host": "web", "subset": "stable" }, "weight": stable },
                { "destination": { "host": "web", "subset": "canary" }, "weight": canary },
            ],
        }] })
    };
    check(
        json!({ "istio": { "virtualService": { "name": "web" } } }),
        &object("VirtualService", spec(100, 0, "2s")),
        &object("VirtualService", spec(60, 40, "1s")),
        &object("VirtualService", spec(60, 40, "2s")),
    );
}

#[test]
fn destination_rule_keeps_the_revisions_of_its_subsets() {
    let wanted =
        object("DestinationRule", json!({ "subsets": [{ "name": "canary", "labels": { "app": "web" } }] }));
    let live = object(
        "DestinationRule",
        json!({ "subsets": [{ "name": "canary", "labels": { "app": "web", "rollouts-pod-template-hash": "abc" } }] }),
    );
    check(json!({ "istio": { "destinationRule": { "name": "web" } } }), &wanted, &live, &live);
}

#[test]
fn traefik_service_keeps_weights() {
    let spec = |stable: i64, canary: i64| json!({ "weighted": { "services": [{ "name": "a", "weight": stable }, { "name": "b", "weight": canary }] } });
    check(
        json!({ "traefik": { "weightedTraefikServiceName": "web" } }),
        &object("TraefikService", spec(100, 0)),
        &object("TraefikService", spec(70, 30)),
        &object("TraefikService", spec(70, 30)),
    );
}

#[test]
fn openshift_route_keeps_weights_and_alternates() {
    let wanted = object("Route", json!({ "to": { "name": "stable", "weight": 100 }, "path": "/new" }));
    let live = object(
        "Route",
        json!({ "to": { "name": "stable", "weight": 70 }, "alternateBackends": [{ "name": "canary", "weight": 30 }] }),
    );
    let want = object(
        "Route",
        json!({
            "to": { "name": "stable", "weight": 70 },
            "alternateBackends": [{ "name": "canary", "weight": 30 }],
            "path": "/new",
        }),
    );
    check(json!({ "plugins": { "argoproj-labs/openshift": { "routes": ["web"] } } }), &wanted, &live, &want);
}

#[test]
fn nginx_canary_ingress_keeps_its_weight_only_while_a_rollout_owns_it() {
    let ingress = |weight: &str, owned: bool| {
        let mut ingress = json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": "Ingress",
            "metadata": {
                "name": "web",
                "namespace": "shop",
                "annotations": { "nginx.ingress.kubernetes.io/canary-weight": weight },
            },
        });
        if owned {
            ingress["metadata"]["ownerReferences"] = json!([{ "kind": "Rollout", "name": "web" }]);
        }
        ingress
    };
    check(json!({}), &ingress("0", false), &ingress("20", true), &ingress("20", false));
    check(json!({}), &ingress("0", false), &ingress("20", false), &ingress("0", false));
}

#[test]
fn replicas_under_an_autoscaler_stay() {
    let autoscaler = json!({
        "kind": "HorizontalPodAutoscaler",
        "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } },
    });
    let delegation = Delegation::read([&autoscaler].into_iter());
    let live = object("Deployment", json!({ "replicas": 7 }));
    let mut wanted = object("Deployment", json!({ "replicas": 2 }));
    assert!(delegation.settle(&mut wanted, &live));
    assert_eq!(wanted["spec"]["replicas"], 7);
    // Git names none and none were applied: the field is the autoscaler's alone.
    let mut silent = object("Deployment", json!({}));
    assert!(!delegation.settle(&mut silent, &live));
    assert_eq!(silent["spec"].get("replicas"), None);
    // They were applied before: leaving them out would reset them to 1.
    let mut applied = live.clone();
    applied["metadata"]["managedFields"] =
        json!([{ "manager": "tidegate-sync", "fieldsV1": { "f:spec": { "f:replicas": {} } } }]);
    assert!(delegation.settle(&mut silent, &applied));
    assert_eq!(silent["spec"]["replicas"], 7);
    let mut other = object("Deployment", json!({ "replicas": 2 }));
    other["metadata"]["name"] = json!("other");
    assert!(!delegation.settle(&mut other, &live));
}

#[test]
fn replicas_of_a_workload_that_a_rollout_took_over_stay() {
    let mut rollout = rollout(json!({}));
    rollout["spec"]["workloadRef"] =
        json!({ "apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "scaleDown": "onsuccess" });
    let delegation = Delegation::read([&rollout].into_iter());
    let mut wanted = object("Deployment", json!({ "replicas": 2 }));
    assert!(delegation.settle(&mut wanted, &object("Deployment", json!({ "replicas": 0 }))));
    assert_eq!(wanted["spec"]["replicas"], 0);
}
