//! The two CustomResourceDefinitions, built from the types beside this file.
//!
//! Upstream serves neither kind with a status subresource, and Application has a third top-level field
//! (`operation`); kube's derive can say neither, so the definitions are put together here.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceColumnDefinition, CustomResourceDefinition, CustomResourceDefinitionNames,
    CustomResourceDefinitionSpec, CustomResourceDefinitionVersion, CustomResourceValidation,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube_core::schema::{OptionalEnum, OptionalIntOrString, StructuralSchemaRewriter};
use schemars::generate::SchemaSettings;
use schemars::transform::AddNullable;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// What tells one of the two definitions from the other.
pub(super) struct Names {
    pub(super) kind: &'static str,
    pub(super) singular: &'static str,
    pub(super) plural: &'static str,
    pub(super) short: &'static [&'static str],
    /// Name, JSON path and priority of each printed column.
    pub(super) columns: &'static [(&'static str, &'static str, i32)],
}

/// Builds the definition of a namespaced kind without subresources from the schema of its root type.
pub(super) fn definition<T: JsonSchema>(names: &Names) -> CustomResourceDefinition {
    let columns = names.columns.iter().map(|(name, path, priority)| CustomResourceColumnDefinition {
        name: (*name).to_owned(),
        json_path: (*path).to_owned(),
        type_: "string".to_owned(),
        priority: (*priority > 0).then_some(*priority),
        ..CustomResourceColumnDefinition::default()
    });
    let version = CustomResourceDefinitionVersion {
        name: crate::VERSION.to_owned(),
        served: true,
        storage: true,
        additional_printer_columns: (!names.columns.is_empty()).then(|| columns.collect()),
        schema: Some(CustomResourceValidation { open_api_v3_schema: root_schema::<T>() }),
        ..CustomResourceDefinitionVersion::default()
    };
    CustomResourceDefinition {
        metadata: ObjectMeta {
            name: Some(format!("{}.{}", names.plural, crate::GROUP)),
            ..ObjectMeta::default()
        },
        spec: CustomResourceDefinitionSpec {
            group: crate::GROUP.to_owned(),
            names: CustomResourceDefinitionNames {
                kind: names.kind.to_owned(),
                list_kind: Some(format!("{}List", names.kind)),
                plural: names.plural.to_owned(),
                singular: Some(names.singular.to_owned()),
                short_names: Some(names.short.iter().map(|name| (*name).to_owned()).collect()),
                ..CustomResourceDefinitionNames::default()
            },
            scope: "Namespaced".to_owned(),
            versions: vec![version],
            ..CustomResourceDefinitionSpec::default()
        },
        status: None,
    }
}

/// Generates a structural schema, with the same settings that kube's derive uses.
fn root_schema<T: JsonSchema>()
-> Option<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::JSONSchemaProps> {
    let generator = SchemaSettings::openapi3()
        .with(|settings| {
            settings.inline_subschemas = true;
            settings.meta_schema = None;
        })
        .with_transform(AddNullable::default())
        .with_transform(StructuralSchemaRewriter)
        .with_transform(OptionalEnum)
        .with_transform(OptionalIntOrString)
        .into_generator();
    serde_json::to_value(generator.into_root_schema_for::<T>()).and_then(serde_json::from_value).ok()
}

/// The schema of an object that is kept as it comes, whatever its fields.
pub(super) fn free_object(_: &mut SchemaGenerator) -> Schema {
    json_schema!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true, "nullable": true })
}

/// The schema of a list of objects that are kept as they come.
pub(super) fn free_list(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "nullable": true,
        "items": { "type": "object", "x-kubernetes-preserve-unknown-fields": true },
    })
}
