//! Whether two pod templates make the same pods, and the label that tells
//! ReplicaSets apart.
//!
//! A ReplicaSet's hash label can go stale without any change to the pods: after
//! an upgrade of the library behind the hash, or after `undo`, which writes back
//! a template with every default filled in. Comparing templates by meaning finds
//! the ReplicaSet all the same, so that nothing is deployed twice.

mod defaults;
mod image;

use serde_json::Value;

use super::hash;
use super::world::HASH_LABEL;

/// Tells whether a ReplicaSet's template and a wanted one make the same pods.
///
/// Defaults count as set, quantities by amount, an empty list as none. The hash
/// label and the deprecated `serviceAccount` do not count: the API server copies
/// the latter from `serviceAccountName`. Defaults are filled in on both sides,
/// because those of a newer Kubernetes may be missing on the server's.
pub fn equal_ignoring_hash(live_rs_template: &Value, desired: &Value) -> bool {
    comparable(live_rs_template) == comparable(desired)
}

/// Returns the template for a ReplicaSet: with the hash label, and without
/// values that the API server would refuse, such as `memory: invalid`.
pub fn with_hash_label(template: &Value, hash: &str) -> Value {
    let mut template = hash::readable(template);
    // What is readable is an object or null all along this path; an index makes
    // an object of null.
    template["metadata"]["labels"][HASH_LABEL] = hash.into();
    template
}

/// Returns the template without the hash label, as a Rollout would carry it.
pub fn without_hash_label(template: &Value) -> Value {
    let mut template = template.clone();
    drop_hash_label(&mut template);
    template
}

fn comparable(template: &Value) -> Value {
    let mut template = hash::with_plain_amounts(template);
    defaults::fill(&mut template);
    drop_hash_label(&mut template);
    if let Some(spec) = template.get_mut("spec").and_then(Value::as_object_mut) {
        spec.remove("serviceAccount");
    }
    drop_empty_lists(&mut template);
    template
}

fn drop_hash_label(template: &mut Value) {
    let Some(metadata) = template.get_mut("metadata").and_then(Value::as_object_mut) else { return };
    let Some(labels) = metadata.get_mut("labels").and_then(Value::as_object_mut) else { return };
    if labels.remove(HASH_LABEL).is_some() && labels.is_empty() {
        metadata.remove("labels");
    }
}

/// Makes no list and an empty list the same, as they are to Kubernetes; an
/// empty object is not the same as none.
fn drop_empty_lists(value: &mut Value) {
    if let Some(members) = value.as_object_mut() {
        members
            .retain(|_, member| !member.is_null() && member.as_array().is_none_or(|items| !items.is_empty()));
        members.values_mut().for_each(drop_empty_lists);
    } else if let Some(items) = value.as_array_mut() {
        items.iter_mut().for_each(drop_empty_lists);
    }
}

#[cfg(test)]
mod tests;
