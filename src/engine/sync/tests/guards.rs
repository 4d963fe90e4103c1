//! What must never happen, one test each.

use serde_json::{Value, json};

use super::model::{Model, annotated, config_map, deployment, key, noon};
use crate::sync::{Because, Failing, Look, Outcome, Plan, Reach, Write, conclude, look, plan};

/// Asserts that a state leads to no write at all, whoever asks.
fn assert_nothing_is_written(model: &mut Model) {
    let before = model.live.clone();
    for asked in [json!(null), json!({ "sync": { "prune": true } })] {
        if !asked.is_null() {
            model.world.application["operation"] = asked;
        }
        let shown = model.settle();
        assert!(!shown.contains("write:"), "{shown}");
        model.wait(400);
    }
    assert_eq!(model.live, before);
}

fn pruned(plan: &Plan) -> Vec<&str> {
    let names = plan.writes.iter().filter_map(|planned| match &planned.write {
        Write::Prune { key, .. } => Some(key.name.as_str()),
        Write::Namespace { .. } | Write::Adopt { .. } | Write::Apply(_) | Write::Release { .. } => None,
    });
    names.collect()
}

#[test]
fn an_unreachable_repository_prunes_nothing_and_is_told_when_it_lasts() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.git = Err("connection refused".into());
    model.world.failing = Some(Failing { since: noon(130), attempts: 1 });
    model.wait(140);
    let shown = model.settle();
    assert_eq!(shown, "", "a hiccup is not news");
    model.world.failing = Some(Failing { since: noon(130), attempts: 6 });
    model.wait(700);
    model.settle();
    assert_eq!(model.status("/sync/status"), "Unknown");
    assert_eq!(model.status("/sync/revision"), "c1");
    assert_eq!(model.conditions(), ["ComparisonError: Failed to load target state: connection refused"]);
    assert_nothing_is_written(&mut model);
    model.git = Ok(("c1".into(), Ok(vec![config_map("a", "1")])));
    model.world.failing = None;
    model.wait(130);
    model.settle();
    assert_eq!(model.status("/sync/status"), "Synced");
    assert_eq!(model.conditions(), Vec::<String>::new());
}

#[test]
fn the_first_look_tells_at_once_what_it_cannot_read() {
    let mut world = Model::new(Vec::new()).world;
    // As the controller has it after the attempt: the next one is due in ten seconds.
    world.source = Some(Err("connection refused".into()));
    world.failing = Some(Failing { since: world.now, attempts: 1 });
    let patch = plan(&world).patch.unwrap_or_default();
    assert_eq!(patch["status"]["sync"]["status"], "Unknown");
    let message = "Failed to load target state: connection refused";
    assert_eq!(patch["status"]["conditions"][0]["message"], message);
}

#[test]
fn a_person_who_asks_is_told_at_once() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.git = Err("connection refused".into());
    model.world.failing = Some(Failing { since: noon(0), attempts: 1 });
    model.annotate("argocd.argoproj.io/refresh", "normal");
    model.settle();
    assert_eq!(model.status("/sync/status"), "Unknown");
    assert_eq!(model.world.application["metadata"]["annotations"], json!({}));
}

#[test]
fn a_broken_manifest_prunes_nothing() {
    let mut model = Model::synced(vec![config_map("a", "1"), config_map("b", "1")]);
    model.git = Ok(("c2".into(), Err("b.yaml cannot be read: oh".into())));
    model.wait(130);
    assert_nothing_is_written(&mut model);
    assert_eq!(
        model.conditions(),
        ["ComparisonError: Failed to load target state: b.yaml cannot be read: oh"]
    );
    assert_eq!(model.status("/operationState/phase"), "Error");
}

#[test]
fn an_empty_source_prunes_only_when_that_is_allowed() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.commit("c2", vec![]);
    model.wait(130);
    model.settle();
    assert!(model.conditions()[0].contains("will wipe out all resources"), "{:?}", model.conditions());
    assert_nothing_is_written(&mut model);
    assert_eq!(model.status("/operationState/phase"), "Failed");
    model.spec("/syncPolicy/automated/allowEmpty", json!(true));
    model.world.application["operation"] = json!({ "sync": { "prune": true } });
    model.settle();
    assert_eq!(model.live.len(), 0);
}

#[test]
fn a_cluster_that_cannot_be_read_in_full_prunes_nothing() {
    let mut model = Model::synced(vec![config_map("a", "1"), config_map("b", "1")]);
    model.commit("c2", vec![config_map("a", "1")]);
    model.unread.push("Secrets in shop: forbidden".into());
    model.wait(130);
    assert_nothing_is_written(&mut model);
    assert_eq!(
        model.conditions(),
        ["ComparisonError: Failed to load live state: Secrets in shop: forbidden"]
    );
}

#[test]
fn only_own_objects_are_pruned() {
    const ID: &str = "argocd.argoproj.io/tracking-id";
    let mut model = Model::synced(vec![config_map("a", "1"), config_map("gone", "1")]);
    let mark = |name: &str| format!("shop:/ConfigMap:shop/{name}");
    model.put(config_map("unmarked", "1"));
    model.put(annotated(config_map("others", "1"), ID, "other:/ConfigMap:shop/others"));
    model.put(annotated(config_map("copied", "1"), ID, &mark("somebody-else")));
    model.put(annotated(
        annotated(config_map("kept", "1"), ID, &mark("kept")),
        "argocd.argoproj.io/sync-options",
        "Prune=false",
    ));
    let mut child = annotated(config_map("child", "1"), ID, &mark("child"));
    child["metadata"]["ownerReferences"] = json!([{ "kind": "Deployment", "name": "web" }]);
    model.put(child);
    model.commit("c2", vec![config_map("a", "1")]);
    model.wait(130);
    model.round();
    let world = model.observe();
    assert_eq!(pruned(&plan(&world)), ["gone"]);
}

#[test]
fn without_leave_to_prune_nothing_is_pruned() {
    let mut model = Model::synced(vec![config_map("a", "1"), config_map("gone", "1")]);
    model.spec("/syncPolicy/automated/prune", json!(false));
    model.commit("c2", vec![config_map("a", "2")]);
    model.wait(130);
    let shown = model.settle();
    assert!(shown.contains("result: ConfigMap PruneSkipped: ignored (requires pruning)"), "{shown}");
    assert!(model.live.contains_key(&key("ConfigMap", "gone")));
    assert_eq!(model.status("/sync/status"), "OutOfSync");
}

#[test]
fn a_failed_apply_keeps_everything_from_being_pruned() {
    let mut model = Model::synced(vec![config_map("a", "1"), config_map("gone", "1")]);
    model.spec("/syncPolicy/retry", json!({ "limit": 0 }));
    model.commit("c2", vec![config_map("a", "2")]);
    model.wait(130);
    model.round();
    let world = model.observe();
    let first = plan(&world);
    assert_eq!(pruned(&first), ["gone"]);
    let outcomes = [Outcome::Failed { message: "quota".into() }, Outcome::NotTried];
    let second = conclude(&world, &first, &outcomes, world.now);
    let state = &second.patch.unwrap()["status"]["operationState"];
    assert_eq!(state["phase"], "Failed");
    let message = state["message"].as_str().unwrap();
    assert!(message.contains("apply ConfigMap shop/a: quota"), "{message}");
}

#[test]
fn another_live_controllers_application_is_left_alone() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    let entry = json!({ "manager": "argocd-application-controller", "fieldsV1": { "f:status": { "f:reconciledAt": {} } } });
    model.world.application["metadata"]["managedFields"] = json!([entry]);
    model.world.prompted = true;
    model.wait(300);
    let left = plan(&model.observe());
    assert!(matches!(left.because, Because::OwnedElsewhere { .. }), "{}", left.because);
    assert_eq!((left.patch, left.writes), (None, Vec::new()));
    // Its last sign of life is older than two of its longest polls.
    model.wait(61);
    assert!(matches!(look(&model.observe()), Look::Compare { .. }));
}

#[test]
fn another_installations_application_is_left_alone() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.world.application["status"]["controllerNamespace"] = json!("elsewhere");
    let left = plan(&model.observe());
    assert!(matches!(left.because, Because::OwnedElsewhere { .. }), "{}", left.because);
}

#[test]
fn an_application_may_ask_to_be_left_alone() {
    let mut model = Model::new(vec![config_map("a", "1")]);
    model.annotate("argocd.argoproj.io/skip-reconcile", "true");
    assert_eq!(model.settle(), "");
}

#[test]
fn what_is_not_implemented_stops_the_sync() {
    let hook = annotated(config_map("a", "1"), "argocd.argoproj.io/hook", "PreDelete");
    let option = annotated(config_map("a", "1"), "argocd.argoproj.io/sync-options", "Replace=true");
    for object in [hook, option] {
        let mut model = Model::new(vec![object, config_map("b", "1")]);
        model.settle();
        let conditions = model.conditions();
        assert!(conditions[0].starts_with("ComparisonError: all.yaml: ConfigMap shop/a"), "{conditions:?}");
        assert_nothing_is_written(&mut model);
    }
    let mut model = Model::new(vec![config_map("a", "1")]);
    model.spec("/source/helm", json!({ "values": "a: 1" }));
    model.settle();
    assert!(model.conditions()[0].starts_with("ComparisonError: spec.source.helm asks for Helm"));
    assert_nothing_is_written(&mut model);
}

#[test]
fn what_is_not_acted_on_is_named() {
    let mut model = Model::new(vec![config_map("a", "1")]);
    model.spec("/ignoreDifferences", json!([{ "kind": "X", "newField": [".a"] }]));
    model.settle();
    assert_eq!(model.status("/sync/status"), "Synced");
    assert_eq!(
        model.conditions(),
        ["UnsupportedFieldWarning: spec.ignoreDifferences[].newField is not acted on"]
    );
}

#[test]
fn the_project_is_obeyed() {
    let project = |spec: Value| Some(json!({ "metadata": { "name": "default" }, "spec": spec }));
    let open = json!([{ "server": "*", "namespace": "*" }]);
    for (spec, want) in [
        (
            json!({ "sourceRepos": ["https://other/*"], "destinations": open }),
            "is not permitted in project 'default'",
        ),
        (json!({ "sourceRepos": ["*"], "destinations": [] }), "do not match any of the allowed destinations"),
        (
            json!({ "sourceRepos": ["*"], "destinations": open,
                "namespaceResourceBlacklist": [{ "group": "", "kind": "ConfigMap" }] }),
            "ConfigMap shop/a is not permitted in project default",
        ),
        (
            json!({ "sourceRepos": ["*"], "destinations": open, "syncWindows": [{ "kind": "deny", "applications": ["*"] }] }),
            "syncWindows",
        ),
    ] {
        let mut model = Model::new(vec![config_map("a", "1")]);
        model.world.project = project(spec);
        model.settle();
        let conditions = model.conditions();
        assert!(conditions.iter().any(|condition| condition.contains(want)), "{conditions:?}");
        assert_nothing_is_written(&mut model);
    }
    let mut model = Model::new(vec![config_map("a", "1")]);
    model.spec("/project", json!("nobody"));
    model.settle();
    assert_eq!(
        model.conditions(),
        ["InvalidSpecError: Application referencing project nobody which does not exist"]
    );
    assert_nothing_is_written(&mut model);
}

#[test]
fn the_reach_is_obeyed() {
    let role = json!({ "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": { "name": "r" } });
    let mut away = config_map("a", "1");
    away["metadata"]["namespace"] = json!("kube-system");
    for (object, want) in [(role, "is cluster-scoped"), (away, "is outside the namespaces")] {
        let mut model = Model::new(vec![object]);
        model.world.install.reach = Reach::Namespaces(["shop".to_owned()].into());
        model.settle();
        assert!(model.conditions()[0].contains(want), "{:?}", model.conditions());
        assert_nothing_is_written(&mut model);
    }
    let mut model = Model::new(vec![config_map("a", "1")]);
    model.world.install.reach = Reach::Namespaces(["other".to_owned()].into());
    model.settle();
    assert!(model.conditions()[0].contains("sync.namespaces"), "{:?}", model.conditions());
}

#[test]
fn an_unknown_kind_fails_the_sync_with_upstreams_words() {
    let mut model = Model::new(vec![config_map("a", "1"), deployment("web")]);
    model.spec("/syncPolicy/retry", json!({ "limit": 0 }));
    model.unknown_kinds.push("Deployment");
    model.settle();
    let message = model.status("/operationState/message");
    assert!(message.contains("The Kubernetes API could not find apps/Deployment"), "{message}");
    assert_eq!(model.live.len(), 0);
}

#[test]
fn what_the_delivery_half_owns_is_never_reverted() {
    let service = json!({ "apiVersion": "v1", "kind": "Service", "metadata": { "name": "web" },
        "spec": { "selector": { "app": "web" } } });
    let mut model = Model::synced(vec![service.clone(), deployment("web")]);
    let web = key("Service", "web");
    model.live.get_mut(&web).unwrap()["spec"]["selector"]["rollouts-pod-template-hash"] = json!("abc");
    model.neighbours.push(json!({ "kind": "Rollout", "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "strategy": { "canary": { "stableService": "web" } } } }));
    model
        .neighbours
        .push(json!({ "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web", "namespace": "shop" },
        "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } } }));
    model.live.get_mut(&key("Deployment", "web")).unwrap()["spec"]["replicas"] = json!(9);
    model.world.prompted = true;
    let shown = model.settle();
    assert!(
        !shown.contains("write:") && !shown.contains("OutOfSync"),
        "a scale that moved is no drift: {shown}"
    );
    // A commit that changes the same object keeps them too, and is refused if they move in between.
    let mut changed = service;
    changed["spec"]["ports"] = json!([{ "port": 80 }]);
    model.commit("c2", vec![changed, deployment("web")]);
    model.wait(130);
    model.round();
    let world = model.observe();
    let first = plan(&world);
    let Write::Apply(apply) = &first.writes[0].write else { panic!("{first}") };
    assert!(apply.pinned && apply.resource_version.is_some());
    assert_eq!(apply.object["spec"]["selector"]["rollouts-pod-template-hash"], "abc");
    let again = conclude(&world, &first, &[Outcome::Stale], world.now);
    assert_eq!((again.patch, again.wake), (None, Some(world.now)));
    model.settle();
    assert_eq!(
        model.live[&web]["spec"]["selector"],
        json!({ "app": "web", "rollouts-pod-template-hash": "abc" })
    );
    assert_eq!(model.live[&web]["spec"]["ports"], json!([{ "port": 80 }]));
}

#[test]
fn an_operation_that_asks_for_more_than_there_is_is_refused() {
    for sync in [
        json!({ "syncStrategy": { "apply": { "force": true } } }),
        json!({ "manifests": ["{}"] }),
        json!({ "revisions": ["a", "b"] }),
        json!({ "sources": [{ "repoURL": "https://git.example/another", "path": "deploy" }] }),
    ] {
        let mut model = Model::new(vec![config_map("a", "1")]);
        model.spec("/syncPolicy", json!({}));
        model.world.application["operation"] = json!({ "sync": sync });
        model.settle();
        assert_eq!(model.status("/operationState/phase"), "Error", "{sync}");
        assert!(model.status("/operationState/message").contains("not implemented"), "{sync}");
        assert_eq!(model.live.len(), 0);
        assert_eq!(model.world.application.get("operation"), None);
    }
}

#[test]
fn a_person_may_end_an_operation() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.world.application["operation"] = json!({ "sync": {} });
    model.world.application["status"]["operationState"] = json!({ "phase": "Terminating", "operation": { "retry": { "limit": 5 } }, "startedAt": "2026-01-01T12:00:00Z" });
    model.settle();
    assert_eq!(model.status("/operationState/phase"), "Failed");
    assert_eq!(model.status("/operationState/message"), "Operation terminated");
}

#[test]
fn a_deletion_waits_for_what_it_may_not_see() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.world.application["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
    model.world.application["metadata"]["finalizers"] = json!(["resources-finalizer.argocd.argoproj.io"]);
    model.unread.push("ConfigMaps in shop: forbidden".into());
    model.settle();
    assert_eq!(model.conditions(), ["DeletionError: ConfigMaps in shop: forbidden"]);
    model.unread.clear();
    model.world.install.reach = Reach::Namespaces(["other".to_owned()].into());
    model.settle();
    assert!(model.conditions()[0].contains("cannot be deleted"), "{:?}", model.conditions());
    assert_eq!(model.live.len(), 1);
}

#[test]
fn objects_of_another_application_are_told_and_can_stop_the_sync() {
    let mut model = Model::new(vec![config_map("a", "1")]);
    model.put(annotated(config_map("a", "1"), "argocd.argoproj.io/tracking-id", "other:/ConfigMap:shop/a"));
    model.spec("/syncPolicy/syncOptions", json!(["FailOnSharedResource=true"]));
    model.spec("/syncPolicy/retry", json!({ "limit": 0 }));
    model.settle();
    let conditions = model.conditions();
    assert!(
        conditions.contains(
            &"SharedResourceWarning: ConfigMap/a is part of applications shop and other".to_owned()
        ),
        "{conditions:?}"
    );
    assert_eq!(model.status("/operationState/phase"), "Failed");
}

#[test]
fn ignored_fields_are_no_difference() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.spec("/ignoreDifferences", json!([{ "kind": "ConfigMap", "jsonPointers": ["/data"] }]));
    model.live.get_mut(&key("ConfigMap", "a")).unwrap()["data"]["a"] = json!("by hand");
    model.wait(130);
    model.settle();
    assert_eq!(model.status("/sync/status"), "Synced");
    assert_eq!(model.live[&key("ConfigMap", "a")]["data"]["a"], "by hand");
}

#[test]
fn a_secret_whose_value_is_no_text_is_refused_and_its_value_not_told() {
    for part in ["data", "stringData"] {
        let secret = json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, part: { "pin": 4711 } });
        let mut model = Model::new(vec![secret]);
        assert_nothing_is_written(&mut model);
        let told = model.world.application.to_string();
        assert!(told.contains(&format!("{part}.pin must be a text")), "{told}");
        assert!(!told.contains("4711"), "{told}");
    }
}

#[test]
fn what_asks_for_a_confirmation_is_not_deleted_without_one() {
    let confirm = |name: &str, option: &str| {
        annotated(config_map(name, "1"), "argocd.argoproj.io/sync-options", option)
    };
    let mut model = Model::synced(vec![config_map("a", "1"), config_map("b", "1")]);
    // Options on live objects, as another controller left them.
    for (name, option) in [("a", "Delete=confirm"), ("b", "Prune=confirm")] {
        let live = model.live.get_mut(&key("ConfigMap", name)).unwrap();
        live["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] =
            confirm(name, option)["metadata"]["annotations"]["argocd.argoproj.io/sync-options"].clone();
    }
    model.commit("c2", vec![config_map("a", "1")]);
    model.wait(130);
    model.settle();
    assert!(model.live.contains_key(&key("ConfigMap", "b")), "pruned without a confirmation");
    model.live.get_mut(&key("ConfigMap", "a")).unwrap()["metadata"]["annotations"]["argocd.argoproj.io/sync-options"] =
        json!("Delete=confirm");
    model.world.application["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
    model.world.application["metadata"]["finalizers"] = json!(["resources-finalizer.argocd.argoproj.io"]);
    model.settle();
    assert!(model.live.contains_key(&key("ConfigMap", "a")), "deleted without a confirmation");
    assert!(
        model.conditions().iter().any(|condition| condition.contains("Delete=confirm")),
        "{:?}",
        model.conditions()
    );
}

#[test]
fn what_is_left_of_a_hook_is_not_pruned() {
    let mut model = Model::synced(vec![config_map("a", "1"), config_map("hook", "1")]);
    let hook = model.live.get_mut(&key("ConfigMap", "hook")).unwrap();
    hook["metadata"]["annotations"]["argocd.argoproj.io/hook"] = json!("PreSync");
    model.commit("c2", vec![config_map("a", "2")]);
    model.wait(130);
    model.settle();
    assert!(model.live.contains_key(&key("ConfigMap", "hook")));
}

/// Backends of an Experiment stand in that list as well, and in no file of Git.
#[test]
fn self_heal_during_an_experiment_leaves_its_backends_and_takes_out_what_somebody_else_put_there() {
    let backend = |name: &str, weight: i64| json!({ "name": name, "weight": weight });
    let http = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "web" },
        "spec": { "rules": [{ "backendRefs": [backend("stable", 100), backend("canary", 0)] }] },
    });
    let mut model = Model::synced(vec![http]);
    let plugins = json!({ "argoproj-labs/gatewayAPI": { "httpRoute": "web" } });
    model.neighbours.push(json!({ "kind": "Rollout", "metadata": { "name": "web", "namespace": "shop" }, "spec": {
        "strategy": { "canary": { "stableService": "stable", "canaryService": "canary", "trafficRouting": { "plugins": plugins } } } } }));
    let web = key("HTTPRoute", "web");
    let live = model.live.get_mut(&web).unwrap();
    let shared = json!([backend("stable", 90), backend("canary", 0), backend("probe", 10)]);
    live["spec"]["rules"][0]["backendRefs"] = shared.clone();
    live["metadata"]["annotations"]["tidegate.dev/experiment-backends"] = json!("shop/web/probe");
    model.world.prompted = true;
    let shown = model.settle();
    assert!(!shown.contains("write:") && !shown.contains("OutOfSync"), "an Experiment is no drift: {shown}");
    let live = model.live.get_mut(&web).unwrap();
    live["spec"]["rules"][0]["backendRefs"].as_array_mut().unwrap().push(backend("mine", 5));
    model.world.prompted = true;
    model.settle();
    assert_eq!(model.live[&web]["spec"]["rules"][0]["backendRefs"], shared);
}

/// The weights of a canary are one atomic list with what Git owns, so only copying keeps them.
#[test]
fn self_heal_during_a_canary_leaves_the_weights_of_routes_and_reverts_the_rest() {
    let backend = |name: &str, weight: i64| json!({ "name": name, "weight": weight });
    let http = json!({
        "apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": { "name": "web" },
        "spec": { "hostnames": ["shop.test"], "rules": [{ "backendRefs": [backend("stable", 100), backend("canary", 0)] }] },
    });
    let edge = json!({
        "apiVersion": "route.openshift.io/v1", "kind": "Route", "metadata": { "name": "edge" },
        "spec": { "host": "shop.test", "to": backend("stable", 100) },
    });
    let mut model = Model::synced(vec![http, edge]);
    let plugins = json!({
        "argoproj-labs/gatewayAPI": { "httpRoute": "web" }, "argoproj-labs/openshift": { "routes": ["edge"] },
    });
    model.neighbours.push(json!({ "kind": "Rollout", "metadata": { "name": "web", "namespace": "shop" }, "spec": {
        "strategy": { "canary": { "stableService": "stable", "canaryService": "canary", "trafficRouting": { "plugins": plugins } } } } }));
    let (web, edge) = (key("HTTPRoute", "web"), key("Route", "edge"));
    // The delivery half raises both, and marks one.
    let live = model.live.get_mut(&web).unwrap();
    live["spec"]["rules"][0]["backendRefs"] = json!([backend("stable", 80), backend("canary", 20)]);
    live["metadata"]["labels"]["rollouts.argoproj.io/gatewayapi-canary"] = json!("in-progress");
    let live = model.live.get_mut(&edge).unwrap();
    live["spec"]["to"]["weight"] = json!(80);
    live["spec"]["alternateBackends"] = json!([backend("canary", 20)]);
    model.world.prompted = true;
    let shown = model.settle();
    assert!(!shown.contains("write:") && !shown.contains("OutOfSync"), "a canary is no drift: {shown}");
    // Somebody edits what is Git's in the middle of it: that is reverted, and the canary goes on.
    model.live.get_mut(&web).unwrap()["spec"]["hostnames"] = json!(["other.test"]);
    model.live.get_mut(&edge).unwrap()["spec"]["host"] = json!("other.test");
    model.world.prompted = true;
    model.settle();
    let (http, edge) = (&model.live[&web], &model.live[&edge]);
    assert_eq!(
        (&http["spec"]["hostnames"][0], &edge["spec"]["host"]),
        (&json!("shop.test"), &json!("shop.test"))
    );
    assert_eq!(http.pointer("/spec/rules/0/backendRefs/1/weight"), Some(&json!(20)));
    assert_eq!(http["metadata"]["labels"]["rollouts.argoproj.io/gatewayapi-canary"], "in-progress");
    assert_eq!(edge["spec"]["alternateBackends"], json!([backend("canary", 20)]));
}
