//! A model of EndpointSlices and of the ingress controller: what Services reach, and the weight that is in effect.
//!
//! Input: Services, pods, the canary Ingress. Output: ready endpoints by revision, and the data plane's weight. Both
//! follow late; that is what makes the order of writes matter.

use serde_json::{Value, json};
use tidegate_engine::rollout::world::Endpoints;

use crate::cluster::Cluster;
use crate::pods::Pods;
use crate::shape::{CANARY_SERVICE, ROLLOUT, STABLE_SERVICE};

/// The Services that may exist.
pub(crate) const SERVICES: [&str; 2] = [CANARY_SERVICE, STABLE_SERVICE];

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

/// An Ingress that users made.
pub(crate) fn stable_ingress(name: &str) -> Value {
    json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": { "name": name, "namespace": "sim" },
        "spec": { "rules": [{ "host": "shop.test", "http": { "paths": [
            { "path": "/", "pathType": "Prefix", "backend": { "service": { "name": STABLE_SERVICE, "port": { "number": 80 } } } },
        ] } }] },
    })
}

/// Name of the Ingress that takes the canary's share of another one.
pub(crate) fn canary_ingress(stable: &str) -> String {
    format!("{ROLLOUT}-{stable}-canary")
}

const WEIGHT: &str = "nginx.ingress.kubernetes.io/canary-weight";

/// The weight that one Ingress asks for.
pub(crate) fn weight_of(cluster: &Cluster, name: &str) -> i32 {
    let Some(ingress) = cluster.routes.object(name) else { return 0 };
    let weight = &ingress["metadata"]["annotations"][WEIGHT];
    weight.as_str().and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The least and the most weight that the canary Ingresses ask for: a crash may come between two of them.
pub(crate) fn weights(cluster: &Cluster, ingresses: &[&str]) -> (i32, i32) {
    let weights = ingresses.iter().map(|name| weight_of(cluster, &canary_ingress(name)));
    weights.fold((i32::MAX, 0), |(least, most), weight| (least.min(weight), most.max(weight)))
}

/// Writes another weight into a canary Ingress, as no person should.
pub(crate) fn tamper(cluster: &mut Cluster, stable: &str, weight: i32) {
    let name = canary_ingress(stable);
    let Some(mut ingress) = cluster.routes.object(&name).cloned() else { return };
    ingress["metadata"]["annotations"][WEIGHT] = weight.to_string().into();
    cluster.put_route(&name, ingress);
}
