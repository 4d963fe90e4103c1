//! An object as the API server sent it: metadata read, everything else still text.
//!
//! Input: items of lists and of watches. Output: objects, or what is wrong with one. A list is read whole or not at
//! all, so whatever can be wrong with one object, such as a depth that no reader follows, must not show before it is
//! looked at alone.

use std::borrow::Cow;
use std::fmt;

use kube::Resource;
use kube::api::ApiResource;
use kube::core::ObjectMeta;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

/// One object of any kind.
#[derive(Clone, Debug)]
pub(crate) struct Raw {
    /// What names the object and its version; the rest of its metadata is text like everything else.
    metadata: ObjectMeta,
    text: Box<RawValue>,
}

/// The part that is read at once.
#[derive(Deserialize)]
struct Head {
    #[serde(default)]
    metadata: Names,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Names {
    name: Option<String>,
    namespace: Option<String>,
    uid: Option<String>,
    resource_version: Option<String>,
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let head: Head = serde_json::from_str(text.get()).map_err(serde::de::Error::custom)?;
        let Names { name, namespace, uid, resource_version } = head.metadata;
        Ok(Self {
            metadata: ObjectMeta { name, namespace, uid, resource_version, ..ObjectMeta::default() },
            text,
        })
    }
}

impl Raw {
    /// The object as JSON, without its spec where that is not wanted: items of a list lack their kind. managedFields is half
    /// of an object's size; of a Rollout's it stays who applied it.
    ///
    /// # Errors
    /// Says why the text cannot be read.
    pub(crate) fn whole(self, kind: &ApiResource, spec: Spec) -> Result<Value, String> {
        let mut reader = serde_json::Deserializer::from_str(self.text.get());
        let lean = Lean { keeps_appliers: kind.kind == "Rollout", spec };
        let mut object = lean.deserialize(&mut reader).map_err(|error| error.to_string())?;
        object.insert("apiVersion".to_owned(), Value::from(kind.api_version.clone()));
        object.insert("kind".to_owned(), Value::from(kind.kind.clone()));
        Ok(Value::Object(object))
    }
}

/// Whether the spec of an object is wanted, which is most of it, and seldom news.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spec {
    Wanted,
    /// Not in this generation: it is known.
    KnownAt(i64),
    Unwanted,
}

/// Reads an object and passes over its managedFields, and over a spec that is not wanted.
#[derive(Clone, Copy)]
struct Lean {
    keeps_appliers: bool,
    spec: Spec,
}

impl Lean {
    /// Whether the spec is passed over, as far as what was read before it says.
    fn passes_over_spec(self, read: &Map<String, Value>) -> bool {
        match self.spec {
            Spec::Wanted => false,
            Spec::Unwanted => true,
            Spec::KnownAt(known) => {
                let generation = read.get("metadata").and_then(|metadata| metadata["generation"].as_i64());
                generation == Some(known)
            }
        }
    }
}

impl<'de> DeserializeSeed<'de> for Lean {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Lean {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut object = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let value = match name.as_str() {
                "metadata" => Value::Object(members.next_value_seed(LeanMetadata(self))?),
                "spec" if self.passes_over_spec(&object) => {
                    members.next_value::<IgnoredAny>()?;
                    continue;
                }
                _ => members.next_value()?,
            };
            object.insert(name, value);
        }
        Ok(object)
    }
}

struct LeanMetadata(Lean);

impl<'de> DeserializeSeed<'de> for LeanMetadata {
    type Value = Map<String, Value>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for LeanMetadata {
    type Value = Map<String, Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the metadata of an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Self::Value, A::Error> {
        let mut metadata = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            if name != "managedFields" {
                metadata.insert(name, members.next_value()?);
            } else if self.0.keeps_appliers {
                let managers: Vec<Manager> = members.next_value()?;
                let applied = managers.into_iter().filter(|one| one.operation == "Apply");
                let applied = applied.map(|one| json!({ "manager": one.manager, "operation": "Apply" }));
                metadata.insert(name, applied.collect());
            } else {
                members.next_value::<IgnoredAny>()?;
            }
        }
        Ok(metadata)
    }
}

/// Who wrote to an object, without what fields each of them set.
#[derive(Deserialize)]
struct Manager {
    #[serde(default)]
    manager: String,
    #[serde(default)]
    operation: String,
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

    fn whole_text(text: &str) -> Result<Value, String> {
        let raw: Raw = serde_json::from_str(text).map_err(|error| error.to_string())?;
        raw.whole(&kinds::pod(), Spec::Wanted)
    }

    #[test]
    fn who_wrote_which_field_is_passed_over() {
        let text = r#"{"metadata":{"name":"p","managedFields":[{"manager":"m","operation":"Apply"}],"labels":{"a":"b"}},"status":{"managedFields":1}}"#;
        assert_eq!(
            whole_text(text).unwrap(),
            serde_json::json!({
                "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "p", "labels": { "a": "b" } },
                "status": { "managedFields": 1 },
            })
        );
    }

    #[test]
    fn a_spec_that_is_known_is_passed_over() {
        let text = r#"{"metadata":{"name":"p","generation":3},"spec":{"a":1},"status":{"b":2}}"#;
        let has_spec = |text: &str, spec: Spec| {
            let raw: Raw = serde_json::from_str(text).unwrap();
            let whole = raw.whole(&kinds::pod(), spec).unwrap();
            assert_eq!(whole["status"]["b"], 2);
            whole.get("spec").is_some()
        };
        assert!(has_spec(text, Spec::Wanted) && has_spec(text, Spec::KnownAt(2)));
        assert!(!has_spec(text, Spec::KnownAt(3)) && !has_spec(text, Spec::Unwanted));
        let late = r#"{"spec":{"a":1},"status":{"b":2},"metadata":{"name":"p","generation":3}}"#;
        assert!(has_spec(late, Spec::KnownAt(3)), "its generation is not known yet");
        assert!(has_spec(r#"{"metadata":{"name":"p"},"spec":{"a":1},"status":{"b":2}}"#, Spec::KnownAt(0)));
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
        let whole: Vec<_> =
            list.items.into_iter().map(|raw| raw.whole(&kinds::rollout(), Spec::Wanted)).collect();
        assert!(whole[0].as_ref().is_err_and(|error| error.contains("recursion limit")), "{whole:?}");
        assert_eq!(
            whole[1].as_ref().unwrap(),
            &serde_json::json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                "metadata": { "name": "flat", "managedFields": [{ "manager": "m", "operation": "Apply" }] },
                "spec": { "a": 1 },
            })
        );
        assert!(whole_text("[1]").is_err() && whole_text(r#"{"metadata":7}"#).is_err());
        let event = format!(r#"{{"type":"ADDED","object":{}}}"#, nested("deep", 500));
        let event: WatchEvent<Raw> = serde_json::from_str(&event).unwrap();
        assert!(matches!(event, WatchEvent::Added(_)));
    }
}
