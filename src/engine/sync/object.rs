//! Reads the parts of a Kubernetes object, given as JSON, that sync decides by.

use std::fmt;

use serde::Serialize;
use serde_json::{Map, Value};

/// Names one object of a cluster, whatever version of its kind it is read in.
#[derive(Clone, Debug, Default, Eq, Ord, PartialEq, PartialOrd, Serialize)]
pub struct Key {
    /// The API group; empty for the core group.
    pub group: String,
    /// The kind.
    pub kind: String,
    /// The namespace; empty for cluster-scoped objects.
    pub namespace: String,
    /// The name.
    pub name: String,
}

impl Key {
    /// The key of an object.
    #[must_use]
    pub fn of(object: &Value) -> Self {
        let (group, _) = group_version(object);
        Self {
            group: group.to_owned(),
            kind: text(object, "/kind").to_owned(),
            namespace: text(object, "/metadata/namespace").to_owned(),
            name: text(object, "/metadata/name").to_owned(),
        }
    }

    /// Group and kind, as a pair to look up.
    #[must_use]
    pub fn group_kind(&self) -> (String, String) {
        (self.group.clone(), self.kind.clone())
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.group.is_empty() {
            write!(f, "{}/", self.group)?;
        }
        write!(f, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}

/// The text at a JSON pointer; empty when it is absent or something else.
pub(super) fn text<'a>(object: &'a Value, pointer: &str) -> &'a str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a JSON pointer.
pub(super) fn number(object: &Value, pointer: &str) -> Option<i64> {
    object.pointer(pointer).and_then(Value::as_i64)
}

/// The list at a JSON pointer; empty when it is absent.
pub(super) fn list<'a>(object: &'a Value, pointer: &str) -> &'a [Value] {
    object.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// Group and version of an object: `apps/v1` is `("apps", "v1")`, `v1` is `("", "v1")`.
pub(super) fn group_version(object: &Value) -> (&str, &str) {
    let api_version = text(object, "/apiVersion");
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// One annotation.
pub(super) fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object.get("metadata")?.get("annotations")?.get(key)?.as_str()
}

/// Whether somebody has asked for the object's deletion.
pub(super) fn is_going(object: &Value) -> bool {
    object.pointer("/metadata/deletionTimestamp").is_some_and(|at| !at.is_null())
}

/// Whether the object belongs to another object, and so comes and goes with that.
pub(super) fn has_owner(object: &Value) -> bool {
    !list(object, "/metadata/ownerReferences").is_empty()
}

/// The map under `name`, created when it is absent; nothing when `object` is not a map.
pub(super) fn child_map<'a>(object: &'a mut Value, name: &str) -> Option<&'a mut Map<String, Value>> {
    let child = object.as_object_mut()?.entry(name).or_insert_with(|| Value::Object(Map::new()));
    if child.is_null() {
        *child = Value::Object(Map::new());
    }
    child.as_object_mut()
}

/// Sets one annotation.
pub(super) fn set_annotation(object: &mut Value, key: &str, value: &str) {
    let Some(metadata) = object.get_mut("metadata") else { return };
    if let Some(annotations) = child_map(metadata, "annotations") {
        annotations.insert(key.to_owned(), Value::String(value.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_read_as_people_say_them() {
        let deployment = json!({
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": { "name": "web", "namespace": "shop" },
        });
        assert_eq!(Key::of(&deployment).to_string(), "apps/Deployment shop/web");
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "shop" } });
        assert_eq!(Key::of(&namespace).to_string(), "Namespace shop");
    }

    #[test]
    fn an_annotation_is_set_where_there_were_none() {
        let mut object = json!({ "metadata": { "name": "a", "annotations": null } });
        set_annotation(&mut object, "k", "v");
        assert_eq!(annotation(&object, "k"), Some("v"));
    }
}
