use serde_json::json;

use super::super::hash::{Digest, canonical};
use super::*;

fn rollout(reference: Value, more: Value) -> Arc<Rollout> {
    let mut spec = json!({"workloadRef": reference, "strategy": {"canary": {}}});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let object = json!({"metadata": {"name": "shop", "namespace": "web"}, "spec": spec});
    Arc::new(serde_json::from_value(object).unwrap())
}

fn deployment() -> Workload {
    let object = json!({
        "metadata": {"name": "shop", "uid": "d1", "generation": 7},
        "spec": {
            "replicas": 3,
            "selector": {"matchLabels": {"app": "shop"}},
            "template": {"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [{"name": "a", "image": "b"}]}},
        },
    });
    Workload::parse(WorkloadKind::Deployment, &object)
}

fn named(kind: &str, api_version: &str) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": "shop"})
}

fn error(rollout: &Arc<Rollout>, workload: Option<&Workload>) -> String {
    parsed(rollout, workload, None).valid.unwrap_err()[0].to_string()
}

#[test]
fn template_and_selector_come_from_the_workload() {
    let ours = rollout(named("Deployment", "apps/v1"), json!({}));
    let there = resolved(&ours, Some(&deployment()));
    assert_eq!(there.spec.template.0["spec"]["containers"][0]["image"], "b");
    assert_eq!(there.spec.selector, deployment().selector);
    let parsed = parsed(&ours, Some(&deployment()), None);
    assert!(parsed.valid.is_ok());
    assert_eq!(parsed.template, Digest::of(&canonical(&there.spec.template.0)));
    let own = json!({"selector": {"matchLabels": {"app": "shop", "tier": "web"}}});
    let ours = rollout(named("Deployment", "apps/v1"), own);
    let there = resolved(&ours, Some(&deployment()));
    assert_eq!(there.spec.selector, ours.spec.selector, "a selector of its own stays");
    assert_eq!(
        error(&ours, Some(&deployment())).split(": ").next().unwrap(),
        "spec.template.metadata.labels",
        "the two must fit"
    );
}

#[test]
fn what_cannot_be_had_is_told_in_upstreams_words() {
    let pods = json!({"template": {"metadata": {"labels": {"app": "x"}}}});
    for (rollout, want) in [
        (rollout(named("Deployment", "apps/v1"), json!({})), "deployments.apps \"web/shop\" not found"),
        (rollout(named("ReplicaSet", "apps/v1"), json!({})), "replicasets.apps \"web/shop\" not found"),
        (rollout(named("PodTemplate", "v1"), json!({})), "podtemplates \"web/shop\" not found"),
        (
            rollout(named("StatefulSet", "apps/v1"), json!({})),
            "workload of type apps/StatefulSet is not supported",
        ),
        (rollout(named("Deployment", "v1"), json!({})), "workload of type /Deployment is not supported"),
        (
            rollout(named("Deployment", "apps/v1"), pods),
            "template must be empty for workload reference rollout",
        ),
    ] {
        assert_eq!(error(&rollout, None), want);
    }
}

#[test]
fn a_pod_template_has_no_selector_to_give() {
    let object = json!({"metadata": {"name": "shop"}, "template": {"metadata": {"labels": {"app": "shop"}},
        "spec": {"containers": [{"name": "a", "image": "b"}]}}});
    let template = Workload::parse(WorkloadKind::PodTemplate, &object);
    let selector = json!({"selector": {"matchLabels": {"app": "shop"}}});
    assert!(parsed(&rollout(named("PodTemplate", "v1"), selector), Some(&template), None).valid.is_ok());
    let without = rollout(named("PodTemplate", "v1"), json!({}));
    assert!(error(&without, Some(&template)).contains("`selector` does not match template `labels`"));
}
