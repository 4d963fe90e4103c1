use super::*;
use crate::raw::PodTemplate;
use serde_json::{Value, json};

/// A valid Rollout with changes, each a JSON pointer below `spec` and its new value; null removes.
fn rollout(changes: &[(&str, Value)]) -> Rollout {
    let mut object = json!({
        "metadata": {"name": "shop", "namespace": "default"},
        "spec": {
            "replicas": 10,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {
                "metadata": {"labels": {"app": "shop"}},
                "spec": {"containers": [{"name": "shop", "image": "shop:1"}]}
            },
            "strategy": {"canary": {"steps": [{"setWeight": 20}, {"pause": {}}]}}
        }
    });
    for (pointer, value) in changes {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let mut place = &mut object["spec"];
        for name in parent.split('/').filter(|name| !name.is_empty()) {
            place = match name.parse::<usize>() {
                Ok(index) => &mut place[index],
                Err(_) => &mut place[name],
            };
        }
        place[key] = value.clone();
    }
    crate::tolerant::decode(object).unwrap().0
}

fn errors(changes: &[(&str, Value)]) -> Vec<String> {
    validate(&rollout(changes)).err().unwrap_or_default().iter().map(ToString::to_string).collect()
}

fn canary(changes: &[(&str, Value)]) -> ValidCanary {
    validate(&rollout(changes)).unwrap().canary().unwrap().clone()
}

/// Changes to a valid Rollout, and the errors they lead to, in order.
type Case<'a> = (&'a [(&'a str, Value)], &'a [&'a str]);

const CANARY: &str = "/strategy/canary";
const ONE_ACTION: &str =
    "Step must have one of the following set: experiment, setWeight, setCanaryScale, plugin or pause";
const SERVICES: &str = "Canary service and Stable service must to be set to use Traffic Routing";

#[test]
fn a_usual_rollout_is_valid() {
    assert_eq!(errors(&[]), [""; 0]);
}

#[test]
fn the_top_level_is_checked_in_upstreams_order() {
    let no_selector = "spec.selector: Required value: Rollout has missing field '.spec.selector'";
    let mismatch = "spec.template.metadata.labels: Invalid value: {\"app\":\"shop\"}: \
                    `selector` does not match template `labels`";
    let cases: &[Case<'_>] = &[
        (
            &[("/replicas", json!(-1))],
            &["spec.replicas: Invalid value: -1: must be greater than or equal to 0"],
        ),
        (&[("/selector", Value::Null)], &[no_selector, mismatch]),
        (
            &[("/selector", json!({}))],
            &["spec.selector: Invalid value: {}: empty selector is invalid for deployment"],
        ),
        (&[("/selector", json!({"matchLabels": {"app": "other"}}))], &[mismatch]),
        (
            &[("/selector", json!({"matchExpressions": [{"key": "app", "operator": "In"}]}))],
            &[
                "spec.selector.matchExpressions[0].values: Required value: \
                 must be specified when `operator` is 'In' or 'NotIn'",
                "spec.selector: Invalid value: {\"matchExpressions\":[{\"key\":\"app\",\"operator\":\"In\"}]}: \
                 invalid label selector",
            ],
        ),
        (
            &[("/minReadySeconds", json!(-5)), ("/revisionHistoryLimit", json!(-1))],
            &[
                "spec.minReadySeconds: Invalid value: -5: must be greater than or equal to 0",
                "spec.revisionHistoryLimit: Invalid value: -1: must be greater than or equal to 0",
            ],
        ),
        (
            &[("/progressDeadlineSeconds", json!(10)), ("/minReadySeconds", json!(10))],
            &["spec.progressDeadlineSeconds: Invalid value: 10: must be greater than minReadySeconds"],
        ),
        (
            &[("/strategy", json!({}))],
            &["spec.strategy.strategy: Required value: \
               Rollout has missing field '.spec.strategy.canary or .spec.strategy.blueGreen'"],
        ),
        (
            &[("/strategy/blueGreen", json!({"activeService": "a"}))],
            &["spec.strategy.strategy: Invalid value: \"blueGreen: true canary: true\": \
               Multiple Strategies can not be listed"],
        ),
        (
            &[("/workloadRef", json!({"kind": "Deployment", "name": "shop"}))],
            &["spec.template: Internal error: template must be empty for workload reference rollout"],
        ),
        (
            &[
                ("/workloadRef", json!({"kind": "Deployment"})),
                ("/template", Value::Null),
                ("/selector", Value::Null),
            ],
            &[],
        ),
    ];
    for (changes, want) in cases {
        assert_eq!(&errors(changes), want, "{changes:?}");
    }
}

#[test]
fn pod_templates_are_checked_as_a_replica_set_checks_them() {
    let cases: &[(&str, Value, &str)] = &[
        ("/template/spec/containers", json!([]), "spec.template.spec.containers: Required value"),
        ("/template/spec", json!({}), "spec.template.spec.containers: Required value"),
        (
            "/template/spec/containers",
            json!([{"image": "a"}]),
            "spec.template.spec.containers[0].name: Required value",
        ),
        (
            "/template/spec/containers",
            json!([{"name": "a"}]),
            "spec.template.spec.containers[0].image: Required value",
        ),
        (
            "/template/spec/containers",
            json!([{"name": "a", "image": "b"}, {"name": "a", "image": "c"}]),
            "spec.template.spec.containers[1].name: Duplicate value: \"a\"",
        ),
        (
            "/template/spec/restartPolicy",
            json!("Never"),
            "spec.template.spec.restartPolicy: Unsupported value: \"Never\": supported values: \"Always\"",
        ),
        (
            "/template/spec/activeDeadlineSeconds",
            json!(5),
            "spec.template.spec.activeDeadlineSeconds: Forbidden: \
             activeDeadlineSeconds in ReplicaSet is not Supported",
        ),
    ];
    for (pointer, value, want) in cases {
        assert_eq!(&errors(&[(pointer, value.clone())]), &[*want], "{pointer} {value}");
    }
    let name = errors(&[("/template/spec/containers/0/name", json!("Shop_1"))]);
    assert!(name[0].starts_with(
        "spec.template.spec.containers[0].name: Invalid value: \"Shop_1\": a lowercase RFC 1123 label must consist"
    ));
    let label = errors(&[("/template/metadata/labels/tier", json!("no spaces"))]);
    assert!(
        label[0].starts_with("spec.template.labels: Invalid value: \"no spaces\": a valid label must be")
    );
}

#[test]
fn quantities_and_unknown_fields_of_a_template_are_no_errors() {
    let container = json!([{"name": "shop", "image": "shop:1", "fromTheFuture": 1,
                            "resources": {"requests": {"memory": "invalid", "cpu": 0.001}}}]);
    assert_eq!(errors(&[("/template/spec/containers", container.clone())]), [""; 0]);
    let PodTemplate(kept) = rollout(&[("/template/spec/containers", container.clone())]).spec.template;
    assert_eq!(kept["spec"]["containers"], container);
}

/// Runs cases whose pointers start below `spec.strategy.canary`.
fn check_canary(cases: &[Case<'_>]) {
    for (changes, want) in cases {
        let pointers: Vec<String> = changes.iter().map(|(pointer, _)| format!("{CANARY}{pointer}")).collect();
        let changes: Vec<(&str, Value)> = pointers
            .iter()
            .zip(*changes)
            .map(|(pointer, (_, value))| (pointer.as_str(), value.clone()))
            .collect();
        assert_eq!(&errors(&changes), want, "{changes:?}");
    }
}

#[test]
fn surge_services_and_affinity_are_checked() {
    check_canary(&[
        (
            &[("/maxSurge", json!(0)), ("/maxUnavailable", json!("0%"))],
            &["spec.strategy.maxSurge: Invalid value: 0: MaxSurge and MaxUnavailable both can not be zero"],
        ),
        (&[("/maxSurge", json!(0))], &[]),
        (
            &[("/canaryService", json!("a")), ("/stableService", json!("a"))],
            &[
                "spec.strategy.stableService: Invalid value: \"a\": This rollout uses the same service for the stable \
               and canary services, but two different services are required.",
            ],
        ),
        (
            &[("/trafficRouting", json!({"nginx": {"stableIngress": "shop"}}))],
            &[
                &format!("spec.strategy.stableService: Invalid value: \"\": {SERVICES}"),
                &format!("spec.strategy.canaryService: Invalid value: \"\": {SERVICES}"),
            ],
        ),
        (&[("/trafficRouting", json!({"plugins": {"a/b": {}}}))], &[]),
        (&[("/trafficRouting", json!({"istio": {"destinationRule": {"name": "d"}}}))], &[]),
        (
            &[("/antiAffinity", json!({}))],
            &["spec.strategy.antiAffinity: Invalid value: \
               \"antiAffinity.PreferredDuringSchedulingIgnoredDuringExecution: false \
               antiAffinity.RequiredDuringSchedulingIgnoredDuringExecution: false\": \
               AntiAffinity must have exactly one strategy listed"],
        ),
        (
            &[("/antiAffinity", json!({"preferredDuringSchedulingIgnoredDuringExecution": {"weight": 101}}))],
            &[
                "spec.strategy.antiAffinity.weight: Invalid value: 101: AntiAffinity weight must be between 1-100",
            ],
        ),
    ]);
}

#[test]
fn the_metadata_of_roles_selects_nothing_and_can_be_written() {
    let canary = |labels: Value| errors(&[("/strategy/canary/canaryMetadata", json!({ "labels": labels }))]);
    assert_eq!(canary(json!({ "role": "canary", "app": "shop" })), [""; 0]);
    let fixed = "spec.selector selects pods by this label, so it cannot change with their role";
    assert_eq!(
        canary(json!({ "app": "other" })),
        [format!("spec.strategy.canaryMetadata.labels[app]: Invalid value: \"other\": {fixed}")]
    );
    assert_eq!(canary(json!({ "role": "not a label" })).len(), 1);
    let annotated = errors(&[("/strategy/canary/stableMetadata", json!({ "annotations": { "a b": "" } }))]);
    assert_eq!(annotated.len(), 1);
}

#[test]
fn what_depends_on_a_router_is_checked() {
    let canary = ("/canaryService", json!("c"));
    let stable = ("/stableService", json!("s"));
    let delay = ("/scaleDownDelaySeconds", json!(5));
    let dynamic = ("/dynamicStableScale", json!(true));
    let nginx = ("/trafficRouting", json!({"nginx": {"stableIngress": "shop"}}));
    let traefik = ("/trafficRouting", json!({"traefik": {}, "maxTrafficWeight": 1000}));
    let nothing = ("/trafficRouting", json!({"plugins": {"a/b": {}}, "maxTrafficWeight": 0}));
    check_canary(&[
        (
            &[delay.clone(), dynamic.clone()],
            &[
                "spec.strategy.scaleDownDelaySeconds: Invalid value: 5: \
                 Canary scaleDownDelaySeconds can only be used with traffic routing",
                "spec.strategy.dynamicStableScale: Invalid value: true: \
                 Canary dynamicStableScale can only be used with traffic routing",
            ],
        ),
        (
            &[canary.clone(), stable.clone(), nginx, delay, dynamic],
            &["spec.strategy.dynamicStableScale: Invalid value: true: \
               Canary dynamicStableScale cannot be used with scaleDownDelaySeconds"],
        ),
        (
            &[canary, stable, traefik],
            &["spec.strategy.trafficRouting.maxTrafficWeight: Invalid value: 1000: \
               Canary maxTrafficWeight in traffic routing only supported in Nginx and Plugins"],
        ),
        (
            &[nothing, ("/steps", json!([]))],
            &["spec.strategy.trafficRouting.maxTrafficWeight: Invalid value: 0: \
               Canary maxTrafficWeight must be greater than 0"],
        ),
    ]);
}

#[test]
fn ping_pong_is_checked() {
    let smi = json!({"smi": {}});
    let said = errors(&[
        ("/strategy/canary/pingPong", json!({})),
        ("/strategy/canary/trafficRouting", smi),
        ("/strategy/canary/stableService", json!("s")),
        ("/strategy/canary/canaryService", json!("c")),
    ]);
    assert_eq!(
        said,
        [
            "spec.strategy.trafficRouting.alb: Invalid value: null: \
             Ping-pong feature works with the ALB, Istio, and plugin-based traffic routers only",
            "spec.strategy.pingPong.pingService: Invalid value: \"\": \
             Ping service and Pong service must to be set to use Ping-Pong feature",
            "spec.strategy.pingPong.pongService: Invalid value: \"\": \
             Ping service and Pong service must to be set to use Ping-Pong feature",
            "spec.strategy.pingPong.pingService: Invalid value: \"\": This rollout uses the same service for the ping \
             and pong services, but two different services are required.",
        ]
    );
}

#[test]
fn steps_are_checked() {
    let field = |path: &str| json!([{"name": "a", "valueFrom": {"fieldRef": {"fieldPath": path}}}]);
    let cases: &[(Value, &str)] = &[
        (
            json!({"setWeight": 120}),
            "spec.strategy.steps[0].setWeight: Invalid value: 120: SetWeight needs to be between 0 and 100",
        ),
        (
            json!({"setWeight": -1}),
            "spec.strategy.steps[0].setWeight: Invalid value: -1: SetWeight needs to be between 0 and 100",
        ),
        (
            json!({"pause": {"duration": "1 hour"}}),
            "spec.strategy.steps[0].pause.duration: Invalid value: -1: Duration needs to be greater than 0",
        ),
        (
            json!({"pause": {"duration": -3}}),
            "spec.strategy.steps[0].pause.duration: Invalid value: -3: Duration needs to be greater than 0",
        ),
        (
            json!({"setWeight": 5, "pause": {}}),
            &format!(
                "spec.strategy.steps[0]: Invalid value: \"step.Experiment: false step.Pause: true \
                 step.SetWeight: true step.Analysis: false\": {ONE_ACTION}"
            ),
        ),
        (
            json!({}),
            &format!(
                "spec.strategy.steps[0]: Invalid value: \"step.Experiment: true step.Pause: true step.SetWeight: true \
                 step.Analysis: true step.SetCanaryScale: true step.SetHeaderRoute: true step.SetMirrorRoute: true \
                 step.Plugin: true\": {ONE_ACTION}"
            ),
        ),
        (
            json!({"setCanaryScale": {"replicas": 1}}),
            "spec.strategy.trafficRouting: Required value: SetCanaryScale requires TrafficRouting to be set",
        ),
        (
            json!({"setHeaderRoute": {"name": "h"}}),
            "spec.strategy.steps[0].setHeaderRoute: Invalid value: {\"name\":\"h\"}: \
             SetHeaderRoute requires TrafficRouting, supports Istio and ALB and Apisix",
        ),
        (
            json!({"setMirrorRoute": {"name": "m"}}),
            "spec.strategy.steps[0].setMirrorRoute: Invalid value: {\"name\":\"m\"}: \
             SetMirrorRoute requires TrafficRouting, supports Istio and Plugins",
        ),
        (
            json!({"experiment": {"templates": [{"name": "a", "specRef": "canary", "weight": 5}]}}),
            "spec.strategy.steps[0].experiment.templates[0].weight: Invalid value: 5: \
             Experiment template weight cannot be set unless TrafficRouting is enabled",
        ),
        (
            json!({"analysis": {"args": field("metadata.generation")}}),
            "spec.strategy.steps[0].analyses: Invalid value: \
             [{\"name\":\"a\",\"valueFrom\":{\"fieldRef\":{\"fieldPath\":\"metadata.generation\"}}}]: \
             Analyses arguments must refer to valid object metadata supported by downwardAPI",
        ),
    ];
    for (step, want) in cases {
        assert_eq!(errors(&[("/strategy/canary/steps", json!([step]))]), [*want], "{step}");
    }
    for path in
        ["metadata.labels['app']", "metadata.annotations['A/b']", "metadata.uid", "status.phase", "spec"]
    {
        let step = json!([{"analysis": {"args": field(path)}}]);
        assert_eq!(errors(&[("/strategy/canary/steps", step)]), [""; 0], "{path}");
    }
}

#[test]
fn routes_of_steps_are_checked_against_the_router() {
    let check = |routing: Value, step: Value| {
        errors(&[
            ("/strategy/canary/canaryService", json!("c")),
            ("/strategy/canary/stableService", json!("s")),
            ("/strategy/canary/trafficRouting", routing),
            ("/strategy/canary/steps", json!([step])),
        ])
    };
    let managed = json!([{"name": "h"}]);
    let header = |value: Value| json!({"setHeaderRoute": {"name": "h", "match": [{"headerName": "x", "headerValue": value}]}});
    assert_eq!(
        check(json!({"istio": {}, "managedRoutes": managed}), header(json!({"prefix": "1"}))),
        [""; 0]
    );
    let absent = "spec.strategy.trafficRouting.managedRoutes: Required value: \
                  Rollout has missing field 'spec.strategy.canary.trafficRouting.managedRoutes'";
    for none in [json!({"istio": {}}), json!({"istio": {}, "managedRoutes": null})] {
        assert_eq!(check(none, header(json!({"prefix": "1"}))), [absent]);
    }
    let unlisted = |step: &str| {
        format!(
            "spec.strategy.steps[0].{step}: Invalid value: \"h\": \
             Steps define a route that does not exist in spec.strategy.canary.trafficRouting.managedRoutes"
        )
    };
    for without in [json!([]), json!([{"name": "other"}])] {
        let routing = json!({"istio": {}, "managedRoutes": without});
        assert_eq!(check(routing.clone(), header(json!({"exact": "1"}))), [unlisted("setHeaderRoute")]);
        let both = json!({"setHeaderRoute": {"name": "h"}, "setMirrorRoute": {"name": "h"}});
        assert_eq!(check(routing, both), [unlisted("setHeaderRoute"), unlisted("setMirrorRoute")]);
    }
    assert_eq!(
        check(json!({"istio": {}, "managedRoutes": managed}), header(json!({"exact": "1", "regex": "2"}))),
        [
            "spec.strategy.steps[0].setHeaderRoute.match[0]: Invalid value: {\"exact\":\"1\",\"regex\":\"2\"}: \
          StringMatch match value must have exactly one of the following: exact, regex, prefix"
        ]
    );
    assert_eq!(
        check(json!({"istio": {}, "managedRoutes": managed}), header(Value::Null)),
        ["spec.strategy.steps[0].setHeaderRoute.match[0]: Invalid value: null: \
          StringMatch value missed, match value must have one of the following: exact, regex, prefix"]
    );
    assert_eq!(
        check(json!({"alb": {"servicePort": 80}, "managedRoutes": managed}), header(json!({"prefix": "1"}))),
        ["spec.strategy.steps[0].setHeaderRoute.match[0]: Invalid value: {\"prefix\":\"1\"}: \
          SetHeaderRoute match value invalid. ALB supports 'exact' value only"]
    );
    let mirror = json!({"setMirrorRoute": {"name": "h", "match": [{"method": {}, "path": {"exact": "/"}}]}});
    assert_eq!(
        check(json!({"istio": {}, "managedRoutes": managed}), mirror),
        ["spec.strategy.steps[0].setMirrorRoute.match[0]: Invalid value: {}: \
          StringMatch value missed, match value must have one of the following: exact, regex, prefix"]
    );
}

#[test]
fn blue_green_is_checked() {
    let same = "This rollout uses the same service for the active and preview services, \
                but two different services are required.";
    let check = |strategy: Value| errors(&[("/strategy", json!({"blueGreen": strategy}))]);
    assert_eq!(check(json!({"activeService": "a", "previewService": "p"})), [""; 0]);
    assert_eq!(
        check(json!({"activeService": "a", "previewService": "a"})),
        [format!("spec.strategy.activeService: Invalid value: \"a\": {same}")]
    );
    assert_eq!(check(json!({})), [format!("spec.strategy.activeService: Invalid value: \"\": {same}")]);
    assert_eq!(
        check(json!({"activeService": "a", "scaleDownDelayRevisionLimit": 11})),
        ["spec.strategy.scaleDownDelayRevisionLimit: Invalid value: 11: \
          This rollout's revision history limit can not be smaller than the rollout's scale down limit"]
    );
}

#[test]
fn defaults_are_filled_in() {
    let valid = validate(&rollout(&[("/replicas", Value::Null)])).unwrap();
    assert_eq!(valid.replicas, 1);
    assert_eq!(valid.revision_history_limit(), 10);
    assert_eq!(valid.progress_deadline_seconds(), 600);
    assert_eq!((valid.successful_run_history_limit(), valid.unsuccessful_run_history_limit()), (5, 5));
    let plain = canary(&[]);
    assert_eq!((plain.max_surge, plain.max_unavailable, plain.max_weight), (3, 2, 100));
    assert_eq!((plain.scale_down_delay_seconds(), plain.abort_delay()), (0, AbortDelay::None));
    assert_eq!(plain.scale_down_delay_revision_limit(), i32::MAX);
    assert_eq!(plain.progress_threshold(), ProgressThreshold::All);
    let routed = |extra: &[(&str, Value)]| {
        let mut changes = vec![
            ("/strategy/canary/canaryService", json!("c")),
            ("/strategy/canary/stableService", json!("s")),
            ("/strategy/canary/trafficRouting", json!({"nginx": {}, "maxTrafficWeight": 1000})),
        ];
        changes.extend_from_slice(extra);
        canary(&changes)
    };
    assert_eq!((routed(&[]).scale_down_delay_seconds(), routed(&[]).max_weight), (30, 1000));
    assert_eq!(routed(&[]).abort_delay(), AbortDelay::Seconds { seconds: 30, explicit: false });
    let abort = "/strategy/canary/abortScaleDownDelaySeconds";
    assert_eq!(routed(&[(abort, json!(0))]).abort_delay(), AbortDelay::Forever);
    assert_eq!(
        routed(&[(abort, json!(5))]).abort_delay(),
        AbortDelay::Seconds { seconds: 5, explicit: true }
    );
    let dynamic = ("/strategy/canary/dynamicStableScale", json!(true));
    let follows = routed(std::slice::from_ref(&dynamic));
    assert!(follows.is_dynamic() && !routed(&[]).is_dynamic());
    assert_eq!((follows.scale_down_delay_seconds(), follows.abort_delay()), (0, AbortDelay::None));
    assert_eq!(routed(&[dynamic.clone(), (abort, json!(0))]).abort_delay(), AbortDelay::Forever);
    assert_eq!(
        routed(&[dynamic, (abort, json!(5))]).abort_delay(),
        AbortDelay::Seconds { seconds: 5, explicit: true }
    );
}

#[test]
fn a_step_with_several_actions_is_the_one_that_decides_when_it_is_done() {
    let steps = json!([
        {"setWeight": 20},
        {"pause": {"duration": "1h30m"}},
        {"pause": {"duration": "90"}},
        {"pause": {"duration": 5}},
        {"pause": {}},
        {"setWeight": 40, "setCanaryScale": {"weight": 50}},
        {"plugin": {"name": "a/b"}}
    ]);
    let parsed = canary(&[
        ("/strategy/canary/steps", steps),
        ("/strategy/canary/trafficRouting", json!({"plugins": {"a/b": {}}})),
    ]);
    let text: Vec<String> = parsed.spec.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        ["setWeight: 20", "pause: 1h30m", "pause: 90", "pause: 5", "pause", "setWeight: 40", "plugin: a/b"]
    );
    let seconds: Vec<Option<i64>> = parsed
        .steps
        .iter()
        .filter_map(|step| if let Step::Pause(seconds) = step { Some(*seconds) } else { None })
        .collect();
    assert_eq!(seconds, [Some(5400), Some(90), Some(5), None]);
    let scales: Vec<bool> = (0..8).map(|index| parsed.scale_at(index).is_some()).collect();
    assert_eq!(scales, [false, false, false, false, false, true, true, false]);
    let weights: Vec<i32> = (0..8).map(|index| parsed.weight_at(index)).collect();
    assert_eq!(weights, [20, 20, 20, 20, 20, 40, 40, 100]);
}

#[test]
fn steps_read_as_events_name_them() {
    let steps = json!([
        {"setCanaryScale": {"matchTrafficWeight": true}},
        {"setCanaryScale": {"replicas": 3}},
        {"experiment": {"templates": [{"name": "a", "specRef": "canary"}]}},
        {"analysis": {"templates": [{"templateName": "t"}]}},
        {"setHeaderRoute": {"name": "by-header"}},
        {"setMirrorRoute": {"name": "copies"}},
    ]);
    let parsed = canary(&[
        ("/strategy/canary/steps", steps),
        (
            "/strategy/canary/trafficRouting",
            json!({
                "plugins": {"a/b": {}}, "managedRoutes": [{"name": "by-header"}, {"name": "copies"}],
            }),
        ),
    ]);
    let text: Vec<String> = parsed.spec.steps.iter().map(ToString::to_string).collect();
    assert_eq!(
        text,
        [
            "setCanaryScale{matchTrafficWeight: true}",
            "setCanaryScale{replicas: 3}",
            "experiment",
            "analysis",
            "setHeaderRoute: by-header",
            "setMirrorRoute: copies",
        ]
    );
}

#[test]
fn what_nobody_acts_on_is_named_with_its_mend() {
    let refused = |changes: &[(&str, Value)]| {
        let errors = unsupported(&validate(&rollout(changes)).unwrap());
        errors.into_iter().map(|error| error.path).collect::<Vec<_>>()
    };
    assert_eq!(refused(&[]), [""; 0]);
    assert_eq!(refused(&[("/restartAt", json!("2026-08-17T10:20:30Z"))]), [""; 0]);
    let dynamic = [
        ("/strategy/canary/canaryService", json!("c")),
        ("/strategy/canary/stableService", json!("s")),
        ("/strategy/canary/trafficRouting", json!({"nginx": {"stableIngress": "shop"}})),
        ("/strategy/canary/dynamicStableScale", json!(true)),
    ];
    assert_eq!(refused(&dynamic), [""; 0]);
    assert_eq!(
        refused(&[
            ("/strategy/canary/trafficRouting", json!({"plugins": {"a/b": {}}})),
            (
                "/strategy/canary/steps",
                json!([{"setCanaryScale": {"weight": 5}}, {"plugin": {"name": "a/b"}}, {"setWeight": 5, "plugin": {"name": "a/b"}}])
            ),
        ]),
        [
            "spec.strategy.canary.trafficRouting.plugins[a/b]",
            "spec.strategy.canary.steps[1].plugin",
            "spec.strategy.canary.steps[2].plugin",
        ]
    );
    let plugins = json!({"plugins": {"a/b": {}}});
    let error =
        &unsupported(&validate(&rollout(&[("/strategy/canary/trafficRouting", plugins)])).unwrap())[0];
    let told = error.to_string();
    assert!(
        told.starts_with(
            "spec.strategy.canary.trafficRouting.plugins[a/b]: Forbidden: this release of Tidegate cannot act on this field; "
        ),
        "{told}"
    );
}

#[test]
fn blue_green_is_served_in_full() {
    let refused = |strategy: Value| {
        let errors =
            unsupported(&validate(&rollout(&[("/strategy", json!({"blueGreen": strategy}))])).unwrap());
        errors.into_iter().map(|error| error.path).collect::<Vec<_>>()
    };
    let served = json!({
        "activeService": "a", "previewService": "p", "previewReplicaCount": 1, "autoPromotionEnabled": false,
        "autoPromotionSeconds": 5, "maxUnavailable": 1, "scaleDownDelaySeconds": 0, "scaleDownDelayRevisionLimit": 1,
        "abortScaleDownDelaySeconds": 0, "prePromotionAnalysis": {}, "postPromotionAnalysis": {},
        "antiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": {}}, "previewMetadata": {}, "activeMetadata": {},
    });
    assert_eq!(refused(served), [""; 0]);
}

#[test]
fn metrics_of_other_providers_are_named() {
    let metrics: Vec<crate::analysis::Metric> = serde_json::from_value(json!([
        {"name": "a", "provider": {"prometheus": {}}},
        {"name": "b", "provider": {"job": {"spec": {}}}},
        {"name": "c", "provider": {"web": {"url": "u"}}},
        {"name": "d", "provider": {"datadog": {}}},
        {"name": "e", "provider": {"plugin": {"tidegate.dev/judge": {}}}},
        {"name": "f", "provider": {"plugin": {"somebody/else": {}}}}
    ]))
    .unwrap();
    let paths: Vec<String> = unsupported_providers(&metrics).into_iter().map(|error| error.path).collect();
    assert_eq!(paths, ["spec.metrics[5].provider.plugin"]);
}
