//! Keeps people from changing by hand what Git will change back.
//!
//! An Application with `selfHeal` undoes a change to the pod template within moments: the old version would be
//! rolled out, and then the new one again. Whoever wants a change commits it.

use anyhow::{Result, bail};
use kube::ResourceExt;
use kube::api::{DynamicObject, ListParams};
use serde_json::Value;

use crate::kind::Kind;
use crate::session::Session;

/// Names the Application that an object came with, and the object.
const TRACKING_ID: &str = "argocd.argoproj.io/tracking-id";
/// Names the Application where objects are tracked by label; Helm uses the same label for its release.
const INSTANCE_LABEL: &str = "app.kubernetes.io/instance";

/// Refuses a change of the pod template when an Application would undo it.
pub(crate) async fn refuse_if_healed(
    session: &mut Session<'_>,
    object: &DynamicObject,
    commit: &str,
) -> Result<()> {
    let Some(name) = application_name(object) else { return Ok(()) };
    let params = ListParams::default().fields(&format!("metadata.name={name}"));
    let everywhere = session.api_everywhere(Kind::Application);
    let found = match session.list(&everywhere, Kind::Application, &params).await {
        Ok(found) => found,
        // Without a right to look at other namespaces, the own one may still tell.
        Err(error) => {
            let here = session.list(&session.api(Kind::Application), Kind::Application, &params).await;
            let here = here.unwrap_or_default();
            if here.is_empty() && object.annotations().contains_key(TRACKING_ID) {
                bail!(
                    "{} is kept as it is in Git by application \"{name}\", which cannot be read and may undo this \
                     change: commit {commit} instead, or use --force ({:#})",
                    object.name_any(),
                    anyhow::Error::from(error),
                );
            }
            here
        }
    };
    let Some(application) = found.iter().find(|application| heals(application, object)) else {
        return Ok(());
    };
    bail!(
        "{} is kept as it is in Git by application \"{}/{}\", which would undo this change: \
         commit {commit} to {} instead, or use --force",
        object.name_any(),
        application.namespace().unwrap_or_default(),
        application.name_any(),
        source(application),
    )
}

/// Returns the name of the Application that an object seems to belong to.
fn application_name(object: &DynamicObject) -> Option<String> {
    if let Some(tracking_id) = object.annotations().get(TRACKING_ID) {
        // Such as `shop:argoproj.io/Rollout:shop/web`; an Application of another namespace is `namespace_name`.
        let name = tracking_id.split(':').next()?;
        return Some(name.rsplit_once('_').map_or(name, |(_, name)| name).to_owned());
    }
    object.labels().get(INSTANCE_LABEL).cloned()
}

/// Tells whether an Application heals an object: selfHeal is on, and the object is among its resources.
fn heals(application: &DynamicObject, object: &DynamicObject) -> bool {
    let automated = application.data.pointer("/spec/syncPolicy/automated");
    let is_on = automated.is_some_and(|automated| automated["enabled"] != Value::Bool(false));
    if !is_on || automated.and_then(|automated| automated["selfHeal"].as_bool()) != Some(true) {
        return false;
    }
    if object.annotations().contains_key(TRACKING_ID) {
        return true;
    }
    let resources = application.data.pointer("/status/resources").and_then(Value::as_array);
    let kind = object.types.as_ref().map(|types| types.kind.as_str());
    resources.into_iter().flatten().any(|resource| {
        resource["name"].as_str() == object.metadata.name.as_deref()
            && resource["namespace"].as_str() == object.metadata.namespace.as_deref()
            && resource["kind"].as_str() == kind
    })
}

/// Says where an Application reads what it keeps.
fn source(application: &DynamicObject) -> String {
    let text = |pointer: &str| application.data.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let (repository, path) = (text("/spec/source/repoURL"), text("/spec/source/path"));
    match text("/spec/source/targetRevision") {
        "" => format!("{path:?} of {repository}"),
        revision => format!("{path:?} of {repository} ({revision})"),
    }
}

#[cfg(test)]
mod tests {
    use super::{application_name, heals, source};
    use kube::api::DynamicObject;
    use serde_json::{Value, json};

    fn object(value: Value) -> DynamicObject {
        serde_json::from_value(value).unwrap()
    }

    fn rollout(metadata: Value) -> DynamicObject {
        object(json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "metadata": metadata }))
    }

    #[test]
    fn the_application_is_named_by_annotation_or_label() {
        let name = |metadata| application_name(&rollout(metadata));
        let tracked = |id: &str| json!({ "annotations": { "argocd.argoproj.io/tracking-id": id } });
        assert_eq!(name(tracked("shop:argoproj.io/Rollout:a/web")).as_deref(), Some("shop"));
        assert_eq!(name(tracked("team_shop:argoproj.io/Rollout:a/web")).as_deref(), Some("shop"));
        assert_eq!(
            name(json!({ "labels": { "app.kubernetes.io/instance": "shop" } })).as_deref(),
            Some("shop")
        );
        assert_eq!(name(json!({})), None);
    }

    #[test]
    fn a_label_counts_only_with_the_application_that_lists_the_object() {
        let application = |self_heal: bool, name: &str| {
            object(json!({
                "metadata": { "name": "shop" },
                "spec": {
                    "source": { "repoURL": "https://git/shop", "path": "web", "targetRevision": "main" },
                    "syncPolicy": { "automated": { "selfHeal": self_heal } },
                },
                "status": { "resources": [{ "kind": "Rollout", "namespace": "a", "name": name }] },
            }))
        };
        let labelled = rollout(json!({ "name": "web", "namespace": "a" }));
        assert!(heals(&application(true, "web"), &labelled));
        assert!(!heals(&application(true, "other"), &labelled));
        assert!(!heals(&application(false, "web"), &labelled));
        assert_eq!(source(&application(true, "web")), "\"web\" of https://git/shop (main)");
    }
}
