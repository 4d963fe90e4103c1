//! Checks against what Go computed: `vectors.json`, made by `e2e/tools/oracle`.

use serde_json::{Value, json};

use super::quantity::Quantity;
use super::*;
use crate::rollout::world::Parsed;
use tidegate_api::rollout::Rollout;

fn section(name: &str) -> Vec<Value> {
    let vectors: Value = serde_json::from_str(include_str!("vectors.json")).unwrap();
    vectors[name].as_array().unwrap().clone()
}

/// Fails with the first few differences, rather than with one or with all.
fn assert_none(checked: usize, differences: &[String]) {
    let shown: Vec<&str> = differences.iter().take(5).map(String::as_str).collect();
    assert!(differences.is_empty(), "{} of {checked} differ:\n{}", differences.len(), shown.join("\n"));
}

#[test]
fn templates_hash_as_in_go() {
    let vectors = section("templates");
    assert!(vectors.len() >= 1500);
    let mut differences = Vec::new();
    for vector in &vectors {
        let text = canonical(&vector["template"]);
        let collision = vector["collision"].as_i64().and_then(|count| i32::try_from(count).ok());
        let same_text = vector.get("json").is_none_or(|json| json == &text);
        let same_hashes = vector["hash"] == pod_template_hash(&text, None)
            && vector["hashWithCollision"] == pod_template_hash(&text, collision);
        if !(same_text && same_hashes) {
            differences.push(format!("{}\n  go   {}\n  here {text}", vector["template"], vector["json"]));
        }
    }
    assert_none(vectors.len(), &differences);
}

#[test]
fn steps_hash_as_in_go() {
    let vectors = section("steps");
    let mut differences = Vec::new();
    for vector in &vectors {
        if vector["hash"] != steps_hash(Some(&vector["steps"])) {
            differences.push(format!("{}\n  go   {}", vector["steps"], vector["json"]));
        }
    }
    assert_none(vectors.len(), &differences);
    assert_eq!(steps_hash(None), steps_hash(Some(&json!([]))));
}

/// What is hashed is what a Rollout was decoded to, which must have kept what Go keeps: above all whether a field that is a
/// pointer there was set.
#[test]
fn steps_hash_as_in_go_once_they_are_part_of_a_rollout() {
    let vectors = section("steps");
    let (mut differences, mut checked) = (Vec::new(), 0);
    // The kind's schema refuses an experiment without templates, which Go spells as null, and nulls in maps.
    let bare = |step: &Value| step["experiment"].is_object() && !step["experiment"]["templates"].is_array();
    let is_refused = |vector: &&Value| {
        vector["steps"].as_array().is_some_and(|steps| steps.iter().any(bare)) || has_null(&vector["steps"])
    };
    for vector in vectors.iter().filter(|vector| !is_refused(vector)) {
        let object =
            json!({"metadata": {"name": "a"}, "spec": {"strategy": {"canary": {"steps": vector["steps"]}}}});
        let Ok((rollout, dropped)) = tidegate_api::tolerant::decode::<Rollout>(object) else { continue };
        if !dropped.is_empty() {
            continue;
        }
        checked += 1;
        let here = Parsed::new(&rollout).steps_hash;
        if vector["hash"] != here {
            differences.push(format!("{}\n  go   {}", vector["steps"], vector["json"]));
        }
    }
    assert!(checked > 60, "only {checked} of {} vectors are read", vectors.len());
    assert_none(checked, &differences);
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(has_null),
        Value::Object(fields) => fields.values().any(has_null),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => false,
    }
}

#[test]
fn quantities_are_spelled_as_in_go() {
    let vectors = section("quantities");
    let mut differences = Vec::new();
    for vector in &vectors {
        // Numbers are written as Go writes a float before they are read.
        let members = json!({"divisor": vector[0]});
        let fields = &[fields::Field::new("divisor", Kind::Quantity).pointer().omit()];
        let decoded = go_json::decode(&members, fields, Quantity::canonical);
        let spelled = decoded.get("divisor").cloned().unwrap_or_default();
        if spelled != vector[1] {
            differences.push(format!("{} is {} in go, {spelled} here", vector[0], vector[1]));
        }
    }
    assert_none(vectors.len(), &differences);
}

#[test]
fn equal_amounts_have_one_text() {
    let vectors = section("pairs");
    let mut differences = Vec::new();
    for vector in &vectors {
        let [left, right] = [0, 1].map(|side| vector[side].as_str().unwrap());
        let same = Quantity::amount(left) == Quantity::amount(right);
        if vector[2] != same {
            differences.push(format!("{left} and {right}: {} in go", vector[2]));
        }
    }
    assert_none(vectors.len(), &differences);
}

#[test]
fn templates_of_the_upstream_e2e_suite_keep_their_names() {
    let template = |app: &str| {
        json!({
            "metadata": {"labels": {"app": app}},
            "spec": {"containers": [{
                "name": app,
                "image": "nginx:1.19-alpine",
                "ports": [{"name": "http", "containerPort": 80, "protocol": "TCP"}],
                "resources": {"requests": {"memory": "16Mi", "cpu": "5m"}},
            }]},
        })
    };
    let delay = template("canary-scaledowndelay");
    assert_eq!(pod_template_hash(&canonical(&delay), None), "674d8cf959");

    let mut dynamic = template("dynamic-stable-scale");
    dynamic["spec"]["readinessGates"] = json!([{"conditionType": "argoproj.io/e2e-readiness"}]);
    assert_eq!(pod_template_hash(&canonical(&dynamic), None), "6b56c8cdb4");
}

#[test]
fn a_field_of_a_newer_kubernetes_counts_only_when_used() {
    let mut template = json!({"spec": {"containers": [{"name": "a"}]}});
    let before = canonical(&template);
    template["spec"]["schedulingGroup"] = json!({"podGroupName": "b"});
    let with = canonical(&template);
    assert!(with.starts_with(before.trim_end_matches('}')), "{with}");
    assert!(with.ends_with(r#","schedulingGroup":{"podGroupName":"b"}}}"#), "{with}");
    template["spec"]["schedulingGroup"] = Value::Null;
    assert_eq!(canonical(&template), before);
}

#[test]
fn an_unknown_field_does_not_count() {
    let plain = json!({"spec": {"containers": [{"name": "a"}]}});
    let typo = json!({"spec": {"containers": [{"name": "a", "imagePulPolicy": "Always"}]}, "kind": "x"});
    assert_eq!(canonical(&typo), canonical(&plain));
}

#[test]
fn a_value_that_cannot_be_read_takes_nothing_else_with_it() {
    let template = json!({"spec": {
        "containers": [{"name": "a", "imagePulPolicy": "Always", "resources": {
            "requests": {"memory": "invalid", "cpu": 0.5},
        }}],
        "volumes": [{"name": "v", "emptyDir": {"sizeLimit": "much"}}],
    }});
    let expected = json!({"spec": {
        "containers": [{"name": "a", "imagePulPolicy": "Always", "resources": {"requests": {"cpu": "500m"}}}],
        "volumes": [{"name": "v", "emptyDir": {}}],
    }});
    assert_eq!(readable(&template), expected);
    assert_eq!(canonical(&template), canonical(&expected));
}
