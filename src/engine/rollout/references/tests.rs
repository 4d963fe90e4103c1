use std::sync::Arc;

use serde_json::{Value, json};
use tidegate_api::analysis::AnalysisTemplateSpec;

use super::*;
use crate::plan::Reference;
use crate::rollout::world::TemplateKey;

/// A World of one Rollout and some objects around it.
fn world(strategy: Value, objects: &[Value]) -> World {
    let rollout = serde_json::from_value(json!({
        "metadata": {"name": "shop", "namespace": "web", "uid": "r1"},
        "spec": {
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {"metadata": {"labels": {"app": "shop", "part": "web"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
            "strategy": strategy,
        },
    }))
    .unwrap();
    let mut world = World::of(rollout, "2026-01-01T12:00:00Z".parse().unwrap());
    for object in objects {
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        match object["kind"].as_str().unwrap() {
            "Service" => drop(world.services.insert(name, Arc::new(Service::parse(object)))),
            "Ingress" => {
                let reference = Reference::new("networking.k8s.io/v1", "Ingress", name);
                world.routes.insert(reference, Arc::new(object.clone()));
            }
            kind => {
                let key = TemplateKey { cluster: kind == "ClusterAnalysisTemplate", name };
                let spec: AnalysisTemplateSpec = serde_json::from_value(object["spec"].clone()).unwrap();
                world.templates.insert(key, Arc::new(spec.into()));
            }
        }
    }
    world
}

fn texts(strategy: &Value, objects: &[Value], sight: Sight) -> Vec<String> {
    faults(&world(strategy.clone(), objects), sight).iter().map(ToString::to_string).collect()
}

fn service(name: &str, selector: Value, owner: Option<&str>) -> Value {
    let annotations = owner.map_or(json!({}), |owner| json!({MANAGED_BY: owner}));
    json!({"kind": "Service", "metadata": {"name": name, "annotations": annotations}, "spec": {"selector": selector}})
}

fn template(kind: &str, name: &str, spec: Value) -> Value {
    json!({"kind": kind, "metadata": {"name": name}, "spec": spec})
}

fn ingress(name: &str, service: &str) -> Value {
    let path = json!({"path": "/", "backend": {"service": {"name": service}}});
    json!({"kind": "Ingress", "metadata": {"name": name}, "spec": {"rules": [{"http": {"paths": [path]}}]}})
}

fn services() -> Vec<Value> {
    vec![service("s", json!({"app": "shop"}), None), service("c", json!({"app": "shop"}), Some("shop"))]
}

fn nginx(config: Value) -> Value {
    json!({"canary": {"stableService": "s", "canaryService": "c", "trafficRouting": {"nginx": config}}})
}

fn step(templates: Value, args: Value) -> Value {
    json!({"canary": {"steps": [{"analysis": {"templates": templates, "args": args}}]}})
}

fn counted(query: &str) -> Value {
    json!([{"name": "m", "provider": {"prometheus": {"query": query}}}])
}

#[test]
fn services_must_exist_fit_and_belong_to_nobody_else() {
    let canary = json!({"canary": {"stableService": "s", "canaryService": "c", "pingPong": {"pingService": "pi", "pongService": "po"}}});
    assert_eq!(
        texts(&canary, &[], Sight::Cluster),
        [
            "spec.strategy.canary.stableService: Invalid value: \"s\": service \"s\" not found",
            "spec.strategy.canary.canaryService: Invalid value: \"c\": service \"c\" not found",
            "spec.strategy.canary.pingPong.pingService: Invalid value: \"pi\": service \"pi\" not found",
            "spec.strategy.canary.pingPong.pongService: Invalid value: \"po\": service \"po\" not found",
        ]
    );
    assert_eq!(texts(&canary, &[], Sight::Files), [""; 0], "a file need not hold everything");
    let blue_green = json!({"blueGreen": {"activeService": "a", "previewService": "p", "activeMetadata": {"labels": {"role": "active"}}}});
    let selector = json!({"app": "shop", "role": "active", "tier": "web", HASH_LABEL: "any"});
    let objects = [service("a", selector.clone(), None), service("p", selector, Some("cart"))];
    assert_eq!(
        texts(&blue_green, &objects, Sight::Cluster),
        [
            "spec.strategy.blueGreen.activeService: Invalid value: \"a\": Service \"a\" has unmatch label \"role\" in rollout",
            "spec.strategy.blueGreen.activeService: Invalid value: \"a\": Service \"a\" has unmatch label \"tier\" in rollout",
            "spec.strategy.blueGreen.previewService: Invalid value: \"p\": Service \"p\" has unmatch label \"role\" in rollout",
            "spec.strategy.blueGreen.previewService: Invalid value: \"p\": Service \"p\" has unmatch label \"tier\" in rollout",
            "spec.strategy.blueGreen.previewService: Invalid value: \"p\": Service \"p\" is managed by another Rollout",
        ]
    );
}

/// The Service moves before the pods have the label, or loses them with it.
#[test]
fn services_select_by_no_label_that_a_role_changes() {
    let told = "Service \"a\" selects pods by label \"part\", which changes with their role, and would have none for a moment: \
                remove it from the selector, the controller adds the revision";
    let objects = [service("a", json!({"app": "shop", "part": "web"}), None)];
    for (role, want) in [
        (json!({"activeMetadata": {"labels": {"part": "live"}}}), Some(told)),
        (json!({"previewMetadata": {"labels": {"part": "next"}}}), Some(told)),
        (json!({"previewMetadata": {"labels": {"part": "web", "role": "next"}}}), None),
    ] {
        let mut strategy = json!({"blueGreen": {"activeService": "a"}});
        json_patch::merge(&mut strategy["blueGreen"], &role);
        let want: Vec<String> = want
            .map(|told| format!("spec.strategy.blueGreen.activeService: Invalid value: \"a\": {told}"))
            .into_iter()
            .collect();
        assert_eq!(texts(&strategy, &objects, Sight::Cluster), want, "{role}");
    }
}

#[test]
fn ingresses_must_be_named_one_way_exist_and_reach_the_stable_service() {
    let path = "spec.strategy.canary.trafficRouting.nginx";
    let one = nginx(json!({"stableIngress": "shop"}));
    let several = nginx(json!({"stableIngresses": ["shop", "api"]}));
    let with = |ingresses: &[Value]| [services(), ingresses.to_vec()].concat();
    for (strategy, objects, want) in [
        (
            nginx(json!({})),
            with(&[]),
            format!(
                "{path}: Internal error: Either StableIngress or StableIngresses must be configured. Neither are configured."
            ),
        ),
        (
            nginx(json!({"stableIngress": "shop", "stableIngresses": ["api"]})),
            with(&[]),
            format!(
                "{path}: Internal error: Either StableIngress or StableIngresses must be configured. Both are configured."
            ),
        ),
        (
            one.clone(),
            with(&[]),
            format!(
                "{path}.stableIngress: Invalid value: \"shop\": ingress.networking.k8s.io \"shop\" not found"
            ),
        ),
        (
            several.clone(),
            with(&[ingress("shop", "other")]),
            format!(
                "{path}.StableIngresses: Invalid value: [\"shop\",\"api\"]: ingress.networking.k8s.io \"api\" not found"
            ),
        ),
        (
            one,
            with(&[ingress("shop", "other")]),
            format!(
                "{path}.stableIngress: Invalid value: \"shop\": ingress `shop` has no rules using service s backend"
            ),
        ),
        (
            several,
            with(&[ingress("shop", "s"), ingress("api", "other")]),
            format!(
                "{path}.stableIngresses: Invalid value: \"api\": ingress `api` has no rules using service s backend"
            ),
        ),
    ] {
        assert_eq!(texts(&strategy, &objects, Sight::Cluster), [want], "{strategy}");
    }
    let alb = json!({"canary": {"trafficRouting": {"alb": {"servicePort": 80}}}});
    assert_eq!(
        texts(&alb, &[], Sight::Files),
        [
            "spec.strategy.canary.trafficRouting.alb: Internal error: Either Ingress or Ingresses must be configured. Neither are configured."
        ]
    );
    let istio = json!({"canary": {"trafficRouting": {"istio": {"virtualService": {"name": "v"}, "virtualServices": [{"name": "w"}]}}}});
    assert_eq!(
        texts(&istio, &[], Sight::Files),
        [
            "spec.strategy.canary.trafficRouting.istio: Internal error: either VirtualService or VirtualServices must be configured"
        ]
    );
}

#[test]
fn templates_must_exist_with_all_that_they_include() {
    let strategy =
        step(json!([{"templateName": "a"}, {"templateName": "b", "clusterScope": true}]), json!([]));
    let path = "spec.strategy.canary.steps[0].analysis.templates";
    let a = template("AnalysisTemplate", "a", json!({"metrics": counted("up")}));
    assert_eq!(
        texts(&strategy, &[], Sight::Cluster),
        [format!("{path}: Invalid value: \"a\": AnalysisTemplate 'a' not found")]
    );
    assert_eq!(
        texts(&strategy, std::slice::from_ref(&a), Sight::Cluster),
        [format!("{path}: Invalid value: \"b\": ClusterAnalysisTemplate 'b' not found")]
    );
    let b = template("ClusterAnalysisTemplate", "b", json!({"templates": [{"templateName": "c"}]}));
    assert_eq!(
        texts(&strategy, &[a, b], Sight::Cluster),
        ["spec.templates: Invalid value: \"c\": AnalysisTemplate 'c' not found"]
    );
}

#[test]
fn analyses_must_fit_and_end() {
    let named = json!([{"templateName": "a"}]);
    let path = "spec.strategy.canary.steps[0].analysis.templates";
    let a = |spec: Value| [template("AnalysisTemplate", "a", spec)];
    let endless = json!([{"name": "m", "interval": "1m", "provider": {"prometheus": {"query": "up"}}}]);
    for (objects, want) in [
        (
            a(json!({"metrics": counted("up"), "args": [{"name": "host"}]})),
            format!("{path}: Invalid value: \"templateNames: [a]\": args.host was not resolved"),
        ),
        (
            a(json!({"metrics": counted("{{args.host}}")})),
            format!("{path}: Invalid value: \"a\": AnalysisTemplate a: failed to resolve {{{{args.host}}}}"),
        ),
        (
            a(json!({"metrics": endless})),
            format!(
                "{path}: Invalid value: \"a\": AnalysisTemplate a has metric m which runs indefinitely. Invalid value for count: <nil>"
            ),
        ),
    ] {
        assert_eq!(texts(&step(named.clone(), json!([])), &objects, Sight::Cluster), [want]);
    }
    let given = step(named.clone(), json!([{"name": "host", "value": "x"}]));
    let asks = a(json!({"metrics": counted("{{args.host}}"), "args": [{"name": "host"}]}));
    assert_eq!(texts(&given, &asks, Sight::Cluster), [""; 0]);
    let background = json!({"canary": {"analysis": {"templates": named}}});
    assert_eq!(texts(&background, &a(json!({"metrics": endless})), Sight::Cluster), [""; 0]);
    let promotion = json!({"blueGreen": {"activeService": "", "prePromotionAnalysis": {"templates": named}}});
    assert_eq!(
        texts(&promotion, &a(json!({"metrics": endless})), Sight::Cluster)[0].split(": ").next().unwrap(),
        "spec.strategy.blueGreen.prePromotionAnalysis.templates"
    );
}

#[test]
fn a_count_is_looked_at_with_its_argument() {
    let named = json!([{"templateName": "a"}]);
    let path = "spec.strategy.canary.steps[0].analysis.templates";
    let metric = json!([{
        "name": "m", "interval": "1m", "count": "{{args.count}}", "provider": {"prometheus": {"query": "up"}},
    }]);
    let a = [template("AnalysisTemplate", "a", json!({"metrics": metric, "args": [{"name": "count"}]}))];
    let given = |value: &str| json!([{"name": "count", "value": value}]);
    for count in ["0", "many", ""] {
        let why = format!(
            "{path}: Invalid value: \"a\": AnalysisTemplate a has metric m which runs indefinitely. Invalid value for count: {count}"
        );
        assert_eq!(texts(&step(named.clone(), given(count)), &a, Sight::Cluster), [why]);
    }
    assert_eq!(texts(&step(named.clone(), given("3")), &a, Sight::Cluster), [""; 0]);
    let background = json!({"canary": {"analysis": {"templates": named, "args": given("0")}}});
    assert_eq!(texts(&background, &a, Sight::Cluster), [""; 0]);
}

#[test]
fn a_field_that_comes_later_is_no_fault_of_the_spec() {
    let named = json!([{"templateName": "a"}]);
    let metric = json!([{
        "name": "m", "interval": "1m", "count": "{{args.x}}", "provider": {"prometheus": {"query": "{{args.x}}"}},
    }]);
    let a = [template("AnalysisTemplate", "a", json!({"metrics": metric, "args": [{"name": "x"}]}))];
    let given = |path: &str| json!([{"name": "x", "valueFrom": {"fieldRef": {"fieldPath": path}}}]);
    for path in ["status.stableRS", "status.alb.loadBalancer.name", "status.canary.weights.canary.weight"] {
        assert_eq!(texts(&step(named.clone(), given(path)), &a, Sight::Cluster), [""; 0], "{path}");
    }
    let once = [template(
        "AnalysisTemplate",
        "a",
        json!({"metrics": counted("{{args.x}}"), "args": [{"name": "x"}]}),
    )];
    let missing = "metadata.labels['missing']";
    assert_eq!(texts(&step(named.clone(), given(missing)), &once, Sight::Cluster), [""; 0]);
    let said = texts(&step(named, given("metadata.generation")), &once, Sight::Cluster);
    assert!(said[0].ends_with("args.x: unsupported fieldPath: metadata.generation"), "{said:?}");
}

#[test]
fn what_is_missing_comes_before_what_does_not_fit() {
    let mut strategy = nginx(json!({"stableIngress": "shop"}));
    strategy["canary"]["steps"] = json!([{"analysis": {"templates": [{"templateName": "a"}]}}]);
    let unfit = [service("s", json!({"app": "cart"}), None), service("c", json!({"app": "shop"}), None)];
    let said = texts(&strategy, &unfit, Sight::Cluster);
    assert_eq!(said.len(), 2, "{said:?}");
    assert!(said[0].contains("AnalysisTemplate 'a' not found") && said[1].contains("\"shop\" not found"));
}
