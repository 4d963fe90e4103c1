//! Rules on both sides of objects.

use serde_json::{Value, json};
use tidegate_api::source::IgnoreDifferences;

use super::super::object::Key;
use super::{Rules, placed};

fn given(rules: Value) -> Vec<IgnoreDifferences> {
    serde_json::from_value(rules).expect("rules")
}

fn key(group: &str, kind: &str, name: &str) -> Key {
    Key { group: group.into(), kind: kind.into(), namespace: "shop".into(), name: name.into() }
}

fn web() -> Key {
    key("apps", "Deployment", "web")
}

fn differ(rules: Value, live: &Value, predicted: &Value) -> bool {
    let given = given(rules);
    Rules::read(placed(&given), false).expect("readable").differ(&web(), live, predicted).expect("evaluated")
}

fn respected(rules: Value, wanted: Value, live: &Value) -> (bool, Value) {
    let given = given(rules);
    let mut wanted = wanted;
    let rules = Rules::read(placed(&given), false).expect("readable");
    let kept = rules.respect(&web(), &mut wanted, live).expect("evaluated");
    (kept, wanted)
}

#[test]
fn rules_belong_to_the_objects_they_name() {
    let live = json!({ "spec": { "replicas": 1 } });
    let predicted = json!({ "spec": { "replicas": 2 } });
    for (rule, key, ignored) in [
        (json!({ "group": "apps", "kind": "*", "name": "w*" }), key("apps", "Deployment", "web"), true),
        (json!({ "group": "apps", "kind": "*", "name": "w*" }), key("apps", "Deployment", "api"), false),
        (json!({ "group": "*", "kind": "Deployment" }), key("apps", "Deployment", "web"), true),
        (json!({ "group": "*", "kind": "deployment" }), key("apps", "Deployment", "web"), false),
        (json!({ "group": "*.example.com", "kind": "*" }), key("a.example.com", "X", "web"), true),
        (json!({ "kind": "Secret" }), key("", "Secret", "s"), true),
        (json!({ "kind": "Secret" }), key("apps", "Secret", "s"), false),
        (json!({ "kind": "Secret", "namespace": "other" }), key("", "Secret", "s"), false),
        (json!({ "kind": "Secret", "namespace": "sh?p", "name": "" }), key("", "Secret", "s"), true),
    ] {
        let mut rule = rule;
        rule["jsonPointers"] = json!(["/spec/replicas"]);
        let given = given(json!([rule]));
        let rules = Rules::read(placed(&given), false).expect("readable");
        assert_eq!(rules.differ(&key, &live, &predicted), Ok(!ignored), "{rule} on {key}");
    }
}

#[test]
fn ignored_fields_make_no_difference_and_others_do() {
    let live = json!({
        "metadata": { "name": "web", "annotations": { "a/b": "live" }, "managedFields": [
            { "manager": "scaler", "operation": "Update", "subresource": "scale",
              "fieldsV1": { "f:spec": { "f:replicas": {} } } } ] },
        "spec": { "replicas": 5, "containers": [
            { "name": "app", "image": "app:1" }, { "name": "proxy", "image": "proxy:1" } ] },
    });
    let all = |rule: Value| {
        let mut rule = rule;
        rule["group"] = json!("*");
        rule["kind"] = json!("*");
        json!([rule])
    };
    let with = |change: fn(&mut Value)| {
        let mut predicted = live.clone();
        change(&mut predicted);
        predicted
    };
    let scaled = with(|p| p["spec"]["replicas"] = json!(2));
    let image = with(|p| p["spec"]["containers"][0]["image"] = json!("app:2"));
    let less = with(|p| {
        p["spec"]["containers"] = json!([{ "name": "app", "image": "app:1" }]);
    });
    let bare = with(|p| {
        p["metadata"] = json!({ "name": "web" });
    });
    for (rule, predicted, differs) in [
        (json!({}), &scaled, true),
        (json!({ "jsonPointers": ["/spec/replicas"] }), &scaled, false),
        (json!({ "jqPathExpressions": [".spec.replicas"] }), &scaled, false),
        (json!({ "managedFieldsManagers": ["scaler"] }), &scaled, false),
        (json!({ "managedFieldsManagers": ["other"] }), &scaled, true),
        (
            json!({ "jsonPointers": ["/spec/absent", "/spec/replicas/x", "/spec/containers/7"] }),
            &scaled,
            true,
        ),
        (json!({ "managedFieldsManagers": ["scaler"] }), &image, true),
        (json!({ "jsonPointers": ["/spec/containers/0/image"] }), &image, false),
        (json!({ "jsonPointers": ["/spec/containers/1/image"] }), &image, true),
        (
            json!({ "jqPathExpressions": [".spec.containers[] | select(.name == \"app\") | .image"] }),
            &image,
            false,
        ),
        (
            json!({ "jqPathExpressions": [".spec.containers[] | select(.name == \"proxy\") | .image"] }),
            &image,
            true,
        ),
        (json!({ "jqPathExpressions": [".spec.containers[] | select(.name == \"proxy\")"] }), &less, false),
        // Nothing is left of the map on one side, and there was none on the other.
        (json!({ "jsonPointers": ["/metadata/annotations/a~1b"] }), &bare, false),
        (json!({ "jsonPointers": ["/metadata/annotations"] }), &bare, false),
        (json!({ "jsonPointers": ["/spec/replicas"] }), &bare, true),
    ] {
        let rules = if rule == json!({}) { json!([]) } else { all(rule.clone()) };
        assert_eq!(differ(rules, &live, predicted), differs, "{rule} {predicted}");
    }
}

#[test]
fn an_empty_map_is_no_absent_one_unless_a_rule_emptied_it() {
    let rules = || json!([{ "group": "*", "kind": "*", "jsonPointers": ["/spec/a/b"] }]);
    let with = |spec: Value| json!({ "spec": spec });
    assert!(!differ(rules(), &with(json!({ "a": { "b": 1 } })), &with(json!({}))));
    assert!(!differ(rules(), &with(json!({ "a": { "b": 1 } })), &with(json!({ "a": {} }))));
    assert!(differ(rules(), &with(json!({ "a": { "b": 1, "c": 1 } })), &with(json!({}))));
    assert!(differ(rules(), &with(json!({ "emptyDir": {} })), &with(json!({}))));
}

#[test]
fn whose_an_object_is_always_counts() {
    let mark = |id: &str| json!({ "metadata": { "annotations": { super::TRACKING_ID: id } } });
    let rules = || json!([{ "group": "*", "kind": "*", "jsonPointers": ["/metadata"] }]);
    assert!(!differ(rules(), &mark("a"), &mark("a")));
    assert!(differ(rules(), &mark("a"), &mark("b")));
    assert!(differ(rules(), &json!({ "metadata": {} }), &mark("b")));
    let wanted = json!({ "apiVersion": "v1", "kind": "X", "metadata": {
        "name": "web", "annotations": { super::TRACKING_ID: "b", "mine": "1" } } });
    let live = json!({ "apiVersion": "v2", "kind": "X", "metadata": {
        "name": "web", "uid": "u", "resourceVersion": "7", "managedFields": [], "annotations": { "theirs": "2" } } });
    let both = json!([{ "group": "*", "kind": "*", "jsonPointers": ["/metadata", "/apiVersion"] }]);
    let (kept, wanted) = respected(both, wanted, &live);
    assert!(kept);
    assert_eq!(
        wanted,
        json!({ "apiVersion": "v1", "kind": "X", "metadata": {
            "name": "web", "annotations": { super::TRACKING_ID: "b", "theirs": "2" } } })
    );
}

#[test]
fn respected_fields_stay_as_they_are() {
    let live = json!({ "metadata": { "managedFields": [
            { "manager": "scaler", "operation": "Update", "fieldsV1": { "f:spec": { "f:replicas": {} } } } ] },
        "spec": { "replicas": 5, "containers": [
            { "name": "proxy", "image": "p:9" }, { "name": "app", "image": "a:9", "env": [{ "name": "E", "value": "9" }] } ] },
        "status": { "x": 9 } });
    let wanted = || {
        json!({ "metadata": {}, "spec": { "replicas": 2, "containers": [
        { "name": "app", "image": "a:1", "env": [{ "name": "E", "value": "1" }] } ] } })
    };
    for (rule, pointer, want) in [
        (json!({ "jsonPointers": ["/spec/replicas"] }), "/spec/replicas", json!(5)),
        (json!({ "managedFieldsManagers": ["scaler"] }), "/spec/replicas", json!(5)),
        (json!({ "managedFieldsManagers": ["other"] }), "/spec/replicas", json!(2)),
        // A place in a list means the item that Git has there, wherever the live one is.
        (json!({ "jsonPointers": ["/spec/containers/0/image"] }), "/spec/containers/0/image", json!("a:1")),
        (
            json!({ "jqPathExpressions": [".spec.containers[].image"] }),
            "/spec/containers/0/image",
            json!("a:9"),
        ),
        (
            json!({ "jqPathExpressions": [".spec.containers[].env[]? | select(.name == \"E\")"] }),
            "/spec/containers/0/env/0/value",
            json!("9"),
        ),
        (
            json!({ "jqPathExpressions": [".spec.containers[].env[]? | select(.name == \"E\")"] }),
            "/spec/containers/0/image",
            json!("a:1"),
        ),
        (
            json!({ "jsonPointers": ["/status"], "jqPathExpressions": [".status.x"] }),
            "/spec/replicas",
            json!(2),
        ),
    ] {
        let mut rule = rule;
        rule["group"] = json!("apps");
        rule["kind"] = json!("Deployment");
        let (_, kept) = respected(json!([rule]), wanted(), &live);
        assert_eq!(kept.pointer(pointer), Some(&want), "{rule}");
        assert_eq!(kept.get("status"), None);
    }
}

#[test]
fn the_rules_of_aggregated_roles_count_unless_the_installation_says_otherwise() {
    let role = |rules: Value| json!({ "aggregationRule": { "clusterRoleSelectors": [] }, "rules": rules });
    let key = key("rbac.authorization.k8s.io", "ClusterRole", "all");
    for (ignores, differs) in [(true, false), (false, true)] {
        let rules = Rules::read(placed(&[]), ignores).expect("readable");
        assert_eq!(rules.differ(&key, &role(json!([{ "verbs": ["get"] }])), &role(json!([]))), Ok(differs));
    }
}

#[test]
fn a_rule_that_cannot_be_read_is_named() {
    for (rules, want) in [
        (
            json!([{ "kind": "A", "jsonPointers": ["/ok", "spec/replicas"] }]),
            "spec.ignoreDifferences[0].jsonPointers[1] is no pointer to a field",
        ),
        (
            json!([{ "kind": "A" }, { "kind": "B", "jqPathExpressions": [".ok", ".a["] }]),
            "spec.ignoreDifferences[1].jqPathExpressions[1] is no jq expression",
        ),
        (
            json!([{ "kind": "A", "jqPathExpressions": ["env.HOME"] }]),
            "spec.ignoreDifferences[0].jqPathExpressions[0] uses the function env/0",
        ),
    ] {
        let given = given(rules);
        let error = Rules::read(placed(&given), false).expect_err("unreadable");
        assert!(error.starts_with(want), "{error}");
    }
    let given = given(json!([{ "group": "*", "kind": "*", "jqPathExpressions": ["recurse(.)"] }]));
    let rules = Rules::read(placed(&given), false).expect("readable");
    let secret = json!({ "data": { "password": "aHVudGVyMg==" } });
    let error = rules.differ(&web(), &secret, &secret).expect_err("endless");
    assert_eq!(
        error,
        "spec.ignoreDifferences[0].jqPathExpressions[0] takes too many steps on this object; make it more specific \
         (on apps/Deployment shop/web)"
    );
    let many = json!({ "list": vec![1; 5000] });
    let given = self::given(json!([{ "group": "*", "kind": "*", "jqPathExpressions": [".list[]"] }]));
    let rules = Rules::read(placed(&given), false).expect("readable");
    assert!(rules.differ(&web(), &many, &many).expect_err("many").contains("more than 2000 fields"));
}
