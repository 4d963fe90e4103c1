//! Whether a live object is as Git wants it: whether applying Git's version would change it.
//!
//! The server itself has said what applying would make of the object (a dry run), so defaults, quantities
//! and list keys are its own. What is left to do is to leave out what no manifest can set, and what the user
//! wants ignored.

use serde_json::Value;
use tidegate_api::source::IgnoreDifferences;

use super::glob;
use super::object::{Key, text};

/// Whether two versions of one object differ in anything that counts.
pub(super) fn differs(live: &Value, predicted: &Value, ignored: &[&str]) -> bool {
    comparable(live, ignored) != comparable(predicted, ignored)
}

/// An object without what the server keeps for itself, and without ignored fields.
fn comparable(object: &Value, ignored: &[&str]) -> Value {
    let mut object = object.clone();
    if let Some(map) = object.as_object_mut() {
        map.remove("status");
    }
    if text(&object, "/kind") == "Application" {
        // A request to sync comes and goes; it is no part of the manifest.
        remove(&mut object, "/operation");
    }
    for name in ["managedFields", "resourceVersion", "generation", "creationTimestamp", "uid", "selfLink"] {
        remove(&mut object, &format!("/metadata/{name}"));
    }
    for pointer in ignored {
        remove(&mut object, pointer);
    }
    object
}

/// Removes what a JSON pointer points at, if it is there.
fn remove(object: &mut Value, pointer: &str) {
    let Some((parent, last)) = pointer.rsplit_once('/') else { return };
    let last = last.replace("~1", "/").replace("~0", "~");
    match object.pointer_mut(parent) {
        Some(Value::Object(map)) => {
            map.remove(&last);
        }
        Some(Value::Array(items)) => {
            if let Some(index) = last.parse().ok().filter(|index: &usize| *index < items.len()) {
                items.remove(index);
            }
        }
        Some(_) | None => {}
    }
}

/// The JSON pointers that the Application ignores on one object.
pub(super) fn ignored<'a>(rules: Option<&'a [IgnoreDifferences]>, key: &Key) -> Vec<&'a str> {
    let matches = |pattern: &Option<String>, value: &str| {
        pattern.as_deref().is_none_or(|pattern| pattern.is_empty() || glob::matches(pattern, value, None))
    };
    let concerns = |rule: &&IgnoreDifferences| {
        glob::matches(rule.group.as_deref().unwrap_or_default(), &key.group, None)
            && glob::matches(&rule.kind, &key.kind, None)
            && matches(&rule.name, &key.name)
            && matches(&rule.namespace, &key.namespace)
    };
    let rules = rules.unwrap_or_default().iter().filter(concerns);
    rules.flat_map(|rule| rule.json_pointers.iter().flatten().map(String::as_str)).collect()
}

/// Copies the live values of ignored fields into the wanted object, as `RespectIgnoreDifferences=true` asks.
/// Says whether any was copied.
pub(super) fn respect(wanted: &mut Value, live: &Value, ignored: &[&str]) -> bool {
    let mut copied = false;
    for pointer in ignored {
        let (Some(value), Some((parent, last))) = (live.pointer(pointer), pointer.rsplit_once('/')) else {
            continue;
        };
        if wanted.pointer(pointer) == Some(value) {
            // Equal now, and still not Git's: it must not be set back by an apply that comes late.
            copied = true;
            continue;
        }
        let last = last.replace("~1", "/").replace("~0", "~");
        match wanted.pointer_mut(parent) {
            Some(Value::Object(map)) => {
                map.insert(last, value.clone());
                copied = true;
            }
            Some(Value::Array(items)) => {
                if let Some(item) = last.parse().ok().and_then(|index: usize| items.get_mut(index)) {
                    *item = value.clone();
                    copied = true;
                }
            }
            Some(_) | None => {}
        }
    }
    copied
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
        assert!(!differs(&live, &predicted, &[]));
        predicted["spec"]["replicas"] = json!(2);
        assert!(differs(&live, &predicted, &[]));
        assert!(!differs(&live, &predicted, &["/spec/replicas"]));
    }

    #[test]
    fn pointers_belong_to_the_objects_they_name() {
        let rules: Vec<IgnoreDifferences> = serde_json::from_value(json!([
            { "group": "apps", "kind": "*", "name": "w*", "jsonPointers": ["/spec/replicas"] },
            { "group": "", "kind": "Secret", "jsonPointers": ["/data"] },
            { "kind": "Secret", "namespace": "other", "jsonPointers": ["/type"] },
        ]))
        .unwrap();
        let key = |group: &str, kind: &str, name: &str| Key {
            group: group.into(),
            kind: kind.into(),
            namespace: "shop".into(),
            name: name.into(),
        };
        assert_eq!(ignored(Some(&rules), &key("apps", "Deployment", "web")), ["/spec/replicas"]);
        assert_eq!(ignored(Some(&rules), &key("apps", "Deployment", "api")), Vec::<&str>::new());
        assert_eq!(ignored(Some(&rules), &key("", "Secret", "s")), ["/data"]);
    }

    #[test]
    fn ignored_values_stay_when_they_are_respected() {
        let live = json!({ "metadata": { "annotations": { "a/b": "live" } }, "spec": { "replicas": 5 } });
        let mut wanted = json!({ "metadata": {}, "spec": { "replicas": 2 } });
        assert!(respect(&mut wanted, &live, &["/spec/replicas", "/spec/none", "/metadata/annotations/a~1b"]));
        assert_eq!(wanted, json!({ "metadata": {}, "spec": { "replicas": 5 } }));
        assert!(respect(&mut wanted, &live, &["/spec/replicas"]), "equal, and still not Git's");
        assert!(!respect(&mut wanted, &live, &["/spec/none"]));
    }
}
