//! Changes to the spec of a valid Rollout, and what the policy must say to them.

use serde_json::{Value, json};

fn canary(fields: Value) -> Value {
    json!({"strategy": {"canary": fields}})
}

fn blue_green(fields: Value) -> Value {
    json!({"strategy": {"canary": null, "blueGreen": fields}})
}

/// A canary of one step, behind a router with both Services unless the fields say otherwise.
fn step(router: Value, step: Value) -> Value {
    canary(json!({
        "stableService": "stable", "canaryService": "canary", "trafficRouting": router, "steps": [step],
    }))
}

fn nginx() -> Value {
    json!({"nginx": {"stableIngress": "shop"}})
}

fn istio() -> Value {
    json!({"istio": {"virtualService": {"name": "shop"}}})
}

fn plugin() -> Value {
    json!({"plugins": {"argoproj-labs/gatewayAPI": {"httpRoute": "shop"}}})
}

fn anti_affinity(fields: Value) -> Value {
    json!({ "antiAffinity": fields })
}

/// What is refused, and how the message begins.
pub(super) fn refused() -> Vec<(Value, &'static str)> {
    [spec(), services(), routers(), steps()].concat()
}

fn spec() -> Vec<(Value, &'static str)> {
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
    let no_containers = json!({"template": {"spec": {"containers": []}}});
    vec![
        (
            json!({"selector": null}),
            "spec.selector: Rollout has missing field '.spec.selector'; name the labels",
        ),
        (json!({"selector": {"matchLabels": null}}), "spec.selector: empty selector is invalid"),
        (
            json!({"selector": {"matchLabels": {"app": "other"}}}),
            "spec.template.metadata.labels: `selector` does",
        ),
        (
            json!({"selector": {"matchLabels": {"tier": "web"}}}),
            "spec.template.metadata.labels: `selector` does",
        ),
        (json!({"workloadRef": workload}), "spec.template: template must be empty for workload reference"),
        (no_containers, "spec.template.spec.containers: Required value; add a container"),
        (json!({"minReadySeconds": -5}), "spec.minReadySeconds: must be greater"),
        (json!({"revisionHistoryLimit": -1}), "spec.revisionHistoryLimit: must be greater"),
        (
            json!({"progressDeadlineSeconds": -1}),
            "spec.progressDeadlineSeconds: must be greater than or equal to 0",
        ),
        (
            json!({"progressDeadlineSeconds": 10, "minReadySeconds": 10}),
            "spec.progressDeadlineSeconds: must be greater than minReadySeconds",
        ),
        (
            json!({"minReadySeconds": 600}),
            "spec.progressDeadlineSeconds: must be greater than minReadySeconds",
        ),
        (json!({"strategy": {"canary": null}}), "spec.strategy.strategy: Rollout has missing field"),
        (
            json!({"strategy": {"blueGreen": {"activeService": "a"}}}),
            "spec.strategy.strategy: Multiple Strategies",
        ),
        (
            canary(json!({"maxSurge": 0, "maxUnavailable": "0%"})),
            "spec.strategy.canary.maxSurge: MaxSurge and MaxUnavailable both can not be zero",
        ),
        (
            canary(anti_affinity(json!({}))),
            "spec.strategy.canary.antiAffinity: AntiAffinity must have exactly one",
        ),
        (
            canary(anti_affinity(
                json!({"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 101}}),
            )),
            "spec.strategy.canary.antiAffinity.weight: AntiAffinity weight must be between 1-100",
        ),
        (
            blue_green(json!({"activeService": "a", "antiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": {"weight": 1},
                "requiredDuringSchedulingIgnoredDuringExecution": {},
            }})),
            "spec.strategy.blueGreen.antiAffinity: AntiAffinity must have exactly one",
        ),
        (
            blue_green(json!({"activeService": "a", "antiAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": {"weight": 0},
            }})),
            "spec.strategy.blueGreen.antiAffinity.weight: AntiAffinity weight must be between 1-100",
        ),
    ]
}

fn services() -> Vec<(Value, &'static str)> {
    let same = "spec.strategy.canary.stableService: This rollout uses the same service";
    let both = "spec.strategy.canary: Canary service and Stable service must to be set";
    vec![
        (
            blue_green(json!({"activeService": "a", "previewService": "a"})),
            "spec.strategy.blueGreen.activeService: This rollout uses the same service",
        ),
        (
            blue_green(json!({"activeService": "a", "scaleDownDelayRevisionLimit": 11})),
            "spec.strategy.blueGreen.scaleDownDelayRevisionLimit: This rollout's revision history limit",
        ),
        (canary(json!({"stableService": "a", "canaryService": "a"})), same),
        (canary(json!({"trafficRouting": nginx()})), both),
        (canary(json!({"trafficRouting": istio(), "stableService": "a"})), both),
    ]
}

fn routers() -> Vec<(Value, &'static str)> {
    let services = json!({"pingService": "ping", "pongService": "pong"});
    let behind = |router: Value, more: Value| {
        let mut all = json!({"stableService": "stable", "canaryService": "canary", "trafficRouting": router});
        super::merge(&mut all, &more);
        canary(all)
    };
    vec![
        (
            behind(nginx(), json!({"pingPong": services})),
            "spec.strategy.canary.pingPong: Ping-pong feature works with",
        ),
        (
            canary(json!({"pingPong": {"pingService": "ping", "pongService": "ping"}})),
            "spec.strategy.canary.pingPong: Ping service and Pong service must to be set",
        ),
        (
            behind(json!({"alb": {"ingress": "shop", "servicePort": 80}}), json!({"pingPong": services})),
            "spec.strategy.canary.trafficRouting.alb.rootService: Root service field is required",
        ),
        (
            canary(json!({"scaleDownDelaySeconds": 5})),
            "spec.strategy.canary.scaleDownDelaySeconds: Canary scaleDownDelaySeconds can only be used",
        ),
        (
            canary(json!({"dynamicStableScale": true})),
            "spec.strategy.canary.dynamicStableScale: Canary dynamicStableScale can only be used",
        ),
        (
            behind(nginx(), json!({"dynamicStableScale": true, "scaleDownDelaySeconds": 5})),
            "spec.strategy.canary.dynamicStableScale: Canary dynamicStableScale cannot be used with",
        ),
        (
            behind(istio(), json!({"trafficRouting": {"maxTrafficWeight": 1000}})),
            "spec.strategy.canary.trafficRouting.maxTrafficWeight: Canary maxTrafficWeight in traffic routing only",
        ),
        (
            behind(nginx(), json!({"trafficRouting": {"maxTrafficWeight": 0}, "steps": []})),
            "spec.strategy.canary.trafficRouting.maxTrafficWeight: Canary maxTrafficWeight must be greater than 0",
        ),
    ]
}

fn steps() -> Vec<(Value, &'static str)> {
    let one = "spec.strategy.canary.steps[]: Step must have one of the following set";
    let pause = "spec.strategy.canary.steps[].pause.duration: Duration needs to be greater than 0";
    let steps = |steps: Value| canary(json!({ "steps": steps }));
    let exact = json!([{"headerName": "x", "headerValue": {"exact": "y"}}]);
    let header = json!({"setHeaderRoute": {"name": "early", "match": exact}});
    let mirror =
        json!({"setMirrorRoute": {"name": "copy", "percentage": 10, "match": [{"path": {"prefix": "/"}}]}});
    let wide = json!({"nginx": {"stableIngress": "shop"}, "maxTrafficWeight": 1000});
    let experiment = json!({"experiment": {"templates": [{"name": "a", "specRef": "canary", "weight": 5}]}});
    vec![
        (steps(json!([{"setWeight": 10, "pause": {}}])), one),
        (steps(json!([{"setWeight": 10}, {}])), one),
        (
            steps(json!([{"setWeight": 10}, {"setWeight": 400}])),
            "spec.strategy.canary.steps[].setWeight: SetWeight needs to be between 0 and 100",
        ),
        (
            step(wide, json!({"setWeight": 1001})),
            "spec.strategy.canary.steps[].setWeight: SetWeight needs to be between 0 and 1000",
        ),
        (steps(json!([{"pause": {"duration": "soon"}}])), pause),
        (steps(json!([{"pause": {"duration": "-5s"}}])), pause),
        (steps(json!([{"pause": {"duration": -5}}])), pause),
        (
            steps(json!([{"setCanaryScale": {"replicas": 1}}])),
            "spec.strategy.canary.trafficRouting: SetCanaryScale requires TrafficRouting",
        ),
        (
            step(nginx(), header.clone()),
            "spec.strategy.canary.steps[].setHeaderRoute: SetHeaderRoute requires",
        ),
        (step(nginx(), mirror), "spec.strategy.canary.steps[].setMirrorRoute: SetMirrorRoute requires"),
        (step(istio(), header), "spec.strategy.canary.steps[]: Steps define a route that does not exist"),
        (
            step(nginx(), experiment),
            "spec.strategy.canary.steps[].experiment.templates[].weight: Experiment template weight is only available",
        ),
    ]
}

/// What must be let through.
pub(super) fn accepted() -> Vec<Value> {
    let workload = json!({"apiVersion": "apps/v1", "kind": "Deployment", "name": "shop"});
    let pauses = json!([
        {"pause": {}}, {"pause": {"duration": 0}}, {"pause": {"duration": 90}}, {"pause": {"duration": "90"}},
        {"pause": {"duration": "1h30m"}}, {"pause": {"duration": "1.5s"}}, {"pause": {"duration": "+0"}},
        {"pause": {"duration": "10ms"}},
    ]);
    let mut managed = istio();
    managed["managedRoutes"] = json!([{"name": "early"}, {"name": "copy"}]);
    let exact = json!([{"headerName": "x", "headerValue": {"exact": "y"}}]);
    let mut wide = plugin();
    wide["maxTrafficWeight"] = json!(1000);
    vec![
        json!({}),
        json!({"workloadRef": workload, "selector": null, "template": null}),
        json!({"replicas": null, "minReadySeconds": 5, "revisionHistoryLimit": 0, "progressDeadlineSeconds": 6}),
        json!({"selector": {"matchLabels": null, "matchExpressions": [{"key": "app", "operator": "Exists"}]}}),
        canary(json!({"steps": null})),
        canary(json!({"steps": pauses})),
        canary(json!({"maxSurge": "25%", "maxUnavailable": 0})),
        canary(json!({"maxSurge": 0, "maxUnavailable": 1})),
        canary(anti_affinity(json!({"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 100}}))),
        canary(anti_affinity(json!({"requiredDuringSchedulingIgnoredDuringExecution": {}}))),
        blue_green(json!({"activeService": "a"})),
        blue_green(json!({"activeService": "a", "previewService": "b", "scaleDownDelayRevisionLimit": 10})),
        step(nginx(), json!({"setWeight": 0})),
        step(nginx(), json!({"setWeight": 100})),
        step(nginx(), json!({"setCanaryScale": {"matchTrafficWeight": true}})),
        step(wide, json!({"setWeight": 1000})),
        step(managed.clone(), json!({"setHeaderRoute": {"name": "early", "match": exact}})),
        step(
            managed,
            json!({"setMirrorRoute": {"name": "copy", "percentage": 10, "match": [{"path": {"prefix": "/"}}]}}),
        ),
        step(
            istio(),
            json!({"experiment": {"templates": [{"name": "a", "specRef": "canary", "weight": 5}]}}),
        ),
        step(nginx(), json!({"analysis": {"templates": [{"templateName": "rate"}]}})),
        canary(
            json!({"trafficRouting": nginx(), "stableService": "a", "canaryService": "b", "dynamicStableScale": true}),
        ),
        canary(json!({"trafficRouting": plugin(), "pingPong": {"pingService": "a", "pongService": "b"}})),
    ]
}
