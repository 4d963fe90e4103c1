//! Applies manifests written as YAML, of any kind the API server knows.

use anyhow::{Context, Result};
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::GroupVersionKind;
use kube::discovery::{Scope, pinned_kind};
use kube::{Client, ResourceExt};
use serde_json::Value;

/// The field manager of everything the harness applies.
pub(crate) const MANAGER: &str = "e2e";

/// Reads a stream of YAML documents; empty ones are left out.
pub(crate) fn parse(text: &str) -> Result<Vec<Value>> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).context("cannot read the manifest")?;
    Ok(documents.into_iter().filter(|document| !document.is_null()).collect())
}

/// Applies every document; those of namespaced kinds that name no namespace go
/// to `namespace`.
pub(crate) async fn apply(client: &Client, text: &str, namespace: &str) -> Result<()> {
    for document in parse(text)? {
        apply_value(client, document, namespace).await?;
    }
    Ok(())
}

/// Applies one object.
pub(crate) async fn apply_value(client: &Client, document: Value, namespace: &str) -> Result<DynamicObject> {
    let object: DynamicObject =
        serde_json::from_value(document).context("cannot read an object of the manifest")?;
    let types = object.types.clone().context("an object of the manifest has no apiVersion or kind")?;
    let what = format!("{} {}", types.kind, object.name_any());
    let kind = GroupVersionKind::try_from(&types).with_context(|| what.clone())?;
    let (resource, capabilities) = pinned_kind(client, &kind)
        .await
        .with_context(|| format!("the API server does not know the kind of {what}"))?;
    let api: Api<DynamicObject> = match capabilities.scope {
        Scope::Cluster => Api::all_with(client.clone(), &resource),
        Scope::Namespaced => {
            let namespace = object.namespace().unwrap_or_else(|| namespace.to_owned());
            Api::namespaced_with(client.clone(), &namespace, &resource)
        }
    };
    let params = PatchParams::apply(MANAGER).force();
    api.patch(&object.name_any(), &params, &Patch::Apply(&object))
        .await
        .with_context(|| format!("cannot apply {what}"))
}
