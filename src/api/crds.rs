//! The CustomResourceDefinitions of all kinds, as the files in `crds/` hold them.
//!
//! The schemas are as loose as upstream's: no field may be null, only fields that upstream
//! requires are required, and numbers have no bounds. What is wrong in a Rollout is said in its
//! InvalidSpec condition, so an object that upstream accepts is never refused here.

use crate::analysis::{AnalysisRun, AnalysisTemplate, ClusterAnalysisTemplate};
use crate::experiment::Experiment;
use crate::rollout::Rollout;
use crate::source::{AppProject, Application};
use kube_core::CustomResourceExt;
use serde_json::{Map, Value, json};

/// Returns the definition of every kind, in a fixed order.
#[must_use]
pub fn all() -> Vec<Value> {
    vec![
        loose::<Rollout>(),
        with_datadog_defaults(loose::<AnalysisTemplate>()),
        with_datadog_defaults(loose::<ClusterAnalysisTemplate>()),
        without_subresources(with_datadog_defaults(loose::<AnalysisRun>())),
        without_subresources(loose::<Experiment>()),
        definition::<Application>(),
        definition::<AppProject>(),
    ]
}

fn definition<T: CustomResourceExt>() -> Value {
    // Serialising a definition cannot fail: its keys are texts.
    serde_json::to_value(T::crd()).unwrap_or_default()
}

/// Definition of a kind, without what schemars and kube derive from Rust types beyond their shape.
fn loose<T: CustomResourceExt>() -> Value {
    let mut definition = definition::<T>();
    for schema in schemas(&mut definition) {
        loosen(schema);
    }
    definition
}

fn schemas(definition: &mut Value) -> impl Iterator<Item = &mut Value> {
    let versions = definition["spec"]["versions"].as_array_mut();
    versions.into_iter().flatten().map(|version| &mut version["schema"]["openAPIV3Schema"])
}

/// Removes the defaults that the API server would fill in, nullability and bounds, at every level.
fn loosen(schema: &mut Value) {
    let Some(fields) = schema.as_object_mut() else { return };
    for key in ["default", "nullable", "minimum", "maximum"] {
        fields.remove(key);
    }
    for child in children(fields) {
        loosen(child);
    }
}

/// Schemas one level below.
fn children(fields: &mut Map<String, Value>) -> impl Iterator<Item = &mut Value> {
    fields.iter_mut().flat_map(|(key, value)| match key.as_str() {
        "properties" => {
            value.as_object_mut().into_iter().flat_map(|all| all.values_mut()).collect::<Vec<_>>()
        }
        "items" | "additionalProperties" => vec![value],
        _ => Vec::new(),
    })
}

/// Sets the only defaults and enumerations that upstream's schemas have.
fn with_datadog_defaults(mut definition: Value) -> Value {
    for schema in schemas(&mut definition) {
        let path =
            "/properties/spec/properties/metrics/items/properties/provider/properties/datadog/properties";
        let Some(datadog) = schema.pointer_mut(path) else { continue };
        datadog["interval"]["default"] = json!("5m");
        datadog["requestTimeout"]["default"] = json!("10s");
        datadog["apiVersion"]["default"] = json!("v1");
        datadog["apiVersion"]["enum"] = json!(["v1", "v2"]);
        datadog["aggregator"]["enum"] =
            json!(["avg", "min", "max", "sum", "last", "percentile", "mean", "l2norm", "area"]);
    }
    definition
}

/// Takes the status subresource away: clients patch the status of these kinds on the object.
fn without_subresources(mut definition: Value) -> Value {
    for version in definition["spec"]["versions"].as_array_mut().into_iter().flatten() {
        version["subresources"] = json!({});
    }
    definition
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    /// `kubectl apply` keeps the whole object in an annotation, whose size the API server limits.
    const APPLY_BYTES_MAX: usize = 262_144;

    fn root_schema(definition: &Value) -> &Value {
        &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    }

    /// Compares `crds/*.yaml` with the types, or writes them when `UPDATE` is set.
    #[test]
    fn the_files_are_those_of_the_types() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../crds");
        for definition in all() {
            let plural = definition["spec"]["names"]["plural"].as_str().unwrap();
            let file = folder.join(format!("{plural}.yaml"));
            let yaml = serde_saphyr::to_string(&definition).unwrap();
            let text = format!("# Generated from src/api by `UPDATE=1 cargo test -p tidegate-api`.\n{yaml}");
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&file, &text).unwrap();
            }
            let found = std::fs::read_to_string(&file).unwrap_or_default();
            assert!(
                found == text,
                "{} is out of date: run UPDATE=1 cargo test -p tidegate-api",
                file.display()
            );
            let read_back: Value = serde_saphyr::from_str(&found).unwrap();
            assert_eq!(read_back, definition, "{plural}: the YAML does not say what was meant");
            assert!(
                definition.to_string().len() < APPLY_BYTES_MAX,
                "{plural} is too large for kubectl apply"
            );
        }
    }

    /// The rules of the API server for structural schemas, as far as a generator can break them.
    fn check_structural(schema: &Value, path: &str) {
        let fields = schema.as_object().unwrap_or_else(|| panic!("{path}: not a schema object: {schema}"));
        for (key, _) in fields {
            assert!(
                matches!(
                    key.as_str(),
                    "type"
                        | "title"
                        | "format"
                        | "description"
                        | "properties"
                        | "items"
                        | "additionalProperties"
                        | "required"
                        | "enum"
                        | "default"
                        | "nullable"
                        | "x-kubernetes-int-or-string"
                        | "x-kubernetes-preserve-unknown-fields"
                        | "x-kubernetes-validations"
                ),
                "{path}: unexpected {key}"
            );
        }
        let int_or_string = fields.get("x-kubernetes-int-or-string").is_some();
        assert_eq!(
            fields.contains_key("type"),
            !int_or_string,
            "{path}: exactly one of type and int-or-string"
        );
        let kind = fields.get("type").and_then(Value::as_str).unwrap_or_default();
        assert!(kind != "array" || fields.contains_key("items"), "{path}: array without items");
        assert!(
            !(fields.contains_key("properties") && fields.contains_key("additionalProperties")),
            "{path}: properties and additionalProperties"
        );
        if kind == "object" && path.contains(".spec") {
            let open = ["properties", "additionalProperties", "x-kubernetes-preserve-unknown-fields"];
            let empty_by_design = path.ends_with("requiredDuringSchedulingIgnoredDuringExecution");
            assert!(
                empty_by_design || open.iter().any(|key| fields.contains_key(*key)),
                "{path}: everything in it would be pruned"
            );
        }
        for (name, child) in fields.get("properties").and_then(Value::as_object).into_iter().flatten() {
            check_structural(child, &format!("{path}.{name}"));
        }
        for key in ["items", "additionalProperties"] {
            if let Some(child) = fields.get(key) {
                check_structural(child, &format!("{path}[]"));
            }
        }
        for name in fields.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = name.as_str().unwrap();
            assert!(fields["properties"].get(name).is_some(), "{path}: required {name} is no field");
        }
    }

    #[test]
    fn every_schema_is_structural() {
        for definition in all() {
            check_structural(root_schema(&definition), definition["spec"]["names"]["kind"].as_str().unwrap());
        }
    }

    #[test]
    fn the_rollout_scales_by_the_paths_that_autoscalers_know() {
        let rollout = all().remove(0);
        let version = &rollout["spec"]["versions"][0];
        assert_eq!(
            version["subresources"],
            json!({"status": {}, "scale": {
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.HPAReplicas",
                "labelSelectorPath": ".status.selector"
            }})
        );
        let spec = &root_schema(&rollout)["properties"]["spec"]["properties"];
        assert_eq!(spec["selector"]["x-kubernetes-validations"][0]["rule"], "self == oldSelf");
        let canary = &spec["strategy"]["properties"]["canary"]["properties"];
        assert_eq!(canary["maxSurge"]["x-kubernetes-int-or-string"], true);
        assert_eq!(spec["template"]["x-kubernetes-preserve-unknown-fields"], true);
        assert_eq!(root_schema(&rollout)["required"], json!(["spec"]));
    }
}
