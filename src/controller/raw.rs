//! An object as the API server sent it: metadata read, everything else still text.
//!
//! Input: items of lists and of watches. Output: objects, or what is wrong with one. A list is read whole or not at
//! all, so whatever can be wrong with one object, such as a depth that no reader follows, must not show before it is
//! looked at alone.

use std::borrow::Cow;

use kube::Resource;
use kube::api::ApiResource;
use kube::core::ObjectMeta;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Value, json};

/// One object of any kind.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    metadata: ObjectMeta,
    text: Box<RawValue>,
}

/// The part that is read at once.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let head: Head = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        Ok(Self { metadata: head.metadata, text })
    }
}

impl Raw {
    /// The whole object as JSON: items of a list lack their kind. managedFields is half of an object's size; of a Rollout's
    /// it stays who applied it.
    ///
    /// # Errors
    /// Says why the text cannot be read.
    pub(crate) fn whole(self, kind: &ApiResource) -> Result<Value, String> {
        let mut object: Value = serde_json::from_str(self.text.get()).map_err(|error| error.to_string())?;
        if !object.is_object() {
            return Err("is no object".to_owned());
        }
        object["apiVersion"] = Value::from(kind.api_version.clone());
        object["kind"] = Value::from(kind.kind.clone());
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            let managed = metadata.remove("managedFields");
            if kind.kind == "Rollout"
                && let Some(managed) = managed
            {
                metadata.insert("managedFields".to_owned(), appliers(&managed));
            }
        }
        Ok(object)
    }
}

/// Who applied an object, without what fields each of them set.
fn appliers(managed: &Value) -> Value {
    let entries = managed.as_array().into_iter().flatten();
    let applied = entries.filter(|entry| entry["operation"] == "Apply");
    applied.map(|entry| json!({ "manager": entry["manager"], "operation": "Apply" })).collect()
}

impl Resource for Raw {
    type DynamicType = ApiResource;
    type Scope = kube::core::DynamicResourceScope;

    fn kind(kind: &ApiResource) -> Cow<'_, str> {
        kind.kind.as_str().into()
    }

    fn group(kind: &ApiResource) -> Cow<'_, str> {
        kind.group.as_str().into()
    }

    fn version(kind: &ApiResource) -> Cow<'_, str> {
        kind.version.as_str().into()
    }

    fn api_version(kind: &ApiResource) -> Cow<'_, str> {
        kind.api_version.as_str().into()
    }

    fn plural(kind: &ApiResource) -> Cow<'_, str> {
        kind.plural.as_str().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use kube::api::ObjectList;
    use kube::core::WatchEvent;

    use super::*;
    use crate::kinds;

    fn nested(name: &str, depth: usize) -> String {
        let (open, close) = ("{\"a\":".repeat(depth), "}".repeat(depth));
        format!(
            r#"{{"metadata":{{"name":"{name}","managedFields":[{{"manager":"m","operation":"Apply","fieldsV1":{{}}}},{{"manager":"n","operation":"Update"}}]}},"spec":{open}1{close}}}"#
        )
    }

    #[test]
    fn an_object_that_nobody_can_read_spoils_neither_its_list_nor_its_watch() {
        let list = format!(
            r#"{{"apiVersion":"v1","kind":"RolloutList","metadata":{{"resourceVersion":"7"}},"items":[{},{}]}}"#,
            nested("deep", 500),
            nested("flat", 1)
        );
        let list: ObjectList<Raw> = serde_json::from_str(&list).unwrap();
        let names: Vec<_> = list.items.iter().filter_map(|raw| raw.metadata.name.as_deref()).collect();
        assert_eq!(names, ["deep", "flat"]);
        let whole: Vec<_> = list.items.into_iter().map(|raw| raw.whole(&kinds::rollout())).collect();
        assert!(whole[0].as_ref().is_err_and(|error| error.contains("recursion limit")), "{whole:?}");
        assert_eq!(
            whole[1].as_ref().unwrap(),
            &serde_json::json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                "metadata": { "name": "flat", "managedFields": [{ "manager": "m", "operation": "Apply" }] },
                "spec": { "a": 1 },
            })
        );
        let event = format!(r#"{{"type":"ADDED","object":{}}}"#, nested("deep", 500));
        let event: WatchEvent<Raw> = serde_json::from_str(&event).unwrap();
        assert!(matches!(event, WatchEvent::Added(_)));
    }
}
