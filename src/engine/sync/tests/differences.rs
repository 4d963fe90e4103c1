//! Fields that others own: ignored by the comparison, and kept by the sync where that is asked for.

use serde_json::{Value, json};

use super::model::{Model, config_map, deployment, key};
use super::stories::golden;

/// A Deployment with an image.
fn web(image: &str, replicas: i64) -> Value {
    let mut object = deployment("web");
    object["spec"] = json!({ "replicas": replicas, "template": { "spec": { "containers": [
        { "name": "app", "image": image, "env": [{ "name": "LEVEL", "value": "git" }] } ] } } });
    object
}

fn secret(data: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "s" }, "data": data })
}

/// An Application with these rules, synced once.
fn synced(objects: Vec<Value>, rules: Value, respects: bool) -> Model {
    let mut model = Model::new(objects);
    model.spec("/ignoreDifferences", rules);
    if respects {
        model.spec("/syncPolicy/syncOptions", json!(["RespectIgnoreDifferences=true"]));
    }
    model.settle();
    assert_eq!(model.status("/sync/status"), "Synced");
    model
}

#[test]
fn an_autoscalers_replicas_are_no_difference_and_stay_where_that_is_asked_for() {
    let rules = json!([{ "group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"] }]);
    let mut shown = String::new();
    for (respects, want) in [(false, 2), (true, 7)] {
        let mut model = synced(vec![web("app:1", 2)], rules.clone(), respects);
        let scaled = key("Deployment", "web");
        model.live.get_mut(&scaled).unwrap()["spec"]["replicas"] = json!(7);
        model.world.prompted = true;
        let quiet = model.settle();
        assert!(!quiet.contains("write:"), "{quiet}");
        assert_eq!(model.status("/sync/status"), "Synced");
        model.commit("c2", vec![web("app:2", 2)]);
        model.wait(121);
        shown.push_str(&format!("(respects: {respects})\n{}", model.settle()));
        let live = &model.live[&scaled];
        assert_eq!(live["spec"]["replicas"], want, "respects: {respects}");
        assert_eq!(live["spec"]["template"]["spec"]["containers"][0]["image"], "app:2");
    }
    golden("ignored-replicas", &shown);
}

#[test]
fn what_an_operator_puts_into_a_secret_is_never_told() {
    let rules = json!([{ "kind": "Secret", "jsonPointers": ["/data"] }]);
    let mut model = synced(vec![secret(json!({ "token": "" })), config_map("a", "1")], rules, true);
    let filled = key("Secret", "s");
    model.live.get_mut(&filled).unwrap()["data"] =
        json!({ "token": "aHVudGVyMg==", "extra": "aHVudGVyMw==" });
    model.world.prompted = true;
    assert!(!model.settle().contains("write:"));
    let mut changed = secret(json!({ "token": "" }));
    changed["metadata"]["labels"] = json!({ "tier": "one" });
    model.commit("c2", vec![changed, config_map("a", "1")]);
    model.wait(121);
    let shown = model.settle();
    let live = &model.live[&filled];
    assert_eq!(live["data"], json!({ "token": "aHVudGVyMg==", "extra": "aHVudGVyMw==" }));
    assert_eq!(live["metadata"]["labels"]["tier"], "one");
    for text in [&shown, &model.world.application.to_string()] {
        assert!(!text.contains("aHVudGVy"), "{text}");
    }
}

#[test]
fn expressions_and_managers_are_served() {
    for rule in [
        json!({ "jqPathExpressions": [".spec.template.spec.containers[].env[] | select(.name == \"LEVEL\") | .value"] }),
        json!({ "managedFieldsManagers": ["tuner"] }),
    ] {
        let mut rule = rule;
        rule["group"] = json!("*");
        rule["kind"] = json!("Deployment");
        let mut model = synced(vec![web("app:1", 2)], json!([rule]), true);
        let live = model.live.get_mut(&key("Deployment", "web")).unwrap();
        live["spec"]["template"]["spec"]["containers"][0]["env"][0]["value"] = json!("tuned");
        let fields = json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": {
            "k:{\"name\":\"app\"}": { "f:env": { "k:{\"name\":\"LEVEL\"}": { "f:value": {} } } } } } } } });
        live["metadata"]["managedFields"].as_array_mut().unwrap().push(json!({
            "manager": "tuner", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": fields }));
        model.world.prompted = true;
        assert!(!model.settle().contains("write:"), "{rule}");
        assert_eq!(model.conditions(), Vec::<String>::new());
        model.commit("c2", vec![web("app:2", 2)]);
        model.wait(121);
        model.settle();
        let container = &model.live[&key("Deployment", "web")]["spec"]["template"]["spec"]["containers"][0];
        assert_eq!(container["image"], "app:2", "{rule}");
        assert_eq!(container["env"][0]["value"], "tuned", "{rule}");
    }
}

#[test]
fn a_rule_that_cannot_be_read_stops_the_sync_and_is_named() {
    let mut model = Model::new(vec![web("app:1", 2)]);
    model.spec(
        "/ignoreDifferences",
        json!([
            { "group": "apps", "kind": "Deployment", "jsonPointers": ["/spec/replicas"] },
            { "group": "apps", "kind": "Deployment", "jqPathExpressions": ["env | .spec"] },
        ]),
    );
    let shown = model.settle();
    assert!(!shown.contains("write:"), "{shown}");
    assert_eq!(
        model.conditions(),
        [
            "ComparisonError: spec.ignoreDifferences[1].jqPathExpressions[0] uses the function env/0, which is not \
          served in ignoreDifferences"
        ]
    );
    model.world.application["operation"] = json!({ "sync": {} });
    let shown = model.settle();
    assert!(!shown.contains("write:"), "{shown}");
    assert_eq!(model.status("/operationState/phase"), "Error");
    // One that only evaluation can judge is told of the object that it failed on.
    let mut model = Model::synced(vec![web("app:1", 2)]);
    model.spec(
        "/ignoreDifferences",
        json!([{ "group": "*", "kind": "*", "jqPathExpressions": ["recurse(.)"] }]),
    );
    model.world.prompted = true;
    model.wait(121);
    let shown = model.settle();
    assert!(!shown.contains("write:"), "{shown}");
    let told = model.conditions();
    assert!(told[0].contains("takes too many steps on this object"), "{told:?}");
    assert!(told[0].ends_with("(on apps/Deployment shop/web)"), "{told:?}");
}
