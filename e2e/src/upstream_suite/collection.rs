//! Waits until the garbage collector of the cluster knows the kinds that were installed a moment ago. It looks for new
//! ones twice a minute; until then what belongs to a deleted Rollout stays, and a later test of the same name finds it.

use std::time::Duration;

use anyhow::{Context, Result};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams, DynamicObject};
use kube::runtime::conditions::is_deleted;
use kube::runtime::wait::await_condition;
use kube::{Client, ResourceExt};
use serde_json::json;

use crate::{manifest, scene};

const LIMIT: Duration = Duration::from_secs(120);
const NAME: &str = "collected";
const OWNER: (&str, &str) = ("argoproj.io/v1alpha1", "AnalysisTemplate");

/// Makes an object of one of the kinds and another that belongs to it, deletes the first and waits for the second to go.
pub(super) async fn until_working(client: &Client, namespace: &str) -> Result<()> {
    let (api_version, kind) = OWNER;
    let document = json!({
        "apiVersion": api_version,
        "kind": kind,
        "metadata": {"name": NAME},
        "spec": {"metrics": [{"name": "none", "provider": {"web": {"url": "http://127.0.0.1"}}}]},
    });
    let owner = manifest::apply_value(client, document, namespace).await?;
    let document = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": NAME, "ownerReferences": [{
            "apiVersion": api_version, "kind": kind, "name": NAME, "uid": owner.uid(),
        }]},
    });
    let uid = manifest::apply_value(client, document, namespace).await?.uid().context("no uid")?;
    let resource = scene::resource(client, api_version, kind).await?;
    let owners: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
    owners.delete(NAME, &DeleteParams::background()).await.context("cannot delete an AnalysisTemplate")?;
    let dependents: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
    tokio::time::timeout(LIMIT, await_condition(dependents, NAME, is_deleted(&uid))).await.context(
        "the cluster's garbage collector does not collect what belongs to objects of argoproj.io",
    )??;
    Ok(())
}
