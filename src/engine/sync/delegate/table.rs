//! Where each routing kind keeps its weights, and how a backend is told from another.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::object::{list, text};

/// The weights of one kind.
struct Shape {
    kind: &'static str,
    /// The list of rules, and inside each rule the list of backends; no rules when the backends are in one
    /// list directly.
    rules: Option<&'static str>,
    backends: &'static str,
    /// What names a backend.
    identity: &'static [&'static str],
}

const SHAPES: [Shape; 10] = [
    Shape {
        kind: "HTTPRoute",
        rules: Some("/spec/rules"),
        backends: "/backendRefs",
        identity: &["/name", "/namespace"],
    },
    Shape {
        kind: "GRPCRoute",
        rules: Some("/spec/rules"),
        backends: "/backendRefs",
        identity: &["/name", "/namespace"],
    },
    Shape {
        kind: "TCPRoute",
        rules: Some("/spec/rules"),
        backends: "/backendRefs",
        identity: &["/name", "/namespace"],
    },
    Shape {
        kind: "TLSRoute",
        rules: Some("/spec/rules"),
        backends: "/backendRefs",
        identity: &["/name", "/namespace"],
    },
    Shape {
        kind: "VirtualService",
        rules: Some("/spec/http"),
        backends: "/route",
        identity: &["/destination/host", "/destination/subset"],
    },
    Shape {
        kind: "VirtualService",
        rules: Some("/spec/tls"),
        backends: "/route",
        identity: &["/destination/host", "/destination/subset"],
    },
    Shape {
        kind: "VirtualService",
        rules: Some("/spec/tcp"),
        backends: "/route",
        identity: &["/destination/host", "/destination/subset"],
    },
    Shape {
        kind: "TraefikService",
        rules: None,
        backends: "/spec/weighted/services",
        identity: &["/name", "/namespace"],
    },
    Shape {
        kind: "ApisixRoute",
        rules: Some("/spec/http"),
        backends: "/backends",
        identity: &["/serviceName"],
    },
    Shape { kind: "HTTPProxy", rules: Some("/spec/routes"), backends: "/services", identity: &["/name"] },
];

/// Copies the weights, and the rules that the Rollout's controller added, from the live object.
pub(super) fn settle(wanted: &mut Value, live: &Value, managed: &BTreeSet<String>) {
    let kind = text(wanted, "/kind").to_owned();
    for shape in SHAPES.iter().filter(|shape| shape.kind == kind) {
        match shape.rules {
            Some(rules) => settle_rules(wanted, live, shape, rules, managed),
            None => copy_weights(wanted, live, shape),
        }
    }
    if kind == "Route" {
        settle_openshift(wanted, live);
    }
}

/// Pairs Git's rules with live ones that have the same backends, in order, and copies the weights; then
/// puts the managed rules where they are live.
fn settle_rules(wanted: &mut Value, live: &Value, shape: &Shape, rules: &str, managed: &BTreeSet<String>) {
    let Some(Value::Array(ours)) = wanted.pointer_mut(rules) else { return };
    let theirs = list(live, rules);
    let mut used = vec![false; theirs.len()];
    for rule in ours.iter_mut() {
        let backends = identities(rule, shape);
        let found =
            theirs.iter().enumerate().find(|(n, live)| !used[*n] && identities(live, shape) == backends);
        if let Some((n, live_rule)) = found {
            used[n] = true;
            copy_weights(rule, live_rule, shape);
        }
    }
    for (n, rule) in theirs.iter().enumerate() {
        let is_managed = managed.contains(text(rule, "/name"));
        if is_managed && !ours.iter().any(|own| text(own, "/name") == text(rule, "/name")) {
            ours.insert(n.min(ours.len()), rule.clone());
        }
    }
}

fn identities(rule: &Value, shape: &Shape) -> BTreeSet<Vec<String>> {
    list(rule, shape.backends).iter().map(|backend| identity(backend, shape)).collect()
}

fn identity(backend: &Value, shape: &Shape) -> Vec<String> {
    shape.identity.iter().map(|part| text(backend, part).to_owned()).collect()
}

/// Copies the weight of each backend from the live one of the same name; a live backend without a weight
/// takes the weight away.
fn copy_weights(wanted: &mut Value, live: &Value, shape: &Shape) {
    let Some(Value::Array(backends)) = wanted.pointer_mut(shape.backends) else { return };
    for backend in backends {
        let name = identity(backend, shape);
        let found = list(live, shape.backends).iter().find(|live| identity(live, shape) == name);
        if let (Some(live), Some(backend)) = (found, backend.as_object_mut()) {
            match live.get("weight") {
                Some(weight) => backend.insert("weight".to_owned(), weight.clone()),
                None => backend.remove("weight"),
            };
        }
    }
}

/// An OpenShift Route names one backend in `to` and the rest in `alternateBackends`.
fn settle_openshift(wanted: &mut Value, live: &Value) {
    let same = text(wanted, "/spec/to/name") == text(live, "/spec/to/name");
    let Some(spec) = wanted.get_mut("spec").and_then(Value::as_object_mut) else { return };
    if !same {
        return;
    }
    if let (Some(to), Some(weight)) =
        (spec.get_mut("to").and_then(Value::as_object_mut), live.pointer("/spec/to/weight"))
    {
        to.insert("weight".to_owned(), weight.clone());
    }
    match live.pointer("/spec/alternateBackends") {
        Some(backends) => spec.insert("alternateBackends".to_owned(), backends.clone()),
        None => spec.remove("alternateBackends"),
    };
}
