//! Parts of the kinds that are kept as they were written: pod templates and free-form maps.

use crate::compact::Compact;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::borrow::Cow;

/// Pod template exactly as the user wrote it; null when there is none.
///
/// A typed template would lose fields that are newer than this build, would refuse quantities
/// that the API server tolerates, and would make the CRD too large for `kubectl apply`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PodTemplate(pub Compact);

impl PodTemplate {
    /// Tells whether there is no template at all.
    pub fn is_absent(&self) -> bool {
        self.0.is_null()
    }

    /// Returns one map of texts under `metadata`, such as `labels`; entries that are no text are left out.
    pub fn metadata(&self, key: &str) -> std::collections::BTreeMap<String, String> {
        let Some(Value::Object(map)) = self.0.get("metadata").and_then(|metadata| metadata.get(key)) else {
            return Default::default();
        };
        map.iter().filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
    }
}

impl JsonSchema for PodTemplate {
    fn schema_name() -> Cow<'static, str> {
        "PodTemplate".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        free_object(generator)
    }
}

/// Schema of an object whose fields the API server must keep, whatever they are.
pub(crate) fn free_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true })
}
