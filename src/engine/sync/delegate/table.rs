//! Where each routing kind keeps its weights, and how a backend is told from another.

use std::collections::BTreeSet;

use serde_json::Value;

use super::super::object::{list, text};
use super::Routed;

/// The weights of one kind.
struct Shape {
    kind: &'static str,
    /// The list of rules, and inside each rule the list of backends; no rules when the backends are in one
    /// list directly.
    rules: Option<&'static str>,
    backends: &'static str,
    /// What names a backend.
    identity: &'static [&'static str],
    /// Where a backend names its Service, when that is how a Rollout's two sides are told apart.
    service: Option<&'static str>,
}

const SHAPES: [Shape; 10] = [
    Shape {
        kind: "HTTPRoute",
        rules: Some("/spec/rules"),
        backends: "/backendRefs",
        identity: &["/name", "/namespace"],
        service: Some("/name"),
    },
    Shape {
        kind: "GRPCRoute",
        rules: Some("/spec/rules"),
        backends: "/backendRefs",
        identity: &["/name", "/namespace"],
        service: Some("/name"),
    },
    Shape {
        kind: "TCPRoute",
        rules: Some("/spec/rules"),
        backends: "/backendRefs",
        identity: &["/name", "/namespace"],
        service: Some("/name"),
    },
    Shape {
        kind: "TLSRoute",
        rules: Some("/spec/rules"),
        backends: "/backendRefs",
        identity: &["/name", "/namespace"],
        service: Some("/name"),
    },
    Shape {
        kind: "VirtualService",
        rules: Some("/spec/http"),
        backends: "/route",
        identity: &["/destination/host", "/destination/subset"],
        service: None,
    },
    Shape {
        kind: "VirtualService",
        rules: Some("/spec/tls"),
        backends: "/route",
        identity: &["/destination/host", "/destination/subset"],
        service: None,
    },
    Shape {
        kind: "VirtualService",
        rules: Some("/spec/tcp"),
        backends: "/route",
        identity: &["/destination/host", "/destination/subset"],
        service: None,
    },
    Shape {
        kind: "TraefikService",
        rules: None,
        backends: "/spec/weighted/services",
        identity: &["/name", "/namespace"],
        service: Some("/name"),
    },
    Shape {
        kind: "ApisixRoute",
        rules: Some("/spec/http"),
        backends: "/backends",
        identity: &["/serviceName"],
        service: Some("/serviceName"),
    },
    Shape {
        kind: "HTTPProxy",
        rules: Some("/spec/routes"),
        backends: "/services",
        identity: &["/name"],
        service: Some("/name"),
    },
];

/// Copies the weights, and the rules that the Rollout's controller added, from the live object.
pub(super) fn settle(wanted: &mut Value, live: &Value, routed: &Routed) {
    let kind = text(wanted, "/kind").to_owned();
    for shape in SHAPES.iter().filter(|shape| shape.kind == kind) {
        match shape.rules {
            Some(rules) => settle_rules(wanted, live, shape, rules, routed),
            None => copy_weights(wanted, live, shape, routed),
        }
    }
    if kind == "Route" {
        settle_openshift(wanted, live, routed);
    }
}

/// Pairs Git's rules with live ones that have the same backends, in order, and copies the weights; then
/// puts the managed rules where they are live. A rule that Git has given other backends, beside the Rollout's two,
/// is paired by those two.
fn settle_rules(wanted: &mut Value, live: &Value, shape: &Shape, rules: &str, routed: &Routed) {
    let Some(Value::Array(ours)) = wanted.pointer_mut(rules) else { return };
    let theirs = list(live, rules);
    let mut used = vec![false; theirs.len()];
    let mut paired = vec![false; ours.len()];
    for by_all in [true, false] {
        let names = |rule: &Value| {
            identities(rule, shape, |backend| {
                by_all || shape.service.is_some() && is_ours(backend, shape, routed)
            })
        };
        for (rule, paired) in ours.iter_mut().zip(&mut paired).filter(|(_, paired)| !**paired) {
            let backends = names(rule);
            let same = |(n, live): &(usize, &Value)| {
                !used[*n] && is_managed(live, routed) == is_managed(rule, routed) && names(live) == backends
            };
            let found = theirs.iter().enumerate().find(same).filter(|_| by_all || !backends.is_empty());
            if let Some((n, live_rule)) = found {
                (used[n], *paired) = (true, true);
                copy_weights(rule, live_rule, shape, routed);
                copy_experiments(rule, live_rule, live, shape);
            }
        }
    }
    for (n, rule) in theirs.iter().enumerate() {
        if is_managed(rule, routed) && !ours.iter().any(|own| text(own, "/name") == text(rule, "/name")) {
            ours.insert(n.min(ours.len()), rule.clone());
        }
    }
}

/// Whether a rule is one of a step: it has the name of a managed route, or that name and a number where a step adds
/// several.
fn is_managed(rule: &Value, routed: &Routed) -> bool {
    let name = text(rule, "/name");
    let number = |number: &str| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let numbered = name.rsplit_once('-').filter(|(_, end)| number(end));
    routed.managed.contains(name) || numbered.is_some_and(|(start, _)| routed.managed.contains(start))
}

fn identities(rule: &Value, shape: &Shape, counts: impl Fn(&Value) -> bool) -> BTreeSet<Vec<String>> {
    let backends = list(rule, shape.backends).iter().filter(|backend| counts(backend));
    backends.map(|backend| identity(backend, shape)).collect()
}

fn identity(backend: &Value, shape: &Shape) -> Vec<String> {
    shape.identity.iter().map(|part| text(backend, part).to_owned()).collect()
}

/// Whether the weight of a backend is the Rollout's and not Git's.
fn is_ours(backend: &Value, shape: &Shape, routed: &Routed) -> bool {
    let Some(service) = shape.service else { return true };
    routed.services.is_empty() || routed.services.contains(text(backend, service))
}

/// Copies the weight of each backend that is the Rollout's from the live one of the same name; a live backend without
/// a weight takes the weight away.
fn copy_weights(wanted: &mut Value, live: &Value, shape: &Shape, routed: &Routed) {
    let Some(Value::Array(backends)) = wanted.pointer_mut(shape.backends) else { return };
    for backend in backends.iter_mut().filter(|backend| is_ours(backend, shape, routed)) {
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

/// Puts the backends of Experiments where they are live: an annotation of the route names each as
/// `namespace/rollout/service`.
fn copy_experiments(wanted: &mut Value, live_rule: &Value, live: &Value, shape: &Shape) {
    let listed = text(live, "/metadata/annotations/tidegate.dev~1experiment-backends");
    let names = listed.split(',').filter_map(|one| one.trim().rsplit_once('/'));
    let names: BTreeSet<&str> = names.map(|(_, service)| service).collect();
    let Some(Value::Array(backends)) = wanted.pointer_mut(shape.backends) else { return };
    for backend in list(live_rule, shape.backends) {
        let is_there = backends.iter().any(|known| identity(known, shape) == identity(backend, shape));
        if names.contains(text(backend, "/name")) && !is_there {
            backends.push(backend.clone());
        }
    }
}

/// An OpenShift Route names one backend in `to` and the rest in `alternateBackends`. The Rollout's controller puts the
/// canary in and out of that list; the others in it are Git's.
fn settle_openshift(wanted: &mut Value, live: &Value, routed: &Routed) {
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
    let ours =
        |backend: &&Value| routed.services.is_empty() || routed.services.contains(text(backend, "/name"));
    let gits = spec.get("alternateBackends").and_then(Value::as_array).cloned().unwrap_or_default();
    let mut backends: Vec<Value> = gits.iter().filter(|backend| !ours(backend)).cloned().collect();
    for (n, backend) in list(live, "/spec/alternateBackends").iter().enumerate().filter(|(_, one)| ours(one))
    {
        backends.insert(n.min(backends.len()), backend.clone());
    }
    if backends.is_empty() {
        spec.remove("alternateBackends");
    } else {
        spec.insert("alternateBackends".to_owned(), Value::Array(backends));
    }
}
