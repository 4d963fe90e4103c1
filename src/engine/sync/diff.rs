//! Whether a live object is as Git wants it: whether applying Git's version would change it.
//!
//! The server itself has said what applying would make of the object (a dry run), so defaults, quantities
//! and list keys are its own. What is left to do here is to leave out what no manifest can set; what the user wants
//! ignored is left out in [`ignore`](super::ignore).

use serde_json::Value;

use super::object::text;

/// An object without what no manifest can set: what the server keeps for itself.
pub(super) fn comparable(object: &Value) -> Value {
    let mut object = object.clone();
    let is_application = text(&object, "/kind") == "Application";
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
        if is_application {
            // A request to sync comes and goes; it is no part of the manifest.
            map.remove("operation");
        }
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        for name in ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"]
        {
            metadata.remove(name);
        }
    }
    object
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_no_manifest_sets_does_not_count() {
        let live = json!({
            "kind": "X",
            "metadata": { "name": "a", "resourceVersion": "1", "generation": 1, "managedFields": [] },
            "spec": { "replicas": 1 },
            "status": { "ready": 0 },
        });
        let mut predicted = live.clone();
        predicted["metadata"]["resourceVersion"] = json!("2");
        predicted["status"]["ready"] = json!(3);
        assert_eq!(comparable(&live), comparable(&predicted));
        predicted["spec"]["replicas"] = json!(2);
        assert_ne!(comparable(&live), comparable(&predicted));
    }
}
