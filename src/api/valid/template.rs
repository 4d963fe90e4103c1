//! The rules of a ReplicaSet for its pod template that a user is likely to break.
//!
//! Upstream runs all of Kubernetes' pod validation. The API server runs it again when the
//! ReplicaSet is created and its error is shown then, so the long tail is left to it.

use super::field::{Field, FieldError};
use super::labels;
use crate::raw::PodTemplate;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;
use std::collections::BTreeSet;

/// Checks a pod template against the selector that must select its pods.
pub(crate) fn check(
    template: &PodTemplate,
    selector: Option<&LabelSelector>,
    path: &Field,
    errors: &mut Vec<FieldError>,
) {
    let pod_labels = template.metadata("labels");
    if selector.is_none_or(|selector| !labels::selects(selector, &pod_labels)) {
        let mismatch = "`selector` does not match template `labels`";
        errors.push(path.child("metadata").child("labels").invalid(&pod_labels, mismatch));
    }
    labels::check_labels(&pod_labels, &path.child("labels"), errors);
    let spec = template.0.get("spec").unwrap_or(&Value::Null);
    check_pod(spec, &path.child("spec"), errors);
}

fn check_pod(spec: &Value, path: &Field, errors: &mut Vec<FieldError>) {
    let containers = list(spec, "containers");
    let containers_path = path.child("containers");
    if containers.is_empty() {
        errors.push(containers_path.required(""));
    }
    let mut names = BTreeSet::new();
    for (index, container) in containers.iter().enumerate() {
        check_container(container, &containers_path.index(index), &mut names, errors);
    }
    let init_path = path.child("initContainers");
    for (index, container) in list(spec, "initContainers").iter().enumerate() {
        check_container(container, &init_path.index(index), &mut names, errors);
    }
    let restart = text(spec, "restartPolicy");
    if !matches!(restart, "" | "Always") {
        errors.push(path.child("restartPolicy").not_supported(restart, "Always"));
    }
    if spec.get("activeDeadlineSeconds").is_some_and(|value| !value.is_null()) {
        let unwanted = "activeDeadlineSeconds in ReplicaSet is not Supported";
        errors.push(path.child("activeDeadlineSeconds").forbidden(unwanted));
    }
}

fn check_container<'a>(
    container: &'a Value,
    path: &Field,
    names: &mut BTreeSet<&'a str>,
    errors: &mut Vec<FieldError>,
) {
    let name = text(container, "name");
    let name_path = path.child("name");
    if name.is_empty() {
        errors.push(name_path.required(""));
    } else {
        for problem in labels::dns_label_problems(name) {
            errors.push(name_path.invalid(name, &problem));
        }
        if !names.insert(name) {
            errors.push(name_path.duplicate(name));
        }
    }
    let image = text(container, "image");
    if image.is_empty() {
        errors.push(path.child("image").required(""));
    } else if image.trim() != image {
        let spaces = "must not have leading or trailing whitespace";
        errors.push(path.child("image").invalid(image, spaces));
    }
}

fn list<'a>(value: &'a Value, key: &str) -> &'a [Value] {
    value.get(key).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}
