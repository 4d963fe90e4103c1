//! What an object holds that its kind does not know: fields by another name, values of another type.
//!
//! Input: an object as JSON. Output: errors, each with the path of its field. The API server drops such fields without
//! a word, and the controller reads around them; who checks a file before it is applied wants to hear of them. The
//! schemas are those of the CRDs, and Kubernetes' own where a CRD leaves a part to it, such as a pod template.

use crate::GROUP;
use crate::crds;
use crate::valid::{FieldError, FieldErrorKind};
use k8s_openapi::api::batch::v1::JobSpec;
use k8s_openapi::api::core::v1::{PodTemplateSpec, Service};
use k8s_openapi::api::networking::v1::Ingress;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The group of Ingresses.
const NETWORKING: &str = "networking.k8s.io";

/// What the fields of each kind are.
#[derive(Debug)]
pub struct Schemas(BTreeMap<(String, String), Value>);

impl Default for Schemas {
    fn default() -> Self {
        let mut schemas = BTreeMap::new();
        for definition in crds::all() {
            let kind = definition["spec"]["names"]["kind"].as_str().unwrap_or_default().to_owned();
            let schema = definition.pointer("/spec/versions/0/schema/openAPIV3Schema").cloned();
            let mut schema = schema.unwrap_or_default();
            fill_in(&mut schema, &kind);
            schemas.insert((GROUP.to_owned(), kind), schema);
        }
        schemas.insert((String::new(), "Service".to_owned()), schema_of::<Service>());
        schemas.insert((NETWORKING.to_owned(), "Ingress".to_owned()), schema_of::<Ingress>());
        Self(schemas)
    }
}

impl Schemas {
    /// Compares an object with its kind; `None` for a kind that is not known here.
    #[must_use]
    pub fn check(&self, object: &Value) -> Option<Vec<FieldError>> {
        let api_version = object["apiVersion"].as_str().unwrap_or_default();
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let schema = self.0.get(&(group.to_owned(), object["kind"].as_str()?.to_owned()))?;
        let mut errors = Vec::new();
        check(object, schema, "", &mut errors);
        Some(errors)
    }
}

/// The schema of a Rust type, without references.
fn schema_of<T: JsonSchema>() -> Value {
    let settings = SchemaSettings::openapi3().with(|settings| settings.inline_subschemas = true);
    let schema = settings.into_generator().into_root_schema_for::<T>();
    serde_json::to_value(schema).unwrap_or_default()
}

/// Puts Kubernetes' schemas where the CRD of a kind leaves the field to Kubernetes.
fn fill_in(schema: &mut Value, kind: &str) {
    schema["properties"]["apiVersion"] = json!({"type": "string"});
    schema["properties"]["kind"] = json!({"type": "string"});
    schema["properties"]["metadata"] = schema_of::<ObjectMeta>();
    let job = "/properties/spec/properties/metrics/items/properties/provider/properties/job/properties/spec";
    let (place, part) = match kind {
        "Rollout" => ("/properties/spec/properties/template", schema_of::<PodTemplateSpec>()),
        "Experiment" => (
            "/properties/spec/properties/templates/items/properties/template",
            schema_of::<PodTemplateSpec>(),
        ),
        _ => (job, schema_of::<JobSpec>()),
    };
    if let Some(place) = schema.pointer_mut(place) {
        *place = part;
    }
}

fn check(value: &Value, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let mut complain = |kind, detail: String| {
        errors.push(FieldError { path: path.to_owned(), kind, value: None, detail });
    };
    // An absent value: Go makes nothing of it, and so does everybody here.
    if value.is_null() {
        return;
    }
    if schema["x-kubernetes-int-or-string"] == true {
        if !(value.is_number() || value.is_string()) {
            complain(FieldErrorKind::TypeInvalid, format!("must be a number or a text, not {}", noun(value)));
        }
        return;
    }
    if !fits(value, schema["type"].as_str()) {
        let wanted = wanted(schema["type"].as_str().unwrap_or_default());
        complain(FieldErrorKind::TypeInvalid, format!("must be {wanted}, not {}", noun(value)));
        return;
    }
    if let Some(allowed) = schema["enum"].as_array()
        && !allowed.contains(value)
    {
        let allowed: Vec<String> = allowed.iter().map(Value::to_string).collect();
        complain(FieldErrorKind::NotSupported, format!("supported values: {}", allowed.join(", ")));
    }
    match value {
        Value::Object(fields) => check_object(fields, schema, path, errors),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                check(item, &schema["items"], &format!("{path}[{index}]"), errors);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn check_object(fields: &Map<String, Value>, schema: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let child = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
    let is_open = schema["x-kubernetes-preserve-unknown-fields"] == true;
    let properties = schema["properties"].as_object();
    let others = schema.get("additionalProperties").filter(|others| others.is_object());
    for (name, value) in fields {
        if let Some(known) = properties.and_then(|properties| properties.get(name)) {
            check(value, known, &child(name), errors);
        } else if let Some(others) = others {
            check(value, others, &format!("{path}[{name}]"), errors);
        } else if !is_open && (properties.is_some() || schema["type"] == "object") {
            let near = properties.into_iter().flat_map(Map::keys).find(|known| is_near(known, name));
            let hint = near.map_or(String::new(), |known| format!("; did you mean {known:?}?"));
            let detail = format!("unknown field {name:?}{hint}");
            let path = child(name);
            errors.push(FieldError { path, kind: FieldErrorKind::Forbidden, value: None, detail });
        }
    }
    // The kind of the object was found by what is required of the whole.
    if path.is_empty() {
        return;
    }
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        if fields.get(name).is_none_or(Value::is_null) {
            let detail = String::new();
            let path = child(name);
            errors.push(FieldError { path, kind: FieldErrorKind::Required, value: None, detail });
        }
    }
}

fn fits(value: &Value, wanted: Option<&str>) -> bool {
    match wanted {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => {
            value.is_i64() || value.is_u64() || value.as_f64().is_some_and(|number| number.fract() == 0.0)
        }
        Some("number") => value.is_number(),
        Some(_) | None => true,
    }
}

fn wanted(kind: &str) -> &str {
    match kind {
        "object" => "an object",
        "array" => "a list",
        "string" => "a text",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        other => other,
    }
}

/// Names what a value is, and shows it where it is short.
fn noun(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(flag) => flag.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => format!("the text {text:?}"),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "an object".to_owned(),
    }
}

/// Whether two names differ by case, or by one letter that is there too much, too few, or another one.
fn is_near(known: &str, written: &str) -> bool {
    let (a, b): (Vec<char>, Vec<char>) =
        (known.to_lowercase().chars().collect(), written.to_lowercase().chars().collect());
    let (short, long) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let same = short.iter().zip(&long).take_while(|(a, b)| a == b).count();
    match long.len() - short.len() {
        0 => short.get(same + 1..).unwrap_or_default() == long.get(same + 1..).unwrap_or_default(),
        1 => short[same..] == long[same + 1..],
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(object: Value) -> Vec<String> {
        Schemas::default().check(&object).unwrap().iter().map(ToString::to_string).collect()
    }

    fn rollout(spec: Value) -> Value {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": {"name": "shop"}, "spec": spec})
    }

    #[test]
    fn fields_that_nobody_knows_are_named_at_every_depth() {
        let template = json!({"metadata": {"labels": {"app": "shop"}}, "spec": {"containers": [
            {"name": "a", "image": "b", "imagePolicy": "Always", "resources": {"requests": {"cpu": 0.5, "memory": "1Gi"}},
             "ports": [{"containerPort": "80"}]},
        ]}});
        let canary = json!({"steps": [{"setWeigth": 5}, {"setWeight": "5"}, {"pause": {"duration": 5}}],
            "maxSurge": "25%", "trafficRouting": {"plugins": {"a/b": {"any": ["thing"]}}}});
        assert_eq!(
            said(rollout(json!({"replica": 1, "template": template, "strategy": {"canary": canary}}))),
            [
                "spec.replica: Forbidden: unknown field \"replica\"; did you mean \"replicas\"?",
                "spec.strategy.canary.steps[0].setWeigth: Forbidden: unknown field \"setWeigth\"",
                "spec.strategy.canary.steps[1].setWeight: Invalid value: must be a whole number, not the text \"5\"",
                "spec.template.spec.containers[0].imagePolicy: Forbidden: unknown field \"imagePolicy\"",
                "spec.template.spec.containers[0].ports[0].containerPort: Invalid value: must be a whole number, not the text \"80\"",
            ]
        );
    }

    #[test]
    fn labels_are_texts_and_required_fields_are_asked_for() {
        let mut object =
            rollout(json!({"strategy": {"blueGreen": {}}, "selector": {"matchLabels": {"app": true}}}));
        object["metadata"]["labels"] = json!({"version": 1});
        assert_eq!(
            said(object),
            [
                "metadata.labels[version]: Invalid value: must be a text, not 1",
                "spec.selector.matchLabels[app]: Invalid value: must be a text, not true",
                "spec.strategy.blueGreen.activeService: Required value",
            ]
        );
    }

    #[test]
    fn jobs_services_and_ingresses_are_known_and_other_kinds_are_not() {
        let metric = json!({"name": "m", "provider": {"job": {"spec": {"backofLimit": 1, "template": {}}}}});
        let template = json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "ClusterAnalysisTemplate",
            "metadata": {"name": "t"}, "spec": {"metrics": [metric]}});
        assert_eq!(
            said(template),
            [
                "spec.metrics[0].provider.job.spec.backofLimit: Forbidden: unknown field \"backofLimit\"; did you mean \"backoffLimit\"?"
            ]
        );
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": "s"},
            "spec": {"ports": [{"port": 80, "targetPort": "http"}], "selectors": {}}});
        assert_eq!(
            said(service),
            ["spec.selectors: Forbidden: unknown field \"selectors\"; did you mean \"selector\"?"]
        );
        let other = json!({"apiVersion": "v1", "kind": "ConfigMap", "data": 1});
        assert!(Schemas::default().check(&other).is_none());
    }
}
