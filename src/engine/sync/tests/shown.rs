//! What people are shown before a sync is what the sync does, and no secret is in it.

use serde_json::{Value, json};

use super::model::{Model, annotated, config_map, key};
use crate::sync::{Change, World, differences};

fn secret(name: &str, data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": name }, "data": data })
}

/// The model's world once somebody asked for a look.
fn looked(model: &mut Model) -> World {
    model.annotate("argocd.argoproj.io/refresh", "hard");
    model.observe()
}

fn shown(model: &mut Model) -> Vec<(String, Change)> {
    let found = differences(&looked(model)).unwrap();
    found.into_iter().map(|difference| (difference.key.to_string(), difference.what)).collect()
}

#[test]
fn every_object_that_a_sync_would_touch_is_shown_and_no_other() {
    let kept = annotated(config_map("kept", "1"), "argocd.argoproj.io/sync-options", "Prune=false");
    let mut model =
        Model::synced(vec![config_map("a", "1"), config_map("b", "1"), config_map("gone", "1"), kept]);
    assert_eq!(shown(&mut model), Vec::new());
    model.commit("c2", vec![config_map("a", "1"), config_map("b", "2"), config_map("new", "1")]);
    assert_eq!(
        shown(&mut model),
        [
            ("ConfigMap shop/b".to_owned(), Change::Update),
            ("ConfigMap shop/gone".to_owned(), Change::Prune),
            ("ConfigMap shop/kept".to_owned(), Change::Keep),
            ("ConfigMap shop/new".to_owned(), Change::Create),
        ]
    );
    let found = differences(&looked(&mut model)).unwrap();
    assert_eq!(found[0].live.as_ref().unwrap()["data"], json!({ "a": "1" }));
    assert_eq!(found[0].wanted.as_ref().unwrap()["data"], json!({ "a": "2" }));
    assert_eq!(found[0].live.as_ref().unwrap()["metadata"].get("resourceVersion"), None);
}

#[test]
fn values_of_secrets_are_shown_on_neither_side() {
    let before = secret("s", json!({ "same": "c2FtZQ==", "changed": "b2xk", "removed": "cmVtb3ZlZA==" }));
    let mut model = Model::synced(vec![before]);
    let live = model.live.get_mut(&key("Secret", "s")).unwrap();
    live["metadata"]["annotations"]["kubectl.kubernetes.io/last-applied-configuration"] =
        json!("{\"data\":{\"changed\":\"b2xk\"}}");
    let after = secret("s", json!({ "same": "c2FtZQ==", "changed": "bmV3", "added": "YWRkZWQ=" }));
    model.commit("c2", vec![after, secret("fresh", json!({ "k": "ZnJlc2g=" }))]);
    let found = differences(&looked(&mut model)).unwrap();
    assert_eq!(found.len(), 2);
    let text = format!("{found:?}");
    for value in ["c2FtZQ", "b2xk", "cmVtb3ZlZA", "bmV3", "YWRkZWQ", "ZnJlc2g"] {
        assert!(!text.contains(value), "{value} is in {text}");
    }
    let changed = found.iter().find(|difference| difference.key.name == "s").unwrap();
    let data = |side: &Option<Value>| side.as_ref().unwrap()["data"].clone();
    let (live, wanted) = (data(&changed.live), data(&changed.wanted));
    assert_eq!(live["same"], wanted["same"]);
    assert_ne!(live["changed"], wanted["changed"]);
    assert_eq!(changed.what, Change::Update);
}

#[test]
fn what_cannot_be_compared_is_said() {
    let mut model = Model::synced(vec![config_map("a", "1")]);
    model.commit("c2", vec![config_map("a", "2")]);
    model.refuses.insert("a".into(), "a is immutable".into());
    let found = differences(&looked(&mut model)).unwrap();
    assert_eq!(found[0].refused.as_deref(), Some("a is immutable"));
    model.git = Err("connection refused".into());
    assert!(differences(&looked(&mut model)).unwrap_err().contains("connection refused"));
    model.spec("/source/helm", json!({ "values": "x" }));
    assert!(differences(&looked(&mut model)).unwrap_err().contains("ComparisonError"));
}
