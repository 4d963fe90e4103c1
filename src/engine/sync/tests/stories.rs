//! What happens, step by step, as golden files under `cases/sync`.

use serde_json::{Value, json};

use super::model::{Model, annotated, config_map, deployment, key};

pub(super) fn golden(name: &str, shown: &str) {
    insta::with_settings!({
        prepend_module_to_snapshot => false,
        snapshot_path => "../../cases/sync",
        omit_expression => true,
    }, { insta::assert_snapshot!(name, shown) });
}

fn healthy(mut object: Value) -> Value {
    object["status"] =
        json!({ "observedGeneration": 0, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1 });
    object
}

#[test]
fn a_new_application_is_synced_and_then_left_alone() {
    let mut model = Model::new(vec![deployment("web"), config_map("web", "1")]);
    golden("first-sync", &model.settle());
    assert_eq!(model.live.len(), 2);
    // A further look at the same state does nothing at all.
    model.world.prompted = true;
    let quiet = model.round();
    assert!(!quiet.contains("patch:") && !quiet.contains("write:"), "{quiet}");
}

#[test]
fn a_new_commit_changes_adds_and_prunes() {
    let mut model = Model::synced(vec![config_map("a", "1"), config_map("b", "1"), config_map("c", "1")]);
    model.commit("c2", vec![config_map("a", "2"), config_map("b", "1"), deployment("web")]);
    model.wait(121);
    golden("new-commit", &model.settle());
    assert!(!model.live.contains_key(&key("ConfigMap", "c")));
    let status = &model.world.application["status"];
    assert_eq!(status["history"].as_array().unwrap().len(), 2);
    assert_eq!(status["sync"]["revision"], "c2");
}

#[test]
fn a_change_in_the_cluster_is_reverted() {
    let mut model = Model::synced(vec![config_map("a", "1"), config_map("b", "1")]);
    model.live.get_mut(&key("ConfigMap", "a")).unwrap()["data"]["a"] = json!("by hand");
    model.world.prompted = true;
    golden("self-heal", &model.settle());
    assert_eq!(model.live[&key("ConfigMap", "a")]["data"]["a"], "1");
    // A heal is no release: it leaves no history.
    assert_eq!(model.world.application["status"]["history"].as_array().unwrap().len(), 1);
    // Somebody insists: the second heal waits.
    model.live.get_mut(&key("ConfigMap", "a")).unwrap()["data"]["a"] = json!("again");
    model.world.prompted = true;
    let shown = model.round();
    assert!(shown.contains("reverted at 2026-01-01T12:00:03Z"), "{shown}");
    model.wait(3);
    model.world.prompted = true;
    model.settle();
    assert_eq!(model.live[&key("ConfigMap", "a")]["data"]["a"], "1");
}

#[test]
fn without_self_heal_a_change_is_shown_and_stays() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.spec("/syncPolicy/automated/selfHeal", json!(false));
    model.live.get_mut(&key("ConfigMap", "a")).unwrap()["data"]["a"] = json!("by hand");
    model.world.prompted = true;
    model.settle();
    assert_eq!(model.status("/sync/status"), "OutOfSync");
    assert_eq!(model.live[&key("ConfigMap", "a")]["data"]["a"], "by hand");
}

#[test]
fn a_failed_sync_is_tried_again_and_then_given_up() {
    let mut model = Model::new(vec![config_map("a", "1"), config_map("b", "1")]);
    model.spec("/syncPolicy/retry", json!({ "limit": 1 }));
    model.refuses.insert("b".into(), "b is invalid".into());
    let mut shown = model.settle();
    model.wait(10);
    shown.push_str(&model.settle());
    golden("retry", &shown);
    assert_eq!(model.live.len(), 0, "one refused object keeps all others from being written");
    // The same commit is not tried again; the next one is.
    model.wait(600);
    assert!(!model.settle().contains("write:"));
    model.refuses.clear();
    model.commit("c2", vec![config_map("a", "1"), config_map("b", "2")]);
    model.annotate("argocd.argoproj.io/refresh", "normal");
    model.settle();
    assert_eq!(model.status("/sync/status"), "Synced");
    assert_eq!(model.conditions(), Vec::<String>::new());
}

#[test]
fn pruning_waits_for_health_when_it_is_to_be_last() {
    let mut model = Model::synced(vec![deployment("old")]);
    model.spec("/syncPolicy/syncOptions", json!(["PruneLast=true"]));
    model.commit("c2", vec![deployment("new")]);
    model.wait(121);
    let mut shown = model.settle();
    assert!(model.live.contains_key(&key("Deployment", "old")));
    let new = key("Deployment", "new");
    let well = healthy(model.live[&new].clone());
    model.live.insert(new, well);
    model.wait(2);
    shown.push_str("(the new Deployment is well)\n");
    shown.push_str(&model.settle());
    golden("prune-last", &shown);
    assert!(!model.live.contains_key(&key("Deployment", "old")));
}

#[test]
fn a_missing_namespace_is_made_only_when_that_is_asked_for() {
    let mut model = Model::new(vec![config_map("a", "1")]);
    model.spec("/syncPolicy/retry", json!({ "limit": 0 }));
    model.namespaces.insert("shop".into(), crate::sync::NamespaceFact::Missing);
    let mut shown = model.settle();
    model.spec("/syncPolicy/syncOptions", json!(["CreateNamespace=true"]));
    model.world.application["operation"] = json!({ "sync": {} });
    shown.push_str("(asked for, by hand)\n");
    shown.push_str(&model.settle());
    golden("namespace", &shown);
    assert_eq!(model.status("/sync/status"), "Synced");
}

#[test]
fn deleting_an_application_deletes_what_it_may() {
    let keep = annotated(config_map("keep", "1"), "argocd.argoproj.io/sync-options", "Delete=false");
    let helm = annotated(config_map("helm", "1"), "helm.sh/resource-policy", "keep");
    let mut model = Model::synced(vec![config_map("a", "1"), deployment("web"), keep, helm]);
    model.put(config_map("stranger", "1"));
    model.world.application["metadata"]["deletionTimestamp"] = json!("2026-01-01T12:00:00Z");
    model.world.application["metadata"]["finalizers"] =
        json!(["resources-finalizer.argocd.argoproj.io", "other.example/finalizer"]);
    golden("cascade", &model.settle());
    let left: Vec<&str> = model.live.keys().map(|key| key.name.as_str()).collect();
    assert_eq!(left, ["helm", "keep", "stranger"]);
    assert_eq!(model.world.application["metadata"]["finalizers"], json!(["other.example/finalizer"]));
}

#[test]
fn objects_of_other_tools_are_taken_over() {
    let mut model = Model::new(vec![config_map("a", "1")]);
    let mut object = config_map("a", "1");
    object["metadata"]["managedFields"] = json!([{
        "manager": "kubectl-client-side-apply", "operation": "Update", "apiVersion": "v1",
        "fieldsV1": { "f:data": { "f:a": {} } },
    }]);
    model.put(object);
    golden("adopt", &model.settle());
}

#[test]
fn a_question_changes_nothing() {
    let mut model = Model::new(vec![config_map("a", "1")]);
    model.spec("/syncPolicy", json!({}));
    model.settle();
    assert_eq!(model.status("/sync/status"), "OutOfSync");
    model.world.application["operation"] =
        json!({ "sync": { "dryRun": true }, "initiatedBy": { "username": "ann" } });
    golden("dry-run", &model.settle());
    assert_eq!(model.live.len(), 0);
    assert_eq!(model.world.application["status"].get("history"), None);
}

#[test]
fn a_selective_sync_touches_only_its_selection() {
    let mut model = Model::new(vec![config_map("a", "1"), config_map("b", "1")]);
    model.spec("/syncPolicy", json!({}));
    model.settle();
    model.world.application["operation"] =
        json!({ "sync": { "resources": [{ "kind": "ConfigMap", "name": "b" }] } });
    let shown = model.settle();
    assert!(shown.contains("event: OperationCompleted Partial sync operation to c1 succeeded"), "{shown}");
    assert_eq!(model.live.keys().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["b"]);
}

#[test]
fn history_is_cut_to_its_limit() {
    let mut model = Model::synced(vec![config_map("a", "0")]);
    model.spec("/revisionHistoryLimit", json!(2));
    for n in 1..4 {
        model.commit(&format!("d{n}"), vec![config_map("a", &n.to_string())]);
        model.wait(200);
        model.settle();
    }
    let history = model.world.application["status"]["history"].as_array().unwrap().clone();
    let entries: Vec<String> =
        history.iter().map(|entry| format!("{} {}", entry["id"], entry["revision"])).collect();
    assert_eq!(entries, ["2 \"d2\"", "3 \"d3\""]);
}
