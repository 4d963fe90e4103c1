//! The states in which one controller leaves objects to the other: how each is reached, and how it goes on from there.

mod blue_green;
mod canary;
mod routed;
mod runs;

use serde_json::{Value, json};

use super::super::shop::is_current;

/// The kind that most states are about.
const ROLLOUT: (&str, &str) = ("argoproj.io/v1alpha1", "Rollout");
/// Stands for the address of the cluster's Prometheus.
pub(super) const PROMETHEUS: &str = "PROMETHEUS";
/// Longer than any test: what waits for so long waits. Upstream forgets the delay after an abort where it is longer than the
/// 900 s after which it looks again anyway.
const LONG: i64 = 800;

type Kind = (&'static str, &'static str);
type Holds = Box<dyn Fn(&Value) -> bool + Send + Sync>;

/// One state.
pub(super) struct State {
    pub(super) name: &'static str,
    /// Whether the short run looks at it.
    pub(super) short: bool,
    pub(super) objects: Vec<Value>,
    /// From the objects' creation to the state.
    pub(super) way: Vec<Move>,
    /// From the state to its end.
    pub(super) onward: Vec<Move>,
    /// Whether upstream moves the canary Service to and fro for as long as it runs: after an abort, while the canary has pods.
    pub(super) is_restless: bool,
}

/// What somebody does or waits for.
pub(super) enum Move {
    /// A command of upstream's plugin; `{}` is the state's name.
    Type(&'static str),
    Merge(Kind, String, Value),
    Until(Kind, String, &'static str, Holds),
}

/// All states.
pub(super) fn all() -> Vec<State> {
    [canary::states(), routed::states(), blue_green::states(), runs::states()].into_iter().flatten().collect()
}

/// The templates of all the states' analysis.
pub(super) fn shared() -> Vec<Value> {
    let query = |conditions: Value| {
        let prometheus = json!({"address": PROMETHEUS, "query": "vector(1)"});
        let mut metric = json!({"name": "one", "interval": "1h", "provider": {"prometheus": prometheus}});
        json_patch(&mut metric, conditions);
        metric
    };
    vec![
        template("hourly", query(json!({"successCondition": "result[0] >= 1"}))),
        template("twice", query(json!({"successCondition": "result[0] >= 1", "count": 2}))),
        template("once", query(json!({"successCondition": "result[0] >= 1", "interval": null}))),
        template("fails", query(json!({"successCondition": "result[0] > 1", "interval": null}))),
        template(
            "unclear",
            query(
                json!({"successCondition": "result[0] > 1", "failureCondition": "result[0] < 1", "interval": null}),
            ),
        ),
    ]
}

fn template(name: &str, metric: Value) -> Value {
    json!({
        "apiVersion": "argoproj.io/v1alpha1", "kind": "AnalysisTemplate",
        "metadata": {"name": name}, "spec": {"metrics": [metric]},
    })
}

/// Sets fields, and removes those that are null.
fn json_patch(target: &mut Value, patch: Value) {
    for (name, value) in patch.as_object().into_iter().flatten() {
        match target.as_object_mut() {
            Some(fields) if value.is_null() => drop(fields.remove(name)),
            Some(fields) => drop(fields.insert(name.clone(), value.clone())),
            None => {}
        }
    }
}

impl State {
    fn new(name: &'static str, objects: Vec<Value>) -> Self {
        Self { name, short: false, objects, way: Vec::new(), onward: Vec::new(), is_restless: false }
    }

    /// A Rollout at its first version, with the Services and Ingresses that its strategy names.
    fn rollout(name: &'static str, replicas: i64, strategy: Value) -> Self {
        let mut objects = around(&strategy);
        objects.push(json!({
            "apiVersion": ROLLOUT.0, "kind": ROLLOUT.1, "metadata": {"name": "{}"},
            "spec": {
                "replicas": replicas, "selector": {"matchLabels": {"app": "{}"}},
                "template": pods("v1"), "strategy": strategy,
            },
        }));
        let objects = objects.iter().map(|object| filled(object, "{}", name)).collect();
        Self::new(name, objects).until("Healthy", healthy)
    }

    fn short(self) -> Self {
        Self { short: true, ..self }
    }

    fn restless(self) -> Self {
        Self { is_restless: true, ..self }
    }

    /// Sets fields of the Rollout's spec.
    fn spec(mut self, patch: Value) -> Self {
        let rollout = self.objects.iter_mut().find(|object| object["kind"] == ROLLOUT.1);
        if let Some(rollout) = rollout {
            json_patch(&mut rollout["spec"], filled(&patch, "{}", self.name));
        }
        self
    }

    fn types(mut self, line: &'static str) -> Self {
        self.way.push(Move::Type(line));
        self
    }

    fn ships(self) -> Self {
        self.types("set image {} app=tidegate.dev/app:v2")
    }

    fn merges(mut self, kind: Kind, name: &str, patch: Value) -> Self {
        self.way.push(Move::Merge(kind, name.to_owned(), patch));
        self
    }

    fn until(self, what: &'static str, holds: impl Fn(&Value) -> bool + Send + Sync + 'static) -> Self {
        let name = self.name.to_owned();
        self.until_of(ROLLOUT, &name, what, holds)
    }

    fn until_of(
        mut self,
        kind: Kind,
        name: &str,
        what: &'static str,
        holds: impl Fn(&Value) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.way.push(Move::Until(kind, name.to_owned(), what, Box::new(holds)));
        self
    }

    /// Ships a version and waits for a pause with this reason.
    fn paused_for(self, reason: &'static str) -> Self {
        self.ships().until("paused", move |rollout| paused(rollout, reason))
    }

    /// The commands that bring it from the state to its healthy end. What speaks of an update comes after the controller
    /// has seen it: a promotion before that speaks of the one before.
    fn onward(mut self, lines: &[&'static str]) -> Self {
        let until = |name: &str, what, holds: fn(&Value) -> bool| {
            Move::Until(ROLLOUT, name.to_owned(), what, Box::new(holds))
        };
        for line in lines {
            self.onward.push(Move::Type(line));
            if line.starts_with("set image") {
                self.onward.push(until(self.name, "seen with its image", is_current));
            }
        }
        self.onward.push(until(self.name, "Healthy in the end", healthy));
        self
    }
}

/// Fills a text in wherever its place stands.
pub(super) fn filled(value: &Value, place: &str, text: &str) -> Value {
    match value {
        Value::String(known) => Value::String(known.replace(place, text)),
        Value::Array(items) => items.iter().map(|item| filled(item, place, text)).collect(),
        Value::Object(fields) => {
            fields.iter().map(|(key, value)| (key.clone(), filled(value, place, text))).collect()
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
    }
}

/// A pod template of one version.
fn pods(version: &str) -> Value {
    json!({
        "metadata": {"labels": {"app": "{}"}},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [{
                "name": "app", "image": format!("tidegate.dev/app:{version}"), "ports": [{"containerPort": 8080}],
            }],
        },
    })
}

/// The Services and Ingresses that a strategy names.
fn around(strategy: &Value) -> Vec<Value> {
    let fields = strategy.as_object().into_iter().flatten().filter_map(|(_, one)| one.as_object());
    let mut objects = Vec::new();
    for (field, value) in fields.flatten() {
        let Some(service) = value.as_str().filter(|_| field.ends_with("Service")) else { continue };
        objects.push(json!({
            "apiVersion": "v1", "kind": "Service", "metadata": {"name": service},
            "spec": {"selector": {"app": "{}"}, "ports": [{"port": 80, "targetPort": 8080}]},
        }));
    }
    let nginx = &strategy["canary"]["trafficRouting"]["nginx"];
    let several = nginx["stableIngresses"].as_array().into_iter().flatten();
    for (index, ingress) in several.chain(nginx.get("stableIngress")).enumerate() {
        let host = ["{}-", &index.to_string(), ".example.com"].concat();
        let backend = json!({"service": {"name": "{}-stable", "port": {"number": 80}}});
        objects.push(json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "Ingress", "metadata": {"name": ingress},
            "spec": {"ingressClassName": "nginx", "rules": [{
                "host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]},
            }]},
        }));
    }
    objects
}

/// At rest with one version everywhere, and the status says so of the newest spec.
fn healthy(rollout: &Value) -> bool {
    let status = &rollout["status"];
    status["phase"] == "Healthy" && status["stableRS"] == status["currentPodHash"] && is_current(rollout)
}

/// Paused by the controller for this reason, and its conditions say so as well, which a write of its own follows up.
fn paused(rollout: &Value, reason: &str) -> bool {
    let status = &rollout["status"];
    let pauses = status["pauseConditions"].as_array().into_iter().flatten();
    status["phase"] == "Paused"
        && is_current(rollout)
        && pauses.into_iter().any(|pause| pause["reason"] == reason)
        && condition(rollout, "Paused") == Some(("True", "RolloutPaused"))
}

/// Status and reason of a condition.
fn condition<'a>(object: &'a Value, kind: &str) -> Option<(&'a str, &'a str)> {
    let all = object["status"]["conditions"].as_array()?;
    let found = all.iter().find(|condition| condition["type"] == kind)?;
    Some((found["status"].as_str()?, found["reason"].as_str()?))
}

/// Degraded, and the message begins so.
fn degraded(rollout: &Value, message: &str) -> bool {
    let status = &rollout["status"];
    status["phase"] == "Degraded"
        && is_current(rollout)
        && status["message"].as_str().is_some_and(|text| text.starts_with(message))
}

#[cfg(test)]
mod unit {
    use std::collections::BTreeSet;

    use super::all;

    #[test]
    fn every_state_has_a_name_of_its_own_and_an_end() {
        let states = all();
        let names: BTreeSet<&str> = states.iter().map(|state| state.name).collect();
        assert_eq!(names.len(), states.len());
        let endless: Vec<&str> =
            states.iter().filter(|state| state.onward.is_empty()).map(|state| state.name).collect();
        assert!(endless.is_empty(), "{endless:?}");
    }
}
