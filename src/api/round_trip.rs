//! Tests over all kinds: every field upstream knows is known here, none is lost on the way through
//! the types, and manifests from the wild are read and validated.

use crate::tolerant::decode;
use crate::valid::{unsupported, validate, validate_metrics};
use crate::{analysis, crds, experiment, rollout, source};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use std::path::Path;

fn schema(plural: &str) -> Value {
    let definition = crds::all().into_iter().find(|one| one["spec"]["names"]["plural"] == plural).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].clone()
}

/// Finds the schema at a path such as `.spec.steps[].match{}.exact`.
fn at<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let path = path.replace("[]", ".[]").replace("{}", ".{}");
    path.split('.').filter(|name| !name.is_empty()).try_fold(schema, |schema, name| match name {
        "[]" => schema.get("items"),
        "{}" => schema.get("additionalProperties"),
        name => schema["properties"].get(name),
    })
}

#[test]
fn every_field_of_upstream_has_its_type_here() {
    let mut missing = Vec::new();
    let mut known = ("", Value::Null);
    let mut fields = 0;
    for line in include_str!("fixtures/upstream-fields.txt").lines().filter(|line| !line.starts_with('#')) {
        let [plural, path, kind] = line.split(' ').collect::<Vec<_>>()[..] else { panic!("{line}") };
        if known.0 != plural {
            known = (plural, schema(plural));
        }
        let found = at(&known.1, path).map(|schema| {
            let int_or_string = schema.get("x-kubernetes-int-or-string").map(|_| "int-or-string");
            int_or_string.or(schema["type"].as_str()).unwrap_or_default()
        });
        if found != Some(kind) {
            missing.push(format!("{line}, but here {found:?}"));
        }
        fields += 1;
    }
    assert!(missing.is_empty(), "{missing:#?}");
    assert!(fields > 700, "the list of upstream's fields is cut off: {fields}");
}

/// Makes a value that has every field of a schema, none of them a zero value.
fn sample(schema: &Value, name: &str) -> Value {
    if schema.get("x-kubernetes-int-or-string").is_some() {
        return json!("50%");
    }
    if schema.get("x-kubernetes-preserve-unknown-fields").is_some() {
        return json!({"free": {"list": [1, "two", null], "deep": {"a": 0.5}}});
    }
    match (schema["type"].as_str().unwrap(), schema["format"].as_str()) {
        ("string", Some("date-time")) => json!("2026-08-17T10:20:30Z"),
        // Texts under these names may be phases, of which this one is known everywhere.
        ("string", _) if matches!(name, "phase" | "status") => json!("Running"),
        ("string", _) => schema["enum"].get(0).cloned().unwrap_or_else(|| json!(format!("some {name}"))),
        ("integer", _) => json!(7),
        ("boolean", _) => json!(true),
        ("array", _) => json!([sample(&schema["items"], name)]),
        ("object", _) => {
            let mut fields = Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                fields.insert(name.clone(), sample(schema, name));
            }
            if let Some(schema) = schema.get("additionalProperties") {
                fields.insert("some-key".to_owned(), sample(schema, name));
            }
            Value::Object(fields)
        }
        (other, _) => panic!("{name}: no sample for {other}"),
    }
}

fn full_object(plural: &str, kind: &str) -> Value {
    let mut object = sample(&schema(plural), plural);
    object["apiVersion"] = json!("argoproj.io/v1alpha1");
    object["kind"] = json!(kind);
    object["metadata"] = json!({
        "name": "shop", "namespace": "default", "generation": 3, "uid": "u-1", "resourceVersion": "42",
        "labels": {"app": "shop"}, "annotations": {"rollout.argoproj.io/revision": "1"},
        "creationTimestamp": "2026-08-17T10:20:30Z", "finalizers": ["a/b"],
        "ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "a", "uid": "u-0", "controller": true}]
    });
    object
}

fn survives<T: DeserializeOwned + Serialize>(object: &Value) {
    let (decoded, dropped) = decode::<T>(object.clone()).unwrap();
    assert_eq!(dropped, []);
    let encoded = serde_json::to_value(decoded).unwrap();
    let mut lost = Vec::new();
    differences(object, &encoded, String::new(), &mut lost);
    assert!(lost.is_empty(), "{}: {lost:#?}", object["kind"]);
}

fn differences(want: &Value, found: &Value, path: String, lost: &mut Vec<String>) {
    match (want, found) {
        (Value::Object(want), Value::Object(found)) => {
            for key in want.keys().chain(found.keys().filter(|key| !want.contains_key(*key))) {
                let of = |fields: &Map<String, Value>| fields.get(key).cloned().unwrap_or_default();
                differences(&of(want), &of(found), format!("{path}.{key}"), lost);
            }
        }
        (want, found) if want == found => {}
        (want, found) => lost.push(format!("{path}: {want} became {found}")),
    }
}

#[test]
fn no_known_field_is_lost_on_the_way_through_the_types() {
    let mut whole = full_object("rollouts", "Rollout");
    whole["status"]["phase"] = json!("Paused");
    survives::<rollout::Rollout>(&whole);
    survives::<analysis::AnalysisTemplate>(&full_object("analysistemplates", "AnalysisTemplate"));
    survives::<analysis::ClusterAnalysisTemplate>(&full_object(
        "clusteranalysistemplates",
        "ClusterAnalysisTemplate",
    ));
    survives::<analysis::AnalysisRun>(&full_object("analysisruns", "AnalysisRun"));
    survives::<experiment::Experiment>(&full_object("experiments", "Experiment"));
}

/// Upstream hashes the JSON of the steps, so its order and omissions count, not only its content.
#[test]
fn steps_are_written_in_the_order_and_form_of_go() {
    let steps: Vec<rollout::CanaryStep> = serde_json::from_value(json!([
        {"pause": {}, "setWeight": 0},
        {"pause": {"duration": "1h"}},
        {"analysis": {"args": [{"value": "x", "name": "a"}], "templates": [{"templateName": "t", "clusterScope": false}]}},
        {"experiment": {"duration": "5m", "templates": [{"specRef": "canary", "name": "new", "weight": 5}]}},
        {"setCanaryScale": {"weight": 25, "matchTrafficWeight": false}},
        {"setHeaderRoute": {"match": [{"headerValue": {"exact": "1"}, "headerName": "canary"}], "name": "h"}},
        {"plugin": {"config": {"b": 1, "a": 2}, "name": "p"}}
    ]))
    .unwrap();
    let text = serde_json::to_string(&steps).unwrap();
    let want = concat!(
        r#"[{"setWeight":0,"pause":{}},"#,
        r#"{"pause":{"duration":"1h"}},"#,
        r#"{"analysis":{"templates":[{"templateName":"t","clusterScope":false}],"args":[{"name":"a","value":"x"}]}},"#,
        r#"{"experiment":{"templates":[{"name":"new","specRef":"canary","metadata":{},"weight":5}],"duration":"5m","#,
        r#""analysisRunMetadata":{}}},"#,
        r#"{"setCanaryScale":{"weight":25}},"#,
        r#"{"setHeaderRoute":{"name":"h","match":[{"headerName":"canary","headerValue":{"exact":"1"}}]}},"#,
        r#"{"plugin":{"name":"p","config":{"a":2,"b":1}}}]"#,
    );
    assert_eq!(text, want);
}

#[test]
fn zero_values_of_the_status_are_left_out() {
    assert_eq!(serde_json::to_value(rollout::RolloutStatus::default()).unwrap(), json!({}));
    assert_eq!(
        serde_json::to_value(analysis::AnalysisRunStatus::default()).unwrap(),
        json!({"phase": "", "runSummary": {}})
    );
    assert_eq!(serde_json::to_value(experiment::ExperimentStatus::default()).unwrap(), json!({}));
}

fn fixtures() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            let text = std::fs::read_to_string(&path).unwrap();
            found.push((name, serde_saphyr::from_str(&text).unwrap()));
        }
    }
    found.sort_by(|one, other| one.0.cmp(&other.0));
    found
}

fn read<T: DeserializeOwned>(name: &str, object: &Value) -> T {
    let (decoded, dropped) = decode::<T>(object.clone()).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(dropped, [], "{name}");
    decoded
}

/// Checks that the API server would keep every field of an object, and find every field it requires.
fn fits(value: &Value, schema: &Value, path: &str) {
    if schema.get("x-kubernetes-preserve-unknown-fields").is_some() {
        return;
    }
    for name in schema["required"].as_array().into_iter().flatten() {
        assert!(value.get(name.as_str().unwrap()).is_some(), "{path}: {name} is required");
    }
    for (index, element) in value.as_array().into_iter().flatten().enumerate() {
        fits(element, &schema["items"], &format!("{path}[{index}]"));
    }
    for (name, field) in value.as_object().into_iter().flatten() {
        let child = schema["properties"].get(name).or_else(|| schema.get("additionalProperties"));
        fits(
            field,
            child.unwrap_or_else(|| panic!("{path}.{name} would be pruned")),
            &format!("{path}.{name}"),
        );
    }
}

#[test]
fn manifests_from_the_wild_are_read_and_validated() {
    let mut said = Vec::new();
    for (name, object) in fixtures() {
        let kind = object["kind"].as_str().unwrap();
        fits(&object["spec"], &schema(&format!("{}s", kind.to_lowercase()))["properties"]["spec"], &name);
        match kind {
            "Rollout" => {
                let verdict = validate(&read::<rollout::Rollout>(&name, &object));
                let errors = verdict.map(|valid| unsupported(&valid));
                let text =
                    |errors: &[_]| errors.iter().map(ToString::to_string).collect::<Vec<String>>().join("; ");
                said.push(match errors {
                    Ok(refused) if refused.is_empty() => format!("{name}: valid"),
                    Ok(refused) => format!("{name}: valid, but {}", text(&refused)),
                    Err(errors) => format!("{name}: invalid: {}", errors[0]),
                });
            }
            "AnalysisTemplate" => {
                let template = read::<analysis::AnalysisTemplate>(&name, &object);
                said.push(format!("{name}: {:?}", validate_metrics(&template.spec.metrics)));
            }
            "Application" => {
                read::<source::Application>(&name, &object);
            }
            "AppProject" => {
                read::<source::AppProject>(&name, &object);
            }
            other => panic!("{name}: unexpected kind {other}"),
        }
    }
    assert_eq!(
        said,
        [
            "analysistemplate-success-rate: Ok(())",
            "rollout-blue-green: valid",
            "rollout-canary-nginx: valid",
            "rollout-canary-services: valid",
            "rollout-without-selector: invalid: \
             spec.selector: Required value: Rollout has missing field '.spec.selector'",
        ]
    );
}
