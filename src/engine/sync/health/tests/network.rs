//! Services, Ingresses, the Gateway API.

use serde_json::{Value, json};
use tidegate_api::source::HealthCode::{Degraded, Healthy, Progressing};

use super::{check, conditions, told};

#[test]
fn services_and_ingresses() {
    let address = || json!({ "status": { "loadBalancer": { "ingress": [{ "ip": "10.0.0.1" }] } } });
    check("networking.k8s.io/v1", "Ingress", &[(json!({}), Progressing), (address(), Healthy)]);
    let mut balanced = address();
    balanced["spec"]["type"] = json!("LoadBalancer");
    check(
        "v1",
        "Service",
        &[
            (json!({ "spec": { "type": "ClusterIP" } }), Healthy),
            (json!({ "spec": { "type": "LoadBalancer" } }), Progressing),
            (balanced, Healthy),
        ],
    );
}

#[test]
fn gateway() {
    let listener = |of: &[(&str, &str)]| json!({ "status": { "conditions": [], "listeners": [conditions(of)["status"]] } });
    let (api_version, kind) = ("gateway.networking.k8s.io/v1", "Gateway");
    check(
        api_version,
        kind,
        &[
            (json!({}), Progressing),
            (json!({ "status": { "listeners": [] } }), Progressing),
            (conditions(&[("Accepted", "True"), ("Programmed", "True")]), Healthy),
            (conditions(&[("Accepted", "False"), ("Programmed", "False")]), Degraded),
            (conditions(&[("Accepted", "True"), ("Programmed", "Unknown")]), Progressing),
            (listener(&[("ResolvedRefs", "False")]), Degraded),
            (listener(&[("Programmed", "False")]), Progressing),
            (listener(&[("Programmed", "True")]), Healthy),
        ],
    );
    assert_eq!(told(api_version, kind, listener(&[("Accepted", "False")])), "Listener: Accepted is False");
    let mute = json!({ "status": { "conditions": [{ "type": "Accepted", "status": "False" }] } });
    assert_eq!(told(api_version, kind, mute), "Failed condition: Accepted");
}

#[test]
fn gateway_routes() {
    // The generation of the objects in these tests is 2.
    let parent = |generation: i64, of: &[(&str, &str)]| {
        let list: Vec<Value> = of
            .iter()
            .map(|(type_, status)| {
                json!({ "type": type_, "status": status, "observedGeneration": generation,
                "message": "why" })
            })
            .collect();
        json!({ "parentRef": { "name": "gw" }, "conditions": list })
    };
    let parents = |list: &[Value]| json!({ "status": { "parents": list } });
    for kind in ["HTTPRoute", "GRPCRoute"] {
        check(
            "gateway.networking.k8s.io/v1",
            kind,
            &[
                (json!({}), Progressing),
                (parents(&[]), Progressing),
                (parents(&[json!({ "parentRef": { "name": "gw" } })]), Progressing),
                (parents(&[parent(1, &[("Accepted", "True")])]), Progressing),
                (parents(&[parent(1, &[("Accepted", "False")])]), Progressing),
                (parents(&[parent(2, &[("Accepted", "True"), ("ResolvedRefs", "True")])]), Healthy),
                (
                    parents(&[parent(1, &[("Accepted", "False")]), parent(2, &[("Accepted", "True")])]),
                    Healthy,
                ),
                (
                    parents(&[parent(2, &[("Accepted", "True")]), parent(2, &[("ResolvedRefs", "False")])]),
                    Degraded,
                ),
                (parents(&[parent(2, &[("Programmed", "False")])]), Progressing),
            ],
        );
    }
    let refused = parents(&[parent(2, &[("Accepted", "False")])]);
    assert_eq!(told("gateway.networking.k8s.io/v1", "HTTPRoute", refused), "Parent gw: why");
}
